"""Clusters and analyst data leave by calls of their own, no further than the event beside which they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.party import Terms
from exchange.store import Store
from tests.serve.house import House
from tests.serve.wire import CERT1, EVENT, STAMP, Misp, attribute, event, house_of, misp_terms

UUID = "aaaaaaaa-0000-4000-8000-000000000004"
NOTE = "aaaaaaaa-0000-4000-8000-000000000006"


def cluster(distribution: str, **more: Any) -> dict[str, Any]:
    """One of its creator's own."""
    galaxy = {"uuid": "aaaaaaaa-0000-4000-8000-000000000005", "type": "x", "name": "x", "namespace": "misp"}
    return {
        "uuid": UUID, "value": "OUR-NAME-FOR-THEM", "type": "x", "tag_name": 'misp-galaxy:x="y"',
        "version": str(STAMP), "default": False, "distribution": distribution, "published": True,
        "Orgc": {"uuid": CERT1, "name": "CERT1"}, "GalaxyElement": [], "GalaxyClusterRelation": [],
        "Galaxy": {**galaxy, "distribution": "3"},
    } | more  # fmt: skip


def given(house: House, distribution: str, own: dict[str, Any]) -> None:
    """An event with a cluster and a note, handed over and decided."""
    note = {"uuid": NOTE, "note": "vu", "object_uuid": EVENT, "object_type": "Event",
            "created": "2026-11-20 10:00:00", "modified": "2026-11-20 10:00:00"}  # fmt: skip
    whole = event(attribute("a.example", 1), distribution=distribution, Note=[note])
    Misp(house).post("/events/add", {"Event": whole, "GalaxyCluster": [own]})
    house.tick(seconds=3)


def clusters(house: House) -> list[dict[str, Any]]:
    """Those that another account sees."""
    found = Misp(house, "ccc").post("/galaxy_clusters/restSearch", {"published": 1}).json["response"]
    return [each["GalaxyCluster"] for each in found]


def home() -> Terms:
    """CIRCL is inside our organisation, so connected communities are ours (R4)."""
    terms = misp_terms()
    return replace(terms, peers={**terms.peers, "circl": replace(terms.peers["circl"], home=True)})


@pytest.mark.parametrize(("terms", "distribution"), [(misp_terms, "3"), (home, "2")])
def test_a_cluster_goes_no_further_than_its_event(memory: Store, terms: Any, distribution: str) -> None:
    house = house_of(memory, terms())
    relation = {"referenced_galaxy_cluster_uuid": NOTE, "distribution": "3"}
    given(house, distribution, cluster(distribution, GalaxyClusterRelation=[relation]))
    (seen,) = clusters(house)
    assert Misp(house, "ccc").get(f"/events/view/{EVENT}").json["Event"]["distribution"] == "2"
    assert seen["distribution"] == "2"
    assert [each["distribution"] for each in seen["GalaxyClusterRelation"]] == ["2"]
    assert "distribution" not in seen["Galaxy"]


def test_a_note_says_how_far_it_goes(memory: Store) -> None:
    house = house_of(memory)
    given(house, "3", cluster("3"))
    (note,) = Misp(house, "ccc").get(f"/analyst_data/index/Note/uuid[]:{NOTE}.json").json
    assert note["Note"]["distribution"] == "2"


@pytest.mark.parametrize(
    "own", [{"distribution": "0"}, {"Tag": [{"name": "tlp:amber"}]}, {"Tag": [{"name": "pap:red"}]}]
)
def test_a_cluster_that_cannot_say_its_label_is_held(memory: Store, own: dict[str, Any]) -> None:
    house = house_of(memory)
    given(house, "3", cluster("3") | own)
    assert clusters(house) == []
