"""The one way in for a request: who asks, in which language, what they may see, and whether it may leave now.

Every resource with content enters here; there is no other place that authenticates or looks an audience up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeGuard

import falcon
import structlog
from sqlalchemy import Connection

from exchange.errors import Forbidden, NotAcceptable, NotFound, TooManyRequests
from exchange.i18n import Language
from exchange.model.party import Collection
from exchange.policy import Rules
from exchange.policy.audience import collection_channel
from exchange.serve import login, media
from exchange.serve.answers import Unavailable
from exchange.serve.ledger import Ledger
from exchange.serve.login import Proxies, Tally
from exchange.serve.passwords import Passwords
from exchange.serve.rates import Rates
from exchange.serve.site import Site
from exchange.serve.standing import Standing, standing
from exchange.store import micros, moment
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Key

log = structlog.get_logger("exchange.serve")

_PAUSED = 60
"""`Retry-After` while a person has stopped the exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of one account, inside one snapshot of the store."""

    site: Site
    rules: Rules
    tx: Connection
    standing: Standing
    account: str
    peer: str
    language: Language
    base: str
    """The public address that this reader's URLs begin with, without a slash at its end."""
    now: int
    ledger: Ledger

    def may(self, collection: Collection) -> bool:
        """Whether this account may know that the collection exists."""
        return self.peer in collection.readers or self.peer in collection.writers

    def readable(self, collection: Collection) -> bool:
        """Whether it may read there. A writer reads back what it wrote, unless the collection says otherwise."""
        return self.peer in collection.readers or (collection.read_back and self.peer in collection.writers)

    def collections(self) -> list[Collection]:
        """Those that exist for this account."""
        return [collection for collection in self.rules.terms.collections.values() if self.may(collection)]

    def collection(self, name: str) -> Collection:
        """The collection with this id or alias. Raises NotFound, the same for *absent* and *not for you*."""
        found = self.rules.terms.collections.get(name)
        if found is None:
            found = next((c for c in self.rules.terms.collections.values() if c.alias == name), None)
        if found is None or not self.may(found):
            raise NotFound("request.no_collection")
        return found

    def audience(self, collection: Collection) -> AudienceRow:
        """The audience to which this account belongs in the collection.

        Raises Unavailable when the terms that make it are not adopted yet, as in the first second of a new node.
        """
        found = self.standing.audience(self.tx, self.peer, collection_channel(collection.id))
        if found is None:
            raise Unavailable("request.deciding")
        return found

    def reading(self, collection: Collection) -> AudienceRow:
        """The audience, if it may read now (RULES R19, R31). Raises Unavailable or Forbidden otherwise."""
        if not self.readable(collection):
            raise Forbidden("request.write_only", collection=collection.alias)
        audience = self.audience(collection)
        if not self.site.outbound() or self.standing.brake(self.tx, self.peer, "out"):
            raise Unavailable("request.paused", retry_after=_PAUSED)
        if not audience.open or self.standing.epoch(self.tx) != self.rules.epoch:
            raise Unavailable("request.deciding")
        if not audience.agreements and audience.ends is not None:
            raise Forbidden("request.no_agreement")
        if audience.ends is not None and audience.ends <= self.now:
            raise Forbidden(
                "request.agreement_ended",
                agreement=", ".join(audience.agreements),
                end=moment(audience.ends).date().isoformat(),
            )
        return audience

    def renewed(self, tx: Connection) -> Visit:
        """The same visit in another snapshot."""
        return replace(self, tx=tx, standing=standing(self.site.store, tx))

    def sees(self, tx: Connection, collection: Collection) -> AudienceRow | None:
        """The audience, if it may read by the snapshot `tx`; None: it would be refused, so it is told nothing."""
        try:
            return self.renewed(tx).reading(collection)
        except (Forbidden, Unavailable):
            return None

    def writing(self, collection: Collection) -> None:
        """Raises Forbidden unless this account may write here, Unavailable while it is stopped (RULES R31)."""
        if self.peer not in collection.writers:
            raise Forbidden("request.read_only", collection=collection.alias)
        if not self.rules.receives(self.peer):
            raise Forbidden("request.no_agreement")
        if self.standing.brake(self.tx, self.peer, "in"):
            raise Unavailable("request.paused", retry_after=_PAUSED)


class Door:
    """Lets a request in, or raises what it is answered with."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._tally = Tally()
        self._guesses = Tally()
        """Wrong passwords from where nothing is worked out any more: they may still hit one that is remembered."""
        self._passwords = Passwords()
        self._rates = Rates(site.requests_per_minute)
        self._proxies = Proxies(site.proxies)
        self._ledger = Ledger(site.store)

    @contextmanager
    def visit(self, req: falcon.Request, *, taxii: bool = True) -> Iterator[Visit]:
        """A visit, for as long as its snapshot is open. Raises NotAuthenticated, TooManyRequests, NotAcceptable."""
        site = self.site
        now = site.clock()
        with site.store.reading() as tx:
            known = standing(site.store, tx)
            key = self._login(req, tx, known, now)
            at = micros(now)
            self._rates.spend(key.account, at)
            if taxii and not media.acceptable(req.get_header("Accept", default="")):
                raise NotAcceptable("request.not_acceptable")
            yield Visit(
                site=site,
                rules=site.rules(),
                tx=tx,
                standing=known,
                account=key.account,
                peer=key.peer,
                language=media.language(req.get_header("Accept-Language", default=""), site.language),
                base=site.public_url.rstrip("/") or f"{self._proxies.scheme(req)}://{req.netloc}",
                now=at,
                ledger=self._ledger,
            )

    def _login(self, req: falcon.Request, tx: Connection, known: Standing, now: datetime) -> Key:
        """The account of the secret that the request shows, else that of its certificate."""
        address = self._proxies.address(req)
        header = req.get_header("Authorization", default="")
        if not header:
            return self._certified(req, tx, known, now, address)
        shown = login.presented(header)
        if shown is not None:
            if shown.user:
                self._tally.check(address, shown.user, now)
            key = known.key(tx, shown.digest) or self._chosen(tx, known, shown, address, now)
            if _valid(key, now) and shown.fits(key.account):
                self._tally.succeeded(address, shown.user)
                return key
        user = shown.user if shown is not None else ""
        # A secret without a name belongs to no account before it is found, so only here may it be locked out.
        self._tally.failed(address, user, now)
        log.warning("serve.login_failed", address=address, account=user[:100] or "–")
        raise login.nobody("request.wrong_secret")

    def _chosen(
        self, tx: Connection, known: Standing, shown: login.Presented, address: str, now: datetime
    ) -> Key | None:
        """The account that this password was chosen for (RULES R28). Raises TooManyRequests before the costly part."""
        if not shown.user or not known.some_chosen(tx):
            return None
        hashes = [each for each, until in known.chosen(tx, shown.user) if until is None or until > micros(now)]
        found = self._remembered(shown, hashes, address, now)
        if found is None:
            found = self._passwords.which(shown.user, shown.secret, hashes, now)
        return known.key(tx, found) if found else None

    def _remembered(self, shown: login.Presented, hashes: Sequence[str], address: str, now: datetime) -> str | None:
        """The hash that this password is known to fit; None: it has to be worked out, and may be.

        Raises TooManyRequests where nothing more is worked out: what others got wrong shuts out no one who is known.
        """
        with suppress(TooManyRequests):
            self._guesses.check(address, shown.user, now)
            found = self._passwords.remembered(shown.user, shown.secret, hashes, now)
            if found is not None:
                return found
        try:
            self._tally.check_all(address, now)
        except TooManyRequests:
            if hashes:  # so that names that cost nothing do not fill the memory
                self._guesses.missed(address, shown.user, now)
            raise
        return None

    def _certified(self, req: falcon.Request, tx: Connection, known: Standing, now: datetime, address: str) -> Key:
        """The account of the client certificate that a proxy of ours passes on."""
        fingerprint = self._proxies.certificate(req)
        if fingerprint is None:
            raise login.nobody()
        key = known.certificate(tx, fingerprint)
        if _valid(key, now):
            return key
        self._tally.failed(address, "", now)
        log.warning("serve.certificate_refused", address=address, fingerprint=fingerprint or "-")
        raise login.nobody("request.wrong_certificate")


def _valid(key: Key | None, now: datetime) -> TypeGuard[Key]:
    return key is not None and (key.not_after is None or key.not_after > micros(now))
