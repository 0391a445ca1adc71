"""Posters: from TMDB through this service, kept, and only of what the visitor may see."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fakes._server import Server
from tests.fakes._world import Film, World
from tests.fakes.tmdb import JPEG, Tmdb
from tests.web.conftest import Household, Open
from webhook import clock
from webhook.domain.event import Ids, Movie, Track
from webhook.domain.play import Play, State
from webhook.transfer import merge
from webhook.transfer.records import Viewing


@pytest.fixture
def tmdb() -> Iterator[Server]:
    world = World()
    world.films.append(Film(title="Harbour", year=1999, ids={"tmdb": 41}))
    with Server(Tmdb(world)) as server:
        yield server


@pytest.fixture
def home(opened: Open, tmdb: Server) -> Household:
    return opened(
        TMDB_TOKEN=tmdb.fake.switches.token, TMDB_API_URL=f"{tmdb.url}/3", TMDB_IMAGE_URL=f"{tmdb.url}/t/p"
    )


def plays(household: Household, item: Movie | Track, person_id: int = 1) -> None:
    now = clock.now()
    playing = Play(item=item, state=State.PLAYING, started_at=now, last_at=now, source="plex")
    household.do(lambda connection: merge.merge_entries(connection, person_id, [Viewing(play=playing)], now))


def asked(tmdb: Server) -> list[str]:
    return [call.path for call in tmdb.fake.calls if call.path.startswith("/t/p/")]


def test_the_poster_of_what_plays_is_fetched_once_and_kept(home: Household, tmdb: Server) -> None:
    plays(home, Movie(title="Harbour", year=1999, ids=Ids(tmdb=41)))
    browser = home.browser()
    assert 'src="/posters/1"' in browser.get("/").text

    answers = [browser.get("/posters/1") for _ in range(2)]

    assert [(answer.content, answer.headers["content-type"]) for answer in answers] == [
        (JPEG, "image/jpeg")
    ] * 2
    assert asked(tmdb) == ["/t/p/w342/film41.jpg"]


def blank(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"


def test_where_there_is_none_it_is_a_grey_one(home: Household, tmdb: Server) -> None:
    plays(home, Movie(title="Nobody knows it", year=2001, ids=Ids(tmdb=999)))
    plays(home, Track(title="Song", artist="Singer"))
    browser = home.browser()

    assert all(blank(browser.get(f"/posters/{number}")) for number in (1, 1, 2, 77))
    assert asked(tmdb) == []
    assert len([call for call in tmdb.fake.calls if "999" in call.path]) == 1  # and not asked again at once


def test_a_tmdb_that_is_down_costs_the_poster_and_nothing_else(opened: Open) -> None:
    home = opened(TMDB_TOKEN="a.b.c", TMDB_API_URL="http://127.0.0.1:9/3")
    plays(home, Movie(title="Harbour", year=1999, ids=Ids(tmdb=41)))
    browser = home.browser()

    assert blank(browser.get("/posters/1"))
    assert browser.get("/").status_code == 200


def test_nobody_sees_what_another_plays_by_its_poster(home: Household, tmdb: Server) -> None:
    home.person("ben")
    plays(home, Movie(title="Harbour", year=1999, ids=Ids(tmdb=41)))

    assert blank(home.browser("ben").get("/posters/1"))
    assert home.client().get("/posters/1").status_code == 303
    assert asked(tmdb) == []


def test_without_tmdb_there_is_no_place_for_one(opened: Open) -> None:
    home = opened()
    plays(home, Movie(title="Harbour", year=1999, ids=Ids(tmdb=41)))

    assert "/posters/" not in home.browser().get("/").text
