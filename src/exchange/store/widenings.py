"""Widenings: who widened what, by which right, and how it ended. Rows are only added, each chained to the last (R27).

An act is one number: a row `asked` or `widened` for each object that it is about, and a row `ended` for each when a
person ends it, or when its ground is gone. What was made of it is barred by a mark beside those of withdrawals.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, and_, exists, func, insert, or_, select, update

from exchange.store.columns import chunks
from exchange.store.ledgers import Fault, Walk, follow, keyed, linked, root, secret_of
from exchange.store.prepared import Lookup, Query, among
from exchange.store.statements import Held
from exchange.store.tables import derived, listing, statement, widening, withdrawal

CHAIN = "widened"
"""The name of the chain; its writer is whoever holds the writer lock."""
ASKED, WIDENED, ENDED = "asked", "widened", "ended"
OVER = "widened:"
"""In place of a channel: its act is over, so it goes nowhere, whoever says it."""
_OURS = "/:widened"
_AT_ONCE = 1_000


def source_of(home: str) -> str:
    """The source of what our house `home` widens: none that a configuration can name."""
    return home + _OURS


def is_ours(source: str) -> bool:
    """Whether the statements of this source were made by widening."""
    return source.endswith(_OURS)


def is_over(held: Held) -> bool:
    """Whether this statement was made by an act that is over."""
    return OVER in held.withdrawn


class Word(NamedTuple):
    """One row, without what is added when it is written. `right`, `before`, `level`: of the act."""

    act: int
    """0: a new one."""
    word: str
    at: int
    who: str
    why: str
    right: str
    before: str
    level: str
    source: str
    seq: int
    stix_id: str
    version: str
    made: str
    code: str
    token: str


_w = widening.c
_COLUMNS = [_w[name] for name in Word._fields]


def keep(tx: Connection, words: Sequence[Word]) -> int:
    """Add these rows, which are of one act; its number. The caller holds the writer lock."""
    last = tx.execute(select(_w.id, _w.link).order_by(_w.id.desc()).limit(1)).first()
    before, secret = root(CHAIN) if last is None else bytes(last.link), secret_of(tx)
    newest = tx.execute(select(func.max(_w.act))).scalar() or 0
    act, rows = words[0].act or newest + 1, []
    for word in words:
        row = {**word._asdict(), "act": act, "object": _digest(secret, word._asdict())}
        before = row["link"] = _link(before, row)
        rows.append(row)
    tx.execute(insert(widening), rows)
    return int(act)


def _digest(secret: bytes, row: dict[str, object] | RowMapping) -> bytes:
    return keyed(secret, *(str(row[name]) for name in ("stix_id", "version", "made", "why")))


def _link(before: bytes, row: dict[str, object] | RowMapping) -> bytes:
    names = ("act", "word", "at", "who", "right", "before", "level", "source", "seq", "code", "token")
    return linked(before, bytes(row["object"]).hex(), *(row[name] for name in names))  # type: ignore[arg-type]


# --- what stands ----------------------------------------------------------------------------------------------------

_later = widening.alias("later")
_STANDS = and_(
    _w.word == WIDENED,
    ~exists().where(_later.c.act == _w.act, _later.c.seq == _w.seq, _later.c.word == ENDED),
)
_ANY = Query(select(_w.id).limit(1))
_OF = Lookup(select(*_COLUMNS).where(among(_w.stix_id), _STANDS))
_TOKENS = Lookup(select(_w.token, _w.stix_id).where(among(_w.token), _w.stix_id != ""))
_ORIGINALS = Lookup(select(_w.made, _w.stix_id).distinct().where(among(_w.made), _w.made != ""))
_MADE_OF = Lookup(select(_w.stix_id, _w.made).distinct().where(among(_w.stix_id), _w.made != ""))


def any_made(tx: Connection) -> bool:
    """Whether anybody ever widened anything; most stores hold no such word."""
    return _ANY.one(tx) is not None


def standing(tx: Connection, stix_ids: Iterable[str] | None = None) -> list[Word]:
    """What is widened now of these originals, or of all."""
    if not any_made(tx):
        return []
    if stix_ids is None:
        return [Word(*row) for row in tx.execute(select(*_COLUMNS).where(_STANDS).order_by(_w.id))]
    return [Word(*row) for row in _OF.rows(tx, stix_ids)]


def of_act(tx: Connection, act: int) -> list[Word]:
    """Every row of one act, oldest first."""
    return [Word(*row) for row in tx.execute(select(*_COLUMNS).where(_w.act == act).order_by(_w.id))]


def asked(tx: Connection, seqs: Collection[int], right: str, level: str) -> list[Word]:
    """What was asked for about any of these statements and neither done nor dropped, oldest first."""
    closed = exists().where(_later.c.act == _w.act, _later.c.seq == _w.seq, _later.c.word.in_([WIDENED, ENDED]))
    query = select(*_COLUMNS).where(_w.word == ASKED, _w.right == right, _w.level == level, ~closed)
    mine = {row for some in chunks(sorted(seqs)) for row in tx.execute(query.where(_w.seq.in_(some)))}
    return sorted((Word(*row) for row in mine), key=lambda word: (word.act, word.at))


def times(tx: Connection, stix_id: str, version: str, right: str, level: str) -> int:
    """How often this version was widened so before."""
    mine = (_w.stix_id == stix_id, _w.version == version, _w.right == right, _w.level == level, _w.word == WIDENED)
    return int(tx.execute(select(func.count()).where(*mine)).scalar_one())


def everyone(tx: Connection) -> list[Word]:
    """Every row, oldest first."""
    return [Word(*row) for row in tx.execute(select(*_COLUMNS).order_by(_w.id))]


def about(tx: Connection, stix_ids: Collection[str]) -> list[Word]:
    """Every word on these, be they originals or what was made of them, oldest first."""
    if not any_made(tx):
        return []
    found: dict[int, Word] = {}
    for ids in chunks(sorted(set(stix_ids) - {""})):
        query = select(_w.id, *_COLUMNS).where(or_(_w.stix_id.in_(ids), _w.made.in_(ids)))
        found |= {row[0]: Word(*row[1:]) for row in tx.execute(query)}
    return [found[number] for number in sorted(found)]


def to_look_at(tx: Connection, code: str) -> list[Word]:
    """What ended for this reason, and nobody has said anything of since, oldest first."""
    since = exists().where(_later.c.stix_id == _w.stix_id, _later.c.id > _w.id)
    query = select(*_COLUMNS).where(_w.word == ENDED, _w.code == code, _w.stix_id != "", ~since).order_by(_w.id)
    return [Word(*row) for row in tx.execute(query)]


def known(tx: Connection, tokens: Iterable[str]) -> dict[str, str]:
    """Token → the id of the original, of those of these tokens that we gave (RULES R16)."""
    return dict(map(tuple, _TOKENS.rows(tx, tokens))) if any_made(tx) else {}


def made_of(tx: Connection, stix_ids: Iterable[str]) -> dict[str, str]:
    """The ids under which these were ever widened → the original."""
    return {made: stix_id for stix_id, made in _MADE_OF.rows(tx, stix_ids)} if any_made(tx) else {}


def originals(tx: Connection, made: Iterable[str]) -> dict[str, str]:
    """Of these ids those under which something was ever widened → the original."""
    return dict(map(tuple, _ORIGINALS.rows(tx, made))) if any_made(tx) else {}


def audiences_of(tx: Connection, stix_ids: Select[Any]) -> set[int]:
    """The numbers of the audiences in which something stands that was made of these, as it is or altered."""
    if not any_made(tx):
        return set()
    made = select(_w.made).where(_w.stix_id.in_(stix_ids), _w.made != "")
    mine = select(statement.c.seq).where(statement.c.stix_id.in_(made))
    forms = select(derived.c.seq).where(derived.c.of.in_(mine), derived.c.seq.is_not(None))
    standing = select(listing.c.audience).distinct().where(listing.c.closed.is_(None))
    return {
        number for seqs in (mine, forms) for number in tx.execute(standing.where(listing.c.seq.in_(seqs))).scalars()
    }


def bar(tx: Connection, ended: Iterable[Word], now: int) -> None:
    """What these acts made goes nowhere any more."""
    for word in ended:
        mark = {"stix_id": word.made, "peer": "", "channel": OVER, "version": word.version}
        here = (withdrawal.c[name] == value for name, value in mark.items())
        if tx.execute(select(withdrawal.c.at).where(*here)).first() is None:
            tx.execute(insert(withdrawal), [{**mark, "at": now}])


def forget(tx: Connection, stix_ids: Collection[str]) -> None:
    """Take the names of these out for good; the digests stay, so that the chain verifies (RULES R33)."""
    gone = {"stix_id": "", "version": "", "made": "", "why": ""}
    for ids in chunks(stix_ids):
        tx.execute(update(widening).where(or_(_w.stix_id.in_(ids), _w.made.in_(ids))).values(**gone))


# --- whether the chain is whole -------------------------------------------------------------------------------------


def head(tx: Connection) -> str:
    """The last link, in hexadecimal; empty: there is none."""
    link = tx.execute(select(_w.link).order_by(_w.id.desc()).limit(1)).scalar()
    return "" if link is None else bytes(link).hex()


def walk(tx: Connection, found: Walk) -> None:
    """Follow the chain."""
    before, secret = root(CHAIN), secret_of(tx)
    for row in _rows(tx):
        # What was erased has no name any more; its digest stands in the chain all the same.
        if row["stix_id"] and not hmac.compare_digest(_digest(secret, row), bytes(row["object"])):
            found.faults.append(Fault(code="ledger.changed", ledger=CHAIN, number=row["id"], at=row["at"]))
        before = follow(found, CHAIN, CHAIN, row, _link(before, row))


def _rows(tx: Connection) -> Iterator[RowMapping]:
    after = 0
    while rows := tx.execute(select(widening).where(_w.id > after).order_by(_w.id).limit(_AT_ONCE)).all():
        yield from (row._mapping for row in rows)
        after = rows[-1].id
