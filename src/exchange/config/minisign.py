"""Signatures of minisign, verified by ourselves: the format of its manual, Ed25519 (RFC 8032) by the system's OpenSSL.

A public key is the base64 of `Ed`, eight bytes of key id and the 32 bytes of the key. A signature file has four lines:

    untrusted comment: …
    base64 of `Ed` or `ED`, the key id, and a signature of the file (`Ed`) or of its BLAKE2b-512 (`ED`)
    trusted comment: timestamp:UNIX SECONDS …
    base64 of a signature of the first signature and the trusted comment
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PLAIN, _HASHED = b"Ed", b"ED"
_ID, _KEY, _SIGNATURE = 8, 32, 64
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
_LINES = 4
_LONGEST = 20_000
_STAMP = re.compile(r"(?:^|\t)timestamp:([0-9]{1,11})(?:\t|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The public key of somebody who approves."""

    who: str
    id: bytes
    public: bytes
    after: datetime | None = None
    """What was signed before this does not count; None: since ever."""
    before: datetime | None = None
    """What was signed from this instant on does not count; None: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Why a signature does not count."""

    why: str
    """unreadable, unknown, wrong, or expired."""
    key: str = ""
    """The id of the key that made it, as minisign prints it."""
    who: str = ""


def public_key(text: str) -> tuple[bytes, bytes]:
    """The id and the key that a line of a `.pub` file holds; raises ValueError when it is none."""
    raw = b64decode(text, validate=True)
    if len(raw) != len(_PLAIN) + _ID + _KEY or not raw.startswith(_PLAIN):
        raise ValueError("no public key of minisign")
    return raw[2 : 2 + _ID], raw[2 + _ID :]


def printed(identifier: bytes) -> str:
    """A key's id as minisign prints it."""
    return f"{int.from_bytes(identifier, 'little'):016X}"


def judge(content: bytes, signature: bytes, keys: Mapping[bytes, Key]) -> Wrong | None:
    """What is wrong with the signature of `content`; None: one of `keys` (by id) made it while it counted."""
    parts = _parts(signature)
    if parts is None:
        return Wrong(why="unreadable")
    form, identifier, made, trusted, whole = parts
    named = printed(identifier)
    key = keys.get(identifier)
    if key is None:
        return Wrong(why="unknown", key=named)
    signed = content if form == _PLAIN else hashlib.blake2b(content, digest_size=64).digest()
    public = Ed25519PublicKey.from_public_bytes(key.public)
    try:
        public.verify(made, signed)
        public.verify(whole, made + trusted)  # so the comment, with its date, is the signer's too
    except InvalidSignature:
        return Wrong(why="wrong", key=named, who=key.who)
    return None if _counted(key, trusted.decode()) else Wrong(why="expired", key=named, who=key.who)


def _parts(signature: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes] | None:
    """Form, key id, signature, trusted comment, signature of both; None: it has another form."""
    try:
        lines = signature[: _LONGEST + 1].decode().splitlines()
        if len(signature) > _LONGEST or len(lines) != _LINES:
            return None
        head, made, trusted, whole = lines
        raw, last = b64decode(made, validate=True), b64decode(whole, validate=True)
    except ValueError:  # no UTF-8, or no base64
        return None
    sound = head.startswith(_UNTRUSTED) and trusted.startswith(_TRUSTED)
    form, rest = raw[:2], raw[2:]
    if not sound or form not in (_PLAIN, _HASHED) or len(rest) != _ID + _SIGNATURE or len(last) != _SIGNATURE:
        return None
    return form, rest[:_ID], rest[_ID:], trusted.removeprefix(_TRUSTED).encode(), last


def _counted(key: Key, trusted: str) -> bool:
    """Whether the key counted at the time that the signer says it signed; where it has a period, it must say one."""
    if key.after is None and key.before is None:
        return True
    stamp = _STAMP.search(trusted)
    if stamp is None:
        return False
    at = datetime.fromtimestamp(int(stamp[1]), UTC)
    return (key.after is None or at >= key.after) and (key.before is None or at < key.before)
