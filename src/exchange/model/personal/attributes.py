"""MISP attributes that say by their type or category whose they are: the victim's, a person's, or the house's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from exchange.model import misp
from exchange.model.personal.finding import Kind
from exchange.model.personal.sides import FREE, OBSERVABLES, VALUE, Read, Whole

_CATEGORIES = {"targeting data": Kind.VICTIM, "internal reference": Kind.VICTIM, "person": Kind.NAME}
_SURE: Mapping[Kind, str] = {
    Kind.VICTIM: "target-org target-location target-external",
    Kind.ACCOUNT: "target-user frequent-flyer-number",
    Kind.EMAIL: "target-email email-dst",
    Kind.HOST: "target-machine",
    Kind.NAME: """
        first-name middle-name last-name full-name email-dst-display-name date-of-birth place-of-birth gender
        nationality country-of-residence primary-residence travel-details special-service-request passport-country
        passport-expiration visa-number issue-date-of-the-visa place-port-of-original-embarkation
        place-port-of-clearance place-port-of-onward-foreign-destination passenger-name-record-locator-number
        """,
    Kind.NUMBER: "passport-number redress-number identity-card-number cc-number payment-details",
}
_UNSURE: Mapping[Kind, str] = {
    Kind.PHONE: "phone-number prtn whois-registrant-phone",
    Kind.EMAIL: "whois-registrant-email",
    Kind.NAME: "whois-registrant-name",
    Kind.ACCOUNT: "eppn",
    Kind.NUMBER: "iban bank-account-nr",
}
_TYPES = {
    name: Whole(kind, certain)
    for table, certain in ((_SURE, True), (_UNSURE, False))
    for kind, types in table.items()
    for name in types.split()
}
_HOLDING: Mapping[Kind, frozenset[str]] = {
    Kind.EMAIL: frozenset({"email-addr"}),
    Kind.NAME: frozenset({"email-addr", "user-account"}),
    Kind.ACCOUNT: frozenset({"email-addr", "user-account"}),
}
"""Of what a MISP object says in one attribute: the observables that may hold it; else any may."""
WORDS = frozenset(_TYPES) | frozenset(_CATEGORIES)
"""The types and categories, in lower case, without one of which an attribute is nobody's that we know."""
_TEXTS = frozenset({"comment", "text", "other", "email-subject", "email-body", "email-header"})
LABEL = re.compile(r'misp:(type|category)="([^"]*)"\Z', re.I)
"""The form of the labels that say the type and category of the attribute that a STIX object was made of."""


def of(kind: object, category: object) -> Read:
    """How the value of an attribute of this type and category is read."""
    found = _TYPES.get(kind.casefold()) if isinstance(kind, str) else None
    if found is None and isinstance(category, str) and category.casefold() in _CATEGORIES:
        found = Whole(_CATEGORIES[category.casefold()])
    if found is not None:
        return found
    return FREE if isinstance(kind, str) and kind.casefold() in _TEXTS else VALUE


def made_of(stix: Mapping[str, Any]) -> Whole | None:
    """What an object says of the attribute, or the MISP object, of which it was made; None: it is nobody's it knows."""
    return _beside(stix) if stix.get("type") in OBSERVABLES else labelled(stix)


def _beside(stix: Mapping[str, Any]) -> Whole | None:
    """Of an observable beside a carrier. All words of a MISP object stand on each that was made of it, so nobody can
    say which mailbox is the sender's: where one is a victim's, all are.
    """
    words = (misp.carried(stix) or {}).get("kinds")
    told = [each for each in words if isinstance(each, str)] if isinstance(words, list) else []
    types = [each.removeprefix(misp.TYPE) for each in told if each.startswith(misp.TYPE)]
    categories = [each.removeprefix(misp.CATEGORY) for each in told if each.startswith(misp.CATEGORY)]
    alone = not any(each.startswith(misp.TEMPLATE) for each in told)
    for kind in types:
        found = of(kind, None)
        if isinstance(found, Whole) and (alone or stix["type"] in _HOLDING.get(found.kind, OBSERVABLES)):
            return found
    return next((found for each in categories if isinstance(found := of(None, each), Whole)), None)


def labelled(stix: Mapping[str, Any]) -> Whole | None:
    """What the labels of an object say that was made of one attribute; None: it is nobody's that they know."""
    labels = stix.get("labels")
    said: dict[str, str] = {}
    for label in labels if isinstance(labels, list) else ():
        match = LABEL.match(label) if isinstance(label, str) else None
        if match:
            said[match[1].casefold()] = match[2]
    found = of(said.get("type"), said.get("category"))
    return found if isinstance(found, Whole) else None
