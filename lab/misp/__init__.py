"""A faithful MISP: an instance with its state over real HTTP, that can also pull, push and read feeds as MISP does.

    with misp(samples.circl_events()) as circl:
        PyMISP(circl.url, circl.key)                  # `circl.key` is the sync user of CERT-QC
        circl.instance.settings.sightings_policy = 2
        node = circl.connect(url, key)                # Sync Actions > Servers
        assert circl.test(node).green and circl.pull(node).green and circl.push(node, "full").green
        circl.publish(uuid)                           # pushes to every server that is connected
        assert circl.site.count("/events/index", 304) == 1

Written from the recordings of MISP 2.5.1; `tests/misp` replays them against it. It is faithful where a client can
tell: strings for numbers, named parameters, ETags, its texts, its rules for versions, distribution and deletion, and
its bugs. `circl.site` remembers requests with their bodies and makes trouble; `node.calls` are those it made itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lab.misp.actions import ACTIONS
from lab.misp.desk import Events, Misp
from lab.misp.feeds import Feed
from lab.misp.instance import Instance, Settings
from lab.misp.load import put
from lab.misp.people import ADMIN, READ_ONLY, SYNC, Organisation, Role, User
from lab.misp.servers import Connection, Report, Server
from lab.misp.wire import application
from lab.web import site

__all__ = [
    "ADMIN",
    "CERT_QC",
    "CIRCL",
    "READ_ONLY",
    "SYNC",
    "Connection",
    "Events",
    "Feed",
    "Instance",
    "Misp",
    "Organisation",
    "Report",
    "Role",
    "Server",
    "Settings",
    "User",
    "application",
    "misp",
]

CIRCL = Organisation(uuid="55f6ea5e-2c60-40e5-964f-47a8950d210f", name="CIRCL")
CERT_QC = Organisation(uuid="7c2f5a90-1d3b-4e86-b0f4-62a9d8c5e317", name="CERT-QC")


@contextmanager
def misp(
    events: Iterable[Mapping[str, Any]] = (),
    port: int = 0,
    *,
    organisation: Organisation = CIRCL,
    reader: Organisation = CERT_QC,
    role: Role = SYNC,
    instance: Instance | None = None,
) -> Iterator[Misp]:
    """A MISP of `organisation` on loopback that holds `events`; the key is that of a user of `reader` in that role."""
    held = instance or Instance(organisation.name, organisation.uuid)
    user = held.user(reader.name, reader.uuid, role=role)
    for event in events:
        put(held, event)
    with site(application(held, ACTIONS), port) as running:
        yield Misp(url=running.url, key=user.key, instance=held, events=Events(held), site=running, reader=user.org)
