"""A process that runs follows what is applied: it looks at the store's sign of change, and takes the new settings.

It says at its start what it runs on, and whether the folder is otherwise (`config.applied`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from exchange.config import Settings
from exchange.config.applied import Standing, held_back, settings_of
from exchange.errors import ConfigError, ExchangeError
from exchange.store import Store, Watch, configurations

logger = structlog.get_logger()

LOOK = 0.25
"""Seconds between two looks of an HTTP worker; a poll never waits for one."""
AT_START = ("node", "store", "serve")
"""Tables of `exchange.toml` that a process reads when it starts, and not again."""


def tell(standing: Standing) -> None:
    """Say in the log what runs, and how the folder stands to it."""
    if standing.first:
        logger.info("config.first", version=standing.version)
    if standing.altered:
        names = ", ".join(map(str, standing.altered))
        logger.critical("config.altered", version=standing.version, altered=names)
    if standing.mistakes:
        logger.error("config.last_good", version=standing.version, mistakes=standing.mistakes)
    elif standing.differing:
        files = ", ".join(standing.differing)
        logger.warning("config.differs", version=standing.version, count=len(standing.differing), files=files)


class Following:
    """Tells when another configuration was applied than the one that this process runs on."""

    def __init__(self, store: Store, folder: Path, standing: Standing) -> None:
        self._store, self._folder = store, folder
        self._version, self._settings = max(standing.version, *standing.altered, 0), standing.settings
        self._runs = standing.version
        self._watch: Watch | None = None

    def look(self) -> Settings | None:
        """The settings applied since the last look; None: none were, or they cannot be used here (which is said)."""
        try:
            if self._watch is None:
                self._watch = self._store.watch()
            if not self._watch.changed():
                return None
            with self._store.reading() as tx:
                newest = configurations.newest_id(tx)
                if newest == self._version:
                    return None
                applied = configurations.numbered(tx, newest)
            if applied is None:
                return None
            self._version = newest
            if not applied.intact:  # the next start says and does the same
                logger.critical("config.altered", version=self._runs, altered=str(newest))
                self._settings = held_back(self._settings)
                return self._settings
            return self._take(applied)
        except ExchangeError as error:
            logger.error("config.not_followed", error=error)
            self.close()
            return None

    def _take(self, applied: configurations.Applied) -> Settings | None:
        try:
            settings = settings_of(applied, self._folder)
        except ConfigError as error:
            # Written by a newer release, say: what runs goes on, and the next start says the same.
            logger.error("config.not_followed", error=error)
            return None
        waiting = ", ".join(name for name in AT_START if getattr(settings, name) != getattr(self._settings, name))
        logger.info("config.followed", version=applied.id, who=applied.who, why=applied.why or "–")
        if waiting:
            logger.warning("config.after_restart", tables=waiting)
        self._settings, self._runs = settings, applied.id
        return settings

    def close(self) -> None:
        """Close the connection that watches; the next look makes another."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def in_background(self, take: Callable[[Settings], None]) -> None:
        """Look every quarter of a second, from a thread that dies with the process, and give `take` what is new."""
        pause = threading.Event()

        def follow() -> None:
            while not pause.wait(LOOK):
                settings = self.look()
                if settings is not None:
                    take(settings)

        threading.Thread(target=follow, name="exchange-config", daemon=True).start()
