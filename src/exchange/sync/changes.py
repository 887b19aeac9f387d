"""What one pass changes in the listings of one audience: what begins, what is closed, what stays and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
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
    _places: dict[str, list[int]] | None = None

    def places(self) -> dict[str, list[int]]:
        """Fact → where in `begun` it is stated; counted once, when `begun` is complete but for promoted twins."""
        if self._places is None:
            self._places = {}
            for index, row in enumerate(self.begun):
                if row.fact is not None:
                    self._places.setdefault(row.fact, []).append(index)
        return self._places


def mark_latest(changes: Changes) -> None:
    """The newest version of the most authoritative chain is what a plain request gets.

    What becomes that again is listed anew: behind the marks of those who have read on nobody would find it (R8).
    """
    best: dict[str, Listed] = {}
    for row in (*changes.stay.values(), *changes.begun):
        other = best.get(row.stix_id)
        if other is None or (row.rank, row.version) > (other.rank, other.version):
            best[row.stix_id] = row
    changes.begun = [row if best[row.stix_id] is row else replace(row, latest=False) for row in changes.begun]
    for name, row in list(changes.stay.items()):
        if row.latest and best[row.stix_id] is not row:
            changes.stay[name] = replace(row, latest=False)
        elif not row.latest and best[row.stix_id] is row:
            changes.closed.append((changes.stay.pop(name), "version.latest_again"))
            changes.begun.append(replace(row, latest=True, folded=False, added=NOT_YET))


def fold_fact(changes: Changes, fact: str, twins: Sequence[Listed]) -> None:
    """Fold the begun rows of `fact` behind the one that stands in front, or bring the oldest folded one forward."""
    gone = {row.added for row, _ in changes.closed}
    stand = {}
    for twin in twins:
        row = changes.stay.get((twin.stix_id, twin.version), twin)
        if twin.added not in gone and row.latest:
            stand[twin.added] = row
    front = next((row for row in stand.values() if not row.folded), None)
    before = {twin.stix_id for twin in twins if not twin.folded}
    if front is None:  # a new version of what stood in front takes its place
        places = changes.places().get(fact, ())
        mine = (changes.begun[i] for i in places if changes.begun[i].latest and changes.begun[i].stix_id in before)
        front = next(mine, None)
    if front is None and stand:
        oldest = stand[min(stand)]
        changes.closed.append((oldest, "fold.promoted"))
        changes.stay.pop((oldest.stix_id, oldest.version), None)
        front = replace(oldest, folded=False, added=NOT_YET)
        changes.begun.append(front)
    for index in changes.places().get(fact, ()):
        row = changes.begun[index]
        if row is front or not row.latest:
            continue
        if front is None:
            front = row
        elif row.stix_id != front.stix_id:
            changes.begun[index] = replace(row, folded=True)
