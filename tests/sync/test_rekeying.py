"""A store that was filled by a release which made keys in another way: keyed anew in steps, and nothing flaps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from exchange.model import facts
from exchange.store import Store, audiences, open_store
from exchange.store.tables import alias, listing, observable, statement
from exchange.sync import rekeying
from exchange.sync.rekeying import KEYS, outdated, rekey, relist
from tests.model.stix_samples import SAMPLES
from tests.world import FOLDED, World, indicator, malware, relationship


def twin(number: int, giver: str) -> dict[str, Any]:
    """One of many that say the same."""
    return indicator(f"{number}.example", id_=f"indicator--{number:08}-0000-4000-8000-{ord(giver):012}")


def fill(world: World, count: int) -> None:
    """Twins, and what is about them."""
    for giver in "ab":
        made = [twin(number, giver) for number in range(count)]
        world.now += timedelta(seconds=1)
        world.give(f"circl/{giver}", *made, malware("m"), *(relationship(item, malware("m")) for item in made[:3]))


def as_before(world: World, *, merged: bool = False) -> None:
    """As another release left it; `merged`: to which everything was one fact."""
    with world.store.writing() as tx:
        key = "one" if merged else statement.c.fact + "-old"
        tx.execute(update(statement).where(statement.c.fact.is_not(None)).values(fact=key))
        tx.execute(update(listing).values(fact=None))
        tx.execute(observable.delete())
        tx.execute(insert(observable).values(value="wrong", path="x:y", seq=1))
        tx.execute(alias.delete())
        for name in (rekeying._KEYED, rekeying._LISTED):
            audiences.set_note(tx, name, "1")


def keys(world: World) -> Sequence[Any]:
    """All that is made of the keys."""
    with world.store.reading() as tx:
        found = [tx.execute(select(table).order_by(*table.primary_key)).all() for table in (observable, alias)]
        facts_now = select(statement.c.seq, statement.c.fact).order_by(statement.c.seq)
        found.append(tx.execute(facts_now).all())
    return [*found, rows(world)]


def rows(world: World) -> Sequence[Any]:
    with world.store.reading() as tx:
        return tx.execute(select(listing).order_by(listing.c.audience, listing.c.added)).all()


def tend(world: World) -> int:
    """What the sync process does of it."""
    rekey(world.store)
    return relist(world.store, world.rules, world.now)


def test_everything_is_keyed_anew_and_nothing_moves(store: Store) -> None:
    """Facts, values, aliases, folds: as if it had come under this release; no row is closed or begun for it."""
    world = World(store)
    tend(world)
    assert not outdated(store)
    fill(world, 30)
    world.give("circl/c", {**twin(0, "z"), "x_opencti_stix_ids": [twin(0, "a")["id"]]})
    before = keys(world)
    as_before(world)
    assert outdated(store)
    assert tend(world) == 0
    assert keys(world) == before
    assert not outdated(store)


def after_a_step() -> Callable[[], bool]:
    """It is told to stop when it asks for the second time."""
    answers = iter([False])
    return lambda: next(answers, True)


def test_it_goes_on_where_it_was_stopped(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small steps, stopped after each; what comes meanwhile has the new keys already."""
    monkeypatch.setattr(rekeying, "STEP", 7)
    world = World(memory)
    fill(world, 10)
    as_before(world)
    for _ in range(3):
        rekey(memory, after_a_step())
    with memory.reading() as tx:
        assert audiences.note(tx, rekeying._KEYED + "_at") == f"{KEYS}:21"
    world.give("cert-ee/c", twin(99, "c"))
    for _ in range(40):
        rekey(memory, after_a_step())
        relist(memory, world.rules, world.now, after_a_step())
    assert not outdated(memory)
    other = open_store("sqlite://")
    fresh = World(other)
    fill(fresh, 10)
    fresh.give("cert-ee/c", twin(99, "c"))
    assert [row.fact for row in rows(world)] == [row.fact for row in rows(fresh)]
    assert keys(world)[:3] == keys(fresh)[:3]
    other.close()


def test_r18_a_fact_with_many_twins_is_folded_in_steps(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction lists more of them anew than it may, and the end is the same."""
    monkeypatch.setattr(rekeying, "_TWINS", 2)
    world = World(memory)
    tend(world)
    same = [indicator("hub.example", id_=f"indicator--{number:08}-0000-4000-8000-000000000000") for number in range(9)]
    world.give("circl/a", *same)
    before = keys(world)
    as_before(world)
    rekey(memory)
    commits = memory.commits
    assert relist(memory, world.rules, world.now) == 0
    assert memory.commits - commits > len(same) // 2
    assert keys(world) == before
    assert not outdated(memory)


def test_what_was_one_fact_and_is_not_comes_forward(memory: Store) -> None:
    """The keys of another release had folded too much."""
    world = World(memory)
    fill(world, 5)
    number = number_of(world)
    with memory.writing() as tx:
        mine = update(listing).where(listing.c.audience == number)
        tx.execute(mine.where(listing.c.type == "indicator").values(folded=True))
    as_before(world, merged=True)
    assert len(world.listed("ccc", FOLDED)) < 5
    assert tend(world) == 2 * 5
    assert len([i for i in world.listed("ccc", FOLDED) if i.startswith("indicator")]) == 5


def number_of(world: World) -> int:
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "ccc", f"collection:{FOLDED}")
        assert row is not None
        return row.number


def test_who_changes_the_keys_says_so() -> None:
    """The samples under the keys of this release: if this fails, count `KEYS` on, and write the new digest here."""
    made = [facts.read(sample) for sample in SAMPLES.values()]
    assert (KEYS, hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]) == ("2", "46c4001965c87ab1")
