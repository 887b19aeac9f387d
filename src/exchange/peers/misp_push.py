"""Handing events over to a MISP, as MISP does it (reference misp.md §1.4), and what became of each.

An event goes to `edit` when it is there and to `add` when it is not, `locked`; a large one in several edits, published
with the last. What MISP answers is judged by what it means: *not newer* is a success, a blocklist is final, an invalid
attribute is left out silently and found by counting. A lost answer is looked for at the peer before anything is sent
again, and sending twice does no harm: MISP takes nothing that is not newer.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog

from exchange.errors import ContentError, PeerError, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.envelope import Outgoing, Receipt
from exchange.model.party import Target
from exchange.peers.misp_aside import Aside, noted
from exchange.peers.misp_parts import MOST, Event, opened, stamps
from exchange.peers.misp_wire import JSON, NotOffered, Wire, number_of, unpacked
from exchange.peers.session import Answer

log = structlog.get_logger()

_SPOKEN = frozenset({
    HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR,
})  # fmt: skip
"""Answers to an event that may be meant for the event and not for us."""
_NOT_NEWER = re.compile(r"not newer than the local copy", re.I)
_MEANT = (
    (re.compile(r"published event that was empty", re.I), "peer.empty_event"),
    (re.compile(r"user used to edit the event is not authorised", re.I), "peer.unlocked_copy"),
    (re.compile(r"block", re.I), "peer.blocked"),
)
"""What an answer says → the code of the refusal. The first text holds the word of the last."""
_ACCOUNT = re.compile(r"terms|password|authentication|auth ?key|permission|not allowed to use", re.I)
"""What an answer says that is about our account: a person has to act, and no other event fares better."""
_CRASHES = 3
"""Answers of 500 in a row after which the server fails, and not on an event."""
_ENOUGH = 2**53
"""More attributes than any event has: where nothing was counted, nothing is missing."""
_DIGITS = 12
_LONG = 1 << 20
"""Bytes of an event that may need several calls, so that it has to be known how new the peer's copy is."""
_PLAIN = 1024
"""Bytes of a body that is not worth compressing."""


class _Verdict(Exception):
    """What became of the event: outcome and message of its receipt."""

    def __init__(self, outcome: Any, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome, self.message = outcome, message


class _TooLarge(Exception):
    """The server does not take so much in one call."""


class Handover:
    """One push to one instance. Raises PeerRefused when our account may not synchronise there."""

    def __init__(self, wire: Wire, target: Target) -> None:
        self._wire, self._session, self._target = wire, wire.session, target
        if not wire.may("perm_sync"):
            raise PeerRefused("peer.no_sync_right", **wire.session.blame)
        encodings = wire.said.get("request_encoding")
        self._packs = isinstance(encodings, list) and "gzip" in encodings
        self._aside = Aside(wire, self.post)
        self._crashes = 0

    def receipts(self, objects: Sequence[Outgoing]) -> list[Receipt]:
        """One receipt for each event, in order.

        When the peer fails in the middle, what it said so far counts and the rest is pending: it is sent again later.
        A server that only fails raises.
        """
        wanted = self._wanted(objects)
        standing = self._standing(objects, wanted)
        said: list[Receipt] = []
        for sent in objects:
            try:
                said.append(self._settle(sent, wanted, standing))
            except PeerError as error:
                if all(receipt.outcome == "pending" for receipt in said):
                    raise
                return said + [_receipt(other, "pending", error.code) for other in objects[len(said) :]]
        return said

    def _wanted(self, objects: Sequence[Outgoing]) -> set[str] | None:
        """The uuids that the peer would take: unknown there, or locked and older. None: it does not say."""
        events = [{"Event": {"uuid": sent.id, "timestamp": sent.version}} for sent in objects]
        try:
            found = unpacked(self._wire.beside("events/filterEventIdsForPush", events), list[str])
        except NotOffered:
            return None
        return {uuid.lower() for uuid in found}

    def _standing(self, objects: Sequence[Outgoing], wanted: set[str] | None) -> dict[str, int]:
        """The timestamps at the peer of what it does not want, and of what may need several edits."""
        asked = [s.id.lower() for s in objects if wanted is None or s.id.lower() not in wanted or len(s.body) > _LONG]
        if not asked:
            return {}
        try:
            return self._wire.standing(asked)
        except (PeerProtocol, PeerRefused):  # a peer may let itself be written to and not read
            return {}

    def _settle(self, sent: Outgoing, wanted: set[str] | None, standing: dict[str, int]) -> Receipt:
        try:
            event = opened(sent.body)
        except ContentError as error:
            return _receipt(sent, "refused", error.code)
        there = standing.get(event.uuid)
        try:
            if wanted is not None and event.uuid not in wanted:
                notes = self._unwanted(event, there)
            else:
                notes = self._write(event, there)
        except _Verdict as verdict:
            return _receipt(sent, verdict.outcome, verdict.message)
        notes += self._aside.hand_over(event)
        return _receipt(sent, "accepted", "; ".join(dict.fromkeys(notes)))

    def _unwanted(self, event: Event, there: int | None) -> list[str]:
        """The peer has it as new as ours, or has a copy that is its own (MISP/MISP#10047); the latter is a verdict."""
        if there is None:
            there = self._looked_at(event.uuid)
        if there is None or there < event.timestamp:
            raise _Verdict("refused", "peer.unlocked_copy")
        return ["peer.already_there"]

    def _looked_at(self, uuid: str) -> int | None:
        """The timestamp of an event that the index does not show: one that is not published there, or not for us."""
        if not self._exists(uuid):
            return None
        try:
            answer = self._wire.get(f"events/view/{uuid}", expect={HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})
        except PeerProtocol:
            return None
        document = _object(answer.body)
        return number_of(document.get("Event"), "timestamp") or None

    def _exists(self, uuid: str) -> bool:
        """Whether the event is there for us; anything but 200 is *not*, and `add` will say it if that is wrong."""
        url = f"{self._wire.url.rstrip('/')}/events/view/{uuid}"
        try:
            return self._session.request("HEAD", url, headers=JSON, again=True).status == HTTPStatus.OK
        except PeerProtocol:
            return False

    # Writing the event

    def _write(self, event: Event, there: int | None) -> list[str]:
        if there is not None and there >= event.timestamp:
            return ["peer.already_there"]
        notes = []
        reports = bool(event.reports) and self._aside.takes_reports()
        if event.reports and not reports:
            notes.append("peer.no_reports")
        exists, most = self._exists(event.uuid), MOST
        while True:
            writing = _Writing(event, exists=exists, there=there, reports=reports)
            try:
                count = self._parts(writing, most)
                break
            except _TooLarge:
                if most == 1:
                    raise _Verdict("refused", "peer.object_too_large") from None
                exists, there = writing.exists, writing.there
                most = max(1, min(most, len(event.items)) // 2)
        if count is None:
            return [*notes, "peer.already_there"]
        missing = max(0, event.live - count)
        if missing:
            log.warning(
                "push.deficit",
                peer=self._target.peer,
                key=self._target.key,
                id=event.uuid,
                sent=event.live,
                count=missing,
            )
            notes.append(noted("peer.attributes_missing", missing))
        return notes

    def _parts(self, writing: _Writing, most: int) -> int | None:
        """Write the event part by part; how many attributes the peer has then. None: it had the last part already."""
        event = writing.event
        parts = event.parts(most)
        rising = stamps(event, len(parts), writing.there, int(self._session.clock().timestamp()))
        if len(rising) < len(parts):
            raise _Verdict("pending", "peer.no_room")
        count: int | None = None
        for number, (items, stamp) in enumerate(zip(parts, rising, strict=True), start=1):
            body = event.body(items, stamp, final=number == len(parts), reports=writing.reports)
            count = self._part(writing, body, stamp)
            writing.there = stamp
        return count

    def _part(self, writing: _Writing, body: bytes, stamp: int) -> int | None:
        """One call, and what it takes to be sure of it. None: the peer says that it has this, or something newer."""
        uuid = writing.event.uuid
        for attempt in (1, 2, 3):
            path = f"events/edit/{uuid}/metadata:1" if writing.exists else "events/add/metadata:1"
            try:
                answer = self.post(path, body, expect=_SPOKEN)
            except PeerUnreachable as error:
                if self._arrived(uuid, stamp, error):
                    return None
                if attempt > 1 or error.code == "peer.timeout":  # it may still be at it
                    raise
                continue
            if answer.status == HTTPStatus.NOT_FOUND and (writing.exists or "Location" in answer.headers):
                # MISP's own way to say that it knows the event already, or does not.
                writing.exists = not writing.exists
                continue
            writing.exists = True
            return self._judged(uuid, answer, stamp)
        raise _Verdict("refused", "peer.unlocked_copy")  # it is there, and we may not see it

    def _arrived(self, uuid: str, stamp: int, error: PeerError) -> bool:
        """Whether what was sent is there although no answer came. When that cannot be known, `error` stands."""
        try:
            return self._wire.standing([uuid]).get(uuid, 0) >= stamp
        except PeerError:
            raise error from None

    def _judged(self, uuid: str, answer: Answer, stamp: int) -> int | None:
        """How many attributes the event has there now; everything that is no success is a verdict, or raises."""
        document = _object(answer.body)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self._refusal(document, answer)
            return None
        self._crashes = 0
        event = document.get("Event")
        if isinstance(event, dict) and str(event.get("uuid") or uuid).lower() == uuid:
            counted = str(event.get("attribute_count"))
            return int(counted) if counted.isdecimal() and len(counted) < _DIGITS else _ENOUGH
        error = self._wire.malformed(answer, self._session.detail(answer))
        if self._arrived(uuid, stamp, error):
            return None
        raise error

    def _refusal(self, document: dict[str, Any], answer: Answer) -> None:
        """Return only when what is refused is there already."""
        status, words = answer.status, self._words(document, answer)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise _TooLarge
        self._crashes = self._crashes + 1 if status == HTTPStatus.INTERNAL_SERVER_ERROR else 0
        if self._crashes >= _CRASHES:
            self._session.judge(answer)
        if self._crashes:
            raise _Verdict("pending", words or "peer.unsettled")
        if _NOT_NEWER.search(words):
            return
        for told, code in _MEANT:
            if told.search(words):
                raise _Verdict("refused", code)
        if _of_account(status, document, words):
            raise PeerRefused("peer.refused", url=answer.url, status=status, detail=words, **self._session.blame)
        if status == HTTPStatus.NOT_FOUND:
            self._session.judge(answer)
        if status == HTTPStatus.FORBIDDEN and not document:  # a filter before the MISP, or the key is no longer good
            self._wire.read(self._wire.get("servers/getVersion"))
        raise _Verdict("refused", words or "peer.no_reason")

    def _words(self, document: dict[str, Any], answer: Answer) -> str:
        """What the peer says, in one line and without our secrets."""
        said = document.get("errors") or document.get("message") or document.get("name")
        if not said:
            return self._session.detail(answer)
        text = said if isinstance(said, str) else orjson.dumps(said).decode()
        return " ".join(self._session.clean(text).split())[:300]

    def post(self, path: str, body: bytes, *, expect: Any = ()) -> Answer:
        """POST what changes something there; compressed when the instance can read that."""
        headers = dict(JSON)
        if self._packs and len(body) > _PLAIN:
            body = gzip.compress(body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return self._session.post(f"{self._wire.url.rstrip('/')}/{path}", body, headers=headers, expect=expect)


class _Writing:
    """How far one event has come: whether it is there, and with which timestamp."""

    def __init__(self, event: Event, *, exists: bool, there: int | None, reports: bool) -> None:
        self.event, self.exists, self.there, self.reports = event, exists, there, reports


def _of_account(status: int, document: dict[str, Any], words: str) -> bool:
    """Whether a refusal is meant for us, so that a person has to act, and not for the event."""
    if status == HTTPStatus.FORBIDDEN and document:
        return "errors" not in document and document.get("saved") is not False
    return status == HTTPStatus.METHOD_NOT_ALLOWED and _ACCOUNT.search(words) is not None


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in an answer; empty when there is none."""
    try:
        found = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _receipt(sent: Outgoing, outcome: Any, message: str = "") -> Receipt:
    return Receipt(id=sent.id, version=sent.version, outcome=outcome, message=message[:500])
