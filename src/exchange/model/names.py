"""By what else an object is known: the ids that other systems gave it, and its number in a catalogue.

Both only link. What is linked is told (`exchange show`) and never joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.model import misp
from exchange.model.keys import OPENCTI, Stix

MOST = 50
"""Aliases of one object that are kept: OpenCTI adds one for each spelling that it was ever given."""
_ID = re.compile(r"([a-z][a-z0-9-]{1,60})--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_ORIGINAL = re.compile(r"Original UUID was: ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def aliases(stix: Stix) -> tuple[str, ...]:
    """Other ids under which `stix` says that it is known, MOST at most, in its order; only such as have its type.

    `x_opencti_stix_ids` and the same list in OpenCTI's extension; the uuid that misp-stix notes in a comment when it
    gives an attribute another one.
    """
    if "x_opencti_stix_ids" not in stix and "extensions" not in stix:
        return ()
    kind, own = stix["type"], stix["id"]
    found: dict[str, None] = {}
    for given in _given(stix):
        match = _ID.match(given)
        if match is not None and match[1] == kind and given != own:
            found[given] = None
            if len(found) == MOST:
                break
    return tuple(found)


def _given(stix: Stix) -> Iterator[str]:
    listed = stix.get("x_opencti_stix_ids")
    yield from _texts(listed)
    extensions = stix.get("extensions")
    if not isinstance(extensions, dict):
        return
    for name in sorted(OPENCTI & extensions.keys()):
        kept = extensions[name]
        listed = kept.get("stix_ids") if isinstance(kept, dict) else None
        yield from _texts(listed)
    extension = misp.carried(stix)
    entity = extension.get("attribute") if extension is not None else None
    comment = entity.get("comment") if isinstance(entity, dict) else None
    match = _ORIGINAL.search(comment) if isinstance(comment, str) else None
    if match is not None:
        yield f"{stix['type']}--{match[1]}"


def _texts(listed: object) -> list[str]:
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


_MITRE = ("mitre-attack", "mitre-ics-attack", "mitre-mobile-attack", "mitre-pre-attack")
_CATALOGUES = {
    "attack-pattern": (_MITRE, ("capec",)),
    "vulnerability": (("cve",), ("osvdb",)),
    **dict.fromkeys(("malware", "tool", "intrusion-set", "campaign", "course-of-action"), (_MITRE,)),
}
"""Type → catalogues in which its objects have a number of their own, those of one family together, the first family
that is there. A number elsewhere says what else it has to do with: techniques name the CWE and CAPEC that they use."""


def external_ids(stix: Stix) -> tuple[tuple[str, str], ...]:
    """(source_name, external_id) of the catalogue in which `stix` is an entry, in the catalogue's spelling.

    Empty: it is in none that we know, or it names two entries of one catalogue, and nobody can say which one it is.
    """
    kind = stix["type"]
    families = _CATALOGUES.get(kind, (_MITRE,) if kind.startswith("x-mitre-") else ())
    listed = stix.get("external_references")
    given = [
        (each["source_name"].strip().lower(), each["external_id"].strip().upper())
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
        and isinstance(each.get("source_name"), str)
        and isinstance(each.get("external_id"), str)
    ]
    for family in families:
        found = {pair for pair in given if pair[0] in family}
        if found:
            one = len({name for _, name in found}) == 1
            return ((family[0], next(iter(found))[1]),) if one else ()
    return ()
