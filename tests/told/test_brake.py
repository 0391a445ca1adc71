"""The brake: what a server reports in a flood is held and shown, acted on once it is said to be the person's, or never."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.told.home import Home
from tests.told.test_echoes import add_films, film
from webhook import clock
from webhook.domain.event import Action
from webhook.domain.outcome import SLOWED
from webhook.maintenance.pruner import Pruner
from webhook.people import people
from webhook.queues import hand_marks, inbox
from webhook.queues.hand_marks import HeldGroup
from webhook.sources._listened import Statement
from webhook.storage.tables import hand_mark, webhook

MARKS, UNMARKS = 20, 5


def flood(home: Home, count: int, *, played: bool = True, first: int = 0) -> list[int]:
    """Marks by hand on the Jellyfin, all of them within a moment; returns their webhooks."""
    fake, sent = home.fakes["jellyfin"], len(home.fakes["jellyfin"].sent)
    for number in range(first, first + count):
        fake.mark_by_hand("aa" * 16, f"{number + 1:032x}", played=played)
    return [home.post(payload, "jellyfin") for payload in fake.sent[sent:]]


def state_of(home: Home, webhook_id: int) -> tuple[str, str | None]:
    wanted = select(webhook.c.state, webhook.c.reason).where(webhook.c.id == webhook_id)
    return tuple(home.database.ask(lambda connection: connection.execute(wanted).one()))


def states(home: Home, webhooks: list[int]) -> list[str]:
    return [state_of(home, one)[0] for one in webhooks]


def group(home: Home, action: Action, **more: Any) -> HeldGroup:
    server = home.fakes["jellyfin"].server_id
    return HeldGroup(person_id=home.me, source="jellyfin", server=server, action=action, **more)


def accept(home: Home, action: Action) -> int:
    count = home.database.do(lambda connection: hand_marks.accept(connection, group(home, action)))
    home.interpret()
    return count


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    made = make_home("jellyfin", "emby")
    for name in ("jellyfin", "emby"):
        add_films(made, name, 60)
    return made


def test_marks_by_hand_are_acted_on_until_they_are_a_flood(home: Home) -> None:
    webhooks = flood(home, 30)
    home.delivered()

    assert states(home, webhooks) == ["interpreted"] * MARKS + ["held"] * 10
    assert state_of(home, webhooks[-1])[1] == "held_marks"
    assert home.count_plays() == MARKS
    assert len(home.fakes["emby"].watched()) == MARKS


def test_what_is_held_becomes_plays_once_it_is_said_to_be_mine(home: Home) -> None:
    webhooks = flood(home, 30)

    assert accept(home, Action.WATCHED) == 10
    assert accept(home, Action.WATCHED) == 0

    assert states(home, webhooks) == ["interpreted"] * 30
    assert home.count_plays() == 30


def test_what_is_ignored_stays_so_when_it_is_read_again(home: Home) -> None:
    webhooks = flood(home, 30)
    ignored = home.database.do(lambda connection: hand_marks.ignore(connection, group(home, Action.WATCHED)))

    home.database.do(lambda connection: inbox.requeue(connection, webhooks))
    home.interpret()

    assert ignored == 10
    assert states(home, webhooks) == ["interpreted"] * MARKS + ["ignored"] * 10
    assert state_of(home, webhooks[-1])[1] == "not_mine"
    assert home.count_plays() == MARKS


def test_only_what_was_seen_is_decided(home: Home) -> None:
    webhooks = flood(home, 30)
    seen = group(home, Action.WATCHED, until=webhooks[24])

    assert home.database.do(lambda connection: hand_marks.accept(connection, seen)) == 5


def test_marks_taken_back_in_a_flood_take_back_nothing(home: Home) -> None:
    flood(home, 12)
    webhooks = flood(home, 12, played=False)
    home.delivered()

    assert states(home, webhooks) == ["interpreted"] * UNMARKS + ["held"] * 7
    assert accept(home, Action.UNWATCHED) == 7
    assert states(home, webhooks) == ["interpreted"] * 12


def test_what_a_poll_finds_gone_at_once_takes_back_nothing(home: Home) -> None:
    flood(home, 7)
    fake = home.fakes["jellyfin"]
    said = {
        "server": {"Id": fake.server_id},
        "user": {"Id": "aa" * 16, "Name": "anna"},
        "user_data": {"Played": False},
    }

    webhooks = []
    for number in range(7):
        item = fake.known[f"{number + 1:032x}"]
        told = Statement(
            action=Action.UNWATCHED,
            at=clock.now(),
            by="poll",
            said={**said, "item": item},
            manual=True,
            together=7,
        )
        webhooks.append(home.post(told.to_json(), "jellyfin"))

    assert states(home, webhooks) == ["held"] * 7
    assert accept(home, Action.UNWATCHED) == 7
    assert states(home, webhooks) == ["interpreted"] * 7


def test_a_library_that_comes_back_lets_go_of_what_was_held(home: Home) -> None:
    flood(home, 12)
    gone = flood(home, 12, played=False)
    plays = home.count_plays()

    back = flood(home, 7, first=5)

    assert states(home, gone[UNMARKS:]) == ["ignored"] * 7
    assert states(home, back) == ["ignored"] * 7
    assert home.count_plays() == plays


def test_the_same_mark_told_twice_is_one(home: Home) -> None:
    webhooks = flood(home, 12)
    fake = home.fakes["jellyfin"]
    again = [home.post(payload, "jellyfin") for payload in fake.sent[-12:]]

    assert set(states(home, [*webhooks, *again])) == {"interpreted"}
    flood(home, 9, first=12)
    held = home.post(fake.sent[-1], "jellyfin")
    assert state_of(home, held) == ("ignored", "held_already")


def test_echoes_of_ours_are_no_flood(home: Home) -> None:
    home.fakes["jellyfin"].switches.version = "10.8.13"
    for number in range(40):
        home.say("watched", film(number), clock.now() - timedelta(days=number, hours=5))
    home.drain()

    webhooks = [home.post(payload, "jellyfin") for payload in home.fakes["jellyfin"].sent]

    assert len(webhooks) == 40
    assert "held" not in states(home, webhooks)


def test_playing_is_never_held(home: Home) -> None:
    webhooks = [home.say("watched", film(number)) for number in range(40)]

    assert set(states(home, webhooks)) == {"interpreted"}


def test_the_flood_of_one_person_holds_nobody_else_s(home: Home) -> None:
    fake = home.fakes["jellyfin"]
    fake.add_person("ben", "bb" * 16)
    home.add_person("ben", "jellyfin:ben")
    flood(home, 30)
    fake.mark_by_hand("bb" * 16, f"{1:032x}")

    assert states(home, [home.post(fake.sent[-1], "jellyfin")]) == ["interpreted"]


def test_what_is_held_outlives_a_kill_and_the_pruner(home: Home) -> None:
    flood(home, 30)
    home.drain()
    home.reopen()
    pruned = home.run(Pruner(home.database, 1).prune(clock.now() + timedelta(days=400)))

    assert pruned.bodies == MARKS
    assert accept(home, Action.WATCHED) == 10
    assert home.count_plays() == 30


def test_what_is_held_for_somebody_who_is_removed_waits_for_a_claim(home: Home) -> None:
    fake = home.fakes["jellyfin"]
    fake.add_person("ben", "bb" * 16)
    home.add_person("ben", "jellyfin:ben")
    for number in range(25):
        fake.mark_by_hand("bb" * 16, f"{number + 1:032x}")
    webhooks = [home.post(payload, "jellyfin") for payload in fake.sent]
    home.database.do(
        lambda connection: people.remove_person(connection, people.find_person(connection, "ben"))
    )
    home.interpret()

    assert states(home, webhooks[MARKS:]) == ["unclaimed"] * 5
    assert home.database.ask(lambda connection: connection.execute(select(hand_mark)).first()) is None


# --- what we tell by ourselves


def test_a_server_is_told_no_faster_than_a_person_marks(home: Home) -> None:
    for number in range(50):
        home.say("watched", film(number), clock.now() - timedelta(days=number, hours=5))

    home.delivered()

    assert [len(home.fakes[name].watched()) for name in ("jellyfin", "emby")] == [MARKS, MARKS]
    slowed = home.deliveries("waiting", "emby")
    assert {one["reason"] for one in slowed} == {SLOWED}
    assert len({one["due_at"] for one in slowed}) > 1
    home.reopen()
    home.delivered()
    assert len(home.fakes["emby"].watched()) == MARKS

    home.drain()

    assert [len(home.fakes[name].watched()) for name in ("jellyfin", "emby")] == [50, 50]


def test_what_is_there_already_does_not_wait(home: Home) -> None:
    fake = home.fakes["emby"]
    for number in range(40):
        fake.play("aa" * 16, "anna", fake.known[f"{number + 1:032x}"], clock.now() - timedelta(days=400))
        home.say("watched", film(number), clock.now() - timedelta(days=number, hours=5))

    home.delivered()

    assert len(home.deliveries("done", "emby")) == 40
