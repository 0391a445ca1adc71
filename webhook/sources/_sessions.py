"""What a Jellyfin or an Emby said while it was listened to, read as the webhook that it would have sent.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.domain import values
from webhook.domain.event import Action, Event, Ignored, Item
from webhook.sources import _dto
from webhook.sources._listened import Statement


def events_of(statement: Statement) -> list[Event] | Ignored:
    """The events of a statement: one for each episode that the file holds."""
    said = statement.said
    item, data = values.mapping(said.get("item")), values.mapping(said.get("user_data"))
    items = _dto.read_items(item, values.mapping(said.get("series")))
    if isinstance(items, Ignored):
        return items
    event = read_event(statement, items[0])
    if statement.action is not Action.RATE:
        return _dto.for_each_item(event, items)
    rated = _dto.rating_events(event, data.get("Rating"), None)
    return [each for one in rated for each in _dto.for_each_item(one, items)] or Ignored("no_rating")


def read_event(statement: Statement, item: Item) -> Event:
    said = statement.said
    user, server, session, dto, data = (
        values.mapping(said.get(name)) for name in ("user", "server", "session", "item", "user_data")
    )
    is_over = statement.action is Action.STOP
    marked_at = _dto.last_played_at({"UserData": data}) if statement.manual else None  # type: ignore[typeddict-item]
    return Event(
        action=statement.action,
        item=item,
        at=statement.at,
        user=values.text(user.get("Name")),
        user_id=values.hex_id(user.get("Id")),
        server=values.hex_id(server.get("Id")),
        server_name=values.text(server.get("ServerName")),
        player=values.text(values.first(session, "DeviceName", "Client")),
        player_id=values.text(session.get("DeviceId")),
        item_key=values.hex_id(dto.get("Id")),
        show_key=values.hex_id(dto.get("SeriesId")),
        last_played_at=marked_at,
        position_ms=(statement.position_ms or None) if is_over else statement.position_ms,
        duration_ms=values.milliseconds(values.duration(dto.get("RunTimeTicks"))) or None,
        completed=read_completion(data) if is_over else None,
        manual=statement.manual,
        undated=statement.manual and statement.action is Action.WATCHED and marked_at is None,
        together=statement.together,
    )


def read_completion(data: Mapping[str, Any]) -> bool | None:
    """The server's word on a viewing that is over: what it counts as played it puts back to the beginning.

    `Played` alone may be an old one.
    """
    played = values.flag(data.get("Played"))
    return None if played is None else played and not values.position(data.get("PlaybackPositionTicks"))
