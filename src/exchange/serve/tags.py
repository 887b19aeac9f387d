"""Entity tags (RFC 9110 section 8.8.3): what tells a reader that nothing has changed since it last asked.

A tag is made of what the answer itself is made of, and of nothing that its reader may not see (RULES R14). All are
strong; a packed page is another representation, so its tag names the coding.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import falcon
import orjson

from exchange.serve.coding import Coding

_FORM = "2"
"""To be changed with the form of a page: what was kept of the old one is then no longer taken for the same."""
_LENGTH = 32


def of_page(kind: str, audience: str, told: Sequence[int], more: bool) -> str:
    """The tag of a page of this kind: a listing row never changes, so what is told of its dates tells every byte."""
    digest = sha256(f"{_FORM}|{kind}|{audience}|{more:d}|".encode())
    digest.update(array("q", told).tobytes())
    return digest.hexdigest()[:_LENGTH]


def unchanged(req: falcon.Request, resp: falcon.Response, tag: str, coding: Coding = "") -> bool:
    """Put the tag on the answer. True: the reader has this already, and the answer is 304 and nothing more."""
    quoted = f'"{tag}-{coding}"' if coding else f'"{tag}"'
    resp.set_header("ETag", quoted)
    if not names(req.get_header("If-None-Match"), quoted):
        return False
    resp.status = falcon.HTTP_304
    return True


def names(header: str | None, quoted: str) -> bool:
    """Whether `If-None-Match` names this tag (RFC 9110 section 13.1.2; the comparison is the weak one)."""
    if not header:
        return False
    given = {each.strip().removeprefix("W/") for each in header.split(",")}
    return quoted in given or given == {"*"}


def answer(req: falcon.Request, resp: falcon.Response, body: Any) -> None:
    """Answer with a small TAXII resource, tagged by its bytes; `body` may be them already."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    if not unchanged(req, resp, sha256(data).hexdigest()[:_LENGTH]):
        resp.data = data
