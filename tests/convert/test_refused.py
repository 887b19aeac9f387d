"""An event of which little can be taken costs no more memory than any other."""

import json

import pytest
from events import EVENT, NOW, SOURCE, attribute, event

from exchange.convert import pages
from exchange.convert.prepare import MOST_REFUSED
from exchange.errors import ContentError
from exchange.model.envelope import PAGE


def given(*attributes):
    return json.dumps({"Event": event(*attributes)}).encode()


def test_an_event_of_nothing_is_set_aside_whole():
    with pytest.raises(ContentError) as raised:
        list(pages(given(*[{}] * (2 * MOST_REFUSED)), SOURCE, now=NOW))
    assert (raised.value.code, raised.value.fields) == ("misp.too_much_refused", {"limit": MOST_REFUSED})


def test_what_is_refused_fills_pages_like_what_is_taken():
    bad = [attribute(n, timestamp="never") for n in range(1000, 1000 + 3 * PAGE)]
    found = list(pages(given(attribute(1), *bad), SOURCE, now=NOW))
    assert sum(len(page.rejected) for page in found) == 3 * PAGE
    assert {each.fields["event"] for page in found for each in page.rejected} == {EVENT}
    assert {each.code for page in found for each in page.rejected} == {"misp.bad_timestamp"}


def test_what_is_left_out_does_not_wait_for_the_frame(monkeypatch):
    """The deletions of a large event come out page by page."""
    monkeypatch.setattr("exchange.convert.events._HELD", 2 * PAGE)
    gone = [attribute(n, deleted=True) for n in range(1000, 1000 + 6 * PAGE)]
    found = list(pages(given(*gone, attribute(1)), SOURCE, now=NOW))
    assert sum(len(page.skipped) for page in found) == 6 * PAGE
    assert max(len(page.skipped) for page in found) < 3 * PAGE
