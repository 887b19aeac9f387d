"""CakePHP at the wire: named parameters in the path, `.json` at its end, gzip bodies, errors of three fields."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from lab.misp.instance import Instance, Refused
from lab.misp.people import User

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON = "application/json; charset=UTF-8"
UNKNOWN_KEY = (
    "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
    "Authorization header."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request after CakePHP: what is asked, by whom."""

    method: str
    path: str
    passed: tuple[str, ...]  # what stands in the path after controller and action
    named: Mapping[str, Any]
    headers: Mapping[str, str]  # names in lower case
    user: User
    raw: bytes = field(repr=False)

    @property
    def body(self) -> Any:
        """The JSON body; `{}` without one."""
        try:
            return orjson.loads(self.raw or b"{}")
        except orjson.JSONDecodeError:
            raise Refused(
                400, "Invalid JSON input. Make sure that the JSON input is a correctly formatted JSON string."
            ) from None

    @property
    def wishes(self) -> dict[str, Any]:
        """Body and named parameters together."""
        body = self.body
        return {**(body if isinstance(body, dict) else {}), **self.named}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etagged: bool = False  # MISP says an ETag to whoever sends If-None-Match, be it empty


Action = Callable[[Instance, Asked], Answer]


def application(instance: Instance, actions: Mapping[tuple[str, str], Action]) -> WSGIApplication:
    """The instance as a WSGI application; `actions` by controller and action."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        try:
            asked = _asked(instance, environ)
            with instance.lock:
                given = _action(actions, asked)(instance, asked)
        except Refused as error:
            given = refusal(error, path)
        return _send(environ, start, given)

    return answer


def _asked(instance: Instance, environ: WSGIEnvironment) -> Asked:
    path = environ["PATH_INFO"]
    user = instance.users.get(environ.get("HTTP_AUTHORIZATION", ""))
    if user is None:
        raise Refused(403, UNKNOWN_KEY)
    passed, named = split(path)
    named = {**dict(parse_qsl(environ.get("QUERY_STRING", ""))), **named}
    headers = {key.removeprefix("HTTP_").replace("_", "-").lower(): str(value) for key, value in environ.items()}
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return Asked(
        method=environ["REQUEST_METHOD"],
        path=path,
        passed=tuple(passed),
        named=named,
        headers=headers,
        user=user,
        raw=_unpacked(raw, headers.get("content-encoding", "")),
    )


def split(path: str) -> tuple[list[str], dict[str, Any]]:
    """The pieces of a path and its named parameters: `deleted[]:0/deleted[]:1/excludeGalaxy:1`."""
    passed: list[str] = []
    named: dict[str, Any] = {}
    for piece in filter(None, path.removesuffix(".json").split("/")):
        name, colon, value = piece.partition(":")
        if not colon:
            passed.append(piece)
        elif name.endswith("[]"):
            named.setdefault(name[:-2], []).append(value)
        else:
            named[name] = value
    return passed, named


def _unpacked(raw: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return raw
    if encoding != "gzip":
        raise Refused(400, f"Unsupported request encoding {encoding}.")
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        raise Refused(400, "Invalid compressed data.") from None


def _action(actions: Mapping[tuple[str, str], Action], asked: Asked) -> Action:
    controller = asked.passed[0].lower().replace("_", "") if asked.passed else ""
    action = asked.passed[1] if len(asked.passed) > 1 else "index"
    found = actions.get((controller, action.lower()))
    if found is None and (controller, "*") in actions and ("-" in action or action.isdecimal()):
        found = actions[controller, "*"]
    if found is None:
        raise Refused(404, "Not Found")
    return found


def refusal(error: Refused, path: str) -> Answer:
    """A refusal as MISP words it."""
    said = {"name": error.name, "message": error.name, "url": path, **error.more}
    headers = {"Location": error.location} if error.location else {}
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:  # written by another part of PHP, which escapes slashes
        return Answer(orjson.dumps(said).replace(b"/", rb"\/"), error.status, headers)
    return Answer(said, error.status, headers)


def searched(rows: Iterable[Any], **headers: str) -> Answer:
    """The answer of a restSearch: its frame is written by hand in MISP, with a space and a line's end."""
    reported = {"X-Export-Module-Used": "json", "X-Response-Format": "json", "X-Skipped-Elements-Count": "0"}
    body = b'{"response": [' + b",".join(orjson.dumps(row) for row in rows) + b"]}\n"
    return Answer(body, headers={**{name.replace("_", "-"): value for name, value in headers.items()}, **reported})


def _send(environ: WSGIEnvironment, start: StartResponse, given: Answer) -> Iterable[bytes]:
    body = given.body if isinstance(given.body, bytes) else orjson.dumps(given.body)
    headers = {"Content-Type": JSON, **given.headers}
    status = given.status
    if environ["REQUEST_METHOD"] == "HEAD":
        body, headers = b"", {"Content-Type": "text/html; charset=UTF-8", **given.headers}
    if "Location" in headers:
        headers["Location"] = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{headers['Location']}"
    asked = environ.get("HTTP_IF_NONE_MATCH")
    if asked is not None and given.etagged and status == HTTPStatus.OK:
        etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
        if asked == etag:
            start("304 Not Modified", [("ETag", etag)])
            return []
        headers["ETag"] = etag
    headers["Content-Length"] = str(len(body))
    start(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
    return [body]
