"""Three nodes in a ring, A → B → C → A, by pull, push and MISP feed: all is passed on, and then all is at rest."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.node_files import Flow, Neighbour, NodeFiles, Shelf
from lab.nodes import Node, introduce, started
from lab.round import free_port
from lab.samples.markings import CLEAR, GREEN, RED

from tests.acceptance.node import until

pytestmark = pytest.mark.acceptance
LONG = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")

NAMES = "abc"
IDENTITY = {name: f"identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b0{n}" for n, name in enumerate(NAMES)}
COLLECTION = {name: f"7d1c5a60-3f0e-4b8d-9a42-6e1b0c9d8f0{n}" for n, name in enumerate(NAMES)}
COUNTED = {
    "statements": "SELECT count(*) FROM statement",
    "listings": "SELECT count(*) FROM listing",
    "closed": "SELECT count(*) FROM listing WHERE closed IS NOT NULL",
    "outbox": "SELECT count(*) FROM outbox",
    "accepted": "SELECT count(*) FROM ledger WHERE outcome = 'accepted'",
}
WAITING = "SELECT count(*) FROM outbox WHERE state = 'pending'"
ROUNDS = 5
"""Full rounds in which everything must have got everywhere: three suffice when each waits for the one before."""
Ring = dict[str, Node]


@contextmanager
def ring(folder: Path) -> Iterator[Ring]:
    """The three nodes, running; nothing is fetched unless `exchange sync` asks for it."""
    ports = {name: free_port() for name in NAMES}
    base = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}

    def peer(name: str, **flows: list[Flow]) -> Neighbour:
        return Neighbour(id=name, identities=[IDENTITY[name]], login=bool(flows), **flows)

    orgs = [IDENTITY[name].removeprefix("identity--") for name in "bc"]
    feed = Flow(id="feed", kind="misp-feed", url=f"{base['c']}feeds/partage/", orgs=orgs)
    pulled = Flow(id="partage", url=f"{base['a']}api/", collection=COLLECTION["a"])
    pushed = Flow(id="depot", url=f"{base['c']}api/", collection=COLLECTION["c"])
    nodes = {
        "a": ([peer("b"), peer("c", sources=[feed])], ["b", "soc"], ["soc"]),
        "b": ([peer("a", sources=[pulled]), peer("c", targets=[pushed])], ["soc"], ["soc"]),
        "c": ([peer("b"), peer("a")], ["a", "soc"], ["b", "soc"]),
    }
    made: Ring = {}
    for name, (neighbours, readers, writers) in nodes.items():
        shelf = Shelf(alias="partage", id=COLLECTION[name], readers=readers, writers=writers)
        files = NodeFiles(
            name=name.upper(), identity=IDENTITY[name], port=ports[name], every="1h", shelves=[shelf],
            neighbours=[*neighbours, Neighbour(id="soc")], store=str(folder / name / "exchange.db"),
        )  # fmt: skip
        made[name] = Node.written(folder / name, files)
    introduce(made["a"], "b", made["b"], "a")
    introduce(made["c"], "b", made["b"], "c")
    introduce(made["c"], "a", made["a"], "c")
    with started(made.values()):
        yield made


def indicator(name: str, level: str, *, creator: str = "") -> dict[str, Any]:
    """An invented indicator; `creator`: the node whose identity created it."""
    at = "2026-01-01T00:00:00.000Z"
    made = {
        "type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid.uuid4()}", "created": at, "modified": at,
        "name": name, "pattern": f"[domain-name:value = '{name}.example']", "pattern_type": "stix", "valid_from": at,
        "object_marking_refs": [level],
    }  # fmt: skip
    return made | ({"created_by_ref": IDENTITY[creator]} if creator else {})


def full_round(nodes: Ring) -> dict[str, dict[str, int]]:
    """Everybody who fetches does so, then hands over what it has; what each of the three then holds."""
    for node in nodes.values():
        if any(peer.sources for peer in node.files.neighbours):
            node.command("sync")
        until(lambda node=node: node.rows(WAITING) == [(0,)], "handed over")
    return {name: {what: node.rows(query)[0][0] for what, query in COUNTED.items()} for name, node in nodes.items()}


def at_rest(nodes: Ring) -> dict[str, dict[str, int]]:
    """Rounds until two in a row leave the same; fails when that never happens."""
    seen = [full_round(nodes)]
    for _ in range(ROUNDS):
        seen.append(full_round(nodes))
        if seen[-1] == seen[-2]:
            return seen[-1]
    pytest.fail("never at rest: " + " | ".join(str({n: held["statements"] for n, held in r.items()}) for r in seen))


def held(node: Node) -> set[tuple[str, str]]:
    """(peer it came from, id) of everything that a node has."""
    return set(node.rows("SELECT peer, stix_id FROM statement"))


@pytest.mark.parametrize("level", [pytest.param(GREEN, id="green"), pytest.param(CLEAR, id="clear", marks=LONG)])
def test_everything_goes_round_once_and_the_ring_comes_to_rest(tmp_path: Path, level: str) -> None:
    """R3, R9: after that one more full round writes no statement, no listing, nothing to hand over, no receipt."""
    with ring(tmp_path) as nodes:
        given = {}
        for name, node in nodes.items():
            objects = [indicator(f"{name}-own", level, creator=name), indicator(f"{name}-other", level)]
            assert node.post("soc", objects)["success_count"] == 2
            given[name] = [object_["id"] for object_ in objects]
        rest = at_rest(nodes)
        assert full_round(nodes) == rest
        a, b, c = (held(nodes[name]) for name in NAMES)
    assert {("a", id_) for id_ in given["a"]} <= b
    assert {("b", id_) for name in "ab" for id_ in given[name]} <= c
    assert {("c", id_) for name in "bc" for id_ in given[name]} <= a
    # Nothing goes back to the peer it came from, nor to the one whose identity created it, whoever brings it.
    assert ("c", given["a"][0]) not in a
    assert ("a", given["b"][0]) not in b
    assert ("b", given["c"][0]) not in c


@LONG
def test_r8_a_recall_goes_as_far_as_its_object_went_and_comes_to_rest(tmp_path: Path) -> None:
    """A tells B by its page, B tells C by a push; each obeys, and says so in a note of its own."""
    with ring(tmp_path) as nodes:
        made, other = indicator("recalled", GREEN, creator="a"), indicator("stays", GREEN, creator="a")
        assert nodes["a"].post("soc", [made, other])["success_count"] == 2
        at_rest(nodes)
        assert {name: (stands(nodes[name], made), stands(nodes[name], other)) for name in "bc"} == dict.fromkeys(
            "bc", (True, True)
        )
        stricter = {**made, "modified": "2026-01-02T00:00:00.000Z", "object_marking_refs": [RED]}
        nodes["a"].post("soc", [stricter])
        rest = at_rest(nodes)
        assert {name: (stands(nodes[name], made), stands(nodes[name], other)) for name in NAMES} == dict.fromkeys(
            NAMES, (False, True)
        )
        assert full_round(nodes) == rest
        notes = {name: set(nodes[name].rows(NOTICES)) for name in NAMES}
    assert all(notes.values())
    assert not notes["a"] & notes["b"] | notes["b"] & notes["c"], "each its own"


NOTICES = "SELECT stix_id FROM statement WHERE source = ':recall'"


def stands(node: Node, made: dict[str, Any]) -> bool:
    """Whether the node lists it to anybody."""
    query = "SELECT count(*) FROM listing JOIN statement ON statement.seq = listing.seq WHERE closed IS NULL"
    return bool(node.rows(f"{query} AND stix_id = '{made['id']}'")[0][0])
