"""`python -m tests.mutants [MODULE …]`: is each mistake in `exchange.policy` found by a test? Tells those that are not.

Each mistake runs in a process of its own, forked from one that has everything in memory but the policy, and meets the
tests in the order of NEAR, and if none of them fails those of FAR. What stands in `equivalent.txt` decides nothing
otherwise than the source does, and says why.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from tests.mutants.mutation import Mutant, mutants

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "src" / "exchange" / "policy"
MODULES = ("decide", "closure", "audience", "gate", "expiry", "ending", "clauses", "alteration", "lifting")
NEAR = {
    "decide": ("test_decide.py", "test_audience.py"),
    "closure": ("test_closure.py",),
    "audience": ("test_audience.py", "test_decide.py"),
    "gate": ("test_gate.py", "test_decide.py"),
    "expiry": ("test_expiry.py", "test_decide.py"),
    "ending": ("test_ending.py",),
    "clauses": ("test_decide.py",),
    "alteration": ("test_transform.py", "test_decide.py"),
    "lifting": ("test_lifting.py", "test_decide.py"),
}
"""Tests of the room itself, the quickest first."""
FAR = ("tests/config/test_warnings.py", "tests/sync/test_terms.py", "tests/sync/test_expiry.py")
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
SECONDS = 120
"""After which a mistake that makes a test run for ever counts as found."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Gives out one module with the mistake in it."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> object:
        """The spec of the one module."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def get_filename(self, fullname: str) -> str:
        """Where the true one stands."""
        return str(POLICY / (self.name.rpartition(".")[2] + ".py"))

    def get_data(self, path: str) -> bytes:
        """The text with the mistake."""
        return self.source.encode()

    def path_stats(self, path: str) -> dict[str, float]:
        """No compiled file stands for it."""
        raise OSError(path)


def _tried(module: str, source: str, tests: Sequence[str]) -> bool:
    """Whether a test fails with this text in the module's place."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        import pytest

        sys.meta_path.insert(0, _Finder(f"exchange.policy.{module}", source))
        code = pytest.main(
            [
                "-x",
                "-q",
                "--no-header",
                "-p",
                "no:cacheprovider",
                "--assert=plain",
                "--tb=no",
                "-k",
                "not postgresql",
                *tests,
            ]
        )
        os._exit(0 if code == pytest.ExitCode.OK else 1)
    _, status = os.waitpid(child, 0)
    return status != 0


def found(module: str, source: str, *, near_only: bool = False) -> bool:
    """Whether any test fails with this text in the module's place; the nearest are asked first."""
    near = [f"tests/policy/{name}" for name in NEAR[module]]
    others = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "policy").glob("test_*.py"))
    far = [name for name in others if name not in near]
    return _tried(module, source, near) or (not near_only and _tried(module, source, [*far, *FAR]))


def equivalent() -> set[tuple[str, str]]:
    """(module, mistake) of those that change no decision; the file says why."""
    rows = (line.split("|") for line in EQUIVALENT.read_text("utf-8").splitlines() if line and line[0] != "#")
    return {(row[0].strip(), row[1].strip()) for row in rows}


def _warm() -> None:
    """Load what every test loads, except the policy and whatever reads it."""
    import hypothesis  # noqa: F401
    import msgspec  # noqa: F401
    import orjson  # noqa: F401
    import pytest  # noqa: F401
    import sqlalchemy  # noqa: F401

    import exchange.model.party  # noqa: F401

    with contextlib.suppress(ImportError):
        import stix2  # noqa: F401
    assert not [name for name in sys.modules if name.startswith("exchange.policy")]


def _run(module: str, known: set[tuple[str, str]], *, near_only: bool) -> Iterator[tuple[str, Mutant]]:
    source = (POLICY / f"{module}.py").read_text("utf-8")
    for mutant in mutants(source):
        if (module, mutant.said) in known:
            yield "equivalent", mutant
        else:
            yield "found" if found(module, mutant.source, near_only=near_only) else "survived", mutant


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Try every mistake; 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", default=MODULES)
    parser.add_argument("--near", action="store_true", help="ask only the tests of NEAR: quicker, but less sure")
    chosen, near_only = parser.parse_args().module, parser.parse_args().near
    os.environ["EXCHANGE_HYPOTHESIS"] = "mutants"
    os.chdir(ROOT)
    _warm()
    known, total, begun = equivalent(), Counter[str](), time.monotonic()
    for module in chosen:
        if found(module, (POLICY / f"{module}.py").read_text("utf-8"), near_only=near_only):
            _tell(f"{module}: the tests fail without any mistake")
            return 2
        counted = Counter[str]()
        for verdict, mutant in _run(module, known, near_only=near_only):
            counted[verdict] += 1
            if verdict == "survived":
                _tell(f"survived  {module}.py:{mutant.line}  {mutant.said}")
        _tell(f"{module}: {dict(counted)}")
        total += counted
    _tell(f"in all: {dict(total)}, {time.monotonic() - begun:.0f} s")
    return 1 if total["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
