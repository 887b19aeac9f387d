"""Logs: a sentence for a person, a stable code and flat fields for a machine; on a console, as JSON, in a journal."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from exchange import log
from exchange.errors import ContentError, PeerUnreachable, StoreBusy

Journal = Callable[[], dict[str, str]]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """A journal's socket; reads the fields of the next entry, as journald does (JOURNAL_NATIVE_PROTOCOL)."""
    address = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(5)
        monkeypatch.setattr(log, "_JOURNAL", str(address))
        yield lambda: parsed(listener.recv(1 << 20))
    hang_up()


def hang_up() -> None:
    """Close the socket of the journal that was set up last."""
    last = structlog.get_config()["processors"][-1]
    if isinstance(last, log._Journal):
        last._socket.close()


def parsed(data: bytes) -> dict[str, str]:
    """The fields of one datagram; those with a line break come with their length."""
    fields = {}
    while data:
        head, _, data = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", name), name
        fields[name.decode()] = value.decode()
    return fields


def logger() -> Any:
    """A logger as the rooms get one."""
    return structlog.get_logger()


def said(form: log.Format, language: str = "en", **more: Any) -> io.StringIO:
    """Set up logging into a stream."""
    stream = io.StringIO()
    log.configure(language, form, stream=stream, **more)  # type: ignore[arg-type]
    return stream


def test_the_console_is_one_line_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, sentence, code, on standard error; standard output is for answers."""
    log.configure("en", "console")
    logger().warning("pull.day_full", key="ccc/alertes", peer="ccc")
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    when, level, rest = line.split(maxsplit=2)
    assert when.endswith("Z")
    assert level == "WARNING"
    assert rest.startswith("The source ccc/alertes has given as many objects today")
    assert "peers/ccc.toml" in rest
    assert rest.endswith("[pull.day_full]")


def test_json_is_one_flat_object_a_line() -> None:
    """Code, level, time, sentence and every field; counts are fields of their own."""
    stream = said("json")
    logger().info("pull.done", key="ccc/alertes", peer="ccc", counts={"stored": 3, "rejected": 1})
    logger().info("sync.stopped")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first["event"] == "pull.done"
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")
    assert first["message"].startswith("Pulled from ccc/alertes: ")
    assert (first["key"], first["counts_stored"], first["counts_rejected"]) == ("ccc/alertes", 3, 1)
    assert not any(isinstance(value, dict | list) for value in first.values())
    assert second["event"] == "sync.stopped"


def test_json_keeps_french_as_it_is() -> None:
    """Letters are letters, not escapes."""
    stream = said("json", "fr")
    logger().info("sync.stopped")
    assert "\\u" not in stream.getvalue()


def test_the_language_is_that_of_the_node() -> None:
    """The same event in both languages: other sentences, the same code."""
    texts = {}
    for language in ("en", "fr"):
        stream = said("json", language)
        logger().warning("pull.paused", key="ccc/alertes", peer="ccc")
        texts[language] = json.loads(stream.getvalue())
    assert texts["en"]["event"] == texts["fr"]["event"] == "pull.paused"
    assert texts["en"]["message"] != texts["fr"]["message"]
    assert all("ccc/alertes" in entry["message"] for entry in texts.values())


@pytest.mark.parametrize("language", ["en", "fr"])
def test_counts_are_words(language: str) -> None:
    """The sentence tells counts in words of the language, and not as a program writes them."""
    stream = said("console", language)
    logger().info("pull.done", key="k", peer="p", counts={"stored": 3})
    assert "{" not in stream.getvalue()
    assert "3" in stream.getvalue()
    empty = said("console", language)
    logger().info("pull.done", key="k", peer="p", counts={})
    assert ": 0" in empty.getvalue()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_error_becomes_code_fields_and_sentence(language: str) -> None:
    """The error's own sentence stands in the message; its code and fields are fields."""
    stream = said("json", language)
    error = PeerUnreachable("peer.unreachable", peer="ccc", detail="connection reset")
    logger().warning("pull.failed", peer="ccc", key="ccc/alertes", error=error, stored=2)
    entry = json.loads(stream.getvalue())
    assert entry["error"] == "peer.unreachable"
    assert (entry["error_peer"], entry["error_detail"], entry["stored"]) == ("ccc", "connection reset", 2)
    assert "peer.unreachable" not in entry["message"]
    assert "PeerUnreachable" not in entry["message"]
    assert "connection reset" in entry["message"] or "ccc" in entry["message"]


def test_an_error_with_nested_fields_stays_flat() -> None:
    """Whatever an error carries, an entry holds no nested value that a journal could not index."""
    stream = said("json")
    logger().error("schedule.job_failed", key="k", error=ContentError("content.size", size=9, limit={"a": 1}))
    assert not any(isinstance(value, dict) for value in json.loads(stream.getvalue()).values())


def test_the_journal_gets_sentence_priority_code_and_fields(journal: Journal) -> None:
    """MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, EXCHANGE_EVENT and a field for each value."""
    log.configure("en", "journal")
    logger().info("pull.done", key="ccc/alertes", peer="ccc", counts={"stored": 3, "rejected": 1})
    entry = journal()
    assert entry["MESSAGE"].startswith("Pulled from ccc/alertes: ")
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "exchange"
    assert entry["EXCHANGE_EVENT"] == "pull.done"
    assert (entry["EXCHANGE_KEY"], entry["EXCHANGE_PEER"]) == ("ccc/alertes", "ccc")
    assert (entry["EXCHANGE_COUNTS_STORED"], entry["EXCHANGE_COUNTS_REJECTED"]) == ("3", "1")
    assert "EXCHANGE_MESSAGE" not in entry


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_priorities_are_those_of_syslog(journal: Journal, level: str, priority: str) -> None:
    """`journalctl -p err` finds errors and alarms and nothing less."""
    log.configure("en", "journal", verbose=True)
    getattr(logger(), level)("sync.stopped")
    assert journal()["PRIORITY"] == priority


def test_line_breaks_do_not_forge_fields(journal: Journal) -> None:
    """What a partner sent may hold line breaks and equals signs: it stays within its own field."""
    log.configure("en", "journal")
    nasty = "first\nPRIORITY=0\nEXCHANGE_EVENT=forged\n"
    logger().warning("brake.pulled", peer="ccc", directions="in", who="marie", why=nasty)
    entry = journal()
    assert entry["EXCHANGE_WHY"] == nasty
    assert entry["PRIORITY"] == "4"
    assert entry["EXCHANGE_EVENT"] == "brake.pulled"
    assert nasty in entry["MESSAGE"]


def test_a_trace_goes_to_the_journal_as_a_field(journal: Journal) -> None:
    """An internal error carries its trace, which has many lines, beside the sentence."""
    log.configure("en", "journal")
    try:
        raise KeyError("surprise")
    except KeyError:
        logger().critical("schedule.job_broken", key="k", detail="d", exc_info=True)
    entry = journal()
    assert "KeyError: 'surprise'" in entry["EXCHANGE_EXCEPTION"]
    assert "\n" in entry["EXCHANGE_EXCEPTION"]
    assert "Traceback" not in entry["MESSAGE"]


def test_the_journal_gets_errors_as_code_and_fields(journal: Journal) -> None:
    """The same as in JSON."""
    log.configure("fr", "journal")
    logger().error("schedule.tick_failed", error=StoreBusy("store.busy", seconds=2.0))
    entry = journal()
    assert entry["EXCHANGE_ERROR"] == "store.busy"
    assert entry["EXCHANGE_ERROR_SECONDS"] == "2.0"
    assert "store.busy" not in entry["MESSAGE"]


def test_nothing_goes_to_the_console_when_there_is_a_journal(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each event is told once."""
    log.configure("en", "journal")
    logger().warning("sync.stopped")
    journal()
    assert capsys.readouterr() == ("", "")


def test_a_journal_that_is_away_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log line that cannot be written never becomes an error of what it tells of."""
    monkeypatch.setattr(log, "_JOURNAL", str(tmp_path / "nobody"))
    log.configure("en", "journal")
    try:
        logger().warning("sync.stopped")
    finally:
        hang_up()


def test_an_entry_too_long_for_a_datagram_does_not_stop_the_work(journal: Journal) -> None:
    """A detail of a megabyte is no reason to fail."""
    log.configure("en", "journal")
    logger().warning("schedule.job_broken", key="k", detail="x" * 1_000_000)


def test_text_that_is_no_unicode_does_not_stop_the_work(journal: Journal) -> None:
    """A file name of another encoding comes as a lone surrogate; it is told all the same."""
    log.configure("en", "journal")
    logger().warning("brake.pulled", peer="ccc", directions="in", who="marie", why="caf\udce9")
    assert journal()["EXCHANGE_EVENT"] == "brake.pulled"


@pytest.mark.parametrize(("stream", "there", "goes"), [("8:1", True, True), ("", True, False), ("8:1", False, False)])
def test_auto_is_the_journal_under_systemd_and_else_the_console(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: str, there: bool, goes: bool
) -> None:
    """`auto`: only where systemd connected us to a journal that is there."""
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    if not there:
        monkeypatch.setattr(log, "_JOURNAL", str(tmp_path / "nobody"))
    console = said("auto")
    logger().warning("sync.stopped")
    assert bool(console.getvalue()) is not goes
    if goes:
        assert journal()["EXCHANGE_EVENT"] == "sync.stopped"


def test_details_are_told_only_when_asked_for() -> None:
    """A poll without news is a detail: it is told with `--verbose`."""
    quiet = said("console")
    logger().debug("pull.done", key="k", peer="p", counts={})
    assert quiet.getvalue() == ""
    verbose = said("console", verbose=True)
    logger().debug("pull.done", key="k", peer="p", counts={})
    assert "[pull.done]" in verbose.getvalue()


def test_a_record_is_loud_enough_to_be_found_again() -> None:
    """R31: who braked and why is told as a warning, whatever else is quiet."""
    stream = said("json")
    log.record("brake.pulled", peer="ccc", directions="in", who="marie", why="drill")
    entry = json.loads(stream.getvalue())
    assert entry["level"] == "warning"
    assert (entry["who"], entry["why"]) == ("marie", "drill")
    assert "marie" in entry["message"]
    assert "drill" in entry["message"]


def test_braces_in_a_value_are_only_braces() -> None:
    """What a partner sent is never read as a template."""
    stream = said("console")
    logger().warning("brake.pulled", peer="{who}", directions="in", who="marie", why="{0} {why} {")
    assert "“{who}”" in stream.getvalue()
    assert "{0} {why} {" in stream.getvalue()


def test_what_a_stranger_wrote_forges_no_line() -> None:
    """Control and direction characters of a field show as what they are; French spaces stay."""
    stream = io.StringIO()
    log.configure("fr", "console", stream=stream)
    structlog.get_logger().warning("pull.paused", peer="x", key="a\r2026 \x1b[31m\u202eb")
    line = stream.getvalue()
    assert not set("\r\x1b\u202e") & set(line)
    assert line.count("\n") == 1
    assert "\ufffd" in line
    stream.truncate(0)
    structlog.get_logger().warning("pull.paused", peer="x", key="ccc/alertes")
    assert "\ufffd" not in stream.getvalue()
