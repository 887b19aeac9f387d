"""`suspect`: whether an object can have anything personal in it at all, by a look at its bytes.

Each rule of `find` needs certain signs (`signs`), whatever is around them. So False means that `find` would find
nothing, and True nothing at all.
"""

from __future__ import annotations

from typing import Any

import orjson

from exchange.model.personal import sides
from exchange.model.personal.choice import USUAL, Choice
from exchange.model.personal.signs import signs


def suspect(body: bytes, choice: Choice = USUAL) -> bool:
    """Whether `find` may find something in the object that `body` is the JSON of (UTF-8); False: it finds nothing."""
    if signs(choice).body(body.decode("utf-8", "replace")):
        return True
    return b"@" in body and _of_somebody(body)


def _of_somebody(body: bytes) -> bool:
    """Whether an `@` stands elsewhere than where a mailbox is the attacker's; under an internal suffix it was seen."""
    try:
        stix: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return True
    kind = stix.get("type")
    theirs = [
        name for name, value in stix.items() if isinstance(value, str) and "@" in value and _theirs(kind, name, stix)
    ]
    for name in theirs:
        del stix[name]
    return b"@" in orjson.dumps(stix) or any("@" in name for name in theirs)


def _theirs(kind: Any, name: str, stix: dict[str, Any]) -> bool:
    if kind == "indicator" and name == "pattern":
        return not sides.worded(stix[name])
    side = sides.of(kind, "", name, stix) if isinstance(kind, str) else sides.FREE
    return side is sides.THEIRS or side is sides.UNREAD or (side is sides.VALUE and kind in sides.OBSERVABLES)
