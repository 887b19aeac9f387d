"""Cutting parts out of an object, and the selectors of granular markings with them (STIX 2.1 section 7.2.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from exchange.model import marking
from exchange.model.marking import Label

Path = tuple[str | int, ...]
_INDEX = re.compile(r"\[([0-9]{1,9})\]")
_MARKS = "granular_markings"


def without_parts(document: Mapping[str, Any], allows: Callable[[Label], bool]) -> dict[str, Any] | None:
    """`document` without the parts whose marks are not allowed; None: a selector names nothing that is there.

    A part marked twice goes when one of its marks is not allowed: the marks join (RULES R12).
    """
    gone: set[Path] = set()
    for mark in document.get(_MARKS) or ():
        reference = mark.get("marking_ref")
        if not reference or allows(marking.of_ids([reference])):
            continue
        for selector in mark["selectors"]:
            path = path_of(selector)
            if not _stands(document, path):
                return None
            gone.add(path)
    return _cut(document, gone)


def without(document: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """`document` without these properties of its own."""
    return _cut(document, {(name,) for name in names if name in document})


def pruned(before: Mapping[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`after`, made of `before`, without selectors of what is no longer there, or no longer what it was.

    A list from which something went has other numbers now, so what was said of its members is said of all of it: a
    mark may widen, and never goes while a part of what it marked stands.
    """
    marks = after.get(_MARKS)
    if not marks:
        return after
    kept = []
    for mark in marks:
        selectors = {_widened(before, after, path_of(each)) for each in mark["selectors"]}
        left = sorted(_selector(path) for path in selectors if path)
        if left:
            kept.append({**mark, "selectors": left})
    return _with_marks(after, kept)


def path_of(selector: str) -> Path:
    """`external_references.[0].url` as the names and numbers on the way."""
    return tuple(int(found[1]) if (found := _INDEX.fullmatch(part)) else part for part in selector.split("."))


def _selector(path: Path) -> str:
    return ".".join(f"[{step}]" if isinstance(step, int) else step for step in path)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, str):
            raise TypeError(step)  # a letter of a text is no part that could go
        value = value[step]
    return value


def _stands(document: Any, path: Path) -> bool:
    try:
        _at(document, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _widened(before: Any, after: Any, path: Path) -> Path:
    """The path as far as it leads to the same list; empty: nothing of it is left."""
    if not _stands(before, path):  # it marks nothing that is there: what is meant may be next to it
        return next((path[:n] for n in range(len(path) - 1, 0, -1) if _stands(after, path[:n])), ())
    for length, step in enumerate(path):
        here = path[:length]
        if isinstance(step, int) and _stands(before, here) and _stands(after, here):
            one, other = _at(before, here), _at(after, here)
            if isinstance(one, list) and isinstance(other, list) and len(one) != len(other):
                return here
    return path if _stands(after, path) else ()


def _cut(document: Mapping[str, Any], gone: Collection[Path]) -> dict[str, Any]:
    """Without what stands at these paths; the selectors of the rest follow where lists close up."""
    moved: dict[Path, Path] = {}
    if not gone:
        return dict(document)
    made = _copied(document, (), (), gone, moved) or {}
    kept = []
    for mark in made.get(_MARKS) or ():
        paths = [path_of(each) for each in mark["selectors"]]
        paths = [path if _stands(document, path) else _nearest(path, moved) for path in paths]
        left = list(dict.fromkeys(_selector(moved[path]) for path in paths if path in moved and path))
        if left:
            kept.append({**mark, "selectors": left})
    return _with_marks(made, kept)


def _nearest(path: Path, moved: Mapping[Path, Path]) -> Path:
    """What is left around a place at which nothing stood; empty: nothing."""
    return next((path[:n] for n in range(len(path) - 1, 0, -1) if path[:n] in moved), ())


def _with_marks(document: Mapping[str, Any], marks: list[Any]) -> dict[str, Any]:
    made = {name: value for name, value in document.items() if name != _MARKS}
    return {**made, _MARKS: marks} if marks else made


def _copied(value: Any, old: Path, new: Path, gone: Collection[Path], moved: dict[Path, Path]) -> Any:
    """A copy without what is gone; None: nothing of it is left, and STIX has no empty lists."""
    here: dict[Path, Path] = {old: new}
    made: Any = value
    if isinstance(value, dict):
        made = {}
        for name, inner in value.items():
            if (*old, name) not in gone:
                kept = _copied(inner, (*old, name), (*new, name), gone, here)
                if kept is not None or inner is None:
                    made[name] = kept
    elif isinstance(value, list):
        made = []
        for number, inner in enumerate(value):
            if (*old, number) not in gone:
                kept = _copied(inner, (*old, number), (*new, len(made)), gone, here)
                if kept is not None or inner is None:
                    made.append(kept)
    if isinstance(value, dict | list) and value and not made:
        return None
    moved |= here
    return made
