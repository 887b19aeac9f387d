"""Values that belong to everybody: what MISP's warninglists say of addresses, names, hashes that must not be blocked.

    index = benign.index(terms.benign)       # read from the package once per process, on the first question
    index.hits(item.values)                  # the values that are on one of the lists: microseconds
    benign.explain(terms.benign, "domain-name:value", "example.org")   # on which list, and how: slow, for people

The lists are MISP's own (github.com/MISP/misp-warninglists), read from the pymispwarninglists wheel; the library itself
is never loaded. How a list matches is MISP's: `string` is equal, `hostname` is equal or a sub-domain (of a URL its
host), `substring`, `regex`, and `cidr`, where a network may also hold an entry or overlap one.
"""

from exchange.model.benign.choice import DEFAULT, NOTHING, Choice
from exchange.model.benign.index import Index, index
from exchange.model.benign.lists import available
from exchange.model.benign.matches import Match, explain

__all__ = ["DEFAULT", "NOTHING", "Choice", "Index", "Match", "available", "explain", "index"]
