"""Answers that are not content: TAXII error resources (section 3.6.1), and the headers that every answer carries."""

from __future__ import annotations

import secrets
from typing import Any

import falcon
import orjson
import structlog

from exchange import i18n
from exchange.errors import ExchangeError, NotAuthenticated, StoreBusy, StoreError, meaning
from exchange.i18n import Language
from exchange.serve import media
from exchange.serve.misp import errors as misp
from exchange.serve.misp.address import addressed
from exchange.serve.site import Site

log = structlog.get_logger("exchange.serve")

CHALLENGE = 'Basic realm="exchange", Bearer'
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_ADVICE = {
    "request.media_type": ("Accept", media.TAXII),  # RFC 9110 section 12.5.1
    "request.content_coding": ("Accept-Encoding", "identity"),  # RFC 7694 section 3
}
"""What a refusal of these kinds tells in a header besides."""
_OF_CONTENT = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last", "ETag", "Content-Encoding")
COME_BACK = 5
"""Seconds in `Retry-After` where nothing better is known."""


class Unavailable(ExchangeError):
    """Not now, though the request is right: paused, or being decided again. Answered with 503 and Retry-After."""

    def __init__(self, code: str, *, retry_after: int = COME_BACK, **fields: Any) -> None:
        super().__init__(code, retry_after=retry_after, **fields)


def resource(resp: falcon.Response, body: Any, status: int = 200) -> None:
    """Answer with a TAXII resource; `body` may be its bytes already."""
    resp.status = status
    resp.data = body if isinstance(body, bytes) else orjson.dumps(body)


class Headers:
    """Middleware: what every answer says about caching and sniffing, errors included (RULES R24)."""

    def process_response(self, _req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool) -> None:
        """Nothing of ours is kept by a shared cache, or taken for another type than it says."""
        resp.set_headers(
            (
                ("Cache-Control", "private, no-cache"),
                ("Vary", "Authorization, Accept, Accept-Encoding"),
                ("X-Content-Type-Options", "nosniff"),
            )
        )


class Methods:
    """Middleware: what an address answers to methods that its resource does not have (RFC 9110 section 9.1)."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, _params: object) -> None:
        """OPTIONS is answered here, with 204; any other method that is not offered, known or not, is a 405."""
        method = req.method
        if method in _METHODS and hasattr(resource, f"on_{method.lower()}"):
            return
        # A resource of many addresses knows which of them has which methods.
        has = getattr(resource, "methods", None)
        named = has(req) if has is not None else {each for each in _METHODS if hasattr(resource, f"on_{each.lower()}")}
        offered = [each for each in _METHODS if each == "OPTIONS" or each in named]
        if method != "OPTIONS":
            raise falcon.HTTPMethodNotAllowed(offered)
        resp.status = falcon.HTTP_204
        resp.set_header("Allow", ", ".join(offered))
        resp.complete = True


class Failures:
    """Turns whatever is raised into a TAXII error resource in the reader's language; at MISP's addresses its own."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def install(self, app: falcon.App[falcon.Request, falcon.Response]) -> None:
        """Answer for our own errors, for Falcon's, and for those that nobody foresaw."""
        app.add_error_handler(ExchangeError, self.ours)
        app.add_error_handler(falcon.HTTPError, self.falcons)
        app.add_error_handler(Exception, self.unforeseen)

    def ours(self, req: falcon.Request, resp: falcon.Response, error: ExchangeError, _params: object) -> None:
        """An error of the house: its code, its sentence, and the status that `errors.meaning` gives it."""
        means = meaning(error)
        status = 503 if isinstance(error, Unavailable) else means.http
        if addressed(req.path):
            status = misp.status_of(error, status)
        elif isinstance(error, NotAuthenticated):
            resp.set_header("WWW-Authenticate", CHALLENGE)
        if error.code in _ADVICE:
            resp.set_header(*_ADVICE[error.code])
        wait = error.fields.get("retry_after", COME_BACK if means.retry else None)
        if wait is not None:
            resp.set_header("Retry-After", str(wait))
        reference = ""
        if status >= 500 and not isinstance(error, Unavailable | StoreBusy):
            reference = self._note(req, error)
        language = self._language(req)
        code = error.code
        if isinstance(error, StoreError) or not i18n.knows(code, language):
            # The detail of a store's failure (a path, a table) is the operator's and stands in the log.
            text = i18n.text(_general(error, status), language)
        else:
            text = i18n.describe(error, language)
        _tell(req, resp, status, code, text, language, reference, error)

    def falcons(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: object) -> None:
        """Routing and HTTP itself: 404, 405, a malformed header. Its own headers (`Allow`) stay."""
        status = error.status_code
        if error.headers:
            resp.set_headers(error.headers)
        language = self._language(req)
        code = {404: "request.not_found", 405: "request.method"}.get(status, "request.invalid")
        _tell(req, resp, status, code, i18n.text(code, language, method=req.method, path=req.path[:200]), language)

    def unforeseen(self, req: falcon.Request, resp: falcon.Response, error: Exception, _params: object) -> None:
        """A mistake of ours: the reader gets a reference, the log everything else."""
        reference = self._note(req, error)
        language = self._language(req)
        _tell(req, resp, 500, "error.internal", i18n.text("error.internal", language), language, reference)

    def _language(self, req: falcon.Request) -> Language:
        return media.language(req.get_header("Accept-Language", default=""), self.site.language)

    def _note(self, req: falcon.Request, error: Exception) -> str:
        reference = secrets.token_hex(6)
        log.error("serve.failed", reference=reference, method=req.method, path=req.path, exc_info=error)
        return reference


def _general(error: ExchangeError, status: int) -> str:
    if isinstance(error, StoreError):
        return {"StoreBusy": "error.store_busy", "StoreOutdated": "request.not_ready"}.get(
            type(error).__name__, "error.internal"
        )
    return "error.internal" if status >= 500 else "error.request"


def _tell(
    req: falcon.Request,
    resp: falcon.Response,
    status: int,
    code: str,
    text: str,
    language: Language,
    reference: str = "",
    error: Exception | None = None,
) -> None:
    if addressed(req.path):
        misp.tell(req, resp, status, text, language, error=error, reference=reference)
        return
    resp.content_type = media.TAXII
    body = {
        "title": i18n.text(f"request.title_{status}", language) if _titled(status, language) else str(status),
        "description": text,
        "error_code": code,
        "http_status": str(status),
    }
    if reference:
        body["error_id"] = reference
    # A page that failed while it was put together leaves nothing of itself behind.
    resp.text = None
    resource(resp, body, status)
    for name in _OF_CONTENT:
        resp.delete_header(name)


def _titled(status: int, language: Language) -> bool:
    return i18n.knows(f"request.title_{status}", language)
