"""A new or rebuilt server is filled from the history: with what it lacks, once, and what was marked can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.told.home import Home
from tests.told.test_echoes import add_films, film
from tests.transfer.test_bringing import seen
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action
from webhook.queues import jobs
from webhook.transfer import backfill as backfilling
from webhook.transfer import restore

SERVERS = ("plex", "jellyfin", "emby")
MANY = 120
DAY = timedelta(days=1)


def fill(home: Home, count: int) -> None:
    """A history of films, each watched on another day, and the first of them twice."""
    now = clock.now()
    viewings = [seen(film(number), now - (number + 2) * DAY) for number in range(count)]
    home.bring(*viewings, seen(film(0), now - DAY))


def restore_server(home: Home, name: str) -> jobs.JobJson:
    home.account, tracker = home.accounts[name], home.service.trackers[name]
    made = home.database.do(
        lambda connection: backfilling.begin(connection, tracker, home.account, clock.now())
    )
    return home.work_off(made)


def test_a_new_server_gets_what_it_lacks_with_the_date_of_the_last_viewing(
    make_home: Callable[..., Home],
) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    add_films(home, "jellyfin", MANY)
    fake.play("aa" * 16, "anna", fake.known[f"{3:032x}"], clock.now() - 400 * DAY)
    fill(home, MANY)

    job = restore_server(home, "jellyfin")

    assert job["state"] == "done"
    assert len(fake.watched()) == MANY
    assert len(fake.sent) == MANY - 1
    assert (fake.watched()[f"{1:032x}"] or "") > f"{clock.now() - 1.5 * DAY:%Y-%m-%d}"
    assert fake.played["aa" * 16][f"{3:032x}"]["UserData"]["PlayCount"] == 1


def test_a_second_restore_writes_nothing(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    add_films(home, "jellyfin", 5)
    fill(home, 5)
    restore_server(home, "jellyfin")
    sent = len(home.fakes["jellyfin"].sent)

    job = restore_server(home, "jellyfin")

    assert (job["counts"]["sent"], len(home.fakes["jellyfin"].sent)) == (0, sent)


def test_a_look_says_what_would_be_marked_before_it_is_switched_on(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    add_films(home, "jellyfin", 3)
    fill(home, 5)
    tracker, account = home.service.trackers["jellyfin"], home.accounts["jellyfin"]
    home.run(accounts.switch_action(home.service, account, Action.WATCHED, False))

    found = home.run(backfilling.preview(home.database, tracker, home.service.credentials, account))

    assert (found.counts.sent, found.counts.held, found.missing) == (5, 1, 2)
    assert home.fakes["jellyfin"].sent == []


def test_what_is_not_there_keeps_no_restore_waiting(make_home: Callable[..., Home]) -> None:
    home = make_home("emby")
    add_films(home, "emby", 3)
    fill(home, 5)

    job = restore_server(home, "emby")

    assert (job["state"], job["counts"]["done"], job["counts"]["waiting"]) == ("done", 3, 2)


def test_a_restore_goes_on_after_a_kill(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    add_films(home, "jellyfin", 20)
    fill(home, 20)
    tracker, home.account = home.service.trackers["jellyfin"], home.accounts["jellyfin"]
    made = home.database.do(
        lambda connection: backfilling.begin(connection, tracker, home.account, clock.now())
    )
    home.step()
    home.reopen()

    job = home.work_off(made)

    assert job["state"] == "done"
    assert len(home.fakes["jellyfin"].sent) == 20


@pytest.mark.parametrize("name", ["jellyfin", "emby"])
def test_exactly_what_was_marked_is_taken_back(make_home: Callable[..., Home], name: str) -> None:
    home = make_home(name)
    fake = home.fakes[name]
    add_films(home, name, 4)
    fake.play("aa" * 16, "anna", fake.known[f"{2:032x}"], None)
    fill(home, 4)
    restore_server(home, name)

    count = home.database.do(lambda connection: restore.take_back(connection, home.account, clock.now()))
    home.delivered()

    assert count == 3
    assert set(fake.watched()) == {f"{2:032x}"}
    assert restore_server(home, name)["counts"]["sent"] == 3
    assert len(fake.watched()) == 4


def test_a_switched_off_server_is_told_nothing(make_home: Callable[..., Home]) -> None:
    home = make_home("plex")
    account = home.accounts["plex"]
    home.run(accounts.switch_action(home.service, account, Action.WATCHED, False))
    home.say("watched", film(1))
    home.delivered()

    assert home.fakes["plex"].watched() == {}
    assert [one["state"] for one in home.deliveries(tracker="plex")] == ["skipped"]
