"""Run by test_crash.py: pulls in child processes that are killed (SIGKILL) at one commit boundary after the other.

For each boundary: a first child pulls and dies there, before or after the commit; a second one pulls to the end. What
the store then holds is printed, one JSON line a boundary; the first line is what an undisturbed pull leaves.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from exchange import log
from exchange.model.envelope import Cursor, Outgoing, Page, Receipt, Rejected
from exchange.model.party import Source, Target
from exchange.policy import Rules
from exchange.store import open_store, sources, tables
from exchange.sync.accept import settle
from exchange.sync.pull import Work, pull
from exchange.sync.terms import adopt
from tests.acceptance.mortal import Boundaries, in_child
from tests.world import NOW, indicator, malware, page, relationship, report, terms

SOURCE = Source(peer="ccc", id="alertes", kind="taxii")
PAGES = 4


def _page(number: int) -> Page:
    bad = indicator(f"{number}.example", tlp=None)
    family = malware(f"m{number}")
    objects = (bad, family, relationship(bad, family), indicator("again.example"))
    made = page(*objects, report(bad, name=f"r{number}"), last=number == PAGES - 1, cursor={"next": number + 1})
    broken = Rejected(raw=b"{%d" % number, code="content.json", fields={"detail": "cut"})
    return Page(objects=made.objects, rejected=[broken], cursor=made.cursor, last=made.last)


MADE = [_page(number) for number in range(PAGES)]  # made once, before the children are forked


class Client:
    """A peer with four pages; the cursor is the number of the next one."""

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """Every page from the cursor on."""
        yield from MADE[int(cursor.get("next", 0)) :]

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Not used."""
        return []


def once(url: str, boundaries: Boundaries, minutes: int) -> None:
    """Open the store as a daemon does after a start, and pull."""
    boundaries.watch()
    store = open_store(url)
    now = NOW + timedelta(minutes=minutes)
    rules = Rules(terms(), now)
    adopt(store, rules, now)
    settle(store, rules, SOURCE.key, now)
    with store.writing() as tx:
        sources.declare(tx, [SOURCE.key], 0)
    work = Work(store=store, rules=lambda: rules, clock=lambda: now, owner=str(os.getpid()), stopping=lambda: False)
    pull(work, SOURCE, Client, forced=True)
    store.close()


def killed(url: str, boundaries: Boundaries, minutes: int) -> int:
    """The same in a process of its own; how it ended."""
    return os.waitpid(in_child(lambda: once(url, boundaries, minutes)), 0)[1]


def held(url: str) -> dict[str, object]:
    """What the store holds: numbers of rows, what is listed to each audience, and the cursor."""
    store = open_store(url)
    with store.reading() as tx:
        shown = tables.listing.join(tables.statement, tables.statement.c.seq == tables.listing.c.seq)
        columns = (tables.listing.c.audience, tables.statement.c.stix_id, tables.listing.c.closed)
        rows = tx.execute(select(*columns).select_from(shown)).all()
        listed = sorted((row.audience, row.stix_id) for row in rows if row.closed is None)
        found: dict[str, object] = {
            "listed": listed,
            "closed": sum(row.closed is not None for row in rows),
            "outbox": tx.execute(select(func.count()).select_from(tables.outbox)).scalar_one(),
            "cursor": tx.execute(select(tables.source.c.cursor).where(tables.source.c.key == SOURCE.key)).scalar_one(),
        }
        for table in (tables.statement, tables.quarantine, tables.reference, tables.observable):
            found[table.name] = tx.execute(select(func.count()).select_from(table)).scalar_one()
    store.close()
    return found


def main(folder: Path) -> Iterator[dict[str, object]]:
    """What is left after an undisturbed pull; then after every boundary, before and after the commit."""
    empty = folder / "empty.db"
    open_store(f"sqlite:///{empty}").close()

    def fresh(name: str) -> str:
        shutil.copy(empty, folder / name)
        return f"sqlite:///{folder / name}"

    whole = fresh("whole.db")
    killed(whole, Boundaries(0, before=False), 0)
    yield held(whole)
    for before in (True, False):
        number, status = 0, -1
        while status != 0:
            number += 1
            url = fresh(f"{'before' if before else 'after'}{number}.db")
            status = killed(url, Boundaries(number, before=before), 0)
            # A lease of the dead runs out; its owner's successor comes after that.
            killed(url, Boundaries(0, before=False), 15)
            yield held(url)


if __name__ == "__main__":
    log.configure("en", "json", stream=sys.stderr)
    for state in main(Path(sys.argv[1])):
        sys.stdout.write(json.dumps(state) + "\n")
