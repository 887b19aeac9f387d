"""What needs no account: the page that says what this is, and the sign of life."""

from __future__ import annotations

from html import escape

import falcon
import orjson

from exchange import i18n
from exchange.errors import StoreError
from exchange.i18n import LANGUAGES, Language
from exchange.serve import media
from exchange.serve.login import Proxies
from exchange.serve.roots import DISCOVERY
from exchange.serve.site import Site

_STYLE = (
    "body{font:1.05rem/1.6 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}code{overflow-wrap:anywhere}a{color:#0a4f8f}"
    "@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}a{color:#8ec5ff}}"
)
_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head>
<body><nav><a href="/?lang={other}" lang="{other}" hreflang="{other}">{other_name}</a></nav>
<main><h1>{title}</h1><p>{what}</p><h2>{connect}</h2><p>{how}</p><p><code>{discovery}</code></p>
<h2>{ask}</h2><p>{whom}</p></main></body></html>
"""
_NAMES: dict[Language, str] = {"fr": "Français", "en": "English"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Front:
    """`GET /`: for a person with a browser. It holds no data, and loads nothing from anywhere."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._proxies = Proxies(site.proxies)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page, in the language that the browser prefers or that `?lang=` names."""
        chosen = req.params.get("lang")
        language = next((name for name in LANGUAGES if name == chosen), None) or media.language(
            req.get_header("Accept-Language", default=""), self.site.language
        )
        other: Language = "en" if language == "fr" else "fr"
        base = self.site.public_url.rstrip("/") or f"{self._proxies.scheme(req)}://{req.netloc}"

        def say(code: str) -> str:
            return escape(i18n.text(code, language, node=self.site.title, contact=self.site.contact))

        resp.content_type = "text/html; charset=utf-8"
        resp.set_headers((("Content-Language", language), ("Content-Security-Policy", _POLICY)))
        resp.set_header("Referrer-Policy", "no-referrer")
        resp.text = _PAGE.format(
            language=language,
            other=other,
            other_name=_NAMES[other],
            title=escape(self.site.title),
            style=_STYLE,
            what=say("request.front_what"),
            connect=say("request.front_connect"),
            how=say("request.front_how"),
            discovery=escape(f"{base}{DISCOVERY}/"),
            ask=say("request.front_ask"),
            whom=say("request.front_contact" if self.site.contact else "request.front_no_contact"),
        )

    on_head = on_get


class Health:
    """`GET /health`: whether this process answers and its store can be read. It tells nothing else."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"status":"ok"}` with 200, else 503."""
        try:
            with self.site.store.reading() as tx:
                tx.exec_driver_sql("SELECT 1")
            status, word = 200, "ok"
        except StoreError:
            status, word = 503, "unavailable"
        resp.status = status
        resp.content_type = "application/json"
        resp.data = orjson.dumps({"status": word})

    on_head = on_get
