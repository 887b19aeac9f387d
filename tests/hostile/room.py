"""The engine in a room with a hostile server: real store, real client, real sockets; only the time is ours."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from exchange import log
from exchange.i18n import LANGUAGES, knows, text
from exchange.model.envelope import Cursor, Outgoing, Page, Receipt
from exchange.model.marking import Tlp
from exchange.model.party import Credentials, Source, Target
from exchange.peers import Limits, client_for
from exchange.store import Store, sources, tables
from exchange.sync.overview import Line, overview
from exchange.sync.pull import LEASE, Run, pull
from exchange.sync.push import push
from tests.hostile.pull_ways import BASIC, PASSWORD, USER
from tests.hostile.server import Server
from tests.peers.doubles import PEER, Waits
from tests.sync.partners import ALERTS, DEPOT, OTHER, Desk
from tests.world import emptied, terms

LIMITS = {"connect": 5.0, "read": 5.0, "total": 5.0, "size": 2 * 1024 * 1024, "tries": 3}


ACCOUNT = Credentials(user=USER, password=PASSWORD)


class Killed(BaseException):
    """The process dies here."""


class Client:
    """The real client; the process is killed when it asks for the page after `most`."""

    def __init__(self, real: Any, most: int | None) -> None:
        self._real, self._most = real, most

    def pull(self, source: Source, cursor: Cursor) -> Iterator[Page]:
        """As the real one."""
        for number, page in enumerate(self._real.pull(source, cursor)):
            if number == self._most:
                raise Killed
            yield page

    def push(self, target: Target, objects: Sequence[Outgoing]) -> Sequence[Receipt]:
        """As the real one."""
        receipts: Sequence[Receipt] = self._real.push(target, objects)
        if self._most is not None:
            raise Killed
        return receipts


@dataclass
class Room:
    """One node, one partner, and the time, which moves when somebody waits."""

    store: Store
    server: Server
    limits: dict[str, Any] = field(default_factory=dict)
    credentials: Credentials = ACCOUNT
    waits: Waits = field(default_factory=Waits)
    lines: io.StringIO = field(default_factory=io.StringIO)
    workers: int = 0

    def __post_init__(self) -> None:
        emptied(self.store)
        log.configure("fr", "json", verbose=True, stream=self.lines)
        self.source = replace(ALERTS, url=self.server.url, collection=self.server.collection)
        self.target = replace(DEPOT, url=self.server.url, collection=self.server.collection)
        given = terms(unmarked=Tlp.GREEN)
        peers = {**given.peers, "ccc": replace(given.peers["ccc"], targets=(self.target,))}
        self.desk = Desk(self.store, replace(given, peers=peers), self.source, OTHER)

    # What is done

    def pull(self, most: int | None = None) -> Run | None:
        """The run that is due; killed after `most` pages."""
        return pull(self._worker(), self.source, lambda: self.client(most))

    def push(self, most: int | None = None) -> Run | None:
        """The run that is due; killed (`most`) between the answer and the receipt."""
        return push(self._worker(), self.target, lambda: self.client(most))

    def client(self, most: int | None = None) -> Client:
        """Our client of the partner."""
        limits = Limits(**LIMITS | self.limits)
        world = self.desk.world
        made = client_for(PEER, "taxii", self.credentials, clock=lambda: world.now, wait=self._wait, limits=limits)
        return Client(made, most)

    def _wait(self, seconds: float) -> bool:
        self.desk.world.now += timedelta(seconds=seconds)
        return self.waits(seconds)

    def _worker(self) -> Any:
        self.workers += 1
        return self.desk.worker(f"daemon {self.workers}")

    def restart(self) -> None:
        """What the dead have leased comes free."""
        self.desk.world.pass_time(LEASE + timedelta(seconds=1))

    def next_turn(self, key: str) -> None:
        """Let the time come when `key` is due."""
        seconds = max(60.0, self.desk.due_in(key))
        self.desk.world.pass_time(timedelta(seconds=seconds))

    # What is seen

    def held(self) -> Counter[tuple[str, str]]:
        """(id, `modified`) of what the source gave, with how often it is held."""
        rows = [row for row in self.desk.rows(tables.statement) if row["stix_id"].startswith("indicator--")]
        return Counter((row["stix_id"], row["version"]) for row in rows)

    def line(self, key: str) -> Line:
        """What the overview says."""
        found = overview(self.store, self.desk.world.terms, self.desk.world.now)
        return next(line for line in found if line.key == key)

    def codes(self, key: str) -> dict[str, dict[str, Any]]:
        """Code → fields of the error and the remarks that stand beside `key`."""
        line = self.line(key)
        with self.store.reading() as tx:
            remarks = sources.passed_over(tx, key)
        said = {row["code"]: dict(row["fields"]) for row in remarks}
        return said | ({line.error["code"]: dict(line.error["fields"])} if line.error else {})

    def promised(self) -> set[str]:
        """The ids that the cursor in the store would still bring from a server that behaves."""
        doing, self.server.doing = self.server.doing, ()
        brought = [made.id for page in self.client().pull(self.source, self.desk.cursor()) for made in page.objects]
        self.server.doing = doing
        return set(brought)

    def secrets(self) -> list[str]:
        """Where one of our secrets stands although it must not: a row of the store, a line of the log."""
        told = (self.credentials.token,) if self.credentials.token else (PASSWORD, BASIC)
        found = [line for line in self.lines.getvalue().splitlines() if any(s in line for s in told)]
        for table in tables.metadata.sorted_tables:
            found += [f"{table.name}: {row}" for row in self.desk.rows(table) if any(s in str(row) for s in told)]
        return found


def readable(code: str, fields: dict[str, Any]) -> None:
    """The texts of a code are whole sentences in both languages, name the peer, and differ."""
    texts = {language: text(code, language, **fields) for language in LANGUAGES}
    for language, words in texts.items():
        assert knows(code, language), code
        assert PEER.id in words, words
        assert not re.search(r"\{[a-z_]+\}", words), words
    assert texts["fr"] != texts["en"]
