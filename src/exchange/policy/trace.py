"""`trace`: the account of one decision, question by question, each agreement with the clause that stopped it.

It walks the steps of `Rules.decide` itself, so that what is told of a decision is what was decided. It costs more, and
is for people: nothing is listed or sent by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exchange.model.marking import UNMARKED, Label
from exchange.policy import verdict as questions
from exchange.policy.audience import Audience
from exchange.policy.decide import Rules
from exchange.policy.verdict import Decision, Subject, Verdict, end_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One agreement that was considered."""

    agreement: str
    reason: str
    """The code of the clause that does not permit it; empty: the agreement permits it."""
    until: datetime
    """The first instant at which it is no longer in force."""
    ceiling: str
    """The strictest level that it lets go; empty: it lets nothing go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One question of a decision."""

    step: str
    """Its name, as `policy.decide` lists them; `sync` adds some of its own."""
    verdict: Verdict | None
    """What it decided; None: it stopped nothing."""
    reasons: tuple[str, ...] = ()
    agreement: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What was looked at, as text; which fields there are depends on the step."""
    clauses: tuple[Clause, ...] = ()
    """Of the question about agreements: each that names every member, in order."""


def trace(rules: Rules, subject: Subject, audience: Audience) -> tuple[Step, ...]:
    """Every question that was asked about `subject` for `audience`; the last one is what `rules.decide` gives."""
    found: list[Step] = []
    for name, decision in rules.steps(subject, audience):
        found.append(_step(name, decision, rules, subject, audience))
        if decision is not None:
            break
    return tuple(found)


def _step(name: str, decision: Decision | None, rules: Rules, subject: Subject, audience: Audience) -> Step:
    return Step(
        step=name,
        verdict=None if decision is None else decision.verdict,
        reasons=() if decision is None else decision.reasons,
        agreement="" if decision is None else decision.agreement,
        fields=_looked_at(name, rules, subject, audience),
        clauses=_clauses(rules, subject, audience) if name == questions.SENT else (),
    )


def _clauses(rules: Rules, subject: Subject, audience: Audience) -> tuple[Clause, ...]:
    label, cut = rules.reading(subject, audience)
    if label is None:
        return ()
    return tuple(
        Clause(
            agreement=agreement.id,
            reason=reason,
            until=end_of(agreement),
            ceiling="" if agreement.send is None else agreement.send.ceiling.label,
        )
        for agreement, reason in rules.considered(subject, label, audience, cut=cut)
    )


def levels(label: Label | None) -> str:
    """The levels that a label states, and the marks in it that nobody reads; empty: it states nothing."""
    if label is None:
        return ""
    found = [level.label for level in (label.tlp, label.pfc, label.pap) if level is not None]
    return ", ".join((*found, *sorted(label.unknown | label.iep)))


def _looked_at(name: str, rules: Rules, subject: Subject, audience: Audience) -> dict[str, str]:
    """What one question is about; empty where its reason says it all."""
    label, found = subject.label or UNMARKED, {}
    if name == questions.LABEL:
        found = {"label": levels(subject.label)}
    elif name == questions.RECEIVED:
        found = _received(rules, subject)
    elif name == questions.RETURNS:
        givers = sorted({subject.peer, subject.owner, *subject.copied} - {""})
        found = {"givers": ", ".join(givers), "members": ", ".join(audience.members)}
    elif name == questions.CHANNEL:
        only = "yes" if audience.only_posted else ""
        types = ", ".join(sorted(audience.types or ()))
        found = {"ceiling": audience.ceiling.label, "type": subject.type, "types": types, "only_posted": only}
    elif name == questions.GROUP:
        found = {"organisations": "" if label.orgs is None else str(len(label.orgs))}
    elif name == questions.PAP:
        found = {"pap": "" if label.pap is None else label.pap.label, "carried": "yes" if audience.pap else ""}
    elif name == questions.REACH:
        found = {"reach": label.reach.name.lower()}
    elif name == questions.DOUBT:
        found = {"doubt": subject.doubt}
    return found


def _received(rules: Rules, subject: Subject) -> dict[str, str]:
    taking = [
        (agreement.id, agreement.receive.ceiling)
        for agreement in rules.terms.agreements
        if agreement.receive and subject.peer in agreement.parties and agreement.start <= rules.now.date()
    ]
    names, ceilings = [name for name, _ in taking], [ceiling for _, ceiling in taking]
    return {
        "giver": subject.peer,
        "agreements": ", ".join(names),
        "ceiling": max(ceilings).label if ceilings else "",
    }
