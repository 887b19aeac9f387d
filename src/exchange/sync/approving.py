"""What is held for a person, and what persons let go: one version as one source said it, for one reason (RULES R21).

An approval lifts the ceiling of what we agreed to take, below TLP:RED, a doubt, and what is held for personal
information; no ceiling of what is sent, no mark
that we do not understand, nothing that is denied. It is for one version: the next asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from exchange.model.marking import Label
from exchange.policy import Audience, Rules
from exchange.policy.lifting import CEILING, CONFIRMED, PERSONAL
from exchange.store import Store, approvals, reviews, statements, widenings
from exchange.store.approvals import Word
from exchange.store.clock import micros
from exchange.store.statements import Held
from exchange.sync.accept import require
from exchange.sync.listing import Lister
from exchange.sync.subjects import Judged, judged
from exchange.sync.widened import NEWER

_STEP = 200
"""Statements looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One version that a person may let go."""

    held: Held
    code: str
    readers: tuple[str, ...]
    """The peers to whom it would go, or would go otherwise than now: not those who have it without an approval."""
    asked: int
    """How many persons the most careful of their agreements asks for."""
    words: tuple[Mapping[str, object], ...]
    """What persons said of it, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How much of one peer waits for one reason, and since when (µs)."""

    peer: str
    code: str
    count: int
    since: int


def counts(store: Store, rules: Rules) -> list[Count]:
    """What waits, counted; what somebody refused is in it too, since it is held."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    with store.reading() as tx:
        rows = [(peer, CEILING, n, at) for peer, label, n, at in approvals.classes(tx) if _above(rules, peer, label)]
        rows += reviews.counts(tx)
        rows += [(peer, PERSONAL, n, at) for peer, n, at in approvals.personal(tx)] if rules.holds_personal else []
    for peer, code, count, since in rows:
        before = found.get((peer, code), (0, since))
        found[peer, code] = before[0] + count, min(before[1], since)
    return [Count(peer=peer, code=code, count=n, since=at) for (peer, code), (n, at) in sorted(found.items())]


def _above(rules: Rules, peer: str, label: str) -> bool:
    return rules.above_reception(peer, rules.understood(peer, Label.from_text(label)))


def queue(store: Store, rules: Rules, now: datetime, *, peer: str, code: str, most: int) -> list[Waiting]:
    """The longest waiting first, without what somebody refused; `peer`, `code`: only of these, empty for all."""
    found: list[Waiting] = []
    with store.reading() as tx:
        classes = {(p, label) for p, label, _, _ in approvals.classes(tx) if _above(rules, p, label)}
        after = 0
        while len(found) < most:
            seqs = approvals.of_classes(tx, classes, after, _STEP) if code in ("", CEILING) else []
            if code not in (CEILING, PERSONAL):
                seqs = sorted({*seqs, *reviews.open_seqs(tx, after=after, most=_STEP)})[:_STEP]
            if code in ("", PERSONAL) and rules.holds_personal:
                seqs = sorted({*seqs, *approvals.with_personal(tx, after, _STEP)})[:_STEP]
            if not seqs:
                break
            after = seqs[-1]
            held = [each for each in statements.by_seq(tx, seqs) if peer in ("", each.peer)]
            found += [each for each in _waiting(tx, rules, held, now) if code in ("", each.code)]
    return found[:most]


def _waiting(tx: Connection, rules: Rules, held: Sequence[Held], now: datetime) -> list[Waiting]:
    groups = statements.held(tx, {each.stix_id for each in held})
    found = []
    for each in sorted(held, key=lambda item: item.seq):
        item = next(one for one in judged(rules, groups[each.stix_id], now) if one.held.seq == each.seq)
        reasons = {item.decide(rules, audience).reasons[0] for audience in rules.audiences if not audience.home}
        code = next((code for code in (CEILING, each.doubt, PERSONAL) if code and code in reasons), "")
        if not code or approvals.refused(tx, [(each.stix_id, each.source, each.version)], code):
            continue
        approved = item.subject.approved | {("", code, 99)}  # besides what was let go already
        free = replace(item, subject=replace(item.subject, approved=approved))
        may = [a for a in rules.audiences if not a.home and _gains(rules, item, free, a)]
        named = {name for audience in may for name in audience.agreements}
        asked = [a.send.approvals for a in rules.terms.agreements if a.id in named and a.send is not None]
        found.append(
            Waiting(
                held=each, code=code, readers=tuple(sorted({peer for audience in may for peer in audience.members})),
                asked=max(asked, default=1), words=tuple(map(dict, approvals.about(tx, each.stix_id))),
            )
        )  # fmt: skip
    return found


def _gains(rules: Rules, now: Judged, then: Judged, audience: Audience) -> bool:
    """Whether the approval by which it is judged as `then` lets it go to them, or in another form than it goes now."""
    before, after = now.decide(rules, audience), then.decide(rules, audience)
    return after.released and not (before.released and before.transform == after.transform)


def lapsed(store: Store) -> list[widenings.Word]:
    """What was widened and went when a newer version of its original came, and nobody has said anything of since."""
    with store.reading() as tx:
        return widenings.to_look_at(tx, NEWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an operator says of a version; `source` empty: as every source says it; `whom` as in an approval."""

    stix_id: str
    verdict: str
    who: str
    why: str
    source: str = ""
    whom: str = ""


def say(store: Store, rules: Rules, said: Said, clock: Callable[[], datetime]) -> list[tuple[Held, str]]:
    """Write it down and list or withdraw at once: (statement, code) of what it is about. Nothing that is held or was
    decided: nothing is changed. Raises StoreBusy and StoreOutdated.
    """
    now = clock()
    with store.writing() as tx:
        require(tx, rules)
        about = _about(tx, rules, said, now)
        approvals.keep(
            tx,
            (
                Word(held.stix_id, held.source, held.version, code, said.whom, said.verdict, said.who, said.why,
                     micros(now))
                for held, code in about
            ),
        )  # fmt: skip
        if about:
            Lister(tx, rules, now).relist([said.stix_id])
    return about


def _about(tx: Connection, rules: Rules, said: Said, now: datetime) -> list[tuple[Held, str]]:
    """The newest version of each source, with why it is held, or with why it was."""
    group = statements.held(tx, [said.stix_id]).get(said.stix_id, [])
    words: list[RowMapping] = approvals.about(tx, said.stix_id)
    found = []
    for held in group:
        if not held.newest or said.source not in ("", held.source):
            continue
        item = next(one for one in judged(rules, group, now) if one.held.seq == held.seq)
        reasons = {item.decide(rules, audience).reasons[0] for audience in rules.audiences if not audience.home}
        may = {CEILING} if held.label is not None and rules.above_reception(held.peer, held.label) else set()
        codes = {code for code in ({held.doubt, PERSONAL} - {CONFIRMED, ""}) | may if code in reasons}
        mine = (held.source, held.version)
        codes |= {row["code"] for row in words if (row["source"], row["version"]) == mine}
        found += [(held, code) for code in sorted(codes)]
    return found
