"""What was set aside: its reason, and the bytes as they came."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    ago,
    guarded,
    load,
    opened,
    say,
    show_json,
    show_table,
    tell,
)
from exchange.errors import UsageError
from exchange.store import moment, sources

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
    with opened(settings) as store, store.reading() as tx:
        rows = sources.quarantined(tx, key=source, most=most)
        total = sum(n for key, n in sources.quarantine_counts(tx).items() if not source or key == source)
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
    number: Annotated[int, typer.Argument(help=say("cli.quarantine.number"))],
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The reason, and the bytes exactly as they came."""
    settings = load(folder)
    with opened(settings) as store, store.reading() as tx:
        rows = sources.quarantined(tx, number=number)
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
