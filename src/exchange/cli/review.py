"""What waits for a person before it leaves: on which list it is, from whom, and whether it may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange import log
from exchange.cli.layout import clean
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
    person,
    plain,
    rules_of,
    say,
    show_json,
    source_of,
    tell,
)
from exchange.errors import UsageError
from exchange.store import moment
from exchange.sync import review
from exchange.sync.review import Ruling, Waiting
from exchange.sync.terms import adopt

app = typer.Typer(no_args_is_help=True)
OfSource = Annotated[str, typer.Option("--source", help=say("cli.review.source"), metavar="PEER/SOURCE")]
Identifier = Annotated[str, typer.Argument(help=say("cli.review.id"))]
Value = Annotated[str, typer.Option("--value", help=say("cli.review.value"))]
Why = Annotated[str, typer.Option("--why", help=say("cli.review.why"))]
Who = Annotated[str, typer.Option("--who", help=say("cli.review.who"))]


@app.command("list", help=say("cli.review.list.help"))
@guarded
def list_(
    source: OfSource = "",
    refused: Annotated[bool, typer.Option("--refused", help=say("cli.review.refused"))] = False,
    most: Annotated[int, typer.Option("--most", min=1, help=say("cli.review.most"))] = 50,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The longest waiting first."""
    settings = load(folder)
    if source:
        source_of(settings, source)
    with opened(settings) as store:
        items, total = review.waiting(store, rules_of(settings), now(), source=source, most=most, refused=refused)
    if as_json:
        show_json({"total": total, "entries": [_plain(item) for item in items]})
        return 0
    if not items:
        tell("cli.review.none")
        return 0
    for item in items:
        named = ", ".join(dict.fromkeys(match.value for match in item.matches)) or "–"
        out.print(f"[bold]{clean(named)}[/]  {clean(_lists(item) or say(item.held.doubt))}", soft_wrap=True)
        held, since = item.held, ago(moment(item.held.received))
        words = say("cli.review.line", id=held.stix_id, source=held.source, ago=since, count=len(item.readers))
        out.print(f"  [dim]{clean(words)}[/]", soft_wrap=True)
    tell("cli.review.total", shown=len(items), total=total)
    return 0


@app.command("show", help=say("cli.review.show.help"))
@guarded
def show(
    asked: Annotated[str, typer.Argument(help=say("cli.show.asked"))],
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """What the lists say of it, to whom it would go, and what people decided."""
    settings = load(folder)
    with opened(settings) as store:
        items = review.about(store, rules_of(settings), asked, now())
    if as_json:
        show_json([_plain(item) for item in items])
        return 0 if items else 1
    for item in items:
        held = item.held
        out.print(f"[bold]{escape(held.stix_id)}[/] {held.version}  {escape(held.source)}", soft_wrap=True)
        tell("cli.review.standing", state=say(held.doubt or "cli.review.free"), ago=ago(moment(held.received)))
        for match in item.matches:
            how = say(f"cli.review.{match.relation}", entry=match.entry)
            tell("cli.review.match", value=match.value, list=match.list, title=match.title, how=how)
        tell("cli.review.readers", count=len(item.readers), peers=", ".join(item.readers) or "–")
        for row in item.verdicts:
            _tell_verdict(row)
    if not items:
        tell("cli.review.nothing", asked=asked)
    return 0 if items else 1


@app.command("release", help=say("cli.review.release.help"))
@guarded
def release(
    why: Why,
    stix_id: Identifier = "",
    value: Value = "",
    source: OfSource = "",
    who: Who = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """It goes to whom it may go; the same value of the same source is not asked again."""
    return _rule(folder, stix_id, value, source, who, why, released=True, as_json=as_json)


@app.command("refuse", help=say("cli.review.refuse.help"))
@guarded
def refuse(
    why: Why,
    stix_id: Identifier = "",
    value: Value = "",
    source: OfSource = "",
    who: Who = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """It stays held, and is withdrawn where it was released before."""
    return _rule(folder, stix_id, value, source, who, why, released=False, as_json=as_json)


def _rule(
    folder: Path, stix_id: str, value: str, source: str, who: str, why: str, *, released: bool, as_json: bool
) -> int:
    settings = load(folder)
    if bool(stix_id) == bool(value.strip()):
        raise UsageError("cli.review.which")
    if not why.strip():
        raise UsageError("cli.review.why_empty")
    ruling = Ruling(
        stix_id=stix_id.strip(), value=value.strip(), source=source, released=released, who=who or person(), why=why
    )
    rules = rules_of(settings)
    with opened(settings) as store:
        adopt(store, rules, now())
        ruled = review.rule(store, rules, ruling, now)
    if not ruled.about:
        raise UsageError("cli.review.unknown", asked=stix_id or value)
    log.configure(LANGUAGE)
    values = sorted({value for _, value in ruled.about})
    told = {"what": ", ".join(values)[:500], "count": len(ruled.changed), "who": ruling.who, "why": why}
    if released:
        log.record("review.released", **told)
    else:
        log.record("review.refused", **told)
    if as_json:
        show_json(
            {
                "verdict": "released" if released else "refused",
                "values": [{"source": source, "value": value} for source, value in ruled.about],
                "statements": [_named(item) for item in ruled.changed],
                "who": ruling.who,
                "why": why,
            }
        )
    return 0


def _named(held: Any) -> dict[str, Any]:
    return {"id": held.stix_id, "version": held.version, "source": held.source}


def _plain(item: Waiting) -> dict[str, Any]:
    held = item.held
    return {
        **_named(held),
        "since": moment(held.received),
        "doubt": held.doubt,
        "matches": [plain(match) for match in item.matches],
        "readers": item.readers,
        "verdicts": [{**row, "at": moment(row["at"])} for row in item.verdicts],
    }


def _lists(item: Waiting) -> str:
    return ", ".join(dict.fromkeys(match.list for match in item.matches))


def _tell_verdict(row: Mapping[str, Any]) -> None:
    code = "cli.review.was_released" if row["verdict"] == "released" else "cli.review.was_refused"
    tell(
        code, who=row["who"], ago=ago(moment(row["at"])), value=row["value"], why=row["why"], lists=_of(row["matches"])
    )


def _of(matches: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(match["list"]) for match in matches)) or "–"
