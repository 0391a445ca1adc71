"""The wizard: from the one-time link to a set-up service, each step to be skipped, without scripts."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web.conftest import Household, Open, form_token
from webhook import sources, trackers
from webhook.cli.serve import announce
from webhook.people import passwords, people, tokens

GOOD = {"password": "long enough", "again": "long enough"}


def test_the_sign_in_of_a_first_start_says_where_the_link_is(home: Household) -> None:
    page = home.client().get("/sign-in").text

    assert "First time here?" in page
    assert "docker compose logs watchmark" in page
    assert "ADMIN_PASSWORD" in page


def test_later_the_sign_in_says_no_such_thing(home: Household) -> None:
    home.password("me")

    assert "First time here?" not in home.client().get("/sign-in").text


def test_from_the_link_through_every_step(home: Household) -> None:
    browser = home.client()
    link = f"/welcome/{home.welcome()}"
    assert 'value="me"' in browser.get(link).text

    answer = browser.post(link, data={**GOOD, "name": "Anna"})

    assert answer.headers["location"] == "/wizard/source"
    choice = browser.get("/wizard/source").text
    for name in sources.modules():
        assert f'href="/wizard/source/{name}"' in choice
    assert 'href="/wizard/tracker">Skip' in choice
    waiting = browser.get("/wizard/source/plex").text
    assert f"{home.url}/webhooks/plex?token=" in waiting
    assert "no webhook yet" in waiting
    assert "Continue without waiting" in waiting
    home.hear("anna", "Pilot")
    arrived = browser.get("/wizard/source/plex").text
    assert "it works" in arrived
    assert "Continue</a>" in arrived
    tracker = browser.get("/wizard/tracker").text
    for name in trackers.modules():
        assert f'href="/connections/{name}?then=/wizard/done"' in tracker
    assert 'href="/wizard/done">Skip' in tracker
    done = browser.get("/wizard/done").text
    assert "Plex, last" in done
    assert "TV Time" in done
    assert "Choose your time zone" in done
    again = home.client().post("/sign-in", data={"name": "Anna", "password": "long enough"})
    assert again.status_code == 303


def test_every_step_says_where_it_is(home: Household) -> None:
    browser = home.browser()

    steps = [
        re.findall(r'<li aria-current="step">(\w+)', browser.get(f"/wizard/{path}").text)
        for path in ("source", "source/plex", "tracker", "done")
    ]

    assert steps == [["Source"], ["Source"], ["Tracker"], ["Done"]]
    assert browser.get("/wizard").headers["location"] == "/wizard/source"


def test_an_empty_house_is_told_what_is_missing(home: Household) -> None:
    page = home.browser().get("/wizard/done").text

    assert "no webhook yet" in page
    assert 'href="/wizard/source">Set up a media server' in page


def test_no_such_source(home: Household) -> None:
    assert home.browser().get("/wizard/source/nothing").status_code == 404


@pytest.mark.parametrize("name", ["a:b", "x" * 65])
def test_a_name_that_none_can_have_leaves_the_link_valid(home: Household, name: str) -> None:
    link = f"/welcome/{home.welcome()}"

    answer = home.client().post(link, data={**GOOD, "name": name})

    assert answer.status_code == 422
    assert home.client().get(link).status_code == 200
    assert home.do(passwords.find_owner).password is None


def test_a_member_goes_by_the_steps_that_are_theirs(home: Household) -> None:
    home.person("bob")
    member = home.browser("bob")

    assert member.get("/wizard").headers["location"] == "/wizard/tracker"
    assert member.get("/wizard/tracker").status_code == 200
    assert member.get("/wizard/done").status_code == 200
    refused = member.get("/wizard/source")
    assert refused.status_code == 403
    assert "Only the owner" in refused.text


def test_a_member_comes_in_by_a_link_of_their_own_and_keeps_the_name(home: Household) -> None:
    home.person("bob")
    owner = home.browser()
    token = form_token(owner.get("/people/bob").text)
    page = owner.post("/people/bob/invite", data={"form_token": token}).text
    (path,) = re.findall(r"/welcome/[\w-]+", page)
    member = home.client()
    assert "Choose the password for <b>bob</b>" in member.get(path).text

    answer = member.post(path, data={**GOOD, "name": "somebody"})

    assert answer.headers["location"] == "/wizard/tracker"
    assert member.get("/people").headers["location"] == "/people/bob"
    assert home.client().get(path).status_code == 404
    assert owner.get("/").status_code == 200


def test_a_link_lets_in_only_whom_it_is_for(home: Household) -> None:
    bob = home.person("bob")
    owners, members = home.welcome(), tokens.new_secret()
    from webhook import clock

    home.do(lambda connection: passwords.invite(connection, members, clock.now(), person_id=bob))

    assert "owner" in home.client().get(f"/welcome/{owners}").text
    assert "bob" in home.client().get(f"/welcome/{members}").text
    home.client().post(f"/welcome/{members}", data=GOOD)
    assert home.do(passwords.find_owner).password is None
    assert home.client().get(f"/welcome/{owners}").status_code == 200


def test_links_keep_to_the_sub_path(opened: Open) -> None:
    home = opened(ROOT_PATH="/watchmark")
    browser = home.client()
    answer = browser.post(f"/watchmark/welcome/{home.welcome()}", data={**GOOD, "name": "me"})
    assert answer.headers["location"] == "/watchmark/wizard/source"

    for path in ("source", "source/jellyfin", "tracker", "done"):
        page = unescape(browser.get(f"/watchmark/wizard/{path}").text)
        for link in re.findall(r'(?:href|action)="(/[^"]*)"', page):
            assert link.startswith("/watchmark/")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "or forward the port: ssh -L 8484:localhost:8484"),
        ({"HOST": "0.0.0.0"}, "From another machine, replace "),  # noqa: S104
        ({"HOST": "192.168.1.20"}, None),
        ({"BASE_URL": "https://watch.example"}, None),
    ],
    ids=["loopback", "everywhere", "one address", "proxy"],
)
def test_the_first_start_says_how_another_machine_gets_there(
    opened: Open, capsys: pytest.CaptureFixture[str], settings: dict[str, str], says: str | None
) -> None:
    announce(opened(**settings).service, "http://localhost:8484/welcome/secret", False, first=True)

    last = capsys.readouterr().out.splitlines()[-1]
    assert (says in last) if says else last.endswith("/welcome/secret")


def test_the_sign_in_says_so_too(home: Household) -> None:
    assert "If it says localhost and you are on another machine" in home.client().get("/sign-in").text


@pytest.mark.parametrize("path", ["/wizard/source", "/wizard/tracker", "/wizard/done"])
def test_the_browsers_time_zone_is_offered_until_one_is_chosen(home: Household, path: str) -> None:
    browser = home.browser()
    page = browser.get(path).text
    assert "data-zone hidden>" in page
    fields = {"form_token": form_token(page), "timezone": "Europe/Berlin", "back": path}

    answer = browser.post("/wizard/time-zone", data=fields)

    assert answer.headers["location"] == f"{path}?said=saved"
    assert "data-zone " not in browser.get(path).text
    assert home.do(lambda connection: people.find_person(connection, "me").timezone) == "Europe/Berlin"


def test_a_member_takes_a_time_zone_of_their_own(home: Household) -> None:
    home.person("bob")
    member = home.browser("bob")
    fields = {"form_token": form_token(member.get("/wizard/done").text), "timezone": "Asia/Tokyo"}

    member.post("/wizard/time-zone", data=fields)
    refused = member.post("/wizard/time-zone", data={**fields, "timezone": "Nowhere/None"})

    assert refused.status_code == 422
    zones = home.do(
        lambda connection: [people.find_person(connection, name).timezone for name in ("me", "bob")]
    )
    assert zones == [None, "Asia/Tokyo"]
