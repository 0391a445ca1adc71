from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside as Running
from tests.fakes.tautulli_server import TautulliServer
from tests.servers._asked import AT, assert_met, payload, played, webhook
from webhook.domain.event import Episode, Ids, Movie, Track
from webhook.domain.outcome import Dead
from webhook.servers import Found, tautulli

FILM = {
    "media_type": "movie",
    "title": "Paper Boats",
    "year": 2016,
    "rating_key": 5101,
    "user": "Nora",
    "user_id": 1,
}


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(TautulliServer()) as server:
        yield server


def history(running: Running, since: datetime | None = None) -> list[Found]:
    return played(tautulli, {"url": running.url, "api_key": running.fake.switches.key}, since)


def row(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The row that Tautulli keeps of what it filled this webhook with."""
    shared = {
        "media_type": sent["media_type"], "rating_key": int(sent["rating_key"]), "guid": sent["guid"],
        "user": sent["username"], "user_id": int(sent["user_id"]), "player": sent["player"],
        "machine_id": sent["machine_id"], "year": int(sent["year"]),
    }  # fmt: skip
    if sent["media_type"] == "track":
        return {
            **shared, "title": sent["track_name"], "parent_title": sent["album_name"],
            "grandparent_title": sent["artist_name"], "original_title": sent["track_artist"],
            "media_index": int(sent["track_num"]),
        }  # fmt: skip
    return {
        **shared, "title": sent["episode_name"], "grandparent_title": sent["show_name"],
        "parent_media_index": int(sent["season_num"]), "media_index": int(sent["episode_num"]),
    }  # fmt: skip


def test_the_record_of_a_play_is_the_webhooks_item_user_and_server(running: Running) -> None:
    told = webhook("tautulli/episode-watched")
    running.fake.sit(row(payload("tautulli/episode-watched")), AT)
    running.fake.items["4101"] = {
        "guids": ["tvdb://9900009", "imdb://tt7700009"],
        "grandparent_guids": ["tvdb://880001", "imdb://tt8800001"],
        "duration": "2700000",
        "library_name": "Series",
    }

    (found,) = history(running)

    assert_met(told, found.event)
    assert isinstance(found.event.item, Episode)
    assert isinstance(told.item, Episode)
    assert found.event.item.show_ids == told.item.show_ids
    assert found.event.item.ids == Ids(plex="5f00000000000000000000e1", tvdb=9900009, imdb="tt7700009")
    assert (found.event.library, found.event.duration_ms) == (told.library, told.duration_ms)
    assert (found.event.player, found.event.player_id) == (told.player, told.player_id)
    assert found.event.at == AT


def test_a_track_is_the_webhooks(running: Running) -> None:
    told = webhook("tautulli/track-started")
    running.fake.sit(row(payload("tautulli/track-started")), AT, minutes=3)
    running.fake.items["4101"] = {"guids": ["mbid://3d1f6a52-0000-4000-8000-0123456789ab"]}

    (found,) = history(running)

    assert_met(told, found.event)
    assert isinstance(found.event.item, Track)
    assert found.event.item == told.item


def test_an_item_that_is_gone_is_told_by_what_the_row_says(running: Running) -> None:
    running.fake.sit({**FILM, "guid": "com.plexapp.agents.imdb://tt7711001?lang=en"}, AT)

    (found,) = history(running)

    assert found.event.item == Movie(title="Paper Boats", year=2016, ids=Ids(imdb="tt7711001"))
    assert (found.event.library, found.event.duration_ms) == (None, None)


def test_an_item_without_guids_is_known_by_its_title(running: Running) -> None:
    running.fake.sit({**FILM, "guid": "local://5101"}, AT)

    (found,) = history(running)

    assert found.event.item == Movie(title="Paper Boats", year=2016)


def test_a_legacy_guid_names_the_show_and_the_numbers(running: Running) -> None:
    legacy = {"media_type": "episode", "title": "Pilot", "grandparent_title": "Tidewater", "rating_key": 9}
    running.fake.sit({**legacy, "guid": "com.plexapp.agents.thetvdb://81189/1/2?lang=en", "user": "Nora"}, AT)

    (found,) = history(running)

    assert found.event.item == Episode(title="Pilot", show="Tidewater", season=1, number=2, show_ids=Ids(tvdb=81189))  # fmt: skip


def test_a_viewing_in_several_sittings_is_told_once_when_it_was_watched(running: Running) -> None:
    first = running.fake.sit({**FILM, "watched_status": 0.5}, AT)["row_id"]
    running.fake.sit({**FILM, "watched_status": 1}, AT + timedelta(hours=2), chain=first)
    running.fake.sit({**FILM, "watched_status": 1}, AT + timedelta(hours=3), chain=first)

    (found,) = history(running)

    assert found.event.at == AT + timedelta(hours=2)
    assert history(running, since=AT + timedelta(hours=2)) == []


def test_two_viewings_of_a_film_are_two_and_it_is_asked_for_once(running: Running) -> None:
    running.fake.sit(FILM, AT)
    running.fake.sit(FILM, AT + timedelta(days=30))

    first, second = history(running)

    assert first.key != second.key
    assert len([call for call in running.fake.calls if "get_metadata" in call.query]) == 1


@pytest.mark.parametrize(
    "odd", [{"watched_status": 0.75}, {"live": 1}, {"media_type": "clip"}, {"stopped": 0}]
)
def test_what_was_not_watched_and_what_is_not_tracked_is_left_out(
    running: Running, odd: dict[str, Any]
) -> None:
    running.fake.sit({**FILM, **odd}, AT)

    assert history(running) == []


@pytest.mark.parametrize("hours_east", [-11, 0, 13])
def test_a_sitting_that_began_days_before_is_found_in_every_time_zone(
    running: Running, hours_east: int
) -> None:
    running.fake.switches.hours_east = hours_east
    running.fake.sit(FILM, AT, minutes=3 * 24 * 60)

    assert len(history(running, since=AT - timedelta(seconds=1))) == 1


def test_a_server_that_reads_the_header_only_is_asked_with_it(running: Running) -> None:
    running.fake.switches.header_only = True
    running.fake.sit(FILM, AT)

    assert len(history(running)) == 1


def test_a_tautulli_that_watches_no_server_yet_is_dead_and_says_so(running: Running) -> None:
    running.fake.server = {"pms_identifier": "", "pms_name": ""}

    with pytest.raises(Dead, match="Finish its setup"):
        history(running)


def test_a_command_that_it_refuses_is_dead_with_its_own_words(running: Running) -> None:
    body = {"response": {"result": "error", "message": "Unknown command: x", "data": {}}}
    running.fake.faults.add("GET /api", status=400, body=body)

    with pytest.raises(Dead, match="Unknown command: x"):
        history(running)
