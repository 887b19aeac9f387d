"""Signatures of agreements: where the operator names approvers, an agreement counts only as one of them signed it.

The signature is the one of `ssh-keygen -Y sign -n exchange-agreement` (OpenSSH's SSHSIG), beside the file as
`ID.toml.sig`; the approvers stand in a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS). What is verified are
the very bytes that were read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.config.agreement import AgreementForm
from exchange.config.node import FILE
from exchange.config.problems import WHOLE_FILE, problem, shown
from exchange.config.reading import Document
from exchange.errors import Problem

NAMESPACE = "exchange-agreement"
ENDING = ".sig"
_PROGRAM = "ssh-keygen"
_PATIENCE = 20
"""Seconds for one signature."""

Signature = Callable[[str], bytes | None]
"""The name of an agreement's file → the bytes of its signature; None: there is none."""


def mistakes(treaties: Sequence[Document[AgreementForm]], signers: Path, signature: Signature) -> Iterator[Problem]:
    """Every agreement that no approver in `signers` has signed as it stands."""
    if not os.access(signers, os.R_OK) or not signers.is_file():
        yield problem("config.signers_unreadable", FILE, "agreements.signers", path=str(signers))
        return
    program = shutil.which(_PROGRAM)
    if program is None:
        yield problem("config.no_ssh_keygen", FILE, "agreements.signers", program=_PROGRAM)
        return
    for treaty in treaties:
        if treaty.form is None:
            continue  # it could not be read, which says more
        given = signature(treaty.file)
        if given is None:
            yield problem("config.agreement_unsigned", treaty.file, WHOLE_FILE, name=treaty.file, namespace=NAMESPACE)
            continue
        found = _judge(program, signers, treaty.content, given)
        if found is not None:
            code, reason = found
            yield problem(code, treaty.file, WHOLE_FILE, name=treaty.file, namespace=NAMESPACE, reason=shown(reason))


def _judge(program: str, signers: Path, content: bytes, signature: bytes) -> tuple[str, str] | None:
    """What is wrong with the signature, and what the program says of it; None: an approver signed these bytes."""
    with TemporaryDirectory(prefix="exchange-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        common = ["-s", str(file), "-f", str(signers)]
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
