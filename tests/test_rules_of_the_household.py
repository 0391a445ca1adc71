"""Rules by player hold for what is said without a player: Jellyfin's *User Data Saved*, and its record of the past."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from tests.fakes._server import Server
from tests.fakes.jellyfin_server import JellyfinServer
from tests.test_interpreter import NOW
from tests.test_viewings import Stories, at, jellyfin
from tests.transfer.test_backfilling import opened_house
from tests.transfer.test_bringing import DAY
from webhook import clock
from webhook.people import household, identities, people
from webhook.storage.tables import person

__all__ = ["at"]

NO_PLAYER = {"DeviceId": None, "DeviceName": None}
FINISHED = {"SaveReason": "PlaybackFinished", "Played": True, **NO_PLAYER}
TICK = {"SaveReason": "TogglePlayed", "Played": True, **NO_PLAYER}
NEXT = {"ItemId": "e" * 32, "EpisodeNumber": 4, "Name": "Part 4"}


def share_tv(at: Stories) -> None:
    """What plays on the TV counts for Ben alone, although it is signed in as anna."""
    at.person("ben", "plex:ben")
    at.database.do(lambda connection: household.add_rule(connection, ["TV"], [], ["ben"], NOW))


def filter_mine(at: Stories, **filters: Any) -> None:
    mine = update(person).where(person.c.name == "me").values(filters=filters)
    at.database.do(lambda connection: connection.execute(mine))


def viewers(at: Stories) -> list[str]:
    """Who has watched something, once for each play that counts."""
    names = {at.me: "me"}
    return [names.get(one.person_id, "ben") for one in at.plays() if one.watched_at and not one.unwatched_at]


def test_what_jellyfin_saves_is_of_whom_the_rule_gives_the_player_to(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", 45.01, **FINISHED)

    assert viewers(at) == ["ben"]


@pytest.mark.parametrize("saved", [FINISHED, TICK])
def test_so_is_what_jellyfin_saves_before_it_says_that_it_stopped(at: Stories, saved: dict[str, Any]) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 45, **saved)
    at.jellyfin("PlaybackStop", 45.01, at=45, PlayedToCompletion=True)

    assert viewers(at) == ["ben"]


def test_so_is_it_after_a_long_pause_that_nobody_told(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 200, **FINISHED)

    assert viewers(at) == ["ben"]


def test_so_is_it_when_the_player_has_begun_the_next_before(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 45.01, at=0, **NEXT)
    at.jellyfin("UserDataSaved", 45.02, **FINISHED)

    assert viewers(at) == ["ben"]


def test_who_takes_a_mark_back_takes_their_own(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", 45.2, **{**TICK, "Played": False})

    assert viewers(at) == ["ben"]


@pytest.mark.parametrize("minutes", [20.5, 50, 900])
def test_a_tick_when_nobody_plays_it_is_of_whoever_ticked(at: Stories, minutes: float) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 20, at=20, PlayedToCompletion=False)
    at.jellyfin("UserDataSaved", minutes, **TICK)

    assert viewers(at) == ["me"]


def test_so_is_a_tick_of_what_the_player_left_for_something_else(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStart", 5, at=0, **NEXT)
    at.jellyfin("UserDataSaved", 44, **TICK)

    assert viewers(at) == ["me"]


def test_so_is_a_tick_while_somebody_elses_user_plays_it(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0, NotificationUsername="ben")
    at.jellyfin("UserDataSaved", 44, **TICK)

    assert viewers(at) == ["me"]


def test_the_player_on_which_it_was_last_heard_counts(at: Stories) -> None:
    share_tv(at)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 20, at=20, PlayedToCompletion=False)
    at.jellyfin("PlaybackStart", 21, at=20, DeviceId="phone", DeviceName="Phone")
    at.jellyfin("UserDataSaved", 46, **FINISHED)

    assert viewers(at) == ["me"]


def test_what_is_never_counted_on_a_player_is_not_counted_by_what_is_saved(at: Stories) -> None:
    filter_mine(at, not_players=["TV"])
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", 45.01, **FINISHED)

    assert at.watched == []


def test_an_account_is_not_told_of_a_player_that_its_rule_leaves_out(at: Stories) -> None:
    at.rules("tvtime", not_players=["TV"])
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 45, **FINISHED)
    at.jellyfin("PlaybackStop", 45.01, at=45, PlayedToCompletion=True)

    assert at.watched == [45]
    assert at.deliveries("tvtime") == []


def test_an_account_is_told_of_the_one_player_of_its_rule_though_what_is_saved_comes_first(
    at: Stories,
) -> None:
    at.rules("tvtime", players=["TV"])
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 45, **FINISHED)
    at.jellyfin("PlaybackStop", 45.01, at=45, PlayedToCompletion=True)

    assert at.deliveries("tvtime") == [("watched", True)]


def test_what_was_taken_back_is_not_told_once_its_rule_is_gone_and_its_webhook_is_read_again(
    at: Stories,
) -> None:
    at.rules("tvtime", not_players=["TV"])
    stop = at.post("jellyfin", jellyfin("PlaybackStop", at=45, PlayedToCompletion=True), 45)["id"]
    at.jellyfin("UserDataSaved", 50, **{**TICK, "Played": False})
    at.rules("tvtime")
    at.replay(stop)

    assert at.watched == []
    assert at.deliveries("tvtime") == []


# --- the server's record of the past

NORA, HEX = "d1" * 16, f"{7:032x}"
FILM = {
    "Id": HEX, "Type": "Movie", "Name": "Film 7", "ProductionYear": 2001,
    "ProviderIds": {"Tmdb": "7"}, "RunTimeTicks": 60_000_000_000,
}  # fmt: skip
SAID = {
    "ServerId": "a0" * 16, "ItemId": HEX, "ItemType": "Movie", "Name": "Film 7", "Year": 2001, "Provider_tmdb": "7",
    "RunTimeTicks": 60_000_000_000, "NotificationUsername": "Nora", "UserId": NORA,
    "DeviceName": "Kids TV", "DeviceId": "kids",
}  # fmt: skip


def test_a_catch_up_gives_nobody_what_a_rule_gave_to_somebody_else(tmp_path: Path) -> None:
    def settle(connection: Connection) -> None:
        connection.execute(update(person).values(created_at=clock.now() - 30 * DAY))
        people.add_person(connection, "ben", clock.now())
        identities.claim_identities(connection, people.FIRST_PERSON, "jellyfin:Nora", clock.now())
        household.add_rule(connection, ["Kids TV"], [], ["ben"], clock.now())

    with Server(JellyfinServer()) as server:
        of_server = {"JELLYFIN_URL": server.url, "JELLYFIN_API_KEY": server.fake.switches.key}
        with opened_house(f"sqlite:///{tmp_path}/watchmark.db", tmp_path, **of_server) as house:
            house.database.do(settle)
            over = clock.now() - timedelta(hours=5)
            start = {**SAID, "NotificationType": "PlaybackStart", "PlaybackPositionTicks": 0}
            house.post(start, "jellyfin", over - timedelta(minutes=100))
            house.post(
                {**SAID, "NotificationType": "PlaybackStop", "PlayedToCompletion": True}, "jellyfin", over
            )
            server.fake.play(NORA, "Nora", FILM, over)

            (report,) = house.run(house.service.catch_up.run_once())
            house.interpret()

            assert (report.missed, report.known) == (0, 1)
            assert [one.person_id for one in house.plays() if one.watched_at] == [2]
