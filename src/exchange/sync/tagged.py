"""The second gate on MISP's JSON: judges the bytes that are to leave by the tags written in them (RULES R25)."""

from __future__ import annotations

import re

from exchange.policy import gate

# A table of its own, as the second gate must have; only tags look like this, whatever stands in names and comments.
_TAG = re.compile(rb'\{"name":"(tlp:[^"]*)","colour":', re.I)
_RANK = {
    b"tlp:white": 0,
    b"tlp:clear": 0,
    b"tlp:green": 1,
    b"tlp:amber": 2,
    b"tlp:amber+strict": 3,
    b"tlp:red": 4,
}
_BEYOND = 5


def passes(body: bytes, clearance: int, *, whole: bool = True) -> bool:
    """Whether nothing in `body` is stricter than `clearance`; an unknown tlp tag denies.

    `whole`: it is an event, or the frame of one, and must say its TLP; a part of it may leave that to the event.
    """
    ranks = [_RANK.get(tag.lower(), _BEYOND) for tag in _TAG.findall(body)]
    return (bool(ranks) or not whole) and max(ranks, default=0) <= clearance and gate(body, clearance)
