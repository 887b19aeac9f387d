"""In words: what was erased, when and on what basis, and what the ledgers still say of it."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.cli.layout import day
from exchange.cli.terminal import say, tell, where_of
from exchange.config import Settings
from exchange.store.erasures import DONE
from exchange.sync.remains import Erased

_FEW = 20


def print_erased(asked: str, found: Iterable[Erased], settings: Settings) -> None:
    """Each erasure of what was asked."""
    for each in found:
        _print_one(asked, each, settings)


def _print_one(asked: str, found: Erased, settings: Settings) -> None:
    code = "cli.why.erased" if found.state == DONE else "cli.why.erasing"
    tell(code, asked=asked, number=found.number, at=day(found.erased_at))
    tell("cli.why.erased_by", who=found.asked_by, at=day(found.asked_at), approver=found.approved_by)
    tell("cli.why.erased_basis", basis=found.basis, why=found.why)
    if found.received is not None:
        sources = ", ".join(found.sources)
        tell("cli.why.erased_given", count=found.statements, sources=sources, at=day(found.received))
    for row in found.stood[:_FEW]:
        fields = {"place": where_of(row.channel, settings), "members": ", ".join(row.members), "count": row.count}
        until = "–" if row.until is None else day(row.until)
        agreements = ", ".join(row.agreements) or "–"
        tell("cli.why.erased_stood", **fields, since=day(row.since), until=until, agreements=agreements)
    for fetch in found.fetched[:_FEW]:
        tell("cli.why.erased_fetched", account=fetch.account, peer=fetch.peer, at=day(fetch.at))
    for handed in found.handed[:_FEW]:
        where, outcome = where_of(handed.channel, settings), say("count." + handed.outcome)
        tell("cli.why.erased_handed", peer=handed.peer, place=where, outcome=outcome, count=handed.count,
             at=day(handed.last))  # fmt: skip
    if max(map(len, (found.stood, found.fetched, found.handed))) > _FEW:
        tell("cli.why.erased_more")
    if not (found.stood or found.fetched or found.handed):
        tell("cli.why.erased_nothing")
    if found.state == DONE:
        tell("cli.why.erased_attestation", number=found.number)
