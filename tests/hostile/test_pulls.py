"""Whatever a server does when read, nothing is lost and nothing doubled, the run ends, and the operator is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from exchange.model.stix import instant
from exchange.store import Store, open_store
from tests.hostile.pull_ways import WAYS
from tests.hostile.room import Killed, Room, readable
from tests.hostile.server import ROOT, Server, shelf
from tests.peers.doubles import indicator, serving

ALL = -1
SPREAD, TIED, ONE_POST = range(90), [n // 20 for n in range(90)], [5] * 90
SLOW = {"read": 0.2, "total": 0.4, "tries": 2}
LATER = "2026-11-21T12:00:30.000000Z"
"""When an object is added after the run: half a minute later, by the clock of a server that is right."""


@dataclass(frozen=True)
class Case:
    """`held` objects after a run with the server doing these; the code under which it failed, or that it left."""

    doing: Sequence[str]
    error: str = ""
    remark: str = ""
    held: int = ALL
    aside: int = 0
    ticks: Sequence[int] = SPREAD
    page: int = 30
    limits: dict[str, Any] = field(default_factory=dict)


def case(*doing: str, **more: Any) -> Any:
    """A row of the table, under its name."""
    ties = ", ties" if more.get("ticks", SPREAD) is not SPREAD else ""
    return pytest.param(Case(doing, **more), id=", ".join(doing) + ties)


CASES = [
    # Survived: everything came in one run.
    *(case(name) for name in (
        "next as a number", "inclusive", "next is unknown (404)", "next is unknown (400)", "next is gone (410)",
        "every second next is unknown", "overlapping pages", "newest first", "in no order", "no dates", "empty dates",
        "undefined dates", "dates of the year 1", "dates before all time",
        "no manifest", "the date of the first as the last", "dates in JavaScript",
        "dates with an offset", "dates in milliseconds", "a clock of tomorrow", "a clock of yesterday", "no clock",
        "application/json", "text/html", "media type of 2.0", "no media type", "bundles", "byte order mark", "gzip",
        "gzip that does not say so", "404 for nothing", "429 for a moment", "503 until a date", "502 now and then",
        "redirect to the address without slash",
    )),
    case("no next"),
    case("no next", ticks=TIED),
    case("no next", "inclusive", ticks=TIED),
    case("no next", "no dates"),
    case("no next", "the date of the first as the last", remark="peer.one_date"),
    case("every second next is unknown", ticks=TIED),
    case("next is unknown (404)", "no dates", "no manifest", held=30, remark="peer.no_progress"),
    case("no dates", "manifest of nothing"),
    *(case("no dates", "no manifest", clock) for clock in (
        "a clock of tomorrow", "a clock of yesterday", "no clock", "a clock of nonsense",
    )),
    case("at most 100", "no more", page=1000, ticks=range(0, 400, 2)),
    case("at most 100", "no next", page=1000, ticks=TIED),
    *(case(f"{what} in one object", aside=3) for what in ("NaN", "a lone surrogate", "a name twice")),
    # The run ends in order, with less than there was; the cursor stays behind.
    case("no more", held=30),
    case("lists", held=30),
    case("objects are null", held=0),
    *(case(f"{code} at first", held=0) for code in (204, 206, 404, 416)),
    case("the time of the query as the date of nothing", ticks=()),
    # The run ends in order, with a remark.
    *(case(f"{code} from the second page on", held=30, ticks=ticks, remark="peer.cut_short")
      for code in (204, 404, 416) for ticks in (SPREAD, TIED)),
    case("a body cut to nothing", held=30, ticks=TIED, remark="peer.cut_short"),
    *(case(name, held=30, ticks=ticks, remark="peer.no_progress")
      for name in ("the same page for ever", "another next for ever") for ticks in (SPREAD, TIED)),
    case("the first page again after the last", remark="peer.no_progress"),
    case("more at the end", ticks=TIED, remark="peer.no_progress"),
    case("no next", "newest first", held=30, remark="peer.no_position"),
    case("no next", "in no order", held=46, remark="peer.no_position"),
    case("no next", "no dates", "no manifest", held=30, remark="peer.no_position"),
    case("dates of the year 9999", remark="peer.future_dates"),
    case("the last date in the year 9999", remark="peer.future_dates"),
    # The run fails, and says why.
    *(case(name, held=0, error="peer.malformed") for name in (
        "invalid JSON", "NaN around the objects", "objects are a text", "more is a text", "a page of HTML",
        "an error under 200", "no gzip although it says so", "a bomb of zstd",
    )),
    case("cut bodies", held=30, ticks=TIED, error="peer.unreachable"),
    case("cut bodies of unknown length", held=30, ticks=TIED, error="peer.malformed"),
    *(case(name, held=0, error="peer.too_large") for name in (
        "an endless body", "a bomb of gzip", "a bomb of deflate", "a bomb of gzip that does not say so",
        "a bomb in a bomb",
    )),
    *(case(name, held=0, error="peer.unreachable") for name in ("an endless header", "a thousand headers")),
    *(case(name, held=0, error="peer.timeout", limits=SLOW) for name in ("silence", "a slow head", "a slow body")),
    case("a slow body from the second page on", held=30, ticks=TIED, error="peer.timeout", limits=SLOW),
    case("no collection", held=0, error="peer.no_collection"),
    *(case(name, held=0, error="peer.busy") for name in (
        "503 for an hour", "429 until tomorrow", "429 until nonsense", "429 for ever and a day",
        "429 until a digit that is none", "429 until after all time",
        "503 that repeats our account",
    )),
    case("503 from the third page on", held=60, ticks=TIED, error="peer.busy"),
    *(case(name, held=0, error="peer.status") for name in ("500", "500 that repeats our account")),
    *(case(name, held=0, error="peer.refused") for name in ("401", "401 that repeats our account")),
    case("401 from the second page on", held=30, ticks=TIED, error="peer.refused"),
    case("406", held=0, error="peer.speaks_taxii20"),
    case("400 that repeats our account", held=0, error="peer.query_refused"),
    *(case(name, held=0, error="peer.redirect") for name in (
        "redirect to another host", "redirect to https", "redirect in a circle", "redirect to nowhere",
        "302 that repeats our account",
    )),
    case("redirect to nonsense", held=0, error="peer.request"),
]  # fmt: skip


def test_every_way_has_its_case() -> None:
    """The ways and the table stay together."""
    assert {name for row in CASES for name in row.values[0].doing} == WAYS.keys()


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """A store in memory, emptied for each case."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


@contextmanager
def room_of(shared: Store, asked: Case) -> Iterator[Room]:
    """The node and its partner."""
    server = Server(WAYS, asked.doing, page=asked.page, listed=shelf(asked.ticks))
    with serving(server) as site:
        server.url = site.url.rstrip("/") + ROOT
        yield Room(shared, server, dict(asked.limits))


def expected(server: Server) -> dict[tuple[str, str], int]:
    return {(id_, instant(modified)): 1 for id_, modified in server.versions()}


def recover(room: Room) -> None:
    """The server behaves again, and has one object more."""
    room.server.behave()
    room.server.listed.append((indicator(900), LATER))
    room.next_turn(room.source.key)
    run = room.pull()
    assert run is not None
    assert (run.outcome, run.error) == ("complete", None)
    assert room.held() == expected(room.server)
    assert sorted(room.desk.world.listed("cert-ee")) == sorted(id_ for id_, _ in expected(room.server))
    assert room.line(room.source.key).state == "ok"
    assert not room.secrets()


@pytest.mark.parametrize("asked", CASES)
def test_a_pull_ends_and_is_told_and_the_next_one_mends_it(asked: Case, shared: Store) -> None:
    with room_of(shared, asked) as room:
        run = room.pull()
        assert run is not None
        said = room.codes(room.source.key)
        assert set(said) == {asked.error, asked.remark} - {""}
        assert (run.outcome, run.error and run.error.code) == (
            ("failed", asked.error) if asked.error else ("complete", None)
        )
        for code, fields in said.items():
            readable(code, fields)
        line = room.line(room.source.key)
        assert line.state == ("failing" if asked.error else "ok")
        assert line.quarantined == asked.aside
        held = room.held()
        assert sum(held.values()) == (len(room.server.listed) if asked.held == ALL else asked.held)
        assert held.items() <= expected(room.server).items()
        assert sum(room.waits.seconds) <= 300
        assert len(room.server.asked) < 250
        recover(room)


@pytest.mark.parametrize("asked", CASES)
def test_killed_after_every_page_it_ends_in_the_same_state(asked: Case, shared: Store) -> None:
    with room_of(shared, asked) as room:
        for most in range(1, 50):  # one more each time: the first page alone does not move the cursor
            try:
                room.pull(most)
                break
            except Killed:
                room.restart()
            there = {id_ for id_, _ in room.held()}
            assert there | room.promised() >= {item["id"] for item, _ in room.server.listed}
        recover(room)
