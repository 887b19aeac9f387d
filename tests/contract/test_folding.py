"""Folding on every engine (RULES R23): composites, older versions, what is too much at once, and the end of a term."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.store import Store, folds, open_store
from exchange.store.tables import listing
from exchange.sync import folding
from exchange.sync.refolding import refold, succeed, waits
from tests.properties.test_folding import (
    FAMILY,
    SOURCES,
    bad,
    check,
    fronts,
    link,
    listed,
    live,
    observation,
    rows,
    said_by,
    seen,
    sighting,
)
from tests.world import FOLDED, NOW, World, agreement, indicator, marked, relationship, terms

A, B = "circl/a", "cert-ee/c"


def never() -> bool:
    return False


def test_a_life_with_everything_in_it(store: Store) -> None:
    """Twins and what is about them, in an order in which every end comes after what refers to it; and back again."""
    one = World(store)
    live(one, [[(source, item)] for source in SOURCES for item in reversed(said_by(source))])
    check(one)
    whole = listed(one)
    live(one, [[(source, item) for source in SOURCES for item in said_by(source)]])
    check(one)
    assert listed(one) == whole


def test_what_is_about_twins_is_one_too(store: Store) -> None:
    """Each says that its own indicator indicates the same family: one relationship is listed, the other is by id."""
    world = World(store)
    for source in (A, B):
        one = bad(source, 0, "a.example")
        live(world, [[(source, one), (source, FAMILY), (source, link(source, one, FAMILY))]])
    links = [link(source, bad(source, 0, ""), FAMILY)["id"] for source in (A, B)]
    assert [i for i in world.listed("ccc", FOLDED) if i.startswith("relationship")] == links[:1]
    assert world.listed("ccc", FOLDED, ids=frozenset(links)) == links


def test_an_end_that_goes_brings_forward_what_is_about_it(store: Store) -> None:
    """Its twin's relationship says something else then; when it is back they are one again; the front stays."""
    world = World(store)
    for source in (A, B):
        one = bad(source, 0, "a.example")
        live(world, [[(source, one), (source, FAMILY), (source, link(source, one, FAMILY))]])
    gone = {**bad(B, 0, "b.example", version=1)}
    live(world, [[(B, gone)]])
    check(world)
    links = {link(source, bad(source, 0, ""), FAMILY)["id"] for source in (A, B)}
    assert links <= set(world.listed("ccc", FOLDED))
    live(world, [[(B, bad(B, 0, "a.example", version=2))]])
    check(world)
    assert set(world.listed("ccc", FOLDED)) & links == {link(A, bad(A, 0, ""), FAMILY)["id"]}
    closed = {row.closed_code for row in history(world)}
    assert {"fold.promoted", "fold.joined", "fold.moved"} >= closed - {None}


def history(world: World) -> list[Any]:
    with world.store.reading() as tx:
        return list(tx.execute(select(listing)).all())


def test_sightings_of_twins_with_twin_data(memory: Store) -> None:
    """Level upon level: observed data by its observables, sightings by their data."""
    world = World(memory)
    for source in (A, B):
        data = observation(source, seen("a.example"))
        live(world, [[(source, sighting(source, FAMILY, data)), (source, data)], [(source, FAMILY)]])
    live(world, [[(A, seen("a.example"))]])
    check(world)
    kinds = [i.partition("--")[0] for i in world.listed("ccc", FOLDED)]
    assert sorted(kinds) == ["domain-name", "malware", "observed-data", "sighting"]


def test_older_versions_go_with_their_object(store: Store) -> None:
    """Not even `match[version]=all` shows what stands behind; who moves behind is closed where it stood."""
    world = World(store)
    live(world, [[(A, bad(A, 0, "a.example"))], [(B, bad(B, 0, "b.example")), (B, bad(B, 0, "a.example", version=1))]])
    check(world)
    assert [row.stix_id for row in rows(world) if not row.folded] == [bad(A, 0, "")["id"]]
    live(world, [[(B, bad(B, 0, "c.example", version=2))]])
    check(world)
    assert {row.stix_id for row in rows(world) if not row.folded} == {bad(A, 0, "")["id"], bad(B, 0, "")["id"]}
    live(world, [[(B, bad(B, 0, "a.example", version=3))]])
    check(world)
    assert "fold.moved" in {row.closed_code for row in history(world)}
    assert [row.stix_id for row in rows(world) if not row.folded] == [bad(A, 0, "")["id"]]


def test_a_collection_that_folds_no_longer_lists_everything(store: Store) -> None:
    """And folds again when it is told to."""
    world = World(store)
    live(world, [[(A, bad(A, 0, "a.example"))], [(B, bad(B, 0, "a.example"))]])
    folds_now, before = world.terms, fronts(world)
    kept = {**world.terms.collections, FOLDED: _listing(world.terms)}
    world.follow(_with(world.terms, kept))
    assert len(world.listed("ccc", FOLDED)) == 2
    assert all(row.fact is None for row in rows(world))
    world.follow(folds_now)
    check(world)
    assert fronts(world) == before


def _listing(given: Terms) -> Any:
    return replace(given.collections[FOLDED], duplicates="list")


def _with(given: Terms, collections: Any) -> Terms:
    return replace(given, collections=collections)


def test_too_many_on_one_end_are_keyed_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R18: the transaction that brings the end only notes it; steps behind it do the rest, and stop where told."""
    monkeypatch.setattr(folding, "MOST", 10)
    world = World(store)
    live(world, [[(A, bad(A, 0, "a.example")), (B, bad(B, 0, "b.example"))]])
    families = [f"malware--{n:08}-0000-4000-8000-000000000000" for n in range(12)]
    for source in (A, B):
        links = [relationship(bad(source, 0, ""), {"id": family}, tlp=Tlp.GREEN) for family in families]
        world.give(source, *links)
    live(world, [[(B, bad(B, 0, "a.example", version=1))]])
    assert waits(store)
    assert sum(row.folded for row in rows(world)) == 2
    stops = iter([False])
    refold(store, world.rules, lambda: world.now, lambda: next(stops, True))
    assert waits(store)
    refold(store, world.rules, lambda: world.now, never)
    assert not waits(store)
    check(world)
    assert sum(row.folded for row in rows(world)) == 2 + len(families)


def test_what_is_about_too_many_things_never_folds(memory: Store) -> None:
    world = World(memory)
    things = [seen(f"{n}.example") for n in range(folding.MOST_ENDS + 1)]
    for source in (A, B):
        live(world, [[*((source, thing) for thing in things), (source, observation(source, *things))]])
    assert sum(row.type == "observed-data" and not row.folded for row in rows(world)) == 2


def two_terms() -> Terms:
    """Two agreements, of which one ends: under it alone what is AMBER may be had."""
    parties = ("ccc", "cert-ee", "circl")
    made = [
        agreement("large", *parties, send=Send(ceiling=Tlp.AMBER), end=date(2026, 11, 30)),
        agreement("etroite", *parties, receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN, onward=True)),
    ]
    given = terms(agreements=made)
    shelf = replace(given.collections[FOLDED], ceiling=Tlp.AMBER)
    return _with(given, {**given.collections, FOLDED: shelf})


def test_r19_where_the_front_lapses_its_twin_comes_forward(store: Store) -> None:
    """No agreement permits the front any more, and one the twin: it is listed, as if the front had gone."""
    world = World(store, two_terms())
    world.give(A, marked(bad(A, 0, "a.example"), Tlp.AMBER))
    world.now += timedelta(seconds=1)
    world.give(B, bad(B, 0, "a.example"))
    assert world.listed("ccc", FOLDED) == [bad(A, 0, "")["id"]]
    world.pass_time(timedelta(days=30))
    assert world.listed("ccc", FOLDED) == []
    assert succeed(store, world.rules, lambda: world.now, never) == 2 * 2
    assert world.listed("ccc", FOLDED) == [bad(B, 0, "")["id"]]
    assert succeed(store, world.rules, lambda: world.now, never) == 0


def test_r18_one_more_twin_asks_for_the_front_alone(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that stand behind a front are looked at only when it goes."""
    world = World(memory)
    twins = [indicator(id_=f"indicator--{n:08d}-0000-4000-8000-000000000000") for n in range(4)]
    world.give("circl/misp", *twins[:3])
    read: list[str] = []
    real = folds.twins

    def counted(tx: Any, number: int, facts: Any) -> Any:
        found = real(tx, number, facts)
        read.extend(row.stix_id for row in found)
        return found

    monkeypatch.setattr(folds, "twins", counted)
    world.give("circl/misp", twins[3])
    assert world.listed("ccc", FOLDED) == [twins[0]["id"]]
    assert read == []
    later = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    world.give("circl/misp", {**twins[0], "modified": later, "object_marking_refs": [TLP2_ID[Tlp.RED]]})
    assert world.listed("ccc", FOLDED) == [twins[1]["id"]]
    assert read


def test_what_folding_asks_is_found_by_an_index(tmp_path: Path) -> None:
    """However much else an audience reads; in a store of which SQLite knows no figures."""
    opened = open_store(f"sqlite:///{tmp_path}/exchange.db")
    asked = {folds._TWINS: "ix_listing_fact (audience=? AND fact=?)",
             folds._FRONTS: "ix_listing_fact (audience=? AND fact=? AND folded=?)", folds._ON: "ix_reference_target",
             folds._FACTS: "(stix_id=?)", folds._LAPSED: "ix_listing_fact"}  # fmt: skip
    with opened.reading() as tx:
        driver: Any = tx.connection.driver_connection
        for query, index in asked.items():
            prepared = query._prepared(tx)
            values = {"wanted": "[]", "number": 1, "after": 0, "most": 1, "now": 1, **prepared.constants}
            given = [values[name] for name in prepared.names or ()]
            plan = "; ".join(row[-1] for row in driver.execute(f"EXPLAIN QUERY PLAN {prepared.sql}", given))
            assert index in plan, plan
            assert "SCAN listing" not in plan, plan
            assert "SCAN statement" not in plan, plan
            assert "PRIMARY KEY (audience=?)" not in plan, plan
    opened.close()
