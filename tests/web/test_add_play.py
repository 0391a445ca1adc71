"""Adding a play by hand, on its page and by the API."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import jsonschema
import pytest
from sqlalchemy import select

from tests.web.conftest import HOSTILE, Household, document, form_token
from webhook import clock
from webhook.people import people
from webhook.storage import tables

FILM = {"kind": "movie", "title": "Salt Road", "year": "1999", "date": "2024-03-01", "time": "20:15"}
EPISODE = {"kind": "episode", "show": "Tidewater", "season": "1", "number": "3", "unknown": "on"}
BODY: dict[str, Any] = {
    "item": {"kind": "movie", "title": "Salt Road", "year": 1999},
    "watched_at": "2024-03-01T20:15:00Z",
}


def drawn(browser: httpx.Client, kind: str = "movie") -> dict[str, str]:
    """What the form holds before anybody types."""
    page = browser.get(f"/history/add?kind={kind}").text
    (key,) = re.findall(r'name="key" value="([0-9a-f]+)"', page)
    return {"form_token": form_token(page), "key": key}


def send(browser: httpx.Client, fields: dict[str, str]) -> httpx.Response:
    return browser.post("/history/add", data={**drawn(browser, fields["kind"]), **fields})


def plays(home: Household) -> list[Any]:
    return list(home.do(lambda connection: connection.execute(select(tables.play)).all()))


# --- the page


def test_a_film_is_added_at_the_time_that_it_is_there(home: Household) -> None:
    browser = home.browser()
    home.api().patch("/api/v1/people/me", json={"timezone": "Asia/Tokyo"})

    answer = send(browser, FILM)
    page = browser.get(answer.headers["location"])

    (row,) = plays(home)
    assert (row.item["title"], row.item["year"], row.manual, row.dated) == ("Salt Road", 1999, True, "exact")
    assert clock.stamp(row.watched_at) == "2024-03-01T11:15:00.000Z"
    assert answer.headers["location"] == f"/history/plays/{row.id}?said=added"
    assert "Added to your history." in page.text
    assert "Watchmark, by hand" in page.text
    assert "Salt Road" in browser.get("/history").text


def test_an_episode_of_an_unknown_date_is_added_and_says_so(home: Household) -> None:
    browser = home.browser()

    send(browser, EPISODE)

    (row,) = plays(home)
    assert (row.item["show"], row.item["season"], row.item["number"]) == ("Tidewater", 1, 3)
    assert row.dated == "ticked"
    assert "date unknown" in browser.get("/history").text
    assert "(added then, watched earlier)" in browser.get(f"/history/plays/{row.id}").text


def test_a_day_without_a_time_is_a_day(home: Household) -> None:
    send(home.browser(), {**FILM, "time": ""})

    assert [row.dated for row in plays(home)] == ["day"]


def test_a_form_that_is_sent_twice_adds_one_play(home: Household) -> None:
    browser = home.browser()
    fields = {**drawn(browser), **FILM, "rewatch": "on"}

    first, second = (browser.post("/history/add", data=fields) for _ in range(2))

    (row,) = plays(home)
    assert first.headers["location"] == f"/history/plays/{row.id}?said=added"
    assert second.headers["location"] == f"/history/plays/{row.id}?said=known"


@pytest.mark.parametrize(
    ("fields", "beside", "says"),
    [
        ({**FILM, "title": ""}, "title", "Say which film it was"),
        ({**FILM, "year": "3000"}, "year", "The year must be one from 1870"),
        ({**FILM, "year": "soon"}, "year", "The year must be one from 1870"),
        ({**FILM, "date": "2999-01-01"}, "watched_at", "lies in the future"),
        ({**FILM, "date": ""}, "watched_at", "Date unknown"),
        ({**FILM, "ids.imdb": "903747"}, "ids", "looks like tt0903747"),
        ({**EPISODE, "show": ""}, "show", "Say of which show"),
        ({**EPISODE, "season": "", "number": ""}, "season", "A show as a whole is no viewing"),
        ({**EPISODE, "number": "minus one"}, "number", "must be a whole number"),
        ({**EPISODE, "show_ids.tvdb": "x"}, "ids", "are numbers"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    home: Household, fields: dict[str, str], beside: str, says: str
) -> None:
    answer = send(home.browser(), fields)

    page = unescape(answer.text)
    assert answer.status_code == 422
    assert re.search(rf'<p class="wrong" id="wrong-{beside}">[^<]*{says}', page)
    assert re.search(rf'aria-invalid="true" aria-describedby="wrong-{beside}"', page)
    for name in ("title", "show", "year", "date", "time"):
        if fields.get(name):
            assert f'value="{fields[name]}"' in page
    assert plays(home) == []


def test_what_the_history_has_is_only_added_as_another_viewing(home: Household) -> None:
    browser = home.browser()
    send(browser, FILM)

    refused = send(browser, {**FILM, "time": "21:00"})
    added = send(browser, {**FILM, "time": "21:00", "rewatch": "on"})

    assert refused.status_code == 422
    assert "It is in the history already, watched on 1 March 2024" in refused.text
    assert added.status_code == 303
    assert len(plays(home)) == 2


def test_the_owner_adds_for_anybody_and_a_member_for_themselves(home: Household) -> None:
    ben = home.person("ben")
    owner, member = home.browser(), home.browser("ben")
    assert '<select id="person" name="person">' in owner.get("/history/add").text
    assert 'name="person"' not in member.get("/history/add").text

    send(owner, {**FILM, "person": "ben"})
    send(member, EPISODE)
    refused = send(member, {**FILM, "person": "me"})

    assert refused.status_code == 403
    assert [row.person_id for row in plays(home)] == [ben, ben]
    assert owner.get("/history/add?person=ben").status_code == 200
    assert member.get("/history/add?person=me").status_code == 403


def test_a_hostile_title_is_only_text(home: Household) -> None:
    browser = home.browser()

    refused = send(browser, {**FILM, "title": HOSTILE, "date": ""})
    added = send(browser, {**FILM, "title": HOSTILE})

    for page in (refused, browser.get(added.headers["location"])):
        assert HOSTILE in unescape(page.text)
        assert HOSTILE not in page.text


def test_another_sign_ins_form_adds_nothing(home: Household) -> None:
    browser = home.browser()

    answer = browser.post("/history/add", data={**FILM, "form_token": "0" * 32})

    assert answer.status_code == 403
    assert plays(home) == []


# --- the API


def test_a_script_adds_a_play_as_described(home: Household) -> None:
    api = document(home.url)
    described = api["paths"]["/plays"]["post"]["responses"]["200"]["content"]["application/json"]

    first, second = (home.api().post("/api/v1/plays", json={**BODY, "key": "mine"}).json() for _ in range(2))

    jsonschema.validate(first, {**described["schema"], "components": api["components"]})
    assert (first["added"], second["added"]) == (True, False)
    assert first["play"]["id"] == second["play"]["id"]
    assert (first["play"]["title"], first["play"]["manual"], first["play"]["dated"]) == (
        "Salt Road",
        True,
        "exact",
    )
    assert first["told"] == ["tvtime"]


@pytest.mark.parametrize(("watched_at", "dated"), [(None, "ticked"), ("2024-03-01", "day")])
def test_a_script_says_how_exactly_it_knows_when(home: Household, watched_at: str | None, dated: str) -> None:
    told = home.api().post("/api/v1/plays", json={**BODY, "watched_at": watched_at}).json()

    assert told["play"]["dated"] == dated


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"item": BODY["item"]}, "watched_at must be a time, a day such as 2026-11-22, or null"),
        ({**BODY, "watched_at": 7}, "watched_at must be"),
        ({**BODY, "watched_at": "2999-01-01"}, "watched_at: That day lies in the future."),
        ({**BODY, "item": "Salt Road"}, "item must be an object"),
        ({**BODY, "item": {"title": "Tidewater"}}, "kind: A film or an episode can be added."),
        (
            {**BODY, "item": {"kind": "show", "title": "Tidewater"}},
            "kind: A film or an episode can be added.",
        ),
        ({**BODY, "item": {"kind": "episode", "show": "Tidewater"}}, "season: Say which episode it was"),
        ({**BODY, "rewatch": "yes"}, "rewatch must be true or false"),
        ({**BODY, "when": "now"}, "when is not a field here"),
        ({**BODY, "person": "nobody"}, "person must be the name of somebody here"),
    ],
)
def test_what_a_script_cannot_mean_is_refused_in_a_sentence(
    home: Household, body: dict[str, Any], says: str
) -> None:
    answer = home.api().post("/api/v1/plays", json=body)

    assert answer.status_code in (400, 422)
    assert answer.json()["detail"].startswith(says)
    assert plays(home) == []


def test_a_members_token_adds_to_the_members_history_alone(home: Household) -> None:
    ben = home.person("ben")

    mine = home.api(ben).post("/api/v1/plays", json=BODY)
    others = home.api(ben).post("/api/v1/plays", json={**BODY, "person": people.FIRST_PERSON})

    assert mine.json()["play"]["person"] == "ben"
    assert others.status_code == 403
    assert [row.person_id for row in plays(home)] == [ben]
