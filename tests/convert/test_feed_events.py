"""Released STIX becomes an event that a MISP takes from a feed; what has no form there is said."""

import hashlib
import json
from datetime import UTC, datetime
from uuid import NAMESPACE_DNS, uuid5

import pytest
from events import whole
from pymisp import MISPEvent

from exchange.convert import Lost, Releasable, event_of, hashes, manifest_entry
from exchange.model.marking import Tlp

EVENT = "5c4e0000-0000-4000-8000-000000000100"
WHEN = "2026-01-02T03:04:05.678Z"
LISTED = datetime(2026, 1, 20, tzinfo=UTC)


def mint(text):
    return str(uuid5(NAMESPACE_DNS, text))


def stix(kind, number=1, **more):
    common = {} if kind in {"domain-name", "file", "ipv4-addr", "url"} else {"created": WHEN, "modified": WHEN}
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--5c4e0000-0000-4000-8000-{number:012d}",
        **common,
        **more,
    }


def indicator(pattern, number=1, **more):
    return stix("indicator", number, pattern=pattern, pattern_type="stix", valid_from=WHEN, **more)


def made(*objects, tlp=Tlp.GREEN):
    items = [o if isinstance(o, Releasable) else Releasable(stix=o, tlp=tlp, added=LISTED) for o in objects]
    return event_of(
        items,
        uuid=EVENT,
        info="CCC",
        org_name="CERT-QC",
        org_uuid=mint("org"),
        changed=datetime(2026, 2, 1, tzinfo=UTC),
        mint=mint,
    )


def attributes(found):
    return [(a["type"], a["value"], a["to_ids"]) for a in found.document["Event"]["Attribute"]]


@pytest.mark.parametrize(
    ("pattern", "kind", "value"),
    [
        ("[domain-name:value = 'evil.example']", "domain", "evil.example"),
        ("[ipv4-addr:value = '192.0.2.7/32']", "ip-dst", "192.0.2.7"),
        ("[ipv6-addr:value = '2001:DB8::1']", "ip-dst", "2001:db8::1"),
        ("[url:value = 'https://evil.example/a?b=1']", "url", "https://evil.example/a?b=1"),
        ("[email-addr:value = 'a@evil.example']", "email-src", "a@evil.example"),
        ("[mutex:name = 'Global\\\\x']", "mutex", "Global\\x"),
        ("[file:hashes.'SHA-256' = 'AA']", "sha256", "aa"),
        ("[file:hashes.MD5 = 'aa']", "md5", "aa"),
        ("[file:name = 'a.exe']", "filename", "a.exe"),
    ],
)
def test_a_single_comparison_is_an_attribute_with_the_uuid_of_its_indicator(pattern, kind, value):
    found = made(indicator(pattern))
    assert attributes(found) == [(kind, value, kind != "filename")]
    assert found.document["Event"]["Attribute"][0]["uuid"] == "5c4e0000-0000-4000-8000-000000000001"
    assert found.lost == ()


def test_alternatives_and_hashes_of_one_file_are_taken_apart():
    either = indicator("[domain-name:value = 'a.example' OR ipv4-addr:value = '192.0.2.1']", 1)
    file = indicator("[file:hashes.MD5 = 'aa' AND file:hashes.'SHA-1' = 'bb']", 2)
    split = indicator("[domain-name:value = 'c.example'] OR [domain-name:value = 'd.example']", 3)
    found = made(either, file, split)
    assert [(kind, value) for kind, value, _ in attributes(found)] == [
        ("domain", "a.example"),
        ("ip-dst", "192.0.2.1"),
        ("md5", "aa"),
        ("sha1", "bb"),
        ("domain", "c.example"),
        ("domain", "d.example"),
    ]
    uuids = [a["uuid"] for a in found.document["Event"]["Attribute"]]
    assert len(set(uuids)) == 6
    assert uuids[0] == mint(f"{either['id']}|domain|a.example")


@pytest.mark.parametrize(
    "pattern",
    [
        "[domain-name:value = 'a.example' AND ipv4-addr:value = '192.0.2.1']",
        "[network-traffic:dst_port = 25]",
        "[domain-name:value != 'a.example']",
        "[domain-name:value = 'a'] FOLLOWEDBY [domain-name:value = 'b']",
        "[domain-name:value = 'a' OR x:y = 'b']",
        "[a:b",
        "",
    ],
)
def test_what_means_more_than_its_parts_is_lost_and_said(pattern):
    found = made(indicator(pattern))
    assert attributes(found) == []
    assert found.lost == (Lost(id=indicator("")["id"], code="feed.no_form"),)


def test_a_yara_rule_is_not_read_as_a_stix_pattern():
    rule = indicator("[domain-name:value = 'a.example']") | {"pattern_type": "yara"}
    assert made(rule).lost[0].code == "feed.no_form"


def test_what_says_the_same_joins_as_in_misp():
    """MISP drops the second of two equal values without a word; here the stricter mark and to_ids win."""
    seen = Releasable(stix=stix("domain-name", 2, value="evil.example"), tlp=Tlp.AMBER, added=LISTED)
    found = made(indicator("[domain-name:value = 'evil.example']"), seen)
    assert attributes(found) == [("domain", "evil.example", True)]
    assert [t["name"] for t in found.document["Event"]["Attribute"][0]["Tag"]] == ["tlp:amber"]
    other = made(seen, indicator("[domain-name:value = 'evil.example']"))
    assert attributes(other) == [("domain", "evil.example", True)]


def test_two_objects_of_one_uuid_keep_apart():
    found = made(stix("domain-name", 1, value="a.example"), stix("ipv4-addr", 1, value="192.0.2.1"))
    uuids = [a["uuid"] for a in found.document["Event"]["Attribute"]]
    assert len(set(uuids)) == 2
    assert [t for _, _, t in attributes(found)] == [False, False]


@pytest.mark.parametrize(
    ("strictest", "distribution"),
    [(Tlp.CLEAR, "3"), (Tlp.GREEN, "1"), (Tlp.AMBER, "0"), (Tlp.AMBER_STRICT, "0"), (Tlp.RED, "0"), (None, "0")],
)
def test_the_event_is_as_strict_as_its_strictest_attribute(strictest, distribution):
    clear = Releasable(
        stix=indicator("[domain-name:value = 'b.example']", 2), tlp=Tlp.CLEAR if strictest else None, added=LISTED
    )
    event = made(indicator("[domain-name:value = 'a.example']"), clear, tlp=strictest).document["Event"]
    assert [t["name"] for t in event["Tag"]] == ([strictest.tag] if strictest is not None else [])
    assert event["distribution"] == distribution
    assert {a["distribution"] for a in event["Attribute"]} == {"5"}


def test_times_are_the_creators_and_the_views():
    found = made(indicator("[domain-name:value = 'a.example']"), stix("domain-name", 2, value="b.example")).document[
        "Event"
    ]
    assert [a["timestamp"] for a in found["Attribute"]] == ["1767323045", "1768867200"]
    assert found["timestamp"] == "1769904000"


def test_reports_become_event_reports_and_the_rest_is_counted():
    found = made(
        stix("report", 1, name="Vigne folle", description="Texte", published=WHEN, object_refs=[]),
        stix("relationship", 2),
        indicator("[domain-name:value = 'a.example']", 3) | {"revoked": True},
        stix("marking-definition") | {"id": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"},
    )
    assert [(r["name"], r["content"]) for r in found.document["Event"]["EventReport"]] == [("Vigne folle", "Texte")]
    assert [lost.code for lost in found.lost] == ["feed.no_form", "feed.revoked"]


def test_manifest_and_hashes():
    document = made(indicator("[domain-name:value = 'a.example']")).document
    assert manifest_entry(document) == {
        "Orgc": {"name": "CERT-QC", "uuid": mint("org")},
        "Tag": document["Event"]["Tag"],
        "info": "CCC",
        "date": "2026-02-01",
        "analysis": "2",
        "threat_level_id": "4",
        "timestamp": "1769904000",
    }
    digest = hashlib.md5(b"a.example", usedforsecurity=False).hexdigest()
    assert list(hashes(document)) == [f"{digest},{EVENT}"]


def test_pymisp_reads_it_and_it_comes_back_as_the_same_facts():
    found = made(indicator("[domain-name:value = 'a.example']"), indicator("[file:hashes.MD5 = '" + "a" * 32 + "']", 2))
    raw = json.dumps(found.document)
    event = MISPEvent()
    event.load(raw)
    assert len(event.attributes) == 2
    page = whole(raw.encode())
    patterns = {value for o in page.objects if o.type == "indicator" for value in o.values}
    assert patterns == {("domain-name:value", "a.example"), ("file:hashes.MD5", "a" * 32)}
    assert {o.label.tlp for o in page.objects if o.type != "identity"} == {Tlp.GREEN}
