"""Comparing JSON place by place."""

from __future__ import annotations

from typing import Any


def unlike(place: str, ours: Any, theirs: Any) -> list[str]:
    """Where two values differ, types too; each line begins with the place, as `.Event.Tag[0].name`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{place}.{key}: {'missing' if key in theirs else 'too much'}" for key in ours.keys() ^ theirs.keys()]
        both = ours.keys() & theirs.keys()
        return found + [line for key in both for line in unlike(f"{place}.{key}", ours[key], theirs[key])]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for number, pair in pairs for line in unlike(f"{place}[{number}]", *pair)]
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{place}: {ours!r}, not {theirs!r}"]
