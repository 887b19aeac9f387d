"""Our own mapping beside misp-stix's, over every real event: the same STIX, but for what docs/misp-mapping.md says.

A sample each time: of each event one attribute of each shape and one object of each template. `EXCHANGE_SOAK=1` (`make
soak`) compares all of all of them, in two processes and about two minutes, and writes what it found to standard output.
"""

import json
import os
import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from beside import FILES, Comparison, Event, documents
from events import attribute, convert, event, file_object, sha256, uuid
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.convert.attributes import known
from exchange.convert.labels import listed, truth
from exchange.convert.table import ROWS

REAL = pytest.mark.skipif(not FILES, reason="the real data is not on this machine")
SOAK = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")
LARGEST = 250_000
"""Bytes of a file in the sample; the larger ones are more of the same."""


def sample(event):
    """Leaves of an event one attribute of each shape, and one object of each template with all that it refers to."""
    shapes = {(a.get("type"), truth(a.get("to_ids")), str(a.get("value"))[:1]): a for a in event.attributes}
    event.attributes = list(shapes.values())
    wanted = {entity.get("uuid") for entity in {e.get("name"): e for e in event.objects}.values()}
    size = -1
    while size != len(wanted):
        size = len(wanted)
        chosen = [entity for entity in event.objects if entity.get("uuid") in wanted]
        wanted |= {r.get("referenced_uuid") for entity in chosen for r in listed(entity, "ObjectReference")}
    event.objects = chosen


def compared(path, chosen=lambda _: None):
    """(what was compared, the differences by number, what no number explains) of all events in a file."""
    counts, numbers, odd = Counter(), Counter(), []
    for document in documents(path):
        found = Event.of(document, chosen)
        comparison = Comparison.of(found)
        inside = sum(len(entity["Attribute"]) for entity in found.objects)
        counts.update(events=1, attributes=len(found.attributes), objects=len(found.objects), inside=inside)
        numbers.update(comparison.numbers)
        odd += comparison.odd
    return counts, numbers, odd


@REAL
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_event_says_what_misp_stix_says(path):
    if path.stat().st_size > LARGEST:
        pytest.skip("large: the same types, a thousand times")
    counts, numbers, odd = compared(path, sample)
    assert odd == []
    assert counts["attributes"] + counts["objects"] == 0 or numbers


@REAL
@SOAK
def test_all_attributes_and_objects_of_all_real_events_say_what_misp_stix_says(capsys):
    counts, numbers, odd = Counter(), Counter(), []
    largest_first = sorted(FILES, key=lambda path: -path.stat().st_size)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        for found in processes.map(compared, largest_first):
            counts, numbers, odd = counts + found[0], numbers + found[1], odd + found[2]
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(counts)}, differences by number {dict(sorted(numbers.items()))}\n")
    assert odd == []
    assert counts["attributes"] > 40_000
    assert counts["objects"] > 3_000
    assert numbers.keys() <= numbered("misp-mapping.md") == numbered("misp-mapping.fr.md")


def numbered(name):
    """The numbers in a page's list of differences."""
    text = (Path(__file__).resolve().parents[2] / "docs" / name).read_text(encoding="utf-8")
    return set(map(int, re.findall(r"^\| (\d+) \|", text, re.M)))


def test_the_list_of_differences_is_whole_in_both_languages():
    found = numbered("misp-mapping.md")
    assert found == set(range(1, len(found) + 1)) == numbered("misp-mapping.fr.md")


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


def beside_misp_stix(*attributes, **more):
    return Comparison.of(Event.of(json.dumps({"Event": event(*attributes, **more)}).encode()))


@pytest.mark.parametrize("to_ids", [True, False])
@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_each_type_says_what_misp_stix_says(kind, to_ids):
    one = attribute(1, kind, SAMPLES[kind], category=known()[0][kind][0], to_ids=to_ids)
    found = beside_misp_stix(one)
    assert found.odd == []
    assert found.numbers, "something was compared"


def test_the_samples_are_of_more_than_forty_types():
    assert len(ROWS.keys() & SAMPLES.keys()) > 40


@settings(max_examples=40, deadline=None)
@given(
    value=st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), max_codepoint=0xFFFF), min_size=1, max_size=60
    ).filter(str.strip)  # of spaces alone misp-stix makes an empty name, and we make nothing that says something else
)
def test_any_text_is_quoted_as_misp_stix_quotes_it(value):
    assert beside_misp_stix(attribute(1, "filename", value, category="Payload delivery")).odd == []


# --- what the comparison found -----------------------------------------------------------------------------------


def test_neither_half_of_a_value_has_white_space_around_it():
    """`KEY | VALUE`, as people type it: with the space it would match nothing. The attribute comes back as written."""
    text = "HKEY_CURRENT_USER\\Software\\X | one"
    for to_ids in (True, False):
        page = convert(event(attribute(1, "regkey|value", text, category="Persistence mechanism", to_ids=to_ids)))
        said = b" ".join(made.body for made in page.objects if made.type != "report").decode()
        assert "X '" not in said
        assert "' one" not in said
        assert '"data":"one"' in said
        assert '| one"' in said


def test_a_reference_between_files_is_one_relationship():
    """misp-stix may make one object of two files of which one names the other; where it does not, it relates them."""
    link = {"uuid": uuid(9), "referenced_uuid": uuid(4), "relationship_type": "dropped-by", "timestamp": "1700000002"}
    named = link | {"Object": {"uuid": uuid(4), "name": "file"}}
    page = convert(event(Object=[file_object(2, sha256(3), ObjectReference=[named]), file_object(4, sha256(5))]))
    made = [json.loads(made.body) for made in page.objects if made.type == "relationship"]
    assert sorted(one["relationship_type"] for one in made) == ["based-on", "based-on", "dropped-by"]
    between = next(one for one in made if one["relationship_type"] == "dropped-by")
    assert (between["source_ref"], between["target_ref"]) == (f"indicator--{uuid(2)}", f"indicator--{uuid(4)}")
