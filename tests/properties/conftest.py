"""Engines for laws: each example of a law begins with an empty store of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mould import new_database

MEASURE = 4 if os.environ.get("EXCHANGE_SOAK") else 0.5
"""Of the examples that a law names: few at each change, many by `make soak`."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a store. Not all are equally quick to set up, so not all get the same share of a law's examples."""

    new_url: Callable[[], str]
    share: float

    def examples(self, most: int) -> settings:
        """The settings for a law that gets at most so many examples: the same ones in every run."""
        return settings(
            max_examples=max(2, round(self.share * most * MEASURE)),
            derandomize=True,
            database=None,
            # Only where an example costs little is a failing one made small.
            phases=[Phase.generate, Phase.shrink] if self.share == 1 else [Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )


@pytest.fixture(params=["memory", "file", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each engine."""
    if request.param == "memory":
        return Engine(lambda: "sqlite://", 1)
    if request.param == "file":
        return Engine(lambda: f"sqlite:///{tmp_path}/{uuid4().hex}.db", 0.3)
    server = request.getfixturevalue("postgresql")
    return Engine(lambda: new_database(server), 0.1)
