"""Passwords that people choose (RULES R28): argon2id, two at a time, remembered by this worker for five minutes."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from threading import BoundedSemaphore, Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from exchange.serve.answers import Unavailable

POOL = 2
REMEMBERED = timedelta(minutes=5)
_MOST = 10_000
PATIENCE = 2.0
"""Seconds that one more waits for its turn; then it is told to come again."""

hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


SHORTEST = 12
"""Characters of a password that a person may choose."""


def hashed(password: str) -> str:
    """What is kept of a chosen password."""
    return hasher.hash(password)


@cache
def _of_nobody() -> str:
    """The hash of a password that nobody knows; it is the same for every application of this process."""
    return hasher.hash(secrets.token_hex(16))


class Passwords:
    """Checks a password against the hashes of its account; what was right is not worked out again for a while.

    The caller gives the hashes that the account has now, so a revoked or replaced password is out at once.
    """

    def __init__(self) -> None:
        self._turns = BoundedSemaphore(POOL)
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, tuple[str, datetime]] = OrderedDict()
        self._lock = Lock()
        self._nobody = _of_nobody()  # not at the first request: that would take twice the time

    def remembered(self, account: str, password: str, hashes: Collection[str], now: datetime) -> str | None:
        """The hash that the password was found to fit a while ago, else None. Costs nothing."""
        with self._lock:
            found, until = self._right.get(self._name(account, password), ("", now))
        return found if found in hashes and now < until else None

    def which(self, account: str, password: str, hashes: Collection[str], now: datetime) -> str | None:
        """The hash that the password fits, worked out anew, else None.

        An account without hashes costs the same time, so that it does not show. Raises Unavailable when too many wait
        for their turn.
        """
        if not self._turns.acquire(timeout=PATIENCE):
            raise Unavailable("request.too_many_passwords", retry_after=1)
        try:
            fitting = next((each for each in hashes or [self._nobody] if _fits(each, password)), None)
        finally:
            self._turns.release()
        if fitting is not None:
            with self._lock:
                self._right[self._name(account, password)] = fitting, now + REMEMBERED
                while len(self._right) > _MOST:
                    self._right.popitem(last=False)
        return fitting

    def _name(self, account: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{account}\0{password}".encode(), "sha256")


def _fits(encoded: str, password: str) -> bool:
    try:
        return hasher.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False
