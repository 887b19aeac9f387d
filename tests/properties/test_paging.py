"""Every way of paging gets everything exactly once, or misses nothing: laws, over drawn writers, readers and clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.properties.conftest import Engine
from tests.properties.play import FILTERS, NODES, SOURCES, Play
from tests.properties.readers import READERS

Step = tuple[str, tuple[Any, ...]]
DAYS = 86_400.0


def _step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*arguments))


_any = st.integers(0, 999)
_few = st.sampled_from([1, 3, 20])
_source = st.integers(0, len(SOURCES) - 1)
_node = st.integers(0, NODES - 1)
_kinds = st.lists(
    st.sampled_from(["indicator", "indicator", "observable", "unmarked", "hidden"]), min_size=1, max_size=4
)
_load = _step("load", _source, st.sampled_from([4, 1, 30, 150]), _kinds, st.booleans())
_clock = _step(
    "tick", st.sampled_from([0.0, -0.95, 0.0004, 0.001, 0.1, 1.0, 3 * DAYS, -0.0003, -0.05, -0.5, -5.0, 0.000001])
)
_change = st.one_of(
    _step("renew", _any, _few, st.booleans(), st.booleans()),
    _step("repeat", _any, _few),
    _step("second", _source, _any, _few),
    _step("withdraw", _any, _few, st.booleans()),
    _step("restore", _any, _few, st.booleans()),
    _step("restart", _node),
)
_ask = _step(
    "ask",
    _any,
    st.integers(1, len(READERS)),
    st.sampled_from([7, 1, 2, 50, 120, None]),
    _node,
    st.sampled_from(["once", "twice", "in vain"]),
)
_round = st.tuples(_clock, _load, _ask, _change, _ask)
_limits = st.lists(st.sampled_from([20, 50, None]), min_size=3, max_size=3)
_asked = st.lists(st.sampled_from(FILTERS), min_size=len(READERS), max_size=len(READERS))


def exactly_once(
    url: str, asked: Sequence[Mapping[str, str]], rounds: Sequence[Sequence[Step]], limits: Sequence[int | None]
) -> None:
    """One example: a reader of every kind, the rounds of drawn steps, and the end."""
    play = Play(url, [kind(question) for kind, question in zip(READERS, asked, strict=True)])
    with closing(play.depot):
        for name, arguments in (step for steps in rounds for step in steps):
            getattr(play, name)(*arguments)
        play.finish(limits)


def test_r20_every_way_of_paging_is_exact(engine: Engine) -> None:
    """R20, R8, R22: whatever writers, clocks, nodes and page sizes do, each listing comes once, or is never missed."""

    @engine.examples(24)
    @given(asked=_asked, rounds=st.lists(_round, min_size=2, max_size=5), limits=_limits)
    def law(asked: list[Mapping[str, str]], rounds: list[tuple[Step, ...]], limits: list[int | None]) -> None:
        exactly_once(engine.new_url(), asked, rounds, limits)

    law()


def test_r20_pages_of_one_object() -> None:
    """Every kind of reader, at every step that `date_added` takes: 1 ms, 10 µs, 1 µs. R20 promises a cutting reader
    nothing for a page that is no larger than its unit, so that one asks for more when it is stuck."""
    play = Play("sqlite://", [kind() for kind in READERS])
    with closing(play.depot):
        for back in (0.0, -0.5, -0.5):
            play.tick(back)
            play.load(0, 20, ["indicator"], True)
            play.load(2, 20, ["indicator", "observable"], True)
        play.finish([1])


def test_r20_readers_between_the_transactions_of_a_bulk_load(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A POST of 1,200 objects is several transactions: whoever asks before and after each of their commits, through
    another node, gets nothing that is not committed, and everything once."""
    play = Play(engine.new_url(), [kind(FILTERS[n % 2]) for n, kind in enumerate(READERS)])
    store, turns = play.depot.house.store, 0
    plain = store.writing

    def everyone_asks() -> None:
        play.changed()
        play.ask(0, len(READERS), 150, 1, "once")

    @contextmanager
    def writing() -> Iterator[Connection]:
        nonlocal turns
        with plain() as tx:
            yield tx
            if not store.memory:  # there, a reader waits for the writer
                everyone_asks()
        everyone_asks()
        turns += 1

    with closing(play.depot):
        with monkeypatch.context() as patch:
            patch.setattr(store, "writing", writing)
            play.load(2, 1_200, ["indicator", "hidden", "observable"], True)
            play.load(0, 300, ["indicator", "unmarked"], True)
            assert turns > 4
        play.finish([None])
