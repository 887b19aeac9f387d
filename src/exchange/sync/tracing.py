"""Trace: why one peer has an object or has it not, in which collection, from what its source said to who fetched it.

    trace_of(store, rules, asked, now, peer="ccc")    asked: a STIX id, a MISP uuid or a value, as `sync.explain`

Nothing is decided here: each answer is that of the `policy.decide` by which the Lister lists, told question by
question, and beside it what stands in the listing. Where the two differ, that is an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from exchange.model.party import Terms
from exchange.policy import Audience, Decision, Rules, Step, Transform, Verdict, gate, trace
from exchange.policy.audience import collection_channel, target_channel
from exchange.policy.verdict import BARRED
from exchange.store import Store, audiences, derived, folds, listings, quarantine, sources, statements, traces
from exchange.store.audiences import AudienceRow
from exchange.store.clock import FOREVER, micros, moment
from exchange.store.derived import Derived
from exchange.store.statements import Held
from exchange.store.work import NOTICES
from exchange.sync.ageing import Ageing
from exchange.sync.explain import GATES, NO_FORM, alarm_of, search, unmade, verdict_of
from exchange.sync.origins import origin_of
from exchange.sync.persons import acts
from exchange.sync.remains import erased_of
from exchange.sync.rooms import fetched, parcel_of, recalls_of, room_of, with_fetches
from exchange.sync.subjects import GUEST, OWNER, Judged, ahead, creator, judged, recalling
from exchange.sync.traced import Front, Group, Handed, Origin, Stay, Then, Traced, Traces

FEW = 6
"""Statements that are told one by one; of more, one of each group that fares alike."""
_GROUPS = 20
_EXAMPLES = 3
_NAMED = 50
"""Statements of which it is asked what was set aside beside them."""
_MOST = 20_000
"""Statements that one question looks at."""
_AUTHORITY = {OWNER: "owner", GUEST: "guest"}


def channel_of(terms: Terms, name: str) -> str:
    """The channel that a person means: a collection's alias or id, or `peer/target`; empty: there is none."""
    for collection in terms.collections.values():
        if name in (collection.alias, collection.id):
            return collection_channel(collection.id)
    targets = {target.key for peer in terms.peers.values() for target in peer.targets}
    return target_channel(name) if name in targets else ""


def asked_of(rules: Rules, peer: str, channel: str) -> tuple[Audience, ...]:
    """The audiences of this peer and in this channel; empty: any."""
    return tuple(
        audience
        for audience in rules.audiences
        if (not peer or peer in audience.members) and (not channel or audience.channel == channel)
    )


@dataclass(slots=True)
class Look:
    """One look at the store, in one snapshot of it."""

    tx: Connection
    rules: Rules
    now: datetime
    peer: str
    at: datetime | None
    places: Mapping[str, AudienceRow]
    ageing: Ageing
    history: dict[tuple[int, int], list[Mapping[str, Any]]] = field(default_factory=dict)
    """(audience, number of the statement) → every row that it had there, as it is or altered, oldest first."""
    forms: Mapping[tuple[int, str], Derived] = field(default_factory=dict)
    """(statement, form) → what was made of it for somebody."""
    made: Mapping[int, Held] = field(default_factory=dict)
    """Number → what was made, with the id and the version that it has."""


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and one audience, as it is decided now and as it stands."""

    item: Judged
    audience: Audience
    verdict: Verdict
    released: bool
    """By the policy alone."""
    reasons: tuple[str, ...]
    """The policy's."""
    agreement: str
    standing: Mapping[str, Any] | None
    more: tuple[str, ...]
    """Reasons that are not the policy's."""
    alarm: str
    transform: Transform | None = None
    """What is to be done to it before it goes."""
    altered: str = ""
    """The id under which they have what was made of it; empty: they have it as it is, or not at all."""

    @property
    def told(self) -> tuple[str, ...]:
        """Every reason for the verdict: where something else than the policy stops it, not why the policy let it go."""
        stopped = self.released and self.more and self.verdict != Verdict.RELEASE
        return self.more if stopped else (*self.reasons, *self.more)

    @property
    def fate(self) -> tuple[Any, ...]:
        """Cases of one fate are told together."""
        listed, folded = self.standing is not None, bool(self.standing and self.standing["folded"])
        return (self.audience.key, self.verdict, self.told, self.agreement, listed, folded, self.alarm)


def trace_of(
    store: Store,
    rules: Rules,
    asked: str,
    now: datetime,
    *,
    peer: str = "",
    channel: str = "",
    at: datetime | None = None,
    few: int = FEW,
) -> Traces:
    """Why this is, or is not, with `peer`, or in `channel`; both empty: with anybody. `at`: how it stood then, too.

    `few`: statements up to which each is traced by itself.
    """
    wanted = asked_of(rules, peer, channel)
    with store.reading() as tx:
        found = search(tx, asked, most=_MOST + 1)
        look = Look(tx, rules, now, peer, at, audiences.everyone(tx), Ageing.of(tx, rules, now))
        decided = cases(look, found[:_MOST], wanted)
        rooms = [room_of(tx, audience, look.places.get(audience.key), peer, now) for audience in wanted]
        told = _told(decided, few=len(found) <= few)
        made = [_traced(look, case) for case in told]
        groups = _groups(decided)
        ids = list(dict.fromkeys(held.stix_id for held in found[:_NAMED]))
        aside = [row for each in ids for row in quarantine.entries(tx, stix_id=each)]
        vanished = [row for each in ids for row in sources.gone(tx, each)]
        told_by = acts(tx, ids)
    keys = [case.audience.key for case in told]
    return Traces(
        asked=asked,
        peer=peer,
        channel=channel,
        rooms=tuple(fetched(store, rooms, peer)),
        statements=min(len(found), _MOST),
        groups=groups,
        traces=tuple(with_fetches(store, each, key, peer) for each, key in zip(made, keys, strict=True)),
        more=len(found) > _MOST,
        quarantine=aside,
        vanished=vanished,
        acts=told_by,
        erased=erased_of(store, asked, peer=peer, channel=channel),
    )


def cases(look: Look, found: Sequence[Held], wanted: Sequence[Audience]) -> list[Case]:
    """Every statement for every audience that was asked about."""
    seqs = {held.seq for held in found}
    groups = statements.held(look.tx, dict.fromkeys(held.stix_id for held in found))
    look.ageing.look(list(groups.values()), {})
    numbers = [row.number for audience in wanted if (row := look.places.get(audience.key)) is not None]
    look.forms = derived.of(look.tx, seqs)
    of = {row.seq: row.of for row in look.forms.values() if row.seq is not None}
    look.made = {item.seq: item for item in statements.by_seq(look.tx, of)}
    for some in statements.chunks(sorted(seqs | of.keys())):
        for there in traces.rows(look.tx, numbers, some):
            look.history.setdefault((there["audience"], of.get(there["seq"], there["seq"])), []).append(there)
    for rows in look.history.values():
        rows.sort(key=lambda row: int(row["added"]))
    return [
        _case(look, item, audience)
        for group in groups.values()
        for item in judged(look.rules, group, look.now)
        if item.held.seq in seqs
        for audience in wanted
    ]


def _case(look: Look, item: Judged, audience: Audience) -> Case:
    place = look.places.get(audience.key)
    rows = look.history.get((place.number, item.held.seq), []) if place is not None else []
    standing = next((row for row in rows if row["closed"] is None), None)
    if item.held.source == NOTICES:
        # A notice is for those alone to whom it is listed, whatever is decided of other objects (RULES R8).
        verdict = Verdict.RELEASE if standing is not None else Verdict.DENY
        under = "" if standing is None else str(standing["agreement"])
        return Case(item, audience, verdict, standing is not None, ("recall.notice",), under, standing, (), "")
    decision = look.ageing.decide(item, audience)
    reasons = decision.reasons
    if ahead(item.held, look.now):
        reasons = ("version.future",)
    elif item.held.waiting:
        reasons = ("label.waiting",)
    made = None if decision.transform is None else look.forms.get((item.held.seq, decision.transform.form))
    told = unmade(decision, standing, made, audience.channel in recalling(look.rules))
    more = tuple(code for code in told if code not in decision.reasons)
    if decision.released and standing is None:
        more = more or _unlisted(look, item, audience, place)
    elif standing is not None and standing["folded"]:
        more = ("fold.behind_twin",)
    alarm = alarm_of(decision, standing, more)
    last = look.made.get(rows[-1]["seq"]) if rows else None
    return Case(
        item, audience, verdict_of(decision, standing, more), decision.released, reasons, decision.agreement, standing,
        more, alarm, decision.transform, "" if last is None else last.stix_id,
    )  # fmt: skip


def _unlisted(look: Look, item: Judged, audience: Audience, place: AudienceRow | None) -> tuple[str, ...]:
    """Why something that may go does not stand in the listing; empty: nothing that we know of keeps it out."""
    body = statements.bodies(look.tx, [item.held.seq])[item.held.seq]
    if not gate(body, look.rules.clearance(audience)):
        return ("gate.marking",)
    if place is not None and item.held.version in traces.versions(look.tx, place.number, item.held.stix_id):
        return ("listing.same_version_stands",)
    return ()


def _groups(found: Sequence[Case]) -> tuple[Group, ...]:
    """How many fare alike, the most frequent first in each channel."""
    alike: dict[tuple[Any, ...], list[Case]] = {}
    for case in found:
        alike.setdefault(case.fate, []).append(case)
    made = []
    for some in alike.values():
        one, types = some[0], [case.item.held.type for case in some]
        _, verdict, reasons, agreement, listed, folded, alarm = one.fate
        made.append(
            Group(
                channel=one.audience.channel, members=one.audience.members,
                verdict=str(verdict), reasons=reasons, agreement=agreement,
                listed=listed, folded=folded, alarm=alarm, count=len(some),
                types={kind: types.count(kind) for kind in sorted(set(types))},
                examples=tuple(dict.fromkeys(case.item.held.stix_id for case in some))[:_EXAMPLES],
            )
        )  # fmt: skip
    return tuple(sorted(made, key=lambda group: (group.channel, group.members, -group.count)))


def _told(found: Sequence[Case], *, few: bool) -> list[Case]:
    """Those that are told one by one: all of few, else one of each fate, what is rare first."""
    if few:
        return list(found)
    alike: dict[tuple[Any, ...], list[Case]] = {}
    for case in found:
        alike.setdefault(case.fate, []).append(case)
    return [some[0] for some in sorted(alike.values(), key=len)][:_GROUPS]


def _traced(look: Look, case: Case) -> Traced:
    held, audience, place = case.item.held, case.audience, look.places.get(case.audience.key)
    rows = look.history.get((place.number, held.seq), []) if place is not None else []
    standing, stays = case.standing, [_stay(look.made.get(row["seq"], held), row) for row in rows]
    end = look.ageing.end(held, audience) if case.item.decide(look.rules, audience).released else None
    names = {(held.stix_id, held.version), *((stay.stix_id, stay.version) for stay in stays)}
    ids = sorted({stix_id for stix_id, _ in names})
    handed = [row for row in listings.deliveries(look.tx, ids) if row.get("outcome")]
    return Traced(
        stix_id=held.stix_id,
        type=held.type,
        version=held.version,
        source=held.source,
        giver=held.peer,
        received=moment(held.received),
        posted=held.posted,
        creator=creator(held),
        authority=_AUTHORITY.get(case.item.rank, "opinion"),
        origin=_origin(look, case),
        channel=audience.channel,
        members=audience.members,
        verdict=str(case.verdict),
        reasons=case.told,
        agreement=case.agreement,
        steps=_steps(look, case),
        expires=None if end is None else moment(end.at),
        listed=None if standing is None else moment(standing["added"]),
        folded=bool(standing and standing["folded"]),
        alarm=case.alarm,
        stays=tuple(stays),
        front=_front(look, place, standing),
        offered=audience.members if standing is not None and standing["not_after"] > micros(look.now) else (),
        fetches=0,
        fetched=(),
        handed=tuple(
            Handed(at=moment(row["at"]), outcome=row["outcome"], peer=row["peer"])
            for row in handed
            if row["channel"] == audience.channel and (row["stix_id"], row["version"]) in names
        ),
        parcel=parcel_of(look.tx, look.rules, audience, place, rows, look.now),
        recalls=recalls_of(look.tx, ids, audience.key),
        altered=case.altered,
        then=_then(look, place, stays),
    )


def _origin(look: Look, case: Case) -> Origin:
    held = case.item.held
    body = statements.bodies(look.tx, [held.seq])[held.seq]
    return origin_of(look.tx, look.rules, held, case.item.subject.label, body)


def _stay(shown: Held, row: Mapping[str, Any]) -> Stay:
    """`shown`: the statement, or what was made of it, that stood in this row."""

    def when(name: str) -> datetime | None:
        return None if row[name] is None or row[name] >= FOREVER else moment(row[name])

    return Stay(
        stix_id=shown.stix_id, version=shown.version, since=moment(row["added"]), until=when("closed"),
        code=row["closed_code"] or "", latest=bool(row["latest"]), folded=bool(row["folded"]),
        agreement=row["agreement"], not_after=when("not_after"), expires=when("expires"),
    )  # fmt: skip


def _front(look: Look, place: AudienceRow | None, standing: Mapping[str, Any] | None) -> Front | None:
    """Who stands for it, in this very listing: so this audience may see that one too (RULES R14, R23)."""
    if place is None or standing is None or not standing["folded"] or standing["fact"] is None:
        return None
    found = [row for row in folds.fronts(look.tx, place.number, [standing["fact"]]) if row.seq != standing["seq"]]
    return Front(stix_id=found[0].stix_id, version=found[0].version, since=moment(found[0].added)) if found else None


def _then(look: Look, place: AudienceRow | None, stays: Sequence[Stay]) -> Then | None:
    if look.at is None:
        return None
    at = look.at
    there = place is not None and bool(look.peer)
    member = there and place is not None and traces.was_member(look.tx, place.number, look.peer, micros(at))
    stood = [
        each for each in stays if each.since <= at and all(e is None or e > at for e in (each.until, each.not_after))
    ]
    return Then(at=at, member=member or not look.peer, stay=stood[-1] if stood else None)


def _steps(look: Look, case: Case) -> tuple[Step, ...]:
    """The questions of the policy, then those that are asked of the whole chain, of its age and of its bytes."""
    item, audience, rules = case.item, case.audience, look.rules
    if item.held.source == NOTICES:
        return (Step(step="notice", verdict=case.verdict, reasons=case.reasons),)
    steps, last = list(trace(rules, item.subject, audience)), rules.decide(item.subject, audience)
    if item.revokes_for_another(rules, audience):  # decided of the whole chain, before anything is asked of this one
        last = item.decide(rules, audience)
        steps = [_step(BARRED, last)]
    elif item.above is not None and last.released:
        own = item.decide(rules, audience)
        steps.append(_step("owner", None if own.released else own, owner=item.above.peer))
        last = own
    end = look.ageing.end(item.held, audience)
    aged = look.ageing.decide(item, audience)
    if end is not None and (last.released or aged != last):
        date = moment(end.at).strftime("%Y-%m-%d %H:%M UTC")
        steps.append(_step("age", aged if aged != last else None, date=date))
    if case.reasons != last.reasons and steps[-1].step == "label":
        steps[-1] = replace(steps[-1], reasons=case.reasons)  # it waits, or lies in the future
    if case.transform is not None:
        steps.append(_transform_step(case, case.transform))
    if case.released and not NO_FORM.intersection(case.more):
        stopped_by_gate = not GATES.isdisjoint(case.more)
        steps.append(
            Step(
                step="gate",
                verdict=Verdict.DENY if stopped_by_gate else None,
                reasons=case.more if stopped_by_gate else (),
            )
        )
        if not stopped_by_gate:
            steps.append(Step(step="listing", verdict=None, reasons=case.more))
    return tuple(steps)


def _transform_step(case: Case, transform: Transform) -> Step:
    """What is done to it, in which form, and the id that they have then, or why nothing could be made of it."""
    stopped = tuple(code for code in case.more if code in NO_FORM)
    return Step(
        step="transform",
        verdict=Verdict.HOLD if stopped else None,
        reasons=stopped,
        fields={"codes": " ".join(transform.codes), "form": transform.form, "id": case.altered},
    )


def _step(name: str, decision: Decision | None, **fields: str) -> Step:
    if decision is None:
        return Step(step=name, verdict=None, fields=fields)
    return Step(
        step=name, verdict=decision.verdict, reasons=decision.reasons, agreement=decision.agreement, fields=fields
    )
