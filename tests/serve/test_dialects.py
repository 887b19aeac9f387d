"""R1, R6: a partner with a dialect reads TLP in its own ids over TAXII and where it is handed over; nothing else."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from exchange.model.dialect import Dialect
from exchange.model.marking import OPENCTI_STRICT, TLP2_ID, TLP_IDS, Tlp
from exchange.model.party import Send, Terms
from exchange.store import Store
from tests.serve.house import MANIFEST, OBJECTS, House, house_terms, ids
from tests.sync.partners import OTHER, Desk, Taker
from tests.world import agreement, indicator, terms

TLP1 = {level: identifier for identifier, level in list(TLP_IDS.items())[:4]}
WRITTEN: dict[Dialect, dict[Tlp, str]] = {"": TLP2_ID, "tlp1": TLP1, "tlp2": TLP2_ID, "opencti": TLP1}


def speaking(given: Terms, dialect: Dialect, *names: str) -> Terms:
    """The same terms, in which these peers read this dialect."""
    return replace(given, peers={n: replace(p, dialect=dialect) if n in names else p for n, p in given.peers.items()})


@pytest.mark.parametrize("dialect", WRITTEN)
def test_a_reader_has_the_ids_of_its_dialect(memory: Store, dialect: Dialect) -> None:
    """Pages, single objects and packed pages; id, version, dates and every other property stay."""
    house = House(memory, speaking(house_terms(), dialect, "ccc"))
    given = [indicator("a.example"), indicator("b.example", tlp=Tlp.CLEAR)]
    house.give(*given)
    wanted = [
        {**item, "object_marking_refs": [WRITTEN[dialect][level]]}
        for item, level in zip(given, (Tlp.GREEN, Tlp.CLEAR), strict=True)
    ]
    assert house.get(OBJECTS).json["objects"] == wanted
    assert house.get(OBJECTS, "circl").json["objects"] == given
    assert house.get(f"{OBJECTS}{given[0]['id']}/").json["objects"] == wanted[:1]
    packed = house.get(OBJECTS, headers={"Accept-Encoding": "gzip, identity;q=0"})
    assert json.loads(gzip.decompress(packed.content))["objects"] == wanted
    assert ids(house.get(MANIFEST)) == [item["id"] for item in given]


def test_readers_of_two_dialects_share_no_page(memory: Store) -> None:
    """Tags tell the dialect, so no page that was packed for one reader goes to the other."""
    house = House(memory, speaking(house_terms(), "tlp1", "ccc"))
    house.give(*(indicator(f"{n}.example") for n in range(20)))
    packed = {"Accept-Encoding": "gzip"}
    one, other = (house.get(OBJECTS, who, headers=packed) for who in ("ccc", "circl"))
    assert one.headers["etag"] != other.headers["etag"]
    texts = [gzip.decompress(each.content).decode() for each in (one, other)]
    assert [TLP1[Tlp.GREEN] in text for text in texts] == [True, False]
    assert [TLP2_ID[Tlp.GREEN] in text for text in texts] == [False, True]
    again = house.get(OBJECTS, "circl", headers=packed | {"If-None-Match": one.headers["etag"]})
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("dialect", "left"), [("tlp1", None), ("tlp2", TLP2_ID[Tlp.AMBER_STRICT]), ("opencti", OPENCTI_STRICT)]
)
def test_amber_strict_is_never_written_as_amber(memory: Store, dialect: Dialect, left: str | None) -> None:
    """TLP 1 has no word for it, so it is held there; the others have their own id for it."""
    given = agreement("strict", "ccc", send=Send(ceiling=Tlp.AMBER_STRICT))
    desk = Desk(memory, speaking(terms(agreements=[given, *terms().agreements]), dialect, "ccc"), OTHER)
    desk.world.give("maison/misp", indicator(tlp=Tlp.AMBER_STRICT))
    taker = Taker()
    desk.push(taker)
    marks = [json.loads(body)["object_marking_refs"] for body in taker.bodies]
    assert marks == ([] if left is None else [[left]])


def test_what_is_handed_over_is_in_the_dialect_of_who_gets_it(memory: Store) -> None:
    """What leaves differs from what is stored in the id of its mark alone, and is settled as ever."""
    desk = Desk(memory, speaking(terms(), "opencti", "ccc"))
    desk.world.give(OTHER.key, indicator())
    taker = Taker()
    run = desk.push(taker)
    assert run is not None
    assert run.counts == {"accepted": 1}
    (body,) = taker.bodies
    assert json.loads(body) == {**indicator(), "object_marking_refs": [TLP1[Tlp.GREEN]]}
