"""The root of every configuration file's form: what keys it has, what each may hold, an example of each.

The examples serve twice: messages show them, and reading fills a mistaken key with its example so that the rest of
the file can still be judged and every mistake is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

KeyPath = Sequence[str | int]


class Form(BaseModel):
    """A TOML table: unknown keys are mistakes, types are not converted, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def keys(form: type[Form]) -> dict[str, FieldInfo]:
    """The keys of a table as operators type them."""
    return {info.alias or name: info for name, info in form.model_fields.items()}


def table_of(info: FieldInfo) -> type[Form] | None:
    """The form of the table (or tables) that a key holds; None: it holds a value."""
    waiting: list[Any] = [info.annotation]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, Form):
            return kind
        waiting += get_args(kind)
    return None


def table_at(form: type[Form], path: KeyPath) -> type[Form] | None:
    """The form of the table at `path` inside `form`; None: there is none."""
    found: type[Form] | None = form
    for part in path:
        if isinstance(part, int):
            continue
        info = keys(found).get(part) if found else None
        found = table_of(info) if info else None
    return found


def key_at(form: type[Form], path: KeyPath) -> FieldInfo | None:
    """What is known of the key at `path`; a position in a list belongs to the list's key."""
    names = [part for part in path if isinstance(part, str)]
    table = table_at(form, names[:-1])
    return keys(table).get(names[-1]) if table and names else None


def example_of(info: FieldInfo) -> Any:
    """A valid value of a key, as TOML gives it; a table's is made of the examples of the keys it cannot do without."""
    if info.examples:
        return info.examples[0]
    table = table_of(info)
    return {name: example_of(inner) for name, inner in keys(table).items() if inner.is_required()} if table else None


def choices(info: FieldInfo) -> tuple[str, ...]:
    """The words among which a key's value must be, where they are few."""
    return get_args(info.annotation) if get_origin(info.annotation) is Literal else ()


def is_repeated(info: FieldInfo) -> bool:
    """Whether the key holds a list."""
    return get_origin(info.annotation) is list


def homes(form: type[Form], name: str) -> Iterator[str]:
    """The tables of the file in which the key `name` would be known."""
    for key, info in keys(form).items():
        table = table_of(info)
        if table and name in keys(table):
            yield key
