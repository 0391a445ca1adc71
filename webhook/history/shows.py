"""Shows: their episodes as lookups list them, and a person's viewings of those."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from statistics import median
from typing import Annotated, Any

import orjson
import structlog
from pydantic import Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    delete,
    insert,
    select,
    type_coerce,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import Episode, Ids, Kind, Show
from webhook.domain.items import id_keys, keys
from webhook.domain.json_shapes import IdsJson, ListedEpisodeJson
from webhook.domain.outcome import Undelivered
from webhook.domain.pictures import picture_key
from webhook.history import runtimes
from webhook.history.library import FOLLOWING, show_key
from webhook.lookups import ListedEpisode, Lookup
from webhook.queues import inbox
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_fields import Count, PictureKey
from webhook.storage.json_sql import json_rows, json_text
from webhook.storage.tables import episode_list, follow, play, play_key, webhook

log = structlog.get_logger()

LIST_LIFETIME = timedelta(days=1)
"""The age up to which a list counts as current."""

LOOKUP_RETRY = timedelta(hours=1)
"""The pause before a show is asked about again after every lookup failed."""

SHOWS_PER_ROUND = 20
"""The number of shows asked about in one round; the next round is an hour later."""

LOOKUP_PAUSE = 2.0  # seconds between two shows: lookups serve deliveries first
ROUND_SECONDS = 3600.0
TICK_POLL = 20.0
"""Seconds until a list is requested that a tick waits for."""

WATCHED_WITHIN = timedelta(days=30)
"""The time within which a show that nobody follows was watched, so that its list is asked for."""

PLAYS_SEARCHED = 500
"""The latest plays in which such shows are looked for."""

NEVER_ASKED = datetime.min.replace(tzinfo=UTC)

REQUESTED = "wanted"
"""The `via` of a show whose list is asked for because it was ticked as a whole."""

NOWHERE = ""
"""The `via` of a show that no lookup lists."""

Place = tuple[int, int]
"""Season and number, as aired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A show and its episodes; None if no lookup has listed it."""

    key: str
    title: str | None = None
    ids: Ids = field(default_factory=Ids)
    episodes: Sequence[ListedEpisode] | None = None

    def aired_episodes(self, today: date) -> list[ListedEpisode]:
        """The episodes aired until today in their order, without the specials."""
        shown = [one for one in self.episodes or () if one.season > 0 and one.is_aired_by(today)]
        return sorted(shown, key=lambda one: (one.season, one.number))

    def next_day(self, today: date) -> str | None:
        """The day on which the next regular episode airs."""
        later = (one.aired for one in self.episodes or () if one.season > 0 and not one.is_aired_by(today))
        return min((day for day in later if day is not None), default=None)

    def finish_time(self, seen: Mapping[Place, datetime], today: date) -> datetime | None:
        """The time the last aired episode was first watched; None if an aired one was not."""
        aired = self.aired_episodes(today)
        times = [seen.get((one.season, one.number)) for one in aired]
        known = [at for at in times if at is not None]
        return max(known) if known and len(known) == len(aired) else None


# --- what has been seen


def counts_as_viewing(person_id: int) -> ColumnElement[bool]:
    """The plays that count as viewings: watched, and neither taken back nor removed."""
    return and_(
        play.c.person_id == person_id,
        play.c.watched_at.is_not(None),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )


def first_viewings(
    connection: Connection, person_id: int, listings: Sequence[Listing]
) -> dict[str, dict[Place, datetime]]:
    """The time the person first watched each listed episode, by show and place."""
    wanted = {key: (show, place) for show in listings for key, place in episode_keys(show)}
    found: dict[str, dict[Place, datetime]] = {show.key: {} for show in listings}
    if not wanted:
        return found
    known = connection.execute(
        select(play_key.c.key, play_key.c.play_id).where(
            play_key.c.person_id == person_id, play_key.c.key.in_(json_values(wanted))
        )
    ).all()
    plays = viewing_times(connection, {play_id for _, play_id in known})
    may_be: dict[tuple[str, str | None], bool] = {}
    for key, play_id in known:
        if play_id not in plays:
            continue
        (show, place), (at, ids) = wanted[key], plays[play_id]
        before = found[show.key].get(place)
        if before is None or at < before:
            if (show.key, ids) not in may_be:
                may_be[show.key, ids] = is_of(ids, show)
            if may_be[show.key, ids]:
                found[show.key][place] = at
    return found


def viewing_times(connection: Connection, play_ids: Iterable[int]) -> dict[int, tuple[datetime, str | None]]:
    """The watch time and the show's ids (JSON) of each play that counts, by play."""
    # The person is not a condition: SQLite would scan everything that this person has watched.
    wanted = select(play.c.id, play.c.watched_at, json_text(play.c.item, "show_ids")).where(
        play.c.id.in_(json_values(play_ids, BigInteger())),
        play.c.watched_at.is_not(None),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )
    return {made: (at, ids) for made, at, ids in connection.execute(wanted)}


def json_values(of: Iterable[str | int], type_: TypeEngine[Any] | None = None) -> Select[Any]:
    """Many values as one parameter."""
    value = json_rows(orjson.dumps(list(of)).decode()).table_valued("value").c.value
    return select(value if type_ is None else cast(value, type_))


def episode_keys(show: Listing) -> Iterator[tuple[str, Place]]:
    """The keys under which a play of each regular episode may be found: its place in the show, or its own ids."""
    anywhere = Episode(show=show.title, show_ids=show.ids, season=0, number=0)
    within = [key.removesuffix("0x0") for key in keys(anywhere)]
    for one in show.episodes or ():
        if one.season > 0:
            place = (one.season, one.number)
            yield from ((f"{key}{one.season}x{one.number}", place) for key in within)
            yield from ((key, place) for key in id_keys(Episode(ids=one.ids)))


def is_of(told_ids: str | None, show: Listing) -> bool:
    """True if a play can be of this show and not of another one of the same title."""
    return not Ids.from_json(orjson.loads(told_ids or "{}")).contradicts(show.ids)


# --- what comes next


class NextEpisodeJson(TypedDict):
    """A followed show and the episode of it that comes next, as the API gives them."""

    show_key: str
    show: str | None
    ids: IdsJson
    picture: PictureKey
    known: Annotated[bool, Field(description="Whether a lookup has listed the show's episodes.")]
    aired: Count
    left: Count
    episode: ListedEpisodeJson | None


def next_episodes(
    connection: Connection,
    person_id: int,
    today: date | None = None,
    *,
    limit: int | None = None,
    after: int = 0,
) -> list[NextEpisodeJson]:
    """For each show that the person follows, the first aired episode that they have not watched.

    `known` is false where no lookup has listed the show; `episode` is None there, and where all is seen.
    Of many shows, so many after the first ones.
    """
    today = today or clock.now().date()
    followed = list_followed_shows(connection, person_id, limit, after)
    seen = first_viewings(connection, person_id, followed)
    return [next_episode_json(show, seen[show.key], today) for show in followed]


def next_episode_json(show: Listing, seen: Mapping[Place, datetime], today: date) -> NextEpisodeJson:
    aired = show.aired_episodes(today)
    left = [one for one in aired if (one.season, one.number) not in seen]
    return {
        "show_key": show.key,
        "show": show.title,
        "ids": show.ids.by_namespace(),
        "picture": picture_key(Show(title=show.title, ids=show.ids)),
        "known": bool(show.episodes),
        "aired": len(aired),
        "left": len(left),
        "episode": left[0].to_json() if left else None,
    }


def list_followed_shows(
    connection: Connection, person_id: int, limit: int | None = None, after: int = 0
) -> list[Listing]:
    """The shows that the person follows now, with their listings."""
    rows = connection.execute(
        select(follow, episode_list.c.episodes)
        .outerjoin(episode_list, episode_list.c.show_key == follow.c.show_key)
        .where(follow.c.person_id == person_id, follow.c.state == FOLLOWING)
        .order_by(follow.c.followed_at, follow.c.show_key)
        .limit(limit)
        .offset(after)
    )
    return [
        Listing(
            key=row.show_key, title=row.show, ids=Ids.from_json(row.ids), episodes=read_episodes(row.episodes)
        )
        for row in rows
    ]


def read_episodes(episodes: Iterable[ListedEpisodeJson] | None) -> list[ListedEpisode] | None:
    return None if episodes is None else [ListedEpisode.from_json(one) for one in episodes]


def stored_lists(connection: Connection, show_keys: Iterable[str]) -> dict[str, str]:
    """The stored episode lists of these shows, for those that have one."""
    text = type_coerce(episode_list.c.episodes, Text).label("episodes")
    wanted = select(episode_list.c.show_key, text).where(
        episode_list.c.show_key.in_(json_values(sorted(show_keys)))
    )
    return {row.show_key: row.episodes for row in connection.execute(wanted.where(text != "[]"))}


def episodes_of(stored: str) -> list[ListedEpisode]:
    return read_episodes(orjson.loads(stored)) or []


# --- asking for the lists


@dataclass(frozen=True, slots=True)
class ShowList:
    """A show's episodes as a lookup listed them, to be stored."""

    key: str
    via: str
    episodes: Sequence[ListedEpisode]
    at: datetime


class Episodes:
    """Refreshes the episode lists of shows that are followed or watched lately: each at most once a day, slowly."""

    def __init__(self, database: Database, lookups: Sequence[Lookup], pause: float = LOOKUP_PAUSE) -> None:
        self.database = database
        self.lookups = sorted(lookups, key=lambda lookup: lookup.name != "tvdb")
        self.pause = pause
        self.news = asyncio.Event()  # set where a show is known by other ids now
        self._later: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh a few shows every hour and on news of one, until stopped."""
        while not stop.is_set():
            try:
                await self.refresh(clock.now(), stop)
            except Unavailable as error:
                log.warning("The episode lists could not be refreshed; this will be retried.", why=str(error))
            ends = time.monotonic() + ROUND_SECONDS
            heard = False
            while not (stop.is_set() or heard) and time.monotonic() < ends:
                heard = await clock.awaken(self.news, stop, TICK_POLL)
                with contextlib.suppress(Unavailable):
                    await self.answer_ticks(clock.now(), stop)

    async def answer_ticks(self, now: datetime, stop: asyncio.Event | None = None) -> int:
        """Fetch the lists that ticks of whole seasons wait for, and replay the ticks; returns their number."""
        wanted = await self.database.read(find_requested_lists)
        due = [show for show in wanted if self._later.get(show.key, now) <= now]
        return await self.ask_in_turn(due, now, stop or asyncio.Event())

    async def refresh(self, now: datetime, stop: asyncio.Event | None = None) -> int:
        """Refresh a few missing or old lists; returns the number answered."""
        stop = stop or asyncio.Event()
        due = await self.database.read(partial(find_due_lists, before=now - LIST_LIFETIME))
        return await self.ask_in_turn(
            [show for show in due if self._later.get(show.key, now) <= now], now, stop
        )

    async def ask_in_turn(self, shows: Sequence[Listing], now: datetime, stop: asyncio.Event) -> int:
        waiting = shows[:SHOWS_PER_ROUND]
        answered = 0
        for show in waiting if self.lookups else ():
            if stop.is_set():
                break
            answered += await self.ask(show, now)
            await clock.awaken(asyncio.Event(), stop, self.pause)
        return answered

    async def ask(self, show: Listing, now: datetime) -> bool:
        """Fetch a show's list; returns True if it was answered, even if no lookup lists the show."""
        unsure = False
        for lookup in self.lookups:
            try:
                episodes = await lookup.episodes(show.ids)
            except Undelivered as error:
                log.info("A show's episodes could not be fetched.", show=show.title, why=error.reason)
                unsure = True
                continue
            if episodes:
                await self.database.write(store_lists, ShowList(show.key, lookup.name, episodes, now))
                return True
        if unsure:
            self._later[show.key] = now + LOOKUP_RETRY
            return False
        await self.database.write(store_lists, ShowList(show.key, NOWHERE, (), now))
        return True


def find_due_lists(connection: Connection, before: datetime) -> list[Listing]:
    """The shows whose list is missing or was asked for before, the longest ago first.

    These are the shows that anybody follows, and those watched lately that nobody has put aside.
    """
    rows = connection.execute(select(follow.c.show_key, follow.c.show, follow.c.ids, follow.c.state))
    found: dict[str, Listing] = {}
    put_aside: set[str] = set()
    for row in rows:
        if row.state != FOLLOWING:
            put_aside.add(row.show_key)
            continue
        known = found[row.show_key].ids if row.show_key in found else Ids()
        ids = Ids.from_json(row.ids).merge(known)
        found[row.show_key] = Listing(key=row.show_key, title=row.show, ids=ids)
    for show in shows_watched_since(connection, before - WATCHED_WITHIN):
        if show.key not in put_aside:
            found.setdefault(show.key, show)
    asked = request_times(connection, found)
    due = [show for show in found.values() if asked.get(show.key, NEVER_ASKED) <= before]
    return sorted(due, key=lambda show: (asked.get(show.key, NEVER_ASKED), show.key))


def shows_watched_since(connection: Connection, since: datetime) -> list[Listing]:
    """The shows of the latest plays that have an id by which lookups list episodes."""
    wanted = (
        select(play.c.item)
        .where(play.c.started_at >= since, play.c.kind == Kind.EPISODE, play.c.removed_at.is_(None))
        .order_by(play.c.started_at.desc())
        .limit(PLAYS_SEARCHED)
    )
    found: dict[str, Listing] = {}
    for described in connection.execute(wanted).scalars():
        title, ids = described.get("show"), Ids.from_json(described.get("show_ids"))
        key = show_key(title, ids)
        if key is not None and (ids.tvdb or ids.tmdb or ids.imdb):
            found.setdefault(key, Listing(key=key, title=title, ids=ids))
    return list(found.values())


def request_times(connection: Connection, show_keys: Iterable[str]) -> dict[str, datetime]:
    """The time each show's list was last asked for."""
    wanted = select(episode_list.c.show_key, episode_list.c.asked_at)
    rows = connection.execute(wanted.where(episode_list.c.show_key.in_(json_values(sorted(show_keys)))))
    return {row.show_key: row.asked_at for row in rows}


def find_requested_lists(connection: Connection) -> list[Listing]:
    """The shows whose list a tick waits for."""
    keys = connection.execute(
        select(episode_list.c.show_key).where(episode_list.c.via == REQUESTED)
    ).scalars()
    return [Listing(key=key, ids=Ids(tvdb=int(key.removeprefix("tvdb:")))) for key in keys]


def replay_ticks(connection: Connection, show_key: str) -> int:
    """Requeue the ticks that waited for this show's list; returns their number."""
    events = type_coerce(webhook.c.events, Text)
    waiting = select(webhook.c.id).where(events.contains(f'"waits_for":"{show_key}"', autoescape=True))
    return inbox.requeue(connection, list(connection.execute(waiting).scalars()))


def store_lists(connection: Connection, waiting: list[ShowList]) -> list[None]:
    for learnt in waiting:
        here = (episode_list.c.show_key == learnt.key, episode_list.c.via == REQUESTED)
        was_wanted = connection.execute(select(episode_list.c.show_key).where(*here)).first()
        store_list(connection, learnt)
        if minutes := [one.minutes for one in learnt.episodes if one.minutes]:
            runtimes.store_first_runtime(connection, f"show:{learnt.key}", int(median(minutes) * 60_000))
        if was_wanted and learnt.episodes:
            replay_ticks(connection, learnt.key)
    return [None] * len(waiting)


def store_list(connection: Connection, learnt: ShowList) -> None:
    """Store the list in place of an older one, which stays if no lookup lists the show any more."""
    here = episode_list.c.show_key == learnt.key
    if not learnt.episodes:
        row = connection.execute(select(episode_list.c.via, episode_list.c.episodes).where(here)).first()
        if row is not None and row.episodes:
            learnt = ShowList(learnt.key, row.via, read_episodes(row.episodes) or (), learnt.at)
    values: dict[str, object] = {"show_key": learnt.key, "via": learnt.via, "asked_at": learnt.at}
    values |= {"episodes": [one.to_json() for one in learnt.episodes]}
    with (
        contextlib.suppress(IntegrityError),
        connection.begin_nested(),
    ):  # another process may just have asked
        connection.execute(delete(episode_list).where(here))
        connection.execute(insert(episode_list), values)
