"""The node itself: make its configuration, check it, bring the store to this release, run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exchange import config, daemon, log
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    checked,
    complain,
    guarded,
    load,
    out,
    problems_of,
    say,
    show_json,
    tell,
    warn,
)
from exchange.config import applied, credentials, warnings
from exchange.config.skeleton import write_skeleton
from exchange.errors import ConfigError, Problem, meaning
from exchange.model.party import Peer
from exchange.store import Store
from exchange.store import migrate as migrate_store
from exchange.sync.rekeying import rekey


class Part(StrEnum):
    """One of the two processes."""

    SYNC = "sync"
    SERVE = "serve"


class Form(StrEnum):
    """How the daemon logs."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"
    JOURNAL = "journal"


@guarded
def init(
    folder: Folder = Path(DEFAULT_FOLDER),
    name: Annotated[str, typer.Option("--name", help=say("cli.init.name"))] = "CERT",
    data: Annotated[Path, typer.Option("--data", help=say("cli.init.data"))] = Path("/var/lib/exchange"),
    as_json: AsJson = False,
) -> int:
    """Write a first configuration; nothing that is there is touched."""
    written = write_skeleton(folder, name=name, language=LANGUAGE, data=data)
    if as_json:
        show_json({"written": [str(path) for path in written]})
        return 0
    for path in written:
        tell("cli.init.wrote", path=str(path))
    tell("cli.init.next" if written else "cli.init.nothing", folder=str(folder))
    return 0


@guarded
def check(
    folder: Folder = Path(DEFAULT_FOLDER),
    secrets: Annotated[bool, typer.Option("--secrets", help=say("cli.check.secrets"))] = False,
    as_json: AsJson = False,
) -> int:
    """Every mistake of the configuration at once, with file, key and fix."""
    try:
        settings = config.load(checked(folder))
        if secrets:
            _read_secrets(settings.terms.peers.values())
    except ConfigError as error:
        if as_json:
            show_json({"ok": False, "problems": problems_of(error), "warnings": []})
        else:
            complain(error)
        return meaning(error).exit
    if as_json:
        found = ConfigError(warnings(settings, daemon.clock()))
        show_json({"ok": True, "problems": [], "warnings": problems_of(found)})
        return 0
    warn(settings)
    terms = settings.terms
    tell(
        "cli.check.ok",
        peers=len(terms.peers),
        collections=len(terms.collections),
        agreements=len(terms.agreements),
    )
    return 0


def _read_secrets(peers: Iterable[Peer]) -> None:
    """Whether each peer's secrets can be read here; every failure at once, never a value."""
    problems: list[Problem] = []
    for peer in peers:
        try:
            credentials(peer)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(tuple(problems))


@guarded
def migrate(folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False) -> int:
    """Bring the database schema to this release's; the one step that changes it (RULES R36)."""
    store = Store(applied.destination(checked(folder)))
    try:
        before, after = migrate_store(store)
        changed = rekey(store)
    finally:
        store.close()
    if as_json:
        show_json({"before": before, "after": after, "rekeyed": changed})
        return 0
    if changed:
        tell("cli.migrate.rekeyed", count=changed)
    tell("cli.migrate.done" if before != after else "cli.migrate.nothing", before=before or "–", after=after)
    return 0


@guarded
def run(
    folder: Folder = Path(DEFAULT_FOLDER),
    only: Annotated[Part | None, typer.Option("--only", help=say("cli.run.only"))] = None,
    form: Annotated[Form | None, typer.Option("--log", help=say("cli.run.log"))] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=say("cli.run.verbose"))] = False,
) -> int:
    """Run the daemon until SIGTERM or Ctrl-C."""
    settings = load(folder)
    if form:
        os.environ[daemon.LOG_FORM] = form.value
    log.configure(settings.node.language, daemon.log_form(), verbose=verbose)
    if only is None:
        warn(settings)
        out.print(say("cli.run.starting", name=settings.node.name, url=settings.serve.public_url), soft_wrap=True)
    return daemon.run(settings, None if only is None else only.value, verbose=verbose)
