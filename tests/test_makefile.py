"""The two commands on a bare Debian: python3-venv is installed by root, and asked of anyone else (RULES R36)."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APT_LINE = "sudo apt-get install -y python3-venv"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")


@dataclass
class Machine:
    """A clone and the programs that `make` finds; each notes what it was asked."""

    clone: Path
    programs: Path
    asked: Path
    has_venv: Path
    variables: dict[str, str] = field(default_factory=dict)

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.asked}"\n{script}\n', encoding="utf-8")
        path.chmod(0o755)

    def make(self, target: str, *variables: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", target, f"PYTHON={self.programs / 'python3'}", *variables]
        # Not our own PATH: what is not in `programs`, /usr/bin or /bin is not on this machine.
        environment = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.clone), **self.variables}
        return subprocess.run(
            command, cwd=self.clone, env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    def calls(self, name: str) -> list[str]:
        lines = self.asked.read_text(encoding="utf-8").splitlines() if self.asked.exists() else []
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.clone)) for path in self.clone.rglob("*")}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Debian's python3: new enough, without ensurepip until python3-venv is installed."""
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    programs.mkdir()
    clone.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, clone)
    made = Machine(clone, programs, tmp_path / "asked", tmp_path / "python3-venv-is-installed")
    made.program(
        "python3",
        f"""case "$*" in
  *ensurepip*) [ -e "{made.has_venv}" ] || {{ echo "No module named 'ensurepip'" >&2; exit 1; }};;
  *version_info*) exit 0;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";;
esac""",
    )
    made.program("apt-get", f'case "$*" in *install*) : > "{made.has_venv}";; esac')
    made.program("id", "echo 1000")
    return made


@pytest.mark.parametrize("target", ["run", "test", "bench", "soak", "conformance-target", "bench-target"])
def test_anyone_else_is_given_the_one_line_to_type(machine: Machine, target: str) -> None:
    """Neither a virtual environment nor half of one is left behind, and nothing is installed."""
    before = machine.files()
    done = machine.make(target)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.endswith(APT_LINE)]
    assert "Traceback" not in done.stderr + done.stdout
    assert machine.files() == before
    assert machine.calls("apt-get") == []


def test_root_gets_the_package_and_goes_on(machine: Machine) -> None:
    machine.program("id", "echo 0")
    done = machine.make("run")
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in machine.calls("apt-get")] == ["update", "install"]
    assert machine.calls("apt-get")[-1].split()[-1] == "python3-venv"
    assert "-m venv .venv" in machine.calls("python3")
    assert machine.calls("python3")[-1].strip() == "-m lab"


@pytest.mark.parametrize(
    ("target", "variables", "words"),
    [
        ("conformance-target", [], "conformance"),
        ("conformance-target", ["PORT=8080"], "conformance --port 8080"),
        ("bench-target", ["PORT=8080"], "bench --port 8080"),
        ("bench-target", ["PORT=8080", "STORE=/tmp/big one.db"], "bench --port 8080 --store /tmp/big one.db"),
    ],
)
def test_the_targets_work_from_a_fresh_clone(machine: Machine, target: str, variables: list[str], words: str) -> None:
    """What they print is for a program to read, so `make` adds nothing to it once the environment is there."""
    machine.has_venv.touch()
    assert machine.make(target, *variables).returncode == 0
    again = machine.make(target, *variables)
    assert " ".join(machine.calls("python3")[-1].split()) == f"-m lab.target {words}"
    assert again.stdout == ""


def test_root_is_told_when_the_package_cannot_be_installed(machine: Machine) -> None:
    machine.program("id", "echo 0")
    machine.program("apt-get", "exit 100")
    before = machine.files()
    done = machine.make("run")
    assert done.returncode != 0
    assert machine.files() == before


def test_what_is_there_is_not_installed_again(machine: Machine) -> None:
    machine.has_venv.touch()
    assert machine.make("run").returncode == 0
    assert machine.make("run").returncode == 0
    assert machine.calls("apt-get") == []
    assert machine.calls("python3").count("-m venv .venv") == 1


def test_a_python_that_is_too_old_is_refused_first(machine: Machine) -> None:
    machine.has_venv.touch()
    machine.program("python3", 'case "$*" in *version_info*) exit 1;; esac')
    before = machine.files()
    done = machine.make("run")
    assert done.returncode != 0
    assert "3.11" in done.stderr
    assert machine.files() == before


def test_the_check_itself_fails_where_debian_hides_ensurepip(machine: Machine) -> None:
    """The real interpreter, as Debian splits it: `import ensurepip` fails, whatever else is there."""
    hidden = machine.programs / "hidden"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise ModuleNotFoundError(\"No module named 'ensurepip'\")", encoding="utf-8")
    machine.variables["PYTHONPATH"] = str(hidden)
    (machine.programs / "python3").unlink()
    (machine.programs / "python3").symlink_to(Path(os.path.realpath(shutil.which("python3") or "/usr/bin/python3")))
    before = machine.files()
    done = machine.make("run")
    assert done.returncode != 0
    assert APT_LINE in done.stderr
    assert machine.files() == before
