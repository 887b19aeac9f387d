"""Whose side a property is on, by what the document itself says: the table of `docs/policy.md`.

A string is read as *free* text (everything counts), or as the attacker's side (*theirs*: what is intelligence stays,
and only what is inside somebody's network counts), or it is a *victim's* as a whole, or it is not read: what is no
text, and what only its creator may change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.model.personal.finding import Kind, listed
from exchange.model.personal.names import somebody


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole value is a victim's."""

    kind: Kind
    certain: bool = True


class Side:
    """How a string is read; the members are told apart by identity."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


FREE, CITED, THEIRS, UNREAD, VALUE = map(Side, ("free", "cited", "theirs", "unread", "value"))
"""CITED is FREE but for names: a reference names who published. VALUE is THEIRS, and cannot be cut: with anything in it
all of it goes."""
Read = Side | Whole

UNTOUCHED = frozenset({"marking-definition", "extension-definition"})
"""Types that only their creator may change; they are the words of a mark, not of an incident."""

_NOT_TEXT = listed(
    """
    id type spec_version created modified pattern_type pattern_version lang definition_type extension_type revoked
    defanged confidence first_seen last_seen valid_from valid_until first_observed last_observed payload_bin hashes
    mime_type protocols granular_markings object_marking_refs account_type ctime mtime atime template_uuid uuid
    event_uuid object_uuid org_uuid orgc_uuid sharing_group_id identity_class
    """
)
ATTRIBUTES = frozenset({"attribute", "Attribute", "proposal", "x_misp_attributes"})
"""Properties that hold attributes of MISP."""
_EVERYWHERE: Mapping[str, Read] = {
    "authors": THEIRS,
    "author": THEIRS,
    "event_creator_email": Whole(Kind.EMAIL),
    "owner_sid": Whole(Kind.ACCOUNT),
    "sid": Whole(Kind.ACCOUNT),
    "source_name": THEIRS,
    "external_id": THEIRS,
    "home_dir": VALUE,
    "body": FREE,
    "comment": FREE,
    "description": FREE,
    "window_title": FREE,
    "kill_chain_name": UNREAD,
    "phase_name": UNREAD,
    "document_info_dict": THEIRS,
    "exif_tags": THEIRS,
    "request_value": THEIRS,
}
"""By name, in any object and at any depth."""

_VALUES: Mapping[str, Mapping[str, Read]] = {
    "directory": {"path": VALUE},
    "domain-name": {"value": VALUE},
    "email-addr": {"value": VALUE, "display_name": Whole(Kind.NAME, certain=False)},
    "email-message": {"subject": FREE, "body": FREE, "received_lines": FREE},
    "file": {"name": VALUE},
    "ipv4-addr": {"value": VALUE},
    "ipv6-addr": {"value": VALUE},
    "process": {"window_title": FREE},
    "url": {"value": VALUE},
    "windows-registry-key": {"key": VALUE},
    "artifact": {}, "autonomous-system": {}, "mac-addr": {}, "mutex": {}, "network-traffic": {}, "software": {},
    "user-account": {}, "x509-certificate": {},
}  # fmt: skip
"""Observables: what is not named here is read as THEIRS, unless its name begins with `x_` (then it is FREE)."""
OBSERVABLES = frozenset(_VALUES)
_TEXTS = sorted(name for table in (_EVERYWHERE, *_VALUES.values()) for name, side in table.items() if side is FREE)
_WORDED = re.compile(
    r"/\*|[\r\n]|(?<!:)//|[.:]\s*'(?!(?:SHA-?[0-9]{1,3}(?:-[0-9]{1,3})?|MD5|SSDEEP|TLSH)')"
    rf"|(?<![A-Za-z0-9])x[_-]|extension-definition--|additional_header_fields|{'|'.join(_TEXTS)}"
    rf"|(?<![\w-])(?!(?:{'|'.join(sorted(OBSERVABLES))})\s*:)[\w-]+\s*:\s*[A-Za-z_']"
)
"""A comment may stand anywhere; and what is in quotes may be the name of a property."""


_THEIR_NAMES = listed(
    """
    attack-pattern campaign course-of-action infrastructure intrusion-set malware threat-actor tool vulnerability
    """
)
_NAMES = frozenset({"name", "aliases", "x_mitre_aliases", "x_opencti_aliases", "goals"})

_SOCIAL = frozenset({"facebook", "icq", "jabber", "livejournal", "skype", "telegram", "twitter", "tumblr", "github"})
"""Account types of which an attacker has as many as it likes: nothing says whose an account is."""
_ACCOUNT_PARTS = {
    "user_id": Kind.ACCOUNT,
    "account_login": Kind.ACCOUNT,
    "display_name": Kind.NAME,
    "credential": Kind.ACCOUNT,
}
_RECIPIENTS = listed(
    """
    to cc bcc delivered-to x-original-to envelope-to x-envelope-to resent-to resent-cc apparently-to x-rcpt-to
    x-forwarded-to x-delivered-to x-ms-exchange-organization-originalenveloperecipients
    """
)
"""Headers of a message that name who got it (RFC 5322 section 3.6.3, RFC 9228, and custom)."""
_SENDERS = listed("from reply-to return-path sender x-sender message-id")
"""Headers that name who sent it (RFC 5322 sections 3.6.2, 3.6.4 and 3.6.7)."""
_ENVIRONMENT: Mapping[str, Kind] = {
    "username": Kind.ACCOUNT,
    "user": Kind.ACCOUNT,
    "logname": Kind.ACCOUNT,
    "sudo_user": Kind.ACCOUNT,
    "computername": Kind.HOST,
    "hostname": Kind.HOST,
    "userdomain": Kind.HOST,
    "userdnsdomain": Kind.HOST,
    "logonserver": Kind.HOST,
    "sessionname": Kind.HOST,
    "clientname": Kind.HOST,
}
_REGISTRY = listed(
    "defaultusername altdefaultusername defaultpassword registeredowner lastusedusername lastloggedonuser "
    "lastloggedonsamuser lastloggedondisplayname"
) | {"logon user name"}
"""Values of the registry that keep who signed in, in lower case."""


def of(kind: str, holder: str, name: str, inside: Mapping[str, Any]) -> Read:
    """How the strings under the property `name` of `inside` are read; `kind` is the STIX type of the object, `holder`
    the property that holds `inside` (empty: it is the object itself).
    """
    if name in _NOT_TEXT or name.endswith(("_ref", "_refs")):
        return UNREAD
    if name == "data" and holder in ATTRIBUTES:
        return UNREAD  # bytes in base64
    special = _held(holder, name, inside) or (None if holder else _own(kind, name, inside))
    if special is not None:
        return special
    if name in _EVERYWHERE:
        return _EVERYWHERE[name]
    if kind in OBSERVABLES and not name.startswith("x_"):
        return THEIRS
    return FREE


def worded(text: str) -> bool:
    """Whether a pattern may compare something with a text that is read as FREE; False: it does not."""
    return bool(_WORDED.search(text))


def _held(holder: str, name: str, inside: Mapping[str, Any]) -> Read | None:
    """What the property around it says."""
    plain = name.casefold()
    if holder == "additional_header_fields":
        return Whole(Kind.EMAIL) if names_recipient(name) else THEIRS if plain in _SENDERS else FREE
    if holder == "request_header" and plain in ("authorization", "proxy-authorization", "cookie"):
        return Whole(Kind.ACCOUNT)
    if holder == "external_references" and name == "description":
        return CITED
    if holder == "cluster" and name == "authors":
        return CITED
    if holder == "environment_variables":
        return Whole(_ENVIRONMENT[plain]) if plain in _ENVIRONMENT and somebody_at(inside[name]) else THEIRS
    if holder == "values" and name == "data":
        value = inside.get("name")
        return Whole(Kind.ACCOUNT) if isinstance(value, str) and value.casefold() in _REGISTRY else THEIRS
    return None


def names_recipient(header: str) -> bool:
    """Whether a header of this name says who got the message."""
    return header.casefold() in _RECIPIENTS


def _own(kind: str, name: str, stix: Mapping[str, Any]) -> Read | None:
    """What the type of the object says."""
    if kind == "user-account" and name in _ACCOUNT_PARTS:
        return _account(name, stix)
    if kind == "identity":
        if stix.get("identity_class") == "individual" and name in ("name", "contact_information"):
            return Whole(Kind.NAME if name == "name" else Kind.EMAIL)
        return THEIRS if name == "name" else None
    if kind in _THEIR_NAMES and name in _NAMES:
        return THEIRS
    return _VALUES.get(kind, {}).get(name)


def _account(name: str, stix: Mapping[str, Any]) -> Read:
    value = stix.get(name)
    if stix.get("is_service_account") is True or not somebody_at(value):
        return THEIRS
    return Whole(_ACCOUNT_PARTS[name], certain=stix.get("account_type") not in _SOCIAL)


_SYSTEM = re.compile(r"S-1-5-(?:1[89]|20|21(?:-[0-9]+){3}-[0-9]{1,3}|32-[0-9]+)\Z|[0-9]{1,3}\Z", re.I)
"""Identifiers of the system's own accounts: well-known ones of Windows, and numbers below 1000 of Unix."""


def somebody_at(value: object) -> bool:
    """Whether an account's identifier or name may be a person's."""
    return not isinstance(value, str) or (somebody(value) and not _SYSTEM.match(value))
