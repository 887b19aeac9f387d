"""Subscribers: accounts of peers, hashes of their secrets and certificates, the status of their POSTs; the brake."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from exchange.store.pages import Key
from exchange.store.prepared import Query
from exchange.store.tables import account, brake, certificate, secret, status

ALL = "*"
_ALPHABET = string.ascii_letters + string.digits
_PREFIX = "ex"
_LENGTH = 40
CHOSEN = "$argon2id$"
"""How the hash of a password that a person chose begins (RULES R28)."""


def new_secret() -> tuple[str, str]:
    """A secret of exactly 40 characters [A-Za-z0-9], and the SHA-256 under which it is kept (RULES R28).

    It serves as Bearer token, Basic password and MISP authkey alike.
    """
    secret = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - len(_PREFIX)))
    return secret, digest_of(secret)


def digest_of(secret: str) -> str:
    """What is kept of a secret: its SHA-256, in hexadecimal; 232 random bits need no slower hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def chosen(tx: Connection, name: str) -> Sequence[tuple[str, int | None]]:
    """The hashes of the passwords that people chose for this live account, and until when each is valid."""
    live = select(secret.c.hash, secret.c.not_after).join(account, account.c.name == secret.c.account)
    rows = tx.execute(live.where(account.c.name == name, account.c.revoked.is_(None), secret.c.hash.like(f"{CHOSEN}%")))
    return [(row.hash, row.not_after) for row in rows]


def some_chosen(tx: Connection) -> bool:
    """Whether there is any password that a person chose."""
    return tx.execute(select(secret.c.hash).where(secret.c.hash.like(f"{CHOSEN}%")).limit(1)).scalar() is not None


def open_account(tx: Connection, name: str, peer: str, digest: str | None, now: int) -> bool:
    """Make an account with its first secret (None: it logs in by certificate only); False: the name is taken."""
    if tx.execute(select(account.c.name).where(account.c.name == name)).scalar() is not None:
        return False
    tx.execute(insert(account).values(name=name, peer=peer, created=now, revoked=None))
    if digest is not None:
        tx.execute(insert(secret).values(hash=digest, account=name, created=now, not_after=None))
    return True


def rotate(tx: Connection, name: str, digest: str, now: int, old_until: int) -> bool:
    """Give a live account a new secret; the old ones stay valid until `old_until`. False: no such live account."""
    if not _live(tx, name):
        return False
    still = or_(secret.c.not_after.is_(None), secret.c.not_after > old_until)
    tx.execute(update(secret).where(secret.c.account == name, still).values(not_after=old_until))
    tx.execute(insert(secret).values(hash=digest, account=name, created=now, not_after=None))
    return True


def _live(tx: Connection, name: str) -> bool:
    query = select(account.c.name).where(account.c.name == name, account.c.revoked.is_(None))
    return tx.execute(query).scalar() is not None


def tie(tx: Connection, name: str, fingerprint: str, not_after: int, now: int, old_until: int) -> bool:
    """Tie a live account to a certificate, until `not_after`; its others open it until `old_until` at the latest.

    `fingerprint` is the SHA-256 of the DER form. False: no such live account. The same certificate again is renewed;
    the caller has looked with `holder` that it is not another account's.
    """
    if not _live(tx, name):
        return False
    others = update(certificate).where(certificate.c.account == name, certificate.c.not_after > old_until)
    tx.execute(others.values(not_after=old_until))
    tx.execute(delete(certificate).where(certificate.c.hash == fingerprint, certificate.c.account == name))
    tx.execute(insert(certificate).values(hash=fingerprint, account=name, created=now, not_after=not_after))
    return True


def holder(tx: Connection, fingerprint: str) -> str | None:
    """The account that is tied to this certificate; a revoked account is tied to none."""
    found: str | None = tx.execute(select(certificate.c.account).where(certificate.c.hash == fingerprint)).scalar()
    return found


def certificates(tx: Connection) -> Mapping[str, Sequence[tuple[str, int]]]:
    """Account → its certificates as (fingerprint, not_after in µs), the one that lasts longest first."""
    found: dict[str, list[tuple[str, int]]] = {}
    query = select(certificate).order_by(certificate.c.not_after.desc(), certificate.c.hash)
    for row in tx.execute(query):
        found.setdefault(row.account, []).append((row.hash, row.not_after))
    return found


def key_of_certificate(tx: Connection, fingerprint: str) -> Key | None:
    """The live account that is tied to this certificate; the caller looks at `not_after`."""
    query = (
        select(account.c.name, account.c.peer, certificate.c.not_after)
        .join(certificate, certificate.c.account == account.c.name)
        .where(certificate.c.hash == fingerprint, account.c.revoked.is_(None))
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else Key(account=row.name, peer=row.peer, not_after=row.not_after)


def revoke(tx: Connection, name: str, now: int) -> bool:
    """Shut the account; it acts on its next request (RULES R24). False: no such live account."""
    gone = update(account).where(account.c.name == name, account.c.revoked.is_(None)).values(revoked=now)
    if tx.execute(gone).rowcount == 0:
        return False
    tx.execute(delete(secret).where(secret.c.account == name))
    tx.execute(delete(certificate).where(certificate.c.account == name))
    return True


def accounts(tx: Connection) -> Sequence[Mapping[str, Any]]:
    """Every account, revoked ones too."""
    return [dict(row) for row in tx.execute(select(account).order_by(account.c.peer, account.c.name)).mappings()]


def keep_status(tx: Connection, id_: str, owner: str, root: str, body: Mapping[str, Any], now: int) -> None:
    """Keep the status of a POST for its owner; those older than two days go (TAXII 2.1 section 4.3: at least one)."""
    _FORGET.run(tx, before=now - 2 * 86_400 * 1_000_000)
    _KEEP.run(tx, id=id_, account=owner, root=root, body=orjson.dumps(body).decode(), created=now)


_FORGET = Query(delete(status).where(status.c.created < bindparam("before")))
_KEEP = Query(insert(status))


def settle_status(tx: Connection, id_: str, body: Mapping[str, Any]) -> None:
    """Keep what has become of a POST since: what is settled stays settled."""
    tx.execute(update(status).where(status.c.id == id_).values(body=orjson.dumps(body).decode()))


def status_of(tx: Connection, id_: str, owner: str) -> Mapping[str, Any] | None:
    """The status resource, for its owner only."""
    body = tx.execute(select(status.c.body).where(status.c.id == id_, status.c.account == owner)).scalar()
    return None if body is None else dict(orjson.loads(body))


def pull_brake(tx: Connection, peer: str, direction: str, who: str, why: str, now: int) -> None:
    """Stop exchange with `peer` (or `*`) in this direction, in every process, until it is let go (RULES R31)."""
    let_go(tx, peer, direction)
    tx.execute(insert(brake).values(peer=peer, direction=direction, who=who, why=why, at=now))


def let_go(tx: Connection, peer: str, direction: str) -> bool:
    """Let the brake go; whether it was pulled."""
    gone = tx.execute(delete(brake).where(brake.c.peer == peer, brake.c.direction == direction))
    return gone.rowcount > 0


def brakes(tx: Connection) -> Sequence[Mapping[str, Any]]:
    """Every brake that is pulled."""
    return [dict(row) for row in tx.execute(select(brake).order_by(brake.c.peer, brake.c.direction)).mappings()]


def braked(tx: Connection, peer: str, direction: str) -> Mapping[str, Any] | None:
    """The brake that stops `peer` in this direction, if any."""
    rows = _BRAKED.run(tx, whose=peer, way=direction)
    return dict(zip(brake.c.keys(), rows[0], strict=True)) if rows else None


_BRAKED = Query(
    select(brake).where(
        or_(brake.c.peer == bindparam("whose"), brake.c.peer == ALL), brake.c.direction == bindparam("way")
    )
)
