"""`strip`: a document without what was found in it, or the reason why nothing would be left of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from exchange.model import misp, schema
from exchange.model.personal.finding import Finding, Step, listed, where
from exchange.model.personal.sides import OBSERVABLES
from exchange.model.personal.text import MARK, replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nothing fit to be handed on would be left: what is personal stands where the object must have something."""

    code: str
    """`personal.required`, a message id."""
    path: str
    """Of what must be there, as `finding.where` spells it; empty: the object as a whole."""


def strip(document: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, Any] | Refusal:
    """A copy of `document` without the findings, which are those of `find(document)`, all or some of them.

    In a text, MARK stands where something was. A property that has nothing else goes, and the element of a list; with
    it go the selectors of granular markings that named it. What remains of a valid STIX object is valid: else it is
    refused. `find` finds nothing more in what it made without all of its findings; `document` is never changed.
    """
    left: dict[str, Any] = deepcopy(dict(document))
    gone: list[tuple[Step, ...]] = []
    for path, parts in _by_path(findings).items():
        if not path:
            return Refusal(code="personal.required", path="")
        spans = [(each.start, each.stop) for each in parts if each.start is not None and each.stop is not None]
        if len(spans) < len(parts) or not _cut(left, path, spans):
            gone.append(_entity(path))
    for path in sorted(set(gone), key=_last_first, reverse=True):
        _drop(left, path)
    _unselect(left, gone)
    missing = _missing(document, left, gone)
    return left if missing is None else Refusal(code="personal.required", path=missing)


def _by_path(findings: Sequence[Finding]) -> dict[tuple[Step, ...], list[Finding]]:
    made: dict[tuple[Step, ...], list[Finding]] = {}
    for finding in findings:
        made.setdefault(finding.path, []).append(finding)
    return made


def _cut(document: dict[str, Any], path: tuple[Step, ...], spans: list[tuple[int, int]]) -> bool:
    """Puts MARK in the places of `spans`; False: nothing but marks would be there."""
    holder = _at(document, path[:-1])
    text = replaced(holder[path[-1]], spans)
    if not any(sign.isalnum() for sign in text.replace(MARK, "")):
        return False
    holder[path[-1]] = text
    return True


def _entity(path: tuple[Step, ...]) -> tuple[Step, ...]:
    """What goes with the value at `path`: the attribute of a MISP object whose value it is."""
    if len(path) > 2 and path[-1] == "value" and isinstance(path[-2], int) and path[-3] in _LISTS:
        return path[:-1]
    if len(path) > 1 and path[-2] == "values" and path[-1] == "data":
        return path[:-1]
    return path


_LISTS = ("Attribute", "x_misp_attributes")


def _last_first(path: tuple[Step, ...]) -> tuple[tuple[int, str], ...]:
    """An order in which, reversed, the later elements of a list stand before the earlier."""
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)


def _drop(document: dict[str, Any], path: tuple[Step, ...]) -> None:
    """Takes out what stands at `path`, and what is empty without it; an entry that has gone before is no matter."""
    try:
        holder = _at(document, path[:-1])
        del holder[path[-1]]
    except (KeyError, IndexError):
        return
    if not holder and len(path) > 1:
        _drop(document, path[:-1])


def _at(document: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def _unselect(document: dict[str, Any], gone: list[tuple[Step, ...]]) -> None:
    """Granular markings select what is there: a list that lost an element is selected whole, which marks more."""
    marks = document.get("granular_markings")
    if not gone or not isinstance(marks, list):
        return
    shifted = {where(path[:place]) for path in gone for place, step in enumerate(path) if isinstance(step, int)}
    for mark in marks:
        if isinstance(mark, dict) and isinstance(mark.get("selectors"), list):
            selectors = dict.fromkeys(_widened(str(each), shifted) for each in mark["selectors"])
            mark["selectors"] = [each for each in selectors if _exists(document, each)]
    document["granular_markings"] = [
        mark for mark in marks if not isinstance(mark, dict) or mark.get("selectors") != []
    ]
    if not document["granular_markings"]:
        del document["granular_markings"]


def _widened(selector: str, shifted: set[str]) -> str:
    """The selector, or that of the outermost list on its way that lost an element."""
    place = selector.find(".[")
    while place >= 0:
        if selector[:place] in shifted:
            return selector[:place]
        place = selector.find(".[", place + 1)
    return selector


def _exists(document: Any, selector: str) -> bool:
    for step in selector.split("."):
        if step[:1] == "[" and isinstance(document, list):
            if int(step[1:-1]) >= len(document):
                return False
            document = document[int(step[1:-1])]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return False
    return True


_SAYS_NOTHING = listed(
    "type id spec_version created modified created_by_ref object_marking_refs granular_markings defanged extensions "
    "account_type lang is_service_account is_privileged is_disabled can_escalate_privs"
)
_MUST = frozenset({"name", "pattern", "value", "path", "content", "x_misp_value", "x_misp_attributes", "objects"})
"""What an object must keep if it had it, whether or not the standard's schema knows its type."""
_OF_ENTITY = frozenset({"value", "info", "name", "content"})
_DEPTH_OF_ENTITY = 4
"""`extensions`, our extension, what it carries, and the property."""


def _missing(whole: Mapping[str, Any], left: Mapping[str, Any], gone: list[tuple[Step, ...]]) -> str | None:
    """What an object must have and `left` has no more; None: it is fit."""
    if not gone:
        return None
    for path in gone:
        if path[1:2] == (misp.EXTENSION,) and len(path) == _DEPTH_OF_ENTITY and path[-1] in _OF_ENTITY:
            return where(path)
        if path[0] == "objects" and path[-1] in _MUST:
            return where(path)
    kind = str(whole.get("type"))
    lost = [name for name in whole if name in _MUST and name not in left]
    if lost and not (kind == "file" and "hashes" in left):
        return lost[0]
    if kind in OBSERVABLES and not set(left) - _SAYS_NOTHING:
        return where(gone[0])
    if schema.problem(kind, dict(whole)) is None and schema.problem(kind, dict(left)) is not None:
        return where(gone[0])
    return None
