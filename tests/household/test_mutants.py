"""The simulated household finds what breaks the service: each rule of it that is taken away shows as a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.household.habits import Habit
from tests.household.house import House
from tests.household.narrator import EVERYTHING, invent
from tests.household.noise import QUIET, Noise
from tests.household.runs import Run
from tests.household.senders import Setup
from tests.household.story import read
from tests.household.strategies import SETUPS
from webhook import sources
from webhook.domain import advance, items, playback, rules, viewing
from webhook.domain.event import Event, Ignored
from webhook.history import play_store, plays
from webhook.people import identities
from webhook.pipeline import interpreter, planning


def answer(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def own_keys(*known: Any) -> tuple[str, ...]:
    """The keys of an item without those that another server knows it by too."""
    return tuple(key for key in PLAY_KEYS(*known) if "@" in key)


PLAY_KEYS = items.play_keys


def read_without(**known: Any) -> Callable[..., list[Event] | Ignored]:
    """What is read of each webhook, with these fields as they are where a sender says nothing of them."""

    def read_known(source: str, payload: sources.Payload, received_at: datetime) -> list[Event] | Ignored:
        found = READ(source, payload, received_at)
        return found if isinstance(found, Ignored) else [replace(event, **known) for event in found]

    return read_known


def dated_on_arrival(source: str, payload: sources.Payload, received_at: datetime) -> list[Event] | Ignored:
    return read_without(at=received_at)(source, payload, received_at)


READ = sources.read_webhook


def run_of(seed: int, viewings: int, noise: Noise = QUIET, **limits: Any) -> Run:
    return Run(invent(seed, viewings, **limits), SETUPS[seed % len(SETUPS)], noise)


TWINS = [title for title in EVERYTHING if title.twin]
ONE_EVENING = "day 1 20:00:00 anna plays Night Ferry 1x01 on plex tv: 0:00-51:00, stop"
SAME_EVENING = f"{ONE_EVENING}\nday 1 22:30:00 anna plays Night Ferry 1x01 on plex tv: 0:00-51:00, stop"
RUNS: Mapping[str, Run] = {
    "any": run_of(12, 22),
    "one moment": run_of(3, 20),
    "marks": run_of(1, 15, habits=[Habit.TICK, Habit.UNTICK]),
    "a tool": run_of(0, 10, habits=[Habit.TOOL]),
    "namesakes": run_of(0, 40, habits=[Habit.WATCH], titles=TWINS),
    "sent again": run_of(0, 12, Noise(again=1.0), habits=[Habit.WATCH]),
    # A server's clock that is far ahead does not tell what is sent again from what happens now.
    "sent again undated": Run(read(ONE_EVENING), Setup(ahead=10 * 3600), Noise(again=1.0)),
    "nothing but scrobbles": Run(read(SAME_EVENING), Setup(scrobbles_only=True)),
}

RULE_MODULES = (advance, playback, viewing, rules, play_store, plays)

MUTANTS: Mapping[str, tuple[str, Mapping[tuple[Any, str], Any]]] = {
    "the same viewCount is another viewing": ("sent again undated", {(sources, "read_webhook"): read_without(view_count=None)}),
    "a higher viewCount is the same viewing": ("nothing but scrobbles", {(sources, "read_webhook"): read_without(view_count=None)}),
    "what is sent again is dated when it arrives": ("sent again", {(sources, "read_webhook"): dated_on_arrival}),
    "a look at the end counts": ("any", {(viewing, "is_peek"): answer(False)}),
    "however little is played counts": ("any", {(viewing, "is_played_enough"): answer(True)}),
    "nothing is watched twice": ("any", {(viewing, "is_another_viewing"): answer(False)}),
    "every second word is another viewing": ("sent again undated", {(viewing, "is_watched_again"): answer(True)}),
    "two reports of one moment are two viewings": ("one moment", {(playback, "twin_window"): answer(timedelta(0))}),
    "what was left is not carried on": ("any", {(viewing, "MAX_REST"): timedelta(0)}),
    "a skipped song counts": ("any", {(advance, "is_left_early"): answer(False)}),
    "no position makes a mark": ("any", {(playback, "is_reached"): answer(False)}),
    "no mark is taken back": ("marks", {(advance, "take_back"): answer(None)}),
    "nothing tells two items of a title apart": (
        "namesakes", {(items, "same_item"): answer(True), (play_store, "is_same_by_title"): answer(True)},
    ),
    "a title alone joins two items": ("namesakes", {(play_store, "is_same_by_title"): answer(True)}),
    "each server's items are its own": ("any", {(items, "play_keys"): own_keys}),
    "a mark of old is dated when it arrives": ("a tool", {(plays, "is_dated_elsewhere"): answer(False)}),
    "everybody is the first person": ("any", {(identities, "claimer_anywhere"): answer(1)}),
    "who sits beside has watched nothing": ("any", {(interpreter, "viewers"): lambda _, whose, __: (whose,)}),
    "trackers are told when it arrived": ("a tool", {(planning, "delivery_date"): lambda event, _: event.at}),
    "trackers are told no mark": ("a tool", {(rules, "makes_mark"): answer(False)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_the_stories_are_told_right_by_the_service_itself(house: House, name: str) -> None:
    assert not RUNS[name].faults(house)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_taken_away_shows(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    told, broken = MUTANTS[name]
    for (module, rule), other in broken.items():
        known = getattr(module, rule)
        for user in {module, *RULE_MODULES}:
            if getattr(user, rule, None) is known:
                monkeypatch.setattr(user, rule, other)

    assert RUNS[told].faults(house)
