"""A pull: cursor and lease, what ends a drain and when it goes on, and that everything brought is accounted for."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from exchange.errors import ExchangeError, PeerBusy, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model import envelope
from exchange.model.envelope import PAGE, Document, Page, Rejected, Skipped
from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Source
from exchange.store import Store, micros, sources, statements, tables
from exchange.sync import pull as pull_module
from exchange.sync.pull import LEASE
from tests.sync.partners import ALERTS, MISP, OTHER, Desk, Giver, book
from tests.world import NOW, agreement, indicator, malware, page, relationship, terms

GONE = PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")
SMALL = Source(peer="ccc", id="petite", kind="taxii", max_day=2)
EVENT = "5c4e0000-0000-4000-8000-000000000100"


def event(*numbers: int, **more: Any) -> bytes:
    """A MISP event with one domain for each number."""
    made = {
        "uuid": EVENT,
        "info": "Vigne folle",
        "date": "2023-11-14",
        "threat_level_id": "2",
        "analysis": "2",
        "timestamp": "1700000000",
        "distribution": "3",
        "published": True,
        "Orgc": {"uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f", "name": "CIRCL"},
        "Tag": [{"name": "tlp:green"}],
        "Object": [],
        "Attribute": [
            {
                "uuid": f"5c4e0000-0000-4000-8000-{number + 1000:012d}",
                "type": "domain",
                "category": "Network activity",
                "value": f"h{number}.example",
                "to_ids": True,
                "distribution": "5",
                "timestamp": "1700000001",
            }
            for number in numbers
        ],
    }
    return json.dumps({"Event": {**made, **more}}).encode()


def of_event(raw: bytes, cursor: dict[str, Any] | None = None, *, last: bool = True) -> Page:
    """The page in which a MISP client brings an event."""
    document = Document(kind="misp-event", id=EVENT, version="1700000000", raw=raw)
    return Page(document=document, cursor=cursor, last=last)


def fails(desk: Desk, error: ExchangeError) -> float:
    """Let the next pull fail with `error`; seconds until the source is due again."""
    desk.world.now += timedelta(seconds=max(0.0, desk.due_in()))
    run = desk.pull(Giver(error))
    assert run is not None
    assert run.outcome == "failed"
    return desk.due_in()


def test_each_page_commits_with_its_cursor(memory: Store) -> None:
    """After each page the store holds its objects and the cursor behind it, before the next one is fetched."""
    desk = Desk(memory)
    seen: list[tuple[Any, int]] = []
    first, second, third = book([indicator("a.example")], [indicator("b.example")], [indicator("c.example")])

    def look() -> None:
        seen.append((desk.cursor(), len(desk.rows(tables.statement))))

    run = desk.pull(Giver(look, first, look, second, look, third, look))
    assert run is not None
    assert run.outcome == "complete"
    assert seen == [({}, 0), ({"next": 1}, 1), ({"next": 2}, 2), ({"next": 3}, 3)]


def test_an_error_in_the_middle_keeps_the_cursor_of_the_last_committed_page(memory: Store) -> None:
    """What was committed stays; the next pull goes on behind it and brings the rest once."""
    desk = Desk(memory)
    pages = book([indicator("a.example")], [indicator("b.example")], [indicator("c.example")])
    run = desk.pull(Giver(pages[0], pages[1], GONE))
    assert run is not None
    assert (run.outcome, run.error, run.counts) == ("failed", GONE, {"stored": 2})
    assert desk.cursor() == {"next": 2}
    desk.world.now += timedelta(hours=1)
    giver = Giver(*pages)
    again = desk.pull(giver)
    assert giver.cursors == [{"next": 2}]
    assert again is not None
    assert again.counts == {"stored": 1}
    assert len(desk.world.listed("circl")) == 3


def test_a_page_that_cannot_be_stored_leaves_no_trace(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects and cursor are one transaction: if listing them fails, neither is there."""
    desk = Desk(memory)

    def broken(*_: Any) -> None:
        raise ExchangeError("store.failed", detail="disk")

    monkeypatch.setattr("exchange.sync.accept.Lister.relist", broken)
    run = desk.pull(Giver(*book([indicator()])))
    assert run is not None
    assert run.outcome == "failed"
    assert desk.cursor() == {}
    assert desk.rows(tables.statement) == []


def test_a_busy_peer_is_asked_again_when_it_said(memory: Store) -> None:
    """Retry-After is obeyed when it is longer than what we would have waited; a shorter one changes nothing."""
    desk = Desk(memory)
    assert fails(desk, PeerBusy("peer.busy", retry_after=5000.0)) == 5000.0
    assert fails(desk, PeerBusy("peer.busy", retry_after=3.0)) == 120.0


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (GONE, [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]),
        (PeerBusy("peer.busy", retry_after=None), [60.0, 120.0, 240.0]),
        (PeerProtocol("peer.malformed", detail="x"), [300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19200.0, 21600.0]),
        (PeerRefused("peer.refused", status=401), [300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19200.0, 21600.0]),
        (ExchangeError("store.failed", detail="disk"), [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0]),
    ],
    ids=["unreachable", "busy without a time", "protocol", "refused", "ours"],
)
def test_failures_double_the_wait_by_what_failed(memory: Store, error: ExchangeError, waits: list[float]) -> None:
    """A break in the line is tried soon, what a person has to mend later; one success starts it afresh."""
    desk = Desk(memory)
    assert [fails(desk, error) for _ in waits] == waits
    assert desk.standing().failures == len(waits)
    desk.world.now += timedelta(hours=6)
    desk.pull(Giver(page()))
    assert desk.standing().failures == 0
    assert desk.standing().last_error is None
    assert desk.due_in() == 900.0
    assert fails(desk, error) == waits[0]


def test_a_daily_source_does_not_wait_a_day_for_a_break_in_the_line(memory: Store) -> None:
    """It is tried again soon, and in the end no more often than it would be polled."""
    daily = Source(peer="ccc", id="jour", kind="taxii", every=86_400.0)
    desk = Desk(memory, None, daily)
    desk.pull(Giver(GONE), daily)
    assert desk.due_in(daily.key) == 30.0
    for _ in range(15):
        desk.world.now += timedelta(seconds=desk.due_in(daily.key))
        desk.pull(Giver(GONE), daily)
    assert desk.due_in(daily.key) == 86_400.0


def test_the_error_is_kept_in_no_language(memory: Store) -> None:
    """What ended the run stands in the store as code and fields."""
    desk = Desk(memory)
    desk.pull(Giver(GONE))
    assert json.loads(desk.standing().last_error or "") == {
        "code": "peer.unreachable",
        "fields": {"peer": "ccc", "detail": "reset"},
    }


def test_r32_a_full_day_stops_this_source_and_goes_on_tomorrow(memory: Store) -> None:
    """R32: past the ceiling the source pauses with its cursor until midnight, UTC; others go on."""
    desk = Desk(memory, None, SMALL, OTHER)
    pages = book([indicator("1.example"), indicator("2.example")], [indicator("3.example")], [indicator("4.example")])
    giver = Giver(*pages)
    run = desk.pull(giver, SMALL)
    assert run is not None
    assert (run.outcome, run.error, run.counts) == ("day_full", None, {"stored": 2})
    assert desk.cursor(SMALL.key) == {"next": 1}
    assert NOW + timedelta(seconds=desk.due_in(SMALL.key)) == NOW.replace(day=22, hour=0)
    other = desk.pull(Giver(page(indicator("o.example"))), OTHER)
    assert other is not None
    assert other.outcome == "complete"
    assert desk.pull(giver, SMALL) is None
    desk.world.now = NOW.replace(day=22, hour=0)
    again = desk.pull(giver, SMALL)
    assert again is not None
    assert (again.outcome, again.counts) == ("complete", {"stored": 2})
    assert giver.cursors == [{}, {"next": 1}]


def test_r32_hurrying_a_full_source_takes_nothing(memory: Store) -> None:
    """R32: *sync now* does not lift the ceiling, and the peer is not even asked."""
    desk = Desk(memory, None, SMALL)
    desk.pull(Giver(*book([indicator("1.example"), indicator("2.example")], [indicator("3.example")])), SMALL)
    giver = Giver(page(indicator("4.example")))
    run = desk.pull(giver, SMALL, forced=True)
    assert run is not None
    assert (run.outcome, giver.cursors) == ("day_full", [])


def test_r32_what_is_known_already_does_not_count(memory: Store) -> None:
    """R32: the ceiling is one of new objects; a peer that repeats itself does not use it up."""
    desk = Desk(memory, None, SMALL)
    desk.pull(Giver(page(indicator("1.example"))), SMALL)
    for _ in range(3):
        run = desk.pull(Giver(*book([indicator("1.example")], [indicator("1.example")])), SMALL, forced=True)
        with memory.writing() as tx:
            sources.save_cursor(tx, SMALL.key, {})
        assert run is not None
        assert (run.outcome, run.counts) == ("complete", {"known": 2})


def test_without_an_agreement_nothing_is_taken(memory: Store) -> None:
    """R2: a peer of whom no agreement in force lets us receive is not even asked."""
    desk = Desk(memory, terms(agreements=[agreement("a", "circl", receive=Receive(ceiling=Tlp.RED))]))
    giver = Giver(page(indicator()))
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, run.error, run.counts) == ("no_agreement", None, {})
    assert giver.cursors == []
    assert desk.rows(tables.statement) == []
    assert desk.due_in() == ALERTS.every


def test_an_agreement_that_ends_within_a_drain_ends_the_drain(memory: Store) -> None:
    """R2: at midnight the next page of a peer without an agreement is no longer asked for."""
    ending = agreement("a", "ccc", receive=Receive(ceiling=Tlp.RED), end=date(2026, 11, 21))
    desk = Desk(memory, terms(agreements=[ending]))
    first, second = book([indicator("a.example")], [indicator("b.example")])
    giver = Giver(lambda: desk.world.pass_time(timedelta(hours=12)), first, second)
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, giver.brought) == ("no_agreement", 1)


@pytest.mark.parametrize("peer", ["ccc", "*"])
def test_r31_a_brake_stops_before_anything_is_asked(memory: Store, peer: str) -> None:
    """R31: while the brake is pulled the peer is not asked; let go, the source goes on where it was."""
    desk = Desk(memory)
    desk.brake(peer, "in")
    giver = Giver(*book([indicator()]))
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, run.error, giver.cursors) == ("paused", None, [])
    desk.let_go(peer, "in")
    again = desk.pull(giver, forced=True)
    assert again is not None
    assert again.counts == {"stored": 1}


def test_r31_a_brake_within_a_drain_stops_at_the_next_page(memory: Store) -> None:
    """R31: the page on its way is committed, the next one is not fetched, and the cursor is kept."""
    desk = Desk(memory)
    first, second = book([indicator("a.example")], [indicator("b.example")])
    giver = Giver(lambda: desk.brake("ccc", "in"), first, second)
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, run.counts, giver.brought) == ("paused", {"stored": 1}, 1)
    assert desk.cursor() == {"next": 1}


def test_r31_a_brake_on_what_leaves_does_not_stop_what_comes(memory: Store) -> None:
    """R31: the two directions are apart, and so are the peers."""
    desk = Desk(memory)
    desk.brake("ccc", "out")
    desk.brake("circl", "in")
    run = desk.pull(Giver(page(indicator())))
    assert run is not None
    assert run.outcome == "complete"


def test_a_lease_is_held_by_one(memory: Store) -> None:
    """While one worker drains a source another one, even forced, does not begin."""
    desk = Desk(memory)
    other = desk.worker("second")
    refused: list[Any] = []

    def meanwhile() -> None:
        refused.append(desk.pull(Giver(page()), work=other))
        refused.append(desk.pull(Giver(page()), work=other, forced=True))

    desk.pull(Giver(meanwhile, page(indicator())))
    assert refused == [None, None]
    assert desk.standing().lease_owner is None


def test_each_page_prolongs_the_lease(memory: Store) -> None:
    """A long drain keeps its lease as long as pages come."""
    desk = Desk(memory)
    first, second = book([indicator("a.example")], [indicator("b.example")])
    until: list[int] = []

    def later() -> None:
        until.append(desk.standing().lease_until)
        desk.world.now += timedelta(minutes=9)

    run = desk.pull(Giver(later, first, later, second, later))
    assert run is not None
    assert run.outcome == "complete"
    moments = (NOW, NOW + timedelta(minutes=9), NOW + timedelta(minutes=18))
    assert until == [micros(at + LEASE) for at in moments]


def test_a_lease_that_ran_out_is_taken_over_and_the_late_one_stops(memory: Store) -> None:
    """The late worker's page is not stored over the successor's: it ends as lease_lost and spoils nothing."""
    desk = Desk(memory)
    other = desk.worker("second")
    pages = book([indicator("a.example")], [indicator("b.example")])
    took: list[Any] = []

    def taken_over() -> None:
        desk.world.now += LEASE + timedelta(seconds=1)
        took.append(desk.pull(Giver(*pages), work=other, forced=True))

    late = Giver(pages[0], taken_over, page(indicator("stale.example"), cursor={"next": 99}))
    run = desk.pull(late)
    assert run is not None
    assert (run.outcome, run.counts) == ("lease_lost", {"stored": 1})
    assert took[0].outcome == "complete"
    assert desk.cursor() == {"next": 2}
    assert len(desk.world.listed("circl")) == 2
    assert desk.standing().last_outcome == "complete"
    assert desk.standing().failures == 0
    assert desk.standing().lease_owner is None
    assert sorted(outcome for outcome, _ in desk.runs()) == ["complete", "lease_lost"]


def test_not_due_is_not_pulled_unless_forced(memory: Store) -> None:
    """The due time is obeyed; *do it now* passes over it."""
    desk = Desk(memory)
    assert desk.pull(Giver(page())) is not None
    assert desk.pull(Giver(page())) is None
    assert desk.pull(Giver(page()), forced=True) is not None
    desk.world.now += timedelta(seconds=899)
    assert desk.pull(Giver(page())) is None
    desk.world.now += timedelta(seconds=1)
    assert desk.pull(Giver(page())) is not None


def test_stopping_ends_the_drain_after_the_page_at_hand(memory: Store) -> None:
    """A daemon that is told to stop commits its page, gives the lease back and fetches nothing more."""
    desk = Desk(memory)
    first, second = book([indicator("a.example")], [indicator("b.example")])

    def stop() -> None:
        desk.stopping = True

    giver = Giver(stop, first, second)
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, run.counts, giver.brought) == ("stopping", {"stored": 1}, 1)
    assert desk.standing().lease_owner is None
    assert desk.cursor() == {"next": 1}


def test_stopping_after_the_last_page_is_complete(memory: Store) -> None:
    """Nothing was left to do: the drain is complete."""
    desk = Desk(memory)

    def stop() -> None:
        desk.stopping = True

    run = desk.pull(Giver(stop, page(indicator())))
    assert run is not None
    assert run.outcome == "complete"


def test_what_a_broken_drain_left_unmarked_is_decided_when_the_next_one_is_complete(memory: Store) -> None:
    """R11: unmarked content waits for the end of the drain, over as many runs as that takes."""
    desk = Desk(memory, terms(unmarked=Tlp.GREEN))
    pages = book([indicator("a.example", tlp=None)], [indicator("b.example", tlp=None)])
    desk.pull(Giver(pages[0], GONE))
    assert desk.world.listed("circl") == []
    desk.world.now += timedelta(hours=1)
    desk.pull(Giver(*pages))
    assert len(desk.world.listed("circl")) == 2


def test_everything_brought_is_counted_once(memory: Store) -> None:
    """stored + known + touch + conflict + rejected + skipped is what was brought, in the run and in its record."""
    desk = Desk(memory)
    old, family = indicator("old.example"), malware("m")
    desk.pull(Giver(page(old)))
    touched = indicator("old.example", modified=NOW + timedelta(seconds=30))
    objects = [
        *(old, touched, family, relationship(old, family)),
        *({**old, "name": "said otherwise"}, indicator("new.example"), indicator("new.example")),
    ]
    made = page(*objects)
    rejected = [Rejected(raw=b"{%d" % n, code="content.json", fields={"detail": "cut"}) for n in range(3)]
    skipped = [Skipped(id=f"e{n}", code="misp.not_shown", fields={}) for n in range(4)]
    run = desk.pull(Giver(Page(objects=made.objects, rejected=rejected, skipped=skipped, last=True)), forced=True)
    assert run is not None
    assert run.counts == {"stored": 3, "known": 2, "touch": 1, "conflict": 1, "rejected": 3, "skipped": 4}
    assert sum(run.counts.values()) == len(objects) + len(rejected) + len(skipped)
    assert desk.runs()[-1] == ("complete", run.counts)


def test_runs_that_brought_nothing_are_pruned(memory: Store) -> None:
    """Of idle runs only the last is kept; runs that moved something or failed stay."""
    desk = Desk(memory)

    def one(*steps: Any) -> None:
        desk.world.now += timedelta(hours=2)
        desk.pull(Giver(*steps))

    one(page(indicator("a.example")))
    for _ in range(4):
        one(page())
    one(GONE)
    for _ in range(3):
        one(page())
    one(page(indicator("b.example")))
    one(page())
    assert desk.runs() == [
        *(("complete", {"stored": 1}), ("failed", {}), ("complete", {"stored": 1}), ("complete", {})),
    ]
    with memory.reading() as tx:
        moved = sources.last_news(tx, ALERTS.key)
    assert moved is not None
    assert moved[1] == {"stored": 1}


def test_pruning_touches_no_other_source(memory: Store) -> None:
    """An idle run of one source does not take the record of another one's."""
    desk = Desk(memory)
    desk.pull(Giver(page()), OTHER)
    desk.pull(Giver(page()))
    desk.pull(Giver(page()), forced=True)
    assert desk.runs(OTHER.key) == [("complete", {})]


def test_a_misp_event_is_converted_and_its_bytes_are_kept(memory: Store) -> None:
    """A document page becomes objects and its original, untouched, in one transaction with the cursor."""
    desk = Desk(memory)
    raw = event(1, 2, 3)
    run = desk.pull(Giver(of_event(raw, {"at": 7})), MISP)
    assert run is not None
    assert run.outcome == "complete"
    assert run.counts.get("rejected", 0) == 0
    assert [bytes(row["raw"]) for row in desk.rows(tables.document)] == [raw]
    assert desk.cursor(MISP.key) == {"at": 7}
    held = {row["stix_id"] for row in desk.rows(tables.statement)}
    assert {f"indicator--5c4e0000-0000-4000-8000-{n + 1000:012d}" for n in (1, 2, 3)} <= held
    with memory.reading() as tx:
        assert {item.stix_id for item in statements.find(tx, uuid=EVENT)} == held


def test_a_big_event_is_cut_and_its_cursor_comes_with_the_last_piece(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 500 objects enter in one transaction; a crash between two pieces brings the whole event again."""
    desk = Desk(memory)
    entered: list[Page] = []
    plain = pull_module.accept

    def spied(*arguments: Any, **more: Any) -> Any:
        entered.append(arguments[2])
        return plain(*arguments, **more)

    assert PAGE <= 500
    monkeypatch.setattr(envelope, "PAGE", 5)
    monkeypatch.setattr(pull_module, "accept", spied)
    desk.pull(Giver(of_event(event(*range(12)), {"at": 7})), MISP)
    sizes = [len(piece.objects) for piece in entered]
    assert max(sizes) == 5
    assert sum(sizes) > 12
    assert [piece.cursor for piece in entered] == [*[None] * (len(entered) - 1), {"at": 7}]
    assert [piece.last for piece in entered] == [*[False] * (len(entered) - 1), True]
    assert len(desk.rows(tables.document)) == 1


def test_a_failure_between_two_pieces_of_an_event_keeps_the_cursor(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is half stored is fetched again as a whole, and ends in the same state."""
    desk = Desk(memory)
    plain, calls = pull_module.accept, Counter[str]()

    def failing(*arguments: Any, **more: Any) -> Any:
        calls["accept"] += 1
        if calls["accept"] == 2:
            raise ExchangeError("store.failed", detail="disk")
        return plain(*arguments, **more)

    monkeypatch.setattr(envelope, "PAGE", 5)
    monkeypatch.setattr(pull_module, "accept", failing)
    brought = of_event(event(*range(9)), {"at": 7})
    desk.pull(Giver(brought), MISP)
    assert desk.cursor(MISP.key) == {}
    run = desk.pull(Giver(brought), MISP, forced=True)
    assert run is not None
    assert run.outcome == "complete"
    assert run.counts["known"] == 5
    assert desk.cursor(MISP.key) == {"at": 7}


@pytest.mark.parametrize("raw", [b'{"Event": {"info": "cut', b'{"Event": {"uuid": 1}}', b"[]"])
def test_a_whole_event_that_cannot_be_taken_is_set_aside_and_the_drain_goes_on(memory: Store, raw: bytes) -> None:
    """A bad event is quarantined with its bytes and its uuid; the events before and after it are taken."""
    desk = Desk(memory)
    good = of_event(event(1), {"at": 1}, last=False)
    run = desk.pull(Giver(good, of_event(raw, {"at": 2}, last=False), page(indicator(), cursor={"at": 3})), MISP)
    assert run is not None
    assert run.outcome == "complete"
    assert run.counts["rejected"] == 1
    assert desk.cursor(MISP.key) == {"at": 3}
    aside = desk.rows(tables.quarantine)
    assert [(bytes(row["raw"]), row["stix_id"]) for row in aside] == [(raw, EVENT)]
    assert indicator()["id"] in desk.world.listed("cert-ee")


def test_an_event_of_a_creator_who_is_not_on_the_list_is_passed_over(memory: Store) -> None:
    """The reason is remembered under the event's uuid, nothing of it is stored, and the cursor moves."""
    strict = Source(peer="circl", id="strict", kind="misp", orgs=frozenset({"0" * 8 + "-0000-4000-8000-" + "0" * 12}))
    desk = Desk(memory, None, strict)
    run = desk.pull(Giver(of_event(event(1), {"at": 1})), strict)
    assert run is not None
    assert run.counts == {"skipped": 1}
    assert desk.rows(tables.statement) == []
    assert [(row["remote_id"], row["code"]) for row in desk.rows(tables.skipped)] == [(EVENT, "misp.org_not_allowed")]
    assert desk.cursor(strict.key) == {"at": 1}


def test_an_empty_page_moves_the_cursor(memory: Store) -> None:
    """A poll that brings nothing still says where it stands."""
    desk = Desk(memory)
    run = desk.pull(Giver(page(cursor={"next": 1})))
    assert run is not None
    assert (run.outcome, run.counts) == ("complete", {})
    assert desk.cursor() == {"next": 1}
    assert desk.standing().last_complete == micros(NOW)


@pytest.mark.parametrize("outcome", ["failed", "paused", "day_full"])
def test_only_a_whole_drain_counts_as_complete(memory: Store, outcome: str) -> None:
    """The lag is measured from the last drain that reached the end."""
    desk = Desk(memory, None, SMALL)
    first, second = book([indicator("1.example"), indicator("2.example")], [indicator("3.example")])
    steps: dict[str, tuple[Any, ...]] = {
        "failed": (GONE,),
        "paused": (lambda: desk.brake("ccc", "in"), first, second),
        "day_full": (first, second),
    }
    run = desk.pull(Giver(*steps[outcome]), SMALL)
    assert run is not None
    assert run.outcome == outcome
    assert desk.standing(SMALL.key).last_complete is None


def test_a_home_source_needs_no_agreement(memory: Store) -> None:
    """R4: our own house gives without an agreement."""
    ours = Source(peer="maison", id="misp", kind="taxii", internal=True)
    desk = Desk(memory, terms(agreements=[agreement("a", "ccc", send=Send(ceiling=Tlp.GREEN))]), ours)
    run = desk.pull(Giver(page(indicator())), ours)
    assert run is not None
    assert (run.outcome, run.counts) == ("complete", {"stored": 1})
