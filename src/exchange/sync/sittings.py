"""Each sitting of a Lister is written down, with the terms by which it decided: decisions can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from exchange.model.benign.choice import NOTHING
from exchange.model.party import Terms
from exchange.policy import Rules
from exchange.store import sittings
from exchange.store.clock import micros


def follow(tx: Connection, rules: Rules, now: datetime) -> int:
    """The store follows these rules from now on; which they are of all that it followed."""
    return sittings.follow(tx, rules.epoch, _text(rules), micros(now))


def record(tx: Connection, rules: Rules, now: datetime, dates: Mapping[int, tuple[int, int]]) -> None:
    """Listings were decided by these rules and written. `dates`: audience → its last date, and how many rows it got."""
    sittings.record(
        tx, rules.epoch, lambda: _text(rules), ruled=micros(rules.now), at=micros(now), dates=dates
    )  # fmt: skip


def _text(rules: Rules) -> str:
    # What is doubtful stands with each statement, and its lists are long.
    return msgspec.json.encode(replace(rules.terms, benign=NOTHING)).decode()


def terms_of(text: str) -> Terms | None:
    """The terms that were written down; None: this release does not read them."""
    try:
        return msgspec.json.decode(text, type=Terms)
    except msgspec.ValidationError:
        return None
