"""What goes with the events of an instance without being in them: sightings, proposals, analyst data, galaxy clusters.

Each has its own calls (reference misp.md §1.3), and an instance may leave each out: then there is one remark, and the
events come without. Sightings have a budget of their own, because there may be gigabytes of them (MISP/MISP#4814).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from exchange.errors import PeerProtocol
from exchange.model.envelope import Skipped
from exchange.peers.documents import is_uuid
from exchange.peers.misp_marks import Marks
from exchange.peers.misp_wire import NotOffered, Row, Wire, chunks, records, unpacked

Kind = Literal["Sighting", "ShadowAttribute", "Note", "Opinion", "Relationship", "GalaxyCluster"]
TOGETHER = 20
"""Events of which sightings are asked in one call, as MISP does."""
_SIGHTINGS = 64 * 1024 * 1024
"""Bytes of sightings read in one drain; the others come with later drains."""
_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer about what is only beside."""
_PROPOSALS = timedelta(days=90)
_PAGE = 1000
_PAGES = 20
_NOTES = 100
"""Analyst data asked for in one call, as MISP does."""
_MOST_NOTES = 20_000
_MOST_CLUSTERS = 1000
_OWN_UUID = frozenset({"Sighting", "Note", "Opinion", "Relationship"})
"""What has a uuid of its own: a proposal bears that of the attribute that it would change."""
_FEW = 50
"""Uuids that are looked for one by one, which is faster than to look at every uuid of an event."""
_ANALYST: tuple[Kind, ...] = ("Note", "Opinion", "Relationship")
_CLUSTER = re.compile(rb'misp-galaxy:[^"\\]{1,100}=\\"([0-9a-fA-F-]{36})\\"')
_ANY_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """One thing beside an event: its bytes as received, and the mark by which it is remembered."""

    kind: Kind
    uuid: str
    raw: bytes
    mark: tuple[Any, ...]


class Beside:
    """What is beside the events of one instance, for one drain. `marks` says what was taken before."""

    def __init__(self, wire: Wire, key: str, peer: str, marks: Mapping[str, Marks], now: datetime) -> None:
        self._wire, self._key, self._peer, self._marks, self._now = wire, key, peer, marks, now
        self.remarks: list[Skipped] = []
        self.complete = True
        """False: something was left for the next drain, which may not trust the etag."""
        self.shows_sightings = True
        self._budget = _SIGHTINGS
        self._later = 0
        self._of_event: dict[str, list[Extra]] = defaultdict(list)
        self._loose: dict[str, list[Extra]] = defaultdict(list)
        """By the uuid of what they are about, of which nobody says in which event it is."""
        self._listed: list[tuple[Any, ...]] = []
        self._whole = True
        """Whether `_listed` is everything that the instance has, so that the rest may be forgotten."""
        self._absent: list[tuple[Any, ...]] = []
        """Analyst data that is announced; what of it is not shown is not asked for again."""
        self._clusters: dict[str, str] = {}
        self._seen_clusters: dict[str, bytes | None] = {}

    def remark(self, code: str, **fields: Any) -> None:
        """Say so beside the source."""
        self.remarks.append(Skipped(id=self._key, code=code, fields={"peer": self._peer, **fields}))

    # Asked once, when the drain begins

    def ask(self, *, first: bool, analyst_data: bool = True) -> None:
        """Ask for everything that is asked for all events at once. `first`: nothing was taken yet."""
        if "perm_galaxy_editor" in self._wire.said:
            self._try("misp.no_clusters", lambda: self._ask_clusters(first))
        self._try("misp.no_proposals", self._ask_proposals)
        if analyst_data and self._wire.may("perm_analyst_data"):
            self._try("misp.no_analyst_data", self._ask_analyst_data)

    def events(self) -> set[str]:
        """The events beside which there is something new."""
        return {uuid for uuid, extras in self._of_event.items() if any(map(self._is_new, extras))}

    def has_news(self) -> bool:
        """Whether anything beside the events is new."""
        changed = any(("cluster", *each) not in self._marks["beside"] for each in self._clusters.items())
        return changed or bool(self._loose) or bool(self.events())

    def _is_new(self, extra: Extra) -> bool:
        return extra.mark not in self._marks["beside"]

    def _try(self, code: str, ask: Any) -> None:
        try:
            ask()
            return
        except NotOffered as why:
            detail = str(why)
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            detail = error.code
        self._whole = False
        self.remark(code, detail=detail)

    def _ask_proposals(self) -> None:
        since = int((self._now - _PROPOSALS).timestamp())
        known: set[str] = set()
        for page in range(1, _PAGES + 1):
            which = f"all:1/timestamp:{since}/limit:{_PAGE}/page:{page}/deleted[]:0/deleted[]:1"
            rows = records(self._wire.beside(f"shadow_attributes/index/{which}.json", size=_ANSWER), "ShadowAttribute")
            fresh = [(raw, said) for raw in rows if (said := _said(raw)).uuid not in known and is_uuid(said.uuid)]
            known.update(said.uuid for _, said in fresh)
            for raw, said in fresh:
                if is_uuid(said.event_uuid):
                    mark = ("proposal", said.uuid, said.event_uuid, said.timestamp, said.deleted)
                    extra = Extra(kind="ShadowAttribute", uuid=said.uuid, raw=raw, mark=mark)
                    self._of_event[said.event_uuid.lower()].append(extra)
                    self._listed.append(mark)
            if len(rows) < _PAGE or not fresh:
                return
        self._whole = False
        self.remark("misp.too_many_proposals", count=len(known))

    def _ask_analyst_data(self) -> None:
        listed = unpacked(self._wire.beside("analyst_data/indexMinimal", {"orgc_name": []}, size=_ANSWER), Any)
        wanted: dict[Kind, dict[str, str]] = {}
        for kind in _ANALYST:
            rows = listed.get(kind) if isinstance(listed, dict) else None  # PHP writes an empty map as a list
            news = {u: str(when) for u, when in (rows or {}).items() if is_uuid(u)} if isinstance(rows, dict) else {}
            self._listed += [(kind, *each) for each in news.items()]
            wanted[kind] = {u: w for u, w in news.items() if (kind, u, w) not in self._marks["beside"]}
        left = _MOST_NOTES
        for kind, news in wanted.items():
            now = dict(list(news.items())[:left])
            left -= len(now)
            self.complete &= len(now) == len(news)
            for raw in self._notes(kind, list(now)):
                said = _said(raw)
                if said.uuid in now and is_uuid(said.object_uuid):
                    extra = Extra(kind=kind, uuid=said.uuid, raw=raw, mark=(kind, said.uuid, now[said.uuid]))
                    place = self._of_event if said.object_type == "Event" else self._loose
                    place[said.object_uuid.lower()].append(extra)
            self._absent += [(kind, *each) for each in now.items()]

    def _notes(self, kind: Kind, uuids: Sequence[str]) -> Iterator[bytes]:
        """A hundred at a time; behind misp-guard, which lets only one through at a time, one by one."""
        waiting, most = list(uuids), _NOTES
        while waiting:
            here = waiting[:most]
            path = f"analyst_data/index/{kind}/{'/'.join(f'uuid[]:{uuid}' for uuid in here)}.json"
            try:
                yield from records(self._wire.beside(path, size=_ANSWER), kind)
            except NotOffered as why:
                if len(here) == 1 or str(why) != "403":
                    raise
                most = 1
                continue
            del waiting[:most]

    def _ask_clusters(self, first: bool) -> None:
        wishes = {"published": 1, "minimal": 1, "custom": 1}
        answer = self._wire.beside("galaxy_clusters/restSearch", wishes, size=_ANSWER)
        for raw in records(answer, "GalaxyCluster", "response"):
            said = _said(raw)
            if is_uuid(said.uuid):
                self._clusters[said.uuid.lower()] = str(said.version)
        self._listed += [("cluster", *each) for each in self._clusters.items()]
        if first:
            return
        tags = [
            tag
            for uuid, version in self._clusters.items()
            if ("cluster", uuid, version) not in self._marks["beside"] and (tag := self._tag_of(uuid))
        ]
        for some in chunks(tags, _NOTES):  # their events are asked for by the tag that they bear
            rows, _ = self._wire.rows(self._wire.index({"tag": some}))
            for row in rows:
                self._of_event[row.uuid].append(Extra(kind="GalaxyCluster", uuid="", raw=b"", mark=("new", row.uuid)))

    def _tag_of(self, uuid: str) -> str:
        raw = self._cluster(uuid)
        tag = _said(raw).tag_name if raw else ""
        return tag if isinstance(tag, str) and len(tag) < 500 else ""

    # Asked when an event comes

    def sightings(self, rows: Iterable[Row]) -> dict[str, list[Extra] | None]:
        """The sightings of these events, at most TOGETHER; None: not now, but with the next drain.

        An event whose sightings are too many for one answer comes without them, and with a remark.
        """
        asked = [row for row in rows if row.sighted] if self.shows_sightings else []
        if not asked:
            return {}
        if self._budget <= 0:
            self._later += len(asked)
            self.complete = False
            return dict.fromkeys((row.uuid for row in asked), None)
        wishes = {"returnFormat": "json", "last": 0, "includeUuid": True, "uuid": [row.uuid for row in asked]}
        try:
            answer = self._wire.beside("sightings/restSearch/event", wishes, size=_ANSWER)
            raws = records(answer, "Sighting", "response")
        except NotOffered as why:
            self.shows_sightings = False
            self.remark("misp.no_sightings", detail=str(why))
            return {}
        except PeerProtocol as error:
            if error.code != "peer.too_large":
                raise
            return self._in_halves(asked)
        self._budget -= len(answer)
        found: dict[str, list[Extra] | None] = {row.uuid: [] for row in asked}
        for raw in raws:
            said = _said(raw)
            of = found.get(str(said.event_uuid).lower())
            if of is not None and is_uuid(said.uuid):
                of.append(Extra(kind="Sighting", uuid=said.uuid, raw=raw, mark=()))
        return found

    def _in_halves(self, asked: list[Row]) -> dict[str, list[Extra] | None]:
        self._budget -= _ANSWER
        if len(asked) == 1:
            fields = {"peer": self._peer, "limit": _ANSWER}
            self.remarks.append(Skipped(id=asked[0].uuid, code="misp.too_many_sightings", fields=fields))
            return {asked[0].uuid: []}
        middle = len(asked) // 2
        return self.sightings(asked[:middle]) | self.sightings(asked[middle:])

    def of(self, uuid: str, raw: bytes) -> list[Extra]:
        """What is beside the event `uuid`, whose bytes are `raw`, except what stands in these bytes already."""
        found = [extra for extra in self._of_event.get(uuid, ()) if extra.raw]
        if self._loose:
            for each in sorted(_uuids_in(raw, self._loose)):
                found += self._loose.pop(each)
        for cluster in self._named(raw):
            body = self._cluster(cluster)
            if body is not None:
                mark = ("cluster", cluster, self._clusters[cluster])
                found.append(Extra(kind="GalaxyCluster", uuid=cluster, raw=body, mark=mark))
        return found

    def _named(self, raw: bytes) -> list[str]:
        """The custom clusters that the event's tags name."""
        if not self._clusters:
            return []
        named = {match.group(1).decode().lower() for match in _CLUSTER.finditer(raw)}
        return sorted(named & self._clusters.keys())

    def _cluster(self, uuid: str) -> bytes | None:
        if uuid not in self._seen_clusters:
            if len(self._seen_clusters) >= _MOST_CLUSTERS:
                return None
            self._seen_clusters[uuid] = self._view_cluster(uuid)
        return self._seen_clusters[uuid]

    def _view_cluster(self, uuid: str) -> bytes | None:
        try:
            body = self._wire.beside(f"galaxy_clusters/view/{uuid}", size=_ANSWER)
            raw = bytes(unpacked(body, dict[str, msgspec.Raw]).get("GalaxyCluster", b""))
        except (NotOffered, PeerProtocol):
            raw = b""
        if raw and str(_said(raw).uuid).lower() == uuid:
            return raw
        self.remarks.append(Skipped(id=uuid, code="misp.no_cluster", fields={"peer": self._peer}))
        return None

    # When the drain ends

    def end(self) -> None:
        """Say what was left, and remember what has no place: it comes inside the event when that changes."""
        marks = self._marks["beside"]
        marks.add(*(("cluster", *each) for each in self._clusters.items()))
        left = [extra for extras in self._loose.values() for extra in extras]
        left += [extra for extras in self._of_event.values() for extra in extras if extra.raw and self._is_new(extra)]
        marks.add(*(extra.mark for extra in left), *self._absent)
        if self._whole:
            marks.only(self._listed)
        if left:
            self.remark("misp.elsewhere", count=len(left))
        if self._later:
            self.remark("misp.sightings_later", count=self._later)


class _Said(msgspec.Struct):
    uuid: Any = None
    event_uuid: Any = None
    object_uuid: Any = None
    object_type: Any = None
    timestamp: Any = None
    deleted: Any = None
    version: Any = None
    tag_name: Any = None


def _said(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Said()


def _uuids_in(raw: bytes, wanted: Collection[str]) -> set[str]:
    """Which of these uuids stand anywhere in `raw`."""
    if len(wanted) <= _FEW:
        return {uuid for uuid in wanted if uuid.encode() in raw}
    return {found for match in _ANY_UUID.finditer(raw) if (found := match.group().decode()) in wanted}


def spliced(raw: bytes, extras: Sequence[Extra]) -> bytes:
    """The document: the event's bytes, with what is beside it in lists after it (one copy of the event, no more)."""
    kinds: dict[str, list[bytes]] = {}
    there = _uuids_in(raw, {extra.uuid for extra in extras if extra.kind in _OWN_UUID})
    for extra in extras:
        if extra.kind not in _OWN_UUID or extra.uuid not in there:
            kinds.setdefault(extra.kind, []).append(extra.raw)
    if not kinds:
        return raw
    text = raw.removeprefix(b"\xef\xbb\xbf")
    event = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("Event")
    pieces: list[Any] = [b'{"Event":', text if event is None else event]
    for kind, raws in kinds.items():
        pieces += [b',"', kind.encode(), b'":[', b",".join(raws), b"]"]
    return b"".join([*pieces, b"}"])
