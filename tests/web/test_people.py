"""People: each page's buttons and their API twins, what a member may, and what goes with a person."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from tests.web.conftest import HOSTILE, PASSWORD, Household, form_token
from webhook.network.throttle import PACES, Pace
from webhook.people import passwords, people
from webhook.storage import tables


def post(browser: httpx.Client, path: str, where: str = "/people/me", **fields: str) -> httpx.Response:
    """A form sent as its page sends it."""
    return browser.post(path, data={"form_token": form_token(browser.get(where).text), **fields})


def row(home: Household, name: str) -> Any:
    return home.do(lambda connection: people.find_person(connection, name))


def filters_of(home: Household, name: str = "me") -> dict[str, Any]:
    return {kind: value for kind, value in row(home, name).filters.items() if value}


# --- everybody


def test_people_are_listed_added_and_shown(home: Household) -> None:
    browser = home.browser()

    answer = post(browser, "/people", name="bob")

    assert answer.headers["location"] == "/people/bob?said=created"
    assert ">Added.<" in browser.get("/people/bob?said=created").text
    page = browser.get("/people").text
    assert 'href="/people/bob"><bdi>bob</bdi>' in page
    assert "no password" in page
    assert post(browser, "/people", name="bob").status_code == 409
    assert "already" in post(browser, "/people", name="bob").text


def test_household_rules_are_made_and_taken_back(home: Household) -> None:
    home.person("bob")
    browser = home.browser()
    fields = {"players": "Sofa\n\n Sofa \nTable", "person-me": "on", "person-bob": "on"}

    assert post(browser, "/household", **fields).headers["location"].startswith("/people?said=created")

    page = unescape(browser.get("/people").text)
    assert "on <b>Sofa or Table</b>" in page
    assert "<b>me and bob</b>" in page
    assert "/household/1/remove" in page
    assert post(browser, "/household", players="Sofa").status_code == 422
    assert post(browser, "/household/1/remove").status_code == 303
    assert "No rules." in browser.get("/people").text


# --- one person


@pytest.mark.parametrize("path", ["/people/me", "/people/bob"])
def test_a_hostile_name_or_title_is_only_text(home: Household, path: str) -> None:
    home.person("bob")
    home.hear("anna", HOSTILE, guid="plex://other", librarySectionTitle=HOSTILE)
    browser = home.browser()
    post(browser, "/people/me/filters", not_libraries=HOSTILE)

    page = browser.get(path).text

    assert "alert(1)</script>" not in page
    assert " style=" not in page
    if path == "/people/me":
        assert HOSTILE in unescape(page)


def test_a_time_zone_is_chosen_and_shown(home: Household) -> None:
    home.hear("anna", "Pilot")
    browser = home.browser()

    assert post(browser, "/people/me/time-zone", timezone="Asia/Tokyo").status_code == 303

    page = browser.get("/people/me").text
    assert "<option selected>Asia/Tokyo" in page
    assert "JST" in page
    assert post(browser, "/people/me/time-zone", timezone="Mars/Olympus").status_code == 422
    assert row(home, "me").timezone == "Asia/Tokyo"
    assert post(browser, "/people/me/time-zone", timezone="").status_code == 303
    assert row(home, "me").timezone is None


def test_a_new_name_goes_into_what_was_kept(home: Household) -> None:
    home.hear("anna", 'Called "person":"me"')
    browser = home.browser()

    answer = post(browser, "/people/me/name", name='Anna "B"')

    assert answer.headers["location"] == "/people/Anna%20%22B%22?said=saved"
    (event,) = home.api().get("/api/v1/webhooks/1").json()["events"]
    assert event["person"] == 'Anna "B"'
    assert event["title"] == 'Called "person":"me"'
    assert browser.get("/people/Anna%20%22B%22").status_code == 200
    assert browser.get("/people/me").status_code == 404


def test_identities_are_claimed_and_given_up(home: Household) -> None:
    home.person("bob")
    home.hear("anna", "Pilot")
    home.hear("carl", "Other")
    browser = home.browser()
    assert '<option value="plex:carl@attic-uuid">' in browser.get("/people/bob").text

    assert post(browser, "/people/bob/claim", identity="plex:carl@attic-uuid").status_code == 303

    assert "<bdi>carl</bdi> <span" in browser.get("/people/bob").text
    post(browser, "/people/bob/release", identity="plex:carl@attic-uuid")
    assert "has not claimed any media server user" in browser.get("/people/bob").text
    assert post(browser, "/people/bob/claim", identity="nonsense").status_code == 422


def test_a_user_that_is_claimed_before_anything_came_was_never_seen(home: Household) -> None:
    browser = home.browser()

    post(browser, "/people/me/claim", identity="plex:dora")

    assert "<bdi>dora</bdi>" in (page := browser.get("/people/me").text)
    assert "any server · never seen" in page


# --- filters


def test_filters_are_saved_as_the_form_says(home: Household) -> None:
    browser = home.browser()
    fields = {"libraries": "Films\nShows", "not_players": " Sofa ", "kind-movie": "on", "home_videos": "on"}

    post(browser, "/people/me/filters", **fields)

    wanted = {"libraries": ["Films", "Shows"], "not_players": ["Sofa"], "kinds": ["movie"]}
    assert filters_of(home) == {**wanted, "home_videos": True}
    page = browser.get("/people/me").text
    assert "Films\nShows</textarea>" in page
    assert '"kind-movie" checked' in page
    assert '"kind-episode"> ' in page


def test_a_preview_says_what_would_be_stopped_and_saves_nothing(home: Household) -> None:
    for number in (1, 2):
        home.hear("anna", f"Part {number}", index=number, librarySectionTitle="Shows")
    home.hear("anna", "Holiday", librarySectionTitle="Home videos", guid="plex://other")
    home.hear("carl", "Not hers")
    browser = home.browser()
    every = {"kind-movie": "on", "kind-episode": "on", "kind-track": "on"}

    page = post(browser, "/people/me/filters/preview", not_libraries="shows", **every)

    assert page.status_code == 200
    assert "2 of the last 3 would be filtered" in page.text
    assert "nothing has been saved" in page.text
    assert "Never the library Shows." in page.text
    assert "Part 1" in page.text.partition('id="preview"')[2]
    assert "Holiday" not in page.text.partition('id="preview"')[2]
    assert "shows</textarea>" in page.text
    assert filters_of(home) == {}
    assert "0 of the last 3 would be filtered" in browser.get("/people/me").text
    assert "Known libraries: Home videos, Shows" in browser.get("/people/me").text


def test_the_preview_of_the_api_is_the_same(home: Household) -> None:
    home.hear("anna", "Pilot")

    told = home.api().post("/api/v1/people/me/filters/preview", json={"players": ["Table"]}).json()

    assert told["looked_at"] == 1
    assert [one["why"] for one in told["stopped"]] == ["Only the player Table, and this is Sofa."]
    assert home.api().post("/api/v1/people/me/filters/preview", json={"player": []}).status_code == 422


# --- signing in


def test_ones_own_password_is_changed_by_who_knows_it(home: Household) -> None:
    browser = home.browser()
    other = home.browser()
    new = {"password": "long enough", "again": "long enough"}
    wrong = post(browser, "/people/me/password", known="guess guess", **new)
    assert wrong.status_code == 422
    assert "current password is wrong" in wrong.text
    differ = post(browser, "/people/me/password", known=PASSWORD, password="long enough", again="other")
    assert "don&#39;t match" in differ.text
    assert other.get("/").status_code == 200

    assert post(browser, "/people/me/password", known=PASSWORD, **new).status_code == 303

    assert browser.get("/people/me").status_code == 200
    assert other.get("/").status_code == 303
    assert passwords.verify_password(row(home, "me").password, "long enough")


def test_guessing_has_to_wait(home: Household) -> None:
    browser = home.browser()
    home.service.login_throttle.paces = {**PACES, "known": Pace(free=5, first=600, most=600)}
    new = {"password": "long enough", "again": "long enough"}

    codes = [
        post(browser, "/people/me/password", known=f"guess {number}", **new).status_code
        for number in range(6)
    ]

    assert codes == [422] * 5 + [429]


def test_the_password_of_the_environment_is_changed_there(home: Household) -> None:
    browser = home.browser()
    settings = home.service.settings
    home.service.settings = settings.model_copy(
        update={"admin_password": type(settings.admin_password)(PASSWORD)}
    )

    assert "<code>ADMIN_PASSWORD</code>" in browser.get("/people/me").text
    refused = post(
        browser, "/people/me/password", known=PASSWORD, password="long enough", again="long enough"
    )
    assert refused.status_code == 409
    assert "ADMIN_PASSWORD" in refused.text


def test_an_invitation_is_shown_once_and_replaces_the_one_before(home: Household) -> None:
    home.person("bob")
    browser = home.browser()

    first, second = (
        re.findall(r"/welcome/[\w-]+", post(browser, "/people/bob/invite").text)[0] for _ in range(2)
    )

    assert "/welcome/" not in browser.get("/people/bob").text
    assert home.client().get(first).status_code == 404
    assert home.client().get(second).status_code == 200
    told = home.api().post("/api/v1/people/bob/invite").json()
    assert told["url"].startswith(f"{home.url}/welcome/")
    assert told["valid_until"]
    assert home.api().post("/api/v1/people/me/invite").status_code == 409


# --- removing


def test_removing_says_what_goes_and_wants_the_name(home: Household) -> None:
    bob = home.person("bob")
    home.token("api", bob)
    home.hear("anna", "Pilot")
    browser = home.browser()
    post(browser, "/people/bob/claim", identity="plex:carl")
    home.hear("carl", "Theirs", index=2)
    post(browser, "/household", players="Sofa", **{"person-me": "on", "person-bob": "on"})
    post(browser, "/household", players="Cabin", **{"person-bob": "on"})

    page = browser.get("/people/bob/remove").text

    assert "1 play in their history" in page
    assert "1 token, which stop" in page
    refused = post(browser, "/people/bob/remove", sure="Bob")
    assert refused.status_code == 422
    assert "Nothing was removed" in refused.text
    assert post(browser, "/people/bob/remove", sure="bob").headers["location"] == "/people?said=removed"
    assert browser.get("/people/bob").status_code == 404
    plays = home.do(lambda connection: connection.execute(select(tables.play.c.person_id)).scalars().all())
    assert set(plays) == {row(home, "me").id}
    rules = home.api().get("/api/v1/household").json()["items"]
    assert [rule["people"] for rule in rules] == [["me"]]
    assert browser.get("/activity").status_code == 200


def test_the_owner_stays(home: Household) -> None:
    browser = home.browser()

    assert browser.get("/people/me/remove").status_code == 409
    assert post(browser, "/people/me/remove", sure="me").status_code == 409
    assert home.api().delete("/api/v1/people/me").status_code == 409


# --- the API


def test_the_api_changes_and_removes_people(home: Household) -> None:
    home.person("bob")
    api = home.api()

    changed = api.patch("/api/v1/people/bob", json={"name": "rob", "timezone": "Europe/Paris"})

    assert changed.json()["name"] == "rob"
    assert changed.json()["timezone"] == "Europe/Paris"
    assert changed.json()["has_password"] is False
    assert api.get("/api/v1/people/rob").json() == changed.json()
    assert api.patch("/api/v1/people/rob", json={"name": "me"}).status_code == 409
    assert api.patch("/api/v1/people/rob", json={"owner": True}).status_code == 422
    assert api.patch("/api/v1/people/rob", json={"timezone": ["UTC"]}).status_code == 422
    gone = api.delete("/api/v1/people/rob").json()
    assert gone["removed"] is True
    assert gone["gone"]["plays"] == 0
    assert api.get("/api/v1/people/rob").status_code == 404


def test_tokens_are_made_listed_and_revoked(home: Household) -> None:
    home.person("bob")
    api = home.api()

    made = api.post("/api/v1/tokens", json={"kind": "api", "name": "script", "person": "bob"}).json()

    script = home.client(headers={"Authorization": f"Bearer {made['secret']}"})
    listed = api.get("/api/v1/tokens").json()["items"]
    assert made["secret"] not in str(listed)
    assert {"name": "script", "person": "bob", "kind": "api"}.items() <= listed[-1].items()
    assert [one["name"] for one in script.get("/api/v1/people").json()["items"]] == ["bob"]
    assert [one["id"] for one in script.get("/api/v1/tokens").json()["items"]] == [made["id"]]
    assert api.delete(f"/api/v1/tokens/{made['id']}").json() == {"id": made["id"], "revoked": True}
    assert made["id"] not in [one["id"] for one in api.get("/api/v1/tokens").json()["items"]]
    assert api.delete(f"/api/v1/tokens/{made['id']}").status_code == 404
    webhook = api.post("/api/v1/tokens", json={"kind": "webhook"}).json()
    assert httpx.post(webhook["urls"]["emby"], json={}).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{}, {"kind": "admin"}, {"kind": "api", "scope": "all"}, {"kind": "api", "name": ["x"]}]
)
def test_a_wrong_token_is_refused(home: Household, wrong: dict[str, Any]) -> None:
    assert home.api().post("/api/v1/tokens", json=wrong).status_code == 422


def test_an_app_password_is_one_persons_and_lets_in_at_the_tv_time_api(home: Household) -> None:
    api = home.api()
    assert api.post("/api/v1/tokens", json={"kind": "app"}).status_code == 422

    made = api.post("/api/v1/tokens", json={"kind": "app", "name": "phone", "person": "me"}).json()

    answer = home.client().post("/tvtime/login", data={"username": "me", "password": made["secret"]})
    assert answer.status_code == 200
    assert made["urls"] is None
    assert ("app", "phone") in [
        (one["kind"], one["name"]) for one in api.get("/api/v1/tokens").json()["items"]
    ]


def test_a_members_script_makes_only_their_own_tokens(home: Household) -> None:
    bob = home.person("bob")
    api = home.api(bob)
    owners = home.api().get("/api/v1/tokens").json()["items"][0]["id"]

    assert api.post("/api/v1/tokens", json={"kind": "webhook"}).json()["person"] == "bob"
    assert api.post("/api/v1/tokens", json={"kind": "webhook", "person": "me"}).status_code == 404
    assert api.delete(f"/api/v1/tokens/{owners}").status_code == 404


# --- what a member may


def test_a_member_has_a_page_of_their_own_and_no_other(home: Household) -> None:
    home.person("bob")
    member = home.browser("bob")
    home.password("me")

    assert member.get("/people").headers["location"] == "/people/bob"
    page = member.get("/people/bob").text
    assert ">You</a>" in page
    assert 'href="/settings"' not in page
    for hidden in ("Remove bob", "Rename", "Claim for", "one-time link"):
        assert hidden not in page
    for path in ("/people/me", "/people/nobody"):
        refused = member.get(path)
        assert refused.status_code == 404
        assert "or you may not see them" in refused.text
    assert member.get("/people/bob/remove").status_code == 403
    assert post(member, "/people/bob/time-zone", "/people/bob", timezone="Asia/Tokyo").status_code == 303
    assert post(member, "/people/bob/filters", "/people/bob", players="Sofa").status_code == 303
    made = post(member, "/tokens", "/people/bob", kind="api", person="bob")
    assert "shown only once" in made.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/people", 403),
        ("/household", 403),
        ("/household/1/remove", 403),
        ("/people/bob/name", 403),
        ("/people/bob/invite", 403),
        ("/people/bob/claim", 403),
        ("/people/bob/remove", 403),
        ("/people/me/password", 403),
        ("/people/me/time-zone", 404),
        ("/people/me/filters", 404),
        ("/people/me/filters/preview", 404),
        ("/people/me/release", 404),
        ("/tokens/1/revoke", 404),
        ("/settings", 403),
        ("/settings/backup", 403),
    ],
)
def test_a_member_changes_nothing_of_others(home: Household, path: str, status: int) -> None:
    home.person("bob")
    fields = {"name": "x", "identity": "plex:anna", "sure": "bob", "known": PASSWORD}

    answer = post(home.browser("bob"), path, "/people/bob", **fields)

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "people/bob"),
        ("POST", "people/bob/invite"),
        ("GET", "settings"),
        ("PUT", "settings"),
        ("GET", "backup"),
    ],
)
def test_a_members_script_does_nothing_of_the_owners(home: Household, method: str, path: str) -> None:
    api = home.api(home.person("bob"))

    assert api.request(method, f"/api/v1/{path}", json={}).status_code == 403


@pytest.mark.parametrize("path", ["people/me", "tokens", "settings", "backup"])
def test_everything_wants_a_token(home: Household, path: str) -> None:
    assert home.client().get(f"/api/v1/{path}").status_code == 401


@pytest.mark.parametrize("path", ["/tokens", "/people/me/invite", "/people/me/password", "/settings/backup"])
def test_forms_of_other_sites_and_sign_ins_are_refused(home: Household, path: str) -> None:
    browser = home.browser()

    assert browser.post(path, data={"form_token": "0" * 32}).status_code == 403
    token = form_token(browser.get("/people/me").text)
    other = browser.post(path, data={"form_token": token}, headers={"Sec-Fetch-Site": "cross-site"})
    assert other.status_code == 403
    count = select(func.count()).select_from(tables.token)
    assert home.do(lambda connection: connection.execute(count).scalar()) == 1


def test_what_the_document_requires_is_given(home: Household) -> None:
    home.hear()
    api = home.api()
    schemas = api.get("/api/v1/openapi.json").json()["components"]["schemas"]
    person = api.get("/api/v1/people/me").json()

    assert person.keys() >= set(schemas["PersonDetail"]["required"])
    assert api.get("/api/v1/tokens").json()["items"][0].keys() == set(schemas["Token"]["required"])
    made = api.post("/api/v1/tokens", json={"kind": "api"}).json()
    assert made.keys() == set(schemas["NewToken"]["required"])
    assert api.get("/api/v1/settings").json()["items"][0].keys() == set(schemas["Setting"]["required"])
    preview = api.post("/api/v1/people/me/filters/preview", json={"players": ["x"]}).json()
    assert preview.keys() == set(schemas["Preview"]["required"])
    stopped = schemas["StoppedWebhook"]["required"]
    assert preview["stopped"][0].keys() >= set(stopped)


# --- names


UNFIT = ["x/remove", "x\\y", ".", "..", "a\tb", "a\u202eb", "a\u200bb", "a\u2028b", "ME"]


@pytest.mark.parametrize("name", UNFIT)
def test_a_name_that_leads_to_no_page_or_to_anothers_is_refused(home: Household, name: str) -> None:
    browser, api = home.browser(), home.api()
    home.person("bob")

    for answer in (
        post(browser, "/people", name=name),
        post(browser, "/people/bob/name", name=name),
        api.post("/api/v1/people", json={"name": name}),
        api.patch("/api/v1/people/bob", json={"name": name}),
    ):
        assert answer.status_code == (409 if name == "ME" else 422)
    assert [one["name"] for one in api.get("/api/v1/people").json()["items"]] == ["me", "bob"]


def test_ones_own_name_is_written_otherwise(home: Household) -> None:
    assert home.api().patch("/api/v1/people/me", json={"name": "Me"}).json()["name"] == "Me"


@pytest.mark.parametrize("name", ["bob/remove", "x/name", "..", ".", "a\\b", "a\tb", "a\u202eb"])
def test_a_name_from_before_is_found_and_given_up(home: Household, name: str) -> None:
    bob = home.person("bob")
    home.person("robert")
    odd = update(tables.person).where(tables.person.c.id == bob).values(name=name)
    home.do(lambda connection: connection.execute(odd))
    path = "".join(f"%{byte:02X}" for byte in name.encode())
    browser = home.browser()

    page = browser.get(f"/people/{path}")
    api = home.api().patch(f"/api/v1/people/{path}", json={"name": "bobby"})

    assert "Not found" not in page.text
    assert page.status_code == 200
    assert api.json()["name"] == "bobby"
    assert browser.get("/people/robert/remove").status_code == 200


def test_a_name_from_before_is_given_up_on_its_page(home: Household) -> None:
    bob = home.person("bob")
    odd = update(tables.person).where(tables.person.c.id == bob).values(name="x/name")
    home.do(lambda connection: connection.execute(odd))

    assert post(home.browser(), "/people/x/name/name", name="bob").status_code == 303
    assert row(home, "bob").id == bob


# --- one's own password, by the API


def test_a_script_changes_its_own_persons_password_by_the_one_before(home: Household) -> None:
    bob = home.person("bob")
    browser = home.browser("bob")
    mine = home.api(bob)
    wanted = {"known": PASSWORD, "password": "another long one"}

    assert mine.put("/api/v1/people/bob/password", json={**wanted, "known": "wrong"}).status_code == 422
    assert mine.put("/api/v1/people/bob/password", json={**wanted, "password": "short"}).status_code == 422
    assert mine.put("/api/v1/people/bob/password", json={"password": "another long one"}).status_code == 422
    assert home.api().put("/api/v1/people/bob/password", json=wanted).status_code == 403
    assert mine.put("/api/v1/people/me/password", json=wanted).status_code == 403
    assert mine.put("/api/v1/people/bob/password", json=wanted).json() == {"name": "bob", "changed": True}

    assert passwords.verify_password(row(home, "bob").password, "another long one")
    assert browser.get("/").status_code == 303


def test_guesses_at_it_are_counted_over_the_page_and_the_api_together(home: Household) -> None:
    browser, mine = home.browser(), home.api(1)
    home.service.login_throttle.paces = {**PACES, "known": Pace(free=5, first=600, most=600)}
    for _ in range(3):
        post(browser, "/people/me/password", known="wrong", password="long enough", again="long enough")
    guess = {"known": "wrong", "password": "long enough"}
    answers = [mine.put("/api/v1/people/me/password", json=guess).status_code for _ in range(3)]

    assert answers == [422, 422, 429]
