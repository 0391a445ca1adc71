"""Tokens: their scopes and their end, how they are made and shown, and that none makes a stronger one."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine

from tests.web.conftest import Household, form_token
from webhook import clock
from webhook.people import people, scopes, tokens
from webhook.people.scopes import Scope
from webhook.web.http.errors import Problem
from webhook.web.people import actions as administration
from webhook.web.people.models import TokenRequest
from webhook.web.visible import Visitor

DAY = timedelta(days=1)


def token(
    home: Household,
    *granted: Scope,
    kind: str = "api",
    person_id: int | None = 1,
    expires_at: datetime | None = None,
) -> str:
    """A token with these scopes; with none it is as those are that were made before there were scopes."""
    secret, now = tokens.new_secret(), clock.now()
    named = scopes.names(frozenset(granted)) if granted else None
    limits: dict[str, Any] = {"scopes": named, "expires_at": expires_at}
    home.do(
        lambda connection: tokens.add_token(connection, kind, secret, "", now, person_id=person_id, **limits)
    )
    return secret


def script(home: Household, secret: str) -> httpx.Client:
    return home.client(headers={"Authorization": f"Bearer {secret}"})


def post(browser: httpx.Client, path: str, page: str, **fields: str) -> httpx.Response:
    return browser.post(path, data={"form_token": form_token(browser.get(page).text), **fields})


def feed(home: Household, secret: str) -> httpx.Response:
    return home.client().get("/api/v1/calendar.ics", params={"token": secret})


# --- scopes


def test_a_lacking_scope_is_named_in_the_answer(home: Household) -> None:
    answer = script(home, token(home, Scope.READ)).delete("/api/v1/plays/1")

    assert answer.status_code == 403
    assert answer.json()["detail"] == (
        "This needs a token with the scope history:write; the scopes of this one are: read. "
        "Make another: watchmark token new --kind api --scope history:write --person me"
    )


def test_a_token_without_scopes_still_opens_everything(home: Household) -> None:
    old = script(home, token(home))

    assert old.get("/api/v1/backup").status_code == 200
    assert old.get("/api/v1/tokens").json()["items"][-1]["scopes"] is None
    assert "scopes: everything ·" in home.browser().get("/settings").text


def test_a_scope_of_a_later_version_opens_nothing() -> None:
    assert scopes.parse_scopes(["read", "telepathy"]) == frozenset({Scope.READ})
    assert not scopes.permits(scopes.parse_scopes(["telepathy"]), Scope.READ)
    assert scopes.spell(scopes.names(scopes.parse_scopes(["telepathy"]))) == "nothing"


def test_the_document_on_tokens_says_what_each_scope_is() -> None:
    written = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `([\w:]+)` \| (.+) \|$", written, re.MULTILINE)

    assert dict(rows) == {scope.value: about for scope, about in scopes.DESCRIPTIONS.items()}


# --- making them


def test_the_api_makes_a_token_with_scopes_and_an_end(home: Household) -> None:
    given = {"kind": "api", "scopes": ["history:write", "read"], "expires_in_days": 30}

    made = home.api().post("/api/v1/tokens", json=given).json()

    listed = home.api().get("/api/v1/tokens").json()["items"]
    (shown,) = [one for one in listed if one["id"] == made["id"]]
    assert made["scopes"] == shown["scopes"] == ["read", "history:write"]
    assert made["expires_at"] == shown["expires_at"]
    assert abs(datetime.fromisoformat(made["expires_at"]) - clock.now() - 30 * DAY) < timedelta(minutes=1)
    assert (made["calendar"], shown["expired"]) == (None, False)
    assert script(home, made["secret"]).get("/api/v1/settings").status_code == 403


def test_a_token_is_for_everything_and_for_ever_where_nothing_is_said(home: Household) -> None:
    made = home.api().post("/api/v1/tokens", json={"kind": "api"}).json()

    assert (made["scopes"], made["expires_at"]) == (["admin"], None)
    assert script(home, made["secret"]).get("/api/v1/settings").status_code == 200


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kind": "api", "scopes": []}, "scopes"),
        ({"kind": "api", "scopes": "read"}, "scopes"),
        ({"kind": "api", "scopes": ["read", "write"]}, "scopes"),
        ({"kind": "api", "scopes": [{}]}, "scopes"),
        ({"kind": "app", "person": "me", "scopes": ["read"]}, "scopes"),
        ({"kind": "api", "expires_in_days": 0}, "expires_in_days"),
        ({"kind": "api", "expires_in_days": 3651}, "expires_in_days"),
        ({"kind": "api", "expires_in_days": True}, "expires_in_days"),
        ({"kind": "api", "expires_in_days": "30"}, "expires_in_days"),
        ({"kind": "webhook", "expires_in_days": 30}, "a webhook token never ends"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(
    home: Household, given: dict[str, Any], named: str
) -> None:
    answer = home.api().post("/api/v1/tokens", json=given)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


def test_a_page_makes_a_token_for_reading_that_ends(home: Household) -> None:
    browser = home.browser()
    fields = {"kind": "api", "name": "panel", "scopes": "read", "expires_in_days": "30"}

    page = post(browser, "/tokens", "/settings", **fields).text

    (secret,) = re.findall(r'id="secret" class="copy" readonly value="([\w-]{40,})"', page)
    assert "Scopes: read." in page
    assert "It expires <time" in page
    assert "panel</b>" in (listed := browser.get("/settings").text)
    assert re.search(r"panel</b> .* scopes: read · created .* · expires <time", listed)
    reader = script(home, secret)
    assert [reader.get(f"/api/v1/{path}").status_code for path in ("plays", "tokens")] == [200, 403]


def test_the_scopes_of_the_form_are_asked_for_api_tokens_alone(home: Household) -> None:
    browser, fields = home.browser(), {"scopes": "read", "expires_in_days": ""}

    assert post(browser, "/tokens", "/settings", kind="webhook", **fields).status_code == 200
    assert post(browser, "/tokens", "/people/me", kind="app", person="me", **fields).status_code == 200
    assert post(browser, "/tokens", "/settings", kind="api", scopes="all").status_code == 422
    assert post(browser, "/tokens", "/settings", kind="api", expires_in_days="soon").status_code == 422


# --- no token makes a stronger one


def test_a_token_without_admin_makes_no_token_and_no_backup(home: Household) -> None:
    weak = script(home, token(home, Scope.READ, Scope.HISTORY_WRITE))

    assert weak.post("/api/v1/tokens", json={"kind": "api", "scopes": ["read"]}).status_code == 403
    assert weak.get("/api/v1/backup").status_code == 403
    assert weak.get("/api/v1/urls").status_code == 403


@pytest.mark.parametrize("wanted", [Scope.HISTORY_WRITE, Scope.CALENDAR, Scope.ADMIN])
def test_a_token_never_makes_one_with_a_scope_that_it_lacks(home: Household, wanted: Scope) -> None:
    reader = Visitor(is_admin=True, scopes=frozenset({Scope.READ}))
    given = TokenRequest(kind="api", scopes=[Scope.READ, wanted])

    with pytest.raises(Problem, match="this token has read and can't create tokens with more"):
        asyncio.run(administration.make_token(home.service, reader, given, home.url))


def test_a_token_that_ends_makes_none_that_ends_later(home: Household) -> None:
    last = clock.now() + 10 * DAY
    ending = script(home, token(home, Scope.ADMIN, expires_at=last))

    unsaid = ending.post("/api/v1/tokens", json={"kind": "api"}).json()
    sooner = ending.post("/api/v1/tokens", json={"kind": "api", "expires_in_days": 9}).json()
    password = ending.post("/api/v1/tokens", json={"kind": "app", "person": "me"}).json()

    assert unsaid["expires_at"] == password["expires_at"] == clock.stamp(last)
    assert datetime.fromisoformat(sooner["expires_at"]) < last
    later = ending.post("/api/v1/tokens", json={"kind": "api", "expires_in_days": 11})
    assert (later.status_code, "can't create tokens that expire later" in later.text) == (403, True)
    endless = ending.post("/api/v1/tokens", json={"kind": "webhook"})
    assert (endless.status_code, "can't create a webhook token" in endless.text) == (403, True)


# --- whose they are


def test_a_token_follows_its_person_to_another_name_at_once(home: Household) -> None:
    bob = home.api(home.person("bob"))
    before = bob.get("/api/v1/people").json()["items"]

    home.api().patch("/api/v1/people/bob", json={"name": "rob"})
    home.person("bob")

    assert [one["name"] for one in before] == ["bob"]
    assert [one["name"] for one in bob.get("/api/v1/people").json()["items"]] == ["rob"]
    assert bob.get("/api/v1/unresolved").status_code == 200


def test_who_is_removed_while_they_ask_is_told_so_and_no_other_name(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = home.api(home.person("bob"))

    def remove(*_: Any) -> None:
        raise people.PeopleError("there is nobody called bob; there is me")

    monkeypatch.setattr(people, "find_person", remove)
    answer = bob.get("/api/v1/unresolved")

    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "There is nobody of that name here any more.",
    )


def test_the_token_of_who_was_removed_lets_nobody_in(home: Household) -> None:
    bob = home.api(home.person("bob"))
    assert bob.get("/api/v1/plays").status_code == 200

    assert home.api().delete("/api/v1/people/bob").status_code == 200

    assert bob.get("/api/v1/plays").status_code == 401


# --- their end


def test_an_expired_token_is_refused_at_once_and_says_so(home: Household) -> None:
    ends = clock.now() + DAY
    client = script(home, token(home, Scope.ADMIN, expires_at=ends))
    before = client.get("/api/v1/plays").status_code

    with time_machine.travel(ends, tick=True):
        after = client.get("/api/v1/plays")

    assert (before, after.status_code) == (200, 401)
    assert after.json()["detail"] == (
        f"This token expired at {clock.stamp(ends)}. "
        "Make another: watchmark token new --kind api --scope admin --person me"
    )
    assert after.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_token_is_shown_as_expired_and_can_be_taken_off(home: Household) -> None:
    token(home, Scope.READ, expires_at=clock.now() - DAY)

    (shown,) = [one for one in home.api().get("/api/v1/tokens").json()["items"] if one["expired"]]

    page = home.browser().get("/people/me").text
    assert re.search(r'badge warn">expired <time', page)
    assert home.api().delete(f"/api/v1/tokens/{shown['id']}").status_code == 200


def test_an_expired_app_password_ends_its_sessions_too(home: Household) -> None:
    ends = clock.now() + DAY
    secret = token(home, kind="app", expires_at=ends)
    client, given = home.client(), {"username": "me", "password": secret}
    before = client.post("/tvtime/login", data=given).status_code

    with time_machine.travel(ends, tick=True):
        session, again = client.get("/tvtime/shows"), home.client().post("/tvtime/login", data=given)

    assert (before, session.status_code, again.status_code) == (200, 401, 401)


def test_the_door_for_webhooks_takes_no_token_that_has_ended(home: Household) -> None:
    ended = token(home, kind="webhook", expires_at=clock.now() - DAY)

    assert home.client().post(f"/webhooks/plex/{ended}", json={}).status_code == 404


# --- the calendar


def test_a_button_makes_an_address_that_opens_the_calendar_and_nothing_else(home: Household) -> None:
    home.hear(title="Pilot")
    browser = home.browser()

    page = unescape(post(browser, "/history/export/calendar", "/history/export", person="me").text)

    (address,) = re.findall(r'id="calendar" class="copy" readonly value="([^"]+)"', page)
    secret = httpx.URL(address).params["token"]
    assert address == f"{home.url}/api/v1/calendar.ics?token={secret}"
    assert "BEGIN:VCALENDAR" in httpx.get(address).text
    assert script(home, secret).get("/api/v1/plays").status_code == 403
    assert secret not in browser.get("/history/export").text
    (shown,) = [one for one in home.api().get("/api/v1/tokens").json()["items"] if one["name"] == "calendar"]
    assert (shown["scopes"], shown["person"]) == (["calendar"], "me")


def test_a_member_makes_an_address_of_their_own_calendar_alone(home: Household) -> None:
    home.person("bob")
    bob = home.browser("bob")

    page = post(bob, "/history/export/calendar", "/history/export", person="bob").text

    assert "Calendar of bob" in page
    assert post(bob, "/history/export/calendar", "/history/export", person="me").status_code == 403


def test_the_api_makes_the_address_for_whoever_can_be_meant(home: Household) -> None:
    given = {"kind": "api", "scopes": ["calendar"]}
    alone = home.api().post("/api/v1/tokens", json=given).json()
    home.person("bob")

    unsaid = home.api().post("/api/v1/tokens", json=given)

    assert (alone["person"], alone["calendar"]) == (
        "me",
        f"{home.url}/api/v1/calendar.ics?token={alone['secret']}",
    )
    assert (unsaid.status_code, unsaid.json()["detail"]) == (
        422,
        "person: a calendar belongs to one person; choose whose.",
    )
    assert home.api(1).post("/api/v1/tokens", json=given).json()["person"] == "me"


def test_the_calendar_opens_to_tokens_from_before_and_not_to_one_for_reading(home: Household) -> None:
    assert feed(home, token(home)).status_code == 200
    refused = feed(home, token(home, Scope.READ))
    assert (refused.status_code, "the scope calendar;" in refused.text) == (403, True)
    assert feed(home, token(home, Scope.CALENDAR, expires_at=clock.now() - DAY)).status_code == 401
