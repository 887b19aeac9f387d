"""`python -m benchmarks.conversion`: MISP ↔ STIX beside misp-stix, both ways, in one run; figures, and no judgement.

CPU µs per attribute: to STIX (every object of it, as bytes, from the attribute's own bytes), and back (the object that
carries it, from bytes, to the MISP attribute). Then what a round trip through each loses, over the events of a folder,
and what an event of many attributes costs in memory, converted and accepted on a SQLite file in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from benchmarks.accepting import _terms
from exchange.convert import pages, parser, parts, split
from exchange.convert.events import _Conversion
from exchange.convert.making import Made
from exchange.convert.opening import open_event
from exchange.convert.prepare import prepare
from exchange.errors import ContentError
from exchange.model.envelope import Document, Page
from exchange.model.marking import Label, Tlp
from exchange.model.party import Source
from exchange.policy import Rules
from exchange.store import open_store
from exchange.sync import pull
from exchange.sync.accept import accept
from exchange.sync.terms import adopt

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = "5c4e0000-0000-4000-8000-000000000100"
SOURCE = Source(peer="giver", id="g", kind="misp", orgs=frozenset({"*"}))
LABEL = Label(tlp=Tlp.GREEN)
ROUNDS = 9
_CATEGORIES = {"text": "Other", "regkey": "Persistence mechanism", "domain|ip": "Network activity"}
_KINDS = (
    "domain",
    "ip-dst",
    "sha1",
    "url",
    "sha256",
    "filename|sha1",
    "md5",
    "filename",
    "domain|ip",
    "text",
    "regkey",
)


def main() -> int:
    """Print the tables."""
    given = _arguments()
    _speed(given.attributes)
    if given.events:
        _round_trip(given.events)
    if given.big:
        _memory(given.big)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversion", description=__doc__)
    parser.add_argument("--attributes", type=int, default=5_000, metavar="N", help="of the event that is timed (5000)")
    parser.add_argument("--events", type=Path, metavar="FOLDER", help="real MISP events for the round trip")
    parser.add_argument("--big", type=int, default=150_000, metavar="N", help="attributes of the big event (150000)")
    return parser.parse_args()


# --- speed -------------------------------------------------------------------------------------------------------


def value_of(kind: str, number: int) -> str:
    """A value of this type, another for each number."""
    address = f"198.51.{100 + number // 250 % 100}.{number % 250}"
    values = {
        "domain": f"host{number}.example",
        "ip-dst": address,
        "url": f"https://host.example/{number}?q=1",
        "filename": f"file{number}.exe",
        "text": f"a remark, number {number}",
        "regkey": f"HKEY_LOCAL_MACHINE\\Software\\Example{number}",
        "domain|ip": f"host{number}.example|{address}",
        "filename|sha1": f"file{number}.exe|{number:040x}",
        "md5": f"{number:032x}",
        "sha1": f"{number:040x}",
        "sha256": f"{number:064x}",
    }
    return values[kind]


def event(count: int) -> Iterator[bytes]:
    """The JSON of an event of `count` attributes, as a MISP of today writes it, piece by piece."""
    frame = {
        "uuid": EVENT, "info": "Benchmark", "date": "2026-01-02", "timestamp": "1767400000", "published": True,
        "publish_timestamp": "1767400001", "threat_level_id": "2", "analysis": "2", "distribution": "3",
        "sharing_group_id": "0", "extends_uuid": "", "Orgc": {"uuid": EVENT[:-3] + "200", "name": "Giver"},
        "Tag": [{"name": "tlp:green", "colour": "#33FF00", "exportable": True, "local": False}],
    }  # fmt: skip
    yield b'{"Event":' + orjson.dumps(frame)[:-1] + b',"Attribute":['
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        attribute: dict[str, Any] = {
            "id": str(number), "event_id": "1", "object_id": "0", "object_relation": None,
            "category": _CATEGORIES.get(kind, "Payload delivery"),
            "type": kind, "to_ids": kind != "text", "uuid": f"5c4e0000-0000-4000-9000-{number:012d}",
            "timestamp": "1767400000", "distribution": "5", "sharing_group_id": "0", "comment": "seen by the sensors",
            "deleted": False, "disable_correlation": False, "first_seen": None, "last_seen": None,
            "value": value_of(kind, number), "Galaxy": [], "ShadowAttribute": [],
        }  # fmt: skip
        yield (b"," if number else b"") + orjson.dumps(attribute)
    yield b"]}}"


def _speed(count: int) -> None:
    raw = b"".join(event(count))
    theirs = min(100, count)
    few = b"".join(event(theirs))
    to_stix, back = _Fastest(count), _Fastest(count)
    their_stix, their_back = _Fastest(theirs), _Fastest(theirs)
    for _ in range(ROUNDS):  # by turns, so that what else the machine does falls on both
        with to_stix:
            made = _made(raw)
        carriers = [item.body for item in made if item.carrier]
        with back:
            for body in carriers:
                parts(orjson.loads(body), LABEL)
        loaded = orjson.loads(few)["Event"]
        with their_stix:
            converted = parser.convert(loaded)
        with their_back:
            _imported(converted.objects)
    print(f"{'CPU µs per attribute':42}{'exchange':>12}{'misp-stix':>12}{'×':>8}")
    for name, ours, other in (("MISP → STIX", to_stix, their_stix), ("STIX → MISP", back, their_back)):
        print(f"{name:42}{ours.best:12.1f}{other.best:12.0f}{other.best / ours.best:8.0f}", flush=True)
    print(f"{count:,} attributes of {len(_KINDS)} types here, {theirs} there; the fastest of {ROUNDS} turns")


def _made(raw: bytes) -> list[Made]:
    opened = open_event(raw)
    conversion = _Conversion(opened, prepare(opened.frame, internal=False, drafts=True, now=NOW))
    return [item for batch in conversion.all() for item in batch if isinstance(item, Made)]


class _Fastest:
    """A stopwatch of processor time that remembers its fastest round."""

    def __init__(self, count: int) -> None:
        self.best, self._count = float("inf"), count

    def __enter__(self) -> None:
        self._begun = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.best = min(self.best, (time.process_time() - self._begun) / self._count * 1e6)


def _imported(objects: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The event that misp-stix makes of a bundle of its own."""
    import stix2
    from misp_stix_converter import InternalSTIX2toMISPParser

    bundle = stix2.parse({"type": "bundle", "id": "bundle--" + EVENT, "objects": list(objects)}, allow_custom=True)
    with parser._quietly():
        reader = InternalSTIX2toMISPParser()
        reader.load_stix_bundle(bundle)
        reader.parse_stix_bundle()
        found: Mapping[str, Any] = orjson.loads(reader.misp_event.to_json())
    return found


# --- the round trip ----------------------------------------------------------------------------------------------

_ROWS = ("events", "events lost", "attributes", "another uuid", "lost", "to_ids flipped", "comment lost",
         "threat level lost", "analysis lost", "date lost", "creator lost")  # fmt: skip


def _round_trip(folder: Path) -> None:
    ours, theirs = Counter[str](), Counter[str]()
    for raw in _events(folder):
        before = _bare(raw)
        for counts, way in ((ours, _by_us), (theirs, _by_them)):
            counts["events"] += 1
            try:
                _compare(before, way(raw), counts)
            except Exception:  # noqa: BLE001 (whatever another's converter raises, the event is lost to it)
                counts["events lost"] += 1
    print(f"\n{'round trip MISP → STIX → MISP':42}{'exchange':>12}{'misp-stix':>12}")
    for row in _ROWS:
        print(f"{row:42}{ours[row]:12,}{theirs[row]:12,}")


def _events(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*.json*")):
        raw = path.read_bytes()
        try:
            yield from split(gzip.decompress(raw) if path.suffix == ".gz" else raw)
        except ContentError:
            continue


def _bare(raw: bytes) -> Mapping[str, Any]:
    """The event in its wrapper."""
    found = orjson.loads(raw)
    while isinstance(found, list) or "response" in found or "Event" in found:
        found = found[0] if isinstance(found, list) else found.get("response", found.get("Event"))
    whole: Mapping[str, Any] = found
    return whole


def _by_us(raw: bytes) -> Mapping[str, Any]:
    """What comes back of what was released: the frame, and every part under its uuid."""
    event: dict[str, Any] = {"Attribute": [], "Object": []}
    for page in pages(raw, SOURCE, now=NOW):
        for item in page.objects:
            stix = orjson.loads(item.body)
            for part in parts(stix, item.label)[0]:
                if part.kind == "frame":
                    event |= part.body
                    event["Orgc"] = {"uuid": str(stix.get("created_by_ref", ""))[-36:]}
                elif part.kind in ("attribute", "object"):
                    event[part.kind.capitalize()].append(part.body)
    return event


def _by_them(raw: bytes) -> Mapping[str, Any]:
    from misp_stix_converter import MISPtoSTIX21Parser

    with parser._quietly():
        writer = MISPtoSTIX21Parser()
        writer.parse_misp_event({"Event": dict(_bare(raw))})
        made = [orjson.loads(item.serialize()) for item in writer.stix_objects]
    return _imported(made)


def _attributes(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The live ones, in objects too."""
    found = list(event.get("Attribute") or ())
    for entity in event.get("Object") or ():
        found += () if entity.get("deleted") else entity.get("Attribute") or ()
    return [attribute for attribute in found if not attribute.get("deleted")]


def _compare(before: Mapping[str, Any], after: Mapping[str, Any], counts: Counter[str]) -> None:
    found = _attributes(after)
    by_uuid = {str(attribute["uuid"]): attribute for attribute in found}
    by_value = {(attribute["type"], str(attribute["value"])): attribute for attribute in found}
    for attribute in _attributes(before):
        counts["attributes"] += 1
        same = by_uuid.get(str(attribute.get("uuid")).lower())
        if same is None:
            same = by_value.get((attribute["type"], str(attribute["value"])))
            counts["another uuid" if same else "lost"] += 1
        if same is not None:
            counts["to_ids flipped"] += bool(same.get("to_ids")) != bool(attribute.get("to_ids"))
            counts["comment lost"] += (same.get("comment") or "") != (attribute.get("comment") or "")
    for row, name in (("threat level lost", "threat_level_id"), ("analysis lost", "analysis"), ("date lost", "date")):
        counts[row] += str(after.get(name, "")) != str(before.get(name, ""))
    there = (after.get("Orgc") or {}).get("uuid")
    counts["creator lost"] += there != (before.get("Orgc") or {}).get("uuid")


# --- memory ------------------------------------------------------------------------------------------------------


def _memory(count: int) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "event.json"
        with file.open("wb") as out:
            out.writelines(event(count))
        size, counts, seconds, peak = pool.apply(_accepted, (file,))
    print(f"\nan event of {count:,} attributes ({size / 1e6:.0f} MB), converted and accepted on a SQLite file")
    print(f"{sum(counts.values()):,} objects {dict(counts)}, {seconds:.0f} s CPU, {peak:.0f} MB at most, in all")


def _accepted(file: Path) -> tuple[int, Counter[str], float, float]:
    """(bytes, outcomes, seconds of processor, MB at most) of a whole process that takes this event in."""
    raw, counts, clock = file.read_bytes(), Counter[str](), NOW
    store = open_store(f"sqlite:///{file.parent}/big.db")
    rules = Rules(_terms(1), NOW)
    adopt(store, rules, NOW)
    begun = time.process_time()
    brought = Page(document=Document(kind="misp-event", id=EVENT, version="", raw=raw), last=True)
    for page in pull.pages(brought, SOURCE, NOW):
        clock += timedelta(seconds=2)  # the store gives no more than a thousand places in a second
        counts.update(accept(store, rules, page, SOURCE.key, SOURCE.peer, clock).counts)
    store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return len(raw), counts, time.process_time() - begun, peak


if __name__ == "__main__":
    raise SystemExit(main())
