"""The register of communications (A-2.1, art. 67.3), made of the ledgers: what went to whom, for what, by which act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from exchange.model.party import Terms
from exchange.store import Store, widenings
from exchange.store.widenings import WIDENED, Word
from exchange.sync.accounting import Asked, Entry, entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """What went further than its creator first said, because persons widened it. `right`: creator, pfc."""

    act: int
    right: str
    count: int
    """Versions that this recipient was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Communication:
    """What one recipient was given under one agreement in a period: a line of the register."""

    peer: str
    name: str
    agreement: str
    title: str
    purpose: str
    legal_basis: str
    types: Mapping[str, int]
    """STIX type → how many versions were communicated."""
    first: datetime
    last: datetime
    by: frozenset[str]
    """accepted, delivered"""
    widened: tuple[Widened, ...]
    """The acts by which some of it went, be they over since or not."""


def register(store: Store, terms: Terms, asked: Asked) -> list[Communication]:
    """Every communication of the period, by recipient and agreement; each version counts once for a recipient."""
    agreements = {each.id: each for each in terms.agreements}
    acts = _acts(store)
    seen: set[tuple[str, str, str, str]] = set()
    types: dict[tuple[str, str], Counter[str]] = {}
    times: dict[tuple[str, str], list[datetime]] = {}
    by: dict[tuple[str, str], set[str]] = {}
    widened: dict[tuple[str, str], Counter[tuple[int, str]]] = {}
    for entry in entries(store, asked, named=True):
        if entry.outcome not in ("accepted", "delivered"):
            continue
        place = entry.peer, entry.agreement
        times.setdefault(place, []).append(entry.at)
        times[place] = [min(times[place]), max(times[place])]
        by.setdefault(place, set()).add(entry.outcome)
        name = (*place, entry.object, entry.version)
        if name not in seen:
            seen.add(name)
            types.setdefault(place, Counter())[entry.type or "–"] += 1
            if (act := _act_of(acts, entry)) is not None:
                widened.setdefault(place, Counter())[act.act, act.right] += 1
    made = []
    for (peer, agreement), counts in sorted(types.items()):
        known, held = agreements.get(agreement), terms.peers.get(peer)
        first, last = times[peer, agreement]
        through = sorted(widened.get((peer, agreement), {}).items())
        made.append(
            Communication(
                peer=peer, name=peer if held is None else held.name, agreement=agreement,
                title="" if known is None else known.title, purpose="" if known is None else known.purpose,
                legal_basis="" if known is None else known.legal_basis,
                types=dict(sorted(counts.items())),
                first=first, last=last, by=frozenset(by[peer, agreement]),
                widened=tuple(Widened(act=act, right=right, count=count) for (act, right), count in through),
            )
        )  # fmt: skip
    return made


def _acts(store: Store) -> dict[tuple[str, str], Word]:
    """(id, version) of what was made by widening → the act."""
    with store.reading() as tx:
        words = widenings.everyone(tx) if widenings.any_made(tx) else []
    return {(word.made, word.version): word for word in words if word.word == WIDENED and word.made}


def _act_of(acts: Mapping[tuple[str, str], Word], entry: Entry) -> Word | None:
    """The act that made what was given, or of which it was made for this recipient; None: nobody widened it."""
    return acts.get((entry.original or entry.object, entry.version)) if acts else None
