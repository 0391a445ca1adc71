"""A row of a list that finishes what plays just now: trackers are sent the mark when its end is heard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.test_interpreter import NOW
from tests.test_viewings import DAY, Stories, at
from tests.transfer.test_bringing import seen
from tests.transfer.test_import_undo import PART_3_THERE, bring

__all__ = ["at"]


def finish(at: Stories, minutes: float, source: str = "trakt", **more: Any) -> None:
    bring(at, seen(PART_3_THERE, NOW + timedelta(minutes=minutes), source, key=f"{source}:1", **more))


def test_the_mark_is_sent_to_every_tracker_but_the_one_that_had_it(at: Stories) -> None:
    at.plex("play", 0)
    finish(at, 36)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)

    assert at.watched == [36]
    assert at.deliveries("tvtime") == [("watched", True)]
    assert at.deliveries("trakt", "skipped") == [("stop", True)]


def test_a_stop_at_the_end_is_as_good_as_a_mark(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, Provider_tvdb="8803")
    finish(at, 36, "simkl")
    at.jellyfin("PlaybackStop", 45, at=45, PlayedToCompletion=True, Provider_tvdb="8803")

    assert at.deliveries("tvtime") == [("watched", True)]
    assert ("stop", True) in at.deliveries("trakt")


def test_what_is_left_before_its_end_is_sent_to_nobody(at: Stories) -> None:
    at.jellyfin("PlaybackStart", 0, at=0, Provider_tvdb="8803")
    finish(at, 10)
    at.jellyfin("PlaybackStop", 12, at=12, PlayedToCompletion=False, Provider_tvdb="8803")

    assert at.deliveries("tvtime") == []


def test_a_row_of_what_was_watched_already_changes_nothing(at: Stories) -> None:
    at.plex("play", 0)
    at.plex("scrobble", 40, viewCount=1)
    finish(at, 41)
    at.plex("stop", 45)
    at.plex("play", DAY)
    at.plex("scrobble", DAY + 40, viewCount=2)

    assert at.watched == [40, DAY + 40]
    assert at.deliveries("tvtime") == [("watched", True)] * 2
    assert at.deliveries("trakt", "skipped") == []


def test_the_next_viewing_is_sent_to_all(at: Stories) -> None:
    at.plex("play", 0)
    finish(at, 36)
    at.plex("scrobble", 40, viewCount=1)
    at.plex("stop", 45)
    at.plex("scrobble", DAY + 40, viewCount=2)

    assert at.deliveries("tvtime") == [("watched", True)] * 2
    assert ("stop", True) in at.deliveries("trakt")
