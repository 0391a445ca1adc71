"""Jellyfin, with its Webhook plugin: https://github.com/jellyfin/jellyfin-plugin-webhook

Read too: the unofficial plugin, https://github.com/shemanaev/jellyfin-plugin-webhooks, and the
templates that people paste for other programs, which imitate it or Plex. What the server says while it is
listened to is in `_sessions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from webhook.domain import values
from webhook.domain.event import Action, Event, Ignored, Item, Kind, Unreadable
from webhook.sources import _dto, _plexlike, _sessions
from webhook.sources._listened import read_statement
from webhook.sources._shared import PLEX_ACTIONS, not_after_receipt


class OfficialPayload(TypedDict, total=False):
    """A webhook of the official plugin, flat; a template writes every value as text."""

    NotificationType: str
    UtcTimestamp: str  # seven digits of a second
    Timestamp: str
    ServerId: str
    ServerName: str
    ItemId: str
    ItemType: str
    Name: str
    SeriesName: str
    SeriesId: str
    SeasonNumber: int
    EpisodeNumber: int
    EpisodeNumberEnd: int
    Year: int
    RunTimeTicks: int
    PlaybackPositionTicks: int
    PlayedToCompletion: bool
    IsPaused: bool
    PlaySessionId: str
    Artist: str
    Album: str
    AlbumArtist: str
    NotificationUsername: str
    Username: str
    UserId: str
    DeviceId: str
    DeviceName: str
    ClientName: str
    SaveReason: str  # of UserDataSaved, as are the next five
    Played: bool
    Rating: float
    Favorite: bool
    LastPlayedDate: str


class UnofficialPayload(TypedDict, total=False):
    """A webhook of the unofficial plugin in its Default format."""

    Event: str
    Item: _dto.ItemDto
    Series: _dto.ItemDto
    User: _dto.NamedDto
    Session: _dto.SessionDto
    Server: _dto.NamedDto


OFFICIAL_ACTIONS: Mapping[str, Action] = {
    "PlaybackStart": Action.START,
    "PlaybackProgress": Action.PROGRESS,
    "PlaybackStop": Action.STOP,
    "ItemAdded": Action.ADD,
}
UNOFFICIAL_ACTIONS: Mapping[str, Action] = {
    "Play": Action.START,
    "Pause": Action.PAUSE,
    "Resume": Action.RESUME,
    "Stop": Action.STOP,
    "Scrobble": Action.WATCHED,
    "Progress": Action.PROGRESS,
    "Rate": Action.RATE,
    "MarkPlayed": Action.WATCHED,
    "MarkUnplayed": Action.UNWATCHED,
    **OFFICIAL_ACTIONS,
}
MARKS_BY_HAND = frozenset(("MarkPlayed", "MarkUnplayed"))
SAVED = "UserDataSaved"
PROVIDER = "Provider_"
# The official plugin's flat keys, by their names in Jellyfin's own item object.
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


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    if (statement := read_statement(payload, received_at)) is not None:
        return _sessions.events_of(statement)
    cleaned = _clean(payload)
    for key, reader in READERS.items():
        if key in cleaned:
            return reader(cleaned, received_at)
    raise Unreadable(
        "This is not a webhook of Jellyfin's Webhook plugin: it does not say what happened. "
        "Tick Send All Properties in the plugin, or use our template."
    )


def _clean(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload without the escaping of the plugin or of a template in its texts."""
    typed = isinstance(payload.get("RunTimeTicks"), int)  # a template writes everything as text
    undo = strip_backslashes if typed else unescape
    return values.mapping(values.map_strings(payload, undo))


def strip_backslashes(value: str) -> str:
    return value.replace('\\"', '"')


def unescape(value: str) -> str:
    return strip_backslashes(values.unescape_html(value))


def read_official(payload: OfficialPayload, received_at: datetime) -> list[Event] | Ignored:
    """The flat shape of the official plugin."""
    name = values.text(payload.get("NotificationType"))
    if name is None:
        raise Unreadable(
            "This Jellyfin webhook has an empty NotificationType. Is its template the one shown here?"
        )
    if name not in OFFICIAL_ACTIONS and name != SAVED:
        return Ignored("unsupported_event")
    items = _dto.read_items(flat(payload), {})
    if isinstance(items, Ignored):
        return items
    if name == SAVED:
        return _saved_events(payload, items, received_at)
    action = OFFICIAL_ACTIONS[name]
    if action is Action.PROGRESS and values.flag(payload.get("IsPaused")):
        action = Action.PAUSE
    return _dto.for_each_item(_official_event(payload, action, items[0], received_at), items)


def flat(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Jellyfin's item object, put together from the flat keys."""
    dto = {name: payload.get(key) for name, key in DTO_KEYS.items()}
    providers = {
        name.removeprefix(PROVIDER): value for name, value in payload.items() if name.startswith(PROVIDER)
    }
    return {**dto, "Artists": [payload.get("Artist")], "ProviderIds": providers}


def _saved_events(
    payload: OfficialPayload, items: list[Item], received_at: datetime
) -> list[Event] | Ignored:
    """The events of UserDataSaved: it comes all through playback, and only some of it is a user's doing."""
    played = values.flag(payload.get("Played"))
    match values.text(payload.get("SaveReason")), played:
        case "TogglePlayed", True:
            events = [replace(_official_event(payload, Action.WATCHED, items[0], received_at), manual=True)]
        case "TogglePlayed", False:
            events = [replace(_official_event(payload, Action.UNWATCHED, items[0], received_at), manual=True)]
        case "UpdateUserData", True if items[0].kind not in (Kind.SHOW, Kind.SEASON):
            events = [_program_event(payload, items[0], received_at)]
        case "PlaybackFinished", True:
            events = [_official_event(payload, Action.WATCHED, items[0], received_at)]
        case "PlaybackFinished", False:
            return Ignored("not_completed")
        case "UpdateUserRating", _:
            event = _official_event(payload, Action.RATE, items[0], received_at)
            events = _dto.rating_events(event, payload.get("Rating"), payload.get("Favorite"))
        case _:
            return Ignored("noise")
    return [each for event in events for each in _dto.for_each_item(event, items)] or Ignored("noise")


def _program_event(payload: OfficialPayload, item: Item, received_at: datetime) -> Event:
    """A program wrote what is known of an item that is watched: maybe that, maybe another value beside it."""
    event = _official_event(payload, Action.WATCHED, item, received_at)
    undated, rating = event.last_played_at is None, values.rating(payload.get("Rating"))
    return replace(event, manual=True, by_program=True, undated=undated, rating=rating)


def _official_event(payload: OfficialPayload, action: Action, item: Item, received_at: datetime) -> Event:
    at = values.moment(payload.get("UtcTimestamp"), naive_is_utc=True) or values.moment(
        payload.get("Timestamp")
    )
    completed = values.flag(payload.get("PlayedToCompletion")) if action is Action.STOP else None
    return Event(
        action=action,
        item=item,
        at=not_after_receipt(at, received_at),
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
        position_ms=_dto.position_ms(values.position(payload.get("PlaybackPositionTicks")), action),
        duration_ms=values.milliseconds(values.duration(payload.get("RunTimeTicks"))) or None,
        completed=completed,
    )


def read_unofficial(payload: UnofficialPayload, received_at: datetime) -> list[Event] | Ignored:
    """The Default format of the unofficial plugin, and the templates that imitate it."""
    name = values.text(payload.get("Event")) or ""
    action = UNOFFICIAL_ACTIONS.get(name)
    if action is None:
        return Ignored("unsupported_event")
    dto = values.mapping(payload.get("Item"))
    items = _dto.read_items(dto, values.mapping(payload.get("Series")))
    if isinstance(items, Ignored):
        return items
    event = replace(_unofficial_event(payload, action, items[0], received_at), manual=name in MARKS_BY_HAND)
    if action is not Action.RATE:
        return _dto.for_each_item(event, items)
    data = values.mapping(dto.get("UserData"))
    events = _dto.rating_events(event, data.get("Rating"), data.get("IsFavorite"))
    return [each for event in events for each in _dto.for_each_item(event, items)] or Ignored("no_rating")


def _unofficial_event(payload: UnofficialPayload, action: Action, item: Item, received_at: datetime) -> Event:
    dto, user = values.section(payload.get("Item")), values.section(payload.get("User"))
    session, server = values.section(payload.get("Session")), values.section(payload.get("Server"))
    state = values.section(session.get("PlayState"))
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
        last_played_at=_dto.last_played_at(dto),
        position_ms=_dto.position_ms(values.position(state.get("PositionTicks")), action),
        duration_ms=values.milliseconds(values.duration(dto.get("RunTimeTicks"))) or None,
        completed=_completion(dto) if action is Action.STOP else None,
    )


def _completion(dto: _dto.ItemDto) -> bool | None:
    """The sender's word on a stop, which only templates give: the plugin's `Played` may be an old one.

    The templates leave out the item's Id, and fill `Played` from PlayedToCompletion.
    """
    return None if dto.get("Id") else values.flag(values.mapping(dto.get("UserData")).get("Played"))


def read_plexlike(payload: _plexlike.PlexPayload, received_at: datetime) -> list[Event] | Ignored:
    """The Plex format of the unofficial plugin, and the templates that imitate Plex."""
    action = PLEX_ACTIONS.get(values.text(payload.get("event")) or "")
    if action is None:
        return Ignored("unsupported_event")
    return _plexlike.read_events(payload, action, received_at)


READERS: Mapping[str, Callable[[Any, datetime], list[Event] | Ignored]] = {
    "NotificationType": read_official,
    "Event": read_unofficial,
    "event": read_plexlike,
}


LABEL = "Jellyfin"
FIELDS = ("payload", "data")
FORM_IS_PAYLOAD = True
SETUP = (
    "Without the plugin no webhook is needed: enter the server's address and an API key under Settings, Connections, "
    "Jellyfin. In the environment or .env these are JELLYFIN_URL and JELLYFIN_API_KEY.",
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

# The plugin puts a backslash before a quote in these, so they need {{{…}}}: {{…}} would make \&quot; of it.
BACKSLASHED_KEYS = ("Name", "SeriesName", "NotificationUsername", "ServerName")
TEMPLATE_KEYS = (
    *("NotificationType", "UtcTimestamp", "ServerId", "ServerVersion"),
    *("ItemId", "ItemType", "Year", "SeasonNumber", "EpisodeNumber", "EpisodeNumberEnd", "SeriesId"),
    *("RunTimeTicks", "PlaybackPositionTicks", "PlayedToCompletion", "IsPaused"),
    *("Played", "SaveReason", "Rating", "Favorite", "Likes", "LastPlayedDate"),
    *("UserId", "DeviceId", "DeviceName", "ClientName", "Album", "Artist"),
    *("Provider_tvdb", "Provider_tmdb", "Provider_imdb", "Provider_anidb", "Provider_musicbrainztrack"),
)


def template() -> str:
    """The template to paste: every value quoted, so that one that is missing leaves the JSON whole."""
    raw = {name: f"{{{{{{{name}}}}}}}" for name in BACKSLASHED_KEYS}
    escaped = {name: f"{{{{{name}}}}}" for name in TEMPLATE_KEYS}
    return json.dumps({"Template": "watchmark", **escaped, **raw}, indent=2)
