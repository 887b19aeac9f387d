"""What operators type: every command by its front door, for people in both languages and for programs in JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from exchange import daemon
from exchange.cli import app, brake, flow, node, terminal
from exchange.errors import PeerRefused, PeerUnreachable
from exchange.model.envelope import Page
from exchange.model.marking import Tlp
from exchange.model.profile import Profile, Remark
from exchange.store import audiences, micros, open_store, sources, tables
from exchange.sync.schedule import HEARTBEAT
from tests.serve.paper import Paper, paper
from tests.sync.partners import Giver
from tests.world import indicator, page, relationship

COLLECTION = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
FILES = {
    "exchange.toml": """
[node]
name = "CERT-QC"
identity = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
language = "en"
[store]
url = "sqlite:///{folder}/exchange.db"
[serve]
listen = "127.0.0.1:8443"
public_url = "https://echange.cert.example"
[sync]
outbound = true
""",
    "peers/circl.toml": """
name = "CIRCL"
[[source]]
id = "osint"
kind = "misp-feed"
url = "https://circl.example/feed/"
[[source]]
id = "fichiers"
kind = "file"
""",
    "peers/soc.toml": 'name = "SOC"\n',
    "agreements/circl.toml": """
title = "CIRCL"
parties = ["circl"]
from = 2025-01-01
until = 2099-01-01
purpose = "test"
[receive]
ceiling = "TLP:AMBER"
""",
    "agreements/soc.toml": """
title = "SOC"
parties = ["soc"]
from = 2025-01-01
until = 2099-01-01
purpose = "test"
[send]
ceiling = "TLP:GREEN"
""",
    "collections/partenaires.toml": f"""
id = "{COLLECTION}"
title = "Partners"
readers = ["soc"]
ceiling = "TLP:GREEN"
""",
}
TARGET = """
[[target]]
id = "depot"
kind = "taxii"
url = "https://taxii.soc.example/api1/"
collection = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
"""
RUNNER = CliRunner()


class Person:
    """Somebody at a terminal: types commands, reads what is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "etc"
        for name, content in FILES.items():
            path = self.config / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("{folder}", str(folder)), encoding="utf-8")

    @property
    def database(self) -> str:
        """The URL of the node's store."""
        return f"sqlite:///{self.folder}/exchange.db"

    def types(self, *words: str, code: int = 0, given: str | None = None) -> Any:
        """Run a command; its result. `given`: what comes on standard input."""
        result = RUNNER.invoke(app, [*words, "--config", str(self.config)], input=given)
        assert result.exit_code == code, f"{result.exit_code}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return result

    def asks(self, *words: str, code: int = 0) -> Any:
        """Run a command with --json; its answer, and nothing but JSON on standard output."""
        return json.loads(self.types(*words, "--json", code=code).stdout)

    def applies(self) -> None:
        """Have what stands in the folder run."""
        self.types("apply", "--yes")

    def file(self, *objects: dict[str, Any], name: str = "bundle.json") -> str:
        """A file of these objects."""
        path = self.folder / name
        path.write_text(json.dumps({"type": "bundle", "objects": objects}), encoding="utf-8")
        return str(path)

    def paper(self, certificate: Paper, name: str) -> str:
        """A file with this certificate."""
        path = self.folder / name
        path.write_text(certificate.pem)
        return str(path)

    def imports(self, *objects: dict[str, Any]) -> None:
        """Import these as from CIRCL."""
        self.types("import", self.file(*objects), "--source", "circl/fichiers")

    def everything_kept(self) -> bytes:
        """Every byte of the database's files."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("exchange*.db*")))


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    """A node with two partners, and a wide terminal."""
    terminal.out.width = terminal.err.width = 300
    yield Person(tmp_path)


def speak(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """The person at the terminal reads this language."""
    for room in (terminal, node, flow, brake):
        monkeypatch.setattr(room, "LANGUAGE", language)


def really(*words: str, language: str = "C.UTF-8") -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    environment = {**os.environ, "LC_ALL": language, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "exchange", *words],
        capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip


def test_from_nothing_to_an_answer(tmp_path: Path) -> None:
    """init, check, import, why, show, peers, quarantine: a first hour, with nothing edited by hand."""
    folder = str(tmp_path / "etc")

    def types(*words: str, code: int = 0) -> Any:
        result = RUNNER.invoke(app, [*words, "--config", folder, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    init = [*("init", "--data", str(tmp_path / "data"), "--name", 'CERT "Québec"')]
    written = types(*init)["written"]
    assert len(written) == 4
    assert types(*init)["written"] == []
    assert types("check")["ok"] is True
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"type": "bundle", "objects": [indicator("a.example"), {"id": "no"}]}))
    imported = types("import", str(path), "--source", "maison/fichiers")
    assert imported["total"] == {"stored": 1, "rejected": 1}
    (statement,) = types("why", "a[.]example")["statements"]
    assert [answer["verdict"] for answer in statement["answers"]] == ["release"]
    (fact,) = types("show", "a.example")["facts"]
    assert [said["source"] for said in fact["said"]] == ["maison/fichiers"]
    lines = types("peers")["lines"]
    assert [(line["key"], line["quarantined"]) for line in lines] == [("maison/fichiers", 1)]
    assert types("quarantine", "list")["total"] == 1
    assert types("sync") is not None


def test_init_touches_nothing_that_is_there(person: Person) -> None:
    """Over an existing configuration nothing is written, and that is said."""
    before = {path: path.read_bytes() for path in person.config.rglob("*.toml")}
    told = person.types("init", "--data", str(person.folder)).stdout
    assert str(person.config) in told
    assert {path: path.read_bytes() for path in person.config.rglob("*.toml")} == before


def test_check_tells_that_it_is_good(person: Person) -> None:
    """Exit code 0 and how much there is."""
    assert "Peers: 2; collections: 1; agreements: 2" in person.types("check").stdout
    answer = person.asks("check")
    assert answer["ok"] is True
    assert answer["problems"] == []


def test_check_tells_every_mistake_at_once(person: Person) -> None:
    """78 (EX_CONFIG), each mistake with its file and key, in text and in JSON."""
    (person.config / "peers" / "soc.toml").write_text('nom = "SOC"\n')
    (person.config / "agreements" / "soc.toml").write_text('title = "x"\nparties = ["nobody"]\n')
    answer = person.asks("check", code=78)
    assert answer["ok"] is False
    assert {problem["file"] for problem in answer["problems"]} >= {"peers/soc.toml", "agreements/soc.toml"}
    assert all(problem["message"] and problem["key"] for problem in answer["problems"])
    told = person.types("check", code=78)
    assert told.stdout == ""
    assert "peers/soc.toml" in told.stderr


def test_check_reads_the_secrets_when_asked(person: Person) -> None:
    """A secret that cannot be read is named, with its file; one that can is never shown."""
    secret = person.folder / "circl.key"
    with (person.config / "peers" / "circl.toml").open("a") as file:
        file.write(f'[auth]\nkey = "file:{secret}"\n')
    assert person.asks("check")["ok"] is True
    assert person.asks("check", "--secrets", code=78)["ok"] is False
    secret.write_text("very-secret-value")
    secret.chmod(0o600)
    result = person.types("check", "--secrets")
    assert "very-secret-value" not in result.stdout + result.stderr


COMMANDS: list[Sequence[str]] = [
    ("check",), ("migrate",), ("sync",), ("peers",), ("show", "x"), ("why", "x"), ("pause", "--all", "--why", "x"),
    ("resume", "--all"), ("import", "x", "--source", "a/b"), ("quarantine", "list"), ("quarantine", "show", "1"),
    ("subscriber", "list"), ("subscriber", "add", "--peer", "x"), ("subscriber", "rotate", "x"),
    ("subscriber", "revoke", "x"), ("subscriber", "certificate", "x", "y"), ("run",), ("links", "suggest"),
    ("links", "list"), ("links", "accept", "x", "y", "--why", "z"), ("links", "undo", "x", "y", "--why", "z"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_configuration_every_command_says_so(tmp_path: Path, words: Sequence[str]) -> None:
    """64 (EX_USAGE), the folder is named on standard error, and nothing is made."""
    result = RUNNER.invoke(app, [*words, "--config", str(tmp_path / "nowhere")])
    assert result.exit_code == 64
    assert "nowhere" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


UNKNOWN: list[tuple[Sequence[str], str]] = [
    (("sync", "nobody"), "circl, soc"),
    (("pause", "nobody", "--why", "x"), "circl, soc"),
    (("resume", "nobody"), "circl, soc"),
    (("pause", "--why", "x"), ""),
    (("pause", "soc", "--all", "--why", "x"), ""),
    (("resume",), ""),
    (("import", "nowhere.json", "--source", "circl/fichiers"), "nowhere.json"),
    (("import", "nowhere.json", "--source", "circl/none"), "circl/fichiers"),
    (("quarantine", "show", "7"), "7"),
    (("subscriber", "add", "--peer", "nobody"), "circl, soc"),
    (("subscriber", "rotate", "nobody"), "nobody"),
    (("subscriber", "revoke", "nobody"), "nobody"),
]


@pytest.mark.parametrize(("words", "told"), UNKNOWN, ids=lambda value: " ".join(value) if value else "-")
@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_is_not_there_is_told_with_what_is(
    person: Person, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], told: str, language: str
) -> None:
    """64 (EX_USAGE), a sentence in the person's language that names what there is, and no trace."""
    speak(monkeypatch, language)
    result = person.types(*words, code=64)
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert "cli." not in result.stderr
    assert result.stdout == ""


def test_errors_are_in_the_language_of_the_person(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same mistake in two languages is two sentences."""
    told = []
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told.append(person.types("subscriber", "revoke", "nobody", code=64).stderr)
    assert told[0] != told[1]


def test_the_real_command_speaks_both_languages() -> None:
    """By LC_ALL; the help of every command is there, and the way to it is the installed module."""
    english, french = really("--help"), really("--help", language="fr_CA.UTF-8")
    assert (english.returncode, french.returncode) == (0, 0)
    assert "threat intelligence" in english.stdout
    assert english.stdout != french.stdout
    for command in ("init", "check", "import", "why", "show", "pause", "resume", "subscriber", "quarantine", "sync"):
        assert command in english.stdout
        assert command in french.stdout


def test_import_counts_and_its_exit_code(person: Person) -> None:
    """0 when something was taken, 65 (EX_DATAERR) when all of it was rejected; each file has its counts."""
    good = person.file(indicator("a.example"), indicator("b.example"))
    answer = person.asks("import", good, "--source", "circl/fichiers")
    assert answer["total"] == {"stored": 2}
    assert answer["files"] == [{"file": good, "counts": {"stored": 2}}]
    assert person.asks("import", good, "--source", "circl/fichiers")["total"] == {"known": 2}
    bad = person.file({"id": "no"}, name="bad.json")
    assert person.asks("import", bad, "--source", "circl/fichiers", code=65)["total"] == {"rejected": 1}
    assert "bundle.json" in person.types("import", good, "--source", "circl/fichiers").stdout


def test_why_tells_for_whom_and_under_which_agreement(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words of each language; 1 when nothing is known of it."""
    person.imports(indicator("a.example"), indicator("held.example", tlp=None))
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told = person.types("why", "a[.]example").stdout
        assert indicator("a.example")["id"] in told
        assert "partenaires" in told
        assert "soc" in told
        assert "release." not in told
        assert "{" not in told
    (held,) = person.asks("why", "held.example")["statements"]
    assert held["answers"][0]["reasons"] == ["label.none"]
    never = person.types("why", "never.example", code=1).stdout
    assert "never.example" in never
    assert "circl/osint" in never
    assert person.asks("why", "never.example", code=1)["statements"] == []


def test_why_tells_when_something_expires(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day on which it will, or that on which it did, and the reason."""
    node = person.config / "exchange.toml"
    table = '\n[[expiry]]\ntypes = ["indicator"]\nhalf_life = "10d"\nthreshold = 50\n'
    node.write_text(node.read_text(encoding="utf-8") + table, encoding="utf-8")
    now = datetime.now(UTC)
    person.imports(indicator("new.example", modified=now), indicator("old.example", modified=now - timedelta(days=11)))
    for language, will, did in (("en", "expires", "expired"), ("fr", "périme le", "périmé depuis le")):
        speak(monkeypatch, language)
        told = " ".join(person.types("why", "new.example").stdout.split())
        assert will in told
        told = " ".join(person.types("why", "old.example").stdout.split())
        assert did in told
        assert "`[[expiry]]`" in told
    (held,) = person.asks("why", "old.example")["statements"]
    assert held["answers"][0]["reasons"] == ["expiry.age"]
    assert held["answers"][0]["expires"] < now.isoformat()


def test_why_tells_a_reason_once(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds it now is what closed its listing: `why` says that it was listed, and the reason only once."""
    at = datetime.now(UTC) - timedelta(hours=2)
    person.imports(indicator("a.example", modified=at))
    person.imports(indicator("a.example", modified=at + timedelta(hours=1), tlp=Tlp.RED))
    for language, before in (("en", "was listed until then"), ("fr", "y a figuré jusque-là")):
        speak(monkeypatch, language)
        told = " ".join(person.types("why", "a[.]example").stdout.split())
        assert before in told
        assert told.count("`receive.ceiling`") == 2  # once for each version


def test_why_tells_many_that_fare_alike_together(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an event: one table for all of one fate, and by itself what fares otherwise."""
    ids = [f"indicator--{number:08d}-7b1e-4c52-9d3a-8f2e6a1c5d40" for number in range(9)]
    marks = [Tlp.GREEN] * 8 + [None]
    person.imports(*(indicator("a.example", id_=id_, tlp=tlp) for id_, tlp in zip(ids, marks, strict=True)))
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told = person.types("why", "a[.]example").stdout
        assert "8 (indicator 8)" in told
        assert [id_ in told for id_ in ids] == [False] * 8 + [True]
        assert len(person.asks("why", "a[.]example")["statements"]) == 9


def test_what_a_partner_is_still_deciding_on_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """`why` names the partner's status, `peers` how many wait for one; in each language, and as JSON."""
    with (person.config / "peers/soc.toml").open("a", encoding="utf-8") as file:
        file.write(TARGET)
    person.imports(indicator("a.example"), indicator("b.example"))
    a = indicator("a.example")["id"]
    with closing(open_store(person.database)) as store, store.writing() as tx:
        seqs = select(tables.statement.c.seq).where(tables.statement.c.stix_id == a)
        places = select(tables.listing.c.added).where(tables.listing.c.seq.in_(seqs))
        tx.execute(update(tables.outbox).where(tables.outbox.c.added.in_(places)).values(status="7d1c"))
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        assert "7d1c" in person.types("why", a).stdout
        assert "7d1c" not in person.types("why", "b.example").stdout
        told = person.types("peers").stdout
        assert not re.search(r"\b(state|cli|count)\.[a-z]", told)
        assert {"en": "1 of them with the peer", "fr": "dont 1 chez le partenaire"}[language] in told
    lines = {line["key"]: line for line in person.asks("peers")["lines"]}
    assert (lines["soc/depot"]["waiting"], lines["soc/depot"]["followed"]) == (2, 1)
    assert {row["status"] for row in person.asks("why", a)["deliveries"]} == {"7d1c"}


def test_why_says_that_an_object_came_as_stix_20(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rendering is told with its reason (R6)."""
    person.imports({name: value for name, value in indicator("a.example").items() if name != "spec_version"})
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        assert "STIX 2.0" in person.types("why", "a.example").stdout


def test_why_says_what_a_partner_does_not_get_over_misp(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no form there, in words."""
    link = relationship(indicator("a.example"), indicator("b.example"), tlp=Tlp.GREEN)
    person.imports(link)
    assert person.asks("why", link["id"])["statements"][0]["lost"] == ["convert.no_form"]
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told = person.types("why", link["id"]).stdout
        assert "MISP" in told
        assert "convert." not in told


def test_why_in_french_is_not_in_english(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are those of the person's language."""
    person.imports(indicator("a.example"))
    told = []
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told.append(person.types("why", "a.example").stdout)
    assert told[0] != told[1]


def test_show_prints_the_object_and_its_bytes(person: Person) -> None:
    """What we hold as each source said it; with --raw exactly what was received; 1 for nothing."""
    person.imports(indicator("a.example", name="[bold]not markup[/bold]"))
    told = person.types("show", "a.example").stdout
    assert "[bold]not markup[/bold]" in told
    assert "circl/fichiers" in told
    (fact,) = person.asks("show", "a.example", "--raw")["facts"]
    (said,) = fact["said"]
    assert json.loads(said["raw"])["name"] == json.loads(said["object"])["name"] == "[bold]not markup[/bold]"
    assert said["raw"] in person.types("show", "a.example", "--raw").stdout
    assert person.asks("show", "never.example", code=1)["facts"] == []
    assert "never.example" in person.types("show", "never.example", code=1).stdout


def test_quarantine_lists_and_shows(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason in words, and the bytes exactly as they came."""
    bad = {**indicator("bad.example"), "pattern_type": 7}
    person.types("import", person.file(bad), "--source", "circl/fichiers", code=65)
    listed = person.asks("quarantine", "list")
    (entry,) = listed["entries"]
    assert (listed["total"], entry["stix_id"], entry["source"]) == (1, bad["id"], "circl/fichiers")
    assert entry["message"] != entry["code"]
    assert person.asks("quarantine", "list", "--source", "circl/osint") == {"total": 0, "entries": []}
    shown = person.types("quarantine", "show", str(entry["id"])).stdout
    assert json.dumps(bad) in shown
    assert json.loads(person.asks("quarantine", "show", str(entry["id"]))["raw"]) == bad
    texts = []
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        texts.append(person.types("quarantine", "list").stdout)
    assert texts[0] != texts[1]


def test_quarantine_is_judged_again_and_dropped(person: Person) -> None:
    """What can be taken now leaves; what is dropped is gone; neither happens to everything by an empty word."""
    bad = {**indicator("bad.example"), "pattern_type": 7}
    person.types("import", person.file(bad), "--source", "circl/fichiers", code=65)
    number = str(person.asks("quarantine", "list")["entries"][0]["id"])
    assert person.asks("quarantine", "retry", number, code=1) == {"rejected": 1}
    mended = json.dumps(indicator("bad.example")).encode()  # what a release that is less strict would make of it
    store = open_store(person.database)
    with store.writing() as tx:
        tx.execute(tables.quarantine.update().values(raw=mended, digest="other"))
    store.close()
    assert person.asks("quarantine", "retry", "--source", "circl/fichiers") == {"taken": 1}
    person.types("why", "bad.example")
    person.types("import", person.file({**bad, "name": "other"}), "--source", "circl/fichiers", code=65)
    for words in (("retry",), ("drop",), ("retry", "1", "--source", "circl/fichiers")):
        assert "--source" in person.types("quarantine", *words, code=64).stderr
    assert person.asks("quarantine", "drop", "--source", "circl/fichiers") == {"dropped": 1}
    assert person.asks("quarantine", "list")["total"] == 0
    for word in ("retry", "drop"):
        assert "99" in person.types("quarantine", word, "99", code=64).stderr


def test_sync_from_a_time_drains_anew(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is forgotten and nothing is doubled; a time that is none, and nobody named, is told."""
    giver = answering(monkeypatch, page(indicator("a.example"), cursor={"next": 0, "mark": 1}))
    person.types("sync", "circl")
    lines = person.asks("sync", "circl", "--from", "2026-11-01")
    assert [line["counts"] for line in lines if line["key"] == "circl/osint"] == [{"known": 1}]
    assert giver.cursors == [{}, {}]
    assert "2026-11-01T06:00" in person.types("sync", "circl", "--from", "yesterday", code=64).stderr
    later = (terminal.now() + timedelta(days=1)).isoformat()
    assert "circl/osint" in person.types("sync", "circl", "--from", later, code=64).stderr  # would leave something out
    assert giver.cursors == [{}, {}]
    assert "--from" in person.types("sync", "--from", "2026-11-01", code=64).stderr


def test_probe_and_reconcile_by_hand(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a partner is, and whether both sides have the same; by this command where no daemon runs."""
    giver = answering(monkeypatch, page(indicator("a.example")))
    remark = Remark(code="probe.skew", fields={"seconds": 9})
    profile = Profile(
        key="circl/osint",
        kind="misp-feed",
        at=terminal.now() + timedelta(hours=1),
        speaks="MISP feed",
        etag=True,
        remarks=(remark,),
    )  # fmt: skip
    monkeypatch.setattr(Giver, "probe", lambda *_: profile, raising=False)
    monkeypatch.setattr(Giver, "index", lambda *_: iter([[]]), raising=False)
    person.types("sync", "circl")
    (line,) = person.asks("probe", "circl")
    assert (line["key"], line["profile"]) == ("circl/osint", terminal.plain(profile))
    (line,) = person.asks("reconcile", "circl")
    assert (line["key"], line["counts"]) == ("circl/osint", {})
    assert line["at"] is not None
    assert "circl/osint" in person.types("probe", "circl").stdout
    assert "circl/osint" in person.types("reconcile", "circl").stdout
    assert giver.cursors == [{}]


def test_subscriber_blocks_are_ready_to_paste(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client's block holds the secret, and URLs of this node; the secret has 40 letters and digits (R28)."""
    for language, name in (("en", "siem"), ("fr", "opencti")):
        speak(monkeypatch, language)
        answer = person.asks("subscriber", "add", "--peer", "soc", "--name", name)
        assert re.fullmatch(r"[A-Za-z0-9]{40}", answer["secret"])
        assert answer["discovery"] == "https://echange.cert.example/taxii2/"
        misp = "https://echange.cert.example/misp/partenaires"
        feed = "https://echange.cert.example/feeds/partenaires/"
        assert answer["collections"] == [{"id": COLLECTION, "alias": "partenaires", "misp": misp, "feed": feed}]
        # A MISP that has us under another UUID renames us.
        told = (f"{misp}\n", f"{feed}\n", "5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17")
        assert all(part in answer["blocks"]["misp"] for part in told)
        assert set(answer["blocks"]) == {"curl", "misp", "opencti", "sentinel"}
        for block in answer["blocks"].values():
            assert answer["secret"] in block
            assert "https://echange.cert.example/" in block
            assert not re.search(r"\{[a-z]+\}", block)
    told = person.types("subscriber", "add", "--peer", "soc", "--name", "third").stdout
    assert "# curl" in told
    assert person.types("subscriber", "add", "--peer", "soc", "--name", "third", code=64)


def test_r28_the_secret_is_nowhere(person: Person) -> None:
    """R28: it is shown once; neither the list nor any byte of the database holds it, only its SHA-256."""
    first = person.asks("subscriber", "add", "--peer", "soc", "--name", "siem")["secret"]
    second = person.asks("subscriber", "rotate", "siem", "--keep-hours", "1")["secret"]
    assert first != second
    listed = person.types("subscriber", "list").stdout + json.dumps(person.asks("subscriber", "list"))
    kept = person.everything_kept()
    for secret in (first, second):
        assert secret not in listed
        assert secret.encode() not in kept
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in kept
        assert hashlib.sha256(secret.encode()).hexdigest() not in listed


def test_r28_a_password_that_a_person_chose(person: Person) -> None:
    """R28: kept as argon2id (19 MiB, two rounds) and nowhere in clear; a short one is refused."""
    person.asks("subscriber", "add", "--peer", "soc", "--name", "siem")
    assert "12" in person.types("subscriber", "password", "siem", given="too short\n", code=64).stderr
    person.types("subscriber", "password", "siem", given="correct horse battery\n")
    kept = person.everything_kept()
    assert b"$argon2id$v=19$m=19456,t=2," in kept
    assert b"correct horse" not in kept
    person.types("subscriber", "password", "nobody", given="correct horse battery\n", code=64)


def test_an_account_by_certificate(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """R28, R29: tied to the certificate's SHA-256 until its own end; it has no secret until it is given one."""
    until = datetime(2090, 3, 1, tzinfo=UTC)
    first, second = paper("first", until), paper("second", until + timedelta(days=1))
    file, later = person.paper(first, "first.pem"), person.paper(second, "second.pem")
    added = person.asks("subscriber", "add", "--peer", "soc", "--name", "siem", "--certificate", file)
    assert added == {
        "name": "siem", "peer": "soc", "certificate": first.fingerprint, "until": "2090-03-01T00:00:00Z",
        "discovery": "https://echange.cert.example/taxii2/", "api_root": "https://echange.cert.example/api/",
    }  # fmt: skip
    assert "2090-03-01" in person.types("subscriber", "list").stdout
    for language in ("en", "fr"):
        speak(monkeypatch, language)
        told = person.types("subscriber", "certificate", "siem", later, "--keep-hours", "48").stdout
        assert second.fingerprint in told
        assert "2090-03-02" in told
        assert "Client_Cert" in told
    (row,) = person.asks("subscriber", "list")
    assert [one["sha256"] for one in row["certificates"]] == [second.fingerprint, first.fingerprint]
    assert row["certificates"][1]["until"] < "2090"
    assert person.asks("subscriber", "certificate", "siem", later)["certificate"] == second.fingerprint
    assert re.fullmatch(r"[A-Za-z0-9]{40}", person.asks("subscriber", "rotate", "siem")["secret"])
    person.types("subscriber", "revoke", "siem")
    assert person.asks("subscriber", "list")[0]["certificates"] == []
    person.asks("subscriber", "add", "--peer", "soc", "--name", "next", "--certificate", file)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_certificate_that_cannot_be_used(person: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """64, in words of both languages, with the file's name; no account is made and none is changed."""
    speak(monkeypatch, language)
    good, ended = paper("good", datetime(2090, 3, 1, tzinfo=UTC)), paper("ended", datetime(2020, 3, 1, tzinfo=UTC))
    person.asks("subscriber", "add", "--peer", "soc", "--name", "one", "--certificate", person.paper(good, "good.pem"))
    person.asks("subscriber", "add", "--peer", "soc", "--name", "two")
    before = person.asks("subscriber", "list")
    files = {
        "absent.pem": str(person.folder / "absent.pem"),
        "folder": str(person.folder),
        "bundle.json": person.file(),
        "ended.pem": person.paper(ended, "ended.pem"),
        "good.pem": person.paper(good, "good.pem"),
    }
    for name, file in files.items():
        for words in (("add", "--peer", "soc", "--name", "three", "--certificate", file), ("certificate", "two", file)):
            told = person.types("subscriber", *words, code=64).stderr
            assert name in told or file in told
            assert "cli." not in told
    assert "2020-03-01" in person.types("subscriber", "certificate", "two", files["ended.pem"], code=64).stderr
    assert "one" in person.types("subscriber", "certificate", "two", files["good.pem"], code=64).stderr
    new = person.paper(paper("new", datetime(2091, 1, 1, tzinfo=UTC)), "new.pem")
    person.types("subscriber", "certificate", "nobody", new, code=64)
    assert person.asks("subscriber", "list") == before


def test_subscribers_are_listed_and_revoked(person: Person) -> None:
    """A revoked account is still listed, as revoked; it cannot be rotated or revoked again."""
    person.types("subscriber", "add", "--peer", "soc")
    assert [(row["name"], row["revoked"]) for row in person.asks("subscriber", "list")] == [("soc-1", None)]
    assert person.asks("subscriber", "revoke", "soc-1") == {"name": "soc-1", "revoked": True}
    (row,) = person.asks("subscriber", "list")
    assert row["revoked"].endswith("Z")
    person.types("subscriber", "revoke", "soc-1", code=64)
    person.types("subscriber", "rotate", "soc-1", code=64)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_r31_pause_and_resume(person: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """R31: told with who and why, shown by `peers` in the state, gone after resume; a second resume says so."""
    speak(monkeypatch, language)
    monkeypatch.setenv("SUDO_USER", "marie")
    told = person.types("pause", "circl", "--in", "--why", "drill").stderr
    assert "marie" in told
    assert "drill" in told
    shown = person.asks("peers")
    assert {line["state"] for line in shown["lines"] if line["peer"] == "circl"} == {"paused"}
    (pulled,) = shown["brakes"]
    assert (pulled["peer"], pulled["direction"], pulled["who"], pulled["why"]) == ("circl", "in", "marie", "drill")
    assert "marie" in person.types("peers").stdout
    assert "circl" in person.types("resume", "circl").stderr
    assert person.asks("peers")["brakes"] == []
    assert "circl" in person.types("resume", "circl").stdout


def test_r31_pause_for_all_and_for_a_program(person: Person) -> None:
    """R31: --all, both directions when none is named; resume with --json is JSON whatever there was to do."""
    answer = person.asks("pause", "--all", "--why", "drill")
    assert (answer["peer"], answer["directions"]) == ("*", ["in", "out"])
    assert person.asks("resume", "--all", "--out")["directions"] == ["out"]
    assert [row["direction"] for row in person.asks("peers")["brakes"]] == ["in"]
    assert person.asks("resume", "--all")["directions"] == ["in"]
    assert person.asks("resume", "--all")["directions"] == []


def test_pausing_twice_keeps_one_brake(person: Person) -> None:
    """The last reason stands, and one resume lets go."""
    person.types("pause", "soc", "--out", "--why", "first")
    person.types("pause", "soc", "--out", "--why", "second")
    assert [row["why"] for row in person.asks("peers")["brakes"]] == ["second"]
    person.types("resume", "soc")
    assert person.asks("peers")["brakes"] == []


def test_pause_wants_a_reason(person: Person) -> None:
    """R31: why is part of the record."""
    result = RUNNER.invoke(app, ["pause", "soc", "--config", str(person.config)])
    assert result.exit_code == 2


def test_migrate_makes_and_then_leaves_alone(person: Person) -> None:
    """From nothing to this release's schema; a second time nothing is to be done."""
    first = person.asks("migrate")
    assert first["before"] is None
    assert person.asks("migrate") == {"before": first["after"], "after": first["after"], "rekeyed": 0}
    assert first["after"] in person.types("migrate").stdout


def answering(monkeypatch: pytest.MonkeyPatch, *steps: Page | Exception) -> Giver:
    """CIRCL brings these."""
    giver = Giver(*steps)
    monkeypatch.setattr(daemon, "clients", lambda *_: giver)
    return giver


def test_sync_pulls_by_itself_when_no_daemon_runs(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Due or not; the answer tells the outcome and the counts, and what came can be asked for."""
    giver = answering(monkeypatch, page(indicator("a.example")))
    for _ in range(2):
        lines = {line["key"]: line for line in person.asks("sync", "circl")}
        assert lines["circl/osint"]["outcome"] == "complete"
    assert lines["circl/osint"]["counts"] == {"known": 1}
    assert len(giver.cursors) == 2
    assert "circl/osint" in person.types("sync").stdout
    person.types("why", "a.example")


@pytest.mark.parametrize(
    "error", [PeerUnreachable("peer.unreachable", detail="reset"), PeerRefused("peer.refused", status=401)]
)
def test_sync_that_fails_says_so(person: Person, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """1, the reason in words, and the state `failing`; what was there stays."""
    answering(monkeypatch, error)
    (line, *_) = [line for line in person.asks("sync", "circl", code=1) if line["key"] == "circl/osint"]
    assert line["state"] == "failing"
    assert line["error"]["code"] == str(error).split()[0]
    told = person.types("sync", "circl", code=1).stdout
    assert "circl/osint" in told


def test_sync_leaves_the_work_to_a_daemon_that_runs(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is made due and the command waits for it; no second client asks the peer."""
    giver = answering(monkeypatch, page(indicator("a.example")))
    person.types("sync")
    store = open_store(person.database)
    hurry = sources.hurry

    def daemon_does_it(tx: Any, keys: Any, now: int) -> None:
        hurry(tx, keys, now)
        for key in keys:
            assert sources.standings(tx)[key].due == now
            assert sources.lease(tx, key, "daemon", now, now + 1)
            sources.finish(tx, key, "daemon", now=now, due=now + 9, outcome="complete", complete=True, error=None)

    monkeypatch.setattr(sources, "hurry", daemon_does_it)
    with store.writing() as tx:
        audiences.set_note(tx, HEARTBEAT, str(micros(terminal.now())))
    store.close()
    lines = {line["key"]: line["outcome"] for line in person.asks("sync", "circl")}
    assert lines["circl/osint"] == "complete"
    assert len(giver.cursors) == 1


@pytest.mark.parametrize("language", ["en", "fr"])
def test_peers_is_told_in_both_languages(person: Person, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """A table with a line for each source, without a message id in it."""
    speak(monkeypatch, language)
    person.imports(indicator("a.example"), indicator("b.example", tlp=None))
    told = person.types("peers").stdout
    assert "circl/osint" in told
    assert "circl/fichiers" in told
    assert not re.search(r"\b(state|cli|count)\.[a-z]", told)
    lines = {line["key"]: line for line in person.asks("peers")["lines"]}
    assert lines["circl/osint"]["state"] == "never"
    assert lines["circl/fichiers"]["held"] == 1
    assert lines["circl/fichiers"]["counts"] == {"stored": 2}


def test_an_unknown_form_of_log_is_refused(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run --log` takes what its help names; a slip is told and does not start a daemon that logs otherwise."""
    monkeypatch.setattr(daemon, "run", lambda *_: 0)
    monkeypatch.setenv(daemon.LOG_FORM, "auto")
    result = RUNNER.invoke(app, ["run", "--log", "jsno", "--config", str(person.config)])
    assert result.exit_code in (2, 64)


def test_the_folder_may_come_from_the_environment(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXCHANGE_CONFIG stands for --config, so that units and people need not repeat it."""
    monkeypatch.setenv(daemon.FOLDER, str(person.config))
    assert RUNNER.invoke(app, ["check"]).exit_code == 0


def test_the_daemon_is_run_with_the_part_that_is_asked_for(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run --only sync` runs that part, with what was said of its log, and its exit code is the command's."""
    asked: list[Any] = []

    def run(_settings: Any, only: Any, *, verbose: bool) -> int:
        asked.append((only, verbose))
        return 7

    monkeypatch.setattr(daemon, "run", run)
    person.types("run", "--only", "sync", code=7)
    person.types("run", code=7)
    person.types("run", "--only", "serve", "--verbose", code=7)
    assert asked == [("sync", False), (None, False), ("serve", True)]


def test_the_http_process_is_told_what_the_command_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the command's place, with its folder and its `--verbose`, and nothing of the working directory."""
    called: list[list[str]] = []
    monkeypatch.setattr(daemon.os, "execv", lambda _program, words: called.append(words))
    monkeypatch.setattr(daemon, "supervise", lambda _settings: 0)
    for verbose in (False, True):
        daemon.run(SimpleNamespace(folder=Path("/etc/exchange")), "serve", verbose=verbose)  # type: ignore[arg-type]
    plain, loud = called
    assert plain[1:] == ["-P", "-m", "exchange.daemon", "--only", "serve", "--config", "/etc/exchange"]
    assert loud == [*plain, "--verbose"]
