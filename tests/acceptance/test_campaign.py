"""A short campaign of kills (`make soak` runs the long one): nothing lost, nothing doubled, no cursor ahead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.others import installed

ROOT = Path(__file__).parents[2]
KILLS = 20

pytestmark = [pytest.mark.acceptance, pytest.mark.peers]


def test_a_node_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Both parts die at commits and at random while medallion, OpenTAXII, a client and a reader go on."""
    installed("medallion", "opentaxii")
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.campaign", "--kills", str(KILLS), "--keep", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[0])
    assert told["kills"] == KILLS
    assert {name for name in told if name.startswith(("sync", "serve"))} >= {"sync time", "sync before", "sync after"}
    assert told["POSTs"] > 0
    assert told["pages read"] > 0
