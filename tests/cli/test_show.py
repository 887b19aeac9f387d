"""What an analyst reads at the terminal: a fact and the links, in both languages, narrow and wide."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from exchange.cli import links, show, terminal
from exchange.i18n import text
from exchange.model.marking import Tlp
from tests.cli.test_commands import Person, person  # noqa: F401 (a fixture)
from tests.sync.test_showing import about, file, observed
from tests.world import indicator, malware, marked, relationship

MD5 = "d" * 32
TWIN = "indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"
ACTORS = [malware("Vigne Folle", tlp=Tlp.GREEN), malware("VIGNE folle", tlp=Tlp.GREEN)]
MESSAGE = re.compile(r"\b(show|links?|cli)\.[a-z_]+(\.[a-z_]+)*")


def speak(monkeypatch: pytest.MonkeyPatch, language: str, width: int) -> None:
    for room in (terminal, show, links):
        monkeypatch.setattr(room, "LANGUAGE", language)
    terminal.out.width = width


@pytest.fixture
def analyst(person: Person) -> Person:  # noqa: F811
    """Somebody whose node holds a little of everything."""
    bad = indicator(
        "evil.example", name="[bold]Vigne[/bold] folle", confidence=75, indicator_types=["malicious-activity"],
        labels=['admiralty-scale:source-reliability="b"', 'misp:confidence-level="usually-confident"'],
        description="A long\nstory. " * 60, valid_until="2027-01-01T00:00:00Z",
    )  # fmt: skip
    twin = indicator("EVIL[.]example", id_=TWIN)
    person.imports(
        bad, twin, observed("evil.example"), *ACTORS, relationship(bad, ACTORS[0], tlp=Tlp.GREEN),
        about("sighting", 1, twin, count=3), about("opinion", 2, bad, opinion="strongly-disagree"),
        about("opinion", 3, bad, opinion="disagree", explanation="not here", authors=["A. N."]),
        file(1, MD5=MD5), file(2, MD5=MD5, SHA_256="a" * 64), marked(indicator("lonely.example"), Tlp.RED),
    )  # fmt: skip
    person.types("import", person.file({**bad, "name": "x"}, name="again.json"), "--source", "circl/fichiers")
    return person


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("width", [80, 120])
def test_a_fact_is_told_whole_in_both_languages(
    analyst: Person, monkeypatch: pytest.MonkeyPatch, language: str, width: int
) -> None:
    """Nothing is cut off at the edge, nothing of the fact is missing, and no message id shows instead of its text."""
    speak(monkeypatch, language, width)
    told = analyst.types("show", "evil.example").stdout
    assert not MESSAGE.search(told), MESSAGE.search(told)
    assert "\ufffd" not in told
    whole = " ".join(told.split())
    for wanted in (
        "[domain-name:value = 'evil.example']", "circl/fichiers", "TLP:GREEN", "75/100", "2027-01-01T00:00:00Z",
        "[bold]Vigne[/bold] folle", "EVIL[.]example", "Vigne Folle", "disagree", "A. N.", "partenaires", TWIN,
        text("show.near.seen", language),
    ):  # fmt: skip
        assert wanted in whole, wanted
    for code in ("show.said", "show.near", "show.conflicts", "show.sighted", "show.remarks", "show.relations"):
        assert text(code, language) in told, code
    tables = told.split(text("show.conflicts", language))
    assert all(len(line.rstrip()) <= width for line in tables[0].splitlines()), "the tables fit"


def test_the_two_languages_have_the_same_lines(analyst: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal rank: as many parts in one as in the other, and other words."""
    told = []
    for language in ("en", "fr"):
        speak(monkeypatch, language, 200)
        told.append(analyst.types("show", "evil.example").stdout.splitlines())
    assert len(told[0]) == len(told[1])
    assert told[0] != told[1]


def test_json_is_complete_and_nothing_else(analyst: Person) -> None:
    """By the names of the shapes; the objects as they stand."""
    answer = analyst.asks("show", "evil.example")
    assert answer.keys() == {"asked", "facts", "others", "others_more", "events", "host"}
    bad, seen = answer["facts"]
    assert (bad["polarity"], seen["polarity"]) == ("bad", "seen")
    first, second = bad["said"]
    assert json.loads(first["object"])["type"] == "indicator"
    assert [claim["scale"] for claim in first["confidence"]] == ["reliability", "misp"]
    assert first["confidence"][1] == {
        "scale": "misp", "original": 'misp:confidence-level="usually-confident"', "value": 75,
    }  # fmt: skip
    assert second["notes"] == ["value.defanged"]
    (counted,) = bad["sighted"]
    assert (counted["sightings"], counted["false_positives"]) == (3, 1)
    assert [row["code"] for row in bad["conflicts"]] == ["version.conflict"]


def test_what_nobody_gets_is_told_too(analyst: Person) -> None:
    told = analyst.types("show", "lonely.example").stdout
    assert "Nowhere" in told
    assert "TLP:RED" in told


def test_a_pattern_that_is_none(analyst: Person) -> None:
    result = analyst.types("show", "[domain-name:value = ]", code=65)
    assert "21" in result.stderr


@pytest.mark.parametrize("language", ["en", "fr"])
def test_links_from_a_suggestion_to_its_end(analyst: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """Suggested with the reason, accepted and told, taken back, refused and not suggested again; every word logged."""
    speak(monkeypatch, language, 100)
    one, other = (each["id"] for each in ACTORS)

    def types(*words: str) -> Any:
        result = analyst.types("links", *words)
        assert not MESSAGE.search(result.stdout.replace("exchange links", "")), result.stdout
        return result

    suggested = types("suggest").stdout
    assert one in suggested
    assert other in suggested
    assert text("link.same_name", language, name="vigne folle") in suggested
    assert text("link.weak_hash", language, kind="MD5", value=MD5) in suggested
    logged = types("accept", one, other, "--why", "the same sample", "--who", "B. N.").stderr
    assert "B. N." in logged
    assert "the same sample" in logged
    assert "B. N." in " ".join(analyst.types("show", one).stdout.split())
    assert one not in types("suggest").stdout
    types("undo", other, one, "--why", "too soon")
    assert one in types("suggest").stdout
    types("refuse", one, other, "--why", "two families")
    assert one not in types("suggest", one).stdout
    listed = types("list").stdout
    assert listed.index("two families") < listed.index("too soon") < listed.index("the same sample")
    assert [word["state"] for word in analyst.asks("links", "list", one)] == ["refused", "undone", "accepted"]
    assert [word["who"] for word in analyst.asks("links", "list")][-1] == "B. N."


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_link_with_something_unknown_says_so(analyst: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    speak(monkeypatch, language, 100)
    one = ACTORS[0]["id"]
    for words, wanted in ((("accept", one, TWIN[:-1] + "c"), TWIN[:-1] + "c"), (("undo", one, TWIN), TWIN)):
        told = analyst.types("links", *words, "--why", "x", code=64).stderr
        assert wanted in told
        assert "cli." not in told


def test_no_word_of_another_s_can_hurt_the_terminal(person: Person) -> None:  # noqa: F811
    """Escapes, and what turns text around, are shown as what they are: nothing that can be shown."""
    person.imports(malware("evil\x1b[2J\u202egnp.exe", tlp=Tlp.GREEN, description="\x1b]0;mine\x07"))
    told = person.types("show", malware("evil\x1b[2J\u202egnp.exe")["id"]).stdout
    assert "evil\ufffd[2J\ufffdgnp.exe" in told
    assert not {"\x1b", "\u202e", "\x07"} & set(told)


def test_a_url_that_nobody_gave_leads_to_its_host(analyst: Person) -> None:
    told = analyst.types("show", "hxxps://EVIL[.]example:8443/x", code=1).stdout
    assert "`exchange show evil.example`" in told
    assert "`exchange show " not in analyst.types("show", "nobody.example:80", code=1).stdout
