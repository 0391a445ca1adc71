"""The fields of the generic webhook: the JSON Schema of each, and how its value is read.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.domain import guids, values
from webhook.domain.advance import VIEWING_ACTIONS
from webhook.domain.event import Action, Kind

Schema = dict[str, Any]

NUMERIC_IDS = ("tvdb", "tmdb", "trakt", "anidb", "mal", "simkl")
PLAYED_KINDS = (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)
ACTION_NAMES = {
    action.value: action for action in Action if action not in (Action.WATCHLIST, Action.UNWATCHLIST)
}
"""The actions that a player reports; a watchlist is kept here and read from services."""

KIND_NAMES = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its schema, the expectation in words, and the reader of its value.

    `take` gives None for what is not expected. Null and an empty text both mean that it is unknown.
    """

    schema: Schema
    expected: str
    take: Callable[[Any], Any]


def number_field(
    pattern: str, expected: str, take: Callable[[Any], Any], *, whole: bool = False, **bounds: Any
) -> Field:
    """A number, which may also come as text: forms and templates know nothing else."""
    matches = re.compile(pattern)

    def take_number(value: Any) -> Any:
        if isinstance(value, str):
            return take(value) if matches.search(value) else None
        return take(value)

    kinds = ["integer" if whole else "number", "string", "null"]
    return Field({"type": kinds, "pattern": f"^$|{pattern}", **bounds}, expected, take_number)


def read_between(least: float, most: float, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        found = read(value)
        return found if found is not None and least <= found <= most else None

    return take


def count_field(digits: int, what: str) -> Field:
    most = 10**digits - 1
    return number_field(
        f"^[0-9]{{1,{digits}}}$",
        f"{what}, a whole number from 0 to {most}",
        read_between(0, most, values.whole),
        whole=True,
        minimum=0,
        maximum=most,
    )


def seconds_field(what: str) -> Field:
    return number_field(
        r"^[0-9]{1,6}(\.[0-9]{1,9})?$",
        f"{what} in seconds, a number from 0 and less than 1000000",
        read_between(0, 999_999.999999999, values.decimal),
        minimum=0,
        exclusiveMaximum=1_000_000,
    )


def choice_field(names: Mapping[str, Any], what: str) -> Field:
    return Field(
        {"enum": [*names]},
        f"{what}: {', '.join(names)}",
        lambda value: names.get(value) if isinstance(value, str) else None,
    )


def text_field(what: str) -> Field:
    bounds = {"minimum": 1 - values.INT64, "maximum": values.INT64 - 1}
    return Field({"type": ["string", "integer", "null"], **bounds}, f"{what}, a text", read_name)


def read_name(value: Any) -> str | None:
    """A text; a film called 1917 comes as a number where a template has no quotes around it."""
    if isinstance(value, str):
        return values.text(value) or ""
    return values.text(values.whole(value))


def flag_field(what: str) -> Field:
    return Field(
        {"type": ["boolean", "string", "null"], "pattern": "^(true|false|)$"},
        f"{what}: true or false",
        lambda value: (
            {"true": True, "false": False}.get(value) if isinstance(value, str) else _boolean(value)
        ),
    )


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def id_field(space: str, schema: Schema, expected: str) -> Field:
    return Field(schema, expected, lambda value: guids.clean_id(space, value))


NUMBER_ID: Schema = {
    "type": ["integer", "string", "null"],
    "minimum": 1,
    "maximum": 10**18 - 1,
    "pattern": "^$|^(?=.*[1-9])[0-9]{1,18}$",
}
IMDB_ID: Schema = {"type": ["string", "null"], "pattern": "^$|^[tT]{2}[0-9]{5,12}$"}
UUID_ID: Schema = {
    "type": ["string", "null"],
    "pattern": "^$|^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
}
ID_FIELDS: Mapping[str, Field] = {
    **{name: id_field(name, NUMBER_ID, "a number greater than 0") for name in NUMERIC_IDS},
    "imdb": id_field("imdb", IMDB_ID, "an id of IMDb such as tt0903747"),
    "musicbrainz": id_field("musicbrainz", UUID_ID, "an id of MusicBrainz, a UUID"),
}
TIME: Schema = {
    "type": ["string", "integer", "null"],
    "minimum": int(values.EARLIEST.timestamp()),
    "exclusiveMaximum": 2**33,
    "pattern": r"^$|^[0-9]{9,10}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}(\.[0-9]{1,12})?"
    "(Z|[+-][0-9]{2}:?[0-9]{2})$",
}
PLAIN_FIELDS: Mapping[str, Field] = {
    "action": choice_field(ACTION_NAMES, "one of these"),
    "kind": choice_field(KIND_NAMES, "one of these"),
    "user": text_field("who did it"),
    "title": text_field("the title of the film, the episode or the track"),
    "show": text_field("the title of the show"),
    "season": count_field(4, "the season"),
    "number": count_field(5, "the episode's or the track's number"),
    "year": number_field(
        "^(18|19|20|21)[0-9]{2}$",
        "a year from 1800 to 2199",
        read_between(1800, 2199, values.whole),
        whole=True,
        minimum=1800,
        maximum=2199,
    ),
    "artist": text_field("the artist of a track"),
    "album": text_field("the album of a track"),
    "position": seconds_field("how far it is,"),
    "position_ms": count_field(9, "how far it is, in milliseconds"),
    "duration": seconds_field("how long it is,"),
    "duration_ms": count_field(9, "how long it is, in milliseconds"),
    "progress": number_field(
        r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)$",
        "how far it is in percent, a number from 0 to 100",
        read_between(0, 100, values.decimal),
        minimum=0,
        maximum=100,
    ),
    "completed": flag_field("on a stop, whether it was watched to the end"),
    "rating": number_field(
        r"^(10(\.0{1,9})?|[0-9](\.[0-9]{1,9})?)$",
        "a rating, a number from 0 to 10",
        read_between(0, 10, values.decimal),
        minimum=0,
        maximum=10,
    ),
    "at": Field(
        TIME,
        "when it happened: a time with its offset such as 2026-11-22T20:15:00Z, or Unix seconds, since 2000",
        values.moment,
    ),
    "server": text_field("the server or machine it was played from"),
    "player": text_field("the player"),
    "library": text_field("the library it is in"),
    "manual": flag_field("whether it was ticked by hand rather than watched"),
}
NESTED_FIELDS: Mapping[str, str] = {"ids": "the item's own ids", "show_ids": "the ids of its show"}


def schema() -> Schema:
    """The contract, as it is published."""
    plain = {name: {"description": field.expected, **field.schema} for name, field in PLAIN_FIELDS.items()}
    ids = {name: {"description": field.expected, **field.schema} for name, field in ID_FIELDS.items()}
    nested = {
        name: {"type": ["object", "string", "null"], "maxLength": 0, "description": what, "properties": ids}
        for name, what in NESTED_FIELDS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What Watchmark's generic webhook takes",
        "description": "Null, an empty text and a field that is left out all mean: unknown.",
        "type": "object",
        "required": ["action", "kind"],
        "properties": {**plain, **nested},
        "allOf": [
            _if({"kind": {"const": kind.value}}, {"anyOf": _groups(kind)}) for kind in Kind
        ]
        + [
            _if({"action": {"const": "rate"}}, _require("rating")),
            _if(
                {"action": {"enum": [action.value for action in Action if action in VIEWING_ACTIONS]}},
                {"properties": {"kind": {"enum": [kind.value for kind in PLAYED_KINDS]}}},
            ),
        ],
    }  # fmt: skip


def _if(properties: Schema, then: Schema) -> Schema:
    return {"if": {"properties": properties}, "then": then}


def _require(*names: str) -> Schema:
    """These fields are there and not empty."""
    return {
        "required": [*names],
        "properties": {
            name: {"type": "object", "anyOf": [_require(space) for space in ID_FIELDS]}
            if name in NESTED_FIELDS
            else {"not": {"enum": [None, ""]}}
            for name in names
        },
    }


SUFFICIENT: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.MOVIE: (("title",), ("ids",)),
    Kind.SHOW: (("title",), ("ids",)),
    Kind.TRACK: (("title", "artist"), ("ids",)),
    Kind.EPISODE: (("ids",), ("show", "season", "number"), ("show_ids", "season", "number")),
    Kind.SEASON: (("ids",), ("show", "season"), ("show_ids", "season")),
}
"""Groups of fields, one of which must be sent, or nobody could say which item it is."""


def _groups(kind: Kind) -> list[Schema]:
    return [_require(*names) for names in SUFFICIENT[kind]]
