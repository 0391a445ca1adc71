"""The JSON objects that columns hold."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from webhook.domain.json_shapes import IdsJson
from webhook.storage.json_fields import KindWord

JsonObject = dict[str, Any]
"""An object whose fields are known only to its writer and reader."""


class EventJson(TypedDict, total=False):
    """An event of a webhook as interpreted, and the person whose play it became."""

    action: str
    kind: str
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
    artist: str | None
    album: str | None
    ids: IdsJson
    show_ids: IdsJson
    position_ms: int | None
    duration_ms: int | None
    progress: float | None
    completed: bool | None
    rating: float | None
    at: str | None
    user: str | None
    server: str | None
    server_name: str | None
    player: str | None
    library: str | None
    manual: bool
    person: str | None
    play: int | None
    how: str
    stopped: str | None
    echo_of: int
    episodes: int
    waits_for: str | None


class ListsJson(TypedDict, total=False):
    """What is let through or not, by name."""

    libraries: list[str]
    not_libraries: list[str]
    players: list[str]
    not_players: list[str]
    kinds: list[str]


class FiltersJson(ListsJson, total=False):
    """A person's filters; `Filters.from_json` reads it."""

    home_videos: bool


class RulesJson(ListsJson, total=False):
    """The rules of one account; `AccountRules.from_json` reads them."""

    watched_mark: float | None
    dry_run: bool


class DetailsJson(TypedDict, total=False):
    """The details of a delivery beside its item."""

    progress: float | None
    estimated: bool
    duration_ms: int | None
    started_at: int | None
    rating: float | None
    dated: str
    late: bool
    rewatch: bool
    remote_id: str | None
    undoes: int
    position_ms: int | None
    asked: bool
    because: str


class CandidateJson(TypedDict):
    """A film or show that a lookup proposes for an item."""

    kind: KindWord
    title: str | None
    year: int | None
    ids: IdsJson
    picture: SkipJsonSchema[str | None]
    score: SkipJsonSchema[float]
    via: SkipJsonSchema[str]


class ExchangeJson(TypedDict, total=False):
    """One HTTP request of an attempt and its answer, secrets removed."""

    method: str
    url: str
    sent: Any
    status: int
    error: str
    took_ms: int
    withheld: bool
