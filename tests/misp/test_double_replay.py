"""Is the double a MISP? It is sent what was recorded; status, headers, ETag and every value must be as recorded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab.misp.actions import ACTIONS
from lab.misp.instance import Instance
from lab.misp.people import User
from lab.misp.wire import application
from lab.web import Site, site

from tests.misp import scenes
from tests.misp.recordings import Exchange, present, recording

pytestmark = present
# When users and roles were made, and the number for the NIDS, are nobody's business.
_USER = tuple(
    f".User.{name}:" for name in ("date_created", "date_modified", "last_api_access", "last_pw_change", "nids_sid")
)
TIMES = {"/users/view/me.json": (*_USER, ".Role.created:", ".Role.modified:")}
Changes = dict[int, Callable[[Instance], None]]  # what happens on the instance before this exchange
HEADERS = ("Content-Type", "Content-Length", "X-Result-Count", "ETag", "X-Export-Module-Used", "X-Response-Format")


@contextmanager
def served(at: Instance) -> Iterator[Site]:
    with site(application(at, ACTIONS)) as running:
        yield running


def ask(running: Site, exchange: Exchange, user: User) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://").strip("/"), timeout=20)
    headers = {
        name: value for name, value in exchange.request_headers.items() if name not in ("Host", "Content-Length")
    }
    connection.request(exchange.method, exchange.path, exchange.wire() or None, {**headers, "Authorization": user.key})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def differences(exchange: Exchange, status: int, headers: dict[str, str], body: bytes) -> list[str]:
    """Where the double is not as recorded."""
    found = [] if status == exchange.status else [f"status {status}, not {exchange.status}"]
    for name in HEADERS:
        if exchange.headers and headers.get(name) != exchange.headers.get(name):
            found.append(f"{name}: {headers.get(name)!r}, not {exchange.headers.get(name)!r}")
    if exchange.body:
        lines = unlike("", json.loads(body or b"null"), exchange.said)
        found += [line for line in lines if not line.startswith(TIMES.get(exchange.path, ("?",)))]
    elif body:
        found.append("a body where none was")
    return found


def unlike(place: str, ours: Any, theirs: Any) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{place}.{key}: {'missing' if key in theirs else 'too much'}" for key in ours.keys() ^ theirs.keys()]
        return found + [
            line for key in ours.keys() & theirs.keys() for line in unlike(f"{place}.{key}", ours[key], theirs[key])
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line for n, pair in enumerate(zip(ours, theirs, strict=True)) for line in unlike(f"{place}[{n}]", *pair)
        ]
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{place}: {ours!r}, not {theirs!r}"]


def replay(at: Instance, user: User, exchanges: tuple[Exchange, ...], before: Changes) -> None:
    wrong = []
    with served(at) as running:
        for exchange in exchanges:
            if change := before.get(exchange.number):
                with at.lock:
                    change(at)
            if exchange.number in CUT.get(exchange.file, ()):
                continue
            for line in differences(exchange, *ask(running, exchange, user)):
                wrong.append(f"{exchange.file} {exchange.number} {exchange.method} {exchange.path[:80]}: {line}")
    assert not wrong, "\n".join(wrong[:40])


CUT: dict[str, tuple[int, ...]] = {"sync-misp1": (36,)}


def test_a_first_pull() -> None:
    at, user, _ = scenes.misp1()
    replay(at, user, recording("pull-first"), {})


def test_pulls_previews_and_searches_at_misp1() -> None:
    at, user, _ = scenes.misp1()
    changes = {12: scenes.second_scene, 20: scenes.third_scene, 29: scenes.fourth_scene, 38: scenes.fifth_scene}
    replay(at, user, recording("sync-misp1")[:51], changes)


def test_pushes_at_misp2() -> None:
    at, user, clock = scenes.misp2()

    def then(when: int) -> Callable[[Instance], None]:
        return lambda _: setattr(clock, "at", when)

    times = {7: then(1795285410), 11: then(1795285411), 46: then(1795285465), 50: then(1795285466)}
    changes = {**times, 21: scenes.pulled_e13, 66: lambda at: scenes.propose(at, recording("sync-misp2")[66])}
    replay(at, user, recording("sync-misp2"), changes)


@pytest.mark.parametrize(("first", "last", "index"), [(51, 84, 53), (84, 90, 86)])
def test_an_index_of_many(first: int, last: int, index: int) -> None:
    at, user, _ = scenes.perf(recording("sync-misp1")[index])
    replay(at, user, recording("sync-misp1")[first:last], {})
