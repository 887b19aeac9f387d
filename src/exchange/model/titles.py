"""Under which names a domain object is known: what suggests to a person that two of them may be one.

Nothing is ever joined by a name: one name stands for four techniques, and one organisation has 49 ids in real data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.model.names import external_ids

NAME = "name"
EXTERNAL = "id:"
"""Begins the kind of an external id; behind it stands the source_name, folded."""
_NO_DOMAIN_OBJECTS = frozenset(
    {"indicator", "relationship", "sighting", "observed-data", "note", "opinion", "marking-definition",
     "language-content", "extension-definition", "x-misp-attribute", "x-misp-object"}
)  # fmt: skip
_REGISTERS = frozenset({"cve", "nvd", "osvdb", "cwe", "capec"})
"""Registers whose numbers stand on many things that they do not mean; `external_ids` knows where they do."""
_MOST = 50


def names_of(stix: Mapping[str, Any], observables: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """(kind, folded text) of its name and aliases, and of its own external id (STIX 2.1 sections 2.5 and 4).

    `observables`: the types that are no domain objects.
    """
    if stix["type"] in _NO_DOMAIN_OBJECTS or stix["type"] in observables:
        return ()
    aliases = stix.get("aliases")
    said = [stix.get("name"), *(aliases[:_MOST] if isinstance(aliases, list) else ())]
    found = [(NAME, folded(each)) for each in said if isinstance(each, str)]
    own = own_id(stix)
    if own is not None:
        found.append((EXTERNAL + folded(own[0]), folded(own[1])))
    return tuple(dict.fromkeys(each for each in found if each[1]))


def own_id(stix: Mapping[str, Any]) -> tuple[str, str] | None:
    """(source_name, external_id) by which its creator knows it: the first external reference that has an id, where
    publishers write it; None: there is none, or it is a number in a register of other things.

    Those behind it are ids of other things: a technique names the weaknesses that it uses, as a hundred others do.
    Catalogues of one publisher stay apart, for they have used one number for two things.
    """
    given = stix.get("external_references")
    for each in given[:_MOST] if isinstance(given, list) else ():
        name = each.get("source_name") if isinstance(each, dict) else None
        if isinstance(name, str) and isinstance(each.get("external_id"), str) and each["external_id"].strip():
            return None if folded(name) in _REGISTERS and not external_ids(stix) else (name, each["external_id"])
    return None


def folded(text: str) -> str:
    """Without regard to case and white space."""
    return " ".join(text.split()).casefold()
