"""What may stand in the bytes that leave, clause by clause, read off those bytes: no line of the transforms is used.

An agreement may ask for a form: without the producer, without personal information, without some properties or parts.
What left conforms to it or not, whether it was altered or goes as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from exchange.model.party import QUEBEC, Agreement, Terms
from exchange.sync.proof.record import bare
from exchange.sync.proof.words import OF_ID, PERSON, Thing, part_of, text_of

LINEAGE = "extension-definition--3472c22a-8272-4759-b6a4-2717a14846d4"
Told = Callable[[set[str]], Mapping[str, set[str]]]
"""Of these identities those of which the source told anything, with the names."""
_ESSENTIAL = frozenset({
    "type", "spec_version", "id", "created_by_ref", "created", "modified", "revoked", "object_marking_refs",
    "granular_markings", "extensions",
})  # fmt: skip


def gone(thing: Thing, item: Mapping[str, Any]) -> frozenset[str]:
    """The marks of those parts that are missing."""
    return frozenset(mark for place, mark in enumerate(thing.parts) if part_of(thing, place) not in item)


def marks_left(item: Mapping[str, Any]) -> frozenset[str]:
    """The marks on what left, of the whole and of its parts."""
    refs = [
        *item.get("object_marking_refs", ()),
        *(m.get("marking_ref") for m in item.get("granular_markings", ())),
    ]
    return frozenset(OF_ID.get(ref, "unknown") for ref in refs)


def tokens(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The lineage that it carries (R16)."""
    said = item.get("extensions", {}).get(LINEAGE, {}).get("tokens", ())
    return tuple(each for each in said if re.fullmatch("[0-9a-f]{64}", each))


def breaks(
    terms: Terms, agreement: Agreement, thing: Thing, giver: str, item: Mapping[str, Any], told: Told, *, seen: bool,
    victims: frozenset[str],
) -> Iterator[str]:  # fmt: skip
    """The clauses about form that `item`, made of `thing` or the thing itself, does not keep.

    `told`: what its source told of identities; `seen`: as many persons as it takes let it go as it is; `victims`: what
    in it is a victim's.
    """
    send = agreement.send
    if send is None:
        return
    if send.attribution == "anonymous" and is_hidden(terms, thing, giver) and _names(terms, thing, giver, item, told):
        yield "named"
    wanted = send.personal
    if wanted is None:
        parties = [terms.peers[each] for each in agreement.parties if each in terms.peers]
        wanted = "allowed" if all(each.home or each.jurisdiction == QUEBEC for each in parties) else "strip"
    if wanted != "allowed" and _shows(item, victims) and not (wanted == "hold" and seen):
        yield "person"
    if wanted == "hold" and (PERSON in text_of(thing) or victims) and not seen:
        yield "person"  # nobody has looked at it
    if (send.redact - _ESSENTIAL) & (item.keys() - _of_pseudonym(item)):
        yield "redact"


def levels_left(item: Mapping[str, Any]) -> frozenset[str]:
    """The levels of TLP and PFC on what left, in whatever dialect."""
    return frozenset(name.partition(" ")[0] for name in marks_left(item) if name.startswith(("tlp:", "pfc:")))


def shows_anybody(
    terms: Terms, thing: Thing, giver: str, item: Mapping[str, Any], told: Told, *, ours: bool, victims: frozenset[str]
) -> Iterator[str]:
    """What the ministry's right does not let out: who gave it, unless that is our own house, or a person."""
    if not ours and _names(terms, thing, giver, item, told):
        yield "named"
    if _shows(item, victims):
        yield "person"


def _shows(item: Mapping[str, Any], victims: Iterable[str]) -> bool:
    """Whether a person at the place that was attacked, or what is a victim's, stands in what left."""
    body = json.dumps(item, ensure_ascii=False)
    return PERSON in body or any(each in body for each in victims)


def _of_pseudonym(item: Mapping[str, Any]) -> frozenset[str]:
    """A name that says nothing but the id beside it is none that could be redacted."""
    mask = item["type"] == "identity" and item.get("name") == f"Source {item['id'][-12:]}"
    return frozenset({"name"}) if mask else frozenset()


def is_hidden(terms: Terms, thing: Thing, giver: str) -> bool:
    """Whether its producer is somebody else than we and our house."""
    homes = [peer for peer in terms.peers.values() if peer.home]
    ours = {bare(terms.node_identity)}.union(*({bare(each) for each in peer.identities} for peer in homes))
    return bare(thing.creator) not in ours if thing.creator else all(peer.id != giver for peer in homes)


def _names(terms: Terms, thing: Thing, giver: str, item: Mapping[str, Any], told: Told) -> bool:
    """Whether what left shows the creator, its owner or the one who gave it: an id anywhere, a name as a word. One who
    is nobody's, and of whom nobody told a name, shows in whatever leaves.
    """
    text = json.dumps(item, ensure_ascii=False).casefold()
    whose = bare(thing.creator)
    known = [p for p in terms.peers.values() if not p.home and (p.id == giver or whose in map(bare, p.identities))]
    ids = {whose, *(bare(each) for peer in known for each in peer.identities)} - {""}
    owned = any(whose in map(bare, peer.identities) for peer in terms.peers.values())
    said = told(ids)
    if whose and not owned and whose not in said:
        return True
    names = [peer.name for peer in known] + [name for each in said.values() for name in each]
    words = (re.escape(name.casefold()) for name in names if len(name) > 1)
    return any(each in text for each in ids) or any(re.search(rf"(?<!\w){each}(?!\w)", text) for each in words)
