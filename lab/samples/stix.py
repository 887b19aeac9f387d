"""An author of STIX 2.1: fixed ids and times, its own name on everything it makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

Object = dict[str, Any]

CCC_IDENTITY = "identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"
CERT_EE_IDENTITY = "identity--8e4b7a20-63d5-4f19-9c8e-b2a05d7f1c36"
CIRCL_IDENTITY = "identity--55f6ea5e-2c60-40e5-964f-47a8950d210f"  # as misp-stix writes CIRCL's organisation

NAMESPACE = UUID("b4a7c9e2-15d8-4f63-8b0a-7e92d1c6f350")
_SCO_NAMESPACE = UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # given by STIX 2.1, section 2.9
_EPOCH = datetime(2025, 9, 24, 12, tzinfo=UTC)


def moment(day: float) -> str:
    """A STIX timestamp, `day` days into the time of the samples."""
    instant = _EPOCH + timedelta(days=day)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def fixed_uuid(*words: str) -> str:
    """The uuid of what these words name, always the same."""
    return str(uuid5(NAMESPACE, "/".join(words)))


class Author:
    """A partner's analyst; what it makes is kept in `objects`, in order."""

    def __init__(self, slug: str, identity: Object, language: str) -> None:
        self.slug, self.id, self.language = slug, identity["id"], language
        self.objects: list[Object] = [identity]

    def make(self, kind: str, slug: str, day: float, marks: Sequence[str] = (), **properties: Any) -> Object:
        """An SDO or SRO; `marks` are its object markings."""
        made: Object = {
            "type": kind,
            "spec_version": "2.1",
            "id": f"{kind}--{fixed_uuid(self.slug, kind, slug)}",
            "created_by_ref": self.id,
            "created": moment(day),
            "modified": moment(day),
            **properties,
        }
        if kind in ("report", "note", "indicator", "campaign", "intrusion-set"):
            made["lang"] = self.language
        if marks:
            made["object_marking_refs"] = list(marks)
        return self.add(made)

    def indicator(self, slug: str, day: float, pattern: str, marks: Sequence[str] = (), **properties: Any) -> Object:
        """An indicator with a STIX pattern."""
        usual = {"pattern": pattern, "pattern_type": "stix", "valid_from": moment(day)}
        return self.make(
            "indicator", slug, day, marks, **({"indicator_types": ["malicious-activity"]} | usual | properties)
        )

    def relate(self, source: Object, verb: str, target: Object, day: float, marks: Sequence[str] = ()) -> Object:
        """A relationship between two objects."""
        ends = {"relationship_type": verb, "source_ref": source["id"], "target_ref": target["id"]}
        return self.make("relationship", f"{source['id']} {verb} {target['id']}", day, marks, **ends)

    def observe(self, kind: str, **properties: Any) -> Object:
        """An observable with the id that STIX gives it, so that all partners who saw it name it alike."""
        keyed = {key: properties[key] for key in ("hashes", "name", "value") if key in properties}
        name = json.dumps(keyed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        id_ = f"{kind}--{uuid5(_SCO_NAMESPACE, name)}"
        return self.add({"type": kind, "spec_version": "2.1", "id": id_, **properties})

    def revise(self, object_: Object, day: float, **changes: Any) -> Object:
        """A newer version of an object."""
        return self.add({**object_, "modified": moment(day), **changes})

    def add(self, object_: Object) -> Object:
        """Keep an object as it is; one that is there already is not kept twice."""
        if object_ not in self.objects:
            self.objects.append(object_)
        return object_
