"""How MISP addresses what it asks for: `/controller/action/passed/name:value/list[]:value`, perhaps with `.json`.

CakePHP carries parameters in the path; `[]` stands there literally, and a name that comes again adds to its list
(reference misp.md section 1.1). Names of controllers are taken in both spellings, `shadow_attributes` and
`shadowAttributes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "/misp"
"""Under it stands one MISP instance for each collection; at the root one for an account's only collection."""
CONTROLLERS = (
    "servers",
    "users",
    "events",
    "attributes",
    "objects",
    "shadow_attributes",
    "shadowAttributes",
    "sightings",
    "eventReports",
    "event_reports",
    "galaxies",
    "galaxy_clusters",
    "analyst_data",
    "tags",
    "organisations",
)
"""The first segments that MISP's own addresses have at the root. Its `feeds` are not among them: ours stand there."""
_AT_ROOT = frozenset(f"/{name}" for name in CONTROLLERS)
_SUFFIX = ".json"
_MOST = 1_000
"""Pieces of a path: MISP asks for analyst data a hundred at a time."""
_DEFAULT = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a path asks for: `controller` and `action` folded to lower case without underscores."""

    controller: str
    action: str
    passed: tuple[str, ...] = ()
    """Values without a name, in order: ids, mostly."""
    named: Mapping[str, str] = field(default_factory=dict)
    """The last value of each name; `[]` is no part of a name."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All values of each name."""

    @property
    def first(self) -> str:
        """The first value without a name; empty: there is none."""
        return self.passed[0] if self.passed else ""


def addressed(path: str) -> bool:
    """Whether `path` is one of MISP's, so that its errors are MISP's too."""
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        return True
    controller = path[: path.find("/", 1)] if "/" in path[1:] else path
    return controller in _AT_ROOT


def parse(rest: str) -> Address:
    """The address in what follows an instance's base URL; `/events/UUID` is `view`, `/events` is `index`."""
    pieces = [piece for piece in rest.split("/", _MOST) if piece]
    if pieces and pieces[-1].endswith(_SUFFIX):
        pieces[-1] = pieces[-1].removesuffix(_SUFFIX)
    passed: list[str] = []
    lists: dict[str, list[str]] = {}
    for piece in pieces[1:]:
        name, colon, value = piece.partition(":")
        if colon:
            lists.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            passed.append(piece)
    action = _DEFAULT
    if passed and (passed[0].isdigit() or len(passed[0]) == 36):
        action = "view"
    elif passed:
        action = passed.pop(0)
    return Address(
        controller=folded(pieces[0]) if pieces else "",
        action=folded(action),
        passed=tuple(passed),
        named={name: values[-1] for name, values in lists.items()},
        lists={name: tuple(values) for name, values in lists.items()},
    )


def folded(name: str) -> str:
    """`shadow_attributes` and `shadowAttributes` are one controller."""
    return name.lower().replace("_", "")
