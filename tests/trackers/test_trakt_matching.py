"""Trakt is believed only as far as it names the item that was meant; what it took for another is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.trackers._trakt import (
    LATE,
    MARK,
    NOW,
    PILOT,
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
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.domain.outcome import Done, Retry, Unmatched
from webhook.trackers import Delivery
from webhook.trackers._matching import Match
from webhook.trackers.trakt.matching import match_item
from webhook.trackers.trakt.responses import TraktItem

SHOW_ID_AS_EPISODE_ID = replace(PILOT, ids=Ids(tmdb=1396), show_ids=Ids())
"""As Kodi sends it: the show's TMDB id where the episode's belongs, which is an episode of Harbour Lights."""

SHOW_ID_TWICE = replace(PILOT, ids=Ids(tmdb=1396), show_ids=Ids(tmdb=1396))
ID_OF_THE_NEXT = replace(PILOT, ids=Ids(tvdb=349233))
ID_OF_ANOTHER_SHOW = replace(PILOT, ids=Ids(tvdb=76_550))
REMAKE = Movie(title="Paper Boats", year=1961, ids=Ids(tmdb=9202))
ANOTHER_FILM = Movie(title="TRON: Legacy", year=2010, ids=Ids(tmdb=97))
OF_NO_SHOW = replace(PILOT, title="Ozymandias", ids=Ids(tvdb=76_550))
NAMELESS = Episode(show="Breaking Bad", title="Ozymandias", ids=Ids(tmdb=1396))
"""The id of another episode, and no numbers by which it could be found."""


@pytest.fixture(scope="module")
def loopback() -> Iterator[Server]:
    with Inside(FakeTrakt()) as server:
        yield server


@pytest.fixture
def server(loopback: Server) -> Server:
    loopback.fake = FakeTrakt(clock=Clock(NOW), window_minutes=0)
    return loopback


@pytest.fixture
def fake(server: Server) -> FakeTrakt:
    fake: FakeTrakt = server.fake
    return fake


def seen(fake: FakeTrakt) -> list[str]:
    """What is in Anna's history, by title."""
    return [row[row["type"]]["title"] for row in plays(fake)]


def ways(item: Item) -> list[Delivery]:
    """A mark of this item, live and late."""
    return [replace(MARK, item=item), replace(LATE, item=item)]


# Taken back, and found by another form


@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
@pytest.mark.parametrize("item", [SHOW_ID_AS_EPISODE_ID, SHOW_ID_TWICE, ID_OF_ANOTHER_SHOW, ID_OF_THE_NEXT])
def test_an_id_of_something_else_is_overruled_by_show_numbers_and_title(
    server: Server, fake: FakeTrakt, item: Episode, late: bool
) -> None:
    outcome = send(server, ways(item)[late])

    assert isinstance(outcome, Done)
    assert seen(fake) == ["Pilot"]


def test_an_id_that_is_the_shows_is_not_sent_as_the_episodes(server: Server, fake: FakeTrakt) -> None:
    send(server, replace(MARK, item=SHOW_ID_TWICE))

    assert [item_of(body) for body in bodies(fake, "/scrobble/stop")] == [
        {"show": {"ids": {"tmdb": 1396}}, "episode": {"season": 1, "number": 1}}
    ]
    assert fake.made("/sync/history/remove") == []


def test_a_mark_of_another_show_is_removed_by_its_id_alone(server: Server, fake: FakeTrakt) -> None:
    there = fake.catalogue.by_ids("episode", {"tmdb": 1396})
    assert there is not None
    fake.remember(fake.user("anna"), there, "watch", NOW - timedelta(days=40))

    done = send(server, replace(MARK, item=SHOW_ID_AS_EPISODE_ID))

    assert isinstance(done, Done)
    assert done.remote_id == str(plays(fake)[-1]["id"])
    assert seen(fake) == ["Low Tide", "Pilot"]
    assert [list(body) for body in bodies(fake, "/sync/history/remove")] == [["ids"]]


@pytest.mark.parametrize("item", [REMAKE, ANOTHER_FILM, OF_NO_SHOW, NAMELESS])
@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
def test_what_contradicts_itself_is_unmatched_and_leaves_nothing_behind(
    server: Server, fake: FakeTrakt, item: Item, late: bool
) -> None:
    outcome = send(server, ways(item)[late])

    assert isinstance(outcome, Unmatched)
    assert "which is another" in outcome.reason
    assert "taken back" in outcome.reason
    assert plays(fake) == []


def test_one_of_many_that_is_another_item_is_taken_back_and_the_others_stay(
    server: Server, fake: FakeTrakt
) -> None:
    items: list[Item] = [reel(1), REMAKE, SHOW_ID_AS_EPISODE_ID, reel(2)]
    marks = [
        replace(LATE, id=number, item=item, at=LATE.at - timedelta(hours=number))
        for number, item in enumerate(items)
    ]

    first, remake, episode, last = many(server, *marks)

    assert [type(outcome) for outcome in (first, remake, episode, last)] == [Done, Unmatched, Done, Done]
    assert sorted(seen(fake)) == ["Pilot", "Reel 1", "Reel 2"]


def test_an_id_that_led_astray_is_not_sent_again(server: Server, fake: FakeTrakt) -> None:
    start = replace(MARK, action=Action.START, item=SHOW_ID_AS_EPISODE_ID, mark=False, progress=5.0)

    send(server, start, replace(start, action=Action.PAUSE), replace(MARK, item=SHOW_ID_AS_EPISODE_ID))

    asked = [item_of(call.body) for call in fake.made("POST /scrobble")]
    assert asked[0] == {"episode": {"ids": {"tmdb": 1396}}}
    assert (
        asked[1:]
        == [{"show": {"title": "Breaking Bad", "year": 2008}, "episode": {"season": 1, "number": 1}}] * 3
    )


def test_a_resume_point_of_another_item_is_taken_back(server: Server, fake: FakeTrakt) -> None:
    done = send(
        server, replace(MARK, action=Action.PAUSE, item=SHOW_ID_AS_EPISODE_ID, mark=False, progress=40.0)
    )

    assert isinstance(done, Done)
    kept = list(fake.user("anna").playback.values())
    assert [(row["episode"]["title"], row["progress"]) for row in kept] == [("Pilot", 40.0)]


def test_a_rating_goes_by_an_id_only_where_that_is_the_items(server: Server, fake: FakeTrakt) -> None:
    rate = replace(MARK, action=Action.RATE, item=SHOW_ID_AS_EPISODE_ID, mark=False, rating=9)

    rated = send(server, rate)
    refused = send(server, replace(rate, item=NAMELESS))

    kept = fake.user("anna").ratings.values()
    assert isinstance(rated, Done)
    assert isinstance(refused, Unmatched)
    assert [row["episode"]["title"] for row in kept] == ["Pilot"]


# What is no contradiction


def test_a_title_in_another_language_is_known_by_the_search(server: Server, fake: FakeTrakt) -> None:
    film = Movie(title="Tron: El legado", year=2010, ids=Ids(imdb="tt1104001"))
    episode = Episode(show="Totál szívás", season=1, number=1, ids=Ids(tvdb=349232))

    outcomes = [send(server, replace(MARK, item=item)) for item in (film, episode)]

    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    assert seen(fake) == ["TRON: Legacy", "Pilot"]


def test_an_episode_that_trakt_counts_in_another_order_is_accepted_with_a_note(
    server: Server, fake: FakeTrakt
) -> None:
    by_title = replace(PILOT, season=2, number=9)
    by_two_ids = Episode(show="Breaking Bad", title="Teil 1", season=2, number=9,
                         ids=Ids(tvdb=349232, tmdb=62085))  # fmt: skip

    outcomes = [send(server, replace(MARK, item=item)) for item in (by_title, by_two_ids)]

    assert [outcome.note for outcome in outcomes] == ["Trakt counts this episode as 1x01"] * 2
    assert seen(fake) == ["Pilot", "Pilot"]


def theirs(**more: Any) -> TraktItem:
    given: dict[str, Any] = {
        "ids": Ids(trakt=73482, tvdb=349232, tmdb=62085),
        "show_ids": Ids(trakt=1388, tvdb=81189, tmdb=1396),
        "title": "Pilot",
        "show": "Breaking Bad",
        "season": 1,
        "number": 1,
        "year": None,
    }
    return TraktItem(**{**given, **more})


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (PILOT, Match.RIGHT),
        (replace(PILOT, ids=Ids()), Match.RIGHT),
        (replace(PILOT, title="Folge 1"), Match.RIGHT),
        (Episode(ids=Ids(tvdb=349232)), Match.RIGHT),
        (replace(PILOT, show_ids=Ids(tvdb=1)), Match.RIGHT),  # its own id, its place and its title agree
        (replace(PILOT, show="Else", show_ids=Ids(tvdb=1)), Match.WRONG),
        (replace(PILOT, show="Else", show_ids=Ids(tvdb=1), ids=Ids(tvdb=349232, tmdb=62085)), Match.RIGHT),
        (replace(PILOT, ids=Ids(tvdb=5)), Match.RIGHT),  # an id that Trakt has otherwise; all else agrees
        (replace(PILOT, ids=Ids(tvdb=5), title="Else"), Match.WRONG),
        (replace(PILOT, ids=Ids(tvdb=5), show_ids=Ids()), Match.WRONG),
        (replace(PILOT, number=2), Match.RIGHT),
        (replace(PILOT, number=2, title="Else"), Match.WRONG),
        (replace(PILOT, number=2, title=None), Match.RIGHT),
        (replace(PILOT, number=2, title=None, show_ids=Ids()), Match.WRONG),
        (replace(PILOT, number=2, title=None, ids=Ids()), Match.WRONG),
        (replace(PILOT, number=2, numbering="absolute"), Match.RIGHT),
        (replace(PILOT, show="Else", show_ids=Ids()), Match.OPEN),
        (replace(PILOT, show="Else", show_ids=Ids(), ids=Ids(tvdb=349232, tmdb=62085)), Match.RIGHT),
        (Episode(title="Else", ids=Ids(tvdb=349232)), Match.WRONG),
        (SHOW_ID_AS_EPISODE_ID, Match.RIGHT),
    ],
)
def test_an_episode_is_compared_by_show_place_title_and_ids(item: Episode, expected: Match) -> None:
    assert match_item(item, theirs()) is expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (TRON, Match.RIGHT),
        (Movie(ids=Ids(tmdb=20526)), Match.RIGHT),
        (Movie(title="tron legacy", year=2010), Match.RIGHT),
        (replace(TRON, year=2011, ids=Ids(tmdb=20526)), Match.RIGHT),
        (replace(TRON, year=1982, ids=Ids(tmdb=20526)), Match.WRONG),
        (replace(TRON, title="Else", ids=Ids(tmdb=20526)), Match.OPEN),
        (replace(TRON, title="Else", year=1982, ids=Ids(tmdb=20526)), Match.WRONG),
        (replace(TRON, title="Else", year=1982), Match.RIGHT),  # two ids agree
        (replace(TRON, ids=Ids(tmdb=20526, imdb="tt1")), Match.RIGHT),
        (replace(TRON, title="Else", ids=Ids(tmdb=20526, imdb="tt1")), Match.WRONG),
        (replace(TRON, ids=Ids(tmdb=5)), Match.WRONG),
    ],
)
def test_a_film_is_compared_by_ids_title_and_year(item: Movie, expected: Match) -> None:
    ids = Ids(trakt=12601, tmdb=20526, imdb="tt1104001")
    known = theirs(ids=ids, show_ids=Ids(), title="TRON: Legacy", show=None, season=None, number=None)

    assert match_item(item, replace(known, year=2010)) is expected


# Killed in between


@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
def test_a_wrong_mark_whose_undoing_was_cut_off_is_undone_when_it_is_tried_again(
    server: Server, fake: FakeTrakt, late: bool
) -> None:
    fake.faults.add("POST /sync/history/remove", reset=True)

    first = send(server, ways(NAMELESS)[late])
    left = seen(fake)
    again = send(server, replace(ways(NAMELESS)[late], unsure=True))

    assert isinstance(first, Retry)
    assert first.unsure
    assert left == ["Low Tide"]
    assert isinstance(again, Unmatched)
    assert plays(fake) == []


@pytest.mark.parametrize("late", [False, True], ids=["live", "late"])
def test_a_wrong_mark_whose_answer_was_lost_is_undone_when_it_is_looked_up(
    server: Server, fake: FakeTrakt, late: bool
) -> None:
    fake.faults.add("POST /sync/history" if late else "POST /scrobble/stop", record_then="reset")

    first = send(server, ways(SHOW_ID_AS_EPISODE_ID)[late])
    left = seen(fake)
    again = send(server, replace(ways(SHOW_ID_AS_EPISODE_ID)[late], unsure=first.unsure))

    assert isinstance(first, Retry)
    assert left == ["Low Tide"]
    assert isinstance(again, Done)
    assert seen(fake) == ["Pilot"]


def test_a_play_of_another_item_that_another_delivery_made_is_left_alone(
    server: Server, fake: FakeTrakt
) -> None:
    other = Episode(show="Harbour Lights", title="Low Tide", season=1, number=1, ids=Ids(tmdb=1396))

    async def work(at: Account) -> Any:
        made = await at.send(replace(MARK, item=other))
        at.access.handles.add(str(made.remote_id))
        return await decided(at.send(replace(MARK, item=SHOW_ID_AS_EPISODE_ID, unsure=True)))

    outcome = using(server, work)

    assert isinstance(outcome, Done)
    assert seen(fake) == ["Low Tide", "Pilot"]


def test_a_search_that_fails_leaves_open_what_was_marked(server: Server, fake: FakeTrakt) -> None:
    film = Movie(title="Tron: El legado", year=2010, ids=Ids(imdb="tt1104001"))
    fake.faults.add("GET /search", status=503)

    first = send(server, replace(MARK, item=film))
    again = send(server, replace(MARK, item=film, unsure=True))

    assert isinstance(first, Retry)
    assert first.unsure
    assert isinstance(again, Done)
    assert again.answer.startswith("already there")
    assert len(plays(fake)) == 1
