"""With whom: clients for the protocols that partners speak.

The contract is `exchange.model.envelope.PeerClient`; `client_for` makes the client for a source or target of a peer.

    taxii   TAXII 2.1 and 2.0, by taxii2-client on a session of ours: pull, and push over 2.1
    misp    a MISP instance, by PyMISP and MISP's own sync calls: pull and push of events and what goes with them
    feed    a MISP feed over HTTP: pull of events

A TAXII page holds objects. A page from MISP holds one event as a `Document`, or none; `exchange.convert` makes objects
of it, and the page's `cursor` and `last` hold for what was made.
"""

from __future__ import annotations

from collections.abc import Callable

from exchange.model.envelope import PeerClient
from exchange.model.party import Credentials, Peer, SourceKind
from exchange.model.profile import Handshake
from exchange.peers.access import Access
from exchange.peers.feed import FeedClient
from exchange.peers.misp import MispClient
from exchange.peers.session import Clock, Limits, Spend, Wait
from exchange.peers.taxii import TaxiiClient

__all__ = ["Access", "Clock", "FeedClient", "Limits", "MispClient", "TaxiiClient", "Wait", "client_for"]

_EVENT = 128 * 1024 * 1024
"""Bytes of one MISP event: one of 150,000 attributes (MISP/MISP#10753) has about 100 MB."""


def client_for(
    peer: Peer,
    kind: SourceKind,
    credentials: Credentials,
    *,
    clock: Clock,
    wait: Wait,
    limits: Limits | None = None,
    spend: Spend = lambda: 0.0,
    handshake: Callable[[Handshake], None] | None = None,
) -> PeerClient:
    """The client that speaks `kind` with `peer`. `wait` returns true when the daemon is stopping.

    `spend` says how long to wait before each request; `handshake` is told of each TLS handshake: how long both sides'
    certificates still hold.
    """
    limits = limits or (Limits() if kind == "taxii" else Limits(size=_EVENT))
    access = Access(
        peer=peer, credentials=credentials, clock=clock, wait=wait, limits=limits, spend=spend, handshake=handshake
    )
    if kind == "taxii":
        return TaxiiClient(access)
    if kind == "misp":
        return MispClient(access)
    if kind == "misp-feed":
        return FeedClient(access)
    raise ValueError(kind)  # files are imported, not pulled
