"""Age: what is too old for an audience leaves its listings with a reason, and comes again when it is seen again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Expiry, Target, Terms
from exchange.policy import Rules
from exchange.store import Store, ages, micros, moment, open_store, tables
from exchange.sync import ageing as ageing_room
from exchange.sync.expiring import expire, is_due
from exchange.sync.explain import explain
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NOW,
    SHARED,
    World,
    collection,
    emptied,
    indicator,
    malware,
    marked,
    relationship,
    terms,
)

DAY = timedelta(days=1)
AGES = Expiry(types=frozenset({"indicator"}), half_life=30 * 86_400.0, threshold=25)
"""From 100 to 25: sixty days."""
LASTS = 60 * DAY
DEPOT = "target:ccc/depot"


def ageing(given_terms: Terms | None = None, *rules: Expiry, **quality: int) -> Terms:
    """The terms with these rules, and the quality of some peers."""
    found = given_terms or terms()
    peers = {name: replace(peer, quality=quality.get(name.replace("-", "_"))) for name, peer in found.peers.items()}
    return replace(found, peers=peers, expiry=rules or (AGES,))


def aged(value: str = "a.example", days: float = 0, **more: Any) -> dict[str, Any]:
    """An indicator that was made so many days ago."""
    return indicator(value, modified=NOW - days * DAY, **more)


def stamp(at: datetime) -> str:
    """As STIX writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sighting(
    of: Mapping[str, Any], days: float = 0, *, name: str = "s", tlp: Tlp | None = Tlp.GREEN, **more: Any
) -> dict[str, Any]:
    """Somebody saw `of`, so many days ago."""
    when = stamp(NOW - days * DAY)
    made = {
        "type": "sighting",
        "spec_version": "2.1",
        "id": f"sighting--{uuid.uuid5(uuid.NAMESPACE_URL, name + str(of['id']))}",
        "created": when,
        "modified": when,
        "sighting_of_ref": of["id"],
        "last_seen": when,
        **more,
    }
    return marked(made, tlp)


def denial(of: Mapping[str, Any], days: float = 0, *, name: str = "o", **more: Any) -> dict[str, Any]:
    """Somebody says that `of` is a false positive, as MISP's sightings of type 1 come in."""
    when = stamp(NOW - days * DAY)
    made = {
        "type": "opinion",
        "spec_version": "2.1",
        "id": f"opinion--{uuid.uuid5(uuid.NAMESPACE_URL, name + str(of['id']))}",
        "created": when,
        "modified": when,
        "opinion": "strongly-disagree",
        "object_refs": [of["id"]],
        **more,
    }
    return marked(made, Tlp.GREEN)


class Ageing(World):
    """A world in which time passes as the daemon lets it pass."""

    def later(self, by: timedelta = timedelta(0)) -> int:
        """Move the clock and do what is due; how many listings changed."""
        self.now += by
        self.rules = Rules(self.terms, self.now)
        return expire(self.store, self.rules, lambda: self.now, lambda: False)

    def rows(self, stix_id: str, channel: str = f"collection:{SHARED}") -> list[tuple[Any, Any]]:
        """(when it expires, why it was closed) of every listing of it there, oldest first."""
        a, li, s = tables.audience.c, tables.listing.c, tables.statement.c
        with self.store.reading() as tx:
            query = select(li.expires, li.closed_code).select_from(
                tables.listing.join(tables.audience, a.number == li.audience).join(tables.statement, s.seq == li.seq)
            )
            found = tx.execute(query.where(a.channel == channel, s.stix_id == stix_id).order_by(li.added)).all()
        return [(None if row[0] is None else moment(row[0]), row[1]) for row in found]


@pytest.fixture(autouse=True, scope="module")
def _kept_sums() -> Iterator[None]:
    """What is kept of objects that many have seen is kept of each, so that every law here holds of it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ageing_room, "_MANY", 1)
        yield


@pytest.fixture
def world(store: Store) -> Ageing:
    return Ageing(store, ageing())


@pytest.fixture(scope="module")
def kept() -> Iterator[Store]:
    """One store for every example of a property."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


def test_without_rules_nothing_expires(memory):
    world = Ageing(memory)
    old = aged(days=3_000, valid_until=stamp(NOW - 1_000 * DAY))
    world.give("circl/feed", old)
    assert world.listed("ccc") == [old["id"]]
    assert world.rows(old["id"]) == [(None, None)]
    assert not is_due(memory, world.rules, NOW + 3_000 * DAY)


def test_it_leaves_when_its_time_has_come(world):
    """Listed with its end, closed by the job, in every channel; older versions with it (R8)."""
    young, old = aged("young.example"), aged("old.example", 61)
    world.give("circl/feed", young, old)
    assert world.listed("ccc") == [young["id"]], "what has expired when it arrives is never listed"
    assert world.rows(young["id"]) == [(NOW + LASTS, None)]
    assert world.waiting() == [young["id"]]
    assert not is_due(world.store, world.rules, NOW + LASTS - timedelta(microseconds=1))
    assert world.later(LASTS - DAY) == 0
    assert world.listed("ccc") == [young["id"]]
    assert is_due(world.store, world.rules, NOW + LASTS)
    assert world.later(DAY) == 3, "two collections and a target"
    assert world.listed("ccc") == world.listed("ccc", FOLDED) == world.waiting() == []
    assert world.rows(young["id"]) == [(NOW + LASTS, "expiry.age")]
    assert world.later() == 0


def test_a_new_version_is_new_and_comes_again(world):
    first = aged(days=59)
    world.give("circl/feed", first)
    again = aged(days=0, name="renewed")
    world.give("circl/feed", again)
    world.later(2 * DAY)
    assert [code for _, code in world.rows(first["id"])] == [None, None], "the newest speaks for the older ones"
    world.later(LASTS)
    assert [code for _, code in world.rows(first["id"])] == ["expiry.age", "expiry.age"]
    world.give("circl/feed", indicator(modified=world.now, name="and again"))
    assert world.listed("ccc") == [first["id"]]


def test_the_creator_s_own_end(store):
    """`valid_until` is the creator's word: no sighting prolongs it, and a rule may leave it out."""
    world = Ageing(store, ageing())
    ends, over = aged("a.example", valid_until=stamp(NOW + DAY)), aged("b.example", valid_until=stamp(NOW))
    world.give("circl/feed", ends, over, sighting(ends))
    assert ends["id"] in world.listed("ccc")
    assert over["id"] not in world.listed("ccc")
    world.later(DAY)
    assert world.rows(ends["id"]) == [(NOW + DAY, "expiry.valid_until")]
    (held,) = explain(store, world.rules, over["id"], world.now).statements
    shown = next(answer for answer in held.answers if answer.channel == f"collection:{SHARED}")
    assert (shown.verdict, shown.reasons, shown.expires) == ("deny", ("expiry.valid_until",), NOW)
    world.follow(ageing(None, replace(AGES, valid_until=False)))
    assert {ends["id"], over["id"]} <= set(world.listed("ccc")), "new terms decide everything again"


def test_a_sighting_renews_and_its_withdrawal_takes_that_back(world):
    """The target's end moves; it is listed once. What had expired is listed again, with a new date."""
    seen, gone = aged("a.example", 50), aged("b.example", 70)
    world.give("circl/feed", seen, gone)
    assert world.rows(seen["id"]) == [(NOW + 10 * DAY, None)]
    news = sighting(seen, 1), sighting(gone, 2)
    world.give("cert-ee/feed", *news)
    assert is_due(world.store, world.rules, NOW)
    world.later()
    assert world.rows(seen["id"]) == [(NOW + 59 * DAY, None)]
    assert world.rows(gone["id"]) == [(NOW + 58 * DAY, None)]
    assert not is_due(world.store, world.rules, world.now)
    later = NOW + timedelta(hours=1)
    world.now = later
    world.give("cert-ee/feed", *(each | {"revoked": True, "modified": stamp(later)} for each in news))
    world.later()
    assert world.rows(seen["id"]) == [(NOW + 10 * DAY, None)]
    assert world.rows(gone["id"]) == [(NOW + 58 * DAY, "expiry.age")]
    world.give("cert-ee/feed", sighting(gone, 0, name="another"))
    world.later()
    assert [code for _, code in world.rows(gone["id"])] == ["expiry.age", None]


@pytest.mark.parametrize("first", ["target", "sighting"])
def test_it_does_not_matter_which_came_first(memory, first):
    world = Ageing(memory, ageing())
    old = aged(days=70)
    pair = [old, sighting(old, 5)] if first == "target" else [sighting(old, 5), old]
    for each in pair:
        world.give("circl/feed", each)
    world.later()
    assert world.rows(old["id"]) == [(NOW + 55 * DAY, None)]


@pytest.mark.parametrize(
    "told",
    [
        {"count": 0},
        {"sighting_of_ref": malware("m")["id"]},
        {"observed_data_refs": [f"observed-data--{uuid.uuid4()}"], "sighting_of_ref": malware("m")["id"]},
    ],
)
def test_what_was_not_seen_is_no_sighting(memory, told):
    world = Ageing(memory, ageing())
    old = aged(days=50)
    world.give("circl/feed", old, malware("m"), {**sighting(old), **told})
    world.later()
    assert world.rows(old["id"]) == [(NOW + 10 * DAY, None)]


def test_dates_ahead_of_us_prolong_nothing(memory):
    """Neither `valid_from` nor `last_seen` reaches beyond the day on which we got it."""
    world = Ageing(memory, ageing())
    ahead = aged(valid_from="2099-01-01T00:00:00Z")
    other = aged("b.example", 10)
    seen = sighting(other, last_seen="2099-01-01T00:00:00Z")
    world.give("circl/feed", ahead, other, seen)
    world.later()
    assert world.rows(ahead["id"]) == world.rows(other["id"]) == [(NOW + LASTS, None)]


def test_a_twin_s_sighting_counts(world):
    """The fact was seen, whoever's indicator says so: every statement of it is renewed."""
    mine = aged(days=50, id_="indicator--11111111-1111-4111-8111-111111111111")
    yours = aged(days=70, id_="indicator--22222222-2222-4222-8222-222222222222")
    world.give("circl/feed", mine)
    world.give("cert-ee/feed", yours)
    world.give("cert-ee/feed", sighting(yours, 1))
    world.later()
    ends = NOW + 59 * DAY
    assert world.rows(mine["id"]) == world.rows(yours["id"]) == [(ends, None)]


def test_a_twin_that_comes_after_its_sighting_counts(memory):
    world = Ageing(memory, ageing())
    mine = aged(days=50, id_="indicator--11111111-1111-4111-8111-111111111111")
    over = stamp(NOW - DAY)
    yours = aged(days=70, id_="indicator--22222222-2222-4222-8222-222222222222", valid_until=over)
    world.give("circl/feed", mine, sighting(yours, 1))
    world.give("cert-ee/feed", yours)
    world.later()
    assert world.rows(yours["id"]) == [], "its creator has ended it"
    assert world.rows(mine["id"]) == [(NOW + 59 * DAY, None)]


def test_nobody_drowns_what_others_saw(memory):
    """However many newer sightings one peer gives of what it did not see, another's still renews it."""
    world = Ageing(memory, ageing())
    old = aged(days=50)
    world.give("cert-ee/flux", old)
    world.give("ccc/flux", sighting(old, days=1))
    world.later()
    assert world.rows(old["id"]) == [(NOW - DAY + LASTS, None)]
    world.give("circl/flux", *(sighting(old, name=f"n{n}", count=0) for n in range(ages.MOST)))
    world.later()
    assert world.rows(old["id"]) == [(NOW - DAY + LASTS, None)]


def test_r18_many_twins_that_were_seen_are_looked_at_once(memory, monkeypatch):
    """What was seen of n twins costs n in a page of n more, and not n for each of them."""
    asked: list[str] = []
    real = ageing_room.Ageing._may_see

    def counted(self: Any, fact: str | None, others: Any, audience: Any, stix_id: str) -> bool:
        asked.append(audience.key)
        return real(self, fact, others, audience, stix_id)

    monkeypatch.setattr(ageing_room.Ageing, "_may_see", counted)
    world = Ageing(memory, ageing())
    twins = [aged(id_=f"indicator--{uuid.uuid5(uuid.NAMESPACE_DNS, str(n))}", days=50) for n in range(80)]
    world.give("cert-ee/flux", *twins[:40])
    world.give("cert-ee/flux", *(sighting(each) for each in twins[:40]))
    asked.clear()
    world.give("cert-ee/flux", *twins[40:])
    assert asked
    assert max(asked.count(key) for key in asked) <= 40


def test_r18_one_more_sighting_costs_no_more_than_the_first(memory, monkeypatch):
    """What many told of one object is read once, and afterwards only what is new; what goes is read anew."""
    monkeypatch.setattr(ageing_room, "_MANY", 20)
    read: list[int] = []
    real = ages.told

    def counted(*given: Any) -> list[ages.Told]:
        found = real(*given)
        read.append(len(found))
        return found

    monkeypatch.setattr(ages, "told", counted)
    world = Ageing(memory, ageing())
    old = aged(days=50)
    world.give("cert-ee/flux", old, *(sighting(old, 9 + n, name=f"n{n}") for n in range(60)))
    world.later()
    read.clear()
    fresh = sighting(old, 3, name="another")
    world.give("circl/flux", fresh)
    world.later()
    assert read
    assert max(read) < 10
    assert world.rows(old["id"]) == [(NOW - 3 * DAY + LASTS, None)]
    world.give("circl/flux", {**fresh, "revoked": True, "modified": "2026-11-20T12:00:00.000Z"})
    world.later()
    assert world.rows(old["id"]) == [(NOW - 9 * DAY + LASTS, None)]


def test_false_positives_bring_the_end_forward(memory):
    """One for each peer, only if configured, and a later sighting outweighs them."""
    old = aged(days=50)
    reports = denial(old, 5), denial(old, 4, name="p"), denial(old, 60, name="before it was made")
    world = Ageing(memory, ageing())
    world.give("circl/feed", old)
    world.give("cert-ee/feed", *reports)
    world.give("ccc/alertes", denial(old, 3, name="q"), denial(old, name="mild", opinion="disagree"))
    world.later()
    assert world.rows(old["id"]) == [(NOW + 10 * DAY, None)]
    world.follow(ageing(None, replace(AGES, false_positive=4 * 86_400.0)))
    assert world.rows(old["id"]) == [(NOW + 2 * DAY, None)]
    world.give("cert-ee/feed", sighting(old, 3.5))
    world.later()
    assert world.rows(old["id"]) == [(NOW + (60 - 3.5 - 4) * DAY, None)]


def test_quality_and_confidence(memory):
    """The mean of what is known is what it begins with."""
    world = Ageing(memory, ageing(circl=50))
    plain, sure = aged("a.example"), aged("b.example", confidence=100)
    bad, elsewhere = aged("c.example", confidence=0), aged("d.example")
    world.give("circl/feed", plain, sure, bad)
    world.give("cert-ee/feed", elsewhere)
    assert world.rows(plain["id"]) == [(NOW + 30 * DAY, None)]
    assert timedelta(days=47) < world.rows(sure["id"])[0][0] - NOW < timedelta(days=48)
    assert world.rows(bad["id"]) == [], "25: no better than the threshold when it is new"
    assert world.rows(elsewhere["id"]) == [(NOW + LASTS, None)]


def test_rules_by_what_it_is_about(memory):
    """Addresses age faster than hashes, an observable by the day on which it came; the rest does not age at all."""
    fast = Expiry(types=frozenset({"indicator"}), kinds=frozenset({"ipv4-addr"}), half_life=86_400.0, threshold=25)
    seen = Expiry(types=frozenset({"ipv4-addr"}), half_life=86_400.0, threshold=50)
    world = Ageing(memory, ageing(None, fast, seen))
    address = aged("x", pattern="[ipv4-addr:value = '198.51.100.3']")
    both = aged("y", pattern="[ipv4-addr:value = '198.51.100.3' OR domain-name:value = 'a.example']")
    value = marked({"type": "ipv4-addr", "spec_version": "2.1", "value": "198.51.100.3",
                    "id": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"}, Tlp.GREEN)  # fmt: skip
    world.give("circl/feed", address, both, value, malware("m"))
    assert world.rows(address["id"]) == [(NOW + 2 * DAY, None)]
    assert world.rows(both["id"]) == world.rows(malware("m")["id"]) == [(None, None)]
    assert world.rows(value["id"]) == [(NOW + DAY, None)]
    world.later(2 * DAY)
    assert world.listed("ccc") == [both["id"], malware("m")["id"]]


def test_what_refers_to_it_stays_and_dangles(world):
    """R13: references are content."""
    old, family = aged(days=50), malware("m")
    link, seen = relationship(old, family, tlp=Tlp.GREEN), sighting(old, 49)
    world.give("circl/feed", old, family, link, seen)
    world.later(12 * DAY)
    assert world.listed("ccc") == [family["id"], link["id"], seen["id"]]


def test_in_a_fold_the_next_twin_takes_its_place(world):
    """The front expires by its own age; the twin that has not comes forward (R23)."""
    front = aged(days=59, id_="indicator--11111111-1111-4111-8111-111111111111")
    behind = aged(days=1, id_="indicator--22222222-2222-4222-8222-222222222222")
    world.give("circl/feed", front)
    world.give("cert-ee/feed", behind)
    assert world.listed("ccc", FOLDED) == [front["id"]]
    world.later(2 * DAY)
    assert world.listed("ccc", FOLDED) == [behind["id"]]


def test_an_opinion_does_not_outlive_its_owner_s_word(memory):
    """What the owner has ended another's copy does not prolong (R5)."""
    world = Ageing(memory, ageing())
    own = aged(days=10, created_by_ref=CCC_IDENTITY, valid_until=stamp(NOW + DAY))
    copy = aged(days=20, created_by_ref=CCC_IDENTITY, name="as we had it")
    world.give("circl/feed", copy)
    assert world.rows(copy["id"]) == [(NOW + 40 * DAY, None)]
    world.give("ccc/alertes", own)
    assert {end for end, _ in world.rows(copy["id"])} == {NOW + DAY}
    world.later(DAY)
    assert world.listed("cert-ee") == []


def test_a_revocation_does_not_age(memory):
    """The creator's own revocation is passed on as it is, however old (R8)."""
    world = Ageing(memory, ageing())
    gone = aged(days=100, revoked=True)
    world.give("circl/feed", gone)
    assert world.rows(gone["id"]) == [(None, None)]


def test_an_agreement_that_has_ended_keeps_nothing_too_old(memory):
    """What expires while its listing is suspended is not there when the agreement is renewed (R19)."""
    world = Ageing(memory, ageing())
    ends = [replace(each, end=(NOW + DAY).date()) for each in world.terms.agreements]
    world.follow(replace(world.terms, agreements=tuple(ends)))
    old = aged(days=50)
    world.give("circl/feed", old)
    world.pass_time(5 * DAY)
    assert world.later(6 * DAY) == 3
    assert world.rows(old["id"]) == [(NOW + 10 * DAY, "expiry.age")]


def test_many_are_closed_in_steps(memory):
    """More than one transaction takes; and what is stopped in between goes on."""
    world = Ageing(memory, ageing())
    many = [aged(f"{n}.example", 50) for n in range(450)]
    world.give("circl/feed", *many)
    asked = iter([False, True])
    world.now += 20 * DAY
    assert expire(memory, world.rules, lambda: world.now, lambda: next(asked)) > 0
    assert 0 < len(world.listed("ccc")) < len(many)
    world.later()
    assert world.listed("ccc") == []


def test_a_misp_is_owed_the_soft_delete(memory):
    """What a MISP has from us and is too old is recalled there (R8)."""
    depot = Target(peer="ccc", id="depot", kind="misp", url="https://misp.ccc.example/")
    given_terms = terms()
    ccc = replace(given_terms.peers["ccc"], targets=(depot,))
    world = Ageing(memory, ageing(replace(given_terms, peers={**given_terms.peers, "ccc": ccc})))
    old = aged(days=50)
    world.give("circl/feed", old)
    o, a = tables.outbox.c, tables.audience.c
    with memory.writing() as tx:
        tx.execute(tables.outbox.update().values(state="accepted"))
    world.later(11 * DAY)
    assert world.rows(old["id"], DEPOT) == [(NOW + 10 * DAY, "expiry.age")]
    with memory.reading() as tx:
        query = select(o.state).join(tables.audience, a.number == o.audience).where(a.channel == DEPOT)
        assert list(tx.execute(query).scalars()) == ["recall"]


INSIDE = "1d1c9f0e-52c7-4f0b-8a53-7f6f1f4e0a92"
MOVES = st.lists(
    st.tuples(st.sampled_from(["sighting", "twin", "denial"]), st.sampled_from(["own", "twin"]), st.integers(0, 3),
              st.integers(0, 40)), max_size=6,
)  # fmt: skip
"""What is said, of what: one of four indicators, or a twin of it, which only the hidden ones may give."""


@settings(max_examples=40)
@given(shown=MOVES, hidden=MOVES)
def test_what_it_may_not_see_decides_nothing(kept, shown, hidden):
    """R14: hidden sightings, false positives and twins change no end, no listing and no date, though others see them.

    Nor does a sighting that it sees, of a twin that it may not see.
    """
    shown = [move for move in shown if move[0] != "twin"]
    assert _told(kept, shown, []) == _told(kept, shown, hidden)


def _told(store: Store, shown: list[Any], hidden: list[Any]) -> Any:
    inside = collection(INSIDE, "interne", ("maison",), ceiling=Tlp.RED)
    world = Ageing(emptied(store), ageing(terms(inside=inside), replace(AGES, false_positive=5 * 86_400.0)))
    own = [aged(f"{n}.example", 45 + 5 * n) for n in range(4)]
    twins = [aged(f"{n}.example", 45, id_=f"indicator--{n}1111111-1111-4111-8111-111111111111") for n in range(4)]
    world.give("circl/feed", *own)
    for tlp, moves in ((Tlp.AMBER, hidden), (Tlp.GREEN, shown)):
        for turn, (kind, whose, which, days) in enumerate(moves):
            made = twins[which]
            if kind != "twin":
                say = denial if kind == "denial" else sighting
                made = say(own[which] if whose == "own" else made, days, name=f"{tlp}{turn}")
            world.give("cert-ee/feed", {**made, "object_marking_refs": [TLP2_ID[tlp]]})
    world.later()
    before = world.listed("ccc")
    ends = [world.rows(each["id"]) for each in own]
    world.later(12 * DAY)
    return before, ends, world.listed("ccc"), [world.rows(each["id"]) for each in own]


@settings(max_examples=20)
@given(order=st.permutations(range(6)), pause=st.integers(0, 5))
def test_the_order_of_arrival_decides_no_end(kept, order, pause):
    """Twins, sightings and denials in any order, with the job done in between or not: the same ends."""
    ids = [f"indicator--{n}1111111-1111-4111-8111-111111111111" for n in (1, 2)]
    one, two = aged(days=50, id_=ids[0]), aged(days=70, id_=ids[1])
    news = [one, two, sighting(two, 3), sighting(one, 9), denial(two, 1), sighting(one, 2, tlp=Tlp.RED)]
    world = Ageing(emptied(kept), ageing(None, replace(AGES, false_positive=5 * 86_400.0)))
    for turn, place in enumerate(order):
        world.give("circl/feed" if place % 2 else "cert-ee/feed", news[place])
        if turn == pause:
            world.later()
    world.later()
    found = {row for id_ in ids for row in world.rows(id_)[-1:]}
    assert found == {(NOW + (60 - 3 - 5) * DAY, None)}


def test_the_end_is_kept_in_microseconds(memory):
    world = Ageing(memory, ageing())
    world.give("circl/feed", aged())
    with memory.reading() as tx:
        assert set(tx.execute(select(tables.listing.c.expires)).scalars()) == {micros(NOW + LASTS)}
