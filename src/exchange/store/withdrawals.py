"""What a peer took out of a collection (RULES R22): marks that re-decision and re-pull obey, until it posts again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, insert, select

from exchange.store import aliases, former
from exchange.store.statements import Held, any_withdrawn, chunks
from exchange.store.tables import statement, withdrawal

EVERY = ""
"""Instead of a version: every version, later ones too."""


def of_source(source: str) -> str:
    """In place of a channel: every channel, as far as `source` has given it; it has deleted it at its own place."""
    return f"source:{source}"


RECALL = "recall:"
"""In place of a channel: the statement itself is a recall notice, which is obeyed and not handed on."""


def is_notice(held: Held) -> bool:
    """Whether this statement is a recall notice that its source gave us."""
    return RECALL in held.withdrawn


LINEAGE = aliases.LINEAGE


def is_returned(held: Held) -> bool:
    """Whether this statement is about something that was made of an object of ours."""
    return LINEAGE in held.withdrawn


def returned(source: str) -> str:
    """In place of a channel: `source` gives again what it had recalled; that counts when its drain is complete."""
    return f"again:{source}"


def returning(tx: Connection, peer: str, source: str) -> list[str]:
    """The ids that `source` has given again since it recalled them."""
    w = withdrawal.c
    if not any_withdrawn(tx):
        return []
    return list(tx.execute(select(w.stix_id).where(w.peer == peer, w.channel == returned(source)).distinct()).scalars())


def is_deleted(held: Held) -> bool:
    """Whether the source of this statement has deleted it since."""
    return of_source(held.source) in held.withdrawn


def mark(tx: Connection, peer: str, channel: str, stix_id: str, versions: Collection[str], now: int) -> None:
    """`peer` takes these versions of its object (or EVERY) out of `channel`."""
    w = withdrawal.c
    here = (w.stix_id == stix_id, w.peer == peer, w.channel == channel)
    known = set(tx.execute(select(w.version).where(*here)).scalars())
    rows = [
        {"stix_id": stix_id, "peer": peer, "channel": channel, "version": version, "at": now}
        for version in sorted(set(versions) - known)
    ]
    if rows:
        tx.execute(insert(withdrawal), rows)


def marked(tx: Connection, peer: str, channel: str, stix_ids: Iterable[str]) -> set[str]:
    """Which of these ids `peer` has marked, in any version, as taken out of `channel`."""
    w = withdrawal.c
    if not any_withdrawn(tx):
        return set()
    return {
        stix_id
        for ids in chunks(stix_ids)
        for stix_id in tx.execute(
            select(w.stix_id).where(w.peer == peer, w.channel == channel, w.stix_id.in_(ids))
        ).scalars()
    }


def undo(tx: Connection, peer: str, channel: str, given: Iterable[tuple[str, str]]) -> list[str]:
    """`peer` posts these (id, version) to `channel` again; the ids that were marked there.

    The other versions that it took out stay out.
    """
    if not any_withdrawn(tx):
        return []
    versions: dict[str, set[str]] = {}
    for stix_id, version in given:
        versions.setdefault(stix_id, set()).add(version)
    w = withdrawal.c
    undone = []
    for ids in chunks(versions):
        query = select(w.stix_id, w.version, w.at).where(w.peer == peer, w.channel == channel, w.stix_id.in_(ids))
        for stix_id, version, at in tx.execute(query).all():
            if version != EVERY and version not in versions[stix_id]:
                continue
            undone.append(stix_id)
            if version == EVERY:
                own = select(statement.c.version).where(statement.c.stix_id == stix_id, statement.c.peer == peer)
                rest = set(tx.execute(own).scalars()) - versions[stix_id] - {EVERY}
                mark(tx, peer, channel, stix_id, rest, at)
            this = (w.stix_id == stix_id, w.peer == peer, w.channel == channel, w.version == version)
            former.lift(tx, *this)
            tx.execute(delete(withdrawal).where(*this))
    return undone


def forget(tx: Connection, peer: str, channel: str, stix_ids: Iterable[str]) -> list[str]:
    """Of these nothing is out of `channel` any more; the ids of which something was."""
    w = withdrawal.c
    if not any_withdrawn(tx):
        return []
    forgotten: set[str] = set()
    for ids in chunks(stix_ids):
        mine = (w.peer == peer, w.channel == channel, w.stix_id.in_(ids))
        forgotten |= set(tx.execute(select(w.stix_id).where(*mine)).scalars())
        former.lift(tx, *mine)
        tx.execute(delete(withdrawal).where(*mine))
    return sorted(forgotten)
