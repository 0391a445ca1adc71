"""The shape of Plex's webhook, which Tautulli and Jellyfin templates imitate.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Item, Kind, Movie, Season, Show, Track
from webhook.domain.guids import Form, Guid, read, read_all
from webhook.sources import _values as values

Payload = Mapping[str, Any]

DAY_MS = 24 * 60 * 60 * 1000
KINDS = {kind.value: kind for kind in Kind}
SECTIONS = {kind.value: kind for kind in (Kind.MOVIE, Kind.EPISODE, Kind.TRACK)}
UNTRACKED = {"album": "music", "artist": "music", "photo": "photo"}
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


def events(
    payload: Payload, action: Action, received_at: datetime, *, ids_of_show: bool = False
) -> list[Event] | Ignored:
    """What a payload of this shape means. `ids_of_show`: Guid[] of an episode holds the show's ids."""
    metadata = values.mapping(payload.get("Metadata"))
    if reason := unwatchable(metadata):
        return Ignored(reason)
    item = described(metadata, ids_of_show=ids_of_show)
    if isinstance(item, Ignored):
        return item
    if not values.known(item):
        return Ignored("no_ids")
    if action is not Action.RATE:
        return [told(payload, action, item, received_at)]
    return rated(payload, item, received_at)


def unwatchable(metadata: Payload) -> str | None:
    """Why this is nothing that one watches or hears, or None."""
    kind, section = values.text(metadata.get("type")), values.text(metadata.get("librarySectionType"))
    form = read(values.text(main_guid(metadata)) or "").form
    subtype = (values.text(metadata.get("subtype")) or "").lower()
    if values.flag(metadata.get("live")) or section == "livetv" or form is Form.LIVE:
        return "live_tv"
    if kind == "photo":
        return "photo"
    if subtype in THEMES:
        return "theme"
    if values.whole(metadata.get("extraType")) or subtype in EXTRAS or form is Form.EXTRA:
        return "trailer"
    if kind == "clip":
        return "home_video" if section == "photo" else "trailer"
    return UNTRACKED.get(kind or "")


def described(metadata: Payload, *, ids_of_show: bool) -> Item | Ignored:
    """The item of the metadata."""
    kind = kind_of(metadata)
    if kind is None:
        return Ignored(values.why_no_kind(metadata.get("type"), metadata.get("title")))
    return BUILDERS[kind](metadata, guid_of(metadata, kind, ids_of_show=ids_of_show))


def kind_of(metadata: Payload) -> Kind | None:
    """The item's kind by its type; without one by its library's type or its guid."""
    if kind := values.text(metadata.get("type")):
        return KINDS.get(kind.lower())
    section = SECTIONS.get((values.text(metadata.get("librarySectionType")) or "").lower())
    return section or read(values.text(main_guid(metadata)) or "").kind


def main_guid(metadata: Payload) -> Any:
    """The guid; some imitations write it as a list."""
    guid = metadata.get("guid")
    return next(values.named(guid, "id"), None) if isinstance(guid, list) else guid


def guid_of(metadata: Payload, kind: Kind, *, ids_of_show: bool) -> Guid:
    """What the item's guids say together. Of a film there is no show, whatever the sender."""
    own = read(values.text(main_guid(metadata)) or "", kind)
    more = read_all(further_guids(metadata), kind)
    if not ids_of_show or kind not in (Kind.EPISODE, Kind.SEASON):
        return own.merged(more)
    if own.form is Form.EXTERNAL:
        own, more = Guid(), own.merged(more)
    return own.merged(replace(more, ids=Ids(), show_ids=more.ids.merged(more.show_ids)))


def further_guids(metadata: Payload) -> Iterator[str]:
    """The guids beside the main one: Plex's Guid[], and what imitations make of it."""
    yield from values.named(metadata.get("Guid"), "id")
    yield from values.named(metadata.get("guid"), "id")
    for space, raw in islice(values.mapping(metadata.get("Guids")).items(), values.MOST_ENTRIES):
        yield f"{space}://{values.text(raw) or ''}"


def show_of(metadata: Payload, key: str, guid: Guid) -> Ids:
    """The show's ids: those in the item's guid, and what the show's own guid says."""
    return guid.show_ids.merged(read(values.text(metadata.get(key)) or "", Kind.SHOW).ids)


def movie(metadata: Payload, guid: Guid) -> Movie:
    return Movie(
        title=values.text(metadata.get("title")), year=values.year(metadata.get("year")), ids=guid.ids
    )


def show(metadata: Payload, guid: Guid) -> Show:
    return Show(
        title=values.text(metadata.get("title")),
        year=values.year(metadata.get("year")),
        ids=guid.ids.merged(guid.show_ids),
    )


def season(metadata: Payload, guid: Guid) -> Season:
    index = values.count(metadata.get("index"))
    return Season(
        title=values.text(metadata.get("title")),
        show=values.text(metadata.get("parentTitle")) or values.text(metadata.get("grandparentTitle")),
        season=index if index is not None else guid.season,
        year=values.year(metadata.get("year")),
        ids=guid.ids,
        show_ids=show_of(metadata, "parentGuid", guid),
    )


def episode(metadata: Payload, guid: Guid) -> Episode:
    season, number = place_of(metadata, guid)
    return Episode(
        title=values.text(metadata.get("title")),
        show=values.text(metadata.get("grandparentTitle")),
        season=season,
        number=number,
        year=values.year(metadata.get("year")),
        ids=guid.ids,
        show_ids=show_of(metadata, "grandparentGuid", guid),
        numbering=guid.numbering,
    )


def place_of(metadata: Payload, guid: Guid) -> tuple[int | None, int | None]:
    """Season and number. A guid that holds both is of one agent with the show's id in it, so it goes first."""
    if guid.season is not None and guid.number is not None:
        return guid.season, guid.number
    season, number = values.count(metadata.get("parentIndex")), values.count(metadata.get("index"))
    return season if season is not None else guid.season, number if number is not None else guid.number


def track(metadata: Payload, guid: Guid) -> Track:
    # On a compilation the artist is the originalTitle, and "Various Artists" the album's.
    album_artist = values.text(metadata.get("grandparentTitle"))
    return Track(
        title=values.text(metadata.get("title")),
        artist=values.text(metadata.get("originalTitle")) or album_artist,
        album=values.text(metadata.get("parentTitle")),
        album_artist=album_artist,
        number=values.count(metadata.get("index")),
        year=values.year(metadata.get("year")),
        ids=guid.ids,
    )


BUILDERS: Mapping[Kind, Callable[[Payload, Guid], Item]] = {
    Kind.MOVIE: movie,
    Kind.SHOW: show,
    Kind.SEASON: season,
    Kind.EPISODE: episode,
    Kind.TRACK: track,
}


def rated(payload: Payload, item: Item, received_at: datetime) -> list[Event] | Ignored:
    """A rating, or that it was taken back: Plex sends -1 for that."""
    sent = values.decimal(payload.get("rating"))
    if sent is None:
        sent = values.decimal(values.mapping(payload.get("Metadata")).get("userRating"))
    if sent is not None and sent < 0:
        return [told(payload, Action.UNRATE, item, received_at)]
    stars = values.rating(sent)
    if stars is None:
        return Ignored("no_rating")
    return [told(payload, Action.RATE, item, received_at, rating=stars)]


def told(
    payload: Payload, action: Action, item: Item, received_at: datetime, *, rating: float | None = None
) -> Event:
    """The event: who did it, where, and how far it was."""
    account, server, player, metadata = (
        values.mapping(payload.get(name)) for name in ("Account", "Server", "Player", "Metadata")
    )
    return Event(
        action=action,
        item=item,
        at=happened(metadata, action, received_at),
        user=values.text(account.get("title")),
        user_id=values.hex_id(account.get("id")),
        server=values.text(server.get("uuid")),
        server_name=values.text(server.get("title")),
        player=values.text(player.get("title")),
        player_id=values.text(player.get("uuid")),
        library=values.text(metadata.get("librarySectionTitle")),
        item_key=values.text(metadata.get("ratingKey")),
        show_key=values.text(metadata.get("grandparentRatingKey")),
        position_ms=reached(metadata, action),
        duration_ms=length(metadata, account),
        rating=rating,
        view_count=values.count(metadata.get("viewCount")),
        home_video=is_home_video(metadata),
    )


def happened(metadata: Payload, action: Action, received_at: datetime) -> datetime:
    key = {Action.WATCHED: "lastViewedAt", Action.RATE: "lastRatedAt", Action.UNRATE: "lastRatedAt"}.get(
        action
    )
    return received_at if key is None else values.near(values.moment(metadata.get(key)), received_at)


def reached(metadata: Payload, action: Action) -> int | None:
    """The position; a stop at 0 is one whose position the server has already forgotten."""
    offset = values.position(metadata.get("viewOffset"))
    return None if offset == 0 and action in (Action.STOP, Action.WATCHED) else offset


def length(metadata: Payload, account: Payload) -> int | None:
    """The duration in ms; Jellyfin's unofficial plugin, whose users' ids are GUIDs, sends ten times that."""
    sent = values.duration(metadata.get("duration"))
    if sent is None:
        return None
    if values.is_guid(account.get("id")):
        return sent // 10 or None
    if sent <= DAY_MS:
        return sent
    return sent // 10 if sent // 10 <= DAY_MS else None


def is_home_video(metadata: Payload) -> bool:
    """Whether it was filmed at home: a clip no agent knows, in a library of films, or so tagged."""
    form = read(values.text(main_guid(metadata)) or "").form
    clip = metadata.get("subtype") == "clip" and form in (Form.NONE, Form.LOCAL)
    return clip or any(tag.lower() in HOME_GENRES for tag in values.named(metadata.get("Genre"), "tag"))
