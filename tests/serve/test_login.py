"""R28, R29, R24: who may knock, how often, and from where."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from exchange.errors import TooManyRequests
from exchange.serve import passwords
from exchange.serve.login import ANYONE, LIMIT, LIMIT_IN_ALL, Proxies, Tally, presented
from exchange.store import Store, accounts, micros
from exchange.store.accounts import new_secret
from tests.serve.house import MANIFEST, OBJECTS, TAXII, WRITABLE, House, refused
from tests.world import NOW, SHARED


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


BEHIND_THE_DOOR = [
    ("GET", "/taxii2/"), ("GET", "/api/"), ("GET", "/api/collections/"), ("GET", f"/api/collections/{SHARED}/"),
    ("GET", MANIFEST), ("GET", OBJECTS), ("GET", f"{OBJECTS}x/"), ("POST", WRITABLE), ("GET", "/api/status/x/"),
    ("GET", f"/feeds/{SHARED}/manifest.json"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), BEHIND_THE_DOOR)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_a_401_says_how_to_log_in_everywhere(house: House, method: str, path: str, headers: dict[str, str]) -> None:
    """Section 3.6.1 and RFC 9110 section 11.6.1: a TAXII error resource, and the schemes that open."""
    answer = house.client.simulate_request(method, path, headers=headers, body=b"{}")
    refused(answer, 401)
    assert answer.headers["content-type"] == TAXII
    assert answer.headers["www-authenticate"] == 'Basic realm="exchange", Bearer'


def test_r28_failures_look_alike(house: House) -> None:
    """No name, a wrong secret, another's secret, a secret rotated away, a revoked account: one answer, to the byte."""
    gone, digest = new_secret()
    expired = house.secrets["circl"]
    with house.store.writing() as tx:
        accounts.open_account(tx, "gone", "ccc", digest, micros(house.world.now))
        accounts.revoke(tx, "gone", micros(house.world.now))
        accounts.rotate(tx, "circl", new_secret()[1], micros(house.world.now), micros(house.world.now))
    shown = [
        basic("nobody", "wrong"),
        basic("ccc", "wrong"),
        basic("ccc", house.secrets["cert-ee"]),
        basic("gone", gone),
        basic("gone", "wrong"),
        basic("circl", expired),
        basic(ANYONE, "wrong"),
        f"Bearer {gone}",
        f"Bearer {expired}",
        "Bearer wrong",
        "Basic !!!",
    ]
    answers = [ask(house, header) for header in shown]
    for answer in answers:
        refused(answer, 401, "request.wrong_secret")
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


def test_r28_the_limit_looks_alike(house: House) -> None:
    """Past it too: a name that exists is told by nothing from one that does not."""
    last = []
    for name in ("ccc", "nobody"):
        for _ in range(LIMIT + 1):
            answer = ask(house, basic(name, "wrong"), f"192.0.2.{len(last)}")
        refused(answer, 429, "request.too_many_logins")
        last.append((answer.content, tuple(sorted(answer.headers.items()))))
    assert last[0] == last[1]


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


@pytest.mark.parametrize("backend", ["memory", "postgresql"], indirect=True)
@pytest.mark.parametrize("header", [basic("a\0b", "x"), basic("ccc", "x\0"), basic("\0", "\0")])
def test_a_nul_opens_nothing(store: Store, header: str) -> None:
    """No engine is asked for a name that it cannot hold; also where people choose passwords."""
    house = House(store)
    with store.writing() as tx:
        accounts.open_account(tx, "marie", "ccc", passwords.hashed("correct horse"), micros(NOW))
    refused(ask(house, header), 401, "request.wrong_secret")
    assert presented(header) is None


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


def test_names_without_end_from_one_address(house: House) -> None:
    """R28: past a limit over all names a wrong login gets 429; a right one opens, here and elsewhere."""
    for n in range(LIMIT_IN_ALL):
        refused(ask(house, basic(f"name-{n}", "wrong")), 401)
    for name in ("name-x", "ccc", "circl"):
        answer = ask(house, basic(name, "wrong"))
        refused(answer, 429, "request.too_many_failures")
        assert 0 < int(answer.headers["retry-after"]) <= 60
    for name in ("ccc", "circl"):
        assert ask(house, basic(name, house.secrets[name])).status_code == 200
        assert ask(house, f"Bearer {house.secrets[name]}").status_code == 200
    refused(ask(house, basic("ccc", "wrong")), 429, "request.too_many_failures")
    refused(ask(house, basic("name-x", "wrong"), "192.0.2.2"), 401)
    house.tick(seconds=61)
    refused(ask(house, basic("ccc", "wrong")), 401)


def test_a_network_of_ipv6_counts_as_one_address(house: House) -> None:
    """A host there has 2**64 addresses; its neighbour's network is another."""
    for n in range(LIMIT_IN_ALL):
        refused(ask(house, basic("ccc", "wrong"), f"2001:db8:1:1::{n:x}"), 401)
    refused(ask(house, basic("ccc", "wrong"), "2001:db8:1:1:ffff::1"), 429, "request.too_many_failures")
    refused(ask(house, basic("ccc", "wrong"), "2001:db8:1:2::1"), 401)
    assert ask(house, basic("ccc", house.secrets["ccc"]), "2001:db8:1:1:ffff::1").status_code == 200


def test_a_success_forgets_the_failures(house: House) -> None:
    for _ in range(3):
        for _ in range(LIMIT - 1):
            refused(ask(house, basic("ccc", "wrong")), 401)
        assert ask(house, basic("ccc", house.secrets["ccc"])).status_code == 200


def test_the_tally_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr("exchange.serve.login._REMEMBERED", 5)
    tally = Tally()
    for n in range(50):
        tally.failed(f"192.0.2.{n}", "a" * 4000, NOW)
    assert len(tally._counts) == 5
    assert all(len(name or "") <= 100 for _, name in tally._counts)


def test_a_flood_cannot_push_its_own_count_out(monkeypatch: Any) -> None:
    """Varied names fill the memory, but what all of them add up to is the newest entry, and ends the filling."""
    monkeypatch.setattr("exchange.serve.login._REMEMBERED", 5)
    tally = Tally()
    for n in range(LIMIT_IN_ALL):
        tally.failed("192.0.2.1", f"name-{n}", NOW)
    with pytest.raises(TooManyRequests):
        tally.failed("192.0.2.1", "another", NOW)


def test_a_clock_that_steps_back_ends_the_waiting() -> None:
    tally = Tally()
    for _ in range(LIMIT):
        tally.failed("192.0.2.1", "a", NOW)
    tally.check("192.0.2.1", "a", NOW - timedelta(days=1))
    with pytest.raises(TooManyRequests):
        tally.check("192.0.2.1", "a", NOW + timedelta(seconds=59))


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


@pytest.mark.parametrize("backend", ["file", "postgresql"], indirect=True)
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
    assert proxies.trusts("::ffff:10.9.8.7"), "as a socket of both families names it"
    assert not proxies.trusts("11.0.0.1")
    assert not proxies.trusts("::ffff:11.0.0.1")
    assert not proxies.trusts("no address")


def test_a_secret_may_hold_a_colon() -> None:
    """MISP's and others' passwords do; only the first colon divides."""
    found, same = presented(basic("a", "b:c")), presented("Bearer b:c")
    assert found is not None
    assert same is not None
    assert (found.user, found.digest) == ("a", same.digest)
