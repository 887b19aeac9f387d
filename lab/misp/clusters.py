"""Galaxy clusters: custom ones travel between instances by their own calls; in events they are tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.misp.instance import Instance, Refused
from lab.misp.people import Part, User

_CLUSTER = (
    "id",
    "uuid",
    "collection_uuid",
    "type",
    "value",
    "tag_name",
    "description",
    "galaxy_id",
    "source",
    "authors",
    "version",
    "distribution",
    "sharing_group_id",
    "org_id",
    "orgc_id",
    "default",
    "locked",
    "extends_uuid",
    "extends_version",
    "published",
    "deleted",
)


def put(instance: Instance, cluster: Mapping[str, Any]) -> Part:
    """Hold a cluster as `{"uuid", "type", "value", "version", "Galaxy": …}` stands; without Orgc it is ours."""
    orgc = instance.captured_organisation(cluster.get("Orgc") or instance.organisation.brief())
    org = instance.captured_organisation(cluster.get("Org") or instance.organisation.brief())
    usual: Part = {
        "collection_uuid": "",
        "tag_name": f'misp-galaxy:{cluster["type"]}="{cluster["uuid"]}"',
        "description": "",
        "source": "",
        "authors": [],
        "distribution": "3",
        "sharing_group_id": None,
        "default": False,
        "locked": False,
        "extends_uuid": None,
        "extends_version": None,
        "published": True,
        "deleted": False,
        "GalaxyElement": [],
        "GalaxyClusterRelation": [],
    }
    galaxy = cluster.get("Galaxy") or {"id": "1", "type": cluster["type"], "namespace": "misp"}
    fixed = {
        "id": instance.number("clusters", cluster.get("id")),
        "galaxy_id": galaxy["id"],
        "org_id": "0" if cluster.get("default") else org.id,
        "orgc_id": "0" if cluster.get("default") else orgc.id,
        "version": str(cluster["version"]),
        "Galaxy": galaxy,
        "Org": org.uuid,
        "Orgc": orgc.uuid,
    }
    held = {**usual, **cluster, **fixed}
    instance.clusters[held["uuid"]] = held
    return held


def search(instance: Instance, user: User, wishes: Mapping[str, Any]) -> list[Part]:
    """`galaxy_clusters/restSearch`: with `minimal`, only uuid and version."""
    uuids = wishes.get("uuid")
    found = []
    for cluster in _sorted(instance.clusters.values()):
        custom = not cluster["default"]
        fits = (not wishes.get("custom") or custom) and (not wishes.get("published") or cluster["published"])
        named = not uuids or cluster["uuid"] in ([uuids] if isinstance(uuids, str) else uuids)
        if fits and named and not cluster["deleted"] and _sees(instance, user, cluster):
            found.append(cluster)
    if wishes.get("minimal"):
        return [{"GalaxyCluster": {"uuid": cluster["uuid"], "version": cluster["version"]}} for cluster in found]
    return [{"GalaxyCluster": whole(instance, cluster)} for cluster in found]


def whole(instance: Instance, cluster: Part) -> Part:
    """As `galaxy_clusters/view` shows it."""
    tag = instance.tags.get(cluster["tag_name"])
    used = sum(any(t["name"] == cluster["tag_name"] for t in event["Tag"]) for event in instance.events.values())
    shown = {key: cluster[key] for key in (*_CLUSTER, "Galaxy", "GalaxyElement", "GalaxyClusterRelation")}
    organisations = {key: instance.organisations[cluster[key]].whole() for key in ("Org", "Orgc")}
    return {
        **shown,
        **organisations,
        "RelationshipInbound": [],
        **({"tag_count": used, "tag_id": tag["id"]} if tag else {}),
    }


def view(instance: Instance, user: User, key: str) -> Part:
    """One cluster by uuid or number."""
    found = instance.clusters.get(key) or next((c for c in instance.clusters.values() if c["id"] == key), None)
    if found is None or not _sees(instance, user, found):
        raise Refused(404, "Invalid galaxy cluster")
    return whole(instance, found)


def push(instance: Instance, user: User, clusters: Iterable[Mapping[str, Any]]) -> str:
    """`galaxies/pushCluster`: what MISP says of the import."""
    if "perm_galaxy_editor" not in user:
        raise Refused(405, "You do not have the permission to do that.")
    imported = ignored = 0
    for entry in clusters:
        cluster = entry["GalaxyCluster"]
        if take(instance, user, cluster):
            imported += 1
        else:
            ignored += 1
    return f"Galaxy clusters imported. {imported} imported, {ignored} ignored, 0 failed. "


def take(instance: Instance, user: User, cluster: Mapping[str, Any]) -> bool:
    """Keep a cluster that came from elsewhere, if it is newer than ours; it is locked here."""
    held = instance.clusters.get(str(cluster["uuid"]))
    if held is not None and int(held["version"]) >= int(cluster["version"]):
        return False
    number = {"id": held["id"]} if held else {}
    put(instance, {**cluster, **number, "locked": True, "Org": user.org.brief()})
    return True


def galaxies(instance: Instance, tags: Iterable[Part], *, event_tags: bool) -> list[Part]:
    """The galaxies whose clusters these tags name, as an event shows them."""
    by_tag = {cluster["tag_name"]: cluster for cluster in instance.clusters.values()}
    found: dict[str, Part] = {}
    for tag in tags:
        cluster = by_tag.get(tag["name"])
        if cluster is None:
            continue
        galaxy = found.setdefault(cluster["Galaxy"]["id"], {**cluster["Galaxy"], "GalaxyCluster": []})
        meta: dict[str, list[str]] = {}
        for element in cluster["GalaxyElement"]:
            meta.setdefault(element["key"], []).append(element["value"])
        shown = {key: cluster[key] for key in (*_CLUSTER, "GalaxyClusterRelation")}
        organisations = {key: instance.organisations[cluster[key]].whole() for key in ("Org", "Orgc")}
        tie = {"event_tag_id": tag.get("id", "0")} if event_tags else {"attribute_tag_id": tag.get("id", "0")}
        place = {"tag_id": int(instance.tags[tag["name"]]["id"]), **tie, "local": tag["local"]}
        galaxy["GalaxyCluster"].append({**shown, **organisations, "meta": meta, **place, "relationship_type": False})
    return list(found.values())


def in_row(instance: Instance, tags: Iterable[Part]) -> list[Part]:
    """The clusters that these tags name, as a row of the index shows them."""
    rows = []
    for galaxy in galaxies(instance, tags, event_tags=True):
        for cluster in galaxy["GalaxyCluster"]:
            shown = {key: cluster[key] for key in _CLUSTER}
            place = {"tag_id": str(cluster["tag_id"]), "local": cluster["local"], "relationship_type": ""}
            itself = {key: value for key, value in galaxy.items() if key != "GalaxyCluster"}
            rows.append({**shown, "Galaxy": itself, "meta": cluster["meta"], **place})
    return rows


def _sees(instance: Instance, user: User, cluster: Part) -> bool:
    return cluster["default"] or instance.sees(user, cluster, cluster["Org"])


def _sorted(clusters: Iterable[Part]) -> list[Part]:
    return sorted(clusters, key=lambda cluster: int(cluster["id"]))
