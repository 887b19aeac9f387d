"""The page for people, and the sign of life: no account, no data."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.errors import StoreError
from exchange.store import Store
from tests.serve.house import House
from tests.world import indicator


@pytest.mark.parametrize(
    ("accept", "language", "word"),
    [("fr-CA,fr;q=0.9,en;q=0.8", "fr", "partenaires"), ("en-GB", "en", "partners"), ("de, ja", "en", "partners")],
)
def test_the_page_speaks_the_browsers_language(house: House, accept: str, language: str, word: str) -> None:
    answer = house.get("/", None, headers={"Accept-Language": accept, "Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text
    assert word in answer.text
    assert "http://node.test/taxii2/" in answer.text
    assert "cert@node.test" in answer.text


def test_the_other_language_is_a_click_away(house: House) -> None:
    page = house.get("/", None, params={"lang": "fr"})
    assert page.headers["content-language"] == "fr"
    assert 'href="/?lang=en"' in page.text
    assert house.get("/", None, params={"lang": "<script>"}).headers["content-language"] == "en"


def test_nothing_is_loaded_and_nothing_shown(house: House) -> None:
    house.give(indicator("held.example"))
    answer = house.get("/", None)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert "held.example" not in answer.text
    assert answer.headers["cache-control"] == "private, no-cache"


def test_names_are_escaped(memory: Store) -> None:
    house = House(memory, title="<b>& CERT</b>", contact='"><script>alert(1)</script>')
    text = house.get("/", None).text
    assert "<b>" not in text
    assert "<script>" not in text
    assert "&lt;b&gt;&amp; CERT" in text


def test_whom_to_ask_when_nobody_is_named(memory: Store) -> None:
    assert "the team that runs this node" in House(memory, contact="").get("/", None).text


def test_health(house: House, monkeypatch: Any) -> None:
    answer = house.get("/health", None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json"

    def fail() -> Any:
        raise StoreError("store.unavailable", detail="disk I/O error")

    monkeypatch.setattr(house.store, "reading", fail)
    answer = house.get("/health", None)
    assert (answer.status_code, answer.json) == (503, {"status": "unavailable"})
