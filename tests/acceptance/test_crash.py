"""kill -9 at every commit boundary of a pull loses nothing and doubles nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.acceptance
def test_kill_at_every_commit_boundary(tmp_path: Path) -> None:
    """A process killed before or after any commit leaves a store from which the next one reaches the same end."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.crash", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    undisturbed, *after = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(after) > 2 * 8
    assert undisturbed["quarantine"] == 4
    assert len(undisturbed["listed"]) == len({tuple(row) for row in undisturbed["listed"]})
    for state in after:
        assert state == undisturbed
