"""The page of a media server that can be told: signed in to by each person, and told nothing before it is switched on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select

from tests.fakes._server import Server
from tests.fakes.jellyfin import Jellyfin
from tests.trackers._adapters import ADAPTERS
from tests.web.conftest import Household, Open
from tests.web.test_connections import SECRET, post, read
from webhook import clock
from webhook.domain.copies import NUMBERS_DIFFER
from webhook.domain.event import Episode, item_to_json
from webhook.storage.tables import account, delivery

SETTINGS = {"JELLYFIN_API_KEY": SECRET}


@pytest.fixture
def jellyfin() -> Iterator[Server]:
    with Server(ADAPTERS["jellyfin"].fake()) as server:
        fake: Jellyfin = server.fake
        fake.add_person()
        yield server


def tells(home: Household) -> list[list[str]]:
    wanted = select(account.c.tells).where(account.c.tracker == "jellyfin")
    return home.service.database.ask(lambda connection: list(connection.execute(wanted).scalars()))


def test_a_person_signs_in_and_chooses_what_the_server_is_sent(opened: Open, jellyfin: Server) -> None:
    home = opened(JELLYFIN_URL=jellyfin.url, **SETTINGS)
    browser = home.browser()

    signed = post(browser, "/connections/jellyfin/sign-in", username="anna", password="secret")
    before, page = tells(home), read(browser, "/connections/jellyfin")
    number = page.partition('name="account" value="')[2].partition('"')[0]
    post(browser, "/connections/jellyfin/account", account=number, tell_watched="on")

    assert signed.headers["location"] == "/connections/jellyfin?said=connected"
    assert "Watched here is watched there" in page
    assert "what you watched elsewhere, as watched" in page
    assert (before, tells(home)) == ([[]], [["watched"]])


def test_a_wrong_password_is_said_and_nothing_is_kept(opened: Open, jellyfin: Server) -> None:
    home = opened(JELLYFIN_URL=jellyfin.url, **SETTINGS)

    answer = post(home.browser(), "/connections/jellyfin/sign-in", username="anna", password="wrong")

    assert answer.status_code == 422
    assert "does not accept this name and password" in answer.text
    assert tells(home) == []


def test_a_server_that_is_not_set_up_offers_no_sign_in(home: Household) -> None:
    assert "Watched here is watched there" not in read(home.browser(), "/connections/jellyfin")


def test_what_a_server_is_unsure_about_is_held_for_its_person(opened: Open, jellyfin: Server) -> None:
    home = opened(JELLYFIN_URL=jellyfin.url, **SETTINGS)
    browser = home.browser()
    post(browser, "/connections/jellyfin/sign-in", username="anna", password="secret")
    account_id = home.do(
        lambda connection: connection.execute(
            select(account.c.id).where(account.c.tracker == "jellyfin")
        ).scalar_one()
    )
    unsure = {
        "account_id": account_id, "key": "watched:1", "action": "watched", "mark": True, "happened_at": clock.now(),
        "item": item_to_json(Episode(show="Coal Harbour", season=1, number=3)), "details": {}, "state": "unmatched",
        "reason": NUMBERS_DIFFER, "attempts": 1, "created_at": clock.now(),
    }  # fmt: skip
    home.do(lambda connection: connection.execute(insert(delivery), unsure))

    text = read(browser, "/needs-you")

    assert "Held for you" in text
    assert "What is this?" not in text
    assert "has another episode under the same numbers" in text


def test_what_a_restore_marked_is_taken_back_on_its_page_and_by_the_api(
    opened: Open, jellyfin: Server
) -> None:
    home = opened(JELLYFIN_URL=jellyfin.url, **SETTINGS)
    browser = home.browser()
    post(browser, "/connections/jellyfin/sign-in", username="anna", password="secret")
    wanted = select(account.c.id).where(account.c.tracker == "jellyfin")
    account_id = home.do(lambda connection: connection.execute(wanted).scalar_one())
    made = {
        "account_id": account_id, "action": "watched", "mark": True, "happened_at": clock.now(), "state": "done",
        "item": item_to_json(Episode(show="Coal Harbour", season=1, number=3)), "details": {}, "attempts": 1,
        "created_at": clock.now(), "job_id": 7,
    }  # fmt: skip
    rows = [
        {**made, "key": "watched:1", "remote_id": "4711"},
        {**made, "key": "watched:2", "remote_id": "4712"},
        {**made, "key": "watched:3", "remote_id": None},
    ]
    home.do(lambda connection: connection.execute(insert(delivery), rows))
    path = f"/api/v1/accounts/{account_id}/take-back"

    page = read(browser, "/history/backfill")
    would = home.api().post(path, params={"dry_run": "true"}).json()
    post(browser, "/history/backfill/take-back", account=str(account_id))
    again = home.api().post(path).json()
    undoing = select(delivery.c.details).where(delivery.c.action == "unwatched").order_by(delivery.c.id)

    assert "2 marks that Watchmark made there are removed" in page
    assert (would["marks"], again["marks"]) == (2, 0)
    found = home.do(lambda connection: list(connection.execute(undoing).scalars()))
    assert [one["remote_id"] for one in found] == ["4711", "4712"]
    assert "Take back" not in read(browser, "/history/backfill")


def test_only_a_server_is_restored_and_taken_back(home: Household) -> None:
    wanted = select(account.c.id).where(account.c.tracker == "tvtime")
    account_id = home.do(lambda connection: connection.execute(wanted).scalar_one())

    answer = home.api().post(f"/api/v1/accounts/{account_id}/take-back")

    assert answer.status_code == 409
    assert "is no media server" in answer.json()["detail"]
