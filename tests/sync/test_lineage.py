"""R16 between nodes: what was altered on its way does not loop, however many hops it takes and whoever alters it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchange.model import lineage
from exchange.model.marking import Tlp
from exchange.model.party import Peer, Receive, Send, Terms
from exchange.store import Store, open_store
from tests.contract.test_derived import Reading, identity
from tests.world import SHARED, agreement, collection, indicator

SECOND = "identity--8e3a5f7c-12d4-4b96-a0e8-5c7d9b1f3a24"


def node(identity: str, neighbour: str, **clauses: object) -> Terms:
    """A node that exchanges with a neighbour, and reads a partner of its own."""
    both = agreement("voisins", neighbour, receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN, **clauses))  # type: ignore[arg-type]
    own = agreement("partenaire", "third", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN))
    peers = {name: Peer(id=name, name=name.title()) for name in (neighbour, "third")}
    return Terms(
        peers=peers,
        collections={SHARED: collection(SHARED, "partenaires", (neighbour, "third"))},
        agreements=(both, own),
        node_identity=identity,
    )


@pytest.fixture
def stores() -> Iterator[tuple[Store, Store]]:
    """Of two nodes."""
    made = open_store("sqlite://"), open_store("sqlite://")
    yield made
    for store in made:
        store.close()


@pytest.mark.parametrize("back", [{}, {"redact": frozenset({"description"})}, {"attribution": "anonymous"}])
def test_what_comes_back_is_filed_under_its_original(stores: tuple[Store, Store], back: dict[str, object]) -> None:
    """There and back again, altered here and, or not, there: nothing new is listed to anybody."""
    one = Reading(stores[0], node("identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17", "two", redact=frozenset({"name"})))
    two = Reading(stores[1], node(SECOND, "one", **back))
    made = indicator(name="secret", description="text", labels=["a"])
    one.give("third/feed", made)
    before = one.body("third"), one.body("two")
    (sent,) = one.read("two")
    two.give("one/taxii", sent)
    assert two.read("one") == [], "R3: nothing goes back to whom it came from"
    (onward,) = two.read("third")
    assert lineage.tokens(onward)[0] == lineage.tokens(sent)[0]
    # The third party hands it to the first node, which is where it came from.
    one.give("third/feed", json.loads(json.dumps(onward)))
    assert (one.body("third"), one.body("two")) == before
    if onward["id"] != made["id"]:
        assert one.reasons(onward["id"], "two") == ("lineage.returned",)


def test_a_partner_who_has_it_by_another_way_does_not_get_the_original(stores: tuple[Store, Store]) -> None:
    """R3: who gives us what was made of it, has it."""
    given = node("identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17", "two", redact=frozenset({"name"}))
    alone = replace(given, collections={SHARED: replace(given.collections[SHARED], readers=("two",))})
    one = Reading(stores[0], alone)
    made = indicator(name="secret")
    one.give("third/feed", made)
    (sent,) = one.read("two")
    one.give("two/feed", sent)
    assert one.reasons(made["id"], "two") == ("origin.returns",)


def test_what_was_altered_for_a_neighbour_leaves_no_trace_behind_it(stores: tuple[Store, Store]) -> None:
    """R14, R16: the neighbour hands it back and on. Here nothing moves; the one behind it learns no id, name or word of
    the original, and of who altered it no more than opaque tokens.
    """
    first, whose = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17", "identity--7c1d5e2a-93b4-4f06-8a2e-5d7f9b3c1e60"
    given = node(first, "two", attribution="anonymous", redact=frozenset({"description"}))
    one = Reading(
        stores[0], replace(given, peers={**given.peers, "third": replace(given.peers["third"], name="Vigie")})
    )
    two = Reading(stores[1], node(SECOND, "one"))
    told = {**identity("Vigie du Nord"), "id": whose}
    made = indicator(name="Seen by Vigie du Nord", description="secret", created_by_ref=whose)
    one.give("third/feed", told, made)
    before = one.body("third")
    sent = one.read("two")
    assert len(sent) == 2
    two.give("one/taxii", *sent)
    onward, behind = two.read("third"), two.body("third")
    assert {item["id"] for item in onward} == {item["id"] for item in sent}
    for word in (made["id"], whose, "Vigie", "secret", "third"):
        assert word.encode() not in behind
    assert two.read("one") == []
    one.give("two/taxii", *onward)
    assert one.body("third") == before
    assert one.read("two") == [], "R3: who gives it has it"
    assert {one.reasons(item["id"], "third") for item in onward} == {("lineage.returned",)}
