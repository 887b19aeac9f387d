"""What a plan stands on: all that was read for it, so that whoever carries it out can see, quickly and under the writer
lock, whether it would come out the same (RULES R18). What is made of it is made before, and not there.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from exchange.policy import Names, Rules
from exchange.store import statements, widenings
from exchange.store.scopes import Scope
from exchange.store.statements import Held
from exchange.sync import widened, withdrawing
from exchange.sync.producers import Producers


class Footing:
    """The statements, names and acts that were read in one transaction. The bytes of a statement never change."""

    def __init__(self, tx: Connection, rules: Rules) -> None:
        self._tx, self._rules = tx, rules
        self._producers = Producers(tx, rules)
        self._acts = widenings.head(tx)
        self._scopes: dict[str, Scope] = {}
        self._read: dict[str, list[Held]] = {}
        self._named: dict[int, tuple[Held, Names | None]] = {}

    def meant(self, asked: str) -> Scope:
        """What an operator names."""
        return self._scopes.setdefault(asked, withdrawing.named(self._tx, asked))

    def held(self, stix_ids: Iterable[str]) -> dict[str, list[Held]]:
        """Every statement about each of these."""
        ids = list(dict.fromkeys(stix_ids))
        new = [each for each in ids if each not in self._read]
        if new:
            found = statements.held(self._tx, new)
            self._read |= {each: found.get(each, []) for each in new}
        return {each: self._read[each] for each in ids if self._read[each]}

    def names(self, held: Held) -> Names | None:
        """What must not be found in what the ministry widens; None: nobody has told it."""
        if held.seq not in self._named:
            self._named[held.seq] = held, widened.hidden(self._rules, held, self._producers)
        return self._named[held.seq][1]

    def stands(self, tx: Connection) -> bool:
        """Whether all of it is the same in `tx`."""
        if widenings.head(tx) != self._acts:
            return False
        if any(withdrawing.named(tx, asked) != scope for asked, scope in self._scopes.items()):
            return False
        if statements.held(tx, self._read) != {each: group for each, group in self._read.items() if group}:
            return False
        producers = Producers(tx, self._rules)
        return all(widened.hidden(self._rules, held, producers) == names for held, names in self._named.values())
