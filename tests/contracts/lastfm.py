"""Last.fm 2.0: https://www.last.fm/api. Parameters of the address and of the form are one set, as its fake logs them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jsonschema import Draft202012Validator

from tests.contracts._schema import (
    DIGITS,
    TEXT,
    Contract,
    Request,
    Schema,
    exactly,
    matching,
    shortened,
    thing,
)

FORM = r"application/x-www-form-urlencoded(;.*)?"
SIGNED: dict[str, Schema] = {
    "method!": TEXT,
    "api_key!": matching("[0-9a-f]{32}"),
    "api_sig!": matching("[0-9a-f]{32}"),
    "format": exactly("json"),
}
USER: dict[str, Schema] = {**SIGNED, "sk!": TEXT}
TRACK: dict[str, Schema] = {
    "album": TEXT,
    "albumArtist": TEXT,
    "trackNumber": DIGITS,
    "duration": DIGITS,
    "mbid": TEXT,
    "context": TEXT,
    "chosenByUser": exactly("0", "1"),
    "streamId": TEXT,
}
MOST = 50
INDEXED = re.compile(r"(\w+)\[(\d+)\]")

METHODS: Mapping[str, Schema] = {
    "auth.getToken": thing(**SIGNED),
    "auth.getSession": thing(**{**SIGNED, "token!": TEXT}),
    "track.updateNowPlaying": thing(**{**USER, "artist!": TEXT, "track!": TEXT, **TRACK}),
    "track.love": thing(**{**USER, "artist!": TEXT, "track!": TEXT}),
    "track.unlove": thing(**{**USER, "artist!": TEXT, "track!": TEXT}),
    "user.getInfo": thing(**{**SIGNED, "sk": TEXT, "user": TEXT}),
    "user.getRecentTracks": thing(
        **{
            **SIGNED, "sk": TEXT, "user!": TEXT, "from": DIGITS, "to": DIGITS, "page": DIGITS,
            "limit": matching("[1-9][0-9]?|1[0-9][0-9]|200"),
        }
    ),
}  # fmt: skip
SCROBBLE = thing(**{"artist!": TEXT, "track!": TEXT, "timestamp!": DIGITS, **TRACK})
WRITES = frozenset({"track.updateNowPlaying", "track.scrobble", "track.love", "track.unlove"})


@dataclass(frozen=True)
class LastFM(Contract):
    """One address; what is called is a parameter."""

    operations: Sequence[object] = ()  # type: ignore[assignment]

    def violations(self, call: Request) -> list[str]:
        if call.path.startswith("/api/auth"):
            return []  # the page on which a person agrees
        said = call.body if isinstance(call.body, dict) else {}
        method = str(said.get("method"))
        found = [] if call.path.rstrip("/") == "/2.0" else [f"there is no {call.path}"]
        if method in WRITES and call.method != "POST":
            found.append("what writes is a POST")
        if call.method == "POST" and not re.fullmatch(FORM, call.headers.get("content-type", "")):
            found.append("a POST is a form")
        if not call.headers.get("user-agent"):
            found.append("the header user-agent is missing")
        return found + self.parameters(method, said)

    def parameters(self, method: str, said: Mapping[str, str]) -> list[str]:
        if method == "track.scrobble":
            return scrobbled(said)
        if method not in METHODS:
            return [f"there is no method {method}"]
        return errors(METHODS[method], said)


def scrobbled(said: Mapping[str, str]) -> list[str]:
    """The tracks of a scrobble, each by its index from 0 on."""
    rest = {name: value for name, value in said.items() if not INDEXED.fullmatch(name)}
    tracks: dict[int, dict[str, str]] = {}
    for name, value in said.items():
        if indexed := INDEXED.fullmatch(name):
            tracks.setdefault(int(indexed[2]), {})[indexed[1]] = value
    found = errors(thing(**USER), rest)
    if sorted(tracks) != list(range(len(tracks))) or not 1 <= len(tracks) <= MOST:
        found.append(f"the tracks are {sorted(tracks)}, not up to {MOST} from 0 on")
    return found + [error for track in tracks.values() for error in errors(SCROBBLE, track)]


def errors(schema: Schema, given: Mapping[str, str]) -> list[str]:
    return [shortened(error.message) for error in Draft202012Validator(schema).iter_errors(dict(given))]


CONTRACT = LastFM()
