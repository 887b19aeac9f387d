"""The schema's version: created at first start, migrated by one explicit step (RULES R36)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from exchange.errors import StoreOutdated
from exchange.store.engine import Store
from exchange.store.prepared import Query

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = files("exchange.store").joinpath("migrations")
_VERSION = table("alembic_version", column("version_num"))


def _config() -> Config:
    # Only who migrates needs Alembic; to have it in every HTTP process would cost each eleven megabytes.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.execute(select(_VERSION.c.version_num)).scalar()
    return found


@lru_cache(maxsize=1)
def newest() -> str:
    """The revision that this release needs: a migration's file begins with the revision that it makes."""
    return max(
        file.name.partition("_")[0]
        for file in _MIGRATIONS.joinpath("versions").iterdir()
        if file.name[0] in "0123456789"
    )


def migrate(store: Store) -> tuple[str | None, str]:
    """Bring the schema to this release's revision in one transaction; gives (revision before, revision after)."""
    from alembic import command

    config = _config()
    with store.writing() as connection:
        before = _current(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    store.create_reads()
    return before, newest()


def require(tx: Connection) -> None:
    """Raises StoreOutdated unless the schema is this release's: asked by every writer, in its transaction.

    A process of the release before may still be running when the schema is migrated; it must not write by old rules.
    """
    found = _REVISION.one(tx)
    if found != newest():
        raise StoreOutdated("store.outdated", found=found or "-", needed=newest())


_REVISION = Query(select(_VERSION.c.version_num))


def ready(store: Store, *, create: bool) -> None:
    """Make sure that the store has this release's schema. `create`: an empty store gets it, as at a first start.

    Raises StoreOutdated otherwise: `exchange migrate` is the step that changes an existing schema.
    """
    with store.reading() as connection:
        revision = _current(connection)
        empty = revision is None and not inspect(connection).get_table_names()
    if revision == newest():
        store.create_reads()
        return
    if empty and create:
        migrate(store)
        return
    raise StoreOutdated("store.empty" if empty else "store.outdated", found=revision or "-", needed=newest())
