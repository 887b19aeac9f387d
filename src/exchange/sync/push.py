"""A push: what waits in a target's outbox leaves in envelopes; each object's receipt goes to outbox and ledger.

A refused object does not hold back the others; a lost answer is sent again and does no harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from exchange.errors import ExchangeError
from exchange.model.dialect import render
from exchange.model.envelope import Outgoing, PeerClient
from exchange.model.party import Target
from exchange.policy import Audience, gate, gate_notice
from exchange.policy.audience import target_channel
from exchange.store import accounts, aliases, listings, pushed, sources
from exchange.store.clock import micros
from exchange.store.listings import Parcel
from exchange.store.sources import Standing
from exchange.sync.breaker import hurry_others
from exchange.sync.handing import hand_over, waits
from exchange.sync.pace import Ended, after_push
from exchange.sync.pull import LEASE, Run, Work, error_text, peer_of, report, unforeseen
from exchange.sync.removal import remove
from exchange.sync.removal import waits as anything_to_remove

log = structlog.get_logger()

BATCH = 100
"""Objects taken from the outbox at a time: one envelope, so that a brake or a withdrawal stops the next one."""
RETRY = 5.0
"""Seconds before a target that failed is tried again; doubles with each failure."""
REVIEW = 60.0
"""Seconds before a peer that said *pending* is asked again."""
SOON = 10.0
"""Seconds before it is looked whether the frame of an event has come."""
MOST_ATTEMPTS = 1440
"""A peer that says *pending* for a day has refused it (RULES R21)."""

Settled = tuple[Parcel, str, str]


def audience_of(work: Work, target: Target) -> Audience | None:
    """The audience that `target` is (RULES R1: exactly one)."""
    channel = target_channel(target.key)
    return next((a for a in work.rules().audiences if a.channel == channel), None)


def push(work: Work, target: Target, client: Callable[[], PeerClient], *, forced: bool = False) -> Run | None:
    """Hand over everything that waits for `target`; None: nothing waits, not due, or somebody else is at it.

    Before a target is due again that keeps things pending, only what it was never offered is handed over.
    """
    audience = audience_of(work, target)
    now = work.clock()
    if audience is None:
        return None
    with work.store.reading() as tx:
        if not _waits(tx, target, audience, now) or accounts.braked(tx, target.peer, "out"):
            return None
        early = None if forced else fresh_for(tx, target, audience, sources.standings(tx)[target.key], now)
    with work.store.writing() as tx:
        if not sources.lease(
            tx, target.key, work.owner, micros(now), micros(now + LEASE), forced=forced or early is not None,
            at_once=peer_of(work, target).at_once,
        ):  # fmt: skip
            return None
        number = sources.begin_run(tx, target.key, micros(now))
    counts: Counter[str] = Counter()
    outcome: str = "complete"
    error: ExchangeError | None = None
    try:
        if target.kind == "misp":
            outcome = hand_over(work, target, audience, client(), counts)
        else:
            outcome = _empty(work, target, audience, client(), counts, fresh=early is not None)
    except ExchangeError as failed:
        interrupted = failed.code == "peer.interrupted"
        outcome, error = ("stopping", None) if interrupted else ("failed", failed)
    except Exception as broken:  # noqa: BLE001 (told with its trace; the lease and the record must not stay open)
        outcome, error = "failed", unforeseen(target.key, broken)
    if early is not None and outcome == "complete":
        outcome = "waiting"  # for what was left aside this time
    run = Run(key=target.key, outcome=outcome, counts=dict(counts), error=error)
    _finish(work, target, run, number, early)
    return run


def fresh_for(tx: Connection, target: Target, audience: Audience, standing: Standing, now: datetime) -> int | None:
    """When it is due (µs), of a target that is not yet and has something pending, if there is news for it; else None.

    What a peer has not decided on is asked for seldom; it does not hold back what comes after it.
    """
    resting = target.kind == "taxii" and standing.last_outcome == "waiting" and standing.due > micros(now)
    if not resting or not listings.parcels(tx, audience.key, micros(now), 1, fresh=True):
        return None
    return standing.due


def _waits(tx: Connection, target: Target, audience: Audience, now: datetime) -> bool:
    if target.kind == "misp":
        return waits(tx, audience, micros(now))
    return bool(listings.parcels(tx, audience.key, micros(now), 1)) or anything_to_remove(tx, audience)


def _empty(
    work: Work, target: Target, audience: Audience, client: PeerClient, counts: Counter[str], *, fresh: bool
) -> str:
    """Send until the outbox is empty; what is sent was decided against everything committed before (RULES R17).

    What the peer keeps pending is asked for once in a run, and does not hold back what comes after it. That something
    leaves is written down before it does, so that a lost answer hides nothing; then it is looked at once more.
    """
    marked: set[tuple[int, int]] = set()
    ended = remove(work, target, audience, client, counts)
    if ended not in ("", "waiting"):
        return ended
    after, waits = -1, ended == "waiting"
    while not work.stopping():
        now = work.clock()
        if peer_of(work, target).closed_until(now):
            return "closed"
        with work.store.reading() as tx:
            if accounts.braked(tx, target.peer, "out"):
                return "paused"
            found = listings.parcels(tx, audience.key, micros(now), BATCH, after=after, fresh=fresh)
            parcels = [replace(each, body=render(each.body, audience.dialect)) for each in found]
            ids = {parcel.stix_id for parcel in parcels}
            held = aliases.held_by(tx, target.peer, ids)
            had = listings.accepted(tx, audience.channel, ids)
        if not parcels:
            return "waiting" if waits else "complete"
        settled, leaving = _sift(parcels, held, had, work.rules().clearance(audience), target)
        new = [p for p in leaving if not (p.attempts or p.again or (p.audience, p.added) in marked)]
        if new:
            if not _mark(work, target, audience, new):
                return "lease_lost"
            marked |= {(parcel.audience, parcel.added) for parcel in new}
            continue
        after = parcels[-1].added
        if leaving:
            settled += _hand_over(leaving, target, client)
        kept = _settle(work, target, audience, settled)
        counts.update(state for _, state, _ in settled)
        if not kept:
            return "lease_lost"
        waits = waits or any(state == "pending" for _, state, _ in settled)
    return "stopping"


def _mark(work: Work, target: Target, audience: Audience, leaving: Sequence[Parcel]) -> bool:
    """From now on the target may have these; False: the lease was taken from us."""
    with work.store.writing() as tx:
        if not sources.extend(tx, target.key, work.owner, micros(work.clock() + LEASE)):
            return False
        pushed.reserve(tx, audience.channel, {}, leaving)
    return True


def _settle(work: Work, target: Target, audience: Audience, settled: Sequence[Settled]) -> bool:
    """Write down what became of these; False: the lease was taken from us."""
    now = work.clock()
    with work.store.writing() as tx:
        kept = sources.extend(tx, target.key, work.owner, micros(now + LEASE))
        if kept:
            listings.settle(tx, settled, peer=target.peer, channel=audience.channel, now=micros(now))
    return kept


def _sift(
    parcels: Sequence[Parcel],
    held: set[tuple[str, str]],
    had: set[tuple[str, str]],
    clearance: int,
    target: Target,
) -> tuple[list[Settled], list[Parcel]]:
    """What need not or must not leave, with why; and what leaves."""
    settled: list[Settled] = []
    leaving = []
    for parcel in parcels:
        if (parcel.stix_id, parcel.version) in held:
            settled.append((parcel, "known", "push.peer_gave_it"))
        elif (parcel.stix_id, parcel.version) in had and not parcel.again:
            settled.append((parcel, "known", "push.peer_has_it"))
        elif not (gate_notice(parcel.body) if parcel.notice else gate(parcel.body, clearance)):
            log.error("gate.stopped", source=target.key, id=parcel.stix_id, audience=parcel.audience)
            settled.append((parcel, "stopped", "gate.marking"))
        else:
            leaving.append(parcel)
    return settled, leaving


def _hand_over(leaving: Sequence[Parcel], target: Target, client: PeerClient) -> list[Settled]:
    outgoing = [
        Outgoing(id=parcel.stix_id, version=parcel.version, body=parcel.body, status=parcel.status)
        for parcel in leaving
    ]
    receipts = {(receipt.id, receipt.version): receipt for receipt in client.push(target, outgoing)}
    settled: list[Settled] = []
    for parcel in leaving:
        receipt = receipts.get((parcel.stix_id, parcel.version))
        state = "pending" if receipt is None else receipt.outcome
        if state == "pending" and parcel.attempts >= MOST_ATTEMPTS:
            state = "refused"
        status, message = ("", "") if receipt is None else (receipt.status, receipt.message)
        settled.append((replace(parcel, status=status), state, message))
    return settled


def _finish(work: Work, target: Target, run: Run, number: int, early: int | None) -> None:
    now = work.clock()
    with work.store.writing() as tx:
        failures = sources.standings(tx)[target.key].failures
        ended = Ended(outcome=run.outcome, counts=run.counts, error=run.error, failures=failures, began=now)
        review = REVIEW if run.counts.get("pending") or target.kind != "misp" else SOON
        due = after_push(peer_of(work, target), ended, now, work.draw, review=review, retry=RETRY)
        sources.finish(
            tx, target.key, work.owner, now=micros(now), due=early if early and not run.error else micros(due),
            outcome=run.outcome,
            complete=run.outcome == "complete", error=error_text(run.error),
        )  # fmt: skip
        sources.end_run(tx, number, micros(now), run.outcome, run.counts)
        if run.error is None and failures:
            hurry_others(tx, target.peer, now)
    report(run, "push", target.peer, target.key)
