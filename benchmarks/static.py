"""nginx serving the same pages as files, plain and compressed beforehand: what the machine can do at best."""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from lab.child import Child
from lab.partners import TAXII
from lab.round import free_port

from benchmarks.content import Content
from benchmarks.servers import LIMIT, NEWS, Server, answers

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
_MARKS = ("news", "none")
_CONF = """
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=10000;
  types {{ }}
  default_type "{taxii}";
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  map $http_accept_encoding $suffix {{ default ""; "~zstd" ".zstd"; "~gzip" ".gzip"; }}
  map $suffix $coding {{ default ""; ".zstd" "zstd"; ".gzip" "gzip"; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {folder}/pages;
    location / {{
      add_header Content-Encoding $coding;
      try_files $uri$arg_added_after$arg_next.json$suffix =404;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, content: Content, count: int) -> Iterator[Server]:
    """nginx over the pages of `count` objects and the news."""
    assert PROGRAM
    pages, port = folder / "pages", free_port()
    _write_pages(pages, content, count + NEWS)
    (pages / "objects" / f"{_MARKS[0]}.json").write_bytes(_page([content.body(count + n) for n in range(NEWS)], ""))
    (pages / "objects" / f"{_MARKS[1]}.json").write_bytes(b"{}")
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not read our folder
    (folder / "nginx.conf").write_text(_CONF.format(user=user, folder=folder, port=port, taxii=TAXII))
    command: list[str | Path] = [PROGRAM, "-p", folder, "-c", folder / "nginx.conf", "-g", "daemon off;"]
    with Child(command, log=folder / "nginx.log") as child:
        server = Server(name="nginx", address=("127.0.0.1", port), path="/", pids=(child.pid,), marks=_MARKS)
        child.wait_until(lambda: answers(server))
        yield server


def _write_pages(pages: Path, content: Content, count: int) -> None:
    for name in ("objects", "manifest"):
        (pages / name).mkdir(parents=True)
    for number, start in enumerate(range(0, count, LIMIT)):
        indexes = range(start, min(start + LIMIT, count))
        following = str(number + 1) if start + LIMIT < count else ""
        file = f"{number or ''}.json"
        _write(pages / "objects" / file, _page([content.body(index) for index in indexes], following))
        _write(pages / "manifest" / file, _page([_described(content, index) for index in indexes], following))


def _write(file: Path, page: bytes) -> None:
    file.write_bytes(page)
    file.with_name(f"{file.name}.gzip").write_bytes(gzip.compress(page, 6))
    if importlib.util.find_spec("zstandard"):
        import zstandard

        file.with_name(f"{file.name}.zstd").write_bytes(zstandard.compress(page, 3))


def _page(parts: list[bytes], following: str) -> bytes:
    more = b'"more":true,"next":"' + following.encode() + b'"' if following else b'"more":false'
    return b"{" + more + b',"objects":[' + b",".join(parts) + b"]}"


def _described(content: Content, index: int) -> bytes:
    added = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=index)
    described = {
        "id": content.id(index),
        "date_added": f"{added:%Y-%m-%dT%H:%M:%S.%fZ}",
        "version": f"{added:%Y-%m-%dT%H:%M:%S.%fZ}",
        "media_type": "application/stix+json;version=2.1",
    }
    return orjson.dumps(described)
