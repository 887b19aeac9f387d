"""The canonical marking-definition of every marking that we understand (RULES R6): one form, whatever came in.

TLP 1 stands in STIX 2.1 section 7.2.1.4, TLP 2.0 and PAP in the OASIS common objects; PFC's are ours.
"""

from __future__ import annotations

from typing import Any

from exchange.model import marking
from exchange.model.lights import PAP_IDS, PAP_WHITE, PFC_EXTENSION, PFC_IDS
from exchange.model.marking import Tlp

_TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_TLP_DAY = "2022-10-01"
_PAP_EXTENSION = "extension-definition--f8d78575-edfd-406e-8e84-6162a8450f5b"
_PAP_DAYS = {
    "white": "2022-10-01",
    "clear": "2022-10-01",
    "amber": "2022-10-02",
    "red": "2022-10-06",
    "green": "2022-10-09",
}
_PFC_DAY = "2026-11-22"


def canonical(identifier: str) -> dict[str, Any]:
    """The marking-definition for one of `marking.KNOWN_IDS`."""
    if identifier in PFC_IDS:
        colour = PFC_IDS[identifier]
        return _extended(identifier, colour.label, _PFC_DAY, PFC_EXTENSION, "pfc", colour.tag.removeprefix("pfc:"))
    if identifier in PAP_IDS:
        name = "white" if identifier == PAP_WHITE else PAP_IDS[identifier].name.lower()
        return _extended(identifier, f"PAP:{name.upper()}", _PAP_DAYS[name], _PAP_EXTENSION, "pap", name)
    level = marking.TLP_IDS[identifier]
    if identifier == marking.OPENCTI_STRICT:
        return _opencti_strict()
    if identifier != marking.TLP2_ID[level]:
        return _tlp1(level, identifier)
    return _extended(identifier, level.label, _TLP_DAY, _TLP_EXTENSION, "tlp_2_0", level.tag.removeprefix("tlp:"))


def _extended(identifier: str, name: str, day: str, extension: str, key: str, value: str) -> dict[str, Any]:
    """A definition whose level stands in a property extension."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": identifier,
        "created": f"{day}T00:00:00.000Z",
        "name": name,
        "extensions": {extension: {"extension_type": "property-extension", key: value}},
    }


def _tlp1(level: Tlp, identifier: str) -> dict[str, Any]:
    colour = "white" if level is Tlp.CLEAR else level.name.lower()
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": identifier,
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": f"TLP:{colour.upper()}",
        "definition": {"tlp": colour},
    }


def _opencti_strict() -> dict[str, Any]:
    """OpenCTI's own AMBER+STRICT; the id is not OASIS's, so OASIS's extension may not stand in it."""
    label = Tlp.AMBER_STRICT.label
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking.OPENCTI_STRICT,
        "created": "2022-10-01T00:00:00.000Z",
        "definition_type": "statement",
        "name": label,
        "definition": {"statement": label},
    }
