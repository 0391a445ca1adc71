from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from webhook.domain.event import Action, Episode, Event, Ids, Ignored, Unreadable
from webhook.sources.emby import parse


def only(outcome: list[Event] | Ignored) -> Event:
    assert not isinstance(outcome, Ignored), outcome
    (event,) = outcome
    return event


def test_a_start_tells_all_that_is_known(load: Any, received_at: datetime) -> None:
    event = only(parse(load("emby/episode-started-in-the-middle"), received_at))

    assert event == Event(
        action=Action.START,
        item=Episode(
            title="The Lantern Room",
            show="Harbour Street",
            season=3,
            number=9,
            year=2021,
            ids=Ids(tvdb=9900009, imdb="tt7700009"),
        ),
        at=datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC),
        user="nora",
        user_id="d2" * 16,
        server="e1" * 16,
        server_name="Loft",
        player="Hall",
        player_id="device-7",
        session="s-1",
        item_key="811",
        position_ms=1_350_000,
        duration_ms=2_700_000,
    )


def test_an_unpause_is_a_resume(load: Any, received_at: datetime) -> None:
    assert only(parse(load("emby/episode-unpaused"), received_at)).action is Action.RESUME


@pytest.mark.parametrize(
    ("name", "completed", "percent"),
    [("movie-stopped-early", False, 7.5), ("movie-stopped-at-the-end", True, 100)],
)
def test_a_stop_keeps_the_senders_word_and_never_passes_the_end(
    load: Any, received_at: datetime, name: str, completed: bool, percent: float
) -> None:
    event = only(parse(load(f"emby/{name}"), received_at))

    assert (event.action, event.completed, event.percent) == (Action.STOP, completed, percent)


def test_the_playback_info_beats_the_sessions_state(load: Any, received_at: datetime) -> None:
    payload = load("emby/episode-unpaused")
    payload["Session"]["PlayState"]["PositionTicks"] = 99

    assert only(parse(payload, received_at)).position_ms == 1_350_000


@pytest.mark.parametrize(
    ("name", "action"),
    [("episode-marked-watched", Action.WATCHED), ("episode-marked-unwatched", Action.UNWATCHED)],
)
def test_marks_are_made_by_hand(load: Any, received_at: datetime, name: str, action: Action) -> None:
    event = only(parse(load(f"emby/{name}"), received_at))

    assert (event.action, event.manual) == (action, True)


@pytest.mark.parametrize(
    ("name", "action"),
    [("movie-favourite", Action.FAVOURITE), ("movie-no-favourite", Action.UNFAVOURITE)],
)
def test_a_rate_is_the_heart_and_no_rating(
    load: Any, received_at: datetime, name: str, action: Action
) -> None:
    event = only(parse(load(f"emby/{name}"), received_at))

    assert (event.action, event.rating) == (action, None)


def test_a_rate_without_a_heart_says_nothing(load: Any, received_at: datetime) -> None:
    payload = load("emby/movie-favourite")
    payload["Item"]["UserData"] = None

    assert parse(payload, received_at) == Ignored("no_rating")


def test_what_is_added_is_added_by_nobody(load: Any, received_at: datetime) -> None:
    event = only(parse(load("emby/movie-added"), received_at))

    assert (event.action, event.user, event.player) == (Action.ADD, None, None)


@pytest.mark.parametrize("name", ["test", "test-of-an-older-server"])
def test_a_test_is_told_as_a_test(load: Any, received_at: datetime, name: str) -> None:
    assert parse(load(f"emby/{name}"), received_at) == Ignored("test")


def test_a_deletion_is_ignored(load: Any, received_at: datetime) -> None:
    assert parse(load("emby/library-deleted"), received_at) == Ignored("unsupported_event")


def test_a_file_of_two_episodes_without_a_season_is_two_events(load: Any, received_at: datetime) -> None:
    outcome = parse(load("emby/double-episode-without-a-season"), received_at)

    assert not isinstance(outcome, Ignored)
    items = [event.item for event in outcome if isinstance(event.item, Episode)]
    assert [(item.season, item.number, bool(item.ids)) for item in items] == [
        (None, 9, True),
        (None, 10, False),
    ]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Trailer", "trailer"),
        ("MusicAlbum", "music"),
        ("TvChannel", "live_tv"),
        ("Photo", "photo"),
        ("Video", "home_video"),
        ("BoxSet", "unsupported_kind"),
    ],
)
def test_items_that_are_not_watched_are_ignored(
    load: Any, received_at: datetime, kind: str, reason: str
) -> None:
    payload = load("emby/movie-stopped-early")
    payload["Item"]["Type"] = kind

    assert parse(payload, received_at) == Ignored(reason)


def test_what_has_no_event_is_not_embys(received_at: datetime) -> None:
    with pytest.raises(Unreadable, match="not an Emby webhook"):
        parse({"event": "playback.start"}, received_at)


@pytest.mark.parametrize(
    ("extra", "reason"), [("Trailer", "trailer"), ("Clip", "trailer"), ("ThemeVideo", "theme")]
)
def test_extras_of_a_film_are_not_the_film(load: Any, received_at: datetime, extra: str, reason: str) -> None:
    payload = load("emby/movie-stopped-early")
    payload["Item"]["ExtraType"] = extra

    assert parse(payload, received_at) == Ignored(reason)


def test_the_server_is_known_by_the_item_too(load: Any, received_at: datetime) -> None:
    payload = load("emby/episode-unpaused")
    del payload["Server"]

    assert only(parse(payload, received_at)).server == "e1" * 16
