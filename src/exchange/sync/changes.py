"""What one pass changes in the listings of one audience: what begins, what is closed, what stays and how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from exchange.store.listings import Listed

NOT_YET = -1
"""`added` of a row that has no `date_added` yet."""


@dataclass(slots=True)
class Changes:
    """What one pass changes for one audience."""

    begun: list[Listed] = field(default_factory=list)
    closed: list[tuple[Listed, str]] = field(default_factory=list)
    stay: dict[tuple[str, str], Listed] = field(default_factory=dict)
    """(id, version) → open rows that were there before and stay."""
    before: dict[tuple[str, str], Listed] = field(default_factory=dict)

    def open(self) -> Iterator[Listed]:
        """Every row that stands when the pass is over."""
        yield from self.stay.values()
        yield from self.begun

    def turned(self) -> Iterator[Listed]:
        """Rows that stay, and are the latest no longer."""
        return (row for name, row in self.stay.items() if not row.latest and self.before[name].latest)

    def again(self, name: tuple[str, str], row: Listed, code: str) -> None:
        """The row `name`, which stays, is closed and listed anew as `row`: whoever has read on finds it (R8)."""
        self.closed.append((self.stay.pop(name), code))
        self.begun.append(replace(row, added=NOT_YET))


def mark_latest(changes: Changes) -> None:
    """The newest version of the most authoritative chain is what a plain request gets, and what states its fact.

    What becomes that again is listed anew: behind the marks of those who have read on nobody would find it (R8).
    """
    best: dict[str, Listed] = {}
    for row in changes.open():
        other = best.get(row.stix_id)
        if other is None or (row.rank, row.version) > (other.rank, other.version):
            best[row.stix_id] = row
    changes.begun = [row if best[row.stix_id] is row else _older(row) for row in changes.begun]
    for name, row in list(changes.stay.items()):
        if best[row.stix_id] is not row:
            changes.stay[name] = _older(row)
        elif not row.latest:
            changes.again(name, replace(row, latest=True, folded=False), "version.latest_again")


def _older(row: Listed) -> Listed:
    return replace(row, latest=False, fact=None) if row.latest or row.fact else row
