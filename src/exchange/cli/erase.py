"""Erasing for a legal reason (RULES R33): one person asks, another approves, and an attestation says what was done."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from exchange import log
from exchange.cli.layout import clean
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    guarded,
    load,
    now,
    opened,
    out,
    responsible,
    rules_of,
    say,
    show_json,
    tell,
)
from exchange.cli.withdraw import scope_of
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.i18n import LANGUAGES, text
from exchange.store import erasures, moment, removals, scopes
from exchange.store.scopes import Scope
from exchange.sync import erasing
from exchange.sync.terms import adopt

Object = Annotated[str, typer.Argument(metavar="OBJECT", help=say("cli.erase.object"))]


@guarded
def erase(
    asked: Object = "",
    event: Annotated[str, typer.Option("--event", metavar="UUID", help=say("cli.withdraw.event"))] = "",
    value: Annotated[str, typer.Option("--value", help=say("cli.erase.value"))] = "",
    why: Annotated[str, typer.Option("--why", help=say("cli.erase.why"))] = "",
    basis: Annotated[str, typer.Option("--legal-basis", help=say("cli.erase.basis"))] = "",
    approve: Annotated[int, typer.Option("--approve", metavar="N", help=say("cli.erase.approve"))] = 0,
    despite: Annotated[bool, typer.Option("--despite", help=say("cli.erase.despite"))] = False,
    drop: Annotated[int, typer.Option("--drop", metavar="N", help=say("cli.erase.drop"))] = 0,
    shown: Annotated[int, typer.Option("--attestation", metavar="N", help=say("cli.erase.attestation"))] = 0,
    listed: Annotated[bool, typer.Option("--list", help=say("cli.erase.list"))] = False,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Ask for it, approve what another asked for, or show what was done."""
    settings = load(folder)
    if listed:
        return _list(settings, as_json=as_json)
    if shown:
        return _show(settings, shown, as_json=as_json)
    if drop:
        return _drop(settings, drop)
    if approve:
        return _approve(settings, approve, despite=despite, as_json=as_json)
    return _ask(settings, asked, event, value, why, basis, as_json=as_json)


def _ask(settings: Settings, asked: str, event: str, value: str, why: str, basis: str, *, as_json: bool) -> int:
    if not why.strip() or not basis.strip():
        raise UsageError("cli.erase.reasons")
    if sum(map(bool, (asked.strip(), event.strip(), value.strip()))) != 1:
        raise UsageError("cli.erase.which")
    with opened(settings) as store:
        scope: Scope = scope_of(store, settings, asked or value, event, "", "", "", "")
        if (scope.kind == "value") != bool(value.strip()):
            raise UsageError("cli.erase.which")
        rules, who = rules_of(settings), responsible()
        adopt(store, rules, now())
        made = erasing.ask(store, rules, scope, who=who, why=why, basis=basis, clock=now)
        with store.reading() as tx:
            count = scopes.size(tx, scope, 100_000)
    log.configure(LANGUAGE)
    log.record("erase.asked", number=made.number, digest=made.digest, who=who, why=why, basis=basis)
    if as_json:
        numbers = {"withdrawal": made.withdrawals[0], "withdrawals": made.withdrawals}
        show_json({"number": made.number, **numbers, "digest": made.digest, "who": who})
    else:
        tell("cli.erase.asked", number=made.number, withdrawal=", ".join(map(str, made.withdrawals)), count=count)
    return 0


def _approve(settings: Settings, number: int, *, despite: bool, as_json: bool) -> int:
    with opened(settings) as store:
        rules, who = rules_of(settings), responsible()
        adopt(store, rules, now())
        done = erasing.approve(
            store, rules, number, who=who, despite=despite, clock=now, wait=threading.Event().wait
        )  # fmt: skip
    log.configure(LANGUAGE)
    log.record("erase.done", number=number, digest=done["digest"], who=done["asked_by"], approver=who)
    _attest(done, as_json=as_json)
    return 0


def _show(settings: Settings, number: int, *, as_json: bool) -> int:
    with opened(settings) as store, store.reading() as tx:
        row = erasures.find(tx, number)
    if row is None or not row["attestation"]:
        raise UsageError("cli.erase.unattested", number=number)
    _attest(orjson.loads(row["attestation"]), as_json=as_json)
    return 0


def _drop(settings: Settings, number: int) -> int:
    with opened(settings) as store, store.writing() as tx:
        row = erasures.find(tx, number)
        if row is None or row["state"] != erasures.ASKED:
            raise UsageError("cli.erase.unknown", number=number)
        erasures.drop(tx, number)
        standing = removals.of_reason(tx, erasing.reason_of(number))
    log.configure(LANGUAGE)
    log.record("erase.dropped", number=number, who=responsible())
    for withdrawal in standing:
        tell("cli.erase.still", number=number, withdrawal=withdrawal)
    return 0


def _list(settings: Settings, *, as_json: bool) -> int:
    with opened(settings) as store, store.reading() as tx:
        rows = erasures.everyone(tx)
    if as_json:
        names = ("id", "kind", "asked", "who", "why", "basis", "state", "approver")
        show_json([{**{name: row[name] for name in names}, "at": moment(row["at"])} for row in rows])
        return 0
    if not rows:
        tell("cli.erase.none")
    for row in rows:
        what = row["asked"] or bytes(row["digest"]).hex()
        fields = {"number": row["id"], "what": what, "who": row["who"], "why": row["why"], "basis": row["basis"]}
        state = say("cli.erase.state_" + row["state"])
        out.print(clean(say("cli.erase.line", **fields, state=state, ago=ago(moment(row["at"])))), soft_wrap=True)
    return 0


def _attest(done: Mapping[str, Any], *, as_json: bool) -> None:
    """In both languages, whoever reads it; as JSON with the text beside it."""
    words = {language: _in_words(done, language) for language in LANGUAGES}
    if as_json:
        show_json({**done, "text": words})
        return
    for language in sorted(LANGUAGES, key=lambda each: each != LANGUAGE):
        for line in words[language].splitlines():
            out.print(clean(line), soft_wrap=True)
        out.print()


def _in_words(done: Mapping[str, Any], language: Any) -> str:
    def words(code: str, **fields: Any) -> str:
        return text(code, language, **fields)

    had = [
        words("attest.holder", who=each["name"] + (f" ({each['account']})" if each["account"] else ""),
              delivered=each["delivered"], accepted=each["accepted"], deleted=each["deleted"], told=each["told"],
              contact=each["contact"] or "–")
        for each in done["had"]
    ]  # fmt: skip
    left = ", ".join(f"{each['place']} {each['count']}" for each in done["left"]) or words("attest.nothing")
    heads = {
        f"{name}_{when}": done[f"heads_{when}"][name] or "–" for name in ("handed", "anchor")
        for when in ("before", "after")
    }  # fmt: skip
    lines = [
        words("attest.title", number=done["number"], node=done["node"]),
        words("attest.what", digest=done["digest"], count=done["statements"]),
        words("attest.asked", who=done["asked_by"], at=done["asked_at"], why=done["why"]),
        words("attest.approved", who=done["approved_by"], at=done["erased_at"]),
        words("attest.basis", basis=done["legal_basis"]),
        words("attest.had") if had else words("attest.nobody"),
        *had,
        words("attest.ledger", faults=done["faults"], **heads),
        words("attest.swept", engine=done["engine"], swept=", ".join(done["swept"])),
        words("attest.left", left=left),
        words("attest.backups"),
    ]
    return "\n".join(lines)
