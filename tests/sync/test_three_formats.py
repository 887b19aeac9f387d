"""The same intelligence from three sources in three formats: one object is listed where twins fold, three are held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab.feed import feed
from lab.misp import misp

from exchange.model.envelope import PeerClient
from exchange.model.marking import Tlp
from exchange.model.party import Credentials, Source
from exchange.peers import client_for
from exchange.store import Store, statements
from exchange.sync.explain import search
from exchange.sync.pull import pull
from tests.peers.doubles import COLLECTION, Asked, Told, serving
from tests.sync.misp_reader import Shown, live
from tests.sync.partners import Desk, with_sources
from tests.world import FOLDED, SHARED, collection, indicator, terms

VALUE = "evil.example"
TAXII = "application/taxii+json;version=2.1"
ORGS = {"circl": "55f6ea5e-2c60-40e5-964f-47a8950d210f", "cert-ee": "66a6ea5e-2c60-40e5-964f-47a8950d2100"}


def event(number: int, org: str, value: str) -> dict[str, Any]:
    """A published MISP event that says it, in its own spelling."""
    return {
        "uuid": f"5c4e0000-0000-4000-8000-{number:012}", "info": f"Vigne folle {number}", "date": "2026-11-14",
        "threat_level_id": "2", "analysis": "2", "timestamp": "1795000000", "publish_timestamp": "1795000001",
        "distribution": "3", "published": True, "Orgc": {"uuid": ORGS[org], "name": org},
        "Org": {"uuid": ORGS[org], "name": org}, "Tag": [{"name": "tlp:green"}], "Object": [],
        "Attribute": [
            {
                "uuid": f"5c4e0000-0000-4000-8000-{number + 1000:012}", "type": "domain", "value": value,
                "category": "Network activity", "to_ids": True, "distribution": "5", "timestamp": "1795000000",
            }
        ],
    }  # fmt: skip


def shelf(asked: Asked) -> Told:
    """A TAXII collection that says it as a set of one."""
    made = indicator("x.example", tlp=Tlp.GREEN) | {"pattern": f"[domain-name:value IN ('{VALUE.upper()}.')]"}
    body = json.dumps({"objects": [made]} if asked.path.endswith("/objects/") else {}).encode()
    return Told(body=body, headers={"Content-Type": TAXII})


@pytest.fixture
def desk(memory: Store, tmp_path: Path) -> Iterator[Desk]:
    """A node that has pulled from all three, by the real clients over HTTP."""
    with ExitStack() as running:
        there = running.enter_context(misp([event(1, "circl", VALUE)]))
        osint = running.enter_context(feed(tmp_path / "feed", [event(2, "cert-ee", "Evil.Example")]))
        taxii = running.enter_context(serving(shelf))
        sources = [
            Source(peer="ccc", id="t", kind="taxii", url=taxii.url, collection=COLLECTION),
            Source(peer="circl", id="m", kind="misp", url=there.url, orgs=frozenset({"*"})),
            Source(peer="cert-ee", id="f", kind="misp-feed", url=osint.url, orgs=frozenset({"*"})),
        ]
        desk = Desk(memory, with_sources(_read_by_a_fourth(), *sources))
        for source in sources:
            run = pull(desk.work, source, lambda s=source: _client(desk, s, there.key), forced=True)
            assert run is not None
            assert run.error is None, run.error
        yield desk


def _read_by_a_fourth() -> Any:
    """Our own house reads what folds, and what does not."""
    given = terms(
        folded=collection(FOLDED, "faits", ("maison",), duplicates="fold", ceiling=Tlp.AMBER),
        shared=collection(SHARED, "tout", ("maison",), ceiling=Tlp.AMBER),
    )
    house = replace(given.agreements[0], parties=(*given.agreements[0].parties, "maison"))
    return replace(given, agreements=(house,))


def _client(desk: Desk, source: Source, key: str) -> PeerClient:
    return client_for(
        desk.world.terms.peers[source.peer], source.kind, Credentials(key=key if source.kind == "misp" else ""),
        clock=lambda: desk.world.now, wait=lambda seconds: False,
    )  # fmt: skip


def indicators(desk: Desk, channel: str, **query: Any) -> list[str]:
    return [each for each in desk.world.listed("maison", channel, **query) if each.startswith("indicator")]


def test_three_formats_one_listed_object_three_statements(desk: Desk) -> None:
    """And each of the three is reached by its id, and found by the value however it is spelt."""
    everything = indicators(desk, SHARED)
    assert len(everything) == 3
    (front,) = indicators(desk, FOLDED)
    assert front == everything[0]
    assert set(indicators(desk, FOLDED, ids=frozenset(everything))) == set(everything)
    with desk.world.store.reading() as tx:
        found = [held for held in search(tx, "evil[.]EXAMPLE") if held.type == "indicator"]
        assert {held.source for held in found} == {"ccc/t", "circl/m", "cert-ee/f"}
        assert len({held.fact for held in found}) == 1
        assert len(statements.bodies(tx, [held.seq for held in found])) == 3


def test_an_event_in_a_folded_view_holds_what_stands_in_front(desk: Desk) -> None:
    """Over MISP the value is told once, in the event of whoever said it first; the twins' events are left out."""
    shown = Shown(desk.world, "maison", channel=FOLDED)
    assert [list(live(found).values()) for found in shown.events().values()] == [[VALUE]]
    everything = Shown(desk.world, "maison")
    assert sorted(list(live(found).values()) for found in everything.events().values()) == [
        ["Evil.Example"],
        *[[VALUE]] * 2,
    ]
