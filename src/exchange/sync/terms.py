"""When the terms change: declare the audiences that they make, and decide everything anew under them.

Until that is done the audiences are shut and answer 503 (RULES R19); a crash in between begins it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from exchange.policy import Audience, Rules
from exchange.policy.decide import end_of
from exchange.store import Store, ages, audiences, listings, pushed, sources, statements
from exchange.store.audiences import EPOCH, NODE_SECRET, AudienceRow
from exchange.store.clock import micros
from exchange.sync.accept import STEP, judge, require
from exchange.sync.listing import Lister
from exchange.sync.notices import close_above
from exchange.sync.subjects import deleting

_DECIDED = "policy_decided"


def adopt(store: Store, rules: Rules, now: datetime) -> int:
    """Make the store follow `rules`; gives the number of listings that changed. Nothing to do costs one read.

    Raises StoreOutdated when other terms were adopted meanwhile: those then hold, and these have changed nothing more.
    """
    with store.reading() as tx:
        if audiences.note(tx, EPOCH) == rules.epoch == audiences.note(tx, _DECIDED):
            return 0
    with store.writing() as tx:
        _declare(tx, rules, now)
        if not audiences.note(tx, NODE_SECRET):
            audiences.set_note(tx, NODE_SECRET, secrets.token_hex(32))
        audiences.set_note(tx, EPOCH, rules.epoch)
        audiences.set_note(tx, _DECIDED, "")
    changed = _decide_all(store, rules, now)
    with store.writing() as tx:
        require(tx, rules)
        audiences.set_note(tx, _DECIDED, rules.epoch)
        audiences.reopen(tx)
    return changed


def _declare(tx: Connection, rules: Rules, now: datetime) -> None:
    agreements = {agreement.id: agreement for agreement in rules.terms.agreements}

    def row(audience: Audience) -> AudienceRow:
        ends = [micros(end_of(agreements[name])) for name in audience.agreements]
        return AudienceRow(
            key=audience.key,
            channel=audience.channel,
            members=audience.members,
            agreements=tuple(sorted(audience.agreements)),
            ends=None if audience.home else max(ends, default=0),
            open=False,
            retired=False,
            last_added=0,
        )

    before = {key: row.members for key, row in audiences.everyone(tx).items()}
    ages.lose_all(tx)
    audiences.declare(tx, [row(audience) for audience in rules.audiences], micros(now))
    close_above(tx, rules, before, now)
    pushed.owe_retired(tx, deleting(rules))
    listings.close_retired(tx, micros(now))
    terms = rules.terms
    keys = [source.key for peer in terms.peers.values() for source in peer.sources]
    keys += [target.key for peer in terms.peers.values() for target in peer.targets]
    sources.declare(tx, keys, micros(now))


def _decide_all(store: Store, rules: Rules, now: datetime) -> int:
    """First which marks count under these terms, then, by them, what everything is worth and who may have it."""
    changed = 0
    for marks_only in (True, False):
        after = 0
        while True:
            with store.writing() as tx:
                require(tx, rules)
                seqs = statements.walk(tx, after, STEP, unknown=marks_only)
                if not seqs:
                    break
                ids = _judged_anew(tx, rules, seqs)
                changed += 0 if marks_only else Lister(tx, rules, now).relist(ids)
                after = seqs[-1]
    return changed


def _judged_anew(tx: Connection, rules: Rules, seqs: Sequence[int]) -> list[str]:
    """The ids of these statements, those that no longer wait being judged by the defaults of the new terms."""
    waiting = {held.seq for held in statements.by_seq(tx, seqs) if held.waiting}
    ids = [held.stix_id for held in statements.by_seq(tx, waiting)]
    return ids + judge(tx, rules, [seq for seq in seqs if seq not in waiting])
