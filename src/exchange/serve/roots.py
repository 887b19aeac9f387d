"""Discovery, the API root and the collections (TAXII 2.1 sections 4.1, 4.2, 5.1 and 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import falcon

from exchange.i18n import Language
from exchange.model.party import Collection
from exchange.serve import media, tags
from exchange.serve.door import Door, Visit

DISCOVERY = "/taxii2"
ROOT = "/api"
"""One segment below the base: MISP keeps only the last segment of an API root (reference/misp.md section 4)."""


def in_language(texts: Mapping[str, str], language: Language) -> str:
    """The text for this reader, else any that there is."""
    return texts.get(language) or next(iter(texts.values()), "")


def described(collection: Collection, visit: Visit) -> dict[str, Any]:
    """The collection resource (section 5.2.1); the rights are those of this account."""
    description = in_language(collection.description, visit.language)
    return {
        "id": collection.id,
        "title": in_language(collection.title, visit.language) or collection.alias,
        **({"description": description} if description else {}),
        "alias": collection.alias,
        "can_read": visit.readable(collection),
        "can_write": visit.peer in collection.writers,
        "media_types": [media.STIX],
    }


class Room:
    """A resource behind the door."""

    on_get: Callable[..., None]

    def __init__(self, door: Door) -> None:
        self.door = door
        self.site = door.site

    def on_head(self, req: falcon.Request, resp: falcon.Response, **named: str) -> None:
        """The headers that GET would answer with, Content-Length too; its body is not sent."""
        self.on_get(req, resp, **named)


class Discovery(Room):
    """`GET /taxii2/` (section 4.1). Addresses are absolute, and `default` is literally one of `api_roots`."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The discovery resource."""
        with self.door.visit(req) as visit:
            root = f"{visit.base}{ROOT}/"
            description = in_language(self.site.description, visit.language)
            tags.answer(
                req,
                resp,
                {
                    "title": self.site.title,
                    **({"description": description} if description else {}),
                    **({"contact": self.site.contact} if self.site.contact else {}),
                    "default": root,
                    "api_roots": [root],
                },
            )


class Root(Room):
    """`GET /api/` (section 4.2)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The API root resource."""
        with self.door.visit(req):
            tags.answer(
                req,
                resp,
                {
                    "title": self.site.title,
                    "versions": [media.TAXII],
                    "max_content_length": self.site.max_content_length,
                },
            )


class Collections(Room):
    """`GET /api/collections/` (section 5.1): those that exist for this account."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The collections resource; no empty list."""
        with self.door.visit(req) as visit:
            found = [described(collection, visit) for collection in visit.collections()]
            tags.answer(req, resp, {"collections": found} if found else {})


class OneCollection(Room):
    """`GET /api/collections/{id or alias}/` (section 5.2)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The collection resource. Raises NotFound."""
        with self.door.visit(req) as visit:
            tags.answer(req, resp, described(visit.collection(name), visit))
