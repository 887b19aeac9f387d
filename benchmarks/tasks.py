"""What every server is made to do. Each task gives its figures: the name of a row → a value."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from benchmarks import cost, crowd
from benchmarks.client import CODINGS, Asker, Line
from benchmarks.content import Content
from benchmarks.crowd import Tally
from benchmarks.reading import NotOffered, WrongAnswer, envelope, read, wait_for
from benchmarks.servers import LIMIT, NEWS, Server

ENVELOPES = (100, 1_000)
WIDTHS = (1, 32)
SUBSCRIBERS, OVER = 800, 5.0
POLLS = 4_000
"""At most so many polls in one go."""
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How long things may take: `spell` seconds for tasks that could go on for ever, `patience` for the others."""

    spell: float = 0.6
    patience: float = 20.0


@dataclass(slots=True, kw_only=True)
class Guest:
    """A server under measurement: what it holds, and the dates before and behind the news."""

    server: Server
    content: Content
    count: int
    """Objects that a full read gives."""
    before: str = ""
    behind: str = ""
    posted: int = 0
    """Objects given away by POST beyond `count`."""
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that a reader of the table should know, said once."""
        if text not in self.notes:
            self.notes.append(text)


Task = Callable[[Guest, Measure], Figures]


def fill(server: Server, content: Content, count: int) -> tuple[Guest, Figures]:
    """Bring `count` objects and the news into a server, and find its dates. Raises WrongAnswer."""
    guest = Guest(server=server, content=content, count=count + NEWS)
    if server.marks:
        guest.before, guest.behind = server.marks
        return guest, {}
    figures: Figures = {}
    with Line(server.address) as line:
        if server.load is not None:
            guest.before = server.load(content, count)
        else:
            _post(line, server, content, [range(min(count, NEWS))])  # the first of all finds everything cold
            ranges = _cut(range(min(count, NEWS), count), LIMIT)
            _, figures = _ingest("filling, envelopes of 1,000", guest, line, ranges, float("inf"))
            guest.before = _last(server, count)
        _post(line, server, content, [range(count, count + NEWS)])
    guest.behind = wait_for(server, guest.before, NEWS).last
    return guest, figures


def _last(server: Server, count: int) -> str:
    """The date of the last of `count` objects."""
    reading = read(server, what="manifest")
    reading.require(count)
    return reading.last


def first_read(guest: Guest, measure: Measure) -> Figures:
    """The very first full read: what a server makes ready for later ones, it makes here."""
    return _read("full read, the first", guest, measure)


def full_read(guest: Guest, measure: Measure) -> Figures:
    """Pages of 1,000 from the beginning to the end, plain."""
    return _read("full read", guest, measure)


def compressed_reads(guest: Guest, measure: Measure) -> Figures:
    """The same, compressed."""
    figures: dict[str, float] = {}
    for coding in CODINGS:
        try:
            figures |= _read(f"full read, {coding}", guest, measure, coding=coding)
        except NotOffered:
            guest.note(f"does not offer {coding}")
    return figures


def manifest(guest: Guest, measure: Measure) -> Figures:
    """The whole manifest."""
    return _read("manifest", guest, measure, what="manifest")


def _read(name: str, guest: Guest, measure: Measure, *, what: str = "objects", coding: str = "") -> Figures:
    with cost.clock(guest.server.pids) as spent:
        reading = read(guest.server, what=what, coding=coding, patience=measure.patience)
    reading.require(guest.count)
    if not reading.complete:
        guest.note(f"{name}: stopped after {measure.patience:.0f} s, at {reading.found:,} objects")
    each = max(1, reading.found)
    figures = {
        f"{name}: CPU µs/object": spent.cpu / each * 1e6,
        f"{name}: wall µs/object": reading.wall / each * 1e6,
    }
    return figures | ({f"{name}: bytes/object": reading.bytes / each} if coding else {})


def polls(guest: Guest, measure: Measure) -> Figures:
    """`added_after` with nothing behind it, and with the news behind it."""
    figures: dict[str, float] = {}
    for what, after, wanted in (("no news", guest.behind, 0), (f"{NEWS} new", guest.before, NEWS)):
        request = _question(guest.server, after)
        for width in WIDTHS:
            with cost.clock(guest.server.pids) as spent:
                tally = crowd.keep_asking(guest.server.address, request, width=width, seconds=measure.spell, most=POLLS)
            name = f"poll, {what}, {width} at once"
            figures |= _answered(name, guest, tally, spent.cpu, wanted)
    return figures


def subscribers(guest: Guest, measure: Measure) -> Figures:
    """Eight hundred polls in five seconds, each on a connection of its own."""
    request, name = _question(guest.server, guest.before), f"{SUBSCRIBERS} subscribers in {OVER:.0f} s"
    with cost.clock(guest.server.pids) as spent:
        crowd.keep_asking(guest.server.address, request, width=1, seconds=0, most=1)
    if spent.cpu * SUBSCRIBERS > (OVER + measure.patience) * (os.cpu_count() or 1):
        guest.note(f"{name}: not tried, they would need {spent.cpu * SUBSCRIBERS:.0f} s of processor")
        return {}
    with cost.clock(guest.server.pids) as spent:
        tally = crowd.come_once(
            guest.server.address, request, count=SUBSCRIBERS, seconds=OVER, patience=measure.patience
        )
    return _answered(name, guest, tally, spent.cpu, NEWS) | {f"{name}: errors": float(tally.errors)}


def _question(server: Server, after: str) -> bytes:
    return server.asker.get(f"{server.path}objects/?limit={LIMIT}&added_after={after}")


def _answered(name: str, guest: Guest, tally: Tally, cpu: float, wanted: int) -> dict[str, float]:
    """The figures of many polls; those that were answered wrongly count as errors."""
    for (status, body), times in tally.answers.items():
        found = len(envelope(body).get("objects", ())) if status == 200 else -1
        if found != wanted:
            tally.errors += times
            guest.note(f"{name}: {times} answers with {status} and {max(found, 0)} objects")
    if tally.errors:
        guest.note(f"{name}: {tally.errors} errors")
    return {
        f"{name}: CPU µs": cpu / max(1, len(tally.times)) * 1e6,
        f"{name}: p50 ms": tally.at(0.50) * 1e3,
        f"{name}: p99 ms": tally.at(0.99) * 1e3,
    }


def ingest(guest: Guest, measure: Measure) -> Figures:
    """New objects in envelopes of a hundred and of a thousand, and then the same ones again."""
    if guest.server.marks:
        return {}
    figures: dict[str, float] = {}
    with Line(guest.server.address) as line:
        for size in ENVELOPES:
            start = guest.count + guest.posted
            ranges = _cut(range(start, start + ENVELOPES[-1] * 10), size)
            name = f"POST, envelopes of {size:,}"
            taken, found = _ingest(name, guest, line, ranges, measure.spell)
            guest.posted += taken
            _, again = _ingest(f"{name}, known", guest, line, _cut(range(start, start + taken), size), measure.spell)
            figures |= {**found, **again}
    return figures


def _cut(indexes: range, size: int) -> list[range]:
    return [indexes[at : at + size] for at in range(0, len(indexes), size)]


def _ingest(name: str, guest: Guest, line: Line, ranges: Sequence[range], spell: float) -> tuple[int, dict[str, float]]:
    """POST one envelope after another for so long; objects taken, and the figures."""
    with cost.clock(guest.server.pids, with_rest=True) as spent:
        count, wall = _post(line, guest.server, guest.content, ranges, spell)
    each = max(1, count)
    return count, {f"{name}: CPU µs/object": spent.cpu / each * 1e6, f"{name}: wall µs/object": wall / each * 1e6}


def _post(
    line: Line, server: Server, content: Content, ranges: Sequence[range], spell: float = float("inf")
) -> tuple[int, float]:
    """(objects taken, seconds of waiting). Raises WrongAnswer when one is not taken."""
    count, wall = 0, 0.0
    for request, size in _requests(server.asker, server.path, content, ranges):
        begun = time.perf_counter()
        answer = line.ask(request)
        wall += time.perf_counter() - begun
        status = envelope(answer.body) if answer.status in (200, 202) else {}
        # medallion counts what it knows as a failure; it was taken all the same.
        known = status.get("failure_count", 0) if server.name == "medallion" else 0
        if status.get("success_count", 0) + known != size:
            raise WrongAnswer(f"POST: {answer.status}: {answer.body[:300]!r}")
        count += size
        if wall > spell:
            break
    return count, wall


def _requests(asker: Asker, path: str, content: Content, ranges: Sequence[range]) -> Iterator[tuple[bytes, int]]:
    for indexes in ranges:
        yield asker.post(f"{path}objects/", content.envelope(indexes)), len(indexes)


def held(guest: Guest, _measure: Measure) -> Figures:
    """Memory, and the size of the store."""
    memory = cost.memory(guest.server.pids)
    figures = {
        "memory, peaks of all processes: MiB": memory.peaks,
        "memory, shares of all processes: MiB": memory.shares,
        "memory, largest process, peak: MiB": memory.largest,
        "memory, largest process, own: MiB": memory.largest_own,
    }
    if guest.server.size is not None:
        figures["store: bytes per byte of JSON"] = guest.server.size() / weight(
            guest.content, guest.count + guest.posted
        )
    return figures


@lru_cache
def weight(content: Content, count: int) -> int:
    """Bytes of the first `count` objects."""
    return sum(len(content.body(index)) for index in range(count))


TASKS: Mapping[str, Task] = {
    "first": first_read,
    "read": full_read,
    "compressed": compressed_reads,
    "manifest": manifest,
    "poll": polls,
    "subscribers": subscribers,
    "ingest": ingest,
    "memory": held,
}
