"""From stored statements to what `policy.decide` judges: chains, owners, opinions and what bars a statement.

RULES R5: each source has its own chain of versions per id; the authoritative chain is that of the peer which owns the
creator, else of the source that gave the id first. Other chains are opinions: never loosening, revoking, withdrawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.model.marking import Label
from exchange.policy import Rules, Subject
from exchange.store.statements import Held

TOLERANCE = timedelta(minutes=5)
"""How far `modified` may be ahead of our clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A statement with what is decided about it. `rank` 1: the authoritative chain, 0: an opinion."""

    held: Held
    subject: Subject
    rank: int


def _creator(held: Held) -> str:
    return held.stix_id if held.type == "identity" else held.creator


def ahead(held: Held, now: datetime) -> bool:
    """Whether the version lies more than five minutes in the future (RULES R5)."""
    return held.version > (now + TOLERANCE).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _barred(held: Held, newest: Held, rank: int) -> str:
    if held.touch:
        return "version.touch"
    if held.revoked and not rank:
        return "version.foreign_revocation"
    if newest.revoked and not held.revoked and held.version > newest.version:
        return "version.after_revocation"
    return ""


def _governed(label: Label | None, by: Held) -> Label | None:
    """`label`, no looser than that of the version which governs it (RULES R8); one still waiting governs nothing."""
    if by.waiting:
        return label
    return None if label is None or by.label is None else label.join(by.label)


def judged(rules: Rules, group: Sequence[Held], now: datetime) -> list[Judged]:
    """Every statement about one id, in order of arrival, each with the subject to decide."""
    newest = {held.source: held for held in group if held.newest}
    revocations = {held.source: held for held in group if held.revoked}
    first = group[0].source
    found = []
    for held in group:
        owner = rules.owner(_creator(held))
        owned = owner and any(other.peer == owner for other in group)
        rank = int(held.peer == owner if owned else held.source == first)
        label = None if held.waiting or ahead(held, now) else held.label
        label = _governed(label, newest.get(held.source, held))
        if owned and not rank:
            for other in group:
                if other.peer == owner and other.newest:
                    label = _governed(label, other)
        found.append(
            Judged(
                held=held,
                rank=rank,
                subject=Subject(
                    peer=held.peer,
                    type=held.type,
                    label=label,
                    posted=held.posted,
                    barred=_barred(held, revocations.get(held.source, held), rank),
                ),
            )
        )
    return found
