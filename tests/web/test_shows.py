"""A show's episodes and its follow, as scripts have them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from tests.web.conftest import Household, form_token
from webhook import clock
from webhook.storage import tables


@pytest.fixture
def watched(home: Household) -> Household:
    """A household in which the first episode of Harbour Street was watched, by its TheTVDB id."""
    home.hear(grandparentGuid="plex://show/1", grandparentTitle="Harbour Street")
    return home


def listed(home: Household, key: str) -> None:
    episodes = [
        {"season": 1, "number": number, "title": f"Part {number}", "aired": "2026-01-01"} for number in (1, 2)
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

    unlisted = browser.get(f"/history/shows/{key}").text
    listed(watched, key)
    page, show = browser.get(f"/history/shows/{key}").text, watched.api().get(f"/api/v1/shows/{key}").json()

    assert unlisted.count("1 watched") == 2
    assert "of 1 watched" not in unlisted
    assert "1 of 2 watched" in page
    assert page.count("1 watched") == 1  # the second season is not in the list
    assert [one["listed"] for one in show["episodes"]] == [True, True, False]


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
    fields = {"form_token": form_token(browser.get("/history/shows").text), "title": "Made up"}

    assert api.put("/api/v1/follows/tvdb:123456").status_code == 404
    assert browser.post("/history/shows/follow", data={**fields, "key": "tvdb:123456"}).status_code == 404
    assert browser.post("/history/shows/follow", data={**fields, "key": "title:made-up"}).status_code == 404
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
    assert watched.browser().get(f"/history/shows/{key}").status_code == 404


def test_a_member_follows_for_themselves_alone(watched: Household) -> None:
    api = watched.api(watched.person("bob"))

    assert api.put("/api/v1/follows/title:harbourstreet?person=me").status_code == 403
    assert api.get("/api/v1/shows/title:harbourstreet").status_code == 404
