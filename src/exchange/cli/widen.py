"""Widening: a looser form of an object, by its creator's word or by the ministry's right under PFC."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange import log
from exchange.cli.audience import label_of
from exchange.cli.layout import clean
from exchange.cli.obstacles import in_words, place_of, print_obstacles
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    begun,
    guarded,
    load,
    now,
    opened,
    out,
    responsible,
    rules_of,
    say,
    show_json,
    speaker,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.policy.widening import RIGHTS, wanted
from exchange.store import Store, moment, widenings
from exchange.store.widenings import ENDED, Word
from exchange.sync import widening
from exchange.sync.loosening import Obstacle, Plan, Wish
from exchange.sync.terms import adopt
from exchange.sync.widening import Done

_FEW = 20


@guarded
def widen(
    asked: Annotated[str, typer.Argument(metavar="OBJECT", help=say("cli.widen.object"))] = "",
    to: Annotated[str, typer.Option("--to", metavar="LABEL", help=say("cli.widen.to"))] = "",
    right: Annotated[str, typer.Option("--right", metavar="creator|pfc", help=say("cli.widen.right"))] = "",
    why: Annotated[str, typer.Option("--why", help=say("cli.widen.why"))] = "",
    who: Annotated[str, typer.Option("--who", help=say("cli.widen.who"))] = "",
    source: Annotated[str, typer.Option("--source", metavar="PEER/SOURCE", help=say("cli.widen.source"))] = "",
    content: Annotated[bool, typer.Option("--with-content", help=say("cli.widen.content"))] = False,
    end: Annotated[int, typer.Option("--end", metavar="N", help=say("cli.widen.end"))] = 0,
    listed: Annotated[bool, typer.Option("--list", help=say("cli.widen.list"))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=say("cli.widen.yes"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Show who would have it newly, ask, and do it; or end such an act."""
    if listed:
        return _list(load(folder), as_json=as_json)
    settings = begun(folder)
    if not why.strip():
        raise UsageError("cli.widen.why_empty")
    person = _person(settings, who)
    if end:
        return _end(settings, end, person, why, as_json=as_json)
    wish = _wish(asked, to, right, source, content=content)
    rules = rules_of(settings)
    with opened(settings) as store:
        adopt(store, rules, now())
        try:
            plan = widening.planned(store, rules, wish, now())
            if not as_json:
                _show(plan, settings)
            if not yes:
                _confirm(as_json=as_json)
            done = widening.say(store, rules, plan, who=person, why=why, clock=now)
        except UsageError as error:
            raise in_words(error, settings) from None
    _record(plan, done, person, why)
    if as_json:
        show_json({**_plain(plan, settings), "number": done.act, "waits": done.waits, "made": done.made, "who": person})
    elif done.waits:
        tell("cli.widen.waits", number=done.act, count=done.waits)
    else:
        tell("cli.widen.done", number=done.act, count=len(done.made))
    return 0


def _person(settings: Settings, who: str) -> str:
    """Who says it. Where two must be two, that is the one who logged in, and no name beside."""
    login, found = responsible(), speaker(who)
    if found != login and rules_of(settings).eyes > 1:
        raise UsageError("cli.widen.login", who=who.strip(), login=login)
    return found


def _wish(asked: str, to: str, right: str, source: str, *, content: bool) -> Wish:
    if not asked.strip():
        raise UsageError("cli.widen.which")
    label = wanted(to)
    if label is None:
        raise UsageError("cli.widen.no_level", level=to[:40])
    if right not in RIGHTS:
        raise UsageError("cli.widen.no_right", right=right[:40])
    return Wish(asked=asked.strip(), to=label, right=right, source=source, content=content)


def _confirm(*, as_json: bool) -> None:
    """Whoever cannot be asked must have said yes."""
    if as_json or not sys.stdin.isatty():
        raise UsageError("cli.widen.confirm")
    if not typer.confirm(say("cli.widen.sure"), default=False):
        raise UsageError("cli.widen.left")


def _record(plan: Plan, done: Done, who: str, why: str) -> None:
    log.configure(LANGUAGE)
    told = {"number": done.act, "what": plan.items[0].held.stix_id, "count": len(plan.items), "who": who, "why": why}
    if done.waits:
        log.record("widen.asked", **told)
    else:
        log.record("widen.done", **told, to=label_of(plan.wish.to.to_text()), right=plan.wish.right)


def _end(settings: Settings, number: int, who: str, why: str, *, as_json: bool) -> int:
    rules = rules_of(settings)
    with opened(settings) as store:
        adopt(store, rules, now())
        gone = widening.finish(store, rules, number, who=who, why=why, clock=now)
    log.configure(LANGUAGE)
    log.record("widen.ended", number=number, count=len(gone), who=who, why=why)
    if as_json:
        show_json({"number": number, "gone": gone, "who": who, "why": why})
    else:
        tell("cli.widen.ended", number=number, count=len(gone))
    return 0


# --- what is told ---------------------------------------------------------------------------------------------------


def _show(plan: Plan, settings: Settings) -> None:
    """What would be done, as `exchange plan` shows a change."""
    to = label_of(plan.wish.to.to_text())
    for item in plan.items[:_FEW]:
        fields = {"id": item.held.stix_id, "before": label_of(item.label.to_text()), "to": to}
        out.print(f"[bold]{clean(say('cli.widen.item', **fields))}[/]", soft_wrap=True)
    if len(plan.items) > _FEW:
        tell("cli.widen.more", count=len(plan.items) - _FEW)
    for stix_id, code in plan.left_out[:_FEW]:
        out.print("  " + clean(say("cli.widen.left_out", id=stix_id, reason=say(code))), soft_wrap=True)
    if len(plan.left_out) > _FEW:
        tell("cli.widen.more", count=len(plan.left_out) - _FEW)
    for each in plan.effects:
        peer = settings.terms.peers[each.peer].name
        count = sum(each.more.values())
        told = say("cli.widen.more_visible", peer=peer, where=where_of(each.channel, settings), count=count)
        out.print(f"[bold yellow]{escape(told)}[/]", soft_wrap=True)
    if not plan.effects:
        tell("cli.widen.nobody")
    print_obstacles(plan.obstacles, settings)
    if plan.eyes > 1:
        tell("cli.widen.eyes", asked=plan.eyes, said=", ".join(plan.said) or "–")


def _plain(plan: Plan, settings: Settings) -> dict[str, Any]:
    return {
        "to": label_of(plan.wish.to.to_text()),
        "right": plan.wish.right,
        "objects": [
            {
                "id": item.held.stix_id, "version": item.held.version, "source": item.held.source,
                "before": label_of(item.label.to_text()), "after": label_of(item.made.label.to_text()),
                "new_id": item.made.id,
            }
            for item in plan.items
        ],
        "left_out": [{"id": stix_id, "reason": code} for stix_id, code in plan.left_out],
        "effects": plan.effects,
        "obstacles": [_obstacle(each, settings) for each in plan.obstacles],
        "persons": {"asked": plan.eyes, "said": plan.said},
    }  # fmt: skip


def _obstacle(each: Obstacle, settings: Settings) -> dict[str, Any]:
    file, key = place_of(each, settings) or ("", "")
    members, told = list(each.members), {"channel": each.channel, "agreement": each.agreement, "reason": each.reason}
    return {**told, "members": members, "file": file, "key": key}


def _list(settings: Settings, *, as_json: bool) -> int:
    with opened(settings) as store:
        acts = _acts(store)
    if as_json:
        show_json([_act(rows) for rows in acts.values()])
        return 0
    if not acts:
        tell("cli.widen.none")
    for rows in acts.values():
        told = _act(rows)
        state = say("cli.widen.state_" + told["state"])
        if told["reason"]:
            state += ": " + say(told["reason"])
        fields = {name: told[name] for name in ("number", "right", "who", "why", "before", "to")}
        what, count = told["objects"][0]["id"], len(told["objects"])
        line = say("cli.widen.line", **fields, what=what, count=count, state=state, ago=ago(told["at"]))
        out.print(clean(line), soft_wrap=True)
    return 0


def _acts(store: Store) -> Mapping[int, list[Word]]:
    """The rows of each act, the newest act first."""
    with store.reading() as tx:
        rows = widenings.everyone(tx)
    acts: dict[int, list[Word]] = {}
    for row in rows:
        acts.setdefault(row.act, []).append(row)
    return dict(sorted(acts.items(), reverse=True))


def _act(rows: list[Word]) -> dict[str, Any]:
    """One act: what it is about, who said so, and how it stands; partly ended counts as it stands for the rest."""
    last = {row.seq: row for row in rows}
    open_ = [row for row in last.values() if row.word != ENDED]
    state = open_[0].word if open_ else ENDED
    over = next((row for row in reversed(rows) if row.word == ENDED), None)
    first = rows[0]
    return {
        "number": first.act,
        "state": state,
        "right": first.right,
        "before": label_of(first.before),
        "to": label_of(first.level),
        "at": moment(first.at),
        "who": ", ".join(dict.fromkeys(_speakers(rows))),
        "why": first.why,
        "reason": "" if open_ or over is None else over.code,
        "objects": [
            {"id": row.stix_id, "version": row.version, "new_id": _made(rows, row.seq), "state": row.word}
            for row in last.values()
        ],
    }


def _speakers(rows: Iterable[Word]) -> Iterable[str]:
    return (row.who for row in rows if row.who and row.word != ENDED)


def _made(rows: Iterable[Word], seq: int) -> str:
    return next((row.made for row in rows if row.seq == seq and row.made), "")
