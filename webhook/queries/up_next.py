"""Up next: the next episode of each show that a person follows or has watched lately."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Annotated, NamedTuple

import orjson
from pydantic import Field
from sqlalchemy import Connection, select

from webhook.domain.event import Episode, Ids, Kind, Show, item_from_json
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import IdsJson, ItemJson
from webhook.domain.pictures import picture_key
from webhook.history import shows
from webhook.history.library import FOLLOWING, list_follows, show_key
from webhook.history.shows import Listing, Place
from webhook.lookups import ListedEpisode
from webhook.storage.json_fields import Count, ItemFields, PictureKey
from webhook.storage.rows import fetch_all
from webhook.storage.tables import play

RECENT_PLAYS = 200
"""The latest plays of episodes in which recently watched shows are looked for."""

MAX_SHOWS = 48
"""The shows whose next episode is looked for, the latest watched first."""

UP_NEXT_SIZE = 16
"""The episodes listed, and the shows that are looked into at a time until there are as many."""


class UpNextJson(ItemFields):
    """The next episode of a show; `left` counts it and the aired ones after it that are not watched."""

    ids: IdsJson
    show_ids: IdsJson
    show_key: str
    picture: PictureKey
    aired: Annotated[str, Field(description="The day on which it airs or aired.")]
    followed: bool
    left: Count


class RecentPlay(NamedTuple):
    """A play of an episode, as `recent_shows` selects it."""

    item: ItemJson
    state: str
    started_at: datetime


@dataclass(kw_only=True, slots=True)
class CurrentShow:
    """A show that a person follows or has watched lately: where they are in it, and what is playing of it."""

    key: str
    title: str | None
    ids: Ids
    at: datetime
    followed: bool = False
    place: Place | None = None
    playing: set[Place] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        """The names by which another record of the same show is found."""
        titles = {f"title:{fold_title(self.title)}"} if self.title else set()
        return {self.key, *titles, *(f"{space}:{value}" for space, value in self.ids.by_namespace().items())}


def list_up_next(
    connection: Connection, person_id: int, today: date, *, limit: int = UP_NEXT_SIZE
) -> list[UpNextJson]:
    """The next episode of each show: those that have aired, the latest watched show first, then those that will air.

    It is the first unwatched one after the episode watched last, with a known day. A show whose episodes no
    lookup has listed has none.
    """
    current = current_shows(connection, person_id)
    found: list[tuple[UpNextJson, CurrentShow]] = []
    for start in range(0, len(current), UP_NEXT_SIZE):
        if len(found) >= limit:
            break
        found += next_of_shows(connection, person_id, current[start : start + UP_NEXT_SIZE], today)
    return [entry for entry, _ in sorted(found, key=lambda pair: urgency(pair[0], pair[1], today))][:limit]


def next_of_shows(
    connection: Connection, person_id: int, current: Sequence[CurrentShow], today: date
) -> list[tuple[UpNextJson, CurrentShow]]:
    """The next episode of each of these shows that has one, beside its show."""
    lists = shows.stored_lists(connection, [show.key for show in current])
    listings = {show.key: with_later_episodes(show, lists[show.key]) for show in current if show.key in lists}
    seen = shows.first_viewings(connection, person_id, list(listings.values()))
    return [
        (entry, show)
        for show in current
        if show.key in listings
        and (entry := next_of_show(listings[show.key], show, seen[show.key], today)) is not None
    ]


def urgency(entry: UpNextJson, show: CurrentShow, today: date) -> tuple[bool, float, str]:
    """The order of the list: aired episodes by the last viewing of their show, then the others by their day."""
    is_out = entry["aired"] <= today.isoformat()
    return not is_out, -show.at.timestamp() if is_out else 0.0, entry["aired"]


def current_shows(connection: Connection, person_id: int) -> list[CurrentShow]:
    """The shows that the person follows or has watched lately, but for those that they have put aside."""
    watched = recent_shows(connection, person_id)
    by_name: dict[str, list[CurrentShow]] = {}
    for show in watched:
        for name in show.names:
            by_name.setdefault(name, []).append(show)
    found: list[CurrentShow] = []
    known: set[str] = set()
    for row in list_follows(connection, person_id):
        show = CurrentShow(
            key=row.show_key, title=row.show, ids=Ids.from_json(row.ids), at=row.followed_at, followed=True
        )
        twins = {twin.key: twin for name in show.names for twin in by_name.get(name, ())}
        same = [twin for twin in twins.values() if not twin.ids.contradicts(show.ids)]
        known |= {twin.key for twin in same}
        if row.state == FOLLOWING:
            found.append(with_recent_plays(show, same))
    found += [show for show in watched if show.key not in known]
    return sorted(found, key=lambda show: show.at, reverse=True)[:MAX_SHOWS]


def with_recent_plays(show: CurrentShow, watched: Sequence[CurrentShow]) -> CurrentShow:
    """A followed show with its latest plays, which may know it by other ids."""
    latest = max(watched, key=lambda one: one.at, default=None)
    if latest is None:
        return show
    return replace(
        show,
        title=show.title or latest.title,
        ids=show.ids.merge(latest.ids),
        at=latest.at,
        place=latest.place,
        playing={place for one in watched for place in one.playing},
    )


def recent_shows(connection: Connection, person_id: int) -> list[CurrentShow]:
    """The shows of the person's latest plays, the latest first."""
    wanted = (
        select(play.c.item, play.c.state, play.c.started_at)
        .where(play.c.person_id == person_id, play.c.kind == Kind.EPISODE, play.c.removed_at.is_(None))
        .order_by(play.c.started_at.desc())
        .limit(RECENT_PLAYS)
    )
    found: dict[str, CurrentShow] = {}
    for row in fetch_all(connection, wanted, RecentPlay):
        item = item_from_json(row.item)
        key = show_key(item.show, item.show_ids) if isinstance(item, Episode) else None
        if not isinstance(item, Episode) or key is None:
            continue
        show = found.setdefault(
            key, CurrentShow(key=key, title=item.show, ids=item.show_ids, at=row.started_at)
        )
        if item.season and item.number is not None:
            place = (item.season, item.number)
            show.place = show.place or place
            if row.state != "stopped":
                show.playing.add(place)
    return list(found.values())


def with_later_episodes(show: CurrentShow, stored: str) -> Listing:
    """The show with its regular episodes from the one on that was watched last."""
    start = show.place or (1, 0)
    episodes = [
        ListedEpisode.from_json(one)
        for one in orjson.loads(stored)
        if one["season"] > 0 and (one["season"], one["number"]) >= start
    ]
    return Listing(key=show.key, title=show.title, ids=show.ids, episodes=episodes)


def next_of_show(
    listing: Listing, show: CurrentShow, seen: Mapping[Place, datetime], today: date
) -> UpNextJson | None:
    last = show.place or max(seen, key=lambda place: seen[place], default=(0, 0))
    unseen = [
        one
        for one in in_order(listing.episodes or ())
        if one.aired is not None
        and (one.season, one.number) >= last
        and (one.season, one.number) not in seen
        and (one.season, one.number) not in show.playing
    ]
    if not unseen:
        return None
    following, left = unseen[0], sum(one.is_aired_by(today) for one in unseen)
    return up_next_json(show, following, left)


def in_order(episodes: Iterable[ListedEpisode]) -> list[ListedEpisode]:
    return sorted(episodes, key=lambda one: (one.season, one.number))


def up_next_json(show: CurrentShow, one: ListedEpisode, left: int) -> UpNextJson:
    return {
        "kind": Kind.EPISODE.value,
        "title": one.title,
        "show": show.title,
        "season": one.season,
        "number": one.number,
        "year": None,
        "ids": one.ids.by_namespace(),
        "show_ids": show.ids.by_namespace(),
        "show_key": show.key,
        "picture": picture_key(Show(title=show.title, ids=show.ids)),
        "aired": one.aired or "",
        "followed": show.followed,
        "left": left,
    }
