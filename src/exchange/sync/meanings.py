"""Marks that a source defines itself: its objects are worth what its definitions say (RULES R10, R12)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import orjson
from sqlalchemy import Connection

from exchange.model.envelope import Page
from exchange.model.marking import MARKING_PREFIX, Label
from exchange.model.meaning import of_definition
from exchange.model.stix import StixObject
from exchange.store import statements


def defined(tx: Connection, page: Page, source_key: str) -> Page:
    """`page` with the labels of marks whose definition this source gives in it, or gave before.

    A definition that comes later changes nothing: until its object is given again, the mark stays unknown, and denies.
    """
    asked = {mark for item in page.objects if item.label.unknown for mark in item.label.unknown}
    asked = {mark for mark in asked if mark.startswith(MARKING_PREFIX)}
    if not asked:
        return page
    bodies = [(item.id, item.body) for item in page.objects if item.id in asked]
    before = [held for group in statements.held(tx, asked).values() for held in group if held.source == source_key]
    stored = statements.bodies(tx, [held.seq for held in before])
    bodies += [(held.stix_id, stored[held.seq]) for held in before]
    meanings: dict[str, Label] = {}
    for identifier, body in bodies:  # of two definitions under one id both hold
        meaning = of_definition(orjson.loads(body))
        meanings[identifier] = meaning.join(meanings.get(identifier, meaning))
    if not meanings:
        return page
    return replace(page, objects=[_worth(item, meanings) for item in page.objects])


def _worth(item: StixObject, meanings: dict[str, Label]) -> StixObject:
    found = item.label.unknown & meanings.keys()
    if not found:
        return item
    label = msgspec.structs.replace(item.label, unknown=item.label.unknown - found)
    for identifier in sorted(found):
        label = label.join(meanings[identifier])
    return msgspec.structs.replace(item, label=label)
