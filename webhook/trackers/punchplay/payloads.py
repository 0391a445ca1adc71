"""Payloads: how a request names a play, and how an answer does.

| call | body |
|---|---|
| `/playback/start`, `pause`, `stop` | `{"media_type": "movie", NAMES, "progress": 0.42, "event_id", …}`; a stop has `watched` |
| `/sync/history` | `{"items": [{"kind": "movie", NAMES, "watched_at", "client_item_id"}]}` |

NAMES are `tmdb_id`, `title` and `year`; of an episode they are those of its show, with `season`, `episode` and
`episode_title`. A name of a play (`event_id`, `client_item_id`) stays the same however often it is sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from webhook import clock
from webhook.client import USER_AGENT
from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.outcome import Done, Retry, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Delivery, DeviceCode, WatchedItem
from webhook.trackers._base import Outcome
from webhook.trackers._json import JsonObject, as_int, as_text, as_time
from webhook.trackers._listings import existing_play
from webhook.trackers._plays import added_play
from webhook.trackers._viewings import viewing_date, wire_time

LABEL = "PunchPlay"
MAX_TEXT = 500
YEARS = range(1888, 2101)


def title_fields(title: str | None, year: int | None, **more: Any) -> JsonObject:
    """The names of a film or of an episode's show; raises Unmatched without a title."""
    if not title:
        raise Unmatched(f"{LABEL} takes nothing without its title")
    return drop_unknown({"title": title[:MAX_TEXT], "year": year if year in YEARS else None, **more})


def playback_body(
    delivery: Delivery, names: JsonObject, progress: float, event: str, device: str | None
) -> JsonObject:
    """An event of a playback; `progress` is in per cent."""
    length, position = delivery.duration_ms, delivery.position_ms
    if position is None and length is not None:
        position = int(length * progress / 100)
    return drop_unknown(
        {
            "media_type": delivery.item.kind,
            **names,
            "progress": round(progress / 100, 4),
            "position_seconds": None if position is None else position // 1000,
            "duration_seconds": None if length is None else length // 1000,
            "device_id": device,
            "playback_session_id": f"wm-{milliseconds(delivery.started_at or delivery.at)}",
            "event_id": f"{play_name(delivery)}-{event}",
            "event_created_at": milliseconds(delivery.at),
            "client_version": USER_AGENT,
        }
    )


def history_item(delivery: Delivery, names: JsonObject) -> JsonObject:
    """A play as the history takes it: dated now at most, as where the clocks differ."""
    at = min(viewing_date(delivery) or delivery.at, clock.now())
    dated = {"watched_at": wire_time(at), "client_item_id": play_name(delivery)}
    return {"kind": delivery.item.kind, **names, **dated}


def parse_result(delivery: Delivery, row: JsonObject | None) -> Outcome:
    """The outcome of one play of many; one that the answer does not name is not done."""
    if row is None:
        reason = f"{LABEL} did not say what became of it"
        return Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
    added = added_play(delivery, None)
    match row.get("status"):
        case "inserted" | "updated":
            return added
        case "deferred":
            return Done(answer=f"{LABEL} took it and looks for the title later", remote_id=added.remote_id)
        case "skipped":
            play = WatchedItem(item=delivery.item, at=viewing_date(delivery), remote_id=added.remote_id)
            return existing_play(play, ours=delivery.unsure)
        case status:
            words = as_text(row.get("error")) or status
            return Unmatched(f"{LABEL} did not take it: {words}")


def parse_play(row: JsonObject) -> WatchedItem | None:
    """A row of the history, some of whose names are spelt in two ways; None for what is no play."""
    number, own = as_int(row.get("id")), as_int(either(row, "tmdb_id", "tmdbId"))
    if number is None:
        return None
    if row.get("kind") == "movie":
        item: Item = Movie(title=as_text(row.get("title")), ids=Ids(tmdb=own))
    elif row.get("kind") == "episode":
        item = Episode(
            season=as_int(row.get("season")),
            number=as_int(row.get("episode")),
            ids=Ids(tmdb=own),
            show_ids=Ids(tmdb=as_int(either(row, "show_tmdb_id", "showTmdbId"))),
        )
    else:
        return None
    return WatchedItem(item=item, at=as_time(either(row, "watched_at", "watchedAt")), remote_id=str(number))


def either(row: JsonObject, *spellings: str) -> Any:
    return next((row[name] for name in spellings if row.get(name) is not None), None)


def device_id(code: DeviceCode) -> str:
    """The id of this Watchmark as a device, which is the same for as long as the sign-in is."""
    return str(uuid5(NAMESPACE_URL, code.device_code))


def play_name(delivery: Delivery) -> str:
    """The name of a delivery, with its time, since the number alone may be given again after a restore."""
    return f"wm-{delivery.id}-{milliseconds(delivery.at)}"


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def drop_unknown(body: JsonObject) -> JsonObject:
    return {name: value for name, value in body.items() if value is not None}
