"""One event on its way out: `events/view` by GET and HEAD, and `/events/UUID` of the preview."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import orjson

from exchange.errors import Forbidden, NotFound
from exchange.serve.answers import Unavailable
from exchange.serve.misp import around, own, stored, view
from exchange.serve.misp.errors import Missing
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.parties import number
from exchange.sync import events
from exchange.sync.events import Document, EventRow


def event(ask: Ask) -> Answer:
    """The event: as this account sees it, else as it gave it itself. Raises Missing, for *absent* and *not for you*.

    HEAD answers 200 for either, also to an account that only writes: it asks whether to add or to edit.
    """
    uuid = ask.address.first.lower()
    if ask.req.method == "HEAD":
        return Answer(status=200 if known(ask, uuid) else 404, body=b"")
    reading = replace(ask, row=ask.visit.reading(ask.collection))
    seen = view.view(reading)
    with suppress(NotFound):
        row = view.row_of(reading, seen, uuid)
        document = events.document(ask.tx, seen, row, ask.visit.now)
        pieces = iter(document) if _with_deleted(ask) else document.living()
        return view.spooled(ask, completed(row, document, pieces), view.offered([row]))
    given = stored.event(ask, ask.tx, uuid, whole=True)
    if given is None:
        raise Missing
    return Answer(body={"Event": given})


def attribute(ask: Ask) -> Answer:
    """`/attributes/view/{uuid}` of MISP's API, also by HEAD."""
    return _part(ask, "Attribute")


def misp_object(ask: Ask) -> Answer:
    """`/objects/view/{uuid}`, the same."""
    return _part(ask, "Object")


def _part(ask: Ask, name: str) -> Answer:
    uuid = ask.address.first.lower()
    event_uuid = around.event_of(ask, ask.tx, uuid)
    seen = view.view(ask)
    row = view.index(ask, seen).get(event_uuid) if event_uuid is not None else None
    if row is None:
        raise Missing(f"Invalid {name.lower()}")
    ids = [f"{kind}--{uuid}" for kind in around.CARRIERS]
    for part in events.document(ask.tx, seen, row, ask.visit.now, only=ids).bodies(name):
        if part["uuid"] == uuid:
            more = {"event_id": number(row.uuid), "event_uuid": row.uuid}
            return Answer(body={name: {**part, **more}}, offered=view.entities([row], 1))
    raise Missing(f"Invalid {name.lower()}")


def known(ask: Ask, uuid: str) -> bool:
    """Whether this account gave the event, or sees it now."""
    if own.stamps(ask, ask.tx, [uuid]):
        return True
    with suppress(Forbidden, NotFound, Unavailable):
        reading = replace(ask, row=ask.visit.reading(ask.collection))
        return view.row_of(reading, view.view(reading), uuid).rows > 0  # more than what is told of its end
    return False


_OPENING = b'{"Event":{'


def completed(row: EventRow, document: Document, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The `pieces` of the event, with what a MISP says of it besides: its own numbers, counts, who hands it on."""
    org = {"id": "1", "name": row.orgc_name, "uuid": row.orgc_uuid, "local": False}
    more = {
        "id": number(row.uuid),
        "org_id": "1",
        "orgc_id": "1",
        "attribute_count": str(document.attributes),
        "Org": org,
    }
    first = next(pieces)
    yield _OPENING + orjson.dumps(more)[1:-1] + b"," + first.removeprefix(_OPENING)
    yield from pieces


def _with_deleted(ask: Ask) -> bool:
    """A sync asks for `deleted[]:0/deleted[]:1`; who does not ask gets nothing that was deleted."""
    asked = ask.option("deleted", "0")
    return any(str(each).lower() in ("1", "true") for each in (asked if isinstance(asked, list) else [asked]))
