"""The configuration of a node between others, made from values: what an operator would write for each neighbour.

Everything marked up to TLP:GREEN may go on, what is unmarked counts as GREEN, and AMBER comes in and stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A source or a target at a neighbour."""

    id: str
    url: str
    kind: str = "taxii"
    collection: str = ""
    every: str = ""
    """How often a source is asked, as `1s`; empty: as often as the node asks anybody."""
    orgs: Sequence[str] = ()
    """Whose events are taken from a MISP feed; none: those of the neighbour itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A peer. `login`: our account there, written by `give_login` once that account has been made."""

    id: str
    sources: Sequence[Flow] = ()
    targets: Sequence[Flow] = ()
    login: bool = False
    identities: Sequence[str] = ()
    """Those that it owns: what they created is its own, wherever we get it from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A collection of the node."""

    alias: str
    id: str
    readers: Sequence[str] = ()
    writers: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFiles:
    """Everything that is in the folder of one node."""

    name: str
    identity: str
    port: int
    neighbours: Sequence[Neighbour]
    shelves: Sequence[Shelf]
    store: str
    every: str = "1s"
    more: Mapping[str, str] = field(default_factory=dict)
    """Further files: name → content."""

    def write(self, folder: Path) -> Path:
        """Write all of it into `folder`, and return that. `store` is the path of a SQLite file."""
        files = {"exchange.toml": self._node(), **self.more}
        for neighbour in self.neighbours:
            files[f"peers/{neighbour.id}.toml"] = _peer(neighbour)
            files[f"agreements/{neighbour.id}.toml"] = _agreement(neighbour.id)
        for shelf in self.shelves:
            files[f"collections/{shelf.alias}.toml"] = _collection(shelf)
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.lstrip(), encoding="utf-8")
        for neighbour in self.neighbours:
            if neighbour.login:
                give_login(folder, neighbour.id, ("nobody", "not known yet"))
        return folder

    def _node(self) -> str:
        return f"""
[node]
name     = {_quoted(self.name)}
identity = "{self.identity}"
language = "en"

[store]
url       = {_quoted(f"sqlite:///{self.store}")}
keep_free = "100 MiB"

[serve]
listen              = "127.0.0.1:{self.port}"
public_url          = "http://127.0.0.1:{self.port}"
requests_per_minute = 0

[sync]
outbound = true
every    = "{self.every}"

[warninglists]
enabled = false  # the names and addresses of this world are those of the documentation
"""


def give_login(folder: Path, peer: str, login: tuple[str, str]) -> None:
    """Write down how we are known at a neighbour: name and password, in a file that only we can read.

    To a MISP the password is the key.
    """
    user, password = login
    vault = folder / "secrets"
    vault.mkdir(mode=0o700, exist_ok=True)
    file = vault / peer
    file.touch(mode=0o600)
    file.write_text(password, encoding="utf-8")
    configured = folder / "peers" / f"{peer}.toml"
    head, _, _ = configured.read_text(encoding="utf-8").partition("\n[auth]")
    reference = _quoted(f"file:{file.resolve()}")
    secret = f"user = {_quoted(user)}\npassword = {reference}\n"
    secret += f"key = {reference}\n" if 'kind = "misp"' in head else ""
    configured.write_text(f"{head}\n[auth]\n{secret}", encoding="utf-8")


def _peer(neighbour: Neighbour) -> str:
    flows = [("source", flow) for flow in neighbour.sources] + [("target", flow) for flow in neighbour.targets]
    own = f"identities = {json.dumps(list(neighbour.identities))}\n" if neighbour.identities else ""
    return f"name = {_quoted(neighbour.id.upper())}\n{own}" + "".join(_flow(word, flow) for word, flow in flows)


def _flow(word: str, flow: Flow) -> str:
    given = {"id": flow.id, "kind": flow.kind, "url": flow.url, "collection": flow.collection, "every": flow.every}
    orgs = f"orgs = {json.dumps(list(flow.orgs))}\n" if flow.orgs else ""
    return f"\n[[{word}]]\n{orgs}" + "".join(f"{key} = {_quoted(value)}\n" for key, value in given.items() if value)


def _agreement(peer: str) -> str:
    return f"""
title   = "Agreement with {peer}"
parties = ["{peer}"]
from    = 2025-01-01
until   = 2099-12-31
purpose = "Tests on one machine, with invented content"

[receive]
ceiling  = "TLP:AMBER"
unmarked = "TLP:GREEN"

[send]
ceiling = "TLP:GREEN"
personal_information = "allowed"
"""


def _collection(shelf: Shelf) -> str:
    return f"""
id      = "{shelf.id}"
title   = "{shelf.alias}"
readers = {json.dumps(list(shelf.readers))}
writers = {json.dumps(list(shelf.writers))}
ceiling = "TLP:GREEN"
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
