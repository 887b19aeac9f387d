"""Where a collection is: the API root that is configured, or the one that discovery leads to (TAXII 2.1 section 4.1).

Servers are configured by their API root, by their discovery resource or by their address alone; some say nothing but a
domain, whose DNS names the server (section 1.6.4.1). A root that lies on no configured origin is not asked (RULES R29),
and the error says what to configure; a server that the DNS names is asked without credentials only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from exchange.errors import PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.party import Source, Target, TaxiiVersion
from exchange.peers.access import Access
from exchange.peers.collection import open_collection
from exchange.peers.connection import Connection
from exchange.peers.session import origin_of, shown

SRV = "srv:"
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_LONGEST = 1000
_MOST = 8
"""API roots of one discovery resource that are looked into."""
_PLACES = {"2.1": ("/taxii2/",), "2.0": ("/taxii/", "/taxii2/")}
_SERVICE = {"2.1": "_taxii2._tcp.", "2.0": "_taxii._tcp."}


def version_of(flow: Source | Target) -> TaxiiVersion:
    """The TAXII that a source or target speaks; 2.0 is only read."""
    return flow.version if isinstance(flow, Source) else "2.1"


class Roots:
    """The API roots of one peer; what was found out holds as long as this object."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._found: dict[tuple[str, ...], str] = {}

    def of(self, flow: Source | Target) -> str:
        """The API root to ask: the one found out, else what is configured. Raises PeerError for an unusable `srv:`."""
        known = self._found.get(_place_of(flow))
        if known is None and flow.url.startswith(SRV):
            return self.find(flow, None)
        return known or flow.url

    def find(self, flow: Source | Target, error: PeerProtocol | None) -> str:
        """The API root that has the flow's collection, by discovery; raises `error` when there is none."""
        foreign: list[str] = []
        for place in self._places(flow):
            for root in self.named(place, version_of(flow)):
                if origin_of(root) != origin_of(place) and origin_of(root) not in self._home(flow):
                    foreign.append(root)
                elif self._holds(root, flow):
                    self._found[_place_of(flow)] = root
                    return root
        if foreign:
            raise self._error("peer.foreign_root", flow, url=shown(foreign[0]), origin=origin_of(foreign[0]))
        if error is not None:
            raise error
        raise self._error("peer.no_collection", flow, url=flow.url)

    def _home(self, flow: Source | Target) -> set[str]:
        """The origins that the configuration names."""
        peer = self._access.peer
        named = {each.url for each in (flow, *peer.sources, *peer.targets)}
        return {origin_of(place) for place in named | peer.origins if not place.startswith(SRV)}

    def named(self, place: str, version: TaxiiVersion) -> list[str]:
        """The API roots that a discovery resource names, the default first; none when it is no such resource."""
        with self._access.session(place) as session:
            try:
                said = Connection(session, version).get(place)
            except PeerRefused as error:
                if error.fields.get("status") == HTTPStatus.UNAUTHORIZED:
                    raise  # a wrong secret is no missing collection
                return []
            except PeerProtocol:
                return []
        if not isinstance(said, dict):  # the address of a page of objects
            return []
        listed = said.get("api_roots")
        roots = [said.get("default"), *(listed if isinstance(listed, list) else ())]
        joined = dict.fromkeys(_joined(place, root) for root in roots if isinstance(root, str))
        return [root for root in joined if root][:_MOST]

    def places(self, flow: Source | Target) -> list[str]:
        """Where the flow's server may have its discovery resource. Raises PeerError for an unusable `srv:`."""
        return list(self._places(flow))

    def _places(self, flow: Source | Target) -> Iterator[str]:
        version = version_of(flow)
        if flow.url.startswith(SRV):
            server = self._server(flow)
        else:
            server = flow.url
            yield flow.url if flow.url.endswith("/") else flow.url + "/"
        for path in _PLACES[version]:
            place = urljoin(server, path)
            if place != flow.url:
                yield place

    def _server(self, flow: Source | Target) -> str:
        """The server that the DNS names for a domain (TAXII 2.1 section 1.6.4.1)."""
        domain = flow.url.removeprefix(SRV)
        name = _SERVICE[version_of(flow)] + domain
        try:
            found = self._access.resolver(name)
        except OSError as error:
            raise PeerUnreachable("peer.srv", name=name, detail=str(error)[:200], **self._access.blame) from None
        servers = [f"https://{host}:{port}" for host, port in found if port and _HOST.fullmatch(host)]
        if not servers:
            raise PeerUnreachable("peer.srv", name=name, detail="-", **self._access.blame)
        for server in servers:
            # The DNS may send a reader without secrets anywhere; what we hand over goes only where we were told to.
            free = self._access.credentials.anonymous and isinstance(flow, Source)
            if free or origin_of(server) in self._home(flow):
                return server
        raise self._error("peer.srv_origin", flow, domain=domain, origin=servers[0])

    def _holds(self, root: str, flow: Source | Target) -> bool:
        with self._access.session(root) as session:
            try:
                open_collection(Connection(session, version_of(flow)), root, flow.collection)
            except PeerRefused as error:
                if error.fields.get("status") == HTTPStatus.UNAUTHORIZED:
                    raise
                return False
            except PeerProtocol:
                return False
        return True

    def _error(self, code: str, flow: Source | Target, **fields: str) -> PeerProtocol:
        return PeerProtocol(code, collection=flow.collection, **fields, **self._access.blame)


def _place_of(flow: Source | Target) -> tuple[str, ...]:
    return flow.url, flow.collection, version_of(flow)


def _joined(place: str, root: str) -> str:
    """A root as the discovery resource writes it, made whole: some are relative, some lack their slash.

    Empty for what is no web address.
    """
    root = root.strip()
    if not root or len(root) > _LONGEST or not root.isprintable():
        return ""
    try:
        whole = urljoin(place, root)
        web = urlsplit(whole).scheme in ("http", "https") and bool(urlsplit(whole).hostname)
    except ValueError:
        return ""
    if not web:
        return ""
    return whole if whole.endswith("/") else whole + "/"
