"""STIX 2.0 in the form of STIX 2.1 (R6): valid, nothing lost, the same for every node; stix2 is the oracle."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix2 import parse
from stix2patterns.validator import run_validator
from stix_samples import GREEN, IDENTITY, OTHER, RED, UUID, WHEN, encode, sco, sdo

from exchange.errors import ContentError
from exchange.model import definitions, schema, stix, upgrade

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "stix20"
LATER = "2026-01-03T00:00:00Z"
# Real objects that no STIX 2.0 validator takes either: ids of other systems, no name, no target.
REFUSED = {"attack": 0, "capec": 0, "elevator": 35, "misp-stix": 0, "unit42": 19}

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
MOMENTS = st.datetimes(datetime(1900, 1, 1)).map(lambda moment: f"{moment.isoformat()}Z")
LABELS = st.lists(
    st.sampled_from(["malicious-activity", "trojan", "nation-state", "remote-access", "threat-report", "tlp:x", "é"]),
    min_size=1,
    max_size=4,
)
KILL_CHAIN = {"kill_chain_name": "a-chain", "phase_name": "a-phase"}
OPTIONAL: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "attack-pattern": {"description": WORDS},
    "campaign": {"aliases": st.lists(WORDS, min_size=1), "first_seen": MOMENTS, "objective": WORDS},
    "course-of-action": {"description": WORDS},
    "identity": {"sectors": st.just(["energy"]), "contact_information": WORDS},
    "indicator": {"name": WORDS, "valid_until": st.just("9999-01-01T00:00:00Z")},
    "intrusion-set": {"goals": st.lists(WORDS, min_size=1), "primary_motivation": st.just("coercion")},
    "malware": {"description": WORDS, "kill_chain_phases": st.just([KILL_CHAIN])},
    "report": {"description": WORDS},
    "threat-actor": {"roles": st.just(["director"]), "sophistication": st.just("expert"), "resource_level": WORDS},
    "tool": {"tool_version": WORDS},
    "vulnerability": {"description": WORDS},
    "relationship": {"description": WORDS},
    "sighting": {"count": st.integers(0, 999_999_999), "summary": st.booleans(), "first_seen": MOMENTS},
    "observed-data": {},
}  # fmt: skip
PATTERNS = st.sampled_from([
    "[domain-name:value = 'evil.example']",
    "[file:hashes.'SHA-256' = '" + "a" * 64 + "'] START t'2016-06-01T00:00:00Z' STOP t'2016-07-01T00:00:00Z'",
    "([a:b = 'START'] AND [a:b = 'x']) START t'2016-06-01T00:00:00.5Z' STOP t'2016-07-01T00:00:00Z' REPEATS 2 TIMES",
])  # fmt: skip
REQUEST = {"request_method": "get", "request_value": "/x", "message_body_data_ref": "3"}
ARCHIVE = {"contains_refs": ["3"], "version": "5.0"}
OBSERVED: list[dict[str, Any]] = [
    {"0": {"type": "ipv4-addr", "value": "192.0.2.1"}},
    {
        "0": {"type": "ipv4-addr", "value": "192.0.2.1", "resolves_to_refs": ["2"]},
        "1": {"type": "network-traffic", "src_ref": "0", "dst_port": 80, "protocols": ["tcp"]}
        | {"extensions": {"http-request-ext": REQUEST}},
        "2": {"type": "mac-addr", "value": "aa:bb:cc:dd:ee:ff"},
        "3": {"type": "artifact", "payload_bin": "eA=="},
    },
    {
        "a": {"type": "file", "name": "x.exe", "hashes": {"ssdeep": "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C"}}
        | {"created": WHEN, "modified": WHEN, "accessed": WHEN, "size": 3, "parent_directory_ref": "b"},
        "b": {"type": "directory", "path": "C:\\x", "created": WHEN, "contains_refs": ["a"]},
        "c": {"type": "process", "name": "x", "arguments": ["-v"], "created": WHEN}
        | {"binary_ref": "a", "creator_user_ref": "d"},
        "d": {"type": "user-account", "user_id": "1001", "password_last_changed": WHEN},
        "e": {"type": "windows-registry-key", "key": "hkey_local_machine\\x", "modified": WHEN}
        | {"values": [{"name": "v", "data": "1"}]},
    },
    {
        "0": {"type": "email-message", "is_multipart": True, "from_ref": "1", "to_refs": ["1"], "subject": "é"}
        | {"body_multipart": [{"content_type": "text/plain", "body_raw_ref": "2"}]},
        "1": {"type": "email-addr", "value": "a@b.example"},
        "2": {"type": "file", "name": "x.zip", "extensions": {"archive-ext": ARCHIVE}},
        "3": {"type": "file", "name": "y", "is_encrypted": True, "encryption_algorithm": "AES128-CBC"},
    },
]  # fmt: skip


def needed(kind: str, draw: Any) -> dict[str, Any]:
    """What STIX 2.0 requires of a type, beyond what is common to all."""
    labels = draw(LABELS)
    return {
        "identity": {"name": "X", "identity_class": "organization"},
        "indicator": {"labels": labels, "pattern": draw(PATTERNS), "valid_from": WHEN},
        "malware": {"name": draw(WORDS), "labels": labels},
        "report": {"name": draw(WORDS), "labels": labels, "published": WHEN, "object_refs": [f"tool--{UUID}"]},
        "threat-actor": {"name": draw(WORDS), "labels": labels},
        "tool": {"name": draw(WORDS), "labels": labels},
        "relationship": {"relationship_type": "uses"}
        | {"source_ref": f"malware--{UUID}", "target_ref": f"tool--{OTHER}"},
        "sighting": {"sighting_of_ref": f"malware--{UUID}", "where_sighted_refs": [IDENTITY]},
        "observed-data": {"first_observed": WHEN, "last_observed": LATER, "number_observed": 1}
        | {"objects": draw(st.sampled_from(OBSERVED))},
    }.get(kind, {"name": draw(WORDS)})


@st.composite
def stix20(draw: Any) -> dict[str, Any]:
    """A valid STIX 2.0 object of any type, as stix2 writes it."""
    kind = draw(st.sampled_from(sorted(OPTIONAL)))
    given = {"type": kind, "id": f"{kind}--{UUID}", "created": WHEN, "modified": WHEN, **needed(kind, draw)}
    given |= draw(st.fixed_dictionaries({}, optional=OPTIONAL[kind]))
    common = {
        "created_by_ref": st.just(IDENTITY),
        "revoked": st.booleans(),
        "labels": LABELS,
        "object_marking_refs": st.just([RED]),
        "granular_markings": st.sampled_from([[{"selectors": [s], "marking_ref": GREEN}] for s in ("created", "id")]),
        "external_references": st.just([{"source_name": "x", "external_id": "1"}]),
        "x_custom": st.one_of(WORDS, st.integers(-(2**40), 2**40), st.lists(WORDS, min_size=1)),
    }
    given |= draw(st.fixed_dictionaries({}, optional=common))
    made: dict[str, Any] = json.loads(parse(given, allow_custom=True, version="2.0").serialize())
    if "pattern" in made and draw(st.booleans()):
        made["pattern"] = made["pattern"].replace(" t'", " '")  # as the text of STIX 2.0 has it, not its grammar
    return made


def values(document: Any) -> list[str]:
    """Every value at any depth, as text, without the names of its property."""
    if isinstance(document, dict):
        return [value for inner in document.values() for value in values(inner)]
    if isinstance(document, list):
        return [value for inner in document for value in values(inner)]
    return [json.dumps(document)]


@settings(max_examples=400, deadline=None)
@given(given=stix20())
def test_every_stix_20_object_becomes_valid_and_loses_nothing(given: dict[str, Any]) -> None:
    """Valid by the OASIS schema of 2.1, with the id, the version and every property and value of 2.0."""
    found = stix.parse(encode(given))
    made = json.loads(found.body)
    assert "repair.stix20" in found.repairs
    assert (found.id, made["modified"], made["spec_version"]) == (given["id"], given["modified"], "2.1")
    assert json.loads(found.raw) == given
    inside = {"objects", "granular_markings", "pattern"}
    assert {name: made[name] for name in given.keys() - inside} == {n: given[n] for n in given.keys() - inside}
    assert made.keys() - given.keys() <= {
        *("spec_version", "pattern_type", "is_family"),
        *("indicator_types", "malware_types", "report_types", "threat_actor_types", "tool_types"),
    }
    if "pattern" in given:
        assert made["pattern"].replace("t'", "'") == given["pattern"].replace("t'", "'")
        assert run_validator(made["pattern"], "2.1") == []
    keys = given.get("objects", {}).keys()
    kept = [value for value in values(given.get("objects", {})) if json.loads(value) not in keys]
    left = values(made.get("objects", {}))
    for value in kept:
        left.remove(value)
    assert made.get("objects", {}).keys() == keys


@settings(max_examples=200, deadline=None)
@given(given=stix20())
def test_the_upgrade_is_idempotent_and_pure(given: dict[str, Any]) -> None:
    """What is upgraded is STIX 2.1; upgrading it by force, or sending it on, changes nothing more."""
    before = json.dumps(given)
    made = upgrade.upgrade(given)
    assert json.dumps(given) == before
    assert not upgrade.is_stix20(made, schema.observable_types())
    assert upgrade.upgrade(made) == made == upgrade.upgrade(given)
    again = stix.parse(stix.parse(encode(given)).body)
    assert again.digest == stix.parse(encode(given)).digest
    assert "repair.stix20" not in again.repairs


def made_of(kind: str, **more: Any) -> dict[str, Any]:
    bare = sdo(kind, **more)
    bare.pop("spec_version")
    return dict(json.loads(stix.parse(encode(bare)).body))


def test_labels_of_the_vocabulary_become_types_and_stay_labels() -> None:
    """MISP's tags stand among the labels too: they are labels only."""
    labels = ["trojan", 'misp:type="ip-dst"', "trojan"]
    made = made_of("malware", name="x", labels=labels)
    assert (made["malware_types"], made["labels"], made["is_family"]) == (["trojan"], labels, True)
    assert "malware_types" not in made_of("malware", name="x", labels=["misp"])
    assert made_of("malware", name="x", labels=["worm"], malware_types=["bot"])["malware_types"] == ["bot"]


def test_a_marked_label_is_not_repeated_where_nothing_marks_it() -> None:
    """Redaction removes what a granular marking selects; a copy of it would stay."""
    for selector in ("labels", "labels.[0]"):
        marks = [{"selectors": [selector], "marking_ref": RED}]
        assert "malware_types" not in made_of("malware", name="x", labels=["worm"], granular_markings=marks)


def test_inside_observed_data_references_are_ids_and_selectors_follow_names() -> None:
    """Each thing observed has the id that every node gives it; a granular marking still marks what it marked."""
    marks = [{"selectors": ["objects.a.created", "objects.a.name"], "marking_ref": RED}]
    more = {"first_observed": WHEN, "last_observed": WHEN, "number_observed": 1, "granular_markings": marks}
    made = made_of("observed-data", objects=OBSERVED[2], **more)
    inside = made["objects"]
    assert inside["a"]["parent_directory_ref"] == inside["b"]["id"]
    assert inside["b"]["contains_refs"] == [inside["a"]["id"]]
    assert inside["c"]["image_ref"] == inside["a"]["id"] == "file--" + inside["a"]["id"][6:]
    assert (inside["a"]["ctime"], inside["c"]["created_time"]) == (WHEN, WHEN)
    assert made["granular_markings"][0]["selectors"] == ["objects.a.ctime", "objects.a.name"]


def test_what_only_looks_like_a_reference_is_left_as_it_is() -> None:
    """In dictionaries whose names are anybody's (environment variables, header fields) a value is a value."""
    process = {"type": "process", "environment_variables": {"CONFIG_ref": "0", "PATH_refs": ["0"]}}
    more = {"first_observed": WHEN, "last_observed": WHEN, "number_observed": 1}
    made = made_of("observed-data", objects={"0": process}, **more)
    assert made["objects"]["0"]["environment_variables"] == process["environment_variables"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a:b = 'START']", "[a:b = 'START']"),
        ("[a:b = 'x'] START '2016-06-01T00:00:00Z' STOP '2016-07-01T00:00:00Z'",
         "[a:b = 'x'] START t'2016-06-01T00:00:00Z' STOP t'2016-07-01T00:00:00Z'"),
        ("[a:b = 'it\\'s'] START/**/'2016-06-01T00:00:00Z'STOP'2016-07-01T00:00:00Z'",
         "[a:b = 'it\\'s'] START/**/t'2016-06-01T00:00:00Z'STOPt'2016-07-01T00:00:00Z'"),
        ("[a:b = 'x'] START t'2016-06-01T00:00:00Z' STOP t'2016-07-01T00:00:00Z'",
         "[a:b = 'x'] START t'2016-06-01T00:00:00Z' STOP t'2016-07-01T00:00:00Z'"),
        ("START 'x", "START 'x"),
        ("", ""),
    ],
)  # fmt: skip
def test_start_and_stop_take_timestamps(before: str, after: str) -> None:
    """Only the two literals change."""
    assert upgrade.timestamps(before) == after


def test_what_cannot_be_upgraded_is_set_aside_by_its_own_code() -> None:
    """The reason names what STIX 2.1 misses; a custom type only needs what is common to all."""
    for wrong in (sdo("malware"), sdo("relationship"), {**sdo("x-thing"), "labels": []}, sdo("note")):
        wrong.pop("spec_version")
        with pytest.raises(ContentError) as caught:
            stix.parse(encode(wrong))
        assert caught.value.code == "content.stix20"
    assert made_of("x-thing", x_y=1) == sdo("x-thing", x_y=1)


def test_a_tlp_definition_of_stix_20_is_served_in_its_canonical_form() -> None:
    """Both repairs are named."""
    white = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
    given = {"type": "marking-definition", "id": white, "created": "2017-01-20T00:00:00.000Z"}
    found = stix.parse(encode({**given, "definition_type": "tlp", "definition": {"tlp": "white"}}))
    assert found.repairs == ("repair.stix20", "repair.tlp_definition")
    assert json.loads(found.body) == definitions.canonical(white)


@given(junk=st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
                         lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                             ["type", "id", "selectors", "x_ref", "x_refs", "hashes", "0"]), inner, max_size=3),
                         max_leaves=12),
       name=st.sampled_from(["labels", "objects", "granular_markings", "pattern", "external_references"]),
       kind=st.sampled_from(["malware", "observed-data", "indicator", "x-thing"]))  # fmt: skip
def test_nothing_given_makes_the_upgrade_fail(junk: Any, name: str, kind: str) -> None:
    """Values of the wrong kind are passed over, for the schema to name."""
    upgrade.upgrade({"type": kind, "id": f"{kind}--{UUID}", name: junk})
    assert not upgrade.is_stix20(sco("url", value="http://x.example/"), schema.observable_types())


def real(name: str) -> Iterator[bytes]:
    for path in sorted((DATA / name).rglob("*.json*")):
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
        for each in document if isinstance(document, list) else document.get("objects", [document]):
            yield encode(each)


@pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
@pytest.mark.parametrize("name", REFUSED)
def test_real_stix_20_is_taken(name: str) -> None:
    """Every real object becomes valid STIX 2.1, but those that are no valid STIX 2.0."""
    count, bad = 0, []
    for raw in real(name):
        count += 1
        try:
            assert "repair.stix20" in stix.parse(raw).repairs
        except ContentError as error:
            bad.append((error.code, dict(error.fields)))
    assert count
    assert len(bad) == REFUSED[name], bad[:3]
