"""Viewings of which a webhook was lost, late, doubled or told of after another one: each sequence was miscounted once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.test_interpreter import NOW
from tests.test_viewings import DAY, MS, Stories, at, jellyfin
from webhook.domain.event import item_from_json
from webhook.history import edits
from webhook.people import identities

__all__ = ["at"]

TICK = {"SaveReason": "TogglePlayed", "Played": True}
UNTICK = {"SaveReason": "TogglePlayed", "Played": False}
NO_LENGTH = {"RunTimeTicks": 0}


def after(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def test_what_begins_again_before_a_stop_was_heard_begins_at_its_beginning(at: Stories) -> None:
    at.plex("play", 0)
    at.listened("progress", 43.5, 43.5)
    at.plex("scrobble", 44, viewCount=1)
    at.plex("play", 45, viewCount=1)
    at.plex("scrobble", 85, viewCount=2)

    assert at.watched == [44, 85]


def test_a_stop_that_is_said_again_after_the_next_start_ends_nothing(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 38, at=38, PlayedToCompletion=False)
    at.jellyfin("PlaybackStart", 38.1, at=0)
    at.jellyfin("PlaybackStop", 38.3, at=38, PlayedToCompletion=False)
    at.jellyfin("PlaybackStop", 81.1, at=43, PlayedToCompletion=True)

    assert at.watched == [38, 81.1]


def test_a_rewatch_in_two_sittings_counts_where_the_second_start_has_no_position(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("play", 50)
    at.plex("stop", 75)
    at.jellyfin("PlaybackStart", DAY, at=0)
    at.jellyfin("PlaybackStop", DAY + 18, at=43, PlayedToCompletion=True)

    assert at.watched == [40, DAY + 18]


def test_a_tick_with_a_date_is_no_mark_of_what_began_later_elsewhere(at: Stories) -> None:
    at.plex("play", 10)
    at.jellyfin("UserDataSaved", 20, LastPlayedDate=after(3), **TICK)
    at.plex("scrobble", 50, viewCount=1)

    assert sorted(at.watched) == [3, 50]


def test_a_start_that_is_said_again_ends_no_rest(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", DAY, at=43)
    at.jellyfin("PlaybackProgress", DAY + 0.2, at=43.2, IsPaused=True)
    at.jellyfin("PlaybackStart", DAY + 0.3, at=0)
    at.jellyfin("PlaybackProgress", DAY + 30, at=43.2, IsPaused=False)
    at.jellyfin("PlaybackStop", DAY + 32, at=45, PlayedToCompletion=True)

    assert at.watched == [0]


def test_a_second_start_of_a_file_with_two_episodes_ends_neither(at: Stories) -> None:
    file = {"EpisodeNumberEnd": 4}
    at.jellyfin("PlaybackStart", 0, at=0, **file)
    at.jellyfin("PlaybackProgress", 0.1, at=43, IsPaused=True, **file)
    at.jellyfin("PlaybackStart", 0.2, at=0, **file)
    at.jellyfin("PlaybackProgress", 30, at=43, IsPaused=False, **file)
    at.jellyfin("PlaybackStop", 32, at=45, PlayedToCompletion=True, **file)

    assert at.watched == [32, 32]


def test_a_record_from_before_a_stop_whose_start_was_lost_is_of_that_viewing(at: Stories) -> None:
    at.listened("start", 0, 0)
    at.listened("stop", 44, 44)
    at.listened("watched", 44.1, None)
    at.listened("stop", 2 * DAY, 45)
    at.listened("watched", 2 * DAY - 2.75, None)

    assert at.watched == [44, 2 * DAY]


def test_what_is_watched_again_at_once_counts_where_only_its_first_end_was_heard(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 40, at=43, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 40.3, at=0)
    at.jellyfin("UserDataSaved", 84, **TICK)

    assert at.watched == [40, 84]


def test_what_rested_past_the_mark_counts_when_it_is_started_anew(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("pause", 40, viewOffset=40 * 60_000)
    at.plex("play", 400)
    at.plex("scrobble", 440, viewCount=1)

    assert at.watched == [40, 440]
    assert at.deliveries("tvtime") == [("watched", True), ("watched", True)]


def test_what_rested_past_the_mark_and_is_carried_on_counts_once(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("pause", 40, viewOffset=40 * 60_000)
    at.plex("play", 400)
    at.plex("scrobble", 402, viewCount=1)

    assert at.watched == [40]


def test_a_look_at_the_end_tells_how_long_a_short_video_runs(at: Stories) -> None:
    at.jellyfin("UserDataSaved", 0, **TICK, **NO_LENGTH)
    at.jellyfin("PlaybackStart", DAY, at=0, **NO_LENGTH)
    at.jellyfin("PlaybackStop", DAY + 0.4, at=4, PlayedToCompletion=True, **NO_LENGTH)
    at.plex("play", 20 * DAY, duration=None)
    at.plex("scrobble", 20 * DAY + 3.5, duration=None, viewCount=1)

    assert at.watched == [0, 20 * DAY + 3.5]


def test_the_end_of_a_look_that_is_said_again_after_the_next_start_is_no_viewing(at: Stories) -> None:
    at.listened("watched", 0, None)
    at.listened("start", DAY, 0)
    at.listened("pause", DAY + 0.1, 43)
    at.listened("resume", DAY + 30, 43)
    at.listened("stop", DAY + 32, 45)
    at.listened("start", DAY + 32.2, 0)
    at.listened("stop", DAY + 32.01, 45)

    assert at.watched == [0]


def test_a_viewing_of_which_only_the_end_was_heard_is_no_measure_for_the_next(at: Stories) -> None:
    short: dict[str, Any] = {"duration": None}
    at.plex("play", 0, **short)
    at.plex("scrobble", 4.5, viewCount=1, **short)
    at.plex("stop", 4.7, **short)
    at.plex("scrobble", 300, viewCount=2, **short)
    at.plex("stop", 300.2, **short)
    at.plex("play", 48 * DAY, **short)
    at.plex("scrobble", 48 * DAY + 4.5, viewCount=3, **short)

    assert at.watched == [4.5, 300, 48 * DAY + 4.5]


def test_what_begins_on_another_player_before_the_first_has_ended_counts_beside_it(at: Stories) -> None:
    at.listened("start", 0, 0, on="tablet")
    at.listened("start", 45, 0, on="tv")
    at.listened("progress", 45.2, 44.9, on="tablet")
    at.listened("watched", 45.1, None, on="tablet")
    at.listened("progress", 50, 5, on="tv")
    at.listened("stop", 88, 43, on="tv")

    assert at.watched == [45.1, 88]


def test_what_is_carried_on_where_it_was_left_is_one_viewing_weeks_later(at: Stories) -> None:
    at.listened("start", 0, 0)
    at.listened("stop", 44, 44)
    at.listened("watched", 44.1, None)
    at.listened("start", 9 * DAY, 0)
    at.listened("stop", 9 * DAY + 27, 27)
    at.listened("start", 30 * DAY, 26.9)
    at.listened("stop", 30 * DAY + 18, 45)
    at.listened("watched", 30 * DAY + 18, None)

    assert at.watched == [44, 30 * DAY + 18]


def test_what_is_played_in_its_first_half_counts_where_stop_and_start_were_lost(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, **NO_LENGTH)
    at.jellyfin("PlaybackProgress", 40, at=40, IsPaused=False, **NO_LENGTH)
    at.jellyfin("UserDataSaved", 44, SaveReason="PlaybackFinished", Played=True, **NO_LENGTH)
    at.jellyfin("PlaybackProgress", 10 * DAY, at=1, IsPaused=False, **NO_LENGTH)
    at.jellyfin("PlaybackProgress", 10 * DAY + 20, at=21, IsPaused=False, **NO_LENGTH)
    at.jellyfin("PlaybackStop", 10 * DAY + 43, at=44, PlayedToCompletion=True, **NO_LENGTH)

    assert at.watched == [44, 10 * DAY + 43]


def test_a_record_of_the_end_that_is_read_after_the_next_start_leaves_it_begun(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("play", 45)
    at.listened("watched", 40, None, by="count", viewCount=1)
    at.plex("scrobble", 85, viewCount=2)

    assert at.watched == [40, 85]


def test_what_is_carried_on_weeks_later_is_one_viewing_though_its_start_says_nothing(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=45, PlayedToCompletion=True)
    at.listened("start", DAY, 0)
    at.listened("stop", DAY + 27, 27)
    at.plex("play", 30 * DAY)
    at.listened("start", 30 * DAY + 0.1, 26.9)
    at.listened("stop", 30 * DAY + 18, 45)
    at.listened("watched", 30 * DAY + 18, None)

    assert at.watched == [0, 30 * DAY + 18]


def test_what_is_begun_anew_weeks_later_takes_nothing_from_what_was_left(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 0, at=45, PlayedToCompletion=True)
    at.listened("start", DAY, 0)
    at.listened("stop", DAY + 27, 27)
    at.plex("play", 30 * DAY)
    at.listened("start", 30 * DAY + 0.1, 43)
    at.listened("stop", 30 * DAY + 2, 45)
    at.listened("watched", 30 * DAY + 2, None)

    assert at.watched == [0]


def test_what_was_heard_past_the_mark_counts_by_then_when_its_end_is_looked_at_elsewhere(at: Stories) -> None:
    at.listened("start", 0, 0, on="phone")
    at.listened("progress", 41, 41, on="phone")
    at.listened("start", 45, 42, on="tv")
    at.listened("pause", 45.1, 42.1, on="tv")
    at.listened("resume", 75, 42.1, on="tv")
    at.listened("stop", 78, 45, on="tv")

    assert at.watched == [41]


def test_what_a_script_dates_ahead_hides_no_viewing_that_follows(at: Stories) -> None:
    said = {"number": 3, "duration": 2700, "ids": {"tvdb": 8803}}
    at.generic(0, action="start", at=after(120), position=0, **said)
    at.generic(45, action="stop", at=after(165), position=2700, **said)
    at.plex("play", 60)
    at.plex("scrobble", 100, viewCount=1)
    at.plex("stop", 105)

    assert at.watched == [45, 100]


SONG = {
    "ItemType": "Audio", "Name": "Low Tide", "Artist": "The Moorings", "SeriesName": None, "SeriesId": None,
    "SeasonNumber": None, "EpisodeNumber": None, "RunTimeTicks": 3 * 600_000_000,
}  # fmt: skip


@pytest.mark.parametrize("sender", ["jellyfin", "generic"])
def test_what_ends_at_its_very_end_each_day_counts_each_day(at: Stories, sender: str) -> None:
    for day in (0, DAY, 2 * DAY):
        if sender == "jellyfin":
            at.jellyfin("PlaybackStop", day + 45, at=45, PlayedToCompletion=True)
        else:
            at.generic(day + 45, action="stop", position=2700, duration=2700, completed=True, ids={"tvdb": 5})

    assert at.watched == [45, DAY + 45, 2 * DAY + 45]


def test_a_song_of_which_only_stops_are_sent_is_heard_each_time(at: Stories) -> None:
    for minutes in (3, 63, 123):
        at.jellyfin("PlaybackStop", minutes, at=3, PlayedToCompletion=True, **SONG)

    assert at.watched == [3, 63, 123]


def test_the_position_of_a_stop_that_comes_behind_its_tick_is_a_measure(at: Stories) -> None:
    film = {"ItemType": "Movie", "Name": "Ten Minutes", "Year": 2001, "SeriesName": None, "SeriesId": None,
            "SeasonNumber": None, "EpisodeNumber": None, "Provider_tmdb": "7", **NO_LENGTH}  # fmt: skip
    again = {"kind": "movie", "title": "Ten Minutes", "year": 2001, "show": None, "season": None, "number": None,
             "ids": {"tmdb": 7}}  # fmt: skip
    at.jellyfin("UserDataSaved", 9.82, UtcTimestamp=after(9.82), **TICK, **film)
    at.jellyfin("PlaybackStop", 9.9, at=9.81, UtcTimestamp=after(9.81), PlayedToCompletion=True, **film)
    at.generic(DAY, action="start", **again)
    at.generic(DAY + 9, action="watched", **again)

    assert at.watched == [9.82, DAY + 9]


# --- after a play was removed


def remove(at: Stories, play_id: int) -> None:
    at.database.do(lambda connection: edits.remove_play(connection, play_id, {}, "me", NOW))


def test_what_was_begun_by_mistake_and_removed_counts_when_it_is_watched(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("stop", 1, viewOffset=MS)
    remove(at, 1)
    for count, day in enumerate((DAY, 10 * DAY), 1):
        at.plex("play", day)
        at.plex("scrobble", day + 40, viewCount=count)
        at.plex("stop", day + 45)

    assert at.watched == [DAY + 40, 10 * DAY + 40]


def test_what_was_begun_and_removed_counts_when_it_is_ticked(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 20, at=20, PlayedToCompletion=False)
    remove(at, 1)
    at.jellyfin("UserDataSaved", 3 * DAY, **TICK)

    assert at.watched == [3 * DAY]


def test_what_was_removed_while_it_plays_does_not_come_back_with_its_end(at: Stories) -> None:
    at.plex("play", 0)
    remove(at, 1)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    assert at.watched == []

    at.plex("play", 3 * DAY)
    at.plex("scrobble", 3 * DAY + 40, viewCount=2)

    assert at.watched == [3 * DAY + 40]


# --- told of after a later viewing


def claim(at: Stories, wanted: str) -> None:
    at.database.do(lambda connection: identities.claim_identities(connection, "me", wanted, NOW))
    at.interpret()


@pytest.mark.parametrize("later", [45.2, 10 * DAY])
def test_what_waited_for_its_claim_counts_beside_what_was_watched_since(at: Stories, later: float) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, NotificationUsername="tv")
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True, NotificationUsername="tv")
    at.plex("play", later)
    at.plex("scrobble", later + 40, viewCount=1)
    at.plex("stop", later + 45)
    claim(at, "jellyfin:tv")

    assert sorted(at.watched) == [45, later + 40]


def test_two_viewings_of_a_script_that_come_in_the_wrong_order_are_two(at: Stories) -> None:
    at.generic(900, action="watched", at=after(600), duration=2700, ids={"tvdb": 5})
    at.generic(901, action="watched", at=after(100), duration=2700, ids={"tvdb": 5})

    assert sorted(at.watched) == [100, 600]


# --- taken back


def test_a_mark_taken_back_before_a_viewing_leaves_the_viewing(at: Stories) -> None:
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", 60, at=0)
    at.jellyfin("PlaybackStop", 105, at=44, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", 120, UtcTimestamp=after(50), **UNTICK)

    assert at.watched == [105]


def test_an_untick_that_is_read_again_takes_nothing_back_that_was_watched_since(at: Stories) -> None:
    untick = at.post("jellyfin", jellyfin("UserDataSaved", **UNTICK), 10)["id"]
    at.jellyfin("PlaybackStart", 60, at=0)
    at.jellyfin("PlaybackStop", 105, at=45, PlayedToCompletion=True)
    at.replay(untick)

    assert at.watched == [105]


@pytest.mark.parametrize("reason", ["TogglePlayed", "UpdateUserData"])
def test_a_tick_with_its_old_date_counts_after_the_mark_was_taken_back(at: Stories, reason: str) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    at.jellyfin("UserDataSaved", DAY, **UNTICK)
    for hours in (1, 2):
        at.jellyfin(
            "UserDataSaved", DAY + 60 * hours, SaveReason=reason, Played=True, LastPlayedDate=after(45)
        )

    assert at.watched == [45]


# --- what is said of a viewing that a person changed


def correct(at: Stories, play_id: int = 1) -> None:
    def run(connection: Connection) -> None:
        item = item_from_json(edits.get_row(connection, play_id).item)
        named = edits.correct_item(item, {"show": "Another", "show_ids": {"tvdb": 99}})
        edits.correct_play(connection, play_id, named, {}, "me", NOW)

    at.database.do(run)


def redate(at: Stories, minutes: float) -> None:
    wanted = NOW + timedelta(minutes=minutes)
    at.database.do(
        lambda connection: edits.redate_play(connection, 1, wanted, {}, "me", NOW + timedelta(hours=1))
    )


def shows(at: Stories) -> list[tuple[str, bool]]:
    """The shows of the plays, and whether they were watched."""
    return [(one.item["show"], one.watched_at is not None) for one in at.plays()]


def test_what_is_corrected_while_it_plays_is_what_is_watched(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    correct(at)
    at.jellyfin("PlaybackProgress", 20, at=20)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)

    assert shows(at) == [("Another", True)]
    assert at.watched == [45]


def test_what_plays_on_the_day_after_it_was_corrected_is_of_that_viewing(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("stop", 20, viewOffset=20 * MS)
    correct(at)
    at.plex("play", DAY, viewOffset=20 * MS)
    at.plex("scrobble", DAY + 20, viewCount=1)
    at.plex("stop", DAY + 25)

    assert shows(at) == [("Another", True)]


def test_a_stop_that_is_said_again_after_a_correction_is_no_viewing(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    correct(at)
    at.jellyfin("PlaybackStop", 47, at=45, PlayedToCompletion=True)

    assert at.watched == [45]


def test_the_next_viewing_after_a_correction_is_of_what_the_server_says(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    correct(at)
    at.jellyfin("PlaybackStart", 60, at=0)
    at.jellyfin("PlaybackStop", 105, at=45, PlayedToCompletion=True)
    correct(at, 2)
    at.jellyfin("PlaybackStop", 107, at=45, PlayedToCompletion=True)
    at.jellyfin("PlaybackStart", DAY, at=0)

    assert at.watched == [45, 105]
    assert shows(at) == [("Another", True), ("Another", True), ("Tidewater", False)]


def test_what_is_said_again_after_another_date_was_given_is_no_viewing(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, PlayedToCompletion=True)
    redate(at, -2 * DAY)
    at.jellyfin("PlaybackStop", 460, PlayedToCompletion=True, UtcTimestamp=after(45))

    assert at.watched == [-2 * DAY]


@pytest.mark.parametrize("position", [0, None])
@pytest.mark.parametrize("date", [-2 * DAY, -15, 50])
def test_what_is_played_again_after_another_date_was_given_counts(
    at: Stories, date: float, position: float | None
) -> None:
    at.jellyfin("PlaybackStart", 0, at=0)
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True)
    redate(at, date)
    at.jellyfin("PlaybackStart", 70, at=position)
    at.jellyfin("PlaybackStop", 115, at=45, PlayedToCompletion=True)

    assert at.watched == [date, 115]
