"""The units are hardened, belong together, and serve is given no secret. Read as text: no systemd is needed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import typer

from exchange.cli import app
from exchange.errors import ConfigError, meaning

UNITS = Path(__file__).parents[2] / "systemd"
SYNC, SERVE, TARGET = "exchange-sync.service", "exchange-serve.service", "exchange.target"
HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ReadWritePaths": "/var/lib/exchange",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectProc": "invisible",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0007",
}

Unit = dict[str, dict[str, list[str]]]


def read(name: str) -> Unit:
    """Section → key → its values in order; systemd lets a key stand several times."""
    unit: Unit = {}
    section: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return unit


def lines(name: str) -> list[list[str]]:
    """The fields of a sysusers.d or tmpfiles.d file."""
    text = (UNITS / name).read_text(encoding="utf-8")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", [SYNC, SERVE])
def test_hardened(name):
    service = read(name)["Service"]
    assert {key: service.get(key) for key in HARDENED} == {key: [value] for key, value in HARDENED.items()}
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]


@pytest.mark.parametrize("name", [SYNC, SERVE])
def test_tells_systemd_and_stops_in_time(name):
    service = read(name)["Service"]
    assert service["Type"] == ["notify"]
    assert service["Restart"] == ["on-failure"]
    assert service["TimeoutStopSec"] == ["15"]
    assert "KillSignal" not in service, "SIGTERM, the default"
    assert service["RestartPreventExitStatus"] == [str(meaning(ConfigError).exit)]


def test_two_users_of_one_group_share_the_state():
    sync, serve = read(SYNC)["Service"], read(SERVE)["Service"]
    assert sync["Group"] == serve["Group"] == ["exchange"]
    assert (sync["User"], serve["User"]) == (["exchange-sync"], ["exchange-serve"])
    users = {fields[1]: fields for fields in lines("sysusers.d/exchange.conf")}
    names = re.findall(r'"([^"]*)"', (UNITS / "sysusers.d/exchange.conf").read_text(encoding="utf-8"))
    assert len(names) == 2
    assert ":" not in "".join(names), "systemd would refuse the user"
    assert users["exchange"][0] == "g"
    assert users["exchange-sync"][2] == users["exchange-serve"][2] == "-:exchange"
    folders = {fields[1]: fields[2:5] for fields in lines("tmpfiles.d/exchange.conf")}
    assert folders["/var/lib/exchange"] == ["2770", "root", "exchange"]
    for name in ("exchange.db", "exchange-reads.db"):
        # SQLite makes its files without the group's right to write, so they are made before it.
        assert folders[f"/var/lib/exchange/{name}"] == ["0660", "root", "exchange"]
    assert folders["/etc/exchange"] == ["2750", "root", "exchange"]
    assert folders["/etc/exchange/secrets"] == ["0700", "root", "root"]
    for service in (sync, serve):
        assert "StateDirectory" not in service, "it would give the folder to one user alone"


def test_serve_is_given_no_secret():
    """RULES R29, also after a careless edit of the example lines."""
    text = (UNITS / SERVE).read_text(encoding="utf-8")
    assert "Credential" not in text
    assert "-/etc/exchange/secrets" in read(SERVE)["Service"]["InaccessiblePaths"]
    assert re.search(r"^#LoadCredential=[\w.-]+:/etc/exchange/secrets/", (UNITS / SYNC).read_text(), re.MULTILINE)


def test_only_sync_migrates_and_minds_the_watchdog():
    sync, serve = read(SYNC)["Service"], read(SERVE)["Service"]
    assert sync["ExecStartPre"] == ["/opt/exchange/bin/exchange migrate --config /etc/exchange"]
    assert "ExecStartPre" not in serve
    assert int(sync["WatchdogSec"][0]) >= 15, "the daemon gives a sign of life every five seconds"
    assert "WatchdogSec" not in serve, "it gives none, and would be killed"


@pytest.mark.parametrize("name", [SYNC, SERVE])
def test_the_commands_are_there(name):
    known = typer.main.get_command(app)
    service = read(name)["Service"]
    for line in service["ExecStart"] + service.get("ExecStartPre", []):
        program, word, *options = line.split()
        assert program == "/opt/exchange/bin/exchange"
        known.commands[word].make_parser(known.commands[word].make_context(word, [], resilient_parsing=True))
        assert {o for o in options if o.startswith("--")} <= {
            opt for p in known.commands[word].params for opt in p.opts
        }


def test_the_target_brings_both():
    target = read(TARGET)
    assert target["Unit"]["Wants"][0].split() == [SYNC, SERVE]
    assert target["Install"]["WantedBy"] == ["multi-user.target"]
    for name in (SYNC, SERVE):
        assert read(name)["Unit"]["PartOf"] == [TARGET]


def test_install_puts_everything_in_its_place(tmp_path):
    subprocess.run(
        [str(UNITS / "install")], env={**os.environ, "DESTDIR": str(tmp_path)}, check=True, capture_output=True
    )
    for name in (SYNC, SERVE, TARGET):
        assert (tmp_path / "etc/systemd/system" / name).read_bytes() == (UNITS / name).read_bytes()
    assert (tmp_path / "etc/sysusers.d/exchange.conf").exists()
    assert (tmp_path / "etc/tmpfiles.d/exchange.conf").exists()
    assert (tmp_path / "usr/local/share/doc/exchange/operator-guide.md").exists()
    assert (tmp_path / "usr/local/bin/exchange").readlink() == Path("/opt/exchange/bin/exchange")
