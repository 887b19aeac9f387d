"""A small folder of valid configuration, of which each test spoils a part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from valid_folder import VALID

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the valid folder with some files replaced (None: left out) and returns it."""

    def written(changes: dict[str, str | bytes | None] | None = None) -> Path:
        for name, content in {**VALID, **(changes or {})}.items():
            if content is None:
                continue
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return written


@pytest.fixture
def spoil(write: Write) -> Write:
    """Writes the valid folder with one passage of one file replaced."""

    def spoilt(file: str, old: str, new: str) -> Path:
        assert old in VALID[file]
        return write({file: VALID[file].replace(old, new, 1)})

    return spoilt


@pytest.fixture
def add(write: Write) -> Write:
    """Writes the valid folder with text added at the end of one file."""

    def added(file: str, more: str) -> Path:
        return write({file: VALID[file] + "\n" + more})

    return added
