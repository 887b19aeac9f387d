"""A subscriber's POST and its status (sections 5.5 and 4.3; R21, R14)."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import falcon.testing
import pytest

from exchange.errors import StoreBusy
from exchange.model.marking import Tlp
from exchange.model.party import Expiry
from exchange.store import Store, accounts, open_store
from tests.serve.house import OBJECTS, TAXII, WRITABLE, House, house_terms, ids, refused
from tests.serve.wire import misp_terms
from tests.world import NOW, OPEN_WRITE, agreement, collection, indicator, marked, report, terms


def status(house: House, answer: Any, who: str = "circl", **more: Any) -> Any:
    return house.get(f"/api/status/{answer.json['id']}/", who, **more)


def test_what_is_posted_is_read(house: House) -> None:
    items = [indicator(f"{n}.example") for n in range(3)]
    answer = house.post(WRITABLE, {"objects": items})
    assert answer.status_code == 202
    assert answer.headers["content-type"] == TAXII
    body = answer.json
    assert body == {
        "id": body["id"],
        "status": "complete",
        "request_timestamp": "2026-11-21T12:00:00.000000Z",
        "total_count": 3,
        "success_count": 3,
        "successes": [{"id": item["id"], "version": "2026-11-21T12:00:00.000000Z"} for item in items],
        "failure_count": 0,
        "pending_count": 0,
    }
    assert ids(house.get(WRITABLE, "ccc")) == ids(house.get(WRITABLE, "circl")) == [item["id"] for item in items]


def test_a_bundle_is_taken_as_an_envelope(house: House) -> None:
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [indicator()]}
    assert house.post(WRITABLE, bundle).json["success_count"] == 1


def test_stix_20_is_refused_to_who_posts_it(house: House) -> None:
    """The collection says that it holds STIX 2.1, and what is posted is read back value for value: so it is told."""
    old = {name: value for name, value in indicator().items() if name not in ("spec_version", "pattern_type")}
    body = house.post(WRITABLE, {"objects": [old]}).json
    assert (body["success_count"], body["failure_count"]) == (0, 1)
    assert body["failures"][0]["message"].endswith("[content.spec_version]")
    assert house.get(WRITABLE).json == {}


def test_again_is_a_success_and_moves_nothing(house: House) -> None:
    """Exact duplicates are no error (5.5), and `date_added` stays: no poller gets them again."""
    house.post(WRITABLE, {"objects": [indicator()]})
    before = house.get(WRITABLE)
    house.tick()
    assert house.post(WRITABLE, {"objects": [indicator()]}).json["success_count"] == 1
    after = house.get(WRITABLE)
    assert after.content == before.content
    assert after.headers["X-TAXII-Date-Added-Last"] == before.headers["X-TAXII-Date-Added-Last"]


def test_each_object_by_itself(house: House) -> None:
    """A bad object fails alone; counts add up; failures and pendings say why, with id and version."""
    good, held = indicator("good.example"), indicator("held.example", tlp=None)
    second = indicator("good.example", description="the same version, other words")
    body = house.post(WRITABLE, {"objects": [good, held, second, {"type": "x"}, 7]}).json
    assert (body["total_count"], body["success_count"], body["failure_count"], body["pending_count"]) == (5, 1, 3, 1)
    assert [entry["id"] for entry in body["successes"]] == [good["id"]]
    assert body["pendings"][0]["id"] == held["id"]
    assert all({"id", "version", "message"} <= set(entry) for entry in body["failures"] + body["pendings"])
    assert body["status"] == "pending"


def test_r21_refused_is_a_failure_with_its_reason(house: House) -> None:
    body = house.post(WRITABLE, {"objects": [indicator(tlp=Tlp.AMBER)]}).json
    assert (body["failure_count"], body["success_count"]) == (1, 0)
    assert body["failures"][0]["message"].endswith("[collection.ceiling]")
    assert ids(house.get(WRITABLE)) == []


def test_r21_held_is_pending_until_it_is_decided_or_a_day_is_over(house: House) -> None:
    held = indicator("held.example", tlp=None)
    answer = house.post(WRITABLE, {"objects": [held]})
    assert status(house, answer).json["pending_count"] == 1
    house.tick(hours=25)
    lapsed = status(house, answer).json
    assert (lapsed["status"], lapsed["pending_count"], lapsed["failure_count"]) == ("complete", 0, 1)
    assert "[request.review_lapsed]" in lapsed["failures"][0]["message"]


def test_what_is_too_old_is_told_to_who_posts_it(memory: Store) -> None:
    """Ended by its creator: a failure; grown old: pending, for a sighting may bring it back (R21)."""
    ages = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50)
    house = House(memory, replace(house_terms(), expiry=(ages,)))
    over = indicator("over.example", valid_until="2026-11-01T00:00:00Z")
    old, new = indicator("old.example", modified=NOW - timedelta(days=2)), indicator("new.example")
    body = house.post(WRITABLE, {"objects": [over, old, new]}).json
    assert [entry["id"] for entry in body["successes"]] == [new["id"]]
    assert [entry["id"] for entry in body["failures"]] == [over["id"]]
    assert body["failures"][0]["message"].endswith("[expiry.valid_until]")
    assert [entry["id"] for entry in body["pendings"]] == [old["id"]]
    assert body["pendings"][0]["message"].endswith("[expiry.age]")
    assert ids(house.get(WRITABLE)) == [new["id"]]


def test_r21_what_was_held_and_is_listed_becomes_a_success(house: House) -> None:
    answer = house.post(WRITABLE, {"objects": [indicator("held.example", tlp=None)]})
    assert status(house, answer).json["pending_count"] == 1
    container = {
        **marked({}, Tlp.GREEN), "type": "report", "spec_version": "2.1", "id": f"report--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": "r",
        "published": "2026-01-01T00:00:00Z", "object_refs": [indicator("held.example")["id"]],
    }  # fmt: skip
    house.post(WRITABLE, {"objects": [container]})
    assert status(house, answer).json["success_count"] == 1


def test_r14_what_others_gave_does_not_show_in_the_answer(memory: Store) -> None:
    """The same POST is answered alike, whether or not another source holds the same id that the poster may not see."""
    other = open_store("sqlite://")
    try:
        answers = []
        for n, house in enumerate((House(memory), House(other))):
            if n:
                hidden = indicator("a.example", tlp=Tlp.RED, description="another's", modified=NOW)
                house.give(hidden, indicator("b.example", tlp=Tlp.RED), source="cert-ee/feed")
            items = [indicator("a.example"), indicator("b.example", tlp=None), indicator("a.example", revoked=True)]
            body = house.post(WRITABLE, {"objects": items}).json
            body.pop("id")
            answers.append(body)
        assert answers[0] == answers[1]
    finally:
        other.close()


def test_an_object_without_a_version_has_its_date_added(house: House) -> None:
    item = marked(
        {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{uuid.uuid4()}", "value": "a.example"},
        Tlp.GREEN,
    )
    body = house.post(WRITABLE, {"objects": [item]}).json
    manifest = house.get(f"{WRITABLE.removesuffix('objects/')}manifest/").json["objects"]
    assert body["successes"][0]["version"] == manifest[0]["version"]


def test_only_writers(house: House) -> None:
    refused(house.post(WRITABLE, {"objects": []}, "ccc"), 403, "request.read_only")
    refused(house.post(OBJECTS, {"objects": []}, "circl"), 403, "request.read_only")
    refused(house.post(WRITABLE, {"objects": []}, "cert-ee"), 404, "request.no_collection")
    refused(house.post(WRITABLE, {"objects": []}, None), 401)


class _Slow(io.BytesIO):
    """A body during which a person stops the exchange."""

    def __init__(self, body: bytes, house: House) -> None:
        super().__init__(body)
        self.house = house

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            with self.house.store.writing() as tx:
                accounts.pull_brake(tx, "circl", "in", "op", "why", 1)
        return piece


@pytest.mark.parametrize("path", [WRITABLE, "/misp/depot-commun/events/add"])
def test_r31_the_brake_holds_what_is_still_coming_in(memory: Store, path: str) -> None:
    """It acts within a second, however slowly a body comes."""
    house = House(memory, misp_terms())
    event = {"info": "E", "published": True, "Attribute": [{"type": "domain", "value": "b.example"}]}
    body = json.dumps({"objects": [indicator("a.example")], "Event": event}).encode()
    answer = house.send("POST", path, "circl", headers={"Content-Type": TAXII, "Transfer-Encoding": "chunked"},
                        extras={"wsgi.input": _Slow(body, house), "wsgi.input_terminated": True})  # fmt: skip
    assert answer.status_code == 503
    with house.store.reading() as tx:
        assert not tx.exec_driver_sql("SELECT count(*) FROM statement").scalar_one()


def test_r31_the_brake_inwards(house: House) -> None:
    with house.store.writing() as tx:
        accounts.pull_brake(tx, "circl", "in", "op", "why", 1)
    answer = house.post(WRITABLE, {"objects": [indicator()]})
    refused(answer, 503, "request.paused")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("body", "status_code", "code"),
    [
        (b"", 400, "request.json"),
        (b"{", 400, "request.json"),
        (b'{"objects":[{"a" 1}]', 400, "request.json"),
        (b'{"objects":[{}],}', 400, "request.json"),
        (b'{"objects":[{},]}', 400, "request.json"),
        (b'{"objects":[{}] "more":true}', 400, "request.json"),
        (b'{"objects":[{}],"x":NaN}', 400, "request.json"),
        (b'{"objects":[{}],"x":"\\ud800"}', 400, "request.json"),
        (b"\xff\xfe{}", 400, "request.json"),
        ('{"objects":[]}'.encode("utf-16"), 400, "request.json"),
        (b"[" * 200_000, 400, "request.json"),
        (b'{"x":' * 200_000, 400, "request.json"),
        (b'{"objects":[{}],"more":1}', 422, "request.envelope"),
        (b'{"objects":[],"objects":[]}', 422, "request.duplicate_member"),
        (b'{"objects":[{}],"objects":[{}]}', 422, "request.duplicate_member"),
        (b'{"objects":null,"obj\\u0065cts":[]}', 422, "request.duplicate_member"),
        (b'{"a":"x","objects":[],"a":"x"}', 422, "request.duplicate_member"),
        (b'{"objects":[{"a":NaN}],"more":true,"more":true}', 422, "request.duplicate_member"),
        (b'\xef\xbb\xbf{"objects":7}', 422, "request.envelope"),
        (b"7", 422, "request.envelope"),
        (b'"objects"', 422, "request.envelope"),
        (b"{}", 422, "request.envelope"),
        (b"[]", 422, "request.envelope"),
        (b'[{"type":"indicator"}]', 422, "request.envelope"),
        (b'{"objects":7}', 422, "request.envelope"),
        (b'{"objects":null}', 422, "request.envelope"),
        (b'{"type":"indicator"}', 422, "request.envelope"),
    ],
)
def test_bodies_that_are_no_envelope(house: House, body: bytes, status_code: int, code: str) -> None:
    refused(house.post(WRITABLE, body), status_code, code)


def test_an_empty_envelope(house: House) -> None:
    assert house.post(WRITABLE, {"objects": []}).json["total_count"] == 0


def test_too_large_by_its_length_or_on_the_way(memory: Store) -> None:
    """413 before more than the limit is read, with or without a Content-Length; exactly the limit is taken."""
    body = json.dumps({"objects": [indicator()]}).encode()
    house = House(memory, max_content_length=len(body))
    assert house.post(WRITABLE, body).status_code == 202
    refused(house.post(WRITABLE, body + b" "), 413, "request.too_large")

    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b" " * size

    stream = Endless()
    environ = falcon.testing.create_environ(
        path=WRITABLE, method="POST", headers=house._headers("circl") | {"Content-Type": TAXII}
    )
    environ.pop("CONTENT_LENGTH", None)
    environ |= {"wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    got = falcon.testing.StartResponseMock()
    answer = json.loads(b"".join(house.app(environ, got)))
    assert (str(got.status)[:3], answer["http_status"]) == ("413", "413")
    assert stream.taken < 200_000


@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate", "identity, gzip", "nonsense"])
def test_a_compressed_body_is_refused(house: House, coding: str) -> None:
    """RFC 7694 section 3: the answer names what is taken instead."""
    answer = house.post(WRITABLE, {"objects": []}, Content_Encoding=coding)
    refused(answer, 415, "request.content_coding")
    assert answer.headers["accept-encoding"] == "identity"
    for plain in ("identity", "Identity, identity", ""):
        assert house.post(WRITABLE, {"objects": []}, Content_Encoding=plain).status_code == 202


GOOD = json.dumps(indicator("good.example")).encode()


@pytest.mark.parametrize(
    "bad",
    [
        b"NaN", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"a":"\n"}',
        b'{"a" 1}', b'{"a":1,"a":2}', b"[" * 5000 + b"]" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"7", b"null",
        b'"x"', b"[]", b"{}", b'{"type":"indicator"}', b'{"a":"' + b"x" * 4_200_000 + b'"}',
        GOOD.replace(b'"id":', b'"description":"\\udc00","id":'), GOOD.replace(b'"id":', b'"x":[1,2],"x":[],"id":'),
    ],
    ids=lambda bad: repr(bad[:24]),
)  # fmt: skip
def test_one_bad_object_fails_alone(house: House, bad: bytes) -> None:
    """What is wrong inside one object is no reason to refuse the others; it costs a reason, and nothing else."""
    body = house.post(WRITABLE, b'{"objects":[' + bad + b" , " + GOOD + b"," + bad + b"]}").json
    assert (body["total_count"], body["success_count"], body["failure_count"]) == (3, 1, 2)
    assert [entry["id"] for entry in body["successes"]] == [indicator("good.example")["id"]]
    assert all(entry["message"].endswith("]") for entry in body["failures"])
    assert ids(house.get(WRITABLE)) == [indicator("good.example")["id"]]


def test_a_failure_names_the_version_that_the_object_claims(house: House) -> None:
    """Its poster finds it again by id and version (pitfall 29), as far as they can be read."""
    wrong = indicator("a.example") | {"pattern_type": 7}
    (entry,) = house.post(WRITABLE, {"objects": [wrong]}).json["failures"]
    assert (entry["id"], entry["version"]) == (wrong["id"], "2026-11-21T12:00:00.000000Z")


def test_a_busy_store_asks_to_come_back(house: House, monkeypatch: Any) -> None:
    def busy(*_: Any, **__: Any) -> Any:
        raise StoreBusy("store.busy", seconds=2)

    monkeypatch.setattr("exchange.serve.posting.accept", busy)
    answer = house.post(WRITABLE, {"objects": [indicator()]})
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


def test_r11_what_is_known_but_not_judged_is_judged(memory: Store, monkeypatch: Any) -> None:
    """A POST that was cut off before its unmarked objects were judged is made whole by the same POST."""

    def busy(*_: Any, **__: Any) -> Any:
        raise StoreBusy("store.busy", seconds=2)

    writable = collection(OPEN_WRITE, "depot-commun", ("ccc",), writers=("circl",))
    house = House(memory, terms(unmarked=Tlp.GREEN, writable=writable))
    items = [indicator(f"{n}.example", tlp=None) for n in range(1001)]
    with monkeypatch.context() as patch:
        patch.setattr("exchange.sync.accept.settle", busy)
        refused(house.post(WRITABLE, {"objects": items}), 503)
    house.tick()
    assert house.post(WRITABLE, {"objects": items}).json["success_count"] == len(items)
    assert len(ids(house.get(f"{WRITABLE}?limit=5000"))) == len(items)


def test_complete_is_final(house: House) -> None:
    """Pitfall 30: what a status has told as settled stays so, whatever happens to the object later."""
    item = indicator("held.example", tlp=None)
    answer = house.post(WRITABLE, {"objects": [item]})
    assert status(house, answer).json["status"] == "pending"
    house.post(WRITABLE, {"objects": [report(item)]})
    settled = status(house, answer)
    assert (settled.json["status"], settled.json["success_count"]) == ("complete", 1)
    house.send("DELETE", f"{WRITABLE}{item['id']}/", "circl")
    house.world.follow(house_terms(agreements=[agreement("other", "ccc")]))
    house.tick(hours=30)
    assert status(house, answer).content == settled.content


def test_a_status_lasts_a_day_at_least(house: House) -> None:
    answer = house.post(WRITABLE, {"objects": [indicator()]})
    house.tick(hours=24)
    house.post(WRITABLE, {"objects": [indicator("b.example")]})
    assert status(house, answer).json == answer.json
    house.tick(hours=48)
    house.post(WRITABLE, {"objects": [indicator("c.example")]})
    refused(status(house, answer), 404, "request.no_status")


@pytest.mark.parametrize("name", ["x", "%00", "a" * 3000, "00000000-0000-4000-8000-00000000000G"])
def test_what_is_no_status_is_not_there(house: House, name: str) -> None:
    refused(house.get(f"/api/status/{name}/", "circl"), 404, "request.no_status")


def test_conditional_status(house: House) -> None:
    answer = status(house, house.post(WRITABLE, {"objects": [indicator()]}))
    assert status(house, answer, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_many_at_once_and_again(house: House) -> None:
    """Counts that add up over several transactions; known objects are found again by one look at the listing."""
    items = [indicator(f"{n}.example") for n in range(1201)]
    first = house.post(WRITABLE, {"objects": items}).json
    again = house.post(WRITABLE, {"objects": items}).json
    assert first["success_count"] == again["success_count"] == 1201
    assert first["successes"] == again["successes"]
    assert [entry["id"] for entry in first["successes"]] == [item["id"] for item in items]


def test_a_few_known_among_many_new(house: House) -> None:
    """However few of an envelope's objects were given before, each is one statement, and the answer says so of all."""
    known = [indicator(f"{n}.known.example") for n in range(3)]
    house.post(WRITABLE, {"objects": known})
    items = [indicator(f"{n}.new.example") for n in range(100)]
    items[7:7], items[50:50], items[90:90] = known[:1], known[1:2], known[2:]
    answer = house.post(WRITABLE, {"objects": items}).json
    assert sorted(entry["id"] for entry in answer["successes"]) == sorted(item["id"] for item in items)
    listed = house.get(WRITABLE, "circl").json["objects"]
    assert sorted(item["id"] for item in listed) == sorted(item["id"] for item in items)


def test_old_statuses_are_cleared_away(house: House) -> None:
    """Two days after, at the next POST; what is younger stays."""
    old = house.post(WRITABLE, {"objects": [indicator("a.example")]}).json["id"]
    house.tick(days=1.5)
    young = house.post(WRITABLE, {"objects": [indicator("b.example")]}).json["id"]
    house.tick(days=1)
    house.post(WRITABLE, {"objects": [indicator("c.example")]})
    with house.store.reading() as tx:
        kept = {each: accounts.status_of(tx, each, "circl") for each in (old, young)}
    assert kept[old] is None
    assert kept[young] is not None


class TestWriteOnly:
    """A collection to which an account may hand in and no more: `read_back` is off (R3)."""

    @pytest.fixture
    def house(self, memory: Store) -> House:
        given = house_terms()
        inbox = replace(given.collections[OPEN_WRITE], read_back=False)
        return House(memory, replace(given, collections={**given.collections, OPEN_WRITE: inbox}))

    def test_its_rights(self, house: House) -> None:
        found = {c["id"]: c for c in house.get("/api/collections/", "circl").json["collections"]}
        assert (found[OPEN_WRITE]["can_read"], found[OPEN_WRITE]["can_write"]) == (False, True)
        for path in (WRITABLE, WRITABLE.replace("objects", "manifest"), f"{WRITABLE}x/", f"{WRITABLE}x/versions/"):
            for method in ("GET", "HEAD"):
                assert house.send(method, path, "circl").status_code == 403
            refused(house.get(path, "circl"), 403, "request.write_only")

    def test_its_status_tells_nothing_of_others(self, house: House) -> None:
        """R14: the answer is the same, whether or not the collection has the object from another already."""
        item = indicator("a.example")
        house.give(item, source="cert-ee/feed")
        unmarked = indicator("b.example", tlp=None)
        house.give(indicator("b.example"), source="cert-ee/feed")
        body = house.post(WRITABLE, {"objects": [item, unmarked, indicator("c.example")]}).json
        assert [entry["id"] for entry in body["successes"]] == [item["id"], indicator("c.example")["id"]]
        assert [entry["id"] for entry in body["pendings"]] == [unmarked["id"]]


def test_a_status_is_its_owners_alone(house: House) -> None:
    answer = house.post(WRITABLE, {"objects": [indicator()]})
    assert status(house, answer).json == answer.json
    refused(status(house, answer, "ccc"), 404, "request.no_status")
    refused(house.get(f"/api/status/{uuid.uuid4()}/", "circl"), 404, "request.no_status")


def test_a_touch_is_a_success_however_often_it_comes(house: House) -> None:
    """R9, R21: equal content under a new `modified` is recorded; posted again it changes nothing and is a success."""
    later = indicator(modified=NOW + timedelta(seconds=1))
    for envelope in ([indicator()], [later], [later], [indicator(), later]):
        told = house.post(WRITABLE, {"objects": envelope}).json
        assert (told["success_count"], told["failure_count"], told["pending_count"]) == (len(envelope), 0, 0)
