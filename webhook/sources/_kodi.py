"""Kodi's HTTP Scrobbler add-on, which sends JSON of its own to the generic address.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from webhook.domain import guids, values
from webhook.domain.event import Action, Episode, Event, Ignored, Item, Movie
from webhook.sources._shared import is_findable, reason_without_kind


class KodiPayload(TypedDict, total=False):
    event: str
    user: str
    player: str
    mediaType: str
    title: str
    tvShowTitle: str
    season: int
    episode: int
    year: int
    uniqueIds: dict[str, str | None]
    duration: float  # seconds
    progress: KodiProgress


class KodiProgress(TypedDict, total=False):
    time: float  # seconds
    percent: float


KODI_ACTIONS: Mapping[str, Action] = {
    "start": Action.START,
    "pause": Action.PAUSE,
    "resume": Action.RESUME,
    "stop": Action.STOP,
    "end": Action.STOP,
}


def read_events(sent: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    """The event. It names nobody, so its address should belong to a person."""
    payload = cast(KodiPayload, sent)
    name = values.text(payload.get("event")) or ""
    action = KODI_ACTIONS.get(name)
    if action is None:
        return Ignored("unsupported_event")
    item = _item(payload)
    if isinstance(item, Ignored):
        return item
    if not is_findable(item):
        return Ignored("no_ids")
    progress = values.section(payload.get("progress"))
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
            position_ms=int(position * 1000) if position is not None and 0 <= position < 1e6 else None,
            duration_ms=int(length * 1000) or None if length is not None and 0 < length < 1e6 else None,
            progress=percent if percent is not None and 0 <= percent <= 100 else None,
            completed=True if name == "end" else None,
        )
    ]


def _item(payload: KodiPayload) -> Item | Ignored:
    kind = (values.text(payload.get("mediaType")) or "").lower()
    ids = guids.provider_ids(values.mapping(payload.get("uniqueIds")))
    title, year = values.text(payload.get("title")), values.year(payload.get("year"))
    if kind == "movie":
        return Movie(title=title, year=year, ids=ids)
    if kind != "episode":
        return Ignored(reason_without_kind(kind, title))
    return Episode(
        title=title,
        show=values.text(payload.get("tvShowTitle")),
        season=values.ordinal(payload.get("season")),
        number=values.ordinal(payload.get("episode")),
        year=year,
        ids=ids,
    )
