"""Whether an act of widening holds, read out of decision 0032 by itself: no line of the policy is used."""

from __future__ import annotations

from exchange.model.party import Terms
from exchange.sync.proof.record import TLP, Act, Worth, bare, levels


def is_more(worth: Worth, then: Worth) -> bool:
    """Whether it keeps out anybody, or says anything, that `then` did not."""
    higher = any(
        max(levels(worth.names, listed=listed), default=-1) > max(levels(then.names, listed=listed), default=-1)
        for listed in (False, True)
    )
    said_ = {name for name in worth.names if not name.startswith("tlp:")} - then.names
    said_ -= {"pfc:libre", "pfc:ambre", "pfc:ambre+strict", "pfc:rouge"}
    joined = then.with_(worth)
    return higher or bool(said_) or joined._replace(names=then.names) != then


def is_ministerial(act: Act) -> bool:
    """Whether the ministry's right reaches over it: PFC:AMBRE or its STRICT, with nothing stricter beside."""
    names = act.worth.names
    of_pfc = max(levels((n for n in names if n.startswith("pfc:")), listed=True), default=-1)
    of_tlp = max(levels((n for n in names if n.startswith("tlp:")), listed=True), default=-1)
    strict = "pfc:vert" in names and act.level != "pfc:vert"
    return of_pfc in (TLP["amber"], TLP["amber+strict"]) and of_tlp <= of_pfc and not strict


def is_word_of(terms: Terms, peer: str, whose: str) -> bool:
    """Whether what `peer` says is said by this creator: it owns that identity, or both are of our own house."""
    known = terms.peers.get(peer)
    if known is None or not whose:
        return False
    homes = [each for each in terms.peers.values() if each.home]
    ours = {bare(terms.node_identity)}.union(*(map(bare, each.identities) for each in homes))
    return bare(whose) in map(bare, known.identities) or (known.home and bare(whose) in ours)
