"""What the clauses of an agreement ask of a statement beside its level: how sure its creator is, types, periods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from exchange.model import misp, schema
from exchange.model.marking import Label, Tlp
from exchange.model.party import ANY_TEXT, Agreement, Receive, Send

_NEVER_RATED = frozenset({"marking-definition", "extension-definition", "language-content"})
_SHORT: dict[type, tuple[str, str]] = {
    Receive: ("receive.unrated", "receive.confidence"),
    Send: ("agreement.unrated", "agreement.confidence"),
}


def too_unsure(clause: Receive | Send, kind: str, label: Label) -> str:
    """Why a statement of the type `kind` falls short of the clause's confidence; empty: it does not.

    Types that have no such property (observables and definitions, STIX 2.1 sections 3.2 and 3.3) are not asked.
    """
    if clause.confidence is None or kind in _NEVER_RATED or kind in schema.observable_types():
        return ""
    unrated, low = _SHORT[type(clause)]
    if label.confidence is None:
        return "" if clause.unrated else unrated
    return low if label.confidence < clause.confidence else ""


class Asked:
    """What of a label the clauses of these agreements ask: two labels of one `grade` are answered alike."""

    def __init__(self, agreements: Iterable[Agreement]) -> None:
        clauses = [clause for agreement in agreements for clause in (agreement.receive, agreement.send) if clause]
        self._bounds = {clause.confidence for clause in clauses if clause.confidence is not None}
        self._misp = [clause for clause in clauses if isinstance(clause, Send) and (clause.misp or clause.no_misp)]

    def grade(self, label: Label | None) -> tuple[Any, ...]:
        """All of it, but of its confidence only which of the bounds it reaches, and of its kinds who lets them go."""
        if label is None or (label.confidence is None and not label.kinds):
            return (label,)
        sure = -1 if label.confidence is None else sum(bound <= label.confidence for bound in self._bounds)
        return label.spread, sure, tuple(called(clause, label) for clause in self._misp)


def unfit(send: Send, kind: str, label: Label) -> str:
    """Why what is of the type `kind`, and called so by MISP, does not go under this clause; empty: it goes."""
    if send.types is not None and kind not in send.types:
        return "agreement.type"
    return called(send, label)


def called(send: Send, label: Label) -> str:
    """Why what MISP calls it does not go under this clause; empty: it goes.

    What is part of an event and does not say of what does not go wherever the clause asks for it.
    """
    if not (send.misp or send.no_misp) or not label.kinds:
        return ""
    if misp.UNSAID in label.kinds:
        return "agreement.misp_unsaid"
    asked = {word.partition(":")[0] for word in send.misp}
    out = label.kinds & send.no_misp or any(
        word not in send.misp and word.partition(":")[0] in asked for word in label.kinds
    )
    return "agreement.misp" if out else ""


def not_taken(receiving: Sequence[Receive], kind: str, label: Label, worth: Tlp) -> tuple[str, ...]:
    """Why none of these agreements takes it, each reason once; empty: one of them does."""
    reasons = [_not_taken(receive, kind, label, worth) for receive in receiving]
    return () if "" in reasons else tuple(dict.fromkeys(reasons))


def _not_taken(receive: Receive, kind: str, label: Label, worth: Tlp) -> str:
    if worth > receive.ceiling:
        return "receive.ceiling"
    if receive.types is not None and kind not in receive.types:
        return "receive.type"
    return too_unsure(receive, kind, label)


def informational(receiving: Sequence[Receive], label: Label) -> frozenset[str]:
    """The markings that these agreements call informational (RULES R12); texts, where they say so of all texts."""
    if not receiving:
        return frozenset()
    listed = frozenset[str]().union(*(receive.informational_markings for receive in receiving))
    return listed | label.texts if ANY_TEXT in listed else listed


_FRAMES = frozenset({"report", "grouping"})


def told(label: Label, types: frozenset[str] | None) -> bool:
    """Whether who may have these types also learns the words of a policy: those of a MISP event stand on its report."""
    return not label.bound or types is None or types >= _FRAMES


def outside(label: Label, now: datetime) -> bool:
    """Whether a policy on it has not begun at `now`, or is over."""
    return (label.since is not None and now < label.since) or (label.until is not None and now >= label.until)
