"""What a TAXII target has of ours and may no longer have is deleted there, where its configuration says so.

Only what it accepted from us, every version at once (TAXII 2.1 section 5.7), and before anything else leaves: what is
listed to it again meanwhile is handed over anew. Whoever fetched it there learns it from the notice (`sync.notices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import Connection

from exchange.model.envelope import Outgoing, PeerClient, Receipt
from exchange.model.party import Target
from exchange.policy import Audience
from exchange.store import accounts, pushed, sources
from exchange.store.clock import micros
from exchange.store.pushed import Owed
from exchange.sync.pull import LEASE, Work, peer_of

log = structlog.get_logger()

_BATCH = 50
"""Objects deleted before it is written down, and before brakes are looked at again: each is a request."""
_MOST_ATTEMPTS = 1440
"""A target that neither deletes nor refuses for so long has refused."""


def waits(tx: Connection, audience: Audience) -> bool:
    """Whether anything is to be taken back from this target."""
    return bool(pushed.owed(tx, audience.channel, 1))


def remove(work: Work, target: Target, audience: Audience, client: PeerClient, counts: Counter[str]) -> str:
    """Delete there what it may no longer have; why it ended before all was done, or nothing."""
    after, left = (-1, -1), False
    while not work.stopping():
        now = work.clock()
        if peer_of(work, target).closed_until(now):
            return "closed"
        with work.store.reading() as tx:
            if accounts.braked(tx, target.peer, "out"):
                return "paused"
            owed = pushed.owed(tx, audience.channel, _BATCH, after=after)
            still = pushed.still_listed(tx, audience.key, {row.stix_id for row in owed})
        if not owed:
            return "waiting" if left else ""
        after = (owed[-1].audience, owed[-1].added)
        gone = {row.stix_id for row in owed} - still if target.delete else set()
        receipts = _delete(target, client, gone)
        settled = [_became(row, receipts.get(row.stix_id), asked=row.stix_id in gone) for row in owed]
        now = work.clock()
        with work.store.writing() as tx:
            held = sources.extend(tx, target.key, work.owner, micros(now + LEASE))
            if held:
                pushed.settle_owed(tx, settled, peer=target.peer, channel=audience.channel, now=micros(now))
        counts.update(state for _, state, _ in settled if state != "accepted")
        if not held:
            return "lease_lost"
        left = left or any(state == "recall" for _, state, _ in settled)
    return "stopping"


def _delete(target: Target, client: PeerClient, ids: set[str]) -> Mapping[str, Receipt]:
    if not ids:
        return {}
    found: Sequence[Receipt] = client.push(
        target, [Outgoing(id=each, version="", body=b"", gone=True) for each in sorted(ids)]
    )
    return {receipt.id: receipt for receipt in found}


def _became(row: Owed, receipt: Receipt | None, *, asked: bool) -> tuple[Owed, str, str]:
    """What is not to be deleted may stay there: it is listed again, or the configuration wants no deletions."""
    if not asked:
        return row, "accepted", ""
    outcome, message = ("pending", "") if receipt is None else (receipt.outcome, receipt.message)
    if outcome == "pending" and row.attempts >= _MOST_ATTEMPTS:
        outcome = "refused"
    if outcome == "refused":
        log.error("recall.refused", id=row.stix_id, agreement=row.agreement, detail=message)
    return row, {"accepted": "recalled", "pending": "recall"}.get(outcome, outcome), message
