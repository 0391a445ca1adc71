"""The item object that Emby and Jellyfin share, for they grew from one program.

Emby: https://dev.emby.media/reference/pluginapi/MediaBrowser.Model.Dto.BaseItemDto.html
Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Item, Kind, Movie, Season, Show, Track
from webhook.domain.guids import provider_ids
from webhook.sources import _values as values

Payload = Mapping[str, Any]

KINDS = {
    "movie": Kind.MOVIE,
    "episode": Kind.EPISODE,
    "series": Kind.SHOW,
    "season": Kind.SEASON,
    "audio": Kind.TRACK,
}
UNTRACKED = {
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
SHOW_KEYS = ("SeriesName", "SeriesId", "ParentIndexNumber", "IndexNumber")


def items(dto: Payload, series: Payload) -> list[Item] | Ignored:
    """The items of the object, one for each episode that the file holds."""
    if reason := untracked(dto):
        return Ignored(reason)
    kind = kind_of(dto, series)
    if kind is None:
        return Ignored(values.why_no_kind(dto.get("Type"), dto.get("Name")))
    item = BUILDERS[kind](dto, series)
    if not values.known(item):
        return Ignored("no_ids")
    return split(item, values.count(dto.get("IndexNumberEnd"))) if isinstance(item, Episode) else [item]


def untracked(dto: Payload) -> str | None:
    """Why this is nothing that one watches or hears, or None."""
    kind, extra = ((values.text(dto.get(name)) or "").lower() for name in ("Type", "ExtraType"))
    if extra in ("themesong", "themevideo") or is_theme(dto, kind):
        return "theme"
    if extra and extra != "unknown":
        return "trailer"
    return UNTRACKED.get(kind)


def is_theme(dto: Payload, kind: str) -> bool:
    """A theme.mp3 beside a film comes as a song of nobody, called after its file."""
    name = (values.text(dto.get("Name")) or "").lower()
    return kind == "audio" and name == "theme" and artist(dto) is None and not dto.get("Album")


def kind_of(dto: Payload, series: Payload) -> Kind | None:
    """The kind by the type; without one an episode where there is a series. A film looks like anything else."""
    if kind := values.text(dto.get("Type")):
        return KINDS.get(kind.lower())
    if series or any(values.text(dto.get(key)) for key in SHOW_KEYS):
        return Kind.EPISODE
    return None


def split(item: Episode, end: int | None) -> list[Item]:
    """An episode for each number of a file. The file's ids are those of the first."""
    first, *further = values.numbers(item.number, end)
    more = (replace(item, title=None, number=number, ids=Ids()) for number in further)
    return [replace(item, number=first), *more]


def movie(dto: Payload, series: Payload) -> Movie:
    return Movie(title=values.text(dto.get("Name")), year=year(dto), ids=ids(dto))


def show(dto: Payload, series: Payload) -> Show:
    return Show(title=values.text(dto.get("Name")), year=year(dto), ids=ids(dto))


def season(dto: Payload, series: Payload) -> Season:
    return Season(
        title=values.text(dto.get("Name")),
        show=show_name(dto, series),
        season=values.count(values.first(dto, "IndexNumber", "ParentIndexNumber")),
        year=year(dto),
        ids=ids(dto),
        show_ids=ids(series),
    )


def episode(dto: Payload, series: Payload) -> Episode:
    return Episode(
        title=values.text(dto.get("Name")),
        show=show_name(dto, series),
        season=values.count(dto.get("ParentIndexNumber")),
        number=values.count(dto.get("IndexNumber")),
        year=year(dto),
        ids=ids(dto),
        show_ids=ids(series),
    )


def track(dto: Payload, series: Payload) -> Track:
    album_artist = values.text(dto.get("AlbumArtist"))
    return Track(
        title=values.text(dto.get("Name")),
        artist=artist(dto) or album_artist,
        album=values.text(dto.get("Album")),
        album_artist=album_artist,
        number=values.count(dto.get("IndexNumber")),
        year=year(dto),
        ids=ids(dto),
    )


BUILDERS: Mapping[Kind, Callable[[Payload, Payload], Item]] = {
    Kind.MOVIE: movie,
    Kind.SHOW: show,
    Kind.SEASON: season,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}


def ids(dto: Payload) -> Ids:
    return provider_ids(values.mapping(dto.get("ProviderIds")))


def year(dto: Payload) -> int | None:
    return values.year(dto.get("ProductionYear"))


def show_name(dto: Payload, series: Payload) -> str | None:
    return values.text(dto.get("SeriesName")) or values.text(series.get("Name"))


def artist(dto: Payload) -> str | None:
    return next(values.named(dto.get("Artists"), "Name"), None)


def last_played(dto: Payload) -> datetime | None:
    """When the server says that the user played it last."""
    data = values.mapping(dto.get("UserData"))
    return values.moment(data.get("LastPlayedDate"), naive_is_utc=True)


def per_item(event: Event, found: list[Item]) -> list[Event]:
    """The event for each item. The key on the server and the session are the first one's."""
    first, *further = found
    return [
        replace(event, item=first),
        *(replace(event, item=item, item_key=None, session=None) for item in further),
    ]


def liked(event: Event, rating: Any, favourite: Any) -> list[Event]:
    """What a saved rating says: a rating, a favourite, or both.

    A rating of 0 is what stands there when there is none. Where neither stands, the heart was
    taken away, for the programs have a button for that and none for ratings.
    """
    stars, heart = values.rating(rating), values.flag(favourite)
    said = []
    if stars:
        said.append(replace(event, action=Action.RATE, rating=stars))
    if heart:
        said.append(replace(event, action=Action.FAVOURITE))
    if not said and heart is False:
        said.append(replace(event, action=Action.UNFAVOURITE))
    return said


def forgotten(ticks: int | None, action: Action) -> int | None:
    """The position in ms; at the end a 0 means that the server has put it back."""
    ended = action in (Action.STOP, Action.WATCHED, Action.UNWATCHED)
    return None if ended and ticks == 0 else values.milliseconds(ticks)
