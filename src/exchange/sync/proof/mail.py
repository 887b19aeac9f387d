"""Mail at random, in plain STIX: mailboxes, and messages that say who wrote to whom."""

from __future__ import annotations

from random import Random

from exchange.sync.proof.words import MAILBOX, MESSAGE, PERSON, RECIPIENTS, SENDERS, Thing

SHOWN = "Dominique Exemplaire"
"""Whose name stands beside a mailbox."""
_FIRST, _SECOND, _THIRD = 300, 320, 340
_MARKS = ((), ("tlp:clear",), ("tlp:clear",), ("tlp:green",), ("tlp:amber",))
_BOXES, _NAMED, _WITH_TEXT = 3, 0.2, 0.2


def mail(random: Random) -> list[Thing]:
    """A few mailboxes and messages; any of them may have written, have been written to, both or neither."""
    boxes = [_box(random, _FIRST + place) for place in range(random.randint(1, _BOXES))]
    return [*boxes, *_messages(random, _SECOND, boxes)]


def every_kind() -> list[Thing]:
    """A mailbox in each role, and one that wrote and was written to; the mailboxes come first."""
    roles = (*SENDERS, *RECIPIENTS)
    boxes = [Thing(number=_FIRST + at, kind=MAILBOX, marks=("tlp:clear",)) for at in range(len(roles) + 1)]
    both = boxes[-1].number
    named: list[tuple[tuple[int, ...], tuple[str, ...]]]
    named = [((boxes[at].number,), (role,)) for at, role in enumerate(roles)]
    named += [((both,), (SENDERS[0],)), ((both, both), (SENDERS[1], RECIPIENTS[0]))]
    return boxes + [
        Thing(number=_SECOND + at, kind=MESSAGE, marks=("tlp:clear",), refs=refs, roles=roles_)
        for at, (refs, roles_) in enumerate(named)
    ]


def by_another(random: Random, things: list[Thing]) -> list[Thing]:
    """What somebody else tells of the same mailboxes, in messages of its own."""
    boxes = [each for each in things if each.kind == MAILBOX and not each.given]
    if not boxes:
        return []
    known = [_box(random, number) for number in sorted({each.number for each in boxes}) if random.random() < 0.7]
    return [*known, *_messages(random, _THIRD, boxes)]


def _box(random: Random, number: int) -> Thing:
    text = SHOWN if random.random() < _NAMED else ""
    return Thing(number=number, kind=MAILBOX, marks=random.choice(_MARKS), text=text)


def _messages(random: Random, first: int, boxes: list[Thing]) -> list[Thing]:
    made = []
    for number in range(first, first + random.randint(1, 2)):
        roles = random.sample((*SENDERS, *RECIPIENTS), random.randint(1, 3))
        refs = tuple(random.choice(boxes).number for _ in roles)
        text = f"Write to {PERSON}" if random.random() < _WITH_TEXT else ""
        marks = random.choice(_MARKS)
        made.append(Thing(number=number, kind=MESSAGE, marks=marks, refs=refs, roles=tuple(roles), text=text))
    return made
