"""Signatures of minisign on agreements: made here by its format, and once by the program itself."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from valid_folder import VALID

from exchange import i18n
from exchange.config import load
from exchange.config.minisign import Key, Wrong, judge, public_key
from exchange.errors import ConfigError

CST, NODE = "agreements/cst.toml", "exchange.toml"
SIGNED = VALID[NODE] + '\n[agreements]\nsigners = "signers"\n'
Write = Callable[..., Path]
MARIE, LUC = b"marie...", b"luc....."
SECRETS = {name: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name).digest()) for name in (MARIE, LUC)}
STAMP = "timestamp:1793000000\tfile:cst.toml\thashed"
"""In October 2026."""


def public(name: bytes) -> str:
    raw = SECRETS[name].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b64encode(b"Ed" + name + raw).decode()


def signature(content: bytes, name: bytes = MARIE, form: bytes = b"ED", said: str = STAMP) -> str:
    """As the manual of minisign describes it."""
    made = SECRETS[name].sign(content if form == b"Ed" else hashlib.blake2b(content).digest())
    whole = SECRETS[name].sign(made + said.encode())
    lines = ("untrusted comment: x", b64encode(form + name + made).decode())
    return "\n".join((*lines, f"trusted comment: {said}", b64encode(whole).decode(), ""))


@pytest.fixture
def signed(write: Write) -> Callable[..., Path]:
    """A valid folder with one approver, and a signature of its agreement."""

    def made(options: str = "", **how: object) -> Path:
        folder = write({NODE: SIGNED})
        (folder / "signers").write_text(f"# who approves\nmarie {options}minisign {public(MARIE)} of Marie\n")
        (folder / (CST + ".minisig")).write_text(signature((folder / CST).read_bytes(), **how))
        return folder

    return made


def mistakes(folder: Path) -> list[tuple[str, str]]:
    try:
        load(folder)
    except ConfigError as error:
        assert all(i18n.describe(each, language) for each in error.problems for language in ("fr", "en"))
        return [(each.file, each.code) for each in error.problems]
    return []


@pytest.mark.parametrize("form", [b"ED", b"Ed"])
def test_what_an_approver_signed_counts(
    signed: Callable[..., Path], form: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prehashed or not; ssh-keygen is not needed for it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert mistakes(signed(form=form)) == []


def test_another_key_does_not_count(signed: Callable[..., Path]) -> None:
    """The key is named as minisign prints it."""
    folder = signed(name=LUC)
    assert mistakes(folder) == [(CST, "config.minisign_unknown")]
    assert judge(b"x", signature(b"x", LUC).encode(), {}) == Wrong(why="unknown", key="2E2E2E2E2E63756C")


@pytest.mark.parametrize("what", ["content", "comment", "form"])
def test_what_was_changed_asks_for_a_new_signature(signed: Callable[..., Path], what: str) -> None:
    """The agreement, the comment that was signed with it, or the kind of signature."""
    folder = signed()
    beside = folder / (CST + ".minisig")
    text = beside.read_text()
    if what == "content":
        (folder / CST).write_text((folder / CST).read_text() + "\n# a remark\n")
    elif what == "comment":
        beside.write_text(text.replace("1793000000", "1793000001"))
    else:
        first, second, *rest = text.splitlines()
        beside.write_text("\n".join((first, b64encode(b"Ed" + b64decode(second)[2:]).decode(), *rest)))
    assert mistakes(folder) == [(CST, "config.minisign_wrong")]


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        ('valid-before="20270101" ', STAMP, ""),
        ('valid-after="20260101",valid-before="20270101" ', STAMP, ""),
        ('valid-before="20260101" ', STAMP, "config.minisign_expired"),
        ('valid-after="20270101Z" ', STAMP, "config.minisign_expired"),
        ('valid-after="202601011200" ', "no date", "config.minisign_expired"),
        ("", "no date", ""),
    ],
)
def test_a_key_counts_in_its_period(signed: Callable[..., Path], options: str, said: str, code: str) -> None:
    """By the date that was signed with it, which only the signer can write."""
    assert mistakes(signed(options, said=said)) == ([(CST, code)] if code else [])


@pytest.mark.parametrize(
    "line",
    [
        "marie minisign",
        "marie minisign RWQ",
        'marie valid-before="x" minisign {key}',
        "marie cert-authority minisign {key}",
        'marie namespaces="a" minisign {key}',
    ],
)
def test_a_line_that_cannot_be_read_is_named(signed: Callable[..., Path], line: str) -> None:
    """What nobody understands of an approver gives nobody the right to approve."""
    folder = signed()
    (folder / "signers").write_text("\n" + line.format(key=public(MARIE)))
    assert mistakes(folder) == [(NODE, "config.signers_line"), (CST, "config.minisign_unknown")]


def test_where_both_signatures_stand_both_must_hold(signed: Callable[..., Path]) -> None:
    folder = signed()
    (folder / (CST + ".sig")).write_text("-----BEGIN SSH SIGNATURE-----\n")
    assert mistakes(folder) in (
        [(CST, "config.agreement_signer_unknown")],
        [(NODE, "config.no_ssh_keygen")],
    )


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_nonsense_is_no_signature(given_bytes: bytes) -> None:
    """Whatever stands there: it is said, and nothing else happens."""
    assert judge(b"x", given_bytes, {}) == Wrong(why="unreadable")
    for lines in (given_bytes * 4, signature(b"x").encode().replace(b"\n", b"\n" + given_bytes, 1)):
        assert judge(b"x", lines, {}) is not None


# Made by minisign 0.11 with a key that exists nowhere any more: `minisign -S -m agreement.toml`, and with `-l`.
REAL_KEY = "RWTkv818Bh+iYkpGZuEgREDkosBx9cqQQ9o3Kiv8Gx1d1l1+4v0lShwe"
REAL_TEXT = b'title = "Entente"\n'
REAL = {
    "prehashed": """untrusted comment: signature from minisign secret key
RUTkv818Bh+iYrKkhtWJKXe89j8v5LsKYidnvE+8v0PGJEHyNpFF+blQHxNRMCfFpI/yjpV4ZccLLH72s17kaevORimTmJU4/AY=
trusted comment: timestamp:1793000000\tfile:agreement.toml\thashed
9jqApmHi40i6baJ4LAWlc82u6a4mza6I0SmSudIeK164vCHpNwHXPttcsy5+Pfi+P1jQcHKnpdCGnDxvCf/MAg==
""",
    "older": """untrusted comment: signature from minisign secret key
RWTkv818Bh+iYh1coPLo0llfqzHR+m6WqTgWHwp+/7+/3XJcnTcWMdl5zEtMHi/ZuPfmF3Zq9F8bdic6kc39dA9sa0TZcHa1MQw=
trusted comment: timestamp:1793000000\tfile:agreement.toml
5k/lX3LGXBXNo29l7Zqv2HHvzacJNXEffWwIkwxou77uEEO5Eo1vlEeM1SXOYcjBW8+t68w0bmW8hvmJgdZCBQ==
""",
}


@pytest.mark.parametrize("form", REAL)
def test_signatures_of_the_program_itself(form: str) -> None:
    identifier, key = public_key(REAL_KEY)
    keys = {identifier: Key(who="x", id=identifier, public=key)}
    assert judge(REAL_TEXT, REAL[form].encode(), keys) is None
    assert judge(REAL_TEXT + b"#", REAL[form].encode(), keys) == Wrong(why="wrong", key="62A21F067CCDBFE4", who="x")
