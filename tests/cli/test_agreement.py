"""`exchange agreement`: agreements from templates; and what `peers` and `check` say of those that end."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.cli import agreement, app, look, terminal
from exchange.config import load, template
from exchange.model.marking import Tlp
from tests.cli.test_commands import RUNNER, Person


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    terminal.out.width = terminal.err.width = 300
    yield Person(tmp_path)


def ends(person: Person, days: int) -> str:
    """The agreement with SOC ends in so many days; the date."""
    path = person.config / "agreements" / "soc.toml"
    until = (terminal.now() + timedelta(days=days)).date().isoformat()
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"until = {until}" if line.startswith("until") else line for line in lines))
    return until


@pytest.mark.parametrize(
    ("days", "step", "code", "french", "english"),
    [
        (45, 60, "config.agreement_ending", "prend fin le", "Begin its renewal"),
        (20, 30, "config.agreement_ending_soon", "prend fin bientôt", "ends soon"),
        (2, 7, "config.agreement_ending_now", "URGENT", "releases stop the day after"),
        (-3, -1, "config.agreement_ended", "ont cessé", "releases under it have stopped"),
    ],
)
def test_an_agreement_that_ends_is_told(
    person: Person, monkeypatch: pytest.MonkeyPatch, days: int, step: int, code: str, french: str, english: str
) -> None:
    """At 60, 30 and 7 days, and when it is over: by `peers`, and by `check`."""
    until = ends(person, days)
    (near,) = person.asks("peers")["agreements"]
    assert (near["agreement"], near["until"], near["step"], near["parties"]) == ("soc", until, step, ["soc"])
    assert code in {warning["code"] for warning in person.asks("check")["warnings"]}
    for language, words in (("fr", french), ("en", english)):
        for room in (terminal, look):
            monkeypatch.setattr(room, "LANGUAGE", language)
        (line,) = [line for line in person.types("peers").stdout.splitlines() if until in line]
        assert words in line
        assert "soc" in line


def test_one_that_does_not_end_soon_is_not_told(person: Person) -> None:
    assert person.asks("peers")["agreements"] == []


TEMPLATES = ["ccc", "cert-ee", "circl", "first", "fpt-2025", "organisme-public"]
CONFIRM = "à confirmer / to confirm"
# What reference law says of these was not verified, or whether it applies to this exchange.
UNSURE = re.compile(
    r"GDPR|RGPD|CSE Act|Loi sur le CST|Bykovets|instrument .*(?:place|lieu)|s\. 68|12\.2|NIS 2|2025-09-23"
)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_templates_are_named(person: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """Each with a line that says whom it is for, in the person's language."""
    for room in (terminal, agreement):
        monkeypatch.setattr(room, "LANGUAGE", language)
    listed = listing("--json")
    assert [one["name"] for one in json.loads(listed)["templates"]] == TEMPLATES
    shown = listing()
    assert {"fr": "treize gouvernements", "en": "thirteen governments"}[language] in shown


def listing(*words: str) -> str:
    result = RUNNER.invoke(app, ["agreement", "list", *words])
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_new_agreement_is_read_and_shut(person: Person, name: str) -> None:
    """The real loader reads it; nothing is unmarked, onward or PFC, nothing is in force, and `check` says so."""
    if name == "circl":
        (person.config / "agreements" / "circl.toml").unlink()
    written = person.asks("agreement", "new", name, "--party", "soc", "--party", "circl", "--party", "soc")
    assert written["written"] == str(person.config / "agreements" / f"{name}.toml")
    (made,) = [each for each in load(person.config).terms.agreements if each.id == name]
    assert made.parties == ("soc", "circl")
    assert not made.active(terminal.now())
    assert made.receive is not None
    assert made.send is not None
    assert made.receive.ceiling <= Tlp.AMBER
    assert made.receive.unmarked is None
    assert made.receive.informational_markings == frozenset()
    assert made.send.ceiling <= Tlp.GREEN
    assert not made.send.onward
    assert not made.send.pfc
    assert made.send.types is not None
    assert not made.send.types & {"observed-data", "identity", "sighting", "ipv4-addr", "email-addr"}
    codes = {(w["file"], w["code"]) for w in person.asks("check")["warnings"]}
    assert (f"agreements/{name}.toml", "config.agreement_ahead") in codes


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_what_is_not_sure(name: str) -> None:
    """Every comment stands in both languages, and every legal point that is not verified is marked."""
    text = template.filled(name, ["soc"])
    points = re.split(r"^(?:#|)$", text, flags=re.MULTILINE)
    assert all(("# FR " in point) == ("# EN " in point or "  EN " in point) for point in points)
    unsure = [point for point in points if UNSURE.search(point)]
    assert unsure
    assert not [point for point in unsure if CONFIRM not in point]
    assert "@" not in text


def test_a_new_agreement_takes_no_other_s_place(person: Person) -> None:
    """A file that is there stays; another id, or standard output, is open."""
    before = (person.config / "agreements" / "circl.toml").read_bytes()
    told = person.types("agreement", "new", "circl", "--party", "circl", code=64)
    assert "circl.toml" in told.stderr
    assert (person.config / "agreements" / "circl.toml").read_bytes() == before
    told = person.types("agreement", "new", "circl", "--party", "circl", "--id", "circl-2027")
    assert "circl-2027.toml" in told.stdout
    assert {each.id for each in load(person.config).terms.agreements} == {"circl", "circl-2027", "soc"}
    printed = person.types("agreement", "new", "circl", "--party", "nobody-yet", "--stdout").stdout
    assert person.types("agreement", "new", "circl", "--party", "nobody-yet", "--id", "-").stdout == printed
    assert tomllib.loads(printed)["parties"] == ["nobody-yet"]
    assert person.asks("agreement", "new", "circl", "--party", "nobody-yet", "--stdout")["text"] == printed
    assert len(list((person.config / "agreements").iterdir())) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("no-such", "--party", "soc"), "fpt-2025"),
        (("first", "--party", "stranger"), "circl, soc"),
        (("first", "--party", "stranger"), "peers/stranger.toml"),
        (("first", "--party", "../soc"), "soc"),
        (("first", "--party", "soc", "--id", "../../etc/x"), "etc-x"),
        (("first", "--party", "soc", "--id", "Entente été"), "entente-ete"),
    ],
)
def test_what_cannot_be_is_refused(person: Person, words: tuple[str, ...], told: str) -> None:
    """An unknown template or peer, and a name that could leave the folder; what to type stands there."""
    before = sorted(person.folder.rglob("*"))
    answer = person.types("agreement", "new", *words, code=64).stderr
    assert told in answer
    assert "apply" not in answer, "nothing of this waits for it"
    assert sorted(person.folder.rglob("*")) == before
