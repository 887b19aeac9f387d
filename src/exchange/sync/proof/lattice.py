"""Every label there is, on every class of types, from every giver: what a small lattice lets us try out in full.

TLP and PFC are tried in every combination, and each of those with every value of each other axis. Types are one class
where no agreement and no collection tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product

from exchange.model.party import Terms
from exchange.sync.proof import events, mail
from exchange.sync.proof.chance import called
from exchange.sync.proof.words import AHEAD, MAILBOX, Case, Move, Thing

_TLP = ("", "tlp:clear", "tlp:green", "tlp:amber", "tlp:amber+strict", "tlp:red")
_PFC = (
    (),
    ("pfc:libre",),
    ("pfc:vert",),
    ("pfc:ambre",),
    ("pfc:ambre+strict",),
    ("pfc:rouge",),
    ("pfc:rouge", "pfc:vert"),
)
_PAP = ("pap:clear", "pap:green", "pap:amber", "pap:red")
_TYPES = (
    "indicator", "malware", "domain-name", "attack-pattern", "campaign", "course-of-action", "intrusion-set", "tool",
    "threat-actor", "vulnerability",
)  # fmt: skip


def labels(orgs: Sequence[str]) -> list[Thing]:
    """Every label of the lattice, on a thing that has no number and no type yet."""
    others: list[dict[str, object]] = [{}]
    others += [{"reach": reach} for reach in (1, 2, 3)]
    others += [{"draft": True}, {"iep": True}, {"orgs": ()}]
    others += [{"orgs": (org,)} for org in orgs]
    made = []
    for tlp, pfc, pap, unknown in product(_TLP, _PFC, ("", *_PAP), ("", "unknown")):
        marks = tuple(filter(None, (tlp, *pfc, pap, unknown)))
        made += [Thing(number=0, marks=marks, **more) for more in (others if not (pap or unknown) else others[:1])]  # type: ignore[arg-type]
        if not pap and not unknown and marks:
            made.append(Thing(number=0, marks=marks[:1], parts=marks[1:]))
            made.append(Thing(number=0, parts=marks))
    # Two parts with marks of their own: one may have to go where the other may stay.
    for mark, other, turned in product(("tlp:clear", "tlp:green"), ("tlp:red", "pfc:vert", "pap:red"), (False, True)):
        parts = (other, "tlp:amber") if turned else ("tlp:amber", other)
        made.append(Thing(number=0, marks=(mark,), parts=parts))
    return [*made, Thing(number=0, marks=("tlp:clear",), version=AHEAD)]


def named(terms: Terms) -> list[Thing]:
    """Whatever MISP calls a thing and the agreements ask for, and a thing of that name that nobody asks for."""
    return [Thing(number=0, marks=("tlp:clear",), misp=(word,)) for word in called(terms)]


def classes(terms: Terms) -> list[str]:
    """One STIX type for each class that the terms tell apart."""
    filters = [a.send.types for a in terms.agreements if a.send is not None and a.send.types is not None]
    filters += [c.types for c in terms.collections.values() if c.types is not None]
    found: dict[tuple[bool, ...], str] = {}
    for name in _TYPES:
        found.setdefault(tuple(name in each for each in filters), name)
    return list(found.values())


def attacked(giver: str, place: int, at: datetime) -> Case:
    """Everything by which an event of MISP, or plain mail, says who was attacked; what went where comes last."""
    letters = mail.every_kind()
    boxes = tuple(each for each in letters if each.kind == MAILBOX)
    first = (*events.every_kind(place), *boxes)
    moves = (Move(giver=giver, things=first), Move(giver=giver, things=tuple(letters[len(boxes) :])))
    return Case(moves=moves, at=at)


def cases(terms: Terms, at: datetime) -> Iterator[Case]:
    """For each giver one case: everything that it could say, on every class of types.

    Of givers that stand under the same agreements one says it all, and who was attacked; the others the levels of TLP.
    """
    orgs = sorted({i.removeprefix("identity--").lower() for p in terms.peers.values() for i in p.identities})
    everything, like = [*labels(orgs[:_MOST_ORGS]), *named(terms)], set()
    for place, giver in enumerate(sorted(terms.peers)):
        kind = _kind(terms, giver)
        if kind not in like:
            yield attacked(giver, place, at)
        said = [each for each in everything if kind not in like or _plain(each)]
        like.add(kind)
        things = [
            Thing(
                number=number, kind=kind, marks=each.marks, parts=each.parts, reach=each.reach, iep=each.iep,
                draft=each.draft, orgs=each.orgs, misp=each.misp, version=0 if kind == _UNVERSIONED else each.version,
            )
            for number, (kind, each) in enumerate(product(classes(terms), said))
        ]  # fmt: skip
        yield Case(moves=(Move(giver=giver, things=tuple(things)),), at=at)


def _kind(terms: Terms, giver: str) -> tuple[object, ...]:
    """What of a giver the decisions know, apart from who it is."""
    return frozenset(a.id for a in terms.agreements if giver in a.parties), terms.peers[giver].home


def _plain(thing: Thing) -> bool:
    """A level of TLP and nothing else: tried from every giver, for each has its own way back (R3)."""
    return thing == Thing(number=0, marks=thing.marks) and all(name.startswith("tlp:") for name in thing.marks)


_MOST_ORGS = 4
_UNVERSIONED = "domain-name"
