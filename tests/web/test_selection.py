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
from webhook.domain.play import Dated, State
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


def look(browser: httpx.Client, what: str, ids: Sequence[int], more: Mapping[str, str]) -> httpx.Response:
    """Choose how the plays move, and look at it."""
    page = choose(browser, "move", ids).text
    fields = {**hidden(page[page.index("<h1>") :]), **more}
    return browser.post(f"/history/selected/{what}/look", data=fields)


def confirm(browser: httpx.Client, what: str, page: httpx.Response) -> httpx.Response:
    fields = hidden(page.text[page.text.index("<h1>") :])
    answer = browser.post(f"/history/selected/{what}", data=fields)
    assert answer.status_code == 303
    return browser.get(answer.headers["location"])


def test_hours_are_previewed_and_then_shifted(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light", NOON + timedelta(days=1)))
    seen(home, film("Salt Road", NOON, dated=Dated.DAY))
    browser = home.browser()

    page = look(browser, "shift", [1, 2, 3], {"hours": "-2"})

    assert "Move 2 plays 2 hours earlier?" in page.text
    assert "1 play can\N{RIGHT SINGLE QUOTATION MARK}t move" in page.text
    for moment in ("2026-03-01T12:00:00.000Z", "2026-03-01T10:00:00.000Z", "2026-03-02T10:00:00.000Z"):
        assert moment in page.text
    assert plays(home)[0].watched_at == NOON

    done = confirm(browser, "shift", page)

    assert "Moved: 2." in done.text
    assert "Not moved: 1." in done.text
    assert [row.watched_at for row in plays(home)] == [
        NOON - timedelta(hours=2),
        NOON + timedelta(hours=22),
        NOON,
    ]


@pytest.mark.parametrize("hours", ["", "0", "72", "nan", "soon"])
def test_hours_that_are_none_are_refused(home: Household, hours: str) -> None:
    seen(home, film("Harbour"))

    assert look(home.browser(), "shift", [1], {"hours": hours}).status_code == 422


def test_plays_go_to_another_person_once_that_is_confirmed(home: Household) -> None:
    ben = home.person("ben")
    seen(home, film("Harbour"), film("Slow Light"))
    seen(home, film("Slow Light"), person_id=ben)
    browser = home.browser()

    page = look(browser, "person", [1, 2], {"person": "ben"})

    assert "Move 1 play to ben?" in page.text
    assert "1 play can\N{RIGHT SINGLE QUOTATION MARK}t move: ben has this viewing already" in page.text
    assert {row.person_id for row in plays(home) if row.id < 3} == {1}

    done = confirm(browser, "person", page)

    assert "Moved: 1." in done.text
    assert "Not moved: 1." in done.text
    kept = [row for row in plays(home) if row.removed_at is None]
    assert [(row.person_id, row.item["title"]) for row in kept] == [
        (1, "Slow Light"),
        (ben, "Slow Light"),
        (ben, "Harbour"),
    ]
    assert "Moved here from <bdi>me</bdi>" in browser.get(f"/history/plays/{kept[-1].id}").text


def test_only_the_owner_gives_plays_to_another_person(home: Household) -> None:
    ben = home.person("ben")
    seen(home, film("Harbour"), person_id=ben)
    browser = home.browser("ben")
    page = choose(browser, "move", [1]).text
    fields = {**hidden(page[page.index("<h1>") :]), "person": "me"}

    assert "To another person" not in page
    assert browser.post("/history/selected/person/look", data=fields).status_code == 403
    assert browser.post("/history/selected/person", data=fields).status_code == 403
    assert (
        home.api(ben).post("/api/v1/plays/reassign", json={"plays": [1], "person": "me"}).status_code == 403
    )
    assert plays(home)[0].person_id == ben


def test_the_api_shifts_plays_and_says_what_stays(home: Household) -> None:
    seen(home, film("Harbour"), film("Slow Light", NOON, dated=Dated.DAY))
    client = home.api()
    asked = {"plays": [1, 2, 9], "hours": 1.5}
    wanted = [
        {"id": 1, "play": 1, "watched_at": "2026-03-01T13:30:00.000Z", "reason": None},
        {
            "id": 2,
            "play": None,
            "watched_at": None,
            "reason": "the time at which it was watched is not known",
        },
        {"id": 9, "play": None, "watched_at": None, "reason": "there is no play 9"},
    ]

    assert client.post("/api/v1/plays/shift", json={**asked, "dry_run": True}).json()["items"] == wanted
    assert plays(home)[0].watched_at == NOON
    assert client.post("/api/v1/plays/shift", json=asked).json()["items"] == wanted
    assert plays(home)[0].watched_at == NOON + timedelta(hours=1, minutes=30)
    wrongs: list[dict[str, object]] = [
        {"hours": 0},
        {"hours": 49},
        {"plays": []},
        {"plays": [*range(1, 503)]},
        {"hours": "x"},
    ]
    for wrong in wrongs:
        assert client.post("/api/v1/plays/shift", json={**asked, **wrong}).status_code == 422


def test_the_api_gives_plays_to_another_person(home: Household) -> None:
    ben = home.person("ben")
    seen(home, film("Harbour"))
    client = home.api()
    asked = {"plays": [1], "person": "ben"}

    assert (
        client.post("/api/v1/plays/reassign", json={**asked, "dry_run": True}).json()["items"][0]["play"] == 1
    )
    assert plays(home)[0].removed_at is None
    (item,) = client.post("/api/v1/plays/reassign", json=asked).json()["items"]

    assert item["play"] == 2
    assert (plays(home)[1].person_id, plays(home)[0].removed_at is None) == (ben, False)
    (again,) = client.post("/api/v1/plays/reassign", json=asked).json()["items"]
    assert again["reason"] == "there is no play 1"
    assert client.post("/api/v1/plays/reassign", json={**asked, "person": "zoe"}).status_code == 422


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
