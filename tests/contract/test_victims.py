"""A mailbox is a victim's by the word of the message that went to it, whichever comes first (decision 0022)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text

from exchange.model.envelope import Page, sift
from exchange.model.marking import Tlp
from exchange.model.party import Personal, Receive, Send, Terms
from exchange.model.personal import Choice
from exchange.store import Store, audiences, later, micros, migrate, pages
from exchange.sync import afterwards, attacked
from exchange.sync.accept import accept
from exchange.sync.accounting import Asked
from exchange.sync.replay import replay
from exchange.sync.tracing import trace_of
from tests.world import SHARED, World, agreement, indicator, marked, terms

FROM, OTHER = "ccc/alertes", "cert-ee/flux"
ROOM = f"collection:{SHARED}"
SECOND = timedelta(seconds=1)


def observable(kind: str, name: str, **more: Any) -> dict[str, Any]:
    made = {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, kind + name)}", **more}
    return marked(made, Tlp.GREEN)


def mailbox(name: str) -> dict[str, Any]:
    return observable("email-addr", name, value=f"{name}@ville.example")


def message(
    sender: Mapping[str, Any], *to: Mapping[str, Any], name: str = "to_refs", subject: str = "facture"
) -> dict[str, Any]:
    refs: dict[str, Any] = {name: [each["id"] for each in to]} if to else {}
    return observable("email-message", subject, is_multipart=False, subject=subject, from_ref=sender["id"], **refs)


def under(personal: Personal) -> Terms:
    """The usual terms, with this said of personal information."""
    send = Send(ceiling=Tlp.GREEN, personal=personal)
    made = agreement("reseau", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER), send=send)
    return terms(agreements=[made])


MAL, BOB, EVE = mailbox("mal"), mailbox("bob"), mailbox("eve")
MESSAGE = message(MAL, BOB)


@pytest.fixture
def world(store: Store) -> World:
    return World(store, under("strip"))


@pytest.mark.parametrize("order", list(permutations([MAL, BOB, MESSAGE])))
@pytest.mark.parametrize("count", [1, 3])
def test_a_recipient_never_goes_in_whatever_order_they_come(world: World, order: Any, count: int) -> None:
    """The sender's mailbox and the message do."""
    for number in range(count):
        world.now += SECOND
        world.give(FROM, *(order if count == 1 else order[number : number + 1]))
    assert set(world.listed("circl")) == {MAL["id"], MESSAGE["id"]}
    assert replay(world.store, Asked(), world.now).counts == {}


@pytest.mark.parametrize("name", ["to_refs", "cc_refs", "bcc_refs"])
def test_whoever_had_it_is_told_that_it_is_withdrawn(world: World, name: str) -> None:
    """R8: it went while nothing said whose it was."""
    world.give(FROM, MAL, BOB)
    assert set(world.listed("circl")) == {MAL["id"], BOB["id"]}
    world.now += SECOND
    world.give(FROM, message(MAL, BOB, name=name))
    assert BOB["id"] not in world.listed("circl") and len(world.listed("circl", recalls=True)) == 3


@pytest.mark.parametrize("first", [True, False])
def test_a_message_that_is_set_aside_has_said_so_too(world: World, first: bool) -> None:
    """Its source named whom it went to, whatever else is wrong with it; the page goes on."""
    wrong = sift([json.dumps({**MESSAGE, "is_multipart": "perhaps"}).encode(), b"{not JSON email-message"])[1]
    assert len(wrong) == 2
    for step in (True, False):
        world.now += SECOND
        if step is first:
            given = Page(objects=[], rejected=wrong, last=True)
            accept(world.store, world.rules, given, FROM, "ccc", world.now)
        else:
            world.give(FROM, MAL, BOB)
    assert world.listed("circl") == [MAL["id"]]
    assert replay(world.store, Asked(), world.now).counts == {}


def test_why_names_the_message_that_says_so(world: World) -> None:
    """Whoever asks why a mailbox stays away learns by whose word."""
    world.give(FROM, MAL, BOB, MESSAGE)
    for asked, by in ((BOB, [MESSAGE["id"]]), (MAL, [])):
        (found,) = trace_of(world.store, world.rules, asked["id"], world.now, peer="circl", channel=ROOM).traces
        assert list(found.origin.victim_by) == by


def test_what_was_said_once_stays_said(world: World) -> None:
    """A message without recipients takes nothing back, and a sender who was a recipient stays one."""
    world.give(FROM, MAL, BOB, EVE, MESSAGE)
    world.now += SECOND
    world.give(FROM, message(BOB, EVE, subject="re: facture"), {**MESSAGE, "subject": "other", "to_refs": [EVE["id"]]})
    assert {BOB["id"], EVE["id"]}.isdisjoint(world.listed("circl"))


@pytest.mark.parametrize("case", ["one", "mailbox first", "mailbox last"])
def test_a_message_that_contradicts_another_speaks_too(world: World, case: str) -> None:
    """The id of a message says nothing of who got it: of two under one id the second is kept aside, not its word."""
    second = {**MESSAGE, "to_refs": [EVE["id"]]}
    given: dict[str, list[list[dict[str, Any]]]] = {
        "one": [[MAL, BOB, EVE, MESSAGE, second]],
        "mailbox first": [[MAL, BOB, EVE, MESSAGE], [second]],
        "mailbox last": [[MAL, BOB, MESSAGE], [second], [EVE]],
    }
    for each in given[case]:
        world.now += SECOND
        world.give(FROM, *each)
    assert set(world.listed("circl")) == {MAL["id"], MESSAGE["id"]}
    assert replay(world.store, Asked(), world.now).counts == {}


@pytest.mark.parametrize("ref", ["".join(str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(200)), "a\0b"])
def test_what_can_be_no_id_stops_nothing(world: World, ref: str) -> None:
    """PostgreSQL indexes neither: a page that names such a recipient is taken as any other."""
    world.give(FROM, MAL, BOB, {**MESSAGE, "to_refs": [ref, BOB["id"]]})
    assert set(world.listed("circl")) == {MAL["id"], MESSAGE["id"]}


def test_r14_each_source_speaks_for_its_own_statements(world: World) -> None:
    """What another source says of the same mailbox changes nothing that this one gave."""
    world.give(FROM, BOB)
    before = world.listed("circl")
    world.now += SECOND
    world.give(OTHER, MAL, {**MESSAGE, "object_marking_refs": marked({}, Tlp.RED)["object_marking_refs"]})
    assert before == [BOB["id"]] == [each for each in world.listed("circl") if each == BOB["id"]]


def test_what_something_targets_is_a_victims(world: World) -> None:
    """An address that an attack was aimed at is the victim's; one that it used is not."""
    mine, theirs = observable("ipv4-addr", "a", value="198.51.100.7"), observable("ipv4-addr", "b", value="203.0.113.9")
    campaign = {
        "type": "campaign", "spec_version": "2.1", "id": f"campaign--{uuid.uuid5(uuid.NAMESPACE_URL, 'c')}",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": "lanterne",
    }  # fmt: skip
    world.give(FROM, marked(campaign, Tlp.GREEN), mine, theirs)
    for word, target in (("targets", mine), ("uses", theirs)):
        world.now += SECOND
        world.give(FROM, linked(campaign, word, target))
    assert mine["id"] not in world.listed("circl") and theirs["id"] in world.listed("circl")


def linked(source: Mapping[str, Any], word: str, target: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        "type": "relationship", "spec_version": "2.1", "created": "2026-01-01T00:00:00.000Z",
        "id": f"relationship--{uuid.uuid5(uuid.NAMESPACE_URL, source['id'] + word + target['id'])}",
        "modified": "2026-01-01T00:00:00.000Z", "relationship_type": word, "source_ref": source["id"],
        "target_ref": target["id"],
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


def test_what_the_operator_allows_is_nobodys(store: Store) -> None:
    """`personal.allowed` holds for recipients too."""
    world = World(store, replace(under("strip"), personal=Choice(allowed=("ville.example",))))
    world.give(FROM, MAL, BOB)
    world.now += SECOND
    world.give(FROM, MESSAGE)
    assert BOB["id"] in world.listed("circl")


@pytest.mark.parametrize(("personal", "goes"), [("hold", False), ("allowed", True)])
def test_the_agreement_says_what_becomes_of_it(store: Store, personal: Personal, goes: bool) -> None:
    """Held for a person, or let go."""
    world = World(store, under(personal))
    world.give(FROM, MAL, BOB)
    world.now += SECOND
    world.give(FROM, MESSAGE)
    assert (BOB["id"] in world.listed("circl")) is goes


def test_terms_that_change_find_it(store: Store) -> None:
    """What was let go under one clause is not under another, and comes back with the first."""
    world = World(store, under("allowed"))
    world.give(FROM, MAL, BOB, MESSAGE)
    assert BOB["id"] in world.listed("circl")
    for personal, goes in (("strip", False), ("allowed", True)):
        world.now += SECOND
        world.follow(under(personal))  # type: ignore[arg-type]
        assert (BOB["id"] in world.listed("circl")) is goes
    assert replay(world.store, Asked(), world.now).counts == {}


def choosing(*allowed: str) -> Terms:
    return replace(under("strip"), personal=Choice(allowed=allowed))


def is_open(world: World) -> bool:
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None
        return row.open


def test_r18_what_was_looked_at_shuts_nobody_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipients whom the operator allows are looked at once, however many messages go to them."""
    monkeypatch.setattr(later, "MOST", 2)
    world = World(store, replace(under("strip"), personal=Choice(allowed=("ville.example",))))
    many = [mailbox(f"bob{number}") for number in range(5)]
    world.give(FROM, MAL, *many, message(MAL, *many))
    afterwards.resume(world.store, world.rules, lambda: world.now, lambda: False)
    world.give(FROM, message(MAL, *many, subject="encore"))
    with world.store.reading() as tx:
        assert not later.any_left(tx)
    assert {each["id"] for each in many} <= set(world.listed("circl"))


@pytest.mark.parametrize("looked_at", [1, 50_000])
def test_what_the_operator_chooses_holds_for_what_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """Where more may be found nobody reads on until it is; where less is, what was held goes."""
    monkeypatch.setattr(attacked, "LOOKED_AT", looked_at)
    text = indicator("a.example", description="write to jean@ville.example or to marie@mairie.example")
    world = World(store, choosing("ville.example"))
    world.give(FROM, MAL, BOB, MESSAGE, text)
    assert BOB["id"] in world.listed("circl") and "jean@" in description(world)
    steps: list[tuple[tuple[str, ...], bool, bool, bool]] = [
        ((), False, False, False), (("ville.example",), True, True, True),
        (("ville.example", "mairie.example"), True, True, True), (("mairie.example",), False, False, False),
    ]  # fmt: skip
    for allowed, opened, goes, jean in steps:
        world.now += SECOND
        world.follow(choosing(*allowed))
        assert is_open(world) is opened
        afterwards.resume(world.store, world.rules, lambda: world.now, lambda: False)
        assert is_open(world)
        assert (BOB["id"] in world.listed("circl")) is goes
        assert ("jean@" in description(world)) is jean
        assert ("marie@" in description(world)) is ("mairie.example" in allowed)
        assert replay(world.store, Asked(), world.now).counts == {}


def description(world: World) -> str:
    """Of the one indicator that CIRCL reads."""
    found = [each for each in world.listed("circl") if each.startswith("indicator--")]
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None and len(found) == 1
        leaf = pages.page(tx, row.number, pages.Query(now=micros(world.now), limit=10_000))
        items = json.loads(b"[" + b",".join(bytes(piece) for piece in leaf.pieces) + b"]")
    return str(next(each["description"] for each in items if each["id"] == found[0]))


def test_r18_too_many_at_once_are_shut_out_and_looked_at_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them may be read meanwhile, and what comes in between is not let go either."""
    monkeypatch.setattr(later, "MOST", 2)
    many = [mailbox(f"bob{number}") for number in range(5)]
    world.give(FROM, MAL, *many)
    world.now += SECOND
    world.give(FROM, message(MAL, *many))
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None and not row.open and later.any_left(tx)
    world.give(FROM, mailbox("bob9"))
    afterwards.resume(world.store, world.rules, lambda: world.now, lambda: False)
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None and row.open and not later.any_left(tx)
    listed = set(world.listed("circl"))
    assert listed.isdisjoint(each["id"] for each in many) and mailbox("bob9")["id"] in listed
    assert replay(world.store, Asked(), world.now).counts == {}


@pytest.mark.parametrize("looked_at", [1, 2, 50_000])
def test_what_an_earlier_release_took_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """The migration leaves a word for each source whose messages nobody asked; it may have few of them, far apart."""
    monkeypatch.setattr(attacked, "LOOKED_AT", looked_at)
    world.give(OTHER, *(mailbox(f"other{number}") for number in range(5)))
    with monkeypatch.context() as patch:
        patch.setattr("exchange.model.personal.victims", lambda _: frozenset())
        world.give(FROM, MAL, BOB, MESSAGE)
    assert BOB["id"] in world.listed("circl")
    with world.store.writing() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0025'"))
        tx.execute(text("DROP TABLE victim"))
        tx.execute(text("ALTER TABLE trait DROP COLUMN victim"))
        tx.execute(text("DELETE FROM trait"))
    migrate(world.store)
    with world.store.reading() as tx:
        assert later.any_left(tx)
    afterwards.resume(world.store, world.rules, lambda: world.now, lambda: False)
    with world.store.reading() as tx:
        assert not later.any_left(tx)
    world.give(FROM, EVE, message(MAL, EVE, subject="other"))
    assert {BOB["id"], EVE["id"]}.isdisjoint(world.listed("circl"))
