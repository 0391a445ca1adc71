"""The outbox keeps its promises on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select, text, update

from webhook.accounts.accounts import insert_account
from webhook.domain import retry
from webhook.domain.event import Action, Ids, Movie
from webhook.domain.outcome import Park
from webhook.domain.rules import ALWAYS_ON
from webhook.domain.states import DeliveryState
from webhook.people import people
from webhook.queues import leases, outbox, parking, settlements
from webhook.queues.leases import Batch, ClaimRequest, Lane, Renewal
from webhook.queues.outbox import NewDelivery
from webhook.queues.settlements import Settlement
from webhook.storage.db import Database, fresh_ids
from webhook.storage.tables import account, delivery, play

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
FILM = Movie(title="The Lighthouse Keeper", year=2019, ids=Ids(imdb="tt9000001"))
BATCH = {"trakt": Batch(4, 4)}


@pytest.fixture
def anna(database: Database) -> int:
    """An account at Trakt."""
    return database.do(lambda connection: account_of(connection, "anna"))


def account_of(connection: Connection, name: str) -> int:
    person_id = people.add_person(connection, name, NOW)
    return insert_account(connection, person_id, "trakt", ALWAYS_ON, NOW)


def putting(account_id: int, key: str, **given: object) -> NewDelivery:
    made = NewDelivery(account_id=account_id, action=Action.STOP, key=key, item=FILM, at=NOW, mark=True)
    return replace(made, **given)  # type: ignore[arg-type]


def a_play(connection: Connection) -> int:
    values = {"person_id": 1, "kind": "movie", "item": {}, "state": "stopped", "source": "plex"}
    (made,) = fresh_ids(connection, play, 1)
    connection.execute(insert(play), {"id": made, **values, "started_at": NOW, "last_at": NOW})
    return made


def put(database: Database, *wanted: NewDelivery, at: datetime = NOW) -> list[int]:
    return database.do(lambda connection: [outbox.enqueue(connection, one, at) for one in wanted])


def claim(database: Database, at: datetime = NOW, lanes: int = 8) -> list[Lane]:
    claiming = ClaimRequest(now=at, lanes=lanes, batch=BATCH)
    return database.do(lambda connection: leases.claim_lanes(connection, claiming))


def take_over(database: Database, at: datetime) -> Lane:
    """Claim the lane of a worker whose lease has run out by then, once what it had in hand can be looked up."""
    assert claim(database, at) == []
    (lane,) = claim(database, at + retry.UNSURE_PAUSE)
    return lane


def settlement(lane: Lane, row: int = 0, **given: object) -> Settlement:
    delivery_id = lane.rows[row].id
    made = Settlement(
        delivery_id=delivery_id, account_id=lane.account_id, fence=lane.fence, now=NOW, state=DeliveryState.DONE,
        attempts=1, outcome="done", release=True,
    )  # fmt: skip
    return replace(made, **given)  # type: ignore[arg-type]


def settle(database: Database, *settled: Settlement) -> list[bool]:
    return database.do(lambda connection: settlements.settle(connection, list(settled)))


def states(database: Database) -> dict[int, str]:
    rows = database.ask(lambda connection: connection.execute(select(delivery.c.id, delivery.c.state)).all())
    return {row.id: row.state for row in rows}


def test_what_is_put_can_be_claimed_once(database: Database, anna: int) -> None:
    (made,) = put(database, putting(anna, "watched:1"))

    first, second = claim(database), claim(database)

    assert [row.id for lane in first for row in lane.rows] == [made]
    assert second == []


def test_the_same_key_is_put_once(database: Database, anna: int) -> None:
    first = put(database, putting(anna, "watched:1"))

    again = put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))

    assert again[0] == first[0]
    assert len(states(database)) == 2


def test_a_settled_delivery_is_not_claimed_again(database: Database, anna: int) -> None:
    (made,) = put(database, putting(anna, "watched:1"))
    (lane,) = claim(database)

    (mine,) = settle(database, settlement(lane))

    assert mine
    assert states(database) == {made: "done"}
    assert claim(database, NOW + timedelta(days=1)) == []


def renew(database: Database, lane: Lane, until: datetime) -> None:
    renewal = Renewal(account_id=lane.account_id, fence=lane.fence, until=until)
    database.do(lambda connection: leases.renew_leases(connection, [renewal]))


def test_a_killed_workers_lane_waits_until_what_it_had_in_hand_can_be_looked_up(
    database: Database, anna: int
) -> None:
    in_hand, behind = put(database, putting(anna, "watched:1"), putting(anna, "watched:2", at=NOW))
    claimed = ClaimRequest(now=NOW, lanes=1, batch={"trakt": Batch(1, 1)})
    database.do(lambda connection: leases.claim_lanes(connection, claimed))
    over = NOW + leases.LEASE

    early = [claim(database, over - timedelta(seconds=1)), claim(database, over)]
    early.append(claim(database, over + retry.UNSURE_PAUSE - timedelta(seconds=1)))
    (lane,) = claim(database, over + retry.UNSURE_PAUSE)

    assert early == [[], [], []]
    assert [(row.id, row.unsure) for row in lane.rows] == [(in_hand, True), (behind, False)]


def test_a_settlement_of_a_claim_that_has_passed_to_another_changes_nothing(
    database: Database, anna: int
) -> None:
    first, second = put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))
    alone = ClaimRequest(now=NOW, lanes=1, batch={"trakt": Batch(1, 1)})
    (stale,) = database.do(lambda connection: leases.claim_lanes(connection, alone))
    current = take_over(database, NOW + leases.LEASE)

    (mine,) = settle(database, settlement(stale, state=DeliveryState.DEAD))

    assert not mine
    assert states(database) == {first: "waiting", second: "waiting"}
    assert settle(database, settlement(current)) == [True]


def test_a_lane_that_is_renewed_stays_with_its_worker(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1"))
    (lane,) = claim(database)

    renew(database, lane, NOW + 2 * leases.LEASE)
    meanwhile = claim(database, NOW + leases.LEASE)

    assert meanwhile == []
    assert settle(database, settlement(lane)) == [True]


def test_a_lease_that_has_passed_to_another_or_was_given_back_is_not_renewed(
    database: Database, anna: int
) -> None:
    put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))
    alone = ClaimRequest(now=NOW, lanes=1, batch={"trakt": Batch(1, 1)})
    (stale,) = database.do(lambda connection: leases.claim_lanes(connection, alone))
    current = take_over(database, NOW + leases.LEASE)

    renew(database, stale, NOW + timedelta(days=1))
    after = take_over(database, NOW + 2 * leases.LEASE + retry.UNSURE_PAUSE)
    settle(database, settlement(after, 0, unclaim=[row.id for row in after.rows]))
    renew(database, after, NOW + timedelta(days=1))

    assert settle(database, settlement(current)) == [False]
    assert len(claim(database, NOW + 3 * leases.LEASE + 2 * retry.UNSURE_PAUSE)) == 1


def test_what_is_put_during_a_lease_waits_for_its_release(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1"))
    (lane,) = claim(database)
    put(database, putting(anna, "watched:2"))

    during = claim(database)
    settle(database, settlement(lane))
    after = claim(database)

    assert during == []
    assert [row.key for lane in after for row in lane.rows] == ["watched:2"]


def test_a_lane_goes_in_the_order_of_what_happened(database: Database, anna: int) -> None:
    moments = [timedelta(minutes=minutes) for minutes in (3, 1, 2)]
    put(
        database,
        *(putting(anna, f"watched:{index}", at=NOW - moment) for index, moment in enumerate(moments)),
    )

    (lane,) = claim(database)

    assert [row.key for row in lane.rows] == ["watched:0", "watched:2", "watched:1"]


def test_what_is_fresh_goes_ahead_of_what_is_late(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1", at=NOW - timedelta(days=3)), putting(anna, "watched:2"))

    (first,) = claim(database)
    settle(database, settlement(first))
    (second,) = claim(database)

    assert [row.key for lane in (first, second) for row in lane.rows] == ["watched:2", "watched:1"]


def test_one_accounts_trouble_holds_its_own_lane_only(database: Database, anna: int) -> None:
    ben = database.do(lambda connection: account_of(connection, "ben"))
    put(database, putting(anna, "watched:1"), putting(ben, "watched:1"))
    lanes = {lane.account_id: lane for lane in claim(database)}
    hold = NOW + timedelta(minutes=5)
    held = settlement(lanes[anna], state=DeliveryState.WAITING, outcome="retry", hold=hold, due_at=NOW)
    settle(database, held, settlement(lanes[ben]))
    put(database, putting(anna, "watched:2"), putting(ben, "watched:2"))

    now = claim(database)
    later = claim(database, hold)

    assert [lane.account_id for lane in now] == [ben]
    assert [lane.account_id for lane in later if lane.account_id == anna] == [anna]
    assert [row.key for lane in later if lane.account_id == anna for row in lane.rows] == [
        "watched:1",
        "watched:2",
    ]


def test_what_is_on_now_replaces_what_was_on_before(database: Database, anna: int) -> None:
    play_id = database.do(a_play)
    start = putting(
        anna, "start:1", action=Action.START, mark=False, at=NOW - timedelta(seconds=2), play_id=play_id
    )
    other = replace(start, key="start:2", at=NOW)

    old, new = put(database, start, other)

    assert states(database) == {old: "superseded", new: "waiting"}


def test_a_watched_mark_is_never_replaced(database: Database, anna: int) -> None:
    play_id = database.do(a_play)
    start = putting(anna, "start:1", action=Action.START, mark=False, play_id=play_id)

    mark, _ = put(database, putting(anna, "watched:1", at=NOW - timedelta(minutes=1), play_id=play_id), start)

    assert states(database)[mark] == "waiting"


def test_what_was_worth_telling_live_expires_and_a_mark_does_not(database: Database, anna: int) -> None:
    start = replace(putting(anna, "start:1"), action=Action.START, mark=False)
    live, mark = put(database, start, putting(anna, "watched:1"))

    database.do(lambda connection: outbox.expire_live(connection, NOW + timedelta(minutes=11)))

    assert states(database) == {live: "expired", mark: "waiting"}


def test_a_parked_account_waits_without_using_attempts_and_goes_on_by_itself(
    database: Database, anna: int
) -> None:
    put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))
    (lane,) = claim(database)
    settle(
        database,
        settlement(
            lane, state=DeliveryState.WAITING, outcome="snooze", park=Park.SIGNED_OUT, attempts=0, due_at=NOW
        ),
    )
    put(database, putting(anna, "watched:3"))

    while_parked = (set(states(database).values()), claim(database, NOW + timedelta(days=9)))
    freed = database.do(lambda connection: parking.unpark(connection, anna, NOW))
    (after,) = claim(database)

    assert while_parked == ({"parked"}, [])
    assert freed == 3
    assert [row.key for row in after.rows] == ["watched:1", "watched:2", "watched:3"]
    assert {row.attempts for row in after.rows} == {0}


def test_the_dead_come_back_when_asked_and_the_done_do_not(database: Database, anna: int) -> None:
    dead, done = put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))
    (lane,) = claim(database)
    settle(
        database,
        settlement(lane, 0, state=DeliveryState.DEAD, outcome="dead", release=False),
        settlement(lane, 1),
    )

    revived = database.do(lambda connection: parking.revive(connection, [dead, done], NOW))
    (after,) = claim(database)

    assert revived == 1
    assert [row.id for row in after.rows] == [dead]
    assert after.rows[0].unsure


def test_an_unsent_part_of_a_claim_is_given_back_as_never_tried(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1"), putting(anna, "watched:2"))
    (lane,) = claim(database)
    settle(database, settlement(lane, 0, unclaim=[lane.rows[1].id]))

    (after,) = claim(database)

    assert [(row.key, row.claimed) for row in after.rows] == [("watched:2", False)]


def test_leases_of_a_killed_process_are_forgotten_at_start(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1"))
    claim(database)

    database.do(lambda connection: leases.drop_leases(connection, NOW))
    early = claim(database)
    (lane,) = claim(database, NOW + retry.UNSURE_PAUSE)

    assert early == []
    assert lane.rows[0].unsure


def test_no_more_lanes_are_claimed_than_asked_for(database: Database) -> None:
    accounts = database.do(lambda connection: [account_of(connection, f"p{number}") for number in range(5)])
    put(database, *(putting(account_id, "watched:1") for account_id in accounts))

    first, rest = claim(database, lanes=2), claim(database, lanes=8)

    assert (len(first), len(rest)) == (2, 3)


def test_no_plan_of_postgresql_claims_more_lanes_than_asked_for(database: Database) -> None:
    """A subquery that locks rows may be run again for each row that is joined to it."""
    accounts = database.do(lambda connection: [account_of(connection, f"p{number}") for number in range(5)])
    put(database, *(putting(account_id, "watched:1") for account_id in accounts))

    def claim_row_by_row(connection: Connection) -> list[leases.Lane]:
        if connection.dialect.name == "postgresql":
            for plan in ("hashagg", "hashjoin", "mergejoin", "material", "sort"):
                connection.execute(text(f"SET LOCAL enable_{plan} = off"))
        return leases.claim_lanes(connection, ClaimRequest(now=NOW, lanes=2, batch=BATCH))

    assert len(database.do(claim_row_by_row)) == 2


def test_the_next_due_time_is_that_of_the_lane_that_is_free_first(database: Database, anna: int) -> None:
    put(database, putting(anna, "watched:1", at=NOW - timedelta(minutes=1)))
    hold = NOW + timedelta(minutes=7)
    database.do(lambda connection: connection.execute(update(account).values(held_until=hold)))

    def next_due(until: datetime) -> datetime | None:
        return database.ask(lambda connection: leases.find_next_due(connection, ["trakt"], until))

    assert next_due(NOW) == hold
    assert next_due(NOW - timedelta(minutes=2)) is None


def test_a_skipped_delivery_waits_once_its_rule_is_gone(database: Database, anna: int) -> None:
    (made,) = put(database, putting(anna, "rate:1.0", mark=False, action=Action.RATE, skipped="switched off"))

    before = states(database)[made]
    put(database, putting(anna, "rate:1.0", mark=False, action=Action.RATE))

    assert (before, states(database)[made]) == ("skipped", "waiting")


def test_a_play_row_can_be_deleted_without_losing_what_was_told(database: Database, anna: int) -> None:
    (made,) = put(database, putting(anna, "watched:7", play_id=database.do(a_play)))

    database.do(lambda connection: connection.execute(play.delete()))

    assert states(database)[made] == "waiting"


def test_a_lane_that_is_released_while_another_process_puts_something_there_is_woken(
    database: Database, anna: int
) -> None:
    if database.sqlite:
        return  # where one writes, nobody else does
    put(database, putting(anna, "watched:1"))
    (lane,) = claim(database)
    with database.engine.begin() as other:
        made = outbox.enqueue(other, putting(anna, "watched:2"), NOW)
        settle(database, settlement(lane))
    asleep = claim(database)

    woken = database.do(lambda connection: leases.wake_forgotten(connection, [NOW]))

    assert (asleep, woken) == ([], [1])
    assert [row.id for lane in claim(database) for row in lane.rows] == [made]


def test_what_another_process_is_superseding_is_not_claimed(database: Database, anna: int) -> None:
    if database.sqlite:
        return
    playing = database.do(a_play)
    live = {"action": Action.START, "mark": False, "play_id": playing}
    (first,) = put(database, putting(anna, "start:1", **live))
    with database.engine.begin() as other:
        outbox.supersede_delivery(other, first, "replaced", NOW)
        during = claim(database)

    (second,) = put(database, putting(anna, "start:2", **live))

    assert during == []
    assert [row.id for lane in claim(database) for row in lane.rows] == [second]
    assert states(database)[first] == "superseded"
