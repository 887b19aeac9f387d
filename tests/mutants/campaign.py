"""Trying mistakes against tests that are collected once: each in a process forked after that, tests that run its lines
first, the quickest and those that found the last mistakes before all others.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import settings

from tests.mutants.mutation import Mutant
from tests.mutants.swap import Stale, Unloadable, forget, put, watch

SECONDS = 20
"""Of the processor, more than a test takes by itself, after which a mistake that makes it run for ever is found."""
QUICK = 0.3
"""Seconds: tests that take no longer are asked first."""
EXAMPLES = 60
_PASSED, _FAILED, _STALE, _BROKEN = 0, 1, 3, 4
NO_JUDGES = ("test_epoch_and_keys_are_the_same_in_every_process", "test_policy_knows_no_switch")
"""They compare what is loaded with what stands on the disk, where there is no mistake."""


class Try(NamedTuple):
    """What came of one mistake."""

    verdict: str
    """`found`, `survived`, `unsure`: not all were asked, or `stale`: it cannot be put into what is loaded."""
    by: str
    """The test that found it."""
    seconds: float


class Campaign:
    """A plugin of pytest: in place of running the tests it hands them to `work`."""

    def __init__(self, work: Callable[[Campaign], None]) -> None:
        self.work = work
        self.items: list[pytest.Item] = []
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[str, set[int]]] = {}
        """Test → module → lines that it runs."""
        self.last: dict[str, list[str]] = defaultdict(list)
        """Module → the tests that found its last mistakes, the latest first."""
        self.failed = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """All are collected."""
        warnings.filterwarnings("ignore", "This process .* is multi-threaded")
        self.items = [item for item in session.items if item.name not in NO_JUDGES]
        for item in self.items:
            fewer(item)
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test fails wherever it does: before it, in it, after it."""
        self.failed = self.failed or report.failed

    def look(self, wanted: Iterable[str]) -> None:
        """Learn which lines these tests run, and how long they take; they pass, or nothing can be learned from them."""
        wanted = set(wanted)
        told = _forked(lambda write: self._looked(write, [item for item in self.items if item.nodeid in wanted]))
        for line in told:
            name, seconds, lines = json.loads(line)
            if lines is None:
                raise AssertionError(f"fails without any mistake: {name}")
            self.seconds[name], self.lines[name] = seconds, {module: set(each) for module, each in lines.items()}

    def _looked(self, write: Callable[[str], None], items: Sequence[pytest.Item]) -> int:
        for item, following in _pairs(items):
            begun = time.process_time()
            _run(item, following)
            self.seconds[item.nodeid] = time.process_time() - begun
            if self.failed:
                write(json.dumps([item.nodeid, 0.0, None]))
                return _FAILED
        loaded = {name: module for name, module in sys.modules.items() if name.startswith("exchange.policy.")}
        seen: dict[str, set[int]] = {name: set() for name in loaded}
        for name, lines in seen.items():
            watch(name, lines)
        for item, following in _pairs(items):
            for name, module in loaded.items():
                seen[name].clear()
                forget(module)
            _run(item, following)
            found = {name.rpartition(".")[2]: sorted(lines) for name, lines in seen.items() if lines}
            write(json.dumps([item.nodeid, self.seconds[item.nodeid], found]))
        return _PASSED

    def tried(
        self, module: str, mutant: Mutant, hint: str = "", tests: Callable[[str], bool] = bool, budget: float = 1e9
    ) -> Try:
        """Whether one of the `tests` that run the mistake fails; `hint`: the one that found it the last time.

        `budget`: seconds of the processor after which no other test is asked.
        """
        begun = time.monotonic()
        last = self.last[module]
        asked = [item for item in self.items if tests(item.nodeid) and self._runs(item.nodeid, module, mutant)]

        def order(item: pytest.Item) -> tuple[bool, int, bool, float]:
            name = item.nodeid
            recent = last.index(name) if name in last and self.seconds[name] < QUICK else len(last)
            return name != hint, recent, f"test_{module}" not in name, self.seconds[name]

        asked.sort(key=order)
        told = _forked(lambda write: self._asked(write, module, mutant, asked, budget))
        verdict, _, by = told[-1].partition(" ")
        if verdict == "found":
            if by in last:
                last.remove(by)
            last.insert(0, by)
            del last[12:]
        return Try(verdict, by, time.monotonic() - begun)

    def _runs(self, name: str, module: str, mutant: Mutant) -> bool:
        lines = self.lines[name].get(module, set())
        return bool(lines) and (mutant.kept or not mutant.lines or not lines.isdisjoint(mutant.lines))

    def _asked(
        self, write: Callable[[str], None], module: str, mutant: Mutant, items: Sequence[pytest.Item], budget: float
    ) -> int:
        try:
            put(mutant, f"exchange.policy.{module}")
        except Stale:
            write("stale")
            return _STALE
        except Unloadable:
            write("found loading")
            return _FAILED
        begun = time.process_time()
        for item, following in _pairs(items):
            if time.process_time() - begun > budget:
                write("unsure")
                return _PASSED
            write(f"asking {item.nodeid}")
            spent = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(spent.ru_utime + spent.ru_stime + SECONDS + 5 * self.seconds[item.nodeid])
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            _run(item, following)
            if self.failed:
                write(f"found {item.nodeid}")
                return _FAILED
        write("survived")
        return _PASSED


def fewer(item: pytest.Item) -> bool:
    """A law is asked of few examples: what is found by luck alone wants a test of its own. Whether it is a law."""
    test = getattr(item, "obj", None)
    stated = getattr(test, "_hypothesis_internal_use_settings", None)
    if stated is not None and stated.max_examples > EXAMPLES:
        test = getattr(test, "__func__", test)
        test._hypothesis_internal_use_settings = settings(stated, max_examples=EXAMPLES)
    return stated is not None or hasattr(test, "hypothesis")


def _pairs(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items, None][1:], strict=True)


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _forked(work: Callable[[Callable[[str], None]], int]) -> list[str]:
    """The lines that `work` writes in a process of its own, which is quiet otherwise; the last one says what ended it,
    if that was not itself.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = _BROKEN
        try:
            code = work(lambda line: _write(theirs, line))
        except BaseException as error:
            _write(theirs, repr(error))
            raise
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "r", encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
        raise AssertionError(f"the campaign itself failed: {lines[-2:]}")
    if os.WIFSIGNALED(status):
        lines.append(f"found by signal {os.WTERMSIG(status)}, {lines[-1] if lines else ''}")
    return lines


def _write(pipe: int, line: str) -> None:
    os.write(pipe, (line + "\n").encode())
