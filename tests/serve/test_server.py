"""Granian under the application: it answers, it stops in time with nothing left behind, and its workers die with it."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.util.retry import Retry

from exchange.store import open_store
from tests.serve.house import TAXII, WRITABLE, House
from tests.world import indicator

ROOT = Path(__file__).parents[2]
FACTORY = """
import os
from exchange.policy import Rules
from exchange.serve import Site, application
from exchange.store import open_store
from tests.serve.house import house_terms
from tests.world import NOW

def factory():
    rules = Rules(house_terms(), NOW)
    return application(Site(
        store=open_store(os.environ["TEST_STORE"], create=False), rules=lambda: rules, clock=lambda: NOW,
        public_url="", title="CERT-QC", max_content_length=100_000,
    ))
"""


class Running:
    """A server process and how to reach it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, token: str, noise: Path) -> None:
        self.process, self.port, self.noise = process, port, noise
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"
        # The socket listens at once, the workers import for a moment: connecting again is no wait of ours.
        adapter = requests.adapters.HTTPAdapter(max_retries=Retry(connect=30, backoff_factor=0.05, backoff_max=0.3))
        self.session.mount("http://", adapter)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    url = f"sqlite:///{tmp_path}/exchange.db"
    store = open_store(url)
    house = House(store)
    house.give(indicator())
    store.close()
    (tmp_path / "made.py").write_text(FACTORY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        "from exchange.serve import server; "
        f"server.run('made:factory', host='127.0.0.1', port={port}, workers=2, started=lambda: print('up', flush=True))"
    )
    with (tmp_path / "noise").open("wb") as noise:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"TEST_STORE": url, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=noise,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = Running(process, port, house.secrets["circl"], tmp_path / "noise")
        yield found
        found.session.close()
    finally:
        process.kill()
        process.wait(timeout=5)
        if process.stdout is not None:
            process.stdout.close()


def test_it_answers_and_stops_in_time(running: Running) -> None:
    """SIGTERM: exit code 0 within ten seconds, although a client keeps its connection open; no orphan, no noise."""
    assert running.session.get(running.url("/health")).json() == {"status": "ok"}
    answer = running.session.get(running.url("/api/collections/partenaires/objects/"))
    assert answer.headers["Content-Type"] == TAXII
    assert len(answer.json()["objects"]) == 1
    idle = http.client.HTTPConnection("127.0.0.1", running.port)
    idle.request("GET", "/health")
    assert idle.getresponse().read() == b'{"status":"ok"}'
    workers = running.workers()
    assert len(workers) == 2
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=10) == 0
    assert all(gone(pid) for pid in workers)
    assert running.noise.read_bytes() == b""
    idle.close()


def test_no_thread_of_ours_runs_while_workers_are_made(tmp_path: Path) -> None:
    """A worker is forked: a lock that another thread holds at that moment would never be released in it."""
    code = (
        "import os; from pathlib import Path; from exchange.serve import server\n"
        "def announce(*_):\n"
        "    me = os.getpid()\n"
        "    print(len(Path(f'/proc/{me}/task/{me}/children').read_text().split()), flush=True)\n"
        "    os._exit(0)\n"
        "server._announce = announce\n"
        "server.run('made:factory', host='127.0.0.1', port=0, workers=3, started=lambda: None)\n"
    )
    (tmp_path / "made.py").write_text("def factory():\n    return lambda environ, start: []\n")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == b"3\n"


def test_posts_over_the_wire(running: Running) -> None:
    """A body of known and of unknown length; one that is too large is refused and the server lives on."""
    body = json.dumps({"objects": [indicator("wire.example")]}).encode()
    headers = {"Content-Type": TAXII}

    def post(data: Any) -> requests.Response:
        return running.session.post(running.url(WRITABLE), data=data, headers=headers)

    assert post(body).json()["success_count"] == 1
    assert post(iter([body[:10], body[10:]])).json()["success_count"] == 1
    answer = post(body + b" " * 100_000)
    assert (answer.status_code, answer.json()["http_status"]) == (413, "413")
    assert running.session.get(running.url("/health")).status_code == 200


def test_the_workers_die_with_a_parent_that_is_killed(running: Running) -> None:
    assert running.session.get(running.url("/health")).status_code == 200
    workers = [os.pidfd_open(pid) for pid in running.workers()]
    running.process.kill()
    running.process.wait(timeout=5)
    poll = select.poll()
    for fd in workers:
        poll.register(fd, select.POLLIN)
        # The kernel says when the worker has ended; nothing here waits blindly.
        assert poll.poll(10_000), "a worker outlived its parent"
        poll.unregister(fd)
        os.close(fd)
