"""What becomes of the ground of an act of widening, by whatever door: nothing goes on leaving by it (decision 0032)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.errors import UsageError
from exchange.model import benign, meaning, recall
from exchange.model.lights import PFC_ID, Pfc
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Terms
from exchange.store import Store, audiences
from exchange.store import later as later_on
from exchange.store.pages import Versions
from exchange.store.scopes import Scope
from exchange.sync import accept, afterwards, approving, stages, widened, withdrawal, withdrawing
from exchange.sync.review import Ruling, rule
from exchange.sync.widening import Done
from tests.sync.test_widening import BODY, HOME, Office, body_identity, house, later, ours, theirs
from tests.world import NODE, SHARED, agreement, report

MINE, COPY = "maison/dossier", "ccc/alertes"
MINUTE = timedelta(seconds=60)
RED, AMBER, GREEN = Tlp.RED, Tlp.AMBER, Tlp.GREEN


@pytest.fixture
def office(memory: Store) -> Office:
    return Office(memory, house())


@pytest.fixture
def ministry(memory: Store) -> Office:
    return Office(memory, house(ministry=True))


def goes(office: Office, done: Done) -> bool:
    """Whether anybody has what was made."""
    readers = office.terms.collections[SHARED].readers
    known = {*office.waiting()}.union(*(office.listed(peer) for peer in readers))
    return not known.isdisjoint(done.made)


def notice(of: Mapping[str, Any]) -> dict[str, Any]:
    """A recall notice, as another node of this kind gives it."""
    said = {"extension_type": "property-extension", "id": of["id"], "version": of["modified"], "action": "withdrawn"}
    return {
        "type": "note", "spec_version": "2.1", "id": "note--00000000-0000-4000-8000-0000000000aa",
        "created": "2026-11-21T12:00:00.000Z", "modified": "2026-11-21T12:00:00.000Z", "content": "recall",
        "object_refs": [of["id"]], "object_marking_refs": [TLP2_ID[Tlp.CLEAR]],
        "extensions": {recall.EXTENSION: said},
    }  # fmt: skip


# --- the creator speaks by another source ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (later({}, description="better"), "widening.version"),
        (later({}, revoked=True), "widening.version"),
        (later({}, object_marking_refs=[TLP2_ID[RED]]), "widening.version"),
        ({"object_marking_refs": [TLP2_ID[RED]]}, "widening.stricter"),
        ({"modified": "2026-11-21T11:00:00.000000Z", "revoked": True}, "widening.original"),
    ],
    ids=["newer", "revoked", "newer and stricter", "stricter", "revoked before"],
)
def test_our_house_says_more_by_another_source(office: Office, change: dict[str, Any], code: str) -> None:
    """R5, R8: the creator is one, whichever of its sources says it."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.pass_time(MINUTE)
    office.give(MINE, {**made, **change})
    assert (goes(office, done), office.codes()) == (False, [code])
    assert bool(approving.lapsed(office.store)) is (code == widened.NEWER)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (later({}, description="better"), "widening.version"),
        (later({}, revoked=True), "widening.version"),
        ({"object_marking_refs": [PFC_ID[Pfc.ROUGE]]}, "widening.stricter"),
    ],
    ids=["newer", "revoked", "stricter"],
)
def test_what_a_copy_was_widened_of_is_said_anew_by_its_creator(
    ministry: Office, change: dict[str, Any], code: str
) -> None:
    """R5, R8: another one's copy does not outlive the word of its creator, who holds it under another id."""
    made = theirs()
    ministry.give(COPY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    assert goes(ministry, done)
    ministry.pass_time(MINUTE)
    ministry.give(BODY, {**made, **change})
    assert (goes(ministry, done), ministry.codes()) == (False, [code])


def test_a_copy_that_its_creator_has_overtaken_is_not_widened(ministry: Office) -> None:
    made = theirs()
    ministry.give(COPY, body_identity(), made)
    ministry.pass_time(MINUTE)
    ministry.give(BODY, body_identity(), later(made, description="better"))
    with pytest.raises(UsageError, match=r"widening\.overruled"):
        ministry.widen(made["id"], "TLP:GREEN", "pfc", source=COPY)
    assert goes(ministry, ministry.widen(made["id"], "TLP:GREEN", "pfc"))


def test_what_our_house_says_is_stricter_is_not_widened_as_another_source_has_it(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    office.give(MINE, {**made, "object_marking_refs": [TLP2_ID[RED]]})
    with pytest.raises(UsageError, match=r"widening\.overruled"):
        office.widen(made["id"], source=HOME)
    assert goes(office, office.widen(made["id"]))


@pytest.mark.parametrize("change", [{"description": "better"}, {"object_marking_refs": [TLP2_ID[RED]]}])
def test_who_is_not_its_creator_ends_nothing(office: Office, change: dict[str, Any]) -> None:
    """R5, R14: an opinion tightens and replaces nothing but itself."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.pass_time(MINUTE)
    office.give("circl/osint", later(made, **change))
    assert (goes(office, done), office.codes()) == (True, [])


def test_who_gives_the_original_later_is_not_handed_the_widened_form(office: Office) -> None:
    """R3."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    assert office.waiting() == list(done.made)
    office.give(COPY, made)
    assert office.waiting() == []


# --- a person has looked, or not ------------------------------------------------------------------------------------


@pytest.fixture
def careful(memory: Store) -> Office:
    """A ministry that trusts its own house not to have benign values blocked."""
    lists = benign.Choice(lists=("rfc6761",), trusted=("maison",))
    return Office(memory, replace(house(ministry=True), benign=lists))


def ruled(office: Office, *, released: bool) -> None:
    ruling = Ruling(stix_id=theirs("example.com")["id"], released=released, who="marie", why="looked at it")
    rule(office.store, office.rules, ruling, lambda: office.now)


def test_what_waits_for_a_person_is_not_widened_past_them(careful: Office) -> None:
    """R21: that our house is trusted says nothing of what others gave."""
    made = theirs("example.com")
    careful.give(BODY, body_identity(), made)
    assert careful.refused(made["id"], "TLP:GREEN", "pfc").code == "widening.original"
    ruled(careful, released=True)
    assert goes(careful, careful.widen(made["id"], "TLP:GREEN", "pfc"))


def test_what_a_person_refuses_is_over(careful: Office) -> None:
    made = theirs("example.com")
    careful.give(BODY, body_identity(), made)
    ruled(careful, released=True)
    done = careful.widen(made["id"], "TLP:GREEN", "pfc")
    ruled(careful, released=False)
    assert (goes(careful, done), careful.codes()) == (False, ["widening.original"])


# --- it is taken back -----------------------------------------------------------------------------------------------


def test_its_giver_recalls_it(ministry: Office) -> None:
    made = theirs()
    ministry.give(BODY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    ministry.give(COPY, notice(made))
    assert goes(ministry, done), "that is not theirs to recall"
    ministry.give(BODY, notice(made))
    assert (goes(ministry, done), ministry.codes()) == (False, ["widening.original"])
    ministry.give(BODY, made)
    assert not goes(ministry, done), "it never comes back by itself"


def test_its_creator_recalls_what_a_copy_was_widened_of(ministry: Office) -> None:
    made = theirs()
    ministry.give(COPY, body_identity(), made)
    ministry.give(BODY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc", source=COPY)
    assert goes(ministry, done)
    ministry.give(BODY, notice(made))
    assert (goes(ministry, done), ministry.codes()) == (False, ["widening.original"])


def test_its_giver_deletes_it_where_they_posted_it(ministry: Office) -> None:
    """R22."""
    room = replace(ministry.terms.collections[SHARED], readers=("ccc", "cert-ee", "organisme"), writers=("organisme",))
    ministry.follow(replace(ministry.terms, collections={**ministry.terms.collections, SHARED: room}))
    channel, made = f"collection:{SHARED}", theirs()
    ministry.give(f"organisme/{channel}", body_identity(), made, posted=channel)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    assert goes(ministry, done)
    with ministry.store.reading() as tx:
        row = audiences.of_reader(tx, "organisme", channel)
        assert row is not None
    withdrawal.withdraw(
        ministry.store, ministry.rules, peer="organisme", audience=row.key, stix_id=made["id"],
        versions=Versions(every=True), now=ministry.now,
    )  # fmt: skip
    assert (goes(ministry, done), ministry.codes()) == (False, ["widening.original"])


@pytest.mark.parametrize("kind", ["source", "peer", "value", "event", "object"])
def test_a_large_withdrawal_shuts_those_who_have_only_the_widened_form(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """R18, R31: out at once, also where the original never stood, and where the daemon has to do the rest."""
    office = Office(store, house())
    made = report(member := ours(), tlp=AMBER) | {"created_by_ref": NODE}
    office.give(HOME, member, made)
    done = office.widen(made["id"], content=True)
    assert goes(office, done)
    with office.store.reading() as tx:
        scope = {
            "source": Scope(kind="source", asked=HOME, targets=(HOME,)),
            "peer": Scope(kind="peer", asked="maison", targets=("maison",)),
            "value": withdrawing.named(tx, "a.example"),
            "event": withdrawing.in_event(tx, made["id"]),
            "object": withdrawing.named(tx, member["id"]),
        }[kind]
    assert scope.targets
    clock = lambda: office.now  # noqa: E731
    with monkeypatch.context() as broken:
        broken.setattr(withdrawing, "AT_ONCE", 0)
        broken.setattr(withdrawing, "go_on", lambda *_: 0)
        withdrawing.withdraw_from_all(office.store, office.rules, scope, who="x", why="y", clock=clock)
    assert not any(_readable(office, peer) for peer in ("ccc", "cert-ee", "circl"))
    withdrawing.resume(office.store, office.rules, clock, lambda: False)
    assert _readable(office, "ccc")
    gone = [new for new in done.made if kind not in ("value", "object") or new.startswith("indicator--")]
    assert not set(gone) & set(office.listed("ccc"))


def _readable(office: Office, peer: str) -> bool:
    with office.store.reading() as tx:
        row = audiences.of_reader(tx, peer, f"collection:{SHARED}")
        return row is not None and row.open


def test_what_a_mark_means_anew_shuts_those_who_have_only_the_widened_form(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17, R18: of more than one transaction may do, whoever has any of it is shut out at once."""
    office = Office(store, house())

    def mark(level: str) -> dict[str, Any]:
        policy = {"extension_type": "property-extension", "iep_id": "a", "iep_version": "2.0", "name": "a"}
        return {
            "type": "marking-definition", "spec_version": "2.1", "created": "2026-01-01T00:00:00.000Z",
            "id": "marking-definition--00000000-0000-4000-8000-0000000000bb",
            "extensions": {meaning.IEP: {**policy, "tlp": level}},
        }  # fmt: skip

    made = ours(tlp=None, object_marking_refs=[TLP2_ID[AMBER], mark("amber")["id"]])
    office.give(HOME, mark("amber"), made)
    done = office.widen(made["id"])
    assert goes(office, done)
    monkeypatch.setattr(later_on, "MOST", 0)
    office.give(HOME, mark("red"))
    assert not any(_readable(office, peer) for peer in ("ccc", "cert-ee", "circl"))
    afterwards.resume(office.store, office.rules, lambda: office.now, lambda: False)
    assert _readable(office, "ccc")
    assert (goes(office, done), office.codes()) == (False, ["widening.stricter"])


def test_by_its_new_id_the_original_is_meant(office: Office) -> None:
    """Decision 0032: to withdraw one withdraws the other too."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.follow(replace(office.terms, agreements=tuple(
        replace(a, send=replace(a.send, ceiling=AMBER)) if a.send else a for a in office.terms.agreements
    ), collections={SHARED: replace(office.terms.collections[SHARED], ceiling=AMBER)}))  # fmt: skip
    assert set(office.listed("ccc")) == {made["id"], *done.made}
    with office.store.reading() as tx:
        scope = withdrawing.named(tx, done.made[0])
    withdrawing.withdraw_from_all(office.store, office.rules, scope, who="x", why="y", clock=lambda: office.now)
    assert (office.listed("ccc"), office.codes()) == ([], ["widening.original"])


# --- the terms change -----------------------------------------------------------------------------------------------


def unmarked(level: Tlp) -> Terms:
    """Our house under an agreement that says what its unmarked content is worth."""
    given = house()
    inner = agreement("maison", "maison", receive=Receive(ceiling=RED, unmarked=level))
    return replace(given, agreements=(*given.agreements, inner))


def test_what_unmarked_content_is_worth_changes(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R19: whoever is let in again finds nothing that is taken only later."""
    office = Office(memory, unmarked(AMBER))
    made = ours(tlp=None)
    office.give(HOME, made)
    done = office.widen(made["id"])
    assert goes(office, done)
    seen: list[bool] = []
    true = stages._given

    def given(*more: Any) -> Any:
        seen.append(goes(office, done) and _readable(office, "ccc"))
        return true(*more)

    monkeypatch.setattr(stages, "_given", given)
    office.follow(unmarked(RED))
    assert seen and not any(seen)
    assert (goes(office, done), office.codes()) == (False, ["widening.stricter"])


def test_our_house_is_ours_no_more(office: Office) -> None:
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    other = "identity--99999999-2c49-4f6a-9d31-8a0c6e2f4b17"
    peers = {**office.terms.peers, "maison": replace(office.terms.peers["maison"], identities=frozenset({other}))}
    office.follow(replace(office.terms, peers=peers, node_identity=other))
    assert (goes(office, done), office.codes()) == (False, ["widening.right"])


def taking(receive: Receive | None) -> Terms:
    """The terms of a ministry that takes this of the body of Québec."""
    given = house(ministry=True)
    agreements = tuple(replace(a, receive=receive) if a.id == "quebec" else a for a in given.agreements)
    return replace(given, agreements=agreements)


NOT_TAKEN = [None, Receive(ceiling=RED, types=frozenset({"malware"})), Receive(ceiling=RED, confidence=70)]


@pytest.mark.parametrize("receive", NOT_TAKEN, ids=["no agreement", "its type", "its confidence"])
def test_nobody_widens_what_we_did_not_agree_to_take(memory: Store, receive: Receive | None) -> None:
    """R2, R21: of what we agreed to take, persons let go what is above its level, and nothing else of it."""
    ministry = Office(memory, taking(receive))
    made = theirs(confidence=20)
    ministry.give(BODY, body_identity(), made)
    assert ministry.refused(made["id"], "TLP:GREEN", "pfc").code == "widening.not_taken"


@pytest.mark.parametrize("receive", NOT_TAKEN, ids=["no agreement", "its type", "its confidence"])
def test_what_we_no_longer_agree_to_take_is_not_let_go_either(memory: Store, receive: Receive | None) -> None:
    ministry = Office(memory, taking(Receive(ceiling=GREEN)))
    made = theirs(confidence=20)
    ministry.give(BODY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    assert goes(ministry, done), "its level is what the act is about"
    ministry.follow(taking(receive))
    assert (goes(ministry, done), ministry.codes()) == (False, ["widening.right"])


def test_who_gave_it_is_no_peer_of_ours_any_more(ministry: Office) -> None:
    made = theirs()
    ministry.give(BODY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    peers = {name: peer for name, peer in ministry.terms.peers.items() if name != "organisme"}
    agreements = tuple(a for a in ministry.terms.agreements if a.id != "quebec")
    ministry.follow(replace(ministry.terms, peers=peers, agreements=agreements))
    assert (goes(ministry, done), ministry.codes()) == (False, ["widening.right"])


# --- it comes back --------------------------------------------------------------------------------------------------


def test_what_comes_back_without_a_token_is_known_by_its_id(ministry: Office) -> None:
    """R16: MISP carries no tokens, and makes a version of its own; the act ends for whoever gives it."""
    made = theirs()
    ministry.give(BODY, body_identity(), made)
    done = ministry.widen(made["id"], "TLP:GREEN", "pfc")
    (new,) = done.made
    back = {name: said for name, said in ministry.body(new).items() if name not in ("extensions", "created_by_ref")}
    ministry.pass_time(MINUTE)
    ministry.give("circl/osint", later(back))
    assert goes(ministry, done)
    ministry.end(done.act)
    assert not goes(ministry, done)


def test_our_own_house_may_hand_it_back(office: Office) -> None:
    """Our MISP has what our node serves; that it says it again takes nothing from anybody."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.give(HOME, office.body(done.made[0]))
    assert (goes(office, done), office.listed("ccc")) == (True, list(done.made))


def test_a_version_of_tomorrow_ends_it_tomorrow(office: Office) -> None:
    """R5: until its time has come it counts nowhere."""
    made = ours()
    office.give(HOME, made)
    done = office.widen(made["id"])
    office.give(HOME, {**made, "modified": "2026-11-21T13:00:00.000000Z", "object_marking_refs": [TLP2_ID[RED]]})
    assert goes(office, done)
    office.pass_time(timedelta(hours=2))
    accept.settle(office.store, office.rules, HOME, office.now)
    assert (goes(office, done), office.codes()) == (False, ["widening.version"])


# --- what it rests on changes ---------------------------------------------------------------------------------------


def test_the_referrer_that_was_least_strict_goes(office: Office) -> None:
    """R10, R11: what lent its mark says something else by now."""
    made = ours(tlp=None)
    strict = {**report(made, tlp=RED, name="strict"), "created_by_ref": NODE}
    loose = {**report(made, tlp=AMBER, name="loose"), "created_by_ref": NODE}
    office.give(HOME, made, strict, loose)
    done = office.widen(made["id"])
    office.pass_time(MINUTE)
    other = ours("other.example")
    office.give(HOME, other, later(loose, object_refs=[other["id"]]))
    assert (goes(office, done), office.codes()) == (False, ["widening.stricter"])
