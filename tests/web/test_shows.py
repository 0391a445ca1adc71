"""A show's episodes and its follow, as scripts have them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from tests.web.conftest import Household, form_token
from tests.web.viewings import NOON, seen, viewing
from webhook import clock
from webhook.domain.event import Ids, Movie
from webhook.history import library
from webhook.storage import tables


@pytest.fixture
def watched(home: Household) -> Household:
    """A household in which the first episode of Harbour Street was watched, by its TheTVDB id."""
    home.hear(grandparentGuid="plex://show/1", grandparentTitle="Harbour Street")
    return home


def listed(home: Household, key: str, *later: str) -> None:
    """The list of a show with two episodes that have aired, and one on each of these days."""
    episodes = [
        {"season": 1, "number": number, "title": f"Part {number}", "aired": day}
        for number, day in enumerate(("2026-01-01", "2026-01-01", *later), 1)
    ]
    values = {"show_key": key, "via": "tvdb", "episodes": episodes, "asked_at": clock.now()}
    home.do(lambda connection: connection.execute(insert(tables.episode_list), values))


def keys(home: Household) -> list[str]:
    rows: list[dict[str, Any]] = home.api().get("/api/v1/library?relation=follow").json()["items"]
    return [row["key"] for row in rows]


def test_a_show_has_its_episodes_and_the_plays_of_each(watched: Household) -> None:
    key = "title:harbourstreet"
    listed(watched, key)

    show = watched.api().get(f"/api/v1/shows/{key}").json()

    assert (show["person"], show["key"], show["title"], show["state"]) == ("me", key, "Harbour Street", None)
    assert [(one["season"], one["number"], len(one["plays"])) for one in show["episodes"]] == [
        (1, 1, 1),
        (1, 2, 0),
    ]
    assert show["episodes"][1]["title"] == "Part 2"


def test_a_season_says_how_many_it_has_only_where_its_list_is_known(watched: Household) -> None:
    key, browser = "title:harbourstreet", watched.browser()
    watched.hear(title="Third", grandparentTitle="Harbour Street", parentIndex=2, index=3, Guid=[])

    unlisted = browser.get(f"/library/shows/{key}").text
    listed(watched, key)
    page, show = browser.get(f"/library/shows/{key}").text, watched.api().get(f"/api/v1/shows/{key}").json()

    assert unlisted.count("1 episode watched") == 2
    assert "of 1 episodes watched" not in unlisted
    assert "1 of 2 episodes watched" in page
    assert page.count("1 episode watched") == 1  # the second season is not in the list
    assert [one["listed"] for one in show["episodes"]] == [True, True, False]


def test_a_show_with_episodes_to_come_says_how_many_have_aired(watched: Household) -> None:
    key = "title:harbourstreet"
    listed(watched, key, "2999-01-01")

    page = watched.browser().get(f"/library/shows/{key}").text

    assert page.count("1 of 2 aired episodes watched") == 2  # of the show, and of its season


def test_a_show_is_followed_and_no_longer(watched: Household) -> None:
    api, path = watched.api(), "/api/v1/follows/title:Harbourstreet"

    followed = api.put(path).json()
    assert (followed["key"], followed["title"], followed["state"]) == (
        "title:harbourstreet",
        "Harbour Street",
        "following",
    )
    assert api.get("/api/v1/shows/title:harbourstreet").json()["state"] == "following"
    assert api.put(path).status_code == 200

    assert api.delete(path).json() == {"key": "title:harbourstreet", "removed": True}
    assert api.delete(path).status_code == 404
    assert keys(watched) == []


def test_what_is_neither_watched_nor_listed_cannot_be_followed(watched: Household) -> None:
    browser, api = watched.browser(), watched.api()
    fields = {"form_token": form_token(browser.get("/library").text), "title": "Made up"}

    assert api.put("/api/v1/follows/tvdb:123456").status_code == 404
    assert browser.post("/library/shows/follow", data={**fields, "key": "tvdb:123456"}).status_code == 404
    assert browser.post("/library/shows/follow", data={**fields, "key": "title:made-up"}).status_code == 404
    assert keys(watched) == []

    listed(watched, "tvdb:123456")
    assert api.put("/api/v1/follows/tvdb:123456").json()["title"] is None


@pytest.mark.parametrize(
    "key", ["tvdb:x", "imdb:tt1", "title:", "title:%00", "title:a%20b", "tvdb:" + "9" * 30]
)
def test_what_no_show_is_known_by_is_not_found(watched: Household, key: str) -> None:
    api = watched.api()

    assert api.get(f"/api/v1/shows/{key}").status_code == 404
    assert api.put(f"/api/v1/follows/{key}").status_code == 404
    assert watched.browser().get(f"/library/shows/{key}").status_code == 404


def test_a_member_follows_for_themselves_alone(watched: Household) -> None:
    api = watched.api(watched.person("bob"))

    assert api.put("/api/v1/follows/title:harbourstreet?person=me").status_code == 403
    assert api.get("/api/v1/shows/title:harbourstreet").status_code == 404


# --- ticks


SHOW = "title:harbourstreet"


def post(home: Household, **fields: str) -> Any:
    browser = home.browser()
    token = form_token(browser.get("/library").text)
    return browser.post(
        f"/library/shows/{SHOW}/ticks",
        data={"form_token": token, "back": f"/library/shows/{SHOW}", **fields},
        follow_redirects=False,
    )


def plays(home: Household) -> list[tuple[int, int, bool, str]]:
    rows = home.api().get("/api/v1/plays").json()["items"]
    return sorted((row["season"], row["number"], row["manual"], row["dated"]) for row in rows)


def announced(home: Household) -> None:
    """A second season, of which the last episode has not aired."""
    days = ("2026-01-01", "2026-02-01", None, "2999-01-01")
    episodes = [
        {"season": 1 + number // 3, "number": number % 3 + 1, "title": f"Part {number}", "aired": day}
        for number, day in enumerate(days)
    ]
    values = {"show_key": SHOW, "via": "tvdb", "episodes": episodes, "asked_at": clock.now()}
    home.do(lambda connection: connection.execute(insert(tables.episode_list), values))


def test_an_episode_is_marked_by_hand_once_however_often_it_is_sent(watched: Household) -> None:
    listed(watched, SHOW)

    first, again = post(watched, mark="1x2"), post(watched, mark="1x2")

    assert first.headers["location"].endswith("said=marked-1")
    assert again.headers["location"].endswith("said=marked-0")
    assert plays(watched) == [(1, 1, False, "exact"), (1, 2, True, "exact")]


def test_everything_aired_up_to_an_episode_is_marked_without_a_date(watched: Household) -> None:
    announced(watched)

    post(watched, up_to="1x3", when="unknown")

    assert plays(watched) == [(1, 1, False, "exact"), (1, 2, True, "ticked"), (1, 3, True, "ticked")]


def test_what_is_no_episode_of_the_show_is_not_marked(watched: Household) -> None:
    listed(watched, SHOW)

    assert post(watched, mark="7x7").status_code == 404
    assert post(watched, mark="first").status_code == 422
    assert len(plays(watched)) == 1


def test_a_mark_by_hand_is_taken_back_at_once_and_a_reported_play_only_when_confirmed(
    watched: Household,
) -> None:
    listed(watched, SHOW)
    post(watched, mark="1x2")

    by_hand, reported = post(watched, unmark="1x2"), post(watched, unmark="1x1")

    assert by_hand.headers["location"].endswith("said=unmarked-1")
    assert reported.headers["location"].endswith("said=sure&unmark=1x1")
    assert plays(watched) == [(1, 1, False, "exact")]
    assert "Unmark S1 E1?" in watched.browser().get(reported.headers["location"]).text

    page = watched.browser().get(post(watched, unmark="1x1", sure="yes").headers["location"]).text

    assert plays(watched) == []
    assert "Undo" in page


def test_nobody_ticks_in_the_history_of_another(watched: Household) -> None:
    watched.person("bob")
    browser = watched.browser("bob")
    token = form_token(browser.get("/library").text)

    answer = browser.post(
        f"/library/shows/{SHOW}/ticks", data={"form_token": token, "mark": "1x2", "person": "me"}
    )

    assert answer.status_code == 403


# --- the library


def test_the_old_addresses_of_shows_lead_to_the_library(watched: Household) -> None:
    browser = watched.browser()

    old = browser.get("/history/shows?person=me&after=2", follow_redirects=False)
    show = browser.get(f"/history/shows/{SHOW}?part=1", follow_redirects=False)

    assert (old.status_code, old.headers["location"]) == (308, "/library?person=me&after=2")
    assert (show.status_code, show.headers["location"]) == (308, f"/library/shows/{SHOW}?part=1")


def test_a_show_moves_from_watching_to_up_to_date_and_finished(watched: Household) -> None:
    browser = watched.browser()
    tabs = ("/library", "/library/up-to-date", "/library/finished")

    def found() -> list[bool]:
        return ["<bdi>Harbour Street</bdi>" in browser.get(tab).text for tab in tabs]

    assert found() == [True, False, False]

    announced(watched)
    assert "S1 E2" in browser.get("/library").text
    post(watched, mark="1x2")
    assert found() == [False, True, False]
    assert "S2 E1 \u00b7 1 Jan 2999" in browser.get("/library/up-to-date").text

    here = tables.episode_list.c.show_key == SHOW
    watched.do(lambda connection: connection.execute(delete(tables.episode_list).where(here)))
    listed(watched, SHOW)
    assert found() == [False, False, True]


def test_films_are_found_by_their_title(home: Household) -> None:
    home.hear(type="movie", title="Salt Road", year=1999, Guid=[])
    browser = home.browser()

    assert "<bdi>Salt Road</bdi>" in browser.get("/library/films").text
    assert "<bdi>Salt Road</bdi>" in browser.get("/library/films?text=salt").text
    assert "Nothing here has “zzz” in its title." in browser.get("/library/films?text=zzz").text


def test_a_film_is_shown_once_by_whatever_title_and_a_remake_by_itself(home: Household) -> None:
    ids, other = Ids(tmdb=5), Ids(tmdb=6)
    seen(
        home,
        viewing(Movie(title="Salt Road", year=1999, ids=ids), NOON),
        viewing(Movie(title="Die Salzstraße", year=1999, ids=ids), NOON + timedelta(days=30)),
        viewing(Movie(title="Salt Road", year=2021, ids=other), NOON + timedelta(days=60)),
    )

    page = home.browser().get("/library/films").text

    assert 'aria-label="2 titles"' in page
    assert page.count('<span class="title">') == 2
    assert "2 times" in page


def test_what_is_loved_or_wanted_stands_in_its_list(home: Household) -> None:
    now = clock.now()
    film, other = Movie(title="Salt Road", year=1999), Movie(title="Slow Light", year=2001)
    home.do(lambda connection: library.store_entry(connection, 1, library.RATING, film, now, 9.0))
    home.do(lambda connection: library.store_entry(connection, 1, library.RATING, other, now, 5.0))
    home.do(lambda connection: library.store_entry(connection, 1, library.WATCHLIST, other, now))
    browser = home.browser()

    loved, wanted = browser.get("/library/loved").text, browser.get("/library/watchlist").text

    assert ("<bdi>Salt Road</bdi>" in loved, "<bdi>Slow Light</bdi>" in loved) == (True, False)
    assert "rated 9" in loved
    assert ("<bdi>Salt Road</bdi>" in wanted, "<bdi>Slow Light</bdi>" in wanted) == (False, True)


def test_a_show_says_what_each_tracker_was_sent(watched: Household) -> None:
    values = {"person_id": 1, "tracker": "simkl", "tells": ["watched"], "created_at": clock.now()}
    watched.do(lambda connection: connection.execute(insert(tables.account), values))
    play_id = watched.api().get("/api/v1/plays").json()["items"][0]["id"]
    sent = {
        "account_id": watched.do(
            lambda connection: connection.execute(
                select(tables.account.c.id).where(tables.account.c.tracker == "simkl")
            ).scalar_one()
        ),
        "play_id": play_id, "key": "a", "action": "watched", "mark": True, "happened_at": clock.now(),
        "item": {"kind": "episode", "title": "x", "ids": {}}, "details": {}, "state": "waiting",
        "created_at": clock.now(),
    }  # fmt: skip
    watched.do(lambda connection: connection.execute(insert(tables.delivery), sent))

    page = watched.browser().get(f"/library/shows/{SHOW}").text

    assert "1 waiting" in page
