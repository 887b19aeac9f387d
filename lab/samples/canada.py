"""The Canadian Centre for Cyber Security: eight campaigns in French, from CLEAR to RED, and one of each oddity."""

from __future__ import annotations

from collections.abc import Mapping

from lab.samples.campaigns import FRENCH, Campaign, tell
from lab.samples.markings import AMBER, AMBER_1, AMBER_STRICT, CLEAR, GREEN, GREEN_1, RED, UNKNOWN, WHITE_1, definition
from lab.samples.stix import CCC_IDENTITY, Author, Object, moment

IDENTITY: Object = {
    "type": "identity",
    "spec_version": "2.1",
    "id": CCC_IDENTITY,
    "created": moment(-30),
    "modified": moment(-30),
    "name": "Centre canadien pour la cybersécurité",
    "identity_class": "organization",
    "sectors": ["government"],
    "object_marking_refs": [CLEAR],
}

CAMPAIGNS = [
    Campaign(
        number=0,
        slug="brume-boreale",
        group="Brume boréale",
        malware="Aurore",
        family="remote-access-trojan",
        text="Hameçonnage ciblé de municipalités, puis vol de comptes de messagerie.",
        marks=[GREEN],
    ),
    Campaign(
        number=1,
        slug="harfang-gris",
        group="Harfang gris",
        malware="Plume",
        family="backdoor",
        text="Porte dérobée installée par une mise à jour piégée d’un logiciel comptable.",
        marks=[GREEN_1],
    ),
    Campaign(
        number=2,
        slug="glace-noire",
        group="Glace noire",
        malware="Verglas",
        family="ransomware",
        text="Rançongiciel observé dans des centres de services scolaires.",
        marks=[CLEAR],
    ),
    Campaign(
        number=3,
        slug="renard-roux",
        group="Renard roux",
        malware="Terrier",
        family="downloader",
        text="Faux avis de livraison ; seul le rapport porte une marque.",
        marks=[WHITE_1],
        report_only=True,
    ),
    Campaign(
        number=4,
        slug="riviere-sourde",
        group="Rivière sourde",
        malware="Embâcle",
        family="spyware",
        text="Écoute discrète de passerelles de messagerie.",
        marks=[AMBER_1],
    ),
    Campaign(
        number=5,
        slug="lynx-veilleur",
        group="Lynx veilleur",
        malware="Pinceau",
        family="keylogger",
        text="Vol d’identifiants d’accès à distance.",
        marks=[AMBER],
    ),
    Campaign(
        number=6,
        slug="carcajou",
        group="Carcajou",
        malware="Tanière",
        family="rootkit",
        text="Enquête en cours : ne sort pas de l’organisme.",
        marks=[AMBER_STRICT],
    ),
    Campaign(
        number=7,
        slug="nuit-blanche",
        group="Nuit blanche",
        malware="Insomnie",
        family="wiper",
        text="Réservé aux personnes nommées.",
        marks=[RED],
    ),
]


def ccc() -> list[Object]:
    """All that the collection `alertes` holds, in order of arrival; one object of it is invalid."""
    author = _author()
    for mark in (CLEAR, GREEN, AMBER, AMBER_STRICT, RED, WHITE_1, GREEN_1, AMBER_1):
        author.add(definition(mark))
    for campaign in CAMPAIGNS:
        tell(author, campaign, FRENCH)
    _odd(author)
    return author.objects


def odd() -> Mapping[str, Object]:
    """The special objects of CCC by what is special about them; of versions, the newest."""
    return _odd(_author())


def _author() -> Author:
    return Author("ccc", IDENTITY, "fr")


def _odd(author: Author) -> dict[str, Object]:
    return {**_odd_marks(author), **_odd_versions(author), "invalid": _invalid(author)}


def _odd_marks(author: Author) -> dict[str, Object]:
    def pattern(host: str) -> str:
        return f"[domain-name:value = '{host}.marques.example']"

    several = author.indicator("plusieurs", 40, pattern("plusieurs"), [GREEN, AMBER_1], name="Deux marques")
    terms = author.add(
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": "marking-definition--5a0c7e3b-914f-4d26-8e73-c02b6f9d1a48",
            "created_by_ref": author.id,
            "created": moment(0),
            "definition_type": "statement",
            "definition": {"statement": "© Centre canadien pour la cybersécurité"},
        }
    )
    stated = author.indicator("mention", 40, pattern("mention"), [GREEN, terms["id"]], name="Avec mention")
    granular = author.indicator(
        "par-champ",
        41,
        pattern("par-champ"),
        [GREEN],
        name="Marque sur un champ",
        description="La source de ce signalement est à protéger.",
        granular_markings=[{"marking_ref": AMBER, "selectors": ["description"]}],
    )
    return {
        "several marks": several,
        "statement mark": stated,
        "granular mark": granular,
        "unknown mark": author.indicator("inconnue", 41, pattern("inconnue"), [UNKNOWN], name="Marque inconnue"),
        "unmarked": author.indicator("sans-marque", 42, pattern("sans-marque"), name="Sans marque"),
    }


def _odd_versions(author: Author) -> dict[str, Object]:
    first = author.indicator(
        "deux-versions", 43, "[domain-name:value = 'une.versions.example']", [GREEN], name="Première version"
    )
    second = author.revise(first, 44, name="Seconde version", confidence=80)
    false_alarm = author.indicator(
        "fausse-alerte", 43, "[ipv4-addr:value = '192.0.2.10']", [GREEN], name="Fausse alerte"
    )
    expired = author.indicator(
        "echu", 43, "[ipv4-addr:value = '192.0.2.11']", [GREEN], name="Échu", valid_until=moment(50)
    )
    flaw = author.make("vulnerability", "passerelle", 43, [CLEAR], name="Contournement d’une passerelle de messagerie")
    return {
        "two versions": second,
        "revoked": author.revise(false_alarm, 45, revoked=True),
        "expired": expired,
        "passed on": flaw,  # CERT-EE has it too, byte for byte
    }


def _invalid(author: Author) -> Object:
    broken = author.indicator("sans-motif", 46, "", [GREEN], name="Indicateur sans motif")
    del broken["pattern"]
    return broken
