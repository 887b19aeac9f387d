"""STIX 2.0 objects in the form of STIX 2.1, by a fixed table (RULES R6): id, `modified` and every value stay.

An object says that it is STIX 2.0 by having no `spec_version` (STIX 2.1 section 3.2), unless it is a cyber-observable.
The table is read off the two standards. A value that the object has is never replaced; a property that STIX 2.1 no
longer knows stays as a custom one.

- Indicators get `pattern_type`, malware `is_family`: what STIX 2.0 part 2 section 2.7 calls malware has a name and no
  sample, which is what STIX 2.1 section 4.11 calls a family.
- The words of `labels` that STIX 2.0 part 2 section 4 defines become `*_types`. All labels stay: the others (MISP's
  tags stand there) were labels only. Labels under a granular marking are not repeated where nothing marks them.
- START and STOP take timestamps in place of strings (STIX 2.1 section 9.5.1; STIX 2.0 part 5 section 4.2.1).
- `observed-data` keeps `objects`, the form that STIX 2.1 section 4.14 deprecates: what is inside gets the id that
  every cyber-observable has now, and names the others by it. It is derived from the container's id and the key, so
  every node makes the same. The properties that were renamed (STIX 2.1 section 6) are, also in granular markings.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from exchange.model.pattern.tokens import TOKEN

CODE = "repair.stix20"
_REQUIRED: Mapping[str, Mapping[str, Any]] = {"indicator": {"pattern_type": "stix"}, "malware": {"is_family": True}}
_TYPES: Mapping[str, tuple[str, frozenset[str]]] = {
    kind: (name, frozenset(words.split()))
    for kind, name, words in (
        (
            "indicator", "indicator_types",
            "anomalous-activity anonymization benign compromised malicious-activity attribution",
        ),
        (
            "malware", "malware_types",
            "adware backdoor bot ddos dropper exploit-kit keylogger ransomware remote-access-trojan "
            "resource-exploitation rogue-security-software rootkit screen-capture spyware trojan virus worm",
        ),
        (
            "report", "report_types",
            "threat-report attack-pattern campaign identity indicator intrusion-set malware observed-data "
            "threat-actor tool vulnerability",
        ),
        (
            "threat-actor", "threat_actor_types",
            "activist competitor crime-syndicate criminal hacker insider-accidental insider-disgruntled nation-state "
            "sensationalist spy terrorist",
        ),
        (
            "tool", "tool_types",
            "denial-of-service exploitation information-gathering network-capture credential-exploitation "
            "remote-access vulnerability-scanning",
        ),
    )
}  # fmt: skip
_TIMES = {"created": "ctime", "modified": "mtime", "accessed": "atime"}
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "file": _TIMES,
    "directory": _TIMES,
    "process": {"created": "created_time", "binary_ref": "image_ref"},
    "user-account": {"password_last_changed": "credential_last_changed"},
    "windows-registry-key": {"modified": "modified_time"},
}
_INSIDE = uuid.UUID("7e2f3a0c-6d0b-5b52-9f8e-3c6d1d0a4b21")
"""Namespace of the ids inside `observed-data`; not that of STIX 2.1 section 2.9, which hashes contents."""


def is_stix20(stix: Mapping[str, Any], observables: frozenset[str]) -> bool:
    """Whether an object says that it is STIX 2.0; `observables` are the types that are STIX 2.1 without saying so."""
    return stix["type"] not in observables and stix.get("spec_version", "2.0") == "2.0"


def upgrade(stix: Mapping[str, Any]) -> dict[str, Any]:
    """A STIX 2.0 object as STIX 2.1. What it makes may still be invalid: the schema of STIX 2.1 judges it.

    Values of the wrong kind are passed over, for the schema to name.
    """
    kind = stix["type"]
    made = {**_REQUIRED.get(kind, {}), **stix, "spec_version": "2.1"}
    if kind in _TYPES:
        name, words = _TYPES[kind]
        labels = stix.get("labels")
        found = (
            [label for label in labels if isinstance(label, str) and label in words] if isinstance(labels, list) else []
        )
        if found and not _marked(stix, "labels"):
            made.setdefault(name, list(dict.fromkeys(found)))
    if kind == "indicator" and isinstance(stix.get("pattern"), str) and made["pattern_type"] == "stix":
        made["pattern"] = timestamps(stix["pattern"])
    objects = stix.get("objects")
    if kind == "observed-data" and isinstance(objects, dict):
        made["objects"] = _observed(stix["id"], objects)
        if isinstance(stix.get("granular_markings"), list):
            made["granular_markings"] = _selected(stix["granular_markings"], objects)
    return made


# Dictionaries whose names are anybody's: what looks like a reference there is none.
_FREE = frozenset({
    "environment_variables", "additional_header_fields", "request_header", "document_info_dict", "exif_tags", "options",
    "startup_info", "ipfix", "hashes",
})  # fmt: skip


def timestamps(pattern: str) -> str:
    """A STIX 2.0 pattern whose START and STOP name timestamps; what is no pattern stays as it is."""
    if "START" not in pattern:
        return pattern
    parts, done, after = [], 0, False
    for token in TOKEN.finditer(pattern):
        group = token.lastgroup or ""
        if after and group == "string":
            parts.append(pattern[done : token.start(group)] + "t")
            done = token.start(group)
        after = group == "word" and token[group] in ("START", "STOP")
    return "".join(parts) + pattern[done:]


def _marked(stix: Mapping[str, Any], name: str) -> bool:
    """Whether a granular marking selects a property, or something in it."""
    marks = stix.get("granular_markings")
    return isinstance(marks, list) and any(
        isinstance(selector, str) and selector.partition(".")[0] == name
        for mark in marks
        if isinstance(mark, dict) and isinstance(mark.get("selectors"), list)
        for selector in mark["selectors"]
    )


def _renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """`value` with other names in the same places; a name that is taken is not given twice."""
    return {name if (new := names.get(name, name)) in value else new: inner for name, inner in value.items()}


def _observed(container: str, objects: Mapping[str, Any]) -> dict[str, Any]:
    ids = {
        key: str(inner.get("id") or f"{inner['type']}--{uuid.uuid5(_INSIDE, f'{container} {key}')}")
        for key, inner in objects.items()
        if isinstance(inner, dict) and isinstance(inner.get("type"), str)
    }
    return {
        key: _linked({"id": ids[key], **_renamed(inner, _RENAMED.get(inner["type"], {}))}, ids) if key in ids else inner
        for key, inner in objects.items()
    }


def _linked(value: Any, ids: Mapping[str, str]) -> Any:
    """`value` where references to the other objects are ids in place of keys, at any depth."""
    if isinstance(value, list):
        return [_linked(inner, ids) for inner in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, inner in value.items():
        if name.endswith("_ref") and isinstance(inner, str):
            made[name] = ids.get(inner, inner)
        elif name.endswith("_refs") and isinstance(inner, list):
            made[name] = [ids.get(each, each) if isinstance(each, str) else each for each in inner]
        else:
            made[name] = inner if name in _FREE else _linked(inner, ids)
    return made


def _selected(marks: list[Any], objects: Mapping[str, Any]) -> list[Any]:
    """Granular markings whose selectors follow the properties that were renamed."""
    follow: dict[tuple[str, ...], str] = {
        ("objects", key, old): new
        for key, inner in objects.items()
        if isinstance(inner, dict) and isinstance(inner.get("type"), str)
        for old, new in _RENAMED.get(inner["type"], {}).items()
        if old in inner and new not in inner
    }

    def moved(selector: Any) -> Any:
        steps = selector.split(".") if isinstance(selector, str) else []
        new = follow.get(tuple(steps[:3]))
        return ".".join([*steps[:2], new, *steps[3:]]) if new else selector

    return [
        {**mark, "selectors": [moved(selector) for selector in mark["selectors"]]}
        if isinstance(mark, dict) and isinstance(mark.get("selectors"), list)
        else mark
        for mark in marks
    ]
