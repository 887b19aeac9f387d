"""`exchange widen`: shown, asked, done, listed, ended; by two persons where an agreement wants two; both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exchange.cli import app, ledger, obstacles, review, terminal, trace, widen
from exchange.cli.terminal import load, say
from exchange.errors import StoreBusy, UsageError
from exchange.i18n import LANGUAGES, describe
from exchange.model.marking import Tlp
from exchange.policy import widening
from exchange.serve.ledger import Ledger
from exchange.store import Store, audiences, open_store, tables
from exchange.sync import loosening
from tests.cli.test_commands import COLLECTION, RUNNER, Person, person
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


def test_r18_a_busy_store_leaves_no_act_and_who_tries_again_does_it_once(
    house: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever transaction another writer stands in the way of."""
    writing, before = Store.writing, 0
    for busy in range(1, 10):
        turns = iter(range(1, 10))

        def asked(store: Store, turns: Iterator[int] = turns, busy: int = busy) -> Any:
            if next(turns) == busy:
                raise StoreBusy("store.busy", seconds=2)
            return writing(store)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "writing", asked)
            done = RUNNER.invoke(app, [*ASKED, "--yes", "--config", str(house.config)])
        acts = house.asks("widen", "--list")
        assert len(acts) == visible(house) == (done.exit_code == 0), busy
        if done.exit_code == 0:
            assert before == busy - 1 > 0
            break
        before = busy
    told = house.types(*ASKED, "--yes", code=64).stderr
    assert "already, by act 1" in " ".join(told.split())
    assert (len(house.asks("widen", "--list")), visible(house)) == (1, 1)


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


def speaks(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    rooms: list[Any] = [terminal, widen, obstacles]
    for room in rooms:
        monkeypatch.setattr(room, "LANGUAGE", language, raising=False)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    ("to", "right", "code", "where"),
    [
        ("TLP:GREEN", "pfc", "widening.not_ministry", ["`exchange.toml`, `pfc.ministry`", "`exchange apply`"]),
        ("TLP:RED", "creator", "widening.not_wider", ["TLP:AMBER", "TLP:RED", "`--to`"]),
    ],
)
def test_a_refusal_says_what_refuses_where_and_how_to_mend_it(
    house: Person, monkeypatch: pytest.MonkeyPatch, to: str, right: str, code: str, where: list[str], language: str
) -> None:
    """In words, with the setting or property; the code stands beside them."""
    speaks(monkeypatch, language)
    told = house.types("widen", OURS["id"], "--to", to, "--right", right, "--why", "x", "--yes", code=64).stderr
    assert f"(`{code}`)" in told and say(code) in told
    assert [word for word in (*where, *MEND[language]) if word not in told] == []
    assert "{" not in told


MEND = {"en": ["Where: ", "To mend: "], "fr": ["Où\u00a0: ", "Que faire\u00a0: "]}


def test_every_refusal_has_its_words(house: Person) -> None:
    """Whatever may refuse is told with where it stands and what to do, all its fields filled in."""
    policy = Path(widening.__file__).read_text() + Path(loosening.__file__).read_text()
    refusing = set(re.findall(r'"(widening\.[a-z_]+)"', policy))
    members = {"widening.many", "widening.not_asked", "widening.other_creator", "widening.other_level"}
    assert refusing - members - {"widening.not_creator"} <= obstacles._MENDED.keys()
    settings = load(house.config)
    names = ("id", "level", "to", "source", "creator", "peer")
    for code in obstacles._MENDED:
        given = UsageError(code, giver="circl", **dict.fromkeys(names, "x"))
        for language in LANGUAGES:
            told = describe(obstacles.in_words(given, settings), language)
            assert "{" not in told and told.startswith("x ")


def wider(house: Person) -> tuple[str, ...]:
    """TLP:AMBER is wider than TLP:RED; the words that widen something of ours so."""
    red = indicator("r.invalid", tlp=Tlp.RED, created_by_ref=NODE)
    house.types("import", house.file(red, name="red.json"), "--source", "maison/fichiers")
    return ("widen", red["id"], "--to", "TLP:AMBER", "--right", "creator", "--why", "x", "--yes")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_clause_that_keeps_it_from_partners_is_named_with_its_file_and_key(
    house: Person, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """The collection ends at TLP:GREEN; once it is opened, the agreement with SOC does."""
    words = wider(house)
    speaks(monkeypatch, language)
    who = "SOC (partenaires) would not have it" if language == "en" else "SOC (partenaires) ne l’aurait pas"
    told = house.types(*words).stdout
    assert who in told and "`collections/partenaires.toml`, `ceiling`" in told
    open_wide(house)
    house.types("widen", "--end", "1", "--why", "x")
    told = house.types(*words).stdout
    assert who in told and "`agreements/soc.toml`, `send.ceiling`" in told


def open_wide(house: Person) -> None:
    path = house.config / "collections" / "partenaires.toml"
    path.write_text(path.read_text().replace('ceiling = "TLP:GREEN"', 'ceiling = "TLP:RED"'))
    house.applies()


def test_the_clauses_stand_in_the_json_too(house: Person) -> None:
    words = wider(house)
    open_wide(house)
    (found,) = [each for each in house.asks(*words)["obstacles"] if each["members"] == ["soc"]]
    assert (found["agreement"], found["reason"]) == ("soc", "agreement.ceiling")
    assert (found["file"], found["key"]) == ("agreements/soc.toml", "send.ceiling")


def fetch(house: Person) -> None:
    """SOC reads all that the collection lists."""
    with closing(open_store(house.database)) as store:
        with store.reading() as tx:
            row = next(a for a in audiences.everyone(tx).values() if a.channel == f"collection:{COLLECTION}")
            dates = tx.execute(select(tables.listing.c.added).where(tables.listing.c.audience == row.number)).scalars()
            first, *_, last = sorted(dates) * 2
        query = {"account": "soc", "peer": "soc", "audience": row.key, "channel": row.channel, "query": "objects?"}
        Ledger(store).write({"at": last + 1, **query, "first": first, "last": last, "count": 2})


@pytest.mark.parametrize(
    ("language", "title", "words"),
    [
        ("en", "Widened by an act", "act 1, by the right of its creator, our own house (1 versions)"),
        ("fr", "Élargi par un acte", "acte 1, du droit de son auteur, notre maison (1 versions)"),
    ],
)
def test_the_register_says_what_left_as_widened_and_by_which_act(
    house: Person, monkeypatch: pytest.MonkeyPatch, language: str, title: str, words: str
) -> None:
    """A-2.1, art. 67.3: also once the act is over, for it was given all the same."""
    house.imports(indicator("c.invalid"))
    house.types(*ASKED, "--yes")
    fetch(house)
    house.types("widen", "--end", "1", "--why", "enough")
    (line,) = house.asks("register")
    assert line["types"] == {"indicator": 2}
    assert line["widened"] == [{"act": 1, "right": "creator", "count": 1}]
    rooms: list[Any] = [terminal, ledger]
    for room in rooms:
        monkeypatch.setattr(room, "LANGUAGE", language, raising=False)
    monkeypatch.setattr(terminal.out, "width", 200)
    for asked in ((), ("--csv",), ("--html",)):
        told = house.types("register", *asked).stdout
        assert title in told and words in told
