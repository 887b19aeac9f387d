"""How an answer of several parts is laid out at the terminal: headings, and names beside values."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from exchange.cli.terminal import out, say

_LONGEST = 300
"""Characters of a text that somebody else wrote."""
_NAME = 15
"""Columns of what stands before a value, with its indent."""


_AXES = {
    "unnamed": "cli.label.unnamed",
    "encrypted": "cli.label.encrypted",
    "limited": "cli.label.limited",
    "since": "cli.label.since",
    "until": "cli.label.until",
    "confidence": "cli.label.confidence",
    "kinds": "cli.label.kinds",
}


def axes(found: Mapping[str, str]) -> list[str]:
    """What a label says besides its levels, in words."""
    return [say(_AXES[name], value=value) for name, value in found.items()]


def clean(text: str) -> str:
    """A text that somebody else wrote, as rich shows it: nothing in it may turn the line around, or the terminal."""
    return escape("".join("\ufffd" if unicodedata.category(c).startswith("C") else c for c in text))


def heading(words: str) -> None:
    """The title of a part."""
    out.print(f"[bold cyan]{clean(words)}[/]", soft_wrap=True)


def grid(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values side by side; values break their lines under themselves."""
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=_NAME, max_width=out.width // 3, style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row("  " + clean(name), clean(value))
    out.print(table)


def rest(count: int) -> None:
    """That there is more."""
    if count > 0:
        out.print("  [dim]" + escape(say("show.rest", count=count)) + "[/]")


def day(at: datetime) -> str:
    """A date and a time, UTC."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def cut(text: str) -> str:
    """A text that somebody else wrote, in one line and no longer than a person reads."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def counts(found: Mapping[str, int]) -> str:
    """Names with their numbers, in a line."""
    return ", ".join(f"{name} {count}" for name, count in found.items())
