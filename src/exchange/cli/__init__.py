"""`exchange`: what operators type. One file per noun; no logic of its own; French or English by the locale."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer

from exchange.cli import usage
from exchange.cli.terminal import say

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("init", "node", "init"),
    ("check", "node", "check"),
    ("plan", "change", "plan"),
    ("apply", "change", "apply"),
    ("rollback", "change", "rollback"),
    ("versions", "change", "versions"),
    ("migrate", "node", "migrate"),
    ("run", "node", "run"),
    ("sync", "flow", "sync"),
    ("probe", "inquiry", "probe"),
    ("reconcile", "inquiry", "reconcile"),
    ("import", "flow", "import_"),
    ("peers", "look", "peers"),
    ("show", "show", "show"),
    ("why", "look", "why"),
    ("audience", "audience", "audience"),
    ("policy", "policy", "app"),
    ("pause", "brake", "pause"),
    ("resume", "brake", "resume"),
    ("withdraw", "withdraw", "withdraw"),
    ("recall", "withdraw", "recall"),
    ("erase", "erase", "erase"),
    ("widen", "widen", "widen"),
    ("agreement", "agreement", "app"),
    ("subscriber", "subscriber", "app"),
    ("register", "ledger", "register"),
    ("ledger", "ledger", "app"),
    ("links", "links", "app"),
    ("quarantine", "quarantine", "app"),
    ("review", "review", "app"),
)
"""What is typed, the file in which it stands, and what it is called there; `app`: a group of commands."""
app: typer.Typer


def commands(only: str = "") -> typer.Typer:
    """All commands, or the one called `only`: the rest of the program is not even read then, which is half of what a
    short command costs.
    """
    made = typer.Typer(help=say("cli.help"), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    made.callback()(_nothing)  # without it Typer takes a single command for the whole program
    for name, file, what in COMMANDS:
        if only in ("", name):
            found = getattr(import_module("." + file, __name__), what)
            if what == "app":
                made.add_typer(found, name=name, help=say(f"cli.{name}.help"))
            else:
                made.command(name, help=say(f"cli.{name}.help"))(found)
    usage.speak(made)
    return made


def _nothing() -> None:
    """There is nothing to do before a command."""


def __getattr__(name: str) -> Any:
    if name == "app":
        globals()["app"] = made = commands()
        return made
    raise AttributeError(name)


def main() -> None:
    """The command's entry point."""
    named = sys.argv[1] if len(sys.argv) > 1 else ""
    known = any(named == name for name, _, _ in COMMANDS)
    usage.run(commands(named if known else ""))
