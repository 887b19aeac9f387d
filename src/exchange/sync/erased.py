"""What was erased is not taken again (RULES R33): the same id, or anything that names the same value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from exchange.model.envelope import Page
from exchange.store import erasures, originals
from exchange.sync.intake import Outcome

REASON = "erasure.erased"


def without_erased(tx: Connection, page: Page) -> tuple[Page, list[Outcome]]:
    """`page` without what was erased, and what became of that. It is not set aside either: nothing of it is kept."""
    said: list[tuple[str, Sequence[str]]] = [(item.id, [value for _, value in item.values]) for item in page.objects]
    said += [(each.id, ()) for each in page.rejected]
    gone = erasures.refused(tx, said)
    if not gone:
        return page, []
    outcomes = [
        Outcome(id=item.id, version=item.version, precision=item.precision, code="rejected", reason=REASON)
        for item in page.objects
        if item.id in gone
    ]
    outcomes += [Outcome(id=e.id, version="", code="rejected", reason=REASON) for e in page.rejected if e.id in gone]
    # An event that holds it is not kept as it came.
    document = None if page.document is None else replace(page.document, raw=b"")
    left = replace(
        page, objects=[item for item in page.objects if item.id not in gone], document=document,
        rejected=[each for each in page.rejected if each.id not in gone],
    )  # fmt: skip
    return left, outcomes


def blank(tx: Connection, document: int | None, gone: Sequence[Outcome]) -> None:
    """What came with an earlier page of this event holds what was erased too."""
    if gone and document is not None:
        originals.blank(tx, document)
