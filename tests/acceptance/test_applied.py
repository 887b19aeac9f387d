"""The real processes run on what was applied: an edited file changes nothing, a broken one stops nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import samples
from lab.feed import Feed, feed

from tests.acceptance.node import Node, until

pytestmark = pytest.mark.acceptance
SOON = 5.0
"""Seconds in which a running node follows (it looks several times a second; the machine may be busy)."""


@pytest.fixture
def circl(tmp_path: Path) -> Iterator[Feed]:
    """CIRCL's feed, with two events."""
    with feed(tmp_path / "feed", samples.circl_feed()[:2]) as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, circl: Feed) -> Node:
    """A node that takes CIRCL's feed and serves SOC."""
    return Node(tmp_path, circl.url)


def edit(node: Node, file: str, old: str, new: str) -> None:
    path = node.folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_running_node_follows_what_is_applied_and_survives_a_broken_file(node: Node) -> None:
    """Edited: nothing. Applied: within seconds, in both processes. Broken and restarted: the last good one. Back."""
    secret = node.command("subscriber", "add", "--peer", "soc")["secret"]
    path = "/api/collections/partenaires/objects/"
    with node.start() as running:
        running.wait_until(node.answers)
        until(lambda: len(node.objects(secret)) > 10, "objects are served")
        assert [version["id"] for version in node.command("versions")] == [1]
        edit(node, "collections/partenaires.toml", 'readers = ["soc"]', "readers = []")
        assert node.command("plan")["changes"][0]["before"] == "soc"
        assert node.command("peers")["configuration"]["differing"] == ["collections/partenaires.toml"]
        assert node.get(path, secret).status_code == 200
        done = node.command("apply", "--why", "SOC reads no more")
        assert (done["version"], done["followed"]) == (2, True)
        before = time.monotonic()
        until(lambda: node.get(path, secret).status_code == 404, "the HTTP side follows")
        assert time.monotonic() - before < SOON
        (node.folder / "exchange.toml").write_text("[node")
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(15) == 0
    with node.start() as running:
        running.wait_until(node.answers)
        assert node.get(path, secret).status_code == 404
        assert "exchange check" in node.log.read_text()
        node.command("check", code=78)
        assert node.command("rollback", "1", "--why", "SOC reads again")["version"] == 3
        until(lambda: len(node.objects(secret)) > 10, "what was listed is listed again")
        assert node.command("peers")["configuration"]["mistakes"] == 1
