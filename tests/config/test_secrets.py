"""Secrets are had by name, only from closed places, and are never shown."""

from __future__ import annotations

import os

import pytest

from exchange.config import credentials, resolve
from exchange.errors import ConfigError
from exchange.i18n import LANGUAGES, describe
from exchange.model.party import Auth, Peer


def code_of(reference, environment):
    with pytest.raises(ConfigError) as caught:
        resolve(reference, environment)
    for language in LANGUAGES:
        assert "hunter2" not in describe(caught.value, language)
    return caught.value.problems[0].code


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "ccc.token"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return path


def test_each_place_of_secrets(secret):
    assert resolve("credential:ccc.token", {"CREDENTIALS_DIRECTORY": str(secret.parent)}) == "hunter2"
    assert resolve(f"file:{secret}", {}) == "hunter2"
    assert resolve("env:TOKEN", {"TOKEN": "hunter2"}) == "hunter2"


def test_one_final_newline_is_no_part_of_the_secret(secret):
    secret.write_text("hunter2 \n")
    assert resolve(f"file:{secret}", {}) == "hunter2 "
    secret.write_text("hunter2\n\n")
    assert code_of(f"file:{secret}", {}) == "config.secret_not_one_line"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644])
def test_a_file_open_to_others_is_refused(secret, mode):
    secret.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        resolve(f"file:{secret}", {})
    assert f"chmod o-rwx {secret}" in describe(caught.value, "fr")


def test_a_file_of_the_group_is_fine(secret):
    secret.chmod(0o640)
    assert resolve(f"file:{secret}", {}) == "hunter2"


def test_what_cannot_be_had(secret, tmp_path):
    assert code_of("env:TOKEN", {}) == "config.secret_not_set"
    assert code_of("env:TOKEN", {"TOKEN": ""}) == "config.secret_empty"
    assert code_of("credential:x", {}) == "config.credentials_not_given"
    assert code_of("credential:x", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "config.secret_missing"
    assert code_of("file:/nonexistent", {}) == "config.secret_missing"
    assert code_of(f"file:{tmp_path}", {}) == "config.secret_not_a_file"
    assert code_of("hunter2", {}) == "config.not_a_reference"
    assert code_of("credential:../hunter2", {}) == "config.not_a_reference"
    secret.write_bytes(b"hunter2\xff")
    assert code_of(f"file:{secret}", {}) == "config.secret_not_text"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert code_of(f"file:{tmp_path}/pipe", {}) == "config.secret_not_a_file"


def test_a_peers_credentials(secret, tmp_path):
    key = tmp_path / "ccc.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\n…\n")
    key.chmod(0o600)
    auth = Auth(user="cert-qc", password="env:P", client_cert="credential:ccc.key", client_key=f"file:{key}")
    peer = Peer(id="ccc", name="CCC", auth=auth, ca="/ca.pem")
    had = credentials(peer, {"P": "hunter2", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (had.user, had.password, had.token, had.key) == ("cert-qc", "hunter2", "", "")
    assert had.client_cert == had.client_key == str(key)
    assert had.ca == "/ca.pem"
    assert "hunter2" not in repr(had)


def test_every_missing_secret_of_a_peer_is_named_at_once():
    auth = Auth(user="u", password="env:P", key="file:/nonexistent", client_key="credential:k", client_cert="env:C")
    with pytest.raises(ConfigError) as caught:
        credentials(Peer(id="ccc", name="CCC", auth=auth), {})
    assert {(each.file, each.key, each.code) for each in caught.value.problems} == {
        ("peers/ccc.toml", "auth.password", "config.secret_not_set"),
        ("peers/ccc.toml", "auth.key", "config.secret_missing"),
        ("peers/ccc.toml", "auth.client_cert", "config.reference_not_a_file"),
        ("peers/ccc.toml", "auth.client_key", "config.credentials_not_given"),
    }


def test_a_private_key_open_to_others_is_refused(secret):
    secret.chmod(0o644)
    peer = Peer(id="ccc", name="CCC", auth=Auth(client_cert=f"file:{secret}", client_key=f"file:{secret}"))
    with pytest.raises(ConfigError) as caught:
        credentials(peer, {})
    assert [each.key for each in caught.value.problems] == ["auth.client_key"]
