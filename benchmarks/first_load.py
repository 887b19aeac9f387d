"""A first load: a node takes a whole collection of a TAXII server, is killed again and again, and goes on.

    python -m benchmarks.first_load --size 100000                  # three kills at random moments
    python -m benchmarks.first_load --size 1000000 --kill 20 90    # after 20 s, and after another 90 s
    python -m benchmarks.first_load --size 1000000 --server exchange

The server is OpenTAXII, filled by SQL, or a node of ours, filled by POST. What is measured is our sync process alone,
as `exchange run --only sync` starts it: seconds, processor time and the high-water mark of its memory over all its
lives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.child import LEASH
from lab.node_files import Flow, Neighbour, NodeFiles, Shelf, give_login
from lab.round import CLI, free_port

from benchmarks import cost
from benchmarks.content import Content, index_of
from benchmarks.peers import opentaxii
from benchmarks.servers import Server, exchange
from benchmarks.tasks import fill

SERVERS = {"opentaxii": opentaxii, "exchange": exchange}
SOURCE = "giver/all"
MEMORY = 200.0
"""MB that the sync process may have at its peak."""
OPENCTI = 800_000 / 86_400
"""Objects a second of a first load of OpenCTI: 800,000 in a day (OpenCTI-Platform/opencti#7358)."""
_LOOK = 0.25
_RANDOM = (0.5, 8.0)
"""Seconds between which a life that is to end at random ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one life of the sync process cost, and what the store held after it."""

    wall: float
    cpu: float
    peak: float
    """MB."""
    held: int
    killed: bool

    @property
    def text(self) -> str:
        """For a person."""
        end = "killed" if self.killed else "stopped"
        return f"{self.wall:.1f} s, {end} at {self.held:,}, {self.peak:.0f} MB"


def configured(folder: Path, server: Server) -> tuple[Path, Path]:
    """A node that takes the collection of `server` and lists it to one reader: its folder and its store."""
    host, port = server.address
    root, _, rest = server.path.partition("collections/")
    source = Flow(id="all", url=f"http://{host}:{port}{root}", collection=rest.strip("/"))
    shelf = Shelf(alias="partage", id="7d1c5a60-3f0e-4b8d-9a42-6e1b0c9d8f27", readers=["soc"])
    store = folder / "node.db"
    files = NodeFiles(
        name="Node", identity="identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17", port=free_port(), store=str(store),
        neighbours=[Neighbour(id="giver", sources=[source], login=True), Neighbour(id="soc")], shelves=[shelf],
        every="1h",
    )  # fmt: skip
    config = files.write(folder / "etc")
    if server.auth:
        give_login(config, "giver", server.auth)
    return config, store


def live(config: Path, store: Path, log: Path, seconds: float | None) -> Life:
    """One life of the sync process: killed after `seconds`, or (None) stopped when all has been taken."""
    with log.open("ab") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", LEASH, str(os.getpid()), *CLI, "run", "--only", "sync", "--config", config],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while not taken(store) and (seconds is None or time.monotonic() - begun < seconds):
                if process.poll() is not None:
                    raise OSError(f"it ended with {process.returncode}: {log.read_text()[-1000:]}")
                time.sleep(_LOOK if seconds is None else min(_LOOK, max(0.0, begun + seconds - time.monotonic())))
            wall, killed = time.monotonic() - begun, not taken(store)
        finally:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM if taken(store) else signal.SIGKILL)
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    peak = used.ru_maxrss * 1024 / 1e6
    return Life(wall=wall, cpu=used.ru_utime + used.ru_stime, peak=peak, held=held(store), killed=killed)


@contextmanager
def _open(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as database:
        yield database


def taken(store: Path) -> bool:
    """Whether the source has been drained to its end."""
    try:
        with _open(store) as database:
            found = database.execute("SELECT last_complete FROM source WHERE key = ?", (SOURCE,)).fetchone()
    except sqlite3.OperationalError:  # no store yet, or no tables in it
        return False
    return found is not None and found[0] is not None


def held(store: Path) -> int:
    """How many objects the store has from the source."""
    try:
        with _open(store) as database:
            found = database.execute("SELECT count(*) FROM statement WHERE source = ?", (SOURCE,)).fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found[0])


def faults(store: Path, count: int) -> list[str]:
    """What is wrong at the end: every object must be held once and listed once, and the file must be sound."""
    found, seen = [], bytearray(count)
    with _open(store) as database:
        for (stix_id,) in database.execute("SELECT stix_id FROM statement WHERE source = ?", (SOURCE,)):
            index = index_of(stix_id)
            if index >= count:
                found.append(f"{stix_id} was never given")
            elif seen[index]:
                found.append(f"{stix_id} is held twice")
            else:
                seen[index] = 1
        if missing := count - sum(seen):
            found.append(f"{missing} objects are missing")
        listed = database.execute("SELECT count(*), count(DISTINCT seq) FROM listing WHERE closed IS NULL").fetchone()
        if listed != (count, count):
            found.append(f"{listed[0]} listings of {listed[1]} objects instead of {count}")
        if (sound := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            found.append(str(sound[:3]))
        leases = database.execute("SELECT key, lease_owner FROM source WHERE lease_owner IS NOT NULL").fetchall()
        if leases:
            found.append(f"still leased: {leases}")
    return found[:20]


def perform(folder: Path, given: argparse.Namespace) -> tuple[dict[str, object], list[str]]:
    """Fill the server, lead the lives; figures and faults."""
    content, drawn = Content(given.seed), random.Random(given.seed)  # noqa: S311 - the same again
    kills = given.kill if given.kill is not None else [round(drawn.uniform(*_RANDOM), 2) for _ in range(3)]
    (folder / "server").mkdir()
    with SERVERS[given.server](folder / "server", content, given.size) as server:
        begun = time.monotonic()
        guest, _ = fill(server, content, given.size)
        filling, config_store = time.monotonic() - begun, configured(folder, server)
        before, lives = cost.processor(server.pids), list[Life]()
        for seconds in [*kills, None]:
            lives.append(live(*config_store, folder / "sync.log", seconds))
            if not lives[-1].killed:
                break
        theirs = cost.processor(server.pids) - before
    wall, cpu, peak = sum(a.wall for a in lives), sum(a.cpu for a in lives), max(a.peak for a in lives)
    rate = guest.count / wall
    figures: dict[str, object] = {
        "server": given.server,
        "objects": guest.count,
        "filling, s": round(filling, 1),
        "lives": [life.text for life in lives],
        "seconds": round(wall, 1),
        "objects/s": round(rate),
        "times OpenCTI's 9.3/s": round(rate / OPENCTI),
        "processor, µs/object": round(cpu / guest.count * 1e6),
        "the server's, µs/object": round(theirs / guest.count * 1e6),
        "peak memory, MB": round(peak),
    }
    wrong = faults(config_store[1], guest.count)
    if peak >= MEMORY:
        wrong.append(f"{peak:.0f} MB at the peak, {MEMORY:.0f} MB is the most")
    if sum(a.killed for a in lives) < len(kills):
        figures["note"] = "it was done before the last kill"
    return figures, wrong


def main() -> int:
    """Measure and print; 1 when anything is wrong at the end."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=10_000, metavar="N", help="objects (10000)")
    parser.add_argument(
        "--kill", type=float, nargs="*", metavar="SECONDS",
        help=f"how long each life that is killed lasts; three drawn between {_RANDOM[0]} and {_RANDOM[1]} by default",
    )  # fmt: skip
    parser.add_argument("--server", choices=SERVERS, default="opentaxii", help="who gives (opentaxii)")
    parser.add_argument("--seed", type=int, default=1, help="of objects and kills (1)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then too everything is stopped and erased
    with tempfile.TemporaryDirectory(prefix="exchange-first-load-") as temporary:
        figures, wrong = perform(Path(temporary), given)
    print(json.dumps(figures, indent=1, ensure_ascii=False), *wrong, sep="\n")
    print("WRONG" if wrong else "every object once")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
