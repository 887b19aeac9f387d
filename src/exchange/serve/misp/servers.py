"""What a MISP asks of a server before anything else: its version, an echo, whose key this is, names for its rules."""

from __future__ import annotations

from urllib.parse import urlsplit

from exchange.errors import Forbidden, RequestError
from exchange.serve.answers import Unavailable
from exchange.serve.misp.body import ENCODINGS
from exchange.serve.misp.instance import Answer, Ask
from exchange.serve.misp.parties import organisation

VERSION = "2.5.1"
"""The MISP whose wire this is. MISP reads it as a.b.c and calls what it needs only from a 2.5 (section 1.2)."""
_ECHOED = ("Accept", "Content-type")
"""MISP compares these two, spelt like this."""


def may_write(ask: Ask) -> bool:
    """Whether this account may write here; a brake that holds it for now takes no right from it."""
    try:
        ask.visit.writing(ask.collection)
    except Forbidden:
        return False
    except Unavailable:
        return True
    return True


def version(ask: Ask) -> Answer:
    """`GET /servers/getVersion`: what is offered here, and what this account may do. Nothing else is ever called."""
    writes = may_write(ask)
    return Answer(
        body={
            "version": VERSION,
            "pymisp_recommended_version": VERSION,
            "perm_sync": writes,
            "perm_sighting": writes,
            "perm_galaxy_editor": writes,
            "perm_analyst_data": writes,
            "uuid": _bare(ask.visit.rules.terms.node_identity),
            "request_encoding": list(ENCODINGS),
            "filter_sightings": True,
        }
    )


def pymisp_version(_ask: Ask) -> Answer:
    """`GET /servers/getPyMISPVersion`."""
    return Answer(body={"version": VERSION})


def post_test(ask: Ask) -> Answer:
    """`POST /servers/postTest`: what came, as it came. MISP fails its test by any other spelling."""
    if not isinstance(ask.given, dict):
        raise RequestError("request.misp_shape", wanted='{"testString": …}')
    headers = {name: ask.req.get_header(name) or 0 for name in _ECHOED}
    return Answer(body={"body": ask.given, "headers": {**headers, "Authorization": "OK"}})


def me(ask: Ask) -> Answer:
    """`GET /users/view/me`: the account, its rights here, and the organisation that it speaks for."""
    peer = ask.visit.rules.terms.peers[ask.visit.peer]
    writes = may_write(ask)
    host = urlsplit(ask.visit.base).hostname or "localhost"
    granted = dict.fromkeys(_RIGHTS, writes)
    return Answer(
        body={
            "User": {
                "id": "1",
                "org_id": "1",
                "role_id": "1",
                "email": f"{ask.visit.account}@{host}",
                "autoalert": False,
                "disabled": False,
                "termsaccepted": True,
                "change_pw": False,
            },
            "Role": {
                "id": "1",
                "name": "Sync user" if writes else "Read only",
                "perm_auth": True,
                "perm_admin": False,
                "perm_site_admin": False,
                "perm_audit": False,
                "perm_template": False,
                **granted,
            },
            "UserSetting": [],
            "Organisation": {"id": "1", **organisation(peer), "local": True},
        }
    )


_RIGHTS = (
    "perm_add",
    "perm_modify",
    "perm_modify_org",
    "perm_publish",
    "perm_sync",
    "perm_tagger",
    "perm_sighting",
    "perm_galaxy_editor",
    "perm_analyst_data",
)


def _bare(identity: str) -> str:
    return identity.removeprefix("identity--")
