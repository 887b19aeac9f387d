"""A partner's MISP instance, read as MISP's own pull does (reference misp.md §1.3, §8).

PyMISP makes the acquaintance (is this a MISP, which version, may we synchronise); index and events are asked in plain
sync calls, for which PyMISP has no functions. Both go through our session. Nothing outside misp-guard's allow-list is
asked.

Changes are found by `publish_timestamp`, which every hop sets on arrival; `timestamp` is the creator's and would miss
old events that arrive late. The cursor is `{"since": SECONDS, "seen": {uuid: timestamp}}`; within a drain it also holds
the peer's clock when the drain began (`began`) and the place in the index (`at`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import orjson
import requests
from pymisp import MISPRole, MISPUser, PyMISP
from pymisp.exceptions import PyMISPError

from exchange.errors import ContentError, PeerError, PeerProtocol
from exchange.model.envelope import Cursor, Document, Entry, Outgoing, Page, Receipt, Rejected, Skipped
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.peers.access import Access
from exchange.peers.documents import check_event, is_uuid, pages_of, timestamp_of
from exchange.peers.probe import probe
from exchange.peers.session import Answer, Session, parse_http_date

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_VIEW = (
    "deleted[]:0/deleted[]:1/excludeGalaxy:1/includeEventCorrelations:0/includeFeedCorrelations:0/"
    "includeWarninglistHits:0/excludeLocalTags:1"
)
_OVERLAP = 600
"""Seconds that two polls overlap: events become visible a little after their `publish_timestamp`."""
_REMEMBERED = 500
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN})


class MispClient:
    """Pull the events of a MISP instance (contract: `exchange.model.envelope.PeerClient`).

    A page holds the original of one event in `document` and no objects: converting is not done here.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Events published since the cursor that are new or changed, oldest change first."""
        with self._access.session(source.url) as session:
            acquaint(session, source.url, self._access.credentials.key)
            since = int(source.since.timestamp()) if source.since else None
            yield from _Drain(session, source.url, source.peer, cursor, since).pages()

    def probe(self, flow: Source | Target, now: datetime) -> Profile:
        """How it behaves; see `peers.probe`."""
        return probe(self._access, flow, now=now)

    def index(self, flow: Source | Target) -> Iterator[Sequence[Entry]]:
        """Every published event that our account sees; `version` is its timestamp."""
        with self._access.session(flow.url) as session:
            acquaint(session, flow.url, self._access.credentials.key)
            drain = _Drain(session, flow.url, flow.peer, {})
            yield from pages_of((row.uuid, row.timestamp) for row in drain.everything())

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """These events, one page for each."""
        with self._access.session(source.url) as session:
            drain = _Drain(session, source.url, source.peer, {})
            for uuid in filter(is_uuid, ids):
                yield drain.event(_Row(timestamp=0, uuid=uuid))
        yield Page(last=True)

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Pushing to MISP is not offered: a MISP reads our collections as a feed."""
        raise PeerProtocol("peer.read_only", collection=target.id, count=len(objects), **self._access.blame)


class _Instance(PyMISP):
    """PyMISP whose every request goes through our session.

    Its constructor also asks for a recommended version, the user and the describe types, which misp-guard does not let
    through: they are answered here.
    """

    def __init__(self, session: Session, url: str, key: str) -> None:
        self._through = session
        super().__init__(url, key or "-", timeout=session.limits.total)

    @property
    def recommended_pymisp_version(self) -> dict[str, Any]:
        """An instance that leaves it out of getVersion would be asked once more; we do not follow the advice anyway."""
        return self.version  # type: ignore[return-value] # PyMISP declares a union

    def get_user(self, user: Any = "me", pythonify: bool = False, expanded: bool = False) -> Any:  # noqa: ARG002
        return MISPUser(), MISPRole(), []

    def _prepare_request(self, request_type: str, url: str, data: Any = None, *_: Any, **__: Any) -> requests.Response:
        if "describeTypes" in url:
            raise PyMISPError(url)
        body = None if data is None else orjson.dumps(data)
        whole = urljoin(self.root_url.rstrip("/") + "/", url.lstrip("/"))
        answer = self._through.request(request_type, whole, headers=_JSON, body=body, again=request_type == "GET")
        response = requests.Response()
        response.status_code, response.url = answer.status, answer.url
        response.headers.update(answer.headers)
        response._content = answer.body
        return response


def acquaint(session: Session, url: str, key: str) -> Mapping[str, Any]:
    """What the instance says of itself (`/servers/getVersion`); raises PeerProtocol when it is no MISP."""
    try:
        said = _Instance(session, url, key).misp_instance_version
    except PyMISPError as error:
        if isinstance(error.__context__, PeerError):
            raise error.__context__ from None
        raise PeerProtocol("peer.no_misp", detail=str(error)[:200], **session.blame) from error
    if not isinstance(said, dict) or not said.get("version"):
        raise PeerProtocol("peer.no_misp", detail=str(said)[:200], **session.blame)
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One event of the index."""

    timestamp: int
    uuid: str

    @property
    def place(self) -> list[Any]:
        return [self.timestamp, self.uuid]


class _Drain:
    """The state of one drain."""

    def __init__(self, session: Session, url: str, peer: str, cursor: Cursor, since: int | None = None) -> None:
        self._session, self._peer, self._cursor = session, peer, cursor
        self._base = url.rstrip("/") + "/"
        begun = cursor.get("since")
        self._since: int | None = since if begun is None else begun
        self._seen: dict[str, int] = dict(cursor.get("seen") or {})

    def pages(self) -> Iterator[Page]:
        answer = self._index()
        date = parse_http_date(answer.headers.get("Date", "")) or self._session.clock()
        began = int(self._cursor.get("began") or date.timestamp())
        rows, remarks = self._rows(answer)
        before = {"since": self._since, "seen": self._seen, "began": began}
        at = self._cursor.get("at")
        taken = []
        for row in rows:
            if at is not None and row.place <= list(at):
                continue  # not remembered: it may be an old event that was published since; the overlap brings it
            taken.append(row)
            if self._seen.get(row.uuid) == row.timestamp:
                continue
            page = self.event(row)
            yield Page(
                document=page.document, rejected=page.rejected, skipped=page.skipped, cursor=before | {"at": row.place}
            )
        after = {"since": began - _OVERLAP, "seen": self._remember(taken)}
        yield Page(skipped=remarks, cursor=after, last=True)

    def everything(self) -> list[_Row]:
        """The index without a lower bound: `cursor` and `since` are left out of it."""
        self._since = None
        return self._rows(self._index())[0]

    def _index(self) -> Answer:
        """The whole minimal index in one answer: MISP does not page it."""
        wishes: dict[str, Any] = {"minimal": 1, "published": 1}
        if self._since is not None:
            wishes["publish_timestamp"] = str(self._since)
        return self._session.post(self._base + "events/index", orjson.dumps(wishes), headers=_JSON, again=True)

    def _rows(self, answer: Answer) -> tuple[list[_Row], list[Skipped]]:
        try:
            found = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise PeerProtocol(
                "peer.malformed", url=answer.url, detail=str(error)[:200], **self._session.blame
            ) from None
        if not isinstance(found, list):
            detail = self._session.detail(answer)
            raise PeerProtocol("peer.malformed", url=answer.url, detail=detail, **self._session.blame)
        rows, remarks = [], []
        for row in found:
            uuid = row.get("uuid") if isinstance(row, dict) else None
            if is_uuid(uuid):
                rows.append(_Row(timestamp=timestamp_of(row), uuid=str(uuid)))
            else:
                remarks.append(Skipped(id=str(uuid)[:80], code="misp.bad_uuid", fields={"value": str(uuid)[:80]}))
        rows.sort(key=lambda row: (row.timestamp, row.uuid))
        return rows, remarks

    def event(self, row: _Row) -> Page:
        url = f"{self._base}events/view/{row.uuid}/{_VIEW}"
        try:
            answer = self._session.get(url, headers=_JSON, expect=_GONE)
            if answer.status in _GONE:
                fields = {"peer": self._peer, "status": answer.status}
                return Page(skipped=[Skipped(id=row.uuid, code="misp.gone", fields=fields)])
            event = check_event(answer.body, row.uuid)
        except ContentError as error:
            return Page(rejected=[Rejected(raw=answer.body, code=error.code, fields=error.fields, id=row.uuid)])
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            return Page(rejected=[Rejected(raw=b"", code=error.code, fields=error.fields, id=row.uuid)])
        version = str(event.get("timestamp") or row.timestamp)
        return Page(document=Document(kind="misp-event", id=row.uuid, version=version, raw=answer.body))

    def _remember(self, rows: Iterable[_Row]) -> dict[str, int]:
        """The newest events, so that the overlap of the next poll fetches nothing twice."""
        known = self._seen | {row.uuid: row.timestamp for row in rows}
        newest = sorted(known, key=lambda uuid: known[uuid])[-_REMEMBERED:]
        return {uuid: known[uuid] for uuid in newest}
