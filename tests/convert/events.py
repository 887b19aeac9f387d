"""MISP events of our own making, and the real ones that are on this machine."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.convert import pages
from exchange.model.envelope import PAGE, Page
from exchange.model.party import Source

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
EVENT = "5c4e0000-0000-4000-8000-000000000100"
ORG = "55f6ea5e-2c60-40e5-964f-47a8950d210f"
SOURCE = Source(peer="circl", id="misp", kind="misp", orgs=frozenset({"*"}))
HOME = Source(peer="cert-qc", id="misp", kind="misp", internal=True, orgs=frozenset({"*"}))


def uuid(number: int) -> str:
    return f"5c4e0000-0000-4000-8000-{number:012d}"


def attribute(number: int, kind: str = "domain", value: str = "", **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid(number),
        "type": kind,
        "category": "Network activity",
        "value": value or f"h{number}.example",
        "to_ids": True,
        "distribution": "5",
        "timestamp": "1700000001",
        "deleted": False,
    } | more


def file_object(number: int, *attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid(number),
        "name": "file",
        "meta-category": "file",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215",
        "template_version": "24",
        "distribution": "5",
        "timestamp": "1700000002",
        "deleted": False,
        "Attribute": list(attributes),
        "ObjectReference": [],
    } | more


def sha256(number: int, **more: Any) -> dict[str, Any]:
    return attribute(number, "sha256", f"{number:064x}", object_relation="sha256", category="Payload delivery", **more)


def tag(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "colour": "#ffffff", "exportable": True, "local": False} | more


def event(*attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "uuid": EVENT,
        "info": "Vigne folle",
        "date": "2023-11-14",
        "threat_level_id": "2",
        "analysis": "2",
        "timestamp": "1700000000",
        "publish_timestamp": "1700000005",
        "published": True,
        "distribution": "3",
        "Orgc": {"uuid": ORG, "name": "CIRCL"},
        "Attribute": list(attributes),
        "Object": [],
    } | more


def convert(made: dict[str, Any], source: Source = SOURCE) -> Page:
    return whole(json.dumps({"Event": made}).encode(), source)


def whole(raw: bytes, source: Source = SOURCE) -> Page:
    """All the pages of a document as one."""
    found = list(pages(raw, source, now=NOW))
    assert all(len(page.objects) <= PAGE for page in found)
    assert all(page.document is None or bool(page.document.raw) == (page is found[0]) for page in found)
    return Page(
        objects=tuple(made for page in found for made in page.objects),
        rejected=tuple(bad for page in found for bad in page.rejected),
        skipped=tuple(left for page in found for left in page.skipped),
        document=found[0].document,
    )


def of(page: Page, number: int) -> list[Any]:
    """The objects whose id carries that uuid."""
    return [made for made in page.objects if made.id.endswith(uuid(number))]


def codes(entries: Any) -> dict[str, str]:
    return {entry.id: entry.code for entry in entries}


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
