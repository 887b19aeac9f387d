"""Marks that a source defines itself: its objects are worth what its definitions say (RULES R10, R12)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import orjson
from sqlalchemy import Connection

from exchange.model.envelope import Page
from exchange.model.marking import KNOWN_IDS, MARKING_PREFIX, Label
from exchange.model.meaning import of_definition
from exchange.model.stix import StixObject
from exchange.store import classes, later, references, statements, traits


def defined(tx: Connection, page: Page, source_key: str) -> Page:
    """`page` with the labels of marks whose definition this source gives in it, or gave before.

    Until somebody tells, a mark stays unknown, and denies; `told` is what a definition that comes later changes.
    """
    asked = {mark for item in page.objects if item.label.unknown for mark in item.label.unknown}
    asked = {mark for mark in asked if mark.startswith(MARKING_PREFIX)}
    if not asked:
        return page
    meanings = _meanings(tx, page, source_key, asked)
    if not meanings:
        return page
    return replace(page, objects=[_worth(item, meanings) for item in page.objects])


def _meanings(tx: Connection, page: Page, source_key: str, asked: Collection[str]) -> dict[str, Label]:
    """What those of these marks mean that the source defines in the page, or did before."""
    bodies = [(item.id, item.body) for item in page.objects if item.id in asked]
    before = [held for group in statements.held(tx, asked).values() for held in group if held.source == source_key]
    stored = statements.bodies(tx, [held.seq for held in before])
    bodies += [(held.stix_id, stored[held.seq]) for held in before]
    meanings: dict[str, Label] = {}
    for identifier, body in bodies:  # of two definitions under one id both hold
        meaning = of_definition(orjson.loads(body))
        meanings[identifier] = meaning.join(meanings.get(identifier, meaning))
    return meanings


def told(tx: Connection, page: Page, source_key: str) -> list[int]:
    """What `source_key` gave before is worth what the definitions in `page` say: the judged statements for which that
    is something else than until now. Of more than one transaction may do, the rest waits (`sync.afterwards`).
    """
    given = {item.id for item in page.objects if item.type == "marking-definition"} - KNOWN_IDS
    meanings = _meanings(tx, page, source_key, given) if given else {}
    if not meanings:
        return []
    upto = classes.last(tx)
    seqs = references.bearing(tx, source_key, meanings, after=0, upto=upto, most=later.MOST + 1)
    if len(seqs) <= later.MOST:
        return restated(tx, seqs, meanings)
    about = [f"{identifier} {meaning.to_text()}" for identifier, meaning in meanings.items()]
    later.put(tx, "marks", source_key, about, upto=upto, shut=references.audiences_of(tx, source_key, meanings))
    return []


def meanings_of(about: Iterable[str]) -> dict[str, Label]:
    """The meanings that an entry of the queue keeps."""
    parted = (each.partition(" ") for each in about)
    return {identifier: Label.from_text(text) for identifier, _, text in parted}


def restated(tx: Connection, seqs: Sequence[int], meanings: Mapping[str, Label]) -> list[int]:
    """Write down what these state by these meanings; those of them that are to be judged anew.

    What one definition said before still holds beside another one: both do.
    """
    bodies, known = statements.bodies(tx, seqs), traits.of(tx, seqs)
    stated: dict[int, Label] = {}
    parts: dict[int, Label] = {}
    changed = []
    for held in statements.by_seq(tx, seqs):
        whole, granular = _borne(orjson.loads(bodies[held.seq]))
        label = _meant(held.stated, (whole | granular) & meanings.keys(), meanings)
        rest = known[held.seq].parts if held.seq in known else None
        less = None if rest is None else _meant(rest, whole & meanings.keys(), meanings)
        if label != held.stated:
            stated[held.seq] = label
        if less is not None and less != rest:
            parts[held.seq] = less
        if (held.seq in stated or held.seq in parts) and not held.waiting:
            changed.append(held.seq)
    statements.tighten(tx, stated)
    traits.restate(tx, parts)
    return changed


def _borne(stix: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The marks of the object, and those of its parts."""
    whole = stix.get("object_marking_refs")
    granular = stix.get("granular_markings")
    return (
        frozenset(map(str, whole if isinstance(whole, list) else ())),
        frozenset(
            str(each.get("marking_ref"))
            for each in (granular if isinstance(granular, list) else ())
            if isinstance(each, dict)
        ),
    )


def _meant(label: Label, marks: Iterable[str], meanings: Mapping[str, Label]) -> Label:
    """`label` with what these of its marks mean."""
    for identifier in sorted(marks):
        rest = msgspec.structs.replace(label, unknown=label.unknown - {identifier}, texts=label.texts - {identifier})
        label = rest.join(meanings[identifier])
    return label


def _worth(item: StixObject, meanings: Mapping[str, Label]) -> StixObject:
    found = item.label.unknown & meanings.keys()
    if not found:
        return item
    parts = None if item.parts is None else _meant(item.parts, item.parts.unknown & found, meanings)
    return msgspec.structs.replace(item, label=_meant(item.label, found, meanings), parts=parts)
