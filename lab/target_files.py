"""The configuration of the nodes for outside testers: what an operator would write, one agreement for each peer.

The agreements let everything through, unmarked content and strange markings too; `exchange check` permits such terms
only to a node that nobody but this machine can reach (RULES R30). Decision, gate and ledger work as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NODE_IDENTITY = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"


def numbered(number: int) -> str:
    """The fixed id of collection N."""
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One collection: its alias, and the peers that read and write it."""

    alias: str
    readers: Sequence[str]
    writers: Sequence[str]
    read_back: bool = True
    """Whether those who may only write read what stands there."""

    def rights(self, peer: str) -> str:
        """What `peer` may do here, in words for the tester."""
        named = (("read", self.readers), ("write", self.writers))
        return ", ".join(word for word, peers in named if peer in peers)


CONFORMANCE: Mapping[int, Shelf] = {
    1: Shelf(alias="read-write-1", readers=["writer", "reader"], writers=["writer"]),
    2: Shelf(alias="read-write-2", readers=["writer"], writers=["writer"]),
    3: Shelf(alias="read-write-3", readers=["writer"], writers=["writer"]),
    4: Shelf(alias="read-only", readers=["writer"], writers=[]),
    5: Shelf(alias="write-only", readers=[], writers=["writer"], read_back=False),
    6: Shelf(alias="closed", readers=["other"], writers=["other"]),
}
TESTERS = ("writer", "reader", "outsider")
LOAD: Mapping[int, Shelf] = {1: Shelf(alias="load", readers=["load"], writers=["load"])}


_NODE = f"""
[node]
name     = "Target"
identity = "{NODE_IDENTITY}"
language = "en"

[store]
url       = {{store}}
keep_free = "100 MiB"

[serve]
listen              = "127.0.0.1:{{port}}"
public_url          = "http://127.0.0.1:{{port}}"
requests_per_minute = 0

[sync]
outbound = true

[warninglists]
enabled = false  # the names and addresses of this world are those of the documentation
"""


def write(folder: Path, shelves: Mapping[int, Shelf], peers: Sequence[str], *, port: int, store: str) -> Path:
    """Write the configuration of a node with these collections for these peers into `folder`, and return it."""
    files = {"exchange.toml": _NODE.format(port=port, store=json.dumps(store, ensure_ascii=False))}
    for peer in peers:
        files[f"peers/{peer}.toml"] = f'name = "{peer.capitalize()}"\n'
        files[f"agreements/{peer}.toml"] = _agreement(peer)
    for number, shelf in shelves.items():
        files[f"collections/{shelf.alias}.toml"] = _collection(number, shelf)
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip(), encoding="utf-8")
    return folder


def _agreement(peer: str) -> str:
    return f"""
title   = "Tests: {peer}"
parties = ["{peer}"]
from    = 2020-01-01
until   = 2099-12-31
purpose = "Tests on one machine, with content of no consequence"

[receive]
ceiling                = "TLP:RED"
unmarked               = "TLP:CLEAR"
informational_markings = ["*"]

[send]
ceiling = "TLP:RED"
onward  = true
"""


def _collection(number: int, shelf: Shelf) -> str:
    return f"""
id         = "{numbered(number)}"
title      = {{ fr = "{shelf.alias}", en = "{shelf.alias}" }}
readers    = {json.dumps(list(shelf.readers))}
writers    = {json.dumps(list(shelf.writers))}
ceiling    = "TLP:RED"
duplicates = "list"
read_back  = {json.dumps(shelf.read_back)}
only_posted = {json.dumps(bool(shelf.writers))}
"""
