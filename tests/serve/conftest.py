from __future__ import annotations

import pytest

from exchange.store import Store
from tests.serve.house import House


@pytest.fixture
def house(memory: Store) -> House:
    """A node with an empty store in memory, and an account for each peer."""
    return House(memory)
