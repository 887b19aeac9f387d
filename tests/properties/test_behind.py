"""What comes to be shown behind the marks of those who have read on must come to them all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Send
from tests.properties.depot import OBJECTS, READER, WRITERS, Depot
from tests.properties.givers import Key, key, made
from tests.properties.readers import Header, Reader
from tests.world import agreement, malware


@pytest.fixture
def depot() -> Iterator[Depot]:
    """An empty collection in memory."""
    with closing(Depot("sqlite://")) as made:
        yield made


def reads(depot: Depot, reader: Reader) -> list[Key]:
    """What is new to the reader, and fits on a page."""
    return [key(item) for item in reader.ask(lambda path, query: depot.get(0, path, query)).items]


def post(depot: Depot, who: str, *objects: dict[str, object]) -> None:
    """One envelope, a second after the one before."""
    depot.house.tick()
    assert depot.house.post(OBJECTS, {"objects": objects}, who).json["success_count"] == len(objects)


def test_r8_the_version_before_the_one_that_is_withdrawn(depot: Depot) -> None:
    """A reader that began after version 2 was listed has never seen version 1, which then is the latest again."""
    reader, first, second = Header(), made(1, version=1), made(1, version=2)
    post(depot, "circl", first)
    post(depot, "circl", second)
    assert reads(depot, reader) == [key(second)]
    gone = depot.house.send("DELETE", f"{OBJECTS}{first['id']}/", "circl", params={"match[version]": "last"})
    assert gone.status_code == 200
    assert reads(depot, Header()) == [key(first)]
    assert reads(depot, reader) == [key(first)]


def test_r5_what_stood_behind_the_words_of_another(depot: Depot) -> None:
    """Version 2 of a second giver stood behind version 1 of the first (R5) until that one took its object out."""
    reader, first, second, other = Header(), made(1, version=1), made(1, version=2), made(2)
    post(depot, "cert-ee", first)
    post(depot, "circl", second)
    post(depot, "circl", other)
    assert reads(depot, reader) == [key(first), key(other)]
    assert depot.delete(0, "cert-ee", first["id"]).status_code == 200
    assert reads(depot, Header()) == [key(other), key(second)]
    assert reads(depot, reader) == [key(second)]


def test_r20_an_audience_that_new_terms_make(depot: Depot) -> None:
    """A bulk load has run ahead of the clock when the terms change: what the reader may see from now on has dates of
    a new audience, and the reader still has its mark from the old one."""
    reader, house, held = Header(), depot.house, [made(number) for number in range(20)]
    (agreed,) = house.world.terms.agreements
    narrow = replace(agreed, send=Send(ceiling=Tlp.GREEN, types=frozenset({"malware"})))
    house.world.follow(replace(house.world.terms, agreements=(narrow,)))
    house.give(*held, *(malware(str(number)) for number in range(200)))
    assert len(reads(depot, reader)) == 200
    wide = agreement("wide", READER, *WRITERS, send=Send(ceiling=Tlp.GREEN))
    house.world.follow(replace(house.world.terms, agreements=(narrow, wide)))
    assert set(reads(depot, Header())) > {key(item) for item in held}
    assert set(reads(depot, reader)) >= {key(item) for item in held}
