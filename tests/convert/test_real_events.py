"""Every real event on this machine comes in: labels hold, nothing deleted lives, and the counts add up."""

import json
from pathlib import Path

import orjson
import pytest
from events import DATA, NOW, read, whole

from exchange.convert import split
from exchange.convert.labels import Labels, listed, merged, truth
from exchange.convert.prepare import prepare
from exchange.errors import ContentError
from exchange.model.misp import EXTENSION

LARGEST = 300_000
"""Bytes; the larger ones hold the same kinds of attributes, thousands of times."""
FILES = sorted(
    path
    for folder in (DATA / "misp-events", DATA / "misp-feed" / "infoblox")
    for path in folder.rglob("*.json*")
    if "manifest" not in path.name
)
pytestmark = pytest.mark.skipif(not FILES, reason="the real data is not on this machine")


def parts(path: Path) -> list[bytes]:
    raw = read(path)
    if len(raw) > LARGEST:
        pytest.skip("large")
    try:
        return split(raw)
    except ContentError as error:
        pytest.skip(f"no event: {error.code}")


def bare(raw: bytes) -> dict:
    found = orjson.loads(raw)
    found = found.get("response", found)
    found = found[0] if isinstance(found, list) else found
    return found.get("Event", found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_event_comes_in(path):
    for raw in parts(path):
        page = whole(raw)
        assert len({made.id for made in page.objects}) == len(page.objects)
        labels_hold(raw, page)
        nothing_deleted_lives(raw, page)
        counts_add_up(raw, page)


def labels_hold(raw: bytes, page) -> None:
    event = bare(raw)
    prepare(event, internal=False, drafts=True, now=NOW)
    labels = Labels.of(event, internal=False)
    creators = {f"identity--{(event.get(name) or {}).get('uuid')}" for name in ("Org", "Orgc")}
    for made in page.objects:
        if made.id in creators or EXTENSION.encode() not in made.body:
            continue  # organisations and clusters that speak in many events are worth what refers to them (R11)
        floor = labels.find(made.id.partition("--")[2]) or labels.event
        assert made.label.join(floor) == made.label, made.id
        if made.label.tlp is not None:
            assert len(orjson.loads(made.body)["object_marking_refs"]) == 1


def nothing_deleted_lives(raw: bytes, page) -> None:
    event = bare(raw)
    gone = {a.get("uuid", "") for a in listed(event, "Attribute") if truth(a.get("deleted"))}
    gone |= {o.get("uuid", "") for o in listed(event, "Object") if truth(o.get("deleted"))}
    assert not gone & {made.id.partition("--")[2] for made in page.objects}
    assert gone <= {skipped.id for skipped in page.skipped}


def counts_add_up(raw: bytes, page) -> None:
    """Every attribute ends in an object, or is rejected or skipped with a reason."""
    event = bare(raw)
    prepared = prepare(event, internal=False, drafts=True, now=NOW)
    arrived = {made.id.partition("--")[2] for made in page.objects}
    said = {bad.id.partition("--")[2] or bad.id for bad in page.rejected} | {s.id for s in page.skipped}
    together = merged(prepared.event["Object"])
    for attribute in prepared.event["Attribute"]:
        assert attribute["uuid"] in arrived | said
    for entity in prepared.event["Object"]:
        carried = arrived & together[entity["uuid"]]
        for attribute in entity["Attribute"]:
            assert carried or attribute["uuid"] in said
    left_out = {entry.id for entry in (*prepared.rejected, *prepared.skipped)}
    assert left_out <= {bad.id for bad in page.rejected} | {skipped.id for skipped in page.skipped}


def test_the_first_pull_of_a_real_misp_comes_in():
    """Recorded between two MISP 2.5.1: strings for numbers, soft deletion, sharing groups, local tags."""
    recording = DATA / "misp-wire" / "pull-first.jsonl"
    if not recording.exists():
        pytest.skip("the recordings are not on this machine")
    views = [
        said
        for said in map(json.loads, recording.read_text().splitlines())
        if said["path"].startswith("/events/view/") and said["status"] == 200
    ]
    assert len(views) > 3
    for said in views:
        raw = said["response_body"].encode()
        page = whole(raw)
        assert page.objects
        assert page.document.id in said["path"]
        labels_hold(raw, page)
        nothing_deleted_lives(raw, page)
        counts_add_up(raw, page)
