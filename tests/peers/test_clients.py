"""Programs of others against our server, as they are: cytaxii2 as a subscriber, schemathesis as an examiner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import requests
from doubles import TAXII, indicator
from lab.child import Child
from lab.target_files import numbered
from lab.venvs import python_of

pytestmark = pytest.mark.peers

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WRITER, PASSWORD = ACCOUNT = "writer", "secret"
READ_ONLY = 4
COLLECTIONS = {number: numbered(number) for number in range(1, 6)}
SOAK = bool(os.environ.get("EXCHANGE_SOAK"))
HUNG = 1_800.0 if SOAK else 300.0
EXAMPLES = "100" if SOAK else "4"
"""Requests of its own invention to each operation, beside those that go along every bound of the description."""


@pytest.fixture(scope="module")
def discovery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a conformance target of our own, on a port of its own."""
    folder = tmp_path_factory.mktemp("target")
    log = folder / "said.toml"
    command = [sys.executable, "-m", "lab.target", "conformance"]
    with Child(command, log=log, cwd=ROOT, env={"TMPDIR": str(folder)}) as child:
        child.wait_until(lambda: "[[collection]]" in log.read_text(encoding="utf-8"))
        yield tomllib.loads(log.read_text(encoding="utf-8"))["discovery"]


def run(folder: Path, words: list[str], given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A program in the environment of the clients; whatever it writes goes to `folder`."""
    return subprocess.run(
        [python_of("clients"), *words], cwd=folder, env=os.environ | variables, input=given,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=HUNG, check=False,
    )  # fmt: skip


def objects_url(discovery: str, number: int) -> str:
    return discovery.replace("/taxii2/", f"/api/collections/{COLLECTIONS[number]}/objects/")


def test_cytaxii2_finds_posts_and_reads(discovery: str, tmp_path: Path) -> None:
    """Every object once and value for value (R20), errors that its reader understands, and no exception."""
    now = {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z"}
    sent = [
        *(indicator(number) for number in range(901, 904)),
        {"type": "malware", "spec_version": "2.1", "id": "malware--8f4c9c8e-2f0d-4f5f-9d0b-0d9b3c5a7e11", **now}
        | {"is_family": False, "name": "Rançongiciel été ✓"},
        {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}
        | {"value": "198.51.100.3"},
    ]
    given = {
        "discovery": discovery, "user": WRITER, "password": PASSWORD, "collection": COLLECTIONS[3],
        "closed": COLLECTIONS[READ_ONLY],
        "bundle": {"type": "bundle", "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", "objects": sent},
    }  # fmt: skip
    done = run(tmp_path, [str(HERE / "cytaxii2_visit.py")], json.dumps(given))
    assert done.returncode == 0, done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    pages = found.pop("pages")
    codes = {step: each["status_code"] for step, each in found.items()}
    told = {step: each["response"] for step, each in found.items()}
    other = {"posted": 202, "refused": 403, "absent": 404, "stranger": 401}
    assert codes == {step: other.get(step, 200) for step in codes}
    assert told["discovery"]["api_roots"] == [told["discovery"]["default"]]
    assert told["root"]["versions"] == [TAXII]
    assert {each["id"] for each in told["collections"]["collections"]} == set(COLLECTIONS.values())
    assert (told["collection"]["can_read"], told["collection"]["can_write"]) == (True, True)
    assert (told["posted"]["success_count"], told["posted"]["total_count"]) == (len(sent), len(sent))
    assert told["status"] == told["posted"]

    def ours(answer: dict[str, Any]) -> list[dict[str, Any]]:
        """Others may have put something there too."""
        return [each for each in answer.get("objects", ()) if each["id"] in {one["id"] for one in sent}]

    read = [ours(each["response"]) for each in pages]
    order = [each for page in read for each in page]
    assert sorted(order, key=itemgetter("id")) == sorted(sent, key=itemgetter("id"))
    assert all(len(each["response"]["objects"]) == 2 for each in pages[:-1])
    assert ours(told["since"]) == order[len(read[0]) :]
    assert [each["id"] for each in told["manifest"]["objects"]] == [each["id"] for each in order]
    assert told["by_id"]["objects"] == [sent[1]]
    assert told["by_ids"]["objects"] == [each for each in order if each in (sent[0], sent[3])]
    assert ours(told["by_type"]) == [sent[3]]
    assert "objects" not in told["none"]
    assert all(told[step]["http_status"] == str(codes[step]) for step in ("refused", "absent", "stranger"))


def there(discovery: str) -> dict[str, Any]:
    """Put something to read and to delete into every collection that takes it, and say what is there."""
    given = [indicator(number) for number in range(1, 20)]
    ids = [each["id"] for each in given]
    for number in COLLECTIONS.keys() - {READ_ONLY}:
        answer = requests.post(
            objects_url(discovery, number), json={"objects": given}, auth=ACCOUNT, timeout=30,
            headers={"Accept": TAXII, "Content-Type": TAXII},
        )  # fmt: skip
        assert answer.json()["success_count"] == len(given), answer.text
    kept, long_ago = ids[:3], "2020-01-01T00:00:00Z"
    return {
        "paths": {"name": [*COLLECTIONS.values()], "object_id": kept, "status_id": [answer.json()["id"]]},
        "delete": {"object_id": ids[3:]},  # what one request deletes the others must still find
        "query": {
            "added_after": long_ago,
            "next": long_ago,
            "match.id": ",".join(kept),
            "match.type": "indicator,malware",
            "match.spec_version": "2.1",
            "match.version": "all",
        },
        "envelope": {"objects": [indicator(99)]},
    }


def test_schemathesis_finds_nothing(discovery: str, tmp_path: Path) -> None:
    """No answer differs from the published description, and no request that it forbids is accepted."""
    words = ["--config-file", str(HERE / "schemathesis.toml"), "run", discovery.replace("/taxii2/", "/openapi.json"),
             "--max-examples", EXAMPLES]  # fmt: skip
    done = run(
        tmp_path, ["-m", "schemathesis.cli", *words, "--auth", ":".join(ACCOUNT), "--no-color"],
        PYTHONPATH=str(HERE), WHAT_IS_THERE=json.dumps(there(discovery)),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout, done.stdout
