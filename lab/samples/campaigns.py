"""A campaign as a partner tells it: who, with what, seen where, in about 25 objects."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lab.samples.stix import Author, Object, moment

CCC_ONLY_DOMAIN = "portail.brume-boreale.example"  # CCC, TLP:GREEN, known to no other partner
SHARED_DOMAIN = "mise-a-jour.brume-boreale.example"  # CCC, CERT-EE and CIRCL all have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a partner puts it."""

    language: str
    indicator: str
    sighting: str
    report: str
    note: str
    note_text: str
    hosts: tuple[str, str, str]


FRENCH = Words(
    language="fr",
    indicator="Serveur de commande de {group}",
    sighting="Vu chez un organisme public",
    report="{group} : campagne contre les administrations",
    note="Évaluation",
    note_text="Nous jugeons probable que {group} continue d’utiliser {malware} cet hiver.",
    hosts=("portail", "mise-a-jour", "courriel"),
)
ENGLISH = Words(
    language="en",
    indicator="Command server of {group}",
    sighting="Seen at a public body",
    report="{group}: a campaign against public administration",
    note="Assessment",
    note_text="We consider it likely that {group} goes on using {malware} this winter.",
    hosts=("portal", "update", "mail"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The facts. `marks` stand on everything but observables; with `report_only`, on the report alone."""

    number: int  # gives it addresses and days of its own
    slug: str
    group: str
    malware: str
    family: str
    text: str
    marks: Sequence[str] = ()
    report_only: bool = False

    @property
    def day(self) -> float:
        """When it was written about."""
        return self.number * 4.0

    def digest(self, name: str) -> str:
        """The SHA-256 of one of its files."""
        return hashlib.sha256(f"{self.slug}/{name}".encode()).hexdigest()


def tell(author: Author, campaign: Campaign, words: Words) -> list[Object]:
    """Everything the author says about a campaign, the report last but one."""
    marks = () if campaign.report_only else campaign.marks
    actors = _actors(author, campaign, words, marks)
    indicators = _indicators(author, campaign, words, marks)
    malware = actors[2]
    links = [
        author.relate(actors[1], "attributed-to", actors[0], campaign.day, marks),
        author.relate(actors[1], "uses", malware, campaign.day, marks),
        *(author.relate(indicator, "indicates", malware, campaign.day, marks) for indicator in indicators[::2]),
    ]
    seen = _seen(author, campaign, words, indicators[0], marks)
    content = [*actors, *indicators, *links, *seen]
    names = {"group": campaign.group, "malware": campaign.malware}
    report = author.make(
        "report",
        campaign.slug,
        campaign.day + 1,
        campaign.marks,
        name=words.report.format(**names),
        description=campaign.text,
        report_types=["campaign"],
        published=moment(campaign.day + 1),
        object_refs=[object_["id"] for object_ in content],
    )
    note = author.make(
        "note",
        campaign.slug,
        campaign.day + 2,
        marks,
        abstract=words.note,
        content=words.note_text.format(**names),
        object_refs=[report["id"]],
    )
    return [*content, report, note]


def _actors(author: Author, campaign: Campaign, words: Words, marks: Sequence[str]) -> list[Object]:
    slug, day = campaign.slug, campaign.day
    group = author.make("intrusion-set", slug, day, marks, name=campaign.group, description=campaign.text)
    title = words.report.format(group=campaign.group)
    run = author.make("campaign", slug, day, marks, name=title, first_seen=moment(day - 3))
    malware = author.make(
        "malware", slug, day, marks, name=campaign.malware, is_family=True, malware_types=[campaign.family]
    )
    return [group, run, malware]


def _indicators(author: Author, campaign: Campaign, words: Words, marks: Sequence[str]) -> list[Object]:
    number, slug = campaign.number, campaign.slug
    domains = [f"{host}.{slug}.example" for host in words.hosts]
    patterns = [
        *(f"[domain-name:value = '{domain}']" for domain in domains),
        f"[ipv4-addr:value = '203.0.113.{number * 8 + 1}']",
        f"[ipv4-addr:value = '198.51.100.{number * 8 + 1}']",
        f"[ipv6-addr:value = '2001:db8:{number:x}::1']",
        f"[url:value = 'https://{domains[0]}/entree?id={number}']",
        f"[file:hashes.'SHA-256' = '{campaign.digest('implant')}']",
    ]
    name = words.indicator.format(group=campaign.group)
    return [
        author.indicator(f"{slug}/{place}", campaign.day, pattern, marks, name=name)
        for place, pattern in enumerate(patterns)
    ]


def _seen(author: Author, campaign: Campaign, words: Words, indicator: Object, marks: Sequence[str]) -> list[Object]:
    number, day = campaign.number, campaign.day
    observables = [
        author.observe("domain-name", value=f"{words.hosts[0]}.{campaign.slug}.example"),
        author.observe("ipv4-addr", value=f"203.0.113.{number * 8 + 1}"),
        author.observe("file", hashes={"SHA-256": campaign.digest("implant")}, name=f"{campaign.slug}.dll"),
    ]
    times = {"first_observed": moment(day - 1), "last_observed": moment(day - 0.5), "number_observed": 3}
    refs = [observable["id"] for observable in observables]
    data = author.make("observed-data", campaign.slug, day, marks, object_refs=refs, **times)
    sighting = author.make(
        "sighting",
        campaign.slug,
        day,
        marks,
        description=words.sighting,
        sighting_of_ref=indicator["id"],
        observed_data_refs=[data["id"]],
        where_sighted_refs=[author.id],
        count=3,
    )
    return [*observables, data, sighting]
