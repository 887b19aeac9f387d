"""Signatures of agreements: where the operator names approvers, an agreement counts only as one of them signed it.

The signature is the one of `ssh-keygen -Y sign -n exchange-agreement` (OpenSSH's SSHSIG), beside the file as
`ID.toml.sig`, or that of minisign, as `ID.toml.minisig`; where both are there, both must hold. The approvers stand in
one file (`signers`). What is verified are the very bytes that were read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.config import minisign
from exchange.config.agreement import AgreementForm
from exchange.config.node import FILE
from exchange.config.problems import WHOLE_FILE, problem, shown
from exchange.config.reading import Document
from exchange.config.signers import Signers, read
from exchange.errors import Problem

NAMESPACE = "exchange-agreement"
ENDING, MINISIGN = ".sig", ".minisig"
_PROGRAM = "ssh-keygen"
_BY_MINISIGN = {
    "unreadable": "config.minisign_unreadable",
    "unknown": "config.minisign_unknown",
    "wrong": "config.minisign_wrong",
    "expired": "config.minisign_expired",
}
_PATIENCE = 20
"""Seconds for one signature."""

Signature = Callable[[str], bytes | None]
"""The name of a signature's file → its bytes; None: there is none."""


def mistakes(treaties: Sequence[Document[AgreementForm]], file: Path, signature: Signature) -> Iterator[Problem]:
    """Every agreement that no approver in `file` has signed as it stands. `signature` has the name with its ending."""
    try:
        signers = read(file.read_bytes())
    except OSError:
        yield problem("config.signers_unreadable", FILE, "agreements.signers", path=str(file))
        return
    if signers.bad:
        yield problem("config.signers_line", FILE, "agreements.signers", path=str(file), line=signers.bad)
    program = shutil.which(_PROGRAM)
    for treaty in treaties:
        if treaty.form is None:
            continue  # it could not be read, which says more
        ssh, own = signature(treaty.file + ENDING), signature(treaty.file + MINISIGN)
        if ssh is None and own is None:
            yield problem("config.agreement_unsigned", treaty.file, WHOLE_FILE, name=treaty.file, namespace=NAMESPACE)
        if ssh is not None and program is None:
            yield problem("config.no_ssh_keygen", FILE, "agreements.signers", program=_PROGRAM)
            return
        if ssh is not None and program is not None:
            yield from _by_ssh(program, signers, treaty, ssh)
        if own is not None:
            yield from _by_minisign(signers, treaty, own)


def _by_ssh(program: str, signers: Signers, treaty: Document[AgreementForm], signature: bytes) -> Iterator[Problem]:
    found = _judge(program, signers.ssh, treaty.content, signature)
    if found is not None:
        code, reason = found
        yield problem(code, treaty.file, WHOLE_FILE, name=treaty.file, namespace=NAMESPACE, reason=shown(reason))


def _by_minisign(signers: Signers, treaty: Document[AgreementForm], signature: bytes) -> Iterator[Problem]:
    wrong = minisign.judge(treaty.content, signature, signers.keys)
    if wrong is not None:
        yield problem(
            _BY_MINISIGN[wrong.why], treaty.file, WHOLE_FILE, name=treaty.file, signer_key=wrong.key, who=wrong.who
        )


def _judge(program: str, signers: bytes, content: bytes, signature: bytes) -> tuple[str, str] | None:
    """What is wrong with the signature, and what the program says of it; None: an approver signed these bytes."""
    with TemporaryDirectory(prefix="exchange-") as folder:
        file, approvers = Path(folder) / "signature", Path(folder) / "approvers"
        file.write_bytes(signature)
        approvers.write_bytes(signers)
        common = ["-s", str(file), "-f", str(approvers)]
        asked, told = _run([program, "-Y", "find-principals", *common], b"")
        approver = told.partition("\n")[0].partition(",")[0].strip()
        if asked or not approver:
            return "config.agreement_signer_unknown", told
        wrong, told = _run([program, "-Y", "verify", *common, "-I", approver, "-n", NAMESPACE], content)
        return ("config.agreement_signature_wrong", told) if wrong else None


def _run(command: Sequence[str], given: bytes) -> tuple[bool, str]:
    """Whether the program failed, and what it said in one short text."""
    try:
        done = subprocess.run(  # noqa: S603 (the arguments are paths of ours and a name from the operator's own file)
            command, input=given, capture_output=True, timeout=_PATIENCE, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return True, type(error).__name__
    said = done.stdout if done.returncode == 0 else done.stderr or done.stdout
    return done.returncode != 0, said.decode("utf-8", "replace").strip()
