from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Kind, Season, Track, Unreadable
from webhook.sources.plex import parse

VIEWED_AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def only(outcome: list[Event] | Ignored) -> Event:
    assert not isinstance(outcome, Ignored), outcome
    (event,) = outcome
    return event


def test_a_scrobble_is_a_watched_at_the_time_of_viewing(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-watched"), received_at))

    assert event == Event(
        action=Action.WATCHED,
        item=Episode(
            title="The Lantern Room",
            show="Harbour Street",
            season=3,
            number=9,
            year=2021,
            ids=Ids(tvdb=9900009, tmdb=770009, imdb="tt7700009", plex="5f00000000000000000000e1"),
            show_ids=Ids(plex="5f00000000000000000000a1"),
        ),
        at=VIEWED_AT,
        user="Nora",
        user_id="1",
        server="5f" * 20,
        server_name="Attic",
        player="Sofa",
        player_id="player-sofa-1",
        library="Series",
        item_key="4101",
        show_key="4000",
        duration_ms=2_700_000,
        view_count=1,
    )


def test_the_position_of_a_scrobble_is_unknown_not_zero(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-watched"), received_at))

    assert event.position_ms is None
    assert event.percent is None


@pytest.mark.parametrize("name", ["episode-stopped-without-offset", "movie-stopped-at-zero"])
def test_a_stop_without_a_position_says_nothing_of_progress(
    load: Any, received_at: datetime, name: str
) -> None:
    event = only(parse(load(f"plex/{name}"), received_at))

    assert event.action is Action.STOP
    assert event.percent is None
    assert event.completed is None


def test_a_play_without_a_position_starts_somewhere_unknown(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-started-without-offset"), received_at))

    assert (event.action, event.position_ms) == (Action.START, None)


def test_a_play_is_dated_by_its_receipt_and_not_by_the_last_viewing(load: Any, received_at: datetime) -> None:
    assert only(parse(load("plex/episode-started-without-offset"), received_at)).at == received_at


@pytest.mark.parametrize(
    "viewed", [0, -5, 2**31 + 9, 10**30, "soon", "", None, [], 1_600_000_000, "2023-02-31T00:00:00Z", True]
)
def test_a_viewing_time_that_is_absurd_or_old_gives_way_to_the_receipt(
    load: Any, received_at: datetime, viewed: Any
) -> None:
    payload = load("plex/episode-watched")
    payload["Metadata"]["lastViewedAt"] = viewed

    assert only(parse(payload, received_at)).at == received_at


@pytest.mark.parametrize("viewed", [1_700_000_000, "1700000000", 1.7e9, "2023-11-14T23:13:20.0000000+01:00"])
def test_a_viewing_time_is_read_as_seconds_text_or_iso(load: Any, received_at: datetime, viewed: Any) -> None:
    payload = load("plex/episode-watched")
    payload["Metadata"]["lastViewedAt"] = viewed

    assert only(parse(payload, received_at)).at == VIEWED_AT


def test_a_viewing_time_is_believed_for_a_day(load: Any) -> None:
    payload = load("plex/movie-watched-dates-as-iso")
    day = timedelta(days=1)

    assert only(parse(payload, VIEWED_AT + day)).at == VIEWED_AT
    late = VIEWED_AT + day + timedelta(seconds=1)
    assert only(parse(payload, late)).at == late


def test_a_resume_is_an_action_of_its_own(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-resumed"), received_at))

    assert (event.action, event.position_ms) == (Action.RESUME, 900_000)


def test_progress_is_worked_out_from_position_and_duration(load: Any, received_at: datetime) -> None:
    assert only(parse(load("plex/episode-paused-halfway"), received_at)).percent == 50


def test_without_a_duration_there_is_no_progress(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-paused-by-a-friend"), received_at))

    assert (event.position_ms, event.duration_ms, event.percent) == (1_350_000, None, None)


def test_the_event_is_of_the_account_that_acted_not_of_the_owner(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/episode-paused-by-a-friend"), received_at))

    assert (event.user, event.user_id) == ("Otto", "70011223")


def test_a_legacy_agents_id_is_the_shows(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/episode-watched-legacy-agent"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.ids, item.show_ids, item.season, item.number) == (Ids(), Ids(tvdb=880001), 3, 9)


def test_the_numbers_are_read_from_the_guid_where_they_stand_nowhere_else(
    load: Any, received_at: datetime
) -> None:
    payload = load("plex/episode-watched-legacy-agent")
    del payload["Metadata"]["index"], payload["Metadata"]["parentIndex"]

    item = only(parse(payload, received_at)).item

    assert isinstance(item, Episode)
    assert (item.season, item.number) == (3, 9)


@pytest.mark.parametrize(
    ("name", "show_ids", "numbering"),
    [
        ("episode-watched-hama-anidb", Ids(anidb=88010), "aired"),
        ("episode-watched-hama-tvdb", Ids(tvdb=880002), "aired"),
        ("episode-watched-hama-tvdb4", Ids(tvdb=880002), "mapped"),
    ],
)
def test_hama_names_the_show_and_its_modes_need_mapping(
    load: Any, received_at: datetime, name: str, show_ids: Ids, numbering: str
) -> None:
    item = only(parse(load(f"plex/{name}"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.ids, item.show_ids, item.numbering) == (Ids(), show_ids, numbering)


def test_an_id_and_a_path_in_guids_are_of_item_and_show(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/episode-watched-id-and-path-in-guids"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.ids.tvdb, item.ids.imdb, item.show_ids.tvdb) == (9900009, None, 880001)


def test_an_unmatched_episode_is_known_by_its_show_and_numbers(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/episode-paused-unmatched-local-guid"), received_at)).item

    assert isinstance(item, Episode)
    assert not item.ids
    assert (item.show, item.season, item.number) == ("Harbour Street", 3, 9)


def test_a_home_film_is_watched_and_marked_as_one(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/home-film-watched"), received_at))

    assert (event.action, event.home_video, event.item.ids) == (Action.WATCHED, True, Ids())


def test_an_unmatched_film_is_no_home_video(load: Any, received_at: datetime) -> None:
    payload = load("plex/home-film-watched")
    payload["Metadata"] |= {"guid": "local://1"}
    del payload["Metadata"]["subtype"]

    assert not only(parse(payload, received_at)).home_video


def test_a_film_of_the_genre_home_video_is_one(load: Any, received_at: datetime) -> None:
    payload = load("plex/recording-watched")
    payload["Metadata"]["Genre"] = [{"tag": "Home Videos"}]

    assert only(parse(payload, received_at)).home_video


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("trailer-started", "trailer"),
        ("extra-started-with-the-type-of-its-library", "trailer"),
        ("photo-shown", "photo"),
        ("live-television-started", "live_tv"),
        ("live-television-started-guid-only", "live_tv"),
        ("album-added", "music"),
        ("episode-paused-without-agent-and-show", "no_ids"),
        ("show-started-for-a-shared-user", "duplicate_of_play"),
        ("episode-on-deck", "unsupported_event"),
        ("device-new", "unsupported_event"),
        ("admin-database-backup", "unsupported_event"),
        ("movie-rated-without-a-rating", "no_rating"),
        ("everything-null", "no_ids"),
    ],
)
def test_what_is_no_viewing_is_ignored_with_its_reason(
    load: Any, received_at: datetime, name: str, reason: str
) -> None:
    assert parse(load(f"plex/{name}"), received_at) == Ignored(reason)


def test_an_unknown_type_is_ignored(load: Any, received_at: datetime) -> None:
    payload = load("plex/episode-watched")
    payload["Metadata"]["type"] = "hologram"

    assert parse(payload, received_at) == Ignored("unsupported_kind")


def test_cloud_films_and_recordings_are_ordinary_viewings(load: Any, received_at: datetime) -> None:
    cloud = only(parse(load("plex/cloud-film-stopped"), received_at))
    recording = only(parse(load("plex/recording-watched"), received_at))

    assert (cloud.action, cloud.percent, cloud.library) == (Action.STOP, 50, None)
    assert (recording.action, recording.item.ids) == (Action.WATCHED, Ids(plex="5f00000000000000000000f1"))


def test_a_track_is_a_kind_of_its_own(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/track-started"), received_at)).item

    assert item == Track(
        title="Salt and Rope",
        artist="The Low Tides",
        album="Harbour Songs",
        album_artist="The Low Tides",
        number=4,
        ids=Ids(plex="5f00000000000000000000d1", musicbrainz="3d1f6a52-0000-4000-8000-0123456789ab"),
    )


def test_on_a_compilation_the_artist_is_the_tracks_own(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/track-started-on-a-compilation"), received_at)).item

    assert isinstance(item, Track)
    assert (item.artist, item.album_artist) == ("Mira Voss", "Various Artists")


@pytest.mark.parametrize(
    ("name", "rating"),
    [
        ("movie-rated-with-a-number", 4.0),
        ("movie-rated-with-a-text", 10.0),
        ("movie-rated-zero", 0.0),
        ("show-rated", 9.0),
        ("season-rated", 7.0),
        ("track-rated", 8.0),
    ],
)
def test_a_rating_is_on_the_scale_of_ten(load: Any, received_at: datetime, name: str, rating: float) -> None:
    event = only(parse(load(f"plex/{name}"), received_at))

    assert (event.action, event.rating) == (Action.RATE, rating)


def test_a_rating_is_dated_by_when_it_was_given(load: Any, received_at: datetime) -> None:
    assert only(parse(load("plex/movie-rated-with-a-number"), received_at)).at == VIEWED_AT


def test_a_rating_below_zero_takes_it_back(load: Any, received_at: datetime) -> None:
    event = only(parse(load("plex/movie-rating-removed"), received_at))

    assert (event.action, event.rating) == (Action.UNRATE, None)


@pytest.mark.parametrize("rating", [11, "ten", None, [], {}, float("nan"), 10**400])
def test_a_rating_off_the_scale_is_none(load: Any, received_at: datetime, rating: Any) -> None:
    payload = load("plex/movie-rated-without-a-rating") | {"rating": rating}

    assert parse(payload, received_at) == Ignored("no_rating")


def test_a_show_rated_by_a_legacy_agent_has_its_own_id(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/show-rated"), received_at)).item

    assert (item.kind, item.ids) == (Kind.SHOW, Ids(tvdb=880001))


def test_a_season_knows_its_show_and_number(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/season-rated"), received_at)).item

    assert item == Season(title="Season 3", show="Harbour Street", season=3, show_ids=Ids(tvdb=880001))


@pytest.mark.parametrize(("name", "kind"), [("show-added", Kind.SHOW), ("season-added", Kind.SEASON)])
def test_shows_and_seasons_are_added_by_no_player(
    load: Any, received_at: datetime, name: str, kind: Kind
) -> None:
    event = only(parse(load(f"plex/{name}"), received_at))

    assert (event.action, event.item.kind, event.player) == (Action.ADD, kind, None)


def test_titles_of_all_scripts_are_kept_and_a_year_zero_is_none(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/episode-watched-titles-of-all-scripts"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.title, item.show, item.year) == ("A / B 🎬 𠮷野 e\u0301", "شارع الميناء", None)


def test_control_characters_and_half_surrogates_are_taken_out(load: Any, received_at: datetime) -> None:
    payload = load("plex/episode-watched")
    payload["Metadata"]["title"] = "The\x00 Lan\ud800tern\u0007 " + "m" * 9999

    title = only(parse(payload, received_at)).item.title

    assert title is not None
    assert title.startswith("The Lantern m")
    assert len(title) == 500


def test_a_guid_may_be_a_list(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/movie-watched-guid-as-a-list"), received_at)).item

    assert item.ids == Ids(imdb="tt7711001", tmdb=771100)


def test_keys_that_differ_in_case_only_are_different_keys(load: Any, received_at: datetime) -> None:
    payload = load("plex/episode-watched")
    payload["Metadata"] |= {"GUID": "tvdb://1", "Title": "wrong", "INDEX": 99}

    item = only(parse(payload, received_at)).item

    assert isinstance(item, Episode)
    assert (item.title, item.number, item.ids.tvdb) == ("The Lantern Room", 9, 9900009)


@pytest.mark.parametrize(
    "payload", [{}, {"event": None}, {"event": []}, {"NotificationType": "PlaybackStop"}]
)
def test_what_has_no_event_is_not_plexs(payload: dict[str, Any], received_at: datetime) -> None:
    with pytest.raises(Unreadable, match="not a Plex webhook"):
        parse(payload, received_at)


def test_an_empty_server_uuid_is_unknown(load: Any, received_at: datetime) -> None:
    payload = load("plex/episode-watched")
    payload["Server"]["uuid"] = ""

    assert only(parse(payload, received_at)).server is None


def test_a_show_has_a_title_and_a_year(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/show-added"), received_at)).item

    assert (item.title, item.year, item.ids.tvdb) == ("Harbour Street", 2018, 880001)


def test_a_seasons_number_is_its_index(load: Any, received_at: datetime) -> None:
    item = only(parse(load("plex/season-added"), received_at)).item

    assert isinstance(item, Season)
    assert (item.season, item.ids.tvdb, item.show_ids) == (3, 990051, Ids(plex="5f00000000000000000000a1"))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"live": "1"}, "live_tv"),
        ({"librarySectionType": "livetv"}, "live_tv"),
        ({"subtype": "trailer"}, "trailer"),
        ({"subtype": "featurette"}, "trailer"),
        ({"extraType": 5}, "trailer"),
        ({"subtype": "themeSong"}, "theme"),
    ],
)
def test_one_sign_is_enough_to_know_what_is_no_film(
    load: Any, received_at: datetime, told: dict[str, Any], reason: str
) -> None:
    payload = load("plex/recording-watched")
    payload["Metadata"] |= told

    assert parse(payload, received_at) == Ignored(reason)


def test_a_rating_may_stand_in_the_metadata_alone(load: Any, received_at: datetime) -> None:
    payload = load("plex/movie-rated-with-a-number")
    del payload["rating"]

    assert only(parse(payload, received_at)).rating == 4
