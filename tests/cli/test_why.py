"""`exchange why --peer --collection`: the whole way of an object, and why a partner has no more, in both languages."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from exchange.cli import terminal
from exchange.model.marking import Tlp
from exchange.store import accounts, micros, open_store, sources, tables
from tests.cli.test_commands import COLLECTION, TARGET, Person, person, speak
from tests.cli.test_ledger_commands import read_once
from tests.world import indicator, malware, relationship

__all__ = ["person"]
ITEM = indicator("a.example")
ASIDE = re.compile(r"\b(cli|trace|state|count|reason|label|agreement|release|verdict)\.[a-z_]+\b")


@pytest.fixture(params=["en", "fr"])
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The person reads each language, on a terminal of 80 columns."""
    speak(monkeypatch, request.param)
    terminal.out.width = 80
    return str(request.param)


def told(person: Person, *words: str, code: int = 0) -> str:
    """What is printed, with its lines put together; no message id and no field shows."""
    found = person.types("why", *words, code=code).stdout
    assert "{" not in found
    assert ASIDE.search(re.sub(r"`[^`]*`", "", found)) is None, found
    return " ".join(found.split())


def said(language: str, english: str, french: str) -> str:
    return english if language == "en" else french


def test_the_whole_way_of_what_was_fetched(person: Person, language: str) -> None:
    read_once(person)
    person.types("subscriber", "add", "--peer", "soc")
    words = told(person, ITEM["id"], "--peer", "soc", "--collection", "partenaires")
    for each in ("TLP:GREEN", "soc", "2099-01-01", "circl/fichiers", "objects?", ITEM["id"]):
        assert each in words
    assert said(language, "agreement “soc”", "l’entente « soc »") in words
    assert said(language, "fetched by “soc” of soc", "lu par « soc » de soc") in words
    assert all(len(line) <= 80 for line in person.types("why", ITEM["id"], "--peer", "soc").stdout.splitlines()[2:])


def test_the_document_has_the_names_that_the_guide_gives(person: Person) -> None:
    read_once(person)
    found = person.asks("why", ITEM["id"], "--peer", "soc")
    assert list(found) == [
        "asked",
        "peer",
        "channel",
        "rooms",
        "statements",
        "groups",
        "traces",
        "more",
        *("quarantine", "vanished", "acts", "erased"),
    ]
    (trace,) = found["traces"]
    assert {
        *("origin", "verdict", "reasons", "agreement", "steps", "listed", "folded", "alarm", "stays", "front"),
        *("offered", "fetched", "handed", "parcel", "recalls", "then", "altered"),
    } <= trace.keys()
    assert (trace["verdict"], trace["agreement"], trace["alarm"]) == ("release", "soc", "")
    assert [step["step"] for step in trace["steps"] if step["verdict"]] == ["released"]
    assert [each["account"] for each in trace["fetched"]] == ["soc"]
    census = person.asks("why", "--peer", "soc", "--collection", COLLECTION)
    assert list(census) == ["peer", "channel", "rooms", "held", "counts", "unlooked"]
    assert [(each["state"], each["count"], each["types"]) for each in census["counts"]] == [
        ("listed", 1, {"indicator": 1})
    ]


def test_what_stopped_it_is_told(person: Person, language: str) -> None:
    person.imports(indicator("red.example", tlp=Tlp.AMBER), indicator("none.example", tlp=None))
    words = told(person, "red.example", "--peer", "soc")
    assert "✗" in words
    assert said(language, "stricter than the collection takes", "plus restrictif que la collection") in words
    assert said(language, "it has never stood there", "il n’y a jamais figuré") in words
    assert said(language, "nothing says its TLP level", "`receive.unmarked`") in told(
        person, "none.example", "--peer", "soc"
    )


def test_an_ended_agreement_is_told(person: Person, language: str) -> None:
    person.imports(ITEM)
    path = person.config / "agreements/soc.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("2099-01-01", "2025-02-01"), encoding="utf-8")
    person.applies()
    words = told(person, ITEM["id"], "--peer", "soc")
    assert "2025-02-01" in words
    assert said(language, "the agreement has ended", "l’entente est échue") in words


def test_why_a_partner_has_no_more(person: Person, language: str) -> None:
    """Counts by what became of it; how the place stands for them."""
    one, family = indicator("a.example"), malware("m", tlp=None)
    person.imports(one, indicator("b.example"), indicator("c.example", tlp=Tlp.RED), family, relationship(one, family))
    words = told(person, "--peer", "soc", "--collection", "partenaires")
    assert said(language, "Listed: 3 of 5", "Inscrits : 3 des 5") in words
    assert "exchange subscriber add" in words
    assert said(language, "never", "jamais") in words
    census = person.asks("why", "--collection", "partenaires")
    assert sum(each["count"] for each in census["counts"]) == census["held"] == 5


def test_a_partner_that_has_no_part_there_is_told_so(person: Person, language: str) -> None:
    words = told(person, "--peer", "circl", "--collection", "partenaires", code=1)
    assert said(language, "has no part in partenaires", "n’a aucune part à partenaires") in words
    assert "`readers`" in words
    words = told(person, ITEM["id"], "--peer", "circl", code=1)
    assert said(language, "reads no collection", "ne lit aucune collection") in words
    assert "`readers`" in words


@pytest.mark.parametrize(
    ("words", "named"),
    [((), "--peer"), (("--peer", "nobody"), "soc"), (("x", "--collection", "nowhere"), "partenaires"),
     (("x", "--peer", "soc", "--at", "noon"), "2026-11-22")],
)  # fmt: skip
def test_a_wrong_question_is_told(person: Person, words: tuple[str, ...], named: str) -> None:
    assert named in person.types("why", *words, code=64).stderr


def test_what_was_never_seen_says_where_we_looked(person: Person, language: str) -> None:
    person.imports(ITEM)
    words = told(person, "never.example", "--peer", "soc", code=1)
    assert "circl/osint" in words
    assert person.asks("why", "never.example", "--peer", "soc", code=1)["statements"] == 0


def test_what_waits_to_be_pushed_is_told_with_the_next_push(person: Person, language: str) -> None:
    with (person.config / "peers/soc.toml").open("a", encoding="utf-8") as file:
        file.write(TARGET)
    person.imports(ITEM)
    with closing(open_store(person.database)) as store, store.writing() as tx:
        sources.declare(tx, ["soc/depot"], micros(datetime.now(UTC)))
    words = told(person, ITEM["id"], "--collection", "soc/depot")
    assert "`exchange sync soc`" in words
    with closing(open_store(person.database)) as store, store.writing() as tx:
        accounts.pull_brake(tx, "soc", "out", "marie", "drill", micros(datetime.now(UTC)))
    words = told(person, ITEM["id"], "--collection", "soc/depot")
    assert "marie: drill" in words
    assert said(language, "nothing is sent to soc now", "rien ne part chez soc maintenant") in words


def test_an_alarm_stands_out(person: Person, language: str) -> None:
    """What stands in the listing and would not be decided so, and the other way round."""
    person.imports(ITEM)
    with closing(open_store(person.database)) as store, store.writing() as tx:
        tx.execute(update(tables.statement).values(label=None))
    assert said(language, "ALARM: it", "ALARME : il") in told(person, ITEM["id"])
    words = told(person, ITEM["id"], "--peer", "soc")
    assert said(language, "ALARM: it stands in the listing", "ALARME : il est inscrit") in words
    assert "exchange check" in words
    census = person.asks("why", "--peer", "soc")
    assert [each["alarm"] for each in census["counts"]] == ["trace.still_listed"]
    with closing(open_store(person.database)) as store, store.writing() as tx:
        label = tx.execute(select(tables.listing.c.label)).scalar()
        tx.execute(update(tables.statement).values(label=label))
        tx.execute(delete(tables.listing))
    assert person.asks("why", ITEM["id"], "--peer", "soc")["traces"][0]["alarm"] == "trace.not_listed"
    assert [each["alarm"] for each in person.asks("why", "--peer", "soc")["counts"]] == ["trace.not_listed"]


def test_many_are_counted_together(person: Person, language: str) -> None:
    ids = [f"indicator--{number:08d}-7b1e-4c52-9d3a-8f2e6a1c5d40" for number in range(9)]
    marks = [Tlp.GREEN] * 8 + [None]
    person.imports(*(indicator("a.example", id_=id_, tlp=tlp) for id_, tlp in zip(ids, marks, strict=True)))
    words = told(person, "a.example", "--peer", "soc")
    assert "indicator 8" in words
    assert ids[8] in words
    assert ids[1] not in words


def test_how_it_stood_then(person: Person, language: str) -> None:
    at = datetime.now(UTC)
    person.imports(ITEM)
    words = told(person, ITEM["id"], "--peer", "soc", "--at", (at - timedelta(days=2)).date().isoformat())
    assert said(language, "they had no part in it", "ils n’y avaient aucune part") in words
    words = told(person, ITEM["id"], "--peer", "soc", "--at", datetime.now(UTC).date().isoformat())
    assert said(language, "it stood there, since", "il y figurait, depuis") in words


@pytest.mark.parametrize("words", [("why", "x", "--peer", "soc"), ("audience", "soc")])
def test_nobody_is_told_what_is_to_come(person: Person, language: str, words: tuple[str, ...]) -> None:
    """Of a day or a time ahead; today is as it stands now."""
    later = datetime.now(UTC) + timedelta(days=2)
    for when in (later.isoformat(), later.date().isoformat()):
        told = person.types(*words, "--at", when, code=64).stderr
        assert said(language, "still to come", "est à venir") in told
    assert person.asks("audience", "soc", "--at", datetime.now(UTC).date().isoformat())["visible"] == []


def test_as_what_they_knew_it_is_told(person: Person, language: str) -> None:
    """Of what was altered for them: each stay by the id and the version that they had then."""
    path = person.config / "agreements/soc.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("[send]", '[send]\nredact = ["name"]'), encoding="utf-8")
    person.applies()
    person.imports(indicator("a.example", name="secret"))
    (trace,) = person.asks("why", ITEM["id"], "--peer", "soc")["traces"]
    (stay,) = trace["stays"]
    assert stay["stix_id"] == trace["altered"] != ITEM["id"]
    words = told(person, ITEM["id"], "--peer", "soc", "--at", datetime.now(UTC).date().isoformat())
    as_what = said(language, f"(as {stay['stix_id']}, version", f"(comme {stay['stix_id']}, version")
    assert words.count(as_what) == 2
