"""A program of somebody else's that runs beside us and never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LEASH = Path(__file__).with_name("leash.py")
DEADLINE = 60.0  # seconds until a program has to answer


class ChildError(RuntimeError):
    """The program ended, or did not answer in time; the message carries the end of its log."""


class Child:
    """A running program: a process group of its own, its output in a file, stopped when the block is left.

    The kernel ends it as well when the *thread* that started it dies, so start children from the main thread.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*leash, *map(str, command)],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the program, and of its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program is still there."""
        return self._process.poll() is None

    def wait_until(self, answers: Callable[[], bool], deadline: float = DEADLINE) -> None:
        """Return as soon as `answers()` is true; raise ChildError when the program ends or the time is up."""
        until = time.monotonic() + deadline
        while not answers():
            if not self.running:
                raise ChildError(self._obituary(f"ended with {self._process.returncode}"))
            if time.monotonic() > until:
                raise ChildError(self._obituary(f"did not answer within {deadline:.0f} s"))
            time.sleep(0.05)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the program to end by itself; its exit code."""
        return self._process.wait(timeout)

    def stop(self, patience: float = 10.0) -> None:
        """Ask the whole group to end, and make it after `patience` seconds."""
        if self.running:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._signal(signal.SIGKILL)  # whoever is left of the group
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _obituary(self, what: str) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n  ".join([f"{self.log.stem} {what}; {self.log} ends with:", *(tail or ["(nothing)"])])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
