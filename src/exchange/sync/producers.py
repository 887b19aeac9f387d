"""By what hidden producers are known: what an operator wrote of partners, and what identities say (RULES R13, R17).

Both may change after something was altered. So what was made carries the names by which it was found to show nobody;
under other names it is read again, by the second gate too, before it may go on standing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson
from sqlalchemy import Connection

from exchange.model.stix import StixObject
from exchange.policy import Names, Rules, gate_names
from exchange.store import statements
from exchange.store.derived import Derived
from exchange.store.statements import Held
from exchange.sync.subjects import creator

NOBODY_TOLD = "?"
"""In place of a digest of names: it is named by an id alone."""
_IDENTITY = "identity--"
_MOST = 100
"""Names and domains that the identities of one producer may tell: each is looked for in each text, under the lock."""


class Producers:
    """The names of the producers of one transaction's statements."""

    def __init__(self, tx: Connection, rules: Rules) -> None:
        self._tx, self._rules = tx, rules
        self._known: dict[tuple[str, str, str], Names | None] = {}

    def names(self, held: Held) -> Names | None:
        """By what the producer of `held` is known, and whoever gave it; None: nobody can take that out, for it is named
        by an id alone, whose name nobody has told, or its identities tell more names than are looked for.
        """
        whose = creator(held)
        key = (held.source, held.peer, whose)
        if key not in self._known:
            self._known[key] = self._found(held, whose)
        return self._known[key]

    def digest(self, held: Held) -> str:
        """The same as one word: equal names have the same."""
        names = self.names(held)
        return NOBODY_TOLD if names is None else names.digest

    def vouched(
        self, rows: Iterable[tuple[Derived, Held]], bodies: Mapping[int, bytes]
    ) -> tuple[list[tuple[Derived, str]], list[Derived]]:
        """Of what was made without the producer of these: what may go on standing, each with the digest of the names
        that it was read for now, empty where it was read for them before; and what is to be made anew.

        `bodies`: number → what stands, of what was read for other names.
        """
        good: list[tuple[Derived, str]] = []
        bad: list[Derived] = []
        for row, held in rows:
            digest = self.digest(held)
            if row.names == digest:
                good.append((row, ""))
            elif row.code or not self._unnamed(held, bodies[row.of if row.seq is None else row.seq]):
                bad.append(row)
            else:
                good.append((row, digest))
        return good, bad

    def unread(self, rows: Iterable[tuple[Derived, Held]]) -> set[int]:
        """The numbers of what stands of these and was read for other names than are known now."""
        return {
            row.of if row.seq is None else row.seq
            for row, held in rows
            if not row.code and row.names != self.digest(held)
        }

    def _unnamed(self, held: Held, body: bytes) -> bool:
        """Whether neither those who alter nor the second gate find the producer in these bytes."""
        names = self.names(held)
        return (
            names is not None and gate_names(body, names.parts, names.words) and not names.found_in(orjson.loads(body))
        )

    def _found(self, held: Held, whose: str) -> Names | None:
        ids, names, contacts = [whose] if whose else [], [], []
        peers = [self._rules.terms.peers.get(each) for each in dict.fromkeys((self._rules.owner(whose), held.peer))]
        told = not whose or (peers[0] is not None and self._rules.owner(whose) != "")
        for peer in peers:
            if peer is not None and not peer.home:
                ids += peer.identities
                names.append(peer.name)
                contacts.append(peer.contact)
        said = Names()
        for stix_id, group in statements.held(self._tx, {whose, *map(_as_id, ids)}).items():
            stated = [item.seq for item in group if item.source == held.source and item.type == "identity"]
            for body in statements.bodies(self._tx, stated).values():
                said |= _said(body)
                told = told or stix_id == whose
        many = len(said.parts) + len(said.words) > _MOST
        return Names.of(ids, names, contacts) | said if told and not many else None

    def telling(self, identities: Sequence[StixObject], source: str, before: int) -> list[str]:
        """Which of these identities, which `source` states, say more of whose they are than all that it stated of them
        up to the number `before`.
        """
        known: dict[str, Names] = {}
        groups = statements.held(self._tx, {item.id for item in identities})
        stated = [i for group in groups.values() for i in group if i.source == source and i.seq <= before]
        bodies = statements.bodies(self._tx, [item.seq for item in stated])
        for item in stated:
            known[item.stix_id] = _said(bodies[item.seq]) | known.get(item.stix_id, Names())
        found = []
        for each in identities:
            said = _said(each.body)
            if each.id not in known or said | known[each.id] != known[each.id]:
                found.append(each.id)
        return found


def concerned(rules: Rules, peer: str, identities: Collection[str]) -> set[str] | None:
    """Whose objects, as `peer` gives them, are to be free of what these identities say; None: all that it gives."""
    whose = set(identities)
    for identity in identities:
        for each, known in rules.identities.items():
            if rules.terms.peers[each].home or identity.removeprefix(_IDENTITY).lower() not in known:
                continue
            if each == peer:
                return None
            whose |= {_IDENTITY + bare for bare in known}
    return whose


def _said(body: bytes) -> Names:
    identity = orjson.loads(body)
    return Names.of((), [str(identity.get("name", ""))], [str(identity.get("contact_information", ""))])


def _as_id(identity: str) -> str:
    return identity if identity.startswith(_IDENTITY) else _IDENTITY + identity.lower()
