"""A fresh node for an outside tester, in the foreground until Ctrl-C or SIGTERM; what is printed is TOML.

    python -m lab.target conformance --port 8080                 # make conformance-target PORT=8080
    python -m lab.target bench --port 8080 --store /tmp/big.db   # make bench-target PORT=8080 STORE=/tmp/big.db

It is the ordinary `exchange run` with an ordinary configuration (RULES R30).
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import requests
from argon2 import PasswordHasher

from exchange.store import accounts, micros, open_store
from lab.child import Child, ChildError
from lab.round import command, free_port, run_exchange
from lab.target_files import CONFORMANCE, LOAD, TESTERS, Shelf, numbered, write
from lab.texts import language

PASSWORD = "secret"  # noqa: S105 - everybody may know it: the node is reached from this machine alone
TEXTS: Mapping[str, Mapping[str, str]] = {
    "fr": {
        "conformance": "Nœud prêt pour une suite de conformité TAXII 2.1. Ctrl-C l’arrête et efface tout.",
        "bench": "Nœud prêt pour des essais de charge. Ctrl-C l’arrête.",
        "busy": "Le port {port} est déjà pris sur 127.0.0.1.",
        "stopped": "Tout est arrêté.",
    },
    "en": {
        "conformance": "A node for a TAXII 2.1 conformance suite is ready. Ctrl-C stops it and erases everything.",
        "bench": "A node for load tests is ready. Ctrl-C stops it.",
        "busy": "Port {port} is already in use on 127.0.0.1.",
        "stopped": "Everything has stopped.",
    },
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Accounts = Sequence[tuple[str, str]]


def main() -> int:
    """Run the target that was asked for; 0 when it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m lab.target", description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=("conformance", "bench"))
    parser.add_argument("--port", type=int, default=0, help="where it listens on 127.0.0.1; 0: a free port")
    parser.add_argument("--store", default="", help="bench: a SQLite file or a URL to keep; else a new one, erased")
    given = parser.parse_args()
    texts = TEXTS[language()]
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        port = given.port or free_port()
        if not _is_free(port):
            print(texts["busy"].format(port=port), file=sys.stderr)
            return 1
        with _target(given.kind, port, given.store) as (node, about):
            print(f"# {texts[given.kind]}\n{about}", flush=True)
            node.wait()
            node.wait_until(lambda: False)  # it has ended by itself: says so, with the end of its log
    except KeyboardInterrupt:
        print(f"# {texts['stopped']}", flush=True)
    except ChildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _interrupt(_: int, __: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not disturb the cleaning up
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def _target(kind: str, port: int, store: str) -> Iterator[tuple[Child, str]]:
    """The running node, and what a tester needs to know of it."""
    with tempfile.TemporaryDirectory(prefix="exchange-target-") as temporary:
        folder = Path(temporary)
        if kind == "conformance":
            url = f"sqlite:///{folder}/exchange.db"
            shelves, config = CONFORMANCE, folder / "etc"
            write(config, shelves, [*TESTERS, "other"], port=port, store=url)
            people: Accounts = [(name, PASSWORD) for name in TESTERS]
            _let_in(url, people)
        else:
            shelves, config = LOAD, folder / "etc"
            write(config, shelves, ["load"], port=port, store=_url(store, folder))
            if store and command(config, "versions"):
                command(config, "apply", "--yes")  # a kept store runs what was applied, on the port of then
            people = [_generated(config, "load")]
        with run_exchange(config, port, folder / "exchange.log") as node:
            node.wait_until(lambda: _decided(port, shelves, people))
            yield node, _about(port, shelves, people)


def _url(store: str, folder: Path) -> str:
    if "://" in store:
        return store
    return f"sqlite:///{Path(store).resolve() if store else folder / 'exchange.db'}"


def _let_in(url: str, people: Accounts) -> None:
    """Accounts with a password that people choose, each of the peer of its name (RULES R28)."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    store = open_store(url)
    try:
        with store.writing() as tx:
            for name, password in people:
                accounts.open_account(tx, name, name, hasher.hash(password), micros(datetime.now(UTC)))
    finally:
        store.close()


def _generated(config: Path, name: str) -> tuple[str, str]:
    """An account with a generated secret; one that a kept store knows already gets a new one."""
    there = any(account["name"] == name for account in command(config, "subscriber", "list"))
    words = ("rotate", name, "--keep-hours", "0") if there else ("add", "--peer", name, "--name", name)
    answer = command(config, "subscriber", *words)
    return answer["name"], answer["secret"]


def _decided(port: int, shelves: Mapping[int, Shelf], people: Accounts) -> bool:
    """Whether every collection answers: a new node needs a moment to adopt its terms (RULES R19)."""
    name, password = people[0]
    readable = [number for number, shelf in shelves.items() if name in shelf.readers]
    urls = [f"http://127.0.0.1:{port}/api/collections/{numbered(number)}/objects/" for number in readable]
    return all(requests.get(url, auth=(name, password), timeout=10).ok for url in urls)


def _about(port: int, shelves: Mapping[int, Shelf], people: Accounts) -> str:
    base = f"http://127.0.0.1:{port}"
    lines = [f'discovery = "{base}/taxii2/"', f'api_root  = "{base}/api/"']
    for name, password in people:
        lines += ["", "[[account]]", f"user     = {json.dumps(name)}", f"password = {json.dumps(password)}"]
    for number, shelf in shelves.items():
        rights = ", ".join(f"{name} = {json.dumps(shelf.rights(name))}" for name, _ in people)
        lines += ["", "[[collection]]", f'id     = "{numbered(number)}"', f"rights = {{ {rights} }}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
