"""Models of plays, the library and shows in the API: requests and replies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from webhook.domain import guids
from webhook.domain.event import Kind
from webhook.domain.json_shapes import IdsJson
from webhook.history.stats import StatsJson
from webhook.queries.plays import Only, PlayDetailJson
from webhook.storage.json_fields import ANY_OBJECT, Id, Time
from webhook.transfer.manual_plays import ITEM_TYPES
from webhook.transfer.records import Relation
from webhook.web.history.episodes import KEY, ShowJson
from webhook.web.http.errors import Problem
from webhook.web.http.models import (
    AFTER,
    CURSOR,
    Body,
    Expect,
    Limited,
    Moment,
    OneOf,
    PersonQuery,
    Query,
    Text,
    check_text,
    parse_number,
    parse_time,
)
from webhook.web.http.params import TIME_CURSOR

MAX_TITLE = 500
MAX_PLAYS = 500
"""Plays that one request changes."""

NAMESPACES = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "mal", "anidb", "musicbrainz")
ShowKey = Annotated[str, Field(json_schema_extra={"pattern": KEY.pattern, "examples": ["tvdb:121361"]})]
PlayKey = Annotated[str, Field(max_length=100), AfterValidator(check_text)]
PLAY_KINDS = (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)
SINCE = Field(None, description="From this time on.")
ITEM = Expect("an object with some of kind, title, show, season, number, year, ids, show_ids")


class PlaysQuery(PersonQuery, Limited):
    text: Text | None = Field(None, description="To be found in a title.")
    kind: Annotated[str, OneOf(lambda: PLAY_KINDS)] | None = None
    library: Text | None = Field(None, description="The library of the media server.")
    only: Annotated[str, OneOf(lambda: [*Only])] | None = Field(
        None,
        description="Plays with a tracker that has not got them, by hand, rewatched, or removed. A page may hold few or none and still have a `next`.",
    )
    since: Moment | None = SINCE
    after: Annotated[str | None, Field(pattern=f"^{TIME_CURSOR.pattern}$"), CURSOR] = AFTER


class NewItem(Body):
    """A film by its title or an id; an episode by its show, season and number or an id of its own. `show_ids` are its show's."""

    kind: Annotated[Any, Field(json_schema_extra={"enum": [*ITEM_TYPES]})] = None
    title: Annotated[Any, Field(json_schema_extra={"type": ["string", "null"], "maxLength": MAX_TITLE})] = (
        None
    )
    show: Annotated[Any, Field(json_schema_extra={"type": ["string", "null"], "maxLength": MAX_TITLE})] = None
    season: Annotated[Any, Field(json_schema_extra={"type": ["integer", "null"]})] = None
    number: Annotated[Any, Field(json_schema_extra={"type": ["integer", "null"]})] = None
    year: Annotated[Any, Field(json_schema_extra={"type": ["integer", "null"]})] = None
    ids: Annotated[Any, Field(json_schema_extra={"type": "object"})] = None
    show_ids: Annotated[Any, Field(json_schema_extra={"type": "object"})] = None


class NewPlay(Body):
    item: Annotated[NewItem, ITEM]
    watched_at: Annotated[
        str | None,
        Field(description="A time, a day (`2026-11-22`), or null where nobody knows."),
        Expect("a time, a day such as 2026-11-22, or null where nobody knows"),
    ]
    person: Text | None = Field(None, description="Else whose the API token is.")
    rewatch: bool = Field(False, description="Another viewing than what the history has.")
    key: PlayKey | None = Field(
        None, description="A name of your own for this play: sent twice, it is added once."
    )


class AddedPlay(TypedDict):
    added: bool
    told: list[str]
    play: PlayDetailJson


def check_hours(value: float) -> float:
    if not round(value * 60):
        raise ValueError("must be a number of hours from -48 to 48, but not 0")
    return value


def normalize_ids(value: object) -> object:
    """The ids as they are kept: numbers, also where they were sent as text, and IMDb's in small letters."""
    if not isinstance(value, dict):
        return value
    if not value.keys() <= {*NAMESPACES}:
        raise ValueError(f"must hold ids of {', '.join(NAMESPACES)}")
    known = guids.clean_ids(**value).by_namespace()
    if known.keys() != value.keys():
        raise ValueError("holds an id that is none; most are numbers, imdb looks like tt0903747")
    return known


Title = Annotated[
    str | None,
    Field(max_length=MAX_TITLE),
    Expect(f"text of at most {MAX_TITLE} characters, or null"),
]
Place = Annotated[int | None, Field(ge=0, le=100_000)]
ItemIds = Annotated[IdsJson, BeforeValidator(normalize_ids), ANY_OBJECT]


class ItemChange(Body):
    """A correction of an item: omitted fields stay, ids are replaced as a whole. If an episode's show or number changes and no ids are given, its own ids are removed."""

    kind: Annotated[Kind, Field(strict=False)] = Kind.MOVIE
    title: Title = None
    show: Title = None
    season: Place = None
    number: Place = None
    year: Annotated[int | None, Field(ge=1800, le=2999)] = None
    ids: ItemIds = Field(default_factory=dict)
    show_ids: ItemIds = Field(default_factory=dict)

    @model_validator(mode="after")
    def require_change(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"item must be {ITEM.text}.")
        return self


class PlayChange(Body):
    watched_at: Annotated[
        str,
        Field(min_length=1, json_schema_extra={"format": "date-time"}),
        Expect("a time such as 2026-11-22T20:15:00Z"),
    ] = ""
    item: Annotated[ItemChange | None, ITEM] = None

    @property
    def moment(self) -> datetime | None:
        """The new time; raises Problem 400."""
        if not self.watched_at:
            return None
        try:
            return parse_time(self.watched_at)
        except ValueError as error:
            raise Problem(400, f"watched_at {error}.") from error

    @model_validator(mode="after")
    def require_change(self) -> Self:
        if not self.model_fields_set or (self.item is None and "item" in self.model_fields_set):
            raise ValueError("The body must hold watched_at, item or both, and nothing else.")
        return self


class MergeRequest(Body):
    other: Annotated[Id, Expect("the number of the play that goes")]


class Selected(Body):
    """Plays that are changed together, or with `dry_run` only looked at."""

    plays: Annotated[
        list[Id], Field(min_length=1, max_length=MAX_PLAYS), Expect(f"1 to {MAX_PLAYS} ids of plays")
    ]
    dry_run: bool = False


class Shift(Selected):
    hours: Annotated[
        float,
        Field(ge=-48, le=48, strict=False, description="Later, or earlier where negative; to the minute."),
        AfterValidator(check_hours),
        Expect("a number of hours from -48 to 48, but not 0"),
    ]


class PersonMove(Selected):
    person: Text = Field(description="Who watched them.")


class MovedPlay(TypedDict):
    """What became of a play: its number and date now, or the reason why it stays as it is."""

    id: Id
    play: Id | None
    watched_at: Time | None
    reason: str | None


class Moves(TypedDict):
    items: list[MovedPlay]
    undone: list[str]
    told: list[str]


class Edited(TypedDict):
    undone: list[str]
    told: list[str]
    play: PlayDetailJson


# --- the library and shows


class LibraryQuery(PersonQuery, Limited):
    relation: Annotated[str, OneOf(lambda: [*Relation])] | None = None
    after: Annotated[int | None, Field(ge=1, le=2**63 - 1), BeforeValidator(parse_number), CURSOR] = None


class Show(ShowJson):
    person: str


class Unfollowed(TypedDict):
    key: str
    removed: bool


# --- numbers


class NumbersQuery(PersonQuery):
    year: Annotated[
        int | None,
        Field(ge=1900, le=2999),
        BeforeValidator(parse_number),
        Expect("a year such as 2026"),
    ] = None


class Numbers(StatsJson):
    """Statistics of plays in the person's own time zone; times in ms."""

    person: str
    years: list[int | None]


class CalendarQuery(Query):
    token: str
    since: Moment | None = SINCE
