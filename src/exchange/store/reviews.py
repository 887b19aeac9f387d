"""What a person looks at before it leaves: the doubt that stands with a statement, and every verdict on one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from exchange.store import former
from exchange.store.columns import indexed
from exchange.store.identity import review
from exchange.store.prepared import Query
from exchange.store.statements import chunks
from exchange.store.tables import observable, statement

RELEASED, REFUSED = "released", "refused"
REFUSAL = "doubt.refused"
"""The doubt that a person confirmed: it is held and no longer asked."""

# Written as the partial index is, so that both engines use it.
_DOUBTED = text("statement.doubt <> ''")
_OPEN = text("statement.doubt <> '' AND statement.doubt <> 'doubt.refused'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a person decided of one value as one source said it. `matches`: what had been found then."""

    stix_id: str
    source: str
    code: str
    value: str
    matches: Sequence[Mapping[str, Any]]
    verdict: str
    who: str
    why: str
    at: int
    """µs since 1970."""


def keep(tx: Connection, verdicts: Sequence[Verdict]) -> None:
    """Write these down; nothing is ever taken out again, the last word holds."""
    if verdicts:
        tx.execute(
            insert(review),
            [
                {
                    "stix_id": each.stix_id, "source": each.source, "code": each.code, "value": indexed(each.value),
                    "matches": orjson.dumps(each.matches).decode(), "verdict": each.verdict, "who": each.who,
                    "why": each.why, "at": each.at,
                }
                for each in verdicts
            ],
        )  # fmt: skip


_ANY = Query(select(review.c.id).limit(1))


def last_words(tx: Connection, values: Iterable[str], needed: int = 1) -> dict[tuple[str, str], str]:
    """(source, value) → the last verdict, of those of `values` that somebody decided.

    `needed`: by how many persons in a row a value is released; until then it is as if nobody had decided.
    """
    found: dict[tuple[str, str], str] = {}
    people: dict[tuple[str, str], set[str]] = {}
    given = {indexed(value): value for value in values}
    if not given or _ANY.one(tx) is None:
        return {}
    r = review.c
    for some in chunks(given):
        query = select(r.source, r.value, r.verdict, r.who).where(r.value.in_(some)).order_by(r.id)
        for source, value, verdict, who in tx.execute(query):
            key = source, given[value]
            found[key] = verdict
            if verdict == RELEASED:
                people.setdefault(key, set()).add(login_of(who))
            else:
                people.pop(key, None)
    return {key: word for key, word in found.items() if word != RELEASED or len(people[key]) >= needed}


def login_of(who: str) -> str:
    """The login in `NAME (login)`; a name without one stands for itself."""
    _, bracket, login = who.rpartition(" (")
    return login.removesuffix(")") if bracket and who.endswith(")") else who


def about(tx: Connection, stix_ids: Collection[str]) -> list[dict[str, Any]]:
    """Every verdict on what was said under these ids, oldest first."""
    rows: list[dict[str, Any]] = []
    for ids in chunks(stix_ids):
        query = select(review).where(review.c.stix_id.in_(ids)).order_by(review.c.id)
        rows += [{**row, "matches": orjson.loads(row["matches"])} for row in tx.execute(query).mappings()]
    return rows


def open_seqs(tx: Connection, *, after: int = 0, most: int, source: str = "", refused: bool = False) -> list[int]:
    """The numbers of statements behind `after` that wait for a person, in order; `refused`: those refused instead."""
    asked = statement.c.doubt == REFUSAL if refused else _OPEN
    query = select(statement.c.seq).where(_DOUBTED, asked, statement.c.seq > after)
    if source:
        query = query.where(statement.c.source == source)
    return list(tx.execute(query.order_by(statement.c.seq).limit(most)).scalars())


def count_open(tx: Connection, *, source: str = "", refused: bool = False) -> int:
    """How many wait."""
    query = select(func.count()).select_from(statement).where(_DOUBTED)
    query = query.where(statement.c.doubt == REFUSAL if refused else _OPEN)
    if source:
        query = query.where(statement.c.source == source)
    return int(tx.execute(query).scalar_one())


def counts(tx: Connection) -> list[tuple[str, str, int, int]]:
    """(peer, doubt, how many, when the first came) of what waits for a person."""
    s = statement.c
    query = select(s.peer, s.doubt, func.count(), func.min(s.received)).where(_DOUBTED, _OPEN)
    return [(row[0], row[1], row[2], row[3]) for row in tx.execute(query.group_by(s.peer, s.doubt))]


def doubt(tx: Connection, codes: Mapping[int, str]) -> None:
    """Write down the doubt about these statements; an empty code: there is none any more."""
    if codes:
        former.keep(tx, former.DOUBT, statement.c.seq, statement.c.doubt, codes)
        tx.execute(
            update(statement).where(statement.c.seq == bindparam("at")).values(doubt=bindparam("code")),
            [{"at": seq, "code": code} for seq, code in codes.items()],
        )


def indicators(tx: Connection, after: int, most: int) -> list[int]:
    """The numbers of the statements behind `after` that say that something is bad, in order."""
    return [row[0] for row in _INDICATORS.run(tx, after=after, most=most)]


_INDICATORS = Query(
    select(statement.c.seq)
    .where(statement.c.seq > bindparam("after"), statement.c.type == "indicator")
    .order_by(statement.c.seq)
    .limit(bindparam("most"))
)


def saying(tx: Connection, values: Collection[str], after: int, most: int) -> list[int]:
    """The numbers of the indicators behind `after` that name one of these values, in order."""
    query = (
        select(statement.c.seq)
        .distinct()
        .join(observable, observable.c.seq == statement.c.seq)
        .where(observable.c.value.in_([indexed(value) for value in values]), statement.c.type == "indicator")
        .where(statement.c.seq > after)
        .order_by(statement.c.seq)
        .limit(most)
    )
    return list(tx.execute(query).scalars())


def held_counts(tx: Connection) -> dict[str, int]:
    """Source → how many current statements are held because nothing says what they are worth."""
    query = select(statement.c.source, func.count()).where(
        statement.c.label.is_(None), ~statement.c.waiting, statement.c.newest
    )
    return {row[0]: row[1] for row in tx.execute(query.group_by(statement.c.source))}
