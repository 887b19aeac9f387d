"""How MISP shows an event to a user: what distribution, deletion, tags and the policy for sightings leave of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lab.misp.analyst import attached
from lab.misp.clusters import galaxies
from lab.misp.instance import Instance
from lab.misp.people import Part, User
from lab.misp.sightings import seen_by

_FRAME = (
    "id",
    "orgc_id",
    "org_id",
    "date",
    "threat_level_id",
    "info",
    "published",
    "uuid",
    "attribute_count",
    "analysis",
    "timestamp",
    "distribution",
    "proposal_email_lock",
    "locked",
    "publish_timestamp",
    "sharing_group_id",
    "disable_correlation",
    "extends_uuid",
    "protected",
)
_ATTRIBUTE = (
    "id",
    "type",
    "category",
    "to_ids",
    "uuid",
    "event_id",
    "distribution",
    "timestamp",
    "comment",
    "sharing_group_id",
    "deleted",
    "disable_correlation",
    "object_id",
    "object_relation",
    "first_seen",
    "last_seen",
    "value",
)
_OBJECT = (
    "id",
    "name",
    "meta-category",
    "description",
    "template_uuid",
    "template_version",
    "event_id",
    "uuid",
    "timestamp",
    "distribution",
    "sharing_group_id",
    "comment",
    "deleted",
    "first_seen",
    "last_seen",
    "ObjectReference",
)
_PROPOSAL = (
    "id",
    "type",
    "category",
    "to_ids",
    "uuid",
    "event_uuid",
    "event_id",
    "old_id",
    "comment",
    "org_id",
    "proposal_to_delete",
    "timestamp",
    "first_seen",
    "last_seen",
    "value",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a request says about how it wants an event (`fetchEvent`'s options)."""

    deleted: frozenset[int] = frozenset({0})
    metadata: bool = False
    exclude_galaxy: bool = False
    exclude_local_tags: bool = False
    related: bool = True
    sightings: bool = True
    all_tags: bool = False  # those that are not exportable, too
    analyst: bool = False

    @classmethod
    def of(cls, named: Mapping[str, Any], user: User) -> Wishes:
        """What named parameters and body of a view say."""
        asked = named.get("deleted", 0)
        several = {_number(wish) for wish in (asked if isinstance(asked, list) else [asked])}
        if not isinstance(asked, list) and several == {1}:
            several = {0, 1}
        deleted = {min(wish, 1) for wish in several}
        return cls(
            deleted=frozenset(deleted if "perm_sync" in user else deleted & {0}),
            metadata=said(named, "metadata"),
            exclude_galaxy=said(named, "excludeGalaxy"),
            exclude_local_tags=said(named, "excludeLocalTags"),
            related=named.get("includeEventCorrelations") not in ("0", 0, False),
            sightings=not said(named, "noSightings"),
            analyst=True,
        )

    def plain(self) -> Wishes:
        """The same as the answer to a save: nobody's analyst data."""
        return replace(self, analyst=False)


def said(named: Mapping[str, Any], key: str) -> bool:
    """Whether a parameter is there and is not 0."""
    return named.get(key) not in (None, "", "0", 0, False)


class View:
    """One user's view of one instance's events."""

    def __init__(self, instance: Instance, user: User, wishes: Wishes | None = None) -> None:
        self._at, self._user, self._wishes = instance, user, wishes or Wishes()

    def event(self, held: Part) -> Part:
        """The event as `{"Event": …}` has it."""
        wish = self._wishes
        shown = self.frame(held)
        if held["Orgc"]["uuid"] == self._user.org.uuid or "perm_site_admin" in self._user:
            shown["event_creator_email"] = held["user"]
        shown["Org"], shown["Orgc"] = held["Org"], held["Orgc"]
        if group := self._at.group_of(held):
            shown["SharingGroup"] = group
        if not wish.metadata:
            shown["Attribute"] = self._attributes(held, held["Attribute"])
            shown["ShadowAttribute"] = [self._proposal(part) for part in held["ShadowAttribute"] if not part["deleted"]]
        if wish.related:
            shown["RelatedEvent"] = []
        shown["Galaxy"] = [] if wish.exclude_galaxy else galaxies(self._at, held["Tag"], event_tags=True)
        if not wish.metadata:
            shown["Object"] = [self._object(held, part) for part in self._visible(held, held["Object"])]
            shown["EventReport"] = [dict(part) for part in self._visible(held, held["EventReport"])]
        shown["CryptographicKey"] = list(held.get("CryptographicKey") or [])
        if wish.analyst:
            shown.update(attached(self._at, held["uuid"], self._user))
        if tags := self.tags(held["Tag"]):
            shown["Tag"] = tags
        return shown

    def frame(self, held: Part) -> Part:
        """The event's own fields."""
        numbers = {
            "orgc_id": held["Orgc"]["id"],
            "org_id": held["Org"]["id"],
            "attribute_count": self._at.attribute_count(held),
        }
        return {key: numbers[key] if key in numbers else held[key] for key in _FRAME}

    def _visible(self, event: Part, parts: Iterable[Part]) -> Iterable[Part]:
        owner, deleted = event["Org"]["uuid"], self._wishes.deleted
        return [part for part in parts if int(part["deleted"]) in deleted and self._at.sees(self._user, part, owner)]

    def _attributes(self, event: Part, parts: Iterable[Part]) -> list[Part]:
        sightings = seen_by(self._at, event, self._user) if self._wishes.sightings else []
        of: dict[str, list[Part]] = {}
        for sighting in sightings:
            of.setdefault(sighting["attribute_uuid"], []).append(sighting)
        return [self._attribute(part, of.get(part["uuid"], [])) for part in self._visible(event, parts)]

    def _attribute(self, part: Part, sightings: list[Part]) -> Part:
        shown = {key: part[key] for key in _ATTRIBUTE}
        if part["distribution"] == "4" and (group := self._at.group_of(part)):
            shown["SharingGroup"] = group
        cut = self._wishes.exclude_galaxy
        shown["Galaxy"] = [] if cut else galaxies(self._at, part["Tag"], event_tags=False)
        if part.get("data"):
            shown["data"] = part["data"]
        shown["ShadowAttribute"] = []
        if self._wishes.analyst:
            shown.update(attached(self._at, part["uuid"], self._user))
        if tags := self.tags(part["Tag"]):
            shown["Tag"] = tags
        if sightings:
            shown["Sighting"] = [_without(sighting, "value", "event_uuid") for sighting in sightings]
        return shown

    def _object(self, event: Part, part: Part) -> Part:
        shown = {key: part[key] for key in _OBJECT}
        if part["distribution"] == "4" and (group := self._at.group_of(part)):
            shown["SharingGroup"] = group
        if self._wishes.analyst:
            shown.update(attached(self._at, part["uuid"], self._user))
        return {**shown, "Attribute": self._attributes(event, part["Attribute"])}

    def _proposal(self, part: Part) -> Part:
        return {**{key: part[key] for key in _PROPOSAL}, "Org": part["Org"]}

    def tags(self, held: Iterable[Part]) -> list[Part]:
        """The tags of a part; what is not exportable is left out, local ones if the wish says so."""
        shown = []
        for tag in held:
            known = self._at.tags[tag["name"]]
            hidden = tag["local"] and self._wishes.exclude_local_tags
            if not hidden and (known["exportable"] or self._wishes.all_tags):
                shown.append({**known, "local": tag["local"], "relationship_type": tag["relationship_type"]})
        return shown


def _without(part: Part, *names: str) -> Part:
    return {key: value for key, value in part.items() if key not in names}


def _number(wish: Any) -> int:
    return 2 if wish == "only" else int(wish)
