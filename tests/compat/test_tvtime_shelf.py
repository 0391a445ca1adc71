"""What is on a person's shelf, on both databases; what TheTVDB adds to it; and a server that is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import sqlalchemy.event
from sqlalchemy import Connection, insert, select

from tests.compat import _own
from tests.compat._tvtime import (
    BOYS,
    OFFICE,
    Box,
    Programme,
    boxed,
    fill,
    list_shows,
    somebody,
    with_password,
)
from tests.fakes._server import Server
from tests.fakes.tvdb import Tvdb
from tests.fakes.tvtime import TVTime
from tests.running import Process, eventually, started
from tests.web.conftest import PASSWORD
from webhook import clock
from webhook.accounts import accounts
from webhook.compat.tvtime import marks, shelf, shelf_episodes
from webhook.compat.tvtime.auth import Guest
from webhook.compat.tvtime.marks import MarkRequest
from webhook.domain.event import Action, Episode, Event, Ids, Item, Movie, Show, item_to_json
from webhook.history import edits, library, plays, shows
from webhook.history.shelf import shelf_keys
from webhook.lookups import ListedEpisode
from webhook.people import passwords, people
from webhook.service import Service
from webhook.storage import tables
from webhook.storage.db import Database

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
OK = {"status": "OK"}


class Anna:
    """A person with a history, in either database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = database.do(lambda connection: people.add_person(connection, "anna", NOW))
        database.do(list_shows)

    def heard(self, action: Action, item: Item, at: datetime = NOW) -> None:
        event = Event(action=action, item=item, at=at)
        self.database.do(lambda connection: plays.apply(connection, self.id, event, "plex", 80))

    def saw(self, item: Item, ago: timedelta = timedelta(0)) -> None:
        self.heard(Action.WATCHED, item, NOW - ago)

    def ticked(self, item: Episode | Movie, rewatches: int = 0) -> None:
        key, show_key = shelf_keys(item)
        row = {
            "person_id": self.id, "item_key": key, "show_key": show_key, "kind": item.kind.value,
            "item": item_to_json(item), "watched_at": NOW, "rewatches": rewatches,
        }  # fmt: skip
        self.database.do(lambda connection: connection.execute(insert(tables.tick), row))

    def seen(self, item: Item) -> int:
        found = self.database.do(lambda connection: shelf.watch_summary(connection, self.id, item))
        return found.count if found else 0

    def show(self, tvdb: int) -> shelf.Series:
        return self.database.do(lambda connection: shelf.read_show(connection, self.id, tvdb))

    def places(self, tvdb: int) -> list[tuple[int, int]]:
        return sorted(self.show(tvdb).seen)


@pytest.fixture
def anna(database: Database) -> Anna:
    return Anna(database)


def boys(number: int, **more: object) -> Episode:
    known = {"show": "The Boys", "season": 1, "number": number, "ids": Ids(tvdb=BOYS.id_of(1, number))}
    return Episode(**{**known, "show_ids": Ids(tvdb=BOYS.tvdb), **more})  # type: ignore[arg-type]


DAY = timedelta(days=1)
BY_TITLE = boys(4, ids=Ids(), show_ids=Ids())
BY_PLACE = boys(5, ids=Ids(), show=None)
BY_ID = Episode(ids=Ids(tvdb=BOYS.id_of(1, 6)))


def test_an_episode_is_seen_whatever_it_is_known_by(anna: Anna) -> None:
    anna.database.do(lambda connection: library.follow_show(connection, anna.id, Show(
        title="The Boys", ids=Ids(tvdb=BOYS.tvdb)), NOW))  # fmt: skip
    for item in (boys(1), BY_TITLE, BY_PLACE, BY_ID):
        anna.saw(item)

    (show,) = anna.database.do(lambda connection: shelf.read_followed_shows(connection, anna.id))

    assert anna.places(BOYS.tvdb) == sorted(show.seen) == [(1, 1), (1, 4), (1, 5), (1, 6)]
    assert (show.via, len(show.episodes), show.watched_count(NOW.date())) == ("tvdb", 8, 4)


def test_a_show_of_the_same_title_with_another_id_is_another_show(anna: Anna) -> None:
    anna.database.do(lambda connection: library.follow_show(connection, anna.id, Show(
        title="The Boys", ids=Ids(tvdb=BOYS.tvdb)), NOW))  # fmt: skip
    anna.saw(boys(1, ids=Ids(), show_ids=Ids(tvdb=1)))
    anna.saw(boys(2, ids=Ids(), show_ids=Ids(imdb="tt1", tvdb=2)))

    assert anna.places(BOYS.tvdb) == []


def test_what_was_taken_back_or_removed_is_not_seen(anna: Anna) -> None:
    for number in (1, 2, 3):
        anna.saw(boys(number), DAY)
    anna.heard(Action.UNWATCHED, boys(1))
    play = (
        select(tables.play.c.id).where(tables.play.c.person_id == anna.id).order_by(tables.play.c.id.desc())
    )
    removed = anna.database.do(lambda connection: connection.execute(play.limit(1)).scalar_one())
    anna.database.do(lambda connection: edits.remove_play(connection, removed, {}, None, NOW))

    assert anna.places(BOYS.tvdb) == [(1, 2)]
    assert [anna.seen(boys(number)) for number in (1, 2, 3)] == [0, 1, 0]
    found = anna.database.do(lambda connection: shelf.watched_episodes(connection, anna.id))
    assert [number for number, _ in found] == [BOYS.id_of(1, 2)]


def test_the_last_viewing_says_whether_it_is_marked_and_all_that_stand_count(anna: Anna) -> None:
    for days in (9, 6, 3):
        anna.saw(boys(1), days * DAY)
    before = anna.seen(boys(1))
    anna.heard(Action.UNWATCHED, boys(1), NOW - 2 * DAY)
    between = anna.seen(boys(1))
    anna.saw(boys(1))

    assert (before, between, anna.seen(boys(1))) == (3, 0, 3)
    ((_, one),) = anna.database.do(lambda connection: shelf.watched_episodes(connection, anna.id))
    assert (one.first, one.last, one.count) == (NOW - 9 * DAY, NOW, 3)


def test_a_tick_counts_where_the_history_knows_nothing(anna: Anna) -> None:
    anna.ticked(boys(1), rewatches=2)
    anna.ticked(boys(2))
    anna.saw(boys(2), DAY)
    anna.heard(Action.UNWATCHED, boys(2))
    anna.ticked(Movie(title="Film", year=2000, ids=Ids(tvdb=9)))

    assert anna.places(BOYS.tvdb) == [(1, 1)]
    assert [anna.seen(boys(number)) for number in (1, 2)] == [3, 0]
    found = anna.database.do(lambda connection: shelf.movies(connection, anna.id))
    assert [(film.title, one.count) for film, one in found] == [("Film", 1)]


def test_a_movie_is_one_however_its_plays_know_it(anna: Anna) -> None:
    anna.saw(Movie(title="Film", year=2000, ids=Ids(imdb="tt1")), 3 * DAY)
    anna.saw(Movie(title="Film", year=2000, ids=Ids(imdb="tt1", tvdb=9)), 2 * DAY)
    anna.saw(Movie(ids=Ids(tvdb=9)))
    anna.saw(Movie(title="Film", year=2000, ids=Ids(imdb="tt2")), DAY)

    found = anna.database.do(lambda connection: shelf.movies(connection, anna.id))

    assert [(film.ids.by_namespace(), one.count) for film, one in found] == [
        ({"tvdb": 9, "imdb": "tt1"}, 3),
        ({"imdb": "tt2"}, 1),
    ]
    assert (
        anna.database.do(lambda connection: shelf.find_movie(connection, anna.id, Ids(tvdb=9))) == found[0][0]
    )


def test_an_episode_is_named_by_the_list_and_as_the_history_has_it_first(anna: Anna) -> None:
    def named(number: int) -> Episode:
        return anna.database.do(lambda connection: shelf_episodes.find_episode(connection, anna.id, number))

    listed, unknown = named(BOYS.id_of(1, 2)), named(1)
    anna.saw(boys(3, ids=Ids(tvdb=BOYS.id_of(1, 2)), season=2))

    assert (listed.season, listed.number, listed.show_ids.tvdb, listed.title) == (1, 2, BOYS.tvdb, "Part 1.2")
    assert unknown == Episode(ids=Ids(tvdb=1))
    assert (named(BOYS.id_of(1, 2)).season, named(BOYS.id_of(1, 2)).number) == (2, 3)


def test_marks_are_kept_once_and_follow_the_show(anna: Anna) -> None:
    guest = Guest(anna.id, "anna", "")
    items = tuple(boys(number) for number in range(1, 9))
    anna.saw(boys(3), DAY)

    def put(action: Action, *of: Item) -> list[int]:
        asked = MarkRequest(guest, action, of, NOW)
        return list(anna.database.do(lambda connection: marks.store_marks(connection, [asked]))[0].webhooks)

    assert len(put(Action.WATCHED, *items)) == 7
    assert [
        show.tvdb
        for show in anna.database.do(lambda connection: shelf.read_followed_shows(connection, anna.id))
    ] == [BOYS.tvdb]
    assert len(anna.database.do(lambda connection: marks.pending_webhooks(connection, anna.id))) == 7
    anna.ticked(boys(1))
    assert len(put(Action.UNWATCHED, boys(1))) == 1
    assert anna.seen(boys(1)) == 0


def test_an_episode_is_as_long_as_its_longest_viewing_that_stands(anna: Anna) -> None:
    for days, minutes in ((9, 40), (6, 45), (3, None)):
        event = Event(
            action=Action.WATCHED, item=boys(1), at=NOW - timedelta(days=days),
            duration_ms=minutes and minutes * 60_000,
        )  # fmt: skip
        anna.database.do(partial(plays.apply, person_id=anna.id, event=event, source="plex", mark=80))
    anna.saw(boys(2))

    found = anna.database.do(lambda connection: shelf.watched_episodes(connection, anna.id))

    assert [(number, one.count, one.runtime_ms) for number, one in found] == [
        (BOYS.id_of(1, 1), 3, 45 * 60_000), (BOYS.id_of(1, 2), 1, None),
    ]  # fmt: skip
    assert anna.show(BOYS.tvdb).seen[1, 1].runtime_ms == 45 * 60_000


def test_a_show_that_is_kept_for_later_stays_so_when_it_is_marked(anna: Anna) -> None:
    show = Show(title="The Boys", ids=Ids(tvdb=BOYS.tvdb))
    anna.database.do(lambda connection: library.follow_show(connection, anna.id, show, NOW, "for_later"))

    asked = MarkRequest(Guest(anna.id, "anna", ""), Action.WATCHED, (boys(1),), NOW)
    anna.database.do(lambda connection: marks.store_marks(connection, [asked]))

    assert anna.show(BOYS.tvdb).state == "for_later"


# --- what TheTVDB says


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[tuple[Box, Tvdb]]:
    with Server(Tvdb(_own.world())) as lookup:
        settings = {"TVDB_API_KEY": lookup.fake.switches.key, "TVDB_API_URL": f"{lookup.url}/v4"}
        with boxed(tmp_path, **settings) as box:
            yield box, lookup.fake


MOONSHINE = 398096


def test_a_show_s_episodes_are_asked_for_once(asking: tuple[Box, Tvdb]) -> None:
    box, tvdb = asking
    client = box.signed_in()

    answers = [client.get(f"/tvtime/show/{MOONSHINE}") for _ in range(3)]

    assert [answer.headers["x-watchmark-episodes"] for answer in answers] == ["tvdb"] * 3
    (season,) = answers[0].json()["seasons"]
    assert (season["number_of_episodes"], season["episodes"][1]["id"]) == ("8", "8685325")
    assert len(tvdb.made(f"GET /v4/series/{MOONSHINE}/episodes")) == 1


def test_a_show_that_is_followed_has_its_name_of_thetvdb(asking: tuple[Box, Tvdb]) -> None:
    client = asking[0].signed_in()

    assert client.put(f"/tvtime/show/{MOONSHINE}/follow").json() == OK

    assert [show["name"] for show in client.get("/tvtime/shows").json()["series"]] == ["Moonshine"]


@pytest.mark.parametrize("path", ["/show/1/follow", "/episode/1/watched"])
def test_what_thetvdb_does_not_know_is_refused(asking: tuple[Box, Tvdb], path: str) -> None:
    answer = asking[0].signed_in().put(f"/tvtime{path}")

    assert (answer.status_code, answer.json()) == (
        502,
        {"reason": "502 - PUT request failed!", "status": "KO"},
    )
    assert asking[0].plays() == []


@pytest.mark.parametrize("path", [f"/show/{MOONSHINE}/follow", "/episode/8685325/watched"])
def test_while_thetvdb_is_away_it_is_done_all_the_same(asking: tuple[Box, Tvdb], path: str) -> None:
    box, tvdb = asking
    tvdb.faults.add("", status=503, times=-1)

    assert box.signed_in().put(f"/tvtime{path}").json() == OK


def test_a_mark_of_an_episode_nobody_here_knew_is_named_by_thetvdb(asking: tuple[Box, Tvdb]) -> None:
    box, _ = asking

    box.signed_in().put("/tvtime/episode/8685325/watched")

    (play,) = box.plays()
    assert (play.item["show"], play.item["season"], play.item["number"]) == ("Moonshine", 1, 2)
    assert play.item["show_ids"]["tvdb"] == MOONSHINE


# --- with TVTIME_URL


def test_a_mark_goes_through_to_the_server_that_is_connected(tmp_path: Path) -> None:
    def prepared(connection: Connection, service: Service) -> None:
        list_shows(connection)
        with_password(connection, "me", passwords.hash_password(PASSWORD))

    with Server(fill(TVTime())) as server:
        user = server.fake.add_user("anna", "secret")
        process = Process(tmp_path, TVTIME_URL=server.url, TVTIME_WRITES_PER_SECOND="0").prepare(prepared)
        process.connect("tvtime", user.tokens)
        process.prepared(
            lambda connection, service: accounts.set_action(
                connection, account_of(connection), Action.UNWATCHED, True
            )
        )
        with started(process), httpx.Client(base_url=process.url, timeout=20) as client:
            client.post("/tvtime/login", data={"username": "me", "password": PASSWORD})
            number = BOYS.id_of(1, 1)
            marked = client.put(f"/tvtime/episode/{number}/watched").json()
            eventually(lambda: number in user.watched, "the mark arrives")
            taken = client.delete(f"/tvtime/episode/{number}/watched").json()
            eventually(lambda: number not in user.watched, "it is taken back")

        assert marked == taken == OK
        assert len(server.fake.made("POST /sidecar/api2.tozelabs.com/v2/watched_episodes")) == 1


def account_of(connection: Connection) -> int:
    mine = select(tables.account.c.id).where(
        tables.account.c.tracker == "tvtime", tables.account.c.tokens.is_not(None)
    )
    return int(connection.execute(mine).scalar_one())


def test_the_time_of_a_show_is_what_its_viewings_took(tmp_path: Path) -> None:
    with boxed(tmp_path) as box:
        other = somebody(box.home)
        event = Event(action=Action.WATCHED, item=boys(1), at=clock.now(), duration_ms=3_660_000)
        for person in (box.person_id, other.person_id):
            box.home.do(partial(plays.apply, person_id=person, event=event, source="plex", mark=80))
        box.follow(BOYS, OFFICE)

        shows = box.signed_in().get("/tvtime/shows").json()["series"]

        assert sorted((show["id"], show["progress"], show["time"]) for show in shows) == [
            (73244, "0%", "0h 0m"), (355567, "12%", "1h 1m"),
        ]  # fmt: skip


def test_only_the_guest_s_own_marks_are_waited_for(anna: Anna) -> None:
    """Another's bulk mark that is still to be interpreted holds up nobody."""
    ben = anna.database.do(lambda connection: people.add_person(connection, "ben", NOW))
    asked = [
        MarkRequest(Guest(number, "", ""), Action.WATCHED, (boys(number),), NOW) for number in (anna.id, ben)
    ]

    mine, theirs = anna.database.do(lambda connection: marks.store_marks(connection, asked))

    def unread(number: int) -> list[int]:
        return anna.database.do(lambda connection: marks.pending_webhooks(connection, number))

    assert [unread(anna.id), unread(ben)] == [mine.webhooks, theirs.webhooks]
    assert mine.webhooks
    assert theirs.webhooks


def test_what_is_seen_of_many_is_asked_for_at_once(anna: Anna) -> None:
    items = [boys(number) for number in range(1, 9)]
    anna.saw(boys(3), DAY)
    anna.ticked(boys(5), rewatches=1)

    def counted(connection: Connection, some: list[Item]) -> tuple[list[int], int]:
        asked: list[str] = []
        listen = lambda *told: asked.append(told[2])  # noqa: E731
        sqlalchemy.event.listen(connection, "before_cursor_execute", listen)
        found = shelf.watch_summaries(connection, anna.id, some)
        return [one.count if one else 0 for one in found], len(asked)

    seen, many = anna.database.do(lambda connection: counted(connection, list(items)))
    _, few = anna.database.do(lambda connection: counted(connection, list(items[2:3])))

    assert seen == [0, 0, 1, 0, 2, 0, 0, 0]
    assert many == few


def test_a_long_list_of_marks_is_kept_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, keep = [], marks.store_mark

    def noted(connection: Connection, asked: MarkRequest) -> marks.StoredMarks:
        sizes.append(len(asked.items))
        return keep(connection, asked)

    monkeypatch.setattr(marks, "store_mark", noted)
    daily = Programme(777, "The Daily Planet", 6_000_001, {1: 230})
    with boxed(tmp_path) as box:
        box.home.do(lambda connection: list_shows(connection, [daily]))
        told = box.client().post(
            "/tvtime/sidecar",
            params={"o": "https://auth.tvtime.com/v1/login"},
            json={"username": box.name, "password": PASSWORD},
        )
        bearer = {"Authorization": f"Bearer {told.json()['data']['jwt_token']}"}
        until = f"https://api2.tozelabs.com/v2/watched_episodes/show/777/until/episode/{daily.id_of(1, 230)}"

        answer = box.client().post("/tvtime/sidecar", params={"o": until}, headers=bearer).json()

        assert answer == {"result": "OK"}
        assert sizes == [100, 100, 30]
        eventually(lambda: len(box.plays()) == 230, "all are marked")


# --- the name of a show


def names(client: httpx.Client) -> list[str]:
    return [show["name"] for show in client.get("/tvtime/shows").json()["series"]]


def test_a_show_followed_by_a_mark_has_its_name(asking: tuple[Box, Tvdb]) -> None:
    box, _ = asking
    client = box.signed_in()
    client.get("/tvtime/show/81189")

    assert client.put("/tvtime/episode/349232/watched").json() == OK

    assert names(client) == ["Breaking Bad"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/show/81189"), ("PUT", "/show/81189/follow"), ("PUT", "/episode/349232/watched")],
)
def test_a_show_that_is_followed_without_a_name_gets_it(
    asking: tuple[Box, Tvdb], method: str, path: str
) -> None:
    """Such as one that was followed while TheTVDB was away."""
    box, _ = asking
    pilot = ListedEpisode(season=1, number=1, ids=Ids(tvdb=349232))
    box.home.do(lambda c: shows.store_list(c, shows.ShowList("tvdb:81189", "tvdb", [pilot], clock.now())))
    box.home.do(lambda c: library.follow_show(c, box.person_id, Show(ids=Ids(tvdb=81189)), clock.now()))
    client = box.signed_in()
    before = names(client)

    client.request(method, f"/tvtime{path}")

    assert (before, names(client)) == (["Show 81189"], ["Breaking Bad"])


def test_a_show_s_name_is_asked_for_once(asking: tuple[Box, Tvdb]) -> None:
    box, lookup = asking
    client = box.signed_in()
    for _ in range(3):
        client.get("/tvtime/show/81189")

    asked = [call for call in lookup.calls if "/series/81189" in call.path and "episodes" not in call.path]
    assert len(asked) == 1
