"""The values that the configuration is written in: durations, sizes, TLP labels, ids, addresses, secrets by name.

Each reader takes what TOML gave and returns the value, or complains with a message id of ours (`config.…`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from unicodedata import combining, normalize
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from exchange.config.problems import near, shown
from exchange.model.marking import KNOWN_IDS, MARKING_PREFIX, Tlp, of_tags, parse_tlp, tags_of
from exchange.model.party import ANY_MARKING, ANY_TEXT, ANYBODY, Window

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ALMOST_UUID = re.compile(r"[0-9a-fA-F{}-]{20,}")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
_SHORT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DURATION = re.compile(r"([0-9]{1,7}) ?([smhd])")
_DAYS = {
    "mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6,
    "lun": 0, "mar": 1, "mer": 2, "jeu": 3, "ven": 4, "sam": 5, "dim": 6,
}  # fmt: skip
_IN_ENGLISH = {"lun": "mon", "mar": "tue", "mer": "wed", "jeu": "thu", "ven": "fri", "sam": "sat", "dim": "sun"}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_CLOCK = "((?:[01][0-9]|2[0-3]):[0-5][0-9])"
_WINDOW = re.compile(rf"(?:({'|'.join(_DAYS)})(?:-({'|'.join(_DAYS)}))? )?{_CLOCK}-({_CLOCK[1:-1]}|24:00)")
_SIZE = re.compile(r"([0-9]{1,9}) ?(B|[kKMGT]i?B)")
_TYPE = re.compile(r"[a-z][a-z0-9-]{2,249}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
_REFERENCE = re.compile(r"credential:(?!\.{1,2}$)[A-Za-z0-9._@-]{1,255}|file:/[^\x00-\x1f]+|env:[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAMES = ("key", "token", "password", "passwd", "secret")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LAST_PORT = 65535
_IDENTITY = "identity--"

TLP_LABELS = tuple(level.label for level in Tlp)
# fmt: off
STIX_TYPES = frozenset({
    "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
    "infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
    "opinion", "report", "threat-actor", "tool", "vulnerability", "relationship", "sighting",
    "language-content", "marking-definition", "extension-definition", "artifact", "autonomous-system",
    "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr", "ipv6-addr", "mac-addr",
    "mutex", "network-traffic", "process", "software", "url", "user-account", "windows-registry-key",
    "x509-certificate",
})
# fmt: on


def wrong(code: str, **fields: Any) -> PydanticCustomError:
    """A complaint about one value; pydantic adds where it stands, reading the key's own `example` if one is asked."""
    return PydanticCustomError(code, code, fields)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise wrong("config.not_text", example="…")
    if not value.strip() or not value.isprintable():
        raise wrong("config.empty", example="…")
    return value.strip()


def _duration(value: object) -> float:
    match = _DURATION.fullmatch(_string(value))
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 1 <= seconds <= 366 * _SECONDS["d"]:
        raise wrong("config.bad_duration", value=shown(value))
    return float(seconds)


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 60:
        return value
    match = _SIZE.fullmatch(_string(value))
    if not match:
        raise wrong("config.bad_size", value=shown(value))
    base = 1024 if "i" in match[2] else 1000
    return int(match[1]) * int(base ** "BKMGT".index(match[2][0].upper()))


def _cron(value: object) -> str:
    from apscheduler.triggers.cron import CronTrigger  # an HTTP process reads no such line and needs no scheduler

    fields = _string(value).casefold().split()
    fields[4:] = [re.sub(r"[a-z]{3}", lambda word: _IN_ENGLISH.get(word[0], word[0]), each) for each in fields[4:]]
    text = " ".join(fields)
    try:
        trigger = CronTrigger.from_crontab(text, UTC)
    except ValueError:
        raise wrong("config.bad_cron", value=shown(value)) from None
    if trigger.get_next_fire_time(None, _SOME_DAY) is None:  # the 31st of February
        raise wrong("config.cron_never", value=shown(value))
    return text


def _window(value: object) -> Window:
    match = _WINDOW.fullmatch(_string(value).casefold())
    if not match or match[3] == match[4]:
        raise wrong("config.bad_window", value=shown(value))
    begin, end = match[3], match[4]
    start = _DAYS.get(match[1] or "", 0)
    count = (_DAYS[match[2] or match[1]] - start) % 7 + 1 if match[1] else 7
    days = frozenset((start + n) % 7 for n in range(count))
    return Window(days=days, begin=_minute(begin), end=_minute(end))


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _tlp(value: object) -> Tlp:
    level = parse_tlp(_string(value))
    if level is None:
        # No level is proposed: the nearest word may be the laxest ceiling.
        raise wrong("config.bad_tlp", value=shown(value), allowed=", ".join(TLP_LABELS))
    return level


def _uuid(value: object) -> str:
    folded = _string(value).lower()
    if not _UUID.fullmatch(folded):
        raise wrong("config.bad_uuid", value=shown(value))
    return folded


def _identity(value: object) -> str:
    folded = _string(value).lower()
    if not folded.startswith(_IDENTITY) or not _UUID.fullmatch(folded.removeprefix(_IDENTITY)):
        raise wrong("config.bad_identity", value=shown(value))
    return folded


def _identity_or_organisation(value: object) -> str:
    folded = _string(value).lower()
    if not _UUID.fullmatch(folded.removeprefix(_IDENTITY)):
        raise wrong("config.bad_identity_or_organisation", value=shown(value))
    return folded


def organisation(identity: str) -> str:
    """The MISP organisation uuid of an identity id (`identity--UUID`) or of a bare uuid."""
    return identity.removeprefix(_IDENTITY)


def slug(name: str) -> str:
    """`name` in the form of our short ids: small letters without accents, digits and hyphens."""
    plain = "".join(sign for sign in normalize("NFKD", name) if not combining(sign))
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:64].strip("-")


def is_short_id(name: str) -> bool:
    """Whether `name` may be the id of a peer, source, target, agreement, or a collection's alias."""
    return bool(_SHORT_ID.fullmatch(name))


def _short_id(value: object) -> str:
    if not isinstance(value, str):
        raise wrong("config.not_text", example="…")
    if not is_short_id(value):
        raise wrong("config.bad_id", value=shown(value), fixed=slug(value) or "flux-1")
    return value


def _their_collection(value: object) -> str:
    text = _string(value)
    if _ALMOST_UUID.fullmatch(text):
        return _uuid(text)
    if not _ALIAS.fullmatch(text):
        raise wrong("config.bad_collection", value=shown(value))
    return text


def _web_url(value: object) -> str:
    text = _string(value)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong("config.bad_url", value=shown(value)) from None
    asked = [name.casefold() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if "@" in parts.netloc or any(secret in name for name in asked for secret in _SECRET_NAMES):
        raise wrong("config.secret_in_url")
    spaced = not text.isprintable() or any(sign.isspace() for sign in text)
    if parts.scheme not in ("http", "https") or not host or spaced or parts.fragment:
        raise wrong("config.bad_url", value=shown(value))
    return text


def _taxii_url(value: object) -> str:
    """A web address, or `srv:DOMAIN` for the server that the DNS names."""
    text = _string(value)
    domain = text.removeprefix("srv:")
    if domain == text:
        return _web_url(value)
    if not _HOST.fullmatch(domain) or "." not in domain:
        raise wrong("config.bad_srv", value=shown(value))
    return "srv:" + domain.lower()


def _origin(value: object) -> str:
    """A server and nothing below it."""
    parts = urlsplit(_web_url(value))
    if parts.path not in ("", "/") or parts.query:
        raise wrong("config.bad_origin", value=shown(value), fixed=f"{parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def _web_proxy(value: object) -> str:
    """An HTTP proxy: `http://HOST:PORT`."""
    try:
        origin = _origin(value)
    except PydanticCustomError as error:
        raise wrong(
            "config.bad_web_proxy", value="…" if error.type == "config.secret_in_url" else shown(value)
        ) from None
    if not origin.startswith("http://"):
        raise wrong("config.bad_web_proxy", value=shown(value))
    return origin


def _listen(value: object) -> tuple[str, int]:
    match = _LISTEN.fullmatch(_string(value))
    host = (match[1] or match[2]) if match else ""
    port = int(match[3]) if match else 0
    try:
        ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host) or (match and match[1]):
            port = 0
    if not 1 <= port <= _LAST_PORT:
        raise wrong("config.bad_listen", value=shown(value))
    return host, port


def _proxy(value: object) -> str:
    try:
        network = ip_network(_string(value), strict=False)
    except ValueError:
        raise wrong("config.bad_proxy", value=shown(value)) from None
    if network.prefixlen == 0:
        raise wrong("config.proxy_everyone", value=shown(value))
    return _string(value)


def _store_url(value: object) -> str:
    text = _string(value)
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        raise wrong("config.bad_store_url", value=shown(value)) from None
    if password or any("password" in name.casefold() for name, _ in parse_qsl(parts.query)):
        raise wrong("config.secret_in_store_url")
    if parts.scheme == "postgresql+psycopg":
        return text
    if parts.scheme != "sqlite" or parts.netloc or not text.isprintable():
        raise wrong("config.bad_store_url", value=shown(value))
    if parts.path in ("", "/", "/:memory:") or "mode=memory" in parts.query:
        raise wrong("config.store_in_memory")
    if not parts.path.startswith("//"):
        raise wrong(
            "config.store_not_absolute", value=shown(value), fixed="sqlite:///" + "/var/lib/exchange" + parts.path
        )
    return text


def _reference(value: object) -> str:
    if not is_reference(_string(value)):
        raise wrong("config.not_a_reference")  # what stands there may be a secret: it is never shown
    return _string(value)


def is_reference(text: str) -> bool:
    """Whether `text` names a secret: `credential:NAME`, `file:/PATH` or `env:NAME`."""
    return bool(_REFERENCE.fullmatch(text))


def _path_reference(value: object) -> str:
    reference = _reference(value)
    if reference.startswith("env:"):
        raise wrong("config.reference_not_a_file")
    return reference


def _stix_type(value: object) -> str:
    text = _string(value)  # a partner's own type is fine, one that is nearly a standard type is a slip
    meant = None if text in STIX_TYPES else near(text, STIX_TYPES, likeness=0.8)
    if meant:
        raise wrong("config.bad_type_near", value=shown(value), near=meant)
    if not _TYPE.fullmatch(text):
        raise wrong("config.bad_type", value=shown(value))
    return text


def _marking(value: object) -> str:
    folded = "".join(_string(value).split()).casefold()
    if folded in KNOWN_IDS or parse_tlp(folded) is not None or tags_of(of_tags([folded])):
        raise wrong("config.tlp_not_informational", value=shown(value))
    definition = folded.startswith(MARKING_PREFIX) and _UUID.fullmatch(folded.removeprefix(MARKING_PREFIX))
    tag = ":" in folded.strip(":") and not folded.startswith(MARKING_PREFIX)
    if folded not in (ANY_MARKING, ANY_TEXT) and not definition and not tag:
        raise wrong("config.bad_marking", value=shown(value))
    return folded


def _day(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong("config.bad_day", value=shown(value))
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        try:
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        except OverflowError:
            raise wrong("config.bad_moment", value=shown(value)) from None
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise wrong("config.bad_moment", value=shown(value))


def _languages(value: object) -> dict[str, str]:
    """Text in our two languages; one that is not given takes the other's words."""
    if isinstance(value, str):
        value = {"fr": value, "en": value}
    if not isinstance(value, dict) or not value or not set(value) <= {"fr", "en"}:
        raise wrong("config.bad_languages")
    words = {language: item.strip() if isinstance(item, str) else "" for language, item in value.items()}
    if not all(text and text.isprintable() for text in words.values()):
        raise wrong("config.bad_languages")
    given = next(iter(words.values()))
    return {language: words.get(language, given) for language in ("fr", "en")}


def _creator(value: object) -> str:
    """The uuid of a MISP organisation, or ANYBODY."""
    return ANYBODY if value == ANYBODY else _uuid(value)


Words = Annotated[str, PlainValidator(_words)]
Duration = Annotated[float, PlainValidator(_duration)]
Cron = Annotated[str, PlainValidator(_cron)]
TimeOfWeek = Annotated[Window, PlainValidator(_window)]
Size = Annotated[int, PlainValidator(_size)]
TlpLevel = Annotated[Tlp, PlainValidator(_tlp)]
Uuid = Annotated[str, PlainValidator(_uuid)]
Creator = Annotated[str, PlainValidator(_creator)]
Identity = Annotated[str, PlainValidator(_identity)]
IdentityOrOrganisation = Annotated[str, PlainValidator(_identity_or_organisation)]
ShortId = Annotated[str, PlainValidator(_short_id)]
TheirCollection = Annotated[str, PlainValidator(_their_collection)]
WebUrl = Annotated[str, PlainValidator(_web_url)]
TaxiiUrl = Annotated[str, PlainValidator(_taxii_url)]
Origin = Annotated[str, PlainValidator(_origin)]
WebProxy = Annotated[str, PlainValidator(_web_proxy)]
Listen = Annotated[tuple[str, int], PlainValidator(_listen)]
Proxy = Annotated[str, PlainValidator(_proxy)]
StoreUrl = Annotated[str, PlainValidator(_store_url)]
Reference = Annotated[str, PlainValidator(_reference)]
PathReference = Annotated[str, PlainValidator(_path_reference)]
StixType = Annotated[str, PlainValidator(_stix_type)]
Marking = Annotated[str, PlainValidator(_marking)]
Day = Annotated[date, PlainValidator(_day)]
Moment = Annotated[datetime, PlainValidator(_moment)]
Languages = Annotated[dict[str, str], PlainValidator(_languages)]
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
Positive = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
