"""Payloads: how a request names an item, in the forms of the contract and no other.

| call | body |
|---|---|
| `/scrobble/start`, `pause`, `stop` | `{"progress": 42.5, FORM}` |
| `/sync/history` | `{"movies": [{"ids": …, "watched_at": …}], "shows": [{"ids": …, "seasons": …}], …}` |
| `/sync/history/remove` | `{"ids": [PLAY]}` |
| `/sync/ratings`, `/sync/collection` | as `/sync/history`, with `rating` and `rated_at`, or `collected_at` |

FORM is `"movie": {"ids": …}` or `"movie": {"title": …, "year": …}`; `"episode": {"ids": …}`; or a show by its ids,
or by title and year, with `"episode": {"season": 1, "number": 2}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.domain.outcome import Unmatched
from webhook.trackers import Delivery
from webhook.trackers._json import JsonObject
from webhook.trackers._viewings import viewing_date

LABEL = "Trakt"
TRAKT_IDS = ("trakt", "tvdb", "tmdb", "imdb")
"""The ids Trakt and we both know; the first that Trakt knows decides."""

NO_DATE = "unknown"
"""The date that stands for an unknown one."""

USABLE_IDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("trakt", "tmdb", "imdb"),  # a film's TVDB id means nothing to Trakt
    Kind.SHOW: TRAKT_IDS,
    Kind.SEASON: ("trakt", "tvdb", "tmdb"),
    Kind.EPISODE: TRAKT_IDS,
}


def forms(item: Item) -> list[JsonObject]:
    """The item in every way that Trakt may know it by, the surest first.

    A show goes by ids, or by title and year: a title alone is title_to_search for first (`title_to_search`).
    """
    return list(FORMS[item.kind](item)) if item.kind in FORMS else []


def no_name(item: Item) -> Unmatched:
    if isinstance(item, Episode) and item.numbering != "aired":
        return Unmatched(
            "The numbers of this episode follow a mapping list and not the aired order, and it has no id of "
            "its own that Trakt knows"
        )
    return Unmatched(f"No id or title by which {LABEL} could find this {item.kind}")


def movie_forms(item: Movie) -> Iterator[JsonObject]:
    yield from ({"movie": movie} for movie in name_forms(Kind.MOVIE, item.ids, item.title, item.year))


def show_forms(item: Show) -> Iterator[JsonObject]:
    yield from ({"show": show} for show in name_forms(Kind.SHOW, item.ids, item.title, item.year))


def season_forms(item: Season) -> Iterator[JsonObject]:
    if ids := usable_ids(Kind.SEASON, item.ids):
        yield {"season": {"ids": ids}}
    yield from (form for show in parents(item) if (form := place_in_show(item, show)))


def episode_forms(item: Episode) -> Iterator[JsonObject]:
    if ids := usable_ids(Kind.EPISODE, own_ids(item)):
        yield {"episode": {"ids": ids}}
    yield from (form for show in parents(item) if (form := place_in_show(item, show)))


def parents(item: Episode | Season) -> Iterator[JsonObject]:
    """The show by its ids, then by title and year; the year may be the episode's, and not the show's."""
    yield from name_forms(Kind.SHOW, item.show_ids, item.show, item.year)


def name_forms(kind: Kind, ids: Ids, title: str | None, year: int | None) -> Iterator[JsonObject]:
    if mine := usable_ids(kind, ids):
        yield {"ids": mine}
    if title and year:
        yield {"title": title, "year": year}


def place_in_show(item: Episode | Season, show: JsonObject) -> JsonObject | None:
    """An episode or a season by its show and its place in it; None where that place is not known for sure."""
    if isinstance(item, Season):
        return None if item.season is None else {"show": show, "season": {"number": item.season}}
    if item.numbering != "aired" or item.season is None or item.number is None:
        return None
    return {"show": show, "episode": {"season": item.season, "number": item.number}}


def title_to_search(item: Item) -> str | None:
    """The title of the show that has to be title_to_search for, before its place in it says which item it is."""
    if not isinstance(item, Episode | Season) or place_in_show(item, {}) is None:
        return None
    return item.show or None


FORMS: Mapping[Kind, Callable[[Any], Iterator[JsonObject]]] = {
    Kind.MOVIE: movie_forms,
    Kind.SHOW: show_forms,
    Kind.SEASON: season_forms,
    Kind.EPISODE: episode_forms,
}


def own_ids(item: Episode) -> Ids:
    """The episode's ids without those that are its show's: some senders put one in the other's place."""
    show = item.show_ids.by_namespace()
    return Ids.from_json(
        {name: value for name, value in item.ids.by_namespace().items() if show.get(name) != value}
    )


def usable_ids(kind: Kind, ids: Ids) -> JsonObject:
    known = ids.by_namespace()
    return {name: known[name] for name in USABLE_IDS[kind] if name in known}


def sync_entry(form: JsonObject, said: JsonObject) -> JsonObject:
    """A sync call's body: the item of this form, and what is said of it at the innermost place."""
    show, season, episode = form.get("show"), form.get("season"), form.get("episode")
    if show is None:
        (kind, item), *_ = form.items()
        return {f"{kind}s": [{**item, **said}]}
    if episode is not None:
        numbered = {"number": episode["number"], **said}
        return {"shows": [{**show, "seasons": [{"number": episode["season"], "episodes": [numbered]}]}]}
    if season is not None:
        return {"shows": [{**show, "seasons": [{**season, **said}]}]}
    return {"shows": [{**show, **said}]}


def merge_bodies(entries: Sequence[JsonObject]) -> JsonObject:
    """Many sync bodies as one."""
    groups: dict[str, list[JsonObject]] = {}
    for body in entries:
        for name, named in body.items():
            groups.setdefault(name, []).extend(named)
    return groups


# Times


def watched_at(delivery: Delivery) -> str:
    """The date of a viewing, as Trakt takes it."""
    at = viewing_date(delivery)
    return NO_DATE if at is None else iso(at)


def iso(at: datetime) -> str:
    """In UTC, with milliseconds and a Z: Trakt's contract takes no offsets."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
