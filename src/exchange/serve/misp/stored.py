"""An event as one account gave it: what it is told of it, and what is withdrawn with it.

It may always have back what it wrote (RULES R3), also what is still under review or listed for nobody. So the answer to
a push counts what was taken of it, as MISP's does; what was invalid is missing (reference misp.md section 1.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.convert import parts as parts_of
from exchange.convert.forms import beside
from exchange.convert.part import INHERIT
from exchange.model.marking import Label, Reach
from exchange.serve.misp.instance import Ask
from exchange.serve.misp.own import seconds_of
from exchange.serve.misp.parties import number
from exchange.store import blocks, stated, statements
from exchange.store.statements import Held, chunks

_LISTS = {"attribute": "Attribute", "object": "Object", "report": "EventReport", "note": "Note", "opinion": "Opinion"}
_CREATORS = ("identity",)
_ALL, _HERE = "3", "1"


def event(ask: Ask, tx: Connection, uuid: str, *, whole: bool) -> dict[str, Any] | None:
    """The event `uuid` as this account gave it, without its parts unless `whole`; None: it gave none of it."""
    frame = stated.frames(tx, ask.source, ask.channel, [uuid]).get(uuid)
    if frame is None:
        return None
    made = _frame(ask, tx, frame)
    made["attribute_count"] = str(stated.attributes(tx, ask.source, ask.channel, uuid))
    if whole:
        made |= {"Attribute": [], "Object": [], "EventReport": []}
        for held in stated.parts(tx, ask.source, ask.channel, uuid):
            for item, body in _bodies(tx, held):
                _add(made, item, body, frame.label or frame.stated)
    return made


def _bodies(tx: Connection, held: Sequence[Held]) -> Iterable[tuple[Held, Mapping[str, Any]]]:
    for some in chunks(held):
        for item, body in zip(some, blocks.read(tx, [item.place for item in some]), strict=True):
            yield item, orjson.loads(body)


def _frame(ask: Ask, tx: Connection, frame: Held) -> dict[str, Any]:
    """The event itself, with the fields that MISP's answer has."""
    ((_, stix),) = _bodies(tx, [frame])
    label = frame.label or frame.stated
    found, _ = parts_of(stix, label)
    uuid = frame.stix_id.partition("--")[2]
    said = next((part.body for part in found if part.kind == "frame"), {})
    org = _organisation(ask, tx, frame.creator)
    stamp = str(seconds_of(frame.version))
    return {
        "id": number(uuid),
        "orgc_id": "1",
        "org_id": "1",
        "date": str(stix.get("created", ""))[:10],
        "threat_level_id": "4",
        "info": "",
        "published": not label.draft,
        "analysis": "0",
        "distribution": distribution(label),
        "proposal_email_lock": False,
        "locked": True,
        "publish_timestamp": str(frame.received // 1_000_000),
        "sharing_group_id": "0",
        "disable_correlation": False,
        "extends_uuid": "",
        "protected": None,
        **said,
        "uuid": uuid,
        "timestamp": stamp,
        "Org": {"id": "1", **org, "local": True},
        "Orgc": {"id": "1", **org, "local": True},
        "RelatedEvent": [],
        "Galaxy": [],
        "CryptographicKey": [],
    }


def _organisation(ask: Ask, tx: Connection, creator: str) -> dict[str, str]:
    """The creator of an event; its name if this account gave that too."""
    uuid = creator.partition("--")[2]
    own = [item for item in statements.held(tx, [creator]).get(creator, ()) if item.source == ask.source]
    name = uuid
    for _, stix in _bodies(tx, own[-1:]):
        name = str(stix.get("name") or uuid)
    return {"name": name, "uuid": uuid}


def _add(made: dict[str, Any], item: Held, stix: Mapping[str, Any], whole: Label) -> None:
    """Put the parts of one object in; each says where it goes less far than the event."""
    label = item.label or item.stated
    under = INHERIT if distribution(label) == distribution(whole) else distribution(label)
    found, _ = parts_of(stix, label)
    for part in found:
        if part.kind in _LISTS:
            body = {"event_id": made["id"], **part.body, "distribution": under}
            made.setdefault(_LISTS[part.kind], []).append(body)


def distribution(label: Label) -> str:
    """MISP's distribution for what stands under `label`, so that whoever sends the answer back makes it no looser.

    Markings are in its tags, and a draft says that it is one. Whatever else restricts it cannot be said in MISP: it
    stays here.
    """
    told = replace(label, reach=Reach.ALL, orgs=None, servers=None)
    return _ALL if label == told else _HERE


def carriers(ask: Ask, uuid: str, entities: Mapping[str, int] | None = None) -> Sequence[str]:
    """The STIX ids under which this account gave the parts of event `uuid`, for all of them to be withdrawn.

    `entities`: only these, MISP uuid → when they were deleted; what was given later than that stays.
    """
    if entities is not None and not entities:
        return ()
    found: list[str] = []
    ends: dict[str, dict[str, int]] = {}
    with ask.site.store.reading() as tx:
        for held in stated.parts(tx, ask.source, ask.channel, uuid):
            for item in held:
                if entities is None:
                    if item.type not in _CREATORS:  # an organisation speaks in other events too
                        found.append(item.stix_id)
                    continue
                if item.type not in ends:
                    ends[item.type] = _ids(item.type, entities)
                if seconds_of(item.version) <= ends[item.type].get(item.stix_id, -1):
                    found.append(item.stix_id)
    return found


def _ids(kind: str, entities: Mapping[str, int]) -> dict[str, int]:
    """The ids of this type that stand for these entities, their own and those beside it → when they were deleted."""
    own = {f"{kind}--{entity}": at for entity, at in entities.items()}
    return own | {beside(entity, kind): at for entity, at in entities.items()}
