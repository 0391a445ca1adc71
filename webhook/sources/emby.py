"""Emby: https://emby.media/support/articles/Webhooks.html

What the server says while it is listened to is in `_sessions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from webhook.domain import values
from webhook.domain.event import Action, Event, Ignored, Item, Unreadable
from webhook.sources import _dto, _sessions, _shared
from webhook.sources._listened import read_statement


class EmbyPayload(TypedDict, total=False):
    """A webhook as Emby documents it; nothing is taken for granted when it is read."""

    Event: str
    Date: str  # UTC, seven digits of a second
    User: _dto.NamedDto
    Server: _dto.NamedDto
    Session: _dto.SessionDto
    PlaybackInfo: PlaybackInfo
    Item: _dto.ItemDto


class PlaybackInfo(TypedDict, total=False):
    PositionTicks: int
    PlaySessionId: str
    PlayedToCompletion: bool


ACTIONS: Mapping[str, Action] = {
    "playback.start": Action.START,
    "playback.pause": Action.PAUSE,
    "playback.unpause": Action.RESUME,
    "playback.stop": Action.STOP,
    "item.markplayed": Action.WATCHED,
    "item.markunplayed": Action.UNWATCHED,
    "item.rate": Action.FAVOURITE,
    "library.new": Action.ADD,
}
BY_HAND = frozenset(("item.markplayed", "item.markunplayed"))
TESTS = frozenset(("system.notificationtest", "system.webhooktest"))


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    if (statement := read_statement(payload, received_at)) is not None:
        return _sessions.events_of(statement)
    name = values.text(payload.get("Event"))
    if name is None:
        raise Unreadable(
            'This is not an Emby webhook: it has no "Event". Is the URL pasted into another program?'
        )
    action = ACTIONS.get(name)
    if action is None:
        return Ignored("test" if name in TESTS else "unsupported_event")
    dto = values.mapping(payload.get("Item"))
    items = _dto.read_items(dto, {})
    if isinstance(items, Ignored):
        return items
    event = _event(cast(EmbyPayload, payload), action, items[0], received_at, manual=name in BY_HAND)
    if name != "item.rate":
        return _dto.for_each_item(event, items)
    # Emby's item.rate is the heart; it knows no ratings.
    hearts = _dto.rating_events(event, None, values.mapping(dto.get("UserData")).get("IsFavorite"))
    return [each for heart in hearts for each in _dto.for_each_item(heart, items)] or Ignored("no_rating")


def _event(payload: EmbyPayload, action: Action, item: Item, received_at: datetime, *, manual: bool) -> Event:
    user, server = values.section(payload.get("User")), values.section(payload.get("Server"))
    session, dto = values.section(payload.get("Session")), values.section(payload.get("Item"))
    playback = values.section(payload.get("PlaybackInfo"))
    # The next episode's start resets Session.PlayState before the webhook is written.
    ticks = values.first(playback, "PositionTicks")
    if ticks is None:
        ticks = values.section(session.get("PlayState")).get("PositionTicks")
    return Event(
        action=action,
        item=item,
        at=_shared.not_after_receipt(values.moment(payload.get("Date"), naive_is_utc=True), received_at),
        user=values.text(user.get("Name")),
        user_id=values.hex_id(user.get("Id")),
        server=values.hex_id(values.first(server, "Id") or dto.get("ServerId")),
        server_name=values.text(server.get("Name")),
        player=values.text(values.first(session, "DeviceName", "Client")),
        player_id=values.text(session.get("DeviceId")),
        session=values.text(playback.get("PlaySessionId")),
        item_key=values.hex_id(dto.get("Id")),
        show_key=values.hex_id(dto.get("SeriesId")),
        last_played_at=_dto.last_played_at(dto),
        position_ms=_dto.position_ms(values.position(ticks), action),
        duration_ms=values.milliseconds(values.duration(dto.get("RunTimeTicks"))) or None,
        completed=values.flag(playback.get("PlayedToCompletion")) if action is Action.STOP else None,
        manual=manual,
    )


LABEL = "Emby"
FIELDS = ("data", "payload")
FORM_IS_PAYLOAD = False
SETUP = (
    "Without Emby Premiere no webhook is needed: enter the server's address and an API key under Settings, Connections, "
    "Emby. In the environment or .env these are EMBY_URL and EMBY_API_KEY.",
    "Webhooks need Emby Premiere and Emby Server 4.7.9 or newer.",
    "In the server's dashboard open Notifications, then Add Notification, Webhooks.",
    "Paste {url} as the URL. Either content type will do.",
    "Under Playback tick Start, Pause, Unpause and Stop; under Users tick Mark Played, Mark Unplayed and "
    "Favourites; under Library tick New media added.",
    "Press Send Test Notification: it shows up here as a test. Then save.",
)
