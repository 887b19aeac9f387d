"""R22: a peer takes its own statements out of a collection; re-decision and re-pull obey, a later POST lists again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model.party import Terms
from exchange.store import Store, originals, statements
from exchange.store.pages import LAST, Versions
from exchange.sync.withdrawal import Withdrawn, withdraw
from tests.world import NOW, SHARED, World, indicator

CHANNEL = f"collection:{SHARED}"
EVERY = Versions(every=True)


class Shelf(World):
    """A collection to which `ccc` and `circl` post, as `cert-ee` reads it."""

    def post(self, peer: str, *objects: Mapping[str, Any]) -> None:
        """`peer` writes to the shared collection."""
        self.give(f"{peer}/post:partenaires", *objects, posted=CHANNEL)

    def take_out(self, peer: str, made: Mapping[str, Any], versions: Versions = EVERY) -> Withdrawn:
        """`peer` deletes it from the shared collection."""
        audience = next(a.key for a in self.rules.audiences if a.channel == CHANNEL and peer in a.members)
        return withdraw(
            self.store, self.rules, peer=peer, audience=audience, stix_id=made["id"], versions=versions, now=self.now
        )

    def reads(self, **query: Any) -> list[str]:
        """What `cert-ee` reads there."""
        return self.listed("cert-ee", **query)


@pytest.fixture
def shelf(store: Store) -> Shelf:
    """An empty one."""
    return Shelf(store)


def test_what_is_withdrawn_is_gone_and_the_bytes_stay(shelf: Shelf) -> None:
    """R22: it leaves every audience of the collection; raw bytes and provenance stay."""
    made = indicator()
    shelf.post("ccc", made)
    assert shelf.reads() == [made["id"]]
    assert shelf.take_out("ccc", made) == Withdrawn(removed=1, foreign=0)
    assert shelf.reads() == []
    with shelf.store.reading() as tx:
        (held,) = statements.find(tx, stix_id=made["id"])
        assert originals.raw(tx, held.seq)
    assert shelf.take_out("ccc", made) == Withdrawn(removed=0, foreign=0)


def test_re_decision_and_re_pull_obey(shelf: Shelf) -> None:
    """R22: neither new terms nor the same or a later version from another of the peer's sources bring it back."""
    made = indicator()
    shelf.post("ccc", made)
    shelf.take_out("ccc", made)
    shelf.follow(_renamed(shelf.terms))
    assert shelf.reads() == []
    shelf.give("ccc/alertes", made)
    shelf.give("ccc/alertes", indicator(modified=NOW + timedelta(seconds=1), description="later"))
    assert shelf.reads() == []


def test_a_later_post_lists_again(shelf: Shelf) -> None:
    """R22: the same version posted again comes with a new date; what was not posted again stays out."""
    first, second = indicator(), indicator(modified=NOW + timedelta(seconds=1), description="second")
    shelf.post("ccc", first, second)
    shelf.take_out("ccc", first)
    shelf.post("ccc", first)
    assert shelf.reads(versions=EVERY) == [first["id"]]
    shelf.post("ccc", second)
    assert shelf.reads(versions=EVERY) == [first["id"], first["id"]]


def test_the_same_content_under_a_new_date_lists_again(shelf: Shelf) -> None:
    """R22 before R9: what was taken out and is posted again under a newer `modified` is no mere touch."""
    shelf.post("ccc", indicator())
    shelf.take_out("ccc", indicator())
    shelf.post("ccc", indicator(modified=NOW + timedelta(seconds=5)))
    assert shelf.reads() == [indicator()["id"]]


def test_what_stands_behind_the_same_version_of_another_is_withdrawn_too(shelf: Shelf) -> None:
    """R22: it is the peer's own, so it does not come forward when the other goes."""
    shelf.post("circl", indicator())
    shelf.give("ccc/alertes", indicator())
    assert shelf.take_out("ccc", indicator()) == Withdrawn(removed=1, foreign=1)
    shelf.take_out("circl", indicator())
    assert shelf.reads() == []


def test_what_others_said_stays(shelf: Shelf) -> None:
    """R22: the same version of another giver is listed instead; another's statement is not one's to delete."""
    made = indicator()
    shelf.post("ccc", made)
    shelf.post("circl", made)
    assert shelf.take_out("ccc", made).removed == 1
    assert shelf.reads() == [made["id"]]
    assert shelf.take_out("ccc", made) == Withdrawn(removed=0, foreign=1)
    assert shelf.reads() == [made["id"]]


def test_only_the_versions_that_were_asked_for_go(shelf: Shelf) -> None:
    """TAXII 2.1 section 5.7: `match[version]` picks; when the latest goes, the one before it is the latest again."""
    made = [indicator(modified=NOW + timedelta(seconds=n), description=str(n)) for n in range(3)]
    shelf.post("ccc", *made)
    shelf.take_out("ccc", made[0], LAST)
    assert len(shelf.reads(versions=EVERY)) == 2
    assert shelf.reads() == [made[0]["id"]]
    shelf.take_out("ccc", made[0], Versions(first=True))
    assert len(shelf.reads(versions=EVERY)) == 1
    shelf.take_out("ccc", made[0], Versions(exact=frozenset({"2026-11-21T12:00:01.000000"})))
    assert shelf.reads(versions=EVERY) == []


def test_elsewhere_it_stays(shelf: Shelf) -> None:
    """R22: it leaves that collection, not the outbox of a partner."""
    made = indicator()
    shelf.post("circl", made)
    assert shelf.waiting() == [made["id"]]
    shelf.take_out("circl", made)
    assert shelf.waiting() == [made["id"]]


def _renamed(given: Terms) -> Terms:
    """Other terms under which everything is decided anew."""
    return replace(given, node_identity="identity--00000000-0000-4000-8000-000000000001")
