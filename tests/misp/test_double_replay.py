"""Is the double a MISP? It is sent what was recorded; status, headers, ETag and every value must be as recorded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from lab.misp.actions import ACTIONS
from lab.misp.instance import Instance
from lab.misp.people import User
from lab.misp.wire import application
from lab.web import Site, site

from tests.misp import scenes
from tests.misp.recordings import WIRE, Exchange, present, recording
from tests.misp.unlike import unlike

pytestmark = present
# When users and roles were made, and the number for the NIDS, are nobody's business.
_USER = tuple(
    f".User.{name}:" for name in ("date_created", "date_modified", "last_api_access", "last_pw_change", "nids_sid")
)
TIMES = {"/users/view/me.json": (*_USER, ".Role.created:", ".Role.modified:")}
Changes = Mapping[int, Callable[[Instance], None]]  # what happens on the instance before this exchange
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


CUT: dict[str, tuple[int, ...]] = {"sync-misp1": (36,)}  # see test_a_preview_that_is_cut


def test_a_first_pull() -> None:
    at, user, _ = scenes.misp1()
    replay(at, user, recording("pull-first"), {})


def test_pulls_previews_and_searches_at_misp1() -> None:
    at, user, _ = scenes.misp1()
    changes = {12: scenes.second_scene, 20: scenes.third_scene, 29: scenes.fourth_scene, 38: scenes.sixth_scene}
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


def test_a_preview_that_is_cut() -> None:
    """The recording ends after 20,000 characters; up to the relations of a cluster all of it is known."""
    at, user, _ = scenes.misp1()
    for scene in (scenes.second_scene, scenes.third_scene, scenes.fourth_scene, scenes.sixth_scene):
        scene(at)
    exchange = recording("sync-misp1")[36]
    with served(at) as running:
        status, _, body = ask(running, exchange, user)
    known = exchange.body.index('"GalaxyClusterRelation":[{')
    assert status == exchange.status
    assert known > 5000
    assert body.decode()[:known] == exchange.body[:known]


def test_every_recorded_exchange_is_accounted_for() -> None:
    """What is replayed here, what test_double_acts has the double ask, and what neither does, with the reason."""
    served_here = {"pull-first": 12, "sync-misp1": 90, "sync-misp2": 75}
    asked = {"pull-first": 12, "sync-misp1": 90, "sync-misp2": 75, "minimal-peer": 37, "feed": 8}
    left_out = {
        "feed": (2, "the last two read a freetext feed, which is no form of ours"),
        "taxii-push": (15, "MISP's TAXII client is no part of its sync; tests/serve/test_recordings.py plays it"),
    }
    whole = {file.stem: len(recording(file.stem)) for file in WIRE.glob("*.jsonl")}
    counted = {name: asked.get(name, 0) + left_out.get(name, (0,))[0] for name in whole}
    assert counted == whole
    assert all(served_here[name] == whole[name] for name in served_here)
