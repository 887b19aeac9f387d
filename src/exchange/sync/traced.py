"""What `sync.tracing` tells: the shapes, which `exchange why --json` writes as they are. Their names are stable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.policy import Step
from exchange.sync.persons import Act
from exchange.sync.remains import Erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark on the object itself. `where`: object, a granular selector, or tag."""

    where: str
    mark: str
    """The marking-definition's id, or the tag as it is written."""
    level: str
    """What we understand by it, as a label of TLP, PFC or PAP; empty: nothing that we know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """A marked object of the same source. `role`: end (it is connected, commented on or contained), or referrer."""

    role: str
    stix_id: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where its label comes from."""

    basis: str
    """Reason code: label.stated, label.ends, label.referrer, label.default, label.none."""
    stated: str
    """The levels that the statement itself states, as they were taken; empty: none."""
    label: str
    """The levels under which it is judged, after the versions and the owner that govern it; empty: none."""
    axes: Mapping[str, str]
    """What else that label says: unnamed, encrypted, limited (empty each), since, until, confidence, kinds."""
    reach: str
    """How far MISP's distribution lets it go, by its own words; empty: without limit."""
    organisations: int | None
    """How many organisations its sharing group names; None: it has none."""
    draft: bool
    """Its MISP event is not published."""
    marks: Sequence[Mark]
    around: Sequence[Around]
    around_more: int
    default: Sequence[str]
    """The agreements that say what unmarked content of its giver is worth."""
    victim_by: Sequence[str] = ()
    """Objects of its source that say that it is a victim's; at most some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One row of the listing: from when until when it stood there, and as what."""

    stix_id: str
    """The id by which they know what stood there; of what was altered for them not that of the statement."""
    version: str
    """Of that."""
    since: datetime
    """`date_added`."""
    until: datetime | None
    """When it was closed; None: it stands."""
    code: str
    """Why it was closed."""
    latest: bool
    folded: bool
    agreement: str
    not_after: datetime | None
    """When the agreement ends; None: never."""
    expires: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The twin that stands in front of a folded row, in this same listing."""

    stix_id: str
    version: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A page that held it. `exact`: by the same question asked again; False: the page may not have come so far."""

    account: str
    peer: str
    at: datetime
    query: str
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of it when we handed it over: accepted, refused, delivered, recalled."""

    at: datetime
    outcome: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What waits, or last became of it, in the outbox of a target."""

    state: str
    attempts: int
    message: str
    status: str
    due: datetime | None
    """When the next push is due; None: nothing waits, or the target is not worked on."""
    target: str
    """State of the target: ok, failing, paused, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """A recall notice that this audience was given of it (RULES R8)."""

    note: str
    since: datetime
    until: datetime | None
    fetched: Sequence[tuple[str, datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """How it stood at the instant that was asked for."""

    at: datetime
    member: bool
    """The peer belonged to this audience."""
    stay: Stay | None
    """The row that stood there; None: none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One statement for one audience, from what its source said to who fetched it."""

    stix_id: str
    type: str
    version: str
    source: str
    giver: str
    """The peer that stated it."""
    received: datetime
    posted: str
    """The channel to which it was written; empty: it was pulled or imported."""
    creator: str
    authority: str
    """owner, guest or opinion (RULES R5)."""
    origin: Origin
    channel: str
    members: tuple[str, ...]
    verdict: str
    reasons: tuple[str, ...]
    agreement: str
    steps: tuple[Step, ...]
    """Every question, in order; the last one decided."""
    expires: datetime | None
    listed: datetime | None
    """Since when it stands there; None: it does not."""
    folded: bool
    alarm: str
    """A reason code when the listing is not as it would be decided now; empty: both agree."""
    stays: tuple[Stay, ...]
    front: Front | None
    offered: tuple[str, ...]
    """The members who may fetch it now, or to whom it waits to be handed."""
    fetches: int
    """Pages over its place in the listing, by the accounts of the peer that was asked for, or of all members."""
    fetched: tuple[Fetch, ...]
    """The first and the newest of them."""
    handed: tuple[Handed, ...]
    parcel: Parcel | None
    recalls: tuple[Recall, ...]
    then: Then | None
    altered: str
    """The id under which they have, or had, what was altered of it; empty: it goes as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Statements that fare alike for one audience."""

    channel: str
    members: tuple[str, ...]
    verdict: str
    reasons: tuple[str, ...]
    agreement: str
    listed: bool
    folded: bool
    alarm: str
    count: int
    types: Mapping[str, int]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One audience that was asked about, and how it stands."""

    key: str
    channel: str
    members: tuple[str, ...]
    agreements: tuple[str, ...]
    ceiling: str
    state: str
    """open; shut (being decided again); ended (its agreements); absent (the store has not adopted it yet)."""
    ends: datetime | None
    """When the last of its agreements ends."""
    accounts: tuple[str, ...]
    """Accounts that can read it now."""
    revoked: tuple[str, ...]
    paused: str
    """Who has pulled the brake on what goes out to them, and why; empty: nobody."""
    last_fetch: Fetch | None
    """The last page that one of them was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """The answer to `exchange why OBJECT --peer P --collection C`."""

    asked: str
    peer: str
    channel: str
    rooms: tuple[Room, ...]
    statements: int
    groups: tuple[Group, ...]
    traces: tuple[Traced, ...]
    """All of them where they are few; else one of each group."""
    more: bool
    """There were more statements than are looked at in one answer."""
    quarantine: Sequence[Mapping[str, Any]]
    """What was set aside under the same ids: a source that contradicted itself, for instance."""
    vanished: Sequence[Mapping[str, Any]]
    """Sources that once gave it and no longer list it."""
    acts: Sequence[Act]
    """Who withdrew it, and who let it go, when and why."""
    erased: tuple[Erased, ...]
    """Its erasures, and what the ledgers still say of it with this peer and in this channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many statements fare alike for one audience; of each source's chain the newest version counts."""

    channel: str
    members: tuple[str, ...]
    state: str
    """listed; folded; ended (listed, and the agreement has ended); out (not listed)."""
    verdict: str
    reasons: tuple[str, ...]
    agreement: str
    alarm: str
    count: int
    types: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The answer to `exchange why --peer P --collection C`."""

    peer: str
    channel: str
    rooms: tuple[Room, ...]
    held: int
    """Statements that we hold, of each source's chain the newest version."""
    counts: tuple[Count, ...]
    unlooked: int
    """Statements that may go by their label and do not stand there, and were too many to look at one by one."""
