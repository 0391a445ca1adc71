"""Health: lives, ready, and the numbers."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.web.conftest import Household, Open
from webhook import clock
from webhook.storage import tables
from webhook.storage.db import Unavailable


class Ended:
    """A task that is over."""

    def get_name(self) -> str:
        return "interpreter"

    def done(self) -> bool:
        return True


def test_it_lives_and_is_ready(home: Household) -> None:
    assert home.client().get("/healthz").text == "ok\n"
    ready = home.client().get("/readyz").json()
    assert (ready["ready"], ready["reason"]) == (True, None)


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
    assert "watchmark_loop_lag_seconds " in text
    assert "watchmark_loop_held_up_seconds " in text


def test_the_lag_of_the_loop_is_shown(home: Household) -> None:
    home.service.loop_lag.record(7.5, 6.25)

    text = home.api().get("/metrics").text

    assert "watchmark_loop_lag_seconds 7.5" in text
    assert "watchmark_loop_held_up_seconds 6.25" in text
    assert home.client().get("/readyz").json()["loop_lag_seconds"] == 7.5


def test_a_lane_that_nobody_goes_on_with_is_named(opened: Open) -> None:
    home = opened()
    home.hear()
    object.__setattr__(home.service.settings, "worker", True)

    def lease(ago: timedelta) -> int:
        values = {"leased_until": clock.now() - ago, "due_at": clock.now() - ago}
        home.do(lambda connection: connection.execute(update(tables.account).values(values)))
        return home.client().get("/readyz").status_code

    assert lease(timedelta(minutes=1)) == 200
    assert lease(timedelta(minutes=3)) == 503
    assert home.client().get("/readyz").json()["reason"].startswith("The lane of account 1 (tvtime)")


def test_a_parked_lane_is_not_stuck(opened: Open) -> None:
    home = opened()
    object.__setattr__(home.service.settings, "worker", True)
    long_ago = clock.now() - timedelta(minutes=9)
    values = {"leased_until": long_ago, "due_at": long_ago, "parked": "signed_out"}
    home.do(lambda connection: connection.execute(update(tables.account).values(values)))

    assert home.client().get("/readyz").status_code == 200


def test_queues_outcomes_latencies_and_sign_ins_are_numbers_too(home: Household) -> None:
    home.hear()
    home.settle("done", settled_at=clock.now() + timedelta(seconds=4))
    home.hear(title="Second", ratingKey="second", index=2, Guid=[{"id": "tvdb://9002"}])
    home.tried(1, [])
    now = int(clock.now().timestamp())
    sealed = home.service.seal.seal({"access_token": "hush", "created_at": now, "expires_in": 3600})
    home.do(lambda connection: connection.execute(update(tables.account).values(tokens=sealed)))

    text = home.api().get("/metrics").text

    (ends,) = re.findall(r'token_expires_seconds\{account="1",person="me",tracker="tvtime"\} ([\d.]+)', text)
    assert 3500 < float(ends) <= 3600
    assert 'watchmark_oldest_seconds{state="waiting",tracker="tvtime"}' in text
    assert 'watchmark_attempts{outcome="done",tracker="tvtime"} 1.0' in text
    assert 'watchmark_delivery_seconds_bucket{le="2.0",tracker="tvtime"} 0.0' in text
    assert 'watchmark_delivery_seconds_bucket{le="10.0",tracker="tvtime"} 1.0' in text
    assert 'watchmark_delivery_seconds_count{tracker="tvtime"} 1.0' in text
    assert "hush" not in text


def test_the_sum_of_latencies_never_goes_down_though_a_clock_was_put_back(home: Household) -> None:
    home.hear()
    home.settle("done", settled_at=clock.now() - timedelta(hours=6))

    text = home.api().get("/metrics").text

    assert 'watchmark_delivery_seconds_sum{tracker="tvtime"} 0.0' in text
    assert 'watchmark_delivery_seconds_bucket{le="1.0",tracker="tvtime"} 1.0' in text


def test_a_sign_in_sealed_with_another_key_spoils_no_number(home: Household) -> None:
    home.do(lambda connection: connection.execute(update(tables.account).values(tokens="nonsense")))

    answer = home.api().get("/metrics")

    assert answer.status_code == 200
    assert "watchmark_token_expires_seconds{" not in answer.text


def test_the_numbers_and_a_dry_run_are_the_same_on_postgresql(opened: Open, postgres_url: str) -> None:
    home = opened(DATABASE_URL=postgres_url)
    webhook_id = home.hear()
    home.settle("done", settled_at=clock.now() + timedelta(seconds=4))

    text = home.api().get("/metrics").text
    answer = home.api().post(f"/api/v1/webhooks/{webhook_id}/replay?dry_run=true").json()

    assert 'watchmark_delivery_seconds_bucket{le="10.0",tracker="tvtime"} 1.0' in text
    assert home.client().get("/readyz").status_code == 200
    assert (answer["would"]["state"], answer["would"]["deliveries"]) == ("interpreted", [])
    assert home.api().get("/api/v1/silent").json()["items"] == []
