"""Jellyfin, with its Webhook plugin: https://github.com/jellyfin/jellyfin-plugin-webhook

Read too: the unofficial plugin, https://github.com/shemanaev/jellyfin-plugin-webhooks, and the
templates that people paste for other programs, which imitate it or Plex.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from webhook.domain.event import Action, Event, Ignored, Item, Unreadable
from webhook.sources import _dto, _plexlike
from webhook.sources import _values as values

Payload = Mapping[str, Any]

LABEL = "Jellyfin"
FIELDS = ("payload", "data")
FORM_IS_PAYLOAD = True
SETUP = (
    "In Jellyfin's dashboard open Plugins, Catalogue, install Webhook, and restart Jellyfin.",
    "Open the plugin's settings and choose Add Generic Destination.",
    "Paste {url} as the Webhook Url.",
    "Tick these notification types: Item Added, Playback Start, Playback Stop, User Data Saved. "
    "Tick Playback Progress only if you want to see pauses: it sends a webhook every few seconds.",
    "Tick the item types Movies, Episodes, Seasons, Series and Songs: a type that is not ticked is not sent.",
    "A user filter, where you set one, keeps the others from being reported.",
    "Tick Send All Properties, or paste the template shown here as the Template instead. No header is needed. "
    "Save.",
)

OFFICIAL: Mapping[str, Action] = {
    "PlaybackStart": Action.START,
    "PlaybackProgress": Action.PROGRESS,
    "PlaybackStop": Action.STOP,
    "ItemAdded": Action.ADD,
}
UNOFFICIAL: Mapping[str, Action] = {
    "Play": Action.START,
    "Pause": Action.PAUSE,
    "Resume": Action.RESUME,
    "Stop": Action.STOP,
    "Scrobble": Action.WATCHED,
    "Progress": Action.PROGRESS,
    "Rate": Action.RATE,
    "MarkPlayed": Action.WATCHED,
    "MarkUnplayed": Action.UNWATCHED,
    **OFFICIAL,
}
BY_HAND = frozenset(("MarkPlayed", "MarkUnplayed"))
PLEX: Mapping[str, Action] = {
    "media.play": Action.START,
    "media.pause": Action.PAUSE,
    "media.resume": Action.RESUME,
    "media.stop": Action.STOP,
    "media.scrobble": Action.WATCHED,
    "media.rate": Action.RATE,
    "library.new": Action.ADD,
}
SAVED = "UserDataSaved"
PROVIDER = "Provider_"
# The official plugin's flat keys, by what Jellyfin's own item object calls them.
DTO_KEYS: Mapping[str, str] = {
    "Type": "ItemType",
    "ExtraType": "ExtraType",
    "Id": "ItemId",
    "Name": "Name",
    "SeriesName": "SeriesName",
    "SeriesId": "SeriesId",
    "ParentIndexNumber": "SeasonNumber",
    "IndexNumber": "EpisodeNumber",
    "IndexNumberEnd": "EpisodeNumberEnd",
    "ProductionYear": "Year",
    "RunTimeTicks": "RunTimeTicks",
    "Album": "Album",
    "AlbumArtist": "AlbumArtist",
}
# The plugin puts a backslash before a quote in these, so they need {{{…}}}: {{…}} would make \&quot; of it.
QUOTED_BY_PLUGIN = ("Name", "SeriesName", "NotificationUsername", "ServerName")
IN_TEMPLATE = (
    *("NotificationType", "UtcTimestamp", "ServerId", "ServerVersion"),
    *("ItemId", "ItemType", "Year", "SeasonNumber", "EpisodeNumber", "EpisodeNumberEnd", "SeriesId"),
    *("RunTimeTicks", "PlaybackPositionTicks", "PlayedToCompletion", "IsPaused"),
    *("Played", "SaveReason", "Rating", "Favorite", "Likes", "LastPlayedDate"),
    *("UserId", "DeviceId", "DeviceName", "ClientName", "Album", "Artist"),
    *("Provider_tvdb", "Provider_tmdb", "Provider_imdb", "Provider_anidb", "Provider_musicbrainztrack"),
)


def template() -> str:
    """The template to paste: every value quoted, so that one that is missing leaves the JSON whole."""
    raw = {name: f"{{{{{{{name}}}}}}}" for name in QUOTED_BY_PLUGIN}
    escaped = {name: f"{{{{{name}}}}}" for name in IN_TEMPLATE}
    return json.dumps({"Template": "watchmark", **escaped, **raw}, indent=2)


def parse(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    cleaned = plain(payload)
    for key, reader in READERS.items():
        if key in cleaned:
            return reader(cleaned, received_at)
    raise Unreadable(
        "This is not a webhook of Jellyfin's Webhook plugin: it does not say what happened. "
        "Tick Send All Properties in the plugin, or use our template."
    )


def plain(payload: Payload) -> Payload:
    """The payload without what the plugin's escaping and a template's put into its texts."""
    typed = isinstance(payload.get("RunTimeTicks"), int)  # a template writes everything as text
    undo = unquoted if typed else unescaped
    return values.mapping(values.strings(payload, undo))


def unquoted(value: str) -> str:
    return value.replace('\\"', '"')


def unescaped(value: str) -> str:
    return unquoted(values.unescaped(value))


def official(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """The flat shape of the official plugin."""
    name = values.text(payload.get("NotificationType"))
    if name is None:
        raise Unreadable(
            "This Jellyfin webhook has an empty NotificationType. Is its template the one shown here?"
        )
    if name not in OFFICIAL and name != SAVED:
        return Ignored("unsupported_event")
    found = _dto.items(flat(payload), {})
    if isinstance(found, Ignored):
        return found
    if name == SAVED:
        return saved(payload, found, received_at)
    action = OFFICIAL[name]
    if action is Action.PROGRESS and values.flag(payload.get("IsPaused")):
        action = Action.PAUSE
    return _dto.per_item(reported(payload, action, found[0], received_at), found)


def flat(payload: Payload) -> Payload:
    """Jellyfin's item object, put together from the flat keys."""
    dto = {name: payload.get(key) for name, key in DTO_KEYS.items()}
    providers = {
        name.removeprefix(PROVIDER): value for name, value in payload.items() if name.startswith(PROVIDER)
    }
    return {**dto, "Artists": [payload.get("Artist")], "ProviderIds": providers}


def saved(payload: Payload, found: list[Item], received_at: datetime) -> list[Event] | Ignored:
    """What UserDataSaved says: it comes all through playback, and only some of it is somebody's doing."""
    played = values.flag(payload.get("Played"))
    match values.text(payload.get("SaveReason")), played:
        case "TogglePlayed", True:
            said = [replace(reported(payload, Action.WATCHED, found[0], received_at), manual=True)]
        case "TogglePlayed", False:
            said = [replace(reported(payload, Action.UNWATCHED, found[0], received_at), manual=True)]
        case "PlaybackFinished", True:
            said = [reported(payload, Action.WATCHED, found[0], received_at)]
        case "PlaybackFinished", False:
            return Ignored("not_completed")
        case "UpdateUserRating", _:
            event = reported(payload, Action.RATE, found[0], received_at)
            said = _dto.liked(event, payload.get("Rating"), payload.get("Favorite"))
        case _:
            return Ignored("noise")
    return [told for event in said for told in _dto.per_item(event, found)] or Ignored("noise")


def reported(payload: Payload, action: Action, item: Item, received_at: datetime) -> Event:
    at = values.moment(payload.get("UtcTimestamp"), naive_is_utc=True) or values.moment(
        payload.get("Timestamp")
    )
    completed = values.flag(payload.get("PlayedToCompletion")) if action is Action.STOP else None
    return Event(
        action=action,
        item=item,
        at=values.plausible(at, received_at),
        user=values.text(values.first(payload, "NotificationUsername", "Username")),
        user_id=values.hex_id(payload.get("UserId")),
        server=values.hex_id(payload.get("ServerId")),
        server_name=values.text(payload.get("ServerName")),
        player=values.text(values.first(payload, "DeviceName", "ClientName", "Client")),
        player_id=values.text(payload.get("DeviceId")),
        session=values.text(payload.get("PlaySessionId")),
        item_key=values.hex_id(payload.get("ItemId")),
        show_key=values.hex_id(payload.get("SeriesId")),
        last_played_at=values.moment(payload.get("LastPlayedDate"), naive_is_utc=True),
        position_ms=_dto.forgotten(values.position(payload.get("PlaybackPositionTicks")), action),
        duration_ms=values.milliseconds(values.duration(payload.get("RunTimeTicks"))) or None,
        completed=completed,
    )


def unofficial(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """The Default format of the unofficial plugin, and the templates that imitate it."""
    name = values.text(payload.get("Event")) or ""
    action = UNOFFICIAL.get(name)
    if action is None:
        return Ignored("unsupported_event")
    dto = values.mapping(payload.get("Item"))
    found = _dto.items(dto, values.mapping(payload.get("Series")))
    if isinstance(found, Ignored):
        return found
    event = replace(announced(payload, action, found[0], received_at), manual=name in BY_HAND)
    if action is not Action.RATE:
        return _dto.per_item(event, found)
    data = values.mapping(dto.get("UserData"))
    said = _dto.liked(event, data.get("Rating"), data.get("IsFavorite"))
    return [told for one in said for told in _dto.per_item(one, found)] or Ignored("no_rating")


def announced(payload: Payload, action: Action, item: Item, received_at: datetime) -> Event:
    dto, user, session, server = (
        values.mapping(payload.get(name)) for name in ("Item", "User", "Session", "Server")
    )
    state = values.mapping(session.get("PlayState"))
    if action is Action.PROGRESS and values.flag(state.get("IsPaused")):
        action = Action.PAUSE
    return Event(
        action=action,
        item=item,
        at=received_at,
        user=values.text(user.get("Name")),
        user_id=values.hex_id(user.get("Id")),
        server=values.hex_id(values.first(server, "Id") or dto.get("ServerId")),
        server_name=values.text(server.get("Name")),
        player=values.text(values.first(session, "DeviceName", "Client")),
        player_id=values.text(session.get("DeviceId")),
        item_key=values.hex_id(dto.get("Id")),
        show_key=values.hex_id(dto.get("SeriesId")),
        last_played_at=_dto.last_played(dto),
        position_ms=_dto.forgotten(values.position(state.get("PositionTicks")), action),
        duration_ms=values.milliseconds(values.duration(dto.get("RunTimeTicks"))) or None,
        completed=finished(dto) if action is Action.STOP else None,
    )


def finished(dto: Payload) -> bool | None:
    """The sender's word on a stop, which only templates give: the plugin's `Played` may be an old one.

    The templates leave out the item's Id, and fill `Played` from PlayedToCompletion.
    """
    return None if dto.get("Id") else values.flag(values.mapping(dto.get("UserData")).get("Played"))


def plexlike(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """The Plex format of the unofficial plugin, and the templates that imitate Plex."""
    action = PLEX.get(values.text(payload.get("event")) or "")
    if action is None:
        return Ignored("unsupported_event")
    return _plexlike.events(payload, action, received_at)


READERS = {"NotificationType": official, "Event": unofficial, "event": plexlike}
