"""The configurations that were applied, version by version; the newest that is as it was applied is the one that runs.

A version is only ever added: what ran once can be read, and applied again, for as long as the store lives. A folder
has some kilobytes, so none is thrown away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from exchange.store.prepared import Query
from exchange.store.tables import configuration

_c = configuration.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One version as it was applied."""

    id: int
    """1, 2, 3 …"""
    at: int
    """µs since 1970, UTC."""
    who: str
    why: str
    restored: int | None
    """The version that was applied again; None: it came from the folder."""
    digest: str
    files: Mapping[str, str]
    """A file's name in the folder → its text; none where nobody can tell any more."""

    @property
    def intact(self) -> bool:
        """Whether its texts are those that were applied: nobody wrote over them in the database."""
        return self.digest == digest_of(self.files)


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 of names and texts: equal for equal folders."""
    return hashlib.sha256(_text(files).encode(errors="surrogatepass")).hexdigest()  # whatever stands there by now


def _text(files: Mapping[str, str]) -> str:
    return json.dumps(dict(files), ensure_ascii=False, sort_keys=True)


def add(
    tx: Connection, files: Mapping[str, str], *, at: int, who: str, why: str = "", restored: int | None = None
) -> int:
    """Make `files` what runs from now on; gives the number of the new version."""
    row = {"at": at, "who": who, "why": why, "restored": restored, "digest": digest_of(files), "files": _text(files)}
    made = tx.execute(insert(configuration).values(row)).inserted_primary_key
    return 0 if made is None else int(made[0])


def newest_id(tx: Connection) -> int:
    """The number of the version that was applied last; 0: none was ever applied."""
    return int(_NEWEST.one(tx) or 0)


_NEWEST = Query(select(func.max(_c.id)))


def newest(tx: Connection) -> Applied | None:
    """The version that runs: the newest that is intact; None: there is none."""
    return next(filter(lambda each: each.intact, _backwards(tx)), None)


def altered(tx: Connection) -> list[int]:
    """The versions after the one that runs, oldest first: they do not run, for they are not as they were applied."""
    return [each.id for each in takewhile(lambda each: not each.intact, _backwards(tx))][::-1]


def _backwards(tx: Connection) -> Iterator[Applied]:
    """Every version, the newest first, each read when it is asked for."""
    for number in tx.scalars(select(_c.id).order_by(_c.id.desc())).all():
        found = numbered(tx, number)
        if found is not None:
            yield found


def numbered(tx: Connection, number: int) -> Applied | None:
    """The version with this number; None: there is none."""
    row = tx.execute(select(configuration).where(_c.id == number)).one_or_none()
    return None if row is None else _read(row)


def every(tx: Connection) -> list[Applied]:
    """Every version, the oldest first."""
    rows = tx.execute(select(configuration).order_by(_c.id))
    return [_read(row) for row in rows]


def _read(row: Row[Any]) -> Applied:
    try:
        files = json.loads(row.files)
    except ValueError:  # written over by hand
        files = {}
    return Applied(**{**row._mapping, "files": files if isinstance(files, dict) else {}})
