"""Putting a mistake into modules that are loaded already, so that everybody who has imported a function runs it.

A function keeps its identity and gets another body, so it does not matter by which name, bound method or strategy it is
called. A private value of the module is given anew. Anything else (a class, a public constant, what is computed from
one) is not put here: others hold copies, so the module has to be loaded afresh (`Stale`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.mutants.mutation import Mutant


class Stale(Exception):
    """The mistake would reach only some of those who use the module."""


class Unloadable(Exception):
    """With this mistake in it the module cannot even be loaded."""


def put(mutant: Mutant, name: str) -> None:
    """The mistake is in the loaded module `name` from now on; `Stale`: it cannot be put there."""
    module = sys.modules[name]
    if not mutant.lines and not _private(mutant.place, module):
        raise Stale
    fresh = _fresh(module, mutant.code)
    if mutant.lines:
        top = mutant.place.split(".")
        _body(module, fresh, top[:2] if isinstance(vars(module)[top[0]], type) else top[:1])
    else:
        _values(module, fresh)


def watch(name: str, seen: set[int]) -> None:
    """From now on every statement in a function of the loaded module `name` tells `seen` its line before it runs."""
    module = sys.modules[name]
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            steps = getattr(node, field, None)
            if isinstance(steps, list) and not isinstance(node, ast.Module | ast.ClassDef):
                setattr(node, field, [each for step in steps for each in (_note(step), step)])
    fresh = _fresh(module, compile(ast.fix_missing_locations(tree), str(module.__file__), "exec", dont_inherit=True))
    vars(module)["_seen"] = seen.add
    for top in tree.body:
        if isinstance(top, ast.FunctionDef):
            _body(module, fresh, [top.name])
        elif isinstance(top, ast.ClassDef):
            for inner in top.body:
                if isinstance(inner, ast.FunctionDef):
                    _body(module, fresh, [top.name, inner.name])


def _note(step: ast.stmt) -> ast.stmt:
    return ast.copy_location(ast.parse(f"_seen({step.lineno})").body[0], step)


def _fresh(module: ModuleType, code: CodeType) -> dict[str, Any]:
    """What the module would hold, loaded from this text."""
    fresh: dict[str, Any] = {
        "__name__": module.__name__, "__file__": module.__file__, "__package__": module.__package__,
    }  # fmt: skip
    try:
        exec(code, fresh)  # noqa: S102 (our own source with a mistake in it)
    except Exception as error:
        raise Unloadable from error
    return fresh


def _body(module: ModuleType, fresh: dict[str, Any], steps: list[str]) -> None:
    old, new = (_function(space, steps) for space in (vars(module), fresh))
    try:
        old.__code__ = new.__code__
    except ValueError as error:
        raise Stale from error


def _values(module: ModuleType, fresh: dict[str, Any]) -> None:
    for key, value in fresh.items():
        if key.startswith("__") or isinstance(value, type | FunctionType | ModuleType):
            continue
        if not key.startswith("_"):
            if value != vars(module).get(key) and repr(value) != repr(vars(module).get(key)):
                raise Stale
        elif not callable(value):
            vars(module)[key] = value
    forget(module)


def forget(module: ModuleType) -> None:
    """What it has had computed, it computes again."""
    for held in list(vars(module).values()):
        if hasattr(held, "cache_clear"):
            held.cache_clear()


def _private(place: str, module: ModuleType) -> bool:
    """Whether it is a value of the module that nobody else has by a name of its own."""
    value = vars(module).get(place)
    if not place.startswith("_") or value is None or isinstance(value, type | FunctionType):
        return False
    return not any(vars(other).get(place) is value for other in _others(module))


def _others(module: ModuleType) -> Iterator[ModuleType]:
    return (each for name, each in list(sys.modules.items()) if each is not module and name.startswith("exchange."))


def _function(space: dict[str, Any], steps: list[str]) -> FunctionType:
    found = space[steps[0]]
    if len(steps) > 1:
        found = vars(found)[steps[1]]
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, cached_property):
        found = found.func
    elif isinstance(found, classmethod | staticmethod):
        found = found.__func__
    found = getattr(found, "__wrapped__", found)
    assert isinstance(found, FunctionType)
    return found
