"""What stands in a collection, without the objects themselves: manifest and versions (TAXII 2.1 sections 5.3, 5.8)."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from exchange.model.stix import spelt
from exchange.serve import media
from exchange.serve.door import Visit
from exchange.serve.objects import Reader, require
from exchange.serve.question import EVERY, PAGE, Question, ask, timestamp
from exchange.serve.sheet import Sheet
from exchange.store import pages
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Entry, Index


def _version(entry: Entry) -> str:
    """The version in TAXII form; an object without one of its own has its date added (RULES R14)."""
    return spelt(entry.version, entry.precision) if entry.version else timestamp(entry.added)


def _record(entry: Entry) -> str:
    """A manifest record (section 5.3.1); ids and dates hold nothing that JSON would escape."""
    return (
        f'{{"id":"{entry.stix_id}","date_added":"{timestamp(entry.added)}","version":"{_version(entry)}",'
        f'"media_type":"{media.STIX}"}}'
    )


def _quoted(entry: Entry) -> str:
    return f'"{_version(entry)}"'


def _sheet(found: Index, kind: str, name: str, shape: Callable[[Entry], str]) -> Sheet:
    """What was found, each in this shape, in the order in which it was added."""
    added = [entry.added for entry in found.entries]
    return Sheet(
        name=name,
        kind=kind,
        items=[",".join(map(shape, found.entries)).encode()],
        count=len(added),
        first=added[0] if added else 0,
        last=added[-1] if added else 0,
        told=added,
        more=found.more,
    )


def _found(visit: Visit, audience: AudienceRow, question: Question, stix_id: str = "") -> Index:
    if question.nothing:
        return Index(entries=(), more=False)
    return pages.index(visit.tx, audience.number, question.query(visit.now, stix_id))


class Manifest(Reader):
    """`GET /api/collections/{id or alias}/manifest/` (section 5.3)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A page of manifest records; `{}` when there is none."""
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            found = _found(visit, audience, ask(req.params))
        sheet = _sheet(found, "manifest", "objects", _record)
        self.desk.hand_out(req, resp, visit, audience, sheet, f"manifest?{req.query_string}")


class ObjectVersions(Reader):
    """`GET /api/collections/{id or alias}/objects/{object-id}/versions/` (section 5.8)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, object_id: str) -> None:
        """The versions of the object, folded or not, in the order in which they were added.

        NotFound when it is not visible; `{}` when only the filter leaves nothing.
        """
        with self.door.visit(req) as visit:
            audience = visit.reading(visit.collection(name))
            question = ask(req.params, PAGE, otherwise=EVERY)
            require(visit, audience, object_id)
            found = _found(visit, audience, question, object_id)
        sheet = _sheet(found, "versions", "versions", _quoted)
        self.desk.hand_out(req, resp, visit, audience, sheet, f"objects/{object_id}/versions?{req.query_string}")
