"""What an agreement wants done to an object before it goes: the clauses of `[send]` that alter, and their defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from exchange.model.marking import Tlp
from exchange.model.party import QUEBEC, Agreement, Peer, Personal
from exchange.policy.audience import Audience
from exchange.policy.transform import Limit, Transform

_CLASS = 32


def personal(agreement: Agreement, peers: Mapping[str, Peer]) -> Personal:
    """What becomes of personal information under this agreement (A-2.1, art. 70.1).

    Where nobody has said: it is allowed where all parties are our own house or in Québec, else stripped.
    """
    if agreement.send is not None and agreement.send.personal is not None:
        return agreement.send.personal
    parties = [peers[name] for name in agreement.parties if name in peers]
    return "allowed" if all(peer.home or peer.jurisdiction == QUEBEC for peer in parties) else "strip"


def limit(agreement: Agreement, audience: Audience, *, listed: bool) -> Limit | None:
    """What the audience may have of the parts of an object; None: nothing is removed under this agreement.

    `listed`: the audience may have what is for PFC's list.
    """
    send = agreement.send
    if send is None or send.granular != "remove":
        return None
    return Limit(ceiling=min(send.ceiling, audience.ceiling), listed=send.pfc and listed, pap=audience.pap)


def transform(
    agreement: Agreement,
    audience: Audience,
    *,
    named: bool,
    personal: Personal,
    victim: bool,
    cut: Limit | None,
    cuts: bool,
    onward: bool,
) -> Transform | None:
    """What is done to an object that this agreement lets go; None: nothing.

    `named`: it may tell of a producer that is neither we nor our house; `personal`: what becomes of the personal
    information in it; `victim`: its source says elsewhere that all of it is a victim's; `cut`: the clause about its
    parts, and whether it `cuts` here; `onward`: its giver lets TLP:AMBER and stricter go further. All who stand under
    the same agreements and clauses are one class, whatever the channel: one partner knows an object by one id (R15).
    """
    send = agreement.send
    if send is None:
        return None
    anonymous = named and send.attribution == "anonymous"
    stripped = personal == "strip"
    if not (anonymous or stripped or cuts or send.redact):
        return None
    clauses = (send.attribution, send.granular, "" if cut is None else cut.name, *sorted(send.redact))
    text = "\0".join((*sorted(audience.agreements), "", *clauses))
    return Transform(
        recipients=hashlib.sha256(text.encode()).hexdigest()[:_CLASS],
        redact=send.redact,
        cut=_within(cut, onward=onward) if cuts else None,
        anonymous=anonymous,
        personal=stripped,
        victim=stripped and victim,
    )


def _within(cut: Limit | None, *, onward: bool) -> Limit | None:
    """The limit for parts of what may not go further: the class of recipients, and so the id, is the same."""
    return cut if cut is None or onward else replace(cut, ceiling=min(cut.ceiling, Tlp.GREEN))
