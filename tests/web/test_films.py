"""A film's page: its viewings, what trackers got of them, and the watchlist; and the same for scripts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from tests.web.conftest import Household, form_token
from tests.web.viewings import NOON, put_marks, seen, viewing
from webhook import clock
from webhook.domain.event import Ids, Movie
from webhook.domain.play import Dated
from webhook.history import library
from webhook.storage.tables import play

FILM = Movie(title="Harbour", year=2001, ids=Ids(tmdb=603, imdb="tt0133093"))
OTHER_NAME = Movie(title="Der Hafen", year=2001, ids=Ids(imdb="tt0133093"))
PAGE = "/library/films/tmdb:603"


def watch(home: Household, *items: Movie, person_id: int = 1) -> None:
    viewings = [viewing(item, NOON + timedelta(days=100 * place)) for place, item in enumerate(items)]
    seen(home, *viewings, person_id=person_id)


def post(browser: httpx.Client, form: str, **fields: str) -> httpx.Response:
    token = form_token(browser.get("/library").text)
    answer = browser.post(f"{PAGE}/{form}", data={"form_token": token, "back": PAGE, **fields})
    return browser.get(answer.headers["location"]) if answer.status_code == 303 else answer


def plays(home: Household) -> list[Any]:
    wanted = select(play).where(play.c.removed_at.is_(None)).order_by(play.c.id)
    return list(home.do(lambda connection: connection.execute(wanted).all()))


def test_a_film_has_all_its_viewings_whatever_ids_they_came_with(home: Household) -> None:
    watch(home, FILM, OTHER_NAME)
    home.do(lambda connection: put_marks(connection, {1: "done", 2: "waiting"}))

    film = home.api().get("/api/v1/films/tmdb:603").json()

    assert (film["person"], film["title"], film["year"]) == ("me", "Der Hafen", 2001)
    assert film["ids"] == {"tmdb": 603, "imdb": "tt0133093"}
    assert film["runtime_ms"] == 3_600_000
    states = [[(one["tracker"], one["state"]) for one in watched["deliveries"]] for watched in film["plays"]]
    assert states == [[("trakt", "waiting")], [("trakt", "done")]]
    assert home.api().get("/api/v1/films/imdb:tt0133093").json()["plays"] == film["plays"]


def test_its_page_says_when_and_what_trackers_got(home: Household) -> None:
    watch(home, FILM, FILM)
    home.do(lambda connection: put_marks(connection, {1: "done", 2: "dead"}))
    home.do(lambda connection: library.store_entry(connection, 1, library.RATING, FILM, clock.now(), 8.0))

    page = home.browser().get(PAGE).text

    for words in ("Watched 2 times", "2001", "1 h", "rated 8", "rewatched", "Trakt: failed", "Watched again"):
        assert words in page
    assert page.count(">Remove</button>") == 2


@pytest.mark.parametrize("place", ["/history/plays/1", "/library/films", "/history/numbers"])
def test_pages_lead_to_it(home: Household, place: str) -> None:
    watch(home, FILM)

    page = home.browser().get(place).text

    (link,) = set(re.findall(r'href="(/library/films/[^"?]+)', page))
    assert "Viewings" in home.browser().get(link).text


def test_a_film_is_marked_and_a_viewing_is_removed_and_brought_back(home: Household) -> None:
    home.do(lambda connection: library.store_entry(connection, 1, library.WATCHLIST, FILM, NOON))
    browser = home.browser()
    assert "Not watched yet" in browser.get(PAGE).text

    assert "Added to your history." in post(browser, "mark").text
    assert "already" in post(browser, "mark").text
    assert [row.dated for row in plays(home)] == [Dated.EXACT]
    home.do(lambda connection: connection.execute(update(play).values(watched_at=NOON, started_at=NOON)))
    post(browser, "mark", again="1")

    page = post(browser, "unmark", play="1")
    assert "Removed: 1." in page.text
    assert [row.id for row in plays(home)] == [2]
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text.split("<h1>")[0]))
    browser.post("/history/selected/restore", data=fields)
    assert [row.id for row in plays(home)] == [1, 2]
    assert post(browser, "unmark", play="99").status_code == 404


def test_where_its_only_viewing_goes_the_films_say_so_and_bring_it_back(home: Household) -> None:
    watch(home, FILM)
    browser = home.browser()

    page = post(browser, "unmark", play="1")

    assert page.url.path == "/library/films"
    assert "Undo" in page.text
    assert browser.get(PAGE).status_code == 404


def test_a_film_goes_on_the_watchlist_and_off_it(home: Household) -> None:
    watch(home, FILM)
    browser, api = home.browser(), home.api()

    assert "Off the watchlist" in post(browser, "watchlist").text
    assert api.get("/api/v1/films/tmdb:603").json()["watchlist"] is True
    assert "/library/films/tmdb" in browser.get("/library/watchlist").text
    assert "Off the watchlist" not in post(browser, "watchlist", does="remove").text

    assert api.put("/api/v1/films/tmdb:603/watchlist").json()["watchlist"] is True
    assert api.delete("/api/v1/films/tmdb:603/watchlist").json()["watchlist"] is False
    assert api.get("/api/v1/library?relation=watchlist").json()["items"] == []
    assert api.put("/api/v1/films/tmdb:9/watchlist").status_code == 404


@pytest.mark.parametrize("key", ["tmdb:1", "tmdb:", "title:harbour", "x", "tmdb:6 3"])
def test_what_is_no_film_of_the_history_is_not_found(home: Household, key: str) -> None:
    watch(home, FILM)

    assert home.browser().get(f"/library/films/{key}").status_code == 404
    assert home.api().get(f"/api/v1/films/{key}").status_code == 404


def test_a_film_without_ids_has_its_page_by_title_and_year(home: Household) -> None:
    watch(home, Movie(title="Slow Light", year=1999))

    assert "Slow Light" in home.browser().get("/library/films/title:slowlight:1999").text


def test_a_member_sees_and_changes_only_their_own(home: Household) -> None:
    home.person("ben")
    watch(home, FILM)
    browser = home.browser("ben")

    assert browser.get(PAGE).status_code == 404
    assert browser.get(f"{PAGE}?person=me").status_code == 403
    assert post(browser, "mark", person="me").status_code == 403
    assert len(plays(home)) == 1
