"""How many requests an account may make: a bucket of one minute's requests for each account, in each worker.

It is looked at after the login, so nobody but the account itself can spend its budget.
"""

from __future__ import annotations

from threading import Lock

import structlog

from exchange.errors import TooManyRequests

log = structlog.get_logger("exchange.serve")

WINDOW = 60_000_000
"""A minute, in µs."""
_SECOND = 1_000_000
_REMEMBERED = 10_000


class Rates:
    """The budgets. A whole minute's requests may come at once; they come back evenly, one by one.

    Kept of each account is one instant: when its budget will be whole again if it asks for nothing more.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._cost = -(-WINDOW // per_minute) if per_minute else 0
        self._whole = self._cost * per_minute
        self._due: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._lock = Lock()

    def spend(self, account: str, now: int) -> None:
        """Take one request, at `now` in µs. Raises TooManyRequests, with the seconds after which there is one."""
        if not self._cost:
            return
        with self._lock:
            due = self._due.get(account, 0)
            if due < now or due > now + self._whole + _SECOND:  # whole again; or the clock has stepped back
                due = now
            due += self._cost
            wait = due - now - self._whole
            if wait <= 0:
                self._due[account] = due
                if len(self._due) > _REMEMBERED:
                    self._forget(now)
                return
            tell = not now - WINDOW < self._told.get(account, 0) <= now
            if tell:
                self._told[account] = now
        if tell:
            log.warning("serve.throttled", account=account, limit=self.per_minute)
        raise TooManyRequests("request.too_many_requests", retry_after=-(-wait // _SECOND), limit=self.per_minute)

    def _forget(self, now: int) -> None:
        """Whose budget is whole needs no memory; where all are busy, everyone begins anew."""
        self._due = {account: due for account, due in self._due.items() if due > now}
        if len(self._due) > _REMEMBERED:
            self._due.clear()
        self._told.clear()
