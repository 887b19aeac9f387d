"""R28, R29, R24: who may knock, how often, and from where."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from exchange.serve.login import LIMIT, Proxies, Tally, presented
from exchange.store import Store, accounts, micros
from exchange.store.accounts import new_secret
from tests.serve.house import OBJECTS, House, refused
from tests.world import NOW


def basic(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def ask(house: House, header: str, address: str = "192.0.2.1", **more: str) -> Any:
    headers = {"Authorization": header} | {name.replace("_", "-"): value for name, value in more.items()}
    return house.client.simulate_get(OBJECTS, headers=headers, remote_addr=address)


def test_one_secret_in_every_form(house: House) -> None:
    secret = house.secrets["ccc"]
    for header in (
        f"Bearer {secret}",
        f"bearer  {secret}",
        basic("ccc", secret),
        basic("ccc", secret, "basic"),
        basic("exchange", secret),
        secret,
    ):
        assert ask(house, header).status_code == 200, header


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Negotiate abc",
        "x" * 5000,
        " ",
    ],
)
def test_nothing_else_opens(house: House, header: str) -> None:
    answer = ask(house, header)
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == 'Basic realm="exchange", Bearer'


def test_no_account(house: House) -> None:
    refused(house.get(OBJECTS, None), 401, "request.no_account")


def test_the_name_must_go_with_the_secret(house: House) -> None:
    refused(ask(house, basic("circl", house.secrets["ccc"])), 401)
    refused(ask(house, basic("ccc", house.secrets["circl"])), 401)


def test_failures_are_counted_by_address_and_account(house: House) -> None:
    """Past the limit: 429 with Retry-After, here and for this account only; after a minute it is over."""
    for _ in range(LIMIT):
        refused(ask(house, basic("ccc", "wrong")), 401)
    answer = ask(house, basic("ccc", "wrong"))
    refused(answer, 429, "request.too_many_logins")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    refused(ask(house, basic("ccc", house.secrets["ccc"])), 429)
    assert ask(house, basic("ccc", house.secrets["ccc"]), "192.0.2.2").status_code == 200
    assert ask(house, basic("circl", house.secrets["circl"])).status_code == 200
    house.tick(seconds=61)
    assert ask(house, basic("ccc", house.secrets["ccc"])).status_code == 200


def test_nameless_failures_lock_nobody_out(house: House) -> None:
    """Behind one address many teams may stand: a wrong token of one does not stop the right token of another."""
    for _ in range(LIMIT):
        refused(ask(house, "Bearer wrong"), 401)
    refused(ask(house, "Bearer wrong again"), 429)
    assert ask(house, f"Bearer {house.secrets['ccc']}").status_code == 200


def test_a_success_forgets_the_failures(house: House) -> None:
    for _ in range(3):
        for _ in range(LIMIT - 1):
            refused(ask(house, basic("ccc", "wrong")), 401)
        assert ask(house, basic("ccc", house.secrets["ccc"])).status_code == 200


def test_the_tally_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("exchange.serve.login._REMEMBERED", 5)
    tally = Tally()
    for n in range(50):
        tally.failed(f"192.0.2.{n}", "a", NOW)
    assert len(tally._counts) == 5


def test_revoked_and_rotated_on_the_next_request(house: House) -> None:
    """R24: what a worker remembers never outlives a change of the store."""
    old = f"Bearer {house.secrets['ccc']}"
    assert ask(house, old).status_code == 200
    secret, digest = new_secret()
    with house.store.writing() as tx:
        accounts.rotate(tx, "ccc", digest, micros(house.world.now), micros(house.world.now) + 60_000_000)
    assert ask(house, old).status_code == ask(house, f"Bearer {secret}").status_code == 200
    house.tick(seconds=60)
    refused(ask(house, old), 401)
    assert ask(house, f"Bearer {secret}").status_code == 200
    with house.store.writing() as tx:
        accounts.revoke(tx, "ccc", micros(house.world.now))
    refused(ask(house, f"Bearer {secret}"), 401)


@pytest.mark.parametrize("store_url", ["file", "postgresql"], indirect=True)
def test_revoked_by_another_process(store: Store) -> None:
    """The same on every engine, when the change comes over a connection that is not ours."""
    house = House(store)
    header = f"Bearer {house.secrets['ccc']}"
    assert ask(house, header).status_code == 200
    other = Store(store.url)
    try:
        with other.writing() as tx:
            accounts.revoke(tx, "ccc", micros(house.world.now))
    finally:
        other.close()
    refused(ask(house, header), 401)


def test_forwarded_addresses_only_from_our_proxies(memory: Store) -> None:
    """R29: a client cannot choose the address under which its failures are counted."""
    house = House(memory, proxies=("10.0.0.0/8",))
    for n in range(LIMIT):
        refused(ask(house, basic("ccc", "wrong"), X_Forwarded_For=f"198.51.100.{n}"), 401)
    refused(ask(house, basic("ccc", "wrong"), X_Forwarded_For="198.51.100.99"), 429)
    for _ in range(LIMIT):
        refused(ask(house, basic("ccc", "wrong"), "10.1.1.1", X_Forwarded_For="6.6.6.6, 198.51.100.7, 10.2.2.2"), 401)
    refused(ask(house, basic("ccc", "wrong"), "10.1.1.1", X_Forwarded_For="198.51.100.7"), 429)
    refused(ask(house, basic("ccc", "wrong"), "10.1.1.1", X_Forwarded_For="198.51.100.8"), 401)


def test_proxies() -> None:
    proxies = Proxies(("10.0.0.0/8", "::1"))
    assert proxies.trusts("10.9.8.7")
    assert proxies.trusts("::1")
    assert not proxies.trusts("11.0.0.1")
    assert not proxies.trusts("no address")


def test_a_secret_may_hold_a_colon() -> None:
    """MISP's and others' passwords do; only the first colon divides."""
    found, same = presented(basic("a", "b:c")), presented("Bearer b:c")
    assert found is not None
    assert same is not None
    assert (found.user, found.digest) == ("a", same.digest)
