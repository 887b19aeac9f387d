"""Each account has its budget of requests; past it 429 with Retry-After, for this account and nobody else (R28)."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exchange.errors import TooManyRequests
from exchange.serve import rates
from exchange.serve.rates import WINDOW, Rates
from exchange.store import Store
from tests.serve.house import MANIFEST, OBJECTS, OTHERS, WRITABLE, House, refused
from tests.world import SHARED, indicator

SECOND = 1_000_000
START = 1_800_000_000 * SECOND


def admitted(budget: Rates, account: str, now: int) -> bool:
    try:
        budget.spend(account, now)
    except TooManyRequests as error:
        assert error.fields["retry_after"] >= 1
        return False
    return True


@pytest.fixture
def strict(memory: Store) -> House:
    """A node on which each account has six requests a minute."""
    return House(memory, requests_per_minute=6)


def test_past_the_budget_429_with_retry_after(strict: House) -> None:
    """A TAXII error resource that says when to come back; whoever waits that long is served."""
    strict.give(indicator())
    for _ in range(6):
        assert strict.get(OBJECTS).status_code == 200
    answer = strict.get(OBJECTS)
    refused(answer, 429, "request.too_many_requests")
    assert answer.headers["retry-after"] == "10"
    assert "x-taxii-date-added-last" not in answer.headers
    strict.tick(seconds=10)
    assert strict.get(OBJECTS).status_code == 200
    refused(strict.get(OBJECTS), 429)


def test_one_account_never_spends_anothers(strict: House) -> None:
    for _ in range(7):
        last = strict.get(OBJECTS, "ccc")
    refused(last, 429)
    assert strict.get(OBJECTS, "circl").status_code == 200


def test_strangers_cannot_spend_it(strict: House) -> None:
    """It is looked at after the login: wrong secrets under the account's name cost the account nothing."""
    wrong = f"Basic {base64.b64encode(b'ccc:wrong').decode()}"
    for n in range(30):
        strict.client.simulate_get(OBJECTS, headers={"Authorization": wrong}, remote_addr=f"192.0.2.{n}")
    for _ in range(6):
        assert strict.get(OBJECTS).status_code == 200


def test_every_resource_counts_alike(strict: House) -> None:
    """And past the budget all of them answer the same, whether there is something behind the address or not (R14)."""
    strict.get("/taxii2/", "circl")
    strict.get("/api/collections/", "circl")
    strict.get(MANIFEST, "circl")
    strict.get(f"/feeds/{SHARED}/manifest.json", "circl")
    strict.post(WRITABLE, {"objects": [indicator()]})
    strict.get("/api/status/none/", "circl")
    paths = ["/taxii2/", OBJECTS, f"/api/collections/{OTHERS}/objects/", "/api/collections/nothing/objects/"]
    answers = [strict.get(path, "circl") for path in paths]
    for answer in answers:
        refused(answer, 429)
    assert len({answer.content for answer in answers}) == 1


def test_nought_switches_it_off(memory: Store) -> None:
    house = House(memory, requests_per_minute=0)
    assert all(house.get("/api/").status_code == 200 for _ in range(50))


def test_the_operator_hears_of_it_once_a_minute(strict: House) -> None:
    """Each account, not each request: a client gone wild does not fill the log."""
    with capture_logs() as logs:
        for _ in range(20):
            strict.get("/api/")
        strict.tick(seconds=61)
        for _ in range(20):
            strict.get("/api/")
    assert [(line["event"], line["account"], line["limit"]) for line in logs] == [("serve.throttled", "ccc", 6)] * 2


@given(per_minute=st.integers(1, 1_000_000))
def test_the_whole_budget_may_come_at_once(per_minute: int) -> None:
    """Exactly that many are admitted in one instant (tried from one before the last, where it is large)."""
    budget = Rates(per_minute)
    if per_minute > 500:
        budget._due["a"] = START + (per_minute - 1) * budget._cost
    else:
        assert all(admitted(budget, "a", START) for _ in range(per_minute - 1))
    assert admitted(budget, "a", START)
    assert not admitted(budget, "a", START)


@given(
    per_minute=st.integers(1, 40),
    steps=st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=120),
)
def test_no_minute_sees_more_than_twice_the_budget(per_minute: int, steps: list[int]) -> None:
    """The law of the bucket: over any stretch of time, the budget at once and its rate for as long as it takes."""
    budget, now, times = Rates(per_minute), START, []
    for step in steps:
        now += step
        if admitted(budget, "a", now):
            times.append(now)
    for first, begun in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= per_minute + (times[last] - begun) * per_minute / WINDOW + 1e-6


@given(per_minute=st.integers(1, 600), before=st.integers(0, 700), late=st.integers(0, 3 * SECOND))
def test_whoever_waits_as_told_is_served(per_minute: int, before: int, late: int) -> None:
    budget = Rates(per_minute)
    for _ in range(before):
        admitted(budget, "a", START)
    try:
        budget.spend("a", START)
    except TooManyRequests as error:
        assert admitted(budget, "a", START + error.fields["retry_after"] * SECOND + late)


@given(per_minute=st.integers(1, 600), back=st.integers(2 * SECOND, 400 * 86_400 * SECOND))
def test_a_clock_that_steps_back_locks_nobody_out(per_minute: int, back: int) -> None:
    budget = Rates(per_minute)
    for _ in range(per_minute + 1):
        admitted(budget, "a", START)
    wait = 0
    try:
        budget.spend("a", START - back)
    except TooManyRequests as error:
        wait = error.fields["retry_after"]
    assert wait <= 61


def test_memory_is_bounded(monkeypatch: Any) -> None:
    """What is forgotten first are accounts that have their whole budget again: forgetting them changes nothing."""
    monkeypatch.setattr(rates, "_REMEMBERED", 10)
    budget = Rates(6)
    for n in range(9):
        admitted(budget, f"old-{n}", START)
    for _ in range(6):
        admitted(budget, "busy", START + 59 * SECOND)
    for n in range(5):
        admitted(budget, f"new-{n}", START + 60 * SECOND)
    assert len(budget._due) <= 10
    assert not admitted(budget, "busy", START + 60 * SECOND)
    for n in range(1000):
        admitted(budget, f"many-{n}", START + 60 * SECOND)
    assert len(budget._due) <= 11


def test_threads_share_one_budget() -> None:
    budget, counts = Rates(1000), []

    def ask() -> None:
        counts.append(sum(admitted(budget, "a", START) for _ in range(400)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1000
