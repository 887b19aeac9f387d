"""What is asked of what was: of one partner, of one object, of some days, or how it stood at a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from exchange.cli.terminal import now, peer_of, say
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import micros
from exchange.sync.accounting import Asked

PeerOption = Annotated[str, typer.Option("--peer", help=say("cli.ledger.peer"))]
ObjectOption = Annotated[str, typer.Option("--object", metavar="STIX-ID", help=say("cli.ledger.object"))]
From = Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help=say("cli.ledger.from"))]
To = Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help=say("cli.ledger.to"))]


def asked_of(settings: Settings, peer: str, since: str, until: str, stix_id: str = "") -> Asked:
    """Days are those of UTC, both included. UsageError: no day, a period that ends before it begins, no partner."""
    if peer:
        peer_of(settings, peer)
    begin, end = _day(since), _day(until)
    after = None if end is None else end + timedelta(days=1)
    in_order(since, until, begin, after)
    return Asked(
        peer=peer,
        object=stix_id.strip(),
        since=None if begin is None else micros(begin),
        until=None if after is None else micros(after),
    )


def gone_by(given: str) -> datetime | None:
    """A moment of the past, UTC unless it says otherwise; a day means its end, today means now. Nothing: None.

    UsageError: no such moment, or one to come, of which nobody knows what will stand anywhere.
    """
    if not given:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError("cli.audience.when", value=given[:40]) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    at = now()
    if found > at:
        raise UsageError("cli.audience.ahead", value=given[:40])
    if len(given) == len("2026-11-22"):
        found = min(at, found.replace(hour=23, minute=59, second=59, microsecond=999_999))
    return found


def in_order(since: str, until: str, begin: datetime | None, after: datetime | None) -> None:
    """UsageError: what was typed ends before it begins. `after`: the first moment that is no longer meant."""
    if begin is not None and after is not None and after <= begin and since != until:
        raise UsageError("cli.ledger.backward", since=since, until=until)


def _day(given: str) -> datetime | None:
    if not given:
        return None
    try:
        found = date.fromisoformat(given)
    except ValueError:
        raise UsageError("cli.ledger.day", value=given[:40]) from None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)
