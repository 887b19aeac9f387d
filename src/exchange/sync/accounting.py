"""Who was given what, when: the two ledgers told as one, named object by object, and whether they are whole (R27).

*Offered*: it stood in a collection that they may read, or waited in their outbox. *Accepted*: their server took it from
us. *Delivered*: they fetched it; the row was written before the last byte left.
"""

from __future__ import annotations

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from itertools import chain, islice
from typing import Any
from urllib.parse import parse_qs

import structlog
from sqlalchemy import RowMapping

from exchange.store import Store, derived, ledgers, offers, widenings
from exchange.store.clock import micros, moment
from exchange.store.ledgers import Fault, Heads, Walk
from exchange.store.offers import Span
from exchange.sync.explain import is_stix_id, search
from exchange.sync.remains import erased_of

log = structlog.get_logger()

_AT_ONCE = 500
EVERY = 60.0
"""Seconds between two anchors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the account. `count`: objects; `object` is empty where they are not told one by one."""

    at: datetime
    outcome: str
    """offered, delivered, accepted, refused"""
    peer: str
    account: str
    """Of the subscriber who fetched it; empty: we handed it over, or nobody has fetched it."""
    channel: str
    count: int
    object: str = ""
    version: str = ""
    type: str = ""
    agreement: str = ""
    exact: bool = True
    """False: the question held more than the ledger can answer again, so these objects are at most what it gave."""
    seq: int = 0
    """Number of the statement; 0: it is not told one by one."""
    original: str = ""
    """Of what was altered for them: the id of which it was made. `object` is the id that they know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the ledgers. None and empty: no limit. Times in µs, `until` excluded."""

    peer: str = ""
    object: str = ""
    since: int | None = None
    until: int | None = None

    def covers(self, peer: str, at: int) -> bool:
        """Whether what `peer` was given at `at` (µs) falls into it."""
        return (
            (not self.peer or peer == self.peer)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def entries(store: Store, asked: Asked, *, named: bool) -> Iterator[Entry]:
    """What was fetched and handed over, each in order of time. `named`: object by object, and what was offered too
    where one object is asked for: by the id of its giver or by one of ours, with all that was altered of it.
    """
    if asked.object:
        with store.reading() as tx:
            ids = derived.forms_of(tx, [asked.object])
        for stix_id in ids:
            yield from _original(offered_to(store, replace(asked, object=stix_id)), ids)
        for stix_id in ids:
            yield from _original(handed_over(store, replace(asked, object=stix_id), named=True), ids)
        yield from _original(delivered(store, ids, asked), ids)
        return
    found = chain(handed_over(store, asked, named=named), _fetched(store, asked, named=named))
    yield from _with_originals(store, found) if named else found


def is_known(store: Store, stix_id: str) -> bool:
    """Whether anything was ever known under this id: it is held, was erased, or some ledger tells of it."""
    if not is_stix_id(stix_id):
        return False
    with store.reading() as tx:
        if search(tx, stix_id, most=1):
            return True
    return bool(erased_of(store, stix_id)) or next(entries(store, Asked(object=stix_id), named=True), None) is not None


def _original(found: Iterable[Entry], originals: Mapping[str, str]) -> Iterator[Entry]:
    """The same, what was altered with the id of its original."""
    for entry in found:
        original = originals.get(entry.object, "")
        yield replace(entry, original=original) if original else entry


def _with_originals(store: Store, found: Iterable[Entry]) -> Iterator[Entry]:
    """The same, some at a time."""
    rest = iter(found)
    while some := list(islice(rest, _AT_ONCE)):
        with store.reading() as tx:
            known = derived.originals(tx, {entry.object for entry in some} - {""})
        yield from _original(some, known)


def handed_over(store: Store, asked: Asked, *, named: bool, stix_ids: Collection[str] = ()) -> Iterator[Entry]:
    """What was handed over, and what became of it; `named`: object by object; `stix_ids`: of these, at most a
    thousand.
    """
    wanted = sorted(stix_ids) or [asked.object] * bool(asked.object)
    with store.reading() as tx:
        found = (
            Entry(
                at=moment(row["at"]),
                outcome=row["outcome"],
                peer=row["peer"],
                account="",
                channel=row["channel"],
                count=1,
                object=row["stix_id"] or bytes(row["object"] or b"").hex(),
                version=row["version"],
                type=row["stix_id"].partition("--")[0],
                agreement=row["agreement"],
                seq=row["seq"],
            )
            for row in offers.handed(tx, peer=asked.peer, since=asked.since, until=asked.until, stix_ids=wanted)
        )
        yield from found if named else _together(found)


def _together(found: Iterable[Entry]) -> Iterator[Entry]:
    """What was handed over at one moment to one target, with one outcome, in one line."""
    last: Entry | None = None
    for entry in found:
        alike = replace(entry, object="", version="", type="", seq=0)
        if last is not None and replace(last, count=1) == alike:
            last = replace(last, count=last.count + 1)
            continue
        if last is not None:
            yield last
        last = alike
    if last is not None:
        yield last


def _fetched(store: Store, asked: Asked, *, named: bool) -> Iterator[Entry]:
    after = 0
    while rows := _page(store, after, asked):
        for row in rows:
            if named:
                yield from _each(store, row)
            else:
                yield _line(row)
        after = rows[-1]["id"]


def delivered(store: Store, stix_ids: Collection[str], asked: Asked) -> Iterator[Entry]:
    """Who has fetched one of these, which version and when; a page of the ledger in memory at a time."""
    with store.reading() as tx:
        places = offers.places(tx, stix_ids)
    for audience, spans in places.items():
        after, bounds = 0, (spans[0][0], spans[-1][0])
        while rows := _page(store, after, asked, audience=audience, between=bounds):
            for row in rows:
                if _reaches(row, spans):
                    yield from (entry for entry in _each(store, row) if entry.object in stix_ids)
            after = rows[-1]["id"]


def _page(store: Store, after: int, asked: Asked, **more: Any) -> Sequence[RowMapping]:
    with store.noted() as tx:
        return offers.fetched(tx, after=after, peer=asked.peer, since=asked.since, until=asked.until, **more)


def _reaches(row: RowMapping, spans: Sequence[tuple[int, int | None]]) -> bool:
    """Whether the page may have held one of the rows listed at these (added, closed), which are in order."""
    begin = bisect_left(spans, row["first"], key=lambda span: span[0])
    end = bisect_right(spans, row["last"], key=lambda span: span[0])
    return any(closed is None or row["at"] < closed for _, closed in spans[begin:end])


def _line(row: RowMapping) -> Entry:
    return Entry(
        at=moment(row["at"]), outcome="delivered", peer=row["peer"], account=row["account"], channel=row["channel"],
        count=row["count"],
    )  # fmt: skip


def _each(store: Store, row: RowMapping) -> Iterator[Entry]:
    """What a page held, object by object."""
    held, entry = list(given(store, row)), _line(row)
    exact = len(held) == row["count"]
    for place in held:
        yield replace(
            entry, count=1, object=place.stix_id, version=place.version, type=place.type, agreement=place.agreement,
            exact=exact, seq=place.seq,
        )  # fmt: skip


def given(store: Store, row: Mapping[str, Any] | RowMapping) -> Iterator[offers.Place]:
    """The versions that one page held: the rows of its listing between its dates that stood there then."""
    path, _, text = str(row["query"]).partition("?")
    named = parse_qs(text)
    ids = _values(named, "match[id]")
    parts = path.strip("/").split("/")
    if len(parts) > 1 and "--" in parts[1]:
        ids = {parts[1]}
    versions = _values(named, "match[version]")
    every = "all" in versions or "versions" in parts or bool(versions - {"last"})
    with store.reading() as tx:
        span = Span(audience=row["audience"], first=row["first"], last=row["last"], at=row["at"])
        for place in offers.given(tx, span, ids=ids, types=_values(named, "match[type]"), latest=not every):
            if ids or not place.folded:
                yield place


def _values(given: Mapping[str, list[str]], name: str) -> set[str]:
    return {value for text in given.get(name, ()) for value in text.split(",") if value}


def offered_to(store: Store, asked: Asked, stix_ids: Collection[str] = ()) -> Iterator[Entry]:
    """Where the one object that is asked for, or each of `stix_ids`, was ever listed, to whom."""
    with store.reading() as tx:
        for offer in offers.offered(tx, stix_ids or [asked.object]):
            for peer in offer.members:
                if asked.covers(peer, offer.added):
                    yield Entry(
                        at=moment(offer.added), outcome="offered", peer=peer, account="", channel=offer.channel,
                        count=1, object=offer.stix_id, version=offer.version, type=offer.type,
                        agreement=offer.agreement, seq=offer.seq,
                    )  # fmt: skip


COLUMNS = (
    "time", "outcome", "peer", "account", "channel", "object", "version", "type", "agreement", "exact", "original",
)  # fmt: skip


def as_csv(found: Iterable[Entry]) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180), the names of the columns first; what begins like a formula is quoted."""
    rows = (
        (
            entry.at.isoformat().replace("+00:00", "Z"), entry.outcome, entry.peer, entry.account, entry.channel,
            entry.object, entry.version, entry.type, entry.agreement, "yes" if entry.exact else "at most",
            entry.original,
        )
        for entry in found
    )  # fmt: skip
    yield from lines(chain([COLUMNS], rows))


def lines(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Rows as lines of a CSV file."""
    for row in rows:
        buffer = StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerow([_harmless(field) for field in row])
        yield buffer.getvalue()


def _harmless(field: str) -> str:
    """A spreadsheet runs what begins so; ids and names of ours never do."""
    return "'" + field if field[:1] in ("=", "+", "-", "@", "\t", "\r") else field


# --- whether they are whole -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a walk along every chain found. `older`: rows from before there were chains."""

    handed: int
    fetched: int
    anchors: int
    widened: int
    """Rows of what persons said of widening."""
    older: int
    last: datetime | None
    """When the last anchor was dropped."""
    head: str
    """Its link, in hexadecimal: what the log said at that time must be the same."""
    faults: tuple[Fault, ...]


def verify(store: Store) -> Verified:
    """Follow every chain and every anchor from the first row to the last."""
    handed, fetched, widened = Walk(), Walk(), Walk()
    with store.reading() as tx:
        anchors, seen = ledgers.walk_anchors(tx)
        handed.missing = {head for head in seen if head[0] == ledgers.HANDED}
        widened.missing = {head for head in seen if head[0] == widenings.CHAIN}
        fetched.missing = seen - handed.missing - widened.missing
        ledgers.walk_handed(tx, handed)
        widenings.walk(tx, widened)
        secret, last = ledgers.secret_of(tx), ledgers.last_anchor(tx)
    with store.noted() as tx:
        ledgers.walk_fetched(tx, secret, fetched)
    gone = [
        Fault(code="ledger.missing", ledger=name, number=0, at=0)
        for name, walk in ((ledgers.HANDED, handed), ("fetched", fetched), (widenings.CHAIN, widened))
        for _ in walk.missing
    ]
    return Verified(
        handed=handed.rows,
        fetched=fetched.rows,
        anchors=anchors.rows,
        older=handed.unlinked + fetched.unlinked,
        last=None if last is None else moment(last["at"]),
        head="" if last is None else bytes(last["link"]).hex(),
        widened=widened.rows,
        faults=(*handed.faults, *fetched.faults, *widened.faults, *anchors.faults, *gone),
    )


def anchor(store: Store, now: datetime) -> str:
    """Anchor the heads of all chains, and say so in the log, whose keeper is another; empty: nothing was written."""
    with store.reading() as tx:
        before = ledgers.last_anchor(tx)
        number, head = ledgers.head_of_handed(tx)
        widened = widenings.head(tx)  # in hexadecimal, so nothing else in the heads is like it
    if before is not None and micros(now) - before["at"] < EVERY * 1_000_000:
        return ""
    with store.noted() as tx:
        reads, links = ledgers.heads_of_reads(tx, 0 if before is None else before["reads"])
    if before is not None and (reads, number) == (before["reads"], before["handed"]) and widened in before["heads"]:
        return ""
    if head:
        links[ledgers.HANDED] = head
    if widened:
        links[widenings.CHAIN] = widened
    if not links:
        return ""
    with store.writing() as tx:
        link = ledgers.drop_anchor(tx, Heads(reads=reads, handed=number, links=links), micros(now))
    log.info("ledger.anchored", link=link, fetched=reads, handed=number)
    return link
