"""Which recipients a label's PFC and PAP name (reference policy.md sections 4 and 5).

PFC:VERT is for the list of bodies that the ministry keeps, which TLP has no level for; an agreement says who is on it
(`send.pfc`).
"""

from __future__ import annotations

from exchange.model.lights import Pap
from exchange.model.marking import PFC_ELSEWHERE, PFC_LISTED, Label, Tlp


def level(label: Label, *, listed: bool) -> Tlp | None:
    """The TLP level that `label` comes to for those who are on PFC's list, or are not; None: it states neither."""
    if label.pfc is None:
        return label.tlp
    meant = (PFC_LISTED if listed else PFC_ELSEWHERE)[label.pfc]
    return meant if label.tlp is None else max(meant, label.tlp)


def needs_pap(label: Label) -> bool:
    """Whether only those who carry PAP on may have it."""
    return label.pap is not None and label.pap >= Pap.AMBER


def bare(identity: str) -> str:
    """The uuid in an identity id, or a MISP organisation's, as it is compared."""
    return identity.removeprefix("identity--").lower()
