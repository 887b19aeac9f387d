"""Links: which objects may be one, and what a person says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from exchange import log
from exchange.cli.layout import clean
from exchange.cli.show import because
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
    rules_of,
    say,
    show_json,
    show_table,
    tell,
)
from exchange.store import Store, moment
from exchange.store import links as said
from exchange.store.links import Word
from exchange.sync import links, showing

app = typer.Typer(no_args_is_help=True)
One = Annotated[str, typer.Argument(help=say("cli.links.one"))]
Other = Annotated[str, typer.Argument(help=say("cli.links.other"))]
Why = Annotated[str, typer.Option("--why", help=say("cli.links.why"))]
Who = Annotated[str, typer.Option("--who", help=say("cli.links.who"))]
Most = Annotated[int, typer.Option("--most", min=1, max=1000, help=say("cli.links.most"))]
_STATES = {
    said.ACCEPTED: "links.state.accepted",
    said.REFUSED: "links.state.refused",
    said.UNDONE: "links.state.undone",
}


@app.command("suggest", help=say("cli.links.suggest.help"))
@guarded
def suggest(
    asked: Annotated[str, typer.Argument(help=say("cli.show.asked"))] = "",
    after: Annotated[str, typer.Option("--after", help=say("cli.links.after_help"))] = "",
    most: Most = links.PAGE,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """What may be one with something, or a page of everything that may be one."""
    settings = load(folder)
    with opened(settings) as store:
        rules = rules_of(settings)
        page = showing.suggested(store, rules, asked, after=after, most=most)
    if as_json:
        show_json(page)
        return 0
    for each in page.suggestions:
        flag = say("links.certain") if each.certain else say("links.perhaps")
        out.print(f"[bold]{clean(because(each))}[/]  [dim]{clean(flag)}[/]", soft_wrap=True)
        for end in (each.one, each.other):
            out.print(f"  {clean(page.titles.get(end) or '–')}  {clean(end)}", soft_wrap=True)
    if not page.suggestions:
        tell("links.no_suggestion")
    if page.after:
        tell("links.go_on", after=page.after)
    return 0


@app.command("accept", help=say("cli.links.accept.help"))
@guarded
def accept(
    one: One, other: Other, why: Why, who: Who = "", folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False
) -> int:
    """The two are one."""
    return _say(links.accept, one, other, why, who, folder, as_json=as_json)


@app.command("refuse", help=say("cli.links.refuse.help"))
@guarded
def refuse(
    one: One, other: Other, why: Why, who: Who = "", folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False
) -> int:
    """The two are not one."""
    return _say(links.refuse, one, other, why, who, folder, as_json=as_json)


@app.command("undo", help=say("cli.links.undo.help"))
@guarded
def undo(
    one: One, other: Other, why: Why, who: Who = "", folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False
) -> int:
    """The last word on the two is taken back."""
    return _say(links.undo, one, other, why, who, folder, as_json=as_json)


def _say(word: Callable[..., Word], one: str, other: str, why: str, who: str, folder: Path, *, as_json: bool) -> int:
    settings = load(folder)
    with opened(settings) as store:
        made = word(store, one.strip(), other.strip(), who or person(), why, now())
    log.configure(LANGUAGE)
    log.record("links.said", one=made.one, other=made.other, state=say(_STATES[made.state]), who=made.who, why=why)
    if as_json:
        show_json(made)
    return 0


@app.command("list", help=say("cli.links.list.help"))
@guarded
def list_(
    asked: Annotated[str, typer.Argument(help=say("cli.links.list.asked"))] = "",
    most: Most = links.PAGE,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """What was said, newest first."""
    settings = load(folder)
    with opened(settings) as store:
        words = _words(store, asked.strip(), most)
    if as_json:
        show_json(words)
        return 0
    if not words:
        tell("cli.review.none")
        return 0
    columns = ("links.column.ago", "links.column.state", "links.column.pair", "links.column.who", "links.column.why")
    show_table(
        columns,
        [
            (ago(moment(word.at)), clean(say(_STATES[word.state])), f"{clean(word.one)}\n{clean(word.other)}",
             clean(word.who), clean(word.why))
            for word in words
        ],
    )  # fmt: skip
    return 0


def _words(store: Store, stix_id: str, most: int) -> list[Word]:
    with store.reading() as tx:
        return said.words(tx, stix_id=stix_id, most=most)
