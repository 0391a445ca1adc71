"""The list of plays: its days and runs, what it marks, and its filters, which the API has too."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from tests.web.conftest import Household
from tests.web.viewings import NOON, film, part, put_marks, seen, viewing
from webhook.domain.event import Track


def listed(home: Household, query: str = "") -> list[str]:
    """The names in the list of plays, folded runs and what they hold."""
    page = home.browser().get(f"/history{query}").text
    return re.findall(r"<bdi>([^<]+)</bdi>", page[page.index('id="plays"') :])


def test_a_run_of_one_show_on_a_day_is_one_row_that_opens(home: Household) -> None:
    between, hour = film("Harbour", NOON + timedelta(hours=3)), timedelta(hours=1)
    episodes = [part(number, NOON + number * timedelta(minutes=30)) for number in (1, 2, 3)]
    seen(home, *episodes, between, part(4, NOON + 4 * hour), part(5, NOON + timedelta(days=1)))

    page = home.browser().get("/history").text

    assert page.count("<details") == 1
    assert ", 3 episodes" in page
    assert "S1 E1\u2013E3" in page
    assert re.findall(r"<bdi>([^<]+)</bdi>", page[page.index('id="plays"') :]) == [
        *("Tidewater", "Part 5", "Tidewater", "Part 4", "Harbour"),
        *("Tidewater", "Part 3", "Part 2", "Part 1"),
    ]


def test_only_what_is_unusual_about_a_play_is_marked(home: Household) -> None:
    seen(
        home,
        film("Harbour", NOON, manual=True),
        film("Slow Light"),
        film("Slow Light", NOON + timedelta(days=90)),
    )

    page = home.browser().get("/history").text

    assert re.findall(r'class="mark-[a-z]+">([^<]+)<', page) == ["rewatched", "by hand"]
    assert "badge" not in page


def test_a_tracker_that_lacks_a_play_is_named_beside_it(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"), film("Salt Road"))
    home.do(lambda connection: put_marks(connection, {1: "waiting", 2: "dead", 3: "done"}))

    page = home.browser().get("/history").text

    assert "waiting for Trakt" in page
    assert "failed at Trakt" in page
    assert {*listed(home, "?only=not-sent")} == {"Harbour", "Slow Light"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?kind=movie", ["Harbour", "Slow Light", "Slow Light"]),
        ("?kind=episode", ["Tidewater", "Part 1"]),
        ("?kind=track", ["Undertow", "The Tides"]),
        ("?only=rewatched", ["Slow Light"]),
        ("?only=by-hand", ["Harbour"]),
        ("?library=Shows", ["Tidewater", "Part 1"]),
        ("?kind=movie&text=harb", ["Harbour"]),
        ("?kind=track&library=Shows", []),
    ],
)
def test_the_page_and_the_api_narrow_the_plays_alike(home: Household, query: str, names: list[str]) -> None:
    song = Track(title="Undertow", artist="The Tides")
    seen(
        home,
        film("Harbour", NOON + timedelta(days=100), manual=True),
        film("Slow Light"),
        film("Slow Light", NOON + timedelta(days=90)),
        viewing(song, NOON + timedelta(days=1)),
        part(1, library="Shows"),
    )  # fmt: skip

    plays = home.api().get(f"/api/v1/plays{query}").json()["items"]

    assert listed(home, query) == names
    assert [one["show"] or one["title"] for one in plays] == [
        name for name in names if name not in ("Part 1", "The Tides")
    ]


def test_a_filter_is_a_link_that_keeps_the_others_and_lets_go_of_itself(home: Household) -> None:
    seen(home, film("Harbour"), part(1))

    page = home.browser().get("/history?kind=movie&text=harb").text
    links = {
        words: unescape(link)
        for link, words in re.findall(r'class="chip" href="([^"]+)"[^>]*><bdi>([^<]+)<', page)
    }

    assert links["Rewatched"] == "/history?text=harb&kind=movie&only=rewatched"
    assert links["Films"] == "/history?text=harb"
    assert re.search(r'aria-current="true"><bdi>Films<', page)


def test_a_grid_shows_the_same_plays(home: Household) -> None:
    seen(home, film("Harbour"), part(1), part(2, NOON + timedelta(minutes=40)))

    page = home.browser().get("/history?view=grid").text

    assert listed(home, "?view=grid") == ["Tidewater", "Part 2", "Part 1", "Harbour"]
    assert 'class="tile"' in page


@pytest.mark.parametrize("query", ["?kind=show", "?only=sent", "?view=map", "?library=" + "x" * 300])
def test_a_filter_that_is_none_is_refused(home: Household, query: str) -> None:
    assert home.browser().get(f"/history{query}").status_code == 400
