"""R33 on every engine: what was erased stands in no table, and whoever had the rest reads the same as before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.errors import UsageError
from exchange.model.envelope import Document
from exchange.model.misp import EXTENSION as MISP
from exchange.policy import Rules
from exchange.store import Store, derived, erasures, removals, statements
from exchange.sync import accounting, erasing
from exchange.sync.terms import adopt
from tests.contract.test_derived import under
from tests.contract.test_removals import Hub
from tests.world import CCC_IDENTITY, NOW, indicator, malware, relationship, report

EVENT = "6f3f6f0e-54b1-4d3e-8f77-0d3d2d3b1a10"


@pytest.fixture
def hub(store: Store) -> Hub:
    """Three partners."""
    return Hub(store)


def erase(hub: Hub, scope: object) -> object:
    """Marie asks, Luc approves."""
    made = erasing.ask(hub.store, hub.rules, scope, who="marie", why="x", basis="y", clock=lambda: hub.now)  # type: ignore[arg-type]
    return erasing.approve(
        hub.store, hub.rules, made.number, who="luc", despite=True, clock=lambda: hub.now, wait=lambda _: None
    )


def left(hub: Hub, *words: str) -> list[erasures.Left]:
    """Where these still stand."""
    with hub.store.reading() as tx:
        return erasures.left(tx, words)


def test_r33_it_stands_in_no_table_and_the_others_stay(hub: Hub) -> None:
    """Bytes, values, references, notices, outbox; its neighbours in the same block are served as they were."""
    made, other, family = indicator("geheim.example"), indicator("b.example"), malware("m")
    link = relationship(made, family)
    hub.give("circl/osint", other, made, family, link)
    hub.give("ccc/alertes", {**made, "description": "geheim"})
    before = [each for each in hub.bodies("cert-ee") if each["id"] in (other["id"], family["id"])]
    assert left(hub, "geheim", made["id"])
    erase(hub, hub.means(made["id"]))
    assert left(hub, "geheim", made["id"], link["id"]) == []
    assert hub.bodies("cert-ee") == before
    assert hub.waiting() == [other["id"], family["id"]]
    assert accounting.verify(hub.store).faults == ()


def test_new_terms_and_a_new_day_change_nothing(hub: Hub) -> None:
    """What is left of the rows is nobody's, and is decided without a fault."""
    made = indicator("geheim.example")
    hub.give("circl/osint", made, indicator("b.example"))
    erase(hub, hub.means(made["id"]))
    before = hub.bodies("cert-ee")
    hub.pass_time(timedelta(days=1))
    rules = Rules(hub.terms, hub.now)
    adopt(hub.store, rules, hub.now)
    assert hub.bodies("cert-ee") == before
    hub.give("circl/osint", made, indicator("geheim.example", modified=NOW + timedelta(hours=1)))
    hub.give("ccc/alertes", made)
    assert hub.bodies("cert-ee") == before
    with hub.store.reading() as tx:
        assert statements.find(tx, stix_id=made["id"]) == []


def test_of_an_event_its_document_goes_too_and_is_not_kept_again(hub: Hub) -> None:
    extension = {"extension_type": "property-extension", "event": EVENT}
    made = indicator("geheim.example", extensions={MISP: extension})
    document = Document(kind="misp-event", id=EVENT, version="1", raw=b'{"Event": "geheim"}')
    hub.give_document("circl/osint", document, made)
    erase(hub, hub.event(EVENT))
    assert left(hub, "geheim", EVENT, made["id"]) == []
    hub.give_document("circl/osint", document, made)
    assert left(hub, "geheim") == []


def test_the_words_of_others_about_it_are_told_and_stay(hub: Hub) -> None:
    """A report that holds other things too keeps its members' ids (R13): the attestation says so."""
    made, other = indicator("geheim.example"), indicator("b.example")
    case = report(made, other)
    hub.give("circl/osint", made, other, case)
    done = erase(hub, hub.means(made["id"]))
    places = {each["place"] for each in done["left"]}  # type: ignore[index]
    assert places == {"block.body", "reference.target"}
    assert case["id"] in hub.listed("cert-ee")


@pytest.mark.parametrize("clause", [{"redact": frozenset({"name"})}, {"attribution": "anonymous"}])
def test_what_was_made_of_it_for_somebody_goes_with_it(store: Store, clause: dict[str, Any]) -> None:
    """R33: the altered copies, what refers to those, the notices about them by the ids that readers know."""
    hub = Hub(store, under(**clause))
    made = indicator("geheim.example", name="geheim", created_by_ref=CCC_IDENTITY)
    family = malware("m", created_by_ref=CCC_IDENTITY)
    link = {**relationship(made, family), "created_by_ref": CCC_IDENTITY}
    other = indicator("b.example", name="b", created_by_ref=CCC_IDENTITY)
    hub.give("ccc/alertes", other, made, family, link)
    (copy,) = [each["id"] for each in hub.bodies("cert-ee") if "geheim" in str(each)]
    assert copy != made["id"]
    with hub.store.reading() as tx:
        gone = derived.copies(tx, [made["id"], link["id"]])
    assert copy in gone
    stays = [each for each in hub.bodies("cert-ee") if each["id"] not in {*gone, made["id"], link["id"]}]
    assert "pattern" in stays[0]
    erase(hub, hub.means(made["id"]))
    assert left(hub, "geheim", made["id"], link["id"], *gone) == []
    file = store.engine.url.database if store.sqlite and not store.memory else None
    assert file is None or all(word.encode() not in Path(file).read_bytes() for word in ("geheim", made["id"], *gone))
    assert hub.bodies("cert-ee") == stays
    assert accounting.verify(hub.store).faults == ()
    hub.pass_time(timedelta(days=1))
    hub.give("ccc/alertes", made, link)
    assert hub.bodies("cert-ee") == stays


def test_a_reader_of_its_altered_copy_is_in_the_attestation(store: Store) -> None:
    """Asked by the id that the reader knows: who asks for it by that means the original."""
    hub = Hub(store, under(redact=frozenset({"name"})))
    made = indicator("geheim.example", name="geheim")
    hub.give("ccc/alertes", made)
    (copy,) = hub.listed("cert-ee")
    assert copy != made["id"]
    assert hub.means(copy).targets == (made["id"],)
    erase(hub, hub.means(copy))
    assert left(hub, "geheim", made["id"], copy) == []
    assert hub.bodies("cert-ee") == []


def test_r8_what_is_said_of_a_value_alone_is_told_before_it_is_destroyed(hub: Hub) -> None:
    """Whoever had the relationship gets a notice while there is still something to name."""
    made, family = indicator("geheim.example"), malware("m")
    link = relationship(made, family)
    hub.give("circl/osint", made, family, link)
    hub.pass_time(timedelta(minutes=1))
    scope = hub.means("geheim.example")
    erasing.ask(hub.store, hub.rules, scope, who="marie", why="x", basis="y", clock=lambda: hub.now)
    notes = [each for each in hub.bodies("cert-ee") if each["type"] == "note"]
    assert {link["id"], made["id"]} == {ref for note in notes for ref in note["object_refs"]}


def test_nobody_approves_alone(hub: Hub) -> None:
    made = indicator("geheim.example")
    hub.give("circl/osint", made)
    asked = erasing.ask(
        hub.store, hub.rules, hub.means(made["id"]), who="Marie", why="x", basis="y", clock=lambda: hub.now
    )
    with pytest.raises(UsageError, match="four_eyes"):
        erasing.approve(
            hub.store, hub.rules, asked.number, who="marie", despite=True, clock=lambda: hub.now, wait=lambda _: None
        )
    assert left(hub, made["id"])


def test_what_only_ends_like_it_stays(hub: Hub) -> None:
    """`a.example` is no part of `ba.example`: neither is erased with it nor counted as left."""
    made, near = indicator("a.example"), indicator("ba.example", description="a.example.org is another")
    hub.give("circl/osint", made, near)
    longer = hub.gone(hub.means("ba.example"))
    done = erase(hub, hub.means("a.example"))
    assert done["left"] == []  # type: ignore[index]
    with hub.store.reading() as tx:
        row = removals.find(tx, longer.number)
    assert row is not None and row["asked"] == "ba.example"
    hub.back(longer.number)
    assert hub.listed("cert-ee") == [near["id"]]
