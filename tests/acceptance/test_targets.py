"""The nodes for outside testers: what each account may do, what is released, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from lab.child import Child
from lab.round import free_port
from lab.samples.markings import RED
from lab.target_files import CONFORMANCE, TESTERS, numbered, write

from tests.acceptance.node import group_of, until

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
TAXII = "application/taxii+json;version=2.1"
WRITER, READER, OUTSIDER = TESTERS
STATUSES = {  # account → status of reading and of writing collections 1 to 6
    WRITER: ([200, 200, 200, 200, 403, 404], [202, 202, 202, 403, 202, 404]),
    READER: ([200, 404, 404, 404, 404, 404], [403, 404, 404, 404, 404, 404]),
    OUTSIDER: ([404] * 6, [404] * 6),
}


@dataclass(frozen=True)
class Target:
    """A running target: its process, where its temporary files go, and what it printed."""

    child: Child
    folder: Path
    about: dict[str, Any]

    def ask(self, method: str, path: str, account: str, body: object = None) -> requests.Response:
        """One request of this account."""
        password = next(each["password"] for each in self.about["account"] if each["user"] == account)
        return requests.request(
            method, self.about["api_root"] + path, json=body, auth=(account, password), timeout=30,
            headers={"Accept": TAXII, "Content-Type": TAXII},
        )  # fmt: skip

    def post(self, number: int, account: str, *objects: object) -> requests.Response:
        """An envelope with these objects."""
        return self.ask("POST", f"collections/{numbered(number)}/objects/", account, {"objects": objects})

    def objects(self, number: int, account: str) -> list[dict[str, Any]]:
        """What the account reads there."""
        answer = self.ask("GET", f"collections/{numbered(number)}/objects/", account)
        assert answer.status_code == 200, answer.text
        return list(answer.json().get("objects", []))


@contextmanager
def target(folder: Path, kind: str, *words: str) -> Iterator[Target]:
    """Start one as `make` does, and wait until it has said that it is ready."""
    temporary, log = folder / "tmp", folder / "said.toml"
    temporary.mkdir(parents=True)
    command = [sys.executable, "-m", "lab.target", kind, *words]
    with Child(command, log=log, cwd=ROOT, env={"TMPDIR": str(temporary), "LC_ALL": "en_CA.UTF-8"}) as child:
        child.wait_until(lambda: "[[collection]]" in log.read_text(encoding="utf-8"))
        yield Target(child, temporary, tomllib.loads(log.read_text(encoding="utf-8")))


def end(running: Target, number: signal.Signals = signal.SIGTERM) -> int:
    """Send a signal to the target itself; its exit code."""
    os.kill(running.child.pid, number)
    return running.child.wait(30)


@pytest.fixture(scope="module")
def conformance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """`make conformance-target`."""
    with target(tmp_path_factory.mktemp("conformance"), "conformance", "--port", str(free_port())) as running:
        yield running


def indicator(**more: object) -> dict[str, object]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": "[domain-name:value = 'target.example']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        **more,
    }


@pytest.mark.parametrize("account", TESTERS)
def test_each_account_may_do_what_was_promised(conformance: Target, account: str) -> None:
    """1 to 3 read-write, 4 read-only, 5 write-only, 6 closed, as `writer` sees them; what is not theirs is absent."""
    reads, writes = STATUSES[account]
    paths = [f"collections/{numbered(number)}/objects/" for number in CONFORMANCE]
    assert [conformance.ask("GET", path, account).status_code for path in paths] == reads
    assert [conformance.post(number, account, indicator()).status_code for number in CONFORMANCE] == writes
    told = conformance.ask("GET", "collections/", account).json().get("collections", [])
    assert {each["id"]: (each["can_read"], each["can_write"]) for each in told} == {
        numbered(number): (read == 200, write == 202)
        for number, read, write in zip(CONFORMANCE, reads, writes, strict=True)
        if (read, write) != (404, 404)
    }


def test_everybody_has_the_same_password_and_needs_it(conformance: Target) -> None:
    """R28: a password that people choose belongs to its account; another one is refused."""
    assert {each["password"] for each in conformance.about["account"]} == {"secret"}
    wrong = requests.get(conformance.about["api_root"], auth=(WRITER, "other"), timeout=10)
    assert wrong.status_code == 401


def test_custom_unmarked_and_strangely_marked_objects_are_released(conformance: Target) -> None:
    """R30: by an ordinary agreement, value for value."""
    now = {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z"}
    given = [
        indicator(),
        indicator(object_marking_refs=[RED]),
        indicator(object_marking_refs=[f"marking-definition--{uuid.uuid4()}"]),
        indicator(x_ours={"deep": [1, 2.5, None, "é"]}),
        {"type": "x-thing", "spec_version": "2.1", "id": f"x-thing--{uuid.uuid4()}", **now, "value": [True]},
        {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{uuid.uuid4()}", "value": "192.0.2.1"},
    ]
    status = conformance.post(1, WRITER, *given).json()
    assert (status["success_count"], status["failure_count"], status["pending_count"]) == (len(given), 0, 0)
    for account in (WRITER, READER):
        found = {each["id"]: each for each in conformance.objects(1, account)}
        assert [found.get(str(each["id"])) for each in given] == given


def test_its_terms_are_refused_where_others_can_reach_the_node(tmp_path: Path) -> None:
    """R30: `check` permits them on loopback only."""
    config = write(tmp_path / "etc", CONFORMANCE, [*TESTERS, "other"], port=8080, store=f"sqlite:///{tmp_path}/x.db")
    check = [sys.executable, "-m", "exchange", "check", "--json", "--config", str(config)]
    assert subprocess.run(check, capture_output=True, check=False, timeout=60).returncode == 0
    node = config / "exchange.toml"
    opened = node.read_text().replace('"http://127.0.0.1:8080"', '"https://taxii.example"')
    node.write_text(opened, encoding="utf-8")
    done = subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "config.any_marking" in done.stdout
    assert "config.red_and_unmarked" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, no process, no file."""
    port = free_port()
    with target(tmp_path, "bench", "--port", str(port)) as running:
        assert end(running, number) == 0
        until(lambda: group_of(running.child.pid) == [], "no process is left")
        assert list(running.folder.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_kept_store_keeps_its_objects_and_not_its_secrets(tmp_path: Path) -> None:
    """Another start on the same store: the objects are there, the account has a new secret, the old one is dead."""
    store, secrets = tmp_path / "kept.db", []
    for number in range(2):
        with target(tmp_path / str(number), "bench", "--store", str(store)) as running:
            (account,) = running.about["account"]
            assert running.post(1, account["user"], indicator()).json()["success_count"] == 1
            assert len(running.objects(1, account["user"])) == number + 1
            for old in secrets:
                assert requests.get(running.about["api_root"], auth=("load", old), timeout=10).status_code == 401
            secrets.append(account["password"])
            assert end(running) == 0
    assert store.exists()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """In one line, and the target does not start."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "lab.target", "conformance", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert port in done.stderr
    assert len(done.stderr.splitlines()) == 1
