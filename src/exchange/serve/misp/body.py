"""What a MISP sends: JSON, packed by gzip once it is longer than a kilobyte (reference misp.md section 1.1)."""

from __future__ import annotations

import zlib
from typing import Any

import falcon
import orjson

from exchange.errors import RequestError, TooLarge, UnsupportedMedia

ENCODINGS = ("gzip",)
"""What `getVersion` offers; MISP packs with nothing else."""
LARGER = 10
"""An event may be unpacked so many times as large as an envelope: MISP cannot send it in pieces."""
SMALL = 64 * 1024
"""Bytes of a question that is small by nature: filters, and a thousand uuids among them."""
SEARCH = 1 << 20
"""Bytes of one that may name a thousand values."""
VALUES = 500_000
"""Lists, maps and what stands in them in one body: the events of a whole MISP that asks which of them we want."""
_GZIP = 31
"""zlib's window for a gzip frame."""
_STEP = 1 << 20


def packed(req: falcon.Request) -> bool:
    """Whether the body is packed. Raises UnsupportedMedia when it is in a way that we do not read."""
    coding = req.get_header("Content-Encoding", default="").strip().lower()
    if coding in ("", "identity"):
        return False
    if coding not in ("gzip", "x-gzip"):
        raise UnsupportedMedia("request.misp_coding", accepted=", ".join(ENCODINGS))
    return True


def unpacked(raw: bytes, most: int) -> bytes:
    """The content of one gzip frame or several. Raises TooLarge (a bomb), RequestError (no gzip, or cut off)."""
    pieces, size = [], 0
    try:
        while raw:
            frame = zlib.decompressobj(_GZIP)
            while not frame.eof:
                piece = frame.decompress(raw, _STEP)
                raw = frame.unconsumed_tail
                size += len(piece)
                if size > most:
                    raise TooLarge("request.too_large", limit=most)
                pieces.append(piece)
                if not piece and not raw and not frame.eof:
                    raise RequestError("request.misp_gzip")
            raw = frame.unused_data
    except zlib.error:
        raise RequestError("request.misp_gzip") from None
    return b"".join(pieces)


def parsed(body: bytes) -> Any:
    """The JSON in `body`; None for an empty one. Raises RequestError. MISP takes `{"request": …}` for what is in it."""
    if not body.strip():
        return None
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES:  # each becomes an object far larger than its bytes
        raise TooLarge("request.misp_values", limit=VALUES)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError("request.json", detail=str(error)[:200]) from None
    inner = found.get("request") if isinstance(found, dict) else None
    return inner if isinstance(inner, dict | list) else found
