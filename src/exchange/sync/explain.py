"""Why: what we hold of something, who may have it and who may not, with the reason codes behind each answer.

The answers are made by the same `policy.decide` that lists and pushes; nothing here decides anything itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.convert import parts
from exchange.model import normalise
from exchange.model.marking import UNMARKED
from exchange.policy import Audience, Decision, Rules, Verdict, gate
from exchange.store import Store, derived, listings, notices, quarantine, sources, statements
from exchange.store.clock import moment
from exchange.store.derived import Derived
from exchange.store.statements import Held
from exchange.store.work import NODE, NOTICES
from exchange.sync.ageing import Ageing
from exchange.sync.persons import Act, acts
from exchange.sync.remains import Erased, erased_of
from exchange.sync.subjects import Judged, ahead, judged, recalling

Forms = Mapping[tuple[int, str], Derived]
"""(statement, form) → what was made of it for somebody."""
_STIX_ID = re.compile(r"^[a-z][a-z0-9-]*--[0-9a-fA-F-]{36}$")
_MOST = 500
"""Statements that are explained at once."""
_UUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One audience's answer for one statement. `listed`: since when it stands there; None: it does not."""

    channel: str
    members: tuple[str, ...]
    verdict: str
    reasons: tuple[str, ...]
    agreement: str
    listed: datetime | None
    folded: bool
    closed: str
    """Reason code of the last closing, when it stood there once."""
    expires: datetime | None = None
    """When it is too old for this audience, or was; None: never, or it may not have it anyway."""
    alarm: str = ""
    """A reason code when the listing is not as it would be decided now; empty: both agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One statement: what it is worth, where that comes from, and every audience's answer."""

    held: Held
    rank: int
    answers: tuple[Answer, ...]
    lost: tuple[str, ...] = ()
    """Codes of what a partner that reads us over MISP does not get of it, whoever that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """One recall notice to one audience (RULES R8)."""

    stix_id: str
    """What it is about."""
    note: str
    channel: str
    members: tuple[str, ...]
    since: datetime
    until: datetime | None
    """When it stopped to stand there; None: it stands."""
    fetched: tuple[tuple[str, datetime], ...]
    """Accounts that have fetched it, each with when it first did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything we can say of what was asked."""

    asked: str
    statements: tuple[Explained, ...]
    quarantine: Sequence[Mapping[str, Any]]
    passed_over: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    vanished: Sequence[Mapping[str, Any]]
    """Sources that once gave it and no longer list it."""
    drains: Mapping[str, datetime | None]
    """Source → end of its last complete drain: what was never seen was not there then."""
    recalls: tuple[Recalled, ...] = ()
    """Who was told that they may no longer have it, in order."""
    acts: tuple[Act, ...] = ()
    """Who withdrew it, and who let it go."""
    erased: tuple[Erased, ...] = ()
    """Its erasures: of what was erased nothing but that is known."""


def is_stix_id(text: str) -> bool:
    """Whether `text` is written as a STIX id is."""
    return _STIX_ID.match(text) is not None


def is_uuid(text: str) -> bool:
    """Whether `text` is a uuid and nothing else."""
    return _UUID.match(text) is not None


def search(tx: Connection, asked: str, most: int = _MOST) -> list[Held]:
    """The statements about a STIX id, a MISP uuid, or an observable's value; oldest first, at most `most`."""
    asked = asked.strip()
    if _STIX_ID.match(asked):
        # Whoever asks about what a partner has asks about that of which it was made.
        found = statements.find(tx, stix_id=derived.originals(tx, [asked]).get(asked, asked), most=most)
        return [held for held in found if held.peer != NODE or held.source == NOTICES]
    if _UUID.match(asked):
        return statements.find(tx, uuid=asked.lower(), most=most)
    return statements.find(tx, values=normalise.forms(asked), most=most)


def explain(store: Store, rules: Rules, asked: str, now: datetime) -> Explanation:
    """Why this is, or is not, with each partner."""
    with store.reading() as tx:
        found = search(tx, asked)
        ids = list(dict.fromkeys(held.stix_id for held in found))
        groups = statements.held(tx, ids)
        seqs = {held.seq for group in groups.values() for held in group}
        forms = derived.of(tx, seqs)
        history = listings.history(tx, seqs | {row.seq for row in forms.values() if row.seq is not None})
        bodies = statements.bodies(tx, {held.seq for held in found})
        wanted = {held.seq for held in found}
        names = {held.seq: (held.stix_id, held.version) for group in groups.values() for held in group}
        names |= {row.seq: names[row.of] for row in forms.values() if row.seq is not None}
        taken = {(row["key"], *names[row["seq"]]) for row in history if row["closed"] is None}
        ageing = Ageing.of(tx, rules, now)
        ageing.look(list(groups.values()), bodies)
        explained = tuple(
            _explained(item, rules, ageing, history, forms, taken, bodies[item.held.seq], now)
            for group in groups.values()
            for item in judged(rules, group, now)
            if item.held.seq in wanted
        )
        told = notices.history(tx, ids)
        key = asked.strip()
        key = key.lower() if _UUID.match(key) else key
        found_all = Explanation(
            asked=asked,
            statements=explained,
            quarantine=[row for id_ in {key, *ids} for row in quarantine.entries(tx, stix_id=id_)],
            passed_over=sources.passed_over(tx, key),
            deliveries=listings.deliveries(tx, [*ids, *(row["note"] for row in told)]) if ids else [],
            vanished=[row for id_ in dict.fromkeys((key, *ids)) for row in sources.gone(tx, id_)],
            drains=_drains(tx, rules),
            acts=acts(tx, ids),
        )
    return replace(found_all, recalls=_recalls(store, told), erased=erased_of(store, asked))


def _recalls(store: Store, told: Sequence[Mapping[str, Any]]) -> tuple[Recalled, ...]:
    if not told:
        return ()
    with store.noting() as tx:
        fetched = [notices.fetched(tx, row["key"], row["added"]) for row in told]
    return tuple(
        Recalled(
            stix_id=row["stix_id"],
            note=row["note"],
            channel=row["channel"],
            members=tuple(json.loads(row["members"])),
            since=moment(row["added"]),
            until=None if row["closed"] is None else moment(row["closed"]),
            fetched=tuple((account, moment(at)) for account, at in accounts),
        )
        for row, accounts in zip(told, fetched, strict=True)
    )


def _drains(tx: Connection, rules: Rules) -> dict[str, datetime | None]:
    standings = sources.standings(tx)
    keys = [source.key for peer in rules.terms.peers.values() for source in peer.sources]
    return {
        key: None if (at := standings[key].last_complete) is None else moment(at) for key in keys if key in standings
    }


def _explained(
    item: Judged,
    rules: Rules,
    ageing: Ageing,
    history: Sequence[Mapping[str, Any]],
    forms: Forms,
    taken: Set[tuple[str, str, str]],
    body: bytes,
    now: datetime,
) -> Explained:
    if item.held.source == NOTICES:
        return Explained(held=item.held, rank=item.rank, answers=_noticed(item.held, rules, history))
    answers = tuple(
        _answer(item, audience, rules, ageing, history, forms, taken, body, now) for audience in rules.audiences
    )
    _, lost = parts(orjson.loads(body), item.held.label or UNMARKED)
    return Explained(
        held=item.held, rank=item.rank, answers=answers, lost=tuple(dict.fromkeys(each.code for each in lost))
    )


def _noticed(held: Held, rules: Rules, history: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """A notice of ours is for those to whom it is listed alone, whatever is decided of other objects."""
    members = {audience.key: audience.members for audience in rules.audiences}
    return tuple(
        Answer(
            channel=row["channel"],
            members=members.get(row["key"], ()),
            verdict=str(Verdict.RELEASE),
            reasons=("recall.notice",),
            agreement=row["agreement"],
            listed=moment(row["added"]) if row["closed"] is None else None,
            folded=False,
            closed=row["closed_code"] or "",
        )
        for row in history
        if row["seq"] == held.seq
    )


def _answer(
    item: Judged,
    audience: Audience,
    rules: Rules,
    ageing: Ageing,
    history: Sequence[Mapping[str, Any]],
    forms: Forms,
    taken: Set[tuple[str, str, str]],
    body: bytes,
    now: datetime,
) -> Answer:
    decision = ageing.decide(item, audience)
    end = ageing.end(item.held, audience) if item.decide(rules, audience).released else None
    # What was altered stands in its place: its rows are those of this statement.
    seqs = {item.held.seq, *(row.seq for row in forms.values() if row.of == item.held.seq)}
    rows = [row for row in history if row["key"] == audience.key and row["seq"] in seqs]
    standing = next((row for row in rows if row["closed"] is None), None)
    made = None if decision.transform is None else forms.get((item.held.seq, decision.transform.form))
    stands = (audience.key, item.held.stix_id, item.held.version) in taken
    more = _more(decision, standing, rules.clearance(audience), body, stands=stands)
    told = unmade(decision, standing, made, audience.channel in recalling(rules))
    return Answer(
        channel=audience.channel,
        members=audience.members,
        verdict=str(verdict_of(decision, standing, told or more)),
        reasons=told or _reasons(item, decision, more, now),
        agreement=decision.agreement,
        listed=None if standing is None else moment(standing["added"]),
        folded=bool(standing and standing["folded"]),
        closed=next((row["closed_code"] for row in reversed(rows) if row["closed_code"]), ""),
        expires=None if end is None else moment(end.at),
        alarm=alarm_of(decision, standing, told or more),
    )


def unmade(decision: Decision, standing: Mapping[str, Any] | None, made: Derived | None, misp: bool) -> tuple[str, ...]:
    """Why what would have to be altered stands nowhere; empty: that is not why. `misp`: the channel is MISP's."""
    if made is None or standing is not None or not decision.released:
        return ()
    hidden = decision.transform is not None and decision.transform.anonymous
    if made.seq is None and made.code:
        return (made.code,)
    if misp and hidden:
        return ("transform.misp",)
    if made.seq is None:
        return ()
    return (*decision.reasons, "gate.names" if hidden else "version.other_form")


GATES = frozenset({"gate.marking", "gate.names"})
NO_FORM = frozenset({
    "transform.misp", "version.other_form", "transform.producer_unknown", "transform.selector", "transform.type",
    "transform.personal_stays", "transform.lineage", "transform.marking", "transform.named", "transform.required",
})  # fmt: skip
"""Why what would have to be altered is in no form."""


def verdict_of(decision: Decision, standing: Mapping[str, Any] | None, more: Collection[str]) -> Verdict:
    """The policy's, unless what it lets go could not be altered, or the second gate stopped it: nobody has it then."""
    if decision.released and standing is None:
        if not NO_FORM.isdisjoint(more):
            return Verdict.HOLD
        if not GATES.isdisjoint(more):
            return Verdict.DENY
    return decision.verdict


def _reasons(item: Judged, decision: Decision, more: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The decision's reasons, and those that are not the policy's: not judged yet, the future, a twin, the gate."""
    if ahead(item.held, now):
        return ("version.future",)
    if item.held.waiting:
        return ("label.waiting",)
    return (*decision.reasons, *more)


def _more(
    decision: Decision, standing: Mapping[str, Any] | None, clearance: int, body: bytes, *, stands: bool
) -> tuple[str, ...]:
    """What the policy does not know: the second gate, the same version of another (`stands`), a twin in front."""
    if decision.released and standing is None:
        if not gate(body, clearance):
            return ("gate.marking",)
        return ("listing.same_version_stands",) if stands else ()
    return ("fold.behind_twin",) if standing is not None and standing["folded"] else ()


def alarm_of(decision: Decision, standing: Mapping[str, Any] | None, more: Sequence[str]) -> str:
    """A code where the stored listing is not what the same rules would make of it now; empty: both agree."""
    if standing is None:
        return "trace.not_listed" if decision.released and not more else ""
    if decision.lets_go:
        return ""
    # What has just grown old is taken out by the next round; readers get it until then.
    return "trace.overdue" if decision.reasons[0].startswith("expiry") else "trace.still_listed"
