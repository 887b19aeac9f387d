"""The line to a peer: how its client waits, how often it may ask, and what is written down of each TLS handshake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from exchange.errors import StoreError
from exchange.model.party import Peer
from exchange.model.profile import Handshake
from exchange.store import budgets, handshakes
from exchange.store.clock import micros
from exchange.store.handshakes import Shown, Side
from exchange.sync.pull import Work

log = structlog.get_logger()

WARNED = (30, 14, 3)
"""Days before a certificate ends at which it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the client of a peer is given of ours."""

    wait: Callable[[float], bool]
    """Waits some seconds; true when the daemon is stopping."""
    spend: Callable[[], float]
    """Takes one request out of the peer's budget; seconds to wait before it is made."""
    handshake: Callable[[Handshake], None]
    """Told of each TLS handshake."""


def line_to(peer: Peer, work: Work, wait: Callable[[float], bool]) -> Line:
    """The line to `peer`."""
    return Line(
        wait=wait,
        spend=lambda: _spend(peer, work),
        handshake=lambda shown: _note(work, shown),
    )


def _spend(peer: Peer, work: Work) -> float:
    if peer.requests_per_minute is None:
        return 0.0
    with work.store.writing() as tx:
        return budgets.spend(tx, peer.id, peer.requests_per_minute, micros(work.clock())) / 1_000_000


def _note(work: Work, shown: Handshake) -> None:
    """What cannot be written down now is shown again soon; it is no reason to hang up."""
    try:
        _keep(work, shown)
    except StoreError as error:
        log.warning("handshake.not_kept", peer=shown.peer, error=error)


def _keep(work: Work, shown: Handshake) -> None:
    """Both certificates of a handshake; written anew only when something of it changed, or once a day."""
    now = work.clock()
    seen = [_shown(shown, "theirs", shown.subject, "", shown.not_after, now)]
    if shown.our_not_after is not None:
        seen.append(_shown(shown, "ours", shown.our_subject or "", shown.our_file or "", shown.our_not_after, now))
    with work.store.reading() as tx:
        known = {(each.peer, each.side, each.origin): each for each in handshakes.shown(tx)}
    day = micros(now) - micros(now - timedelta(days=1))
    fresh = []
    for each in seen:
        before = known.get((each.peer, each.side, each.origin))
        if before is None or before.not_after != each.not_after or each.seen - before.seen >= day:
            fresh.append(each)
            days = max(0, (each.not_after - each.seen) // day)
            if days < WARNED[0]:
                _say(each, days)
    if fresh:
        with work.store.writing() as tx:
            handshakes.keep(tx, fresh)


def _shown(shown: Handshake, side: Side, subject: str, file: str, not_after: datetime, now: datetime) -> Shown:
    ends, seen = micros(not_after), micros(now)
    return Shown(peer=shown.peer, side=side, origin=shown.origin, subject=subject, file=file, not_after=ends, seen=seen)


def _say(shown: Shown, days: int) -> None:
    if shown.side == "ours":
        log.warning("certificate.ours", peer=shown.peer, days=days, subject=shown.subject, file=shown.file)
    else:
        log.warning("certificate.theirs", peer=shown.peer, days=days, subject=shown.subject)
