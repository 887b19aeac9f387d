"""R29: client certificates that a proxy of ours passes on (RFC 9440), and none that anyone else sends."""

from __future__ import annotations

import base64
import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exchange.serve import certificates
from exchange.serve.certificates import UNREADABLE, passed_on
from exchange.serve.login import LIMIT
from exchange.store import Store, accounts, micros
from tests.serve.house import OBJECTS, House, ids, refused
from tests.serve.paper import Authority, Paper, element, paper
from tests.world import NOW, indicator

PROXY, STRANGER = "10.0.0.1", "192.0.2.1"
TEAM = paper("team", NOW + timedelta(days=30))
OTHER = paper("other", datetime(2075, 6, 1, tzinfo=UTC))


def tie(house: House, name: str, shown: Paper, until: datetime, *, keep: timedelta = timedelta()) -> None:
    at = house.world.now
    with house.store.writing() as tx:
        assert accounts.tie(tx, name, shown.fingerprint, micros(until), micros(at), micros(at + keep))


@pytest.fixture
def proxied(memory: Store) -> House:
    """A node behind a proxy; the account `ccc` is tied to a certificate."""
    house = House(memory, proxies=("10.0.0.0/8",))
    house.give(indicator())
    tie(house, "ccc", TEAM, NOW + timedelta(days=30))
    return house


def ask(house: House, header: str, address: str = PROXY, **more: str) -> Any:
    headers = {"Client-Cert": header} | {name.replace("_", "-"): value for name, value in more.items()}
    return house.client.simulate_get(OBJECTS, headers=headers, remote_addr=address)


def test_it_opens_the_same_account_as_its_secret(proxied: House) -> None:
    """Same page, same rights, same ledger."""
    answer = ask(proxied, TEAM.header)
    assert ids(answer) == [indicator()["id"]]
    assert answer.content == proxied.get(OBJECTS).content
    assert {account for account, _, _ in proxied.reads()} == {"ccc"}
    assert ask(proxied, TEAM.header.replace("=", "")).status_code == 200, "padding is not insisted on (RFC 8941)"
    assert ask(proxied, TEAM.escaped).status_code == 200, "as nginx writes it"


def test_r29_only_a_proxy_of_ours_is_believed(proxied: House) -> None:
    """A certificate is public: from anyone else the header says nothing, and is answered as if it were not there."""
    nobody = proxied.get(OBJECTS, None)
    refused(nobody, 401, "request.no_account")
    for answer in (
        ask(proxied, TEAM.header, STRANGER),
        ask(proxied, TEAM.header, STRANGER, X_Forwarded_For=PROXY),
        ask(proxied, ":broken", STRANGER),
    ):
        assert (answer.status_code, answer.content, answer.headers) == (401, nobody.content, nobody.headers)


def test_r29_without_a_proxy_nobody_is_believed(house: House) -> None:
    tie(house, "ccc", TEAM, NOW + timedelta(days=30))
    refused(ask(house, TEAM.header), 401, "request.no_account")
    refused(ask(house, TEAM.header, "127.0.0.1"), 401, "request.no_account")


def test_an_account_may_have_no_secret(proxied: House) -> None:
    with proxied.store.writing() as tx:
        assert accounts.open_account(tx, "machine", "circl", None, micros(NOW))
        assert not accounts.open_account(tx, "machine", "circl", None, micros(NOW))
    tie(proxied, "machine", OTHER, NOW + timedelta(days=30))
    assert ask(proxied, OTHER.header).status_code == 200
    assert proxied.reads()[-1][0] == "machine"


def test_what_opens_nothing_looks_alike(proxied: House) -> None:
    """Unknown, ended, replaced, of a revoked account, broken: one answer, to the byte."""
    ended, replaced, revoked = (paper(name, NOW) for name in ("ended", "replaced", "revoked"))
    tie(proxied, "circl", ended, NOW)
    tie(proxied, "cert-ee", replaced, NOW + timedelta(days=30))
    tie(proxied, "cert-ee", OTHER, NOW + timedelta(days=30))
    tie(proxied, "maison", revoked, NOW + timedelta(days=30))
    with proxied.store.writing() as tx:
        accounts.revoke(tx, "maison", micros(NOW))
    unknown = paper("unknown", NOW + timedelta(days=30))
    broken = [
        ":!!!:", ":AAAA", "AAAA:", "::x::", ":A:", "é", f"{TEAM.header},{TEAM.header}", f"{TEAM.header};a=1",
        TEAM.header[1:-1], "-----BEGIN CERTIFICATE-----", ":" + "A" * 100_000 + ":",
    ]  # fmt: skip
    headers = [each.header for each in (ended, replaced, revoked, unknown)] + broken
    answers = [ask(proxied, header, f"10.0.1.{n}") for n, header in enumerate(headers)]
    for answer in answers:
        refused(answer, 401, "request.wrong_certificate")
        assert answer.headers["www-authenticate"] == 'Basic realm="exchange", Bearer'
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert ask(proxied, OTHER.header).status_code == 200


@pytest.mark.parametrize("header", ["", " ", "::"])
def test_a_proxy_that_has_none_to_pass_on(proxied: House, header: str) -> None:
    refused(ask(proxied, header), 401, "request.no_account")


def test_a_secret_that_is_shown_decides(proxied: House) -> None:
    """Whoever shows a secret is judged by it: a wrong one is not mended by a certificate, a right one needs none."""
    refused(ask(proxied, TEAM.header, Authorization="Bearer wrong"), 401, "request.wrong_secret")
    found = ask(proxied, TEAM.header, Authorization=f"Bearer {proxied.secrets['circl']}")
    assert found.status_code == 200
    assert proxied.reads()[-1][0] == "circl"
    unknown = ask(proxied, OTHER.header, Authorization=f"Bearer {proxied.secrets['circl']}")
    assert unknown.status_code == 200


def test_the_certificate_itself_is_no_secret(proxied: House) -> None:
    """What is tied is its hash, and its bytes are public: none of its forms passes for a password or token."""
    for form in (TEAM.header, TEAM.header[1:-1], TEAM.fingerprint, TEAM.der.decode("latin-1")):
        token = base64.b64encode(b"ccc:" + form.encode()).decode()
        for header in (f"Bearer {form.encode('ascii', 'replace').decode()}", f"Basic {token}"):
            refused(ask(proxied, "", Authorization=header), 401)
        proxied.tick(seconds=61)


def test_it_ends_by_the_clock(proxied: House) -> None:
    proxied.tick(days=29, hours=23, minutes=59)
    assert ask(proxied, TEAM.header).status_code == 200
    proxied.tick(minutes=1)
    refused(ask(proxied, TEAM.header), 401, "request.wrong_certificate")
    assert proxied.get(OBJECTS).status_code == 200, "its secret is another key"


def test_a_new_one_takes_its_place_after_a_while(proxied: House) -> None:
    """As with secrets: the old one stays valid for the time given, and a revocation ends both at once (R24)."""
    tie(proxied, "ccc", OTHER, NOW + timedelta(days=700), keep=timedelta(hours=1))
    assert ask(proxied, TEAM.header).status_code == ask(proxied, OTHER.header).status_code == 200
    proxied.tick(hours=1)
    refused(ask(proxied, TEAM.header), 401)
    assert ask(proxied, OTHER.header).status_code == 200
    with proxied.store.writing() as tx:
        accounts.revoke(tx, "ccc", micros(proxied.world.now))
    refused(ask(proxied, OTHER.header), 401, "request.wrong_certificate")


def test_an_old_one_never_gets_longer_by_its_successor(proxied: House) -> None:
    tie(proxied, "ccc", OTHER, NOW + timedelta(days=700), keep=timedelta(days=365))
    proxied.tick(days=30)
    refused(ask(proxied, TEAM.header), 401, "request.wrong_certificate")


def test_failures_are_counted_and_told(proxied: House) -> None:
    """The operator is told which certificate it was; its like behind the same address goes on."""
    stranger = paper("stranger", NOW + timedelta(days=1))
    with capture_logs() as logs:
        refused(ask(proxied, stranger.header, X_Forwarded_For=STRANGER), 401)
    assert [(line["event"], line["address"], line["fingerprint"]) for line in logs] == [
        ("serve.certificate_refused", STRANGER, stranger.fingerprint)
    ]
    for _ in range(LIMIT - 1):
        refused(ask(proxied, stranger.header, X_Forwarded_For=STRANGER), 401)
    refused(ask(proxied, stranger.header, X_Forwarded_For=STRANGER), 429, "request.too_many_logins")
    assert ask(proxied, TEAM.header, X_Forwarded_For=STRANGER).status_code == 200


def test_on_every_engine(store: Store) -> None:
    house = House(store, proxies=("10.0.0.0/8",))
    tie(house, "ccc", TEAM, NOW + timedelta(days=30))
    tie(house, "ccc", TEAM, NOW + timedelta(days=30))
    assert ask(house, TEAM.header).status_code == 200
    with store.reading() as tx:
        assert accounts.holder(tx, TEAM.fingerprint) == "ccc"
        assert accounts.certificates(tx) == {"ccc": [(TEAM.fingerprint, micros(NOW + timedelta(days=30)))]}
    with store.writing() as tx:
        accounts.revoke(tx, "ccc", micros(NOW))
        assert not accounts.tie(tx, "ccc", TEAM.fingerprint, 1, 1, 1)
    refused(ask(house, TEAM.header), 401)


@pytest.mark.parametrize(
    "until",
    [
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("version", [True, False])
def test_its_end_is_read(until: datetime, version: bool) -> None:
    """RFC 5280 section 4.1.2.5: two digits of a year until 2049, four after; with and without a version field."""
    made = paper("a", until, version=version)
    for text in (made.pem, f"Subject: CN=a\n{made.pem}{TEAM.pem}", made.pem.replace("\n", "\r\n")):
        found = certificates.read(text)
        assert (found.not_after, found.fingerprint) == (until, made.fingerprint)


def test_real_certificates(tmp_path: Path) -> None:
    """The end and the fingerprint are those that openssl says."""
    authority = Authority(tmp_path)
    for name, days in (("short", 1), ("long", 20_000)):
        path, key = authority.issue(name, days=days)
        found = certificates.read(key.read_text() + path.read_text())
        assert found.not_after == authority.end_of(path)
        assert found.fingerprint == hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).hexdigest()


def test_what_is_no_certificate_is_a_value_error() -> None:
    good = TEAM.der
    wrong = [good[:-1], good + b"\x00", b"", b"\x30\x80\x00\x00", element(0x30, b""), element(0x30, element(0x30, b""))]
    for der in wrong:
        with pytest.raises(ValueError):
            certificates.read(Paper(der=der).pem)
    for text in ("", "no", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", TEAM.pem.replace("-----END", "")):
        with pytest.raises(ValueError):
            certificates.read(text)


@given(at=st.integers(0, len(TEAM.der) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_no_bytes_hurt_the_reader(at: int, byte: int, cut: bool) -> None:
    """Any damage is a ValueError or a certificate, and nothing else."""
    der = TEAM.der[:at] if cut else TEAM.der[:at] + bytes([byte]) + TEAM.der[at + 1 :]
    try:
        found = certificates.read(Paper(der=der).pem)
    except ValueError:
        return
    assert found.fingerprint == hashlib.sha256(der).hexdigest()


@given(header=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda b: f":{b.decode('latin-1')}:")))
def test_no_header_hurts_the_reader(header: str) -> None:
    found = passed_on(header)
    assert found is None or found == UNREADABLE or len(found) == 64


@given(der=st.binary(min_size=1, max_size=300))
def test_the_forms_of_a_header_say_the_same(der: bytes) -> None:
    shown = Paper(der=der)
    assert passed_on(shown.header) == passed_on(shown.escaped) == passed_on(f" {shown.header} ") == shown.fingerprint
