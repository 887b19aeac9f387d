"""`sync.accept` alone, in this process, on a SQLite file: µs of processor per object, for some number of audiences."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

from exchange.model import benign, personal
from exchange.model.envelope import PAGE, Page, sift
from exchange.model.marking import Tlp
from exchange.model.party import Agreement, Collection, Peer, Receive, Send, Terms
from exchange.policy import Rules
from exchange.store import open_store
from exchange.sync.accept import accept
from exchange.sync.terms import adopt

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NODE = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"


def microseconds(folder: Path, bodies: list[bytes], audiences: int) -> tuple[float, float]:
    """(accept with a committed page of 500, decoding and validating before it), per object."""
    store = open_store(f"sqlite:///{folder}/accept{audiences}.db")
    rules = Rules(_terms(audiences), NOW)
    adopt(store, rules, NOW)
    sift(bodies[:1])  # compiles the schemas
    personal.suspect(bodies[0], rules.terms.personal)  # compiles the automaton
    benign.index(rules.terms.benign)  # reads the lists
    reading = writing = 0.0
    for start in range(0, len(bodies), PAGE):
        begun = time.process_time()
        good, _ = sift(bodies[start : start + PAGE])
        read = time.process_time()
        accept(store, rules, Page(objects=good, last=start + PAGE >= len(bodies)), "giver/g", "giver", NOW)
        writing += time.process_time() - read
        reading += read - begun
    store.close()
    return writing / len(bodies) * 1e6, reading / len(bodies) * 1e6


def _terms(audiences: int) -> Terms:
    def agreement(name: str, **clauses: Receive | Send) -> Agreement:
        days = {"start": date(2025, 1, 1), "end": date(2099, 1, 1)}
        return Agreement(id=name, parties=(name,), purpose="bench", title=name, **days, **clauses)  # type: ignore[arg-type]

    readers = [f"reader{number}" for number in range(audiences)]
    shelf = Collection(
        id="0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11", alias="bench", title={"en": "bench"}, description={},
        readers=tuple(readers), writers=(), ceiling=Tlp.GREEN,
    )  # fmt: skip
    given = [agreement(name, send=Send(ceiling=Tlp.GREEN)) for name in readers]
    return Terms(
        peers={name: Peer(id=name, name=name) for name in ["giver", *readers]},
        collections={shelf.id: shelf},
        agreements=(agreement("giver", receive=Receive(ceiling=Tlp.AMBER)), *given),
        node_identity=NODE,
        benign=benign.Choice(lists=benign.DEFAULT),
    )
