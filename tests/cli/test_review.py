"""`exchange review`: what waits for a person, why, and what the person decides, in both languages and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli import review, terminal
from exchange.store import audiences, micros, open_store, pages
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
    assert [item["id"] for item in done["statements"]] == [KNOWN["id"]]
    assert (done["verdict"], done["who"], done["why"]) == ("released", "Marie", "ours")
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
    assert shown.index("Marie released") < shown.rindex("refused “")
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
