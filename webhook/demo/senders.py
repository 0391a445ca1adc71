"""The webhooks of the demo's media servers, as Plex and Jellyfin send them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

import orjson

from webhook.demo.household import Sitting, Taste
from webhook.domain.event import Episode, Ids, Item, Movie, Show, Track
from webhook.domain.pictures import SHOW_ON_SERVER
from webhook.queues.inbox import ReceivedWebhook

PLEX_SERVER: Mapping[str, str] = {"title": "Attic", "uuid": "demo-plex-server"}
JELLYFIN_SERVER = "d3" * 16
TICKS_PER_MINUTE = 600_000_000
MS_PER_MINUTE = 60_000
MARK_SHARE = 0.9
LIBRARIES: Mapping[str, str] = {"movie": "Films", "episode": "Series", "track": "Music"}
CHILDRENS_LIBRARY = "Children"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A webhook of a media server, and when it is sent."""

    source: str
    payload: Mapping[str, object]
    at: datetime

    def to_webhook(self, token_id: int) -> ReceivedWebhook:
        return ReceivedWebhook(
            source=self.source, token_id=token_id, received_at=self.at, content_type="application/json",
            raw=orjson.dumps(self.payload),
        )  # fmt: skip


def library_of(taste: Taste, item: Item) -> str:
    return CHILDRENS_LIBRARY if taste.is_child else LIBRARIES[item.kind]


def number_of(text: object) -> int:
    """A number that is always the same for the same text."""
    return zlib.crc32(str(text).encode())


# --- Plex


def plex_report(
    event: str, taste: Taste, item: Item, minutes: float, at: datetime, share: float = 0, **more: Any
) -> Report:
    """A webhook of Plex about somebody who has watched this share of an item."""
    metadata = {
        "librarySectionType": PLEX_SECTIONS[item.kind],
        "librarySectionTitle": library_of(taste, item),
        "type": item.kind.value,
        "ratingKey": str(number_of(item)),
        "duration": int(minutes * MS_PER_MINUTE),
        "viewOffset": int(minutes * MS_PER_MINUTE * share),
        **plex_names(item),
        **more,
    }
    payload = {
        "event": event,
        "user": True,
        "owner": taste.name == "Mira",
        "Account": {"id": number_of(taste.name), "title": taste.name.lower()},
        "Server": PLEX_SERVER,
        "Player": {"local": True, "title": taste.player, "uuid": f"player-{number_of(taste.player)}"},
        "Metadata": metadata,
    }
    return Report(source="plex", payload=payload, at=at.astimezone(UTC))


PLEX_SECTIONS: Mapping[str, str] = {"movie": "movie", "episode": "show", "track": "artist"}


class PlexNames(TypedDict, total=False):
    """The part of Plex's metadata that names an item."""

    title: str | None
    year: int | None
    Guid: list[dict[str, str]]
    grandparentTitle: str | None
    grandparentRatingKey: str
    grandparentGuid: str
    parentTitle: str | None
    parentIndex: int | None
    index: int | None


def plex_names(item: Item) -> PlexNames:
    names: PlexNames = {"title": item.title, "year": item.year, "Guid": plex_guids(item.ids)}
    match item:
        case Episode():
            return {
                **names,
                "grandparentTitle": item.show,
                "grandparentRatingKey": str(number_of(item.show)),
                "grandparentGuid": f"tvdb://{item.show_ids.tvdb}",
                "parentIndex": item.season,
                "index": item.number,
            }
        case Track():
            return {**names, "grandparentTitle": item.artist, "parentTitle": item.album, "index": item.number}
    return names


def plex_guids(ids: Ids) -> list[dict[str, str]]:
    return [{"id": f"{name}://{value}"} for name, value in ids.by_namespace().items()]


# --- Jellyfin


def jellyfin_report(
    kind: str, user: str, player: str, item: Item, minutes: float, at: datetime, share: float = 0, **more: Any
) -> Report:
    """A webhook of Jellyfin's plugin about somebody who has watched this share of an item."""
    moment = at.astimezone(UTC)
    ids = {f"Provider_{name}": str(value) for name, value in item.ids.by_namespace().items()}
    payload = {
        "NotificationType": kind,
        "UtcTimestamp": moment.isoformat(),
        "ServerId": JELLYFIN_SERVER,
        "ServerName": "Cellar",
        "NotificationUsername": user,
        "UserId": f"{number_of(user):032x}",
        "DeviceId": f"device-{number_of(player)}",
        "DeviceName": player,
        "ItemId": f"{number_of(item):032x}",
        "RunTimeTicks": int(minutes * TICKS_PER_MINUTE),
        "PlaybackPositionTicks": int(minutes * TICKS_PER_MINUTE * share),
        **jellyfin_names(item),
        **ids,
        **more,
    }
    return Report(source="jellyfin", payload=payload, at=moment)


class JellyfinNames(TypedDict, total=False):
    """The part of the webhook of Jellyfin's plugin that names an item."""

    ItemType: str
    Name: str | None
    Year: int | None
    SeriesName: str | None
    SeriesId: str
    SeasonNumber: int | None
    EpisodeNumber: int | None
    Artist: str | None
    Album: str | None


def jellyfin_picture_key(show: Show) -> str:
    """The key of the picture of a show as Jellyfin's webhooks name it."""
    return f"{SHOW_ON_SERVER}{JELLYFIN_SERVER}:{number_of(show.title):032x}"


def jellyfin_names(item: Item) -> JellyfinNames:
    names: JellyfinNames = {"Name": item.title, "Year": item.year}
    match item:
        case Episode():
            return {
                **names,
                "ItemType": "Episode",
                "SeriesName": item.show,
                "SeriesId": f"{number_of(item.show):032x}",
                "SeasonNumber": item.season,
                "EpisodeNumber": item.number,
            }
        case Track():
            return {**names, "ItemType": "Audio", "Artist": item.artist, "Album": item.album}
        case Movie():
            return {**names, "ItemType": "Movie"}
    raise ValueError(f"nothing here plays a {item.kind}")


# --- sittings


def reports_of(taste: Taste, sitting: Sitting) -> Iterator[Report]:
    """The webhooks of a whole sitting."""
    return SENDERS[taste.source](taste, sitting)


def plex_reports(taste: Taste, sitting: Sitting) -> Iterator[Report]:
    item, minutes = sitting.item, sitting.minutes
    yield plex_report("media.play", taste, item, minutes, sitting.began)
    if sitting.is_watched:
        marked_at = sitting.began + timedelta(minutes=minutes * MARK_SHARE)
        yield plex_report("media.scrobble", taste, item, minutes, marked_at, MARK_SHARE)
    yield plex_report("media.stop", taste, item, minutes, sitting.end, sitting.share)


def jellyfin_reports(taste: Taste, sitting: Sitting) -> Iterator[Report]:
    about = (taste.name.lower(), taste.player, sitting.item, sitting.minutes)
    yield jellyfin_report("PlaybackStart", *about, sitting.began)
    completed = sitting.is_watched
    yield jellyfin_report("PlaybackStop", *about, sitting.end, sitting.share, PlayedToCompletion=completed)


SENDERS = {"plex": plex_reports, "jellyfin": jellyfin_reports}
