"""A small shelf of what is costly to make and valid for one state of its origin; the least used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

State = TypeVar("State")
Made = TypeVar("Made")
MOST = 8
"""Feeds kept by one worker."""


class Shelf(Generic[State, Made]):
    """One thing for each name, made anew when its state has changed; made once when many ask at the same time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[State, Made]] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str, state: State, make: Callable[[], Made]) -> Made:
        """What `make` gives for this state."""
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is None or kept[0] != state:
                kept = (state, make())
            self._kept[name] = kept
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            return kept[1]
