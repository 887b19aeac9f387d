"""Hooks for schemathesis: what exists on the node, so that not every answer is 404. It runs in its own environment.

The published description says that a part of a path is any text; here it becomes one of those that there are, and what
is not one of them is what schemathesis tries as a mistake. Links say which answer holds an id for which request.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import schemathesis

LIST = "/api/collections/{name}/objects/"
ONE = f"{LIST}{{object_id}}/"
STATUS = "/api/status/{status_id}/"
METHODS = ("get", "head", "post", "delete")  # not OPTIONS, which answers the same whether or not a thing exists


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Narrow the description to what $WHAT_IS_THERE says in JSON: `paths`, `delete`, `query` and `envelope`."""
    there = json.loads(os.environ["WHAT_IS_THERE"])
    paths, parameters = raw_schema["paths"], raw_schema["components"]["parameters"]
    for item in paths.values():
        for method in METHODS & item.keys():
            _narrow(item, method, there["paths"] | there.get(method, {}))
    for name, value in there["query"].items():
        parameters[name]["schema"]["examples"] = [value]
    for body in paths[LIST]["post"]["requestBody"]["content"].values():
        body["example"] = there["envelope"]
    _link(paths[LIST]["post"]["responses"]["202"], STATUS, "get", status_id="$response.body#/id")
    listed = {"name": "$request.path.name", "object_id": "$response.body#/objects/0/id"}
    _link(paths[LIST]["get"]["responses"]["200"], ONE, "delete", **listed)
    same = {"name": "$request.path.name", "object_id": "$request.path.object_id"}
    _link(paths[ONE]["delete"]["responses"]["200"], ONE, "get", **same)


def _narrow(item: dict[str, Any], method: str, values: Mapping[str, Sequence[str]]) -> None:
    """An operation's own parameter goes before the path's of the same name."""
    named = (each["$ref"].rpartition("/")[2] for each in item.get("parameters", ()))
    item[method].setdefault("parameters", []).extend(
        {"name": name, "in": "path", "required": True, "schema": {"enum": values[name]}}
        for name in named
        if name in values
    )


def _link(response: dict[str, Any], path: str, method: str, **parameters: str) -> None:
    reference = f"#/paths/{path.replace('/', '~1')}/{method}"
    response["links"] = {method: {"operationRef": reference, "parameters": parameters}}
