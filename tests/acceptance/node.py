"""A node of its own for a test: configuration in a folder, the real command, the real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from lab.child import Child
from lab.round import free_port

WAIT = 60.0
COLLECTION = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
FILES = {
    "exchange.toml": """
[node]
name = "CERT-QC"
identity = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
language = "en"
[store]
url = "sqlite:///{folder}/exchange.db"
[serve]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[sync]
outbound = true
every = "1s"
[warninglists]
enabled = false
""",
    "peers/circl.toml": """
name = "CIRCL"
identities = ["identity--55f6ea5e-2c60-40e5-964f-47a8950d210f"]
[[source]]
id = "osint"
kind = "misp-feed"
url = "{feed}"
[auth]
password = "file:{folder}/circl.secret"
user = "us"
""",
    "peers/soc.toml": 'name = "SOC"\n',
    "agreements/circl.toml": """
title = "CIRCL"
parties = ["circl"]
from = 2025-01-01
until = 2099-01-01
purpose = "test"
[receive]
ceiling = "TLP:AMBER"
unmarked = "TLP:GREEN"
""",
    "agreements/soc.toml": """
title = "SOC"
parties = ["soc"]
from = 2025-01-01
until = 2099-01-01
purpose = "test"
[send]
ceiling = "TLP:GREEN"
""",
    "collections/partenaires.toml": f"""
id = "{COLLECTION}"
title = "Partners"
readers = ["soc"]
ceiling = "TLP:GREEN"
""",
}


class Node:
    """One node: its configuration folder, its command, its HTTP side."""

    def __init__(self, folder: Path, feed: str) -> None:
        self.folder, self.port = folder / "etc", free_port()
        fields = {"folder": str(folder), "port": self.port, "feed": feed}
        for name, content in FILES.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.format(**fields), encoding="utf-8")
        secret = folder / "circl.secret"
        secret.write_text("only for the sync process")
        secret.chmod(0o600)
        self.log = folder / "exchange.log"

    def start(self, *options: str) -> Child:
        """`exchange run` with these options."""
        return Child([sys.executable, "-m", "exchange", "run", "--config", str(self.folder), *options], log=self.log)

    def command(self, *words: str, code: int = 0) -> Any:
        """Run a command with --json; its answer."""
        done = subprocess.run(
            [sys.executable, "-m", "exchange", *words, "--config", str(self.folder), "--json"],
            capture_output=True, text=True, check=False, timeout=WAIT, env={**os.environ, "LC_ALL": "en_CA.UTF-8"},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def get(self, path: str, secret: str = "") -> requests.Response:
        """GET `path` as the account with this secret."""
        headers = {"Accept": "application/taxii+json;version=2.1"}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=10)

    def objects(self, secret: str) -> list[dict[str, Any]]:
        """Every object of the collection."""
        answer = self.get(f"/api/collections/{COLLECTION}/objects/?limit=10000", secret)
        if answer.status_code == 503:
            return []  # it is being decided
        assert answer.status_code == 200, answer.text
        return list(answer.json().get("objects", []))

    def answers(self) -> bool:
        """Whether the HTTP side is there."""
        try:
            return self.get("/health").status_code == 200
        except requests.RequestException:
            return False


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something to become true."""
    deadline, pause = time.monotonic() + WAIT, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        pause.wait(0.05)


def group_of(pid: int) -> list[int]:
    """The processes of the group that `pid` leads."""
    found = []
    for task in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = task.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            found.append(int(task.parent.name))
    return found


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
