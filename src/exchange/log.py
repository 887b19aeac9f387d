"""Logs for people and for machines: one sentence with the next step, a stable code, its fields beside it (structlog).

Events are named `room.event` and carry flat fields; the sentence comes from the catalogues, in the node's language.
Under journald each goes to the journal's own socket with priority and fields; else to the console; JSON when asked.
No secret is ever a field.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from exchange.errors import ExchangeError
from exchange.i18n import Language, describe, text

Format = Literal["auto", "console", "json", "journal"]
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_JOURNAL = "/run/systemd/journal/socket"
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
        self._socket.sendto(b"".join(_field(name, str(value)) for name, value in fields.items()), _JOURNAL)
        raise structlog.DropEvent


def _field(name: str, value: str) -> bytes:
    data = value.encode()
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _line(_logger: Any, method: str, event: _Event) -> str:
    """One line for a person: time, level, sentence, code."""
    trace = f"\n{event['exception']}" if event.get("exception") else ""
    return f"{event['timestamp']} {method.upper():8} {event['message']}  [{event['event']}]{trace}"


def _json(_logger: Any, _method: str, event: _Event) -> str:
    return json.dumps(_flat(event), default=str, ensure_ascii=False)


def configure(
    language: Language, form: Format = "auto", *, verbose: bool = False, stream: TextIO | None = None
) -> None:
    """Set up logging for this process. `auto`: the journal under systemd, else the console."""
    if form == "auto":
        form = "journal" if os.environ.get("JOURNAL_STREAM") and os.path.exists(_JOURNAL) else "console"  # noqa: PTH110 (a socket)
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
