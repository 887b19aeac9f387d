"""Changing the configuration: what a change would do, doing it, taking it back, and what was done."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange import log
from exchange.cli.audience import label_of
from exchange.cli.flow import is_running
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    checked,
    err,
    guarded,
    now,
    out,
    person,
    say,
    show_json,
    show_table,
    tell,
    warn,
    where_of,
)
from exchange.config import Settings, applied
from exchange.config.applied import Proposal
from exchange.config.difference import Change, difference
from exchange.config.folder import keep
from exchange.errors import UsageError
from exchange.model.marking import Label
from exchange.policy import Rules
from exchange.store import PATIENCE, Store, accounts, configurations, moment, open_store
from exchange.sync.effects import Effect, Effects, Turn, effects, turns
from exchange.sync.terms import adopt, follows

Why = Annotated[str, typer.Option("--why", help=say("cli.apply.why"))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("cli.apply.yes"))]
_SOON = 15.0
"""Seconds that a command waits for the daemon to follow."""
_SIGNS = {"added": ("green", "+"), "removed": ("red", "-"), "changed": ("yellow", "~"), "rewritten": ("dim", "~")}


@guarded
def plan(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """What the folder has otherwise than what runs, and what that would change for whom; nothing is changed."""
    store = _opened(folder)
    try:
        change = applied.proposed(store, folder)
        expected = _expected(store, change)
        if as_json:
            show_json(_data(change, expected))
            return 0
        _show(change, expected)
        if change.changes:
            tell("cli.plan.next")
    finally:
        store.close()
    return 0


@guarded
def apply(
    why: Why = "",
    yes: Yes = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Make the folder what runs, after showing what that changes."""
    store = _opened(folder)
    try:
        return _carry_out(store, folder, applied.proposed(store, folder), why, yes=yes, as_json=as_json)
    finally:
        store.close()


@guarded
def rollback(
    number: Annotated[int, typer.Argument(min=0, max=2**31, help=say("cli.rollback.version"))] = 0,
    why: Annotated[str, typer.Option("--why", help=say("cli.apply.why"))] = "",
    yes: Yes = False,
    write: Annotated[bool, typer.Option("--write", help=say("cli.rollback.write"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Apply an earlier version again; the folder stays as it is, unless it is asked to be written back."""
    if not why.strip():
        raise UsageError("cli.rollback.why_empty")
    store = _opened(folder)
    try:
        change = applied.proposed(store, folder, number or _before(store))
        code = _carry_out(store, folder, change, why, yes=yes, as_json=as_json)
        if code == 0 and write:
            for path in keep(folder, change.files):
                err.print(escape(say("cli.rollback.wrote", path=str(path))), soft_wrap=True)
        return code
    finally:
        store.close()


@guarded
def versions(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """What was applied: when, by whom, why, and what it changed."""
    store = applied.existing(checked(folder))
    found = []
    if store is not None:
        with store.reading() as tx:
            found = configurations.every(tx)
        store.close()
    changed = _changes(found)
    if as_json:
        fields = ("id", "who", "why", "restored", "digest", "intact")
        rows = [{name: getattr(one, name) for name in fields} | {"at": moment(one.at)} for one in found]
        show_json([{**row, "changes": [_change(c) for c in changed[row["id"]]]} for row in rows])
        return 0
    if not found:
        tell("cli.versions.none")
        return 0
    columns = ("version", "at", "who", "why", "files")
    show_table([f"cli.column.{name}" for name in columns], [_row(one, changed[one.id]) for one in found], folds=True)
    return 0


def _changes(found: Sequence[configurations.Applied]) -> dict[int, list[Change]]:
    """By number, what each changed of the one before it, as far as they are as they were applied."""
    changed: dict[int, list[Change]] = {}
    before: Mapping[str, str] = {}
    for one in found:
        changed[one.id] = difference(before, one.files) if one.intact else []
        before = one.files if one.intact else before
    return changed


def _row(one: configurations.Applied, changes: list[Change]) -> tuple[str, ...]:
    why = one.why or ("–" if one.restored is None else "")
    again = "" if one.restored is None else say("cli.versions.restored", version=one.restored) + " "
    files = escape(", ".join(dict.fromkeys(change.file for change in changes)) or "–")
    if not one.intact:
        files = f"[bold red]{escape(say('cli.versions.altered'))}[/]"
    at = moment(one.at).strftime("%Y-%m-%d %H:%M:%S UTC")
    return str(one.id), at, escape(one.who), escape(again + why), files


def _opened(folder: Path) -> Store:
    """The store in which the folder would run; the schema is made where there is none."""
    return open_store(applied.destination(checked(folder)), wait=PATIENCE)


def _before(store: Store) -> int:
    """The version before the one that runs; raises UsageError when there is none."""
    with store.reading() as tx:
        numbers = [one.id for one in configurations.every(tx)]
    if len(numbers) < 2:
        raise UsageError("cli.rollback.nothing")
    return numbers[-2]


def _carry_out(store: Store, folder: Path, change: Proposal, why: str, *, yes: bool, as_json: bool) -> int:
    """Show, ask, write down, follow."""
    if not change.changes and change.follows and change.runs == change.follows:
        if as_json:
            show_json({**_data(change, None), "applied": False})
        else:
            tell("cli.plan.nothing", version=change.follows)
        return 0
    expected = _expected(store, change)
    if not as_json:
        if change.changes:  # else it is applied as it runs, in place of what was written over
            _show(change, expected)
        if not yes and sys.stdin.isatty() and not typer.confirm(say("cli.apply.sure")):
            tell("cli.apply.left")
            return 1
    if change.restores is None and applied.proposed(store, folder).files != change.files:
        raise UsageError("cli.apply.edited", folder=str(folder))
    version = applied.apply(store, change, now(), who=person(), why=why)
    pointed = applied.point(folder, change.settings.store.url, now())
    log.configure(LANGUAGE, "console" if as_json else "auto")
    count = len({each.file for each in change.changes})
    log.record("config.applied", version=version, who=person(), why=why or "–", files=count)
    if not pointed:
        log.record("config.not_pointed", folder=str(folder))
    followed = _follow(store, Rules(change.settings.terms, now()))
    if as_json:
        show_json({**_data(change, expected), "applied": True, "version": version, "followed": followed})
        return 0
    tell("cli.apply.done" if followed else "cli.apply.deciding", version=version)
    return 0


def _follow(store: Store, rules: Rules) -> bool:
    """Let the daemon take it up, and wait a little; where none runs, adopt it here. False: it is still at it."""
    if not is_running(store):
        adopt(store, rules, now())
        return True
    deadline = time.monotonic() + _SOON
    watch = store.watch()
    try:
        while not follows(store, rules):
            if time.monotonic() > deadline:
                return False
            watch.wait(0.1)
    finally:
        watch.close()
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What a change would do; None in the place of what runs: this release cannot read that."""

    effects: Effects
    turns: Sequence[Turn]
    settings: Settings
    before: Settings


def _expected(store: Store, change: Proposal) -> _Expected | None:
    """Count what changes for whom; None: nothing runs yet, or what runs cannot be read."""
    if change.before is None:
        return None
    at = now()
    old, new = Rules(change.before.terms, at), Rules(change.settings.terms, at)
    with store.reading() as tx:
        live = [(str(row["name"]), str(row["peer"])) for row in accounts.accounts(tx) if row["revoked"] is None]
    return _Expected(
        effects=effects(store, old, new, at),
        turns=turns(old, new, live),
        settings=change.settings,
        before=change.before,
    )


def _data(change: Proposal, expected: _Expected | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "runs": change.runs or None,
        "restores": change.restores,
        "changes": [_change(each) for each in change.changes],
    }
    if expected is not None:
        found = expected.effects.found
        data |= {"effects": found, "turns": expected.turns, "not_looked_at": expected.effects.unseen}
    return data


def _change(each: Change) -> dict[str, Any]:
    fields = ("file", "key", "kind", "before", "after", "after_restart")
    return {name: getattr(each, name) for name in fields}


def _show(change: Proposal, expected: _Expected | None) -> None:
    """The change as a person reads it: file by file, key by key."""
    if change.restores is None:
        warn(change.settings)
    if not change.changes:
        tell("cli.plan.nothing", version=change.runs)
        return
    tell("cli.plan.title" if change.follows else "cli.plan.first", version=change.runs or change.follows)
    file = ""
    for each in change.changes:
        colour, sign = _SIGNS[each.kind]
        if each.file != file:
            file = each.file
            out.print(f"[bold]{escape(file)}[/]", soft_wrap=True)
        out.print(f"  [{colour}]{sign} {escape(_line(each))}[/]", soft_wrap=True)
    if any(each.after_restart for each in change.changes):
        out.print(f"[yellow]{escape(say('cli.plan.after_restart'))}[/]", soft_wrap=True)
    if expected is not None:
        _show_effects(expected)
    elif change.follows:
        tell("cli.plan.unknown", version=change.runs or change.follows)


def _show_effects(expected: _Expected) -> None:
    """Who would see what, and what begins or ends."""
    for turn in expected.turns:
        tell(f"cli.plan.turn_{turn.kind}", name=turn.name)
    for each in expected.effects.found:
        names = expected.settings if each.channel in _channels(expected.settings) else expected.before
        peer = (expected.settings.terms.peers.get(each.peer) or expected.before.terms.peers[each.peer]).name
        fields = {"peer": peer, "where": where_of(each.channel, names)}
        for code, counted in (("cli.plan.more", each.more), ("cli.plan.fewer", each.fewer)):
            if counted:
                told = say(code, **fields, count=_number(sum(counted.values())), labels=_labels(counted))
                colour = "bold yellow" if counted is each.more else "cyan"
                out.print(f"[{colour}]{escape(told)}[/]", soft_wrap=True)
        if each.reshaped:
            told = say("cli.plan.reshaped", **fields, count=_number(each.reshaped), forms=_forms(each))
            out.print(f"[{'bold yellow' if each.bared else 'cyan'}]{escape(told)}[/]", soft_wrap=True)
    if expected.effects.unseen:
        tell("cli.plan.unseen", count=_number(expected.effects.unseen))
    if expected.effects.altered:
        tell("cli.plan.altered")
    if not expected.effects.found:
        tell("cli.plan.same")
    elif expected.settings.terms.expiry or expected.before.terms.expiry:
        tell("cli.plan.expiry")


def _forms(effect: Effect) -> str:
    """How many would go how: first what would be hidden no longer."""
    said = [say(f"cli.plan.bared.{code}", count=_number(count)) for code, count in effect.bared.items()]
    said += [say(f"cli.plan.altered.{code}", count=_number(count)) for code, count in effect.altered.items()]
    if effect.renamed:
        said.append(say("cli.plan.renamed", count=_number(effect.renamed)))
    return ", ".join(said)


def _channels(settings: Settings) -> set[str]:
    return {f"collection:{name}" for name in settings.terms.collections}


def _number(count: int) -> str:
    """With the thousands apart, as the person's language writes them."""
    return f"{count:,}".replace(",", "\N{NO-BREAK SPACE}") if LANGUAGE == "fr" else f"{count:,}"


def _labels(counted: Mapping[str, int]) -> str:
    """How many of each label, the strictest first."""
    by_name: Counter[str] = Counter()
    for label in sorted(counted, key=_strict, reverse=True):
        by_name[label_of(label)] += counted[label]
    return ", ".join(f"{_number(count)} {name}" for name, count in by_name.items())


def _strict(label: str) -> int:
    return -1 if not label else int(Label.from_text(label).level(listed=False) or 0)


def _line(each: Change) -> str:
    if each.key == "*":
        return say(f"cli.plan.file_{each.kind}")
    value = f"{each.before} → {each.after}" if each.kind == "changed" else each.before or each.after
    line = f"{each.key} = {value}"
    return f"{line} {say('cli.plan.later')}" if each.after_restart else line
