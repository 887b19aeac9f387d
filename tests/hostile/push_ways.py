"""The ways of reference/taxii.md section 3 in which a server misbehaves when it is written to, by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.hostile.pull_ways import BASIC, PASSWORD, first, held_back
from tests.hostile.server import LARGEST, ROOT, Call, Way, edited, headed, said, status
from tests.peers.doubles import Asked, Told, indicator

Objects = list[dict[str, Any]]


def posts(asked: Asked) -> bool:
    """Envelopes."""
    return asked.method == "POST"


def statuses(asked: Asked) -> bool:
    """Looks at a status."""
    return asked.path.startswith(f"{ROOT}status/")


def one_object(asked: Asked) -> bool:
    """Looks at one object."""
    return "/objects/indicator--" in asked.path


def collection(asked: Asked) -> bool:
    """The collection's own resource."""
    return asked.method == "GET" and asked.path.rstrip("/").rpartition("/")[0].endswith("/collections")


def root(asked: Asked) -> bool:
    """The API root."""
    return asked.path == ROOT


def given(call: Call) -> Objects:
    """What the envelope holds."""
    objects: Objects = json.loads(call.asked.body)["objects"]
    return objects


def _judged(judge: Callable[[Call, Objects, Objects], Told]) -> Way:
    """Take the envelope; then say of its objects, old ones and new ones, what `judge` says."""

    def act(call: Call) -> Told:
        objects, known = given(call), call.server.versions()
        old = [item for item in objects if (item["id"], item["modified"]) in known]
        call.told()
        return judge(call, old, [item for item in objects if item not in old])

    return posts, act


def _poison(code: int, body: bytes = b'{"title": "no"}') -> Way:
    """An envelope with the seventh object fails as a whole; nothing of it is taken."""
    bad = indicator(7)["id"].encode()
    return posts, lambda call: Told(code, body) if bad in call.asked.body else call.told()


def _counted(call: Call, old: Objects, new: Objects) -> Told:
    """Duplicates are failures that nobody names."""
    counts = {"success_count": len(new), "failure_count": len(old), "pending_count": 0}
    return said({"id": "1", "status": "complete", "total_count": len(old) + len(new), **counts}, 202)


def _untaken(call: Call) -> Told:
    """The status of an envelope that is not taken yet, and never will be."""
    return status(state="pending", pendings=given(call))


def _lost(call: Call) -> Told:
    """Everything is stored, and the answer is cut."""
    told = call.told()
    assert isinstance(told.body, bytes)
    return headed(Told(told.status, told.body[:20], told.headers), Content_Length="9999", Connection="close")


def _elsewhere(call: Call) -> Told:
    strangers = [indicator(900 + n) for n in range(len(given(call)))]
    return status(successes=strangers)


ECHO = f"you sent {PASSWORD} and {BASIC}"

PUSH_WAYS: dict[str, Way] = {
    "200": _judged(lambda c, old, new: status(200, successes=old + new)),
    "201 and {}": _judged(lambda c, old, new: said({}, 201)),
    "204": _judged(lambda c, old, new: Told(204)),
    "an answer that is no JSON": _judged(lambda c, old, new: Told(202, b"OK")),
    "an error under 200": (posts, lambda c: said({"title": "not now"})),
    "a page of HTML": (posts, lambda c: Told(200, b"<h1>Sign in</h1>")),
    "pending for ever, but stored": _judged(lambda c, old, new: status(state="pending", pendings=old + new)),
    "pending for ever": (posts, _untaken),
    "no status endpoint": (statuses, lambda c: Told(404)),
    "the status of another": (statuses, lambda c: edited(_strange(), id="another")),
    "an answer about others": (posts, _elsewhere),
    "pending without counts": (posts, lambda c: said({"id": "2d086da7", "status": "pending"}, 202)),
    "lists that are numbers": _judged(lambda c, old, new: edited(status(successes=new), successes=5, failures="none")),
    "a status for ever pending": (statuses, lambda c: said({"id": "2d086da7", "status": "pending"})),
    "a status that fails": (statuses, lambda c: Told(500)),
    "write only": (one_object, lambda c: Told(403)),
    "duplicates are failures": _judged(lambda c, old, new: status(successes=new, failures=old)),
    "duplicates are failures without names": _judged(_counted),
    "duplicates are a conflict": (
        posts,
        lambda c: (
            Told(409, b'{"title": "no"}')
            if {(o["id"], o["modified"]) for o in given(c)} & c.server.versions()
            else c.told()
        ),
    ),
    "fewer counted than sent": (
        posts,
        lambda c: (
            status(successes=given(c)[:1])
            if c.server.add(given(c)[:1], "2026-02-01T00:00:01.000000Z") is not None
            else c.told()
        ),
    ),
    "413 over 2000 bytes": (posts, lambda c: Told(413, b"<h1>nginx</h1>") if len(c.asked.body) > 2000 else c.told()),
    **{f"{code} for one object": _poison(code) for code in (400, 409, 422, 500)},
    "a failure without a reason": (
        posts,
        lambda c: (
            status(
                successes=[o for o in given(c) if o["id"] != indicator(7)["id"]],
                failures=[o for o in given(c) if o["id"] == indicator(7)["id"]],
            )
            if c.server.add([o for o in given(c) if o["id"] != indicator(7)["id"]], "2026-02-01T00:00:01.000000Z")
            is not None
            else c.told()
        ),
    ),
    "failures that repeat our account": (posts, lambda c: status(failures=given(c), message=ECHO)),
    "400 that repeats our account": (posts, lambda c: Told(400, ECHO.encode())),
    "the answer is lost": first(1, _lost, posts),
    "the answer is lost for ever": (posts, _lost),
    "a slow answer": first(1, lambda c: c.told() and held_back(0.02)(c), posts),
    **{
        f"{code} in the middle": (posts, lambda c, code=code: c.told() if c.turn == 1 else Told(code))
        for code in (401, 404, 500, 502, 503)
    },
    **{f"{code}": (posts, lambda c, code=code: Told(code)) for code in (401, 404, 405, 500, 503)},
    "redirect of the envelope": (posts, lambda c: Told(301, headers={"Location": c.asked.path})),
    "small envelopes": (root, lambda c: edited(c.told(), max_content_length=2000)),
    "max_content_length is a text": (root, lambda c: edited(c.told(), max_content_length=str(LARGEST))),
    "max_content_length is nonsense": (root, lambda c: edited(c.told(), max_content_length="much")),
    "max_content_length is 0": (root, lambda c: edited(c.told(), max_content_length=0)),
    "max_content_length is negative": (root, lambda c: edited(c.told(), max_content_length=-1)),
    "an API root without title": (root, lambda c: edited(c.told(), title=None)),
    "no API root": (root, lambda c: Told(404)),
    "an API root that is a list": (root, lambda c: said([])),
    "an API root that points elsewhere": (
        root,
        lambda c: Told(302, headers={"Location": "https://elsewhere.example/"}),
    ),
    "an API root that fails": (root, lambda c: Told(503, headers={"Retry-After": "3600"})),
    "a collection without rights": (collection, lambda c: said({"id": "x"})),
    "a collection with rights as texts": (collection, lambda c: edited(c.told(), can_write="no", can_read=1)),
    "a collection that is a list": (collection, lambda c: said([])),
    "a collection of HTML": (collection, lambda c: Told(200, b"<h1>hello</h1>")),
    "a collection of another id": (collection, lambda c: edited(c.told(), id="another")),
    "not writable": (collection, lambda c: edited(c.told(), can_write=False)),
}


def _strange() -> Told:
    return status(successes=[indicator(900 + n) for n in range(20)])
