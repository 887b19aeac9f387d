"""What no partner can do to us over HTTP: hold us, fill us, send us elsewhere, or learn a secret."""

import dataclasses
import gzip
import time

import pytest
from doubles import NOW, Asked, Told, Waits, access, dripping, serving

from exchange.errors import PeerBusy, PeerProtocol, PeerRefused, PeerUnreachable
from exchange.model.party import Credentials
from exchange.peers.session import NOWHERE, origin_of


class Turns:
    """Answers in turn; the last one stays."""

    def __init__(self, *told: Told) -> None:
        self.told = list(told)

    def __call__(self, _: Asked) -> Told:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]


def get(url, waits=None, path="", **limits):
    with access(waits, **limits).session(url) as session:
        return session.get(url + path)


def test_it_waits_as_long_as_retry_after_says():
    waits = Waits()
    date = {"Retry-After": "Sat, 21 Nov 2026 12:00:09 GMT"}
    with serving(Turns(Told(429, headers={"Retry-After": "7"}), Told(503, headers=date), Told(body=b"here"))) as site:
        assert get(site.url, waits).body == b"here"
    assert NOW.second == 0
    assert waits.seconds == [7.0, 9.0]


def test_it_backs_off_further_each_time_and_gives_up():
    waits = Waits()
    with serving(Turns(Told(502))) as site, pytest.raises(PeerUnreachable) as failed:
        get(site.url, waits, tries=4)
    assert failed.value.code == "peer.gateway"
    assert len(site.asked) == 4
    assert [0.5 * 2**n <= s <= 2.0**n for n, s in enumerate(waits.seconds)] == [True, True, True]


def test_a_peer_that_wants_long_is_left_alone():
    waits = Waits()
    with serving(Turns(Told(503, headers={"Retry-After": "3600"}))) as site, pytest.raises(PeerBusy) as failed:
        get(site.url, waits)
    assert failed.value.retry_after == 3600
    assert len(site.asked) == 1
    assert waits.seconds == []


def test_a_post_is_sent_once():
    with serving(Turns(Told(503))) as site, access().session(site.url) as session, pytest.raises(PeerBusy):
        session.post(site.url, b"{}")
    assert len(site.asked) == 1


def test_a_refusal_is_not_tried_again_and_tells_no_secret():
    said = b'{"you sent": "s3cret"}'
    with serving(Turns(Told(401, said))) as site, pytest.raises(PeerRefused) as failed:
        get(site.url)
    assert len(site.asked) == 1
    assert "s3cret" not in str(failed.value)
    assert failed.value.fields["contact"] == "echange@ccc.example"


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_peer_that_drips_is_left_at_the_deadline(head):
    """One byte at a time meets every read timeout; the deadline of the whole request holds (client#49)."""
    with dripping(head) as url:
        began = time.monotonic()
        with pytest.raises(PeerUnreachable) as failed:
            get(url, total=0.4, tries=1)
    assert failed.value.code == "peer.timeout"
    assert time.monotonic() - began < 3


def test_the_limit_counts_what_comes_out_of_the_compression():
    bomb = gzip.compress(bytes(5_000_000))
    told = Told(body=bomb, headers={"Content-Encoding": "gzip"})
    with serving(Turns(told)) as site, pytest.raises(PeerProtocol) as failed:
        get(site.url, size=100_000)
    assert failed.value.code == "peer.too_large"
    with serving(Turns(Told(body=bomb))) as site, pytest.raises(PeerProtocol) as failed:
        get(site.url, size=100_000)
    assert failed.value.code == "peer.too_large"


def test_gzip_that_does_not_say_so_is_read():
    with serving(Turns(Told(body=gzip.compress(b"plain")))) as site:
        assert get(site.url).body == b"plain"


def test_credentials_never_follow_a_redirect_to_another_origin():
    with (
        serving(Turns(Told())) as other,
        serving(Turns(Told(302, headers={"Location": other.url}))) as site,
        pytest.raises(PeerProtocol) as failed,
    ):
        get(site.url)
    assert failed.value.code == "peer.redirect"
    assert other.asked == []


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{evil}\\@{home}/", "http://127.0.0.1:{evil}\t@{home}/", "http://127.0.0.1:{evil} @{home}/"],
)
def test_r29_an_address_that_two_readers_take_for_two_is_none(address):
    """It names our server to the one who looks, and another one to the one who connects."""
    with serving(Turns(Told())) as other, serving(Turns(Told())) as home:
        server = home.url.removeprefix("http://").rstrip("/")
        leads = address.format(evil=other.url.rstrip("/").rpartition(":")[2], home=server)
        assert origin_of(leads) == NOWHERE
        with serving(Turns(Told(302, headers={"Location": leads}))) as site, pytest.raises(PeerProtocol):
            get(site.url)
        with access().session(leads) as session, pytest.raises(PeerProtocol) as failed:
            session.get(leads)
        assert failed.value.code == "peer.foreign_origin"
        assert other.asked == home.asked == []


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://A.example/x", "https://a.example:443"), ("http://[::1]:8080/", "http://::1:8080"),
        ("https://u:p@b.example", "https://b.example:443"), ("http://b.example:99999/", NOWHERE),
    ],
)  # fmt: skip
def test_an_origin_is_scheme_host_and_port(address, origin):
    assert origin_of(address) == origin


def test_a_request_waits_for_its_turn_and_does_not_wait_for_ever():
    """The budget of the peer: a short wait is waited, a long one is left to the schedule."""
    waits = Waits()
    with serving(Turns(Told(body=b"ok"))) as site:
        turn = dataclasses.replace(access(waits), spend=lambda: 2.0)
        with turn.session(site.url) as session:
            session.get(site.url)
        assert waits.seconds == [2.0]
        long = dataclasses.replace(access(waits), spend=lambda: 61.0)
        with long.session(site.url) as session, pytest.raises(PeerBusy) as failed:
            session.get(site.url)
    assert (failed.value.code, failed.value.retry_after) == ("peer.budget", 61.0)
    assert waits.seconds == [2.0]


def test_a_redirect_at_home_is_followed_with_our_account():
    with serving(lambda a: Told(body=b"ok") if a.path == "/b/" else Told(301, headers={"Location": "/b/"})) as site:
        assert get(site.url).body == b"ok"
    assert all("Authorization" in asked.headers for asked in site.asked)


def test_a_circle_of_redirects_ends():
    with serving(Turns(Told(302, headers={"Location": "/"}))) as site, pytest.raises(PeerProtocol):
        get(site.url)
    assert len(site.asked) < 10


def test_no_other_origin_is_asked():
    with access().session("https://a.example/") as session, pytest.raises(PeerProtocol) as failed:
        session.get("https://a.example:8443/")
    assert failed.value.code == "peer.foreign_origin"


def test_the_environment_gives_neither_proxy_nor_account(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login evil password evil\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    with serving(Turns(Told(body=b"direct"))) as site, access(credentials=Credentials()).session(site.url) as session:
        assert session.get(site.url).body == b"direct"
    assert "Authorization" not in site.asked[0].headers


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (Credentials(user="u", password="p"), "Basic dTpw"),
        (Credentials(token="t0ken"), "Bearer t0ken"),
        (Credentials(key="k" * 40), "k" * 40),
    ],
)
def test_every_kind_of_secret_goes_its_own_way(credentials, header):
    with serving(Turns(Told())) as site, access(credentials=credentials).session(site.url) as session:
        session.get(site.url)
    assert site.asked[0].headers["Authorization"] == header


def test_nobody_there_is_unreachable():
    with serving(Turns(Told())) as site:
        pass
    waits = Waits()
    with pytest.raises(PeerUnreachable):
        get(site.url, waits, tries=3)
    assert len(waits.seconds) == 2


def test_a_stopping_daemon_is_not_held_by_retries():
    waits = Waits(stopping=True)
    with serving(Turns(Told(503))) as site, pytest.raises(PeerUnreachable) as failed:
        get(site.url, waits)
    assert failed.value.code == "peer.interrupted"
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "peer.not_found"),
        (406, "peer.media_type"),
        (415, "peer.media_type"),
        (500, "peer.status"),
        (403, "peer.refused"),
    ],
)
def test_every_other_answer_has_its_name(status, code):
    told = Told(status, b"<h1>no</h1> because")
    with serving(Turns(told)) as site, pytest.raises((PeerProtocol, PeerRefused)) as failed:
        get(site.url, path="x?token=1")
    assert failed.value.code == code
    assert failed.value.fields["detail"] == "no because"
    assert "token" not in str(failed.value)
