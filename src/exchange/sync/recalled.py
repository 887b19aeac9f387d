"""What a source recalls from us by a notice (RULES R8), and what it gives again after that.

A notice is the word of whoever gives it about what it gave itself: its statements about that id are withdrawn from
everybody, up to the version that the notice names, as if it had deleted them; another source's word for the same id
stays what it was (R5). The notice itself is kept and obeyed, and goes no further: who got the object of us is told by a
notice of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from exchange.model import recall
from exchange.model.envelope import Page
from exchange.model.stix import instant
from exchange.store import statements, withdrawals
from exchange.store.statements import Held
from exchange.store.withdrawals import EVERY, is_deleted


def recalled(
    tx: Connection,
    source: str,
    peer: str,
    page: Page,
    known: Mapping[str, Sequence[Held]],
    now: int,
    *,
    again: bool = False,
) -> list[str]:
    """Obey the notices in `page`, in the order in which its objects came; the ids that are to be decided anew.

    `known`: what was held of its ids before. What is given again after it was recalled stands again when the drain is
    complete (`back`), unless a notice came behind it: a server that keeps both lists the older first. `again`: the page
    came earlier, so it says nothing new of what is withdrawn. MISP says it otherwise (`sync.deletion`).
    """
    if again or page.document is not None:
        return []
    gone: dict[str, str] = {}
    given: dict[str, None] = {}
    notes: list[str] = []
    for item in page.objects:
        said = recall.read(item)
        if said is None:
            if recall.claims(item):
                notes.append(item.id)  # nobody can obey it, and a reader who is less strict is not to get it of us
            if any(held.source == source and is_deleted(held) for held in known.get(item.id, ())):
                given[item.id] = None
                gone.pop(item.id, None)
            continue
        notes.append(item.id)
        if said.action == "withdrawn":
            gone[said.stix_id] = instant(said.version)
            given.pop(said.stix_id, None)
        else:
            given[said.stix_id] = None
            gone.pop(said.stix_id, None)
    for note in notes:
        withdrawals.mark(tx, peer, withdrawals.RECALL, note, {EVERY}, now)
    for stix_id in given:
        withdrawals.mark(tx, peer, withdrawals.returned(source), stix_id, {EVERY}, now)
    return [*notes, *_withdraw(tx, source, peer, gone, now)]


def _withdraw(tx: Connection, source: str, peer: str, gone: Mapping[str, str], now: int) -> list[str]:
    if not gone:
        return []
    withdrawals.forget(tx, peer, withdrawals.returned(source), gone)
    changed = []
    for stix_id, group in statements.held(tx, gone).items():
        # What has no version of its own has an empty one, which is the mark for every version.
        versions = {held.version for held in group if held.source == source and held.version <= gone[stix_id]}
        if versions:
            withdrawals.mark(tx, peer, withdrawals.of_source(source), stix_id, versions, now)
            changed.append(stix_id)
    return changed


def back(tx: Connection, source: str, peer: str, page: Page) -> list[str]:
    """When the drain of `source` is complete, what it gave again stands again; the ids that are to be decided anew."""
    ids = withdrawals.returning(tx, peer, source) if page.last and page.document is None else []
    if ids:
        withdrawals.forget(tx, peer, withdrawals.returned(source), ids)
        withdrawals.forget(tx, peer, withdrawals.of_source(source), ids)
    return ids
