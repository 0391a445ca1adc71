"""The live stream says that there is news as soon as something is committed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import driver
from tests.web.conftest import Household, Open
from webhook import clock
from webhook.queues import inbox
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage import db
from webhook.storage.db import Database
from webhook.web.http import live

RECEIVED = ReceivedWebhook(
    source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=b"{}"
)
NEWS = "event: news\ndata: .\n\n"


@pytest.fixture(autouse=True)
def no_rechecks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found by looking now and then, but only because a commit was announced."""
    for module in (db, live):
        monkeypatch.setattr(module, "RECHECK_INTERVAL", 3600.0)


@contextlib.contextmanager
def listening(browser: httpx.Client) -> Iterator[Iterator[str]]:
    with browser.stream("GET", "/live") as stream:
        events = stream.iter_text()
        assert next(events).startswith("retry")
        yield events


def test_a_commit_is_news_at_once(home: Household) -> None:
    with listening(home.browser()) as events:
        home.hear()

        assert next(events) == NEWS


def test_every_page_that_is_open_hears_of_the_same_commit(home: Household) -> None:
    browser = home.browser()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(listening(browser)) for _ in range(live.MOST_OF_ONE)]

        home.hear()

        assert [next(events) for events in streams] == [NEWS] * live.MOST_OF_ONE


def test_a_page_that_is_closed_takes_nothing_from_the_others(home: Household) -> None:
    browser = home.browser()
    with listening(browser) as events:
        with listening(browser):
            pass
        home.hear()

        assert next(events) == NEWS


def test_a_commit_of_another_process_is_news_at_once(opened: Open, postgres_url: str) -> None:
    home = opened(DATABASE_URL=postgres_url)
    other = Database(driver(postgres_url))
    with listening(home.browser()) as events:
        other.do(lambda connection: inbox.store_webhooks(connection, [RECEIVED]))

        assert next(events) == NEWS
    other.close()
