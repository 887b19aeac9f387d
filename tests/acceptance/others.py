"""The servers of others, each in an environment of its own."""

from __future__ import annotations

import subprocess

import pytest
from lab.child import ChildError
from lab.venvs import python_of


def installed(*names: str) -> None:
    """They are there, or can be installed now; else the test is skipped."""
    for name in names:
        try:
            python_of(name)
        except (ChildError, subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"{name} cannot be installed into an environment of its own here: {str(error)[:200]}")
