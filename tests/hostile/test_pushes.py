"""Whatever a server does when written to, nothing is lost or counted as accepted that is not there, and it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from exchange.i18n import LANGUAGES, knows
from exchange.model.marking import Tlp
from exchange.store import Store, tables
from exchange.store.pushed import UNDER_WAY
from exchange.sync import push as push_module
from tests.hostile.push_ways import ECHO, PUSH_WAYS, posts, statuses
from tests.hostile.room import Killed, Room, readable
from tests.hostile.server import ROOT, Server
from tests.hostile.test_pulls import shared
from tests.peers.doubles import indicator, serving
from tests.sync.partners import OTHER
from tests.world import marked

__all__ = ["shared"]
COUNT = 20
SLOW = {"read": 0.2, "total": 0.4}


@dataclass(frozen=True)
class Case:
    """What became of COUNT objects in the first run; what is neither pending nor refused was accepted.

    `why`: the reason that stands beside those. A run fails (`error`) only before anything was said.
    """

    doing: Sequence[str]
    error: str = ""
    pending: int = 0
    refused: int = 0
    why: str = ""
    limits: dict[str, Any] = field(default_factory=dict)


def case(*doing: str, **more: Any) -> Any:
    """A row of the table, under its name."""
    return pytest.param(Case(doing, **more), id=", ".join(doing))


def fails(*doing: str, error: str, **more: Any) -> Any:
    """A run that fails before anything was said: everything waits, and may be there."""
    return case(*doing, error=error, pending=COUNT, why=UNDER_WAY, **more)


CASES = [
    # Survived: everything was accepted in one run.
    *(case(name) for name in (
        "200", "201 and {}", "204", "an answer that is no JSON", "lists that are numbers",
        "pending for ever, but stored", "duplicates are failures", "duplicates are failures without names",
        "duplicates are a conflict", "413 over 2000 bytes", "small envelopes", "max_content_length is a text",
        "max_content_length is nonsense", "max_content_length is 0", "max_content_length is negative",
        "an API root without title", "no API root", "an API root that is a list", "an API root that points elsewhere",
        "a collection without rights", "a collection with rights as texts", "a collection that is a list",
        "a collection of HTML", "a collection of another id",
    )),
    *(case("pending for ever, but stored", what) for what in (
        "no status endpoint", "the status of another", "a status for ever pending", "a status that fails",
    )),
    # Nothing final was said: it is offered again.
    case("pending for ever", pending=20, why="peer.unsettled"),
    case("pending without counts", pending=20, why="peer.unsettled"),
    *(case("pending for ever", what, pending=20, why="peer.unsettled") for what in (
        "the status of another", "no status endpoint", "a status for ever pending", "a status that fails", "write only",
    )),
    case("an answer about others", pending=20, why="peer.unsettled"),
    case("an answer about others", "write only", pending=20, why="peer.unsettled"),
    case("fewer counted than sent", pending=19, why="peer.unsettled"),
    case("500 for one object", pending=1, why='{"title": "no"}'),
    *(case("small envelopes", f"{code} in the middle", pending=15, why=why) for code, why in (
        (401, "peer.refused"), (404, "peer.not_found"), (500, "peer.status"), (502, "peer.gateway"), (503, "peer.busy"),
    )),
    # Refused, with the reason.
    *(case(f"{code} for one object", refused=1, why='{"title": "no"}') for code in (400, 409, 422)),
    case("a failure without a reason", refused=1, why="peer.no_reason"),
    *(case(f"{what} our account", refused=20, why="you sent … and …")
      for what in ("failures that repeat", "400 that repeats")),
    # The run fails, and says why; everything waits.
    *(fails(name, error="peer.malformed") for name in ("an error under 200", "a page of HTML")),
    *(fails("the answer is lost", twin, error="peer.unreachable") for twin in (
        "200", "duplicates are failures", "duplicates are failures without names", "duplicates are a conflict",
    )),
    fails("the answer is lost for ever", error="peer.unreachable"),
    fails("a slow answer", error="peer.timeout", limits=SLOW),
    fails("401", error="peer.refused"),
    fails("404", error="peer.not_found"),
    *(fails(name, error="peer.status") for name in ("405", "500")),
    fails("503", error="peer.busy"),
    fails("an API root that fails", error="peer.busy"),
    fails("redirect of the envelope", error="peer.redirect"),
    fails("not writable", error="peer.read_only"),
]  # fmt: skip


def test_every_way_has_its_case() -> None:
    """The ways and the table stay together."""
    assert {name for row in CASES for name in row.values[0].doing} == PUSH_WAYS.keys()
    assert "s3cret" in ECHO


@contextmanager
def room_of(shared: Store, asked: Case) -> Iterator[Room]:
    """The node with COUNT objects in the outbox, and its partner."""
    server = Server(PUSH_WAYS, asked.doing)
    with serving(server) as site:
        server.url = site.url.rstrip("/") + ROOT
        room = Room(shared, server, dict(asked.limits))
        room.desk.world.give(OTHER.key, *(marked(indicator(n), Tlp.GREEN) for n in range(COUNT)))
        yield room


def outbox(room: Room) -> Counter[str]:
    return Counter(row["state"] for row in room.desk.rows(tables.outbox))


def honest(room: Room) -> None:
    """What the ledger calls accepted is there, and was written down once."""
    accepted = Counter(row["stix_id"] for row in room.desk.rows(tables.ledger) if row["outcome"] == "accepted")
    assert accepted.keys() <= {id_ for id_, _ in room.server.versions()}
    assert set(accepted.values()) <= {1}
    assert not room.secrets()


def recover(room: Room, refused: int) -> None:
    """The server behaves again."""
    room.server.behave()
    room.next_turn(room.target.key)
    run = room.push()
    assert run is None or (run.outcome, run.error) == ("complete", None)
    assert outbox(room) == +Counter(accepted=COUNT - refused, refused=refused)
    assert len(room.server.versions()) == COUNT - refused
    assert room.line(room.target.key).state == "ok"
    assert room.line(room.target.key).waiting == 0
    honest(room)


@pytest.mark.parametrize("asked", CASES)
def test_a_push_ends_and_is_told_and_the_next_one_mends_it(asked: Case, shared: Store) -> None:
    with room_of(shared, asked) as room:
        run = room.push()
        assert run is not None
        outcome = "failed" if asked.error else "waiting" if asked.pending else "complete"
        assert (run.outcome, "" if run.error is None else run.error.code) == (outcome, asked.error)
        done = COUNT - asked.pending - asked.refused
        assert outbox(room) == +Counter(accepted=done, pending=asked.pending, refused=asked.refused)
        left = {row["message"] for row in room.desk.rows(tables.outbox) if row["state"] != "accepted"}
        assert left == ({asked.why} if left else set())
        assert not asked.why.startswith("peer.") or all(knows(asked.why, language) for language in LANGUAGES)
        said = room.codes(room.target.key)
        assert set(said) == {asked.error} - {""}
        for code, fields in said.items():
            readable(code, fields)
        line = room.line(room.target.key)
        assert (line.state, line.waiting) == ("failing" if asked.error else "ok", asked.pending)
        assert sum(room.waits.seconds) <= 60
        assert len(room.server.asked) < 80
        honest(room)
        recover(room, asked.refused)


@pytest.mark.parametrize("asked", CASES)
def test_killed_before_the_receipt_it_ends_in_the_same_state(asked: Case, shared: Store) -> None:
    """The answer came, and we died before we wrote it down: it is sent again, to a server that is no better."""
    with room_of(shared, asked) as room:
        try:
            room.push(1)
        except Killed:
            assert outbox(room) == {"pending": COUNT}
        room.restart()
        room.push()
        honest(room)
        recover(room, asked.refused)


def test_what_is_pending_for_a_day_is_refused_with_its_reason(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever (RULES R21)."""
    monkeypatch.setattr(push_module, "MOST_ATTEMPTS", 3)
    with room_of(shared, Case(("pending for ever",))) as room:
        for _ in range(5):
            room.push()
            room.next_turn(room.target.key)
        assert {(row["state"], row["message"]) for row in room.desk.rows(tables.outbox)} == {
            ("refused", "peer.unsettled")
        }
        assert sum(map(posts, room.server.asked)) == 4


def test_what_a_peer_is_still_deciding_on_is_asked_about_and_not_sent_again(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One envelope, then one look a run; after a day it counts as refused all the same (RULES R21)."""
    monkeypatch.setattr(push_module, "MOST_ATTEMPTS", 3)
    with room_of(shared, Case(("pending for ever", "a status for ever pending"))) as room:
        room.push()
        assert {row["status"] for row in room.desk.rows(tables.outbox)} == {"2d086da7"}
        looks = sum(map(statuses, room.server.asked))
        for _ in range(4):
            room.next_turn(room.target.key)
            room.push()
        assert sum(map(posts, room.server.asked)) == 1
        assert sum(map(statuses, room.server.asked)) == looks + 3
        assert {(row["state"], row["message"], row["status"]) for row in room.desk.rows(tables.outbox)} == {
            ("refused", "peer.unsettled", "")
        }
