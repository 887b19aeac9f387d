"""`agreements/ID.toml`: who may get what, why, until when (RULES R2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal

from pydantic import Field

from exchange.config.altering import Redacted
from exchange.config.form import Form
from exchange.config.misp_words import MispCategory, MispTemplate, MispType, words
from exchange.config.problems import problem
from exchange.config.values import Day, Marking, Percent, StixType, TlpLevel, Words
from exchange.errors import Problem
from exchange.model.marking import Tlp
from exchange.model.party import ANY_MARKING, Agreement, Receive, Send

FOLDER = "agreements"


class ReceiveTable(Form):
    """`[receive]`; an absent ceiling is the safe choice, TLP:CLEAR."""

    ceiling: TlpLevel = Field(default=Tlp.CLEAR, examples=["TLP:AMBER"])
    unmarked: TlpLevel | None = Field(default=None, examples=["TLP:AMBER"])
    informational_markings: list[Marking] = Field(
        default=[], examples=[["marking-definition--8b2c7e5d-3a64-4f19-b0d8-5e1f7a9c2d36"]]
    )

    types: list[StixType] | None = Field(default=None, min_length=1, examples=[["indicator", "sighting"]])
    confidence: Percent | None = Field(default=None, examples=[50])
    unrated: bool = Field(default=False, examples=[True])


class SendTable(Form):
    """`[send]`; encryption that is not spoken of is a must."""

    ceiling: TlpLevel = Field(examples=["TLP:GREEN"])
    types: list[StixType] | None = Field(default=None, min_length=1, examples=[["indicator", "sighting"]])
    onward: bool = Field(default=False, examples=[False])
    pfc: bool = Field(default=False, examples=[True])
    confidence: Percent | None = Field(default=None, examples=[50])
    unrated: bool = Field(default=False, examples=[True])
    encryption: Literal["must", "may"] = Field(default="must", examples=["must"])
    attribution: Literal["named", "anonymous"] = Field(default="named", examples=["anonymous"])
    misp_types: list[MispType] | None = Field(default=None, min_length=1, examples=[["domain", "ip-dst"]])
    misp_categories: list[MispCategory] | None = Field(default=None, min_length=1, examples=[["Network activity"]])
    misp_templates: list[MispTemplate] | None = Field(default=None, min_length=1, examples=[["domain-ip"]])
    no_misp_types: list[MispType] = Field(default=[], examples=[["target-user"]])
    no_misp_categories: list[MispCategory] = Field(default=[], examples=[["Person"]])
    no_misp_templates: list[MispTemplate] = Field(default=[], examples=[["person"]])
    redact: list[Redacted] = Field(default=[], examples=[["description"]])
    granular: Literal["join", "remove"] = Field(default="join", examples=["remove"])
    personal_information: Literal["allowed", "strip", "hold"] | None = Field(default=None, examples=["strip"])
    approvals: int = Field(default=1, ge=1, le=4, examples=[2])


class AgreementForm(Form):
    """The whole of `agreements/ID.toml`."""

    title: Words = Field(examples=["Entente 2026"])
    parties: list[str] = Field(min_length=1, examples=[["ccc"]])
    start: Day = Field(alias="from", examples=[date(2026, 4, 1)])
    until: Day = Field(examples=[date(2029, 3, 31)])
    purpose: Words = Field(examples=["Défense"])
    legal_basis: Words | None = Field(default=None, examples=["A-2.1, art. 68"])
    receive: ReceiveTable | None = None
    send: SendTable | None = None


def mistakes(form: AgreementForm, file: str) -> Iterator[Problem]:
    """What is wrong between the keys of the file."""
    if form.until < form.start:
        yield problem("config.until_before_from", file, "until", start=form.start, until=form.until)
    if form.receive is None and form.send is None:
        yield problem("config.agreement_empty", file, "send")
    for table in ("receive", "send"):
        clause = getattr(form, table)
        if clause and clause.unrated and clause.confidence is None:
            yield problem("config.goes_with", file, f"{table}.confidence", given="unrated", missing="confidence")
    receive = form.receive
    if receive and receive.unmarked is not None and receive.unmarked > receive.ceiling:
        yield problem(
            "config.unmarked_above_ceiling",
            file,
            "receive.unmarked",
            unmarked=receive.unmarked.label,
            ceiling=receive.ceiling.label,
        )


def openings(form: AgreementForm, file: str) -> Iterator[Problem]:
    """What makes of it an agreement for tests, refused unless the node listens on loopback only (RULES R30)."""
    receive = form.receive
    if receive is None:
        return
    if ANY_MARKING in receive.informational_markings:
        yield problem("config.any_marking", file, "receive.informational_markings")
    if receive.unmarked is None:
        return
    if receive.ceiling is Tlp.RED:
        yield problem("config.red_and_unmarked", file, "receive.ceiling", unmarked=receive.unmarked.label)
    if form.send and form.send.ceiling is Tlp.RED:
        yield problem("config.red_and_unmarked", file, "send.ceiling", unmarked=receive.unmarked.label)


def build(agreement_id: str, form: AgreementForm) -> Agreement:
    """The agreement."""
    receive, send = form.receive, form.send
    return Agreement(
        id=agreement_id,
        title=form.title,
        parties=tuple(form.parties),
        start=form.start,
        end=form.until,
        purpose=form.purpose,
        legal_basis=form.legal_basis or "",
        receive=Receive(
            ceiling=receive.ceiling,
            unmarked=receive.unmarked,
            informational_markings=frozenset(receive.informational_markings),
            types=frozenset(receive.types) if receive.types else None,
            confidence=receive.confidence,
            unrated=receive.unrated,
        )
        if receive
        else None,
        send=Send(
            ceiling=send.ceiling,
            types=frozenset(send.types) if send.types else None,
            onward=send.onward,
            pfc=send.pfc,
            confidence=send.confidence,
            unrated=send.unrated,
            encrypted=send.encryption == "must",
            attribution=send.attribution,
            misp=words(send, ""),
            no_misp=words(send, "no_"),
            redact=frozenset(send.redact),
            granular=send.granular,
            personal=send.personal_information,
            approvals=send.approvals,
        )
        if send
        else None,
    )
