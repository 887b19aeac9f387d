"""Processes that die by SIGKILL: at a commit, before it or after it, or when their time is over.

    python -m tests.acceptance.mortal sync FOLDER

reads lines `SECONDS NUMBER before|after` and leads for each of them one life of that part of the daemon: at the
NUMBERth commit (0: at none) it dies with all its workers, after SECONDS in any case. It answers with one line:
`before`, `after`, `time`, or `ended` and the status, if the part ended by itself. Everything is loaded once and each
life is forked, so that a death costs less than a start of Python.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection

from exchange import config, daemon, log
from exchange.store import Store

_PR_SET_PDEATHSIG = 1


class Boundaries:
    """Counts the writer's commits and dies at the one that it is told, before or after it, with its process group."""

    def __init__(self, die_at: int, *, before: bool) -> None:
        self.count, self.die_at, self.before = 0, die_at, before
        self._plain = Store.writing

    def watch(self) -> None:
        """Put itself around every writing transaction of this process and of those that it forks."""
        plain, here = self._plain, self

        @contextmanager
        def writing(store: Store) -> Iterator[Connection]:
            with plain(store) as tx:
                yield tx
                here.count += 1
                if here.before and here.count == here.die_at:
                    os.killpg(0, signal.SIGKILL)
            if not here.before and here.count == here.die_at:
                os.killpg(0, signal.SIGKILL)

        Store.writing = writing  # type: ignore[method-assign]


def in_child(work: Callable[[], object]) -> int:
    """Fork a process group of its own for `work`, which never outlives us; its process id."""
    parent, child = os.getpid(), os.fork()
    if child:
        with suppress(OSError):  # whoever comes first
            os.setpgid(child, child)
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            work()
            status = 0
    finally:
        os._exit(status)


def _life(part: str, folder: Path, boundaries: Boundaries) -> None:
    settings = config.load(folder)
    log.configure("en", "json", stream=sys.stderr)
    boundaries.watch()
    daemon.run_sync(settings) if part == "sync" else daemon.run_serve(settings)


def _ended(child: int, seconds: float) -> int | None:
    """Its status as soon as it has ended; None when it still lives after `seconds`."""
    watched = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([watched], [], [], seconds)
    finally:
        os.close(watched)
    return os.waitpid(child, 0)[1] if ended else None


def lead(part: str, folder: Path, seconds: float, die_at: int, when: str) -> str:
    """One life of a part of the daemon, to its end; how it ended."""
    child = in_child(lambda: _life(part, folder, Boundaries(die_at, before=when == "before")))
    status = _ended(child, seconds)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # the part, or the workers that it left behind
    if status is None:
        os.waitpid(child, 0)
        return "time"
    return when if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else f"ended {status}"


def main() -> None:
    """Lead the lives that are asked for, one after the other."""
    part, folder = sys.argv[1], Path(sys.argv[2])
    # What a life loads when it begins is loaded here.
    import exchange.peers
    import exchange.serve
    import exchange.sync.schedule  # noqa: F401

    for line in sys.stdin:
        seconds, die_at, when = line.split()
        print(lead(part, folder, float(seconds), int(die_at), when), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
