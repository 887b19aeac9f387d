"""What somebody does with cytaxii2, from discovery to the last page. It runs in its own environment.

In: a JSON object on standard input: `discovery`, `user`, `password`, `collection`, `closed` and `bundle`.
Out: one JSON object on standard output: step → what cytaxii2 gave back for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cytaxii2.cytaxii2 import cytaxii2

Answers = dict[str, Any]


def visit(given: dict[str, Any]) -> Answers:
    """Every call that the library has, and through its own requests the two resources that it has no call for."""
    client = cytaxii2(given["discovery"], given["user"], given["password"])
    collection, bundle = given["collection"], given["bundle"]
    ids = [each["id"] for each in bundle["objects"]]
    found: Answers = {
        "discovery": client.discovery_request(),
        "root": client.root_discovery(),
        "collections": client.collection_request(),
        "collection": client.collection_data_request(collection),
        "posted": client.inbox_request(collection, json.dumps(bundle)),
    }
    status = found["posted"]["response"]["id"]
    found["status"] = client.request_handler("GET", f"{client.api_root}status/{status}/")
    manifest = f"{client.api_root}collections/{collection}/manifest/"
    found["manifest"] = client.request_handler("GET", manifest, query_params={"match[id]": ",".join(ids)})
    found["pages"] = pages = [client.poll_request(collection, limit=2)]
    while pages[-1]["response"].get("more"):
        pages.append(client.poll_request(collection, limit=2, next=pages[-1]["response"]["next"]))
    return found | {
        "since": client.poll_request(collection, added_after=pages[0]["response"]["next"]),
        "by_id": client.poll_request(collection, object_id=ids[1]),
        "by_ids": client.poll_request(collection, object_id=",".join([ids[0], ids[3]])),
        "by_type": client.poll_request(collection, object_type="malware"),
        "none": client.poll_request(collection, object_type="campaign"),
        "refused": client.inbox_request(given["closed"], json.dumps(bundle)),
        "absent": client.poll_request("00000000-0000-4000-8000-00000000dead"),
        "stranger": cytaxii2(given["discovery"], given["user"], "wrong").discovery_request(),
    }


if __name__ == "__main__":
    json.dump(visit(json.load(sys.stdin)), sys.stdout)
