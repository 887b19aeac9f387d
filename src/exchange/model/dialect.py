"""The marks of TLP as a reader writes them (RULES R1, R6): equivalent ids, put in by whole pages and not by objects.

An id keeps its length, and nothing else of the bytes changes, so objects keep their id, version and meaning. What is
written with escapes stays in the dialect in which it came, which means the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from exchange.model.marking import OPENCTI_STRICT, TLP2_ID, TLP_IDS, Tlp

Dialect = Literal["", "tlp1", "tlp2", "opencti"]
"""Empty: as it came."""
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_TLP1_ID: Mapping[Tlp, str] = {
    level: identifier
    for identifier, level in TLP_IDS.items()
    if identifier != TLP2_ID[level] and identifier != OPENCTI_STRICT
}
_WRITTEN: Mapping[str, Mapping[Tlp, str]] = {
    "tlp1": _TLP1_ID,
    "tlp2": TLP2_ID,
    "opencti": {**_TLP1_ID, Tlp.AMBER_STRICT: OPENCTI_STRICT},
}
_MARK = b'"marking-definition--'
_HIDDEN = b'"\0marking-definition--'  # no JSON has this sign in it
_DEFINED = re.compile(rb'("id"\s*:\s*)' + _MARK)


def _quoted(identifier: str) -> bytes:
    return f'"{identifier}"'.encode()


_SWAPS: Mapping[str, tuple[tuple[bytes, bytes], ...]] = {
    dialect: tuple(
        (_quoted(identifier), _quoted(written[level]))
        for identifier, level in TLP_IDS.items()
        if level in written and written[level] != identifier
    )
    for dialect, written in _WRITTEN.items()
}
_TWICE: Mapping[str, tuple[tuple[bytes, bytes], ...]] = {
    dialect: tuple((_quoted(each) + b"," + _quoted(each), _quoted(each)) for each in written.values())
    for dialect, written in _WRITTEN.items()
}


def says(dialect: Dialect, level: Tlp | None) -> bool:
    """Whether the dialect has a word for this level: TLP 1 has none for TLP:AMBER+STRICT."""
    return not dialect or level is None or level in _WRITTEN[dialect]


def render(body: bytes, dialect: Dialect) -> bytes:
    """`body`, any number of STIX objects as JSON, with the marks of TLP as this dialect writes them.

    A definition is not rewritten, for its id says what is in it; only what refers to it.
    """
    if not dialect or _MARK not in body:
        return body
    defines = _DEFINED.search(body) is not None
    if defines:
        body = _DEFINED.sub(rb"\1" + _HIDDEN, body)
    for one, other in _SWAPS[dialect]:
        body = body.replace(one, other)
    for twice, once in _TWICE[dialect]:  # who wrote it in both dialects
        body = body.replace(twice, once)
    return body.replace(_HIDDEN, _MARK) if defines else body
