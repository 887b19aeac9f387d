"""The one way in which we speak HTTP to a partner: deadlines, limits, retries, and credentials for one origin only.

Nothing here takes a proxy, a password or a certificate from the environment: a proxy is the peer's own setting. An
error names the partner and the path that was asked, never a secret.
"""

from __future__ import annotations

import base64
import io
import re
import ssl
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.exceptions import ConnectionError as Broken
from requests.exceptions import ContentDecodingError, ProxyError, RequestException, SSLError, Timeout
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from exchange.errors import PeerBusy, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.party import Credentials
from exchange.peers.wire import BoundedAdapter, Deadline, Shaken, within

Clock = Callable[[], datetime]
"""The time, with its zone."""
Wait = Callable[[float], bool | None]
"""Waits some seconds; true when the daemon is stopping, so nothing more should be tried (`threading.Event.wait`)."""

Spend = Callable[[], float]
"""Takes one request out of what a peer may be asked; seconds to wait before it is made."""


_AGAIN = frozenset({429, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPING_METHOD = frozenset({307, 308})
_MOST_REDIRECTS = 5
_CHUNK = 64 * 1024
_GZIP = b"\x1f\x8b"
_DETAIL = 200
_LONGEST_URL = 500
_DAY = 86_400.0
"""The longest that a peer may make us wait: nobody means the thirty years that some digits too many would be."""
_random = SystemRandom()
_ODD = re.compile(r"[\\\s\x00-\x1f\x7f]")
"""What stands in no address: readers differ on where it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much one request may be; seconds and bytes."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0
    size: int = 64 * 1024 * 1024
    """Of the decompressed body."""
    tries: int = 4
    longest_pause: float = 60.0
    """A peer that wants us to wait longer is left alone until its next turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, read to its end."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Case does not matter."""
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Request:
    method: str
    url: str
    params: Mapping[str, Any] | None
    headers: Mapping[str, str]
    body: bytes | None
    size: int


@dataclass(slots=True, kw_only=True)
class Session:
    """Requests to one origin on behalf of one peer. `blame` stands in every error: the peer's id and contact."""

    origin: str
    credentials: Credentials
    clock: Clock
    wait: Wait
    blame: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    spend: Spend = lambda: 0.0
    proxy: str = ""
    shaken: Shaken | None = None
    _http: requests.Session = field(init=False)

    def __post_init__(self) -> None:
        self.origin = origin_of(self.origin)
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["User-Agent"] = "exchange"
        given = self.credentials
        adapter = BoundedAdapter(given.proxy_user, given.proxy_password, pool_maxsize=2)
        self._http.mount("https://", adapter)
        self._http.mount("http://", adapter)
        if self.proxy:
            self._http.proxies = {"http": self.proxy, "https": self.proxy}
        _arm(self._http, self.credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get(self, url: str, **options: Any) -> Answer:
        """GET `url`; see `request` for the options. Tried again when that may help."""
        return self.request("GET", url, again=True, **options)

    def post(self, url: str, body: bytes, *, again: bool = False, **options: Any) -> Answer:
        """POST `body` to `url`; tried again only when the caller says that it changes nothing there."""
        return self.request("POST", url, body=body, again=again, **options)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        expect: Collection[int] = (),
        size: int | None = None,
        again: bool = False,
    ) -> Answer:
        """The answer, whose status is below 400 or in `expect`; every other one raises a PeerError."""
        self._only_home(url)
        request = _Request(
            method=method, url=url, params=params, headers=headers or {}, body=body, size=size or self.limits.size
        )
        tries = self.limits.tries if again else 1
        for attempt in range(1, tries + 1):
            pause = _random.uniform(0.5, 1.0) * 2.0 ** (attempt - 1)
            self._take_turn()
            try:
                answer = self._follow(request)
            except PeerUnreachable:
                if attempt == tries:
                    raise
            else:
                if answer.status not in _AGAIN or answer.status in expect or attempt == tries:
                    break
                asked = self._retry_after(answer)
                if asked is not None and asked > self.limits.longest_pause:
                    break
                pause = pause if asked is None else asked
            self.rest(pause)
        return self.judge(answer, expect)

    def rest(self, seconds: float) -> None:
        """Wait before the next try; raises PeerUnreachable when the daemon is stopping."""
        if self.wait(min(seconds, self.limits.longest_pause)):
            raise PeerUnreachable("peer.interrupted", **self.blame)

    def _take_turn(self) -> None:
        """Wait until the peer may be asked once more."""
        due = self.spend()
        if due > self.limits.longest_pause:
            raise PeerBusy("peer.budget", retry_after=due, **self.blame)
        if due > 0:
            self.rest(due)

    def detail(self, answer: Answer) -> str:
        """The first words of a body for an error text, without any of our secrets that it may repeat."""
        text = self.clean(answer.body[: 64 * _DETAIL].decode("utf-8", "replace"))
        return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:_DETAIL]

    def clean(self, text: str) -> str:
        """`text` of the peer's without any of our secrets that it may repeat."""
        given = self.credentials
        basic = base64.b64encode(f"{given.user}:{given.password}".encode()).decode() if given.password else ""
        proxied = base64.b64encode(f"{given.proxy_user}:{given.proxy_password}".encode()).decode()
        mine = (basic, proxied if given.proxy_password else "")
        for secret in filter(None, (*mine, given.password, given.token, given.key, given.proxy_password)):
            text = text.replace(secret, "…").replace(quote(secret, safe=""), "…")
        return text

    def _only_home(self, url: str) -> None:
        if self.origin == NOWHERE or origin_of(url) != self.origin:
            raise PeerProtocol("peer.foreign_origin", url=shown(url), origin=self.origin, **self.blame)

    def _follow(self, request: _Request) -> Answer:
        """One try: redirects are followed within our origin, and for a body only where method and body are kept."""
        url, params = request.url, request.params
        deadline = Deadline(self.limits.total, self.limits.read)
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._once(request, url, params, deadline)
            if answer.status not in _REDIRECTS:
                return answer
            target = _joined(url, answer.headers.get("Location", ""))
            kept = request.method == "GET" or answer.status in _KEEPING_METHOD
            if origin_of(target) != self.origin or not kept:
                raise PeerProtocol("peer.redirect", url=shown(url), target=self.clean(shown(target)), **self.blame)
            url, params = target, None if urlsplit(target).query else params
        raise PeerProtocol("peer.redirect", url=shown(request.url), target=shown(url), **self.blame)

    def _once(self, request: _Request, url: str, params: Mapping[str, Any] | None, deadline: Deadline) -> Answer:
        try:
            with (
                within(deadline, self.shaken),
                self._http.request(
                    request.method,
                    url,
                    params=params,
                    headers=dict(request.headers),
                    data=request.body,
                    stream=True,
                    allow_redirects=False,
                    timeout=(self.limits.connect, deadline.left()),
                ) as response,
            ):
                body = self._body(response, request.size)
                return Answer(url=url, status=response.status_code, headers=response.headers, body=body)
        except Timeout as error:
            raise PeerUnreachable("peer.timeout", url=shown(url), **self.blame) from error
        except ProxyError as error:
            what = {"proxy": shown(self.proxy), "detail": _reason(error), **self.blame}
            kind = PeerRefused if " 407 " in what["detail"] else PeerUnreachable  # asked again, it may lock us out
            raise kind("peer.proxy", **what) from error
        except SSLError as error:
            raise PeerUnreachable("peer.tls", url=shown(url), detail=_reason(error), **self.blame) from error
        except ContentDecodingError as error:
            raise PeerProtocol("peer.malformed", url=shown(url), detail=_reason(error), **self.blame) from error
        except (Broken, requests.exceptions.ChunkedEncodingError, TimeoutError) as error:
            code = "peer.timeout" if "timed out" in str(error) or "deadline" in str(error) else "peer.unreachable"
            raise PeerUnreachable(code, url=shown(url), detail=_reason(error), **self.blame) from error
        except (RequestException, ValueError) as error:  # requests looks at `Location` even when it does not follow it
            raise PeerProtocol("peer.request", url=shown(url), detail=type(error).__name__, **self.blame) from error

    def _body(self, response: requests.Response, size: int) -> bytes:
        body = io.BytesIO()  # which gives its bytes away without copying them
        for chunk in response.iter_content(_CHUNK):
            body.write(chunk)
            if body.tell() > size:
                raise PeerProtocol("peer.too_large", url=shown(response.url), limit=size, **self.blame)
        whole = body.getvalue()
        if whole.startswith(_GZIP):  # compressed without saying so
            return self._unpack(whole, response.url, size)
        return whole

    def _unpack(self, body: bytes, url: str, size: int) -> bytes:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            plain = unpacker.decompress(body, size + 1)
        except zlib.error as error:
            raise PeerProtocol("peer.malformed", url=shown(url), detail=str(error), **self.blame) from error
        if len(plain) > size:
            raise PeerProtocol("peer.too_large", url=shown(url), limit=size, **self.blame)
        return plain

    def _retry_after(self, answer: Answer) -> float | None:
        """Seconds that `Retry-After` asks for, in either of its forms (RFC 9110 section 10.2.3)."""
        text = answer.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:9]), _DAY)
        until = parse_http_date(text)
        if until is None:
            return None
        now = parse_http_date(answer.headers.get("Date", "")) or self.clock()
        return min(max(0.0, (until - now).total_seconds()), _DAY)

    def judge(self, answer: Answer, expect: Collection[int] = ()) -> Answer:
        """`answer`, unless its status is an error that is not in `expect`: then the PeerError that it stands for."""
        status = answer.status
        if status < HTTPStatus.BAD_REQUEST or status in expect:
            return answer
        what = {"url": shown(answer.url), "status": status, "detail": self.detail(answer), **self.blame}
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and self.proxy:
            raise PeerRefused("peer.proxy", proxy=shown(self.proxy), **what)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
            raise PeerRefused("peer.refused", **what)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            raise PeerBusy("peer.busy", retry_after=self._retry_after(answer), **what)
        if status in _AGAIN:
            raise PeerUnreachable("peer.gateway", **what)
        if status == HTTPStatus.NOT_FOUND:
            raise PeerProtocol("peer.not_found", **what)
        if status in (HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE):
            raise PeerProtocol("peer.media_type", **what)
        raise PeerProtocol("peer.status", **what)


NOWHERE = "nowhere"


def origin_of(url: str) -> str:
    """Scheme, host and port: what credentials are bound to (RULES R29); NOWHERE for what two readers take for two.

    `https://a.example\\@b.example/` is b to the one who looks and a to the one who connects. So both are asked.
    """
    try:
        parts, other = urlsplit(url), parse_url(url)
        scheme = parts.scheme.lower()
        port = parts.port or {"http": 80, "https": 443}.get(scheme, 0)
        host = (parts.hostname or "").lower()
    except (ValueError, LocationParseError):
        return NOWHERE
    same = (host, parts.port) == ((other.host or "").strip("[]").lower(), other.port)
    return f"{scheme}://{host}:{port}" if same and not _ODD.search(url) else NOWHERE


def shown(url: str) -> str:
    """`url` for people: no user, no password, no query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a peer may write anything where an address belongs
        return url[:_DETAIL]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_LONGEST_URL]


def _joined(url: str, where: str) -> str:
    """Where a redirect from `url` leads; what is no address stays as it is."""
    try:
        return urljoin(url, where)
    except ValueError:
        return where


def parse_http_date(text: str) -> datetime | None:
    """An HTTP date (RFC 9110 section 5.6.7); None when it is none."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class _Bearer(requests.auth.AuthBase):
    """An `Authorization` header as it stands: a token's, or a MISP key's (which has no scheme)."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _arm(http: requests.Session, credentials: Credentials) -> None:
    if credentials.key:
        http.auth = _Bearer(credentials.key)
    elif credentials.token:
        http.auth = _Bearer(f"Bearer {credentials.token}")
    elif credentials.user or credentials.password:
        http.auth = (credentials.user, credentials.password)
    if credentials.client_cert:
        key = credentials.client_key
        http.cert = (credentials.client_cert, key) if key else credentials.client_cert
    http.verify = credentials.ca or _system_authorities()


def _system_authorities() -> str | bool:
    """The authorities that this machine trusts, not those that requests brings along."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile and Path(paths.cafile).is_file():
        return paths.cafile
    if paths.capath and Path(paths.capath).is_dir() and any(Path(paths.capath).iterdir()):
        return paths.capath
    return True


def _reason(error: BaseException) -> str:
    """The innermost reason of a chain of wrapped errors, in one line."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split())[:_DETAIL] or type(error).__name__
