"""Sorting, filtering and paging (sections 3.3 to 3.5), and `next` as input that nobody trusts (appendix B)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from falcon.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model.marking import Tlp
from exchange.store import accounts, open_store
from tests.conformance.node import BASE, EMPTY, HIDDEN, INBOX, READER, WRITER, Node
from tests.serve.house import WRITABLE, House, ids, refused
from tests.world import NOW, indicator, malware, marked

SEEN = marked(
    {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{'1' * 8}-0000-4000-8000-{'2' * 12}",
     "value": "a.example"}, Tlp.GREEN,
)  # fmt: skip
ABSENT = "indicator--00000000-0000-4000-8000-000000000000"
MANIFEST = f"{BASE}/manifest/"


def version(value: str, days: int) -> dict[str, Any]:
    return indicator(value, modified=NOW + timedelta(days=days), description=f"as of {days}")


POSTED = [
    version("a", -5), version("b", -4), SEEN, version("a", -2), malware("m"), version("a", -3), version("c", -1),
    version("b", -2), malware("n"),
]  # fmt: skip
"""In the order of their adding; an older version of the first comes late."""


class Entry(NamedTuple):
    """What stands in the collection, as a reader of the manifest knows it."""

    id: str
    version: str
    added: str

    @property
    def type(self) -> str:
        return self.id.partition("--")[0]


@pytest.fixture(scope="module")
def shelf() -> Iterator[tuple[Node, Sequence[Entry]]]:
    """A node, and what was posted to an empty collection of it."""
    store = open_store("sqlite://")
    node = Node(store, filled=False)
    for item in POSTED:
        node.tick(seconds=1)
        told = node.post(WRITABLE, {"objects": [item]}).json
        assert told["success_count"] == 1
        node.status = told["id"]
    records = node.get(MANIFEST, params={"match[version]": "all"}).json["objects"]
    entries = [Entry(each["id"], each["version"], each["date_added"]) for each in records]
    assert [entry.id for entry in entries] == [item["id"] for item in POSTED]
    yield node, entries
    store.close()


IDS = sorted({item["id"] for item in POSTED})
DAYS = [f"2026-11-{day:02}T12:00:00.000000Z" for day in (16, 17, 19, 1)]
LIMITS = st.one_of(st.none(), st.integers(1, 12))
EXACT = st.lists(st.sampled_from([*DAYS, "first", "last"]), min_size=1, max_size=4, unique=True).map(",".join)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "match[id]": st.lists(st.sampled_from([*IDS, ABSENT]), min_size=1, max_size=4, unique=True).map(",".join),
        "match[type]": st.lists(st.sampled_from(["indicator", "malware", "domain-name", "x-unknown", "campaign"]),
                                min_size=1, max_size=3, unique=True).map(",".join),
        "match[version]": st.one_of(st.sampled_from(["all", "last"]), EXACT),
        "match[spec_version]": st.sampled_from(["2.1", "2.0", "2.0,2.1", "2.1,3.0"]),
    },
)  # fmt: skip
MARKS = st.one_of(st.none(), st.integers(-1, len(POSTED)))


def fits(entry: Entry, entries: Sequence[Entry], asked: Mapping[str, str]) -> bool:
    """Whether the filters let it through, in plain words (section 3.4.1)."""
    chain = sorted(other.version for other in entries if other.id == entry.id)
    places = {"first": chain[0], "last": chain[-1]}
    versions = asked.get("match[version]", "last").split(",")
    return (
        entry.id in asked.get("match[id]", entry.id).split(",")
        and entry.type in asked.get("match[type]", entry.type).split(",")
        and "2.1" in asked.get("match[spec_version]", "2.1").split(",")
        and (versions == ["all"] or entry.version in {places.get(text, text) for text in versions})
    )


def mark(entries: Sequence[Entry], number: int) -> str:
    """The date of the entry with this number; before the first and behind the last, dates beyond them."""
    if number in range(len(entries)):
        return entries[number].added
    return "2000-01-01T00:00:00Z" if number < 0 else "2100-01-01T00:00:00.5Z"


def check(answer: Result, found: Sequence[str], dates: Sequence[str], name: str, limit: int) -> None:
    """It is the page that begins `found`, of which each was added at the date in `dates`."""
    assert answer.status_code == 200, answer.text
    named = answer.json.get(name, [])
    shown = [each if isinstance(each, str) else f"{each['id']} {each.get('version', '')}".strip() for each in named]
    assert shown == found[:limit]
    if not found:
        assert answer.json == {}
        return
    more = len(found) > limit
    assert answer.json["more"] is more
    assert answer.json.get("next") == (dates[limit - 1] if more else None)
    assert answer.headers["X-TAXII-Date-Added-First"] == dates[0]
    assert answer.headers["X-TAXII-Date-Added-Last"] == dates[:limit][-1]


@settings(max_examples=120)
@given(asked=ASKED, after=MARKS, next_=MARKS, limit=LIMITS)
def test_every_question_is_answered_to_the_letter(
    shelf: tuple[Node, Sequence[Entry]], asked: dict[str, str], after: int | None, next_: int | None, limit: int | None
) -> None:
    """Objects and manifest: in order, filtered by all parameters at once, no more than asked, no fewer than there are.

    R20: `next` is a timestamp like `added_after`; where both come, the later holds.
    """
    node, entries = shelf
    found = [entry for entry in entries if fits(entry, entries, asked)]
    params = dict(asked)
    for name, number in (("added_after", after), ("next", next_)):
        if number is not None:
            params[name] = mark(entries, number)
            found = [entry for entry in found if entry.added > params[name]]
    if limit is not None:
        params["limit"] = str(limit)
    dates = [entry.added for entry in found]
    size = limit or 1000
    check(node.get(MANIFEST, params=params), [f"{e.id} {e.version}" for e in found], dates, "objects", size)
    objects = node.get(WRITABLE, params=params)
    given_ = [next(i for i in POSTED if i["id"] == e.id and i.get("modified", e.version) == e.version) for e in found]
    assert objects.json.get("objects", []) == given_[:size]
    assert objects.json.get("next") == (dates[size - 1] if len(dates) > size else None)


@settings(max_examples=60)
@given(
    stix_id=st.sampled_from(IDS),
    asked=st.sampled_from([None, "all", "first", "last", *DAYS]),
    limit=LIMITS,
    after=MARKS,
)
def test_one_object_and_its_versions(
    shelf: tuple[Node, Sequence[Entry]], stix_id: str, asked: str | None, limit: int | None, after: int | None
) -> None:
    """Sections 5.6 and 5.8: the same window and filters over the versions of one object."""
    node, entries = shelf
    chain = [entry for entry in entries if entry.id == stix_id]
    window = {} if after is None else {"added_after": mark(entries, after)}
    window |= {} if limit is None else {"limit": str(limit)}
    later = [entry for entry in chain if entry.added > window.get("added_after", "")]
    size, path = limit or 1000, f"{WRITABLE}{stix_id}/"
    check(
        node.get(f"{path}versions/", params=window),
        [e.version for e in later],
        [e.added for e in later],
        "versions",
        size,
    )
    chosen = {} if asked is None else {"match[version]": asked}
    found = [entry for entry in later if fits(entry, chain, chosen)]
    answer = node.get(path, params=window | chosen)
    assert [each.get("modified", "") for each in answer.json.get("objects", [])] == [
        "" if entry.type == "domain-name" else entry.version for entry in found[:size]
    ]


@settings(max_examples=40)
@given(
    asked=ASKED,
    limit=st.integers(1, 4),
    by=st.sampled_from(["next", "header"]),
    path=st.sampled_from([WRITABLE, MANIFEST]),
)
def test_pages_make_the_whole(
    shelf: tuple[Node, Sequence[Entry]], asked: dict[str, str], limit: int, by: str, path: str
) -> None:
    """Section 3.5: both ways to page, with the filters repeated, bring each once; `more` is never wrong at the end."""
    node, _ = shelf
    whole = node.get(path, params=asked).json.get("objects", [])
    found: list[Any] = []
    window: dict[str, str] = {}
    while True:
        page = node.get(path, params=asked | window | {"limit": str(limit)})
        found += page.json.get("objects", [])
        assert len(found) == len(whole) or page.json["more"]
        if not page.json.get("more", False):
            break
        window = (
            {"next": page.json["next"]} if by == "next" else {"added_after": page.headers["X-TAXII-Date-Added-Last"]}
        )
    assert found == whole


@pytest.mark.parametrize(("first", "second"), list(combinations(["id", "type", "version", "spec_version"], 2)))
def test_each_field_once(shelf: tuple[Node, Sequence[Entry]], first: str, second: str) -> None:
    """Section 3.4: different fields are joined by AND; the same one twice is malformed."""
    values = {"id": IDS[0], "type": "indicator", "version": "last", "spec_version": "2.1"}
    node, _ = shelf
    for path in (WRITABLE, MANIFEST):
        pair = f"match[{first}]={values[first]}&match[{second}]={values[second]}"
        assert node.get(path, query_string=pair).status_code == 200
        for name in (first, second):
            twice = f"{pair}&match[{name}]={values[name]}"
            refused(node.get(path, query_string=twice), 400, "request.repeated")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "added_after=x", "next=x", "added_after=2020-01-01T00:00:00Z&" * 2, "match[version]=x",
     "match[version]=all,last", "match[spec_version]=,"],
)  # fmt: skip
def test_malformed_is_400_wherever_the_parameter_is_defined(shelf: tuple[Node, Sequence[Entry]], query: str) -> None:
    """Section 3.4, on the addresses of 5.3, 5.4, 5.6 to 5.8; elsewhere it means nothing, and is ignored."""
    node, _ = shelf
    one = f"{WRITABLE}{IDS[0]}/"
    for path in (MANIFEST, WRITABLE, one, f"{one}versions/"):
        if "version]=" in query and "spec" not in query and path.endswith("versions/"):
            continue
        body = refused(node.get(path, query_string=query), 400)
        assert f"`{query.partition('=')[0]}`" in body["description"]
    for path in ("/taxii2/", "/api/", f"/api/status/{node.status}/", "/api/collections/", f"{BASE}/"):
        assert node.get(path, WRITER, query_string=query).status_code == 200


STIX_TYPES = [
    "artifact", "attack-pattern", "autonomous-system", "bundle", "campaign", "course-of-action", "directory",
    "domain-name", "email-addr", "email-message", "extension-definition", "file", "grouping", "identity", "incident",
    "indicator", "infrastructure", "intrusion-set", "ipv4-addr", "ipv6-addr", "language-content", "location",
    "mac-addr", "malware", "malware-analysis", "marking-definition", "mutex", "network-traffic", "note",
    "observed-data", "opinion", "process", "relationship", "report", "sighting", "software", "threat-actor", "tool",
    "url", "user-account", "vulnerability", "windows-registry-key", "x509-certificate",
]  # fmt: skip


def test_no_type_of_stix_is_an_error(shelf: tuple[Node, Sequence[Entry]]) -> None:
    """Section 3.4.1; and those that the standard does not know are no error here either."""
    node, _ = shelf
    for name in (*STIX_TYPES, "x-custom", "X Strange%_"):
        for path in (WRITABLE, MANIFEST):
            assert node.get(path, params={"match[type]": name}).status_code == 200
    assert len(ids(node.get(WRITABLE, params={"match[type]": ",".join(STIX_TYPES)}))) == len(IDS)


def test_next_gives_no_right(shelf: tuple[Node, Sequence[Entry]]) -> None:
    """Appendix B: a `next` of one collection, account or filter is judged anew in the request that it comes with."""
    node, _ = shelf
    token = node.get(WRITABLE, WRITER, params={"limit": "1", "match[version]": "all"}).json["next"]
    assert ids(node.get(f"/api/collections/{EMPTY}/objects/", params={"next": token})) == []
    assert ids(node.get(WRITABLE, READER, params={"next": token, "match[type]": "malware"})) == [
        item["id"] for item in POSTED if item["type"] == "malware"
    ]
    refused(node.get(f"{HIDDEN}objects/", READER, params={"next": token}), 404, "request.no_collection")
    refused(node.get(f"/api/collections/{INBOX}/objects/", WRITER, params={"next": token}), 403, "request.write_only")
    refused(node.get(WRITABLE, None, params={"next": token}), 401)


@pytest.mark.parametrize(
    "token", ["0", "1", "-1", "x", "../", "' OR 1=1 --", "9" * 400, "null", "2026-11-21", "\u0000"]
)
def test_a_next_that_we_never_gave(shelf: tuple[Node, Sequence[Entry]], token: str) -> None:
    """Appendix B: refused by name, and never an error of ours."""
    node, _ = shelf
    for path in (WRITABLE, MANIFEST):
        refused(node.get(path, params={"next": token}), 400, "request.timestamp")


def test_more_may_be_followed_by_nothing(house: House) -> None:
    """Section 3.5: what `more` promised may be gone by then; the page is empty but for its recall, and no error."""
    first, second = indicator("a.example"), indicator("b.example")
    house.post(WRITABLE, {"objects": [first, second]})
    page = house.get(WRITABLE, params={"limit": "1"}).json
    assert (page["more"], page["objects"]) == (True, [first])
    house.send("DELETE", f"{WRITABLE}{second['id']}/", WRITER)
    rest = {"limit": "1", "next": page["next"]}
    assert [each["object_refs"] for each in house.get(WRITABLE, params=rest).json["objects"]] == [[second["id"]]]
    assert house.get(WRITABLE, params=rest | {"match[type]": "indicator"}).json == {}


def test_a_limit_of_ours(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections 3.4 and 3.5, appendix B: a page has an end that nobody asked for; `more` says so."""
    house.post(WRITABLE, {"objects": [indicator(f"{n}.example") for n in range(5)]})
    monkeypatch.setattr("exchange.serve.question.DEFAULT", 2)
    monkeypatch.setattr("exchange.serve.question.MOST", 3)
    for params, size in (({}, 2), ({"limit": "3"}, 3), ({"limit": "4"}, 3), ({"limit": "1000000000000"}, 3)):
        page = house.get(WRITABLE, params=params).json
        assert (len(page["objects"]), page["more"]) == (size, True)


def test_a_revoked_account_is_shut_out_of_the_next_page_too(house: House) -> None:
    """Appendix B, R24: the right to read is looked at again for every page."""
    house.post(WRITABLE, {"objects": [indicator(f"{n}.example") for n in range(3)]})
    page = house.get(WRITABLE, READER, params={"limit": "1"}).json
    with house.store.writing() as tx:
        accounts.revoke(tx, READER, 1)
    refused(house.get(WRITABLE, READER, params={"limit": "1", "next": page["next"]}), 401)
