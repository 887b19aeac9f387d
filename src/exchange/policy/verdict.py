"""What a decision is about, and what it says: the verdict, its reasons, and what is done before it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from exchange.model.marking import Label
from exchange.model.party import Agreement
from exchange.policy.expiry import ENDED, End
from exchange.policy.lifting import Approved
from exchange.policy.transform import Transform

BARRED, LABEL, RECEIVED, RETURNS, CHANNEL, GROUP = "barred", "label", "received", "returns", "channel", "group"
PAP, WIRE, DIALECT, HOME, REACH, NAMES = "pap", "wire", "dialect", "home", "reach", "names"
SENT, DOUBT, RELEASED = "sent", "doubt", "released"
"""The questions of a decision, in their order; our own house is released at `home`."""


class Verdict(StrEnum):
    """What happens to a statement for an audience."""

    RELEASE = "release"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a decision is about. Equal subjects get equal decisions, so they are decided once (RULES R35)."""

    peer: str
    """The peer that stated it."""
    type: str
    label: Label | None
    """Effective label; None: nothing says what it is worth (RULES R11)."""
    owner: str = ""
    """The peer whose object it is, whoever handed it on (RULES R5); empty: nobody's that we know."""
    posted: str = ""
    """The channel to which the peer itself wrote it; it may always read that back (RULES R3)."""
    barred: str = ""
    """A reason code found on the statement itself that forbids every release (a foreign revocation, say)."""
    withdrawn: frozenset[str] = frozenset()
    """The channels from which the peer has withdrawn it (RULES R22)."""
    copied: frozenset[str] = frozenset()
    """The peers that gave it under another id, by the word of the one who states it here (RULES R3)."""
    doubt: str = ""
    """A reason code for which a person looks at it before it goes to anybody else; empty: there is none."""
    parts: Label | None = None
    """`label` without what only parts of it are marked with; None: no part has marks of its own."""
    named: bool = False
    """It may tell of a producer that is neither we nor our house."""
    personal: bool = False
    """There may be personal information in it."""
    victim: bool = False
    """Another object of its source says that it is a victim's."""
    approved: Approved = frozenset()
    """What persons let go of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict, its reason codes, and for a release the agreement that permits it and until when."""

    verdict: Verdict
    reasons: tuple[str, ...]
    agreement: str = ""
    not_after: datetime | None = None
    """The instant at which the agreement, or a policy on it, ends; None: neither does (our own house)."""
    transform: Transform | None = None
    """What is done to it before it goes; None: it goes as it is."""

    @property
    def released(self) -> bool:
        """Whether the audience may have it."""
        return self.verdict is Verdict.RELEASE

    @property
    def lets_go(self) -> bool:
        """Whether the audience may have it, or may once its agreement is renewed (RULES R19)."""
        return self.released or self.reasons == ("agreement.ended",)


def unless_expired(decision: Decision, end: End | None, now: int) -> Decision:
    """`decision`, unless it lets go what is too old at `now` (µs since 1970), or may once its agreement is renewed.

    What its creator has ended is over; what has grown old may be seen again.
    """
    if not decision.lets_go or end is None or end.at > now:
        return decision
    return deny(end.code) if end.code == ENDED else hold(end.code)


FOREVER = datetime.max.replace(tzinfo=UTC)


def deny(*reasons: str) -> Decision:
    """Nothing lets it go, and nobody can."""
    return Decision(verdict=Verdict.DENY, reasons=reasons)


def hold(*reasons: str) -> Decision:
    """It does not go as things are."""
    return Decision(verdict=Verdict.HOLD, reasons=reasons)


def end_of(agreement: Agreement) -> datetime:
    """The first instant at which the agreement is no longer in force."""
    return datetime.combine(agreement.end + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
