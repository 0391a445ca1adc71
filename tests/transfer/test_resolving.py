"""What imports brought without an id: looked up once for all its plays, or put before a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy import event as happens

from tests.identity.world import ANIME_LIST, Services, everything
from tests.prepared import open_service
from tests.test_interpreter import NOW
from tests.transfer.test_bringing import EVENING, HOUR, Home, seen
from webhook import app, clock
from webhook.accounts import accounts
from webhook.domain import anime
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.history import shows
from webhook.identity.matches import NoMatch
from webhook.identity.resolver import NO_LOOKUPS, Identity
from webhook.queues import outbox
from webhook.storage.db import Database
from webhook.storage.tables import delivery, episode_list, unresolved
from webhook.transfer import lookup_queue
from webhook.transfer.lookup_queue import Resolver, UnresolvedJson

LANTERN = Episode(show="Lantern Street", season=1, number=3, year=1994)
FILM = Movie(title="Harbour Lights", year=2016)
TWINS = Movie(title="Burning Sea", year=2018)
NOWHERE = Movie(title="A Reel That Nobody Has", year=1931)


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


def looked_up(home: Home, *names: str, lookups: bool = True, before: Callable[[Services], Any] | None = None,
              times: int = 1) -> int:  # fmt: skip
    """Look up what is due, at these services; how many questions there were."""

    async def run() -> int:
        services = Services(everything())
        if before is not None:
            before(services)
        given = services.lookups(*names) if lookups else []
        resolver = Resolver(home.database, Identity(home.database, given, anime.read_list(ANIME_LIST)))
        try:
            return sum([await resolver.run_once() for _ in range(times)])
        finally:
            await services.http.aclose()

    return asyncio.run(run())


def bring(home: Home, *items: Item) -> None:
    home.bring(*(seen(item, EVENING + count * 9 * HOUR) for count, item in enumerate(items)))


def questions(home: Home) -> dict[str, Any]:
    rows = home.database.ask(lambda connection: connection.execute(select(unresolved)).all())
    return {row.key: row for row in rows}


def items(home: Home) -> list[dict[str, Any]]:
    return [row.item for row in home.plays()]


def waiting(home: Home, person_id: int | None = None) -> list[UnresolvedJson]:
    return home.database.ask(lambda connection: lookup_queue.list_open_choices(connection, person_id))[
        "items"
    ]


def test_a_film_that_is_found_gets_its_ids(home: Home) -> None:
    bring(home, FILM)

    assert looked_up(home) == 1

    (item,) = items(home)
    assert item["ids"]["imdb"] == "tt0005001"
    assert questions(home) == {}
    by_id = replace(FILM, title=None, ids=Ids(imdb="tt0005001"))
    assert home.bring(seen(by_id, EVENING, "simkl")).known == 1


def test_a_show_is_asked_about_once_for_all_its_plays(home: Home) -> None:
    parts = [replace(LANTERN, number=number) for number in (1, 2, 3)]
    bring(home, *parts)
    home.bring(seen(LANTERN, EVENING), whom=home.other)

    assert looked_up(home, times=3) == 1

    assert [item["show_ids"]["tvdb"] for item in items(home)] == [7000, 7000, 7000]
    (other,) = home.plays(home.other)
    assert other.item["show_ids"]["tvdb"] == 7000


def test_a_show_whose_name_begins_alike_is_left_alone(home: Home) -> None:
    bring(home, LANTERN, replace(LANTERN, show="Lantern Street Blues"))

    looked_up(home)

    by_show = {item["show"]: item["show_ids"] for item in items(home)}
    assert by_show["Lantern Street"]["tvdb"] == 7000
    assert by_show["Lantern Street Blues"] == {}


def test_what_is_not_sure_waits_for_a_person_with_candidates(home: Home) -> None:
    bring(home, TWINS, NOWHERE)

    looked_up(home)

    found = {entry["title"]: entry for entry in waiting(home)}
    assert len(found["Burning Sea"]["candidates"]) > 1
    assert found["A Reel That Nobody Has"]["candidates"] == []
    assert found["Burning Sea"]["plays"] == 1
    assert found["Burning Sea"]["reason"]
    assert looked_up(home) == 0


def test_only_what_is_of_one_s_own_plays_is_put_before_a_person(home: Home) -> None:
    bring(home, NOWHERE)
    looked_up(home)

    assert len(waiting(home, home.me)) == 1
    assert waiting(home, home.other) == []


def test_without_lookups_it_says_so_and_is_looked_up_once_there_are_some(home: Home) -> None:
    bring(home, FILM)

    looked_up(home, lookups=False, times=3)
    assert [entry["reason"] for entry in waiting(home)] == [NO_LOOKUPS]
    assert looked_up(home, lookups=False) == 0

    assert looked_up(home) == 1
    assert items(home)[0]["ids"]["imdb"] == "tt0005001"


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "headers": {"retry-after": "60"}}])
def test_a_lookup_that_cannot_answer_now_is_asked_later(home: Home, fault: dict[str, Any]) -> None:
    def down(services: Services) -> None:
        for fake in services.fakes.values():
            fake.faults.add("/", times=-1, **fault)

    bring(home, FILM)
    looked_up(home, before=down)

    (row,) = questions(home).values()
    assert row.state == "waiting"
    assert row.due_at > clock.now() + timedelta(minutes=30)
    assert looked_up(home) == 0
    later = update(unresolved).values(due_at=clock.now())
    home.database.do(lambda connection: connection.execute(later))
    looked_up(home)
    assert items(home)[0]["ids"]["imdb"] == "tt0005001"


# --- what a person chooses


def choose(home: Home, key: str, ids: Ids, **more: Any) -> int:
    return home.database.do(lambda connection: lookup_queue.choose(connection, key, ids, clock.now(), **more))


def test_a_choice_is_of_all_plays_of_the_show_with_its_season_offset(home: Home) -> None:
    unknown = replace(LANTERN, show="An Unheard Of Serial")
    bring(home, unknown, replace(unknown, number=4))
    looked_up(home)

    changed = choose(home, "show:title:anunheardofserial", Ids(tvdb=7000), season_offset=2)

    assert changed == 2
    assert {(item["season"], item["show_ids"]["tvdb"]) for item in items(home)} == {(3, 7000)}
    assert waiting(home) == []


def test_a_choice_is_remembered_for_the_next_import(home: Home) -> None:
    unknown = replace(LANTERN, show="An Unheard Of Serial")
    bring(home, unknown)
    choose(home, "show:title:anunheardofserial", Ids(tvdb=7000), season_offset=2)

    again = home.bring(seen(unknown, EVENING))
    new = home.bring(seen(replace(unknown, number=9), EVENING))

    assert (again.known, new.added, new.without_ids) == (1, 1, 0)
    assert items(home)[1]["season"] == 3
    assert questions(home) == {}


def test_what_does_not_wait_cannot_be_chosen(home: Home) -> None:
    with pytest.raises(NoMatch, match="Nothing waits"):
        choose(home, "movie:title:x:", Ids(tmdb=1))


# --- a lookup that is new


def unmatched(database: Database, person_id: int = 1, *, dismissed: bool = False) -> int:
    """A delivery of which no lookup could tell what it is; its number."""

    def put(connection: Connection) -> int:
        of = accounts.insert_account(connection, person_id, f"tracker {dismissed}", [Action.STOP], NOW)
        one = outbox.NewDelivery(
            account_id=of, action=Action.STOP, key="watched:1", item=FILM, at=NOW, mark=True
        )
        made = outbox.enqueue(connection, one, NOW)
        values = {"state": "unmatched", "reason": f"an id is missing, and {NO_LOOKUPS}", "attempts": 1}
        values["settled_at"] = NOW if dismissed else None
        connection.execute(update(delivery).where(delivery.c.id == made).values(values))
        return made

    return database.do(put)


def state(home: Home, delivery_id: int) -> str:
    wanted = select(delivery.c.state).where(delivery.c.id == delivery_id)
    return str(home.database.ask(lambda connection: connection.execute(wanted).scalar_one()))


def started(home: Home, **lookups: str) -> int:
    return home.database.do(lambda connection: lookup_queue.retry_unknown(connection, lookups, clock.now()))


def test_what_waited_for_a_lookup_is_tried_again_once_there_is_one(home: Home) -> None:
    bring(home, NOWHERE)
    looked_up(home)
    waits, left_alone = unmatched(home.database), unmatched(home.database, dismissed=True)

    assert started(home) == 0
    assert (state(home, waits), len(waiting(home))) == ("unmatched", 1)

    assert started(home, tmdb="a") == 2
    assert (state(home, waits), state(home, left_alone)) == ("waiting", "unmatched")
    assert looked_up(home) == 1


@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        ({"tmdb": "a"}, {"tmdb": "a"}, False),
        ({"tmdb": "a"}, {"tmdb": "a", "tvdb": "b"}, True),
        ({"tmdb": "a"}, {"tmdb": "other key"}, True),
        ({"tmdb": "a", "tvdb": "b"}, {"tmdb": "a"}, False),
    ],
)
def test_it_is_tried_again_for_what_is_new_and_not_at_every_start(
    home: Home, before: dict[str, str], after: dict[str, str], again: bool
) -> None:
    started(home, **before)
    waits = unmatched(home.database)

    tried = started(home, **after)

    assert tried == again
    assert state(home, waits) == ("waiting" if again else "unmatched")
    assert started(home, **after) == 0


def test_a_show_that_no_lookup_listed_is_asked_about_again(home: Home) -> None:
    for key, via in (("tvdb:1", shows.NOWHERE), ("tvdb:2", "tmdb")):
        values = {"show_key": key, "via": via, "episodes": [], "asked_at": NOW}
        home.database.do(lambda connection, values=values: connection.execute(insert(episode_list), values))  # type: ignore[misc]

    started(home, tvdb="a")

    wanted = select(episode_list.c.show_key)
    assert home.database.ask(lambda connection: connection.execute(wanted).scalars().all()) == ["tvdb:2"]


def test_a_service_that_starts_with_a_new_lookup_tries_again(tmp_path: Path) -> None:
    def at_start(**settings: str) -> str:
        service = open_service({"DATA_DIR": str(tmp_path), **settings})
        service.database.do(lambda connection: app.pick_up(connection, service))
        found = service.database.ask(
            lambda connection: connection.execute(select(delivery.c.state)).scalars().all()
        )
        asyncio.run(service.http.aclose())
        service.database.close()
        return ",".join(found)

    at_start()
    database = Database(f"sqlite:///{tmp_path}/watchmark.db")
    unmatched(database)
    database.close()

    assert at_start() == "unmatched"
    assert at_start(TMDB_TOKEN="token") == "waiting"


# --- a history of any length


def plan(home: Home, key: str) -> str:
    """How the database goes about finding the plays of a question."""
    statements: list[tuple[str, Any]] = []

    def heard(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    engine = home.database.engine
    happens.listen(engine, "before_cursor_execute", heard)
    home.database.do(lambda connection: lookup_queue.plays_of(connection, key))
    happens.remove(engine, "before_cursor_execute", heard)
    found = []
    for statement, parameters in statements:
        explain = "EXPLAIN QUERY PLAN " if home.database.sqlite else "EXPLAIN "
        if not statement.lstrip().upper().startswith("SELECT"):
            continue
        rows = home.database.do(
            lambda connection, told=(explain + statement, parameters): connection.exec_driver_sql(*told).all()  # type: ignore[misc]
        )
        found += [str(row) for row in rows]
    return "\n".join(found)


@pytest.mark.parametrize("key", ["show:title:tidewater", "movie:title:harbourlights:2016"])
def test_a_question_does_not_go_through_the_whole_history(database: Database, key: str) -> None:
    home = Home(database)
    many = [Movie(title=f"Film {number}", year=2000, ids=Ids(tmdb=number)) for number in range(3000)]
    home.bring(*(seen(item, EVENING) for item in many))
    if not database.sqlite:
        database.do(lambda connection: connection.exec_driver_sql("ANALYZE play, play_key, person").close())

    shown = plan(home, key)

    assert "SCAN play" not in shown
    assert "Seq Scan on play" not in shown, shown
