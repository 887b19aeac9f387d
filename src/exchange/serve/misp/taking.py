"""What a MISP sends, taken in by `sync.accept` like a pull or a POST; and what it deletes, withdrawn (RULES R22)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import structlog

from exchange import convert
from exchange.errors import ContentError
from exchange.model.envelope import Page, cut
from exchange.model.party import Source
from exchange.model.stix import StixObject
from exchange.serve.misp.errors import Unsaved
from exchange.serve.misp.instance import Ask
from exchange.store import moment
from exchange.sync.accept import accept
from exchange.sync.withdrawal import withdraw_all

log = structlog.get_logger("exchange.serve")


Wanted = Callable[[StixObject], StixObject | None]
"""What is taken of an object; None: nothing."""


def take(ask: Ask, raw: bytes, source: Source, could: str, wanted: Wanted | None = None) -> dict[str, bool]:
    """Take the document `raw` into the collection; the ids of what is `wanted` of it and is held now → whether anew.

    `wanted`: what of its objects, where the document says more than was sent (the event around a sighting). Of a whole
    event no ids are told, for it may have a million. Raises Unsaved when nothing can be made of it, and StoreBusy.
    """
    visit = ask.visit
    held: dict[str, bool] = {}
    rejected = 0
    try:
        for page in _pages(raw, source, ask, wanted):
            for piece in cut(page):
                taken = accept(
                    ask.site.store, visit.rules, piece, ask.source, visit.peer, moment(visit.now), posted=ask.channel
                )
                if wanted is not None:
                    held |= {each.id: each.code == "stored" for each in taken.outcomes if each.success}
            rejected += len(page.rejected)
    except ContentError as error:
        raise Unsaved(error.code, could=could, **error.fields) from None
    if rejected:
        log.info("serve.misp_rejected", account=visit.account, collection=ask.collection.alias, count=rejected)
    return held


def _pages(raw: bytes, source: Source, ask: Ask, wanted: Wanted | None) -> Iterator[Page]:
    """The pages of the conversion; the last of them ends the envelope (RULES R11)."""
    held: Page | None = None
    for page in convert.pages(raw, source, now=moment(ask.visit.now)):
        if held is not None:
            yield held
        held = page
        if wanted is not None:  # what stands around it was not sent
            objects = [found for item in page.objects if (found := wanted(item)) is not None]
            held = replace(page, objects=objects, document=None)
    if held is not None:
        yield replace(held, last=True)


def withdraw(ask: Ask, stix_ids: Sequence[str]) -> int:
    """Take what this peer stated under these ids out of the collection; how many there were."""
    if not stix_ids:
        return 0
    return withdraw_all(
        ask.site.store,
        ask.visit.rules,
        peer=ask.visit.peer,
        audience=ask.audience.key,
        stix_ids=stix_ids,
        now=moment(ask.visit.now),
    )
