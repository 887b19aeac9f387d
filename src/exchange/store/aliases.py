"""By which other ids things are known: what statements say of their own objects, and nobody else's word for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, bindparam, insert, literal_column, or_, select

from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import alias, listing, statement, withdrawal

_ANY = Query(select(alias.c.seq).limit(1))
LINEAGE = "lineage:"
"""In place of a channel: the statement is of an object that went out from here altered, and has come back (R16)."""
_back = select(withdrawal.c.stix_id).where(
    withdrawal.c.stix_id == alias.c.alias, withdrawal.c.channel == literal_column(f"'{LINEAGE}'")
)
FOR_ITSELF = or_(~_back.exists(), _back.where(withdrawal.c.peer == statement.c.peer).exists())
"""Whoever puts a token of ours on something says what it has itself, and nothing of others who gave that id (R5)."""
_GIVERS = Lookup(
    select(alias.c.seq, statement.c.peer)
    .distinct()
    .select_from(alias.join(statement, statement.c.stix_id == alias.c.alias))
    .where(among(alias.c.seq))
    .where(FOR_ITSELF)
)
_OF_PEER = Lookup(
    select(alias.c.alias, statement.c.version)
    .select_from(alias.join(statement, statement.c.seq == alias.c.seq))
    .where(among(alias.c.alias), statement.c.peer == bindparam("peer"))
)
_LISTED = Lookup(
    select(statement.c.stix_id)
    .distinct()
    .select_from(alias.join(statement, statement.c.seq == alias.c.seq).join(listing, listing.c.seq == statement.c.seq))
    .where(among(alias.c.alias), listing.c.audience == bindparam("number"), listing.c.closed.is_(None))
    .limit(bindparam("most"))
)


def any_alias(tx: Connection) -> bool:
    """Whether anything says that it has another id; most stores hold no such thing."""
    return _ANY.one(tx) is not None


def givers(tx: Connection, seqs: Iterable[int]) -> Mapping[int, frozenset[str]]:
    """Number of a statement → the peers that gave something under an id which it says is its own too."""
    found: dict[int, set[str]] = {}
    for seq, peer in _GIVERS.rows(tx, seqs):
        found.setdefault(seq, set()).add(peer)
    return {seq: frozenset(peers) for seq, peers in found.items()}


def given_as(tx: Connection, peer: str, stix_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of what `peer` gave itself under another id, of these ids."""
    return {(row[0], row[1]) for row in _OF_PEER.rows(tx, stix_ids, peer=peer)} if any_alias(tx) else set()


def add(tx: Connection, other: str, seqs: Iterable[int]) -> None:
    """These statements are about what is known as `other` too."""
    wanted = set(seqs)
    for some in chunks(wanted):
        query = select(alias.c.seq).where(alias.c.alias == other, alias.c.seq.in_(some))
        new = set(some) - set(tx.execute(query).scalars())
        if new:
            tx.execute(insert(alias), [{"alias": other, "seq": seq} for seq in sorted(new)])


def listed_copies(tx: Connection, numbers: Collection[int], stix_ids: Collection[str], most: int) -> set[str]:
    """Ids of what says that it is one of `stix_ids` too, at most `most` listed to each of the audiences `numbers`."""
    if not (numbers and stix_ids and any_alias(tx)):
        return set()
    return {row[0] for number in numbers for row in _LISTED.rows(tx, stix_ids, number=number, most=most)}


def known_as(stix_id: str) -> ColumnElement[bool]:
    """What says that it is `stix_id` too, and what the statements under `stix_id` say that they are."""
    by_itself = select(alias.c.seq).where(alias.c.alias == stix_id)
    other = statement.alias("other")
    its = select(alias.c.alias).join(other, other.c.seq == alias.c.seq).where(other.c.stix_id == stix_id)
    return or_(statement.c.seq.in_(by_itself), statement.c.stix_id.in_(its))


def held_by(tx: Connection, peer: str, stix_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(id, version) of what `peer` gave us itself, of these ids, under whatever id: it need not be handed back (R3)."""
    wanted = list(stix_ids)
    return given_as(tx, peer, wanted) | {
        (row.stix_id, row.version)
        for ids in chunks(wanted)
        for row in tx.execute(
            select(statement.c.stix_id, statement.c.version).where(
                statement.c.peer == peer, statement.c.stix_id.in_(ids)
            )
        )
    }
