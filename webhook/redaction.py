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
"""What a field's name, without case and punctuation, says of its value."""

NAMED: Mapping[str, str] = {"account": "person", "user": "person", "server": "server", "player": "player"}
"""Objects that are somebody or something: their names and numbers are of this group."""

PARTS: Mapping[str, str] = {
    **dict.fromkeys(("title", "name", "username"), ""),
    **dict.fromkeys(("id", "uuid", "key"), "id"),
}
"""The fields of such an object: its name, which is of the object's own group, or its number."""

PICTURES = frozenset({"avatar", "userthumb", "picture", "primaryimagetag", "userimage"})
PATHS = frozenset({"file", "path", "filepath", "filename", "folder"})
KEPT = frozenset(
    {
        *("guid", "parentguid", "grandparentguid", "id", "ids", "key", "ratingkey", "type", "kind", "event"),
        *("notificationtype", "action", "mediatype", "itemtype", "librarysectiontype", "source"),
    }
)
"""Fields that say what happened to which item: a player called Plex must not change `plex://…`."""

SHORTEST = 3
"""A word shorter than this is not looked for elsewhere: it would be found in anything."""

EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
ADDRESS = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])",
    re.IGNORECASE,
)
SECRET = re.compile(r"((?:token|api_?key|password|secret)=)[^&\s\"']+", re.IGNORECASE)
HOST = re.compile(r"(?<=://)(?:[\w-]+\.)+[a-z]{2,}|(?<=://)localhost", re.IGNORECASE)
PUBLIC = ("themoviedb.org", "tmdb.org", "thetvdb.com", "imdb.com", "musicbrainz.org", "plex.tv")
PLAIN = re.compile(r"[^a-z0-9]")


def redacted(payload: Any) -> Any:
    """The payload with everything of that kind replaced; its shape and the kinds of its values stay."""
    return Redaction(payload).done


class Redaction:
    """One payload: first it is learnt what is to go, then it goes wherever it stands."""

    def __init__(self, payload: Any) -> None:
        self.words: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.learn(payload, "", None)
        known = sorted((word for word in self.words if len(word) >= SHORTEST), key=len, reverse=True)
        one_of = "|".join(map(re.escape, known))
        self.known = re.compile(rf"(?<!\w)(?:{one_of})(?!\w)", re.IGNORECASE) if known else None
        self.done = self.clean(payload, "", None)

    # --- what is to go

    def learn(self, value: Any, name: str, within: str | None) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.learn(part, plain(key), NAMED.get(name))
        elif isinstance(value, list):
            for part in value:
                self.learn(part, name, within)
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

    def clean(self, value: Any, name: str, within: str | None) -> Any:
        match value:
            case Mapping():
                return {key: self.clean(part, plain(key), NAMED.get(name)) for key, part in value.items()}
            case list():
                return [self.clean(part, name, within) for part in value]
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
        if name in KEPT or name.endswith("version"):
            return value
        if name in PATHS:
            value = re.sub(r"^.*[/\\]", "…/", value)
        return self.everywhere(value)

    def everywhere(self, value: str) -> str:
        """A text with what is known to go, and what looks like it, replaced within."""
        value = SECRET.sub(r"\1token", value)
        value = EMAIL.sub(lambda found: self.word(found[0], "email"), value)
        value = ADDRESS.sub(lambda found: self.word(found[0], "address"), value)
        value = HOST.sub(self.host, value)
        if self.known is None:
            return value
        return self.known.sub(lambda found: self.words[found[0].casefold()], value)

    def host(self, found: re.Match[str]) -> str:
        return found[0] if found[0].casefold().endswith(PUBLIC) else self.word(found[0], "host")


def group_of(name: str, within: str | None) -> str | None:
    """What a field's value is: by its own name, or by what it is a field of."""
    if within is not None and name in PARTS:
        return PARTS[name] or within
    return next((group for group, names in GROUPS.items() if name in names), None)


def plain(name: object) -> str:
    return PLAIN.sub("", str(name).casefold())
