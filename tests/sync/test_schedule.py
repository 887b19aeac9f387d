"""The schedule: what is due is leased and drained, a commit wakes the push, the terms of the day are followed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange import log
from exchange.errors import PeerUnreachable, StoreBusy
from exchange.model.envelope import Page, PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Peer, Receive, Send, Source, SourceKind, Terms
from exchange.policy import Rules
from exchange.store import Store, audiences, micros, moment, open_store, sources, statements, tables
from exchange.sync import leases
from exchange.sync.accept import accept
from exchange.sync.schedule import HEARTBEAT, Schedule
from exchange.sync.terms import adopt, follow, pursue
from tests.sync.partners import ALERTS, DEPOT, OTHER, Desk, Giver, Taker, with_sources
from tests.world import NOW, SHARED, World, agreement, indicator, page, terms

PATIENCE = 10.0
TERMS = with_sources(terms(), ALERTS, OTHER)
Usage = namedtuple("Usage", "total used free")


class Partners:
    """Makes the clients: a giver for each source, one taker; remembers who was asked for."""

    def __init__(self, **givers: Giver) -> None:
        self.givers = givers
        self.taker = Taker()
        self.taken = threading.Event()
        self.taker.during = self.taken.set
        self.made: list[str] = []

    def __call__(self, peer: Peer, kind: SourceKind, wait: Callable[[float], bool]) -> PeerClient:
        """A client of `peer`: its giver, if it has one."""
        self.made.append(peer.id)
        return Both(self.givers.get(peer.id, Giver(page())), self.taker)


class Both:
    """A client that pulls like the one and pushes like the other."""

    def __init__(self, giver: Giver, taker: Taker) -> None:
        self.pull, self.push = giver.pull, taker.push


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        """Now."""
        return self.now


@pytest.fixture
def time() -> Time:
    """Noon, until somebody moves it."""
    return Time()


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """What is logged, one JSON object a line."""
    stream = io.StringIO()
    log.configure("en", "json", stream=stream)
    yield stream


def made(store: Store, partners: Partners, time: Time, given: Terms = TERMS, **more: Any) -> Schedule:
    """A schedule that follows these terms; so do the listings already, which it sees to in the background."""
    schedule = Schedule(store, given, partners, clock=time, draw=lambda: 0.0, **more)
    schedule.prepare()
    wait(list(schedule._busy.values()), PATIENCE)
    return schedule


def finished(schedule: Schedule) -> None:
    """Everything that was begun comes to its own end; then the schedule stops."""
    wait(list(schedule._busy.values()), PATIENCE)
    assert schedule.stop(PATIENCE)


def once(store: Store, partners: Partners, time: Time, given: Terms = TERMS) -> None:
    """A daemon that ticks once and stops."""
    schedule = made(store, partners, time, given)
    schedule.tick()
    finished(schedule)


def standing(store: Store, key: str = ALERTS.key) -> sources.Standing:
    """Where a source stands."""
    with store.reading() as tx:
        return sources.standings(tx)[key]


def listed(store: Store, time: Time, given: Terms = TERMS) -> list[str]:
    """What CERT-EE reads."""
    world = World.__new__(World)
    world.store, world.now = store, time.now
    return world.listed("cert-ee", SHARED)


def test_a_tick_pulls_what_is_due_and_nothing_else(memory: Store, time: Time) -> None:
    """Sources that are due are drained in one tick; one that is not due is left alone."""
    partners = Partners(ccc=Giver(page(indicator("a.example"))), circl=Giver(page(indicator("b.example"))))
    schedule = made(memory, partners, time)
    with memory.writing() as tx:
        tx.execute(tables.source.update().where(tables.source.c.key == OTHER.key).values(due=micros(NOW) + 1))
    schedule.tick()
    finished(schedule)
    assert partners.made == ["ccc"]
    assert listed(memory, time) == [indicator("a.example")["id"]]
    assert moment(standing(memory).due) == NOW + timedelta(seconds=ALERTS.every)


def test_due_again_after_its_interval(memory: Store, time: Time) -> None:
    """A second tick within the interval asks nobody; after it the source is asked again."""
    partners = Partners()
    once(memory, partners, time)
    assert sorted(partners.made) == ["ccc", "circl"]
    time.now += timedelta(seconds=899)
    once(memory, partners, time)
    assert len(partners.made) == 2
    time.now += timedelta(seconds=1)
    once(memory, partners, time)
    assert len(partners.made) == 4


def test_a_source_that_is_held_by_another_daemon_is_left_to_it(memory: Store, time: Time) -> None:
    """Several daemons share one store: a lease that has not run out is respected."""
    partners = Partners()
    schedule = made(memory, partners, time)
    with memory.writing() as tx:
        assert sources.lease(tx, ALERTS.key, "elsewhere", micros(NOW), micros(NOW + timedelta(minutes=10)))
    schedule.tick()
    finished(schedule)
    assert partners.made == ["circl"]
    time.now += timedelta(minutes=16)
    once(memory, partners, time)
    assert sorted(partners.made) == ["ccc", "circl", "circl"]


def test_what_a_killed_daemon_was_working_on_is_taken_back(memory: Store, time: Time) -> None:
    """The lease of a process of this machine that is no more is no lease; that of a living one stands."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = leases.owner()
    gone = mine.replace(f":{os.getpid()}:", f":{dead.pid}:")
    once(memory, Partners(), time)
    for owner, taken in ((gone, True), (mine, False), (gone.replace("/", "-elsewhere/", 1), False)):
        time.now += timedelta(hours=1)
        with memory.writing() as tx:
            assert sources.lease(tx, ALERTS.key, owner, micros(time.now), micros(time.now + timedelta(minutes=10)))
        partners = Partners()
        once(memory, partners, time)
        assert ("ccc" in partners.made) is taken


@pytest.mark.parametrize("change", [{"enabled": False}, {"kind": "file"}])
def test_what_is_disabled_or_a_file_is_never_polled(memory: Store, time: Time, change: dict[str, Any]) -> None:
    """`enabled = false` and `kind = "file"` take a source out of the schedule."""
    partners = Partners()
    once(memory, partners, time, with_sources(terms(), replace(ALERTS, **change)))
    assert partners.made == []


def test_a_source_that_is_still_busy_is_not_begun_twice(memory: Store, time: Time) -> None:
    """A tick during a long drain does not begin another one of the same source, even if its lease ran out."""
    go_on, begun = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    partners = Partners(ccc=Giver(long, page(indicator())))
    schedule = made(memory, partners, time, with_sources(terms(), ALERTS))
    schedule.tick()
    assert begun.wait(PATIENCE)
    time.now += timedelta(hours=1)
    schedule.tick()
    go_on.set()
    finished(schedule)
    assert partners.made == ["ccc"]


def test_stop_lets_the_page_at_hand_be_committed(memory: Store, time: Time) -> None:
    """stop() waits for the workers: the page is stored with its cursor, the next one is not fetched."""
    go_on, begun = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    first = page(indicator("a.example"), last=False, cursor={"next": 1})
    giver = Giver(long, first, page(indicator("b.example")))
    schedule = made(memory, Partners(ccc=giver), time, with_sources(terms(), ALERTS))
    schedule.tick()
    assert begun.wait(PATIENCE)
    schedule.stopping.set()
    go_on.set()
    finished(schedule)
    assert giver.brought == 1
    assert standing(memory).cursor == '{"next": 1}'
    assert standing(memory).last_outcome == "stopping"
    assert standing(memory).lease_owner is None


def test_stop_says_when_a_worker_does_not_end(memory: Store, time: Time) -> None:
    """A peer that holds a request open does not hold the daemon: stop() tells that somebody was still busy."""
    go_on, begun = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    schedule = made(memory, Partners(ccc=Giver(stuck, page())), time, with_sources(terms(), ALERTS))
    schedule.tick()
    assert begun.wait(PATIENCE)
    assert schedule.stop(0.01) is False
    go_on.set()
    finished(schedule)


def test_after_stop_nothing_is_begun(memory: Store, time: Time) -> None:
    """A tick that comes late finds the door shut."""
    partners = Partners()
    schedule = made(memory, partners, time)
    finished(schedule)
    schedule.tick()
    assert partners.made == []


def test_one_broken_client_does_not_stop_the_others(memory: Store, time: Time, heard: io.StringIO) -> None:
    """An error that nobody foresaw ends one run with an alarm; the other sources are drained."""
    partners = Partners(ccc=Giver(KeyError("surprise")), circl=Giver(page(indicator())))
    once(memory, partners, time)
    assert listed(memory, time) == [indicator()["id"]]
    assert "schedule.job_broken" in heard.getvalue()
    assert "surprise" in heard.getvalue()


def test_a_broken_client_leaves_a_record_and_no_lease(memory: Store, time: Time) -> None:
    """A run that ended in an internal error is no longer running: `exchange peers` shows it as failed."""
    once(memory, Partners(ccc=Giver(KeyError("surprise"))), time)
    assert standing(memory).lease_owner is None
    with memory.reading() as tx:
        outcomes = [row.outcome for row in tx.execute(tables.run.select().where(tables.run.c.key == ALERTS.key))]
    assert "running" not in outcomes


def test_a_commit_wakes_the_push_without_a_tick(tmp_path: Path, time: Time) -> None:
    """What another process commits is on its way to the target at once, and not when the schedule says so."""
    url = f"sqlite:///{tmp_path}/exchange.db"
    store, elsewhere = open_store(url), open_store(url)
    partners = Partners()
    schedule = Schedule(store, terms(), partners, clock=time)
    schedule.start()
    try:
        rules = Rules(terms(), NOW)
        accept(elsewhere, rules, page(indicator()), OTHER.key, "circl", NOW)
        assert partners.taken.wait(PATIENCE)
    finally:
        finished(schedule)
        elsewhere.close()
    assert partners.taker.taken == [indicator()["id"]]
    store.close()


def test_only_targets_that_have_something_are_asked(memory: Store, time: Time) -> None:
    """An empty outbox makes no client; a full one does."""
    partners = Partners()
    schedule = made(memory, partners, time, terms())
    schedule._push_waiting()
    assert partners.made == []
    accept(memory, Rules(terms(), NOW), page(indicator()), OTHER.key, "circl", NOW)
    schedule._push_waiting()
    finished(schedule)
    assert partners.taker.taken == [indicator()["id"]]


def test_a_target_that_failed_is_left_alone_until_it_is_due(memory: Store, time: Time) -> None:
    """The push obeys the wait after a failure, however often something is committed."""
    partners = Partners()
    partners.taker.raises = [PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")]
    schedule = made(memory, partners, time, terms())
    accept(memory, Rules(terms(), NOW), page(indicator()), OTHER.key, "circl", NOW)
    schedule._push_waiting()
    finished(schedule)
    again = made(memory, partners, time, terms())
    again._push_waiting()
    finished(again)
    assert len(partners.taker.envelopes) == 1
    time.now = moment(standing(memory, DEPOT.key).due)
    last = made(memory, partners, time, terms())
    last._push_waiting()
    finished(last)
    assert len(partners.taker.envelopes) == 2


def test_without_outbound_nothing_is_ever_pushed(memory: Store, time: Time) -> None:
    """`outbound = false`: what waits stays where it is."""
    partners = Partners()
    schedule = made(memory, partners, time, terms(), outbound=False)
    accept(memory, Rules(terms(), NOW), page(indicator()), OTHER.key, "circl", NOW)
    schedule._push_waiting()
    finished(schedule)
    assert partners.made == []


def of_days(start: date, end: date) -> Terms:
    """Terms whose one agreement is in force from `start` to `end`."""
    parties = ("ccc", "cert-ee", "circl")
    made = agreement(
        "a", *parties, start=start, end=end, receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN)
    )
    return with_sources(terms(agreements=[made]), ALERTS)


def test_an_agreement_begins_at_midnight(memory: Store, time: Time) -> None:
    """The day on which it begins, the tick adopts it: what was held is listed, and the peer is asked."""
    given = of_days(date(2026, 11, 22), date(2027, 1, 1))
    giver = Giver(page(indicator("new.example")))
    schedule = made(memory, Partners(ccc=giver), time, given)
    accept(memory, Rules(given, NOW), page(indicator("old.example")), OTHER.key, "circl", NOW)
    time.now = NOW.replace(hour=23, minute=59, second=59)
    schedule.tick()
    assert listed(memory, time) == []
    assert giver.cursors == []
    time.now += timedelta(seconds=1)
    schedule.tick()
    finished(schedule)
    assert listed(memory, time) == [indicator("old.example")["id"]]
    time.now += timedelta(seconds=ALERTS.every)
    once(memory, Partners(ccc=giver), time, given)
    assert len(listed(memory, time)) == 2


def test_an_agreement_ends_at_midnight(memory: Store, time: Time) -> None:
    """The day after its last one nothing is read, and the peer is no longer asked."""
    given = of_days(date(2025, 1, 1), date(2026, 11, 21))
    giver = Giver(page(indicator("a.example")))
    schedule = made(memory, Partners(ccc=giver), time, given)
    schedule.tick()
    finished(schedule)
    time.now = NOW.replace(hour=23, minute=59, second=59)
    assert len(listed(memory, time)) == 1
    again = made(memory, Partners(ccc=giver), time, given)
    time.now += timedelta(seconds=1)
    again.tick()
    finished(again)
    assert listed(memory, time) == []
    assert len(giver.cursors) == 1
    assert standing(memory).last_outcome == "no_agreement"


def test_a_midnight_at_which_the_store_was_busy_is_made_up_for(
    memory: Store, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New terms that could not be adopted, because another writer held the lock, are adopted by the next tick."""
    given = of_days(date(2026, 11, 22), date(2027, 1, 1))
    schedule = made(memory, Partners(), time, given)
    accept(memory, Rules(given, NOW), page(indicator()), OTHER.key, "circl", NOW)
    calls: list[int] = []

    def busy_once(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise StoreBusy("store.busy", seconds=2.0)
        return follow(*arguments)

    monkeypatch.setattr("exchange.sync.schedule.follow", busy_once)
    time.now = NOW.replace(day=22, hour=0)
    schedule.tick()
    time.now += timedelta(seconds=1)
    schedule.tick()
    finished(schedule)
    assert listed(memory, time) == [indicator()["id"]]


def test_other_terms_are_followed_from_the_next_tick(memory: Store, time: Time) -> None:
    """What is applied while it runs: sources and agreements at the next tick, the stop of all that leaves at once."""
    send = [agreement("reseau", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=level))
            for level in (Tlp.GREEN, Tlp.CLEAR)]  # fmt: skip
    wide, narrow = (with_sources(terms(agreements=[each]), ALERTS) for each in send)
    schedule = made(memory, Partners(ccc=Giver()), time, wide)
    accept(memory, Rules(wide, NOW), page(indicator()), OTHER.key, "circl", NOW)
    assert listed(memory, time) == [indicator()["id"]]
    assert schedule.targets().keys() == {"ccc/depot"}
    fewer = replace(narrow, peers={**narrow.peers, "ccc": replace(narrow.peers["ccc"], sources=())})
    schedule.follow(fewer, outbound=False)
    assert schedule.targets() == {}
    assert schedule.sources().keys() == {ALERTS.key}
    assert listed(memory, time) == [indicator()["id"]]
    schedule.tick()
    assert schedule.sources() == {}
    wait(list(schedule._busy.values()), PATIENCE)
    assert listed(memory, time) == []
    schedule.follow(wide, outbound=True)
    schedule.tick()
    assert schedule.targets().keys() == {"ccc/depot"}
    finished(schedule)
    assert listed(memory, time) == [indicator()["id"]]


def test_terms_that_come_back_before_others_were_pursued_are_pursued(
    memory: Store, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R19: applied and taken back at once; what was shut for the first is given again for the second."""
    wide = with_sources(terms(), ALERTS)
    schedule = made(memory, Partners(ccc=Giver()), time, wide)
    accept(memory, Rules(wide, NOW), page(indicator()), OTHER.key, "circl", NOW)
    calls: list[int] = []

    def busy_once(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise StoreBusy("store.busy", seconds=2.0)
        return pursue(*arguments)

    monkeypatch.setattr("exchange.sync.schedule.pursue", busy_once)
    narrow = agreement("reseau", "ccc", "cert-ee", "circl", send=Send(ceiling=Tlp.CLEAR))
    for given in (with_sources(terms(agreements=[narrow]), ALERTS), wide):
        schedule.follow(given, outbound=True)
        schedule.tick()
        wait(list(schedule._busy.values()), PATIENCE)
    finished(schedule)
    assert listed(memory, time) == [indicator()["id"]]
    with memory.reading() as tx:
        assert all(row.open for row in audiences.everyone(tx).values())


def test_terms_that_another_process_began_and_left_are_pursued(memory: Store, time: Time) -> None:
    """R19: two daemons on one store, or a command that was killed: whoever is left ends it, without a restart."""
    wide = with_sources(terms(), ALERTS)
    schedule = made(memory, Partners(ccc=Giver()), time, wide)
    accept(memory, Rules(wide, NOW), page(indicator()), OTHER.key, "circl", NOW)
    narrow = agreement("reseau", "ccc", "cert-ee", "circl", send=Send(ceiling=Tlp.CLEAR))
    adopt(memory, Rules(with_sources(terms(agreements=[narrow]), ALERTS), NOW), NOW)
    assert listed(memory, time) == []
    follow(memory, Rules(wide, NOW), NOW)  # and dies
    schedule.tick()
    wait(list(schedule._busy.values()), PATIENCE)
    assert listed(memory, time) == [indicator()["id"]]


def test_what_a_crash_left_waiting_is_settled_at_the_start(memory: Store, time: Time) -> None:
    """R11: what a POST left is decided at the start; what a drain left waits for the pages that may still mark it."""
    given = with_sources(terms(unmarked=Tlp.GREEN), ALERTS)
    adopt(memory, Rules(given, NOW), NOW)
    accept(memory, Rules(given, NOW), page(indicator(tlp=None), last=False), "ccc/post:x", "ccc", NOW)
    accept(memory, Rules(given, NOW), page(indicator("drain.example", tlp=None), last=False), ALERTS.key, "ccc", NOW)
    assert listed(memory, time) == []
    made(memory, Partners(), time, given)
    with memory.reading() as tx:
        assert statements.waiting_sources(tx) == [ALERTS.key]
    assert listed(memory, time) == [indicator()["id"]]


def test_r32_below_the_floor_of_space_nothing_is_pulled(
    tmp_path: Path, time: Time, heard: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R32: with too little space pulls stop with one alarm, pushes go on, and with space they come back."""
    store = open_store(f"sqlite:///{tmp_path}/exchange.db")
    free = [999]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10_000, 0, free[0]))
    partners = Partners(ccc=Giver(page(indicator())))
    schedule = made(store, partners, time, TERMS, keep_free=1000)
    accept(store, Rules(TERMS, NOW), page(indicator("waits.example")), OTHER.key, "circl", NOW)
    schedule.tick()
    schedule.tick()
    schedule._push_waiting()
    assert partners.taken.wait(PATIENCE)
    assert partners.made == ["ccc"]
    assert partners.givers["ccc"].cursors == []
    alarms = [line for line in heard.getvalue().splitlines() if "store.space_low" in line]
    assert len(alarms) == 1
    assert '"level": "critical"' in alarms[0]
    free[0] = 1000
    schedule.tick()
    finished(schedule)
    assert partners.givers["ccc"].cursors == [{}]
    assert "store.space_low" not in heard.getvalue().split(alarms[0])[1]
    store.close()


def test_the_heartbeat_tells_that_it_lives(memory: Store, time: Time) -> None:
    """`exchange sync` leaves the work to a daemon that gave a sign of life; it gives one every five seconds."""
    schedule = made(memory, Partners(), time)

    def beat() -> str:
        with memory.reading() as tx:
            return audiences.note(tx, HEARTBEAT)

    schedule.tick()
    assert beat() == str(micros(NOW))
    time.now += timedelta(seconds=4)
    schedule.tick()
    assert beat() == str(micros(NOW))
    time.now += timedelta(seconds=1)
    schedule.tick()
    assert beat() == str(micros(time.now))
    finished(schedule)


def test_two_daemons_drain_a_source_once(memory: Store, time: Time) -> None:
    """Both tick at the same moment: the lease lets one of them ask the peer."""
    asked: list[int] = []
    go_on, begun = threading.Event(), threading.Event()

    def held() -> None:
        asked.append(1)
        begun.set()
        assert go_on.wait(PATIENCE)

    given = with_sources(terms(), ALERTS)
    first = made(memory, Partners(ccc=Giver(held, page(indicator()))), time, given)
    second = made(memory, Partners(ccc=Giver(held, page(indicator()))), time, given)
    first.tick()
    assert begun.wait(PATIENCE)
    second.tick()
    finished(second)
    assert asked == [1]
    go_on.set()
    finished(first)
    assert asked == [1]


def test_start_ticks_by_itself(memory: Store, time: Time) -> None:
    """start() returns at once and the first tick drains what is due; stop() ends every thread that it began."""
    drained = threading.Event()
    giver = Giver(page(indicator()), drained.set)
    before = set(threading.enumerate())
    schedule = Schedule(memory, with_sources(terms(), ALERTS), Partners(ccc=giver), clock=time)
    schedule.start()
    assert drained.wait(PATIENCE)
    finished(schedule)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_r31_resume_lets_a_paused_source_go_on_at_once(memory: Store, time: Time) -> None:
    """R31: pause and resume act within a second: the first tick after the brake is let go asks the peer."""
    giver = Giver(page(indicator()))
    desk = Desk(memory, terms(), ALERTS)
    desk.brake("ccc", "in")
    given = with_sources(terms(), ALERTS)
    schedule = made(memory, Partners(ccc=giver), time, given)
    schedule.tick()
    finished(schedule)
    assert giver.cursors == []
    desk.let_go("ccc", "in")
    time.now += timedelta(seconds=1)
    once(memory, Partners(ccc=giver), time, given)
    assert giver.cursors == [{}]


def test_a_page_of_a_source_with_new_terms_is_judged_by_them(memory: Store, time: Time) -> None:
    """A drain that runs over midnight judges its next page by the terms of the new day, and does not break."""
    given = of_days(date(2025, 1, 1), date(2027, 1, 1))
    later = agreement("b", "cert-ee", start=date(2026, 11, 22), send=Send(ceiling=Tlp.AMBER))
    given = replace(given, agreements=(*given.agreements, later))
    partners = Partners()
    schedule = made(memory, partners, time, given)

    def midnight() -> None:
        time.now = NOW.replace(day=22, hour=0)
        schedule.tick()

    pages: tuple[Page | Callable[[], None], ...] = (
        page(indicator("a.example"), last=False, cursor={"next": 1}), midnight, page(indicator("b.example")),
    )  # fmt: skip
    partners.givers["ccc"] = Giver(*pages)
    schedule.tick()
    finished(schedule)
    assert standing(memory).last_outcome == "complete"
    assert len(listed(memory, time)) == 2


def test_sources_and_targets_are_those_of_the_terms(memory: Store, time: Time) -> None:
    """The schedule serves what the terms name, by `peer/name`."""
    extra = Source(peer="circl", id="misp", kind="misp")
    schedule = Schedule(memory, with_sources(terms(), ALERTS, extra), Partners(), clock=time)
    assert set(schedule.sources()) == {ALERTS.key, extra.key}
    assert set(schedule.targets()) == {DEPOT.key}
