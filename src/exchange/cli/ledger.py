"""Who got what: the ledgers, whether they are whole, and the register of communications that is made of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape as html
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange.cli.layout import grid, heading
from exchange.cli.period import From, ObjectOption, PeerOption, To, asked_of
from exchange.cli.replay import replay
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
    say,
    show_json,
    show_table,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.i18n import text
from exchange.store import moment
from exchange.sync import accounting, communications
from exchange.sync.accounting import Entry
from exchange.sync.communications import Communication

app = typer.Typer(no_args_is_help=False)
app.command("replay", help=say("cli.ledger.replay.help"))(replay)
_FIRST = 200
"""Lines that are printed; a file (--csv, --json) holds them all."""
_COLOURS = {"refused": "red", "offered": "dim"}


@app.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    peer: PeerOption = "",
    object_: ObjectOption = "",
    since: From = "",
    until: To = "",
    named: Annotated[bool, typer.Option("--objects", help=say("cli.ledger.objects"))] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help=say("cli.ledger.csv"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> None:
    """Who was offered, fetched and was handed what, and when."""
    if context.invoked_subcommand is None:
        _tell_of(folder, (peer, since, until, object_), named=named, as_csv=as_csv, as_json=as_json)


@guarded
def _tell_of(folder: Path, wanted: tuple[str, str, str, str], *, named: bool, as_csv: bool, as_json: bool) -> int:
    settings = load(folder)
    asked = asked_of(settings, *wanted)
    with opened(settings) as store:
        unknown = bool(asked.object) and not accounting.is_known(store, asked.object)
        found = accounting.entries(store, asked, named=named or as_csv)
        if as_csv:
            sys.stdout.writelines(accounting.as_csv(found))
        elif as_json:
            show_json(list(found))
        elif unknown:
            tell("cli.ledger.unknown", id=asked.object)
        else:
            _print(found, settings)
    return 1 if unknown else 0


def _print(found: Iterator[Entry], settings: Settings) -> None:
    rows: list[tuple[str, ...]] = []
    more = 0
    for entry in found:
        if len(rows) == _FIRST:
            more += 1
            continue
        who = f"{entry.peer} ({entry.account})" if entry.account else entry.peer
        what = entry.object or str(entry.count)
        if entry.original:
            what += " " + say("cli.ledger.altered", id=entry.original)
        if entry.object and not entry.exact:
            what += " " + say("cli.ledger.at_most")
        colour = _COLOURS.get(entry.outcome, "green")
        rows.append(
            (
                entry.at.strftime("%Y-%m-%d %H:%M:%S"), f"[{colour}]{say('cli.ledger.' + entry.outcome)}[/]",
                escape(who), escape(where_of(entry.channel, settings)), escape(what), escape(entry.agreement),
            )
        )  # fmt: skip
    if not rows:
        tell("cli.ledger.nothing")
        return
    columns = (
        "cli.column.at", "cli.column.handed", "cli.column.peer", "cli.column.where", "cli.column.object",
        "cli.column.agreement",
    )  # fmt: skip
    show_table(columns, rows)
    if more:
        tell("cli.ledger.more", n=more)


@app.command("verify", help=say("cli.ledger.verify.help"))
@guarded
def verify(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Follow every chain from the first row to the last; 1 when one is broken."""
    settings = load(folder)
    with opened(settings) as store:
        found = accounting.verify(store)
    if as_json:
        show_json(found)
        return 1 if found.faults else 0
    tell("cli.ledger.verified", handed=found.handed, fetched=found.fetched, anchors=found.anchors)
    if found.widened:
        tell("cli.ledger.widened", n=found.widened)
    if found.older:
        tell("cli.ledger.older", n=found.older)
    if found.last is not None:
        tell("cli.ledger.anchored", ago=ago(found.last), link=found.head)
    for fault in found.faults[:_FIRST]:
        at = moment(fault.at).strftime("%Y-%m-%d %H:%M:%S UTC") if fault.at else "–"
        words = say(fault.code, ledger=say("cli.ledger.name." + fault.ledger), number=fault.number, at=at)
        out.print(f"[bold red]{escape(words)}[/]", soft_wrap=True)
    if len(found.faults) > _FIRST:
        tell("cli.ledger.more", n=len(found.faults) - _FIRST)
    if not found.faults:
        tell("cli.ledger.whole")
    return 1 if found.faults else 0


@guarded
def register(
    peer: PeerOption = "",
    since: From = "",
    until: To = "",
    as_csv: Annotated[bool, typer.Option("--csv", help=say("cli.ledger.csv"))] = False,
    as_page: Annotated[bool, typer.Option("--html", help=say("cli.register.html"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The register of communications (A-2.1, art. 67.3): what went to whom, for what, under which agreement."""
    settings = load(folder)
    asked = asked_of(settings, peer, since, until)
    with opened(settings) as store:
        found = communications.register(store, settings.terms, asked)
    if as_json:
        show_json(found)
    elif as_page:
        sys.stdout.write(_page(found, settings, since, until))
    elif as_csv:
        titles = tuple(text(f"register.{name}", LANGUAGE) for name in _COLUMNS)
        sys.stdout.writelines(accounting.lines((titles, *(_cells(each) for each in found))))
    elif not found:
        tell("cli.ledger.nothing")
    else:
        for each in found:
            first, *others = zip(_COLUMNS, _cells(each), strict=True)
            heading(first[1])
            grid((say(f"register.{name}"), cell) for name, cell in others)
    return 0


_COLUMNS = ("recipient", "nature", "purpose", "basis", "reason", "period", "how", "widened")
_RIGHTS = {"creator": "register.by_creator", "pfc": "register.by_ministry"}


def _cells(each: Communication) -> tuple[str, ...]:
    nature = ", ".join(f"{kind} {count}" for kind, count in each.types.items())
    first, last = each.first.date().isoformat(), each.last.date().isoformat()
    return (
        f"{each.name} ({each.peer})",
        nature,
        each.purpose or "–",
        each.legal_basis or "–",
        f"{each.title} ({each.agreement})" if each.title else each.agreement or "–",
        first if first == last else f"{first} – {last}",
        ", ".join(say("cli.ledger." + name) for name in sorted(each.by)),
        "; ".join(say(_RIGHTS[act.right], act=act.act, count=act.count) for act in each.widened) or "–",
    )


_STYLE = (
    "body{font:11pt/1.4 sans-serif;margin:2cm;color:#000}h1{font-size:16pt}table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #555;padding:4px 6px;text-align:left;vertical-align:top}th{background:#eee}"
    "caption{text-align:left;margin-bottom:6px}@media print{body{margin:0}thead{display:table-header-group}}"
)


def _page(found: list[Communication], settings: Settings, since: str, until: str) -> str:
    """One printable page, complete in itself."""
    title = html(say("register.title", node=settings.node.name))
    period = html(say("register.span", since=since or "…", until=until or now().date().isoformat()))
    head = "".join(f'<th scope="col">{html(say("register." + name))}</th>' for name in _COLUMNS)
    rows = "".join("<tr>" + "".join(f"<td>{html(cell)}</td>" for cell in _cells(each)) + "</tr>" for each in found)
    none = f'<tr><td colspan="{len(_COLUMNS)}">{html(say("cli.ledger.nothing"))}</td></tr>'
    made = html(say("register.made", at=now().strftime("%Y-%m-%d %H:%M UTC")))
    return (
        f'<!doctype html><html lang="{LANGUAGE}"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><table><caption>{period}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows or none}</tbody></table><p>{made}</p></body></html>\n"
    )
