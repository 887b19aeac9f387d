"""Real published intelligence through a node between its partners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance import real_data
from tests.acceptance.others import installed

pytestmark = [pytest.mark.acceptance, pytest.mark.peers]
LONG = pytest.mark.skipif(not os.environ.get("EXCHANGE_SOAK"), reason="minutes long: `make soak` runs it")


@pytest.mark.skipif(not real_data.DATA.is_dir(), reason="real intelligence is not at ../shared/data")
@pytest.mark.parametrize("unmarked", [pytest.param(None, marks=LONG), "TLP:GREEN"])
def test_real_intelligence_is_accounted_for(tmp_path: Path, unmarked: str | None) -> None:
    """Everything offered is stored or has a reason; without a default it is held, with one it is read exactly once."""
    installed("medallion", "opentaxii")
    offered = real_data.offer(real_data.DATA, small=True)
    found = real_data.perform(tmp_path, offered, unmarked)
    assert found.faults == []
    assert found.held == found.held_wanted
    assert (sum(found.held.values()) > 1_000) == (unmarked is None)
    assert (found.readable["circl"] > 1_000) == (unmarked is not None)
