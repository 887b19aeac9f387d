"""What a run leaves to be told: remarks of a source, runs that were broken off, what a partner said of a parcel."""

from __future__ import annotations

from datetime import timedelta

from exchange.errors import PeerUnreachable
from exchange.model.envelope import Skipped
from exchange.store import Store, micros, sources, tables
from exchange.sync.overview import overview
from tests.sync.partners import ALERTS, Desk, Giver
from tests.world import indicator, page

REMARK = Skipped(id=ALERTS.key, code="peer.no_progress", fields={"peer": "ccc", "collection": "c"})


def remarks(desk: Desk) -> list[str]:
    """The codes that the overview shows beside the source."""
    lines = overview(desk.store, desk.world.terms, desk.world.now)
    return [each["code"] for line in lines if line.key == ALERTS.key for each in line.remarks]


def test_a_remark_is_shown_until_the_server_behaves(memory: Store) -> None:
    """It is of the last run; one that could not even ask says nothing new, and nothing old either."""
    desk = Desk(memory)
    desk.pull(Giver(page(indicator(), skipped=(REMARK,))))
    assert remarks(desk) == ["peer.no_progress"]
    desk.pull(Giver(page(skipped=(REMARK,))), forced=True)
    assert remarks(desk) == ["peer.no_progress"]
    desk.pull(Giver(page()), forced=True)
    assert remarks(desk) == []


def test_a_run_of_somebody_who_is_no_more_is_closed(memory: Store) -> None:
    """Its record does not stay open for ever."""
    desk = Desk(memory)
    with memory.writing() as tx:
        sources.begin_run(tx, ALERTS.key, micros(desk.world.now))
    desk.world.now += timedelta(minutes=1)
    desk.pull(Giver(page(indicator())))
    assert [outcome for outcome, _ in desk.runs()] == ["broken_off", "complete"]
    assert all(row["ended"] is not None for row in desk.rows(tables.run))


def test_a_source_is_due_by_when_it_was_begun(memory: Store) -> None:
    """However long a drain takes, it is polled at its interval, and never twice at once."""
    desk = Desk(memory)

    def slow() -> None:
        desk.world.now += timedelta(minutes=5)

    desk.pull(Giver(slow, page()))
    assert desk.due_in() == ALERTS.every - 300
    desk.pull(Giver(slow, slow, slow, slow, page()), forced=True)
    assert desk.due_in() == ALERTS.every - 1200
    desk.pull(Giver(slow, PeerUnreachable("peer.timeout", url="x")), forced=True)
    assert desk.due_in() == 30.0


def test_a_success_does_not_forget_the_failure_before_it(memory: Store) -> None:
    """An operator who looks in the morning sees what happened at night."""
    desk = Desk(memory)
    desk.pull(Giver(PeerUnreachable("peer.timeout", url="x")))
    failed = desk.world.now
    desk.world.now += timedelta(hours=3)
    desk.pull(Giver(page()))
    line = next(each for each in overview(memory, desk.world.terms, desk.world.now) if each.key == ALERTS.key)
    assert (line.state, line.error, line.failed, line.succeeded) == ("ok", None, failed, desk.world.now)
    assert line.failure is not None
    assert line.failure["code"] == "peer.timeout"
