"""What persons let go of what is held for them: for one version as one source said it, one reason, and somebody.

The last word holds: `refused` and `undone` void what was approved before, and nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, and_, func, insert, or_, select

from exchange.store.columns import chunks
from exchange.store.prepared import Lookup, Query, among
from exchange.store.tables import approval, statement, trait
from exchange.store.work import ERASED, NOTICES

APPROVED, REFUSED, UNDONE = "approved", "refused", "undone"
Approved = frozenset[tuple[str, str, int]]
"""(for whom, reason code, by how many persons)."""
Key = tuple[str, str, str]
"""(id, source, version)."""


class Word(NamedTuple):
    """What somebody says of a version that is held; `agreement` as in `Subject.approved`."""

    stix_id: str
    source: str
    version: str
    code: str
    agreement: str
    verdict: str
    who: str
    why: str
    at: int
    """µs since 1970."""


def keep(tx: Connection, words: Iterable[Word]) -> None:
    """Write these down."""
    rows = [word._asdict() for word in words]
    if rows:
        tx.execute(insert(approval), rows)


_a = approval.c
_ANY = Query(select(_a.id).limit(1))
_OF = Lookup(
    select(_a.stix_id, _a.source, _a.version, _a.code, _a.agreement, _a.verdict, _a.who, _a.id).where(among(_a.stix_id))
)


def standing(tx: Connection, stix_ids: Iterable[str]) -> dict[Key, Approved]:
    """What is approved of these ids now; most stores hold nothing of it."""
    return {} if _ANY.one(tx) is None else tally(_OF.rows(tx, stix_ids))


def words(tx: Connection, stix_ids: Iterable[str]) -> list[Any]:
    """Every word on these ids, as `tally` takes them, each with its number last."""
    return [] if _ANY.one(tx) is None else _OF.rows(tx, stix_ids)


def tally(rows: Iterable[Any]) -> dict[Key, Approved]:
    """What these words, in any order, come to."""
    by: dict[tuple[Key, str], dict[str, set[str]]] = {}
    for stix_id, source, version, code, whom, verdict, who, _ in sorted(rows, key=lambda r: r[7]):
        words = by.setdefault(((stix_id, source, version), code), {})
        if verdict == APPROVED:
            words.setdefault(whom, set()).add(who)
        else:
            words.clear()
    found: dict[Key, set[tuple[str, str, int]]] = {}
    for (key, code), words in by.items():
        # Who lets it go to everybody lets it go to each.
        all_ = words.get("", set())
        found.setdefault(key, set()).update((whom, code, len(people | all_)) for whom, people in words.items())
    return {key: frozenset(said) for key, said in found.items() if said}


def attach(tx: Connection, groups: Mapping[str, list[Any]]) -> None:
    """Put to each of these statements (`statements.Held`), by id, what is approved of it."""
    for (stix_id, source, version), approved in standing(tx, groups).items():
        groups[stix_id][:] = [
            replace(item, approved=approved) if (item.source, item.version) == (source, version) else item
            for item in groups[stix_id]
        ]


def refused(tx: Connection, keys: Collection[Key], code: str) -> set[Key]:
    """Of these, what somebody refused and nobody approved since."""
    last: dict[Key, str] = {}
    wanted = set(keys)
    for ids in chunks(sorted({key[0] for key in keys})):
        query = select(_a.stix_id, _a.source, _a.version, _a.verdict).where(_a.stix_id.in_(ids), _a.code == code)
        last |= {(row[0], row[1], row[2]): row[3] for row in tx.execute(query.order_by(_a.id))}
    return {key for key, verdict in last.items() if verdict == REFUSED and key in wanted}


def about(tx: Connection, stix_id: str) -> list[RowMapping]:
    """Every word on what is said under this id, oldest first."""
    return [row._mapping for row in tx.execute(select(approval).where(_a.stix_id == stix_id).order_by(_a.id))]


def classes(tx: Connection) -> list[tuple[str, str, int, int]]:
    """(peer, label as text, how many, when the first came) of the newest statements, by what is decided of them."""
    s = statement.c
    query = select(s.peer, s.label, func.count(), func.min(s.received)).where(*_CURRENT)
    return [(row[0], row[1], row[2], row[3]) for row in tx.execute(query.group_by(s.peer, s.label))]


_CURRENT = (
    statement.c.newest, ~statement.c.waiting, statement.c.label.is_not(None), statement.c.source != NOTICES,
    statement.c.type != ERASED,
)  # fmt: skip


def personal(tx: Connection) -> list[tuple[str, int, int]]:
    """(peer, how many, when the first came) of the newest statements in which there may be personal information."""
    s = statement.c
    query = select(s.peer, func.count(), func.min(s.received)).join(trait, trait.c.seq == s.seq)
    rows = tx.execute(query.where(*_CURRENT, trait.c.personal).group_by(s.peer))
    return [(row[0], row[1], row[2]) for row in rows]


def with_personal(tx: Connection, after: int, most: int) -> list[int]:
    """The numbers of these statements, behind `after`, in order."""
    s = statement.c
    query = select(s.seq).join(trait, trait.c.seq == s.seq).where(*_CURRENT, trait.c.personal, s.seq > after)
    return list(tx.execute(query.order_by(s.seq).limit(most)).scalars())


def of_classes(tx: Connection, wanted: Collection[tuple[str, str]], after: int, most: int) -> list[int]:
    """The numbers of the newest statements of these (peer, label), behind `after`, in order."""
    s = statement.c
    if not wanted:
        return []
    mine = or_(*(and_(s.peer == peer, s.label == label) for peer, label in sorted(wanted)))
    query = select(s.seq).where(mine, s.seq > after, *_CURRENT).order_by(s.seq).limit(most)
    return list(tx.execute(query).scalars())
