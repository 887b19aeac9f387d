"""What a server costs, from the kernel: processor time to the nanosecond, and memory, of whole process trees."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import proc

_TICK = os.sysconf("SC_CLK_TCK")
_CALM, _LOOK, _PATIENCE = 0.03, 0.15, 5.0
"""Idle: less than 3 % of a processor for 0.15 s; waited for at most 5 s."""


@dataclass(slots=True)
class Spent:
    """Seconds of the server's processors."""

    cpu: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MiB: the peaks of all processes added up, their proportional shares now, and the largest process."""

    peaks: float
    shares: float
    largest: float
    largest_own: float
    """Of the largest process, without the files that are mapped into it."""


def tree(roots: Iterable[int]) -> list[int]:
    """The processes and all their descendants."""
    return [pid for root in roots for pid in proc.tree(root)]


def processor(roots: Iterable[int]) -> float:
    """Seconds of processor (user and system) that these trees have used, children that have ended included."""
    return sum(_used(pid) for pid in tree(roots))


def _used(pid: int) -> float:
    try:
        # clock_getcpuclockid(3): /proc says the same in hundredths of a second.
        alive = time.clock_gettime(~pid << 3 | 2)
        waited = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
    except OSError:  # it has just ended; its parent has its time
        return 0.0
    return alive + sum(map(int, waited)) / _TICK


@contextmanager
def clock(roots: Iterable[int], *, with_rest: bool = False) -> Iterator[Spent]:
    """The processor time of what happens in the block; `with_rest`: and of the work that it leaves behind."""
    pids, spent = tuple(roots), Spent()
    before = processor(pids)
    yield spent
    if with_rest:
        settle(pids)
    spent.cpu = processor(pids) - before


def settle(roots: Iterable[int]) -> None:
    """Wait until these trees have nothing left to do."""
    pids, pause = tuple(roots), threading.Event()
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        before = processor(pids)
        pause.wait(_LOOK)
        if processor(pids) - before < _CALM * _LOOK:
            return


def memory(roots: Iterable[int]) -> Memory:
    """What these trees hold."""
    pids = tree(roots)
    peaks = {pid: _field(f"/proc/{pid}/status", "VmHWM") for pid in pids}
    largest = max(peaks, key=lambda pid: peaks[pid])
    return Memory(
        peaks=sum(peaks.values()),
        shares=sum(_field(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids),
        largest=peaks[largest],
        largest_own=_field(f"/proc/{largest}/status", "RssAnon"),
    )


def _field(file: str, name: str) -> float:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
