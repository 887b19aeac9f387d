"""What one MISP holds: organisations, users, tags, sharing groups, events; numbers are strings, as MISP writes them."""

from __future__ import annotations

import secrets
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from lab.misp.people import ADMIN, SYNC, Organisation, Part, Role, User

VERSION = "2.5.1"

POLICY_OWNER, POLICY_REPORTER, POLICY_EVERYONE, POLICY_HOST = range(4)


@dataclass(slots=True, kw_only=True)
class Settings:
    """What an administrator may have set; the defaults are MISP's."""

    version: str = VERSION
    request_encoding: tuple[str, ...] = ("gzip",)
    filter_sightings: bool = True
    sightings_policy: int = POLICY_OWNER  # Plugin.Sightings_policy; who sees the sightings on whose events
    cache_export: bool = False  # attributes/restSearch with returnFormat "cache" ends in a 500 in 2.5.1
    unpublished_private: bool = False
    signs_protected: bool = False  # whether its key is one that protected events list
    default_attribute_distribution: str = "5"


class Refused(Exception):
    """MISP would not do it: status, the text, and what it puts beside it."""

    def __init__(self, status: int, name: str, *, location: str = "", **more: Any) -> None:
        super().__init__(name)
        self.status, self.name, self.location, self.more = status, name, location, more


class Instance:
    """One MISP's database. Whoever changes more than one thing holds `lock`."""

    def __init__(
        self,
        name: str,
        uuid: str,
        *,
        instance_uuid: str = "c1ca1c1a-0000-4000-8000-000000000001",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.uuid, self.clock = instance_uuid, clock
        self.settings = Settings()
        self.lock = threading.RLock()
        self.organisations: dict[str, Organisation] = {}
        self.users: dict[str, User] = {}
        self.tags: dict[str, Part] = {}
        self.sharing_groups: dict[str, Part] = {}
        self.events: dict[str, Part] = {}
        self.places: dict[str, tuple[str, str]] = {}  # attribute -> uuid of its event, of its object or ""
        self.clusters: dict[str, Part] = {}
        self.analyst: dict[str, dict[str, Part]] = {"Note": {}, "Opinion": {}, "Relationship": {}}
        self.blocked_events: set[str] = set()
        self.blocked_organisations: set[str] = set()
        self.published: list[tuple[str, str]] = []  # uuid and the server it came from: waits for the worker
        self.sighted: list[tuple[str, str, list[str]]] = []  # for sightings, with the uuids of those that are new
        self.log: list[str] = []  # what MISP would put into its logs: dropped attributes, failed calls
        self._numbers: dict[str, set[int]] = defaultdict(set)
        self._highest: dict[str, int] = defaultdict(int)
        self.organisation = self.captured_organisation({"uuid": uuid, "name": name})
        self.admin = User(org=self.organisation, role=ADMIN, id="1", email="admin@admin.test")

    @property
    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.clock())

    def number(self, table: str, wished: Any = None) -> str:
        """A number for a new row: the wished one if it is free."""
        taken = self._numbers[table]
        try:
            number = int(wished or 0)
        except ValueError:
            number = 0
        if number < 1 or number in taken:
            number = self._highest[table] + 1
        taken.add(number)
        self._highest[table] = max(self._highest[table], number)
        return str(number)

    def user(self, name: str, uuid: str, *, role: Role = SYNC, email: str = "sync@example.org", key: str = "") -> User:
        """A new user of that organisation; `key` is its authkey, 40 characters."""
        org = self.captured_organisation({"uuid": uuid, "name": name})
        user = User(org=org, role=role, email=email, key=key or secrets.token_hex(20), id=str(len(self.users) + 2))
        self.users[user.key] = user
        return user

    def captured_organisation(self, said: Mapping[str, Any]) -> Organisation:
        """The organisation that a payload names, made if it is unknown."""
        uuid = str(said["uuid"])
        if uuid not in self.organisations:
            number = self.number("organisations", said.get("id"))
            name = str(said.get("name") or uuid)
            if any(known.name == name for known in self.organisations.values()):
                name = f"{name}_{uuid[:4]}"
            local = bool(said.get("local", True))
            self.organisations[uuid] = Organisation(uuid=uuid, name=name, id=number, local=local)
        return self.organisations[uuid]

    def describe_organisation(self, uuid: str, **fields: Any) -> Organisation:
        """Change what is known of an organisation."""
        self.organisations[uuid] = replace(self.organisations[uuid], **fields)
        if uuid == self.organisation.uuid:
            self.organisation = self.organisations[uuid]
        for key, user in self.users.items():
            if user.org.uuid == uuid:
                self.users[key] = replace(user, org=self.organisations[uuid])
        return self.organisations[uuid]

    def captured_tag(self, said: Mapping[str, Any]) -> Part:
        """The tag that a payload names, made if it is unknown; a galaxy is told by its name."""
        name = str(said["name"])
        if name not in self.tags:
            galaxy = name.startswith("misp-galaxy:")
            usual = {
                "colour": f"#{zlib.crc32(name.encode()) & 0xFFFFFF:06x}",
                "exportable": True,
                "user_id": "0",
                "hide_tag": False,
                "numerical_value": None,
                "is_galaxy": galaxy,
                "is_custom_galaxy": galaxy and name.rpartition('="')[2].count("-") == 4,
                "local_only": False,
            }
            given = {key: said[key] for key in usual if said.get(key) is not None}
            self.tags[name] = {"id": self.number("tags", said.get("id")), "name": name, **usual, **given}
        return self.tags[name]

    def captured_sharing_group(self, said: Mapping[str, Any], user: User) -> Part | None:
        """The sharing group that a payload brings, made if unknown; None: this user may not (captureSG).

        An unknown group needs perm_sharing_group, and the user's organisation must be a member that may extend it.
        """
        known = self.sharing_groups.get(str(said.get("uuid")))
        if known is not None:
            return known if user is self.admin or "perm_site_admin" in user or self.member(known, user.org) else None
        if user is not self.admin and ("perm_sharing_group" not in user or not self.member(said, user.org)):
            return None
        number = self.number("sharing_groups", said.get("id"))
        group = {**deepcopy(dict(said)), "id": number}
        for place in group.get("SharingGroupOrg", []):
            org = self.captured_organisation(place["Organisation"])
            place.update(sharing_group_id=number, org_id=org.id, Organisation=org.brief())
        self.sharing_groups[str(said["uuid"])] = group
        return group

    def group_of(self, part: Mapping[str, Any]) -> Part | None:
        """The sharing group of a stored part."""
        number = str(part.get("sharing_group_id") or "0")
        return next((group for group in self.sharing_groups.values() if str(group["id"]) == number), None)

    @staticmethod
    def member(group: Mapping[str, Any], org: Organisation) -> bool:
        """Whether an organisation is in a sharing group, by uuid, or because a local server is open to all."""
        members = [place.get("Organisation", {}).get("uuid") for place in group.get("SharingGroupOrg") or []]
        here = [place for place in group.get("SharingGroupServer") or [] if str(place.get("server_id")) == "0"]
        return org.uuid in members or any(place.get("all_orgs") for place in here)

    def sees(self, user: User, part: Mapping[str, Any], owner: str) -> bool:
        """Whether a part of an event that `owner` (uuid of Org) has here is shown to this user; so is an event."""
        if "perm_site_admin" in user or user.org.uuid == owner:
            return True
        level = str(part.get("distribution", "5"))
        if level == "4":
            group = self.group_of(part)
            return group is not None and self.member(group, user.org)
        return level != "0"

    def sees_event(self, user: User, event: Mapping[str, Any]) -> bool:
        """Whether the event is shown to this user."""
        hidden = self.settings.unpublished_private and not event["published"]
        owner = event["Org"]["uuid"]
        return self.sees(user, event, owner) and not (hidden and user.org.uuid != owner and user is not self.admin)

    def event(self, key: str, user: User | None = None) -> Part | None:
        """A stored event by uuid or number; None: not there, or not for this user."""
        found = self.events.get(key) or self.events.get(key.lower())
        if found is None and key.isdecimal():
            found = next((event for event in self.events.values() if event["id"] == key), None)
        return found if found is not None and (user is None or self.sees_event(user, found)) else None

    def attributes(self, event: Mapping[str, Any]) -> Iterator[Part]:
        """Every attribute of an event, those of its objects too."""
        yield from event["Attribute"]
        for object_ in event["Object"]:
            yield from object_["Attribute"]

    def attribute(self, uuid: str) -> Part | None:
        """A stored attribute."""
        if uuid not in self.places:
            return None
        event, object_ = self.places[uuid]
        held = self.events[event]
        inside = held["Attribute"] if not object_ else _named(held["Object"], object_)["Attribute"]
        return _named(inside, uuid)

    def attribute_count(self, event: Mapping[str, Any]) -> str:
        """How many attributes that are not deleted an event has, whoever may see them."""
        return str(sum(not attribute["deleted"] for attribute in self.attributes(event)))

    def lift(self, uuid: str) -> Part | None:
        """Take an event out so that it can be put again with the same numbers; None: it is not here."""
        event = self.events.pop(uuid, None)
        if event is None:
            return None
        attributes = list(self.attributes(event))
        freed = {
            "events": [event],
            "objects": event["Object"],
            "reports": event["EventReport"],
            "attributes": attributes,
        }
        freed |= {"sightings": event["Sighting"], "proposals": event["ShadowAttribute"]}
        for table, parts in freed.items():
            self._numbers[table] -= {int(part["id"]) for part in parts}
            self._highest[table] = max(self._numbers[table], default=0)
        for attribute in attributes:
            self.places.pop(attribute["uuid"], None)
        return event

    def forget(self, uuid: str) -> None:
        """Delete an event as an administrator does: its uuid is on the blocklist from then on."""
        event = self.events.pop(uuid)
        for attribute in self.attributes(event):
            self.places.pop(attribute["uuid"], None)
        self.blocked_events.add(uuid)


def _named(parts: Iterable[Part], uuid: str) -> Part:
    return next(part for part in parts if part["uuid"] == uuid)
