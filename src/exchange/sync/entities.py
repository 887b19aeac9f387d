"""What an event of MISP is made of, as it leaves for a target: everything in it that has a uuid of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from exchange.model import lineage
from exchange.store import classes, derived, statements
from exchange.store.statements import Held

_SECTIONS = ("Attribute", "Object", "EventReport")


def entities(event: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The event and everything in it that has a distribution or tags of its own."""
    yield event
    for name in _SECTIONS:
        for entity in event.get(name) or ():
            yield from whole(entity)


def whole(entity: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """It, and the attributes in it."""
    yield entity
    yield from entity.get("Attribute") or ()


def tag_names(body: Mapping[str, Any]) -> frozenset[str]:
    """The names of the tags on it that are not taken away."""
    return frozenset(str(tag["name"]) for tag in body.get("Tag") or () if not tag.get("deleted"))


def uuids(event: dict[str, Any]) -> set[str]:
    """Of the attributes and objects in it, and of those that were seen."""
    inside = {str(each["uuid"]) for name in _SECTIONS[:2] for top in event.get(name) or () for each in whole(top)}
    return inside | {str(seen["attribute_uuid"]) for seen in event.get("Sighting") or ()}


def rename(event: dict[str, Any], taken: Iterable[str], mint: Callable[[str], str]) -> dict[str, str]:
    """Give others to the attributes and objects with these uuids, and to what points at them: old → new."""
    new = {uuid: mint(uuid) for uuid in taken}
    for name in _SECTIONS[:2] if new else ():
        for entity in (each for top in event.get(name) or () for each in whole(top)):
            entity["uuid"] = new.get(str(entity["uuid"]), entity["uuid"])
            for reference in entity.get("ObjectReference") or ():
                for field in ("referenced_uuid", "object_uuid"):
                    if reference.get(field) in new:
                        reference[field] = new[reference[field]]
    for seen in event.get("Sighting") or () if new else ():
        seen["attribute_uuid"] = new.get(seen["attribute_uuid"], seen["attribute_uuid"])
    return new


def within_their_walls(event: dict[str, Any]) -> None:
    """Nobody but the partner has accounts there: what nobody but its organisation may have, all of them may."""
    for entity in entities(event):
        if str(entity.get("distribution")) == "0":
            entity["distribution"] = "1"


_SAYING = frozenset({"note", "opinion", "x-misp-galaxy-cluster"})


def left_out(stix: Mapping[str, Any]) -> str:
    """Why nothing of an object goes along: what is said beside an event goes over MISP as it is, or not at all.

    Empty: there is nothing in it that would.
    """
    return "transform.misp" if stix["type"] in _SAYING and lineage.tokens(stix) else ""


def seen_by(tx: Connection, audience: int, refs: Collection[str]) -> dict[str, Held]:
    """Id of what was seen → the statement of it that stands before this audience, in whatever form: what others said of
    it, whom the audience may not read, is in no event that it has (RULES R14).
    """
    originals = {ref: ref for ref in refs} | derived.originals(tx, refs)
    held = statements.held(tx, originals.values())
    seqs = {item.seq for group in held.values() for item in group}
    made = {row.seq: row.of for row in derived.of(tx, seqs).values() if row.seq is not None}
    there = {made.get(seq, seq) for seq in classes.listed_of(tx, audience, seqs | made.keys())}
    shown = {ref: [item for item in held.get(original, ()) if item.seq in there] for ref, original in originals.items()}
    return {ref: group[0] for ref, group in shown.items() if group}
