"""Real data: everything is taken or refused with a reason, and the publishers we know lose nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stix_samples import encode

from exchange.errors import ContentError
from exchange.model import definitions, schema, stix, upgrade
from exchange.model.envelope import open_envelope, sift

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HERE = pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside this checkout")
SETS = sorted(path.name for path in (DATA / "stix21").iterdir()) if DATA.exists() else []
# Documents that the OASIS validator passes and that we refuse, with the reason.
EXCEPTIONS = {
    "v21.observed_data_tests.ObservedDataTestCases.test_software_language": "its schema wants three letters: `en`",
}
# Objects refused in each set (all others: none): conversions, examples that leave out what the standard requires.
REFUSED = {
    "dogesec-extensions": 4,
    "elevator": 77,
    "misp-stix-mapping": 5,
    "oasis-sco": 3,
    "python-stix2-literals.json": 3,
    "taxii": 1,
}


def files(name: str) -> Iterator[tuple[str, bytes]]:
    root = DATA / "stix21" / name
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_file():
            raw = path.read_bytes()
            yield path.name, gzip.decompress(raw) if path.suffix == ".gz" else raw


def objects(name: str) -> Iterator[bytes]:
    """The bytes of each object in the set: of bundles, lists and files of one object."""
    for _, raw in files(name):
        shape = json.loads(raw)
        if isinstance(shape, dict) and "objects" not in shape:
            yield raw
        else:
            yield from open_envelope(raw).objects


def expected(document: dict[str, Any]) -> dict[str, Any]:
    """What is served of it: a TLP definition in its canonical form, whole seconds with milliseconds, all else as is.

    STIX 2.0 in the form of STIX 2.1: tests/model/test_upgrade.py says what that is.
    """
    if upgrade.is_stix20(document, schema.observable_types()):
        return expected(upgrade.upgrade(document))
    if document["id"] in stix.marking.KNOWN_IDS:
        return definitions.canonical(document["id"])
    whole = {name: document[name] for name in ("created", "modified") if name in document}
    return {**document, **{name: text.replace("Z", ".000Z") for name, text in whole.items() if "." not in text}}


@HERE
@pytest.mark.parametrize("name", SETS)
def test_every_real_object_is_taken_or_refused(name: str) -> None:
    """Each object of the set is taken whole, value for value, or refused with a reason (DESIGN 2, 4)."""
    raws = list(objects(name))
    good, bad = sift(raws)
    assert len(good) + len(bad) == len(raws) > 0
    for found in good:
        assert json.loads(found.body) == expected(json.loads(found.raw))
    assert len(bad) == REFUSED.get(name, 0), [(each.code, dict(each.fields)) for each in bad][:5]


@HERE
def test_nothing_of_attack_is_refused() -> None:
    """MITRE ATT&CK in STIX 2.1 is taken without one rejection."""
    good, bad = sift(objects("attack"))
    assert good
    assert bad == []


def documents(kind: str) -> list[Any]:
    path = DATA / "invalid" / "oasis-validator-v21.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["must_valid"] == (kind == "valid")]


def members(document: Any) -> list[bytes]:
    """The objects of a document: of a bundle, else the document itself, even where that is no object at all."""
    is_bundle = isinstance(document, dict) and document.get("type") == "bundle"
    return [encode(each) for each in (document.get("objects", []) if is_bundle else [document])]


@HERE
def test_what_the_oasis_validator_passes_is_taken() -> None:
    """Every labelled document that breaks no MUST is taken, but for the exceptions listed above, which are refused."""
    refused: dict[str, Any] = {}
    for row in documents("valid"):
        _, bad = sift(members(row["doc"]))
        if bad:
            refused[row["test"]] = [(each.code, dict(each.fields)) for each in bad]
    assert set(refused) == set(EXCEPTIONS), refused


@HERE
def test_what_the_oasis_validator_refuses_raises_nothing_else() -> None:
    """Every labelled document that breaks a MUST is taken or refused; what a schema can see is refused."""
    rows = documents("invalid")
    kept = [row["test"] for row in rows if not sift(members(row["doc"]))[1]]
    assert len(rows) - len(kept) >= 35, kept


@HERE
@pytest.mark.parametrize("name", ["invalid_braces.json", "invalid_comma.json", "invalid_identity.json"])
def test_the_validators_bad_examples_are_refused(name: str) -> None:
    """What OASIS publishes as invalid is refused."""
    with pytest.raises(ContentError):
        stix.parse((DATA / "invalid" / "oasis-examples-v21" / name).read_bytes())
