"""What was set aside: its reason, and the bytes as they came."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange import log
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
    person,
    rules_of,
    say,
    show_json,
    show_table,
    source_of,
    tell,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import Store, moment, quarantine
from exchange.sync import retrial
from exchange.sync.terms import adopt

app = typer.Typer(no_args_is_help=True)


@app.command("list", help=say("cli.quarantine.list.help"))
@guarded
def list_(
    source: Annotated[str, typer.Option("--source", help=say("cli.import.source"), metavar="PEER/SOURCE")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help=say("cli.quarantine.most"))] = 50,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The newest first."""
    settings = load(folder)
    _known(settings, source)
    with opened(settings) as store, store.reading() as tx:
        rows = quarantine.entries(tx, key=source, most=most)
        total = sum(n for key, n in quarantine.counts(tx).items() if not source or key == source)
    if as_json:
        show_json({"total": total, "entries": [{**r, "message": say(r["code"], **r["fields"])} for r in rows]})
        return 0
    show_table(
        ("cli.column.number", "cli.column.source", "cli.column.since", "cli.column.object", "cli.column.reason"),
        [
            (
                str(r["id"]), escape(r["source"]), ago(moment(r["received"])), escape(r["stix_id"] or "–"),
                escape(say(r["code"], **r["fields"])),
            )
            for r in rows
        ],
    )  # fmt: skip
    tell("cli.quarantine.total", shown=len(rows), total=total)
    return 0


@app.command("show", help=say("cli.quarantine.show.help"))
@guarded
def show(
    number: Annotated[int, typer.Argument(min=1, max=2**62, help=say("cli.quarantine.number"))],
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The reason, and the bytes exactly as they came."""
    settings = load(folder)
    with opened(settings) as store, store.reading() as tx:
        rows = quarantine.entries(tx, number=number)
    if not rows:
        raise UsageError("cli.quarantine.unknown", number=number)
    row = rows[0]
    if as_json:
        show_json({**row, "message": say(row["code"], **row["fields"])})
        return 0
    tell("cli.quarantine.reason", source=row["source"], seen=row["seen"], reason=say(row["code"], **row["fields"]))
    sys.stdout.flush()
    sys.stdout.buffer.write(bytes(row["raw"]) + b"\n")
    return 0


@app.command("retry", help=say("cli.quarantine.retry.help"))
@guarded
def retry(
    number: Annotated[int, typer.Argument(min=0, max=2**62, help=say("cli.quarantine.number"))] = 0,
    source: Annotated[str, typer.Option("--source", help=say("cli.import.source"), metavar="PEER/SOURCE")] = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Judge entries again, by the release and the terms of now; what is taken leaves the quarantine."""
    settings = begun(folder)
    _one_or_source(number, source)
    _known(settings, source)
    log.configure(LANGUAGE, "console")
    counts: Counter[str] = Counter()
    with opened(settings) as store:
        rules = rules_of(settings)
        adopt(store, rules, now())
        for numbers in _chosen(store, number, source):
            counts.update(retrial.retry(store, rules, numbers, now))
    if number and not counts:
        raise UsageError("cli.quarantine.unknown", number=number)
    if as_json:
        show_json(dict(counts))
    else:
        fields = {name: counts[name] for name in ("taken", "rejected", "waiting")}
        tell("cli.quarantine.retried", **fields)
    return 0 if counts["taken"] or not counts else 1


@app.command("drop", help=say("cli.quarantine.drop.help"))
@guarded
def drop(
    number: Annotated[int, typer.Argument(min=0, max=2**62, help=say("cli.quarantine.number"))] = 0,
    source: Annotated[str, typer.Option("--source", help=say("cli.import.source"), metavar="PEER/SOURCE")] = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Take entries out for good, with their bytes; who did it is logged."""
    settings = load(folder)
    _one_or_source(number, source)
    _known(settings, source)
    with opened(settings) as store, store.writing() as tx:
        dropped = quarantine.drop(tx, key=source, number=number)
    if number and not dropped:
        raise UsageError("cli.quarantine.unknown", number=number)
    log.configure(LANGUAGE)
    log.record("quarantine.dropped", what=source or str(number), count=dropped, who=person())
    if as_json:
        show_json({"dropped": dropped})
    return 0


def _known(settings: Settings, source: str) -> None:
    """A source that nobody has would look like one without entries; what was posted has a name of its own."""
    if source and "/post:" not in source:
        source_of(settings, source)


def _one_or_source(number: int, source: str) -> None:
    """One of the two: neither is no way to say *everything*."""
    if bool(number) == bool(source):
        raise UsageError("cli.quarantine.which")


def _chosen(store: Store, number: int, source: str) -> Iterator[Sequence[int]]:
    if number:
        yield [number]
        return
    after = 0
    while True:
        with store.reading() as tx:
            numbers = quarantine.of_source(tx, source, after, 100)
        if not numbers:
            return
        yield numbers
        after = numbers[-1]
