"""Where the label of a statement comes from: its own marks, one by one, and the marked objects around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.model import misp
from exchange.model.marking import Label, Reach, of_ids, of_tags
from exchange.policy import Rules
from exchange.policy.trace import levels
from exchange.store import traces, victims
from exchange.store.statements import Held
from exchange.sync.eventful import axes_of
from exchange.sync.traced import Around, Mark, Origin

_MOST = 10
"""Ends, referrers and speakers that are named."""


def origin_of(tx: Connection, rules: Rules, held: Held, judged: Label | None, body: bytes) -> Origin:
    """Where it comes from that `held`, whose bytes are `body`, is judged under the label `judged`."""
    found, count = traces.near(tx, held, _MOST)
    stated = held.stated
    return Origin(
        basis=held.basis,
        stated=levels(stated),
        label=levels(judged),
        axes=axes_of(judged),
        reach="" if stated.reach is Reach.ALL else stated.reach.name.lower(),
        organisations=None if stated.orgs is None else len(stated.orgs),
        draft=stated.draft,
        marks=_marks(orjson.loads(body)),
        around=[Around(role=each.role, stix_id=each.stix_id, level=levels(each.label)) for each in found],
        around_more=count - len(found),
        default=_default(rules, held) if held.basis == "label.default" else (),
        victim_by=victims.speakers(tx, held.source, held.stix_id, _MOST) if held.victim else (),
    )


def _default(rules: Rules, held: Held) -> list[str]:
    """The agreements that say what unmarked content of its giver is worth."""
    return [
        agreement.id
        for agreement in rules.terms.agreements
        if agreement.receive and held.peer in agreement.parties and agreement.receive.unmarked is not None
    ]


def _marks(said: Mapping[str, Any]) -> list[Mark]:
    """Every mark on the object itself: on the whole of it, on parts of it, and MISP's tags that say a level."""
    found = [_mark("object", each) for each in said.get("object_marking_refs") or ()]
    for part in said.get("granular_markings") or ():
        if part.get("marking_ref"):
            found += [_mark(str(selector), part["marking_ref"]) for selector in part.get("selectors") or ()]
    extension = misp.carried(said)
    for tag in () if extension is None else misp.tags_in(extension):
        label = of_tags([tag])
        if label != Label():
            found.append(Mark(where="tag", mark=tag, level="" if label.unknown or label.iep else levels(label)))
    return found


def _mark(where: str, marking: str) -> Mark:
    label = of_ids([marking])
    return Mark(where=where, mark=marking, level="" if label.unknown or label.iep else levels(label))
