"""What moves intelligence by hand: a pull now, a file in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange import daemon, log
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    begun,
    counts_text,
    err,
    guarded,
    now,
    opened,
    out,
    peer_of,
    plain,
    rules_of,
    say,
    show_json,
    show_table,
    source_of,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.i18n import text
from exchange.store import Store, audiences, micros, sources
from exchange.store.sources import Standing
from exchange.sync.breaker import able, may_try
from exchange.sync.imports import import_files
from exchange.sync.overview import Line, overview
from exchange.sync.pull import pull
from exchange.sync.push import push
from exchange.sync.schedule import HEARTBEAT, Schedule
from exchange.sync.terms import adopt

_ALIVE = 15_000_000
"""µs since its last sign of life after which a daemon counts as not running."""
_PATIENCE = 600.0


@guarded
def sync(
    peer: Annotated[str, typer.Argument(help=say("cli.sync.peer"))] = "",
    since: Annotated[str, typer.Option("--from", help=say("cli.sync.from"))] = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Pull from (and push to) a peer, or all, now: by the daemon if it runs, else by this command itself."""
    settings = begun(folder)
    again_from = _moment(since) if since else None
    if again_from and not peer:
        raise UsageError("cli.sync.from_whom")
    peers = [peer_of(settings, peer)] if peer else list(settings.terms.peers.values())
    log.configure(LANGUAGE, "console")
    with opened(settings) as store:
        names, asked = {p.id for p in peers}, micros(now())
        if again_from:
            with store.writing() as tx:
                _check_from(again_from, [sources.standings(tx).get(key) for key in _pulled(settings, names)])
                sources.begin_again(tx, _pulled(settings, names), micros(again_from), micros(now()))
        if is_running(store):
            _by_the_daemon(store, settings, names)
        else:
            _by_ourselves(store, settings, names)
        lines = [line for line in overview(store, settings.terms, now()) if line.peer in names]
        with store.reading() as tx:
            standings, brought = sources.standings(tx), sources.counts_since(tx, asked)
    late = [key for key in _pulled(settings, names) if key in standings and (standings[key].last_end or 0) < asked]
    if as_json:
        show_json([{**plain(line), "brought": brought.get(line.key, {})} for line in lines])
    else:
        show_table(
            ("cli.column.where", "cli.column.outcome", "cli.column.counts"),
            [_row(line, brought.get(line.key, {})) for line in lines if line.kind != "file"],
        )
        for key in late:
            err.print(f"[red]{escape(say('cli.sync.not_run', key=key))}[/]", soft_wrap=True)
    return 1 if late or any(line.error for line in lines) else 0


def _row(line: Line, brought: Mapping[str, int]) -> tuple[str, str, str]:
    return escape(line.key), escape(outcome_text(line)), escape(counts_text(brought))


def is_running(store: Store) -> bool:
    """Whether a daemon works on this store, by its last sign of life."""
    with store.reading() as tx:
        return micros(now()) - int(audiences.note(tx, HEARTBEAT) or 0) < _ALIVE


def _by_ourselves(store: Store, settings: Settings, peers: set[str]) -> None:
    schedule = Schedule(
        store, settings.terms, daemon.clients, clock=daemon.clock, outbound=settings.sync.outbound,
        node=settings.node.name,
    )  # fmt: skip
    schedule.prepare()
    try:
        for source in schedule.sources().values():
            if source.peer in peers:
                pull(schedule.work, source, schedule.client(source), forced=True)
        for target in schedule.targets().values():
            if target.peer in peers:
                push(schedule.work, target, schedule.client(target), forced=True)
    finally:
        schedule.stop()


def _by_the_daemon(store: Store, settings: Settings, peers: set[str]) -> None:
    """Make the sources due at once and wait until each has been through."""
    keys = _pulled(settings, peers)
    asked = micros(now())
    with store.writing() as tx:
        sources.hurry(tx, keys | {target.key for name in peers for target in settings.terms.peers[name].targets}, asked)
    deadline = time.monotonic() + _PATIENCE
    watch = store.watch()
    with err.status(say("cli.sync.waiting")):
        while time.monotonic() < deadline:
            with store.reading() as tx:
                standings = sources.standings(tx)
                able_now = able(tx, rules_of(settings), outbound=settings.sync.outbound)
            late = [key for key in keys if key in standings and (standings[key].last_end or 0) < asked]
            tried = any(standing.lease_until > micros(now()) for standing in standings.values())
            if not late or not (tried or any(may_try(key, able_now, standings, now()) for key in late)):
                break  # all done; or the peer is braked or out of reach, and what is late waits for it
            watch.wait(0.2)
    watch.close()


def _pulled(settings: Settings, peers: set[str]) -> set[str]:
    """The keys of what is pulled from these peers."""
    return {s.key for name in peers for s in settings.terms.peers[name].sources if s.enabled and s.kind != "file"}


def _check_from(again_from: datetime, standings: Sequence[Standing | None]) -> None:
    """Back is the only way: to begin later than everything was read up to would leave something out."""
    for standing in standings:
        if standing is not None and standing.last_complete is None:
            raise UsageError("cli.sync.from_never", source=standing.key)
        if standing is not None and micros(again_from) > (standing.last_complete or 0):
            raise UsageError("cli.sync.from_later", source=standing.key, value=again_from.isoformat(timespec="minutes"))


def _moment(text: str) -> datetime:
    """A day or a time as people write it, UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError("cli.sync.bad_time", value=text[:40]) from None


def outcome_text(line: Line) -> str:
    """The last outcome in words, with the error if there was one."""
    if line.error:
        return text(str(line.error["code"]), LANGUAGE, **dict(line.error["fields"]))
    return say(f"state.{line.outcome}") if line.outcome else say("state.never")


@guarded
def import_(
    file: Annotated[Path, typer.Argument(help=say("cli.import.file"))],
    source: Annotated[str, typer.Option("--source", help=say("cli.import.source"), metavar="PEER/SOURCE")],
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Take a file, or a folder of files, as from one of a peer's sources."""
    settings = begun(folder)
    origin = source_of(settings, source)
    log.configure(LANGUAGE, "console")
    rules, total, files = rules_of(settings), Counter[str](), []
    with opened(settings) as store:
        adopt(store, rules, now())
        for imported in import_files(store, rules, file, origin, now):
            total.update(imported.counts)
            files.append({"file": str(imported.path), "counts": imported.counts})
            if not as_json:
                out.print(f"{imported.path.name}: {counts_text(imported.counts)}", soft_wrap=True, markup=False)
    if as_json:
        show_json({"source": source, "files": files, "total": dict(total)})
    elif len(files) > 1:
        out.print(say("cli.import.total", files=len(files), counts=counts_text(total)), markup=False)
    if total["rejected"] and not as_json:
        out.print(say("cli.import.rejected", count=total["rejected"], source=source), markup=False, soft_wrap=True)
    return 65 if total["rejected"] and not total.keys() - {"rejected", "skipped"} else 0
