"""A pull: lease, drain the source page by page through the one door in, write down how it went.

Each page commits with its cursor, so a crash loses nothing and doubles nothing. A drain takes every page in one run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from exchange import convert
from exchange.errors import ConfigError, ContentError, ExchangeError, PeerError, PeerRefused
from exchange.model.envelope import Document, Page, PeerClient, Rejected, cut
from exchange.model.party import Peer, Source, Target
from exchange.policy import Rules
from exchange.store import Store, accounts, quarantine, sources
from exchange.store.clock import micros, moment
from exchange.sync.accept import LeaseLost, accept
from exchange.sync.breaker import hurry_others
from exchange.sync.pace import CHANCE, Draw, Ended, after_pull

log = structlog.get_logger()

LEASE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one pull or push ended: outcome code, counts per outcome, and the error that ended it, if any."""

    key: str
    outcome: str
    counts: dict[str, int]
    error: ExchangeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker of the schedule needs: the store, the rules in force, the clock, and who it is."""

    store: Store
    rules: Callable[[], Rules]
    clock: Callable[[], datetime]
    owner: str
    stopping: Callable[[], bool]
    draw: Draw = CHANCE
    node: str = ""
    """Our name, for frames of ours."""


def pull(work: Work, source: Source, client: Callable[[], PeerClient], *, forced: bool = False) -> Run | None:
    """Drain `source`; None: not due, or somebody else is at it. Every error of the peer ends in the run's record."""
    now = work.clock()
    with work.store.writing() as tx:
        if not sources.lease(
            tx, source.key, work.owner, micros(now), micros(now + LEASE), forced=forced,
            at_once=peer_of(work, source).at_once,
        ):  # fmt: skip
            return None
        number = sources.begin_run(tx, source.key, micros(now))
        sources.forget_remarks(tx, source.key)
        standing = sources.standings(tx)[source.key]
    cursor = json.loads(standing.cursor)
    if standing.again_from is not None:
        source = replace(source, since=moment(standing.again_from))
    counts: Counter[str] = Counter()
    outcome: str = "complete"
    error: ExchangeError | None = None
    try:
        outcome = barrier(work, source) or _drain(work, source, client(), cursor, counts)
    except LeaseLost as lost:
        outcome, error = "lease_lost", None if _is_free(work, source.key) else lost
    except ExchangeError as failed:
        interrupted = failed.code == "peer.interrupted"
        outcome, error = ("stopping", None) if interrupted else ("failed", failed)
    except Exception as broken:  # noqa: BLE001 (told with its trace; the lease and the record must not stay open)
        outcome, error = "failed", unforeseen(source.key, broken)
    run = Run(key=source.key, outcome=outcome, counts=dict(counts), error=error)
    _finish(work, source, run, number)
    return run


def _is_free(work: Work, key: str) -> bool:
    """Whether nobody has the lease: then it was not taken over, but an operator had the source begun anew."""
    with work.store.reading() as tx:
        return sources.standings(tx)[key].lease_owner is None


def barrier(work: Work, source: Source) -> str:
    """Why nothing may be taken from this source now; empty: nothing stands in the way."""
    if not work.rules().receives(source.peer):
        return "no_agreement"
    now = work.clock()
    if peer_of(work, source).closed_until(now):
        return "closed"
    with work.store.reading() as tx:
        if accounts.braked(tx, source.peer, "in"):
            return "paused"
        standing = sources.standings(tx)[source.key]
        if quarantine.is_full(tx, source.key):
            return "quarantine_full"
    if standing.day == now.date().isoformat() and _full(source, standing):
        return "day_full"
    return "stopping" if work.stopping() else ""


def _full(source: Source, standing: sources.Standing) -> bool:
    """Whether as much has come today as may come on one day (RULES R32)."""
    objects, size = source.max_day, source.max_day_size
    return (objects is not None and standing.day_count >= objects) or (size is not None and standing.day_bytes >= size)


def _drain(work: Work, source: Source, client: PeerClient, cursor: dict[str, object], counts: Counter[str]) -> str:
    for brought in client.pull(source, cursor):
        for page in pages(brought, source, work.clock()):
            now = work.clock()
            accepted = accept(
                work.store, work.rules(), page, source.key, source.peer, now,
                lease=(work.owner, micros(now + LEASE)),
            )  # fmt: skip
            counts.update(accepted.counts)
            for stix_id, audience in accepted.stopped:
                log.error("gate.stopped", source=source.key, id=stix_id, audience=audience)
        stop = "" if brought.last else barrier(work, source)
        if stop:
            return stop
    return "complete"


def pages(brought: Page, source: Source, now: datetime) -> Iterator[Page]:
    """What a client brought, converted and cut for one transaction each; only the last carries cursor and end."""
    if brought.document is None or brought.objects:
        yield from cut(brought)
        return
    waiting: Page | None = None
    for page in _converted(brought, brought.document, source, now):
        if waiting is not None:
            yield from cut(waiting)
        waiting = page
    if waiting is not None:
        yield from cut(replace(waiting, cursor=brought.cursor, last=brought.last))


def _converted(brought: Page, document: Document, source: Source, now: datetime) -> Iterator[Page]:
    """The pages made of an event, the first with what the client said; an event that fails is set aside whole."""
    said = Page(rejected=brought.rejected, skipped=brought.skipped)
    try:
        for made in convert.pages(document.raw, source, now=now):
            yield replace(made, rejected=(*said.rejected, *made.rejected), skipped=(*said.skipped, *made.skipped))
            said = Page()
    except ContentError as error:
        bad = Rejected(raw=document.raw, code=error.code, fields=error.fields, id=document.id)
        yield Page(rejected=(*said.rejected, bad), skipped=said.skipped)


def _finish(work: Work, source: Source, run: Run, number: int) -> None:
    now = work.clock()
    with work.store.writing() as tx:
        before = sources.standings(tx)[source.key]
        ended = Ended(
            outcome=run.outcome,
            counts=run.counts,
            error=run.error,
            failures=before.failures,
            pace=before.pace,
            began=moment(before.last_start or micros(now)),
        )
        due, pace = after_pull(source, peer_of(work, source), ended, now, work.draw)
        sources.finish(
            tx, source.key, work.owner, now=micros(now), due=micros(due), outcome=run.outcome,
            complete=run.outcome == "complete", error=error_text(run.error), pace=pace,
        )  # fmt: skip
        sources.end_run(tx, number, micros(now), run.outcome, run.counts)
        if run.error is None and before.failures:
            hurry_others(tx, source.peer, now)
    report(run, "pull", source.peer, source.key)


def peer_of(work: Work, entry: Source | Target) -> Peer:
    """The peer of a source or target, by the terms in force."""
    return work.rules().terms.peers[entry.peer]


def unforeseen(key: str, broken: Exception) -> ExchangeError:
    """A mistake of ours in the middle of a run: told with its trace, and the run ends in order all the same."""
    log.critical("schedule.job_broken", key=key, detail=repr(broken)[:300], exc_info=broken)
    return ExchangeError("error.internal", detail=repr(broken)[:200])


def error_text(error: ExchangeError | None) -> str | None:
    """An error as the store keeps it: code and fields, in no language."""
    if error is None:
        return None
    first = error.problems[0] if isinstance(error, ConfigError) and error.problems else error
    return json.dumps({"code": first.code, "fields": dict(first.fields)}, default=str)


def report(run: Run, verb: str, peer: str, key: str) -> None:
    """One event for a run, with its counts; a failure says what failed."""
    if run.outcome == "quarantine_full":
        log.error(f"{verb}.quarantine_full", peer=peer, key=key)
    elif run.error is not None:
        level = log.error if isinstance(run.error, PeerRefused) or not isinstance(run.error, PeerError) else log.warning
        level(f"{verb}.failed", peer=peer, key=key, error=run.error, **run.counts)
    elif run.outcome == "complete":
        changed = any(
            run.counts.get(name) for name in ("stored", "rejected", "conflict", "accepted", "recalled", "refused")
        )
        (log.info if changed else log.debug)(f"{verb}.done", peer=peer, key=key, counts=run.counts)
    else:
        log.warning(f"{verb}.{run.outcome}", peer=peer, key=key)
