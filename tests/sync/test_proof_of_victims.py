"""What a proof says of those who were attacked: attributes of MISP that are a victim's, and mailboxes written to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.model.personal import Finding, Kind, attributes, search
from exchange.policy import transform
from exchange.serve import Visitor
from exchange.store import Store
from exchange.sync import proof
from exchange.sync.proof import events, lattice, mail, stage
from exchange.sync.proof.chance import Chance
from exchange.sync.proof.laws import Court
from exchange.sync.proof.oracle import Oracle, kinds_of
from exchange.sync.proof.record import Record
from exchange.sync.proof.words import (
    MAILBOX,
    MESSAGE,
    PERSON,
    RECIPIENTS,
    Case,
    Move,
    Thing,
    Word,
    id_of,
    page,
    value_of,
    written,
)
from tests.sync.test_proof import altering_terms, small_terms
from tests.world import NODE, NOW, SHARED, agreement, collection

OWN = "5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"
KEPT_IN = ["strip", "hold"]
Judge = Callable[[Terms], Court]


def terms(personal: str | None) -> Terms:
    """Two give; one reads what they gave, under this clause. What a third gives goes nowhere."""
    takes = Receive(ceiling=Tlp.AMBER)
    more = Send(ceiling=Tlp.CLEAR, onward=True)
    agreements = (
        agreement("gives", "ccc", receive=takes, send=more),
        agreement("gives-too", "circl", receive=takes, send=more),
        agreement("hidden", "autre", receive=Receive(ceiling=Tlp.RED)),
        agreement("reads", "cert-ee", receive=takes, send=Send(ceiling=Tlp.GREEN, personal=personal)),  # type: ignore[arg-type]
    )
    peers = {each: Peer(id=each, name=each.upper()) for each in ("autre", "ccc", "cert-ee", "circl")}
    return Terms(
        peers=peers, agreements=agreements, node_identity=NODE,
        collections={SHARED: collection(SHARED, "salle", ("cert-ee",), ceiling=Tlp.RED)},
    )  # fmt: skip


@pytest.fixture
def court(memory: Store) -> Judge:
    """Judges what these terms let out."""
    return lambda given: Court(memory, given, Visitor)


# --- born in MISP ------------------------------------------------------------------------------------------------


def born(seed: int) -> list[Thing]:
    return events.event(Random(seed), 1)  # noqa: S311 (cases to try, no secret)


def test_what_is_drawn_is_what_the_converter_gives() -> None:
    """Every kind of victim, in carriers and beside them, and attributes that are nobody's."""
    drawn = [thing for seed in range(20) for thing in born(seed)] + events.every_kind(0)
    told = {word for thing in drawn if set(thing.victims) - {PERSON} for word in thing.misp}
    assert {f"type:{kind}" for kind, _, _ in events.VICTIMS} <= told
    assert {"category:Targeting data", "category:Internal reference"} <= told
    assert {MAILBOX, "ipv4-addr", "indicator", "observed-data", "x-misp-attribute", "url"} <= {
        thing.kind for thing in drawn if thing.victims
    }
    free = [thing for thing in drawn if thing.misp and not thing.victims]
    assert {"type:domain", "type:email-src"} <= {word for thing in free for word in thing.misp}
    for thing in drawn:
        assert all(value in thing.given for value in thing.victims)


def test_what_the_converter_gave_comes_in_unchanged() -> None:
    """But for what tells one statement from another."""
    things = born(3)
    move = Move(giver="ccc", things=tuple(things))
    kinds = kinds_of(Case(moves=(move,), at=NOW))
    for thing in things:
        made, given = written(thing, move, kinds, NOW), json.loads(thing.given)
        assert made["id"] == id_of(thing.number, kinds[thing.number]) == given["id"]
        more = {"x_said", "labels", "created", "modified"}
        assert {k: v for k, v in made.items() if k not in more} == {k: v for k, v in given.items() if k not in more}
        assert set(given.get("labels", ())) <= set(made.get("labels", ()))


SEEDS = range(8)


def in_pages(things: list[Thing], giver: str = "ccc") -> Iterator[Case]:
    """All at once, and the last of them first, in two pages."""
    whole, half = tuple(things), len(things) // 2
    yield Case(moves=(Move(giver=giver, things=whole),), at=NOW)
    pages = (Move(giver=giver, things=whole[half:], last=False), Move(giver=giver, things=whole[:half]))
    yield Case(moves=pages, at=NOW)


@pytest.mark.parametrize("personal", [None, *KEPT_IN])
def test_r17_nothing_that_misp_calls_a_victims_leaves(court: Judge, personal: str | None) -> None:
    found = court(terms(personal))
    for seed in SEEDS:
        for case in in_pages(born(seed)):
            leak = found.permitted(case)
            assert leak is None, (seed, leak)
    assert found.counts["released"] > 50


def test_where_it_is_allowed_all_of_it_leaves(court: Judge) -> None:
    """The oracle keeps nothing in that the agreement lets out."""
    released = []
    for personal in ("allowed", "strip"):
        found = court(terms(personal))
        assert not [seed for seed in SEEDS for case in in_pages(born(seed)) if found.permitted(case)]
        released.append(found.counts["released"])
    assert released[0] > released[1] + 20


def _type_says_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attributes, "_TYPES", {})


def _category_says_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attributes, "_CATEGORIES", {})


def _beside_is_nobodys(patch: pytest.MonkeyPatch) -> None:
    """An observable beside a carrier is read as one that came alone: the leak of before."""
    patch.setattr(attributes, "_beside", lambda _: None)


def _nothing_is_found(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transform, "_impersonal", lambda document, _, **__: document)


SPOILT = [_type_says_nothing, _category_says_nothing, _beside_is_nobodys, _nothing_is_found]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__)
def test_a_spoilt_reading_of_misp_is_found_out(
    court: Judge, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None]
) -> None:
    spoil(monkeypatch)
    found = court(terms("strip"))
    leaks = (leak for seed in range(40) for case in in_pages(born(seed)) if (leak := found.permitted(case)))
    assert next(leaks).parts == ("person",)


# --- plain mail --------------------------------------------------------------------------------------------------

BOX = Thing(number=1, kind=MAILBOX, marks=("tlp:clear",))
SHOWN = Thing(number=1, kind=MAILBOX, marks=("tlp:clear",), text=mail.SHOWN)


def message(number: int, role: str, *, mark: str = "tlp:clear") -> Thing:
    return Thing(number=number, kind=MESSAGE, marks=(mark,), refs=(1,), roles=(role,))


def judged(*moves: Move, personal: str = "strip") -> frozenset[str]:
    """By which laws the mailbox that `ccc` gave may not have left as it is, after these moves; no node is asked."""
    record = Record()
    for move in moves:
        record.add(move)
    given = terms(personal)
    oracle = Oracle(given, NOW.date())
    (room,) = oracle.rooms()
    statement = next(each for each in record.statements.values() if each.giver == "ccc" and each.thing.kind == MAILBOX)
    item = written(statement.thing, moves[0], {1: MAILBOX}, NOW)
    return oracle.forbids(record, statement, room, item)


@pytest.mark.parametrize("personal", KEPT_IN)
@pytest.mark.parametrize("role", ["to_refs", "cc_refs", "bcc_refs"])
def test_the_oracle_refuses_a_mailbox_to_which_a_message_went(role: str, personal: str) -> None:
    """Whatever came first, whoever else wrote from it, and whatever the message itself is worth."""
    box = Move(giver="ccc", things=(BOX,))
    to = Move(giver="ccc", things=(message(2, role, mark="tlp:red"),))
    by = Move(giver="ccc", things=(message(3, "from_ref"),))
    for order in permutations((box, to, by)):
        assert judged(*order, personal=personal) == {"person"}
        assert judged(*order, personal="allowed") == frozenset()


def test_the_oracle_lets_go_the_mailbox_of_who_wrote() -> None:
    box = Move(giver="ccc", things=(BOX,))
    for role in ("from_ref", "sender_ref"):
        assert judged(box, Move(giver="ccc", things=(message(2, role),))) == frozenset()
    assert judged(Move(giver="ccc", things=(SHOWN,))) == {"person"}, "nobody is shown by name"


def test_r14_to_the_oracle_one_source_says_nothing_of_what_another_gave() -> None:
    """Neither another partner, nor the same one by another way."""
    box = Move(giver="ccc", things=(BOX,))
    others = (
        Move(giver="circl", things=(BOX, message(2, "to_refs"))),
        Move(giver="ccc", things=(message(2, "to_refs"),), posted=f"collection:{OWN}"),
    )
    for other in others:
        assert judged(box, other) == judged(other, box) == frozenset()


def test_the_oracle_lets_go_what_as_many_looked_at_as_it_takes() -> None:
    words = (Word(1, "", "marie"),)
    move = Move(giver="ccc", things=(BOX, message(2, "to_refs")), words=words)
    assert judged(move, personal="hold") == frozenset()
    assert judged(move, personal="strip") == {"person"}


TO, BY = message(2, "cc_refs"), message(3, "from_ref")
ORDERS = [
    [(SHOWN, TO, BY)],
    [(BY, TO, SHOWN)],
    *([(one,), (two,), (three,)] for one, two, three in permutations((BOX, TO, BY))),
    [(BOX,), (message(2, "bcc_refs", mark="tlp:red"),)],
    [(message(2, "to_refs", mark="tlp:red"),), (BOX,)],
    [(Thing(number=1, kind=MAILBOX),), (message(2, "to_refs"),)],
]


@pytest.mark.parametrize("personal", KEPT_IN)
@pytest.mark.parametrize("last", [False, True], ids=["one drain", "drains"])
@pytest.mark.parametrize("pages", ORDERS, ids=lambda pages: " ".join("+".join(t.kind[6:] for t in p) for p in pages))
def test_r17_a_mailbox_to_which_a_message_went_stays_in(
    court: Judge, pages: list[tuple[Thing, ...]], last: bool, personal: str
) -> None:
    """In one page or several, also where it was listed before."""
    ends = [last] * (len(pages) - 1) + [True]
    moves = tuple(Move(giver="ccc", things=things, last=end) for things, end in zip(pages, ends, strict=True))
    assert court(terms(personal)).permitted(Case(moves=moves, at=NOW)) is None


def seen(found: Court, *moves: Move) -> list[Any]:
    """The mailboxes that the reader has in the end."""
    case = Case(moves=moves, at=NOW)
    kinds = kinds_of(case)
    found.stage.begin(case.at)
    for move in case.moves:
        found.stage.play(move, kinds)
    (room,) = Oracle(found.terms, NOW.date()).rooms()
    return [each["value"] for each in found.stage.seen(room, kinds) if each["type"] == MAILBOX]


@pytest.mark.parametrize("personal", KEPT_IN)
def test_the_mailbox_of_who_wrote_leaves(court: Judge, personal: str) -> None:
    """It is intelligence (decision 0022), and a node that lets no mailbox go would obey the law for nothing."""
    given = (BOX, message(2, "from_ref"))
    assert seen(court(terms(personal)), Move(giver="ccc", things=given)) == [value_of(BOX)]


HIDDEN = Move(
    giver="autre", things=(replace(BOX, marks=("tlp:red",)), message(2, "to_refs", mark="tlp:red"))
)  # fmt: skip


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("personal", KEPT_IN)
def test_r14_what_another_says_of_a_mailbox_changes_no_byte(court: Judge, personal: str, place: int) -> None:
    """Before it came, or after."""
    found, case = court(terms(personal)), Case(moves=(Move(giver="ccc", things=(BOX,)),), at=NOW)
    assert found.trace(case, HIDDEN, place) is None
    assert found.counts["trace"] > 0
    assert seen(found, *case.moves, HIDDEN) == seen(found, HIDDEN, *case.moves) == [value_of(BOX)]


def test_r14_a_mailbox_that_another_one_takes_away_is_found_out(court: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that believes of a mailbox whatever source told of a message to it."""
    told: set[str] = set()
    true = search.find

    def find(document: Any, *rest: Any, **more: Any) -> Any:
        found = true(document, *rest, **more)
        return found or (_ALL if document["id"] in told else ())

    def brought(move: Move, *rest: Any) -> Any:
        told.update(id_of(ref, MAILBOX) for thing in move.things for ref in thing.refs)
        return page(move, *rest)

    monkeypatch.setattr("exchange.policy.transform.personal.find", find)
    monkeypatch.setattr("exchange.policy.transform.personal.suspect", lambda *_: True)
    monkeypatch.setattr(stage, "page", brought)
    case = Case(moves=(Move(giver="ccc", things=(BOX,)),), at=NOW)
    leak = court(terms("strip")).trace(case, HIDDEN, 0)
    assert leak is not None
    assert leak.law == "trace"


_ALL = (Finding(path=("value",), kind=Kind.EMAIL, certain=True),)


def test_chance_draws_mail_and_events() -> None:
    """In any order, in several pages, by two givers, and marked and unmarked."""
    chance = Chance(terms("strip"), NOW, 1)
    cases = [chance.case() for _ in range(200)]
    kinds = [{thing.kind for move in case.moves for thing in move.things} for case in cases]
    assert sum(MESSAGE in each for each in kinds) > 20
    assert sum(any(thing.given for move in case.moves for thing in move.things) for case in cases) > 15
    late = early = both = 0
    for case in cases:
        at = [(place, move, thing) for place, move in enumerate(case.moves) for thing in move.things]
        boxes = {(m.giver, t.number): place for place, m, t in at if t.kind == MAILBOX and not t.given}
        sent = [(place, m.giver, ref, role) for place, m, t in at for ref, role in zip(t.refs, t.roles, strict=False)]
        for place, giver, ref, role in sent:
            if role in RECIPIENTS and (giver, ref) in boxes:
                late += place > boxes[giver, ref]
                early += place < boxes[giver, ref]
        both += len({giver for _, giver, _, _ in sent}) > 1
    assert min(late, early, both) > 1, (late, early, both)


@pytest.mark.parametrize("given", [small_terms, altering_terms])
def test_r17_whoever_was_attacked_is_tried_in_full(given: Callable[[], Terms], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not left to chance: every type, category and role, from one giver of each kind, under every agreement."""
    monkeypatch.setattr(lattice, "labels", lambda _: [])
    found = proof.prove(given(), NOW, Visitor, cases=0, seed=1, seconds=60)
    assert found.leak is None, found.leak
    assert found.lattice > 300
    assert found.counts["released"] > 300


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__)
def test_a_spoilt_reading_is_found_without_chance(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None]
) -> None:
    spoil(monkeypatch)
    monkeypatch.setattr(lattice, "labels", lambda _: [])
    monkeypatch.setattr(mail, "every_kind", list)
    found = proof.prove(small_terms(), NOW, Visitor, cases=0, seed=1, seconds=60)
    assert found.leak is not None
    assert "person" in found.leak.parts
    assert sum(len(move.things) for move in found.leak.case.moves) <= 2
