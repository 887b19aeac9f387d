"""TLP as partners write it: the ids of both editions, the definitions, and an id that nobody knows."""

from __future__ import annotations

from typing import Any

CLEAR = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
AMBER_STRICT = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"

WHITE_1 = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
GREEN_1 = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
AMBER_1 = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
RED_1 = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"

UNKNOWN = "marking-definition--0b6f3c1d-52a7-4e98-8f40-d17a9c3e5b62"  # defined nowhere

_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_SECOND = {CLEAR: "clear", GREEN: "green", AMBER: "amber", AMBER_STRICT: "amber+strict", RED: "red"}
_FIRST = {WHITE_1: "white", GREEN_1: "green", AMBER_1: "amber", RED_1: "red"}


def definition(id_: str) -> dict[str, Any]:
    """The official definition of a TLP marking, as a partner sends it along."""
    shape = {"type": "marking-definition", "spec_version": "2.1", "id": id_}
    if level := _FIRST.get(id_):
        tlp = {"definition_type": "tlp", "definition": {"tlp": level}}
        return {**shape, "created": "2017-01-20T00:00:00.000Z", "name": f"TLP:{level.upper()}", **tlp}
    level = _SECOND[id_]
    extension = {_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": level}}
    name = f"TLP:{level.upper()}"
    return {**shape, "created": "2022-10-01T00:00:00.000Z", "name": name, "extensions": extension}
