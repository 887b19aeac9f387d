"""R31: what an operator withdraws leaves every collection and outbox at once, stays out, and comes back when lifted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as campaign
from hypothesis import strategies as some

from exchange.model.envelope import Document
from exchange.model.marking import Tlp
from exchange.model.misp import EXTENSION as MISP
from exchange.policy import Rules
from exchange.store import Store, audiences, micros, notices, offers, open_store, removals, scopes
from exchange.store.scopes import Scope
from exchange.sync import recalling, withdrawing
from exchange.sync.accept import accept
from exchange.sync.explain import explain
from exchange.sync.terms import adopt
from exchange.sync.withdrawing import Done, in_event, lift, named, withdraw_from_all
from tests.contract.test_derived import under
from tests.contract.test_notices import Told
from tests.world import NOW, SHARED, emptied, indicator, page, report

LATER = timedelta(minutes=1)


class Hub(Told):
    """A world with an operator."""

    def means(self, asked: str) -> Scope:
        """What the operator names."""
        with self.store.reading() as tx:
            return named(tx, asked)

    def event(self, asked: str) -> Scope:
        """The same, an event."""
        with self.store.reading() as tx:
            return in_event(tx, asked)

    def gone(self, scope: Scope) -> Done:
        """The operator withdraws it."""
        return withdraw_from_all(self.store, self.rules, scope, who="Marie", why="test", clock=lambda: self.now)

    def back(self, number: int) -> Done:
        """The operator lifts it."""
        return lift(self.store, self.rules, number, who="Luc", why="test", clock=lambda: self.now)

    def give_document(self, source: str, document: Document, *objects: Mapping[str, Any]) -> None:
        """`source` brings what was made of a MISP event."""
        brought = page(*objects, document=document)
        accept(self.store, self.rules, brought, source, source.partition("/")[0], self.now)

    def reasons(self, made: Mapping[str, Any]) -> set[tuple[str, ...]]:
        """Why each audience has or has not what was made."""
        found = explain(self.store, self.rules, made["id"], self.now).statements
        return {answer.reasons for each in found for answer in each.answers}

    def has(self, stix_id: str) -> set[str]:
        """The audiences to which it was ever listed."""
        with self.store.reading() as tx:
            return set(offers.places(tx, [stix_id]))

    def opened(self) -> set[str]:
        """The audiences that may be read."""
        with self.store.reading() as tx:
            return {key for key, row in audiences.everyone(tx).items() if row.open}


def of(kind: Any, target: str, **period: int) -> Scope:
    """All that a source or peer gave."""
    return Scope(kind=kind, asked=target, targets=(target,), **period)


@pytest.fixture
def hub(store: Store) -> Hub:
    """Three partners."""
    return Hub(store)


def test_it_leaves_every_collection_and_outbox_and_whoever_had_it_is_told(hub: Hub) -> None:
    made, other = indicator("a.example"), indicator("b.example")
    hub.give("circl/osint", made, other)
    assert made["id"] in hub.waiting()
    assert hub.gone(hub.means(made["id"])).objects == 1
    for peer in ("ccc", "cert-ee", "maison"):
        if peer != "maison":
            assert hub.listed(peer) == [other["id"]]
    assert hub.listed("ccc", "d94e2b71-8a06-4f5d-b3c8-1e70f6a2c549") == [other["id"]]
    assert hub.waiting() == [other["id"]]
    assert hub.told("ccc") == [made["id"]]
    assert hub.reasons(made) == {("withdrawn.operator",)}


def test_whoever_has_an_altered_copy_is_shut_out_and_listed_by_the_id_that_they_know(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: more than a transaction holds; before the first step ends nobody reads the copies either."""
    hub = Hub(store, under(redact=frozenset({"name"})))
    made, other = indicator("a.example", name="a"), indicator("b.example", name="b")
    hub.give("ccc/alertes", made, other)
    (copy, _) = hub.listed("cert-ee")
    assert copy != made["id"]
    before = {entry.object: entry.original for entry in recalling.entries(hub.store, hub.means(made["id"]))}
    assert before[copy] == made["id"]
    monkeypatch.setattr(withdrawing, "AT_ONCE", 0)
    shut: list[set[str]] = []
    monkeypatch.setattr(withdrawing, "go_on", lambda *_: shut.append(hub.opened()) or 0)
    opened = hub.opened()
    hub.gone(hub.means(copy))
    assert hub.has(copy) and not shut[0] & hub.has(copy) and hub.has(copy) <= opened
    monkeypatch.undo()
    withdrawing.resume(hub.store, hub.rules, lambda: hub.now, lambda: False)
    assert hub.opened() == opened
    assert copy not in hub.listed("cert-ee")
    assert hub.told("cert-ee") == [copy]
    found = list(recalling.entries(hub.store, hub.means(copy)))
    notice = [entry for entry in found if entry.outcome == recalling.NOTICE and entry.peer == "cert-ee"]
    assert {(entry.object, entry.original) for entry in notice} == {(copy, made["id"])}
    offered = {entry.object for entry in found if entry.outcome == "offered" and entry.peer == "cert-ee"}
    assert offered == {copy}
    assert {entry.object for entry in found if entry.original == ""} <= {made["id"]}


def test_it_stays_out_whatever_comes(hub: Hub) -> None:
    """New terms, the same again, a new version, another giver, a POST: none brings it back."""
    made = indicator("a.example")
    hub.give("circl/osint", made)
    done = hub.gone(hub.means(made["id"]))
    hub.follow(replace(hub.terms, node_identity="identity--00000000-0000-4000-8000-000000000001"))
    hub.after()
    hub.give("circl/osint", made)
    hub.give("circl/osint", indicator("a.example", modified=NOW + LATER, description="later"))
    hub.give("ccc/alertes", made)
    hub.give("ccc/post:partenaires", made, posted=f"collection:{SHARED}")
    assert hub.listed("cert-ee") == []
    assert hub.back(done.number).objects == 1
    assert hub.listed("cert-ee") == [made["id"]]
    assert hub.told("cert-ee") == []


def test_a_value_holds_for_all_that_name_it_then_and_later(hub: Hub) -> None:
    one, other = indicator("a.example"), indicator("b.example")
    again = indicator("a.example", id_="indicator--5e2a4b10-13cf-4a79-8c2d-9a4d7c1f0e33")
    hub.give("circl/osint", one, other)
    done = hub.gone(hub.means("A[.]example"))
    hub.give("ccc/alertes", again)
    assert hub.listed("cert-ee") == [other["id"]]
    hub.back(done.number)
    assert set(hub.listed("cert-ee")) == {one["id"], other["id"], again["id"]}
    later = indicator("a.example", id_="indicator--5e2a4b10-13cf-4a79-8c2d-9a4d7c1f0e34")
    hub.give("ccc/alertes", later)
    assert later["id"] in hub.listed("cert-ee")


def test_an_event_holds_what_comes_into_it_later(hub: Hub) -> None:
    one, other, third = (indicator(f"{name}.example") for name in "abc")
    case = report(one, other, name="case")
    hub.give("circl/osint", one, other, case, third)
    scope = hub.event(case["id"])
    done = hub.gone(scope)
    assert hub.listed("cert-ee") == [third["id"]]
    hub.back(done.number)
    assert set(hub.listed("cert-ee")) == {each["id"] for each in (one, other, third, case)}


def test_what_joins_a_withdrawn_misp_event_is_caught(hub: Hub) -> None:
    uuid = "6f3f6f0e-54b1-4d3e-8f77-0d3d2d3b1a10"

    def bring(name: str, number: int) -> None:
        extension = {"extension_type": "property-extension", "event": uuid}
        item = indicator(name, extensions={MISP: extension})
        document = Document(kind="misp-event", id=uuid, version=str(number), raw=b"{}")
        hub.give_document("circl/osint", document, item)

    bring("a.example", 1)
    hub.gone(hub.event(uuid))
    bring("b.example", 2)
    hub.give("circl/osint", indicator("c.example"))
    assert hub.listed("cert-ee") == [indicator("c.example")["id"]]


def test_of_a_source_only_its_own_word_in_the_period_goes(hub: Hub) -> None:
    early, late, shared = indicator("a.example"), indicator("b.example"), indicator("c.example")
    hub.give("circl/osint", early, shared)
    hub.give("ccc/alertes", shared)
    hub.after()
    hub.give("circl/osint", late)
    done = hub.gone(of("source", "circl/osint", until=micros(NOW) + 1))
    assert set(hub.listed("cert-ee")) == {late["id"], shared["id"]}, "another source says it too"
    hub.give("circl/osint", indicator("a.example", modified=NOW + LATER, description="new version"))
    assert set(hub.listed("cert-ee")) == {late["id"], shared["id"]}
    hub.back(done.number)
    assert set(hub.listed("cert-ee")) == {early["id"], late["id"], shared["id"]}


def test_two_withdrawals_hold_until_both_are_lifted(hub: Hub) -> None:
    made = indicator("a.example")
    hub.give("circl/osint", made)
    first, second = hub.gone(hub.means(made["id"])), hub.gone(of("peer", "circl"))
    hub.back(first.number)
    assert hub.listed("cert-ee") == []
    hub.back(second.number)
    assert hub.listed("cert-ee") == [made["id"]]


def test_r18_of_many_the_audiences_are_shut_first_and_the_daemon_goes_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off after its first transaction, nothing of it can be read, and nothing is pushed; then it is finished."""
    monkeypatch.setattr(withdrawing, "AT_ONCE", 2)
    monkeypatch.setattr(withdrawing, "STEP", 2)
    many = [indicator(f"{number}.example") for number in range(5)]
    hub.give("circl/osint", *many)
    before = hub.opened()
    monkeypatch.setattr(withdrawing, "go_on", lambda *_: 0)
    hub.gone(of("source", "circl/osint"))
    monkeypatch.undo()
    with hub.store.reading() as tx:
        (number,) = removals.unfinished(tx)
        shut = {
            row.key
            for row in audiences.everyone(tx).values()
            if row.number in scopes.shut_of(removals.find(tx, number))
        }  # type: ignore[arg-type]
    assert hub.opened() == before - shut
    assert hub.waiting() == []
    adopt(hub.store, replace_rules(hub), hub.now)
    assert not hub.opened() & shut, "new terms do not open what is still to be withdrawn"
    assert withdrawing.resume(hub.store, hub.rules, lambda: hub.now, lambda: False) == 5
    assert hub.opened() == before
    assert hub.listed("cert-ee") == []
    hub.back(number)
    assert set(hub.listed("cert-ee")) == {each["id"] for each in many}


def replace_rules(hub: Hub) -> Any:
    """Other terms with the same audiences; the hub follows them from now on."""
    hub.terms = replace(hub.terms, node_identity="identity--00000000-0000-4000-8000-000000000001")
    hub.rules = Rules(hub.terms, hub.now)
    return hub.rules


def test_a_new_version_while_it_is_being_withdrawn_is_caught(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came before its turn, and is looser than the one that is to go."""
    monkeypatch.setattr(withdrawing, "AT_ONCE", 1)
    hub.give("circl/osint", indicator("a.example", tlp=Tlp.RED), indicator("b.example"))
    monkeypatch.setattr(withdrawing, "go_on", lambda *_: 0)
    hub.gone(of("source", "circl/osint", until=micros(NOW) + 1))
    hub.after()
    hub.give("circl/osint", indicator("a.example", modified=NOW + LATER))
    monkeypatch.undo()
    assert indicator("a.example")["id"] not in hub.listed("cert-ee")
    withdrawing.resume(hub.store, hub.rules, lambda: hub.now, lambda: False)
    assert hub.listed("cert-ee") == []


def test_r14_another_audience_sees_nothing_of_it(hub: Hub) -> None:
    """Who never had it reads the same bytes as before, and no notice."""
    hub.give("circl/osint", indicator("a.example", tlp=Tlp.AMBER), indicator("b.example"))
    before = hub.bodies("cert-ee")
    hub.gone(hub.means(indicator("a.example")["id"]))
    assert hub.bodies("cert-ee") == before
    assert hub.bodies("circl") == hub.bodies("circl")


def test_the_recall_list_says_who_was_offered_it_and_told(hub: Hub) -> None:
    made = indicator("a.example")
    hub.give("circl/osint", made)
    hub.after()
    scope = hub.means(made["id"])
    hub.gone(scope)
    found = list(recalling.entries(hub.store, scope))
    assert {(each.outcome, each.peer) for each in found if each.outcome == "offered"} >= {
        ("offered", "ccc"), ("offered", "cert-ee"),
    }  # fmt: skip
    assert {each.peer for each in found if each.outcome == recalling.NOTICE} >= {"ccc", "cert-ee"}
    by_peer = {each.peer: each for each in recalling.holders(found, hub.terms)}
    assert not by_peer["cert-ee"].has
    assert list(recalling.entries(hub.store, of("peer", "circl"))) == found
    assert list(recalling.entries(hub.store, of("peer", "ccc"))) == []


def test_each_object_is_told_once_however_many_steps(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalling, "_STEP", 1)
    hub.give("circl/osint", indicator("a.example"), indicator("b.example"))
    hub.give("circl/osint", indicator("a.example", modified=NOW + timedelta(seconds=1), description="x"))
    found = [(each.outcome, each.peer, each.object, each.version, each.channel) for each in
             recalling.entries(hub.store, of("source", "circl/osint"))]  # fmt: skip
    assert len(found) == len(set(found))
    assert len({each[2] for each in found}) == 2


def test_r31_the_ledgers_are_asked_for_many_objects_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked does not grow with the objects, and the list is the one that each would have alone."""
    hub.give("circl/osint", *(indicator(f"{number}.example") for number in range(20)))
    hub.gone(of("source", "circl/osint"))
    asked: list[str] = []

    def count(room: Any, name: str) -> None:
        plain = getattr(room, name)

        def counted(*given: Any, **more: Any) -> Any:
            asked.append(name)
            return plain(*given, **more)

        monkeypatch.setattr(room, name, counted)

    for room, name in ((offers, "offered"), (offers, "handed"), (offers, "places"), (notices, "readers")):
        count(room, name)
    together = list(recalling.entries(hub.store, of("source", "circl/osint")))
    assert len(asked) <= 3 + len(hub.rules.audiences)
    assert len({each.object for each in together}) == 20
    monkeypatch.setattr(recalling, "_STEP", 1)
    alone = list(recalling.entries(hub.store, of("source", "circl/osint")))
    assert Counter(together) == Counter(alone)


_TLP = some.sampled_from([Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED, None])
_GIFTS = some.lists(
    some.tuples(some.sampled_from(["circl/osint", "ccc/alertes"]), some.sampled_from("abc"), _TLP, some.booleans()),
    min_size=1,
    max_size=8,
)
_SHARED_STORE: list[Store] = []


@given(gifts=_GIFTS, what=some.sampled_from(["a.example", "id", "source", "peer"]), after=_GIFTS)
@campaign(max_examples=60)
def test_withdrawn_and_lifted_the_visible_set_is_what_it_would_have_been(gifts: Any, what: str, after: Any) -> None:
    """Beside it a world in which nobody withdrew anything; while it holds, nobody sees more than there."""
    if not _SHARED_STORE:
        _SHARED_STORE.extend(open_store("sqlite://") for _ in range(2))
    worlds = [Hub(emptied(store)) for store in _SHARED_STORE]

    def play(world: Hub, moves: Any, begin: int) -> None:
        for number, (source, name, tlp, posted) in enumerate(moves, begin):
            made = indicator(
                f"{name}.example", tlp=tlp, modified=NOW + timedelta(seconds=number), description=str(number)
            )
            more = {"posted": f"collection:{SHARED}"} if posted else {}
            world.give(f"{source.partition('/')[0]}/post:x" if posted else source, made, **more)

    def seen(world: Hub) -> list[set[str]]:
        return [set(world.listed(peer)) for peer in ("ccc", "cert-ee", "circl")]

    scopes_of = {
        "a.example": lambda: worlds[0].means("a.example"), "id": lambda: worlds[0].means(indicator("b.example")["id"]),
        "source": lambda: of("source", "circl/osint"), "peer": lambda: of("peer", "ccc"),
    }  # fmt: skip
    for world in worlds:
        play(world, gifts, 0)
    scope = scopes_of[what]()
    done = worlds[0].gone(scope) if scope.targets else None
    for world in worlds:
        play(world, after, 100)
    if done is not None:
        assert all(less <= more for less, more in zip(seen(worlds[0]), seen(worlds[1]), strict=True))
        worlds[0].back(done.number)
    assert seen(worlds[0]) == seen(worlds[1])
