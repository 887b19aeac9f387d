"""Personal information: labelled sentences, whose side each property is on, and what is left of a document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exchange import i18n
from exchange.model import personal
from exchange.model.misp import EXTENSION
from exchange.model.personal import MARK, Choice, Finding, Kind, Refusal, attributes, sides

OURS = Choice(internal=("cert.example", "gouv.qc.ca"), allowed=("hub.cert.example", "partage@cert.example"))
ID = "--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
SENTENCES = [
    line
    for line in (Path(__file__).parent / "labelled_personal.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
LABEL = re.compile("⟦([a-z]+):([^⟧]*)⟧")
PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")


def read(line: str) -> tuple[str, list[tuple[str, str]]]:
    """The sentence, and what must go of it: (kind, text)."""
    return LABEL.sub(r"\2", line), LABEL.findall(line)


def cuts(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What is found: (kind, the text itself)."""
    made = []
    for found in personal.find(document, OURS):
        value: Any = document
        for step in found.path:
            value = value[step]
        made.append((found.kind.value.removeprefix("personal."), value[found.start : found.stop]))
    return made


@pytest.mark.parametrize("line", SENTENCES)
def test_a_labelled_sentence(line: str) -> None:
    sentence, gone = read(line)
    document = {"type": "note", "content": sentence}
    assert cuts(document) == gone
    assert personal.suspect(json.dumps(document, ensure_ascii=False).encode(), OURS) or not gone


def test_the_labelled_set_is_large() -> None:
    assert len(SENTENCES) >= 120
    assert {kind for line in SENTENCES for kind, _ in read(line)[1]} == {
        kind.value.removeprefix("personal.") for kind in Kind
    } - {"victim", "many"}


# --- sides -------------------------------------------------------------------------------------------------------

SAID = {"free": sides.FREE, "cited": sides.CITED, "theirs": sides.THEIRS, "value": sides.VALUE}


def rows(title: str) -> list[list[str]]:
    """The rows of the table of the page whose first column has this title."""
    table = PAGE.split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("row", rows("Object"), ids=" ".join)
def test_the_table_of_sides(row: list[str]) -> None:
    kind, name = re.findall("`([^`]+)`", " ".join(row[:2]))
    stix = {"type": kind, name: "somebody"} | ({"identity_class": "individual"} if "individual" in row[0] else {})
    found = sides.of(kind, "", name, stix)
    assert isinstance(found, sides.Whole) if row[2] == "victim" else found is SAID[row[2]]


@pytest.mark.parametrize("row", rows("MISP type or category"), ids=lambda row: row[0])
def test_the_table_of_attributes(row: list[str]) -> None:
    for name in re.findall("`([^`]+)`", row[0]):
        found = attributes.of("other", name) if name[0].isupper() else attributes.of(name, "Other")
        if row[1].startswith("victim"):
            assert isinstance(found, sides.Whole)
            assert found.certain is ("uncertain" not in row[1])
        else:
            assert found is SAID[row[1]]


def test_every_kind_has_its_row_and_its_words() -> None:
    assert {re.findall("`([^`]+)`", row[0])[0] for row in rows("Code")} == {kind.value for kind in Kind}
    for kind in Kind:
        code, fields = personal.words(Finding(path=("external_references", 0, "url"), kind=kind, certain=True))
        for language in i18n.LANGUAGES:
            assert "external_references.[0].url" in i18n.text(code, language, **fields)


MESSAGE = {"type": "email-message", "from_ref": "email-addr--0", "sender_ref": "email-addr--0"}
NAMED: list[tuple[dict[str, Any], set[str]]] = [
    (MESSAGE, set()),
    ({**MESSAGE, "to_refs": ["email-addr--1"], "cc_refs": ["email-addr--2"], "bcc_refs": ["email-addr--3"]},
     {"email-addr--1", "email-addr--2", "email-addr--3"}),
    ({**MESSAGE, "to_refs": "email-addr--1", "cc_refs": [None, {}, 3]}, set()),
    ({"type": "note", "to_refs": ["email-addr--1"]}, set()),
    ({"type": "relationship", "relationship_type": "targets", "target_ref": "ipv4-addr--1"}, {"ipv4-addr--1"}),
    ({"type": "relationship", "relationship_type": "Targets", "target_ref": "url--1"}, {"url--1"}),
    ({"type": "relationship", "relationship_type": "targets", "target_ref": "identity--1"}, set()),
    ({"type": "relationship", "relationship_type": "targets", "target_ref": None}, set()),
    ({"type": "relationship", "relationship_type": ["targets"], "target_ref": "url--1"}, set()),
    ({"type": "relationship", "relationship_type": "uses", "target_ref": "url--1", "source_ref": "url--2"}, set()),
    ({"type": "indicator", "relationship_type": "targets", "target_ref": "url--1"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("stix", "ids"), NAMED)
def test_whom_an_object_calls_a_victim(stix: dict[str, Any], ids: set[str]) -> None:
    """The bytes are asked first, and are never wrong with no."""
    assert personal.victims(stix) == ids
    for body in (json.dumps(stix), json.dumps(stix).replace("targets", "t\\u0061rgets")):
        assert personal.may_name_victims(stix["type"], body.encode()) or not ids


@pytest.mark.parametrize(
    ("stix", "found"),
    [
        ({"type": "email-addr", "value": "bob@ville.example"}, [(Kind.EMAIL, (), True)]),
        ({"type": "email-addr", "value": "abuse@ville.example"}, [(Kind.EMAIL, (), True)]),
        ({"type": "email-addr", "value": "bob@libre.example"}, []),
        ({"type": "ipv4-addr", "value": "198.51.100.3"}, [(Kind.VICTIM, (), True)]),
        ({"type": "mutex", "name": "x"}, [(Kind.VICTIM, (), True)]),
    ],
)
def test_what_another_object_calls_a_victims_is_one_as_a_whole(stix: dict[str, Any], found: list[Any]) -> None:
    """By itself it is the attacker's; what the operator allows stays nobody's."""
    choice = personal.Choice(allowed=("libre.example",))
    told = personal.find(stix, choice, victim=True)
    assert [(each.kind, each.path, each.certain) for each in told] == found
    assert personal.find(stix, choice) == ()
    if told:
        assert personal.strip(stix, told) == personal.Refusal(code="personal.required", path="")


@pytest.mark.parametrize("choice", [Choice(allowed=("ville.example",)), Choice(kinds=frozenset({Kind.NAME}))])
def test_a_recipients_name_is_one_where_the_mailbox_may_stay(choice: Choice) -> None:
    """Of STIX 2.0, where the mailbox is inside."""
    mailbox = {"type": "email-addr", "value": "jean@ville.example", "display_name": "Jean Roy"}
    message = {"type": "email-message", "is_multipart": False, "to_refs": ["0"]}
    found = personal.find({"type": "observed-data", "objects": {"0": mailbox, "1": message}}, choice)
    assert [(each.kind, each.path) for each in found] == [(Kind.NAME, ("objects", "0", "display_name"))]


# Documents: what is found in each, as (kind, path in the spelling of selectors).
DOCUMENTS: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("a sender in a pattern", {"type": "indicator", "pattern": "[email-addr:value = 'bad@evil.example']"}, []),
    ("from_ref", {"type": "indicator", "pattern": "[email-message:from_ref.value = 'bad@evil.example']"}, []),
    (
        "to_refs",
        {"type": "indicator", "pattern": "[email-message:to_refs[*].value = 'bob@ville.example']"},
        [("email", "pattern")],
    ),
    (
        "a To header",
        {"type": "indicator", "pattern": "[email-message:additional_header_fields.'To' = 'Bob <bob@ville.example>']"},
        [("email", "pattern")],
    ),
    *(
        (f"{place} in a pattern", {"type": "indicator", "pattern": f"[{place} = 'bob@ville.example']"}, found)
        for places, found in (
            (
                (
                    "email-message:x_misp_text", "email-message:subject", "email-message:body", "file:'x_note'",
                    "x-ticket:who", "ticket : who", "email-message:received_lines[0]", "URL:value", "old_url:value",
                    "ticket//url\n:who", "ticket:// :\nwho", "ticketURL:who", "a-Z:who", "a_file:name",
                    "email-message:additional_header_fields.'X-Note'",
                    "file:extensions.'extension-definition--11111111-1111-4111-8111-111111111111'.about",
                ),
                [("email", "pattern")],
            ),
            (
                (
                    "email-message:additional_header_fields.'Return-Path'", "email-message:message_id",
                    "file:name", "user-account:account_login", "url:value",
                ),
                [],
            ),
        )
        for place in places
    ),
    *(
        (f"what people read in a pattern: {text}", {"type": "indicator", "pattern": text}, [("email", "pattern")])
        for text in (
            "[url:value = 'http://a.example'] /* told by bob@ville.example */",
            "[url:value = 'http://a.example']// told by bob@ville.example",
            "[url:value = 'a' /* 'b' */ AND url:value = 'c' /* told by 'bob@ville.example' */]",
            "[domain-name:'bob@ville.example' = 'a']",
            "[process:environment_variables . 'of bob@ville.example'[*].a = 'a']",
        )
    ),
    *(
        (f"no comment: {text}", {"type": "indicator", "pattern": text}, [])
        for text in (
            "[url:value = 'http://a.example//bob@ville.example']",
            "[url:value = '/* bob@ville.example */' AND file:hashes.'MD5' = 'd41d8cd98f00b204e9800998ecf8427e']",
        )
    ),
    *(
        (
            f"beside {', '.join(kinds)}",
            {
                "type": kind,
                "value": "x",
                "extensions": {EXTENSION: {"event": "x", "kinds": [*kinds, "template:email"[:whole]]}},
            },
            [(found, "")] if found else [],
        )
        for kind, whole, kinds, found in (
            ("email-addr", 0, ["category:Payload delivery", "type:email-dst"], "email"),
            ("email-addr", 20, ["category:Payload delivery", "type:email-dst", "type:email-src"], "email"),
            ("domain-name", 20, ["category:Payload delivery", "type:email-dst", "type:email-src"], ""),
            ("domain-name", 0, ["category:Targeting data", "type:domain"], "victim"),
            ("domain-name", 20, ["category:Targeting data", "type:domain"], "victim"),
            ("domain-name", 0, ["category:Network activity", "type:domain"], ""),
            ("url", 0, ["category:External analysis", "type:target-machine"], "host"),
        )
    ),
    (
        "a phone in the text of a pattern",
        {"type": "indicator", "pattern": "[email-message:subject = 'call 418-555-0199']"},
        [("phone", "pattern")],
    ),
    (
        "whom the pattern is about, in its text too",
        {
            "type": "indicator",
            "pattern": "[email-message:from_ref.value = 'a@evil.example' AND email-message:body = 'I, a@evil.example']",
        },
        [],
    ),
    ("ours", {"type": "indicator", "pattern": "[email-addr:value = 'x@mcn.gouv.qc.ca']"}, [("email", "pattern")]),
    ("a private address", {"type": "indicator", "pattern": "[ipv4-addr:value = '10.1.2.3']"}, [("address", "pattern")]),
    ("a public address", {"type": "indicator", "pattern": "[ipv4-addr:value = '203.0.113.9']"}, []),
    ("inner URL", {"type": "indicator", "pattern": "[url:value = 'http://intra.corp/x']"}, [("host", "pattern")]),
    (
        "a matched address",
        {"type": "indicator", "pattern": r"[url:value MATCHES '^http://10\\.1\\.2\\.3/']"},
        [("address", "pattern")],
    ),
    (
        "a user's folder",
        {"type": "indicator", "pattern": r"[directory:path = 'C:\\Users\\jdube\\AppData']"},
        [("path", "pattern")],
    ),
    ("anybody's folder", {"type": "indicator", "pattern": r"[directory:path LIKE 'C:\\Users\\%\\AppData']"}, []),
    ("an account to look for", {"type": "indicator", "pattern": "[user-account:account_login = 'svc_bad']"}, []),
    ("a rule", {"type": "indicator", "pattern_type": "yara", "pattern": 'strings: $a = "a@evil.example"'}, []),
    (
        "a rule with a host",
        {"type": "indicator", "pattern_type": "sigma", "pattern": "Computer: dc01.hopital.local"},
        [("host", "pattern")],
    ),
    (
        "the indicator itself in its texts",
        {
            "type": "indicator", "name": "BAD@evil.example", "pattern": "[email-addr:value = 'bad@evil.example']",
            "description": "bad@evil.example wrote to bob@ville.example",
        },
        [("email", "description")],
    ),
    ("a person", {"type": "identity", "identity_class": "individual", "name": "Jeanne Roy"}, [("name", "name")]),
    ("a house", {"type": "identity", "identity_class": "organization", "name": "M. Roy Inc."}, []),
    (
        "how to reach a house",
        {"type": "identity", "name": "CERT", "contact_information": "soc@ville.example, Mme Roy"},
        [("name", "contact_information")],
    ),
    ("an actor's name", {"type": "threat-actor", "name": "Mr. Dark", "aliases": ["bad@evil.example"]}, []),
    ("an account", {"type": "user-account", "account_login": "jdube", "user_id": "1001"}, [
        ("account", "account_login"), ("account", "user_id"),
    ]),
    ("the system's account", {"type": "user-account", "account_login": "root", "user_id": "0"}, []),
    ("a service", {"type": "user-account", "account_login": "svc-web", "is_service_account": True}, []),
    ("a sender", {"type": "email-addr", "value": "bad@evil.example"}, []),
    ("one of ours", {"type": "email-addr", "value": "roy@mcn.gouv.qc.ca"}, [("email", "value")]),
    (
        "a name shown",
        {"type": "email-addr", "value": "bad@evil.example", "display_name": "Jeanne Roy"},
        [("name", "display_name")],
    ),
    (
        "headers",
        {
            "type": "email-message",
            "additional_header_fields": {"Delivered-To": "bob@ville.example", "From": "bad@evil.example"},
            "received_lines": ["from x by y for <bob@ville.example>"],
        },
        [("email", "additional_header_fields.Delivered-To"), ("email", "received_lines.[0]")],
    ),
    (
        "parts of a body",
        {"type": "email-message", "body_multipart": [{"body": "Bonjour Mme Roy", "content_type": "text/plain"}]},
        [("name", "body_multipart.[0].body")],
    ),
    (
        "a process",
        {
            "type": "process", "command_line": "net use \\\\srv1\\c$", "cwd": "/home/jdube",
            "environment_variables": {"USERNAME": "jdube", "COMPUTERNAME": "PC-17", "PATH": "/bin"},
            "extensions": {"windows-process-ext": {"owner_sid": "S-1-5-21-1-2-3-1107"}},
        },
        [
            ("host", "command_line"), ("path", "cwd"), ("account", "environment_variables.USERNAME"),
            ("host", "environment_variables.COMPUTERNAME"), ("account", "extensions.windows-process-ext.owner_sid"),
        ],
    ),
    (
        "the registry",
        {"type": "windows-registry-key", "values": [{"name": "DefaultUserName", "data": "jdube"}, {"data": "x"}]},
        [("account", "values.[0].data")],
    ),
    (
        "a key of a user",
        {"type": "windows-registry-key", "key": "HKEY_USERS\\S-1-5-21-1-2-3-1107\\Software"},
        [("account", "key")],
    ),
    (
        "a request",
        {
            "type": "network-traffic",
            "extensions": {"http-request-ext": {"request_header": {"Cookie": "sid=1", "Host": "evil.example"}}},
        },
        [("account", "extensions.http-request-ext.request_header.Cookie")],
    ),
    (
        "observables of STIX 2.0",
        {"type": "observed-data", "objects": {"0": {"type": "user-account", "account_login": "jdube"}}},
        [("account", "objects.0.account_login")],
    ),
    (
        "a message of STIX 2.0",
        {
            "type": "observed-data",
            "objects": {
                "0": {"type": "email-message", "from_ref": "2", "to_refs": ["1"]},
                "1": {"type": "email-addr", "value": "roy@ville.example"},
                "2": {"type": "email-addr", "value": "bad@evil.example"},
            },
        },
        [("email", "objects.1.value")],
    ),
    ("who wrote a note", {"type": "note", "content": "x", "authors": ["Jeanne Roy"]}, []),
    (
        "a reference",
        {"type": "report", "external_references": [{"description": "M. Roy (2026)", "url": "https://a:b@x.example/"}]},
        [("account", "external_references.[0].url")],
    ),
    (
        "labels of an attribute",
        {"type": "indicator", "pattern": "[x:y = 'z']", "labels": ['misp:type="target-user"']},
        [("account", "")],
    ),
    (
        "labels of a category",
        {"type": "x-misp-attribute", "labels": ['misp:type="text"', 'misp:category="Internal reference"']},
        [("victim", "")],
    ),
    (
        "a target",
        {"type": "x-misp-attribute", "x_misp_type": "target-machine", "x_misp_value": "PC-17"},
        [("host", "x_misp_value")],
    ),
    ("no target", {"type": "x-misp-attribute", "x_misp_type": "jabber-id", "x_misp_value": "bad@evil.example"}, []),
    (
        "a carried attribute",
        {
            "type": "indicator",
            "extensions": {EXTENSION: {"event": "e", "attribute": {
                "type": "email-src", "value": "bad@evil.example", "comment": "vu par Mme Roy",
            }}},
        },
        [("name", f"extensions.{EXTENSION}.attribute.comment")],
    ),
    (
        "a carried object",
        {
            "type": "x-misp-object",
            "extensions": {EXTENSION: {"event": "e", "objects": [{"Attribute": [
                {"type": "full-name", "value": "Jeanne Roy"}, {"type": "ip-dst", "value": "203.0.113.9"},
            ]}]}},
        },
        [("name", f"extensions.{EXTENSION}.objects.[0].Attribute.[0].value")],
    ),
    ("a log", {"type": "x-log", "x_line": {"data": "login: jdube", "event": "Mme Roy"}}, [
        ("account", "x_line.data"), ("name", "x_line.event"),
    ]),
    (
        "bytes of an attribute",
        {"type": "x-misp-object", "x_misp_attributes": [{"type": "attachment", "value": "a", "data": "TW1l"}]},
        [],
    ),
    ("a mark", {"type": "marking-definition", "definition": {"statement": "Mme Roy, roy@ville.example"}}, []),
    ("another language", {"type": "language-content", "contents": {"fr": {"name": "Mme Roy"}}}, [
        ("name", "contents.fr.name"),
    ]),
    ("a name of a property", {"type": "x-a", "x_w": {"bob@ville.example": 1}}, [("victim", "x_w.bob@ville.example")]),
    ("a property of nobody's", {"type": "x-a", "x_b": {"c": [["roy@ville.example"]]}}, [("email", "x_b.c.[0].[0]")]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "gone"), [case[1:] for case in DOCUMENTS], ids=[case[0] for case in DOCUMENTS])
def test_a_document(document: dict[str, Any], gone: list[tuple[str, str]]) -> None:
    found = personal.find(document, OURS)
    assert [(each.kind.value.removeprefix("personal."), personal.words(each)[1]["where"]) for each in found] == gone


# --- what is left ------------------------------------------------------------------------------------------------


def left(document: dict[str, Any]) -> dict[str, Any] | Refusal:
    return personal.strip(document, personal.find(document, OURS))


def indicator(**more: Any) -> dict[str, Any]:
    when = "2026-03-01T00:00:00.000Z"
    base = {"type": "indicator", "spec_version": "2.1", "id": f"indicator{ID}", "created": when, "modified": when}
    base |= {"pattern": "[ipv4-addr:value = '203.0.113.9']", "pattern_type": "stix", "valid_from": when}
    return base | more


def test_a_text_keeps_what_is_around() -> None:
    stripped = left(indicator(description="Vu par Mme Roy (roy@ville.example) hier"))
    assert stripped == indicator(description=f"Vu par Mme {MARK} ({MARK}) hier")


def test_what_has_nothing_else_goes() -> None:
    labels = ["roy@ville.example", "apt"]
    assert left(indicator(description="roy@ville.example", labels=labels)) == indicator(labels=["apt"])
    assert left(indicator(labels=labels[:1], external_references=[{"source_name": "x"}])) == indicator(
        external_references=[{"source_name": "x"}]
    )


def test_granular_markings_follow() -> None:
    marks = [
        {"marking_ref": "m", "selectors": ["description", "labels.[1]"]},
        {"marking_ref": "n", "selectors": ["description"]},
    ]
    document = indicator(description="roy@ville.example", labels=["roy@ville.example", "apt"], granular_markings=marks)
    assert left(document) == indicator(
        labels=["apt"], granular_markings=[{"marking_ref": "m", "selectors": ["labels"]}]
    )


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (indicator(pattern="[ipv4-addr:value = '10.1.2.3']"), "pattern"),
        ({"type": "identity", "identity_class": "individual", "name": "Jeanne Roy"}, "name"),
        ({"type": "email-addr", "value": "roy@mcn.gouv.qc.ca"}, "value"),
        ({"type": "user-account", "id": f"user-account{ID}", "account_login": "jdube"}, "account_login"),
        ({"type": "note", "content": "roy@ville.example"}, "content"),
        ({"type": "observed-data", "objects": {"0": {"type": "ipv4-addr", "value": "10.1.2.3"}}}, "objects.0.value"),
        ({"type": "directory", "path": "C:\\Users\\jdube\\x"}, "path"),
        ({"type": "x-misp-attribute", "x_misp_type": "target-user", "x_misp_value": "jdube"}, "x_misp_value"),
        (
            {"type": "x-misp-object", "x_misp_attributes": [{"type": "full-name", "value": "Jeanne Roy"}]},
            "x_misp_attributes",
        ),
        (
            indicator(
                extensions={EXTENSION: {"event": "e", "attribute": {"type": "email-dst", "value": "a@b.example"}}}
            ),
            f"extensions.{EXTENSION}.attribute.value",
        ),
    ],
)
def test_what_must_be_there_is_refused(document: dict[str, Any], path: str) -> None:
    assert left(document) == Refusal(code="personal.required", path=path)
    for language in i18n.LANGUAGES:
        assert path in i18n.text("personal.required", language, path=path)


def test_the_attribute_of_an_object_goes_whole() -> None:
    kept = {"type": "ip-dst", "value": "203.0.113.9"}
    inner = {"type": "full-name", "category": "Person", "value": "Jeanne Roy"}
    document = {"type": "x-misp-object", "x_misp_name": "person", "x_misp_attributes": [inner, kept]}
    assert left(document) == {"type": "x-misp-object", "x_misp_name": "person", "x_misp_attributes": [kept]}


def test_a_file_without_its_name_is_there_for_its_hashes() -> None:
    document = {"type": "file", "id": f"file{ID}", "spec_version": "2.1", "name": "C:\\Users\\jdube\\a.exe"}
    assert isinstance(left(document), Refusal)
    hashes = {"MD5": "d41d8cd98f00b204e9800998ecf8427e"}
    assert left(document | {"hashes": hashes}) == {
        "type": "file", "id": f"file{ID}", "spec_version": "2.1", "hashes": hashes,
    }  # fmt: skip


def test_the_operator_chooses() -> None:
    document = {"type": "note", "content": "Mme Roy, 10.1.2.3, pc.mine.example, roy@ville.example"}
    usual = [each.kind for each in personal.find(document)]
    assert usual == [Kind.NAME, Kind.ADDRESS, Kind.EMAIL]
    assert [each.kind for each in personal.find(document, Choice(internal=("mine.example",)))] == [
        Kind.NAME, Kind.ADDRESS, Kind.HOST, Kind.EMAIL,
    ]  # fmt: skip
    assert [each.kind for each in personal.find(document, Choice(allowed=("ville.example", "10.1.2.3")))] == [Kind.NAME]
    person = {"type": "identity", "identity_class": "individual", "contact_information": "soc@hub.cert.example"}
    assert personal.find(person)
    assert not personal.find(person, OURS)
    assert [each.kind for each in personal.find(document, Choice(kinds=frozenset({Kind.NAME})))] == [Kind.NAME]
