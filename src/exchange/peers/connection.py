"""What taxii2-client calls a connection, over a session of ours, for TAXII 2.1 and TAXII 2.0 alike.

taxii2-client has no timeout, hides the headers that a subscriber needs and refuses every slip in a media type. It takes
any connection, so it gets ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from exchange.errors import PeerProtocol
from exchange.model.party import TaxiiVersion
from exchange.peers.handover import ANY_STATUS
from exchange.peers.session import Answer, Session

TAXII_21 = "application/taxii+json;version=2.1"
TAXII_20 = "application/vnd.oasis.taxii+json; version=2.0"
MEDIA_TYPE: Mapping[TaxiiVersion, str] = {"2.1": TAXII_21, "2.0": TAXII_20}
ASK_AGAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""Answers to a page that may be meant for our query rather than for us."""
ERROR = frozenset({"title", "error", "errors", "error_code", "error_id", "http_status"})
"""Members of error messages (TAXII 2.1 section 3.6.1, and as others write them); an envelope has none of them."""
_STATUS = frozenset({
    "id", "status", "total_count", "success_count", "failure_count", "pending_count",
    "successes", "failures", "pendings",
})  # fmt: skip
_EMPTY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
# What an answer of 406 or 415 says when we asked in the words of one version or the other.
_OTHER_VERSION: Mapping[TaxiiVersion, str] = {"2.1": "peer.speaks_taxii20", "2.0": "peer.no_taxii20"}


class Connection:
    """taxii2-client's `_HTTPConnection`: `get`, `post`, `delete` and `close`.

    Objects and manifests come back as an `Answer`, so that bytes and headers survive; other resources as JSON.
    """

    def __init__(self, session: Session, version: TaxiiVersion = "2.1") -> None:
        self.session, self.version = session, version
        self.again = True
        """Whether a failed GET may be repeated: not with `next`, which some servers consume."""

    def get(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None) -> Any:
        """A resource as JSON, or the `Answer` itself for what is paged."""
        paged = url.endswith(("/objects/", "/manifest/"))
        try:
            answer = self.session.request(
                "GET",
                url,
                params=params,
                headers=self._headers(headers),
                again=self.again,
                expect=_EMPTY | ASK_AGAIN if paged else (),
            )
        except PeerProtocol as error:
            raise self._other_version(error) from None
        if not paged and url.rstrip("/").split("/")[-2] == "status":
            return self._status(answer)
        return answer if paged else self.document(answer)

    def post(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None, data: bytes = b"") -> Any:
        """The status resource that answers an envelope, made consistent: taxii2-client refuses it otherwise."""
        try:
            return self._status(self.session.post(url, data, params=params, headers=self._headers(headers)))
        except PeerProtocol as error:
            raise self._other_version(error) from None

    def delete(self, url: str, headers: Mapping[str, str] | None = None, params: Any = None) -> None:
        """Have it deleted. What is not there, or no longer, is as good."""
        gone = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
        self.session.request("DELETE", url, params=params, headers=self._headers(headers), again=True, expect=gone)

    def close(self) -> None:
        """Give the connections back."""
        self.session.close()

    def document(self, answer: Answer) -> Any:
        """The JSON object in `answer`, whatever its media type says."""
        try:
            found = orjson.loads(answer.body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise self.malformed(answer, str(error)) from None
        if not isinstance(found, dict):
            raise self.malformed(answer, type(found).__name__)
        return found

    def _status(self, answer: Answer) -> dict[str, Any]:
        """The status resource in `answer`; an error message, or anything else that is none, cannot be read."""
        said = self.document(answer) if answer.body.strip() else {}
        if said and (not _STATUS & said.keys() or (ERROR & said.keys() and not (_STATUS - {"id"}) & said.keys())):
            raise self.malformed(answer, self.session.detail(answer))
        return _consistent_status(said)

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return {"Accept": MEDIA_TYPE[self.version], **(headers or {})}

    def _other_version(self, error: PeerProtocol) -> PeerProtocol:
        """A server that does not know our media type most likely speaks the other TAXII."""
        if error.code != "peer.media_type":
            return error
        return PeerProtocol(_OTHER_VERSION[self.version], **error.fields)

    def malformed(self, answer: Answer, detail: str) -> PeerProtocol:
        """The error for an answer that cannot be read."""
        return PeerProtocol("peer.malformed", url=answer.url, detail=detail[:200], **self.session.blame)


def _consistent_status(said: dict[str, Any]) -> dict[str, Any]:
    """A status resource (TAXII 2.1 section 4.3.1) whose counts are there and agree with its lists."""
    counts = {}
    for name, listed in (("success", "successes"), ("failure", "failures"), ("pending", "pendings")):
        entries = said.get(listed)
        found = [d for d in entries if isinstance(d, dict)] if isinstance(entries, list) else []
        claimed = said.get(f"{name}_count")
        claimed = claimed if isinstance(claimed, int) and claimed >= 0 else len(found)
        counts[f"{name}_count"] = max(claimed, len(found))
        said[listed] = found if len(found) == counts[f"{name}_count"] else []
        said[f"known_{listed}"] = found
    state = said.get("status") or ("pending" if counts["pending_count"] else "complete")
    return said | counts | {"id": said.get("id") or ANY_STATUS, "status": state, "total_count": sum(counts.values())}
