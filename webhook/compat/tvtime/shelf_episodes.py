"""One episode by its TheTVDB id, with all facts from the history, the lists and the lookups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    select,
    type_coerce,
    update,
)

from webhook.compat.tvtime.shelf import EPISODE, Series, episode_of
from webhook.domain.event import Episode, Ids, item_from_json
from webhook.domain.items import keys
from webhook.history.library import find_follow, show_key
from webhook.identity.resolutions import find_item_ids
from webhook.lookups import ListedEpisode
from webhook.storage.tables import episode_list, follow, play, play_key, tick


def find_episode(connection: Connection, person_id: int, tvdb: int) -> Episode:
    """The episode with this TheTVDB id, with all facts known here; the person's own history comes first."""
    bare = Episode(ids=Ids(tvdb=tvdb))
    found = [
        *from_history(connection, person_id, bare),
        *from_lists(connection, tvdb),
        recall(connection, bare),
    ]
    placed = [one for one in found if one.season is not None and one.number is not None]
    best = complete((placed or found)[0], found)
    if best.show is not None or best.show_ids.tvdb is None:
        return best
    row = find_follow(connection, person_id, show_key(None, best.show_ids) or "")
    return best if row is None else replace(best, show=row.show)


def name_show(connection: Connection, person_id: int, key: str, title: str | None) -> bool:
    """Name a followed show that has no title yet; True if it was named."""
    if not title:
        return False
    nameless = and_(follow.c.person_id == person_id, follow.c.show_key == key, follow.c.show.is_(None))
    return bool(connection.execute(update(follow).where(nameless).values(show=title)).rowcount)


def complete(best: Episode, others: Iterable[Episode]) -> Episode:
    """The episode with missing titles and ids filled in from the others."""
    for one in others:
        if best.show_ids.contradicts(one.show_ids) or best.ids.contradicts(one.ids):
            continue
        best = replace(
            best, title=best.title or one.title, show=best.show or one.show, ids=best.ids.merge(one.ids),
            show_ids=best.show_ids.merge(one.show_ids),
        )  # fmt: skip
    return best


def from_history(connection: Connection, person_id: int, bare: Episode) -> list[Episode]:
    own = select(play_key.c.play_id).where(
        play_key.c.person_id == person_id, play_key.c.key == f"{EPISODE}{bare.ids.tvdb}"
    )
    rows = connection.execute(
        select(play.c.item).where(play.c.id.in_(own)).order_by(play.c.id.desc()).limit(1)
    )
    items = [item_from_json(row.item) for row in rows]
    mine = and_(tick.c.person_id == person_id, tick.c.item_key == f"tvdb:{bare.ids.tvdb}")
    items += [item_from_json(row.item) for row in connection.execute(select(tick.c.item).where(mine))]
    return [item for item in items if isinstance(item, Episode)]


def from_lists(connection: Connection, tvdb: int) -> Iterator[Episode]:
    holding = episode_list.c.show_key.like("tvdb:%"), may_hold(tvdb)
    for row in connection.execute(select(episode_list.c.show_key, episode_list.c.episodes).where(*holding)):
        for one in map(ListedEpisode.from_json, row.episodes):
            if one.ids.tvdb == tvdb:
                yield episode_of(Series(tvdb=int(row.show_key.partition(":")[2])), one)


def may_hold(tvdb: int) -> ColumnElement[bool]:
    """Match lists whose JSON may contain this id; each match is verified when it is read."""
    return type_coerce(episode_list.c.episodes, Text).contains(f'"tvdb":{tvdb}')


def recall(connection: Connection, bare: Episode) -> Episode:
    """The episode completed by what lookups found earlier."""
    known = find_item_ids(connection, keys(bare))
    item = None if known is None else known.complete(bare)
    return item if isinstance(item, Episode) else bare
