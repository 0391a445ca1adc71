"""A media server is connected on its page: found, signed in to, tested, and only then kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from tests.connecting import open_attic
from tests.fakes._server import Server
from tests.fakes.emby import Emby
from tests.fakes.jellyfin import Jellyfin
from tests.running import eventually
from tests.web.conftest import Household, Open, form_token
from tests.web.test_connections import post, read
from webhook import cli, clock
from webhook.accounts import server_sign_in
from webhook.accounts.settings_store import load_settings
from webhook.clock import stamp
from webhook.network.discovery import FoundServer
from webhook.queues.listening import LeaseRequest, LineState, LineStatus, remember, renew_lines
from webhook.servers import _finding
from webhook.servers.plex.members import PEOPLE

ADMINISTRATOR, SOMEBODY = "bb" * 16, "aa" * 16


@pytest.fixture
def attic() -> Iterator[Server]:
    with open_attic() as server:
        yield server


@pytest.fixture
def plex_home(opened: Open, attic: Server) -> Household:
    return opened(PLEX_ACCOUNT_URL=attic.url)


def connected(home: Household) -> dict[str, str | None]:
    """What is kept of the Plex server."""
    settings = home.api().get("/api/v1/connections/plex").json()["settings"]
    return {one["variable"]: one["value"] or one["ends"] for one in settings if one["set"]}


def test_one_signs_in_with_plex_by_a_code_and_an_address(plex_home: Household, attic: Server) -> None:
    browser = plex_home.browser()
    assert "Sign in with Plex" in read(browser, "/connections/plex")

    answer = post(browser, "/connections/plex/server", address=attic.url)
    page = read(browser, "/connections/plex")

    assert answer.headers["location"] == "/connections/plex"
    assert re.search(r'<p class="code" id="[^"]+">AB700</p>', page)
    assert 'href="https://plex.tv/link"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert connected(plex_home) == {"PLEX_ACCOUNT_URL": attic.url}
    attic.fake.link(700, "Nora")
    eventually(lambda: "Connected to Attic, Plex" in read(browser, "/connections/plex"), "it is connected")
    assert connected(plex_home) == {
        "PLEX_ACCOUNT_URL": attic.url,
        "PLEX_URL": attic.url,
        "PLEX_TOKEN": "nora",
    }
    after = read(browser, "/connections/plex")
    assert "account-token" not in after
    assert "2 people use it, and all are heard." in after


def test_one_that_plex_knows_needs_no_address(plex_home: Household, attic: Server) -> None:
    browser = plex_home.browser()

    post(browser, "/connections/plex/server", address="")
    attic.fake.link(700, "anna")

    eventually(lambda: "It hears only anna" in read(browser, "/connections/plex"), "it is connected")
    assert connected(plex_home)["PLEX_USER"] == "anna"


def test_a_wrong_address_is_said_before_any_code_is_shown(plex_home: Household, attic: Server) -> None:
    browser = plex_home.browser()

    refused = post(browser, "/connections/plex/server", address="http://127.0.0.1:9")
    no_address = post(browser, "/connections/plex/server", address="ftp://attic")

    assert refused.status_code == no_address.status_code == 422
    assert "Is it running, and is PLEX_URL (http://127.0.0.1:9) its address?" in refused.text
    assert "must begin with http" in no_address.text
    assert attic.fake.pins == {}


def test_a_code_that_expires_is_said_and_nothing_is_kept(plex_home: Household, attic: Server) -> None:
    browser = plex_home.browser()
    post(browser, "/connections/plex/server", address=attic.url)

    attic.fake.expire(700)

    eventually(
        lambda: "the code has expired; start again" in read(browser, "/connections/plex"), "it is said"
    )
    assert "PLEX_TOKEN" not in connected(plex_home)


def test_a_sign_in_is_cancelled_and_begun_anew_with_another_address(
    plex_home: Household, attic: Server
) -> None:
    browser = plex_home.browser()
    for address in (attic.url, ""):
        post(browser, "/connections/plex/server", address=address)
    page = read(browser, "/connections/plex")
    assert re.findall(r'<p class="code" id="[^"]+">([^<]+)</p>', page) == ["AB701"]
    held = re.search(r'name="sign_in" value="([^"]+)"', page)
    assert held

    post(browser, "/connections/plex/cancel", sign_in=held.group(1))

    assert "AB701" not in read(browser, "/connections/plex")


@pytest.mark.parametrize(("name", "fake"), [("jellyfin", Jellyfin), ("emby", Emby)])
def test_an_administrator_signs_in_by_name_and_anybody_else_is_refused(
    home: Household, name: str, fake: type[Jellyfin | Emby]
) -> None:
    browser, server = home.browser(), fake()
    server.add_person("nora", "bb" * 16, admin=True)
    server.add_person()
    with Server(server) as running:
        typed = {"address": running.url.removeprefix("http://"), "password": "secret"}
        refused = post(browser, f"/connections/{name}/server", **typed, username="anna")
        taken = post(browser, f"/connections/{name}/server", **typed, username="nora")
        nothing = post(browser, f"/connections/{name}/server", **{**typed, "password": ""}, username="nora")

    assert "This user is no administrator" in refused.text
    assert "Enter the address, the user name and the password." in nothing.text
    assert "secret" not in refused.text
    assert taken.headers["location"] == f"/connections/{name}?said=connected"
    assert "2 people use it, and all are heard." in read(browser, f"/connections/{name}")


def test_a_script_signs_in_with_plex_by_a_code(plex_home: Household, attic: Server) -> None:
    api = plex_home.api()

    made = api.post("/api/v1/connections/plex/connect", json={"address": attic.url}).json()
    assert (made["says"], made["sign_in"]["user_code"], made["sign_in"]["url"]) == (
        None,
        "AB700",
        "https://plex.tv/link",
    )
    attic.fake.link(700, "Nora")

    where = f"/api/v1/sign-ins/{made['sign_in']['id']}"
    eventually(lambda: api.get(where).json()["works"], "it is connected")
    assert connected(plex_home)["PLEX_TOKEN"] == "nora"


def test_a_script_signs_in_as_an_administrator_and_is_told_what_is_wrong(home: Household) -> None:
    api, server = home.api(), Jellyfin()
    server.add_person("nora", "bb" * 16, admin=True)
    with Server(server) as running:
        typed = {"address": running.url, "username": "nora"}
        wrong = api.post("/api/v1/connections/jellyfin/connect", json={**typed, "password": "another"})
        made = api.post("/api/v1/connections/jellyfin/connect", json={**typed, "password": "secret"})

    assert (wrong.status_code, made.status_code) == (422, 200)
    assert "Nothing was changed." in wrong.text
    assert made.json()["sign_in"] is None
    assert "One person uses it, and is heard." in made.json()["says"]
    for name, what in (("emby", "by a code"), ("trakt", "no media server")):
        refused = api.post(f"/api/v1/connections/{name}/connect", json={})
        assert (refused.status_code, what in refused.text) == (409, True)


@pytest.fixture
def quick_home(home: Household, monkeypatch: pytest.MonkeyPatch) -> Household:
    monkeypatch.setattr(server_sign_in, "QUICK_CONNECT_INTERVAL", timedelta(milliseconds=50))
    return home


@pytest.mark.parametrize(
    ("user_id", "says"), [(ADMINISTRATOR, "2 people use it"), (SOMEBODY, "no administrator")]
)
def test_a_jellyfin_is_signed_in_to_by_its_quick_connect(
    quick_home: Household, user_id: str, says: str
) -> None:
    browser, server = quick_home.browser(), Jellyfin()
    server.add_person("nora", ADMINISTRATOR, admin=True)
    server.add_person()
    with Server(server) as running:
        post(
            browser, "/connections/jellyfin/server", address=running.url, by="code", username="", password=""
        )
        assert "700100" in read(browser, "/connections/jellyfin")

        server.enter_code("700100", user_id)

        eventually(lambda: says in read(browser, "/connections/jellyfin"), "it is settled")
        connected = quick_home.api().get("/api/v1/connections/jellyfin").json()["settings"]
    assert any(one["set"] for one in connected) is (user_id == ADMINISTRATOR)


def test_a_quick_connect_that_is_off_or_has_expired_is_said(quick_home: Household) -> None:
    server, api = Jellyfin(), quick_home.api()
    with Server(server) as running:
        server.quick_connect = False
        off = api.post("/api/v1/connections/jellyfin/connect", json={"address": running.url})
        nowhere = api.post("/api/v1/connections/jellyfin/connect", json={})
        server.quick_connect = True
        made = api.post("/api/v1/connections/jellyfin/connect", json={"address": running.url}).json()[
            "sign_in"
        ]
        server.secrets.clear()

        where = f"/api/v1/sign-ins/{made['id']}"
        eventually(lambda: "has expired" in (api.get(where).json()["says"] or ""), "it is said")
    assert (off.status_code, nowhere.status_code) == (422, 422)
    assert "offers no Quick Connect" in off.text
    assert "Say where the server is" in nowhere.text


@pytest.mark.parametrize(
    ("user_id", "code", "said"),
    [
        (ADMINISTRATOR, 0, "Connected to Cellar, Jellyfin 10.11.5. 2 people use it"),
        (SOMEBODY, 1, "this user is no administrator of Jellyfin"),
        (None, 1, "offers no Quick Connect"),
    ],
    ids=["administrator", "somebody", "turned off"],
)
def test_the_command_signs_in_by_quick_connect(
    quick_home: Household, monkeypatch: pytest.MonkeyPatch, user_id: str | None, code: int, said: str
) -> None:
    monkeypatch.setenv("DATA_DIR", str(quick_home.service.settings.data_dir))
    server = Jellyfin()
    server.add_person("nora", ADMINISTRATOR, admin=True)
    server.add_person()
    server.quick_connect = user_id is not None
    server.enter_code("700100", user_id or "")  # by somebody who is quick: the command gets this code
    with Server(server) as running:
        ended = CliRunner().invoke(cli.app, ["connect", "jellyfin", "--address", running.url, "--code"])

    assert (ended.exit_code, said in ended.output) == (code, True), ended.output
    assert ("enter 700100" in ended.output) is (user_id is not None)
    kept = quick_home.do(lambda connection: load_settings(connection, quick_home.service.seal))
    assert set(kept) == ({"JELLYFIN_URL", "JELLYFIN_API_KEY"} if code == 0 else set())


def test_the_command_signs_in_by_a_code_where_there_is_one_alone(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(home.service.settings.data_dir))

    ended = CliRunner().invoke(cli.app, ["connect", "emby", "--address", "http://127.0.0.1:9", "--code"])

    assert (ended.exit_code, "Emby is not signed in to by a code." in ended.output) == (1, True)


def test_a_script_of_somebody_else_connects_no_server(home: Household) -> None:
    answer = home.api(home.person("bob")).post("/api/v1/connections/plex/connect", json={})

    assert answer.status_code == 403


def test_the_page_says_whose_own_tokens_are_used_and_since_when(opened: Open) -> None:
    home, now = opened(PLEX_URL="http://127.0.0.1:9", PLEX_TOKEN="of-nobody"), clock.now()
    status = LineStatus(server="plex", state=LineState.LIVE, since=now)
    lease = LeaseRequest(server="plex", holder="a", now=now, status=status)
    people = {"ben": {"by": "plex.tv", "since": stamp(now)}, "Anna": {"by": "sign-in", "since": stamp(now)}}
    home.do(lambda connection: renew_lines(connection, [lease]))
    home.do(lambda connection: remember(connection, "plex", PEOPLE, people))

    text = re.sub(r"<[^>]+>", "", read(home.browser(), "/connections/plex"))

    assert "Marks by hand are also read of those who share the server" in text
    assert "Anna signed in here · since" in text
    assert "ben token from plex.tv · since" in text
    heard = home.api().get("/api/v1/connections/plex").json()["reception"]["people"]
    assert [one["name"] for one in heard] == ["Anna", "ben"]


def test_servers_that_are_near_can_be_picked(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> list[FoundServer]:
        return [FoundServer("Attic", "http://10.0.0.1:32400"), FoundServer("Barn", "http://10.0.0.2:32400")]

    monkeypatch.setattr(_finding, "find_servers", find)
    browser = home.browser()
    filled = 'placeholder="http://192.168.1.10:32400" value="http://10.0.0.{}:32400"'

    found = post(browser, "/connections/plex/find", server="plex").text
    picked = post(browser, "/connections/plex/find", address="http://10.0.0.2:32400").text

    assert filled.format(1) in found
    assert 'aria-label="Use Barn at http://10.0.0.2:32400"' in found
    assert filled.format(2) in picked


def test_what_the_environment_says_is_not_asked_for(opened: Open, attic: Server) -> None:
    home = opened(PLEX_URL=attic.url, PLEX_TOKEN=attic.fake.switches.token)
    browser = home.browser()

    page = read(browser, "/connections/plex")
    refused = post(browser, "/connections/plex/server", address=attic.url)

    assert ">Sign in with Plex<" not in page
    assert "PLEX_TOKEN is set in the environment and can only be changed there." in refused.text


@pytest.mark.parametrize("form", ["server", "find"])
def test_only_the_owner_connects_a_server(home: Household, form: str) -> None:
    home.person("bob")
    member = home.browser("bob")
    fields = {"form_token": form_token(member.get("/start").text), "address": "http://127.0.0.1:9"}

    assert member.post(f"/connections/plex/{form}", data=fields).status_code == 403
    assert home.client().post(f"/connections/plex/{form}", data=fields).status_code in (303, 403)


def test_the_first_start_leads_through_the_sign_in(plex_home: Household, attic: Server) -> None:
    browser = plex_home.browser()
    post(browser, "/start/step", server="plex")
    beginning = read(browser, "/start")
    assert "Sign in with Plex" in beginning
    assert f"{plex_home.url}/webhooks/plex" in beginning

    answer = post(browser, "/connections/plex/server?then=/start", address=attic.url)

    assert answer.headers["location"] == "/start"
    waiting = read(browser, "/start")
    assert "AB700" in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    attic.fake.link(700, "Nora")
    eventually(lambda: "Connected to Attic, Plex" in read(browser, "/start"), "it is connected")
    assert "AB700" not in read(browser, "/start")
