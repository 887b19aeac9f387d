"""The whole round between four partners, judged at its ends: everybody gets exactly what may be had, exactly once.

What may be had is worked out by `lab.oracle`, from the samples and the rules alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest
from lab import oracle, samples
from lab.partners import Partner
from lab.reading import key, repeated
from lab.round import Round, exchange_round
from lab.scenario import PARTENAIRES, RESTREINT

from tests.acceptance.others import installed

pytestmark = [pytest.mark.acceptance, pytest.mark.peers]

Object = dict[str, Any]
# Who reads or is handed what, up to which level.
READ = [
    ("ccc", PARTENAIRES, oracle.GREEN),
    ("cert-ee", PARTENAIRES, oracle.GREEN),
    ("circl", PARTENAIRES, oracle.GREEN),
    ("ccc", RESTREINT, oracle.AMBER),
]
PUSHED = [("ccc", "depot", oracle.AMBER), ("cert-ee", "postkast", oracle.GREEN)]
SHARED = {PARTENAIRES}  # collections of several readers, where one may see its own object again (R3)
IDS = ["ccc-partenaires", "cert-ee-partenaires", "circl-partenaires", "ccc-restreint"]


@dataclass(slots=True)
class Ends:
    """The drained round, and what was read at its ends, once for all tests."""

    going: Round
    read: dict[tuple[str, str], list[Object]] = field(default_factory=dict)
    pushed: dict[str, list[Object]] = field(default_factory=dict)

    def letterbox(self, name: str) -> Partner:
        """The partner that has this letterbox."""
        return {"depot": self.going.partners.ccc, "postkast": self.going.partners.cert_ee}[name]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    """Everything running and drained."""
    installed("medallion", "opentaxii")
    with exchange_round(tmp_path_factory.mktemp("round")) as going:
        going.drained()
        found = Ends(going)
        for member, collection, _ in READ:
            found.read[member, collection] = going.collection(member, collection).by_next()
        for _, name, _ in PUSHED:
            found.pushed[name] = found.letterbox(name).objects(name)
        yield found


def without_tlp(objects: Iterable[Object]) -> list[Object]:
    """All but the definitions of TLP, which belong to nobody."""
    return [object_ for object_ in objects if object_["id"] not in oracle.LEVELS]


@pytest.mark.parametrize(("member", "collection", "ceiling"), READ, ids=IDS)
def test_both_ways_of_paging_bring_each_object_once(ends: Ends, member: str, collection: str, ceiling: int) -> None:
    """By `next`, and by the time of the last object: the same objects in the same order, none twice."""
    by_next = ends.read[member, collection]
    by_clock = ends.going.collection(member, collection).by_clock(limit=61)
    assert list(map(key, by_next)) == list(map(key, by_clock))
    assert repeated(by_next) == []
    assert len({object_["id"] for object_ in by_next}) == len(by_next)


@pytest.mark.parametrize(("member", "collection", "ceiling"), READ, ids=IDS)
def test_a_reader_gets_exactly_what_it_may_have(ends: Ends, member: str, collection: str, ceiling: int) -> None:
    """R2, R3, R10–R13: the releasable set, no more and no less; of twins one is listed, the others open by id (R23)."""
    got = {oracle.name_of(o): o for o in without_tlp(ends.read[member, collection])}
    wanted = oracle.expected(member, ceiling)
    again = {name for name, _ in oracle.own(member)} if collection in SHARED else set()
    assert got.keys() - wanted.keys() - again == set()
    folded = wanted.keys() - got.keys()
    fronts = [oracle.facts(object_) for object_ in got.values()]
    assert len(fronts) == len(set(fronts))
    reader = ends.going.collection(member, collection)
    assert [name for name in folded if oracle.facts(reader.one(name)[0]) not in fronts] == []
    assert older(got, wanted) == []


def older(got: Mapping[str, Object], wanted: Mapping[str, str]) -> list[str]:
    """What is not there in its newest version."""
    return [name for name, version in wanted.items() if version and name in got and key(got[name])[1] != version]


@pytest.mark.parametrize(("member", "name", "ceiling"), PUSHED, ids=["depot", "postkast"])
def test_a_letterbox_holds_exactly_what_it_may_have(ends: Ends, member: str, name: str, ceiling: int) -> None:
    """The same for what is handed over; versions, too, are there once each, and nothing is the owner's own (R3)."""
    got = {oracle.name_of(o): o for o in without_tlp(ends.pushed[name])}
    wanted = oracle.expected(member, ceiling)
    assert wanted.keys() - got.keys() == set()
    assert {(name, key(object_)[1]) for name, object_ in got.items()} & oracle.own(member) == set()
    assert got.keys() == wanted.keys()
    assert older(got, wanted) == []
    assert repeated(ends.letterbox(name).objects(name, **{"match[version]": "all"})) == []


def test_nothing_stands_above_its_ceiling(ends: Ends) -> None:
    """By the marks in the bytes themselves, whatever the oracle says: none too strict, none that is not understood."""
    at = [(ends.read[member, collection], ceiling) for member, collection, ceiling in READ]
    at += [(ends.pushed[name], ceiling) for _, name, ceiling in PUSHED]
    for objects, ceiling in at:
        assert len(objects) > 100
        assert [o["id"] for o in objects if (oracle.stated_level(o) or oracle.CLEAR) > ceiling] == []


@pytest.mark.parametrize("name", ["depot", "postkast"])
def test_what_is_handed_over_keeps_its_birthday(ends: Ends, name: str) -> None:
    """STIX 2.1 section 3.2: `created` is the same in every version of an object."""
    births: dict[str, set[str]] = {}
    for object_ in ends.letterbox(name).objects(name, **{"match[version]": "all"}):
        births.setdefault(object_["id"], set()).add(object_.get("created", ""))
    assert {id_: len(times) for id_, times in births.items() if len(times) > 1} == {}


def test_the_feed_of_circl_tells_what_circl_may_know(ends: Ends) -> None:
    """Its values are those of the releasable indicators and observables; nothing stricter, nothing of CIRCL alone."""
    manifest = ends.going.get("feeds/partenaires/manifest.json", "circl").json()
    events = [ends.going.get(f"feeds/partenaires/{uuid}.json", "circl").json()["Event"] for uuid in manifest]
    inside = [attribute for event in events for attribute in event["Attribute"]]
    # `filename|sha256` and its like hold two values in one.
    shown = {canonical(value) for part in inside if "value" in part for value in part["value"].split("|")}
    assert all(attribute["deleted"] for attribute in inside if "value" not in attribute)  # withdrawn: without its value
    wanted = oracle.expected("circl", oracle.GREEN)
    theirs = [*samples.ccc(), *samples.cert_ee()]
    revoked = {o["id"] for o in theirs if o.get("revoked")}
    allowed = {value for o in theirs if o["id"] in wanted for value in values_of(o)}
    due = {v for o in theirs if o["id"] in wanted and o["id"] not in revoked for v in values_of(o)}
    assert samples.CCC_ONLY_DOMAIN in shown
    assert due - shown == set()
    told = {canonical(o["name"]) for o in theirs if o["id"] in wanted and "name" in o}  # of a campaign, for instance
    assert shown - allowed - told == set()
    hidden = {value for o in theirs if o["id"] not in wanted for value in values_of(o)}
    of_circl = {canonical(v) for one in oracle.everything() if one.peer == "circl" for v in one.values}
    text = json.dumps(events, ensure_ascii=False).lower()
    assert [value for value in (hidden | of_circl) - allowed if f'"{value}"' in text] == []
    tags = {tag["name"] for part in [*events, *inside] for tag in part.get("Tag", [])}
    galaxies = {name for name in tags if name.startswith("misp-galaxy:")}
    confidence = {name for name in tags if name.startswith("misp:confidence-level=")}
    assert tags - galaxies - confidence <= {"tlp:clear", "tlp:green"}
    assert {canonical(name.split('"')[1]) for name in galaxies} <= told


def values_of(object_: Object) -> set[str]:
    """What an indicator or observable names."""
    if object_["type"] == "indicator":
        found = re.findall(r"= *'([^']+)'", object_.get("pattern", ""))
    else:
        named = object_["type"] in ("domain-name", "ipv4-addr", "file")
        found = [*object_.get("hashes", {}).values(), *(object_.get(name, "") for name in ("value", "name") if named)]
    return {canonical(value) for value in found if value}


def canonical(value: str) -> str:
    """In lower case; an address in its short form, in which it is served."""
    try:
        return str(ip_address(value))
    except ValueError:
        return value.lower()
