"""Who is asking (RULES R28): one generated secret as Basic password, Bearer token or MISP authkey alike.

Failed logins are counted for each (address, account) and answered with 429 past a limit: never a sleep, and never a
lock-out of the account from elsewhere. All of one address are counted too, for the names in them cost nothing; past
that limit a wrong one gets 429 and is counted no more, and a right one still opens.
"""

from __future__ import annotations

import base64
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import ceil
from threading import Lock

import falcon

from exchange.errors import NotAuthenticated, TooManyRequests
from exchange.serve import certificates
from exchange.store import accounts

ANYONE = "exchange"
"""A user name that goes with every secret, for clients that insist on one."""
LIMIT = 10
"""Failed logins of one (address, account) in WINDOW."""
LIMIT_IN_ALL = 100
"""Failed logins of one address in WINDOW, whatever the names: many teams may stand behind one address."""
WINDOW = timedelta(minutes=1)
_REMEMBERED = 10_000
_NAME = 100
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request showed: a secret's SHA-256, and with Basic the user name (empty: the secret names itself)."""

    user: str
    digest: str
    secret: str = field(default="", repr=False)

    def fits(self, account: str) -> bool:
        """Whether the user name goes with `account`; compared without telling by time how much of it fits."""
        if not self.user:
            return True
        given = self.user.encode()
        return hmac.compare_digest(given, account.encode()) | hmac.compare_digest(given, ANYONE.encode())


def presented(header: str) -> Presented | None:
    """Read an `Authorization` header; None: there is nothing in it that could be a secret of ours."""
    if len(header) > _LONGEST:
        return None
    scheme, _, rest = header.strip().partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    if not rest:
        return _of(scheme and header.strip())
    if scheme == "bearer":
        return _of(rest)
    if scheme != "basic":
        return None
    try:
        pair = base64.b64decode(rest, validate=True).decode()
    except ValueError:  # not base64 (binascii.Error is one), not UTF-8, not even ASCII
        return None
    user, colon, password = pair.partition(":")
    return _of(password, user) if colon and user else None


def _of(secret: str, user: str = "") -> Presented | None:
    if not secret or "\0" in user + secret:  # no engine keeps such a name, and PostgreSQL does not even look for it
        return None
    return Presented(user=user, digest=accounts.digest_of(secret), secret=secret)


class Tally:
    """Failed logins of the last minute in this worker; bounded, the oldest goes first."""

    def __init__(self) -> None:
        # By (address, account); by (network, None) for all of them together.
        self._counts: OrderedDict[tuple[str, str | None], tuple[datetime, int]] = OrderedDict()
        self._lock = Lock()

    def check(self, address: str, account: str, now: datetime) -> None:
        """Raises TooManyRequests while this address has failed too often for this account."""
        if self._counts:
            self._check((address, account[:_NAME]), LIMIT, "request.too_many_logins", now)

    def failed(self, address: str, account: str, now: datetime) -> None:
        """Count one. Raises TooManyRequests, and counts no more, where there were too many already."""
        self.check(address, account, now)
        self.check_all(address, now)
        with self._lock:
            self._count((address, account[:_NAME]), now)
            self._count((_network(address), None), now)

    def missed(self, address: str, account: str, now: datetime) -> None:
        """Count one for this account alone."""
        with self._lock:
            self._count((address, account[:_NAME]), now)

    def check_all(self, address: str, now: datetime) -> None:
        """Raises TooManyRequests while this address has failed too often, for whatever accounts."""
        if self._counts:
            self._check((_network(address), None), LIMIT_IN_ALL, "request.too_many_failures", now)

    def succeeded(self, address: str, account: str) -> None:
        """Forget what this address got wrong for this account."""
        if self._counts:
            with self._lock:
                self._counts.pop((address, account[:_NAME]), None)

    def _check(self, place: tuple[str, str | None], limit: int, code: str, now: datetime) -> None:
        with self._lock:
            begun, count = self._counts.get(place, (now, 0))
        left = begun + WINDOW - now
        if count >= limit and timedelta() < left <= WINDOW:
            raise TooManyRequests(code, retry_after=ceil(left.total_seconds()))

    def _count(self, place: tuple[str, str | None], now: datetime) -> None:
        """A clock that stepped back begins a new minute."""
        begun, count = self._counts.pop(place, (now, 0))
        if not timedelta() <= now - begun < WINDOW:
            begun, count = now, 0
        self._counts[place] = begun, count + 1
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    """The address; one of IPv4 that comes over an IPv6 socket (`::ffff:192.0.2.1`) is one of IPv4."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _network(address: str) -> str:
    """Whose address it is, for counting: in IPv6 every host has 2**64 of them."""
    found = _ip(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return address


class Proxies:
    """Whose word we take for where a request came from, and with which certificate (RULES R29)."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text, strict=False) for text in trusted]

    def trusts(self, address: str) -> bool:
        """Whether `address` is a proxy of ours."""
        found = _ip(address)
        return found is not None and any(found in network for network in self._networks)

    def address(self, req: falcon.Request) -> str:
        """The nearest address in the chain that is none of our proxies; a header from anyone else is ignored."""
        nearest = str(req.env.get("REMOTE_ADDR", ""))
        if not self._networks:
            return nearest
        chain = [part.strip() for part in req.get_header("X-Forwarded-For", default="").split(",") if part.strip()]
        while chain and self.trusts(nearest):
            nearest = chain.pop()
        return nearest

    def certificate(self, req: falcon.Request) -> str | None:
        """The fingerprint of the client certificate that a proxy of ours passes on (`Client-Cert`, RFC 9440).

        None: there is none; UNREADABLE: it is broken. From anyone else the header is not looked at: a certificate is
        no secret, and whoever sends one in a header has shown no key.
        """
        header = req.get_header("Client-Cert", default="")
        if not header or not self.trusts(str(req.env.get("REMOTE_ADDR", ""))):
            return None
        return certificates.passed_on(header)

    def scheme(self, req: falcon.Request) -> str:
        """`https` or `http` as the reader sees it."""
        said = req.get_header("X-Forwarded-Proto", default="").strip().lower()
        if said in ("http", "https") and self.trusts(str(req.env.get("REMOTE_ADDR", ""))):
            return said
        return req.scheme


def nobody(code: str = "request.no_account") -> NotAuthenticated:
    """The answer to someone we do not know; the same for a wrong name, a wrong secret and a revoked account."""
    return NotAuthenticated(code)
