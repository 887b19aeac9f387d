"""What is asked of a partner by hand: how it behaves, and whether both sides have the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange import daemon, log
from exchange.cli.flow import is_running
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    counts_text,
    err,
    guarded,
    load,
    now,
    opened,
    out,
    peer_of,
    say,
    show_json,
    show_table,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.i18n import text
from exchange.model.party import Peer, Source, Target
from exchange.store import Store, sources
from exchange.store.sources import Standing
from exchange.sync.overview import Line, overview
from exchange.sync.probing import probe as look
from exchange.sync.reconcile import reconcile as compare
from exchange.sync.schedule import Schedule

_PATIENCE = 600.0
FACTS = (
    "speaks", "title", "versions", "roots", "media_type", "role", "can_read", "can_write", "collections", "page",
    "limit", "following", "dates", "inclusive", "ties", "manifest", "max_content_length", "size", "etag", "skew",
    "latency",
)  # fmt: skip
"""What of a profile is told, in this order."""
WORDS = {
    "honoured": "cli.word.honoured",
    "cut": "cli.word.cut",
    "ignored": "cli.word.ignored",
    "refused": "cli.word.refused",
    "timestamp": "cli.word.timestamp",
    "opaque": "cli.word.opaque",
    "range": "cli.word.range",
    "missing": "cli.word.missing",
    "six digits": "cli.word.six_digits",
    "other digits": "cli.word.other_digits",
    "offset": "cli.word.offset",
    "http": "cli.word.http",
    "javascript": "cli.word.javascript",
    "unreadable": "cli.word.unreadable",
    "dated": "cli.word.dated",
    "undated": "cli.word.undated",
}
"""What a profile says in words of its own: word → message id."""
_WORDED = frozenset({"limit", "following", "dates", "manifest"})
Who = Annotated[str, typer.Argument(help=say("cli.inquiry.peer"))]


@guarded
def probe(peer: Who, folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Find out what a partner is and how it behaves; nothing is written there."""
    settings = load(folder)
    asked, began = _asked(settings, peer), now()
    log.configure(LANGUAGE, "console")
    with opened(settings) as store:
        _have(store, settings, asked, "probed", lambda s, e: look(s.work, e, s.client(e)))
        lines = [line for line in overview(store, settings.terms, now()) if line.peer == peer and line.kind != "file"]
    if as_json:
        show_json([{"key": line.key, "probed": line.probed, "profile": line.profile} for line in lines])
    for line in lines if not as_json else ():
        _tell(line, asked, began)
    return 0 if all(_is_new(line, began) and line.profile and line.profile.speaks for line in lines) else 69


def _asked(settings: Settings, name: str) -> Peer:
    """The peer, unless it is to be left alone now."""
    peer = peer_of(settings, name)
    until = peer.closed_until(now())
    if until is not None:
        raise UsageError("cli.inquiry.closed", peer=name, until=until.strftime("%Y-%m-%d %H:%M UTC"))
    return peer


def _is_new(line: Line, began: datetime) -> bool:
    return line.profile is not None and line.profile.at >= began


def _tell(line: Line, peer: Peer, began: datetime) -> None:
    out.print(f"[bold]{escape(line.key)}[/]", soft_wrap=True)
    if line.profile is None or not _is_new(line, began):
        out.print(escape(say("cli.probe.nothing", key=line.key, contact=peer.contact or peer.name)), soft_wrap=True)
        return
    for fact in FACTS:
        value = getattr(line.profile, fact)
        if value not in (None, "", ()):
            words = say(WORDS[value]) if fact in _WORDED and value in WORDS else _value(value)
            out.print("  " + escape(say(f"cli.profile.{fact}", value=words)), soft_wrap=True)
    for remark in line.profile.remarks:
        out.print("  [yellow]! " + escape(text(remark.code, LANGUAGE, **remark.fields)) + "[/]", soft_wrap=True)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return say("cli.yes" if value else "cli.no")
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@guarded
def reconcile(peer: Who, folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Compare what a partner lists with what we hold and sent; what is missing is fetched or sent again."""
    settings = load(folder)
    asked, began = _asked(settings, peer), now()
    log.configure(LANGUAGE, "console")
    with opened(settings) as store:
        _have(store, settings, asked, "reconciled", lambda s, e: compare(s.work, e, s.client(e)))
        lines = [line for line in overview(store, settings.terms, now()) if line.peer == peer and line.kind != "file"]
        lines = [line for line in lines if line.state != "disabled"]
    if as_json:
        show_json([{"key": each.key, "at": each.reconciled, "counts": each.difference} for each in lines])
    else:
        columns = ("cli.column.where", "cli.column.since", "cli.column.counts")
        show_table(columns, [(each.key, ago(each.reconciled), counts_text(each.difference)) for each in lines])
    late = [each.key for each in lines if each.reconciled is None or each.reconciled < began]
    for key in late if not as_json else ():
        err.print(f"[red]{escape(say('cli.reconcile.nothing', key=key))}[/]", soft_wrap=True)
    return 1 if late else 0


def _have(
    store: Store, settings: Settings, peer: Peer, what: str, job: Callable[[Schedule, Source | Target], object]
) -> None:
    """Have it done by the daemon, which alone can read the partner's secrets, else by this command itself."""
    entries: list[Source | Target] = [each for each in peer.sources if each.kind != "file"]
    entries += peer.targets
    if what == "reconciled":  # what is switched off may be looked at, and nothing is taken from it
        entries = [each for each in entries if each.enabled]
    if not is_running(store):
        schedule = Schedule(store, settings.terms, daemon.clients, clock=daemon.clock, outbound=settings.sync.outbound)
        schedule.prepare()
        try:
            for entry in entries:
                job(schedule, entry)
        finally:
            schedule.stop()
        return
    keys = {entry.key for entry in entries}
    with store.writing() as tx:
        sources.ask(tx, keys, what)
    deadline = time.monotonic() + _PATIENCE
    watch = store.watch()
    with err.status(say("cli.inquiry.waiting", peer=peer.name)):
        while time.monotonic() < deadline and not _answered(store, keys, what):
            watch.wait(0.2)
    watch.close()


def _answered(store: Store, keys: set[str], what: str) -> bool:
    with store.reading() as tx:
        standings: Mapping[str, Standing] = sources.standings(tx)
    return all(getattr(standings[key], what) != sources.ASKED for key in keys if key in standings)
