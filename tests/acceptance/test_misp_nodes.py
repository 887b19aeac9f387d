"""Real nodes that speak MISP to each other: all gets over, as it was, and then all is at rest."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab import samples
from lab.misp import CERT_QC, Misp, misp
from lab.misp.validity import massaged
from lab.node_files import Flow, Neighbour, NodeFiles, Shelf, give_login
from lab.nodes import Node, introduce, started
from lab.real_data import events_in
from lab.round import free_port

from tests.acceptance.node import until

pytestmark = pytest.mark.acceptance

IDENTITY = {name: f"identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4c0{n}" for n, name in enumerate("ab")}
COLLECTION = {name: f"7d1c5a60-3f0e-4b8d-9a42-6e1b0c9d8e0{n}" for n, name in enumerate("ab")}
LONG = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")
ESET = Path(__file__).resolve().parents[3] / "shared" / "data" / "misp-events" / "eset"
HOME = {
    "peers/maison.toml": 'name = "Maison"\nrole = "home"\n[[source]]\nid = "fichiers"\nkind = "file"\n',
    "agreements/maison.toml": """
title = "Our own"
parties = ["maison"]
from = 2025-01-01
until = 2099-12-31
purpose = "test"
[receive]
ceiling = "TLP:AMBER"
unmarked = "TLP:GREEN"
[send]
ceiling = "TLP:AMBER"
""",
}
COUNTED = {
    "statements": "SELECT count(*) FROM statement",
    "listings": "SELECT count(*) FROM listing",
    "closed": "SELECT count(*) FROM listing WHERE closed IS NOT NULL",
    "outbox": "SELECT count(*) FROM outbox",
    "accepted": "SELECT count(*) FROM ledger WHERE outcome = 'accepted'",
}
WAITING = "SELECT count(*) FROM outbox WHERE state = 'pending'"
ROUNDS = 6
OWN = "indicator--6a0b3c1d-2e4f-4a5b-8c6d-7e8f9a0b1c2d"


def flow_to(base: str, what: str, name: str) -> Flow:
    """A flow to the collection of the node `name`: `misp` from its MISP side, `taxii` from its API root."""
    if what == "misp":
        return Flow(id="misp", kind="misp", url=f"{base}misp/partage")
    return Flow(id="taxii", url=f"{base}api/", collection=COLLECTION[name])


def node(folder: Path, name: str, port: int, neighbours: Sequence[Neighbour]) -> Node:
    """A node with one collection, which its neighbours and its own house read."""
    known = [each.id for each in neighbours]
    shelf = Shelf(alias="partage", id=COLLECTION[name], readers=[*known, "soc", "maison"], writers=[*known, "soc"])
    files = NodeFiles(
        name=name.upper(), identity=IDENTITY[name], port=port, every="1h", shelves=[shelf], more=HOME,
        neighbours=[*neighbours, Neighbour(id="soc")], store=str(folder / name / "exchange.db"),
    )  # fmt: skip
    return Node.written(folder / name, files)


@contextmanager
def pair(folder: Path, *, pushing: bool = False) -> Iterator[tuple[Node, Node]]:
    """Two nodes; each pulls from the other's MISP side, and with `pushing` hands over to it as well."""
    ports = {name: free_port() for name in "ab"}
    made = {}
    for name, other in (("a", "b"), ("b", "a")):
        source = flow_to(f"http://127.0.0.1:{ports[other]}/", "misp", other)
        source = Flow(id=source.id, kind=source.kind, url=source.url, orgs=["*"])
        target = [Flow(id="depot", kind="misp", url=source.url)] if pushing else []
        there = Neighbour(id=other, sources=[source], targets=target, login=True, identities=[IDENTITY[other]])
        made[name] = node(folder, name, ports[name], [there])
    introduce(made["a"], "b", made["b"], "a")
    introduce(made["b"], "a", made["a"], "b")
    with started(made.values()):
        yield made["a"], made["b"]


def given(to: Node, events: Sequence[Mapping[str, Any]]) -> None:
    """`exchange import` of these events, as its own house's."""
    folder = to.folder / "events"
    folder.mkdir(exist_ok=True)
    for event in events:
        (folder / f"{event['uuid']}.json").write_text(json.dumps({"Event": event}), encoding="utf-8")
    to.command("import", str(folder), "--source", "maison/fichiers")


def full_round(nodes: Sequence[Node]) -> list[dict[str, int]]:
    """Both fetch, then hand over; what each of them holds then."""
    for each in nodes:
        each.command("sync")
        until(lambda each=each: each.rows(WAITING) == [(0,)], "handed over")
    return [{what: each.rows(query)[0][0] for what, query in COUNTED.items()} for each in nodes]


def at_rest(nodes: Sequence[Node]) -> list[dict[str, int]]:
    """Rounds until two in a row leave the same; fails when that never happens."""
    seen = [full_round(nodes)]
    for _ in range(ROUNDS):
        seen.append(full_round(nodes))
        if seen[-1] == seen[-2]:
            return seen[-1]
    pytest.fail("never at rest:\n" + "\n".join(map(str, seen)))


KINDS = ("indicator", "observed-data", "x-misp-attribute", "x-misp-object")
"""What carries attributes and objects."""


def entities(of: Node) -> set[str]:
    """The ids of what it has of MISP attributes and objects, whoever gave it."""
    return {id_ for (id_,) in of.rows("SELECT DISTINCT stix_id FROM statement") if id_.startswith(KINDS)}


def released(by: Node, to: str) -> set[str]:
    """The same of what this peer may read."""
    found: set[str] = set()
    following: dict[str, str] = {}
    while True:
        answer = by.get(to, **following).json()
        found |= {item["id"] for item in answer.get("objects", []) if item["id"].startswith(KINDS)}
        if not answer.get("more"):
            return found
        following = {"next": answer["next"]}


def own_events() -> list[dict[str, Any]]:
    """Samples of ours that may go on."""
    return [{**each, "distribution": "3"} for each in samples.circl_events() if each.get("distribution") == "3"]


def check_pair(folder: Path, events: Sequence[Mapping[str, Any]], *, pushing: bool) -> None:
    """What either has both have after a few rounds; then two more write nothing."""
    with pair(folder, pushing=pushing) as nodes:
        given(nodes[0], events)
        made = {
            "type": "indicator", "spec_version": "2.1", "id": OWN, "created": "2026-01-01T00:00:00.000Z",
            "modified": "2026-01-01T00:00:00.000Z", "pattern": "[domain-name:value = 'stix.example']",
            "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        assert nodes[1].post("soc", [made])["success_count"] == 1
        rest = at_rest(nodes)
        for _ in range(2):
            assert full_round(nodes) == rest
        first, second = map(entities, nodes)
        may = released(nodes[0], "b")
    assert len(may) > 10
    assert OWN in first
    assert second <= may | {OWN}
    assert len(may - second) <= said_twice(events)


@pytest.mark.parametrize("pushing", [pytest.param(False, marks=LONG), True], ids=["pulling", "pushing too"])
def test_two_nodes_that_speak_only_misp_come_to_rest(tmp_path: Path, pushing: bool) -> None:
    check_pair(tmp_path, own_events(), pushing=pushing)


@LONG
@pytest.mark.skipif(not ESET.is_dir(), reason="real events are not on this machine")
@pytest.mark.parametrize("pushing", [False, True], ids=["pulling", "pushing too"])
def test_two_nodes_come_to_rest_on_real_events(tmp_path: Path, pushing: bool) -> None:
    check_pair(tmp_path, real(), pushing=pushing)


# --- the round trip ----------------------------------------------------------------------------------------------

FIGURES = (
    "attributes", "said twice", "another uuid", "type or value changed", "to_ids flipped", "comment lost", "seen lost",
    "timestamp changed", "tag lost", "objects lost", "references lost", "reports lost", "threat level lost",
    "analysis lost", "date lost", "creator lost", "info lost", "events lost",
)  # fmt: skip


@contextmanager
def chain(folder: Path, between: str, events: Sequence[Mapping[str, Any]]) -> Iterator[Misp]:
    """A MISP with `events` → node a → node b → the MISP of b's own house, which is given: it has pulled all from b."""
    with ExitStack() as stack:
        first, last = stack.enter_context(misp(events)), stack.enter_context(misp(organisation=CERT_QC))
        ports = {name: free_port() for name in "ab"}
        origin = Neighbour(id="circl", sources=[Flow(id="misp", kind="misp", url=first.url, orgs=["*"])], login=True)
        a = node(folder, "a", ports["a"], [origin, Neighbour(id="b")])
        flow = flow_to(f"http://127.0.0.1:{ports['a']}/", between, "a")
        flow = Flow(id=flow.id, kind=flow.kind, url=flow.url, collection=flow.collection,
                    orgs=["*"] if between == "misp" else [])  # fmt: skip
        b = node(folder, "b", ports["b"], [Neighbour(id="a", sources=[flow], login=True)])
        give_login(a.config, "circl", ("us", first.key))
        introduce(a, "b", b, "a")
        stack.enter_context(started((a, b)))
        a.command("sync")
        b.command("sync")
        row = last.connect(f"{b.url}misp/partage", b.welcome("maison")[1])
        report = last.pull(row)
        assert report.green, report.errors[:5]
        assert last.pull(row).events == []
        yield last


def real() -> list[dict[str, Any]]:
    """The real events, as they are where everybody may have them."""
    events = []
    for event in events_in(ESET):
        for part in (*attributes_of(event), *living(event.get("Object"))):
            part["distribution"] = "5"
        events.append({**event, "distribution": "3"})
    return events


def compared(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> Counter[str]:
    """What of one event got lost or changed on the way."""
    lost: Counter[str] = Counter()
    if after is None:
        lost["events lost"] += 1
        return lost
    for name, field in (
        ("threat level lost", "threat_level_id"), ("analysis lost", "analysis"), ("date lost", "date"),
        ("info lost", "info"),
    ):  # fmt: skip
        lost[name] += str(before.get(field)) != str(after[field])
    lost["creator lost"] += before["Orgc"]["uuid"].lower() != after["Orgc"]["uuid"]
    there = {part["uuid"]: part for part in attributes_of(after)}
    said = Counter(map(_said, living(before.get("Attribute"))))
    for part in attributes_of(before):
        lost["attributes"] += 1
        found = there.get(part["uuid"].lower())
        if said[_said(part)] > 1 and (found is None or found["timestamp"] != str(part["timestamp"])):
            # No MISP holds the same twice in one event: one stands for both, and takes over what the other says.
            lost["said twice"] += found is None and _said(part) in map(_said, there.values())
            continue
        lost.update(_of_attribute(part, found))
    objects = {part["uuid"]: part for part in after["Object"] if not part["deleted"]}
    for part in living(before.get("Object")):
        there_too = objects.get(part["uuid"].lower())
        lost["objects lost"] += there_too is None or there_too["name"] != part["name"]
        known = {ref["uuid"] for ref in there_too["ObjectReference"]} if there_too else set()
        lost["references lost"] += sum(ref["uuid"].lower() not in known for ref in living(part.get("ObjectReference")))
    reports = {part["uuid"]: part["content"] for part in after["EventReport"]}
    lost["reports lost"] += sum(
        reports.get(part["uuid"].lower()) != part["content"] for part in living(before.get("EventReport"))
    )
    lost["tag lost"] += len(_tags(before) - _tags(after))
    return lost


def _said(part: Mapping[str, Any]) -> tuple[str, str, str]:
    """What an attribute says, as any MISP stores it."""
    return part["type"], str(part.get("category")), massaged(part["type"], part["value"])


def said_twice(events: Sequence[Mapping[str, Any]]) -> int:
    """How many attributes say what another of their event says: no MISP holds both."""
    whole = ([part for part in living(event.get("Attribute")) if part.keys() >= {"type", "value"}] for event in events)
    counted = (Counter(map(_said, parts)) for parts in whole)
    return sum(count - 1 for each in counted for count in each.values())


def _of_attribute(part: Mapping[str, Any], found: Mapping[str, Any] | None) -> Counter[str]:
    lost: Counter[str] = Counter()
    if found is None:
        lost["another uuid"] += 1
        return lost
    lost["type or value changed"] += _said(found) != _said(part)
    lost["to_ids flipped"] += found["to_ids"] is not bool(part["to_ids"])
    lost["comment lost"] += found["comment"] != (part.get("comment") or "")
    lost["seen lost"] += any(part.get(name) and not found[name] for name in ("first_seen", "last_seen"))
    lost["timestamp changed"] += found["timestamp"] != str(part["timestamp"])
    lost["tag lost"] += len(_tags(part) - _tags(found))
    return lost


def _tags(entity: Mapping[str, Any]) -> set[str]:
    """The names of its tags that a marking does not say: those are written as their taxonomy has them."""
    kept = (tag["name"] for tag in entity.get("Tag") or () if not tag.get("local") and tag.get("exportable", True))
    return {name for name in kept if not name.lower().startswith("tlp:")}


def living(parts: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Those that are not deleted."""
    return [part for part in parts or () if part.get("deleted") not in (True, 1, "1")]


def attributes_of(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of the event and of its objects."""
    inside = [part for each in living(event.get("Object")) for part in living(each.get("Attribute"))]
    return [*living(event.get("Attribute")), *inside]


def table(between: str, found: Mapping[str, int]) -> str:
    """The figures, a line each."""
    return "\n".join([f"over {between}", *(f"  {name:24} {found.get(name, 0):>6}" for name in FIGURES)])


@LONG
@pytest.mark.skipif(not ESET.is_dir(), reason="real events are not on this machine")
@pytest.mark.parametrize("between", ["misp", "taxii"])
def test_nothing_is_lost_between_two_nodes(tmp_path: Path, between: str, capsys: pytest.CaptureFixture[str]) -> None:
    """MISP → node → node → MISP on real events: each attribute as it was, under its uuid, and each frame."""
    events = real()
    with chain(tmp_path, between, events) as last:
        found: Counter[str] = Counter()
        for event in events:
            uuid = event["uuid"].lower()
            found += compared(event, last.events[uuid] if uuid in last.events else None)  # noqa: SIM401 (no mapping)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(between, found)}\n")
    assert found["attributes"] > 2_000
    wrong = {name: count for name, count in found.items() if name not in ("attributes", "said twice") and count}
    assert wrong == {}
    assert found["said twice"] <= 2
