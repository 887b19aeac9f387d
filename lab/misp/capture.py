"""What MISP makes of an event that it is given: `_add` and `_edit`, with everything that they drop without a word."""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Iterable, Mapping
from typing import Any

from lab.misp import analyst, sightings
from lab.misp.instance import Instance, Refused
from lab.misp.people import Part, User
from lab.misp.refusals import EMPTY, EXISTS, NO_GROUP, NOT_NEWER, NOT_YOURS, failed
from lab.misp.validity import default_to_ids, fault, is_uuid, massaged

_ATTRIBUTE = ("to_ids", "distribution", "category", "type", "comment", "sharing_group_id", "object_relation")
_SEEN = ("first_seen", "last_seen")
_OBJECT = ("name", "meta-category", "description", "template_uuid", "template_version", "distribution", "comment")
_REPORT = ("name", "content", "distribution", "sharing_group_id")


def flag(value: Any) -> bool:
    """A flag as MISP reads it: `"0"` is no."""
    return value not in (None, False, 0, "0", "", "false")


class Capture:
    """One request's writing into an instance.

    `server` is where it was pulled from, `owner` whose (uuid) events become that come so. `loading`: it is known to
    stand like this in some MISP, so numbers are kept and nothing is dropped.
    """

    def __init__(
        self, instance: Instance, user: User, *, server: str = "", owner: str = "", loading: bool = False
    ) -> None:
        self._at, self._user, self._server, self._owner = instance, user, server, owner
        self._loading = loading

    # Adding

    def add(self, said: Mapping[str, Any]) -> Part:
        """Take a new event; Refused in MISP's words if it is blocked, empty, known or not valid."""
        uuid = self._uuid(said)
        if not self._loading:
            self._may_come(uuid, said)
        if known := self._at.events.get(uuid):
            raise Refused(404, EXISTS, location=f"/events/{known['id']}")
        if not is_uuid(uuid) or not said.get("info"):
            field = "info" if is_uuid(uuid) else "uuid"
            raise failed("add", {"Event": {field: ["Please provide a valid RFC 4122 UUID"]}})
        group = self._group(said, "add")
        event = self._frame(uuid, said, group)
        self._at.events[uuid] = event
        for tag in said.get("Tag") or []:
            self.attach(event, tag)
        known_values: set[tuple[Any, ...]] = set()
        for attribute in said.get("Attribute") or []:
            value = (attribute.get("value"), attribute.get("type"), attribute.get("category"))
            if (
                flag(attribute.get("deleted")) or self._loading or value not in known_values
            ):  # the second of the same is dropped
                known_values.add(value)
                self._new_attribute(event, None, attribute)
        for object_ in said.get("Object") or []:
            self._new_object(event, object_)
        for report in said.get("EventReport") or []:
            self._new_report(event, report)
        self._analyst(said)
        if flag(said.get("published")):
            self.publish(event)
        return event

    def _may_come(self, uuid: str, said: Mapping[str, Any]) -> None:
        if uuid in self._at.blocked_events:
            raise Refused(403, "Event blocked by event blocklist.")
        content = said.get("Attribute") or said.get("Object") or said.get("EventReport")
        if flag(said.get("published")) and not content:
            raise failed("add", {"Event": EMPTY})
        if (said.get("Orgc") or {}).get("uuid") in self._at.blocked_organisations:
            raise Refused(403, "Event blocked by organisation blocklist.")

    def _frame(self, uuid: str, said: Mapping[str, Any], group: str) -> Part:
        owner = self._at.organisations[self._owner] if self._owner else self._user.org
        # A sync user may say who the creator is, whoever that is; anyone else is the creator.
        foreign = "perm_sync" in self._user and said.get("Orgc")
        creator = self._at.captured_organisation(said["Orgc"]) if foreign else owner
        return {
            "id": self._number("events", said),
            "date": str(said.get("date") or time.strftime("%Y-%m-%d", time.gmtime(self._at.now))),
            "threat_level_id": str(said.get("threat_level_id") or "4"),
            "info": str(said["info"]),
            "published": False,
            "uuid": uuid,
            "analysis": str(said.get("analysis") or "0"),
            "timestamp": str(said.get("timestamp") or self._at.now),
            "distribution": str(said.get("distribution") or "0"),
            "proposal_email_lock": False,
            "locked": flag(said.get("locked")),
            "publish_timestamp": "0",
            "sighting_timestamp": "0",
            "sharing_group_id": group,
            "disable_correlation": flag(said.get("disable_correlation")),
            "extends_uuid": str(said.get("extends_uuid") or ""),
            "protected": said.get("protected"),
            "user": self._user.email,
            "Org": owner.shown(),
            "Orgc": creator.shown(),
            "from": self._server,
            **{kind: [] for kind in ("Attribute", "Object", "Tag", "EventReport", "ShadowAttribute", "Sighting")},
        }

    # Editing

    def edit(self, held: Part, said: Mapping[str, Any]) -> Part:
        """Take a newer version: part by part, and only those that are newer; what is not sent stays."""
        self._may_edit(held, said)
        changed = self._edit_frame(held, said)
        inside = {part["uuid"]: part for part in held["Attribute"]}
        for attribute in said.get("Attribute") or []:
            changed |= self._edit_attribute(held, None, inside, attribute)
        for object_ in said.get("Object") or []:
            changed |= self._edit_object(held, object_)
        for report in said.get("EventReport") or []:
            changed |= self._edit_report(held, report)
        if "perm_tagger" in self._user:
            for tag in said.get("Tag") or []:
                changed |= self.attach(held, tag)
        self._analyst(said)
        held["published"] = False if not flag(said.get("published")) else held["published"]
        if flag(said.get("published")):
            if changed:
                self.publish(held)
            held["published"] = "perm_publish" in self._user
        return held

    def _may_edit(self, held: Part, said: Mapping[str, Any]) -> None:
        if "timestamp" in said and int(said["timestamp"]) <= int(held["timestamp"]):
            raise failed("edit", NOT_NEWER, held["id"])
        mine = held["Orgc"]["uuid"] == self._user.org.uuid or "perm_site_admin" in self._user
        if not mine and not ("perm_sync" in self._user and held["locked"]):
            raise failed("edit", NOT_YOURS, held["id"])

    def _edit_frame(self, held: Part, said: Mapping[str, Any]) -> bool:
        group = self._group(said, "edit", held)
        changed = False
        for field in ("analysis", "threat_level_id", "info", "distribution", "date"):
            if said.get(field) is not None:
                changed |= held[field] != str(said[field])
                held[field] = str(said[field])
        held["timestamp"] = str(said.get("timestamp") or self._at.now)
        held["sharing_group_id"] = group
        held["extends_uuid"] = str(said.get("extends_uuid") or held["extends_uuid"])
        if "disable_correlation" in said:
            held["disable_correlation"] = flag(said["disable_correlation"])
        return changed

    def _edit_attribute(self, event: Part, object_: Part | None, inside: dict[str, Part], said: Part) -> bool:
        uuid = self._uuid(said)
        place = self._at.places.get(uuid)
        if place is None:
            self._new_attribute(event, object_, {**said, "uuid": uuid})
            return True
        if place != (event["uuid"], object_["uuid"] if object_ else ""):
            self._at.log.append(f"Duplicate UUID found in attribute {uuid}")
            return True
        held = inside[uuid]
        if "timestamp" in said and int(said["timestamp"]) <= int(held["timestamp"]):
            return False
        fields = (*_ATTRIBUTE, *_SEEN, "value", "deleted", "disable_correlation", "data")
        wished = {**held, **{key: said[key] for key in fields if said.get(key) is not None}}
        if why := self._grouped(wished, said) or fault(wished):
            self._at.log.append(f"Attribute dropped due to validation for Event {event['id']} failed: {why}")
            return True
        held.update(self._values(wished), timestamp=str(said.get("timestamp") or self._at.now))
        for tag in said.get("Tag") or []:
            self.attach(held, tag)
        self._sighted(uuid, said)
        return True

    def _edit_object(self, event: Part, said: Part) -> bool:
        held = next((part for part in event["Object"] if part["uuid"] == said.get("uuid")), None)
        if held is None:
            if any(part["uuid"] == said.get("uuid") for e in self._at.events.values() for part in e["Object"]):
                self._at.log.append(f"Duplicate UUID found in object {said.get('uuid')}")
            else:
                self._new_object(event, said)
            return True
        self._references(event, held, said)  # these are taken whatever the time of the object
        if "timestamp" in said and int(said["timestamp"]) <= int(held["timestamp"]):
            return False  # and not one of its attributes is looked at, however new
        for field in _OBJECT:
            held[field] = str(said[field]) if said.get(field) is not None else held[field]
        held["timestamp"] = str(said.get("timestamp") or self._at.now)
        if "deleted" in said:
            held["deleted"] = flag(said["deleted"])
        inside = {part["uuid"]: part for part in held["Attribute"]}
        for attribute in said.get("Attribute") or []:
            gone = {"deleted": True} if flag(said.get("deleted")) else {}
            self._edit_attribute(event, held, inside, {**attribute, **gone})
        return True

    def _edit_report(self, event: Part, said: Part) -> bool:
        held = next((part for part in event["EventReport"] if part["uuid"] == said.get("uuid")), None)
        if held is None:
            return self._new_report(event, said)
        if int(said.get("timestamp") or self._at.now) <= int(held["timestamp"]):
            return False
        for field in _REPORT:
            held[field] = str(said[field]) if said.get(field) is not None else held[field]
        held["timestamp"] = str(said.get("timestamp") or self._at.now)
        held["deleted"] = flag(said.get("deleted", held["deleted"]))
        return True

    # Parts

    def _new_attribute(self, event: Part, object_: Part | None, said: Part) -> bool:
        uuid = self._uuid(said)
        part = {**said, "uuid": uuid, "value": said.get("value")}
        if uuid in self._at.places:
            why = "Duplicate UUID found in attribute"
        else:
            why = self._grouped(part, said) or ("" if self._loading else fault(part))
        if why:
            self._at.log.append(f"Attribute dropped due to validation for Event {event['id']} failed: {why}")
            return False
        stored = {
            "id": self._number("attributes", said),
            "uuid": uuid,
            "event_id": event["id"],
            "object_id": object_["id"] if object_ else "0",
            "timestamp": str(said.get("timestamp") or self._at.now),
            **self._values({"to_ids": default_to_ids(str(part.get("type"))), **part}),
            "Tag": [],
        }
        for tag in said.get("Tag") or []:
            self.attach(stored, tag)
        (object_ or event)["Attribute"].append(stored)
        self._at.places[uuid] = (event["uuid"], object_["uuid"] if object_ else "")
        self._sighted(uuid, said)
        return True

    def _values(self, said: Mapping[str, Any]) -> Part:
        default = self._at.settings.default_attribute_distribution
        values = {
            "type": said.get("type"),
            "category": said.get("category"),
            "to_ids": flag(said["to_ids"]),
            "distribution": str(default if said.get("distribution") is None else said["distribution"]),
            "comment": str(said.get("comment") or ""),
            "sharing_group_id": str(said.get("sharing_group_id") or "0"),
            "deleted": flag(said.get("deleted")),
            "disable_correlation": flag(said.get("disable_correlation")),
            "object_relation": said.get("object_relation"),
            "first_seen": said.get("first_seen"),
            "last_seen": said.get("last_seen"),
            "value": self._value(said),
        }
        return {**values, "data": said["data"]} if said.get("data") else values

    def _value(self, said: Mapping[str, Any]) -> str:
        value = str(said.get("value", ""))
        return value if self._loading else massaged(str(said.get("type")), value)

    def _new_object(self, event: Part, said: Part) -> None:
        uuid = self._uuid(said)
        stored = {
            "id": self._number("objects", said),
            "uuid": uuid,
            "event_id": event["id"],
            "timestamp": str(said.get("timestamp") or self._at.now),
            **{field: str(said.get(field) or "") for field in _OBJECT},
            "distribution": str(said.get("distribution") or "5"),
            "sharing_group_id": "0",
            "deleted": flag(said.get("deleted")),
            "first_seen": said.get("first_seen"),
            "last_seen": said.get("last_seen"),
            "ObjectReference": [],
            "Attribute": [],
        }
        if why := self._grouped(stored, said):
            self._at.log.append(f"Object dropped due to {why} for Event {event['id']}")
            return
        event["Object"].append(stored)
        for attribute in said.get("Attribute") or []:
            gone = {"deleted": True} if stored["deleted"] else {}
            self._new_attribute(event, stored, {**attribute, **gone})
        self._references(event, stored, said)

    def _references(self, event: Part, held: Part, said: Part) -> None:
        known = {reference["uuid"] for reference in held["ObjectReference"]}
        for reference in said.get("ObjectReference") or []:
            uuid = str(reference.get("uuid") or uuids.uuid4())
            if uuid not in known:
                numbers = {
                    "id": self._number("references", reference),
                    "event_id": event["id"],
                    "object_id": held["id"],
                }
                held["ObjectReference"].append({**reference, "uuid": uuid, **numbers, "source_uuid": held["uuid"]})

    def _new_report(self, event: Part, said: Part) -> bool:
        uuid = str(said.get("uuid") or uuids.uuid4())
        if any(part["uuid"] == uuid for e in self._at.events.values() for part in e["EventReport"]):
            return False
        fields = {field: str(said.get(field) or "") for field in _REPORT}
        stored = {
            "id": self._number("reports", said),
            "uuid": uuid,
            "event_id": event["id"],
            **fields,
            "distribution": str(said.get("distribution") or "5"),
            "sharing_group_id": "0",
            "timestamp": str(said.get("timestamp") or self._at.now),
            "deleted": flag(said.get("deleted")),
        }
        event["EventReport"].append(stored)
        return True

    def attach(self, part: Part, said: Mapping[str, Any]) -> bool:
        """Put a tag on an event or attribute, or take it off if it says `deleted`; whether that changed anything."""
        if not said.get("name"):
            return False
        name = self._at.captured_tag(said)["name"]
        there = next((tag for tag in part["Tag"] if tag["name"] == name), None)
        if flag(said.get("deleted")):
            if there is not None:
                part["Tag"].remove(there)
            return there is not None
        if there is not None:
            return False
        relationship = said.get("relationship_type") or None
        tie = {"name": name, "local": flag(said.get("local")), "relationship_type": relationship}
        part["Tag"].append({**tie, "id": self._at.number("event_tags" if "Attribute" in part else "attribute_tags")})
        return True

    def _uuid(self, said: Mapping[str, Any]) -> str:
        uuid = str(said.get("uuid") or uuids.uuid4())
        return uuid if self._loading else uuid.lower()

    def _number(self, table: str, said: Mapping[str, Any]) -> str:
        return self._at.number(table, said.get("id") if self._loading else None)

    # Sharing groups, analyst data, publishing

    def _group(self, said: Mapping[str, Any], action: str, held: Part | None = None) -> str:
        """The number of the sharing group that the event is to have; Refused if the user may not have it."""
        if str(said.get("distribution", held["distribution"] if held else "0")) != "4":
            return "0"
        if not said.get("SharingGroup"):
            number = str(said.get("sharing_group_id") or (held["sharing_group_id"] if held else "0"))
            group = self._at.group_of({"sharing_group_id": number})
        else:
            group = self._at.captured_sharing_group(said["SharingGroup"], self._user)
        if group is None and not self._loading:
            raise failed(action, NO_GROUP, held["id"] if held else "")
        return str(group["id"] if group else said.get("sharing_group_id") or "0")

    def _grouped(self, part: Part, said: Mapping[str, Any]) -> str:
        """Give a part with distribution 4 the number of its sharing group; why it must be dropped, if it must."""
        if str(part.get("distribution")) != "4":
            part["sharing_group_id"] = "0"
            return ""
        group = None
        if said.get("SharingGroup"):
            group = self._at.captured_sharing_group(said["SharingGroup"], self._user)
        elif said.get("sharing_group_id"):
            group = self._at.group_of(said)
        if group is None and not self._loading:
            return "invalid sharing group"
        part["sharing_group_id"] = group["id"] if group else str(said.get("sharing_group_id") or "0")
        return ""

    def _sighted(self, uuid: str, said: Mapping[str, Any]) -> None:
        if said.get("Sighting") and not self._loading:
            sightings.add(self._at, [{**seen, "attribute_uuid": uuid} for seen in said["Sighting"]], self._user)

    def _analyst(self, said: Mapping[str, Any]) -> None:
        for holder in () if self._loading else _holders(said):
            for kind in analyst.KINDS:
                for note in holder.get(kind) or []:
                    analyst.take(self._at, self._user, kind, note)

    def publish(self, event: Part) -> None:
        """Publish: from now on it is in the index, and the worker pushes it on."""
        if "perm_publish" in self._user:
            event["published"], event["publish_timestamp"] = True, str(self._at.now)
            self._at.published.append((event["uuid"], self._server))


def _holders(said: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield said
    for kind in ("Attribute", "Object", "EventReport"):
        for part in said.get(kind) or []:
            yield part
            yield from part.get("Attribute") or []
