"""Valid STIX 2.1 objects of many kinds, and strategies that spoil them."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

UUID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
WHEN = "2026-01-02T03:04:05.678Z"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
GREEN = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
STATEMENT = f"marking-definition--{OTHER}"
IDENTITY = f"identity--{OTHER}"


def sdo(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{UUID}",
        "created": WHEN,
        "modified": WHEN,
        **more,
    }


def sco(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind}--{UUID}", **more}


def indicator(**more: Any) -> dict[str, Any]:
    common = {"pattern": "[domain-name:value = 'evil.example']", "pattern_type": "stix", "valid_from": WHEN}
    return sdo("indicator", **{**common, **more})


def encode(stix: Any) -> bytes:
    return json.dumps(stix, ensure_ascii=False).encode()


SAMPLES: dict[str, dict[str, Any]] = {
    stix["type"]: stix
    for stix in (
        indicator(
            created_by_ref=IDENTITY,
            object_marking_refs=[GREEN, STATEMENT],
            granular_markings=[{"selectors": ["pattern"], "marking_ref": RED}],
            labels=["a"],
            confidence=50,
            external_references=[{"source_name": "x", "url": "https://x.example/"}],
        ),
        sdo("relationship", relationship_type="uses", source_ref=f"malware--{UUID}", target_ref=f"tool--{UUID}"),
        sdo(
            "sighting",
            sighting_of_ref=f"indicator--{UUID}",
            observed_data_refs=[f"observed-data--{UUID}"],
            where_sighted_refs=[IDENTITY],
            count=3,
        ),
        sdo("malware", name="m", is_family=False),
        sdo("report", name="r", published=WHEN, object_refs=[f"indicator--{UUID}", f"malware--{UUID}"]),
        sdo("note", content="n", object_refs=[f"indicator--{UUID}"]),
        sdo("opinion", opinion="agree", object_refs=[f"indicator--{UUID}"]),
        sdo("identity", name="i", identity_class="organization"),
        sdo(
            "observed-data",
            first_observed=WHEN,
            last_observed=WHEN,
            number_observed=1,
            object_refs=[f"file--{UUID}"],
        ),
        sdo("language-content", object_ref=f"malware--{UUID}", contents={"fr": {"name": "m"}}),
        sdo(
            "extension-definition",
            name="e",
            created_by_ref=IDENTITY,
            schema="https://x.example/",
            version="1.0.0",
            extension_types=["new-sdo"],
        ),
        sdo("x-thing", x_inner={"deep": [{"x_ref": f"tool--{UUID}"}]}),
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": STATEMENT,
            "created": WHEN,
            "definition_type": "statement",
            "definition": {"statement": "ours"},
        },
        sco("ipv4-addr", value="198.51.100.3"),
        sco("domain-name", value="Evil.Example", resolves_to_refs=[f"ipv4-addr--{UUID}"]),
        sco("url", value="http://evil.example/x"),
        sco("file", name="a.exe", size=3, hashes={"MD5": "d41d8cd98f00b204e9800998ecf8427e"}),
        sco("windows-registry-key", key="HKEY_LOCAL_MACHINE\\Run", values=[{"name": "a", "data": "b"}]),
        sco("autonomous-system", number=64496),
        sco("network-traffic", src_ref=f"ipv4-addr--{UUID}", protocols=["tcp"]),
        sco("email-message", is_multipart=False, subject="s", from_ref=f"email-addr--{UUID}"),
        sco("process", pid=1, is_hidden=False),
    )
}

NAMES = st.sampled_from(
    [
        *("type", "spec_version", "id", "created", "modified", "created_by_ref", "revoked", "labels", "lang"),
        *("object_marking_refs", "granular_markings", "external_references", "extensions", "pattern", "pattern_type"),
        *("name", "value", "hashes", "key", "number", "object_refs", "source_ref", "target_ref", "sighting_of_ref"),
        *("observed_data_refs", "where_sighted_refs", "x_ref", "x_refs", "x_opencti_modified_at", "selectors"),
        *("marking_ref", "definition", "definition_type", "created_by_ref", "object_marking_refs", "modified"),
    ]
)
WORDS = st.sampled_from(
    [
        "",
        "2.1",
        "indicator",
        "x-thing",
        "bundle",
        WHEN,
        "2026-02-30T00:00:00.000Z",
        "2026-01-02T03:04:05Z",
        f"indicator--{UUID}",
        RED,
        RED.upper(),
        STATEMENT,
        "stix",
        "[a:b='\\\\']",
        "[file:hashes.'SHA-256' = 'A']",
        "é" * 70 + ".example",
        "http://[",
        "\x00",
        "\n",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, each in inner for place in [(value, key), *_places(each)]]


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A valid object in which one to three values are replaced, removed or added."""
    stix = copy.deepcopy(draw(st.sampled_from(list(SAMPLES.values()))))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(stix)
        how = draw(st.sampled_from(["replace", "replace", "add", "remove"]))
        if how == "add" or not places:
            stix[draw(NAMES)] = draw(JSON)
            continue
        container, key = draw(st.sampled_from(places))
        if how == "replace":
            container[key] = draw(JSON)
        else:
            del container[key]
    return stix
