"""Real data: what is stripped is clean and still valid, the first look misses nothing, and little is found at all."""

from __future__ import annotations

import json

import pytest
from test_corpus import HERE, SETS, objects

from exchange.errors import ContentError
from exchange.model import personal, schema, stix

# Half of the objects of these sets were made to show accounts, senders, persons and processes.
OF_PERSONS = {"attack-flow", "elevator", "oasis-docs", "oasis-sco", "python-stix2-filestore", "oasis-schemas-examples"}
OF_PERSONS |= {"python-stix2-literals.json", "misp-stix", "misp-stix-mapping", "dogesec-extensions", "taxii"}
MOST = 400
"""Objects of one set; the others are like them."""


@HERE
@pytest.mark.parametrize("name", SETS)
def test_real_objects(name: str) -> None:
    seen = with_findings = 0
    for raw in objects(name):
        if seen == MOST:
            break
        document = json.loads(raw)
        seen += 1
        found = personal.find(document)
        with_findings += bool(found)
        assert personal.suspect(raw) or not found
        left = personal.strip(document, found)
        if isinstance(left, personal.Refusal):
            assert found
            continue
        assert personal.find(left) == ()
        try:
            stix.parse(raw)
        except ContentError:
            continue
        assert schema.problem(document["type"], left) is None or schema.problem(document["type"], document) is not None
    assert seen
    if name not in OF_PERSONS:
        assert with_findings <= seen / 20
