"""What the policy does with this configuration, proved before anything is released under it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.markup import escape

from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    guarded,
    load,
    now,
    out,
    say,
    show_json,
    show_table,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.serve import Visitor
from exchange.sync import proof
from exchange.sync.proof import Leak, Move, Proof

app = typer.Typer(no_args_is_help=True)
_SECONDS = 45.0


@app.callback()
def _group() -> None:
    """One command so far; it keeps its name."""


@app.command("prove", help=say("cli.prove.help"))
@guarded
def prove(
    cases: Annotated[int | None, typer.Option("--cases", min=0, help=say("cli.prove.cases"))] = None,
    seed: Annotated[int, typer.Option("--seed", help=say("cli.prove.seed"))] = 1,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Try to make this configuration leak; 1 when it does. Nothing of the node's own store is read or written."""
    settings = load(folder)
    with _quietly():
        found = proof.prove(
            settings.terms,
            now(),
            Visitor,
            cases=proof.MANY if cases is None else cases,
            seed=seed,
            seconds=_SECONDS if cases is None else float("inf"),
        )
    if as_json:
        show_json(_data(found, seed))
    else:
        _print(found, seed, settings)
    return 1 if found.leak else 0


@contextmanager
def _quietly() -> Iterator[None]:
    """What is logged of a case is about the case, not about this node."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def _print(found: Proof, seed: int, settings: Settings) -> None:
    rows = [(str(found.counts[law]), escape(say("cli.prove.law." + law))) for law in proof.LAWS]
    show_table(("cli.column.count", "cli.column.law"), rows)
    tell(
        "cli.prove.sum", lattice=found.lattice, cases=found.cases, released=found.counts["released"], seed=seed,
        seconds=round(found.seconds),
    )  # fmt: skip
    untried = [say("cli.prove.law." + law) for law in proof.LAWS if not found.counts[law]]
    if untried and not found.leak:
        tell("cli.prove.untried", laws=", ".join(untried))
    if found.leak is None:
        tell("cli.prove.holds")
        return
    leak = found.leak
    words = say(
        "cli.prove.broken", law=say("cli.prove.law." + leak.law), at=leak.case.at.strftime("%Y-%m-%d %H:%M UTC")
    )
    out.print(f"[bold red]{escape(words)}[/]", soft_wrap=True)
    for line in story(leak):
        out.print(escape("  " + line), soft_wrap=True)
    if leak.channel:
        tell("cli.prove.who", peer=leak.reader, where=where_of(leak.channel, settings), what=leak.what)
    if leak.parts:
        tell("cli.prove.against", laws=", ".join(say("cli.prove.law." + part) for part in leak.parts))
    tell("cli.prove.next")


def story(leak: Leak) -> list[str]:
    """The moves of the case, a line for each thing that is said in it."""
    lines = [line for move in leak.case.moves for line in _told(move)]
    if leak.second is not None:
        lines += [say("cli.prove.besides"), *_told(leak.second)]
    if leak.tightened is not None:
        lines.append(say("cli.prove.tightened", number=leak.tightened[0], mark=leak.tightened[1]))
    return lines


def _told(move: Move) -> list[str]:
    lines = []
    for thing in move.things:
        said = [*thing.marks, *(f"({mark})" for mark in thing.parts)]
        roles = thing.roles or ("",) * len(thing.refs)
        said += [f"{role} -> {ref}".strip() for role, ref in zip(roles, thing.refs, strict=True)]
        said += [
            f"{name}={value}" for name in ("version", "reach", "creator", "text") if (value := getattr(thing, name))
        ]
        said += [name for name in ("iep", "draft", "unnamed") if getattr(thing, name)]
        said += [] if thing.confidence is None else [f"confidence={thing.confidence}"]
        said += [*thing.misp, *(f"victim={each}" for each in thing.victims)]
        said += [] if thing.orgs is None else [f"orgs={','.join(thing.orgs) or '-'}"]
        posted = f" -> {move.posted}" if move.posted else ""
        lines.append(f"{move.giver}{posted}: {thing.kind} {thing.number}  {' '.join(said) or '-'}")
    return lines or [f"{move.giver}: -"]


def _data(found: Proof, seed: int) -> dict[str, Any]:
    leak = found.leak
    return {
        "seed": seed, "counts": found.counts, "lattice": found.lattice, "cases": found.cases,
        "seconds": round(found.seconds, 1), "holds": leak is None,
        "leak": leak and {
            "law": leak.law, "against": leak.parts, "at": leak.case.at, "peer": leak.reader, "channel": leak.channel,
            "what": leak.what, "case": leak.case.moves, "besides": leak.second, "tightened": leak.tightened,
        },
    }  # fmt: skip
