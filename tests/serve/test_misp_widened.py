"""What was widened, read over MISP, as a feed and over TAXII: the value, and nothing of its event or producer (R26)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.policy.widening import wanted
from exchange.store import Store
from exchange.sync import widening
from exchange.sync.loosening import Wish
from tests.serve.house import House
from tests.serve.test_misp_hidden import OURS, pages
from tests.serve.wire import CERT1, EVENT, OPEN_WRITE, Misp, attribute, event, house_of, misp_terms
from tests.world import NODE, agreement


def office() -> Terms:
    """Circl gives what is strict, and our own house too; ccc may have TLP:GREEN."""
    given = misp_terms()
    hub = replace(given.collections[OPEN_WRITE], writers=("circl", "maison"))
    agreements = (
        agreement("in", "circl", receive=Receive(ceiling=Tlp.RED)),
        agreement("out", "ccc", send=Send(ceiling=Tlp.GREEN, personal="allowed")),
    )
    return replace(given, acts_for_mcn=True, agreements=agreements, collections={**given.collections, OPEN_WRITE: hub})


def tagged(told: dict[str, Any], name: str) -> dict[str, Any]:
    return {**told, "Tag": [{"id": "9", "name": name, "colour": "#112233", "exportable": True, "local": False}]}


def widens(house: House, asked: str, right: Any) -> int:
    """A person does, the content too; how many objects came of it."""
    to = wanted("TLP:GREEN")
    assert to is not None
    wish = Wish(asked=asked, to=to, right=right, content=True)
    plan = widening.planned(house.store, house.world.rules, wish, house.world.now)
    done = widening.say(house.store, house.world.rules, plan, who="a", why="b", clock=lambda: house.world.now)
    house.tick(seconds=5)
    return len(done.made)


@pytest.mark.parametrize("right", ["creator", "pfc"])
def test_a_widened_event_is_one_of_ours_and_tells_nothing_of_the_first(memory: Store, right: str) -> None:
    house = house_of(memory, office())
    told = event(attribute("lanterne.example", 1), attribute("phare.example", 2), info="Dossier 7 of CERT1")
    if right == "pfc":
        answer = Misp(house).push(tagged(told, "pfc:ambre"))
    else:
        org = {"id": "1", "name": "CERT-QC", "uuid": NODE.partition("--")[2]}
        answer = Misp(house, "maison").push({**tagged(told, "tlp:amber"), "uuid": OURS, "Orgc": org})
    assert answer.status_code == 200, answer.text
    house.tick(seconds=5)
    assert not any("lanterne.example" in text for text in pages(house, "ccc").values())
    assert widens(house, EVENT if right == "pfc" else OURS, right) >= 3
    found = pages(house, "ccc")
    for name in ("attributes", "search", "taxii"):
        assert "lanterne.example" in found[name] and "phare.example" in found[name], name
    hidden = [EVENT, OURS, "pfc:ambre", "tlp:amber", *((CERT1, "CERT1", "CIRCL") if right == "pfc" else ())]
    assert [(word, name) for word in hidden for name, text in found.items() if word in text] == []
