"""A valid folder becomes settings; absent keys are the safe choice."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from valid_folder import VALID

from exchange.config import load
from exchange.config.skeleton import _NODE
from exchange.model import personal
from exchange.model.marking import Tlp
from exchange.model.party import Expiry


def test_absent_keys_are_the_safe_choice(write):
    settings = load(write())
    assert settings.node.language == "fr"
    assert settings.store.url == "sqlite:////var/lib/exchange/exchange.db"
    assert settings.store.keep_free == 5 * 2**30
    assert (settings.serve.host, settings.serve.port) == ("127.0.0.1", 8443)
    assert settings.serve.public_url == "http://127.0.0.1:8443"
    assert settings.serve.proxies == ()
    assert settings.serve.tls_cert is None
    assert settings.serve.workers == 1
    assert settings.serve.max_content_length == 10 * 2**20
    assert settings.serve.requests_per_minute == 6_000
    assert settings.serve.tls_client_ca is None
    assert settings.sync.outbound is False
    assert settings.sync.every == 900
    (shelf,) = settings.terms.collections.values()
    assert shelf.ceiling is Tlp.CLEAR
    assert shelf.duplicates == "list"
    assert shelf.types is None
    assert shelf.title == {"fr": "Partenaires", "en": "Partenaires"}


def test_nothing_expires_unless_it_is_configured(write, add):
    terms = load(write()).terms
    assert (terms.expiry, terms.peers["ccc"].quality) == ((), None)
    more = """
        [[expiry]]
        types = ["indicator"]
        kinds = ["ipv4-addr", "ipv6-addr"]
        peers = ["ccc"]
        valid_until = false
        half_life = "15d"
        threshold = 20
        sightings = false
        false_positive = "36h"
        [[expiry]]
        types = ["indicator", "url"]
    """
    narrow, wide = load(add("exchange.toml", more)).terms.expiry
    assert narrow == Expiry(
        types=frozenset({"indicator"}), kinds=frozenset({"ipv4-addr", "ipv6-addr"}), peers=frozenset({"ccc"}),
        valid_until=False, half_life=15 * 86_400.0, threshold=20, sightings=False, false_positive=36 * 3_600.0,
    )  # fmt: skip
    assert wide == Expiry(types=frozenset({"indicator", "url"}))


def test_what_is_personal(add):
    """In one spelling and order, so that only another choice changes the policy."""
    assert load(add("exchange.toml", "")).terms.personal == personal.USUAL
    more = '[personal]\ninternal = [".Gouv.qc.ca", "*.cert.example"]\nallowed = ["Hub.cert.example"]'
    assert load(add("exchange.toml", more)).terms.personal == personal.Choice(
        internal=("cert.example", "gouv.qc.ca"), allowed=("hub.cert.example",)
    )


@pytest.mark.parametrize("which", ["sample", "skeleton"])
def test_the_commented_example_is_right(write, which):
    """Whoever takes out the signs of comment has rules that work."""
    sample = Path(__file__).parents[2] / "config" / "exchange.toml"
    lines = (sample.read_text(encoding="utf-8") if which == "sample" else _NODE).splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("# [[expiry]]"))
    more = "\n".join(line.removeprefix("# ") for line in lines[begin:])
    rules = load(write({"exchange.toml": VALID["exchange.toml"] + "\n" + more})).terms.expiry
    assert rules
    assert all(rule.types == {"indicator"} and rule.half_life for rule in rules)


@pytest.mark.parametrize(("written", "worth"), [('"A"', 100), ('"b"', 75), ('"E"', 0), ('"F"', 50), ("63", 63)])
def test_the_quality_of_a_peer(spoil, written, worth):
    folder = spoil("peers/ccc.toml", 'name = "CCC"', f'name = "CCC"\nquality = {written}')
    assert load(folder).terms.peers["ccc"].quality == worth


def test_every_key_of_the_node(write):
    folder = write(
        {
            "exchange.toml": """
            [node]
            name = "CERT-QC"
            identity = "identity--5B7F0D1E-2c49-4f6a-9d31-8a0c6e2f4b17"
            language = "en"
            [store]
            url = "postgresql+psycopg://exchange@db.example/exchange"
            keep_free = "500 MB"
            [serve]
            listen = "[::]:443"
            public_url = "https://echange.cert-qc.example/"
            proxies = ["10.0.0.0/24", "::1"]
            tls_cert = "tls/serve.crt"
            tls_key = "/etc/serve.key"
            tls_client_ca = "tls/partners.crt"
            workers = 4
            max_content_length = 1048576
            requests_per_minute = 0
            [sync]
            outbound = true
            every = "1h"
            """
        }
    )
    settings = load(folder)
    assert settings.node.identity == "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
    assert settings.terms.node_identity == settings.node.identity
    assert settings.store.keep_free == 500_000_000
    assert (settings.serve.host, settings.serve.port) == ("::", 443)
    assert settings.serve.public_url == "https://echange.cert-qc.example"
    assert settings.serve.proxies == ("10.0.0.0/24", "::1")
    assert settings.serve.tls_cert == folder / "tls/serve.crt"
    assert settings.serve.tls_key == Path("/etc/serve.key")
    assert settings.serve.tls_client_ca == folder / "tls/partners.crt"
    assert settings.serve.max_content_length == 1 << 20
    assert settings.serve.requests_per_minute == 0
    assert settings.sync.outbound is True
    assert settings.terms.peers["ccc"].sources[0].every == 3600
    assert settings.folder == folder


def test_a_peer(write, spoil):
    peer = load(spoil("peers/ccc.toml", 'kind = "taxii"', 'kind = "taxii"\nsince = 2025-09-23')).terms.peers
    source = peer["ccc"].sources[0]
    assert source.key == "ccc/alertes"
    assert source.since == datetime(2025, 9, 23, tzinfo=UTC)
    assert source.enabled
    assert peer["ccc"].targets[0].collection == "52892447-4d7e-4f70-b94d-d7f22742ff63"
    assert peer["ccc"].auth.token == "credential:ccc.token"
    assert not peer["ccc"].home


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("2025-09-23T08:00:00", datetime(2025, 9, 23, 8, tzinfo=UTC)),
        ("2025-09-23T08:00:00-04:00", datetime(2025, 9, 23, 12, tzinfo=UTC)),
    ],
)
def test_since_is_a_date_or_a_moment(spoil, typed, moment):
    settings = load(spoil("peers/ccc.toml", 'id = "alertes"', f'id = "alertes"\nsince = {typed}'))
    assert settings.terms.peers["ccc"].sources[0].since == moment


MISP = """
    name = "CIRCL"
    identities = [{identities}]
    {role}
    [[source]]
    id = "misp"
    kind = "misp"
    url = "https://misp.circl.example/"
    {orgs}
    [auth]
    key = "credential:circl.key"
"""
CIRCL, OTHER = "55f6ea5e-2c60-40e5-964f-47a8950d210f", "0b988513-9535-42f0-9ebc-5d6aec2e1c79"
AGREED = """
    title = "Entente"
    parties = ["circl"]
    from = 2026-01-01
    until = 2026-12-31
    purpose = "Défense"
    receive = {}
"""


@pytest.mark.parametrize(
    ("identities", "orgs", "role", "accepted"),
    [
        (f'"{CIRCL}"', "", "", CIRCL),
        (f'"identity--{CIRCL}"', "", "", CIRCL),
        (f'"{CIRCL}"', f'orgs = ["{OTHER}"]', "", OTHER),
        ("", "", 'role = "home"', "5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"),
    ],
)
def test_a_misp_source_without_orgs_accepts_its_peers_own(write, identities, orgs, role, accepted):
    circl = MISP.format(identities=identities, orgs=orgs, role=role)
    settings = load(write({"peers/circl.toml": circl, "agreements/circl.toml": AGREED}))
    source = settings.terms.peers["circl"].sources[0]
    assert source.orgs == {accepted}
    assert source.internal is bool(role)


def test_an_agreement(write):
    (treaty,) = load(write()).terms.agreements
    assert (treaty.id, treaty.start, treaty.end) == ("cst", date(2026, 1, 1), date(2026, 12, 31))
    assert treaty.receive.ceiling is Tlp.AMBER
    assert treaty.receive.unmarked is None
    assert treaty.send.types == {"indicator", "sighting"}
    assert treaty.send.onward is False
    assert (treaty.send.misp, treaty.send.no_misp) == (frozenset(), frozenset())


def test_what_misp_calls_things(write):
    said = 'misp_types = ["domain"]\nmisp_templates = ["domain-ip"]\nno_misp_categories = ["Person"]\n'
    asked = AGREED + ("" if "[send]" in AGREED else '[send]\nceiling = "TLP:GREEN"\n') + said
    settings = load(
        write(
            {"peers/circl.toml": MISP.format(identities=f'"{CIRCL}"', orgs="", role=""), "agreements/circl.toml": asked}
        )
    )
    (send,) = [a.send for a in settings.terms.agreements if a.id == "circl"]
    assert send.misp == {"type:domain", "template:domain-ip"}
    assert send.no_misp == {"category:Person"}


def test_an_absent_inbound_ceiling_is_clear(write):
    circl = MISP.format(identities=f'"{CIRCL}"', orgs="", role="")
    settings = load(write({"peers/circl.toml": circl, "agreements/circl.toml": AGREED}))
    assert settings.terms.agreements[0].receive.ceiling is Tlp.CLEAR


def test_an_agreement_that_has_ended_does_not_keep_the_node_from_starting(spoil):
    load(spoil("agreements/cst.toml", "until = 2026-12-31", "until = 2026-01-02"))


def test_loading_resolves_no_secret(spoil, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    load(spoil("peers/ccc.toml", "credential:ccc.token", "file:/nonexistent/token"))


def test_hidden_files_and_other_endings_are_not_read(write):
    load(write({"peers/.ccc.toml": "=", "peers/ccc.toml.bak": "=", "peers/LISEZMOI.md": "="}))


def test_the_examples_load_without_a_problem():
    settings = load(Path(__file__).parents[2] / "config")
    assert set(settings.terms.peers) == {"ccc", "cert-ee", "cert-qc", "circl", "soc-sante"}
    assert settings.terms.peers["cert-qc"].home
    assert settings.sync.outbound


def test_the_examples_use_documentation_addresses_only():
    folder = Path(__file__).parents[2] / "config"
    for path in folder.rglob("*.toml"):
        for line in path.read_text().splitlines():
            if "https://" in line:
                assert ".example" in line, f"{path}: {line}"
