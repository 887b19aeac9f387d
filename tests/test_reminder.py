"""The daemon's log says once for each step how near an agreement is to its end, however often the daemon starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exchange.errors import StoreBusy
from exchange.i18n import LANGUAGES, text
from exchange.model.marking import Tlp
from exchange.model.party import Agreement, Send
from exchange.policy.ending import OVER, ending
from exchange.reminder import Reminder
from exchange.store import Store, audiences, open_store

END = date(2027, 3, 31)


def agreement(until: date = END, name: str = "ccc") -> Agreement:
    return Agreement(
        id=name, title="CCC", parties=("ccc", "cst"), start=date(2026, 1, 1), end=until, purpose="test",
        send=Send(ceiling=Tlp.GREEN),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/exchange.db")
    yield opened
    opened.close()


def told(store: Store, *agreements: Agreement, left: int) -> list[tuple[str, str, int | None]]:
    """What a daemon that is started so many days before END says at its first look; then it says no more."""
    now = datetime.combine(END - timedelta(days=left), datetime.min.time(), tzinfo=UTC)
    reminder = Reminder(store, agreements, lambda: now)
    with capture_logs() as events:
        reminder.look()
        reminder.look()
    for event in events:
        for language in LANGUAGES:
            assert "{" not in text(f"log.{event['event']}", language, **event)
            assert "ccc, cst" in text(f"log.{event['event']}", language, **event)
    return [(event["log_level"], event["event"], event.get("days")) for event in events]


def test_each_step_is_told_once_and_more_urgently(store: Store) -> None:
    said = [(left, found) for left in range(65, -5, -1) for found in told(store, agreement(), left=left)]
    assert said == [
        (60, ("info", "agreement.ending", 60)),
        (30, ("warning", "agreement.ending_soon", 30)),
        (7, ("error", "agreement.ending_now", 7)),
        (-1, ("error", "agreement.ended", None)),
    ]


def test_who_looks_late_is_told_the_nearest_step_only(store: Store) -> None:
    assert told(store, agreement(), left=5) == [("error", "agreement.ending_now", 5)]
    assert told(store, agreement(), left=5) == []


def test_a_renewed_agreement_is_told_of_anew(store: Store) -> None:
    """Each by itself; and the note of one that is renewed, or gone, goes too."""
    other = agreement(name="circl")
    assert len(told(store, agreement(), other, left=20)) == 2
    renewed = agreement(END + timedelta(days=365))
    assert told(store, renewed, other, left=20) == []
    assert told(store, renewed, other, left=-345) == [
        ("error", "agreement.ended", None),
        ("warning", "agreement.ending_soon", 20),
    ]
    told(store, left=0)
    with store.reading() as tx:
        assert audiences.note(tx, "ending:ccc") == audiences.note(tx, "ending:circl") == ""


def test_one_that_has_not_begun_does_not_end(store: Store) -> None:
    assert ending(agreement(), date(2025, 12, 31)) is None
    near = ending(agreement(), END + timedelta(days=2))
    assert near is not None
    assert (near.step, near.days) == (OVER, -2)


def test_a_store_that_cannot_be_asked_is_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, and nobody stops for it."""
    now = datetime(2027, 3, 30, tzinfo=UTC)
    reminder = Reminder(store, [agreement()], lambda: now)

    def busy(*_: Any) -> Any:
        raise StoreBusy("store.busy")

    with capture_logs() as events:
        with monkeypatch.context() as patch:
            patch.setattr(store, "writing", busy)
            reminder.look()
        reminder.look()
    assert [event["event"] for event in events] == ["agreement.not_kept", "agreement.ending_now"]
