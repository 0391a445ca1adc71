"""Redaction: a webhook's payload for a bug report.

What says who and where goes, and the same word always stands for the same value; what says which item it
is and what happened to it stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

GROUPS: Mapping[str, tuple[str, ...]] = {
    "person": (
        *("user", "username", "notificationusername", "friendlyname", "fullname", "userfullname"),
        *("lastusername", "accountname", "owner", "ownername", "usertitle"),
    ),
    "server": ("servername", "serverurl", "servertitle", "localaddress", "wanaddress", "pmsidentifiername"),
    "player": ("player", "playername", "device", "devicename", "playertitle"),
    "id": (
        *("userid", "accountid", "serverid", "server", "servermachineid", "machineid", "machineidentifier"),
        *("clientidentifier", "playerid", "deviceid", "devicekey", "pmsidentifier", "playerkey"),
    ),
    "token": (
        *("token", "accesstoken", "authtoken", "xplextoken", "apikey", "xembytoken", "authorization"),
        *("password", "secret", "cookie"),
    ),
    "address": (
        *("ip", "ipaddress", "publicaddress", "remoteaddress", "address", "remoteendpoint"),
        *("playeraddress", "remotepublicaddress", "ipaddresspublic"),
    ),
    "email": ("email", "useremail", "emailaddress"),
}
"""The group of a value by its field's name, without case and punctuation."""

OBJECT_GROUPS: Mapping[str, str] = {
    "account": "person",
    "user": "person",
    "server": "server",
    "player": "player",
}
"""Objects that stand for a person or thing, and the group of their names and numbers."""

OBJECT_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("title", "name", "username"), ""),
    **dict.fromkeys(("id", "uuid", "key"), "id"),
}
"""The fields of such an object: its name, which is of the object's own group, or its number."""

PICTURES = frozenset({"avatar", "userthumb", "picture", "primaryimagetag", "userimage"})
PATHS = frozenset({"file", "path", "filepath", "filename", "folder"})
KEPT_FIELDS = frozenset(
    {
        *("guid", "parentguid", "grandparentguid", "id", "ids", "key", "ratingkey", "type", "kind", "event"),
        *("notificationtype", "action", "mediatype", "itemtype", "librarysectiontype", "source"),
    }
)
"""Fields that say what happened to which item: a player called Plex must not change `plex://…`."""

MIN_WORD = 3
"""The least length of a word to search for elsewhere, since shorter ones occur in anything."""

MAX_TEXT_LETTERS = 4096
"""Characters of a text that are searched; the rest is cut off."""

MAX_LETTERS = 256 * 1024
"""Maximum characters of all texts together; the rest is left out."""

MAX_SEARCHED_WORDS = 200
"""The number of words to remove that are searched in texts; where there are more, texts are left out whole."""

MAX_WORD = 200  # characters of a word to search for
MAX_NESTING = 50
LEFT_OUT = "…"

EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)++")
ADDRESS = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])",
    re.IGNORECASE,
)
SECRET = re.compile(r"((?:token|api_?key|password|secret)=)[^&\s\"']+", re.IGNORECASE)
HOST = re.compile(r"(?<=://)[\w.-]++")
LETTER = re.compile(r"[a-z]", re.IGNORECASE)
PUBLIC = ("themoviedb.org", "tmdb.org", "thetvdb.com", "imdb.com", "musicbrainz.org", "plex.tv")
NOT_PLAIN = re.compile(r"[^a-z0-9]")


def redact(payload: Any) -> Any:
    """The payload with all personal values replaced; its shape and the types of its values stay."""
    return Redaction(payload).done


class Redaction:
    """Redaction of one payload: collects the values to remove, then replaces them everywhere."""

    def __init__(self, payload: Any) -> None:
        self.words: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.left = MAX_LETTERS
        self.learn(payload, "", None)
        known = sorted(
            (word for word in self.words if MIN_WORD <= len(word) <= MAX_WORD), key=len, reverse=True
        )
        self.sayable = len(known) <= MAX_SEARCHED_WORDS
        one_of = "|".join(map(re.escape, known))
        self.known = (
            re.compile(rf"(?<!\w)(?:{one_of})(?!\w)", re.IGNORECASE) if known and self.sayable else None
        )
        self.done = self.clean(payload, "", None)

    # --- what is to go

    def learn(self, value: Any, name: str, within: str | None, depth: int = 0) -> None:
        if depth > MAX_NESTING:
            return
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.learn(part, plain_name(key), OBJECT_GROUPS.get(name), depth + 1)
        elif isinstance(value, list):
            for part in value:
                self.learn(part, name, within, depth + 1)
        elif isinstance(value, str) and value.strip() and (group := group_of(name, within)):
            self.word(value, group)

    def word(self, value: str, group: str) -> str:
        """The word that stands for this value, however it is written."""
        key = value.strip().casefold()
        if key not in self.words:
            self.counts[group] = self.counts.get(group, 0) + 1
            self.words[key] = f"{group}-{self.counts[group]}"
        return self.words[key]

    # --- and how it goes

    def clean(self, value: Any, name: str, within: str | None, depth: int = 0) -> Any:
        match value:
            case Mapping() | list() if depth > MAX_NESTING:
                return LEFT_OUT
            case Mapping():
                named = OBJECT_GROUPS.get(name)
                return {
                    key: self.clean(part, plain_name(key), named, depth + 1) for key, part in value.items()
                }
            case list():
                return [self.clean(part, name, within, depth + 1) for part in value]
            case bool() | None:
                return value
            case int() | float():
                return 0 if group_of(name, within) else value
            case str():
                return self.text(value, name, within)
        return value

    def text(self, value: str, name: str, within: str | None) -> str:
        if not value.strip():
            return value
        if group := group_of(name, within):
            return self.word(value, group)
        if name in PICTURES or (within and name == "thumb"):
            return "picture"
        if name in KEPT_FIELDS or name.endswith("version"):
            return value
        self.left -= min(len(value), MAX_TEXT_LETTERS)
        if not self.sayable or self.left < 0:
            return LEFT_OUT
        if name in PATHS:
            value = file_name(value)
        return self.everywhere(value[:MAX_TEXT_LETTERS]) + (LEFT_OUT if len(value) > MAX_TEXT_LETTERS else "")

    def everywhere(self, value: str) -> str:
        """A text with known personal values, and those that look like it, replaced."""
        value = SECRET.sub(r"\1token", value)
        value = EMAIL.sub(lambda found: self.word(found[0], "email"), value)
        value = ADDRESS.sub(lambda found: self.word(found[0], "address"), value)
        value = HOST.sub(self.host, value)
        if self.known is None:
            return value
        return self.known.sub(lambda found: self.words[found[0].casefold()], value)

    def host(self, found: re.Match[str]) -> str:
        """The replacement for a named host; IP addresses are handled elsewhere, and a name without a domain identifies nobody."""
        host = found[0].rstrip(".").casefold()
        named = "." in host and LETTER.search(host) is not None
        return (
            self.word(found[0], "host")
            if (named and not host.endswith(PUBLIC)) or host == "localhost"
            else found[0]
        )


def file_name(path: str) -> str:
    """The name of a file without its folders."""
    cut = max(path.rfind("/"), path.rfind("\\")) + 1
    return f"…/{path[cut:]}" if cut else path


def group_of(name: str, within: str | None) -> str | None:
    """The group of a field: by its own name, or by the object it belongs to."""
    if within is not None and name in OBJECT_FIELDS:
        return OBJECT_FIELDS[name] or within
    return next((group for group, names in GROUPS.items() if name in names), None)


def plain_name(name: object) -> str:
    return NOT_PLAIN.sub("", str(name)[:MAX_WORD].casefold())
