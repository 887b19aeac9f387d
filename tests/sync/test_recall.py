"""R8 beyond our own pages: what a TAXII target holds is recalled there; a partner's notice is obeyed and travels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest

from exchange.errors import PeerUnreachable
from exchange.model import stix
from exchange.model.envelope import Outgoing, Page
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Terms
from exchange.model.recall import EXTENSION
from exchange.store import Store, audiences, micros, open_store, pages
from exchange.sync.accept import accept
from exchange.sync.explain import explain
from exchange.sync.push import push
from tests.sync.partners import DEPOT, OTHER, Desk, Taker
from tests.world import NOW, SHARED, World, indicator, terms

LATER = timedelta(minutes=1)
FROM = OTHER.key


def version(made: Mapping[str, Any], number: int, tlp: Tlp = Tlp.GREEN) -> dict[str, Any]:
    """`made`, in its version of that minute."""
    at = (NOW + number * LATER).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {**made, "modified": at, "object_marking_refs": [TLP2_ID[tlp]]}


def said(body: bytes) -> tuple[str, str]:
    """What a notice says: action and id."""
    found = json.loads(body)["extensions"][EXTENSION]
    return found["action"], found["id"]


class Depot(Taker):
    """A target that remembers what it was asked to delete."""

    def __init__(self, outcome: str = "accepted") -> None:
        super().__init__(lambda item: outcome if item.gone else "accepted")
        self.asked: list[Outgoing] = []

    def push(self, target: Any, objects: Any) -> Any:
        """As the other does it."""
        self.asked += objects
        return super().push(target, objects)

    @property
    def deleted(self) -> list[str]:
        """The ids that it was to delete, in order."""
        return [each.id for each in self.asked if each.gone]

    @property
    def notices(self) -> list[tuple[str, str]]:
        """What the notices say that it took, in order."""
        return [said(each.body) for each in self.asked if EXTENSION.encode() in each.body]


def deleting(given: Terms) -> Terms:
    """The same terms, whose depot is one from which we may delete."""
    ccc = given.peers["ccc"]
    return replace(given, peers={**given.peers, "ccc": replace(ccc, targets=(replace(DEPOT, delete=True),))})


def lower(given: Terms) -> Terms:
    """The same terms, but nothing stricter than CLEAR may go."""
    made = [replace(each, send=each.send and replace(each.send, ceiling=Tlp.CLEAR)) for each in given.agreements]
    return replace(given, agreements=tuple(made))


def hand_over(desk: Desk, depot: Any) -> Any:
    """Push with the target as the terms have it."""
    target = desk.world.terms.peers["ccc"].targets[0]
    return push(desk.work, target, lambda: depot)


def test_a_target_is_told_only_of_what_it_has(memory: Store) -> None:
    """What it never accepted needs no recall."""
    desk, depot, made, other = Desk(memory), Depot(), indicator("a.example"), indicator("b.example")
    desk.world.give(FROM, made)
    desk.push(depot)
    desk.world.give(FROM, other)
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 1, Tlp.RED), version(other, 1, Tlp.RED))
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"])]
    assert depot.deleted == []


def test_what_may_be_there_counts_as_there(memory: Store) -> None:
    """The answer was lost: it is recalled all the same."""
    desk, depot, made = Desk(memory), Depot(), indicator()
    depot.raises = [PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")]
    desk.world.give(FROM, made)
    desk.push(depot)
    depot.say = lambda _: "pending"
    desk.world.now += LATER
    desk.push(depot)
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    depot.say = lambda _: "accepted"
    desk.world.now += LATER
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"])]


def test_an_answer_that_was_lost_once_counts_as_taken(memory: Store) -> None:
    """No second try came between: that it left is known all the same."""
    desk, depot, made = Desk(memory), Depot(), indicator()
    depot.raises = [PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")]
    desk.world.give(FROM, made)
    desk.push(depot)
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"])]


def test_when_it_is_shared_again_the_target_is_told_that_too(memory: Store) -> None:
    """Nothing is closed at a foreign server: the next version of the note says that the first no longer holds."""
    desk, depot, made = Desk(memory), Depot(), indicator()
    desk.world.give(FROM, made)
    desk.push(depot)
    for number, tlp in enumerate((Tlp.RED, Tlp.GREEN, Tlp.RED), 1):
        desk.world.now += LATER
        desk.world.give(FROM, version(made, number, tlp))
        desk.push(depot)
    assert [action for action, _ in depot.notices] == ["withdrawn", "restored", "withdrawn"]
    notes = [json.loads(each.body) for each in depot.asked if EXTENSION.encode() in each.body]
    assert len({note["id"] for note in notes}) == 1
    assert [note["modified"] for note in notes] == sorted({note["modified"] for note in notes})


@pytest.mark.parametrize("lost", [True, False], ids=["no answer", "not decided yet"])
def test_a_notice_that_may_be_there_is_taken_back_by_the_next(memory: Store, lost: bool) -> None:
    """It left, and nobody knows whether it came: the target may believe the withdrawal, so it is told of the end."""
    desk, depot, made = Desk(memory), Depot(), indicator()
    desk.world.give(FROM, made)
    desk.push(depot)
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    depot.raises = [PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")] if lost else []
    depot.say = lambda _: "pending"
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"])]
    depot.say = lambda _: "accepted"
    desk.world.now += 2 * LATER
    desk.world.give(FROM, version(made, 2))
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"]), ("restored", made["id"])]


def test_a_notice_that_never_left_is_dropped_when_it_no_longer_holds(memory: Store) -> None:
    desk, depot, made = Desk(memory), Depot(), indicator()
    desk.world.give(FROM, made)
    desk.push(depot)
    for number, tlp in enumerate((Tlp.RED, Tlp.GREEN), 1):
        desk.world.now += LATER
        desk.world.give(FROM, version(made, number, tlp))
    desk.push(depot)
    assert depot.notices == []


def test_a_lower_ceiling_reaches_the_target(memory: Store) -> None:
    """The notice leaves though nothing under its label may leave any more."""
    desk, depot, made = Desk(memory), Depot(), indicator()
    desk.world.give(FROM, made)
    desk.push(depot)
    desk.world.follow(lower(desk.world.terms))
    desk.push(depot)
    assert depot.notices == [("withdrawn", made["id"])]


def test_it_is_deleted_where_the_configuration_says_so_and_handed_over_anew_after_that(memory: Store) -> None:
    """TAXII 2.1 section 5.7; what the peer has deleted for us it no longer has, by the ledger too."""
    desk, depot, made = Desk(memory, deleting(terms())), Depot(), indicator()
    desk.world.give(FROM, made)
    hand_over(desk, depot)
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    hand_over(desk, depot)
    assert depot.deleted == [made["id"]]
    assert depot.notices == [("withdrawn", made["id"])], "those who fetched it there learn it from the note"
    assert (made["id"], "recalled") in desk.ledger()
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 2, Tlp.GREEN))
    hand_over(desk, depot)
    assert depot.taken.count(made["id"]) == 3, "given, deleted, given"


def test_the_same_version_is_handed_over_anew_after_it_was_deleted(memory: Store) -> None:
    desk, depot, made = Desk(memory, deleting(terms())), Depot(), indicator()
    desk.world.give(FROM, made)
    hand_over(desk, depot)
    usual = desk.world.terms
    for given in (lower(usual), usual):
        desk.world.follow(given)
        hand_over(desk, depot)
    assert [(each.version, each.gone) for each in depot.asked if each.id == made["id"]] == [
        ("2026-11-21T12:00:00.000000", False),
        ("", True),
        ("2026-11-21T12:00:00.000000", False),
    ]
    assert [action for action, _ in depot.notices] == ["withdrawn", "restored"]


def test_what_is_listed_again_before_it_was_deleted_stays(memory: Store) -> None:
    desk, depot, made = Desk(memory, deleting(terms())), Depot(), indicator()
    desk.world.give(FROM, made)
    hand_over(desk, depot)
    for number, tlp in enumerate((Tlp.RED, Tlp.GREEN), 1):
        desk.world.now += LATER
        desk.world.give(FROM, version(made, number, tlp))
    hand_over(desk, depot)
    assert depot.deleted == []


def test_a_peer_that_refuses_to_delete_is_asked_once_and_one_that_fails_again(memory: Store) -> None:
    desk, depot, made = Desk(memory, deleting(terms())), Depot("pending"), indicator()
    desk.world.give(FROM, made)
    hand_over(desk, depot)
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    desk.world.now += LATER
    run = hand_over(desk, depot)
    assert run.outcome == "waiting"
    depot.say = lambda item: "refused" if item.gone else "accepted"
    desk.world.now += 2 * LATER
    hand_over(desk, depot)
    desk.world.now += 2 * LATER
    hand_over(desk, depot)
    assert depot.deleted == [made["id"]] * 2
    assert (made["id"], "refused") in desk.ledger()


def test_nothing_is_deleted_once_the_configuration_no_longer_says_so(memory: Store) -> None:
    desk, depot, made = Desk(memory, deleting(terms())), Depot(), indicator()
    desk.world.give(FROM, made)
    hand_over(desk, depot)
    desk.world.now += LATER
    desk.world.give(FROM, version(made, 1, Tlp.RED))
    desk.world.follow(replace(desk.world.terms, peers={**desk.world.terms.peers, "ccc": _keeping(desk.world)}))
    hand_over(desk, depot)
    assert depot.deleted == []
    assert hand_over(desk, depot) is None, "nothing waits any more"


def _keeping(world: World) -> Any:
    return replace(world.terms.peers["ccc"], targets=(DEPOT,))


# --- as a receiver ---------------------------------------------------------------------------------------------------


class Node(World):
    """A node that pulls another one's collection as `circl`'s, and whose own reader is `cert-ee`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.mark = -1

    def pull(self, other: World, reader: str = "circl", limit: int = 100) -> None:
        """A drain of what `reader` may have of `other`, from where the last one ended."""
        while True:
            with other.store.reading() as tx:
                row = audiences.of_reader(tx, reader, f"collection:{SHARED}")
                assert row is not None
                leaf = pages.page(tx, row.number, pages.Query(after=self.mark, now=micros(other.now), limit=limit))
                raw = b",".join(bytes(piece) for piece in leaf.pieces)
            found = [stix.parse(orjson.dumps(each)) for each in json.loads(b"[" + raw + b"]")]
            given = Page(objects=found, last=not leaf.more)
            accept(self.store, self.rules, given, "circl/amont", "circl", self.now)
            self.mark = leaf.last or self.mark
            if not leaf.more:
                return

    def told(self, peer: str = "cert-ee") -> list[str]:
        """What the notices that `peer` reads are about."""
        found = []
        for each in self.listed(peer, recalls=True):
            if each.startswith("note--"):
                (statement,) = explain(self.store, self.rules, each, self.now).statements
                assert statement.held.source == ":recall"
                found.append(each)
        return found


def new() -> Store:
    """A store in memory."""
    return open_store("sqlite://")


def chain(*stores: Store) -> list[Node]:
    """Nodes of which each pulls from the one before."""
    return [Node(each) for each in stores]


def moved(nodes: list[Node], by: timedelta = LATER) -> None:
    """Time passes everywhere, and each pulls from the one before it."""
    for node in nodes:
        node.now += by
    for before, after in pairwise(nodes):
        after.pull(before)


def stands(node: Node, made: Mapping[str, Any]) -> bool:
    """Whether the node lists it to its own reader."""
    return made["id"] in node.listed("cert-ee")


def test_a_recall_travels_from_node_to_node_and_so_does_its_end() -> None:
    """A lists to B, B to C, C to a reader: each obeys the notice of the one before, and gives one of its own."""
    with closing(new()) as a, closing(new()) as b, closing(new()) as c:
        nodes = chain(a, b, c)
        made, other = indicator("a.example"), indicator("b.example")
        nodes[0].give("ccc/alertes", made, other)
        moved(nodes)
        assert all(stands(node, made) and stands(node, other) for node in nodes)
        nodes[0].give("ccc/alertes", version(made, 1, Tlp.RED))
        moved(nodes)
        assert not any(stands(node, made) for node in nodes)
        assert all(stands(node, other) for node in nodes)
        ids = [node.told() for node in nodes]
        assert [len(each) for each in ids] == [1, 1, 1]
        assert len({each[0] for each in ids}) == 3, "each node's notice is its own, and nobody's is handed on"
        nodes[0].give("ccc/alertes", version(made, 2, Tlp.GREEN))
        moved(nodes)
        assert all(stands(node, made) for node in nodes)
        assert [node.told() for node in nodes] == [[], [], []]


def test_the_same_version_given_again_stands_again() -> None:
    """A ceiling goes down and up: the very same object is listed again, and taken for what it is."""
    with closing(new()) as a, closing(new()) as b:
        nodes = chain(a, b)
        made = indicator()
        nodes[0].give("ccc/alertes", made)
        moved(nodes)
        usual = nodes[0].terms
        nodes[0].follow(lower(usual))
        moved(nodes)
        assert not stands(nodes[1], made)
        nodes[0].follow(usual)
        moved(nodes)
        assert stands(nodes[1], made)


def recall_of(made: Mapping[str, Any], number: int = 9, **more: Any) -> dict[str, Any]:
    """A notice that some partner wrote."""
    said = {"extension_type": "property-extension", "id": made["id"], "version": made["modified"], **more}
    at = (NOW + number * timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "type": "note", "spec_version": "2.1", "id": "note--0d9f5c1e-5a3b-4c39-9d0f-2f8d5f6f8f99", "created": at,
        "modified": at, "abstract": "x", "content": "x", "object_refs": [made["id"]],
        "object_marking_refs": [TLP2_ID[Tlp.CLEAR]], "extensions": {EXTENSION: {"action": "withdrawn", **said}},
    }  # fmt: skip


def test_r5_nobody_recalls_what_another_said(memory: Store) -> None:
    """Its giver's word goes; another source's word for the same id stays, and so the object stands."""
    world, made, other = World(memory), indicator("a.example"), indicator("b.example")
    world.give("circl/amont", made)
    world.give("ccc/alertes", made, other)
    world.give("circl/amont", recall_of(made), recall_of(other))
    assert {made["id"], other["id"]} <= set(world.listed("cert-ee"))
    world.give("ccc/alertes", recall_of(made))
    assert made["id"] not in world.listed("cert-ee")


def test_a_notice_is_kept_and_goes_no_further(memory: Store) -> None:
    """Promise 2: it ends with an outcome, and `why` says what became of it."""
    world, made = World(memory), indicator()
    world.give("circl/amont", made)
    taken = world.give("circl/amont", recall_of(made))
    assert [outcome.code for outcome in taken.outcomes] == ["stored"]
    note = recall_of(made)["id"]
    assert note not in world.listed("cert-ee", recalls=True)
    (found,) = explain(memory, world.rules, note, world.now).statements
    assert {answer.reasons for answer in found.answers} == {("recall.notice",)}
    world.follow(replace(world.terms, agreements=world.terms.agreements[:1]))
    assert note not in world.listed("cert-ee", recalls=True)


def test_a_notice_about_an_older_version_says_nothing_of_a_newer(memory: Store) -> None:
    world, made = World(memory), indicator()
    world.give("circl/amont", version(made, 1))
    world.give("circl/amont", recall_of(made))
    assert made["id"] in world.listed("cert-ee")


def test_the_later_word_counts_within_a_drain_and_nothing_flaps_in_one(memory: Store) -> None:
    """A server that keeps both gives the object first, and its notice behind it, on every drain from the beginning."""
    world, made = World(memory), indicator()
    world.give("circl/amont", made)
    world.give("circl/amont", recall_of(made))
    told = len(world.listed("cert-ee", recalls=True))
    world.give("circl/amont", made, last=False)
    assert made["id"] not in world.listed("cert-ee"), "it is not listed while its notice may still come"
    world.give("circl/amont", recall_of(made))
    assert made["id"] not in world.listed("cert-ee")
    assert len(world.listed("cert-ee", recalls=True)) == told
    world.give("circl/amont", recall_of(made), made)
    assert made["id"] in world.listed("cert-ee"), "here it came behind the notice"


def test_a_notice_that_takes_itself_back_restores(memory: Store) -> None:
    world, made = World(memory), indicator()
    world.give("circl/amont", made)
    world.give("circl/amont", recall_of(made))
    world.give("circl/amont", recall_of(made, 20, action="restored"))
    assert made["id"] in world.listed("cert-ee")


def test_what_is_no_notice_recalls_nothing(memory: Store) -> None:
    """Another action, another object than the note is about, no version: nothing is done."""
    world, made, other = World(memory), indicator("a.example"), indicator("b.example")
    world.give("circl/amont", made, other)
    for number, odd in enumerate(({"action": "forgotten"}, {"id": other["id"]}, {"version": "soon"}, {"version": 3})):
        world.give(
            "circl/amont",
            {**recall_of(made, number, **odd), "id": indicator(f"{number}")["id"].replace("indicator", "note")},
        )
    assert {made["id"], other["id"]} <= set(world.listed("cert-ee"))
