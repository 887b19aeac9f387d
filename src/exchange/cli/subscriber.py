"""Subscribers: accounts of peers, and the blocks to paste into their clients."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    ago,
    guarded,
    load,
    now,
    opened,
    out,
    peer_of,
    say,
    show_json,
    show_table,
    tell,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import accounts, micros, moment

app = typer.Typer(no_args_is_help=True)
_CLIENTS = ("curl", "misp", "opencti", "sentinel")
Name = Annotated[str, typer.Argument(help=say("cli.subscriber.name"))]


def _blocks(settings: Settings, peer: str, name: str, secret: str) -> dict[str, str]:
    """Client → a block to paste: every collection that the peer reads, with the account's secret."""
    base = settings.serve.public_url
    readable = [c for c in settings.terms.collections.values() if peer in c.readers or peer in c.writers]
    first = readable[0].id if readable else "COLLECTION"
    fields = {
        "name": name, "secret": secret, "discovery": f"{base}/taxii2/", "root": f"{base}/api/", "base": base,
        "collection": first, "feed": f"{base}/feeds/{readable[0].alias if readable else 'COLLECTION'}/",
        "collections": "\n".join(f"  {c.id}  {c.alias}" for c in readable) or "  –",
    }  # fmt: skip
    return {client: say(f"cli.handout.{client}", **fields) for client in _CLIENTS}


def _hand_out(settings: Settings, peer: str, name: str, secret: str, *, as_json: bool) -> None:
    blocks = _blocks(settings, peer, name, secret)
    if as_json:
        base = settings.serve.public_url
        show_json({
            "name": name, "peer": peer, "secret": secret, "discovery": f"{base}/taxii2/", "api_root": f"{base}/api/",
            "collections": [
                {"id": c.id, "alias": c.alias}
                for c in settings.terms.collections.values()
                if peer in c.readers or peer in c.writers
            ],
            "blocks": blocks,
        })  # fmt: skip
        return
    tell("cli.subscriber.secret", name=name, secret=secret)
    for client, block in blocks.items():
        out.print(f"\n[bold]# {client}[/]")
        out.print(block, markup=False, soft_wrap=True)


@app.command("add", help=say("cli.subscriber.add.help"))
@guarded
def add(
    peer: Annotated[str, typer.Option("--peer", help=say("cli.subscriber.peer"))],
    name: Annotated[str, typer.Option("--name", help=say("cli.subscriber.name"))] = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Make an account for a peer; its secret is shown once."""
    settings = load(folder)
    known = peer_of(settings, peer)
    account = name or f"{known.id}-1"
    secret, digest = accounts.new_secret()
    with opened(settings) as store, store.writing() as tx:
        if not accounts.open_account(tx, account, known.id, digest, micros(now())):
            raise UsageError("cli.subscriber.taken", name=account)
    _hand_out(settings, known.id, account, secret, as_json=as_json)
    return 0


@app.command("list", help=say("cli.subscriber.list.help"))
@guarded
def list_(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Every account, never a secret."""
    settings = load(folder)
    with opened(settings) as store, store.reading() as tx:
        rows = accounts.accounts(tx)
    if as_json:
        show_json(
            [{**r, "created": moment(r["created"]), "revoked": r["revoked"] and moment(r["revoked"])} for r in rows]
        )
        return 0
    show_table(
        ("cli.column.account", "cli.column.peer", "cli.column.created", "cli.column.state"),
        [
            (r["name"], r["peer"], ago(moment(r["created"])), say("state.revoked" if r["revoked"] else "state.ok"))
            for r in rows
        ],
    )
    return 0


@app.command("rotate", help=say("cli.subscriber.rotate.help"))
@guarded
def rotate(
    name: Name,
    hours: Annotated[int, typer.Option("--keep-hours", min=0, help=say("cli.subscriber.keep"))] = 24,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """A new secret; the old one stays valid for the hours given."""
    settings = load(folder)
    secret, digest = accounts.new_secret()
    at = now()
    with opened(settings) as store, store.writing() as tx:
        if not accounts.rotate(tx, name, digest, micros(at), micros(at + timedelta(hours=hours))):
            raise UsageError("cli.subscriber.unknown", name=name)
        peer = next(str(row["peer"]) for row in accounts.accounts(tx) if row["name"] == name)
    _hand_out(settings, peer, name, secret, as_json=as_json)
    return 0


@app.command("revoke", help=say("cli.subscriber.revoke.help"))
@guarded
def revoke(name: Name, folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Shut an account; it acts on its next request."""
    settings = load(folder)
    with opened(settings) as store, store.writing() as tx:
        if not accounts.revoke(tx, name, micros(now())):
            raise UsageError("cli.subscriber.unknown", name=name)
    if as_json:
        show_json({"name": name, "revoked": True})
    else:
        tell("cli.subscriber.revoked", name=name)
    return 0
