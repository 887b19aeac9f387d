"""Segments of listings (R24): a page made of them is, byte for byte, the page that is read row by row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.store import Store, audiences, blocks, micros, open_store, pages, segments, statements, tables
from exchange.store.pages import Query
from tests.world import SHARED, World, agreement, collection, emptied, indicator, marked, terms

PARTIES = ("ccc", "cert-ee", "circl")
FIRST_END, LAST_END = date(2026, 11, 30), date(2028, 1, 1)


def _terms(end: date, *, wide: bool = True) -> Terms:
    """Two agreements, of which one ends; the folded collection and the push target of `terms` besides."""
    made = [
        agreement("large", *PARTIES, send=Send(ceiling=Tlp.AMBER), end=end),
        agreement("etroite", *PARTIES, send=Send(ceiling=Tlp.GREEN if wide else Tlp.CLEAR)),
        agreement("donneurs", *PARTIES, receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.CLEAR, onward=True)),
    ]
    return terms(agreements=made, shared=collection(SHARED, "partenaires", PARTIES, ceiling=Tlp.AMBER))


def _truth(tx: Any, number: int, now: int) -> list[tuple[int, bytes]]:
    """What a reader of this audience is to get, said in plain words: (date, bytes)."""
    rows = tx.execute(select(tables.listing).where(tables.listing.c.audience == number)).all()
    shown = [r for r in rows if r.closed is None and r.latest and not r.folded and r.not_after > now]
    shown.sort(key=lambda row: row.added)
    bodies = statements.bodies(tx, [row.seq for row in shown])
    return [(row.added, bodies[row.seq]) for row in shown]


def _check_pages(tx: Any, number: int, now: int, windows: list[tuple[int, int]]) -> None:
    truth = _truth(tx, number, now)
    dates = [added for added, _ in truth]
    known: dict[int, bytes] = {}
    for at, limit in windows:
        after = dates[at % len(dates)] - at % 2 if dates and at else -1
        leaf = pages.page(tx, number, Query(after=after, now=now, limit=limit), known=known)
        rest = [(added, body) for added, body in truth if added > after]
        assert b",".join(leaf.pieces) == b",".join(body for _, body in rest[:limit])
        assert leaf.more == (len(rest) > limit)
        edges = [added for added, _ in rest[:limit]] or [0]
        assert (leaf.count, leaf.first, leaf.last) == (len(rest[:limit]), edges[0], edges[-1])
        # R14: what is told does not depend on how the page was put together.
        shown = [added for added, _ in rest[:limit]]
        totals = (sum(shown) % segments.PRIME, sum(added**2 for added in shown) % segments.PRIME)
        assert tuple(leaf.told) == (leaf.count, leaf.first, leaf.last, *totals)


def _check_segments(tx: Any, number: int) -> int:
    """Each holds all that a plain page shows between its dates, and nothing sealed stands elsewhere; how many."""
    own = tables.listing.c.audience == number
    shown = [
        row for row in tx.execute(select(tables.listing).where(own)).all()
        if row.closed is None and row.latest and not row.folded
    ]  # fmt: skip
    sealed = {row.added for row in shown if row.sealed}
    held = tx.execute(select(tables.segment).where(tables.segment.c.audience == number)).all()
    for each in held:
        inside = sorted((r for r in shown if each.first <= r.added <= each.last), key=lambda r: r.added)
        assert (len(inside), inside[0].added, inside[-1].added) == (each.rows, each.first, each.last)
        assert {row.added for row in inside} <= sealed
        assert each.not_after == min(row.not_after for row in inside)
        sealed -= {row.added for row in inside}
    assert not sealed
    return len(held)


def _check(world: World, windows: list[tuple[int, int]]) -> int:
    with world.store.reading() as tx:
        numbers = [row.number for row in audiences.everyone(tx).values() if not row.retired]
        found = sum(_check_segments(tx, number) for number in numbers)
        for number in numbers:
            _check_pages(tx, number, micros(world.now), windows)
    return found


class Moves:
    """What happens to a node: things come, change, are withdrawn; terms end and are renewed."""

    def __init__(self, store: Store) -> None:
        self.world = World(store, _terms(FIRST_END))
        self.given: list[tuple[str, dict[str, Any]]] = []
        self.version = 0

    def bring(self, source: str, count: int, tlp: Tlp, first: int) -> None:
        """A page; other sources state the same values, which fold."""
        made = [
            indicator(f"{n}.example", tlp=tlp, id_=f"indicator--{uuid.uuid5(uuid.NAMESPACE_DNS, f'{source} {n}')}")
            for n in range(first, first + count)
        ]
        self._give(source, made)

    def change(self, which: int, tlp: Tlp, *, revoked: bool) -> None:
        """A newer version of what is there, perhaps stricter, perhaps the last one."""
        if self.given:
            source, item = self.given[which % len(self.given)]
            self.version += 1
            when = (self.world.now + timedelta(seconds=self.version)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            newer = marked({**item, "modified": when, "description": str(self.version)}, tlp)
            self._give(source, [{**newer, "revoked": True} if revoked else newer])

    def _give(self, source: str, made: list[dict[str, Any]]) -> None:
        self.world.now += timedelta(milliseconds=7)
        self.world.give(source, *made)
        self.given += [(source, item) for item in made]

    def turn(self, what: str) -> None:
        """Time or terms."""
        if what == "passes":
            self.world.pass_time(timedelta(days=30))
        else:
            end = {"renewed": LAST_END, "ended": FIRST_END, "narrow": LAST_END}[what]
            self.world.follow(_terms(end, wide=what != "narrow"))


SOURCES = st.sampled_from(["ccc/a", "cert-ee/b", "circl/c"])
LEVELS = st.sampled_from([Tlp.CLEAR, Tlp.GREEN, Tlp.GREEN, Tlp.AMBER])
STEPS = st.lists(
    st.tuples(st.just("bring"), SOURCES, st.integers(1, 30), LEVELS, st.integers(0, 40))
    | st.tuples(st.just("change"), st.integers(0, 200), st.sampled_from([*Tlp]), st.booleans())
    | st.tuples(st.just("turn"), st.sampled_from(["passes", "renewed", "ended", "narrow"])),
    min_size=1,
    max_size=8,
)
WINDOWS = st.lists(st.tuples(st.integers(0, 100), st.sampled_from([1, 3, 8, 9, 20, 1000])), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """One store for all the examples."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


def _do(moves: Moves, step: tuple[Any, ...]) -> None:
    if step[0] == "bring":
        moves.bring(*step[1:])
    elif step[0] == "change":
        moves.change(step[1], step[2], revoked=step[3])
    else:
        moves.turn(step[1])


@settings(max_examples=120)
@given(steps=STEPS, windows=WINDOWS)
def test_pages_are_the_same_row_by_row(shared: Store, steps: list[Any], windows: list[tuple[int, int]]) -> None:
    """Whatever has happened, in every audience, from anywhere, of any size."""
    moves = Moves(emptied(shared))
    for step in steps:
        _do(moves, step)
        _check(moves.world, windows)


def test_a_life_on_every_engine(store: Store) -> None:
    """A bulk, a version in its middle, the end of an agreement, its renewal: segments are made, split and kept."""
    moves, windows = Moves(store), [(0, 1000), (0, 40), (13, 25), (77, 1), (78, 1000)]
    for source, level in (("ccc/a", Tlp.GREEN), ("cert-ee/b", Tlp.AMBER), ("circl/c", Tlp.GREEN)):
        moves.bring(source, 120, level, 0)
    whole = _check(moves.world, windows)
    assert whole
    moves.change(30, Tlp.GREEN, revoked=False)
    assert _check(moves.world, windows) > whole, "of those that it stood in two pieces are left"
    moves.change(40, Tlp.RED, revoked=False)
    moves.change(300, Tlp.GREEN, revoked=True)
    _check(moves.world, windows)
    for what in ("passes", "renewed", "narrow", "renewed"):
        moves.turn(what)
        _check(moves.world, windows)


def test_what_is_left_of_a_segment_is_read_as_one(memory: Store) -> None:
    """R35: what goes out of the middle leaves two; only what is alone between two that went stands by itself."""
    world = World(memory, _terms(FIRST_END))
    made = [indicator(f"{n}.example") for n in range(40)]
    world.give("ccc/a", *made)
    world.now += timedelta(minutes=1)
    when = world.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    world.give("ccc/a", *(marked({**made[n], "modified": when}, Tlp.RED) for n in (10, 13, 14, 30)))
    with memory.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None
        held = tx.execute(select(tables.segment).where(tables.segment.c.audience == row.number)).all()
        shown = tx.execute(select(tables.listing).where(tables.listing.c.audience == row.number)).all()
        assert sorted(each.rows for each in held if each.rows >= 9) == [9, 10, 15]
        loose = [r for r in shown if r.closed is None and not r.sealed]
        assert len(loose) == 2 + 4, "two between, and the notices, of which there are too few"
    _check(world, [(0, 1000), (9, 3), (12, 20)])


def test_what_is_news_to_many_is_unpacked_once(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest blocks are kept between two polls in one state of the store, and no more than a few of them."""
    world = World(memory)
    for first in range(0, 4_000, 500):
        world.give("ccc/a", *(indicator(f"{n}.example") for n in range(first, first + 500)))
    unpacked: list[int] = []
    unpack = blocks._unpacked

    def counted(tx: Any, numbers: Any) -> dict[int, bytes]:
        found = unpack(tx, numbers)
        unpacked.extend(found)
        return found

    known: dict[int, bytes] = {}
    with memory.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None
        dates = [added for added, _ in _truth(tx, row.number, micros(world.now))]
        monkeypatch.setattr(blocks, "_unpacked", counted)
        for at in (-6, -6, -4):
            pages.page(tx, row.number, Query(after=dates[at], now=micros(world.now), limit=100), known=known)
        assert unpacked
        assert len(unpacked) == len(set(unpacked)) <= 2
        for at in range(0, len(dates), 30):
            pages.page(tx, row.number, Query(after=dates[at], now=micros(world.now), limit=5), known=known)
        assert 0 < len(known) <= blocks._KNOWN


def test_a_page_of_segments_is_read_in_few_rows(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what they are for: of a thousand rows that came together none is read by itself."""
    world = World(memory)
    world.give("ccc/a", *(indicator(f"{n}.example") for n in range(500)))
    world.give("ccc/a", *(indicator(f"{n}.example") for n in range(500, 1_000)))
    asked: list[bool] = []
    rows = pages._rows

    def counted(*arguments: Any, loose: bool = False, **more: Any) -> Any:
        asked.append(loose)
        return rows(*arguments, loose=loose, **more)

    monkeypatch.setattr(pages, "_rows", counted)
    with memory.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None
        leaf = pages.page(tx, row.number, Query(now=micros(world.now), limit=1_000))
        some = segments.ahead(tx, row.number, -1, 1_000)
    assert (leaf.count, leaf.more) == (1_000, False)
    assert asked == [True]
    assert len(some) < 30
