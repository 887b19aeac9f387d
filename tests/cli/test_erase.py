"""`exchange erase` (R33): one asks, another approves; no byte is left, the chain verifies, it does not come back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from exchange.cli import terminal
from exchange.store import blocks, open_store, statements, sweeping
from exchange.store.ledgers import hand
from exchange.sync.remains import erased_of
from tests.cli.test_commands import Person, person, speak
from tests.cli.test_withdraw import read_all, visible
from tests.world import indicator, malware, relationship

__all__ = ["person"]
ITEM = indicator("jean.tremblay.invalid", description="Jean Tremblay, 12 rue Exemple")
OTHER = indicator("b.invalid")
FAMILY = malware("m")
LINK = relationship(ITEM, FAMILY)
SECRETS = (ITEM["id"], ITEM["id"].partition("--")[2], "jean.tremblay.invalid", "Tremblay", "12 rue Exemple")


@pytest.fixture
def marie(person: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Marie is at the terminal of a node that gave it to SOC and to a server of theirs."""
    monkeypatch.setattr(terminal, "_LOGIN", Path("/nowhere"))
    monkeypatch.setenv("SUDO_USER", "marie")
    person.imports(ITEM, OTHER, FAMILY, LINK)
    read_all(person)
    with closing(open_store(person.database)) as store, store.writing() as tx:
        held = statements.find(tx, stix_id=ITEM["id"])[0]
        entry = {"at": 1, "peer": "soc", "channel": "target:soc/x", "seq": held.seq, "stix_id": ITEM["id"]}
        hand(tx, [{**entry, "version": held.version, "agreement": "soc", "outcome": "accepted"}])
    return person


def found(person: Person) -> list[str]:
    """Which of the secrets stand in a file of the store, as they are or in a block."""
    kept = person.everything_kept()
    with closing(open_store(person.database)) as store:
        with store.reading() as tx:
            inside = [word for word in SECRETS if blocks.holding(tx, lambda body, word=word: word.encode() in body)]  # type: ignore[misc]
        assert sweeping.files(store)
    return [word for word in SECRETS if word.encode() in kept] + inside


def request(person: Person) -> int:
    """Ask for it."""
    words = ("--why", "request of the person", "--legal-basis", "A-2.1, s. 28")
    return int(person.asks("erase", ITEM["id"], *words)["number"])


def test_no_byte_of_it_is_left_and_the_chain_verifies(marie: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(SECRETS) <= set(found(marie))
    number = request(marie)
    assert visible(marie) == 2, "withdrawn at once, with what is said of it alone"
    assert marie.types("erase", "--approve", str(number), code=64).stderr
    monkeypatch.setenv("SUDO_USER", "luc")
    done = marie.asks("erase", "--approve", str(number))
    assert found(marie) == []
    assert (done["asked_by"], done["approved_by"], done["legal_basis"]) == ("marie", "luc", "A-2.1, s. 28")
    assert {(each["peer"], each["delivered"], each["accepted"]) for each in done["had"]} == {
        ("soc", 0, 1), ("soc", 1, 0),
    }  # fmt: skip
    assert (done["left"], done["faults"]) == ([], 0)
    assert done["heads_before"]["handed"] == done["heads_after"]["handed"] != ""
    assert marie.asks("ledger", "verify")["faults"] == []
    assert "Attestation d’effacement 1" in done["text"]["fr"]
    assert "Attestation of erasure 1" in done["text"]["en"]
    told = marie.types("erase", "--attestation", "1").stdout
    assert "A-2.1, s. 28" in told and "\ufffd" not in told
    assert told.split("\n\n") == [f"{done['text'][each]}" for each in ("en", "fr")] + [""]
    assert not [word for word in SECRETS if word in json.dumps(done)]


def test_it_does_not_come_back(marie: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the same version nor another, and what is refused is not kept in quarantine either."""
    number = request(marie)
    monkeypatch.setenv("SUDO_USER", "luc")
    marie.types("erase", "--approve", str(number))
    marie.imports(OTHER)
    for again in (ITEM, {**ITEM, "modified": "2026-11-22T00:00:00.000Z"}, {**ITEM, "pattern": "no pattern"}):
        result = marie.types("import", marie.file(again, name="again.json"), "--source", "circl/fichiers", code=65)
        assert result.exit_code == 65
    assert found(marie) == []
    assert marie.asks("quarantine", "list")["total"] == 0
    assert visible(marie) == 2


def test_a_value_goes_with_all_that_names_it(marie: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = indicator("jean.tremblay.invalid", id_="indicator--5e2a4b10-13cf-4a79-8c2d-9a4d7c1f0e33")
    marie.imports(twin)
    words = ("--value", "jean[.]tremblay.invalid", "--why", "x", "--legal-basis", "y")
    number = marie.asks("erase", *words)["number"]
    monkeypatch.setenv("SUDO_USER", "luc")
    done = marie.asks("erase", "--approve", str(number))
    assert done["left"] == []
    assert found(marie) == []
    later = indicator("jean.tremblay.invalid", id_="indicator--5e2a4b10-13cf-4a79-8c2d-9a4d7c1f0e34")
    marie.types("import", marie.file(later, name="later.json"), "--source", "circl/fichiers", code=65)
    assert found(marie) == []


def test_what_waits_is_listed_and_may_be_taken_back(marie: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    number = request(marie)
    for language, words in (("fr", "attend une approbation"), ("en", "waits for approval")):
        monkeypatch.setattr(terminal, "LANGUAGE", language)
        assert words in marie.types("erase", "--list").stdout
    monkeypatch.setattr(terminal, "LANGUAGE", "en")
    standing = [each["id"] for each in marie.asks("withdraw", "--list")]
    assert len(standing) == 1, "of the object, and of what is said of it alone"
    told = marie.types("erase", "--drop", str(number)).stdout
    assert [each for each in standing if f"`exchange withdraw --undo {each} --why …`" not in told] == []
    monkeypatch.setenv("SUDO_USER", "luc")
    marie.types("erase", "--approve", str(number), code=64)
    assert [each["state"] for each in marie.asks("erase", "--list")] == ["dropped"]


@pytest.mark.parametrize(
    "words",
    [
        (ITEM["id"], "--why", "x"),
        (ITEM["id"], "--legal-basis", "x"),
        ("--why", "x", "--legal-basis", "y"),
        (ITEM["id"], "--value", "b.invalid", "--why", "x", "--legal-basis", "y"),
        ("jean.tremblay.invalid", "--why", "x", "--legal-basis", "y"),
        (ITEM["id"], "--why", "because of jean.tremblay.invalid", "--legal-basis", "y"),
        ("--value", "nothing.invalid", "--why", "x", "--legal-basis", "y"),
        ("--approve", "7"),
        ("--drop", "7"),
        ("--attestation", "7"),
    ],
)
def test_what_cannot_be_done_is_told(marie: Person, words: tuple[str, ...]) -> None:
    marie.types("erase", *words, code=64)
    assert visible(marie) == 4
    assert marie.asks("erase", "--list") == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_why_tells_that_it_was_erased(marie: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """Not that it was never seen: when, by whom, on what basis, and what the ledgers still say; nothing of it."""
    number = request(marie)
    monkeypatch.setenv("SUDO_USER", "luc")
    done = marie.asks("erase", "--approve", str(number))
    speak(monkeypatch, language)
    for asked in (ITEM["id"], ITEM["id"].partition("--")[2], LINK["id"]):
        told = marie.types("why", asked, code=1).stdout
        words = ("A-2.1, s. 28", "marie", "luc", "circl/fichiers", "partenaires")
        assert [word for word in words if word not in told] == []
    told = marie.types("why", ITEM["id"], code=1).stdout
    assert ("was never seen" in told, "jamais été vu" in told) == (False, False)
    assert (f"by erasure {number}" if language == "en" else f"l’effacement {number}") in told
    assert f"`exchange erase --attestation {number}`" in told and done["erased_at"][:10] in told
    assert [word for word in SECRETS[2:] if word in told] == []
    assert "x-exchange-erased" not in told


def test_why_tells_of_an_erasure_as_json(marie: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the peer, only what concerns it; a value that was asked for is known again, one that was not is unknown."""
    words = ("--value", "jean[.]tremblay.invalid", "--why", "x", "--legal-basis", "y")
    number = marie.asks("erase", *words)["number"]
    monkeypatch.setenv("SUDO_USER", "luc")
    marie.asks("erase", "--approve", str(number))
    for asked in ("jean.tremblay[.]invalid", ITEM["id"]):
        (said,) = marie.asks("why", asked, code=1)["erased"]
        assert (said["number"], said["state"], said["basis"], said["why"]) == (number, "erased", "y", "x")
        assert (said["asked_by"], said["approved_by"], said["sources"]) == ("marie", "luc", ["circl/fichiers"])
        assert {(*each["members"], each["until"] is None) for each in said["stood"]} == {("soc", False)}
        assert [(each["peer"], each["outcome"], each["count"]) for each in said["handed"]] == [("soc", "accepted", 1)]
        assert [(each["peer"], each["account"][:3]) for each in said["fetched"]] == [("soc", "soc")]
    (said,) = marie.asks("why", ITEM["id"], "--peer", "soc", code=1)["erased"]
    assert [each["peer"] for each in (*said["handed"], *said["fetched"])] == ["soc", "soc"]
    with closing(open_store(marie.database)) as store:
        (other,) = erased_of(store, ITEM["id"], peer="circl")
    assert (other.statements, other.stood, other.handed, other.fetched) == (1, (), (), ())
    assert marie.asks("why", "other.invalid", code=1)["erased"] == []
    assert marie.asks("why", OTHER["id"])["erased"] == []


def test_one_request_is_one_withdrawal(marie: Person) -> None:
    """Of an object, and of what is said of it alone: the listing of withdrawals says it once."""
    number = request(marie)
    (only,) = marie.asks("withdraw", "--list")
    assert (only["asked"], only["why"]) == (ITEM["id"], f"exchange erase {number}")
    assert visible(marie) == 2
    marie.types("withdraw", "--undo", str(only["id"]), "--why", "x")
    assert visible(marie) == 4


def test_what_is_said_of_a_value_alone_is_withdrawn_too_and_told_apart(marie: Person) -> None:
    """A value catches what comes later, and what is said of it alone is named by its ids: two, which look it."""
    words = ("--value", "jean[.]tremblay.invalid", "--why", "x", "--legal-basis", "y")
    done = marie.asks("erase", *words)
    assert visible(marie) == 2
    standing = {each["id"]: each for each in marie.asks("withdraw", "--list")}
    assert sorted(standing) == sorted(done["withdrawals"]) and done["withdrawal"] == min(standing)
    assert [standing[number]["asked"] for number in sorted(standing)] == ["jean[.]tremblay.invalid", LINK["id"]]
    told = marie.types("erase", "--drop", str(done["number"])).stdout
    assert [each for each in standing if f"`exchange withdraw --undo {each} --why …`" not in told] == []
