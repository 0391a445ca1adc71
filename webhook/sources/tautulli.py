"""Tautulli, with its webhook agent: https://github.com/Tautulli/Tautulli/wiki/Notification-Agents-Guide

Whoever sends through Tautulli writes the body himself. Read are our own template and those that
imitate Plex. Every value is a text, and an episode's imdb, tvdb and tmdb ids are its show's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, cast

from webhook.domain import values
from webhook.domain.event import (
    Action,
    Episode,
    Event,
    Ids,
    Ignored,
    Item,
    Kind,
    Movie,
    Season,
    Show,
    Track,
    Unreadable,
)
from webhook.domain.guids import clean_ids, parse_guid
from webhook.sources import _plexlike
from webhook.sources._shared import MAX_EPISODES, episode_numbers, is_findable, reason_without_kind


class TautulliPayload(TypedDict, total=False):
    """A webhook by our own template; every value is a text. Near relatives of it have other keys for some."""

    action: str
    media_type: str
    live: str
    session_key: str
    server_machine_id: str
    server_name: str
    username: str
    user_id: str
    player: str
    machine_id: str
    library_name: str
    title: str
    show_name: str
    season_name: str
    episode_name: str
    season_num: str
    episode_num: str
    year: str
    show_year: str
    track_name: str
    track_num: str
    track_artist: str
    artist_name: str
    album_name: str
    imdb_id: str
    thetvdb_id: str
    themoviedb_id: str
    musicbrainz_id: str
    guid: str
    rating_key: str
    rating: str
    duration: str  # minutes
    duration_ms: str
    duration_sec: str
    view_offset: str  # milliseconds
    progress_percent: str


TAUTULLI_ACTIONS: Mapping[str, Action] = {
    "play": Action.START,
    "start": Action.START,
    "pause": Action.PAUSE,
    "resume": Action.RESUME,
    "stop": Action.STOP,
    "watched": Action.WATCHED,
    "scrobble": Action.WATCHED,
    "created": Action.ADD,
    "new": Action.ADD,
    "rate": Action.RATE,
}
EVENT_PREFIX = re.compile(r"^(?:tautulli|media|library)\.")
PARAMETER = re.compile(r"\{[A-Za-z0-9_:.!]+\}")
PLACEHOLDERS = frozenset(("undefined", "null", "None"))
MAX_MINUTES = 24 * 60  # a duration below this is of minutes: none is that short in ms
MEDIA_TYPES = {kind.value: kind for kind in Kind}
REASONS_BY_TYPE = {"album": "music", "artist": "music", "photo": "photo", "clip": "trailer"}
MS_PER_MINUTE = 60_000


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    filled = values.mapping(values.map_strings(payload, drop_placeholders))
    if "event" not in payload and "action" not in payload:
        raise Unreadable(
            'This Tautulli webhook does not say what happened: it has no "action". '
            "Paste its template into each trigger of the agent; it is shown under Webhook addresses and by "
            "watchmark urls --template tautulli."
        )
    name = EVENT_PREFIX.sub("", values.text(values.first(filled, "event", "action")) or "")
    if name == "test":
        return Ignored("test")
    action = TAUTULLI_ACTIONS.get(name)
    if action is None:
        return Ignored("unsupported_event")
    if "Metadata" in payload:
        return read_plexlike(filled, action, received_at)
    return read_flat(cast(TautulliPayload, filled), action, received_at)


def drop_placeholders(value: str) -> str | None:
    """The text, unless it is a parameter that Tautulli did not know or a placeholder for nothing."""
    return None if PARAMETER.fullmatch(value.strip()) or value in PLACEHOLDERS else value


def read_plexlike(payload: Mapping[str, Any], action: Action, received_at: datetime) -> list[Event] | Ignored:
    metadata = values.mapping(payload.get("Metadata"))
    # A template has one key for it, which {duration} fills with minutes and {duration_ms} with ms.
    timed = {**metadata, "duration": _duration_ms(metadata)}
    found = _plexlike.read_events({**payload, "Metadata": timed}, action, received_at, ids_of_show=True)
    if isinstance(found, Ignored):
        return found
    return [
        each
        for event in found
        for each in split_episodes(event, metadata.get("index"), metadata.get("parentIndex"))
    ]


def read_flat(payload: TautulliPayload, action: Action, received_at: datetime) -> list[Event] | Ignored:
    """The shape of our own template, and near relatives of it."""
    item = _read_item(payload)
    if isinstance(item, Ignored):
        return item
    if not is_findable(item):
        return Ignored("no_ids")
    stars = values.rating(values.first(payload, "rating", "user_rating")) if action is Action.RATE else None
    if action is Action.RATE and stars is None:
        return Ignored("no_rating")
    event = replace(_event(payload, action, item, received_at), rating=stars)
    return split_episodes(
        event, values.first(payload, "episode_num", "episode"), values.first(payload, "season_num", "season")
    )


def _read_item(payload: TautulliPayload) -> Item | Ignored:
    name = (values.text(payload.get("media_type")) or "").lower()
    if values.flag(payload.get("live")):
        return Ignored("live_tv")
    if name in REASONS_BY_TYPE:
        return Ignored(REASONS_BY_TYPE[name])
    kind = MEDIA_TYPES.get(name)
    if kind is None:
        return Ignored(reason_without_kind(name, values.first(payload, "title", "show_name", "episode_name")))
    return BUILDERS[kind](payload)


def _item_ids(payload: TautulliPayload) -> Ids:
    """The ids that Tautulli gives by name: a film's own, and for an episode the show's."""
    return clean_ids(
        imdb=values.first(payload, "imdb_id", "imdb"),
        tvdb=values.first(payload, "thetvdb_id", "tvdb"),
        tmdb=values.first(payload, "themoviedb_id", "tmdb"),
    )


def _movie(payload: TautulliPayload) -> Movie:
    guid = parse_guid(values.text(payload.get("guid")) or "", Kind.MOVIE)
    return Movie(
        title=values.text(payload.get("title")),
        year=values.year(payload.get("year")),
        ids=_item_ids(payload).merge(guid.ids),
    )


def _show(payload: TautulliPayload) -> Show:
    guid = parse_guid(values.text(payload.get("guid")) or "", Kind.SHOW)
    return Show(
        title=values.text(values.first(payload, "show_name", "show", "title")),
        year=values.year(values.first(payload, "show_year", "year")),
        ids=_item_ids(payload).merge(guid.ids),
    )


def _season(payload: TautulliPayload) -> Season:
    guid = parse_guid(values.text(payload.get("guid")) or "", Kind.SEASON)
    return Season(
        title=values.text(payload.get("season_name")),
        show=values.text(values.first(payload, "show_name", "show")),
        season=values.ordinal(values.first(payload, "season_num", "season")),
        year=values.year(payload.get("year")),
        ids=guid.ids,
        show_ids=_item_ids(payload).merge(guid.show_ids),
    )


def _episode(payload: TautulliPayload) -> Episode:
    guid = parse_guid(values.text(payload.get("guid")) or "", Kind.EPISODE)
    return Episode(
        title=values.text(values.first(payload, "episode_name", "episode_title")),
        show=values.text(values.first(payload, "show_name", "show")),
        season=values.ordinal(values.first(payload, "season_num", "season")),
        number=values.ordinal(values.first(payload, "episode_num", "episode")),
        year=values.year(payload.get("year")),
        ids=guid.ids,
        show_ids=_item_ids(payload).merge(guid.show_ids),
        numbering=guid.numbering,
    )


def _track(payload: TautulliPayload) -> Track:
    album_artist = values.text(values.first(payload, "artist_name", "artist"))
    guid = parse_guid(values.text(payload.get("guid")) or "", Kind.TRACK)
    return Track(
        title=values.text(values.first(payload, "track_name", "track", "title")),
        artist=values.text(payload.get("track_artist")) or album_artist,
        album=values.text(values.first(payload, "album_name", "album")),
        album_artist=album_artist,
        number=values.ordinal(payload.get("track_num")),
        year=values.year(payload.get("year")),
        ids=clean_ids(musicbrainz=values.first(payload, "musicbrainz_id", "musicbrainz")).merge(guid.ids),
    )


BUILDERS: Mapping[Kind, Callable[[TautulliPayload], Item]] = {
    Kind.MOVIE: _movie,
    Kind.SHOW: _show,
    Kind.SEASON: _season,
    Kind.EPISODE: _episode,
    Kind.TRACK: _track,
}


def _event(payload: TautulliPayload, action: Action, item: Item, received_at: datetime) -> Event:
    position, duration = _position_ms(payload, action), _duration_ms(payload)
    timed = position is not None and duration is not None
    return Event(
        action=action,
        item=item,
        at=received_at,
        user=values.text(values.first(payload, "username", "user")),
        user_id=values.text(payload.get("user_id")),
        server=values.text(values.first(payload, "server_machine_id", "server")),
        server_name=values.text(payload.get("server_name")),
        player=values.text(payload.get("player")),
        player_id=values.text(values.first(payload, "machine_id", "player_id")),
        session=values.text(payload.get("session_key")),
        library=values.text(values.first(payload, "library_name", "library")),
        item_key=values.text(payload.get("rating_key")),
        position_ms=position,
        duration_ms=duration,
        progress=None if timed else _percent(payload, action),
    )


def _position_ms(payload: TautulliPayload, action: Action) -> int | None:
    """The position; at the end a 0 is one that Tautulli does not know."""
    offset = values.position(values.first(payload, "view_offset", "view_offset_ms"))
    return None if offset == 0 and action in (Action.STOP, Action.WATCHED) else offset


def _duration_ms(payload: Mapping[str, Any]) -> int | None:
    """The duration in ms, by what its key counts."""
    if (duration := values.duration(payload.get("duration_ms"))) is not None:
        return duration
    if (duration := values.duration(payload.get("duration_sec"))) is not None:
        return duration * 1000
    duration = values.duration(payload.get("duration"))
    return duration * MS_PER_MINUTE if duration is not None and duration < MAX_MINUTES else duration


def _percent(payload: TautulliPayload, action: Action) -> float | None:
    sent = values.decimal(values.first(payload, "progress_percent", "progress"))
    if sent is None or not 0 <= sent <= 100:
        return None
    return None if sent == 0 and action in (Action.STOP, Action.WATCHED) else sent


def split_episodes(event: Event, number: Any, season: Any) -> list[Event]:
    """An event for each episode of a notice such as "6-10"; just this one where it names one."""
    item, several = event.item, episode_list(number)
    if not isinstance(item, Episode) or len(several) < 2 or values.ordinal(season) is None:
        return [event]
    alike = replace(event, item_key=None)
    bare = replace(item, title=None, ids=Ids())
    return [replace(alike, item=replace(bare, number=entry)) for entry in several]


def episode_list(value: Any) -> list[int]:
    """The numbers of "6-10" or "1,3-4"; none where it is no such list or a far too long one."""
    numbers: list[int] = []
    for part in (values.text(value) or "").split(","):
        start, dash, end = part.partition("-")
        found = episode_numbers(values.ordinal(start), values.ordinal(end) if dash else None)
        numbers += [number for number in found if number is not None]
    return numbers if len(numbers) <= MAX_EPISODES else []


LABEL = "Tautulli"
FIELDS = ("payload", "data")
FORM_IS_PAYLOAD = False
SETUP = (
    "In Tautulli open Settings, Notification Agents, Add a new notification agent, Webhook.",
    "Paste {url} as the Webhook URL and choose the method POST.",
    "Under Triggers tick Playback Start, Stop, Pause, Resume and Watched.",
    "Under Data paste the template shown here as the JSON Data of each of these triggers, "
    "and leave JSON Headers empty.",
    "Save. The same server's Plex webhook may come here as well: what both report is one play, sent once.",
)
# Our keys are the parameters of Tautulli that fill them. One it did not know would empty the whole body.
TEMPLATE_PARAMETERS = (
    *("action", "media_type", "live", "session_key"),
    *("server_machine_id", "server_name", "username", "user_id", "player", "machine_id", "library_name"),
    *("title", "show_name", "episode_name", "season_num", "episode_num", "year", "show_year"),
    *("track_name", "track_num", "artist_name", "track_artist", "album_name"),
    *("imdb_id", "thetvdb_id", "themoviedb_id", "musicbrainz_id", "guid", "rating_key"),
    *("duration_ms", "view_offset", "progress_percent"),
)


def template() -> str:
    """The template to paste as the JSON data of each trigger."""
    return json.dumps(
        {"template": "watchmark", **{name: f"{{{name}}}" for name in TEMPLATE_PARAMETERS}}, indent=2
    )
