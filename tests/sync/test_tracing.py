"""Traces: what is told of an object and a partner is what stands in the listing, with all that led to it."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from exchange.cli.layout import axes
from exchange.cli.terminal import say
from exchange.model import benign
from exchange.model.envelope import Document, Page
from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.model.party import Expiry, Receive, Send
from exchange.policy import Rules
from exchange.serve.ledger import Ledger
from exchange.store import Store, approvals, audiences, micros, offers, sources, tables
from exchange.store.ledgers import hand
from exchange.store.pages import Versions
from exchange.store.work import NOTICES
from exchange.sync import accounting, altering
from exchange.sync.census import census_of
from exchange.sync.eventful import axes_of
from exchange.sync.explain import explain
from exchange.sync.showing import show
from exchange.sync.traced import Traced, Traces
from exchange.sync.tracing import channel_of, trace_of
from exchange.sync.withdrawal import withdraw
from exchange.sync.withdrawing import named, withdraw_from_all
from tests.contract.test_derived import under
from tests.sync.partners import ALERTS, MISP, Desk, Giver, Taker
from tests.sync.test_pull import EVENT, event
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NOW,
    OPEN_WRITE,
    SHARED,
    World,
    agreement,
    collection,
    emptied,
    indicator,
    malware,
    relationship,
    report,
    terms,
)

CHANNEL = f"collection:{SHARED}"


def told(world: World, asked: str, peer: str = "cert-ee", channel: str = CHANNEL, **more: Any) -> Traces:
    """What the operator is told."""
    return trace_of(world.store, world.rules, asked, world.now, peer=peer, channel=channel, **more)


def one(world: World, asked: str, peer: str = "cert-ee", channel: str = CHANNEL, **more: Any) -> Traced:
    """The only trace of an answer."""
    (found,) = told(world, asked, peer, channel, **more).traces
    return found


def read_by(world: World, account: str, peer: str, channel: str = CHANNEL, query: str = "objects?") -> None:
    """An account reads the whole listing."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, peer, channel)
        assert row is not None
        dates = [r.added for r in tx.execute(select(tables.listing).where(tables.listing.c.audience == row.number))]
        count = len(tx.execute(select(tables.listing).where(
            tables.listing.c.audience == row.number, tables.listing.c.closed.is_(None), tables.listing.c.latest,
            ~tables.listing.c.folded,
        )).all())  # fmt: skip
    Ledger(world.store).write(
        {
            "at": micros(world.now) + 2_000_000, "account": account, "peer": peer, "audience": row.key,
            "channel": channel, "query": query, "first": min(dates), "last": max(dates), "count": count,
        }
    )  # fmt: skip


def test_the_whole_way_of_something_that_was_sent(memory: Store) -> None:
    """From who stated it, over every question, to who fetched it when and by which question."""
    world = World(memory)
    world.give("circl/x", indicator())
    read_by(world, "ee-soc", "cert-ee")
    found = one(world, indicator()["id"])
    assert (found.source, found.giver, found.authority, found.received) == ("circl/x", "circl", "guest", NOW)
    assert (found.origin.basis, found.origin.stated, found.origin.label) == ("label.stated", "TLP:GREEN", "TLP:GREEN")
    (mark,) = found.origin.marks
    assert (mark.where, mark.mark, mark.level) == ("object", TLP2_ID[Tlp.GREEN], "TLP:GREEN")
    assert [step.step for step in found.steps] == [
        "barred", "label", "received", "returns", "channel", "group", "pap", "wire", "dialect", "reach", "names",
        "sent", "doubt", "released",
        "gate", "listing",
    ]  # fmt: skip
    (clause,) = next(step for step in found.steps if step.step == "sent").clauses
    assert (clause.agreement, clause.reason) == ("reseau", "")
    assert (found.verdict, found.agreement, found.alarm) == ("release", "reseau", "")
    assert found.listed is not None
    assert found.stays[0].not_after is not None
    assert found.offered == ("ccc", "cert-ee", "circl")
    (fetch,) = found.fetched
    assert (fetch.account, fetch.peer, fetch.query, fetch.exact, found.fetches) == (
        "ee-soc", "cert-ee", "objects?", True, 1,
    )  # fmt: skip
    assert one(world, indicator()["id"], "circl").fetched == ()


def test_a_page_that_asked_for_something_else_is_no_delivery(memory: Store) -> None:
    world = World(memory)
    world.give("circl/x", indicator(), malware("m"))
    read_by(world, "ee-soc", "cert-ee", query=f"objects?match[id]={malware('m')['id']}")
    assert one(world, indicator()["id"]).fetched == ()
    (fetch,) = one(world, malware("m")["id"]).fetched
    assert not fetch.exact  # the row says that the page held two, and this question gives one


@pytest.mark.parametrize(
    ("sends", "reasons"),
    [
        ([Send(ceiling=Tlp.CLEAR)], ["agreement.ceiling"]),
        ([Send(ceiling=Tlp.CLEAR), Send(ceiling=Tlp.GREEN, types=frozenset({"malware"}))],
         ["agreement.ceiling", "agreement.type"]),
        ([Send(ceiling=Tlp.CLEAR), Send(ceiling=Tlp.GREEN)], ["agreement.ceiling", ""]),
    ],
)  # fmt: skip
def test_each_agreement_is_told_with_its_clause(memory: Store, sends: list[Send], reasons: list[str]) -> None:
    found = [agreement(f"a{n}", "cert-ee", send=send) for n, send in enumerate(sends)]
    world = World(memory, terms(agreements=[agreement("in", "circl", receive=Receive(ceiling=Tlp.RED)), *found]))
    world.give("circl/x", indicator())
    trace = one(world, indicator()["id"])
    last = next(step for step in trace.steps if step.step == "sent")
    assert [clause.reason for clause in last.clauses] == reasons
    assert (trace.verdict == "release") == ("" in reasons)


def test_where_the_label_comes_from_is_named_by_id(memory: Store) -> None:
    """R10, R11: the ends, the referrers, the agreement that gives a default; granular marks by their selector."""
    world = World(memory, terms(unmarked=Tlp.CLEAR))
    bad, family = indicator("bad.example"), malware("m", tlp=None)
    link, box = relationship(bad, family), report(family)
    alone = indicator("alone.example", tlp=None)
    part = {
        **indicator("part.example", tlp=None),
        "granular_markings": [{"marking_ref": TLP2_ID[Tlp.GREEN], "selectors": ["pattern", "name"]}],
        "name": "n",
    }
    world.give("circl/x", bad, family, link, alone, box, part)
    ends = one(world, link["id"]).origin
    assert (ends.basis, [(a.role, a.stix_id, a.level) for a in ends.around]) == (
        "label.ends", [("end", bad["id"], "TLP:GREEN")],
    )  # fmt: skip
    referrer = one(world, family["id"]).origin
    assert (referrer.basis, [(a.role, a.stix_id) for a in referrer.around]) == (
        "label.referrer", [("referrer", box["id"])],
    )  # fmt: skip
    default = one(world, alone["id"]).origin
    assert (default.basis, default.default, default.around) == ("label.default", ["reseau"], [])
    assert [(m.where, m.level) for m in one(world, part["id"]).origin.marks] == [
        ("pattern", "TLP:GREEN"), ("name", "TLP:GREEN"),
    ]  # fmt: skip


def test_a_twin_is_told_by_whom_it_is_represented(memory: Store) -> None:
    """R23: the one that this peer sees in front."""
    world = World(memory)
    twin = indicator(id_="indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b")
    world.give("circl/x", indicator())
    world.give("circl/y", twin)
    found = one(world, twin["id"], channel=f"collection:{FOLDED}")
    assert found.folded
    assert found.front is not None
    assert found.front.stix_id == indicator()["id"]
    assert one(world, indicator()["id"], channel=f"collection:{FOLDED}").front is None


def test_what_waits_for_a_target_is_told_with_the_next_push(memory: Store) -> None:
    """Pending, when the next push is due, then what became of it; and paused says so."""
    desk = Desk(memory)
    world, depot = desk.world, "target:ccc/depot"
    with memory.writing() as tx:
        sources.declare(tx, ["ccc/depot"], micros(NOW))
    world.give("circl/x", indicator())
    found = one(world, indicator()["id"], "ccc", depot)
    assert found.parcel is not None
    assert (found.parcel.state, found.parcel.due) == ("pending", NOW)
    desk.brake("ccc", "out")
    answer = told(world, indicator()["id"], "ccc", depot)
    assert answer.rooms[0].paused == "marie: drill"
    assert answer.traces[0].parcel is not None
    assert (answer.traces[0].parcel.due, answer.traces[0].parcel.target) == (None, "paused")
    desk.let_go("ccc", "out")
    desk.push(Taker())
    found = one(world, indicator()["id"], "ccc", depot)
    assert [(each.outcome, each.peer) for each in found.handed] == [("accepted", "ccc")]
    assert found.parcel is not None
    assert found.parcel.state == "accepted"
    assert one(world, indicator()["id"]).handed == ()


def test_a_listing_that_is_not_as_decided_is_an_alarm(memory: Store) -> None:
    """Terms that the store has not adopted, or a row that somebody closed or kept by hand."""
    world = World(memory)
    world.give("circl/x", indicator(), indicator("b.example"))
    stricter = replace(world.terms, agreements=(replace(world.terms.agreements[0], send=Send(ceiling=Tlp.CLEAR)),))
    rules = Rules(stricter, NOW)
    (found,) = trace_of(memory, rules, indicator()["id"], NOW, peer="cert-ee", channel=CHANNEL).traces
    assert (found.verdict, found.reasons, found.alarm) == ("deny", ("agreement.ceiling",), "trace.still_listed")
    with memory.writing() as tx:
        tx.execute(update(tables.listing).values(closed=micros(NOW) + 1, closed_code="label.changed", latest=False))
    found = one(world, indicator()["id"])
    assert (found.verdict, found.listed, found.alarm) == ("release", None, "trace.not_listed")
    assert found.stays[0].code == "label.changed"


def test_what_is_too_old_but_still_stands_is_no_alarm_of_its_own(memory: Store) -> None:
    """Expiry is done by rounds: until the next one it stands, and that is said."""
    ages = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50)
    world = World(memory, replace(terms(), expiry=(ages,)))
    world.give("circl/x", indicator())
    world.now = NOW + timedelta(days=2)
    world.rules = Rules(world.terms, world.now)
    found = one(world, indicator()["id"])
    assert (found.reasons, found.alarm, found.steps[-1].step) == (("expiry.age",), "trace.overdue", "age")


def test_how_it_stood_on_a_day_gone_by(memory: Store) -> None:
    """`--at`: what stood there then, and whether the partner was a member."""
    world = World(memory)
    world.give("circl/x", indicator())
    before = one(world, indicator()["id"], at=NOW - timedelta(days=1)).then
    assert before is not None
    assert (before.stay, before.member) == (None, False)
    world.now = NOW + timedelta(hours=1)
    world.give("circl/x", indicator(tlp=Tlp.RED, modified=NOW + timedelta(hours=1)))
    first, second = told(world, indicator()["id"], at=NOW + timedelta(minutes=30)).traces
    assert first.then is not None
    assert first.then.stay is not None
    assert (first.then.member, first.then.stay.code, first.listed) == (True, "receive.ceiling", None)
    assert second.then is not None
    assert second.then.stay is None


def test_many_are_counted_by_what_became_of_them(memory: Store) -> None:
    """As of an event: groups with counts, and one example of each, the rarest first."""
    world = World(memory)
    ids = [f"indicator--{number:08d}-7b1e-4c52-9d3a-8f2e6a1c5d40" for number in range(12)]
    marks = [Tlp.GREEN] * 10 + [None, Tlp.RED]
    world.give("circl/x", *(indicator(id_=id_, tlp=tlp) for id_, tlp in zip(ids, marks, strict=True)))
    found = told(world, "a.example")
    assert [(group.count, group.reasons[0]) for group in found.groups] == [
        (10, "release.agreement"), (1, "label.none"), (1, "receive.ceiling"),
    ]  # fmt: skip
    assert found.groups[0].types == {"indicator": 10}
    assert {trace.stix_id for trace in found.traces[:2]} == set(ids[10:])
    assert (found.statements, len(found.traces), found.more) == (12, 3, False)


def test_an_event_is_told_by_its_uuid(memory: Store) -> None:
    """What was made of it is counted; the one that fares otherwise is told by itself."""
    desk = Desk(memory)
    raw = json.loads(event(*range(12)))
    raw["Event"]["Attribute"][3]["Tag"] = [{"name": "tlp:red"}]
    document = Document(kind="misp-event", id=EVENT, version="1700000000", raw=json.dumps(raw).encode())
    desk.pull(Giver(Page(document=document, last=True)), MISP)
    found = told(desk.world, EVENT)
    assert found.statements > 12
    assert sum(group.count for group in found.groups) == found.statements
    (odd,) = (group for group in found.groups if group.reasons == ("receive.ceiling",))
    assert odd.count < found.statements / 2
    number = "5c4e0000-0000-4000-8000-000000001003"
    assert any(number in each for each in odd.examples)
    assert any(trace.stix_id in odd.examples for trace in found.traces)
    (trace, *_) = told(desk.world, f"indicator--{number}").traces
    assert "TLP:RED" in {mark.level for mark in trace.origin.marks}


def test_what_was_set_aside_is_told_beside_it(memory: Store) -> None:
    """The source contradicted itself: the first word stands, the other is in quarantine."""
    world = World(memory)
    world.give("circl/x", indicator())
    world.give("circl/x", indicator(name="said otherwise"))
    found = told(world, indicator()["id"])
    assert [row["code"] for row in found.quarantine] == ["version.conflict"]
    assert found.vanished == []


def test_two_audiences_of_one_collection_are_told_apart(memory: Store) -> None:
    """Asked for a collection alone: each class of its recipients by itself."""
    world = World(memory, terms(agreements=[
        agreement("in", "circl", receive=Receive(ceiling=Tlp.RED)),
        agreement("one", "ccc", send=Send(ceiling=Tlp.GREEN)),
        agreement("two", "cert-ee", send=Send(ceiling=Tlp.CLEAR)),
    ]))  # fmt: skip
    world.give("circl/x", indicator(), malware("m"))
    found = census_of(memory, world.rules, NOW, channel=CHANNEL)
    assert {(each.members, each.state, each.count, each.reasons) for each in found.counts} == {
        (("ccc",), "listed", 2, ("release.agreement",)), (("cert-ee",), "out", 2, ("agreement.ceiling",)),
        (("circl",), "out", 2, ("origin.returns",)),
    }  # fmt: skip
    groups = told(world, indicator()["id"], peer="").groups
    assert {(each.members, each.verdict) for each in groups} == {
        (("ccc",), "release"), (("cert-ee",), "deny"), (("circl",), "deny"),
    }  # fmt: skip


def test_what_is_too_many_to_look_at_is_said(memory: Store) -> None:
    """Bounded: what may go and does not stand there is looked at one by one, but not without end."""
    world = World(memory)
    world.give("circl/x", indicator(), indicator("b.example"), indicator("c.example"))
    with memory.writing() as tx:
        tx.execute(update(tables.listing).values(closed=micros(NOW) + 1, closed_code="label.changed", latest=False))
    found = census_of(memory, world.rules, NOW, peer="cert-ee", channel=CHANNEL, looked=2)
    assert [(each.state, each.count, each.alarm) for each in found.counts] == [("out", 2, "trace.not_listed")]
    assert (found.held, found.unlooked) == (3, 1)


def test_a_room_says_how_it_stands(memory: Store) -> None:
    """Open, ended, absent; who can read there."""
    world = World(memory)
    world.give("circl/x", indicator())
    (room,) = told(world, indicator()["id"]).rooms
    assert (room.state, room.agreements, room.accounts) == ("open", ("reseau",), ())
    read_by(world, "ee-soc", "cert-ee")
    (room,) = told(world, indicator()["id"]).rooms
    assert room.last_fetch is not None
    assert room.last_fetch.account == "ee-soc"
    ended = Rules(world.terms, NOW + timedelta(days=900))
    (room,) = trace_of(memory, ended, indicator()["id"], NOW + timedelta(days=900), peer="ccc", channel=CHANNEL).rooms
    assert room.state == "ended"
    more = replace(
        world.terms, agreements=(*world.terms.agreements, agreement("new", "cert-ee", send=Send(ceiling=Tlp.CLEAR)))
    )
    rooms = trace_of(memory, Rules(more, NOW), indicator()["id"], NOW, peer="cert-ee", channel=CHANNEL).rooms
    assert [room.state for room in rooms] == ["absent"]


def test_on_every_engine_alike(store: Store) -> None:
    """One trace and one census, with owners, twins and an agreement that has ended."""
    world = World(store)
    world.give(ALERTS.key, indicator("own.example", created_by_ref=CCC_IDENTITY))
    world.give("circl/x", indicator(), indicator("red.example", tlp=Tlp.RED))
    world.give("circl/y", indicator(id_="indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"))
    read_by(world, "ee-soc", "cert-ee")
    found = one(world, indicator()["id"])
    assert (found.verdict, found.alarm, [each.account for each in found.fetched]) == ("release", "", ["ee-soc"])
    counted = census_of(store, world.rules, NOW, peer="cert-ee", channel=f"collection:{FOLDED}")
    assert [(each.state, each.count, each.reasons) for each in counted.counts] == [
        ("listed", 2, ("release.agreement",)), ("folded", 1, ("release.agreement",)), ("out", 1, ("receive.ceiling",)),
    ]  # fmt: skip
    late = NOW + timedelta(days=900)
    counted = census_of(store, Rules(world.terms, late), late, peer="cert-ee", channel=CHANNEL)
    assert {(each.state, each.reasons) for each in counted.counts} == {
        ("ended", ("agreement.ended",)), ("out", ("receive.ceiling",)),
    }  # fmt: skip
    assert (counted.held, counted.unlooked) == (4, 0)


class Told(NamedTuple):
    """What is done, who asks about which place, and the step at which it ends with its reason."""

    give: Callable[[World], str]
    peer: str
    channel: str
    step: str
    reason: str


def _withdrawn(world: World) -> str:
    world.give("circl/post", indicator(), posted=CHANNEL)
    key = next(a.key for a in world.rules.audiences if a.channel == CHANNEL)
    withdraw(world.store, world.rules, peer="circl", audience=key, stix_id=indicator()["id"],
             versions=Versions(every=True), now=world.now)  # fmt: skip
    return str(indicator()["id"])


def _given_back(world: World) -> str:
    world.give(ALERTS.key, indicator())
    return str(indicator()["id"])


def _revoked_by_another(world: World) -> str:
    mine = indicator(created_by_ref=CCC_IDENTITY)
    world.give(ALERTS.key, mine)
    world.give("cert-ee/y", {**mine, "modified": "2026-11-21T12:00:30.000Z", "revoked": True})
    return str(mine["id"])


def _doubtful(world: World) -> str:
    world.give("circl/x", indicator("example.com"))
    return str(indicator("example.com")["id"])


def _of_an_owner_who_says_less(world: World) -> str:
    mine = indicator(created_by_ref=CCC_IDENTITY, tlp=Tlp.RED)
    world.give(ALERTS.key, mine)
    world.give("cert-ee/y", {**indicator(created_by_ref=CCC_IDENTITY), "modified": "2026-11-21T12:00:30.000Z"})
    return str(mine["id"])


STOPPED = {
    "withdrawn": Told(_withdrawn, "cert-ee", CHANNEL, "barred", "withdrawn.by_peer"),
    "given back": Told(_given_back, "ccc", "target:ccc/depot", "returns", "origin.returns"),
    "foreign revocation": Told(_revoked_by_another, "circl", CHANNEL, "barred", "version.foreign_revocation"),
    "doubt": Told(_doubtful, "cert-ee", CHANNEL, "doubt", "doubt.warninglist"),
    "owner": Told(_of_an_owner_who_says_less, "circl", CHANNEL, "received", "receive.ceiling"),
}


@pytest.mark.parametrize("case", STOPPED.values(), ids=list(STOPPED))
def test_what_stopped_it_is_the_last_step(memory: Store, case: Told) -> None:
    """Withdrawn, given back, revoked by somebody else, doubtful, and stricter by its owner's word."""
    world = World(memory, replace(terms(), benign=benign.Choice(lists=("rfc6761",))))
    asked = case.give(world)
    last = told(world, asked, case.peer, case.channel).traces[-1]
    assert (last.steps[-1].step, last.reasons) == (case.step, (case.reason,))
    assert last.steps[-1].reasons == last.reasons
    assert last.alarm == ""


def test_channels_are_found_by_the_names_that_people_use() -> None:
    given_terms = terms()
    assert channel_of(given_terms, "partenaires") == channel_of(given_terms, SHARED) == CHANNEL
    assert channel_of(given_terms, "ccc/depot") == "target:ccc/depot"
    assert channel_of(given_terms, "nowhere") == ""


class Play:
    """A small world in which anything happens, from one seed."""

    def __init__(self, store: Store, seed: int) -> None:
        self.dice = Random(seed)  # noqa: S311 (test data, not a secret)
        room = collection(OPEN_WRITE, "ecriture", ("ccc", "maison"), writers=("circl",))
        agreements = [
            agreement("in", "ccc", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER, unmarked=self.level(None)),
                      send=Send(ceiling=Tlp.CLEAR, onward=self.dice.random() < 0.5)),
            agreement("out", "ccc", "cert-ee", "circl", send=Send(ceiling=self.level()),
                      end=date(2026, 11, self.dice.choice([22, 30]))),
            agreement("types", "cert-ee", "ccc", send=Send(ceiling=Tlp.RED, types=frozenset({"malware"}))),
        ]  # fmt: skip
        ages = Expiry(types=frozenset({"indicator"}), half_life=86_400.0 * self.dice.choice([1, 30]), threshold=50)
        made = replace(
            terms(agreements=agreements, room=room),
            expiry=(ages,) if self.dice.random() < 0.5 else (),
            benign=benign.Choice(lists=("rfc6761",)) if self.dice.random() < 0.5 else benign.NOTHING,
        )
        self.world = World(emptied(store), made)

    def level(self, *more: None) -> Any:
        return self.dice.choice([*Tlp, *more])

    def thing(self) -> dict[str, Any]:
        dice, at = self.dice, NOW + timedelta(seconds=self.dice.randint(-5, 5) * 60)
        value = dice.choice(["a.example", "b.example", "example.com"])
        tlp = dice.choice([Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.RED, None])
        own: dict[str, Any] = {"created_by_ref": CCC_IDENTITY} if dice.random() < 0.3 else {}
        if dice.random() < 0.2:
            own["revoked"] = True
        twin = {"id_": f"indicator--{uuid.UUID(int=dice.randint(1, 3), version=4)}"} if dice.random() < 0.4 else {}
        bad = indicator(value, tlp=tlp, modified=at, **twin, **own)
        family = malware(dice.choice("mn"), tlp=tlp, modified=at)
        return dice.choice([bad, bad, family, relationship(bad, family, tlp=tlp), report(bad, family, tlp=tlp)])

    def move(self) -> None:
        dice, world = self.dice, self.world
        source = dice.choice(["circl/x", "circl/y", "cert-ee/z", ALERTS.key])
        things = [self.thing() for _ in range(dice.randint(1, 3))]
        things = list({(each["id"], each["modified"]): each for each in things}.values())
        if dice.random() < 0.2:
            world.give("circl/posted", *things, posted=f"collection:{OPEN_WRITE}")
        elif dice.random() < 0.1:
            world.pass_time(timedelta(days=dice.choice([1, 2])))
        else:
            world.give(source, *things)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**64))
@example(seed=64)  # a revocation by another than the creator, which the ceiling of its giver would have stopped too
def test_the_verdict_told_is_what_stands_for_every_audience(memory: Store, seed: int) -> None:
    """For any small world and every statement and audience: told as released exactly where it stands in the listing."""
    play = Play(memory, seed)
    for _ in range(play.dice.randint(2, 8)):
        play.move()
    world = play.world
    with memory.reading() as tx:
        li, s, a = tables.listing.c, tables.statement.c, tables.audience.c
        query = select(a.channel, a.members, s.source, s.stix_id, s.version, li.folded, li.not_after, li.agreement)
        joined = tables.listing.join(tables.statement, s.seq == li.seq).join(tables.audience, a.number == li.audience)
        rows = tx.execute(query.select_from(joined).where(li.closed.is_(None))).all()
        ids = sorted(set(tx.execute(select(s.stix_id)).scalars()))  # notices of ours among them
    stands = {(r.channel, r.members, r.source, r.stix_id, r.version): r for r in rows}
    seen = 0
    for stix_id in ids:
        for each in trace_of(memory, world.rules, stix_id, world.now, few=1_000).traces:
            row = stands.get((each.channel, json.dumps(each.members), each.source, each.stix_id, each.version))
            seen += row is not None
            if each.alarm == "trace.overdue":  # the round that takes it out has not come
                continue
            assert each.alarm == ""
            kept_out = {"listing.same_version_stands", "gate.marking"} & set(each.reasons)
            ended = each.reasons[:1] == ("agreement.ended",)  # and a twin stands in front of it, perhaps
            if not ended:
                assert (row is not None) == (each.verdict == "release" and not kept_out), each
            if row is not None:
                assert each.folded == row.folded
                assert ended or each.agreement == row.agreement
            deciding = [step for step in each.steps if step.verdict is not None]
            if each.verdict != "release":  # nothing is asked after the question that stopped it
                assert deciding[-1] is each.steps[-1]
                assert {step.verdict for step in deciding[:-1]} <= {"release", "hold"}
            assert deciding[-1].reasons[0] in each.reasons or each.verdict == "release"
    assert seen == len(stands)
    _counted_as_it_stands(world)


def _counted_as_it_stands(world: World) -> None:
    """The census adds up to all that is held in each channel, and says of no more that it stands there than does."""
    li, s, a = tables.listing.c, tables.statement.c, tables.audience.c
    found = census_of(world.store, world.rules, world.now)
    with world.store.reading() as tx:
        joined = tables.listing.join(tables.statement, s.seq == li.seq).join(tables.audience, a.number == li.audience)
        query = select(a.channel, a.members, s.source, s.stix_id, s.version, li.folded, li.not_after)
        stands = tx.execute(query.select_from(joined).where(li.closed.is_(None), s.source != NOTICES)).all()
        every = tx.execute(select(s.source, s.stix_id, s.version).where(~s.touch, s.source != NOTICES)).all()
    newest: dict[tuple[str, str], str] = {}
    for source, stix_id, version in every:
        newest[source, stix_id] = max(version, newest.get((source, stix_id), ""))
    assert found.held == len(newest)
    rooms = Counter(room.channel for room in found.rooms)
    for channel, times in rooms.items():
        mine = [each for each in found.counts if each.channel == channel]
        assert sum(each.count for each in mine) == found.held * times
        there = [row for row in stands if row.channel == channel and newest[row.source, row.stix_id] == row.version]
        assert sum(each.count for each in mine if each.state != "out") == len(there)
        assert sum(each.count for each in mine if each.state == "folded") == sum(
            row.folded and row.not_after > micros(world.now) for row in there
        )
    assert {each.alarm for each in found.counts} <= {"", "trace.overdue"}
    assert found.unlooked == 0


def test_what_was_altered_is_told_with_its_form_and_who_fetched_it(memory: Store) -> None:
    """RULES R15: asked by either id; what stands for it in the listing is its own place."""
    world = World(memory, under(redact=frozenset({"name"})))
    made = indicator(name="secret")
    world.give("circl/x", made)
    (copy,) = world.listed("cert-ee")
    assert copy != made["id"]
    read_by(world, "ee-soc", "cert-ee", query=f"objects/{copy}?")
    for asked in (made["id"], copy):
        found = one(world, asked)
        assert (found.stix_id, found.altered, found.alarm) == (made["id"], copy, "")
        assert found.listed == NOW and found.reasons == ("release.agreement", "transform.redact")
        step = next(step for step in found.steps if step.step == "transform")
        assert (step.verdict, step.fields["codes"], step.fields["id"]) == (None, "transform.redact", copy)
        assert step.fields["form"]
        assert [step.step for step in found.steps][-3:] == ["transform", "gate", "listing"]
        assert [(each.account, each.exact) for each in found.fetched] == [("ee-soc", True)]
    census = census_of(memory, world.rules, world.now, peer="cert-ee", channel=CHANNEL)
    assert [(each.state, each.reasons) for each in census.counts] == [
        ("listed", ("release.agreement", "transform.redact"))
    ]
    after = world.now.replace(year=2029)
    ended = census_of(memory, Rules(world.terms, after), after, peer="cert-ee", channel=CHANNEL)
    assert {each.state for each in ended.counts} == {"ended"}


def test_every_form_that_they_ever_had_is_told_by_its_own_name(memory: Store) -> None:
    """What was altered otherwise since, and a pseudonym, whose version is not that of its original."""
    world = World(memory, under(attribution="anonymous"))
    made = {**malware("m"), "type": "identity", "id": CCC_IDENTITY, "name": "Canadian Centre"}
    world.give("ccc/alertes", made)
    (first,) = world.listed("cert-ee")
    read_by(world, "ee-soc", "cert-ee")
    with memory.reading() as tx:
        (_, seen), *rest = offers.seen(tx, "cert-ee", micros(world.now), CHANNEL)
    assert (rest, seen.stix_id, seen.version != one(world, made["id"]).version) == ([], first, True)
    with memory.writing() as tx:
        entry = {"at": micros(NOW), "peer": "cert-ee", "channel": CHANNEL, "seq": 2, "agreement": "reseau"}
        hand(tx, [{**entry, "stix_id": first, "version": seen.version, "outcome": "accepted"}])
    world.now += timedelta(minutes=1)
    world.follow(under(attribution="anonymous", redact=frozenset({"name"})))
    (second,) = world.listed("cert-ee")
    for asked in (made["id"], first, second):
        found = one(world, asked, at=NOW)
        assert [each.stix_id for each in found.stays] == [first, second]
        assert found.stays[0].version == seen.version
        assert found.then is not None and found.then.stay == found.stays[0]
        assert (found.altered, [each.account for each in found.fetched]) == (second, ["ee-soc"])
        assert [each.outcome for each in found.handed] == ["accepted"]
        assert len(found.recalls) == 1


def test_what_an_agreement_that_had_ended_lets_nobody_see_did_not_stand_there(memory: Store) -> None:
    """As `audience --at` has it: a row that rests is no row that is read."""
    world = World(memory)
    world.give("circl/x", indicator())
    after = date(2028, 1, 2)
    at = NOW.replace(year=after.year, month=after.month, day=after.day)
    with memory.reading() as tx:
        assert list(offers.seen(tx, "cert-ee", micros(at))) == []
    then = one(world, indicator()["id"], at=at).then
    assert then is not None and then.stay is None


def test_why_nothing_could_be_made_of_it_is_told(memory: Store) -> None:
    world = World(memory, under(attribution="anonymous"))
    made = indicator(created_by_ref="identity--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37")
    world.give("circl/x", made)
    found = one(world, made["id"])
    assert (found.listed, found.altered, found.alarm) == (None, "", "")
    assert (found.verdict, found.reasons) == ("hold", ("transform.producer_unknown",))
    assert [group.verdict for group in told(world, made["id"]).groups] == ["hold"]
    counts = census_of(memory, world.rules, world.now, peer="cert-ee", channel=CHANNEL).counts
    assert [(each.state, each.verdict) for each in counts] == [("out", "hold")]
    (explained,) = explain(memory, world.rules, made["id"], world.now).statements
    assert {a.verdict for a in explained.answers if a.reasons == ("transform.producer_unknown",)} == {"hold"}
    assert (found.steps[-1].step, found.steps[-1].reasons) == ("transform", ("transform.producer_unknown",))


def test_what_the_second_gate_finds_by_name_is_told(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R25: it was made, and stands nowhere."""
    world = World(memory, under(attribution="anonymous"))
    monkeypatch.setattr(altering, "gate_names", lambda *_: False)
    made = indicator(description="by CIRCL")
    world.give("circl/x", made)
    found = one(world, made["id"])
    assert (found.listed, found.alarm, found.reasons[-1]) == (None, "", "gate.names")
    assert found.verdict == "deny"
    assert (found.steps[-1].step, found.steps[-1].verdict) == ("gate", "deny")


def test_who_withdrew_it_is_told(memory: Store) -> None:
    world = World(memory)
    made = indicator()
    world.give("circl/x", made)
    with memory.reading() as tx:
        scope = named(tx, made["id"])
    done = withdraw_from_all(memory, world.rules, scope, who="Marie", why="mistake", clock=lambda: world.now)
    (act,) = told(world, made["id"]).acts
    assert (act.act, act.who, act.why, act.at, act.number) == ("withdrawn", "Marie", "mistake", NOW, done.number)
    assert explain(memory, world.rules, made["id"], world.now).acts == (act,)


def test_who_let_it_go_is_told(memory: Store) -> None:
    world = World(memory)
    made = indicator()
    world.give("circl/x", made)
    with memory.writing() as tx:
        word = approvals.Word(
            stix_id=made["id"], source="circl/x", version=made["modified"], code="personal.review", agreement="",
            verdict="approved", who="Luc", why="public", at=micros(NOW),
        )  # fmt: skip
        approvals.keep(tx, [word])
    (act,) = told(world, made["id"]).acts
    assert (act.act, act.who, act.why, act.code) == ("approved", "Luc", "public", "personal.review")


def test_what_else_the_label_says_is_told(memory: Store) -> None:
    """Of a policy that binds whoever gets it (IEP): besides the level, what may be done with it and until when."""
    label = Label(tlp=Tlp.GREEN, unnamed=True, limited=True, until=NOW, confidence=30)
    assert axes_of(label) == {"unnamed": "", "limited": "", "until": "2026-11-21 12:00 UTC", "confidence": "30"}
    assert axes(axes_of(label)) == [say(f"cli.label.{n}", value=v) for n, v in axes_of(label).items()]
    world = World(memory)
    world.give("circl/x", indicator())
    assert one(world, indicator()["id"]).origin.axes == {}


def test_show_by_the_id_of_a_copy_tells_of_the_original(memory: Store) -> None:
    """And where the copy stands."""
    world = World(memory, under(redact=frozenset({"name"})))
    made = indicator(name="secret")
    world.give("circl/x", made)
    (copy,) = world.listed("cert-ee")
    for asked in (made["id"], copy, copy.partition("--")[2], "a.example"):
        (fact,) = show(memory, world.rules, asked, NOW).facts
        assert [each.stix_id for each in fact.said] == [made["id"]]
        assert {(each.stix_id, each.altered) for each in fact.places if "cert-ee" in each.members} == {(copy, True)}


def test_the_ledger_and_the_view_of_a_partner_name_what_was_altered_and_of_what(memory: Store) -> None:
    world = World(memory, under(redact=frozenset({"name"})))
    made = indicator(name="secret")
    world.give("circl/x", made)
    (copy,) = world.listed("cert-ee")
    read_by(world, "ee-soc", "cert-ee")
    for asked in (made["id"], copy):
        found = list(accounting.entries(memory, accounting.Asked(peer="cert-ee", object=asked), named=True))
        assert {(each.outcome, each.object, each.original) for each in found} == {
            ("offered", copy, made["id"]),
            ("delivered", copy, made["id"]),
        }
    (line,) = accounting.entries(memory, accounting.Asked(peer="cert-ee"), named=True)
    assert (line.object, line.original) == (copy, made["id"])
    with memory.reading() as tx:
        seen = {(place.stix_id, place.original) for _, place in offers.seen(tx, "cert-ee", micros(NOW) + 10_000_000)}
    assert seen == {(copy, made["id"])}
