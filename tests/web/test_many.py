"""Pages of much: bounded, however many plays, shows, episodes or webhooks there are, and complete all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import Connection, insert, select, update

from tests.web.conftest import Household
from webhook import clock
from webhook.domain.event import Episode, Ids, Item, Movie, Show, item_to_json
from webhook.domain.play import Play, State
from webhook.history import library, shows
from webhook.lookups import ListedEpisode
from webhook.storage.tables import account, delivery, webhook
from webhook.transfer import merge
from webhook.transfer.records import Viewing
from webhook.web.history import pages as history

KB = 1024
LARGEST = 150 * KB
ME = 1
"""The first person there is."""

LONG = "The Remarkable & Complete <History> of the Lighthouse Keepers of the Northern Sea " * 3


def watched(home: Household, items: list[Item], step: timedelta = timedelta(hours=1)) -> None:
    now = clock.now()
    seen = [
        Viewing(
            play=Play(
                item=item, state=State.STOPPED, source="plex", watched_at=now - step * number,
                started_at=now - step * number, last_at=now - step * number, duration_ms=60_000, player=LONG[:200],
            ),
            foreign_key=f"{step} {number}",
        )
        for number, item in enumerate(items)
    ]  # fmt: skip
    home.do(lambda connection: merge.merge_entries(connection, ME, seen, now))


def followed(home: Household, number: int, episodes: int = 0) -> None:
    show = Show(title=f"Show {number:03}", ids=Ids(tvdb=1000 + number))
    listed = [
        ListedEpisode(
            season=1 + part // 1000, number=1 + part % 1000, title=f"Part {part}", aired="2020-01-01"
        )
        for part in range(episodes)
    ]
    now = clock.now() + timedelta(seconds=number)

    def follow(connection: Connection) -> None:
        library.follow_show(connection, ME, show, now)
        if listed:
            shows.store_list(connection, shows.ShowList(f"tvdb:{1000 + number}", "tvdb", listed, now))

    home.do(follow)


def walked(browser: httpx.Client, path: str, words: str) -> Iterator[str]:
    """This page and those that its link with these words leads to, one after another."""
    while True:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert len(answer.content) <= LARGEST
        yield answer.text
        link = re.search(rf'<a(?: class="button")? href="([^"]+)">{words}[^<]*</a>', answer.text)
        if link is None:
            return
        path = unescape(link.group(1))


# --- searches


def test_a_search_says_how_far_it_has_looked_and_goes_on_to_the_end(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SEARCHED_PLAYS", 10)
    films: list[Item] = [Movie(title=f"Film {number}", year=1990) for number in range(35)]
    watched(home, [*films, Movie(title="Salt Road", year=1999)], timedelta(days=1))
    browser = home.browser()
    reached = f"{clock.now() - timedelta(days=10):%-d %b %Y}"

    pages = list(walked(browser, "/history?text=salt", "Search before"))

    assert len(pages) == 4
    assert [("Salt Road" in page) for page in pages] == [False, False, False, True]
    assert f"since {reached}" in unescape(pages[0])
    assert "Earlier plays have not been searched yet" in pages[0]
    assert "No play has “zzz”" not in browser.get("/history?text=zzz").text
    assert "No older play has “zzz”" in list(walked(browser, "/history?text=zzz", "Search before"))[-1]


def test_a_search_through_few_plays_says_that_there_is_none(home: Household) -> None:
    watched(home, [Movie(title="Salt Road", year=1999)])

    page = home.browser().get("/history?text=zzz").text

    assert "No play has “zzz” in its title." in page
    assert "Search before" not in page


# --- shows


def test_many_followed_shows_stand_on_several_pages_each_once(home: Household) -> None:
    for number in range(70):
        followed(home, number, 3)

    pages = list(walked(home.browser(), "/library", "More"))

    named = [re.findall(r"<bdi>(Show \d+)</bdi>", page) for page in pages]
    assert [len(names) for names in named] == [30, 30, 10]
    assert sorted(name for names in named for name in names) == [f"Show {number:03}" for number in range(70)]
    assert "70 titles" in pages[0]


def test_a_watched_show_stands_before_those_that_wait_and_only_there(home: Household) -> None:
    for number in range(60):
        followed(home, number)
    watched(home, [Episode(show="Show 044", season=1, number=1, show_ids=Ids(tvdb=1044))])
    watched(home, [Episode(show="Tidewater", season=1, number=1, show_ids=Ids(tvdb=7))], timedelta(days=1))

    pages = list(walked(home.browser(), "/library", "More"))

    named = [name for page in pages for name in re.findall(r"<bdi>(Show \d+|Tidewater)</bdi>", page)]
    assert set(named[:2]) == {"Show 044", "Tidewater"}
    assert len(named) == len(set(named)) == 61


def test_the_pages_of_somebody_elses_shows_stay_theirs(home: Household) -> None:
    home.person("ben")
    for number in range(60):
        followed(home, number)
    owner = home.browser("me")
    names = [one for page in walked(owner, "/library?person=me", "More") for one in [page]]

    assert len(names) == 2
    assert "Shows appear here as soon as" in owner.get("/library?person=ben").text
    assert "Back to the start" in owner.get("/library?after=80").text


def test_a_show_of_thousands_of_episodes_is_shown_part_by_part(home: Household) -> None:
    followed(home, 1, 3000)
    seen = [
        Episode(show="Show 001", season=2, number=number, show_ids=Ids(tvdb=1001)) for number in (402, 401)
    ]
    watched(home, [*seen])
    browser = home.browser()

    begun = browser.get("/library/shows/tvdb:1001")
    links = re.findall(r'href="([^"]+\?part=\d+)"', begun.text)
    other = browser.get(unescape(links[0]))

    assert len(begun.content) < LARGEST
    assert len(other.content) < LARGEST
    assert "Season 2, 401 to 600" in begun.text  # where this person stopped
    assert "2 of 200 episodes watched" in begun.text
    assert "– <bdi>Part 1400</bdi> " in begun.text
    assert "– <bdi>Part 0</bdi> " not in begun.text
    assert "– <bdi>Part 0</bdi> " in other.text
    assert len(links) == 14
    assert browser.get("/library/shows/tvdb:1001?part=99").status_code == 200


def test_a_short_show_is_shown_whole(home: Household) -> None:
    followed(home, 1, 150)

    page = home.browser().get("/library/shows/tvdb:1001").text

    assert page.count("not watched") == 150
    assert "?part=" not in page


# --- how large pages become


def heard(home: Household, count: int) -> None:
    """Webhooks with long titles, with a delivery each."""
    item = item_to_json(Episode(title=LONG, show=LONG, season=1, number=1, ids=Ids(tvdb=7)))
    event: dict[str, Any] = {
        "action": "watched", "kind": "episode", "title": LONG, "show": LONG, "season": 1, "number": 1, "year": None,
        "ids": {}, "show_ids": {}, "person": "me", "play": None, "user": "me", "player": LONG[:100], "server": "attic",
    }  # fmt: skip
    now = datetime(2026, 11, 1, tzinfo=UTC)

    def fill(connection: Connection) -> None:
        told = connection.execute(select(account.c.id)).scalars().first()
        hooks = [
            {"id": 100 + number, "source": "plex", "received_at": now, "raw": b"{}", "state": "interpreted",
             "events": [event]}
            for number in range(count)
        ]  # fmt: skip
        puts: list[dict[str, object]] = [
            {"account_id": told, "webhook_id": 100 + number, "key": str(number), "action": "watched", "mark": True,
             "happened_at": now, "item": item, "details": {}, "state": "done", "answer": LONG[:200], "created_at": now}
            for number in range(count)
        ]  # fmt: skip
        connection.execute(insert(webhook), hooks)
        connection.execute(insert(delivery), puts)

    home.do(fill)


@pytest.mark.parametrize(
    "path", ["/", "/activity", "/activity?limit=500", "/deliveries", "/deliveries?limit=500"]
)
def test_activity_stays_small(home: Household, path: str) -> None:
    heard(home, 500)

    answer = home.browser().get(path)

    assert answer.status_code == 200
    assert len(answer.content) <= LARGEST


@pytest.mark.parametrize("entries", [600, 1600, 1700, 3000, 20_000])
def test_the_trace_of_a_large_body_stays_small(home: Household, entries: int) -> None:
    raw = orjson.dumps({f"a{number}": "<'b'>" for number in range(entries)})
    made = home.hear(title=LONG)
    here = webhook.c.id == made
    home.do(lambda connection: connection.execute(update(webhook).where(here).values(raw=raw)))

    answer = home.browser().get(f"/trace/{made}")

    assert answer.status_code == 200
    assert len(answer.content) <= LARGEST


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/history",
        "/history?limit=500",
        "/history/numbers",
        "/history/numbers?year=all",
        "/library",
    ],
)
def test_the_history_stays_small(home: Household, path: str) -> None:
    parts = [
        Episode(title=LONG, show=f"{LONG} {number}", season=1, number=1, show_ids=Ids(tvdb=number + 1))
        for number in range(600)
    ]
    watched(home, [*parts])

    answer = home.browser().get(path)

    assert answer.status_code == 200
    assert len(answer.content) <= LARGEST
