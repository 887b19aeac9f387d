"""What a person may let go of what is held (RULES R21): above what we agreed to take, doubts, personal information.

No ceiling of what is sent, no mark that we do not understand, nothing that is denied, and never TLP:RED.
"""

from __future__ import annotations

from exchange.model.marking import Label, Tlp
from exchange.policy.audience import Audience

CEILING = "receive.ceiling"
PERSONAL = "personal.review"
CONFIRMED = "doubt.refused"
"""What a person confirmed: another verdict on the value lifts it, and no approval."""
Approved = frozenset[tuple[str, str, int]]
"""(for whom, reason code, by how many persons). For whom: an agreement, `peer:ID`, or empty for everybody."""


def may_be_let_in(label: Label) -> bool:
    """Whether what is stricter than we agreed to take can be let go at all: TLP:RED is for its recipients alone."""
    return label.level(listed=False) not in (None, Tlp.RED)


def lifted(approved: Approved, code: str, audience: Audience, asked: int) -> bool:
    """Whether `asked` persons let go, for this audience, what is held for `code`."""
    if code == CONFIRMED:
        return False
    return any(why == code and people >= asked and _is_for(whom, audience) for whom, why, people in approved)


def _is_for(whom: str, audience: Audience) -> bool:
    return whom in ("", *audience.agreements) or (audience.single is not None and whom == f"peer:{audience.single}")
