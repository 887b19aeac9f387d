"""What is done seldom: looking how a peer behaves, comparing what it lists with what we hold, judging
anew, closing what is too old."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exchange.model.party import Source, Target
from exchange.store import later, removals
from exchange.store.clock import micros
from exchange.store.sources import ASKED, Standing
from exchange.sync import accounting, afterwards, expiring, second_look, withdrawing
from exchange.sync.breaker import is_open
from exchange.sync.probing import probe
from exchange.sync.reconcile import reconcile
from exchange.sync.refolding import refold, succeed, waits
from exchange.sync.rekeying import outdated, rekey, relist
from exchange.sync.retrial import judge_of, retry_untried

if TYPE_CHECKING:
    from exchange.sync.schedule import Schedule

log = structlog.get_logger()

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
Job = tuple[str, Callable[[], object]]
"""The name under which it is not begun twice, and what to do."""


class Rounds:
    """When each of these was done stands in the store; this only looks whether one is due. None: only when asked."""

    def __init__(self, *, probe: float | None, reconcile: float | None) -> None:
        self._probe, self._reconcile = probe, reconcile
        self._judged: tuple[str, datetime] | None = None
        self._folded: tuple[str, date | None] = "", None
        self._looked: datetime | None = None
        self._anchored: datetime | None = None

    def due(self, schedule: Schedule, standings: Mapping[str, Standing], now: datetime) -> list[Job]:
        """What is to be done now."""
        jobs: list[Job] = [
            *self._judging(schedule, now), *self._folding(schedule, now), *self._expiring(schedule, now),
            *self._looking(schedule, now), *self._anchoring(schedule, now), *self._withdrawing(schedule),
        ]  # fmt: skip
        for peer in schedule.terms.peers.values():
            entries: list[Source | Target] = [*peer.sources, *peer.targets]
            for entry in entries:
                standing = standings.get(entry.key)
                if standing is not None and entry.kind != "file" and not peer.closed_until(now):
                    jobs += self._of(schedule, entry, standing, now)
        return jobs

    def _of(self, schedule: Schedule, entry: Source | Target, standing: Standing, now: datetime) -> Iterator[Job]:
        """One look and one comparison at a time: what is due besides comes when they are done."""
        work, client = schedule.work, schedule.client(entry)
        usual = entry.enabled and not is_open(standing)
        if standing.probed == ASKED or (usual and _is_old(standing.probed, self._probe, now)):
            yield "probe", partial(probe, work, entry, client)
        again = _is_old(standing.comparing, _HOUR.total_seconds(), now)
        compared = standing.last_complete is not None and _is_old(standing.reconciled, self._reconcile, now)
        if again and (standing.reconciled == ASKED or (usual and compared)):
            yield "reconcile", partial(reconcile, work, entry, client)

    def _folding(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """At the start and every day, as agreements end at midnight, and when a transaction had too much to do."""
        work, (rules, day) = schedule.work, self._folded
        if outdated(work.store) or waits(work.store) or rules != work.rules().epoch or day != now.date():
            yield "folds", partial(self._fold, schedule, (work.rules().epoch, now.date()))

    def _fold(self, schedule: Schedule, done: tuple[str, date]) -> None:
        work = schedule.work
        rekey(work.store, work.stopping)
        relist(work.store, work.rules(), work.clock(), work.stopping)
        for job in (refold, succeed):
            job(work.store, work.rules(), work.clock, work.stopping)
        self._folded = done

    def _expiring(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """As soon as something is due, or was seen again."""
        work = schedule.work
        if expiring.is_due(work.store, work.rules(), now):
            yield "expiry", partial(expiring.expire, work.store, work.rules(), work.clock, work.stopping)

    def _judging(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """At the start, under new terms, and every hour for what was in the way then."""
        judge = judge_of(schedule.work.rules())
        if self._judged is None or self._judged[0] != judge or now - self._judged[1] >= _HOUR:
            self._judged = judge, now
            yield "quarantine", partial(_judge, schedule)

    def _looking(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """At the start for other lists, then for what came in meanwhile by other lists than ours."""
        if self._looked is None or now - self._looked >= _MINUTE:
            first, self._looked = self._looked is None, now
            yield "warninglists", partial(_look, schedule, first=first)

    def _withdrawing(self, schedule: Schedule) -> Iterator[Job]:
        """What an operator began and did not end (RULES R31), and what became known later; usually nothing."""
        work = schedule.work
        with work.store.reading() as tx:
            left, known = removals.unfinished(tx), later.any_left(tx)
        if left:
            yield "withdrawals", partial(withdrawing.resume, work.store, work.rules(), work.clock, work.stopping)
        if known:
            yield "later", partial(afterwards.resume, work.store, work.rules(), work.clock, work.stopping)

    def _anchoring(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """Every minute (RULES R27); several daemons on one store drop one anchor between them."""
        if self._anchored is None or (now - self._anchored).total_seconds() >= accounting.EVERY:
            self._anchored = now
            yield "ledger", partial(accounting.anchor, schedule.work.store, now)


def _look(schedule: Schedule, *, first: bool) -> None:
    work = schedule.work
    with work.store.reading() as tx:
        due = second_look.is_due(tx, work.rules(), first=first)
    if due:
        changed = second_look.look_again(work.store, work.rules(), work.clock, work.stopping)
        log.info("warninglists.looked", changed=changed)


def _judge(schedule: Schedule) -> None:
    work = schedule.work
    counts = retry_untried(work.store, work.rules(), work.clock, work.stopping)
    if counts:
        log.info("quarantine.retried", counts=dict(counts))


def _is_old(done: int | None, every: float | None, now: datetime) -> bool:
    return every is not None and (done is None or micros(now) - done >= every * 1_000_000)
