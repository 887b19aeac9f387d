"""What others say of a fact: sightings and false positives counted for each source, opinions, notes, relationships.

The objects that refer to it are read, at most MOST of each id that states it; the newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from exchange.model import misp
from exchange.model.stix import CONTAINERS
from exchange.store import around, statements
from exchange.store.around import Referring
from exchange.sync.shown import Relation, Remark, Sighted

MOST = 2_000
FEW = 50
"""Relationships, remarks that are told one by one."""
_NAMED = 3
_CARRY = frozenset({"sighting", "opinion", "note", "relationship", "observed-data"}) | CONTAINERS
_TITLES = ("name", "pattern", "value", "key", "path", "x_misp_value", "abstract", "content", "explanation")
_LONGEST = 200


class Around(NamedTuple):
    """All of it; the counts are of what is not told one by one."""

    sighted: Sequence[Sighted]
    remarks: Sequence[Remark]
    remarks_more: int
    relations: Sequence[Relation]
    relations_more: int
    more: bool


def title_of(said: Mapping[str, Any]) -> str:
    """What a person knows an object by: its name, else its pattern or value, in one line; empty: nothing."""
    for key in _TITLES:
        if isinstance(said.get(key), str) and said[key].strip():
            return " ".join(said[key].split())[:_LONGEST]
    hashes = said.get("hashes")
    if isinstance(hashes, dict) and hashes:
        return " ".join(f"{name} {value}" for name, value in list(hashes.items())[:1])
    return str(said.get("number") or "")


def titles(tx: Connection, stix_ids: Iterable[str]) -> dict[str, str]:
    """Id → what a person knows it by, of what we hold; the newest word."""
    newest = {
        item.stix_id: item.seq for group in statements.held(tx, stix_ids).values() for item in group if item.newest
    }
    bodies = statements.bodies(tx, newest.values())
    return {stix_id: title_of(orjson.loads(bodies[seq])) for stix_id, seq in newest.items()}


@dataclass(slots=True)
class _Tally:
    """What one source says was seen."""

    by: dict[str, None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("sighting", "observed", "false", "old"), 0))
    first: str = ""
    last: str = ""

    def add(self, kind: str, times: int, first: str, last: str) -> None:
        self.counts[kind] += times
        self.first = min(filter(None, (self.first, first)), default="")
        self.last = max(self.last, last)


def around_of(tx: Connection, stix_ids: Sequence[str]) -> Around:
    """Everything that is said of what these ids state."""
    rows, more = around.referring(tx, stix_ids, MOST)
    # A source's newest word of each; one that names two of the ids is one all the same.
    once = {(row.source, row.stix_id): row for row in reversed(rows) if row.type in _CARRY}
    bodies = statements.bodies(tx, [row.seq for row in once.values()])
    own = set(stix_ids)
    read = [(row, said) for row in once.values() if _is_about(said := orjson.loads(bodies[row.seq]), own)]
    tallies: dict[str, _Tally] = {}
    remarks: list[Remark] = []
    for row, said in read:
        if not _count(row, said, tallies) and row.type in ("opinion", "note"):
            remarks.append(_remark(row, said))
    relations = _relations(tx, read, own)
    organisations = titles(tx, {who for tally in tallies.values() for who in tally.by if "--" in who})
    remarks.sort(key=lambda item: item.version, reverse=True)
    return Around(
        [_sighted(source, tallies[source], organisations) for source in sorted(tallies)],
        remarks[:FEW],
        max(0, len(remarks) - FEW),
        relations[:FEW],
        max(0, len(relations) - FEW),
        more,
    )


def _is_about(said: Mapping[str, Any], own: set[str]) -> bool:
    """Whether it says something of one of these; it may as well only name one as its creator or its marking."""
    listed = said.get("object_refs")
    named = [said.get(name) for name in ("sighting_of_ref", "source_ref", "target_ref")]
    return not own.isdisjoint([*named, *(listed if isinstance(listed, list) else ())])


def _count(row: Referring, said: Mapping[str, Any], tallies: dict[str, _Tally]) -> bool:
    """Count it if it says that something was seen, or was not; whether it does."""
    kind = _kind(row, said)
    if not kind:
        return False
    tally = tallies.setdefault(row.source, _Tally())
    made = str(said.get("created") or "")
    if kind == "sighting":
        times, first, last = said.get("count"), said.get("first_seen"), said.get("last_seen")
    elif kind == "observed":
        times, first, last = said.get("number_observed"), said.get("first_observed"), said.get("last_observed")
    else:
        times, first, last = 1, made, made
    number = times if isinstance(times, int) and not isinstance(times, bool) else 1
    tally.add(kind, number, str(first or last or made), str(last or first or made))
    seen_by = said.get("where_sighted_refs") or said.get("authors") or [said.get("created_by_ref")]
    tally.by |= dict.fromkeys(str(who) for who in seen_by if who)
    return True


def _kind(row: Referring, said: Mapping[str, Any]) -> str:
    """sighting, observed, false (positive), old (an expiration); empty: it counts nothing."""
    if said.get("revoked") is True:
        return ""
    if row.type == "sighting":
        return "sighting"
    if row.type == "observed-data":
        return "observed"
    extension = misp.carried(said)
    carried = extension.get("sighting") if extension is not None else None
    told = str(carried.get("type")) if isinstance(carried, dict) else ""
    if row.type == "opinion":
        # So misp-stix and we write a false positive.
        return "false" if told == "1" or (not told and said.get("opinion") == "strongly-disagree") else ""
    return "old" if row.type == "note" and told == "2" else ""


def _sighted(source: str, tally: _Tally, organisations: Mapping[str, str]) -> Sighted:
    names = list(dict.fromkeys(organisations.get(who) or who for who in tally.by))
    return Sighted(
        source=source,
        by=tuple(names[:_NAMED]),
        sightings=tally.counts["sighting"],
        observed=tally.counts["observed"],
        false_positives=tally.counts["false"],
        expirations=tally.counts["old"],
        first=tally.first,
        last=tally.last,
    )


def _remark(row: Referring, said: Mapping[str, Any]) -> Remark:
    authors = said.get("authors")
    words = [said.get(name) for name in ("abstract", "explanation", "content")]
    return Remark(
        stix_id=row.stix_id,
        type=row.type,
        source=row.source,
        version=str(said.get("modified") or ""),
        opinion=str(said.get("opinion") or ""),
        authors=tuple(map(str, authors)) if isinstance(authors, list) else (),
        text=" – ".join(" ".join(each.split()) for each in words if isinstance(each, str) and each.strip()),
    )


def _relations(tx: Connection, read: Sequence[tuple[Referring, Mapping[str, Any]]], own: set[str]) -> list[Relation]:
    """The relationships and containers, each once with all who say so."""
    said_by: dict[str, dict[str, None]] = {}
    found: dict[str, tuple[str, bool, str]] = {}
    for row, said in read:
        if said.get("revoked") is True:
            continue
        if row.type in CONTAINERS:
            found[row.stix_id] = ("holds", False, row.stix_id)
        elif row.type == "relationship":
            outward = said.get("source_ref") in own
            other = str(said.get("target_ref" if outward else "source_ref"))
            found[row.stix_id] = (str(said.get("relationship_type")), outward, other)
        else:
            continue
        said_by.setdefault(row.stix_id, {})[row.source] = None
    shown = sorted(found.items(), key=lambda item: (item[1], item[0]))
    known = titles(tx, dict.fromkeys(other for _, (_, _, other) in shown[:FEW]))
    return [
        Relation(stix_id=stix_id, word=word, outward=outward, other=other, title=known.get(other, ""),
                 sources=tuple(sorted(said_by[stix_id])))
        for stix_id, (word, outward, other) in shown
    ]  # fmt: skip
