from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Movie, Season, Track, Unreadable
from webhook.sources.tautulli import SETUP, parse, template


def only(outcome: list[Event] | Ignored) -> Event:
    assert not isinstance(outcome, Ignored), outcome
    (event,) = outcome
    return event


def test_our_template_tells_all_that_is_known(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/episode-watched"), received_at))

    assert event == Event(
        action=Action.WATCHED,
        item=Episode(
            title="The Lantern Room",
            show="Harbour Street",
            season=3,
            number=9,
            year=2021,
            ids=Ids(plex="5f00000000000000000000e1"),
            show_ids=Ids(tvdb=880001, imdb="tt8800001"),
        ),
        at=received_at,
        user="Nora",
        user_id="70011223",
        server="5f" * 20,
        server_name="Attic",
        player="Sofa",
        player_id="player-sofa-1",
        session="41",
        library="Series",
        item_key="4101",
        position_ms=2_430_000,
        duration_ms=2_700_000,
    )


def test_a_stop_at_zero_is_at_an_unknown_place(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/episode-stopped-at-an-unknown-place"), received_at))

    assert (event.action, event.position_ms, event.percent) == (Action.STOP, None, None)


def test_a_range_of_episodes_is_an_event_for_each(load: Any, received_at: datetime) -> None:
    outcome = parse(load("tautulli/episodes-added"), received_at)

    assert not isinstance(outcome, Ignored)
    items = [event.item for event in outcome if isinstance(event.item, Episode)]
    assert [item.number for item in items] == [6, 7, 8, 9, 10]
    assert {(item.season, item.show_ids.tvdb, bool(item.ids)) for item in items} == {(3, 880001, False)}


@pytest.mark.parametrize(
    ("sent", "numbers"),
    [("1,3-4", [1, 3, 4]), ("6", [6]), ("6-999999", [None]), ("9-3", [None]), ("x-y", [None]), ("", [None])],
)
def test_a_list_of_episodes_is_read_as_far_as_it_makes_sense(
    load: Any, received_at: datetime, sent: str, numbers: list[int | None]
) -> None:
    outcome = parse(load("tautulli/episodes-added") | {"episode_num": sent}, received_at)

    assert not isinstance(outcome, Ignored)
    assert [event.item.number for event in outcome if isinstance(event.item, Episode)] == numbers


def test_a_duration_counts_what_its_key_says(load: Any, received_at: datetime) -> None:
    payload = load("tautulli/movie-paused-minutes-only")

    assert only(parse(payload, received_at)).duration_ms == 6_000_000
    assert only(parse(payload | {"duration_sec": "30"}, received_at)).duration_ms == 30_000
    assert only(parse(payload | {"duration_ms": "30"}, received_at)).duration_ms == 30


def test_the_percent_is_told_where_there_is_no_position(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/movie-paused-minutes-only"), received_at))

    assert (event.position_ms, event.progress) == (None, 42)


def test_a_films_ids_are_its_own(load: Any, received_at: datetime) -> None:
    item = only(parse(load("tautulli/movie-paused-minutes-only"), received_at)).item

    assert item == Movie(title="Paper Boats", year=2016, ids=Ids(imdb="tt7711001"))


def test_a_tracks_artist_is_its_own(load: Any, received_at: datetime) -> None:
    item = only(parse(load("tautulli/track-started"), received_at)).item

    assert isinstance(item, Track)
    assert (item.artist, item.album_artist, item.album) == ("Mira Voss", "Various Artists", "Summer Mix")
    assert item.ids.musicbrainz == "3d1f6a52-0000-4000-8000-0123456789ab"


def test_in_the_shape_of_plex_the_guids_of_an_episode_are_the_shows(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/plex-shape-watched"), received_at))

    assert isinstance(event.item, Episode)
    assert event.action is Action.WATCHED
    assert event.item.ids == Ids(plex="5f00000000000000000000e1")
    assert event.item.show_ids == Ids(imdb="tt8800001", tvdb=880001)


def test_a_map_of_guids_is_as_good_as_a_list(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/plex-shape-with-a-guids-map"), received_at))

    assert isinstance(event.item, Episode)
    assert event.item.show_ids == Ids(imdb="tt8800001", tvdb=880001)
    assert (event.action, event.percent) == (Action.PAUSE, 50)


def test_in_the_shape_of_plex_a_small_duration_is_of_minutes(load: Any, received_at: datetime) -> None:
    event = only(parse(load("tautulli/plex-shape-in-minutes"), received_at))

    assert (event.duration_ms, event.user_id, event.item.ids.imdb) == (6_000_000, None, "tt7711001")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("live-television-started", "live_tv"),
        ("test", "test"),
        ("file-played", "unsupported_event"),
        ("server-down", "unsupported_event"),
    ],
)
def test_what_is_no_viewing_is_ignored_with_its_reason(
    load: Any, received_at: datetime, name: str, reason: str
) -> None:
    assert parse(load(f"tautulli/{name}"), received_at) == Ignored(reason)


@pytest.mark.parametrize("action", ["{action}", "", None, "buffer", "media.{action}"])
def test_an_action_that_is_none_of_ours_is_ignored(load: Any, received_at: datetime, action: Any) -> None:
    payload = load("tautulli/episode-watched") | {"action": action}

    assert parse(payload, received_at) == Ignored("unsupported_event")


def test_a_template_without_an_action_is_unreadable(load: Any, received_at: datetime) -> None:
    with pytest.raises(Unreadable, match="watchmark urls --template tautulli"):
        parse(load("tautulli/foreign-template-without-an-action"), received_at)


def test_our_template_is_flat_json_of_texts() -> None:
    written = json.loads(template())

    assert written.pop("template") == "watchmark"
    assert all(value == f"{{{name}}}" for name, value in written.items())


def test_our_template_asks_for_all_that_the_parser_reads(load: Any, received_at: datetime) -> None:
    asked = json.loads(template()).keys()
    sent = load("tautulli/track-started")

    assert parse({name: sent.get(name, "") for name in asked}, received_at) == parse(sent, received_at)


def test_parameters_left_unfilled_say_nothing(received_at: datetime) -> None:
    written = json.loads(template())

    assert parse(written | {"action": "play", "media_type": "movie"}, received_at) == Ignored("no_ids")


def test_a_range_in_the_shape_of_plex_is_an_event_for_each(load: Any, received_at: datetime) -> None:
    payload = load("tautulli/plex-shape-watched") | {"event": "tautulli.created"}
    payload["Metadata"]["index"] = "6-7"

    outcome = parse(payload, received_at)

    assert not isinstance(outcome, Ignored)
    assert [event.item.number for event in outcome if isinstance(event.item, Episode)] == [6, 7]


def test_a_season_and_a_show_have_the_shows_ids(load: Any, received_at: datetime) -> None:
    payload = load("tautulli/episode-watched") | {"guid": "com.plexapp.agents.thetvdb://880001/3"}

    season = only(parse(payload | {"action": "created", "media_type": "season"}, received_at)).item
    show = only(parse(payload | {"action": "created", "media_type": "show"}, received_at)).item

    assert isinstance(season, Season)
    assert (season.season, season.year, season.ids) == (3, 2021, Ids())
    assert season.show_ids == Ids(tvdb=880001, imdb="tt8800001")
    assert (show.title, show.year, show.ids) == ("Harbour Street", 2018, Ids(tvdb=880001, imdb="tt8800001"))


def test_a_track_keeps_its_plex_id(load: Any, received_at: datetime) -> None:
    item = only(parse(load("tautulli/track-started"), received_at)).item

    assert item.ids.plex == "5f00000000000000000000d1"


def test_the_steps_say_that_what_plex_reports_too_is_one_play() -> None:
    last = SETUP[-1]

    assert "Plex webhook may come here as well" in last
    assert "one play, sent once" in last
