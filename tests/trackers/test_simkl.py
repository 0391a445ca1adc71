"""The tracker `simkl`, over real HTTP, against the fake."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.simkl import FIRST_ID, Seen
from tests.fakes.simkl import Simkl as FakeSimkl
from tests.trackers._access import Access
from webhook.domain.event import Action, Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Snooze, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.trackers import Delivery, DeviceCode, SignInFailed
from webhook.trackers.simkl import Settings, Simkl, build
from webhook.trackers.simkl.lists import RowParser

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
FILM = Movie(title="Inception", year=2010, ids=Ids(imdb="tt1375666", tmdb=27205))
SHOW = Show(title="Breaking Bad", year=2008, ids=Ids(tvdb=81189))
PILOT = Episode(
    title="Pilot",
    show="Breaking Bad",
    season=1,
    number=1,
    year=2008,
    ids=Ids(tvdb=349232),
    show_ids=Ids(tvdb=81189),
)
MARK = Delivery(id=1, action=Action.STOP, item=FILM, at=NOW, progress=97.0, mark=True)
EPISODE = replace(MARK, item=PILOT)
LATE = replace(MARK, at=NOW - timedelta(hours=5), late=True)
START = replace(MARK, action=Action.START, mark=False, progress=12.345)
UNWATCHED = replace(MARK, action=Action.UNWATCHED, mark=False, progress=None, remote_id="17")
RATED = replace(MARK, action=Action.RATE, mark=False, rating=8)
TITAN: dict[str, Any] = {
    "type": "anime",
    "title": "Attack on Titan Season 2",
    "ids": {"tvdb": 267440, "anidb": 10944, "imdb": "tt2560140"},
    "episodes": [{"season": 1, "number": 4, "tvdb_season": 2, "tvdb_number": 4}],
}


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeSimkl()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = FakeSimkl(clock=Clock(NOW))
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeSimkl:
    fake: FakeSimkl = server.fake
    return fake


def using(server: Server, work: Callable[[Simkl, Access], Awaitable[Any]], **settings: Any) -> Any:
    """What `work` comes to with a tracker and Anna's sign-in; a raised decision is an outcome too."""

    async def inside() -> Any:
        async with httpx.AsyncClient(timeout=2, verify=False) as http:
            given = {"client_id": "fake-client-id", "api_url": server.url, **settings}
            try:
                return await work(build(Settings(**given), http), Access(server.fake.sign_in("anna")))
            except (Undelivered, SignInFailed) as decision:
                return decision

    return asyncio.run(inside())


def send(server: Server, *deliveries: Delivery, **settings: Any) -> Any:
    """The outcome of the last of these deliveries."""

    async def each(simkl: Simkl, access: Access) -> Any:
        for delivery in deliveries:
            outcome = await simkl.send(delivery, access)
        return outcome

    return using(server, each, **settings)


def send_many(server: Server, deliveries: Sequence[Delivery]) -> Any:
    return using(server, lambda simkl, access: simkl.send_many(deliveries, access))


def begin(server: Server) -> Any:
    return using(server, lambda simkl, access: simkl.begin())


def poll(server: Server, code: DeviceCode) -> Any:
    return using(server, lambda simkl, access: simkl.poll(code))


def bodies(fake: FakeSimkl, route: str) -> list[Any]:
    return [call.body for call in fake.made(route)]


def plays(fake: FakeSimkl) -> list[Any]:
    return list(fake.user("anna").history.values())


def catalogued(fake: FakeSimkl) -> None:
    """Only Inception and one episode of Breaking Bad exist."""
    fake.catalogue.add("movie", "Inception", 2010, ids={"imdb": "tt1375666"})
    pilot = {"season": 1, "number": 1, "title": "Pilot", "ids": {"tvdb": 349232}}
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189}, episodes=[pilot])
    fake.switches.strict = True


# What it is


def test_its_settings_are_one_id_and_its_pace_is_not_negative() -> None:
    settings = Settings(client_id="id")

    assert settings.api_url == "https://api.simkl.com"
    assert settings.writes_per_second == 1
    with pytest.raises(ValidationError):
        Settings(client_id="id", writes_per_second=-1)


def test_every_call_says_which_app_it_is(server: Server, fake: FakeSimkl) -> None:
    send(server, MARK)
    send(server, LATE)
    begin(server)

    assert fake.complaints == []
    assert "app-name=watchmark" in fake.calls[0].query
    assert fake.calls[0].headers["simkl-api-key"] == "fake-client-id"
    assert fake.calls[0].headers["user-agent"].startswith("Watchmark/")


# Live


def test_a_start_sets_what_is_on(server: Server, fake: FakeSimkl) -> None:
    done = send(server, START)

    assert done == Done(answer="start: Inception (2010)")
    assert fake.user("anna").watching is not None
    assert bodies(fake, "/scrobble/start")[0]["progress"] == 12.35
    assert plays(fake) == []


def test_a_start_without_known_progress_is_told_as_the_beginning(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(START, progress=None))

    assert bodies(fake, "/scrobble/start")[0]["progress"] == 0


@pytest.mark.parametrize(("progress", "told"), [(0.0, 0.0), (42.5, 42.5), (79.95, 79.9), (99.0, 79.9)])
@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
def test_a_pause_or_stop_never_reaches_the_watched_mark(
    server: Server, fake: FakeSimkl, action: Action, progress: float, told: float
) -> None:
    done = send(server, replace(START, action=action, progress=progress))

    assert done == Done(answer="pause: Inception (2010)")
    assert bodies(fake, f"/scrobble/{action}")[0]["progress"] == told
    assert plays(fake) == []


@pytest.mark.parametrize("action", [Action.PAUSE, Action.STOP])
def test_a_pause_or_stop_without_known_progress_keeps_nothing(
    server: Server, fake: FakeSimkl, action: Action
) -> None:
    outcome = send(server, replace(START, action=action, progress=None))

    assert isinstance(outcome, Skip)
    assert fake.calls == []


# The watched mark


@pytest.mark.parametrize(
    ("progress", "told"),
    [(None, 90.0), (0.0, 90.0), (50.0, 80.1), (80.0, 80.1), (92.345, 92.34), (100.0, 100)],
)
@pytest.mark.parametrize("action", [Action.STOP, Action.WATCHED])
def test_a_mark_is_a_stop_above_the_threshold_and_gives_its_id(
    server: Server, fake: FakeSimkl, action: Action, progress: float | None, told: float
) -> None:
    done = send(server, replace(MARK, action=action, progress=progress))

    assert done == Done(answer="scrobble: Inception (2010)", remote_id=str(FIRST_ID))
    assert bodies(fake, "/scrobble/stop")[0]["progress"] == pytest.approx(told)
    assert len(plays(fake)) == 1


def test_a_mark_within_the_hour_is_there_already_and_not_ours_to_take_back(
    server: Server, fake: FakeSimkl
) -> None:
    done = send(server, MARK, MARK)

    assert done == Done(answer="already there, watched at 2026-11-22T20:15:09.000Z")


def test_a_mark_that_is_there_after_our_own_answer_was_lost_is_ours(server: Server, fake: FakeSimkl) -> None:
    fake.faults.add("/scrobble/stop", record_then="reset")

    send(server, MARK)
    done = send(server, replace(MARK, unsure=True))

    assert done.answer.startswith("already there")
    assert done.remote_id is not None
    assert len(plays(fake)) == 1


@pytest.mark.parametrize("action", ["start", "pause"])
def test_a_mark_that_was_not_counted_is_dead_and_says_so(
    server: Server, fake: FakeSimkl, action: str
) -> None:
    body = {"id": 0, "action": action, "movie": {"title": "Inception", "ids": {"simkl": 1}}}
    fake.faults.add("/scrobble/stop", status=201, body=body)

    outcome = send(server, MARK)

    assert isinstance(outcome, Dead)
    assert f"but as {action}" in outcome.reason


def test_a_stop_that_simkl_counts_as_watched_says_so(server: Server, fake: FakeSimkl) -> None:
    body = {"id": 5, "action": "scrobble", "movie": {"title": "Inception", "ids": {"simkl": 1}}}
    fake.faults.add("/scrobble/stop", status=201, body=body)

    done = send(server, replace(START, action=Action.STOP))

    assert done.note == "Simkl counted it as watched"
    assert done.remote_id == "5"


def test_an_answer_without_an_action_leaves_it_open(server: Server, fake: FakeSimkl) -> None:
    body = {"movie": {"title": "Inception", "ids": {"simkl": 1}}}
    fake.faults.add("/scrobble/stop", status=201, body=body)

    outcome = send(server, MARK)

    assert isinstance(outcome, Retry)
    assert outcome.unsure


# How an item is named


def test_a_film_is_named_by_its_ids_and_title_but_never_by_a_tvdb_id(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(MARK, item=replace(FILM, ids=replace(FILM.ids, tvdb=113, slug="inception"))))

    ids = {"imdb": "tt1375666", "tmdb": 27205}
    assert bodies(fake, "/scrobble/stop")[0]["movie"] == {"title": "Inception", "year": 2010, "ids": ids}


def test_an_episode_is_named_by_its_show_and_its_place_and_not_by_its_own_id(
    server: Server, fake: FakeSimkl
) -> None:
    done = send(server, EPISODE)

    (body,) = bodies(fake, "/scrobble/stop")
    assert body["show"] == {"title": "Breaking Bad", "ids": {"tvdb": 81189}}
    assert body["episode"] == {"season": 1, "number": 1}
    assert done.note is None


def test_a_special_keeps_its_season_0(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(EPISODE, item=replace(PILOT, season=0)))

    assert bodies(fake, "/scrobble/stop")[0]["episode"] == {"season": 0, "number": 1}


def test_what_simkl_does_not_know_by_ids_is_asked_for_by_title_and_year(
    server: Server, fake: FakeSimkl
) -> None:
    catalogued(fake)

    done = send(server, replace(MARK, item=replace(FILM, ids=Ids(tmdb=27205))))

    assert done.answer == "scrobble: Inception (2010)"
    assert [sorted(body["movie"]) for body in bodies(fake, "/scrobble")] == [
        ["ids", "title", "year"],
        ["title", "year"],
    ]


@pytest.mark.parametrize(
    "item",
    [
        Movie(title="Inception"),
        Movie(year=2010),
        Episode(show="Breaking Bad", season=1, number=1),
        Episode(show="Breaking Bad", season=1, year=2008),
        Episode(season=1, number=1, ids=Ids(imdb="tt0959621")),
    ],
    ids=["no year", "no title", "a show without year", "no number", "an id that Simkl has no use for"],
)
@pytest.mark.parametrize("delivery", [START, MARK, LATE], ids=["start", "mark", "late"])
def test_what_could_be_any_is_unmatched_and_not_sent(
    server: Server, fake: FakeSimkl, delivery: Delivery, item: Any
) -> None:
    outcome = send(server, replace(delivery, item=item))

    assert isinstance(outcome, Unmatched)
    assert fake.calls == []


def test_a_live_episode_without_its_show_s_ids_is_told_by_title_year_and_place(
    server: Server, fake: FakeSimkl
) -> None:
    send(server, replace(START, item=replace(PILOT, show_ids=Ids())))

    (body,) = bodies(fake, "/scrobble/start")
    assert body["show"] == {"title": "Breaking Bad", "year": 2008}


def test_a_mark_of_an_episode_without_its_show_s_ids_goes_by_its_own_id(
    server: Server, fake: FakeSimkl
) -> None:
    catalogued(fake)

    done = send(server, replace(EPISODE, item=replace(PILOT, show_ids=Ids())))

    (body,) = bodies(fake, "/sync/history")
    assert body == {"episodes": [{"ids": {"tvdb": 349232}, "watched_at": "2026-11-22T20:15:09Z"}]}
    assert done.remote_id is not None
    assert plays(fake)[0]["episode"]["title"] == "Pilot"
    assert fake.made("/scrobble") == []


def test_an_episode_whose_show_simkl_does_not_find_goes_by_its_own_id(
    server: Server, fake: FakeSimkl
) -> None:
    catalogued(fake)
    item = replace(PILOT, show="Somewhere", show_ids=Ids(tvdb=9))

    done = send(server, replace(EPISODE, item=item))

    assert done.answer == "added, watched at 2026-11-22T20:15:09Z"
    assert plays(fake)[0]["episode"]["title"] == "Pilot"


@pytest.mark.parametrize("delivery", [START, EPISODE, LATE], ids=["start", "mark", "late"])
def test_numbers_of_a_mapping_list_are_never_sent(
    server: Server, fake: FakeSimkl, delivery: Delivery
) -> None:
    send(server, replace(delivery, item=replace(PILOT, numbering="mapped")))

    sent = str([call.body for call in fake.calls])
    assert "season" not in sent
    assert "number" not in sent


def test_numbers_of_a_mapping_list_without_an_id_are_unmatched_in_words(
    server: Server, fake: FakeSimkl
) -> None:
    outcome = send(server, replace(EPISODE, item=replace(PILOT, numbering="mapped", ids=Ids())))

    assert isinstance(outcome, Unmatched)
    assert "mapping list" in outcome.reason
    assert fake.calls == []


def test_an_anime_known_by_anidb_only_is_counted_inside_its_season(server: Server, fake: FakeSimkl) -> None:
    fake.catalogue.add(**TITAN)
    item = Episode(show="Attack on Titan", season=1, number=4, show_ids=Ids(anidb=10944))

    live = send(server, replace(EPISODE, item=item))
    late = send(server, replace(LATE, item=item))

    assert bodies(fake, "/scrobble/stop")[0]["anime"] == {"ids": {"anidb": 10944}}
    assert bodies(fake, "/scrobble/stop")[0]["episode"] == {"number": 4}
    episodes = [{"number": 4, "watched_at": "2026-11-22T15:15:09Z"}]
    assert bodies(fake, "/sync/history")[0] == {"shows": [{"ids": {"anidb": 10944}, "episodes": episodes}]}
    assert live.note is None
    assert isinstance(late, Done)
    assert len(plays(fake)) == 1


def test_a_special_of_an_anime_known_by_anidb_only_is_not_taken_for_an_episode(
    server: Server, fake: FakeSimkl
) -> None:
    item = Episode(show="Attack on Titan", season=0, number=4, show_ids=Ids(anidb=10944))

    assert isinstance(send(server, replace(EPISODE, item=item)), Unmatched)
    assert fake.calls == []


# Whether it is the same item


def test_an_anime_that_simkl_counts_otherwise_is_compared_by_tvdb_s_numbers(
    server: Server, fake: FakeSimkl
) -> None:
    fake.catalogue.add(**TITAN)
    item = Episode(show="Attack on Titan", season=2, number=4, show_ids=Ids(tvdb=267440, imdb="tt9"))

    done = send(server, replace(EPISODE, item=item))

    assert done.answer == "scrobble: Attack on Titan Season 2 2x04"
    assert done.note is None


@pytest.mark.parametrize(
    ("ids", "episode"),
    [
        ({"simkl": 1, "tvdb": "999"}, {"season": 1, "number": 1}),
        ({"simkl": 1, "tvdb": "81189"}, {"season": 1, "number": 2}),
        ({"simkl": 1}, {"season": 2, "number": 1}),
    ],
)
def test_a_mark_of_a_different_item_is_taken_back(
    server: Server, fake: FakeSimkl, ids: Any, episode: Any
) -> None:
    show = {"title": "Breaking Good", "ids": ids}
    body = {"id": 5, "action": "scrobble", "show": show, "episode": episode}
    fake.faults.add("/scrobble/stop", status=201, body=body, times=-1)
    item = replace(PILOT, ids=Ids())

    outcome = send(server, replace(EPISODE, item=item))

    place = {"number": episode["season"], "episodes": [{"number": episode["number"]}]}
    wrong = {"ids": {"simkl": 1}, "use_tvdb_anime_seasons": True, "seasons": [place]}
    assert isinstance(outcome, Unmatched)
    assert outcome.reason.startswith("Simkl took this for Breaking Good")
    assert bodies(fake, "/sync/history/remove") == [{"shows": [wrong]}] * 2  # by ids, and by title and year


def test_an_id_that_agrees_outweighs_one_that_does_not(server: Server, fake: FakeSimkl) -> None:
    movie = {"title": "Inception", "ids": {"simkl": 1, "imdb": "tt1375666", "tmdb": "1"}}
    fake.faults.add("/scrobble/stop", status=201, body={"id": 5, "action": "scrobble", "movie": movie})

    assert send(server, MARK).note is None


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"movie": {"title": "Inception"}},
        {"movie": {"ids": {"simkl_id": 7}}},
        {"movie": {"ids": {"simkl": 0}}},
    ],
)
def test_a_201_without_simkl_s_id_is_not_matched(server: Server, fake: FakeSimkl, item: Any) -> None:
    fake.faults.add("/scrobble/stop", status=201, body={"id": 5, "action": "scrobble", **item}, times=-1)

    outcome = send(server, MARK)

    assert isinstance(outcome, Unmatched)
    assert "does not know this movie" in outcome.reason


def test_an_anime_s_season_may_have_another_imdb_id_than_its_show(server: Server, fake: FakeSimkl) -> None:
    anime = {"title": "Attack on Titan Season 2", "ids": {"simkl": 439744, "imdb": "tt2560140"}}
    fake.faults.add("/scrobble/stop", status=201, body={"id": 5, "action": "scrobble", "anime": anime})
    item = Episode(show="Attack on Titan", season=2, number=4, show_ids=Ids(imdb="tt9"))

    assert send(server, replace(EPISODE, item=item)).note is None


# Late marks


def test_a_late_mark_goes_into_the_history_under_its_date(server: Server, fake: FakeSimkl) -> None:
    done = send(server, LATE)

    assert done.answer == "added, watched at 2026-11-22T15:15:09Z"
    assert done.remote_id is not None
    assert plays(fake)[0]["watched_at"] == "2026-11-22T15:15:09.000Z"
    assert fake.made("/scrobble") == []


def test_a_late_episode_names_its_season_and_says_that_it_is_tvdb_s(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(LATE, item=PILOT))

    (show,) = bodies(fake, "/sync/history")[0]["shows"]
    assert show["use_tvdb_anime_seasons"] is True
    assert show["seasons"] == [
        {"number": 1, "episodes": [{"number": 1, "watched_at": "2026-11-22T15:15:09Z"}]}
    ]
    assert fake.complaints == []


def test_many_late_marks_go_in_one_call_and_answer_in_their_order(server: Server, fake: FakeSimkl) -> None:
    catalogued(fake)
    unknown = Movie(title="Nothing", year=1999, ids=Ids(imdb="tt9"))
    items: list[Item] = [unknown, FILM, replace(PILOT, number=99, ids=Ids()), PILOT, SHOW, Movie()]

    outcomes = send_many(server, [replace(LATE, id=index, item=item) for index, item in enumerate(items)])

    assert [type(outcome) for outcome in outcomes] == [Unmatched, Done, Unmatched, Done, Dead, Unmatched]
    assert len(plays(fake)) == 2
    assert len(fake.made("/sync/history")) == 2  # what was not found goes once more, by its title


def test_an_episode_that_is_not_found_does_not_stand_for_its_show(server: Server, fake: FakeSimkl) -> None:
    catalogued(fake)
    known, unknown = replace(LATE, item=PILOT), replace(LATE, id=2, item=replace(PILOT, number=99, ids=Ids()))

    outcomes = send_many(server, [known, unknown])

    assert [type(outcome) for outcome in outcomes] == [Done, Unmatched]
    places = [
        [show["seasons"][0]["episodes"][0]["number"] for show in body["shows"]]
        for body in bodies(fake, "POST /sync/history")
    ]
    assert places == [[1, 99], [99]]


def test_a_hundred_late_marks_are_one_call(server: Server, fake: FakeSimkl) -> None:
    marks = [replace(LATE, id=number, item=replace(PILOT, number=number)) for number in range(1, 101)]

    outcomes = send_many(server, marks)

    assert Simkl.batch == len(outcomes) == 100
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert len(fake.made("POST /")) == 1
    assert len(plays(fake)) == 100


def test_an_echo_with_ids_as_texts_is_recognised(server: Server, fake: FakeSimkl) -> None:
    echo = {"ids": {"imdb": "tt1375666", "tmdb": "27205"}}
    added = {"movies": 0, "shows": 0, "episodes": 1}
    body = {"added": added, "not_found": {"movies": [echo], "shows": [], "episodes": []}}
    fake.faults.add("/sync/history", status=201, body=body, times=-1)
    film = replace(FILM, title=None)

    outcomes = send_many(server, [replace(LATE, item=film), replace(LATE, id=2, item=PILOT)])

    assert [type(outcome) for outcome in outcomes] == [Unmatched, Done]


def test_where_an_echo_says_nothing_the_marks_are_told_in_halves(server: Server, fake: FakeSimkl) -> None:
    body = {"added": {"movies": 3}, "not_found": {"movies": [{}]}}
    fake.faults.add("/sync/history", status=201, body=body)
    marks = [replace(LATE, id=number, item=replace(PILOT, number=number)) for number in range(1, 5)]

    outcomes = send_many(server, marks)

    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert [len(body["shows"]) for body in bodies(fake, "/sync/history")] == [4, 2, 2]


def test_an_echo_that_says_nothing_of_one_mark_is_that_mark(server: Server, fake: FakeSimkl) -> None:
    body = {"added": {"movies": 0, "statuses": [{}]}, "not_found": {"movies": [{}]}}
    fake.faults.add("/sync/history", status=201, body=body, times=-1)

    assert isinstance(send(server, LATE), Unmatched)


def test_a_call_of_which_nothing_was_counted_is_not_taken_for_a_mark(server: Server, fake: FakeSimkl) -> None:
    body = {"added": {"movies": 0, "shows": 0, "episodes": 0, "statuses": []}, "not_found": {"movies": []}}
    fake.faults.add("/sync/history", status=201, body=body, times=-1)

    assert isinstance(send(server, LATE), Unmatched)


def test_a_repeat_of_which_nothing_was_counted_is_there_already(server: Server, fake: FakeSimkl) -> None:
    fake.switches.counts_repeats = False

    done = send(server, LATE, replace(LATE, unsure=True))

    assert done.answer == "already there, watched at 2026-11-22T15:15:09Z"
    assert len(plays(fake)) == 1


def test_the_older_200_for_the_history_is_a_success_too(server: Server, fake: FakeSimkl) -> None:
    fake.switches.created = 200

    assert isinstance(send(server, LATE), Done)


# Undo


@pytest.mark.parametrize(
    "item", [FILM, PILOT, replace(PILOT, show_ids=Ids())], ids=["film", "episode", "own id"]
)
@pytest.mark.parametrize("late", [False, True])
def test_an_unwatched_takes_away_what_we_marked(
    server: Server, fake: FakeSimkl, item: Any, late: bool
) -> None:
    other = replace(EPISODE, item=replace(PILOT, number=2, ids=Ids()))
    done = send(server, other, replace(MARK, item=item, late=late))

    undone = send(server, replace(UNWATCHED, item=item, remote_id=done.remote_id))

    assert undone.answer == "removed"
    assert [play["episode"]["number"] for play in plays(fake)] == [2]
    assert fake.complaints == []


def test_an_unwatched_of_what_we_did_not_mark_touches_nothing(server: Server, fake: FakeSimkl) -> None:
    outcome = send(server, replace(UNWATCHED, remote_id=None))

    assert isinstance(outcome, Dead)
    assert fake.calls == []


def test_an_unwatched_of_what_is_gone_is_done(server: Server, fake: FakeSimkl) -> None:
    assert send(server, UNWATCHED).answer == "it was gone already"


@pytest.mark.parametrize("item", [SHOW, Season(show="Breaking Bad", season=1, show_ids=Ids(tvdb=81189))])
@pytest.mark.parametrize(
    "delivery", [START, MARK, LATE, UNWATCHED], ids=["start", "mark", "late", "unwatched"]
)
def test_a_show_or_season_is_never_marked_or_taken_away(
    server: Server, fake: FakeSimkl, delivery: Delivery, item: Any
) -> None:
    assert isinstance(send(server, replace(delivery, item=item)), Dead)
    assert fake.calls == []


# Ratings


@pytest.mark.parametrize("item", [FILM, SHOW], ids=["film", "show"])
def test_a_rating_is_set_and_taken_back(server: Server, fake: FakeSimkl, item: Any) -> None:
    rated = send(server, replace(RATED, item=item))
    kept = [row["rating"] for row in fake.user("anna").ratings.values()]
    unrated = send(server, replace(RATED, item=item, action=Action.UNRATE, rating=None))

    assert rated.answer == "rated 8"
    assert kept == [8]
    assert unrated.answer == "removed"
    assert fake.user("anna").ratings == {}
    assert [call.path for call in fake.made("POST /")] == ["/sync/ratings", "/sync/ratings/remove"]


@pytest.mark.parametrize("action", [Action.RATE, Action.UNRATE])
def test_an_episode_cannot_be_rated_at_simkl(server: Server, fake: FakeSimkl, action: Action) -> None:
    outcome = send(server, replace(RATED, action=action, item=PILOT))

    assert isinstance(outcome, Dead)
    assert outcome.reason == "Simkl has ratings of films and shows only, not of episodes"
    assert fake.calls == []


@pytest.mark.parametrize("rating", [None, 0, 11])
def test_a_rating_off_the_scale_is_dead(server: Server, fake: FakeSimkl, rating: int | None) -> None:
    assert isinstance(send(server, replace(RATED, rating=rating)), Dead)
    assert fake.calls == []


def test_a_rating_of_what_simkl_does_not_know_is_unmatched(server: Server, fake: FakeSimkl) -> None:
    fake.switches.strict = True

    assert isinstance(send(server, RATED), Unmatched)
    assert isinstance(send(server, replace(RATED, action=Action.UNRATE)), Unmatched)


# What goes wrong


def test_another_scrobble_in_hand_is_tried_again_in_seconds(server: Server, fake: FakeSimkl) -> None:
    fake.switches.locked = ["anna"]

    outcome = send(server, MARK)

    assert isinstance(outcome, Snooze)
    assert outcome.park is None
    assert outcome.after is not None
    assert timedelta(seconds=2) <= outcome.after <= timedelta(seconds=5)


def test_a_bad_call_is_dead(server: Server, fake: FakeSimkl) -> None:
    fake.faults.add("/scrobble", status=400, body={"error": "empty_field", "code": 400})

    assert isinstance(send(server, MARK), Dead)


@pytest.mark.parametrize("delivery", [MARK, LATE, RATED], ids=["mark", "late", "rating"])
def test_an_app_that_is_refused_is_asked_for_again_in_an_hour(
    server: Server, fake: FakeSimkl, delivery: Delivery
) -> None:
    fake.switches.quota_spent = True

    outcome = send(server, delivery)

    assert isinstance(outcome, Snooze)
    assert (outcome.after, outcome.park) == (timedelta(hours=1), None)
    assert "client id" in outcome.reason


def test_a_sign_in_that_was_taken_back_parks_the_account(server: Server, fake: FakeSimkl) -> None:
    async def revoked(simkl: Simkl, access: Access) -> Any:
        fake.revoke("anna")
        return await simkl.send(MARK, access)

    outcome = using(server, revoked)

    assert isinstance(outcome, Snooze)
    assert outcome.park is Park.SIGNED_OUT


def test_a_failure_after_a_lost_answer_leaves_it_as_open(server: Server, fake: FakeSimkl) -> None:
    fake.faults.add("/scrobble", status=503)

    outcome = send(server, replace(MARK, unsure=True))

    assert isinstance(outcome, Retry)
    assert outcome.unsure


def test_a_collection_is_not_simkl_s(server: Server, fake: FakeSimkl) -> None:
    assert isinstance(send(server, replace(MARK, action=Action.ADD)), Dead)
    assert fake.calls == []


# The sign-in


def test_the_check_gives_the_name(server: Server) -> None:
    assert using(server, lambda simkl, access: simkl.check(access)) == "anna"


def test_a_sign_in_shows_a_code_and_gets_the_token_once(server: Server, fake: FakeSimkl) -> None:
    code = begin(server)

    pending = poll(server, code)
    fake.approve("anna", code.user_code)
    fake.clock.advance(5)
    tokens = poll(server, code)

    assert code.url == "https://simkl.com/pin"
    assert (code.interval, code.expires_in) == (timedelta(seconds=5), timedelta(minutes=15))
    assert pending is None
    assert fake.tokens[tokens["access_token"]] == "anna"
    assert set(tokens) == {"access_token"}


def test_a_poll_that_was_too_fast_comes_back_later(server: Server, fake: FakeSimkl) -> None:
    code = replace(begin(server), interval=timedelta(seconds=0.2))
    poll(server, code)

    began = time.monotonic()
    outcome = poll(server, code)

    assert outcome is None
    assert time.monotonic() - began >= 0.2


@pytest.mark.breaks_contracts  # a code that leads elsewhere
@pytest.mark.parametrize("how", ["run out", "unknown"])
def test_a_code_that_simkl_no_longer_knows_ends_the_sign_in(
    server: Server, fake: FakeSimkl, how: str
) -> None:
    code = begin(server)
    fake.clock.advance(901 if how == "run out" else 0)
    asked = code if how == "run out" else replace(code, device_code="../pin")

    outcome = poll(server, asked)

    assert isinstance(outcome, SignInFailed)
    assert "start again" in str(outcome)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 200, "body": "<html>"},
        {"reset": True},
        {"status": 429, "headers": {"Retry-After": "0"}},
    ],
    ids=["503", "a page", "a reset", "429"],
)
def test_a_code_outlives_a_hiccup(server: Server, fake: FakeSimkl, fault: Any) -> None:
    code = replace(begin(server), interval=timedelta(milliseconds=10))
    fake.faults.add("/oauth/pin", **fault)

    assert poll(server, code) is None


def test_an_app_that_is_refused_cannot_be_signed_in_with(server: Server, fake: FakeSimkl) -> None:
    code = begin(server)
    fake.switches.quota_spent = True

    outcomes = begin(server), poll(server, code)

    assert all(isinstance(outcome, SignInFailed) for outcome in outcomes)
    assert all("client id" in str(outcome) for outcome in outcomes)


@pytest.mark.parametrize(
    "body", [{}, {"result": "OK"}, [], "<html>"], ids=["empty", "no code", "list", "page"]
)
def test_a_sign_in_without_a_code_fails_in_words(server: Server, fake: FakeSimkl, body: Any) -> None:
    fake.faults.add("/oauth/pin", status=200, body=body)

    assert isinstance(begin(server), SignInFailed)


def test_its_kinds_are_what_can_be_marked_and_what_can_be_rated(server: Server) -> None:
    async def kinds(simkl: Simkl, access: Access) -> Any:
        return simkl.kinds

    assert using(server, kinds) == {Kind.MOVIE, Kind.EPISODE, Kind.SHOW}


# What the account holds


def held(server: Server, since: datetime | None = None) -> Any:
    async def read(simkl: Simkl, access: Access) -> Any:
        return [one async for one in simkl.history(access, since)]

    return using(server, read)


def answered(fake: FakeSimkl, name: str, *rows: Any) -> None:
    """Simkl's list of this name holds these rows."""
    fake.faults.add(f"GET /sync/all-items/{name}", body={name: list(rows)}, times=-1)


def test_what_is_held_is_said_with_all_that_is_known_of_it(server: Server, fake: FakeSimkl) -> None:
    fake.catalogue.add("movie", "Inception", 2010, ids={"imdb": "tt1375666", "tmdb": 27205, "simkl": 472214})
    pilot = {"season": 1, "number": 1}
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189, "simkl": 11121}, episodes=[pilot])
    send(server, MARK, EPISODE)

    film, episode = held(server)

    assert film.item == replace(FILM, ids=Ids(imdb="tt1375666", tmdb=27205, simkl=472214))
    assert (film.at, episode.at) == (NOW, NOW)
    shown = Ids(tvdb=81189, simkl=11121)
    assert episode.item == Episode(show="Breaking Bad", season=1, number=1, year=2008, show_ids=shown)


def test_each_list_is_asked_for_once_with_its_episodes(server: Server, fake: FakeSimkl) -> None:
    held(server, NOW)

    calls = fake.made("GET /sync/all-items")
    assert [call.path.rpartition("/")[2] for call in calls] == ["movies", "shows", "anime"]
    asked = "episode_watched_at=yes&date_from=2026-11-22T20%3A15%3A09Z"
    assert [call.query.partition("extended=")[2] for call in calls] == [
        f"full&{asked}",
        f"full&{asked}",
        f"full_anime_seasons&{asked}",
    ]
    assert fake.complaints == []


def test_a_show_that_changed_is_held_without_its_earlier_episodes(server: Server, fake: FakeSimkl) -> None:
    second = replace(PILOT, number=2, ids=Ids())
    send(server, replace(LATE, item=PILOT), replace(MARK, item=second))

    assert [one.item.number for one in held(server)] == [1, 2]
    assert [one.item.number for one in held(server, NOW - timedelta(hours=1))] == [2]


def test_a_film_that_is_only_planned_is_not_held(server: Server, fake: FakeSimkl) -> None:
    dune, heat = fake.catalogue.add("movie", "Dune", 2021), fake.catalogue.add("movie", "Heat", 1995)
    fake.user("anna").lists |= {
        f"movie:{dune.simkl}": "plantowatch",
        f"movie:{heat.simkl}": "completed",
    }

    assert [(one.item.title, one.at) for one in held(server)] == [("Heat", None)]


def test_an_anime_is_held_by_the_numbers_that_others_count_by(server: Server, fake: FakeSimkl) -> None:
    fake.catalogue.add(**TITAN)
    item = Episode(show="Attack on Titan", season=2, number=4, show_ids=Ids(tvdb=267440))
    send(server, replace(MARK, item=item))

    (one,) = held(server)

    assert (one.item.season, one.item.number) == (2, 4)
    assert one.item.show_ids == Ids(tvdb=267440, imdb="tt2560140")


def test_an_anime_that_only_anidb_counts_is_held_by_its_numbers(server: Server, fake: FakeSimkl) -> None:
    ids = {"simkl": 7, "tvdb": "267440", "anidb": "10944", "mal": "25777"}
    seasons = [{"number": 1, "episodes": [{"number": 4, "watched_at": "1970-01-01T00:00:01Z"}]}]
    show = {"title": "Attack on Titan Season 2", "year": 2017, "ids": ids}
    answered(fake, "anime", {"status": "watching", "anime_type": "tv", "show": show, "seasons": seasons})

    (one,) = held(server)

    assert (one.item.season, one.item.number, one.at) == (1, 4, None)
    assert one.item.show_ids == Ids(simkl=7, anidb=10944, mal=25777)


def test_an_anime_film_is_held_as_a_film(server: Server, fake: FakeSimkl) -> None:
    film = {"title": "Your Name.", "year": 2016, "ids": {"simkl": 9, "mal": "32281"}}
    answered(fake, "anime", {"anime_type": "movie", "last_watched_at": "2026-11-20T10:00:00Z", "show": film})

    (one,) = held(server)

    assert one.item == Movie(title="Your Name.", year=2016, ids=Ids(simkl=9, mal=32281))


def test_a_list_may_be_far_longer_than_any_other_answer(server: Server, fake: FakeSimkl) -> None:
    parts = [{"number": number, "watched_at": "2026-11-20T21:00:00Z"} for number in range(1, 401)]
    shows = [
        {
            "show": {"title": f'"Show" [{n}] {{\\', "ids": {"simkl": n}},
            "seasons": [{"number": 1, "episodes": parts}],
        }
        for n in range(1, 41)
    ]
    answered(fake, "shows", *shows)

    found = held(server)

    assert len(found) == 16_000
    assert {one.item.show for one in found} == {show["show"]["title"] for show in shows}  # type: ignore[index]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", ['{"shows":[]}', ' {\n"shows" : [ {"a": "]}"} ,\n{"b": [1]}, 5, {"a": {}} ]\n}']
)
def test_a_list_is_cut_into_its_rows_however_it_comes_in(size: int, text: str) -> None:
    parser = RowParser("Simkl", "shows")

    found = [row for at in range(0, len(text), size) for row in parser.feed(text[at : at + size])]
    parser.close()

    assert found == [row for row in json.loads(text)["shows"] if isinstance(row, dict)]


@pytest.mark.parametrize("body", ["null", "{}", "[]"])
def test_an_answer_that_says_there_is_nothing_is_believed(server: Server, fake: FakeSimkl, body: str) -> None:
    fake.faults.add("GET /sync/all-items", body=body, times=-1)

    assert held(server) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        '{"shows":[',
        '{"shows":[{"a":1}',
        '{"shows":[{"a":1}]',
        '{"shows":[{"a":1}]}]',
        '{"error":"x"}',
        '{"shows":{}}',
    ],
)
def test_a_list_that_is_cut_off_or_none_is_tried_again(server: Server, fake: FakeSimkl, body: str) -> None:
    fake.faults.add("GET /sync/all-items/shows", status=200, body=body, times=-1)

    outcome = held(server)

    assert isinstance(outcome, Retry), outcome
    assert "cut off or of an unknown shape" in outcome.reason


# Resume points


def resume(fake: FakeSimkl, progress: float = 42.0) -> None:
    """Anna has left the film at that point before."""
    film = fake.catalogue.find("movie", {"title": "Inception", "year": 2010, "ids": {"imdb": "tt1375666"}})
    assert film is not None
    saved = {"progress": progress, "paused_at": "2026-11-20T20:00:00Z", "id": 77, "type": "movie"}
    fake.user("anna").playback[Seen(film).key] = {**saved, **Seen(film).wire(playback=True)}


def points(fake: FakeSimkl) -> list[float]:
    return [row["progress"] for row in fake.user("anna").playback.values()]


@pytest.mark.parametrize("action", [Action.START, Action.PAUSE, Action.STOP])
@pytest.mark.parametrize(("progress", "estimated"), [(0.0, False), (0.5, False), (0.0, True), (12.0, True)])
def test_what_is_not_known_for_sure_deletes_no_resume_point(
    server: Server, fake: FakeSimkl, action: Action, progress: float, estimated: bool
) -> None:
    resume(fake)

    outcome = send(server, replace(START, action=action, progress=progress, estimated=estimated))

    assert isinstance(outcome, Skip)
    assert "resume point of this at 42 %" in outcome.reason
    assert points(fake) == [42.0]


def test_an_episode_s_resume_point_is_found_by_its_place(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(START, action=Action.PAUSE, item=PILOT, progress=42.0))
    fake.calls.clear()

    same = send(server, replace(START, item=PILOT, progress=None))
    other = send(server, replace(START, item=replace(PILOT, number=2), progress=None))

    assert isinstance(same, Skip)
    assert other.answer.startswith("start")
    assert points(fake) == [42.0]


@pytest.mark.parametrize(("progress", "estimated"), [(12.0, False), (55.0, True)])
def test_a_position_that_is_known_or_further_on_replaces_the_resume_point(
    server: Server, fake: FakeSimkl, progress: float, estimated: bool
) -> None:
    resume(fake)

    send(server, replace(START, action=Action.PAUSE, progress=progress, estimated=estimated))

    assert points(fake) == [progress]


@pytest.mark.parametrize("action", [Action.START, Action.PAUSE, Action.STOP])
def test_percent_alone_is_told_as_it_is(server: Server, fake: FakeSimkl, action: Action) -> None:
    send(server, replace(START, action=action, progress=37.0, duration_ms=None))

    assert bodies(fake, "/scrobble")[0]["progress"] == 37.0


# Another item


def collide(fake: FakeSimkl) -> None:
    """Two shows and two films; one's ids are in another's place below."""
    part = {"season": 1, "number": 1, "title": "Pilot", "ids": {"tvdb": 349232}}
    fake.catalogue.add("tv", "Breaking Bad", 2008, ids={"tvdb": 81189}, episodes=[part])
    tide = {"season": 1, "number": 1, "title": "Low Tide", "ids": {"tvdb": 81189}}
    fake.catalogue.add(
        "tv", "Harbour Lights", 1999, ids={"tvdb": 76543}, episodes=[tide], aliases=["Luces del puerto"]
    )
    fake.catalogue.add("movie", "Inception", 2010, ids={"imdb": "tt1375666"})
    fake.catalogue.add("movie", "Paper Boats", 1961, ids={"imdb": "tt0055555"})
    fake.switches.strict = True
    fake.clock.set(datetime.now(UTC))  # what has changed lately is asked for by the real clock


WRONG_SHOW = replace(PILOT, ids=Ids(), show_ids=Ids(tvdb=76543))
WRONG_FILM = replace(FILM, ids=Ids(imdb="tt0055555"))
SHOW_ID_AS_EPISODE_ID = replace(PILOT, year=None, ids=Ids(tvdb=81189), show_ids=Ids())


def titles_of(fake: FakeSimkl) -> list[str]:
    return [(row.get("episode") or row["movie"])["title"] for row in plays(fake)]


@pytest.mark.parametrize("delivery", [MARK, LATE], ids=["live", "late"])
@pytest.mark.parametrize(
    ("item", "word"),
    [(WRONG_SHOW, "tvdb 76543 as Harbour Lights"), (WRONG_FILM, "imdb tt0055555 as Paper Boats")],
    ids=["show", "film"],
)
def test_an_id_of_something_else_is_found_out_before_it_is_sent(
    server: Server, fake: FakeSimkl, item: Any, word: str, delivery: Delivery
) -> None:
    collide(fake)

    outcome = send(server, replace(delivery, item=item))

    assert isinstance(outcome, Unmatched)
    assert word in outcome.reason
    assert fake.made("POST /") == []


def test_another_id_that_is_right_vouches_for_the_title(server: Server, fake: FakeSimkl) -> None:
    collide(fake)
    fake.catalogue.entries[2].ids["tmdb"] = "27205"

    done = send(server, replace(MARK, item=replace(WRONG_FILM, ids=Ids(imdb="tt0055555", tmdb=27205))))

    assert isinstance(done, Done)
    assert bodies(fake, "/scrobble/stop")[0]["movie"]["ids"] == {"tmdb": 27205}
    assert titles_of(fake) == ["Inception"]


@pytest.mark.parametrize("delivery", [MARK, LATE], ids=["live", "late"])
def test_an_id_of_something_else_and_nothing_more_is_unmatched(
    server: Server, fake: FakeSimkl, delivery: Delivery
) -> None:
    collide(fake)

    outcome = send(server, replace(delivery, item=replace(WRONG_FILM, year=None)))

    assert isinstance(outcome, Unmatched)
    assert plays(fake) == []


@pytest.mark.parametrize("delivery", [MARK, LATE], ids=["live", "late"])
def test_an_episode_id_that_marked_another_episode_is_taken_back(
    server: Server, fake: FakeSimkl, delivery: Delivery
) -> None:
    collide(fake)

    outcome = send(server, replace(delivery, item=SHOW_ID_AS_EPISODE_ID))

    assert isinstance(outcome, Unmatched)
    assert "Harbour Lights 1x01" in outcome.reason
    assert plays(fake) == []
    assert len(fake.made("POST /sync/history/remove")) == 1


def test_one_of_many_that_marked_another_episode_is_taken_back(server: Server, fake: FakeSimkl) -> None:
    collide(fake)
    marks = [
        replace(LATE, id=1, item=PILOT, at=LATE.at - timedelta(hours=1)),
        replace(LATE, id=2, item=SHOW_ID_AS_EPISODE_ID),
        replace(LATE, id=3, at=LATE.at - timedelta(hours=2)),
    ]

    outcomes = send_many(server, marks)

    assert [type(outcome) for outcome in outcomes] == [Done, Unmatched, Done]
    assert sorted(titles_of(fake)) == ["Inception", "Pilot"]


def test_an_episode_id_is_taken_where_the_show_has_another_title(server: Server, fake: FakeSimkl) -> None:
    collide(fake)
    item = Episode(show="Luces del puerto", season=1, number=1, ids=Ids(tvdb=81189))

    done = send(server, replace(LATE, item=item))

    assert isinstance(done, Done)
    assert titles_of(fake) == ["Low Tide"]


def test_a_wrong_mark_that_was_cut_off_before_it_was_looked_up_is_undone_when_it_is_tried_again(
    server: Server, fake: FakeSimkl
) -> None:
    collide(fake)
    fake.faults.add("GET /sync/all-items", status=503)
    late = replace(LATE, item=SHOW_ID_AS_EPISODE_ID)

    first = send(server, late)
    left = titles_of(fake)
    again = send(server, replace(late, unsure=True))

    assert isinstance(first, Retry)
    assert first.unsure
    assert left == ["Low Tide"]
    assert isinstance(again, Unmatched)
    assert plays(fake) == []


# Dates


UNDATED = replace(LATE, dated=Dated.TICKED)


@pytest.mark.parametrize("item", [FILM, PILOT], ids=["film", "episode"])
def test_an_unknown_date_is_sent_as_unknown(server: Server, fake: FakeSimkl, item: Any) -> None:
    done = send(server, replace(UNDATED, item=item))

    assert done.answer == "added, watched at 1970-01-01T00:00:01Z"
    assert plays(fake)[0]["watched_at"] == "1970-01-01T00:00:01.000Z"
    assert fake.made("/scrobble") == []


@pytest.mark.parametrize("item", [FILM, PILOT], ids=["film", "episode"])
@pytest.mark.parametrize("first", [LATE, UNDATED], ids=["dated", "undated"])
def test_an_unknown_date_never_takes_the_place_of_a_play_that_is_there(
    server: Server, fake: FakeSimkl, first: Delivery, item: Any
) -> None:
    send(server, replace(first, item=item))
    before = plays(fake)

    done = send(server, replace(UNDATED, item=item))

    assert done == Done(answer="already there")
    assert plays(fake) == before


def test_many_unknown_dates_need_one_look_at_what_is_there(server: Server, fake: FakeSimkl) -> None:
    marks = [replace(UNDATED, id=number, item=replace(PILOT, number=number)) for number in range(1, 31)]

    outcomes = using(server, lambda simkl, access: twice(simkl, access, marks))

    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert len(fake.made("GET /sync/all-items")) == 3  # films, shows and anime
    assert len(fake.made("POST /sync/history")) == 1


async def twice(simkl: Simkl, access: Access, marks: Sequence[Delivery]) -> Any:
    return [*await simkl.send_many(marks, access), *await simkl.send_many(marks, access)]


def test_a_day_is_sent_as_its_noon(server: Server, fake: FakeSimkl) -> None:
    send(server, replace(LATE, dated=Dated.DAY, at=datetime(2026, 3, 1, 15, 30, tzinfo=UTC)))

    assert plays(fake)[0]["watched_at"] == "2026-03-01T12:00:00.000Z"


# Another viewing


@pytest.mark.parametrize("delivery", [MARK, LATE], ids=["live", "late"])
def test_a_rewatch_is_sent_as_one_more_play(server: Server, fake: FakeSimkl, delivery: Delivery) -> None:
    send(server, replace(LATE, at=LATE.at - timedelta(days=30)))

    done = send(server, replace(delivery, rewatch=True))

    assert isinstance(done, Done)
    assert "allow_rewatch=yes" in fake.made("POST /sync/history")[-1].query
    assert "allow_rewatch" not in fake.made("POST /sync/history")[0].query


def test_rewatches_and_others_go_in_calls_of_their_own(server: Server, fake: FakeSimkl) -> None:
    again = replace(LATE, id=2, item=PILOT, rewatch=True)

    outcomes = send_many(server, [LATE, again])

    assert all(isinstance(outcome, Done) for outcome in outcomes)
    queries = ["allow_rewatch" in call.query for call in fake.made("POST /sync/history")]
    assert queries == [False, True]


@pytest.mark.parametrize("status", [400, 403, 426])
def test_where_rewatches_are_refused_the_date_is_told_as_before(
    server: Server, fake: FakeSimkl, status: int
) -> None:
    fake.faults.add("POST /sync/history", status=status)

    done = send(server, replace(LATE, rewatch=True))

    assert isinstance(done, Done)
    assert len(plays(fake)) == 1


def test_a_rewatch_whose_answer_was_lost_is_counted_once(server: Server, fake: FakeSimkl) -> None:
    fake.faults.add("POST /sync/history", record_then="reset")
    rewatch = replace(LATE, rewatch=True)

    lost = send(server, rewatch)
    done = send(server, replace(rewatch, unsure=True))

    assert isinstance(lost, Retry)
    assert done.answer.startswith("already there")
    assert len(fake.made("POST /sync/history")) == 1


def test_a_409_for_another_viewing_puts_this_one_off_until_it_can_be_dated(
    server: Server, fake: FakeSimkl
) -> None:
    short = replace(MARK, duration_ms=6 * 60_000)
    second = replace(short, id=2, at=NOW + timedelta(minutes=7))
    send(server, short)
    fake.clock.advance(7 * 60)

    put_off = send(server, second)

    assert isinstance(put_off, Retry)
    assert (put_off.lane, put_off.unsure) == (False, False)
    assert put_off.after is not None
    assert timedelta(minutes=53) <= put_off.after <= timedelta(minutes=56)
