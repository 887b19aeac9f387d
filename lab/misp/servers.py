"""The row under Sync Actions > Servers, and what an administrator is shown of what was done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.misp.people import Organisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that we made as a MISP, and what came back; `body` is before compression."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer: bytes = field(repr=False, default=b"")


@dataclass(slots=True, kw_only=True)
class Server:
    """A remote instance: where, with which key, what is ticked; and what we remember of it (MISP's Redis)."""

    url: str
    key: str = field(repr=False)
    remote: Organisation  # the organisation that runs it, as the administrator entered it
    name: str = "peer"
    push: bool = True
    pull: bool = True
    push_sightings: bool = True
    push_galaxy_clusters: bool = True
    pull_galaxy_clusters: bool = True
    push_analyst_data: bool = True
    internal: bool = False
    unpublish_event: bool = False
    pull_rules: Mapping[str, Any] = field(default_factory=dict)  # {"tag": ["a", "!b"], "org": […], …}
    push_rules: Mapping[str, list[str]] = field(default_factory=dict)  # {"tags_or", "tags_not", "orgs_or", "orgs_not"}
    calls: list[Call] = field(default_factory=list)
    index: tuple[str, bytes] | None = None  # ETag and body of the index, kept for a day
    empty: set[str] = field(default_factory=set)  # UUID:TIMESTAMP of events that were empty when fetched
    fetched: dict[str, str] = field(default_factory=dict)  # event -> sighting_timestamp that gave nothing
    last_pushed: int = 0  # the number of the last event that was pushed


@dataclass(slots=True, kw_only=True)
class Report:
    """What a pull or push did, and what an administrator would find about it in the interface and the logs."""

    what: str
    events: list[str] = field(default_factory=list)  # uuids taken or given
    fails: dict[str, str] = field(default_factory=dict)  # uuid -> why not
    proposals: int = 0
    sightings: int = 0
    clusters: int = 0
    analyst: int = 0
    errors: list[str] = field(default_factory=list)  # entries of level error, or why it did not begin
    remarks: list[str] = field(default_factory=list)  # what is logged and is no error

    @property
    def green(self) -> bool:
        """Whether nothing would worry the administrator; what needed no update or may not go is no worry."""
        return not self.errors

    @property
    def message(self) -> str:
        """The sentence that MISP shows at the end."""
        if self.errors and not self.events:
            return self.errors[0]
        parts = f"{self.proposals} proposals, {self.sightings} sightings, {self.clusters} galaxy clusters and "
        done = f"{len(self.events)} events, {parts}{self.analyst} analyst data {self.what} or updated."
        return f"{done} {len(self.fails)} events failed or didn't need an update."


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What the connection test shows. Status 1 and post 1 are green."""

    status: int
    post: int | None = None
    version: str = ""
    local_version: str = ""
    mismatch: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def green(self) -> bool:
        """All is well: connected, may sync, POST comes back, versions go together."""
        return self.status == 1 and self.post == 1 and self.mismatch in ("", "hotfix")

    @property
    def message(self) -> str:
        """The words of the interface."""
        return f"{_STATUS[self.status]}; POST test: {_POST.get(self.post or 0, 'Remote too old for this test')}"


_STATUS = {
    1: "OK",
    2: "Server unreachable",
    3: "Unexpected error",
    4: "Authentication failed",
    5: "Password change required",
    6: "Terms not accepted",
    7: "Remote user not a sync user",
    8: "Syncing sightings only",
}
_POST = {1: "Received sent package", 8: "Could not POST message", 9: "Invalid body", 10: "Invalid headers"}
