"""Traits: what a statement holds that may have to be altered for somebody. Most statements have none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, Integer, cast, exists, false, insert, null, select, update

from exchange.model.marking import Label
from exchange.store import former
from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import statement, trait


class Trait(NamedTuple):
    """Of one statement: its label without granular marks (None: it has none), whether it may name a person, and whether
    its source says elsewhere that it is a victim's.
    """

    seq: int
    parts: Label | None
    personal: bool
    victim: bool = False


_ANY = Query(select(trait.c.seq).limit(1))
_OF = Lookup(select(trait.c.seq, trait.c.parts, trait.c.personal, trait.c.victim).where(among(trait.c.seq)))


def of(tx: Connection, seqs: Iterable[int]) -> dict[int, Trait]:
    """Number → the traits of those of these statements that have any."""
    if _ANY.one(tx) is None:
        return {}
    return {
        seq: Trait(seq, None if parts is None else Label.from_text(parts), bool(personal), bool(victim))
        for seq, parts, personal, victim in _OF.rows(tx, seqs)
    }


def keep(tx: Connection, traits: Iterable[Trait]) -> None:
    """Write down those of new statements."""
    rows = [
        {
            "seq": each.seq,
            "parts": None if each.parts is None else each.parts.to_text(),
            "personal": each.personal,
            "victim": each.victim,
        }
        for each in traits
    ]
    if rows:
        tx.execute(insert(trait), rows)


def join(tx: Connection, seqs: Collection[int]) -> None:
    """Of these the marks of parts count for the whole from now on: their giver contradicted itself."""
    if seqs:
        former.keep(tx, former.PARTS, trait.c.seq, trait.c.parts, seqs)
        tx.execute(update(trait).where(trait.c.seq.in_(list(seqs))).values(parts=None))


def restate(tx: Connection, parts: Mapping[int, Label]) -> None:
    """Number → what it states without its granular marks, once somebody has told what a mark means."""
    for seq, label in parts.items():
        former.keep(tx, former.PARTS, trait.c.seq, trait.c.parts, [seq])
        tx.execute(update(trait).where(trait.c.seq == seq).values(parts=label.to_text()))


_BOTH = cast(trait.c.personal, Integer) + 2 * cast(trait.c.victim, Integer)


def told(said: str) -> tuple[bool, bool]:
    """(personal, victim) of what is kept of both as it was before."""
    return bool(int(said or 0) & 1), bool(int(said or 0) & 2)


def tell(tx: Connection, seqs: Collection[int], *, personal: bool, victim: bool) -> None:
    """Of these is known from now on whether they may name a person, and whether their source calls them a victim's."""
    for some in chunks(sorted(seqs)):
        none = ~exists().where(trait.c.seq == statement.c.seq)
        rows = select(statement.c.seq, null(), false(), false()).where(statement.c.seq.in_(some), none)
        tx.execute(insert(trait).from_select(["seq", "parts", "personal", "victim"], rows))
        former.keep(tx, former.TRAITS, trait.c.seq, _BOTH, some)
        tx.execute(update(trait).where(trait.c.seq.in_(some)).values(personal=personal, victim=victim))


Held = TypeVar("Held", bound=Any)


def given(tx: Connection, found: dict[str, list[Held]]) -> dict[str, list[Held]]:
    """The statements held, by id, with their traits."""
    known = of(tx, (item.seq for group in found.values() for item in group))
    if known:
        for stix_id, group in found.items():
            if any(item.seq in known for item in group):
                found[stix_id] = [having(item, known.get(item.seq)) for item in group]
    return found


def having(item: Held, known: Trait | None) -> Held:
    """One of them with these."""
    if known is None:
        return item
    return replace(item, parts=known.parts, personal=known.personal, victim=known.victim)
