"""Messages for people, in French and in English, by message id (never by concatenated sentences).

The catalogues are gettext's: one .po file for each room in the folders `fr` and `en` beside this file; a message id
is the stable code that logs, errors and reasons carry. `text` fills the named fields in. TLP and PFC labels are data
and are never translated.
"""

from __future__ import annotations

import gettext
import io
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from exchange.errors import ConfigError, ExchangeError, Problem

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: Language) -> gettext.GNUTranslations:
    """The gettext catalogue of `language`, compiled from its .po file once per process."""
    whole = Catalog(locale=language)
    folder = files(__package__).joinpath(language)
    for room in sorted((f for f in folder.iterdir() if f.name.endswith(".po")), key=lambda f: f.name):
        for message in read_po(io.BytesIO(room.read_bytes()), locale=language, abort_invalid=True):
            if message.id:
                whole[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def knows(code: str, language: Language) -> bool:
    """Whether `language` has a text for the message id `code`."""
    return catalogue(language).gettext(code) != code


class _Fields(dict[str, Any]):
    """Fields for `str.format_map`; one that the caller did not give shows as its name instead of failing."""

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"


def text(code: str, language: Language, /, **fields: Any) -> str:
    """The message `code` in `language` with `fields` filled in; an unknown code shows as itself."""
    return catalogue(language).gettext(code).format_map(_Fields(fields))


_NOTE = re.compile(r"([a-z_]+\.[a-z_]+)((?: [a-z_]+=\S+)*)")


def spoken(message: str, language: Language) -> str:
    """What a receipt says, for people: codes with their fields (`CODE NAME=VALUE; …`), or the peer's own words."""
    notes = [_NOTE.fullmatch(note) for note in message.split("; ")]
    codes = [(note[1], dict(field.split("=", 1) for field in note[2].split())) for note in notes if note]
    if len(codes) < len(notes) or not all(knows(code, language) for code, _ in codes):
        return message
    return " ".join(text(code, language, **fields) for code, fields in codes)


def describe(error: ExchangeError, language: Language) -> str:
    """The sentence for `error`; a configuration error is a block of lines, one for each problem."""
    if isinstance(error, ConfigError):
        lines = [text(error.code, language, **error.fields)]
        lines += [
            f"  {_place(problem)}: {text(problem.code, language, **problem.fields)}" for problem in error.problems
        ]
        return "\n".join(lines)
    return text(error.code, language, **error.fields)


def _place(problem: Problem) -> str:
    return problem.file if problem.key == "*" else f"{problem.file}: {problem.key}"


def of_terminal(environment: Mapping[str, str] | None = None) -> Language:
    """The language of the person at this terminal, from LC_ALL, LC_MESSAGES or LANG; English when none says."""
    environment = os.environ if environment is None else environment
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return "fr" if value.lower().startswith("fr") else "en"
    return "en"
