"""Applied configurations and the effects of a plan, on every engine."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from exchange.config import applied, load
from exchange.config.folder import taken
from exchange.following import Following
from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send
from exchange.policy import Rules
from exchange.store import Store, configurations, micros
from exchange.sync.effects import effects
from tests.cli.test_commands import FILES
from tests.world import NOW, SHARED, World, agreement, collection, indicator, malware, report, terms


def test_versions_are_numbered_and_kept_as_they_were(store: Store) -> None:
    """The newest runs; each can be read again, texts and all; equal folders have equal digests."""
    first, second = {"exchange.toml": "é = 1\r\n"}, {"exchange.toml": "a = 2", "agreements/x.toml.sig": "----"}
    with store.writing() as tx:
        assert configurations.newest(tx) is None
        assert configurations.newest_id(tx) == 0
        one = configurations.add(tx, first, at=1, who="me", why="because")
        two = configurations.add(tx, second, at=2, who="you")
        three = configurations.add(tx, first, at=3, who="me", why="back", restored=one)
    assert one < two < three
    with store.reading() as tx:
        assert [found.id for found in configurations.every(tx)] == [one, two, three]
        newest, again = configurations.newest(tx), configurations.numbered(tx, two)
        assert configurations.numbered(tx, three + 1) is None
    assert newest is not None
    assert again is not None
    assert (newest.id, newest.files, newest.why, newest.restored) == (three, first, "back", one)
    assert (again.files, again.who, again.restored) == (second, "you", None)
    assert newest.digest == configurations.digest_of(first) != again.digest


def test_a_process_is_told_of_what_another_applied(store: Store, tmp_path: Path) -> None:
    """Once for each version; what it cannot read it leaves, and says so."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("{folder}", str(tmp_path)), encoding="utf-8")
    standing = applied.begin(store, tmp_path, NOW)
    assert (standing.first, standing.differing) == (True, ())
    following = Following(store, tmp_path, standing)
    assert following.look() is None
    _, files = taken(tmp_path)
    fewer = {**files, "collections/partenaires.toml": files["collections/partenaires.toml"].replace('"soc"', "")}
    with store.writing() as tx:
        configurations.add(tx, fewer, at=micros(NOW), who="me")
    with capture_logs():
        renewed = following.look()
        assert following.look() is None
    assert renewed is not None
    assert [shelf.readers for shelf in renewed.terms.collections.values()] == [()]
    assert renewed.terms != load(tmp_path).terms
    with store.writing() as tx:
        configurations.add(tx, {"exchange.toml": "="}, at=micros(NOW), who="newer release")
    with capture_logs() as told:
        assert following.look() is None
        assert following.look() is None
    assert [event["event"] for event in told] == ["config.not_followed"]
    following.close()


def test_a_plan_reads_the_same_on_every_engine(store: Store) -> None:
    """Alone and apart, unmarked and marked, in a container and not."""
    given = [agreement("r", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.GREEN))]
    world = World(store, terms(agreements=given))
    inside = indicator("inside.example", tlp=None)
    world.give("ccc/a", indicator("one.example"), indicator("amber.example", tlp=Tlp.AMBER), malware("x", tlp=None))
    world.give("circl/a", indicator("one.example"), inside, report(inside, tlp=None))
    then = [
        agreement(
            "r", "ccc", "cert-ee", "circl",
            receive=Receive(ceiling=Tlp.RED, unmarked=Tlp.CLEAR), send=Send(ceiling=Tlp.AMBER, onward=True),
        )
    ]  # fmt: skip
    shelf = collection(SHARED, "partenaires", ("cert-ee",), ceiling=Tlp.AMBER)
    after = Rules(terms(agreements=then, shelf=shelf), NOW)
    before = set(world.listed("cert-ee"))
    (found,) = [
        e for e in effects(store, world.rules, after, NOW).found if (e.peer, e.channel[-36:]) == ("cert-ee", SHARED)
    ]
    world.follow(after.terms)
    gained = set(world.listed("cert-ee")) - before
    assert len(gained) == sum(found.more.values()) == 4
    assert found.fewer == {}
