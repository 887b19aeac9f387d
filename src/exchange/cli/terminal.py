"""The person at the terminal: their language, tables or JSON, and what an error means as an exit code."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from pwd import getpwuid
from typing import Annotated, Any, ParamSpec

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exchange import config
from exchange.config import Settings, applied
from exchange.errors import ConfigError, ExchangeError, UsageError, meaning
from exchange.i18n import describe, of_terminal, text
from exchange.model.party import Peer, Source
from exchange.policy import Rules
from exchange.store import PATIENCE, Store, open_store

LANGUAGE = of_terminal()
DEFAULT_FOLDER = "/etc/exchange"
_P = ParamSpec("_P")


def say(code: str, /, **fields: Any) -> str:
    """The message `code` in the person's language."""
    return text(code, LANGUAGE, **fields)


Folder = Annotated[
    Path, typer.Option("--config", envvar="EXCHANGE_CONFIG", help=say("cli.option.config"), show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help=say("cli.option.json"))]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def now() -> datetime:
    """The time of day, UTC."""
    return datetime.now(UTC)


def guarded(command: Callable[_P, int | None]) -> Callable[_P, None]:
    """A command whose errors are told in the person's language and become exit codes (sysexits.h)."""

    @wraps(command)
    def run(*arguments: _P.args, **options: _P.kwargs) -> None:
        try:
            code = command(*arguments, **options)
        except ExchangeError as error:
            complain(error)
            raise typer.Exit(meaning(error).exit) from None
        except PermissionError as error:
            complain(UsageError("cli.denied", path=str(error.filename or ""), detail=error.strerror or ""))
            raise typer.Exit(77) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        raise typer.Exit(code or 0)

    return run


def complain(error: ExchangeError) -> None:
    """Tell what went wrong, on standard error."""
    lines = describe(error, LANGUAGE).splitlines()
    err.print(f"[bold red]{escape(lines[0])}[/]", soft_wrap=True)
    for line in lines[1:]:
        err.print(escape(line), soft_wrap=True)


def load(folder: Path) -> Settings:
    """The settings that the node runs on: those last applied, else those in `folder`. Raises ConfigError."""
    return applied.current(checked(folder))


def begun(folder: Path) -> Settings:
    """As `load`, for what makes the store follow the terms: where nothing was applied yet, the folder is now."""
    settings = load(folder)
    with opened(settings) as store:
        standing = applied.begin(store, folder, now(), person())
    if standing.first:
        err.print(escape(say("log.config.first", version=standing.version)), soft_wrap=True)
    return standing.settings


def checked(folder: Path) -> Path:
    """`folder`, which is one; raises UsageError."""
    if not folder.is_dir():
        raise UsageError("cli.no_config", folder=str(folder))
    return folder


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The node's store, closed again."""
    store = open_store(settings.store.url, wait=PATIENCE)
    try:
        yield store
    finally:
        store.close()


def rules_of(settings: Settings) -> Rules:
    """The terms as they stand now."""
    return Rules(settings.terms, now())


def peer_of(settings: Settings, name: str) -> Peer:
    """The peer with this id; UsageError names those that there are."""
    peer = settings.terms.peers.get(name)
    if peer is None:
        raise UsageError("cli.no_such_peer", peer=name, known=", ".join(sorted(settings.terms.peers)) or "–")
    return peer


def source_of(settings: Settings, key: str) -> Source:
    """The source `PEER/SOURCE`; UsageError names those that there are."""
    known = {source.key: source for peer in settings.terms.peers.values() for source in peer.sources}
    if key not in known:
        raise UsageError("cli.no_such_source", source=key, known=", ".join(sorted(known)) or "–")
    return known[key]


def where_of(channel: str, settings: Settings) -> str:
    """A channel by the name that operators type: a collection's alias, or `peer/target`."""
    kind, _, name = channel.partition(":")
    collection = settings.terms.collections.get(name) if kind == "collection" else None
    return collection.alias if collection else name


def person() -> str:
    """Who is at the terminal, for the record: the one behind sudo, if there is one."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


_LOGIN = Path("/proc/self/loginuid")
_NOBODY = 2**32 - 1


def responsible() -> str:
    """Who is at the terminal where two must be two: the one who logged in, as the kernel remembers it through sudo and
    su, else as `person` says."""
    with suppress(OSError, ValueError, KeyError):
        uid = int(_LOGIN.read_text())
        if uid != _NOBODY:
            return getpwuid(uid).pw_name
    return person()


def speaker(who: str) -> str:
    """Who decides: the login, behind the name that was typed if it is another; it is logins that are counted."""
    login, name = responsible(), who.strip()
    return f"{name} ({login})" if name and name != login else login


def plain(value: Any) -> Any:
    """`value` as JSON: dataclasses as objects, times in RFC 3339."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, msgspec.Struct):  # its bytes are digests; an object's own bytes stand beside it
        fields = msgspec.structs.asdict(value)
        return {name: inner.hex() if isinstance(inner, bytes) else plain(inner) for name, inner in fields.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a tuple whose fields have names
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def show_json(value: Any) -> None:
    """Print `value` as JSON on standard output, and nothing else."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, folds: bool = True) -> None:
    """Print a table whose column titles are message ids; `folds`: all but the first column may break their lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(say(column), overflow="fold", no_wrap=not folds or number == 0)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def tell(code: str, /, **fields: Any) -> None:
    """Print one message."""
    out.print(escape(say(code, **fields)), soft_wrap=True)


def ago(moment: datetime | None) -> str:
    """How long ago, in short: 12 s, 5 min, 3 h, 2 d."""
    return "–" if moment is None else span((now() - moment).total_seconds())


def span(seconds: float | None) -> str:
    """A length of time, in short."""
    if seconds is None:
        return "–"
    for size, code in ((86_400, "cli.days"), (3_600, "cli.hours"), (60, "cli.minutes")):
        if abs(seconds) >= size:
            return say(code, n=round(seconds / size))
    return say("cli.seconds", n=round(seconds))


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts per outcome in the person's language."""
    return ", ".join(f"{say('count.' + name)} {number}" for name, number in counts.items() if number) or "0"


def warn(settings: Settings) -> None:
    """Print what works but deserves a look."""
    for warning in config.warnings(settings, now()):
        line = f"{warning.file}: {warning.key}: {say(warning.code, **warning.fields)}"
        err.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)


def problems_of(error: ConfigError) -> list[dict[str, Any]]:
    """The problems of the configuration as data, with their text."""
    return [{"file": p.file, "key": p.key, "code": p.code, "message": say(p.code, **p.fields)} for p in error.problems]
