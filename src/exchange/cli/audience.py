"""What a partner can see, or could on a day gone by."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from exchange.cli.period import gone_by
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    guarded,
    load,
    now,
    opened,
    peer_of,
    say,
    show_json,
    show_table,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.model.marking import Label
from exchange.store import micros, offers
from exchange.store.offers import Place, Seen
from exchange.sync import accounting

_FIRST = 200


@guarded
def audience(
    peer: Annotated[str, typer.Argument(help=say("cli.inquiry.peer"))],
    at: Annotated[str, typer.Option("--at", metavar="YYYY-MM-DD[THH:MM]", help=say("cli.audience.at"))] = "",
    named: Annotated[bool, typer.Option("--objects", help=say("cli.ledger.objects"))] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help=say("cli.ledger.csv"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """What the partner can see now, or could see then: by collection, type and label, or object by object."""
    settings = load(folder)
    known = peer_of(settings, peer)
    when = gone_by(at) or now()
    with opened(settings) as store, store.reading() as tx:
        if named or as_csv:
            found = offers.seen(tx, known.id, micros(when))
            if as_csv:
                rows = (
                    (where_of(c, settings), p.stix_id, p.version, p.type, p.agreement, p.original) for c, p in found
                )
                titles = ("channel", "object", "version", "type", "agreement", "original")
                sys.stdout.writelines(accounting.lines(chain([titles], rows)))
            elif as_json:
                show_json([{"channel": channel, "object": place} for channel, place in found])
            else:
                _print_objects(found, settings)
            return 0
        counted = offers.visible(tx, known.id, micros(when))
    if as_json:
        show_json({"peer": known.id, "at": when, "visible": counted})
        return 0
    tell("cli.audience.title", peer=known.name, at=when.strftime("%Y-%m-%d %H:%M:%S UTC"))
    _print_counts(counted, settings)
    return 0


def _print_counts(counted: Iterable[Seen], settings: Settings) -> None:
    alike: Counter[tuple[str, str, str]] = Counter()
    for each in counted:  # a stored label says more than its levels: what MISP calls it, for one
        alike[where_of(each.channel, settings), each.type, label_of(each.label)] += each.count
    rows = [(*map(escape, named), str(count)) for named, count in alike.items()]
    if rows:
        show_table(("cli.column.where", "cli.column.type", "cli.column.label", "cli.column.count"), rows)
    tell("cli.audience.sum", n=alike.total())


def label_of(text: str) -> str:
    """A stored label as people read it: the levels that it states."""
    label = Label.from_text(text) if text else None
    levels = [] if label is None else [each.label for each in (label.tlp, label.pap, label.pfc) if each is not None]
    return ", ".join(levels) or "–"


def _told(place: Place) -> str:
    """By the id that the partner knows; of what was altered for it, with the id of which it was made."""
    return f"{place.stix_id} {say('cli.ledger.altered', id=place.original)}" if place.original else place.stix_id


def _print_objects(found: Iterator[tuple[str, Place]], settings: Settings) -> None:
    rows = [
        (escape(where_of(channel, settings)), escape(_told(place)), place.version, escape(place.agreement))
        for channel, place in islice(found, _FIRST)
    ]
    show_table(("cli.column.where", "cli.column.object", "cli.column.version", "cli.column.agreement"), rows)
    more = sum(1 for _ in found)
    if more:
        tell("cli.ledger.more", n=more)
