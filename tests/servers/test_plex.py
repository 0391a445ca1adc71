from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests import evening
from tests.fakes._server import Server as Running
from tests.fakes.plex_server import PlexServer
from tests.servers._asked import AT, assert_met, payload, played, webhook
from webhook.domain.event import Episode, Event, Ids, Movie, Track
from webhook.domain.items import keys
from webhook.domain.outcome import Dead
from webhook.servers import Found, plex
from webhook.sources import read_webhook


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(PlexServer()) as server:
        yield server


def history(running: Running) -> list[Found]:
    return played(plex, {"url": running.url, "token": running.fake.switches.token})


def viewed(running: Running, name: str, **more: Any) -> Event:
    """The record of what a payload tells of."""
    metadata = payload(f"plex/{name}")["Metadata"]
    running.fake.view({"librarySectionID": 2, **metadata}, AT, **more)
    return history(running)[-1].event


@pytest.mark.parametrize(
    "name",
    [
        "episode-watched",
        "episode-watched-legacy-agent",
        "episode-watched-hama-anidb",
        "episode-watched-hama-tvdb4",
        "episode-watched-id-and-path-in-guids",
        "episode-watched-titles-of-all-scripts",
        "movie-watched-dates-as-iso",
        "track-started",
        "track-started-on-a-compilation",
        "home-film-watched",
    ],
)
def test_the_record_of_a_play_is_the_webhooks_item_user_and_server(running: Running, name: str) -> None:
    told = webhook(f"plex/{name}")

    recorded = viewed(running, name)

    assert_met(told, recorded)
    assert recorded.item == told.item
    assert recorded.library == told.library
    assert recorded.duration_ms == told.duration_ms
    assert recorded.home_video == told.home_video
    assert recorded.player == "Sofa"


SHOW = "5d9c086c7d06d9001ffd27aa"


def add_show(running: Running, *, episode: bool) -> None:
    show = {"ratingKey": "4600", "type": "show", "title": "Tidewater", "guid": f"plex://show/{SHOW}"}
    running.fake.items["4600"] = {**show, "Guid": [{"id": "tvdb://88"}, {"id": "imdb://tt0000088"}]}
    if episode:
        part = {"ratingKey": "4711", "type": "episode", "grandparentRatingKey": "4600", "title": "Part 1"}
        running.fake.items["4711"] = {**part, "grandparentGuid": f"plex://show/{SHOW}"}


def ids_of(running: Running, plex_id: str = SHOW, shows: tuple[str, ...] = ()) -> Ids | None:
    settings = plex.Settings(url=running.url, token=running.fake.switches.token)

    async def ask() -> Ids | None:
        async with httpx.AsyncClient() as http:
            return await plex.build(settings, http).show_ids(plex_id, shows, ("4711",))

    return asyncio.run(ask())


@pytest.mark.parametrize("episode", [True, False], ids=["by an episode", "by its guid"])
def test_a_show_is_asked_by_which_ids_others_know_it(running: Running, episode: bool) -> None:
    add_show(running, episode=episode)

    assert ids_of(running) == Ids(tvdb=88, imdb="tt0000088")


def test_a_show_that_is_known_by_its_key_is_asked_for_at_once(running: Running) -> None:
    add_show(running, episode=True)

    assert ids_of(running, shows=("4600",)) == Ids(tvdb=88, imdb="tt0000088")
    assert [call.path for call in running.fake.calls if call.path != "/"] == ["/library/metadata/4600"]


def test_the_show_of_another_servers_episode_is_not_taken_for_it(running: Running) -> None:
    add_show(running, episode=True)

    assert ids_of(running, "5d9c086c7d06d9001ffd27bb") is None


def test_the_record_of_a_friends_play_is_of_the_identity_that_the_webhook_names(running: Running) -> None:
    scrobble = evening.plex("media.scrobble", user="Ben")
    scrobble["Account"]["id"] = 70011223
    scrobble["Server"] = {"title": "Attic", "uuid": running.fake.machine}
    told = read_webhook("plex", scrobble, AT)
    assert isinstance(told, list)
    running.fake.accounts[70011223] = "Ben"
    running.fake.view(scrobble["Metadata"], AT, account=70011223)

    assert_met(told[0], history(running)[0].event)


def test_an_owner_without_a_name_here_is_called_as_the_server_is_signed_in(running: Running) -> None:
    running.fake.accounts[1] = ""

    assert viewed(running, "episode-watched").user == "nora@example.org"


def test_a_play_of_somebody_who_was_let_go_is_nobodys_and_still_told(running: Running) -> None:
    recorded = viewed(running, "episode-watched", account=999)

    assert (recorded.user, recorded.user_id) == (None, "999")


def test_an_episode_without_guids_is_known_by_its_show_and_numbers(running: Running) -> None:
    bare = {"ratingKey": "9", "type": "episode", "title": "Pilot", "grandparentTitle": "Tidewater"}
    running.fake.view({**bare, "parentIndex": 1, "index": 3, "guid": "local://9", "librarySectionID": 2}, AT)

    (found,) = history(running)

    assert found.event.item == Episode(title="Pilot", show="Tidewater", season=1, number=3)
    assert found.event.library == "Series"


def test_a_deleted_film_is_told_by_its_title_and_the_year_of_its_release(running: Running) -> None:
    film = {**payload("plex/movie-watched-dates-as-iso")["Metadata"], "originallyAvailableAt": "2016-03-04"}
    running.fake.view(film, AT)
    running.fake.delete("5101")

    (found,) = history(running)

    assert found.event.item == Movie(title="Paper Boats", year=2016)
    assert found.event.item_key is None
    assert found.event.library == "Films"
    assert set(keys(webhook("plex/movie-watched-dates-as-iso").item)) & set(keys(found.event.item))


def test_a_deleted_episode_and_a_deleted_track_keep_their_names(running: Running) -> None:
    running.fake.view(payload("plex/episode-watched")["Metadata"], AT)
    running.fake.view(payload("plex/track-started")["Metadata"], AT)
    running.fake.delete("4101")
    running.fake.delete("6101")

    episode, track = (found.event.item for found in history(running))

    assert episode == Episode(title="The Lantern Room", show="Harbour Street", season=3, number=9)
    assert isinstance(track, Track)
    assert (track.title, track.artist) == ("Salt and Rope", "The Low Tides")


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_one_item_that_is_gone_does_not_cost_the_others_their_ids(
    running: Running, all_or_nothing: bool
) -> None:
    running.fake.switches.all_or_nothing = all_or_nothing
    for number in range(1, 8):
        film = {"ratingKey": str(number), "type": "movie", "title": f"Film {number}", "year": 2001}
        running.fake.view({**film, "Guid": [{"id": f"tmdb://{number}"}]}, AT + timedelta(minutes=number))
    del running.fake.items["5"]

    found = history(running)

    assert [one.event.item.ids.tmdb for one in found] == [1, 2, 3, 4, None, 6, 7]
    assert found[4].event.item.title == "Film 5"


def test_an_item_seen_again_is_two_entries_and_asked_for_once(running: Running) -> None:
    film = payload("plex/movie-watched-dates-as-iso")["Metadata"]
    for day in range(150):
        running.fake.view(film, AT + timedelta(days=day))

    found = history(running)

    assert len({one.key for one in found}) == 150
    assert {one.event.item.ids for one in found} == {Ids(plex="5f00000000000000000000f1", imdb="tt7711001", tmdb=771100)}  # fmt: skip
    assert len([call for call in running.fake.calls if call.path.startswith("/library/metadata")]) == 1


@pytest.mark.parametrize(
    "name", ["trailer-started", "photo-shown", "extra-started-with-the-type-of-its-library"]
)
def test_what_is_no_film_episode_or_track_is_left_out(running: Running, name: str) -> None:
    running.fake.view(payload(f"plex/{name}")["Metadata"], AT)

    assert history(running) == []


def test_television_is_left_out(running: Running) -> None:
    metadata = payload("plex/live-television-started-guid-only")["Metadata"]
    running.fake.view({"ratingKey": "1", **metadata}, AT)

    assert history(running) == []


def test_an_entry_without_a_time_or_of_the_year_1970_is_left_out(running: Running) -> None:
    running.fake.view(payload("plex/episode-watched")["Metadata"], AT)
    running.fake.history[0]["viewedAt"] = 0

    assert history(running) == []


def test_the_token_is_in_no_address(running: Running) -> None:
    viewed(running, "episode-watched")

    assert [call.query for call in running.fake.calls if running.fake.switches.token in call.query] == []


def test_a_token_that_may_not_read_the_accounts_is_not_the_owners(running: Running) -> None:
    running.fake.faults.add("GET /accounts", status=403, body="<html>no</html>")

    with pytest.raises(Dead, match=r"PLEX_TOKEN.*owner"):
        history(running)
