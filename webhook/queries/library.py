"""The library as its pages list it: shows with where one is in them, films, the watchlist and what is loved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from webhook.domain.event import Ids, Kind, Movie, Show, item_from_json
from webhook.domain.items import fold_title
from webhook.domain.pictures import picture_key
from webhook.history import library, shows, stats
from webhook.history.shows import Listing, Place
from webhook.history.stats_shows import Ending, Group, SeenShow, group_titles
from webhook.history.stats_sums import TitleCount
from webhook.lookups import ListedEpisode
from webhook.storage.tables import FollowRow, LibraryRow
from webhook.storage.types import from_ms

FOR_LATER = "for_later"
PUT_ASIDE = ("archived", "stopped")
FOLLOW_PREFIX = "follow:"
"""Begins the key of a show that is on the watchlist because it is kept for later."""

LOVED_FROM = 8.0
"""The rating from which an item counts as loved."""


class ShowTab(StrEnum):
    """A tab of shows, by how much of them is watched."""

    WATCHING = "watching"
    UP_TO_DATE = "up-to-date"
    FINISHED = "finished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A poster of the library: a show with the person's progress, a film, or something they rated or want to watch."""

    kind: str
    title: str | None
    picture: str | None
    at: datetime | None
    """When it was watched last, or put on the list."""
    year: int | None = None
    key: str | None = None
    """The key of a show's or a film's page."""
    plays: int = 0
    state: str | None = None
    rating: float | None = None
    season: int | None = None
    number: int | None = None
    show: str | None = None
    entry: str | None = None
    """The key of its entry in the library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTile(Tile):
    """A show; `aired` is None where no lookup has listed its episodes."""

    ids: Ids
    tab: ShowTab
    complete: bool = False
    """True if every aired episode is watched."""
    aired: int | None = None
    watched: int = 0
    next: ListedEpisode | None = None
    """The next episode to watch, or the one that airs next."""
    next_is_aired: bool = False


@dataclass(frozen=True, slots=True)
class TilePage:
    """A page of tiles, how many there are in all, and where the next page begins."""

    tiles: Sequence[Tile]
    count: int
    next: int | None


def page_of(tiles: Sequence[Tile], text: str | None, after: int, limit: int) -> TilePage:
    """A page of the tiles with `text` in their title."""
    wanted = (text or "").casefold()
    found = [one for one in tiles if not wanted or wanted in (one.show or one.title or "").casefold()]
    return TilePage(
        found[after : after + limit], len(found), after + limit if len(found) > after + limit else None
    )


# --- shows


def list_shows(connection: Connection, person_id: int, zone: ZoneInfo, now: datetime) -> list[ShowTile]:
    """Every show that the person watched or follows, the last watched first; without the count of its episodes."""
    follows = {row.show_key: row for row in library.list_follows(connection, person_id)}
    found = []
    for seen, end in stats.watched_shows(connection, person_id, zone, now):
        row = next((follows.pop(key) for key in seen.keys if key in follows), None)
        found.append(watched_show(seen, end, row))
    found += [followed_show(row) for row in follows.values()]
    return sorted(found, key=lambda one: (one.plays == 0, -(one.at or now).timestamp(), one.title or ""))


def watched_show(seen: SeenShow, end: Ending | None, row: FollowRow | None) -> ShowTile:
    title, ids = seen.title or (row.show if row else None), Ids.from_json(seen.ids)
    own = next(iter(seen.keys), None)
    return ShowTile(
        kind=Kind.SHOW.value,
        title=title,
        ids=ids,
        picture=picture_key(Show(title=title, ids=ids)),
        key=row.show_key if row else (end.key if end else own),
        at=from_ms(seen.last),
        plays=seen.plays,
        state=row.state if row else None,
        tab=tab_of(end, row.state if row else None),
        complete=end is not None and end.at is not None,
    )


def followed_show(row: FollowRow) -> ShowTile:
    """A show that the person follows and has not watched yet."""
    ids = Ids.from_json(row.ids)
    return ShowTile(
        kind=Kind.SHOW.value,
        title=row.show,
        ids=ids,
        picture=picture_key(Show(title=row.show, ids=ids)),
        key=row.show_key,
        at=row.followed_at,
        state=row.state,
        tab=tab_of(None, row.state),
        entry=f"{FOLLOW_PREFIX}{row.show_key}",
    )


def tab_of(end: Ending | None, state: str | None) -> ShowTab:
    """A show of which every aired episode is watched is up to date where another one is announced, else finished."""
    if state in PUT_ASIDE:
        return ShowTab.FINISHED
    if end is None or end.at is None:
        return ShowTab.WATCHING
    return ShowTab.FINISHED if end.next is None else ShowTab.UP_TO_DATE


def in_tab(tiles: Iterable[ShowTile], tab: ShowTab) -> list[ShowTile]:
    return [one for one in tiles if one.tab is tab and one.state != FOR_LATER]


def add_progress(
    connection: Connection, person_id: int, tiles: Sequence[ShowTile], today: date
) -> list[ShowTile]:
    """The shows with how many of their episodes have aired and are watched, and the next one."""
    lists = shows.stored_lists(connection, [one.key for one in tiles if one.key])
    listings = {
        one.key: Listing(
            key=one.key, title=one.title, ids=one.ids, episodes=shows.episodes_of(lists[one.key])
        )
        for one in tiles
        if one.key in lists
    }
    begun = [listings[one.key] for one in tiles if one.key in listings and not one.complete]
    seen = shows.first_viewings(connection, person_id, begun)
    return [
        with_progress(one, listings[one.key], seen.get(one.key or "", {}), today)
        if one.key in listings
        else one
        for one in tiles
    ]


def with_progress(tile: ShowTile, listing: Listing, seen: dict[Place, datetime], today: date) -> ShowTile:
    aired = listing.aired_episodes(today)
    following = None if tile.complete else next_to_watch(aired, seen)
    return replace(
        tile,
        aired=len(aired),
        watched=len(aired) if tile.complete else sum((one.season, one.number) in seen for one in aired),
        next=following or next_to_air(listing, today),
        next_is_aired=following is not None,
    )


def next_to_watch(aired: Sequence[ListedEpisode], seen: dict[Place, datetime]) -> ListedEpisode | None:
    """The first unwatched one after the episode that was watched last, else the first unwatched one."""
    last = max(seen, key=lambda place: (seen[place], place), default=(0, 0))
    left = [one for one in aired if (one.season, one.number) not in seen]
    return next((one for one in left if (one.season, one.number) > last), left[0] if left else None)


def next_to_air(listing: Listing, today: date) -> ListedEpisode | None:
    later = (
        one for one in listing.episodes or () if one.season > 0 and one.aired and not one.is_aired_by(today)
    )
    return min(later, key=lambda one: (one.aired, one.season, one.number), default=None)


# --- films and lists


def page_of_films(
    connection: Connection, person_id: int, zone: ZoneInfo, text: str | None, after: int, limit: int
) -> TilePage:
    """A page of the films that the person watched, the last watched first.

    Only those of the page are grouped, as thousands take their time.
    """
    wanted = (text or "").casefold()
    found = [
        one
        for one in stats.watched_films(connection, person_id, zone)
        if wanted in (one.title or "").casefold()
    ]
    names = name_films(found)
    shown = list(names)[after : after + limit]
    films = group_titles(row for name in shown for row in names[name])
    films.sort(key=lambda one: -one.last)
    return TilePage(
        [film_tile(one) for one in films], len(names), after + limit if len(names) > after + limit else None
    )


def name_films(rows: list[TitleCount]) -> dict[str, list[TitleCount]]:
    """The rows of each film, the last watched first: those of one title, or of the same ids."""
    names: dict[str, list[TitleCount]] = {}
    by_ids: dict[str, str] = {}
    for row in sorted(rows, key=lambda one: -one.last):
        name = (row.title or "").casefold()
        if row.ids and row.ids != "{}":
            name = by_ids.setdefault(row.ids, name)
        names.setdefault(name, []).append(row)
    return names


def film_tile(film: Group) -> Tile:
    item = Movie(title=film.title, year=film.year, ids=Ids.from_json(film.ids))
    return Tile(
        kind=Kind.MOVIE.value,
        title=film.title,
        year=film.year,
        picture=picture_key(item),
        key=library.film_key(item),
        at=from_ms(film.last),
        plays=film.plays,
    )


def list_watchlist(connection: Connection, person_id: int) -> list[Tile]:
    """The shows that the person keeps for later, and their watchlist; the newest first."""
    later = [
        followed_show(row) for row in library.list_follows(connection, person_id) if row.state == FOR_LATER
    ]
    entries = entry_tiles(library.list_entries(connection, person_id, library.WATCHLIST))
    return newest_once([*later, *entries])


def list_favourites(connection: Connection, person_id: int) -> list[Tile]:
    """What the person loves or has rated highly, the newest first."""
    loved = library.list_entries(connection, person_id, library.LOVE)
    rated = library.list_entries(connection, person_id, library.RATING)
    return newest_once(entry_tiles([*loved, *(row for row in rated if (row.value or 0) >= LOVED_FROM)]))


def entry_tiles(rows: Iterable[LibraryRow]) -> list[Tile]:
    return [entry_tile(row) for row in rows]


def entry_tile(row: LibraryRow) -> Tile:
    item = item_from_json(row.item)
    return Tile(
        kind=row.kind,
        title=row.item.get("title"),
        show=row.item.get("show"),
        season=row.item.get("season"),
        number=row.item.get("number"),
        year=row.item.get("year"),
        picture=picture_key(item),
        key=library.show_key_of(item) or library.film_key(item),
        at=row.at,
        rating=row.value if row.relation == library.RATING else None,
        entry=row.item_key,
    )


def newest_once(tiles: Iterable[Tile]) -> list[Tile]:
    """The newest entry of each item."""
    found: dict[tuple[object, ...], Tile] = {}
    for one in sorted(tiles, key=lambda tile: tile.at.timestamp() if tile.at else 0.0, reverse=True):
        year = one.year if one.kind == Kind.MOVIE else None  # a show's year may be an episode's
        name = (one.kind, fold_title(one.title or ""), year, one.show, one.season, one.number)
        found.setdefault(name, one)
    return list(found.values())
