"""Organisations as MISP names them, and for which of them an account may write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from exchange.model.party import ANYBODY, Peer, Source
from exchange.policy import Rules
from exchange.serve.misp.errors import Unsaved

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def number(uuid: str) -> str:
    """The number that an event has here: MISP has one for everything, and clients want it. Uuids are what counts."""
    return str(int(uuid[:7], 16) + 1)


def identities(peer: Peer) -> list[str]:
    """The bare uuids of the identities that are the peer's, in order."""
    found = {identity.removeprefix("identity--").lower() for identity in peer.identities}
    return sorted(uuid for uuid in found if _UUID.fullmatch(uuid))


def creators(peer: Peer) -> frozenset[str]:
    """The organisations whose events this peer may hand in: its own, and those that its sources may bring."""
    return frozenset(identities(peer)).union(*(source.orgs for source in peer.sources))


def organisation(peer: Peer) -> dict[str, str]:
    """The organisation that the peer's account speaks for: its first identity; without one its name alone."""
    own = identities(peer)
    return {"name": peer.name, "uuid": own[0] if own else ""}


def speaker(org: Any, peer: Peer) -> dict[str, str] | None:
    """Who says something: `org`, if the peer may hand in what it says; the peer itself where none is named."""
    if not isinstance(org, dict) or not org.get("uuid"):
        return organisation(peer)
    uuid = str(org["uuid"]).lower()
    if not creators(peer) & {uuid, ANYBODY}:
        return None
    return {"uuid": uuid, "name": str(org.get("name") or uuid)}


def source_of(peer: Peer, id_: str, orgs: frozenset[str]) -> Source:
    """What is handed in by this peer, as a source for the conversion."""
    return Source(peer=peer.id, id=id_, kind="misp", orgs=orgs, internal=peer.home)


def allowed(org: Mapping[str, Any], peer: Peer, rules: Rules, could: str) -> None:
    """Raises Unsaved, naming the organisation, unless `peer` may hand in what `org` created.

    Whoever owns the organisation says what is new of it (RULES R5): what another configured peer owns, or our own
    house, is not this peer's to hand in, whatever its sources may bring.
    """
    uuid = str(org.get("uuid") or "").lower()
    name = str(org.get("name") or "")[:200]
    code = refusal(uuid, peer, rules)
    if code:
        raise Unsaved(code, could=could, org=name, uuid=uuid or "-")


def refusal(uuid: str, peer: Peer, rules: Rules) -> str:
    """Why `peer` may not hand in what the organisation `uuid` created; empty: it may."""
    if uuid in _house(rules) and not peer.home:
        return "request.misp_ours"
    return "" if creators(peer) & {uuid, ANYBODY} else "request.misp_org"


def _house(rules: Rules) -> frozenset[str]:
    """The organisations that are our own: what they made is not locked here."""
    own = [identities(peer) for peer in rules.terms.peers.values() if peer.home]
    node = rules.terms.node_identity.removeprefix("identity--").lower()
    return frozenset(uuid for each in own for uuid in each) | {node}
