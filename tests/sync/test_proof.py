"""`policy prove` holds for terms as they should be, and finds every way in which the policy was spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model import lineage, marking
from exchange.model.lights import Pfc
from exchange.model.marking import Label, Tlp
from exchange.model.party import Peer, Receive, Send, Target, Terms
from exchange.policy import Names, Rules, alteration, clauses, closure, cutting, transform, unnaming
from exchange.policy.transform import Limit
from exchange.policy.verdict import FOREVER, Decision
from exchange.serve import Visitor
from exchange.store import Store, micros
from exchange.sync import accept, altering, listing, proof
from exchange.sync.proof import Proof, chance, lattice
from exchange.sync.proof.laws import Court
from exchange.sync.proof.words import Case, Move, Thing
from tests.world import CCC_IDENTITY, NODE, NOW, agreement, collection

SALLE, GREFFE = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11", "5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"
Spoil = Callable[[pytest.MonkeyPatch], None]


def small_terms() -> Terms:
    """A giver, two that read under different agreements, one of them without PAP, and our own house."""
    depot = Target(peer="ccc", id="depot", kind="taxii", url="https://taxii.ccc.example/api1/", collection="c")
    peers = [
        Peer(id="ccc", name="CCC", identities=frozenset({CCC_IDENTITY}), targets=(depot,)),
        Peer(id="cert-ee", name="CERT-EE", pap=False),
        Peer(id="circl", name="CIRCL"),
        Peer(id="maison", name="CERT-QC", home=True, identities=frozenset({NODE})),
    ]
    agreements = (
        agreement("avec-ccc", "ccc", receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.GREEN, pfc=True)),
        agreement(
            "europe", "cert-ee", "circl",
            receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.AMBER, types=frozenset({"indicator", "report"})),
        ),
        agreement(
            "plus-loin", "circl", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.CLEAR, onward=True),
            end=(NOW + timedelta(days=30)).date(),
        ),
    )  # fmt: skip
    rooms = (
        collection(SALLE, "salle", ("ccc", "cert-ee", "maison"), ceiling=Tlp.AMBER),
        collection(GREFFE, "greffe", ("circl",), writers=("ccc",), ceiling=Tlp.RED, duplicates="fold"),
    )
    return Terms(
        peers={peer.id: peer for peer in peers}, collections={room.id: room for room in rooms}, agreements=agreements,
        node_identity=NODE,
    )  # fmt: skip


def altering_terms() -> Terms:
    """The same partners under agreements that alter: of each clause one, and readers of other dialects and lines."""
    given = small_terms()
    peers = dict(given.peers)
    peers["circl"] = replace(peers["circl"], dialect="tlp1", identities=frozenset({CIRCL_IDENTITY}))
    clear = replace(peers["ccc"].targets[0], id="clear", url="http://taxii.ccc.example/api1/")
    peers["ccc"] = replace(peers["ccc"], targets=(*peers["ccc"].targets, clear))
    hidden = Send(ceiling=Tlp.AMBER, attribution="anonymous", granular="remove", personal="allowed")
    stripped = Send(
        ceiling=Tlp.AMBER, granular="remove", confidence=50, unrated=True, no_misp=frozenset({"type:comment"})
    )
    redacted = Send(ceiling=Tlp.AMBER, redact=frozenset({"name", "description"}), personal="hold", approvals=2)
    agreements = (
        agreement("avec-ccc", "ccc", receive=Receive(ceiling=Tlp.RED), send=redacted),
        agreement(
            "europe", "cert-ee", "maison",
            receive=Receive(ceiling=Tlp.AMBER, confidence=10, unrated=True), send=hidden,
        ),
        agreement("plus-loin", "circl", receive=Receive(ceiling=Tlp.RED), send=stripped),
    )  # fmt: skip
    room, box = given.collections.values()
    rooms = {
        room.id: replace(room, readers=("ccc", "cert-ee", "circl", "maison")),
        box.id: replace(box, readers=("circl", "cert-ee")),
    }
    return replace(given, peers=peers, agreements=agreements, collections=rooms)


CIRCL_IDENTITY = "identity--2f5c7b90-4e1d-4d0b-9c36-7a8e1f2d3b54"
THINNED = 9


def proved(*, cases: int = 60, seed: int = 1, given: Terms | None = None) -> Proof:
    return proof.prove(given or small_terms(), NOW, Visitor, cases=cases, seed=seed, seconds=60)


def test_terms_as_they_should_be_leak_nothing() -> None:
    """R17 and its parts, R12, R14, R25: no case leaks, every law was called upon, and something was released."""
    plain, altering = proved(cases=25), proved(cases=40, given=altering_terms())
    for found in (plain, altering):
        assert found.leak is None, found.leak
        assert found.counts["released"] > 100
    assert not [law for law in proof.LAWS if not plain.counts[law] and not altering.counts[law]]
    assert plain.cases == 25


def test_the_same_seed_makes_the_same_cases() -> None:
    """A leak that was found can be found again."""
    one, two, other = (chance.Chance(small_terms(), NOW, seed) for seed in (7, 7, 8))
    first = [one.case() for _ in range(20)]
    assert first == [two.case() for _ in range(20)]
    assert first != [other.case() for _ in range(20)]


@pytest.fixture(autouse=True)
def thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the lattice every ninth label, and the last: it is whole where operators run it.

    What it says of who was attacked is tried by `test_proof_of_victims.py`.
    """
    whole = lattice.labels
    monkeypatch.setattr(lattice, "attacked", lambda giver, place, at: Case(moves=(), at=at))
    monkeypatch.setattr(lattice, "labels", lambda orgs: [*whole(orgs)[::THINNED], whole(orgs)[-1]])


@pytest.fixture
def fresh() -> Iterator[None]:
    """No label that was read by a spoilt policy is remembered by the next test, nor the other way round."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in ("_of_few", "_joined", "_of_tag", "_text", "_read_short"):
        getattr(marking, name).cache_clear()


def _ceiling_off_by_one(patch: pytest.MonkeyPatch) -> None:
    true = Rules._withheld

    def withheld(self: Rules, under: Any, *rest: Any, **more: Any) -> Any:
        ceiling = Tlp(min(under.send.ceiling + 1, Tlp.RED))
        return true(self, replace(under, send=replace(under.send, ceiling=ceiling)), *rest, **more)

    patch.setattr(Rules, "_withheld", withheld)


def _ceiling_off_by_one_in_both(patch: pytest.MonkeyPatch) -> None:
    """The second gate is told the wrong clearance as well, so that only the oracle knows."""
    _ceiling_off_by_one(patch)
    true = Rules.clearance
    patch.setattr(Rules, "clearance", lambda self, audience: true(self, audience) + 1)


def _default_is_release(patch: pytest.MonkeyPatch) -> None:
    def resolve(*given: Any, **more: Any) -> Any:
        label, basis = closure.resolve(*given, **more)
        return (Label(tlp=Tlp.CLEAR), basis) if label is None else (label, basis)

    patch.setattr(accept, "resolve", resolve)


def _returns(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "_returns", lambda *_: None)


def _onward(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "_onward", lambda *_: FOREVER)


def _join_of_one_axis(patch: pytest.MonkeyPatch) -> None:
    """Only TLP gets stricter; of all else the first word stands."""

    def join(self: Label, other: Label) -> Label:
        tlp = max((level for level in (self.tlp, other.tlp) if level is not None), default=None)
        return Label(**({name: getattr(self, name) for name in Label.__struct_fields__} | {"tlp": tlp}))

    patch.setattr(Label, "join", join)


def _pfc_is_green(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(marking, "PFC_ELSEWHERE", dict.fromkeys(Pfc, Tlp.GREEN))


def _vert_is_for_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Label, "for_the_list", property(lambda _: False))


def _cache_without(name: str) -> Spoil:
    """Decisions are remembered under a key in which one field is missing."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        def decide(self: Rules, subject: Any, audience: Any) -> Decision:
            fields = ("type", "label", "peer", "barred", "parts", "named", "personal", "posted", "owner")
            key: Any = (audience.key, *(getattr(subject, each) for each in fields if each != name))
            key = key[1:] if name == "audience" else key
            if key not in self._cache:
                self._cache[key] = next(each for _, each in self.steps(subject, audience) if each is not None)
            return self._cache[key]

        patch.setattr(Rules, "decide", decide)

    return spoil


def _no_end(patch: pytest.MonkeyPatch) -> None:
    """What is released is released for ever."""
    true = Rules._sent

    def sent(self: Rules, *given: Any, **more: Any) -> Decision:
        decision = true(self, *given, **more)
        return replace(decision, not_after=None) if decision.released else decision

    patch.setattr(Rules, "_sent", sent)


def _no_granular_marks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(marking, "stated_ids", lambda stix: list(stix.get("object_marking_refs") or ()))


def _drafts(patch: pytest.MonkeyPatch) -> None:
    true = Rules._received

    def received(self: Rules, subject: Any, label: Label) -> Any:
        return true(self, subject, Label(**{**_fields(label), "draft": False}))

    patch.setattr(Rules, "_received", received)


def _groups(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "_grouped_out", lambda *_: "")


def _fields(label: Label) -> dict[str, Any]:
    return {name: getattr(label, name) for name in Label.__struct_fields__}


def _dates_tell(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes in moves the dates of everybody's listings."""
    true = listing.Lister._write

    def write(self: Any, *given: Any) -> int:
        moved = true(self, *given)
        self._advance({key: max(last, micros(self.now)) + 50 for key, last in self.last_added.items()})
        return moved

    patch.setattr(listing.Lister, "_write", write)


def _parts_stay(patch: pytest.MonkeyPatch) -> None:
    """What is to be cut out stays in."""
    patch.setattr(Limit, "allows", lambda *_: True)
    patch.setattr(cutting, "without_parts", lambda document, _: {**document, "lang": "fr"})


def _name_stays(patch: pytest.MonkeyPatch) -> None:
    """The pseudonym keeps its creator's name; neither the transform nor the gate on names looks."""
    patch.setattr(unnaming, "unnamed", lambda document, *_: {**document, "lang": "fr"})
    patch.setattr(Names, "found_in", lambda *_: False)
    patch.setattr(altering, "gate_names", lambda *_: True)


def _not_stripped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transform, "_impersonal", lambda document, _, **__: document)


def _not_redacted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cutting, "without", lambda document, _: document)


def _one_id_for_all(patch: pytest.MonkeyPatch) -> None:
    true = altering.Forms._mint
    patch.setattr(altering.Forms, "_mint", lambda self, _, stix_id: true(self, "", stix_id))


def _no_lineage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lineage, "extension", lambda *_: {"extension_type": "property-extension", "tokens": ["0"]})


def _parts_go_onward(patch: pytest.MonkeyPatch) -> None:
    """A part that is TLP:AMBER goes where its giver did not let it go."""
    patch.setattr(alteration, "_within", lambda cut, **_: cut)


ALTERED: dict[str, tuple[Spoil, set[str]]] = {
    "granular parts stay": (_parts_stay, {"gates", "ceiling", "pfc", "pap", "onward", "unknown"}),
    "a pseudonym with the name": (_name_stays, {"named"}),
    "nothing is stripped": (_not_stripped, {"person"}),
    "nothing is redacted": (_not_redacted, {"redact"}),
    "one id for two classes": (_one_id_for_all, {"ids"}),
    "no lineage token": (_no_lineage, {"lineage"}),
    "parts go onward": (_parts_go_onward, {"onward"}),
}


def _called_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clauses, "called", lambda *_: "")


ALTERED["whatever MISP calls it goes"] = (_called_anything, {"misp"})


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.usefixtures("fresh")
def test_a_spoilt_transform_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R12 to R16: under agreements that alter, by the bytes that left."""
    spoil, laws = ALTERED[name]
    spoil(monkeypatch)
    found = proved(cases=300, given=altering_terms())
    assert found.leak is not None
    assert {found.leak.law, *found.leak.parts} & laws, (found.leak.law, found.leak.parts)
    assert sum(len(move.things) for move in found.leak.case.moves) <= 3


@pytest.mark.parametrize("mark", ["tlp:amber", "tlp:red", "pfc:vert", "pap:red", "unknown"])
def test_what_says_nothing_but_informational_marks_is_not_made_stricter(memory: Store, mark: str) -> None:
    """R10, R12: it is worth what it joins, and with a mark of its own it would be worth that: no leak."""
    given = replace(small_terms(), agreements=(
        agreement(
            "reseau", "ccc", "circl", send=Send(ceiling=Tlp.AMBER, pfc=True),
            receive=Receive(ceiling=Tlp.AMBER, informational_markings=frozenset({"*"})),
        ),
    ))  # fmt: skip
    end, link = Thing(number=0, marks=("tlp:amber",)), Thing(number=2, kind="relationship", refs=(0,))
    moves = [
        Move(giver="circl", things=(end, replace(link, marks=("unknown",), version=2)), last=False),
        Move(giver="circl", things=(replace(link, marks=("tlp:green",), version=1),)),
    ]
    assert Court(memory, given, Visitor).stricter(Case(moves=tuple(moves), at=NOW), 2, mark) is None


def test_a_notice_of_what_is_stricter_now_is_no_leak(memory: Store) -> None:
    """R8: whoever had it is told; its owner's stricter word takes away what another had given."""
    base, owner = small_terms(), "identity--20000000-0000-4000-8000-000000000000"
    peers = {**base.peers, "cert-ee": replace(base.peers["cert-ee"], identities=frozenset({owner}))}
    room = collection(SALLE, "salle", (), writers=("maison",), ceiling=Tlp.RED)
    given = replace(base, peers=peers, collections={SALLE: room}, agreements=())
    thing = Thing(number=0, marks=("tlp:amber",), creator=owner)
    moves = (Move(giver="maison", things=(thing,)), Move(giver="cert-ee", things=(replace(thing, version=1),)))
    assert Court(memory, given, Visitor).stricter(Case(moves=moves, at=NOW), 0, "tlp:red") is None


SPOILT: dict[str, tuple[Spoil, set[str]]] = {
    "the ceiling is off by one": (_ceiling_off_by_one, {"gates", "ceiling"}),
    "the ceiling is off by one, in the gate as well": (_ceiling_off_by_one_in_both, {"ceiling"}),
    "unmarked is CLEAR": (_default_is_release, {"unmarked"}),
    "R3 is off": (_returns, {"returns"}),
    "AMBER goes onward": (_onward, {"onward"}),
    "only TLP is joined": (_join_of_one_axis, {"gates", "pap", "pfc", "reach", "group", "draft", "unknown", "marks"}),
    "PFC is GREEN": (_pfc_is_green, {"gates", "ceiling", "onward", "type"}),
    "PFC:VERT is GREEN": (_vert_is_for_all, {"gates", "pfc"}),
    "the cache forgets the type": (_cache_without("type"), {"type"}),
    "the cache forgets the label": (_cache_without("label"), {"gates", "ceiling", "unmarked", "onward"}),
    "the cache forgets the audience": (_cache_without("audience"), {"gates", "ceiling", "type", "returns"}),
    "nothing ends": (_no_end, {"ended"}),
    "granular marks are not read": (_no_granular_marks, {"gates", "unmarked", "unknown", "pfc", "pap"}),
    "drafts go out": (_drafts, {"draft"}),
    "sharing groups are not asked": (_groups, {"group"}),
    "dates tell of what is hidden": (_dates_tell, {"trace"}),
}


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.usefixtures("fresh")
def test_a_spoilt_policy_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leak names the law, and its case is small: one or two things, seldom a third."""
    spoil, laws = SPOILT[name]
    spoil(monkeypatch)
    found = proved(cases=300)
    assert found.leak is not None
    assert {found.leak.law, *found.leak.parts} & laws, (found.leak.law, found.leak.parts)
    assert sum(len(move.things) for move in found.leak.case.moves) <= 3
