"""The file of those who approve: a line for each, a name, options, and a public key of SSH or of minisign.

    marie@cert.example ssh-ed25519 AAAA…
    luc@cert.example minisign RWQ…
    luc@cert.example valid-after="20260101",valid-before="20270101" minisign RWQ…

It is the file of allowed signers of ssh-keygen(1), with `minisign` as one more kind of key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exchange.config.minisign import Key, public_key

_KIND = "minisign"
_LINE = re.compile(rf"(\S+)[ \t]+(?:([^\s\"]+=\"[^\"]*\"\S*)[ \t]+)?{_KIND}[ \t]+(\S+)(?:[ \t].*)?")
_OPTION = re.compile(r"(valid-after|valid-before)=\"([0-9]{8}|[0-9]{12}|[0-9]{14})Z?\"", re.IGNORECASE)
_FORMS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Who approves."""

    ssh: bytes
    """The lines that ssh-keygen reads."""
    keys: Mapping[bytes, Key]
    """Of minisign: the key's id → the key."""
    bad: int = 0
    """The number of the first line of minisign's that cannot be read; 0: there is none."""


def read(text: bytes) -> Signers:
    """The approvers in the file's text. Lines that are not minisign's are left to ssh-keygen."""
    ssh, keys, bad = [], {}, 0
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        plain = line.strip()
        if plain.startswith("#") or _KIND not in plain.split():
            ssh.append(line)
            continue
        key = _key(plain)
        if key is None:
            bad = bad or number
        else:
            keys[key.id] = key
    return Signers(ssh="\n".join([*ssh, ""]).encode(), keys=keys, bad=bad)


def _key(line: str) -> Key | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    who, options, text = match.groups()
    try:
        identifier, public = public_key(text)
        period = _period(options or "")
    except ValueError:
        return None
    return Key(
        who=who, id=identifier, public=public, after=period.get("valid-after"), before=period.get("valid-before")
    )


def _period(options: str) -> Mapping[str, datetime]:
    """When the key counts, UTC; raises ValueError for an option that is not about that."""
    found = {}
    for option in options.split(",") if options else ():
        match = _OPTION.fullmatch(option)
        if match is None:
            raise ValueError(option)
        found[match[1].lower()] = datetime.strptime(match[2], _FORMS[len(match[2])]).replace(tzinfo=UTC)
    return found
