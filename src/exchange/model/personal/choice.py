"""What an operator says of personal information: what is internal, what is never personal, which kinds count."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.model.personal.finding import Kind, listed

SPECIAL = tuple(sorted(listed("local lan internal corp intra home.arpa")))
"""Suffixes of names that are inside somebody's network wherever they stand (RFC 6762, RFC 8375, ICANN's `internal`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The operator's part of the detection; two equal choices find the same."""

    internal: tuple[str, ...] = ()
    """Suffixes of names of our own and of those we protect (`gouv.qc.ca`), beside SPECIAL; without a dot in front."""
    allowed: tuple[str, ...] = ()
    """Values that are never personal, in any case: an address or a name as it is written, or a domain for all in it."""
    kinds: frozenset[Kind] = frozenset(Kind)
    """The kinds that count; MANY counts always."""


USUAL = Choice()
"""Where an operator chose nothing."""
