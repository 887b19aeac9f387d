"""One MISP event → pages of STIX objects, each under a label at least as strict as what it was made of.

    open → creator allowed? → frame put right → objects and attributes, a few at a time:
    put right → labels → converted, with its marks → checked → page

The order is the safety: labels are computed on MISP's terms before conversion, written into every object's
`object_marking_refs`, and checked on the parsed result. What came out looser raises; nothing of it comes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any

from exchange.convert.adornments import adorn, reference, report, uuids_in
from exchange.convert.attributes import convert_attribute
from exchange.convert.forms import Unfit
from exchange.convert.galaxies import Galaxies
from exchange.convert.labels import Labels, listed, truth
from exchange.convert.linked import together
from exchange.convert.making import Event, Made, confidence_of, identity, shown_tags
from exchange.convert.naming import ATTACHED, Said, attached, may_name, named_in, names, names_another, said_of, settle
from exchange.convert.objects import convert_objects, refused
from exchange.convert.opening import Opened, Raw, Slices, open_event, read
from exchange.convert.prepare import Prepared, prepare, stands_alone, strip
from exchange.errors import ContentError
from exchange.model.envelope import PAGE, Document, Page, Rejected, Skipped, sift
from exchange.model.marking import Label, Reach, says, tags_of
from exchange.model.party import ANYBODY, Source
from exchange.model.stix import StixObject

MEMBERS = 10_000
"""Carriers that a frame refers to; membership itself is said by each member (`model.misp`)."""
_HELD = 50_000
"""Of what was made, and left out, that waits for the frame: what it refers to is known only then."""
_AT_ONCE = 100
_MORE = ("Galaxy", "Sighting", "Note", "Opinion", "Relationship", "ShadowAttribute")
Found = Made | Rejected | Skipped


def pages(raw: bytes, source: Source, *, now: datetime) -> Iterator[Page]:
    """The objects made of the one event in `raw`, at most 500 to a page; the first page has the original.

    The ids are those that MISP's uuids give. Raises ContentError when there is no event in `raw`, or when the event
    must be rejected as a whole; both before the first page, but for a label that was lost (`convert.label_lost`) and
    for an event of which too much cannot be taken (`misp.too_much_refused`).
    Memory does not grow with the event beyond its own bytes.
    """
    opened = open_event(raw)
    refusal = _refusal(opened.frame, source)
    if refusal is not None:
        yield Page(skipped=(refusal,))
        return
    prepared = prepare(opened.frame, internal=source.internal, drafts=source.kind == "misp", now=now)
    event = prepared.event
    document = Document(kind="misp-event", id=event["uuid"], version=event["timestamp"], raw=raw)
    yield from _cut(_Conversion(opened, prepared).all(), prepared, document)


def _refusal(event: Mapping[str, Any], source: Source) -> Skipped | None:
    """Why this event is not taken at all: a creator not on the list, or a protected event, which we cannot re-sign."""
    creator = event.get("Orgc") if isinstance(event.get("Orgc"), dict) else {}
    identifier = str(event.get("uuid") or "")
    uuid = str((creator or {}).get("uuid") or "").lower()
    if source.kind != "file" and not source.orgs & {uuid, ANYBODY}:
        fields = {"org": str((creator or {}).get("name") or ""), "uuid": uuid, "source": source.key}
        return Skipped(id=identifier, code="misp.org_not_allowed", fields=fields)
    if truth(event.get("protected")):
        return Skipped(id=identifier, code="misp.protected", fields={"source": source.key})
    return None


def _cut(found: Iterable[list[Found]], prepared: Prepared, document: Document) -> Iterator[Page]:
    """Pages of what was made, parsed and checked; only the first carries the original's bytes."""
    page = _Page()
    first = True
    shared: dict[str, bytes] = {}
    for batch in found:
        page.rejected += prepared.rejected
        page.skipped += prepared.skipped
        prepared.rejected, prepared.skipped = [], []
        for item in (*batch, None):
            if item is not None:
                page.take(item, shared)
            if page.full:
                yield page.closed(document if first else _later(document))
                page, first = _Page(), False
    page.rejected += prepared.rejected
    page.skipped += prepared.skipped
    if first or page.anything:
        yield page.closed(document if first else _later(document))


def _later(document: Document) -> Document:
    """The same original, whose bytes came with the first page."""
    return Document(kind=document.kind, id=document.id, version=document.version, raw=b"")


@dataclass(slots=True)
class _Page:
    made: list[Made] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return max(len(self.made), len(self.rejected), len(self.skipped)) >= PAGE

    @property
    def anything(self) -> bool:
        return bool(self.made or self.rejected or self.skipped)

    def take(self, item: Found, shared: dict[str, bytes]) -> None:
        """One of what was found; an organisation or cluster that is met again is taken once."""
        if isinstance(item, Rejected):
            self.rejected.append(item)
        elif isinstance(item, Skipped):
            self.skipped.append(item)
        else:
            if item.id in shared:
                if shared[item.id] != item.body:
                    self.skipped.append(Skipped(id=item.id, code="convert.repeated_id", fields={}))
                return
            if not item.carrier and item.id.startswith(_SHARED):
                shared[item.id] = item.body
            self.made.append(item)

    def closed(self, document: Document) -> Page:
        good: list[StixObject] = []
        for item in self.made:  # each by itself: an id that is there twice may stand under two labels
            parsed, bad = sift((item.body,))
            for made in parsed:
                _check(made, item.floor)
                good.append(made.under(item.floor))
            self.rejected += bad
        # Told apart from what came alone: without its event it means nothing.
        aside = tuple(replace(each, fields={"event": document.id, **each.fields}) for each in self.rejected)
        return Page(objects=good, rejected=aside, skipped=tuple(self.skipped), document=document)


_SHARED = ("identity--", "threat-actor--", "intrusion-set--", "attack-pattern--", "malware--", "tool--",
           "course-of-action--", "campaign--", "vulnerability--", "location--", "x-misp-galaxy-cluster--")  # fmt: skip


def _check(made: StixObject, floor: Label) -> None:
    """The bytes say what the entity's label says, or the event does not come in (pains 44, 66)."""
    if not says(made.label, floor):
        raise ContentError("convert.label_lost", id=made.id, wanted=", ".join(tags_of(floor)))


class _Conversion:
    """One event at work."""

    def __init__(self, opened: Opened, prepared: Prepared) -> None:
        frame = prepared.event
        creator = frame.get("Orgc")
        self._creator = identity(creator)
        self._prepared, self._opened, self._frame = prepared, opened, frame
        kind = "report" if truth(frame.get("published")) else "grouping"
        self._labels = self._worth(frame)
        self._event = Event(
            uuid=frame["uuid"],
            seconds=int(frame["timestamp"]),
            label=self._labels.event,
            internal=prepared.internal,
            creator=self._creator.id if self._creator else "",
            frame=f"{kind}--{frame['uuid']}",
            day=f"{frame['date']}T00:00:00.000Z" if frame.get("date") else "9999",
        )
        self._attached = attached(opened.beside, frame["uuid"], prepared)
        self._bare: dict[str, Any] = {
            name: frame[name] for name in ("uuid", "info", "date", "timestamp") if name in frame
        }
        custom = [c for c in opened.beside.get("GalaxyCluster", ()) if c.get("uuid")]
        for cluster in custom:
            prepared.mend(cluster)
        self._galaxies = Galaxies(self._event, self._bare, prepared.stated, custom)
        self._references: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._later: list[Said] = []
        """What names something that may not have been met yet."""

    def all(self) -> Iterator[list[Found]]:
        """The frame, then everything in the event, a few entities at a time."""
        for sibling in self._attached.pop(self._event.uuid, ()):
            self._frame.setdefault(sibling[0], []).append(sibling[1])
        labels = self._worth(self._frame)
        self._prepared.skipped += labels.remarks()
        strip(self._frame)
        self._mention()
        waiting, members, held = list[list[Found]](), list[str](), 0
        stream = self._entities()
        for batch in stream:
            waiting.append(batch)
            members += [item.id for item in batch if isinstance(item, Made) and item.carrier and self._as_public(item)]
            held += len(batch)
            if len(members) >= MEMBERS or held + len(self._prepared.skipped) >= _HELD:
                break
        yield [*([self._creator] if self._creator is not None else ()), *self._galaxies.take(self._frame, self._labels)]
        yield [self._made_frame(members), *self._galaxies.alone()]
        while waiting:
            yield waiting.pop(0)
        yield from stream
        yield list(self._rest(labels))

    def _as_public(self, made: Made) -> bool:
        """Whether it may be had by whoever may have the event's frame."""
        return made.floor is self._event.label or made.floor == self._event.label

    def _mention(self) -> None:
        """The uuids that references, analyst data and reports name, wherever they are: who carries them is asked."""
        mentioned = self._event.mentioned
        for data in listed(self._frame, "EventReport"):
            mentioned.update(uuids_in(data.get("content")))
        mentioned.update(named_in(self._frame))
        for found in self._attached.values():
            mentioned.update(uuid for name, data in found for uuid in (*names(data, name), *named_in(data)))
        mentioned.update(self._attached)
        for slices in (self._opened.objects, self._opened.attributes):
            for entity in self._read(raw for raw in slices if may_name(bytes(raw))):
                if isinstance(entity, dict):
                    mentioned.update(map(self._prepared.renamed, named_in(entity)))

    def _made_frame(self, members: list[str]) -> Made:
        """The report or grouping that stands for the event; it tells of nothing that is stricter than itself."""
        frame, event = self._frame, self._event
        stix = event.versioned(event.frame, event.seconds)
        stix["name"] = str(frame["info"]) or event.uuid
        if event.frame.startswith("report--"):
            stix["published"] = stix["created"]
        else:
            stix["context"] = "suspicious-activity"
        refs = list(dict.fromkeys([*self._galaxies.public(frame, event.label), *members]))[:MEMBERS]
        stix["object_refs"] = refs or [event.creator or event.frame]
        tags = shown_tags(frame)
        stix["labels"] = ["Threat-Report", 'misp:tool="MISP-STIX-Converter"', *(tag["name"] for tag in tags)]
        confidence = confidence_of(tags)
        if confidence is not None:
            stix["confidence"] = confidence
        told = ("date", "threat_level_id", "analysis", "extends_uuid")
        entity: dict[str, Any] = {"info": str(frame["info"])}
        entity |= {name: str(frame[name]) for name in told if frame.get(name) not in (None, "")}
        if tags:
            entity["Tag"] = tags
        event.carriers[event.uuid] = (event.frame, event.label)
        return event.made(stix, event.label, "frame", entity)

    def _entities(self) -> Iterator[list[Found]]:
        for made in chain(
            (list(self._objects(batch)) for batch in together(self._opened.objects, _AT_ONCE)),
            (self._attributes(batch) for batch in _batches(self._opened.attributes)),
        ):
            self._prepared.refuse(len([item for item in made if type(item) is Rejected]))
            yield made

    def _read(self, batch: Iterable[Raw]) -> Iterator[dict[str, Any] | Rejected]:
        """The entities of a batch, put right, with what stands beside the event about them."""
        for raw in batch:
            try:
                entity = read(raw)
            except ContentError as error:
                yield Rejected(raw=bytes(raw), code=error.code, fields=error.fields)
                continue
            yield entity

    def _attach(self, entity: dict[str, Any]) -> None:
        for name, data in self._attached.pop(entity["uuid"], ()) if self._attached else ():
            known = listed(entity, name)
            if all(item.get("uuid") != data.get("uuid") for item in known):
                entity[name] = [*known, data]

    def _objects(self, batch: Iterable[Raw]) -> Iterator[Found]:
        taken = []
        for entity in self._read(batch):
            if isinstance(entity, Rejected):
                yield entity
            elif self._prepared.takes_object(entity):
                for inner in (entity, *entity["Attribute"]):
                    self._attach(inner)
                taken.append(entity)
        labels = self._label(taken, "Object")
        for entity in taken:
            strip(entity)
            self._refer(entity)
        yield from convert_objects(self._event, self._bare, taken, labels)
        for inner in (inner for entity in taken for inner in (entity, *entity["Attribute"])):
            if self._says_more(inner) and inner["uuid"] in self._event.carriers:
                yield from self._around(inner, labels, *self._event.carriers[inner["uuid"]])

    def _refer(self, entity: dict[str, Any]) -> None:
        """Remember the references of an object: what they point at may come later."""
        for data in listed(entity, "ObjectReference"):
            if not truth(data.get("deleted")):
                self._references.append((entity, data))
                self._event.mentioned.add(str(data.get("referenced_uuid")))

    def _attributes(self, batch: Iterable[Raw]) -> list[Found]:
        found: list[Found] = []
        plain: list[dict[str, Any]] = []
        telling: list[dict[str, Any]] = []
        takes = self._prepared.takes_attribute
        for attribute in self._read(batch):
            if isinstance(attribute, Rejected):
                found.append(attribute)
                continue
            alone = stands_alone(attribute)
            if not takes(attribute, alone=alone):
                continue
            if self._attached:
                self._attach(attribute)
                alone = False
            more = not alone and self._says_more(attribute)
            (telling if more or _states(attribute) else plain).append(attribute)
        event = self._event
        for attribute in plain:  # it is worth what its event is worth
            try:
                found += convert_attribute(event, attribute, event.label)
            except Unfit as wrong:
                found.append(refused(attribute, str(wrong)))
        labels = self._label(telling, "Attribute")
        for attribute in telling:
            strip(attribute)
            label = labels.find(attribute["uuid"]) or labels.strictest
            made = self._attribute(attribute, label)
            found += made
            if self._says_more(attribute) and isinstance(made[0], Made):
                found += self._around(attribute, labels, made[0].id, label)
        return found

    def _attribute(self, attribute: dict[str, Any], label: Label) -> Sequence[Found]:
        try:
            return convert_attribute(self._event, attribute, label)
        except Unfit as wrong:
            return [refused(attribute, str(wrong))]

    def _label(self, entities: list[dict[str, Any]], name: str) -> Labels:
        around = {n: v for n, v in self._prepared.stated.items() if n not in ("Attribute", "Object")}
        labels = Labels.of({**around, name: entities}, internal=self._prepared.internal, drafts=self._prepared.drafts)
        self._prepared.skipped += (odd for odd in labels.remarks() if odd.id != self._event.uuid)
        return labels

    def _worth(self, frame: Mapping[str, Any]) -> Labels:
        """The labels of the event itself and of what hangs on it."""
        bare = {**frame, "Attribute": [], "Object": []}
        return Labels.of(bare, internal=self._prepared.internal, drafts=self._prepared.drafts)

    @staticmethod
    def _says_more(entity: Mapping[str, Any]) -> bool:
        return any(map(entity.get, _MORE))

    def _around(self, entity: Mapping[str, Any], labels: Labels, carrier: str, label: Label) -> Iterator[Found]:
        """Clusters, sightings, analyst data and proposals of an entity."""
        if entity.get("Galaxy"):
            yield from self._galaxies.take(entity, labels)
            yield from self._galaxies.relate(entity, carrier, label)
        plain = dict(entity)
        for name in ATTACHED:
            said = listed(entity, name) if entity.get(name) else []
            later = [inner for inner in said if names_another(entity, inner, name)]
            if later:
                self._later += [({"uuid": entity["uuid"]}, name, inner, carrier, label) for inner in later]
                plain[name] = [inner for inner in said if not any(inner is other for other in later)]
        yield from adorn(self._event, plain, carrier, label)

    def _rest(self, labels: Labels) -> Iterator[Found]:
        """What may be about anything in the event, now that all of it has its carrier."""
        event = self._event
        for source, data in self._references:
            made = reference(event, source, data)
            if made is not None:
                yield made
        about = self._later + said_of(self._frame, event.frame, event.label)
        for data in listed(self._frame, "EventReport"):
            label = labels.find(str(data["uuid"])) or labels.strictest
            self._attach(data)
            event.believe(data["uuid"], label)
            yield report(event, data, label)
            about += said_of(data, f"note--{data['uuid']}", label)
        for uuid, found in self._attached.items():
            # Nobody knows how strict that is which is not here: it stays with us.
            carrier = event.carriers.get(uuid, (event.frame, labels.strictest.join(Label(reach=Reach.NODE))))
            about += [({"uuid": uuid}, name, data, *carrier) for name, data in found]
        settle(event, about)
        for entity, name, data, where, floor in about:
            yield from adorn(event, {**entity, name: [data]}, where, floor)


def _states(attribute: Mapping[str, Any]) -> bool:
    """Whether it says itself how far it may go (`convert.labels` reads it)."""
    return bool(attribute.get("Tag")) or attribute.get("distribution") not in _INHERITED


_INHERITED = ("5", 5, None, "")


def _batches(slices: Slices) -> Iterator[Slices]:
    for start in range(0, len(slices), _AT_ONCE):
        yield slices[start : start + _AT_ONCE]
