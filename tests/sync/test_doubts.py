"""Benign values wait for a person: what is held, what a verdict does, and what happens when the lists change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from exchange.model import benign
from exchange.model.marking import Tlp
from exchange.policy import Rules
from exchange.store import Store, audiences, reviews, statements, tables
from exchange.sync.doubts import DONE, LOOKED, key_of
from exchange.sync.explain import explain
from exchange.sync.review import Ruling, about, rule, waiting
from exchange.sync.second_look import is_due, look_again
from tests.world import NOW, OPEN_WRITE, World, collection, emptied, indicator, malware, relationship, report, terms

LISTS = benign.Choice(lists=("rfc1918", "rfc6761"))
LATER = NOW + timedelta(minutes=1)
KNOWN = "example.com"


@pytest.fixture
def world(memory: Store) -> World:
    return World(memory, replace(terms(), benign=LISTS))


def ruled(world: World, *, released: bool, stix_id: str = "", value: str = "", source: str = "") -> int:
    """How many statements another doubt stands with, by the word of somebody."""
    ruling = Ruling(stix_id=stix_id, value=value, source=source, released=released, who="marie", why="looked at it")
    return len(rule(world.store, world.rules, ruling, lambda: world.now).changed)


def seen(world: World) -> list[str]:
    """What waits for a person, as (source, value)."""
    items, total = waiting(world.store, world.rules, world.now, most=100)
    assert total == len(items)
    return [f"{item.held.source} {item.matches[0].value}" for item in items]


def look(world: World, given: benign.Choice) -> int:
    """Begin to follow other lists, and look at everything by them."""
    world.terms = replace(world.terms, benign=given)
    world.rules = Rules(world.terms, world.now)
    return look_again(world.store, world.rules, lambda: world.now, lambda: False)


def test_an_indicator_of_a_benign_value_is_held_for_all_but_our_house(store: Store) -> None:
    """R4: nobody gets it until a person has looked, but our own house sees it; the reason can be asked."""
    shelf = collection(OPEN_WRITE, "maison", ("maison",), ceiling=Tlp.RED)
    world = World(store, replace(terms(shelf=shelf), benign=LISTS))
    bad, good = indicator("bad.invalid"), indicator(KNOWN)
    world.give("circl/misp", bad, good)
    assert world.listed("ccc") == world.listed("circl") == world.waiting() == [bad["id"]]
    assert set(world.listed("maison", OPEN_WRITE)) == {bad["id"], good["id"]}
    (held,) = explain(store, world.rules, good["id"], NOW).statements
    reasons = {answer.reasons for answer in held.answers if answer.members != ("maison",)}
    assert reasons == {("doubt.warninglist",)}
    assert seen(world) == [f"circl/misp {KNOWN}"]
    (item,), _ = waiting(store, world.rules, NOW, most=10)
    assert item.readers == ("ccc", "cert-ee", "circl")
    assert ruled(world, released=True, stix_id=good["id"]) == 1
    assert set(world.listed("ccc")) == set(world.waiting()) == {bad["id"], good["id"]}
    assert seen(world) == []
    assert ruled(world, released=False, stix_id=good["id"]) == 1
    assert world.listed("ccc") == world.waiting() == [bad["id"]]
    assert seen(world) == []
    assert ruled(world, released=True, value=KNOWN) == 1
    assert good["id"] in world.listed("ccc")
    with store.reading() as tx:
        rows = reviews.about(tx, [good["id"]])
    assert [(row["verdict"], row["who"], row["value"]) for row in rows] == [
        ("released", "marie", KNOWN), ("refused", "marie", KNOWN), ("released", "marie", KNOWN),
    ]  # fmt: skip
    assert rows[0]["matches"] == [{"list": "rfc6761", "entry": KNOWN, "path": "domain-name:value", "relation": "equal"}]


def test_what_blocks_nothing_is_not_held(world: World) -> None:
    """Observables, indicators that say benign, and revocations raise none; what refers to a held one dangles (R13)."""
    held, family = indicator(KNOWN), malware("m")
    observable = {
        "type": "domain-name", "spec_version": "2.1", "value": KNOWN,
        "id": "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7",
        "object_marking_refs": family["object_marking_refs"],
    }  # fmt: skip
    harmless = indicator("www.example.com", pattern="[domain-name:value = 'example.org']", indicator_types=["benign"])
    gone = indicator("gone", pattern="[domain-name:value = 'example.net']", revoked=True)
    both = indicator("both", pattern="[domain-name:value = 'example.org']", indicator_types=["benign", "compromised"])
    link, container = relationship(held, family), report(held, family)
    world.give("circl/misp", held, family, observable, harmless, gone, both, link, container)
    expected = {item["id"] for item in (family, observable, harmless, gone, link, container)}
    assert set(world.listed("ccc")) == expected


def test_a_network_is_found_whichever_way_it_lies(world: World) -> None:
    """Pain 23: equal, inside and containing."""
    pattern = "[ipv4-addr:value = '{}']"
    values = ["10.0.0.0/8", "10.1.2.3", "10.0.0.0/7", "172.16.0.0/16", "198.51.100.7"]
    world.give("circl/misp", *(indicator(value, pattern=pattern.format(value)) for value in values))
    assert world.listed("ccc") == [indicator("198.51.100.7")["id"]]


def test_a_benign_value_does_not_hide_among_many_others(world: World) -> None:
    """A pattern too large for a canonical form is looked at too, and can be released."""
    bad = ",".join(f"'h{n}.invalid.net'" for n in range(700))
    good = ",".join(f"'h{n}.other.net'" for n in range(700))
    many = indicator("many", pattern=f"[domain-name:value IN ({bad},'{KNOWN}')]")
    none = indicator("none", pattern=f"[domain-name:value IN ({good}) AND domain-name:value != '{KNOWN}']")
    world.give("circl/misp", many, none)
    assert world.listed("ccc") == [none["id"]]
    assert seen(world) == [f"circl/misp {KNOWN}"]
    assert ruled(world, released=True, stix_id=many["id"]) == 1
    assert many["id"] in world.listed("ccc")


def test_an_approved_value_does_not_come_again_from_the_same_source(world: World) -> None:
    """Nor in a later version, nor in another indicator; but another source's word is looked at for itself."""
    first = indicator(KNOWN)
    twin = indicator("twin", pattern=f"[domain-name:value = '{KNOWN}']")
    world.give("circl/misp", first, twin)
    assert ruled(world, released=True, stix_id=first["id"]) == 2
    world.give("circl/misp", indicator(KNOWN, modified=LATER, description="more"))
    world.give("circl/misp", indicator("third", pattern=f"[domain-name:value = '{KNOWN}']"))
    assert seen(world) == []
    assert {first["id"], twin["id"], indicator("third")["id"]} == set(world.listed("ccc"))
    other = indicator("other", pattern=f"[domain-name:value = '{KNOWN}']")
    world.give("cert-ee/x", other)
    assert seen(world) == [f"cert-ee/x {KNOWN}"]
    assert other["id"] not in world.listed("ccc")


def test_a_value_is_decided_for_all_who_say_it_now(world: World) -> None:
    """By the value every source is decided, by `source` one of them; who says it later is asked for itself."""
    ids = [indicator(name)["id"] for name in ("one", "two")]
    for source, name in (("circl/misp", "one"), ("cert-ee/x", "two")):
        world.give(source, indicator(name, pattern=f"[domain-name:value = '{KNOWN}']"))
    assert ruled(world, released=True, value="EXAMPLE[.]com", source="circl/misp") == 1
    assert world.listed("ccc") == ids[:1]
    assert ruled(world, released=True, value=KNOWN) == 1
    assert set(world.listed("ccc")) == set(ids)
    world.give("ccc/alertes", indicator("three", pattern=f"[domain-name:value = '{KNOWN}']"))
    assert seen(world) == [f"ccc/alertes {KNOWN}"]


def test_a_refused_value_does_not_come_again_either(world: World) -> None:
    world.give("circl/misp", indicator(KNOWN))
    assert ruled(world, released=False, stix_id=indicator(KNOWN)["id"]) == 1
    world.give("circl/misp", indicator(KNOWN, modified=LATER, description="more"))
    assert seen(world) == []
    assert world.listed("ccc") == []
    items, total = waiting(world.store, world.rules, NOW, most=10, refused=True)
    assert total == len(items) == 2


def test_what_is_not_doubtful_cannot_be_decided(world: World) -> None:
    world.give("circl/misp", indicator("bad.invalid"))
    for stix_id, value in ((indicator("bad.invalid")["id"], ""), ("", "bad.invalid"), (indicator("x")["id"], "")):
        ruling = Ruling(stix_id=stix_id, value=value, released=False, who="marie", why="x")
        assert rule(world.store, world.rules, ruling, lambda: NOW).about == ()
    assert about(world.store, world.rules, "bad.invalid", NOW) == []
    assert world.listed("ccc") == [indicator("bad.invalid")["id"]]


def test_r8_the_doubt_about_the_newest_version_governs_the_older(world: World) -> None:
    """R8: when a chain comes to name a benign value its older versions go too, and its mending brings it back."""
    bad = indicator("x", pattern="[domain-name:value = 'bad.invalid']")
    world.give("circl/misp", bad)
    assert world.listed("ccc") == [bad["id"]]
    world.give("circl/misp", indicator("x", modified=LATER, pattern=f"[domain-name:value = '{KNOWN}']"))
    assert world.listed("ccc") == []
    mended = indicator("x", modified=LATER + timedelta(seconds=1), pattern="[domain-name:value = 'worse.invalid']")
    world.give("circl/misp", mended)
    assert world.listed("ccc") == [bad["id"]]


def test_r3_who_posts_a_benign_value_reads_it_back(memory: Store) -> None:
    """R3: where an account alone reads what it wrote, a doubt takes nothing from it."""
    box = collection(OPEN_WRITE, "boite", ("ccc",), writers=("ccc",))
    world = World(memory, replace(terms(box=box), benign=LISTS))
    world.give("ccc/post:boite", indicator(KNOWN), posted=f"collection:{box.id}")
    assert world.listed("ccc", box.id) == [indicator(KNOWN)["id"]]
    assert world.listed("circl") == []


@pytest.mark.parametrize("released", [True, False, None])
def test_r14_the_doubt_about_anothers_hidden_statement_changes_nothing(memory: Store, released: bool | None) -> None:
    """R14: what ccc reads is the same whether or not circl said the same for our eyes only, whatever was decided."""

    def read(*hidden: dict[str, Any]) -> list[str]:
        store = emptied(memory)
        world = World(store, replace(terms(), benign=LISTS))
        for item in hidden:
            world.give("circl/misp", item)
        if hidden and released is not None:
            ruled(world, released=released, stix_id=hidden[0]["id"])
        world.give("cert-ee/x", indicator(KNOWN), indicator("bad.invalid"))
        world.give("cert-ee/x", indicator(KNOWN, modified=LATER, pattern="[domain-name:value = 'worse.invalid']"))
        return world.listed("ccc")

    secret = indicator(KNOWN, tlp=Tlp.RED)
    other = indicator("other", tlp=Tlp.RED, pattern="[domain-name:value = 'bad.invalid']")
    assert read(secret, other) == read()


def test_a_trusted_peer_is_not_looked_at(memory: Store) -> None:
    world = World(memory, replace(terms(), benign=replace(LISTS, trusted=frozenset({"circl"}))))
    world.give("circl/misp", indicator(KNOWN))
    world.give("cert-ee/x", indicator("twin", pattern=f"[domain-name:value = '{KNOWN}']"))
    assert world.listed("ccc") == [indicator(KNOWN)["id"]]


@pytest.fixture
def plain_world(store: Store) -> Iterator[World]:
    """One that follows no list yet, with more than a step's worth of indicators in it."""
    world = World(store)
    values = [KNOWN, *(f"n{number}.invalid" for number in range(6)), "example.org"]
    world.give("circl/misp", *(indicator(value) for value in values))
    yield world


def test_other_lists_are_followed_in_the_background(plain_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is doubtful now is withdrawn, what no longer is goes out, what was decided stays; step by step."""
    monkeypatch.setattr("exchange.sync.second_look.STEP", 3)
    world, known = plain_world, indicator(KNOWN)["id"]
    assert len(world.listed("ccc")) == 8
    assert look(world, LISTS) == 2
    assert len(world.listed("ccc")) == 6
    assert sorted(seen(world)) == [f"circl/misp {KNOWN}", "circl/misp example.org"]
    ruled(world, released=False, stix_id=known)
    assert look(world, replace(LISTS, lists=("rfc1918",))) == 1  # what was refused stays so
    assert len(world.listed("ccc")) == 7
    assert look(world, LISTS) == 1
    ruled(world, released=True, stix_id=known)
    assert look(world, benign.NOTHING) == 1
    assert len(world.listed("ccc")) == 8
    assert look(world, benign.NOTHING) == 0
    with world.store.reading() as tx:
        assert not is_due(tx, world.rules, first=True)


def test_a_look_goes_on_where_it_was_broken_off(plain_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.sync.second_look.STEP", 3)
    world, asked = plain_world, iter([False, True])
    world.rules = Rules(replace(world.terms, benign=LISTS), NOW)
    assert look_again(world.store, world.rules, lambda: NOW, lambda: next(asked)) == 1
    with world.store.reading() as tx:
        assert audiences.note(tx, LOOKED) == f"{key_of(world.rules)} 3"
        assert is_due(tx, world.rules, first=False)
    with world.store.writing() as tx:  # what was looked at before is not looked at again
        tx.execute(update(tables.statement).where(tables.statement.c.seq == 1).values(doubt=""))
    assert look_again(world.store, world.rules, lambda: NOW, lambda: False) == 1
    with world.store.reading() as tx:
        assert audiences.note(tx, LOOKED) == f"{key_of(world.rules)} {DONE}"


def test_what_another_process_took_in_by_its_own_lists_is_looked_at_again(world: World) -> None:
    """A server that was not restarted after a change of the lists lets nothing by for long."""
    look(world, LISTS)
    world.give("circl/misp", indicator("first.invalid"))
    old = Rules(replace(world.terms, benign=benign.NOTHING), NOW)
    new, world.rules = world.rules, old
    world.give("circl/misp", indicator("second.invalid"), indicator(KNOWN))
    with world.store.reading() as tx:
        assert audiences.note(tx, LOOKED) == f"{key_of(new)} 1"
        assert not is_due(tx, old, first=False)
        assert is_due(tx, new, first=False)
    assert indicator(KNOWN)["id"] in world.listed("ccc")
    assert look_again(world.store, new, lambda: NOW, lambda: False) == 1
    assert indicator(KNOWN)["id"] not in world.listed("ccc")


def test_the_doubt_stands_with_the_statement(world: World) -> None:
    world.give("circl/misp", indicator(KNOWN), indicator("bad.invalid"))
    with world.store.reading() as tx:
        found = statements.held(tx, [indicator(KNOWN)["id"], indicator("bad.invalid")["id"]])
    assert {id_: [held.doubt for held in group] for id_, group in found.items()} == {
        indicator(KNOWN)["id"]: ["doubt.warninglist"], indicator("bad.invalid")["id"]: [""],
    }  # fmt: skip
