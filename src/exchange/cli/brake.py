"""The brake: stop exchange with a peer, or with everybody, within a second, and let it go again (RULES R31)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange import log
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    guarded,
    load,
    now,
    opened,
    peer_of,
    person,
    say,
    show_json,
    tell,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import accounts, micros

Peer = Annotated[str, typer.Argument(help=say("cli.pause.peer"))]
Everyone = Annotated[bool, typer.Option("--all", help=say("cli.pause.all"))]
Incoming = Annotated[bool, typer.Option("--in", help=say("cli.pause.in"))]
Outgoing = Annotated[bool, typer.Option("--out", help=say("cli.pause.out"))]


def _whom(settings: Settings, peer: str, everyone: bool) -> str:
    if everyone == bool(peer):
        raise UsageError("cli.pause.whom")
    return accounts.ALL if everyone else peer_of(settings, peer).id


def _directions(incoming: bool, outgoing: bool) -> list[str]:
    both = incoming == outgoing
    return [name for name, wanted in (("in", incoming or both), ("out", outgoing or both)) if wanted]


@guarded
def pause(
    why: Annotated[str, typer.Option("--why", help=say("cli.pause.why"))],
    peer: Peer = "",
    everyone: Everyone = False,
    incoming: Incoming = False,
    outgoing: Outgoing = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Stop exchange with a peer or with all, in one direction or both; it survives a restart."""
    settings = load(folder)
    whom, who = _whom(settings, peer, everyone), person()
    directions = _directions(incoming, outgoing)
    with opened(settings) as store, store.writing() as tx:
        for direction in directions:
            accounts.pull_brake(tx, whom, direction, who, why, micros(now()))
    _told("brake.pulled", whom, directions, who, why, as_json=as_json)
    return 0


@guarded
def resume(
    peer: Peer = "",
    everyone: Everyone = False,
    incoming: Incoming = False,
    outgoing: Outgoing = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Let the brake go."""
    settings = load(folder)
    whom = _whom(settings, peer, everyone)
    with opened(settings) as store, store.writing() as tx:
        gone = [name for name in _directions(incoming, outgoing) if accounts.let_go(tx, whom, name)]
    if not gone:
        if as_json:
            show_json({"peer": whom, "directions": []})
        else:
            tell("cli.resume.nothing", peer=whom)
        return 0
    _told("brake.released", whom, gone, person(), "", as_json=as_json)
    return 0


def _told(event: str, whom: str, directions: list[str], who: str, why: str, *, as_json: bool) -> None:
    """To the log, with who and why, and to the person."""
    log.configure(LANGUAGE)
    log.record(event, peer=whom, directions=", ".join(say(f"cli.{name}") for name in directions), who=who, why=why)
    if as_json:
        show_json({"peer": whom, "directions": directions, "who": who, "why": why})
