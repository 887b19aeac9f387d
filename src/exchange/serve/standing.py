"""What this worker remembers of the store between two requests: keys, audiences, brakes, and the newest bytes.

It is remembered with the connection that read it and with the store's sign of change, both looked at inside the
request's own snapshot: what was revoked or shut before the request is never taken for open (RULES R24, R31). An engine
without such a sign remembers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from exchange.store import Store, accounts, audiences, pages
from exchange.store.audiences import EPOCH, AudienceRow
from exchange.store.pages import Key

_PLACE = "exchange.serve.standing"


@dataclass(slots=True)
class Standing:
    """The state of one snapshot, read as it is asked for."""

    sign: tuple[int, int] | None
    blocks: dict[int, bytes] = field(default_factory=dict)
    """Blocks that were unpacked for what is newest (`store.blocks.pieces`): what one subscriber misses, all do."""
    _epoch: str | None = None
    _keys: dict[str, Key] = field(default_factory=dict)
    _some_chosen: bool | None = None
    _chosen: dict[str, Sequence[tuple[str, int | None]]] = field(default_factory=dict)
    _certificates: dict[str, Key] = field(default_factory=dict)
    _audiences: dict[tuple[str, str], AudienceRow | None] = field(default_factory=dict)
    _brakes: dict[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)

    def key(self, tx: Connection, digest: str) -> Key | None:
        """What the secret with this digest opens. A secret that opens nothing is not remembered: guesses are many."""
        found = self._keys.get(digest)
        if found is None:
            found = pages.key_of(tx, digest)
            if found is not None:
                self._keys[digest] = found
        return found

    def certificate(self, tx: Connection, fingerprint: str) -> Key | None:
        """What the certificate with this fingerprint opens. Its DER form is public, so it never passes for a secret."""
        found = self._certificates.get(fingerprint)
        if found is None:
            found = accounts.key_of_certificate(tx, fingerprint)
            if found is not None:
                self._certificates[fingerprint] = found
        return found

    def chosen(self, tx: Connection, account: str) -> Sequence[tuple[str, int | None]]:
        """The hashes of the passwords chosen for this account. A name without any is not remembered."""
        found = self._chosen.get(account) or accounts.chosen(tx, account)
        if found:
            self._chosen[account] = found
        return found

    def some_chosen(self, tx: Connection) -> bool:
        """Whether any account has a password that a person chose: where none has, none is ever worked out."""
        if self._some_chosen is None:
            self._some_chosen = accounts.some_chosen(tx)
        return self._some_chosen

    def audience(self, tx: Connection, peer: str, channel: str) -> AudienceRow | None:
        """The one audience to which `peer` belongs in `channel`."""
        place = (peer, channel)
        if place not in self._audiences:
            self._audiences[place] = audiences.of_reader(tx, peer, channel)
        return self._audiences[place]

    def epoch(self, tx: Connection) -> str:
        """The terms that the store follows (RULES R19): a worker that holds others serves nothing."""
        if self._epoch is None:
            self._epoch = audiences.note(tx, EPOCH)
        return self._epoch

    def brake(self, tx: Connection, peer: str, direction: str) -> Mapping[str, Any] | None:
        """The brake that stops `peer` in this direction, if any."""
        place = (peer, direction)
        if place not in self._brakes:
            self._brakes[place] = accounts.braked(tx, peer, direction)
        return self._brakes[place]


def standing(store: Store, tx: Connection) -> Standing:
    """What is remembered for this snapshot; empty when anything was committed since."""
    sign = pages.sign(store, tx)
    if sign is None:
        return Standing(None)
    kept: Standing | None = tx.info.get(_PLACE)
    if kept is None or kept.sign != sign:
        kept = tx.info[_PLACE] = Standing(sign)
    return kept
