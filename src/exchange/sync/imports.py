"""Files through the same door: a bundle, an envelope, a list, one object, a MISP event, a folder of them; gzip too.

Each file is a drain of its own: what is unmarked is settled when the file is at its end. Big bundles are streamed, so
memory does not grow with the file.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path

from exchange.convert import split, uuid_in
from exchange.errors import ContentError, UsageError
from exchange.model.envelope import PAGE, Document, Page, Rejected, sift, stream
from exchange.model.party import Source
from exchange.model.stix import LARGEST
from exchange.policy import Rules
from exchange.store import Store, sources
from exchange.store.clock import micros
from exchange.sync.accept import accept
from exchange.sync.pull import pages

_HEAD = 1 << 20
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]:]', re.S)
_LARGEST_EVENT = 256 * 1024 * 1024
_SUFFIXES = (".json", ".json.gz", ".stix2", ".stix2.gz", ".stix", ".stix.gz")
_SPOILT = (OSError, EOFError, zlib.error)
"""What reading a damaged or cut gzip file raises."""
_INDEXES = {"manifest.json", "manifest.json.gz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What one file brought: counts per outcome."""

    path: Path
    counts: dict[str, int]


def files_of(path: Path) -> list[Path]:
    """The file itself, or every file of a folder that may hold intelligence, in order of name."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError("cli.no_such_file", path=str(path))
    found = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(_SUFFIXES) and p.name not in _INDEXES)
    if not found:
        raise UsageError("cli.empty_folder", path=str(path), suffixes=" ".join(_SUFFIXES))
    return found


def import_files(
    store: Store, rules: Rules, path: Path, source: Source, clock: Callable[[], datetime]
) -> Iterator[Imported]:
    """Take every file at `path` as from `source`; one result for each, as it is done."""
    for file in files_of(path):
        with store.writing() as tx:
            number = sources.begin_run(tx, source.key, micros(clock()))
        counts: Counter[str] = Counter()
        for brought in _pages(file, source, clock):
            page = replace(brought, rejected=[_named(item, file) for item in brought.rejected])
            accepted = accept(store, rules, page, source.key, source.peer, clock())
            counts.update(accepted.counts)
        with store.writing() as tx:
            sources.end_run(tx, number, micros(clock()), "complete", counts)
            sources.completed(tx, source.key, micros(clock()))
        yield Imported(path=file, counts=dict(counts))


def _named(item: Rejected, file: Path) -> Rejected:
    """The rejection with the name of the file it came in."""
    return replace(item, fields={**item.fields, "file": file.name})


def _open(path: Path) -> BufferedIOBase:
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _pages(path: Path, source: Source, clock: Callable[[], datetime]) -> Iterator[Page]:
    """The pages of one file; what cannot be read of it becomes one rejection with the reason."""
    try:
        with _open(path) as file:
            head = _beginning_of(file)
            file.seek(0)
            if _is_event(head):
                yield from _event(file, source, clock())
            else:
                yield from _objects(file, path)
    except (ContentError, *_SPOILT) as error:
        code = error.code if isinstance(error, ContentError) else "content.file"
        fields = dict(error.fields) if isinstance(error, ContentError) else {"detail": str(error)[:200]}
        yield Page(
            rejected=[Rejected(raw=_beginning(path), code=code, fields={**fields, "file": path.name})], last=True
        )


def _beginning_of(file: BufferedIOBase) -> bytes:
    """The first bytes; of a file that is cut or spoilt, what there is."""
    head = b""
    try:
        while len(head) < _HEAD and (more := file.read1(_HEAD)):
            head += more
    except _SPOILT:
        if not head:
            raise
    return head


def _is_event(head: bytes) -> bool:
    """Whether this is a MISP event (bare, wrapped, in a response) and not STIX: by the names at its outside."""
    names, depth, last = set(), 0, b""
    inner = 2 if head.lstrip()[:1] == b"[" else 1
    for token in _TOKEN.finditer(head):
        mark = token.group()
        if mark == b":":
            if depth == inner:
                names.add(last)
        elif mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth < inner and names:
                break
        else:
            last = mark
    if b'"objects"' in names or b'"spec_version"' in names:
        return False
    return bool(names & {b'"Event"', b'"response"'}) or {b'"info"', b'"uuid"'} <= names or b'"Attribute"' in names


def _event(file: BufferedIOBase, source: Source, now: datetime) -> Iterator[Page]:
    raw = file.read(_LARGEST_EVENT + 1)
    if len(raw) > _LARGEST_EVENT:
        raise ContentError("content.size", size=len(raw), limit=_LARGEST_EVENT)
    yield from _events(raw, source, now)
    yield Page(last=True)


def event_in(raw: bytes, source: Source, now: datetime) -> Iterator[Page] | None:
    """The pages of the MISP events in `raw`; None: it is STIX, or nothing that we know."""
    return _events(raw, source, now) if _is_event(raw[:_HEAD]) else None


def _events(raw: bytes, source: Source, now: datetime) -> Iterator[Page]:
    for event in split(raw):
        document = Document(kind="misp-event", id=uuid_in(event), version="", raw=event)
        yield from pages(Page(document=document), source, now)


def _objects(file: BufferedIOBase, path: Path) -> Iterator[Page]:
    """Pages of a streamed list of objects; a file that is a single object is a page of one."""
    batch: list[bytes] = []
    pending: Page | None = None
    try:
        for raw in stream(file):
            batch.append(raw)
            if len(batch) == PAGE:
                if pending is not None:
                    yield pending
                pending, batch = _page(batch), []
    except (ContentError, *_SPOILT) as error:
        if isinstance(error, ContentError) and pending is None and not batch and path.stat().st_size <= LARGEST:
            file.seek(0)
            yield replace(_page([file.read()]), last=True)
            return
        if pending is not None:
            yield pending
        yield _page(batch)
        raise
    if pending is not None:
        yield pending
    yield replace(_page(batch), last=True)


def _page(raws: list[bytes]) -> Page:
    good, bad = sift(raws)
    return Page(objects=good, rejected=bad)


def _beginning(path: Path) -> bytes:
    """What is kept of a file that cannot be read as a whole: all of it, up to the largest object."""
    with path.open("rb") as file:
        return file.read(LARGEST)
