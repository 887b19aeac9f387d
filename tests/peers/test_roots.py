"""A collection is found from whatever address a partner gave, and credentials go only where they may (RULES R29)."""

import dataclasses
import json
from dataclasses import dataclass, field

import pytest
from doubles import COLLECTION, NOW, PEER, Asked, Shelf, Told, Waits, indicator, serving, source, target
from secure import server_side
from shelf20 import Shelf20
from tests.serve.paper import Authority

from exchange.errors import PeerProtocol, PeerRefused, PeerUnreachable
from exchange.i18n import LANGUAGES, text
from exchange.model.envelope import Outgoing
from exchange.model.party import Credentials
from exchange.peers import Access, Limits, TaxiiClient

SECRET = Credentials(user="cert-qc", password="s3cret")


def client(credentials=SECRET, peer=PEER, resolver=None):
    return TaxiiClient(
        Access(
            peer=peer,
            credentials=credentials,
            clock=lambda: NOW,
            wait=Waits(),
            limits=Limits(),
            resolver=resolver or (lambda name: []),
        )
    )


@dataclass
class Site:
    """A server whose discovery resource stands at `discovery` and whose collection below `root`."""

    roots: list = field(default_factory=lambda: ["/hidden/api/"])
    default: str | None = None
    discovery: str = "/taxii2/"
    shelf: Shelf = field(default_factory=lambda: Shelf([0, 1, 2]))

    def __call__(self, asked: Asked) -> Told:
        if asked.path == self.discovery:
            said = {"title": "x", "api_roots": self.roots} | ({"default": self.default} if self.default else {})
            return Told(body=json.dumps(said).encode())
        if asked.path == f"/hidden/api/collections/{COLLECTION}/":
            rights = {"id": COLLECTION, "title": "x", "can_read": True, "can_write": True}
            return Told(body=json.dumps(rights).encode())
        if not asked.path.startswith(f"/hidden/api/collections/{COLLECTION}/"):
            return Told(404)
        if asked.method == "POST":
            return Told(202, json.dumps({"id": "1", "status": "complete", "success_count": 1}).encode())
        return self.shelf(asked)


def count(pages):
    return sum(len(page.objects) for page in pages)


@pytest.mark.parametrize("given", ["", "taxii2/", "taxii2", "hidden/api/", "hidden/api", "wrong/api/"])
@pytest.mark.parametrize(
    "roots", [["/hidden/api/"], ["hidden/api"], ["/no/", "/hidden/api/"], [None, 7, "", "/hidden/api"]]
)
def test_the_collection_is_found_from_any_address_of_the_server(given, roots):
    if roots == ["hidden/api"]:
        roots = ["../hidden/api"]  # relative to the discovery resource
    with serving(Site(roots)) as site:
        assert count(client().pull(source(site.url + given), {})) == 3
        assert all("Authorization" in asked.headers for asked in site.asked)


def test_the_default_root_is_asked_first():
    with serving(Site(["/no/", "/hidden/api/"], default="/hidden/api/")) as site:
        assert count(client().pull(source(site.url), {})) == 3
    assert not [asked for asked in site.asked if asked.path.startswith("/no/")]


def test_what_was_found_is_remembered_by_the_client_and_by_nobody_else():
    with serving(Site()) as site:
        one = client()
        list(one.pull(source(site.url), {}))
        before = len(site.asked)
        list(one.pull(source(site.url), {}))
        assert len(site.asked) == before + 1
        list(client().pull(source(site.url), {}))
        assert len(site.asked) > before + 3


def test_a_server_that_moves_its_root_is_found_again():
    """Without a restart: what was found is forgotten when it is no longer there."""
    before, after, moved = Site(), Site(["/moved/api/"]), []

    def answer(asked):
        if not moved:
            return before(asked)
        if asked.path.startswith("/hidden/"):
            return Told(404)
        return after(dataclasses.replace(asked, path=asked.path.replace("/moved/", "/hidden/")))

    with serving(answer) as site:
        one = client()
        assert count(one.pull(source(site.url), {})) == 3
        moved.append(True)
        assert count(one.pull(source(site.url), {})) == 3


def test_a_target_is_found_too():
    sent = Outgoing(id=indicator(1)["id"], version="x", body=json.dumps(indicator(1)).encode())
    with serving(Site()) as site:
        (receipt,) = client().push(target(site.url), [sent])
    assert receipt.outcome == "accepted"


def test_a_server_of_taxii_20_has_its_discovery_elsewhere():
    with serving(Site(discovery="/taxii/", shelf=Shelf20([0, 1, 2]))) as site:
        assert count(client().pull(source(site.url, version="2.0"), {})) == 3


def test_a_root_on_another_server_is_named_and_never_asked():
    """What a discovery resource says is no configuration: our password goes nowhere new."""
    with serving(Site()) as other, serving(Site([other.url + "hidden/api/"])) as site:
        with pytest.raises(PeerProtocol) as failed:
            list(client().pull(source(site.url), {}))
        assert other.asked == []
        assert (failed.value.code, failed.value.fields["url"]) == ("peer.foreign_root", other.url + "hidden/api/")
        for language in LANGUAGES:
            assert other.url + "hidden/api/" in text("peer.foreign_root", language, **failed.value.fields)
        trusting = dataclasses.replace(PEER, origins=frozenset({other.url.rstrip("/")}))
        assert count(client(peer=trusting).pull(source(site.url), {})) == 3
        other.asked.clear()
        with pytest.raises(PeerProtocol):  # nor is our machine sent about by somebody's list of addresses
            list(client(Credentials()).pull(source(site.url), {}))
        assert other.asked == []


@pytest.mark.parametrize(
    "said",
    [b"<html>welcome</html>", b"[]", b"{}", b'{"api_roots": {}}',
     b'{"api_roots": ["javascript:alert(1)", "//", "", "http://[::1", "/\\u0000", 7, null]}',
     json.dumps({"api_roots": ["http://x.example/" + "a" * 100_000]}).encode(),
     json.dumps({"api_roots": [f"/{n}/" for n in range(10_000)]}).encode()],
)  # fmt: skip
def test_a_discovery_resource_that_leads_nowhere_costs_little(said):
    """The error is that of the configured address."""

    def answer(asked):
        return Told(body=said) if asked.path in ("/", "/taxii2/") else Told(404)

    with serving(answer) as site, pytest.raises(PeerProtocol) as failed:
        list(client().pull(source(site.url), {}))
    assert failed.value.code in ("peer.no_collection", "peer.foreign_root")
    assert len(site.asked) <= 22


def test_a_collection_that_is_there_but_closed_is_not_searched_for():
    with serving(lambda _: Told(403)) as site, pytest.raises(PeerRefused):
        list(client().pull(source(site.url), {}))
    assert len(site.asked) == 1


def nowhere(name):
    raise OSError(f"no answer for {name}")


def test_a_domain_that_the_dns_does_not_know():
    with pytest.raises(PeerUnreachable) as failed:
        list(client(resolver=nowhere).pull(source("srv:ccc.example"), {}))
    assert (failed.value.code, failed.value.fields["name"]) == ("peer.srv", "_taxii2._tcp.ccc.example")


@pytest.mark.parametrize(
    "found", [[], [("", 443)], [("-x", 443)], [("user:pass@host.example", 443)], [("a.example", 0)]]
)
def test_an_answer_of_the_dns_that_names_no_server(found):
    with pytest.raises(PeerUnreachable) as failed:
        list(client(Credentials(), resolver=lambda _: found).pull(source("srv:ccc.example"), {}))
    assert failed.value.code == "peer.srv"


def test_credentials_do_not_follow_the_dns():
    """The server found is named, with what to configure if it is right."""
    found = [("taxii.elsewhere.example", 8443)]
    with pytest.raises(PeerProtocol) as failed:
        list(client(resolver=lambda _: found).pull(source("srv:ccc.example"), {}))
    assert failed.value.code == "peer.srv_origin"
    for language in LANGUAGES:
        said = text(failed.value.code, language, **failed.value.fields)
        assert "ccc.example" in said
        assert "https://taxii.elsewhere.example:8443" in said


def test_what_we_hand_over_does_not_follow_the_dns():
    """A reader without secrets may be led anywhere; intelligence goes only to servers that are configured."""
    asked = client(Credentials(), resolver=lambda _: [("evil.example", 443)])
    given = Outgoing(id="x", version="", body=b"{}")
    with pytest.raises(PeerProtocol) as failed:
        asked.push(dataclasses.replace(target("https://unused.example/"), url="srv:ccc.example"), [given])
    assert failed.value.code == "peer.srv_origin"


def test_a_domain_leads_to_its_server(tmp_path):
    """With the origin configured, or without anything to give away."""
    authority = Authority(tmp_path)
    secret = dataclasses.replace(SECRET, ca=str(authority.certificate))
    public = Credentials(ca=str(authority.certificate))
    with serving(Site(), tls=server_side(authority)) as site:
        port = int(site.url.rstrip("/").rpartition(":")[2])
        asked_for = []

        def resolver(name):
            asked_for.append(name)
            return [("127.0.0.1", port)]

        trusting = dataclasses.replace(PEER, origins=frozenset({site.url.rstrip("/")}))
        for given, peer in ((secret, trusting), (public, PEER)):
            assert count(client(given, peer, resolver).pull(source("srv:ccc.example"), {})) == 3
        site.asked.clear()
        with pytest.raises(PeerProtocol) as failed:
            list(client(secret, PEER, resolver).pull(source("srv:ccc.example"), {}))
        assert site.asked == []
    assert failed.value.code == "peer.srv_origin"
    assert set(asked_for) == {"_taxii2._tcp.ccc.example"}
