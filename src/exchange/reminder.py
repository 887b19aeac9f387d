"""Reminds the log of agreements that end: once for each step of each, whoever starts the daemon how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime

import structlog

from exchange.errors import StoreError
from exchange.model.party import Agreement
from exchange.policy.ending import OVER, STEPS, Ending, endings
from exchange.store import Store
from exchange.store import endings as notes

logger = structlog.get_logger()


class Reminder:
    """Looks at the agreements once a day, UTC, and again at once after the store could not be asked."""

    def __init__(self, store: Store, agreements: Iterable[Agreement], clock: Callable[[], datetime]) -> None:
        self._store, self._agreements, self._clock = store, tuple(agreements), clock
        self._looked: date | None = None

    def look(self) -> None:
        """Tell what nobody was told yet. A store that cannot be written to now is asked again at the next look."""
        today = self._clock().date()
        if today == self._looked:
            return
        try:
            fresh = self._fresh(today)
        except StoreError as error:
            logger.warning("agreement.not_kept", error=error)
            return
        self._looked = today
        for each in fresh:
            _tell(each)

    def _fresh(self, today: date) -> list[Ending]:
        near = {each.agreement: each for each in endings(self._agreements, today)}
        said = {name: f"{each.until} {each.step}" for name, each in near.items()}
        with self._store.reading() as tx:
            told = notes.told(tx)
        if told == said:
            return []
        with self._store.writing() as tx:
            told = notes.told(tx)  # once more: another daemon of this store may have told it meanwhile
            for gone in told.keys() - said.keys():
                notes.forget(tx, gone)
            fresh = [each for name, each in near.items() if told.get(name) != said[name]]
            for each in fresh:
                notes.keep(tx, each.agreement, said[each.agreement])
        return fresh


def _tell(each: Ending) -> None:
    parties = ", ".join(each.parties)
    if each.step == OVER:
        logger.error("agreement.ended", agreement=each.agreement, until=each.until.isoformat(), parties=parties)
        return
    fields = {"agreement": each.agreement, "until": each.until.isoformat(), "days": each.days, "parties": parties}
    if each.step == STEPS[-1]:
        logger.error("agreement.ending_now", **fields)
    elif each.step == STEPS[0]:
        logger.info("agreement.ending", **fields)
    else:
        logger.warning("agreement.ending_soon", **fields)
