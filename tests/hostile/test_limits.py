"""What a hostile server may cost us, where it may not lead us, and what is said of it all."""

from __future__ import annotations

import re
import ssl
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange import i18n
from exchange.i18n import LANGUAGES, text
from exchange.model.marking import Tlp
from exchange.model.party import Credentials
from exchange.peers import drain
from exchange.store import Store
from tests.hostile.pull_ways import PASSWORD, TOKEN, USER, WAYS
from tests.hostile.room import LIMITS, Killed, Room, readable
from tests.hostile.server import ROOT, Call, Server, said, shelf
from tests.hostile.test_pulls import ONE_POST, SPREAD, recover, shared
from tests.peers.doubles import COLLECTION, indicator, serving
from tests.serve.paper import Authority
from tests.world import marked

__all__ = ["shared"]
BODIES = [name for name in WAYS if "bomb" in name or "endless" in name]
MITRE = "x-mitre-collection--1f5f1533-f617-4ca8-9ab4-6a02367fa019"


@contextmanager
def room_of(shared: Store, *doing: str, ticks: Any = SPREAD, **more: Any) -> Iterator[Room]:
    """The node and its partner."""
    server = Server(WAYS | more.pop("ways", {}), doing, listed=shelf(ticks), collection=more.pop("id", COLLECTION))
    with serving(server, more.pop("tls", None)) as site:
        server.url = site.url.rstrip("/") + more.pop("root", ROOT)
        yield Room(shared, server, **more)


@pytest.mark.parametrize("name", BODIES)
def test_no_body_costs_more_than_its_limit(name: str, shared: Store) -> None:
    """Tens of megabytes lie in wait; what is read, unpacked and kept of them are a few."""
    with room_of(shared, name) as room:
        tracemalloc.start()
        room.pull()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6 * int(LIMITS["size"])


@pytest.mark.parametrize("name", ["an endless body", "a bomb of gzip"])
def test_a_page_that_is_too_large_is_asked_for_in_halves(name: str, shared: Store) -> None:
    """Before the operator is told, we have asked for as little as makes sense."""
    with room_of(shared, name) as room:
        room.pull()
        assert [asked.query["limit"] for asked in room.server.asked] == ["500", "250", "125", "62", "31"]


def test_a_page_of_large_objects_is_read_in_halves(shared: Store) -> None:
    """That does help with an honest server whose objects are large."""
    large = [(indicator(n) | {"description": "x" * 10_000}, date) for n, (_, date) in enumerate(shelf(SPREAD))]
    with room_of(shared, limits={"size": 400_000}) as room:
        room.server.listed, room.server.page = large, 1000
        run = room.pull()
        assert run is not None
        assert (run.outcome, run.counts) == ("complete", {"stored": 90})


@pytest.mark.parametrize("doing", [("the first page again after the last",), ("every second next is unknown",)])
def test_a_circle_longer_than_what_is_remembered_ends(
    doing: tuple[str, ...], shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was forgotten looks new; a circle of it is recognised all the same, and a tie that no `next` outlives."""
    monkeypatch.setattr(drain, "_REMEMBERED", 40)
    with room_of(shared, *doing, ticks=ONE_POST) as room:
        run = room.pull()
        assert run is not None
        assert room.codes(room.source.key).keys() & {"peer.no_progress", "peer.query_refused"}
        assert len(room.server.asked) < 40
        recover(room)


def _always_new(call: Call) -> Any:
    begin = 1000 + 30 * call.turn
    return said({"objects": [indicator(n) for n in range(begin, begin + 30)], "more": True, "next": str(call.turn)})


def test_a_server_that_never_runs_out_is_stopped_by_the_ceiling_of_the_day(shared: Store) -> None:
    """RULES R32: the others go on, and the alarm says so."""
    ways = {"always something new": (lambda asked: asked.path.endswith("/objects/"), _always_new)}
    with room_of(shared, "always something new", ways=ways) as room:
        room.source = replace(room.source, max_day=100)
        run = room.pull()
        assert run is not None
        assert (run.outcome, run.counts) == ("day_full", {"stored": 120})
        assert room.line(room.source.key).state == "day_full"


def test_a_tie_that_no_page_holds_is_said_and_read_when_it_can_be(shared: Store) -> None:
    """Without `next`, ninety objects of one date in pages of thirty cannot be read by anybody."""
    with room_of(shared, "no next", ticks=[*ONE_POST, 900]) as room:
        run = room.pull()
        assert run is not None
        assert run.outcome == "complete"
        assert set(room.codes(room.source.key)) == {"peer.one_date"}
        assert (indicator(90)["id"], "2026-01-01T00:00:00.090000") in room.held()
        readable("peer.one_date", room.codes(room.source.key)["peer.one_date"])


def test_a_token_is_kept_as_secret_as_a_password(shared: Store) -> None:
    for name in (name for name in WAYS if "repeats our account" in name):
        with room_of(shared, name, credentials=Credentials(token=TOKEN)) as room:
            room.pull()
            assert not room.secrets()


@pytest.mark.parametrize("root", ["/api1", "/api1/"])
@pytest.mark.parametrize("collection", [COLLECTION, MITRE, "alertes"])
def test_odd_addresses_are_as_good_as_others(root: str, collection: str, shared: Store) -> None:
    """An API root without its slash, a collection whose id is no UUID."""
    with room_of(shared, root=root, id=collection) as room:
        run = room.pull()
        assert run is not None
        assert (run.outcome, run.counts) == ("complete", {"stored": 90})
        assert all(asked.path.endswith("/") for asked in room.server.asked)
        room.server.listed.clear()
        room.desk.world.give("circl/autres", marked(indicator(500), Tlp.GREEN))
        pushed = room.push()
        assert pushed is not None
        assert pushed.counts["accepted"] == 1


# TLS


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A certificate as it should be, and those that are not; with the authority that we trust."""
    folder, elsewhere = tmp_path_factory.mktemp("ca"), tmp_path_factory.mktemp("elsewhere")
    ours, stranger = Authority(folder), Authority(elsewhere)
    return {
        "ca": (ours.certificate, ours.certificate),
        "good": ours.issue("good"),
        "expired": ours.issue("expired", days=-1),
        "wrong name": ours.issue("named", names="DNS:elsewhere.example"),
        "unknown authority": stranger.issue("stranger"),
    }


@pytest.mark.parametrize("wrong", ["expired", "wrong name", "unknown authority"])
def test_no_wrong_certificate_learns_our_account(
    wrong: str, shared: Store, papers: dict[str, tuple[Path, Path]]
) -> None:
    """The run fails, nothing was sent, and with the right certificate everything comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*papers[wrong])
    account = Credentials(user=USER, password=PASSWORD, ca=str(papers["ca"][0]))
    with room_of(shared, tls=context, credentials=account) as room:
        run = room.pull()
        assert run is not None
        assert (run.outcome, set(room.codes(room.source.key))) == ("failed", {"peer.tls"})
        assert room.server.asked == []
        readable("peer.tls", room.codes(room.source.key)["peer.tls"])
        context.load_cert_chain(*papers["good"])
        recover(room)


def test_http_where_https_was_meant(shared: Store) -> None:
    """By chance such a server answers at once that it understands nothing, or goes on listening."""
    with room_of(shared, limits={"connect": 0.3, "read": 0.3, "total": 0.6, "tries": 1}) as room:
        room.source = replace(room.source, url=room.server.url.replace("http:", "https:"))
        room.pull()
        assert room.codes(room.source.key).keys() <= {"peer.tls", "peer.timeout"}
        assert room.line(room.source.key).state == "failing"
        assert room.server.asked == []


def test_a_worker_that_comes_back_from_the_dead_does_no_harm(shared: Store) -> None:
    """Killed, and its lease is still running: nobody else begins, and after that the next one goes on."""
    with room_of(shared) as room:
        with pytest.raises(Killed):
            room.pull(1)
        assert room.pull() is None
        room.desk.world.pass_time(timedelta(minutes=6))
        recover(room)


# Words

CATALOGUES = Path(i18n.__file__).parent
DO = {
    "en": re.compile(
        r"\b(?:[Cc]heck|[Aa]sk|[Ww]rite|[Ss]end|[Tt]ell|[Pp]ut|[Ss]et|[Tt]ake|[Rr]ead|tried again|offered again|resume"
        r"|nothing to do)\b"
    ),
    "fr": re.compile(r"\b\w{3,}ez(?:-\w+)?\b|\b[Uu]n nouvel essai suivra|reprendra|rien à faire"),
}
SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀÉÎ])")
BESIDE_THE_PEER = {
    "peer.object_too_large", "peer.no_reason", "peer.already_there", "peer.unsettled", "peer.unlocked_copy",
    "peer.blocked", "peer.empty_event", "peer.no_room", "peer.no_reports", "peer.attributes_missing",
    "peer.sightings_left", "peer.proposals_left", "peer.analyst_data_left", "peer.clusters_left",
}  # fmt: skip
"""Reasons of one object, which are only ever shown beside the peer's name."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_about_a_peer_says_what_happened_and_what_to_do(language: Any) -> None:
    """Two sentences at least: the first names the peer and what happened, those after it what to do."""
    codes = re.findall(r'^msgid "(peer\.\w+)"', (CATALOGUES / language / "peer.po").read_text("utf-8"), re.MULTILINE)
    assert len(codes) > 25
    for code in codes:
        told = text(code, language)
        first, *rest = SENTENCES.split(told)
        assert rest, f"{code}: only one sentence"
        assert DO[language].search(" ".join(rest)), f"{code}: nothing to do in “{rest}”"
        assert code in BESIDE_THE_PEER or "{peer}" in first, f"{code}: which peer?"
        assert all(text(code, other) != told for other in LANGUAGES if other != language), code
