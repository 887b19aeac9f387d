"""The OASIS JSON schemas of STIX 2.1, compiled once per process: 6 µs an object.

The schemas are OASIS's own (cti-stix2-json-schemas), read from the stix2-validator wheel. An object of a type that
they do not know is judged by the common core only: custom types are legal (STIX 2.1 section 11).
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from typing import Any

import jsonschema_rs

_PACKAGE = "stix2validator"
_ROOT = "schemas-2.1/schemas"
_ROOMS = ("common", "sdos", "sros", "observables")
_IN_COMMON = {"marking-definition", "language-content", "extension-definition", "bundle"}


def _documents() -> dict[str, dict[str, Any]]:
    """Schema file stem → schema, for every file that OASIS publishes."""
    # Found without importing it: the package itself takes a second and twenty megabytes, for its own validator.
    package = find_spec(_PACKAGE)
    if package is None or not isinstance(package.loader, SourceFileLoader):
        raise ModuleNotFoundError(_PACKAGE, name=_PACKAGE)
    root = package.loader.get_resource_reader(_PACKAGE).files().joinpath(_ROOT)
    found = {}
    for room in _ROOMS:
        for file in root.joinpath(room).iterdir():
            if file.name.endswith(".json"):
                document = json.loads(file.read_text(encoding="utf-8"))
                if (room, file.name) == ("observables", "email-message.json"):
                    _let_one_header_be_a_list(document)
                found[f"{room}/{file.name.removesuffix('.json')}"] = document
    return found


def _let_one_header_be_a_list(document: dict[str, Any]) -> None:
    """Section 6.6 wants a list even of a header that stands once, as in its own example; OASIS's schema wants two.

    It matters beyond the message: a message that is set aside does not say who got it, so who got it is no victim.
    """
    for header in document["definitions"]["email-additional-header-fields"]["patternProperties"].values():
        for form in header["oneOf"]:
            if "minItems" in form:
                form["minItems"] = 1


@lru_cache(maxsize=1)
def _all() -> tuple[dict[str, dict[str, Any]], jsonschema_rs.Registry]:
    documents = _documents()
    registry = jsonschema_rs.Registry([(d["$id"], d) for d in documents.values() if "$id" in d])
    return documents, registry


@lru_cache(maxsize=256)
def validator(kind: str) -> jsonschema_rs.Validator:
    """The compiled validator for the STIX type `kind`; for an unknown type, that of the common core."""
    documents, registry = _all()
    for room in ("sdos", "sros", "observables", *(("common",) if kind in _IN_COMMON else ())):
        if f"{room}/{kind}" in documents:
            return jsonschema_rs.validator_for(documents[f"{room}/{kind}"], registry=registry)
    return jsonschema_rs.validator_for(documents["common/core"], registry=registry)


def known(kind: str) -> bool:
    """Whether OASIS has a schema of its own for `kind`."""
    documents, _ = _all()
    return any(f"{room}/{kind}" in documents for room in ("sdos", "sros", "observables")) or kind in _IN_COMMON


@lru_cache(maxsize=1)
def every_type() -> frozenset[str]:
    """The types of STIX 2.1 that OASIS has a schema for."""
    documents, _ = _all()
    rooms = tuple(room + "/" for room in _ROOMS if room != "common")
    return frozenset(name.partition("/")[2] for name in documents if name.startswith(rooms)) | _IN_COMMON


@lru_cache(maxsize=1)
def observable_types() -> frozenset[str]:
    """The cyber-observable object types of STIX 2.1 section 6."""
    documents, _ = _all()
    return frozenset(name.partition("/")[2] for name in documents if name.startswith("observables/"))


def problem(kind: str, stix: dict[str, Any]) -> str | None:
    """None when `stix` is valid; else where and why it is not, in one line."""
    checker, document = validator(kind), _as_the_schema_wants(stix)
    if checker.is_valid(document):
        return None
    try:
        checker.validate(document)
    except jsonschema_rs.ValidationError as error:  # the first one: to list them all may take minutes and gigabytes
        where = ".".join(map(str, error.instance_path))[:200] or kind
        return f"{where}: {error.message[:300]}"
    return None


def _as_the_schema_wants(stix: dict[str, Any]) -> dict[str, Any]:
    """Without granular markings that name a language: section 7.2.3 allows them, the OASIS schema forgot them."""
    marks = stix.get("granular_markings")
    if not isinstance(marks, list):
        return stix
    rest = [mark for mark in marks if not (isinstance(mark, dict) and "lang" in mark and "marking_ref" not in mark)]
    plain = {name: value for name, value in stix.items() if name != "granular_markings"}
    return {**plain, "granular_markings": rest} if rest or not marks else plain
