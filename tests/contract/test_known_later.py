"""What becomes known later leaves nothing open that left before (RULES R17), on every engine and by the front door."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.recall import EXTENSION
from exchange.serve import Visitor
from exchange.store import Store, audiences, later
from exchange.sync import afterwards, altering
from tests.contract.test_derived import FROM, Reading, identity, under
from tests.contract.test_derived import later as newer
from tests.world import (
    CCC_IDENTITY,
    SHARED,
    emptied,
    indicator,
    marked,
    relationship,
)

MINUTE = timedelta(minutes=1)
STRANGER = "identity--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"
HIDDEN = under(attribution="anonymous")


class Door(Reading):
    """A world whose readers come by the front door."""

    def __init__(self, store: Store, given: Any = HIDDEN) -> None:
        super().__init__(store, given)
        self._visitor = Visitor(store, lambda: self.rules, lambda: self.now)
        self._visitor.admit(sorted(self.terms.peers))

    def ask(self, peer: str = "circl", query: str = "limit=10000&match[version]=all") -> tuple[str, bytes]:
        """The status and the bytes that a GET is answered."""
        answer = self._visitor.ask(peer, f"/api/collections/{SHARED}/objects/?{query}")
        return answer.status[:3], answer.body

    def got(self, peer: str = "circl") -> list[dict[str, Any]]:
        """The objects that a GET is answered, but for notices."""
        status, body = self.ask(peer)
        assert status == "200"
        return [o for o in json.loads(body).get("objects", ()) if EXTENSION not in o.get("extensions", {})]

    def after(self, *objects: dict[str, Any], source: str = FROM) -> None:
        """A minute later `source` brings these, and what is left to do then is done."""
        self.now += MINUTE
        self.give(source, *objects)
        afterwards.resume(self.store, self.rules, lambda: self.now, lambda: False)

    def apply(self, **peer: Any) -> None:
        """A minute later CCC is known by something else."""
        self.now += MINUTE
        self.follow(replace(self.terms, peers={**self.terms.peers, "ccc": replace(self.terms.peers["ccc"], **peer)}))


def told(name: str = "Vigie du Nord", contact: str = "mailto:soc@vigie.example", **more: Any) -> dict[str, Any]:
    """The identity of CCC, as CCC gives it."""
    return {**identity(name), "contact_information": contact, **more}


def about(**more: Any) -> dict[str, Any]:
    return indicator(
        created_by_ref=CCC_IDENTITY, description="Seen by Vigie du Nord, see //www.vigie.example/7", **more
    )


def clean(body: bytes) -> bool:
    return b"vigie" not in body.lower()


def test_r17_the_order_in_which_a_name_is_told_changes_nothing(store: Store) -> None:
    """The identity first, with the object or after it: the same bytes leave, and none of the producer's."""
    found = []
    for order in ("before", "with", "after"):
        world = _emptied(store)
        match order:
            case "before":
                world.give(FROM, told())
                world.after(about())
            case "with":
                world.give(FROM, about(), told())
            case _:
                world.give(FROM, about())
                assert not clean(world.ask()[1]), "nobody has told that this is a name"
                world.after(told())
        assert clean(world.ask()[1])
        found.append({each["type"]: {**each, "extensions": None} for each in world.got()})
    assert found[0] == found[1] == found[2]


def test_what_goes_by_more_names_than_anybody_looks_for_is_held(store: Store) -> None:
    """Promise 6: each name costs in each text, under the writer lock, and an identity may tell thousands."""
    world = Door(store)
    world.give(FROM, told(contact=" ".join(f"//www.h{n}.example" for n in range(150))), about())
    assert world.got() == []
    assert world.reasons(about()["id"]) == ("transform.producer_unknown",)


def _emptied(store: Store) -> Door:
    emptied(store)
    with store.writing() as tx:
        audiences.set_note(tx, audiences.NODE_SECRET, "5e" * 32)
    return Door(store)


def test_r17_it_is_made_anew_under_the_id_that_they_know(store: Store) -> None:
    """A reader who follows gets it again; nobody is told to throw it away, and its older bytes are served nowhere."""
    world = Door(store)
    world.give(FROM, about())
    (before,) = world.got()
    with store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
    assert row is not None
    world.after(told())
    status, body = world.ask(query=f"added_after={_moment(row.last_added)}")
    after = [each for each in json.loads(body)["objects"] if each["type"] == "indicator"]
    assert (status, [each["id"] for each in after]) == ("200", [before["id"]])
    assert after[0]["modified"] == before["modified"]
    assert world.told() == []
    assert clean(world._visitor.ask("circl", f"/api/collections/{SHARED}/objects/{before['id']}/").body)
    assert world.reasons(about()["id"]) == ("release.agreement", "transform.anonymous")


def _moment(added: int) -> str:
    from exchange.store import moment

    return moment(added).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_r17_what_went_as_it_is_gives_way_to_an_altered_one(store: Store) -> None:
    """It showed nobody by what was known, so it went under its own id; that is recalled (R8)."""
    world = Door(store)
    made = indicator(description="Seen by Vigie du Nord")
    world.give(FROM, made)
    assert [each["id"] for each in world.got()] == [made["id"]]
    world.after(told())
    assert clean(world.ask()[1].replace(made["id"].encode(), b""))
    assert made["id"] not in {each["id"] for each in world.got()}
    assert world.told() == [made["id"]]


def test_r17_what_cannot_be_made_anew_is_closed_and_recalled(store: Store) -> None:
    """The name stands where nothing can be taken out: R8."""
    world = Door(store)
    made = {**about(), "pattern": "[domain-name:value = 'vigie.example']", "description": "bad"}
    world.give(FROM, made)
    (before,) = world.got()
    world.after(told())
    assert [each["type"] for each in world.got()] == ["identity"]
    assert world.told() == [before["id"]]
    assert world.reasons(made["id"]) == ("transform.required",)


@pytest.mark.parametrize("more", [{"name": "Sentinelle"}, {"contact_information": "mailto:soc@sentinelle.example"}])
def test_r17_a_new_version_of_the_identity_tells_another_name(store: Store, more: dict[str, str]) -> None:
    """The old name is no less a name for that."""
    world = Door(store)
    made = indicator(created_by_ref=CCC_IDENTITY, description="By Sentinelle, sentinelle.example, Vigie du Nord")
    world.give(FROM, told(), made)
    assert clean(world.ask()[1])
    world.after(newer(told(), 1, **more))
    body = world.ask()[1].lower()
    assert b"sentinelle.example" not in body
    assert clean(body)
    assert b"by " in body, "what names nobody stays"
    assert len({each["id"] for each in world.got() if each["type"] == "indicator"}) == 1


def test_r17_versions_of_an_object_follow_the_name_one_and_all(store: Store) -> None:
    world = Door(store)
    world.give(FROM, about())
    world.after(newer(about(), 1, labels=["more"]))
    world.after(told())
    assert clean(world.ask()[1])
    assert len([each for each in world.got() if each["type"] == "indicator"]) == 2


def test_r17_a_name_that_an_operator_writes_down_is_taken_out(store: Store) -> None:
    """By `apply`, and by the next one, and by the one that takes that back: each time what stands is read again."""
    world = Door(store)
    made = indicator(created_by_ref=CCC_IDENTITY, description="Alpha, Beta and gamma.example say so")
    world.give(FROM, made)
    for values, gone in (
        ({"name": "Alpha"}, {b"Alpha"}),
        ({"name": "Beta", "contact": "mailto:a@gamma.example"}, {b"Beta", b"gamma"}),
        ({"name": "Alpha", "contact": "mailto:a@gamma.example"}, {b"Alpha", b"gamma"}),
    ):
        world.apply(**values)
        status, body = world.ask()
        assert status == "200"
        assert not {word for word in gone if word in body}
    assert len(world.got()) == 1
    assert world.told() == []


def test_r19_while_an_apply_goes_on_nobody_reads_the_old_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has something under the new name is shut out until it is made anew, and then never sees the old again."""
    from exchange.sync import terms as changing

    world = Door(store)
    world.give(FROM, indicator(created_by_ref=CCC_IDENTITY, description="Alpha says so"))
    world.now += MINUTE
    given = replace(world.terms, peers={**world.terms.peers, "ccc": replace(world.terms.peers["ccc"], name="Alpha")})
    world.terms, world.rules = given, type(world.rules)(given, world.now)
    changing.follow(store, world.rules, world.now)
    assert world.ask()[0] == "503"
    seen: list[tuple[str, bytes]] = []
    walk = changing.stages.walk

    def looking(*args: Any) -> int:
        done = walk(*args)
        seen.append(world.ask())
        return done

    monkeypatch.setattr(changing.stages, "walk", looking)
    changing.pursue(store, world.rules, lambda: world.now)
    assert {status for status, _ in seen} == {"200", "503"}
    assert not any(b"Alpha" in body for _, body in seen)


def test_r17_what_waited_for_a_name_goes_when_an_operator_writes_it_down(store: Store) -> None:
    """And waits again when nobody tells it any more."""
    world = Door(store)
    made = indicator(created_by_ref=STRANGER, description="By Zeta Labs")
    world.give(FROM, made)
    assert world.got() == []
    own = world.terms.peers["ccc"]
    world.apply(identities=own.identities | {STRANGER}, name="Zeta Labs")
    assert len(world.got()) == 1
    assert b"Zeta" not in world.ask()[1]
    world.apply(identities=own.identities, name=own.name)
    assert world.got() == []
    assert world.reasons(made["id"]) == ("transform.producer_unknown",)


def test_r14_what_another_source_calls_the_producer_changes_no_byte(store: Store) -> None:
    world = Door(store)
    world.give(FROM, about())
    before = world.ask()
    world.after(marked({**told(), "name": "Seen"}, Tlp.RED), source="circl/feed")
    assert world.ask() == before


def test_r14_what_another_source_has_altered_changes_no_reference(store: Store) -> None:
    """Whether an id inside is a new one rests on what the same source said of its object."""
    found = []
    made = indicator(name="secret")
    hidden = marked(indicator(name="other words"), Tlp.AMBER)
    for first in ((), (hidden,)):
        world = _emptied(store)
        world.follow(under(redact=frozenset({"name", "description"}), ceiling=Tlp.AMBER, onward=True))
        if first:
            world.give("cert-ee/feed", *first)
        link = {**relationship(made, indicator("b.example"), tlp=Tlp.GREEN), "description": "goes"}
        world.give(FROM, link)
        found.append([each["source_ref"] for each in world.got("circl") if each["type"] == "relationship"])
    assert found[0] == found[1] == [made["id"]]


def many(count: int) -> list[dict[str, Any]]:
    return [
        indicator(f"n{at}.example", created_by_ref=CCC_IDENTITY, description=f"{at} by Vigie du Nord" * (at % 2))
        for at in range(count)
    ]


def test_r18_of_many_objects_a_few_are_read_at_a_time_and_none_is_served_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand: shut at once, then made anew in steps; broken off between two of them, it goes on."""
    world = Door(store)
    everything = many(2_000)
    for begin in range(0, len(everything), 500):
        world.give(FROM, *everything[begin : begin + 500], last=begin == 1_500)
    assert not clean(world.ask()[1])
    made: list[int] = []
    relist = altering.Forms._make
    monkeypatch.setattr(altering.Forms, "_make", lambda self, wanted: made.append(1) or relist(self, wanted))
    world.now += MINUTE
    world.give(FROM, told())
    assert world.ask()[0] == "503"
    world.follow(replace(world.terms, peers={**world.terms.peers, "circl": replace(world.terms.peers["circl"])}))
    assert world.ask()[0] == "503"
    steps = iter((False, False, True))
    afterwards.resume(store, world.rules, lambda: world.now, lambda: next(steps))
    with store.reading() as tx:
        entry = later.first(tx)
    assert entry is not None and 0 < entry.after < 2_000
    assert world.ask()[0] == "503"
    afterwards.resume(store, world.rules, lambda: world.now, lambda: False)
    status, body = world.ask()
    assert status == "200"
    assert clean(body)
    assert len(world.got()) == 2_001
    with store.reading() as tx:
        assert not later.any_left(tx)


def test_r18_a_name_that_tells_nothing_new_shuts_nobody_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Door(store)
    monkeypatch.setattr(later, "MOST", 3)
    world.give(FROM, told(), *many(8))
    world.now += MINUTE
    world.give(FROM, newer(told(), 1, description="more about us"))
    assert world.ask()[0] == "200"
    with store.reading() as tx:
        assert not later.any_left(tx)


MARK = "marking-definition--0a0b0c0d-1111-4222-8333-444455556666"


@pytest.mark.parametrize("where", ["object", "part"])
def test_r12_a_mark_of_the_producers_own_tells_whose_it_is(store: Store, where: str) -> None:
    """No mark ever goes, and who reads its definition elsewhere knows who made it: so it is held."""
    given = replace(
        HIDDEN,
        agreements=tuple(
            replace(a, receive=a.receive and replace(a.receive, informational_markings=frozenset({"statement"})))
            for a in HIDDEN.agreements
        ),
    )
    world = Door(store, given)
    definition = {
        "type": "marking-definition", "spec_version": "2.1", "id": MARK, "created_by_ref": CCC_IDENTITY,
        "created": "2026-01-01T00:00:00.000Z", "definition_type": "statement",
        "definition": {"statement": "© Vigie du Nord"},
    }  # fmt: skip
    made = about()
    if where == "object":
        made["object_marking_refs"] = [*made["object_marking_refs"], MARK]
    else:
        made["granular_markings"] = [{"marking_ref": MARK, "selectors": ["description"]}]
    world.give(FROM, told(), definition, made)
    assert [each["type"] for each in world.got()] == ["identity"]
    assert MARK.encode() not in world.ask()[1]
    assert world.reasons(made["id"]) == ("transform.named",)
