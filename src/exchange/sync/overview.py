"""Where we stand with each partner: state, lag, last outcome, next run, what waits; in values, not in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.model.party import Source, Target, Terms
from exchange.model.profile import Profile, from_text
from exchange.policy import Rules
from exchange.policy.audience import target_channel
from exchange.store import Store, accounts, inventory, listings, pushed, quarantine, reviews, sources
from exchange.store.clock import moment
from exchange.sync.breaker import is_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One source or target of a peer. `state`: ok, failing, tripped, paused, closed, disabled, never, running,
    day_full, quarantine_full, no_agreement."""

    peer: str
    key: str
    direction: str
    kind: str
    state: str
    lag: float | None
    """Seconds since everything that was there had been fetched (or handed over)."""
    last: datetime | None
    next: datetime | None
    outcome: str
    error: Mapping[str, Any] | None
    remarks: Sequence[Mapping[str, Any]]
    """What the last run remarked of the source itself: code and fields."""
    counts: Mapping[str, int]
    """Of the last run that moved something."""
    moved: datetime | None
    """When that was."""
    waiting: int
    """Objects to be handed over, or to be recalled."""
    followed: int
    """Of those, with the peer, which has not decided yet."""
    quarantined: int
    held: int
    """Objects that nobody gets because nothing says what they are worth (RULES R11)."""
    vanished: int
    """Objects or events that it once gave and no longer lists."""
    failed: datetime | None
    failure: Mapping[str, Any] | None
    """When a run last failed and why, whatever came after it."""
    succeeded: datetime | None
    """When a run last went through to the end."""
    profile: Profile | None
    """How the peer behaves, by the last look."""
    probed: datetime | None
    difference: Mapping[str, int]
    """What the last comparison with the peer's own list found."""
    reconciled: datetime | None


def overview(store: Store, terms: Terms, now: datetime) -> list[Line]:
    """A line for each source and target, in the order of the configuration."""
    rules = Rules(terms, now)
    with store.reading() as tx:
        standings = sources.standings(tx)
        brakes = {(row["peer"], row["direction"]) for row in accounts.brakes(tx)}
        pending, followed = listings.pending(tx), listings.followed(tx)
        owed = pushed.owed_counts(tx)
        aside = quarantine.counts(tx)
        lost = inventory.vanished_counts(tx)
        remarks = sources.remarks(tx)
        held = reviews.held_counts(tx)
        entries: list[Source | Target] = []
        for peer in terms.peers.values():
            entries += [*peer.sources, *peer.targets]
        news = {entry.key: sources.last_news(tx, entry.key) for entry in entries}
    waiting = {
        a.channel: (pending.get(a.key, 0) + owed.get(a.channel, 0), followed.get(a.key, 0)) for a in rules.audiences
    }
    return [
        _line(
            entry, standings.get(entry.key), news[entry.key], brakes, now,
            waiting=waiting.get(target_channel(entry.key), (0, 0)), quarantined=aside.get(entry.key, 0),
            held=held.get(entry.key, 0), vanished=lost.get(entry.key, 0),
            remarks=remarks.get(entry.key, ()),
            closed=terms.peers[entry.peer].closed_until(now) is not None,
        )
        for entry in entries
    ]  # fmt: skip


def _line(
    entry: Source | Target,
    standing: sources.Standing | None,
    news: tuple[int, Mapping[str, int]] | None,
    brakes: set[tuple[str, str]],
    now: datetime,
    *,
    waiting: tuple[int, int],
    quarantined: int,
    held: int,
    vanished: int,
    closed: bool,
    remarks: Sequence[Mapping[str, Any]],
) -> Line:
    direction = "in" if isinstance(entry, Source) else "out"
    braked = (entry.peer, direction) in brakes or (accounts.ALL, direction) in brakes
    complete = None if standing is None or standing.last_complete is None else moment(standing.last_complete)
    return Line(
        peer=entry.peer,
        key=entry.key,
        direction=direction,
        kind=entry.kind,
        state="paused" if braked else state_of(entry, standing, closed=closed),
        lag=_lag(complete, now, idle=direction == "out" and not waiting[0]),
        last=None if standing is None or standing.last_end is None else moment(standing.last_end),
        next=None
        if standing is None or entry.kind == "file" or (direction == "out" and not waiting[0])
        else moment(standing.due),
        outcome="" if standing is None else standing.last_outcome or "",
        error=None if standing is None or standing.last_error is None else json.loads(standing.last_error),
        remarks=remarks,
        counts={} if news is None else news[1],
        moved=None if news is None else moment(news[0]),
        waiting=waiting[0],
        followed=waiting[1],
        quarantined=quarantined,
        held=held,
        vanished=vanished,
        failed=None if standing is None or standing.last_failed is None else moment(standing.last_failed),
        failure=None if standing is None or standing.last_failure is None else json.loads(standing.last_failure),
        succeeded=complete,
        profile=None if standing is None or standing.profile is None else from_text(standing.profile),
        probed=None if standing is None or standing.probed is None else moment(standing.probed),
        difference={} if standing is None or standing.difference is None else json.loads(standing.difference),
        reconciled=None if standing is None or not standing.difference else moment(standing.reconciled or 0),
    )


def _lag(complete: datetime | None, now: datetime, *, idle: bool) -> float | None:
    """An empty outbox is up to date, whenever it was last emptied."""
    if idle:
        return 0.0
    return None if complete is None else (now - complete).total_seconds()


def state_of(entry: Source | Target, standing: sources.Standing | None, *, closed: bool) -> str:
    """How it is with a source or target, as `Line.state` says, but for the brake."""
    if not entry.enabled:
        return "disabled"
    if standing is None or standing.last_start is None:
        return "never"
    if standing.lease_owner is not None:
        return "running"
    if standing.last_error is not None:
        return "tripped" if is_open(standing) else "failing"
    if closed:
        return "closed"
    return "ok" if standing.last_outcome in ("complete", "waiting", "stopping") else standing.last_outcome or "never"
