"""Statements that are compiled once and handed to the driver: on the hot paths SQLAlchemy's own execution of one costs
ten to twenty times what the engine needs for it (RULES R35). The SQL is still SQLAlchemy's, one text for both engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Dialect, Table, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.sql.functions import FunctionElement

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
        if self.names is not None:  # SQLite takes a list as JSON
            given |= {name: orjson.dumps(value).decode() for name, value in values.items() if type(value) is list}
        try:
            cursor = driver.execute(self.sql, given if self.names is None else [given[name] for name in self.names])
            return cursor.fetchall() if cursor.description else ()
        except _driver_error(tx) as error:
            raise _ours(error) from error

    def many(self, tx: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute inside this transaction, once for each of `values`."""
        driver: Any = tx.connection.driver_connection
        names, constants = self.names, self.constants
        rows: list[Any] = [{**constants, **each} for each in values]
        if names is not None:
            rows = [[each[name] for name in names] for each in rows]
        try:
            driver.cursor().executemany(self.sql, rows)
        except _driver_error(tx) as error:
            raise _ours(error) from error


class Query:
    """A statement of one shape, compiled once for each engine.

    `index`: the one of `listing` that SQLite is told to take, where it would rather walk all that an audience reads.
    """

    def __init__(self, clause: ClauseElement, *, index: str = "") -> None:
        self._clause, self._index = clause, index
        self._made: dict[str, Prepared] = {}

    def run(self, tx: Connection, **values: Any) -> Sequence[Any]:
        """Execute with these values; its rows, if it gives any."""
        return self._prepared(tx).run(tx, values)

    def one(self, tx: Connection, **values: Any) -> Any:
        """The first column of the first row; None: there is none."""
        rows = self.run(tx, **values)
        return rows[0][0] if rows else None

    def many(self, tx: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute with each of these values; no value is a list."""
        if values:
            self._prepared(tx).many(tx, values)

    def _prepared(self, tx: Connection) -> Prepared:
        prepared = self._made.get(tx.dialect.name)
        if prepared is None:
            prepared = self._made[tx.dialect.name] = Prepared(tx.dialect, self._clause)
            if self._index and tx.dialect.name == "sqlite":
                prepared.sql = prepared.sql.replace(" listing ", f" listing INDEXED BY {self._index} ", 1)
        return prepared


class Lookup(Query):
    """A statement that takes a list of values, `LIST` with `among`, however long."""

    LIST = "wanted"
    _AT_ONCE = 1_000

    def rows(self, tx: Connection, wanted: Iterable[Any], **values: Any) -> list[Any]:
        """The rows for all of `wanted`; a text with U+0000, which PostgreSQL does not take, stands nowhere."""
        prepared = self._prepared(tx)
        found: list[Any] = []
        given = [each for each in wanted if type(each) is not str or "\0" not in each]
        for begin in range(0, len(given), self._AT_ONCE):
            found += prepared.run(tx, {**values, self.LIST: given[begin : begin + self._AT_ONCE]})
        return found


def among(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether `column` is one of the list that a Lookup is given."""
    kind = "bigint" if column.type.python_type is int else "text"
    return column.op("IN", is_comparison=True)(_Values(bindparam(Lookup.LIST), kind))


class _Values(FunctionElement[Any]):
    """The values of a list that is given as one parameter."""

    inherit_cache = True

    def __init__(self, given: ClauseElement, kind: str) -> None:
        super().__init__(given)
        self.kind = kind


@compiles(_Values, "sqlite")
def _of_json(element: _Values, compiler: Any, **options: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(element.clauses, **options)}))"  # noqa: S608 (a place for a value)


@compiles(_Values, "postgresql")
def _of_array(element: _Values, compiler: Any, **options: Any) -> str:
    return f"(SELECT unnest(CAST({compiler.process(element.clauses, **options)} AS {element.kind}[])))"


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


def truths(dialect: Dialect) -> Callable[[bool], int]:
    """How the driver takes a truth: for a True SQLite's searches, row by row, for someone who can write it."""
    return int if dialect.name == "sqlite" else bool


def _driver_error(tx: Connection) -> type[Exception]:
    kind: type[Exception] = tx.dialect.loaded_dbapi.Error
    return kind


def _ours(error: Exception) -> StoreError:
    return StoreError("store.failed", detail=str(error).splitlines()[0][:200])
