"""Now: runs of one show, what is up next with its button, and the most urgent needs."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from tests.web.conftest import Household, form_token
from webhook import clock
from webhook.domain.event import Ids, Show
from webhook.domain.outcome import Park
from webhook.history import library
from webhook.people import identities
from webhook.queues.parking import park
from webhook.storage import tables
from webhook.web.http.templating import format_since


def words(browser: httpx.Client, path: str = "/") -> str:
    """A page's text, without its marks."""
    answer = browser.get(path)
    assert answer.status_code == 200
    return " ".join(unescape(re.sub("<[^>]*>", " ", answer.text)).split())


def watch(home: Household, number: int, user: str = "anna", show: str = "Harbour Street") -> int:
    known: dict[str, Any] = {"index": number, "guid": f"plex://episode/{show}{number}", "Guid": []}
    made = home.hear(user, f"Part {number}", grandparentTitle=show, **known)
    home.settle("done")
    return made


def follow(home: Household, *days: int) -> None:
    """Harbour Street is followed; its episodes air so many days from today."""
    show = Show(title="Harbour Street", ids=Ids(tvdb=70))
    home.do(lambda connection: library.follow_show(connection, 1, show, clock.now()))
    listed = [
        {"season": 1, "number": number, "title": f"Part {number}", "aired": day(away)}
        for number, away in enumerate(days, 1)
    ]
    values = {"show_key": "tvdb:70", "via": "tvdb", "episodes": listed, "asked_at": clock.now()}
    home.do(lambda connection: connection.execute(insert(tables.episode_list), values))


def day(away: int) -> str:
    return (clock.now() + timedelta(days=away)).date().isoformat()


def mark(browser: httpx.Client, **changed: Any) -> httpx.Response:
    """Press the first button of what is up next."""
    page = browser.get("/").text
    found = re.search(r'<form method="post" action="/history/add">(.*?)</form>', page, re.DOTALL)
    assert found
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', unescape(found[1])))
    return browser.post("/history/add", data={**fields, **changed})


# --- the last days


def test_consecutive_episodes_of_a_show_are_one_run_of_its_person(home: Household) -> None:
    home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "me", "plex:anna", clock.now()))
    home.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    watch(home, 1)
    watch(home, 1, "bob", "Tidewater")
    watch(home, 2)
    watch(home, 3, show="Else")
    browser = home.browser()
    home.settle("done")

    page = words(browser)

    assert "Today" in page
    assert "Harbour Street 2 episodes · me" in page
    assert "S1 E1 · Part 1" in page
    assert re.search(r"Else S1 E3 · Part 3 me \d\d:\d\d", page)
    assert re.search(r"Tidewater S1 E1 · Part 1 bob \d\d:\d\d", page)


def test_a_run_says_what_of_it_was_not_sent(home: Household) -> None:
    watch(home, 1)
    home.hear(index=2, title="Part 2", guid="plex://episode/2", Guid=[])
    home.settle("dead", reason="it was refused", attempts=1)

    page = words(home.browser())

    assert "2 episodes TV Time: failed" in page


def test_a_tracker_that_is_down_is_said_to_be_since_its_first_failure(home: Household) -> None:
    home.hear("anna", "Part 1")
    since = clock.now() - timedelta(hours=3)
    failing = {"failures": 3, "failing_since": since}
    home.do(lambda connection: connection.execute(update(tables.account).values(failing)))
    said = format_since(clock.stamp(since) or "")

    browser = home.browser()

    assert f"TV Time: waiting, down since {said}" in words(browser)
    for path in ("/connections", "/connections/tvtime"):
        assert f"Down since {said}" in words(browser, path)
    (account,) = home.api().get("/api/v1/accounts").json()["items"]
    assert (account["down_since"], account["state"]) == (clock.stamp(since), "working")


def test_earlier_days_follow_where_today_has_little(home: Household) -> None:
    for number in (1, 2):
        watch(home, number, show=f"Show {number}")
    yesterday = clock.now() - timedelta(days=1)
    home.do(
        lambda connection: connection.execute(
            update(tables.play).where(tables.play.c.id == 1).values(started_at=yesterday)
        )
    )

    page = words(home.browser())

    assert re.search("Today.*Show 2.*Yesterday.*Show 1", page)


# --- up next


def test_the_next_episode_is_marked_watched_by_its_button(home: Household) -> None:
    follow(home, -9, -2, 2)
    browser = home.browser()

    answer = mark(browser)
    (play,) = home.api().get("/api/v1/plays").json()["items"]

    assert (answer.status_code, answer.headers["location"]) == (303, "/?said=added")
    assert (play["show"], play["season"], play["number"], play["title"]) == ("Harbour Street", 1, 1, "Part 1")
    assert (play["dated"], play["manual"], play["show_ids"]) == ("day", True, {"tvdb": 70})
    assert "Added to your history." in browser.get("/?said=added").text
    (following,) = home.api().get("/api/v1/up-next").json()["items"]
    assert (following["number"], following["left"]) == (2, 1)


def test_pressed_twice_it_is_one_play(home: Household) -> None:
    follow(home, -9, -2)
    browser = home.browser()
    page = browser.get("/").text

    for _ in range(2):
        mark(browser, form_token=form_token(page), number="1", title="Part 1")

    assert len(home.api().get("/api/v1/plays").json()["items"]) == 1


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ((0,), "S1 E1 · Part 1 today"),
        ((1,), "S1 E1 · Part 1 tomorrow"),
        ((3,), "S1 E1 · Part 1 in 3 days"),
        ((-1,), "S1 E1 · Part 1 aired yesterday"),
        ((-400, -390), "S1 E1 · Part 1 2 to watch"),
        ((-5, -4), " · 2 to watch"),
    ],
)
def test_when_an_episode_airs_is_said_as_one_would(home: Household, days: tuple[int, ...], says: str) -> None:
    follow(home, *days)

    page = words(home.browser())

    assert says in page
    assert ("✓ Watched" in page) == (days[0] <= 0)


# --- what needs the visitor


def test_the_most_urgent_needs_are_cards_and_the_rest_is_counted(home: Household) -> None:
    for number, user in enumerate(("anna", "carl", "dora", "emil"), 1):
        home.hear(user, f"Part {number}", index=number, guid=f"plex://episode/{number}", Guid=[])
    home.do(lambda connection: park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    browser = home.browser()

    page = words(browser)

    assert page.count("Is that you?") == 3
    assert "carl watched Harbour Street S1 E2" in page
    assert "And 1 more" in page


def test_a_card_leads_to_what_it_asks_for(home: Household) -> None:
    home.hear()
    home.settle("dead", reason="it was refused", attempts=1)
    home.do(lambda connection: park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    browser = home.browser()

    page = browser.get("/").text

    assert 'href="/connections/tvtime" aria-label="Sign in again: TV Time"' in page
    assert 'href="/needs-you#dead"' in page
    assert 'id="dead"' in browser.get("/needs-you").text


def test_a_user_is_claimed_on_the_page_itself(home: Household) -> None:
    home.hear("anna")
    home.hear("carl", "Other", index=2)
    browser = home.browser()
    page = browser.get("/").text
    found = re.search(r'name="identity" value="(\d+)"', page)
    assert found

    fields = {"form_token": form_token(page), "identity": found[1], "back": "/", "do": "me"}
    answer = browser.post("/needs-you/claim", data=fields)

    assert answer.headers["location"] == "/?said=claimed"
    assert "Is that you?" not in words(browser)
