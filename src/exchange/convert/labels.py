"""What each entity of a MISP event is worth: tags, distribution and sharing groups, from the event to the attribute.

Decided on MISP's own terms before anything is converted (RULES R12, R26). What is inside is never looser than what it
is inside of. Tags that MISP would not pass on (`local`, not `exportable`) still restrict: no restriction is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from exchange.model.distribution import of_distribution
from exchange.model.envelope import Skipped
from exchange.model.marking import Label, of_tags

Entity = Mapping[str, Any]
_GROUP = 4
_NOWHERE = 0
# misp-stix makes one STIX object of these MISP objects when they refer to each other.
MERGED = frozenset({"file", "pe", "pe-section", "registry-key", "registry-key-value"})
_PARTS = ("Attribute", "Object")
_INSIDE = ("Sighting", "Note", "Opinion", "EventReport")
_PUBLIC = ("Orgc", "Org")


def listed(entity: Entity, name: str) -> list[dict[str, Any]]:
    """The entities under `name`: MISP leaves the list out, or empty, or (PHP) writes a map."""
    value = entity.get(name)
    if isinstance(value, dict):
        value = [value]
    return [item for item in value or () if isinstance(item, dict)] if isinstance(value, list) else []


def truth(value: Any) -> bool:
    """MISP's booleans: true, 1 and "1"."""
    return value is True or str(value) == "1"


Groups = Mapping[str, Entity]
"""The sharing groups that an event describes, by uuid and by the number that its own instance gives them."""


def own(entity: Entity, *, internal: bool, groups: Groups = MappingProxyType({})) -> Label:
    """What an entity says itself, by its tags, its distribution and its sharing group."""
    label = of_tags(tag_names(entity))
    distribution = _distribution(entity)
    if distribution is None:
        return label
    group = _group_of(entity, groups) if distribution == _GROUP else None
    return label.join(of_distribution(distribution, internal=internal, sharing_group=group))


def tag_names(entity: Entity) -> list[str]:
    """The names of the tags on an entity, whether they travel or not; one that is `deleted` is being taken off."""
    return [str(tag.get("name", "")) for tag in listed(entity, "Tag") if not truth(tag.get("deleted"))]


def groups_in(event: Entity) -> dict[str, Entity]:
    """Every sharing group described anywhere in the event; MISP often describes one once and then names its number."""
    found: dict[str, Entity] = {}
    todo: list[Any] = [event]
    while todo:
        entity = todo.pop()
        for group in listed(entity, "SharingGroup"):
            for name in ("uuid", "id"):
                if group.get(name):
                    found.setdefault(str(group[name]).lower(), group)
        for name in (*_PARTS, *_INSIDE):
            todo += listed(entity, name)
    return found


def _group_of(entity: Entity, groups: Groups) -> Entity | None:
    """The group of an entity with distribution 4; None: nothing in the event says who is in it."""
    for group in listed(entity, "SharingGroup"):
        # A mere name with a uuid may stand where the group is described elsewhere.
        return group if "SharingGroupOrg" in group else groups.get(str(group.get("uuid") or "").lower(), group)
    named = entity.get("sharing_group_uuid") or entity.get("sharing_group_id")
    return groups.get(str(named).lower()) if named else None


def _distribution(entity: Entity) -> int | None:
    value = entity.get("distribution")
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return _NOWHERE


@dataclass(slots=True)
class Labels:
    """The label of every entity in one event, by uuid."""

    event: Label
    strictest: Label
    by_uuid: dict[str, Label] = field(default_factory=dict)
    everywhere: set[str] = field(default_factory=set)
    """Stated on the event itself: what an attribute says of these does not make them stricter."""

    groups: Groups = field(default_factory=dict)
    mixed: dict[str, str] = field(default_factory=dict)
    """Entities with several TLP levels → their tags."""

    @classmethod
    def of(cls, event: Entity, *, internal: bool, drafts: bool = True) -> Labels:
        """The labels of `event`, whose uuids have been put right.

        `drafts`: an event that says it is not published is held until it does. MISP gives no others away, and does not
        look at it in files and feeds.
        """
        groups = groups_in(event)
        whole = own(event, internal=internal, groups=groups)
        if drafts and "published" in event and not truth(event["published"]):
            whole = whole.join(Label(draft=True))
        labels = cls(event=whole, strictest=whole, groups=groups)
        labels._state(event, whole, wide=True)
        for name in _PUBLIC:
            labels._state(event.get(name), whole, wide=True)
        labels._within(event, whole, internal=internal, wide=True)
        for attribute in listed(event, "Attribute"):
            labels._attribute(attribute, whole.join(labels._own(attribute, internal=internal)), internal=internal)
        labels._objects(listed(event, "Object"), internal=internal)
        return labels

    def find(self, uuid: str) -> Label | None:
        """The label of the entity with this uuid; None when the event has none."""
        return self.by_uuid.get(uuid.lower())

    def remarks(self) -> tuple[Skipped, ...]:
        """What is odd about the marks, entity by entity: it does not keep anything back."""
        return tuple(
            Skipped(id=uuid, code="misp.several_tlp", fields={"tags": tags}) for uuid, tags in self.mixed.items()
        )

    def _own(self, entity: Entity, *, internal: bool) -> Label:
        return own(entity, internal=internal, groups=self.groups)

    def _state(self, entity: Any, label: Label, *, wide: bool = False) -> None:
        uuid = str(entity.get("uuid") or "").lower() if isinstance(entity, Mapping) else ""
        self.strictest = self.strictest.join(label)
        if uuid and len(names := tag_names(entity)) > 1:
            levels = {level for name in names if (level := of_tags((name,)).tlp) is not None}
            if len(levels) > 1:
                self.mixed[uuid] = ", ".join(level.tag for level in sorted(levels))
        if uuid and wide:
            self.by_uuid[uuid] = label
            self.everywhere.add(uuid)
        elif uuid and uuid not in self.everywhere:
            known = self.by_uuid.get(uuid)
            self.by_uuid[uuid] = label if known is None else known.join(label)

    def _attribute(self, attribute: Entity, label: Label, *, internal: bool) -> None:
        self._state(attribute, label)
        self._within(attribute, label, internal=internal)

    def _objects(self, objects: Iterable[Entity], *, internal: bool) -> None:
        """A STIX object made of a MISP object holds all its attributes, so it is as strict as the strictest of them."""
        for group in _groups(list(objects)):
            label = self.event
            for entity in group:
                label = label.join(self._own(entity, internal=internal))
                for attribute in listed(entity, "Attribute"):
                    label = label.join(self._own(attribute, internal=internal))
            for entity in group:
                self._state(entity, label)
                self._within(entity, label, internal=internal)
                for attribute in listed(entity, "Attribute"):
                    self._attribute(attribute, label, internal=internal)

    def _within(self, entity: Entity, label: Label, *, internal: bool, wide: bool = False) -> None:
        """Sightings, analyst data, reports and galaxies: at least as strict as what they are attached to."""
        for name in _INSIDE:
            for inner in listed(entity, name):
                inside = label.join(self._own(inner, internal=internal))
                self._state(inner, inside)
                self._state(inner.get("Organisation"), inside)
                self._within(inner, inside, internal=internal)
        for cluster in clusters(entity):
            # Clusters that MISP ships are public knowledge; only an own one has a distribution that means anything.
            custom = "default" in cluster and not truth(cluster["default"])
            inside = label.join(self._own(cluster, internal=internal)) if custom else label
            self._state(cluster, inside, wide=wide)


def clusters(entity: Entity) -> Iterator[dict[str, Any]]:
    """The galaxy clusters attached to an entity."""
    for galaxy in listed(entity, "Galaxy"):
        yield from listed(galaxy, "GalaxyCluster")


def _groups(objects: list[Entity]) -> list[list[Entity]]:
    """MISP objects, together where misp-stix may make one of them."""
    index = {str(entity.get("uuid", "")).lower(): number for number, entity in enumerate(objects)}
    parent = list(range(len(objects)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, entity in enumerate(objects):
        for reference in listed(entity, "ObjectReference"):
            other = index.get(str(reference.get("referenced_uuid", "")).lower())
            if other is not None and {entity.get("name"), objects[other].get("name")} <= MERGED:
                parent[root(number)] = root(other)
    groups: dict[int, list[Entity]] = {}
    for number, entity in enumerate(objects):
        groups.setdefault(root(number), []).append(entity)
    return list(groups.values())


def merged(objects: Iterable[Entity]) -> dict[str, frozenset[str]]:
    """For each MISP object's uuid, the uuids of those that may come out as one STIX object with it."""
    found = {}
    for group in _groups(list(objects)):
        together = frozenset(str(entity.get("uuid", "")).lower() for entity in group)
        found.update(dict.fromkeys(together, together))
    return found
