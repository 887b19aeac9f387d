"""What a node is configured to be: frozen values, handed to the rooms by the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.i18n import Language
from exchange.model.party import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Who we are."""

    name: str
    identity: str
    """`identity--UUID`; what we create is signed with it, so it is kept for ever."""
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where everything is kept."""

    url: str
    """An SQLAlchemy URL: `sqlite:////…` or `postgresql+psycopg://…`; it never holds a password."""
    keep_free: int
    """Bytes; below this much free space pulls stop (RULES R32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How others reach us."""

    host: str
    port: int
    public_url: str
    """What partners type, without a final slash; `api_roots` are made of it."""
    proxies: tuple[str, ...]
    """Addresses and networks whose `X-Forwarded-*` and `Client-Cert` are believed (RULES R29)."""
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    """Authorities of the client certificates without which nobody is let in; None: none is asked for."""
    workers: int
    max_content_length: int
    """Bytes of one request's body."""
    requests_per_minute: int
    """Of one account, in each HTTP process; 0: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """How we reach others."""

    outbound: bool
    """False: nothing leaves, by any road."""
    every: float
    """Seconds between two pulls of a source that does not say otherwise."""
    probe: float
    """Seconds between two looks at how a peer behaves."""
    reconcile: float
    """Seconds between two comparisons of what a peer lists with what we hold and sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration of a node, valid as a whole."""

    node: Node
    store: Store
    serve: Serve
    sync: Sync
    terms: Terms
    folder: Path
