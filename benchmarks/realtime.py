"""How long an object takes through a chain of three nodes, A → B → C, under a steady load.

    python -m benchmarks.realtime                # A pushes to B, B pushes to C
    python -m benchmarks.realtime --poll 5       # B polls A every 5 s, C polls B every 5 s

A client posts envelopes to A at a steady rate; a reader at C asks for what is new, many times a second. Each object is
timed from the moment at which its POST is sent to the moment at which a page of C has it. The hops are the differences
of the times at which the nodes' stores received it. All nodes and both clients share this machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from lab import proc
from lab.node_files import Flow, Neighbour, NodeFiles, Shelf
from lab.nodes import Node, introduce, started
from lab.round import free_port

from benchmarks import cost
from benchmarks.client import Asker, Line
from benchmarks.content import Content, index_of
from benchmarks.reading import LAST

NAMES = "abc"
IDENTITY = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b1{}"
COLLECTION = "7d1c5a60-3f0e-4b8d-9a42-6e1b0c9d8f1{}"
GOAL = 2.0
"""Seconds within which 95 of 100 objects are to be there when they are pushed."""
_LOOK = 0.02
_PATIENCE = 60.0


@dataclass(slots=True)
class Timing:
    """When each object was sent to A, and when it was first read at C; seconds of one clock."""

    sent: dict[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    late: float = 0.0
    """Seconds that the client was behind its own schedule at most."""
    ended: threading.Event = field(default_factory=threading.Event)

    def took(self) -> list[float]:
        """Seconds from one to the other, shortest first."""
        return sorted(at - self.sent[index] for index, at in self.seen.items())


@contextmanager
def chain(folder: Path, poll: float | None) -> Iterator[list[Node]]:
    """Three nodes, running."""
    ports = [free_port() for _ in NAMES]
    nodes = []
    for number, name in enumerate(NAMES):
        before, after = NAMES[number - 1 : number], NAMES[number + 1 : number + 2]
        neighbours, readers, writers = [], ["soc"], ["soc"]
        for other, at in ((before, number - 1), (after, number + 1)):
            if not other:
                continue
            flow = Flow(
                id="chain", url=f"http://127.0.0.1:{ports[at]}/api/", collection=COLLECTION.format(at),
                every=f"{poll:g}s" if poll and other == before else "",
            )  # fmt: skip
            takes, gives = bool(poll) and other == before, not poll and other == after
            neighbours.append(Neighbour(id=other, sources=[flow] * takes, targets=[flow] * gives, login=takes or gives))
            if poll and other == after:
                readers.append(other)
            elif not poll and other == before:
                writers.append(other)
        files = NodeFiles(
            name=name.upper(), identity=IDENTITY.format(number), port=ports[number],
            neighbours=[*neighbours, Neighbour(id="soc")], store=str(folder / name / "exchange.db"),
            shelves=[Shelf(alias="partage", id=COLLECTION.format(number), readers=readers, writers=writers)],
        )  # fmt: skip
        nodes.append(Node.written(folder / name, files))
    for first, second in pairwise(nodes):
        host, guest = (first, second) if poll else (second, first)
        introduce(host, guest.files.name.lower(), guest, host.files.name.lower())
    for node in nodes:
        node.welcome("soc")
    with started(nodes):
        yield nodes


def asker(node: Node) -> tuple[Asker, str]:
    """Who asks a node, and the path of its objects."""
    return Asker(address=("127.0.0.1", node.files.port), auth=node.welcome("soc")), node.objects_url().split("/", 3)[3]


def post(node: Node, timing: Timing, envelopes: Sequence[tuple[range, bytes]], pause: float) -> None:
    """Envelope after envelope to A, one every `pause` seconds, whenever the one before was answered."""
    who, path = asker(node)
    with Line(who.address) as line:
        begun = time.monotonic()
        for number, (indexes, body) in enumerate(envelopes):
            wait = begun + number * pause - time.monotonic()
            timing.late = max(timing.late, -wait)
            if wait > 0:
                time.sleep(wait)
            request, sent = who.post(f"/{path}", body), time.monotonic()
            while (answer := line.ask(request)).status == 503:
                time.sleep(_LOOK)
            if answer.status != 202:
                raise OSError(f"{answer.status}: {answer.body[:200]!r}")
            timing.sent |= dict.fromkeys(indexes, sent)


def watch(node: Node, timing: Timing) -> None:
    """Read at C what is new, until the end."""
    who, path = asker(node)
    after = ""
    with Line(who.address) as line:
        while not timing.ended.is_set():
            window = f"&added_after={quote(after)}" if after else ""
            answer = line.ask(who.get(f"/{path}?limit=1000{window}"))
            page, at = orjson.loads(answer.body), time.monotonic()
            for object_ in page.get("objects", ()):
                timing.seen.setdefault(index_of(object_["id"]), at)
            after = answer.headers.get(LAST) or after
            if not page.get("more"):
                timing.ended.wait(_LOOK)


def hops(nodes: Sequence[Node]) -> Mapping[str, list[float]]:
    """`a → b` → seconds between the moments at which both stores received an object, shortest first."""
    received = [dict(node.rows("SELECT stix_id, min(received) FROM statement GROUP BY stix_id")) for node in nodes]
    found = {}
    for number, (one, other) in enumerate(pairwise(received)):
        took = [(at - one[id_]) / 1e6 for id_, at in other.items() if id_ in one]
        found[f"{NAMES[number]} → {NAMES[number + 1]}"] = sorted(took)
    return found


def figures(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max of sorted values."""
    if not values:
        return {}
    at = {f"p{share}": values[min(len(values) - 1, len(values) * share // 100)] for share in (50, 95, 99)}
    return {name: round(value, 3) for name, value in (at | {"max": values[-1]}).items()}


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The load from beginning to end, and what it showed."""
    content, timing = Content(given.seed), Timing()
    count = int(given.seconds * given.rate) // given.envelope
    ranges = [range(number * given.envelope, (number + 1) * given.envelope) for number in range(count)]
    envelopes = [(indexes, content.envelope(indexes)) for indexes in ranges]
    with chain(folder, given.poll) as nodes:
        pids = {node.files.name: node.child.pid for node in nodes if node.child is not None}
        roots = {f"{name} {part}": root for name, pid in pids.items() for part, root in proc.parts(pid).items()}
        reader = threading.Thread(target=watch, args=(nodes[-1], timing))
        reader.start()
        try:
            before = {name: cost.processor([pid]) for name, pid in roots.items()}
            begun = time.monotonic()
            post(nodes[0], timing, envelopes, given.envelope / given.rate)
            posting = time.monotonic() - begun
            until = time.monotonic() + _PATIENCE
            while len(timing.seen) < len(timing.sent) and time.monotonic() < until:
                time.sleep(0.1)
            wall = time.monotonic() - begun
            spent = {name: cost.processor([pid]) - before[name] for name, pid in roots.items()}
        finally:
            timing.ended.set()
            reader.join()
        between = hops(nodes)
    took = timing.took()
    return {
        "way": f"polled every {given.poll:g} s" if given.poll else "pushed",
        "objects": len(timing.sent), "missing": len(timing.sent) - len(timing.seen),
        "seconds": round(posting, 1), "objects/s": round(len(timing.sent) / posting, 1),
        "client late at most, s": round(timing.late, 3),
        "posted at a → read at c, s": figures(took) | {"mean": round(statistics.fmean(took), 3) if took else 0.0},
        "hops, s": {name: figures(values) for name, values in between.items()},
        "processor, % of one": {name: round(100 * value / wall, 1) for name, value in spent.items()},
    }  # fmt: skip


def _verdict(found: Mapping[str, Any], poll: float | None) -> tuple[str, float, float]:
    """What counts, how long it took, and how long it may take: polled, each hop has an interval and a second."""
    if poll:
        return "max of a hop", max(hop.get("max", 0.0) for hop in found["hops, s"].values()), poll + 1
    return "p95", found["posted at a → read at c, s"].get("p95", 0.0), GOAL


def main() -> int:
    """Measure and print; 1 when something is missing or comes later than it should."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.realtime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of load (60)")
    parser.add_argument("--rate", type=float, default=200.0, help="objects a second (200)")
    parser.add_argument("--envelope", type=int, default=20, help="objects of a POST (20)")
    parser.add_argument("--poll", type=float, help="B and C poll, this often in seconds; nothing is pushed")
    parser.add_argument("--seed", type=int, default=1, help="of the objects (1)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then too everything is stopped and erased
    with tempfile.TemporaryDirectory(prefix="exchange-realtime-") as temporary:
        found = measure(Path(temporary), given)
    print(json.dumps(found, indent=1, ensure_ascii=False))
    name, value, most = _verdict(found, given.poll)
    good = not found["missing"] and value < most
    print(f"{name} {value:.3f} s, goal below {most:g} s: {'reached' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
