"""OpenTAXII and medallion as their makers say to run them: gunicorn, two workers, one where memory is the store."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import opentaxii_store
from lab.child import Child
from lab.medallion_content import medallion_content
from lab.partners import DEPOT, POSTKAST
from lab.round import free_port
from lab.venvs import python_of

from benchmarks import filling
from benchmarks.content import Content
from benchmarks.postgresql import cluster
from benchmarks.servers import LIMIT, Server, answers, weigh

_HOST, _SETTINGS = "127.0.0.1", "OPENTAXII_CONFIG"
_READY = """\
from pathlib import Path


def post_worker_init(worker):
    Path({folder!r}, f"ready.{{worker.age}}").touch()
"""
"""gunicorn's settings: each worker tells that it has loaded the application."""
_PATH = f"/taxii2/{opentaxii_store.API_ROOT}/collections/{POSTKAST}/"
App = tuple[Path, str, Mapping[str, str]]
"""Interpreter, application and environment."""


@contextmanager
def opentaxii(folder: Path, _content: Content, _count: int) -> Iterator[Server]:
    """OpenTAXII on SQLite."""
    store = folder / "store"
    store.mkdir()
    database, port, auth = store / "opentaxii.db", free_port(), _account()
    app = _make_tables(folder, opentaxii_store.settings(f"http://{_HOST}:{port}/", database))
    opentaxii_store.furnish(database, account=auth, collections={"postkast": (POSTKAST, ["read", "write"])})
    server = Server(
        name="opentaxii",
        address=(_HOST, port),
        path=_PATH,
        auth=auth,
        size=lambda: weigh(store),
        load=lambda content, count: filling.sqlite(database, POSTKAST, content, count),
    )
    with _gunicorn(server, app, folder, workers=2) as running:
        yield running


@contextmanager
def opentaxii_on_postgresql(folder: Path, _content: Content, _count: int) -> Iterator[Server]:
    """OpenTAXII on PostgreSQL."""
    with cluster(folder / "pg") as database:
        port, auth = free_port(), _account()
        settings = opentaxii_store.settings(f"http://{_HOST}:{port}/", folder / "none.db")
        for api in (settings["auth_api"], settings["taxii2"]["persistence_api"]):
            api["parameters"]["db_connection"] = database.url("psycopg2")
        app = _make_tables(folder, settings)
        filling.furnish(database.dsn, auth, POSTKAST)
        server = Server(
            name="opentaxii-pg",
            address=(_HOST, port),
            path=_PATH,
            auth=auth,
            pids=(database.pid,),
            size=database.size,
            load=lambda content, count: filling.postgresql(database.dsn, POSTKAST, content, count),
        )
        with _gunicorn(server, app, folder, workers=2) as running:
            yield running


def _make_tables(folder: Path, settings: Mapping[str, Any]) -> App:
    """Write the settings and make the tables: two workers that start at once would both try."""
    python, file = python_of("opentaxii"), folder / "opentaxii.yml"
    file.write_text(json.dumps(settings))  # JSON is YAML, which OpenTAXII reads
    command = [str(python), "-I", "-c", "import opentaxii.http"]
    subprocess.run(command, env={_SETTINGS: str(file)}, check=True, cwd=folder, capture_output=True)
    return python, "opentaxii.http:app", {_SETTINGS: str(file)}


@contextmanager
def medallion(folder: Path, _content: Content, _count: int) -> Iterator[Server]:
    """medallion with its memory backend; its work grows with the square of the objects."""
    python, port, auth = python_of("medallion"), free_port(), _account()
    content = medallion_content(f"http://{_HOST}:{port}/", {"depot": (DEPOT, ())}, ("depot",))
    (folder / "content.json").write_text(json.dumps(content))
    settings = {
        "backend": {
            "module": "medallion.backends.memory_backend",
            "module_class": "MemoryBackend",
            "filename": str(folder / "content.json"),
        },
        "users": dict([auth]),
        "taxii": {"max_page_size": LIMIT},
    }
    (folder / "medallion.json").write_text(json.dumps(settings))
    app = f"medallion:load_app({str(folder / 'medallion.json')!r})"
    server = Server(name="medallion", address=(_HOST, port), path=f"/api1/collections/{DEPOT}/", auth=auth)
    with _gunicorn(server, (python, app, {}), folder, workers=1) as running:
        yield running


def _account() -> tuple[str, str]:
    return "bench", secrets.token_hex(20)


@contextmanager
def _gunicorn(server: Server, app: App, folder: Path, *, workers: int) -> Iterator[Server]:
    """Start the application; the server, with its process, when every worker has loaded it.

    A worker that loads OpenTAXII looks at its tables. One that still does so while they are filled finds SQLite locked
    and ends, and gunicorn ends with it; that another worker answers says nothing about this one.
    """
    python, name, env = app
    host, port = server.address
    settings = folder / "gunicorn.py"
    settings.write_text(_READY.format(folder=str(folder)))
    options = ["--config", str(settings), "--bind", f"{host}:{port}", "--workers", str(workers), "--timeout", "600"]
    quiet = ["--no-control-socket", "--log-level", "warning"]
    command: list[str | Path] = [python, "-I", "-m", "gunicorn", *options, *quiet, name]
    with Child(command, log=folder / "gunicorn.log", cwd=folder, env=env) as child:
        running = replace(server, pids=(child.pid, *server.pids))
        child.wait_until(lambda: len(list(folder.glob("ready.*"))) >= workers and answers(running))
        yield running
