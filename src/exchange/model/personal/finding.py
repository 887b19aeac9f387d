"""What is found: where in a document, what it is, and whether the document itself says that it is a victim's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Step = str | int
"""A property's name, or an index in a list (from 0)."""


class Kind(StrEnum):
    """What a finding is; the value is a message id of the catalogues and is stable."""

    EMAIL = "personal.email"
    ACCOUNT = "personal.account"
    NAME = "personal.name"
    HOST = "personal.host"
    ADDRESS = "personal.address"
    PATH = "personal.path"
    PHONE = "personal.phone"
    NUMBER = "personal.number"
    """Of social or health insurance, a payment card, a passport."""
    VICTIM = "personal.victim"
    """The creator says that the value is the victim's, or for its own use, whatever it is."""
    MANY = "personal.many"
    """More than is told one by one: the whole text, or the whole document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place in a document. Findings of one text do not overlap and stand in the order of the text."""

    path: tuple[Step, ...]
    """From the top of the document; empty: the whole document."""
    kind: Kind
    certain: bool
    """Whether the document or the operator says that it is the victim's side; else its form alone says so."""
    start: int | None = None
    """Characters before it; None: the whole value."""
    stop: int | None = None


def listed(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


def words(finding: Finding) -> tuple[str, Mapping[str, Any]]:
    """Message id and fields for people. The value itself is no field: it is what must not be told on."""
    return finding.kind.value, {"where": where(finding.path), "certain": finding.certain}


def where(path: tuple[Step, ...]) -> str:
    """`path` in the spelling of the selectors of STIX 2.1 section 7.2.3.1: `external_references.[0].url`."""
    return ".".join(f"[{step}]" if isinstance(step, int) else step for step in path)
