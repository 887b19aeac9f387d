"""`python -m benchmarks.policy_change`: what a change of terms costs, over many objects and audiences (RULES R35).

A store is filled through `accept`, then its terms change: one agreement goes from GREEN to AMBER and back, all of them
do, and one audience gets an agreement more. Figures, and no judgement. Shut: how long somebody answered 503.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from benchmarks.content import Content
from exchange.model.envelope import PAGE, Page, sift
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.model.party import Agreement, Collection, Peer, Receive, Send, Terms
from exchange.policy import Rules, Subject
from exchange.store import Store, audiences, open_store
from exchange.sync.accept import accept
from exchange.sync.terms import adopt, follow, pursue

NODE = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
SHELF = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
_BEGUN = time.monotonic()


def _now() -> datetime:
    """The clock: it runs as fast as any, whatever day it is."""
    return START + timedelta(seconds=time.monotonic() - _BEGUN)


SHARES = [Tlp.CLEAR] * 3 + [Tlp.GREEN] * 4 + [Tlp.AMBER] * 2 + [Tlp.RED]
"""What each of ten objects is marked with."""
TWICE = 50
"""Of so many objects one is stated by a second partner too."""


def main() -> int:
    """Fill, change, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy_change", description=__doc__)
    parser.add_argument("--size", type=int, default=10_000, metavar="N", help="objects (10,000)")
    parser.add_argument("--audiences", type=int, default=50, metavar="N", help="readers, each with its agreement (50)")
    parser.add_argument("--store", default="", metavar="URL", help="an empty database; usually a file of SQLite")
    given = parser.parse_args()
    _deciding(given.audiences)
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        store = open_store(given.store or f"sqlite:///{Path(folder)}/exchange.db")
        try:
            _changing(store, given.size, given.audiences)
        finally:
            store.close()
    return 0


def _terms(count: int, wide: int, more: int = 0) -> Terms:
    """`count` readers, the first `wide` of them under TLP:AMBER; the first `more` have an agreement more."""
    days: dict[str, Any] = {"start": date(2025, 1, 1), "end": date(2099, 1, 1), "purpose": "bench"}
    names = [f"reader{number}" for number in range(count)]
    giver = Receive(ceiling=Tlp.RED)
    made = [
        Agreement(id=name, title=name, parties=(name,), send=Send(ceiling=_ceiling(index < wide)), **days)
        for index, name in enumerate(names)
    ]
    made += [
        Agreement(id=f"{name}-more", title=name, parties=(name,), send=Send(ceiling=Tlp.AMBER), **days)
        for name in names[:more]
    ]
    given = Send(ceiling=Tlp.CLEAR, onward=True)
    made.append(Agreement(id="g", title="g", parties=("giver", "other"), receive=giver, send=given, **days))
    shelf = Collection(
        id=SHELF, alias="bench", title={"en": "bench"}, description={}, readers=tuple(names), writers=(),
        ceiling=Tlp.AMBER,
    )  # fmt: skip
    peers = {name: Peer(id=name, name=name) for name in ["giver", "other", *names]}
    return Terms(peers=peers, collections={SHELF: shelf}, agreements=tuple(made), node_identity=NODE)


def _ceiling(wide: bool) -> Tlp:
    return Tlp.AMBER if wide else Tlp.GREEN


# --- deciding ----------------------------------------------------------------------------------------------------


def _deciding(count: int) -> None:
    """One decision, as the cache knows it and as it does not."""
    rules = Rules(_terms(count, 0), START)
    subjects = [
        Subject(peer=peer, type=kind, label=Label(tlp=tlp))
        for peer in ("giver", "other")
        for kind in ("indicator", "malware", "report")
        for tlp in (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED)
    ]
    every = [(subject, audience) for subject in subjects for audience in rules.audiences]
    for word in ("uncached", "cached"):
        begun = time.process_time()
        for subject, audience in every:
            rules.decide(subject, audience)
        spent = time.process_time() - begun
        print(f"decide, {word:40}{spent / len(every) * 1e6:12.2f} µs")


# --- changing ----------------------------------------------------------------------------------------------------


class Watched:
    """How long the longest transaction took, and for how long somebody was shut."""

    def __init__(self, store: Store) -> None:
        self._store, self._plain = store, store.writing
        self.longest = self.longest_wall = self.shut = 0.0
        self._since: float | None = None
        store.writing = self._writing  # type: ignore[method-assign]

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._plain() as tx:
            begun, processor = time.perf_counter(), time.thread_time()
            yield tx
            is_shut = not all(row.open or row.retired for row in audiences.everyone(tx).values())
        now = time.perf_counter()
        self.longest = max(self.longest, time.thread_time() - processor)
        self.longest_wall = max(self.longest_wall, now - begun)
        if is_shut and self._since is None:
            self._since = now
        elif not is_shut and self._since is not None:
            self.shut += now - self._since
            self._since = None

    def end(self) -> None:
        """The store is as it was."""
        self._store.writing = self._plain  # type: ignore[method-assign]


def _changing(store: Store, size: int, count: int) -> None:
    adopt(store, Rules(_terms(count, 0), START), _now())
    listed = _timed("fill, by accept", size, lambda: _fill(store, Rules(_terms(count, 0), START), size))
    print(f"{size:,} objects, {count} audiences, {listed:,} rows listed\n")
    words = f"{'longest ms: CPU':>17}{'wall':>7}{'shut s':>9}{'MB':>8}"
    print(f"{'':34}{'rows':>12}{'CPU s':>9}{'wall s':>9}{'CPU µs/row':>12}{words}")
    for word, terms in (
        ("one of them: GREEN to AMBER", _terms(count, 1)),
        ("one of them: back to GREEN", _terms(count, 0)),
        ("one gets an agreement more", _terms(count, 0, more=1)),
        ("nothing that decides", _longer(_terms(count, 0, more=1))),
        ("all of them: GREEN to AMBER", _longer(_terms(count, count, more=1))),
        ("all of them: back to GREEN", _longer(_terms(count, 0, more=1))),
    ):
        _change(store, word, terms)


def _longer(terms: Terms) -> Terms:
    """The same, with a source polled less often: the terms are others, and no decision is."""
    giver = replace(terms.peers["giver"], contact="bench@example.org")
    return replace(terms, peers={**terms.peers, "giver": giver})


def _change(store: Store, word: str, terms: Terms) -> None:
    watched = Watched(store)
    rules = Rules(terms, START)
    begun, processor = time.perf_counter(), time.process_time()
    changed = follow(store, rules, _now()) + pursue(store, rules, _now)
    wall, spent = time.perf_counter() - begun, time.process_time() - processor
    watched.end()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = spent / changed * 1e6 if changed else 0.0
    print(
        f"{word:34}{changed:12,}{spent:9.1f}{wall:9.1f}{each:12.1f}"
        f"{watched.longest * 1e3:17.0f}{watched.longest_wall * 1e3:7.0f}{watched.shut:9.1f}{memory:8.0f}",
        flush=True,
    )


def _timed(word: str, size: int, work: Callable[[], int]) -> int:
    begun, processor = time.perf_counter(), time.process_time()
    found = work()
    spent = time.process_time() - processor
    print(f"{word:48}{spent / size * 1e6:12.0f} µs an object, {time.perf_counter() - begun:.0f} s", flush=True)
    return found


def _fill(store: Store, rules: Rules, size: int) -> int:
    """The objects, page by page; every fiftieth is given by a second partner as well. The rows that are listed."""
    content, found = Content(1), Counter[str]()
    for first in range(0, size, PAGE):
        bodies = [_marked(content, index) for index in range(first, min(first + PAGE, size))]
        for peer, some in (("giver", bodies), ("other", bodies[::TWICE])):
            good, _ = sift(some)
            accept(store, rules, Page(objects=good, last=True), f"{peer}/g", peer, _now())
    with store.reading() as tx:
        for key, row in audiences.everyone(tx).items():
            number = tx.exec_driver_sql(
                f"SELECT count(*) FROM listing WHERE audience = {row.number} AND closed IS NULL"  # noqa: S608 (our number)
            ).scalar()
            found[key] = number or 0
    return found.total()


def _marked(content: Content, index: int) -> bytes:
    made = content.object(index)
    made["object_marking_refs"] = [TLP2_ID[SHARES[index % len(SHARES)]]]
    return orjson.dumps(made)


if __name__ == "__main__":
    raise SystemExit(main())
