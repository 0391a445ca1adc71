"""The rows of docs/plays.md: which item it is, whether it is the same viewing, and when it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from tests.prepared import prepare
from tests.test_interpreter import NOW, House, plex
from webhook.clock import stamp
from webhook.domain.event import Action, Episode, Event, Ids
from webhook.people import identities
from webhook.queues import inbox
from webhook.storage.db import Database
from webhook.storage.tables import account, delivery, play

EPISODE = 45.0
"""How many minutes the episode of these stories runs."""

DAY = 24 * 60.0
MS = 60_000
TICKS = 600_000_000


class Stories(House):
    """A household to which a story is posted, and what is left of it."""

    def plex(self, event: str, minutes: float, **more: Any) -> None:
        metadata = {"duration": int(EPISODE * MS), **more}
        number = metadata.pop("number", 3)
        given = {name: value for name, value in metadata.items() if value is not None}
        self.post("plex", plex(f"media.{event}", number=number, **given), minutes)

    def listened(
        self,
        action: str,
        minutes: float,
        position: float | None,
        *,
        on: str = "living-room",
        by: str = "alert",
        **more: Any,
    ) -> None:
        """What the Plex server of these stories says itself; `position` in minutes."""
        sent = plex("media.play")
        at = NOW + timedelta(minutes=minutes)
        told: dict[str, Any] = {"action": action, "at": at.isoformat(), "by": by}
        if position is not None:
            told["position_ms"] = int(position * MS)
        player = {"machineIdentifier": on, "title": "Living Room"}
        item = {**sent["Metadata"], "duration": int(EPISODE * MS), **more}
        body = {
            "listened": told,
            "user": sent["Account"],
            "player": player,
            "server": sent["Server"],
            "item": item,
        }
        self.post("plex", body, minutes + 0.001)

    def jellyfin(self, event: str, minutes: float, **more: Any) -> None:
        self.post("jellyfin", jellyfin(event, **more), minutes)

    def generic(self, minutes: float, **said: Any) -> dict[str, Any]:
        said = {"kind": "episode", "show": "Tidewater", "season": 1, "number": 1, "user": "anna", **said}
        return self.post(
            "generic", {name: value for name, value in said.items() if value is not None}, minutes
        )

    def caught_up(self, minutes: float, key: str = "1") -> None:
        """The server's own record of the viewing that ended then, which its webhooks or alerts missed."""
        sent = plex("media.scrobble")
        over = NOW + timedelta(minutes=minutes)
        item = Episode(show="Tidewater", title="Part 3", season=1, number=3, ids=Ids(tvdb=8803))
        ended = Event(
            action=Action.WATCHED, item=item, at=over, user="anna", user_id="1", server=sent["Server"]["uuid"],
            item_key=sent["Metadata"]["ratingKey"], duration_ms=int(EPISODE * MS), recorded=True, record=f"plex:{key}",
        )  # fmt: skip
        kept = inbox.event_webhook("plex", ended, over, inbox.CATCH_UP)
        self.database.do(lambda connection: inbox.store_webhooks(connection, [kept]))
        self.interpret()

    def sweep(self, minutes: float) -> None:
        at = NOW + timedelta(minutes=minutes)
        self.database.do(lambda connection: self.interpreter.sweep(connection, [at]))

    @property
    def watched(self) -> list[float]:
        """When the viewings that count were, in minutes of the story."""
        counted = [one for one in self.plays() if one.watched_at and not one.unwatched_at]
        return [(one.watched_at - NOW) / timedelta(minutes=1) for one in counted]

    @property
    def open(self) -> list[str]:
        return [one.item["title"] for one in self.plays() if one.state != "stopped"]


def jellyfin(event: str, **more: Any) -> dict[str, Any]:
    """A webhook of Jellyfin's plugin; `at` is the position in minutes."""
    at = more.pop("at", None)
    position = {} if at is None else {"PlaybackPositionTicks": int(at * TICKS)}
    return {
        "NotificationType": event,
        "NotificationUsername": "anna",
        "ServerId": "b" * 32,
        "ItemId": "c" * 32,
        "ItemType": "Episode",
        "Name": "Part 3",
        "SeriesName": "Tidewater",
        "SeriesId": "d" * 32,
        "SeasonNumber": 1,
        "EpisodeNumber": 3,
        "RunTimeTicks": int(EPISODE * TICKS),
        "DeviceId": "tv",
        "DeviceName": "TV",
        **position,
        **more,
    }


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Stories]:
    prepare(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/watchmark.db", synchronous="OFF")
    stories = Stories(database)
    for source in ("plex", "jellyfin", "generic"):
        database.do(
            lambda connection, user=f"{source}:anna": identities.claim_identities(connection, "me", user, NOW)  # type: ignore[misc]
        )
    yield stories
    database.close()


# --- which item is it


def test_another_id_is_another_item_whatever_else_is_the_same(at: Stories) -> None:
    at.generic(0, action="watched", ids={"tvdb": 1}, show_ids={"tvdb": 9})
    at.generic(1, action="watched", ids={"tvdb": 2}, show_ids={"tvdb": 9})

    assert len(at.watched) == 2


@pytest.mark.parametrize(
    "difference", [{"ItemId": "e" * 32, "SeriesId": None}, {"ItemId": "e" * 32, "SeriesId": "f" * 32}]
)
def test_two_items_that_their_server_calls_differently_are_two(
    at: Stories, difference: dict[str, Any]
) -> None:
    at.jellyfin("PlaybackStop", 0, PlayedToCompletion=True, Provider_imdb="tt0000001", Year=2016)
    at.jellyfin("PlaybackStop", 10, PlayedToCompletion=True, Name="Another", Provider_tvdb="77", **difference)

    first, second = (one.item for one in at.plays())
    assert len(at.watched) == 2
    assert (first["title"], first["ids"]) == ("Part 3", {"imdb": "tt0000001"})
    assert (second["title"], second["ids"]) == ("Another", {"tvdb": 77})


def test_years_that_cannot_both_be_right_tell_two_shows_of_one_name_apart(at: Stories) -> None:
    at.generic(0, action="watched", year=2004)
    at.generic(1, action="watched", year=2023)

    assert len(at.watched) == 2


def test_the_year_of_a_late_episode_may_be_its_shows(at: Stories) -> None:
    at.generic(0, action="start", season=9, year=2004, title="The End")
    at.generic(1, action="stop", season=9, year=2013, title="The End", completed=True)

    assert len(at.plays()) == 1


def test_one_title_at_two_senders_is_one_item_while_it_plays(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40)
    at.generic(41, action="watched", show="Tidewater", season=1, number=3, server="another")

    assert len(at.watched) == 1


def test_nothing_but_a_title_at_another_sender_days_later_is_another_play(at: Stories) -> None:
    at.generic(0, action="start", duration=2700)
    at.generic(3 * DAY, action="watched", server="another", player="there")

    assert [one.watched_at is not None for one in at.plays()] == [False, True]


def test_an_item_without_its_servers_name_has_its_own_key_where_it_came_in(at: Stories) -> None:
    said = {"ItemType": "Episode", "ItemId": "7" * 32, "SeriesName": "Tidewater", "EpisodeNumber": "1"}
    for minutes, more in ((0, {"NotificationType": "PlaybackStart"}), (44, {"NotificationType": "PlaybackStop"}),
                          (44, {"NotificationType": "UserDataSaved", "SaveReason": "PlaybackFinished",
                                "Played": "True"})):  # fmt: skip
        at.post(
            "jellyfin",
            {**said, "NotificationUsername": "anna", "PlayedToCompletion": "True", **more},
            minutes,
        )

    assert len(at.watched) == len(at.plays()) == 1


def test_what_has_neither_id_nor_key_nor_numbers_is_still_one_play(at: Stories) -> None:
    for minutes, action in ((0, "start"), (40, "watched"), (41, "stop")):
        at.post("generic", {"action": action, "kind": "movie", "title": "Home", "user": "anna"}, minutes)

    assert len(at.watched) == len(at.plays()) == 1


def test_a_guid_with_season_and_episode_goes_before_an_index_that_contradicts_it(at: Stories) -> None:
    guid = "com.plexapp.agents.thetvdb://9900008/3/9?lang=en"
    at.plex("scrobble", 0, guid=guid, Guid=None, parentIndex=2, index=4)

    (one,) = at.plays()
    assert (one.item["season"], one.item["number"]) == (3, 9)


# --- is it the same viewing


@pytest.mark.parametrize("end", ["stop", "another", "silence"])
def test_a_position_over_the_mark_counts_the_same_however_it_ends(at: Stories, end: str) -> None:
    at.plex("play", 0)
    at.plex("pause", 38, viewOffset=int(0.85 * EPISODE * MS))
    match end:
        case "stop":
            at.plex("stop", 39)
        case "another":
            at.plex("play", 39, number=4)
        case "silence":
            at.sweep(2 * DAY)

    assert [round(minute) in (38, 39) for minute in at.watched] == [True]


def test_what_only_the_clock_says_makes_no_mark(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("stop", 44)

    assert at.watched == []


@pytest.mark.parametrize("start", [True, False])
def test_the_rest_of_what_we_marked_first_is_the_same_viewing(at: Stories, start: bool) -> None:
    at.plex("play", 0)
    at.plex("pause", 38, viewOffset=int(0.85 * EPISODE * MS))
    at.plex("stop", 39)
    if start:
        at.plex("play", DAY)
    at.plex("scrobble", DAY + 3, viewCount=1)
    at.plex("stop", DAY + 6)

    assert len(at.watched) == 1
    assert at.open == []


def test_an_account_whose_own_mark_is_higher_hears_of_the_rest(at: Stories) -> None:
    at.rules("trakt", watched_mark=90)
    at.plex("play", 0)
    at.plex("pause", 38, viewOffset=int(0.85 * EPISODE * MS))
    at.plex("stop", 39)
    at.plex("play", DAY)
    at.plex("scrobble", DAY + 3, viewCount=1)

    assert at.deliveries("trakt").count(("stop", True)) == 1
    assert at.deliveries("tvtime").count(("watched", True)) == 1


@pytest.mark.parametrize("stopped", [True, False])
def test_a_look_at_the_end_makes_no_second_mark_at_an_account_with_a_lower_one(
    at: Stories, stopped: bool
) -> None:
    at.rules("tvtime", watched_mark=50)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", DAY, at=0)
    at.jellyfin("PlaybackProgress", DAY + 0.5, at=24)
    if stopped:
        at.jellyfin("PlaybackStop", DAY + 1.5, at=25, PlayedToCompletion=False)
    at.sweep(DAY + 200)

    assert at.watched == [45]
    assert at.deliveries("tvtime") == [("watched", True)]


def test_half_of_a_rewatch_makes_the_mark_of_an_account_with_a_lower_one(at: Stories) -> None:
    at.rules("tvtime", watched_mark=50)
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", DAY, at=0)
    at.jellyfin("PlaybackStop", DAY + 25, at=25, PlayedToCompletion=False)

    assert at.deliveries("tvtime") == [("watched", True), ("watched", True)]


def test_a_rewatch_is_seen_though_the_stop_was_lost(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("play", 55)
    at.plex("scrobble", 95, viewCount=2)
    at.plex("stop", 99)

    assert at.watched == [40, 95]
    assert at.plays()[1].started_at == NOW + timedelta(minutes=55)
    assert at.open == []


def test_a_rewatch_from_the_beginning_plays_at_once_though_the_stop_was_lost(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 44, SaveReason="PlaybackFinished", Played=True)
    at.jellyfin("PlaybackStart", 60, at=0)

    assert [one.state for one in at.plays()] == ["stopped", "playing"]


def test_a_second_finish_a_runtime_later_is_a_rewatch(at: Stories) -> None:
    for minutes in (0, 0.1, 44, 44.2):
        at.jellyfin("UserDataSaved", minutes, SaveReason="PlaybackFinished", Played=True)

    assert at.watched == [0, 44]


@pytest.mark.parametrize(("begin", "count"), [(0.3, 2), (30, 1)])
@pytest.mark.parametrize("runtime", [None, int(EPISODE * TICKS)])
def test_a_rewatch_at_once_is_seen_though_its_start_was_lost(
    at: Stories, runtime: int | None, begin: float, count: int
) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, RunTimeTicks=runtime)
    at.jellyfin("PlaybackStop", 44, at=44, PlayedToCompletion=True, RunTimeTicks=runtime)
    for minutes in range(int(begin), 44, 10):
        position = max(minutes, begin)
        at.jellyfin("PlaybackProgress", 44.2 + position - begin, at=position, RunTimeTicks=runtime)
    at.jellyfin("PlaybackStop", 88.2 - begin, at=44.3, PlayedToCompletion=True, RunTimeTicks=runtime)

    assert len(at.watched) == count


@pytest.mark.parametrize("position", [0, 43.9])
def test_a_progress_that_comes_late_or_was_reset_begins_nothing(at: Stories, position: float) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackProgress", 42, at=42)
    at.jellyfin("PlaybackStop", 44, at=44, PlayedToCompletion=True)
    at.jellyfin("PlaybackProgress", 44.1, at=position)

    assert len(at.plays()) == 1


def test_a_stop_that_is_repeated_for_a_session_that_rests_is_none(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    for minutes in (44, 90, 180):
        at.jellyfin("PlaybackStop", minutes, at=44.5, PlayedToCompletion=True)

    assert at.watched == [44]


def test_what_plays_on_after_a_mark_that_came_too_soon_counts_once_enough_was_played(at: Stories) -> None:
    """A sender may mark at 85 % what was begun again shortly before its half."""
    at.listened("start", 0, 0.0)
    at.listened("stop", 44, 44.0)
    at.listened("start", DAY, 19.0)
    at.listened("watched", DAY + 19.5, 38.5)
    assert at.watched == [44.0]

    at.plex("scrobble", DAY + 21.5, viewCount=2)
    at.listened("stop", DAY + 26, 45.0)

    assert at.watched == [44.0, DAY + 21.5]


@pytest.mark.parametrize("later", [3, 30, 3 * 60, 6 * 60, 3 * DAY, 30 * DAY])
@pytest.mark.parametrize("times", [1, 3])
def test_the_end_looked_at_again_is_no_viewing(at: Stories, later: float, times: int) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    for again in range(times):
        begin = 45 + later * (again + 1)
        at.plex("play", begin)
        at.plex("scrobble", begin + 0.5, viewCount=2 + again)
        at.plex("stop", begin + 1)

    assert at.watched == [40]
    assert at.open == []
    assert at.deliveries("tvtime") == [("watched", True)]


@pytest.mark.parametrize("later", [3, 3 * 60, 6 * 60, 3 * DAY])
def test_a_whole_viewing_after_a_look_at_the_end_counts(at: Stories, later: float) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("play", 50)
    at.plex("scrobble", 50.5, viewCount=2)
    at.plex("stop", 51)
    at.plex("play", 51 + later)
    at.plex("scrobble", 51 + later + 40, viewCount=3)
    at.plex("stop", 51 + later + 45)

    assert at.watched == [40, 51 + later + 40]


def test_what_plays_after_a_look_at_the_end_goes_on_for_its_runtime(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", DAY, at=0)
    at.jellyfin("PlaybackStop", DAY + 2, at=45, PlayedToCompletion=True)
    at.plex("play", DAY + 60)
    at.sweep(DAY + 75)

    assert at.open == ["Part 3"]


def test_a_rewatch_in_two_sittings_counts_once(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("play", 60)
    at.plex("stop", 80)
    at.plex("play", 120)
    at.plex("scrobble", 141, viewCount=2)

    assert at.watched == [40, 141]


@pytest.mark.parametrize(("played", "count"), [(6.3, 2), (0.5, 1)])
def test_what_has_no_runtime_is_measured_by_the_viewing_before(
    at: Stories, played: float, count: int
) -> None:
    at.plex("play", 0, duration=None)
    at.plex("scrobble", 6.3, duration=None, viewCount=1)
    at.plex("stop", 7, duration=None)
    at.plex("play", 10, duration=None)
    at.plex("scrobble", 10 + played, duration=None, viewCount=2)

    assert len(at.watched) == count


@pytest.mark.parametrize(("played", "count"), [(40, 2), (10, 1)])
def test_else_by_other_episodes_of_the_show(at: Stories, played: float, count: int) -> None:
    at.plex("scrobble", 0, number=7)
    at.plex("scrobble", 100, duration=None, viewCount=1)
    at.plex("stop", 101, duration=None)
    at.plex("play", 110, duration=None)
    at.plex("scrobble", 110 + played, duration=None, viewCount=2)

    assert len([minute for minute in at.watched if minute]) == count


@pytest.mark.parametrize(("played", "count"), [(9, 2), (1, 1)])
def test_else_by_how_far_the_one_before_was_at_its_end(at: Stories, played: float, count: int) -> None:
    film = {"ItemType": "Movie", "SeriesName": None, "SeriesId": None, "RunTimeTicks": None}
    at.jellyfin("PlaybackStop", 0, at=9.8, PlayedToCompletion=True, **film)
    at.jellyfin("PlaybackStart", DAY, **film)
    at.jellyfin("UserDataSaved", DAY + played, SaveReason="PlaybackFinished", Played=True, **film)

    assert len(at.watched) == count


def test_a_resume_that_was_lost_takes_nothing_from_a_rewatch(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("play", 60)
    at.plex("pause", 65)
    at.plex("scrobble", 105, viewCount=2)

    assert at.watched == [40, 105]


def test_a_long_rest_of_unknown_end_is_no_measure_for_the_next_viewing(at: Stories) -> None:
    at.plex("play", 0, duration=None)
    at.plex("pause", 6, duration=None)
    at.plex("scrobble", 306, duration=None, viewCount=1)
    at.plex("stop", 307, duration=None)
    at.plex("play", 500, duration=None)
    at.plex("scrobble", 506.3, duration=None, viewCount=2)
    at.plex("stop", 507, duration=None)
    at.plex("play", 900, duration=None)
    at.plex("scrobble", 901, duration=None, viewCount=3)

    assert at.watched == [306, 506.3]


def test_the_same_count_again_is_the_same_mark(at: Stories) -> None:
    at.plex("scrobble", 0, viewCount=4)
    at.plex("scrobble", 3 * DAY, viewCount=4, lastViewedAt=None)

    assert at.watched == [0]


def test_a_count_that_began_anew_speaks_against_nothing(at: Stories) -> None:
    at.plex("scrobble", 0, viewCount=4)
    at.plex("scrobble", 3 * DAY, viewCount=1, lastViewedAt=None)

    assert at.watched == [0, 3 * DAY]


def test_a_track_on_repeat_is_heard_each_time(at: Stories) -> None:
    song = {
        "ItemType": "Audio", "ItemId": "9" * 32, "Name": "Low Tide", "Artist": "The Moorings",
        "RunTimeTicks": 4 * TICKS, "SeriesName": None, "SeriesId": None,
    }  # fmt: skip
    for minutes in (0, 4, 8):
        at.jellyfin("PlaybackStart", minutes, at=0, **song)
    at.jellyfin("PlaybackStop", 9, at=1, PlayedToCompletion=False, **song)

    assert at.watched == [4, 8]
    assert at.open == []


def test_a_track_that_is_skipped_back_to_is_not(at: Stories) -> None:
    song: dict[str, Any] = {
        "ItemType": "Audio",
        "ItemId": "9" * 32,
        "Name": "Low Tide",
        "Artist": "The Moorings",
    }
    song |= {"RunTimeTicks": 4 * TICKS}
    for minutes in (0, 1, 2):
        at.jellyfin("PlaybackStart", minutes, at=0, **song)

    assert at.watched == []


LONG_MIX: dict[str, Any] = {
    "ItemType": "Audio", "ItemId": "8" * 32, "Name": "Night Tide", "Artist": "The Moorings", "RunTimeTicks": 60 * TICKS,
    "SeriesName": None, "SeriesId": None,
}  # fmt: skip


@pytest.mark.parametrize("gap", [60, 20 * DAY], ids=["an hour later", "weeks later"])
def test_a_long_track_that_is_carried_on_is_one_listen(at: Stories, gap: float) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, **LONG_MIX)
    at.jellyfin("PlaybackStop", 10, at=10, PlayedToCompletion=False, **LONG_MIX)
    at.jellyfin("PlaybackStart", gap, at=10, **LONG_MIX)
    at.jellyfin("PlaybackProgress", gap + 1, at=11, **LONG_MIX)
    at.jellyfin("PlaybackStop", gap + 50, at=60, PlayedToCompletion=True, **LONG_MIX)

    assert at.watched == [10]
    assert at.open == []


def test_a_long_track_that_begins_anew_is_another_listen(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, **LONG_MIX)
    at.jellyfin("PlaybackStop", 10, at=10, PlayedToCompletion=False, **LONG_MIX)
    at.jellyfin("PlaybackStart", 60, at=10, **LONG_MIX)
    at.jellyfin("PlaybackStop", 110, at=60, PlayedToCompletion=True, **LONG_MIX)
    at.jellyfin("PlaybackStart", 120, at=0, **LONG_MIX)
    at.jellyfin("PlaybackStop", 180, at=60, PlayedToCompletion=True, **LONG_MIX)

    assert at.watched == [10, 180]


def test_what_is_cast_goes_on_when_the_phone_stops(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, DeviceId="phone")
    at.jellyfin("PlaybackStart", 5, at=5, DeviceId="tv")
    at.jellyfin("PlaybackStop", 5.1, at=5, DeviceId="phone", PlayedToCompletion=False)

    assert at.open == ["Part 3"]
    assert ("stop", False) not in at.deliveries("trakt")

    at.jellyfin("PlaybackStop", 45, at=44.9, DeviceId="tv", PlayedToCompletion=True)
    assert (at.watched, at.open) == ([45], [])


def test_a_second_stop_of_another_player_takes_nothing_from_what_was_started_again(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, DeviceId="phone")
    at.jellyfin("PlaybackStop", 45, at=44.9, DeviceId="phone", PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 48, at=0, DeviceId="tv")
    at.jellyfin("PlaybackStop", 48.1, at=44.9, DeviceId="phone", PlayedToCompletion=True)

    at.jellyfin("PlaybackStop", 93, at=44.8, DeviceId="tv", PlayedToCompletion=True)

    assert at.watched == [45, 93]


def test_one_player_plays_one_thing_whoever_began_it(at: Stories) -> None:
    at.person("ben", "plex:ben")
    at.plex("play", 0)

    at.post("plex", plex("media.play", user="ben", number=4), 10)

    assert at.open == ["Part 4"]


def test_several_people_watch_the_same_thing_on_one_player(at: Stories) -> None:
    at.person("ben", "plex:ben")
    at.plex("play", 0)

    at.post("plex", plex("media.play", user="ben", duration=int(EPISODE * MS)), 0.1)

    assert at.open == ["Part 3", "Part 3"]


def test_nothing_is_left_playing_after_a_rewatch(at: Stories) -> None:
    for begin in (0, 50):
        at.plex("play", begin)
        at.plex("scrobble", begin + 40, viewCount=1 + begin // 50)
        at.plex("stop", begin + 45)

    assert (len(at.watched), at.open) == (2, [])


def test_a_tick_of_what_is_watched_already_is_no_viewing(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", 9 * DAY, SaveReason="TogglePlayed", Played=True)

    assert at.watched == [0]


def test_what_was_unticked_can_be_ticked_again(at: Stories) -> None:
    for minutes, played in ((0, True), (1, False), (2, True)):
        at.jellyfin("UserDataSaved", minutes, SaveReason="TogglePlayed", Played=played)

    assert at.watched == [2]


def test_what_comes_late_is_of_the_viewing_before(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("UserDataSaved", 44, SaveReason="PlaybackFinished", Played=True)
    at.jellyfin("PlaybackStart", 60, at=0)
    late = (NOW + timedelta(minutes=45)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    at.jellyfin("PlaybackStop", 60.1, at=44.9, PlayedToCompletion=True, UtcTimestamp=late)

    assert at.watched == [44]
    assert at.open == ["Part 3"]


@pytest.mark.parametrize("begin", ["play", "resume"])
def test_a_scrobble_after_a_rest_that_nobody_told_of_counts(at: Stories, begin: str) -> None:
    at.plex("play", 0, viewOffset=0)
    at.sweep(5 * 60)
    at.plex(begin, 5 * 60)
    at.plex("scrobble", 5 * 60 + 1, viewCount=1)

    assert at.watched == [5 * 60 + 1]


def test_where_the_viewing_before_ended_makes_no_mark_in_the_next(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 44, at=44, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 60)
    at.jellyfin("PlaybackStop", 103)
    at.jellyfin("PlaybackStop", 103.1, at=43, PlayedToCompletion=True)

    assert at.watched == [44, 103.1]


def test_what_is_started_again_goes_on_for_a_whole_runtime(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    at.plex("play", 120, viewCount=1)
    at.sweep(150)
    at.plex("stop", 160)
    at.jellyfin("PlaybackStop", 160.1, at=44, PlayedToCompletion=True)

    assert at.watched == [0, 160.1]


@pytest.mark.parametrize(("ticked", "count"), [(44, 2), (90, 1), (5 * DAY, 1)])
def test_a_tick_after_a_lost_stop_is_the_servers_own_about_the_end(
    at: Stories, ticked: float, count: int
) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 3 * DAY, at=0)
    at.jellyfin("PlaybackStart", 3 * DAY + 43.9, at=0, ItemId="e" * 32, EpisodeNumber=4)
    at.jellyfin("UserDataSaved", 3 * DAY + ticked, SaveReason="TogglePlayed", Played=True)

    assert len(at.watched) == count


@pytest.mark.parametrize("ahead", [0.05, 1.5])
def test_a_mark_from_just_before_the_start_arrived_is_of_what_was_started(at: Stories, ahead: float) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("play", 3 * DAY)
    stamped = int((NOW + timedelta(minutes=3 * DAY - ahead)).timestamp())
    at.plex("scrobble", 3 * DAY + 0.1, viewCount=2, lastViewedAt=stamped)

    assert at.watched == [40]


def test_a_late_stop_of_a_track_on_repeat_is_of_the_listen_before(at: Stories) -> None:
    song = {"ItemType": "Audio", "ItemId": "9" * 32, "Name": "Low Tide", "RunTimeTicks": 4 * TICKS}
    song |= {"Artist": "The Moorings", "SeriesName": None, "SeriesId": None}
    late = (NOW + timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    at.jellyfin("PlaybackStart", 0, at=0, **song)
    at.jellyfin("PlaybackStart", 4.05, at=0, **song)
    at.jellyfin("PlaybackStop", 4.1, at=4, PlayedToCompletion=True, UtcTimestamp=late, **song)
    at.jellyfin("PlaybackStart", 8.1, at=0, **song)

    assert at.watched == [4, 8.05]


def test_a_second_report_stamped_before_the_first_is_the_same_mark(at: Stories) -> None:
    at.jellyfin("UserDataSaved", 0, SaveReason="PlaybackFinished", Played=True)
    early = (NOW + timedelta(minutes=3 * DAY - 0.02)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    at.jellyfin("UserDataSaved", 3 * DAY, SaveReason="PlaybackFinished", Played=True)
    at.jellyfin("PlaybackStop", 3 * DAY + 0.1, at=44, PlayedToCompletion=True, UtcTimestamp=early)

    assert at.watched == [0, 3 * DAY]


# --- one viewing, told by a webhook and by the server itself, which is listened to


@pytest.mark.parametrize("lag", [-0.01, 0.01])
@pytest.mark.parametrize("end", [20.0, 38.0])
def test_of_two_who_tell_one_moment_the_position_of_either_counts(
    at: Stories, lag: float, end: float
) -> None:
    """Trap 25; the statement comes after the webhook and is stamped before or after it."""
    at.plex("play", 0, duration=None)
    at.listened("start", 0.02 + lag, 0)
    at.plex("pause", 5, duration=None)
    at.listened("pause", 5 + lag, 5)
    at.plex("resume", 6, duration=None)
    at.listened("resume", 6 + lag, 5)
    at.plex("stop", 50, duration=None)
    at.listened("stop", 50 + lag, end)

    (play,) = at.plays()
    assert (play.position_ms, play.estimated) == (end * MS, False)
    assert len(at.watched) == (end > 0.8 * EPISODE)


def test_a_word_without_a_position_leaves_the_one_that_was_sent(at: Stories) -> None:
    at.listened("start", 0, 0)
    at.listened("stop", 20, 20)
    at.plex("stop", 20.02)

    (play,) = at.plays()
    assert (play.position_ms, play.estimated) == (20 * MS, False)


def test_a_mark_after_the_stop_leaves_its_position(at: Stories) -> None:
    at.listened("start", 0, 0)
    at.listened("stop", 33, 33)
    at.listened("watched", 31, None)

    (play,) = at.plays()
    assert (play.position_ms, play.estimated) == (33 * MS, False)
    assert at.watched == [31]


def test_a_viewing_that_is_told_both_ways_is_sent_once(at: Stories) -> None:
    """Trap 25."""
    for action, event, minute in (("start", "play", 0), ("pause", "pause", 10), ("resume", "resume", 20)):
        at.listened(action, minute, min(minute, 10))
        at.plex(event, minute + 0.005, viewOffset=min(minute, 10) * MS)
    at.plex("scrobble", 50.5)
    at.listened("stop", 53, 43)
    at.plex("stop", 53.005)
    at.listened("watched", 53.2, None, viewCount=1)

    assert len(at.plays()) == 1
    assert at.watched == [50.5]
    assert at.deliveries("trakt") == [("stop", True)]


# --- what a sender says that cannot be


SONG = {"ItemType": "Audio", "Name": "Low Tide", "Artist": "The Moorings", "RunTimeTicks": 4 * TICKS}


@pytest.mark.parametrize(
    ("item", "begin", "end", "count"),
    [
        (SONG, 0, 0.8, 0),
        (SONG, 0, 2.1, 1),
        ({}, 0, 0.05, 0),
        ({}, 0, 4, 1),
        ({"RunTimeTicks": 4 * TICKS}, 0, 1, 0),
        ({"RunTimeTicks": 4 * TICKS}, 0, 3, 1),
    ],
)
@pytest.mark.parametrize("order", [("stop", "saved"), ("saved", "stop")])
def test_completed_is_the_senders_word_unless_it_cannot_be(
    at: Stories, item: Mapping[str, Any], begin: float, end: float, count: int, order: tuple[str, str]
) -> None:
    at.jellyfin("PlaybackStart", 0, at=begin, **item)
    for what in order:
        if what == "stop":
            at.jellyfin("PlaybackStop", end, at=end, PlayedToCompletion=True, **item)
        else:
            at.jellyfin("UserDataSaved", end, SaveReason="PlaybackFinished", Played=True, **item)

    assert len(at.watched) == count


def test_completed_without_a_position_is_believed(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=0, PlayedToCompletion=True)

    assert at.watched == [0]


def test_a_show_is_never_a_play_and_never_asks_for_a_person(at: Stories) -> None:
    for kind in ("Season", "Series"):
        at.jellyfin(
            "UserDataSaved", 0, SaveReason="TogglePlayed", Played=True, ItemType=kind, EpisodeNumber=None
        )

    assert at.plays() == []
    assert at.deliveries() == []


# --- when was it


def test_a_tick_with_a_date_of_its_own_keeps_it(at: Stories) -> None:
    told = "2024-05-01T19:30:00.0000000Z"
    at.jellyfin("UserDataSaved", 0, SaveReason="TogglePlayed", Played=True, LastPlayedDate=told)

    assert [stamp(one.watched_at) for one in at.plays()] == ["2024-05-01T19:30:00.000Z"]
    told_at = at.database.ask(
        lambda connection: connection.execute(select(delivery.c.happened_at)).scalars().all()
    )
    assert {stamp(one) for one in told_at} == {"2024-05-01T19:30:00.000Z"}


def program(at: Stories, minutes: float, told: float | None = None, **more: Any) -> None:
    """Another program writes what is known of an item; `told` is when it was watched, in minutes."""
    when = None if told is None else stamp(NOW + timedelta(minutes=told))
    at.jellyfin(
        "UserDataSaved",
        minutes,
        SaveReason="UpdateUserData",
        **{"Played": True, "LastPlayedDate": when, **more},
    )


@pytest.mark.parametrize(("told", "dated"), [(0, "exact"), (-400 * DAY, "exact"), (None, "ticked")])
def test_the_mark_of_a_program_is_one_by_hand(at: Stories, told: float | None, dated: str) -> None:
    program(at, 0, told)

    assert at.watched == [told or 0]
    assert [(one.manual, one.dated) for one in at.plays()] == [(True, dated)]


@pytest.mark.parametrize("told", [9 * DAY, 4 * DAY, None])
def test_the_mark_of_a_program_on_what_is_watched_is_none(at: Stories, told: float | None) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    program(at, 9 * DAY, told, Rating=8)

    assert at.watched == [0]


def test_the_mark_of_a_program_brings_back_no_play_that_was_removed(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    removed = update(play).values(removed_at=NOW + timedelta(days=1))
    at.database.do(lambda connection: connection.execute(removed))
    program(at, 9 * DAY, 4 * DAY)

    assert len(at.plays()) == 1


def test_the_mark_of_a_program_on_what_is_being_played_again_ends_nothing(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", DAY, SaveReason="TogglePlayed", Played=False)
    at.jellyfin("PlaybackStart", 2 * DAY, at=0)
    program(at, 2 * DAY + 10, 2 * DAY)

    assert at.open == ["Part 3"]
    at.jellyfin("PlaybackStop", 2 * DAY + 44, at=44, PlayedToCompletion=True)
    assert at.watched == [2 * DAY + 44]


def test_the_mark_of_a_program_after_an_untick_counts(at: Stories) -> None:
    at.jellyfin("UserDataSaved", 0, SaveReason="TogglePlayed", Played=True)
    at.jellyfin("UserDataSaved", DAY, SaveReason="TogglePlayed", Played=False)
    program(at, 2 * DAY, 2 * DAY)

    assert at.watched == [2 * DAY]


@pytest.mark.parametrize("said", [{"Played": False}, {"ItemType": "Series"}, {"ItemType": "Season"}])
def test_what_a_program_writes_beside_a_mark_is_no_viewing(at: Stories, said: dict[str, Any]) -> None:
    program(at, 0, 0, **said)

    assert at.plays() == []


def test_a_tick_of_what_was_left_in_the_middle_is_now(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 20, at=20, PlayedToCompletion=False)
    told = (NOW + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")

    at.jellyfin("UserDataSaved", 2 * DAY, SaveReason="TogglePlayed", Played=True, LastPlayedDate=told)

    assert at.watched == [2 * DAY]


def test_a_senders_clock_that_is_ahead_dates_nothing_in_the_future(at: Stories) -> None:
    ahead = (NOW + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    at.jellyfin("PlaybackStop", 0, at=44, PlayedToCompletion=True, UtcTimestamp=ahead)
    at.plex("scrobble", 0, number=9, lastViewedAt=int((NOW + timedelta(hours=5)).timestamp()))

    assert at.watched == [0, 0]


def test_percent_alone_is_told_as_it_is(at: Stories) -> None:
    at.generic(0, action="start", progress=12.5)
    at.generic(20, action="pause", progress=40)

    found = at.database.ask(trace_details)
    assert found == [("start", 12.5), ("pause", 40.0)]


def trace_details(connection: Connection) -> list[tuple[str, float | None]]:
    mine = select(delivery).join(account, delivery.c.account_id == account.c.id)
    rows = connection.execute(mine.where(account.c.tracker == "trakt").order_by(delivery.c.id))
    return [(row.action, row.details["progress"]) for row in rows]


# --- what a listener says after a kill, and what the server's record said before it


@pytest.mark.parametrize(
    ("action", "position"), [("progress", 18), ("start", 18), ("pause", 18), ("stop", 43)]
)
@pytest.mark.parametrize("ended", [40.0, 5.0])
def test_what_was_heard_before_the_end_and_is_said_after_it_is_of_that_viewing(
    at: Stories, action: str, position: float, ended: float
) -> None:
    """The line breaks, the record is read meanwhile, and then comes how far it was when it was heard last."""
    at.listened("start", 0, 0)
    at.caught_up(ended)
    at.listened(action, ended - 0.2, position)

    assert at.watched == [ended]
    assert [one.state for one in at.plays()] == ["stopped"]


@pytest.mark.parametrize("begun", [True, False])
def test_a_record_that_is_dated_by_the_second_before_what_was_heard_is_of_that_viewing(
    at: Stories, begun: bool
) -> None:
    """The server dates the end by the second, which may lie before the word that was heard last."""
    if begun:
        at.listened("start", 0, 0)
    at.caught_up(40)
    at.listened("progress", 40.01, 18)

    assert at.watched == [40]
    assert [one.state for one in at.plays()] == ["stopped"]


def test_what_plays_on_in_its_first_half_after_the_end_is_another_viewing(at: Stories) -> None:
    at.listened("start", 0, 0)
    at.caught_up(43)
    at.listened("progress", 44, 1)
    at.listened("progress", 46, 3)
    at.listened("stop", 88, 44)

    assert at.watched == [43, 88]
