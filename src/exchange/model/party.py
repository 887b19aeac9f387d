"""With whom we exchange and under which terms: peers, sources, targets, collections, agreements, accounts.

These are the values that the configuration produces and the rooms are given; no room reads a settings file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from exchange.model import personal
from exchange.model.benign.choice import NOTHING, Choice
from exchange.model.dialect import Dialect
from exchange.model.hosts import is_loopback
from exchange.model.marking import Tlp

SourceKind = Literal["taxii", "misp", "misp-feed", "file"]
TargetKind = Literal["taxii", "misp"]
TaxiiVersion = Literal["2.1", "2.0"]
Duplicates = Literal["list", "fold"]
Attribution = Literal["named", "anonymous"]
Granular = Literal["join", "remove"]
Personal = Literal["allowed", "strip", "hold"]
QUEBEC = "CA-QC"
"""The jurisdiction within which personal information goes by Québec's own law (A-2.1, art. 70.1)."""
ANY_MARKING = "*"
ANY_TEXT = "statement"
"""In the place of a marking: every one that is mere text."""
ANYBODY = "*"


_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time of the week, UTC, in which a peer is left alone: on `days` (0: Monday) from `begin` to `end`.

    Minutes of the day; where `end` is not behind `begin`, it is the next day's.
    """

    days: frozenset[int]
    begin: int
    end: int

    def ends(self, now: datetime) -> datetime | None:
        """When the window in which `now` lies is over; None: it lies in none."""
        length = (self.end - self.begin) % _MINUTES or _MINUTES
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in (midnight - timedelta(days=1), midnight):
            begin = day + timedelta(minutes=self.begin)
            end = begin + timedelta(minutes=length)
            if day.weekday() in self.days and begin <= now < end:
                return end
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One feed of a peer: a TAXII collection, a MISP instance, a MISP feed, or files handed to `exchange import`."""

    peer: str
    id: str
    kind: SourceKind
    url: str = ""
    """TAXII: an API root, a discovery resource, a server, or `srv:DOMAIN`."""
    collection: str = ""
    version: TaxiiVersion = "2.1"
    """Of TAXII."""
    every: float = 900.0
    """Seconds between two pulls."""
    fastest: float | None = None
    """Polled more often, down to this many seconds, while it brings something; None: never more often than `every`."""
    slowest: float | None = None
    """Polled less often, up to this, while it brings nothing; None: never less often than `every`."""
    cron: str = ""
    """Instead of `every`: minute, hour, day of the month, month, day of the week, UTC."""
    since: datetime | None = None
    max_day: int | None = None
    """Ceiling of new objects a day (RULES R32); None: no ceiling."""
    max_day_size: int | None = None
    """The same in bytes."""
    orgs: frozenset[str] = frozenset()
    """MISP: lower-case uuids of the creator organisations accepted from this source; ANYBODY; empty: none."""
    internal: bool = False
    """The peer has the role `home` (RULES R4)."""
    enabled: bool = True

    @property
    def key(self) -> str:
        """`peer/source`, the name that operators type and the store keeps."""
        return f"{self.peer}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where we hand objects over: a TAXII collection of the peer's that we may write, or its MISP instance."""

    peer: str
    id: str
    kind: TargetKind
    url: str
    collection: str = ""
    """Of TAXII."""
    publish: bool = True
    """MISP: whether the peer's instance publishes what we hand over (mails, its own push), or a person there does."""
    private: bool = False
    """MISP: whether nobody but the peer's own organisation has accounts there."""
    delete: bool = False
    """TAXII: whether what it accepted from us and may no longer have is deleted there; others may read it there too."""
    enabled: bool = True

    @property
    def in_clear(self) -> bool:
        """Whether others can read along: plain HTTP to another machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")

    @property
    def key(self) -> str:
        """`peer/target`."""
        return f"{self.peer}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Secrets by name (`credential:NAME`, `file:/PATH`, `env:NAME`), not their values; user names are plain."""

    user: str = ""
    password: str = ""
    token: str = ""
    key: str = ""
    client_cert: str = ""
    client_key: str = ""
    proxy_user: str = ""
    proxy_password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Resolved secrets of one peer, held only by the process that uses them (RULES R29)."""

    user: str = ""
    password: str = ""
    token: str = ""
    key: str = ""
    client_cert: str = ""
    """Path of a PEM file."""
    client_key: str = ""
    """Path of a PEM file."""
    ca: str = ""
    """Path of a PEM file; empty: the system's authorities."""
    proxy_user: str = ""
    proxy_password: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether the peer is not told who we are, so that there is nothing to give away."""
        return not (self.user or self.password or self.token or self.key or self.client_cert)

    def __repr__(self) -> str:
        return "Credentials(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A partner. Its id is the name of its configuration file."""

    id: str
    name: str
    contact: str = ""
    home: bool = False
    """Inside our own organisation (RULES R4)."""
    identities: frozenset[str] = frozenset()
    """Identity ids and MISP organisation uuids whose objects this peer may version (RULES R5)."""
    sources: tuple[Source, ...] = ()
    targets: tuple[Target, ...] = ()
    auth: Auth = Auth()
    ca: str = ""
    origins: frozenset[str] = frozenset()
    """Where our credentials may go, besides the servers that the sources and targets name (RULES R29)."""
    proxy: str = ""
    """`http://HOST:PORT` through which this peer is reached; empty: directly."""
    closed: tuple[Window, ...] = ()
    """When it is left alone: its maintenance, or ours."""
    requests_per_minute: int | None = None
    """How often it may be asked, by all our daemons together; None: as often as there is work."""
    at_once: int = 4
    """How many of its sources and targets are worked on at a time."""
    pap: bool = True
    """Whether it passes on with an object what PAP says of it."""
    dialect: Dialect = ""
    """In which ids of TLP it reads STIX; empty: as it came."""
    quality: int | None = None
    """How good what it gives is, 0 to 100; None: nobody has said. Objects of a good source grow old later."""
    jurisdiction: str = ""
    """Under whose law it stands: a country, or a subdivision of one, of ISO 3166; empty: nobody has said."""

    def closed_until(self, now: datetime) -> datetime | None:
        """When it may be asked again; None: now."""
        return max((end for window in self.closed if (end := window.ends(now))), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What subscribers read and write over TAXII, and read as a MISP feed."""

    id: str
    alias: str
    """The name of its configuration file; operators type it, and URLs may hold it in the id's place."""
    title: Mapping[str, str]
    """Language → text."""
    description: Mapping[str, str]
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    ceiling: Tlp
    types: frozenset[str] | None = None
    """STIX types listed; None: all."""
    duplicates: Duplicates = "list"
    read_back: bool = True
    """Whether those who may only write read what stands there (RULES R3); False: they only hand in."""
    only_posted: bool = False
    """Whether it holds nothing but what its writers post to it: a room of a working group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """What we take from the parties. `unmarked` None: unmarked content is held."""

    ceiling: Tlp
    unmarked: Tlp | None = None
    informational_markings: frozenset[str] = frozenset()
    types: frozenset[str] | None = None
    """STIX types; others are held. None: all."""
    confidence: int | None = None
    """What says a lower one, 0 to 100, is held; None: whatever is said."""
    unrated: bool = False
    """Whether what says no confidence passes that bar too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """What the parties may have. `onward`: may what *they* gave us go further, beyond what its label says?

    `pfc`: the parties belong to those for whom PFC:VERT is, and read PFC.
    """

    ceiling: Tlp
    types: frozenset[str] | None = None
    onward: bool = False
    pfc: bool = False
    confidence: int | None = None
    """What says a lower one, 0 to 100, does not go; None: whatever is said."""
    unrated: bool = False
    """Whether what says no confidence passes that bar too."""
    encrypted: bool = True
    """Whether it goes only where nobody can read along."""
    attribution: Attribution = "named"
    """Whether they learn whose an object is; `anonymous`: a pseudonym stands in the creator's place."""
    redact: frozenset[str] = frozenset()
    """STIX properties that they do not get."""
    granular: Granular = "join"
    """Of parts with marks of their own: they decide over the whole, or those that are not for them are removed."""
    personal: Personal | None = None
    """What becomes of personal information; None: allowed where all parties are our own house or in Québec, else
    stripped."""
    misp: frozenset[str] = frozenset()
    """What MISP may call what goes, as the words of `Label.kinds`: types, categories, templates. Of which of the three
    nothing is listed, any goes."""
    no_misp: frozenset[str] = frozenset()
    """The same words of what does not go."""
    approvals: int = 1
    """How many persons let go what is held for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Who may get what, why, until when (RULES R2). Its id is the name of its configuration file."""

    id: str
    title: str
    parties: tuple[str, ...]
    start: date
    end: date
    """The last day on which it is in force."""
    purpose: str
    legal_basis: str = ""
    """By what right, in words for the register of communications; empty: not stated."""
    receive: Receive | None = None
    send: Send | None = None

    def active(self, now: datetime) -> bool:
        """Whether it is in force at `now` (days are those of UTC, both ends included)."""
        return self.start <= now.date() <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When an object is too old to be listed. Times are seconds; of several that fit an object the first holds."""

    types: frozenset[str]
    kinds: frozenset[str] | None = None
    """Of indicators: the types of observable that the whole pattern is about, or its language; None: whatever."""
    peers: frozenset[str] | None = None
    """Who stated it; None: whoever."""
    valid_until: bool = True
    """Whether the creator's own `valid_until` ends it."""
    half_life: float | None = None
    """After which its score is half; None: it does not age."""
    threshold: int = 30
    """The score, 0 to 100, below which it expires."""
    sightings: bool = True
    """Whether a sighting makes it as new."""
    false_positive: float | None = None
    """By how much sooner it expires for each peer that has reported a false positive; None: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything that decides who may have what: the values of which the policy is made."""

    peers: Mapping[str, Peer]
    collections: Mapping[str, Collection]
    """By id."""
    agreements: tuple[Agreement, ...]
    node_identity: str
    expiry: tuple[Expiry, ...] = ()
    """Empty: nothing expires."""
    benign: Choice = NOTHING
    """The warninglists by which a person looks at a value first; what it finds stands with each statement."""
    acts_for_mcn: bool = False
    """This node acts for the ministry, whose right it is under PFC to widen what it makes anonymous."""
    personal: personal.Choice = personal.USUAL
    """What is internal, and what is never personal, whatever clause asks for personal information to be taken out."""
