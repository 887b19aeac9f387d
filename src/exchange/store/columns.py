"""What every table shares: names of constraints, columns that the engines spell differently, texts that both index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Integer, MetaData, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ordered as bytes everywhere: PostgreSQL would otherwise follow the locale of the database.
Ordered = String().with_variant(String(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer(), "sqlite")

T = TypeVar("T")
CHUNK = 500
"""Values of one IN list; SQLite and PostgreSQL both plan that well."""


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """`values` in lists of at most `size`."""
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


_LONGEST = 300
"""Characters of an indexed text; a STIX id has fewer, and PostgreSQL indexes no more than 2,700 bytes."""


def indexed(value: str) -> str:
    """A value as it stands in the index: one that PostgreSQL would not take (long, or with U+0000) by its digest."""
    return (
        value
        if len(value) <= _LONGEST and "\0" not in value
        else "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    )


class Stamp(FunctionElement[Any]):
    """The second behind a date in µs, as versions write it."""

    inherit_cache = True


@compiles(Stamp, "sqlite")
def _stamp_of_sqlite(element: Stamp, compiler: Any, **options: Any) -> str:
    given = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%dT%H:%M:%S', {given} / 1000000 + 1, 'unixepoch')"


@compiles(Stamp, "postgresql")
def _stamp_of_postgresql(element: Stamp, compiler: Any, **options: Any) -> str:
    given = compiler.process(element.clauses, **options)
    return f"to_char(to_timestamp({given} / 1000000 + 1) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
