"""What is known of how a peer speaks: certificates shown in TLS handshakes, and the profile that a probe takes.

Both are said of a peer by us, from what it showed; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """One TLS handshake with a peer: which certificates were shown, and until when they hold."""

    peer: str
    origin: str
    """Scheme, host and port."""
    subject: str
    """`CN=…, O=…`"""
    issuer: str
    not_after: datetime
    our_file: str | None = None
    """Where our client certificate stands; None: none is configured."""
    our_subject: str | None = None
    our_not_after: datetime | None = None


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know: a message id of the catalogues (`probe.…`, `peer.…`) and its fields."""

    code: str
    fields: dict[str, Value] = {}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe found out; None and empty text: not found out, or there is no such thing with this protocol."""

    key: str
    """`peer/source` or `peer/target`."""
    kind: str
    at: datetime
    complete: bool = False
    """Whether every question was answered, whatever the answer."""
    speaks: str = ""
    """`TAXII 2.1`, `MISP 2.5.34`, `MISP feed`."""
    title: str = ""
    versions: tuple[str, ...] = ()
    """The media types that the API root lists."""
    roots: tuple[str, ...] = ()
    """The API roots that discovery names."""
    media_type: str = ""
    """Of the answer to a page."""
    can_read: bool | None = None
    can_write: bool | None = None
    collections: int | None = None
    """How many collections our account sees."""
    page: int | None = None
    """Objects that came when we asked for as many as we ask in a drain."""
    limit: str = ""
    """What becomes of `limit`: `honoured`, `cut`, `ignored`, `refused`."""
    following: str = ""
    """What `next` is when there is more: `timestamp`, `opaque`, `range` (TAXII 2.0), `missing`."""
    dates: str = ""
    """Form of the Date-Added headers: `six digits`, `other digits`, `offset`, `http`, `javascript`, `unreadable`,
    `missing`."""
    inclusive: bool | None = None
    """Whether `added_after` gives the object of that very date again."""
    ties: bool | None = None
    """Whether the objects of one date go on over the end of a page."""
    manifest: str = ""
    """`dated`, `undated`, `missing`."""
    max_content_length: int | None = None
    """Bytes of one POST."""
    size: int | None = None
    """Events of a feed."""
    etag: bool | None = None
    role: str = ""
    """The rights of our MISP account that matter, by name, with commas."""
    skew: float | None = None
    """Seconds that the peer's clock is ahead of ours."""
    latency: float | None = None
    """Seconds of the fastest answer."""
    remarks: tuple[Remark, ...] = ()


_OF_CONTENT = {"probe.ties"}
"""Remarks that depend on what lies there, not on the peer's ways."""
_PASSING = frozenset({"at", "remarks", "skew", "latency", "size", "page", "ties", "complete"})
"""What differs between two probes without the peer having changed its ways."""


def to_text(profile: Profile) -> str:
    """The profile as JSON."""
    return msgspec.json.encode(profile).decode()


def from_text(text: str) -> Profile:
    """The profile that `to_text` wrote, by this release or an older one. Raises ValueError when it is none."""
    return msgspec.json.decode(text, type=Profile)


def drift(old: Profile, new: Profile) -> list[tuple[str, Mapping[str, Any]]]:
    """What the peer does otherwise than before: (code, fields) for each; what was not found out this time is not."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name in Profile.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        known = before not in (None, "", ()) and after not in (None, "", ())
        if name not in _PASSING and known and before != after:
            found.append(("probe.changed", {"name": name, "old": _shown(before), "new": _shown(after)}))
    codes = {remark.code for remark in old.remarks}
    found += [(r.code, r.fields) for r in new.remarks if r.code not in codes | _OF_CONTENT]
    return found


def _shown(value: object) -> Value:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return value if isinstance(value, str | int | float) else str(value)
