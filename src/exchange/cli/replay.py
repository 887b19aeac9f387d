"""`exchange ledger replay`: every decision that the ledger rests on, made again."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from exchange.cli.period import From, ObjectOption, PeerOption, To, asked_of
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    guarded,
    load,
    now,
    opened,
    out,
    say,
    show_json,
    tell,
    where_of,
)
from exchange.config import Settings
from exchange.sync.replay.found import Mismatch

_FIRST = 50
"""Mismatches that are printed; --json holds a thousand."""


@guarded
def replay(
    peer: PeerOption = "",
    object_: ObjectOption = "",
    since: From = "",
    until: To = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Make the decisions again on what was committed then, and compare; 1 when something differs."""
    # Every decision there is stands behind these: the other commands of the ledger need none of it.
    from exchange.config.retold import epochs_of
    from exchange.sync.replay import replay as decide_again

    settings = load(folder)
    asked = asked_of(settings, peer, since, until, object_)
    with opened(settings) as store:
        found = decide_again(store, asked, now(), epochs_of(store, folder))
    if as_json:
        show_json(found.plain())
        return 0 if found.whole else 1
    tell(
        "cli.ledger.replay.done", rows=found.rows, closings=found.closings, handed=found.handed, terms=found.terms
    )  # fmt: skip
    for mismatch in found.mismatches[:_FIRST]:
        _print(settings, mismatch)
    if sum(found.counts.values()) > _FIRST:
        tell("cli.ledger.more", n=sum(found.counts.values()) - _FIRST)
    for code, count in sorted(found.unreplayable.items()):
        out.print(f"[yellow]{escape(say('cli.ledger.replay.not', n=count, why=say(code)))}[/]", soft_wrap=True)
    if found.unproved:
        tell("cli.ledger.replay.unproved", n=found.unproved)
    if found.whole:
        tell("cli.ledger.replay.same")
    return 0 if found.whole else 1


def _print(settings: Settings, mismatch: Mismatch) -> None:
    place = ", ".join(
        each
        for each in (
            f"{mismatch.object} {mismatch.version}".strip(),
            where_of(mismatch.channel, settings) if mismatch.channel else "",
            ", ".join(mismatch.members),
            "" if mismatch.added is None else mismatch.added.strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        if each
    )
    words = say(mismatch.code, recorded=mismatch.recorded or "–", replayed=mismatch.replayed or "–")
    out.print(f"[bold red]{escape(place or '–')}[/] {escape(words)}", soft_wrap=True)
