"""The second gate: judges the exact bytes that are to leave, with marking tables of its own (RULES R25).

It shares no code with `decide` and trusts no label: it reads the marks in the bytes themselves, however they are
written there. A mistake in one of the two is stopped by the other.

A clearance is a TLP level (0 CLEAR … 4 RED), with the flags PFC (may have what is for PFC's list) and NO_PAP (does not
carry PAP, so has no PAP:AMBER or RED). What `strictest` finds is one number too, to be asked with `within`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from html import unescape
from typing import Any, NamedTuple
from unicodedata import category, normalize
from urllib.parse import unquote
from zlib import crc32

import msgspec
import orjson

PFC = 8
NO_PAP = 16
_LEVEL = 7


class _Mark(NamedTuple):
    """What one mark asks for: the level of those on PFC's list, that of all others, and whether PAP must be carried."""

    listed: int = 0
    others: int = 0
    pap: int = 0


# Written out a second time on purpose: a slip in the model's table must not slip through here as well.
_BEYOND = 5
_ABOVE_ALL = _Mark(_BEYOND, _BEYOND, 1)
_LEAST = _Mark()
_MARKS = {
    "613f2e26-407d-48c7-9eca-b8e91df99dc9": _Mark(0, 0),
    "94868c89-83c2-464b-929b-a1a8aa3c8487": _Mark(0, 0),
    "34098fce-860f-48ae-8e50-ebd3cc5e41da": _Mark(1, 1),
    "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": _Mark(1, 1),
    "f88d31f6-486f-44da-b317-01333bde0b82": _Mark(2, 2),
    "55d920b0-5e8b-4f79-9ee9-91f868d9b421": _Mark(2, 2),
    "939a9414-2ddd-4d32-a0cd-375ea402b003": _Mark(3, 3),
    "826578e1-40ad-459f-bc73-ede076f81f37": _Mark(3, 3),
    "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": _Mark(4, 4),
    "e828b379-4e03-4974-9ac4-e53a884c97c1": _Mark(4, 4),
    "3d1f6b0a-58c2-4e97-8a43-f2b7c05d9e61": _Mark(0, 0),  # PFC:LIBRE
    "9b64e2c7-0f13-4a85-b6d9-17a8e35c4f20": _Mark(1, _BEYOND),  # PFC:VERT
    "e07c95d2-6a4b-4d3f-92e8-5b1c8f30a7d4": _Mark(2, 3),  # PFC:AMBRE
    "51a8f3e6-c29d-4b70-8e15-d46f0b92c73a": _Mark(3, 3),  # PFC:AMBRE+STRICT
    "c8e20d49-7b5f-4613-a9c4-0e83d6f15b97": _Mark(4, 4),  # PFC:ROUGE
    "ad15a0cd-55b6-4588-a14c-a66105329b92": _LEAST,  # PAP:CLEAR
    "c43594d1-4b11-4c59-93ab-1c9b14d53ce9": _LEAST,  # PAP:GREEN
    "60f8932b-e51e-4458-b265-a2e8be9a80ab": _Mark(pap=1),  # PAP:AMBER
    "740d36e5-7714-4c30-961a-3ae632ceee0e": _Mark(pap=1),  # PAP:RED
}
_TAGS = {
    "tlp:white": _Mark(0, 0),
    "tlp:clear": _Mark(0, 0),
    "tlp:green": _Mark(1, 1),
    "tlp:amber": _Mark(2, 2),
    "tlp:amber+strict": _Mark(3, 3),
    "tlp:red": _Mark(4, 4),
    "pfc:libre": _Mark(0, 0),
    "pfc:vert": _Mark(1, _BEYOND),
    "pfc:ambre": _Mark(2, 3),
    "pfc:ambre+strict": _Mark(3, 3),
    "pfc:rouge": _Mark(4, 4),
    'iep2-policy:tlp="white"': _Mark(0, 0),
    'iep2-policy:tlp="green"': _Mark(1, 1),
    'iep2-policy:tlp="amber"': _Mark(2, 2),
    'iep2-policy:tlp="red"': _Mark(4, 4),
    'ais-marking:tlpmarking="white"': _Mark(0, 0),
    'ais-marking:tlpmarking="green"': _Mark(1, 1),
    'ais-marking:tlpmarking="amber"': _Mark(2, 2),
    "pap:white": _LEAST,
    "pap:clear": _LEAST,
    "pap:green": _LEAST,
    "pap:amber": _Mark(pap=1),
    "pap:red": _Mark(pap=1),
}
_AUDIENCE = ("tlp:", "pfc:")
_PROTOCOLS = (*_AUDIENCE, "pap:", "iep2-policy:tlp=", "ais-marking:tlpmarking=")


def gate(body: bytes, clearance: int) -> bool:
    """Whether no mark in `body` is stricter than `clearance`; what is no JSON does not pass."""
    return within(strictest(body), clearance)


def within(marks: int, clearance: int) -> bool:
    """Whether what `strictest` found may go to those of this clearance."""
    level = marks & _LEVEL if clearance & PFC else marks >> _OTHERS & _LEVEL
    return level <= clearance & _LEVEL and not (marks & _PAP and clearance & NO_PAP)


def strictest(body: bytes) -> int:
    """The strictest on each axis of the marks in `body`, for `within`; when it is no JSON, nobody may have it."""
    if b"\\u" not in body:
        named = body.count(b"marking_ref")
        own = _OWN.match(body, body.find(_NAME)) if named == 1 and _NAME in body else None
        # Where the bytes name marks but once, and that is a plain list of them, nothing else can stand anywhere.
        if not named or own is not None:
            return _of_list(own[1] if own else b"") if _is_json(body) else _packed((_ABOVE_ALL,))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _packed((_ABOVE_ALL,))
    return _packed(map(_mark, _marks(document)))


def stamp(marks: int) -> int:
    """What `strictest` found, with the edition of this gate: a number that may be kept beside the bytes."""
    return marks | _EDITION


def stamped(number: int | None) -> int | None:
    """What `stamp` found; None: nothing, or another edition of this gate read it, so the bytes are to be read again."""
    return None if number is None or number & ~_FOUND != _EDITION else number & _FOUND


def gate_event(body: bytes, clearance: int, *, whole: bool = True) -> bool:
    """Whether a MISP event, or with `whole` false a part of one, may go to those of this clearance.

    In it are no tag above the clearance or of a protocol's name without a level, no tag that MISP would not pass on, no
    sharing group, and nowhere a distribution wider than the tags of that entity (or else of the event) let it be. An
    event says its TLP or PFC itself.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    event = document.get("Event", document) if isinstance(document, dict) else None
    if not isinstance(event, dict) or (whole and not any(name.startswith(_AUDIENCE) for name in _names(event))):
        return False
    found: list[_Mark] = []
    if not _fit(event, _LEAST, found):
        return False
    return within(_packed(found), clearance) and gate(body, clearance)


def gate_names(body: bytes, parts: Iterable[str], words: Iterable[str]) -> bool:
    """Whether none of these is in the strings of `body`, whatever their case and accents: ids and domains (`parts`) and
    long names anywhere, short names (`words`) where no letter, digit or low line stands beside them. Between the words
    of a name anything may stand that is no letter, in a domain its dots may stand in brackets. What is encoded is
    decoded, as often as it was, tags of HTML are left out, and what looks like a Latin letter is one.
    """
    try:
        said = {bare for text in _all_strings(orjson.loads(body)) for each in _ways(text) for bare in _shapes(each)}
    except orjson.JSONDecodeError:
        return False
    asked = [_asked(" ".join(bare.split())[:_ENOUGH]) for word in words for bare in _cases(word)]
    sought = [bare for part in parts for bare in _cases(part)]
    sought += [part.replace("-", "") for part in sought if len(part) == _UUID and part.count("-") == _HYPHENS]
    for text in said:
        dotted = _IN_BRACKETS.sub(".", text)
        if any(part in text or part in dotted for part in sought):
            return False
        if any(begins in text and pattern.search(text) for begins, pattern in asked):
            return False
    return True


_SHORT = 5
_ENOUGH = 200
_UUID, _HYPHENS = 36, 4
_IN_BRACKETS = re.compile(r"\s?[\[({<]\s?(?:\.|dot)\s?[\])}>]\s?")
_LAYERS = 5
_CODED = re.compile(r"\\+(?:x([0-9a-f]{2})|u([0-9a-f]{4}))", re.I)
_AGAIN = re.compile("%(?:25)+(?=[0-9A-F]{2})|&(?:amp;)+(?=#|[a-z]+;)", re.I)
_ODD = re.compile(r"[%&\\=<]")
_OCTET = re.compile("=([0-9A-F]{2})")
_TAGS_OF_HTML = re.compile(r"<(?:!--[^<>]*--|/?[a-z][^<>]*)>", re.I)
_LOOKS = (
    "aаАαΑɑ", "bвВβΒ", "cсС", "dԁԀđĐ", "eеЕεΕ", "gɡ", "hнНһҺΗħĦ", "iіІιΙı", "jјЈ", "kкКκΚ", "lӏӀłŁ", "mмМΜ",
    "nηΝ", "oоОοΟ", "pрРρΡ", "qԛԚ", "sѕЅ", "tтТτΤ", "uυ", "vν", "wԝԜω", "xхХχΧ", "yуУγΥ", "zΖ",
)  # fmt: skip
_ALIKE = {ord(sign): group[0] for group in _LOOKS for sign in group[1:]}
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_ELSEWHERE = re.compile("[\u0100-\u02ff\u0370-\u052f\u1d00-\u1fff\U0001d400-\U0001d7ff]")
_WHOLE = {0x153: "oe", 0xE6: "ae", 0xF8: "o"}


def _bare(text: str) -> str:
    """In lower case, without accents and what nobody sees."""
    if text.isascii():
        return text.lower()
    return _FOREIGN.sub(lambda found: _bare_signs(found[0]), text).lower()


@lru_cache(maxsize=4096)
def _bare_signs(signs: str) -> str:
    apart = normalize("NFKD", normalize("NFKD", signs).casefold()).translate(_WHOLE)
    return "".join(sign for sign in apart if category(sign) not in ("Mn", "Cf"))


def _shapes(text: str) -> set[str]:
    """It bare, and what it looks like."""
    if text.isascii():
        return {text.lower()}
    alike = normalize("NFKD", text).translate(_ALIKE) if _ELSEWHERE.search(text) else text
    return {_bare(text), _bare(alike)}


def _cases(name: str) -> set[str]:
    """The shapes of a name, whose capitals may look otherwise than its small letters."""
    return {_bare(name)} | _shapes(name.lower()) | _shapes(name.upper())


def _ways(text: str) -> set[str]:
    """What it may be meant to say: decoded again and again, and without tags."""
    made, read = {text}, text
    if not _ODD.search(text):
        return made
    for _ in range(_LAYERS):
        read = _AGAIN.sub(lambda found: found[0][0], read)
        read = _CODED.sub(lambda found: chr(int(found[1] or found[2], 16)), unescape(unquote(read)))
        if read in made:
            break
        made.add(read)
    made |= {unquote(_OCTET.sub(r"%\1", each)) for each in made if "=" in each}
    return made | {_TAGS_OF_HTML.sub(instead, each) for each in made if "<" in each for instead in ("", " ")}


@lru_cache(maxsize=1024)
def _asked(word: str) -> tuple[str, re.Pattern[str]]:
    """What finds a name that has been made bare: its letters in their order, and only signs between its words; and with
    what that begins.
    """
    inner = [each for each in re.split(r"[\W_]+", word) if each]
    one = "".join(inner)
    found = r"[\W_]+".join(inner) if len(one) > 1 else re.escape(word) if word else "(?!)"
    begins = inner[0] if len(one) > 1 else word
    if len(word) <= _SHORT:
        return begins, re.compile(rf"(?<!\w){found}(?!\w)")
    return begins, re.compile(rf"{found}|(?<!\w){one}(?!\w)" if len(one) > _SHORT and len(inner) > 1 else found)


def _all_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _all_strings(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _all_strings(inner)


_NOTICE = "extension-definition--4667aec7-75c6-4364-ac69-2dd4d3b7abd5"
_NOTICE_NAMES = frozenset({
    "type", "spec_version", "id", "created_by_ref", "created", "modified", "abstract", "content", "object_refs",
    "object_marking_refs", "extensions",
})  # fmt: skip
_WORDS = frozenset(
    {
        "withdrawn e32c3ab299b7dca4",
        "restored 9cb55939d847ed74",
    }
)
"""Action, and the beginning of the SHA-256 of all the words that go with it."""


def gate_notice(body: bytes) -> bool:
    """Whether a recall notice says nothing but what it may: which object in which version, the fixed words, and marks
    that we know. Nothing of the object itself is in it, so it may go wherever that went, whatever holds there now.
    """
    try:
        note = orjson.loads(body)
        said = note["extensions"][_NOTICE]
        words = sha256(f"{note['abstract']}|{note['content']}".encode()).hexdigest()[:_WORDED]
        return (
            note.keys() == _NOTICE_NAMES
            and note["type"] == "note"
            and list(note["extensions"]) == [_NOTICE]
            and said.keys() == {"extension_type", "id", "version", "action"}
            and note["object_refs"] == [said["id"]]
            and f"{said['action']} {words}" in _WORDS
            and all(_STIX_ID.fullmatch(each) for each in (note["id"], note["created_by_ref"], said["id"]))
            and all(_TIME.fullmatch(each) for each in (note["created"], note["modified"], said["version"]))
            and bool(note["object_marking_refs"])
            and all(mark.startswith(_MARKING) and mark[-36:] in _MARKS for mark in note["object_marking_refs"])
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return False


_WORDED = 16
_MARKING = "marking-definition--"
_STIX_ID = re.compile(r"[a-z][a-z0-9-]{1,250}--[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")
_NAME = b'"object_marking_refs":['
_OWN = re.compile(re.escape(_NAME) + rb'("[^"\\,]{1,300}"(?:,"[^"\\,]{1,300}")*)\]')
_OTHERS, _PAP = 3, 64


_READING = 1
"""Of `strictest`: raised with every change of what it finds, unless that is a change of `_MARKS`."""
_FOUND = 0xFFFF
_EDITION = crc32(repr((_READING, sorted(_MARKS.items()))).encode()) << 16


def _packed(marks: Iterable[_Mark]) -> int:
    listed = others = pap = 0
    for mark in marks:
        listed, others, pap = max(listed, mark.listed), max(others, mark.others), max(pap, mark.pap)
    return listed | others << _OTHERS | (_PAP if pap else 0)


@lru_cache(maxsize=4096)
def _of_list(listed: bytes) -> int:
    return _packed(_mark(mark[1:-1]) for mark in listed.decode("utf-8", "replace").split(","))


def _is_json(body: bytes) -> bool:
    try:
        body.decode()  # which the other does not look at
        msgspec.json.decode(body, type=msgspec.Raw)  # reads all of it and makes nothing
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _mark(mark: str) -> _Mark:
    return _MARKS.get(mark.strip().lower()[-36:], _LEAST)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _marks(document: Any) -> Iterator[str]:
    """Every marking id in the object, at whatever depth it stands."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in ("object_marking_refs", "marking_ref"):
                yield from _strings(value)
            else:
                yield from _marks(value)
    elif isinstance(document, list):
        for value in document:
            yield from _marks(value)


def _plain(name: str) -> str:
    return "".join(name.split()).lower()


def _names(entity: Mapping[str, Any]) -> list[str]:
    """The names of the tags on the entity itself."""
    tags = entity.get("Tag")
    return [_plain(str(tag.get("name"))) for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []


def _fit(entity: Any, around: _Mark, found: list[_Mark]) -> bool:
    """Whether the entity and all that is in it may be written as they are; what its tags ask for goes to `found`."""
    if isinstance(entity, list):
        return all(_fit(inner, around, found) for inner in entity)
    if not isinstance(entity, dict):
        return True
    if "SharingGroup" in entity or not _travel(entity.get("Tag")):
        return False
    marks = [_TAGS.get(name, _ABOVE_ALL) for name in _names(entity) if name.startswith(_PROTOCOLS)]
    found += marks
    here = _Mark(*map(max, zip(around, *marks, strict=True)))
    if "distribution" in entity and not _narrow(entity["distribution"], here.others):
        return False
    return all(_fit(inner, here, found) for name, inner in entity.items() if name != "Tag")


def _travel(tags: Any) -> bool:
    """Whether MISP itself would pass all these tags on."""
    return tags is None or (
        isinstance(tags, list)
        and all(
            isinstance(tag, dict)
            and str(tag.get("local") or 0) in ("0", "False")
            and str(tag.get("exportable", 1)) in ("1", "True")
            for tag in tags
        )
    )


def _narrow(distribution: Any, level: int) -> bool:
    """CLEAR goes to all (3), GREEN to connected communities (2), the rest to the receiver's own (1); 5 is inherited."""
    return str(distribution) in ("0", "1", "5") or str(distribution) in {0: ("2", "3"), 1: ("2",)}.get(level, ())
