"""Who may read what, now: audiences, agreements that end, brakes, the ledger, and no trace of what is not shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from exchange.errors import StoreBusy, StoreError
from exchange.model.marking import Tlp
from exchange.serve.ledger import Ledger
from exchange.store import Store, accounts, audiences, micros, moment, open_store, pages, statements, tables
from exchange.store.pages import LAST, Query, Versions
from tests.serve.house import MANIFEST, OBJECTS, TAXII, House, ending, house_terms, ids, refused
from tests.world import FOLDED, NOW, SHARED, indicator, malware, marked, relationship

FEED = f"/feeds/{SHARED}/manifest.json"
FOLDED_OBJECTS = f"/api/collections/{FOLDED}/objects/"


def domain(value: str) -> dict[str, Any]:
    made = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{'1' * 8}-0000-4000-8000-{'2' * 12}"}
    return marked(made | {"value": value}, Tlp.GREEN)


def test_a_reader_sees_only_its_audience(house: House) -> None:
    shown, amber, red, unmarked = (
        indicator("shown.example"),
        indicator("amber.example", tlp=Tlp.AMBER),
        indicator("red.example", tlp=Tlp.RED),
        indicator("unmarked.example", tlp=None),
    )
    house.give(shown, amber, red, unmarked)
    assert ids(house.get(OBJECTS)) == ids(house.get(MANIFEST)) == [shown["id"]]
    for hidden in (amber, red, unmarked):
        refused(house.get(f"{OBJECTS}{hidden['id']}/"), 404, "request.no_object")
        assert ids(house.get(OBJECTS, params={"match[id]": hidden["id"]})) == []


def test_r14_what_is_not_shown_leaves_no_trace(memory: Store) -> None:
    """Another source's objects that the audience may not see change no byte of any answer, headers included."""
    other = open_store("sqlite://")
    try:
        one, two = House(memory), House(other)
        for n, house in enumerate((one, two)):
            house.give(indicator("a.example"))
            if n:
                house.give(*(indicator(f"{i}.example", tlp=Tlp.RED) for i in range(5)), source="maison/misp")
            house.tick()
            house.give(indicator("b.example"), malware("m"))
            with house.store.writing() as tx:
                audiences.set_note(tx, "node_secret", "ab" * 32)
        for path in (OBJECTS, MANIFEST, FEED, f"{OBJECTS}?limit=2", f"/feeds/{SHARED}/hashes.csv"):
            answers = [house.get(*path.split("?")[:1], query_string=path.partition("?")[2]) for house in (one, two)]
            assert answers[0].content == answers[1].content
            assert dict(answers[0].headers) == dict(answers[1].headers)
    finally:
        other.close()


def test_an_object_by_id(house: House) -> None:
    """Section 5.6: 404 when it is not there, `{}` when only the filter leaves nothing."""
    item = indicator()
    house.give(item)
    path = f"{OBJECTS}{item['id']}/"
    answer = house.get(path)
    assert answer.json == {"more": False, "objects": [item]}
    assert answer.headers["X-TAXII-Date-Added-First"] == answer.headers["X-TAXII-Date-Added-Last"]
    assert house.get(path, params={"added_after": answer.headers["X-TAXII-Date-Added-Last"]}).json == {}
    assert house.get(path, params={"match[spec_version]": "2.0"}).json == {}
    refused(house.get(f"{OBJECTS}indicator--00000000-0000-4000-8000-000000000000/"), 404, "request.no_object")


def test_r23_what_is_folded_is_reached_by_id(house: House) -> None:
    first = indicator("same.example")
    twin = first | {"id": "indicator--00000000-0000-4000-8000-999999999999"}
    house.give(first, source="cert-ee/feed")
    house.give(twin, source="circl/feed")
    assert ids(house.get(FOLDED_OBJECTS)) == [first["id"]]
    assert ids(house.get(f"{FOLDED_OBJECTS}{twin['id']}/")) == [twin["id"]]
    assert ids(house.get(FOLDED_OBJECTS, params={"match[id]": twin["id"]})) == [twin["id"]]


def test_r14_an_object_without_a_version_has_its_date_added(house: House) -> None:
    house.give(domain("a.example"))
    entry = house.get(MANIFEST).json["objects"][0]
    assert entry["version"] == entry["date_added"]
    assert entry["media_type"] == "application/stix+json;version=2.1"


def test_r19_an_agreement_that_ended(memory: Store) -> None:
    """403 naming the agreement, by the clock alone; renewal resumes the same listing."""
    house = House(memory, ending(house_terms(), end=date(2026, 11, 30)))
    house.give(indicator())
    before = house.get(OBJECTS).content
    house.tick(days=10)
    for path in (OBJECTS, MANIFEST, FEED):
        body = refused(house.get(path), 403, "request.agreement_ended")
        assert "reseau" in body["description"]
        assert "2026-12-01" in body["description"]
    assert house.get("/api/collections/").status_code == 200
    house.world.follow(ending(house.world.terms, end=date(2027, 11, 30)))
    assert house.get(OBJECTS).content == before


def test_a_reader_without_any_agreement(memory: Store) -> None:
    given = house_terms()
    house = House(memory, replace(given, agreements=tuple(replace(a, parties=("ccc",)) for a in given.agreements)))
    refused(house.get(OBJECTS, "circl"), 403, "request.no_agreement")


def test_an_audience_that_is_being_decided(house: House) -> None:
    house.give(indicator())
    with house.store.writing() as tx:
        shut = [replace(row, open=False) for row in audiences.everyone(tx).values() if not row.retired]
        audiences.declare(tx, shut, micros(house.world.now))
    for path in (OBJECTS, MANIFEST, FEED):
        answer = house.get(path)
        refused(answer, 503, "request.deciding")
        assert int(answer.headers["retry-after"]) > 0
    with house.store.writing() as tx:
        audiences.reopen(tx)
    assert len(ids(house.get(OBJECTS))) == 1


@pytest.mark.parametrize("whom", ["ccc", accounts.ALL])
def test_r31_the_brake(house: House, whom: str) -> None:
    house.give(indicator())
    with house.store.writing() as tx:
        accounts.pull_brake(tx, whom, "out", "op", "why", 1)
    for path in (OBJECTS, MANIFEST, FEED, f"{OBJECTS}{indicator()['id']}/"):
        answer = house.get(path)
        refused(answer, 503, "request.paused")
        assert int(answer.headers["retry-after"]) > 0
        assert "op" not in answer.json["description"].split()
    with house.store.writing() as tx:
        accounts.let_go(tx, whom, "out")
    assert len(ids(house.get(OBJECTS))) == 1


def test_nothing_leaves_when_outbound_is_off(memory: Store) -> None:
    house = House(memory, outbound=lambda: False)
    house.give(indicator())
    refused(house.get(OBJECTS), 503, "request.paused")
    assert house.get("/taxii2/").status_code == 200


def test_r27_a_row_for_what_was_offered_and_none_for_nothing(house: House) -> None:
    assert ids(house.get(OBJECTS)) == []
    house.give(indicator("a.example"), indicator("b.example"))
    house.get(OBJECTS, params={"limit": "1"})
    house.get(MANIFEST)
    refused(house.get(OBJECTS, params={"limit": "x"}), 400)
    assert house.reads() == [("ccc", "objects?limit=1", 1), ("ccc", "manifest?", 2)]


def test_r27_what_cannot_be_recorded_does_not_leave(house: House, monkeypatch: Any) -> None:
    house.give(indicator("kept.example"))

    def busy() -> Any:
        raise StoreBusy("store.busy", seconds=2)

    monkeypatch.setattr(house.store, "noting", busy)
    answer = house.get(OBJECTS)
    refused(answer, 503)
    assert "kept.example" not in answer.text
    assert "x-taxii-date-added-last" not in {name.lower() for name in answer.headers}
    assert answer.headers["content-type"] == TAXII


def at_once(house: House, count: int) -> list[Any]:
    """The answers to so many requests, each from a thread of its own."""
    answers: list[Any] = []

    def ask() -> None:
        answers.append(house.get(OBJECTS, params={"limit": "1"}))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class Gate:
    """Stands before every commit of a store's read ledger: counts them, holds the first, and may break the others."""

    def __init__(self, store: Store, monkeypatch: Any, *, waiting: int, error: Exception | None = None) -> None:
        self.commits, self._noting, self._error = 0, store.noting, error
        self._crowd = threading.Event()
        write, came = Ledger.write, []

        def counted(ledger: Ledger, row: Any) -> None:
            came.append(row)
            if len(came) > waiting:
                self._crowd.set()
            write(ledger, row)

        monkeypatch.setattr(Ledger, "write", counted)
        monkeypatch.setattr(store, "noting", self.noting)

    @contextmanager
    def noting(self) -> Iterator[Any]:
        self.commits += 1
        if self.commits == 1:
            assert self._crowd.wait(30), "the others never came"
        elif self._error is not None:
            raise self._error
        with self._noting() as tx:
            yield tx


def test_r27_what_comes_together_is_committed_together(store: Store, monkeypatch: Any) -> None:
    """Fewer commits than rows, and every row is there, on every engine; nobody is answered before."""
    house = House(store)
    house.give(indicator("a.example"), indicator("b.example"))
    if store.memory:  # one connection: its requests come one by one, and nothing may hang
        assert [answer.status_code for answer in at_once(house, 6)] == [200] * 6
        assert house.reads() == [("ccc", "objects?limit=1", 1)] * 6
        return
    gate = Gate(store, monkeypatch, waiting=5)
    answers = at_once(house, 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert 2 <= gate.commits < 6
    monkeypatch.undo()
    assert house.reads() == [("ccc", "objects?limit=1", 1)] * 6


@pytest.mark.parametrize("backend", ["file", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("error", "status"), [(StoreBusy("store.busy", seconds=2), 503), (StoreError("store.failed", detail="x"), 500)]
)
def test_r27_a_commit_that_fails_stops_every_page_of_it(
    store: Store, monkeypatch: Any, error: StoreError, status: int
) -> None:
    house = House(store)
    house.give(indicator("kept.example"))
    Gate(store, monkeypatch, waiting=5, error=error)
    answers = at_once(house, 6)
    served = [answer for answer in answers if answer.status_code == 200]
    monkeypatch.undo()
    assert 1 <= len(served) < 6
    assert len(house.reads()) == len(served), "what was served is recorded, and nothing else"
    for answer in answers:
        if answer not in served:
            refused(answer, status)
            assert "kept.example" not in answer.text
    assert house.get(OBJECTS).status_code == 200, "the ledger goes on afterwards"


def row(number: int) -> dict[str, Any]:
    return {"at": 1, "account": "a", "peer": "p", "audience": "k", "channel": "c", "query": str(number), "first": 1,
            "last": 1, "count": 1}  # fmt: skip


def test_r27_the_first_of_those_who_wait_commits_for_all(tmp_path: Any, monkeypatch: Any) -> None:
    """Exactly two commits: the one that is under way, and one for all who came meanwhile."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    ledger, gate = Ledger(store), threading.Event()
    noting, commits = store.noting, []

    @contextmanager
    def held() -> Iterator[Any]:
        commits.append(1)
        assert gate.wait(30)
        with noting() as tx:
            yield tx

    monkeypatch.setattr(store, "noting", held)
    threads = [threading.Thread(target=ledger.write, args=(row(n),)) for n in range(8)]
    threads[0].start()
    while not commits:
        threading.Event().wait(0.001)
    for thread in threads[1:]:
        thread.start()
    while len(ledger._open.rows) < 7:
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(commits) == 2
    with noting() as tx:
        assert {found for (found,) in tx.exec_driver_sql("SELECT query FROM read")} == {str(n) for n in range(8)}
    store.close()


def test_r27_a_thread_that_dies_in_its_commit_takes_nobody_along(memory: Store, monkeypatch: Any) -> None:
    """What befalls the one who commits is its own; the others are told that nothing is written, and may try again."""
    ledger, gate, met = Ledger(memory), threading.Event(), []
    noting, commits = memory.noting, []

    @contextmanager
    def killed() -> Iterator[Any]:
        commits.append(1)
        if len(commits) == 1:
            assert gate.wait(30)
        if len(commits) == 2:
            raise MemoryError
        with noting() as tx:
            yield tx

    def write(number: int) -> None:
        try:
            ledger.write(row(number))
        except (StoreError, MemoryError) as error:
            met.append(type(error))

    monkeypatch.setattr(memory, "noting", killed)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    threads[0].start()
    while not commits:
        threading.Event().wait(0.001)
    for thread in threads[1:]:
        thread.start()
    while len(ledger._open.rows) < 3:
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(kind.__name__ for kind in met) == ["MemoryError", "StoreError", "StoreError"]
    ledger.write(row(9))
    with noting() as tx:
        assert [found for (found,) in tx.exec_driver_sql("SELECT query FROM read ORDER BY id")] == ["0", "9"]


def test_a_page_is_bounded_in_bytes(house: House, monkeypatch: Any) -> None:
    """A page is cut after so many bytes, says so, always brings something, and loses nothing."""
    items = [indicator(f"{n}.example", description="x" * 3000) for n in range(7)]
    house.give(*items)
    for most, fewest in ((1, 1), (7000, 1), (10_000, 2)):
        monkeypatch.setattr("exchange.serve.objects.MOST_BYTES", most)
        found: list[str] = []
        query: dict[str, str] = {}
        pages_ = 0
        while True:
            page = house.get(OBJECTS, params=query)
            assert len(page.json["objects"]) >= fewest or not page.json["more"]
            found += ids(page)
            pages_ += 1
            if not page.json["more"]:
                break
            query = {"next": page.json["next"]}
        assert found == [item["id"] for item in items]
        assert pages_ > 2


def _asked(row: Any, rows: list[Any], asked: Versions) -> bool:
    """Whether `match[version]` asks for this row, in plain words."""
    own = row.version or moment(row.added).strftime("%Y-%m-%dT%H:%M:%S.%f")
    first = min(other.version for other in rows if other.stix_id == row.stix_id)
    return (
        asked.every or (asked.last and bool(row.latest)) or (asked.first and row.version == first) or own in asked.exact
    )


def _plainly(tx: Any, number: int, query: Query) -> list[tuple[Any, ...]]:
    """What a page is, said in plain words: filter, sort, join."""
    joined = tables.listing.join(tables.statement, tables.statement.c.seq == tables.listing.c.seq)
    columns = (*tables.listing.c, tables.statement.c.stix_id, tables.statement.c.version)
    listed = tx.execute(select(*columns).select_from(joined).where(tables.listing.c.audience == number)).all()
    standing = [row for row in listed if row.closed is None and row.not_after > query.now]
    rows = [
        row
        for row in standing
        if _asked(row, standing, query.versions)
        and (row.stix_id in query.ids if query.ids else not row.folded)
        and (not query.types or row.type in query.types)
        and row.added > query.after
    ]
    rows.sort(key=lambda row: row.added)
    bodies = statements.bodies(tx, [row.seq for row in rows])
    return [(row.added, row.stix_id, row.version, bodies[row.seq]) for row in rows]


@pytest.mark.parametrize(
    "versions",
    [
        LAST,
        Versions(every=True),
        Versions(first=True),
        Versions(first=True, last=True),
        Versions(exact=frozenset({"2026-11-21T12:00:01.000000", "2020-01-01T00:00:00.000000"})),
        Versions(first=True, exact=frozenset({"2026-11-21T12:00:01.000000"})),
    ],
)
def test_pages_are_what_they_should_be(store: Store, versions: Versions) -> None:
    """The prepared scan gives what plain words ask for, on every engine, whatever is asked."""
    house = House(store)
    a, b = indicator("a.example"), malware("b")
    later = [indicator("a.example", modified=NOW + timedelta(seconds=n), description=str(n)) for n in (2, 1)]
    house.give(a, b, relationship(a, b, tlp=Tlp.GREEN), *(indicator(f"{n}.example") for n in range(20)), *later)
    now = micros(house.world.now)
    with store.reading() as tx:
        row = audiences.of_reader(tx, "ccc", f"collection:{SHARED}")
        assert row is not None
        for limit in (1, 5, 24, 25, 26, 1000):
            for more in ({}, {"ids": frozenset({a["id"], b["id"]})}, {"types": frozenset({"malware", "relationship"})}):
                query = Query(now=now, limit=limit, versions=versions, **more)
                plain = _plainly(tx, row.number, query)
                leaf, index = pages.page(tx, row.number, query), pages.index(tx, row.number, query)
                assert [tuple(entry)[:3] for entry in index.entries] == [found[:3] for found in plain[:limit]]
                dates = [found[0] for found in plain[:limit]] or [0]
                assert (leaf.count, leaf.first, leaf.last) == (len(plain[:limit]), dates[0], dates[-1])
                assert b",".join(leaf.pieces) == b",".join(found[3] for found in plain[:limit])
                assert leaf.more == index.more == (len(plain) > limit)


def test_the_scan_uses_the_index(tmp_path: Any) -> None:
    """On SQLite: the partial index for a page, the index on ids for an object; never a walk over the audience."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    try:
        with store.reading() as tx:
            latest = (False, True, False, 0, 0)
            for ids_, index in ((0, "COVERING INDEX ix_listing_page"), (1, "(stix_id=?)"), (3, "(stix_id=?)")):
                scan = pages._scan(tx.dialect, True, ids_, 0, latest, False)
                assert scan.names is not None
                driver: Any = tx.connection.driver_connection
                plan = str(driver.execute(f"EXPLAIN QUERY PLAN {scan.sql}", [1] * len(scan.names)).fetchall())
                assert index in plan, plan
            loose = pages._scan(tx.dialect, True, 0, 0, latest, True)
            plan = str(driver.execute(f"EXPLAIN QUERY PLAN {loose.sql}", [1] * len(loose.names or ())).fetchall())
            assert "COVERING INDEX ix_listing_loose" in plan, plan
            first = pages._scan(tx.dialect, True, 0, 0, (True, False, False, 0, 0), False)
            plan = str(driver.execute(f"EXPLAIN QUERY PLAN {first.sql}", [1] * len(first.names or ())).fetchall())
            assert "listing_1 USING INDEX ix_listing_seq" in plan, plan
    finally:
        store.close()
