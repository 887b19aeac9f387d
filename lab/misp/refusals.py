"""How MISP says no to an event: its own words, which a pusher must understand."""

from __future__ import annotations

from typing import Any

from lab.misp.instance import Refused

NOT_NEWER = "Event could not be saved: Event in the request not newer than the local copy."
EMPTY = "Received a published event that was empty. Event add process blocked."
EXISTS = "Event already exists, if you would like to edit it, use the url in the location header."
NOT_YOURS = (
    "Event could not be saved: The user used to edit the event is not authorised to do so. This can be caused by the "
    "user not being of the same organisation as the original creator of the event whilst also not being a site "
    "administrator."
)
NO_GROUP = "Event could not be saved: User not authorised to create the associated sharing group."


def failed(action: str, errors: Any, key: str = "") -> Refused:
    """The 403 of an `add` or `edit` that failed."""
    name = f"Could not {action} Event"
    url = f"/events/{action}" + (f"/{key}" if key else "")
    return Refused(403, name, saved=False, url=url, errors=errors)
