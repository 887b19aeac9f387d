"""The tool that tries mistakes is honest: it makes each once, and whoever has imported a function runs the mistake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from exchange import policy
from exchange.policy import lifting
from exchange.policy.decide import lifted
from tests.mutants.campaign import _forked
from tests.mutants.mutation import Mutant, mutants
from tests.mutants.swap import Stale, put, watch

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it forks
TEXT = '''
"""Words."""
LIMIT: int = 3

def small(value: int, most: int = 9) -> bool:
    """Words."""
    if value < LIMIT and not value == most:
        return True
    return any(value > each for each in (1, 1) if each)
'''


def _said(text: str) -> dict[str, Mutant]:
    return {f"{each.place}: {each.said}": each for each in mutants(text, "text.py")}


def test_each_mistake_is_made_once_and_leaves_words_alone() -> None:
    found = _said(TEXT)
    assert len(found) == len(list(mutants(TEXT, "text.py")))
    assert {name for name in found if name.startswith("LIMIT")} == {"LIMIT: 3  ->  4"}
    assert "small: value < LIMIT  ->  value <= LIMIT" in found
    assert "small: value < LIMIT and (not value == most)  ->  value < LIMIT" in found
    assert "small: any  ->  all" in found
    assert "small: 1  ->  2" in found
    assert "small: 1  ->  2  #2" in found
    assert not any("Words" in name or "int" in name.split("->")[0] for name in found)


@pytest.mark.parametrize(
    ("said", "value", "answer"),
    [
        ("small: True  ->  False", 1, False), ("LIMIT: 3  ->  4", 3, True), ("small: any  ->  all", 3, True),
        ("small: value < LIMIT  ->  value >= LIMIT", 1, False), ("small: 9  ->  10", 9, True),
    ],
)  # fmt: skip
def test_a_mistake_does_what_it_says(said: str, value: int, answer: bool) -> None:
    space: dict[str, object] = {}
    exec(_said(TEXT)[said].code, space)  # noqa: S102 (a text of this file)
    small = space["small"]
    assert callable(small)
    assert small(value) is answer


def test_a_test_that_runs_none_of_its_lines_is_not_asked_for_it() -> None:
    found = _said(TEXT)
    assert list(found["small: value < LIMIT  ->  value <= LIMIT"].lines) == [7]
    assert list(found["small: any  ->  all"].lines) == [9]
    assert not found["LIMIT: 3  ->  4"].lines
    assert not found["small: 9  ->  10"].lines


def _of(module: str, said: str) -> Mutant:
    file = Path(policy.__file__).parent / f"{module}.py"
    return next(each for each in mutants(file.read_text("utf-8"), str(file)) if f"{each.place}: {each.said}" == said)


def test_whoever_has_imported_it_runs_the_mistake() -> None:
    """In a process of its own: this one goes on with what is right."""

    def tried(write: object) -> int:
        assert callable(write)
        assert lifted is lifting.lifted
        put(_of("lifting", "lifted: code == CONFIRMED  ->  code != CONFIRMED"), "exchange.policy.lifting")
        write(str(lifted(frozenset(), "personal.review", policy.Audience.__new__(policy.Audience), 1)))
        put(_of("gate", "_MARKS: 0  ->  1"), "exchange.policy.gate")
        write(str(sorted(vars(sys.modules["exchange.policy.gate"])["_MARKS"].values())[0]))
        try:
            put(_of("gate", "PFC: 8  ->  9"), "exchange.policy.gate")
        except Stale:
            write("stale")
        return 0

    told = _forked(tried)
    assert told[0] == "False"
    assert told[-1] == "stale"
    assert not lifted(frozenset(), "doubt.refused", policy.Audience.__new__(policy.Audience), 1)


def test_what_runs_is_seen() -> None:
    """Every statement of every function, by its line."""

    def tried(write: object) -> int:
        assert callable(write)
        seen: set[int] = set()
        watch("exchange.policy.lifting", seen)
        lifted(frozenset(), "doubt.refused", policy.Audience.__new__(policy.Audience), 1)
        write(str(len(seen)))
        return 0

    assert _forked(tried) == ["3"]
