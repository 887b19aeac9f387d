"""Recall notices (RULES R8): the note by which a partner that had an object learns that it may no longer have it.

It is a note of ours with a property extension (STIX 2.1 section 7.3) that programs read, and a sentence for people:

    {"extension_type": "property-extension", "id": STIX id, "version": as TAXII has it, "action": withdrawn, restored}

It gives no reason. It bears the marks under which the object had been listed to that audience, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, cast

import orjson

from exchange.errors import ContentError
from exchange.model.lights import PAP_ID, PFC_ID, Pfc
from exchange.model.marking import TLP2_ID, Label, of_ids
from exchange.model.stix import DIGEST, StixObject, instant, normal_form

EXTENSION = "extension-definition--4667aec7-75c6-4364-ac69-2dd4d3b7abd5"
_NAME = EXTENSION.encode()
_DIGITS = 3
Action = Literal["withdrawn", "restored"]
_ACTIONS: Sequence[Action] = ("withdrawn", "restored")
WORDS: Mapping[Action, tuple[str, str]] = {
    "withdrawn": (
        "Withdrawn / Retiré",
        "The object that this note names is withdrawn. Please stop using it and remove your copies of it.\n\n"
        "L’objet que cette note nomme est retiré. Veuillez cesser de l’utiliser et en supprimer vos copies.",
    ),
    "restored": (
        "Shared again / De nouveau partagé",
        "The object that this note names is shared again; its withdrawal no longer holds.\n\n"
        "L’objet que cette note nomme est de nouveau partagé; son retrait ne tient plus.",
    ),
}
"""Action → abstract and content. Whoever reads it has no language that we know of, so both stand there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What a notice says. `version`: the newest that was given, as TAXII spells it."""

    stix_id: str
    version: str
    action: Action


def notice(said: Recall, *, note_id: str, author: str, created: str, modified: str, label: Label) -> StixObject:
    """The note, as `stix.parse` would give it, in a fifth of the time: there may be as many as objects.

    But it names no references: nothing of it may show anywhere but in the note itself. `created` and `modified` are
    STIX timestamps of three digits.
    """
    abstract, content = WORDS[said.action]
    extension = {"extension_type": "property-extension", "id": said.stix_id, "version": said.version}
    note = {
        "type": "note",
        "spec_version": "2.1",
        "id": note_id,
        "created_by_ref": author,
        "created": created,
        "abstract": abstract,
        "content": content,
        "object_refs": [said.stix_id],
        "object_marking_refs": marks(label),
        "extensions": {EXTENSION: {**extension, "action": said.action}},
    }
    digest = sha256(normal_form(note)).digest()[:DIGEST]
    body = orjson.dumps(note | {"modified": modified})
    return StixObject(
        id=note_id, type="note", version=instant(modified), precision=_DIGITS, raw=body, body=body, digest=digest,
        label=of_ids(note["object_marking_refs"]), creator=author, revoked=False, refs=frozenset(), ends=frozenset(),
        fact=note_id, values=(), day=created[:10],
    )  # fmt: skip


def marks(label: Label) -> list[str]:
    """The marking-definitions that say what `label` says of TLP, PFC and PAP."""
    found = [] if label.tlp is None else [TLP2_ID[label.tlp]]
    found += [] if label.pfc is None else [PFC_ID[label.pfc]]
    found += [PFC_ID[Pfc.VERT]] if label.vert else []
    return found + ([] if label.pap is None else [PAP_ID[label.pap]])


def read(item: StixObject) -> Recall | None:
    """What `item` says if it is a notice, whoever wrote it; None: it is none, or says nothing that can be read."""
    if item.type != "note" or _NAME not in item.body:
        return None
    stix = orjson.loads(item.body)
    extensions = stix.get("extensions")
    said = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    if not isinstance(said, dict):
        return None
    stix_id, version, action = (said.get(name) for name in ("id", "version", "action"))
    if not isinstance(stix_id, str) or stix_id not in item.ends or not isinstance(version, str):
        return None
    if action not in _ACTIONS or item.revoked or not _is_instant(version):
        return None
    return Recall(stix_id=stix_id, version=version, action=cast(Action, action))


def claims(item: StixObject) -> bool:
    """Whether `item` bears the extension of a notice, be it one that can be read or not."""
    if _NAME not in item.body:
        return False
    extensions = orjson.loads(item.body).get("extensions")
    return isinstance(extensions, dict) and EXTENSION in extensions


def _is_instant(text: Any) -> bool:
    try:
        return bool(instant(text))
    except ContentError:
        return False
