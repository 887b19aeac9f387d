"""`exchange policy prove` at the front door: what it prints, in which language, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.policy import Rules
from exchange.sync.proof import lattice

EXAMPLE = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few labels of the lattice; `tests/sync/test_proof.py` tries the laws themselves."""
    whole = lattice.labels
    monkeypatch.setattr(lattice, "labels", lambda orgs: whole(orgs)[::40])


def prove(*options: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["policy", "prove", "--config", str(EXAMPLE), "--cases", "3", *options])
    return answer.exit_code, answer.stdout


def test_the_example_configuration_leaks_nothing() -> None:
    """Exit code 0, a figure for each law, and the seed with which it can be done again."""
    code, told = prove("--json", "--seed", "4")
    found = json.loads(told)
    assert (code, found["holds"], found["leak"], found["seed"], found["cases"]) == (0, True, None, 4, 3)
    assert found["counts"]["ceiling"] > 100
    assert found["lattice"] > 50


def test_a_leak_is_shown_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1; who saw what, and against which law."""
    monkeypatch.setattr(Rules, "_returns", lambda *_: None)
    code, told = prove("--json")
    found = json.loads(told)
    assert (code, found["holds"]) == (1, False)
    assert found["leak"]["against"] == ["returns"]
    (move,) = found["leak"]["case"]
    assert found["leak"]["peer"] == move["giver"]
    assert len(move["things"]) == 1


def test_it_says_so_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case stands in a line for each thing that is said in it."""
    monkeypatch.setattr(Rules, "_returns", lambda *_: None)
    code, told = prove()
    assert code == 1
    assert "R3" in told
    assert "tlp:" in told
