"""Signatures of agreements, made by the real ssh-keygen: an agreement counts as an approver signed it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from valid_folder import VALID

from exchange import i18n
from exchange.config import load
from exchange.errors import ConfigError

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
CST = "agreements/cst.toml"
NODE = "exchange.toml"
SIGNED = VALID[NODE] + '\n[agreements]\nsigners = "signers"\n'
NAMESPACE = "exchange-agreement"
Write = Callable[..., Path]


def ssh_keygen(*arguments: str) -> None:
    subprocess.run([shutil.which("ssh-keygen") or "", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys: of Marie, who approves, and of Luc, who does not."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("marie", "luc"):
        ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
    return folder


@pytest.fixture
def signed(write: Write, keys: Path) -> Callable[..., Path]:
    """A valid folder whose agreement `by` signed, or nobody."""

    def made(by: str = "marie", namespace: str = NAMESPACE) -> Path:
        folder = write({NODE: SIGNED})
        public = (keys / "marie.pub").read_text(encoding="utf-8")
        (folder / "signers").write_text(f"# those who approve\nmarie@cert.example {public}", encoding="utf-8")
        if by:
            ssh_keygen("-Y", "sign", "-f", str(keys / by), "-n", namespace, str(folder / CST))
        return folder

    return made


def mistakes(folder: Path) -> list[tuple[str, str, str]]:
    try:
        load(folder)
    except ConfigError as error:
        assert all(i18n.describe(each, language) for each in error.problems for language in ("fr", "en"))
        return [(each.file, each.key, each.code) for each in error.problems]
    return []


def test_what_an_approver_signed_counts(signed: Callable[..., Path]) -> None:
    assert mistakes(signed()) == []


def test_without_signers_nobody_has_to_sign(write: Write) -> None:
    assert mistakes(write()) == []


@pytest.mark.parametrize(
    ("by", "namespace", "code"),
    [
        ("", NAMESPACE, "config.agreement_unsigned"),
        ("luc", NAMESPACE, "config.agreement_signer_unknown"),
        ("marie", "file", "config.agreement_signature_wrong"),
    ],
)
def test_a_signature_of_another_kind_does_not_count(
    signed: Callable[..., Path], by: str, namespace: str, code: str
) -> None:
    """Missing, by somebody else, or made for something else than an agreement: the file is named, and the fix."""
    assert mistakes(signed(by, namespace)) == [(CST, "*", code)]


def test_a_byte_that_was_changed_asks_for_a_new_signature(signed: Callable[..., Path]) -> None:
    folder = signed()
    with (folder / CST).open("a", encoding="utf-8") as stream:
        stream.write("\n# a remark\n")
    assert mistakes(folder) == [(CST, "*", "config.agreement_signature_wrong")]


@pytest.mark.parametrize("nonsense", [b"", b"\0" * 200_000, b"-----BEGIN SSH SIGNATURE-----\nAAAA\n"])
def test_nonsense_is_no_signature(signed: Callable[..., Path], nonsense: bytes) -> None:
    folder = signed()
    (folder / (CST + ".sig")).write_bytes(nonsense)
    assert mistakes(folder) == [(CST, "*", "config.agreement_signer_unknown")]


def test_another_agreements_signature_does_not_count(signed: Callable[..., Path]) -> None:
    folder = signed()
    (folder / "agreements" / "other.toml").write_text(
        (folder / CST).read_text(encoding="utf-8").replace("GREEN", "AMBER"), encoding="utf-8"
    )
    shutil.copy(folder / (CST + ".sig"), folder / "agreements" / "other.toml.sig")
    assert mistakes(folder) == [("agreements/other.toml", "*", "config.agreement_signature_wrong")]


def test_without_the_file_of_approvers_no_agreement_counts(signed: Callable[..., Path]) -> None:
    folder = signed()
    (folder / "signers").unlink()
    assert mistakes(folder) == [(NODE, "agreements.signers", "config.signers_unreadable")]


def test_without_the_program_it_is_said(signed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = signed()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert mistakes(folder) == [(NODE, "agreements.signers", "config.no_ssh_keygen")]
