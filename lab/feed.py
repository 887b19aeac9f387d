"""CIRCL's MISP feed over HTTP: manifest.json, one file an event, hashes.csv; the folder may change meanwhile.

with feed(folder, samples.circl_feed()) as osint:
    osint.publish(event)                       # adds or replaces; manifest and hashes follow
    osint.site.disturb("/manifest.json", status=503)
    assert osint.site.count("/manifest.json", 304) == 1
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import falcon

from lab.web import Site, site

Event = Mapping[str, Any]
_IN_MANIFEST = ("info", "date", "analysis", "threat_level_id", "timestamp")
_TYPES = {".json": "application/json", ".csv": "text/plain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A running feed."""

    url: str
    folder: Path
    site: Site

    def publish(self, event: Event) -> None:
        """Add an event, or replace the one with its uuid."""
        write_events(self.folder, [event])

    def withdraw(self, uuid: str) -> None:
        """Take an event out of the manifest and the folder; readers that have it keep it, as everywhere in MISP."""
        manifest = _manifest(self.folder)
        del manifest[uuid]
        (self.folder / "manifest.json").write_text(json.dumps(manifest))
        (self.folder / f"{uuid}.json").unlink()
        _write_hashes(self.folder, manifest)


@contextmanager
def feed(folder: Path, events: Iterable[Event] = (), port: int = 0) -> Iterator[Feed]:
    """Serve `folder`, after writing `events` into it; a folder that is a feed already is served as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    write_events(folder, events)
    with site(application(folder), port) as running:
        yield Feed(url=running.url, folder=folder, site=running)


def application(folder: Path) -> falcon.App[falcon.Request, falcon.Response]:
    """The feed as a WSGI application."""
    app = falcon.App()
    app.add_route("/{name}", _Files(folder))
    return app


class _Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_get(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        file = self._folder / name
        if not file.is_file() or file.suffix not in _TYPES:
            raise falcon.HTTPNotFound
        body = file.read_bytes()
        response.content_type = _TYPES[file.suffix]
        response.etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if response.get_header("ETag") == request.get_header("If-None-Match"):
            response.status = falcon.HTTP_304
        else:
            response.data = body


def write_events(folder: Path, events: Iterable[Event]) -> None:
    """Write event files, and bring manifest and hashes up to date."""
    manifest = _manifest(folder)
    for event in events:
        (folder / f"{event['uuid']}.json").write_text(json.dumps({"Event": event}, ensure_ascii=False))
        entry = {key: event[key] for key in _IN_MANIFEST if key in event}
        manifest[event["uuid"]] = {"Orgc": event.get("Orgc"), "Tag": event.get("Tag", []), **entry}
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False))
    _write_hashes(folder, manifest)


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / "manifest.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _write_hashes(folder: Path, manifest: Mapping[str, Any]) -> None:
    lines = []
    for uuid in manifest:
        event = json.loads((folder / f"{uuid}.json").read_text())["Event"]
        inside = [a for object_ in event.get("Object", []) for a in object_.get("Attribute", [])]
        for attribute in [*event.get("Attribute", []), *inside]:
            for value in str(attribute.get("value", "")).split("|"):
                digest = hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
                lines.append(f"{digest},{uuid}\n")
    (folder / "hashes.csv").write_text("".join(lines))
