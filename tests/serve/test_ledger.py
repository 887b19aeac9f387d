"""Who got what (RULES R27): offered, fetched, handed over, object by object, in chains that break when touched."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import falcon.testing
import pytest
from sqlalchemy import delete, insert, select, update

from exchange.model.marking import Tlp
from exchange.serve import application
from exchange.store import Store, audiences, ledgers, listings, micros, offers, tables
from exchange.sync import accounting
from exchange.sync.accounting import Asked, Entry, anchor, entries, verify
from exchange.sync.communications import register
from tests.serve.house import OBJECTS, House, house_terms, ids
from tests.world import FOLDED, NOW, SHARED, collection, indicator, malware

SECRET = "ab" * 32


@pytest.fixture
def house(store: Store) -> House:
    """A node on each kind of store."""
    store.create_reads()
    made = House(store)
    with store.writing() as tx:
        audiences.set_note(tx, ledgers.NODE_SECRET, SECRET)
    return made


def told(house: House, *, named: bool = True, **asked: Any) -> list[tuple[str, ...]]:
    """(outcome, peer, object or count) of what is asked."""
    found = entries(house.store, Asked(**asked), named=named)
    return [(entry.outcome, entry.peer, entry.object or str(entry.count)) for entry in found]


def hand_over(house: House, item: dict[str, Any], outcome: str = "accepted") -> None:
    """What a push to CCC writes."""
    with house.store.writing() as tx:
        key = next(a.key for a in house.world.rules.audiences if a.pushes)
        waiting = [p for p in listings.parcels(tx, key, micros(house.world.now), 100) if p.stix_id == item["id"]]
        assert waiting
        listings.settle(
            tx, [(p, outcome, "") for p in waiting], peer="ccc", channel="target:ccc/depot", now=micros(house.world.now)
        )


def test_r27_what_was_fetched_is_named_object_by_object(house: House) -> None:
    a, b, c = indicator("a.example"), indicator("b.example"), malware("m")
    house.give(a, b)
    house.get(OBJECTS)
    house.tick()
    house.give(c)
    house.tick()
    house.get(OBJECTS, "circl", params={"match[type]": "malware"})
    house.get(OBJECTS, "circl", params={"limit": "1"})
    house.get(f"{OBJECTS}{b['id']}/")
    fetched = [row for row in told(house) if row[0] == "delivered"]
    assert fetched == [
        ("delivered", "ccc", a["id"]), ("delivered", "ccc", b["id"]), ("delivered", "circl", c["id"]),
        ("delivered", "circl", a["id"]), ("delivered", "ccc", b["id"]),
    ]  # fmt: skip
    assert told(house, named=False) == [
        ("delivered", "ccc", "2"), ("delivered", "circl", "1"), ("delivered", "circl", "1"), ("delivered", "ccc", "1"),
    ]  # fmt: skip
    assert all(entry.exact for entry in entries(house.store, Asked(), named=True))


def test_what_was_read_before_a_new_version_was_the_older_one(house: House) -> None:
    """Rows are only closed, so the ledger still names what a page held when it left."""
    old = indicator("a.example")
    new = indicator("a.example", modified=NOW + timedelta(seconds=1), name="renamed")
    house.give(old)
    house.tick()
    house.get(OBJECTS)
    house.tick(seconds=5)
    house.give(new)
    house.tick()
    house.get(OBJECTS)
    found = [entry for entry in entries(house.store, Asked(), named=True) if entry.outcome == "delivered"]
    assert [entry.version[:19] for entry in found] == ["2026-11-21T12:00:00", "2026-11-21T12:00:01"]
    assert all(entry.exact for entry in found)


def test_what_was_folded_was_not_on_the_page(house: House) -> None:
    first = indicator("same.example")
    twin = first | {"id": "indicator--00000000-0000-4000-8000-999999999999"}
    house.give(first, source="cert-ee/feed")
    house.give(twin, source="circl/feed")
    house.get(f"/api/collections/{FOLDED}/objects/")
    assert told(house) == [("delivered", "ccc", first["id"])]
    house.get(f"/api/collections/{FOLDED}/objects/{twin['id']}/")
    assert told(house)[1:] == [("delivered", "ccc", twin["id"])]


def test_one_object_offered_accepted_and_delivered_apart(house: House) -> None:
    item, other = indicator("a.example"), indicator("b.example")
    house.give(item, other)
    hand_over(house, item)
    house.tick()
    house.get(OBJECTS, "circl")
    found = told(house, object=item["id"])
    assert ("offered", "ccc", item["id"]) in found
    assert ("accepted", "ccc", item["id"]) in found
    assert ("delivered", "circl", item["id"]) in found
    assert {row[2] for row in found} == {item["id"]}
    assert {row[1] for row in told(house, object=item["id"], peer="circl")} == {"circl"}
    late = micros(house.world.now + timedelta(days=1))
    assert told(house, object=item["id"], since=late) == []
    assert told(house, object="indicator--00000000-0000-4000-8000-000000000000") == []


def test_csv_holds_every_line_and_no_formula(house: House) -> None:
    house.give(indicator("a.example"))
    house.get(OBJECTS)
    text = "".join(accounting.as_csv(entries(house.store, Asked(), named=True)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["outcome"] for row in rows] == ["delivered"]
    assert tuple(rows[0]) == accounting.COLUMNS
    entry = Entry(
        at=NOW, outcome="delivered", peer="=cmd()", account="", channel="", count=1, object="-1", agreement="@x"
    )
    assert "'=cmd()" in (line := list(accounting.as_csv([entry]))[1]) and "'-1" in line and "'@x" in line


def test_the_register_counts_each_version_once_for_a_recipient(house: House) -> None:
    a, b = indicator("a.example"), malware("m")
    house.give(a, b)
    hand_over(house, a)
    for _ in range(3):
        house.get(OBJECTS)
    (line,) = register(house.store, house.world.terms, Asked())
    assert (line.peer, line.name, line.agreement, line.purpose) == ("ccc", "CCC", "reseau", "test")
    assert line.types == {"indicator": 1, "malware": 1}
    assert line.by == {"accepted", "delivered"}
    assert register(house.store, house.world.terms, Asked(until=micros(NOW - timedelta(days=1)))) == []


# --- chains ---------------------------------------------------------------------------------------------------------


def busy(house: House) -> None:
    """Several pages read, several objects handed over, two anchors."""
    given = [indicator(f"{n}.example") for n in range(4)]
    house.give(*given)
    for n, item in enumerate(given):
        hand_over(house, item, "accepted" if n else "refused")
        house.get(OBJECTS)
        house.tick()
        if n % 2:
            assert anchor(house.store, house.world.now)
            assert not anchor(house.store, house.world.now)  # once a minute
            house.tick(minutes=2)


def codes(house: House) -> set[str]:
    """What is wrong with the ledgers."""
    return {fault.code for fault in verify(house.store).faults}


def test_r27_chains_that_nobody_touched_are_whole(house: House) -> None:
    busy(house)
    found = verify(house.store)
    assert (found.handed, found.fetched, found.anchors, found.older, found.faults) == (4, 4, 2, 0, ())
    assert not anchor(house.store, house.world.now)  # nothing new


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("ledger", {"peer": "circl"}, "ledger.broken"),
        ("ledger", {"outcome": "accepted"}, "ledger.broken"),
        ("ledger", {"stix_id": "indicator--00000000-0000-4000-8000-000000000000"}, "ledger.changed"),
        ("ledger", {"link": None}, "ledger.broken"),
        ("read", {"at": 1}, "ledger.broken"),
        ("read", {"count": 9}, "ledger.broken"),
        ("read", {"query": "objects?limit=1"}, "ledger.changed"),
        ("anchor", {"heads": "{}"}, "ledger.broken"),
    ],
)
def test_r27_a_changed_row_is_found(house: House, name: str, change: dict[str, Any], expected: str) -> None:
    busy(house)
    table = getattr(tables, name)
    with house.store.noting() if name == "read" else house.store.writing() as tx:
        first = tx.execute(select(table.c.id).order_by(table.c.id).limit(1)).scalar()
        tx.execute(update(table).where(table.c.id == first).values(**change))
    assert expected in codes(house)


@pytest.mark.parametrize("name", ["ledger", "read"])
@pytest.mark.parametrize("last", [False, True])
def test_r27_a_row_that_is_gone_is_found(house: House, name: str, last: bool) -> None:
    """In the middle by the chain, at the end by the anchor."""
    busy(house)
    table = getattr(tables, name)
    with house.store.noting() if name == "read" else house.store.writing() as tx:
        order = table.c.id.desc() if last else table.c.id
        gone = tx.execute(select(table.c.id).order_by(order).limit(1)).scalar()
        tx.execute(delete(table).where(table.c.id == gone))
    assert codes(house) == ({"ledger.missing"} if last else {"ledger.broken"})


def test_rows_from_before_the_chains_are_told_apart(house: House) -> None:
    with house.store.writing() as tx:
        tx.execute(
            insert(tables.ledger),
            [{"at": 1, "peer": "ccc", "channel": "x", "seq": 1, "stix_id": "a--b", "version": "", "agreement": "",
              "outcome": "accepted"}],
        )  # fmt: skip
    busy(house)
    found = verify(house.store)
    assert (found.older, found.faults) == (1, ())


def test_r33_what_is_erased_leaves_the_chain_whole(house: House) -> None:
    busy(house)
    with house.store.writing() as tx:
        assert ledgers.forget(tx, indicator("1.example")["id"]) == 1
    found = verify(house.store)
    assert (found.handed, found.faults) == (4, ())
    with house.store.reading() as tx:
        assert indicator("1.example")["id"] not in {row["stix_id"] for row in ledgers.handed(tx)}


def test_several_writers_have_chains_of_their_own(house: House) -> None:
    """Two HTTP workers, turn by turn."""
    house.give(indicator("a.example"))
    other = House.__new__(House)
    other.__dict__.update(house.__dict__)
    other.app = application(house.site)
    other.client = falcon.testing.TestClient(other.app)
    for _ in range(3):
        house.get(OBJECTS)
        other.get(OBJECTS)
    with house.store.noted() as tx:
        writers = {row["writer"] for row in ledgers.fetched(tx)}
    assert len(writers) == 2
    assert verify(house.store).faults == ()


def test_the_collection_of_an_offer_is_the_one_that_listed_it(house: House) -> None:
    item = indicator("a.example")
    house.give(item)
    channels = {e.channel for e in entries(house.store, Asked(object=item["id"]), named=True)}
    assert f"collection:{SHARED}" in channels


# --- what a partner could see ---------------------------------------------------------------------------------------


def could_see(house: House, peer: str, at: datetime) -> set[str]:
    """The ids, by the account of then; the counts must agree."""
    with house.store.reading() as tx:
        found = [place.stix_id for _, place in offers.seen(tx, peer, micros(at), f"collection:{SHARED}")]
        counted = [each for each in offers.visible(tx, peer, micros(at)) if each.channel == f"collection:{SHARED}"]
    assert len(found) == len(set(found)) == sum(each.count for each in counted)
    return set(found)


def test_what_a_partner_could_see_on_a_past_day_is_what_it_was_served_then(house: House) -> None:
    """Given, renewed, withdrawn, tightened; and a partner that joined later, and one that left."""
    served: dict[tuple[str, datetime], set[str]] = {}

    def look() -> None:
        house.tick(seconds=10)
        for peer in ("ccc", "circl"):
            served[peer, house.world.now] = set(ids(house.get(OBJECTS, peer)))
        house.tick(seconds=10)

    a, b, c = indicator("a.example"), indicator("b.example"), malware("m")
    house.give(a, b)
    look()
    house.give(indicator("a.example", modified=house.world.now, name="renamed"), c)
    look()
    house.give(indicator("b.example", modified=house.world.now, tlp=Tlp.RED))
    look()
    assert len({frozenset(found) for found in served.values()}) > 1
    for (peer, at), found in served.items():
        assert could_see(house, peer, at) == found
    assert could_see(house, "ccc", NOW - timedelta(days=1)) == set()
    before = house.world.now
    house.tick(seconds=10)
    fewer = house_terms(shared=collection(SHARED, "partenaires", ("cert-ee", "circl")))
    house.world.follow(fewer)
    house.tick(seconds=10)
    assert could_see(house, "ccc", before) == served["ccc", max(at for _, at in served)]
    assert could_see(house, "ccc", house.world.now) == set()
    assert could_see(house, "circl", house.world.now) == set(ids(house.get(OBJECTS, "circl")))
