"""By which terms the node ran at some instant, as far as the configurations that were applied tell."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from pathlib import Path

from exchange.config.folder import made_of
from exchange.errors import ConfigError
from exchange.model.party import Terms
from exchange.policy import Rules
from exchange.store import Store, configurations, moment
from exchange.sync.replay import Epochs

_LATELY = 2
"""A daemon may follow the version before the newest one for a moment, until it has seen that."""


def epochs_of(store: Store, folder: Path) -> Epochs:
    """For any instant the epochs of the configurations that may have been followed then. One that this release cannot
    read, or that is not as it was applied, tells nothing.
    """
    with store.reading() as tx:
        versions = configurations.every(tx)
    known: dict[int, Terms | None] = {}

    def terms(index: int) -> Terms | None:
        if index not in known:
            known[index] = None
            if versions[index].intact:
                with suppress(ConfigError):
                    known[index] = made_of(versions[index].files, folder).terms
        return known[index]

    def epochs(at: int) -> frozenset[str]:
        upto = bisect_right(versions, at, key=lambda version: version.at)
        found = [terms(index) for index in range(max(0, upto - _LATELY), upto)]
        if None in found:
            return frozenset()
        return frozenset(Rules(each, moment(at)).epoch for each in found if each is not None)

    return epochs
