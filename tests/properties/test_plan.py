"""What a plan says is what happens: its numbers are the difference of the listings before and after it is adopted."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exchange.model.marking import Label, Tlp
from exchange.model.party import Agreement, Peer, Receive, Send, Target, Terms
from exchange.policy import Rules
from exchange.store import Store, micros
from exchange.store.tables import audience, listing, statement
from exchange.store.work import NOTICES
from exchange.sync.effects import effects
from tests.contract.test_derived import under
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NODE,
    NOW,
    SHARED,
    World,
    agreement,
    collection,
    emptied,
    indicator,
    malware,
    relationship,
    report,
)

PEERS = ("ccc", "cert-ee", "circl")
LEVELS = list(Tlp)
Seen = dict[tuple[str, str], set[str]]


def some_terms(dice: Random) -> Terms:
    """Three partners under one to three agreements, two collections, one push target."""

    def level() -> Tlp:
        return dice.choice(LEVELS)

    agreements = [
        Agreement(
            id=f"a{number}",
            title="",
            parties=tuple(dice.sample(PEERS, dice.randint(1, 3))),
            start=date(2025, 1, 1) if dice.random() < 0.8 else date(2027, 1, 1),
            end=date(2027, 12, 31) if dice.random() < 0.8 else date(2026, 1, 1),
            purpose="test",
            receive=Receive(ceiling=level(), unmarked=dice.choice([None, *LEVELS])) if dice.random() < 0.9 else None,
            send=Send(
                ceiling=level(),
                types=dice.choice([None, frozenset({"indicator"}), frozenset({"malware", "report"})]),
                onward=dice.random() < 0.5,
            ),
        )
        for number in range(dice.randint(1, 3))
    ]
    depot = Target(peer="ccc", id="depot", kind="taxii", url="https://taxii.ccc.example/api1/", collection="c")
    peers = [
        Peer(id="ccc", name="CCC", targets=(depot,) if dice.random() < 0.7 else ()),
        Peer(id="cert-ee", name="CERT-EE"),
        Peer(id="circl", name="CIRCL"),
        Peer(id="maison", name="CERT-QC", home=True, identities=frozenset({NODE})),
    ]
    owner = dice.choice([None, 0, 1])
    if owner is not None:
        it = peers[owner]
        peers[owner] = Peer(id=it.id, name=it.name, targets=it.targets, identities=frozenset({CCC_IDENTITY}))
    readers = dice.sample([*PEERS, "maison"], dice.randint(1, 4))
    made = {
        SHARED: collection(SHARED, "partenaires", readers, ceiling=level()),
        FOLDED: collection(FOLDED, "faits", dice.sample(PEERS, 2), duplicates="fold", ceiling=level()),
    }
    if dice.random() < 0.2:
        del made[FOLDED]
    known = {peer.id: peer for peer in peers}
    return Terms(peers=known, collections=made, agreements=tuple(agreements), node_identity=NODE)


def give(world: World, dice: Random) -> None:
    """A few objects of each partner: marked and not, in containers, from several sources, in several versions."""
    for number in range(dice.randint(2, 6)):
        peer = dice.choice(PEERS)
        tlp = dice.choice([None, *LEVELS])
        more = {"created_by_ref": CCC_IDENTITY} if dice.random() < 0.4 else {}
        first = indicator(f"{dice.randint(0, 3)}.example", tlp=tlp, **more)
        family = malware(f"m{dice.randint(0, 2)}", tlp=dice.choice([None, *LEVELS]), **more)
        objects = [first, family, relationship(first, family, tlp=dice.choice([None, None, Tlp.GREEN]))]
        if dice.random() < 0.5:
            objects.append(report(first, family, tlp=dice.choice([None, *LEVELS]), name=f"r{number}"))
        if dice.random() < 0.2:
            first["object_marking_refs"] = ["marking-definition--aaaaaaaa-0000-4000-8000-000000000001"]
        world.give(f"{peer}/{dice.choice('ab')}", *objects)


def seen(world: World) -> Seen:
    """(peer, channel) → the ids that it sees or may reach by their id."""
    row = listing.c
    query = (
        select(audience.c.channel, audience.c.members, statement.c.stix_id)
        .select_from(
            listing.join(statement, statement.c.seq == row.seq).join(audience, audience.c.number == row.audience)
        )
        .where(
            row.closed.is_(None), row.not_after > micros(world.now), ~audience.c.retired, statement.c.source != NOTICES
        )
    )
    found: Seen = {}
    places = {(each.channel, peer) for each in world.rules.audiences for peer in each.members}
    with world.store.reading() as tx:
        for channel, members, stix_id in tx.execute(query):
            for peer in members.strip('[]"').replace('"', "").split(", "):
                if (channel, peer) in places:
                    found.setdefault((peer, channel), set()).add(stix_id)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_plan_says_what_adopting_changes(memory: Store, seed: int) -> None:
    """For all terms, all that is held, all other terms."""
    dice = Random(seed)  # noqa: S311 (test data)
    first, second = some_terms(dice), some_terms(dice)
    world = World(emptied(memory), first)
    give(world, dice)
    before = seen(world)
    said = effects(world.store, world.rules, Rules(second, NOW), NOW)
    world.follow(second)
    after = seen(world)
    places = [(place, before.get(place, set()), after.get(place, set())) for place in before.keys() | after.keys()]
    expected = {place: (len(new - old), len(old - new)) for place, old, new in places}
    told = {(each.peer, each.channel): (sum(each.more.values()), sum(each.fewer.values())) for each in said.found}
    assert told == {place: counts for place, counts in expected.items() if counts != (0, 0)}
    assert said.unseen == 0


def test_a_plan_counts_by_label(memory: Store) -> None:
    """The labels are those under which the objects are judged then, and now for what is lost."""
    world = World(memory)

    def agreed(ceiling: Tlp) -> Agreement:
        return agreement(
            "x", *PEERS, receive=Receive(ceiling=Tlp.RED, unmarked=Tlp.CLEAR), send=Send(ceiling=ceiling, onward=True)
        )

    shelf = {SHARED: collection(SHARED, "partenaires", ("cert-ee",), ceiling=Tlp.RED)}
    peers = {name: Peer(id=name, name=name) for name in PEERS}
    narrow, wide = (
        Terms(peers=peers, collections=shelf, agreements=(agreed(ceiling),), node_identity=NODE)
        for ceiling in (Tlp.CLEAR, Tlp.AMBER)
    )
    world.follow(narrow)
    world.give("circl/a", *(indicator(f"{n}.example", tlp=Tlp.AMBER) for n in range(3)), indicator("g.example"))
    (found,) = effects(world.store, world.rules, Rules(wide, NOW), NOW).found
    assert (found.peer, found.channel) == ("cert-ee", f"collection:{SHARED}")
    assert {Label.from_text(label).tlp: count for label, count in found.more.items()} == {Tlp.AMBER: 3, Tlp.GREEN: 1}
    assert found.fewer == {}
    world.follow(wide)
    (back,) = effects(world.store, world.rules, Rules(narrow, NOW), NOW).found
    assert (back.more, back.fewer) == ({}, found.more)


OPEN = {"attribution": "named", "personal": "allowed"}
HIDDEN, NAMELESS, IMPERSONAL = {"attribution": "anonymous"}, {"redact": frozenset({"name"})}, {"personal": "strip"}


@pytest.mark.parametrize(
    ("now", "then", "bared", "altered", "renamed"),
    [
        (HIDDEN, {}, {"transform.anonymous": 3}, {}, 0),
        ({}, HIDDEN, {}, {"transform.anonymous": 3}, 0),
        (IMPERSONAL, {}, {"transform.personal": 1}, {}, 0),
        ({}, NAMELESS, {}, {"transform.redact": 3}, 0),
        (HIDDEN, NAMELESS, {"transform.anonymous": 3}, {"transform.redact": 3}, 0),
        (HIDDEN | IMPERSONAL, IMPERSONAL, {"transform.anonymous": 3}, {}, 0),
        (NAMELESS, {"redact": frozenset({"name", "description"})}, {}, {}, 3),
        (HIDDEN, HIDDEN | {"ceiling": Tlp.CLEAR}, {}, {}, 0),
    ],
)
def test_a_plan_counts_what_would_go_in_another_form(
    memory: Store, now: dict[str, Any], then: dict[str, Any], bared: Any, altered: Any, renamed: int
) -> None:
    """As many as then stand in the listing under another id: with their producer, for one, whom they hid before."""
    world = World(memory, under(**OPEN | now))
    known = {"type": "identity", "id": CCC_IDENTITY, "name": "Centre", "identity_class": "organization"}
    world.give("ccc/alertes", {**malware("m", tlp=Tlp.RED), **known})
    things = [
        indicator(f"{n}.example", name="n", description=said, created_by_ref=CCC_IDENTITY)
        for n, said in enumerate(("of a wave", "of another", "of jeanne.tremblay@ville.example"))
    ]
    world.give("ccc/alertes", *things)
    before = set(world.listed("cert-ee"))
    told = effects(world.store, world.rules, Rules(under(**OPEN | then), NOW), NOW).found
    found = [each for each in told if (each.peer, each.channel) == ("cert-ee", f"collection:{SHARED}")]
    world.follow(under(**OPEN | then))
    changed = set(world.listed("cert-ee")) - before
    assert len(before) == 3
    assert [(each.bared, each.altered, each.renamed) for each in found if each.reshaped] == (
        [(bared, altered, renamed)] if changed else []
    )
    assert [each.reshaped for each in found if each.reshaped] == ([len(changed)] if changed else [])
    assert [each for each in found if each.more] == []


def test_whoever_speaks_first_does_not_hide_that_another_is_unmasked(memory: Store) -> None:
    """Of one id each word that goes both times is looked at, not the newest alone."""
    world = World(memory, under(**OPEN | HIDDEN))
    world.give("circl/x", indicator())
    world.give("maison/misp", indicator(created_by_ref=NODE, modified=NOW + timedelta(seconds=1)))
    told = effects(world.store, world.rules, Rules(under(**OPEN), NOW), NOW).found
    assert [each.reshaped for each in told if (each.peer, each.channel[-36:]) == ("cert-ee", SHARED)] == [1]


def test_what_is_too_much_to_be_looked_at_is_said(memory: Store) -> None:
    """Ids with several statements, past the bound."""
    dice = Random(1)  # noqa: S311 (test data)
    world = World(memory, some_terms(dice))
    for source in ("ccc/a", "cert-ee/a", "circl/a"):
        world.give(source, *(indicator(f"{n}.example") for n in range(4)))
    assert effects(world.store, world.rules, Rules(some_terms(dice), NOW), NOW, most=1).unseen == 3
