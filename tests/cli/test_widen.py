"""`exchange widen`: shown, asked, done, listed, ended; by two persons where an agreement wants two; both languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchange.cli import review, terminal, trace, widen
from exchange.model.marking import Tlp
from tests.cli.test_commands import Person, person
from tests.world import CCC_IDENTITY, NODE, indicator

__all__ = ["person"]
OURS = indicator("a.invalid", tlp=Tlp.AMBER, created_by_ref=NODE)
THEIRS = indicator("b.invalid", tlp=Tlp.AMBER, created_by_ref=CCC_IDENTITY)
ASKED = ("widen", OURS["id"], "--to", "TLP:GREEN", "--right", "creator", "--why", "the owner agrees")


@pytest.fixture
def house(person: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A node whose own house has given an indicator of ours."""
    monkeypatch.setattr(terminal, "_LOGIN", Path("/nowhere"))
    monkeypatch.setenv("SUDO_USER", "marie")
    home = f'name = "CERT-QC"\nrole = "home"\nidentities = ["{NODE}"]\n[[source]]\nid = "fichiers"\nkind = "file"\n'
    (person.config / "peers" / "maison.toml").write_text(home)
    person.types("import", person.file(OURS, THEIRS), "--source", "maison/fichiers")
    return person


def visible(person: Person) -> int:
    """How many objects SOC can see."""
    return sum(each["count"] for each in person.asks("audience", "soc")["visible"] if each["type"] != "note")


def test_it_is_shown_done_listed_and_ended(house: Person) -> None:
    assert visible(house) == 0
    told = house.types(*ASKED, "--yes").stdout
    assert "TLP:AMBER → TLP:GREEN" in told and "SOC (partenaires) would newly have 1" in told
    assert visible(house) == 1
    (act,) = house.asks("widen", "--list")
    assert (act["number"], act["state"], act["who"], act["why"]) == (1, "widened", "marie", "the owner agrees")
    (about,) = act["objects"]
    assert about["id"] == OURS["id"] != about["new_id"]
    for asked in (OURS["id"], about["new_id"]):
        assert about["new_id"] in house.types("why", asked, "--peer", "soc").stdout
    assert house.asks("ledger", "verify")["widened"] == 1
    assert house.asks("widen", "--end", "1", "--why", "enough")["gone"] == [about["new_id"]]
    assert visible(house) == 0
    assert "a person ended it" in house.types("widen", "--list").stdout


def test_as_json_it_says_the_same(house: Person) -> None:
    done = house.asks(*ASKED, "--yes", "--who", "Luc")
    (item,) = done["objects"]
    assert (item["before"], item["after"], item["source"]) == ("TLP:AMBER", "TLP:GREEN", "maison/fichiers")
    assert done["made"] == [item["new_id"]]
    assert {(each["peer"], each["channel"][:10]) for each in done["effects"]} == {("soc", "collection")}
    assert (done["number"], done["waits"], done["who"]) == (1, 0, "Luc (marie)")


def test_what_a_newer_version_ended_waits_in_the_queue(house: Person) -> None:
    house.types(*ASKED, "--yes")
    later = {**OURS, "modified": "2026-11-21T12:00:01.000Z", "description": "better"}
    house.types("import", house.file(later), "--source", "maison/fichiers")
    (waiting,) = house.asks("review", "queue")["widened"]
    assert (waiting["id"], waiting["reason"], waiting["number"]) == (OURS["id"], "widening.version", 1)
    assert f"exchange widen {OURS['id']}" in house.types("review", "queue").stdout
    assert house.asks("review", "queue", "--peer", "circl")["widened"] == []
    house.types("widen", "--end", "1", "--why", "the old one said it all")
    assert house.asks("review", "queue")["widened"] == []


def test_two_persons_by_their_logins(house: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    path = house.config / "agreements" / "soc.toml"
    path.write_text(path.read_text() + "approvals = 2\n")
    house.applies()
    assert house.asks(*ASKED, "--yes")["waits"] == 1
    house.types(*ASKED, "--yes", code=64)
    house.types(*ASKED, "--yes", "--who", "luc", code=64)
    assert visible(house) == 0
    assert house.asks("widen", "--list")[0]["state"] == "asked"
    monkeypatch.setenv("SUDO_USER", "luc")
    assert house.asks(*ASKED, "--yes")["waits"] == 0
    assert visible(house) == 1
    assert house.asks("widen", "--list")[0]["who"] == "marie, luc"


def test_check_and_plan_tell_that_the_node_acts_for_the_ministry(house: Person) -> None:
    assert "acts for the ministry" not in house.types("check").stderr
    path = house.config / "exchange.toml"
    path.write_text(path.read_text() + "[pfc]\nministry = true\n")
    assert "acts for the ministry" in house.types("check").stderr
    assert "pfc.ministry = " in house.types("plan").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("widen",), "Say why"),
        (("widen", "--why", "x"), "Name an object"),
        ((*ASKED[:2], "--to", "green", *ASKED[4:]), "no level"),
        ((*ASKED[:4], "--right", "mine", *ASKED[6:]), "no right"),
        (ASKED, "Nobody can be asked"),
        (("widen", THEIRS["id"], *ASKED[2:], "--yes"), "is not ours"),
        (("widen", "nothing.invalid", *ASKED[2:], "--yes"), "Nothing is held"),
        ((*ASKED[:5], "pfc", *ASKED[6:], "--yes"), "does not act for the ministry"),
        ((*ASKED, "--source", "circl/fichiers", "--yes"), "has not said"),
        (("widen", "--end", "7", "--why", "x"), "no act 7"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(house: Person, words: tuple[str, ...], told: str) -> None:
    error = house.types(*words, code=64).stderr
    assert told in error
    assert house.asks("widen", "--list") == []
    assert visible(house) == 0


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["aurait 1 objets", "Élargi sous le numéro 1", "en vigueur", "a été élargie par marie", "a pris fin"]),
        ("en", ["newly have 1 objects", "Widened under number 1", "in force", "was widened by marie", "has ended"]),
    ],
)  # fmt: skip
def test_it_speaks_both_languages(
    house: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    rooms: list[Any] = [terminal, widen, review, trace]
    for room in rooms:
        monkeypatch.setattr(room, "LANGUAGE", language, raising=False)
    told = house.types(*ASKED, "--yes").stdout + house.types("widen", "--list").stdout
    told += house.types("why", OURS["id"], "--peer", "soc").stdout
    told += house.types("widen", "--end", "1", "--why", "y").stdout
    assert [word for word in words if word not in told] == []
