"""Galaxy clusters of an organisation's own: MISP's shipped ones travel as tags (reference misp.md section 1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from exchange.convert.forms import minted
from exchange.errors import RequestError
from exchange.model.party import Source
from exchange.serve.misp import filters, parties, view
from exchange.serve.misp.errors import Missing, Unsaved
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.parties import number
from exchange.serve.misp.pushed import seconds
from exchange.serve.misp.taking import take
from exchange.sync import events

MOST = 10_000
_COULD = "pushCluster Galaxy"


def search(ask: Ask) -> Answer:
    """`POST /galaxy_clusters/restSearch`: uuid and version (`minimal`), or whole."""
    wanted = ask.option("uuid")
    uuids = {each.lower() for each in filters.choices(wanted)} if wanted else None
    minimal = str(ask.option("minimal", "")) in ("1", "True")
    found = [_shown(body) for body in _seen(ask, uuids)]
    if minimal:
        found = [{"uuid": each["uuid"], "version": each["version"]} for each in found]
    told = view.entities((), 0 if minimal else len(found))
    headers = {"X-Result-Count": str(len(found)), "X-Response-Format": "json"}
    return Answer(body={"response": [{"GalaxyCluster": each} for each in found]}, headers=headers, offered=told)


def one(ask: Ask) -> Answer:
    """`GET /galaxy_clusters/view/{uuid}`. Raises Missing."""
    for body in _seen(ask, {ask.address.first.lower()}):
        return Answer(body={"GalaxyCluster": _shown(body)}, offered=view.entities((), 1))
    raise Missing("Invalid galaxy cluster")


def _seen(ask: Ask, uuids: set[str] | None) -> list[Mapping[str, Any]]:
    carried = events.carried(ask.tx, view.view(ask), {"cluster"}, ask.visit.now, uuids=uuids)
    return [part.body for part in carried]


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    uuid, org = str(body["uuid"]), body.get("Orgc") or {}
    return {
        "id": number(uuid),
        "collection_uuid": "",
        "description": "",
        "source": "",
        "authors": [],
        "version": "1",
        "sharing_group_id": None,
        "default": False,
        "locked": False,
        "extends_uuid": None,
        "extends_version": None,
        "published": True,
        "deleted": False,
        "GalaxyElement": [],
        "GalaxyClusterRelation": [],
        "Org": org,
        "RelationshipInbound": [],
        **body,
    }


def push(ask: Ask) -> Answer:
    """`POST /galaxies/pushCluster`: `[{"GalaxyCluster": {…}}]`. The answer is MISP's."""
    given = ask.given if isinstance(ask.given, list) else None
    if given is None or len(given) > MOST:
        raise RequestError("request.misp_shape", wanted='[{"GalaxyCluster": {…}}]')
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    clusters = [each["GalaxyCluster"] for each in given if isinstance(each, dict) and "GalaxyCluster" in each]
    for each in clusters:
        if not isinstance(each, dict):
            raise RequestError("request.misp_shape", wanted='[{"GalaxyCluster": {…}}]')
        org = each.get("Orgc")
        parties.allowed(org if isinstance(org, dict) else parties.organisation(peer), peer, ask.visit.rules, _COULD)
    source = parties.source_of(peer, f"post:{ask.collection.alias}", parties.creators(peer))
    count = sum(_taken(ask, each, source) for each in clusters)
    said = f"{count} imported, 0 ignored, {len(clusters) - count} failed. "
    if not count:
        raise Unsaved("request.misp_nothing", could=_COULD)
    name = f"Galaxy clusters imported. {said}"
    return Answer(body={"saved": True, "success": True, "name": name, "message": name, "url": "/galaxies/pushCluster"})


def _taken(ask: Ask, cluster: dict[str, Any], source: Source) -> bool:
    """Take one cluster, as what stands beside an event that says nothing; whether it is held now."""
    uuid = str(cluster.get("uuid") or "").lower()
    stamp = seconds(cluster.get("version")) or ask.visit.now // 1_000_000
    event = {
        "uuid": minted(f"{uuid}/event"),
        "info": "",
        "published": True,
        "distribution": "3",
        "timestamp": str(min(stamp, ask.visit.now // 1_000_000)),
        "Orgc": cluster.get("Orgc") or {},
    }
    raw = orjson.dumps({"Event": event, "GalaxyCluster": [cluster]})
    return bool(take(ask, raw, source, _COULD, lambda item: item if item.id.partition("--")[2] == uuid else None))
