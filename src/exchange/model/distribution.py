"""MISP's distribution: how far what says it may go from here (reference misp.md section 1.6; RULES R4, R26)."""

from __future__ import annotations

from typing import Any

from exchange.model import sharing
from exchange.model.lights import Reach
from exchange.model.marking import UNMARKED, Label

_GROUP, _INHERIT = 4, 5


def of_distribution(distribution: int | None, *, internal: bool, sharing_group: Any = None) -> Label:
    """How far MISP's `distribution` lets an entity go from here (RULES R4, R26; hop downgrade on our side).

    `internal`: it comes from our own organisation's MISP, as MISP's internal-server mode; nothing is downgraded.
    `sharing_group`: MISP's JSON of the group that a distribution of 4 means; unknown, inactive or empty means nobody.
    5 (inherit) adds nothing; None: not stated; a number that MISP does not have stays here.
    """
    if distribution is None or distribution == _INHERIT:
        return UNMARKED
    if distribution == _GROUP:
        return Label(orgs=sharing.organisations(sharing_group), servers=sharing.servers(sharing_group))
    foreign = {3: Reach.ALL, 2: Reach.COMMUNITY}
    home = {3: Reach.ALL, 2: Reach.CONNECTED, 1: Reach.COMMUNITY}
    return Label(reach=(home if internal else foreign).get(distribution, Reach.NODE))
