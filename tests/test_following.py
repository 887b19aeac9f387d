"""An HTTP worker serves by what was applied last: its terms, and whether anything may leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange import daemon
from exchange.config import Settings, load
from tests.cli.test_commands import FILES

NOW = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a small node."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("{folder}", str(tmp_path)), encoding="utf-8")
    return load(tmp_path)


def test_a_worker_serves_by_what_was_applied_and_by_the_day(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rules until midnight, or until other terms are applied; these hold on the next day too."""
    now = [NOW]
    monkeypatch.setattr(daemon, "clock", lambda: now[0])
    current = daemon.Current(settings)
    first = current.rules()
    assert current.rules() is first
    assert current.outbound()
    shut = replace(settings, sync=replace(settings.sync, outbound=False), terms=replace(settings.terms, agreements=()))
    current.take(shut)
    assert not current.outbound()
    assert current.rules().epoch != first.epoch
    now[0] += timedelta(minutes=2)
    assert current.rules().now == now[0]
    assert current.rules().terms == shut.terms
