"""Tracing: the whole way of one object to one partner, or why a partner has as much as it has; in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rich.markup import escape

from exchange.cli.audience import label_of
from exchange.cli.layout import axes, clean, counts, cut, day, grid, heading
from exchange.cli.terminal import LANGUAGE, ago, now, out, say, show_table, tell, where_of
from exchange.config import Settings
from exchange.i18n import spoken
from exchange.policy import Step
from exchange.sync.persons import Act
from exchange.sync.traced import Census, Fetch, Group, Room, Stay, Traced, Traces

_COLOURS = {"release": "green", "hold": "yellow", "deny": "red"}
_PASSED = {
    "barred": "cli.trace.barred",
    "label": "cli.trace.label",
    "returns": "cli.trace.returns",
    "channel": "cli.trace.channel",
    "group": "cli.trace.group",
    "pap": "cli.trace.pap",
    "wire": "cli.trace.wire",
    "dialect": "cli.trace.dialect",
    "reach": "cli.trace.reach",
    "names": "cli.trace.names",
    "doubt": "cli.trace.doubt",
    "owner": "cli.trace.owner",
    "age": "cli.trace.age",
    "gate": "cli.trace.gate",
    "listing": "cli.trace.listing",
}
"""Question → what is said when it stopped nothing."""
_STATES = {
    "open": "cli.trace.room_open",
    "shut": "cli.trace.room_shut",
    "ended": "cli.trace.room_ended",
    "absent": "cli.trace.room_absent",
}
_AUTHORITY = {"owner": "cli.trace.by_owner", "guest": "cli.trace.by_guest", "opinion": "cli.trace.by_opinion"}
_STANDS = {
    "listed": "cli.trace.is_listed",
    "folded": "cli.trace.is_folded",
    "ended": "cli.trace.is_ended",
    "out": "cli.trace.is_out",
}
_FEW = 5


class Names(NamedTuple):
    """What was asked for, as it was typed."""

    asked: str
    peer: str
    collection: str


def no_room(names: Names, settings: Settings) -> int:
    """Say that the partner has no part in that collection, and in which it has."""
    reads = [
        each.alias
        for each in settings.terms.collections.values()
        if names.peer in (*each.readers, *(each.writers if each.read_back else ()))
    ]
    peer = settings.terms.peers.get(names.peer)
    reads += [target.key for target in (() if peer is None else peer.targets)]
    known = ", ".join(sorted(reads)) or "–"
    if names.collection:
        tell("cli.trace.no_room", peer=names.peer or "–", place=names.collection, known=known)
    else:
        tell("cli.trace.no_rooms", peer=names.peer)
    return 1


def print_traces(found: Traces, settings: Settings) -> None:
    """Everything that is known of what was asked."""
    for room in found.rooms:
        _print_room(room, settings)
    if len(found.traces) < sum(group.count for group in found.groups):
        tell("cli.trace.many", count=found.statements)
        for room in found.rooms:
            mine = [each for each in found.groups if (each.channel, each.members) == (room.channel, room.members)]
            if len(found.rooms) > 1:
                heading(say("cli.trace.room", place=where_of(room.channel, settings), members=", ".join(room.members)))
            _print_groups(mine)
    print_acts(found.acts)
    for trace in found.traces:
        _print_trace(trace, settings)
    if found.more:
        tell("cli.trace.more", count=found.statements)


_ACTS = {
    "withdrawn": "cli.why.withdrawn",
    "approved": "cli.why.approved",
    "refused": "cli.why.refused",
    "undone": "cli.why.undone",
    "asked": "cli.why.widen_asked",
    "widened": "cli.why.widened",
    "ended": "cli.why.widen_ended",
    "lapsed": "cli.why.widen_lapsed",
}


def print_acts(acts: Iterable[Act]) -> None:
    """Who withdrew it, and who let it go, when and why."""
    for act in acts:
        reason = say(act.code, agreement="") if act.code else ""
        fields = {"who": act.who, "why": act.why or "–", "at": day(act.at), "reason": reason}
        about = {"id": act.stix_id, "made": act.made or "–", "right": act.right}
        about |= {"before": label_of(act.before), "to": label_of(act.level)}
        tell(_ACTS[act.act], number=act.number, version=act.version, **fields, **about)


def _print_room(room: Room, settings: Settings) -> None:
    heading(say("cli.trace.room", place=where_of(room.channel, settings), members=", ".join(room.members)))
    grid(_about_room(room, settings))


def _about_room(room: Room, settings: Settings) -> Iterator[tuple[str, str]]:
    ends = {each.id: each.end.isoformat() for each in settings.terms.agreements}
    yield say("cli.trace.name_state"), say(_STATES[room.state])
    agreements = [say("cli.trace.agreement", agreement=name, until=ends.get(name, "–")) for name in room.agreements]
    yield say("cli.trace.name_agreements"), "\n".join(agreements) or say("cli.trace.no_agreement")
    if room.paused:
        yield "", say("cli.trace.paused", who=room.paused)
    if room.channel.startswith("target:"):
        return
    accounts = ", ".join(room.accounts) or say("cli.trace.no_account")
    gone = [say("cli.trace.revoked", accounts=", ".join(room.revoked))] if room.revoked else []
    yield say("cli.trace.name_accounts"), "\n".join([accounts, *gone])
    last = room.last_fetch
    yield say("cli.trace.name_last"), say("cli.trace.never") if last is None else _fetch(last)


def _fetch(fetch: Fetch) -> str:
    code = "cli.trace.fetched" if fetch.exact else "cli.trace.fetched_at_most"
    return say(code, account=fetch.account, peer=fetch.peer, at=day(fetch.at), query=cut(fetch.query))


def _print_groups(groups: Iterable[Group]) -> None:
    rows = []
    for group in groups:
        verdict = f"[{_COLOURS.get(group.verdict, 'green')}]{escape(say('verdict.' + group.verdict))}[/]"
        words = _reasons(group.reasons, group.agreement)
        if group.alarm:
            words += " — " + say(group.alarm)
        rows.append((str(group.count), verdict, escape(f"{counts(group.types)}: {words}")))
    show_table(("cli.column.count", "cli.column.verdict", "cli.column.reason"), rows)


def _reasons(reasons: Iterable[str], agreement: str) -> str:
    return "; ".join(say(reason, agreement=agreement) for reason in reasons)


def _print_trace(trace: Traced, settings: Settings) -> None:
    out.print()
    place = say("cli.trace.title", place=where_of(trace.channel, settings), members=", ".join(trace.members))
    out.print(f"[bold]{clean(trace.stix_id)}[/] {escape(trace.version)}", soft_wrap=True)
    out.print(clean(place), soft_wrap=True)
    verdict = say("verdict." + trace.verdict)
    words = _reasons(trace.reasons, trace.agreement)
    out.print(f"[bold {_COLOURS.get(trace.verdict, 'green')}]{escape(verdict)}[/]: {escape(words)}")
    if trace.alarm:
        out.print(f"[bold red]{escape(say('cli.trace.alarm', alarm=say(trace.alarm)))}[/]")
    grid(_stated(trace, settings))
    grid(_labelled(trace))
    grid(_named(say("cli.trace.name_asked"), (line for step in trace.steps for line in _asked(step))))
    grid(_named(say("cli.trace.name_listing"), _stood(trace)))
    grid(_named(say("cli.trace.name_delivery"), _delivered(trace)))
    grid(_named(say("cli.trace.name_next"), _next(trace)))


def _named(name: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    """The name beside the first line only."""
    found = list(lines)
    return [(name if number == 0 else "", line) for number, line in enumerate(found)]


def _stated(trace: Traced, settings: Settings) -> Iterator[tuple[str, str]]:
    code = "cli.trace.posted" if trace.posted else "cli.trace.stated"
    where = where_of(trace.posted, settings) if trace.posted else ""
    said = say(code, source=trace.source, peer=trace.giver, at=day(trace.received), place=where)
    yield say("cli.trace.name_stated"), said
    yield "", say(_AUTHORITY[trace.authority] if trace.creator else "cli.trace.by_nobody", creator=trace.creator)


def _labelled(trace: Traced) -> Iterator[tuple[str, str]]:
    origin = trace.origin
    none = say("cli.label.none")
    worth = ", ".join([*([origin.label] if origin.label else []), *axes(origin.axes)])
    said = say("cli.trace.worth", label=worth or none, basis=say(origin.basis))
    yield say("cli.trace.name_label"), said
    if origin.stated and origin.stated != origin.label:
        yield "", say("cli.trace.governed", stated=origin.stated)
    for mark in origin.marks:
        level = mark.level or say("cli.trace.unknown_mark")
        code = {"object": "cli.trace.mark", "tag": "cli.trace.tag"}.get(mark.where, "cli.trace.granular")
        yield "", say(code, where=mark.where, mark=mark.mark, level=level)
    if origin.basis != "label.stated":
        for near in origin.around:
            code = "cli.trace.end" if near.role == "end" else "cli.trace.referrer"
            yield "", say(code, id=near.stix_id, level=near.level or none)
        if origin.around_more:
            yield "", say("show.rest", count=origin.around_more)
    if origin.default:
        yield "", say("cli.trace.default", agreements=", ".join(origin.default))
    if origin.organisations is not None:
        yield "", say("cli.label.group", count=origin.organisations)
    if origin.reach:
        yield "", say("cli.trace.distribution", reach=origin.reach)
    if origin.victim_by:
        yield "", say("cli.trace.victim", ids=", ".join(origin.victim_by))


def _asked(step: Step) -> Iterator[str]:
    """What one question came to."""
    for clause in step.clauses:
        fields = {"agreement": clause.agreement, "ceiling": clause.ceiling or "–", "until": clause.until.date()}
        if clause.reason:
            yield "✗ " + say("cli.trace.clause", reason=say(clause.reason, agreement=clause.agreement), **fields)
        else:
            yield "✓ " + say("cli.trace.permits", **fields)
    if step.step == "released":
        return  # the agreement that permits it has been told
    if step.verdict is not None:
        sign = "✓ " if step.verdict.startswith("release") else "✗ "
        alike = {clause.reason for clause in step.clauses} == set(step.reasons)
        if not alike:
            yield sign + _reasons(step.reasons, step.agreement)
    elif step.step == "received":
        code = "cli.trace.received" if step.fields["agreements"] else "cli.trace.received_home"
        yield "✓ " + say(code, **step.fields)
    elif step.step == "transform":
        codes = "; ".join(say(code) for code in step.fields["codes"].split())
        made = "cli.trace.altered" if step.fields["id"] else "cli.trace.unaltered"
        yield "✓ " + say(made, codes=codes, id=step.fields["id"])
    elif step.step == "listing" and step.reasons:
        yield "✗ " + _reasons(step.reasons, step.agreement)
    elif step.step in _PASSED:
        yield "✓ " + say(_PASSED[step.step], **step.fields)


def _stood(trace: Traced) -> Iterator[str]:
    """Every time that it stood there."""
    if not trace.stays:
        yield say("cli.trace.never_listed")
    for stay in trace.stays[-_FEW:]:
        if stay.until is None:
            end = say("cli.trace.for_ever") if stay.not_after is None else day(stay.not_after)
            yield say("cli.trace.stands", since=day(stay.since), end=end) + _as_what(stay, trace)
        else:
            reason = say(stay.code, agreement=stay.agreement)
            yield say("cli.trace.stood", since=day(stay.since), until=day(stay.until), reason=reason) + _as_what(
                stay, trace
            )
    if trace.front is not None:
        yield say("cli.trace.front", id=trace.front.stix_id, since=day(trace.front.since))
    if trace.expires is not None:
        yield say("cli.why.expires" if trace.expires > now() else "cli.why.expired", date=day(trace.expires))
    if trace.then is not None:
        yield from _at_that_time(trace)


def _at_that_time(trace: Traced) -> Iterator[str]:
    then = trace.then
    if then is None:
        return
    at = day(then.at)
    if not then.member:
        yield say("cli.trace.then_no_member", at=at)
    elif then.stay is None:
        yield say("cli.trace.then_absent", at=at)
    else:
        yield say("cli.trace.then_stood", at=at, since=day(then.stay.since)) + _as_what(then.stay, trace)


def _as_what(stay: Stay, trace: Traced) -> str:
    """Of what was altered for them, the id and the version that they knew; else nothing."""
    if stay.stix_id == trace.stix_id:
        return ""
    if not stay.version:  # observables have none
        return " " + say("cli.trace.as_id", id=stay.stix_id)
    return " " + say("cli.trace.as", id=stay.stix_id, version=stay.version)


def _delivered(trace: Traced) -> Iterator[str]:
    if trace.offered:
        yield say("cli.trace.offered", members=", ".join(trace.offered))
    for fetch in trace.fetched[:_FEW]:
        yield _fetch(fetch)
    if trace.fetches > min(len(trace.fetched), _FEW):
        yield say("cli.trace.pages", count=trace.fetches)
    for handed in trace.handed:
        yield say("cli.trace.handed", peer=handed.peer, at=day(handed.at), outcome=say("count." + handed.outcome))
    if trace.parcel is not None:
        said = spoken(trace.parcel.message, LANGUAGE) or "–"
        state = say("count." + trace.parcel.state)
        yield say("cli.trace.parcel", state=state, attempts=trace.parcel.attempts, message=cut(said))
    for recall in trace.recalls:
        accounts = ", ".join(account for account, _ in recall.fetched) or "–"
        yield say("cli.trace.recalled", note=recall.note, at=day(recall.since), accounts=accounts)
    if not (trace.offered or trace.fetched or trace.handed or trace.parcel or trace.recalls):
        yield say("cli.trace.not_delivered")


def _next(trace: Traced) -> Iterator[str]:
    """What happens next by itself, and what a person can do; the reasons above say what else."""
    parcel = trace.parcel
    if trace.alarm:
        yield say("cli.trace.next_alarm")
    if parcel is not None and parcel.state == "pending":
        peer = trace.channel.partition(":")[2].partition("/")[0]
        if parcel.due is None:
            yield say("cli.trace.next_stuck", state=say("state." + parcel.target), peer=peer)
        else:
            yield say("cli.trace.next_push", at=day(parcel.due), ago=ago(parcel.due).lstrip("-"), peer=peer)
    elif trace.offered and not trace.fetched and parcel is None:
        yield say("cli.trace.next_fetch")


def print_census(found: Census, settings: Settings) -> None:
    """How much there is, and why there is no more."""
    for room in found.rooms:
        _print_room(room, settings)
        mine = [each for each in found.counts if (each.channel, each.members) == (room.channel, room.members)]
        rows = []
        for each in mine:
            words = _reasons(each.reasons, each.agreement)
            if each.alarm:
                words += " — " + say("cli.trace.alarm", alarm=say(each.alarm))
            stands = say(_STANDS[each.state])
            rows.append((str(each.count), escape(stands), escape(f"{_types(each.types)}: {words}")))
        show_table(("cli.column.count", "cli.column.state", "cli.column.reason"), rows)
        listed = sum(each.count for each in mine if each.state == "listed")
        tell("cli.trace.sum", listed=listed, held=found.held)
    if found.unlooked:
        tell("cli.trace.unlooked", count=found.unlooked)


def _types(types: Mapping[str, int]) -> str:
    most = sorted(types.items(), key=lambda each: -each[1])
    more = f" … (+{len(most) - _FEW})" if len(most) > _FEW else ""
    return counts(dict(most[:_FEW])) + more
