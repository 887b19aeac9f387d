"""Real TAXII 2.1 servers of others, as subprocesses on loopback: medallion plays CCC, OpenTAXII plays CERT-EE.

    with medallion(folder, alertes=samples.ccc()) as ccc: ...
    with opentaxii(folder, hoiatused=samples.cert_ee()) as cert_ee: ...

Both come up with an account for us, one collection to read and one to write, and stop with the block. A test that
wants news at a source opens that collection too: `writable=("alertes", "depot")`, then `ccc.post("alertes", …)`.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from lab import opentaxii_store
from lab.child import Child
from lab.medallion_content import medallion_content
from lab.venvs import HOME, python_of

TAXII = "application/taxii+json;version=2.1"
ACCOUNT = "cert-qc"  # how the partners know us

ALERTES = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
DEPOT = "52892447-4d7e-4f70-b94d-d7f22742ff63"
HOIATUSED = "3f8c2d56-0b1e-4c7a-9e64-5d2a7b90c1e4"  # Estonian: warnings
POSTKAST = "b6e1a9d4-72f5-4d03-8a1b-c94e60f7d285"  # Estonian: letterbox

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A TAXII server that answers, and our account on it."""

    name: str
    url: str  # of the API root, with its slash
    discovery: str
    user: str
    password: str = field(repr=False)
    collections: Mapping[str, str]  # name -> id
    child: Child = field(repr=False)

    def objects_url(self, collection: str) -> str:
        """Where the objects of the collection of that name are."""
        return f"{self.url}collections/{self.collections[collection]}/objects/"

    def get(self, url: str, **parameters: str) -> requests.Response:
        """One authenticated GET, whatever its status."""
        return requests.get(
            url, params=parameters, auth=(self.user, self.password), headers={"Accept": TAXII}, timeout=30
        )

    def objects(self, collection: str, **filters: str) -> list[dict[str, Any]]:
        """All objects of a collection that `filters` leave, by following `next`."""
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            answer = self.get(self.objects_url(collection), **filters, **more)
            answer.raise_for_status()
            page = answer.json()
            found += page.get("objects", [])
            if not page.get("more"):
                return found
            more = {"next": page["next"], "limit": "100"}  # medallion refuses `next` without `limit`

    def post(self, collection: str, objects: Sequence[Object], size: int = 100) -> list[dict[str, Any]]:
        """Add objects, `size` an envelope; the status resources."""
        statuses = []
        for start in range(0, len(objects), size):
            answer = requests.post(
                self.objects_url(collection),
                data=json.dumps({"objects": list(objects[start : start + size])}),
                auth=(self.user, self.password),
                headers={"Accept": TAXII, "Content-Type": TAXII},
                timeout=60,
            )
            answer.raise_for_status()
            statuses.append(answer.json())
        return statuses


@contextmanager
def medallion(
    root: Path,
    port: int = 0,
    *,
    alertes: Iterable[Object] = (),
    writable: Collection[str] = ("depot",),
    home: Path = HOME,
) -> Iterator[Partner]:
    """CCC: medallion 3.0.0 with its memory backend, everything in `root`."""
    root.mkdir(parents=True, exist_ok=True)
    python = python_of("medallion", home)
    password = secrets.token_hex(20)
    with _listening(port) as (listener, base):
        content = medallion_content(base, {"alertes": (ALERTES, alertes), "depot": (DEPOT, ())}, writable)
        (root / "content.json").write_text(json.dumps(content))
        settings = {
            "backend": {
                "module": "medallion.backends.memory_backend",
                "module_class": "MemoryBackend",
                "filename": str(root / "content.json"),
            },
            "users": {ACCOUNT: password},
            "taxii": {"max_page_size": 100},
        }
        (root / "medallion.json").write_text(json.dumps(settings))
        app = f"medallion:load_app({str(root / 'medallion.json')!r})"
        child = _gunicorn(python, app, listener, root / "medallion.log")
    with child:
        partner = Partner(
            name="CCC",
            url=f"{base}api1/",
            discovery=f"{base}taxii2/",
            user=ACCOUNT,
            password=password,
            collections={"alertes": ALERTES, "depot": DEPOT},
            child=child,
        )
        child.wait_until(lambda: _answers(partner))
        yield partner


@contextmanager
def opentaxii(
    root: Path,
    port: int = 0,
    *,
    hoiatused: Iterable[Object] = (),
    writable: Collection[str] = ("postkast",),
    home: Path = HOME,
) -> Iterator[Partner]:
    """CERT-EE: OpenTAXII 0.10.0b1 on SQLite, TAXII 2.1 only, everything in `root`."""
    root.mkdir(parents=True, exist_ok=True)
    python = python_of("opentaxii", home)
    password = secrets.token_hex(20)
    database = root / "opentaxii.db"
    with _listening(port) as (listener, base):
        # JSON is YAML, which OpenTAXII reads.
        (root / "opentaxii.yml").write_text(json.dumps(opentaxii_store.settings(base, database)))
        env = {"OPENTAXII_CONFIG": str(root / "opentaxii.yml")}
        child = _gunicorn(python, "opentaxii.http:app", listener, root / "opentaxii.log", env)
    with child:
        partner = Partner(
            name="CERT-EE",
            url=f"{base}taxii2/{opentaxii_store.API_ROOT}/",
            discovery=f"{base}taxii2/",
            user=ACCOUNT,
            password=password,
            collections={"hoiatused": HOIATUSED, "postkast": POSTKAST},
            child=child,
        )
        child.wait_until(lambda: _answers(partner, anonymous=True))  # by then it has made its tables
        opentaxii_store.furnish(
            database,
            account=(ACCOUNT, password),
            collections={
                name: (id_, ["read", "write"] if name in writable else ["read"])
                for name, id_ in partner.collections.items()
            },
        )
        opentaxii_store.load(database, HOIATUSED, hoiatused)
        child.wait_until(lambda: _answers(partner))
        yield partner


def _answers(partner: Partner, *, anonymous: bool = False) -> bool:
    try:
        if anonymous:
            return requests.get(partner.discovery, headers={"Accept": TAXII}, timeout=5).ok
        return partner.get(partner.url).ok
    except requests.RequestException:
        return False


@contextmanager
def _listening(port: int) -> Iterator[tuple[socket.socket, str]]:
    """A bound socket to hand to a child: its port is known before the child starts and nobody can take it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _gunicorn(
    python: Path, app: str, listener: socket.socket, log: Path, env: Mapping[str, str] | None = None
) -> Child:
    # One process that answers one request at a time: medallion's memory has no locks.
    options = ["--bind", f"fd://{listener.fileno()}", "--workers", "1", "--worker-class", "sync"]
    quiet = ["--no-control-socket", "--log-level", "warning"]
    command = ["-I", "-m", "gunicorn", *options, *quiet, app]
    return Child([python, *command], log=log, cwd=log.parent, env=env, pass_fds=[listener.fileno()])
