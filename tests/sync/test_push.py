"""A push: what waits in the outbox leaves once, each object with its receipt, and nothing leaves that must not."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.errors import PeerBusy, PeerRefused, PeerUnreachable
from exchange.model.envelope import Outgoing
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store, audiences, blocks, listings, micros, open_store, statements, tables
from exchange.sync import push as push_module
from exchange.sync.explain import explain
from exchange.sync.overview import overview
from exchange.sync.push import RETRY, REVIEW
from exchange.sync.schedule import Schedule
from tests.sync.partners import ALERTS, DEPOT, OTHER, Desk, Taker
from tests.world import NOW, agreement, indicator, terms

LATER = NOW + timedelta(minutes=1)
LOST = PeerUnreachable("peer.unreachable", peer="ccc", detail="reset")
CIRCL = OTHER.key


def names(count: int) -> list[dict[str, Any]]:
    """Indicators for so many domains."""
    return [indicator(f"{n}.example") for n in range(count)]


def ids(objects: list[dict[str, Any]]) -> list[str]:
    """Their ids."""
    return [item["id"] for item in objects]


def test_each_object_gets_its_receipt(memory: Store) -> None:
    """accepted, refused and pending end as such in outbox, ledger and counts; the refused holds nothing back."""
    desk = Desk(memory)
    given = names(4)
    desk.world.give(CIRCL, *given)
    answers = dict(zip(ids(given), ["accepted", "refused", "accepted", "accepted"], strict=True))
    taker = Taker(lambda item: answers[item.id])
    run = desk.push(taker)
    assert run is not None
    assert (run.outcome, run.counts) == ("complete", {"accepted": 3, "refused": 1})
    assert taker.taken == ids(given)
    assert desk.outbox() == ["accepted", "refused", "accepted", "accepted"]
    assert desk.ledger() == list(answers.items())
    assert desk.push(taker) is None


def test_the_bytes_that_leave_are_those_that_are_stored(memory: Store) -> None:
    """Nobody's words are changed on the way out."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    taker = Taker()
    desk.push(taker)
    seqs = [row["seq"] for row in desk.rows(tables.statement)]
    with memory.reading() as tx:
        assert taker.bodies == list(statements.bodies(tx, seqs).values())


def test_the_ledger_says_to_whom_what_when_and_why(memory: Store) -> None:
    """One row for one acceptance, with peer, channel, version, agreement and time."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    desk.push(Taker())
    (row,) = desk.rows(tables.ledger)
    assert {name: row[name] for name in ("at", "peer", "channel", "stix_id", "version", "agreement", "outcome")} == {
        "at": micros(NOW),
        "peer": "ccc",
        "channel": "target:ccc/depot",
        "stix_id": indicator()["id"],
        "version": "2026-11-21T12:00:00.000000",
        "agreement": "reseau",
        "outcome": "accepted",
    }


def test_a_lost_answer_is_sent_again_and_accepted_once(memory: Store) -> None:
    """The peer took it and the answer was lost: nothing is settled, it is sent again, and the ledger has one row."""
    desk = Desk(memory)
    given = names(3)
    desk.world.give(CIRCL, *given)
    taker = Taker(raises=[LOST])
    run = desk.push(taker)
    assert run is not None
    assert (run.outcome, run.error, run.counts) == ("failed", LOST, {})
    assert desk.outbox() == ["pending"] * 3
    assert desk.ledger() == []
    assert desk.push(taker) is None
    desk.world.now += timedelta(seconds=RETRY)
    desk.push(taker)
    assert taker.taken == ids(given) * 2
    assert desk.ledger() == [(stix_id, "accepted") for stix_id in ids(given)]


def test_failures_double_the_wait_from_five_seconds_to_ten_minutes(memory: Store) -> None:
    """5, 10, 20 … 600 s; then a success starts it afresh."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    waits = []
    for _ in range(12):
        desk.world.now += timedelta(seconds=max(0.0, desk.due_in(DEPOT.key)))
        desk.push(Taker(raises=[LOST]))
        waits.append(desk.due_in(DEPOT.key))
    assert waits == [min(5.0 * 2**n, 600.0) for n in range(12)]
    desk.world.now += timedelta(hours=1)
    desk.push(Taker())
    assert desk.standing(DEPOT.key).failures == 0
    assert desk.due_in(DEPOT.key) == 0.0


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (PeerBusy("peer.busy", retry_after=120.0), 120.0),
        (PeerRefused("peer.refused", status=403), 300.0),
    ],
    ids=["busy", "refused"],
)
def test_a_target_is_left_alone_as_it_asked(memory: Store, error: Exception, wait: float) -> None:
    """429 and 503 are obeyed; after 401 and 403 a person has to act."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    desk.push(Taker(raises=[error]))
    assert desk.due_in(DEPOT.key) == wait


def test_what_was_settled_before_a_failure_stays_settled(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch commits by itself: a failure in the second one does not send the first one again."""
    monkeypatch.setattr(push_module, "BATCH", 2)
    desk = Desk(memory)
    given = names(4)
    desk.world.give(CIRCL, *given)
    taker = Taker(raises=[None, LOST])
    desk.push(taker)
    assert desk.outbox() == ["accepted", "accepted", "pending", "pending"]
    desk.world.now += timedelta(seconds=RETRY)
    desk.push(taker)
    assert Counter(taker.taken) == Counter(ids(given) + ids(given[2:]))
    assert len(desk.ledger()) == 4


def test_r3_what_the_peer_gave_itself_is_not_sent(memory: Store) -> None:
    """R3: of several who gave the same version the target is one: it knows it already."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    desk.world.give(ALERTS.key, indicator())
    taker = Taker()
    run = desk.push(taker)
    assert taker.taken == []
    assert desk.outbox() == ["known"]
    assert desk.ledger() == []
    assert run is not None
    assert run.counts == {"known": 1}


def test_r8_withdrawn_before_it_leaves_is_not_sent(memory: Store) -> None:
    """R8: what became stricter while it waited never leaves."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator(), indicator("stays.example"))
    desk.world.give(CIRCL, indicator(tlp=Tlp.RED, modified=LATER))
    taker = Taker()
    desk.push(taker)
    assert taker.taken == [indicator("stays.example")["id"]]
    assert desk.outbox() == ["withdrawn", "accepted"]


def test_r17_what_is_withdrawn_between_two_batches_is_not_sent(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: each batch is judged against everything committed before it left."""
    monkeypatch.setattr(push_module, "BATCH", 1)
    desk = Desk(memory)
    first, second = names(2)
    desk.world.give(CIRCL, first, second)
    taker = Taker()
    taker.during = lambda: desk.world.give(CIRCL, indicator("1.example", tlp=Tlp.RED, modified=LATER))
    desk.push(taker)
    assert taker.taken == [first["id"]]


def test_withdrawn_while_it_was_on_its_way_waits_no_longer(memory: Store) -> None:
    """An object that is withdrawn during the request, and called pending by the peer, does not wait for ever; since it
    has left, the peer is told (RULES R8)."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    taker = Taker(lambda _: "pending")
    taker.during = lambda: desk.world.give(CIRCL, indicator(tlp=Tlp.RED, modified=LATER))
    desk.push(taker)
    assert desk.outbox() == ["withdrawn", "pending"]
    assert [stix_id.partition("--")[0] for stix_id in taker.taken] == ["indicator", "note"]


def test_r25_the_gate_stops_bytes_above_the_clearance(memory: Store) -> None:
    """R25: bytes with a stricter mark than the target may have do not leave, whatever stands in the listing."""
    desk = Desk(memory)
    given = names(3)
    desk.world.give(CIRCL, *given)
    seq = next(row["seq"] for row in desk.rows(tables.statement) if row["stix_id"] == given[1]["id"])
    with memory.writing() as tx:
        body = statements.bodies(tx, [seq])[seq]
        spoilt = body.replace(TLP2_ID[Tlp.GREEN].encode(), TLP2_ID[Tlp.RED].encode())
        assert spoilt != body
        (place,) = blocks.keep(tx, [spoilt])
        tx.execute(tables.listing.update().where(tables.listing.c.seq == seq).values(**place._asdict()))
    taker = Taker()
    run = desk.push(taker)
    assert taker.taken == [given[0]["id"], given[2]["id"]]
    assert desk.outbox() == ["accepted", "stopped", "accepted"]
    assert run is not None
    assert run.counts == {"accepted": 2, "stopped": 1}
    assert len(desk.ledger()) == 2


@pytest.mark.parametrize("peer", ["ccc", "*"])
def test_r31_while_the_brake_is_pulled_nothing_leaves(memory: Store, peer: str) -> None:
    """R31: not even a forced push; let go, everything that waited leaves."""
    desk = Desk(memory)
    desk.world.give(CIRCL, *names(2))
    desk.brake(peer, "out")
    taker = Taker()
    assert desk.push(taker, forced=True) is None
    assert taker.taken == []
    desk.let_go(peer, "out")
    desk.push(taker)
    assert taker.taken == ids(names(2))


def test_r31_a_brake_within_a_push_stops_the_next_batch(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R31: the batch on its way is settled, the next does not leave."""
    monkeypatch.setattr(push_module, "BATCH", 2)
    desk = Desk(memory)
    desk.world.give(CIRCL, *names(4))
    taker = Taker()
    taker.during = lambda: desk.brake("ccc", "out")
    run = desk.push(taker)
    assert run is not None
    assert run.outcome == "paused"
    assert desk.outbox() == ["accepted", "accepted", "pending", "pending"]


def test_r31_a_brake_on_what_comes_does_not_stop_what_leaves(memory: Store) -> None:
    """R31: the two directions are apart."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    desk.brake("ccc", "in")
    taker = Taker()
    desk.push(taker)
    assert len(taker.taken) == 1


def test_r19_after_the_end_of_the_agreement_nothing_leaves(memory: Store) -> None:
    """R19: what waits when the agreement ends stays; a renewal lets it go without listing it anew."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    desk.world.pass_time(timedelta(days=500))
    taker = Taker()
    assert desk.push(taker, forced=True) is None
    renewed = replace(desk.world.terms.agreements[0], end=desk.world.now.date() + timedelta(days=10))
    desk.world.follow(replace(desk.world.terms, agreements=(renewed,)))
    desk.push(taker)
    assert taker.taken == [indicator()["id"]]


def test_without_an_agreement_to_send_nothing_waits(memory: Store) -> None:
    """R2: a target whose peer has no agreement that sends gets nothing put into its outbox."""
    receiving = agreement("a", "ccc", "circl", receive=Receive(ceiling=Tlp.RED))
    desk = Desk(memory, terms(agreements=[receiving]))
    desk.world.give(CIRCL, indicator())
    assert desk.outbox() == []
    assert desk.push(Taker(), forced=True) is None


def test_an_agreement_that_is_taken_away_withdraws_what_waits(memory: Store) -> None:
    """R8: what waited under an agreement that is no longer there is withdrawn and never leaves."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    without = agreement("reseau", "cert-ee", "circl", receive=Receive(ceiling=Tlp.AMBER), send=Send(ceiling=Tlp.GREEN))
    desk.world.follow(replace(desk.world.terms, agreements=(without,)))
    taker = Taker()
    assert desk.push(taker, forced=True) is None
    assert taker.taken == []
    assert set(desk.outbox()) == {"withdrawn"}


def test_r19_while_the_terms_are_being_decided_nothing_leaves(memory: Store) -> None:
    """R19: an audience that is shut hands nothing over."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    with memory.writing() as tx:
        tx.execute(tables.audience.update().values(open=False))
    taker = Taker()
    assert desk.push(taker, forced=True) is None
    with memory.writing() as tx:
        audiences.reopen(tx)
    desk.push(taker)
    assert len(taker.taken) == 1


def test_pending_is_asked_again_and_given_up_at_last(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that only ever says pending is asked a limited number of times, then counts as having refused."""
    monkeypatch.setattr(push_module, "MOST_ATTEMPTS", 5)
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    taker = Taker(lambda _: "pending")
    runs = 0
    while desk.pending():
        run = desk.push(taker)
        assert run is not None
        runs += 1
        assert runs <= 5 + 2
        if desk.pending():
            assert run.outcome == "waiting"
            assert desk.due_in(DEPOT.key) == REVIEW
            assert desk.ledger() == []
        desk.world.now += timedelta(seconds=REVIEW)
    assert desk.outbox() == ["refused"]
    assert desk.ledger() == [(indicator()["id"], "refused")]
    assert 5 <= len(taker.taken) <= 5 + 1


def test_the_status_of_what_is_pending_is_kept_over_a_restart(tmp_path: Path) -> None:
    """It comes with the object the next time, whoever sends it; once the object is settled it is forgotten."""
    url = f"sqlite:///{tmp_path}/exchange.db"
    with closing(open_store(url)) as store:
        desk = Desk(store)
        desk.world.give(CIRCL, *names(2))
        taker = Taker(lambda _: "pending")
        taker.status = "7"
        desk.push(taker)
        assert taker.followed == ["", ""]
        later = desk.world.now + timedelta(seconds=REVIEW)
    with closing(open_store(url)) as store:
        desk = Desk(store)
        desk.world.now = later
        assert [row["status"] for row in desk.rows(tables.outbox)] == ["7", "7"]
        (line,) = [line for line in overview(store, desk.world.terms, later) if line.key == DEPOT.key]
        assert (line.waiting, line.followed) == (2, 2)
        told = explain(store, desk.world.rules, "0.example", later).deliveries
        assert [(row["state"], row["status"]) for row in told] == [("pending", "7")]
        taker = Taker(lambda item: "accepted" if item.id == names(1)[0]["id"] else "refused")
        taker.status = "8"  # a status of what is settled means nothing
        desk.push(taker)
        assert taker.followed == ["7", "7"]
        assert [(row["state"], row["status"]) for row in desk.rows(tables.outbox)] == [
            ("accepted", ""),
            ("refused", ""),
        ]
        (line,) = [line for line in overview(store, desk.world.terms, later) if line.key == DEPOT.key]
        assert (line.waiting, line.followed) == (0, 0)


def test_what_is_withdrawn_is_no_longer_asked_about(memory: Store) -> None:
    """R8: the peer's status of what became stricter is forgotten with it; as it may have it, a notice goes there."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    taker = Taker(lambda _: "pending")
    taker.status = "7"
    desk.push(taker)
    desk.world.give(CIRCL, indicator(tlp=Tlp.RED, modified=LATER))
    assert [(row["state"], row["status"]) for row in desk.rows(tables.outbox)] == [("withdrawn", ""), ("pending", "")]


def test_pending_does_not_hold_back_the_rest(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of objects that the peer calls pending does not stop those behind them."""
    monkeypatch.setattr(push_module, "BATCH", 2)
    desk = Desk(memory)
    given = names(6)
    desk.world.give(CIRCL, *given)
    slow = set(ids(given[:2]))
    taker = Taker(lambda item: "pending" if item.id in slow else "accepted")
    desk.push(taker)
    assert desk.outbox() == ["pending", "pending", "accepted", "accepted", "accepted", "accepted"]


def test_pending_is_asked_once_in_a_run(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long outbox does not use up the attempts of one slow object: within a run it is offered once."""
    monkeypatch.setattr(push_module, "BATCH", 2)
    desk = Desk(memory)
    given = names(50)
    desk.world.give(CIRCL, *given)
    taker = Taker(lambda item: "pending" if item.id == given[0]["id"] else "accepted")
    desk.push(taker)
    assert desk.outbox()[0] == "pending"
    assert Counter(taker.taken)[given[0]["id"]] == 1


def test_news_does_not_wait_for_what_is_pending(memory: Store) -> None:
    """It leaves at once, alone; what is pending is asked for when its time has come, and not later."""
    desk = Desk(memory)
    slow, news, more = names(3)
    desk.world.give(CIRCL, slow)
    taker = Taker(lambda item: "pending" if item.id == slow["id"] else "accepted")
    desk.push(taker)
    assert desk.push(taker) is None
    for wait, given in ((20.0, news), (REVIEW - 30.0, more)):
        desk.world.now += timedelta(seconds=wait)
        desk.world.give(CIRCL, given)
        run = desk.push(taker)
        assert run is not None
        assert (run.outcome, run.counts) == ("waiting", {"accepted": 1})
        assert taker.taken[-1] == given["id"]
    assert desk.due_in(DEPOT.key) == 10.0
    desk.world.now += timedelta(seconds=10)
    desk.push(taker)
    assert Counter(taker.taken) == {slow["id"]: 2, news["id"]: 1, more["id"]: 1}


def test_an_object_without_a_receipt_is_pending(memory: Store) -> None:
    """A client that forgets a receipt loses nothing: the object is offered again."""
    desk = Desk(memory)
    given = names(2)
    desk.world.give(CIRCL, *given)
    forgetful, whole = Taker(), Taker()
    plain = forgetful.push
    forgetful.push = lambda target, objects: plain(target, objects)[:1]  # type: ignore[method-assign]
    desk.push(forgetful)
    assert desk.outbox()[0] == "accepted"
    desk.world.now += timedelta(seconds=REVIEW)
    desk.push(whole)
    assert "accepted" in desk.outbox()[1:]


def test_a_target_is_served_by_one_at_a_time(memory: Store) -> None:
    """While one worker pushes, another one does not send the same again."""
    desk = Desk(memory)
    desk.world.give(CIRCL, indicator())
    other, taker, second = desk.worker("second"), Taker(), Taker()
    taker.during = lambda: desk.push(second, work=other, forced=True)
    desk.push(taker)
    assert (len(taker.taken), second.taken) == (1, [])


def test_stopping_ends_the_push_after_the_batch_at_hand(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is told to stop settles its batch and leaves the rest for the next start."""
    monkeypatch.setattr(push_module, "BATCH", 1)
    desk = Desk(memory)
    desk.world.give(CIRCL, *names(3))

    def stop() -> None:
        desk.stopping = True

    taker = Taker()
    taker.during = stop
    run = desk.push(taker)
    assert run is not None
    assert run.outcome == "stopping"
    assert desk.outbox() == ["accepted", "pending", "pending"]
    assert desk.standing(DEPOT.key).lease_owner is None


def test_a_new_version_is_handed_over_too(memory: Store) -> None:
    """What was accepted once is sent again only when there is a new version of it."""
    desk = Desk(memory)
    taker = Taker()
    desk.world.give(CIRCL, indicator())
    desk.push(taker)
    desk.world.give(CIRCL, indicator())
    assert desk.push(taker) is None
    desk.world.give(CIRCL, indicator(modified=LATER, name="changed"))
    desk.push(taker)
    assert taker.taken == [indicator()["id"]] * 2
    assert len(desk.ledger()) == 2


def test_what_the_peer_accepted_is_not_sent_again_when_an_agreement_is_added(memory: Store) -> None:
    """Nothing comes twice: a second agreement with a peer does not hand over again what it holds."""
    desk = Desk(memory)
    taker = Taker()
    desk.world.give(CIRCL, *names(3))
    desk.push(taker)
    second = agreement("b", "ccc", send=Send(ceiling=Tlp.GREEN))
    desk.world.follow(replace(desk.world.terms, agreements=(*desk.world.terms.agreements, second)))
    desk.push(taker, forced=True)
    assert taker.taken == ids(names(3))


def test_without_outbound_there_is_no_target(memory: Store) -> None:
    """`outbound = false`: the schedule knows no target, so nothing can be handed over."""
    desk = Desk(memory)
    assert Schedule(memory, desk.world.terms, _no_client, clock=lambda: NOW, outbound=False).targets() == {}
    assert set(Schedule(memory, desk.world.terms, _no_client, clock=lambda: NOW).targets()) == {DEPOT.key}


def test_a_target_that_is_disabled_is_not_served(memory: Store) -> None:
    """`enabled = false` on a target takes it out of the schedule."""
    desk = Desk(memory)
    ccc = desk.world.terms.peers["ccc"]
    off = replace(ccc, targets=tuple(replace(target, enabled=False) for target in ccc.targets))
    given = replace(desk.world.terms, peers={**desk.world.terms.peers, "ccc": off})
    assert Schedule(memory, given, _no_client, clock=lambda: NOW).targets() == {}


def _no_client(*_: Any) -> Any:
    raise AssertionError("nobody is asked")


def test_parcels_leave_in_the_order_in_which_they_were_listed(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oldest first, so that what an object refers to tends to be there before it."""
    monkeypatch.setattr(push_module, "BATCH", 3)
    desk = Desk(memory)
    given = names(8)
    for item in given:
        desk.world.give(CIRCL, item)
    taker = Taker()
    desk.push(taker)
    assert taker.taken == ids(given)


def test_outgoing_carries_the_version(memory: Store) -> None:
    """Receipts are matched by id and version, so both go along."""
    desk = Desk(memory)
    seen: list[tuple[str, str]] = []

    def say(item: Outgoing) -> str:
        seen.append((item.id, item.version))
        return "accepted"

    desk.world.give(CIRCL, indicator(), indicator(modified=LATER, name="changed"))
    desk.push(Taker(say))
    with memory.reading() as tx:
        rows = [row for row in listings.standing(tx, [indicator()["id"]]) if row.audience]
    assert set(seen) <= {(row.stix_id, row.version) for row in rows}
    assert (indicator()["id"], "2026-11-21T12:01:00.000000") in seen
