"""WHAT others fetch: TAXII 2.1, MISP feeds, the front page and the sign of life. `application` over a `Site`.

Content comes in through `sync.accept` and goes by `sync.withdrawal`; besides, this room writes its read ledger and the
status of what was posted. It decides nothing and knows no settings.
`server.run` puts the application on a socket.
"""

from exchange.serve.site import Site
from exchange.serve.visitor import Visitor
from exchange.serve.wsgi import application

__all__ = ["Site", "Visitor", "application"]
