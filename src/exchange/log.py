"""Logs for people and for machines: one sentence with the next step, a stable code, its fields beside it (structlog).

Events are named `room.event` and carry flat fields; the sentence comes from the catalogues, in the node's language.
Under journald each goes to the journal's own socket with priority and fields; else to the console; JSON when asked.
No secret is ever a field.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import sys
import unicodedata
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from exchange.errors import ExchangeError
from exchange.i18n import Language, describe, text

Format = Literal["auto", "console", "json", "journal"]
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_JOURNAL = "/run/systemd/journal/socket"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_Event = MutableMapping[str, Any]


def _speak(language: Language) -> Callable[[Any, str, _Event], _Event]:
    """Put the sentence for the event beside its code."""

    def add_message(_logger: Any, _method: str, event: _Event) -> _Event:
        fields = {name: value for name, value in event.items() if name not in ("event", "level", "timestamp")}
        counts = fields.get("counts")
        if isinstance(counts, Mapping):
            fields["counts"] = ", ".join(f"{text('count.' + name, language)} {n}" for name, n in counts.items()) or "0"
        error = fields.get("error")
        if isinstance(error, ExchangeError):
            fields["error"] = describe(error, language)
            event["error"] = error.code
            event.update({f"error_{name}": value for name, value in error.fields.items()})
        event["message"] = text(f"log.{event['event']}", language, **fields)
        return event

    return add_message


def _flat(event: _Event) -> dict[str, Any]:
    """Nested counts as fields of their own."""
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}_{inner}": number for inner, number in value.items()})
        else:
            flat[name] = value
    return flat


class _Journal:
    """Writes to the journal's socket in its native protocol (systemd.io, JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __call__(self, _logger: Any, method: str, event: _Event) -> str:
        fields = {
            "MESSAGE": event["message"],
            "PRIORITY": _PRIORITY.get(method, 6),
            "SYSLOG_IDENTIFIER": "exchange",
            **{f"EXCHANGE_{name.upper()}": value for name, value in _flat(event).items() if name != "message"},
        }
        try:
            self._send(b"".join(_field(name, str(value)) for name, value in fields.items()))
        except OSError:  # a journal that is away stops no work; what it missed is on standard error
            return _line(_logger, method, event)
        raise structlog.DropEvent

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, _JOURNAL)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            # Too long for a datagram: the protocol takes it as a sealed memory file instead.
            with open(os.memfd_create("exchange", os.MFD_ALLOW_SEALING), "wb", closefd=True) as file:  # noqa: PTH123
                file.write(entry)
                file.flush()
                fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
                socket.send_fds(self._socket, [b""], [file.fileno()], address=_JOURNAL)


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _hidden(character: str) -> bool:
    """Whether it could forge a line or turn the text around: what comes from outside stands in these sentences."""
    return character != "\n" and unicodedata.category(character).startswith("C")


def _line(_logger: Any, method: str, event: _Event) -> str:
    """One line for a person: time, level, sentence, code."""
    trace = f"\n{event['exception']}" if event.get("exception") else ""
    message = "".join("\ufffd" if _hidden(c) else c for c in str(event["message"]))
    message = message.encode("utf-8", "backslashreplace").decode()
    return f"{event['timestamp']} {method.upper():8} {message.replace(chr(10), ' | ')}  [{event['event']}]{trace}"


def _json(_logger: Any, _method: str, event: _Event) -> str:
    return json.dumps(_flat(event), default=str, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def configure(
    language: Language, form: Format = "auto", *, verbose: bool = False, stream: TextIO | None = None
) -> None:
    """Set up logging for this process. `auto`: the journal under systemd, else the console."""
    if form == "auto":
        form = "journal" if os.environ.get("JOURNAL_STREAM") and os.path.exists(_JOURNAL) else "console"  # noqa: PTH110 (a socket)
    # APScheduler says in English of its own what our tick says better.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    last = {"console": _line, "json": _json, "journal": None}[form] or _Journal()
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _speak(language),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10 if verbose else 20),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def record(event: str, **fields: Any) -> None:
    """Log one event at the level of a notice that must be found again (who braked, and why)."""
    structlog.get_logger().warning(event, **fields)
