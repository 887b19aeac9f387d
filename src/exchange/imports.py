"""Libraries without what they bring along and nobody here needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_GRAMMARS = "rfc3987_syntax"


@contextmanager
def without_grammars() -> Iterator[None]:
    """For the import of PyMISP and misp-stix: jsonschema, which they bring along, does not find the grammars of IRIs.

    It would compile all 38 of them at once, over a second of every process that speaks with partners, to check a
    format that no schema of MISP names. It does without them where they are not installed.
    """
    modules: dict[str, Any] = sys.modules
    hidden = _GRAMMARS not in modules
    if hidden:
        modules[_GRAMMARS] = None  # to Python: there is no such module
    try:
        yield
    finally:
        if hidden:
            del modules[_GRAMMARS]
