"""The shape of Plex's webhook, which Tautulli and Jellyfin templates imitate.

Plex: https://support.plex.tv/articles/115002267687-webhooks/
Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, TypedDict, cast

from webhook.domain import values
from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Item, Kind, Movie, Season, Show, Track
from webhook.domain.guids import Guid, GuidForm, parse_guid, parse_guids
from webhook.sources._shared import is_findable, near_receipt, reason_without_kind


class PlexPayload(TypedDict, total=False):
    """A webhook as Plex sends it; nothing is taken for granted when it is read."""

    event: str
    rating: float | str  # of media.rate; -1 where it was taken back
    Account: PlexAccount
    Server: PlexDevice
    Player: PlexDevice
    Metadata: PlexMetadata


class PlexAccount(TypedDict, total=False):
    id: int | str
    title: str


class PlexDevice(TypedDict, total=False):
    uuid: str
    title: str


class PlexMetadata(TypedDict, total=False):
    type: str
    subtype: str
    extraType: int
    live: int | str
    librarySectionType: str
    librarySectionTitle: str
    ratingKey: str
    grandparentRatingKey: str
    guid: str | list[str | dict[str, str]]  # some imitations send a list
    parentGuid: str
    grandparentGuid: str
    Guid: list[dict[str, str]]
    Guids: dict[str, str]  # of Tautulli templates
    Genre: list[dict[str, str]]
    title: str
    parentTitle: str
    grandparentTitle: str
    originalTitle: str
    index: int
    parentIndex: int
    year: int
    duration: int
    viewOffset: int
    viewCount: int
    userRating: float
    lastViewedAt: int
    lastRatedAt: int


DAY_MS = 24 * 60 * 60 * 1000
PLEX_KINDS = {kind.value: kind for kind in Kind}
SECTIONS = {kind.value: kind for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)}
REASONS_BY_TYPE = {"album": "music", "artist": "music", "photo": "photo"}
THEMES = frozenset(("theme", "themesong", "thememusic", "themevideo"))
EXTRAS = frozenset(
    (
        "trailer",
        "deletedscene",
        "interview",
        "musicvideo",
        "behindthescenes",
        "sceneorsample",
        "livemusicvideo",
        "lyricmusicvideo",
        "concert",
        "featurette",
        "short",
        "other",
    )
)
HOME_GENRES = frozenset(("home", "home video", "home videos", "home movie", "home movies"))


def read_events(
    payload: Mapping[str, Any], action: Action, received_at: datetime, *, ids_of_show: bool = False
) -> list[Event] | Ignored:
    """The events of a payload. `ids_of_show`: Guid[] of an episode holds the show's ids."""
    sent = cast(PlexPayload, payload)
    item = read_item(values.section(sent.get("Metadata")), ids_of_show=ids_of_show)
    if isinstance(item, Ignored):
        return item
    if action is not Action.RATE:
        return [_event(sent, action, item, received_at)]
    return _rating_events(sent, item, received_at)


def read_item(metadata: PlexMetadata, *, ids_of_show: bool = False) -> Item | Ignored:
    """The item of the metadata, or the reason why there is none."""
    if reason := reason_to_ignore(metadata):
        return Ignored(reason)
    kind = kind_of(metadata)
    if kind is None:
        return Ignored(reason_without_kind(metadata.get("type"), metadata.get("title")))
    item = BUILDERS[kind](metadata, guid_of(metadata, kind, ids_of_show=ids_of_show))
    return item if is_findable(item) else Ignored("no_ids")


def reason_to_ignore(metadata: PlexMetadata) -> str | None:
    """The reason to ignore what nobody watches or hears, or None."""
    kind, section = values.text(metadata.get("type")), values.text(metadata.get("librarySectionType"))
    form = parse_guid(values.text(main_guid(metadata)) or "").form
    subtype = (values.text(metadata.get("subtype")) or "").lower()
    if values.flag(metadata.get("live")) or section == "livetv" or form is GuidForm.LIVE:
        return "live_tv"
    if kind == "photo":
        return "photo"
    if subtype in THEMES:
        return "theme"
    if values.whole(metadata.get("extraType")) or subtype in EXTRAS or form is GuidForm.EXTRA:
        return "trailer"
    if kind == "clip":
        return "home_video" if section == "photo" else "trailer"
    return REASONS_BY_TYPE.get(kind or "")


def kind_of(metadata: PlexMetadata) -> Kind | None:
    """The item's kind by its type; without one by its library's type or its guid."""
    if kind := values.text(metadata.get("type")):
        return PLEX_KINDS.get(kind.lower())
    section = SECTIONS.get((values.text(metadata.get("librarySectionType")) or "").lower())
    return section or parse_guid(values.text(main_guid(metadata)) or "").kind


def main_guid(metadata: PlexMetadata) -> Any:
    """The guid, or the first of a list."""
    guid = metadata.get("guid")
    return next(values.texts(guid, "id"), None) if isinstance(guid, list) else guid


def guid_of(metadata: PlexMetadata, kind: Kind, *, ids_of_show: bool) -> Guid:
    """The item's guids, merged. Of a film there is no show, whatever the sender."""
    own = parse_guid(values.text(main_guid(metadata)) or "", kind)
    more = parse_guids(further_guids(metadata), kind)
    if not ids_of_show or kind not in (Kind.EPISODE, Kind.SEASON):
        return own.merge(more)
    if own.form is GuidForm.EXTERNAL:
        own, more = Guid(), own.merge(more)
    return own.merge(replace(more, ids=Ids(), show_ids=more.ids.merge(more.show_ids)))


def further_guids(metadata: PlexMetadata) -> Iterator[str]:
    """The guids beside the main one: Plex's Guid[], and its form in imitations."""
    yield from values.texts(metadata.get("Guid"), "id")
    yield from values.texts(metadata.get("guid"), "id")
    for space, raw in islice(values.mapping(metadata.get("Guids")).items(), values.MAX_ENTRIES):
        yield f"{space}://{values.text(raw) or ''}"


def _show_of(metadata: PlexMetadata, key: str, guid: Guid) -> Ids:
    """The show's ids: those in the item's guid, and those of the show's own guid."""
    return guid.show_ids.merge(parse_guid(values.text(metadata.get(key)) or "", Kind.SHOW).ids)


def _movie(metadata: PlexMetadata, guid: Guid) -> Movie:
    return Movie(
        title=values.text(metadata.get("title")), year=values.year(metadata.get("year")), ids=guid.ids
    )


def _show(metadata: PlexMetadata, guid: Guid) -> Show:
    return Show(
        title=values.text(metadata.get("title")),
        year=values.year(metadata.get("year")),
        ids=guid.ids.merge(guid.show_ids),
    )


def _season(metadata: PlexMetadata, guid: Guid) -> Season:
    index = values.ordinal(metadata.get("index"))
    return Season(
        title=values.text(metadata.get("title")),
        show=values.text(metadata.get("parentTitle")) or values.text(metadata.get("grandparentTitle")),
        season=index if index is not None else guid.season,
        year=values.year(metadata.get("year")),
        ids=guid.ids,
        show_ids=_show_of(metadata, "parentGuid", guid),
    )


def _episode(metadata: PlexMetadata, guid: Guid) -> Episode:
    season, number = _place_of(metadata, guid)
    return Episode(
        title=values.text(metadata.get("title")),
        show=values.text(metadata.get("grandparentTitle")),
        season=season,
        number=number,
        year=values.year(metadata.get("year")),
        ids=guid.ids,
        show_ids=_show_of(metadata, "grandparentGuid", guid),
        numbering=guid.numbering,
    )


def _place_of(metadata: PlexMetadata, guid: Guid) -> tuple[int | None, int | None]:
    """Season and number. A guid that holds both is of one agent with the show's id in it, so it goes first."""
    if guid.season is not None and guid.number is not None:
        return guid.season, guid.number
    season, number = values.ordinal(metadata.get("parentIndex")), values.ordinal(metadata.get("index"))
    return season if season is not None else guid.season, number if number is not None else guid.number


def _track(metadata: PlexMetadata, guid: Guid) -> Track:
    # On a compilation the artist is the originalTitle, and "Various Artists" the album's.
    album_artist = values.text(metadata.get("grandparentTitle"))
    return Track(
        title=values.text(metadata.get("title")),
        artist=values.text(metadata.get("originalTitle")) or album_artist,
        album=values.text(metadata.get("parentTitle")),
        album_artist=album_artist,
        number=values.ordinal(metadata.get("index")),
        year=values.year(metadata.get("year")),
        ids=guid.ids,
    )


BUILDERS: Mapping[Kind, Callable[[PlexMetadata, Guid], Item]] = {
    Kind.MOVIE: _movie,
    Kind.SHOW: _show,
    Kind.SEASON: _season,
    Kind.EPISODE: _episode,
    Kind.TRACK: _track,
}


def _rating_events(payload: PlexPayload, item: Item, received_at: datetime) -> list[Event] | Ignored:
    """A rating, or that it was taken back: Plex sends -1 for that."""
    sent = values.decimal(payload.get("rating"))
    if sent is None:
        sent = values.decimal(values.section(payload.get("Metadata")).get("userRating"))
    if sent is not None and sent < 0:
        return [_event(payload, Action.UNRATE, item, received_at)]
    stars = values.rating(sent)
    if stars is None:
        return Ignored("no_rating")
    return [_event(payload, Action.RATE, item, received_at, rating=stars)]


def _event(
    payload: PlexPayload, action: Action, item: Item, received_at: datetime, *, rating: float | None = None
) -> Event:
    account, metadata = values.section(payload.get("Account")), values.section(payload.get("Metadata"))
    server, player = values.section(payload.get("Server")), values.section(payload.get("Player"))
    return Event(
        action=action,
        item=item,
        at=_moment(metadata, action, received_at),
        user=values.text(account.get("title")),
        user_id=values.hex_id(account.get("id")),
        server=values.text(server.get("uuid")),
        server_name=values.text(server.get("title")),
        player=values.text(player.get("title")),
        player_id=values.text(player.get("uuid")),
        library=values.text(metadata.get("librarySectionTitle")),
        item_key=values.text(metadata.get("ratingKey")),
        show_key=values.text(metadata.get("grandparentRatingKey")),
        position_ms=_position_ms(metadata, action),
        duration_ms=_duration_ms(metadata, account),
        rating=rating,
        view_count=values.ordinal(metadata.get("viewCount")),
        home_video=is_home_video(metadata),
    )


def _moment(metadata: PlexMetadata, action: Action, received_at: datetime) -> datetime:
    match action:
        case Action.WATCHED:
            at = metadata.get("lastViewedAt")
        case Action.RATE | Action.UNRATE:
            at = metadata.get("lastRatedAt")
        case _:
            return received_at
    return near_receipt(values.moment(at), received_at)


def _position_ms(metadata: PlexMetadata, action: Action) -> int | None:
    """The position; a stop at 0 is one whose position the server has already forgotten."""
    offset = values.position(metadata.get("viewOffset"))
    return None if offset == 0 and action in (Action.STOP, Action.WATCHED) else offset


def _duration_ms(metadata: PlexMetadata, account: PlexAccount) -> int | None:
    """The duration in ms; Jellyfin's unofficial plugin, whose users' ids are GUIDs, sends ten times that."""
    sent = values.duration(metadata.get("duration"))
    if sent is None:
        return None
    if values.is_guid(account.get("id")):
        return sent // 10 or None
    if sent <= DAY_MS:
        return sent
    return sent // 10 if sent // 10 <= DAY_MS else None


def is_home_video(metadata: PlexMetadata) -> bool:
    """True if it was filmed at home: a clip that no agent knows, in a library of films, or one with such a genre."""
    form = parse_guid(values.text(main_guid(metadata)) or "").form
    clip = metadata.get("subtype") == "clip" and form in (GuidForm.NONE, GuidForm.LOCAL)
    return clip or any(tag.lower() in HOME_GENRES for tag in values.texts(metadata.get("Genre"), "tag"))
