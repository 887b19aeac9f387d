"""A partner behind a proxy: plain and encrypted, with and without a login, and what is said when it fails."""

import dataclasses
import time

import pytest
from doubles import NOW, PEER, Shelf, Waits, dripping, serving, source
from secure import proxying, server_side
from tests.serve.paper import Authority

from exchange.errors import PeerRefused, PeerUnreachable
from exchange.i18n import LANGUAGES, text
from exchange.model.party import Credentials
from exchange.peers import Limits, client_for

SECRET = "proxy-s3cret"
LOGIN = {"proxy_user": "cert-qc", "proxy_password": SECRET}


def pull(proxy, url, **credentials):
    peer = dataclasses.replace(PEER, proxy=proxy)
    given = Credentials(user="cert-qc", password="s3cret", **credentials)
    return list(client_for(peer, "taxii", given, clock=lambda: NOW, wait=Waits()).pull(source(url), {}))


def count(pages):
    return sum(len(page.objects) for page in pages)


@pytest.mark.parametrize("login", ["", f"cert-qc:{SECRET}"])
def test_plain_requests_go_through_the_proxy(login):
    with serving(Shelf([0, 1, 2])) as site, proxying(login) as proxy:
        assert count(pull(proxy.url, site.url, **(LOGIN if login else {}))) == 3
        assert {(method, target.startswith(site.url)) for method, target, _ in proxy.seen} == {("GET", True)}
        assert not any("Proxy-Authorization" in asked.headers for asked in site.asked)


def test_encrypted_requests_go_through_a_tunnel(tmp_path):
    """The proxy sees the name of the server, its own login, and nothing that is the peer's."""
    authority = Authority(tmp_path)
    with serving(Shelf([0, 1, 2]), tls=server_side(authority)) as site, proxying(f"cert-qc:{SECRET}") as proxy:
        assert count(pull(proxy.url, site.url, ca=str(authority.certificate), **LOGIN)) == 3
        assert [(method, target) for method, target, _ in proxy.seen] == [("CONNECT", site.url.split("/")[2])]
        assert not any("Proxy-Authorization" in asked.headers for asked in site.asked)


def test_the_environment_names_no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(Shelf([0])) as site:
        assert count(pull("", site.url)) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("login", "status"), [(f"cert-qc:{SECRET}x", 0), ("", 407)])
def test_a_proxy_that_does_not_know_us_is_named(scheme, login, status):
    """Once: a proxy that is asked again and again with a wrong password may lock the account."""
    with proxying(login, status) as proxy, pytest.raises(PeerRefused) as failed:
        pull(proxy.url, f"{scheme}://taxii.ccc.example/api/", **LOGIN)
    judge(failed.value, proxy.url)
    assert len(proxy.seen) == 1


def test_a_proxy_that_is_not_there_is_named():
    with proxying() as proxy:
        pass
    for scheme in ("http", "https"):
        with pytest.raises(PeerUnreachable) as failed:
            pull(proxy.url, f"{scheme}://taxii.ccc.example/api/", **LOGIN)
        judge(failed.value, proxy.url)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"])
def test_a_proxy_that_drips_meets_the_deadline(scheme, head):
    """What holds for a peer holds for what stands before it: in the header, the body and the tunnel."""
    peer, limits = dataclasses.replace(PEER, proxy=""), Limits(total=0.4, read=0.4, connect=0.4, tries=1)
    begun = time.monotonic()
    with dripping(head) as url, pytest.raises(PeerUnreachable) as failed:
        peer = dataclasses.replace(peer, proxy=url.rstrip("/"))
        reading = client_for(peer, "taxii", Credentials(), clock=lambda: NOW, wait=Waits(), limits=limits)
        list(reading.pull(source(f"{scheme}://taxii.ccc.example/api/"), {}))
    assert failed.value.code in ("peer.timeout", "peer.proxy", "peer.tls")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("status", [403, 502])
def test_a_proxy_that_refuses_the_tunnel_is_named(status):
    with proxying(status=status) as proxy, pytest.raises(PeerUnreachable) as failed:
        pull(proxy.url, "https://taxii.ccc.example/api/", **LOGIN)
    judge(failed.value, proxy.url)


def judge(error, url):
    assert error.code == "peer.proxy"
    for language in LANGUAGES:
        said = text(error.code, language, **error.fields)
        assert url in said
        assert SECRET not in said
    assert SECRET not in str(error)
