"""What the node runs on: the configuration that was last applied, kept in the store, whatever stands in the folder now.

An edited file changes nothing until `exchange apply`; where the folder is broken or gone, the last good one runs. Until
a first version was applied, the folder itself counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from exchange.config import node
from exchange.config.difference import Change, difference
from exchange.config.folder import contents, load, made_of, taken
from exchange.config.problems import WHOLE_FILE, problem
from exchange.config.reading import content, read, rests_on
from exchange.config.settings import Settings
from exchange.errors import ConfigError, StoreOutdated, UsageError
from exchange.store import Store, configurations, micros, open_store
from exchange.store.configurations import Applied

_STATE = "STATE_DIRECTORY"
_DEFAULT_STATE = "/var/lib/exchange"
_BESIDE = ".store.json"
DAEMON = "exchange"
"""Who applied a first version that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What runs, and how the folder stands to it."""

    settings: Settings
    version: int
    """Of the applied configuration; 0: none was applied yet, and the folder itself counts."""
    first: bool = False
    """It has just become the first version."""
    differing: tuple[str, ...] = ()
    """The files of the folder that are not as applied: changed, added, or gone."""
    mistakes: int = 0
    """How many mistakes the folder has, so that it could not be applied."""
    altered: tuple[int, ...] = ()
    """Versions that were applied later and do not run: somebody changed their texts in the database since. So nobody
    knows what was wanted last, and nothing leaves (RULES R19)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A configuration that may be applied: it is valid as a whole."""

    settings: Settings
    files: Mapping[str, str]
    follows: int
    """The version that was applied last; 0: none was applied yet."""
    runs: int
    """The version that runs: the same, unless somebody changed that in the database; 0: none does."""
    before: Settings | None
    """What runs; None: nothing does, or this release cannot read it."""
    changes: tuple[Change, ...]
    restores: int | None = None
    """The earlier version that it is; None: it is the folder."""


def proposed(store: Store, folder: Path, restores: int | None = None) -> Proposal:
    """The folder (or an earlier version) as what may run next.

    Raises ConfigError with every mistake in it; UsageError when there is no such version.
    """
    with store.reading() as tx:
        runs = configurations.newest(tx)
        follows = configurations.newest_id(tx)
        earlier = None if restores is None else configurations.numbered(tx, restores)
    if restores is None:
        settings, files = taken(folder)
    elif earlier is None:
        raise UsageError("cli.rollback.unknown", version=restores)
    elif not earlier.intact:
        raise UsageError("cli.rollback.altered", version=restores)
    else:
        settings, files = settings_of(earlier, folder), earlier.files
    before = None
    if runs is not None:
        with suppress(ConfigError):  # a release that cannot read what runs may still apply what it can
            before = made_of(runs.files, folder)
    return Proposal(
        settings=settings,
        files=files,
        follows=follows,
        runs=0 if runs is None else runs.id,
        before=before,
        changes=tuple(difference({} if runs is None else runs.files, files)),
        restores=restores,
    )


def where(folder: Path) -> str:
    """The URL of the store: the one of the applied configuration, else of the folder's `exchange.toml`.

    Raises ConfigError when neither can be had: the database in which the applied one is kept must be found first.
    """
    kept = _pointed(folder)
    if kept:
        return kept
    document = read(content(folder / node.FILE, node.FILE), node.FILE, node.NodeForm)
    if document.form is None or any(rests_on(wrong, "", ("store",)) for wrong in document.problems):
        return load(folder).store.url  # which says every mistake
    return document.form.store.url


def destination(folder: Path) -> str:
    """As `where`, for what makes a store that is not there yet: then the folder must be without a mistake."""
    url = where(folder)
    if not is_there(url):
        load(folder)
    return url


def existing(folder: Path) -> Store | None:
    """The node's store, if there is one yet; raises StoreOutdated when it needs `migrate`, ConfigError like `where`."""
    url = where(folder)
    if not is_there(url):
        return None
    try:
        return open_store(url, create=False)
    except StoreOutdated as error:
        if error.code == "store.empty":
            return None
        raise


def current(folder: Path) -> Settings:
    """The settings that the node runs on; raises ConfigError when there are none."""
    store = existing(folder)
    if store is None:
        return load(folder)
    try:
        return running(store, folder).settings
    finally:
        store.close()


def running(store: Store, folder: Path) -> Standing:
    """What the node runs on, by its store; raises ConfigError when nothing was applied and the folder is broken."""
    with store.reading() as tx:
        applied, altered = _runs(tx)
    return Standing(settings=load(folder), version=0) if applied is None else _standing(applied, altered, folder)


def begin(store: Store, folder: Path, now: datetime, who: str = DAEMON) -> Standing:
    """What the node runs on; where nothing was applied yet, the folder becomes the first version."""
    with store.reading() as tx:
        applied, altered = _runs(tx)
    if applied is not None:
        return _standing(applied, altered, folder)
    settings, files = taken(folder)
    with store.writing() as tx:
        applied, altered = _runs(tx)  # once more: another process may have been faster
        if applied is None:
            version = configurations.add(tx, files, at=micros(now), who=who)
    if applied is not None:
        return _standing(applied, altered, folder)
    point(folder, settings.store.url, now)
    return Standing(settings=settings, version=version, first=True)


def apply(store: Store, change: Proposal, now: datetime, *, who: str, why: str) -> int:
    """Make `change` what runs from now on; gives the number of the new version.

    Raises UsageError when another version was applied since the proposal was made: its effects are others then.
    """
    with store.writing() as tx:
        if configurations.newest_id(tx) != change.follows:
            raise UsageError("cli.apply.overtaken", version=configurations.newest_id(tx))
        version = configurations.add(tx, change.files, at=micros(now), who=who, why=why, restored=change.restores)
    if change.settings.store.url != store.url:
        _settle_in(change, now, who, why)
    return version


def _settle_in(change: Proposal, now: datetime, who: str, why: str) -> None:
    """The same in the store to which the node moves at its next start: a copy of this one, or a new one."""
    other = open_store(change.settings.store.url)
    try:
        with other.writing() as tx:
            configurations.add(tx, change.files, at=micros(now), who=who, why=why, restored=change.restores)
    finally:
        other.close()


def settings_of(applied: Applied, folder: Path) -> Settings:
    """The settings of an applied version; raises ConfigError, which says so, where this release cannot read it."""
    try:
        return made_of(applied.files, folder)
    except ConfigError as error:
        said = problem("config.applied_unusable", node.FILE, WHOLE_FILE, version=applied.id)
        raise ConfigError((said, *error.problems)) from error


def _runs(tx: Connection) -> tuple[Applied | None, tuple[int, ...]]:
    """The version that runs, and those after it that are not as they were applied.

    Raises ConfigError where there is none but such: then nobody knows what was wanted, and nothing may leave.
    """
    applied, altered = configurations.newest(tx), tuple(configurations.altered(tx))
    if applied is None and altered:
        raise ConfigError((problem("config.applied_altered", node.FILE, WHOLE_FILE, version=altered[-1]),))
    return applied, altered


def held_back(settings: Settings) -> Settings:
    """The same, by which nothing leaves."""
    return replace(settings, sync=replace(settings.sync, outbound=False))


def _standing(applied: Applied, altered: tuple[int, ...], folder: Path) -> Standing:
    mistakes = 0
    try:
        load(folder)
    except ConfigError as error:
        mistakes = len(error.problems)
    settings = settings_of(applied, folder)
    return Standing(
        settings=held_back(settings) if altered else settings,
        version=applied.id,
        differing=differing(applied.files, folder),
        mistakes=mistakes,
        altered=altered,
    )


def differing(files: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """The names of the folder's files that are not as in `files`, in order."""
    found = contents(folder)
    return tuple(sorted(name for name in files.keys() | found.keys() if not _same(files.get(name), found.get(name))))


def _same(applied: str | None, found: object) -> bool:
    return applied is not None and applied.encode() == found


def point(folder: Path, url: str, now: datetime) -> bool:
    """Write down, outside of the configuration, where the store is: beside it and in the state directory, as permitted.

    So an `exchange.toml` that cannot be read, or that names another store and was not applied, changes nothing.
    False: it may write to neither.
    """
    written = False
    told = json.dumps({"folder": str(folder.absolute()), "store": url, "at": micros(now)})
    for path in _places(folder):
        with suppress(OSError):  # the service may write to one of the two only, and one is enough
            new = path.with_name(f"{path.name}.{os.getpid()}")
            new.write_text(told, encoding="utf-8")
            new.chmod(0o660)
            new.replace(path)
            written = True
    return written


def _places(folder: Path) -> Iterator[Path]:
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]
    yield folder / _BESIDE
    yield Path(os.environ.get(_STATE, "").partition(":")[0] or _DEFAULT_STATE) / f"store-{name}.json"


def _pointed(folder: Path) -> str:
    """The URL that was written down last for this folder and still leads to a store; empty: none."""
    found = []
    for path in _places(folder):
        with suppress(OSError, ValueError, KeyError, TypeError):  # absent, or no word of ours: then it says nothing
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["folder"] == str(folder.absolute()):
                found.append((int(said["at"]), str(said["store"])))
    return next((url for _, url in sorted(found, reverse=True) if is_there(url)), "")


def is_there(url: str) -> bool:
    """Whether a store may be at `url`: a database file that exists, or a server."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return False
    if parsed.get_backend_name() != "sqlite":
        return True
    return bool(parsed.database) and Path(parsed.database or "").is_file()
