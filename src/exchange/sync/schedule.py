"""WHEN: one tick leases what is due and hands it to a bounded pool; a commit anywhere wakes the pushes at once.

The schedule is data: *due* and *lease* are columns, this holds no state that a restart would lose. Several daemons on
one store share the work by the leases.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from exchange.errors import ExchangeError
from exchange.model.envelope import PeerClient
from exchange.model.party import Peer, Source, SourceKind, Target, Terms
from exchange.policy import Rules
from exchange.store import Store, Watch, audiences, listings, pushed, sources, statements
from exchange.store.clock import micros
from exchange.store.sources import Standing
from exchange.sync import leases
from exchange.sync.accept import settle
from exchange.sync.breaker import Able, able, may_try
from exchange.sync.line import Line, line_to
from exchange.sync.pace import CHANCE, Draw
from exchange.sync.pull import Work, pull
from exchange.sync.push import audience_of, fresh_for, push
from exchange.sync.rounds import Rounds
from exchange.sync.terms import follow, pursue, unfinished

log = structlog.get_logger()

TICK = 1.0
LOOK = 0.1
"""Seconds between two looks at whether the store changed (RULES R34)."""
WORKERS = 8
_SILENT = 30.0
HEARTBEAT = "sync_heartbeat"
_BEAT = timedelta(seconds=5)

Clients = Callable[[Peer, SourceKind, Line], PeerClient]
"""Makes the client of a peer for a protocol, on a line of ours."""


class Schedule:
    """Pulls what is due, pushes what waits, keeps the terms current. `start` returns at once; `stop` drains."""

    def __init__(
        self,
        store: Store,
        terms: Terms,
        clients: Clients,
        *,
        clock: Callable[[], datetime],
        outbound: bool = True,
        keep_free: int = 0,
        draw: Draw = CHANCE,
        probe: float | None = None,
        reconcile: float | None = None,
        node: str = "",
    ) -> None:
        self.store, self.terms, self.clients, self.clock = store, terms, clients, clock
        self.outbound, self.keep_free = outbound, keep_free
        self.stopping = threading.Event()
        self._rules = Rules(terms, clock())
        self._pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="exchange")
        self._busy: dict[str, Future[None]] = {}
        self._ticker = BackgroundScheduler(timezone="UTC")
        self._looker = threading.Thread(target=self._look, name="exchange-outbox", daemon=True)
        self._beaten: datetime | None = None
        self._low = False
        self._rounds = Rounds(probe=probe, reconcile=reconcile)
        self._ticked = time.monotonic()
        self._next = terms
        self._swap = threading.Lock()
        self._adopting = False
        self.work = Work(
            store=store,
            rules=lambda: self._rules,
            clock=clock,
            owner=leases.owner(),
            stopping=self.stopping.is_set,
            draw=draw,
            node=node,
        )

    def prepare(self) -> None:
        """Follow the terms, and settle what a crash left undecided."""
        now = self.clock()
        self._rules = Rules(self.terms, now)
        follow(self.store, self._rules, now)
        self._pursue()
        with self.store.reading() as tx:
            waiting = statements.waiting_sources(tx)
        self._take_back()
        for key in set(waiting) - self.sources().keys():  # a drain settles its own when it is complete (RULES R11)
            settle(self.store, self._rules, key, now)

    def _take_back(self) -> None:
        """What a process here was working on when it was killed is due at once, not when its lease runs out."""
        with self.store.writing() as tx:
            for key, standing in sources.standings(tx).items():
                if standing.lease_owner and leases.is_gone(standing.lease_owner):
                    sources.abandon(tx, key, standing.lease_owner, micros(self.clock()))
                    log.warning("source.taken_back", source=key)

    def start(self) -> None:
        """Begin to tick."""
        self.prepare()
        self._ticker.add_job(self.tick, "interval", seconds=TICK, max_instances=1, coalesce=True, id="tick")
        self._ticker.start()
        self._looker.start()

    def stop(self, patience: float | None = None) -> bool:
        """Stop ticking and let the workers finish their pages; False: some were still busy after `patience` s.

        None: all that was begun is ended, however long it takes; before that the store must not be closed.
        """
        self.stopping.set()
        if self._ticker.running:
            self._ticker.shutdown(wait=False)
        _, late = wait(list(self._busy.values()), timeout=patience)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return not late

    def follow(self, terms: Terms, *, outbound: bool) -> None:
        """Work by other terms from the next tick on; where nothing may leave any more, at once."""
        self._next, self.outbound = terms, outbound

    def alive(self) -> bool:
        """Whether it still ticks: what the watchdog is told. To adopt other terms may take minutes, and is work too."""
        return (self._adopting or time.monotonic() - self._ticked < _SILENT) and self._looker.is_alive()

    def tick(self) -> None:
        """Hand every source that is due to the pool; new terms of the day are adopted first."""
        now = self.clock()
        self._ticked = time.monotonic()
        try:
            self._follow(now)
            self._pursue()
            self._beat(now)
            with self.store.reading() as tx:
                standings = sources.standings(tx)
                able_now = able(tx, self._rules, outbound=self.outbound)
            due = self._due(standings, able_now, now)
            seldom = self._rounds.due(self, standings, now)
        except ExchangeError as error:
            log.error("schedule.tick_failed", error=error)
            return
        if (due or seldom) and self._space_low():
            return
        for source in due:
            self._submit(source.key, partial(pull, self.work, source, self.client(source)))
        for name, job in seldom:
            self._submit(name, job)

    def _follow(self, now: datetime) -> None:
        """Adopt the terms of the day, or those that were applied since."""
        terms = self._next
        fresh = Rules(terms, now)
        if fresh.epoch != self._rules.epoch:
            self._adopting = True
            try:
                follow(self.store, fresh, now)
            finally:
                self._adopting = False
        elif terms is self.terms and fresh.now.date() == self._rules.now.date():
            return
        with self._swap:
            self.terms, self._rules = terms, fresh

    def _pursue(self) -> None:
        """See to it that the listings follow the rules, in the background: pulls and pushes go on meanwhile."""
        rules = self._rules
        if unfinished(self.store, rules):
            self._submit(f"policy {rules.epoch}", partial(self._pursue_now, rules))

    def _pursue_now(self, rules: Rules) -> None:
        changed = pursue(self.store, rules, self.clock)
        if changed:
            log.info("policy.adopted", changed=changed)

    def _beat(self, now: datetime) -> None:
        if self._beaten is None or now - self._beaten >= _BEAT:
            with self.store.writing() as tx:
                audiences.set_note(tx, HEARTBEAT, str(micros(now)))
            self._beaten = now

    def _due(self, standings: Mapping[str, Standing], able_now: Able, now: datetime) -> list[Source]:
        at = micros(now)
        return [
            source
            for source in self.sources().values()
            if (standing := standings.get(source.key))
            and standing.due <= at
            and standing.lease_until <= at
            and may_try(source.key, able_now, standings, now)
        ]

    def sources(self) -> Mapping[str, Source]:
        """Key → every source that is polled."""
        return {
            source.key: source
            for peer in self.terms.peers.values()
            for source in peer.sources
            if source.enabled and source.kind != "file"
        }

    def targets(self) -> Mapping[str, Target]:
        """Key → every target that is served; none while nothing may leave."""
        if not self.outbound:
            return {}
        return {target.key: target for peer in self.terms.peers.values() for target in peer.targets if target.enabled}

    def _space_low(self) -> bool:
        """Whether the store's disk is below its floor (RULES R32): pulls stop, serving goes on, one alarm."""
        path = make_url(self.store.url).database
        if not self.keep_free or not self.store.sqlite or not path or not Path(path).exists():
            return False
        free = shutil.disk_usage(Path(path).parent).free
        low = free < self.keep_free
        if low and not self._low:
            log.critical("store.space_low", free=free, floor=self.keep_free)
        self._low = low
        return low

    def client(self, entry: Source | Target) -> Callable[[], PeerClient]:
        """What makes a client for this source or target, when its turn comes."""
        peer = self.terms.peers[entry.peer]
        return lambda: self.clients(peer, entry.kind, line_to(peer, self.work, self.stopping.wait))

    def _submit(self, key: str, job: Callable[[], object]) -> None:
        running = self._busy.get(key)
        if self.stopping.is_set() or (running is not None and not running.done()):
            return
        self._busy[key] = self._pool.submit(self._guarded, key, job)

    def _guarded(self, key: str, job: Callable[[], object]) -> None:
        try:
            job()
        except ExchangeError as error:
            log.error("schedule.job_failed", key=key, error=error)
        except Exception as error:
            log.critical("schedule.job_broken", key=key, detail=repr(error)[:300], exc_info=True)

    def _look(self) -> None:
        """A new object leaves at once: look at the store ten times a second, push when something was committed."""
        while not self.stopping.is_set():
            try:
                with closing(self.store.watch()) as watch:
                    self._look_with(watch)
            except (ExchangeError, SQLAlchemyError) as error:
                log.error("schedule.look_failed", detail=str(error)[:200])
                self.stopping.wait(TICK)

    def _look_with(self, watch: Watch) -> None:
        quiet = 0.0
        while not self.stopping.wait(LOOK):
            quiet += LOOK
            if watch.changed() or quiet >= TICK:
                quiet = 0.0
                with self._swap:  # what it reads of the terms belongs together
                    self._push_waiting()

    def _push_waiting(self) -> None:
        moment = self.clock()
        now = micros(moment)
        with self.store.reading() as tx:
            if not (listings.pending(tx) or pushed.any_owed(tx)):
                return
            standings = sources.standings(tx)
            able_now = able(tx, self._rules, outbound=self.outbound)
            fresh = {
                target.key
                for target in self.targets().values()
                if (standing := standings.get(target.key)) and standing.due > now
                and (audience := audience_of(self.work, target))
                and fresh_for(tx, target, audience, standing, moment)
            }  # fmt: skip
        for target in self.targets().values():
            standing = standings.get(target.key)
            if standing is None or standing.lease_until > now or (standing.due > now and target.key not in fresh):
                continue
            closed = self.terms.peers[target.peer].closed_until(moment)
            if not closed and may_try(target.key, able_now, standings, moment):
                self._submit(target.key, partial(push, self.work, target, self.client(target)))
