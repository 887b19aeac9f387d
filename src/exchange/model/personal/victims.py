"""Who was attacked, by the word of another object: a message names who got it, a relationship what was targeted.

A mailbox of STIX 2.1 says nothing of the messages that went to it (sections 6.5 and 6.6), so whoever holds both must
ask the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.model.personal.sides import OBSERVABLES

RECIPIENTS = ("to_refs", "cc_refs", "bcc_refs")
SPEAKING = frozenset({"email-message", "relationship"})
"""The types whose objects may name a victim."""
_TARGETS = "targets"


def may_name_victims(kind: str, body: bytes) -> bool:
    """Whether `victims` may find somebody in the object of this type whose JSON `body` is; False: it does not."""
    if kind not in SPEAKING:
        return False
    return kind == "email-message" or _TARGETS.encode() in body.lower() or b"\\u" in body


def victims(document: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the observables that this object says are a victim's; mostly none."""
    kind = document.get("type")
    if kind == "email-message":
        return frozenset(ref for name in RECIPIENTS for ref in _refs(document.get(name)))
    relation = document.get("relationship_type")
    if kind != "relationship" or not isinstance(relation, str) or relation.casefold() != _TARGETS:
        return frozenset()
    return frozenset(ref for ref in _refs([document.get("target_ref")]) if ref.partition("--")[0] in OBSERVABLES)


def _refs(value: Any) -> list[str]:
    return [ref for ref in value if isinstance(ref, str)] if isinstance(value, list) else []
