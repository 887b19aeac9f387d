"""Laws of personal information: nothing is left, the first look misses nothing, a text costs what its length does."""

from __future__ import annotations

import json
import re
import time
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.model import personal
from exchange.model.personal import (
    MARK,
    SPECIAL,
    Choice,
    Finding,
    Kind,
    Refusal,
    mail,
    names,
    numbers,
    places,
)
from exchange.model.personal import text as texts
from exchange.model.personal.signs import signs

OURS = Choice(internal=("gouv.qc.ca", "cert.example"), allowed=("hub.cert.example", "partage@hub.example"))
ID = "--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"

# Pieces of which hostile and ordinary texts are put together: the rules meet at their edges.
PIECES = st.sampled_from(
    [
        "bob", "jeanne.tremblay", "@", "[at]", " (at) ", "%40", "ville.example", "mcn.gouv.qc.ca", "cert[.]example",
        "10.4.3.2", "192.168.1", ".7", "172[.]16[.]0[.]9", "fd12:3456::1", "fe80::1%eth0", "/24",
        "poste-12.lan", ".corp",
        "C:\\Users\\", "jdoe", "\\Desktop\\a.exe", "/home/", "/Users/", "\\\\srv-01\\part",
        "build.pdb", "https://", ":",
        "514-555-0123", "+33 1 55 55 01 23", "(418) 555-0134", "123 456 782", "NAS 123456782", "TREM 5551 0134",
        "4111 1111 1111 1111", "Mme ", "M. ", "Dr. ", "Jeanne ", "Tremblay", "de la ", "login: ", "username=",
        "S-1-5-21-1-2-3-1104", "version ", " ", "\n", ", ", "-", "_", ".", "é", "x",
        "7", MARK, "]", "[", "\\", '"', "ſ",
        "uſers", "\u0130", "\uff20", "<", ">", "%",
        "&#64;", "%2540", "=40", "&commat;", "\\x40", "\\.", "\u200b", "\u00ad", "%2e", "%5C", "%3A", "&#32;",
        "amp;", "25", " at ", " dot ", " arobase ", "(dot)", "=\n", "=", "&",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)
NAMES = st.sampled_from(
    [
        "name", "description", "x_texte", "value", "path", "display_name", "command_line", "authors", "comment", "cwd",
        "additional_header_fields", "To", "labels", "external_references", "url", "Attribute", "extensions", "objects",
        "environment_variables", "USERNAME", "x_misp_value", "x_misp_type", "x_misp_attributes", "account_login",
        "identity_class", "values", "data", "owner_sid", "category", "attribute",
        "a@ville.example", "contact_information",
        "extension-definition--8f6a6c1e-3f5b-4d0e-9d2f-6b1f0a7c2e54", "event", "info", "frame",
    ]
)  # fmt: skip
SIDES = st.sampled_from(
    [
        "individual",
        "target-user",
        "Person",
        "Targeting data",
        "email-dst",
        'misp:type="target-email"',
        "DefaultUserName",
    ]
)
VALUES = st.recursive(
    TEXTS | SIDES | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
TYPES = st.sampled_from(
    [
        "indicator", "identity", "user-account", "email-message", "email-addr", "process", "note", "x-misp-attribute",
        "x-misp-object", "threat-actor", "file", "directory", "windows-registry-key",
        "observed-data", "x-autre", "report",
    ]
)  # fmt: skip
PATTERNS = st.builds(
    lambda path, compared, text: f"[{path} {compared} '{text}']".replace("\\", "\\\\"),
    st.sampled_from(
        [
            "email-addr:value",
            "email-message:to_refs[*].value",
            "url:value",
            "file:name",
            "email-message:subject",
            "email-message:x_misp_text",
            "ticket:who",
            "email-message:additional_header_fields.'X-Note'",
        ]
    ),
    st.sampled_from(["=", "MATCHES"]),
    TEXTS.map(lambda text: text.replace("'", "")) | TEXTS.map(lambda text: re.escape(text.replace("'", ""))),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Objects as nobody would write them: any type with any property, valid or not."""
    made: dict[str, Any] = {"type": draw(TYPES), **draw(st.dictionaries(NAMES, VALUES, max_size=5))}
    made["id"] = f"{made['type']}{ID}"
    if made["type"] == "indicator":
        made |= {"pattern": draw(PATTERNS), "pattern_type": "stix"}
    return made


@given(documents())
def test_nothing_is_found_in_what_was_stripped(document: dict[str, Any]) -> None:
    before = deepcopy(document)
    found = personal.find(document, OURS)
    left = personal.strip(document, found)
    assert document == before
    if isinstance(left, Refusal):
        assert found
        return
    assert personal.find(left, OURS) == ()
    assert personal.strip(left, ()) == left
    assert (left == document) == (not found)


@given(documents(), st.booleans())
def test_the_first_look_misses_nothing(document: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if personal.find(document, OURS):
        assert personal.suspect(body, OURS)


@given(TEXTS)
def test_no_rule_finds_what_no_sign_shows(text: str) -> None:
    """The rules themselves, which `find` asks only where a sign was seen."""
    seen, ending = signs(OURS), places.suffixes(SPECIAL, OURS.internal)
    inside = [*places.addresses(text), *places.hosts(text, ending), *places.folders(text), *places.servers(text)]
    inside += names.identifiers(text)
    within = [mailbox for *_, mailbox in mail.mailboxes(text) if texts.reader(OURS).internal(mailbox.split("@")[-1])]
    persons = [*names.accounts(text), *names.persons(text), *numbers.numbers(text)]
    assert seen.theirs(text) or not (inside or within)
    assert seen.free(text) or not (inside or within or persons)
    assert seen.free(text) or "@" in text or not list(mail.mailboxes(text))
    assert seen.body(json.dumps(text, ensure_ascii=False)) or not (inside or within or persons)
    assert seen.pattern(text.replace("\\", "\\\\").replace("'", "\\'")) or not (inside or within)


@pytest.mark.parametrize(
    "pattern",
    [
        "[email-message:sender_ref.value = 'billing@bad.example']",
        "[ipv6-addr:value = '2001:db8:fd12:fe80::1']",
        "[ipv4-addr:value = '203.10.0.5']",
        "[file:hashes.MD5 = '41111111111111114111111111111111']",
        r"[windows-registry-key:key = 'HKLM\\Software\\Bad']",
    ],
)
def test_the_first_look_passes_over_ordinary_indicators(pattern: str) -> None:
    document = {
        "type": "indicator", "id": "indicator--41111111-1111-4111-8111-111111111111", "pattern": pattern,
        "created": "2026-04-18T10:41:44.123Z", "name": "Seen 2026-04-18 at port 443, case 514-555", "confidence": 80,
    }  # fmt: skip
    assert not personal.suspect(json.dumps(document).encode())
    assert personal.find(document) == ()
    nested = {**document, "x_more": {"pattern": "bob@ville.example"}}
    assert personal.suspect(json.dumps(nested).encode())
    assert personal.find(nested)


@given(TEXTS)
@example("bob@ville.example10.4.3.2")
def test_findings_of_a_text_are_in_order_and_apart(text: str) -> None:
    found = personal.find({"type": "note", "content": text}, OURS)
    spans = [(each.start, each.stop) for each in found if each.start is not None and each.stop is not None]
    assert len(spans) == len(found) or len(found) == 1
    assert all(0 <= start < stop <= len(text) for start, stop in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@given(TEXTS, TEXTS)
def test_no_byte_of_what_was_found_is_left(before: str, after: str) -> None:
    secret = "zyxw.qvut@ville.example"
    document = {"type": "note", "content": f"{before} {secret} {after}"}
    left = personal.strip(document, personal.find(document, OURS))
    if isinstance(left, dict):
        assert "zyxw" not in left.get("content", "") and "qvut" not in left.get("content", "")


@given(st.integers(min_value=1, max_value=60))
def test_the_mark_does_not_tell_how_long_it_was(length: int) -> None:
    document = {"type": "note", "content": f"Écrire à {'b' * length}@ville.example demain"}
    assert personal.strip(document, personal.find(document)) == {
        "type": "note",
        "content": f"Écrire à {MARK} demain",
    }


HOSTILE = [
    "@", "a@", "a.", "@a.", "[at]", "1.", "10.", "10.0.0.", "192.168.", "fd00:", "f", "/home/", "C:\\Users\\a", "\\\\a",
    "\\", "/", "-", "[.]", "(.)", ".local", "a.local", "Mr A", "M. ", "A ", "Aa ", "Aa-", "login:", "nas ", "514-555-",
    "+1 23 ", "+12", "4111 ", "4111", "AAAA 0101 ", "S-1-5-21-1-", "://", "://a", "%40", "version 1.2, ", "1 and ",
    "a@a.a", '"@', "'", "é", "\\Users\\x y z", "/home/a/b.pd", "10.0.0.1 ", "bob@ville.example ", "a-", "_@_",
    "+1111111111111111111111111 ", "+12 34 56 78 90 12 34 5a", "v10.0.0.1 ", "b@hub.cert.example ", "(1) ",
]  # fmt: skip


def _cost(text: str) -> float:
    """Seconds of this thread, the least of three."""
    least = float("inf")
    for _ in range(3):
        begun = time.thread_time()
        personal.find({"type": "note", "content": text}, OURS)
        least = min(least, time.thread_time() - begun)
    return least


@pytest.mark.parametrize("piece", HOSTILE)
def test_four_times_the_text_costs_four_times_as_much(piece: str) -> None:
    short, long = (piece * (size // len(piece)) for size in (8_000, 32_000))
    least = _cost(short)
    assert _cost(long) <= 10 * least + 0.02, piece


def test_more_than_is_told_one_by_one_is_one_finding() -> None:
    many = " ".join(f"b{number}@ville.example" for number in range(texts.MOST + 1))
    document = {"type": "note", "content": "x", "abstract": many}
    assert personal.find(document) == (Finding(path=("abstract",), kind=Kind.MANY, certain=False),)
    assert personal.strip(document, personal.find(document)) == {"type": "note", "content": "x"}
    crowd = {"type": "x-liste", "x_l": ["bob@ville.example"] * 1001}
    assert personal.find(crowd) == (Finding(path=(), kind=Kind.MANY, certain=False),)
    assert personal.strip(crowd, personal.find(crowd)) == Refusal(code="personal.required", path="")
