"""Personal information of those who were attacked, found and taken out: what the attacker uses is intelligence.

    if personal.suspect(body):                       # the bytes of an object: microseconds, never wrong with False
        found = personal.find(document, choice)      # where, what, and whether the document itself says so
    others = personal.victims(document)          # ids of others of which it says that they are a victim's
        less = personal.strip(document, found)       # a copy without them, or a Refusal

Which properties are on whose side is a table (`sides`, `attributes`, and `docs/policy.md` in words). Free text is read
by rules of form (`text`). Nothing here decides: whether an audience gets the one, the other or none is its clause's.
"""

from exchange.model.personal.choice import SPECIAL, USUAL, Choice
from exchange.model.personal.finding import Finding, Kind, words
from exchange.model.personal.removal import Refusal, strip
from exchange.model.personal.search import find
from exchange.model.personal.suspicion import suspect
from exchange.model.personal.text import MARK
from exchange.model.personal.victims import SPEAKING, may_name_victims, victims

__all__ = [
    "MARK", "SPEAKING", "SPECIAL", "USUAL", "Choice", "Finding", "Kind", "Refusal", "find", "may_name_victims", "strip",
    "suspect", "victims", "words",
]  # fmt: skip
