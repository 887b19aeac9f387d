"""Every mistake is reported, all at once, with file, key, what is wrong and how to mend it."""

from __future__ import annotations

import os

import pytest
from valid_folder import VALID

from exchange.config import load
from exchange.errors import ConfigError
from exchange.i18n import LANGUAGES, describe, text

NODE, CCC, CST, SHELF = VALID  # the four files


def problems(folder):
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return caught.value.problems


def seen(folder):
    return [(each.file, each.key, each.code) for each in problems(folder)]


MISP = '[[target]]\nid = "m"\nkind = "misp"\n'
KEY = '[auth]\nkey = "env:K"'
TARGET_CANNOT = ("target[1].collection", "config.target_cannot")

SPOILT = [
    # file, what stands there, what a person typed, key, code
    (NODE, 'name = "CERT-QC"', "", "node.name", "config.missing_key"),
    (NODE, 'name = "CERT-QC"', "name = 3", "node.name", "config.not_text"),
    (NODE, 'name = "CERT-QC"', 'name = " "', "node.name", "config.empty"),
    (NODE, "name =", 'nmae = "x"\nname =', "node.nmae", "config.unknown_key_near"),
    (NODE, "name =", 'zzz = "x"\nname =', "node.zzz", "config.unknown_key"),
    (NODE, "name =", "outbound = true\nname =", "node.outbound", "config.key_belongs_in"),
    (NODE, "identity--5b7f0d1e-", "identity--5b7f0d1e", "node.identity", "config.bad_identity"),
    (NODE, "name =", 'language = "de"\nname =', "node.language", "config.not_one_of"),
    (NODE, "[node]", "[nodes]", "nodes", "config.unknown_key_near"),
    (CCC, 'kind = "taxii"\n        url', 'kind = "stix"\n        url', "source[0].kind", "config.not_one_of"),
    (CCC, 'name = "CCC"', 'name = "CCC"\nquality = "G"', "quality", "config.bad_quality"),
    (CCC, 'name = "CCC"', 'name = "CCC"\nquality = 101', "quality", "config.bad_quality"),
    (CCC, 'name = "CCC"', 'name = "CCC"\nquality = true', "quality", "config.bad_quality"),
    (CCC, 'name = "CCC"', 'name = "CCC"\njurisdiction = "Quebec"', "jurisdiction", "config.bad_jurisdiction"),
    (CCC, 'id = "alertes"', 'id = "Alertes Été"', "source[0].id", "config.bad_id"),
    (CCC, 'id = "alertes"', 'id = "depot"', "target[0].id", "config.id_twice"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nevery = "15 min"', "source[0].every", "config.bad_duration"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nevery = 900', "source[0].every", "config.bad_duration"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nevery = "0s"', "source[0].every", "config.bad_duration"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nevry = "15m"', "source[0].evry", "config.unknown_key_near"),
    (CCC, 'id = "alertes"', 'id = "alertes"\ncontact = "x"', "source[0].contact", "config.key_belongs_above"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nmax_day = 0', "source[0].max_day", "config.below_limit"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nmax_day = "9"', "source[0].max_day", "config.not_whole_number"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nmax_day = 9_000_000_000', "source[0].max_day", "config.above_limit"),
    (CCC, 'id = "alertes"', 'id = "alertes"\ncron = "every monday"', "source[0].cron", "config.bad_cron"),
    (CCC, 'id = "alertes"', 'id = "alertes"\ncron = "0 0 31 2 *"', "source[0].cron", "config.cron_never"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nfastest = "1h"\nslowest = "1m"', "source[0].every", "config.pace_order"),
    (CCC, "[auth]", '[limits]\nclosed = ["25:00-26:00"]\n[auth]', "limits.closed[0]", "config.bad_window"),
    (CCC, "[auth]", '[limits]\nclosed = ["02:00-02:00"]\n[auth]', "limits.closed[0]", "config.bad_window"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nenabled = "yes"', "source[0].enabled", "config.not_true_or_false"),
    (CCC, 'id = "alertes"', 'id = "alertes"\nsince = "2025-09-23"', "source[0].since", "config.bad_moment"),
    (CCC, 'id = "alertes"', 'id = "alertes"\norgs = []', "source[0].orgs", "config.source_cannot"),
    (CCC, 'collection = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"', "", "source[0].collection", "config.source_needs"),
    (CCC, "91a7b528-80eb-42ed-a74d-c6fbd5a26116", "91a7b528-80eb-42ed-a74d", "source[0].collection", "config.bad_uuid"),
    (CCC, "91a7b528-80eb-42ed-a74d-c6fbd5a26116", "a/b", "source[0].collection", "config.bad_collection"),
    (
        CCC,
        '"https://taxii.ccc.example/api1/"\n        collection = "9',
        '"taxii.ccc"\ncollection = "9',
        "source[0].url",
        "config.bad_url",
    ),
    (
        CCC,
        'https://taxii.ccc.example/api1/"\n        collection = "9',
        'http://taxii.ccc.example/"\ncollection = "9',
        "source[0].url",
        "config.secret_in_clear",
    ),
    (CCC, "token =", 'client_cert = "credential:x"\ntoken =', "auth.client_key", "config.goes_with"),
    (
        CCC,
        "token =",
        'client_cert = "env:X"\nclient_key = "file:/x"\ntoken =',
        "auth.client_cert",
        "config.reference_not_a_file",
    ),
    (CCC, "token =", 'user = "u"\npassword = "env:P"\ntoken =', "auth.token", "config.two_logins"),
    (CCC, "[[target]]", "[target]", "target", "config.not_table"),
    (CCC, 'id = "depot"', 'publish = false\nid = "depot"', "target[0].publish", "config.target_cannot"),
    (CCC, "[auth]", f'{MISP}url = "https://m.example"\n[auth]', "auth.key", "config.misp_without_key"),
    (CCC, "[auth]", f'{MISP}url = "srv:m.example"\n{KEY}', "target[1].url", "config.srv_not_taxii"),
    (CCC, "[auth]", f'{MISP}url = "https://m.example"\ncollection = "x"\n{KEY}', *TARGET_CANNOT),
    (CCC, 'collection = "528', '# "528', "target[0].collection", "config.target_needs"),
    (CCC, "contact =", 'identities = ["x"]\ncontact =', "identities[0]", "config.bad_identity_or_organisation"),
    (
        CCC,
        "contact =",
        'identities = ["5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"]\ncontact =',
        "identities[0]",
        "config.identity_ours",
    ),
    (CCC, "contact =", 'role = "Home"\ncontact =', "role", "config.not_one_of"),
    (CST, '"TLP:AMBER"', '"TLP:AMBR"', "receive.ceiling", "config.bad_tlp"),
    (CST, '"TLP:AMBER"', '"TLP:ORANGE"', "receive.ceiling", "config.bad_tlp"),
    (CST, '"TLP:AMBER"', '"secret"', "receive.ceiling", "config.bad_tlp"),
    (CST, '"TLP:AMBER"', '"TLP:AMBER"\nunmarked = "TLP:RED"', "receive.unmarked", "config.unmarked_above_ceiling"),
    (
        CST,
        '"TLP:AMBER"',
        '"TLP:AMBER"\ninformational_markings = ["x"]',
        "receive.informational_markings[0]",
        "config.bad_marking",
    ),
    (
        CST,
        '"TLP:AMBER"',
        '"TLP:AMBER"\ninformational_markings = ["tlp:red"]',
        "receive.informational_markings[0]",
        "config.tlp_not_informational",
    ),
    (CST, "until = 2026-12-31", "until = 2025-12-31", "until", "config.until_before_from"),
    (CST, "until = 2026-12-31", 'until = "2026-12-31"', "until", "config.bad_day"),
    (CST, "until = 2026-12-31", "until = 2026-12-31T00:00:00Z", "until", "config.bad_day"),
    (CST, '["indicator", "sighting"]', '["indicators"]', "send.types[0]", "config.bad_type_near"),
    (CST, '["indicator", "sighting"]', '["?"]', "send.types[0]", "config.bad_type"),
    (CST, '["indicator", "sighting"]', "[]", "send.types", "config.empty_list"),
    (CST, '["indicator", "sighting"]', '"indicator"', "send.types", "config.not_list"),
    (CST, '["indicator", "sighting"]', '["sighting"]\nredact = ["a b"]', "send.redact[0]", "config.bad_property"),
    (CST, '["indicator", "sighting"]', '["sighting"]\nredact = ["id"]', "send.redact[0]", "config.property_kept"),
    (
        CST,
        '["indicator", "sighting"]',
        '["sighting"]\nmisp_types = ["domian"]',
        "send.misp_types[0]",
        "config.bad_misp_near",
    ),
    (
        CST,
        '["indicator", "sighting"]',
        '["sighting"]\nno_misp_types = ["?"]',
        "send.no_misp_types[0]",
        "config.bad_misp",
    ),
    (
        CST,
        '["indicator", "sighting"]',
        '["sighting"]\nmisp_categories = ["network activity"]',
        "send.misp_categories[0]",
        "config.bad_misp_near",
    ),
    (
        CST,
        '["indicator", "sighting"]',
        '["sighting"]\nno_misp_templates = [" "]',
        "send.no_misp_templates[0]",
        "config.bad_template",
    ),
    (SHELF, "0c6b5f0a-", "0c6b5f0a", "id", "config.bad_uuid"),
    (SHELF, '"Partenaires"', '{ de = "Partner" }', "title", "config.bad_languages"),
    (SHELF, '"Partenaires"', "{}", "title", "config.bad_languages"),
    (
        NODE,
        "[node]",
        '[warninglists]\nlists = ["rfc1918", "emptyhashes"]\n[node]',
        "warninglists.lists[1]",
        "config.unknown_warninglist_near",
    ),
    (NODE, "[node]", '[warninglists]\nlists = ["???"]\n[node]', "warninglists.lists[0]", "config.unknown_warninglist"),
    (
        NODE,
        "[node]",
        '[warninglists]\nlists = ["tlds", "tlds"]\n[node]',
        "warninglists.lists[1]",
        "config.named_twice",
    ),
    (
        NODE,
        "[node]",
        '[warninglists]\ntrusted = ["cccc"]\n[node]',
        "warninglists.trusted[0]",
        "config.unknown_peer_near",
    ),
    (NODE, "[node]", '[personal]\ninternal = ["gouv qc"]\n[node]', "personal.internal[0]", "config.bad_suffix"),
    (
        NODE,
        "[node]",
        '[personal]\ninternal = ["gouv.qc.ca", "*.Gouv.qc.ca"]\n[node]',
        "personal.internal[1]",
        "config.named_twice",
    ),
    (
        NODE,
        "[node]",
        '[personal]\ninternal = ["gouv.qc.ca"]\nallowed = ["hub.example", "QC.ca"]\n[node]',
        "personal.allowed[1]",
        "config.allowed_is_internal",
    ),
    (SHELF, '["ccc"]', '["cccc"]', "readers[0]", "config.unknown_peer_near"),
    (SHELF, '["ccc"]', '["nobody"]', "readers[0]", "config.unknown_peer"),
    (SHELF, '["ccc"]', '["ccc", "ccc"]', "readers[1]", "config.named_twice"),
    (SHELF, '["ccc"]', '["ccc"]\ntypes = ["malware"]', "types", "config.types_disjoint"),
    (SHELF, '["ccc"]', '["ccc"]\nwriters = ["ccc"]\nduplicates = "fold"', "duplicates", "config.fold_with_writers"),
    (SHELF, '["ccc"]', '["ccc"]\nonly_posted = true', "only_posted", "config.only_posted_by_nobody"),
]


@pytest.mark.parametrize(("file", "old", "new", "key", "code"), SPOILT)
def test_one_mistake_is_one_problem(spoil, file, old, new, key, code):
    assert seen(spoil(file, old, new)) == [(file, key, code)]


AGES = '[[expiry]]\ntypes = ["indicator"]\n'
ADDED = [
    (NODE, '[serve]\nlisten = "8443"', "serve.listen", "config.bad_listen"),
    (NODE, '[serve]\nlisten = "127.0.0.1:99999"', "serve.listen", "config.bad_listen"),
    (NODE, '[serve]\nlisten = "10.0.0.1:8443"', "serve.listen", "config.listen_in_clear"),
    (NODE, '[serve]\nlisten = "0.0.0.0:8443"\nproxies = ["10.0.0.1"]', "serve.public_url", "config.public_url_needed"),
    (NODE, '[serve]\npublic_url = "http://e.example"', "serve.public_url", "config.public_url_in_clear"),
    (NODE, '[serve]\nproxies = ["proxy"]', "serve.proxies[0]", "config.bad_proxy"),
    (NODE, '[serve]\nproxies = ["0.0.0.0/0"]', "serve.proxies[0]", "config.proxy_everyone"),
    (NODE, '[serve]\nproxies = "127.0.0.1"', "serve.proxies", "config.not_list"),
    (NODE, '[serve]\ntls_cert = "/x"', "serve.tls_key", "config.goes_with"),
    (NODE, '[serve]\ntls_client_ca = "/x"', "serve.tls_cert", "config.goes_with"),
    (NODE, "[serve]\nrequests_per_minute = -1", "serve.requests_per_minute", "config.below_limit"),
    (NODE, "[serve]\nrequests_per_minute = 1_000_001", "serve.requests_per_minute", "config.above_limit"),
    (NODE, '[serve]\nrequests_per_minute = "600"', "serve.requests_per_minute", "config.not_whole_number"),
    (NODE, '[serve]\nmax_content_length = "ten"', "serve.max_content_length", "config.bad_size"),
    (NODE, '[store]\nkeep_free = "5 gigs"', "store.keep_free", "config.bad_size"),
    (NODE, '[store]\nurl = "mysql://x/y"', "store.url", "config.bad_store_url"),
    (NODE, '[store]\nurl = "postgresql://x/y"', "store.url", "config.bad_store_url"),
    (NODE, '[store]\nurl = "sqlite://"', "store.url", "config.store_in_memory"),
    (NODE, '[store]\nurl = "sqlite:///:memory:"', "store.url", "config.store_in_memory"),
    (NODE, '[store]\nurl = "sqlite:///exchange.db"', "store.url", "config.store_not_absolute"),
    (NODE, "[[sync]]", "sync", "config.not_table"),
    (NODE, "[sync]\noutbound = 1", "sync.outbound", "config.not_true_or_false"),
    (NODE, '[[expiry]]\nhalf_life = "30d"', "expiry[0].types", "config.missing_key"),
    (NODE, '[[expiry]]\ntypes = ["indicators"]\nhalf_life = "30d"', "expiry[0].types[0]", "config.bad_type_near"),
    (NODE, f'{AGES}half_life = "30 days"', "expiry[0].half_life", "config.bad_duration"),
    (NODE, f'{AGES}half_life = "30d"\nthreshold = 0', "expiry[0].threshold", "config.below_limit"),
    (NODE, f'{AGES}half_life = "30d"\nthreshold = 101', "expiry[0].threshold", "config.above_limit"),
    (NODE, f'{AGES}half_life = "30d"\nkinds = []', "expiry[0].kinds", "config.empty_list"),
    (NODE, f'{AGES}half_life = "30d"\npeers = ["cccc"]', "expiry[0].peers[0]", "config.unknown_peer_near"),
    (NODE, f'{AGES}half_live = "30d"', "expiry[0].half_live", "config.unknown_key_near"),
    (NODE, f"{AGES}valid_until = false", "expiry[0].half_life", "config.expiry_idle"),
    (NODE, f'{AGES}false_positive = "7d"', "expiry[0].half_life", "config.goes_with"),
    (NODE, '[[expiry]]\ntypes = ["url"]\nkinds = ["url"]', "expiry[0].kinds", "config.expiry_kinds"),
    (NODE, '[[expiry]]\ntypes = ["indicator"]\nkinds = ["ipv4"]', "expiry[0].kinds[0]", "config.expiry_kind_near"),
    (NODE, '[[expiry]]\ntypes = ["url", "report"]', "expiry[0].types[1]", "config.expiry_lasting"),
    (NODE, f'{AGES}{AGES}kinds = ["url"]', "expiry[1].types", "config.expiry_never_reached"),
    (NODE, '[expiry]\ntypes = ["url"]', "expiry", "config.not_table"),
    (CCC, '[[source]]\nid = "m"\nkind = "misp-feed"', "source[1].url", "config.source_needs"),
    (CCC, '[[source]]\nid = "m"\nkind = "file"\nurl = "https://x.example"', "source[1].url", "config.source_cannot"),
]


@pytest.mark.parametrize(("file", "more", "key", "code"), ADDED)
def test_one_mistaken_table_is_one_problem(add, file, more, key, code):
    assert seen(add(file, more)) == [(file, key, code)]


IN_CLEAR = VALID[CCC].replace("https://", "http://").replace('token = "credential:ccc.token"', "")
AGREEMENT = 'title = "E"\nfrom = 2026-01-01\nuntil = 2026-12-31\npurpose = "P"\nparties = ["ccc"]\n'
WITHOUT = [
    ({CST: AGREEMENT}, CST, "send", "config.agreement_empty"),
    ({CST: AGREEMENT + "receive = {}"}, SHELF, "readers[0]", "config.reader_without_send"),
    ({CST: AGREEMENT + "receive = {}"}, CCC, "target[0]", "config.target_without_send"),
    ({CST: AGREEMENT + 'send = { ceiling = "TLP:GREEN" }'}, CCC, "source[0]", "config.source_without_receive"),
    ({CST: None}, CCC, "source[0]", "config.source_without_receive"),
    ({CCC: IN_CLEAR}, CCC, "target[0].url", "config.target_in_clear"),
    ({CST: VALID[CST] + "unrated = true"}, CST, "send.confidence", "config.goes_with"),
    ({CST: VALID[CST] + "confidence = 101"}, CST, "send.confidence", "config.above_limit"),
    ({CST: VALID[CST] + "confidence = -1"}, CST, "send.confidence", "config.below_limit"),
    ({CST: VALID[CST] + 'encryption = "no"'}, CST, "send.encryption", "config.not_one_of"),
    ({CST: 'legal_basis = ""\n' + VALID[CST]}, CST, "legal_basis", "config.empty"),
    (
        {CST: AGREEMENT + 'send = { ceiling = "TLP:GREEN" }', SHELF: VALID[SHELF] + 'writers = ["ccc"]'},
        SHELF,
        "writers[0]",
        "config.writer_without_receive",
    ),
    ({CST: AGREEMENT + "send = {}"}, CST, "send.ceiling", "config.missing_key"),
    ({NODE: None}, NODE, "*", "config.file_missing"),
    ({NODE: "\n= 3"}, NODE, "2:1", "config.toml_syntax"),
    ({NODE: "x = [" + "[" * 100_000}, NODE, "1:1", "config.toml_syntax"),
    ({NODE: "x = " + "1" * 5_000}, NODE, "1:1", "config.toml_syntax"),
    ({NODE: VALID[NODE] + '\nname = "x"'}, NODE, None, "config.toml_twice"),
    ({NODE: "# é".encode("latin-1")}, NODE, "*", "config.not_utf8"),
    ({NODE: "#" * (2 << 20)}, NODE, "*", "config.file_too_large"),
    ({"peers/CERT EE.toml": 'name = "x"'}, "peers/CERT EE.toml", "*", "config.bad_file_name"),
    ({"collections/b.toml": VALID[SHELF]}, SHELF, "id", "config.collection_twice"),
    ({"agreement/x.toml": "", CST: None, CCC: 'name = "x"'}, "agreement/", "*", "config.folder_misnamed"),
    (
        {
            "peers/a.toml": 'name = "A"\nidentities = ["55f6ea5e-2c60-40e5-964f-47a8950d210f"]',
            "peers/b.toml": 'name = "B"\nidentities = ["identity--55f6ea5e-2c60-40e5-964f-47a8950d210f"]',
        },
        "peers/b.toml",
        "identities[0]",
        "config.identity_twice",
    ),
    (
        {CCC: 'name = "x"\n[[source]]\nid = "m"\nkind = "misp"\nurl = "https://m.example"\n[auth]\nkey = "env:K"'},
        CCC,
        "source[0].orgs",
        "config.misp_without_orgs",
    ),
    (
        {CCC: 'name = "x"\nrole = "home"\n[[source]]\nid = "m"\nkind = "misp"\nurl = "https://m.example"'},
        CCC,
        "auth.key",
        "config.misp_without_key",
    ),
]


@pytest.mark.parametrize(("changes", "file", "key", "code"), WITHOUT)
def test_what_can_never_work(write, changes, file, key, code):
    assert any((file, key or place, code) == (f, place, c) for f, place, c in seen(write(changes)))


def test_every_file_and_every_kind_of_mistake_at_once(write):
    found = seen(
        write(
            {
                NODE: VALID[NODE].replace("name", "nmae") + '[store]\nkeep_free = "lots"\n[serve]\ntls_key = "x"',
                CCC: VALID[CCC].replace("alertes", "Alertes").replace("credential:", "") + 'usr = "x"',
                CST: VALID[CST].replace("TLP:AMBER", "TLP:MAUVE").replace("2026-12-31", "2020-01-01"),
                SHELF: VALID[SHELF].replace('["ccc"]', '["ccd"]') + 'types = "indicator"',
                "peers/broken.toml": "[",
                "agreements/empty.toml": "",
            }
        )
    )
    assert set(found) == {
        (NODE, "node.nmae", "config.unknown_key_near"),
        (NODE, "store.keep_free", "config.bad_size"),
        (NODE, "serve.tls_cert", "config.goes_with"),
        (CCC, "source[0].id", "config.bad_id"),
        (CCC, "auth.token", "config.not_a_reference"),
        (CCC, "auth.usr", "config.unknown_key_near"),
        (CST, "receive.ceiling", "config.bad_tlp"),
        (CST, "until", "config.until_before_from"),
        (SHELF, "readers[0]", "config.unknown_peer_near"),
        (SHELF, "types", "config.not_list"),
        ("peers/broken.toml", "1:1", "config.toml_syntax"),
        ("agreements/empty.toml", "title", "config.missing_key"),
        ("agreements/empty.toml", "parties", "config.missing_key"),
        ("agreements/empty.toml", "from", "config.missing_key"),
        ("agreements/empty.toml", "until", "config.missing_key"),
        ("agreements/empty.toml", "purpose", "config.missing_key"),
        ("agreements/empty.toml", "send", "config.agreement_empty"),
    }
    assert found[0][0] == NODE


@pytest.mark.parametrize(
    ("opening", "code"),
    [
        ('"TLP:AMBER"\ninformational_markings = ["*"]', "config.any_marking"),
        ('"TLP:RED"\nunmarked = "TLP:GREEN"', "config.red_and_unmarked"),
    ],
)
@pytest.mark.parametrize("url", ["https://echange.cert-qc.example", "https://127.0.0.1.evil.example"])
def test_openings_are_refused_to_the_world(write, opening, code, url):
    """R30: allowed only where nobody else can reach the node; a proxy in front of loopback is somebody else."""
    open_to_all = {CST: VALID[CST].replace('"TLP:AMBER"', opening)}
    load(write(open_to_all))
    world = {**open_to_all, NODE: VALID[NODE] + f'\n[serve]\npublic_url = "{url}"'}
    assert [each.code for each in problems(write(world))] == [code]


def test_the_nearest_name_is_proposed(spoil):
    (found,) = problems(spoil(CCC, "contact =", "contct ="))
    assert found.fields["near"] == "contact"
    assert "« contact »" in text(found.code, "fr", **found.fields).replace("\xa0", " ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"credential:ccc.token"', '"hunter2-hunter2"'),
        ('"credential:ccc.token"', '["hunter2-hunter2"]'),
        ('"credential:ccc.token"', '"token:hunter2-hunter2"'),
        ('token = "credential:ccc.token"', 'tokn = "hunter2-hunter2"'),
        ("https://taxii.ccc.example/api1/", "https://u:hunter2-hunter2@taxii.ccc.example/"),
        ("https://taxii.ccc.example/api1/", "https://u:hunter2-hu/nter2@taxii.ccc.example/"),
        ("https://taxii.ccc.example/api1/", "https:u:hunter2 hunter2@taxii.ccc.example/"),
        ("https://taxii.ccc.example/api1/", "https://taxii.ccc.example/?apikey=hunter2-hunter2"),
        ("https://taxii.ccc.example/api1/", "x" * 2000 + "hunter2@taxii.ccc.example/"),
    ],
)
def test_a_literal_secret_is_refused_and_never_shown(spoil, old, new):
    with pytest.raises(ConfigError) as caught:
        load(spoil(CCC, old, new))
    shown = repr(caught.value.problems) + "".join(describe(caught.value, language) for language in LANGUAGES)
    assert "hunter" not in shown
    assert caught.value.__cause__ is None


def test_a_password_in_the_stores_address_is_refused_and_never_shown(add):
    with pytest.raises(ConfigError) as caught:
        load(add(NODE, '[store]\nurl = "postgresql+psycopg://exchange:hunter2@db.example/exchange"'))
    assert [each.code for each in caught.value.problems] == ["config.secret_in_store_url"]
    assert "hunter" not in describe(caught.value, "fr") + repr(caught.value.problems)


def test_credentials_over_http_are_fine_on_this_machine(write):
    load(write({CCC: VALID[CCC].replace("https://taxii.ccc.example", "http://127.0.0.1:5000")}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(write):
    folder = write()
    (folder / CCC).chmod(0)
    assert (CCC, "*", "config.file_unreadable") in seen(folder)


def test_the_text_names_file_key_and_remedy_in_both_languages(spoil):
    folder = spoil(CCC, 'id = "alertes"', 'id = "alertes"\nevery = "quinze"')
    with pytest.raises(ConfigError) as caught:
        load(folder)
    for language in LANGUAGES:
        line = describe(caught.value, language).splitlines()[1]
        assert line.startswith("  peers/ccc.toml: source[0].every: ")
        assert "quinze" in line
        assert '"15m"' in line
        assert "{" not in line
