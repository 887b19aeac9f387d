"""What can be judged only across the files: names that must exist, and exchanges that could never happen.

Nothing here looks at the clock: a node must start again after an agreement has ended (RULES R19).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from exchange.config import agreement
from exchange.config.agreement import AgreementForm
from exchange.config.collection import CollectionForm
from exchange.config.node import NodeForm, is_closed
from exchange.config.peer import PeerForm
from exchange.config.problems import listed, near, problem, shown
from exchange.config.reading import Document
from exchange.config.values import organisation
from exchange.errors import Problem
from exchange.model.hosts import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Everything that was read."""

    node: Document[NodeForm]
    peers: Sequence[Document[PeerForm]]
    agreements: Sequence[Document[AgreementForm]]
    collections: Sequence[Document[CollectionForm]]

    def all(
        self,
    ) -> Iterator[Document[NodeForm] | Document[PeerForm] | Document[AgreementForm] | Document[CollectionForm]]:
        """Every file, the node's first."""
        yield self.node
        yield from self.peers
        yield from self.agreements
        yield from self.collections


def mistakes(files: Files) -> Iterator[Problem]:
    """What is wrong between the files."""
    yield from _names(files)
    yield from _collections_apart(files)
    yield from _identities(files)
    yield from _readers(files)
    yield from _writers(files)
    yield from _flows(files)
    yield from _openings(files)


def _names(files: Files) -> Iterator[Problem]:
    """Peers named in lists must have a file, and be named once."""
    known = {peer.id for peer in files.peers}
    for file, key, names in _lists_of_peers(files):
        for number, name in enumerate(names):
            place, meant = f"{key}[{number}]", None if name in known else near(name, known)
            if name in names[:number]:
                yield problem("config.named_twice", file, place, name=shown(name))
            elif meant:
                yield problem("config.unknown_peer_near", file, place, name=shown(name), near=meant)
            elif name not in known:
                yield problem("config.unknown_peer", file, place, name=shown(name), known=listed(known))


def _lists_of_peers(files: Files) -> Iterator[tuple[str, str, list[str]]]:
    """Every list that names peers: its file, its key, the names."""
    if files.node.form and not files.node.doubts("expiry"):
        for number, rule in enumerate(files.node.form.expiry):
            yield files.node.file, f"expiry[{number}].peers", rule.peers or []
    if files.node.form and not files.node.doubts("warninglists"):
        yield files.node.file, "warninglists.trusted", files.node.form.warninglists.trusted
    for treaty in files.agreements:
        if treaty.form and not treaty.doubts("parties"):
            yield treaty.file, "parties", treaty.form.parties
    for shelf in files.collections:
        if shelf.form and not shelf.doubts("readers"):
            yield shelf.file, "readers", shelf.form.readers
        if shelf.form and not shelf.doubts("writers"):
            yield shelf.file, "writers", shelf.form.writers


def _collections_apart(files: Files) -> Iterator[Problem]:
    """Two collections never share an id, nor does one's alias look like another's id."""
    first: dict[str, str] = {shelf.id: shelf.file for shelf in files.collections}
    for shelf in files.collections:
        if shelf.form is None or shelf.doubts("id"):
            continue
        other = first.setdefault(shelf.form.id, shelf.file)
        if other != shelf.file:
            yield problem("config.collection_twice", shelf.file, "id", value=shelf.form.id, other=other)


def _identities(files: Files) -> Iterator[Problem]:
    """An identity belongs to one peer, and ours to none but our own (RULES R5)."""
    owner: dict[str, str] = {}
    node = files.node.form
    ours = organisation(node.node.identity) if node and not files.node.doubts("node") else None
    for peer in files.peers:
        if peer.form is None or peer.doubts("identities"):
            continue
        for number, identity in enumerate(peer.form.identities):
            place, bare = f"identities[{number}]", organisation(identity)
            other = owner.setdefault(bare, peer.file)
            if other != peer.file:
                yield problem("config.identity_twice", peer.file, place, value=identity, other=other)
            elif bare == ours and peer.form.role != "home" and not peer.doubts("role"):
                yield problem("config.identity_ours", peer.file, place, value=identity)


def _granting(files: Files, peer: str, side: str) -> list[Document[AgreementForm]]:
    """The agreements that let `peer` receive (`send`) or give (`receive`); a mistaken one gets the benefit of doubt."""
    return [
        treaty
        for treaty in files.agreements
        if treaty.form is None
        or treaty.doubts("parties")
        or (peer in treaty.form.parties and (getattr(treaty.form, side) is not None or treaty.doubts(side)))
    ]


def _readers(files: Files) -> Iterator[Problem]:
    known = {peer.id for peer in files.peers}
    for shelf in files.collections:
        if shelf.form is None or shelf.doubts("readers", "types"):
            continue
        for number, reader in enumerate(shelf.form.readers):
            if reader not in known or reader in shelf.form.readers[:number]:
                continue
            place, granting = f"readers[{number}]", _granting(files, reader, "send")
            if not granting:
                yield problem("config.reader_without_send", shelf.file, place, peer=reader)
            elif shelf.form.types is not None and all(_disjoint(treaty, shelf.form.types) for treaty in granting):
                allowed = {kind for treaty in granting for kind in _types(treaty) or ()}
                yield problem(
                    "config.types_disjoint",
                    shelf.file,
                    "types",
                    peer=reader,
                    types=listed(shelf.form.types),
                    allowed=listed(allowed),
                )


def _types(treaty: Document[AgreementForm]) -> list[str] | None:
    return treaty.form.send.types if treaty.form and treaty.form.send else None


def _disjoint(treaty: Document[AgreementForm], types: Iterable[str]) -> bool:
    """Whether the agreement surely lets none of these types go."""
    allowed = _types(treaty)
    return allowed is not None and not treaty.doubts("send", "parties") and set(allowed).isdisjoint(types)


def _writers(files: Files) -> Iterator[Problem]:
    homes = {peer.id for peer in files.peers if peer.form is None or peer.form.role == "home" or peer.doubts("role")}
    known = {peer.id for peer in files.peers} - homes
    for shelf in files.collections:
        if shelf.form is None or shelf.doubts("writers"):
            continue
        for number, writer in enumerate(shelf.form.writers):
            if writer in known and not _granting(files, writer, "receive"):
                yield problem("config.writer_without_receive", shelf.file, f"writers[{number}]", peer=writer)


def _flows(files: Files) -> Iterator[Problem]:
    """An enabled source or target without an agreement could never bring or hand over anything."""
    for peer in files.peers:
        if peer.form is None:
            continue
        takes, gives = _granting(files, peer.id, "receive"), _granting(files, peer.id, "send")
        home = peer.form.role == "home" or peer.doubts("role")
        for number, source in enumerate(peer.form.source):
            if source.enabled and not takes and not home and not peer.doubts("source"):
                yield problem("config.source_without_receive", peer.file, f"source[{number}]", peer=peer.id)
        for number, target in enumerate(peer.form.target):
            if target.enabled and not gives and not peer.doubts("target"):
                yield problem("config.target_without_send", peer.file, f"target[{number}]", peer=peer.id)
            if target.enabled and gives and not peer.doubts("target") and _must_hide(files, peer.id, target.url):
                fixed = "https" + target.url[len("http") :]
                yield problem("config.target_in_clear", peer.file, f"target[{number}].url", peer=peer.id, fixed=fixed)


def _must_hide(files: Files, peer: str, url: str) -> bool:
    """Whether others could read along there, and every agreement by which it may have anything forbids that."""
    parts = urlsplit(url)
    sending = [
        treaty.form.send.encryption
        for treaty in files.agreements
        if treaty.form and treaty.form.send and peer in treaty.form.parties and not treaty.doubts("send", "parties")
    ]
    in_clear = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    return in_clear and bool(sending) and "may" not in sending


def _openings(files: Files) -> Iterator[Problem]:
    node = files.node.form
    if node is None or files.node.doubts("serve") or is_closed(node.serve):
        return
    for treaty in files.agreements:
        if treaty.form and not treaty.doubts("receive", "send"):
            yield from agreement.openings(treaty.form, treaty.file)
