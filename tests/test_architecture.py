"""The shape of the house (DESIGN): the order of the rooms, one door in, one door out, no clock below the daemon."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import exchange

SOURCE = Path(exchange.__file__).parent
ROOT = SOURCE.parents[1]
FILES = [path.relative_to(SOURCE).as_posix() for path in sorted(SOURCE.rglob("*.py"))]
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"), ("time", "time_ns")}
# The daemon gives the time to everything below it; the terminal gives it to the commands; the site has a default.
HAVE_A_CLOCK = {"daemon.py", "cli/terminal.py"}


@cache
def trees() -> dict[str, ast.Module]:
    """The whole source, by file."""
    return {file: ast.parse((SOURCE / file).read_text(encoding="utf-8")) for file in FILES}


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, tuple[str, str]]]:
    """Every call, with the last two names of what is called: `a.b.c()` → (b, c)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                owner = function.value
                before = getattr(owner, "attr", getattr(owner, "id", ""))
                yield node, (before, function.attr)
            elif isinstance(function, ast.Name):
                yield node, ("", function.id)


def imports(tree: ast.Module) -> set[str]:
    """Everything imported, as dotted names: a module, and a module's member."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def callers(owner: str, name: str) -> set[str]:
    return {file for file, tree in trees().items() for _, called in calls(tree) if called == (owner, name)}


def test_the_order_of_the_rooms(monkeypatch):
    from importlinter import cli

    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS


@pytest.mark.parametrize(
    ("owner", "name", "only"),
    [
        ("statements", "add_all", "sync/accept.py sync/altering.py sync/notices.py"),
        ("listings", "begin", "sync/listing.py"),
        ("listings", "hand_over", "sync/listing.py"),
    ],
)
def test_one_door_in_and_one_way_into_a_listing(owner, name, only):
    """What is stored came through `accept`; what is listed, or waits in an outbox, was decided in `sync.listing`.

    The exceptions are what we make ourselves: recall notices and altered objects (docs/decisions/0020 and 0021).
    """
    assert callers(owner, name) == set(only.split())
    room, function = only.partition("/")[0], name
    bare = {
        file
        for file, tree in trees().items()
        if any(imported.endswith(f"{owner}.{function}") for imported in imports(tree))
    }
    assert not bare, f"{room}: imported by its bare name, which would hide a call"


def test_what_is_listed_was_decided_and_judged_by_the_second_gate():
    tree = trees()["sync/listing.py"]
    called = {name for _, (_, name) in calls(tree)}
    assert {"decide", "strictest"} <= called
    assert ("", "gate") in {name for _, name in calls(trees()["sync/push.py"])}, "a push judges the bytes again"


def test_a_recall_notice_is_made_where_its_object_goes_and_nowhere_else():
    """Decision 0020: they are listed beside the decision, so nobody but the lister has them made, and they are judged
    by a gate of their own, which lets nothing but their fixed words through."""
    makers = {file for file, tree in trees().items() for _, (_, name) in calls(tree) if name == "Notices"}
    assert makers == {"sync/listing.py"}
    assert {file for file, tree in trees().items() for _, called in calls(tree) if called == ("recall", "notice")} == {
        "sync/notices.py"
    }
    assert ("", "gate_notice") in {called for _, called in calls(trees()["sync/notices.py"])}
    assert ("", "gate_notice") in {called for _, called in calls(trees()["sync/push.py"])}


def test_nobody_makes_a_decision_but_the_policy():
    """`Decision` and its verdicts are made where things are decided; the others only ask."""
    makers = {file for file, tree in trees().items() for _, (_, name) in calls(tree) if name == "Decision"}
    assert makers == {"policy/decide.py", "policy/verdict.py"}


def test_nothing_widens_but_the_command():
    """Decision 0032: no rule, schedule or answer ever lowers a level; only `exchange widen` asks for it."""
    module = "exchange.sync.widening"
    askers = {file for file, tree in trees().items() if any(name.startswith(module) for name in imports(tree))}
    assert askers == {"cli/widen.py"}
    assert callers("widening", "say") == {"cli/widen.py"} == callers("widening", "planned")
    assert callers("widening", "make") == {"sync/loosening.py"} == callers("widening", "widened")
    makers = {file for file, tree in trees().items() for _, (_, name) in calls(tree) if name == "Planner"}
    assert makers == {"sync/widening.py"}
    writers = callers("widenings", "keep")
    assert writers == {"sync/widening.py", "sync/widened.py"}, "an act is written by a person, or ended"


def test_blocking_code_only():
    asynchronous = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert not {file for file, tree in trees().items() for node in ast.walk(tree) if isinstance(node, asynchronous)}


def test_the_time_is_given():
    readers = {file for file, tree in trees().items() for _, called in calls(tree) if called in CLOCKS}
    assert readers <= HAVE_A_CLOCK


def test_nobody_prints():
    assert not {file for file, tree in trees().items() for _, called in calls(tree) if called == ("", "print")}


@pytest.mark.parametrize("file", sorted(file for file in FILES if file.startswith("serve/")))
def test_serve_knows_no_settings_and_no_secret_of_a_peer(file):
    """RULES R29: `serve` imports neither config nor peers, and never names Credentials."""
    found = imports(trees()[file])
    assert not {name for name in found if name.startswith(("exchange.config", "exchange.peers", "exchange.cli"))}
    assert "exchange.model.party.Credentials" not in found


def test_credentials_are_read_by_the_sync_process_only():
    readers = {
        file
        for file, tree in trees().items()
        for _, called in calls(tree)
        if called in {("config", "credentials"), ("", "credentials")}
    }
    assert readers == {"daemon.py", "cli/node.py"}, "the daemon for its clients, and `exchange check --secrets`"
    (function,) = (
        node
        for node in ast.walk(trees()["daemon.py"])
        if isinstance(node, ast.FunctionDef)
        and any(called == ("config", "credentials") for _, called in calls(ast.Module([node], [])))
    )
    assert function.name == "clients"


@pytest.mark.parametrize("room", ["policy", "model"])
def test_pure_rooms_do_no_io(room):
    """No file, socket, thread or database in what decides (package data of the schemas aside)."""
    forbidden = {"socket", "requests", "sqlalchemy", "threading", "subprocess", "structlog", "os", "pathlib", "time"}
    for file, tree in trees().items():
        if file.startswith(f"{room}/"):
            assert not {name.split(".")[0] for name in imports(tree)} & forbidden, file
