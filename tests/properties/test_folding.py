"""The laws of folding (RULES R23, R14): order decides nothing but which twin stands, and what is hidden nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exchange.model import facts
from exchange.model.marking import Tlp
from exchange.store import Store, audiences, open_store, statements, withdrawals
from exchange.store.tables import listing, statement
from exchange.store.work import NOTICES
from exchange.sync.listing import Lister
from tests.world import CCC_IDENTITY, FOLDED, NOW, World, emptied, indicator, malware, marked, relationship

SOURCES = ("circl/a", "circl/b", "cert-ee/c")
VALUES = ("one.example", "two.example")
Given = tuple[str, dict[str, Any]]
"""A source and an object of its."""


def _named(kind: str, *parts: object) -> str:
    return f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, '|'.join(map(str, parts)))}"


def bad(source: str, number: int, value: str, version: int = 0) -> dict[str, Any]:
    """An indicator that only this source gives; its versions say different things, so that none is a mere touch."""
    when = NOW - timedelta(days=9 - version)
    return indicator(
        value, id_=_named("indicator", source, number), modified=when, description=f"{version} by {source}"
    )


def seen(value: str) -> dict[str, Any]:
    """A domain, under the id that everybody gives it."""
    made = {"type": "domain-name", "spec_version": "2.1", "id": _named("domain-name", value), "value": value}
    return marked(made, Tlp.GREEN)


def link(source: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`one` indicates `other`, as this source says it."""
    made = relationship(one, other, tlp=Tlp.GREEN)
    return {**made, "id": _named("relationship", source, one["id"], other["id"])}


def observation(source: str, *things: Mapping[str, Any]) -> dict[str, Any]:
    """These were seen together, as this source says it."""
    name = _named("observed-data", source, *(thing["id"] for thing in things))
    made = {
        "type": "observed-data", "spec_version": "2.1", "id": name,
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
        "first_observed": "2026-01-01T00:00:00Z", "last_observed": "2026-01-01T00:00:00Z", "number_observed": 1,
        "object_refs": [thing["id"] for thing in things],
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


def sighting(source: str, of: Mapping[str, Any], *data: Mapping[str, Any]) -> dict[str, Any]:
    """It was seen, with that data, as this source says it."""
    made = {
        "type": "sighting", "spec_version": "2.1", "id": _named("sighting", source, of["id"], *(d["id"] for d in data)),
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "sighting_of_ref": of["id"],
        "created_by_ref": CCC_IDENTITY,
        **({"observed_data_refs": [each["id"] for each in data]} if data else {}),
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


FAMILY = malware("family")


def traffic(source: str, *things: Mapping[str, Any]) -> dict[str, Any]:
    """A connection from one to the other, as this source names it."""
    made = {
        "type": "network-traffic", "spec_version": "2.1", "id": _named("network-traffic", source),
        "src_ref": things[0]["id"], "dst_ref": things[1]["id"], "protocols": ["tcp"],
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


def said_by(source: str) -> list[dict[str, Any]]:
    """All that a source may say: twins of what the others say, and what is about them."""
    said = [bad(source, number, VALUES[number], version) for number in range(2) for version in range(2)]
    said.append(bad(source, 0, VALUES[1], version=2))  # it changes its mind
    said.append({**bad(source, 1, VALUES[1], version=3), "revoked": True})
    said += [seen(value) for value in VALUES]
    links = [link(source, bad(source, number, ""), FAMILY) for number in range(2)]
    flow = traffic(source, *map(seen, VALUES))
    data = observation(source, *map(seen, VALUES), flow)
    return [*said, *links, FAMILY, flow, data, sighting(source, bad(source, 0, "")), sighting(source, FAMILY, data)]


SHARED_IDS = {FAMILY["id"], *(seen(value)["id"] for value in VALUES)}
GIVEN = [(source, item) for source in SOURCES for item in said_by(source)]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[list[Given]], list[list[Given]]]:
    """The same statements twice: in two orders, in pages that are cut in two ways, some of them more than once."""
    chosen = draw(st.lists(st.sampled_from(GIVEN), min_size=1, max_size=24, unique_by=repr))
    return _pages(draw, chosen), _pages(draw, [*chosen, *draw(st.lists(st.sampled_from(chosen), max_size=6))])


def _pages(draw: st.DrawFn, chosen: Sequence[Given]) -> list[list[Given]]:
    order = draw(st.permutations(chosen))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=8)))
    edges = [0, *cuts, len(order)]
    return [order[begin:end] for begin, end in pairwise(edges)]


def live(world: World, pages: Sequence[Sequence[Given]]) -> None:
    """Each page comes from the sources in it, a millisecond after the one before."""
    for page in pages:
        world.now += timedelta(milliseconds=1)
        for source in SOURCES:
            mine = [item for giver, item in page if giver == source]
            if mine:
                world.give(source, *mine)


def rows(world: World) -> Sequence[Any]:
    """The open rows of the collection that folds, as ccc reads it, without the notices of what went."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "ccc", f"collection:{FOLDED}")
        assert row is not None
        query = (
            select(listing, statement.c.stix_id, statement.c.fact.label("own"))
            .join(statement, statement.c.seq == listing.c.seq)
            .where(listing.c.audience == row.number, listing.c.closed.is_(None), statement.c.source != NOTICES)
        )
        return tx.execute(query).all()


def held(world: World) -> set[tuple[str, str, str]]:
    """Every statement of others that is held; what readers were told by us is history, and history has an order."""
    query = select(statement.c.source, statement.c.stix_id, statement.c.version).where(statement.c.source != NOTICES)
    with world.store.reading() as tx:
        return {tuple(row) for row in tx.execute(query)}


def listed(world: World) -> set[str]:
    """The facts that are listed: keys, and the ids of what states no fact but itself."""
    return {row.fact or row.stix_id for row in rows(world) if row.latest and not row.folded}


def check(world: World) -> None:
    """One object in front of each fact; every key is what it would be if it were made now; older versions go along."""
    found = rows(world)
    latest = {row.stix_id: row for row in found if row.latest}
    known = {stix_id: row.fact for stix_id, row in latest.items() if row.fact}
    with world.store.reading() as tx:
        bodies = statements.bodies(tx, [row.seq for row in latest.values()])
    for row in latest.values():
        stix = orjson.loads(bodies[row.seq])
        ends = facts.ends(stix)
        if ends:
            told = {end: known[end] for end in ends if end in known}
            assert row.fact == (None if stix.get("revoked") else facts.between(stix, told)), stix
        else:
            assert row.fact == row.own
    fronts = [row.fact for row in latest.values() if row.fact and not row.folded]
    assert len(fronts) == len(set(fronts))
    assert {row.fact for row in latest.values() if row.folded} <= set(fronts)
    assert all(row.fact is None and row.folded == latest[row.stix_id].folded for row in found if not row.latest)


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[Store, Store]]:
    """Two stores for all the examples."""
    made = open_store("sqlite://"), open_store("sqlite://")
    yield made
    for each in made:
        each.close()


@settings(max_examples=60)
@given(both=lives())
def test_r23_order_and_pages_decide_nothing(stores: tuple[Store, Store], both: Any) -> None:
    """Commutative, associative, idempotent: the same statements are held, and the same facts are listed."""
    one, other = (World(emptied(store)) for store in stores)
    for world, pages in zip((one, other), both, strict=True):
        live(world, pages)
        check(world)
    assert held(one) == held(other)
    assert listed(one) == listed(other)


def withdraw(world: World, gone: Sequence[Given], *, back: bool = False) -> None:
    """The givers take these out of the collection, or put them back, one after the other."""
    for source, item in gone:
        world.now += timedelta(milliseconds=1)
        peer, channel = source.partition("/")[0], f"collection:{FOLDED}"
        with world.store.writing() as tx:
            if back:
                withdrawals.forget(tx, peer, channel, [item["id"]])
            else:
                withdrawals.mark(tx, peer, channel, item["id"], {withdrawals.EVERY}, 0)
            Lister(tx, world.rules, world.now).relist([item["id"]])


def fronts(world: World) -> dict[str, str]:
    """Fact → who stands in front of it."""
    return {row.fact: row.stix_id for row in rows(world) if row.fact and not row.folded}


@settings(max_examples=40)
@given(both=lives(), data=st.data())
def test_r23_what_is_taken_back_leaves_what_the_others_say(
    stores: tuple[Store, Store], both: Any, data: st.DataObject
) -> None:
    """What is listed is what would be if it had never come; put back, it goes behind who came forward meanwhile."""
    one, other = (World(emptied(store)) for store in stores)
    own = [(source, item) for page in both[0] for source, item in page if item["id"] not in SHARED_IDS]
    gone = data.draw(st.lists(st.sampled_from(own), max_size=4, unique_by=lambda e: e[1]["id"])) if own else []
    ids = {item["id"] for _, item in gone}
    live(one, both[0])
    whole = listed(one)
    withdraw(one, gone)
    check(one)
    live(other, [[each for each in page if each[1]["id"] not in ids] for page in both[0]])
    assert listed(one) == listed(other)
    forward = fronts(one)
    withdraw(one, gone, back=True)
    check(one)
    assert listed(one) == whole
    kept = {row.stix_id: row.fact for row in rows(one) if row.latest}
    assert all(fronts(one)[fact] == who for fact, who in forward.items() if kept[who] == fact)


@settings(max_examples=40)
@given(both=lives())
def test_r23_who_stands_in_front_stays(stores: tuple[Store, Store], both: Any) -> None:
    """For as long as it says what it said, whatever comes beside it, once or again."""
    world = World(emptied(stores[0]))
    stood: dict[str, str] = {}
    for page in (*both[0], *both[1]):
        live(world, [page])
        now = {row.stix_id: row.fact for row in rows(world) if row.latest}
        front = fronts(world)
        assert {fact: front[fact] for fact, who in stood.items() if now[who] == fact}.items() <= stood.items()
        stood = front


def test_r23_a_second_round_moves_nothing(memory: Store) -> None:
    """What is taken back and given again a second time finds the same front: nothing flaps."""
    world = World(memory)
    live(world, [[("circl/a", bad("circl/a", 0, "a.example"))], [("cert-ee/c", bad("cert-ee/c", 0, "a.example"))]])
    gone = [("circl/a", bad("circl/a", 0, "a.example"))]
    withdraw(world, gone)
    withdraw(world, gone, back=True)
    (front,) = fronts(world).values()
    assert front == bad("cert-ee/c", 0, "")["id"]
    before = rows(world)
    live(world, [[("circl/a", bad("circl/a", 0, "a.example"))], [("cert-ee/c", bad("cert-ee/c", 0, "a.example"))]])
    assert rows(world) == before


HIDDEN = st.sampled_from([(source, marked(item, Tlp.RED)) for source in ("maison/m",) for item in said_by(source)])


@settings(max_examples=40)
@given(both=lives(), secret=st.lists(st.tuples(st.integers(0, 9), HIDDEN), min_size=1, max_size=12))
def test_r14_hidden_twins_and_ends_decide_nothing(stores: tuple[Store, Store], both: Any, secret: Any) -> None:
    """Every row that the audience ever had, with its date, is the same with and without what it may not see."""
    one, other = (World(emptied(store)) for store in stores)
    for world in (one, other):
        with world.store.writing() as tx:
            audiences.set_note(tx, audiences.NODE_SECRET, "0" * 64)  # so that notices have the same ids
    for number, page in enumerate(both[0]):
        for world in (one, other):
            live(world, [page])
        hidden = [item for at, (_, item) in secret if at == number]
        one.now -= timedelta(microseconds=1)
        one.give("maison/m", *hidden)
        one.now += timedelta(microseconds=1)
    assert ever(one) == ever(other)


def ever(world: World) -> Sequence[Any]:
    """Every row that the audience ever had, but for its number in the store."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "ccc", f"collection:{FOLDED}")
        assert row is not None
        names = ("added", "type", "rank", "label", "latest", "folded", "fact", "closed", "closed_code")
        query = select(*(listing.c[name] for name in names), statement.c.stix_id, statement.c.version)
        query = query.join(statement, statement.c.seq == listing.c.seq).where(listing.c.audience == row.number)
        return tx.execute(query.order_by(listing.c.added)).all()
