"""Virtual environments for the programs of others: made when first needed, from a hashed lock file, and kept."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from lab.child import ChildError

HOME = Path(__file__).resolve().parent.parent / ".lab"
LOCKS = Path(__file__).resolve().parent
STAMP = "lock.sha256"


def python_of(name: str, home: Path = HOME) -> Path:
    """The interpreter of the environment `<home>/venvs/<name>`, which holds exactly what `lab/<name>.lock` says.

    Safe to call from several test processes at once: one builds, the others wait.
    """
    lock = LOCKS / f"{name}.lock"
    folder = home / "venvs" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".building").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_built(name, home):
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, lock)
            (folder / STAMP).write_text(_digest(lock))  # last: an interrupted build is begun anew
    return folder / "bin" / "python"


def is_built(name: str, home: Path = HOME) -> bool:
    """Whether the environment is there, and from the lock file as it is now."""
    stamp = home / "venvs" / name / STAMP
    return stamp.exists() and stamp.read_text() == _digest(LOCKS / f"{name}.lock")


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _build(folder: Path, lock: Path) -> None:
    subprocess.run([sys.executable, "-I", "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    only = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)]
    done = subprocess.run([*pip, *only], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ChildError(f"{folder} could not be filled from {lock}:\n{done.stdout}")
