"""As one audience sees over MISP: the view itself, and the rows of its index of events."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from exchange.convert.compose import Flavour
from exchange.store.views import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is needed to see as one audience sees."""

    audience: str
    """Its key."""
    number: int
    """Its number in the store."""
    epoch: str
    """The policy epoch: of another one nothing is remembered."""
    clearance: int
    """For the second gate."""
    title: str
    """Of the collection or target, in the node's language: stands in frames of ours."""
    node: tuple[str, str]
    """Our name and the id of our identity."""
    secret: bytes
    folds: bool
    """Whether one stands for those that say the same (RULES R23)."""
    owner: Callable[[str], str] = field(compare=False)
    """Identity → the peer that owns it (RULES R5); empty: nobody. Another epoch may have another one."""
    hides: Callable[[str, str, str], bool] = field(compare=False)
    """(agreement of a row, creator, who gave it) → whether its producer is hidden, so that nothing of it is shown."""
    flavour: Flavour
    """Whose distribution it has: `sync` for who pulls (and lowers it once more), `push` for who takes it as it stands,
    `feed` for who reads files."""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the index, as this audience sees it."""

    uuid: str
    timestamp: int
    """Seconds. The last change of this audience's view of the event, or its creator's where that is later.

    Once the second of a change is over, it is greater than all that were served before the change. (Of two changes
    within one second the first may be served under the same timestamp as both: who pushes at once makes his greater
    than the last that was accepted.)
    """
    orgc_uuid: str
    orgc_name: str
    """The creator's name if the audience sees its identity, else the id."""
    info: str
    date: str
    """YYYY-MM-DD."""
    tags: tuple[Mapping[str, Any], ...]
    """Of the event itself: {"name", "colour", "exportable", "local"}; what its label says comes first."""
    threat_level_id: str
    analysis: str
    extends_uuid: str
    distribution: str
    level: int
    """Rank of the TLP of the event: 0 CLEAR … 4 RED, 5 none."""
    attribute_count: int
    """How many attributes it may hold, counted without reading them: what says the same twice counts twice."""
    sighting_timestamp: int
    """Seconds of the last change of the sightings of it; 0: none."""
    group: Group
    """Where its rows stand."""
    guests: tuple[int, ...] = ()
    """Other events in the store whose rows are in it too."""
    leads: Mapping[int, str] = {}
    """Of each of these, and of its own: the peer that leads it; empty: all that share it."""
    first: int
    last: int
    rows: int
    """What a reader of it is handed: the first and last date in the listing, and how many rows (RULES R27)."""

    def holds(self, number: int, peer: str, *, beside: bool) -> bool:
        """Whether what `peer` gave of the event `number` stands in it; `beside`: beside the owner of the object."""
        return (beside or self.leads.get(number, "") not in ("", peer)) == self.group[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The events that an audience sees; those that hold nothing for it are left out, as MISP does."""

    by_uuid: Mapping[str, EventRow]
    """In order of uuid."""
    etag: str
    """Of all that its rows say, without quotes."""

    @property
    def rows(self) -> Sequence[EventRow]:
        """In order of uuid."""
        return list(self.by_uuid.values())

    def get(self, uuid: str) -> EventRow | None:
        """The event with this uuid, in lower case."""
        return self.by_uuid.get(uuid)


def minted(secret: bytes, text: str) -> str:
    """An id that tells nothing: HMAC-SHA-256 in the form of a UUIDv4 (RULES R15)."""
    raw = bytearray(hmac.digest(secret, text.encode(), "sha256")[:16])
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(raw)))
