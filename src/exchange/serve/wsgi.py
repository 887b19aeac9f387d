"""The map of addresses, and the WSGI application over it."""

from __future__ import annotations

import falcon

from exchange.serve import media, openapi
from exchange.serve.answers import Failures, Headers, Methods
from exchange.serve.door import Door
from exchange.serve.feed import Feeds
from exchange.serve.front import Front, Health
from exchange.serve.manifest import Manifest, ObjectVersions
from exchange.serve.misp.map import mount
from exchange.serve.objects import Objects, OneObject
from exchange.serve.posting import Poster
from exchange.serve.roots import DISCOVERY, ROOT, Collections, Discovery, OneCollection, Root
from exchange.serve.sheet import Desk
from exchange.serve.site import Site
from exchange.serve.status import Status


def application(site: Site) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application over `site`. It keeps no state that a restart or another worker would miss."""
    app = falcon.App(media_type=media.TAXII)
    app.add_middleware(Headers())
    app.add_middleware(Methods())
    # With and without the slash, answered directly: a redirect makes clients drop the body of a POST.
    app.req_options.strip_url_path_trailing_slash = True
    Failures(site).install(app)
    door, desk = Door(site), Desk()
    one = f"{ROOT}/collections/{{name}}"
    app.add_route("/", Front(site))
    app.add_route("/health", Health(site))
    app.add_route(openapi.PATH, openapi.Description(site))
    app.add_route(DISCOVERY, Discovery(door))
    app.add_route(ROOT, Root(door))
    app.add_route(f"{ROOT}/status/{{status_id}}", Status(door))
    app.add_route(f"{ROOT}/collections", Collections(door))
    app.add_route(one, OneCollection(door))
    app.add_route(f"{one}/manifest", Manifest(door, desk))
    app.add_route(f"{one}/objects", Objects(door, desk, Poster(site)))
    app.add_route(f"{one}/objects/{{object_id}}", OneObject(door, desk))
    app.add_route(f"{one}/objects/{{object_id}}/versions", ObjectVersions(door, desk))
    app.add_route("/feeds/{name}/{file}", Feeds(door))
    mount(app, door)
    return app
