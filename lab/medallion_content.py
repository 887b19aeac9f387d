"""The file from which medallion's memory backend starts: API root, collections, manifests, objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

BATCH = 40  # objects that share a `date_added`, as one POST to medallion would make them
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def medallion_content(
    base: str, collections: Mapping[str, tuple[str, Iterable[Mapping[str, Any]]]], writable: Collection[str]
) -> dict[str, Any]:
    """The content of a server at `base`: collection name -> its id and its first objects."""
    return {
        "/discovery": {
            "title": "Centre canadien pour la cybersécurité",
            "contact": "echange@ccc.example",
            "default": f"{base}api1/",
            "api_roots": [f"{base}api1/"],
        },
        "api1": {
            "information": {
                "title": "CCC",
                "versions": ["application/taxii+json;version=2.1"],
                "max_content_length": 9_765_625,
            },
            "status": [],
            "collections": [
                _collection(name, id_, objects, can_write=name in writable)
                for name, (id_, objects) in collections.items()
            ],
        },
    }


def _collection(name: str, id_: str, objects: Iterable[Mapping[str, Any]], *, can_write: bool) -> dict[str, Any]:
    held = [dict(object_) for object_ in objects]
    now = datetime.now(UTC)
    batches = len(held) // BATCH + 1
    manifest = []
    for number, object_ in enumerate(held):
        added = (now - timedelta(seconds=batches - number // BATCH)).strftime(_TIME)
        if "modified" not in object_ and "created" not in object_:
            object_["_date_added"] = added  # how medallion versions what has no version; hidden from readers
        manifest.append(
            {
                "id": object_["id"],
                "date_added": added,
                "version": object_.get("modified") or object_.get("created") or added,
                "media_type": f"application/stix+json;version={object_.get('spec_version', '2.1')}",
            }
        )
    return {
        "id": id_,
        "title": name.capitalize(),
        "can_read": True,
        "can_write": can_write,
        "media_types": ["application/stix+json;version=2.1"],
        "manifest": manifest,
        "objects": held,
    }
