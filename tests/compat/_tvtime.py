"""What the tests of TV Time as it is served here share: a service with three shows, and people in it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, insert, select, update

from tests.fakes import tvtime
from tests.fakes.tvtime import TVTime
from tests.web.conftest import HASHED, PASSWORD, Household, serving
from webhook import clock
from webhook.accounts import accounts
from webhook.compat.tvtime import shelf
from webhook.domain.event import Episode, Ids
from webhook.history.shows import ShowList, store_list
from webhook.lookups import ListedEpisode
from webhook.people import people
from webhook.storage import tables

NAMES = (f"anna {number}" for number in itertools.count(1))


@dataclass(frozen=True)
class Programme:
    """A show as TheTVDB lists it; `first` is the id remote_id_of its first episode, `seasons` how many each has."""

    tvdb: int
    title: str
    first: int
    seasons: Mapping[int, int]

    def episodes(self) -> list[ListedEpisode]:
        places = [(season, number) for season, many in self.seasons.items() for number in range(1, many + 1)]
        return [
            ListedEpisode(
                season=season,
                number=number,
                title=f"Part {season}.{number}",
                aired="2010-01-02",
                ids=Ids(tvdb=self.first + index),
            )
            for index, (season, number) in enumerate(places)
        ]

    def at_trakt(self) -> dict[str, Any]:
        """The same, as the fake of Trakt takes it."""
        parts = [
            {"season": one.season, "number": one.number, "title": one.title, "ids": one.ids.by_namespace()}
            for one in self.episodes()
        ]
        return {"title": self.title, "ids": {"tvdb": self.tvdb}, "episodes": parts}

    def id_of(self, season: int, number: int) -> int:
        found = next(one for one in self.episodes() if (one.season, one.number) == (season, number))
        assert found.ids.tvdb is not None
        return found.ids.tvdb


OFFICE = Programme(73244, "The Office", 5_000_001, {1: 6, 2: 22, 3: 25, 0: 2})
THRONES = Programme(121361, "Game of Thrones", 5_100_001, {**dict.fromkeys(range(1, 7), 10), 7: 7})
BOYS = Programme(355567, "The Boys", 5_200_001, {1: 8})
OTHER = Programme(295829, "The Man in the High Castle", 5_300_001, {1: 10})
PROGRAMMES = (OFFICE, THRONES, BOYS, OTHER)


def list_shows(connection: Connection, programmes: Iterable[Programme] = PROGRAMMES) -> None:
    """As TheTVDB listed them when it was asked."""
    for one in programmes:
        store_list(connection, ShowList(f"tvdb:{one.tvdb}", "tvdb", one.episodes(), clock.now()))


def with_password(connection: Connection, name: str, kept: str = HASHED) -> None:
    connection.execute(update(tables.person).where(tables.person.c.name == name).values(password=kept))


@dataclass
class Box:
    """A running service, and somebody who may sign in to it with PASSWORD."""

    home: Household
    name: str
    person_id: int

    @property
    def url(self) -> str:
        return self.home.url

    def client(self) -> httpx.Client:
        return self.home.client()

    def signed_in(self, password: str = PASSWORD) -> httpx.Client:
        client = self.client()
        answer = client.post("/tvtime/login", data={"username": self.name, "password": password})
        assert answer.status_code == 200, answer.text
        return client

    def other(self) -> Box:
        """Somebody else of the same household."""
        return somebody(self.home)

    def plays(self) -> list[Any]:
        mine = select(tables.play).where(tables.play.c.person_id == self.person_id).order_by(tables.play.c.id)
        return list(self.home.do(lambda connection: connection.execute(mine).all()))

    def webhooks(self) -> list[Any]:
        wanted = select(tables.webhook).where(tables.webhook.c.source == "tvtime")
        rows = self.home.do(lambda connection: connection.execute(wanted.order_by(tables.webhook.c.id)).all())
        return [row for row in rows if any(one["person"] == self.name for one in row.events or [])]

    def follow(self, *programmes: Programme) -> None:
        values = [
            {"person_id": self.person_id, "show_key": f"tvdb:{one.tvdb}", "show": one.title,
             "ids": {"tvdb": one.tvdb}, "state": "following", "followed_at": clock.now()}
            for one in programmes
        ]  # fmt: skip
        self.home.do(lambda connection: connection.execute(insert(tables.follow), values))
        time.sleep(0.002)  # what is followed next is followed later, to the millisecond

    def seen(self, tvdb: int) -> shelf.WatchSummary | None:
        item = Episode(ids=Ids(tvdb=tvdb))
        return self.home.do(lambda connection: shelf.watch_summary(connection, self.person_id, item))

    def time_passes(self, by: timedelta = timedelta(days=1)) -> None:
        """All that is known happened so much longer ago."""
        play = tables.play
        columns = (
            play.c.watched_at,
            play.c.unwatched_at,
            play.c.started_at,
            play.c.last_at,
            play.c.position_at,
        )
        mine = select(play.c.id, *columns).where(play.c.person_id == self.person_id)

        def change(connection: Connection) -> None:
            for row in connection.execute(mine).mappings().all():
                moved = {column.name: row[column.name] and row[column.name] - by for column in columns}
                connection.execute(update(play).where(play.c.id == row["id"]).values(moved))

        self.home.do(change)


def somebody(home: Household) -> Box:
    """A new person who may sign in, with the library that everybody has."""
    name = next(NAMES)

    def made(connection: Connection) -> int:
        person_id = people.add_person(connection, name, clock.now())
        with_password(connection, name)
        accounts.add_builtin_accounts(connection, home.service.trackers, person_id, clock.now())
        return person_id

    return Box(home, name, home.do(made))


# --- a server of TV Time's protocol


def fill(fake: TVTime, programmes: Iterable[Programme] = PROGRAMMES) -> TVTime:
    """The server knows these shows, and nothing else."""
    fake.switches.open_world = False
    fake.episodes.clear()
    for show in programmes:
        for one in show.episodes():
            assert one.ids.tvdb is not None
            fake.episodes[one.ids.tvdb] = tvtime.Episode(
                id=one.ids.tvdb, show=show.tvdb, name=show.title, season=one.season, number=one.number,
                title=one.title, air_date=one.aired,
            )  # fmt: skip
    return fake


def see(fake: TVTime, user: tvtime.User, show: Programme, season: int, number: int) -> None:
    """The user follows the show, and has watched it up to this episode."""
    fake.view_until(user, fake.episodes[show.id_of(season, number)])


def connect(box: Box, tokens: Mapping[str, Any]) -> int:
    """Sign somebody in to the server with tokens got elsewhere; the id of the account."""
    tracker, sealed = box.home.service.trackers["tvtime"], box.home.service.seal.seal(dict(tokens))
    return int(
        box.home.do(
            lambda connection: accounts.store_tokens(
                connection, box.person_id, tracker, sealed, box.name, clock.now()
            )
        )
    )


@contextmanager
def boxed(folder: Path, **settings: str) -> Iterator[Box]:
    with serving(folder, **{"WORKER": "true", **settings}) as home:
        home.do(list_shows)
        yield somebody(home)
