"""A partner's MISP instance, read and written as MISP does it (reference misp.md §1.3, §1.4, §8).

PyMISP makes the acquaintance (is this a MISP, which version, may we synchronise); the sync calls, for which PyMISP has
no functions, are asked plainly. Both go through our session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

import orjson
import requests

from exchange.errors import PeerError, PeerProtocol
from exchange.imports import without_grammars
from exchange.model.envelope import Cursor, Entry, Outgoing, Page, Receipt
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.peers.access import Access
from exchange.peers.documents import pages_of
from exchange.peers.misp_pull import Drain, fetched
from exchange.peers.misp_push import Handover
from exchange.peers.misp_wire import JSON, Wire
from exchange.peers.probe import probe
from exchange.peers.session import Session

with without_grammars():
    from pymisp import MISPRole, MISPUser, PyMISP
    from pymisp.exceptions import PyMISPError


class MispClient:
    """The events of a MISP instance (contract: `exchange.model.envelope.PeerClient`).

    A page holds the original of one event in `document` and no objects: converting is not done here. What goes with the
    event without being in it (sightings, proposals, analyst data, custom galaxy clusters) stands beside it in the
    document, unwrapped: `{"Event": {…}, "Sighting": [{…}], "ShadowAttribute": […], "Note": […], …}`.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Events that are new or changed, or that have something new beside them; oldest first."""
        with self._access.session(source.url) as session:
            yield from Drain(self._wire(session, source.url), self._access, source, cursor).pages()

    def probe(self, flow: Source | Target, now: Any) -> Profile:
        """How it behaves; see `peers.probe`."""
        return probe(self._access, flow, now=now)

    def index(self, flow: Source | Target) -> Iterator[Sequence[Entry]]:
        """Every published event that our account sees; `version` is its timestamp."""
        with self._access.session(flow.url) as session:
            wire = self._wire(session, flow.url)
            rows, _ = wire.rows(wire.index({}))
            yield from pages_of((row.uuid, row.timestamp) for row in rows)

    def fetch(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """These events with what stands beside them, one page for each."""
        with self._access.session(source.url) as session:
            yield from fetched(self._wire(session, source.url), self._access, source, ids)

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Hand over events: `body` is `{"Event": …}`, `id` its uuid, `version` its timestamp. See `misp_push`."""
        with self._access.session(target.url) as session:
            return Handover(self._wire(session, target.url), target).receipts(objects)

    def _wire(self, session: Session, url: str) -> Wire:
        said = acquaint(session, url, self._access.credentials.key)
        return Wire(session=session, url=url, said=said)


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
        answer = self._through.request(request_type, whole, headers=JSON, body=body, again=request_type == "GET")
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
