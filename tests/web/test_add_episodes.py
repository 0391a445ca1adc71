"""Plays are added by hand after a search: a film that was found, several episodes of a show, all up to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.web.conftest import HOSTILE, Household
from tests.web.viewings import film, part, seen
from webhook import clock
from webhook.domain.event import Ids, Kind
from webhook.history import shows
from webhook.lookups import Candidate, ListedEpisode
from webhook.storage import tables

SHOW = "/history/add?kind=episode&picked=1&show=Tidewater&show_ids.tvdb=77"


class Catalogue:
    """A lookup that knows one film."""

    name = "tmdb"

    async def search(self, item: Any) -> Sequence[Candidate]:
        return [Candidate(kind=Kind.MOVIE, title="Harbour Lights", year=1987, ids=Ids(tmdb=12), via="tmdb")]


def listed(home: Household, *, until: int = 4) -> None:
    """The episodes of Tidewater: a special, two seasons of two, and one that has not aired."""
    places = [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2)][: until + 1]
    parts = [
        ListedEpisode(season=season, number=number, title=f"Part {season}.{number}", aired="2020-01-01")
        for season, number in places
    ]
    parts.append(ListedEpisode(season=3, number=1, title="To come", aired="2999-01-01"))
    home.do(
        lambda connection: shows.store_list(connection, shows.ShowList("tvdb:77", "tvdb", parts, clock.now()))
    )


def hidden(page: str) -> dict[str, str]:
    fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page[page.rindex("<form") :])
    return {name: unescape(value) for name, value in fields}


def send(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return browser.post("/history/add", data={**hidden(browser.get(path).text), "unknown": "on", **fields})


def places(home: Household) -> list[tuple[int, int]]:
    items = home.do(lambda connection: connection.execute(select(tables.play.c.item)).scalars().all())
    return sorted((item["season"], item["number"]) for item in items if item["kind"] == "episode")


def test_a_film_of_the_history_is_found_and_added_once_more(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"))
    browser = home.browser()
    page = browser.get("/history/add?kind=movie&q=harb").text
    (link,) = re.findall(r'class="whole" href="([^"]+)"', page)

    form = unescape(link)
    answer = send(browser, form, rewatch="on")

    assert "<bdi>Harbour</bdi>" in browser.get(form).text
    added = home.do(lambda connection: connection.execute(select(tables.play.c.item)).scalars().all())[-1]
    assert answer.status_code == 303
    assert (added["title"], added["year"], added["ids"]) == (
        "Harbour",
        2001,
        dict(film("Harbour").play.item.ids.by_namespace()),
    )


def test_a_lookup_finds_what_the_history_has_not(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home.service.resolver.identity, "lookups", [Catalogue()])
    browser = home.browser()

    page = browser.get("/history/add?kind=movie&q=harbour").text

    assert "<bdi>Harbour Lights</bdi>" in page
    assert "kind=movie&amp;picked=1&amp;title=Harbour+Lights&amp;year=1987&amp;ids.tmdb=12" in page


def test_what_is_not_found_is_typed_in(home: Household) -> None:
    page = home.browser().get("/history/add", params={"kind": "episode", "q": HOSTILE}).text

    assert "Nothing found." in page
    assert HOSTILE not in page
    assert 'name="show"' in page


def test_the_episodes_of_a_show_are_ticked(home: Household) -> None:
    listed(home)
    seen(home, part(1))
    browser = home.browser()
    page = browser.get(SHOW).text

    answer = send(browser, SHOW, **{"ep-1x2": "on", "ep-0x1": "on"})

    assert "1 of 2 episodes watched" in page
    assert "To come" not in page
    assert answer.headers["location"] == "/history?said=added-2-0"
    assert places(home) == [(0, 1), (1, 1), (1, 2)]
    assert "Added: 2." in browser.get(answer.headers["location"]).text


def test_everything_up_to_an_episode_is_added_but_what_was_watched_and_specials(home: Household) -> None:
    listed(home)
    seen(home, part(1))

    send(home.browser(), SHOW, upto="2x1")

    assert places(home) == [(1, 1), (1, 2), (2, 1)]


def test_what_the_history_has_is_not_added_again_and_counted(home: Household) -> None:
    listed(home)
    seen(home, part(1), part(2))
    browser = home.browser()

    answer = send(browser, SHOW, **{"ep-1x1": "on", "ep-1x2": "on", "ep-2x2": "on"})

    assert places(home) == [(1, 1), (1, 2), (2, 2)]
    assert "Added: 1. Already there: 2." in browser.get(answer.headers["location"]).text


def test_several_episodes_are_typed_from_one_to_another(home: Household) -> None:
    typed = {"show": "Tidewater", "season": "1", "number": "3", "until": "6"}
    browser = home.browser()

    first, again = (send(browser, "/history/add?kind=episode", **typed) for _ in range(2))

    assert places(home) == [(1, 3), (1, 4), (1, 5), (1, 6)]
    assert first.headers["location"] == "/history?said=added-4-0"
    assert again.headers["location"] == "/history?said=added-0-4"


@pytest.mark.parametrize(("number", "until"), [("3", "2"), ("3", "soon"), ("", "4"), ("1", "900")])
def test_a_range_that_is_none_stands_beside_its_field(home: Household, number: str, until: str) -> None:
    answer = send(
        home.browser(), "/history/add?kind=episode", show="Tidewater", season="1", number=number, until=until
    )

    assert answer.status_code == 422
    assert 'id="wrong-until"' in answer.text
    assert places(home) == []


def test_a_refused_form_keeps_what_was_picked_and_ticked(home: Household) -> None:
    listed(home)
    browser = home.browser()
    fields = {**hidden(browser.get(SHOW).text), "ep-1x2": "on", "date": "2999-01-01"}

    answer = browser.post("/history/add", data=fields)

    assert answer.status_code == 422
    assert "lies in the future" in answer.text
    assert re.search(r'name="ep-1x2" value="on" checked', answer.text)
    assert "<bdi>Tidewater</bdi>" in answer.text


def test_a_day_is_the_day_of_each_episode(home: Household) -> None:
    listed(home)
    browser = home.browser()
    day = (clock.now() - timedelta(days=3)).date()
    fields = {**hidden(browser.get(SHOW).text), "ep-1x1": "on", "ep-1x2": "on", "date": day.isoformat()}

    browser.post("/history/add", data=fields)

    rows = home.do(lambda connection: connection.execute(select(tables.play)).all())
    assert [(row.watched_at.date(), row.dated) for row in rows] == [(day, "day")] * 2
