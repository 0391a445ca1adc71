from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Kind, Season, Track, Unreadable
from webhook.sources.jellyfin import parse, template

SENT_AT = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


def only(outcome: list[Event] | Ignored) -> Event:
    assert not isinstance(outcome, Ignored), outcome
    (event,) = outcome
    return event


def test_a_start_tells_all_that_is_known(load: Any, received_at: datetime) -> None:
    event = only(parse(load("jellyfin/episode-started"), received_at))

    assert event == Event(
        action=Action.START,
        item=Episode(
            title="The Lantern Room",
            show="Harbour Street",
            season=3,
            number=9,
            year=2018,
            ids=Ids(tvdb=9900009, imdb="tt7700009"),
        ),
        at=SENT_AT,
        user="nora",
        user_id="d1" * 16,
        server="a0" * 16,
        server_name="Cellar",
        player="Kitchen",
        player_id="device-9",
        item_key="b1" * 16,
        show_key="c1" * 16,
        position_ms=600_000,
        duration_ms=2_707_498,
    )


@pytest.mark.parametrize(
    ("name", "completed"),
    [
        ("episode-stopped-early", False),
        ("episode-stopped-at-the-end-position-zero", True),
        ("movie-stopped-completed-early", True),
        ("movie-stopped-without-runtime", True),
        ("movie-stopped-without-a-word-of-completion", None),
    ],
)
def test_a_stop_keeps_the_senders_word_of_completion(
    load: Any, received_at: datetime, name: str, completed: bool | None
) -> None:
    event = only(parse(load(f"jellyfin/{name}"), received_at))

    assert (event.action, event.completed) == (Action.STOP, completed)


@pytest.mark.parametrize(
    ("sent", "completed"),
    [("True", True), ("False", False), ("true", True), ("", None), (None, None), (7, None)],
)
def test_completion_may_be_a_text(
    load: Any, received_at: datetime, sent: Any, completed: bool | None
) -> None:
    payload = load("jellyfin/episode-stopped-early") | {"PlayedToCompletion": sent}

    assert only(parse(payload, received_at)).completed is completed


@pytest.mark.parametrize(
    "name", ["episode-stopped-at-the-end-position-zero", "movie-stopped-without-runtime"]
)
def test_a_stop_has_no_progress_without_a_position_and_a_runtime(
    load: Any, received_at: datetime, name: str
) -> None:
    assert only(parse(load(f"jellyfin/{name}"), received_at)).percent is None


@pytest.mark.parametrize("ticks", ["27074985984", 27074985984, 27074985984.0])
def test_a_runtime_is_read_in_any_type(load: Any, received_at: datetime, ticks: Any) -> None:
    payload = load("jellyfin/episode-started") | {"RunTimeTicks": ticks}

    assert only(parse(payload, received_at)).duration_ms == 2_707_498


@pytest.mark.parametrize("ticks", [0, "0", "", None, -1, [], "x", 2**63])
def test_a_runtime_that_is_none_is_unknown(load: Any, received_at: datetime, ticks: Any) -> None:
    payload = load("jellyfin/episode-started") | {"RunTimeTicks": ticks}

    assert only(parse(payload, received_at)).duration_ms is None


def test_progress_is_a_pause_when_it_is_paused(load: Any, received_at: datetime) -> None:
    assert only(parse(load("jellyfin/movie-progress"), received_at)).action is Action.PROGRESS
    assert only(parse(load("jellyfin/movie-paused"), received_at)).action is Action.PAUSE


@pytest.mark.parametrize(
    ("name", "action", "manual"),
    [
        ("episode-marked-watched", Action.WATCHED, True),
        ("episode-marked-unwatched", Action.UNWATCHED, True),
        ("episode-finished-saved", Action.WATCHED, False),
        ("movie-favourite", Action.FAVOURITE, False),
        ("movie-no-favourite", Action.UNFAVOURITE, False),
        ("movie-rated", Action.RATE, False),
    ],
)
def test_what_somebody_did_is_told_of_saved_data(
    load: Any, received_at: datetime, name: str, action: Action, manual: bool
) -> None:
    event = only(parse(load(f"jellyfin/{name}"), received_at))

    assert (event.action, event.manual) == (action, manual)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("episode-progress-saved", "noise"),
        ("episode-imported", "noise"),
        ("episode-unfinished-saved", "not_completed"),
        ("session-started", "unsupported_event"),
        ("album-added", "music"),
        ("video-started", "home_video"),
        ("television-started", "live_tv"),
        ("theme-added", "theme"),
    ],
)
def test_what_is_no_viewing_is_ignored_with_its_reason(
    load: Any, received_at: datetime, name: str, reason: str
) -> None:
    assert parse(load(f"jellyfin/{name}"), received_at) == Ignored(reason)


def test_a_rating_is_told_with_its_value(load: Any, received_at: datetime) -> None:
    assert only(parse(load("jellyfin/movie-rated"), received_at)).rating == 7.5


def test_a_rated_favourite_is_both(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/movie-rated") | {"Favorite": True}, received_at)

    assert not isinstance(outcome, Ignored)
    assert [(event.action, event.rating) for event in outcome] == [
        (Action.RATE, 7.5),
        (Action.FAVOURITE, None),
    ]


def test_a_saved_rating_that_says_nothing_is_noise(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/movie-rated") | {"Favorite": "", "Rating": ""}, received_at)

    assert outcome == Ignored("noise")


def test_a_mark_that_says_not_whether_it_is_played_is_noise(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/episode-marked-watched") | {"Played": None}, received_at)

    assert outcome == Ignored("noise")


def test_a_file_of_two_episodes_is_two_events_and_the_ids_are_the_firsts(
    load: Any, received_at: datetime
) -> None:
    outcome = parse(load("jellyfin/double-episode-started"), received_at)

    assert not isinstance(outcome, Ignored)
    items = [event.item for event in outcome if isinstance(event.item, Episode)]
    assert [(item.season, item.number) for item in items] == [(3, 14), (3, 15)]
    assert [bool(item.ids) for item in items] == [True, False]
    assert [event.item_key for event in outcome] == ["b1" * 16, None]


@pytest.mark.parametrize("end", [13, 14, "", None, 9_999_999, "many"])
def test_an_end_that_makes_no_sense_is_one_episode(load: Any, received_at: datetime, end: Any) -> None:
    payload = load("jellyfin/double-episode-started") | {"EpisodeNumberEnd": end}

    assert isinstance(only(parse(payload, received_at)).item, Episode)


def test_season_zero_is_a_season(load: Any, received_at: datetime) -> None:
    item = only(parse(load("jellyfin/special-started"), received_at)).item

    assert isinstance(item, Episode)
    assert item.season == 0


def test_an_episode_without_ids_is_known_by_its_show(load: Any, received_at: datetime) -> None:
    item = only(parse(load("jellyfin/episode-added-without-ids"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.ids, item.show, item.number) == (Ids(), "Harbour Street", 9)


def test_a_season_and_a_series_are_kinds_of_their_own(load: Any, received_at: datetime) -> None:
    season = only(parse(load("jellyfin/season-added"), received_at)).item
    series = only(parse(load("jellyfin/series-added"), received_at)).item

    assert season == Season(
        title="Season 3", show="Harbour Street", season=3, year=2018, ids=Ids(tvdb=990051)
    )
    assert (series.kind, series.ids) == (Kind.SHOW, Ids(tvdb=880001))


def test_a_track_has_an_artist_and_the_tracks_own_musicbrainz_id(load: Any, received_at: datetime) -> None:
    item = only(parse(load("jellyfin/track-started"), received_at)).item

    assert item == Track(
        title="Salt and Rope",
        artist="The Low Tides",
        album="Harbour Songs",
        ids=Ids(musicbrainz="3d1f6a52-0000-4000-8000-0123456789ab"),
    )


def test_dashed_and_undashed_ids_are_the_same_item(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/episode-started") | {"ItemId": "B1B1B1B1-b1b1-b1b1-b1b1-b1b1b1b1b1b1"}

    assert only(parse(payload, received_at)).item_key == "b1" * 16


def test_the_local_time_is_read_where_the_utc_time_is_missing(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/episode-started") | {"UtcTimestamp": ""}

    assert only(parse(payload, received_at)).at == SENT_AT


def test_an_old_time_is_as_sent_and_one_far_ahead_is_the_receipt(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/episode-started")

    assert only(parse(payload, received_at + timedelta(days=900))).at == SENT_AT
    early = SENT_AT - timedelta(days=2)
    assert only(parse(payload, early)).at == early


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00.0000000Z", "9999-12-31T23:59:59-14:00", "soon", 5])
def test_a_time_that_is_none_gives_way_to_the_receipt(load: Any, received_at: datetime, sent: Any) -> None:
    payload = load("jellyfin/episode-started") | {"UtcTimestamp": sent, "Timestamp": sent}

    assert only(parse(payload, received_at)).at == received_at


def test_the_plugins_backslash_before_a_quote_is_undone(load: Any, received_at: datetime) -> None:
    item = only(parse(load("jellyfin/movie-started-with-a-quoted-title"), received_at)).item

    assert item.title == 'The "Last" Boat'


def test_a_title_with_an_ampersand_in_typed_json_is_left_alone(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/episode-started") | {"Name": "&amp; is written &amp;amp;"}

    assert only(parse(payload, received_at)).item.title == "&amp; is written &amp;amp;"


def test_a_template_of_texts_means_the_same(load: Any, received_at: datetime) -> None:
    event = only(parse(load("jellyfin/template-episode-stopped"), received_at))

    assert isinstance(event.item, Episode)
    assert event.item.title == "Bob's & Ann's \"Boat\""
    assert (event.item.season, event.item.number, event.item.ids) == (0, 9, Ids(tvdb=9900009))
    assert (event.completed, event.percent) == (True, 50)
    assert (event.item_key, event.user_id, event.player) == ("b1" * 16, "d1" * 16, "Kitchen & Hall")


def test_our_template_is_whole_json_when_every_value_is_missing() -> None:
    filled = json.loads(re.sub(r"\{{2,3}\w+\}{2,3}", "", template()))

    assert {name for name, value in filled.items() if value} == {"Template"}


@pytest.mark.parametrize("name", ["Name", "SeriesName", "NotificationUsername", "ServerName"])
def test_our_template_leaves_alone_what_the_plugin_has_escaped(name: str) -> None:
    assert json.loads(template())[name] == f"{{{{{{{name}}}}}}}"


def test_our_template_asks_for_all_that_the_parser_reads(load: Any, received_at: datetime) -> None:
    asked = json.loads(template()).keys()
    sent = load("jellyfin/episode-stopped-early")
    through_template = {name: "" if sent.get(name) is None else str(sent[name]) for name in asked}

    assert parse(through_template, received_at) == parse(sent, received_at)


def test_the_unofficial_plugin_tells_the_shows_ids(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/unofficial-double-episode-watched"), received_at)

    assert not isinstance(outcome, Ignored)
    first, second = (event.item for event in outcome)
    assert isinstance(first, Episode)
    assert isinstance(second, Episode)
    assert (first.ids, first.show_ids) == (Ids(imdb="tt7700009", tvdb=9900009), Ids(tvdb=880001, tmdb=88001))
    assert (second.number, second.ids, second.show_ids) == (10, Ids(), Ids(tvdb=880001, tmdb=88001))
    assert {event.action for event in outcome} == {Action.WATCHED}


def test_the_unofficial_plugins_marks_are_made_by_hand(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/unofficial-marked-watched"), received_at)

    assert not isinstance(outcome, Ignored)
    assert all(event.manual and event.action is Action.WATCHED for event in outcome)


def test_once_played_is_not_now_completed(load: Any, received_at: datetime) -> None:
    outcome = parse(load("jellyfin/unofficial-stopped-item-once-played"), received_at)

    assert not isinstance(outcome, Ignored)
    assert {event.completed for event in outcome} == {None}


def test_an_imitation_writes_completion_into_played(load: Any, received_at: datetime) -> None:
    event = only(parse(load("jellyfin/imitation-stopped-and-played"), received_at))

    assert (event.action, event.completed, event.item.ids) == (Action.STOP, True, Ids(imdb="tt7700009"))


def test_the_unofficial_plex_format_counts_tenths_of_milliseconds(load: Any, received_at: datetime) -> None:
    event = only(parse(load("jellyfin/unofficial-plex-format-watched"), received_at))

    assert isinstance(event.item, Episode)
    assert (event.item.season, event.item.number, event.item.show_ids) == (3, 9, Ids(tvdb=880001))
    assert (event.duration_ms, event.user_id) == (2_700_000, "d1" * 16)


def test_the_unofficial_plex_formats_rating_holds_none(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/unofficial-plex-format-watched") | {"event": "media.rate"}

    assert parse(payload, received_at) == Ignored("no_rating")


def test_an_imitation_of_plex_holds_the_episodes_own_ids(load: Any, received_at: datetime) -> None:
    item = only(parse(load("jellyfin/plex-imitation-watched"), received_at)).item

    assert isinstance(item, Episode)
    assert (item.ids, item.show_ids, item.show) == (Ids(tvdb=9900009), Ids(), "Tom & Bob")


def test_two_users_of_one_session_are_two_events(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/episode-started")
    other = payload | {"NotificationUsername": "otto", "UserId": "d9" * 16}

    assert only(parse(payload, received_at)) != only(parse(other, received_at))


@pytest.mark.parametrize("payload", [{}, {"Name": "Paper Boats"}, {"NotificationType": ""}])
def test_what_does_not_say_what_happened_is_unreadable(
    payload: dict[str, Any], received_at: datetime
) -> None:
    with pytest.raises(Unreadable, match="Jellyfin"):
        parse(payload, received_at)


@pytest.mark.parametrize(("paused", "action"), [(True, Action.PAUSE), (False, Action.PROGRESS)])
def test_the_unofficial_plugins_progress_tells_where_and_on_what(
    load: Any, received_at: datetime, paused: bool, action: Action
) -> None:
    payload = load("jellyfin/unofficial-double-episode-watched") | {"Event": "Progress"}
    payload["Session"]["PlayState"]["IsPaused"] = paused

    outcome = parse(payload, received_at)

    assert not isinstance(outcome, Ignored)
    assert [event.action for event in outcome] == [action, action]
    assert (outcome[0].position_ms, outcome[0].player_id) == (2_600_000, "device-9")


def test_the_unofficial_plugin_starts_though_its_session_was_paused(load: Any, received_at: datetime) -> None:
    payload = load("jellyfin/unofficial-double-episode-watched") | {"Event": "Play"}
    payload["Session"]["PlayState"]["IsPaused"] = True

    outcome = parse(payload, received_at)

    assert not isinstance(outcome, Ignored)
    assert outcome[0].action is Action.START


@pytest.mark.parametrize(
    ("data", "actions"),
    [({"Rating": 8}, [Action.RATE]), ({"IsFavorite": True}, [Action.FAVOURITE]), ({}, [])],
)
def test_the_unofficial_plugins_rate_is_a_rating_or_the_heart(
    load: Any, received_at: datetime, data: dict[str, Any], actions: list[Action]
) -> None:
    payload = load("jellyfin/unofficial-double-episode-watched") | {"Event": "Rate"}
    payload["Item"] |= {"UserData": data, "IndexNumberEnd": None}

    outcome = parse(payload, received_at)

    said = [] if isinstance(outcome, Ignored) else [event.action for event in outcome]
    assert said == actions


def test_a_series_is_known_by_its_title(load: Any, received_at: datetime) -> None:
    assert only(parse(load("jellyfin/series-added"), received_at)).item.title == "Harbour Street"
