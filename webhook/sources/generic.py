"""Generic: one plain JSON object for scripts, mpv, Home Assistant and whatever else can send a request.

`schema()` is the whole contract (JSON Schema 2020-12: https://json-schema.org/draft/2020-12), made of
the same fields that are read here. Read too: Kodi's HTTP Scrobbler add-on, which sends JSON of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webhook.domain import guids
from webhook.domain.event import (
    Action,
    Episode,
    Event,
    Ids,
    Ignored,
    Item,
    Kind,
    Movie,
    Season,
    Show,
    Track,
    Unreadable,
)
from webhook.domain.play import VIEWING
from webhook.sources import _values as values

Payload = Mapping[str, Any]
Schema = dict[str, Any]

LABEL = "Generic"
FIELDS = ("payload", "data")
FORM_IS_PAYLOAD = True
SETUP = (
    "Let your script, add-on or automation send a JSON object with POST to {url}",
    "It needs at least an action, a kind, and a title or an id; the one shown here is an example.",
    "docs/generic.md has lines to copy for curl, Python, mpv, Kodi and Home Assistant.",
    "Look at the first page whether it was read: what is wrong with a field is said there in a sentence.",
)
WHERE = "/api/v1/schemas/generic.json"

NUMBERED = ("tvdb", "tmdb", "trakt", "anidb", "mal", "simkl")
PLAYED = (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)
ACTIONS = {action.value: action for action in Action}
KINDS = {kind.value: kind for kind in Kind}


# --- the fields


@dataclass(frozen=True, slots=True)
class Field:
    """One field: how the schema puts it, what is expected in words, and how its value is taken.

    `take` gives None for what is not expected. Null and an empty text both mean that it is unknown.
    """

    schema: Schema
    expected: str
    take: Callable[[Any], Any]


def number(
    pattern: str, expected: str, take: Callable[[Any], Any], *, whole: bool = False, **bounds: Any
) -> Field:
    """A number, which may also come as text: forms and templates know nothing else."""
    matches = re.compile(pattern)

    def taken(value: Any) -> Any:
        if isinstance(value, str):
            return take(value) if matches.search(value) else None
        return take(value)

    kinds = ["integer" if whole else "number", "string", "null"]
    return Field({"type": kinds, "pattern": f"^$|{pattern}", **bounds}, expected, taken)


def bounded(least: float, most: float, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        found = read(value)
        return found if found is not None and least <= found <= most else None

    return take


def counted(digits: int, what: str) -> Field:
    most = 10**digits - 1
    return number(
        f"^[0-9]{{1,{digits}}}$",
        f"{what}, a whole number from 0 to {most}",
        bounded(0, most, values.whole),
        whole=True,
        minimum=0,
        maximum=most,
    )


def seconds(what: str) -> Field:
    return number(
        r"^[0-9]{1,6}(\.[0-9]{1,9})?$",
        f"{what} in seconds, a number from 0 and less than 1000000",
        bounded(0, 999_999.999999999, values.decimal),
        minimum=0,
        exclusiveMaximum=1_000_000,
    )


def one_of(names: Mapping[str, Any], what: str) -> Field:
    return Field(
        {"enum": [*names]},
        f"{what}: {', '.join(names)}",
        lambda value: names.get(value) if isinstance(value, str) else None,
    )


def text(what: str) -> Field:
    bounds = {"minimum": 1 - values.INT64, "maximum": values.INT64 - 1}
    return Field({"type": ["string", "integer", "null"], **bounds}, f"{what}, a text", named)


def named(value: Any) -> str | None:
    """A text; a film called 1917 comes as a number where a template has no quotes around it."""
    if isinstance(value, str):
        return values.text(value) or ""
    return values.text(values.whole(value))


def flag(what: str) -> Field:
    return Field(
        {"type": ["boolean", "string", "null"], "pattern": "^(true|false|)$"},
        f"{what}: true or false",
        lambda value: {"true": True, "false": False}.get(value) if isinstance(value, str) else boolean(value),
    )


def boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def identifier(space: str, schema: Schema, expected: str) -> Field:
    return Field(schema, expected, lambda value: guids.well_formed(space, value))


ID_NUMBER: Schema = {
    "type": ["integer", "string", "null"],
    "minimum": 1,
    "maximum": 10**18 - 1,
    "pattern": "^$|^(?=.*[1-9])[0-9]{1,18}$",
}
IMDB: Schema = {"type": ["string", "null"], "pattern": "^$|^[tT]{2}[0-9]{5,12}$"}
UUID: Schema = {
    "type": ["string", "null"],
    "pattern": "^$|^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
}
ID_FIELDS: Mapping[str, Field] = {
    **{name: identifier(name, ID_NUMBER, "a number greater than 0") for name in NUMBERED},
    "imdb": identifier("imdb", IMDB, "an id of IMDb such as tt0903747"),
    "musicbrainz": identifier("musicbrainz", UUID, "an id of MusicBrainz, a UUID"),
}
AT: Schema = {
    "type": ["string", "integer", "null"],
    "minimum": int(values.EARLIEST.timestamp()),
    "exclusiveMaximum": 2**33,
    "pattern": r"^$|^[0-9]{9,10}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}(\.[0-9]{1,12})?"
    "(Z|[+-][0-9]{2}:?[0-9]{2})$",
}
PLAIN: Mapping[str, Field] = {
    "action": one_of(ACTIONS, "one of these"),
    "kind": one_of(KINDS, "one of these"),
    "user": text("who did it"),
    "title": text("the title of the film, the episode or the track"),
    "show": text("the title of the show"),
    "season": counted(4, "the season"),
    "number": counted(5, "the episode's or the track's number"),
    "year": number(
        "^(18|19|20|21)[0-9]{2}$",
        "a year from 1800 to 2199",
        bounded(1800, 2199, values.whole),
        whole=True,
        minimum=1800,
        maximum=2199,
    ),
    "artist": text("the artist of a track"),
    "album": text("the album of a track"),
    "position": seconds("how far it is,"),
    "position_ms": counted(9, "how far it is, in milliseconds"),
    "duration": seconds("how long it is,"),
    "duration_ms": counted(9, "how long it is, in milliseconds"),
    "progress": number(
        r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)$",
        "how far it is in percent, a number from 0 to 100",
        bounded(0, 100, values.decimal),
        minimum=0,
        maximum=100,
    ),
    "completed": flag("on a stop, whether it was watched to the end"),
    "rating": number(
        r"^(10(\.0{1,9})?|[0-9](\.[0-9]{1,9})?)$",
        "a rating, a number from 0 to 10",
        bounded(0, 10, values.decimal),
        minimum=0,
        maximum=10,
    ),
    "at": Field(
        AT,
        "when it happened: a time with its offset such as 2026-11-22T20:15:00Z, or Unix seconds, since 2000",
        values.moment,
    ),
    "server": text("the server or machine it was played from"),
    "player": text("the player"),
    "library": text("the library it is in"),
    "manual": flag("whether it was ticked by hand rather than watched"),
}
NESTED: Mapping[str, str] = {"ids": "the item's own ids", "show_ids": "the ids of its show"}


def schema() -> Schema:
    """The contract, as it is published."""
    described = {name: {"description": field.expected, **field.schema} for name, field in PLAIN.items()}
    ids = {name: {"description": field.expected, **field.schema} for name, field in ID_FIELDS.items()}
    nested = {
        name: {"type": ["object", "null"], "description": what, "properties": ids}
        for name, what in NESTED.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What Watchmark's generic webhook takes",
        "description": "Null, an empty text and a field that is left out all mean: unknown.",
        "type": "object",
        "required": ["action", "kind"],
        "properties": {**described, **nested},
        "allOf": [
            when({"kind": {"const": kind.value}}, {"anyOf": found_by(kind)}) for kind in Kind
        ]
        + [
            when({"action": {"const": "rate"}}, having("rating")),
            when(
                {"action": {"enum": [action.value for action in Action if action in VIEWING]}},
                {"properties": {"kind": {"enum": [kind.value for kind in PLAYED]}}},
            ),
        ],
    }  # fmt: skip


def when(properties: Schema, then: Schema) -> Schema:
    return {"if": {"properties": properties}, "then": then}


def having(*names: str) -> Schema:
    """These fields, with something in them."""
    return {
        "required": [*names],
        "properties": {
            name: {"type": "object", "anyOf": [having(space) for space in ID_FIELDS]}
            if name in NESTED
            else {"not": {"enum": [None, ""]}}
            for name in names
        },
    }


SUFFICE: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.MOVIE: (("title",), ("ids",)),
    Kind.SHOW: (("title",), ("ids",)),
    Kind.TRACK: (("title", "artist"), ("ids",)),
    Kind.EPISODE: (("ids",), ("show", "season", "number"), ("show_ids", "season", "number")),
    Kind.SEASON: (("ids",), ("show", "season"), ("show_ids", "season")),
}
"""The fields of which one group must be there, or nobody could say which item it is."""


def found_by(kind: Kind) -> list[Schema]:
    return [having(*names) for names in SUFFICE[kind]]


def template() -> str:
    """An example of what to send."""
    example = {
        "action": "watched",
        "kind": "episode",
        "user": "anna",
        "show": "The name of the show",
        "season": 1,
        "number": 2,
        "ids": {"tvdb": 1234567},
        "at": "2026-11-22T20:15:00Z",
    }
    return json.dumps(example, indent=2)


# --- reading it


def parse(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    if "action" not in payload and "event" in payload:
        return kodi(payload, received_at)
    given = plain(payload)
    for name in ("action", "kind"):
        if name not in given:
            raise Unreadable(f"This Generic webhook has no {name}. Expected is {PLAIN[name].expected}.")
    said = {**given, "ids": ids_in(payload, "ids"), "show_ids": ids_in(payload, "show_ids")}
    action: Action = said["action"]
    kind: Kind = said["kind"]
    complete(said, action, kind)
    return [event(said, action, BUILDERS[kind](said), received_at)]


def plain(payload: Payload) -> dict[str, Any]:
    """The plain fields that say something; raises Unreadable for one that is not as expected."""
    return {
        name: taken
        for name, field in PLAIN.items()
        if (taken := take(name, field, payload.get(name))) not in (None, "")
    }


def take(name: str, field: Field, value: Any) -> Any:
    if value is None or value == "":
        return None
    taken = field.take(value)
    if taken is None:
        raise Unreadable(f"{name} is {shown(value)}. Expected is {field.expected}.")
    return taken


def shown(value: Any) -> str:
    """A value that was sent, in a few characters."""
    if isinstance(value, Mapping | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and abs(value) >= values.INT64:
        return "a number of too many digits"
    return json.dumps(value)[:60]


def ids_in(payload: Payload, name: str) -> Ids:
    """The ids under a name; in a form each stands alone, as `ids.tvdb`."""
    nested = payload.get(name)
    if nested not in (None, "") and not isinstance(nested, Mapping):
        raise Unreadable(f'{name} is {shown(nested)}. Expected is an object such as {{"tvdb": 1234567}}.')
    given = {space: payload.get(f"{name}.{space}") for space in ID_FIELDS} | dict(values.mapping(nested))
    known = {
        space: taken
        for space, field in ID_FIELDS.items()
        if (taken := take(f"{name}.{space}", field, given.get(space))) is not None
    }
    return Ids.from_json(known)


def complete(said: Payload, action: Action, kind: Kind) -> None:
    """Raises Unreadable where something is missing without which it says nothing."""
    if action in VIEWING and kind not in PLAYED:
        raise Unreadable(f"action is {action} and kind is {kind}. Expected is a kind that is watched: "
                         f"{', '.join(PLAYED)}.")  # fmt: skip
    if not any(all(present(said.get(name)) for name in names) for names in SUFFICE[kind]):
        ways = "; or ".join(" and ".join(names) for names in SUFFICE[kind])
        raise Unreadable(f"It does not say which {kind} it is. Expected is one of: {ways}.")
    if action is Action.RATE and said.get("rating") is None:
        raise Unreadable(f"rating is missing. Expected with rate is {PLAIN['rating'].expected}.")


def present(value: Any) -> bool:
    return bool(value) if isinstance(value, Ids) else value is not None


def event(said: Payload, action: Action, item: Item, received_at: datetime) -> Event:
    at = said.get("at", received_at)
    if at - received_at > values.DAY:
        raise Unreadable(f"at is {at.isoformat()}. Expected is a time that is not yet to come.")
    return Event(
        action=action,
        item=item,
        at=at,
        user=said.get("user"),
        server=said.get("server"),
        server_name=said.get("server"),
        player=said.get("player"),
        player_id=said.get("player"),
        library=said.get("library"),
        position_ms=milliseconds(said, "position"),
        duration_ms=milliseconds(said, "duration") or None,
        progress=said.get("progress"),
        completed=said.get("completed") if action is Action.STOP else None,
        rating=said.get("rating") if action is Action.RATE else None,
        manual=said.get("manual", False),
        # What was watched long before it is told is found beside what is known of that time.
        recorded=action is Action.WATCHED and received_at - at > values.DAY,
    )


def milliseconds(said: Payload, name: str) -> int | None:
    whole, part = said.get(f"{name}_ms"), said.get(name)
    if whole is not None:
        return int(whole)
    return None if part is None else int(part * 1000)


def movie(said: Payload) -> Item:
    return Movie(title=said.get("title"), year=said.get("year"), ids=said["ids"])


def show(said: Payload) -> Item:
    return Show(title=said.get("title"), year=said.get("year"), ids=said["ids"])


def season(said: Payload) -> Item:
    return Season(
        title=said.get("title"),
        show=said.get("show"),
        season=said.get("season"),
        year=said.get("year"),
        ids=said["ids"],
        show_ids=said["show_ids"],
    )


def episode(said: Payload) -> Item:
    return Episode(
        title=said.get("title"),
        show=said.get("show"),
        season=said.get("season"),
        number=said.get("number"),
        year=said.get("year"),
        ids=said["ids"],
        show_ids=said["show_ids"],
    )


def track(said: Payload) -> Item:
    return Track(
        title=said.get("title"),
        artist=said.get("artist"),
        album=said.get("album"),
        number=said.get("number"),
        year=said.get("year"),
        ids=said["ids"],
    )


BUILDERS: Mapping[Kind, Callable[[Payload], Item]] = {
    Kind.MOVIE: movie,
    Kind.SHOW: show,
    Kind.SEASON: season,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}


# --- Kodi's HTTP Scrobbler add-on

KODI: Mapping[str, Action] = {
    "start": Action.START,
    "pause": Action.PAUSE,
    "resume": Action.RESUME,
    "stop": Action.STOP,
    "end": Action.STOP,
}
MS = 1000


def kodi(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """The add-on's own shape: it names nobody, so its address should belong to a person."""
    name = values.text(payload.get("event")) or ""
    action = KODI.get(name)
    if action is None:
        return Ignored("unsupported_event")
    item = kodi_item(payload)
    if isinstance(item, Ignored):
        return item
    if not values.known(item):
        return Ignored("no_ids")
    progress = values.mapping(payload.get("progress"))
    position = values.decimal(progress.get("time"))
    length = values.decimal(payload.get("duration"))
    percent = values.decimal(progress.get("percent"))
    return [
        Event(
            action=action,
            item=item,
            at=received_at,
            user=values.text(payload.get("user")),
            player="Kodi",
            player_id=values.text(payload.get("player")) or "Kodi",
            position_ms=int(position * MS) if position is not None and 0 <= position < 1e6 else None,
            duration_ms=int(length * MS) or None if length is not None and 0 < length < 1e6 else None,
            progress=percent if percent is not None and 0 <= percent <= 100 else None,
            completed=True if name == "end" else None,
        )
    ]


def kodi_item(payload: Payload) -> Item | Ignored:
    kind = (values.text(payload.get("mediaType")) or "").lower()
    ids = guids.provider_ids(values.mapping(payload.get("uniqueIds")))
    title, year = values.text(payload.get("title")), values.year(payload.get("year"))
    if kind == "movie":
        return Movie(title=title, year=year, ids=ids)
    if kind != "episode":
        return Ignored(values.why_no_kind(kind, title))
    return Episode(
        title=title,
        show=values.text(payload.get("tvShowTitle")),
        season=values.count(payload.get("season")),
        number=values.count(payload.get("episode")),
        year=year,
        ids=ids,
    )
