"""A first configuration for a new node: what `exchange init` writes. It shares nothing with anybody yet."""

from __future__ import annotations

import uuid
from pathlib import Path

from exchange.i18n import Language

_NODE = """\
# Le nœud / The node.   exchange check --config {folder}
[node]
name     = "{name}"
identity = "identity--{identity}"  # à garder pour toujours / keep it for ever
language = "{language}"

[store]
url       = "sqlite:///{data}/exchange.db"
keep_free = "1 GiB"

[serve]
listen     = "127.0.0.1:8443"
public_url = "http://127.0.0.1:8443"  # ce que tapent les partenaires / what partners type

[sync]
outbound = true
every    = "15m"

# Rien ne périme sans un tel tableau. / Nothing expires without such a table.
# [[expiry]]
# types     = ["indicator"]
# half_life = "30d"  # une observation remet à neuf / a sighting makes it as new
"""

_PEER = """\
# Notre propre maison : fichiers importés pour nous. / Our own house: files imported for us.
#   exchange import FILE --source {id}/fichiers
name       = "{name}"
role       = "home"
identities = ["identity--{identity}"]

[[source]]
id   = "fichiers"
kind = "file"
"""

_AGREEMENT = """\
# Qui peut recevoir quoi, pourquoi, jusqu'à quand. / Who may get what, why, until when.
title   = "Notre propre maison / Our own house"
parties = ["{id}"]
from    = 2025-01-01
until   = 2099-12-31
purpose = "Usage interne / internal use"

[send]
ceiling = "TLP:RED"
"""

_COLLECTION = """\
# Une collection TAXII et un flux MISP. / A TAXII collection and a MISP feed.
id      = "{collection}"  # tiré au sort, ne change jamais / drawn, never changes
title   = {{ fr = "Tout ce qui nous est adressé", en = "Everything addressed to us" }}
readers = ["{id}"]
ceiling = "TLP:RED"
"""


def write_skeleton(folder: Path, *, name: str, language: Language, data: Path) -> list[Path]:
    """Write the files that are not there yet; gives those written. What is there is never touched."""
    home = "maison"
    fields = {
        "name": name.replace('"', "'"),
        "id": home,
        "identity": str(uuid.uuid4()),
        "collection": str(uuid.uuid4()),
        "language": language,
        "data": str(data.absolute()),
        "folder": str(folder),
    }
    files = {
        folder / "exchange.toml": _NODE,
        folder / "peers" / f"{home}.toml": _PEER,
        folder / "agreements" / f"{home}.toml": _AGREEMENT,
        folder / "collections" / "interne.toml": _COLLECTION,
    }
    if (folder / "exchange.toml").exists():
        return []
    written = []
    for path, template in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(template.format(**fields), encoding="utf-8")
            written.append(path)
    data.mkdir(parents=True, exist_ok=True)
    return written
