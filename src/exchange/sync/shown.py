"""What an analyst is told of a fact: the shapes of `sync.showing`, which `exchange show --json` writes as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from exchange.model.confidence import Claim
from exchange.store.links import Word
from exchange.sync.links import Suggestion

Way = Literal["pulled", "imported", "posted", "pushed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one source says of it under one id: the newest of its versions, and since when it has said anything."""

    stix_id: str
    type: str
    source: str
    peer: str
    way: Way
    kind: str
    """Of the source: taxii, misp, misp-feed, file; empty: it is no longer configured, or it was posted."""
    channel: str
    """Where it was posted or pushed to; empty: it was not."""
    path: tuple[str, ...]
    """By whom it came here, the creator first; a hop that nobody told of is not in it."""
    creator: str
    owned: bool
    """The creator's owner is a peer of ours."""
    theirs: bool
    """This source is that owner's."""
    opinion: bool
    """It is said beside the owner's own word."""
    since: datetime
    last: datetime
    version: str
    """As it is written; empty: it has none."""
    versions: int
    revoked: bool
    foreign_revocation: bool
    """Revoked by somebody else than the owner: an opinion (RULES R5)."""
    touched: bool
    """The newest version says what the one before it said (RULES R9)."""
    withdrawn: tuple[str, ...]
    """Channels from which its peer took it (RULES R22)."""
    levels: tuple[str, ...]
    """Of the label under which it is judged; empty: none, so it is held."""
    axes: Mapping[str, str]
    """What else the label says: unnamed, encrypted, limited (empty each), since, until, confidence, kinds."""
    group: int | None
    """How many organisations a MISP sharing group confines it to."""
    basis: str
    """Code of where that label comes from."""
    confidence: Sequence[Claim]
    """Empty: unspecified."""
    valid_from: str
    valid_until: str
    expires: datetime | None
    """When it is the first time too old for some audience, as its terms say."""
    expired: str
    """Code under which it was last taken out of a listing as too old; empty: never."""
    repairs: tuple[str, ...]
    spelling: str
    """The value or pattern as it is stated."""
    notes: tuple[str, ...]
    """Codes of what was made of that spelling to compare it."""
    doubt: str
    """Code for which a person looks at it first; empty: nothing."""
    aliases: tuple[str, ...]
    """Foreign ids by which the source says that it is known."""
    event: str
    """UUID of the MISP event to which it belongs; empty: none."""
    name: str
    description: str
    about: Mapping[str, Sequence[str]]
    """What else it says that people sort by: indicator_types, labels, kill_chain_phases, external_references."""
    object: bytes
    raw: bytes | None
    """As received; None: not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Something else that shares a value, and is another fact."""

    stix_id: str
    type: str
    path: str
    value: str
    how: Literal["weak_hash", "seen", "bad", "benign", "part", "elsewhere"]
    """weak_hash: only MD5 or SHA-1 is shared; seen, bad, benign: what it says of the same value; part: one of several
    values; elsewhere: the same value at another place (an address as the end of a connection)."""
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighted:
    """What one source says was seen of it."""

    source: str
    by: tuple[str, ...]
    """Who saw it, as far as they are named; the first few."""
    sightings: int
    """Times, as the sightings count them."""
    observed: int
    """Times, as observed-data count them."""
    false_positives: int
    expirations: int
    first: str
    last: str
    """As the first and the last of them say it; empty: none says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """An opinion or a note about it."""

    stix_id: str
    type: str
    source: str
    version: str
    opinion: str
    authors: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relationship, or a container that holds it."""

    stix_id: str
    word: str
    """relationship_type; `holds` of a container."""
    outward: bool
    """From the fact to the other."""
    other: str
    title: str
    """By which a person knows the other; empty: we do not hold it."""
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """An object that operators linked with it, or that is one with it for certain."""

    stix_id: str
    title: str
    word: Word | None
    """The operator's; None: it is certain, or linked by way of another."""
    reason: Suggestion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it stands now, or stood last."""

    channel: str
    members: tuple[str, ...]
    stix_id: str
    since: datetime
    folded: bool
    expires: datetime | None
    until: datetime | None = None
    """When it was taken out there; None: it stands there."""
    code: str = ""
    """Reason code for which it was."""
    altered: bool = False
    """It stands there altered, under the id that its readers know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact, and everything that we know of it."""

    key: str
    """The fact key, or the id of what states no single fact."""
    type: str
    polarity: Literal["bad", "benign", "seen", "told"]
    """What is said of it: an indicator calls it bad or benign, an observable says it was seen; told: anything else."""
    text: str
    """The canonical value or pattern; of anything else its name."""
    opaque: str
    """Code of why it has no canonical form; empty: it has."""
    values: Sequence[tuple[str, str]]
    """(path, canonical value) by which it is found."""
    said: Sequence[Said]
    statements: int
    """How many statements of it we hold, with older versions."""
    near: Sequence[Near] = ()
    near_more: int = 0
    conflicts: Sequence[Mapping[str, Any]] = ()
    """Entries of the quarantine: the same id and version with other content."""
    sighted: Sequence[Sighted] = ()
    remarks: Sequence[Remark] = ()
    remarks_more: int = 0
    relations: Sequence[Relation] = ()
    relations_more: int = 0
    more: bool = False
    """More refers to it than was looked at."""
    tied: Sequence[Tied] = ()
    suggestions: Sequence[Suggestion] = ()
    reviews: Sequence[Mapping[str, Any]] = ()
    places: Sequence[Place] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of an event one source gave."""

    source: str
    creators: tuple[str, ...]
    """As whose event; more than one: two have used its uuid."""
    types: Mapping[str, int]
    levels: Mapping[str, int]
    """Label in words → how many are judged under it; `-`: held."""
    attributes: int
    revoked: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How much of an event stands in a channel."""

    channel: str
    count: int
    folded: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A MISP event, a report or a grouping, counted: its members are asked for by their own ids."""

    key: str
    title: str
    shares: Sequence[Share]
    stands: Sequence[Stand]
    members: Sequence[tuple[str, str]]
    """(id, what a person knows it by) of the first few."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The answer."""

    asked: str
    facts: Sequence[Fact] = ()
    others: Sequence[tuple[str, str, str]] = ()
    """(id, type, title) of what was found too and is not explained here; ask for it by its id."""
    others_more: int = 0
    events: Sequence[Event] = field(default_factory=tuple)
    host: str = ""
    """Nothing is held of a URL, or of a host with a port, but something of this host."""

    @property
    def found(self) -> bool:
        """Whether anything is held."""
        return bool(self.facts or self.events or self.others)
