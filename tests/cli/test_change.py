"""An edited file changes nothing until it is applied; what was applied runs, and comes back after a broken file."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from exchange import daemon
from exchange.cli import app, change, terminal
from exchange.config import applied, load
from exchange.following import Following, tell
from exchange.model.marking import Tlp
from exchange.policy import Rules
from exchange.store import audiences, micros, open_store
from exchange.store.audiences import EPOCH
from exchange.sync.schedule import HEARTBEAT
from tests.cli.test_commands import COLLECTION, FILES, Person
from tests.world import indicator

NODE, SOC, SHELF = "exchange.toml", "agreements/soc.toml", "collections/partenaires.toml"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody at the terminal of a node on which nothing was applied yet."""
    return Person(tmp_path)


def edit(person: Person, file: str, old: str, new: str) -> None:
    path = person.config / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def sees(person: Person) -> int:
    """How many indicators SOC can see now; what was taken from it is told in a note."""
    return sum(row["count"] for row in person.asks("audience", "soc")["visible"] if row["type"] == "indicator")


def given(person: Person) -> None:
    """Something GREEN and something AMBER of CIRCL's."""
    green, amber = indicator("green.test", tlp=Tlp.GREEN), indicator("amber.test", tlp=Tlp.AMBER)
    person.types("import", person.file(green, amber), "--source", "circl/fichiers")


def test_the_first_act_applies_the_folder_and_says_so(person: Person) -> None:
    """Nothing was applied: what makes the store follow the terms makes the folder version 1, whoever looks before."""
    assert person.asks("versions") == []
    assert "--" not in person.types("versions").stdout
    said = person.types("import", person.file(indicator("a.example")), "--source", "circl/fichiers").stderr
    assert "version 1" in said
    (only,) = person.asks("versions")
    assert (only["id"], only["why"], only["restored"]) == (1, "", None)
    assert {change["kind"] for change in only["changes"]} == {"added"}
    assert {change["file"] for change in only["changes"]} == FILES.keys()


def test_an_edited_file_changes_nothing_until_it_is_applied(person: Person) -> None:
    """Lowered or raised, the ceiling in the file is not the one that counts; `apply` makes it so at once."""
    given(person)
    assert sees(person) == 1
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("import", person.file(indicator("b.example")), "--source", "circl/fichiers")
    assert sees(person) == 2
    done = person.asks("apply", "--why", "less for SOC")
    assert (done["applied"], done["version"], done["followed"]) == (True, 2, True)
    assert [(c["file"], c["key"], c["before"], c["after"]) for c in done["changes"]] == [
        (SOC, "send.ceiling", "TLP:GREEN", "TLP:CLEAR")
    ]
    assert sees(person) == 0
    assert [(v["id"], v["why"]) for v in person.asks("versions")] == [(1, ""), (2, "less for SOC")]


def test_rollback_applies_an_earlier_version_again(person: Person) -> None:
    """It becomes a new version; the folder is left alone, or written back with what stood there kept."""
    given(person)
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("apply", "--yes")
    assert sees(person) == 0
    assert "--why" in person.types("rollback", code=64).stderr
    assert person.asks("rollback", "--why", "a mistake")["restores"] == 1
    assert sees(person) == 1
    assert "TLP:CLEAR" in (person.config / SOC).read_text()
    newest = person.asks("versions")[-1]
    assert (newest["id"], newest["restored"], newest["why"]) == (3, 1, "a mistake")
    assert [change["kind"] for change in person.asks("plan")["changes"]] == ["changed"]
    (person.config / "peers/neuf.toml").write_text('name = "Neuf"\n')
    edit(person, SHELF, "Partners", "Partenaires")
    person.types("apply", "--yes")
    person.types("rollback", "3", "--why", "again", "--write")
    assert person.asks("plan")["changes"] == []
    assert not (person.config / "peers/neuf.toml").exists()
    assert (person.config / "peers/neuf.toml.before").read_text() == 'name = "Neuf"\n'
    assert "Partenaires" in (person.config / (SHELF + ".before")).read_text()
    person.types("rollback", "99", "--why", "x", code=64)


def test_a_folder_with_mistakes_is_not_applied_and_the_last_good_one_goes_on(person: Person) -> None:
    """`check`, `plan`, `apply` refuse it with 78; all else works on what was applied, and `peers` says so."""
    given(person)
    (person.config / NODE).write_text("[node\n")
    for command in ("check", "plan", "apply"):
        assert NODE in person.types(command, code=78).stderr
    assert sees(person) == 1
    looked = person.types("peers")
    assert "exchange check" in looked.stdout
    assert person.asks("peers")["configuration"] == {"version": 1, "differing": [NODE], "mistakes": 1}
    assert person.asks("migrate")["before"]
    person.types("rollback", "1", "--why", "nothing to do")
    (person.config / NODE).unlink()
    assert sees(person) == 1


def overwrite(person: Person, version: int, old: str, new: str) -> None:
    """Somebody with a hand in the database changes what was applied."""
    with closing(sqlite3.connect(person.folder / "exchange.db")) as database, database:
        change = "UPDATE configuration SET files = replace(files, ?, ?) WHERE id = ?"
        assert database.execute(change, (old, new, version)).rowcount == 1


def test_what_was_written_over_in_the_database_does_not_run(person: Person) -> None:
    """R19: the last one that is as it was applied runs, nothing leaves, and everything says so until one is applied."""
    given(person)
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("apply", "--yes")
    assert sees(person) == 0
    overwrite(person, 2, "TLP:CLEAR", "TLP:AMBER")
    store = open_store(f"sqlite:///{person.folder}/exchange.db")
    with capture_logs() as told:
        standing = applied.running(store, person.config)
        tell(standing)
    store.close()
    assert (standing.version, standing.altered, standing.settings.sync.outbound) == (1, (2,), False)
    assert [(line["event"], line["altered"]) for line in told if line["log_level"] == "critical"] == [
        ("config.altered", "2")
    ]
    assert "exchange plan" in person.types("peers").stdout
    assert [row["intact"] for row in person.asks("versions")] == [True, False]
    person.types("rollback", "2", "--why", "x", code=64)
    assert [c["after"] for c in person.asks("plan")["changes"]] == ["TLP:CLEAR"]
    person.types("apply", "--yes", "--why", "as it was")
    assert sees(person) == 0
    assert person.asks("peers")["configuration"]["version"] == 3
    assert applied.current(person.config).sync.outbound
    overwrite(person, 1, "TLP:GREEN", "TLP:AMBER")
    assert [row["intact"] for row in person.asks("versions")] == [False, False, True]


def test_what_runs_in_place_of_what_was_written_over_can_be_applied_as_it_is(person: Person) -> None:
    """Whoever finds that the version before is the right one says so, and the alarm ends."""
    given(person)
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("apply", "--yes")
    edit(person, SOC, "TLP:CLEAR", "TLP:GREEN")
    overwrite(person, 2, "TLP:CLEAR", "TLP:AMBER")
    planned = person.asks("plan")
    assert (planned["runs"], planned["changes"]) == (1, [])
    done = person.asks("apply", "--why", "the first was right")
    assert (done["applied"], done["version"]) == (True, 3)
    assert "exchange plan" not in person.types("peers").stdout
    assert person.asks("apply")["applied"] is False


def test_what_was_written_over_in_the_database_is_told_of_whatever_stands_there(person: Person) -> None:
    """No TOML any more, no texts, no text: the command that everything points to says which version that is."""
    given(person)
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("apply", "--yes")
    for old, new in (("[send]", "[send"), ('{"', '{"a.toml": 1, "'), ('{"', '{"\\udc00": "", "'), ("{", "[")):
        overwrite(person, 2, old, new)
        assert [row["intact"] for row in person.asks("versions")] == [True, False]
        assert "1" in person.types("versions").stdout


def test_where_no_version_is_as_it_was_applied_nothing_runs_until_one_is(person: Person) -> None:
    given(person)
    overwrite(person, 1, "{", "[")
    for words in (["peers"], ["run"], ["audience", "soc"]):
        assert "exchange apply" in person.types(*words, code=78).stderr
    assert sum(change["kind"] == "added" for change in person.asks("plan")["changes"]) == len(FILES)
    person.types("apply", "--yes", "--why", "again")
    assert sees(person) == 1


def test_a_node_on_which_nothing_was_applied_needs_a_good_folder(person: Person) -> None:
    """There is nothing else to run on; and no store is made for it."""
    edit(person, SOC, "parties", "partis")
    for words in (["peers"], ["plan"], ["apply"], ["migrate"], ["run"]):
        assert "agreements/soc.toml" in person.types(*words, code=78).stderr
    assert not (person.folder / "exchange.db").exists()


def test_what_an_edited_store_address_changes(person: Person) -> None:
    """Not even where the store is: the one that was applied is used, until the new one is, after a restart."""
    given(person)
    edit(person, NODE, "exchange.db", "other.db")
    assert sees(person) == 1
    assert not (person.folder / "other.db").exists()
    assert [c["key"] for c in person.asks("plan")["changes"] if c["after_restart"]] == ["store.url"]
    assert "after a restart" in person.types("plan").stdout
    person.types("apply", "--yes")
    assert (person.folder / "other.db").exists()
    assert applied.where(person.config).endswith("other.db")
    assert [version["id"] for version in person.asks("versions")] == [1]


def test_what_a_plan_says(person: Person) -> None:
    """File by file, key by key; lists by what came and went; a comment is told as one; secrets stand only by name."""
    given(person)
    edit(person, NODE, 'name = "CERT-QC"', 'name = "CERT-QC" # us')
    assert [(c["file"], c["kind"]) for c in person.asks("plan")["changes"]] == [(NODE, "rewritten")]
    (person.config / "peers/neuf.toml").write_text('name = "Neuf"\n[auth]\ntoken = "file:/nowhere"\n')
    edit(person, SOC, '["soc"]', '["soc", "neuf"]')
    edit(person, "peers/circl.toml", "https://circl.example/feed/", "https://circl.example/other/")
    plan = person.types("plan").stdout
    assert "parties = neuf" in plan
    assert "source[osint].url = https://circl.example/feed/ → https://circl.example/other/" in plan
    assert "new file" in plan
    assert person.asks("versions")[-1]["id"] == 1, "a plan changes nothing"


def test_one_who_was_overtaken_changes_nothing(person: Person) -> None:
    """Two plan the same change: the second one's effects are no longer those that it was shown."""
    given(person)
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    store = open_store(person.database)
    mine = applied.proposed(store, person.config)
    person.types("apply", "--yes")
    with pytest.raises(Exception, match=r"cli\.apply\.overtaken"):
        applied.apply(store, mine, daemon.clock(), who="other", why="")
    store.close()


def test_a_daemon_that_runs_takes_it_up(person: Person) -> None:
    """`apply` leaves the deciding to it, says so when that takes long, and its process is told once."""
    given(person)
    store = open_store(person.database)
    following = Following(store, person.config, applied.running(store, person.config))
    assert following.look() is None
    edit(person, SOC, "TLP:GREEN", "TLP:CLEAR")
    person.types("apply", "--yes")
    with capture_logs() as told:
        renewed = following.look()
        assert following.look() is None
    assert [(event["event"], event["version"]) for event in told] == [("config.followed", 2)]
    assert renewed is not None
    assert renewed.terms == load(person.config).terms
    edit(person, SOC, "TLP:CLEAR", "TLP:AMBER")
    with store.writing() as tx:
        audiences.set_note(tx, HEARTBEAT, str(micros(daemon.clock())))
        before = audiences.note(tx, EPOCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change, "_SOON", 0.2)
        assert person.asks("apply")["followed"] is False
    with store.reading() as tx:
        assert audiences.note(tx, EPOCH) == before
    with capture_logs():
        renewed = following.look()
    assert renewed is not None
    assert Rules(renewed.terms, daemon.clock()).epoch != before
    following.close()
    store.close()


@pytest.mark.parametrize(("language", "said"), [("fr_CA.UTF-8", "en vigueur"), ("en_CA.UTF-8", "in force")])
def test_it_speaks_both_languages(person: Person, language: str, said: str) -> None:
    """The terminal's."""
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "apply", "--config", str(person.config)],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "LC_ALL": language},
    )  # fmt: skip
    assert said in done.stdout


def test_the_pointer_says_nothing_of_another_folder(person: Person, tmp_path: Path) -> None:
    """A copied folder is another node's: it is not led to the store of the first one."""
    given(person)
    pointer = person.config / ".store.json"
    assert json.loads(pointer.read_text())["store"] == person.database
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / ".store.json").write_text(pointer.read_text())
    (copy / NODE).write_text((person.config / NODE).read_text().replace("exchange.db", "second.db"))
    assert applied.where(copy).endswith("second.db")
    result = CliRunner().invoke(app, ["versions", "--json", "--config", str(copy)])
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize(("language", "words"), [("en", "at most"), ("fr", "au plus")])
def test_a_plan_says_that_it_counts_what_an_alteration_may_refuse(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    """Where something goes only altered, and nowhere else."""
    given(person)
    for room in (change, terminal):
        monkeypatch.setattr(room, "LANGUAGE", language)
    edit(person, SHELF, "TLP:GREEN", "TLP:CLEAR")
    assert words not in person.types("plan").stdout
    edit(person, SHELF, "TLP:CLEAR", "TLP:GREEN")
    edit(person, SOC, "[send]", "[send]\nredact = ['name']")
    assert words in person.types("plan").stdout


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "1 would go to SOC in another form in partenaires: 1 with their producer."),
        ("fr", "Iraient sous une autre forme à SOC dans partenaires\N{NO-BREAK SPACE}: 1 (1 avec leur producteur)."),
    ],
)
def test_a_plan_says_that_producers_are_unmasked(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    """Nobody sees more objects or fewer, and yet they go under real names."""
    edit(person, SOC, "[send]", "[send]\nattribution = 'anonymous'")
    given(person)
    for room in (change, terminal):
        monkeypatch.setattr(room, "LANGUAGE", language)
    edit(person, SOC, "attribution = 'anonymous'", "attribution = 'named'")
    (effect,) = person.asks("plan")["effects"]
    assert (effect["peer"], effect["more"], effect["fewer"]) == ("soc", {}, {})
    assert (effect["reshaped"], effect["bared"]) == (1, {"transform.anonymous": 1})
    assert words in person.types("plan").stdout


def test_a_plan_shows_its_effects_before_they_are_there(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would see how much more or less, under which labels; what begins and ends; and nothing has changed yet."""
    given(person)
    person.types("subscriber", "add", "--peer", "soc", "--name", "siem")
    edit(person, SOC, "TLP:GREEN", "TLP:AMBER")
    edit(person, SHELF, "TLP:GREEN", "TLP:AMBER")
    edit(person, "agreements/circl.toml", "[receive]", "[send]\nceiling = 'TLP:CLEAR'\nonward = true\n[receive]")
    plan = person.asks("plan")
    same = {"reshaped": 0, "bared": {}, "altered": {}, "renamed": 0}
    seen = {"peer": "soc", "channel": f"collection:{COLLECTION}", "more": {"2|0|": 1}, "fewer": {}}
    assert plan["effects"] == [seen | same]
    assert plan["not_looked_at"] == 0
    assert "1 more visible to SOC in partenaires (1 TLP:AMBER)" in person.types("plan").stdout
    assert sees(person) == 1
    person.types("apply", "--yes")
    assert sees(person) == 2
    for name in (SOC, "peers/soc.toml", SHELF):
        (person.config / name).unlink()
    gone = person.types("plan").stdout
    assert "2 no longer visible to SOC in partenaires (1 TLP:AMBER, 1 TLP:GREEN)" in gone
    for room in (change, terminal):
        monkeypatch.setattr(room, "LANGUAGE", "fr")
    words = "Ne seraient plus visibles pour SOC dans partenaires\N{NO-BREAK SPACE}: 2 (1 TLP:AMBER, 1 TLP:GREEN)."
    assert words in person.types("plan").stdout
    assert {(turn["kind"], turn["name"]) for turn in person.asks("plan")["turns"]} == {
        ("collection_gone", "partenaires"), ("agreement_over", "soc"), ("account_shut", "siem"),
    }  # fmt: skip
