"""A change of terms by classes (RULES R14, R18, R19, R35): the same listings as deciding each statement by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from exchange.errors import StoreError
from exchange.model.marking import Tlp
from exchange.model.party import Expiry, Receive, Send, Terms
from exchange.store import Store, audiences, classes, listings, notices, open_store, tables
from exchange.store.pages import Versions
from exchange.store.statements import Held
from exchange.store.work import NOTICES
from exchange.sync import stages
from exchange.sync import terms as terms_module
from exchange.sync.passes import Giving, Taking
from exchange.sync.withdrawal import withdraw
from tests.sync.test_terms import GIVES, PARTIES, network, variants
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    SHARED,
    World,
    agreement,
    collection,
    emptied,
    indicator,
    marked,
    report,
    terms,
)

Row = tuple[Any, ...]


def open_rows(store: Store, *, dates: bool = False) -> dict[str, list[Row]]:
    """Audience → what stands in its listing but for notices, in order of date."""
    row, said = tables.listing.c, tables.statement.c
    names = [
        said.source, said.stix_id, said.version, row.type, row.rank, row.label, row.latest, row.folded, row.agreement,
        row.not_after, row.fact, row.expires, *([row.added] if dates else []),
    ]  # fmt: skip
    query = (
        select(tables.audience.c.key, *names)
        .select_from(tables.listing.join(tables.statement, said.seq == row.seq))
        .join(tables.audience, tables.audience.c.number == row.audience)
        .where(row.closed.is_(None), said.source != NOTICES)
        .order_by(tables.audience.c.key, row.added)
    )
    found: dict[str, list[Row]] = {}
    with store.reading() as tx:
        for key, *values in tx.execute(query):
            found.setdefault(key, []).append(tuple(values))
    return found


def waiting_rows(store: Store) -> int:
    """How much waits in the outboxes."""
    with store.reading() as tx:
        return len(tx.execute(select(tables.outbox).where(tables.outbox.c.state == "pending")).all())


def as_sets(rows: dict[str, list[Row]]) -> dict[str, set[Row]]:
    """The same without the order."""
    return {key: set(some) for key, some in rows.items()}


def more_variants() -> list[Terms]:
    """Those of the long walk's own property, and what else may change: folding, ages, ends, owners, readers."""
    plain = terms()
    shelf = plain.collections[SHARED]
    old = Expiry(types=frozenset({"indicator"}), half_life=3 * 86_400.0)
    valid = Expiry(types=frozenset({"indicator"}))
    soon = network(*PARTIES, send=Tlp.AMBER, end=date(2026, 11, 30))
    ccc = replace(plain.peers["ccc"], identities=frozenset({CCC_IDENTITY, "identity--00000000-0000-4000-8000-1"}))
    return [
        *variants(),
        replace(plain, collections={**plain.collections, SHARED: replace(shelf, duplicates="fold")}),
        replace(plain, collections={**plain.collections, SHARED: replace(shelf, readers=("circl",))}),
        replace(plain, expiry=(old,)),
        replace(plain, expiry=(valid,)),
        soon,
        replace(soon, peers={**soon.peers, "ccc": ccc, "circl": replace(soon.peers["circl"], identities=frozenset())}),
        replace(plain, peers={**plain.peers, "circl": replace(plain.peers["circl"], home=True)}),
    ]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Store, Store]]:
    """Two stores for all the examples."""
    one, other = open_store("sqlite://"), open_store("sqlite://")
    yield one, other
    one.close()
    other.close()


def forget_terms(store: Store) -> None:
    """As an upgrade leaves it: by which terms it was decided is not known, so everything is decided by itself."""
    with store.writing() as tx:
        tx.execute(update(tables.meta).where(tables.meta.c.name == "policy_terms").values(value=""))


DISTURBED = st.tuples(st.sampled_from(["withdraw", "doubt"]), st.integers(0, 9))
CHANGED = st.integers(0, len(more_variants()) - 1) | st.sampled_from(["day", "fortnight"])
MOVES = st.tuples(
    st.lists(GIVES, min_size=1, max_size=3),
    st.lists(st.tuples(DISTURBED | GIVES | st.none(), CHANGED), min_size=1, max_size=4),
).map(lambda both: [*both[0], *(move for pair in both[1] for move in pair if move is not None)])


def live(world: World, move: Any, forget: Callable[[Store], None]) -> None:
    """One move in this world; before a change of terms `forget` is called."""
    if isinstance(move, int):
        forget(world.store)
        world.follow(more_variants()[move])
    elif move in ("day", "fortnight"):
        forget(world.store)
        world.pass_time(timedelta(days=1 if move == "day" else 14))
    elif move[0] in ("withdraw", "doubt"):
        disturb(world, *move)
    else:
        world.give(move[0], *move[1])


def disturb(world: World, move: str, which: int) -> None:
    """One of the statements there are is taken back by its giver, or doubted from now on."""
    s = tables.statement.c
    with world.store.reading() as tx:
        rows = tx.execute(select(s.seq, s.stix_id, s.peer).where(s.source != NOTICES).order_by(s.seq)).all()
    row = rows[which % len(rows)]
    if move == "withdraw":
        mine = [a for a in world.rules.audiences if row.peer in a.members and a.channel == f"collection:{SHARED}"]
        for audience in mine:
            withdraw(
                world.store, world.rules, peer=row.peer, audience=audience.key, stix_id=row.stix_id,
                versions=Versions(every=True), now=world.now,
            )  # fmt: skip
    else:
        with world.store.writing() as tx:
            tx.execute(update(tables.statement).where(s.seq == row.seq).values(doubt="doubt.warninglist"))
            terms_module.Lister(tx, world.rules, world.now).relist([row.stix_id])


@settings(max_examples=60)
@given(moves=MOVES, step=st.sampled_from([1, 3, 500]))
def test_r35_by_classes_the_same_is_listed(pair: tuple[Store, Store], moves: list[Any], step: int) -> None:
    """Row for row but for dates: what classes give, in steps of any size, is what deciding each by itself gives."""
    one, other = World(emptied(pair[0])), World(emptied(pair[1]))
    plain = stages.STEP, stages.FEWEST
    for move in moves:
        stages.STEP, stages.FEWEST = step, 1
        try:
            live(one, move, lambda store: None)
        finally:
            stages.STEP, stages.FEWEST = plain
        live(other, move, forget_terms)
        assert as_sets(open_rows(one.store)) == as_sets(open_rows(other.store))
        assert waiting_rows(one.store) == waiting_rows(other.store)


def six() -> list[dict[str, Any]]:
    """Objects that TLP:AMBER lets go and TLP:GREEN does not."""
    return [indicator(f"{number}.example", tlp=Tlp.AMBER) for number in range(6)]


def narrow() -> Terms:
    """GREEN goes to everybody."""
    return _sending(Tlp.GREEN)


def wide() -> Terms:
    """AMBER too."""
    return _sending(Tlp.AMBER)


def _sending(ceiling: Tlp) -> Terms:
    made = agreement("reseau", *PARTIES, receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=ceiling, onward=True))
    shelf = collection(SHARED, "partenaires", PARTIES, ceiling=Tlp.AMBER)
    return terms(agreements=[made], shelf=shelf)


def test_both_ways_on_every_engine(store: Store) -> None:
    """What is given again comes again behind the rest, dates unique and rising; what is taken is told."""
    world = World(store, narrow())
    green = [indicator(f"green{number}.example") for number in range(3)]
    world.give("ccc/x", *six(), *green)
    assert world.listed("circl") == [item["id"] for item in green]
    assert world.follow(wide()) == 6
    assert world.listed("circl") == [item["id"] for item in (*green, *six())]
    assert world.follow(narrow()) == 6
    assert world.listed("circl") == [item["id"] for item in green]
    assert len(world.listed("circl", recalls=True)) == 9
    world.follow(wide())
    assert len(world.listed("circl", recalls=True)) == 9
    for rows in open_rows(store, dates=True).values():
        assert all(before[-1] < after[-1] for before, after in pairwise(rows))


def test_r35_what_does_not_change_is_not_looked_at(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms that decide as before: no statement is decided again; and of others only those that they are about."""
    world = World(memory, narrow())
    world.give("ccc/x", *six(), indicator("green.example"))
    asked: list[str] = []
    plain = Giving.give

    def watched(step: Giving, special: Any, gained: Any, moved: Any) -> int:
        asked.extend([*special, *gained, *moved])
        return plain(step, special, gained, moved)

    monkeypatch.setattr(Giving, "give", watched)
    other = replace(narrow(), peers={**narrow().peers, "circl": replace(narrow().peers["circl"], contact="x")})
    assert world.follow(other) == 0
    assert asked == []
    world.follow(wide())
    assert asked == [item["id"] for item in six()]


def shut(store: Store) -> set[str]:
    """The channels of the audiences that answer 503."""
    with store.reading() as tx:
        rows = audiences.everyone(tx).values()
        return {row.channel for row in rows if not row.open and not row.retired}


def test_r19_only_who_loses_is_shut_and_only_until_it_is_taken(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One collection becomes narrower and another wider: the one is shut until it is taken, the other reads on."""
    other = "7e1d0f2a-5b44-4c0e-8b1d-2f6a9c3e4d55"
    shelves = {
        ceiling: {
            "one": collection(SHARED, "un", PARTIES, ceiling=ceiling),
            "other": collection(other, "autre", PARTIES, ceiling=Tlp.GREEN if ceiling == Tlp.AMBER else Tlp.AMBER),
        }
        for ceiling in (Tlp.AMBER, Tlp.GREEN)
    }
    before, after = (
        replace(wide(), collections={c.id: c for c in shelves[t].values()}) for t in (Tlp.AMBER, Tlp.GREEN)
    )
    world = World(memory, before)
    world.give("ccc/x", *six())
    seen: list[tuple[str, set[str]]] = []
    for kind, name in ((Taking, "take"), (Giving, "give")):
        plain = getattr(kind, name)

        def watched(step: Any, *given: Any, plain: Any = plain, name: str = name) -> int:
            rows = audiences.everyone(step.tx).values()
            seen.append((name, {row.channel for row in rows if not row.open and not row.retired}))
            found: int = plain(step, *given)
            return found

        monkeypatch.setattr(kind, name, watched)
    world.follow(after)
    assert seen == [("take", {f"collection:{SHARED}"}), ("give", set())]
    assert world.listed("circl") == []
    assert len(world.listed("circl", other)) == 6


@pytest.mark.parametrize("kind", ["take", "give"])
def test_a_change_that_was_killed_goes_on(memory: Store, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Killed between steps and begun again: the listings, dates and order are those of one that was not."""
    ways = (narrow(), wide()) if kind == "give" else (wide(), narrow())
    found = []
    monkeypatch.setattr(stages, "STEP", 2)
    monkeypatch.setattr(stages, "FEWEST", 1)
    for killed in (False, True):
        world = World(emptied(memory), ways[0])
        world.give("ccc/x", *six(), indicator("green.example"))
        if killed:
            with monkeypatch.context() as patched:
                patched.setattr(Giving if kind == "give" else Taking, kind, _killed_at_third(kind))
                with pytest.raises(StoreError):
                    world.follow(ways[1])
            assert shut(memory) == ({f"collection:{SHARED}"} if kind == "take" else set())
        world.follow(ways[1])
        assert shut(memory) == set()
        found.append((open_rows(memory, dates=True), world.listed("circl", recalls=True)[:1]))
    assert found[0] == found[1]


def _killed_at_third(kind: str) -> Callable[..., int]:
    plain: Any = getattr(Giving if kind == "give" else Taking, kind)
    calls = []

    def killed(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 3:
            raise StoreError("store.failed", detail="killed")
        found: int = plain(*arguments)
        return found

    return killed


def test_r18_writers_go_on_and_decide_by_the_new_terms(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two steps a page comes in: it is listed by the new terms, once, and so is what the steps still give."""
    world = World(memory, narrow())
    world.give("ccc/x", *six())
    monkeypatch.setattr(stages, "STEP", 2)
    monkeypatch.setattr(stages, "FEWEST", 1)
    plain, count = stages._given, iter(range(99))

    def between(*arguments: Any) -> Any:
        number = next(count)
        if number < 3:
            world.give("ccc/x", indicator(f"new{number}.example", tlp=Tlp.AMBER))
            world.give("cert-ee/x", {**six()[5 - number], "name": f"of another {number}"})
        return plain(*arguments)

    monkeypatch.setattr(stages, "_given", between)
    world.follow(wide())
    listed = world.listed("circl")
    assert len(listed) == len(set(listed)) == 9
    forget_terms(memory)
    stood = as_sets(open_rows(memory))
    world.follow(replace(wide(), node_identity=CCC_IDENTITY))
    assert as_sets(open_rows(memory)) == stood


def test_what_is_listed_while_the_losers_are_looked_for(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that comes in by the old terms just before the new ones hold: it is taken in that very transaction."""
    world = World(memory, wide())
    plain = terms_module._losers

    def meanwhile(store: Store, shift: Any) -> Any:
        found = plain(store, shift)
        accepting.give("ccc/x", *six())
        return found

    accepting = World(memory, wide())
    monkeypatch.setattr(terms_module, "_losers", meanwhile)
    monkeypatch.setattr(terms_module, "pursue", lambda *_: 0)
    world.follow(narrow())
    assert world.listed("circl") == []
    assert shut(memory) == set()


def test_r35_what_a_class_says_all_of_is_taken_without_a_look(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed with the reason of the class, and told; what another source states too is judged by itself."""
    world = World(memory, wide())
    items = six()
    world.give("ccc/x", *items)
    world.give("cert-ee/x", {**items[4], "name": "of another", "modified": SOON})
    judged, plain = [], Taking._taken

    def watched(step: Taking, stix_ids: Any, whom: Any) -> Any:
        judged.extend(ids := list(stix_ids))
        return plain(step, ids, whom)

    monkeypatch.setattr(Taking, "_taken", watched)
    world.follow(narrow())
    assert judged == [items[4]["id"]]
    assert world.listed("circl") == []
    row = tables.listing.c
    with memory.reading() as tx:
        ended = select(row.closed_code).where(row.closed.is_not(None)).distinct()
        assert set(tx.execute(ended).scalars()) == {"agreement.ceiling"}
    about = [found[0] for found in _read(memory, world)]
    assert about == [item["id"] for item in items], "in the order of what went, whichever way it went"


def test_what_comes_between_the_look_and_the_step_is_seen(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second statement about an id, GREEN, comes after it was found to be alone and refused: it stands."""
    world = World(memory, wide())
    items = six()
    world.give("ccc/x", *items)
    look, write, due = stages.affected, memory.writing, []

    def looked(*arguments: Any) -> Any:
        found = look(*arguments)
        if len(arguments) == 6 and not due:
            due.extend((True, False))
        return found

    def writing() -> Any:
        if due and due[0]:
            due[0] = False
            world.give("cert-ee/x", marked({**items[2], "name": "of another", "modified": SOON}, Tlp.GREEN))
        return write()

    monkeypatch.setattr(stages, "affected", looked)
    monkeypatch.setattr(memory, "writing", writing)
    world.follow(narrow())
    stood = as_sets(open_rows(memory))
    assert world.listed("circl") == [items[2]["id"]]
    forget_terms(memory)
    world.follow(replace(narrow(), node_identity=CCC_IDENTITY))
    assert as_sets(open_rows(memory)) == stood


SOON = "2026-11-21T12:00:30.000Z"


def test_r35_no_step_walks_all_that_an_audience_reads(memory: Store) -> None:
    """SQLite begins with the statements of the step, however long the listings are."""
    asked = (classes._LISTED, listings._OF_STATEMENTS, listings._STANDING, notices._OPEN, notices._OPEN_THERE)
    with memory.reading() as tx:
        driver: Any = tx.connection.driver_connection
        for each in asked:
            prepared = each._prepared(tx)
            rows = driver.execute(f"EXPLAIN QUERY PLAN {prepared.sql}", [None] * len(prepared.names or ())).fetchall()
            plan = [row[-1] for row in rows if "listing" in row[-1]]
            assert plan and all("ix_listing_seq (seq=?)" in step for step in plan), plan


def test_r14_the_order_tells_nothing_of_what_is_hidden(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden statements about the same ids and others, before and between: the same dates and notices, in order."""
    monkeypatch.setattr(stages, "STEP", 2)
    monkeypatch.setattr(stages, "FEWEST", 1)
    found = []
    for hidden in (False, True):
        world = World(emptied(memory), narrow())
        for number, item in enumerate(six()):
            if hidden:
                secret = {**marked(six()[5 - number], Tlp.RED), "name": "hidden"}
                world.give("maison/z", secret, report(item, name=f"r{number}", tlp=Tlp.RED))
            world.give("ccc/x", item)
        told = []
        for change in (wide(), narrow(), wide()):
            world.follow(change)
            told.append(_read(memory, world))
        found.append(told)
    assert found[0] == found[1]
    assert [row[0] for row in found[0][0]] == [item["id"] for item in six()]


def _read(store: Store, world: World) -> list[Row]:
    """What circl reads in order: the object, or the object that a notice is about, and its date."""
    row, said, told = tables.listing.c, tables.statement.c, tables.notice.c
    with store.reading() as tx:
        audience = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert audience is not None
        about = {found.seq: found.stix_id for found in tx.execute(select(told.seq, told.stix_id))}
        query = (
            select(row.seq, said.stix_id, row.added)
            .join(tables.statement, said.seq == row.seq)
            .where(row.audience == audience.number, row.closed.is_(None))
            .order_by(row.added)
        )
        return [(about.get(seq, stix_id), seq in about, added) for seq, stix_id, added in tx.execute(query)]


def test_r25_marks_are_of_the_bytes_and_of_this_gate(store: Store) -> None:
    """What no gate, or another edition of it, has read is read before anything of it is listed."""
    world = World(store, narrow())
    world.give("ccc/x", *six())
    s = tables.statement.c
    with store.writing() as tx:
        stamps = set(tx.execute(select(s.marks)).scalars())
        tx.execute(update(tables.statement).values(marks=None))
        tx.execute(update(tables.statement).where(s.seq == 2).values(marks=7))
    world.follow(wide())
    assert world.listed("circl") == [item["id"] for item in six()]
    with store.reading() as tx:
        assert set(tx.execute(select(s.marks)).scalars()) == stamps
    assert len(stamps) == 1


def test_r25_a_label_that_lies_is_stopped_by_the_marks(memory: Store) -> None:
    """Were the label of a whole class looser than its bytes, none of it would be listed."""
    world = World(memory, narrow())
    world.give(
        "ccc/x", *(indicator(f"{n}.example", tlp=Tlp.RED) for n in range(3)), indicator("b.example", tlp=Tlp.AMBER)
    )
    s = tables.statement.c
    with memory.writing() as tx:
        amber = tx.execute(select(s.label).where(s.seq == 4)).scalar_one()
        tx.execute(update(tables.statement).values(label=amber, stated=amber))
    world.follow(wide())
    assert world.listed("circl") == [indicator("b.example")["id"]]


def test_folded_listings_follow_too(store: Store) -> None:
    """R23: where twins fold, what a change of terms gives and takes is folded as what comes in is."""
    world = World(store, narrow())
    shelf = {FOLDED: collection(FOLDED, "faits", PARTIES, ceiling=Tlp.AMBER, duplicates="fold")}
    twins = [
        indicator("a.example", tlp=tlp, id_=f"indicator--0000000{n}-0000-4000-8000-000000000000")
        for n, tlp in enumerate((Tlp.AMBER, Tlp.GREEN, Tlp.AMBER))
    ]
    world.follow(replace(narrow(), collections=shelf))
    world.give("ccc/x", *twins)
    assert world.listed("circl", FOLDED) == [twins[1]["id"]]
    world.follow(replace(wide(), collections=shelf))
    assert world.listed("circl", FOLDED) == [twins[1]["id"]]
    with store.reading() as tx:
        folded = tx.execute(select(tables.listing.c.seq).where(tables.listing.c.folded)).all()
    assert len(folded) == 2
    world.follow(replace(narrow(), collections=shelf))
    assert world.listed("circl", FOLDED) == [twins[1]["id"]]


def test_terms_of_before_that_cannot_be_read_are_not_known(memory: Store) -> None:
    """What another release noted is no ground to leave anything as it stands: everything is decided by itself."""
    world = World(memory, narrow())
    world.give("ccc/x", *six())
    with memory.writing() as tx:
        noted = audiences.note(tx, "policy_terms")
        audiences.set_note(tx, "policy_terms", noted.replace('"ceiling":2', '"ceiling":"x"'))
        assert stages.before(tx) == []
        audiences.set_note(tx, "policy_terms", noted.replace('"purpose":"test"', '"purpose":"another"'))
        assert stages.before(tx) == []
        audiences.set_note(tx, "policy_terms", noted)
        assert [rules.epoch for rules in stages.before(tx)] == [world.rules.epoch]
        audiences.set_note(tx, "policy_terms", noted.replace('"purpose":"test"', '"purpose":"another"'))
    world.follow(wide())
    assert len(world.listed("circl")) == 6


def test_r35_a_class_holds_all_that_a_decision_asks_of_a_statement() -> None:
    """Who gives a statement a column says here whether decisions rest on it: then it belongs to the keys of classes."""
    asked = {*classes.KEY, "waiting", "touch", "withdrawn", "copied", "source", "newest", "version"}
    asked |= {"parts", "personal", "victim", "approved"}  # what has one of these is decided by itself
    of_no_decision = {
        "seq", "stix_id", "precision", "digest", "fact", "stated", "marked", "basis", "repairs", "received", "event",
        "attributes", "block", "start", "stop",
    }  # fmt: skip
    assert asked | of_no_decision == set(Held.__struct_fields__)
