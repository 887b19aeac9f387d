"""Agreements to begin with: commented files that ship with the package, shut until somebody has read them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from exchange.config.problems import toml
from exchange.i18n import Language

_HERE = files("exchange.config") / "templates"
_PARTIES = "@PARTIES@"


def names() -> list[str]:
    """Every template, in order."""
    return sorted(path.name.removesuffix(".toml") for path in _HERE.iterdir() if path.name.endswith(".toml"))


def about(name: str, language: Language) -> str:
    """Whom the template is for, in one line: the first comment of its file in this language."""
    mark = f"# {language.upper()} "
    lines = _text(name).splitlines()
    return next(line.removeprefix(mark) for line in lines if line.startswith(mark))


def filled(name: str, parties: Sequence[str]) -> str:
    """The text of `agreements/ID.toml` made of one of `names()`, for these peers."""
    return _text(name).replace(_PARTIES, ", ".join(map(toml, parties)))


def _text(name: str) -> str:
    return (_HERE / f"{name}.toml").read_text(encoding="utf-8")
