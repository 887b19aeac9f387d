"""Whose a lease is: a process, named so that another one on the same machine can tell whether it still lives."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def owner() -> str:
    """A name for this process: machine, space of process numbers, number, and something that no other one has."""
    return f"{_place()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def _place() -> str:
    """The machine and its space of process numbers: elsewhere, whatever its name, the same number is another's."""
    try:
        where = f"{_BOOT.read_text().strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        where = ""
    return f"{socket.gethostname()}/{where.replace(':', '')}"


def is_gone(name: str) -> bool:
    """Whether the process of this name ran here and is no more. Of those elsewhere nothing is known."""
    place, _, number = name.rpartition(":")[0].rpartition(":")
    if place != _place() or place.endswith("/") or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
