"""Viewings of what is on a watchlist: whether a film was watched, and a show begun or finished, since a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, select

from webhook.domain.event import Episode, Item, Movie, Show, item_from_json
from webhook.domain.items import keys, same_item
from webhook.domain.watchlist import ItemIndex, Leaving
from webhook.history import shows
from webhook.history.library import show_key
from webhook.history.play_store import SELECT_OF_ITEM, is_counted
from webhook.history.shows import Listing, counts_as_viewing
from webhook.history.watchlist import BY_WATCHING, Author, Watchlist
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play, play_key


def was_watched_since(connection: Connection, person_id: int, item: Item, since: datetime) -> bool:
    """True if the person watched the film, or an episode of the show, at this time or later."""
    return next(viewings_since(connection, person_id, item, since), None) is not None


def viewings_since(connection: Connection, person_id: int, item: Item, since: datetime) -> Iterator[PlayRow]:
    """The plays of the film, or of the show's episodes, that count and were watched since then."""
    rows = plays_of_item(connection, person_id, item)
    return (row for row in rows if is_counted(row) and row.watched_at is not None and row.watched_at >= since)


def plays_of_item(connection: Connection, person_id: int, item: Item) -> list[PlayRow]:
    if isinstance(item, Movie):
        wanted = {"person": person_id, "keys": list(keys(item))}
        rows = fetch_all(connection, SELECT_OF_ITEM, PlayRow, wanted)
        return [row for row in rows if same_item(item_from_json(row.item), item)]
    if not isinstance(item, Show):
        return []
    found: dict[int, PlayRow] = {}
    for prefix in show_prefixes(item):
        known = select(play_key.c.play_id).where(play_key.c.person_id == person_id)
        known = known.where(play_key.c.key.startswith(prefix, autoescape=True))
        if connection.dialect.name == "sqlite":  # its index serves a range and no pattern
            known = known.where(play_key.c.key >= prefix, play_key.c.key < f"{prefix}~")
        mine = select(play).where(counts_as_viewing(person_id), play.c.id.in_(known))
        found |= {row.id: row for row in fetch_all(connection, mine, PlayRow)}
    return [row for row in found.values() if is_of_show(item_from_json(row.item), item)]


def show_prefixes(show: Show) -> list[str]:
    """The beginnings of the keys of the show's episodes."""
    anywhere = Episode(show=show.title, show_ids=show.ids, season=0, number=0)
    return [key.removesuffix("0x0") for key in keys(anywhere)]


def is_of_show(item: Item, show: Show) -> bool:
    return isinstance(item, Episode) and not item.show_ids.contradicts(show.ids)


def find_last_play(
    connection: Connection, person_id: int, item: Item, since: datetime, until: Leaving
) -> PlayRow | None:
    """The play with which an item leaves the list that it has been on since then; None while it stays."""
    if until is Leaving.NEVER:
        return None
    found = sorted(
        viewings_since(connection, person_id, item, since), key=lambda row: (row.watched_at, row.id)
    )
    if not found:
        return None
    if (
        isinstance(item, Show)
        and until is Leaving.FINISHED
        and not is_finished(connection, person_id, item, found)
    ):
        return None
    return found[-1]


def is_finished(connection: Connection, person_id: int, show: Show, latest: list[PlayRow]) -> bool:
    """True if every aired episode was watched; not while no lookup has listed the show's episodes."""
    names = [show_key(show.title, show.ids), *(key_of_play(row) for row in latest)]
    known = [key for key in dict.fromkeys(names) if key is not None]
    lists = shows.stored_lists(connection, known)
    key = next((key for key in known if key in lists), None)
    if key is None:
        return False
    listing = Listing(key=key, title=show.title, ids=show.ids, episodes=shows.episodes_of(lists[key]))
    seen = shows.first_viewings(connection, person_id, [listing])[key]
    today = max(row.watched_at for row in latest if row.watched_at is not None).date()
    return listing.finish_time(seen, today) is not None


def key_of_play(row: PlayRow) -> str | None:
    item = item_from_json(row.item)
    return show_key(item.show, item.show_ids) if isinstance(item, Episode) else None


# --- what leaves the list


def apply_viewings(mine: Watchlist, until: Leaving, since: datetime | None = None) -> int:
    """Take off the list what was watched since it was put on it; returns how many titles.

    Where a time is given, only what plays since then are of is looked at.
    """
    because = "it was watched"
    recent = None if since is None else ItemIndex((item, True) for item in played_titles(mine, since))
    left = 0
    for item, row in mine.rows:
        if recent is not None and recent.find(item) is None:
            continue
        viewing = find_last_play(mine.connection, mine.person_id, item, row.at, until)
        if viewing is not None:
            by = Author(name=BY_WATCHING, because=because, play_id=viewing.id)
            left += mine.remove(item, by, viewing.watched_at)
    return left


def played_titles(mine: Watchlist, since: datetime) -> list[Item]:
    """The films and shows that were watched since then."""
    wanted = select(play).where(counts_as_viewing(mine.person_id), play.c.watched_at >= since)
    items = (item_from_json(row.item) for row in fetch_all(mine.connection, wanted, PlayRow))
    return [
        Show(title=item.show, year=None, ids=item.show_ids) if isinstance(item, Episode) else item
        for item in items
        if isinstance(item, Movie | Episode)
    ]
