"""Engines for laws: each example of a law begins with an empty store of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import _new_database


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bulk: fills a collection with hundreds of thousands of objects")


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a store; `share`: how many of a law's examples it gets, for not all are equally quick to set up."""

    new_url: Callable[[], str]
    share: float

    def examples(self, most: int) -> int:
        """How many of `most`."""
        return max(2, round(self.share * most))


@pytest.fixture(params=["memory", "file", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each engine."""
    if request.param == "memory":
        return Engine(lambda: "sqlite://", 1.0)
    if request.param == "file":
        return Engine(lambda: f"sqlite:///{tmp_path}/{uuid4().hex}.db", 0.4)
    server = request.getfixturevalue("postgresql")
    return Engine(lambda: _new_database(server), 0.1)
