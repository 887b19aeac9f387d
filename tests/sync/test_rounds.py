"""What is done seldom: probes, comparisons, quarantine; budgets of requests; certificates; draining anew."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import log
from exchange.errors import PeerUnreachable
from exchange.model.benign import Choice
from exchange.model.envelope import Entry, Page, PeerClient
from exchange.model.party import Expiry, Peer, Source, SourceKind, Target, Terms
from exchange.model.profile import Handshake, Profile
from exchange.store import Store, handshakes, micros, moment, open_store, sources
from exchange.store.budgets import spend
from exchange.sync.line import Line, line_to
from exchange.sync.overview import overview
from exchange.sync.schedule import Schedule
from tests.sync.partners import ALERTS, DEPOT, OTHER, Desk, Giver, with_sources
from tests.sync.test_schedule import Time, finished
from tests.world import NOW, World, indicator, malware, page, terms

WEEK = 7 * 86_400.0
TERMS = with_sources(terms(), ALERTS, OTHER)


class Peers:
    """Makes clients that say what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lines: list[Line] = []
        self.profile = Profile(key=ALERTS.key, kind="taxii", at=NOW)
        self.fails: Exception | None = None

    def __call__(self, peer: Peer, kind: SourceKind, line: Line) -> PeerClient:
        """A client."""
        self.lines.append(line)
        return self  # type: ignore[return-value]

    def pull(self, source: Source, cursor: Any) -> Iterator[Page]:
        """Nothing, to its end."""
        yield page()

    def probe(self, entry: Source | Target, now: datetime) -> Profile:
        """How it behaves."""
        self.asked.append(f"probe {entry.key}")
        if self.fails:
            raise self.fails
        return self.profile

    def index(self, entry: Source | Target) -> Iterator[Sequence[Entry]]:
        """What it lists."""
        self.asked.append(f"index {entry.key}")
        yield []


@pytest.fixture
def time() -> Time:
    """Noon, until somebody moves it."""
    return Time()


def rounds(store: Store, peers: Peers, time: Time, given: Terms = TERMS, **more: Any) -> list[str]:
    """A daemon that ticks until there is nothing to do; what its peers were asked, besides pulls."""
    peers.asked.clear()
    schedule = Schedule(store, given, peers, clock=time, draw=lambda: 0.0, **more)
    schedule.prepare()
    for _ in range(8):
        schedule.tick()
        for job in list(schedule._busy.values()):
            job.result(10)
    finished(schedule)
    return sorted(peers.asked)


def test_every_peer_is_looked_at_once_a_week(memory: Store, time: Time) -> None:
    """At the first start at once, then again when the look is old; not in between, whoever starts."""
    peers, keys = Peers(), sorted(f"probe {key}" for key in (ALERTS.key, OTHER.key, DEPOT.key))
    assert rounds(memory, peers, time, probe=WEEK) == keys
    time.now += timedelta(days=6)
    assert rounds(memory, peers, time, probe=WEEK) == []
    time.now += timedelta(days=1)
    assert rounds(memory, peers, time, probe=WEEK) == keys
    assert rounds(memory, peers, time) == []


def test_a_look_that_fails_is_not_made_again_every_second(memory: Store, time: Time) -> None:
    """What was known stays, and it is tried again in its time."""
    peers = Peers()
    rounds(memory, peers, time, probe=WEEK)
    time.now += timedelta(days=8)
    peers.fails = PeerUnreachable("peer.timeout", url="x")
    assert len(rounds(memory, peers, time, probe=WEEK)) == 3
    with memory.reading() as tx:
        standing = sources.standings(tx)[ALERTS.key]
    assert standing.profile is not None
    assert moment(standing.probed or 0) == time.now


def test_comparisons_begin_when_a_source_is_old(memory: Store, time: Time) -> None:
    """What has just been drained for the first time need not be compared."""
    peers = Peers()
    assert rounds(memory, peers, time, reconcile=WEEK) == []
    time.now += timedelta(days=8)
    asked = rounds(memory, peers, time, reconcile=WEEK)
    assert asked == sorted(f"index {key}" for key in (ALERTS.key, OTHER.key))
    assert rounds(memory, peers, time, reconcile=WEEK) == []


def test_what_a_person_asks_for_is_done_now(memory: Store, time: Time) -> None:
    """Even where it is never done by itself, and for a source that is not enabled yet."""
    off = replace(ALERTS, id="new", enabled=False)
    given = with_sources(terms(), ALERTS, off)
    peers = Peers()
    assert rounds(memory, peers, time, given) == []
    with memory.writing() as tx:
        sources.ask(tx, [off.key], "probed")
        sources.ask(tx, [ALERTS.key], "reconciled")
    assert rounds(memory, peers, time, given) == [f"index {ALERTS.key}", f"probe {off.key}"]
    assert rounds(memory, peers, time, given) == []


def test_what_is_due_is_closed_by_the_daemon(memory: Store, time: Time) -> None:
    """As soon as it is due, whoever starts; nobody has to ask for it."""
    ages = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50)
    given_terms = replace(TERMS, expiry=(ages,))
    world = World(memory, given_terms)
    world.give("circl/feed", indicator("a.example"), malware("m"))
    peers = Peers()
    rounds(memory, peers, time, given_terms)
    assert world.listed("ccc") == [indicator("a.example")["id"], malware("m")["id"]]
    time.now += timedelta(days=1)
    rounds(memory, peers, time, given_terms)
    assert world.listed("ccc") == [malware("m")["id"]]


def test_in_a_closed_window_nobody_is_asked_anything(memory: Store, time: Time) -> None:
    """Neither by itself nor for a person: it comes after the window."""
    from tests.sync.test_pace import NIGHT, gentle

    given = gentle(gentle(TERMS, "ccc", closed=(NIGHT,)), "circl", closed=(NIGHT,))
    time.now = NOW.replace(hour=23)
    peers = Peers()
    assert rounds(memory, peers, time, given, probe=WEEK) == []
    time.now += timedelta(hours=8)
    assert len(rounds(memory, peers, time, given, probe=WEEK)) == 3


@settings(max_examples=25)
@given(st.integers(1, 600), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_a_budget_is_never_overdrawn(per_minute: int, gaps: list[float]) -> None:
    """However requests come, no minute sees more of them than it may, and ten seconds' worth."""
    store = open_store("sqlite://")
    now, made = 0, []
    with store.writing() as tx:
        for gap in gaps:
            now += int(gap * 1_000_000)
            wait = spend(tx, "ccc", per_minute, now)
            if wait <= 60_000_000:  # whoever would wait longer takes nothing, and asks nothing
                made.append(now + wait)
    store.close()
    made.sort()
    burst = max(1, 10 * per_minute / 60)
    for start in made:
        inside = sum(start <= at < start + 60_000_000 for at in made)
        assert inside <= per_minute + burst + 1


def test_two_daemons_share_a_budget(store: Store) -> None:
    """What the one has asked the other may not ask again; another peer has its own."""
    with store.writing() as tx:
        assert [spend(tx, "ccc", 6, 0) for _ in range(3)] == [0, 10_000_000, 20_000_000]
        assert spend(tx, "circl", 6, 0) == 0
        assert spend(tx, "ccc", 6, 60_000_000) == 0


def handshake(theirs: int, ours: int | None = None) -> Handshake:
    """One in which certificates were shown that end in so many days."""
    ends = NOW + timedelta(hours=1)
    mine = {} if ours is None else {
        "our_file": "/etc/c.pem", "our_subject": "CN=we", "our_not_after": ends + timedelta(days=ours)
    }  # fmt: skip
    return Handshake(
        peer="ccc", origin="https://x:443", subject="CN=x", issuer="CN=ca", not_after=ends + timedelta(days=theirs),
        **mine,  # type: ignore[arg-type]
    )  # fmt: skip


def test_certificates_are_kept_and_warned_of(memory: Store) -> None:
    """Both sides' last ones; the log says it once a day from thirty days before the end."""
    stream = io.StringIO()
    log.configure("en", "json", stream=stream)
    desk = Desk(memory)
    peer = desk.world.terms.peers["ccc"]
    tell = line_to(peer, desk.work, lambda _: None).handshake

    def warned() -> list[str]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        return [f"{each['event']} {each['days']}" for each in found if each["event"].startswith("certificate")]

    tell(handshake(31))
    assert warned() == []
    tell(handshake(29, 2))
    assert warned() == ["certificate.theirs 29", "certificate.ours 2"]
    tell(handshake(29, 2))
    assert warned() == []
    desk.world.now += timedelta(days=1)
    tell(handshake(29))
    assert warned() == ["certificate.theirs 28"]
    with memory.reading() as tx:
        shown = handshakes.shown(tx)
    assert [(each.side, each.file) for each in shown] == [("ours", "/etc/c.pem"), ("theirs", "")]


def test_a_peer_without_a_budget_costs_no_commit(memory: Store) -> None:
    """Most have none."""
    desk = Desk(memory)
    before = memory.commits
    assert line_to(desk.world.terms.peers["ccc"], desk.work, lambda _: None).spend() == 0.0
    assert memory.commits == before


def test_a_source_is_drained_anew_and_nothing_is_doubled(memory: Store) -> None:
    """From the time that the operator said; a drain that breaks off goes on from its place, as always."""
    desk = Desk(memory)
    desk.pull(Giver(page(indicator("a.example"), cursor={"next": 7})))
    begin = NOW - timedelta(days=30)
    with memory.writing() as tx:
        sources.begin_again(tx, [ALERTS.key], micros(begin), micros(desk.world.now))
    seen: list[Any] = []

    class Watching(Giver):
        def pull(self, source: Source, cursor: Any) -> Iterator[Page]:
            seen.append((source.since, dict(cursor)))
            yield from super().pull(source, cursor)

    broken = Watching(
        page(indicator("a.example"), cursor={"next": 1}, last=False), PeerUnreachable("peer.timeout", url="x")
    )
    desk.pull(broken)
    desk.world.now += timedelta(minutes=1)
    whole = Watching(page(), page(indicator("b.example"), cursor={"next": 2}))
    run = desk.pull(whole)
    assert run is not None
    assert run.counts == {"stored": 1}
    assert seen == [(begin, {}), (begin, {"next": 1})]
    desk.pull(Watching(page(), page(), page()), forced=True)
    assert seen[-1] == (None, {"next": 2})
    assert len(desk.world.listed("circl")) == 2


def test_who_drains_while_an_operator_begins_anew_has_lost_the_work(memory: Store) -> None:
    """Its next page would write the old cursor back, and what was asked for would be forgotten in silence."""
    desk = Desk(memory)
    desk.pull(Giver(page(cursor={"next": 5})))

    def asked() -> None:
        with memory.writing() as tx:
            sources.begin_again(tx, [ALERTS.key], micros(NOW), micros(desk.world.now))

    run = desk.pull(Giver(*[page()] * 5, asked, page(indicator(), cursor={"next": 99})), forced=True)
    assert run is not None
    assert run.outcome == "lease_lost"
    assert (desk.cursor(), desk.standing().again_from) == ({}, micros(NOW))


def test_a_look_that_breaks_is_told_and_not_repeated_every_second(memory: Store, time: Time) -> None:
    """A mistake of ours is no reason to ask a peer a thousand times."""
    peers = Peers()
    peers.fails = ValueError("a mistake")
    assert len(rounds(memory, peers, time, probe=WEEK)) == 3
    assert rounds(memory, peers, time, probe=WEEK) == []


def test_the_overview_says_what_an_operator_asks(memory: Store) -> None:
    """Last success beside last failure, the peer out of reach, the closed window, next run."""
    desk = Desk(memory)
    desk.pull(Giver(page()))
    for _ in range(5):
        desk.world.now += timedelta(hours=1)
        desk.pull(Giver(PeerUnreachable("peer.timeout", url="x")), forced=True)
    line = next(each for each in overview(memory, desk.world.terms, desk.world.now) if each.key == ALERTS.key)
    assert (line.state, line.succeeded) == ("tripped", NOW)
    assert line.error is not None
    assert line.error["code"] == "peer.timeout"
    assert line.next is not None
    assert line.next > desk.world.now


def test_the_daemon_gives_its_clients_a_line(memory: Store, time: Time) -> None:
    """Which ends their waits when it stops."""
    peers = Peers()
    rounds(memory, peers, time)
    assert peers.lines
    assert all(line.wait(0.0) for line in peers.lines)


def test_other_warninglists_are_followed_by_a_daemon_that_starts_with_them(memory: Store, time: Time) -> None:
    """What was listed before is looked at in the background; what came in by the old lists, a minute later."""
    world = World(memory, TERMS)
    given = [indicator("example.com"), indicator("bad.invalid")]
    world.give("ccc/alertes", *given)
    followed = replace(TERMS, benign=Choice(lists=("rfc6761",)))
    schedule = Schedule(memory, followed, Peers(), clock=time, draw=lambda: 0.0)
    schedule.prepare()
    assert len(world.listed("circl")) == 2
    schedule.tick()
    for job in list(schedule._busy.values()):
        job.result(10)
    assert world.listed("circl") == [given[1]["id"]]
    stray = indicator("example.org")
    world.give("ccc/alertes", stray)
    assert stray["id"] in world.listed("circl")
    time.now += timedelta(minutes=2)
    schedule.tick()
    finished(schedule)
    assert world.listed("circl") == [given[1]["id"]]
