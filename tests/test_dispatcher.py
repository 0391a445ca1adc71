"""The dispatcher against trackers in trouble: probed, not hammered; drained in order; late marks together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import pytest
from sqlalchemy import select, update

from tests.fakes._server import Server
from tests.fakes.simkl import Episode as Listed
from tests.fakes.simkl import Simkl as FakeSimkl
from tests.fakes.trakt import Trakt as Fake
from tests.prepared import open_service
from webhook import clock
from webhook.accounts import accounts
from webhook.domain import retry
from webhook.domain.event import Action, Episode, Ids
from webhook.history import shelf
from webhook.people import people
from webhook.pipeline import dispatcher
from webhook.pipeline.breaker import Breaker
from webhook.pipeline.pace import Pace
from webhook.queries.deliveries import limited_kinds
from webhook.queries.people import list_accounts
from webhook.queues import leases, outbox, parking, settlements
from webhook.queues.outbox import NewDelivery
from webhook.storage.json_shapes import DetailsJson
from webhook.storage.tables import account, attempt, delivery, tick

EPISODE_ID = 100_000
"""The TheTVDB id of the episode before the first, as the fake Trakt counts them."""

STRANGE = 5_000_000
"""The number of an episode that the fake does not know."""


class Desk:
    """A service that does not receive, with people at a fake tracker; its dispatcher runs until nothing is due."""

    def __init__(self, folder: Path, server: Server, tracker: str = "trakt") -> None:
        self.fake: Any = server.fake
        self.tracker = tracker
        self.loop = asyncio.new_event_loop()
        settings = {
            "trakt": {
                "TRAKT_CLIENT_ID": "fake-client-id",
                "TRAKT_CLIENT_SECRET": "fake-client-secret",
                "TRAKT_API_URL": server.url,
                "TRAKT_AUTH_URL": server.url,
                "TRAKT_WRITES_PER_SECOND": "0",
            },
            "simkl": {
                "SIMKL_CLIENT_ID": "fake-client-id",
                "SIMKL_API_URL": server.url,
                "SIMKL_WRITES_PER_SECOND": "0",
            },
        }
        self.service = open_service(
            {"DATA_DIR": str(folder), "CLAIM_FIRST_USER": "true", **settings[tracker]}
        )
        self.database = self.service.database

    def person(self, name: str) -> int:
        """A person's account at the fake."""
        tokens = dict(self.fake.sign_in(name))

        def add(connection: Any) -> int:
            made = people.add_person(connection, name, clock.now())
            sealed = self.service.seal.seal(tokens)
            return accounts.store_tokens(
                connection, made, self.service.trackers[self.tracker], sealed, name, clock.now()
            )

        return self.database.do(add)

    def put(
        self,
        account_id: int,
        number: int,
        at: datetime,
        *,
        mark: bool = True,
        action: Action = Action.STOP,
        show: str = "Tidewater",
        **details: Unpack[DetailsJson],
    ) -> int:
        ids = Ids(tvdb=EPISODE_ID + number)
        item = Episode(title=f"Part {number}", show=show, season=1, number=number, ids=ids)
        putting = NewDelivery(
            account_id=account_id,
            action=action,
            key=f"{action}:{number}",
            item=item,
            at=at,
            mark=mark,
            details=details,
        )
        return self.database.do(lambda connection: outbox.enqueue(connection, putting, clock.now()))

    def run(self, seconds: float = 2.0) -> None:
        """Let the dispatcher work until nothing is due, or the time is up."""
        self.loop.run_until_complete(self.running(seconds))

    async def running(self, seconds: float) -> None:
        stop, news = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self.service.dispatcher.run(stop, news))
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends and self.due():
            await asyncio.sleep(0.05)
        stop.set()
        await task

    def due(self) -> bool:
        if any(row.leased_until for row in self.rows(account)):
            return True
        soon = clock.now() + timedelta(seconds=3)
        due = self.database.ask(
            lambda connection: leases.find_next_due(connection, list(self.service.trackers), soon)
        )
        return due is not None and due <= soon

    def states(self) -> list[str]:
        rows = self.database.ask(
            lambda connection: connection.execute(select(delivery).order_by(delivery.c.id)).all()
        )
        return [row.state for row in rows]

    def rows(self, table: Any) -> list[Any]:
        return list(self.database.ask(lambda connection: connection.execute(select(table)).all()))

    def hurry(self) -> None:
        """As if the pause after a failure had passed."""
        self.database.do(lambda connection: connection.execute(update(account).values(held_until=None)))
        for breaker in self.service.dispatcher.breakers.values():
            breaker.open_until = 0.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Server(Fake()) as server:
        made = Desk(tmp_path, server)
        yield made
        made.loop.run_until_complete(made.service.http.aclose())
        made.loop.close()
        made.database.close()


@pytest.fixture
def desk_at_simkl(tmp_path: Path) -> Iterator[Desk]:
    with Server(FakeSimkl()) as server:
        made = Desk(tmp_path, server, "simkl")
        yield made
        made.loop.run_until_complete(made.service.http.aclose())
        made.loop.close()
        made.database.close()


def days_ago(days: float) -> datetime:
    return clock.now() - timedelta(days=days)


def test_late_marks_go_out_together_with_their_true_times(desk: Desk) -> None:
    anna = desk.person("anna")
    times = {number: days_ago(5 - number / 50) for number in range(1, 41)}
    for number, at in times.items():
        desk.put(anna, number, at)

    desk.run(10)

    assert set(desk.states()) == {"done"}
    assert len(desk.fake.made("POST /sync/history")) == 1
    watched = {row["episode"]["ids"]["tvdb"]: row["watched_at"] for row in desk.fake.user("anna").history}
    assert len(watched) == 40
    for number, at in times.items():
        assert abs(datetime.fromisoformat(watched[EPISODE_ID + number]) - at) < timedelta(seconds=1)
    assert all(row.remote_id for row in desk.rows(delivery))


def test_a_late_mark_that_is_there_already_is_not_sent_among_many(desk: Desk) -> None:
    anna = desk.person("anna")
    for number in range(1, 4):
        desk.put(anna, number, days_ago(2 - number / 10))
    desk.run(10)

    again = desk.database.do(
        lambda connection: connection.execute(update(delivery).values(state="waiting", due_at=days_ago(2)))
    )
    desk.database.do(lambda connection: leases.wake_lanes(connection, [anna], days_ago(2), clock.now()))
    desk.run(10)

    assert again.rowcount == 3
    assert set(desk.states()) == {"done"}
    assert len(desk.fake.user("anna").history) == 3


def test_a_batch_whose_answer_was_lost_is_looked_up_and_not_doubled(desk: Desk) -> None:
    anna = desk.person("anna")
    for number in range(1, 6):
        desk.put(anna, number, days_ago(2 - number / 10))
    desk.fake.faults.add("POST /sync/history", record_then=502)

    desk.run(2)
    first = desk.states()
    desk.hurry()
    desk.run(10)

    assert set(first) == {"waiting"}
    assert set(desk.states()) == {"done"}
    assert len(desk.fake.user("anna").history) == 5


def test_what_trakt_does_not_know_among_many_is_unmatched_and_the_others_are_told(desk: Desk) -> None:
    anna = desk.person("anna")
    for number in range(1, 5):
        desk.put(anna, number, days_ago(2 - number / 10))
    desk.put(anna, STRANGE, days_ago(3), show="Nowhere at All")

    desk.run(15)

    assert desk.states() == ["done"] * 4 + ["unmatched"]


def test_live_news_goes_ahead_of_a_late_backlog(desk: Desk) -> None:
    anna = desk.person("anna")
    for number in range(1, 121):
        desk.put(anna, number, days_ago(9 - number / 50))
    desk.put(anna, 900, clock.now(), mark=False, action=Action.START)

    desk.run(15)

    first = next(call for call in desk.fake.calls if call.method == "POST")
    assert first.path == "/scrobble/start"
    assert set(desk.states()) == {"done"}


def test_a_service_that_is_down_is_probed_and_not_hammered(desk: Desk) -> None:
    everybody = [desk.person(f"person{number}") for number in range(20)]
    for account_id in everybody:
        for number in range(1, 4):
            desk.put(account_id, number, clock.now())
    desk.fake.faults.add("POST /scrobble", status=503, times=-1)

    desk.run(3)

    assert len(desk.fake.made("POST /scrobble")) <= 45
    assert set(desk.states()) == {"waiting"}


def test_it_rests_while_what_is_due_is_for_a_service_that_is_down(desk: Desk) -> None:
    desk.put(desk.person("anna"), 1, clock.now())
    at_work = desk.service.dispatcher
    breaker = at_work.breakers[desk.service.trackers["trakt"].host]

    for _ in range(5):
        breaker.record_failure()
    shut = desk.loop.run_until_complete(at_work.claim())
    pause = dispatcher.seconds_until(shut.next_due)
    breaker.open_until = 0.0
    half = desk.loop.run_until_complete(at_work.claim())
    desk.loop.run_until_complete(asyncio.wait(at_work._lanes))

    assert not shut
    assert pause == dispatcher.IDLE_INTERVAL
    assert len(half) == 1


def test_who_claims_nothing_is_told_when_the_next_lane_falls_due(desk: Desk) -> None:
    soon = clock.now() + timedelta(seconds=0.5)
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now())
    desk.database.do(
        lambda connection: connection.execute(
            update(account).where(account.c.id == anna).values(held_until=soon)
        )
    )

    claim = desk.loop.run_until_complete(desk.service.dispatcher.claim())

    assert not claim
    assert claim.next_due == soon
    assert 0 < dispatcher.seconds_until(claim.next_due) <= 0.5
    assert dispatcher.seconds_until(None) == dispatcher.IDLE_INTERVAL


def test_once_it_is_back_everything_drains(desk: Desk) -> None:
    everybody = [desk.person(f"person{number}") for number in range(8)]
    for account_id in everybody:
        for number in range(1, 4):
            desk.put(account_id, number, clock.now())
    desk.fake.faults.add("POST /scrobble", status=503, times=8)

    rounds = 0
    while set(desk.states()) != {"done"} and (rounds := rounds + 1) <= 40:
        desk.run(2)
        desk.hurry()

    assert set(desk.states()) == {"done"}
    assert [len(desk.fake.user(f"person{number}").history) for number in range(8)] == [3] * 8


def down_since(desk: Desk) -> list[str | None]:
    """Since when the tracker of each account is down, as pages and the API give it."""
    found = desk.database.ask(list_accounts)
    return [one["down_since"] for one in found if one["tracker"] == "trakt"]


def test_a_tracker_is_down_since_its_first_failure_until_it_answers(desk: Desk) -> None:
    anna, ben = desk.person("anna"), desk.person("ben")
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /scrobble", status=503, times=3)

    desk.run(1)
    assert down_since(desk) == [None, None]  # one failure alone happens
    first = min(desk.rows(attempt), key=lambda row: row.id).at
    for _ in range(2):
        desk.hurry()
        desk.run(1)

    assert (
        down_since(desk) == [clock.stamp(first)] * 2
    )  # ben's account was not tried, and nobody knows better
    assert len(desk.rows(attempt)) == 3

    desk.hurry()
    desk.run(3)
    assert desk.states() == ["done"]
    assert down_since(desk) == [None, None]
    desk.put(ben, 1, clock.now())
    desk.run(3)
    assert desk.states() == ["done", "done"]


def test_a_tracker_that_answers_is_not_down_whatever_it_says(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /scrobble", status=503, times=2)
    for _ in range(2):
        desk.run(1)
        desk.hurry()
    assert down_since(desk) != [None]

    desk.fake.faults.add("POST /scrobble", status=404, times=-1)
    desk.run(3)

    assert down_since(desk) == [None]
    assert desk.states() == ["unmatched"]


def test_one_accounts_signed_out_account_stops_nobody_else(desk: Desk) -> None:
    anna, ben = desk.person("anna"), desk.person("ben")
    desk.put(anna, 1, clock.now())
    desk.put(ben, 1, clock.now())
    desk.fake.sessions[:] = [session for session in desk.fake.sessions if session.user != "anna"]

    desk.run(5)

    assert desk.states() == ["parked", "done"]
    assert {row.parked for row in desk.rows(account) if row.id == anna} == {"signed_out"}


def test_a_pace_of_one_a_second_is_kept(desk: Desk) -> None:
    tracker: Any = desk.service.trackers["trakt"]
    tracker.writes_per_second = 1.0
    desk.service.dispatcher._batches["trakt"] = leases.Batch(1, 1)
    desk.fake.switches.rate_limit = True
    anna = desk.person("anna")
    for number in range(1, 4):
        desk.put(anna, number, clock.now())

    desk.run(8)

    assert desk.states() == ["done"] * 3
    assert {call.status for call in desk.fake.made("POST /scrobble")} == {201}


async def two_writes(pace: Pace, took: float) -> float:
    """Seconds between the answer to one write, which took so long, and the next one being sent."""
    async with pace.slot():
        await asyncio.sleep(took)
    answered = time.monotonic()
    async with pace.slot():
        return time.monotonic() - answered


@pytest.mark.parametrize("took", [0.0, 0.15])
def test_a_slow_write_has_none_close_behind_it(took: float) -> None:
    assert asyncio.run(two_writes(Pace(per_second=10), took)) >= 0.1 - 0.005


def test_a_tracker_without_a_pace_is_not_waited_for() -> None:
    pace = Pace(per_second=0)

    asyncio.run(two_writes(pace, 0))

    assert pace.free_at == 0


def test_every_attempt_is_kept_with_what_was_sent_and_what_came_back(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /scrobble", status=503)

    desk.run(1)
    desk.hurry()
    desk.run(5)

    first, second = sorted(desk.rows(attempt), key=lambda row: row.id)
    assert (first.outcome, second.outcome) == ("retry", "done")
    assert "503" in first.reason
    assert [exchange["status"] for exchange in first.exchanges] == [503]
    assert "Bearer" not in str(first.exchanges + second.exchanges)


def test_patience_ends_after_thirty_days(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.put(anna, 1, days_ago(31))
    old = {"created_at": days_ago(31)}
    desk.database.do(lambda connection: connection.execute(update(delivery).values(**old)))
    desk.fake.faults.add("/sync", status=503, times=-1)

    desk.run(2)

    (row,) = desk.rows(delivery)
    assert row.state == "dead"
    assert "30 days" in row.reason


def test_a_breaker_lets_one_probe_through_and_closes_when_it_works() -> None:
    breaker = Breaker()

    for _ in range(5):
        breaker.record_failure()
    shut = breaker.lanes()
    breaker.open_until = 0.0
    half = breaker.lanes()
    breaker.record_success()

    assert (shut, half) == (0, 1)
    assert breaker.lanes() > 1


def test_pauses_grow_stay_below_the_cap_and_differ() -> None:
    pauses = [[retry.backoff(attempts) for _ in range(50)] for attempts in range(40)]

    assert all(timedelta(0) < pause <= retry.MAX_PAUSE for row in pauses for pause in row)
    assert max(pauses[0]) <= retry.FIRST_PAUSE
    assert len(set(pauses[10])) > 40


# --- the dry run of an account


def dry(desk: Desk, account_id: int) -> None:
    rules = update(account).where(account.c.id == account_id).values(rules={"dry_run": True})
    desk.database.do(lambda connection: connection.execute(rules))


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(desk: Desk) -> None:
    anna = desk.person("anna")
    dry(desk, anna)
    desk.put(anna, 1, clock.now())
    desk.put(anna, 2, days_ago(2))

    desk.run()

    rows = desk.rows(delivery)
    assert [(row.state, row.reason) for row in rows] == [("skipped", "dry run: shown, not sent")] * 2
    assert [row.answer.rsplit("/", 2)[1:] for row in rows] == [["scrobble", "stop"], ["sync", "history"]]
    assert desk.fake.user("anna").history == []
    shown = {row.delivery_id: row.exchanges[-1] for row in desk.rows(attempt)}
    assert all(exchange["withheld"] and exchange["sent"] for exchange in shown.values())
    assert shown[rows[0].id]["sent"]["episode"]["ids"]["tvdb"] == EPISODE_ID + 1


def test_what_a_dry_run_kept_back_goes_out_when_it_is_asked_for_again(desk: Desk) -> None:
    anna = desk.person("anna")
    dry(desk, anna)
    made = desk.put(anna, 1, days_ago(1))
    desk.run()

    desk.database.do(
        lambda connection: connection.execute(update(account).where(account.c.id == anna).values(rules={}))
    )
    desk.database.do(lambda connection: parking.revive(connection, [made], clock.now()))
    desk.run()

    assert desk.states() == ["done"]
    assert len(desk.fake.user("anna").history) == 1


def test_a_sign_in_that_ages_is_renewed_in_a_dry_run_too(desk: Desk) -> None:
    anna = desk.person("anna")
    dry(desk, anna)
    desk.fake.expire("anna")
    desk.put(anna, 1, days_ago(1))

    desk.run()

    assert desk.states() == ["skipped"]
    assert desk.fake.made("POST /oauth/token")


def test_marks_of_the_built_in_library_are_recorded_in_order_by_the_commit_that_claims_them(
    desk: Desk,
) -> None:
    mine = desk.database.do(lambda connection: builtin_account(connection, desk))
    for number in (2, 1, *range(3, 11)):
        desk.put(mine, number, clock.now(), action=Action.WATCHED)
    before = desk.database.commits

    desk.run()

    marks = sorted(desk.rows(attempt), key=lambda row: row.id)
    assert desk.states() == ["done"] * 10
    assert [row.delivery_id for row in marks] == sorted(row.delivery_id for row in marks)
    assert len(desk.rows(tick)) == 10
    assert desk.database.commits - before == 1


def test_a_mark_of_the_library_that_only_a_lookup_can_identify_takes_the_usual_way(desk: Desk) -> None:
    ben = desk.database.do(lambda connection: builtin_account(connection, desk))
    desk.put(ben, 1, clock.now(), action=Action.WATCHED)
    nameless = NewDelivery(
        account_id=ben, action=Action.WATCHED, key="watched:x", item=Episode(title="Part 2", season=1, number=2),
        at=clock.now(), mark=True,
    )  # fmt: skip
    desk.database.do(lambda connection: outbox.enqueue(connection, nameless, clock.now()))

    desk.run()

    assert desk.states() == ["done", "unmatched"]
    assert len(desk.rows(tick)) == 1


def test_marks_that_fail_as_they_are_claimed_are_undone_alone_and_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = desk.database.do(lambda connection: builtin_account(connection, desk))
    anna = desk.person("anna")
    for number in (1, 2):
        desk.put(ben, number, clock.now(), action=Action.WATCHED)
    desk.put(anna, 3, clock.now(), action=Action.WATCHED)
    fails = iter([False, True])
    mark_item = shelf.mark_item

    def fail_once(*given: Any) -> str:
        marked = mark_item(*given)
        if next(fails, False):
            raise OSError("it fails for once")
        return marked

    monkeypatch.setattr(shelf, "mark_item", fail_once)

    desk.run()

    assert desk.states() == ["done"] * 3
    assert len(desk.rows(tick)) == 2
    assert desk.service.dispatcher.health.delivered == 3


def test_what_is_due_next_is_claimed_by_the_commit_that_settles(desk: Desk) -> None:
    """One delivery at a time, as where a pace is kept: each takes one commit, and the first a claim before it."""
    anna = desk.person("anna")
    desk.service.dispatcher._batches["trakt"] = leases.Batch(1, 1)
    for number in range(1, 6):
        desk.put(anna, number, clock.now())
    before = desk.database.commits

    desk.run()

    assert desk.states() == ["done"] * 5
    assert desk.database.commits - before == 6


def test_lanes_that_cannot_be_claimed_as_another_is_settled_are_claimed_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = desk.person("anna")
    desk.service.dispatcher._batches["trakt"] = leases.Batch(1, 1)
    for number in range(1, 4):
        desk.put(anna, number, clock.now())
    claim_lanes, fails = leases.claim_lanes, iter([False, True, False])

    def fail_once(connection: Any, request: Any) -> Any:
        claimed = claim_lanes(connection, request)
        if next(fails, False):
            raise OSError("it fails for once")
        return claimed

    monkeypatch.setattr(leases, "claim_lanes", fail_once)

    desk.run()

    assert desk.states() == ["done"] * 3
    assert len(desk.fake.made("POST /scrobble")) == 3


def builtin_account(connection: Any, desk: Desk) -> int:
    """A person's account at the built-in library."""
    made = people.add_person(connection, "ben", clock.now())
    accounts.add_builtin_accounts(connection, desk.service.trackers, made, clock.now())
    return int(connection.execute(select(account.c.id).where(account.c.person_id == made)).scalar_one())


def test_the_built_in_library_says_what_it_would_do_in_a_dry_run(desk: Desk) -> None:
    ben = desk.database.do(lambda connection: builtin_account(connection, desk))
    dry(desk, ben)
    desk.put(ben, 1, clock.now(), action=Action.WATCHED)

    desk.run()

    (row,) = desk.rows(delivery)
    assert (row.state, row.answer) == ("skipped", "would mark it watched in the built-in library")
    assert desk.rows(tick) == []


@pytest.mark.parametrize(
    ("given", "sent"), [(7.5, 8), (6.5, 7), (8.5, 9), (7.4, 7), (0.4, 1), (0.5, 1), (10.0, 10)]
)
def test_a_rating_is_rounded_half_up_onto_the_services_scale(desk: Desk, given: float, sent: int) -> None:
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now(), mark=False, action=Action.RATE, rating=given)

    desk.run()

    assert desk.states() == ["done"]
    assert [row["rating"] for row in desk.fake.user("anna").ratings.values()] == [sent]


def test_a_rating_of_zero_is_skipped_with_a_sentence(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now(), mark=False, action=Action.RATE, rating=0.0)

    desk.run()

    assert desk.states() == ["skipped"]
    assert desk.fake.calls == []
    (row,) = desk.rows(delivery)
    assert "stands for none" in row.reason


def test_busy_answers_that_do_not_say_how_long_are_met_with_longer_and_longer_rests(
    desk_at_simkl: Desk,
) -> None:
    desk = desk_at_simkl
    anna = desk.person("anna")
    show = desk.fake.catalogue.add("tv", "Tidewater")
    show.episodes.append(Listed(season=1, number=1, tvdb=(1, 1), ids={"tvdb": str(EPISODE_ID + 1)}))
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /sync/history", status=429, times=3)

    rests = []
    for _ in range(3):
        began = clock.now()
        desk.run(0.3)
        (row,) = [row for row in desk.rows(account) if row.tracker == "simkl"]
        rests.append((row.held_until - began).total_seconds())
        desk.hurry()
    desk.run()

    assert rests[0] >= 1
    assert rests[1] >= 2
    assert 60 > rests[2] >= 4
    assert [entry.attempts for entry in desk.rows(delivery)] == [1]
    assert desk.states() == ["done"]
    assert [row.failures for row in desk.rows(account) if row.tracker == "simkl"] == [0]


# --- limits of one kind of call


def add(desk: Desk, account_id: int, number: int) -> int:
    return desk.put(account_id, number, clock.now(), mark=False, action=Action.ADD)


def limits(desk: Desk, account_id: int) -> list[Any]:
    return desk.database.ask(limited_kinds).get(account_id, [])


def test_a_full_collection_parks_additions_and_nothing_else(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.switches.collection_limit = 0
    for number in (1, 2, 3):
        add(desk, anna, number)
    desk.put(anna, 4, clock.now())

    desk.run()

    assert desk.states() == ["parked", "parked", "parked", "done"]
    assert len(desk.fake.made("POST /sync/collection")) == 1
    assert {row.parked for row in desk.rows(account)} == {None}
    (limit,) = limits(desk, anna)
    assert (limit["kind"], limit["reason"], limit["waits"]) == ("add", "account_limit", 3)
    assert "collection" in limit["explanation"]
    assert "watchmark retry --state parked --tracker trakt --person anna" in limit["explanation"]


def test_what_is_added_to_a_full_collection_later_is_parked_without_a_call(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.switches.collection_limit = 0
    add(desk, anna, 1)
    desk.run()

    add(desk, anna, 2)
    desk.put(anna, 3, clock.now(), mark=False, action=Action.START)
    desk.run()

    assert desk.states() == ["parked", "parked", "done"]
    assert len(desk.fake.made("POST /sync/collection")) == 1


def test_a_retry_sends_all_of_a_kind_once_there_is_room(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.switches.collection_limit = 0
    first = add(desk, anna, 1)
    add(desk, anna, 2)
    desk.run()

    desk.fake.switches.collection_limit = None
    desk.database.do(lambda connection: parking.revive(connection, [first], clock.now()))
    desk.run()

    assert desk.states() == ["done", "done"]
    assert len(desk.fake.user("anna").collection) == 2
    assert limits(desk, anna) == []


def test_a_check_that_works_sends_what_a_limit_kept_back(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.switches.collection_limit = 0
    add(desk, anna, 1)
    desk.run()

    desk.fake.switches.collection_limit = None
    verdict = desk.loop.run_until_complete(accounts.check_account(desk.service, anna))
    desk.run()

    assert verdict.works
    assert desk.states() == ["done"]


def test_a_limit_met_by_many_at_once_parks_their_kind(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.faults.add("POST /sync/history", status=420, times=-1)
    for number in (1, 2, 3):
        desk.put(anna, number, days_ago(2 - number / 10))
    add(desk, anna, 4)

    desk.run()

    assert desk.states() == ["parked", "parked", "parked", "done"]
    assert [limit["kind"] for limit in limits(desk, anna)] == ["watched"]
    assert {row.parked for row in desk.rows(account)} == {None}


def test_a_paid_membership_is_wanted_for_one_kind_only(desk: Desk) -> None:
    anna = desk.person("anna")
    desk.fake.faults.add("POST /sync/collection", status=426, times=-1)
    add(desk, anna, 1)
    desk.put(anna, 2, clock.now())

    desk.run()

    assert desk.states() == ["parked", "done"]
    (limit,) = limits(desk, anna)
    assert limit["reason"] == "vip_required"
    assert "VIP" in limit["explanation"]


# --- leases


def test_a_lane_stays_with_its_worker_for_as_long_as_that_is_at_work(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.5))
    monkeypatch.setattr(leases, "RENEWAL_INTERVAL", timedelta(seconds=0.1))
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /scrobble/stop", delay=1.5)
    others: list[leases.Lane] = []

    async def beside() -> None:
        """Another worker, which looks for lanes while this one is at work."""
        batch = {"trakt": leases.Batch(1, 1)}
        work = asyncio.create_task(desk.running(5))
        while not work.done():
            if any(row.leased_until for row in desk.rows(account)):
                claiming = leases.ClaimRequest(now=clock.now(), lanes=1, batch=batch)
                claim = partial(leases.claim_lanes, request=claiming)
                others.extend(await desk.database.run(claim))
            await asyncio.sleep(0.05)

    desk.loop.run_until_complete(beside())

    assert others == []
    assert desk.states() == ["done"]
    assert len(desk.fake.made("POST /scrobble/stop")) == 1


def test_a_lane_that_hangs_is_left_to_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.2))
    monkeypatch.setattr(leases, "RENEWAL_INTERVAL", timedelta(seconds=0.05))
    monkeypatch.setattr(dispatcher, "LANE_TIMEOUT", timedelta(seconds=0.3))
    anna = desk.person("anna")
    desk.put(anna, 1, clock.now())
    desk.fake.faults.add("POST /scrobble/stop", delay=1.5)

    desk.run(1)

    (row,) = desk.rows(delivery)
    assert (row.state, row.unsure, row.claimed) == ("waiting", True, False)
    assert desk.rows(account)[-1].held_until > clock.now() + retry.UNSURE_PAUSE / 2


# --- one delivery in trouble


def test_one_that_fails_again_and_again_lets_those_behind_go_first(desk: Desk) -> None:
    anna = desk.person("anna")
    add(desk, anna, 1)
    desk.put(anna, 2, clock.now())
    desk.fake.faults.add("POST /sync/collection", status=500, times=-1)

    for _ in range(retry.TRIES_IN_FRONT):
        desk.run(0.5)
        desk.hurry()
    desk.run(2)

    assert desk.states() == ["waiting", "done"]
    assert len(desk.fake.made("POST /sync/collection")) == retry.TRIES_IN_FRONT


def test_what_follows_from_one_that_steps_aside_waits_behind_it(desk: Desk) -> None:
    anna = desk.person("anna")
    first = add(desk, anna, 1)
    second = desk.put(anna, 1, clock.now(), mark=False, action=Action.RATE)
    other = desk.put(anna, 2, clock.now(), mark=False, action=Action.RATE)
    later = clock.now() + timedelta(hours=1)

    def aside(connection: Any) -> None:
        connection.execute(update(delivery).where(delivery.c.id == first).values(due_at=later))
        settlements.put_followers_behind(connection, first)

    desk.database.do(aside)

    due = {row.id: row.due_at for row in desk.rows(delivery)}
    assert due[second] == due[first]
    assert due[other] < due[first]


def test_a_service_in_trouble_lets_nothing_go_ahead(desk: Desk) -> None:
    anna = desk.person("anna")
    add(desk, anna, 1)
    desk.put(anna, 2, clock.now())
    desk.fake.faults.add("POST /sync/collection", status=503, times=-1)

    for _ in range(retry.TRIES_IN_FRONT + 2):
        desk.run(0.5)
        desk.hurry()

    assert desk.states() == ["waiting", "waiting"]
    assert not desk.fake.made("POST /scrobble")


@pytest.mark.parametrize("status", [400, 422])
def test_one_bad_item_among_many_does_not_take_the_others_with_it(desk: Desk, status: int) -> None:
    anna = desk.person("anna")
    for number in range(1, 7):
        desk.put(anna, number, days_ago(2 - number / 10))
    desk.fake.faults.add("POST /sync/history", status=status, body_has=str(EPISODE_ID + 4), times=-1)

    desk.run(5)

    assert desk.states() == ["done", "done", "done", "dead", "done", "done"]
    assert len(desk.fake.user("anna").history) == 5
