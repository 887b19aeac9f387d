"""Commands are typed hundreds of times, and made once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from typer.main import get_command


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    """Typer's runner reads the signatures of all commands anew for each one that is typed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command))
        yield
