"""`[[expiry]]` of `exchange.toml`: when an object is too old to be listed; and how good what a peer gives is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from exchange.config.form import Form
from exchange.config.problems import listed, near, problem, shown
from exchange.config.values import Duration, StixType, wrong
from exchange.errors import Problem
from exchange.model.party import Expiry
from exchange.model.schema import observable_types

_RELIABILITY = {"A": 100, "B": 75, "C": 50, "D": 25, "E": 0, "F": 50}
"""The Admiralty scale of sources in the numbers of MISP's taxonomy; F, which nobody can judge, lies in the middle."""
_BEST = 100
_THRESHOLD = 30
LASTING = frozenset({
    "sighting", "opinion", "note", "relationship", "report", "grouping", "identity", "language-content",
    "marking-definition", "extension-definition",
})  # fmt: skip
"""Types that never expire: they say something of others, hold them together, or say who speaks and under what mark."""


def _quality(value: object) -> int:
    if isinstance(value, str) and value.strip().upper() in _RELIABILITY:
        return _RELIABILITY[value.strip().upper()]
    if type(value) is not int or not 0 <= value <= _BEST:
        raise wrong("config.bad_quality", value=shown(value))
    return value


Quality = Annotated[int, PlainValidator(_quality)]


class ExpiryTable(Form):
    """`[[expiry]]`."""

    types: list[StixType] = Field(min_length=1, examples=[["indicator"]])
    kinds: list[StixType] | None = Field(default=None, min_length=1, examples=[["ipv4-addr", "ipv6-addr"]])
    peers: list[str] | None = Field(default=None, min_length=1, examples=[["ccc"]])
    valid_until: bool = Field(default=True, examples=[True])
    half_life: Duration | None = Field(default=None, examples=["30d"])
    threshold: int = Field(default=_THRESHOLD, ge=1, le=_BEST, examples=[_THRESHOLD])
    sightings: bool = Field(default=True, examples=[True])
    false_positive: Duration | None = Field(default=None, examples=["7d"])


def mistakes(tables: Sequence[ExpiryTable], file: str) -> Iterator[Problem]:
    """What is wrong between the keys of the tables."""
    for number, table in enumerate(tables):
        key = f"expiry[{number}]"
        for place, name in enumerate(table.types):
            if name in LASTING:
                yield problem("config.expiry_lasting", file, f"{key}.types[{place}]", name=name, types=listed(LASTING))
        yield from _kinds(table, f"{key}.kinds", file)
        if table.half_life is None and not table.valid_until:
            yield problem("config.expiry_idle", file, f"{key}.half_life")
        for name in ("threshold", "sightings", "false_positive"):
            if name in table.model_fields_set and table.half_life is None:
                yield problem("config.goes_with", file, f"{key}.half_life", given=name, missing="half_life")
        before = next((n for n, other in enumerate(tables[:number]) if _covers(other, table)), None)
        if before is not None:
            yield problem("config.expiry_never_reached", file, f"{key}.types", before=f"expiry[{before}]")


def _kinds(table: ExpiryTable, key: str, file: str) -> Iterator[Problem]:
    if table.kinds and "indicator" not in table.types:
        yield problem("config.expiry_kinds", file, key)
    for place, name in enumerate(table.kinds or ()):
        meant = None if name in observable_types() else near(name, observable_types())
        if meant is not None:  # others have kinds of their own; a slip in one of STIX's would never fit anything
            yield problem("config.expiry_kind_near", file, f"{key}[{place}]", name=name, near=meant)


def _covers(table: ExpiryTable, other: ExpiryTable) -> bool:
    """Whether `table` fits whatever `other` fits, so that `other`, behind it, never decides."""
    pairs: tuple[tuple[Any, Any], ...] = ((table.kinds, other.kinds), (table.peers, other.peers))
    return set(table.types) >= set(other.types) and all(
        mine is None or (yours is not None and set(mine) >= set(yours)) for mine, yours in pairs
    )


def build(tables: Sequence[ExpiryTable]) -> tuple[Expiry, ...]:
    """The rules, in order."""
    return tuple(
        Expiry(
            types=frozenset(table.types),
            kinds=frozenset(table.kinds) if table.kinds else None,
            peers=frozenset(table.peers) if table.peers else None,
            valid_until=table.valid_until,
            half_life=table.half_life,
            threshold=table.threshold,
            sightings=table.sightings,
            false_positive=table.false_positive,
        )
        for table in tables
    )
