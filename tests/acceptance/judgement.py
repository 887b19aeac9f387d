"""What must hold when the campaign is over. Nothing here is the product's own code: SQL, HTTP and what people remember.

A version is compared as an instant; an object that has none (an address) is compared by its id alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import requests
from lab.partners import TAXII, Partner

from tests.acceptance.gifts import Giver, Object, may_leave

FLOWS = {"ccc": ("alertes", "depot"), "ee": ("hoiatused", "postkast")}
"""Partner → where we take, where we hand over."""
LARGEST = "1000000"
POSTED = "csirt/post:partage"
Name = tuple[str, str]
"""Id and version."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A POST that was answered with 202: its status, and the ids of its envelope."""

    id: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page that the reader got whole."""

    last: str
    objects: list[Object]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store between two lives: source → cursor, source → what is held of it."""

    cursors: Mapping[str, Mapping[str, Any]]
    held: Mapping[str, frozenset[Name]]


@dataclass(slots=True, kw_only=True)
class Witness:
    """What everybody outside remembers."""

    givers: Mapping[str, Giver]
    partners: Mapping[str, Partner]
    answered: list[Answered] = field(default_factory=list)
    repeated: int = 0
    read: list[PageRead] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    quiet_since: int = 0
    """µs; a source that was drained after it has been drained whole."""
    unledgered: int = 0

    def figures(self) -> dict[str, int]:
        """What there was, for the record."""
        given = {f"given by {name}": len(giver.given) for name, giver in self.givers.items()}
        return given | {
            "POSTs": len(self.answered), "POSTs repeated": self.repeated, "pages read": len(self.read),
            "snapshots": len(self.snapshots), "handed over, superseded before it was noted": self.unledgered,
        }  # fmt: skip


def version(text: str) -> str:
    """The instant in one spelling; empty stays empty."""
    if not text:
        return ""
    plain, _, fraction = text.rstrip("Z").replace(" ", "T").partition(".")
    return f"{plain}.{fraction[:9].rstrip('0')}"


def name_of(object_: Mapping[str, Any]) -> Name:
    """Id and version of an object."""
    return object_["id"], version(str(object_.get("modified") or ""))


def _rows(store: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(query, values).fetchall()


def snapshot(store: Path) -> Snapshot:
    """Cursors and content at one moment."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as database:
        database.execute("BEGIN")
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if not {"source", "statement"} <= tables:
            return Snapshot({}, {})
        cursors = {key: json.loads(text) for key, text in database.execute("SELECT key, cursor FROM source")}
        held: dict[str, set[Name]] = {}
        for key, id_, when in database.execute("SELECT source, stix_id, version FROM statement"):
            held.setdefault(key, set()).add((id_, version(when)))
    return Snapshot(cursors, {key: frozenset(names) for key, names in held.items()})


def unfinished(store: Path, since: int) -> str:
    """What the node still has to do; empty: nothing."""
    for name, (source, _) in FLOWS.items():
        found = _rows(store, "SELECT last_complete FROM source WHERE key = ?", f"{name}/{source}")
        if not found or (found[0][0] or 0) < since:
            return f"{name}/{source} has not been drained"
    waiting = _rows(store, "SELECT count(*) FROM outbox WHERE state = 'pending'")[0][0]
    return f"{waiting} objects wait to be handed over" if waiting else ""


def by_http(witness: Witness, url: str, login: tuple[str, str]) -> list[str]:
    """Every answered POST is complete; what the collection takes succeeded, what is too strict for it failed."""
    faults, taken = [], may_leave(witness.givers["csirt"].given)
    for answered in witness.answered:
        got = requests.get(f"{url}api/status/{answered.id}/", auth=login, headers={"Accept": TAXII}, timeout=30)
        if got.status_code != 200:
            faults.append(f"status {answered.id}: {got.status_code}")
            continue
        told, wanted = got.json(), {id_: id_ in taken for id_ in answered.ids}
        said = {entry["id"]: word == "successes" for word in ("successes", "failures") for entry in told.get(word, ())}
        if told["status"] != "complete" or said != wanted or told["total_count"] != len(wanted):
            faults.append(f"status {answered.id}: {told}")
    return faults


def by_hand(witness: Witness, store: Path) -> list[str]:
    """Everything else, when all of our processes have ended."""
    witness.snapshots.append(snapshot(store))
    judges = (_sound(store), _taken(witness, store), _handed_over(witness, store), _cursors(witness))
    return [*chain(*judges), *_read(witness, store)]


def _sound(store: Path) -> Iterator[str]:
    for file in (store, store.with_name("exchange-reads.db")):
        if (found := _rows(file, "PRAGMA integrity_check")) != [("ok",)]:
            yield f"{file.name}: {found[:3]}"
    for key, owner in _rows(store, "SELECT key, lease_owner FROM source WHERE lease_owner IS NOT NULL"):
        yield f"{key} is still leased to {owner}"
    for found in _rows(store, "SELECT source, code, stix_id FROM quarantine"):
        yield f"set aside: {found}"


def _manifest(partner: Partner, collection: str, **filters: str) -> list[dict[str, str]]:
    """Every version that the partner says it has, each as often as it says so.

    OpenTAXII gives no `next` here, but as large a page as is asked for; medallion gives 100 at most, and `next`.
    """
    url, found, more = partner.objects_url(collection).replace("/objects/", "/manifest/"), [], {}
    while True:
        answer = partner.get(url, **{"match[version]": "all", "limit": LARGEST}, **filters, **more)
        answer.raise_for_status()
        page = answer.json()
        found += page.get("objects", [])
        if not page.get("more"):
            return found
        more = {"next": page["next"]}


def _named(entries: Iterable[Mapping[str, str]]) -> Counter[Name]:
    return Counter((e["id"], "" if e["id"].startswith("ipv4") else version(e["version"])) for e in entries)


def _newest(names: Iterable[Name]) -> dict[str, str]:
    found: dict[str, str] = {}
    for id_, when in names:
        found[id_] = max(when, found.get(id_, ""))
    return found


def _differ(what: str, one: Collection[Any], other: Collection[Any]) -> Iterator[str]:
    """A fault for each side's surplus."""
    for word, rest in (("missing", set(one) - set(other)), ("too many", set(other) - set(one))):
        if rest:
            yield f"{what}: {len(rest)} {word}, {sorted(rest, key=str)[:3]}"


def _held(store: Path, source: str) -> Counter[Name]:
    rows = _rows(store, "SELECT stix_id, version FROM statement WHERE source = ?", source)
    return Counter((id_, version(when)) for id_, when in rows)


def _taken(witness: Witness, store: Path) -> Iterator[str]:
    """What the sources list and what was posted is what we hold, each version once.

    A version that another one took over between two pulls need never have come.
    """
    for name, (source, _) in FLOWS.items():
        there, here = _named(_manifest(witness.partners[name], source)), _held(store, f"{name}/{source}")
        given = {name_of(object_) for object_ in witness.givers[name].given}
        yield from _differ(f"{name} lists what it was given", given, there)
        yield from (f"{name}/{source}: {id_} is held {n} times" for id_, n in here.items() if n > 1)
        yield from _differ(f"newest of {name}/{source}", _newest(there).items(), _newest(here).items())
        if strange := set(here) - set(there):
            yield f"{name}/{source}: {len(strange)} held that nobody gave, {sorted(strange)[:3]}"
    posted, here = witness.givers["csirt"].given, _held(store, POSTED)
    yield from _differ("what was posted", {name_of(object_) for object_ in posted}, here)
    answered = {id_ for answer in witness.answered for id_ in answer.ids}
    yield from _differ("what was answered", {object_["id"] for object_ in posted}, answered)


def _due(witness: Witness, reader: str) -> dict[str, str]:
    """Id → newest version of all that others gave and this one may have."""
    others = [giver.given for name, giver in witness.givers.items() if name != reader]
    return _newest(name_of(object_) for given in others for object_ in may_leave(given).values())


def _handed_over(witness: Witness, store: Path) -> Iterator[str]:
    """What may leave has arrived, once, and the ledger says so; nothing else has."""
    for name, (_, target) in FLOWS.items():
        there = _named(_manifest(witness.partners[name], target))
        yield from (f"{target}: {one} stands there {n} times" for one, n in there.items() if n > 1)
        due = _due(witness, name)
        yield from _differ(f"newest in {target}", due.items(), _newest(there).items())
        query = "SELECT stix_id, version FROM ledger WHERE channel = ? AND outcome = ?"
        noted = Counter(
            (id_, version(when)) for id_, when in _rows(store, query, f"target:{name}/{target}", "accepted")
        )
        yield from (f"ledger of {target}: {one} accepted {n} times" for one, n in noted.items() if n > 1)
        if strange := set(noted) - set(there):
            yield f"ledger of {target}: {len(strange)} that are not there, {sorted(strange)[:3]}"
        # The answer was lost by a kill, and before it could be asked for again a newer version had come.
        missing = set(there) - set(noted)
        superseded = {one for one in missing if one[1] and one[1] < due.get(one[0], "")}
        witness.unledgered += len(superseded)
        if missing - superseded:
            yield f"ledger of {target}: {len(missing - superseded)} not noted, {sorted(missing - superseded)[:3]}"
        refused = _rows(store, query, f"target:{name}/{target}", "refused")
        if refused:
            yield f"ledger of {target}: refused {refused[:3]}"


def _cursors(witness: Witness) -> Iterator[str]:
    """At no time was a cursor ahead of what was held; and what lies behind the last one is held, or comes after it."""
    for name, (source, _) in FLOWS.items():
        partner, key = witness.partners[name], f"{name}/{source}"
        entries = _manifest(partner, source)
        ahead = 0
        for seen in witness.snapshots:
            cursor = seen.cursors.get(key, {})
            newest = _newest(seen.held.get(key, ()))
            ahead += any(one not in newest or newest[one] < when for one, when in _before(entries, cursor))
        if ahead:
            yield f"{key}: in {ahead} of {len(witness.snapshots)} snapshots the cursor was ahead of what was held"
        final = witness.snapshots[-1]
        behind = _manifest(partner, source, added_after=str(final.cursors[key]["added_after"]))
        together = {one for one, _ in _named(behind)} | {one for one, _ in final.held[key]}
        yield from _differ(f"{key}: replayed from its cursor", {entry["id"] for entry in entries}, together)


def _before(entries: Iterable[Mapping[str, str]], cursor: Mapping[str, Any]) -> Iterator[Name]:
    """What the cursor says is taken. Within a drain there may be more with the last date."""
    if not cursor.get("added_after"):
        return
    mark = datetime.fromisoformat(cursor["added_after"])
    for entry in entries:
        added = datetime.fromisoformat(entry["date_added"])
        if added < mark or (added == mark and not cursor.get("partial")):
            yield next(iter(_named([entry])))


def _read(witness: Witness, store: Path) -> Iterator[str]:
    """The reader got everything that it may have, each version once, and no page that the read ledger does not know."""
    got = Counter(name_of(object_) for page in witness.read for object_ in page.objects)
    yield from (f"reader: {one} came {n} times" for one, n in got.items() if n > 1)
    yield from _differ("reader, newest", _due(witness, "soc").items(), _newest(got).items())
    rows = _rows(store.with_name("exchange-reads.db"), "SELECT last, count FROM read WHERE peer = 'soc'")
    noted = Counter(rows)
    pages = Counter((_micros(page.last), len(page.objects)) for page in witness.read)
    if unknown := pages - noted:
        yield f"read ledger: {len(unknown)} pages unknown, {list(unknown)[:3]}"


def _micros(text: str) -> int:
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
