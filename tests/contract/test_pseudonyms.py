"""A pseudonym has dates of its own, so versions of its own, and stands, goes and is told of as anything else does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store, audiences, migrate, tables
from exchange.store import later as queue
from exchange.store.derived import Derived
from exchange.store.work import NODE as OURS
from exchange.sync import afterwards
from exchange.sync.withdrawing import named, withdraw_from_all
from tests.contract.test_derived import FROM, LATER, Reading, identity, later, under
from tests.world import CCC_IDENTITY, NODE, OPEN_WRITE, agreement, collection, indicator, terms


@pytest.fixture
def world(store: Store) -> Reading:
    """Under an agreement that names nobody, an identity in two versions."""
    made = Reading(store, under(attribution="anonymous"))
    made.give(FROM, identity())
    made.now += LATER
    made.give(FROM, later(identity(), 1, sectors=["energy"]))
    return made


def standing(world: Reading) -> Counter[tuple[int, str, str]]:
    """(audience, id, version) → open rows."""
    row, s = tables.listing.c, tables.statement.c
    query = select(row.audience, s.stix_id, s.version).join(tables.statement, s.seq == row.seq)
    with world.store.reading() as tx:
        return Counter(tuple(each) for each in tx.execute(query.where(row.closed.is_(None))))


def test_r21_each_version_of_a_pseudonym_stands_once(world: Reading) -> None:
    """However often its original is decided anew."""
    found = world.one()
    assert found["id"] != CCC_IDENTITY
    assert set(standing(world).values()) == {1}
    before = world.body()
    world.now += LATER
    world.give(FROM, later(identity(), -60))
    world.give("circl/feed", identity("An opinion"))
    assert set(standing(world).values()) == {1}
    assert world.body() == before


def test_r8_no_version_of_a_pseudonym_outlasts_its_original(world: Reading) -> None:
    copy = world.one()["id"]
    with world.store.reading() as tx:
        scope = named(tx, CCC_IDENTITY)
    withdraw_from_all(world.store, world.rules, scope, who="a", why="b", clock=lambda: world.now)
    assert copy not in {stix_id for _, stix_id, _ in standing(world)}
    assert world.told() == [copy]


def test_where_the_producer_may_be_named_its_pseudonym_goes(world: Reading) -> None:
    """A partner that had both would know who it is."""
    copy = world.one()["id"]
    world.give("circl/feed", identity("An opinion"))  # so all about it is decided anew
    world.now += LATER
    world.follow(terms())
    assert world.one()["id"] == CCC_IDENTITY
    assert copy not in {stix_id for _, stix_id, _ in standing(world)}


def test_a_notice_tells_no_date_of_who_is_hidden(world: Reading) -> None:
    """R14: what is said of a pseudonym is its own version."""
    world.now += LATER
    world.follow(terms())
    world.now += LATER
    world.follow(under(attribution="anonymous"))
    assert identity()["modified"][:10] not in world.body().decode()


def test_a_producer_is_answered_by_the_version_that_it_gave(store: Store) -> None:
    """R21: where readers get its pseudonym."""
    room = collection(OPEN_WRITE, "libre", ("ccc", "circl"), writers=("ccc",))
    given = under(attribution="anonymous")
    world = Reading(store, replace(given, collections={**given.collections, OPEN_WRITE: room}))
    for number in (0, 1):
        made = later(identity(), number, description=f"said {number} times")
        listed = world.give("ccc/post", made, posted=f"collection:{OPEN_WRITE}").listed
        assert [(stix_id, version[:19]) for stix_id, version in listed] == [(made["id"], made["modified"][:19])]
        world.now += LATER


CREATIONS = ("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z", None)
"""The same, a later one, one that is not yet, and one that lies just as long before `modified` as the first did."""


@pytest.mark.parametrize("created", CREATIONS)
@pytest.mark.parametrize("last", [{"revoked": True}, {"object_marking_refs": [TLP2_ID[Tlp.RED]]}])
def test_r8_what_a_version_says_of_its_creation_does_not_keep_it_back(
    store: Store, created: str | None, last: dict[str, Any]
) -> None:
    """A revocation, or a stricter mark, governs the versions before it; and no page is stopped by it."""
    world = Reading(store, under(attribution="anonymous"))
    world.give(FROM, identity())
    copy = world.one()["id"]
    world.now += LATER
    newer = later(identity(), 1, **last)
    world.give(FROM, {**newer, "created": created or newer["modified"]})
    if "revoked" in last:
        found = world.one()
        assert (found["id"], found.get("revoked")) == (copy, True)
    else:
        assert world.told() == [copy]
        assert copy not in {stix_id for _, stix_id, _ in standing(world)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-11-21T11:00:00.000000Z", "2026-11-21T11:00:00.0000001Z"),
        ("2016-12-31T23:59:59.000Z", "2016-12-31T23:59:60.000Z"),
    ],
)
def test_no_date_stops_a_page(store: Store, first: str, second: str) -> None:
    """Less than a microsecond between two versions, and a leap second."""
    world = Reading(store, under(attribution="anonymous"))
    world.give(FROM, {**identity(), "modified": first})
    world.now += LATER
    made = indicator(created_by_ref=NODE)
    world.give(FROM, {**identity(), "modified": second, "revoked": True}, made)
    assert "indicator" in {each["type"] for each in world.read()}


def test_a_pseudonym_is_not_from_the_future(store: Store) -> None:
    """Whoever got it would keep it back until then (R5)."""
    world = Reading(store, under(attribution="anonymous"))
    world.give(FROM, {**identity(), "created": "1970-01-01T00:00:00.000Z"})
    assert world.one()["modified"] < identity()["modified"]


# --- what earlier builds left ---------------------------------------------------------------------------------------


def doubled(world: Reading) -> list[tuple[int, int]]:
    """Each pseudonym that stands listed once more, as an earlier build did when its original was decided anew."""
    row, s = tables.listing.c, tables.statement.c
    made = select(tables.listing).join(tables.statement, s.seq == row.seq).where(s.type == "identity", s.peer == OURS)
    rows = []
    with world.store.writing() as tx:
        for found in tx.execute(made.where(row.closed.is_(None)).order_by(row.added)).mappings().all():
            last = {each.number: each.last_added for each in audiences.everyone(tx).values()}[found["audience"]]
            tx.execute(insert(tables.listing), [{**found, "added": last + 1, "sealed": False}])
            audiences.advance(tx, {_key(tx, found["audience"]): last + 1})
            rows.append((found["audience"], last + 1))
    return rows


def _key(tx: Any, number: int) -> str:
    return next(key for key, row in audiences.everyone(tx).items() if row.number == number)


def upgraded(world: Reading) -> None:
    """`exchange migrate`, for a store of the build before."""
    with world.store.writing() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0024'"))
        tx.execute(text("DROP TABLE victim"))  # what 0026 makes
        tx.execute(text("ALTER TABLE trait DROP COLUMN victim"))
    migrate(world.store)


def resumed(world: Reading) -> None:
    world.now += LATER
    afterwards.resume(world.store, world.rules, lambda: world.now, lambda: False)


def shut(world: Reading) -> set[str]:
    """Who is answered 503."""
    with world.store.reading() as tx:
        return {member for row in audiences.everyone(tx).values() if not row.open for member in row.members}


def test_r21_what_an_earlier_build_listed_twice_stands_once(world: Reading) -> None:
    before = world.body()
    doubled(world)
    assert 2 in standing(world).values()
    upgraded(world)
    assert "circl" in shut(world)
    resumed(world)
    assert set(standing(world).values()) == {1}
    assert (shut(world), world.body(), world.told()) == (set(), before, [])


def test_r8_what_an_earlier_build_left_standing_goes_with_a_notice(world: Reading) -> None:
    """Of two rows only one was closed when the original became stricter."""
    copy = world.one()["id"]
    rows = doubled(world)
    world.now += LATER
    world.give(FROM, later(identity(), 2, object_marking_refs=[TLP2_ID[Tlp.RED]]))
    with world.store.writing() as tx:
        for number, added in rows:
            here = (tables.listing.c.audience == number, tables.listing.c.added == added)
            tx.execute(update(tables.listing).where(*here).values(closed=None, closed_code=None))
    assert copy in {stix_id for _, stix_id, _ in standing(world)}
    upgraded(world)
    assert "circl" in shut(world)
    resumed(world)
    assert copy not in {stix_id for _, stix_id, _ in standing(world)}
    assert (shut(world), world.told()) == (set(), [copy])


def test_what_hides_nobody_is_not_read_at_each_word_on_a_producer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0020 took all that was altered for something that hides somebody."""
    world = Reading(store, terms(agreements=[
        agreement("donne", "ccc", receive=Receive(ceiling=Tlp.AMBER)),
        agreement("cache", "cert-ee", send=Send(ceiling=Tlp.GREEN, attribution="anonymous")),
        agreement("caviarde", "circl", send=Send(ceiling=Tlp.GREEN, redact=frozenset({"name"}))),
    ]))  # fmt: skip
    world.give(FROM, identity(), indicator(created_by_ref=CCC_IDENTITY, name="of a name"))
    before, was = [world.body(peer) for peer in ("cert-ee", "circl")], looked_for(world)
    assert {each.names != "" for each in was} == {True, False}
    with store.writing() as tx:
        tx.execute(update(tables.derived).values(names="?"))
    upgraded(world)
    assert shut(world) == set()
    resumed(world)
    assert looked_for(world) == was
    assert [world.body(peer) for peer in ("cert-ee", "circl")] == before
    monkeypatch.setattr(queue, "MOST", 0)
    world.now += LATER
    world.give(FROM, later(identity("Vigie du Nord"), 1))
    assert shut(world) == {"cert-ee"}


def looked_for(world: Reading) -> list[Derived]:
    """By which names each thing that was made was found to show nobody."""
    columns = [tables.derived.c[name] for name in Derived._fields]
    with world.store.reading() as tx:
        return [Derived(*row) for row in tx.execute(select(*columns).order_by(*columns[:2]))]
