"""Audiences: classes of recipients made of the terms, with keys that members do not move (R1), and the epoch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import DICE, NOW, PEERS, agreement, collection, rich_terms, terms

from exchange.model.marking import Tlp
from exchange.model.party import Agreement, Peer, Receive, Send, Terms
from exchange.policy import Audience, Rules, audiences
from exchange.policy.gate import NO_PAP, PFC

HERE = Path(__file__).parent
WORLDS = DICE.map(lambda dice: dice.terms())


@settings(max_examples=200, deadline=None)
@given(WORLDS)
def test_every_reader_and_writer_stands_in_one_audience(made: Terms) -> None:
    """Each member of a channel is in exactly one of its audiences, under exactly the agreements that name it (R1)."""
    found = audiences(made)
    assert len({audience.key for audience in found}) == len(found)
    assert all(audience.members for audience in found)
    for room in made.collections.values():
        ours = [audience for audience in found if audience.channel == f"collection:{room.id}"]
        members = [member for audience in ours for member in audience.members]
        assert sorted(members) == sorted({*room.readers, *room.writers})
    for audience in found:
        for member in audience.members:
            named = {a.id for a in made.agreements if a.send and member in a.parties}
            assert audience.agreements == named
            assert audience.home == made.peers[member].home
            assert audience.pap == made.peers[member].pap
        assert (audience.single is not None) == (len(audience.members) == 1)


@settings(max_examples=200, deadline=None)
@given(WORLDS, st.permutations(PEERS))
def test_audiences_do_not_depend_on_the_order_of_the_files(made: Terms, order: list[str]) -> None:
    """Peers, agreements, parties and readers in another order make the same audiences and the same key for each."""
    shuffled = replace(
        made,
        peers={name: made.peers[name] for name in order},
        agreements=tuple(replace(a, parties=tuple(reversed(a.parties))) for a in reversed(made.agreements)),
        collections={
            name: replace(room, readers=tuple(reversed(room.readers))) for name, room in made.collections.items()
        },
    )
    assert {a.key: a for a in audiences(shuffled)} == {a.key: a for a in audiences(made)}


@settings(max_examples=200, deadline=None)
@given(WORLDS)
def test_adding_a_member_never_changes_an_audience_key(made: Terms) -> None:
    """A peer that joins a room and agreements beside a member leaves every key and clause as it was (R1)."""
    before = {audience.key: audience for audience in audiences(made)}

    def joined(names: tuple[str, ...]) -> tuple[str, ...]:
        return (*names, "newcomer") if "ccc" in names else names

    grown = replace(
        made,
        peers={**made.peers, "newcomer": Peer(id="newcomer", name="newcomer", pap=made.peers["ccc"].pap)},
        agreements=tuple(replace(a, parties=joined(a.parties)) for a in made.agreements),
        collections={
            name: replace(room, readers=joined(room.readers), writers=joined(room.writers))
            for name, room in made.collections.items()
        },
    )
    after = {audience.key: audience for audience in audiences(grown)}
    assert after.keys() == before.keys()
    for key, audience in before.items():
        assert replace(after[key], members=audience.members) == audience
        with_ccc = "ccc" in audience.members and not audience.pushes
        assert set(after[key].members) == {*audience.members, *(["newcomer"] if with_ccc else [])}


def test_eight_hundred_teams_are_one_audience() -> None:
    """Every team under one agreement reads the same listings (R1)."""
    teams = [f"team-{number}" for number in range(800)]
    made = terms(
        agreements=[agreement("first", teams, send=Send(ceiling=Tlp.GREEN))],
        collections=[collection(teams)],
        peers=teams,
    )
    (audience,) = audiences(made)
    assert set(audience.members) == set(teams)


def test_home_never_shares_an_audience_with_a_partner() -> None:
    """Our house is never in one class with a partner, even under the same agreements (R4)."""
    made = terms(
        agreements=[agreement("all", PEERS, send=Send(ceiling=Tlp.RED))], collections=[collection(["home", "ccc"])]
    )
    assert sorted(audience.members for audience in audiences(made)) == [("ccc",), ("home",)]


def test_an_agreement_that_sends_nothing_makes_no_class() -> None:
    """An agreement without a send clause neither splits nor serves an audience (R2)."""
    made = terms(
        agreements=[agreement("in", ["ccc"], receive=Receive(ceiling=Tlp.RED))],
        collections=[collection(["ccc", "circl"])],
    )
    (audience,) = audiences(made)
    assert (audience.members, audience.agreements) == (("ccc", "circl"), frozenset())


def test_a_push_target_is_an_audience_of_its_own() -> None:
    """A target's audience holds its peer alone, whatever collections that peer reads (R1, R3)."""
    made = terms(collections=[collection(["ccc", "circl"])], pushed=["ccc"])
    (pushed,) = [audience for audience in audiences(made) if audience.pushes]
    assert (pushed.members, pushed.single, pushed.channel) == (("ccc",), "ccc", "target:ccc/in")


def test_a_room_without_readers_has_no_audience() -> None:
    """A collection that nobody reads or writes is served to nobody (DESIGN 1: an empty audience is nobody)."""
    assert audiences(terms(collections=[collection([])])) == ()


_PRINT = """
import sys; sys.path.insert(0, {here!r})
from policy_world import NOW, rich_terms
from exchange.policy import Rules
rules = Rules(rich_terms(), NOW)
print(rules.epoch, *sorted(audience.key for audience in rules.audiences))
"""


def test_epoch_and_keys_are_the_same_in_every_process() -> None:
    """Processes with different hash seeds agree on the epoch and on every audience key (R19, R24)."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT.format(here=str(HERE))],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    rules = Rules(rich_terms(), NOW)
    assert printed == {" ".join([rules.epoch, *sorted(a.key for a in rules.audiences)]) + "\n"}


def test_epoch_does_not_depend_on_the_order_of_mappings() -> None:
    """Peers and collections read in another order give the same epoch."""
    made = rich_terms()
    turned = replace(made, peers=dict(reversed(made.peers.items())))
    assert list(turned.peers) != list(made.peers)
    assert Rules(turned, NOW).epoch == Rules(made, NOW).epoch


def other(value: Any) -> Any:
    """A value of the same kind that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, IntEnum):
        return next(each for each in type(value) if each is not value)
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, datetime | date):
        return value + timedelta(days=1)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, frozenset):
        return value | {"another"}
    return "another" if value is None else value[:-1]


def changed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every copy of `value` in which one leaf is another, with the path of that leaf."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for where, inner in changed(getattr(value, field.name), f"{path}.{field.name}"):
                yield where, replace(value, **{field.name: inner})
    elif isinstance(value, Mapping):
        for name in value:
            yield f"{path}[-{name}]", {key: inner for key, inner in value.items() if key != name}
            for where, inner in changed(value[name], f"{path}[{name}]"):
                yield where, {**value, name: inner}
    elif isinstance(value, tuple):
        yield f"{path}[:-1]", value[:-1] if value else ("another",)
        for number, each in enumerate(value):
            for where, inner in changed(each, f"{path}[{number}]"):
                yield where, (*value[:number], inner, *value[number + 1 :])
    else:
        yield path, other(value)


def test_epoch_changes_with_any_term() -> None:
    """No field of the terms, at any depth, can change and leave the epoch as it was (R19)."""
    made = rich_terms()
    epoch = Rules(made, NOW).epoch
    seen = {epoch}
    count = 0
    for where, another in changed(made):
        if where.startswith(".benign."):  # what is doubtful stands with each statement (sync/doubts.py)
            assert Rules(another, NOW).epoch == epoch
            continue
        count += 1
        found = Rules(another, NOW).epoch
        assert found != epoch, where
        seen.add(found)
    assert count > 60
    assert len(seen) == count + 1


def test_epoch_changes_on_the_day_an_agreement_begins() -> None:
    """The first day of an agreement is a change of policy; an ordinary midnight is not (R19)."""
    beginning: Agreement = agreement("soon", ["ccc"], span="begins-tomorrow", send=Send(ceiling=Tlp.RED))
    made = terms(agreements=[beginning], collections=[collection(["ccc"])])
    day = timedelta(days=1)
    today, tomorrow, after = (Rules(made, NOW + day * n).epoch for n in range(3))
    assert today != tomorrow == after


def test_who_does_not_carry_pap_is_an_audience_apart() -> None:
    """Its neighbours keep their key, and what the second gate lets go to each says the same (R1, R25)."""
    rooms, sent = [collection(["ccc", "cert-ee"])], agreement("out", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.AMBER))
    (together,) = audiences(terms(agreements=[sent], collections=rooms))
    made = terms(agreements=[sent], collections=rooms, without_pap=["cert-ee"])
    carries, does_not = sorted(audiences(made), key=lambda audience: audience.members)
    assert (carries.key, carries.members, carries.pap) == (together.key, ("ccc",), True)
    assert (does_not.members, does_not.pap) == (("cert-ee",), False)
    rules = Rules(made, NOW)
    assert rules.clearance(carries) == Tlp.AMBER
    assert rules.clearance(does_not) == Tlp.AMBER | NO_PAP
    listed = terms(agreements=[replace(sent, send=Send(ceiling=Tlp.AMBER, pfc=True))], collections=rooms)
    assert Rules(listed, NOW).clearance(together) == Tlp.AMBER | PFC


def test_what_makes_another_class_makes_another_key() -> None:
    """R1: channel, agreements, our own house, PAP and dialect; nothing else, and one is never taken for another."""
    sent = [agreement(name, ["ccc"], send=Send(ceiling=Tlp.RED)) for name in ("a", "b", "home")]

    def key(*agreements: Agreement, name: str = "room", **clauses: Any) -> str:
        peer = Peer(id="ccc", name="C", **clauses)
        made = Terms(
            peers={"ccc": peer}, collections={name: collection(["ccc"], name=name)}, agreements=agreements,
            node_identity="identity--00000000-0000-4000-8000-000000000000",
        )  # fmt: skip
        (audience,) = audiences(made)
        return audience.key

    keys = [
        key(), key(name="other"), key(sent[0]), key(sent[1]), key(sent[0], sent[1]), key(sent[2]), key(home=True),
        key(pap=False), key(dialect="tlp1"), key(dialect="opencti"), key(dialect="tlp1", pap=False),
        key(sent[0], dialect="tlp1"),
        key(sent[0], pap=False), key(sent[0], home=True),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert all(len(each) == 32 for each in keys)
    assert key(sent[0], quality=7, contact="x", jurisdiction="CA-QC") == key(sent[0])


def test_stored_listings_keep_their_key() -> None:
    """Listings stand in stores under these keys: another way of making them would take all of them away and back."""
    (room,) = audiences(terms(collections=[collection(["ccc"])]))
    assert room.key == sha256(f"{room.channel}\0".encode()).hexdigest()[:32]
    ours = Peer(id="ccc", name="C", home=True, dialect="tlp1")
    (house,) = audiences(replace(terms(collections=[collection(["ccc"])]), peers={"ccc": ours}))
    assert house.key == sha256(f"{room.channel}\0home\0\0dialect tlp1".encode()).hexdigest()[:32]
    (agreed,) = audiences(
        terms(
            collections=[collection(["ccc"])], without_pap=["ccc"],
            agreements=[agreement(name, ["ccc"], send=Send(ceiling=Tlp.RED)) for name in "ba"],
        )
    )  # fmt: skip
    assert agreed.key == sha256(f"{room.channel}\0\0a\0b\0\0no pap".encode()).hexdigest()[:32]


def test_the_terms_of_the_channel_are_those_of_its_audience() -> None:
    """A collection's ceiling, types, folding and posting; a push target's is open, and may be read on the way."""
    room = replace(
        collection(["ccc"], ceiling=Tlp.GREEN, types=frozenset({"malware"})), duplicates="fold", only_posted=True
    )
    made = terms(collections=[room], pushed=["ccc", "circl"], in_clear=["circl"])
    shown, safe, clear = sorted(audiences(made), key=lambda each: each.channel)
    assert (shown.ceiling, shown.types, shown.fold, shown.only_posted, shown.in_clear) == (
        Tlp.GREEN, frozenset({"malware"}), True, True, False,
    )  # fmt: skip
    for audience, readable in ((safe, False), (clear, True)):
        assert (audience.ceiling, audience.types, audience.fold, audience.only_posted) == (Tlp.RED, None, False, False)
        assert audience.in_clear is readable
        assert audience.pushes
    assert not shown.pushes
    plain = Audience(
        key="k", channel="collection:x", members=("ccc", "circl"), agreements=frozenset(), home=False,
        ceiling=Tlp.RED, types=None, fold=False,
    )  # fmt: skip
    assert (plain.only_posted, plain.pap, plain.in_clear, plain.dialect) == (False, True, False, "")
    assert plain.single is None
    assert replace(plain, members=()).single is None
