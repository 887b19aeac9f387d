"""The configuration: a folder of TOML files → frozen settings, valid as a whole, or every mistake in it at once.

    settings = load(Path("/etc/exchange"))       # raises ConfigError
    for warning in warnings(settings, now): …    # what works but deserves a look
    credentials(settings.terms.peers["ccc"])     # only in the process that uses them (RULES R29)

`exchange.toml` holds the node; `peers/ID.toml`, `agreements/ID.toml` and `collections/ALIAS.toml` the rest. Loading
reads no clock and no secret.
"""

from exchange.config.folder import load
from exchange.config.secrets import credentials, resolve
from exchange.config.settings import Node, Serve, Settings, Store, Sync
from exchange.config.warning import warnings

__all__ = ["Node", "Serve", "Settings", "Store", "Sync", "credentials", "load", "resolve", "warnings"]
