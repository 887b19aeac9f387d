"""A folder of TOML files → settings, or every mistake in it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from exchange.config import agreement, approval, collection, expiry, node, peer, personal, terms
from exchange.config.form import Form
from exchange.config.problems import WHOLE_FILE, near, problem
from exchange.config.reading import Document, content, read, rests_on
from exchange.config.settings import Settings
from exchange.config.values import is_short_id, slug
from exchange.errors import ConfigError, Problem
from exchange.model.party import Terms

F = TypeVar("F", bound=Form)

# A complaint between keys that rests on other keys than its own is not made while one of those is wrong itself.
_RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "config.listen_in_clear": ("tls_cert", "proxies"),
    "config.public_url_needed": ("listen",),
    "config.source_needs": ("kind",),
    "config.source_cannot": ("kind",),
    "config.target_needs": ("kind",),
    "config.target_cannot": ("kind",),
    "config.misp_without_key": ("auth", "source", "target"),
    "config.misp_without_orgs": ("identities", "role"),
    "config.until_before_from": ("from",),
    "config.agreement_empty": ("receive",),
    "config.unmarked_above_ceiling": ("ceiling",),
    "config.expiry_kinds": ("types",),
    "config.expiry_idle": ("valid_until",),
    "config.expiry_never_reached": ("kinds", "peers"),
}

_FOLDERS = (peer.FOLDER, agreement.FOLDER, collection.FOLDER)
_TOML = ".toml"
_ENDINGS = (_TOML, _TOML + approval.ENDING, _TOML + approval.MINISIGN)
"""A signature stands beside what it signs."""


Contents = Mapping[str, bytes | Problem]
"""A file's name in the folder (`peers/ccc.toml`) → what stands in it, or why that cannot be had."""


def load(folder: Path) -> Settings:
    """The settings that the folder holds; raises ConfigError with every mistake in it."""
    return _settings(contents(folder), folder, _stray(folder))


def taken(folder: Path) -> tuple[Settings, Mapping[str, str]]:
    """The settings that the folder holds, and the texts that they were made of; raises ConfigError as `load` does."""
    found = contents(folder)
    settings = _settings(found, folder, _stray(folder))
    return settings, {name: text.decode() for name, text in found.items() if isinstance(text, bytes)}


def made_of(texts: Mapping[str, str], folder: Path) -> Settings:
    """The settings that these texts make, wherever they were kept; raises ConfigError with every mistake in them.

    `folder` is where their relative paths stand.
    """
    return _settings({name: text.encode() for name, text in texts.items()}, folder, ())


def contents(folder: Path) -> Contents:
    """Every file of the folder that counts."""
    found = {node.FILE: content(folder / node.FILE, node.FILE)}
    for name in _FOLDERS:
        try:
            paths = sorted((folder / name).iterdir())
        except OSError:
            continue  # that it is not there is no mistake, and `_stray` tells of what cannot be read
        for path in paths:
            if path.name.endswith(_ENDINGS) and not path.name.startswith("."):
                found[f"{name}/{path.name}"] = content(path, f"{name}/{path.name}")
    return found


def keep(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Make the folder's files those of `files`; gives what was written or put aside.

    What stood there is kept beside it under another ending, which is not read.
    """
    touched = []
    now = contents(folder)
    for name in sorted(files.keys() | now.keys()):
        path, text = folder / name, files.get(name)
        if text is not None and text.encode() == now.get(name):
            continue
        if name in now:
            path.replace(path.with_name(f"{path.name}.before"))
        if text is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        touched.append(path)
    return touched


def _settings(found: Contents, folder: Path, stray: Iterable[Problem]) -> Settings:
    files = terms.Files(
        node=read(found[node.FILE] if node.FILE in found else _missing(folder), node.FILE, node.NodeForm),
        peers=_documents(found, peer.FOLDER, peer.PeerForm),
        agreements=_documents(found, agreement.FOLDER, agreement.AgreementForm),
        collections=_documents(found, collection.FOLDER, collection.CollectionForm),
    )
    problems = [*stray, *_unusable(found), *_within(files), *terms.mistakes(files), *_unapproved(folder, found, files)]
    if problems:
        raise ConfigError(_in_order(problems))
    return _build(folder, files)


def _unusable(found: Contents) -> Iterator[Problem]:
    """Signatures that cannot be had, or are no text; what is wrong with the other files is found as they are read."""
    for name, text in found.items():
        if name.endswith(_TOML):
            continue
        if isinstance(text, Problem):
            yield text
            continue
        try:
            text.decode()
        except UnicodeDecodeError as error:
            yield problem("config.not_utf8", name, WHOLE_FILE, line=text.count(b"\n", 0, error.start) + 1)


def _unapproved(folder: Path, found: Contents, files: terms.Files) -> Iterator[Problem]:
    """Agreements that nobody signed who may, where the node names approvers."""
    ours = files.node.form
    if ours is None or not ours.agreements.signers or files.node.doubts("agreements"):
        return

    def signature(file: str) -> bytes | None:
        text = found.get(file)
        return text if isinstance(text, bytes) else None

    yield from approval.mistakes(files.agreements, folder / ours.agreements.signers, signature)


def _missing(folder: Path) -> Problem:
    return problem("config.file_missing", node.FILE, WHOLE_FILE, path=str(folder / node.FILE))


def _documents(found: Contents, name: str, form: type[F]) -> list[Document[F]]:
    return [
        read(text, file, form) for file, text in found.items() if file.startswith(f"{name}/") and file.endswith(_TOML)
    ]


def _stray(folder: Path) -> Iterator[Problem]:
    """Folders whose names are nearly those that are read: what stands in them would be passed over in silence."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return  # that the node's file is missing says it
    except OSError as error:
        yield problem("config.folder_unreadable", node.FILE, WHOLE_FILE, path=str(folder), reason=error.strerror or "")
        return
    for name in names:
        meant = near(name, _FOLDERS, likeness=0.7)
        if name not in _FOLDERS and meant and not (folder / meant).is_dir():
            yield problem("config.folder_misnamed", f"{name}/", WHOLE_FILE, name=name, near=meant)
    for name in _FOLDERS:
        try:
            list((folder / name).iterdir()) if name in names else None
        except OSError as error:
            reason = error.strerror or ""
            yield problem("config.folder_unreadable", f"{name}/", WHOLE_FILE, path=str(folder / name), reason=reason)


def _within(files: terms.Files) -> Iterator[Problem]:
    """What is wrong inside each file: by itself, then between its keys."""
    for document in files.all():
        if document is not files.node and not is_short_id(document.id):
            fixed = (slug(document.id) or "nom") + ".toml"
            yield problem("config.bad_file_name", document.file, WHOLE_FILE, name=document.id, fixed=fixed)
        yield from document.problems
    yield from _between_keys(files.node, node.mistakes)
    for partner in files.peers:
        yield from _between_keys(partner, peer.mistakes)
    for treaty in files.agreements:
        yield from _between_keys(treaty, agreement.mistakes)
    for shelf in files.collections:
        yield from _between_keys(shelf, collection.mistakes)


def _between_keys(document: Document[F], mistakes: Callable[[F, str], Iterator[Problem]]) -> Iterator[Problem]:
    """The mistakes between keys, without those at a key that is wrong already."""
    if document.form is None:
        return
    for found in mistakes(document.form, document.file):
        table, _, name = found.key.rpartition(".")
        names = (name, *_RESTS_ON.get(found.code, ()))
        if not any(rests_on(wrong, table, names) for wrong in document.problems):
            yield found


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """The node's file first, then file by file; within a file as found, each once."""
    once: dict[tuple[str, str, str], Problem] = {}
    for each in problems:
        once.setdefault((each.file, each.key, each.code), each)
    return tuple(sorted(once.values(), key=lambda each: (each.file != node.FILE, each.file)))


def _build(folder: Path, files: terms.Files) -> Settings:
    assert files.node.form is not None  # noqa: S101 (no problems: every form is there)
    ours, store, serve, sync = node.build(files.node.form, folder)
    peers = {
        document.id: peer.build(
            document.id, document.form, every=sync.every, node_identity=ours.identity, folder=folder
        )
        for document in files.peers
        if document.form
    }
    collections = [collection.build(document.id, document.form) for document in files.collections if document.form]
    return Settings(
        node=ours,
        store=store,
        serve=serve,
        sync=sync,
        terms=Terms(
            peers=peers,
            collections={each.id: each for each in collections},
            agreements=tuple(agreement.build(each.id, each.form) for each in files.agreements if each.form),
            node_identity=ours.identity,
            expiry=expiry.build(files.node.form.expiry),
            benign=node.choice(files.node.form.warninglists),
            acts_for_mcn=files.node.form.pfc.ministry,
            personal=personal.build(files.node.form.personal),
        ),
        folder=folder,
    )
