"""Statements that are compiled once and handed to the driver: on the hot paths SQLAlchemy's own execution of one costs
ten to twenty times what the engine needs for it (RULES R35). The SQL is still SQLAlchemy's, one text for both engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.sql.expression import ClauseElement

from exchange.errors import StoreError


class Prepared:
    """One compiled statement. Errors of the driver become StoreError."""

    def __init__(self, dialect: Dialect, clause: ClauseElement, **options: Any) -> None:
        compiled: Any = clause.compile(dialect=dialect, **options)
        self.sql = str(compiled)
        self.names: Sequence[str] | None = getattr(compiled, "positiontup", None)
        """The names of its values in order; None: the driver takes names."""
        self.constants = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, tx: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Execute inside this transaction; its rows, if it gives any."""
        driver: Any = tx.connection.driver_connection
        given = {**self.constants, **values}
        try:
            cursor = driver.execute(self.sql, given if self.names is None else [given[name] for name in self.names])
            return cursor.fetchall() if cursor.description else ()
        except _driver_error(tx) as error:
            raise _ours(error) from error


class Inserting:
    """Rows into one table, as tuples in the order of `columns`: both drivers take them by place."""

    def __init__(self, dialect: Dialect, table: Table, columns: Sequence[str]) -> None:
        quote = dialect.identifier_preparer.quote
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        names, marks = ", ".join(map(quote, columns)), ", ".join([mark] * len(columns))
        self.sql = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})"  # noqa: S608 (names of our own tables)

    def many(self, tx: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write `rows`."""
        if not rows:
            return
        driver: Any = tx.connection.driver_connection
        try:
            driver.cursor().executemany(self.sql, rows)
        except _driver_error(tx) as error:
            raise _ours(error) from error


def _driver_error(tx: Connection) -> type[Exception]:
    kind: type[Exception] = tx.dialect.loaded_dbapi.Error
    return kind


def _ours(error: Exception) -> StoreError:
    return StoreError("store.failed", detail=str(error).splitlines()[0][:200])
