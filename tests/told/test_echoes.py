"""Echoes: a server reports our own mark, by every way and at any time, and nothing comes of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.plex import ANNA
from tests.told.home import Home
from tests.trackers._adapters import FILM, PILOT
from tests.trackers._at_home import FILM_DTO, PLEX_FILM
from webhook import clock
from webhook.domain.event import Ids, Movie

MANY = 150
SERVERS = ("jellyfin", "emby")
"""Jellyfin as before 10.9, whose webhook of our mark is that of a mark by hand."""


def make_old_home(make_home: Callable[..., Home], name: str) -> Home:
    home = make_home(name)
    home.fakes[name].switches.version = "10.8.13"
    return home


def film(number: int) -> Movie:
    return Movie(title=f"Film {number}", year=2001, ids=Ids(tmdb=500_000 + number))


def add_films(home: Home, name: str, count: int) -> None:
    for number in range(count):
        ids = {"Tmdb": str(500_000 + number)}
        dto = {**FILM_DTO, "Id": f"{number + 1:032x}", "Name": f"Film {number}", "ProductionYear": 2001}
        home.fakes[name].stock({**dto, "ProviderIds": ids})
    home.service.interpreter.added.add(home.fakes[name].server_id)
    home.list_servers()


@pytest.mark.parametrize("name", SERVERS)
def test_an_echo_joins_the_trace_of_the_delivery_that_it_is_of(
    make_home: Callable[..., Home], name: str
) -> None:
    home = make_old_home(make_home, name)
    home.say("watched", FILM)
    home.delivered()
    (told,) = home.deliveries(tracker=name)
    (payload,) = home.fakes[name].sent

    webhook = home.post(payload, name)

    assert home.echo_of(webhook) == told["id"]
    assert home.count_plays() == 1
    assert len(home.deliveries(tracker=name)) == 1


@pytest.mark.parametrize("name", SERVERS)
def test_thousands_of_echoes_make_no_play(make_home: Callable[..., Home], name: str) -> None:
    home, chance = make_old_home(make_home, name), random.Random(17)  # noqa: S311 - a test that is the same each time
    fake, early = home.fakes[name], []
    add_films(home, name, MANY)
    fake.on_change = lambda payload: early.append(payload) if chance.random() < 0.3 else None
    for number in range(MANY):
        home.say("watched", film(number), clock.now() - timedelta(days=number, hours=5))
    home.drain()

    for payload in early:  # before the answer, as far as the database can tell: nothing is settled by it
        home.post(payload, name)
    late = [*fake.sent, *fake.sent]
    chance.shuffle(late)
    for place, payload in enumerate(late):
        if place == MANY:
            home.reopen()
        home.post(payload, name, clock.now() + timedelta(hours=chance.choice((0, 0, 3, 30))))

    assert len(fake.watched()) == MANY
    assert len(fake.sent) == MANY
    assert home.count_plays() == MANY
    assert len(home.deliveries(tracker=name)) == MANY


def test_an_echo_that_overtakes_the_answer_is_known(make_home: Callable[..., Home]) -> None:
    home = make_old_home(make_home, "jellyfin")
    seen: list[int] = []
    home.fakes["jellyfin"].on_change = lambda payload: seen.append(home.post(payload, "jellyfin"))
    home.say("watched", FILM)

    home.delivered()

    (told,) = home.deliveries(tracker="jellyfin")
    assert [home.echo_of(webhook) for webhook in seen] == [told["id"]]
    assert home.count_plays() == 1


def test_a_dated_mark_is_reported_as_what_no_player_and_no_hand_does(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    home.say("watched", FILM)
    home.delivered()

    webhook = home.post(home.fakes["jellyfin"].sent[0], "jellyfin")

    (told,) = home.deliveries(tracker="jellyfin")
    assert home.fakes["jellyfin"].sent[0]["SaveReason"] == "UpdateUserData"
    assert home.echo_of(webhook) == told["id"]
    assert home.count_plays() == 1


@pytest.mark.parametrize(("action", "echoes"), [("rate", True), ("favourite", True), ("unwatched", False)])
def test_a_value_that_is_set_on_what_was_watched_there_is_no_mark(
    make_home: Callable[..., Home], action: str, echoes: bool
) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    fake.play("aa" * 16, "anna", fake.known[FILM_DTO["Id"]], clock.now() - timedelta(days=400))
    home.say(action, FILM, rating=8)
    home.delivered()

    webhooks = [home.post(payload, "jellyfin") for payload in fake.sent]

    assert [home.echo_of(webhook) is not None for webhook in webhooks] == [True] * echoes
    assert home.count_plays() == 0


def test_the_mark_of_another_program_counts_and_is_told_elsewhere(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin", "emby")
    fake = home.fakes["jellyfin"]
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"], reason="UpdateUserData")

    webhook = home.post(fake.sent[-1], "jellyfin")
    home.delivered()

    assert home.echo_of(webhook) is None
    assert home.count_plays() == 1
    assert len(home.fakes["emby"].watched()) == 1
    assert home.deliveries(tracker="jellyfin") == []


def test_the_mark_of_another_program_undoes_our_own_opposite(
    make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("jellyfin")
    fake, real = home.fakes["jellyfin"], clock.now
    home.say("watched", FILM, clock.now() - timedelta(minutes=5))
    home.delivered()
    home.say("unwatched", FILM)
    home.delivered()
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=2))
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"], reason="UpdateUserData")
    now = f"{clock.now():%Y-%m-%dT%H:%M:%S}.0000000Z"

    webhook = home.post({**fake.sent[-1], "UtcTimestamp": now, "LastPlayedDate": now}, "jellyfin")

    assert home.echo_of(webhook) is None
    assert home.count_plays() == 2


def test_a_real_rewatch_is_a_play_and_is_told_to_nobody_it_came_from(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    home.say("watched", FILM, clock.now() - timedelta(days=2))
    home.delivered()

    home.post(stopped(home), "jellyfin")

    assert home.count_plays() == 2
    assert len(home.deliveries(tracker="jellyfin")) == 1


def test_the_opposite_of_our_mark_is_the_person_s_own_doing(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    home.say("watched", FILM, clock.now() - timedelta(minutes=5))
    home.delivered()
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"], played=False)
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"])
    _, unmarked, marked = fake.sent

    webhooks = [home.post(payload, "jellyfin") for payload in (unmarked, marked)]

    assert [home.echo_of(webhook) for webhook in webhooks] == [None, None]
    assert home.count_plays() == 2


def test_the_same_mark_of_somebody_else_counts(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    fake.add_person("ben", "bb" * 16)
    home.add_person("ben", "jellyfin:ben")
    home.say("watched", FILM)
    home.delivered()
    fake.mark_by_hand("bb" * 16, FILM_DTO["Id"])

    home.post(fake.sent[-1], "jellyfin")

    assert home.count_plays() == 2


def test_two_episodes_of_one_file_are_one_mark_and_one_echo(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    double = {
        **fake.known["e1" * 16],
        "Id": "d2" * 16,
        "IndexNumber": 2,
        "IndexNumberEnd": 3,
        "ProviderIds": {},
    }
    fake.stock(double)
    home.service.interpreter.added.add(fake.server_id)
    home.list_servers()
    for number in (2, 3):
        home.say(
            "watched", PILOT.__class__(show="Breaking Bad", season=1, number=number, show_ids=PILOT.show_ids)
        )
    home.delivered()

    home.post(fake.sent[0], "jellyfin")

    assert len(fake.sent) == 1
    assert home.count_plays() == 2
    assert {one["state"] for one in home.deliveries(tracker="jellyfin")} == {"done"}


@pytest.mark.parametrize("name", ["media.scrobble", "media.rate"])
def test_what_plex_reports_of_our_own_doing_is_an_echo(make_home: Callable[..., Home], name: str) -> None:
    home = make_home("plex")
    action = {"media.scrobble": "watched", "media.rate": "rate"}[name]
    home.say(action, FILM, rating=8)
    home.delivered()
    (told,) = home.deliveries(tracker="plex")
    plays = home.count_plays()

    webhook = home.post(reported_by_plex(home, name), "plex")

    assert told["state"] == "done"
    assert home.echo_of(webhook) == told["id"]
    assert home.count_plays() == plays
    assert len(home.deliveries(tracker="plex")) == 1


@pytest.mark.parametrize(("hours", "is_echo"), [(1.9, True), (3, False)])
def test_a_scrobble_that_comes_sooner_than_the_film_takes_is_an_echo(
    make_home: Callable[..., Home], hours: float, is_echo: bool
) -> None:
    home = make_home("plex")
    home.say("watched", FILM)
    home.delivered()
    report = reported_by_plex(home, "media.scrobble")
    report["Metadata"]["duration"] = 7_200_000

    webhook = home.post(report, "plex", clock.now() + timedelta(hours=hours))

    assert (home.echo_of(webhook) is not None) is is_echo


def test_another_rating_is_the_person_s_own(make_home: Callable[..., Home]) -> None:
    home = make_home("plex")
    home.say("rate", FILM, rating=8)
    home.delivered()

    webhooks = [home.post(reported_by_plex(home, "media.rate", rating), "plex") for rating in (6.0, 8.0)]

    assert [home.echo_of(webhook) for webhook in webhooks] == [None, None]


def test_a_rating_of_ours_that_is_removed_takes_no_heart(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin", "emby")
    fake = home.fakes["jellyfin"]
    fake.data_of("aa" * 16, FILM_DTO["Id"])["Rating"] = 8
    home.say("favourite", FILM)
    home.delivered()
    fake.data_of("aa" * 16, FILM_DTO["Id"])["IsFavorite"] = False
    home.say("unrate", FILM)
    home.delivered()
    (told,) = [one for one in home.deliveries("done", "jellyfin") if one["action"] == "unrate"]
    payload = fake.sent[-1]

    webhook = home.post(payload, "jellyfin")
    home.delivered()

    assert (payload["SaveReason"], payload["Favorite"], payload["Rating"]) == (
        "UpdateUserRating",
        False,
        None,
    )
    assert home.echo_of(webhook) == told["id"]
    assert fake.made("DELETE /UserItems/")
    assert "unfavourite" not in {one["action"] for one in home.deliveries(tracker="emby")}


def test_a_mark_from_before_ours_is_no_echo_of_it(make_home: Callable[..., Home]) -> None:
    home = make_home("jellyfin")
    fake = home.fakes["jellyfin"]
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"])
    (old,) = fake.sent
    fake.mark_by_hand("aa" * 16, FILM_DTO["Id"], played=False)
    old["UtcTimestamp"] = f"{clock.now() - timedelta(days=3):%Y-%m-%dT%H:%M:%S}Z"
    home.say("watched", FILM)
    home.delivered()

    webhook = home.post(old, "jellyfin")

    assert home.echo_of(webhook) is None


def reported_by_plex(home: Home, name: str, rating: float = 8.0) -> dict[str, Any]:
    fake = home.fakes["plex"]
    return {
        "event": name, "user": True, "owner": False, "rating": str(rating),
        "Account": {"id": ANNA, "title": "anna"}, "Server": {"title": fake.name, "uuid": fake.machine},
        "Metadata": {**PLEX_FILM, "librarySectionType": "movie", "userRating": rating},
    }  # fmt: skip


def stopped(home: Home) -> dict[str, Any]:
    """Played to its end on the Jellyfin itself."""
    return {
        "NotificationType": "PlaybackStop", "ServerId": home.fakes["jellyfin"].server_id, "ItemId": FILM_DTO["Id"],
        "ItemType": "Movie", "Name": FILM.title, "Year": FILM.year, "Provider_tmdb": "20526",
        "UserId": "aa" * 16, "NotificationUsername": "anna", "DeviceId": "tv", "PlayedToCompletion": True,
        "RunTimeTicks": 72_000_000_000, "PlaybackPositionTicks": 71_000_000_000,
    }  # fmt: skip
