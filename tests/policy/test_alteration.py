"""What the clauses of an agreement make of an object that goes under it: which transform, for which recipients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from policy_world import NOW, PEERS, SITE, agreement, collection, target

from exchange.model.marking import Label, Tlp
from exchange.model.party import Agreement, Peer, Personal, Receive, Send, Terms
from exchange.policy import Audience, Rules, Subject, Transform, alteration
from exchange.policy.alteration import limit, personal
from exchange.policy.audience import collection_channel
from exchange.policy.transform import Limit

NODE = "identity--00000000-0000-4000-8000-000000000000"
PARTS = Subject(
    peer="circl", type="indicator", label=Label(tlp=Tlp.RED), parts=Label(tlp=Tlp.GREEN), named=True, personal=True
)
"""All of it is RED, the rest of it without some of its parts GREEN."""
WHOLE = replace(PARTS, label=Label(tlp=Tlp.GREEN), parts=None)
PLAIN: dict[str, Any] = {"personal": "allowed"}


def world(send: Send, *, onward: bool = True, rooms: int = 1, **more: Any) -> Rules:
    """What circl gives goes to ccc under one agreement, in `rooms` collections and a push target."""
    giver = agreement("giver", ["circl"], receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.CLEAR, onward=onward))
    made = {f"room-{number}": collection(["ccc"], name=f"room-{number}", **more) for number in range(rooms)}
    peers = {name: Peer(id=name, name=name, home=name == "home") for name in PEERS}
    peers["ccc"] = replace(peers["ccc"], targets=(target("ccc"),))
    return Rules(
        Terms(peers=peers, collections=made, agreements=(giver, agreement("out", ["ccc"], send=send)),
              node_identity=NODE), NOW,
    )  # fmt: skip


def done(subject: Subject, rules: Rules) -> Transform | None:
    """What is done to it in the first collection, where it is released."""
    found = rules.decide(subject, rules.audiences[0])
    assert found.released, found
    return found.transform


def test_what_no_clause_touches_goes_as_it_is() -> None:
    """R6: a clause that does not apply makes no new object."""
    assert done(WHOLE, world(Send(ceiling=Tlp.GREEN, **PLAIN))) is None
    nobody = replace(WHOLE, named=False, personal=False)
    assert done(nobody, world(Send(ceiling=Tlp.GREEN, attribution="anonymous", personal="strip"))) is None


@pytest.mark.parametrize(
    ("clauses", "subject", "codes"),
    [
        ({**PLAIN, "attribution": "anonymous"}, WHOLE, ("transform.anonymous",)),
        ({"personal": "strip"}, WHOLE, ("transform.personal",)),
        ({**PLAIN, "redact": frozenset({"name"})}, WHOLE, ("transform.redact",)),
        ({**PLAIN, "granular": "remove"}, PARTS, ("transform.granular",)),
    ],
    ids=["attribution", "personal", "redact", "granular"],
)
def test_each_clause_alters_by_itself(clauses: dict[str, Any], subject: Subject, codes: tuple[str, ...]) -> None:
    """One clause is enough for a new object, and it does what that clause says and nothing else."""
    rules = world(Send(ceiling=Tlp.GREEN, **clauses))
    assert rules.decide(subject, rules.audiences[0]).reasons == ("release.agreement", *codes)
    found = done(subject, rules)
    assert found is not None
    assert (found.anonymous, found.personal, found.redact, found.cut is not None) == (
        "attribution" in clauses, clauses["personal"] == "strip", clauses.get("redact", frozenset()),
        "granular" in clauses,
    )  # fmt: skip


def test_parts_go_up_to_the_lower_of_two_ceilings() -> None:
    """R12: what may stay is bounded by the agreement and by the channel."""
    for clause, channel in ((Tlp.GREEN, Tlp.AMBER), (Tlp.AMBER, Tlp.GREEN)):
        found = done(PARTS, world(Send(ceiling=clause, granular="remove", **PLAIN), ceiling=channel))
        assert found is not None
        assert found.cut == Limit(ceiling=Tlp.GREEN, listed=False, pap=True)


@pytest.mark.parametrize(("onward", "kept"), [(True, Tlp.AMBER), (False, Tlp.GREEN)])
def test_parts_that_may_not_go_onward_go_for_good(onward: bool, kept: Tlp) -> None:
    """AMBER stays in what is left by its giver's leave only; recipients are the same class, and so is the id (R15)."""
    send = Send(ceiling=Tlp.AMBER, granular="remove", **PLAIN)
    found, other = done(PARTS, world(send, onward=onward)), done(PARTS, world(send, onward=not onward))
    assert found is not None
    assert other is not None
    assert found.cut is not None
    assert found.cut.ceiling is kept
    assert found.recipients == other.recipients


def test_what_goes_whole_loses_no_part() -> None:
    """An agreement that has parts removed removes none of what may go as it stands, whatever else it alters."""
    found = done(WHOLE, world(Send(ceiling=Tlp.GREEN, granular="remove", redact=frozenset({"name"}), **PLAIN)))
    assert found is not None
    assert found.cut is None


def test_the_list_counts_for_parts_where_agreement_and_channel_say_so() -> None:
    """PFC's list: a clause of this very agreement, and an audience that reads PFC."""
    (audience,) = (each for each in world(Send(ceiling=Tlp.GREEN)).audiences if not each.pushes)
    for pfc, listed in ((True, True), (True, False), (False, True), (False, False)):
        made = agreement("a", ["ccc"], send=Send(ceiling=Tlp.GREEN, granular="remove", pfc=pfc))
        found = limit(made, audience, listed=listed)
        assert found is not None
        assert found.listed is (pfc and listed)
        assert found.pap is True
    assert limit(agreement("a", ["ccc"], send=Send(ceiling=Tlp.GREEN)), audience, listed=True) is None
    assert limit(agreement("a", ["ccc"]), audience, listed=True) is None
    deaf = replace(audience, pap=False)
    found = limit(agreement("a", ["ccc"], send=Send(ceiling=Tlp.GREEN, granular="remove")), deaf, listed=False)
    assert found is not None
    assert found.pap is False


def test_an_agreement_that_sends_nothing_alters_nothing() -> None:
    (audience, *_) = world(Send(ceiling=Tlp.GREEN)).audiences
    receiving = agreement("in", ["ccc"], receive=Receive(ceiling=Tlp.RED))
    assert alteration.transform(
        receiving, audience, named=True, personal="strip", victim=True, cut=None, cuts=False, onward=True
    ) is None  # fmt: skip


def _class(agreements: frozenset[str], ceiling: Tlp = Tlp.AMBER, **clauses: Any) -> str:
    audience = Audience(
        key="k", channel=collection_channel("x"), members=("ccc",), agreements=agreements, home=False,
        ceiling=ceiling, types=None, fold=False,
    )  # fmt: skip
    made = agreement("a", ["ccc"], send=Send(ceiling=Tlp.AMBER, **clauses))
    cut = limit(made, audience, listed=False)
    found = alteration.transform(
        made, audience, named=True, personal="strip", victim=False, cut=cut, cuts=cut is not None, onward=True
    )  # fmt: skip
    assert found is not None
    return found.recipients


def test_whose_it_is_counts_where_personal_information_is_stripped() -> None:
    """What its source calls a victim's is another form, for the same recipients, and only where it is taken out."""
    made = agreement("a", ["ccc"], send=Send(ceiling=Tlp.GREEN, attribution="anonymous"))
    (audience, *_) = world(Send(ceiling=Tlp.GREEN)).audiences

    def found(personal: Personal, *, victim: bool) -> Transform:
        made_of = alteration.transform(
            made, audience, named=True, personal=personal, victim=victim, cut=None, cuts=False, onward=True
        )  # fmt: skip
        assert made_of is not None
        return made_of

    plain, theirs = found("strip", victim=False), found("strip", victim=True)
    assert (plain.victim, theirs.victim) == (False, True)
    assert plain.form != theirs.form and plain.recipients == theirs.recipients
    for said in ("allowed", "hold"):
        assert found(said, victim=True) == found(said, victim=False)  # type: ignore[arg-type]


def test_one_partner_knows_an_object_by_one_id_on_every_channel() -> None:
    """R15: the class of recipients is made of agreements and clauses, and of no channel."""
    rules = world(Send(ceiling=Tlp.GREEN, redact=frozenset({"name"}), **PLAIN), rooms=2)
    found = {rules.decide(WHOLE, audience).transform for audience in rules.audiences}
    assert len(rules.audiences) == 3
    assert len(found) == 1
    assert None not in found
    assert SITE in {each.url.rstrip("/") for peer in rules.terms.peers.values() for each in peer.targets}


def test_other_agreements_or_clauses_are_other_recipients() -> None:
    """R15: two partners who put their copies side by side do not learn that they are of one object."""
    classes = [
        _class(frozenset({"a"})),
        _class(frozenset({"b"})),
        _class(frozenset({"a", "b"})),
        _class(frozenset({"a"}), attribution="anonymous"),
        _class(frozenset({"a"}), granular="remove"),
        _class(frozenset({"a"}), granular="remove", pfc=True),
        _class(frozenset({"a"}), granular="remove", ceiling=Tlp.GREEN),
        _class(frozenset({"a"}), redact=frozenset({"name"})),
        _class(frozenset({"a"}), redact=frozenset({"name", "labels"})),
        # No name of an agreement or property can be written so that it looks like another list of them.
        _class(frozenset({"a"}), redact=frozenset({"named"})),
        _class(frozenset({"a", "named"})),
    ]
    assert len(set(classes)) == len(classes) - 1  # listed by nobody, PFC changes nothing
    assert all(len(each) == 32 for each in classes)


def _party(*parties: str, said: Any = None, sends: bool = True) -> Agreement:
    return agreement("a", parties, send=Send(ceiling=Tlp.GREEN, personal=said) if sends else None)


def test_personal_information_stays_in_quebec_unless_an_agreement_says_so() -> None:
    """A-2.1, art. 70.1: where nobody has said, allowed where all parties are our own house or in Québec."""
    peers = {
        "ville": Peer(id="ville", name="Ville", jurisdiction="CA-QC"),
        "maison": Peer(id="maison", name="Maison", home=True),
        "ontario": Peer(id="ontario", name="Ontario", jurisdiction="CA-ON"),
        "nobody-said": Peer(id="nobody-said", name="X"),
    }
    assert personal(_party("ville"), peers) == "allowed"
    assert personal(_party("maison"), peers) == "allowed"
    assert personal(_party("maison", "ville"), peers) == "allowed"
    for others in (("ontario",), ("nobody-said",), ("ville", "ontario"), ("maison", "ontario")):
        assert personal(_party(*others), peers) == "strip"
    for said in ("allowed", "strip", "hold"):
        assert personal(_party("ville", said=said), peers) == said
        assert personal(_party("ontario", said=said), peers) == said
    assert personal(_party("ville", sends=False), peers) == "allowed"
    assert personal(_party("ontario", "gone"), peers) == "strip"
    assert personal(_party("ville", "gone"), peers) == "allowed"
