"""What is asked for by the uuid of a MISP event, or is a report or grouping: counted, whatever its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from exchange.model.marking import Label
from exchange.store import around, statements
from exchange.store.clock import moment
from exchange.sync.beside import title_of, titles
from exchange.sync.shown import Event, Share, Stand

MEMBERS = 10
_HELD = "-"


def levels_of(label: Label | None) -> tuple[str, ...]:
    """The levels of a label, as they are written, and the markings beside them."""
    if label is None or not label.stated:
        return ()
    levels = [level.label for level in (label.tlp, label.pap, label.pfc) if level is not None]
    return (*levels, *sorted(label.unknown | label.iep))


def axes_of(label: Label | None) -> dict[str, str]:
    """What else a label says, by name: unnamed, encrypted, limited (empty each), since, until, confidence, kinds."""
    if label is None:
        return {}
    found = {name: "" for name in ("unnamed", "encrypted", "limited") if getattr(label, name)}
    instants = {"since": label.since, "until": label.until}
    found |= {name: at.strftime("%Y-%m-%d %H:%M UTC") for name, at in instants.items() if at is not None}
    if label.confidence is not None:
        found["confidence"] = str(label.confidence)
    return {**found, "kinds": ", ".join(sorted(label.kinds))} if label.kinds else found


def events_of(tx: Connection, asked: str, ids: Sequence[str]) -> list[Event]:
    """The events that `asked` names: by their uuid, or by the report or grouping that they are, one of `ids`."""
    keys = dict.fromkeys((asked.lower(), *ids))
    found = []
    for key in keys:
        numbers = around.event_numbers(tx, key)
        event = _event(tx, key, numbers) if numbers else None
        if event is not None:
            found.append(event)
    return found


def _event(tx: Connection, key: str, numbers: Sequence[int]) -> Event | None:
    parts = around.event_parts(tx, numbers)
    if not parts:
        return None
    creators = titles(tx, {part.creator for part in parts} - {""})
    shares = []
    for source in dict.fromkeys(part.source for part in parts):
        mine = [part for part in parts if part.source == source]
        types, levels = Counter[str](), Counter[str]()
        for part in mine:
            types[part.type] += part.members
            label = None if part.label is None else Label.from_text(part.label)
            levels[", ".join(levels_of(label)) or _HELD] += part.members
        shares.append(
            Share(
                source=source,
                creators=tuple(creators.get(by) or by for by in dict.fromkeys(each.creator for each in mine) if by),
                types=dict(types.most_common()),
                levels=dict(levels.most_common()),
                attributes=sum(part.attributes for part in mine),
                revoked=sum(part.revoked for part in mine),
                first=moment(min(part.first for part in mine)),
                last=moment(max(part.last for part in mine)),
            )
        )
    uuid = key.partition("--")[2] or key
    frames = titles(tx, [f"report--{uuid}", f"grouping--{uuid}"])
    members = statements.by_seq(tx, around.event_members(tx, numbers, MEMBERS))
    bodies = statements.bodies(tx, [item.seq for item in members])
    return Event(
        key=key,
        title=next(iter(frames.values()), ""),
        shares=shares,
        stands=[
            Stand(channel=channel, count=count, folded=folded, since=moment(since))
            for channel, count, folded, since in around.event_listings(tx, numbers)
        ],
        members=[(item.stix_id, title_of(orjson.loads(bodies[item.seq]))) for item in members],
        total=sum(part.members for part in parts),
    )
