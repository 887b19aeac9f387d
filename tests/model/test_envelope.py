"""Envelopes, bundles and lists: opened at once, or streamed object by object, whatever their bytes look like."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stix_samples import encode, indicator

from exchange.errors import ContentError
from exchange.model import stix
from exchange.model.envelope import open_envelope, stream

MANY = settings(max_examples=300, deadline=None)
NASTY = st.text(st.sampled_from('[]{}":\\,ab \n\té\U0001f600'), max_size=12) | st.sampled_from(
    ['"objects":[', '\\"objects":[{', "objects", '"objects"', "\\", '\\\\"', "]}", '"']
)
VALUES = st.recursive(
    NASTY | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(NASTY | st.just("objects"), VALUES, max_size=3), max_size=4)
AROUND = st.dictionaries(NASTY.filter(lambda name: name != "objects"), VALUES | OBJECTS, max_size=3)


class Drip(io.BytesIO):
    """A file that gives at most `most` bytes at a time, as a pipe or a socket may."""

    def __init__(self, body: bytes, most: int) -> None:
        super().__init__(body)
        self.most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.most if size is None or size < 0 else min(size, self.most))


def streamed(body: bytes, most: int = 1 << 30) -> list[Any]:
    return [json.loads(raw) for raw in stream(Drip(body, most))]


@st.composite
def bundles(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """The bytes of a bundle with other properties before and after its objects, or of a bare list."""
    objects = draw(OBJECTS)
    before, after = draw(AROUND), draw(AROUND)
    whole = draw(st.sampled_from([objects, {**before, "objects": objects, **after}]))
    indent = draw(st.sampled_from([None, None, 1, 4]))
    body = json.dumps(whole, indent=indent, ensure_ascii=draw(st.booleans())).encode()
    return draw(st.sampled_from([b"", b" \n"])) + body + draw(st.sampled_from([b"", b"\n"])), objects


@MANY
@given(bundles(), st.sampled_from([1, 2, 3, 5, 16, 63, 64, 65, 1000]))
def test_streaming_gives_what_json_gives(made: tuple[bytes, list[Any]], most: int) -> None:
    """The streamed objects are those that a JSON parser finds, at any chunk size, whatever their strings hold."""
    body, objects = made
    assert streamed(body, most) == objects


@MANY
@given(bundles(), st.integers(0, 10_000), st.sampled_from([1, 7, 1000]))
def test_a_file_that_ends_in_the_middle_raises(made: tuple[bytes, list[Any]], at: int, most: int) -> None:
    """Wherever a file is cut off, streaming says so, after giving only whole objects of it."""
    body, objects = made
    cut = body.rstrip()
    cut = cut[: at % len(cut)]
    given_out = []
    with pytest.raises(ContentError):
        for raw in stream(Drip(cut, most)):
            given_out.append(json.loads(raw))
    assert given_out == objects[: len(given_out)]


@MANY
@given(bundles())
def test_opening_gives_what_json_gives(made: tuple[bytes, list[Any]]) -> None:
    """Opened at once, a body gives the same objects, with or without a byte-order mark, and their bytes untouched."""
    body, objects = made
    try:
        opened = open_envelope(body)
    except ContentError:
        shape = json.loads(body)
        assert not isinstance(shape.get("more", False), bool)
        return
    assert [json.loads(raw) for raw in opened.objects] == objects
    assert open_envelope(b"\xef\xbb\xbf" + body) == opened
    assert all(raw in body for raw in opened.objects)


def test_a_space_of_any_length_may_stand_before_the_list() -> None:
    """White space between the name and its list is no reason to miss the objects."""
    for gap in (0, 10, 60, 64, 100, 5000):
        body = b'{"objects"' + b" " * gap + b":" + b"\n" * gap + b'[{"a":1}]}'
        assert streamed(body) == [{"a": 1}], gap
        assert streamed(body, 3) == [{"a": 1}], gap


def test_only_the_list_of_the_outermost_object_counts() -> None:
    """Lists named objects elsewhere, and strings that look like one, are passed over."""
    inner = {"x": {"objects": [{"no": 1}]}, "y": [{"objects": [{"no": 2}]}], "z": '"objects":[{"no":3}]'}
    assert streamed(json.dumps({**inner, "objects": [{"yes": 1}], "w": inner}).encode()) == [{"yes": 1}]


def test_a_name_that_ends_like_the_list_is_another() -> None:
    """A property whose name ends in a quoted `objects` is not the list of objects."""
    body = json.dumps({'a"objects': [{"no": 1}], "objects": [{"yes": 1}]}).encode()
    assert streamed(body) == [{"yes": 1}]


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"1", b'"x"', b"{}", b'{"objects":1}', b'{"objects":null}', b'{"x":[{}]}', b"<html>",
        b"]", b"}", b"[{}", b'{"objects":[{}', b'{"objects":[{}]', b"{", b'"', b'[{"a":"}]', b'{"objects":[{"a":1}}]',
        b'[{"a":1}] x', b'[{"a":1}]]', b'[{"a":1}][{"b":2}]', b'x[{"a":1}]', b'{"objects":[{}]}}',
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_bundle_raises(body: bytes) -> None:
    """A file that is not JSON of that shape raises, and raises nothing but ContentError."""
    with pytest.raises(ContentError):
        for raw in stream(io.BytesIO(body)):
            stix.parse(encode(indicator()) if json.loads(raw) else raw)


@MANY
@given(st.binary(max_size=80) | st.text('[]{}":\\,objects1 ', max_size=60).map(str.encode))
def test_any_bytes_are_streamed_or_refused(body: bytes) -> None:
    """No bytes make streaming or opening raise anything but ContentError (DESIGN 6)."""
    for reader in (lambda: list(stream(Drip(body, 7))), lambda: open_envelope(body)):
        try:
            reader()
        except ContentError as error:
            assert error.code in {"content.envelope", "content.size", "content.duplicate"}


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"next":' + b"[" * 100_000, b'{"objects":[' + b"[" * 100_000],
    ids=["lists", "objects", "next", "inside"],
)
def test_a_depth_bomb_is_refused(body: bytes) -> None:
    """Nesting without end is refused like any other bad body."""
    with pytest.raises(ContentError):
        open_envelope(body)
    with pytest.raises(ContentError):
        list(stream(io.BytesIO(body)))


@pytest.mark.parametrize(
    "body", [b'{"next":"\xff"}', b'{"\xff":1}', b'{"objects":[{"a":"\xff"}]}', b'{"next":"\\ud800"}', b"\xff\xfe[\x00"]
)
def test_text_that_is_not_utf8_is_refused(body: bytes) -> None:
    """Bytes that are no UTF-8 are refused with the envelope, or with the one object that holds them."""
    try:
        opened = open_envelope(body)
    except ContentError:
        return
    for raw in opened.objects:
        with pytest.raises(ContentError):
            stix.parse(raw)
    assert opened.objects or b"\xff" not in opened.next.encode()


def test_an_object_without_end_is_stopped() -> None:
    """Streaming stops at an object larger than the largest, before it has read the rest."""
    file = io.BytesIO(b'{"objects":[{"a":"' + b"x" * (4 * stix.LARGEST))
    with pytest.raises(ContentError) as caught:
        list(stream(file))
    assert caught.value.code == "content.size"
    assert file.tell() <= 2 * stix.LARGEST


@pytest.mark.parametrize(
    ("body", "more", "following", "count"),
    [
        (b"{}", False, "", 0),
        (b'{"objects":[]}', False, "", 0),
        (b'{"objects":null}', False, "", 0),
        (b'{"more":true,"next":"abc","objects":[{}]}', True, "abc", 1),
        (b'{"more":true,"next":7,"objects":[{}]}', True, "7", 1),
        (b'{"more":false,"next":null}', False, "", 0),
        (b'{"type":"bundle","id":"bundle--1","objects":[{},{}]}', False, "", 2),
        (b" [{}, {}] ", False, "", 2),
        (b"\xef\xbb\xbf[]", False, "", 0),
    ],
)
def test_every_form_of_envelope_opens(body: bytes, more: bool, following: str, count: int) -> None:
    """Envelope, bundle and bare list open; a missing or null property is its default (TAXII 2.1 section 3.7)."""
    opened = open_envelope(body)
    assert (opened.more, opened.next, len(opened.objects)) == (more, following, count)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"1", b'"x"', b"{", b"[1", b'{"objects":{}}', b'{"objects":"x"}', b'{"more":"true"}', b"[] x"],
)
def test_other_forms_are_refused(body: bytes) -> None:
    """A body that is none of these is refused as an envelope."""
    with pytest.raises(ContentError) as caught:
        open_envelope(body)
    assert caught.value.code == "content.envelope"


# Each makes the decoder of the whole body stop, though nothing but one object is wrong.
BAD = [
    b"NaN", b'{"a":NaN}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"a":"\n"}', b"[" * 4000 + b"]" * 4000, b'{"a" 1}',
    b"01",
]  # fmt: skip


@MANY
@given(OBJECTS, st.sampled_from(BAD), st.integers(0, 4))
def test_what_is_wrong_in_one_object_is_left_to_that_object(objects: list[Any], bad: bytes, at: int) -> None:
    """Opened one by one, a body gives its objects and the bad one among them, untouched."""
    raws = [json.dumps(item).encode() for item in objects]
    raws.insert(at, bad)
    inner = b'"x", ' + b" ,\n".join(raws)
    opened = open_envelope(b'{"more":true,"next":"n","objects":[' + inner + b'],"x":[{}]}')
    assert list(opened.objects) == [b'"x"', *raws] == list(open_envelope(b"[" + inner + b"]").objects)
    assert (opened.more, opened.next) == (True, "n")


@pytest.mark.parametrize(
    "body",
    [
        b'{"objects":[NaN,]}', b'{"objects":[,NaN]}', b'{"objects":[NaN,,1]}', b"[NaN,]", b"[NaN] 1",
        b'{"objects":[{"a":NaN}{}]}', b'{"objects":[{"a":NaN}],}', b'{"objects":[{"a":NaN}] 1}', b'{,"objects":[NaN]}',
        b'{"objects":[{"a":NaN}],"more":"x"}', b'{"objects":[{"a":NaN}],"x":NaN}', b'{"objects":[{"a":NaN}]}}',
        b'{"x":{"objects":[NaN]}}', b'{"objects":NaN}',
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_wrong_around_the_objects_is_refused(body: bytes) -> None:
    """Only inside an object is a mistake that object's own."""
    with pytest.raises(ContentError):
        open_envelope(body)


@MANY
@given(
    st.lists(st.sampled_from(['"objects"', '"more"', '"a"', '"\\u0061"', '"é"', '"\\""', '""']), max_size=5),
    st.booleans(),
)
def test_a_name_stands_once(names: list[str], by_hand: bool) -> None:
    """RFC 7493 section 2.3: of two members with one name nobody can say which was meant; escapes are no way around."""
    values = {'"objects"': '[{"a":"]"},NaN]' if by_hand else '[{"a":"]"}, {}]', '"more"': "true"}
    body = "{ " + " , ".join(f"{name} : {values.get(name, '[1,2]')}" for name in names) + " }"
    unique = len({json.loads(name) for name in names}) == len(names)
    try:
        opened = open_envelope(body.encode())
    except ContentError as error:
        assert not unique
        assert error.code == "content.duplicate"
    else:
        assert unique
        assert opened.listed == ('"objects"' in names)
        assert len(opened.objects) == 2 * opened.listed


@pytest.mark.parametrize("element", [b"{}", b"1", b"[]", b'""', b"NaN", b'{"a":[1,2]}'])
def test_more_than_may_be_are_counted_and_not_kept(element: bytes) -> None:
    """One more than `most` is refused, however small they are; exactly `most` are taken."""
    for count in (5, 6, 40):
        body = b'{"objects":[' + b",".join([element] * count) + b"]}"
        if count == 5:
            assert len(open_envelope(body, 5).objects) == 5
            continue
        with pytest.raises(ContentError) as caught:
            open_envelope(body, 5)
        assert caught.value.fields["most"] == 5


def test_a_file_may_hold_one_list_only() -> None:
    """A second list of objects would be taken for a part of the first."""
    with pytest.raises(ContentError) as caught:
        streamed(b'{"objects":[{}],"objects":[{}]}')
    assert caught.value.code == "content.duplicate"
