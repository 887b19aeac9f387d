"""The connection test of a MISP, and who may ask what: accounts, brakes and limits are those of TAXII."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode
from dataclasses import replace

import pytest

from exchange.serve import Site
from exchange.serve.misp.address import Address, addressed, parse
from exchange.store import Store, accounts
from tests.serve.house import House, ending
from tests.serve.wire import BASE, EVENT, Misp, attribute, event, house_of, misp_terms, refused
from tests.world import SHARED


@pytest.fixture
def house(memory: Store) -> House:
    return house_of(memory)


def test_the_version_says_what_works_and_what_the_account_may(house: House) -> None:
    said = Misp(house).get("/servers/getVersion").json
    assert said["version"].startswith("2.5.")
    assert said["perm_sync"] is said["perm_sighting"] is said["filter_sightings"] is True
    assert said["request_encoding"] == ["gzip"]
    assert said["uuid"]
    reader = Misp(house, "ccc").get("/servers/getVersion").json
    assert reader["perm_sync"] is reader["perm_sighting"] is False


def test_the_post_test_comes_back_exactly(house: House) -> None:
    text = "Overview – « été »\n" * 200
    answer = Misp(house).post("/servers/postTest", {"testString": text}, pack=True)
    assert answer.json == {
        "body": {"testString": text},
        "headers": {"Accept": "application/json", "Content-type": "application/json", "Authorization": "OK"},
    }


@pytest.mark.parametrize("path", ["/users/view/me.json", "/users/view/me"])
def test_who_the_key_belongs_to(house: House, path: str) -> None:
    said = Misp(house).get(path).json
    assert "circl@" in said["User"]["email"]
    assert said["Role"]["name"] == "Sync user"
    assert said["Role"]["perm_sync"] is True
    assert Misp(house, "ccc").get(path).json["Role"]["perm_sync"] is False


def test_every_form_of_the_secret_opens(house: House) -> None:
    secret = house.secrets["circl"]
    for shown in (secret, f"Bearer {secret}", "Basic " + b64encode(f"circl:{secret}".encode()).decode()):
        assert Misp(house).get("/servers/getVersion", Authorization=shown).status_code == 200


def test_a_wrong_key_is_refused_as_misp_refuses(house: House) -> None:
    """403 with name, message and url: its connection test then says that the key is wrong."""
    for shown in ("x" * 40, ""):
        body = refused(Misp(house).get("/servers/getVersion", Authorization=shown), 403)
        assert body["url"] == f"{BASE}/servers/getVersion"
        assert body["name"] == body["message"]


def test_the_collections_of_others_do_not_exist(house: House) -> None:
    refused(Misp(house, base="/misp/maison").get("/events/index"), 404)
    refused(Misp(house, "ccc", base="/misp/autres").get("/events/index"), 404)
    unknown = refused(Misp(house, "ccc", base="/misp/rien").get("/events/index"), 404)
    others = refused(Misp(house, "ccc", base="/misp/autres").get("/events/index"), 404)
    assert unknown["message"] == others["message"]


def test_at_the_root_stands_the_only_collection(memory: Store) -> None:
    given = misp_terms()
    alone = replace(given, collections={SHARED: replace(given.collections[SHARED], readers=("ccc",))})
    house = house_of(memory, alone)
    assert Misp(house, "ccc", base="").get("/servers/getVersion").status_code == 200
    refused(Misp(house, "circl", base="").get("/servers/getVersion"), 404)


def test_an_account_with_several_is_told_their_addresses(house: House) -> None:
    said = refused(Misp(house, base="").get("/servers/getVersion"), 400)["message"]
    assert "http://node.test/misp/depot-commun" in said
    assert "http://node.test/misp/autres" in said


def test_who_may_not_write_is_refused(house: House) -> None:
    reader = Misp(house, "ccc")
    for path in ("/events/add", f"/events/edit/{EVENT}", "/events/filterEventIdsForPush"):
        refused(reader.post(path, {"Event": event(attribute("a.example"))}), 403)


def test_r31_the_brake_stops_both_ways(house: House) -> None:
    peer = Misp(house)
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", "in", "who", "why", 1)
    answer = peer.push(event(attribute("a.example")))
    refused(answer, 503)
    assert answer.headers["retry-after"]
    assert peer.get("/servers/getVersion").json["perm_sync"] is True  # a right that rests is none that is gone


def test_no_agreement_no_writing(memory: Store) -> None:
    house = house_of(memory, ending(misp_terms(), receive=None))
    refused(Misp(house).push(event(attribute("a.example"))), 403)
    assert Misp(house).get("/servers/getVersion").json["perm_sync"] is False


@pytest.mark.parametrize("path", ["/events/nothing", "/rubbish/index", "/feeds/index", "/events/add/1"])
def test_what_is_not_there_is_said_as_misp_says_it(house: House, path: str) -> None:
    answer = Misp(house).get(path)
    refused(answer, 405 if path.startswith("/events/add") else 404)


def test_a_bomb_is_put_out(memory: Store) -> None:
    house = house_of(memory, max_content_length=50_000)
    bomb = gzip.compress(b"[" + b" " * 30_000_000 + b"]")
    refused(Misp(house).post("/events/filterEventIdsForPush", bomb, Content_Encoding="gzip"), 413)
    refused(Misp(house).post("/events/add", bomb, Content_Encoding="gzip"), 413)


@pytest.mark.parametrize("body", [b"", b"x", gzip.compress(b"{}", mtime=0)[:-6], zlib.compress(b"{}")])
def test_a_broken_packing_is_named(house: House, body: bytes) -> None:
    refused(Misp(house).post("/servers/postTest", body, Content_Encoding="gzip"), 400)


def test_other_packings_are_refused(house: House) -> None:
    refused(Misp(house).post("/servers/postTest", b"x", Content_Encoding="br"), 415)


def test_rates_hold_here_too(memory: Store) -> None:
    house = house_of(memory, requests_per_minute=2)
    for status in (200, 200, 429):
        assert Misp(house).get("/servers/getVersion").status_code == status


def test_a_mistake_of_ours_is_told_as_misp_tells_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Site) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("exchange.serve.door.Door._login", broken)
    body = refused(Misp(house).get("/servers/getVersion"), 500)
    assert "secret detail" not in str(body)
    assert body["error_id"]


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("events/view/u/deleted[]:0/deleted[]:1/x:1", ("events", "view", ("u",), {"deleted": ("0", "1"), "x": ("1",)})),
        ("shadow_attributes/index/all:1.json", ("shadowattributes", "index", (), {"all": ("1",)})),
        (f"events/{EVENT}", ("events", "view", (EVENT,), {})),
        ("events", ("events", "index", (), {})),
        ("users/view/me.json", ("users", "view", ("me",), {})),
        ("events/index/searchtag:tlp:green", ("events", "index", (), {"searchtag": ("tlp:green",)})),
        ("", ("", "index", (), {})),
    ],
)  # fmt: skip
def test_addresses(rest: str, found: tuple[str, str, tuple[str, ...], dict[str, tuple[str, ...]]]) -> None:
    address: Address = parse(rest)
    assert (address.controller, address.action, address.passed, address.lists) == found


def test_which_addresses_are_misps() -> None:
    assert all(addressed(path) for path in ("/misp/a/events", "/events/index", "/servers/getVersion", "/misp"))
    assert not any(map(addressed, ("/api/collections", "/feeds/a/manifest.json", "/", "/eventsx", "/mispx")))
