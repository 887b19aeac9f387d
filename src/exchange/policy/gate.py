"""The second gate: judges the exact bytes that are to leave, with marking tables of its own (RULES R25).

It shares no code with `decide` and trusts no label: it reads the marking ids in the bytes themselves. A mistake in
one of the two is stopped by the other.
"""

from __future__ import annotations

import re

# Written out a second time on purpose: a slip in the model's table must not slip through here as well.
_RANK = {
    b"613f2e26-407d-48c7-9eca-b8e91df99dc9": 0,
    b"94868c89-83c2-464b-929b-a1a8aa3c8487": 0,
    b"34098fce-860f-48ae-8e50-ebd3cc5e41da": 1,
    b"bab4a63c-aed9-4cf5-a766-dfca5abac2bb": 1,
    b"f88d31f6-486f-44da-b317-01333bde0b82": 2,
    b"55d920b0-5e8b-4f79-9ee9-91f868d9b421": 2,
    b"939a9414-2ddd-4d32-a0cd-375ea402b003": 3,
    b"826578e1-40ad-459f-bc73-ede076f81f37": 3,
    b"5e57c739-391a-4eb3-b6be-7d15ca92d5ed": 4,
    b"e828b379-4e03-4974-9ac4-e53a884c97c1": 4,
}
_MARKING_LISTS = re.compile(rb'"(?:object_marking_refs"\s*:\s*\[[^\]]*\]|marking_ref"\s*:\s*"[^"]*")')
_MARKING = re.compile(rb"marking-definition--([0-9a-f-]{36})")


def gate(body: bytes, clearance: int) -> bool:
    """Whether no TLP mark in `body` is stricter than `clearance` (0 CLEAR … 4 RED)."""
    for marks in _MARKING_LISTS.finditer(body):
        for marking in _MARKING.finditer(marks.group()):
            if _RANK.get(marking.group(1).lower(), 0) > clearance:
                return False
    return True
