"""What was set aside is judged again: by hand, and by itself under a new release or new terms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange.model.envelope import Page, Rejected
from exchange.model.party import Terms
from exchange.policy.audience import collection_channel
from exchange.store import Store, micros, quarantine, sources, tables
from exchange.store.pages import Versions
from exchange.sync import retrial
from exchange.sync.accept import accept
from exchange.sync.withdrawal import withdraw
from tests.sync.partners import ALERTS, MISP, Desk
from tests.world import OPEN_WRITE, collection, indicator, page, terms

CODE = "content.schema"


def aside(desk: Desk, raw: bytes, source: str = ALERTS.key, *, posted: str = "", code: str = CODE) -> int:
    """Set `raw` aside as an earlier release did; the number of the entry."""
    rejected = [Rejected(raw=raw, code=code, fields={"detail": "an error of ours"})]
    peer = source.partition("/")[0]
    accept(desk.store, desk.world.rules, Page(rejected=rejected), source, peer, desk.world.now, posted=posted)
    with desk.store.reading() as tx:
        return max(row["id"] for row in quarantine.entries(tx))


def entries(desk: Desk) -> list[Any]:
    """(code, how often it came) of what is still aside, oldest first."""
    with desk.store.reading() as tx:
        return [(row["code"], row["seen"]) for row in reversed(quarantine.entries(tx))]


def again(desk: Desk, *numbers: int) -> dict[str, int]:
    """Judge these again."""
    return dict(retrial.retry(desk.store, desk.world.rules, numbers, lambda: desk.world.now))


def room() -> Terms:
    """A collection to which CERT-EE posts."""
    gathering = collection(OPEN_WRITE, "recolte", ("ccc", "cert-ee"), writers=("cert-ee",))
    return terms(gathering=gathering)


def by_itself(desk: Desk) -> dict[str, int]:
    """What the schedule does."""
    return dict(
        retrial.retry_untried(desk.store, desk.world.rules, lambda: desk.world.now, stopping=lambda: desk.stopping)
    )


def raw(made: Any) -> bytes:
    """Its bytes."""
    return json.dumps(made).encode()


def test_what_can_be_taken_now_is_listed_and_leaves(memory: Store) -> None:
    """As if it came from its source now; its neighbours stay where they are."""
    desk = Desk(memory)
    good, bad = aside(desk, raw(indicator("a.example"))), aside(desk, b'{"type": 7}')
    assert again(desk, good, bad, 999) == {"taken": 1, "rejected": 1}
    assert desk.world.listed("circl") == [indicator("a.example")["id"]]
    assert entries(desk) == [("content.type", 1)]


def test_a_misp_event_is_converted_again(memory: Store) -> None:
    """The bytes of an event are an event, whatever its source sent beside it."""
    desk = Desk(memory)
    event = {
        "Event": {
            "uuid": "5b773e07-e694-458b-b99c-27f30a016219", "info": "x", "date": "2026-11-01",
            "timestamp": "1793836800",
            "analysis": "2", "threat_level_id": "2", "distribution": "3", "published": True,
            "Orgc": {"name": "CIRCL", "uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f"},
            "Tag": [{"name": "tlp:green"}],
            "Attribute": [{
                "uuid": "5b773e07-e694-458b-b99c-27f30a016220", "type": "domain", "category": "Network activity",
                "value": "evil.example", "to_ids": True, "distribution": "5", "timestamp": "1793836800",
            }],
        }
    }  # fmt: skip
    number = aside(desk, raw(event), MISP.key, code="convert.event")
    assert again(desk, number) == {"taken": 1}
    assert entries(desk) == []
    assert len(desk.world.listed("ccc")) >= 1


def test_a_part_of_a_misp_event_keeps_its_reason(memory: Store) -> None:
    """An attribute that was set aside alone is no STIX object, and is not judged as one."""
    desk = Desk(memory)
    part = {"uuid": "5b773e07-e694-458b-b99c-27f30a016220", "type": "domain", "value": "a.example", "timestamp": "hier"}
    number = aside(desk, raw(part), MISP.key, code="misp.bad_timestamp")
    assert again(desk, number) == {"rejected": 1}
    assert entries(desk) == [("misp.bad_timestamp", 1)]
    assert by_itself(desk) == {}


def test_what_was_posted_goes_where_it_was_posted(memory: Store) -> None:
    """And to nobody else than it would have then."""
    desk = Desk(memory, room())
    channel = collection_channel(OPEN_WRITE)
    number = aside(desk, raw(indicator("a.example")), "cert-ee/post:recolte", posted=channel)
    assert again(desk, number) == {"taken": 1}
    (row,) = desk.rows(tables.statement)
    assert (row["source"], row["posted"]) == ("cert-ee/post:recolte", channel)


@pytest.mark.parametrize("way", ["brake", "lease", "unknown"])
def test_what_is_in_the_way_leaves_it_as_it_is(memory: Store, way: str) -> None:
    """A brake, a drain under way, a source that is no longer configured: it is looked at again later."""
    desk = Desk(memory)
    number = aside(desk, raw(indicator("a.example")), "nobody/x" if way == "unknown" else ALERTS.key)
    if way == "brake":
        desk.brake("ccc", "in")
    if way == "lease":
        with memory.writing() as tx:
            assert sources.lease(
                tx, ALERTS.key, "other", micros(desk.world.now), micros(desk.world.now) + 1, forced=True
            )
    assert again(desk, number) == {"waiting": 1}
    assert by_itself(desk) == {"waiting": 1}
    assert entries(desk) == [(CODE, 1)]


def test_by_itself_once_for_each_release_and_its_terms(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays refused is not judged every hour; a contradiction is never judged by itself."""
    desk = Desk(memory)
    aside(desk, b'{"type": 7}')
    aside(desk, raw(indicator("b.example")), code="version.conflict")
    assert by_itself(desk) == {"rejected": 1}
    assert by_itself(desk) == {}
    monkeypatch.setattr(retrial, "version", lambda _: "9.9")
    assert by_itself(desk) == {"rejected": 1}
    assert len(entries(desk)) == 2


def test_a_contradiction_stays_one(memory: Store) -> None:
    """An operator may try; what the source said first still stands."""
    desk = Desk(memory)
    desk.world.give(ALERTS.key, indicator("a.example"))
    other = {**indicator("a.example"), "description": "another content under the same version"}
    number = aside(desk, raw(other), code="version.conflict")
    assert again(desk, number) == {"rejected": 1}
    assert [code for code, _ in entries(desk)] == ["version.conflict"]


def test_unmarked_objects_wait_for_their_drain(memory: Store) -> None:
    """R11: what a retry brings is not decided before the load to which it belongs is complete."""
    desk = Desk(memory)
    number = aside(desk, raw(indicator("a.example", tlp=None)))
    with memory.writing() as tx:
        tx.execute(tables.source.update().where(tables.source.c.key == ALERTS.key).values(last_outcome="failed"))
    assert again(desk, number) == {"taken": 1}
    (row,) = desk.rows(tables.statement)
    assert row["waiting"]


def test_what_is_posted_pushes_out_the_oldest(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever posts was told; what they fill the quarantine with does not grow without end."""
    monkeypatch.setattr(quarantine, "MOST", 3)
    desk = Desk(memory, room())
    for n in range(7):
        aside(desk, b"{%d}" % n, "cert-ee/post:recolte", posted=collection_channel(OPEN_WRITE))
    assert sorted(row["raw"] for row in desk.rows(tables.quarantine)) == [b"{4}", b"{5}", b"{6}"]


def test_r22_what_was_withdrawn_since_stays_withdrawn(memory: Store) -> None:
    """A retry is no later POST: it brings back nothing that its peer took out, whatever becomes of the entry."""
    desk = Desk(memory, room())
    channel = collection_channel(OPEN_WRITE)
    made = indicator("a.example")
    number = aside(desk, raw({**made, "name": "first"}), "cert-ee/post:recolte", posted=channel)
    accept(memory, desk.world.rules, page(made), "cert-ee/post:recolte", "cert-ee", desk.world.now, posted=channel)
    audience = next(a.key for a in desk.world.rules.audiences if a.channel == channel and "cert-ee" in a.members)
    withdraw(
        memory, desk.world.rules, peer="cert-ee", audience=audience, stix_id=made["id"], versions=Versions(every=True),
        now=desk.world.now,
    )  # fmt: skip
    assert len(desk.rows(tables.withdrawal)) == 1
    assert again(desk, number) == {"rejected": 1}
    assert len(desk.rows(tables.withdrawal)) == 1


def test_who_may_no_longer_write_there_posts_nothing_by_a_retry(memory: Store) -> None:
    """It runs exactly when the terms change."""
    desk = Desk(memory, room())
    number = aside(desk, raw(indicator()), "cert-ee/post:recolte", posted=collection_channel(OPEN_WRITE))
    given = room()
    shut = replace(given.collections[OPEN_WRITE], writers=())
    desk.world.follow(replace(given, collections={**given.collections, OPEN_WRITE: shut}))
    assert again(desk, number) == {"waiting": 1}


def test_a_damaged_event_does_not_stop_the_others(memory: Store) -> None:
    """It stays refused, and what stands behind it is judged; what has no bytes is not judged at all."""
    desk = Desk(memory)
    aside(desk, b'{"Event": {"info": "cut', MISP.key, code="content.json")
    aside(desk, b"", MISP.key, code="peer.too_large")
    good = aside(desk, raw(indicator("a.example")))
    assert by_itself(desk) == {"rejected": 1, "waiting": 1, "taken": 1}
    with memory.reading() as tx:
        assert quarantine.entry(tx, good) is None
    assert sorted(code for code, _ in entries(desk)) == ["content.json", "peer.too_large"]


def test_nothing_is_dropped_without_a_word_which(memory: Store) -> None:
    """An empty filter is no filter for everything (pains 25)."""
    desk = Desk(memory)
    aside(desk, b"{}")
    with memory.writing() as tx:
        assert quarantine.drop(tx) == 0
    assert len(entries(desk)) == 1


def test_a_part_of_an_event_is_not_judged_without_it(memory: Store) -> None:
    """An attribute's own JSON is no STIX and no event: it keeps the reason that was true of it."""
    desk = Desk(memory)
    bad = Rejected(raw=b'{"type":"domain"}', code="misp.bad_timestamp", fields={"event": "5c4e"})
    accept(memory, desk.world.rules, Page(rejected=[bad]), MISP.key, MISP.peer, desk.world.now)
    with memory.reading() as tx:
        ((number,),) = tx.execute(tables.quarantine.select().with_only_columns(tables.quarantine.c.id)).all()
    assert again(desk, number) == {"rejected": 1}
    assert by_itself(desk) == {}
    assert entries(desk) == [("misp.bad_timestamp", 1)]
