"""`[personal]` of `exchange.toml`: what is inside a network, and what is never personal information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, PlainValidator

from exchange.config.form import Form
from exchange.config.problems import problem, shown
from exchange.config.values import Words, wrong
from exchange.errors import Problem
from exchange.model import personal
from exchange.model.hosts import domain


def _suffix(value: object) -> str:
    """A suffix of host names in lower case; a dot or an asterisk in front makes no difference."""
    name = domain(value.strip().removeprefix("*").removeprefix(".")) if isinstance(value, str) else None
    if not name or "*" in name:
        raise wrong("config.bad_suffix", value=shown(value))
    return name


Suffix = Annotated[str, PlainValidator(_suffix)]


class PersonalTable(Form):
    """`[personal]`."""

    internal: list[Suffix] = Field(default=[], examples=[["gouv.qc.ca"]])
    allowed: list[Words] = Field(default=[], examples=[["cert.gouv.qc.ca", "partage@cert.example"]])


def mistakes(table: PersonalTable, file: str) -> Iterator[Problem]:
    """What is wrong between the keys: a thing named twice, an internal suffix of which everything is allowed."""
    for key, names in (("internal", table.internal), ("allowed", [name.casefold() for name in table.allowed])):
        for number, name in enumerate(names):
            if name in names[:number]:
                yield problem("config.named_twice", file, f"personal.{key}[{number}]", name=shown(name))
    for number, name in enumerate(table.allowed):
        wide = name.casefold().removeprefix(".")
        if any(suffix == wide or suffix.endswith(f".{wide}") for suffix in table.internal):
            yield problem("config.allowed_is_internal", file, f"personal.allowed[{number}]", name=shown(name))


def build(table: PersonalTable) -> personal.Choice:
    """The operator's choice, in an order that does not depend on the file's."""
    return personal.Choice(
        internal=tuple(sorted(table.internal)), allowed=tuple(sorted(name.casefold() for name in table.allowed))
    )
