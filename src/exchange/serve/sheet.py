"""A page on its way out: dates, tag, coding, and the one ledger row that is written before its first byte leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import falcon

from exchange.errors import NotAcceptable
from exchange.model.dialect import Dialect, render
from exchange.serve import coding, tags
from exchange.serve.coding import Packer
from exchange.serve.door import Visit
from exchange.serve.question import timestamp
from exchange.serve.reading import record
from exchange.store.audiences import AudienceRow
from exchange.store.blocks import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page: what stands in the list `name`, as JSON in pieces between commas."""

    name: str
    kind: str
    """What is said of each: with the audience and `told` it tells the page, byte for byte."""
    items: Sequence[Piece]
    count: int
    first: int
    """The dates on which the first of it and the last were added."""
    last: int
    told: Sequence[int]
    more: bool
    dialect: Dialect = ""
    """In which ids of TLP the reader has it; it has one audience with all others who do."""

    def body(self) -> bytes:
        """The envelope, manifest or versions resource. No empty list (section 2); `next` is the last date added.

        The standard gives manifests and versions no `next`; without it, clients that page by `next` ask for page one
        for ever (RULES R20: it is a bare timestamp).
        """
        if not self.count:
            return b"{}"
        more = f'"more":true,"next":"{timestamp(self.last)}"' if self.more else '"more":false'
        parts: list[Piece] = [f'{{{more},"{self.name}":['.encode()]
        for piece in self.items:
            parts += (piece, b",")
        parts[-1] = b"]}"
        return render(b"".join(parts), self.dialect)


class Desk:
    """Where sheets are handed out; it keeps those that it packed."""

    def __init__(self) -> None:
        self._packer = Packer()

    def hand_out(
        self, req: falcon.Request, resp: falcon.Response, visit: Visit, audience: AudienceRow, sheet: Sheet, query: str
    ) -> None:
        """Answer with `sheet`; `query` is what the ledger keeps of the question. The visit's snapshot must be closed.

        Nothing is offered, and so nothing recorded, by an empty page, a HEAD, or a 304 (RULES R27). Raises
        NotAcceptable when no coding that the reader takes is one of ours, and what `record` raises.
        """
        wanted = coding.wanted(req.get_header("Accept-Encoding"))
        chosen = wanted.of(sum(map(len, sheet.items)))
        if not chosen and not wanted.plain:
            raise NotAcceptable("request.coding_not_offered")
        _dates(resp, sheet)
        tag = tags.of_page(sheet.kind, audience.key, sheet.told, sheet.more)
        if tags.unchanged(req, resp, tag, chosen):
            return
        body = self._packer.packed(f"{tag}-{chosen}", chosen, sheet.body) if chosen else sheet.body()
        if sheet.count and req.method != "HEAD":
            record(visit, audience, query, sheet.first, sheet.last, sheet.count)
        if chosen:
            resp.set_header("Content-Encoding", chosen)
        resp.data = body


def _dates(resp: falcon.Response, sheet: Sheet) -> None:
    """The Date-Added headers (section 3.5); an empty page has no dates, and an invented one would lose objects."""
    if sheet.count:
        resp.set_header("X-TAXII-Date-Added-First", timestamp(sheet.first))
        resp.set_header("X-TAXII-Date-Added-Last", timestamp(sheet.last))
