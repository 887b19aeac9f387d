"""What the words of a FIRST IEP 2.0 policy, and of CISA's AIS, come to on the axes of a label.

IEP 2.0 (JSON, 2019-11-06) as MISP's taxonomy `iep2-policy` writes it, and AIS as its taxonomy `ais-marking` does. A
word that we do not know is no word here: it denies, as every unknown marking (RULES R12). So does the id or name of a
policy, which may say more than the words beside it, until an agreement calls that policy informational.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import NamedTuple


class Said(NamedTuple):
    """What one of its words restricts; all defaults: nothing, it only has to be known."""

    tlp: str | None = None
    """The name of a level of TLP 1, in small letters."""
    pap: str | None = None
    """The name of a level of PAP, which every object can carry."""
    unnamed: bool = False
    encrypted: bool = False
    limited: bool = False
    since: datetime | None = None
    until: datetime | None = None


NOTHING = Said()
_WORD = re.compile(r'(iep2-policy|ais-marking):([a-z_]+)="([^"]*)"')
_WORDS: dict[tuple[str, str, str], Said] = {
    ("iep2-policy", "iep_version", "2.0"): NOTHING,
    **{("iep2-policy", "tlp", level): Said(tlp=level) for level in ("white", "green", "amber", "red")},
    ("iep2-policy", "attribution", "may"): NOTHING,
    ("iep2-policy", "attribution", "must"): NOTHING,  # we never take a creator's name away unless something asks for it
    ("iep2-policy", "attribution", "must-not"): Said(unnamed=True),
    ("iep2-policy", "encrypt_in_transit", "may"): NOTHING,
    ("iep2-policy", "encrypt_in_transit", "must"): Said(encrypted=True),
    # They bind who gets it, so the policy must go along; we ourselves neither sell, nor tell those whom it affects.
    ("iep2-policy", "unmodified_resale", "may"): NOTHING,
    ("iep2-policy", "unmodified_resale", "must-not"): Said(limited=True),
    ("iep2-policy", "affected_party_notifications", "may"): NOTHING,
    ("iep2-policy", "affected_party_notifications", "must-not"): Said(limited=True),
    ("iep2-policy", "permitted_actions", "none"): Said(pap="RED"),
    ("iep2-policy", "permitted_actions", "contact-for-instruction"): Said(pap="RED"),
    ("iep2-policy", "permitted_actions", "internally-visible-actions"): Said(pap="RED"),
    ("iep2-policy", "permitted_actions", "externally-visible-indirect-actions"): Said(pap="AMBER"),
    ("iep2-policy", "permitted_actions", "externally-visible-direct-actions"): NOTHING,
    **{("ais-marking", "tlpmarking", level): Said(tlp=level) for level in ("white", "green", "amber")},
    # Who submitted it may be told to everyone, to the government of the United States, or to nobody.
    ("ais-marking", "aisconsent", "everyone"): NOTHING,
    ("ais-marking", "aisconsent", "usg"): Said(unnamed=True),
    ("ais-marking", "aisconsent", "none"): Said(unnamed=True),
    ("ais-marking", "cisa_proprietary", "false"): NOTHING,
    ("ais-marking", "aismarking", "not_proprietary"): NOTHING,
}


def of_tag(folded: str) -> Said | None:
    """What a tag says, written without case and white space; None: it is no word that we know."""
    match = _WORD.fullmatch(folded)
    if match is None:
        return None
    taxonomy, name, value = match[1], match[2], match[3]
    if taxonomy == "iep2-policy" and name == "description":
        return NOTHING
    if taxonomy == "iep2-policy" and name == "start_date":
        at = _instant(value)
        return None if at is None else Said(since=at)
    if taxonomy == "iep2-policy" and name == "end_date":
        at = _instant(value)
        return NOTHING if value == "null" else None if at is None else Said(until=at)
    return _WORDS.get((taxonomy, name, value))


def _instant(value: str) -> datetime | None:
    """An instant of IEP, which is UTC unless it says otherwise; a day alone begins it. None: it is none."""
    try:
        at = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    try:
        return at.astimezone(UTC) if at.tzinfo else datetime.combine(at.date(), at.time() or time(), UTC)
    except OverflowError:
        return None
