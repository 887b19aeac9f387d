"""Content coding (RFC 9110 section 12.5.3): gzip and zstd for whom they are good, and each page packed once."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from exchange.serve import coding
from exchange.serve.coding import Packer, wanted
from tests.serve.house import MANIFEST, OBJECTS, House, refused
from tests.world import indicator

ITEMS = [indicator(f"{n}.example") for n in range(20)]
UNPACK: dict[str, Any] = {
    "gzip": gzip.decompress,
    "zstd": zstandard.ZstdDecompressor().decompress,
    "": lambda body: body,
}


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, ""), ("", ""), ("identity", ""), ("br", ""), ("deflate, br", ""), ("gzip", "gzip"), ("GZip", "gzip"),
        ("x-gzip", "gzip"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate", "gzip"),
        ("zstd;q=0.5, gzip;q=0.9", "gzip"), ("zstd ; q=0.9 , gzip ; q=0.5", "zstd"), ("gzip;q=0", ""),
        ("gzip;q=0, zstd", "zstd"), ("*", "gzip"), ("*;q=0", None), ("gzip, *;q=0", "gzip"), ("*, gzip;q=0", ""),
        ("identity;q=0", None), ("identity;q=0, gzip", "gzip"), ("identity;q=0, *", "gzip"), ("br, identity;q=0", None),
        ("identity, gzip;q=0.5", ""), ("identity;q=0.5, gzip", "gzip"), ("identity, *;q=0", ""),
        ("*;q=0, identity", ""), ("gzip;q=oops", "gzip"), ("gzip;q=2", "gzip"), (",,gzip,,", "gzip"), (";;", ""),
        ('"gzip', ""), ("gzip;q=0.0001", "gzip"),
    ],
)  # fmt: skip
def test_what_a_reader_gets(house: House, header: str | None, chosen: str | None) -> None:
    house.give(*ITEMS)
    plain = house.get(OBJECTS)
    answer = house.get(OBJECTS, headers={} if header is None else {"Accept-Encoding": header})
    if chosen is None:
        refused(answer, 406, "request.coding_not_offered")
        return
    assert answer.headers.get("content-encoding", "") == chosen
    assert UNPACK[chosen](answer.content) == plain.content
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["vary"] == "Authorization, Accept, Accept-Encoding"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_packed_page_is_another_representation(house: House, name: str) -> None:
    """RFC 9110 section 8.8.3.3: its tag is its own, and only its own is answered with 304."""
    house.give(*ITEMS)
    headers = {"Accept-Encoding": name}
    plain, packed = house.get(OBJECTS).headers["ETag"], house.get(OBJECTS, headers=headers).headers["ETag"]
    assert packed == f'{plain[:-1]}-{name}"'
    assert house.get(OBJECTS, headers=headers | {"If-None-Match": packed}).status_code == 304
    assert house.get(OBJECTS, headers=headers | {"If-None-Match": plain}).status_code == 200
    assert house.get(OBJECTS, headers={"If-None-Match": packed}).status_code == 200
    head = house.send("HEAD", OBJECTS, headers=headers)
    assert (head.content, head.headers["content-encoding"]) == (b"", name)
    assert head.headers["content-length"] == house.get(OBJECTS, headers=headers).headers["content-length"]


def test_a_small_answer_is_packed_only_for_who_insists(house: House) -> None:
    house.give(indicator())
    assert "content-encoding" not in house.get(OBJECTS, headers={"Accept-Encoding": "gzip"}).headers
    insists = house.get(OBJECTS, headers={"Accept-Encoding": "gzip, identity;q=0"})
    assert insists.headers["content-encoding"] == "gzip"
    assert gzip.decompress(insists.content) == house.get(OBJECTS).content


def test_a_page_that_has_not_changed_is_packed_once(house: House, monkeypatch: Any) -> None:
    house.give(*ITEMS)
    packed: list[str] = []
    pack = coding.pack

    def counting(name: coding.Coding, body: bytes) -> bytes:
        packed.append(name)
        return pack(name, body)

    monkeypatch.setattr(coding, "pack", counting)
    for _ in range(3):
        for name in ("gzip", "zstd"):
            assert house.get(OBJECTS, "ccc", headers={"Accept-Encoding": name}).status_code == 200
            assert house.get(OBJECTS, "circl", headers={"Accept-Encoding": name}).status_code == 200
    assert packed == ["gzip", "zstd"]
    house.get(MANIFEST, headers={"Accept-Encoding": "gzip"})
    house.tick()
    house.give(indicator("new.example"))
    house.get(OBJECTS, headers={"Accept-Encoding": "gzip"})
    assert packed == ["gzip", "zstd", "gzip", "gzip"]


def test_what_is_kept_has_a_bound() -> None:
    """The oldest goes first, and one large page does not drive out the others."""
    packer, made = Packer(most=1_000), []

    def give(tag: str, size: int) -> None:
        def make() -> bytes:
            made.append(tag)
            return tag.encode()[:1] * size

        assert packer.packed(tag, "", make) == tag.encode()[:1] * size

    for tag in ("a", "b", "c", "d"):
        give(tag, 250)
    give("a", 250)
    give("e", 250)
    give("large", 251)
    give("large", 251)
    assert made == ["a", "b", "c", "d", "e", "large", "large"]
    for tag in ("b", "c", "d", "e"):
        give(tag, 250)
    assert made[7:] == []
    give("a", 250)
    assert made[7:] == ["a"]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_the_ring_gives_back_what_it_was_given(asked: list[tuple[int, int]]) -> None:
    """Whatever was kept since, in what order, of what size: each tag gives its own bytes."""
    packer = Packer(most=100)
    for name, size in asked:
        tag = f"{name}/{size}"
        body = tag.encode() * size
        assert packer.packed(tag, "", lambda body=body: body) == body  # type: ignore[misc]


@given(st.text(max_size=60) | st.text('gzipstd*;q=01.," identy', max_size=60))
def test_any_header_has_an_answer(header: str) -> None:
    found = wanted(header)
    assert found.coding in ("", "gzip", "zstd")


@given(st.binary(max_size=5_000))
def test_packing_changes_nothing(body: bytes) -> None:
    """And the same bytes give the same bytes, so that a strong tag is true in every worker."""
    for name in ("gzip", "zstd"):
        packed = coding.pack(name, body)  # type: ignore[arg-type]
        assert UNPACK[name](packed) == body
        assert coding.pack(name, body) == packed  # type: ignore[arg-type]
