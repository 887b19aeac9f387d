"""What every complaint about the configuration is made of: the problem, near names, values as they may be shown."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from datetime import date
from difflib import get_close_matches
from typing import Any

from exchange.errors import Problem

WHOLE_FILE = "*"
"""The key of a problem that concerns a file and no one key in it."""

_SHOWN = 80
_USERINFO = re.compile(r".*@", re.DOTALL)


def problem(code: str, file: str, key: str, **fields: Any) -> Problem:
    """One mistake: its message id, where it stands, and the named fields of its text."""
    return Problem(file=file, key=key, code=code, fields=fields)


def near(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known name that `name` was probably meant to be; `likeness` as difflib counts it."""
    folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=likeness)
    return folded[found[0]] if found else None


def shown(value: object) -> str:
    """A value from a file as a message may show it: short, printable, and without what stands before an `@`."""
    if not isinstance(value, str | int | float | date):
        return "…"
    try:
        text = value if isinstance(value, str) else toml(value)
    except ValueError:  # an integer of thousands of digits
        return "…"
    text = _USERINFO.sub("…@", text)[: _SHOWN + 1]
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def listed(names: Collection[str]) -> str:
    """Names as an operator would type them in a list."""
    return ", ".join(sorted(names)) or "–"


def toml(value: object) -> str:
    """A value as TOML writes it, for the examples in messages."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"
    return str(value)


def dotted(path: Iterable[str | int]) -> str:
    """`("source", 0, "every")` as `source[0].every`."""
    key = ""
    for part in path:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += f".{shown(part)}" if key else shown(part)
    return key or WHOLE_FILE
