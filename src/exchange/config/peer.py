"""`peers/ID.toml`: a partner, what we take from it, where we hand over to it, and by what secrets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from exchange.config.altering import Jurisdiction
from exchange.config.expiry import Quality
from exchange.config.form import Form
from exchange.config.problems import problem
from exchange.config.values import (
    Creator,
    Cron,
    Duration,
    IdentityOrOrganisation,
    Moment,
    Origin,
    PathReference,
    Positive,
    Reference,
    ShortId,
    Size,
    TaxiiUrl,
    TheirCollection,
    TimeOfWeek,
    WebProxy,
    Words,
    organisation,
)
from exchange.errors import Problem
from exchange.model.hosts import is_loopback
from exchange.model.party import Auth, Peer, Source, SourceKind, Target, TargetKind, TaxiiVersion

FOLDER = "peers"
_SRV = "srv:"
_URL = "https://taxii.ccc.example/api1/"
_COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"

# What each kind of source needs, and what it may have besides `id`, `kind` and `enabled`.
_NEEDS = {"taxii": ("url", "collection"), "misp": ("url",), "misp-feed": ("url",), "file": ()}
_PULLED = {"url", "every", "fastest", "slowest", "cron", "since", "max_day", "max_day_size"}
_TAKES = {
    "taxii": _PULLED | {"collection", "version"},
    "misp": _PULLED | {"orgs"},
    "misp-feed": _PULLED | {"orgs"},
    "file": {"max_day"},
}
# The same of targets.
_TARGET_NEEDS = {"taxii": ("collection",), "misp": ()}
_TARGET_TAKES = {"taxii": {"url", "collection", "delete"}, "misp": {"url", "publish", "private"}}


class SourceTable(Form):
    """`[[source]]`: what we take."""

    id: ShortId = Field(examples=["alertes"])
    kind: SourceKind = Field(examples=["taxii"])
    url: TaxiiUrl | None = Field(default=None, examples=[_URL])
    collection: TheirCollection | None = Field(default=None, examples=[_COLLECTION])
    version: TaxiiVersion = Field(default="2.1", examples=["2.0"])
    every: Duration | None = Field(default=None, examples=["15m"])
    fastest: Duration | None = Field(default=None, examples=["1m"])
    slowest: Duration | None = Field(default=None, examples=["1h"])
    cron: Cron | None = Field(default=None, examples=["30 6 * * mon-fri"])
    since: Moment | None = Field(default=None, examples=[date(2025, 9, 23)])
    max_day: Positive | None = Field(default=None, examples=[50_000])
    max_day_size: Size | None = Field(default=None, examples=["2 GiB"])
    orgs: list[Creator] = Field(default=[], examples=[["55f6ea5e-2c60-40e5-964f-47a8950d210f"]])
    enabled: bool = Field(default=True, examples=[True])


class TargetTable(Form):
    """`[[target]]`: where we hand over."""

    id: ShortId = Field(examples=["depot"])
    kind: TargetKind = Field(examples=["taxii"])
    url: TaxiiUrl = Field(examples=[_URL])
    collection: TheirCollection | None = Field(default=None, examples=["52892447-4d7e-4f70-b94d-d7f22742ff63"])
    publish: bool = Field(default=True, examples=[True])
    private: bool = Field(default=False, examples=[False])
    delete: bool = Field(default=False, examples=[False])
    enabled: bool = Field(default=True, examples=[True])


class AuthTable(Form):
    """`[auth]`: secrets by name."""

    user: Words | None = Field(default=None, examples=["cert-qc"])
    password: Reference | None = Field(default=None, examples=["credential:ccc.password"])
    token: Reference | None = Field(default=None, examples=["credential:ccc.token"])
    key: Reference | None = Field(default=None, examples=["credential:circl.key"])
    client_cert: PathReference | None = Field(default=None, examples=["credential:ccc.crt"])
    client_key: PathReference | None = Field(default=None, examples=["credential:ccc.key"])
    origins: list[Origin] = Field(default=[], examples=[["https://taxii.ccc.example"]])


class TlsTable(Form):
    """`[tls]`."""

    ca: Words | None = Field(default=None, examples=["/etc/exchange/ca/ccc.pem"])


class LimitsTable(Form):
    """`[limits]`: how gently the partner is treated."""

    requests_per_minute: Positive | None = Field(default=None, examples=[60])
    at_once: Positive = Field(default=4, examples=[4])
    closed: list[TimeOfWeek] = Field(default=[], examples=[["sun 02:00-04:00"]])


class ProxyTable(Form):
    """`[proxy]`: through which this peer is reached."""

    url: WebProxy | None = Field(default=None, examples=["http://proxy.example:3128"])
    user: Words | None = Field(default=None, examples=["cert-qc"])
    password: Reference | None = Field(default=None, examples=["credential:proxy.password"])


class PeerForm(Form):
    """The whole of `peers/ID.toml`."""

    name: Words = Field(examples=["CIRCL"])
    contact: Words | None = Field(default=None, examples=["info@circl.example"])
    role: Literal["partner", "home"] = Field(default="partner", examples=["partner"])
    identities: list[IdentityOrOrganisation] = Field(
        default=[], examples=[["identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11"]]
    )
    pap: bool = Field(default=True, examples=[False])
    dialect: Literal["tlp1", "tlp2", "opencti"] | None = Field(default=None, examples=["tlp2"])
    quality: Quality | None = Field(default=None, examples=[75])
    jurisdiction: Jurisdiction | None = Field(default=None, examples=["CA-QC"])
    source: list[SourceTable] = Field(default=[])
    target: list[TargetTable] = Field(default=[])
    auth: AuthTable = AuthTable()
    tls: TlsTable = TlsTable()
    limits: LimitsTable = LimitsTable()
    proxy: ProxyTable = ProxyTable()


def mistakes(form: PeerForm, file: str) -> Iterator[Problem]:
    """What is wrong between the keys of the file."""
    yield from _of_auth(form, file)
    seen: set[str] = set()
    flows = [(f"source[{n}]", flow.id) for n, flow in enumerate(form.source)]
    flows += [(f"target[{n}]", flow.id) for n, flow in enumerate(form.target)]
    for key, flow_id in flows:
        if flow_id in seen:
            yield problem("config.id_twice", file, f"{key}.id", value=flow_id)
        seen.add(flow_id)
    for number, source in enumerate(form.source):
        yield from _of_source(form, source, file, f"source[{number}]")
    for number, target in enumerate(form.target):
        yield from _of_target(form, target, file, f"target[{number}]")
    for number, origin in enumerate(form.auth.origins):
        yield from _in_clear(form, origin, file, f"auth.origins[{number}]")


def _of_auth(form: PeerForm, file: str) -> Iterator[Problem]:
    auth = form.auth
    pairs = (("user", "password"), ("password", "user"), ("client_cert", "client_key"), ("client_key", "client_cert"))
    for given, missing in pairs:
        if getattr(auth, given) and not getattr(auth, missing):
            yield problem("config.goes_with", file, f"auth.{missing}", given=given, missing=missing)
    proxy = form.proxy
    for given, missing in (("user", "password"), ("password", "user"), ("user", "url")):
        if getattr(proxy, given) and not getattr(proxy, missing):
            yield problem("config.goes_with", file, f"proxy.{missing}", given=given, missing=missing)
    if auth.token and auth.password:
        yield problem("config.two_logins", file, "auth.token")
    kinds = {source.kind for source in form.source} | {target.kind for target in form.target}
    if "misp" in kinds and not auth.key:
        yield problem("config.misp_without_key", file, "auth.key")


def _of_source(form: PeerForm, source: SourceTable, file: str, key: str) -> Iterator[Problem]:
    for needed in _NEEDS[source.kind]:
        if not getattr(source, needed):
            yield problem("config.source_needs", file, f"{key}.{needed}", kind=source.kind, name=needed)
    for name in sorted(source.model_fields_set - {"id", "kind", "enabled"} - _TAKES[source.kind]):
        yield problem("config.source_cannot", file, f"{key}.{name}", kind=source.kind, name=name)
    yield from _of_pace(source, file, key)
    if source.kind == "misp" and not source.orgs and not form.identities and form.role != "home":
        yield problem("config.misp_without_orgs", file, f"{key}.orgs")
    if source.url and source.url.startswith(_SRV) and source.kind != "taxii":
        yield problem("config.srv_not_taxii", file, f"{key}.url", kind=source.kind)
    if source.url and source.kind == "taxii" and "/collections/" in source.url:
        yield problem("config.url_of_collection", file, f"{key}.url", fixed=source.url.partition("collections/")[0])
    if source.url:
        yield from _in_clear(form, source.url, file, f"{key}.url")


def _of_target(form: PeerForm, target: TargetTable, file: str, key: str) -> Iterator[Problem]:
    for needed in _TARGET_NEEDS[target.kind]:
        if not getattr(target, needed):
            yield problem("config.target_needs", file, f"{key}.{needed}", kind=target.kind, name=needed)
    for name in sorted(target.model_fields_set - {"id", "kind", "enabled"} - _TARGET_TAKES[target.kind]):
        yield problem("config.target_cannot", file, f"{key}.{name}", kind=target.kind, name=name)
    if target.url.startswith(_SRV) and target.kind != "taxii":
        yield problem("config.srv_not_taxii", file, f"{key}.url", kind=target.kind)
    if target.kind == "taxii" and "/collections/" in target.url:
        yield problem("config.url_of_collection", file, f"{key}.url", fixed=target.url.partition("collections/")[0])
    yield from _in_clear(form, target.url, file, f"{key}.url")


def _of_pace(source: SourceTable, file: str, key: str) -> Iterator[Problem]:
    if source.cron:
        for name in ("every", "fastest", "slowest"):
            if getattr(source, name):
                yield problem("config.cron_alone", file, f"{key}.{name}", name=name)
    pace = [each for each in (source.fastest, source.every, source.slowest) if each]
    if pace != sorted(pace):
        yield problem("config.pace_order", file, f"{key}.every")


def _in_clear(form: PeerForm, url: str, file: str, key: str) -> Iterator[Problem]:
    parts = urlsplit(url)
    if parts.scheme == "http" and form.auth.model_fields_set - {"origins"} and not is_loopback(parts.hostname or ""):
        yield problem("config.secret_in_clear", file, key, host=parts.hostname, fixed="https" + url[len("http") :])


def build(peer_id: str, form: PeerForm, *, every: float, node_identity: str, folder: Path) -> Peer:
    """The peer; `every` is the node's default, and a relative path stands under the configuration's folder."""
    home = form.role == "home"
    own = frozenset(map(organisation, form.identities)) or (
        frozenset({organisation(node_identity)}) if home else frozenset()
    )
    auth = {name: value or "" for name, value in form.auth.model_dump(exclude={"origins"}).items()}
    return Peer(
        id=peer_id,
        name=form.name,
        contact=form.contact or "",
        home=home,
        identities=frozenset(form.identities),
        pap=form.pap,
        dialect=form.dialect or "",
        quality=form.quality,
        jurisdiction=form.jurisdiction or "",
        sources=tuple(
            Source(
                peer=peer_id,
                id=source.id,
                kind=source.kind,
                url=source.url or "",
                collection=source.collection or "",
                version=source.version,
                every=source.every or min(max(every, source.fastest or 0), source.slowest or every),
                fastest=source.fastest,
                slowest=source.slowest,
                cron=source.cron or "",
                since=source.since,
                max_day=source.max_day,
                max_day_size=source.max_day_size,
                orgs=(frozenset(source.orgs) or own) if source.kind in ("misp", "misp-feed") else frozenset(),
                internal=home,
                enabled=source.enabled,
            )
            for source in form.source
        ),
        targets=tuple(
            Target(
                peer=peer_id,
                id=target.id,
                kind=target.kind,
                url=target.url,
                collection=target.collection or "",
                publish=target.publish,
                private=target.private,
                delete=target.delete,
                enabled=target.enabled,
            )
            for target in form.target
        ),
        auth=Auth(**auth, proxy_user=form.proxy.user or "", proxy_password=form.proxy.password or ""),
        origins=frozenset(form.auth.origins),
        proxy=form.proxy.url or "",
        ca=str(folder / form.tls.ca) if form.tls.ca else "",
        closed=tuple(form.limits.closed),
        requests_per_minute=form.limits.requests_per_minute,
        at_once=form.limits.at_once,
    )
