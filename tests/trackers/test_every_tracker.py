"""What every tracker promises, tested over all of them, each against its fake.

A tracker is worked through its entry in `_adapters.ADAPTERS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._server import Server
from tests.trackers._adapters import ADAPTERS, NOW, Told
from tests.trackers._anna import MODULES, Anna, anna_at, module_of
from webhook import clock
from webhook.domain.event import Action, Kind, Track
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.playback import TWIN_WINDOW
from webhook.trackers import Delivery, WatchedItem
from webhook.trackers._facts import Dates, Rewatches, find_class
from webhook.trackers._viewings import play_start

NAMES = sorted(MODULES)
TRIED = sorted(ADAPTERS)
AGING = [name for name in TRIED if ADAPTERS[name].expire is not None]
HOW_TO = (
    "The tracker {name} is not run through the shared suite: give it an entry of its own in ADAPTERS in "
    "tests/trackers/_adapters.py, whose docstring shows one, and a fake in tests/fakes/{name}.py."
)
PAGE = "<!DOCTYPE html><html><title>Just a moment</title></html>"
HEADERS = {"Retry-After": "41"}
SPOILT: dict[str, Mapping[str, Any]] = {
    "a page": {"status": 200, "body": PAGE},
    "half an object": {"status": 200, "body": '{"added": {"mov'},
    "another shape": {"status": 200, "body": [1, 2]},
    "a cut": {"status": 200, "body": '{"added": {"movies": 1}}', "cut": 9},
    "a huge one": {"status": 200, "body": {"x": "x" * 300_000}},
    "silence": {"record_then": "silence"},
    "a reset": {"reset": True},
    "a reset after all": {"record_then": "reset"},
}
"""Answers that say nothing about what was done."""

ANY_SUCCESS = ("half an object", "another shape")
"""Those that are a success, of which a service that says no more than that it came says no less."""

WHOLE = ("a page", "half an object", "another shape", "a huge one")
"""Those that arrive: it may be this delivery that the service stumbles over, and no other."""

KEPT: Mapping[Dates, slice] = {
    Dates.EACH: slice(0, 2),
    Dates.FIRST: slice(0, 1),
    Dates.LAST: slice(1, 2),
    Dates.SPAN: slice(0),
    Dates.NONE: slice(0),
}
"""Of two viewings those whose times a service then has."""


@pytest.fixture
def anna(name: str, loopbacks: Mapping[str, Server]) -> Anna:
    return anna_at(name, loopbacks)


def calls(names: Sequence[str]) -> list[Any]:
    """These trackers with every call that makes a mark, by the call's route."""
    return [
        pytest.param(name, told, id=f"{name}-{told.route.split('/')[-1]}-{told.delivery.item.kind}")
        for name in names
        for told in ADAPTERS[name].told
    ]


def tells(name: str, action: Action) -> bool:
    settings = module_of(name).Settings(**ADAPTERS[name].settings("http://127.0.0.1"))
    return action in module_of(name).build(settings, httpx.AsyncClient()).tells


UNDOING = [name for name in TRIED if tells(name, Action.UNWATCHED)]
every = pytest.mark.parametrize("name", TRIED)
LISTING = [name for name in TRIED if ADAPTERS[name].lists and not ADAPTERS[name].blind]
every_that_lists = pytest.mark.parametrize("name", LISTING)
every_listed_mark = pytest.mark.parametrize(("name", "told"), calls(LISTING))
every_mark = pytest.mark.parametrize(("name", "told"), calls(TRIED))
every_that_ages = pytest.mark.parametrize("name", AGING)
every_mark_that_ages = pytest.mark.parametrize(("name", "told"), calls(AGING))
every_mark_that_can_be_undone = pytest.mark.parametrize(("name", "told"), calls(UNDOING))
every_batch = pytest.mark.parametrize("name", [name for name in TRIED if ADAPTERS[name].many])


def without_date(delivery: Delivery) -> Delivery:
    """The same, ticked by hand long after it was watched."""
    return replace(delivery, dated=Dated.TICKED, started_at=None, late=True)


# What it is


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_is_run_through_this_suite(name: str) -> None:
    if name not in ADAPTERS:
        pytest.fail(HOW_TO.format(name=name), pytrace=False)


def test_nothing_is_run_through_this_suite_that_is_no_tracker() -> None:
    assert {name.partition("@")[0] for name in ADAPTERS} <= set(NAMES)


@every
def test_a_tracker_says_what_it_is(anna: Anna, name: str) -> None:
    tracker = anna.built(httpx.AsyncClient())

    assert tracker.name == name.partition("@")[0]
    assert tracker.label == anna.module.LABEL
    assert tracker.kinds <= set(Kind)
    assert tracker.tells <= set(Action)
    assert {*tracker.needs} <= tracker.kinds
    assert tracker.writes_per_second >= 0
    assert tracker.host


@every
def test_every_setting_has_a_line_and_cannot_be_changed(anna: Anna) -> None:
    settings = anna.module.Settings

    assert all(field.description for field in settings.model_fields.values())
    assert settings.model_config.get("frozen")


@every
def test_a_tracker_can_be_signed_in_to_as_it_says(anna: Anna) -> None:
    tracker = anna.built(httpx.AsyncClient())

    for name in {"device": ("begin", "poll"), "password": ("login",)}.get(tracker.sign_in, ()):
        assert callable(getattr(tracker, name))
    assert hasattr(tracker, "refresh") == (anna.adapter.expire is not None)
    assert hasattr(tracker, "refresh") == hasattr(tracker, "stale")


@every
def test_a_tracker_that_takes_many_at_once_is_tried_with_many(anna: Anna) -> None:
    tracker = anna.built(httpx.AsyncClient())

    assert hasattr(tracker, "send_many") == bool(anna.adapter.many)
    assert hasattr(tracker, "send_many") == hasattr(tracker, "batch")


@every
def test_the_account_is_told_by_name(anna: Anna) -> None:
    name = anna.run(lambda tracker: tracker.check(anna.access))

    assert anna.adapter.named in name.lower()


@pytest.mark.parametrize("name", [name for name in LISTING if not name.startswith("tvtime")])
def test_two_viewings_of_an_item_are_dated_as_the_tracker_declares(anna: Anna) -> None:
    one, facts = anna.adapter.told[0].delivery, find_class(anna.module).facts
    early, late = (
        replace(one, id=number, action=Action.WATCHED, at=at, started_at=None, late=True, rewatch=number > 1)
        for number, at in enumerate((NOW - timedelta(days=9), NOW - timedelta(days=2)), start=1)
    )

    outcomes = [anna.send(early), anna.send(late)]

    held = [viewing.at for viewing in anna.held()[0]]
    begun = isinstance(one.item, Track)
    sent = [(play_start(told) if begun else told.at).replace(microsecond=0) for told in (early, late)]
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert len(held) == (2 if facts.rewatches is Rewatches.EACH else 1)
    assert facts.dates is None or [at for at in sent if at in held] == sent[KEPT[facts.dates]]


# What it does


@every_mark
def test_a_mark_is_made_by_the_call_that_it_is_said_to_be(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)

    outcome = anna.send(told.delivery)

    assert isinstance(outcome, Done), outcome
    assert outcome.answer
    assert len(anna.fake.made(told.route)) == 1
    assert anna.marks == 1


@every_mark
@pytest.mark.parametrize("unsure", [False, True])
def test_a_mark_that_is_sent_twice_is_there_once(
    told: Told, name: str, loopbacks: Mapping[str, Server], unsure: bool
) -> None:
    anna = anna_at(name, loopbacks)

    first, second = anna.send(told.delivery), anna.send(replace(told.delivery, unsure=unsure))

    assert isinstance(first, Done), first
    assert isinstance(second, anna.looked_up if unsure else Done), second
    assert anna.marks == 1


@every_mark
def test_a_mark_whose_answer_was_lost_is_there_once(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    anna.fake.faults.add(told.route, record_then="reset")

    lost = anna.send(told.delivery)
    again = anna.send(replace(told.delivery, unsure=True, attempts=1))

    assert isinstance(lost, Retry)
    assert lost.unsure
    assert isinstance(again, anna.looked_up), again
    assert anna.marks == 1


@every_mark
@pytest.mark.parametrize("together", [False, True])
def test_a_date_that_nobody_knows_is_never_made_up(
    told: Told, name: str, loopbacks: Mapping[str, Server], together: bool
) -> None:
    anna = anna_at(name, loopbacks)
    takes, undated = anna.built(httpx.AsyncClient()).undated, without_date(told.delivery)

    outcome = anna.send_many([undated])[0] if together and anna.adapter.many else anna.send(undated)

    assert isinstance(outcome, Done if takes else Skip), outcome
    if anna.adapter.blind:
        assert anna.marks == 0
    elif anna.adapter.lists and not anna.adapter.ticks:
        assert {viewing.at for viewing in anna.held()[0]} == ({None} if takes else set())


@every
def test_an_item_of_another_kind_is_not_sent(anna: Anna) -> None:
    outcomes = [
        anna.send(replace(anna.adapter.told[0].delivery, action=action, item=anna.adapter.wrong))
        for action in (Action.START, Action.STOP, Action.WATCHED)
    ]

    assert all(isinstance(outcome, Dead | Unmatched) for outcome in outcomes), outcomes
    assert anna.fake.calls == []


@every
def test_what_a_tracker_cannot_be_told_is_dead(anna: Anna) -> None:
    delivery = anna.adapter.told[0].delivery
    untold = set(Action) - anna.built(httpx.AsyncClient()).tells

    outcomes = [anna.send(replace(delivery, action=action, mark=False)) for action in sorted(untold)]

    assert all(isinstance(outcome, Dead) for outcome in outcomes), outcomes
    assert anna.marks == 0


# The sign-in


@every_mark_that_ages
def test_a_sign_in_that_has_aged_is_renewed_once(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    assert anna.adapter.expire is not None
    anna.adapter.expire(anna.fake)

    outcome = anna.send(told.delivery)

    assert isinstance(outcome, Done), outcome
    assert anna.access.renewals == 1
    assert anna.marks == 1


@every_mark
def test_a_sign_in_that_is_gone_parks_the_account(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    anna.adapter.gone(anna.fake)

    outcome = anna.send(told.delivery)

    assert isinstance(outcome, Snooze), outcome
    assert outcome.park is Park.SIGNED_OUT
    assert anna.access.renewals <= 1


@every_mark
def test_a_401_that_stays_parks_the_account_and_is_not_asked_for_ever(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    anna.spoil(told.route, 401)

    outcome = anna.send(told.delivery)

    assert isinstance(outcome, Snooze), outcome
    assert outcome.park is Park.SIGNED_OUT
    assert len(anna.fake.made(told.route)) <= 2


@every
def test_a_sign_in_that_is_gone_shows_when_it_is_checked(anna: Anna) -> None:
    anna.adapter.gone(anna.fake)

    outcome = anna.run(lambda tracker: tracker.check(anna.access))

    assert isinstance(outcome, Snooze), outcome
    assert outcome.park is Park.SIGNED_OUT


# What the service may answer


@every
def test_a_tracker_and_a_real_service_in_trouble(name: str) -> None:
    """One walk over a real connection; each answer by itself is a case of `tests/trackers/unit`."""
    with Server(ADAPTERS[name].fake()) as server:
        anna, told = anna_at(name, {name: server}), ADAPTERS[name].told[0]

        for how, fault in SPOILT.items():
            server.fake.faults.add(told.route, **fault)
            anna.patience = 0.3 if how == "silence" else 5.0
            anna.adapter.forget(server.fake)
            outcome = anna.send(told.delivery)

            if anna.adapter.blind and how in ANY_SUCCESS:
                assert isinstance(outcome, Done), outcome
                continue
            assert isinstance(outcome, Retry), outcome
            assert outcome.unsure
            assert outcome.suspect == (how in WHOLE)
        for status, means in ((429, Snooze), (503, Retry)):
            anna.spoil(told.route, status, headers=HEADERS, times=1)
            anna.adapter.forget(server.fake)
            outcome = anna.send(told.delivery)

            assert isinstance(outcome, means), outcome
            assert outcome.after == timedelta(seconds=41)
        assert len(server.fake.made(told.route)) == len(SPOILT) + 2
        anna.adapter.forget(server.fake)
        assert isinstance(anna.send(told.delivery), Done)
        assert isinstance(anna.send(replace(told.delivery, unsure=True)), anna.looked_up)
        assert anna.marks == 1


@every_mark
def test_a_service_that_is_not_there_is_tried_again_and_was_surely_not_told(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    with Server(anna.adapter.fake()) as gone:
        pass
    anna.move(gone)

    outcome = anna.send(told.delivery)

    assert isinstance(outcome, Retry), outcome
    assert not outcome.unsure


# What must stay secret


def secrets_of(anna: Anna) -> list[str]:
    """What of a sign-in nobody may read: every text in it but names, short words and what is public."""
    secret = [value for name, value in anna.access.tokens.items() if name not in anna.adapter.public]
    return [value for value in secret if isinstance(value, str) and len(value) > 12]


def seen(anna: Anna, outcome: Any) -> str:
    """All that is kept of a delivery and shown."""
    said = (
        [str(getattr(outcome, entry.name)) for entry in fields(outcome)]
        if isinstance(outcome, Done)
        else [str(outcome), outcome.reason, str(outcome.answer)]
    )
    return "\n".join([*said, json.dumps(anna.kept.exchanges)])


@every_mark
@pytest.mark.parametrize("status", [None, 200, 401, 403, 404, 409, 422, 429, 500, 503])
def test_a_token_is_neither_in_an_outcome_nor_in_what_is_kept_of_the_calls(
    told: Told, name: str, loopbacks: Mapping[str, Server], status: int | None
) -> None:
    anna = anna_at(name, loopbacks)
    secrets = secrets_of(anna)
    if status is not None:
        anna.spoil(told.route, status)

    outcome = anna.send(told.delivery)

    secrets += secrets_of(anna)
    assert secrets
    assert anna.kept.exchanges
    assert not [secret for secret in secrets if secret in seen(anna, outcome)]


@every_that_ages
def test_a_renewal_leaves_no_token_in_what_is_kept_of_the_calls(anna: Anna) -> None:
    assert anna.adapter.expire is not None
    secrets = secrets_of(anna)
    anna.adapter.expire(anna.fake)

    outcome = anna.send(anna.adapter.told[0].delivery)

    secrets += secrets_of(anna)
    assert not [secret for secret in secrets if secret in seen(anna, outcome)]


# Many at once


@every_batch
def test_many_marks_go_in_one_call_and_each_has_an_outcome(anna: Anna) -> None:
    outcomes = anna.send_many()

    assert [type(outcome) for outcome in outcomes] == [Done] * len(anna.adapter.many)
    assert len(anna.fake.made(anna.adapter.many_route)) == anna.adapter.many_calls
    assert anna.marks == len(anna.adapter.many)


@every_batch
def test_many_marks_that_are_sent_twice_are_there_once(anna: Anna) -> None:
    anna.fake.faults.add(anna.adapter.many_route, record_then="reset")

    lost = anna.send_many()
    anna.adapter = replace(
        anna.adapter, many=tuple(replace(mark, unsure=True, attempts=1) for mark in anna.adapter.many)
    )
    outcomes = anna.send_many()

    assert isinstance(lost, Retry)
    assert lost.unsure
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert anna.marks == len(anna.adapter.many)


@every_batch
@pytest.mark.parametrize(
    ("status", "means"), [(401, Snooze), (429, Snooze), (500, Retry), (502, Retry), (503, Retry)]
)
def test_what_concerns_all_of_many_is_raised_once(anna: Anna, status: int, means: type[Undelivered]) -> None:
    anna.spoil(anna.adapter.many_route, status)

    outcome = anna.send_many()

    assert isinstance(outcome, means), outcome


@every_batch
def test_one_of_another_kind_does_not_keep_the_others_back(anna: Anna) -> None:
    good = anna.adapter.many
    mixed = (good[0], replace(good[0], id=99, item=anna.adapter.wrong), *good[1:])
    anna.adapter = replace(anna.adapter, many=mixed)

    first, wrong, *rest = anna.send_many()

    assert isinstance(first, Done)
    assert isinstance(wrong, Dead | Unmatched)
    assert all(isinstance(outcome, Done) for outcome in rest)


@pytest.mark.parametrize("name", [name for name in UNDOING if ADAPTERS[name].many])
def test_each_of_many_marks_can_be_taken_back(anna: Anna) -> None:
    outcomes = anna.send_many()

    undone = [anna.undo(told, outcome) for told, outcome in zip(anna.adapter.many, outcomes, strict=True)]

    assert all(isinstance(outcome, Done) for outcome in undone), undone
    assert anna.marks == 0


# Taking back


@every_mark_that_can_be_undone
def test_a_mark_is_taken_back_by_the_handle_that_it_got(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    anna.adapter.fill(anna.fake, [100])
    done = anna.send(told.delivery)
    assert anna.marks == 2

    undone = [anna.undo(told.delivery, done), anna.undo(told.delivery, done)]

    assert all(isinstance(outcome, Done) for outcome in undone), undone
    assert anna.marks == 1


@every_mark_that_can_be_undone
def test_a_mark_whose_answer_was_lost_is_taken_back_too(
    told: Told, name: str, loopbacks: Mapping[str, Server]
) -> None:
    anna = anna_at(name, loopbacks)
    anna.fake.faults.add(told.route, record_then="reset")
    anna.send(told.delivery)
    again = anna.send(replace(told.delivery, unsure=True, attempts=1))

    undone = anna.undo(told.delivery, again)

    assert isinstance(undone, Done), undone
    assert anna.marks == 0


# What the account holds


@every_that_lists
def test_an_empty_account_holds_nothing(anna: Anna) -> None:
    assert anna.held() == ([], None)


@every_that_lists
def test_all_that_an_account_holds_is_read_over_its_pages(anna: Anna) -> None:
    many = anna.adapter.three_pages
    anna.adapter.fill(anna.fake, range(many))

    found, broken = anna.held()

    assert broken is None
    assert len(anna.fake.made(anna.adapter.reads)) >= 3
    assert sorted(one.at for one in found if one.at) == [
        NOW - timedelta(hours=ago) for ago in reversed(range(many))
    ]
    assert len({keys(one.item) for one in found}) == many


@every_that_lists
def test_nothing_is_read_twice_while_the_account_grows(anna: Anna) -> None:
    many = anna.adapter.three_pages
    anna.adapter.fill(anna.fake, range(many))
    found: list[WatchedItem] = []

    async def read(tracker: Any) -> None:
        async for one in tracker.history(anna.access):
            if not found:
                anna.adapter.fill(anna.fake, [-3, -6])  # after everything else
            found.append(one)

    assert anna.run(read) is None
    old = sorted(one.at for one in found if one.at and one.at <= NOW)
    assert old == [NOW - timedelta(hours=ago) for ago in reversed(range(many))]


@every_that_lists
@pytest.mark.parametrize("hours", [0, 5, 500])
def test_what_was_held_before_a_time_is_left_out(anna: Anna, hours: int) -> None:
    anna.adapter.fill(anna.fake, range(9))

    found, broken = anna.held(NOW - timedelta(hours=hours))

    assert broken is None
    assert len(found) == min(hours, 8) + 1
    assert all(one.at and one.at >= NOW - timedelta(hours=hours) for one in found)


@every_that_lists
@pytest.mark.parametrize(
    ("status", "means"), [(401, Snooze), (429, Snooze), (500, Retry), (503, Retry), (504, Retry)]
)
def test_what_breaks_the_reading_off_in_the_middle_is_a_decision(
    anna: Anna, status: int, means: type[Undelivered]
) -> None:
    anna.adapter.fill(anna.fake, range(anna.adapter.three_pages))
    anna.spoil(anna.adapter.reads, status, headers=HEADERS, skip=1)

    found, broken = anna.held()

    assert 0 < len(found) < anna.adapter.three_pages
    assert isinstance(broken, means), broken
    if isinstance(broken, Snooze):
        assert (broken.park, broken.after) in ((Park.SIGNED_OUT, None), (None, timedelta(seconds=41)))
        assert (broken.park is None) == (status == 429)


@every_that_lists
@pytest.mark.parametrize("how", [how for how in SPOILT if "record_then" not in SPOILT[how]])
def test_a_page_that_says_nothing_in_the_middle_is_tried_again(anna: Anna, how: str) -> None:
    anna.adapter.fill(anna.fake, range(anna.adapter.three_pages))
    anna.fake.faults.add(anna.adapter.reads, **SPOILT[how], skip=1, times=-1)

    found, broken = anna.held()

    assert 0 < len(found) < anna.adapter.three_pages
    assert isinstance(broken, Retry), broken


@pytest.mark.parametrize("name", [name for name in AGING if name in LISTING])
def test_a_sign_in_that_ages_while_the_account_is_read_is_renewed(anna: Anna) -> None:
    many = anna.adapter.three_pages
    anna.adapter.fill(anna.fake, range(many))
    found: list[WatchedItem] = []

    async def read(tracker: Any) -> None:
        async for one in tracker.history(anna.access):
            if not found and anna.adapter.expire is not None:
                anna.adapter.expire(anna.fake)
            found.append(one)

    assert anna.run(read) is None
    assert len(found) == many
    assert anna.access.renewals == 1


@every_listed_mark
def test_what_was_told_is_held(told: Told, name: str, loopbacks: Mapping[str, Server]) -> None:
    anna, item = anna_at(name, loopbacks), told.delivery.item
    anna.send(told.delivery)

    found, broken = anna.held()

    assert broken is None
    (one,) = found
    when = play_start(told.delivery) if isinstance(item, Track) else told.delivery.at
    when = clock.now() if anna.adapter.dates_itself else when
    assert {*keys(one.item)} & {*keys(item)}
    assert same_item(one.item, item)
    assert one.at is not None
    assert abs(one.at - when) <= TWIN_WINDOW
