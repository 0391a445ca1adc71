"""The JSON objects that columns hold."""

from __future__ import annotations

from typing import NotRequired

from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from webhook.domain.json_shapes import IdsJson, ItemJson
from webhook.storage.json_fields import KindWord


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
    at: str
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


class EditedPlayJson(TypedDict, total=False):
    """The fields of a play before or after an edit. `play` is another play that it is about, `person` whose that was."""

    item: ItemJson
    kind: str
    started_at: str | None
    last_at: str | None
    watched_at: str | None
    dated: str
    play: int
    person: str


class WholePlayJson(EditedPlayJson, total=False):
    """A whole play by field name, as pydantic writes and reads it; its item is without the kind."""

    state: str
    source: str
    server: str | None
    player: str | None
    player_id: str | None
    library: str | None
    position_ms: int | None
    position_at: str | None
    estimated: bool
    known_percent: float | None
    duration_ms: int | None
    played_ms: int
    resumed_at: str | None
    replayed_ms: int
    unwatched_at: str | None
    manual: bool
    by_position: bool
    view_count: int | None


class ImportChangeJson(WholePlayJson, total=False):
    """What an import changed, before or after it: a play, a followed show's `state`, or the `value` and `at` of an entry."""

    value: float | None
    at: str | None


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
    """A film or show that is proposed for an item: `ProposedJson`, with what the API says of it."""

    kind: KindWord
    title: str | None
    year: int | None
    ids: IdsJson
    picture: NotRequired[SkipJsonSchema[str | None]]
    score: NotRequired[SkipJsonSchema[float]]
    via: NotRequired[SkipJsonSchema[str]]
