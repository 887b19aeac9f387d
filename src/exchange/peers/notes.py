"""What a probe writes down while it asks: answers, remarks, and how fast and by which clock the peer answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from exchange.errors import PeerError
from exchange.model.party import Source, Target
from exchange.model.profile import Profile, Remark, Value
from exchange.peers.access import Access
from exchange.peers.session import Answer, parse_http_date

_PATIENCE = 30.0
"""Seconds for one question: a probe is asked for by a person."""
_SKEW = 5.0
"""Seconds between two clocks that are no remark."""
_LONGEST = 200
Found = TypeVar("Found")


class Notes:
    """The profile of one source or target in the making."""

    def __init__(self, access: Access, entry: Source | Target, now: datetime) -> None:
        limits = replace(access.limits, total=min(access.limits.total, _PATIENCE), tries=1)
        self.access, self.entry = replace(access, limits=limits), entry
        self._found: dict[str, Any] = {"key": entry.key, "kind": entry.kind, "at": now, "complete": True}
        self._remarks: dict[str, Remark] = {}
        self._skews: list[float] = []
        self._latencies: list[float] = []

    def found(self, **facts: Any) -> None:
        """Write down what was found out, by the names of `Profile`; text of the peer's is cut."""
        self._found |= {name: _cut(value) for name, value in facts.items()}

    def remark(self, code: str, **fields: Any) -> None:
        """Write down what a person should know, once."""
        said = {**self.access.blame, "key": self.entry.key, **fields}
        self._remarks.setdefault(code, Remark(code=code, fields={name: _plain(v) for name, v in said.items()}))

    def step(self, question: Callable[[], Found]) -> Found | None:
        """The answer to one question; an error is a remark, and the profile is not complete."""
        try:
            return question()
        except PeerError as error:
            self._found["complete"] = False
            self.remark(error.code, **error.fields)
            return None

    def timed(self, question: Callable[[], Answer]) -> Answer:
        """An answer, with its time and the peer's clock written down."""
        before = self.access.clock()
        answer = question()
        after = self.access.clock()
        self._latencies.append((after - before).total_seconds())
        theirs = parse_http_date(answer.headers.get("Date", ""))
        if theirs is not None:
            self._skews.append((theirs - (before + (after - before) / 2)).total_seconds())
        return answer

    def profile(self) -> Profile:
        """Everything that was written down."""
        skew = min(self._skews, key=abs, default=None)
        if skew is not None:
            self.found(skew=round(skew, 1))
            if abs(skew) > _SKEW:
                self.remark("probe.skew", seconds=round(skew))
        if self._latencies:
            self.found(latency=round(min(self._latencies), 3))
        return Profile(**self._found, remarks=tuple(self._remarks.values()))


def _cut(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_cut(each) for each in value[:20])
    return _spelt(value) if isinstance(value, str) else value


def _plain(value: Any) -> Value:
    return value if isinstance(value, int | float | bool | None) else _spelt(str(value))


def _spelt(text: str) -> str:
    """The text in one line that any file can hold."""
    printable = "".join(sign if sign.isprintable() else "�" for sign in text[:_LONGEST])
    return printable.encode("utf-8", "replace").decode()


def texts(value: Any) -> tuple[str, ...]:
    """The texts in what should be a list of texts."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def text(said: Mapping[str, Any], name: str) -> str:
    """A member that should be a text; empty when it is none."""
    value = said.get(name)
    return value if isinstance(value, str) else ""
