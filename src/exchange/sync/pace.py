"""When to come again: as configured, faster where there is news, later where something fails, never in a closed window.

Nothing is kept here: what is decided stands in the store, beside the source that it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom

from apscheduler.triggers.cron import CronTrigger

from exchange.errors import ExchangeError, PeerBusy, PeerError, PeerProtocol, PeerRefused
from exchange.model.party import Peer, Source

_DAY = timedelta(days=1)
_HOUR = 3_600.0
_JITTER = 0.1
"""Of an interval, at most: what many nodes were told to do at one time they need not do in one second."""
_IDLE, _BUSY = 1.5, 0.5
"""What a poll without news makes of the interval, and one with."""
_LATEST_PUSH = 600.0
"""Seconds after which a target that failed is tried again at the latest: somebody waits for what lies there."""
Draw = Callable[[], float]
"""A number from 0 to 1 by chance."""
CHANCE: Draw = SystemRandom().random


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run that `began` then ended, and what was known before: failures in a row, the interval (None: `every`)."""

    outcome: str
    counts: Mapping[str, int]
    error: ExchangeError | None
    failures: int
    began: datetime
    pace: int | None = None


def after_pull(source: Source, peer: Peer, ended: Ended, now: datetime, draw: Draw) -> tuple[datetime, int | None]:
    """When the source is due, and the interval in seconds that it is polled at from here on."""
    pace = _pace(source, ended)
    interval = source.every if pace is None else float(pace)
    if ended.outcome == "day_full":
        due = datetime.combine(now.date() + _DAY, datetime.min.time(), tzinfo=now.tzinfo)
    elif ended.outcome in ("paused", "closed", "stopping"):
        due = now  # it goes on as soon as it may: when somebody resumes it (RULES R31), at the window's end
    elif ended.error is not None:
        due = now + _backoff(ended.error, ended.failures, source.every, draw)
    elif source.cron:
        due = _next(source.cron, now)
    else:
        due = ended.began + timedelta(seconds=interval * (1 - _JITTER * draw()))
    return peer.closed_until(due) or due, pace


def after_push(peer: Peer, ended: Ended, now: datetime, draw: Draw, *, review: float, retry: float) -> datetime:
    """When the target is due; `review` and `retry`: seconds after *pending*, and after a failure at first."""
    if ended.error is not None:
        due = now + _backoff(ended.error, ended.failures, 0.0, draw, first=retry, most=_LATEST_PUSH)
    else:
        due = now + timedelta(seconds=review if ended.outcome == "waiting" else 0.0)
    return peer.closed_until(due) or due


def _pace(source: Source, ended: Ended) -> int | None:
    if source.cron or (source.fastest is None and source.slowest is None):
        return None
    now = float(ended.pace or source.every)
    if ended.outcome == "complete":
        now *= _BUSY if ended.counts.get("stored") else _IDLE
    return round(min(max(now, source.fastest or source.every), source.slowest or source.every))


def _next(cron: str, now: datetime) -> datetime:
    """The next time that `cron` names, strictly after `now`."""
    found: datetime | None = CronTrigger.from_crontab(cron, UTC).get_next_fire_time(None, now + timedelta(seconds=1))
    return found or now + 366 * _DAY  # a day that no year has


def _backoff(
    error: ExchangeError, failures: int, every: float, draw: Draw, *, first: float = 0.0, most: float = 0.0
) -> timedelta:
    """How long to leave it alone: by what failed, twice as long each time, and never sooner than the peer asked."""
    begin, longest = _class_of(error)
    if first and not isinstance(error, PeerRefused):
        begin, longest = first, most
    wait = min(begin * 2.0 ** min(failures, 20), max(every, longest)) * (1 + _JITTER * draw())
    asked = error.retry_after if isinstance(error, PeerBusy) and error.retry_after is not None else 0.0
    return timedelta(seconds=max(wait, min(asked, _DAY.total_seconds())))


def _class_of(error: ExchangeError) -> tuple[float, float]:
    """Seconds: the first wait, and the longest (or the interval, if that is longer)."""
    if isinstance(error, PeerRefused):
        return 300.0, 6 * _HOUR  # a person has to act, but some servers refuse now and then
    if isinstance(error, PeerProtocol):
        return 300.0, 6 * _HOUR
    if isinstance(error, PeerBusy):
        return 60.0, _HOUR
    if isinstance(error, PeerError):
        return 30.0, _HOUR
    return 10.0, 600.0  # ours: a busy store, a mistake
