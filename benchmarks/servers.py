"""The servers that are measured, each with one collection that we may read and write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from lab.partners import TAXII, medallion, opentaxii
from lab.round import account, free_port, run_exchange

COLLECTION = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
# An ordinary agreement that lets everything through; `check` allows it on loopback only (RULES R30).
_FILES = {
    "exchange.toml": """
[node]
name = "Bench"
identity = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
language = "en"
[store]
url = "sqlite:///{folder}/exchange.db"
[serve]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[sync]
outbound = true
every = "15m"
""",
    "peers/bench.toml": 'name = "Bench"\n',
    "agreements/bench.toml": """
title = "Bench"
parties = ["bench"]
from = 2025-01-01
until = 2099-01-01
purpose = "measurement"
[receive]
ceiling = "TLP:RED"
unmarked = "TLP:CLEAR"
[send]
ceiling = "TLP:RED"
""",
    "collections/bench.toml": f"""
id = "{COLLECTION}"
title = "Bench"
readers = ["bench"]
writers = ["bench"]
ceiling = "TLP:RED"
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under measurement: where its objects are, a session with our account, its process."""

    name: str
    url: str
    session: requests.Session
    pid: int


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    """`exchange run` with one collection."""
    port = free_port()
    for name, text in _FILES.items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(folder=folder, port=port))
    name_and_secret = account(folder / "etc", "bench")
    with run_exchange(folder / "etc", port, folder / "exchange.log") as child, _session(name_and_secret) as session:
        url = f"http://127.0.0.1:{port}/api/collections/{COLLECTION}/objects/"
        child.wait_until(lambda: session.get(url, timeout=10).ok)  # its audiences have been decided
        yield Server(name="exchange", url=url, session=session, pid=child.pid)


@contextmanager
def theirs(name: str, folder: Path) -> Iterator[Server]:
    """OpenTAXII or medallion, with an empty letterbox."""
    starting = opentaxii(folder) if name == "opentaxii" else medallion(folder)
    letterbox = "postkast" if name == "opentaxii" else "depot"
    with starting as partner, _session((partner.user, partner.password)) as session:
        yield Server(name=name, url=partner.objects_url(letterbox), session=session, pid=partner.child.pid)


@contextmanager
def _session(auth: tuple[str, str]) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = auth
        session.headers.update({"Accept": TAXII, "Content-Type": TAXII})
        yield session
