"""What may be altered before it goes, as an operator writes it: properties to redact, and whose law a peer is under."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import PlainValidator

from exchange.config.problems import shown
from exchange.config.values import wrong
from exchange.policy.transform import KEPT

_PROPERTY = re.compile(r"[a-z0-9_]{2,250}")
_PLACE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")


def _redacted(value: object) -> str:
    if not isinstance(value, str) or not _PROPERTY.fullmatch(value):
        raise wrong("config.bad_property", value=shown(value))
    if value in KEPT:
        raise wrong("config.property_kept", value=value)
    return value


def _jurisdiction(value: object) -> str:
    if not isinstance(value, str) or not _PLACE.fullmatch(value):
        raise wrong("config.bad_jurisdiction", value=shown(value))
    return value


Redacted = Annotated[str, PlainValidator(_redacted)]
"""A STIX property that may go (STIX 2.1 section 3.1: how they are written)."""
Jurisdiction = Annotated[str, PlainValidator(_jurisdiction)]
"""A country or a subdivision of one, as ISO 3166-1 and 3166-2 write it."""
