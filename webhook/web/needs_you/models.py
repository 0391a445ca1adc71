"""Models of everything that needs a person in the API: requests and replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from webhook.domain import guids
from webhook.domain.event import Ids
from webhook.queries.deliveries import DeliveryJson, DeliveryTraceJson
from webhook.queries.held import HeldJson, HeldListJson
from webhook.queries.people import AccountJson, UnclaimedJson
from webhook.queries.senders import SilentServerJson
from webhook.storage.json_fields import ANY_OBJECT, Count, Time
from webhook.transfer.lookup_queue import UnresolvedJson
from webhook.web.http.models import (
    AFTER,
    Body,
    Expect,
    Limited,
    Paging,
    PersonQuery,
    Query,
    Text,
    check_text,
    parse_number,
)
from webhook.web.needs_you.queries import LimitedAccountJson, QuestionJson

MAX_KEY = 300
Choice = tuple[Ids, int | None, int]
"""The ids or the number of a candidate, and a season offset."""


# --- what waits


class NeedsYou(TypedDict):
    count: int
    counts: dict[str, int]
    last_play_at: Time | None
    unclaimed: list[Annotated[UnclaimedJson, ANY_OBJECT]]
    unmatched: list[Annotated[QuestionJson, ANY_OBJECT]]
    unresolved: list[Annotated[UnresolvedJson, ANY_OBJECT]]
    parked: list[Annotated[AccountJson, ANY_OBJECT]]
    limited: list[Annotated[LimitedAccountJson, ANY_OBJECT]]
    dead: list[Annotated[DeliveryJson, ANY_OBJECT]]
    silent: list[Annotated[SilentServerJson, ANY_OBJECT]]
    held: list[Annotated[HeldJson, ANY_OBJECT]]
    held_lists: list[Annotated[HeldListJson, ANY_OBJECT]]


class UnmatchedQuery(PersonQuery, Paging):
    pass


class UnresolvedQuery(PersonQuery, Limited):
    after: Annotated[str, Field(max_length=MAX_KEY), AfterValidator(check_text)] | None = AFTER


class SearchForm(Query):
    kind: Literal["movie", "show"] | None = None
    title: Text | None = None
    year: Annotated[
        int | None,
        Field(ge=1800, le=2999),
        BeforeValidator(parse_number),
        Expect("a year such as 2013"),
    ] = None


class SearchQuery(SearchForm):
    kind: Literal["movie", "show"]
    title: Text


# --- what settles it


class MatchIds(Body):
    tvdb: Any = Field(None, json_schema_extra={"type": "integer", "minimum": 1})
    tmdb: Any = Field(None, json_schema_extra={"type": "integer", "minimum": 1})
    trakt: Any = Field(None, json_schema_extra={"type": "integer", "minimum": 1})
    imdb: Any = Field(None, json_schema_extra={"type": "string"})

    @property
    def ids(self) -> Ids:
        return guids.clean_ids(**self.model_dump(exclude_unset=True))

    @model_validator(mode="after")
    def check_ids(self) -> Self:
        if self.ids.by_namespace().keys() != self.model_fields_set:
            raise ValueError("ids: tvdb, tmdb and trakt are numbers, and imdb looks like tt0903747.")
        return self


class Match(Body):
    ids: MatchIds | None = None
    candidate: Annotated[
        int | None, Field(json_schema_extra={"minimum": 1}), Expect("a number, counted from 1")
    ] = None
    season_offset: Annotated[int, Field(ge=-1000, le=1000), Expect("a whole number such as -1")] = 0

    @property
    def choice(self) -> Choice:
        return Ids() if self.ids is None else self.ids.ids, self.candidate, self.season_offset

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if (self.ids is None) == (self.candidate is None):
            raise ValueError("Say what it is: by ids, or by candidate.")
        return self


Key = Annotated[
    str,
    Field(min_length=1, max_length=MAX_KEY),
    AfterValidator(check_text),
    Expect("the key of something that waits; see /api/v1/unresolved"),
]


class UnresolvedMatch(Match):
    key: Key


class UnresolvedKey(Body):
    key: Key


class Matched(TypedDict):
    keys: list[str]
    deliveries: list[int]
    delivery: DeliveryTraceJson


class MatchedImport(TypedDict):
    key: str
    plays: Count


class DismissedImport(TypedDict):
    key: str
    dismissed: int


class IdentityIgnore(Body):
    identity: Annotated[
        str, Field(examples=["plex:Anna"]), Expect("text such as plex:Anna or plex:Anna@SERVER")
    ]
    ignored: bool = True


class Ignored(TypedDict):
    identity: str
    ignored: bool
    identities: int


class HeldMarks(Body):
    """Which marks are decided: as `GET /held` lists them; `until` leaves out what came since."""

    person: Text
    source: Text
    server: Text
    action: Literal["watched", "unwatched", "unfavourite"]
    until: Annotated[int | None, Field(ge=1)] = None


class DecidedMarks(TypedDict):
    action: str
    marks: int


class Server(Body):
    source: Text
    server: Text | None = None


class DismissedServer(TypedDict):
    source: str
    server: str | None
    dismissed: bool
