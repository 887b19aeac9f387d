"""When the terms change: audiences, listings and defaults follow; and what is listed never depends on the way there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import StoreError, StoreOutdated
from exchange.model import stix
from exchange.model.marking import Label, Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.policy import Rules, Subject
from exchange.store import Store, audiences, listings, micros, notices, open_store, pages, statements, tables
from exchange.sync import stages
from exchange.sync import terms as terms_module
from exchange.sync.passes import Taking
from exchange.sync.terms import adopt, follow, pursue
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NOW,
    SHARED,
    World,
    agreement,
    collection,
    emptied,
    indicator,
    malware,
    marked,
    page,
    relationship,
    report,
    terms,
)

LATER = NOW + timedelta(minutes=1)
PARTIES = ("ccc", "cert-ee", "circl")
OTHERS = "7e1d0f2a-5b44-4c0e-8b1d-2f6a9c3e4d55"


def network(*parties: str, receive: Tlp = Tlp.AMBER, send: Tlp = Tlp.GREEN, **more: Any) -> Terms:
    """One agreement of these parties."""
    unmarked = more.pop("unmarked", None)
    made = agreement(
        "reseau", *parties, receive=Receive(ceiling=receive, unmarked=unmarked), send=Send(ceiling=send), **more
    )
    return terms(agreements=[made])


def rows(store: Store) -> dict[tuple[str, tuple[str, ...]], audiences.AudienceRow]:
    """(channel, members) → audience row, of those that are not retired."""
    with store.reading() as tx:
        found = audiences.everyone(tx).values()
    return {(row.channel, row.members): row for row in found if not row.retired}


def closings(store: Store) -> list[str]:
    """The reasons of every listing that was closed."""
    with store.reading() as tx:
        query = tables.listing.select().where(tables.listing.c.closed.is_not(None))
        return [row.closed_code for row in tx.execute(query)]


def added(world: World, peer: str = "circl") -> dict[str, int]:
    """Id → date_added of what `peer` reads in the shared collection."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, peer, f"collection:{SHARED}")
        assert row is not None
        query = pages.Query(now=micros(world.now), limit=10_000)
        return {found.stix_id: found.added for found in pages.index(tx, row.number, query).entries}


def test_audiences_are_made_of_the_terms(memory: Store) -> None:
    """R1: one audience for each class of readers of each collection and for each target, and all are open."""
    World(memory)
    assert set(rows(memory)) == {
        (f"collection:{SHARED}", PARTIES),
        (f"collection:{FOLDED}", ("ccc", "cert-ee")),
        ("target:ccc/depot", ("ccc",)),
    }
    assert all(row.open for row in rows(memory).values())


def test_an_audience_that_the_terms_no_longer_make_is_shut_for_good(memory: Store) -> None:
    """A collection that is gone: its audience retires, its listings are closed with the reason."""
    world = World(memory, terms(others=collection(OTHERS, "autres", ("circl",))))
    world.give("ccc/x", indicator())
    assert len(world.listed("circl", OTHERS)) == 1
    world.follow(terms())
    assert (f"collection:{OTHERS}", ("circl",)) not in rows(memory)
    assert closings(memory) == ["audience.retired"]
    with memory.reading() as tx:
        assert audiences.of_reader(tx, "circl", f"collection:{OTHERS}") is None


def test_an_audience_that_comes_back_goes_on_where_it_was(memory: Store) -> None:
    """R20: reopened, it lists everything anew behind its last `date_added`, so that no reader misses it."""
    with_others = terms(others=collection(OTHERS, "autres", ("circl",)))
    world = World(memory, with_others)
    world.give("ccc/x", indicator())
    before = rows(memory)[f"collection:{OTHERS}", ("circl",)]
    world.follow(terms())
    world.follow(with_others)
    after = rows(memory)[f"collection:{OTHERS}", ("circl",)]
    assert (after.key, after.open) == (before.key, True)
    assert after.last_added > before.last_added
    assert len(world.listed("circl", OTHERS)) == 1


def test_a_new_member_joins_the_audience_that_is_there(memory: Store) -> None:
    """R1: adding a party and reader keeps key and listings; the new member reads what the others read."""
    few = network("cert-ee", "circl", "ccc")
    few = replace(few, collections={SHARED: collection(SHARED, "partenaires", ("cert-ee", "circl"))})
    world = World(memory, few)
    world.give("ccc/x", indicator())
    before, stood = rows(memory)[f"collection:{SHARED}", ("cert-ee", "circl")], added(world)
    many = replace(few, collections={SHARED: collection(SHARED, "partenaires", PARTIES)})
    world.follow(many)
    assert rows(memory)[f"collection:{SHARED}", PARTIES].key == before.key
    assert added(world, "ccc") == stood


def test_r1_a_single_reader_that_gets_company_gets_its_own_objects_too(memory: Store) -> None:
    """R1, R3: never-back holds for an audience of one; when it grows, everything is decided again."""
    alone = replace(network(*PARTIES), collections={SHARED: collection(SHARED, "partenaires", ("ccc",))})
    world = World(memory, alone)
    world.give("ccc/x", indicator())
    assert world.listed("ccc") == []
    world.follow(replace(alone, collections={SHARED: collection(SHARED, "partenaires", ("ccc", "circl"))}))
    assert world.listed("ccc") == world.listed("circl") == [indicator()["id"]]
    world.follow(alone)
    assert world.listed("ccc") == []
    assert closings(memory) == ["origin.returns"]


def test_r19_renewal_keeps_the_listings(memory: Store) -> None:
    """R19: an agreement that ended and is renewed resumes the same listings with the same `date_added`."""
    ending = network(*PARTIES, end=date(2026, 11, 30))
    world = World(memory, ending)
    world.give("ccc/x", indicator())
    stood = added(world)
    world.pass_time(timedelta(days=30))
    assert world.listed("circl") == []
    world.follow(network(*PARTIES, end=date(2027, 11, 30)))
    assert world.listed("circl") == [indicator()["id"]]
    assert added(world) == stood
    assert closings(memory) == []


def two(wide: date, narrow: date = date(2027, 12, 31), later: date | None = None) -> Terms:
    """Two agreements of the same partners, a wide one and a narrow one, and perhaps the successor of the wide one."""
    giver = agreement("donneur", "ccc", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.CLEAR, onward=True))
    made = [
        agreement("large", *PARTIES, send=Send(ceiling=Tlp.AMBER), end=wide),
        agreement("etroite", *PARTIES, send=Send(ceiling=Tlp.GREEN), end=narrow),
        giver,
    ]
    if later is not None:
        made.append(agreement("suite", *PARTIES, send=Send(ceiling=Tlp.AMBER), start=later, end=LAST))
    both = collection(SHARED, "partenaires", PARTIES, ceiling=Tlp.AMBER)
    return replace(terms(agreements=made), collections={SHARED: both})


NOVEMBER, DECEMBER, LAST = date(2026, 11, 30), date(2026, 12, 15), date(2027, 12, 31)
AMBER, GREEN = indicator("amber.example", tlp=Tlp.AMBER), indicator("green.example")


def read_past(memory: Store, narrow: date = LAST) -> tuple[World, dict[str, int]]:
    """The wide agreement has ended; a reader's mark stands behind what only it permitted. The dates before that."""
    world = World(memory, two(NOVEMBER, narrow))
    world.give("ccc/x", AMBER)
    world.give("ccc/x", GREEN)
    before = added(world)
    assert before.keys() == {AMBER["id"], GREEN["id"]}
    world.pass_time(timedelta(days=13))
    assert added(world) == {GREEN["id"]: before[GREEN["id"]]}
    return world, before


def test_r19_what_was_read_past_is_listed_anew(memory: Store) -> None:
    """R19, R20: of two agreements one ended and is renewed; who read on meanwhile still gets what it permits."""
    world, before = read_past(memory)
    world.follow(two(LAST))
    after = added(world)
    assert after[GREEN["id"]] == before[GREEN["id"]]
    assert after[AMBER["id"]] > before[GREEN["id"]]
    assert closings(memory) == ["agreement.resumed"]


@pytest.mark.parametrize(
    "way",
    [
        pytest.param([two(NOVEMBER, NOVEMBER), two(LAST)], id="the other is ended from the same day on, afterwards"),
        pytest.param([two(date(2026, 12, 2), DECEMBER), two(LAST)], id="its end is corrected first"),
        pytest.param([two(NOVEMBER, DECEMBER, date(2026, 12, 3)), two(NOVEMBER, LAST)], id="a successor has begun"),
    ],
)
def test_r20_however_the_terms_come_about(memory: Store, way: list[Terms]) -> None:
    """What was readable is a fact of the listings, not of the terms that came before: nobody misses anything."""
    world, before = read_past(memory, DECEMBER)
    world.pass_time(timedelta(days=30))
    for changed in way:
        world.follow(changed)
        world.pass_time(timedelta(days=1))
    after = added(world)
    assert after.get(AMBER["id"], before[GREEN["id"]] + 1) > before[GREEN["id"]]


@pytest.mark.parametrize("begins", [date(2026, 12, 1), date(2027, 1, 10)])
def test_r19_a_successor_keeps_the_listings(memory: Store, begins: date) -> None:
    """R19: from one agreement to the next, at once or after a gap in which nobody could read, every date stays."""
    given = two(NOVEMBER, NOVEMBER, begins)
    world = World(memory, given)
    world.give("ccc/x", AMBER)
    world.give("ccc/x", GREEN)
    before = added(world)
    for _ in range(60):
        world.pass_time(timedelta(days=1))
    assert added(world) == before
    assert closings(memory) == []


def test_r20_a_crash_in_the_middle_of_it(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found when the terms began to change still holds when they are adopted again."""
    world, before = read_past(memory)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(terms_module, "pursue", broken)
        world.follow(two(NOVEMBER, NOVEMBER))
    world.follow(two(LAST))
    assert added(world)[AMBER["id"]] > before[GREEN["id"]]


def broken(*_: Any) -> int:
    """A process that dies."""
    raise RuntimeError


def test_renewal_before_the_end_keeps_the_listings_too(memory: Store) -> None:
    """R19: prolonging moves `not_after` and nothing else; it is no change that a reader sees."""
    world = World(memory, network(*PARTIES, end=date(2026, 11, 30)))
    world.give("ccc/x", indicator())
    stood = added(world)
    assert world.follow(network(*PARTIES, end=date(2028, 1, 1))) == 0
    world.pass_time(timedelta(days=300))
    assert world.listed("circl") == [indicator()["id"]]
    assert added(world) == stood


def test_shortening_an_agreement_ends_it_earlier(memory: Store) -> None:
    """R19: a new last day holds at once for what is listed already."""
    world = World(memory, network(*PARTIES, end=date(2027, 11, 30)))
    world.give("ccc/x", indicator())
    world.follow(network(*PARTIES, end=date(2026, 11, 21)))
    assert len(world.listed("circl")) == 1
    world.pass_time(timedelta(hours=12))
    assert world.listed("circl") == []


def test_tightening_closes_with_the_reason_and_loosening_lists(memory: Store) -> None:
    """A lower ceiling takes out what is above it, saying why; a higher one lists it again, behind the rest."""
    world = World(memory, network(*PARTIES, send=Tlp.GREEN))
    world.give("ccc/x", indicator("clear.example", tlp=Tlp.CLEAR), indicator("green.example", tlp=Tlp.GREEN))
    stood = added(world)
    assert len(stood) == 2
    changed = world.follow(network(*PARTIES, send=Tlp.CLEAR))
    assert world.listed("circl") == [indicator("clear.example")["id"]]
    assert set(closings(memory)) == {"agreement.ceiling"}
    assert changed == len(closings(memory)) == 2
    world.follow(network(*PARTIES, send=Tlp.GREEN))
    again = added(world)
    assert again[indicator("clear.example")["id"]] == stood[indicator("clear.example")["id"]]
    assert again[indicator("green.example")["id"]] > max(stood.values())


def test_a_changed_default_is_worth_for_what_is_held(memory: Store) -> None:
    """R11: the agreement's default holds for what came before, when it is given and when it is taken away."""
    world = World(memory, network(*PARTIES))
    world.give("ccc/x", indicator(tlp=None), indicator("marked.example"))
    assert world.listed("circl") == [indicator("marked.example")["id"]]
    world.follow(network(*PARTIES, unmarked=Tlp.CLEAR))
    assert len(world.listed("circl")) == 2
    world.follow(network(*PARTIES, unmarked=Tlp.AMBER))
    assert world.listed("circl") == [indicator("marked.example")["id"]]
    world.follow(network(*PARTIES, unmarked=Tlp.GREEN))
    assert len(world.listed("circl")) == 2
    world.follow(network(*PARTIES))
    assert world.listed("circl") == [indicator("marked.example")["id"]]


def test_adopting_the_same_terms_again_costs_one_read(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second adopt changes nothing, writes nothing, and reads once."""
    world = World(memory)
    world.give("ccc/x", indicator())
    before, commits, reads = added(world), memory.commits, []
    plain = Store.reading

    @contextmanager
    def counted(store: Store) -> Iterator[Any]:
        reads.append(1)
        with plain(store) as tx:
            yield tx

    monkeypatch.setattr(Store, "reading", counted)
    assert adopt(memory, Rules(terms(), NOW + timedelta(hours=1)), NOW + timedelta(hours=1)) == 0
    assert (memory.commits, reads) == (commits, [1])
    monkeypatch.undo()
    assert added(world) == before


def crash_at_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of two statements; the second one in which something is taken breaks, once."""
    plain, calls = Taking.take, []

    def crashing(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise StoreError("store.failed", detail="killed")
        return plain(*arguments)

    monkeypatch.setattr(stages, "STEP", 2)
    monkeypatch.setattr(stages, "FEWEST", 1)
    monkeypatch.setattr(Taking, "take", crashing)


def test_r19_while_deciding_the_audiences_are_shut_and_a_crash_leaves_them_so(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R19: a crash in the middle leaves who loses something shut; the next adopt of the terms finishes and opens."""
    world = World(memory, network(*PARTIES, send=Tlp.GREEN))
    world.give("ccc/x", *(indicator(f"{n}.example", tlp=Tlp.GREEN) for n in range(6)))
    crash_at_second(monkeypatch)
    stricter = network(*PARTIES, send=Tlp.CLEAR)
    with pytest.raises(StoreError):
        world.follow(stricter)
    assert {channel for (channel, _), row in rows(memory).items() if row.open} == {"target:ccc/depot"}
    assert world.follow(stricter) > 0
    assert [row.open for row in rows(memory).values()] == [True] * 3
    assert world.listed("circl") == []
    assert world.follow(stricter) == 0


def test_a_crash_and_then_the_old_terms_again(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back after a crash in the middle is a change like any other: nothing stays shut or half decided."""
    world = World(memory)
    objects = [indicator(f"{n}.example") for n in range(6)]
    world.give("ccc/x", *objects)
    crash_at_second(monkeypatch)
    with pytest.raises(StoreError):
        world.follow(network(*PARTIES, send=Tlp.CLEAR))
    world.follow(terms())
    assert set(world.listed("circl")) == {item["id"] for item in objects}
    assert all(row.open for row in rows(memory).values())


@pytest.mark.parametrize("at", [2, 3, 4])
def test_r19_terms_that_come_back_are_not_taken_for_those_of_before(
    memory: Store, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Whoever pursues terms, and slept while others were followed and these came back, does not end their pursuit."""
    sends = Send(ceiling=Tlp.CLEAR, types=frozenset({"malware"})), Send(ceiling=Tlp.CLEAR), Send(ceiling=Tlp.GREEN)
    little, mine, wide = (
        terms(agreements=[agreement("reseau", *PARTIES, receive=Receive(ceiling=Tlp.GREEN), send=send)])
        for send in sends
    )
    world, rules = World(memory, little), Rules(mine, NOW)
    tlps = [Tlp.GREEN, Tlp.CLEAR, Tlp.GREEN, Tlp.CLEAR, Tlp.GREEN, Tlp.CLEAR]
    world.give("ccc/x", *(indicator(f"{n}.example", tlp=tlp) for n, tlp in enumerate(tlps)))
    monkeypatch.setattr(stages, "STEP", 1)
    monkeypatch.setattr(stages, "FEWEST", 1)
    monkeypatch.setattr(stages, "_LOOK", 1)
    calls: list[int] = []

    def clock() -> datetime:
        calls.append(1)
        if len(calls) == at:
            adopt(memory, Rules(wide, NOW), NOW)
            assert len(world.listed("circl")) == len(tlps)
            follow(memory, rules, NOW)
        return NOW

    follow(memory, rules, NOW)
    with suppress(StoreOutdated):
        pursue(memory, rules, clock)
    assert len(calls) >= at
    pursue(memory, rules, lambda: NOW)
    assert all(row.open for row in rows(memory).values())
    assert set(world.listed("circl")) == {indicator(f"{n}.example")["id"] for n in (1, 3, 5)}


def test_steps_do_not_matter(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided in steps of one statement or all at once: the same is listed."""
    world = World(memory, terms(unmarked=None))
    bad, family = indicator(tlp=None), malware("m", tlp=Tlp.CLEAR)
    world.give("ccc/x", bad, family, relationship(bad, family), report(bad, family))
    world.give("circl/y", marked(indicator("b.example"), Tlp.GREEN), indicator(tlp=Tlp.CLEAR))
    world.follow(terms(unmarked=Tlp.GREEN))
    whole = set(world.listed("cert-ee"))
    world.follow(terms(unmarked=None))
    monkeypatch.setattr(stages, "STEP", 1)
    world.follow(terms(unmarked=Tlp.GREEN))
    assert set(world.listed("cert-ee")) == whole


def test_new_sources_and_targets_are_due_at_once(memory: Store) -> None:
    """What the terms name for the first time has a place in the schedule; the others keep theirs."""
    World(memory)
    with memory.reading() as tx:
        keys = {row.key for row in tx.execute(tables.source.select())}
    assert keys == {"ccc/depot"}


# What follows is the property: whatever the way, the listings are what deciding everything from scratch would give.

UNKNOWN = "marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"
MARKS: list[Tlp | str | None] = [None, None, Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED, UNKNOWN]
SOURCES = ("ccc/a", "cert-ee/b", "circl/c", "maison/d")
KINDS = ("bad", "worse", "family", "link", "digest")


def made_object(kind: str, version: int, mark: Tlp | str | None, owned: bool, revoked: bool) -> dict[str, Any]:
    """One version of one of a handful of objects that refer to each other."""
    when = NOW - timedelta(days=1) + timedelta(seconds=version)
    bad, family = indicator("bad.example"), malware("family")
    base = {
        "bad": lambda: indicator("bad.example", tlp=None),
        "worse": lambda: indicator("bad.example", tlp=None, id_=f"indicator--{uuid.uuid5(uuid.NAMESPACE_DNS, 'w')}"),
        "family": lambda: malware("family", tlp=None),
        "link": lambda: relationship(bad, family),
        "digest": lambda: report(bad, family, tlp=None),
    }[kind]()
    base |= {"modified": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "description": f"{kind} {version}"}
    if owned:
        base["created_by_ref"] = CCC_IDENTITY
    if revoked:
        base["revoked"] = True
    if mark is not None:
        return {**base, "object_marking_refs": [mark]} if isinstance(mark, str) else marked(base, mark)
    return base


def variants() -> list[Terms]:
    """Terms that differ in ceilings, defaults, parties, readers, types and what they ignore."""
    receive = Receive(ceiling=Tlp.AMBER)
    ignoring = replace(receive, unmarked=Tlp.GREEN, informational_markings=frozenset({UNKNOWN}))
    two = [
        agreement("a", *PARTIES, receive=replace(receive, unmarked=Tlp.CLEAR), send=Send(ceiling=Tlp.CLEAR)),
        agreement("b", "circl", "ccc", send=Send(ceiling=Tlp.AMBER, types=frozenset({"indicator"}), onward=True)),
        agreement("later", "cert-ee", start=date(2027, 1, 1), send=Send(ceiling=Tlp.RED)),
    ]
    house = collection(OTHERS, "maison", ("maison", "circl"), ceiling=Tlp.RED)
    return [
        terms(),
        terms(unmarked=Tlp.GREEN),
        terms(agreements=[agreement("a", *PARTIES, receive=ignoring, send=Send(ceiling=Tlp.AMBER))], house=house),
        terms(agreements=two, house=house),
        terms(agreements=[agreement("a", "circl", receive=receive, send=Send(ceiling=Tlp.GREEN))]),
    ]


@dataclass
class Said:
    """What the oracle remembers of one statement."""

    number: int
    source: str
    object: stix.StixObject
    stated: Label

    @property
    def peer(self) -> str:
        """Who gave it."""
        return self.source.partition("/")[0]


@dataclass
class Oracle:
    """Decides everything from scratch, in the simplest way there is. It shares only `parse` and `decide` with src."""

    said: dict[tuple[str, str, str], Said] = field(default_factory=dict)

    def hear(self, source: str, objects: Sequence[Mapping[str, Any]]) -> None:
        """The first content of a version stands; the stricter of two labels holds."""
        for item in page(*objects).objects:
            key = (source, item.id, item.version)
            before = self.said.get(key)
            if before is None:
                self.said[key] = Said(len(self.said), source, item, item.label)
            else:
                before.stated = before.stated.join(item.label)

    def newest(self, source: str, stix_id: str) -> Said:
        """The newest version of a source's chain."""
        return max((s for (s_, i, _), s in self.said.items() if (s_, i) == (source, stix_id)), key=_version)

    def worth(self, rules: Rules, said: Said) -> Label | None:
        """R10 to R12: own marks, else ends and loosest referrer, else the default."""
        own = rules.understood(said.peer, said.stated)
        holds = said.object.type in ("report", "grouping")
        if own.stated and not holds:
            return own
        others = {s.object.id: s for (source, _, _), s in self.said.items() if source == said.source}
        current = [self.newest(said.source, stix_id) for stix_id in others]
        labels = [(s, rules.understood(s.peer, s.stated)) for s in current]
        ends = [label for s, label in labels if s.object.id in said.object.ends and label.stated]
        around = [label for s, label in labels if said.object.id in s.object.refs and label.stated]
        found = [] if holds else list(ends)
        if own.stated:
            return _joined([own, *ends])  # R13: a container goes no further than what it holds
        if around:
            found.append(min(around, key=lambda label: (bool(label.unknown), -1 if label.tlp is None else label.tlp)))
        if not found:
            default = rules.default_label(said.peer)
            found = [] if default is None else [Label(tlp=default)]
        if not found:
            return None
        return _joined([*found, *ends] if holds else found)

    def listings(self, rules: Rules) -> set[tuple[str, str, str, bool]]:
        """(audience, id, version, is it what a plain request gets) of everything that is released."""
        found = set()
        for stix_id in {s.object.id for s in self.said.values()}:
            group = sorted((s for s in self.said.values() if s.object.id == stix_id), key=lambda s: s.number)
            for audience in rules.audiences:
                found |= {(audience.key, stix_id, *rest) for rest in self._for(rules, audience, group)}
        return found

    def _for(self, rules: Rules, audience: Any, group: list[Said]) -> Iterator[tuple[str, bool]]:
        """(version, whether it stands in front) of what this audience may have."""
        released = []
        spoken: dict[str, list[Subject]] = {}
        for said in group:
            owner = rules.owner(said.object.creator)
            if said.peer == owner:
                spoken.setdefault(owner, []).append(self._subject(rules, said, group))
        for said in group:
            owner = rules.owner(said.object.creator)
            owned = bool(owner) and any(s.peer == owner for s in group)
            theirs = said.peer == owner
            opinion = owned and not theirs
            subject = self._subject(rules, said, group)
            allowed = rules.decide(subject, audience).released
            if allowed and opinion and set(audience.members) != {owner}:
                above = Subject(peer=owner, type=said.object.type, label=subject.label)
                allowed = rules.decide(above, audience).released
            # Beside the words of who owns the creator that they name it is an opinion, whomever it names itself (R5).
            earlier = list(spoken)[: list(spoken).index(owner)] if theirs else [p for p in spoken if p != said.peer]
            beside = not opinion and any(
                {peer} == set(audience.members) or rules.decide(each, audience).lets_go
                for peer in earlier
                for each in spoken[peer]
            )
            if allowed and not (beside and said.object.revoked):
                released.append((said, -1 if beside else (1 if theirs else -1) if owned else None))
        first = next((said.source for said, rank in released if rank is None), None)
        ranks: dict[str, int] = {}
        for said, known_rank in released:
            rank = int(said.source == first) if known_rank is None else known_rank
            ranks[said.object.version] = max(rank, ranks.get(said.object.version, -1))
        if ranks:
            front = max(ranks, key=lambda version: (ranks[version], version))
            yield from ((version, version == front) for version in ranks)

    def _subject(self, rules: Rules, said: Said, group: list[Said]) -> Subject:
        owner = rules.owner(said.object.creator)
        owners = [s for s in group if s.peer == owner]
        opinion = bool(owners) and said.peer != owner
        labels = [self.worth(rules, said), self.worth(rules, self.newest(said.source, said.object.id))]
        labels += [self.worth(rules, max(owners, key=_version))] if opinion else []
        known = [label for label in labels if label is not None]
        label = _joined(known) if len(known) == len(labels) else None
        barred = self._barred(said, group, opinion)
        return Subject(peer=said.peer, type=said.object.type, label=label, owner=owner, barred=barred)

    def _barred(self, said: Said, group: list[Said], opinion: bool) -> str:
        if said.object.revoked and opinion:
            return "version.foreign_revocation"
        revoked = [s for s in group if s.source == said.source and s.object.revoked]
        if revoked and not said.object.revoked and said.object.version > min(s.object.version for s in revoked):
            return "version.after_revocation"
        return ""


def _joined(labels: Sequence[Label]) -> Label:
    whole = labels[0]
    for label in labels[1:]:
        whole = whole.join(label)
    return whole


def _version(said: Said) -> str:
    return said.object.version


def standing(store: Store) -> set[tuple[str, str, str, bool]]:
    """(audience, id, version, latest) of every listing that is open; recall notices tell of the way there."""
    with store.reading() as tx:
        ids = set(notices.others(statements.held(tx, {row.stix_id for row in tx.execute(tables.statement.select())})))
        keys = {row.number: row.key for row in audiences.everyone(tx).values()}
        return {(keys[row.audience], row.stix_id, row.version, row.latest) for row in listings.standing(tx, ids)}


OBJECTS = st.builds(
    made_object,
    st.sampled_from(KINDS),
    st.integers(1, 3),
    st.sampled_from(MARKS),
    owned=st.booleans(),
    revoked=st.sampled_from([False, False, False, True]),
)
GIVES = st.tuples(st.sampled_from(SOURCES), st.lists(OBJECTS, min_size=1, max_size=4))
STEPS = st.lists(GIVES | st.integers(0, 4), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """One store for all the examples of the properties: to make it anew costs more than an example."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


@settings(max_examples=30)
@given(steps=STEPS)
def test_the_listings_are_what_deciding_from_scratch_gives(shared: Store, steps: list[Any]) -> None:
    """After any sequence of pages and terms, what is listed is what `decide` says of every statement that is held."""
    store, oracle = emptied(shared), Oracle()
    world = World(store)
    for step in steps:
        if isinstance(step, int):
            world.follow(variants()[step])
        else:
            source, objects = step
            world.give(source, *objects)
            oracle.hear(source, objects)
        assert standing(store) == oracle.listings(world.rules)


@settings(max_examples=20)
@given(
    objects=st.lists(OBJECTS, min_size=2, max_size=6),
    random=st.randoms(use_true_random=False),
    variant=st.integers(0, 4),
)
def test_the_order_of_arrival_never_changes_what_is_listed(
    shared: Store, objects: list[dict[str, Any]], random: Any, variant: int
) -> None:
    """One source's objects, each version with one content: whole, one by one or shuffled, the same is listed."""
    distinct = {(item["id"], item["modified"]): item for item in objects}
    pieces = list(distinct.values())
    found = []
    for way in range(3):
        world = World(emptied(shared), variants()[variant])
        if way == 0:
            world.give("ccc/a", *pieces)
        else:
            random.shuffle(pieces)
            for item in pieces:
                world.give("ccc/a", item, last=way == 1)
            world.give("ccc/a")
        found.append(standing(shared))
    assert found[0] == found[1] == found[2]


@settings(max_examples=10)
@given(gives=st.lists(GIVES, min_size=1, max_size=4), order=st.permutations(range(5)))
def test_the_way_to_the_terms_does_not_matter(shared: Store, gives: list[Any], order: list[int]) -> None:
    """Terms adopted after many others list what they list in a store that never knew any others."""
    found = []
    for way in (order, order[-1:]):
        world = World(emptied(shared), variants()[way[0]])
        for source, objects in gives:
            world.give(source, *objects)
        for number in way:
            world.follow(variants()[number])
        found.append(standing(shared))
    assert found[0] == found[1]


def test_r9_a_version_that_comes_between_makes_the_touch_a_change(memory: Store) -> None:
    """R9: v3 equals v1, so it is a touch until v2, which differs, arrives: then readers must get v3 and not v2."""
    world = World(memory)
    first, third = indicator(name="one"), indicator(name="one", modified=LATER + timedelta(minutes=1))
    world.give("ccc/x", first)
    world.give("ccc/x", third)
    world.give("ccc/x", indicator(name="two", modified=LATER))
    with memory.reading() as tx:
        front = [row.version for row in listings.standing(tx, [first["id"]]) if row.latest]
    assert set(front) == {"2026-11-21T12:02:00.000000"}
