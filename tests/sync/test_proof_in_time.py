"""What a proof says of names that are told, and of persons who let something go, before and after: case by case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.policy import Rules, decide
from exchange.serve import Visitor
from exchange.store import Store
from exchange.sync import lineage
from exchange.sync.proof.laws import Court
from exchange.sync.proof.words import IDENTITY, PERSON, Case, Move, Thing, Word, id_of, name_of
from tests.world import CCC_IDENTITY, NODE, NOW, SHARED, agreement, collection

STRANGER = id_of(50, IDENTITY)


def terms(**send: object) -> Terms:
    """One gives, what is GREEN at most, and lets it go further; one reads whatever there is, under these clauses."""
    gives = agreement(
        "gives", "ccc",
        receive=Receive(ceiling=Tlp.GREEN, types=frozenset({"indicator", IDENTITY})),
        send=Send(ceiling=Tlp.CLEAR, onward=True),
    )  # fmt: skip
    reads = agreement("reads", "cert-ee", receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.RED, **send))  # type: ignore[arg-type]
    peers = [Peer(id="ccc", name="CCC", identities=frozenset({CCC_IDENTITY})), Peer(id="cert-ee", name="CERT-EE")]
    return Terms(
        peers={peer.id: peer for peer in peers}, agreements=(gives, reads), node_identity=NODE,
        collections={SHARED: collection(SHARED, "salle", ("cert-ee",), ceiling=Tlp.RED)},
    )  # fmt: skip


def told(version: int, whose: str = CCC_IDENTITY) -> Move:
    """The producer tells by what it is known."""
    thing = Thing(number=50, kind=IDENTITY, creator=whose, version=version, marks=("tlp:green",))
    return Move(giver="ccc", things=(thing,))


def seen(by: int, whose: str = CCC_IDENTITY) -> Move:
    """It says something, under one of its names."""
    thing = Thing(number=0, marks=("tlp:green",), creator=whose, text=f"Seen by {name_of(50, by)}")
    return Move(giver="ccc", things=(thing,))


def held(*persons: str, mark: str = "tlp:amber", kind: str = "indicator", whom: str = "", text: str = "") -> Case:
    """What is above what we agreed to take, and who lets it go."""
    words = tuple(Word(0, whom, who) for who in persons)
    move = Move(giver="ccc", things=(Thing(number=0, kind=kind, marks=(mark,), text=text),), words=words)
    return Case(moves=(move,), at=NOW)


@pytest.fixture
def court(memory: Store) -> Callable[[Terms], Court]:
    """Judges what these terms let out."""
    return lambda given: Court(memory, given, Visitor)


ANONYMOUS = terms(attribution="anonymous")
ORDERS = [
    (told(0), told(1), seen(1)),
    (told(0), seen(1), told(1)),
    (seen(1), told(1), told(0)),
    (seen(1), seen(1), told(1)),
]


@pytest.mark.parametrize("moves", ORDERS)
@pytest.mark.parametrize("whose", [CCC_IDENTITY, STRANGER])
def test_r17_names_come_in_any_order(court: Callable[[Terms], Court], moves: tuple[Move, ...], whose: str) -> None:
    own = tuple(replace(m, things=tuple(replace(t, creator=whose) for t in m.things)) for m in moves)
    found = court(ANONYMOUS)
    assert found.permitted(Case(moves=own, at=NOW)) is None
    assert found.counts["released"] > 1


def test_a_name_that_is_told_later_and_stays_is_found_out(
    court: Callable[[Terms], Court], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "named", lambda *_: [])
    leak = court(ANONYMOUS).permitted(Case(moves=ORDERS[1], at=NOW))
    assert leak is not None
    assert leak.parts == ("named",)


@pytest.mark.parametrize("whom", ["", "reads", "peer:cert-ee"])
def test_r21_what_as_many_let_go_as_it_takes_goes(court: Callable[[Terms], Court], whom: str) -> None:
    found = court(terms(approvals=2))
    assert found.permitted(held("marie", "jean", whom=whom)) is None
    assert found.counts["released"] > 0
    for case in (
        held("marie", whom=whom), held("marie", "jean", whom="gives"), held("marie", "jean", mark="tlp:red"),
        held("marie", "jean", kind="malware"), held("marie", "jean", whom="peer:ccc"),
    ):  # fmt: skip
        found.counts["released"] = 0
        assert found.permitted(case) is None
        assert found.counts["released"] == 0


def test_r21_another_version_asks_again(court: Callable[[Terms], Court]) -> None:
    found = court(terms())
    (move,) = held("marie").moves
    next_ = replace(move, things=tuple(replace(each, version=1) for each in move.things), words=())
    assert found.permitted(Case(moves=(move, next_), at=NOW)) is None
    assert found.counts["released"] == 2, "it left once; when another version came, the notice took its place"


def test_r21_a_person_lets_go_what_names_a_person(court: Callable[[Terms], Court]) -> None:
    found = court(terms(personal="hold"))
    assert found.permitted(held("marie", mark="tlp:green", text=f"Write to {PERSON}")) is None
    assert found.counts["released"] > 0


SPOILT = {
    "TLP:RED is let in": ("may_be_let_in", lambda _: True, held("marie", "jean", mark="tlp:red"), "ceiling"),
    "one will do": ("lifted", lambda approved, *_: bool(approved), held("marie"), "ceiling"),
    "for whomever": ("lifted", lambda approved, *_: bool(approved), held("a", "b", whom="gives"), "ceiling"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_r21_a_spoilt_approval_is_found_out(
    court: Callable[[Terms], Court], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    what, how, case, law = SPOILT[name]
    monkeypatch.setattr(decide, what, how)
    leak = court(terms(approvals=2)).permitted(case)
    assert leak is not None
    assert leak.parts == (law,)


def test_r21_an_approval_that_lifts_more_than_the_ceiling_is_found_out(
    court: Callable[[Terms], Court], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Rules._received
    monkeypatch.setattr(Rules, "_received", lambda self, *a, above=False: None if above else true(self, *a))
    leak = court(terms()).permitted(held("marie", kind="malware"))
    assert leak is not None
    assert leak.parts == ("type",)
