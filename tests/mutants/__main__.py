"""`python -m tests.mutants [MODULE …]`: is each mistake in `exchange.policy` found by a test? Tells those that are not.

The tests are collected once. Each mistake is put into the loaded module in a process forked after that, and meets the
tests that run its lines: those of `tests/policy`, and if none of them fails those of FAR. What cannot be put into a
loaded module is loaded afresh with everything that reads it. What stands in `equivalent.txt` decides nothing otherwise
than the source does, and says why. What was found is kept in `.mutants/`: a run that was stopped goes on there, and the
next one asks first the test that found a mistake the last time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from tests.mutants.mutation import Mutant, mutants

if TYPE_CHECKING:  # to load it is to load what must be loaded afresh
    import pytest

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "src" / "exchange" / "policy"
WORDS = frozenset({"__init__", "trace"})
"""Decides nothing: a trace is told of a decision, and its last line is that decision (tests/policy/test_trace.py)."""
NEAR = "tests/policy/"
FAR = ("tests/config/test_warnings.py", "tests/sync/test_terms.py", "tests/sync/test_expiry.py")
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
KEPT = ROOT / ".mutants"
SECONDS = 300
"""After which a mistake that makes a test run for ever counts as found, where everything is loaded afresh."""
OPTIONS = ("-q", "--no-header", "-p", "no:cacheprovider", "--assert=plain", "--tb=no", "-k", "not postgresql")
Key = tuple[str, str, str]
"""Module, place, mistake."""


@dataclass
class Results:
    """What is known of each mistake, kept in a file that only grows."""

    file: Path
    modules: dict[str, str]
    """The digest of each."""
    tests: dict[str, str]
    """Of each file of tests; under an empty name, of all of them."""
    known: dict[Key, dict[str, str]] = field(default_factory=dict)

    def load(self) -> None:
        """What earlier runs found."""
        if self.file.exists():
            for line in self.file.read_text("utf-8").splitlines():
                row = json.loads(line)
                self.known[row["module"], row["place"], row["said"]] = row

    def verdict(self, key: Key) -> str:
        """Of an earlier try of the same module: a mistake stays found while the file of the test that found it stands
        as it was, and has survived those tests only that were there; empty: it is to be tried.
        """
        row = self.known.get(key)
        return row["verdict"] if row and row["digest"] == self._digest(key, row["by"]) else ""

    def _digest(self, key: Key, by: str) -> str:
        return self.modules[key[0]] + self.tests.get(by.partition("::")[0], self.tests[""])

    def hint(self, key: Key) -> str:
        """The test that found it the last time."""
        return self.known.get(key, {}).get("by", "")

    def add(self, key: Key, mutant: Mutant, verdict: str, by: str) -> None:
        """Kept at once, so that it outlasts whatever comes."""
        row = dict(zip(("module", "place", "said"), key, strict=True))
        row |= {"line": str(mutant.line), "verdict": verdict, "by": by, "digest": self._digest(key, by)}
        self.known[key] = row
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives out one module with the mistake in it."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name, self.code = name, code

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> object:
        """The spec of the one module."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """The text with the mistake."""
        module.__file__ = self.code.co_filename
        exec(self.code, vars(module))  # noqa: S102 (our own source with a mistake in it)


class _First:
    """A plugin of pytest: the first that fails, a test or a file that cannot be collected, is told to `pipe`."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Laws are asked of few examples, and after all else."""
        from tests.mutants.campaign import fewer

        items.sort(key=fewer)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test."""
        self._tell(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file."""
        self._tell(report)

    def _tell(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            os.write(self.pipe, report.nodeid.encode() + b"\n")


def _afresh(module: str, code: CodeType, tests: Sequence[str]) -> str | None:
    """The test that fails with this text in the module's place, everything that reads it being loaded after it; empty:
    one that cannot be told; None: all pass.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        import pytest

        from tests.mutants.campaign import NO_JUDGES

        sys.meta_path.insert(0, _Finder(f"exchange.policy.{module}", code))
        judges = " and ".join(("not postgresql", *(f"not {name}" for name in NO_JUDGES)))
        code_ = pytest.main(["-x", *OPTIONS, "-k", judges, *tests], plugins=[_First(theirs)])
        os._exit(0 if code_ in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 1)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8") as pipe:
        first = pipe.readline().strip()
    _, status = os.waitpid(child, 0)
    return first if status != 0 else None


def _near(module: str) -> list[str]:
    """The files of tests of the policy, those of the room itself first."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / NEAR).glob("test_*.py"))
    return sorted(files, key=lambda name: (not name.endswith(f"test_{module}.py"), name))


def equivalent(chosen: Sequence[str]) -> dict[Key, str]:
    """Those that change no decision, and why."""
    named = {}
    for line in EQUIVALENT.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            module, place, *said, why = line.split(" | ")
            named[module, place, " | ".join(said)] = why
    return {key: why for key, why in named.items() if key[0] in chosen}


def _warm() -> None:
    """Load what every test loads, except the policy and whatever reads it."""
    import hypothesis  # noqa: F401
    import msgspec  # noqa: F401
    import orjson  # noqa: F401
    import pytest  # noqa: F401
    import sqlalchemy  # noqa: F401
    import stix2  # noqa: F401

    import exchange.model.party  # noqa: F401

    assert not [name for name in sys.modules if name.startswith("exchange.policy")]


def _each(chosen: Sequence[str]) -> Iterator[tuple[Key, Mutant]]:
    for module in chosen:
        file = POLICY / f"{module}.py"
        for mutant in mutants(file.read_text("utf-8"), str(file)):
            yield (module, mutant.place, mutant.said), mutant


def _loaded(chosen: Sequence[str], results: Results, same: dict[Key, str], *, near_only: bool, budget: float) -> None:
    """Try all that can be put into loaded modules, in a process that loads them."""
    child = os.fork()
    if child == 0:
        import pytest

        from tests.mutants.campaign import Campaign

        def work(campaign: Campaign) -> None:
            _look(campaign)
            for key, mutant in _each(chosen):
                if key in same or results.verdict(key) not in ("", "unsure"):
                    continue
                tried = campaign.tried(key[0], mutant, results.hint(key), lambda name: name.startswith(NEAR), budget)
                if tried.verdict == "survived" and not near_only:
                    tried = campaign.tried(key[0], mutant, "", lambda name: not name.startswith(NEAR))
                results.add(key, mutant, tried.verdict, results.hint(key) if tried.verdict == "stale" else tried.by)
                if tried.verdict in ("survived", "unsure"):
                    _tell(
                        f"{tried.verdict}  {key[0]}.py:{mutant.line}  {key[1]}  {mutant.said}  ({tried.seconds:.0f} s)"
                    )

        broken = 1
        try:
            code = pytest.main([*OPTIONS, "-s", NEAR, *(() if near_only else FAR)], plugins=[Campaign(work)])
            broken = 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 1
        finally:
            os._exit(broken)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("the tests fail without any mistake, or cannot be collected")


def _look(campaign: object) -> None:
    """Which lines each test runs: of a file that has not changed since, as it was found then."""
    from tests.mutants.campaign import Campaign

    assert isinstance(campaign, Campaign)
    file, shared = KEPT / "lines.json", _digest([*POLICY.glob("*.py"), *_shared_tests()])
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for name in sorted({item.nodeid.partition("::")[0] for item in campaign.items}):
        digest = shared + _digest([ROOT / name])
        mine = [item.nodeid for item in campaign.items if item.nodeid.startswith(f"{name}::")]
        if name in known and known[name]["digest"] == digest:
            campaign.seconds |= known[name]["seconds"]
            for test, lines in known[name]["lines"].items():
                campaign.lines[test] = {module: set(each) for module, each in lines.items()}
            continue
        campaign.look(mine)
        lines = {each: {module: sorted(of) for module, of in campaign.lines[each].items()} for each in mine}
        known[name] = {"digest": digest, "seconds": {each: campaign.seconds[each] for each in mine}, "lines": lines}
        file.write_text(json.dumps(known), "utf-8")


def _shared_tests() -> list[Path]:
    return [path for path in (ROOT / NEAR).iterdir() if path.is_file() and not path.name.startswith("test_")]


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _reloaded(chosen: Sequence[str], results: Results, same: dict[Key, str], *, near_only: bool) -> None:
    """Try what could not be put into loaded modules."""
    for key, mutant in _each(chosen):
        if key in same or results.verdict(key) != "stale":
            continue
        hint = results.hint(key)
        found = (_afresh(key[0], mutant.code, [hint]) or None) if hint else None  # it may be gone: then nothing is told
        near = _near(key[0])
        own = [name for name in near if f"/test_{key[0]}" in name]
        for tests in (own, near) if near_only else (own, near, FAR):
            found = _afresh(key[0], mutant.code, tests) if found is None and tests else found
        results.add(key, mutant, "survived" if found is None else "found", found or "")
        if found is None:
            _tell(f"survived  {key[0]}.py:{mutant.line}  {key[1]}  {mutant.said}")


def main() -> int:
    """Try every mistake; 1 when one survives, or when one that is called equivalent is no longer there."""
    every = sorted(path.stem for path in POLICY.glob("*.py") if path.stem not in WORDS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", default=every)
    parser.add_argument("--near", action="store_true", help="ask only the tests of the policy: quicker, but less sure")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds of the processor spent on one at most")
    options = parser.parse_args()
    chosen, near_only = options.module, options.near
    os.environ["EXCHANGE_HYPOTHESIS"] = "mutants"
    os.chdir(ROOT)
    _warm()
    KEPT.mkdir(exist_ok=True)
    files = [*sorted((ROOT / NEAR).glob("test_*.py")), *(ROOT / name for name in FAR)]
    shared = _digest(_shared_tests())
    tests = {str(path.relative_to(ROOT)): shared + _digest([path]) for path in files}
    tests[""] = _digest([*files, *_shared_tests()])
    results = Results(KEPT / "results.jsonl", {each: _digest([POLICY / f"{each}.py"]) for each in chosen}, tests)
    results.load()
    same, begun = equivalent(chosen), time.monotonic()
    _loaded(chosen, results, same, near_only=near_only, budget=options.budget)
    results.load()
    _reloaded(chosen, results, same, near_only=near_only)
    return _told(chosen, results, same, time.monotonic() - begun)


def _told(chosen: Sequence[str], results: Results, same: dict[Key, str], seconds: float) -> int:
    counted: dict[str, Counter[str]] = {module: Counter() for module in chosen}
    gone = set(same)
    for key, mutant in _each(chosen):
        gone.discard(key)
        verdict = "equivalent" if key in same else results.verdict(key)
        counted[key[0]][verdict] += 1
        if verdict in ("survived", "unsure"):
            _tell(f"{verdict}  {key[0]}.py:{mutant.line}  {key[1]}  {mutant.said}")
    for module, found in counted.items():
        _tell(f"{module}: {found.total()} mistakes, {dict(found)}")
    total = sum(counted.values(), Counter[str]())
    _tell(f"in all: {total.total()} mistakes, {dict(total)}, {seconds:.0f} s")
    for key in sorted(gone):
        _tell(f"not there: {' | '.join(key)}")
    return 1 if total["survived"] or total["unsure"] or gone else 0


if __name__ == "__main__":
    sys.exit(main())
