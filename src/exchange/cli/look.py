"""Looking: how it stands with each partner, and why something went, or did not go, to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange.cli import trace
from exchange.cli.flow import outcome_text
from exchange.cli.layout import axes
from exchange.cli.period import gone_by
from exchange.cli.remains import print_erased
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    counts_text,
    guarded,
    load,
    now,
    opened,
    out,
    peer_of,
    rules_of,
    say,
    show_json,
    show_table,
    span,
    tell,
)
from exchange.config import Settings, applied
from exchange.config.applied import Standing
from exchange.errors import UsageError
from exchange.i18n import spoken
from exchange.policy.ending import OVER, STEPS, Ending, endings
from exchange.store import accounts, handshakes, moment
from exchange.store.handshakes import Shown
from exchange.store.statements import Held
from exchange.sync import tracing
from exchange.sync.census import census_of
from exchange.sync.eventful import axes_of
from exchange.sync.explain import Answer, Explained, Explanation, Recalled, explain
from exchange.sync.line import WARNED
from exchange.sync.overview import Line, overview
from exchange.sync.subjects import GUEST
from exchange.sync.traced import Census, Traces

_COLOURS = {
    "ok": "green",
    "failing": "red",
    "tripped": "bold red",
    "paused": "bold red",
    "disabled": "dim",
    "running": "cyan",
}
_VERDICTS = {"release": "green", "hold": "yellow", "deny": "red"}
_WIDE = 100
"""Columns of a terminal from which on everything fits."""


@guarded
def peers(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """State, lag, last outcome and next run of every source and target."""
    settings = load(folder)
    with opened(settings) as store:
        standing = applied.running(store, folder)
        lines = overview(store, settings.terms, now())
        with store.reading() as tx:
            brakes = accounts.brakes(tx)
            ending = [each for each in handshakes.shown(tx) if _days_left(each) < WARNED[0]]
    treaties = list(endings(settings.terms.agreements, now().date()))
    if as_json:
        runs = {name: getattr(standing, name) for name in ("version", "differing", "mistakes")}
        data = {"lines": lines, "brakes": brakes, "certificates": ending, "agreements": treaties, "configuration": runs}
        show_json(data)
        return 0
    columns = ("where", "state", "lag", "succeeded", "moved", "held", "quarantine", "next")
    # On a narrow terminal what can be told from the rest is left out, instead of the ends of all words.
    fitting = [n for n, name in enumerate(columns) if out.width >= _WIDE or name not in ("lag", "moved")]
    rows = [_line(line) for line in lines]
    show_table([f"cli.column.{columns[n]}" for n in fitting], [[row[n] for n in fitting] for row in rows], folds=False)
    for line in lines:
        if line.counts or line.waiting:
            out.print(f"[dim]{escape(_arrow(line))}: {escape(_moved(line))}[/]", soft_wrap=True)
    for line in lines:
        if line.error:
            out.print(f"[red]{escape(line.key)}[/]: {escape(outcome_text(line))}", soft_wrap=True)
        elif line.failure:
            words = say(line.failure["code"], **line.failure["fields"])
            told = say("cli.peers.failed", key=line.key, ago=ago(line.failed), reason=words)
            out.print(f"[dim]{escape(told)}[/]", soft_wrap=True)
        for remark in line.remarks:
            words = say(remark["code"], **remark["fields"])
            out.print(f"[yellow]{escape(line.key)}[/]: {escape(words)}", soft_wrap=True)
    _warn_of_ends(ending, treaties, settings)
    _warn_of_files(standing)
    for brake in brakes:
        fields = {**brake, "at": ago(_moment(brake)), "direction": say("cli." + brake["direction"])}
        out.print(f"[bold red]{escape(say('cli.peers.brake', **fields))}[/]")
    return 0


_FEW = 6  # statements that are told one by one
_CERTIFICATES = {
    ("theirs", True): "cli.peers.certificate_theirs",
    ("theirs", False): "cli.peers.certificate_theirs_ended",
    ("ours", True): "cli.peers.certificate_ours",
    ("ours", False): "cli.peers.certificate_ours_ended",
}


def _days_left(shown: Shown) -> int:
    return (moment(shown.not_after) - now()).days


def _warn_of(shown: Shown, settings: Settings) -> None:
    """Whose certificate ends when, where it stands, and whom to write to."""
    days, peer = _days_left(shown), settings.terms.peers.get(shown.peer)
    contact = "–" if peer is None else peer.contact or peer.name
    colour = "yellow" if days >= WARNED[1] else "red" if days >= WARNED[2] else "bold red"
    code = _CERTIFICATES[shown.side, days >= 0]
    fields = {"peer": shown.peer, "subject": shown.subject, "file": shown.file, "origin": shown.origin}
    date = moment(shown.not_after).date().isoformat()
    words = say(code, **fields, days=abs(days), contact=contact, date=date)
    out.print(f"[{colour}]{escape(words)}[/]", soft_wrap=True)


_ENDING = {
    STEPS[0]: ("yellow", "cli.peers.agreement_ending"),
    STEPS[1]: ("red", "cli.peers.agreement_ending_soon"),
    STEPS[2]: ("bold red", "cli.peers.agreement_ending_now"),
    OVER: ("bold red", "cli.peers.agreement_ended"),
}


def _warn_of_ends(certificates: Sequence[Shown], treaties: Sequence[Ending], settings: Settings) -> None:
    """Which certificates and agreements end when; or that releases under one of these have stopped."""
    for shown in certificates:
        _warn_of(shown, settings)
    for near in treaties:
        colour, code = _ENDING[near.step]
        parties, until = ", ".join(near.parties), near.until.isoformat()
        words = say(code, agreement=near.agreement, parties=parties, until=until, days=abs(near.days))
        out.print(f"[{colour}]{escape(words)}[/]", soft_wrap=True)


def _warn_of_files(standing: Standing) -> None:
    """Whether the folder is otherwise than what runs."""
    fields = {"version": standing.version, "mistakes": standing.mistakes, "files": ", ".join(standing.differing)}
    if standing.altered:
        words = say("log.config.altered", version=standing.version, altered=", ".join(map(str, standing.altered)))
        out.print(f"[bold red]{escape(words)}[/]", soft_wrap=True)
    if standing.mistakes:
        out.print(f"[bold red]{escape(say('log.config.last_good', **fields))}[/]", soft_wrap=True)
    elif standing.differing:
        words = say("log.config.differs", **fields, count=len(standing.differing))
        out.print(f"[yellow]{escape(words)}[/]", soft_wrap=True)


def _arrow(line: Line) -> str:
    return ("→ " if line.direction == "out" else "← ") + line.key


def _moved(line: Line) -> str:
    counts = counts_text(line.counts)
    waiting = [say("cli.peers.waiting", n=line.waiting)] if line.waiting else []
    followed = [say("cli.peers.followed", n=line.followed)] if line.followed else []
    return ", ".join([*waiting, *followed, *filter(None, [counts])])


def _line(line: Line) -> tuple[str, ...]:
    colour = _COLOURS.get(line.state, "yellow")
    return (
        _arrow(line),
        f"[{colour}]{say('state.' + line.state)}[/]",
        span(line.lag),
        ago(line.succeeded),
        ago(line.moved),
        str(line.held or ""),
        str(line.quarantined or ""),
        "–" if line.next is None else span(max(0.0, (line.next - now()).total_seconds())),
    )


def _moment(row: Mapping[str, Any]) -> datetime:
    return moment(int(row["at"]))


@guarded
def why(
    asked: Annotated[str, typer.Argument(help=say("cli.show.asked"))] = "",
    peer: Annotated[str, typer.Option("--peer", help=say("cli.why.peer"))] = "",
    collection: Annotated[str, typer.Option("--collection", help=say("cli.why.collection"))] = "",
    at: Annotated[str, typer.Option("--at", metavar="YYYY-MM-DD[THH:MM]", help=say("cli.why.at"))] = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Who may have it, who may not, and the reason for each; for what was never seen, where we looked."""
    if not (asked or peer or collection):
        raise UsageError("cli.why.what")
    if asked and not (peer or collection):
        return _to_all(asked, folder, as_json=as_json)
    settings = load(folder)
    then = gone_by(at)
    channel = tracing.channel_of(settings.terms, collection)
    if collection and not channel:
        known = ", ".join(sorted(each.alias for each in settings.terms.collections.values()))
        raise UsageError("cli.trace.no_such_collection", collection=collection, known=known or "–")
    who = peer_of(settings, peer).id if peer else ""
    with opened(settings) as store:
        rules, when = rules_of(settings), now()
        if not tracing.asked_of(rules, who, channel):
            return trace.no_room(trace.Names(asked, peer, collection), settings)
        if not asked:
            _tell_census(census_of(store, rules, when, peer=who, channel=channel), settings, as_json=as_json)
            return 0
        found = tracing.trace_of(store, rules, asked, when, peer=who, channel=channel, at=then)
        absent = None if found.statements else replace(explain(store, rules, asked, when), erased=found.erased)
    if as_json:
        show_json(found)
    else:
        trace.print_traces(found, settings)
        _print_aside(found)
        if absent is not None:
            _print_absent(absent, settings)
    return 1 if absent is not None else 0


def _print_aside(found: Traces) -> None:
    """What a source contradicted itself with, and who no longer lists it; of what was never held `explain` tells."""
    for row in found.quarantine if found.statements else ():
        tell("cli.why.quarantined", number=row["id"], source=row["source"], reason=say(row["code"], **row["fields"]))
    for row in found.vanished:
        tell("cli.why.vanished", source=row["key"], ago=ago(moment(int(row["noticed"]))))


def _tell_census(found: Census, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        trace.print_census(found, settings)


def _to_all(asked: str, folder: Path, *, as_json: bool) -> int:
    settings = load(folder)
    with opened(settings) as store:
        explanation = explain(store, rules_of(settings), asked, now())
    if as_json:
        show_json(explanation)
        return 0 if explanation.statements else 1
    for alike in _together(explanation.statements):
        _print_statement(alike[0], settings, others=alike[1:])
    for row in explanation.deliveries:
        if row.get("outcome"):
            tell("cli.why.delivered", **{**row, "at": ago(_moment(row)), "outcome": say("count." + row["outcome"])})
        else:
            said = str(row.get("message") or "")
            words = spoken(said, LANGUAGE) or "–"
            tell("cli.why.parcel", **{**row, "state": say("count." + row["state"]), "message": words})
            if row["status"]:
                tell("cli.why.followed", status=row["status"])
    trace.print_acts(explanation.acts)
    for recall in explanation.recalls:
        _print_recall(recall, settings)
    for row in explanation.vanished:
        tell("cli.why.vanished", source=row["key"], ago=ago(moment(int(row["noticed"]))))
    _print_absent(explanation, settings)
    return 0 if explanation.statements else 1


def _print_recall(recall: Recalled, settings: Settings) -> None:
    where = _where(recall.channel, recall.members, settings)
    tell("cli.why.recalled", channel=where, ago=ago(recall.since), note=recall.note)
    for account, at in recall.fetched:
        tell("cli.why.recall_fetched", account=account, ago=ago(at))
    if recall.until is not None:
        tell("cli.why.recall_over", ago=ago(recall.until))


def _where(channel: str, members: Sequence[str], settings: Settings) -> str:
    kind, _, name = channel.partition(":")
    collection = settings.terms.collections.get(name)
    return say(f"cli.{kind}", name=collection.alias if collection else name, members=", ".join(members))


def _label(held: Held) -> str:
    """The levels, and whether it is for some organisations only; the reasons say what that means to whom."""
    label = held.label
    if label is None or not label.stated:
        return say("cli.label.none")
    levels = [level.label for level in (label.tlp, label.pap, label.pfc) if level is not None]
    if label.orgs is not None:
        levels.append(say("cli.label.group", count=len(label.orgs)))
    return ", ".join([*levels, *sorted(label.unknown | label.iep), *axes(axes_of(label))])


def _together(items: Sequence[Explained]) -> list[list[Explained]]:
    """Those that fare alike together, where there are many, as in an event; each by itself where there are few."""
    groups: dict[Any, list[Explained]] = {}
    for item in items:
        held = item.held
        answers = [(a.channel, a.verdict, a.reasons, a.agreement, a.listed is None, a.folded) for a in item.answers]
        fate = (held.source, _label(held), held.basis, held.repairs, item.lost, item.rank < GUEST, *answers)
        groups.setdefault(fate if len(items) > _FEW else held.seq, []).append(item)
    return list(groups.values())


def _print_statement(item: Explained, settings: Settings, others: Sequence[Explained] = ()) -> None:
    """What holds for it, and alike for the others."""
    held = item.held
    if others:
        kinds = Counter(each.held.stix_id.partition("--")[0] for each in (item, *others))
        named = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        out.print(f"[bold]{escape(say('cli.why.together', count=len(others) + 1, kinds=named))}[/]", soft_wrap=True)
    else:
        out.print(f"[bold]{escape(held.stix_id)}[/] {held.version.rstrip('0').rstrip('.')}")
    tell("cli.why.source", source=held.source, ago=ago(moment(held.received)))
    tell("cli.why.label", label=_label(held), basis=say(held.basis))
    for repair in filter(None, held.repairs.split(",")):
        tell("cli.why.repaired", repair=say(repair))
    for code in item.lost:
        tell("cli.why.misp", reason=say(code))
    if item.rank < GUEST:
        tell("cli.why.opinion")
    rows = [_answer_row(answer, settings) for answer in item.answers]
    show_table(("cli.column.for", "cli.column.verdict", "cli.column.reason"), rows)


def _answer_row(answer: Answer, settings: Settings) -> tuple[str, str, str]:
    reasons = "; ".join(say(reason, agreement=answer.agreement) for reason in answer.reasons)
    if answer.closed and answer.listed is None:
        again = answer.closed in answer.reasons
        reasons += " — " + say("cli.why.was_listed_so" if again else "cli.why.was_listed", reason=say(answer.closed))
    if answer.expires is not None:
        code = "cli.why.expires" if answer.expires > now() else "cli.why.expired"
        reasons += " — " + say(code, date=answer.expires.strftime("%Y-%m-%d %H:%M UTC"))
    if answer.alarm:
        reasons += " — " + say("cli.trace.alarm", alarm=say(answer.alarm))
    verdict = say(f"verdict.{answer.verdict}")
    if answer.listed is not None:
        verdict += " " + say("cli.why.folded" if answer.folded else "cli.why.listed", ago=ago(answer.listed))
    where = _where(answer.channel, answer.members, settings)
    return escape(where), f"[{_VERDICTS[answer.verdict]}]{escape(verdict)}[/]", escape(reasons)


def _print_absent(explanation: Explanation, settings: Settings) -> None:
    print_erased(explanation.asked, explanation.erased, settings)
    for row in explanation.quarantine:
        tell("cli.why.quarantined", number=row["id"], source=row["source"], reason=say(row["code"], **row["fields"]))
    for row in explanation.passed_over:
        tell("cli.why.passed_over", source=row["source"], reason=say(row["code"], **row["fields"]))
    if explanation.statements or explanation.quarantine or explanation.passed_over or explanation.erased:
        return
    tell("cli.why.never_seen", asked=explanation.asked)
    for source, drained in explanation.drains.items():
        if drained is None:
            tell("cli.why.never_drained", source=source)
        else:
            tell("cli.why.drained", source=source, at=drained.strftime("%Y-%m-%d %H:%M:%S UTC"), ago=ago(drained))
