"""What a MISP source has deleted since it gave it: the soft deletion of an entity withdraws all that was made of it.

The event says so (`deleted: true`, misp.md section 2.3), and the conversion passes it over with a reason. It stays
withdrawn from everybody until the source gives it again. Another source's word for it stays what it was (RULES R5).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID, uuid5

from sqlalchemy import Connection

from exchange.model.envelope import Page
from exchange.model.misp import MINTED
from exchange.model.schema import observable_types
from exchange.store import references, sources, statements, withdrawals
from exchange.store.statements import Held

DELETED = "misp.deleted"

_CARRIERS = (
    "indicator", "observed-data", "x-misp-attribute", "x-misp-object", "note", "opinion", "sighting", "report",
    "grouping", "relationship", "vulnerability", "attack-pattern", "course-of-action", "malware", "malware-analysis",
    "tool", "campaign", "threat-actor", "intrusion-set", "infrastructure", "incident", "identity", "location",
    "x-misp-galaxy-cluster",
)  # fmt: skip
"""What may carry an entity under the entity's own uuid."""
_BESIDE = ("indicator", "observed-data")
"""What may stand beside a carrier under a uuid of its own; observables and links are found by what refers to them."""


def withdraw_deleted(tx: Connection, source: str, peer: str, page: Page, now: int) -> list[str]:
    """Withdraw what `source` gave and says to have deleted; the ids that are to be decided anew."""
    uuids = {skipped.id.lower() for skipped in page.skipped if skipped.code == DELETED and _is_uuid(skipped.id)}
    uuids -= sources.passed_over_before(tx, source, uuids, DELETED)
    if not uuids:
        return []
    gone = _given(tx, source, (f"{kind}--{uuid}" for uuid in uuids for kind in _CARRIERS))
    of = {held.stix_id.partition("--")[2] for held in gone}
    gone += _given(tx, source, beside(of))
    observed = references.referred(tx, [held.seq for held in gone if held.type == "observed-data"])
    gone += _given(tx, source, (each for each in observed if each.partition("--")[0] in observable_types()))
    gone += _given(tx, source, references.links(tx, source, {held.stix_id for held in gone}))
    versions: dict[str, set[str]] = {}
    for held in gone:
        versions.setdefault(held.stix_id, set()).add(held.version)
    for stix_id, said in versions.items():
        withdrawals.mark(tx, peer, withdrawals.of_source(source), stix_id, said, now)
    return list(versions)


def beside(uuids: Iterable[str]) -> list[str]:
    """The ids of what may stand beside the carriers of these MISP entities."""
    return [f"{kind}--{uuid5(MINTED, f'{uuid}/{kind}')}" for uuid in uuids for kind in _BESIDE]


def given_again(tx: Connection, source: str, peer: str, stix_ids: Collection[str]) -> list[str]:
    """`source` gives these, made of a MISP event; the ids of those that it had deleted."""
    sources.no_longer_passed_over(tx, source, {stix_id.partition("--")[2] for stix_id in stix_ids}, DELETED)
    return withdrawals.forget(tx, peer, withdrawals.of_source(source), stix_ids)


def _given(tx: Connection, source: str, stix_ids: Iterable[str]) -> list[Held]:
    groups = statements.held(tx, stix_ids).values()
    return [held for group in groups for held in group if held.source == source]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
