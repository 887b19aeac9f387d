"""From stored statements to what `policy.decide` judges: chains, owners, opinions and what bars a statement.

RULES R5: each source has its own chain of versions per id; the authoritative chain is that of the peer which owns the
creator, else (per audience, so that what it may not see decides nothing, R14) of the source that gave it the id first.
Other chains are opinions: never loosening, never revoking, never withdrawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exchange.model.marking import Label
from exchange.model.stix import CONTAINERS
from exchange.policy import Audience, Basis, Decision, Rules, Subject
from exchange.policy.audience import target_channel
from exchange.policy.verdict import deny
from exchange.store.removals import is_removed
from exchange.store.statements import Held
from exchange.store.widenings import is_ours, is_over
from exchange.store.withdrawals import is_deleted, is_notice, is_returned

TOLERANCE = timedelta(minutes=5)
"""How far `modified` may be ahead of our clock."""
FOREIGN = "version.foreign_revocation"
OWNER, GUEST, OPINION = 1, 0, -1
"""Ranks: the authoritative chain; a chain beside it where nobody owns the creator; a chain beside its owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A statement with what is decided about it."""

    held: Held
    subject: Subject
    owned: bool
    """A peer that owns the creator has stated this id."""
    theirs: bool
    """This statement is the owner's."""
    above: Subject | None = None
    """What the owner's newest version is judged as: an opinion goes no further than that (R5)."""
    before: tuple[Subject, ...] = ()
    """What the words of those are judged as who own the creator that they name, where this one names another or none:
    to whoever may see them, this is an opinion."""

    def is_beside(self, rules: Rules, audience: Audience) -> bool:
        """Whether it stands there beside the words of an owner, whomever it names as creator itself (R5, R14); the
        owner knows its own.
        """
        return any(each.peer == audience.single or rules.decide(each, audience).lets_go for each in self.before)

    def revokes_for_another(self, rules: Rules, audience: Audience) -> bool:
        """Whether it revokes what to `audience` is somebody else's, which nobody but its creator may (R5, R7)."""
        return self.held.revoked and self.is_beside(rules, audience)

    def decide(self, rules: Rules, audience: Audience) -> Decision:
        """May `audience` have it? Its own terms and, for an opinion, the owner's must both allow it."""
        if self.revokes_for_another(rules, audience):
            return deny(FOREIGN)
        decision = rules.decide(self.subject, audience)
        if self.above is None or not decision.released or set(audience.members) == {self.above.peer}:
            return decision
        owners = rules.decide(self.above, audience)
        return decision if owners.released else owners

    @property
    def rank(self) -> int:
        """Its rank as far as ownership tells; among guests the first that an audience sees stands in front."""
        if self.owned:
            return OWNER if self.theirs else OPINION
        return GUEST


def creator(held: Held) -> str:
    """Whose object it is by its own words: an identity is its own."""
    return held.stix_id if held.type == "identity" else held.creator


def recalling(rules: Rules) -> frozenset[str]:
    """The channels whose holders are told what they may no longer have, and under which label they have the rest."""
    targets = (target for peer in rules.terms.peers.values() for target in peer.targets)
    return frozenset(target_channel(target.key) for target in targets if target.kind == "misp")


def deleting(rules: Rules) -> frozenset[str]:
    """The channels in which what was sent is deleted when it may no longer be there."""
    targets = (target for peer in rules.terms.peers.values() for target in peer.targets)
    return recalling(rules) | {target_channel(target.key) for target in targets if target.delete}


def horizon_at(now: datetime) -> str:
    """The newest version that is not from the future (RULES R5)."""
    return (now + TOLERANCE).strftime("%Y-%m-%dT%H:%M:%S.%f")


def ahead(held: Held, now: datetime) -> bool:
    """Whether the version lies more than five minutes in the future (RULES R5)."""
    return held.version > horizon_at(now)


def _barred(held: Held, revocation: Held | None, *, opinion: bool) -> str:
    if is_notice(held):
        return "recall.notice"
    # Another server of our house may hand back what we widened, which is a statement of our house too.
    if is_returned(held) and not is_ours(held.source):
        return "lineage.returned"
    if is_removed(held):
        return "withdrawn.operator"
    if is_over(held):
        return "widening.over"
    if is_deleted(held):
        return "withdrawn.at_source"
    if held.touch:
        return "version.touch"
    if held.revoked and opinion:
        return FOREIGN
    if revocation is not None and not held.revoked and held.version > revocation.version:
        return "version.after_revocation"
    return ""


def _governed(label: Label | None, by: Held | None) -> Label | None:
    """`label`, no looser than that of the version which governs it (RULES R8); one still waiting governs nothing."""
    if by is None or by.waiting:
        return label
    return None if label is None or by.label is None else label.join(by.label)


def _parts(rules: Rules, held: Held, *by: Held | None) -> Label | None:
    """What it is worth without the marks of its parts; None: they decide over the whole.

    Only of what states its own marks, and is no container, whose members decide too (RULES R13).
    """
    if held.parts is None or held.basis != Basis.STATED or held.type in CONTAINERS:
        return None
    label = rules.understood(held.peer, held.parts)
    if not label.stated:  # what is left of it would be unmarked, and no other version of it lends it a mark
        return None
    for each in by:
        if each is not None and not each.waiting:
            other = each.label if each.parts is None else rules.understood(each.peer, each.parts)
            if other is None or not other.stated:
                return None
            label = label.join(other)
    return label


def _doubt_of(newest: Held | None) -> str:
    """The doubt about the newest version of a source's chain, which governs the older ones (RULES R8)."""
    return "" if newest is None else newest.doubt


def _owners(above: Held, label: Label | None) -> Subject:
    """What the owner's word for it is judged as, for whoever has another one."""
    barred = "withdrawn.operator" if is_removed(above) else "withdrawn.at_source" if is_deleted(above) else ""
    label = _governed(label, above)
    return Subject(peer=above.peer, type=above.type, label=label, barred=barred, approved=above.approved)


def judged(rules: Rules, group: Sequence[Held], now: datetime) -> list[Judged]:
    """Every statement about one id, in order of arrival, each with the subject to decide."""
    horizon = horizon_at(now)
    current = [held for held in group if held.version <= horizon]
    newest = {held.source: held for held in sorted(current, key=lambda held: held.version)}
    revoked = sorted((held for held in current if held.revoked), key=lambda held: held.version, reverse=True)
    revocations = {held.source: held for held in revoked}  # the first one of each source ends its chain
    owners = {owner for held in group if (owner := rules.owner(creator(held)))}
    spoken = {held.peer: held for held in sorted(current, key=lambda held: held.version) if held.peer in owners}
    found = []
    for held in group:
        owner = rules.owner(creator(held))
        owned, theirs = owner in spoken, held.peer == owner
        label = None if held.waiting or held.version > horizon else held.label
        latest = newest.get(held.source)
        label = _governed(label, latest)
        above = spoken[owner] if owned and not theirs else None
        label = _governed(label, above)
        subject = Subject(
            peer=held.peer,
            type=held.type,
            label=label,
            owner=owner,
            posted=held.posted,
            barred=_barred(held, revocations.get(held.source), opinion=above is not None),
            withdrawn=held.withdrawn,
            copied=held.copied | (latest.copied if latest is not None else frozenset()),
            doubt=held.doubt or _doubt_of(newest.get(held.source)),
            parts=None if held.parts is None or label is None else _parts(rules, held, latest, above),
            named=rules.names_others(creator(held), held.peer),
            personal=held.personal,
            victim=held.victim,
            approved=held.approved if latest is None else latest.approved,
        )
        over = None if above is None else _owners(above, label)
        found.append(Judged(held=held, subject=subject, owned=owned, theirs=theirs, above=over))
    return _beside(found) if len({held.peer for held in group}) > 1 else found


def _beside(found: list[Judged]) -> list[Judged]:
    """The same, each with the words of owners beside which it stands though it names another creator, or none: who
    leaves a name out or writes its own in is not made an owner by it (RULES R5). Of several owners the first leads.
    """
    owners: dict[str, dict[Subject, None]] = {}
    for item in found:
        if item.theirs:
            owners.setdefault(item.held.peer, {})[item.subject] = None
    ranked, made = list(owners), []
    for item in found:
        peer = item.held.peer
        leading = ranked[: ranked.index(peer)] if item.theirs else [each for each in ranked if each != peer]
        before = tuple(subject for each in leading for subject in owners[each])
        made.append(replace(item, before=before) if before and item.above is None else item)
    return made
