"""Merging a show kept under two keys: Plex's own id and a title, and the ids that services know.

A play gets its show's ids and keeps its own; a person's follows, marks and ratings of the show become one
each. Nothing is written if a known id contradicts it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Text, and_, delete, exists, func, select, type_coerce, update

from webhook.domain.event import Episode, Ids, Item, Season, Show, item_from_json, item_to_json
from webhook.domain.items import fold_title, keys
from webhook.history import library
from webhook.history.library import show_key
from webhook.history.play_store import merge_items, store_keys
from webhook.storage.rows import fetch_all
from webhook.storage.tables import (
    FollowRow,
    LibraryRow,
    PlayRow,
    TickRow,
    episode_list,
    follow,
    person,
    play,
    play_key,
    tick,
)
from webhook.storage.tables import library as entry

OF_SHOW = ("episode", "season", "show")


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownShow:
    """A show of Plex with all its ids, including Plex's own."""

    ids: Ids

    @property
    def plex(self) -> str:
        assert self.ids.plex is not None
        return self.ids.plex

    def complete(self, item: Item) -> Item:
        """The item with the show's ids, if it belongs to this show and no id contradicts it."""
        match item:
            case Episode() | Season() if item.show_ids.plex == self.plex:
                known = item.show_ids
                return item if known.contradicts(self.ids) else replace(item, show_ids=known.merge(self.ids))
            case Show() if item.ids.plex == self.plex:
                return item if item.ids.contradicts(self.ids) else replace(item, ids=item.ids.merge(self.ids))
        return item


# --- plays


def plays_of(
    connection: Connection, plex: str, after: int = 0, limit: int | None = None, *, latest: bool = False
) -> list[PlayRow]:
    """The plays of a show by Plex's id, after the play `after`; newest first if `latest`."""
    prefix = f"episode:of:plex:{plex}:"
    within = (
        play_key.c.person_id.in_(select(person.c.id)),  # the keys are sorted by person
        play_key.c.key >= prefix,
        play_key.c.key < f"{prefix[:-1]};",
        play_key.c.key.startswith(prefix, autoescape=True),
    )
    known = select(play_key.c.play_id).where(*within)
    wanted = select(play).where(play.c.id.in_(known), play.c.id > after)
    wanted = wanted.order_by(play.c.id.desc() if latest else play.c.id).limit(limit)
    return fetch_all(connection, wanted, PlayRow)


def complete_plays(connection: Connection, show: KnownShow, rows: Iterable[PlayRow]) -> int:
    """Write the show's ids into these plays; returns how many changed."""
    count = 0
    for row in rows:
        before = item_from_json(row.item)
        after = show.complete(before)
        if after != before:
            connection.execute(update(play).where(play.c.id == row.id).values(item=item_to_json(after)))
            store_keys(connection, row.person_id, row.id, keys(after))
            count += 1
    return count


# --- library entries


def merge_relations(connection: Connection, show: KnownShow) -> None:
    """Merge what each person follows, has marked and keeps of the show."""
    for person_id in people_with(connection, show):
        titles = titles_of(connection, person_id, show)
        merge_follows(connection, person_id, show, titles)
        move_ticks(connection, person_id, show, titles)
        merge_entries(connection, person_id, show)


def people_with(connection: Connection, show: KnownShow) -> list[int]:
    """The people who have played, follow or keep something of the show."""
    said = f'"plex":"{show.plex}"'
    found = {row.person_id for row in plays_of(connection, show.plex)}
    for table, column in ((follow, follow.c.ids), (entry, entry.c.item)):
        mentions = type_coerce(column, Text).contains(said, autoescape=True)
        found |= set(connection.execute(select(table.c.person_id).where(mentions)).scalars())
    return sorted(found)


def titles_of(connection: Connection, person_id: int, show: KnownShow) -> set[str]:
    """The folded titles of the show in the person's plays."""
    rows = plays_of(connection, show.plex)
    return {
        fold_title(title) for row in rows if row.person_id == person_id and (title := row.item.get("show"))
    }


def merge_follows(connection: Connection, person_id: int, show: KnownShow, titles: Collection[str]) -> None:
    for row in library.list_follows(connection, person_id):
        if is_followed(connection, row, show, titles):
            merge_follow(connection, row, show)


def is_followed(connection: Connection, row: FollowRow, show: KnownShow, titles: Collection[str]) -> bool:
    """True if the followed show is this one: by Plex's id, or by a title that no other show has."""
    ids = Ids.from_json(row.ids)
    if ids:
        return ids.plex == show.plex and not ids.contradicts(show.ids)
    kind, _, title = row.show_key.partition(":")
    return kind == "title" and title in titles and is_alone(connection, row.person_id, title, show)


def is_alone(connection: Connection, person_id: int, title: str, show: KnownShow) -> bool:
    """True if every play under that title may belong to this show."""
    prefix = f"episode:title:{title}:"
    named = (
        play_key.c.person_id == person_id,
        play_key.c.key >= prefix,
        play_key.c.key < f"{prefix[:-1]};",
        play_key.c.key.startswith(prefix, autoescape=True),
    )
    rows = connection.execute(
        select(play.c.item).where(play.c.id.in_(select(play_key.c.play_id).where(*named)))
    )
    return not any(Ids.from_json(row.item.get("show_ids")).contradicts(show.ids) for row in rows)


def merge_follow(connection: Connection, row: FollowRow, show: KnownShow) -> None:
    """Move a follow to the show's new key; a follow that is already there is kept and merged."""
    ids = Ids.from_json(row.ids).merge(show.ids)
    key = show_key(row.show, ids) or row.show_key
    here = and_(follow.c.person_id == row.person_id, follow.c.show_key == row.show_key)
    other = library.find_follow(connection, row.person_id, key) if key != row.show_key else None
    if other is None:
        connection.execute(update(follow).where(here).values(show_key=key, ids=ids.by_namespace()))
    elif not Ids.from_json(other.ids).contradicts(ids):
        connection.execute(delete(follow).where(here))
        there = and_(follow.c.person_id == other.person_id, follow.c.show_key == key)
        values = {
            "ids": Ids.from_json(other.ids).merge(ids).by_namespace(),
            "show": other.show or row.show,
            "followed_at": min(other.followed_at, row.followed_at),
        }
        connection.execute(update(follow).where(there).values(values))
    if key != row.show_key:
        forget_list(connection, row.show_key)


def forget_list(connection: Connection, key: str) -> None:
    """Delete the list of episodes under a key that nobody follows any more."""
    followed = exists().where(follow.c.show_key == key)
    connection.execute(delete(episode_list).where(episode_list.c.show_key == key, ~followed))


def move_ticks(connection: Connection, person_id: int, show: KnownShow, titles: Collection[str]) -> None:
    """Move the built-in library's marks to the show's new key."""
    mine = and_(tick.c.person_id == person_id, tick.c.show_key.in_([f"title:{title}" for title in titles]))
    for row in fetch_all(connection, select(tick).where(mine), TickRow):
        before = item_from_json(row.item)
        after = show.complete(before)
        if after != before and isinstance(after, Episode):
            here = and_(tick.c.person_id == person_id, tick.c.item_key == row.item_key)
            values = {"item": item_to_json(after), "show_key": show_key(after.show, after.show_ids)}
            connection.execute(update(tick).where(here).values(values))


def merge_entries(connection: Connection, person_id: int, show: KnownShow) -> None:
    """Merge ratings, favourites and lists; of two entries of one item the later one stays."""
    mine = and_(entry.c.person_id == person_id, entry.c.kind.in_(OF_SHOW))
    said = type_coerce(entry.c.item, Text).contains(f'"plex":"{show.plex}"', autoescape=True)
    for row in fetch_all(connection, select(entry).where(mine, said), LibraryRow):
        before = item_from_json(row.item)
        after = show.complete(before)
        if after != before:
            merge_entry(connection, row, after)


def merge_entry(connection: Connection, row: LibraryRow, item: Item) -> None:
    known = keys(item)
    same = and_(entry.c.person_id == row.person_id, entry.c.relation == row.relation)
    others = and_(same, entry.c.item_key.in_(known), entry.c.item_key != row.item_key)
    latest = row
    for other in fetch_all(connection, select(entry).where(others), LibraryRow):
        if may_be_one(item, item_from_json(other.item)):
            connection.execute(delete(entry).where(*library.is_entry(other)))
            latest = other if other.at > latest.at else latest
            item = merge_items(item_from_json(other.item), item)
    taken = select(func.count()).select_from(entry).where(same, entry.c.item_key == known[0])
    free = row.item_key == known[0] or not connection.execute(taken).scalar_one()
    values = {"item": item_to_json(item), "value": latest.value, "at": latest.at}
    connection.execute(
        update(entry)
        .where(*library.is_entry(row))
        .values(item_key=known[0] if free else row.item_key, **values)
    )


def may_be_one(one: Item, other: Item) -> bool:
    if one.kind is not other.kind or one.ids.contradicts(other.ids):
        return False
    here, there = (getattr(item, "show_ids", Ids()) for item in (one, other))
    return not here.contradicts(there)


def contradictions(rows: Iterable[PlayRow], show: KnownShow) -> list[PlayRow]:
    """The show's plays that have another show's id."""
    return [
        row
        for row in rows
        if (known := Ids.from_json(row.item.get("show_ids"))).plex == show.plex
        and known.contradicts(show.ids)
    ]
