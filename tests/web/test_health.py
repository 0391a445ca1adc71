"""Health: lives, ready, and the numbers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.web.conftest import Household, Open
from webhook.db import Unavailable


class Ended:
    """A task that is over."""

    def get_name(self) -> str:
        return "interpreter"

    def done(self) -> bool:
        return True


def test_it_lives_and_is_ready(home: Household) -> None:
    assert home.client().get("/healthz").text == "ok\n"
    assert home.client().get("/readyz").json() == {"ready": True, "reason": None}


def test_it_really_writes_but_not_for_every_question(home: Household) -> None:
    client = home.client()
    before = home.service.database.commits

    for _ in range(10):
        client.get("/readyz")

    assert home.service.database.commits == before + 1


def test_a_part_that_ended_is_named(home: Household) -> None:
    home.service.tasks.append(Ended())  # type: ignore[arg-type]

    answer = home.client().get("/readyz")
    home.service.tasks.clear()

    assert answer.status_code == 503
    assert answer.json()["reason"] == "The interpreter has ended."


def test_a_dispatcher_that_does_not_move_is_said(opened: Open) -> None:
    home = opened()
    object.__setattr__(home.service.settings, "worker", True)
    home.service.dispatcher.health.stepped_at = time.monotonic() - 90

    answer = home.client().get("/readyz")

    assert answer.status_code == 503
    assert "dispatcher" in answer.json()["reason"]


@pytest.mark.parametrize(("error", "said"), [(Unavailable("disk full"), "disk full"), (None, "within")])
def test_what_cannot_be_stored_is_not_ready(
    home: Household, monkeypatch: pytest.MonkeyPatch, error: Exception | None, said: str
) -> None:
    async def write(job: Any, item: Any) -> Any:
        if error:
            raise error
        await asyncio.sleep(60)

    monkeypatch.setattr("webhook.web.health.STORE_TIME", 0.1)
    monkeypatch.setattr(home.service.database, "write", write)
    answer = home.client().get("/readyz")

    assert answer.status_code == 503
    assert said in answer.json()["reason"]


def test_a_running_worker_is_ready(opened: Open) -> None:
    assert opened(WORKER="true").client().get("/readyz").status_code == 200


def test_metrics_need_a_token(home: Household) -> None:
    bob = home.person("bob")

    assert home.client().get("/metrics").status_code == 401
    assert home.api(bob).get("/metrics").status_code == 403
    assert home.api().get("/metrics").status_code == 200


def test_metrics_may_be_public(opened: Open) -> None:
    assert opened(METRICS_PUBLIC="true").client().get("/metrics").status_code == 200


def test_the_numbers_are_there(home: Household) -> None:
    home.hear()
    (url,) = [
        item["url"] for item in home.api().get("/api/v1/urls").json()["items"] if item["source"] == "emby"
    ]
    home.client().post(url, json={"Event": "system.notificationtest"})

    text = home.api().get("/metrics").text

    assert 'watchmark_webhooks{state="interpreted"} 1.0' in text
    assert 'watchmark_deliveries{state="waiting",tracker="tvtime"} 1.0' in text
    assert 'watchmark_oldest_waiting_seconds{tracker="tvtime"}' in text
    assert 'watchmark_last_webhook_timestamp_seconds{source="plex"}' in text
    assert "watchmark_acknowledgement_seconds_count 1.0" in text
    assert "watchmark_database_commits_total" in text
    assert "watchmark_delivered_total 0.0" in text
