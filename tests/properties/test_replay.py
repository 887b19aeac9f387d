"""Whatever was given, applied, approved, withdrawn and lifted while time passed: a replay comes to what stands there.

The cases are those of `exchange policy prove`; between them somebody changes the terms, or what may go.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.policy import Rules
from exchange.store import Store, approvals, audiences, micros, offers, tables
from exchange.store.approvals import Word
from exchange.store.pages import Versions
from exchange.store.work import NODE, NOTICES
from exchange.sync.accept import accept
from exchange.sync.accounting import Asked
from exchange.sync.listing import Lister
from exchange.sync.proof.chance import Chance
from exchange.sync.proof.oracle import kinds_of
from exchange.sync.proof.words import page as brought
from exchange.sync.proof.words import source_of
from exchange.sync.replay import Replayed, replay
from exchange.sync.tracing import trace_of
from exchange.sync.withdrawal import withdraw
from exchange.sync.withdrawing import lift, named, withdraw_from_all
from tests.world import NOW, OPEN_WRITE, World, agreement, collection, emptied, terms

SECOND = timedelta(seconds=1)
SENDS = (
    {},
    {"attribution": "anonymous"},
    {"granular": "remove"},
    {"redact": frozenset({"description", "pattern"})},
    {"types": frozenset({"indicator", "malware"})},
    {"personal": "hold"},
    {"onward": True},
)


def under(ceiling: Tlp, unmarked: Tlp | None, send: int) -> Terms:
    """Two agreements of the partners, one of which takes more and gives less, and a room that two may write to."""
    takes = Receive(ceiling=Tlp.AMBER, unmarked=unmarked)
    made = (
        agreement("reseau", "ccc", "cert-ee", "circl", receive=takes, send=Send(ceiling=ceiling, **SENDS[send])),
        agreement("deux", "ccc", "circl", receive=Receive(ceiling=Tlp.RED), send=Send(ceiling=Tlp.GREEN)),
    )
    room = collection(OPEN_WRITE, "libre", ("ccc", "cert-ee"), writers=("ccc", "circl"), ceiling=Tlp.AMBER)
    return terms(agreements=made, libre=room)


class History:
    """A node to which things happen, a second apart; `seed`: which."""

    def __init__(self, store: Store, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (cases to try, no secret)
        self.world = World(emptied(store), self._terms())
        self.lifted: list[int] = []

    def happen(self) -> None:
        """One to three cases, and something after each."""
        for _ in range(self.random.randint(1, 3)):
            self._given()
            for _ in range(self.random.randint(0, 2)):
                self._pass(SECOND)
                self.random.choice((self._taken_back, self._withdrawn, self._lifted, self._approved))()
            chance = self.random.random()
            self._pass(SECOND)
            if chance < 0.5:
                self.world.follow(self._terms())
            elif chance < 0.6:
                self.world.pass_time(timedelta(days=500))
        self._pass(SECOND)

    def _terms(self) -> Terms:
        draw = self.random
        return under(draw.choice((Tlp.GREEN, Tlp.AMBER)), draw.choice((None, Tlp.GREEN)), draw.randrange(len(SENDS)))

    def _pass(self, by: timedelta) -> None:
        self.world.now += by
        self.world.rules = Rules(self.world.terms, self.world.now)

    def _given(self) -> None:
        world = self.world
        case = Chance(world.terms, NOW, self.random.randrange(10**9)).case()
        kinds = kinds_of(case)
        for move in case.moves:
            self._pass(SECOND)
            accept(
                world.store, world.rules, brought(move, kinds, NOW), source_of(move), move.giver, world.now,
                posted=move.posted,
            )  # fmt: skip

    def _said(self) -> tuple[str, str, str, str]:
        """(id, source, version, peer) of something that was given."""
        s = tables.statement.c
        with self.world.store.reading() as tx:
            query = select(s.stix_id, s.source, s.version, s.peer).where(s.peer != NODE).order_by(s.seq)
            found = [tuple(row) for row in tx.execute(query)]
        return self.random.choice(found) if found else ("", "", "", "")

    def _taken_back(self) -> None:
        """By who wrote it."""
        stix_id, _, version, peer = self._said()
        with self.world.store.reading() as tx:
            row = audiences.of_reader(tx, peer, f"collection:{OPEN_WRITE}")
        if row is not None:
            versions = self.random.choice((Versions(every=True), Versions(exact=frozenset({version}))))
            withdraw(
                self.world.store, self.world.rules, peer=peer, audience=row.key, stix_id=stix_id,
                versions=versions, now=self.world.now,
            )  # fmt: skip

    def _withdrawn(self) -> None:
        """By an operator."""
        stix_id, *_ = self._said()
        with self.world.store.reading() as tx:
            scope = named(tx, stix_id)
        if scope.targets:
            done = withdraw_from_all(
                self.world.store, self.world.rules, scope, who="a", why="b", clock=lambda: self.world.now
            )
            self.lifted.append(done.number)

    def _lifted(self) -> None:
        if self.lifted:
            number = self.lifted.pop()
            lift(self.world.store, self.world.rules, number, who="a", why="b", clock=lambda: self.world.now)

    def _approved(self) -> None:
        """By persons; and sometimes they think better of it."""
        stix_id, source, version, _ = self._said()
        code = self.random.choice(("receive.ceiling", "personal.review"))
        verdict = self.random.choice((approvals.APPROVED, approvals.APPROVED, approvals.UNDONE))
        word = Word(stix_id, source, version, code, "", verdict, "a", "b", micros(self.world.now))
        with self.world.store.writing() as tx:
            approvals.keep(tx, [word])
            Lister(tx, self.world.rules, self.world.now).relist([stix_id])

    def replayed(self) -> Replayed:
        """What a replay finds."""
        return replay(self.world.store, Asked(), self.world.now)


SEEDS = st.integers(0, 2**32)


@settings(suppress_health_check=[*HealthCheck])
@given(seed=SEEDS)
def test_r27_whatever_happened_a_replay_comes_to_what_stands_there(memory: Store, seed: int) -> None:
    """R17, R27: nothing differs, and there is nothing that cannot be decided again."""
    history = History(memory, seed)
    history.happen()
    found = history.replayed()
    assert (found.mismatches, found.unreplayable) == ([], {})


PARTNERS = ("ccc", "cert-ee", "circl")


@settings(suppress_health_check=[*HealthCheck])
@given(seed=SEEDS, late=st.integers(0, 12))
def test_what_is_told_of_a_past_moment_comes_out_again(memory: Store, seed: int, late: int) -> None:
    """`audience --at`, `why --at` and a replay say the same of what stood somewhere then."""
    history = History(memory, seed)
    history.happen()
    world, at = history.world, NOW + late * SECOND
    for peer in PARTNERS:
        with world.store.reading() as tx:
            seen = [each for each in offers.seen(tx, peer, micros(at)) if each[1].type != "note"]
        found = replay(world.store, Asked(peer=peer, since=micros(at), until=micros(at) + 1), world.now)
        assert found.whole and found.rows >= len(seen)
        for channel, place in seen[:3]:
            asked = place.original or place.stix_id
            told = trace_of(world.store, world.rules, asked, world.now, peer=peer, channel=channel, at=at, few=100)
            stays = [each.then.stay for each in told.traces if each.then is not None and each.then.stay is not None]
            # What was altered has its own id, and may have its own version.
            assert (place.stix_id, place.version, place.agreement) in {
                (stay.stix_id, stay.version, stay.agreement) for stay in stays
            }


@settings(suppress_health_check=[*HealthCheck])
@example(seed=394932, where="seq")  # what can be altered for nobody, put in as it is
@given(seed=SEEDS, where=st.sampled_from(["label", "agreement", "not_after", "seq"]))
def test_whatever_is_changed_by_hand_in_what_stands_is_found(memory: Store, seed: int, where: str) -> None:
    """The label, the agreement, the end, the statement that a row shows."""
    history = History(memory, seed)
    history.happen()
    world, row = history.world, tables.listing
    with world.store.writing() as tx:
        open_ = select(row).join(tables.statement, tables.statement.c.seq == row.c.seq)
        rows = tx.execute(
            open_.where(row.c.closed.is_(None), tables.statement.c.source != NOTICES).order_by(
                row.c.audience, row.c.added
            )
        ).all()
        if not rows:
            return
        one = history.random.choice(rows)
        other = tx.execute(
            select(tables.statement.c.seq).where(
                tables.statement.c.type != one.type, tables.statement.c.source != NOTICES
            )
        ).scalar()
        false = {"label": "4|0|", "agreement": "faux", "not_after": one.not_after - 1, "seq": other}
        if false[where] is None or one.label == false[where]:
            return
        here = (row.c.audience == one.audience, row.c.added == one.added)
        tx.execute(update(row).where(*here).values({where: false[where]}))
    assert not history.replayed().whole
