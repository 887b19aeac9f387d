"""Objects are handed over in envelopes that fit, and each ends with what the partner said of it."""

import json
from dataclasses import replace

import pytest
from doubles import Asked, Told, Waits, client, indicator, serving, target

from exchange.errors import PeerBusy, PeerRefused, PeerUnreachable
from exchange.model.envelope import Outgoing
from exchange.model.stix import instant


def outgoing(count):
    made = [indicator(n) for n in range(count)]
    return [Outgoing(id=o["id"], version=instant(o["modified"]), body=json.dumps(o).encode()) for o in made]


class Letterbox:
    """A collection that takes objects; `judge` says what becomes of an envelope."""

    def __init__(self, judge=None, *, can_write=True, largest=10_000_000):
        self.judge, self.can_write, self.largest = judge or self.take, can_write, largest
        self.held: dict[str, dict] = {}
        self.sizes: list[int] = []
        self.statuses: list[dict] = []
        self.told: dict[str, Told] = {}
        self.deleted: list[str] = []
        self.removal = lambda _: Told(200)

    def __call__(self, asked: Asked) -> Told:
        parts = [part for part in asked.path.split("/") if part]
        if asked.method == "DELETE":
            self.deleted.append(asked.path)
            return self.removal(parts[-1])
        if asked.method == "POST":
            self.sizes.append(len(json.loads(asked.body)["objects"]))
            return self.judge(json.loads(asked.body)["objects"], asked.body)
        if "status" in parts:
            if parts[-1] in self.told:
                return self.told[parts[-1]]
            return Told(body=json.dumps(self.statuses.pop(0) if self.statuses else {}).encode())
        if "objects" in parts:
            found = self.held.get(parts[-1])
            return Told(body=json.dumps({"objects": [found]}).encode()) if found else Told(404)
        if "collections" in parts:
            told = {"id": parts[-1], "title": "t", "can_read": True, "can_write": self.can_write}
            return Told(body=json.dumps(told).encode())
        return Told(body=json.dumps({"max_content_length": self.largest}).encode())

    def take(self, objects, _):
        self.held |= {o["id"]: o for o in objects}
        return status(successes=[detail(o) for o in objects])


def detail(stix, message=""):
    return {"id": stix["id"], "version": stix["modified"], **({"message": message} if message else {})}


def status(code=202, **lists):
    counts = {f"{name.removesuffix('es').removesuffix('s')}_count": len(found) for name, found in lists.items()}
    counts = {"success_count": 0, "failure_count": 0, "pending_count": 0} | {
        {"successes": "success_count", "failures": "failure_count", "pendings": "pending_count"}[n]: len(f)
        for n, f in lists.items()
    }
    body = {"id": "2d086da7", "status": "complete", "total_count": sum(counts.values()), **counts, **lists}
    return Told(code, json.dumps(body).encode())


def push(box, count=3, waits=None):
    with serving(box) as site:
        return client("taxii", waits).push(target(site.url + "api1/"), outgoing(count))


def outcomes(receipts):
    return [receipt.outcome for receipt in receipts]


def test_envelopes_hold_a_hundred_objects():
    box = Letterbox()
    receipts = push(box, 250)
    assert outcomes(receipts) == ["accepted"] * 250
    assert [r.id for r in receipts] == [o.id for o in outgoing(250)]
    assert box.sizes == [100, 100, 50]


def test_envelopes_obey_max_content_length():
    one = len(outgoing(1)[0].body)
    box = Letterbox(largest=3 * one + 20)
    assert outcomes(push(box, 10)) == ["accepted"] * 10
    assert max(box.sizes) == 3
    alone = Letterbox(largest=one)
    receipts = push(alone, 2)
    assert {(r.outcome, r.message) for r in receipts} == {("refused", "peer.object_too_large")}
    assert alone.sizes == []


@pytest.mark.parametrize("code", [413, 422, 400])
def test_a_refused_envelope_is_halved_down_to_the_object_at_fault(code):
    bad = indicator(6)["id"].encode()
    box = Letterbox()
    box.judge = lambda objects, body: Told(code, b'{"title": "pattern"}') if bad in body else box.take(objects, body)
    receipts = push(box, 10)
    assert outcomes(receipts) == ["accepted"] * 6 + ["refused"] + ["accepted"] * 3
    assert "pattern" in receipts[6].message


def test_a_named_failure_refuses_that_object_only():
    box = Letterbox(lambda o, _: status(successes=[detail(o[0])], failures=[detail(o[1], "no"), detail(o[2], "no")]))
    receipts = push(box)
    assert outcomes(receipts) == ["accepted", "refused", "refused"]
    assert receipts[1].message == "no"


def test_failures_without_names_are_found_by_halves():
    def judge(objects, _):
        bad = sum(o["id"] == indicator(2)["id"] for o in objects)
        counts = {"success_count": len(objects) - bad, "failure_count": bad, "pending_count": 0}
        return Told(202, json.dumps({"id": "x", "status": "complete", "total_count": len(objects), **counts}).encode())

    assert outcomes(push(Letterbox(judge), 5)) == ["accepted", "accepted", "refused", "accepted", "accepted"]


def test_what_is_already_there_is_accepted():
    """medallion counts duplicates as failures, and its message does not say why."""
    box = Letterbox(lambda o, _: status(failures=[detail(x, "Unable to process object") for x in o]))
    box.held = {indicator(n)["id"]: indicator(n) for n in range(2)}
    assert outcomes(push(box)) == ["accepted", "accepted", "refused"]


def test_an_older_version_there_does_not_count():
    box = Letterbox(lambda o, _: status(failures=[detail(x, "no") for x in o]))
    box.held = {indicator(0)["id"]: indicator(0) | {"modified": "2025-01-01T00:00:00Z"}}
    assert outcomes(push(box, 1)) == ["refused"]


@pytest.mark.parametrize("code", [200, 201, 202])
@pytest.mark.parametrize("body", [b"{}", b'{"status": "complete", "success_count": 3}'])
def test_a_bare_success_accepts_all(code, body):
    assert outcomes(push(Letterbox(lambda *_: Told(code, body)))) == ["accepted"] * 3


def test_a_pending_status_is_looked_at_again():
    box = Letterbox(lambda o, _: Told(202, json.dumps(pending(o)).encode()))
    finished = {
        "id": "7",
        "status": "complete",
        "total_count": 3,
        "success_count": 3,
        "failure_count": 0,
        "pending_count": 0,
    }
    box.statuses = [pending([indicator(n) for n in range(3)]), finished]
    waits = Waits()
    assert outcomes(push(box, waits=waits)) == ["accepted"] * 3
    assert waits.seconds == [0.5, 1.0]


def test_a_status_that_stays_pending_is_pending():
    box = Letterbox(lambda o, _: Told(202, json.dumps(pending(o)).encode()))
    box.statuses = [pending([indicator(n) for n in range(3)]) for _ in range(50)]
    waits = Waits()
    assert outcomes(push(box, waits=waits)) == ["pending"] * 3
    assert sum(waits.seconds) < 10


def given(name, count=3):
    """Objects that the partner has, and is still deciding on under `name`."""
    return [replace(sent, status=name) for sent in outgoing(count)]


def hand_over(box, objects):
    """The receipts, and the paths of the statuses that were looked at."""
    with serving(box) as site:
        receipts = client("taxii", Waits()).push(target(site.url + "api1/"), objects)
        return receipts, [asked.path for asked in site.asked if "/status/" in asked.path]


def answer(name, state="complete", code=200, **lists):
    body = json.loads(status(**{listed: [detail(o) for o in found] for listed, found in lists.items()}).body)
    return Told(code, json.dumps(body | {"id": name, "status": state}).encode())


def test_a_status_is_followed_from_one_push_to_the_next():
    """What the partner has is not sent again while it says pending; then its word counts."""
    all_three = [indicator(n) for n in range(3)]
    box = Letterbox(lambda o, _: Told(202, json.dumps(pending(o)).encode()))
    box.told["7"] = answer("7", "pending", pendings=all_three)
    first, _ = hand_over(box, outgoing(3))
    assert {(r.outcome, r.message, r.status) for r in first} == {("pending", "peer.unsettled", "7")}
    again = [replace(sent, status=said.status) for sent, said in zip(outgoing(3), first, strict=True)]
    second, looks = hand_over(box, again)
    assert [(r.outcome, r.status) for r in second] == [("pending", "7")] * 3
    assert looks == ["/api1/status/7/"]
    box.told["7"] = answer("7", successes=all_three)
    third, looks = hand_over(box, again)
    assert [(r.outcome, r.status) for r in third] == [("accepted", "")] * 3
    assert looks == ["/api1/status/7/"]
    assert box.sizes == [3]


def test_each_object_has_its_outcome_at_the_end_of_a_status():
    box = Letterbox()
    names = [indicator(n) for n in range(4)]
    box.told["7"] = Told(
        body=json.dumps(
            json.loads(
                status(
                    successes=[detail(names[0])], failures=[detail(names[1], "no")], pendings=[detail(names[2])]
                ).body
            )
            | {"id": "7"}
        ).encode()
    )
    receipts, _ = hand_over(box, given("7", 4))
    assert [(r.id, r.outcome, r.message) for r in receipts] == [
        (names[0]["id"], "accepted", ""),
        (names[1]["id"], "refused", "no"),
        (names[2]["id"], "accepted", ""),
        (names[3]["id"], "accepted", ""),
    ]
    assert list(box.held) == [names[2]["id"], names[3]["id"]]  # nothing final was said of these: sent again
    assert box.sizes == [2]


def test_a_failure_at_the_end_of_a_status_is_checked_against_the_collection():
    box = Letterbox()
    box.held = {indicator(0)["id"]: indicator(0)}
    box.told["7"] = answer("7", failures=[indicator(0), indicator(1)])
    receipts, _ = hand_over(box, given("7", 2))
    assert [(r.outcome, r.message) for r in receipts] == [
        ("accepted", "peer.already_there"),
        ("refused", "peer.no_reason"),
    ]
    assert box.sizes == []


def test_what_is_named_in_a_status_that_is_still_pending_is_settled():
    box = Letterbox()
    names = [indicator(n) for n in range(3)]
    box.told["7"] = answer("7", "pending", successes=names[:1], failures=names[1:2], pendings=names[2:])
    receipts, _ = hand_over(box, given("7"))
    assert [(r.outcome, r.status) for r in receipts] == [("accepted", ""), ("refused", ""), ("pending", "7")]
    assert box.sizes == []


def test_what_is_there_all_the_same_is_accepted_while_its_status_is_pending():
    box = Letterbox()
    box.held = {indicator(n)["id"]: indicator(n) for n in range(3)}
    box.told["7"] = answer("7", "pending", pendings=[indicator(n) for n in range(3)])
    receipts, _ = hand_over(box, given("7"))
    assert {(r.outcome, r.message, r.status) for r in receipts} == {("accepted", "peer.already_there", "")}
    assert box.sizes == []


@pytest.mark.parametrize(
    "told",
    [
        Told(404),
        Told(410),
        Told(500),
        Told(403),
        Told(body=b"<h1>Sign in</h1>"),
        Told(body=b"{}"),
        Told(body=b'{"id": "7", "status": "failed"}'),
        Told(body=b'{"id": "7", "status": "complete"}'),
        Told(body=b'{"id": "8", "status": "pending", "pending_count": 3, "total_count": 3}'),
    ],
)
def test_what_a_status_says_nothing_of_is_sent_again(told):
    """Gone, not to be read, broken, of something else, complete without a word: as if there were none."""
    box = Letterbox()
    box.told["7"] = told
    receipts, looks = hand_over(box, given("7"))
    assert [(r.outcome, r.status) for r in receipts] == [("accepted", "")] * 3
    assert looks == ["/api1/status/7/"]
    assert box.sizes == [3]


def test_counts_of_a_status_speak_of_the_whole_envelope():
    """Three of a hundred are left: that five failed does not say that these did; that all did says it."""
    counts = {"id": "7", "status": "complete", "total_count": 100, "pending_count": 0}
    box = Letterbox()
    box.told["7"] = Told(body=json.dumps(counts | {"success_count": 95, "failure_count": 5}).encode())
    receipts, _ = hand_over(box, given("7"))
    assert outcomes(receipts) == ["accepted"] * 3
    assert box.sizes == [3]
    box = Letterbox()
    box.told["7"] = Told(body=json.dumps(counts | {"success_count": 0, "failure_count": 100}).encode())
    assert outcomes(hand_over(box, given("7"))[0]) == ["refused"] * 3
    box = Letterbox()
    box.told["7"] = Told(body=json.dumps(counts | {"success_count": 100, "failure_count": 0}).encode())
    assert outcomes(hand_over(box, given("7"))[0]) == ["accepted"] * 3
    assert box.sizes == []


@pytest.mark.parametrize(
    "name", ["../collections", "..", ".", "a/b", "7?x=1", "7#", "é", "7 ", "7\n", "", "-", "x" * 101, {}]
)
def test_only_a_plain_id_goes_into_a_url(name):
    box = Letterbox(lambda o, _: Told(202, json.dumps(pending(o) | {"id": name}).encode()))
    receipts, looks = hand_over(box, outgoing(3))
    assert [(r.outcome, r.status) for r in receipts] == [("pending", "")] * 3
    assert looks == []
    _, looks = hand_over(box, given(str(name)))
    assert looks == []
    assert box.sizes == [3, 3]


def test_every_status_is_looked_at_once_and_what_has_none_is_sent():
    box = Letterbox()
    box.told = {"a": answer("a", successes=[indicator(0), indicator(2)]), "b": Told(404)}
    names = ["a", "b", "a", ""]
    receipts, looks = hand_over(box, [replace(o, status=n) for o, n in zip(outgoing(4), names, strict=True)])
    assert [r.id for r in receipts] == [o.id for o in outgoing(4)]
    assert outcomes(receipts) == ["accepted"] * 4
    assert looks == ["/api1/status/a/", "/api1/status/b/"]
    assert box.sizes == [2]
    assert list(box.held) == [indicator(1)["id"], indicator(3)["id"]]


def test_while_the_partner_is_busy_its_status_is_not_forgotten():
    box = Letterbox()
    busy = Told(503, headers={"Retry-After": "3600"})
    box.told = {"a": answer("a", successes=[indicator(0)]), "b": busy}
    receipts, _ = hand_over(box, [replace(o, status=n) for o, n in zip(outgoing(2), "ab", strict=True)])
    assert [(r.outcome, r.message, r.status) for r in receipts] == [("accepted", "", ""), ("pending", "peer.busy", "b")]
    with pytest.raises(PeerBusy):
        hand_over(box, given("b"))
    assert box.sizes == []


def pending(objects):
    return {
        "id": "7",
        "status": "pending",
        "total_count": len(objects),
        "success_count": 0,
        "failure_count": 0,
        "pending_count": len(objects),
        "pendings": [detail(o) for o in objects],
    }


def test_without_the_right_to_write_nothing_is_sent():
    box = Letterbox(can_write=False)
    with pytest.raises(PeerRefused) as failed:
        push(box)
    assert failed.value.code == "peer.read_only"
    assert box.sizes == []


def test_what_was_said_before_a_failure_counts():
    turns = iter(range(10))
    box = Letterbox()
    box.judge = lambda objects, body: box.take(objects, body) if next(turns) == 0 else Told(502)
    assert outcomes(push(box, 150)) == ["accepted"] * 100 + ["pending"] * 50


def test_a_failure_at_once_is_an_error():
    with pytest.raises(PeerUnreachable):
        push(Letterbox(lambda *_: Told(504)))


def test_nothing_to_push_asks_nothing():
    with serving(lambda _: Told(500)) as site:
        assert client("taxii").push(target(site.url), []) == []
    assert site.asked == []


def gone(count):
    return [replace(sent, version="", body=b"", gone=True) for sent in outgoing(count)]


def test_a_deletion_names_every_version_and_what_is_not_there_is_as_good():
    """Section 5.7: medallion deletes only the newest where none is named, OpenTAXII all."""
    box, objects = Letterbox(), gone(2)
    box.removal = lambda stix_id: Told(404) if stix_id == objects[1].id else Told(200)
    with serving(box) as there:
        receipts = client("taxii").push(target(there.url), objects)
    assert [(r.id, r.outcome) for r in receipts] == [(o.id, "accepted") for o in objects]
    assert [path.split("/")[-2] for path in box.deleted] == [o.id for o in objects]
    assert {asked.query["match[version]"] for asked in there.asked if asked.method == "DELETE"} == {"all"}


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_does_not_delete_refuses_and_the_rest_goes_on(status):
    box, objects = Letterbox(), gone(2)
    box.removal = lambda stix_id: Told(status) if stix_id == objects[0].id else Told(204)
    with serving(box) as there:
        receipts = client("taxii").push(target(there.url), [*objects, *outgoing(1)])
    assert [r.outcome for r in receipts] == ["refused", "accepted", "accepted"]


def test_a_server_that_fails_in_the_middle_is_asked_again():
    box, objects = Letterbox(), gone(3)
    box.removal = lambda stix_id: Told(503) if stix_id == objects[1].id else Told(200)
    with serving(box) as there:
        receipts = client("taxii", Waits()).push(target(there.url), objects)
        assert [r.outcome for r in receipts] == ["accepted", "pending", "pending"]
        with pytest.raises(PeerBusy):
            client("taxii", Waits()).push(target(there.url), objects[1:])
