"""OpenTAXII's tables filled by SQL: by POST a million objects would take hours."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from lab.opentaxii_store import API_ROOT

from benchmarks.content import Content

_COLUMNS = ("pk", "id", "collection_id", "type", "spec_version", "date_added", "version", "serialized_data")
_TIME = "%Y-%m-%d %H:%M:%S.%f"
_TAXII_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def sqlite(database: Path, collection: str, content: Content, count: int) -> str:
    """The first `count` objects, into a SQLite file; when the last one was added."""
    start, places = _start(count), ", ".join("?" * len(_COLUMNS))
    with closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.executemany(
            f"INSERT INTO opentaxii_stixobject ({', '.join(_COLUMNS)}) VALUES ({places})",  # noqa: S608 - our own names
            _rows(content, count, UUID(collection).hex, start),
        )
    return _added(start, count - 1).strftime(_TAXII_TIME)


def postgresql(dsn: str, collection: str, content: Content, count: int) -> str:
    """The first `count` objects, into a PostgreSQL database; when the last one was added."""
    start = _start(count)
    with psycopg.connect(dsn) as db, db.cursor() as cursor:
        with cursor.copy(f"COPY opentaxii_stixobject ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
            for row in _rows(content, count, collection, start):
                copy.write_row(row)
        cursor.execute("ANALYZE opentaxii_stixobject")
    return _added(start, count - 1).strftime(_TAXII_TIME)


def _start(count: int) -> datetime:
    # One date for each, the last just now, and never a whole second: OpenTAXII cannot read a `next` without a fraction.
    return datetime.now(UTC).replace(microsecond=1) - timedelta(milliseconds=count)


def _added(start: datetime, index: int) -> datetime:
    return start + timedelta(milliseconds=index)


def _rows(content: Content, count: int, collection: str, start: datetime) -> Iterator[tuple[str, ...]]:
    for index in range(count):
        object_: dict[str, Any] = content.object(index)
        version = datetime.fromisoformat(object_["modified"]).strftime(_TIME)
        id_, type_, spec_version = object_.pop("id"), object_.pop("type"), object_.pop("spec_version")
        added = _added(start, index).strftime(_TIME)
        yield uuid4().hex, id_, collection, type_, spec_version, added, version, json.dumps(object_)


def furnish(dsn: str, account: tuple[str, str], collection: str) -> None:
    """API root, collection and account in the fresh tables of a PostgreSQL database."""
    user, password = account
    with psycopg.connect(dsn) as db:
        db.execute(
            'INSERT INTO opentaxii_api_root (id, "default", title, is_public) VALUES (%s, true, %s, false)',
            (API_ROOT, "Bench"),
        )
        db.execute(
            "INSERT INTO opentaxii_collection (id, api_root_id, title, alias, is_public, is_public_write)"
            " VALUES (%s, %s, %s, %s, false, false)",
            (collection, API_ROOT, "Bench", "bench"),
        )
        db.execute(
            "INSERT INTO accounts (username, password_hash, is_admin, _permissions) VALUES (%s, %s, false, %s)",
            (user, _hash(password), json.dumps({collection: ["read", "write"]})),
        )


def _hash(password: str) -> str:
    # As werkzeug keeps it, with few rounds: OpenTAXII checks it on every request, and that is not what we measure.
    salt = secrets.token_hex(8)
    return f"pbkdf2:sha256:1000${salt}${hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), 1000).hex()}"
