"""R28: passwords that people choose belong to their account, are slow to guess, and are out when revoked."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from exchange.serve import passwords
from exchange.serve.login import LIMIT, LIMIT_IN_ALL
from exchange.store import accounts, micros
from tests.serve.house import OBJECTS, House, refused

TEAMS = ("ccc-1", "ccc-2")


@pytest.fixture
def chosen(house: House) -> House:
    """Two accounts of one peer, whose people chose the same password."""
    with house.store.writing() as tx:
        for name in TEAMS:
            accounts.open_account(tx, name, "ccc", passwords.hasher.hash("secret"), micros(house.world.now))
    return house


def ask(house: House, user: str, password: str) -> Any:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return house.client.simulate_get(OBJECTS, headers={"Authorization": f"Basic {pair}"})


def test_two_accounts_may_have_the_same_password(chosen: House) -> None:
    for name in TEAMS:
        assert ask(chosen, name, "secret").status_code == 200


@pytest.mark.parametrize(
    ("user", "password"), [("ccc-1", "Secret"), ("ccc", "secret"), ("exchange", "secret"), ("nobody", "secret")]
)
def test_it_opens_its_own_account_only(chosen: House, user: str, password: str) -> None:
    refused(ask(chosen, user, password), 401)


def test_it_opens_nothing_without_its_account(chosen: House) -> None:
    """Neither as a token, nor does what is kept of it."""
    with chosen.store.reading() as tx:
        ((kept, _),) = accounts.chosen(tx, "ccc-1")
    for shown in ("Bearer secret", "secret", f"Bearer {kept}"):
        refused(chosen.client.simulate_get(OBJECTS, headers={"Authorization": shown}), 401)
    refused(ask(chosen, "ccc-1", kept), 401)


def test_it_is_worked_out_once_in_five_minutes(chosen: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fits = passwords._fits
    monkeypatch.setattr(passwords, "_fits", lambda kept, shown: asked.append(shown) or fits(kept, shown))
    for _ in range(3):
        assert ask(chosen, "ccc-1", "secret").status_code == 200
    assert asked == ["secret"]
    chosen.world.now += timedelta(minutes=5)
    assert ask(chosen, "ccc-1", "secret").status_code == 200
    assert len(asked) == 2


def test_revoking_and_rotating_act_at_once(chosen: House) -> None:
    """R24: what this worker remembers does not outlive what the store holds."""
    now = micros(chosen.world.now)
    for name in TEAMS:
        assert ask(chosen, name, "secret").status_code == 200
    with chosen.store.writing() as tx:
        accounts.revoke(tx, "ccc-1", now)
        accounts.rotate(tx, "ccc-2", passwords.hasher.hash("other"), now, now)
    for name in TEAMS:
        refused(ask(chosen, name, "secret"), 401)
    assert ask(chosen, "ccc-2", "other").status_code == 200


def test_too_many_at_once_are_told_to_come_again(chosen: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of two: who waits too long gets 503, and nobody's request is held up for ever."""
    monkeypatch.setattr(passwords, "PATIENCE", 0.0)
    room = passwords.Passwords()
    for _ in range(passwords.POOL):
        room._turns.acquire()
    with pytest.raises(passwords.Unavailable):
        room.which("ccc-1", "secret", [], chosen.world.now)


@pytest.fixture
def crowded(chosen: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """One was let in, then others from the same address got as much wrong as is allowed; nothing is worked out."""
    assert ask(chosen, "ccc-1", "secret").status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "_fits", lambda *_: False)
        for n in range(LIMIT_IN_ALL):
            refused(ask(chosen, f"name-{n}", "wrong"), 401)
    monkeypatch.setattr(passwords, "_fits", lambda *_: pytest.fail("worked out"))
    return chosen


def test_who_is_remembered_gets_in_whatever_others_got_wrong(crowded: House) -> None:
    assert ask(crowded, "ccc-1", "secret").status_code == 200
    for name, password in (("ccc-1", "wrong"), ("ccc-2", "secret"), ("nobody", "wrong")):
        refused(ask(crowded, name, password), 429, "request.too_many_failures")


def test_what_is_remembered_cannot_be_guessed_for_nothing(crowded: House) -> None:
    """R28: past the limit too there are so many guesses at one account, and none tells whether it exists."""
    told = {ask(crowded, name, "wrong").content for name in ("ccc-1", "nobody") for _ in range(LIMIT + 1)}
    assert len(told) == 1
    refused(ask(crowded, "ccc-1", "secret"), 429, "request.too_many_failures")
    crowded.tick(seconds=61)
    assert ask(crowded, "ccc-1", "secret").status_code == 200
