"""The MISP feed of a collection: the same audience as over TAXII, events by visible source, conditional requests."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.policy import gate_event
from exchange.store import listings, micros
from exchange.sync import grouped
from tests.serve.house import House, refused
from tests.world import CCC_IDENTITY, FOLDED, OPEN_WRITE, SHARED, indicator, marked

FEED = f"/feeds/{SHARED}/"
EE = "identity--11111111-0000-4000-8000-000000000001"


def identity(id_: str = EE, name: str = "CERT-EE") -> dict[str, Any]:
    made = {
        "type": "identity", "spec_version": "2.1", "id": id_, "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z", "name": name,
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


def events(house: House, who: str = "ccc", feed: str = FEED) -> dict[str, Any]:
    """Event uuid → event, of every event that the manifest names."""
    manifest = house.get(f"{feed}manifest.json", who).json
    return {uuid_: house.get(f"{feed}{uuid_}.json", who).json["Event"] for uuid_ in manifest}


def values(event: dict[str, Any]) -> set[str]:
    return {attribute["value"] for attribute in event["Attribute"] if not attribute["deleted"]}


def test_events_by_visible_source(house: House) -> None:
    """R15: grouped by the creator that stands in the object; what names none is the node's."""
    house.give(
        identity(),
        indicator("a.example", created_by_ref=EE),
        indicator("b.example", created_by_ref=CCC_IDENTITY),
        indicator("c.example"),
    )
    by_org = {event["Orgc"]["name"]: event for event in events(house).values()}
    assert {name: values(event) for name, event in by_org.items()} == {
        "CERT-EE": {"a.example"},
        CCC_IDENTITY: {"b.example"},
        "CERT-QC": {"c.example"},
    }
    assert by_org["CERT-EE"]["Orgc"]["uuid"] == EE.partition("--")[2]
    assert all(event["published"] for event in by_org.values())


def test_the_manifest_and_the_hashes_agree_with_the_events(house: House) -> None:
    house.give(indicator("a.example"), indicator("b.example"))
    manifest = house.get(f"{FEED}manifest.json")
    assert manifest.headers["content-type"] == "application/json"
    ((uuid_, event),) = events(house).items()
    entry = manifest.json[uuid_]
    assert {name: event[name] for name in entry} == entry
    lines = house.get(f"{FEED}hashes.csv").text.splitlines()
    digests = {hashlib.md5(value.encode(), usedforsecurity=False).hexdigest() for value in values(event)}
    assert set(lines) == {f"{digest},{uuid_}" for digest in digests}


def test_r15_event_ids_are_uuid4_and_tell_nothing(house: House) -> None:
    """Stable for one audience, another for another collection, and not to be recomputed without the node's secret."""
    house.give(indicator("a.example", created_by_ref=EE))
    (first,) = events(house)
    assert uuid.UUID(first).version == 4
    assert list(events(house)) == [first]
    (elsewhere,) = events(house, feed=f"/feeds/{FOLDED}/")
    assert elsewhere != first


def test_the_same_audience_as_over_taxii(house: House) -> None:
    house.give(indicator("a.example"), indicator("red.example", tlp=Tlp.RED), indicator("none.example", tlp=None))
    assert [values(event) for event in events(house).values()] == [{"a.example"}]
    refused(house.get(f"/feeds/{OPEN_WRITE}/manifest.json", "cert-ee"), 404, "request.no_collection")
    refused(house.get(f"{FEED}manifest.json", None), 401)
    assert house.get("/feeds/partenaires/manifest.json").status_code == 200


@pytest.mark.parametrize(
    "file", ["x.json", "00000000-0000-4000-8000-000000000000.json", "manifest.csv", "..", "%2e%2e%2fmanifest.json"]
)
def test_no_such_file(house: House, file: str) -> None:
    assert house.get(f"{FEED}{file}").status_code == 404


def test_an_empty_feed(house: House) -> None:
    assert house.get(f"{FEED}manifest.json").json == {}
    assert house.get(f"{FEED}hashes.csv").text == ""
    assert house.reads() == []


def test_not_modified_until_something_changes(house: House) -> None:
    """ETag and 304, on any change of this audience's view: added, withdrawn."""
    house.give(indicator("a.example"), indicator("b.example"))

    def ask(tag: str) -> Any:
        return house.get(f"{FEED}manifest.json", headers={"If-None-Match": tag})

    tag = house.get(f"{FEED}manifest.json").headers["etag"]
    for same in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = ask(same)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    house.tick(seconds=2)
    house.give(indicator("c.example"))
    changed = ask(tag)
    assert changed.status_code == 200
    tag = changed.headers["etag"]
    house.tick(seconds=2)
    with house.store.writing() as tx:
        rows = listings.standing(tx, [indicator("a.example")["id"]])
        listings.close(tx, [(row, "test.withdrawn") for row in rows], micros(house.world.now))
    withdrawn = ask(tag)
    assert withdrawn.status_code == 200
    assert int(next(iter(withdrawn.json.values()))["timestamp"]) > int(next(iter(changed.json.values()))["timestamp"])
    assert [values(event) for event in events(house).values()] == [{"b.example", "c.example"}]


def test_r27_what_is_handed_out_is_recorded(house: House) -> None:
    house.give(indicator("a.example"), indicator("b.example"))
    (uuid_,) = events(house)
    house.get(f"{FEED}hashes.csv")
    assert house.reads() == [("ccc", f"feed/{uuid_}.json", 2), ("ccc", "feed/hashes.csv", 2)]


def test_r25_an_event_that_the_gate_refuses_is_dropped(house: House, monkeypatch: Any) -> None:
    house.give(indicator("a.example", created_by_ref=EE))
    monkeypatch.setattr(grouped, "tags", lambda _: [{"name": "tlp:red", "colour": "#CC0033"}])
    assert house.get(f"{FEED}manifest.json").json == {}
    assert house.get(f"{FEED}hashes.csv").text == ""


@pytest.mark.parametrize(
    ("tags", "clearance", "good"),
    [
        (["tlp:green"], 1, True),
        (["TLP:GREEN"], 1, True),
        (["tlp:green", "tlp:amber"], 1, False),
        (["tlp:amber+strict"], 2, False),
        (["tlp:white"], 0, True),
        (["tlp:purple"], 4, False),
        ([], 4, False),
    ],
)
def test_r25_the_gate_on_events(tags: list[str], clearance: int, good: bool) -> None:
    body = json.dumps({"Event": {"Tag": [{"name": n, "colour": "#000"} for n in tags]}}, separators=(",", ":"))
    assert gate_event(body.encode(), clearance) is good


def test_words_that_look_like_tags_are_none() -> None:
    """A name or comment cannot switch the gate, neither way."""
    event = {"Tag": [{"name": "tlp:green", "colour": "#0f0"}], "info": '{"name":"tlp:red","colour":"#f00"}'}
    assert gate_event(json.dumps({"Event": event}, separators=(",", ":")).encode(), 1)
    event = {"Tag": [], "info": '{"name":"tlp:clear","colour":"#f00"}'}
    assert not gate_event(json.dumps({"Event": event}, separators=(",", ":")).encode(), 1)
