"""The real processes: one command starts both, a dead one comes back, SIGTERM ends all, nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import samples
from lab.feed import Feed, feed
from lab.proc import parts

from tests.acceptance.node import Node, group_of, kill, until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def circl(tmp_path: Path) -> Iterator[Feed]:
    """CIRCL's feed, with three events."""
    with feed(tmp_path / "feed", samples.circl_feed()[:3]) as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, circl: Feed) -> Node:
    """A node that takes CIRCL's feed and serves SOC."""
    return Node(tmp_path, circl.url)


def test_one_command_takes_in_and_serves(node: Node) -> None:
    """What the feed holds is read over TAXII; SIGTERM ends everything with 0, within ten seconds, without orphans."""
    secret = node.command("subscriber", "add", "--peer", "soc")["secret"]
    with node.start() as running:
        running.wait_until(node.answers)
        until(lambda: len(node.objects(secret)) > 50, "objects of the feed are served")
        before = time.monotonic()
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(15) == 0
        assert time.monotonic() - before < 10
        until(lambda: group_of(running.pid) == [], "no process is left")
    assert {line["state"] for line in node.command("peers")["lines"]} == {"ok"}


def test_a_dead_part_is_started_again(node: Node) -> None:
    """kill -9 of either part: the supervisor starts it again, and the work goes on."""
    secret = node.command("subscriber", "add", "--peer", "soc")["secret"]
    with node.start() as running:
        running.wait_until(node.answers)
        for part in ("serve", "sync"):
            old = parts(running.pid)[part]
            kill(old)
            until(lambda part=part, old=old: parts(running.pid).get(part, old) != old, f"{part} is back")
        until(node.answers, "it answers again")
        until(lambda: len(node.objects(secret)) > 50, "and takes in again")


def test_the_parts_die_with_their_supervisor(node: Node) -> None:
    """kill -9 of the supervisor leaves no part behind."""
    with node.start() as running:
        running.wait_until(node.answers)
        kill(running.pid)
        until(lambda: group_of(running.pid) == [], "no process is left")


def test_a_second_instance_does_no_double_work(node: Node, circl: Feed) -> None:
    """Two schedulers on one store: each event is fetched once, because a lease is held by one."""
    with node.start("--only", "sync"), node.start("--only", "sync"):
        until(lambda: Path(node.folder.parent / "exchange.db").exists(), "the store is there")
        until(lambda: len({request.path for request in circl.site.seen}) > 3, "every event was fetched")
        begun = circl.site.count("/manifest.json")
        until(lambda: circl.site.count("/manifest.json") > begun + 4, "several rounds were made")
    asked = Counter(request.path for request in circl.site.seen)
    events = {path: count for path, count in asked.items() if "manifest" not in path}
    assert len(events) == 3
    assert set(events.values()) == {1}


def test_the_http_side_needs_no_secret_of_a_peer(node: Node) -> None:
    """R29: `--only serve` starts although no peer's secret can be read."""
    with node.start("--only", "sync"):
        until((node.folder.parent / "exchange.db").exists, "the store is made")
        (node.folder.parent / "circl.secret").unlink()
        with node.start("--only", "serve") as serving:
            serving.wait_until(node.answers)


def test_the_brake_acts_on_served_pages(node: Node) -> None:
    """R31: paused, the next request gets 503; resumed, it is served; both without a restart."""
    secret = node.command("subscriber", "add", "--peer", "soc")["secret"]
    with node.start() as running:
        running.wait_until(node.answers)
        until(lambda: len(node.objects(secret)) > 0, "something is served")
        path = "/api/collections/partenaires/objects/"
        node.command("pause", "soc", "--out", "--why", "drill")
        refused = node.get(path, secret)
        assert refused.status_code == 503
        assert "Retry-After" in refused.headers
        assert node.command("peers")["brakes"][0]["why"] == "drill"
        node.command("resume", "soc", "--out")
        assert node.get(path, secret).status_code == 200


def test_a_revoked_account_is_shut_on_its_next_request(node: Node) -> None:
    """R24, R28: rotate keeps the old secret for the time stated; revoke acts at once."""
    first = node.command("subscriber", "add", "--peer", "soc", "--name", "siem")["secret"]
    with node.start() as running:
        running.wait_until(node.answers)
        second = node.command("subscriber", "rotate", "siem", "--keep-hours", "1")["secret"]
        assert node.get("/taxii2/", first).status_code == 200
        assert node.get("/taxii2/", second).status_code == 200
        third = node.command("subscriber", "rotate", "siem", "--keep-hours", "0")["secret"]
        assert node.get("/taxii2/", second).status_code == 401
        node.command("subscriber", "revoke", "siem")
        assert node.get("/taxii2/", third).status_code == 401


def test_a_broken_configuration_is_told_and_not_restarted(node: Node) -> None:
    """A mistake in the configuration ends the command with 78 (EX_CONFIG), naming file and key."""
    (node.folder / "peers" / "soc.toml").write_text('nom = "SOC"\n')
    report = node.command("check", code=78)
    assert {problem["file"] for problem in report["problems"]} == {"peers/soc.toml"}
    with node.start() as running:
        assert running.wait(30) == 78
    assert "soc.toml" in node.log.read_text()
