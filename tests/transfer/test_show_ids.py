"""Shows that Plex names by its own id only: their ids are learned once, and what was kept twice becomes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.identity.world import ANIME_LIST, Services, everything
from tests.transfer.test_bringing import EVENING, HOUR, Home, event, seen
from webhook import clock
from webhook.domain import anime
from webhook.domain.event import Action, Episode, Ids, Item, Show
from webhook.domain.outcome import Retry
from webhook.history import library, shows
from webhook.history.shelf import mark_items
from webhook.identity.resolver import Identity
from webhook.servers import Server
from webhook.storage.db import Database
from webhook.storage.tables import episode_list, follow, play, tick, unresolved
from webhook.storage.tables import library as entry
from webhook.transfer import lookup_queue, show_ids
from webhook.transfer.records import Kept, Relation
from webhook.transfer.show_ids import ShowIds
from webhook.transfer.show_merge import KnownShow, complete_plays

PLEX = "5d9c086c7d06d9001ffd27aa"
OTHER = "5d9c086c7d06d9001ffd27bb"
KEY = f"show:plex:{PLEX}"
LANTERN = Ids(tvdb=7000, tmdb=57000, imdb="tt0007000")
NOW = clock.now()
A_SERVER: Any = None


def part(number: int, *, plex: str | None = PLEX, show: str = "Lantern Street", **more: Any) -> Episode:
    """An episode as Plex's newer agents name it."""
    own = 7_000_100 + number
    ids = Ids(tvdb=own, tmdb=own + 5_000_000, imdb=f"tt{own:08}")
    values = {"ids": ids, "show_ids": Ids(plex=plex), **more}
    return Episode(title=f"Lantern Street 1-{number}", show=show, season=1, number=number, **values)


class FakePlex:
    """A media server that knows one show."""

    name, label = "plex", "Plex"

    def __init__(self, found: Ids | Exception | None) -> None:
        self.found = found
        self.asked: list[tuple[str, Sequence[str], Sequence[str]]] = []

    async def show_ids(self, plex: str, shows: Sequence[str], episodes: Sequence[str]) -> Ids | None:
        self.asked.append((plex, shows, episodes))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Place(Home):
    """A home whose shows' ids are learned."""

    def watch(self, item: Item, hours: float = 0, **more: Any) -> None:
        self.apply(event(Action.WATCHED, item, EVENING + hours * HOUR, **more))

    def learn(
        self,
        *names: str,
        lookups: bool = True,
        server: Any = None,
        before: Callable[[Services], Any] | None = None,
        times: int = 1,
    ) -> int:
        """Look for shows and answer what is asked, at these services; how many calls they got."""

        async def run() -> int:
            services = Services(everything())
            if before is not None:
                before(services)
            given = services.lookups(*names) if lookups else []
            identity = Identity(self.database, given, anime.read_list(ANIME_LIST))
            servers: dict[str, Server] = {} if server is None else {"plex": server}
            learner = ShowIds(self.database, identity, servers)
            try:
                for _ in range(times):
                    await learner.scan()
                    await learner.run_once()
                return services.asked()
            finally:
                await services.http.aclose()

        return asyncio.run(run())

    def show_ids(self) -> list[Ids]:
        return [Ids.from_json(row.item["show_ids"]) for row in self.plays()]

    def rows(self, table: Any) -> list[Any]:
        return list(self.database.ask(lambda connection: connection.execute(select(table)).all()))

    def question(self) -> Any:
        (row,) = self.rows(unresolved)
        return row

    def mark(self, item: Item) -> None:
        """Mark it in the built-in library, which follows its show."""
        self.database.do(lambda connection: mark_items(connection, [(self.me, item, EVENING, False)]))

    def follow(self, show: Show, state: str = "following") -> None:
        self.database.do(
            lambda connection: library.follow_show(connection, self.me, show, EVENING - HOUR, state)
        )


@pytest.fixture
def home(database: Database) -> Place:
    return Place(database)


# --- who knows it


@pytest.mark.parametrize("name", ["tmdb", "tvdb", "trakt"])
def test_the_ids_of_a_show_are_learned_from_an_episode(home: Place, name: str) -> None:
    home.watch(part(3))

    home.learn(name)

    (known,) = home.show_ids()
    assert known.plex == PLEX
    assert known.tvdb == 7000
    assert home.rows(unresolved) == []


def test_a_show_is_asked_about_once_for_all_its_plays_of_everybody(home: Place) -> None:
    home.watch(part(1))
    home.watch(part(2), 2)
    home.bring(seen(part(3), EVENING, "plex"), whom=home.other)
    home.learn()

    home.watch(part(4), 4)
    asked = home.learn()

    assert asked == 0
    assert {ids.tvdb for ids in home.show_ids()} == {7000}
    (other,) = home.plays(home.other)
    assert other.item["show_ids"]["tvdb"] == 7000


def test_another_play_of_the_very_episode_tells_without_a_lookup(home: Place) -> None:
    home.bring(seen(part(3, plex=None, show_ids=Ids(tvdb=7000)), EVENING - 300 * HOUR, key="tvtime:1"))
    home.watch(part(3))
    home.watch(part(4), 2)

    home.learn(lookups=False)

    assert {(ids.tvdb, ids.plex) for ids in home.show_ids()} == {(7000, None), (7000, PLEX)}


def test_a_play_of_the_same_title_and_place_tells_nothing(home: Place) -> None:
    namesake = Episode(show="Lantern Street", season=1, number=3, ids=Ids(tvdb=4), show_ids=Ids(tvdb=9))
    home.bring(seen(namesake, EVENING - 300 * HOUR, key="tvtime:1"))
    home.watch(part(3))

    home.learn(lookups=False)

    assert {(ids.tvdb, ids.plex) for ids in home.show_ids()} == {(9, None), (None, PLEX)}


def test_where_no_lookup_knows_it_the_media_server_is_asked(home: Place) -> None:
    server = FakePlex(Ids(tvdb=7000, imdb="tt0007000"))
    home.watch(part(3, ids=Ids(plex="only-plex-knows")), item_key="4711", show_key="4600")

    home.learn(server=server)

    assert server.asked == [(PLEX, ["4600"], ["4711"])]
    (known,) = home.show_ids()
    assert (known.tvdb, known.imdb) == (7000, "tt0007000")


def test_what_is_known_by_another_id_gets_the_one_that_shows_are_kept_by(home: Place) -> None:
    home.watch(part(3, ids=Ids(plex="only-plex-knows")), item_key="4711")

    home.learn("tmdb", server=FakePlex(Ids(imdb="tt0007000")))

    assert home.show_ids()[0].tvdb == 7000


# --- who cannot say


def test_lookups_that_are_down_are_asked_again_later_and_later(home: Place) -> None:
    home.watch(part(3))

    def down(services: Services) -> None:
        for fake in services.fakes.values():
            fake.faults.add("", status=503, times=-1)

    home.learn(before=down)
    first = home.question()
    home.learn(before=down)
    assert home.question().due_at == first.due_at
    waited = timedelta(hours=5)
    made = {"created_at": NOW - waited, "due_at": NOW - HOUR}
    home.database.do(lambda connection: connection.execute(update(unresolved).values(made)))
    home.learn(before=down)
    second = home.question()

    assert (first.state, second.state) == ("waiting", "waiting")
    assert timedelta(0) < first.due_at - clock.now() <= timedelta(minutes=1)
    assert second.due_at - clock.now() > waited - timedelta(minutes=1)
    assert home.show_ids() == [Ids(plex=PLEX)]

    home.database.do(lambda connection: connection.execute(update(unresolved).values(due_at=NOW)))
    home.learn()
    assert home.show_ids()[0].tvdb == 7000


def test_what_waits_for_a_lookup_is_asked_once_there_is_one(home: Place) -> None:
    home.watch(part(3))
    home.learn(lookups=False)
    assert home.question().due_at > clock.now() + timedelta(hours=12)

    home.learn()

    assert home.show_ids()[0].tvdb == 7000


def test_what_nobody_knew_is_asked_again_with_the_next_episode(home: Place) -> None:
    home.watch(part(3, ids=Ids(plex="only-plex-knows")))
    home.learn()
    assert home.question().reason == show_ids.NOBODY

    home.watch(part(4), 2)
    home.learn()

    assert {ids.tvdb for ids in home.show_ids()} == {7000}


def test_a_question_that_nobody_can_answer_is_not_put_before_a_person(home: Place) -> None:
    home.watch(part(3, ids=Ids(plex="only-plex-knows")))

    home.learn(server=FakePlex(Retry("away")))

    assert home.question().state == "waiting"
    assert home.database.ask(lookup_queue.list_open_choices)["items"] == []


def test_an_answer_that_was_broken_off_is_given_to_its_end(home: Place) -> None:
    for number in range(1, 6):
        home.watch(part(number), 2 * number)
    show = KnownShow(ids=replace(LANTERN, plex=PLEX))
    home.database.do(lambda connection: show_ids.scan(connection, [0]))
    home.database.do(lambda connection: show_ids.remember(connection, [(KEY, show, "tmdb")]))
    rows = home.plays()[:2]
    home.database.do(lambda connection: complete_plays(connection, show, rows))
    assert [ids.tvdb for ids in home.show_ids()] == [7000, 7000, None, None, None]

    asked = home.learn()

    assert asked == 0
    assert {ids.tvdb for ids in home.show_ids()} == {7000}
    assert home.rows(unresolved) == []


def test_a_show_of_many_plays_is_written_a_few_at_a_time(
    home: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_ids, "BATCH", 2)
    for number in range(1, 7):
        home.watch(part(number), 2 * number)

    home.learn()

    assert [ids.tvdb for ids in home.show_ids()] == [7000] * 6


# --- what was kept before


def test_the_show_is_followed_once(home: Place) -> None:
    home.follow(Show(title="Lantern Street", ids=Ids(tvdb=7000)), "archived")
    home.watch(part(3))
    home.mark(part(3))
    assert len(home.rows(follow)) == 2

    home.learn()

    (row,) = home.rows(follow)
    assert (row.show_key, row.state, row.followed_at) == ("tvdb:7000", "archived", EVENING - HOUR)
    assert row.ids == {**row.ids, "tvdb": 7000, "plex": PLEX}
    (marked,) = home.rows(tick)
    assert (marked.show_key, marked.item["show_ids"]["tvdb"]) == ("tvdb:7000", 7000)


def test_a_show_that_was_known_by_its_title_alone_is_followed_by_its_id(home: Place) -> None:
    home.watch(part(3))
    home.mark(part(3))
    learnt = shows.ShowList("title:lanternstreet", shows.NOWHERE, (), NOW)
    home.database.do(lambda connection: shows.store_lists(connection, [learnt]))

    home.learn()
    home.mark(part(4, show_ids=home.show_ids()[0]))

    (row,) = home.rows(follow)
    assert (row.show_key, row.show) == ("tvdb:7000", "Lantern Street")
    assert home.rows(episode_list) == []


def test_a_show_that_came_without_any_id_is_the_one_of_that_title_where_there_is_one(home: Place) -> None:
    home.follow(Show(title="Lantern Street"))
    home.watch(part(3))

    home.learn()

    assert [row.show_key for row in home.rows(follow)] == ["tvdb:7000"]


def test_a_namesake_stays_apart(home: Place) -> None:
    home.follow(Show(title="Lantern Street"))
    namesake = Episode(show="Lantern Street", season=1, number=3, ids=Ids(tvdb=4), show_ids=Ids(plex=OTHER))
    home.watch(namesake)
    home.watch(part(3), 3)
    home.mark(namesake)

    home.learn(times=2)

    by_plex = {ids.plex: ids.tvdb for ids in home.show_ids()}
    assert by_plex == {OTHER: None, PLEX: 7000}
    assert [row.show_key for row in home.rows(follow)] == ["title:lanternstreet"]
    (marked,) = home.rows(tick)
    assert marked.item["show_ids"] == {"plex": OTHER}


def test_of_two_ratings_of_the_show_the_later_one_stays(home: Place) -> None:
    by_plex = Show(title="Lantern Street", ids=Ids(plex=PLEX))
    rated = Kept(relation=Relation.RATING, item=by_plex, at=EVENING, value=9)
    home.bring(rated, replace(rated, item=Show(ids=Ids(tvdb=7000)), at=EVENING - HOUR, value=4))
    home.watch(part(3))
    assert len(home.rows(entry)) == 2

    home.learn()

    (row,) = home.rows(entry)
    assert (row.item_key, row.value, row.at) == ("show:tvdb:7000", 9, EVENING)
    assert row.item["ids"]["plex"] == PLEX
    again = replace(rated, item=Show(ids=Ids(tvdb=7000)), at=EVENING + HOUR, value=10)
    home.bring(again)
    assert [row.value for row in home.rows(entry)] == [10]


def test_a_delivery_names_the_show_by_what_was_learned(home: Place) -> None:
    home.watch(part(3))
    home.learn()

    async def resolve() -> Item:
        return await Identity(home.database, []).resolve(part(5), ("tvdb",))

    found = asyncio.run(resolve())
    assert isinstance(found, Episode)
    assert found.show_ids.tvdb == 7000
    other = asyncio.run(Identity(home.database, []).resolve(part(5, show_ids=Ids(plex=PLEX, tmdb=1))))
    assert isinstance(other, Episode)
    assert other.show_ids == Ids(plex=PLEX, tmdb=1)


# --- contradictions


def spoil(home: Place, **ids: Any) -> None:
    """The first play of the show says that it is another one."""
    row = home.plays()[0]
    item = {**row.item, "show_ids": {"plex": PLEX, **ids}}
    home.database.do(
        lambda connection: connection.execute(update(play).where(play.c.id == row.id).values(item=item))
    )


def test_an_id_that_contradicts_is_shown_and_nothing_is_written(home: Place) -> None:
    home.watch(part(1))
    home.watch(part(2), 2)
    spoil(home, tmdb=1)

    home.learn()

    assert home.show_ids() == [Ids(plex=PLEX, tmdb=1), Ids(plex=PLEX)]
    (shown,) = home.database.ask(lookup_queue.list_open_choices)["items"]
    assert (shown["key"], shown["title"], shown["plays"]) == (KEY, "Lantern Street", 2)
    assert shown["reason"] is not None
    assert "TheTVDB id 7000" in shown["reason"]
    assert "TMDB id 1;" in shown["reason"]
    assert [one["ids"].get("tvdb") for one in shown["candidates"]] == [7000, None]
    assert home.learn() == 0


def test_what_a_person_chooses_of_a_contradiction_is_written(home: Place) -> None:
    home.watch(part(1))
    home.watch(part(2), 2)
    home.mark(part(2))
    spoil(home, tmdb=1)
    home.learn()
    ids, title = home.database.ask(lambda connection: lookup_queue.candidate(connection, KEY, 1))

    home.database.do(lambda connection: lookup_queue.choose(connection, KEY, ids, NOW, title=title))
    home.learn()

    assert {known.tvdb for known in home.show_ids()} == {7000}
    assert [row.show_key for row in home.rows(follow)] == ["tvdb:7000"]
    assert home.rows(unresolved) == []
