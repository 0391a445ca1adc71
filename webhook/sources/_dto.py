"""The item object that Emby and Jellyfin share, for they grew from one program.

Emby: https://dev.emby.media/reference/pluginapi/MediaBrowser.Model.Dto.BaseItemDto.html
Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from webhook.domain import values
from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Item, Kind, Movie, Season, Show, Track
from webhook.domain.guids import provider_ids
from webhook.sources._shared import episode_numbers, is_findable, reason_without_kind


class ItemDto(TypedDict, total=False):
    """The item; nothing is taken for granted when it is read."""

    Id: str
    ServerId: str
    Type: str
    ExtraType: str
    Name: str
    ProductionYear: int
    RunTimeTicks: int
    ProviderIds: Mapping[str, str | None]
    SeriesName: str
    SeriesId: str
    ParentIndexNumber: int
    IndexNumber: int
    IndexNumberEnd: int
    Artists: list[str]
    Album: str
    AlbumArtist: str
    UserData: UserDataDto


class UserDataDto(TypedDict, total=False):
    Played: bool
    LastPlayedDate: str
    Rating: float
    IsFavorite: bool


class NamedDto(TypedDict, total=False):
    """A user or a server."""

    Id: str
    Name: str


class SessionDto(TypedDict, total=False):
    Client: str
    DeviceName: str
    DeviceId: str
    PlayState: PlayStateDto


class PlayStateDto(TypedDict, total=False):
    PositionTicks: int
    IsPaused: bool


Dto = Mapping[str, Any]

ITEM_KINDS = {
    "movie": Kind.MOVIE,
    "episode": Kind.EPISODE,
    "series": Kind.SHOW,
    "season": Kind.SEASON,
    "audio": Kind.TRACK,
}
REASONS_BY_TYPE = {
    "trailer": "trailer",
    "themesong": "theme",
    "themevideo": "theme",
    "photo": "photo",
    "photoalbum": "photo",
    "musicalbum": "music",
    "musicartist": "music",
    "video": "home_video",
    "program": "live_tv",
    "tvprogram": "live_tv",
    "tvchannel": "live_tv",
    "livetvprogram": "live_tv",
    "livetvchannel": "live_tv",
}
EPISODE_KEYS = ("SeriesName", "SeriesId", "ParentIndexNumber", "IndexNumber")


def read_items(dto: Dto, series: Dto) -> list[Item] | Ignored:
    """The items of the object, one for each episode that the file holds."""
    if reason := reason_to_ignore(dto):
        return Ignored(reason)
    kind = kind_of(dto, series)
    if kind is None:
        return Ignored(reason_without_kind(dto.get("Type"), dto.get("Name")))
    item = BUILDERS[kind](dto, series)
    if not is_findable(item):
        return Ignored("no_ids")
    return _split(item, values.ordinal(dto.get("IndexNumberEnd"))) if isinstance(item, Episode) else [item]


def reason_to_ignore(dto: Dto) -> str | None:
    """The reason to ignore what nobody watches or hears, or None."""
    kind, extra = ((values.text(dto.get(name)) or "").lower() for name in ("Type", "ExtraType"))
    if extra in ("themesong", "themevideo") or is_theme(dto, kind):
        return "theme"
    if extra and extra != "unknown":
        return "trailer"
    return REASONS_BY_TYPE.get(kind)


def is_theme(dto: Dto, kind: str) -> bool:
    """A theme.mp3 beside a film comes as a song of nobody, called after its file."""
    name = (values.text(dto.get("Name")) or "").lower()
    return kind == "audio" and name == "theme" and _artist(dto) is None and not dto.get("Album")


def kind_of(dto: Dto, series: Dto) -> Kind | None:
    """The kind by the type; without one an episode where there is a series. A film looks like anything else."""
    if kind := values.text(dto.get("Type")):
        return ITEM_KINDS.get(kind.lower())
    if series or any(values.text(dto.get(key)) for key in EPISODE_KEYS):
        return Kind.EPISODE
    return None


def _split(item: Episode, end: int | None) -> list[Item]:
    """An episode for each number of a file. The file's ids are those of the first."""
    first, *further = episode_numbers(item.number, end)
    more = (replace(item, title=None, number=number, ids=Ids()) for number in further)
    return [replace(item, number=first), *more]


def _movie(dto: Dto, series: Dto) -> Movie:
    return Movie(
        title=values.text(dto.get("Name")), year=values.year(dto.get("ProductionYear")), ids=_ids(dto)
    )


def _show(dto: Dto, series: Dto) -> Show:
    return Show(
        title=values.text(dto.get("Name")), year=values.year(dto.get("ProductionYear")), ids=_ids(dto)
    )


def _season(dto: Dto, series: Dto) -> Season:
    return Season(
        title=values.text(dto.get("Name")),
        show=_show_name(dto, series),
        season=values.ordinal(values.first(dto, "IndexNumber", "ParentIndexNumber")),
        year=values.year(dto.get("ProductionYear")),
        ids=_ids(dto),
        show_ids=_ids(series),
    )


def _episode(dto: Dto, series: Dto) -> Episode:
    return Episode(
        title=values.text(dto.get("Name")),
        show=_show_name(dto, series),
        season=values.ordinal(dto.get("ParentIndexNumber")),
        number=values.ordinal(dto.get("IndexNumber")),
        year=values.year(dto.get("ProductionYear")),
        ids=_ids(dto),
        show_ids=_ids(series),
    )


def _track(dto: Dto, series: Dto) -> Track:
    album_artist = values.text(dto.get("AlbumArtist"))
    return Track(
        title=values.text(dto.get("Name")),
        artist=_artist(dto) or album_artist,
        album=values.text(dto.get("Album")),
        album_artist=album_artist,
        number=values.ordinal(dto.get("IndexNumber")),
        year=values.year(dto.get("ProductionYear")),
        ids=_ids(dto),
    )


BUILDERS: Mapping[Kind, Callable[[Dto, Dto], Item]] = {
    Kind.MOVIE: _movie,
    Kind.SHOW: _show,
    Kind.SEASON: _season,
    Kind.EPISODE: _episode,
    Kind.TRACK: _track,
}


def _ids(dto: Dto) -> Ids:
    return provider_ids(values.mapping(dto.get("ProviderIds")))


def _show_name(dto: Dto, series: Dto) -> str | None:
    return values.text(dto.get("SeriesName")) or values.text(series.get("Name"))


def _artist(dto: Dto) -> str | None:
    return next(values.texts(dto.get("Artists"), "Name"), None)


def last_played_at(dto: ItemDto) -> datetime | None:
    """The time at which the user last played it, by the server."""
    data = values.mapping(dto.get("UserData"))
    return values.moment(data.get("LastPlayedDate"), naive_is_utc=True)


def for_each_item(event: Event, items: list[Item]) -> list[Event]:
    """The event for each item. The key on the server and the session are the first one's."""
    first, *further = items
    return [
        replace(event, item=first),
        *(replace(event, item=item, item_key=None, session=None) for item in further),
    ]


def rating_events(event: Event, rating: Any, favourite: Any) -> list[Event]:
    """The events of a saved rating: a rating, a favourite, or both.

    A rating of 0 means none. Where neither is set, the heart was taken away, for the programs have a
    button for that and none for ratings.
    """
    stars, heart = values.rating(rating), values.flag(favourite)
    events = []
    if stars:
        events.append(replace(event, action=Action.RATE, rating=stars))
    if heart:
        events.append(replace(event, action=Action.FAVOURITE))
    if not events and heart is False:
        events.append(replace(event, action=Action.UNFAVOURITE))
    return events


def position_ms(ticks: int | None, action: Action) -> int | None:
    """The position in ms; at the end a 0 means that the server has put it back."""
    ended = action in (Action.STOP, Action.WATCHED, Action.UNWATCHED)
    return None if ended and ticks == 0 else values.milliseconds(ticks)
