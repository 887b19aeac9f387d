"""What a released STIX object stands for in MISP: its own entity if its extension is true of it, else by table."""

import json

import orjson
import pytest
from events import attribute, convert, event, file_object, of, sha256, tag, uuid

from exchange.convert import Lost, parts
from exchange.convert.attributes import known
from exchange.convert.foreign import category_of
from exchange.convert.table import ROWS
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.model.misp import EXTENSION

GREEN = Label(tlp=Tlp.GREEN)
WHEN = "2026-01-02T03:04:05.678Z"
SECONDS = 1767323045


def stix(kind, number=1, **more):
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid(number)}"} | more


def sdo(kind, number=1, **more):
    return stix(kind, number, created=WHEN, modified=WHEN, **more)


def indicator(pattern, **more):
    return sdo("indicator", pattern=pattern, pattern_type="stix", valid_from=WHEN) | more


def said(found):
    return [(p.body["type"], p.body["value"], p.body["to_ids"]) for p in found[0]]


SHA = "a" * 64


@pytest.mark.parametrize(
    ("pattern", "kind", "value"),
    [
        ("[domain-name:value = 'EVIL[.]example']", "domain", "evil.example"),
        ("[ipv4-addr:value = '192.0.2.7/32']", "ip-dst", "192.0.2.7"),
        ("[network-traffic:src_ref.type = 'ipv6-addr' AND network-traffic:src_ref.value = '2001:DB8::1']", "ip-src",
         "2001:db8::1"),
        ("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.7' AND "
         "network-traffic:dst_port = 443]", "ip-dst|port", "192.0.2.7|443"),
        ("[ipv4-addr:value = '192.0.2.7' AND network-traffic:dst_port = '443']", "ip-dst|port", "192.0.2.7|443"),
        ("[domain-name:value = 'a.example' AND domain-name:resolves_to_refs[*].value = '192.0.2.1']", "domain|ip",
         "a.example|192.0.2.1"),
        ("[domain-name:value = 'a.example' AND network-traffic:dst_port = '80']", "hostname|port", "a.example|80"),
        (f"[file:name = 'a b.exe' AND file:hashes.'SHA-256' = '{SHA.upper()}']", "filename|sha256", f"a b.exe|{SHA}"),
        (f"[file:hashes.SHA256 = '{SHA}']", "sha256", SHA),
        ("[file:name = 'A.exe']", "filename", "A.exe"),
        ("[email-message:from_ref.value = 'a@b.example']", "email-src", "a@b.example"),
        ("[windows-registry-key:key = 'HKEY_USERS\\\\X' AND windows-registry-key:values[*].data = '1']",
         "regkey|value", "HKEY_USERS\\X|1"),
        ("[a:b = 1] FOLLOWEDBY [c:d = 2]", "stix2-pattern", "[a:b = 1] FOLLOWEDBY [c:d = 2]"),
        ("[domain-name:value LIKE '%.example']", "stix2-pattern", "[domain-name:value LIKE '%.example']"),
        ("[domain-name:value != 'a.example']", "stix2-pattern", "[domain-name:value != 'a.example']"),
    ],
)  # fmt: skip
def test_a_foreign_pattern_of_one_value_keeps_its_uuid(pattern, kind, value):
    found, lost = parts(indicator(pattern), GREEN)
    assert [(p.kind, p.uuid, p.timestamp, p.event) for p in found] == [("attribute", uuid(1), SECONDS, "")]
    assert (found[0].body["type"], found[0].body["value"], found[0].body["to_ids"]) == (kind, value, True)
    assert [t["name"] for t in found[0].body["Tag"]] == ["tlp:green"]
    assert lost == []


def test_alternatives_are_attributes_of_their_own_with_uuids_that_stay():
    pattern = "[domain-name:value IN ('a.example', 'b.example') OR ipv4-addr:value = '192.0.2.1']"
    first, again = parts(indicator(pattern), GREEN), parts(indicator(pattern), GREEN)
    assert said(first) == [("domain", "a.example", True), ("domain", "b.example", True), ("ip-dst", "192.0.2.1", True)]
    uuids = [p.uuid for p in first[0]]
    assert len({*uuids, uuid(1)}) == 4
    assert uuids == [p.uuid for p in again[0]]


def test_hashes_of_one_file_each_name_it():
    both = f"[file:hashes.MD5 = '{'b' * 32}' AND file:hashes.'SHA-256' = '{SHA}']"
    assert said(parts(indicator(both), GREEN)) == [("md5", "b" * 32, True), ("sha256", SHA, True)]


def test_rules_and_harmless_indicators():
    assert said(parts(indicator("rule x { condition: true }", pattern_type="yara"), GREEN))[0][0] == "yara"
    harmless = indicator("[url:value = 'https://a.example/']", indicator_types=["benign"])
    assert said(parts(harmless, GREEN)) == [("url", "https://a.example/", False)]
    assert parts(indicator("x", pattern_type="pcre"), GREEN)[1] == [
        Lost(id=f"indicator--{uuid(1)}", code="convert.no_form")
    ]


def test_what_its_creator_revoked_is_a_soft_deletion_without_the_value():
    found, _ = parts(indicator("[domain-name:value = 'a.example']", revoked=True), GREEN)
    assert found[0].body == {
        "uuid": uuid(1), "type": "domain", "category": "Network activity", "timestamp": str(SECONDS), "deleted": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("observable", "wanted"),
    [
        (stix("domain-name", value="a.example"), [("domain", "a.example", False)]),
        (stix("file", name="a", hashes={"MD5": "b" * 32}), [("filename|md5", f"a|{'b' * 32}", False)]),
        (stix("file", hashes={"MD5": "b" * 32, "X-OTHER": "1"}), [("md5", "b" * 32, False)]),
        (stix("autonomous-system") | {"number": 65001}, [("AS", "65001", False)]),
        (stix("windows-registry-key", key="HKEY_USERS\\A", values=[{"data": "1"}]),
         [("regkey|value", "HKEY_USERS\\A|1", False)]),
        (stix("x509-certificate", hashes={"SHA-1": "c" * 40}), [("x509-fingerprint-sha1", "c" * 40, False)]),
        (stix("email-message", is_multipart=False, subject="Hi"), [("email-subject", "Hi", False)]),
        (stix("process", command_line="x"), []),
    ],
)  # fmt: skip
def test_observables_state_and_do_not_accuse(observable, wanted):
    found = parts(observable, GREEN)
    assert said(found) == wanted
    assert [x.code for x in found[1]] == ([] if wanted else ["convert.no_form"])
    assert all(p.timestamp == 0 for p in found[0])


def test_domain_objects_sightings_opinions_and_words():
    def one(item):
        found, lost = parts(item, GREEN)
        return [(p.kind, p.body) for p in found], [x.code for x in lost]

    ((kind, body),) = one(sdo("vulnerability", name="CVE-2020-0001", description="d"))[0]
    assert (kind, body["type"], body["value"], body["comment"]) == ("attribute", "vulnerability", "CVE-2020-0001", "d")
    made, lost = one(sdo("attack-pattern", name="Phishing", external_references=[
        {"source_name": "mitre-attack", "external_id": "T1566"}]))  # fmt: skip
    assert made == [("tag", {"Tag": [{"name": 'misp-galaxy:mitre-attack-pattern="Phishing - T1566"',
                                      "colour": "#0088cc", "exportable": True, "local": False}]})]  # fmt: skip
    assert lost == ["convert.name_only"]
    ((kind, body),) = one(sdo("sighting", sighting_of_ref=f"indicator--{uuid(2)}", last_seen=WHEN))[0]
    assert (kind, body["type"], body["attribute_uuid"], body["date_sighting"]) == (
        "sighting", "0", uuid(2), str(SECONDS))  # fmt: skip
    ((kind, body),) = one(sdo("opinion", opinion="strongly-disagree", object_refs=[f"indicator--{uuid(2)}"]))[0]
    assert (kind, body["type"]) == ("sighting", "1")
    ((kind, body),) = one(sdo("opinion", opinion="agree", explanation="e", object_refs=[f"report--{uuid(2)}"]))[0]
    assert (kind, body["opinion"], body["object_type"], body["comment"]) == ("opinion", "75", "Event", "e")
    for item in (sdo("report", name="R", description="d"), sdo("note", abstract="R", content="d")):
        ((kind, body),) = one(item)[0]
        assert (kind, body["name"], body["content"]) == ("report", "R", "d")


def test_what_misp_needs_nothing_of_is_neither_there_nor_lost():
    based = sdo("relationship", relationship_type="based-on", source_ref="x", target_ref="y")
    marks = stix("marking-definition") | {"id": TLP2_ID[Tlp.GREEN]}
    for item in (based, marks, sdo("identity", name="x"), sdo("observed-data", object_refs=[f"url--{uuid(1)}"])):
        assert parts(item, GREEN) == ([], [])
    assert [x.code for x in parts(sdo("infrastructure", name="x"), GREEN)[1]] == ["convert.no_form"]


def carrier(made):
    """The one object of these that carries an entity."""
    found = [orjson.loads(o.body) for o in made]
    return next(o for o in found if len(o["extensions"][EXTENSION]) > 2)


def test_a_true_extension_gives_the_entity_back_as_it_was():
    given = attribute(1, "ip-dst|port", "192.0.2.7|443", comment="c", first_seen="2023-11-10T00:00:00+02:00",
                      Tag=[tag("osint:x"), tag("tlp:amber")])  # fmt: skip
    page = convert(event(given))
    (part,), lost = parts(carrier(of(page, 1)), GREEN)
    assert lost == []
    assert (part.event, part.uuid, part.timestamp) == (page.document.id, uuid(1), 1700000001)
    for name in ("type", "category", "value", "to_ids", "comment", "first_seen", "timestamp"):
        assert part.body[name] == given[name]
    assert [t["name"] for t in part.body["Tag"]] == ["tlp:green", "osint:x"]
    assert part.body["distribution"] == "5"


def changed(item, **more):
    return json.loads(json.dumps(item)) | more


def test_a_stale_or_lying_extension_is_ignored_and_noted():
    item = carrier(of(convert(event(attribute(1))), 1))
    for lie in (
        changed(item, pattern="[domain-name:value = 'other.example']"),
        changed(item, pattern_type="yara"),
    ):
        found, lost = parts(lie, GREEN)
        assert [x.code for x in lost] == ["convert.untrue_extension"]
        assert all(p.body["value"] != "h1.example" for p in found)
    quiet = changed(item)
    quiet["extensions"][EXTENSION]["attribute"]["to_ids"] = False
    found, lost = parts(quiet, GREEN)
    assert (found[0].body["to_ids"], [x.code for x in lost]) == (True, ["convert.untrue_extension"])
    whole = carrier(of(convert(event(Object=[file_object(2, sha256(3))])), 2))
    assert [p.kind for p in parts(whole, GREEN)[0]] == ["object"]
    found, lost = parts(changed(whole, pattern=f"[file:hashes.'SHA-256' = '{SHA}']"), GREEN)
    assert [x.code for x in lost] == ["convert.untrue_extension"]
    assert [p.body["value"] for p in found] == [SHA]


def test_an_extension_never_says_a_level_nor_how_far():
    item = carrier(of(convert(event(attribute(1))), 1))
    liar = item["extensions"][EXTENSION]["attribute"]
    liar["Tag"] = [{"name": "tlp:clear"}, {"name": "TLP: White"}, {"name": "a:b"}]
    liar["distribution"], liar["sharing_group_id"] = "3", "7"
    (part,), _ = parts(item, Label(tlp=Tlp.RED))
    assert [t["name"] for t in part.body["Tag"]] == ["tlp:red", "a:b"]
    assert part.body["distribution"] == "5"
    assert "sharing_group_id" not in part.body


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {}, {"type": 3}, {"type": "domain", "value": None}])
def test_no_extension_hurts(wrong):
    item = carrier(of(convert(event(attribute(1))), 1))
    for kind in ("attribute", "objects", "frame", "report", "sighting", "proposal", "cluster"):
        item["extensions"][EXTENSION] = {"event": uuid(9), kind: wrong}
        found, _ = parts(item, GREEN)
        assert [p.body["value"] for p in found] == ["h1.example"]


def test_every_type_of_the_table_is_one_that_misp_knows_under_a_category_that_it_allows():
    types, categories = known()
    assert set(ROWS) <= set(types)
    assert {category_of(kind) for kind in ROWS} <= categories
