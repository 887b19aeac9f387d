"""Taking something out of every collection and outbox at once, and who has it: withdraw and recall (RULES R31)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange import log
from exchange.cli.layout import clean, heading
from exchange.cli.period import in_order
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    guarded,
    load,
    now,
    opened,
    out,
    peer_of,
    person,
    rules_of,
    say,
    show_json,
    show_table,
    source_of,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import Store, micros, moment, removals, scopes
from exchange.store.scopes import Scope
from exchange.sync import accounting, recalling, withdrawing
from exchange.sync.recalling import Holder
from exchange.sync.terms import adopt

_FIRST = 200
"""Lines that are printed; --csv holds them all."""
_COUNTED = 100_000
"""How far what is about to go is counted before anybody is asked."""
Object = Annotated[str, typer.Argument(metavar="OBJECT", help=say("cli.withdraw.object"))]
Event = Annotated[str, typer.Option("--event", metavar="UUID", help=say("cli.withdraw.event"))]
OfSource = Annotated[str, typer.Option("--source", metavar="PEER/SOURCE", help=say("cli.withdraw.source"))]
OfPeer = Annotated[str, typer.Option("--peer", help=say("cli.withdraw.peer"))]
From = Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD[THH:MM]", help=say("cli.withdraw.from"))]
To = Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD[THH:MM]", help=say("cli.withdraw.to"))]
Why = Annotated[str, typer.Option("--why", help=say("cli.withdraw.why"))]


@guarded
def withdraw(
    asked: Object = "",
    event: Event = "",
    source: OfSource = "",
    peer: OfPeer = "",
    since: From = "",
    until: To = "",
    why: Why = "",
    undo: Annotated[int, typer.Option("--undo", metavar="N", help=say("cli.withdraw.undo"))] = 0,
    listed: Annotated[bool, typer.Option("--list", help=say("cli.withdraw.list"))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=say("cli.withdraw.yes"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Take it out of every collection and outbox at once, then print the recall list."""
    settings = load(folder)
    if listed:
        return _list(settings, as_json=as_json)
    if not why.strip():
        raise UsageError("cli.withdraw.why_empty")
    if undo:
        return _undo(settings, undo, why, as_json=as_json)
    with opened(settings) as store:
        scope = scope_of(store, settings, asked, event, source, peer, since, until)
        if not yes:
            _confirm(store, scope, as_json=as_json)
        rules, who = rules_of(settings), person()
        adopt(store, rules, now())
        done = withdrawing.withdraw_from_all(store, rules, scope, who=who, why=why, clock=now)
        log.configure(LANGUAGE)
        log.record("withdraw.done", number=done.number, what=scope.asked, count=done.objects, who=who, why=why)
        found = recalling.holders(recalling.entries(store, scope), settings.terms)
    if as_json:
        show_json({"withdrawal": done.number, "objects": done.objects, "who": who, "why": why, "holders": found})
        return 0
    tell("cli.withdraw.done", count=done.objects, number=done.number)
    _tell_holders(found)
    return 0


def _undo(settings: Settings, number: int, why: str, *, as_json: bool) -> int:
    with opened(settings) as store:
        with store.reading() as tx:
            row = removals.find(tx, number)
        if row is None or row["state"] == removals.LIFTED:
            raise UsageError("cli.withdraw.unknown", number=number)
        rules, who = rules_of(settings), person()
        adopt(store, rules, now())
        done = withdrawing.lift(store, rules, number, who=who, why=why, clock=now)
    log.configure(LANGUAGE)
    log.record("withdraw.lifted", number=number, what=row["asked"], count=done.objects, who=who, why=why)
    if as_json:
        show_json({"withdrawal": number, "objects": done.objects, "who": who, "why": why})
    else:
        tell("cli.withdraw.lifted", number=number, count=done.objects)
    return 0


def _list(settings: Settings, *, as_json: bool) -> int:
    with opened(settings) as store, store.reading() as tx:
        rows = removals.everyone(tx)
    if as_json:
        names = ("id", "kind", "asked", "who", "why", "state")
        show_json([{**{name: row[name] for name in names}, "at": moment(row["at"])} for row in rows])
        return 0
    if not rows:
        tell("cli.withdraw.none")
    for row in rows:
        fields = {"number": row["id"], "what": row["asked"], "who": row["who"], "why": row["why"]}
        out.print(clean(say("cli.withdraw.line", **fields, ago=ago(moment(row["at"])))), soft_wrap=True)
    return 0


def _confirm(store: Store, scope: Scope, *, as_json: bool) -> None:
    """Tell how much it is and ask; who cannot be asked must have said yes."""
    if as_json or not sys.stdin.isatty():
        raise UsageError("cli.withdraw.confirm")
    with store.reading() as tx:
        count = scopes.size(tx, scope, _COUNTED)
    if not typer.confirm(say("cli.withdraw.sure", what=scope.asked, count=count), default=False):
        raise UsageError("cli.withdraw.left")


@guarded
def recall(
    asked: Object = "",
    event: Event = "",
    source: OfSource = "",
    peer: OfPeer = "",
    since: From = "",
    until: To = "",
    as_csv: Annotated[bool, typer.Option("--csv", help=say("cli.recall.csv"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Who has it, which versions, since when and how; who was told; whom to call. Nothing is changed."""
    settings = load(folder)
    with opened(settings) as store:
        scope = scope_of(store, settings, asked, event, source, peer, since, until)
        if as_csv:
            sys.stdout.writelines(accounting.as_csv(recalling.entries(store, scope)))
            return 0
        found = recalling.holders(recalling.entries(store, scope), settings.terms)
        first = list(islice(recalling.entries(store, scope), _FIRST + 1))
    if as_json:
        show_json({"holders": found, "entries": first[:_FIRST], "complete": len(first) <= _FIRST})
        return 0 if found else 1
    _tell_entries(first, settings)
    _tell_holders(found)
    return 0 if found else 1


def scope_of(
    store: Store, settings: Settings, asked: str, event: str, source: str, peer: str, since: str, until: str
) -> Scope:
    """What these options name. Raises UsageError for none or several, and for what is not held."""
    if sum(map(bool, (asked.strip(), event.strip(), source, peer))) != 1:
        raise UsageError("cli.withdraw.which")
    if (since or until) and not (source or peer):
        raise UsageError("cli.withdraw.period")
    if source or peer:
        key = source_of(settings, source).key if source else peer_of(settings, peer).id
        begin, end = _moment(since), _moment(until, last=True)
        in_order(since, until, begin, end)
        scope = Scope(
            kind="source" if source else "peer", asked=key, targets=(key,),
            since=None if begin is None else micros(begin), until=micros(now()) + 1 if end is None else micros(end),
        )  # fmt: skip
    with store.reading() as tx:
        if asked.strip():
            scope = withdrawing.named(tx, asked)
        elif event.strip():
            scope = withdrawing.in_event(tx, event)
        if not scope.targets or not scopes.size(tx, scope, 1):
            raise UsageError("cli.withdraw.nothing", what=scope.asked[:100])
    return scope


def _moment(given: str, *, last: bool = False) -> datetime | None:
    """A day means its beginning, or with `last` its end; a time is UTC unless it says otherwise."""
    if not given:
        return None
    try:
        if len(given) == len("2026-11-22"):
            day = date.fromisoformat(given)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1 if last else 0)
        found = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError("cli.ledger.day", value=given[:40]) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tell_holders(found: list[Holder]) -> None:
    if not found:
        tell("cli.recall.nobody")
        return
    rows = [
        (
            clean(f"{each.peer} ({each.account})" if each.account else each.peer), str(each.offered),
            str(each.accepted), str(each.delivered), str(each.notices), str(each.told), clean(each.contact or "–"),
        )
        for each in found
    ]  # fmt: skip
    columns = (
        "cli.column.peer", "cli.ledger.offered", "cli.ledger.accepted", "cli.ledger.delivered", "cli.recall.notices",
        "cli.recall.told", "cli.recall.contact",
    )  # fmt: skip
    show_table(columns, rows)


def _tell_entries(first: list[Any], settings: Settings) -> None:
    """A table for each version: its id is as long as half a line of a terminal."""
    versions: dict[tuple[str, str, str], list[Any]] = {}
    for entry in first[:_FIRST]:
        versions.setdefault((entry.object, entry.original, entry.version), []).append(entry)
    for (known, original, version), entries in versions.items():
        heading(f"{known}  {version}")
        if original:
            out.print("  " + clean(say("cli.ledger.altered", id=original)), soft_wrap=True)
        show_table(_COLUMNS, list(_rows(entries, settings)))
        out.print()
    if len(first) > _FIRST:
        tell("cli.recall.more")


_COLUMNS = ("cli.column.at", "cli.column.handed", "cli.column.peer", "cli.column.where", "cli.column.agreement")


def _rows(entries: list[Any], settings: Settings) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        yield (
            entry.at.strftime("%Y-%m-%d %H:%M:%S"), say("cli.ledger." + entry.outcome),
            clean(f"{entry.peer} ({entry.account})" if entry.account else entry.peer),
            clean(where_of(entry.channel, settings)), clean(entry.agreement),
        )  # fmt: skip
