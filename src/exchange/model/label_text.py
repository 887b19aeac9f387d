"""A label as one short line, for the store: `tlp|reach|` and JSON of whatever else there is."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.model.lights import Pap, Pfc, Reach, Tlp

if TYPE_CHECKING:
    from exchange.model.marking import Label

_TIGHT = (",", ":")
_UUID_SIZE = 16
_SETS = ("unknown", "texts", "iep", "servers", "kinds")
_FLAGS = ("vert", "draft", "unnamed", "encrypted", "limited")
_TIMES = ("since", "until")


def write(label: Label) -> str:
    """The line; the JSON is a list when only unknown markings are there, else an object."""
    level = "" if label.tlp is None else str(int(label.tlp))
    more: Any = sorted(label.unknown)
    if (rest := _rest(label)) is not None:
        more = {"unknown": more, **rest} if more else rest
    return f"{level}|{int(label.reach)}|{json.dumps(more, separators=_TIGHT) if more else ''}"


def _rest(label: Label) -> dict[str, Any] | None:
    """The axes that most labels say nothing on."""
    rest: dict[str, Any] = {}
    for name in ("pfc", "pap"):
        if (level := getattr(label, name)) is not None:
            rest[name] = int(level)
    if label.texts:
        rest["texts"] = sorted(label.texts)
    if label.iep:
        rest["iep"] = sorted(label.iep)
    if label.orgs is not None:
        # A group of a hundred is in the row of each of its attributes: 22 characters for each organisation, not 39.
        rest["orgs"] = b64encode(b"".join(sorted(bytes.fromhex(org.replace("-", "")) for org in label.orgs))).decode()
    if label.servers is not None:
        rest["servers"] = sorted(label.servers)
    rest |= {name: True for name in _FLAGS if getattr(label, name)}
    rest |= {name: at.isoformat() for name in _TIMES if (at := getattr(label, name)) is not None}
    if label.confidence is not None:
        rest["confidence"] = label.confidence
    if label.kinds:
        rest["kinds"] = sorted(label.kinds)
    return rest or None


def read(text: str) -> Mapping[str, Any]:
    """The axes of the label that `write` wrote, by name; the default of each is absent."""
    level, reach, written = text.split("|", 2)
    more = json.loads(written) if written else {}
    if isinstance(more, list):
        more = {"unknown": more}
    axes: dict[str, Any] = {name: frozenset(more[name]) for name in _SETS if name in more}
    axes |= {name: True for name in _FLAGS if name in more}
    axes |= {name: datetime.fromisoformat(more[name]) for name in _TIMES if name in more}
    if "orgs" in more:
        axes["orgs"] = _orgs(more["orgs"])
    if "confidence" in more:
        axes["confidence"] = more["confidence"]
    return {
        "tlp": Tlp(int(level)) if level else None,
        "reach": Reach(int(reach)),
        "pfc": Pfc(more["pfc"]) if "pfc" in more else None,
        "pap": Pap(more["pap"]) if "pap" in more else None,
        **axes,
    }


def _orgs(text: str) -> frozenset[str]:
    raw = b64decode(text)
    return frozenset(str(UUID(bytes=raw[at : at + _UUID_SIZE])) for at in range(0, len(raw), _UUID_SIZE))
