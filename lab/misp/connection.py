"""What an administrator does with a server before trusting it: the connection test, the remote user, a preview."""

from __future__ import annotations

import hashlib
from typing import Any

from lab.misp.calls import FORBIDDEN, Calls, FailedError
from lab.misp.instance import Instance
from lab.misp.people import Part
from lab.misp.servers import Connection, Server

_PARTS = ("major", "minor", "hotfix")
_STATUS_OF_405 = {
    "Your user account is expecting a password change, please log in via the web interface and change it before "
    "proceeding.": 5,
    "You have not accepted the terms of use yet, please log in via the web interface and accept them.": 6,
}
UNREACHABLE, UNEXPECTED, REFUSED, NO_SYNC, SIGHTINGS_ONLY = 2, 3, 4, 7, 8
POST_FAILED, POST_BODY, POST_HEADERS = 8, 9, 10


def payload() -> str:
    """What is posted for the test: six thousand characters that gzip makes a third of, and some that are not ASCII."""
    lines = [f"{n}: {hashlib.md5(bytes([n]), usedforsecurity=False).hexdigest()} « essai »\n" for n in range(128)]
    return "".join(lines)


def tested(instance: Instance, server: Server) -> Connection:
    """The connection test: getVersion, then postTest if the version has it."""
    calls, local = Calls(server, instance.settings.version), instance.settings.version
    try:
        info = calls.info()
        post = _posted(calls) if calls.at_least(69) else None
    except FailedError as error:
        return Connection(status=_status(error), local_version=local)
    except (ValueError, IndexError):  # a version that is none
        return Connection(status=UNEXPECTED, local_version=local)
    known: dict[str, Any] = {"post": post, "version": str(info["version"]), "local_version": local, "info": info}
    if not info.get("perm_sync"):
        return Connection(status=SIGHTINGS_ONLY if info.get("perm_sighting") else NO_SYNC, **known)
    return Connection(status=1, mismatch=_mismatch(str(info["version"]), local), **known)


def _status(error: FailedError) -> int:
    if error.reply is None:
        return UNREACHABLE
    if error.status == FORBIDDEN:
        return REFUSED
    try:
        said = error.reply.json().get("message", "")
    except (FailedError, AttributeError):
        return UNEXPECTED
    return _STATUS_OF_405.get(said, UNEXPECTED)


def _posted(calls: Calls) -> int:
    sent = payload()
    try:
        said = calls.post("/servers/postTest", {"testString": sent}).json()
    except FailedError:
        return POST_FAILED
    if not isinstance(said, dict) or (said.get("body") or {}).get("testString") != sent:
        return POST_BODY
    echoed = said.get("headers") or {}
    good = all(echoed.get(name) == "application/json" for name in ("Accept", "Content-type"))
    return 1 if good else POST_HEADERS


def _mismatch(remote: str, local: str) -> str:
    for name, theirs, ours in zip(_PARTS, remote.split("."), local.split("."), strict=False):
        if int(theirs) != int(ours):
            return name
    return ""


def remote_user(instance: Instance, server: Server) -> dict[str, Any]:
    """Get remote user: address, role and whether it may sync. Raises FailedError, or KeyError where a field misses."""
    said = Calls(server, instance.settings.version).get("/users/view/me.json").json()
    return {
        "email": said["User"]["email"],
        "role": said["Role"]["name"],
        "sync": bool(said["Role"]["perm_sync"]),
        "organisation": said["Organisation"]["name"],
    }


def filtering_rules(instance: Instance, server: Server) -> dict[str, list[str]]:
    """By what a pull can be filtered. Raises FailedError."""
    reply = Calls(server, instance.settings.version).get("/servers/getAvailableSyncFilteringRules")
    found: dict[str, list[str]] = reply.json()
    return found


def preview(instance: Instance, server: Server, page: int = 1) -> tuple[list[Part], int]:
    """The index as the interface shows it before a pull, and how many there are. Raises FailedError."""
    path = f"/events/index/sort:timestamp/direction:desc/page:{page}/limit:60"
    reply = Calls(server, instance.settings.version).get(path)
    return reply.json(), int(reply.headers.get("x-result-count", 0))


def preview_event(instance: Instance, server: Server, uuid: str) -> Part:
    """One event as the interface shows it before a pull. Raises FailedError."""
    event: Part = Calls(server, instance.settings.version).get(f"/events/{uuid}").json()["Event"]
    return event


def cached(instance: Instance, server: Server, limit: int = 50_000) -> dict[str, set[str]]:
    """The cache button: md5 of values -> uuids of events, page by page until one is empty. Raises FailedError."""
    calls, found, page = Calls(server, instance.settings.version), dict[str, set[str]](), 1
    while True:
        rules = {"returnFormat": "cache", "includeEventUuid": 1, "page": page, "limit": limit}
        lines = calls.post("/attributes/restSearch.json", rules).body.decode().split()
        for line in lines:
            digest, _, uuid = line.partition(",")
            found.setdefault(digest, set()).add(uuid)
        if not lines:
            return found
        page += 1
