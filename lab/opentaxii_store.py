"""What OpenTAXII's command line cannot do, straight in its SQLite file: fixed collection ids, rights, bulk loads.

`opentaxii-add-collection` draws the id itself, `opentaxii-create-account` gives no rights, and `opentaxii-sync-data`
needs the TAXII 1 half. Loading a million objects by POST would take hours.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

API_ROOT = "6d0f3a52-94c1-4b8e-a7d3-1e5f82c0b964"
_SQL_TIME = "%Y-%m-%d %H:%M:%S.%f"


def settings(base: str, database: Path) -> dict[str, Any]:
    """OpenTAXII's configuration for a TAXII 2.1 server on one SQLite file."""
    db = {"db_connection": f"sqlite:///{database}", "create_tables": True}
    return {
        "domain": base.removeprefix("http://").rstrip("/"),
        "support_basic_auth": True,
        "auth_api": {
            "class": "opentaxii.auth.sqldb.SQLDatabaseAPI",
            "parameters": {**db, "secret": secrets.token_hex(20), "token_ttl_secs": 3600},
        },
        "taxii1": None,
        "taxii2": {
            "persistence_api": {
                "class": "opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI",
                "parameters": db,
            },
            "title": "CERT-EE",
            "public_discovery": True,
            "max_content_length": 10_000_000,
            "allow_custom_properties": True,
        },
        "logging": {"opentaxii": "warning", "root": "warning"},
    }


def furnish(database: Path, *, account: tuple[str, str], collections: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Create the API root, the collections (name -> id and our rights) and our account in fresh tables."""
    user, password = account
    root = UUID(API_ROOT).hex
    rights = {id_: list(may) for id_, may in collections.values()}
    with closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.execute(
            'INSERT INTO opentaxii_api_root (id, "default", title, description, is_public) VALUES (?, 1, ?, ?, 0)',
            (root, "CERT-EE", "Riigi infosüsteemi amet"),
        )
        db.executemany(
            "INSERT INTO opentaxii_collection (id, api_root_id, title, alias, is_public, is_public_write)"
            " VALUES (?, ?, ?, ?, 0, 0)",
            [(UUID(id_).hex, root, name.capitalize(), name) for name, (id_, _) in collections.items()],
        )
        db.execute(
            "INSERT INTO accounts (username, password_hash, is_admin, _permissions) VALUES (?, ?, 0, ?)",
            (user, _werkzeug_hash(password), json.dumps(rights)),
        )


def load(database: Path, collection: str, objects: Iterable[Mapping[str, Any]]) -> None:
    """Add objects to a collection, each with a `date_added` of its own, the last one just now."""
    rows = list(objects)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(milliseconds=len(rows))
    with closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.executemany(
            "INSERT OR IGNORE INTO opentaxii_stixobject"
            " (pk, id, collection_id, type, spec_version, date_added, version, serialized_data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            _rows(rows, UUID(collection).hex, start),
        )


def _rows(objects: Iterable[Mapping[str, Any]], collection: str, start: datetime) -> Iterator[tuple[str, ...]]:
    for number, object_ in enumerate(objects):
        # Never a whole second: OpenTAXII cannot read a `next` of its own that has no fraction.
        added = start + timedelta(milliseconds=number, microseconds=1)
        version = object_.get("modified") or object_.get("created") or "1970-01-01T00:00:00Z"
        rest = {key: value for key, value in object_.items() if key not in ("id", "type", "spec_version")}
        yield (
            uuid4().hex,
            object_["id"],
            collection,
            object_["type"],
            object_.get("spec_version", "2.1"),
            added.strftime(_SQL_TIME),
            datetime.fromisoformat(version).strftime(_SQL_TIME),
            json.dumps(rest),
        )


def _werkzeug_hash(password: str) -> str:
    # Cheap on purpose: OpenTAXII checks it on every request, and this account guards invented data on loopback.
    salt, rounds = secrets.token_hex(8), 1000
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds)
    return f"pbkdf2:sha256:{rounds}${salt}${digest.hex()}"
