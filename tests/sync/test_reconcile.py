"""What the peer lists beside what we hold and sent: what is missing comes, what it lost goes again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.errors import PeerUnreachable
from exchange.model.envelope import Entry, Page, Skipped
from exchange.model.party import Source, Target
from exchange.store import Store, inventory, micros, sources, tables
from exchange.sync.explain import explain
from exchange.sync.overview import overview
from exchange.sync.reconcile import reconcile
from tests.sync.partners import ALERTS, DEPOT, MISP, Desk, Giver, Taker
from tests.world import NOW, indicator, malware, page

CIRCL = "circl/autres"


@dataclass
class Lister:
    """A peer that says what it lists, and gives it one by one."""

    objects: Sequence[Mapping[str, Any]] = ()
    entries: Sequence[Entry] | None = None
    at_a_time: int = 2
    during: Callable[[], object] = lambda: None
    fetched: list[list[str]] = field(default_factory=list)

    def __call__(self) -> Lister:
        """The client, made when its turn comes."""
        return self

    def index(self, entry: Source | Target) -> Iterator[Sequence[Entry]]:
        """Everything, a little at a time."""
        entries = self.entries
        if entries is None:
            entries = [Entry(id=o["id"], version=o.get("modified", ""), added="") for o in self.objects]
        for start in range(0, len(entries), self.at_a_time):
            yield entries[start : start + self.at_a_time]
            self.during()

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """What is there of these."""
        self.fetched.append(list(ids))
        yield page(*(o for o in self.objects if o["id"] in ids), last=False)


def compared(desk: Desk, lister: Lister, entry: Source | Target = ALERTS) -> dict[str, int] | None:
    """The counts of a comparison; None: it broke off."""
    counts = reconcile(desk.work, entry, lister)
    return None if counts is None else dict(+counts)


def names(*values: str) -> list[dict[str, Any]]:
    """An indicator for each."""
    return [indicator(f"{value}.example") for value in values]


def ids(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Their ids, in order."""
    return sorted(o["id"] for o in objects)


def test_what_a_cursor_left_out_comes_to_light(store: Store) -> None:
    """Objects and versions that the peer lists and we lack are fetched, and listed for those who may have them."""
    desk = Desk(store)
    there = names("a", "b", "c", "d", "e")
    desk.pull(Giver(page(*there[:3])))
    newer = {**there[0], "modified": (NOW + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "name": "newer"}
    there[0] = newer
    lister = Lister(there)
    cursor = desk.cursor()
    assert compared(desk, lister) == {"listed": 5, "missing": 3, "fetched": 3}
    assert sorted(each for batch in lister.fetched for each in batch) == ids([newer, *there[3:]])
    assert sorted(desk.world.listed("circl")) == ids(there)
    assert (desk.cursor(), desk.standing().lease_owner) == (cursor, None)
    assert json.loads(desk.standing().difference or "") == {"listed": 5, "missing": 3, "fetched": 3}
    assert compared(desk, lister) == {"listed": 5}


def test_a_version_is_the_same_however_it_is_written(store: Store) -> None:
    """A manifest may write fewer digits than the object; of what has no version only the id counts."""
    desk = Desk(store)
    made, plain = indicator(), {"type": "domain-name", "spec_version": "2.1", "value": "x.example"}
    plain["id"] = "domain-name--5b773e07-e694-558b-b99c-27f30a016219"
    desk.pull(Giver(page(made, plain)))
    entries = [
        Entry(id=made["id"], version=made["modified"].replace(".000000Z", ".000Z"), added=""),
        Entry(id=plain["id"], version="2026-11-20T08:00:00.000000Z", added=""),
    ]
    lister = Lister([made, plain], entries)
    assert compared(desk, lister) == {"listed": 2}
    assert lister.fetched == []


def test_what_vanished_is_marked_and_kept(store: Store) -> None:
    """It stays listed here; `why` and the overview say so; when it is there again the mark goes."""
    desk = Desk(store)
    there = names("a", "b", "c")
    desk.pull(Giver(page(*there)))
    assert compared(desk, Lister(there[:1])) == {"listed": 1, "vanished": 2}
    assert compared(desk, Lister(there[:1])) == {"listed": 1}
    assert sorted(desk.world.listed("circl")) == ids(there)

    def marked(which: Mapping[str, Any]) -> list[str]:
        return [row["key"] for row in explain(store, desk.world.rules, which["id"], desk.world.now).vanished]

    def counted() -> int:
        lines = overview(store, desk.world.terms, desk.world.now)
        return next(line.vanished for line in lines if line.key == ALERTS.key)

    assert (marked(there[0]), marked(there[1]), counted()) == ([], [ALERTS.key], 2)
    assert compared(desk, Lister(there)) == {"listed": 3}
    assert (marked(there[1]), counted()) == ([], 0)


def test_a_peer_that_lists_nothing_has_not_lost_everything(store: Store) -> None:
    """An empty answer is more often a bad day than an empty collection: nothing is marked."""
    desk = Desk(store)
    desk.pull(Giver(page(*names("a", "b"))))
    assert compared(desk, Lister([])) == {}
    assert desk.rows(tables.vanished) == []


def test_what_is_aside_or_was_passed_over_is_not_missing(store: Store) -> None:
    """It was seen, and there is a reason why it is not held."""
    desk = Desk(store)
    bad, passed = names("bad", "passed")
    desk.pull(Giver(page()))
    with store.writing() as tx:
        sources.pass_over(tx, ALERTS.key, passed["id"], "peer.before_since", {}, micros(desk.world.now))
        tx.execute(
            tables.quarantine.insert().values(
                source=ALERTS.key, stix_id=bad["id"], code="content.schema", fields="{}", digest="x", raw=b"{}",
                received=0, seen=1,
            )
        )  # fmt: skip
    assert compared(desk, Lister([bad, passed])) == {"listed": 2}


def test_what_is_older_than_since_is_not_missing(store: Store) -> None:
    """A pull would not bring it either; where nothing says when it was added, it is looked at."""
    source = replace(ALERTS, since=NOW)
    desk = Desk(store, None, source)
    desk.pull(Giver(page()), source)
    old, new, unknown = names("old", "new", "unknown")
    before, after = ((NOW + timedelta(seconds=by)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for by in (-1, 1))
    dates = ((old, before), (new, after), (unknown, ""))
    lister = Lister([old, new, unknown], [Entry(id=o["id"], version=o["modified"], added=at) for o, at in dates])
    assert compared(desk, lister, source) == {"listed": 3, "missing": 2, "fetched": 2}
    assert sorted(desk.world.listed("circl")) == ids([new, unknown])
    desk.world.give(ALERTS.key, old)  # by an earlier configuration: it is listed, so it has not vanished
    assert compared(desk, lister, source) == {"listed": 3}


def test_events_are_compared_by_their_timestamp(store: Store) -> None:
    """Of a MISP the documents count: the event as it was when we fetched it."""
    desk = Desk(store)
    uuids = [f"5b773e07-e694-458b-b99c-27f30a01621{n}" for n in range(4)]
    with store.writing() as tx:
        for number, uuid in enumerate(uuids[:3]):
            tx.execute(
                tables.document.insert().values(
                    id=number + 1, source=MISP.key, kind="misp-event", document_id=uuid, version="100", raw=b"{}",
                    received=0,
                )
            )  # fmt: skip
    entries = [Entry(id=uuids[0], version="100", added=""), Entry(id=uuids[1], version="200", added="")]
    entries.append(Entry(id=uuids[3], version="100", added=""))
    lister = Lister([], entries)
    assert compared(desk, lister, MISP) == {"listed": 3, "missing": 2, "vanished": 1}
    assert [each for batch in lister.fetched for each in batch] == [uuids[1], uuids[3]]


def test_what_a_target_lost_is_sent_again_but_not_for_ever(store: Store) -> None:
    """Its receipt was a lie, or it was restored from a backup. Who drops it a second time does not want it."""
    desk = Desk(store)
    sent = [*names("a", "b", "c"), malware("m")]
    desk.world.give(CIRCL, *sent)
    taker = Taker()
    desk.push(taker)
    assert sorted(taker.taken) == ids(sent)
    kept = Lister(sent[:2])
    assert compared(desk, kept, DEPOT) == {"listed": 2, "sent_again": 2}
    again = Taker()
    desk.push(again)
    assert sorted(again.taken) == ids(sent[2:])
    assert desk.outbox() == ["accepted"] * 4
    assert compared(desk, kept, DEPOT) == {"listed": 2, "vanished": 2}
    assert desk.push(Taker()) is None


def test_what_was_withdrawn_or_refused_is_not_lost(store: Store) -> None:
    """Only what the peer accepted, and may still have, can be missed there."""
    desk = Desk(store)
    refused, withdrawn = names("refused", "withdrawn")
    desk.world.give(CIRCL, refused, withdrawn)
    desk.push(Taker(say=lambda sent: "refused" if sent.id == refused["id"] else "accepted"))
    later = (NOW + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    desk.world.give(CIRCL, {**withdrawn, "modified": later, "name": "newer"})
    desk.push(Taker())
    listed = [{**withdrawn, "modified": later}]
    assert compared(desk, Lister(listed), DEPOT) == {"listed": 1}


def test_many_are_compared_a_little_at_a_time(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R18: whatever the number, a transaction writes few rows; the result is the same."""
    monkeypatch.setattr("exchange.sync.reconcile._STEP", 3)
    monkeypatch.setattr("exchange.sync.reconcile._BATCH", 2)
    desk = Desk(memory)
    there = names(*(f"n{n}" for n in range(20)))
    desk.pull(Giver(page(*there[:13])))
    desk.push(Taker())
    assert compared(desk, Lister(there[5:])) == {"listed": 15, "missing": 7, "fetched": 7, "vanished": 5}
    assert compared(desk, Lister(there)) == {"listed": 20}
    assert desk.rows(tables.vanished) == desk.rows(tables.inventory) == []
    desk.world.give(CIRCL, *names(*(f"m{n}" for n in range(11))))
    taker = Taker()
    desk.push(taker)
    assert compared(desk, Lister(names("m0")), DEPOT) == {"listed": 1, "sent_again": 10}


@pytest.mark.parametrize("way", ["error", "brake", "agreement", "stopping"])
def test_one_that_breaks_off_changes_nothing_and_is_made_again(memory: Store, way: str) -> None:
    """Nothing is called vanished by half a list; it is tried again in an hour, and nothing stays behind."""
    desk = Desk(memory)
    there = names("a", "b", "c", "d")
    desk.pull(Giver(page(*there)))

    def happens() -> None:
        if way == "error":
            raise PeerUnreachable("peer.timeout", url="x")
        if way == "brake":
            desk.brake("ccc", "in")
        if way == "agreement":
            desk.world.follow(replace(desk.world.terms, agreements=()))
        desk.stopping = desk.stopping or way == "stopping"

    assert compared(desk, Lister(there[:2], at_a_time=1, during=happens)) is None
    assert desk.rows(tables.inventory) == desk.rows(tables.vanished) == []
    assert desk.standing().difference is None
    assert desk.standing().comparing == micros(desk.world.now)


def test_what_comes_and_goes_meanwhile_is_neither_missing_nor_gone(memory: Store) -> None:
    """A pull and a push go on beside it: only what was there before it began can be missed."""
    desk = Desk(memory)
    there = names("a", "b")
    desk.pull(Giver(page(*there)))

    def meanwhile() -> None:
        desk.world.now += timedelta(seconds=1)
        desk.pull(Giver(page(*names("new"))), forced=True)

    assert compared(desk, Lister(there, at_a_time=9, during=meanwhile)) == {"listed": 2}
    desk.world.now += timedelta(seconds=1)
    desk.world.give(CIRCL, *names("x", "y"))

    def pushed() -> None:
        desk.world.now += timedelta(seconds=1)
        desk.push(Taker())

    assert compared(desk, Lister(names("other"), during=pushed), DEPOT) == {"listed": 1}


def test_two_daemons_compare_once(memory: Store) -> None:
    """Who begins says so first; lists that somebody left behind are dropped when they are old."""
    desk = Desk(memory)
    desk.pull(Giver(page()))
    results: list[object] = []
    other = desk.worker("second")

    def beside() -> None:
        with memory.writing() as tx:
            results.append(sources.claim_comparison(tx, ALERTS.key, None, micros(desk.world.now)))
            results.append(sources.standings(tx)[ALERTS.key].comparing == micros(desk.world.now))

    with memory.writing() as tx:
        inventory.add(tx, f"{ALERTS.key} 0 dead", [Entry(id="x", version="", added="")])
    assert compared(desk, Lister(names("a"), during=beside)) == {"listed": 1, "missing": 1, "fetched": 1}
    assert results == [False, True]
    assert desk.rows(tables.inventory) == []
    assert other.owner == "second"


def test_r32_a_full_day_ends_a_comparison_too(memory: Store) -> None:
    """What it fetches counts like what a pull brings."""
    source = replace(ALERTS, max_day=1)
    desk = Desk(memory, None, source)
    desk.pull(Giver(page()), source)
    assert reconcile(desk.work, source, Lister(names("a", "b", "c"))) is None
    assert len(desk.rows(tables.statement)) == 3  # the batch at hand
    assert reconcile(desk.work, source, Lister(names("d"))) is None
    assert len(desk.rows(tables.statement)) == 3


def test_what_is_switched_off_is_not_compared(memory: Store) -> None:
    """Nothing is taken from it by another door."""
    off = replace(ALERTS, enabled=False)
    desk = Desk(memory, None, off)
    assert compared(desk, Lister(names("a")), off) is None
    assert desk.rows(tables.statement) == []


def test_a_version_that_nobody_names_is_none(memory: Store) -> None:
    """A manifest without versions, or with what is no version, is compared by ids."""
    desk = Desk(memory)
    there = names("a", "b")
    desk.pull(Giver(page(*there)))
    entries = [Entry(id=each["id"], version=text, added="") for each, text in zip(there, ("", "latest"), strict=True)]
    assert compared(desk, Lister(there, entries)) == {"listed": 2}


def test_what_was_gone_once_is_asked_for_again(memory: Store) -> None:
    """Only what is passed over whenever it comes is left out."""
    desk = Desk(memory)
    (made,) = names("back")
    desk.pull(Giver(page(skipped=(Skipped(id=made["id"], code="peer.gone", fields={}),))))
    assert compared(desk, Lister([made])) == {"listed": 1, "missing": 1, "fetched": 1}


def test_what_goes_again_goes_until_it_is_settled(memory: Store) -> None:
    """A peer that says *pending* in between has not got it."""
    desk = Desk(memory)
    desk.world.give(CIRCL, *names("a"))
    desk.push(Taker())
    assert compared(desk, Lister(names("other")), DEPOT) == {"listed": 1, "sent_again": 1}
    desk.push(Taker(say=lambda _: "pending"))
    desk.world.now += timedelta(minutes=2)
    taker = Taker()
    desk.push(taker)
    assert len(taker.taken) == 1
    assert desk.outbox() == ["accepted"]
