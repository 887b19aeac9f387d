"""Galaxy clusters → STIX domain objects, by misp-stix; a cluster of its creator's own that it loses, by us.

A cluster that MISP ships is public knowledge and speaks in many events: it belongs to none, and is worth what refers to
it (RULES R11). A custom one is an entity of its event and is carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from exchange.convert import parser
from exchange.convert.forms import minted
from exchange.convert.labels import Labels, clusters, listed, own, truth
from exchange.convert.making import ALWAYS, Event, Made, instant
from exchange.convert.objects import remarks_of
from exchange.convert.part import number
from exchange.convert.parts import CLUSTER_NAMES
from exchange.errors import ContentError
from exchange.model.envelope import Skipped
from exchange.model.marking import KNOWN_IDS, UNMARKED, Label
from exchange.model.misp import said

_ASIDE = frozenset({"report", "grouping", "marking-definition", "identity", "note", "relationship"})
_INDICATED = frozenset({"attack-pattern", "campaign", "infrastructure", "intrusion-set", "malware", "threat-actor",
                        "tool"})  # fmt: skip
_ALWAYS_SECONDS = 1_577_836_800
_YEAR_2100 = 4_102_444_800


class Galaxies:
    """The clusters of one event, each converted once."""

    def __init__(
        self, event: Event, frame: Mapping[str, Any], stated: Mapping[str, Any], custom: Iterable[Mapping[str, Any]]
    ) -> None:
        self._event, self._frame, self._stated = event, frame, stated
        self._custom = {str(cluster.get("uuid")): cluster for cluster in custom}
        self._ids: dict[str, str] = {}
        """Cluster uuid → the id of its object; empty: it has none."""
        self._labels: dict[str, Label] = {}
        """The id of the object of a custom one → its label."""

    def take(self, entity: Mapping[str, Any], labels: Labels) -> Iterator[Made | Skipped]:
        """The objects of the clusters attached to `entity` that did not come before; `labels` were made of it."""
        fresh = [g for g in listed(entity, "Galaxy") if any(c["uuid"] not in self._ids for c in clusters_in(g))]
        if fresh:
            yield from self._convert(fresh, labels)

    def alone(self) -> Iterator[Made | Skipped]:
        """The custom clusters that stand beside the event and were not met in it."""
        for uuid, cluster in self._custom.items():
            if uuid not in self._ids:
                galaxy = cluster.get("Galaxy")
                whole = {**(galaxy if isinstance(galaxy, dict) else {}), "GalaxyCluster": [dict(cluster)]}
                around = Labels.of({**self._stated, "Galaxy": [whole]}, internal=self._event.internal)
                yield from self._convert([whole], around)

    def ids(self, entity: Mapping[str, Any]) -> list[str]:
        """The ids of the objects of an entity's clusters."""
        return [i for cluster in clusters(entity) if (i := self._ids.get(str(cluster.get("uuid")), ""))]

    def public(self, entity: Mapping[str, Any], label: Label) -> list[str]:
        """Those of them that may be had by whoever may have what is under `label`."""
        return [i for i in self.ids(entity) if label.join(self._labels.get(i, UNMARKED)) == label]

    def relate(self, entity: Mapping[str, Any], carrier: str, label: Label) -> Iterator[Made]:
        """The relationships of a carrier with the clusters attached to its entity."""
        for target in dict.fromkeys(self.ids(entity)):
            kind = target.partition("--")[0]
            stix = self._event.versioned(f"relationship--{minted(f'{carrier}/{target}')}", int(entity["timestamp"]))
            said_so = carrier.startswith("indicator--") and kind in _INDICATED
            stix["relationship_type"] = "indicates" if said_so else "related-to"
            stix["source_ref"], stix["target_ref"] = carrier, target
            yield self._event.made(stix, label.join(self._labels.get(target, UNMARKED)))

    def _convert(self, galaxies: list[dict[str, Any]], labels: Labels) -> Iterator[Made | Skipped]:
        found: dict[str, dict[str, Any]] = {}
        try:
            converted = parser.convert({**self._frame, "Galaxy": galaxies})
            yield from remarks_of(self._event, converted.remarks, set())
            for item in converted.objects:
                if item["type"] not in _ASIDE and item["id"] not in KNOWN_IDS:
                    found.setdefault(item["id"].partition("--")[2], item)
        except ContentError as error:
            fields = {"detail": str(error.fields.get("detail", ""))[:300]}
            yield Skipped(id=self._event.uuid, code="convert.remark", fields=fields)
        for galaxy in galaxies:
            for cluster in clusters_in(galaxy):
                if cluster["uuid"] not in self._ids:
                    yield from self._cluster(galaxy, cluster, found.get(cluster["uuid"]), labels)

    def _cluster(
        self, galaxy: Mapping[str, Any], cluster: Mapping[str, Any], stix: dict[str, Any] | None, labels: Labels
    ) -> Iterator[Made]:
        uuid = str(cluster["uuid"])
        cluster = {**cluster, **self._custom.get(uuid, {})}
        custom = uuid in self._custom or ("default" in cluster and not truth(cluster["default"]))
        if stix is None and not custom:
            self._ids[uuid] = ""
            return
        label = labels.find(uuid) or labels.strictest
        if custom:
            label = label.join(own(cluster, internal=self._event.internal, groups=labels.groups))
        stix = stix or _plain(galaxy, cluster)
        self._ids[uuid] = stix["id"]
        stix |= {"created": ALWAYS, "modified": instant(_version(cluster))}
        stix.pop("object_marking_refs", None)
        stix.pop("created_by_ref", None)
        if not custom:
            yield Made(stix["id"], orjson.dumps(stix), Label(reach=label.reach))
            return
        if self._event.creator:
            stix["created_by_ref"] = self._event.creator
        self._labels[stix["id"]] = label
        entity = {name: cluster[name] for name in CLUSTER_NAMES if cluster.get(name) not in (None, "", [])}
        if "GalaxyClusterRelation" in entity:
            entity["GalaxyClusterRelation"] = self._relations(cluster, label, labels)
        self._event.note(uuid, stix["id"], label)
        yield self._event.made(stix, label, "cluster", entity, digest=said(stix))

    def _relations(self, cluster: Mapping[str, Any], label: Label, labels: Labels) -> list[dict[str, Any]]:
        """What it says of other clusters, as far as whoever may have it may have that too."""
        internal, groups, told = self._event.internal, labels.groups, []
        for relation in listed(cluster, "GalaxyClusterRelation"):
            other = str(relation.get("referenced_galaxy_cluster_uuid") or "").lower()
            floor = own(relation, internal=internal, groups=groups).join(labels.find(other) or UNMARKED)
            floor = floor.join(own(self._custom.get(other, {}), internal=internal, groups=groups))
            if label.join(floor) == label:
                told.append(relation)
        return told


def clusters_in(galaxy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The clusters of one galaxy that have a uuid."""
    yield from (cluster for cluster in listed(galaxy, "GalaxyCluster") if cluster.get("uuid"))


def _version(cluster: Mapping[str, Any]) -> int:
    """A cluster's version is a small number, or a time."""
    version = number(cluster.get("version"), 0)
    return version if _ALWAYS_SECONDS < version < _YEAR_2100 else _ALWAYS_SECONDS + min(abs(version), 10**6)


def _plain(galaxy: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Our own form, as misp-stix writes a galaxy that it has no other for."""
    kind = str(cluster.get("type") or galaxy.get("type") or "")
    value = str(cluster.get("value") or cluster["uuid"])
    return {
        "type": "x-misp-galaxy-cluster",
        "spec_version": "2.1",
        "id": f"x-misp-galaxy-cluster--{cluster['uuid']}",
        "labels": [
            f'misp:galaxy-name="{galaxy.get("name") or kind}"',
            f'misp:galaxy-type="{kind}"',
            str(cluster.get("tag_name") or f'misp-galaxy:{kind}="{value}"'),
        ],
        "x_misp_name": str(galaxy.get("name") or kind),
        "x_misp_type": kind,
        "x_misp_value": value,
        "x_misp_description": str(cluster.get("description") or ""),
    }
