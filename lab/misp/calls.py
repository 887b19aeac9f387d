"""The calls of a MISP that syncs: its headers, its paths with named parameters, its compression and its patience."""

from __future__ import annotations

import gzip
import http.client
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import zstandard

from lab.misp.servers import Call, Server

COMPRESSED_FROM = 1024  # bytes of a body; smaller ones are sent as they are
TIMEOUT = 60.0
OK = range(200, 207)  # what CakePHP takes for success
NOT_MODIFIED, FORBIDDEN, NOT_FOUND = 304, 403, 404


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; FailedError if it is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise FailedError(f"Could not parse JSON response: {error}", self) from error


class FailedError(Exception):
    """A call that MISP takes for an exception: not 2xx, no JSON, nobody there."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.reply = reply

    @property
    def status(self) -> int:
        """The HTTP status; 0 if there was no answer."""
        return self.reply.status if self.reply else 0


class Calls:
    """One job's calls to one server; what getVersion says is asked once."""

    def __init__(self, server: Server, version: str) -> None:
        self.server, self._version = server, version
        self._info: dict[str, Any] | None = None

    def info(self) -> dict[str, Any]:
        """What getVersion says; without `version` nothing is done."""
        if self._info is None:
            said = self.get("/servers/getVersion").json()
            if not isinstance(said, dict) or "version" not in said:
                raise FailedError("Invalid response when fetching server version: `version` field missing.")
            self._info = said
        return self._info

    def allows(self, flag: str) -> bool:
        """Whether getVersion says yes to a flag."""
        return bool(self.info().get(flag))

    def at_least(self, hotfix: int) -> bool:
        """Whether it says to be 2.4.`hotfix` or later, or any 2.5; nothing else is known, not 3.0 either."""
        parts = [int(part) for part in str(self.info()["version"]).split(".")]
        return parts[0] == 2 and (parts[1] == 5 or (parts[1] == 4 and parts[2] >= hotfix))

    def get(self, path: str) -> Reply:
        """GET."""
        return self._good(path, self._send("GET", path, b"", {}))

    def head(self, path: str) -> Reply:
        """HEAD, whatever its status."""
        return self._send("HEAD", path, b"", {})

    def post(self, path: str, data: Any, *, etag: str | None = None) -> Reply:
        """POST of JSON; bodies over 1024 bytes are compressed if the server said that it can."""
        body = orjson.dumps(data)
        headers = {"If-None-Match": etag} if etag else {}
        reply = self._send("POST", path, body, headers, may_compress=True)
        return reply if etag and reply.status == NOT_MODIFIED else self._good(path, reply)

    def post_plainly(self, path: str, data: Any) -> Reply:
        """POST as MISP's older code does it: never compressed, whatever its status."""
        return self._send("POST", path, orjson.dumps(data), {})

    def _good(self, path: str, reply: Reply) -> Reply:
        if reply.status not in OK:
            raise FailedError(f"Remote server returns HTTP error code {reply.status} for {path}", reply)
        return reply

    def _send(
        self, method: str, path: str, body: bytes, more: Mapping[str, str], *, may_compress: bool = False
    ) -> Reply:
        headers = {
            "Authorization": self.server.key,
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"MISP {self._version}",
            "Accept-Encoding": "deflate, gzip, br, zstd",
            **more,
        }
        sent = body
        if may_compress and len(body) > COMPRESSED_FROM and "gzip" in self.info().get("request_encoding", ()):
            headers["Content-Encoding"], sent = "gzip", gzip.compress(body, 1)
        reply = exchange(method, self.server.url.rstrip("/") + path, headers, sent)
        call = Call(method=method, path=path, headers=headers, body=body, status=reply.status, answer=reply.body)
        self.server.calls.append(call)
        return reply


def exchange(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
    """One request as it stands, `[]` in its path unescaped, no redirect followed; FailedError if nobody answers."""
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port)
    if parts.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323 - "self signed" is ticked
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(*place, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(*place, timeout=TIMEOUT)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.putrequest(method, target or "/", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        raw = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
    except (OSError, http.client.HTTPException) as error:
        raise FailedError(f"Could not connect to {url}: {error}") from error
    finally:
        connection.close()
    return Reply(answer.status, found, _decoded(raw, found.get("content-encoding", "")))


def _decoded(raw: bytes, coding: str) -> bytes:
    if not raw or coding in ("", "identity"):
        return raw
    if coding == "gzip":
        return gzip.decompress(raw)
    if coding == "deflate":
        return zlib.decompress(raw)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    raise FailedError(f"Remote server returns unsupported content encoding '{coding}'")
