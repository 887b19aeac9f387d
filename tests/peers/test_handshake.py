"""Every TLS handshake is told, with the end of both sides' certificates."""

import dataclasses

import pytest
from doubles import NOW, PEER, Shelf, Waits, serving, source
from secure import proxying, server_side
from tests.serve.paper import Authority

from exchange.errors import PeerUnreachable
from exchange.model.party import Credentials
from exchange.peers import client_for


def pull(url, told, peer=PEER, **credentials):
    client = client_for(
        peer, "taxii", Credentials(**credentials), clock=lambda: NOW, wait=Waits(), handshake=told.append
    )
    return list(client.pull(source(url), {}))


def test_both_certificates_are_told_once_for_each_handshake(tmp_path):
    """Three pages over one connection are one handshake."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("cert-qc", days=3)
    told = []
    context = server_side(authority, days=9, clients=authority.certificate)
    with serving(Shelf([0, 1, 2], page=1), tls=context) as site:
        files = {"ca": str(authority.certificate), "client_cert": str(cert), "client_key": str(key)}
        assert len(pull(site.url, told, **files)) >= 3
    (one,) = told
    assert (one.peer, one.origin, one.subject, one.issuer) == ("ccc", site.url.rstrip("/"), "CN=server", "CN=authority")
    assert one.not_after == authority.end_of(tmp_path / "server.crt")
    assert (one.our_file, one.our_subject) == (str(cert), "CN=cert-qc")
    assert one.our_not_after == authority.end_of(cert)


def test_without_a_client_certificate_only_theirs_is_told(tmp_path):
    """Also through a proxy, whose tunnel ends at the peer."""
    authority = Authority(tmp_path)
    told = []
    with serving(Shelf([0]), tls=server_side(authority)) as site, proxying() as proxy:
        for peer in (PEER, dataclasses.replace(PEER, proxy=proxy.url)):
            pull(site.url, told, peer, ca=str(authority.certificate))
    assert [(one.subject, one.our_file, one.our_subject, one.our_not_after) for one in told] == [
        ("CN=server", None, None, None)
    ] * 2


def test_what_is_not_encrypted_or_not_trusted_is_not_told(tmp_path):
    told = []
    with serving(Shelf([0])) as site:
        pull(site.url, told)
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with serving(Shelf([0]), tls=server_side(authority)) as site, pytest.raises(PeerUnreachable) as failed:
        pull(site.url, told, ca=str(stranger.certificate))
    assert failed.value.code == "peer.tls"
    assert told == []


def test_a_certificate_of_ours_that_is_gone_does_not_hide_theirs(tmp_path):
    """TLS has read the file before; what is said of it afterwards is for people."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("cert-qc")
    both = tmp_path / "both.pem"
    both.write_bytes(b"\xc3\xa9\n" + cert.read_bytes() + key.read_bytes())
    told = []
    with serving(Shelf([0]), tls=server_side(authority)) as site:
        pull(site.url, told, ca=str(authority.certificate), client_cert=str(both))
    assert [(one.subject, one.our_file, one.our_not_after) for one in told] == [("CN=server", str(both), None)]
