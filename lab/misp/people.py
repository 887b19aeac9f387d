"""Who is on a MISP: organisations, roles and the users whose keys knock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

Part = dict[str, Any]

_ALL = (
    "perm_add",
    "perm_modify",
    "perm_modify_org",
    "perm_publish",
    "perm_delegate",
    "perm_sync",
    "perm_admin",
    "perm_audit",
    "perm_auth",
    "perm_site_admin",
    "perm_regexp_access",
    "perm_tagger",
    "perm_template",
    "perm_sharing_group",
    "perm_tag_editor",
    "perm_sighting",
    "perm_object_template",
    "perm_publish_zmq",
    "perm_publish_kafka",
    "perm_decaying",
    "perm_galaxy_editor",
    "perm_warninglist",
    "perm_view_feed_correlations",
    "perm_analyst_data",
    "perm_skip_otp",
)
_NOT_OF_SYNC = (
    "perm_admin",
    "perm_site_admin",
    "perm_regexp_access",
    "perm_template",
    "perm_object_template",
    "perm_warninglist",
    "perm_view_feed_correlations",
    "perm_skip_otp",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation as an instance knows it; `id` is the number that this instance gave it."""

    uuid: str
    name: str
    id: str = "0"
    local: bool = True
    created: str = "2025-10-01 08:00:00"
    type: str = ""
    description: str | None = None
    created_by: str = "1"

    def brief(self) -> Part:
        """As it stands in sightings and index rows."""
        return {"id": self.id, "name": self.name, "uuid": self.uuid}

    def shown(self) -> Part:
        """As it stands in an event."""
        return {**self.brief(), "local": self.local}

    def whole(self) -> Part:
        """As it stands in clusters and analyst data."""
        return {
            "id": self.id,
            "name": self.name,
            "date_created": self.created,
            "date_modified": self.created,
            "description": self.description,
            "type": self.type,
            "nationality": "",
            "sector": "",
            "created_by": self.created_by,
            "uuid": self.uuid,
            "contacts": None,
            "local": self.local,
            "restricted_to_domain": None,
            "landingpage": None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a user may do; `may` holds the names of the permissions that are set."""

    id: str = "5"
    name: str = "Sync user"
    may: frozenset[str] = frozenset(_ALL) - frozenset(_NOT_OF_SYNC)

    def __contains__(self, permission: str) -> bool:
        return permission in self.may or "perm_site_admin" in self.may

    def without(self, *permissions: str) -> Self:
        """The same role, less these permissions."""
        return replace(self, may=self.may - frozenset(permissions))

    def shown(self) -> Part:
        """As `users/view` shows it."""
        flags = {name: name in self.may for name in _ALL}
        rest = {"default_role": False, "memory_limit": None, "max_execution_time": None}
        limits = {"restricted_to_site_admin": False, "enforce_rate_limit": False, "rate_limit_count": "0"}
        level = {"permission": "3", "permission_description": "publish"}
        times = {"created": "2025-10-01 08:00:00", "modified": "2025-10-01 08:00:00"}
        return {"id": self.id, "name": self.name, **times, **flags, **rest, **limits, **level}


SYNC = Role()
READ_ONLY = Role(id="6", name="Read Only", may=frozenset({"perm_auth"}))
ADMIN = Role(id="1", name="admin", may=frozenset(_ALL))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks, by its authkey."""

    org: Organisation
    role: Role = SYNC
    id: str = "2"
    email: str = "sync@example.org"
    key: str = field(default="", repr=False)

    def __contains__(self, permission: str) -> bool:
        return permission in self.role

    def shown(self, now: int) -> Part:
        """As `users/view/me` answers."""
        user = {
            "id": self.id,
            "password": "*****",
            "org_id": self.org.id,
            "email": self.email,
            "autoalert": False,
            "invited_by": "1",
            "gpgkey": "",
            "certif_public": "",
            "nids_sid": "4000000",
            "termsaccepted": True,
            "newsread": "0",
            "role_id": self.role.id,
            "change_pw": False,
            "contactalert": False,
            "disabled": False,
            "expiration": None,
            "current_login": "0",
            "last_login": "0",
            "force_logout": False,
            "date_created": "1759305600",
            "date_modified": "1759305600",
            "sub": None,
            "external_auth_required": False,
            "external_auth_key": "",
            "last_api_access": str(now),
            "notification_daily": False,
            "notification_weekly": False,
            "notification_monthly": False,
            "totp": "*****",
            "hotp_counter": None,
            "last_pw_change": "1759305600",
            "totp_is_set": "0",
        }
        return {"User": user, "Role": self.role.shown(), "UserSetting": [], "Organisation": self.org.whole()}
