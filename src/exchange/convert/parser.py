"""misp-stix, run so that it neither prints nor fails as a whole.

An event that it cannot convert is tried without its halves until the entities at fault are found; the rest goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from exchange.errors import ContentError
from exchange.imports import without_grammars

_alone = threading.Lock()
"""Python's warning filters and PyMISP's logger belong to the process; converting is bound by the processor anyway."""
_ENTITIES = ("Attribute", "Object")
_ADORNMENTS = ("Galaxy", "EventReport", "Note", "Opinion", "Tag")
_LOGGERS = ("pymisp", "misp_stix_converter", "stix2")


@dataclass(slots=True, kw_only=True)
class Converted:
    """What misp-stix made of an event: STIX objects as dicts, what it said, and the entities that it fails on."""

    objects: list[dict[str, Any]]
    remarks: list[str]
    failed: list[tuple[dict[str, Any], str]] = field(default_factory=list)


def convert(event: dict[str, Any]) -> Converted:
    """`event` converted. Raises ContentError when not even an event without attributes and objects can be."""
    try:
        return _run(event)
    except _FailedError:
        event, remarks = _frame(event)
        failed = _culprits(event)
    bad = {id(entity) for entity, _ in failed}
    kept = {name: [e for e in event.get(name) or () if id(e) not in bad] for name in _ENTITIES}
    try:
        rest = _run({**event, **kept})
    except _FailedError as error:
        raise ContentError("convert.event", event=event["uuid"], detail=str(error)) from None
    rest.failed = failed
    rest.remarks += remarks
    return rest


def _frame(event: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The event without those of its own galaxies, reports and notes that cannot be converted, and what was wrong."""
    bare = {name: value for name, value in event.items() if name not in (*_ENTITIES, *_ADORNMENTS)}
    try:
        _run(bare)
    except _FailedError as error:
        raise ContentError("convert.event", event=event["uuid"], detail=str(error)) from None
    remarks = []
    for name in _ADORNMENTS:
        try:
            _run({**bare, name: event.get(name) or []})
        except _FailedError as error:
            event = {**event, name: []}
            remarks.append(f"Error with the event's {name}: {error}")
    return event, remarks


@lru_cache(maxsize=1)
def _parser_class() -> Any:
    """misp-stix's parser, imported when first needed: it brings all of STIX 1 along.

    That leaves an importer of the year 2015 behind, which makes every later import warn; Python 3.12 ignores such ones.
    """
    with without_grammars():
        from misp_stix_converter import MISPtoSTIX21Parser

    sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return MISPtoSTIX21Parser


class _FailedError(Exception):
    """misp-stix raised; the text is its reason."""


def _run(event: dict[str, Any]) -> Converted:
    with _quietly():
        parser = _parser_class()()
        try:
            parser.parse_misp_event({"Event": event})
            objects = [orjson.loads(made.serialize()) for made in parser.stix_objects]
        except Exception as error:  # whatever a library raises over foreign input concerns this event only
            raise _FailedError(f"{type(error).__name__}: {error}"[:300]) from error
    if not any(made["id"].endswith(event["uuid"]) for made in objects):  # it says so, but does not raise
        raise _FailedError("; ".join(str(e) for errors in parser.errors.values() for e in errors)[:300])
    said = [*parser.errors.values(), *parser.warnings.values()]
    return Converted(objects=objects, remarks=[str(remark) for remarks in said for remark in remarks])


def _culprits(event: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """The attributes and objects that cannot be converted even alone in this event, each with the reason."""
    bare = {name: value for name, value in event.items() if name not in (*_ENTITIES, *_ADORNMENTS)}
    found: list[tuple[dict[str, Any], str]] = []
    for name in _ENTITIES:
        found += _search(bare, name, event.get(name) or [])
    return found


def _search(bare: dict[str, Any], name: str, entities: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    if not entities:
        return []
    try:
        _run({**bare, name: list(entities)})
    except _FailedError as error:
        if len(entities) == 1:
            return [(entities[0], str(error))]
        middle = len(entities) // 2
        return _search(bare, name, entities[:middle]) + _search(bare, name, entities[middle:])
    return []


@contextmanager
def _quietly() -> Iterator[None]:
    """No warning and no log record of the libraries leaves this block."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = [logger.disabled for logger in loggers]
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled
