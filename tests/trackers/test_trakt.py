"""The tracker `trakt`, over real HTTP, against the fake."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.trakt import FIRST_HISTORY_ID
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.trackers._trakt import (
    LATE,
    MARK,
    NOW,
    PILOT,
    STRANGE_EPISODE,
    STRANGE_FILM,
    TRON,
    Account,
    bodies,
    decided,
    item_of,
    many,
    plays,
    reel,
    send,
    using,
)
from webhook.domain.event import Action, Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.trackers import Delivery, DeviceCode, SignInFailed
from webhook.trackers.trakt import Settings, Trakt, build


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeTrakt()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = FakeTrakt(clock=Clock(NOW))
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeTrakt:
    fake: FakeTrakt = server.fake
    return fake


# What it is


def test_its_settings_have_a_line_each_and_hide_the_secret() -> None:
    settings = Settings(client_id="id", client_secret=SecretStr("hush"))

    assert all(field.description for field in Settings.model_fields.values())
    assert "hush" not in repr(settings)
    with pytest.raises(ValidationError):
        Settings(client_id="id", client_secret=SecretStr("hush"), writes_per_second=-1)


def test_its_host_is_the_api_s(server: Server) -> None:
    settings = Settings(client_id="id", client_secret=SecretStr("hush"))

    trakt = build(settings, httpx.AsyncClient(verify=False))

    assert trakt.host == "api.trakt.tv"
    assert trakt.writes_per_second == 1
    assert dict(trakt.needs) == {}


def test_every_call_carries_the_headers_of_the_contract(server: Server, fake: FakeTrakt) -> None:
    send(server, MARK)

    headers = fake.calls[0].headers
    assert headers["content-type"] == "application/json"
    assert headers["trakt-api-version"] == "2"
    assert headers["trakt-api-key"] == "fake-client-id"
    assert headers["authorization"].startswith("Bearer ")
    assert headers["user-agent"].startswith("Watchmark/")
    assert headers["user-agent"].endswith("(+https://github.com/watchmark/watchmark)")


# Live


def test_a_start_sets_watching(server: Server, fake: FakeTrakt) -> None:
    done = send(server, replace(MARK, action=Action.START, mark=False, progress=12.345))

    assert done == Done(answer="start: TRON: Legacy (2010)")
    assert fake.user("anna").watching is not None
    assert bodies(fake, "/scrobble/start")[0]["progress"] == 12.35
    assert plays(fake) == []


def test_a_start_without_known_progress_is_told_as_the_beginning(server: Server, fake: FakeTrakt) -> None:
    send(server, replace(MARK, action=Action.START, mark=False, progress=None))

    assert bodies(fake, "/scrobble/start")[0]["progress"] == 0


@pytest.mark.parametrize(("progress", "told"), [(0.0, 1.0), (42.5, 42.5), (79.95, 79.9), (99.0, 79.9)])
@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
def test_a_pause_or_stop_never_reaches_the_watched_mark(
    server: Server, fake: FakeTrakt, action: Action, progress: float, told: float
) -> None:
    done = send(server, replace(MARK, action=action, mark=False, progress=progress))

    assert done.answer.startswith("pause")
    assert bodies(fake, f"/scrobble/{action}")[0]["progress"] == told
    assert plays(fake) == []


@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
def test_a_pause_or_stop_without_known_progress_keeps_nothing(
    server: Server, fake: FakeTrakt, action: Action
) -> None:
    outcome = send(server, replace(MARK, action=action, mark=False, progress=None))

    assert isinstance(outcome, Skip)
    assert fake.calls == []


@pytest.mark.parametrize("status", [404, 405, 422])
def test_where_pause_is_refused_it_goes_out_as_stop_from_then_on(
    server: Server, fake: FakeTrakt, status: int
) -> None:
    fake.faults.add("/scrobble/pause", status=status, times=-1)
    pause = replace(MARK, action=Action.PAUSE, mark=False, progress=30.0)
    tried = 2 if status == 404 else 1  # 404 may be about the item: its other form is tried first

    done = send(server, pause, pause)

    assert done.answer.startswith("pause")
    assert len(fake.made("/scrobble/pause")) == tried
    assert [body["progress"] for body in bodies(fake, "/scrobble/stop")] == [30.0, 30.0]


def test_an_unknown_item_does_not_give_up_the_pause_call(server: Server, fake: FakeTrakt) -> None:
    pause = replace(MARK, action=Action.PAUSE, item=STRANGE_FILM, mark=False, progress=30.0)

    async def work(at: Account) -> Any:
        return await decided(at.send(pause)), at.trakt.pauses_by

    outcome, pauses_by = using(server, work)

    assert isinstance(outcome, Unmatched)
    assert pauses_by == "pause"


def test_pauses_are_stops_from_the_start_where_the_setting_says_so(server: Server, fake: FakeTrakt) -> None:
    send(server, replace(MARK, action=Action.PAUSE, mark=False, progress=30.0), pause="stop")

    assert [call.path for call in fake.calls] == ["/scrobble/stop"]


# Resume points


def resume(fake: FakeTrakt, item: Item = TRON, progress: float = 42.0) -> None:
    """Anna has left this item at that point before."""
    entry = fake.catalogue.by_ids(item.kind.value, item.ids.by_namespace())  # type: ignore[arg-type]
    assert entry is not None
    fake.user("anna").playback[entry.key] = {
        "progress": progress, "paused_at": "2026-11-20T20:00:00.000Z", "id": 77, "type": entry.kind, **entry.wire()
    }  # fmt: skip


def points(fake: FakeTrakt) -> list[float]:
    return [row["progress"] for row in fake.user("anna").playback.values()]


@pytest.mark.parametrize("action", [Action.START, Action.PAUSE, Action.STOP])
@pytest.mark.parametrize(("progress", "estimated"), [(0.0, False), (0.5, False), (0.0, True), (12.0, True)])
@pytest.mark.parametrize("item", [TRON, PILOT])
def test_what_is_not_known_for_sure_deletes_no_resume_point(
    server: Server, fake: FakeTrakt, item: Item, action: Action, progress: float, estimated: bool
) -> None:
    resume(fake, item)

    outcome = send(
        server,
        replace(MARK, item=item, action=action, mark=False, progress=progress, estimated=estimated),
    )

    assert isinstance(outcome, Skip)
    assert "resume point of this at 42 %" in outcome.reason
    assert points(fake) == [42.0]
    assert fake.made("POST /") == []


def test_a_start_of_unknown_progress_deletes_no_resume_point_either(server: Server, fake: FakeTrakt) -> None:
    resume(fake)

    outcome = send(server, replace(MARK, action=Action.START, mark=False, progress=None))

    assert isinstance(outcome, Skip)
    assert points(fake) == [42.0]


def test_a_resume_point_of_another_item_is_in_nobodys_way(server: Server, fake: FakeTrakt) -> None:
    resume(fake, reel(5))

    done = send(server, replace(MARK, action=Action.START, mark=False, progress=None))

    assert done.answer.startswith("start")
    assert points(fake) == [42.0]


@pytest.mark.parametrize(("progress", "estimated"), [(12.0, False), (55.0, True)])
def test_a_position_that_is_known_or_further_on_replaces_the_resume_point(
    server: Server, fake: FakeTrakt, progress: float, estimated: bool
) -> None:
    resume(fake)
    pause = replace(MARK, action=Action.PAUSE, mark=False, progress=progress, estimated=estimated)

    send(server, pause)

    assert points(fake) == [progress]


@pytest.mark.parametrize("action", [Action.START, Action.PAUSE, Action.STOP])
def test_percent_alone_is_told_as_it_is(server: Server, fake: FakeTrakt, action: Action) -> None:
    send(server, replace(MARK, action=action, mark=False, progress=37.0, duration_ms=None))

    assert bodies(fake, "/scrobble")[0]["progress"] == 37.0


# The watched mark


@pytest.mark.parametrize(
    ("progress", "told"),
    [(None, 90.0), (0.0, 90.0), (50.0, 80.1), (80.0, 80.1), (92.345, 92.34), (100.0, 100)],
)
@pytest.mark.parametrize("action", [Action.STOP, Action.WATCHED])
def test_a_mark_is_a_stop_above_the_threshold_and_gives_its_id(
    server: Server, fake: FakeTrakt, action: Action, progress: float | None, told: float
) -> None:
    done = send(server, replace(MARK, action=action, progress=progress))

    assert done.answer.startswith("scrobble")
    assert done.remote_id == str(FIRST_HISTORY_ID)
    assert bodies(fake, "/scrobble/stop")[0]["progress"] == pytest.approx(told)
    assert len(plays(fake)) == 1


def test_a_mark_that_is_there_already_is_done(server: Server, fake: FakeTrakt) -> None:
    done = send(server, MARK, MARK)

    assert done.answer == "already there, watched at 2026-11-22T20:15:09.000Z"
    assert len(plays(fake)) == 1


@pytest.mark.parametrize("action", ["start", "pause"])
def test_a_mark_that_was_not_counted_is_dead_and_says_so(
    server: Server, fake: FakeTrakt, action: str
) -> None:
    fake.faults.add("/scrobble/stop", status=201, body={"id": 0, "action": action, "progress": 90})

    outcome = send(server, MARK)

    assert isinstance(outcome, Dead)
    assert "did not count it as watched" in outcome.reason
    assert outcome.answer is not None


def test_an_action_of_another_vintage_counts(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("/scrobble/stop", status=200, body={"id": 2**60 + 1, "action": "stop", "progress": 90})

    assert send(server, MARK).remote_id == str(2**60 + 1)


def test_a_stop_that_was_counted_after_all_gets_a_note(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("/scrobble/stop", status=201, body={"id": 5, "action": "scrobble", "progress": 79.9})

    done = send(server, replace(MARK, mark=False, progress=70.0))

    assert done.note == "Trakt counted it as watched"


# Which item


def test_an_episode_is_named_by_its_own_ids_first(server: Server, fake: FakeTrakt) -> None:
    ids = Ids(imdb="tt0959621", tmdb=62085, tvdb=349232, trakt=73482, plex="abc")

    send(server, replace(MARK, item=replace(PILOT, ids=ids)))

    body = item_of(bodies(fake, "/scrobble/stop")[0])
    assert body == {"episode": {"ids": {"trakt": 73482, "tvdb": 349232, "tmdb": 62085, "imdb": "tt0959621"}}}
    assert list(body["episode"]["ids"]) == ["trakt", "tvdb", "tmdb", "imdb"]


def test_forms_of_an_episode_are_tried_in_order_on_404_only(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("/scrobble/stop", status=404, times=3)

    done = send(server, replace(MARK, item=PILOT))

    place = {"episode": {"season": 1, "number": 1}}
    assert isinstance(done, Done)
    assert [item_of(body) for body in bodies(fake, "/scrobble/stop")] == [
        {"episode": {"ids": {"tvdb": 349232}}},
        {"show": {"ids": {"tvdb": 81189}}, **place},
        {"show": {"title": "Breaking Bad", "year": 2008}, **place},
        {"show": {"ids": {"trakt": 1388}}, **place},
    ]


def test_another_answer_than_404_ends_the_trying(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("/scrobble/stop", status=422)

    outcome = send(server, replace(MARK, item=PILOT))

    assert isinstance(outcome, Dead)
    assert len(fake.calls) == 1


def test_a_special_in_season_0_is_an_episode_like_any_other(server: Server, fake: FakeTrakt) -> None:
    special = replace(PILOT, title=None, ids=Ids(), season=0, number=1)

    done = send(server, replace(MARK, item=special))

    assert bodies(fake, "/scrobble/stop")[0]["episode"] == {"season": 0, "number": 1}
    assert done.note is None


def test_a_movie_goes_by_ids_without_tvdb_then_by_title_and_year(server: Server, fake: FakeTrakt) -> None:
    fake.catalogue.add("movie", title="Seven Gables", year=1931)
    movie = Movie(title="Seven Gables", year=1931, ids=Ids(imdb="tt0022222", tvdb=12))

    done = send(server, replace(MARK, item=movie))

    assert done.answer == "scrobble: Seven Gables (1931)"
    assert [item_of(body) for body in bodies(fake, "/scrobble/stop")] == [
        {"movie": {"ids": {"imdb": "tt0022222"}}},
        {"movie": {"title": "Seven Gables", "year": 1931}},
    ]


@pytest.mark.parametrize(
    "item",
    [
        Movie(title="TRON: Legacy"),
        Movie(year=2010, ids=Ids(tvdb=12, plex="abc")),
        Episode(title="Pilot", season=1, number=1),
        Episode(show="Breaking Bad", season=1),
    ],
)
def test_an_item_that_cannot_be_named_is_unmatched_without_a_call(
    server: Server, fake: FakeTrakt, item: Item
) -> None:
    outcome = send(server, replace(MARK, item=item))

    assert isinstance(outcome, Unmatched)
    assert outcome.reason == f"No id or title by which Trakt could find this {item.kind}"
    assert fake.calls == []


def test_mapped_numbers_are_never_told(server: Server, fake: FakeTrakt) -> None:
    mapped = replace(PILOT, numbering="mapped")
    fake.faults.add("/scrobble/stop", status=404, times=-1)

    with_id = send(server, replace(MARK, item=mapped))
    without = send(server, replace(MARK, item=replace(mapped, ids=Ids())))

    assert isinstance(with_id, Unmatched)
    assert "mapping list" in without.reason
    assert len(fake.calls) == 1


def test_what_trakt_does_not_know_in_any_form_is_unmatched(server: Server, fake: FakeTrakt) -> None:
    outcome = send(server, replace(MARK, item=STRANGE_EPISODE))

    assert isinstance(outcome, Unmatched)
    assert len(fake.made("/scrobble/stop")) == 3
    assert len(fake.made("GET /search/show")) == 1


@pytest.mark.parametrize(
    ("item", "answer"),
    [
        (TRON, {"movie": {"title": "Tron", "year": 1982, "ids": {"trakt": 1, "imdb": "tt0084827"}}}),
        (PILOT, {"episode": {"season": 1, "number": 1, "ids": {"trakt": 5, "tvdb": 9}}, "show": {}}),
        (
            replace(PILOT, ids=Ids()),
            {"episode": {"season": 1, "number": 2, "ids": {"trakt": 5}}, "show": {"ids": {"tvdb": 81189}}},
        ),
        (
            replace(PILOT, ids=Ids()),
            {"episode": {"season": 1, "number": 1, "ids": {"trakt": 5}}, "show": {"ids": {"tvdb": 1}}},
        ),
    ],
)
def test_a_mark_of_a_different_item_is_taken_back_by_its_id(
    server: Server, fake: FakeTrakt, item: Item, answer: Any
) -> None:
    fake.faults.add("/scrobble/stop", status=201, body={"id": 7, "action": "scrobble", **answer}, times=-1)

    outcome = send(server, replace(MARK, item=item))

    tried = len(fake.made("/scrobble/stop"))
    assert isinstance(outcome, Unmatched)
    assert outcome.reason.startswith("Trakt took this for ")
    assert bodies(fake, "/sync/history/remove") == [{"ids": [7]}] * tried


@pytest.mark.parametrize(
    "answer",
    [
        {"episode": {"season": 1, "number": 1, "ids": {"trakt": 5, "tvdb": None, "imdb": ""}}, "show": {}},
        {"episode": {"season": 1, "number": 1, "ids": {"tvdb": 349232}}, "show": {"ids": {"tvdb": 81189}}},
        {},
    ],
)
def test_nothing_is_noted_where_nothing_contradicts(server: Server, fake: FakeTrakt, answer: Any) -> None:
    fake.faults.add("/scrobble/stop", status=201, body={"id": 7, "action": "scrobble", **answer})

    assert send(server, replace(MARK, item=PILOT)).note is None


@pytest.mark.parametrize("item", [Show(ids=Ids(tvdb=81189)), Season(season=1, show_ids=Ids(tvdb=81189))])
@pytest.mark.parametrize("mark", [MARK, LATE], ids=["live", "late"])
def test_only_films_and_episodes_are_marked(
    server: Server, fake: FakeTrakt, mark: Delivery, item: Item
) -> None:
    assert isinstance(send(server, replace(mark, item=item)), Dead)
    assert fake.calls == []


def test_an_action_without_a_call_is_dead(server: Server) -> None:
    assert isinstance(send(server, replace(MARK, action=Action.FAVOURITE)), Dead)


# Late, and unsure


def test_a_late_mark_goes_into_the_history_with_its_date(server: Server, fake: FakeTrakt) -> None:
    done = send(server, LATE)

    assert plays(fake)[0]["watched_at"] == "2026-11-22T15:15:09.000Z"
    assert done.remote_id == str(plays(fake)[0]["id"])
    assert done.answer == "added, watched at 2026-11-22T15:15:09.000Z"
    assert fake.made("/scrobble") == []
    assert bodies(fake, "POST /sync/history")[0] == {
        "movies": [{"ids": {"tmdb": 20526, "imdb": "tt1104001"}, "watched_at": "2026-11-22T15:15:09.000Z"}]
    }


@pytest.mark.parametrize("item", [TRON, PILOT, replace(PILOT, ids=Ids())])
def test_a_late_mark_twice_is_one_play(server: Server, fake: FakeTrakt, item: Item) -> None:
    late = replace(LATE, item=item)

    done = send(server, late, replace(late, unsure=True))

    assert done.answer == "already there, watched at 2026-11-22T15:15:09.000Z"
    assert done.remote_id == str(plays(fake)[0]["id"])
    assert len(plays(fake)) == 1


def test_a_play_that_somebody_else_made_has_no_handle(server: Server, fake: FakeTrakt) -> None:
    film = fake.catalogue.by_ids("movie", {"tmdb": 20526})
    assert film is not None
    fake.remember(fake.user("anna"), film, "checkin", LATE.at)

    single = send(server, LATE)
    (many,) = using(server, lambda at: at.trakt.send_many([LATE], at.access))

    assert single.answer == many.answer == "already there, watched at 2026-11-22T15:15:09.000Z"
    assert (single.remote_id, many.remote_id) == (None, None)


def test_a_late_mark_finds_a_play_a_little_off_but_not_one_of_another_time(
    server: Server, fake: FakeTrakt
) -> None:
    near = replace(LATE, at=LATE.at + timedelta(minutes=12))
    far = replace(LATE, at=LATE.at + timedelta(minutes=40))

    close = send(server, LATE, near)
    apart = send(server, far)

    assert close.answer.startswith("already there")
    assert apart.answer.startswith("added")
    assert len(plays(fake)) == 2


def test_a_short_film_seen_twice_in_a_row_is_two_plays(server: Server, fake: FakeTrakt) -> None:
    first = replace(LATE, duration_ms=6 * 60_000)
    second = replace(first, at=first.at + timedelta(minutes=6))

    send(server, first, second)

    assert len(plays(fake)) == 2


def test_the_look_goes_through_every_page(server: Server, fake: FakeTrakt) -> None:
    fake.switches.window_minutes = 0
    for movie in (TRON, *map(reel, range(1, 121))):
        entry = fake.catalogue.by_ids("movie", {"tmdb": movie.ids.tmdb})
        assert entry is not None
        fake.remember(fake.user("anna"), entry, "watch", LATE.at)

    done = send(server, LATE)

    assert done.answer.startswith("already there")
    assert len(fake.made("GET /sync/history")) == 2


def test_a_play_of_another_item_at_the_same_time_is_not_the_same(server: Server, fake: FakeTrakt) -> None:
    other = Movie(title="Tron", year=1982, ids=Ids(imdb="tt0084827"))

    send(server, replace(LATE, item=other), LATE)

    assert len(plays(fake)) == 2


def test_a_show_of_the_same_title_is_not_the_same_show(server: Server, fake: FakeTrakt) -> None:
    first, second = (
        replace(LATE, item=Episode(show="Galactica", season=1, number=1, show_ids=Ids(tvdb=tvdb)))
        for tvdb in (71_173, 73_545)
    )

    send(server, first, second)

    assert [row["show"]["ids"]["trakt"] for row in plays(fake)] == [3301, 3302]


def test_a_late_item_that_is_not_found_goes_through_its_forms(server: Server, fake: FakeTrakt) -> None:
    fake.switches.not_found = "empty"

    done = send(server, replace(LATE, item=replace(PILOT, ids=Ids(tvdb=4_242_450))))

    assert done.remote_id == str(plays(fake)[0]["id"])
    assert bodies(fake, "POST /sync/history")[1] == {
        "shows": [
            {
                "ids": {"tvdb": 81189},
                "seasons": [
                    {"number": 1, "episodes": [{"number": 1, "watched_at": "2026-11-22T15:15:09.000Z"}]}
                ],
            }
        ]
    }


@pytest.mark.parametrize("item", [STRANGE_FILM, STRANGE_EPISODE])
def test_a_late_item_unknown_in_every_form_is_unmatched(server: Server, fake: FakeTrakt, item: Item) -> None:
    outcome = send(server, replace(LATE, item=item))

    assert isinstance(outcome, Unmatched)
    assert plays(fake) == []


def test_a_late_mark_that_cannot_be_read_back_is_looked_up_and_not_sent_again(
    server: Server, fake: FakeTrakt
) -> None:
    fake.faults.add("GET /sync/history", status=503, skip=1)

    first = send(server, LATE)
    second = send(server, replace(LATE, unsure=True))

    assert isinstance(first, Retry)
    assert first.unsure
    assert second.answer == "already there, watched at 2026-11-22T15:15:09.000Z"
    assert second.remote_id == str(plays(fake)[0]["id"])
    assert len(plays(fake)) == 1


def test_a_late_mark_that_is_counted_and_not_listed_yet_is_done(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("GET /sync/history", status=200, body=[], times=-1)

    done = send(server, LATE)

    at = "2026-11-22T15:15:09.000Z"
    assert done == Done(answer=f"added, watched at {at}", remote_id=at)


@pytest.mark.parametrize("how", [502, "silence", "reset", "late"])
@pytest.mark.parametrize("mark", [MARK, LATE], ids=["live", "late"])
def test_recorded_but_not_answered_is_one_play_when_sent_again_as_unsure(
    server: Server, fake: FakeTrakt, mark: Delivery, how: Any
) -> None:
    fake.switches.window_minutes = 0  # the 409 must not be what saves us
    fake.faults.add("POST /scrobble/stop", record_then=how)
    fake.faults.add("POST /sync/history", record_then=how)

    async def work(at: Account) -> Any:
        first = await decided(at.send(mark))
        while not plays(fake):
            await asyncio.sleep(0.01)
        return first, await at.send(replace(mark, unsure=first.unsure))

    first, second = using(server, work, timeout=0.3)

    assert isinstance(first, Retry)
    assert first.unsure
    assert second.answer.startswith("already there")
    assert second.remote_id == str(plays(fake)[0]["id"])
    assert len(plays(fake)) == 1


def test_an_unsure_live_mark_that_was_not_recorded_is_scrobbled(server: Server, fake: FakeTrakt) -> None:
    done = send(server, replace(MARK, unsure=True))

    assert done.answer.startswith("scrobble")
    assert [call.path for call in fake.calls] == ["/sync/history/movies", "/scrobble/stop"]


def test_a_look_that_fails_leaves_the_delivery_as_unsure_as_it_was(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("GET /sync/history", status=503)

    outcome = send(server, replace(MARK, unsure=True))

    assert isinstance(outcome, Retry)
    assert outcome.unsure
    assert fake.made("/scrobble") == []


def test_an_unsure_start_is_just_sent_again(server: Server, fake: FakeTrakt) -> None:
    send(server, replace(MARK, action=Action.START, mark=False, unsure=True))

    assert [call.path for call in fake.calls] == ["/scrobble/start"]


# Undo, ratings, collection


def test_unwatched_removes_the_one_play_we_made(server: Server, fake: FakeTrakt) -> None:
    fake.switches.window_minutes = 0
    first = send(server, MARK)
    send(server, MARK)

    undo = replace(MARK, action=Action.UNWATCHED, mark=False, remote_id=first.remote_id)
    done, again = send(server, undo), send(server, undo)

    assert (done.answer, again.answer) == ("removed", "it was gone already")
    assert bodies(fake, "/sync/history/remove")[0] == {"ids": [FIRST_HISTORY_ID]}
    assert len(plays(fake)) == 1


def test_a_play_of_ours_without_an_id_is_found_by_its_time(server: Server, fake: FakeTrakt) -> None:
    film = fake.catalogue.by_ids("movie", {"tmdb": 20526})
    assert film is not None
    fake.remember(fake.user("anna"), film, "watch", LATE.at - timedelta(minutes=20))
    fake.faults.add("GET /sync/history", status=200, body=[], skip=1)
    made = send(server, LATE)
    assert len(plays(fake)) == 2

    undo = replace(LATE, action=Action.UNWATCHED, at=NOW, mark=False, remote_id=made.remote_id)
    done, again = send(server, undo), send(server, undo)

    assert (done.answer, again.answer) == ("removed", "it was gone already")
    assert [row["watched_at"] for row in plays(fake)] == ["2026-11-22T14:55:09.000Z"]
    assert len(bodies(fake, "/sync/history/remove")) == 1


@pytest.mark.parametrize("remote_id", [None, "", "abc"])
def test_unwatched_without_an_id_of_ours_is_dead(
    server: Server, fake: FakeTrakt, remote_id: str | None
) -> None:
    outcome = send(server, replace(MARK, action=Action.UNWATCHED, remote_id=remote_id))

    assert isinstance(outcome, Dead)
    assert outcome.reason.startswith("Nothing of ours to undo")
    assert fake.calls == []


@pytest.mark.parametrize(
    ("item", "group"),
    [
        (TRON, "movies"),
        (PILOT, "episodes"),
        (replace(PILOT, ids=Ids()), "shows"),
        (Show(ids=Ids(tvdb=81189)), "shows"),
        (Season(season=0, show_ids=Ids(tvdb=81189)), "shows"),
        (Season(ids=Ids(tvdb=30272)), "seasons"),
    ],
)
def test_everything_can_be_rated_and_unrated(server: Server, fake: FakeTrakt, item: Item, group: str) -> None:
    rate = replace(MARK, action=Action.RATE, item=item, mark=False, rating=9)
    unrate = replace(rate, action=Action.UNRATE, rating=None)

    rated = send(server, rate)
    kept = [(row["type"], row["rating"]) for row in fake.user("anna").ratings.values()]
    removed, again = send(server, unrate), send(server, unrate)

    assert (rated.answer, removed.answer, again.answer) == ("added", "deleted", "it was gone already")
    assert kept == [(item.kind, 9)]
    assert list(bodies(fake, "/sync/ratings")[0]) == [group]
    assert fake.user("anna").ratings == {}


@pytest.mark.parametrize("rating", [None, 0, 11])
def test_a_rating_out_of_bounds_is_dead(server: Server, fake: FakeTrakt, rating: int | None) -> None:
    assert isinstance(send(server, replace(MARK, action=Action.RATE, rating=rating)), Dead)
    assert fake.calls == []


def test_what_is_added_goes_into_the_collection_once(server: Server, fake: FakeTrakt) -> None:
    add = replace(MARK, action=Action.ADD, mark=False)

    first, second = send(server, add), send(server, add)

    assert (first.answer, second.answer) == ("added", "already there")
    assert len(fake.user("anna").collection) == 1


def test_a_full_collection_parks_the_account(server: Server, fake: FakeTrakt) -> None:
    fake.switches.collection_limit = 0

    outcome = send(server, replace(MARK, action=Action.ADD, mark=False))

    assert isinstance(outcome, Snooze)
    assert outcome.park is Park.ACCOUNT_LIMIT


# Statuses and broken answers


@pytest.mark.parametrize(
    ("status", "outcome", "park"),
    [
        (400, Dead, None),
        (403, Snooze, Park.APP_DELETED),
        (405, Dead, None),
        (412, Dead, None),
        (418, Dead, None),
        (420, Snooze, Park.ACCOUNT_LIMIT),
        (422, Dead, None),
        (423, Snooze, Park.ACCOUNT_LOCKED),
        (426, Snooze, Park.VIP_REQUIRED),
        (429, Snooze, None),
        (500, Retry, None),
        (502, Retry, None),
        (503, Retry, None),
        (504, Retry, None),
        (520, Retry, None),
        (522, Retry, None),
    ],
)
@pytest.mark.parametrize("mark", [MARK, LATE], ids=["live", "late"])
def test_every_status_comes_to_its_decision(
    server: Server,
    fake: FakeTrakt,
    mark: Delivery,
    status: int,
    outcome: type[Undelivered],
    park: Park | None,
) -> None:
    fake.faults.add("POST /", status=status, body="<html>trouble</html>", times=-1)

    decision = send(server, mark)

    assert type(decision) is outcome
    assert getattr(decision, "park", None) is park
    assert str(status) in decision.reason
    assert decision.answer == "<html>trouble</html>"
    assert plays(fake) == []


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, timedelta(minutes=5)),
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"Retry-After": "7", "X-Ratelimit": '{"name":"AUTHED_API_POST_LIMIT"}'}, timedelta(seconds=7)),
    ],
)
def test_too_fast_is_snoozed_for_as_long_as_trakt_says(
    server: Server, fake: FakeTrakt, headers: dict[str, str], after: timedelta
) -> None:
    fake.faults.add("/scrobble", status=429, headers=headers)

    outcome = send(server, MARK)

    assert isinstance(outcome, Snooze)
    assert outcome.after == after


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 200, "body": "<html>Just a moment...</html>"},
        {"status": 201, "body": '{"id": 0, "action": "scro'},
        {"status": 201, "body": '{"id": 1, "action": "scrobble"}', "cut": 9},
        {"status": 201, "body": "x" * 300_000},
        {"status": 201, "body": []},
        {"status": 201, "body": {"id": 5}},
        {"status": 201, "body": {"added": 1}},
        {"status": 201},
        {"delay": 1.0},
        {"reset": True},
    ],
    ids=["html", "truncated", "cut", "huge", "list", "no-action", "no-counts", "empty", "slow", "reset"],
)
@pytest.mark.parametrize("mark", [MARK, LATE], ids=["live", "late"])
def test_an_answer_that_cannot_be_trusted_is_tried_again_as_unsure(
    server: Server, fake: FakeTrakt, mark: Delivery, fault: dict[str, Any]
) -> None:
    fake.faults.add("POST /", **fault)

    outcome = send(server, mark, timeout=0.3)

    assert isinstance(outcome, Retry)
    assert outcome.unsure


@pytest.mark.parametrize("body", ["<html>", {"rows": []}, [1], '[{"id": 1'])
def test_a_history_that_cannot_be_read_stops_a_late_mark(server: Server, fake: FakeTrakt, body: Any) -> None:
    fake.faults.add("GET /sync/history", status=200, body=body)

    outcome = send(server, LATE)

    assert isinstance(outcome, Retry)
    assert plays(fake) == []


def test_a_service_that_cannot_be_reached_is_tried_again_and_was_not_told(server: Server) -> None:
    outcome = send(server, MARK, api_url="http://127.0.0.1:1")

    assert isinstance(outcome, Retry)
    assert not outcome.unsure


# The sign-in


def test_a_401_renews_the_sign_in_once_and_repeats_once(server: Server, fake: FakeTrakt) -> None:
    async def work(at: Account) -> Any:
        fake.expire("anna")
        return await at.send(MARK), at.access

    done, access = using(server, work)

    assert done.answer.startswith("scrobble")
    assert access.tokens["access_token"] == fake.sessions[-1].access
    assert (access.renewals, fake.refreshes) == (1, 1)


def test_many_at_once_renew_once(server: Server, fake: FakeTrakt) -> None:
    async def work(at: Account) -> Any:
        fake.expire("anna")
        return await asyncio.gather(*(at.send(replace(MARK, item=reel(number))) for number in range(1, 21)))

    outcomes = using(server, work)

    assert all(isinstance(done, Done) for done in outcomes)
    assert fake.refreshes == 1


def test_a_401_that_stays_parks_the_account(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("/scrobble", status=401, times=-1)

    outcome = send(server, MARK)

    assert isinstance(outcome, Snooze)
    assert outcome.park is Park.SIGNED_OUT
    assert (len(fake.made("/scrobble")), fake.refreshes) == (2, 1)


@pytest.mark.parametrize("status", [400, 401])
def test_a_refresh_token_that_is_gone_parks_the_account(server: Server, fake: FakeTrakt, status: int) -> None:
    fake.switches.refresh_failure = status

    async def work(at: Account) -> Any:
        fake.sessions.clear()
        return await decided(at.send(MARK))

    outcome = using(server, work)

    assert isinstance(outcome, Snooze)
    assert outcome.park is Park.SIGNED_OUT
    assert len(fake.made("/oauth/token")) == 1


def test_a_deleted_app_parks_the_account_also_when_renewing(server: Server, fake: FakeTrakt) -> None:
    async def work(at: Account) -> Any:
        fake.switches.app_deleted = True
        return await decided(at.send(MARK)), await decided(at.trakt.refresh(at.access.tokens))

    for outcome in using(server, work):
        assert isinstance(outcome, Snooze)
        assert outcome.park is Park.APP_DELETED


@pytest.mark.parametrize(
    "fault",
    [
        {"record_then": "reset"},
        {"record_then": "silence"},
        {"record_then": 502},
        {"status": 200, "body": '{"access_token": "half'},
        {"status": 200, "body": {"access_token": "only"}},
    ],
    ids=["reset", "silence", "502", "truncated", "no-pair"],
)
def test_a_lost_answer_to_a_renewal_says_that_the_token_may_be_used_up(
    server: Server, fake: FakeTrakt, fault: dict[str, Any]
) -> None:
    fake.faults.add("/oauth/token", **fault)

    outcome = using(server, lambda at: decided(at.trakt.refresh(at.access.tokens)), timeout=0.3)

    assert isinstance(outcome, Retry)
    assert outcome.unsure
    assert "may be used up" in outcome.reason
    assert "half" not in str(outcome.answer)


@pytest.mark.parametrize("status", [404, 422, 503])
def test_a_renewal_that_was_not_done_is_tried_again(server: Server, fake: FakeTrakt, status: int) -> None:
    fake.faults.add("/oauth/token", status=status)

    outcome = using(server, lambda at: decided(at.trakt.refresh(at.access.tokens)))

    assert isinstance(outcome, Retry)
    assert "used up" not in outcome.reason


def test_a_renewal_that_cannot_connect_is_tried_again(server: Server) -> None:
    work = using(
        server, lambda at: decided(at.trakt.refresh(at.access.tokens)), auth_url="http://127.0.0.1:1"
    )

    assert isinstance(work, Retry)
    assert not work.unsure


@pytest.mark.parametrize(
    ("life", "left", "stale"),
    [
        (timedelta(days=7), timedelta(hours=17), False),
        (timedelta(days=7), timedelta(hours=16), True),
        (timedelta(hours=2), timedelta(minutes=61), False),
        (timedelta(hours=2), timedelta(minutes=59), True),
        (timedelta(days=7), timedelta(days=-1), True),
    ],
)
def test_tokens_are_stale_with_a_tenth_or_an_hour_left(
    server: Server, life: timedelta, left: timedelta, stale: bool
) -> None:
    tokens = {"created_at": NOW.timestamp(), "expires_in": life.total_seconds()}

    async def work(at: Account) -> bool:
        return at.trakt.stale(tokens, NOW + life - left)

    assert using(server, work) == stale


def test_a_check_names_the_account(server: Server, fake: FakeTrakt) -> None:
    assert using(server, lambda at: at.trakt.check(at.access)) == "anna"


def test_a_check_of_a_locked_account_says_so(server: Server, fake: FakeTrakt) -> None:
    fake.user("anna").locked = True

    outcome = using(server, lambda at: decided(at.trakt.check(at.access)))

    assert outcome.park is Park.ACCOUNT_LOCKED


def test_revoking_ends_the_sign_in(server: Server, fake: FakeTrakt) -> None:
    using(server, lambda at: at.trakt.revoke(at.access.tokens))

    assert fake.sessions == []


# The device flow


def quick(code: DeviceCode) -> DeviceCode:
    return replace(code, interval=timedelta(milliseconds=20))


def test_a_device_code_is_shown_polled_and_comes_to_tokens(server: Server, fake: FakeTrakt) -> None:
    async def work(at: Account) -> Any:
        code = await at.trakt.begin()
        pending = await at.trakt.poll(code)
        fake.clock.advance(5)
        fake.approve("berta", code.user_code)
        return code, pending, await at.trakt.poll(code)

    code, pending, tokens = using(server, work)

    assert code.url == "https://auth.trakt.tv/activate"
    assert (code.interval, code.expires_in) == (timedelta(seconds=5), timedelta(minutes=10))
    assert pending is None
    assert fake.who({"authorization": f"Bearer {tokens['access_token']}"}) == "berta"
    assert tokens["created_at"] == int(fake.clock.now().timestamp())


def test_polling_too_fast_slows_down_and_goes_on(server: Server, fake: FakeTrakt) -> None:
    async def work(at: Account) -> Any:
        code = quick(await at.trakt.begin())
        await at.trakt.poll(code)
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await at.trakt.poll(code), loop.time() - began

    tokens, took = using(server, work)

    assert tokens is None
    assert fake.calls[-1].status == 429
    assert took >= 0.02


@pytest.mark.parametrize("fault", [{"status": 502}, {"reset": True}, {"status": 400}])
def test_a_hiccup_while_polling_is_not_the_end(
    server: Server, fake: FakeTrakt, fault: dict[str, Any]
) -> None:
    fake.switches.auto_approve = "anna"
    fake.faults.add("/oauth/device/token", **fault)

    async def work(at: Account) -> Any:
        code = await at.trakt.begin()
        return await at.trakt.poll(code), await at.trakt.poll(code)

    first, second = using(server, work)

    assert first is None
    assert second["access_token"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "does not know"), (409, "used already"), (410, "expired"), (418, "refused"), (403, "API app")],
)
def test_a_sign_in_that_failed_says_why(server: Server, fake: FakeTrakt, status: int, words: str) -> None:
    fake.faults.add("/oauth/device/token", status=status)

    async def work(at: Account) -> Any:
        return await decided(at.trakt.poll(await at.trakt.begin()))

    outcome = using(server, work)

    assert isinstance(outcome, SignInFailed)
    assert words in str(outcome)


@pytest.mark.parametrize("body", ["<html>", '{"access_token": "half', []])
def test_tokens_that_arrive_broken_fail_the_sign_in_without_showing_them(
    server: Server, fake: FakeTrakt, body: Any
) -> None:
    fake.faults.add("/oauth/device/token", status=200, body=body)

    async def work(at: Account) -> Any:
        return await decided(at.trakt.poll(await at.trakt.begin()))

    outcome = using(server, work)

    assert isinstance(outcome, SignInFailed)
    assert "half" not in str(outcome)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401, "body": {"error": "invalid_client"}},
        {"status": 503},
        {"status": 200, "body": {"user_code": 5}},
        {"status": 200, "body": "<html>"},
        {"reset": True},
    ],
)
def test_a_sign_in_that_cannot_begin_says_so(server: Server, fake: FakeTrakt, fault: dict[str, Any]) -> None:
    fake.faults.add("/oauth/device/code", **fault)

    outcome = using(server, lambda at: decided(at.trakt.begin()))

    assert isinstance(outcome, SignInFailed)
    assert "Trakt" in str(outcome)


def test_tokens_never_reach_the_log(
    server: Server, fake: FakeTrakt, caplog: pytest.LogCaptureFixture
) -> None:
    fake.faults.add("/scrobble/pause", status=422)
    caplog.set_level(logging.DEBUG)

    async def work(at: Account) -> Any:
        fake.expire("anna")
        await at.send(replace(MARK, action=Action.PAUSE, mark=False, progress=30.0))
        return at.access.tokens

    tokens = using(server, work)

    assert "pauses" in caplog.text
    assert tokens["access_token"] not in caplog.text
    assert tokens["refresh_token"] not in caplog.text


def test_it_says_what_it_can_be_told_of() -> None:
    assert frozenset({Kind.MOVIE, Kind.EPISODE}) <= Trakt.kinds
    assert Kind.TRACK not in Trakt.kinds
    assert Action.FAVOURITE not in Trakt.tells


# Many at once


EPISODE = replace(LATE, id=2, item=PILOT, at=LATE.at - timedelta(hours=1))


def test_many_that_are_counted_and_not_listed_yet_are_done(server: Server, fake: FakeTrakt) -> None:
    fake.faults.add("GET /sync/history", status=200, body=[], times=2)

    outcomes = many(server, LATE, EPISODE)

    assert [outcome.remote_id for outcome in outcomes] == [
        "2026-11-22T15:15:09.000Z",
        "2026-11-22T14:15:09.000Z",
    ]
    assert len(plays(fake)) == 2
    undo = replace(EPISODE, action=Action.UNWATCHED, mark=False, remote_id=outcomes[1].remote_id)
    assert send(server, undo).answer == "removed"
    assert [row["type"] for row in plays(fake)] == ["movie"]


@pytest.mark.parametrize("status", [429, 503])
def test_many_that_cannot_be_read_back_are_looked_up_and_not_sent_again(
    server: Server, fake: FakeTrakt, status: int
) -> None:
    strange = replace(EPISODE, item=STRANGE_EPISODE)
    fake.faults.add("GET /sync/history", status=status, skip=1, headers={"Retry-After": "41"})

    first = many(server, LATE, strange)
    again = many(server, *(replace(mark, unsure=True) for mark in (LATE, strange)))

    assert isinstance(first, Retry)
    assert (first.unsure, first.after) == (True, timedelta(seconds=41))
    assert isinstance(again[0], Done)
    assert again[0].remote_id == str(plays(fake)[0]["id"])
    assert isinstance(again[1], Unmatched)
    assert len(plays(fake)) == 1


def test_one_of_many_that_is_unknown_is_unmatched_as_it_is_by_itself(server: Server, fake: FakeTrakt) -> None:
    strange = replace(EPISODE, item=STRANGE_EPISODE)

    told, unknown = many(server, LATE, strange)
    alone = send(server, strange)

    assert isinstance(told, Done)
    assert (type(unknown), unknown.reason, unknown.candidates) == (
        type(alone),
        alone.reason,
        alone.candidates,
    )


def test_many_are_sent_in_one_call_for_each_form(server: Server, fake: FakeTrakt) -> None:
    marks = [
        replace(
            LATE,
            id=number,
            at=LATE.at - timedelta(days=number),
            item=replace(PILOT, title=None, ids=Ids(tvdb=4_242_500 + number), number=number),
        )
        for number in (1, 2)
    ]

    outcomes = many(server, *marks, EPISODE)

    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert [[len(part) for part in body.values()] for body in bodies(fake, "POST /sync/history")] == [
        [3],
        [2],
    ]


# What the account holds


def held(server: Server, since: datetime | None = None) -> Any:
    async def read(at: Account) -> Any:
        return [one async for one in at.trakt.history(at.access, since)]

    return using(server, lambda at: decided(read(at)))


def test_what_is_held_is_said_with_all_that_is_known_of_it(server: Server, fake: FakeTrakt) -> None:
    send(server, LATE, replace(EPISODE, at=LATE.at - timedelta(days=1)))

    film, episode = held(server)

    assert film.item == replace(TRON, ids=Ids(trakt=12601, tmdb=20526, imdb="tt1104001"))
    assert (film.at, film.remote_id) == (LATE.at, str(plays(fake)[0]["id"]))
    assert episode.item == Episode(
        title="Pilot",
        show="Breaking Bad",
        season=1,
        number=1,
        year=2008,
        ids=Ids(trakt=73482, tvdb=349232, tmdb=62085, imdb="tt0959621"),
        show_ids=Ids(trakt=1388, tvdb=81189, tmdb=1396, imdb="tt0903747"),
    )


def test_a_play_without_a_date_is_held_without_one(server: Server, fake: FakeTrakt) -> None:
    film = fake.catalogue.by_ids("movie", {"tmdb": 20526})
    assert film is not None
    fake.remember(fake.user("anna"), film, "watch", None)
    fake.remember(fake.user("anna"), film, "watch", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))

    assert [one.at for one in held(server)] == [None, None]


def test_since_is_asked_of_trakt_by_its_day(server: Server, fake: FakeTrakt) -> None:
    send(server, LATE, replace(EPISODE, at=LATE.at - timedelta(days=1)))
    fake.calls.clear()

    assert [one.at for one in held(server, LATE.at)] == [LATE.at]
    assert fake.calls[-1].query == "start_at=2026-11-22T00%3A00%3A00.000Z&page=1&limit=250"


def test_without_a_count_of_pages_one_that_brings_nothing_new_is_the_last(
    server: Server, fake: FakeTrakt
) -> None:
    send(server, LATE)
    row = {**plays(fake)[0], "type": "movie"}
    fake.faults.add("GET /sync/history", body=[row], times=-1)

    assert len(held(server)) == 1
    assert len(fake.made("GET /sync/history")) == 4  # two of them looked before and after the mark
