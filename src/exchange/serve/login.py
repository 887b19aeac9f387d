"""Who is asking (RULES R28): one generated secret as Basic password, Bearer token or MISP authkey alike.

Failed logins are counted for each (address, account) and answered with 429 past a limit: never a sleep, and never a
lock-out of the account from elsewhere.
"""

from __future__ import annotations

import base64
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import ceil
from threading import Lock

import falcon

from exchange.errors import NotAuthenticated, TooManyRequests
from exchange.store import accounts

ANYONE = "exchange"
"""A user name that goes with every secret, for clients that insist on one."""
LIMIT = 10
WINDOW = timedelta(minutes=1)
_REMEMBERED = 10_000
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request showed: a secret's SHA-256, and with Basic the user name (empty: the secret names itself)."""

    user: str
    digest: str

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
    if not secret:
        return None
    return Presented(user=user, digest=accounts.digest_of(secret))


class Tally:
    """Failed logins of the last minute in this worker, by (address, account); bounded, the oldest goes first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], tuple[datetime, int]] = OrderedDict()
        self._lock = Lock()

    def check(self, address: str, account: str, now: datetime) -> None:
        """Raises TooManyRequests while this address has failed too often for this account."""
        if not self._counts:
            return
        with self._lock:
            begun, count = self._counts.get((address, account), (now, 0))
        left = begun + WINDOW - now
        if count >= LIMIT and left > timedelta():
            raise TooManyRequests("request.too_many_logins", retry_after=ceil(left.total_seconds()))

    def failed(self, address: str, account: str, now: datetime) -> None:
        """Count one. A clock that stepped back begins a new minute."""
        with self._lock:
            begun, count = self._counts.pop((address, account), (now, 0))
            if not timedelta() <= now - begun < WINDOW:
                begun, count = now, 0
            self._counts[address, account] = begun, count + 1
            while len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)

    def succeeded(self, address: str, account: str) -> None:
        """Forget what this address got wrong for this account."""
        if self._counts:
            with self._lock:
                self._counts.pop((address, account), None)


class Proxies:
    """Whose word we take for where a request came from (RULES R29)."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text, strict=False) for text in trusted]

    def trusts(self, address: str) -> bool:
        """Whether `address` is a proxy of ours."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def address(self, req: falcon.Request) -> str:
        """The nearest address in the chain that is none of our proxies; a header from anyone else is ignored."""
        nearest = str(req.env.get("REMOTE_ADDR", ""))
        if not self._networks:
            return nearest
        chain = [part.strip() for part in req.get_header("X-Forwarded-For", default="").split(",") if part.strip()]
        while chain and self.trusts(nearest):
            nearest = chain.pop()
        return nearest

    def scheme(self, req: falcon.Request) -> str:
        """`https` or `http` as the reader sees it."""
        said = req.get_header("X-Forwarded-Proto", default="").strip().lower()
        if said in ("http", "https") and self.trusts(str(req.env.get("REMOTE_ADDR", ""))):
            return said
        return req.scheme


def nobody(code: str = "request.no_account") -> NotAuthenticated:
    """The answer to someone we do not know; the same for a wrong name, a wrong secret and a revoked account."""
    return NotAuthenticated(code)
