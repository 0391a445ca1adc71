"""Remote ids: `tvdb:2345` is an episode, `tmdb:3456` a film, an address a stream. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from webhook.domain.event import STREAMS, Episode, Ids, Item, Movie
from webhook.domain.items import keys

FILM, TV, URL = "film", "tv", "url"
TYPES = (FILM, TV, URL)

MAX_ADDRESS = 500
MAX_KEY = 200
PORTS = {"http": 80, "https": 443}
TRACKING = re.compile(
    r"utm_.*|fbclid|gclid|dclid|msclkid|mc_cid|mc_eid|igshid|yclid|_ga|si|feature|ref_src|ref_url|spm",
    re.IGNORECASE,
)
YOUTUBE = re.compile(r"(?:www\.|m\.|music\.)?youtube(?:-nocookie)?\.com")
EMBEDDED = re.compile(r"/(?:embed|shorts|live|v)/([A-Za-z0-9_-]{5,20})/?")
SHORT = re.compile(r"/([A-Za-z0-9_-]{5,20})/?")
ID_DIGITS = re.compile(r"[1-9][0-9]{0,9}")
HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+")


class Improper(Exception):
    """It is not a remote id; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote id in canonical form, and its item."""

    type: str
    item: Item

    @property
    def keys(self) -> tuple[str, ...]:
        return video_keys(self.type, self.item)


def parse_remote_id(written: str) -> Remote:
    """Parse a remote id; raises Improper."""
    space, _, number = written.partition(":")
    if space in ("tvdb", "tmdb"):
        if not ID_DIGITS.fullmatch(number):
            raise Improper(f"{space}: is followed by a number")
        if space == "tvdb":
            return Remote(TV, Episode(ids=Ids(tvdb=int(number))))
        return Remote(FILM, Movie(ids=Ids(tmdb=int(number))))
    if space.lower() in PORTS:
        return Remote(URL, Movie(title=canonical(written)))
    raise Improper("an id is a number, tvdb:NUMBER, tmdb:NUMBER, or an http(s) address")


def remote_id_of(kind: str, item: Item) -> str | None:
    """The remote id of an item, or None if it has none."""
    match kind, item:
        case "url", Movie(title=str(address)):
            return address
        case "film", Movie(ids=Ids(tmdb=int(number))):
            return f"tmdb:{number}"
        case "tv", Episode(ids=Ids(tvdb=int(number))):
            return f"tvdb:{number}"
    return None


def video_keys(kind: str, item: Item) -> tuple[str, ...]:
    """The keys of a video, which are those of its item's plays."""
    return keys(item, *stream_place(kind, item))


def stream_place(kind: str, item: Item) -> tuple[str | None, str | None]:
    """The server and item key of a stream's plays, made from its address; None for other types."""
    if kind != URL or item.title is None:
        return None, None
    address = item.title
    return STREAMS, address if len(address) <= MAX_KEY else hashlib.sha256(address.encode()).hexdigest()


def type_of(item: Item, known: tuple[str, ...]) -> str:
    """The type of a play's item, by the play's keys."""
    if any(key.startswith(f"movie@{STREAMS}:") for key in known):
        return URL
    return TV if isinstance(item, Episode) else FILM


# --- addresses


def canonical(written: str) -> str:
    """The address in canonical form, without tracking parameters and fragment; raises Improper."""
    try:
        parts = urlsplit(written.strip())
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError as error:
        raise Improper(f"this is no address: {error}") from error
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not HOST.fullmatch(host):
        raise Improper("an address begins with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise Improper("an address must not hold a user name or a password")
    if address := youtube(host, parts.path, parts.query):
        return address
    named = f"[{host}]" if ":" in host else host
    authority = named if port in (None, PORTS[scheme]) else f"{named}:{port}"
    found = urlunsplit((scheme, authority, quote_path(parts.path) or "/", strip_trackers(parts.query), ""))
    if len(found) > MAX_ADDRESS:
        raise Improper(f"an address has at most {MAX_ADDRESS} characters")
    return found


def quote_path(path: str) -> str:
    return quote(path, safe="/%:@!$&'()*+,;=-._~")


def strip_trackers(query: str) -> str:
    """The query without tracking parameters."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise Improper("the address has too many parameters") from error
    return urlencode([(name, value) for name, value in pairs if not TRACKING.fullmatch(name)])


def youtube(host: str, path: str, query: str) -> str | None:
    """The one address of a YouTube video however it is written, or None for other addresses."""
    found = None
    if host == "youtu.be":
        found = SHORT.fullmatch(path)
    elif YOUTUBE.fullmatch(host):
        watched = dict(parse_qsl(query, max_num_fields=100)).get("v", "") if path == "/watch" else ""
        found = SHORT.fullmatch(f"/{watched}") or EMBEDDED.fullmatch(path)
    return f"https://www.youtube.com/watch?v={found[1]}" if found else None
