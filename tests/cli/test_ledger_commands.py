"""`exchange ledger`, `ledger verify` and `register`, in both languages, for people and for programs."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest
from sqlalchemy import insert, select, update

from exchange.cli import ledger, terminal
from exchange.model.marking import Label
from exchange.serve.ledger import Ledger
from exchange.store import audiences, micros, open_store, statements, tables
from exchange.store.ledgers import hand
from tests.cli.test_commands import COLLECTION, Person, person
from tests.world import indicator

__all__ = ["person"]
ITEM = indicator("a.example")


def read_once(person: Person) -> None:
    """SOC reads the collection, and CIRCL's server takes the object."""
    person.imports(ITEM)
    now = micros(terminal.now())
    with closing(open_store(person.database)) as store:
        with store.reading() as tx:
            row = next(a for a in audiences.everyone(tx).values() if a.channel == f"collection:{COLLECTION}")
            held = statements.find(tx, stix_id=ITEM["id"])[0]
            first = tx.execute(tables.listing.select().where(tables.listing.c.audience == row.number)).one().added
        query = {"account": "soc", "peer": "soc", "audience": row.key, "channel": row.channel, "query": "objects?"}
        Ledger(store).write({"at": now, **query, "first": first, "last": first, "count": 1})
        with store.writing() as tx:
            entry = {"at": now, "peer": "circl", "channel": "target:circl/x", "seq": held.seq, "stix_id": ITEM["id"]}
            hand(tx, [{**entry, "version": held.version, "agreement": "circl", "outcome": "accepted"}])


def test_the_ledger_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    read_once(person)
    found = person.asks("ledger")
    assert [(each["outcome"], each["peer"]) for each in found] == [("accepted", "circl"), ("delivered", "soc")]
    for language, word in (("en", "delivered"), ("fr", "livré")):
        monkeypatch.setattr(terminal, "LANGUAGE", language)
        text = person.types("ledger", "--peer", "soc", "--objects").stdout
        assert word in text and ITEM["id"] in text and "circl" not in text
    assert len(person.types("ledger", "--csv").stdout.splitlines()) == 3
    assert ITEM["id"] in person.types("ledger", "--object", ITEM["id"]).stdout
    assert person.asks("ledger", "--to", "2020-01-01") == []


@pytest.mark.parametrize(
    ("words", "code", "told"), [(("--from", "yesterday"), 64, "2026-11-22"), (("--peer", "nobody"), 64, "circl")]
)
def test_a_wrong_question_is_told(person: Person, words: tuple[str, ...], code: int, told: str) -> None:
    assert told in person.types("ledger", *words, code=code).stderr


def test_verify_finds_what_was_changed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    read_once(person)
    assert person.asks("ledger", "verify")["faults"] == []
    with closing(open_store(person.database)) as store, store.writing() as tx:
        tx.execute(update(tables.ledger).values(peer="soc"))
    monkeypatch.setattr(terminal, "LANGUAGE", "fr")
    assert "rompue" in person.types("ledger", "verify", code=1).stdout


def test_the_register_is_a_page_to_print(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    read_once(person)
    agreement = person.config / "agreements" / "soc.toml"
    text = agreement.read_text(encoding="utf-8")
    agreement.write_text(
        text.replace('purpose = "test"', 'purpose = "test"\nlegal_basis = "A-2.1, art. 68"'), encoding="utf-8"
    )
    person.applies()
    assert "A-2.1, art. 68" in {each["legal_basis"] for each in person.asks("register")}
    assert [each["types"] for each in person.asks("register")] == [{"indicator": 1}, {"indicator": 1}]
    for language, title in (("fr", "Registre des communications – CERT-QC"), ("en", "Register of communications")):
        for room in (terminal, ledger):
            monkeypatch.setattr(room, "LANGUAGE", language)
        page = person.types("register", "--html", "--from", "2026-01-01").stdout
        assert f'<html lang="{language}">' in page and title in page and "SOC (soc)" in page
        assert "<script" not in page and "A-2.1, art. 68" in page
    lines = person.types("register", "--csv").stdout.splitlines()
    assert len(lines) == 3 and "indicator 1" in lines[1]
    assert "indicator" not in person.types("register", "--to", "2020-01-01").stdout
    monkeypatch.setattr(terminal.out, "width", 80)
    told = person.types("register").stdout
    assert "\nSOC (soc)\n" in told and "A-2.1, art. 68" in told
    assert ITEM["id"] in person.types("recall", ITEM["id"]).stdout
    for command in ("register", "ledger"):
        person.types(command, "--from", "2026-11-22", "--to", "2026-11-21", code=64)


def test_a_page_holds_no_markup_of_others(person: Person) -> None:
    with closing(open_store(person.database)) as store, store.writing() as tx:
        tx.execute(
            insert(tables.ledger),
            [{"at": 1, "peer": "<b>x</b>", "channel": "", "seq": 1, "stix_id": "a--b", "version": "",
              "agreement": "<i>", "outcome": "accepted"}],
        )  # fmt: skip
    page = person.types("register", "--html").stdout
    assert "<b>" not in page and "<i>" not in page


def test_what_reads_alike_is_counted_together(person: Person) -> None:
    """A stored label says more than its levels, such as what MISP calls the thing: one line for all of them."""
    person.imports(ITEM, indicator("second.invalid"))
    with closing(open_store(person.database)) as store, store.writing() as tx:
        row = tables.listing.c
        one = tx.execute(select(row.seq).order_by(row.seq).limit(1)).scalar_one()
        label = tx.execute(select(row.label).limit(1)).scalar_one()
        kinds = Label.from_text(label)
        other = msgspec.structs.replace(kinds, kinds=frozenset({"type:domain"})).to_text()
        tx.execute(update(tables.listing).where(row.seq == one).values(label=other))
    assert [each["count"] for each in person.asks("audience", "soc")["visible"]] == [1, 1]
    lines = [line.split() for line in person.types("audience", "soc").stdout.splitlines() if "indicator" in line]
    assert [line[-1] for line in lines] == ["2"]


@pytest.mark.parametrize(("language", "word"), [("en", "ever known"), ("fr", "jamais été connu")])
def test_an_id_that_was_never_known_is_said_to_be_so(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, word: str
) -> None:
    """Not that there was nothing in this period, which is told of what is known."""
    person.imports(ITEM)
    monkeypatch.setattr(terminal, "LANGUAGE", language)
    for unknown in ("pasunid", "indicator--00000000-0000-4000-8000-000000000000", "a.example"):
        assert word in person.types("ledger", "--object", unknown, code=1).stdout
        assert person.types("ledger", "--object", unknown, "--json", code=1).stdout.strip() == "[]"
    known = ("ledger", "--object", ITEM["id"])
    assert word not in person.types(*known).stdout
    assert word not in person.types(*known, "--to", "2020-01-01").stdout


def test_what_a_partner_can_see(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.imports(ITEM)
    (seen,) = person.asks("audience", "soc")["visible"]
    assert (seen["type"], seen["count"]) == ("indicator", 1)
    assert person.asks("audience", "soc", "--at", "2020-01-01")["visible"] == []
    assert ITEM["id"] in person.types("audience", "soc", "--objects").stdout
    assert len(person.types("audience", "soc", "--csv").stdout.splitlines()) == 2
    for language, word in (("en", "can see"), ("fr", "peut voir")):
        monkeypatch.setattr(terminal, "LANGUAGE", language)
        text = person.types("audience", "soc").stdout
        assert word in text and "TLP:GREEN" in text
    assert "2026-11-22" in person.types("audience", "soc", "--at", "noon", code=64).stderr


def test_decisions_are_made_again(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """R27: what stands comes out, by the terms of the applied configuration; what was changed by hand is named."""
    person.imports(ITEM)
    found = person.asks("ledger", "replay")
    assert found["rows"] and (found["mismatches"], found["unreplayable"], found["unproved"]) == ([], {}, 0)
    for language, words in (("fr", "Rien ne diffère"), ("en", "Nothing differs")):
        monkeypatch.setattr(terminal, "LANGUAGE", language)
        assert words in person.types("ledger", "replay").stdout
    with closing(open_store(person.database)) as store, store.writing() as tx:
        tx.execute(update(tables.listing).values(agreement="faux"))
        terms = tx.execute(tables.followed.select()).first()
        assert terms is not None
        tx.execute(update(tables.followed).values(terms=terms.terms.replace("test", "x"), epoch="0" * 32))
    text = person.types("ledger", "replay", "--peer", "soc", code=1).stdout
    assert "applied" in text
    assert person.types("ledger", "replay", "--object", ITEM["id"], "--to", "2020-01-01", code=1).stdout
    assert person.types("ledger", "replay", "--peer", "nobody", code=64).stderr
