"""Agreements: a new one from a template, to be read and completed before anything goes under it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    guarded,
    say,
    show_json,
    show_table,
    tell,
)
from exchange.config import agreement, peer, template
from exchange.config.values import is_short_id, slug
from exchange.errors import UsageError

app = typer.Typer(no_args_is_help=True)
_PRINTED = "-"


@app.command("list", help=say("cli.agreement.list.help"))
@guarded
def list_(as_json: AsJson = False) -> int:
    """Every template, and whom it is for."""
    rows = [(name, template.about(name, LANGUAGE)) for name in template.names()]
    if as_json:
        show_json({"templates": [{"name": name, "about": about} for name, about in rows]})
        return 0
    show_table(("cli.column.template", "cli.column.for"), [(escape(name), escape(about)) for name, about in rows])
    return 0


@app.command("new", help=say("cli.agreement.new.help"))
@guarded
def new(
    chosen: Annotated[str, typer.Argument(help=say("cli.agreement.template"))],
    parties: Annotated[list[str], typer.Option("--party", help=say("cli.agreement.party"))],
    named: Annotated[str, typer.Option("--id", help=say("cli.agreement.id"))] = "",
    printed: Annotated[bool, typer.Option("--stdout", help=say("cli.agreement.stdout"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Write `agreements/ID.toml`; one that is there is never touched."""
    if chosen not in template.names():
        raise UsageError("cli.agreement.unknown", name=chosen, known=", ".join(template.names()))
    for name in parties:
        _valid(name)
    parties = list(dict.fromkeys(parties))
    text = template.filled(chosen, parties)
    if printed or named == _PRINTED:
        if as_json:
            show_json({"template": chosen, "parties": parties, "text": text})
        else:
            sys.stdout.write(text)
        return 0
    path = _written(folder, _valid(named or chosen), parties, text)
    if as_json:
        show_json({"template": chosen, "parties": parties, "written": str(path)})
        return 0
    tell("cli.init.wrote", path=str(path))
    tell("cli.agreement.next", path=str(path))
    return 0


def _valid(name: str) -> str:
    """`name`, which is to be a file's."""
    if not is_short_id(name):
        raise UsageError("cli.agreement.bad_id", name=name, fixed=slug(name) or "entente-1")
    return name


def _written(folder: Path, name: str, parties: Sequence[str], text: str) -> Path:
    """The file, new; its parties are peers of this configuration."""
    if not folder.is_dir():
        raise UsageError("cli.no_config", folder=str(folder))
    known = sorted(path.stem for path in (folder / peer.FOLDER).glob("*.toml"))
    for party in parties:
        if party not in known:
            path = folder / peer.FOLDER / f"{party}.toml"
            raise UsageError("cli.agreement.no_peer", peer=party, path=str(path), known=", ".join(known) or "–")
    path = folder / agreement.FOLDER / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError("cli.agreement.exists", path=str(path)) from None
    return path
