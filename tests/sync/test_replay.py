"""A replay comes to what stands in the ledger, whatever happened; what somebody changed by hand it finds (R17, R27)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.store import Store, micros, open_store, sittings, tables
from exchange.store.ledgers import hand
from exchange.sync.accounting import Asked
from exchange.sync.replay import Replayed, replay
from tests.world import NOW, SHARED, World, agreement, indicator, malware, relationship, report, terms

PARTNERS = ("ccc", "cert-ee", "circl")
SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    return World(open_store("sqlite://"))


def again(world: World, **asked: Any) -> Replayed:
    """What a replay finds."""
    return replay(world.store, Asked(**asked), world.now)


def codes(world: World, **asked: Any) -> set[str]:
    """Of what differs."""
    return set(again(world, **asked).counts)


def under(
    *names: str, ceiling: Tlp = Tlp.GREEN, end: date = date(2027, 12, 31), send: Send | None = None, **more: Any
) -> Terms:
    """The partners under agreements of these names, with the same clauses."""
    made = (
        agreement(
            name,
            "ccc",
            "cert-ee",
            "circl",
            receive=Receive(ceiling=Tlp.AMBER),
            send=send or Send(ceiling=ceiling),
            end=end,
        )
        for name in names
    )
    return terms(agreements=made, **more)


def falsify(world: World, table: Any, *where: Any, **values: Any) -> None:
    """Change the database by hand."""
    with world.store.writing() as tx:
        assert tx.execute(update(table).where(*where).values(**values)).rowcount


def test_r27_a_day_of_work_is_decided_again(store: Store) -> None:
    """R27: what was listed, tightened, withdrawn, renewed, taken in and out by terms comes out as it stands."""
    world = World(store)
    a, b, c = indicator("a.example"), indicator("b.example", tlp=None), malware("c", tlp=Tlp.AMBER)
    world.give("ccc/feed", a, b, c, last=False)
    world.now += SECOND
    world.give("ccc/feed", report(b, name="one"), relationship(a, c))
    world.now += SECOND
    world.follow(under("reseau", "autre", ceiling=Tlp.AMBER))
    world.now += SECOND
    world.give("cert-ee/feed", indicator("a.example"), indicator("d.example"))
    world.give("ccc/feed", indicator("a.example", tlp=Tlp.RED, modified=NOW + SECOND))
    world.now += SECOND
    world.follow(terms())
    world.pass_time(timedelta(days=900))
    found = again(world)
    assert found.mismatches == [] and not found.unreplayable
    assert found.rows > 10 and found.closings > 3 and found.terms == 3


@pytest.fixture
def full(world: World) -> World:
    """A world in which something is listed, something was closed, and the terms have changed once."""
    world.give("ccc/feed", indicator("a.example"), indicator("b.example"), malware("c", tlp=Tlp.AMBER))
    world.now += SECOND
    world.follow(under("reseau", "autre"))
    world.now += SECOND
    world.give("ccc/feed", indicator("b.example", tlp=Tlp.RED, modified=NOW + SECOND))
    world.now += SECOND
    assert again(world).mismatches == []
    return world


_listing, _statement = tables.listing, tables.statement


def _of(name: str) -> Any:
    return _listing.c.seq.in_(select(_statement.c.seq).where(_statement.c.stix_id == indicator(name)["id"]))


def test_a_label_that_was_loosened_is_found(full: World) -> None:
    falsify(full, _listing, _of("a.example"), label="0|0|")
    assert codes(full) == {"replay.label"}


def test_a_label_that_was_loosened_in_every_column_is_found(full: World) -> None:
    """The bytes still say it: the mark in them is stricter than what stands beside them."""
    falsify(full, _statement, _statement.c.stix_id == indicator("a.example")["id"], label="0|0|", stated="0|0|")
    assert "replay.stated" in codes(full)


def test_another_agreement_is_found(full: World) -> None:
    falsify(full, _listing, _of("a.example"), agreement="autre")
    falsify(full, _listing, _of("b.example"), agreement="faux")
    found = again(full)
    assert set(found.counts) == {"replay.agreement"}
    assert {(each.recorded, each.replayed) for each in found.mismatches} >= {("faux", "reseau")}


def test_a_row_that_was_added_is_found(full: World) -> None:
    """Nothing released it; and of the dates of a listing each was given in a sitting, to so many rows."""
    with full.store.writing() as tx:
        row = dict(tx.execute(select(_listing).where(_of("a.example"))).mappings().first() or {})
        held = tx.execute(select(_statement).where(_statement.c.stix_id == malware("c")["id"])).one()
        tx.execute(_listing.insert().values({**row, "seq": held.seq, "added": row["added"] - 1, "type": "malware"}))
        tx.execute(_listing.insert().values({**row, "added": row["added"] + 10_000_000}))
    assert codes(full) >= {"replay.not_released", "replay.count", "replay.no_sitting"}


def test_a_row_that_is_gone_is_found(full: World) -> None:
    with full.store.writing() as tx:
        tx.execute(_listing.delete().where(_of("a.example")))
    assert codes(full) == {"replay.count"}


def test_bytes_that_were_replaced_are_found(full: World) -> None:
    with full.store.writing() as tx:
        a, b = (
            tx.execute(select(_statement).where(_statement.c.stix_id == indicator(name)["id"])).first()
            for name in ("a.example", "b.example")
        )
        assert a is not None and b is not None
        place = {"block": b.block, "start": b.start, "stop": b.stop}
        tx.execute(update(_statement).where(_statement.c.seq == a.seq).values(place))
    assert "replay.bytes" in codes(full)


def test_a_row_that_was_opened_again_is_found(full: World) -> None:
    falsify(full, _listing, _of("b.example"), closed=None, closed_code=None)
    assert "replay.overstayed" in codes(full)


def test_another_form_than_comes_out_now_is_found(world: World) -> None:
    """What was altered stands beside its original: nothing of the decision itself differs."""
    world.follow(under("reseau", send=Send(ceiling=Tlp.GREEN, redact=frozenset({"name"}))))
    world.give("ccc/feed", indicator("a.example", name="secret"))
    world.now += SECOND
    world.follow(under("reseau"))
    assert codes(world) == set()
    falsify(world, _listing, _listing.c.closed_code == "version.other_form", closed=None, closed_code=None)
    assert codes(world) == {"replay.overstayed"}


def test_r21_what_stands_twice_is_found(world: World) -> None:
    world.give("ccc/feed", indicator("a.example"))
    for ceiling in (Tlp.CLEAR, Tlp.GREEN):
        world.now += SECOND
        world.follow(under("reseau", ceiling=ceiling))
    assert codes(world) == set()
    falsify(world, _listing, _of("a.example"), _listing.c.closed.is_not(None), closed=None, closed_code=None)
    assert codes(world) == {"replay.twice"}


def test_a_closing_that_was_moved_or_renamed_is_found(full: World) -> None:
    falsify(full, _listing, _of("b.example"), closed_code="withdrawn.by_peer")
    assert codes(full) == {"replay.reason"}
    falsify(full, _listing, _of("b.example"), closed=micros(full.now) + 5)
    assert codes(full) == {"replay.no_closing"}


def test_what_nobody_listed_was_not_handed_over(full: World) -> None:
    with full.store.writing() as tx:
        held = tx.execute(select(_statement).where(_statement.c.stix_id == malware("c")["id"])).one()
        entry = {"at": micros(full.now), "peer": "ccc", "channel": f"collection:{SHARED}", "seq": held.seq}
        hand(
            tx,
            [{**entry, "stix_id": held.stix_id, "version": held.version, "agreement": "reseau", "outcome": "accepted"}],
        )
    assert codes(full) == {"replay.unlisted"}
    assert codes(full, peer="circl") == set()


def test_terms_that_were_changed_are_not_read_as_the_same(full: World) -> None:
    falsify(full, tables.followed, terms=sittings_text(full).replace("autre", "neuve"))
    assert again(full).unreplayable["replay.terms_unread"] > 0


def sittings_text(world: World) -> str:
    """The terms that are followed, as they were written down."""
    with world.store.reading() as tx:
        return sittings.terms(tx)[-1].terms


def test_what_is_older_than_the_records_is_never_counted_as_good(full: World) -> None:
    with full.store.writing() as tx:
        for table in (tables.sitting, tables.followed, tables.dated):
            tx.execute(table.delete())
    found = again(full)
    assert found.rows == 0 and set(found.unreplayable) == {"replay.older"}


def test_a_part_of_it_is_gone_through(full: World) -> None:
    whole = again(full)
    assert again(full, object=indicator("a.example")["id"]).rows < whole.rows
    assert again(full, peer="circl").rows < whole.rows
    assert again(full, until=micros(NOW)).rows == 0
