"""`decide`: may this audience have this statement, why, and under which agreement.

Every verdict carries reason codes that an operator can ask for (`exchange why`). No rule means hold; every default
is deny. There is no switch that skips it (RULES R30).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from exchange.model.dialect import says
from exchange.model.lights import Pap
from exchange.model.marking import Label, Reach, Tlp
from exchange.model.party import ANY_MARKING, Agreement, Terms
from exchange.model.sharing import plain_url
from exchange.policy import alteration, clauses
from exchange.policy.audience import Audience, target_channel
from exchange.policy.gate import NO_PAP, PFC
from exchange.policy.known import Known
from exchange.policy.lifting import CEILING, PERSONAL, lifted, may_be_let_in
from exchange.policy.transform import Transform
from exchange.policy.verdict import (
    BARRED,
    CHANNEL,
    DIALECT,
    DOUBT,
    FOREVER,
    GROUP,
    HOME,
    LABEL,
    NAMES,
    PAP,
    REACH,
    RECEIVED,
    RELEASED,
    RETURNS,
    SENT,
    WIRE,
    Decision,
    Subject,
    Verdict,
    deny,
    end_of,
    hold,
)  # fmt: skip

_REMEMBERED = 100_000
_HELD = frozenset({"pfc.list", "personal.review", "attribution.must_not"})
"""Why an agreement does not let it go now, though nothing says that it never may."""


class Rules(Known):
    """The terms as they stand at one instant, ready to decide. Build a new one when terms or day change."""

    def __init__(self, terms: Terms, now: datetime) -> None:
        super().__init__(terms, now)
        self._agreements = {agreement.id: agreement for agreement in terms.agreements}
        self._cache: dict[tuple[Subject, str], Decision] = {}

    def understood(self, peer: str, label: Label) -> Label:
        """`label` without the markings that the agreement with `peer` lists as informational (RULES R12)."""
        if not label.unknown and not label.iep:
            return label
        ignored = clauses.informational(self._receiving(peer), label)
        if ANY_MARKING in ignored:
            return replace(label, unknown=frozenset(), texts=frozenset(), iep=frozenset())
        rest = label.unknown - ignored
        return replace(label, unknown=rest, texts=label.texts & rest, iep=label.iep - ignored)

    def ignored(self, peer: str) -> frozenset[str]:
        """The markings that the agreements with `peer` which have begun list as informational (RULES R12)."""
        return frozenset[str]().union(*(r.informational_markings for r in self._receiving(peer)))

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
            found = (each for _, each in self.steps(subject, audience) if each is not None)
            decision = self._cache[key] = next(found)  # the last step always decides
        return decision

    def steps(self, subject: Subject, audience: Audience) -> Iterator[tuple[str, Decision | None]]:
        """Every question in its order, each with what it decides; None: the next is asked. The first to decide is last.

        `decide` and `trace` walk these same steps, so what is told of a decision is what was decided.
        """
        barred = _barred(subject, audience)
        yield BARRED, deny(barred) if barred else None
        label, cut = self.reading(subject, audience)
        if label is None:
            yield LABEL, hold("label.none")
            return
        yield LABEL, None
        yield from self._judging(subject, label, audience, cut=cut)

    def reading(self, subject: Subject, audience: Audience) -> tuple[Label | None, bool]:
        """The label under which it is judged, and whether that is the label of what is left without some of its parts:
        where the whole may not go and the rest may, it is the rest that is told of.
        """
        label = subject.label
        if label is None or subject.parts is None or audience.home or _barred(subject, audience):
            return label, False
        whole = self._verdict(subject, label, audience, cut=False)
        if whole.released:
            return label, False
        rest = self._verdict(subject, subject.parts, audience, cut=True)
        # What went without some of its parts rests as such when its agreement ends.
        return (subject.parts, True) if rest.released or (rest.lets_go and not whole.lets_go) else (label, False)

    def _verdict(self, subject: Subject, label: Label, audience: Audience, *, cut: bool) -> Decision:
        return next(each for _, each in self._judging(subject, label, audience, cut=cut) if each is not None)

    def _judging(
        self, subject: Subject, label: Label, audience: Audience, *, cut: bool
    ) -> Iterator[tuple[str, Decision | None]]:
        """The questions about an object of this label; `cut`: only under an agreement that has parts of it removed."""
        yield RECEIVED, self._taken(subject, label, audience)
        yield RETURNS, self._returns(subject, audience)
        refused = self._kept_out(subject, label, audience)
        yield CHANNEL, deny(refused) if refused else None
        refused = self._grouped_out(label, audience)
        yield GROUP, deny(refused) if refused else None
        lost = not audience.pap and (label.limited or (label.pap is not None and label.pap >= Pap.AMBER))
        yield PAP, hold("pap.not_carried") if lost else None
        yield WIRE, deny("channel.in_clear") if label.encrypted and audience.in_clear else None
        yield DIALECT, _unsaid(label, audience)
        if audience.home:
            yield HOME, Decision(verdict=Verdict.RELEASE, reasons=("release.home",), not_after=label.until)
            return
        yield REACH, deny("distribution.reach") if label.reach > Reach.CONNECTED else None
        # Where an agreement hides producers, each agreement is asked whether it does.
        yield NAMES, hold("attribution.must_not") if label.unnamed and not self.anonymous else None
        sent = self._sent(subject, label, audience, cut=cut)
        yield SENT, None if sent.released else sent
        yield DOUBT, self._doubted(subject, audience)
        yield RELEASED, sent

    def _doubted(self, subject: Subject, audience: Audience) -> Decision | None:
        """What may go waits for a person while it is doubtful; our own house sees it (R4), and its giver reads it back.

        Asked last, so that what goes nowhere for another reason is told by that one.
        """
        if not subject.doubt or _reads_back(subject, audience) or self._lifted(subject, subject.doubt, audience):
            return None
        return hold(subject.doubt)

    def _lifted(self, subject: Subject, code: str, audience: Audience) -> bool:
        """Whether as many persons let it go as every agreement of the audience asks for."""
        if not subject.approved:
            return False
        sends = (self._agreements[name].send for name in audience.agreements)
        asked = max((send.approvals for send in sends if send), default=1)
        return lifted(subject.approved, code, audience, asked)

    def above_reception(self, peer: str, label: Label) -> bool:
        """Whether what `peer` gives under `label` is held for being stricter than we agreed to take."""
        stopped = self._received(Subject(peer=peer, type="", label=label), label)
        return stopped is not None and stopped.reasons == (CEILING,) and may_be_let_in(label)

    def _taken(self, subject: Subject, label: Label, audience: Audience) -> Decision | None:
        """What stops it for how it was given, unless persons let that go."""
        stopped = self._received(subject, label)
        if stopped and stopped.reasons == (CEILING,) and may_be_let_in(subject.label or label):
            # Only the ceiling is lifted: what else is agreed of what we take holds on.
            return self._received(subject, label, above=True) if self._lifted(subject, CEILING, audience) else stopped
        return stopped

    def _received(self, subject: Subject, label: Label, *, above: bool = False) -> Decision | None:
        """What the agreement with the one who gave it says, `above`: whatever its ceiling."""
        peer = self.terms.peers.get(subject.peer)
        if peer is None:
            return hold("peer.unknown")
        if label.draft:
            return hold("misp.unpublished")
        receiving = self._receiving(subject.peer)
        ignored = clauses.informational(receiving, label)
        if ANY_MARKING not in ignored and (label.unknown - ignored or label.iep - ignored):
            return deny("marking.unknown" if label.unknown - ignored else "marking.iep")
        if clauses.outside(label, self.now):
            return deny("marking.iep_period")
        if label.level(listed=True) is None:
            return hold("label.none")
        # What we take from them is all of it, whatever is removed before it goes on.
        whole = subject.label or label
        worth = whole.level(listed=whole.pfc is not None and self._gives_pfc(subject.peer))
        if worth is None:
            return hold("label.none")
        if peer.home:
            return None
        if not receiving:
            return hold("agreement.receive_none")
        refused = clauses.not_taken(receiving, subject.type, label, Tlp.CLEAR if above else worth)
        return hold(*refused) if refused else None

    def _returns(self, subject: Subject, audience: Audience) -> Decision | None:
        """Never back to the peer it came from (RULES R3); our own house reads what is addressed to it (R4)."""
        if audience.home and not audience.pushes:
            return None
        own = audience.single == subject.peer and subject.posted == audience.channel
        if audience.single and audience.single in (subject.peer, subject.owner, *subject.copied) and not own:
            return deny("origin.returns")
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

    def _sent(self, subject: Subject, label: Label, audience: Audience, *, cut: bool) -> Decision:
        """One active agreement that names every member must permit it (RULES R2)."""
        # Of what stays in it some parts may be stricter than the rest: they go onward too.
        further = self._onward(subject, Tlp.AMBER if cut else label.level(listed=True) or Tlp.CLEAR, audience)
        onward = further is not None
        if cut and not onward:
            further = self._onward(subject, label.level(listed=True) or Tlp.CLEAR, audience)
        if further is None:
            return deny("onward.forbidden")
        considered = self.considered(subject, label, audience, cut=cut)
        reasons = [reason for _, reason in considered if reason]
        permitting = [
            (agreement, self._transform(agreement, subject, audience, cut=cut, onward=onward))
            for agreement, reason in considered
            if not reason
        ]
        if not permitting:
            if not reasons:
                return hold("agreement.none")
            return (hold if not _HELD.isdisjoint(reasons) else deny)(*dict.fromkeys(reasons))
        # What goes as it is goes under the agreement that lets it, while that lasts.
        lasting = [(a, t) for a, t in permitting if end_of(a) > self.now] or permitting
        best, transform = max(lasting, key=lambda found: (found[1] is None, found[0].end, found[0].id))
        until = min(end_of(best), further, label.until or FOREVER)
        verdict, reason = Verdict.RELEASE, "release.agreement"
        if until <= self.now:
            verdict, reason = Verdict.HOLD, "agreement.ended"
        more = transform.codes if transform is not None and verdict is Verdict.RELEASE else ()
        return Decision(
            verdict=verdict, reasons=(reason, *more), agreement=best.id, not_after=until, transform=transform
        )

    def considered(
        self, subject: Subject, label: Label, audience: Audience, *, cut: bool = False
    ) -> list[tuple[Agreement, str]]:
        """Each agreement that names every member, with the code of the clause that stops it; empty: none does.

        `cut`: without some of its parts, `label` being that of the rest.
        """
        named = (self._agreements[name] for name in sorted(audience.agreements))
        return [(agreement, self._withheld(agreement, subject, label, audience, cut=cut)) for agreement in named]

    def _transform(
        self, agreement: Agreement, subject: Subject, audience: Audience, *, cut: bool, onward: bool
    ) -> Transform | None:
        """What this agreement wants done to it before it goes; to whom reads back what they wrote, nothing (R3)."""
        if _reads_back(subject, audience):
            return None
        return alteration.transform(
            agreement,
            audience,
            named=subject.named,
            personal=self.personal_of(agreement) if subject.personal else "allowed",
            victim=subject.victim,
            cut=alteration.limit(agreement, audience, listed=self._listed(audience)),
            cuts=cut,
            onward=onward,
        )

    def hides(self, audience: Audience, agreement: str, creator: str, peer: str) -> bool:
        """Whether what `peer` states of this creator may show nothing of its event to this audience: the agreement
        under which it is listed (empty: it is our own house's) hides its producer, or is none that we know.

        Who alone reads what it wrote reads it as it wrote it (RULES R3).
        """
        if not agreement or audience.single == peer or not self.names_others(creator, peer):
            return False
        known = self._agreements.get(agreement)
        return known is None or (known.send is not None and known.send.attribution == "anonymous")

    def _withheld(self, agreement: Agreement, subject: Subject, label: Label, audience: Audience, *, cut: bool) -> str:
        """Why this agreement does not permit it; empty: it does. `cut`: without some of its parts."""
        send = agreement.send
        if send is None or not _begun(agreement, self):
            return "agreement.not_begun"
        if cut and send.granular != "remove":
            return "agreement.ceiling"
        worth = label.level(listed=send.pfc)
        if worth is None or worth > send.ceiling:
            return "agreement.ceiling"
        if unfit := clauses.unfit(send, subject.type, label):
            return unfit
        if not clauses.told(label, send.types):
            return "marking.not_carried"
        if send.encrypted and audience.in_clear:
            return "agreement.in_clear"
        if low := clauses.too_unsure(send, subject.type, label):
            return low
        if label.unnamed and subject.named and send.attribution != "anonymous":
            return "attribution.must_not"
        if subject.personal and self.personal_of(agreement) == "hold" and not self._lifted(subject, PERSONAL, audience):
            return PERSONAL
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
            members = (self.ours,) if audience.home else map(self.identities.__getitem__, audience.members)
            if any(label.orgs.isdisjoint(known) for known in members):
                return "sharing_group.orgs"
        if label.servers is not None and audience.pushes and not audience.home:
            (peer,) = audience.members
            urls = [t.url for t in self.terms.peers[peer].targets if target_channel(t.key) == audience.channel]
            if not any(plain_url(url) in label.servers for url in urls):
                return "sharing_group.server"
        return ""


def _barred(subject: Subject, audience: Audience) -> str:
    """Why it goes to nobody there, whatever it is worth; empty: it may."""
    if subject.barred:
        return subject.barred
    if audience.channel in subject.withdrawn:
        return "withdrawn.by_peer"
    return "" if audience.members else "audience.empty"


def _reads_back(subject: Subject, audience: Audience) -> bool:
    """Whether its giver wrote it here, and alone reads here (RULES R3)."""
    return subject.posted == audience.channel and set(audience.members) == {subject.peer}


def _unsaid(label: Label, audience: Audience) -> Decision | None:
    """What cannot be said to the members in the words that they read."""
    if not says(audience.dialect, label.tlp):
        return hold("dialect.no_level")
    return None if clauses.told(label, audience.types) or audience.home else hold("marking.not_carried")


def _begun(agreement: Agreement, rules: Rules) -> bool:
    return agreement.start <= rules.now.date()
