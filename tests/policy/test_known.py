"""What the terms say as a whole: owners, our house, how many eyes, whether anything is hidden, held or altered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from policy_world import DAY, NOW, agreement, collection

from exchange.model.marking import Label, Tlp
from exchange.model.party import Agreement, Peer, Receive, Send, Terms
from exchange.policy import Rules
from exchange.policy.canonical import canonical

UUID = {name: f"{number}0000000-aaaa-4000-8000-00000000000{number}" for number, name in enumerate("abcdef", 1)}
NODE = f"identity--{UUID['f']}"
PEERS = {
    "ccc": Peer(id="ccc", name="C", identities=frozenset({f"identity--{UUID['a']}", UUID["b"]})),
    "maison": Peer(id="maison", name="M", home=True, identities=frozenset({f"identity--{UUID['c']}"})),
    "circl": Peer(id="circl", name="L"),
}
SILENT = agreement("silent", ["ccc"], receive=Receive(ceiling=Tlp.RED))
"""Sends nothing."""


def known(*agreements: Agreement, days: int = 0) -> Rules:
    room = collection(["ccc"])
    return Rules(
        Terms(peers=PEERS, collections={room.id: room}, agreements=agreements, node_identity=NODE),
        NOW + timedelta(days=days),
    )


def sends(name: str = "a", parties: tuple[str, ...] = ("ccc",), **clauses: Any) -> Agreement:
    return agreement(name, parties, send=Send(ceiling=Tlp.GREEN, **{"personal": "allowed", **clauses}))


def test_who_owns_an_identity() -> None:
    """R5: however its id is written, as an identity's or a MISP organisation's, in any case."""
    rules = known()
    for written in (UUID["a"], f"identity--{UUID['a']}", f"identity--{UUID['a'].upper()}", UUID["b"]):
        assert rules.owner(written) == "ccc"
    assert rules.owner(UUID["c"]) == "maison"
    assert rules.owner(UUID["d"]) == ""
    assert rules.owner("") == ""


def test_our_own_house_is_the_node_and_every_peer_at_home() -> None:
    rules = known()
    assert rules.ours == {UUID["f"], UUID["c"]}
    for number, (name, uuid) in enumerate(UUID.items()):
        assert rules.is_ours((f"identity--{uuid}", uuid.upper())[number % 2]) is (name in "cf")
    assert rules.identities["ccc"] == {UUID["a"], UUID["b"]}


def test_as_many_eyes_as_the_most_careful_agreement_asks_for() -> None:
    assert known().eyes == 1
    assert known(SILENT).eyes == 1
    assert known(sends("a", approvals=2), SILENT, sends("b", approvals=3), sends("c")).eyes == 3


def test_one_agreement_is_enough_to_hold_hide_or_alter() -> None:
    """What is asked once of all terms is so when a single agreement says it, and not for one that sends nothing."""
    plain, hidden = sends("a"), sends("b", attribution="anonymous")
    held, less = sends("c", personal="hold"), sends("d", redact=frozenset({"name"}))
    for terms, expected in (
        ((), (False, False, False)),
        ((SILENT,), (False, False, False)),
        ((plain, SILENT), (False, False, False)),
        ((plain, hidden, SILENT), (False, True, True)),
        ((plain, held, SILENT), (True, False, False)),
        ((plain, less, SILENT), (False, False, True)),
        ((hidden, held, less), (True, True, True)),
    ):
        rules = known(*terms)
        assert (rules.holds_personal, rules.anonymous, rules.alters) == expected


def test_which_producer_is_to_be_hidden() -> None:
    """Whoever is neither we nor our house; where no creator is named, its giver; where nobody is hidden, none."""
    rules = known(sends("a", attribution="anonymous"))
    ours, theirs = f"identity--{UUID['f'].upper()}", f"identity--{UUID['a']}"
    for peer in ("ccc", "maison", "nobody"):
        assert not rules.names_others(ours, peer)
        assert not rules.names_others(UUID["c"], peer)
        assert rules.names_others(theirs, peer)
        assert rules.names_others(f"identity--{UUID['d']}", peer)
    assert rules.names_others("", "ccc")
    assert rules.names_others("", "nobody")
    assert not rules.names_others("", "maison")
    assert not known(sends("a")).names_others(theirs, "ccc")


def test_the_epoch_is_of_what_has_begun() -> None:
    """R19: before the first day, on it and after it; an end needs no new epoch, for it is in each decision."""
    first = replace(sends("a"), start=NOW.date() + DAY, end=NOW.date() + 3 * DAY)
    epochs = [known(first, sends("b"), days=days).epoch for days in range(6)]
    assert epochs[0] != epochs[1]
    assert len(set(epochs[1:])) == 1
    assert len(epochs[0]) == 32
    assert known(sends("b"), sends("a")).epoch != known(sends("a")).epoch


def test_sets_are_written_in_order_wherever_they_stand() -> None:
    """R19, R24: what is made of them is the same in every process."""
    letters = frozenset("hgfedcba")
    assert canonical(letters) == tuple("abcdefgh")
    assert canonical([letters, (letters, 1)]) == (tuple("abcdefgh"), (tuple("abcdefgh"), "1"))
    assert canonical({2: letters, 1: None}) == (("1", "None"), ("2", tuple("abcdefgh")))
    assert canonical(Send(ceiling=Tlp.GREEN, types=letters))[:2] == (("ceiling", "1"), ("types", tuple("abcdefgh")))  # type: ignore[index]


def test_what_we_agreed_to_take() -> None:
    """All that a level does not say: from nobody unknown, from our own house anything, else what a clause lets in."""
    label = Label(tlp=Tlp.RED)
    picky = agreement("picky", ["ccc"], receive=Receive(ceiling=Tlp.GREEN, types=frozenset({"malware"})))
    today = agreement("today", ["ccc"], span="first-day", receive=Receive(ceiling=Tlp.GREEN))
    assert not known(SILENT).takes("nobody", "indicator", label)
    assert known().takes("maison", "indicator", label)
    assert not known().takes("ccc", "indicator", label)
    assert not known(sends()).takes("ccc", "indicator", label)
    assert known(SILENT).takes("ccc", "indicator", label)
    assert known(today).takes("ccc", "indicator", label)
    assert not known(today, days=-1).takes("ccc", "indicator", label)
    assert [known(picky).takes("ccc", kind, label) for kind in ("indicator", "malware")] == [False, True]
    assert not known(SILENT).takes("circl", "indicator", label)
