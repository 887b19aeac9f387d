"""Why: what we hold of something, who may have it and who may not, with the reason codes behind each answer.

The answers are made by the same `policy.decide` that lists and pushes; nothing here decides anything itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.convert import parts
from exchange.model import normalise
from exchange.model.marking import UNMARKED
from exchange.policy import Audience, Decision, Rules, Verdict, gate
from exchange.store import Store, listings, notices, quarantine, sources, statements
from exchange.store.clock import moment
from exchange.store.statements import Held
from exchange.store.work import NOTICES
from exchange.sync.ageing import Ageing
from exchange.sync.subjects import Judged, ahead, judged

_STIX_ID = re.compile(r"^[a-z][a-z0-9-]*--[0-9a-fA-F-]{36}$")
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


def is_stix_id(text: str) -> bool:
    """Whether `text` is written as a STIX id is."""
    return _STIX_ID.match(text) is not None


def is_uuid(text: str) -> bool:
    """Whether `text` is a uuid and nothing else."""
    return _UUID.match(text) is not None


def search(tx: Connection, asked: str) -> list[Held]:
    """The statements about a STIX id, a MISP uuid, or an observable's value; oldest first."""
    asked = asked.strip()
    if _STIX_ID.match(asked):
        return statements.find(tx, stix_id=asked)
    if _UUID.match(asked):
        return statements.find(tx, uuid=asked.lower())
    return statements.find(tx, values=normalise.forms(asked))


def explain(store: Store, rules: Rules, asked: str, now: datetime) -> Explanation:
    """Why this is, or is not, with each partner."""
    with store.reading() as tx:
        found = search(tx, asked)
        ids = list(dict.fromkeys(held.stix_id for held in found))
        groups = statements.held(tx, ids)
        history = listings.history(tx, {held.seq for group in groups.values() for held in group})
        bodies = statements.bodies(tx, {held.seq for held in found})
        wanted = {held.seq for held in found}
        ageing = Ageing.of(tx, rules, now)
        ageing.look(list(groups.values()), bodies)
        explained = tuple(
            _explained(item, rules, ageing, history, bodies[item.held.seq], now)
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
        )
    return replace(found_all, recalls=_recalls(store, told)) if told else found_all


def _recalls(store: Store, told: Sequence[Mapping[str, Any]]) -> tuple[Recalled, ...]:
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
    item: Judged, rules: Rules, ageing: Ageing, history: Sequence[Mapping[str, Any]], body: bytes, now: datetime
) -> Explained:
    if item.held.source == NOTICES:
        return Explained(held=item.held, rank=item.rank, answers=_noticed(item.held, rules, history))
    answers = tuple(_answer(item, audience, rules, ageing, history, body, now) for audience in rules.audiences)
    _, lost = parts(orjson.loads(body), item.held.label or UNMARKED)
    return Explained(
        held=item.held, rank=item.rank, answers=answers, lost=tuple(dict.fromkeys(each.code for each in lost))
    )


def _noticed(held: Held, rules: Rules, history: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """A notice of ours is for one audience alone, whatever is decided of other objects."""
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
    body: bytes,
    now: datetime,
) -> Answer:
    decision = ageing.decide(item, audience)
    end = ageing.end(item.held, audience) if item.decide(rules, audience).released else None
    rows = [row for row in history if row["key"] == audience.key and row["seq"] == item.held.seq]
    standing = next((row for row in rows if row["closed"] is None), None)
    return Answer(
        channel=audience.channel,
        members=audience.members,
        verdict=str(decision.verdict),
        reasons=_reasons(item, decision, standing, rules.clearance(audience), body, now),
        agreement=decision.agreement,
        listed=None if standing is None else moment(standing["added"]),
        folded=bool(standing and standing["folded"]),
        closed=next((row["closed_code"] for row in reversed(rows) if row["closed_code"]), ""),
        expires=None if end is None else moment(end.at),
    )


def _reasons(
    item: Judged, decision: Decision, standing: Mapping[str, Any] | None, clearance: int, body: bytes, now: datetime
) -> tuple[str, ...]:
    """The decision's reasons, and those that are not the policy's: not judged yet, the future, a twin, the gate."""
    more: list[str] = []
    if ahead(item.held, now):
        return ("version.future",)
    if item.held.waiting:
        return ("label.waiting",)
    if decision.released and standing is None:
        more.append("listing.same_version_stands" if gate(body, clearance) else "gate.marking")
    if standing is not None and standing["folded"]:
        more.append("fold.behind_twin")
    return (*decision.reasons, *more)
