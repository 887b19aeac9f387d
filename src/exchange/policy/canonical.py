"""Values in one order: what is equal is written equally, in every process."""

from __future__ import annotations

from collections.abc import Mapping


def canonical(value: object) -> object:
    """`value` with its sets in order, so that what is made of it is the same in every process."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), canonical(inner)) for name, inner in value.items()))
    if isinstance(value, frozenset):
        return tuple(sorted(map(str, value)))
    if isinstance(value, tuple | list):
        return tuple(canonical(inner) for inner in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple((name, canonical(getattr(value, name))) for name in value.__dataclass_fields__)
    return str(value)
