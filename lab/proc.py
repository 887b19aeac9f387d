"""What processes cost, from /proc: processor time and peak memory of a process and everything below it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds on the clock, seconds of processor (user and system), MiB at the peak.

    `own` leaves out files that are mapped into memory: SQLite maps up to 256 MiB of the store, which grows with it.
    """

    wall: float
    cpu: float
    peak: float
    own: float


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents = {int(task.parent.name): parent for task in Path("/proc").glob("[0-9]*/stat") if (parent := _parent(task))}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def parts(pid: int) -> dict[str, int]:
    """Part of the daemon (sync, serve) → the root of its processes, below its supervisor."""
    found: dict[str, int] = {}
    for one in tree(pid):
        try:
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if b"--only" in words:
            found.setdefault(words[words.index(b"--only") + 1].decode(), one)
    return found


def processor(pid: int) -> float:
    """Seconds of processor that the tree has used, children that have ended included."""
    return sum(sum(map(int, _fields(one)[11:15])) for one in tree(pid)) / _TICK


def peaks(pid: int) -> dict[int, float]:
    """MiB at the peak of each process of the tree."""
    return {one: peak for one in tree(pid) if (peak := _memory(one, "VmHWM"))}


def own_memory(pid: int) -> float:
    """MiB that the largest process of the tree has of its own, now."""
    return max(_memory(one, "RssAnon") for one in tree(pid))


def run(command: Sequence[str | Path], log: Path | None = None) -> Cost:
    """Run a command to its end, and say what it cost. Raises CalledProcessError with its output."""
    with tempfile.TemporaryFile() if log is None else log.open("w+b") as output:
        begun = time.perf_counter()
        child = subprocess.Popen([*map(str, command)], stdout=output, stderr=subprocess.STDOUT)
        own, ended = 0.0, 0
        while not ended:
            time.sleep(0.02)
            own = max(own, _memory(child.pid, "RssAnon"))
            ended, status, used = os.wait4(child.pid, os.WNOHANG)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        if child.returncode:
            output.seek(0)
            raise subprocess.CalledProcessError(child.returncode, child.args, output.read().decode(errors="replace"))
    return Cost(wall=wall, cpu=used.ru_utime + used.ru_stime, peak=used.ru_maxrss / 1024, own=own)


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # it has just ended; its parent has its time
        return ["0"] * 50


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def _memory(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)
