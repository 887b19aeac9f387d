"""The configuration that joins four partners: what an operator of CERT-QC would write, with loopback addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import samples
from lab.feed import Feed
from lab.misp import Misp
from lab.partners import ALERTES, DEPOT, HOIATUSED, POSTKAST, Partner

PARTENAIRES = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"  # TLP:GREEN, for all three partners
RESTREINT = "d94e2b71-8a06-4f5d-b3c8-1e70f6a2c549"  # TLP:AMBER, for CCC alone
NODE_IDENTITY = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """The partners, all answering."""

    ccc: Partner
    cert_ee: Partner
    circl: Misp
    osint: Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a test or real data may want otherwise than the sample configuration has it."""

    every: str = "5s"
    orgs: Sequence[str] = (samples.CIRCL_ORG,)  # whose events we take from CIRCL
    ccc_unmarked: str | None = "TLP:AMBER"  # the level of what CCC does not mark; None: held
    cert_ee_unmarked: str | None = None
    circl_unmarked: str | None = None
    home_unmarked: str | None = "TLP:AMBER"
    informational: Sequence[str] = ()  # markings of CERT-EE that do not restrict
    to_misp: bool = False  # whether CIRCL's MISP is a target too


def write_configuration(
    folder: Path, partners: Partners, listen_port: int, *, store: str | None = None, terms: Terms | None = None
) -> Path:
    """Write the whole configuration into `folder`, secrets included, and return it.

    The store is `exchange.db` beside the folder's files unless `store` names another by its URL.
    """
    wish = terms or Terms()
    store_url = store or f"sqlite:///{folder.resolve() / 'exchange.db'}"
    files = {
        "exchange.toml": _node(store_url, listen_port, wish),
        "peers/ccc.toml": _ccc(folder, partners.ccc),
        "peers/cert-ee.toml": _cert_ee(folder, partners.cert_ee),
        "peers/circl.toml": _circl(folder, partners, wish),
        "peers/cert-qc.toml": _CERT_QC,
        **_agreements(wish),
        "collections/partenaires.toml": _collection(
            PARTENAIRES, "Indicateurs — partenaires", "Indicators — partners", ["ccc", "cert-ee", "circl"], "TLP:GREEN"
        ),
        "collections/restreint.toml": _collection(
            RESTREINT, "Indicateurs — restreints", "Indicators — restricted", ["ccc"], "TLP:AMBER"
        ),
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip(), encoding="utf-8")
    return folder


def _node(store: str, port: int, wish: Terms) -> str:
    return f"""
[node]
name     = "CERT-QC"
identity = "{NODE_IDENTITY}"
language = "fr"

[store]
url       = {_quoted(store)}
keep_free = "100 MiB"

[serve]
listen     = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[sync]
outbound = true
every    = "{wish.every}"

[warninglists]
enabled = false  # the names and addresses of this world are those of the documentation
"""


def _ccc(folder: Path, ccc: Partner) -> str:
    return f"""
name       = "Centre canadien pour la cybersécurité"
contact    = "echange@ccc.example"
identities = ["{samples.CCC_IDENTITY}"]

[[source]]
id         = "alertes"
kind       = "taxii"
url        = "{ccc.url}"
collection = "{ALERTES}"

[[target]]
id         = "depot"
kind       = "taxii"
url        = "{ccc.url}"
collection = "{DEPOT}"

{_login(folder, "ccc", ccc)}"""


def _cert_ee(folder: Path, cert_ee: Partner) -> str:
    return f"""
name       = "CERT-EE"
contact    = "cert@cert-ee.example"
identities = ["{samples.CERT_EE_IDENTITY}"]

[[source]]
id         = "hoiatused"
kind       = "taxii"
url        = "{cert_ee.url}"
collection = "{HOIATUSED}"

[[target]]
id         = "postkast"
kind       = "taxii"
url        = "{cert_ee.url}"
collection = "{POSTKAST}"

{_login(folder, "cert-ee", cert_ee)}"""


def _circl(folder: Path, partners: Partners, wish: Terms) -> str:
    return f"""
name       = "CIRCL"
contact    = "info@circl.example"
identities = ["{samples.CIRCL_IDENTITY}"]

[[source]]
id   = "misp"
kind = "misp"
url  = "{partners.circl.url}"
orgs = {_listed(wish.orgs)}

[[source]]
id   = "osint"
kind = "misp-feed"
url  = "{partners.osint.url}"
orgs = {_listed(wish.orgs)}
{_MISP_TARGET.format(url=partners.circl.url) if wish.to_misp else ""}
[auth]
key = {_secret(folder, "circl.key", partners.circl.key)}
"""


_MISP_TARGET = """
[[target]]
id   = "events"
kind = "misp"
url  = "{url}"
"""

_CERT_QC = f"""
name       = "CERT-QC"
contact    = "cert@cert-qc.example"
role       = "home"
identities = ["{NODE_IDENTITY}"]

[[source]]
id   = "fichiers"
kind = "file"
"""


def _agreements(wish: Terms) -> dict[str, str]:
    return {
        "agreements/ccc.toml": _agreement(
            "Entente Québec – Centre canadien pour la cybersécurité",
            "ccc",
            receive={"ceiling": "TLP:AMBER", "unmarked": wish.ccc_unmarked},
            send="TLP:AMBER",
        ),
        "agreements/cert-ee.toml": _agreement(
            "Arrangement CERT-QC – CERT-EE",
            "cert-ee",
            receive={
                "ceiling": "TLP:AMBER",
                "unmarked": wish.cert_ee_unmarked,
                "informational_markings": list(wish.informational),
            },
            send="TLP:GREEN",
        ),
        "agreements/circl.toml": _agreement(
            "Arrangement CERT-QC – CIRCL",
            "circl",
            receive={"ceiling": "TLP:AMBER", "unmarked": wish.circl_unmarked},
            send="TLP:GREEN",
        ),
        "agreements/cert-qc.toml": _agreement(
            "Au sein du Québec",
            "cert-qc",
            receive={"ceiling": "TLP:AMBER+STRICT", "unmarked": wish.home_unmarked},
            send="TLP:AMBER+STRICT",
        ),
    }


def _agreement(title: str, party: str, *, receive: Mapping[str, str | Sequence[str] | None], send: str) -> str:
    today = datetime.now(UTC).date()
    taken = "\n".join(f"{key} = {json.dumps(value)}" for key, value in receive.items() if value)
    return f"""
title   = {_quoted(title)}
parties = ["{party}"]
from    = {today - timedelta(days=365)}
until   = {today + timedelta(days=730)}
purpose = "Défense de l’administration publique"

[receive]
{taken}

[send]
ceiling = "{send}"
personal_information = "allowed"
"""


def _collection(id_: str, title_fr: str, title_en: str, readers: Sequence[str], ceiling: str) -> str:
    return f"""
id         = "{id_}"
title      = {{ fr = {_quoted(title_fr)}, en = {_quoted(title_en)} }}
readers    = {_listed(readers)}
ceiling    = "{ceiling}"
duplicates = "fold"
"""


def _login(folder: Path, name: str, partner: Partner) -> str:
    password = _secret(folder, f"{name}.password", partner.password)
    return f'[auth]\nuser     = "{partner.user}"\npassword = {password}\n'


def _secret(folder: Path, name: str, value: str) -> str:
    """Put a secret into a file that only we can read; the reference to it, as TOML."""
    vault = folder.resolve() / "secrets"
    vault.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = vault / name
    file.touch(mode=0o600)
    file.write_text(value, encoding="utf-8")
    return _quoted(f"file:{file}")


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string as long as nothing outside the basic plane is escaped.
    return json.dumps(text, ensure_ascii=False)


def _listed(words: Iterable[str]) -> str:
    return json.dumps(list(words))
