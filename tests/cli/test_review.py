"""`exchange review`: what waits for a person, why, and what the person decides, in both languages and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli import review, terminal
from exchange.model.marking import Tlp
from exchange.store import audiences, micros, open_store, pages, reviews
from tests.cli.test_commands import COLLECTION, Person
from tests.world import NOW, indicator

KNOWN = indicator("example.com")
ADDRESS = indicator("address", pattern="[ipv4-addr:value = '198.51.100.0/25']")


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    """A node that holds an indicator of a benign name, one of a benign network, and one of neither."""
    terminal.out.width = terminal.err.width = 300
    made = Person(tmp_path)
    made.imports(KNOWN, ADDRESS, indicator("bad.invalid"))
    yield made


def read(person: Person) -> set[str]:
    """What the partner reads."""
    store = open_store(person.database)
    try:
        with store.reading() as tx:
            row = audiences.of_reader(tx, "soc", f"collection:{COLLECTION}")
            assert row is not None
            asked = pages.Query(now=micros(NOW), limit=100)
            return {entry.stix_id for entry in pages.index(tx, row.number, asked).entries}
    finally:
        store.close()


def test_what_waits_is_told_and_decided(person: Person) -> None:
    listed = person.asks("review", "list")
    assert listed["total"] == 2
    known, address = listed["entries"]
    assert (known["id"], known["source"], known["readers"]) == (KNOWN["id"], "circl/fichiers", ["soc"])
    assert {match["list"] for match in known["matches"]} >= {"rfc6761"}
    assert address["matches"][0]["relation"] == "inside"
    assert read(person) == {indicator("bad.invalid")["id"]}
    done = person.asks("review", "release", KNOWN["id"], "--why", "ours", "--who", "Marie")
    assert done["who"] == f"Marie ({terminal.responsible()})"
    assert [item["id"] for item in done["statements"]] == [KNOWN["id"]]
    assert (done["verdict"], done["why"]) == ("released", "ours")
    assert read(person) == {indicator("bad.invalid")["id"], KNOWN["id"]}
    person.types("review", "refuse", "--value", "198.51.100.0/25", "--why", "documentation")
    assert person.asks("review", "list") == {"total": 0, "entries": []}
    (refused,) = person.asks("review", "list", "--refused")["entries"]
    assert refused["doubt"] == "doubt.refused"
    assert refused["verdicts"][0]["why"] == "documentation"
    person.types("review", "refuse", KNOWN["id"], "--why", "wrong after all", "--source", "circl/fichiers")
    (notice,) = read(person) - {indicator("bad.invalid")["id"]}
    assert notice.startswith("note--")  # whoever had it is told that it was withdrawn (RULES R8)
    shown = person.types("review", "show", "example[.]com").stdout
    assert shown.index(f"Marie ({terminal.responsible()}) released") < shown.rindex("refused “")
    (answer,) = person.asks("why", KNOWN["id"])["statements"][0]["answers"]
    assert answer["reasons"] == ["doubt.refused"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["irait à 1", "à l’intérieur de 198.51.100.0/24", "Montrés : 2 sur 2", "une personne"]),
        ("en", ["would go to 1", "it lies inside 198.51.100.0/24", "Shown: 2 of 2", "a person"]),
    ],
)
def test_it_speaks_both_languages(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    for room in (terminal, review):
        monkeypatch.setattr(room, "LANGUAGE", language)
    told = person.types("review", "list").stdout + person.types("review", "show", ADDRESS["id"]).stdout
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("release", "--why", "x"), 64),
        (("release", KNOWN["id"], "--value", "example.com", "--why", "x"), 64),
        (("release", indicator("bad.invalid")["id"], "--why", "x"), 64),
        (("refuse", KNOWN["id"], "--why", " "), 64),
        (("refuse", "--value", "nothing.invalid", "--why", "x"), 64),
        (("list", "--source", "circl/nothing"), 64),
        (("show", "bad.invalid"), 1),
        (("show", "nothing.invalid"), 1),
    ],
)
def test_what_cannot_be_decided_is_told(person: Person, words: tuple[str, ...], code: int) -> None:
    person.types("review", *words, code=code)
    assert person.asks("review", "list")["total"] == 2


def test_the_list_is_readable_in_eighty_columns(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.out, "width", 80)
    told = person.types("review", "list").stdout.splitlines()
    assert told[0].startswith("example.com  ")
    assert told[1].startswith(f"  {KNOWN['id']}  circl/fichiers, ")
    for each in (KNOWN, ADDRESS):
        person.types("review", "refuse", each["id"], "--why", "x")
    assert person.types("review", "list").stdout.splitlines() == ["Nothing to show here."]


STRICT = indicator("strict.invalid", tlp=Tlp.RED)
ABOVE = indicator("above.invalid", tlp=Tlp.AMBER_STRICT)


def four_eyes(person: Person, approvals: int = 2) -> None:
    """SOC may have what is strict, and its agreement asks for so many persons."""
    path = person.config / "agreements" / "soc.toml"
    path.write_text(path.read_text().replace('"TLP:GREEN"', f'"TLP:RED"\napprovals = {approvals}'))
    giver = person.config / "agreements" / "circl.toml"
    giver.write_text(giver.read_text() + '[send]\nceiling = "TLP:CLEAR"\nonward = true\n')
    path = person.config / "collections" / "partenaires.toml"
    path.write_text(path.read_text().replace('"TLP:GREEN"', '"TLP:RED"'))
    person.applies()


def test_two_persons_let_it_go(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_LOGIN", Path("/nowhere"))
    four_eyes(person)
    person.imports(STRICT, ABOVE)
    found = person.asks("review", "queue", "--code", "receive.ceiling")
    (entry,) = found["entries"]  # TLP:RED is for its recipients alone
    assert (entry["id"], entry["asked"], entry["readers"]) == (ABOVE["id"], 2, ["soc"])
    assert [(each["code"], each["count"]) for each in found["counts"]] == [("receive.ceiling", 1)]
    every = person.asks("review", "queue")["counts"]
    assert {(each["code"], each["count"]) for each in every} == {("receive.ceiling", 1), ("doubt.warninglist", 2)}
    assert person.asks("review", "queue", "--peer", "soc")["counts"] == []
    for who in ("marie", "marie", "luc"):
        assert ABOVE["id"] not in read(person)
        monkeypatch.setenv("SUDO_USER", who)
        person.types("review", "approve", ABOVE["id"], "--for", "soc", "--why", "by telephone")
    assert ABOVE["id"] in read(person)
    person.types("review", "decline", ABOVE["id"], "--why", "no")
    assert ABOVE["id"] not in read(person)
    assert person.asks("review", "queue", "--peer", "circl", "--code", "receive.ceiling")["entries"] == []
    person.types("review", "undo", ABOVE["id"], "--why", "the wrong one")
    assert len(person.asks("review", "queue", "--code", "receive.ceiling")["entries"]) == 1


def test_a_value_too_takes_two_persons(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release of a value is for everybody, so the most careful agreement holds; one login is one person, whatever
    names it types."""
    monkeypatch.setattr(terminal, "_LOGIN", Path("/nowhere"))
    four_eyes(person)
    for login, name in (("marie", "Marie"), ("marie", "Luc"), ("marie", "marie"), ("luc", "Marie")):
        assert KNOWN["id"] not in read(person)
        monkeypatch.setenv("SUDO_USER", login)
        person.types("review", "release", KNOWN["id"], "--why", "ours", "--who", name)
    assert KNOWN["id"] in read(person)


@pytest.mark.parametrize(
    ("who", "login"),
    [("marie", "marie"), ("Marie Roy (mroy)", "mroy"), ("a (b) (c)", "c"), ("Marie (Roy", "Marie (Roy")],
)
def test_whose_login_a_record_names(who: str, login: str) -> None:
    assert reviews.login_of(who) == login


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["irait à : soc; approbations : 0 sur 1", "2 de circl, le premier il y a"]),
        ("en", ["would go to: soc; approvals: 0 of 1", "2 of circl, the first"]),
    ],
)
def test_the_queue_speaks_both_languages(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    for room in (terminal, review):
        monkeypatch.setattr(room, "LANGUAGE", language)
    told = person.types("review", "queue").stdout
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    "words",
    [
        ("approve", STRICT["id"], "--why", "x"),
        ("approve", KNOWN["id"], "--why", " "),
        ("approve", KNOWN["id"], "--why", "x", "--for", "nobody"),
        ("decline", indicator("bad.invalid")["id"], "--why", "x"),
        ("queue", "--peer", "nobody"),
    ],
)
def test_what_no_person_may_let_go_is_told(person: Person, words: tuple[str, ...]) -> None:
    person.imports(STRICT)
    person.types("review", *words, code=64)
    assert STRICT["id"] not in read(person)
