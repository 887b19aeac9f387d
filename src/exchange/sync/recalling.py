"""The recall list (RULES R31): who has what is named, since when and how, who was told, and whom to call.

Made of the ledgers and the listings, some objects at a time, so memory does not grow with what is named. Asking
changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from exchange.model.party import Terms
from exchange.store import Store, derived, notices, scopes
from exchange.store.clock import moment
from exchange.store.columns import chunks
from exchange.store.scopes import Scope
from exchange.sync import accounting
from exchange.sync.accounting import Asked, Entry

_STEP = 1_000
"""Statements looked at together: each page that was fetched of them is looked at once or twice."""
NOTICE, TOLD, TAKEN = "notice", "told", "taken"
"""A notice was listed to them; they have fetched it; their server took it."""
_OF_NOTICES = frozenset({NOTICE, TOLD, TAKEN})
DELETED = "recalled"
"""Their server has deleted our copy."""


def entries(store: Store, scope: Scope) -> Iterator[Entry]:
    """Everything that happened to what is named, object by object: offered, handed over, fetched, and the notices."""
    after = 0
    while True:
        with store.reading() as tx:
            held = scopes.steps(tx, scope, after, _STEP)
            first = scopes.first_of(tx, scope, {item.stix_id for item in held})
        if not held:
            return
        fresh = [stix_id for stix_id, seq in first.items() if seq > after]  # the others were told before
        with store.reading() as tx:
            seqs = scopes.seqs_of(tx, scope, fresh)
            seqs |= derived.made_of(tx, seqs)
            forms = derived.forms_of(tx, fresh)
        for entry in chain(_given(store, forms), _noticed(store, forms)):
            if entry.seq in seqs or entry.outcome in _OF_NOTICES:
                yield replace(entry, original=forms.get(entry.object, ""))
        after = held[-1].seq


def _given(store: Store, stix_ids: Collection[str]) -> Iterator[Entry]:
    """Of each what was offered and handed over; then what was fetched of any."""
    for ids in chunks(stix_ids):
        found: dict[str, list[Entry]] = {stix_id: [] for stix_id in ids}
        for entry in chain(
            accounting.offered_to(store, Asked(), ids),
            accounting.handed_over(store, Asked(), named=True, stix_ids=ids),
        ):
            found[entry.object].append(entry)
        yield from chain.from_iterable(found.values())
    yield from accounting.delivered(store, set(stix_ids), Asked())


def _noticed(store: Store, stix_ids: Collection[str]) -> Iterator[Entry]:
    """What was told about these objects, and to whom it came."""
    with store.reading() as tx:
        told = notices.history(tx, stix_ids)
    dates: dict[str, list[int]] = {}
    for row in told:
        dates.setdefault(row["key"], []).append(row["added"])
    with store.noted() as tx:
        came = {key: notices.readers(tx, key, added) for key, added in dates.items()}
    for row in told:
        said = {
            "channel": row["channel"], "count": 1, "object": row["stix_id"], "version": row["version"], "type": "note",
        }  # fmt: skip
        for peer in json.loads(row["members"]):
            yield Entry(at=moment(row["added"]), outcome=NOTICE, peer=peer, account="", **said)
        for peer, account, at in came[row["key"]].get(row["added"], ()):
            yield Entry(at=moment(at), outcome=TOLD, peer=peer, account=account, **said)
    about = {row["note"]: row["stix_id"] for row in told}
    for notes in chunks(about):
        for entry in accounting.handed_over(store, Asked(), named=True, stix_ids=notes):
            if entry.outcome == "accepted":
                yield Entry(
                    at=entry.at, outcome=TAKEN, peer=entry.peer, account="", channel=entry.channel, count=1,
                    object=about[entry.object], version=entry.version, type="note",
                )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Holder:
    """One partner, or one of its accounts: how many versions it was given, and what came back."""

    peer: str
    account: str
    """Empty: the partner itself."""
    name: str
    contact: str
    """Whom to call; empty: nobody is named."""
    offered: int = 0
    delivered: int = 0
    accepted: int = 0
    deleted: int = 0
    notices: int = 0
    told: int = 0
    """Notices that were fetched, or taken by their server."""
    agreements: set[str] = field(default_factory=set)

    @property
    def has(self) -> bool:
        """Whether it was given any of it, as far as the ledgers can tell."""
        return self.delivered > 0 or self.accepted > self.deleted


_COUNTED = {
    "offered": "offered", "delivered": "delivered", "accepted": "accepted", DELETED: "deleted", NOTICE: "notices",
    TOLD: "told", TAKEN: "told",
}  # fmt: skip


def holders(found: Iterable[Entry], terms: Terms) -> list[Holder]:
    """Who they are; those that have it come first."""
    known: dict[tuple[str, str], Holder] = {}
    for entry in found:
        place = entry.peer, entry.account
        if place not in known:
            peer = terms.peers.get(entry.peer)
            known[place] = Holder(
                peer=entry.peer, account=entry.account, name=entry.peer if peer is None else peer.name,
                contact="" if peer is None else peer.contact,
            )  # fmt: skip
        counter = _COUNTED.get(entry.outcome)
        if counter is not None:
            setattr(known[place], counter, getattr(known[place], counter) + 1)
        if entry.agreement:
            known[place].agreements.add(entry.agreement)
    return sorted(known.values(), key=lambda each: (not each.has, each.peer, each.account))
