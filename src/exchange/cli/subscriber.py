"""Subscribers: accounts of peers, and the blocks to paste into their clients."""

from __future__ import annotations

import getpass
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

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
from exchange.serve import certificates, passwords
from exchange.serve.certificates import Certificate
from exchange.store import accounts, micros, moment

app = typer.Typer(no_args_is_help=True)
_CLIENTS = ("curl", "misp", "opencti", "sentinel")
Name = Annotated[str, typer.Argument(help=say("cli.subscriber.name"))]


def _blocks(settings: Settings, peer: str, name: str, secret: str) -> dict[str, str]:
    """Client → a block to paste: every collection that the peer reads, with the account's secret."""
    base = settings.serve.public_url
    readable = [c for c in settings.terms.collections.values() if peer in c.readers or peer in c.writers]
    first = readable[0].id if readable else "COLLECTION"
    alias = readable[0].alias if readable else "COLLECTION"
    fields = {
        "name": name, "secret": secret, "discovery": f"{base}/taxii2/", "root": f"{base}/api/", "base": base,
        "collection": first, "feed": f"{base}/feeds/{alias}/", "misp": f"{base}/misp/{alias}",
        "node": settings.node.name, "organisation": settings.node.identity.removeprefix("identity--"),
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
                {"id": c.id, "alias": c.alias, "misp": f"{base}/misp/{c.alias}", "feed": f"{base}/feeds/{c.alias}/"}
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


def _certificate(path: Path, at: datetime) -> Certificate:
    """The certificate in a partner's file. Raises UsageError: there is none that is valid at `at`."""
    try:
        found = certificates.read(path.read_text(encoding="ascii", errors="replace"))
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError("cli.no_such_file", path=str(path)) from None
    except ValueError:
        raise UsageError("cli.subscriber.not_a_certificate", path=str(path)) from None
    if found.not_after <= at:
        raise UsageError("cli.subscriber.certificate_ended", path=str(path), until=_day(found.not_after))
    return found


def _tie(tx: Connection, name: str, found: Certificate, path: Path, at: datetime, hours: int = 0) -> None:
    """Let the account log in with the certificate, and with those before it for so many hours."""
    holder = accounts.holder(tx, found.fingerprint)
    if holder not in (None, name):
        raise UsageError("cli.subscriber.certificate_taken", path=str(path), name=holder)
    until = micros(at + timedelta(hours=hours))
    if not accounts.tie(tx, name, found.fingerprint, micros(found.not_after), micros(at), until):
        raise UsageError("cli.subscriber.unknown", name=name)


def _tell_tied(settings: Settings, peer: str, name: str, found: Certificate, *, as_json: bool) -> None:
    if as_json:
        base = settings.serve.public_url
        show_json({
            "name": name, "peer": peer, "certificate": found.fingerprint, "until": found.not_after,
            "discovery": f"{base}/taxii2/", "api_root": f"{base}/api/",
        })  # fmt: skip
    else:
        tell("cli.subscriber.tied", name=name, fingerprint=found.fingerprint, until=_day(found.not_after))


def _day(instant: datetime) -> str:
    return instant.date().isoformat()


@app.command("add", help=say("cli.subscriber.add.help"))
@guarded
def add(
    peer: Annotated[str, typer.Option("--peer", help=say("cli.subscriber.peer"))],
    name: Annotated[str, typer.Option("--name", help=say("cli.subscriber.name"))] = "",
    file: Annotated[Path | None, typer.Option("--certificate", help=say("cli.subscriber.certificate_option"))] = None,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Make an account for a peer; its secret is shown once. With a certificate it has no secret."""
    settings = load(folder)
    known = peer_of(settings, peer)
    account, at = name or f"{known.id}-1", now()
    secret, digest = accounts.new_secret()
    found = None if file is None else _certificate(file, at)
    with opened(settings) as store, store.writing() as tx:
        if not accounts.open_account(tx, account, known.id, digest if found is None else None, micros(at)):
            raise UsageError("cli.subscriber.taken", name=account)
        if file is not None and found is not None:
            _tie(tx, account, found, file, at)
    if found is None:
        _hand_out(settings, known.id, account, secret, as_json=as_json)
    else:
        _tell_tied(settings, known.id, account, found, as_json=as_json)
    return 0


@app.command("list", help=say("cli.subscriber.list.help"))
@guarded
def list_(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Every account, never a secret."""
    settings = load(folder)
    with opened(settings) as store, store.reading() as tx:
        rows, tied = accounts.accounts(tx), accounts.certificates(tx)
    papers = {name: [(hash_, moment(until)) for hash_, until in found] for name, found in tied.items()}
    if as_json:
        show_json([
            {
                **r, "created": moment(r["created"]), "revoked": r["revoked"] and moment(r["revoked"]),
                "certificates": [{"sha256": hash_, "until": until} for hash_, until in papers.get(r["name"], ())],
            }
            for r in rows
        ])  # fmt: skip
        return 0
    show_table(
        ("cli.column.account", "cli.column.peer", "cli.column.created", "cli.column.certificate", "cli.column.state"),
        [
            (
                r["name"], r["peer"], ago(moment(r["created"])),
                _day(papers[r["name"]][0][1]) if r["name"] in papers else "–",
                say("state.revoked" if r["revoked"] else "state.ok"),
            )
            for r in rows
        ],
    )  # fmt: skip
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
        peer = _peer_of_account(tx, name)
    _hand_out(settings, peer, name, secret, as_json=as_json)
    return 0


@app.command("password", help=say("cli.subscriber.password.help"))
@guarded
def password(
    name: Name,
    hours: Annotated[int, typer.Option("--keep-hours", min=0, help=say("cli.subscriber.keep"))] = 24,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """A password that a person chose, typed at the prompt or read from standard input; never an argument."""
    settings, at = load(folder), now()
    chosen = _typed()
    if len(chosen) < passwords.SHORTEST:
        raise UsageError("cli.subscriber.password_short", shortest=passwords.SHORTEST)
    hash_ = passwords.hashed(chosen)
    with opened(settings) as store, store.writing() as tx:
        if not accounts.rotate(tx, name, hash_, micros(at), micros(at + timedelta(hours=hours))):
            raise UsageError("cli.subscriber.unknown", name=name)
    if as_json:
        show_json({"name": name, "password": True})
    else:
        tell("cli.subscriber.password_set", name=name)
    return 0


def _typed() -> str:
    """Twice at the prompt, or one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(say("cli.subscriber.password_first"))
    if first != getpass.getpass(say("cli.subscriber.password_again")):
        raise UsageError("cli.subscriber.password_differs")
    return first


@app.command("certificate", help=say("cli.subscriber.certificate.help"))
@guarded
def certificate(
    name: Name,
    file: Annotated[Path, typer.Argument(help=say("cli.subscriber.certificate_file"))],
    hours: Annotated[int, typer.Option("--keep-hours", min=0, help=say("cli.subscriber.keep_certificates"))] = 24,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """A client certificate for an account; those before it stay valid for the hours given."""
    settings = load(folder)
    at = now()
    found = _certificate(file, at)
    with opened(settings) as store, store.writing() as tx:
        _tie(tx, name, found, file, at, hours)
        peer = _peer_of_account(tx, name)
    _tell_tied(settings, peer, name, found, as_json=as_json)
    return 0


def _peer_of_account(tx: Connection, name: str) -> str:
    return next(str(row["peer"]) for row in accounts.accounts(tx) if row["name"] == name)


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
