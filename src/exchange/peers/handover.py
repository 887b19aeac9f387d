"""Handing objects over to a TAXII collection: envelopes that fit, and what became of each object.

An answer that speaks of the whole envelope only (413, 400, 422, counts without names) is made to speak of objects by
sending halves. medallion counts what it already has as failures and does not say so: a failure is checked against the
collection before it is believed, and so is silence. Nothing counts as accepted because an answer speaks of something
else; nothing counts as refused because the server fails.

An envelope that the peer has taken and not decided on has a status resource (TAXII 2.1 section 4.3). It is asked about
again, run after run, and what it stands for is not sent again before it says so or is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from exchange.errors import ContentError, PeerError, PeerProtocol, PeerRefused
from exchange.model.envelope import Outgoing, Receipt, open_envelope
from exchange.model.stix import instant, version_of
from exchange.peers.session import Session

MOST = 100
"""Objects of one envelope."""
ANY_STATUS = "-"
"""The id of a status that has none."""
_FRAME = (b'{"objects":[', b"]}")
_NAME = re.compile(r"(?!\.+$)(?!-$)[A-Za-z0-9._~-]{1,100}")
"""A status id that may stand in a URL; a peer writes what it likes."""
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between looks at a status that is still pending; after that it is asked about in the next run."""
_CHECKS = 200
"""Failures of one handover that are checked against the collection; the rest is believed."""
_WHOLE = frozenset({
    HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
})  # fmt: skip
_CRASHES = 10
"""Answers of 500 in a row after which the server fails, and not on an object: a hundred are halved seven times."""
_MISSES = 3
"""Objects in a row that are not there, after which those that nothing was said of are no longer looked for."""
_ALREADY = re.compile(r"already|duplicate|exist", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """A status, and the objects that it is asked about."""

    status: Any
    objects: Sequence[Outgoing]
    count: int
    """Objects of the envelope; some may have been settled before."""
    name: str = ""
    """Where it can be asked about again; empty: nowhere, or it has nothing more to say."""

    def same(self, sent: Outgoing) -> int:
        """How many objects of the envelope have this id, or may have it."""
        whole = self.count <= len(self.objects)
        return sum(other.id == sent.id for other in self.objects) if whole else self.count


class Handover:
    """One push to one collection (taxii2-client's `Collection` on our connection).

    `ask` gives the status resource of a name, at the API root of the collection.
    """

    def __init__(self, collection: Any, session: Session, largest: int, ask: Callable[[str], Any]) -> None:
        self._collection, self._session, self._largest, self._ask = collection, session, largest, ask
        self._checks = _CHECKS
        self._misses = 0
        self._crashes = 0

    def receipts(self, objects: Sequence[Outgoing]) -> list[Receipt]:
        """One receipt for each object, in order.

        When the peer fails in the middle, what it said so far counts and the rest is pending: it is sent again later.
        A server that only fails raises.
        """
        said: dict[int, Receipt] = {}
        code = ""
        try:
            said.update(self._followed(objects))
            self._misses = 0
            left = [place for place in range(len(objects)) if place not in said]
            for batch in self._envelopes([objects[place] for place in left]):
                places, left = left[: len(batch)], left[len(batch) :]
                said.update(zip(places, self._settle(batch), strict=True))
        except PeerError as error:
            if not said:
                raise
            code = error.code
        return [said.get(n) or _receipt(sent, "pending", code, sent.status) for n, sent in enumerate(objects)]

    def removed(self, objects: Sequence[Outgoing]) -> list[Receipt]:
        """Have every version of these deleted (TAXII 2.1 section 5.7); one receipt for each.

        Peers differ about a DELETE that names no version, so all are named. A server that does not delete refuses.
        """
        said: list[Receipt] = []
        for sent in objects:
            try:
                self._collection.delete_object(sent.id, version="all")
                said.append(_receipt(sent, "accepted"))
            except (PeerProtocol, PeerRefused) as error:
                said.append(_receipt(sent, "refused", str(error.fields.get("detail") or error.code)))
            except PeerError as error:
                if not said:
                    raise
                said += [_receipt(late, "pending", error.code) for late in objects[len(said) :]]
                break
        return said

    def _followed(self, objects: Sequence[Outgoing]) -> Iterator[tuple[int, Receipt]]:
        """(place, receipt) of what the peer has already and says something of; each status is looked at once."""
        waiting: dict[str, list[int]] = {}
        for place, sent in enumerate(objects):
            if _NAME.fullmatch(sent.status):
                waiting.setdefault(sent.status, []).append(place)
        for name, places in waiting.items():
            receipts = self._look([objects[place] for place in places], name)
            yield from ((place, said) for place, said in zip(places, receipts, strict=True) if said is not None)

    def _look(self, objects: Sequence[Outgoing], name: str) -> Sequence[Receipt | None]:
        """What has become of these at the status `name`; None: it does not say, so the object is sent again."""
        nothing = [None] * len(objects)
        try:
            status = self._ask(name)
        except (PeerProtocol, PeerRefused):  # gone, or not to be read
            return nothing
        if str(status.id) != name or status.status not in ("pending", "complete"):
            return nothing
        count = max(len(objects), status.total_count)
        if status.status == "pending":
            word = _Word(status=status, objects=objects, count=count, name=name)
            return [self._of(sent, word) for sent in objects]
        silent = not status.total_count or _vague(status, count)
        word = _Word(status=status, objects=objects, count=count)
        said = [self._unsettled(sent) if silent else self._of(sent, word) for sent in objects]
        return [None if receipt.outcome == "pending" else receipt for receipt in said]

    def _envelopes(self, objects: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
        """Batches of at most MOST objects and `max_content_length` bytes; a larger object goes alone, to be refused."""
        batch: list[Outgoing] = []
        size = frame = sum(map(len, _FRAME))
        for sent in objects:
            if batch and (len(batch) == MOST or size + len(sent.body) + 1 > self._largest):
                yield batch
                batch, size = [], frame
            batch.append(sent)
            size += len(sent.body) + 1
        if batch:
            yield batch

    def _settle(self, batch: list[Outgoing]) -> list[Receipt]:
        envelope = _FRAME[0] + b",".join(sent.body for sent in batch) + _FRAME[1]
        if len(envelope) > self._largest and len(batch) == 1:
            return [_receipt(batch[0], "refused", "peer.object_too_large")]
        try:
            status = self._collection.add_objects(envelope, wait_for_completion=False)
        except PeerProtocol as error:
            return self._failed(batch, error)
        self._crashes = 0
        if not self._await(status):
            return [self._unsettled(sent) for sent in batch]
        name = str(status.id) if status.status == "pending" and _NAME.fullmatch(str(status.id)) else ""
        if not name and _vague(status, len(batch)) and (halves := self._halves(batch)):
            return halves
        word = _Word(status=status, objects=batch, count=len(batch), name=name)
        return [self._of(sent, word) for sent in batch]

    def _failed(self, batch: list[Outgoing], error: PeerProtocol) -> list[Receipt]:
        """The envelope was refused as a whole, or the answer cannot be read: what of it is there counts as accepted."""
        code, words = error.fields.get("status"), str(error.fields.get("detail") or error.code)
        if error.code == "peer.malformed" and all(map(self._has, batch)):
            return [_receipt(sent, "accepted", "peer.already_there") for sent in batch]
        crashed = code == HTTPStatus.INTERNAL_SERVER_ERROR
        self._crashes += crashed
        if code not in _WHOLE or self._crashes >= _CRASHES:
            raise error
        if halves := self._halves(batch):
            if self._crashes and all(receipt.outcome == "pending" for receipt in halves):
                raise error
            return halves
        if _ALREADY.search(words) or self._has(batch[0]):
            return [_receipt(batch[0], "accepted", "peer.already_there")]
        return [_receipt(batch[0], "pending" if crashed else "refused", words)]

    def _halves(self, batch: list[Outgoing]) -> list[Receipt]:
        if len(batch) == 1:
            return []
        middle = len(batch) // 2
        return self._settle(batch[:middle]) + self._settle(batch[middle:])

    def _await(self, status: Any) -> bool:
        """Look at a pending status for some seconds; one that is not there stays as it was. False: it is not ours."""
        ours = status.id
        for pause in _PAUSES:
            if status.status == "complete":
                break
            self._session.rest(pause)
            if not _NAME.fullmatch(str(ours)):
                break
            try:
                status.refresh()
            except PeerError:
                break
            if status.id not in (ours, ANY_STATUS):
                return False
        return True

    def _of(self, sent: Outgoing, word: _Word) -> Receipt:
        status, same = word.status, word.same(sent)
        extra = status.custom_properties
        failure = _entry(extra.get("known_failures", ()), sent, same)
        if failure is None and status.failure_count >= word.count:
            failure = {}
        if failure is not None:
            message = self._session.clean(str(failure.get("message") or failure.get("details") or ""))
            if _ALREADY.search(message) or self._has(sent):
                return _receipt(sent, "accepted", "peer.already_there")
            return _receipt(sent, "refused", message or "peer.no_reason")
        if _entry(extra.get("known_successes", ()), sent, same) is not None:
            return _receipt(sent, "accepted")
        waiting = _entry(extra.get("known_pendings", ()), sent, same)
        counted = _unnamed(status, "success") or not status.total_count  # it may say no more than that all is well
        if waiting is None and status.status == "complete" and counted and not _unnamed(status, "pending"):
            return _receipt(sent, "accepted")
        return self._unsettled(sent, self._session.clean(str((waiting or {}).get("message") or "")), word.name)

    def _unsettled(self, sent: Outgoing, message: str = "", name: str = "") -> Receipt:
        """Nothing was said of it, or nothing final: if it is there all the same, that will do."""
        if self._misses < _MISSES:
            if self._has(sent):
                return _receipt(sent, "accepted", "peer.already_there")
            self._misses += 1
        return _receipt(sent, "pending", message or "peer.unsettled", name)

    def _has(self, sent: Outgoing) -> bool:
        """Whether the collection holds this version already."""
        if self._checks <= 0 or not self._collection.can_read:
            return False
        self._checks -= 1
        text = _version_text(sent)
        try:
            said = self._collection.get_object(sent.id, **({"version": text} if text else {}))
            held = open_envelope(orjson.dumps(said)).objects
        except PeerRefused:
            self._checks = 0  # we may only write
            return False
        except (PeerProtocol, ContentError):
            return False
        return any(_same_version(orjson.loads(raw), sent) for raw in held)


def _version_text(sent: Outgoing) -> str:
    stix = orjson.loads(sent.body)
    return str(stix.get("modified") or stix.get("created") or "")


def _same_version(stix: Any, sent: Outgoing) -> bool:
    if not isinstance(stix, dict) or stix.get("id") != sent.id:
        return False
    try:
        return version_of(stix) == version_of(orjson.loads(sent.body))
    except ContentError:
        return False


def _unnamed(status: Any, name: str) -> int:
    """How many are counted in `NAME_count` without being named."""
    lists = {"success": "known_successes", "failure": "known_failures", "pending": "known_pendings"}
    return int(getattr(status, f"{name}_count")) - len(status.custom_properties.get(lists[name], ()))


def _vague(status: Any, count: int) -> bool:
    """Whether some failed, or were left out, and nobody says which."""
    failed = _unnamed(status, "failure") > 0 and status.failure_count < count
    return failed or (_unnamed(status, "success") > 0 and status.total_count < count)


def _entry(entries: Sequence[dict[str, Any]], sent: Outgoing, same: int) -> dict[str, Any] | None:
    """What a status says of this version; without versions it has to speak of all `same` objects with this id."""
    mine = [entry for entry in entries if entry.get("id") == sent.id]
    for entry in mine:
        if _version_is(str(entry.get("version") or ""), sent.version):
            return entry
    return mine[0] if mine and (len(mine) >= same or not sent.version) else None


def _version_is(text: str, version: str) -> bool:
    try:
        return instant(text) == version
    except ContentError:
        return text == version


def _receipt(sent: Outgoing, outcome: Any, message: str = "", status: str = "") -> Receipt:
    return Receipt(id=sent.id, version=sent.version, outcome=outcome, message=message[:500], status=status)
