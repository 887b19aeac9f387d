"""What an operator should know though the configuration works: agreements that end, exchanges in clear, idle parts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from exchange.config import agreement, collection, node, peer
from exchange.config.problems import problem
from exchange.config.settings import Settings
from exchange.errors import Problem
from exchange.model.hosts import is_loopback
from exchange.model.marking import Tlp
from exchange.model.party import ANY_MARKING, Agreement, Peer
from exchange.policy.ending import OVER, STEPS, ending

_ENDING = {
    STEPS[0]: "config.agreement_ending",
    STEPS[1]: "config.agreement_ending_soon",
    STEPS[2]: "config.agreement_ending_now",
    OVER: "config.agreement_ended",
}


def warnings(settings: Settings, now: datetime) -> tuple[Problem, ...]:
    """What does not keep the node from working at `now` but deserves a look."""
    return (
        *_of_node(settings),
        *(found for partner in settings.terms.peers.values() for found in _of_peer(settings, partner, now)),
        *(found for treaty in settings.terms.agreements for found in _of_agreement(treaty, now)),
        *_of_readers(settings, now),
    )


def _of_node(settings: Settings) -> Iterator[Problem]:
    if not settings.sync.outbound:
        yield problem("config.outbound_off", node.FILE, "sync.outbound")
    if settings.terms.acts_for_mcn:
        yield problem("config.acts_for_mcn", node.FILE, "pfc.ministry")
    serve = settings.serve
    if not is_loopback(serve.host) and serve.tls_cert is None:
        yield problem("config.listen_plain", node.FILE, "serve.listen", host=serve.host)


def _of_peer(settings: Settings, partner: Peer, now: datetime) -> Iterator[Problem]:
    file = f"{peer.FOLDER}/{partner.id}.toml"
    granting = [treaty for treaty in settings.terms.agreements if partner.id in treaty.parties]
    for number, source in enumerate(partner.sources):
        key = f"source[{number}]"
        yield from _plain(source.url, file, f"{key}.url")
        if source.kind == "misp-feed" and not source.orgs:
            yield problem("config.feed_without_orgs", file, f"{key}.orgs", peer=partner.id)
        if source.since and source.since > now:
            yield problem("config.since_ahead", file, f"{key}.since", since=source.since.date())
        if not partner.home and not any(treaty.receive for treaty in granting):
            yield problem("config.idle_source", file, key, peer=partner.id)
    for number, target in enumerate(partner.targets):
        yield from _plain(target.url, file, f"target[{number}].url")
        if not any(treaty.send for treaty in granting):
            yield problem("config.idle_target", file, f"target[{number}]", peer=partner.id)


def _plain(url: str, file: str, key: str) -> Iterator[Problem]:
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield problem("config.plain_http", file, key, host=parts.hostname, fixed="https" + url[len("http") :])


def _of_agreement(treaty: Agreement, now: datetime) -> Iterator[Problem]:
    file, today = f"{agreement.FOLDER}/{treaty.id}.toml", now.date()
    near = ending(treaty, today)
    if treaty.start > today:
        yield problem("config.agreement_ahead", file, "from", start=treaty.start)
    elif near:
        yield problem(_ENDING[near.step], file, "until", until=near.until, days=abs(near.days))
    receive = treaty.receive
    any_marking = receive and ANY_MARKING in receive.informational_markings
    if any_marking or (receive and receive.unmarked is not None and receive.ceiling is Tlp.RED):
        yield problem("config.for_tests_only", file, "receive")


def _of_readers(settings: Settings, now: datetime) -> Iterator[Problem]:
    sending = [treaty for treaty in settings.terms.agreements if treaty.send and treaty.active(now)]
    served = {party for treaty in sending for party in treaty.parties}
    for shelf in settings.terms.collections.values():
        for number, reader in enumerate(shelf.readers):
            if reader not in served:
                file = f"{collection.FOLDER}/{shelf.alias}.toml"
                yield problem("config.reader_suspended", file, f"readers[{number}]", peer=reader)
