"""WHAT others fetch: TAXII 2.1, MISP feeds, the front page and the sign of life. `application` over a `Site`.

This room reads through `store` and writes only through `sync.accept`; it decides nothing and knows no settings.
`server.run` puts the application on a socket.
"""

from exchange.serve.site import Site
from exchange.serve.wsgi import application

__all__ = ["Site", "application"]
