"""The schema's version: created at first start, migrated by one explicit step (RULES R36)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from exchange.errors import StoreOutdated
from exchange.store.engine import Store


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("exchange.store").joinpath("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@lru_cache(maxsize=1)
def newest() -> str:
    """The revision that this release needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def migrate(store: Store) -> tuple[str | None, str]:
    """Bring the schema to this release's revision in one transaction; gives (revision before, revision after)."""
    config = _config()
    with store.writing() as connection:
        before = _current(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    store.create_reads()
    return before, newest()


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
