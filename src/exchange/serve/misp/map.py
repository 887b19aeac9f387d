"""Which of MISP's addresses are answered here, and what right each needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from exchange.serve.door import Door
from exchange.serve.misp import (
    analyst,
    clusters,
    events,
    index,
    labels,
    proposals,
    revising,
    search,
    servers,
    sightings,
    viewing,
)
from exchange.serve.misp.address import CONTROLLERS, PREFIX, folded
from exchange.serve.misp.body import SEARCH
from exchange.serve.misp.instance import Action, Actions, Instance

_POST = frozenset({"POST"})
_GET = frozenset({"GET", "HEAD"})
NAMED: Mapping[str, Action] = {
    "servers/getVersion": Action(call=servers.version, right="known", methods=_GET),
    "servers/getPyMISPVersion": Action(call=servers.pymisp_version, right="known", methods=_GET),
    "servers/postTest": Action(call=servers.post_test, right="known", methods=_POST),
    "servers/getAvailableSyncFilteringRules": Action(call=labels.filtering_rules, methods=_GET),
    "users/view": Action(call=servers.me, right="known", methods=_GET),
    "events/index": Action(call=index.events_index),
    "events/view": Action(call=viewing.event, right="known"),
    "events/restSearch": Action(call=search.search_events, most=SEARCH),
    "events/filterEventIdsForPush": Action(call=events.filter_for_push, right="write", methods=_POST, most=None),
    "events/add": Action(call=events.add, right="write", methods=_POST, raw=True),
    "events/edit": Action(call=events.edit, right="write", methods=_POST, raw=True),
    "events/delete": Action(call=events.delete, right="write", methods=_POST | {"DELETE"}),
    "events/publish": Action(call=revising.publish, right="write", methods=_POST),
    "events/pushProposals": Action(call=proposals.push, right="write", methods=_POST, most=None),
    "shadow_attributes/index": Action(call=proposals.index),
    "sightings/restSearch": Action(call=sightings.search),
    "sightings/listSightings": Action(call=sightings.index),
    "sightings/add": Action(call=sightings.add_one, right="write", methods=_POST),
    "sightings/filterSightingUuidsForPush": Action(
        call=sightings.filter_for_push, right="write", methods=_POST, most=None
    ),
    "sightings/bulkSaveSightings": Action(call=sightings.save, right="write", methods=_POST, most=None),
    "eventReports/add": Action(call=revising.add_report, right="write", most=None),
    "galaxy_clusters/restSearch": Action(call=clusters.search),
    "galaxy_clusters/view": Action(call=clusters.one, methods=_GET),
    "galaxies/pushCluster": Action(call=clusters.push, right="write", methods=_POST, most=None),
    "analyst_data/indexMinimal": Action(call=analyst.index_minimal),
    "analyst_data/index": Action(call=analyst.index, methods=_GET),
    "analyst_data/filterAnalystDataForPush": Action(
        call=analyst.filter_for_push, right="write", methods=_POST, most=None
    ),
    "analyst_data/pushAnalystData": Action(call=analyst.push, right="write", methods=_POST, most=None),
    "attributes/restSearch": Action(call=search.search_attributes, most=SEARCH),
    "attributes/view": Action(call=viewing.attribute, methods=_GET),
    "attributes/add": Action(call=revising.add_attribute, right="write", methods=_POST, most=None),
    "attributes/edit": Action(call=revising.edit_attribute, right="write", methods=_POST, most=None),
    "attributes/delete": Action(call=revising.delete, right="write", methods=_POST | {"DELETE"}),
    "objects/view": Action(call=viewing.misp_object, methods=_GET),
    "objects/add": Action(call=revising.add_object, right="write", methods=_POST, most=None),
    "objects/delete": Action(call=revising.delete, right="write", methods=_POST | {"DELETE"}),
    "tags/index": Action(call=labels.tags),
    "tags/search": Action(call=labels.search, methods=_POST),
    "tags/attachTagToObject": Action(call=revising.attach_tag, right="write", methods=_POST),
    "tags/removeTagFromObject": Action(call=revising.remove_tag, right="write", methods=_POST),
}

"""As MISP spells them."""


def _folded(path: str) -> tuple[str, str]:
    controller, _, action = path.partition("/")
    return folded(controller), folded(action)


ACTIONS: Actions = {_folded(path): action for path, action in NAMED.items()}


def mount(app: falcon.App[Any, Any], door: Door) -> None:
    """Put the instances at their addresses: one for each collection, and one at the root."""
    instance = Instance(door, ACTIONS)
    app.add_route(f"{PREFIX}/{{name}}/{{rest:path}}", instance)
    for controller in CONTROLLERS:
        app.add_route(f"/{controller}", instance)
        app.add_route(f"/{controller}/{{rest:path}}", instance)
