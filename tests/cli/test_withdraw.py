"""`exchange withdraw` and `exchange recall`: out at once, who has it, who was told, whom to call; in both languages."""

from __future__ import annotations

from contextlib import closing

import pytest

from exchange.cli import terminal, withdraw
from exchange.serve.ledger import Ledger
from exchange.store import audiences, micros, open_store, statements, tables
from exchange.store.ledgers import hand
from tests.cli.test_commands import COLLECTION, Person, person
from tests.world import indicator

__all__ = ["person"]
ITEM, OTHER = indicator("a.invalid"), indicator("b.invalid")


def read_all(person: Person) -> None:
    """SOC reads the collection as it stands now."""
    now = micros(terminal.now())
    with closing(open_store(person.database)) as store:
        with store.reading() as tx:
            row = next(a for a in audiences.everyone(tx).values() if a.channel == f"collection:{COLLECTION}")
            listing = tables.listing.c
            found = tx.execute(tables.listing.select().where(listing.audience == row.number, listing.closed.is_(None)))
            dates = [each.added for each in found]
        query = {"account": "soc-1", "peer": "soc", "audience": row.key, "channel": row.channel, "query": "objects?"}
        page = {"at": now, **query, "first": min(dates), "last": max(dates), "count": len(dates)}
        Ledger(store).write(page)


def visible(person: Person) -> int:
    """How many objects SOC can see."""
    return sum(each["count"] for each in person.asks("audience", "soc")["visible"] if each["type"] != "note")


def test_it_is_out_at_once_and_the_list_says_who_has_it(person: Person) -> None:
    (person.config / "peers" / "soc.toml").write_text('name = "SOC"\ncontact = "garde@soc.example"\n')
    person.imports(ITEM, OTHER)
    read_all(person)
    done = person.asks("withdraw", ITEM["id"], "--why", "a leak", "--yes")
    assert (done["objects"], done["why"]) == (1, "a leak")
    assert visible(person) == 1
    holders = {(each["peer"], each["account"]): each for each in done["holders"]}
    assert holders["soc", ""]["contact"] == "garde@soc.example"
    assert holders["soc", ""]["offered"] == 1
    assert holders["soc", ""]["notices"] == 1
    assert (holders["soc", "soc-1"]["delivered"], holders["soc", "soc-1"]["told"]) == (1, 0)
    read_all(person)  # SOC fetches the notice
    asked = person.asks("recall", "a.invalid")
    assert {(each["account"], each["told"]) for each in asked["holders"]} == {("", 0), ("soc-1", 1)}
    assert {each["outcome"] for each in asked["entries"]} == {"offered", "delivered", "notice", "told"}
    lines = person.types("recall", "--peer", "circl", "--csv").stdout.splitlines()
    assert sum(ITEM["id"] in line for line in lines) == 4
    assert sum(OTHER["id"] in line for line in lines) == 3  # offered, and fetched twice
    (standing,) = person.asks("withdraw", "--list")
    assert (standing["asked"], standing["state"]) == (ITEM["id"], "standing")
    assert person.asks("withdraw", "--undo", str(done["withdrawal"]), "--why", "not ours")["objects"] == 1
    assert visible(person) == 2
    assert person.asks("withdraw", "--list") == []


def test_what_a_server_took_is_on_the_list(person: Person) -> None:
    person.imports(ITEM)
    with closing(open_store(person.database)) as store, store.writing() as tx:
        held = statements.find(tx, stix_id=ITEM["id"])[0]
        entry = {"at": 1, "peer": "soc", "channel": "target:soc/x", "seq": held.seq, "stix_id": ITEM["id"]}
        hand(tx, [{**entry, "version": held.version, "agreement": "soc", "outcome": "accepted"}])
    (holder,) = person.asks("recall", "--source", "circl/fichiers")["holders"]
    assert (holder["accepted"], holder["agreements"]) == (1, ["soc"])
    assert person.asks("recall", ITEM["id"], code=0)["complete"]
    tomorrow = "2099-01-01"
    person.types("recall", "--source", "circl/fichiers", "--from", tomorrow, code=64)


def test_a_period_that_ends_before_it_begins_is_told_so(person: Person) -> None:
    """As `ledger` says it, and not that nothing is held."""
    person.imports(ITEM)
    source = ("--source", "circl/fichiers")
    for command in (("recall", *source), ("withdraw", *source, "--why", "x", "--yes")):
        for since, until in (("2026-11-22", "2026-11-21"), ("2026-11-22T10:00", "2026-11-22T09:00")):
            told = person.types(*command, "--from", since, "--to", until, code=64)
            assert f"{until}” comes before “{since}" in told.stderr
    assert visible(person) == 1
    day = terminal.now().date().isoformat()
    assert person.asks("recall", *source, "--from", day, "--to", day)["holders"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["Retiré pour tous : 1 objets", "avis reçus", "offert", "Rien n’est retiré", "est levé"]),
        ("en", ["Withdrawn from everybody: 1 objects", "notices had", "offered", "Nothing is withdrawn", "is lifted"]),
    ],
)
def test_it_speaks_both_languages(
    person: Person, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    for room in (terminal, withdraw):
        monkeypatch.setattr(room, "LANGUAGE", language)
    monkeypatch.setattr(terminal.out, "width", 300)
    person.imports(ITEM)
    told = person.types("withdraw", "a.invalid", "--why", "x", "--yes").stdout
    told += person.types("withdraw", "--list").stdout + person.types("recall", ITEM["id"]).stdout
    told += person.types("withdraw", "--undo", "1", "--why", "y").stdout + person.types("withdraw", "--list").stdout
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    "words",
    [
        ("withdraw", ITEM["id"], "--yes"),
        ("withdraw", "--why", "x", "--yes"),
        ("withdraw", ITEM["id"], "--peer", "circl", "--why", "x", "--yes"),
        ("withdraw", ITEM["id"], "--why", "x"),
        ("withdraw", ITEM["id"], "--from", "2026-01-01", "--why", "x", "--yes"),
        ("withdraw", "nothing.invalid", "--why", "x", "--yes"),
        ("withdraw", "--event", "6f3f6f0e-54b1-4d3e-8f77-0d3d2d3b1a10", "--why", "x", "--yes"),
        ("withdraw", "--source", "circl/nothing", "--why", "x", "--yes"),
        ("withdraw", "--peer", "circl", "--from", "noon", "--why", "x", "--yes"),
        ("withdraw", "--undo", "7", "--why", "x"),
        ("recall",),
        ("recall", "nothing.invalid"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(person: Person, words: tuple[str, ...]) -> None:
    person.imports(ITEM)
    person.types(*words, code=64)
    assert visible(person) == 1
    assert person.asks("withdraw", "--list") == []
