"""What a media server or an account holds, brought in by the page and by the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.fakes.trakt import Trakt
from tests.running import eventually
from tests.servers._adapters import put_plex
from tests.web.conftest import HOSTILE, Household, Open, form_token
from webhook import clock
from webhook.accounts import accounts
from webhook.people import identities
from webhook.queues import jobs
from webhook.storage import tables
from webhook.web.transfer import api as transfer

AT = datetime(2020, 3, 1, 20, 15, tzinfo=UTC)
PAGE = "/history/import"
LOOK, BEGIN = f"{PAGE}/from/look", f"{PAGE}/from/begin"


@pytest.fixture
def plex() -> Iterator[Server]:
    with Server(PlexServer()) as server:
        for number in range(1, 4):
            put_plex(server.fake, "Nora", number, AT + timedelta(days=number))
        put_plex(server.fake, "Ben", 9, AT)
        yield server


@pytest.fixture
def home(opened: Open, plex: Server) -> Household:
    """A service that works, with a Plex of which it claims a user."""
    made = opened(WORKER="true", PLEX_URL=plex.url, PLEX_TOKEN=plex.fake.switches.token)
    claim(made, "me", "plex:Nora")
    return made


def claim(home: Household, name: str, user: str) -> None:
    home.do(lambda connection: identities.claim_identities(connection, name, user, clock.now()))


def plays(home: Household, person_id: int = 1) -> int:
    wanted = select(func.count()).where(tables.play.c.person_id == person_id)
    return int(home.do(lambda connection: connection.execute(wanted).scalar_one()))


def listed(home: Household) -> list[dict[str, Any]]:
    return list(home.do(jobs.list_jobs))


def states(home: Household) -> list[str]:
    return [job["state"] for job in listed(home)]


def hidden(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text))


def asks(browser: httpx.Client, path: str = LOOK, **fields: str) -> httpx.Response:
    """The form of the page, sent with these fields."""
    token = form_token(browser.get(PAGE).text)
    return browser.post(path, data={"form_token": token, "name": "plex", **fields})


# --- the page


def test_a_server_is_looked_at_and_then_brought_in_once(home: Household) -> None:
    browser = home.browser()
    page = browser.get(PAGE)
    assert "as <bdi>Nora</bdi>" in page.text

    looked = browser.post(LOOK, data=hidden(page))
    assert looked.status_code == 200, looked.text
    assert re.search(r"<dt>new plays</dt><dd>3</dd>", looked.text)
    assert "Watched from 2 Mar 2020 to 4 Mar 2020" in looked.text
    assert (plays(home), listed(home)) == (0, [])

    begun = browser.post(BEGIN, data=hidden(looked))
    assert begun.headers["location"] == f"{PAGE}?person=me&said=begun"
    eventually(lambda: states(home) == ["done"], "it is brought in")
    assert plays(home) == 3
    assert "3 new plays" in browser.get(PAGE).text
    assert "Nothing new was found" in asks(browser).text


def test_where_nothing_is_set_up_the_page_says_where_to_begin(opened: Open) -> None:
    text = opened(WORKER="true").browser().get(PAGE).text

    assert "No media server or tracker is connected yet" in text
    assert 'href="/connections">Connect one' in text
    assert LOOK not in text


def test_a_server_where_no_user_is_claimed_has_no_button_and_says_what_to_do(
    opened: Open, plex: Server
) -> None:
    home = opened(WORKER="true", PLEX_URL=plex.url, PLEX_TOKEN=plex.fake.switches.token)
    browser = home.browser()

    text = browser.get(PAGE).text
    assert "<bdi>me</bdi> has no claimed user on Plex yet" in text
    assert 'href="/people/me">Claim one' in text
    assert "Preview<span" not in text
    for path in (LOOK, BEGIN):
        assert asks(browser, path).status_code == 409
    assert listed(home) == []


def test_a_member_brings_in_their_own_only(home: Household) -> None:
    ben = home.person("ben")
    browser = home.browser("ben")
    text = browser.get(PAGE).text
    assert "<bdi>ben</bdi> has no claimed user on Plex yet" in text
    assert "The owner can claim one for you" in text
    assert asks(browser, BEGIN).status_code == 409

    claim(home, "ben", "plex:Ben")
    for path in (LOOK, BEGIN):
        assert asks(browser, path, person="me").status_code == 403
    begun = asks(browser, BEGIN)

    assert begun.headers["location"] == f"{PAGE}?said=begun"
    eventually(lambda: states(home) == ["done"], "it is brought in")
    assert (plays(home, ben), plays(home)) == (1, 0)


def test_a_form_of_another_sign_in_brings_nothing_in(home: Household) -> None:
    browser = home.browser()

    for path in (LOOK, BEGIN):
        assert browser.post(path, data={"form_token": "x", "name": "plex"}).status_code == 403
    assert home.client().post(BEGIN, data={"name": "plex"}).headers["location"].endswith("/sign-in")
    assert listed(home) == []


def test_a_double_click_begins_one_import(home: Household, plex: Server) -> None:
    plex.fake.faults.add("GET /status/sessions", times=-1, delay=0.5)
    browser = home.browser()
    token = form_token(browser.get(PAGE).text)

    for _ in range(2):
        browser.post(BEGIN, data={"form_token": token, "name": "plex"})

    assert len(listed(home)) == 1
    assert "running" in browser.get(PAGE).text


def test_a_server_that_does_not_answer_is_said_and_nothing_begins(home: Household, plex: Server) -> None:
    plex.fake.faults.add("GET /", times=-1, status=503)
    browser = home.browser()

    looked = asks(browser)

    assert looked.status_code == 502
    assert "Plex could not be asked. " in looked.text
    assert "Nothing was imported." in looked.text
    assert listed(home) == []
    asks(browser, BEGIN)
    eventually(lambda: states(home) == ["failed"], "it is broken off")
    text = browser.get(PAGE).text
    assert "failed" in text
    assert "Nothing was imported." in text
    assert "Run it again once that is fixed" in text


def test_one_that_broke_off_halfway_says_what_is_kept(home: Household) -> None:
    def half(connection: Connection) -> None:
        now = clock.now()
        made = jobs.begin_job(connection, jobs.JobKind.IMPORT, "plex", now, person_id=1, name="Plex")
        jobs.record_progress(connection, made, 2, {"added": 2}, now)
        jobs.finish_job(connection, made, now, jobs.JobState.FAILED, "Plex is away")

    home.do(half)
    text = home.browser().get(PAGE).text

    assert "2 new plays" in text
    assert "Plex is away. What was imported is kept. Run it again for the rest" in text


def test_a_look_that_takes_too_long_is_ended_and_it_can_be_brought_in_without(
    home: Household, plex: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PREVIEW_TIMEOUT", 0.2)
    plex.fake.faults.add("GET /", times=-1, delay=0.6)
    browser = home.browser()

    looked = asks(browser)
    assert looked.status_code == 504
    assert "Plex did not tell everything it has within" in looked.text
    assert listed(home) == []

    plex.fake.faults.clear()
    begun = browser.post(BEGIN, data=hidden(looked))
    assert begun.status_code == 303
    eventually(lambda: states(home) == ["done"], "it is brought in")
    assert plays(home) == 3


def test_what_is_hostile_is_only_text(home: Household) -> None:
    claim(home, "me", f"plex:{HOSTILE}")
    browser = home.browser()

    assert HOSTILE not in browser.get(PAGE).text
    refused = asks(browser, BEGIN, name=HOSTILE)
    assert refused.status_code == 409
    assert HOSTILE not in refused.text


def test_a_process_that_only_receives_begins_nothing(opened: Open, plex: Server) -> None:
    home = opened(PLEX_URL=plex.url, PLEX_TOKEN=plex.fake.switches.token)
    claim(home, "me", "plex:Nora")
    browser = home.browser()

    assert [asks(browser, path).status_code for path in (LOOK, BEGIN)] == [503, 503]
    assert listed(home) == []


# --- an account


@pytest.fixture
def trakt(opened: Open) -> Iterator[Household]:
    with Server(Trakt()) as server:
        home = opened(
            TRAKT_CLIENT_ID="fake-client-id", TRAKT_CLIENT_SECRET="fake-client-secret", WORKER="true",
            TRAKT_API_URL=server.url, TRAKT_AUTH_URL=server.url,
        )  # fmt: skip
        tokens, tracker = server.fake.sign_in("anna"), home.service.trackers["trakt"]
        sealed = home.service.seal.seal(dict(tokens))
        home.do(lambda connection: accounts.store_tokens(connection, 1, tracker, sealed, "anna", clock.now()))
        server.fake.catalogue.add("movie", title="The Matrix", year=1999, ids={"tmdb": 603})
        seen = {"movies": [{"ids": {"tmdb": 603}, "watched_at": clock.stamp(AT)}]}
        headers = {
            "authorization": f"Bearer {tokens['access_token']}",
            "trakt-api-key": "fake-client-id",
            "trakt-api-version": "2",
        }
        assert httpx.post(f"{server.url}/sync/history", json=seen, headers=headers).is_success
        yield home


def test_what_an_account_holds_is_looked_at_and_brought_in(trakt: Household) -> None:
    browser = trakt.browser()
    page = browser.get(PAGE)
    assert "as <bdi>anna</bdi>" in page.text
    assert 'value="tvtime">' not in page.text.partition("From a file")[0]

    looked = browser.post(LOOK, data=hidden(page))
    assert re.search(r"<dt>new plays</dt><dd>1</dd>", looked.text), looked.text
    browser.post(BEGIN, data=hidden(looked))

    eventually(lambda: states(trakt) == ["done"], "it is brought in")
    assert plays(trakt) == 1
    row = browser.get(PAGE).text.partition('id="jobs"')[2]
    assert "<bdi>Trakt</bdi>" in row
    assert "export" not in row.partition("</li>")[0]


def test_an_account_whose_sign_in_is_gone_has_no_button(trakt: Household) -> None:
    gone = update(tables.account).where(tables.account.c.tracker == "trakt").values(tokens=None)
    trakt.do(lambda connection: connection.execute(gone))

    text = trakt.browser().get(PAGE).text

    assert 'href="/connections/trakt">Sign in to Trakt again' in text
    assert "Preview<span" not in text
    answer = trakt.api().post("/api/v1/imports/from/trakt?dry_run=true")
    assert answer.status_code == 409
    assert "not signed in to Trakt any more" in answer.json()["detail"]


# --- the API


def test_the_api_looks_and_brings_in(home: Household) -> None:
    api = home.api()

    would = api.post("/api/v1/imports/from/plex?dry_run=true")
    assert would.status_code == 200
    shown = would.json()
    assert (shown["kind"], shown["person"], shown["dry_run"], shown["job"]) == ("plex", "me", True, None)
    assert (shown["counts"]["added"], shown["first"][:10]) == (3, "2020-03-02")
    assert listed(home) == []

    begun = api.post("/api/v1/imports/from/plex")
    assert begun.status_code == 202
    assert begun.json()["job"]["what"] == "plex"
    eventually(lambda: states(home) == ["done"], "it is brought in")
    assert plays(home) == 3


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("betamax", 404, "there is emby, jellyfin, plex"),
        ("jellyfin", 409, "Set JELLYFIN_URL"),
        ("trakt", 409, "Trakt is not set up"),
        ("tvtime", 409, "kept here already"),
        ("plex?dryrun=true", 400, "dryrun"),
        ("plex?dry_run=maybe", 400, "dry_run"),
        ("plex?person=nobody", 400, "person"),
    ],
)
def test_what_cannot_be_brought_in_is_a_problem(home: Household, path: str, status: int, says: str) -> None:
    answer = home.api().post(f"/api/v1/imports/from/{path}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert listed(home) == []


def test_nobody_brings_in_for_another(home: Household) -> None:
    ben = home.person("ben")

    for dry_run in ("true", "false"):
        answer = home.api(ben).post(f"/api/v1/imports/from/plex?person=me&dry_run={dry_run}")
        assert answer.status_code == 403
    assert home.client().post("/api/v1/imports/from/plex").status_code == 401
    assert listed(home) == []


def test_a_server_in_trouble_and_a_slow_one_are_told_apart(
    home: Household, plex: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    plex.fake.faults.add("GET /", times=-1, status=401)
    refused = home.api().post("/api/v1/imports/from/plex?dry_run=true")
    plex.fake.faults.clear()
    monkeypatch.setattr(transfer, "PREVIEW_TIMEOUT", 0.1)
    plex.fake.faults.add("GET /", times=-1, delay=0.5)
    slow = home.api().post("/api/v1/imports/from/plex?dry_run=true")

    assert (refused.status_code, slow.status_code) == (502, 504)
    assert "does not accept PLEX_TOKEN" in refused.json()["detail"]
    assert "can be brought in without a look" in slow.json()["detail"]


def test_a_process_that_only_receives_takes_no_import(opened: Open, plex: Server) -> None:
    home = opened(PLEX_URL=plex.url, PLEX_TOKEN=plex.fake.switches.token)
    claim(home, "me", "plex:Nora")

    answer = home.api().post("/api/v1/imports/from/plex")

    assert answer.status_code == 503
    assert "watchmark import KIND" in answer.json()["detail"]
    assert home.api().post("/api/v1/imports/from/plex?dry_run=true").status_code == 200
