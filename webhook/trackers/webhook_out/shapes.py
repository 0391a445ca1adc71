"""Shapes: the bodies that receivers read, made of one delivery.

| shape | as | date | read by |
|---|---|---|---|
| `nested` | Jellyfin's unofficial plugin: `Event`, `Item`, `Series`, `Session` | none | Yamtrack, Ryot, Scrob |
| `flat` | Jellyfin's official plugin: `NotificationType`, `Provider_tmdb` | `UtcTimestamp` | Movary, Scrob (without the date) |
| `generic` | `docs/generic.md`: `action`, `kind`, `ids` | `at` | another Watchmark |

What is not known is left out, never null, empty or 0. An episode's own TMDB id is not said in Jellyfin's shapes: Ryot
takes it for the show's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.trackers import Delivery
from webhook.trackers._json import JsonObject
from webhook.trackers._viewings import viewing_date

TICKS = 10_000
"""Jellyfin's ticks in a millisecond."""

MAX_UNWATCHED = 94.0
"""The most percent that is said of what is not watched: Ryot takes 95 for watched, whatever else is said."""

JELLYFIN_IDS = {"imdb": "Imdb", "tmdb": "Tmdb", "tvdb": "Tvdb"}
GENERIC_IDS = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "anidb", "mal")
SERVER = {"ServerName": "Watchmark", "ServerId": "watchmark"}


def nested_body(delivery: Delivery, user: str | None) -> JsonObject:
    item, shown = delivery.item, position(delivery, MAX_UNWATCHED)
    show = item if isinstance(item, Episode) else None
    season, number = season_and_number(item)
    show_ids = None if show is None else jellyfin_ids(show.show_ids)
    return drop_unknown(
        Event="Play" if delivery.action is Action.START else "Stop",
        Item=drop_unknown(
            Type=type_of(item),
            Name=title_of(item),
            SeriesName=show and show.show,
            ProductionYear=year_of(item),
            ParentIndexNumber=season,
            IndexNumber=number,
            RunTimeTicks=ticks(delivery.duration_ms or None),
            ProviderIds=jellyfin_ids(own_ids(item)),
            SeriesProviderIds=show_ids,
            UserData={"Played": delivery.mark},
        ),
        Series=show and drop_unknown(Type="Series", Name=show.show, ProviderIds=show_ids),
        User=user and {"Name": user},
        Session=drop_unknown(
            Id=f"wm-{delivery.id}", PlayState=drop_unknown(PositionTicks=ticks(shown), IsPaused=False)
        ),
        **SERVER,
    )


def flat_body(delivery: Delivery, user: str | None) -> JsonObject:
    item, at = delivery.item, viewing_date(delivery)
    show = item if isinstance(item, Episode) else None
    season, number = season_and_number(item)
    ids = {f"Provider_{name.lower()}": value for name, value in jellyfin_ids(own_ids(item)).items()}
    return drop_unknown(
        NotificationType="PlaybackStart" if delivery.action is Action.START else "PlaybackStop",
        UtcTimestamp=at and seven_digits(at),
        NotificationUsername=user,
        Name=title_of(item),
        ItemType=type_of(item),
        Year=year_of(item),
        SeriesName=show and show.show,
        SeasonNumber=season,
        EpisodeNumber=number,
        RunTimeTicks=ticks(delivery.duration_ms or None),
        PlaybackPositionTicks=ticks(position(delivery, MAX_UNWATCHED)),
        PlayedToCompletion=delivery.mark,
        IsPaused=False,
        **ids,
        **SERVER,
    )


def generic_body(delivery: Delivery, user: str | None) -> JsonObject:
    item, at = delivery.item, viewing_date(delivery)
    show = item if isinstance(item, Episode) else None
    season, number = season_and_number(item)
    return drop_unknown(
        action=action_of(delivery),
        kind=item.kind.value,
        user=user,
        title=title_of(item),
        show=show and show.show,
        season=season,
        number=number,
        year=year_of(item),
        ids=generic_ids(item.ids),
        show_ids=show and generic_ids(show.show_ids),
        position_ms=position(delivery),
        duration_ms=delivery.duration_ms or None,
        completed=None if delivery.mark or delivery.action is Action.START else False,
        at=at and rfc3339(at),
        server="Watchmark",
    )


SHAPES: Mapping[str, Callable[[Delivery, str | None], JsonObject]] = {
    "nested": nested_body,
    "flat": flat_body,
    "generic": generic_body,
}
DATED = frozenset({"flat", "generic"})
"""The shapes that carry the date of a viewing."""

NEED_IDS = frozenset({"nested", "flat"})
"""The shapes whose readers know an item by its ids only."""

VALUES = (
    "event", "kind", "title", "show", "season", "episode", "year", "imdb", "tmdb", "tvdb", "show_imdb", "show_tmdb",
    "show_tvdb", "user", "watched", "date", "timestamp", "progress", "position_ms", "duration_ms", "id",
)  # fmt: skip
"""The names that a template of one's own may use."""

DATES = frozenset({"date", "timestamp"})
"""Those that carry the date of a viewing."""


def template_values(delivery: Delivery, user: str | None) -> dict[str, object]:
    """The values of the names, None where nothing is known."""
    item, at = delivery.item, viewing_date(delivery)
    show = item if isinstance(item, Episode) else None
    show_ids = Ids() if show is None else show.show_ids
    season, number = season_and_number(item)
    spaces = ("imdb", "tmdb", "tvdb")
    return {
        "event": action_of(delivery),
        "kind": item.kind.value,
        "title": title_of(item),
        "show": show and show.show,
        "season": season,
        "episode": number,
        "year": year_of(item),
        **{space: getattr(item.ids, space) or None for space in spaces},
        **{f"show_{space}": getattr(show_ids, space) or None for space in spaces},
        "user": user,
        "watched": delivery.mark,
        "date": at and rfc3339(at),
        "timestamp": at and int(at.timestamp()),
        "progress": 100.0 if delivery.mark else delivery.progress,
        "position_ms": position(delivery),
        "duration_ms": delivery.duration_ms or None,
        "id": delivery.id,
    }


def has_usable_id(item: Item) -> bool:
    """True if one of Jellyfin's shapes says what the item is."""
    show_ids = item.show_ids if isinstance(item, Episode) else Ids()
    return bool(jellyfin_ids(own_ids(item)) or jellyfin_ids(show_ids))


def own_ids(item: Item) -> Ids:
    """The ids of the film, or of the episode itself without that of TMDB."""
    if isinstance(item, Episode):
        return Ids(imdb=item.ids.imdb, tvdb=item.ids.tvdb)
    return item.ids


def jellyfin_ids(ids: Ids) -> dict[str, str]:
    return {name: str(value) for space, name in JELLYFIN_IDS.items() if (value := getattr(ids, space))}


def generic_ids(ids: Ids) -> dict[str, object] | None:
    return {space: value for space in GENERIC_IDS if (value := getattr(ids, space))} or None


def position(delivery: Delivery, most: float = 100.0) -> int | None:
    """How far it was, in milliseconds: of what is watched its whole length, of anything else no more than `most` percent."""
    if not delivery.duration_ms:
        return None
    if delivery.mark:
        return delivery.duration_ms
    if delivery.progress is None:
        return None
    return int(delivery.duration_ms * min(max(delivery.progress, 0.0), most) / 100)


def action_of(delivery: Delivery) -> str:
    return "watched" if delivery.mark else delivery.action.value


def type_of(item: Item) -> str:
    return "Movie" if isinstance(item, Movie) else "Episode"


def season_and_number(item: Item) -> tuple[int | None, int | None]:
    """The season and number of an episode in the common order; numbers of another order are not said."""
    if isinstance(item, Episode) and item.numbering == "aired":
        return item.season, item.number
    return None, None


def title_of(item: Item) -> str | None:
    return getattr(item, "title", None) or None


def year_of(item: Item) -> int | None:
    return getattr(item, "year", None) or None


def ticks(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * TICKS


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seven_digits(at: datetime) -> str:
    """As .NET writes a time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def drop_unknown(**given: Any) -> JsonObject:
    return {name: value for name, value in given.items() if value is not None}
