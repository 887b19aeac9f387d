"""What waits for a person before it leaves: on which list it is, from whom, and whether it may go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from exchange import log
from exchange.cli.audience import label_of
from exchange.cli.layout import clean
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    begun,
    guarded,
    load,
    now,
    opened,
    out,
    peer_of,
    plain,
    responsible,
    rules_of,
    say,
    show_json,
    source_of,
    speaker,
    tell,
)
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.store import approvals, moment
from exchange.store.widenings import Word
from exchange.sync import approving, review
from exchange.sync.approving import Said
from exchange.sync.review import Ruling, Waiting
from exchange.sync.terms import adopt
from exchange.sync.widened import NEWER

app = typer.Typer(no_args_is_help=True)
OfSource = Annotated[str, typer.Option("--source", help=say("cli.review.source"), metavar="PEER/SOURCE")]
Identifier = Annotated[str, typer.Argument(help=say("cli.review.id"))]
Value = Annotated[str, typer.Option("--value", help=say("cli.review.value"))]
Why = Annotated[str, typer.Option("--why", help=say("cli.review.why"))]
Who = Annotated[str, typer.Option("--who", help=say("cli.review.who"))]


@app.command("list", help=say("cli.review.list.help"))
@guarded
def list_(
    source: OfSource = "",
    refused: Annotated[bool, typer.Option("--refused", help=say("cli.review.refused"))] = False,
    most: Annotated[int, typer.Option("--most", min=1, help=say("cli.review.most"))] = 50,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """The longest waiting first."""
    settings = load(folder)
    if source:
        source_of(settings, source)
    with opened(settings) as store:
        items, total = review.waiting(store, rules_of(settings), now(), source=source, most=most, refused=refused)
    if as_json:
        show_json({"total": total, "entries": [_plain(item) for item in items]})
        return 0
    if not items:
        tell("cli.review.none")
        return 0
    for item in items:
        named = ", ".join(dict.fromkeys(match.value for match in item.matches)) or "–"
        out.print(f"[bold]{clean(named)}[/]  {clean(_lists(item) or say(item.held.doubt))}", soft_wrap=True)
        held, since = item.held, ago(moment(item.held.received))
        words = say("cli.review.line", id=held.stix_id, source=held.source, ago=since, count=len(item.readers))
        out.print(f"  [dim]{clean(words)}[/]", soft_wrap=True)
    tell("cli.review.total", shown=len(items), total=total)
    return 0


@app.command("show", help=say("cli.review.show.help"))
@guarded
def show(
    asked: Annotated[str, typer.Argument(help=say("cli.show.asked"))],
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """What the lists say of it, to whom it would go, and what people decided."""
    settings = load(folder)
    with opened(settings) as store:
        items = review.about(store, rules_of(settings), asked, now())
    if as_json:
        show_json([_plain(item) for item in items])
        return 0 if items else 1
    for item in items:
        held = item.held
        out.print(f"[bold]{escape(held.stix_id)}[/] {held.version}  {escape(held.source)}", soft_wrap=True)
        tell("cli.review.standing", state=say(held.doubt or "cli.review.free"), ago=ago(moment(held.received)))
        for match in item.matches:
            how = say(f"cli.review.{match.relation}", entry=match.entry)
            tell("cli.review.match", value=match.value, list=match.list, title=match.title, how=how)
        tell("cli.review.readers", count=len(item.readers), peers=", ".join(item.readers) or "–")
        for row in item.verdicts:
            _tell_verdict(row)
    if not items:
        tell("cli.review.nothing", asked=asked)
    return 0 if items else 1


@app.command("release", help=say("cli.review.release.help"))
@guarded
def release(
    why: Why,
    stix_id: Identifier = "",
    value: Value = "",
    source: OfSource = "",
    who: Who = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """It goes to whom it may go; the same value of the same source is not asked again."""
    return _rule(folder, stix_id, value, source, who, why, released=True, as_json=as_json)


@app.command("refuse", help=say("cli.review.refuse.help"))
@guarded
def refuse(
    why: Why,
    stix_id: Identifier = "",
    value: Value = "",
    source: OfSource = "",
    who: Who = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """It stays held, and is withdrawn where it was released before."""
    return _rule(folder, stix_id, value, source, who, why, released=False, as_json=as_json)


def _rule(
    folder: Path, stix_id: str, value: str, source: str, who: str, why: str, *, released: bool, as_json: bool
) -> int:
    settings = begun(folder)
    if bool(stix_id) == bool(value.strip()):
        raise UsageError("cli.review.which")
    if not why.strip():
        raise UsageError("cli.review.why_empty")
    ruling = Ruling(
        stix_id=stix_id.strip(), value=value.strip(), source=source, released=released, who=speaker(who), why=why
    )
    rules = rules_of(settings)
    with opened(settings) as store:
        adopt(store, rules, now())
        ruled = review.rule(store, rules, ruling, now)
    if not ruled.about:
        raise UsageError("cli.review.unknown", asked=stix_id or value)
    log.configure(LANGUAGE)
    values = sorted({value for _, value in ruled.about})
    told = {"what": ", ".join(values)[:500], "count": len(ruled.changed), "who": ruling.who, "why": why}
    if released:
        log.record("review.released", **told)
    else:
        log.record("review.refused", **told)
    if as_json:
        show_json(
            {
                "verdict": "released" if released else "refused",
                "values": [{"source": source, "value": value} for source, value in ruled.about],
                "statements": [_named(item) for item in ruled.changed],
                "who": ruling.who,
                "why": why,
            }
        )
    return 0


def _named(held: Any) -> dict[str, Any]:
    return {"id": held.stix_id, "version": held.version, "source": held.source}


def _plain(item: Waiting) -> dict[str, Any]:
    held = item.held
    return {
        **_named(held),
        "since": moment(held.received),
        "doubt": held.doubt,
        "matches": [plain(match) for match in item.matches],
        "readers": item.readers,
        "verdicts": [{**row, "at": moment(row["at"])} for row in item.verdicts],
    }


def _lists(item: Waiting) -> str:
    return ", ".join(dict.fromkeys(match.list for match in item.matches))


def _tell_verdict(row: Mapping[str, Any]) -> None:
    code = "cli.review.was_released" if row["verdict"] == "released" else "cli.review.was_refused"
    tell(
        code, who=row["who"], ago=ago(moment(row["at"])), value=row["value"], why=row["why"], lists=_of(row["matches"])
    )


def _of(matches: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(match["list"]) for match in matches)) or "–"


@app.command("queue", help=say("cli.review.queue.help"))
@guarded
def queue(
    peer: Annotated[str, typer.Option("--peer", help=say("cli.review.peer"))] = "",
    code: Annotated[str, typer.Option("--code", help=say("cli.review.code"))] = "",
    most: Annotated[int, typer.Option("--most", min=1, help=say("cli.review.most"))] = 50,
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """All that waits for a person, counted by peer and reason, then one by one."""
    settings = load(folder)
    if peer:
        peer_of(settings, peer)
    with opened(settings) as store:
        rules = rules_of(settings)
        counted = [
            each for each in approving.counts(store, rules) if peer in ("", each.peer) and code in ("", each.code)
        ]
        items = approving.queue(store, rules, now(), peer=peer, code=code, most=most)
        lapsed = approving.lapsed(store) if not peer and code in ("", NEWER) else []
    if as_json:
        counts = [{**plain(each), "since": moment(each.since)} for each in counted]
        show_json(
            {"counts": counts, "entries": [_held(item) for item in items], "widened": [_lapsed(w) for w in lapsed]}
        )
        return 0
    for each in counted:
        fields = {"count": each.count, "peer": each.peer, "reason": say(each.code)}
        out.print(clean(say("cli.review.count", **fields, ago=ago(moment(each.since)))), soft_wrap=True)
    for item in items:
        held = item.held
        said = sum(word["verdict"] == "approved" for word in item.words)
        out.print(f"[bold]{clean(held.stix_id)}[/] {held.version}  {clean(held.source)}", soft_wrap=True)
        out.print("  " + clean(say(item.code)), soft_wrap=True)
        readers = ", ".join(item.readers) or "–"
        tell("cli.review.asked", readers=readers, said=said, asked=item.asked, ago=ago(moment(held.received)))
    for word in lapsed[:most]:
        tell("cli.review.lapsed", id=word.stix_id, to=label_of(word.level), number=word.act)
    if not items and not lapsed:
        tell("cli.review.none")
    return 0


def _lapsed(word: Word) -> dict[str, Any]:
    named = {"id": word.stix_id, "version": word.version, "made": word.made, "number": word.act, "reason": word.code}
    return {**named, "to": label_of(word.level), "since": moment(word.at)}


@app.command("approve", help=say("cli.review.approve.help"))
@guarded
def approve(
    stix_id: Identifier,
    why: Why,
    whom: Annotated[str, typer.Option("--for", metavar="PEER|AGREEMENT", help=say("cli.review.for"))] = "",
    source: OfSource = "",
    folder: Folder = Path(DEFAULT_FOLDER),
    as_json: AsJson = False,
) -> int:
    """Let this version go to whom it may go."""
    return _say(folder, stix_id, source, whom, why, approvals.APPROVED, as_json=as_json)


@app.command("decline", help=say("cli.review.decline.help"))
@guarded
def decline(
    stix_id: Identifier, why: Why, source: OfSource = "", folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False
) -> int:
    """It stays held and leaves the queue; what was approved of this version is void."""
    return _say(folder, stix_id, source, "", why, approvals.REFUSED, as_json=as_json)


@app.command("undo", help=say("cli.review.undo.help"))
@guarded
def undo(
    stix_id: Identifier, why: Why, source: OfSource = "", folder: Folder = Path(DEFAULT_FOLDER), as_json: AsJson = False
) -> int:
    """It is as if nobody had said anything of this version."""
    return _say(folder, stix_id, source, "", why, approvals.UNDONE, as_json=as_json)


def _say(folder: Path, stix_id: str, source: str, whom: str, why: str, verdict: str, *, as_json: bool) -> int:
    settings = load(folder)
    if not why.strip():
        raise UsageError("cli.review.why_empty")
    who = responsible()
    said = Said(stix_id=stix_id.strip(), verdict=verdict, who=who, why=why, source=source, whom=_whom(settings, whom))
    rules = rules_of(settings)
    with opened(settings) as store:
        adopt(store, rules, now())
        about = approving.say(store, rules, said, now)
    if not about:
        raise UsageError("cli.review.not_held", asked=stix_id)
    log.configure(LANGUAGE)
    told = {"what": said.stix_id, "count": len(about), "who": who, "why": why}
    if verdict == approvals.APPROVED:
        log.record("review.approved", **told, whom=whom or "*")
    elif verdict == approvals.REFUSED:
        log.record("review.refused", **told)
    else:
        log.record("review.undone", **told)
    if as_json:
        named = [{**_named(held), "code": code} for held, code in about]
        show_json({"verdict": verdict, "statements": named, "for": whom, "who": who, "why": why})
    return 0


def _whom(settings: Settings, whom: str) -> str:
    """An agreement by its id, or a peer; an agreement comes first where both have that name."""
    if not whom or any(agreement.id == whom for agreement in settings.terms.agreements):
        return whom
    return f"peer:{peer_of(settings, whom).id}"


def _held(item: approving.Waiting) -> dict[str, Any]:
    words = [{**word, "at": moment(int(str(word["at"])))} for word in item.words]
    return {
        **_named(item.held), "peer": item.held.peer, "code": item.code, "since": moment(item.held.received),
        "readers": item.readers, "asked": item.asked, "words": words,
    }  # fmt: skip
