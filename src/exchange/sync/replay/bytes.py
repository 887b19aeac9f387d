"""Whether the bytes are those that were decided on: the statement's own columns are worth what its bytes bear out."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.errors import ContentError
from exchange.model import stix
from exchange.model.marking import Label
from exchange.policy import strictest
from exchange.store.statements import Held

BYTES, STATED = "replay.bytes", "replay.stated"


@dataclass(frozen=True, slots=True)
class Read:
    """What was read in the bytes of a statement."""

    marks: int
    """What the second gate finds in them (RULES R25)."""
    wrong: tuple[str, str, str] | None
    """(code, what stands in the record, what the bytes say); None: they agree."""


def read(held: Held, stated: Label, body: bytes, *, own: bool, documented: bool) -> Read:
    """`stated`: what it stated when it came; `own`: we made it; `documented`: it was made of a MISP event."""
    marks = strictest(body)
    try:
        item = stix.parse(body, stix20=False)
    except ContentError as error:
        return Read(marks, (BYTES, held.stix_id, error.code))
    said = item.id, item.version, item.creator, item.revoked
    kept = held.stix_id, held.version, held.creator, held.revoked
    if said != kept:
        return Read(marks, (BYTES, _text(kept), _text(said)))
    # What was made of a MISP event has the digest of that part of the event.
    if not (own or documented) and item.digest != held.digest:
        return Read(marks, (BYTES, held.digest.hex()[:16], item.digest.hex()[:16]))
    # A marking that is not known by its id may have been explained beside it, so only what is known counts.
    both = stated.join(Label(tlp=item.label.tlp, pfc=item.label.pfc, pap=item.label.pap))
    if (both.tlp, both.pfc, both.pap) != (stated.tlp, stated.pfc, stated.pap):
        return Read(marks, (STATED, stated.to_text(), item.label.to_text()))
    return Read(marks, None)


def _text(values: tuple[object, ...]) -> str:
    return " ".join(str(value) for value in values if value != "")
