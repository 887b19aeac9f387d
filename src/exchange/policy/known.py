"""What the terms say of partners and agreements as a whole, whatever is decided by them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from exchange.model.benign.choice import NOTHING
from exchange.model.marking import Label, Tlp
from exchange.model.party import Agreement, Personal, Receive, Terms
from exchange.policy import alteration, clauses
from exchange.policy.audience import Audience, audiences
from exchange.policy.canonical import canonical


class Known:
    """The terms as they stand at one instant. Make a new one when terms or day change."""

    def __init__(self, terms: Terms, now: datetime) -> None:
        self.terms = terms
        self.now = now

    @cached_property
    def audiences(self) -> tuple[Audience, ...]:
        """Every audience of these terms."""
        return audiences(self.terms)

    @cached_property
    def epoch(self) -> str:
        """Changes whenever a decision could: the terms, and which agreements have begun."""
        begun = sorted(a.id for a in self.terms.agreements if a.start <= self.now.date())
        # What is doubtful stands with each statement, and is looked at again in the background (`sync.doubts`).
        shape = repr((canonical(replace(self.terms, benign=NOTHING)), begun))
        return hashlib.sha256(shape.encode()).hexdigest()[:32]

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The uuid of each identity or organisation that a peer owns → that peer."""
        return {_bare(identity): peer.id for peer in self.terms.peers.values() for identity in peer.identities}

    def owner(self, creator: str) -> str:
        """The peer that owns the identity `creator` and so may version its objects (RULES R5); empty: nobody."""
        return self._owners.get(_bare(creator), "")

    def _receiving(self, peer: str) -> list[Receive]:
        """What the agreements that have begun say of content from `peer`."""
        return [
            a.receive for a in self.terms.agreements if a.receive and peer in a.parties and a.start <= self.now.date()
        ]

    def receives(self, peer: str) -> bool:
        """Whether an agreement in force lets us take from `peer`; our own house needs none."""
        known = self.terms.peers.get(peer)
        return known is not None and (
            known.home
            or any(a.receive is not None and peer in a.parties and a.active(self.now) for a in self.terms.agreements)
        )

    def takes(self, peer: str, kind: str, label: Label) -> bool:
        """Whether we agreed to take this type from `peer`, and as sure as that: all that its level does not say."""
        known = self.terms.peers.get(peer)
        if known is None or known.home:
            return known is not None
        receiving = self._receiving(peer)
        return bool(receiving) and not clauses.not_taken(receiving, kind, label, Tlp.CLEAR)

    @cached_property
    def eyes(self) -> int:
        """How many persons let go what goes to everybody: as many as the most careful agreement asks for."""
        return max((a.send.approvals for a in self.terms.agreements if a.send is not None), default=1)

    def personal_of(self, agreement: Agreement) -> Personal:
        """What becomes of personal information under this agreement."""
        return alteration.personal(agreement, self.terms.peers)

    @cached_property
    def holds_personal(self) -> bool:
        """Whether an agreement keeps personal information for a person to look at."""
        return any(self.personal_of(a) == "hold" for a in self.terms.agreements if a.send is not None)

    @cached_property
    def alters(self) -> bool:
        """Whether an agreement hides producers or redacts, so that anything may have to be altered."""
        sending = [a.send for a in self.terms.agreements if a.send is not None]
        return any(send.redact for send in sending) or self.anonymous

    @cached_property
    def anonymous(self) -> bool:
        """Whether an agreement hides producers from its parties."""
        return any(a.send is not None and a.send.attribution == "anonymous" for a in self.terms.agreements)

    def names_others(self, creator: str, peer: str) -> bool:
        """Whether what `peer` states of this creator (empty: it names none) tells of a producer who is to be hidden
        from somebody: neither we nor our house. Where nobody is hidden it is not asked.
        """
        if not self.anonymous:
            return False
        giver = self.terms.peers.get(peer)
        return _bare(creator) not in self.ours if creator else giver is None or not giver.home

    def is_ours(self, creator: str) -> bool:
        """Whether this identity is our own house's."""
        return _bare(creator) in self.ours

    @cached_property
    def identities(self) -> dict[str, frozenset[str]]:
        """Each peer's organisations, by uuid."""
        return {peer.id: frozenset(map(_bare, peer.identities)) for peer in self.terms.peers.values()}

    @cached_property
    def ours(self) -> frozenset[str]:
        """The organisations that are our own house."""
        known = (self.identities[peer.id] for peer in self.terms.peers.values() if peer.home)
        return frozenset({_bare(self.terms.node_identity)}).union(*known)


def _bare(identity: str) -> str:
    """The uuid in an identity id, or a MISP organisation's, as it is compared."""
    return identity.removeprefix("identity--").lower()
