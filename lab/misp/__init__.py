"""A faithful MISP: an instance with its state over real HTTP, that can also pull, push and read feeds as MISP does.

    with misp(samples.circl_events()) as circl:
        PyMISP(circl.url, circl.key)                  # `circl.key` is the sync user of CERT-QC
        circl.instance.settings.sightings_policy = 2
        assert circl.site.count("/events/index", 304) == 1

Written from the recordings of MISP 2.5.1; `tests/misp` replays them against it. It is faithful where a client can
tell: strings for numbers, named parameters, ETags, its texts, its rules for versions, distribution and deletion, and
its bugs. `circl.site` remembers requests with their bodies and makes trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from lab.misp.actions import ACTIONS
from lab.misp.instance import Instance, Settings
from lab.misp.load import put
from lab.misp.people import ADMIN, READ_ONLY, SYNC, Organisation, Part, Role, User
from lab.misp.wire import application
from lab.web import Site, site

__all__ = [
    "ADMIN",
    "CERT_QC",
    "CIRCL",
    "READ_ONLY",
    "SYNC",
    "Instance",
    "Misp",
    "Organisation",
    "Role",
    "Settings",
    "User",
    "application",
    "misp",
]

CIRCL = Organisation(uuid="55f6ea5e-2c60-40e5-964f-47a8950d210f", name="CIRCL")
CERT_QC = Organisation(uuid="7c2f5a90-1d3b-4e86-b0f4-62a9d8c5e317", name="CERT-QC")


class Events:
    """The events of an instance for a test to look at and to change as its analysts would."""

    def __init__(self, instance: Instance) -> None:
        self._at = instance

    def __getitem__(self, uuid: str) -> Part:
        """What is stored of an event, whoever may see it."""
        with self._at.lock:
            return deepcopy(self._at.events[uuid])

    def __iter__(self) -> Iterator[str]:
        with self._at.lock:
            return iter(list(self._at.events))

    def __len__(self) -> int:
        return len(self._at.events)

    def put(self, event: Mapping[str, Any]) -> None:
        """Hold an event as it stands; one with the same uuid is replaced."""
        put(self._at, event)

    def forget(self, uuid: str) -> None:
        """Delete an event as an administrator does."""
        with self._at.lock:
            self._at.forget(uuid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misp:
    """A running MISP: where it is, our key for it, what it holds, and its site."""

    url: str
    key: str = field(repr=False)
    instance: Instance
    events: Events
    site: Site


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
        yield Misp(url=running.url, key=user.key, instance=held, events=Events(held), site=running)
