"""What a replay finds: decisions that came out as they stand, those that did not, and what cannot be made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

MOST = 1_000
"""Mismatches that are told one by one; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One place where the record and the decision made again differ. `code`: what differs, and so what may have
    happened; `recorded`, `replayed`: what stands there, and what comes out.
    """

    code: str
    object: str = ""
    version: str = ""
    channel: str = ""
    members: tuple[str, ...] = ()
    added: datetime | None = None
    """`date_added` of the row; None: it is about no row of a listing."""
    recorded: str = ""
    replayed: str = ""


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What was gone through."""

    rows: int = 0
    """Rows of listings: versions that were offered."""
    closings: int = 0
    """Of those, how many were taken back for a reason that was decided again too."""
    handed: int = 0
    """Rows of the ledger: versions that partners took from us."""
    terms: int = 0
    """Versions of the terms."""
    unproved: int = 0
    """Of those, how many cannot be compared with the configuration that was applied then."""
    mismatches: list[Mismatch] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Code → how many mismatches."""
    unreplayable: Counter[str] = field(default_factory=Counter)
    """Why → how many rows; they are never counted as good."""

    def differs(self, mismatch: Mismatch) -> None:
        """Count it, and keep it if it is one of the first."""
        self.counts[mismatch.code] += 1
        if len(self.mismatches) < MOST:
            self.mismatches.append(mismatch)

    @property
    def whole(self) -> bool:
        """Whether nothing differs."""
        return not self.counts

    def plain(self) -> Mapping[str, object]:
        """As it is written as JSON."""
        return {
            "rows": self.rows, "closings": self.closings, "handed": self.handed, "terms": self.terms,
            "unproved": self.unproved,
            "mismatches": [
                {name: getattr(each, name) for name in Mismatch.__slots__} for each in self.mismatches
            ],
            "counts": dict(sorted(self.counts.items())), "unreplayable": dict(sorted(self.unreplayable.items())),
        }  # fmt: skip
