"""What a MISP sends, taken in by `sync.accept` like a pull or a POST; and what it deletes, withdrawn (RULES R22)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import orjson
import structlog

from exchange import convert
from exchange.errors import ContentError
from exchange.model.envelope import Page, Skipped, cut
from exchange.model.misp import carried, creators_in
from exchange.model.party import Source
from exchange.model.stix import StixObject
from exchange.serve.misp import parties
from exchange.serve.misp.errors import Unsaved
from exchange.serve.misp.instance import Ask
from exchange.store import moment, originals
from exchange.sync.accept import accept, require
from exchange.sync.deletion import DELETED
from exchange.sync.withdrawal import withdraw_all

log = structlog.get_logger("exchange.serve")


Wanted = Callable[[StixObject], StixObject | None]
"""What is taken of an object; None: nothing."""


def take(
    ask: Ask, raw: bytes, source: Source, could: str, wanted: Wanted | None = None, *, whole: bool = True
) -> dict[str, bool]:
    """Take the document `raw` into the collection; the ids of what is `wanted` of it and is held now → whether anew.

    `wanted`: what of its objects, where the document says more than was sent (the event around a sighting). Of a whole
    event no ids are told, for it may have a million. `whole`: with its last page the document is here; otherwise it is
    once that is said (`complete`). Raises Unsaved when nothing can be made of it, and StoreBusy.
    """
    visit = ask.visit
    held: dict[str, bool] = {}
    rejected = 0
    try:
        for page in _pages(raw, source, ask, wanted):
            for each in cut(page):
                piece = each if each.last and whole else _unfinished(each)
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
        if wanted is not None:  # what stands around it was not sent, nor is it deleted by who speaks of it
            objects = [found for item in page.objects if (found := wanted(item)) is not None]
            skipped = [each for each in page.skipped if each.code != DELETED]
            held = replace(page, objects=objects, skipped=skipped, document=None)
        held = _spoken(held, source, ask)
    if held is not None:
        yield replace(held, last=True)


def _unfinished(page: Page) -> Page:
    """`page` without the end of its document."""
    return page if page.document is None else replace(page, document=replace(page.document, kind=originals.BEGUN))


def complete(ask: Ask, uuid: str, stamp: int) -> None:
    """All of the event `uuid` of the second `stamp` is here now, and what it says to be deleted is withdrawn."""
    with ask.site.store.writing() as tx:
        require(tx, ask.visit.rules)
        originals.complete(tx, ask.source, uuid, str(stamp))


_CREATOR = re.compile(rb'"(?:Organisation|Orgc?|orgc?_uuid|identity_class)"').search


def _spoken(page: Page, source: Source, ask: Ask) -> Page:
    """`page` without what speaks in the name of an organisation for which this account may not.

    Sightings, notes, proposals and clusters name creators of their own, beside the event's and inside it.
    """
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    kept, skipped = [], list(page.skipped)
    for item in page.objects:
        named = _creators(item) if _CREATOR(item.body) else ()
        foreign = next((uuid for uuid in named if parties.refusal(uuid, peer, ask.visit.rules)), None)
        if foreign is None:
            kept.append(item)
            continue
        fields = {"org": foreign, "uuid": foreign, "source": source.key}
        skipped.append(Skipped(id=item.id, code="misp.org_not_allowed", fields=fields))
    if len(kept) == len(page.objects):
        return page
    told = len(skipped) - len(page.skipped)
    log.info("serve.misp_foreign", account=ask.visit.account, collection=ask.collection.alias, count=told)
    return replace(page, objects=kept, skipped=skipped)


def _creators(item: StixObject) -> Iterator[str]:
    """Who says what the object carries; an organisation speaks for itself."""
    stix = orjson.loads(item.body)
    whole = carried(stix)
    if whole is not None:
        yield from creators_in(whole)
    elif item.type == "identity" and stix.get("identity_class") == "organization":
        yield item.id.partition("--")[2]


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
