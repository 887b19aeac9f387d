"""Which recipients a label's PFC, PAP and sharing group name (reference policy.md sections 4, 5 and 8).

PFC:VERT is for the list of bodies that the ministry keeps, which TLP has no level for; an agreement says who is on it
(`send.pfc`). Whoever is not on it is not expected to read PFC at all: to them what it restricts must stand in TLP too.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Tlp

_LISTED: Mapping[Pfc, Tlp] = {
    Pfc.LIBRE: Tlp.CLEAR,
    Pfc.VERT: Tlp.GREEN,
    Pfc.AMBRE: Tlp.AMBER,
    Pfc.AMBRE_STRICT: Tlp.AMBER_STRICT,
    Pfc.ROUGE: Tlp.RED,
}
# AMBRE reaches the bodies of the recipient's budgetary portfolio; elsewhere AMBER's "clients" would be more than those.
_ELSEWHERE: Mapping[Pfc, Tlp] = {**_LISTED, Pfc.AMBRE: Tlp.AMBER_STRICT}


def level(label: Label, *, listed: bool) -> Tlp | None:
    """The TLP level that `label` comes to for those who are on PFC's list, or are not; None: it states neither."""
    if label.pfc is None:
        return label.tlp
    meant = (_LISTED if listed else _ELSEWHERE)[label.pfc]
    return meant if label.tlp is None else max(meant, label.tlp)


def unlisted(label: Label) -> str:
    """Why those who are not on PFC's list cannot have it, whatever their ceiling; empty: they can."""
    if label.pfc is None or label.pfc is Pfc.LIBRE:
        return ""
    if label.pfc is Pfc.VERT:
        return "pfc.list"
    return "pfc.not_carried" if label.tlp is None or label.tlp < _ELSEWHERE[label.pfc] else ""


def needs_pap(label: Label) -> bool:
    """Whether only those who carry PAP on may have it."""
    return label.pap is not None and label.pap >= Pap.AMBER


def bare(identity: str) -> str:
    """The uuid in an identity id, or a MISP organisation's, as it is compared."""
    return identity.removeprefix("identity--").lower()
