"""What the operator may write about API roots and collections (sections 2, 4.1.1 and 5.2.1)."""

from __future__ import annotations

from pathlib import Path

from exchange.config import load
from exchange.errors import ConfigError
from tests.config.valid_folder import VALID

NODE, _, _, SHELF = VALID


def codes(folder: Path, **changes: str) -> list[tuple[str, str]]:
    """What is wrong with the valid folder, with these changes: key and code."""
    for name, content in VALID.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content + changes.get("more", "") if name == NODE else content)
    if "shelf" in changes:
        (folder / SHELF).write_text(changes["shelf"])
    try:
        load(folder)
    except ConfigError as error:
        return [(problem.key, problem.code) for problem in error.problems]
    return []


def test_a_root_is_https_or_on_this_machine(tmp_path: Path) -> None:
    """Section 4.1.1: an address in clear is refused, but for a node that nobody else can reach."""
    for url, told in (
        ("https://e.example", []),
        ("https://e.example:8443/under/", []),
        ("http://127.0.0.1:8080", []),
        ("http://e.example", [("serve.public_url", "config.public_url_in_clear")]),
        ("//e.example", [("serve.public_url", "config.bad_url")]),
        ("../e", [("serve.public_url", "config.bad_url")]),
        ("https://e.example/#a", [("serve.public_url", "config.bad_url")]),
    ):
        assert codes(tmp_path, more=f'\n[serve]\npublic_url = "{url}"\n') == told, url


def test_a_root_has_no_query(tmp_path: Path) -> None:
    """Section 4.1.1: refused when the node is configured, for nobody could use the roots made of it."""
    assert codes(tmp_path, more='\n[serve]\npublic_url = "https://e.example/?a=1"\n')


def test_a_collection_has_an_id_of_the_right_form(tmp_path: Path) -> None:
    """Section 5.2.1; that it is of version 4, as section 2 asks, is left to the operator."""
    good = VALID[SHELF]
    uuid = good.split('id = "')[1].split('"')[0]
    for text, told in ((uuid, []), (uuid[:-1], [("id", "config.bad_uuid")]), ("partners", [("id", "config.bad_uuid")])):
        assert codes(tmp_path, shelf=good.replace(uuid, text)) == told
