"""What travels beside an event that is handed over: sightings, proposals, analyst data, clusters; and may reports?

An instance that does not take one of these is no reason to keep the event back: a note on its receipt says what did not
go along (reference misp.md §1.4, §1.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson

from exchange.peers.misp_parts import Event
from exchange.peers.misp_wire import NotOffered, Wire, chunks, unpacked
from exchange.peers.session import Answer

_TOGETHER = 1000
"""Sightings or proposals of one call."""
_NOT_TAKEN = frozenset({
    HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.INTERNAL_SERVER_ERROR,
})  # fmt: skip
_ANALYST = ("Note", "Opinion", "Relationship")


class Aside:
    """For one push; what the instance was found not to take is not offered to it again."""

    def __init__(self, wire: Wire, post: Callable[..., Answer]) -> None:
        self._wire, self._post = wire, post
        self._reports: bool | None = None
        self._refuses: set[str] = set()

    def takes_reports(self) -> bool:
        """Whether events may have reports: an older MISP would stumble over them."""
        if self._reports is None:
            try:
                described = unpacked(self._wire.beside("eventReports/add"), dict[str, Any])
            except NotOffered:
                described = {}
            self._reports = "description" in described
        return self._reports

    def hand_over(self, event: Event) -> list[str]:
        """Notes on what did not go along."""
        notes = []
        for name, hand_over in (
            ("GalaxyCluster", self._clusters),
            ("Sighting", self._sightings),
            ("ShadowAttribute", self._proposals),
            ("analyst", self._analyst_data),
        ):
            raws = [raw for kind in (_ANALYST if name == "analyst" else (name,)) for raw in event.apart[kind]]
            if not raws:
                continue
            left = len(raws) if name in self._refuses else hand_over(event)
            if left:
                notes.append(noted(_LEFT[name], left))
        return notes

    def _sightings(self, event: Event) -> int:
        """How many sightings the peer did not take; what it has already counts as taken."""
        if not self._wire.may("perm_sighting"):
            return len(event.apart["Sighting"])
        given = [_sighting(raw) for raw in event.apart["Sighting"]]
        there = self._there(event.uuid, [str(each.get("uuid")) for each in given])
        waiting = [each for each in given if str(each.get("uuid")).lower() not in there]
        left = 0
        for some in chunks(waiting, _TOGETHER):
            said = self._said("Sighting", f"sightings/bulkSaveSightings/{event.uuid}", some)
            number = re.match(r"(\d+) ", str(said.get("success") or ""))
            saved = int(number[1][:9]) if number else len(some) if said.get("saved") is True else 0
            left += max(0, len(some) - saved)
        return left

    def _there(self, uuid: str, sightings: Sequence[str]) -> set[str]:
        if not self._wire.may("filter_sightings"):
            return set()
        try:
            body = self._wire.beside(f"sightings/filterSightingUuidsForPush/{uuid}", list(sightings))
            return {each.lower() for each in unpacked(body, list[str])}
        except NotOffered:
            return set()

    def _proposals(self, event: Event) -> int:
        rows = [orjson.loads(raw) | {"event_uuid": event.uuid} for raw in event.apart["ShadowAttribute"]]
        left = 0
        for some in chunks(rows, _TOGETHER):
            said = self._said("ShadowAttribute", f"events/pushProposals/{event.uuid}", some)
            left += 0 if said.get("success") is True else len(some)
        return left

    def _analyst_data(self, event: Event) -> int:
        given = {kind: _by_uuid(event.apart[kind]) for kind in _ANALYST}
        total = sum(map(len, given.values()))
        if not self._wire.may("perm_analyst_data"):
            return total
        index = {
            kind: {u: str(n.get("modified") or "") for u, n in news.items()} for kind, news in given.items() if news
        }
        try:
            wanted = unpacked(self._wire.beside("analyst_data/filterAnalystDataForPush", index), dict[str, Any])
        except NotOffered:
            self._refuses.add("analyst")
            return total
        left = 0
        for kind, notes in given.items():
            for uuid in wanted.get(kind) or ():
                if uuid in notes:
                    said = self._said("analyst", "analyst_data/pushAnalystData", {kind: notes[uuid]})
                    left += said.get("saved") is not True
        return left

    def _clusters(self, event: Event) -> int:
        rows = [{"GalaxyCluster": orjson.loads(raw)} for raw in event.apart["GalaxyCluster"]]
        if not self._wire.may("perm_galaxy_editor"):
            return len(rows)
        said = self._said("GalaxyCluster", "galaxies/pushCluster", rows)
        return 0 if said.get("saved") is True else len(rows)

    def _said(self, name: str, path: str, rows: Any) -> dict[str, Any]:
        """What the peer says of these; empty: it does not take such things."""
        if name in self._refuses:
            return {}
        answer = self._post(path, orjson.dumps(rows), expect=_NOT_TAKEN)
        if answer.status in _NOT_TAKEN:
            if answer.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                self._refuses.add(name)
            return {}
        try:
            return dict(unpacked(answer.body, dict[str, Any]))
        except NotOffered:
            return {}


_LEFT: Mapping[str, str] = {
    "GalaxyCluster": "peer.clusters_left",
    "Sighting": "peer.sightings_left",
    "ShadowAttribute": "peer.proposals_left",
    "analyst": "peer.analyst_data_left",
}


def noted(code: str, count: int) -> str:
    """A note of a receipt that counts something (`i18n.spoken` reads it)."""
    return f"{code} count={count}"


def _sighting(raw: bytes) -> dict[str, Any]:
    """A sighting as `bulkSaveSightings` reads it: without a number for the organisation, the organisation is nobody."""
    found: dict[str, Any] = orjson.loads(raw)
    found["type"] = str(found.get("type") or "0")
    if not found.get("org_id"):
        found["org_id"] = "1" if found.get("Organisation") else "0"
    return {"source": "", **found}


def _by_uuid(raws: Sequence[bytes]) -> dict[str, dict[str, Any]]:
    found = [orjson.loads(raw) for raw in raws]
    return {str(each.get("uuid")): each for each in found if isinstance(each, dict)}
