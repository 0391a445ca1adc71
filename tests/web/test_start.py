"""The first start: from the one-time link to a set-up service on one page, each step to be left, without scripts."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, insert

from tests.test_discovery import GDM, network
from tests.web.conftest import Household, Open, form_token
from webhook import clock, servers, settings, sources, trackers
from webhook.cli.serve import announce
from webhook.people import identities, passwords, people, tokens
from webhook.storage import tables
from webhook.trackers._facts import Cost, find_class
from webhook.web.setup import steps

GOOD = {"password": "long enough", "again": "long enough"}


@pytest.fixture
def asking(opened: Open) -> Household:
    """A household where whoever plays first is asked about."""
    return opened(CLAIM_FIRST_USER="false")


def choose(browser: httpx.Client, **fields: str) -> httpx.Response:
    token = form_token(browser.get("/start").text)
    return browser.post("/start/step", data={"form_token": token, **fields})


def states(page: str) -> list[str]:
    """The states of the five steps."""
    return re.findall(r'<div class="step (\w+)"', page)


def cards(browser: httpx.Client) -> list[str]:
    """What Now says is left to set up."""
    part = browser.get("/").text.partition('id="left"')[2].partition("</section>")[0]
    return re.findall(r'<p class="title">([^<]*)</p>', part)


def test_the_sign_in_of_a_first_start_says_where_the_link_is(home: Household) -> None:
    page = home.client().get("/sign-in").text

    assert "First time here?" in page
    assert "docker compose logs watchmark" in page
    assert "ADMIN_PASSWORD" in page


def test_later_the_sign_in_says_no_such_thing(home: Household) -> None:
    home.password("me")

    assert "First time here?" not in home.client().get("/sign-in").text


def test_from_the_link_through_every_step(asking: Household) -> None:
    home = asking
    browser = home.client()
    link = f"/welcome/{home.welcome()}"
    assert 'value="me"' in browser.get(link).text

    answer = browser.post(link, data={**GOOD, "name": "Anna"})

    assert answer.headers["location"] == "/start"
    choice = browser.get("/start").text
    for name in sources.modules():
        assert f'name="server" value="{name}"' in choice
    choose(browser, server="plex")
    waiting = browser.get("/start").text
    assert f"{home.url}/webhooks/plex?token=" in waiting
    assert "Waiting for Plex" in waiting
    home.hear("anna", "Pilot")
    arrived = browser.get("/start").text
    assert "Waiting for Plex" not in arrived
    assert "<bdi>Harbour Street S1 E1" in arrived
    claim = {"form_token": form_token(arrived), "identity": "1", "do": "me", "back": "/start"}
    assert browser.post("/needs-you/claim", data=claim).headers["location"] == "/start?said=claimed"
    tracker = browser.get("/start").text
    for name in set(trackers.modules()) - {"tvtime", *servers.modules()}:
        assert f'href="/start?tracker={name}"' in tracker
    assert states(tracker) == ["done", "done", "done", "done", "open"]
    again = home.client().post("/sign-in", data={"name": "Anna", "password": "long enough"})
    assert again.status_code == 303


def test_the_trackers_that_cost_nothing_come_first(home: Household) -> None:
    page = home.browser().get("/start?step=tracker").text

    offered = re.findall(r'href="/start\?tracker=(\w+)', page)
    free = [name for name in offered if find_class(trackers.modules()[name]).facts.cost is Cost.FREE]
    assert {"mdblist", "simkl", "lastfm", "listenbrainz"} <= {*free}
    assert offered[: len(free)] == free
    assert page.count('<span class="badge quiet">free</span>') == len(free)


def test_one_step_is_open_and_says_where_one_is(asking: Household) -> None:
    browser = asking.browser()

    beginning = browser.get("/start").text
    choose(browser, server="jellyfin")
    chosen = browser.get("/start").text
    asking.hear()
    heard = browser.get("/start").text

    assert states(beginning) == ["done", "open", "ahead", "ahead", "ahead"]
    assert states(chosen) == ["done", "open", "open", "ahead", "ahead"]
    assert states(heard) == ["done", "done", "done", "open", "ahead"]
    assert [page.count('aria-current="step"') for page in (beginning, chosen, heard)] == [1, 1, 1]
    assert asking.browser().get("/start?step=tracker").text.count('aria-current="step"') == 1


def test_another_server_can_be_chosen(home: Household) -> None:
    browser = home.browser()

    choose(browser, server="plex")
    choose(browser, server="")

    assert "What do you watch with?" in browser.get("/start").text


def test_what_says_nothing_of_a_play_is_shown_and_the_wait_goes_on(home: Household) -> None:
    browser = home.browser()
    choose(browser, server="plex")

    home.hear("anna", "Pilot", "library.on.deck")
    page = browser.get("/start").text

    assert states(page) == ["done", "done", "open", "ahead", "ahead"]
    assert "says nothing about viewing" in page
    assert "Waiting for Plex" in page


def test_a_step_that_is_left_waits_on_now_until_it_is_dismissed(home: Household) -> None:
    browser = home.client()
    browser.post(f"/welcome/{home.welcome()}", data={**GOOD, "name": "me"})

    choose(browser, step="server", do="later")
    page = browser.get("/start").text
    assert states(page) == ["done", "later", "ahead", "ahead", "open"]
    assert 'href="/start?step=server"' in page
    assert cards(browser) == ["Your server", "Where should it go?"]

    answer = choose(browser, step="server", do="dismiss")
    assert answer.headers["location"] == "/"
    choose(browser, step="tracker", do="dismiss")
    assert cards(browser) == []
    assert states(browser.get("/start?step=server").text)[1] == "open"


def test_now_tells_where_one_is(asking: Household) -> None:
    browser = asking.client()
    browser.post(f"/welcome/{asking.welcome()}", data={**GOOD, "name": "me"})

    choose(browser, server="emby")
    waiting = cards(browser)
    asking.hear()

    assert waiting == ["The first play", "Where should it go?"]
    assert cards(browser) == ["Where should it go?"]


def test_who_never_went_through_the_steps_is_only_told_how_to_begin(home: Household) -> None:
    browser = home.browser()

    before = cards(browser)
    home.hear()

    assert before == ["Your server"]
    assert cards(browser) == []


def test_all_that_is_connected_is_done(home: Household) -> None:
    browser = home.browser()
    home.hear()

    def sign_in(connection: Connection) -> None:
        values = {
            "person_id": 1,
            "tracker": "listenbrainz",
            "name": "anna_l",
            "tells": [],
            "created_at": clock.now(),
        }
        connection.execute(insert(tables.account), values)

    home.do(sign_in)
    page = browser.get("/start").text

    assert states(page) == ["done"] * 5
    assert "You are set up" in page
    assert "ListenBrainz as <bdi>anna_l</bdi>" in page
    assert 'badge good">connected' in browser.get("/start?step=tracker").text


@pytest.mark.parametrize("fields", [{"server": "nothing"}, {"step": "nothing"}, {}])
def test_no_such_step(home: Household, fields: dict[str, str]) -> None:
    assert choose(home.browser(), **fields).status_code == 422


@pytest.mark.parametrize("path", ["", "/source", "/source/plex", "/tracker", "/done"])
@pytest.mark.parametrize("root", ["", "/watchmark"])
def test_the_pages_it_once_had_lead_there(opened: Open, path: str, root: str) -> None:
    answer = opened(ROOT_PATH=root).client().get(f"{root}/wizard{path}")

    assert answer.status_code == 308
    assert answer.headers["location"] == f"{root}/start"


def test_what_a_person_chose_goes_with_them(home: Household) -> None:
    bob = home.person("bob")
    choose(home.browser("bob"), step="tracker", do="later")
    assert home.do(lambda connection: steps.load_choices(connection, bob)) is not None

    home.do(lambda connection: people.remove_person(connection, people.find_person(connection, "bob")))

    assert home.do(lambda connection: steps.load_choices(connection, bob)) is None


@pytest.mark.parametrize("name", ["a:b", "x" * 65])
def test_a_name_that_none_can_have_leaves_the_link_valid(home: Household, name: str) -> None:
    link = f"/welcome/{home.welcome()}"

    answer = home.client().post(link, data={**GOOD, "name": name})

    assert answer.status_code == 422
    assert home.client().get(link).status_code == 200
    assert home.do(passwords.find_owner).password is None


def test_a_member_goes_by_the_steps_that_are_theirs(asking: Household) -> None:
    bob = asking.person("bob")
    member = asking.browser("bob")
    asking.hear("anna", "Pilot")

    page = member.get("/start").text
    assert states(page) == ["done", "done", "open", "ahead", "ahead"]
    assert "server reports for everyone" in page
    assert "anna" not in page
    assert "/webhooks/plex" not in member.get("/start?step=server").text

    asking.hear("bob", "Other")
    asking.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    assert states(member.get("/start").text) == ["done", "done", "done", "done", "open"]

    asking.token("webhook", bob)
    choose(member, server="plex")
    assert "/webhooks/plex?token=" in member.get("/start?step=server").text


def test_a_member_comes_in_by_a_link_of_their_own_and_keeps_the_name(home: Household) -> None:
    home.person("bob")
    owner = home.browser()
    token = form_token(owner.get("/people/bob").text)
    page = owner.post("/people/bob/invite", data={"form_token": token}).text
    (path,) = re.findall(r"/welcome/[\w-]+", page)
    member = home.client()
    assert "Choose the password for <b><bdi>bob</bdi></b>" in member.get(path).text

    answer = member.post(path, data={**GOOD, "name": "somebody"})

    assert answer.headers["location"] == "/start"
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
    assert answer.headers["location"] == "/watchmark/start"
    token = form_token(browser.get("/watchmark/start").text)
    chosen = browser.post("/watchmark/start/step", data={"form_token": token, "server": "jellyfin"})
    assert chosen.headers["location"] == "/watchmark/start"

    for query in ("", "?step=tracker", "?tracker=listenbrainz", "?step=play"):
        page = unescape(browser.get(f"/watchmark/start{query}").text)
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


@pytest.mark.parametrize(
    ("inside", "says"), [(True, "this machine's name or address."), (False, "http://192.0.2.2:8484")]
)
def test_the_address_of_a_container_is_told_to_nobody(
    opened: Open,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    inside: bool,
    says: str,
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setattr(settings, "CONTAINER_MARKS", [mark])
    monkeypatch.setattr(settings, "own_ip", lambda: "192.0.2.2")
    if inside:
        mark.touch()

    announce(opened(HOST="0.0.0.0").service, "http://localhost:8484/welcome/secret", False, first=True)  # noqa: S104

    assert capsys.readouterr().out.splitlines()[-1].endswith(f" {says}")


def test_the_sign_in_says_so_too(home: Household) -> None:
    assert "If it says localhost and you are on another machine" in home.client().get("/sign-in").text


def test_the_browsers_time_zone_is_offered_until_one_is_chosen(home: Household) -> None:
    path = "/start?step=tracker"
    browser = home.browser()
    page = browser.get(path).text
    assert "data-zone hidden>" in page
    assert "Choose your time zone" in page
    fields = {"form_token": form_token(page), "timezone": "Europe/Berlin", "back": path}

    answer = browser.post("/start/time-zone", data=fields)

    assert answer.headers["location"] == f"{path}&said=saved"
    assert "data-zone " not in browser.get(path).text
    assert home.do(lambda connection: people.find_person(connection, "me").timezone) == "Europe/Berlin"


def test_a_member_takes_a_time_zone_of_their_own(home: Household) -> None:
    home.person("bob")
    member = home.browser("bob")
    fields = {"form_token": form_token(member.get("/start").text), "timezone": "Asia/Tokyo"}

    member.post("/start/time-zone", data=fields)
    refused = member.post("/start/time-zone", data={**fields, "timezone": "Nowhere/None"})

    assert refused.status_code == 422
    zones = home.do(
        lambda connection: [people.find_person(connection, name).timezone for name in ("me", "bob")]
    )
    assert zones == [None, "Asia/Tokyo"]


def test_a_server_of_the_network_is_found_and_filled_in(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = home.browser()
    choose(browser, server="plex")
    token = form_token(browser.get("/start").text)
    monkeypatch.setattr("webhook.network.discovery.PATIENCE", 0.3)

    with network(monkeypatch, "plex", [GDM]):
        page = browser.post("/start/find", data={"form_token": token, "server": "plex"}).text
    with network(monkeypatch, "plex", []):
        nothing = browser.post("/start/find", data={"form_token": token, "server": "plex"}).text

    assert 'placeholder="http://192.168.1.10:32400" value="http://127.0.0.1:32400"' in page
    assert "Attic" in page
    assert 'name="PLEX_URL" autocomplete="off" spellcheck="false" value="http://127.0.0.1:32400"' in page
    assert 'data-from="/start"' in page
    assert "None answered." in nothing
    assert "None answered." not in browser.get("/start").text


def test_a_member_searches_no_network(home: Household) -> None:
    home.person("bob")
    member = home.browser("bob")
    fields = {"form_token": form_token(member.get("/start").text), "server": "plex"}

    assert member.post("/start/find", data=fields).status_code == 403
