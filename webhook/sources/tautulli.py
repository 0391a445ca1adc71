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
from typing import Any

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
from webhook.domain.guids import ids, read
from webhook.sources import _plexlike
from webhook.sources import _values as values

Payload = Mapping[str, Any]

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
ACTIONS: Mapping[str, Action] = {
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
TEST = "test"
PREFIX = re.compile(r"^(?:tautulli|media|library)\.")
TOKEN = re.compile(r"\{[A-Za-z0-9_:.!]+\}")
EMPTY = frozenset(("undefined", "null", "None"))
MINUTES = 24 * 60  # a duration below this is of minutes: none is that short in ms
KINDS = {kind.value: kind for kind in Kind}
UNTRACKED = {"album": "music", "artist": "music", "photo": "photo", "clip": "trailer"}
MS_PER_MINUTE = 60_000
# Our keys are the parameters of Tautulli that fill them. One it did not know would empty the whole body.
PARAMETERS = (
    *("action", "media_type", "live", "session_key"),
    *("server_machine_id", "server_name", "username", "user_id", "player", "machine_id", "library_name"),
    *("title", "show_name", "episode_name", "season_num", "episode_num", "year", "show_year"),
    *("track_name", "track_num", "artist_name", "track_artist", "album_name"),
    *("imdb_id", "thetvdb_id", "themoviedb_id", "musicbrainz_id", "guid", "rating_key"),
    *("duration_ms", "view_offset", "progress_percent"),
)


def template() -> str:
    """The template to paste as the JSON data of each trigger."""
    return json.dumps({"template": "watchmark", **{name: f"{{{name}}}" for name in PARAMETERS}}, indent=2)


def parse(payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    filled = values.mapping(values.strings(payload, present))
    if "event" not in payload and "action" not in payload:
        raise Unreadable(
            'This Tautulli webhook does not say what happened: it has no "action". '
            "Paste the template shown here into each trigger of the agent."
        )
    name = PREFIX.sub("", values.text(values.first(filled, "event", "action")) or "")
    if name == TEST:
        return Ignored("test")
    action = ACTIONS.get(name)
    if action is None:
        return Ignored("unsupported_event")
    if "Metadata" in payload:
        return shaped_like_plex(filled, action, received_at)
    return flat(filled, action, received_at)


def present(value: str) -> str | None:
    """The text, unless it is a parameter that Tautulli did not know or a placeholder for nothing."""
    return None if TOKEN.fullmatch(value.strip()) or value in EMPTY else value


def shaped_like_plex(payload: Payload, action: Action, received_at: datetime) -> list[Event] | Ignored:
    metadata = values.mapping(payload.get("Metadata"))
    # A template has one key for it, which {duration} fills with minutes and {duration_ms} with ms.
    timed = {**metadata, "duration": length(metadata)}
    found = _plexlike.events({**payload, "Metadata": timed}, action, received_at, ids_of_show=True)
    if isinstance(found, Ignored):
        return found
    return [
        told for event in found for told in split(event, metadata.get("index"), metadata.get("parentIndex"))
    ]


def flat(payload: Payload, action: Action, received_at: datetime) -> list[Event] | Ignored:
    """The shape of our own template, and near relatives of it."""
    item = item_of(payload)
    if isinstance(item, Ignored):
        return item
    if not values.known(item):
        return Ignored("no_ids")
    stars = values.rating(values.first(payload, "rating", "user_rating")) if action is Action.RATE else None
    if action is Action.RATE and stars is None:
        return Ignored("no_rating")
    event = replace(reported(payload, action, item, received_at), rating=stars)
    return split(
        event, values.first(payload, "episode_num", "episode"), values.first(payload, "season_num", "season")
    )


def item_of(payload: Payload) -> Item | Ignored:
    name = (values.text(payload.get("media_type")) or "").lower()
    if values.flag(payload.get("live")):
        return Ignored("live_tv")
    if name in UNTRACKED:
        return Ignored(UNTRACKED[name])
    kind = KINDS.get(name)
    if kind is None:
        return Ignored(values.why_no_kind(name, values.first(payload, "title", "show_name", "episode_name")))
    return BUILDERS[kind](payload)


def named_ids(payload: Payload) -> Ids:
    """The ids that Tautulli gives by name: a film's own, and for an episode the show's."""
    return ids(
        imdb=values.first(payload, "imdb_id", "imdb"),
        tvdb=values.first(payload, "thetvdb_id", "tvdb"),
        tmdb=values.first(payload, "themoviedb_id", "tmdb"),
    )


def movie(payload: Payload) -> Movie:
    guid = read(values.text(payload.get("guid")) or "", Kind.MOVIE)
    return Movie(
        title=values.text(payload.get("title")),
        year=values.year(payload.get("year")),
        ids=named_ids(payload).merged(guid.ids),
    )


def show(payload: Payload) -> Show:
    guid = read(values.text(payload.get("guid")) or "", Kind.SHOW)
    return Show(
        title=values.text(values.first(payload, "show_name", "show", "title")),
        year=values.year(values.first(payload, "show_year", "year")),
        ids=named_ids(payload).merged(guid.ids),
    )


def season(payload: Payload) -> Season:
    guid = read(values.text(payload.get("guid")) or "", Kind.SEASON)
    return Season(
        title=values.text(payload.get("season_name")),
        show=values.text(values.first(payload, "show_name", "show")),
        season=values.count(values.first(payload, "season_num", "season")),
        year=values.year(payload.get("year")),
        ids=guid.ids,
        show_ids=named_ids(payload).merged(guid.show_ids),
    )


def episode(payload: Payload) -> Episode:
    guid = read(values.text(payload.get("guid")) or "", Kind.EPISODE)
    return Episode(
        title=values.text(values.first(payload, "episode_name", "episode_title")),
        show=values.text(values.first(payload, "show_name", "show")),
        season=values.count(values.first(payload, "season_num", "season")),
        number=values.count(values.first(payload, "episode_num", "episode")),
        year=values.year(payload.get("year")),
        ids=guid.ids,
        show_ids=named_ids(payload).merged(guid.show_ids),
        numbering=guid.numbering,
    )


def track(payload: Payload) -> Track:
    album_artist = values.text(values.first(payload, "artist_name", "artist"))
    guid = read(values.text(payload.get("guid")) or "", Kind.TRACK)
    return Track(
        title=values.text(values.first(payload, "track_name", "track", "title")),
        artist=values.text(payload.get("track_artist")) or album_artist,
        album=values.text(values.first(payload, "album_name", "album")),
        album_artist=album_artist,
        number=values.count(payload.get("track_num")),
        year=values.year(payload.get("year")),
        ids=ids(musicbrainz=values.first(payload, "musicbrainz_id", "musicbrainz")).merged(guid.ids),
    )


BUILDERS: Mapping[Kind, Callable[[Payload], Item]] = {
    Kind.MOVIE: movie,
    Kind.SHOW: show,
    Kind.SEASON: season,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}


def reported(payload: Payload, action: Action, item: Item, received_at: datetime) -> Event:
    position, duration = reached(payload, action), length(payload)
    known = position is not None and duration is not None
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
        progress=None if known else percent(payload, action),
    )


def reached(payload: Payload, action: Action) -> int | None:
    """The position; at the end a 0 is one that Tautulli does not know."""
    offset = values.position(values.first(payload, "view_offset", "view_offset_ms"))
    return None if offset == 0 and action in (Action.STOP, Action.WATCHED) else offset


def length(payload: Payload) -> int | None:
    """The duration in ms, by what its key counts."""
    if (duration := values.duration(payload.get("duration_ms"))) is not None:
        return duration
    if (duration := values.duration(payload.get("duration_sec"))) is not None:
        return duration * 1000
    duration = values.duration(payload.get("duration"))
    return duration * MS_PER_MINUTE if duration is not None and duration < MINUTES else duration


def percent(payload: Payload, action: Action) -> float | None:
    sent = values.decimal(values.first(payload, "progress_percent", "progress"))
    if sent is None or not 0 <= sent <= 100:
        return None
    return None if sent == 0 and action in (Action.STOP, Action.WATCHED) else sent


def split(event: Event, number: Any, season: Any) -> list[Event]:
    """An event for each episode of a notice such as "6-10"; just this one where it names one."""
    item, several = event.item, listed(number)
    if not isinstance(item, Episode) or len(several) < 2 or values.count(season) is None:
        return [event]
    alike = replace(event, item_key=None)
    bare = replace(item, title=None, ids=Ids())
    return [replace(alike, item=replace(bare, number=entry)) for entry in several]


def listed(value: Any) -> list[int]:
    """The numbers of "6-10" or "1,3-4"; none where it is no such list or a far too long one."""
    numbers: list[int] = []
    for part in (values.text(value) or "").split(","):
        start, dash, end = part.partition("-")
        found = values.numbers(values.count(start), values.count(end) if dash else None)
        numbers += [number for number in found if number is not None]
    return numbers if len(numbers) <= values.MOST_EPISODES else []
