"""`python -m benchmarks`: ours beside OpenTAXII and medallion, in one run on one machine; figures, and no judgement."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from lab import proc
from lab.samples.markings import GREEN

from benchmarks.accepting import microseconds
from benchmarks.servers import Server, ours, theirs

N, FEW, ENVELOPE, NEWS = 5_000, 1_000, 100, 5
POLLS = {N: 20, FEW: 3}  # medallion needs seconds for each
NAMESPACE = UUID("5a0c7e3b-914f-4d26-8e73-c02b6f9d1a48")
Object = dict[str, Any]


def indicator(number: int) -> Object:
    """One indicator like those of the stalkerware feed, the same on every run."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid5(NAMESPACE, str(number))}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": f"app{number}.stalker.example",
        "description": "Network indicator for the stalkerware family Bench",
        "indicator_types": ["malicious-activity"],
        "pattern": f"[domain-name:value = 'app{number}.stalker.example']",
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [GREEN],
    }


@dataclass(slots=True)
class Spent:
    """Seconds on the clock, and of the server's processors."""

    wall: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class Sheet:
    """What one server needed, by task: seconds, and the number of things that they were for."""

    server: Server
    spent: dict[str, tuple[Spent, int]] = field(default_factory=dict)

    def measure(self, task: str, count: int, work: Callable[[], object]) -> None:
        """Do it once, and write down what it took."""
        with _clock(self.server.pid) as spent:
            work()
        self.spent[task] = spent, count


@contextmanager
def _clock(pid: int) -> Iterator[Spent]:
    spent, begun, used = Spent(), time.perf_counter(), proc.processor(pid)
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - begun, proc.processor(pid) - used


def post(server: Server, numbers: range) -> None:
    """Write these indicators, an envelope of a hundred at a time."""
    for start in range(numbers.start, numbers.stop, ENVELOPE):
        chosen = [indicator(number) for number in range(start, min(start + ENVELOPE, numbers.stop))]
        answer = server.session.post(server.url, data=json.dumps({"objects": chosen}), timeout=120)
        answer.raise_for_status()


def read(server: Server, limit: int, after: str = "") -> tuple[int, str]:
    """Read everything after a time; how much it was, and the time of the last object."""
    count, wishes = 0, {"limit": str(limit), **({"added_after": after} if after else {})}
    while True:
        answer = server.session.get(server.url, params=wishes, timeout=120)
        answer.raise_for_status()
        page = answer.json()
        count += len(page.get("objects", []))
        after = answer.headers.get("X-TAXII-Date-Added-Last", after)
        if not page.get("more"):
            return count, after
        wishes["next"] = page["next"]


def perform(server: Server, count: int, limit: int) -> Sheet:
    """The three tasks, on one server."""
    sheet = Sheet(server)
    sheet.measure("ingest", count, lambda: post(server, range(count)))
    times: list[str] = []
    sheet.measure("full read", count, lambda: times.append(_all(server, count, limit)))
    post(server, range(count, count + NEWS))

    def poll() -> None:
        for _ in range(POLLS[count]):
            found, _ = read(server, limit, times[0])
            assert found == NEWS, f"{server.name}: {found} instead of {NEWS}"

    sheet.measure("poll of 5", POLLS[count], poll)
    return sheet


def _all(server: Server, count: int, limit: int) -> str:
    found, last = read(server, limit)
    assert found == count, f"{server.name}: {found} instead of {count}"
    return last


def show(their: Sheet, our: Sheet) -> None:
    """Both, and how many times as much the other needs."""
    print(f"\n{our.server.name} beside {their.server.name}, {our.spent['ingest'][1]:,} indicators")
    print(f"{'':11}{'µs CPU each':>25}{'×':>8}{'µs wall each':>27}{'×':>8}")
    for task, (mine, count) in our.spent.items():
        other, _ = their.spent[task]
        line = ""
        for ours_, others in ((mine.cpu, other.cpu), (mine.wall, other.wall)):
            ratio = f"{others / ours_:.1f}" if ours_ else "–"
            line += f"{ours_ / count * 1e6:>12,.0f} {others / count * 1e6:>13,.0f}{ratio:>8}"
        print(f"{task:11}{line}", flush=True)


def main() -> None:
    """Everything, one server at a time."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, count, limit in (("opentaxii", N, 1_000), ("medallion", FEW, 100)):
            with theirs(name, folder / name) as server:
                their = perform(server, count, limit)
            (folder / f"ours-{name}").mkdir()
            with ours(folder / f"ours-{name}") as server:
                our = perform(server, count, limit)
            show(their, our)
        bodies = [json.dumps(indicator(number)).encode() for number in range(N)]
        print(f"\naccept() alone, {N:,} indicators, µs CPU each (decoding and validating apart)")
        for audiences in (1, 7):
            writing, reading = microseconds(folder, bodies, audiences)
            print(f"{audiences} audience(s) {writing:8.0f} {reading:8.0f}", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
