"""What works but deserves a look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from valid_folder import VALID

from exchange.config import load, warnings
from exchange.i18n import LANGUAGES, text

NODE, CCC, CST, SHELF = VALID
ON = VALID[NODE] + "\n[sync]\noutbound = true\n"
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def seen(folder, now=JUNE):
    found = warnings(load(folder), now)
    for each in found:
        for language in LANGUAGES:
            assert "{" not in text(each.code, language, **each.fields)
    return {(each.file, each.key, each.code) for each in found}


def test_a_sound_folder_has_none(write):
    assert seen(write({NODE: ON})) == set()


def test_a_node_that_sends_nothing_says_so(write):
    assert seen(write()) == {(NODE, "sync.outbound", "config.outbound_off")}


@pytest.mark.parametrize(
    ("now", "code", "key", "suspended"),
    [
        (datetime(2027, 1, 1, tzinfo=UTC), "config.agreement_ended", "until", True),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), "config.agreement_ending_now", "until", False),
        (datetime(2026, 12, 24, tzinfo=UTC), "config.agreement_ending_now", "until", False),
        (datetime(2026, 12, 23, tzinfo=UTC), "config.agreement_ending_soon", "until", False),
        (datetime(2026, 12, 1, tzinfo=UTC), "config.agreement_ending_soon", "until", False),
        (datetime(2026, 11, 30, tzinfo=UTC), "config.agreement_ending", "until", False),
        (datetime(2026, 11, 1, tzinfo=UTC), "config.agreement_ending", "until", False),
        (datetime(2025, 12, 31, tzinfo=UTC), "config.agreement_ahead", "from", True),
    ],
)
def test_agreements_near_their_ends(write, now, code, key, suspended):
    reader = {(SHELF, "readers[0]", "config.reader_suspended")} if suspended else set()
    assert seen(write({NODE: ON}), now) == {(CST, key, code)} | reader


def test_an_agreement_far_from_its_end_is_quiet(write):
    assert seen(write({NODE: ON}), datetime(2026, 10, 31, tzinfo=UTC)) == set()


def test_exchanges_in_clear(write):
    public = VALID[CCC].replace("https://", "http://").replace('token = "credential:ccc.token"', "")
    listen = ON + '[serve]\nlisten = "10.0.0.1:80"\npublic_url = "https://e.example"\nproxies = ["10.0.0.2"]'
    readable = VALID[CST] + 'encryption = "may"\n'
    assert seen(write({NODE: listen, CCC: public, CST: readable})) == {
        (NODE, "serve.listen", "config.listen_plain"),
        (CCC, "source[0].url", "config.plain_http"),
        (CCC, "target[0].url", "config.plain_http"),
    }


def test_what_is_prepared_but_not_agreed(write):
    idle = VALID[CCC].replace('kind = "taxii"', 'kind = "taxii"\nenabled = false')
    folder = write({NODE: ON, CCC: idle, CST: None, SHELF: VALID[SHELF].replace('["ccc"]', "[]")})
    assert seen(folder) == {(CCC, "source[0]", "config.idle_source"), (CCC, "target[0]", "config.idle_target")}


def test_a_feed_that_names_nobody_and_a_start_in_the_future(write):
    feed = '\n[[source]]\nid = "osint"\nkind = "misp-feed"\nurl = "https://f.example/"\nsince = 2062-01-01'
    assert seen(write({NODE: ON, CCC: VALID[CCC] + feed})) == {
        (CCC, "source[1].orgs", "config.feed_without_orgs"),
        (CCC, "source[1].since", "config.since_ahead"),
    }


def test_an_agreement_for_tests_shows(write):
    folder = write({NODE: ON, CST: VALID[CST].replace('"TLP:AMBER"', '"TLP:AMBER"\ninformational_markings = ["*"]')})
    assert seen(folder) == {(CST, "receive", "config.for_tests_only")}
