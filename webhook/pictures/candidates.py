"""What the history knows of a picture's item: the items of its plays, and their keys on media servers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from webhook.domain.event import Episode, Ids, Item, Movie, Season, Show, Track, item_from_json
from webhook.domain.items import own_prefix, same_item, show_prefix
from webhook.domain.pictures import (
    ON_SERVER,
    SHOW_ON_SERVER,
    SHOW_TITLE,
    item_of_key,
    picture_keys,
    play_prefix,
    server_picture_key,
    split_season,
    title_picture_key,
)
from webhook.servers import ServerItem
from webhook.storage.tables import person, play, play_key

ServerPlace = tuple[str, ServerItem]
MAX_PLAYS = 12
"""The newest plays of an item that are looked at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of a picture's item: the same by all its ids, and each place on a server."""

    item: Item
    places: Sequence[ServerPlace] = ()
    """Its places on servers, each with the server's id, the newest first."""
    is_several: bool = False
    """True if its title is that of several shows, so that a picture of the title may be another's."""


def find_candidate(connection: Connection, key: str, servers: Collection[str]) -> Candidate | None:
    """The item of a picture's key, with its places on the servers of these ids; None where nothing is known of it."""
    rows = find_plays(connection, key)
    show_key, season = split_season(key)
    found: Item | None = item_of_key(show_key)
    places: list[ServerPlace] = []
    for play_id, item in rows:
        found = item if found is None else merge_items(found, item)
        known_by = play_key_texts(connection, play_id)
        places += [(server, one) for server in servers for one in places_of(item, server, known_by)]
    if found is None:
        return None
    titled = show_key if key.startswith(SHOW_TITLE) else title_picture_key(found)
    is_several = titled is not None and is_title_of_several(connection, titled)
    if season is not None:
        found = season_of(found, season)
    return Candidate(found, places, is_several=is_several)


def season_of(show: Item, number: int) -> Season:
    if isinstance(show, Show):
        return Season(show=show.title, show_ids=show.ids, season=number)
    known = show if isinstance(show, Episode) else Episode()
    return Season(show=known.show, show_ids=known.show_ids, season=number)


def find_plays(connection: Connection, key: str) -> list[tuple[int, Item]]:
    """The newest plays of the item of a picture's key."""
    prefix = play_prefix(key)
    if prefix is None:
        return []
    ids = select(play_key.c.play_id).where(has_prefix(connection, prefix, exact=key.startswith("movie:")))
    newest = select(play.c.id, play.c.item).where(play.c.id.in_(ids)).order_by(play.c.id.desc())
    rows = ((row.id, item_from_json(row.item)) for row in connection.execute(newest.limit(MAX_PLAYS)))
    if key.startswith(SHOW_ON_SERVER):
        return list(rows)
    named = split_season(key)[0]
    return [(play_id, item) for play_id, item in rows if named in picture_keys(item)]


def is_title_of_several(connection: Connection, key: str) -> bool:
    """True if a server has several shows of a title that no id tells apart."""
    prefix = play_prefix(key)
    if prefix is None:
        return False
    titled = select(play_key.c.play_id).where(has_prefix(connection, prefix, exact=False))
    known = select(play_key.c.key).where(
        play_key.c.play_id.in_(titled), play_key.c.key.startswith(ON_SERVER, autoescape=True)
    )
    shows = {server_picture_key(one) for one in connection.execute(known).scalars()} - {None}
    servers = [str(one).rpartition(":")[0] for one in shows]
    return len(servers) > len(set(servers))


def has_prefix(connection: Connection, prefix: str, *, exact: bool) -> ColumnElement[bool]:
    """The condition for keys of anybody's plays that begin so, or are just this."""
    anybody = play_key.c.person_id.in_(select(person.c.id))
    if exact:
        return anybody & (play_key.c.key == prefix)
    within = anybody & play_key.c.key.startswith(prefix, autoescape=True)
    if connection.dialect.name == "sqlite":  # lets the query use the key's index
        within &= (play_key.c.key >= prefix) & (play_key.c.key < prefix[:-1] + chr(ord(prefix[-1]) + 1))
    return within


def play_key_texts(connection: Connection, play_id: int) -> list[str]:
    return list(connection.execute(select(play_key.c.key).where(play_key.c.play_id == play_id)).scalars())


def places_of(item: Item, server: str, known_by: list[str]) -> Iterator[ServerItem]:
    """The item's places on a server, by the keys of its play."""
    own, show = own_prefix(item, server), show_prefix(server)
    item_keys = [key.removeprefix(own) for key in known_by if key.startswith(own)]
    show_keys = [key.removeprefix(show).rpartition(":")[0] for key in known_by if key.startswith(show)]
    for key in item_keys:
        is_part = isinstance(item, Episode) and item.number is not None
        item_key = key.rpartition(":")[0] if is_part else key
        yield ServerItem(item=item, item_key=item_key, show_key=next(iter(show_keys), None))


def merge_items(known: Item, item: Item) -> Item:
    """The film or show, with the ids of another report of it; the first where both cannot be one."""
    if isinstance(known, Movie) and isinstance(item, Movie):
        return known if not same_item(known, item) else item_with(known, item.ids)
    if isinstance(item, Episode) and not isinstance(known, Track | Movie):
        ids = known.show_ids if isinstance(known, Episode) else known.ids
        return Show(title=item.show, ids=ids if ids.contradicts(item.show_ids) else ids.merge(item.show_ids))
    return known


def item_with(film: Movie, ids: Ids) -> Movie:
    return Movie(title=film.title, year=film.year, ids=film.ids.merge(ids))
