"""Putting a MISP feed together: group by the visible source, convert, judge the bytes that are to leave (RULES R25)."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from exchange.convert.feed import FeedEvent, Releasable, event_of, hashes, manifest_entry
from exchange.i18n import Language
from exchange.model.marking import Label
from exchange.model.party import Collection
from exchange.policy import gate
from exchange.serve.roots import in_language
from exchange.store import moment
from exchange.store.views import Shown

log = structlog.get_logger("exchange.serve")

NODE = "node"
"""The group of what names no creator."""
# A table of its own, as the second gate must have; only tags look like this, whatever stands in names and comments.
_TAG = re.compile(rb'\{"name":"(tlp:[^"]*)","colour":', re.I)
_RANK = {
    b"tlp:white": 0,
    b"tlp:clear": 0,
    b"tlp:green": 1,
    b"tlp:amber": 2,
    b"tlp:amber+strict": 3,
    b"tlp:red": 4,
}
_BEYOND = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """One file, and what the ledger says of it: the listings that it was made of."""

    body: bytes
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A whole feed of one audience at one state of its listing."""

    manifest: bytes
    etag: str
    events: Mapping[str, Assembled]
    """By event uuid."""
    hashes: Assembled


def minted(secret: bytes, text: str) -> str:
    """An id that tells nothing: HMAC-SHA-256 in the form of a UUIDv4 (RULES R15)."""
    raw = bytearray(hmac.digest(secret, text.encode(), "sha256")[:16])
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def passes(body: bytes, clearance: int) -> bool:
    """Whether the event says its TLP, and nothing in it is stricter than `clearance`; an unknown tlp tag denies."""
    ranks = [_RANK.get(tag.lower(), _BEYOND) for tag in _TAG.findall(body)]
    return bool(ranks) and max(ranks) <= clearance and gate(body, clearance)


def assemble(
    shown: Sequence[Shown],
    closed: Mapping[str, int],
    *,
    collection: Collection,
    audience: str,
    clearance: int,
    node: tuple[str, str],
    language: Language,
    secret: bytes,
) -> Feed:
    """The feed of `shown`. `closed`: creator → when something of its was last withdrawn; `node`: our name and id.

    An event that the gate refuses is dropped and logged: it is a difference between two judgements, which is an alarm.
    """
    groups, names = _grouped(shown)
    names[node[1]] = node[0]
    title = in_language(collection.title, language) or collection.alias
    entries, events, lines, lost = {}, {}, list[str](), Counter[str]()
    for creator, members in groups.items():
        group = creator or NODE
        org = creator or node[1]
        # The name only if the audience may see the identity; the id stands in what it gets (RULES R13).
        name = names.get(org, org)
        made = event_of(
            [_releasable(row, stix) for row, stix in members],
            uuid=minted(secret, f"{audience}|{group}"),
            info=f"{title} – {name}",
            org_name=name,
            org_uuid=org.partition("--")[2].lower(),
            changed=moment(max(members[-1][0].added, closed.get(creator, 0))),
            mint=_mint(secret, f"{audience}|{group}"),
        )
        lost.update(reason.code for reason in made.lost)
        body = orjson.dumps(made.document)
        if _empty(made):
            continue
        if not passes(body, clearance):
            log.error("serve.gate_stopped", collection=collection.alias, audience=audience, source=group)
            continue
        identifier = made.document["Event"]["uuid"]
        entries[identifier] = manifest_entry(made.document)
        events[identifier] = _assembled(body, [row for row, _ in members])
        lines += hashes(made.document)
    if lost:
        log.info("serve.feed_lost", collection=collection.alias, audience=audience, counts=dict(lost))
    manifest = orjson.dumps(entries)
    return Feed(
        manifest=manifest,
        etag=f'"{hashlib.sha256(manifest).hexdigest()[:32]}"',
        events=events,
        hashes=_assembled("".join(f"{line}\n" for line in lines).encode(), shown if lines else ()),
    )


_Member = tuple[Shown, Mapping[str, Any]]


def _grouped(shown: Sequence[Shown]) -> tuple[dict[str, list[_Member]], dict[str, str]]:
    """The objects by the creator that they name, and the names of the identities among them."""
    groups: dict[str, list[_Member]] = {}
    names: dict[str, str] = {}
    for row in shown:
        stix = orjson.loads(row.body)
        groups.setdefault(row.creator, []).append((row, stix))
        if stix["type"] == "identity" and isinstance(stix.get("name"), str):
            names[row.stix_id] = stix["name"]
    return groups, names


def _releasable(row: Shown, stix: Mapping[str, Any]) -> Releasable:
    level = Label.from_text(row.label).tlp if row.label else None
    return Releasable(stix=stix, tlp=level, added=moment(row.added))


def _mint(secret: bytes, prefix: str) -> Callable[[str], str]:
    return lambda text: minted(secret, f"{prefix}|{text}")


def _empty(made: FeedEvent) -> bool:
    """MISP leaves events without attributes and reports alone; so do we."""
    event = made.document["Event"]
    return not (event["Attribute"] or event["EventReport"] or event["Object"])


def _assembled(body: bytes, rows: Sequence[Shown]) -> Assembled:
    first, last = (rows[0].added, rows[-1].added) if rows else (0, 0)
    return Assembled(body=body, first=first, last=last, count=len(rows))
