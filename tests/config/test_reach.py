"""How a peer is reached: its version of TAXII, where its secrets may go, a server found by the DNS, a proxy."""

from __future__ import annotations

import pytest
from valid_folder import VALID

from exchange.config import credentials, load
from exchange.config.values import _cron, _window
from exchange.errors import ConfigError
from exchange.i18n import LANGUAGES, describe

CCC = "peers/ccc.toml"
URL = 'url = "https://taxii.ccc.example/api1/"\n        collection = "91a7'
PROXY_URL = 'url = "http://proxy.example:3128"\n'
PROXY = '[proxy]\nurl = "http://proxy.example:3128"\nuser = "cert-qc"\npassword = "env:PROXY"\n'


def peer(folder):
    return load(folder).terms.peers["ccc"]


def test_what_is_not_said_is_as_it_was(write):
    found = peer(write())
    assert (found.sources[0].version, found.origins, found.proxy) == ("2.1", frozenset(), "")


def test_everything_that_may_be_said(write):
    by_name = URL.replace("https://taxii.ccc.example/api1/", "srv:CCC.example")
    changed = VALID[CCC].replace(URL, 'version = "2.0"\n' + by_name)
    changed = changed.replace("[auth]", '[auth]\norigins = ["https://taxii2.ccc.example:8443/"]')
    found = peer(write({CCC: changed + "\n" + PROXY}))
    assert (found.sources[0].version, found.sources[0].url) == ("2.0", "srv:ccc.example")
    assert found.origins == {"https://taxii2.ccc.example:8443"}
    assert found.proxy == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("old", "new", "key", "code"),
    [
        (URL, 'version = "1.1"\n' + URL, "source[0].version", "config.not_one_of"),
        (URL, "version = 2.0\n" + URL, "source[0].version", "config.not_one_of"),
        (URL, URL.replace("https://taxii.ccc.example/api1/", "srv:"), "source[0].url", "config.bad_srv"),
        (URL, URL.replace("https://taxii.ccc.example/api1/", "srv:ccc"), "source[0].url", "config.bad_srv"),
        (URL, URL.replace("https://taxii.ccc.example/api1/", "srv:a b.example"), "source[0].url", "config.bad_srv"),
        ("[auth]", '[auth]\norigins = ["taxii.example"]', "auth.origins[0]", "config.bad_url"),
        ("[auth]", '[auth]\norigins = ["https://taxii.example/api/"]', "auth.origins[0]", "config.bad_origin"),
        ("[auth]", '[auth]\norigins = ["https://u:p@taxii.example"]', "auth.origins[0]", "config.secret_in_url"),
        ("[auth]", '[auth]\norigins = ["http://taxii.example"]', "auth.origins[0]", "config.secret_in_clear"),
        ("[auth]", '[proxy]\nurl = "proxy.example:3128"\n[auth]', "proxy.url", "config.bad_web_proxy"),
        ("[auth]", '[proxy]\nurl = "https://proxy.example"\n[auth]', "proxy.url", "config.bad_web_proxy"),
        ("[auth]", '[proxy]\nurl = "http://u:hunter2@proxy.example"\n[auth]', "proxy.url", "config.bad_web_proxy"),
        (
            "[auth]",
            PROXY.replace('url = "http://proxy.example:3128"\n', "") + "[auth]",
            "proxy.url",
            "config.goes_with",
        ),
        ("[auth]", PROXY.replace('password = "env:PROXY"\n', "") + "[auth]", "proxy.password", "config.goes_with"),
        ("[auth]", PROXY.replace("env:PROXY", "hunter2") + "[auth]", "proxy.password", "config.not_a_reference"),
    ],
)
def test_each_mistake_is_named_with_its_key(spoil, old, new, key, code):
    with pytest.raises(ConfigError) as caught:
        load(spoil(CCC, old, new))
    assert [(each.file, each.key, each.code) for each in caught.value.problems] == [(CCC, key, code)]
    for language in LANGUAGES:
        assert "hunter2" not in describe(caught.value, language)


def test_only_taxii_is_found_by_the_dns(spoil):
    misp = '[[source]]\nid = "misp"\nkind = "misp-feed"\nurl = "srv:ccc.example"\n[auth]'
    with pytest.raises(ConfigError) as caught:
        load(spoil(CCC, "[auth]", misp))
    assert [(each.key, each.code) for each in caught.value.problems] == [("source[1].url", "config.srv_not_taxii")]


def test_the_password_of_the_proxy_is_had_by_name(spoil):
    found = peer(spoil(CCC, '[auth]\n        token = "credential:ccc.token"', PROXY))
    given = credentials(found, {"PROXY": "hunter2"})
    assert (given.proxy_user, given.proxy_password, given.anonymous) == ("cert-qc", "hunter2", True)
    with pytest.raises(ConfigError) as caught:
        credentials(found, {})
    assert [(each.file, each.key) for each in caught.value.problems] == [(CCC, "proxy.password")]


def test_days_are_understood_in_both_languages():
    """In French `mar` is a day of the week and a month: each field takes its own."""
    assert _cron("30 6 * * LUN-ven") == "30 6 * * mon-fri"
    assert _cron("0 0 1 mar mar") == "0 0 1 mar tue"
    assert _window("dim 22:00-06:00") == _window("SUN 22:00-06:00")
    assert _window("sam 00:00-24:00").end == 24 * 60
    assert _window("22:00-06:00").days == frozenset(range(7))
    assert _window("sat-mon 01:00-02:00").days == {5, 6, 0}
