"""What of an instance has been taken, in eight bytes each: the cursor of a MISP source.

The index of MISP says of every event how it is now, not what is new, and what goes beside an event (sightings,
proposals, analyst data) changes without a change of the event. So the cursor remembers everything that was taken, by
its digest: 11 characters of JSON for each event of the instance.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any

_SIZE = 8


class Marks:
    """A set of things that were taken, known by their digests. What a thing is made of is up to who asks."""

    def __init__(self, text: Any = "") -> None:
        try:
            packed = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            packed = b""
        self._held = {int.from_bytes(packed[at : at + _SIZE]) for at in range(0, len(packed), _SIZE)}

    def __contains__(self, thing: tuple[Any, ...]) -> bool:
        return _digest(thing) in self._held

    def __len__(self) -> int:
        return len(self._held)

    def add(self, *things: tuple[Any, ...]) -> None:
        """Remember these."""
        self._held.update(map(_digest, things))

    def only(self, things: Iterable[tuple[Any, ...]]) -> None:
        """Forget everything but these of what was taken."""
        self._held &= set(map(_digest, things))

    def text(self) -> str:
        """What a cursor holds of it."""
        packed = b"".join(mark.to_bytes(_SIZE) for mark in sorted(self._held))
        return base64.b64encode(packed).decode()


def _digest(thing: tuple[Any, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(map(str, thing)).encode(), digest_size=_SIZE).digest())
