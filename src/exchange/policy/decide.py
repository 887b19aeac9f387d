"""`decide`: may this audience have this statement, why, and under which agreement.

Every verdict carries reason codes that an operator can ask for (`exchange why`). No rule means hold; every default
is deny. There is no switch that skips it (RULES R30).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_values
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from msgspec.structs import replace

from exchange.model.benign.choice import NOTHING
from exchange.model.lights import Pap
from exchange.model.marking import Label, Reach, Tlp
from exchange.model.party import ANY_MARKING, Agreement, Receive, Terms
from exchange.model.sharing import plain_url
from exchange.policy.audience import Audience, audiences, target_channel
from exchange.policy.expiry import ENDED, End
from exchange.policy.gate import NO_PAP, PFC


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict, its reason codes, and for a release the agreement that permits it and until when."""

    verdict: Verdict
    reasons: tuple[str, ...]
    agreement: str = ""
    not_after: datetime | None = None
    """The instant at which the agreement ends; None: it does not end (our own house)."""

    @property
    def released(self) -> bool:
        """Whether the audience may have it."""
        return self.verdict is Verdict.RELEASE


def unless_expired(decision: Decision, end: End | None, now: int) -> Decision:
    """`decision`, unless it lets go what is too old at `now` (µs since 1970), or may once its agreement is renewed.

    What its creator has ended is over; what has grown old may be seen again.
    """
    lets_go = decision.released or decision.reasons == ("agreement.ended",)
    if not lets_go or end is None or end.at > now:
        return decision
    return _deny(end.code) if end.code == ENDED else _hold(end.code)


FOREVER = datetime.max.replace(tzinfo=UTC)


def _deny(*reasons: str) -> Decision:
    return Decision(verdict=Verdict.DENY, reasons=reasons)


def _hold(*reasons: str) -> Decision:
    return Decision(verdict=Verdict.HOLD, reasons=reasons)


def end_of(agreement: Agreement) -> datetime:
    """The first instant at which the agreement is no longer in force."""
    return datetime.combine(agreement.end + timedelta(days=1), datetime.min.time(), tzinfo=UTC)


_REMEMBERED = 100_000


class Rules:
    """The terms as they stand at one instant, ready to decide. Build a new one when terms or day change."""

    def __init__(self, terms: Terms, now: datetime) -> None:
        self.terms = terms
        self.now = now
        self._agreements = {agreement.id: agreement for agreement in terms.agreements}
        self._cache: dict[tuple[Subject, str], Decision] = {}

    @cached_property
    def audiences(self) -> tuple[Audience, ...]:
        """Every audience of these terms."""
        return audiences(self.terms)

    @cached_property
    def epoch(self) -> str:
        """Changes whenever a decision could: the terms, and which agreements have begun."""
        begun = sorted(a.id for a in self.terms.agreements if a.start <= self.now.date())
        # What is doubtful stands with each statement, and is looked at again in the background (`sync.doubts`).
        shape = repr((_canonical(with_values(self.terms, benign=NOTHING)), begun))
        return hashlib.sha256(shape.encode()).hexdigest()[:32]

    def _receiving(self, peer: str) -> list[Receive]:
        """What the agreements that have begun say of content from `peer`."""
        return [a.receive for a in self.terms.agreements if a.receive and peer in a.parties and _begun(a, self)]

    def receives(self, peer: str) -> bool:
        """Whether an agreement in force lets us take from `peer`; our own house needs none."""
        known = self.terms.peers.get(peer)
        return known is not None and (
            known.home
            or any(a.receive is not None and peer in a.parties and a.active(self.now) for a in self.terms.agreements)
        )

    def understood(self, peer: str, label: Label) -> Label:
        """`label` without the markings that the agreement with `peer` lists as informational (RULES R12)."""
        if not label.unknown and not label.iep:
            return label
        ignored = frozenset[str]().union(*(r.informational_markings for r in self._receiving(peer)))
        if ANY_MARKING in ignored:
            return replace(label, unknown=frozenset(), iep=frozenset())
        return replace(label, unknown=label.unknown - ignored, iep=label.iep - ignored)

    def clearance(self, audience: Audience) -> int:
        """The strictest that this audience may ever have, as the second gate reads it: a TLP level, and its flags."""
        ceilings = [a.send.ceiling for name in audience.agreements if (a := self._agreements[name]).send]
        highest = audience.ceiling if audience.home else min(audience.ceiling, max(ceilings, default=Tlp.CLEAR))
        return int(highest) | (PFC if self._listed(audience) else 0) | (0 if audience.pap else NO_PAP)

    def _listed(self, audience: Audience) -> bool:
        """Whether it may have what is for PFC's list: our own house, or an agreement that says so of its parties."""
        return audience.home or any((a := self._agreements[name]).send and a.send.pfc for name in audience.agreements)

    def _gives_pfc(self, peer: str) -> bool:
        """Whether an agreement says that `peer` is on PFC's list, so that its AMBRE is no stricter than AMBER."""
        return any(a.send is not None and a.send.pfc and peer in a.parties for a in self.terms.agreements)

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The uuid of each identity or organisation that a peer owns → that peer."""
        return {_bare(identity): peer.id for peer in self.terms.peers.values() for identity in peer.identities}

    def owner(self, creator: str) -> str:
        """The peer that owns the identity `creator` and so may version its objects (RULES R5); empty: nobody."""
        return self._owners.get(_bare(creator), "")

    def default_label(self, peer: str) -> Tlp | None:
        """What unmarked content of `peer` is worth by its agreement; the strictest of several.

        One that has ended still says what was given under it; nothing new is taken then (`receives`).
        """
        found = [
            a.receive.unmarked
            for a in self.terms.agreements
            if a.receive and peer in a.parties and _begun(a, self) and a.receive.unmarked is not None
        ]
        return max(found, default=None)

    def decide(self, subject: Subject, audience: Audience) -> Decision:
        """May `audience` have `subject`? Cached; uncached it reads no more than the terms."""
        key = (subject, audience.key)
        decision = self._cache.get(key)
        if decision is None:
            if len(self._cache) >= _REMEMBERED:
                self._cache.clear()  # markings are chosen by peers, so there is no end to them
            decision = self._cache[key] = self._doubted(subject, audience, self._decide(subject, audience))
        return decision

    def _doubted(self, subject: Subject, audience: Audience, decision: Decision) -> Decision:
        """What may go waits for a person while it is doubtful; our own house sees it (R4), and its giver reads it back.

        Asked last, so that what goes nowhere for another reason is told by that one.
        """
        if not subject.doubt or not decision.released or audience.home:
            return decision
        own = subject.posted == audience.channel and set(audience.members) == {subject.peer}
        return decision if own else _hold(subject.doubt)

    def _decide(self, subject: Subject, audience: Audience) -> Decision:
        barred = _barred(subject, audience)
        if barred:
            return _deny(barred)
        label = subject.label
        if label is None:
            return _hold("label.none")
        stopped = self._received(subject, label) or self._returns(subject, audience)
        if stopped:
            return stopped
        refused = self._kept_out(subject, label, audience) or self._grouped_out(label, audience)
        if refused:
            return _deny(refused)
        if not audience.pap and label.pap is not None and label.pap >= Pap.AMBER:
            return _hold("pap.not_carried")
        if audience.home:
            return Decision(verdict=Verdict.RELEASE, reasons=("release.home",))
        if label.reach > Reach.CONNECTED:
            return _deny("distribution.reach")
        return self._sent(subject, label, audience)

    def _received(self, subject: Subject, label: Label) -> Decision | None:
        """What the agreement with the one who gave it says: markings we may ignore, and what is kept for review."""
        peer = self.terms.peers.get(subject.peer)
        if peer is None:
            return _hold("peer.unknown")
        if label.draft:
            return _hold("misp.unpublished")
        receiving = [
            a.receive for a in self.terms.agreements if a.receive and subject.peer in a.parties and _begun(a, self)
        ]
        ignored = frozenset[str]().union(*(r.informational_markings for r in receiving)) if receiving else frozenset()
        if ANY_MARKING not in ignored and (label.unknown - ignored or label.iep - ignored):
            return _deny("marking.unknown" if label.unknown - ignored else "marking.iep")
        worth = label.level(listed=label.pfc is not None and self._gives_pfc(subject.peer))
        if worth is None:
            return _hold("label.none")
        if peer.home:
            return None
        receiving = self._receiving(subject.peer)
        if not receiving:
            return _hold("agreement.receive_none")
        if worth > max(r.ceiling for r in receiving):
            return _hold("receive.ceiling")
        return None

    def _returns(self, subject: Subject, audience: Audience) -> Decision | None:
        """Never back to the peer it came from (RULES R3); our own house reads what is addressed to it (R4)."""
        if audience.home and not audience.pushes:
            return None
        own = audience.single == subject.peer and subject.posted == audience.channel
        if audience.single and audience.single in (subject.peer, subject.owner, *subject.copied) and not own:
            return _deny("origin.returns")
        return None

    def _onward(self, subject: Subject, tlp: Tlp, audience: Audience) -> datetime | None:
        """Until when it may go further than us: TLP:AMBER and stricter only while the giver agrees to that.

        FOREVER for what needs no leave; None: no agreement of the giver lets it go.
        """
        if tlp < Tlp.AMBER or self.terms.peers[subject.peer].home or set(audience.members) == {subject.peer}:
            return FOREVER
        granting = [
            a
            for a in self.terms.agreements
            if a.send is not None and a.send.onward and subject.peer in a.parties and _begun(a, self)
        ]
        return max((end_of(a) for a in granting), default=None)

    def _sent(self, subject: Subject, label: Label, audience: Audience) -> Decision:
        """One active agreement that names every member must permit it (RULES R2)."""
        further = self._onward(subject, label.level(listed=True) or Tlp.CLEAR, audience)
        if further is None:
            return _deny("onward.forbidden")
        reasons = []
        permitting = []
        for name in sorted(audience.agreements):
            agreement = self._agreements[name]
            reason = self._withheld(agreement, subject, label)
            if reason:
                reasons.append(reason)
            else:
                permitting.append(agreement)
        if not permitting:
            if not reasons:
                return _hold("agreement.none")
            return (_hold if "pfc.list" in reasons else _deny)(*dict.fromkeys(reasons))
        best = max(permitting, key=lambda a: (a.end, a.id))
        until = min(end_of(best), further)
        verdict, reason = Verdict.RELEASE, "release.agreement"
        if until <= self.now:
            verdict, reason = Verdict.HOLD, "agreement.ended"
        return Decision(verdict=verdict, reasons=(reason,), agreement=best.id, not_after=until)

    def _withheld(self, agreement: Agreement, subject: Subject, label: Label) -> str:
        """Why this agreement does not permit it; empty: it does."""
        send = agreement.send
        if send is None or not _begun(agreement, self):
            return "agreement.not_begun"
        worth = label.level(listed=send.pfc)
        if worth is None or worth > send.ceiling:
            return "agreement.ceiling"
        if send.types is not None and subject.type not in send.types:
            return "agreement.type"
        return "pfc.list" if label.for_the_list and not send.pfc else ""

    def _kept_out(self, subject: Subject, label: Label, audience: Audience) -> str:
        """Why the channel itself does not hold it, whoever reads there; empty: it does."""
        if audience.types is not None and subject.type not in audience.types:
            return "collection.type"
        if audience.only_posted and subject.posted != audience.channel:
            return "collection.only_posted"
        worth = label.level(listed=label.pfc is not None and self._listed(audience))
        return "collection.ceiling" if worth is None or worth > audience.ceiling else ""

    def _grouped_out(self, label: Label, audience: Audience) -> str:
        """Why a sharing group does not let every member have it; empty: it does, or there is none."""
        if label.orgs is not None:
            members = (self._ours,) if audience.home else map(self._identities.__getitem__, audience.members)
            if any(label.orgs.isdisjoint(known) for known in members):
                return "sharing_group.orgs"
        if label.servers is not None and audience.pushes and not audience.home:
            (peer,) = audience.members
            urls = [t.url for t in self.terms.peers[peer].targets if target_channel(t.key) == audience.channel]
            if not any(plain_url(url) in label.servers for url in urls):
                return "sharing_group.server"
        return ""

    @cached_property
    def _identities(self) -> dict[str, frozenset[str]]:
        """Each peer's organisations, by uuid."""
        return {peer.id: frozenset(map(_bare, peer.identities)) for peer in self.terms.peers.values()}

    @cached_property
    def _ours(self) -> frozenset[str]:
        """The organisations that are our own house."""
        known = (self._identities[peer.id] for peer in self.terms.peers.values() if peer.home)
        return frozenset({_bare(self.terms.node_identity)}).union(*known)


def _bare(identity: str) -> str:
    """The uuid in an identity id, or a MISP organisation's, as it is compared."""
    return identity.removeprefix("identity--").lower()


def _barred(subject: Subject, audience: Audience) -> str:
    """Why it goes to nobody there, whatever it is worth; empty: it may."""
    if subject.barred:
        return subject.barred
    if audience.channel in subject.withdrawn:
        return "withdrawn.by_peer"
    return "" if audience.members else "audience.empty"


def _begun(agreement: Agreement, rules: Rules) -> bool:
    return agreement.start <= rules.now.date()


def _canonical(value: object) -> object:
    """`value` with its sets in order, so that the epoch is the same in every process."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _canonical(inner)) for name, inner in value.items()))
    if isinstance(value, frozenset):
        return tuple(sorted(map(str, value)))
    if isinstance(value, tuple | list):
        return tuple(_canonical(inner) for inner in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple((name, _canonical(getattr(value, name))) for name in value.__dataclass_fields__)
    return str(value)
