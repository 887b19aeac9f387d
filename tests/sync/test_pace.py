"""When a source comes again: cron, pace, chance, closed windows; how gently a peer is treated; the circuit breaker."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import PeerRefused, PeerUnreachable
from exchange.model.envelope import Rejected
from exchange.model.party import Peer, Source, Terms, Window
from exchange.store import Store, moment, quarantine, sources
from exchange.sync.breaker import TRIPS, able, may_try
from exchange.sync.pace import Ended, after_pull
from tests.sync.partners import ALERTS, DEPOT, OTHER, Desk, Giver, Taker
from tests.world import NOW, indicator, page, terms

GONE = PeerUnreachable("peer.unreachable", url="https://taxii.ccc.example/")
EVERY_DAY = frozenset(range(7))
NIGHT = Window(days=EVERY_DAY, begin=22 * 60, end=6 * 60)
PEER = Peer(id="ccc", name="CCC")
QUIET = Ended(outcome="complete", counts={}, error=None, failures=0, began=NOW)


def gentle(given: Terms, peer: str, **limits: object) -> Terms:
    """The same terms, with this peer's limits."""
    return replace(given, peers={**given.peers, peer: replace(given.peers[peer], **limits)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("30 6 * * mon-fri", "2026-11-20T06:29:59", "2026-11-20T06:30:00"),
        ("30 6 * * mon-fri", "2026-11-20T06:30:00", "2026-11-23T06:30:00"),
        ("0 0 29 2 *", "2026-11-20T06:30:00", "2028-02-29T00:00:00"),
        ("*/10 * * * *", "2026-11-20T06:30:00.5", "2026-11-20T06:40:00"),
    ],
)
def test_cron_says_when(cron: str, now: str, due: str) -> None:
    """In UTC, at that minute and not before it, and never twice in one."""
    source = replace(ALERTS, cron=cron)
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert after_pull(source, PEER, QUIET, at, lambda: 1.0)[0] == datetime.fromisoformat(due).replace(tzinfo=UTC)


@given(
    st.lists(st.booleans(), max_size=40),
    st.floats(0, 1),
    st.sampled_from([(None, None), (60.0, None), (None, 7200.0), (60.0, 7200.0)]),
)
def test_an_idle_source_is_polled_less_and_a_busy_one_more(
    brings: list[bool], drawn: float, bounds: tuple[float | None, float | None]
) -> None:
    """Inside what the operator allows, whatever happens; without bounds always as configured."""
    source = replace(ALERTS, fastest=bounds[0], slowest=bounds[1])
    least, most = bounds[0] or source.every, bounds[1] or source.every
    pace: int | None = None
    for news in brings:
        counts = {"stored": 3} if news else {"known": 3}
        ended = Ended(outcome="complete", counts=counts, error=None, failures=0, began=NOW, pace=pace)
        before = pace or source.every
        due, pace = after_pull(source, PEER, ended, NOW, lambda: drawn)
        interval, now = (due - NOW).total_seconds(), pace or source.every
        assert least <= now <= most
        assert now <= before if news else now >= before
        assert 0.9 * now - 1e-5 <= interval <= now + 1e-5


def test_the_pace_is_kept_and_a_failure_does_not_change_it(memory: Store) -> None:
    """It stands in the store, so another daemon, or the next start, goes on at it."""
    source = replace(ALERTS, slowest=3600.0)
    desk = Desk(memory, None, source)
    for expected in (1350, 2025, 3038, 3600, 3600):
        desk.pull(Giver(page()), source, forced=True)
        assert (desk.standing().pace, desk.due_in()) == (expected, float(expected))
    desk.pull(Giver(GONE), source, forced=True)
    assert (desk.standing().pace, desk.due_in()) == (3600, 30.0)
    desk.pull(Giver(page(indicator())), source, forced=True)
    assert desk.standing().pace == 1800


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(0, 1439), st.integers(0, 1439))
def test_a_window_ends_when_it_says(at: datetime, begin: int, end: int) -> None:
    """Over midnight too; at its end it is open."""
    now, window = at.replace(tzinfo=UTC), Window(days=EVERY_DAY, begin=begin, end=end)
    over = window.ends(now)
    minute = now.hour * 60 + now.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    assert (over is not None) == inside
    if over is not None:
        assert now < over <= now + timedelta(days=1)
        assert over.hour * 60 + over.minute == end
        assert window.ends(over) is None or begin == end


def test_only_on_its_days() -> None:
    """A window that begins on Sunday evening ends on Monday morning."""
    window = Window(days=frozenset({6}), begin=22 * 60, end=4 * 60)
    sunday = datetime(2026, 11, 22, tzinfo=UTC)
    assert window.ends(sunday + timedelta(hours=3)) is None
    assert window.ends(sunday + timedelta(hours=23)) == sunday + timedelta(hours=28)
    assert window.ends(sunday + timedelta(hours=27)) == sunday + timedelta(hours=28)
    assert window.ends(sunday + timedelta(hours=50)) is None


def test_in_its_window_a_peer_is_not_asked_and_not_handed_anything(memory: Store) -> None:
    """Neither pulled from nor pushed to; due when the window is over."""
    desk = Desk(memory, gentle(terms(), "ccc", closed=(NIGHT,)), ALERTS)
    desk.world.give("circl/autres", indicator())
    desk.world.now = NOW.replace(hour=23)
    giver, taker = Giver(page(indicator("b.example"))), Taker()
    run = desk.pull(giver)
    assert run is not None
    assert (run.outcome, giver.cursors) == ("closed", [])
    morning = NOW.replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert moment(desk.standing().due) == morning
    pushed = desk.push(taker)
    assert pushed is not None
    assert (pushed.outcome, taker.taken) == ("closed", [])
    desk.world.now = morning
    assert desk.pull(giver) is not None
    assert desk.push(taker) is not None
    assert (giver.brought, len(taker.taken)) == (1, 1)


def test_a_poll_that_would_fall_into_a_window_comes_after_it(memory: Store) -> None:
    """It is not begun to be broken off."""
    desk = Desk(memory, gentle(terms(), "ccc", closed=(NIGHT,)), ALERTS)
    desk.world.now = NOW.replace(hour=21, minute=50)
    desk.pull(Giver(page()))
    assert moment(desk.standing().due) == NOW.replace(hour=6, minute=0, second=0) + timedelta(days=1)


def test_a_drain_that_a_window_breaks_off_goes_on_at_its_end(memory: Store) -> None:
    """Not an interval later."""
    daily = replace(ALERTS, every=86_400.0)
    desk = Desk(memory, gentle(terms(), "ccc", closed=(NIGHT,)), daily)
    desk.world.now = NOW.replace(hour=21, minute=59)

    def later() -> None:
        desk.world.now += timedelta(minutes=2)

    run = desk.pull(Giver(later, page(cursor={"next": 1}, last=False), page()), daily)
    assert run is not None
    assert run.outcome == "closed"
    assert moment(desk.standing().due) == NOW.replace(hour=6, minute=0, second=0) + timedelta(days=1)


def test_a_peer_is_worked_on_by_no_more_than_it_bears(memory: Store) -> None:
    """Over all daemons together: what would be one too many is left until another is done."""
    second = Source(peer="ccc", id="second", kind="taxii")
    desk = Desk(memory, gentle(terms(), "ccc", at_once=1), ALERTS, second, OTHER)
    runs: list[object] = []
    other = desk.worker("second daemon")

    def meanwhile() -> None:
        runs.append(desk.pull(Giver(page()), second, work=other))
        runs.append(desk.pull(Giver(page()), OTHER, work=other))

    desk.pull(Giver(meanwhile, page()))
    assert [run is None for run in runs] == [True, False]
    assert desk.pull(Giver(page()), second, work=other) is not None


def test_r32_a_day_has_a_ceiling_in_bytes_too(memory: Store) -> None:
    """Beyond it the source waits until tomorrow, with its cursor where it was."""
    source = replace(ALERTS, max_day_size=1)
    desk = Desk(memory, None, source)
    run = desk.pull(Giver(page(indicator("a.example"), cursor={"next": 1}, last=False), page(indicator())), source)
    assert run is not None
    assert (run.outcome, desk.cursor()) == ("day_full", {"next": 1})
    assert moment(desk.standing().due) == datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + timedelta(days=1)
    desk.world.now += timedelta(days=1)
    again = desk.pull(Giver(page(), page(indicator("c.example"), last=True)), source)
    assert again is not None
    assert again.counts == {"stored": 1}


def test_a_full_quarantine_stops_its_source_and_no_other(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is thrown away: the source waits, with an alarm, until somebody has looked."""
    monkeypatch.setattr(quarantine, "MOST", 1)
    desk = Desk(memory)
    nonsense = Rejected(raw=b'{"id": "nonsense"}', code="content.id", fields={"value": "nonsense"})
    bad = page(rejected=[nonsense], cursor={"next": 1}, last=False)
    run = desk.pull(Giver(bad, page(indicator())))
    assert run is not None
    assert (run.outcome, run.counts, desk.cursor()) == ("quarantine_full", {"rejected": 1}, {"next": 1})
    other = desk.pull(Giver(page(indicator("b.example"))), OTHER)
    assert other is not None
    assert other.outcome == "complete"
    with memory.writing() as tx:
        assert quarantine.drop(tx, key=ALERTS.key) == 1
    again = desk.pull(Giver(bad, page(indicator())), forced=True)
    assert again is not None
    assert (again.outcome, again.counts) == ("complete", {"stored": 1})


HERE, THERE = "https://taxii.ccc.example/api1/", "https://misp.ccc.example/"


def test_the_breaker_lets_one_try_and_then_all(memory: Store) -> None:
    """A server out of reach is tried by what failed, not by what never did; once it gets through, all go on."""
    first = replace(ALERTS, url=HERE)
    second, elsewhere = replace(first, id="second"), replace(first, id="elsewhere", url=THERE)
    desk = Desk(memory, None, first, second, elsewhere, OTHER)
    desk.world.give(OTHER.key, indicator("z.example"))

    def may(*keys: str) -> list[bool]:
        with memory.reading() as tx:
            able_now = able(tx, desk.world.rules, outbound=True)
            return [may_try(key, able_now, sources.standings(tx), desk.world.now) for key in keys]

    for _ in range(TRIPS):
        assert may(first.key, second.key) == [True, True]
        desk.pull(Giver(GONE), first, forced=True)
    assert may(first.key, second.key, DEPOT.key, elsewhere.key, OTHER.key) == [True, False, False, True, True]

    def in_the_trial() -> None:
        assert may(second.key) == [False]

    desk.pull(Giver(in_the_trial, page()), first, forced=True)
    assert all(may(first.key, second.key, DEPOT.key))


@pytest.mark.parametrize("way", ["switched off", "braked", "gone"])
def test_what_cannot_try_holds_up_nobody(memory: Store, way: str) -> None:
    """A circuit is opened and closed by what could try now."""
    first = replace(ALERTS, url=HERE)
    second = replace(first, id="second")
    desk = Desk(memory, None, first, second)
    for _ in range(TRIPS):
        desk.pull(Giver(GONE), first, forced=True)
    peer = desk.world.terms.peers["ccc"]
    left = (second,) if way == "gone" else (replace(first, enabled=False), second)
    if way == "braked":
        desk.brake("ccc", "in")
    else:
        desk.world.follow(
            replace(desk.world.terms, peers={**desk.world.terms.peers, "ccc": replace(peer, sources=left)})
        )
    with memory.reading() as tx:
        able_now = able(tx, desk.world.rules, outbound=True)
        assert may_try(second.key, able_now, sources.standings(tx), desk.world.now) == (way != "braked")
        assert not may_try(first.key, able_now, sources.standings(tx), desk.world.now)


def test_a_target_with_nothing_to_send_holds_up_no_source(memory: Store) -> None:
    """It failed five times, and then what it had to send was withdrawn."""
    first = replace(ALERTS, url=HERE)
    desk = Desk(memory, None, first, OTHER)
    desk.world.give(OTHER.key, indicator("z.example"))
    for _ in range(TRIPS):
        desk.push(Taker(raises=[GONE]), forced=True)
    with memory.reading() as tx:
        standings = sources.standings(tx)
        assert not may_try(first.key, able(tx, desk.world.rules, outbound=True), standings, desk.world.now)
        assert may_try(first.key, able(tx, desk.world.rules, outbound=False), standings, desk.world.now)


def test_what_waited_for_the_peer_to_come_back_is_due_at_once(memory: Store) -> None:
    """What failed for another reason keeps its own wait."""
    second = Source(peer="ccc", id="second", kind="taxii")
    third = Source(peer="ccc", id="third", kind="taxii")
    desk = Desk(memory, None, ALERTS, second, third)
    desk.pull(Giver(GONE))
    desk.pull(Giver(GONE), second)
    desk.pull(Giver(PeerRefused("peer.refused", status=401)), third)
    desk.pull(Giver(page()), forced=True)
    assert (desk.due_in(second.key), desk.due_in(third.key)) == (0.0, 300.0)
