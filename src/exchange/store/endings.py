"""Which end of which agreement was told: a note, so that a daemon that starts again does not repeat it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from exchange.store.tables import meta

_NAME = "ending:"


def told(tx: Connection) -> dict[str, str]:
    """Agreement → what was told of it last, as `keep` was given it."""
    query = select(meta.c.name, meta.c.value).where(meta.c.name.startswith(_NAME, autoescape=True))
    return {name.removeprefix(_NAME): value for name, value in tx.execute(query)}


def keep(tx: Connection, agreement: str, said: str) -> None:
    """Write down what was told of `agreement`, in place of what was told before."""
    here = meta.c.name == _NAME + agreement
    if tx.execute(update(meta).where(here).values(value=said)).rowcount == 0:
        tx.execute(insert(meta).values(name=_NAME + agreement, value=said))


def forget(tx: Connection, agreement: str) -> None:
    """Nothing is told of it now: it was renewed, or is gone."""
    tx.execute(delete(meta).where(meta.c.name == _NAME + agreement))
