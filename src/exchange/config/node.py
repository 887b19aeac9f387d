"""`exchange.toml`: the node itself, its store, how others reach it and how it reaches others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from exchange.config import expiry, personal, settings
from exchange.config.expiry import ExpiryTable
from exchange.config.form import Form
from exchange.config.personal import PersonalTable
from exchange.config.problems import listed, near, problem, shown
from exchange.config.values import (
    Duration,
    Identity,
    Listen,
    Positive,
    Proxy,
    Size,
    StoreUrl,
    WebUrl,
    Words,
)
from exchange.errors import Problem
from exchange.model import benign
from exchange.model.hosts import is_loopback

FILE = "exchange.toml"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (what an operator may have typed; nothing listens here)


class NodeTable(Form):
    """`[node]`."""

    name: Words = Field(examples=["CERT-QC"])
    identity: Identity = Field(examples=["identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"])
    language: Literal["fr", "en"] = Field(default="fr", examples=["fr"])


class StoreTable(Form):
    """`[store]`."""

    url: StoreUrl = Field(
        default="sqlite:////var/lib/exchange/exchange.db", examples=["sqlite:////var/lib/exchange/exchange.db"]
    )
    keep_free: Size = Field(default=5 << 30, examples=["5 GiB"])


class ServeTable(Form):
    """`[serve]`."""

    listen: Listen = Field(default=("127.0.0.1", 8443), examples=["127.0.0.1:8443"])
    public_url: WebUrl | None = Field(default=None, examples=["https://echange.cert-qc.example"])
    proxies: list[Proxy] = Field(default=[], examples=[["127.0.0.1"]])
    tls_cert: Words | None = Field(default=None, examples=["/etc/exchange/tls/serve.crt"])
    tls_key: Words | None = Field(default=None, examples=["/etc/exchange/tls/serve.key"])
    tls_client_ca: Words | None = Field(default=None, examples=["/etc/exchange/tls/partners.crt"])
    workers: Positive = Field(default=1, examples=[1])
    max_content_length: Size = Field(default=10 << 20, examples=["10 MiB"])
    requests_per_minute: int = Field(default=6_000, ge=0, le=1_000_000, examples=[6_000])


class SyncTable(Form):
    """`[sync]`; an absent `outbound` is the safe choice: nothing leaves."""

    outbound: bool = Field(default=False, examples=[True])
    every: Duration = Field(default=900.0, examples=["15m"])
    probe: Duration = Field(default=604_800.0, examples=["7d"])
    reconcile: Duration = Field(default=604_800.0, examples=["7d"])


class WarninglistsTable(Form):
    """`[warninglists]`: whose values wait for a person before they leave."""

    enabled: bool = Field(default=True, examples=[True])
    lists: list[Words] = Field(default=list(benign.DEFAULT), examples=[["rfc1918", "empty-hashes"]])
    trusted: list[Words] = Field(default=[], examples=[["ccc"]])


class AgreementsTable(Form):
    """`[agreements]`: who approves them."""

    signers: Words | None = Field(default=None, examples=["/etc/exchange/signers"])


class PfcTable(Form):
    """`[pfc]`: what the node may do under the Protocole des feux de circulation."""

    ministry: bool = Field(default=False, examples=[True])


class NodeForm(Form):
    """The whole of `exchange.toml`."""

    node: NodeTable
    store: StoreTable = StoreTable()
    serve: ServeTable = ServeTable()
    sync: SyncTable = SyncTable()
    expiry: list[ExpiryTable] = Field(default=[])
    warninglists: WarninglistsTable = WarninglistsTable()
    personal: PersonalTable = PersonalTable()
    pfc: PfcTable = PfcTable()
    agreements: AgreementsTable = AgreementsTable()


def public_url(serve: ServeTable) -> str:
    """The address that partners type; where none is given, the one that the node listens on."""
    if serve.public_url:
        return serve.public_url.rstrip("/")
    host, port = serve.listen
    scheme = "https" if serve.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_closed(serve: ServeTable) -> bool:
    """Whether only this machine can reach the node (RULES R30): it listens on loopback and says nothing else."""
    return is_loopback(serve.listen[0]) and is_loopback(urlsplit(public_url(serve)).hostname or "")


def mistakes(form: NodeForm, file: str) -> Iterator[Problem]:
    """What is wrong between the keys of the file."""
    yield from expiry.mistakes(form.expiry, file)
    yield from _lists(form.warninglists.lists, file)
    yield from personal.mistakes(form.personal, file)
    serve = form.serve
    host, port = serve.listen
    for given, missing in (("tls_cert", "tls_key"), ("tls_key", "tls_cert"), ("tls_client_ca", "tls_cert")):
        if getattr(serve, given) and not getattr(serve, missing):
            yield problem("config.goes_with", file, f"serve.{missing}", given=given, missing=missing)
    if not is_loopback(host) and not serve.tls_cert and not serve.proxies:
        yield problem("config.listen_in_clear", file, "serve.listen", host=host, port=port)
    if not serve.public_url and host in _EVERYWHERE:
        yield problem("config.public_url_needed", file, "serve.public_url", host=host)
        return
    parts = urlsplit(public_url(serve))
    if parts.query or parts.fragment:
        yield problem("config.public_url_query", file, "serve.public_url")
    if serve.public_url and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield problem("config.public_url_in_clear", file, "serve.public_url", host=parts.hostname)


def _lists(names: list[str], file: str) -> Iterator[Problem]:
    """Warninglists are named by their folders, each once."""
    known = benign.available()
    for number, name in enumerate(names):
        place = f"warninglists.lists[{number}]"
        # To compare a name with all the others costs more than to read the whole folder.
        meant = None if name in known else near(name, known)
        if name in names[:number]:
            yield problem("config.named_twice", file, place, name=shown(name))
        elif meant:
            yield problem("config.unknown_warninglist_near", file, place, name=shown(name), near=meant)
        elif name not in known:
            yield problem("config.unknown_warninglist", file, place, name=shown(name), known=listed(known))


def choice(table: WarninglistsTable) -> benign.Choice:
    """The lists that count; none where they are not enabled."""
    if not table.enabled:
        return benign.NOTHING
    return benign.Choice(lists=tuple(sorted(table.lists)), trusted=frozenset(table.trusted))


def build(form: NodeForm, folder: Path) -> tuple[settings.Node, settings.Store, settings.Serve, settings.Sync]:
    """The node's part of the settings; a relative path stands under the configuration's folder."""
    serve = form.serve
    return (
        settings.Node(name=form.node.name, identity=form.node.identity, language=form.node.language),
        settings.Store(url=form.store.url, keep_free=form.store.keep_free),
        settings.Serve(
            host=serve.listen[0],
            port=serve.listen[1],
            public_url=public_url(serve),
            proxies=tuple(serve.proxies),
            tls_cert=folder / serve.tls_cert if serve.tls_cert else None,
            tls_key=folder / serve.tls_key if serve.tls_key else None,
            tls_client_ca=folder / serve.tls_client_ca if serve.tls_client_ca else None,
            workers=serve.workers,
            max_content_length=serve.max_content_length,
            requests_per_minute=serve.requests_per_minute,
        ),
        settings.Sync(
            outbound=form.sync.outbound,
            every=form.sync.every,
            probe=form.sync.probe,
            reconcile=form.sync.reconcile,
        ),
    )
