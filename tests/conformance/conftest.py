"""One node for all tests of a module that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.store import Store, open_store
from tests.conformance.node import Node
from tests.serve.house import House


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with content."""
    store = open_store("sqlite://")
    yield Node(store)
    store.close()


@pytest.fixture
def house(memory: Store) -> House:
    """A node with an empty store, for a test that changes it."""
    return House(memory)
