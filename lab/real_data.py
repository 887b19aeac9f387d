"""Real intelligence instead of ours alone: what `--data DIR` adds to the partners, as far as DIR holds it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

Json = dict[str, Any]

MITRE_MARKING = "marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"  # terms of use, which restrict nobody
MEDALLION_MAX = 400  # objects; medallion compares every object with every entry of its manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RealData:
    """What each partner gets on top of the samples."""

    ccc: list[Json] = field(default_factory=list)
    cert_ee: list[Json] = field(default_factory=list)
    circl: list[Json] = field(default_factory=list)
    feed: Path | None = None

    @property
    def orgs(self) -> set[str]:
        """The creators of the events, whom the configuration has to name."""
        manifest = read_json(self.feed / "manifest.json") if self.feed else {}
        return {entry["Orgc"]["uuid"] for entry in [*self.circl, *manifest.values()]}


def real_data(folder: Path) -> RealData:
    """Mobile spyware indicators for CCC, ATT&CK for CERT-EE, ESET's events and Infoblox's feed for CIRCL."""
    attack = sorted((folder / "stix21" / "attack").glob("*.json.gz"))[-1:]  # several releases: the latest
    feed = folder / "misp-feed" / "infoblox"
    return RealData(
        ccc=list(islice(objects_in(folder / "stix21" / "mvt", "*.stix2"), MEDALLION_MAX)),
        cert_ee=[object_ for path in attack for object_ in read_json(path)["objects"]],
        circl=list(events_in(folder / "misp-events" / "eset")),
        feed=feed if (feed / "manifest.json").exists() else None,
    )


def copy_feed(source: Path, folder: Path) -> None:
    """Copy a feed, leaving out of its manifest the events whose files are not there."""
    folder.mkdir(parents=True)
    present = {}
    for uuid, entry in read_json(source / "manifest.json").items():
        if (source / f"{uuid}.json").exists():
            shutil.copy(source / f"{uuid}.json", folder)
            present[uuid] = entry
    (folder / "manifest.json").write_text(json.dumps(present), encoding="utf-8")


def objects_in(folder: Path, pattern: str) -> Iterator[Json]:
    """The objects of every bundle in the folder."""
    for path in sorted(folder.glob(pattern)):
        yield from read_json(path)["objects"]


def events_in(folder: Path) -> Iterator[Json]:
    """The events of every file in the folder, as on an instance."""
    for path in sorted(folder.glob("*.json*")):
        content = read_json(path)
        wrapped = content["response"] if isinstance(content, dict) and "response" in content else content
        for each in wrapped if isinstance(wrapped, list) else [wrapped]:
            event = each.get("Event", each)
            if "Orgc" in event:
                # The files are drafts of their authors; on an instance they would have been published.
                yield {**event, "published": True, "publish_timestamp": event["timestamp"]}


def read_json(path: Path) -> Any:
    """What is in a JSON file, packed or not."""
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
