"""One MISP instance for each collection: who asks, for what, with which right; then the answer, and its ledger row.

The accounts, audiences, brakes and limits are those of TAXII. A request is looked at in two steps, so that no snapshot
of the store is open while a body comes in: first who asks and whether the right is theirs, then the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, Any, Literal

import falcon
import orjson
from sqlalchemy import Connection

from exchange.errors import NotFound, RequestError, TooLarge
from exchange.model.party import Collection
from exchange.policy.audience import collection_channel
from exchange.serve import coding
from exchange.serve.answers import Unavailable
from exchange.serve.door import Door, Visit
from exchange.serve.misp import body
from exchange.serve.misp.address import PREFIX, Address, parse
from exchange.serve.posting import read
from exchange.serve.reading import record
from exchange.serve.site import Site
from exchange.store.audiences import AudienceRow

JSON = "application/json"
_PATIENCE = 1.0
"""Seconds that a large event waits for the one before it; it keeps one of the few serving threads."""
_LATER = 30
"""Seconds after which it may come again."""
_BASES = 20
"""Addresses that an account with several collections is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What an answer holds of a listing, for the ledger (RULES R27): its first and last date added, and how many."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered: JSON (or bytes of `kind`), or a file that is sent piece by piece."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = JSON
    file: IO[bytes] | None = None
    size: int = 0
    """Of `file`, in bytes."""
    packed: str = ""
    """The coding in which `file` stands."""
    offered: Offered | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to the instance `collection`, with the right to it already looked at."""

    instance: Instance
    visit: Visit
    collection: Collection
    row: AudienceRow | None
    address: Address
    req: falcon.Request
    raw: bytes
    """The body, unpacked."""
    given: Any
    """The JSON in it; None where the action reads the bytes itself."""
    base: str
    """The address of this instance."""

    @property
    def site(self) -> Site:
        """The node."""
        return self.instance.site

    @property
    def tx(self) -> Connection:
        """The snapshot of a reading action."""
        return self.visit.tx

    @property
    def audience(self) -> AudienceRow:
        """The audience of an action that needs one."""
        if self.row is None:
            raise NotFound("request.no_collection")
        return self.row

    @property
    def source(self) -> str:
        """Under which name what this account sends is kept: the same as over TAXII."""
        return f"{self.visit.peer}/post:{self.collection.alias}"

    @property
    def channel(self) -> str:
        """What it is written to."""
        return collection_channel(self.collection.id)

    def option(self, name: str, otherwise: Any = None) -> Any:
        """A parameter, from the body first, then from the path, then from the query; a list where several stand."""
        if isinstance(self.given, dict) and name in self.given:
            return self.given[name]
        values = self.address.lists.get(name)
        if values:
            return values[0] if len(values) == 1 else list(values)
        return self.req.params.get(name, otherwise)


Right = Literal["known", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What an address does. `right`: to know the collection, to read there now, or to write there now.

    A reading action runs inside one snapshot, `ask.tx`; a writing one opens its own transactions.
    """

    call: Callable[[Ask], Answer]
    right: Right = "read"
    methods: frozenset[str] = frozenset({"GET", "HEAD", "POST"})
    raw: bool = False
    """It reads the bytes itself, and they may be as large as an event."""
    most: int | None = body.SMALL
    """Bytes of its body, unpacked; None: as many as an envelope may have."""


Actions = Mapping[tuple[str, str], Action]


class Instance:
    """`/misp/{id or alias}/…`, and MISP's own addresses at the root for an account's only collection."""

    def __init__(self, door: Door, actions: Actions) -> None:
        self.door = door
        self.site = door.site
        self._actions = actions
        self._large = Lock()

    def methods(self, req: falcon.Request) -> frozenset[str]:
        """What the address offers; none where nothing is."""
        parts = req.path.removeprefix(PREFIX + "/").partition("/")
        address = parse(parts[2] if req.path.startswith(PREFIX + "/") else req.path)
        action = self._actions.get((address.controller, address.action))
        return frozenset() if action is None else action.methods

    def on_get(self, req: falcon.Request, resp: falcon.Response, rest: str = "", name: str = "") -> None:
        """Do what the address says. Raises what the door and the action raise."""
        address = parse(rest if name else req.path)
        action = self._actions.get((address.controller, address.action))
        if action is None:
            raise NotFound("request.misp_no_action", path=req.path[:200])
        if req.method not in action.methods:
            raise falcon.HTTPMethodNotAllowed(sorted(action.methods))
        with self.door.visit(req, taxii=False) as visit:
            collection = visit.collection(name) if name else _only(visit)
            if action.right == "write":
                visit.writing(collection)
            elif action.right == "read":
                visit.reading(collection)
        answer = self._done(action, visit, collection, address, req)
        if answer.offered is not None and answer.offered.count and req.method != "HEAD":
            self._record(visit, collection, req, answer.offered)
        _send(req, resp, answer)

    on_head = on_post = on_delete = on_get

    def _done(
        self, action: Action, visit: Visit, collection: Collection, address: Address, req: falcon.Request
    ) -> Answer:
        """Take the body, if there is one, and do it. An event that fills the memory is looked at while no other is."""
        if req.method != "POST":
            return self._answer(action, visit, collection, address, req, b"")
        most = self.site.max_content_length
        if not action.raw and action.most is not None:
            most = min(most, action.most)
        packed, raw = body.packed(req), read(req, most)
        if not packed:
            return self._answer(action, visit, collection, address, req, raw)
        try:
            whole = body.unpacked(raw, most)
        except TooLarge:
            if not action.raw:
                raise
            if not self._large.acquire(timeout=_PATIENCE):
                raise Unavailable("request.misp_large", retry_after=_LATER) from None
            try:
                whole = body.unpacked(raw, most * body.LARGER)
                return self._answer(action, visit, collection, address, req, whole)
            finally:
                self._large.release()
        return self._answer(action, visit, collection, address, req, whole)

    def _answer(
        self, action: Action, visit: Visit, collection: Collection, address: Address, req: falcon.Request, raw: bytes
    ) -> Answer:
        given = None if action.raw else body.parsed(raw)
        base = f"{visit.base}{PREFIX}/{collection.alias}"

        def ask(now: Visit, row: AudienceRow | None) -> Ask:
            return Ask(
                instance=self, visit=now, collection=collection, row=row, address=address, req=req, raw=raw,
                given=given, base=base,
            )  # fmt: skip

        with self.site.store.reading() as tx:
            now = visit.renewed(tx)
            if action.right == "read":
                return action.call(ask(now, now.reading(collection)))
            if action.right == "known":
                return action.call(ask(now, None))
            row = now.audience(collection)
            now.writing(collection)  # it may have been stopped while the body came in (RULES R31)
        return action.call(ask(visit, row))

    def _record(self, visit: Visit, collection: Collection, req: falcon.Request, offered: Offered) -> None:
        with self.site.store.reading() as tx:
            row = visit.renewed(tx).audience(collection)
        record(visit, row, f"misp{req.path}", offered.first, offered.last, offered.count)


def _only(visit: Visit) -> Collection:
    """The account's only collection. Raises RequestError that names the addresses of several."""
    found = visit.collections()
    if not found:
        raise NotFound("request.no_collection")
    if len(found) > 1:
        urls = ", ".join(f"{visit.base}{PREFIX}/{each.alias}" for each in found[:_BASES])
        raise RequestError("request.misp_which", urls=urls)
    return found[0]


def _send(req: falcon.Request, resp: falcon.Response, answer: Answer) -> None:
    resp.status = answer.status
    for name, value in answer.headers.items():
        resp.set_header(name, value)
    if answer.file is not None:
        if answer.packed:
            resp.set_header("Content-Encoding", answer.packed)
        resp.content_type = answer.kind
        resp.set_stream(answer.file, answer.size)
        return
    if answer.status == 304:
        return
    data = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    wanted = coding.wanted(req.get_header("Accept-Encoding")).of(len(data))
    if wanted and answer.status == 200:
        resp.set_header("Content-Encoding", wanted)
        data = coding.pack(wanted, data)
    resp.content_type = answer.kind
    resp.data = data
