"""A show with its episodes and follow state, shared by its page and the API."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import Ids, Show
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import ItemJson
from webhook.domain.pictures import picture_key
from webhook.history import library, shows
from webhook.history.shows import Place
from webhook.storage.json_fields import Count, Id, PictureKey, Time
from webhook.storage.rows import fetch_all
from webhook.storage.tables import episode_list, follow, play, play_key
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean

KEY = re.compile(r"tvdb:[0-9]{1,12}|title:\S{1,250}")


def parse_show_key(key: str) -> str:
    """Parse a show's key from an address or a form; raises Problem 404."""
    if not KEY.fullmatch(key) or not clean(key, 300):
        raise Problem(404, "There is no such show.")
    kind, _, name = key.partition(":")
    return key if kind == "tvdb" else f"{kind}:{fold_title(name)}"


class ViewingJson(TypedDict):
    id: Id
    watched_at: Time | None


class EpisodeJson(TypedDict):
    """An episode of a show with its viewings, the oldest first."""

    season: Count
    number: Count
    title: str | None
    aired: str | None
    listed: Annotated[bool, Field(description="By a lookup; else it is known from the plays alone.")]
    plays: list[ViewingJson]


class ShowJson(TypedDict):
    """A show as a person has watched it."""

    key: str
    title: str | None
    picture: PictureKey
    state: Annotated[str | None, Field(description="Null where it is not followed.")]
    via: Annotated[str | None, Field(description="The lookup that listed its episodes.")]
    episodes: list[EpisodeJson]


def whole_show(connection: Connection, person_id: int, key: str) -> ShowJson | None:
    """A show with its listed and watched episodes in order, specials last."""
    listed = connection.execute(
        select(episode_list.c.episodes, episode_list.c.via).where(episode_list.c.show_key == key)
    ).first()
    mine = (follow.c.person_id == person_id, follow.c.show_key == key)
    followed = connection.execute(select(follow).where(*mine)).first()
    rows = plays_of(connection, person_id, key)
    if not rows and followed is None:
        return None
    episodes: dict[Place, EpisodeJson] = {}
    for one in listed.episodes if listed else ():
        place = (one["season"], one["number"])
        known = unseen_episode(place, one.get("title"))
        episodes[place] = {**known, "aired": one.get("aired"), "listed": True}
    title, ids = (followed.show, Ids.from_json(followed.ids)) if followed else (None, Ids())
    for row in rows:
        item = row.item
        title, ids = title or item.get("show"), ids.merge(Ids.from_json(item.get("show_ids")))
        season, number = item.get("season"), item.get("number")
        if season is None or number is None:
            continue
        place = (season, number)
        episode = episodes.setdefault(place, unseen_episode(place, item.get("title")))
        episode["title"] = episode["title"] or item.get("title")
        episode["plays"].append({"id": row.id, "watched_at": clock.stamp(row.watched_at)})
    return {
        "key": key,
        "title": title,
        "picture": picture_key(Show(title=title, ids=ids)),
        "state": followed.state if followed else None,
        "via": listed.via if listed and listed.episodes else None,
        "episodes": [episodes[place] for place in sorted(episodes, key=lambda place: (place[0] == 0, place))],
    }


def unseen_episode(place: Place, title: str | None) -> EpisodeJson:
    season, number = place
    return {"season": season, "number": number, "title": title, "aired": None, "listed": False, "plays": []}


def has_page(connection: Connection, person_id: int, key: str) -> bool:
    """True if the person watched or follows the show."""
    if library.find_follow(connection, person_id, key) is not None:
        return True
    within = select(play_key.c.play_id).where(*is_key_of(connection, person_id, key))
    watched = select(play.c.id).where(play.c.id.in_(within), shows.counts_as_viewing(person_id))
    return connection.execute(watched.limit(1)).first() is not None


class WatchedEpisode(NamedTuple):
    """A watched play of an episode."""

    id: int
    item: ItemJson
    watched_at: datetime


def plays_of(connection: Connection, person_id: int, key: str) -> list[WatchedEpisode]:
    """The person's watched plays of a show's episodes, by play key."""
    within = is_key_of(connection, person_id, key)
    wanted = select(play.c.id, play.c.item, play.c.watched_at).where(
        play.c.id.in_(select(play_key.c.play_id).where(*within)), shows.counts_as_viewing(person_id)
    )
    return fetch_all(connection, wanted.order_by(play.c.watched_at), WatchedEpisode)


def is_key_of(connection: Connection, person_id: int, key: str) -> list[ColumnElement[bool]]:
    """The conditions for the keys of a show's episodes."""
    kind, _, name = key.partition(":")
    prefix = f"episode:of:tvdb:{name}:" if kind == "tvdb" else f"episode:title:{fold_title(name)}:"
    within = [play_key.c.person_id == person_id, play_key.c.key.startswith(prefix, autoescape=True)]
    if connection.dialect.name == "sqlite":  # lets the query use the key's index
        within += [play_key.c.key >= prefix, play_key.c.key < prefix[:-1] + ";"]
    return within


# --- following


def follow_show(connection: Connection, person_id: int, key: str) -> None:
    """Follow a show from the person's history, or one that a lookup has listed; raises Problem 404."""
    known = whole_show(connection, person_id, key)
    listed = connection.execute(select(episode_list.c.show_key).where(episode_list.c.show_key == key)).first()
    if known is None and (listed is None or not key.startswith("tvdb:")):
        raise Problem(404, "This show is neither in the history nor among those that are listed.")
    kind, _, number = key.partition(":")
    ids = Ids(tvdb=int(number)) if kind == "tvdb" else Ids()
    show = Show(title=known["title"] if known else None, ids=ids)
    library.follow_show(connection, person_id, show, clock.now())
