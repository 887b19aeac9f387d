"""What a source's own marking-definition says (STIX 2.1 section 7.2.1): a policy of IEP, a mere text, or what we cannot
apply. Definitions of TLP, PAP and PFC are not asked: their ids decide (`marking`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from exchange.model import policies
from exchange.model.marking import UNMARKED, Label, of_policy, of_tags

IEP = "extension-definition--762e2e97-ee51-43e5-a9ea-165fbb862c4a"
"""FIRST's IEP 2.0 as a property extension (OASIS common objects)."""
_FRAME = frozenset(
    {"type", "spec_version", "id", "created", "created_by_ref", "name", "external_references", "object_marking_refs"}
)
_SAYS_NOTHING = frozenset({"extension_type", "iep_id", "description", "external_references", "name"})
_PROTOCOLS = re.compile(r"(?<![a-z])(?:tlp|pap|pfc|iep)(?![a-z])", re.IGNORECASE)
_AS_TAG = {"provider_attribution": "attribution"}


def of_definition(stix: Mapping[str, Any]) -> Label:
    """The label of what bears this marking; what is not understood whole stays unknown, whatever else it says."""
    unknown = Label(unknown=frozenset({stix["id"]}))
    if stix.keys() <= _FRAME | {"extensions"}:
        extensions = stix.get("extensions")
        policy = extensions.get(IEP) if isinstance(extensions, dict) and len(extensions) == 1 else None
        return unknown if not isinstance(policy, dict) else _of_policy(policy, unknown)
    text = stix.get("definition")
    if (
        stix.keys() <= _FRAME | {"definition_type", "definition"}
        and stix.get("definition_type") == "statement"
        and isinstance(text, dict)
        and text.keys() == {"statement"}
        and not _restricts(text["statement"])
        and not _restricts(stix.get("name", ""))
    ):
        return Label(unknown=unknown.unknown, texts=unknown.unknown)
    return unknown


def _of_policy(policy: Mapping[str, Any], unknown: Label) -> Label:
    label = UNMARKED
    for name, value in policy.items():
        if name in _SAYS_NOTHING or value is None:
            continue
        said = policies.of_tag(f'iep2-policy:{_AS_TAG.get(name, name)}="{str(value).strip().casefold()}"')
        label = label.join(unknown if said is None else of_policy(said))
    # A policy that does not say which IEP it is of may mean other things by the same words.
    return label if policy.get("iep_version") in ("2.0", 2.0) else label.join(unknown)


def _restricts(text: Any) -> bool:
    """Whether a text is a level by another name, as OpenCTI and others write them, or speaks of one anywhere."""
    return not isinstance(text, str) or _PROTOCOLS.search(text) is not None or of_tags([text]) != UNMARKED
