"""Emby: https://emby.media/support/articles/Webhooks.html"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from webhook.domain.event import Action, Event, Ignored, Unreadable
from webhook.sources import _dto
from webhook.sources import _values as values

LABEL = "Emby"
FIELDS = ("data", "payload")
FORM_IS_PAYLOAD = False
SETUP = (
    "Webhooks need Emby Premiere and Emby Server 4.7.9 or newer.",
    "In the server's dashboard open Notifications, then Add Notification, Webhooks.",
    "Paste {url} as the URL. Either content type will do.",
    "Under Playback tick Start, Pause, Unpause and Stop; under Users tick Mark Played, Mark Unplayed and "
    "Favourites; under Library tick New media added.",
    "Press Send Test Notification: it shows up here as a test. Then save.",
)
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
IGNORED: Mapping[str, str] = {"system.notificationtest": "test", "system.webhooktest": "test"}


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    name = values.text(payload.get("Event"))
    if name is None:
        raise Unreadable(
            'This is not an Emby webhook: it has no "Event". Is the URL pasted into another program?'
        )
    action = ACTIONS.get(name)
    if action is None:
        return Ignored(IGNORED.get(name, "unsupported_event"))
    dto = values.mapping(payload.get("Item"))
    found = _dto.items(dto, {})
    if isinstance(found, Ignored):
        return found
    event = described(payload, action, found[0], received_at, manual=name in BY_HAND)
    if name != "item.rate":
        return _dto.per_item(event, found)
    # Emby's item.rate is the heart; it knows no ratings.
    hearts = _dto.liked(event, None, values.mapping(dto.get("UserData")).get("IsFavorite"))
    return [told for heart in hearts for told in _dto.per_item(heart, found)] or Ignored("no_rating")


def described(
    payload: Mapping[str, Any], action: Action, item: Any, received_at: datetime, *, manual: bool
) -> Event:
    user, server, session, playback, dto = (
        values.mapping(payload.get(name)) for name in ("User", "Server", "Session", "PlaybackInfo", "Item")
    )
    completed = values.flag(playback.get("PlayedToCompletion")) if action is Action.STOP else None
    # The next episode's start resets Session.PlayState before the webhook is written.
    ticks = values.first(playback, "PositionTicks")
    if ticks is None:
        ticks = values.mapping(session.get("PlayState")).get("PositionTicks")
    return Event(
        action=action,
        item=item,
        at=values.plausible(values.moment(payload.get("Date"), naive_is_utc=True), received_at),
        user=values.text(user.get("Name")),
        user_id=values.hex_id(user.get("Id")),
        server=values.hex_id(values.first(server, "Id") or dto.get("ServerId")),
        server_name=values.text(server.get("Name")),
        player=values.text(values.first(session, "DeviceName", "Client")),
        player_id=values.text(session.get("DeviceId")),
        session=values.text(playback.get("PlaySessionId")),
        item_key=values.hex_id(dto.get("Id")),
        show_key=values.hex_id(dto.get("SeriesId")),
        last_played_at=_dto.last_played(dto),
        position_ms=_dto.forgotten(values.position(ticks), action),
        duration_ms=values.milliseconds(values.duration(dto.get("RunTimeTicks"))) or None,
        completed=completed,
        manual=manual,
    )
