"""The label under which an object is judged, when it states none itself (RULES R10 and R11).

Labels flow one hop, from stated marks, within one source only. A marked object is never changed by a referrer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from exchange.model.marking import UNMARKED, Label, Tlp


class Basis(StrEnum):
    """Where a statement's label comes from; shown by `exchange why`."""

    STATED = "label.stated"
    ENDS = "label.ends"
    REFERRER = "label.referrer"
    DEFAULT = "label.default"
    NONE = "label.none"


_NEVER, _EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _strictness(label: Label) -> tuple[object, ...]:
    """An order of strictness in which no two different labels are equal, so that arrival does not matter."""
    worth, orgs, servers = label.level(listed=False), label.orgs, label.servers
    return (
        bool(label.unknown or label.iep or label.draft),
        -1 if worth is None else int(worth),
        int(label.reach),
        (orgs is not None, -len(orgs or ())),
        (servers is not None, -len(servers or ())),
        *(-1 if each is None else int(each) for each in (label.pfc, label.pap, label.tlp)),
        (label.vert, label.draft, label.unnamed, label.encrypted, label.limited),
        (label.since or _NEVER, -(label.until or _EVER).timestamp()),
        (len(label.unknown), len(label.iep)),
        *map(sorted, (label.unknown, label.texts, label.iep, orgs or (), servers or (), label.kinds)),
    )


def resolve(
    own: Label, *, ends: Iterable[Label], referrers: Iterable[Label], default: Tlp | None
) -> tuple[Label | None, Basis]:
    """The effective label and where it comes from; (None, NONE) means held.

    `own`: what the statement itself carries (its marks, and the reach that MISP gave it). `ends` and `referrers` are
    the *stated* labels of the same source: of the ends of a relationship, sighting, note or opinion, and of the
    objects that contain or refer to this one. Both together join to the stricter. `default`: the agreement's.
    """
    if own.stated:
        return own, Basis.STATED
    ends, referrers = [end.spread for end in ends], [referrer.spread for referrer in referrers]
    label, basis = None, Basis.NONE
    for end in ends:
        if end.stated:
            label, basis = end.join(label) if label else end, Basis.ENDS
    marked = [referrer for referrer in referrers if referrer.stated]
    if marked:
        loosest = min(marked, key=_strictness)
        label, basis = (label.join(loosest), basis) if label else (loosest, Basis.REFERRER)
    if label is None and default is not None:
        # What refers to it states no level either, but may be for a few only (MISP's distribution): then so is this.
        loosest = min(referrers, key=_strictness) if referrers else UNMARKED
        label, basis = Label(tlp=default).join(loosest), Basis.DEFAULT
    return (None, Basis.NONE) if label is None else (own.join(label), basis)
