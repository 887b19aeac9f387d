"""Audiences: classes of recipients with the same clauses (RULES R1), made of the terms and never configured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from exchange.model.dialect import Dialect
from exchange.model.marking import Tlp
from exchange.model.party import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """The members for whom one set of listings is decided: of a collection, or of one push target."""

    key: str
    """Stable over restarts; it holds no member, so adding one to an agreement keeps the listings."""
    channel: str
    """`collection:ID` or `target:PEER/TARGET`."""
    members: tuple[str, ...]
    agreements: frozenset[str]
    """The agreements that name every member; one of them must permit each release (RULES R2)."""
    home: bool
    ceiling: Tlp
    """Of the channel: nothing stricter, whatever an agreement allows."""
    types: frozenset[str] | None
    fold: bool
    only_posted: bool = False
    """Of a collection: nothing but what was posted to it."""
    pap: bool = True
    """Every member carries PAP on with what it gets."""
    in_clear: bool = False
    """Others can read along on the way there."""
    dialect: Dialect = ""
    """In which ids of TLP every member reads STIX."""

    @property
    def single(self) -> str | None:
        """The only member, if there is one: then nothing goes back to it (RULES R3)."""
        return self.members[0] if len(self.members) == 1 else None

    @property
    def pushes(self) -> bool:
        """Whether its listings are handed over by us instead of fetched."""
        return self.channel.startswith("target:")


def collection_channel(collection_id: str) -> str:
    """The channel of a collection."""
    return f"collection:{collection_id}"


def target_channel(target_key: str) -> str:
    """The channel of a push target."""
    return f"target:{target_key}"


class _Class(NamedTuple):
    """What peers have in common that may share an audience."""

    agreements: frozenset[str]
    home: bool
    pap: bool
    dialect: Dialect


def _clauses(terms: Terms, peer: str) -> _Class:
    named = frozenset(a.id for a in terms.agreements if a.send is not None and peer in a.parties)
    known = terms.peers[peer]
    return _Class(named, known.home, known.pap, known.dialect)


def _group(terms: Terms, peers: Iterable[str]) -> dict[_Class, list[str]]:
    groups: dict[_Class, list[str]] = {}
    for peer in sorted(set(peers)):
        groups.setdefault(_clauses(terms, peer), []).append(peer)
    return groups


def _key(channel: str, shared: _Class) -> str:
    text = "\0".join((channel, "home" if shared.home else "", *sorted(shared.agreements)))
    if not shared.pap:
        text += "\0\0no pap"  # no agreement has an empty name
    if shared.dialect:
        text += f"\0\0dialect {shared.dialect}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def audiences(terms: Terms) -> tuple[Audience, ...]:
    """Every audience that the terms make. A writer of a collection reads back what it wrote, so it is a member too."""
    made = []
    for collection in terms.collections.values():
        channel = collection_channel(collection.id)
        for shared, members in _group(terms, (*collection.readers, *collection.writers)).items():
            made.append(
                Audience(
                    key=_key(channel, shared),
                    channel=channel,
                    members=tuple(members),
                    agreements=shared.agreements,
                    home=shared.home,
                    ceiling=collection.ceiling,
                    types=collection.types,
                    fold=collection.duplicates == "fold",
                    only_posted=collection.only_posted,
                    pap=shared.pap,
                    dialect=shared.dialect,
                )
            )
    for peer in terms.peers.values():
        for target in peer.targets:
            shared = _clauses(terms, peer.id)
            channel = target_channel(target.key)
            made.append(
                Audience(
                    key=_key(channel, shared),
                    channel=channel,
                    members=(peer.id,),
                    agreements=shared.agreements,
                    home=shared.home,
                    ceiling=Tlp.RED,
                    types=None,
                    fold=False,
                    pap=shared.pap,
                    in_clear=target.in_clear,
                    dialect=shared.dialect,
                )
            )
    return tuple(made)
