"""Erasure for a legal reason (RULES R33): one asks, another approves, and nothing of it is left but digests.

When it is asked for it is withdrawn from everybody, so that whoever had it is told while there is still something to
name. When it is approved its statements, what is said of them alone, our notices and every copy are destroyed, and an
attestation says what was done without saying what it was about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, RowMapping

from exchange.errors import UsageError
from exchange.model.party import Terms
from exchange.policy import Rules
from exchange.store import Store, derived, erasures, ledgers, listings, scopes, statements, sweeping, widenings
from exchange.store.clock import micros, moment
from exchange.store.scopes import Scope
from exchange.store.work import ERASED, NODE
from exchange.store.written import read
from exchange.sync import accounting, recalling
from exchange.sync.accept import require
from exchange.sync.withdrawing import withdraw_from_all

log = structlog.get_logger()

_STEP = 200
"""Statements of one transaction (RULES R18)."""
_NAMED = 3
"""Ids by which a withdrawal of what goes with it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and the withdrawals that were made for it: of what was named, and of what goes with it."""

    number: int
    withdrawals: tuple[int, ...]
    digest: str


def ask(
    store: Store, rules: Rules, scope: Scope, *, who: str, why: str, basis: str, clock: Callable[[], datetime]
) -> Request:
    """Write the request down and withdraw what it is about. Raises UsageError where its words would tell it."""
    with store.reading() as tx:
        seqs = _seqs(tx, scope)
        words = [*_needles(scope), *erasures.values_of(tx, seqs)]
        beside = _beside(tx, scope, seqs)
    if any(word.lower() in text.lower() for word in words for text in (why, basis)):
        raise UsageError("cli.erase.told")
    with store.writing() as tx:
        require(tx, rules)
        number = erasures.ask(tx, scope, who=who, why=why, basis=basis, now=micros(clock()))
        row = erasures.find(tx, number)
    numbers = tuple(
        withdraw_from_all(store, rules, each, who=who, why=reason_of(number), clock=clock).number
        for each in _withdrawn(scope, beside)
    )
    return Request(number=number, withdrawals=numbers, digest="" if row is None else bytes(row["digest"]).hex())


def _beside(tx: Connection, scope: Scope, seqs: Sequence[int]) -> tuple[str, ...]:
    """The ids of what goes with it, though it is not what was named: what is said of it alone, and its widened form."""
    ids = {each.stix_id for each in statements.by_seq(tx, seqs) if each.peer != NODE}
    return tuple(sorted(ids - set(scope.targets) - scopes.first_of(tx, scope, ids).keys()))


def _withdrawn(scope: Scope, beside: tuple[str, ...]) -> list[Scope]:
    """What is withdrawn for it: one, where ids were named; a value or an event catches what comes later, ids do not."""
    if scope.kind == "object":
        return [replace(scope, targets=(*scope.targets, *beside))]
    if not beside:
        return [scope]
    more = f", … (+{len(beside) - _NAMED})" if len(beside) > _NAMED else ""
    return [scope, Scope(kind="object", asked=", ".join(beside[:_NAMED]) + more, targets=beside)]


def reason_of(number: int) -> str:
    """What the withdrawals that were made for a request give as their reason."""
    return f"exchange erase {number}"


def approve(
    store: Store,
    rules: Rules,
    number: int,
    *,
    who: str,
    despite: bool,
    clock: Callable[[], datetime],
    wait: Callable[[float], object],
) -> Mapping[str, Any]:
    """Destroy it; gives the attestation. Broken off, it goes on where it stood when it is approved again.

    `despite`: though a partner's server has not deleted our copy yet. Raises UsageError, StoreBusy and StoreOutdated.
    """
    with store.reading() as tx:
        row = _open(tx, number, who)
        scope = scopes.of_row(row)
        ids = _ids(tx, scope)
        needles = _needles(scope, ids)
        named = sorted({*needles, *erasures.values_of(tx, _seqs(tx, scope))})
        if not despite and erasures.owed(tx, _seqs(tx, scope)):
            raise UsageError("cli.erase.owed", number=number)
    had = recalling.holders(recalling.entries(store, scope), rules.terms)
    before = _heads(store)
    with store.writing() as tx:
        require(tx, rules)
        erasures.approve(tx, number, who=who, now=micros(clock()))
        values = scope.targets if scope.kind == "value" else ()
        erasures.remember(tx, number, ids=ids, values=values)
    count = _destroy(store, rules, scope, ids, needles, clock)
    swept = sweeping.sweep(store, named, wait)
    attested = _attest(store, row, rules.terms, had, count, who=who, at=clock()) | {
        "heads_before": before, "heads_after": _heads(store), "swept": swept, "left": _left(store, named),
        "faults": len(accounting.verify(store).faults),
    }  # fmt: skip
    with store.writing() as tx, sweeping.overwriting(tx):
        erasures.complete(tx, number, orjson.dumps(attested).decode())
    sweeping.sweep(store, named, wait)
    return attested


def _open(tx: Connection, number: int, who: str) -> RowMapping:
    row = erasures.find(tx, number)
    if row is None or row["state"] not in (erasures.ASKED, erasures.APPROVED):
        raise UsageError("cli.erase.unknown", number=number)
    if row["who"].casefold() == who.casefold():
        raise UsageError("cli.erase.four_eyes", who=row["who"], number=number)
    return row


def _seqs(tx: Connection, scope: Scope) -> list[int]:
    """The statements that are meant, what is said of them alone, and what was made of any of these for somebody."""
    seqs: list[int] = []
    ids: set[str] = set()
    while held := scopes.steps(tx, scope, seqs[-1] if seqs else 0, _STEP):
        seqs += [each.seq for each in held]
        ids |= {each.stix_id for each in held if each.type != ERASED}
    copies = derived.made_of(tx, seqs)
    widened = [each for group in statements.held(tx, widenings.made_of(tx, ids)).values() for each in group]
    copies |= {each.seq for each in widened} | derived.made_of(tx, [each.seq for each in widened])
    ids |= {each.stix_id for each in statements.by_seq(tx, copies) if each.type != ERASED}
    found, about = {*seqs, *copies}, ids
    while about:  # of what is said of it alone, and of our notices about that, too
        more = set(erasures.said_of(tx, about))
        more = (more | derived.made_of(tx, more)) - found
        found |= more
        about = {each.stix_id for each in statements.by_seq(tx, more) if each.type != ERASED}
    return sorted(found)


def _ids(tx: Connection, scope: Scope) -> list[str]:
    """The ids of what is meant, and of what is said of it alone; those of an object even when no statement is left."""
    held = statements.by_seq(tx, _seqs(tx, scope))
    ids = {each.stix_id for each in held if each.type != ERASED}
    return sorted(ids | set(scope.targets if scope.kind == "object" else ()))


def _needles(scope: Scope, ids: Collection[str] = ()) -> list[str]:
    """The words that must not be found afterwards: what was asked, and the ids."""
    words = {scope.asked, *ids, *(scope.targets if scope.kind in ("object", "value") else ())}
    return sorted(word for word in words if len(word) > erasures.SHORT)


def _destroy(
    store: Store, rules: Rules, scope: Scope, ids: Sequence[str], needles: Sequence[str], clock: Callable[[], datetime]
) -> int:
    with store.reading() as tx:
        seqs = _seqs(tx, scope)
    for at in range(0, len(seqs), _STEP):
        with store.writing() as tx, sweeping.overwriting(tx):
            require(tx, rules)
            some = seqs[at : at + _STEP]
            # What was made of a statement goes with it: who goes on after a break finds it by nothing else.
            both = {*some, *derived.made_of(tx, some)}
            held = [each for each in statements.by_seq(tx, both) if each.type != ERASED]
            mine = {each.seq for each in held}
            rows = [row for row in listings.standing(tx, {each.stix_id for each in held}) if row.seq in mine]
            listings.close(tx, [(row, "withdrawn.erased") for row in rows], micros(clock()))
            erasures.destroy(tx, held)
    events = [int(number) for number in scope.targets] if scope.kind == "event" else []
    with store.writing() as tx, sweeping.overwriting(tx):
        require(tx, rules)
        widenings.forget(tx, ids)
        erasures.scrub(tx, ids, scope.targets if scope.kind == "value" else (), events)
        erasures.scrub_texts(tx, needles)
    with store.noting() as tx, sweeping.overwriting(tx):
        erasures.scrub_reads(tx, needles)
    return len(seqs)


def _left(store: Store, needles: Sequence[str]) -> list[dict[str, Any]]:
    """Where one of the words still stands: the words of others who mention it, and the request itself until its end."""
    with store.reading() as tx:
        found = erasures.left(tx, needles)
    with store.noted() as tx:
        found += erasures.left(tx, needles, [read])
    return [asdict(each) for each in found if not each.place.startswith("erasure.")]


def _heads(store: Store) -> dict[str, str]:
    with store.reading() as tx:
        last = ledgers.last_anchor(tx)
        return {"handed": ledgers.head_of_handed(tx)[1], "anchor": "" if last is None else bytes(last["link"]).hex()}


def _attest(
    store: Store, row: RowMapping, terms: Terms, had: Sequence[recalling.Holder], count: int, *, who: str, at: datetime
) -> dict[str, Any]:
    return {
        "number": row["id"], "digest": bytes(row["digest"]).hex(), "kind": row["kind"], "statements": count,
        "asked_by": row["who"], "asked_at": moment(row["at"]).isoformat(), "approved_by": who,
        "erased_at": at.astimezone(UTC).isoformat(), "why": row["why"], "legal_basis": row["basis"],
        "node": terms.node_identity, "engine": store.engine.dialect.name,
        "had": [
            {
                "peer": each.peer, "account": each.account, "name": each.name, "contact": each.contact,
                "delivered": each.delivered, "accepted": each.accepted, "deleted": each.deleted, "told": each.told,
            }
            for each in had if each.has
        ],
    }  # fmt: skip
