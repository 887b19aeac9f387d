"""Many clients at once in one thread: some that ask again and again, or hundreds that come once each on time."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.client import Address, Answer, Reply

_PIECE = 1 << 16


@dataclass(slots=True)
class Tally:
    """How long each answer took (seconds), what they were, and how many requests got none."""

    times: list[float] = field(default_factory=list)
    answers: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    """(status, body) → how often; the same question has few answers."""
    errors: int = 0
    wall: float = 0.0

    def at(self, share: float) -> float:
        """The time within which this share of the answers came; infinite when there is none."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")

    def note(self, answer: Answer, seconds: float) -> None:
        """One answer."""
        self.times.append(seconds)
        self.answers[answer.status, answer.body] += 1


@dataclass(slots=True, eq=False)
class _Caller:
    """One connection and the question that is open on it, asked at `begun`."""

    line: socket.socket
    begun: float
    unsent: bytes
    reply: Reply = field(default_factory=Reply)


class _Crowd:
    def __init__(self, address: Address, request: bytes) -> None:
        self.address, self.request = address, request
        self.tally = Tally()
        self.callers: set[_Caller] = set()
        self._ready = selectors.DefaultSelector()

    def call(self, begun: float) -> None:
        """Open a connection and ask."""
        line = socket.socket()
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.connect_ex(self.address)
        caller = _Caller(line, begun, self.request)
        self.callers.add(caller)
        self._ready.register(line, selectors.EVENT_WRITE, caller)

    def again(self, caller: _Caller) -> None:
        """Ask once more on a connection that is there."""
        caller.begun, caller.reply = time.perf_counter(), Reply()
        caller.unsent = self.request[caller.line.send(self.request) :]
        if caller.unsent:
            self._ready.modify(caller.line, selectors.EVENT_WRITE, caller)

    def turn(self, wait: float, answered: Callable[[_Caller], None]) -> None:
        """Do what can be done now, or wait for it; `answered` is called when a question has its answer."""
        for key, what in self._ready.select(max(0.0, wait)):
            caller: _Caller = key.data
            try:
                if self._go_on(caller, what):
                    answered(caller)
            except OSError:
                self.tally.errors += 1
                self.leave(caller)

    def leave(self, caller: _Caller) -> None:
        """Hang up."""
        self._ready.unregister(caller.line)
        caller.line.close()
        self.callers.discard(caller)

    def _go_on(self, caller: _Caller, what: int) -> bool:
        if what & selectors.EVENT_WRITE:
            caller.unsent = caller.unsent[caller.line.send(caller.unsent) :]
            if not caller.unsent:
                self._ready.modify(caller.line, selectors.EVENT_READ, caller)
            return False
        answer = caller.reply.feed(caller.line.recv(_PIECE))
        if answer is None:
            return False
        self.tally.note(answer, time.perf_counter() - caller.begun)
        return True

    def close(self) -> None:
        for caller in list(self.callers):
            self.leave(caller)
        self._ready.close()


def keep_asking(address: Address, request: bytes, *, width: int, seconds: float, most: int) -> Tally:
    """`width` clients that each ask again as soon as they have their answer, for so long or so many answers.

    Where the server does not keep connections each question makes its own. Every question asked gets its answer.
    """
    crowd = _Crowd(address, request)
    begun = time.perf_counter()
    left = most - width

    def answered(caller: _Caller) -> None:
        nonlocal left
        if left <= 0 or time.perf_counter() > begun + seconds:
            crowd.leave(caller)
            return
        left -= 1
        if caller.reply.closes:
            crowd.leave(caller)
            crowd.call(time.perf_counter())
        else:
            crowd.again(caller)

    for _ in range(width):
        crowd.call(time.perf_counter())
    _until_done(crowd, answered, begun + seconds * 10 + 60)
    crowd.tally.wall = time.perf_counter() - begun
    return crowd.tally


def come_once(address: Address, request: bytes, *, count: int, seconds: float, patience: float) -> Tally:
    """`count` clients, evenly over `seconds`, each with a connection of its own; a time counts from when it was due.

    Who has no answer `patience` seconds after the last one came counts as an error.
    """
    crowd = _Crowd(address, request)
    begun = time.perf_counter()
    due = [begun + seconds * number / count for number in range(count)]
    for moment in due:
        while (wait := moment - time.perf_counter()) > 0:
            crowd.turn(wait, crowd.leave)
        crowd.call(moment)
    _until_done(crowd, crowd.leave, begun + seconds + patience)
    crowd.tally.wall = time.perf_counter() - begun
    return crowd.tally


def _until_done(crowd: _Crowd, answered: Callable[[_Caller], None], until: float) -> None:
    while crowd.callers and (left := until - time.perf_counter()) > 0:
        crowd.turn(left, answered)
    crowd.tally.errors += len(crowd.callers)
    crowd.close()
