"""What speaks with partners begins without the grammars that a library of a library would compile."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from exchange.imports import without_grammars

GRAMMARS = "rfc3987_syntax"


def test_pymisp_is_there_and_the_grammars_are_not() -> None:
    seen = "import sys, exchange.peers; print('pymisp' in sys.modules, 'lark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_they_are_out_of_sight_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, GRAMMARS, raising=False)
    with without_grammars(), pytest.raises(ImportError):
        importlib.import_module(GRAMMARS)
    assert GRAMMARS not in sys.modules


def test_who_has_them_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, GRAMMARS, sys)
    with without_grammars():
        assert importlib.import_module(GRAMMARS) is sys
    assert sys.modules[GRAMMARS] is sys
