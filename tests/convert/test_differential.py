"""Our own mapping beside misp-stix's, over every real event: the same STIX, but for what docs/misp-mapping.md says.

What is compared of an attribute is what it says in STIX: pattern, observables, names, descriptions, phases, labels.
"""

import orjson
import pytest
from events import DATA, NOW, SOURCE, attribute, convert, event, read, uuid, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.convert import parser, split
from exchange.convert.attributes import known
from exchange.convert.labels import truth
from exchange.convert.opening import open_event
from exchange.convert.opening import read as read_slice
from exchange.convert.prepare import prepare, strip
from exchange.convert.table import ROWS, registry_key
from exchange.errors import ContentError
from exchange.model.marking import TLP_IDS

FILES = sorted(
    path
    for folder in (DATA / "misp-events", DATA / "misp-feed" / "infoblox")
    for path in folder.rglob("*.json*")
    if "manifest" not in path.name
)
LARGEST = 150_000
NOT_COMPARED = frozenset(
    {
        # Ids: none is used twice (1). Dates are the event's and the attribute's (2), marks by canonical id (3).
        "id", "object_refs", "created", "modified", "valid_from", "valid_until", "first_observed", "last_observed",
        "object_marking_refs", "extensions", "spec_version", "created_by_ref", "number_observed", "defanged",
        # A pattern in another language is in no version of STIX patterns (9).
        "pattern_version",
    }
)  # fmt: skip
RENAMED = {"SHA224": "SHA-224", "SHA384": "SHA-384", "SHA3224": "SHA3-224", "SHA3384": "SHA3-384"}  # (7)
OURS_ALONE = frozenset({"stix2-pattern", "tlsh", "filename|tlsh", "malware-sample"})  # (8, 10)
ONLY_IF_TO_IDS = frozenset({"yara", "sigma", "snort", "suricata"})  # (4)
CORRECTED = frozenset({"sha512/224", "sha512/256", "filename|sha512/224", "filename|sha512/256"})  # (7)
RULES = ONLY_IF_TO_IDS  # misp-stix puts them in brackets (9)


def plain(stix):
    """What an object says, without ids: a reference is the type that it refers to."""
    found = {name: bare(name, value) for name, value in stix.items() if name not in NOT_COMPARED}
    if stix["type"] == "windows-registry-key":
        found["key"] = registry_key(stix["key"]).casefold()  # (6)
    if stix["type"] == "indicator":
        found["pattern"] = stix["pattern"].casefold()
    found["labels"] = sorted(label for label in stix.get("labels", ()) if label.startswith(("misp:type", "misp:cat")))
    return found


def bare(name, value):
    if name.endswith("_ref") and isinstance(value, str):
        return value.partition("--")[0]
    if name.endswith("_refs") and isinstance(value, list):
        return [item.partition("--")[0] for item in value]
    if isinstance(value, dict):
        return {RENAMED.get(key, key): bare(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [bare(name, item) for item in value]
    # PyMISP, by which misp-stix reads, rewrites some values; ours stand as their creator wrote them (5).
    return value.casefold() if isinstance(value, str) else value


def by_misp_stix(frame, given_one):
    """What misp-stix makes of one attribute in its event."""
    made = parser.convert({**frame, "Attribute": [given_one], "Object": []}).objects
    aside = ("report", "grouping", "identity", "marking-definition", "note", "relationship")
    return [item for item in made if item["type"] not in aside and item["id"] not in TLP_IDS]


def by_us(page, given_one):
    carrier, own = given_one["uuid"], []
    found = [orjson.loads(made.body) for made in page.objects]
    index = {item["id"]: item for item in found}
    for item in found:
        if item["id"].endswith(carrier) and item["type"] not in ("identity", "report", "grouping"):
            own.append(item)
    for item in found:
        if item.get("relationship_type") == "based-on" and item["source_ref"] in {o["id"] for o in own}:
            own.append(index[item["target_ref"]])
    for item in list(own):
        own += [index[ref] for ref in item.get("object_refs", ()) if ref in index and index[ref] not in own]
    return [item for item in own if item["type"] not in ("relationship", "note")]


def alike(theirs, ours, given_one):
    """Raises unless both say the same, but for the documented differences."""
    kind = given_one["type"]
    if kind in OURS_ALONE or (kind in ONLY_IF_TO_IDS and not truth(given_one.get("to_ids"))) or kind in CORRECTED:
        return
    wanted, made = ({i["type"]: plain(i) for i in items} for items in (theirs, ours))
    if kind in RULES:
        wanted["indicator"]["pattern"] = wanted["indicator"]["pattern"][1:-1]
    if kind.startswith("regkey") and "indicator" in wanted:
        wanted["indicator"].pop("pattern"), made["indicator"].pop("pattern")  # the hive is written out (6)
    for item in (*wanted.values(), *made.values()):
        item.pop("description", None), item.pop("x_misp_comment", None)  # comments: kept by us wherever there is one
    assert made == wanted


@pytest.mark.skipif(not FILES, reason="the real data is not on this machine")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_attributes_of_a_real_event_say_what_misp_stix_says(path):
    raw = read(path)
    if len(raw) > LARGEST:
        pytest.skip("large: the same types, a thousand times")
    try:
        documents = split(raw)
    except ContentError:
        pytest.skip("no event")
    for document in documents:
        opened = open_event(document)
        page = whole(document)
        prepared = prepare(opened.frame, internal=SOURCE.internal, drafts=False, now=NOW)
        frame = {name: opened.frame[name] for name in ("uuid", "info", "date", "timestamp") if name in opened.frame}
        done = set()
        for part in opened.attributes:
            one = read_slice(part)
            shape = (one.get("type"), truth(one.get("to_ids")), str(one.get("value"))[:1])
            if shape in done or not prepared.takes_attribute(one):
                continue  # one of each shape: a conversion costs two milliseconds
            done.add(shape)
            strip(one)
            theirs = by_misp_stix(frame, {n: v for n, v in one.items() if n not in ("Galaxy", "Sighting", "Note")})
            if theirs and not any(bad.id == one["uuid"] for bad in page.rejected):
                alike(theirs, by_us(page, one), one)


SAMPLES = {
    "domain": "a.example", "hostname": "h.a.example", "domain|ip": "a.example|192.0.2.1", "url": "https://a.example/'x'",
    "uri": "/x/y", "link": "https://a.example/", "ip-src": "192.0.2.1", "ip-dst": "2001:db8::1", "port": "443",
    "ip-src|port": "192.0.2.1|443", "ip-dst|port": "192.0.2.1|443", "hostname|port": "a.example|80", "AS": "AS65001",
    "email": "a@b.example", "email-src": "a@b.example", "email-dst": "a@b.example", "email-subject": "Hi 'there'",
    "email-body": "text", "email-header": "text", "email-message-id": "<1@b.example>", "email-attachment": "a.doc",
    "email-reply-to": "a@b.example", "email-x-mailer": "Mailer", "filename": "C:\\a 'b'.exe", "mutex": "Global\\x",
    "mac-address": "00:00:5e:00:53:01", "regkey": "HKLM\\Software\\X", "regkey|value": "HKLM\\Software\\X|1",
    "user-agent": "Mozilla/5.0", "github-username": "someone", "text": "a text", "comment": "a comment", "other": "x",
    "btc":
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "pdb": "a.pdb", "yara": "rule x { condition: true }", "snort": "alert",
    "sigma": "title: x", "suricata": "alert", "vulnerability": "CVE-2020-12345", "campaign-name": "Op",
    "ssdeep": "3:a:b",
    "x509-fingerprint-sha1": "b" * 40, "md5": "a" * 32, "sha1": "b" * 40, "sha224": "c" * 56, "sha256": "d" * 64,
    "sha384": "e" * 96, "sha512": "f" * 128, "sha3-256": "1" * 64, "imphash": "2" * 32, "authentihash": "3" * 64,
    "filename|md5": f"a.exe|{'a' * 32}", "filename|sha1": f"a.exe|{'b' * 40}", "filename|sha256": f"a.exe|{'d' * 64}",
    "filename|ssdeep": "a.exe|3:a:b", "filename|imphash": f"a.exe|{'2' * 32}", "attachment": "a.txt",
}  # fmt: skip


@pytest.mark.parametrize("to_ids", [True, False])
@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_each_type_says_what_misp_stix_says(kind, to_ids):
    one = attribute(1, kind, SAMPLES[kind], category=known()[0][kind][0], to_ids=to_ids)
    made = event(one)
    theirs = by_misp_stix({name: made[name] for name in ("uuid", "info", "date", "timestamp")}, dict(one))
    assert theirs
    alike(theirs, by_us(convert(event(one)), one), one)


def test_the_samples_are_of_more_than_forty_types():
    assert len(ROWS.keys() & SAMPLES.keys()) > 40


@settings(max_examples=40, deadline=None)
@given(
    value=st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), max_codepoint=0xFFFF), min_size=1, max_size=60
    )
)
def test_any_text_is_quoted_as_misp_stix_quotes_it(value):
    one = attribute(1, "filename", value, category="Payload delivery")
    made = event(one)
    theirs = by_misp_stix({name: made[name] for name in ("uuid", "info", "date", "timestamp")}, dict(one))
    if theirs:
        ours = by_us(convert(event(one)), one)
        assert uuid(1) in ours[0]["id"]
        assert [i["pattern"] for i in ours if "pattern" in i] == [i["pattern"] for i in theirs if "pattern" in i]
