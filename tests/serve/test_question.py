"""What a reader asks: parameters parsed strictly, each wrong one named (sections 3.4 and 3.5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import stix
from exchange.serve.question import EVERY, MOST, ONE, PAGE, REMOVAL, ask, timestamp
from exchange.store import micros
from exchange.store.pages import Versions
from tests.serve.house import MANIFEST, OBJECTS, WRITABLE, House, ids, refused
from tests.world import indicator, malware

MOMENT = micros(datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2026-11-21T12:00:00Z", MOMENT),
        ("2026-11-21T12:00:00.5Z", MOMENT + 500_000),
        ("2026-11-21T12:00:00.123456Z", MOMENT + 123_456),
        ("2026-11-21T12:00:00.123456999Z", MOMENT + 123_456),
        ("2026-11-21t12:00:00z", MOMENT),
        ("2026-11-21T07:00:00-05:00", MOMENT),
        ("2026-11-21T13:30:00+01:30", MOMENT),
        ("2026-11-21T13:30:00 0130", MOMENT),  # a raw + in a query is a space
        ("2026-11-21T11:59:60Z", MOMENT),
    ],
)
@pytest.mark.parametrize("name", ["added_after", "next"])
def test_timestamps(name: str, text: str, after: int) -> None:
    assert ask({name: text}).after == after


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-11-21", "2026-13-01T00:00:00Z", "2026-11-21T12:00:00", "20", "2026-11-21T25:00:00Z",
             "2026-11-21T12:00:00.1234567890Z", "", "2026-11-21T12:00:61Z",
             "2026-11-21T12:00:00Z\n", "0001-01-01T00:00:00+23:59", "٢٠٢٦-11-21T12:00:00Z",
             "2026-11-21T12:00:00+99:99"]
)  # fmt: skip
@pytest.mark.parametrize("name", ["added_after", "next"])
def test_wrong_timestamps_are_named(house: House, name: str, text: str) -> None:
    if text.startswith("0001"):
        assert ask({name: text}).after < 0
        return
    body = refused(house.get(OBJECTS, params={name: text}), 400, "request.timestamp")
    assert f"`{name}`" in body["description"]


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1.5", "", "+3", "٣", "00"])
def test_wrong_limits(house: House, text: str) -> None:
    body = refused(house.get(OBJECTS, params={"limit": text}), 400, "request.limit")
    assert "`limit`" in body["description"]


@pytest.mark.parametrize("text", ["1", "007", "10000", "10001", "9" * 40, "9" * 5000])
def test_a_huge_limit_is_no_mistake(house: House, text: str) -> None:
    house.give(indicator())
    assert len(ids(house.get(OBJECTS, params={"limit": text}))) == 1
    assert ask({"limit": text}).limit <= MOST


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=1&limit=2", "request.repeated"),
        ("next=2026-11-21T12:00:00Z&next=2026-11-21T12:00:00Z", "request.repeated"),
        ("match[type]=a&match[type]=b", "request.repeated"),  # section 3.4: each field once in a request
        ("match[id]=a&match%5Bid%5D=b", "request.repeated"),
        ("match[id]=a,,b", "request.empty_value"),
        ("match[type]=", "request.empty_value"),
        ("match[spec_version]=2.1,", "request.empty_value"),
        ("match[version]=", "request.empty_value"),
        ("match[version]=%20,last", "request.empty_value"),
        ("match[version]=latest", "request.match_version"),
        ("match[version]=Last", "request.match_version"),
        ("match[version]=2020-01-01", "request.match_version"),
        ("match[version]=2020-02-30T00:00:00Z", "request.match_version"),
        ("match[version]=0001-01-01T00:00:00%2B23:00", "request.match_version"),
        ("match[version]=last,last", "request.match_version_mix"),
        ("match[version]=all,last", "request.match_version_mix"),
        ("match[version]=all,all", "request.match_version_mix"),
        ("match[version]=2020-01-01T00:00:00Z,2020-01-01T00:00:00.000Z", "request.match_version_mix"),
        ("match[id]=" + ",".join("a" for _ in range(501)), "request.too_many_values"),
    ],
)
@pytest.mark.parametrize("path", [OBJECTS, MANIFEST])
def test_malformed_filters(house: House, path: str, query: str, code: str) -> None:
    body = refused(house.get(path, query_string=query), 400, code)
    assert f"`{query.partition('=')[0]}`" in body["description"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("last", Versions(last=True)),
        ("first", Versions(first=True)),
        ("all", Versions(every=True)),
        ("last,first", Versions(first=True, last=True)),
        ("last, first", Versions(first=True, last=True)),
        ("2020-01-01T00:00:00Z", Versions(exact=frozenset({"2020-01-01T00:00:00.000000"}))),
        ("2020-01-01T00:00:00.1234567Z", Versions(exact=frozenset({"2020-01-01T00:00:00.1234567"}))),
        ("2020-01-01T00:00:00.050Z", Versions(exact=frozenset({"2020-01-01T00:00:00.050000"}))),
        ("2020-01-01T01:30:00 0130", Versions(exact=frozenset({"2020-01-01T00:00:00.000000"}))),
        ("2020-01-01T00:00:00-00:30", Versions(exact=frozenset({"2020-01-01T00:30:00.000000"}))),
        (
            "first,2020-01-01T00:00:00Z,last,2020-01-01T00:00:00.000001Z",
            Versions(
                first=True,
                last=True,
                exact=frozenset({"2020-01-01T00:00:00.000000", "2020-01-01T00:00:00.000001"}),
            ),
        ),
    ],
)
def test_match_version(text: str, asked: Versions) -> None:
    assert ask({"match[version]": text}).versions == asked


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9000, 1, 1)), st.integers(0, 9))
def test_a_version_is_asked_for_as_it_is_kept(moment: datetime, digits: int) -> None:
    """The same instant as `model.stix.instant` keeps it, whatever the digits of its fraction."""
    fraction = f"{moment.microsecond:06}000"[:digits]
    text = f"{moment.replace(microsecond=0).isoformat()}{'.' if digits else ''}{fraction}Z"
    assert ask({"match[version]": text}).versions.exact == {stix.instant(text)}


def test_an_address_knows_its_own_parameters() -> None:
    """Sections 5.6 to 5.8: what an address does not know has no meaning there, be it malformed."""
    strange = {"match[id]": "", "match[type]": ["a", "b"], "match[version]": "x", "limit": "0"}
    assert ask(strange, REMOVAL - {"match[version]"}, otherwise=EVERY).versions == EVERY
    assert ask({**strange, "limit": "3"}, PAGE).limit == 3
    assert ask({**strange, "limit": "3", "match[version]": "all"}, ONE).versions == EVERY


def test_unknown_parameters_are_ignored(house: House) -> None:
    house.give(indicator())
    assert len(ids(house.get(OBJECTS, params={"foo": "bar", "match[colour]": "red"}))) == 1


def test_match_filters(house: House) -> None:
    first, second, other = indicator("a.example"), indicator("b.example"), malware("m")
    house.give(first, second, other)

    def found(**params: str) -> list[str]:
        query = "&".join(f"match[{name}]={value}" for name, value in params.items())
        assert ids(house.get(MANIFEST, query_string=query)) == ids(house.get(OBJECTS, query_string=query))
        return ids(house.get(OBJECTS, query_string=query))

    assert found(id=second["id"]) == [second["id"]]
    assert found(id=f"{second['id']}%2C{first['id']}") == [first["id"], second["id"]]
    assert found(type="malware") == [other["id"]]
    assert found(type="malware,indicator", id=first["id"]) == [first["id"]]
    assert found(type="mal%25") == found(type="indicat_r") == found(id="nonsense") == found(type="%00") == []
    assert found(id=f"{'a' * 9000},%00,{first['id']}") == found(id=f"{first['id']}, {first['id']}") == [first["id"]]
    assert found(type="x-unknown, malware") == [other["id"]]
    assert found(spec_version="2.1") == found(spec_version="2.0,2.1") == found(version="last")
    assert len(found(spec_version="2.1")) == 3
    assert found(spec_version="2.0") == found(spec_version="3.0") == found(spec_version="two") == []


def test_an_empty_result_has_no_list_and_no_dates(house: House) -> None:
    """Section 2: no empty lists. Section 3.5: an empty page has no Date-Added."""
    for answer in (house.get(OBJECTS), house.get(MANIFEST), house.get(WRITABLE)):
        assert answer.json == {}
        assert not [name for name in answer.headers if name.lower().startswith("x-taxii")]


def test_dates_have_exactly_six_digits(house: House) -> None:
    house.give(indicator("a.example"), indicator("b.example"))
    answer = house.get(OBJECTS)
    dates = [answer.headers[f"X-TAXII-Date-Added-{which}"] for which in ("First", "Last")]
    assert dates == [entry["date_added"] for entry in house.get(MANIFEST).json["objects"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text) for text in dates)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_what_we_write_we_read_exactly(moment: datetime) -> None:
    text = timestamp(micros(moment))
    assert ask({"added_after": text, "next": timestamp(micros(moment - timedelta(seconds=1)))}).after == micros(moment)


@given(
    st.dictionaries(
        st.sampled_from(["limit", "next", "added_after", "match[id]", "match[type]", "match[version]"]), st.text()
    )
)
def test_any_text_is_an_answer_or_a_400(params: Any) -> None:
    from exchange.errors import RequestError

    try:
        asked = ask(params)
    except RequestError as error:
        assert error.fields["parameter"] in params
    else:
        assert 1 <= asked.limit <= MOST
