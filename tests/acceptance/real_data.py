"""Real published intelligence through the real processes; every object and event accounted for.

`test_real_round.py` runs a part of it; `python -m benchmarks.real_data` runs all of it and prints the figures.

ATT&CK and stalkerware come from OpenTAXII, mobile spyware from medallion, ESET's events from MISP, a part of
Infoblox's feed as a feed, Amnesty's bundles by `exchange import`.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from lab import oracle, proc, samples
from lab.feed import feed, write_events
from lab.misp import misp
from lab.partners import medallion, opentaxii
from lab.reading import Reader, repeated
from lab.real_data import MITRE_MARKING, events_in, objects_in, read_json
from lab.round import CLI, READERS, Round, account, command, free_port, run_exchange
from lab.scenario import PARTENAIRES, Partners, Terms, write_configuration

DATA = Path(__file__).parents[3] / "shared" / "data"
Json = dict[str, Any]
FEED_MOST = 600  # attributes; the largest events of the feed are measured by themselves
SPREAD = ("ccc/alertes", "cert-ee/hoiatused", "cert-qc/fichiers")


@dataclass(slots=True, kw_only=True)
class Offer:
    """What is offered: STIX by source, events by source, and the files to import."""

    stix: dict[str, list[Json]]
    events: dict[str, list[Json]]
    files: list[Path] = field(default_factory=list)


def offer(data: Path, *, small: bool) -> Offer:
    """What the partners have; `small`: without what takes long."""
    attack = read_json(sorted((data / "stix21" / "attack").glob("ics-*"))[-1])["objects"]
    stalkerware = read_json(sorted((data / "stix21" / "stalkerware").glob("*.gz"))[0])["objects"]
    files = sorted((data / "stix21" / "amnesty").glob("*.gz"))
    eset = list(events_in(data / "misp-events" / "eset"))
    infoblox = [read_json(path)["Event"] for path in sorted((data / "misp-feed" / "infoblox").glob("*-*-*-*-*.json"))]
    most = 60 if small else FEED_MOST
    return Offer(
        stix={
            "ccc/alertes": list(objects_in(data / "stix21" / "mvt", "*.stix2"))[: 150 if small else 400],
            "cert-ee/hoiatused": [*attack, *stalkerware[: 400 if small else None]],
            "cert-qc/fichiers": [o for path in files[:1] if small or path for o in read_json(path)["objects"]],
        },
        events={
            "circl/misp": [event for event in shown(eset) if not small or len(event["Attribute"]) < most],
            "circl/osint": [event for event in infoblox if 0 < len(event["Attribute"]) < most],
        },
        files=files[:1],
    )


def shown(parts: Iterable[Json]) -> Iterator[Json]:
    """The events or attributes that an instance shows our account: not those for its own organisation only."""
    return (part for part in parts if str(part.get("distribution")) != "0")


@contextmanager
def real_round(folder: Path, offered: Offer, terms: Terms) -> Iterator[Round]:
    """The partners with what they offer, and the node; the files are imported before it starts."""
    events = offered.events
    with ExitStack() as stack:
        partners = Partners(
            ccc=stack.enter_context(medallion(folder / "ccc", alertes=offered.stix["ccc/alertes"])),
            cert_ee=stack.enter_context(opentaxii(folder / "cert-ee", hoiatused=offered.stix["cert-ee/hoiatused"])),
            circl=stack.enter_context(misp(events["circl/misp"])),
            osint=stack.enter_context(feed(folder / "feed")),
        )
        write_events(partners.osint.folder, events["circl/osint"])
        port = free_port()
        config = write_configuration(folder / "etc", partners, port, terms=terms)
        accounts = {peer: account(config, peer) for peer in READERS}
        for file in offered.files:
            command(config, "import", str(file), "--source", "cert-qc/fichiers")
        exchange = stack.enter_context(run_exchange(config, port, folder / "exchange.log"))
        url = f"http://127.0.0.1:{port}/"
        yield Round(partners=partners, config=config, url=url, exchange=exchange, accounts=accounts)


def terms_for(offered: Offer, unmarked: str | None) -> Terms:
    """One default for everybody, or none; MITRE's terms of use restrict nobody."""
    events = [event for each in offered.events.values() for event in each]
    return Terms(
        every="30s",
        orgs=sorted({samples.CIRCL_ORG, *(event["Orgc"]["uuid"].lower() for event in events)}),
        ccc_unmarked=unmarked,
        cert_ee_unmarked=unmarked,
        circl_unmarked=unmarked,
        home_unmarked=unmarked,
        informational=[MITRE_MARKING] if unmarked else [],
    )


@dataclass(slots=True, kw_only=True)
class Found:
    """How a round ended: faults in the account, what was held, what was read, and what it cost."""

    faults: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    held_wanted: dict[str, int] = field(default_factory=dict)
    readable: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


def perform(folder: Path, offered: Offer, unmarked: str | None) -> Found:
    """One round, judged. `unmarked`: the agreements' default label, or None."""
    found = Found()
    with real_round(folder, offered, terms_for(offered, unmarked)) as going:
        begun = time.perf_counter()
        lines = going.drained(patience=140, pushed=False)
        found.figures = _figures(going, time.perf_counter() - begun)
        found.held = {line["key"]: line["held"] for line in lines if line["key"] in SPREAD}
        with closing(sqlite3.connect(going.config / "exchange.db")) as store:
            for source, objects in offered.stix.items():
                found.counts[source] = _stix_account(store, source, objects, found.faults)
                found.held_wanted[source] = 0 if unmarked else _without_word(store, source, objects)
            for source, events in offered.events.items():
                found.counts[source] = _event_account(store, source, events, found.faults)
            taken = {source: _accepted(store, source) for source in offered.stix}
        for member in ("ccc", "circl"):
            read = _read_twice(going.collection(member, PARTENAIRES), member, found.faults)
            found.readable[member] = len(read)
            if member == "circl":
                _compare(read, offered, taken if unmarked else {}, found.faults)
        found.figures["objects"] = sum(map(len, offered.stix.values())) + sum(
            counts["objects"] for key, counts in found.counts.items() if key in offered.events
        )
    return found


def _stix_account(store: sqlite3.Connection, source: str, objects: Iterable[Json], faults: list[str]) -> dict[str, int]:
    """Each version offered is stored, or set aside with a reason, and nothing else is there."""
    wanted = {_version(object_) for object_ in objects}
    stored = Counter((i, v) for i, v in _rows(store, "SELECT stix_id, version FROM statement WHERE source = ?", source))
    aside = Counter(
        i for i, code in _rows(store, "SELECT stix_id, code FROM quarantine WHERE source = ?", source) if code
    )
    missing = [name for name in wanted if name not in stored and name[0] not in aside]
    faults += [f"{source}: {name} ended nowhere" for name in missing]
    faults += [f"{source}: {name} was never offered" for name in stored if name not in wanted]
    faults += [f"{source}: {name} is stored {count} times" for name, count in stored.items() if count > 1]
    return {"offered": len(wanted), "stored": len(stored), "quarantined": sum(aside.values())}


def _event_account(store: sqlite3.Connection, source: str, events: list[Json], faults: list[str]) -> dict[str, int]:
    """Each event is kept or has a reason; so has each attribute, by itself or in the object that it belongs to."""
    kept = {row[0] for row in _rows(store, "SELECT document_id FROM document WHERE source = ?", source)}
    ids = [row[0] for row in _rows(store, "SELECT stix_id FROM statement WHERE source = ?", source)]
    aside = {row[0] for row in _rows(store, "SELECT stix_id FROM quarantine WHERE source = ?", source)}
    passed = {row[0] for row in _rows(store, "SELECT remote_id FROM skipped WHERE source = ?", source)}
    ended = {id_.partition("--")[2] for id_ in ids} | aside | passed
    attributes = 0
    for event in events:
        uuid = event["uuid"].lower()
        if uuid not in kept | aside | passed:
            faults.append(f"{source}: event {uuid} ended nowhere")
        whole = uuid not in kept  # its reason stands for all that is in it
        for attribute, owners in _attributes(event):
            attributes += 1
            if not whole and not {attribute, *owners} & ended:
                faults.append(f"{source}: attribute {attribute} of {uuid} ended nowhere")
    return {"offered": len(events), "kept": len(kept), "quarantined": len(aside), "skipped": len(passed),
            "attributes": attributes, "objects": len(ids)}  # fmt: skip


def _attributes(event: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Each attribute, with the objects that it may come out with: its own, and those that are joined to that."""
    yield from ((attribute["uuid"].lower(), set()) for attribute in shown(event.get("Attribute", [])))
    together: dict[str, set[str]] = {}
    for entity in event.get("Object", []):
        joined = {entity["uuid"].lower(), *(r["referenced_uuid"].lower() for r in entity.get("ObjectReference", []))}
        whole = joined.union(*(together.get(uuid, set()) for uuid in joined))
        together.update(dict.fromkeys(whole, whole))
    for entity in event.get("Object", []):
        owners = together[entity["uuid"].lower()]
        yield from ((attribute["uuid"].lower(), owners) for attribute in shown(entity.get("Attribute", [])))


def _without_word(store: sqlite3.Connection, source: str, objects: Iterable[Json]) -> int:
    """How many accepted objects neither carry a mark nor are referred to by one that does."""
    accepted = {id_ for id_, _ in _accepted(store, source)}
    marked = [object_ for object_ in objects if oracle.stated_level(object_) is not None]
    spoken = {object_["id"] for object_ in marked} | {ref for object_ in marked for ref in oracle.references(object_)}
    return len(accepted - spoken)


def _read_twice(reader: Reader, member: str, faults: list[str]) -> list[Json]:
    """What the member reads, by both ways of paging."""
    read, again = reader.by_next(1000), reader.by_clock(777)
    if [o["id"] for o in read] != [o["id"] for o in again]:
        faults.append(f"{member}: the two ways of paging differ: {len(read)} and {len(again)}")
    faults += [f"{member}: {name} came twice" for name in repeated(read)]
    return read


def _compare(read: list[Json], offered: Offer, taken: Mapping[str, set[tuple[str, str]]], faults: list[str]) -> None:
    """Everything accepted is GREEN by the default (nothing without one); twins stand behind one of them (R23)."""
    accepted = {id_ for ids in taken.values() for id_, _ in ids}
    bodies = {o["id"]: o for objects in offered.stix.values() for o in objects if o["id"] in accepted}
    got = {object_["id"] for object_ in read}
    fronts = Counter(oracle.facts(object_) for object_ in read)
    faults += [f"circl: {id_} should not be there" for id_ in got - bodies.keys()]
    between = {_between(bodies[id_], bodies) for id_ in got & bodies.keys() if bodies[id_]["type"] == "relationship"}
    behind = {id_ for id_ in bodies.keys() - got if _between(bodies[id_], bodies) in between}
    gone = bodies.keys() - got - behind
    faults += [f"circl: {id_} is missing" for id_ in gone if oracle.facts(bodies[id_]) not in fronts]
    faults += [f"circl: {fact} stands {count} times" for fact, count in fronts.items() if count > 1]


def _between(object_: Json, bodies: Mapping[str, Json]) -> tuple[object, ...]:
    """What a relationship says of the facts at its ends; two that say the same fold, if an end states a fact (R23)."""
    refs = [object_.get("source_ref"), object_.get("target_ref")]
    ends = [oracle.facts(bodies[ref]) if ref in bodies else ref for ref in refs]
    times = object_.get("start_time"), object_.get("stop_time")
    return (object_["type"], object_.get("relationship_type"), *ends, *times)


def _accepted(store: sqlite3.Connection, source: str) -> set[tuple[str, str]]:
    return set(_rows(store, "SELECT stix_id, version FROM statement WHERE source = ?", source))


def _rows(store: sqlite3.Connection, query: str, source: str) -> list[Any]:
    return store.execute(query, (source,)).fetchall()


def _version(object_: Json) -> tuple[str, str]:
    text = str(object_.get("modified") or object_.get("created") or "").removesuffix("Z")
    whole, _, fraction = text.partition(".")
    return object_["id"], f"{whole}.{fraction.rstrip('0').ljust(6, '0')}" if text else ""


def _figures(going: Round, wall: float) -> dict[str, float]:
    peaks = sorted(proc.peaks(going.exchange.pid).values())
    return {"wall": wall, "cpu": proc.processor(going.exchange.pid), "peak": peaks[-1],
            "own": proc.own_memory(going.exchange.pid)}  # fmt: skip


def copies(objects: list[Json], times: int) -> Iterator[Json]:
    """The same intelligence `times` over, with ids of its own each time."""
    for number in range(times):
        for object_ in objects:
            text = json.dumps(object_)
            yield json.loads(_renamed(text, number)) if number else object_


def _renamed(text: str, number: int) -> str:
    pattern = r"--([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    return re.sub(pattern, lambda found: f"--{uuid5(NAMESPACE_URL, f'{number}/{found[1]}')}", text)


def grow(folder: Path, offered: Offer, times: int) -> proc.Cost:
    """Import `times` the stalkerware bundle into a fresh store: what that costs."""
    objects = [o for o in offered.stix["cert-ee/hoiatused"] if MITRE_MARKING not in o.get("object_marking_refs", [])]
    folder.mkdir()
    file = folder / "bundle.json.gz"
    with gzip.open(file, "wt", compresslevel=1) as bundle:
        bundle.write('{"type":"bundle","id":"bundle--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11","objects":[')
        for number, object_ in enumerate(copies(objects, times)):
            bundle.write(("," if number else "") + json.dumps(object_))
        bundle.write("]}")
    return importing(folder, file)


def importing(folder: Path, file: Path) -> proc.Cost:
    """Import one file into a fresh store, as from our own house."""
    with misp() as circl, feed(folder / "feed") as osint:
        nobody = _Nobody(url="http://127.0.0.1:9/", user="-", password="-")
        partners = Partners(ccc=nobody, cert_ee=nobody, circl=circl, osint=osint)  # type: ignore[arg-type]
        config = write_configuration(folder / "etc", partners, free_port(), terms=Terms(home_unmarked="TLP:GREEN"))
    return proc.run([*CLI, "import", str(file), "--source", "cert-qc/fichiers", "--config", config, "--json"])


@dataclass(frozen=True, slots=True)
class _Nobody:
    url: str
    user: str
    password: str
