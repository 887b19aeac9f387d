"""What is done seldom: looking how a peer behaves, comparing what it lists with what we hold, judging anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exchange.model.party import Source, Target
from exchange.store.clock import micros
from exchange.store.sources import ASKED, Standing
from exchange.sync.breaker import is_open
from exchange.sync.probing import probe
from exchange.sync.reconcile import reconcile
from exchange.sync.retrial import judge_of, retry_untried

if TYPE_CHECKING:
    from exchange.sync.schedule import Schedule

log = structlog.get_logger()

_HOUR = timedelta(hours=1)
Job = tuple[str, Callable[[], object]]
"""The name under which it is not begun twice, and what to do."""


class Rounds:
    """When each of these was done stands in the store; this only looks whether one is due. None: only when asked."""

    def __init__(self, *, probe: float | None, reconcile: float | None) -> None:
        self._probe, self._reconcile = probe, reconcile
        self._judged: tuple[str, datetime] | None = None

    def due(self, schedule: Schedule, standings: Mapping[str, Standing], now: datetime) -> list[Job]:
        """What is to be done now."""
        jobs: list[Job] = [*self._judging(schedule, now)]
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

    def _judging(self, schedule: Schedule, now: datetime) -> Iterator[Job]:
        """At the start, under new terms, and every hour for what was in the way then."""
        judge = judge_of(schedule.work.rules())
        if self._judged is None or self._judged[0] != judge or now - self._judged[1] >= _HOUR:
            self._judged = judge, now
            yield "quarantine", partial(_judge, schedule)


def _judge(schedule: Schedule) -> None:
    work = schedule.work
    counts = retry_untried(work.store, work.rules(), work.clock, work.stopping)
    if counts:
        log.info("quarantine.retried", counts=dict(counts))


def _is_old(done: int | None, every: float | None, now: datetime) -> bool:
    return every is not None and (done is None or micros(now) - done >= every * 1_000_000)
