"""What a client needs to reach a peer, and the sessions that it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.model import certificate
from exchange.model.certificate import Certificate
from exchange.model.party import Credentials, Peer
from exchange.model.profile import Handshake
from exchange.peers import names
from exchange.peers.session import Clock, Limits, Session, Spend, Wait, origin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who a peer is, our secrets for it, time, how patient to be, the DNS, and who is told of handshakes."""

    peer: Peer
    credentials: Credentials
    clock: Clock
    wait: Wait
    limits: Limits = field(default_factory=Limits)
    resolver: Callable[[str], Sequence[tuple[str, int]]] = names.resolve
    """The (host, port) pairs of a DNS SRV name, best first. Raises OSError when there are none."""
    spend: Spend = lambda: 0.0
    """Takes one request out of the peer's budget; seconds to wait before it is made."""
    handshake: Callable[[Handshake], None] | None = None
    """Told of each TLS handshake, when it was made and by the thread that made it."""

    @property
    def blame(self) -> Mapping[str, Any]:
        """What stands in every error about this peer."""
        return {"peer": self.peer.id, "contact": self.peer.contact}

    def session(self, url: str) -> Session:
        """A session with the origin of `url`, and no other."""
        return Session(
            origin=url,
            credentials=self.credentials,
            clock=self.clock,
            wait=self.wait,
            blame=self.blame,
            limits=self.limits,
            spend=self.spend,
            proxy=self.peer.proxy,
            shaken=None if self.handshake is None else lambda der: self._tell(origin_of(url), der),
        )

    def _tell(self, origin: str, der: bytes) -> None:
        """Say what both sides showed. What cannot be read is no reason to hang up: TLS was satisfied with it."""
        theirs = _readable(lambda: certificate.of_der(der))
        if self.handshake is None or theirs is None:
            return
        file = self.credentials.client_cert
        ours = _readable(lambda: certificate.read(Path(file).read_text(encoding="ascii"))) if file else None
        self.handshake(
            Handshake(
                peer=self.peer.id,
                origin=origin,
                subject=theirs.subject,
                issuer=theirs.issuer,
                not_after=theirs.not_after,
                our_file=file or None,
                our_subject=ours.subject if ours else None,
                our_not_after=ours.not_after if ours else None,
            )
        )


def _readable(read: Callable[[], Certificate]) -> Certificate | None:
    try:
        return read()
    except (ValueError, OSError):
        return None
