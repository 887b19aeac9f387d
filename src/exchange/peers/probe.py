"""What speaks at a source or target, and how: asked for by a person before an agreement begins, and now and then after.

Nothing is written at the peer, at most a dozen questions are asked, and each may fail by itself: a probe ends with a
profile, whatever answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from exchange.errors import PeerProtocol
from exchange.model.party import Source, Target
from exchange.model.profile import Profile
from exchange.peers import probe_taxii
from exchange.peers.access import Access
from exchange.peers.documents import timestamp_of
from exchange.peers.notes import Notes, text
from exchange.peers.session import Answer, Session

_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_ADMIN = ("perm_site_admin", "perm_admin")


def probe(access: Access, entry: Source | Target, *, now: datetime) -> Profile:
    """The profile of `entry`. It never raises for what a peer does: an error is a remark of the profile."""
    notes = Notes(access, entry, now)
    if entry.kind == "taxii":
        probe_taxii.look(notes)
    elif entry.kind == "misp":
        notes.step(lambda: _misp(notes))
    elif entry.kind == "misp-feed":
        notes.step(lambda: _feed(notes))
    return notes.profile()


def _misp(notes: Notes) -> None:
    base = notes.entry.url.rstrip("/") + "/"
    with notes.access.session(base) as session:
        answer = notes.timed(lambda: session.get(base + "servers/getVersion", headers=_JSON))
        said = _object(answer, session)
        version = text(said, "version")
        if not version:
            raise PeerProtocol("peer.no_misp", detail=session.detail(answer), **session.blame)
        notes.found(speaks=f"MISP {version}", media_type=answer.headers.get("Content-Type", ""))
        rights = [name for name in ("perm_sync", "perm_sighting", "perm_galaxy_editor") if said.get(name) is True]
        notes.found(role=", ".join(rights))
        role = _role(notes, session, base)
        if role is not None:
            rights += [name for name in (*_ADMIN, "perm_add", "perm_publish") if role.get(name) is True]
            rights += ["perm_sync"] if role.get("perm_sync") is True else []
            notes.found(role=", ".join(dict.fromkeys(rights)))
        admin = [name for name in rights if name in _ADMIN]
        if admin:
            notes.remark("probe.over_privileged", rights=", ".join(admin))
        if "perm_sync" not in rights:
            notes.remark("probe.no_sync")


def _role(notes: Notes, session: Session, base: str) -> Mapping[str, Any] | None:
    """The rights of our account. A peer behind misp-guard does not let the question through: that is no fault."""
    refused = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    answer = notes.timed(lambda: session.request("GET", base + "users/view/me", headers=_JSON, expect=refused))
    role = _object(answer, session).get("Role") if answer.status not in refused else None
    return role if isinstance(role, dict) else None


def _feed(notes: Notes) -> None:
    place = notes.entry.url.rstrip("/") + "/manifest.json"
    with notes.access.session(place) as session:
        answer = notes.timed(lambda: session.get(place, headers={"Accept": "application/json, text/*"}))
        events = {} if answer.body.strip() == b"[]" else _object(answer, session)
        etag = answer.headers.get("ETag", "")
        dated = all(timestamp_of(row) for row in events.values())
        media_type = answer.headers.get("Content-Type", "")
        notes.found(
            speaks="MISP feed", media_type=media_type, size=len(events), manifest="dated" if dated else "undated"
        )
        again = session.get(place, headers={"If-None-Match": etag}) if etag else None
        notes.found(etag=again is not None and again.status == HTTPStatus.NOT_MODIFIED)
        if again is None or again.status != HTTPStatus.NOT_MODIFIED:
            notes.remark("probe.no_etag", size=len(answer.body))


def _object(answer: Answer, session: Session) -> Mapping[str, Any]:
    try:
        found = orjson.loads(answer.body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise PeerProtocol("peer.malformed", url=answer.url, detail=str(error)[:200], **session.blame) from None
    if not isinstance(found, dict):
        raise PeerProtocol("peer.malformed", url=answer.url, detail=type(found).__name__, **session.blame)
    return found
