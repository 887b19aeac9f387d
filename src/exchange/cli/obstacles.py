"""In words: why something is not widened, or reaches somebody not even so; where that stands, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exchange.cli.layout import clean
from exchange.cli.terminal import out, say, tell, where_of
from exchange.config import Settings
from exchange.errors import UsageError
from exchange.sync.loosening import Obstacle

_FEW = 20
_IN_AGREEMENT = {
    "agreement.ceiling": "send.ceiling",
    "agreement.type": "send.types",
    "agreement.misp": "send.misp_types",
    "agreement.misp_unsaid": "send.misp_types",
    "agreement.confidence": "send.confidence",
    "agreement.unrated": "send.unrated",
    "agreement.in_clear": "send.encryption",
    "agreement.none": "send",
    "agreement.not_begun": "from",
    "agreement.ended": "until",
    "personal.review": "send.personal_information",
    "pfc.list": "send.pfc",
    "attribution.must_not": "send.attribution",
    "marking.not_carried": "send.types",
}
"""Reason → the key of the agreement that says so."""
_IN_COLLECTION = {
    "collection.ceiling": "ceiling",
    "collection.type": "types",
    "collection.only_posted": "only_posted",
}
_IN_PEER = {"pap.not_carried": "pap", "dialect.no_level": "dialect"}
_MENDED = {
    "widening.type": "cli.widen.no_type",
    "widening.unmarked": "cli.widen.no_mark",
    "widening.not_wider": "cli.widen.no_wider",
    "widening.no_creator": "cli.widen.no_creator",
    "widening.not_ministry": "cli.widen.no_ministry",
    "widening.not_pfc": "cli.widen.no_pfc",
    "widening.else_stricter": "cli.widen.no_less",
    "widening.original": "cli.widen.no_original",
    "widening.overruled": "cli.widen.no_lead",
    "widening.not_taken": "cli.widen.no_agreed",
    "widening.words": "cli.widen.no_words",
    "widening.granular": "cli.widen.no_granular",
    "widening.content": "cli.widen.no_content",
    "transform.producer_unknown": "cli.widen.no_producer",
    "transform.named": "cli.widen.no_name",
    "transform.lineage": "cli.widen.no_lineage",
    "transform.marking": "cli.widen.no_words",
    "transform.type": "cli.widen.no_form",
    "transform.required": "cli.widen.no_form",
    "transform.selector": "cli.widen.no_granular",
    "transform.personal_stays": "cli.widen.no_form",
}
"""Why nobody may widen it so → where that stands, and what to do."""


def in_words(error: UsageError, settings: Settings) -> UsageError:
    """A refusal with what refuses, where it stands and what to do; any other error as it is."""
    fields = {**error.fields, **_files(error.fields, settings)}
    if error.code in _MENDED:
        told = say(error.code, agreement="")
        more = say(_MENDED[error.code], **fields)
        return UsageError("cli.widen.no", id=fields["id"], reason=told, clause=error.code, more=more)
    if error.code == "cli.widen.not_creator":
        return UsageError(error.code, **fields)
    if error.code == "cli.widen.refused":
        return UsageError(error.code, **{**fields, "reason": say(str(fields["reason"]), agreement="")})
    return error


def _files(fields: Mapping[str, object], settings: Settings) -> dict[str, str]:
    """The files in which it may be mended: of our own house, of the giver, and of what is agreed with the giver."""
    giver, terms = fields.get("giver"), settings.terms
    homes = [f"`peers/{peer.id}.toml`" for peer in terms.peers.values() if peer.home]
    agreed = [f"`agreements/{a.id}.toml`" for a in terms.agreements if a.receive is not None and giver in a.parties]
    return {"home": ", ".join(homes) or "–", "agreed": ", ".join(agreed) or "–"}


def print_obstacles(found: Iterable[Obstacle], settings: Settings) -> None:
    """Who would not have it even so, by which clause, and where that stands."""
    lines = [_line(each, settings) for each in found]
    for line in lines[:_FEW]:
        out.print("  " + clean(line), soft_wrap=True)
    if len(lines) > _FEW:
        tell("cli.widen.more", count=len(lines) - _FEW)


def _line(each: Obstacle, settings: Settings) -> str:
    peers = ", ".join(settings.terms.peers[peer].name for peer in each.members if peer in settings.terms.peers)
    reason = say(each.reason, agreement=each.agreement)
    told = {"peer": peers, "where": where_of(each.channel, settings), "reason": reason}
    place = place_of(each, settings)
    if place is None:
        return say("cli.widen.obstacle", **told)
    file, key = place
    return say("cli.widen.obstacle_in", **told, file=file, key=key)


def place_of(each: Obstacle, settings: Settings) -> tuple[str, str] | None:
    """(file, key) of the clause; None: no setting says so."""
    if each.reason in _IN_COLLECTION:
        return f"collections/{where_of(each.channel, settings)}.toml", _IN_COLLECTION[each.reason]
    if each.reason in _IN_PEER:
        key = _IN_PEER[each.reason]
        return ", ".join(f"peers/{peer}.toml" for peer in each.members), key
    if each.agreement:
        return f"agreements/{each.agreement}.toml", _IN_AGREEMENT.get(each.reason, "send")
    if each.reason in _IN_AGREEMENT:
        return "agreements/*.toml", _IN_AGREEMENT[each.reason]
    return None
