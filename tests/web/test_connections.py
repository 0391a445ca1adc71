"""Connections: every service with its state in words, set up, tested and signed in to in the browser."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import escape, unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update

from tests.fakes._server import Server
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.lastfm import LastFM
from tests.fakes.listenbrainz import ListenBrainz
from tests.fakes.mdblist import MDBList
from tests.fakes.tmdb import Tmdb
from tests.fakes.trakt import Trakt
from tests.fakes.tvdb import Tvdb
from tests.fakes.tvtime import TVTime
from tests.web.conftest import HOSTILE, Household, Open, form_token
from webhook import lookups, servers, sources, trackers
from webhook.accounts import settings_store
from webhook.clock import now
from webhook.domain.outcome import Park
from webhook.queues import parking
from webhook.storage.tables import account
from webhook.web.connections import catalog, states

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in Apprise

SECRET = "0123456789abcdef0123456789abcdef"
NOWHERE = "http://127.0.0.1:9/3"
ALL = [
    "trakt",
    "tvtime",
    "mdblist",
    "floppy",
    "punchplay",
    "scrob",
    "anilist",
    "mal",
    "simkl",
    "lastfm",
    "listenbrainz",
    "webhook_out",
    "tmdb",
    "tvdb",
    "plex",
    "jellyfin",
    "emby",
]


def trakt_at(url: str) -> dict[str, str]:
    keys = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}
    return {**keys, "TRAKT_API_URL": url, "TRAKT_AUTH_URL": url}


def post(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """A form of the page at the beginning of the path."""
    page = "/".join(path.split("/")[:3])
    return browser.post(path, data={"form_token": form_token(browser.get(page).text), **fields})


def read(browser: httpx.Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def headings(browser: httpx.Client) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", read(browser, "/connections"))


def words(browser: httpx.Client, name: str) -> str:
    """The state of a service as its page says it."""
    found = re.search(r'<h1>.*?<span class="badge \w+">([^<]+)</span>', read(browser, f"/connections/{name}"))
    assert found
    return found.group(1)


def kept(home: Household) -> dict[str, str]:
    return home.service.database.ask(
        lambda connection: settings_store.load_settings(connection, home.service.seal)
    )


def eventually(holds: Callable[[], bool], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


# --- what is there


def test_every_service_is_listed_with_its_state_in_words(home: Household) -> None:
    page = read(home.browser(), "/connections")

    for name in [*ALL, "tautulli", "notifications"]:
        assert f'href="/connections/{name}"' in page
    assert headings(home.browser()) == ["Webhooks", "Ready to connect", "Working"]
    for name in ("Imgur", "Gracenote", "Jackett", "Gmail", "YouTube", "Google Play Music"):
        assert re.search(rf"{name}.*: not used by Watchmark, because ", page)


def test_what_needs_attention_comes_first_and_what_works_last(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    connect(home, trakt)
    browser = home.browser()
    assert headings(browser) == ["Webhooks", "Ready to connect", "Working"]

    trakt.fake.sessions.clear()
    post(browser, "/connections/trakt/test", listed="1")

    assert headings(browser)[:2] == ["Webhooks", "Needs attention"]
    trouble = read(browser, "/connections").partition("Needs attention")[2].partition("Ready to connect")[0]
    assert 'href="/connections/trakt"' in trouble


def test_the_webhooks_of_each_server_stand_among_the_connections(home: Household) -> None:
    browser = home.browser()
    assert read(browser, "/connections").count("No webhook yet") == len(sources.modules())

    home.hear()

    page = read(browser, "/connections")
    assert re.search(r'href="/setup#source-plex">Plex</a>\s*<p class="note">Last webhook ', page)


@pytest.mark.parametrize("name", sorted(catalog.services()))
def test_every_service_says_what_it_is_for_and_what_to_get_where(home: Household, name: str) -> None:
    one = catalog.services()[name]

    page = home.browser().get(f"/connections/{name}").text

    assert one.purpose.endswith(".")
    assert len(one.steps) >= 3
    assert page.count("<li>") >= len(one.steps)
    assert " style=" not in page
    assert "<script>" not in page


def test_no_module_is_left_out() -> None:
    modules = {**trackers.modules(), **lookups.modules(), **servers.modules()}

    assert catalog.services().keys() == {*modules, "notifications"}


def test_what_the_document_requires_is_given(home: Household) -> None:
    schemas = home.client().get("/api/v1/openapi.json").json()["components"]["schemas"]
    for item in home.api().get("/api/v1/connections").json()["items"]:
        assert item.keys() == set(schemas["Connection"]["required"])
        for setting in item["settings"]:
            assert setting.keys() == set(schemas["ConnectionSetting"]["required"])
        assert item["word"] == catalog.STATES[item["state"]]


def test_a_member_sees_trackers_and_no_settings(home: Household) -> None:
    api = home.api(home.person("bob"))
    browser = home.browser("bob")

    page = read(browser, "/connections")

    assert "TMDB" not in page.partition("not-used")[0]
    assert browser.get("/connections/tmdb").status_code == 404
    assert "TRAKT_CLIENT_ID" not in read(browser, "/connections/trakt")
    assert post(browser, "/connections/trakt/settings", TRAKT_CLIENT_ID="x").status_code == 403
    assert all(item["settings"] == [] for item in api.get("/api/v1/connections").json()["items"])
    refused = api.put("/api/v1/connections/trakt/settings", json={"settings": {"TRAKT_CLIENT_ID": "x"}})
    assert refused.status_code == 403


@pytest.mark.parametrize("form", ["test", "settings", "sign-in", "cancel", "disconnect", "account"])
def test_a_form_without_the_sessions_token_is_refused(home: Household, form: str) -> None:
    assert home.browser().post(f"/connections/trakt/{form}", data={"form_token": "0"}).status_code == 403
    assert home.client().post(f"/connections/trakt/{form}").headers["location"] == "/sign-in"


# --- settings


def test_a_key_is_tried_and_kept(home: Household) -> None:
    browser = home.browser()

    with Server(Tmdb(key=SECRET)) as tmdb:
        answer = post(browser, "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=f"{tmdb.url}/3")

    assert answer.headers["location"] == "/connections/tmdb?said=saved"
    assert kept(home) == {"TMDB_TOKEN": SECRET, "TMDB_API_URL": f"{tmdb.url}/3"}
    assert words(browser, "tmdb") == "Working"
    assert "The key was accepted." in read(browser, "/connections/tmdb")


def test_a_wrong_key_is_refused_with_the_services_word(home: Household) -> None:
    browser = home.browser()

    with Server(Tmdb()) as tmdb:
        answer = post(browser, "/connections/tmdb/settings", TMDB_TOKEN="wrong", TMDB_API_URL=f"{tmdb.url}/3")

    assert answer.status_code == 422
    assert "TMDB does not accept TMDB_TOKEN (Invalid API key" in unescape(answer.text)
    assert "Nothing was changed." in answer.text
    assert "Save anyway" not in answer.text
    assert kept(home) == {}


def field(page: str, name: str) -> str:
    """A field of a form as it is written in the page."""
    found = re.search(rf'<(?:input|textarea)[^>]* name="{name}"[^>]*>', page)
    assert found
    return found.group()


def test_after_a_refused_key_the_rest_stays_typed_with_the_reason_beside_the_key(home: Household) -> None:
    browser = home.browser()
    with Server(Tmdb()) as tmdb:
        typed = {
            "TMDB_TOKEN": "mistyped",
            "TMDB_API_URL": f"{tmdb.url}/3",
            "TMDB_IMAGE_URL": "http://pictures/p",
        }
        page = post(browser, "/connections/tmdb/settings", **typed).text

    assert f'value="{tmdb.url}/3"' in field(page, "TMDB_API_URL")
    assert 'value="http://pictures/p"' in field(page, "TMDB_IMAGE_URL")
    assert "mistyped" not in page
    assert 'aria-invalid="true" aria-describedby="wrong-set-TMDB_TOKEN"' in field(page, "TMDB_TOKEN")
    assert "aria-invalid" not in field(page, "TMDB_API_URL")
    beside = page.partition('id="wrong-set-TMDB_TOKEN">')[2].partition("</p>")[0]
    assert "does not accept TMDB_TOKEN" in beside
    assert 'href="#set-TMDB_TOKEN">Go to the field' in page
    assert '<details id="more-tmdb" open>' in page
    assert "aria-invalid" not in browser.get("/connections/tmdb").text


def test_an_address_that_is_none_stays_typed_with_the_reason_beside_it(home: Household) -> None:
    hostile = f"http://a:b/{HOSTILE}"

    page = post(home.browser(), "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=hostile).text

    assert 'aria-describedby="wrong-set-TMDB_API_URL"' in field(page, "TMDB_API_URL")
    assert HOSTILE not in page
    assert f'value="{escape(hostile)}"' in page
    assert "aria-invalid" not in field(page, "TMDB_TOKEN")


def test_where_nobody_answers_what_was_typed_stays_and_no_field_is_wrong(home: Household) -> None:
    page = post(home.browser(), "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=NOWHERE).text

    assert f'value="{NOWHERE}"' in field(page, "TMDB_API_URL")
    assert "aria-invalid" not in page


def test_keys_that_are_refused_without_a_name_are_marked_both(home: Household, trakt: Server) -> None:
    typed = {**trakt_at(trakt.url), "TRAKT_CLIENT_ID": "deleted-app"}

    page = post(home.browser(), "/connections/trakt/settings", **typed).text

    assert 'aria-invalid="true"' in field(page, "TRAKT_CLIENT_ID")
    assert 'value="deleted-app"' in field(page, "TRAKT_CLIENT_ID")
    assert 'aria-invalid="true"' in field(page, "TRAKT_CLIENT_SECRET")
    assert "fake-client-secret" not in page
    assert f'value="{trakt.url}"' in field(page, "TRAKT_AUTH_URL")


def test_after_a_refused_password_the_name_and_the_person_stay(opened: Open) -> None:
    with Server(TVTime()) as server:
        server.fake.add_user("anna", "secret")
        home = opened(TVTIME_URL=server.url, TVTIME_WRITES_PER_SECOND="0")
        home.person("bob")
        typed = {"person": "bob", "username": "anna", "password": "mistyped"}
        page = post(home.browser(), "/connections/tvtime/sign-in", **typed).text

    assert 'value="anna"' in field(page, "username")
    assert "<option selected>bob</option>" in page
    assert "mistyped" not in page
    assert 'aria-invalid="true" aria-describedby="wrong-sign-in"' in field(page, "password")
    assert "did not accept this name and password" in page.partition('id="wrong-sign-in">')[2]


def test_after_a_refused_token_the_reason_stands_beside_it(opened: Open) -> None:
    with Server(ListenBrainz()) as server:
        browser = opened(LISTENBRAINZ_API_URL=server.url).browser()
        page = post(browser, "/connections/listenbrainz/sign-in", person="me", token="nobodys").text

    assert 'aria-describedby="wrong-sign-in"' in field(page, "token")
    assert "nobodys" not in page


@pytest.mark.parametrize("mark", ["much", "0", "101"])
def test_a_watched_mark_that_is_none_keeps_what_was_chosen_beside_it(home: Household, mark: str) -> None:
    browser = home.browser()
    typed = {
        "account": "1",
        "watched_mark": mark,
        "libraries": "Films\nShows",
        "kind_movie": "on",
        "dry_run": "on",
    }

    answer = post(browser, "/connections/tvtime/account", **typed)

    assert answer.status_code == 422
    assert f'value="{mark}" aria-invalid="true"' in field(answer.text, "watched_mark")
    assert "from 1 to 100" in answer.text.partition('id="wrong-mark-1">')[2]
    assert ">Films\nShows</textarea>" in answer.text
    assert "checked" in field(answer.text, "kind_movie")
    assert "checked" not in field(answer.text, "kind_episode")
    assert '<details id="options-1" open>' in answer.text
    assert "Films" not in browser.get("/connections/tvtime").text


def test_thetvdb_is_tried_by_its_sign_in(home: Household) -> None:
    api = home.api()

    with Server(Tvdb(pin="4711")) as tvdb:
        url = f"{tvdb.url}/v4"
        given = {"TVDB_API_KEY": tvdb.fake.switches.key, "TVDB_API_URL": url}
        without = api.put("/api/v1/connections/tvdb/settings", json={"settings": given})
        given["TVDB_PIN"] = "4711"
        whole = api.put("/api/v1/connections/tvdb/settings", json={"settings": given})

    assert without.status_code == 422
    assert "pin required" in without.json()["detail"]
    assert whole.json()["works"] is True
    assert kept(home)["TVDB_PIN"] == "4711"


def test_where_nobody_answers_it_is_kept_only_if_one_says_so(home: Household) -> None:
    browser = home.browser()

    answer = post(browser, "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=NOWHERE)
    assert answer.status_code == 409
    assert kept(home) == {}
    assert SECRET not in answer.text
    pending = re.search(r'name="pending" value="([^"]+)"', answer.text)
    assert pending

    again = post(browser, "/connections/tmdb/settings", pending=pending.group(1))
    assert again.status_code == 303
    assert kept(home)["TMDB_TOKEN"] == SECRET
    assert words(browser, "tmdb") == "Not working"


def test_what_is_pending_for_one_service_is_nothing_for_another(home: Household) -> None:
    browser = home.browser()
    page = post(browser, "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=NOWHERE).text
    pending = re.search(r'name="pending" value="([^"]+)"', page)
    assert pending

    for sealed in (pending.group(1), "forged", ""):
        answer = post(browser, "/connections/tvdb/settings", pending=sealed)
        assert answer.status_code == 422
    assert kept(home) == {}


def test_the_api_keeps_anyway_too(home: Household) -> None:
    body = {"settings": {"TMDB_TOKEN": SECRET, "TMDB_API_URL": NOWHERE}}

    first = home.api().put("/api/v1/connections/tmdb/settings", json=body)
    second = home.api().put("/api/v1/connections/tmdb/settings", json={**body, "anyway": True})

    assert (first.status_code, second.status_code) == (409, 200)
    assert second.json()["works"] is False


def test_a_secret_is_never_shown_again_but_replaced_and_removed(home: Household) -> None:
    browser = home.browser()
    with Server(Tmdb(key=SECRET)) as tmdb:
        url = f"{tmdb.url}/3"
        post(browser, "/connections/tmdb/settings", TMDB_TOKEN=SECRET, TMDB_API_URL=url)

        page, listed = read(browser, "/connections/tmdb"), home.api().get("/api/v1/connections").text
        assert SECRET[:-4] not in page + listed
        assert f"ends in <code>{SECRET[-4:]}</code>" in page

        left = post(browser, "/connections/tmdb/settings", TMDB_TOKEN="", TMDB_API_URL=url + "/")
        assert left.status_code == 303
        assert kept(home)["TMDB_TOKEN"] == SECRET

        fields = {"TMDB_TOKEN": "", "remove_TMDB_TOKEN": "on", "TMDB_API_URL": ""}
        assert post(browser, "/connections/tmdb/settings", **fields).status_code == 303
    assert kept(home) == {}
    assert words(browser, "tmdb") == "Not set up"


def test_a_short_secret_shows_no_part_of_itself(home: Household) -> None:
    home.do(lambda connection: settings_store.store_settings(connection, home.service.seal, {}))
    shown = states.setting(home.service, "TVDB_PIN", catalog.services()["tvdb"].fields["TVDB_PIN"])
    home.service.environ = {**home.service.environ, "TVDB_PIN": "4711"}

    again = states.setting(home.service, "TVDB_PIN", catalog.services()["tvdb"].fields["TVDB_PIN"])

    assert (shown["set"], again["set"], again["ends"], again["value"]) == (False, True, None, None)


def test_what_the_environment_says_is_changed_there(opened: Open) -> None:
    home = opened(TMDB_TOKEN=SECRET, TMDB_API_URL="")
    browser = home.browser()

    page = read(browser, "/connections/tmdb")
    given = {"settings": {"TMDB_TOKEN": "other"}, "anyway": True}
    answer = home.api().put("/api/v1/connections/tmdb/settings", json=given)

    assert "in the environment (or .env). Change it there" in page
    assert 'name="TMDB_TOKEN"' not in page
    assert 'name="TMDB_API_URL"' in page
    assert answer.status_code in (409, 422)
    assert "environment" in answer.json()["detail"]
    assert kept(home) == {}


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("trakt", {"TRAKT_CLIENT_ID": "one"}, "TRAKT_CLIENT_SECRET is missing"),
        ("trakt", {"TMDB_TOKEN": "one"}, "TMDB_TOKEN is not a setting of Trakt"),
        ("trakt", {"TRAKT_CLIENT_ID": 7}, "must be text"),
        ("simkl", {"SIMKL_CLIENT_ID": "x", "SIMKL_WRITES_PER_SECOND": "fast"}, "SIMKL_WRITES_PER_SECOND"),
        ("simkl", {"SIMKL_CLIENT_ID": "x", "SIMKL_API_URL": "http://a:b"}, "SIMKL_API_URL: is no address"),
        ("tmdb", {"TMDB_TOKEN": "x", "TMDB_API_URL": "http://a:b"}, "TMDB_API_URL: is no address"),
        ("tmdb", {"TMDB_TOKEN": "geh\u00e4im.a.b"}, "can't be reached with these settings"),
        ("jellyfin", {"JELLYFIN_URL": "attic", "JELLYFIN_API_KEY": "x"}, "must begin with http"),
        ("notifications", {"NOTIFY_URLS": "nonsense://"}, "NOTIFY_URLS holds an address that"),
        ("tmdb", {}, "Nothing was entered"),
    ],
)
def test_what_would_not_open_is_refused(home: Household, name: str, given: dict[str, Any], says: str) -> None:
    answer = home.api().put(f"/api/v1/connections/{name}/settings", json={"settings": given, "anyway": True})

    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]
    assert kept(home) == {}


def test_an_app_that_trakt_does_not_know_is_refused(home: Household) -> None:
    with Server(Trakt()) as trakt:
        wrong = {**trakt_at(trakt.url), "TRAKT_CLIENT_ID": "deleted-app"}
        refused = home.api().put("/api/v1/connections/trakt/settings", json={"settings": wrong})
        right = home.api().put("/api/v1/connections/trakt/settings", json={"settings": trakt_at(trakt.url)})

    assert refused.status_code == 422
    assert "does not accept the API app" in refused.json()["detail"]
    assert right.json() == {
        "saved": True,
        "works": True,
        "says": "Trakt accepted these settings.",
        "reopens": False,
    }


def test_a_server_is_asked_before_it_is_kept(home: Household) -> None:
    with Server(JellyfinServer()) as server:
        key = server.fake.switches.key
        given = {"JELLYFIN_URL": server.url, "JELLYFIN_API_KEY": key}
        wrong = {**given, "JELLYFIN_API_KEY": "wrong"}
        refused = home.api().put("/api/v1/connections/jellyfin/settings", json={"settings": wrong})
        taken = home.api().put("/api/v1/connections/jellyfin/settings", json={"settings": given})

    assert refused.status_code == 422
    assert "does not accept JELLYFIN_API_KEY" in refused.json()["detail"]
    assert taken.json()["says"].startswith("Connected to Cellar, Jellyfin 10.11.5. ")


# --- signing in by a code


@pytest.fixture
def trakt() -> Iterator[Server]:
    with Server(Trakt(interval=1)) as server:
        yield server


def test_a_code_is_shown_large_and_the_page_goes_on_by_itself(opened: Open, trakt: Server) -> None:
    browser = opened(**trakt_at(trakt.url)).browser()
    assert words(browser, "trakt") == "Needs sign-in"

    answer = post(browser, "/connections/trakt/sign-in", person="me")
    assert answer.headers["location"] == "/connections/trakt"
    page = read(browser, "/connections/trakt")
    code = re.search(r'<p class="code" id="[^"]+">([^<]+)</p>', page)
    assert code
    assert 'href="https://auth.trakt.tv/activate"' in page
    assert re.search(r"Waiting for your approval … (9:5\d|10:00) left", page)
    assert 'data-again="3"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert re.search(r'<div class="qr" role="img" aria-label="[^"]+"><svg width="\d+" height="\d+">', page)
    assert " style=" not in page

    trakt.fake.approve("anna", code.group(1))
    eventually(lambda: "Connected as anna." in read(browser, "/connections/trakt"))
    after = read(browser, "/connections/trakt")
    assert words(browser, "trakt") == "Working"
    assert 'data-again="3"' not in after
    assert code.group(1) not in after


@pytest.mark.parametrize("since", ["parked", "disconnected"])
def test_how_a_sign_in_ended_is_not_said_once_it_is_not_true_any_more(
    opened: Open, trakt: Server, since: str
) -> None:
    home = opened(**trakt_at(trakt.url))
    browser = home.browser()
    post(browser, "/connections/trakt/sign-in", person="me")
    code = re.search(r'class="code" id="[^"]+">([^<]+)<', read(browser, "/connections/trakt"))
    assert code
    trakt.fake.approve("anna", code.group(1))
    eventually(lambda: "Connected as anna." in read(browser, "/connections/trakt"))

    if since == "parked":
        later = now() + timedelta(seconds=1)
        parked = update(account).values(parked=Park.SIGNED_OUT, parked_at=later)
        home.do(lambda connection: connection.execute(parked))
    else:
        home.do(lambda connection: connection.execute(delete(account)))

    assert "Connected as anna." not in read(browser, "/connections/trakt")


def test_pressed_again_the_code_stays_and_cancelled_it_goes(opened: Open, trakt: Server) -> None:
    browser = opened(**trakt_at(trakt.url)).browser()

    codes = []
    for _ in range(2):
        post(browser, "/connections/trakt/sign-in", person="me")
        codes += re.findall(r'class="code" id="[^"]+">([^<]+)<', read(browser, "/connections/trakt"))
    held = re.search(r'name="sign_in" value="([^"]+)"', read(browser, "/connections/trakt"))
    assert held
    post(browser, "/connections/trakt/cancel", sign_in=held.group(1))

    assert len(codes) == 2
    assert len(set(codes)) == 1
    page = read(browser, "/connections/trakt")
    assert 'class="code"' not in page
    assert "It was cancelled. Nothing was changed." in page


def test_refused_at_the_service_it_says_so(opened: Open, trakt: Server) -> None:
    browser = opened(**trakt_at(trakt.url)).browser()
    post(browser, "/connections/trakt/sign-in", person="me")

    trakt.fake.deny()

    eventually(lambda: "the sign-in was refused at Trakt" in read(browser, "/connections/trakt"))


def test_the_api_begins_shows_and_cancels(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    api = home.api()

    begun = api.post("/api/v1/accounts/connect", json={"tracker": "trakt", "person": "me"}).json()
    made = begun["sign_in"]
    trakt.fake.approve("anna", made["user_code"])
    eventually(lambda: api.get(f"/api/v1/sign-ins/{made['id']}").json()["state"] == "connected")
    ended = api.get(f"/api/v1/sign-ins/{made['id']}").json()
    again = api.post("/api/v1/accounts/connect", json={"tracker": "trakt", "person": "me"}).json()["sign_in"]
    cancelled = api.delete(f"/api/v1/sign-ins/{again['id']}").json()

    assert (begun["account"], made["state"], made["person"]) == (None, "waiting", "me")
    assert 590 <= made["seconds_left"] <= 600
    assert (ended["says"], ended["works"], ended["url"]) == ("anna", True, None)
    assert cancelled["state"] == "cancelled"
    assert api.get(f"/api/v1/sign-ins/{made['id']}").status_code == 404


def test_a_member_signs_in_only_themself(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    bob = home.person("bob")
    mine, theirs = home.api(), home.api(bob)
    owners = mine.post("/api/v1/accounts/connect", json={"tracker": "trakt", "person": "me"}).json()
    browser = home.browser("bob")

    refused = theirs.post("/api/v1/accounts/connect", json={"tracker": "trakt", "person": "me"})
    own = theirs.post("/api/v1/accounts/connect", json={"tracker": "trakt"})

    assert refused.status_code == 404
    assert own.json()["sign_in"]["person"] == "bob"
    assert theirs.get(f"/api/v1/sign-ins/{owners['sign_in']['id']}").status_code == 404
    assert theirs.delete(f"/api/v1/sign-ins/{owners['sign_in']['id']}").status_code == 404
    assert owners["sign_in"]["user_code"] not in read(browser, "/connections/trakt")
    assert post(browser, "/connections/trakt/sign-in", person="me").status_code == 404
    assert 'name="person"' not in browser.get("/connections/trakt").text


def test_an_address_that_is_no_page_is_no_link(opened: Open, trakt: Server) -> None:
    browser = opened(**trakt_at(trakt.url)).browser()
    said = {"device_code": "d", "user_code": HOSTILE, "expires_in": 600, "interval": 5}
    trakt.fake.faults.add(
        "POST /oauth/device/code", status=200, body={**said, "verification_url": "javascript:alert(1)"}
    )

    post(browser, "/connections/trakt/sign-in", person="me")
    page = browser.get("/connections/trakt").text

    assert 'href="javascript:' not in page
    assert 'class="qr"' not in page
    assert "<script>alert" not in page


def test_wrong_keys_are_said_where_one_begins(opened: Open, trakt: Server) -> None:
    browser = opened(**{**trakt_at(trakt.url), "TRAKT_CLIENT_ID": "wrong"}).browser()

    answer = post(browser, "/connections/trakt/sign-in", person="me")

    assert answer.status_code == 409
    assert "does not accept the API app" in answer.text


# --- other ways to sign in


def test_last_fm_has_a_page_to_agree_on(opened: Open) -> None:
    with Server(LastFM()) as lastfm:
        keys = {"LASTFM_API_KEY": "a" * 32, "LASTFM_SECRET": "b" * 32}
        where = {"LASTFM_API_URL": f"{lastfm.url}/2.0/", "LASTFM_AUTH_URL": f"{lastfm.url}/api/auth/"}
        browser = opened(**keys, **where).browser()

        post(browser, "/connections/lastfm/sign-in", person="me")
        page = read(browser, "/connections/lastfm")
        assert f'href="{lastfm.url}/api/auth/?' in page
        assert "Approve at Last.fm" in page
        assert 'class="qr"' in page

        lastfm.fake.approve("anna")
        eventually(lambda: "Connected as anna." in read(browser, "/connections/lastfm"))


def test_listenbrainz_takes_a_token(opened: Open) -> None:
    with Server(ListenBrainz()) as server:
        token = server.fake.sign_in("anna")["token"]
        home = opened(LISTENBRAINZ_API_URL=server.url)
        browser = home.browser()

        wrong = post(browser, "/connections/listenbrainz/sign-in", person="me", token="nobodys")
        none = post(browser, "/connections/listenbrainz/sign-in", person="me", token="")
        right = post(browser, "/connections/listenbrainz/sign-in", person="me", token=token)
        page = read(browser, "/connections/listenbrainz")

    assert wrong.status_code == 422
    assert "does not know this token" in wrong.text
    assert none.status_code == 422
    assert right.headers["location"] == "/connections/listenbrainz?said=connected"
    assert "as anna" in page
    assert "Working as anna." in page
    assert token not in page


def test_tv_time_takes_a_name_and_a_password(opened: Open) -> None:
    with Server(TVTime()) as server:
        server.fake.add_user("anna", "secret")
        home = opened(TVTIME_URL=server.url, TVTIME_WRITES_PER_SECOND="0")
        sign_in = {"tracker": "tvtime", "person": "me", "username": "anna"}

        wrong = home.api().post("/api/v1/accounts/connect", json={**sign_in, "password": "other"})
        right = home.api().post("/api/v1/accounts/connect", json={**sign_in, "password": "secret"})

    assert wrong.status_code == 422
    assert "did not accept this name and password" in wrong.json()["detail"]
    assert right.json() == {"account": 1, "works": True, "says": "Working as anna.", "sign_in": None}


def test_mdblist_takes_a_key_and_says_how_many_calls_are_left(opened: Open) -> None:
    with Server(MDBList()) as server:
        home, key = opened(MDBLIST_API_URL=server.url), server.fake.key("anna")
        browser = home.browser()

        right = post(browser, "/connections/mdblist/sign-in", person="me", token=key)
        page = read(browser, "/connections/mdblist")
        (account,) = [
            one for one in home.api().get("/api/v1/accounts").json()["items"] if one["tracker"] == "mdblist"
        ]
        post(browser, "/connections/mdblist/disconnect", account=str(account["id"]))

    assert right.headers["location"] == "/connections/mdblist?said=connected"
    assert "998 of 1,000 calls left today." in page
    assert key not in page
    assert (account["calls"]["limit"], account["calls"]["left"]) == (1000, 998)
    assert "calls left today" not in read(browser, "/connections/mdblist")


def test_the_built_in_library_needs_no_sign_in(home: Household) -> None:
    browser = home.browser()

    answer = home.api().post("/api/v1/accounts/connect", json={"tracker": "tvtime", "person": "me"})

    assert answer.status_code == 409
    assert words(browser, "tvtime") == "Working"
    assert "/connections/tvtime/sign-in" not in browser.get("/connections/tvtime").text
    assert post(browser, "/connections/tvtime/disconnect", account="1").status_code == 409


# --- test now


def connect(home: Household, trakt: Server, name: str = "anna") -> int:
    """An account of Trakt that works; its id."""
    made = home.api().post("/api/v1/accounts/connect", json={"tracker": "trakt", "person": "me"}).json()
    trakt.fake.approve(name, made["sign_in"]["user_code"])
    where = f"/api/v1/sign-ins/{made['sign_in']['id']}"
    api = home.api()
    eventually(lambda: api.get(where).json()["state"] == "connected")
    return int(api.get(where).json()["account"])


def test_an_account_is_tested_and_the_answer_is_in_words(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    wanted, browser = connect(home, trakt), home.browser()

    post(browser, "/connections/trakt/test", account=str(wanted))
    assert "Working as anna." in read(browser, "/connections/trakt")

    trakt.fake.sessions.clear()
    answer = post(browser, "/connections/trakt/test", account=str(wanted), listed="1")
    assert answer.headers["location"] == "/connections#trakt"
    page = read(browser, "/connections")
    assert "Needs sign-in" in page
    assert "Sign in again on its page." in page
    assert words(browser, "trakt") == "Needs sign-in"


def test_an_outage_is_not_working_until_it_is_over(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    connect(home, trakt)
    api = home.api()

    trakt.fake.faults.add("GET /users/settings", status=503)
    away = api.post("/api/v1/connections/trakt/test").json()
    shown = api.get("/api/v1/connections/trakt").json()
    back = api.post("/api/v1/connections/trakt/test", json={"account": shown["accounts"][0]["id"]}).json()

    assert away["works"] is False
    assert "Deliveries are kept" in away["results"][0]["says"]
    assert shown["word"] == "Not working"
    assert back["works"] is True
    assert api.get("/api/v1/connections/trakt").json()["word"] == "Working"


@pytest.mark.parametrize(
    ("park", "word", "needs"),
    [
        (Park.VIP_REQUIRED, "VIP required", "Renew the membership"),
        (Park.SERVICE_CLOSED, "Closed", "Enter the address of a compatible server below"),
        (Park.APP_DELETED, "API app gone", "Create a new API app"),
    ],
)
def test_what_an_account_needs_is_its_state(home: Household, park: Park, word: str, needs: str) -> None:
    home.do(lambda connection: parking.park(connection, 1, park, "it said so", now()))
    browser = home.browser()

    assert words(browser, "tvtime") == word
    assert needs in read(browser, "/connections/tvtime")
    assert word in read(browser, "/connections")


def test_what_is_not_set_up_cannot_be_tested(home: Household) -> None:
    api = home.api()

    for name, says in (("tmdb", "is not set up"), ("listenbrainz", "Nobody is signed in")):
        answer = api.post(f"/api/v1/connections/{name}/test")
        assert answer.status_code == 409
        assert says in answer.json()["detail"]
    assert api.post("/api/v1/connections/tvtime/test", json={"account": 99}).status_code == 404
    assert api.post("/api/v1/connections/nothing/test").status_code == 404


def test_nobody_tests_another_persons_account(home: Household) -> None:
    bob = home.api(home.person("bob"))

    assert bob.post("/api/v1/connections/tvtime/test", json={"account": 1}).status_code == 404
    assert bob.delete("/api/v1/accounts/1").status_code == 404


@contextmanager
def post_office() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes notices: its address as Apprise writes it, and what it got."""
    got: list[bytes] = []

    class Counter(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/hush-hush-hush-hush/", got
    finally:
        server.shutdown()
        server.server_close()


def test_a_test_notice_goes_out(home: Household) -> None:
    browser = home.browser()
    with post_office() as (address, got):
        saved = post(browser, "/connections/notifications/settings", NOTIFY_URLS=address)
        sent = post(browser, "/connections/notifications/test")
        page = read(browser, "/connections/notifications")

    assert (saved.status_code, sent.status_code) == (303, 303)
    assert len(got) == 1
    assert b"notices arrive here" in got[0]
    assert "Test sent. Check that it arrived." in page
    assert "hush-hush" not in page


def test_a_notice_that_nobody_takes_is_said(opened: Open) -> None:
    home = opened(NOTIFY_URLS="json://127.0.0.1:9/nobody/")

    answer = home.api().post("/api/v1/connections/notifications/test").json()

    assert answer["works"] is False
    assert "could not be sent" in answer["results"][0]["says"]
    assert words(home.browser(), "notifications") == "Not working"


# --- what an account is told


def test_what_an_account_is_told_is_switched_by_its_form(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    wanted, browser = str(connect(home, trakt)), home.browser()
    fields = {"account": wanted, "tell_unwatched": "on", "tell_rate": "on", "kind_movie": "on"}
    lists = {"libraries": "Films\r\n\r\n Series ", "not_players": "Kids' room"}

    saved = post(browser, "/connections/trakt/account", **fields, **lists, watched_mark="85,5", dry_run="on")
    (shown,) = home.api().get("/api/v1/connections/trakt").json()["accounts"]
    page = read(browser, "/connections/trakt")

    assert saved.headers["location"] == "/connections/trakt?said=saved"
    assert {"unwatched", "rate"} <= set(shown["tells"])
    assert "add" not in shown["tells"]
    rules = {"watched_mark": 85.5, "dry_run": True, "libraries": ["Films", "Series"], "kinds": ["movie"]}
    assert shown["rules"] == {**rules, "not_libraries": [], "players": [], "not_players": ["Kids' room"]}
    assert 'name="tell_rate" value="on" checked' in page
    assert 'value="85.5"' in page
    assert ">Films\nSeries</textarea>" in page
    assert "dry run: nothing is sent" in page

    post(browser, "/connections/trakt/account", account=wanted)
    (shown,) = home.api().get("/api/v1/connections/trakt").json()["accounts"]
    assert "rate" not in shown["tells"]
    assert not any(shown["rules"].values())


@pytest.mark.parametrize("mark", ["most of it", "0", "101", "nan"])
def test_a_watched_mark_that_is_none_is_said_on_the_page(home: Household, mark: str) -> None:
    answer = post(home.browser(), "/connections/tvtime/account", account="1", watched_mark=mark)

    assert answer.status_code == 422
    assert 'class="wrong"' in answer.text


def test_nobody_changes_another_persons_account(home: Household) -> None:
    home.person("bob")

    answer = post(home.browser("bob"), "/connections/tvtime/account", account="1", dry_run="on")

    assert answer.status_code == 404


def test_a_disconnected_account_is_gone_or_waits(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    first, browser = connect(home, trakt), home.browser()

    answer = post(browser, "/connections/trakt/disconnect", account=str(first))
    assert answer.headers["location"] == "/connections/trakt?said=disconnected"
    assert "Nobody is signed in to Trakt yet." in read(browser, "/connections/trakt")

    second = connect(home, trakt)
    home.hear("anna")
    given_up = home.api().delete(f"/api/v1/accounts/{second}").json()
    assert given_up == {"id": second, "removed": False}
    assert words(browser, "trakt") == "Needs sign-in"
    assert len(trakt.fake.sessions) == 0


def test_what_a_service_calls_somebody_is_only_text(opened: Open, trakt: Server) -> None:
    home = opened(**trakt_at(trakt.url))
    wanted = connect(home, trakt)
    named = account.update().where(account.c.id == wanted).values(name=HOSTILE)
    home.do(lambda connection: connection.execute(named))
    browser = home.browser()

    for path in ("/connections", "/connections/trakt"):
        page = browser.get(path).text
        assert HOSTILE not in page
        assert HOSTILE in unescape(page)


def test_links_keep_to_the_sub_path(opened: Open, trakt: Server) -> None:
    home = opened(ROOT_PATH="/watchmark", **trakt_at(trakt.url))
    home.password("me")
    fields = {"name": "me", "password": "correct horse"}
    cookie = home.client().post("/watchmark/sign-in", data=fields).headers["set-cookie"].partition(";")[0]
    browser = home.client(headers={"Cookie": cookie})
    token = form_token(browser.get("/watchmark/connections").text)
    form = {"form_token": token, "person": "me"}
    begun = browser.post("/watchmark/connections/trakt/sign-in", data=form)

    assert begun.headers["location"] == "/watchmark/connections/trakt"
    for path in ("/watchmark/connections", "/watchmark/connections/trakt"):
        for link in re.findall(r'(?:href|action|url)="(/[^"]*)"', browser.get(path).text):
            assert link.startswith("/watchmark/")


@pytest.mark.parametrize("name", ["anilist", "mal"])
def test_the_page_that_gives_a_token_is_linked_beside_its_field(opened: Open, name: str) -> None:
    home = opened(ANILIST_CLIENT_ID="4711", MAL_CLIENT_ID="4711")

    page = read(home.browser(), f"/connections/{name}")

    link = re.search(r'<a href="(https://[^"]+authorize[^"]*)">', page)
    assert link
    assert "client_id=4711" in link.group(1)
    assert link.start() < page.index('id="token"')
