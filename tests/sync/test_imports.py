"""Files through the same door: every shape that people have, whole or broken, and memory that does not grow."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from exchange.errors import UsageError
from exchange.model.envelope import PAGE
from exchange.model.marking import Tlp
from exchange.model.party import Source
from exchange.model.stix import LARGEST
from exchange.store import Store, originals, sources, statements, tables
from exchange.sync.explain import explain
from exchange.sync.imports import Imported, import_files
from tests.sync.partners import Desk
from tests.sync.test_pull import EVENT, event
from tests.world import NOW, agreement, indicator, report, terms

FILES = Source(peer="ccc", id="fichiers", kind="file")


def bundle(objects: Iterable[dict[str, Any]]) -> bytes:
    """A STIX 2.1 bundle."""
    head = {"type": "bundle", "id": "bundle--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"}
    return json.dumps({**head, "objects": list(objects)}).encode()


def names(count: int) -> list[dict[str, Any]]:
    """Indicators for so many domains."""
    return [indicator(f"n{n}.example") for n in range(count)]


class Drop:
    """A folder into which files are put, and a node that imports them."""

    def __init__(self, store: Store, folder: Path, given: Any = None) -> None:
        self.store, self.folder = store, folder
        self.desk = Desk(store, given, FILES)

    def put(self, name: str, content: bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def take(self, path: Path | None = None) -> list[Imported]:
        """Import a file, or the folder."""
        world = self.desk.world
        return list(import_files(self.store, world.rules, path or self.folder, FILES, lambda: world.now))

    def one(self, content: bytes, name: str = "file.json") -> dict[str, int]:
        """Import one file of this content; its counts."""
        (imported,) = self.take(self.put(name, content))
        return imported.counts

    def held(self) -> set[str]:
        """The ids that are held."""
        return {row["stix_id"] for row in self.desk.rows(tables.statement)}

    def aside(self) -> list[dict[str, Any]]:
        """What is in quarantine, with its bytes."""
        return [
            {**row, "fields": json.loads(row["fields"]), "raw": bytes(row["raw"])}
            for row in self.desk.rows(tables.quarantine)
        ]


@pytest.fixture
def drop(memory: Store, tmp_path: Path) -> Drop:
    """An empty folder, and a node in memory."""
    return Drop(memory, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        bundle(names(3)),
        json.dumps({"more": False, "objects": names(3)}).encode(),
        json.dumps(names(3)).encode(),
        json.dumps(names(3), indent=4).encode(),
        b"\xef\xbb\xbf" + bundle(names(3)),
        gzip.compress(bundle(names(3))),
    ],
    ids=["bundle", "envelope", "list", "indented", "byte order mark", "gzip"],
)
def test_every_shape_of_stix_is_taken(drop: Drop, content: bytes) -> None:
    """A bundle, an envelope, a list, however it is written and packed: three objects, listed to the others."""
    assert drop.one(content) == {"stored": 3}
    assert set(drop.desk.world.listed("circl")) == {item["id"] for item in names(3)}
    assert drop.desk.runs(FILES.key) == [("complete", {"stored": 3})]


def stix20(stix: dict[str, Any]) -> dict[str, Any]:
    """An indicator as STIX 2.0 writes it."""
    kept = {name: value for name, value in stix.items() if name not in ("spec_version", "pattern_type")}
    return {**kept, "labels": ["malicious-activity", "a-tag"]}


def test_r6_a_bundle_of_stix_20_is_taken_as_stix_21(drop: Drop) -> None:
    """Listed under its id and version, with the bytes as they came; `why` has the code. Later STIX 2.1 is known."""
    given = [stix20(item) for item in names(3)]
    assert drop.one(bundle(given)) == {"stored": 3}
    assert set(drop.desk.world.listed("circl")) == {item["id"] for item in names(3)}
    with drop.store.reading() as tx:
        (held,) = statements.find(tx, stix_id=given[0]["id"])
        assert json.loads(originals.raw(tx, held.seq)) == given[0]
    assert held.repairs == "repair.stix20"
    upgraded = {"indicator_types": ["malicious-activity"], "pattern_type": "stix", "spec_version": "2.1"}
    assert drop.one(bundle([{**item, **upgraded} for item in given]), "again.json") == {"known": 3}


@pytest.mark.parametrize("packed", [False, True])
def test_a_single_object_is_taken(drop: Drop, packed: bool) -> None:
    """A file that is one object is a page of one; its bytes are kept as they are."""
    raw = json.dumps(indicator(), indent=2).encode()
    assert drop.one(gzip.compress(raw) if packed else raw) == {"stored": 1}
    with drop.store.reading() as tx:
        (held,) = statements.find(tx, stix_id=indicator()["id"])
        assert originals.raw(tx, held.seq) == raw


def test_an_empty_bundle_is_no_error(drop: Drop) -> None:
    """A bundle without objects brings nothing and is not set aside."""
    assert drop.one(bundle([])) == {}
    assert drop.aside() == []


BARE = json.loads(event(1, 2))["Event"]


@pytest.mark.parametrize(
    "content",
    [
        {"Event": BARE},
        BARE,
        {"response": [{"Event": BARE}]},
        [{"Event": BARE}],
        {"response": {"Event": BARE}},
    ],
    ids=["wrapped", "bare", "response", "list", "response of one"],
)
def test_every_shape_of_a_misp_event_is_taken(drop: Drop, content: Any) -> None:
    """An event as the API, the export and the feed write it: the same objects, and the original is kept."""
    counts = drop.one(json.dumps(content).encode())
    assert counts.get("rejected", 0) == 0
    assert {f"indicator--5c4e0000-0000-4000-8000-00000000100{n}" for n in (1, 2)} <= drop.held()
    (document,) = drop.desk.rows(tables.document)
    assert document["document_id"] == EVENT


def test_a_response_of_several_events_gives_a_document_each(drop: Drop) -> None:
    """Each event of an export is taken by itself; a broken one does not take the others with it."""
    other = {**BARE, "uuid": EVENT[:-3] + "200", "Attribute": []}
    broken = {"uuid": EVENT[:-3] + "300", "info": "no date", "Attribute": "none", "Object": 1, "timestamp": []}
    export = {"response": [{"Event": BARE}, {"Event": broken}, {"Event": other}]}
    drop.one(json.dumps(export).encode())
    kept = {row["document_id"] for row in drop.desk.rows(tables.document)}
    assert {EVENT, EVENT[:-3] + "200"} <= kept


def test_a_misp_event_whose_text_comes_first_is_still_one(drop: Drop) -> None:
    """The kind of a file does not depend on how long the first field is."""
    long = {"info": "x" * 5000, **{name: value for name, value in BARE.items() if name != "info"}}
    drop.one(json.dumps(long).encode())
    assert drop.aside() == []
    assert "indicator--5c4e0000-0000-4000-8000-000000001001" in drop.held()


@pytest.mark.parametrize("word", ["Event", "Attribute", "Orgc", "threat_level_id"])
def test_stix_that_holds_a_word_of_misp_is_still_stix(drop: Drop, word: str) -> None:
    """An object of which the name happens to be a key of MISP's does not make the bundle an event."""
    assert drop.one(bundle([indicator(name=word), *names(2)])) == {"stored": 3}


def test_a_folder_is_taken_file_by_file(drop: Drop) -> None:
    """In order of name, sub-folders too; what can hold no intelligence, and the index of a feed, are left out."""
    drop.put("b.json", bundle(names(2)))
    drop.put("a/one.stix2", json.dumps(indicator("one.example")).encode())
    drop.put("c.json.gz", gzip.compress(event(7)))
    drop.put("manifest.json", b"{}")
    drop.put("readme.txt", b"not for us")
    taken = drop.take()
    assert [imported.path.name for imported in taken] == ["one.stix2", "b.json", "c.json.gz"]
    assert taken[1].counts == {"stored": 2}
    assert drop.aside() == []


def test_a_folder_without_anything_is_told(drop: Drop) -> None:
    """An empty folder, and a path that is not there, are the operator's mistake and are said."""
    drop.put("readme.txt", b"not for us")
    with pytest.raises(UsageError) as empty:
        drop.take()
    assert empty.value.code == "cli.empty_folder"
    with pytest.raises(UsageError) as missing:
        drop.take(drop.folder / "nowhere.json")
    assert missing.value.code == "cli.no_such_file"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", ""),
        (b"not json at all", ""),
        (b'{"a": 1}', ""),
        (b"\x1f\x8bnot gzip", "content.file"),
        (b'{"Event": {"info": "cut', "content.json"),
        (b'{"Event": {"uuid": "x"}}', "misp.not_an_event"),
    ],
    ids=["empty", "text", "some JSON", "broken gzip", "cut event", "no event"],
)
def test_a_broken_file_is_set_aside_with_name_and_reason(drop: Drop, content: bytes, code: str) -> None:
    """What cannot be read is in quarantine with its bytes and why; the other files are taken."""
    drop.put("a.json", content)
    drop.put("b.json", bundle(names(1)))
    first, second = drop.take()
    assert first.counts == {"rejected": 1}
    assert second.counts == {"stored": 1}
    (row,) = drop.aside()
    assert row["raw"] == content
    assert row["code"]
    assert not code or row["code"] == code


@pytest.mark.parametrize("content", [b"", b"not json", b"\x1f\x8bnot gzip", bundle(names(3))[:-30]])
def test_the_reason_names_the_file(drop: Drop, content: bytes) -> None:
    """The operator reads in the quarantine which file it was."""
    drop.one(content, "export-2026.json")
    assert [row["fields"].get("file") for row in drop.aside()] == ["export-2026.json"]


def test_a_broken_file_of_one_object_is_named_too(drop: Drop) -> None:
    """The same holds for a small file that is JSON and no STIX."""
    drop.one(b'{"a": 1}', "export-2026.json")
    assert [row["fields"].get("file") for row in drop.aside()] == ["export-2026.json"]


def test_one_bad_object_is_set_aside_by_itself(drop: Drop) -> None:
    """A bad object among good ones: they are stored, it is in quarantine under its id."""
    bad = {**indicator("bad.example"), "pattern_type": 7}
    assert drop.one(bundle([*names(2), bad])) == {"stored": 2, "rejected": 1}
    (row,) = drop.aside()
    assert row["stix_id"] == bad["id"]


@pytest.mark.parametrize("count", [3, PAGE, PAGE + 3, 2 * PAGE + 3])
def test_what_came_before_the_cut_is_kept(drop: Drop, count: int) -> None:
    """A bundle that ends in the middle: every whole object before the cut is stored, and the cut is told once."""
    whole = bundle(names(count + 1))
    counts = drop.one(whole[: whole.rindex(b'"pattern_type"')])
    assert counts == {"stored": count, "rejected": 1}
    assert len(drop.held()) == count


def test_what_came_before_the_cut_is_kept_when_packed(drop: Drop) -> None:
    """The same holds for a gzip file that was not transferred to its end."""
    count = 3 * PAGE
    packed = gzip.compress(bundle(names(count)), compresslevel=0)
    counts = drop.one(packed[: len(packed) // 2], "cut.json.gz")
    assert counts.get("stored", 0) > count // 3
    assert counts["rejected"] == 1


def test_a_spoilt_gzip_is_set_aside_and_the_rest_goes_on(drop: Drop) -> None:
    """Bytes that were flipped inside a gzip file end that file with a reason, not the command."""
    packed = bytearray(gzip.compress(bundle(names(200))))
    packed[40:60] = b"\xff" * 20
    drop.put("a.json.gz", bytes(packed))
    drop.put("b.json", bundle(names(1)))
    first, second = drop.take()
    assert first.counts["rejected"] == 1
    assert second.counts == {"stored": 1}


def test_unmarked_content_of_a_cut_file_is_decided_all_the_same(memory: Store, tmp_path: Path) -> None:
    """R11: a file is a drain; at its end, whatever that is, what is unmarked gets its worth."""
    drop = Drop(memory, tmp_path, terms(unmarked=Tlp.GREEN))
    whole = bundle([indicator("a.example", tlp=None), indicator("b.example", tlp=None)])
    drop.one(whole[:-30])
    with memory.reading() as tx:
        assert statements.waiting_sources(tx) == []
    assert drop.desk.world.listed("circl") == [indicator("a.example")["id"]]


def test_r11_a_referrer_in_a_later_page_counts(drop: Drop) -> None:
    """R11: a report at the end of a long file labels the unmarked objects at its beginning."""
    members = [indicator(f"n{n}.example", tlp=None) for n in range(PAGE + 2)]
    assert drop.one(bundle([*members, report(*members, tlp=Tlp.CLEAR)])) == {"stored": len(members) + 1}
    assert len(drop.desk.world.listed("circl")) == len(members) + 1


def test_the_same_file_again_changes_nothing(drop: Drop) -> None:
    """Twice is once."""
    drop.one(bundle(names(3)))
    assert drop.one(bundle(names(3))) == {"known": 3}


def test_files_of_a_peer_without_agreement_go_nowhere(memory: Store, tmp_path: Path) -> None:
    """R2: what is imported as from a peer of whom nothing may be received is held for everybody."""
    drop = Drop(memory, tmp_path, terms(agreements=[agreement("a", "cert-ee", "circl")]))
    drop.one(bundle(names(3)))
    assert drop.desk.world.listed("circl") == []


def test_an_event_that_is_rejected_whole_is_found_by_its_uuid(drop: Drop) -> None:
    """Nothing is silent: `why UUID` tells that the event of a file is in quarantine."""
    deep: Any = {}
    for _ in range(80):
        deep = {"x": deep}
    drop.one(json.dumps({"Event": {**BARE, "deep": deep}}).encode())
    assert len(drop.aside()) == 1
    found = explain(drop.store, drop.desk.world.rules, EVENT, NOW)
    assert len(found.quarantine) == 1


def _peak(drop: Drop, count: int) -> int:
    path = drop.folder / f"{count}.json"
    with path.open("wb") as file:
        file.write(b'{"type": "bundle", "objects": [')
        for n in range(count):
            file.write((b"," if n else b"") + b'{"id": "%d", "text": "%s"}' % (n, b"x" * 300))
        file.write(b"]}")
    tracemalloc.start()
    try:
        for imported in import_files(drop.store, drop.desk.world.rules, path, FILES, lambda: NOW):
            assert sum(imported.counts.values()) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of 20,000 objects needs no more memory than one of 2,000: it is streamed."""
    monkeypatch.setattr("exchange.sync.imports.accept", _count_only)
    monkeypatch.setattr("exchange.model.envelope._CHUNK", 1 << 16)
    monkeypatch.setattr("exchange.sync.imports.sift", lambda raws: (list(raws), []))
    _peak(drop, 1000)
    small, large = _peak(drop, 2000), _peak(drop, 20_000)
    assert large < small * 1.5


def _count_only(_store: Store, _rules: Any, page: Any, *_: Any) -> Any:
    """What is stored is the store's business; here only what the reading of the file keeps is measured."""
    return type("Accepted", (), {"counts": {"stored": len(page.objects)}})


def test_an_object_larger_than_any_is_refused_and_what_came_before_is_kept(drop: Drop) -> None:
    """One huge object does not fill the memory: the file ends there with a reason."""
    huge = indicator("huge.example", description="x" * (LARGEST + 2_200_000))
    counts = drop.one(bundle([*names(2), huge, indicator("after.example")]))
    assert counts["stored"] >= 2
    assert counts["rejected"] >= 1
    assert huge["id"] not in drop.held()


def test_a_run_is_recorded_for_each_file(drop: Drop) -> None:
    """Imports appear in the history of their source like pulls."""
    drop.put("a.json", bundle(names(1)))
    drop.put("b.json", b"broken")
    drop.take()
    assert drop.desk.runs(FILES.key) == [("complete", {"stored": 1}), ("complete", {"rejected": 1})]
    with drop.store.reading() as tx:
        assert sources.last_news(tx, FILES.key) is not None
