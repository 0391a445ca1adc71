"""Several plays are changed at once: removed, moved to another day, sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.web.conftest import Household, form_token
from tests.web.viewings import NOON, film, part, put_marks, seen
from webhook.domain.play import State
from webhook.storage.tables import delivery, play


def plays(home: Household) -> list[Any]:
    return list(home.do(lambda connection: connection.execute(select(play).order_by(play.c.id)).all()))


def hidden(page: str) -> dict[str, str]:
    return {
        name: unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    }


def choose(browser: httpx.Client, does: str, ids: Sequence[int], query: str = "") -> httpx.Response:
    """Tick plays in the list, and press a button."""
    page = browser.get(f"/history?select=1{query}").text
    ticked = {f"play-{number}": str(number) for number in ids}
    assert all(f'name="{name}"' in page for name in ticked)
    return browser.post(
        "/history/selected", data={**hidden(page[page.index('id="plays"') :]), **ticked, "do": does}
    )


def change(
    browser: httpx.Client, does: str, ids: Sequence[int], more: Mapping[str, str] = {}
) -> httpx.Response:
    """Do so, and confirm it."""
    page = choose(browser, does, ids)
    assert page.status_code == 200
    fields = hidden(page.text[page.text.index("<h1>") :])
    answer = browser.post(f"/history/selected/{does}", data={**fields, **more})
    assert answer.status_code == 303
    return browser.get(answer.headers["location"])


def test_a_selection_is_asked_about_before_anything_changes(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"), film("Salt Road"))

    page = choose(home.browser(), "remove", [1, 3]).text

    assert "Remove 2 plays?" in page
    assert "Harbour" in page
    assert "Slow Light" not in page
    assert all(row.removed_at is None for row in plays(home))


def test_the_plays_of_a_day_are_ticked_at_once(home: Household) -> None:
    seen(
        home,
        film("Harbour"),
        part(1, NOON + timedelta(hours=1)),
        film("Slow Light", NOON + timedelta(days=2)),
    )
    browser = home.browser()
    page = browser.get("/history?select=1").text
    days = dict(re.findall(r'name="(day-\d+)" value="([\d ]+)"', page))

    asked = browser.post("/history/selected", data={"form_token": form_token(page), **days, "do": "remove"})

    assert sorted(map(len, (value.split() for value in days.values()))) == [1, 2]
    assert "Remove 3 plays?" in asked.text


def test_selected_plays_are_removed_and_counted(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"), film("Salt Road"))

    page = change(home.browser(), "remove", [1, 2])

    assert "Removed: 2." in page.text
    assert [row.removed_at is not None for row in plays(home)] == [True, True, False]


def undo(browser: httpx.Client, page: httpx.Response) -> httpx.Response:
    """Press the button beside the message."""
    fields = hidden(page.text[: page.text.index("<h1>")])
    answer = browser.post("/history/selected/restore", data=fields)
    assert answer.status_code == 303
    return browser.get(answer.headers["location"])


def test_what_was_removed_together_is_back_by_one_button(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"), film("Salt Road"))
    browser = home.browser()
    before = plays(home)
    change(browser, "remove", [3])
    page = change(browser, "remove", [1, 2])

    back = undo(browser, page)

    assert "Back in the history: 2." in back.text
    assert "Undo" not in back.text
    assert plays(home)[:2] == before[:2]
    assert plays(home)[2].removed_at is not None
    assert "Not brought back: 2." in undo(browser, page).text


def test_what_was_removed_long_ago_is_listed_and_comes_back(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"))
    browser = home.browser()
    change(browser, "remove", [2])
    listed = browser.get("/history?only=removed").text
    assert "Slow Light" in listed
    assert "Harbour" not in listed

    page = choose(browser, "restore", [2], "&only=removed")
    assert "Bring 1 play back?" in page.text
    fields = hidden(page.text[page.text.index("<h1>") :])
    browser.post("/history/selected/restore", data=fields)

    assert [row.removed_at for row in plays(home)] == [None, None]


def test_a_removed_play_has_a_button_that_brings_it_back(home: Household) -> None:
    seen(home, film("Harbour"))
    browser = home.browser()
    token = form_token(browser.get("/history").text)
    browser.post("/history/plays/1/remove", data={"form_token": token})
    assert "Bring it back" in browser.get("/history/plays/1").text

    browser.post("/history/plays/1/restore", data={"form_token": token})

    page = browser.get("/history/plays/1").text
    assert "Bring it back" not in page
    assert "Restored by" in page


def test_the_api_brings_a_removed_play_back(home: Household) -> None:
    seen(home, film("Harbour"))
    client = home.api()
    assert client.post("/api/v1/plays/1/restore").status_code == 404
    client.delete("/api/v1/plays/1")
    assert [one["id"] for one in client.get("/api/v1/plays?only=removed").json()["items"]] == [1]

    answer = client.post("/api/v1/plays/1/restore")

    assert answer.json()["play"]["removed_at"] is None
    assert answer.json()["told"] == []
    assert [one["what"] for one in answer.json()["play"]["edits"]] == ["removed", "restored"]


def test_selected_plays_move_to_a_day_and_keep_their_time(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light", NOON + timedelta(hours=3)))
    unfinished = {"watched_at": None, "state": State.STOPPED.value}
    home.do(lambda connection: connection.execute(play.update().where(play.c.id == 1).values(unfinished)))

    page = change(home.browser(), "move", [1, 2], {"day": "2025-05-04"})

    assert "Moved: 1." in page.text
    assert "Not moved: 1." in page.text
    assert [row.watched_at for row in plays(home)] == [None, datetime(2025, 5, 4, 15, tzinfo=UTC)]


def test_what_has_not_reached_a_tracker_is_sent_again_and_nothing_else(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light"), film("Salt Road"))
    home.do(lambda connection: put_marks(connection, {1: "dead", 2: "done", 3: "skipped"}))
    browser = home.browser()
    browser.post(
        "/history/plays/3/redate",
        data={"form_token": form_token(browser.get("/history").text), "at": "2025-01-01T10:00"},
    )

    page = change(browser, "send", [1, 2, 3])

    states = home.do(
        lambda connection: (
            connection.execute(select(delivery.c.state).order_by(delivery.c.id)).scalars().all()
        )
    )
    assert list(states)[:3] == ["waiting", "done", "skipped"]
    assert "Sending again: 1." in page.text
    assert "Nothing to send: 2." in page.text


def test_a_selection_of_nothing_says_so(home: Household) -> None:
    seen(home, film("Harbour"))
    browser = home.browser()

    answer = choose(browser, "remove", [])

    assert "Select a play first." in browser.get(answer.headers["location"]).text


def test_what_somebody_else_removed_is_not_brought_back(home: Household) -> None:
    home.person("ben")
    seen(home, film("Harbour"))
    change(home.browser(), "remove", [1])
    browser = home.browser("ben")
    token = form_token(browser.get("/history").text)

    browser.post("/history/selected/restore", data={"form_token": token, "edit": "1"})
    answer = browser.post("/history/plays/1/restore", data={"form_token": token})

    assert answer.status_code == 404
    assert plays(home)[0].removed_at is not None


@pytest.mark.parametrize("does", ["remove", "move", "send"])
def test_what_is_somebody_elses_is_not_in_a_selection(home: Household, does: str) -> None:
    home.person("ben")
    seen(home, film("Harbour"))
    browser = home.browser("ben")
    fields = {"form_token": form_token(browser.get("/history").text), "plays": "1", "day": "2025-01-01"}

    answer = browser.post(f"/history/selected/{does}", data=fields)

    assert answer.headers["location"].endswith("-0-1")
    assert plays(home)[0].removed_at is None
    assert plays(home)[0].watched_at == NOON


@pytest.mark.parametrize(
    "fields", [{"plays": "1", "do": "burn"}, {"plays": " ".join(map(str, range(1, 600))), "do": "remove"}]
)
def test_a_selection_that_cannot_be_is_refused(home: Household, fields: dict[str, str]) -> None:
    browser = home.browser()

    answer = browser.post(
        "/history/selected", data={"form_token": form_token(browser.get("/history").text), **fields}
    )

    assert answer.status_code == 422
