"""One whole round for tests: the four partners with our samples, the real `exchange run`, and readers at every end.

with exchange_round(folder) as going:
    going.drained()
    assert not repeated(going.collection("circl", PARTENAIRES).by_next())
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from exchange.config import load
from exchange.store import PATIENCE, open_store
from exchange.sync.overview import Line, overview
from lab import samples
from lab.child import Child, ChildError
from lab.feed import feed
from lab.misp import misp
from lab.partners import medallion, opentaxii
from lab.reading import Reader
from lab.scenario import Partners, Terms, write_configuration

CLI = [sys.executable, "-m", "exchange"]
READERS = ("ccc", "cert-ee", "circl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A running node between its partners; `accounts`: peer → name and secret of its subscriber."""

    partners: Partners
    config: Path
    url: str
    exchange: Child
    accounts: dict[str, tuple[str, str]] = field(repr=False)

    def command(self, *words: str) -> Any:
        """Run a command of `exchange` with `--json`; its answer."""
        return command(self.config, *words)

    def lines(self) -> list[dict[str, Any]]:
        """How we stand with each source and target."""
        lines: list[dict[str, Any]] = self.command("peers")["lines"]
        return lines

    def drained(self, patience: float = 60.0, *, pushed: bool = True) -> list[dict[str, Any]]:
        """Wait until every source has been taken whole and (`pushed`) nothing waits to leave; the lines then."""
        until = time.monotonic() + patience
        settings = load(self.config)
        # Not asked of the command: to start it over and over would take more of the machine than the round itself.
        with closing(open_store(settings.store.url, create=False, wait=PATIENCE)) as store:
            while not _settled(lines := overview(store, settings.terms, datetime.now(UTC)), pushed=pushed):
                if not self.exchange.running or time.monotonic() > until:
                    tail = self.exchange.log.read_text(errors="replace").splitlines()[-15:]
                    raise ChildError("\n  ".join(["the round is not complete:", *map(str, lines), *tail]))
                time.sleep(0.3)
        return self.lines()

    def collection(self, peer: str, collection: str) -> Reader:
        """A collection of ours as the account of `peer` reads it."""
        return Reader(f"{self.url}api/collections/{collection}/", *self.accounts[peer])

    def get(self, path: str, peer: str) -> requests.Response:
        """GET `path` as the account of `peer`."""
        bearer = {"Authorization": f"Bearer {self.accounts[peer][1]}", "Accept": "application/taxii+json;version=2.1"}
        return requests.get(self.url + path, headers=bearer, timeout=30)


@contextmanager
def exchange_round(folder: Path, *, terms: Terms | None = None) -> Iterator[Round]:
    """Start everything in `folder`; it stops with the block."""
    with ExitStack() as stack:
        partners = Partners(
            ccc=stack.enter_context(medallion(folder / "ccc", alertes=samples.ccc())),
            cert_ee=stack.enter_context(opentaxii(folder / "cert-ee", hoiatused=samples.cert_ee())),
            circl=stack.enter_context(misp(samples.circl_events())),
            osint=stack.enter_context(feed(folder / "feed", samples.circl_feed())),
        )
        port = free_port()
        config = write_configuration(folder / "etc", partners, port, terms=terms or Terms(every="2s"))
        accounts = {peer: account(config, peer) for peer in READERS}
        exchange = stack.enter_context(run_exchange(config, port, folder / "exchange.log"))
        yield Round(
            partners=partners, config=config, url=f"http://127.0.0.1:{port}/", exchange=exchange, accounts=accounts
        )


@contextmanager
def run_exchange(config: Path, port: int, log: Path, *options: str) -> Iterator[Child]:
    """`exchange run`, answering."""
    with Child([*CLI, "run", "--config", config, *options], log=log) as exchange:
        exchange.wait_until(lambda: _answers(port))
        yield exchange


def command(config: Path, *words: str, good: Sequence[int] = (0,)) -> Any:
    """Run a command of `exchange` with `--json`; its answer. Raises ChildError for any other exit code."""
    done = subprocess.run(
        [*CLI, *words, "--config", str(config), "--json"], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode not in good:
        raise ChildError(f"exchange {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def account(config: Path, peer: str) -> tuple[str, str]:
    """A new subscriber of this peer: name and secret."""
    added = command(config, "subscriber", "add", "--peer", peer)
    return added["name"], added["secret"]


def _settled(lines: Sequence[Line], *, pushed: bool) -> bool:
    ours = [line for line in lines if line.kind != "file"]
    taken = all(line.lag is not None for line in ours if line.direction == "in")
    return taken and not (pushed and any(line.waiting or line.state == "failing" for line in ours))


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    except requests.RequestException:
        return False
