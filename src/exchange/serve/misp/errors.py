"""Refusals as MISP words them: `{"name", "message", "url"}`, and for what was not saved `saved` and `errors` besides.

MISP acts on some of its own texts (reference misp.md section 1.4), so these stand here as it writes them, in English,
whatever the reader's language: they are part of the protocol. What a person reads is in the catalogues.
"""

from __future__ import annotations

from typing import Any

import falcon
import orjson

from exchange import i18n
from exchange.errors import ExchangeError, NotAuthenticated
from exchange.i18n import Language

NOT_NEWER = "Event could not be saved: Event in the request not newer than the local copy."
"""MISP keeps exactly this text out of its error log."""
NOT_AUTHORISED = (
    "Event could not be saved: The user used to edit the event is not authorised to do so. This can be caused by the"
    " user not being of the same organisation as the original creator of the event whilst also not being a site"
    " administrator."
)
"""What MISP says of an event that was made where it is to be changed (`locked` is 0)."""
EMPTY = "Received a published event that was empty. Event add process blocked."
INVALID = "Invalid event"
EXISTS = "Event already exists, if you would like to edit it, use the url in the location header."
"""With 404 and `Location`: MISP then tries again as an edit."""


class Unsaved(ExchangeError):
    """An event or part of it that is not taken (403): `could` says in MISP's words what could not be done.

    `errors` is what MISP looks at; where it is empty, the text of `code` in the reader's language stands there.
    """

    def __init__(self, code: str, *, could: str = "add Event", errors: Any = None, **fields: Any) -> None:
        super().__init__(code, **fields)
        self.could = could
        self.errors = errors


class Missing(ExchangeError):
    """404 in MISP's words. `location`: where it stands instead."""

    def __init__(self, said: str = INVALID, *, location: str = "") -> None:
        super().__init__("request.no_event")
        self.said = said
        self.location = location


def status_of(error: ExchangeError, otherwise: int) -> int:
    """The status that MISP gives: whoever is not known is refused with 403, and nothing is ever 401."""
    if isinstance(error, Unsaved | NotAuthenticated):
        return 403
    return 404 if isinstance(error, Missing) else otherwise


def tell(
    req: falcon.Request,
    resp: falcon.Response,
    status: int,
    text: str,
    language: Language,
    *,
    error: Exception | None = None,
    reference: str = "",
) -> None:
    """Answer with MISP's error body. `text` is in the reader's language; `reference` names our line in the log."""
    name = i18n.text(f"request.title_{status}", language)
    body: dict[str, Any] = {"name": name if name != f"request.title_{status}" else str(status), "message": text}
    if isinstance(error, Missing):
        body = {"name": error.said, "message": error.said}
        if error.location:
            resp.set_header("Location", error.location)
    elif isinstance(error, Unsaved):
        said = f"Could not {error.could}"
        body = {"saved": False, "name": said, "message": f"{said}. {text}", "errors": error.errors or text}
    elif isinstance(error, NotAuthenticated):
        body["name"] = text  # what MISP shows of it
    body["url"] = req.path[:1_000]
    if reference:
        body["error_id"] = reference
    resp.status = status
    resp.content_type = "application/json"
    resp.text, resp.stream = None, None
    resp.data = orjson.dumps(body)
