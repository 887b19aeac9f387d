"""Several nodes of ours that exchange with each other: written, introduced to each other, started.

nodes = [Node.written(folder / "a", files), …]
introduce(nodes[0], "b", nodes[1], "a")      # node b is known to a as its peer `b`, and knows a as its peer `a`
with started(nodes): ...
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from lab.child import Child
from lab.node_files import NodeFiles, give_login
from lab.partners import TAXII
from lab.round import account, command, run_exchange

Object = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Node:
    """One node: its configuration, its store, the accounts that were made on it."""

    files: NodeFiles
    folder: Path
    logins: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    child: Child | None = None

    @staticmethod
    def written(folder: Path, files: NodeFiles) -> Node:
        """A node whose configuration stands in `folder`/etc."""
        files.write(folder / "etc")
        return Node(files=files, folder=folder)

    @property
    def config(self) -> Path:
        """The folder of its configuration."""
        return self.folder / "etc"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.files.port}/"

    def objects_url(self) -> str:
        """The objects of its first collection."""
        return f"{self.url}api/collections/{self.files.shelves[0].id}/objects/"

    def welcome(self, peer: str) -> tuple[str, str]:
        """An account for `peer`: name and secret."""
        if peer not in self.logins:
            self.logins[peer] = account(self.config, peer)
        return self.logins[peer]

    def command(self, *words: str) -> Any:
        """Run a command of it with --json; its answer."""
        return command(self.config, *words, good=(0, 1))

    def post(self, peer: str, objects: Sequence[Object]) -> dict[str, Any]:
        """POST an envelope as `peer`; the status resource. Raises requests.HTTPError."""
        answer = requests.post(
            self.objects_url(), data=json.dumps({"objects": list(objects)}), auth=self.welcome(peer), timeout=30,
            headers={"Accept": TAXII, "Content-Type": TAXII},
        )  # fmt: skip
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return status

    def get(self, peer: str, **wishes: str) -> requests.Response:
        """GET the objects of its first collection as `peer`."""
        return requests.get(
            self.objects_url(), params=wishes, auth=self.welcome(peer), headers={"Accept": TAXII}, timeout=30
        )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What SQL finds in its store."""
        with closing(sqlite3.connect(f"file:{self.files.store}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, values).fetchall()


def introduce(host: Node, guest_name: str, guest: Node, host_name: str) -> None:
    """Give `guest` an account on `host`, and tell it how it is known there."""
    give_login(guest.config, host_name, host.welcome(guest_name))


@contextmanager
def started(nodes: Iterable[Node], options: Mapping[str, Sequence[str]] | None = None) -> Iterator[None]:
    """All of them running and answering; they stop with the block."""
    with ExitStack() as stack:
        for node in nodes:
            log = node.folder / "exchange.log"
            more = (options or {}).get(node.files.name, ())
            node.child = stack.enter_context(run_exchange(node.config, node.files.port, log, *more))
        yield
