"""Fact keys: what says one thing has one key, whoever says it and however it is spelt; no two others ever do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from fact_pairs import ONE, TWO
from hypothesis import given, settings
from hypothesis import strategies as st
from stix_samples import IDENTITY, OTHER, SAMPLES, UUID, WHEN, encode, indicator, sco, sdo, spoilt

from exchange.convert import pages
from exchange.errors import ContentError
from exchange.model import facts, stix
from exchange.model.misp import EXTENSION
from exchange.model.party import Source

A = "a" * 64
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
INDICATOR, MALWARE, SEEN = f"indicator--{UUID}", f"malware--{UUID}", f"observed-data--{UUID}"


def key(document: Mapping[str, Any]) -> str:
    return stix.parse(encode(document)).fact


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in ONE], ids=[pair[0] for pair in ONE])
def test_what_says_one_thing_has_one_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The duplicates of every shape that real data has are found, and the key is none of their ids."""
    assert one["id"] != other["id"]
    assert key(one) == key(other)
    assert key(one) not in (one["id"], other["id"])


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in TWO], ids=[pair[0] for pair in TWO])
def test_what_says_two_things_has_two_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Zero false merges: so folding one never hides the other (R23)."""
    assert one["id"] != other["id"]
    assert key(one) != key(other)


@settings(max_examples=300, deadline=None)
@given(spoilt())
def test_any_object_has_a_key_or_is_refused(document: dict[str, Any]) -> None:
    """Nothing raises but what quarantines; the key depends on nothing but what is said, not on id, owner or marking."""
    try:
        made = stix.parse(encode(document))
    except ContentError:
        return
    assert made.fact
    assert made.fact == key(json.loads(made.body))
    if made.fact != made.id:
        other = {**json.loads(made.body), "id": f"{made.type}--{OTHER}", "labels": ["x"], "confidence": 3}
        assert key({**other, "external_references": [{"source_name": "x", "description": "y"}]}) == made.fact


NAMES = st.text("ab'\\|,:[].\n 1", min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES, NAMES, NAMES)
def test_parts_of_a_key_never_run_together(one: str, two: str, three: str, four: str) -> None:
    """Whatever stands in its parts, a key is that of these parts in this order."""
    first = sco("file", name=one, mime_type=two)
    second = sco("file", name=three, mime_type=four)
    if key(first) == key(second):
        assert (one, two) == (three, four)
    registry = [
        sco("windows-registry-key", key=one, values=[{"name": a, "data": b}]) for a, b in ((two, three), (three, two))
    ]
    assert (key(registry[0]) == key(registry[1])) == (two == three)


def test_every_value_is_searched_by() -> None:
    """What people look for is found with each of its hashes and names, canonical (`exchange show`)."""
    both = sco("file", name="A.exe", hashes={"SHA-256": A.upper(), "MD5": "D" * 32, "SSDEEP": "3:AbC:DeF"})
    assert dict(stix.parse(encode(both)).values) == {
        "file:hashes.MD5": "d" * 32,
        "file:hashes.SHA-256": A,
        "file:hashes.SSDEEP": "3:AbC:DeF",
        "file:name": "A.exe",
    }
    found = stix.parse(
        encode(indicator(pattern="[domain-name:value = 'X.example'] OR [url:value = 'hxxp://x[.]example']"))
    )
    assert set(found.values) == {("domain-name:value", "x.example"), ("url:value", "http://x.example/")}
    assert facts.observables(sdo("vulnerability", name="cve-2021-44228")) == (("vulnerability:name", "CVE-2021-44228"),)
    account = sco("user-account", account_login="root", user_id="0")
    assert facts.observables(account) == (("user-account:user_id", "0"), ("user-account:account_login", "root"))


def test_what_is_searched_by_is_bounded() -> None:
    """A registry key with thousands of values, or with a whole program in one, is found by a few of them."""
    many = sco("windows-registry-key", key="HKLM\\A", values=[{"name": str(n), "data": f"d{n}"} for n in range(3000)])
    long = sco("windows-registry-key", key="HKLM\\A", values=[{"name": "a", "data": "x" * 10_000}])
    assert len(facts.observables(many)) == 65
    assert facts.observables(long) == (("windows-registry-key:key", "hkey_local_machine\\a"),)


def test_saying_bad_is_not_saying_seen() -> None:
    """An indicator and an observable of one value share what people search by, but not the fact."""
    seen = stix.parse(encode(sco("domain-name", value="X.example")))
    bad = stix.parse(encode(indicator(pattern="[domain-name:value='x.example']")))
    assert seen.values == bad.values == (("domain-name:value", "x.example"),)
    assert seen.fact != bad.fact


def test_traffic_to_an_address_is_found_by_the_address() -> None:
    """Direction is content, so these are two facts, but whoever looks for the address finds both."""
    to = stix.parse(encode(indicator(pattern="[network-traffic:dst_ref.value = '198.51.100.3/32']")))
    plain = stix.parse(encode(indicator(pattern="[ipv4-addr:value = '198.51.100.3']")))
    assert to.fact != plain.fact
    assert {value for _, value in to.values} == {value for _, value in plain.values} == {"198.51.100.3"}


def test_a_pattern_past_its_budget_is_its_own_text() -> None:
    """What is too much to be made canonical is compared as it stands, and meets nothing but the same."""
    bomb = "[" + " OR ".join(f"file:name = '{n}'" for n in range(3000)) + "]"
    assert key(indicator(pattern=bomb)) == key(indicator(pattern=f" {bomb}\n"))
    assert key(indicator(pattern=bomb)) != key(indicator(pattern=bomb.replace("'2999'", "'3000'")))


# --- MISP: the same attribute from an instance, from a feed, and as an indicator over TAXII --------------------------


@pytest.mark.parametrize(
    ("kind", "value", "pattern"),
    [
        ("domain", "X[.]Example ", "[domain-name:value='x.example']"),
        ("hostname", "x.example", "[domain-name:value = 'X.example.']"),
        ("ip-dst", "198.51.100.3", "[network-traffic:dst_ref.value = '198.51.100.3']"),
        ("ip-src", "2001:DB8::1",
         "[network-traffic:src_ref.type='ipv6-addr' AND network-traffic:src_ref.value='2001:db8::1']"),
        ("ip-dst|port", "198.51.100.3|443",
         "[network-traffic:dst_port = '443' AND network-traffic:dst_ref.value = '198.51.100.3']"),
        ("domain|ip", "X.example|198.51.100.3",
         "[domain-name:resolves_to_refs[*].value = '198.51.100.3/32' AND domain-name:value = 'x.example']"),
        ("url", "hxxp://X.example:80/a", "[url:value = 'http://x.example/a']"),
        ("url", "http://x.example/?a=[.]", "[url:value = 'http://X.example/?a=[.]']"),
        ("email-src", "me@X.example", "[email-message:from_ref.value = 'me@x.example']"),
        ("sha256", "A" * 64, f"[file:hashes.sha256 = '{A}']"),
        ("filename|sha256", f"a.exe|{'A' * 64}", f"[file:hashes.'SHA-256' = '{A}' AND file:name = 'a.exe']"),
        ("filename", "A.exe", "[file:name='A.exe']"),
        ("regkey", "HKLM\\Software\\Run", "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\software\\\\run']"),
        ("AS", "AS64496", "[autonomous-system:number = 'AS64496']"),
        ("mutex", "m", "[mutex:name = 'm']"),
        ("yara", "rule a {\r\n condition: true }", "rule a {\n condition: true }"),
    ],
)  # fmt: skip
def test_an_attribute_is_one_fact_however_it_comes(kind: str, value: str, pattern: str) -> None:
    """From an instance, from a feed, and as an indicator over TAXII."""
    language = "yara" if kind == "yara" else "stix"
    over_taxii = key(indicator(pattern=pattern, pattern_type=language))
    for source in (Source(peer="a", id="misp", kind="misp", orgs=frozenset({"*"})),
                   Source(peer="b", id="feed", kind="feed", orgs=frozenset({"*"}))):  # fmt: skip
        assert {over_taxii} == {made.fact for made in _attribute(source, kind, value) if made.type == "indicator"}


def _attribute(source: Source, kind: str, value: str) -> list[stix.StixObject]:
    attribute = {
        "uuid": UUID, "type": kind, "category": "Network activity", "value": value, "to_ids": True, "distribution": "5",
        "timestamp": "1700000001", "deleted": False,
    }  # fmt: skip
    event = {
        "uuid": OTHER, "info": "Example", "date": "2026-01-02", "timestamp": "1700000002", "distribution": "3",
        "analysis": "2", "threat_level_id": "3", "published": True, "publish_timestamp": "1700000003",
        "Orgc": {"uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f", "name": "Example"}, "Attribute": [attribute],
    }  # fmt: skip
    return [made for page in pages(orjson.dumps({"Event": event}), source, now=NOW) for made in page.objects]


# --- between things, for one audience --------------------------------------------------------------------------------

FACTS = {INDICATOR: "fact-one", f"domain-name--{UUID}": "fact-two", SEEN: "fact-three"}


def relationship(**more: Any) -> dict[str, Any]:
    common = {"relationship_type": "indicates", "source_ref": INDICATOR, "target_ref": MALWARE}
    return sdo("relationship", **{**common, **more})


def sighting(**more: Any) -> dict[str, Any]:
    common = {"sighting_of_ref": INDICATOR, "created_by_ref": IDENTITY, "first_seen": WHEN, "count": 3}
    return sdo("sighting", **{**common, **more})


def observed(**more: Any) -> dict[str, Any]:
    common = {
        "first_observed": WHEN,
        "last_observed": WHEN,
        "number_observed": 1,
        "object_refs": [f"domain-name--{UUID}"],
    }
    return sdo("observed-data", **{**common, **more})


def traffic(**more: Any) -> dict[str, Any]:
    return sco("network-traffic", **{"dst_ref": f"domain-name--{UUID}", "protocols": ["tcp"], "dst_port": 443, **more})


@pytest.mark.parametrize("made", [relationship(), sighting(), observed(), traffic()], ids=lambda made: made["type"])
def test_nothing_is_said_between_what_is_no_fact(made: dict[str, Any]) -> None:
    """R23: a relationship between objects that are not folded is never folded; nor is it where its ends are unknown."""
    assert facts.ends(made)
    assert facts.between(made, {}) is None
    assert facts.between(made, {end: end for end in facts.ends(made)}) is None
    assert facts.between(made, FACTS) is not None
    assert made["type"] in facts.COMPOSITE


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (relationship(), {"description": "commentary", "confidence": 10, "created_by_ref": IDENTITY}),
        (relationship(start_time=WHEN), {"start_time": WHEN.replace("678", "678000")}),
        (sighting(), {"description": "commentary", "created": "2025-01-02T03:04:05.678Z"}),
        (observed(), {"created_by_ref": IDENTITY, "labels": ["x"]}),
        (traffic(), {"protocols": ["TCP"], "x_score": 3}),
    ],
    ids=["relationship", "spelling of a time", "sighting", "observed-data", "network-traffic"],
)  # fmt: skip
def test_what_is_told_beside_is_no_other_fact(made: dict[str, Any], same: dict[str, Any]) -> None:
    """Commentary, owner and bookkeeping do not make it another statement; nor do other ids of the same ends."""
    twins = {end.replace(UUID, OTHER): fact for end, fact in FACTS.items()}
    copied = json.loads(json.dumps({**made, **same}).replace(f"indicator--{UUID}", f"indicator--{OTHER}"))
    copied = json.loads(json.dumps(copied).replace(f"domain-name--{UUID}", f"domain-name--{OTHER}"))
    assert facts.between(copied, twins) == facts.between(made, FACTS)


@pytest.mark.parametrize(
    ("made", "other"),
    [
        (relationship(), {"relationship_type": "related-to"}),
        (relationship(), {"source_ref": MALWARE, "target_ref": INDICATOR}),
        (relationship(), {"target_ref": f"malware--{OTHER}"}),
        (relationship(), {"start_time": WHEN}),
        (relationship(start_time=WHEN), {"stop_time": "2027-01-02T03:04:05.678Z"}),
        (sighting(), {"created_by_ref": f"identity--{UUID}"}),
        (sighting(), {"first_seen": "2025-01-02T03:04:05.678Z"}),
        (sighting(), {"last_seen": "2027-01-02T03:04:05.678Z"}),
        (sighting(), {"count": 4}),
        (sighting(), {"where_sighted_refs": [IDENTITY]}),
        (sighting(), {"observed_data_refs": [SEEN]}),
        (sighting(), {"summary": True}),
        (sighting(), {"extensions": {EXTENSION: {"event": OTHER, "sighting": {"source": "sensor"}}}}),
        (observed(), {"number_observed": 2}),
        (observed(), {"last_observed": "2027-01-02T03:04:05.678Z"}),
        (observed(), {"object_refs": [f"domain-name--{UUID}", f"file--{UUID}"]}),
        (traffic(), {"dst_port": 80}),
        (traffic(), {"start": WHEN}),
        (traffic(), {"src_ref": f"ipv4-addr--{UUID}"}),
    ],
    ids=lambda each: "-".join(each) if "type" not in each else each["type"],
)  # fmt: skip
def test_another_statement_between_things_is_another_fact(made: dict[str, Any], other: dict[str, Any]) -> None:
    """Kind, direction, ends, times, count, place and creator each make it another one."""
    assert facts.between({**made, **other}, FACTS) != facts.between(made, FACTS)


@pytest.mark.parametrize(
    "made",
    [
        relationship(relationship_type="duplicate-of"),
        relationship(relationship_type="derived-from"),
        relationship(source_ref=INDICATOR, target_ref=f"indicator--{OTHER}"),
        {name: value for name, value in sighting().items() if name != "created_by_ref"},
        {**observed(), "objects": {"0": {"type": "domain-name", "value": "x.example"}}},
    ],
    ids=["duplicate", "derived", "twins", "nobody's sighting", "objects inside"],
)
def test_what_has_no_key_even_between_facts(made: dict[str, Any]) -> None:
    """What speaks of objects and not of facts, or of which nobody knows whose it is."""
    assert facts.between(made, {**FACTS, f"indicator--{OTHER}": "fact-one"}) is None


def test_a_sighting_without_a_time_is_counted_by_itself() -> None:
    """Two that say nothing of when are two that were counted, at the time when each was written."""
    bare = {name: value for name, value in sighting().items() if name != "first_seen"}
    again = {**bare, "created": "2025-01-02T03:04:05.678Z"}
    assert facts.between(bare, FACTS) != facts.between(again, FACTS)


def test_the_order_of_what_is_referred_to_says_nothing() -> None:
    """Several observables of one observation, and several data of one sighting, come in any order."""
    refs = [f"domain-name--{UUID}", f"file--{UUID}"]
    assert facts.between(observed(object_refs=refs), FACTS) == facts.between(observed(object_refs=refs[::-1]), FACTS)


@pytest.mark.parametrize("made", SAMPLES.values(), ids=SAMPLES)
def test_a_key_between_things_is_for_what_has_ends(made: dict[str, Any]) -> None:
    """Everything else has none, whatever the audience sees."""
    seen = dict.fromkeys((*facts.ends(made), INDICATOR, IDENTITY), "fact-one")
    if made["type"] not in facts.COMPOSITE:
        assert facts.ends(made) == ()
        assert facts.between(made, seen) is None
    else:
        assert set(facts.ends(made)) <= stix.parse(encode(made)).refs


# --- by what else it is known ----------------------------------------------------------------------------------------

OCTI = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"


def test_other_ids_are_read() -> None:
    """Those of OpenCTI, in both places, and that which misp-stix notes; each once, in their order."""
    one, two, three = (f"indicator--{n * 8}-1111-4111-8111-111111111111" for n in "abc")
    attribute = {"event": OTHER, "attribute": {"comment": f"x - Original UUID was: {three.partition('--')[2]}"}}
    made = indicator(
        x_opencti_stix_ids=[two, one, two, INDICATOR, "indicator--x", f"malware--{UUID}", 3],
        extensions={OCTI: {"extension_type": "property-extension", "stix_ids": [one]}, EXTENSION: attribute},
    )
    assert facts.aliases(made) == (two, one, three)
    assert stix.parse(
        encode({**made, "extensions": {}} | {"extensions": {OCTI: made["extensions"][OCTI]}})
    ).aliases == (two, one)
    assert facts.aliases(indicator()) == ()


@pytest.mark.parametrize("spoilt_list", [None, "x", {"a": 1}, [["x"]], [None]])
def test_bad_lists_of_ids_name_nothing(spoilt_list: Any) -> None:
    """They are only ignored: the object stands for itself."""
    assert facts.aliases(indicator(x_opencti_stix_ids=spoilt_list, extensions={OCTI: {"stix_ids": spoilt_list}})) == ()


def test_the_number_of_other_ids_is_bounded() -> None:
    """A peer cannot fill the table of aliases with one object."""
    many = [f"indicator--{n:08x}-1111-4111-8111-111111111111" for n in range(5000)]
    assert facts.aliases(indicator(x_opencti_stix_ids=many)) == tuple(many[:50])


def reference(source: str, number: str) -> dict[str, str]:
    return {"source_name": source, "external_id": number}


@pytest.mark.parametrize(
    ("kind", "references", "found"),
    [
        ("attack-pattern", [reference("mitre-attack", "T1003"), reference("capec", "CAPEC-13")], ("mitre-attack",
         "T1003")),
        ("attack-pattern", [reference("capec", "CAPEC-13"), reference("cwe", "CWE-20")], ("capec", "CAPEC-13")),
        ("attack-pattern", [reference("mitre-ics-attack", "T0800")], ("mitre-attack", "T0800")),
        ("attack-pattern", [reference("cwe", "CWE-20")], None),
        ("attack-pattern", [reference("mitre-attack", "T1"), reference("mitre-attack", "T2")], None),
        ("vulnerability", [reference("CVE", "cve-2021-44228"), reference("cve", "CVE-2021-44228")], ("cve",
         "CVE-2021-44228")),
        ("vulnerability", [reference("cve", "CVE-2021-44228"), reference("cve", "CVE-2021-45046")], None),
        ("malware", [reference("mitre-attack", "S0002"), reference("cve", "CVE-2021-44228")], ("mitre-attack",
         "S0002")),
        ("malware", [{"source_name": "mitre-attack"}], None),
        ("x-mitre-tactic", [reference("mitre-attack", "TA0001")], ("mitre-attack", "TA0001")),
        ("indicator", [reference("cve", "CVE-2021-44228")], None),
        ("report", [reference("mitre-attack", "T1003")], None),
    ],
)  # fmt: skip
def test_the_number_in_a_catalogue_is_read(kind: str, references: list[Any], found: tuple[str, str] | None) -> None:
    """Its own number, and not that of something that it has to do with."""
    made = sdo(kind, name="x", external_references=references)
    assert facts.external_ids(made) == ((found,) if found else ())


def test_notes_name_each_odd_value() -> None:
    """Path, the value as it was received, and what there is to say of it."""
    pattern = "[domain-name:value = 'evil[.]example' OR ipv4-addr:value IN ('198.51.100.3', '198.51.100.300')]"
    assert facts.notes(indicator(pattern=pattern)) == (
        ("domain-name:value", "evil[.]example", "value.defanged"),
        ("ipv4-addr:value", "198.51.100.300", "value.not_an_ipv4"),
    )
    assert facts.notes(sco("file", hashes={"sha256": "abc"}, name="a ")) == (
        ("file:hashes.SHA-256", "abc", "value.not_a_hash"),
        ("file:name", "a ", "value.trimmed"),
    )
    assert facts.notes(indicator()) == facts.notes(sdo("malware", name="x ")) == ()
