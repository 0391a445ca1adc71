"""The TV Time tracker, against a fake over HTTP, against Watchmark's own, and against a library kept in memory."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.compat import _own
from tests.compat._own import Own, uuid_at
from tests.fakes._inside import Inside
from tests.fakes._server import Server
from tests.fakes.tvtime import MATRIX, NOBODY, TVTime, Viewing
from tests.trackers._access import Access
from webhook.domain.event import Action, Episode, Ids, Kind, Movie, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.history import shelf
from webhook.history.shelf import Shelf
from webhook.people import people
from webhook.storage.db import Database
from webhook.trackers import Delivery, SignInFailed, WatchedItem
from webhook.trackers.tvtime import Settings, build
from webhook.trackers.tvtime.lists import FollowedShow, ShowEpisode

FOLLOW = "https://api2.tozelabs.com/v2/show/{id}/follow"
DAY = timedelta(days=1)
"""After a day, another viewing is one for everybody: Watchmark takes two within four hours for one."""

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
MOONSHINE = Episode(show="Moonshine", season=1, number=2, ids=Ids(tvdb=8685325))
FILM = Movie(title="The Matrix", year=1999, ids=Ids(tvdb=169, imdb="tt0133093"))
WATCHED = Delivery(id=1, action=Action.WATCHED, item=MOONSHINE, at=NOW)
UNWATCHED = replace(WATCHED, action=Action.UNWATCHED)
FILM_WATCHED = replace(WATCHED, item=FILM)

MARKS = "POST /sidecar/api2.tozelabs.com/v2/watched_episodes"
TRACKING = "POST /sidecar/msapi.tvtime.com/prod/v1/tracking"
WATCHES = "GET /sidecar/msapi.tvtime.com/prod/v1/tracking/watches"
FOLLOWED = "GET /sidecar/msapi.tvtime.com/prod/v1/tracking/cgw/follows"
SEARCH = "GET /sidecar/search.tvtime.com"
EPISODES = "GET /sidecar/msapi.tvtime.com/v1/series"
EXTENDED = "GET /sidecar/api2.tozelabs.com/v2/show"
MINT = "POST /sidecar/api2.tozelabs.com/v2/user"
LOGIN = "POST /sidecar/auth.tvtime.com"
RENEWAL = "GET /sidecar/api2.tozelabs.com/v2/user"
PAGE = "<!DOCTYPE html><html><title>Oops</title></html>"


class Signed:
    """A tracker, an account signed in to it, and what can be done with both."""

    def __init__(self, url: str, tokens: dict[str, str] | None = None, transport: Any = None) -> None:
        self.url, self.transport = url, transport
        self.access = Access(tokens)

    def run(self, act: Callable[[Any], Awaitable[Any]], patience: float = 1) -> Any:
        async def acted() -> Any:
            async with httpx.AsyncClient(timeout=patience, transport=self.transport) as http:
                self.access.tracker = build(Settings(url=self.url), http)
                return await act(self.access.tracker)

        return asyncio.run(acted())

    def send(self, delivery: Delivery) -> Done:
        return self.run(lambda tracker: tracker.send(delivery, self.access))

    def refused(self, delivery: Delivery) -> Undelivered:
        with pytest.raises(Undelivered) as raised:
            self.send(delivery)
        return raised.value

    def check(self) -> str:
        return self.run(lambda tracker: tracker.check(self.access))

    def login(self, name: str, password: str = "secret") -> dict[str, Any]:
        # Where a password is well kept, checking it takes a while.
        return self.run(lambda tracker: tracker.login(name, password), patience=10)

    def refresh(self) -> dict[str, Any]:
        return self.run(lambda tracker: tracker.refresh(self.access.tokens))


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """The fake, and Watchmark's own behind a network of the tests."""
    with Inside(TVTime()) as fake, Server(TVTime()) as own:
        yield {"fake": fake, "own": own}
    _own.close()


@pytest.fixture(params=["fake", "own"])
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


only_the_fake = pytest.mark.parametrize("which", ["fake"])
"""What the service is made to be here, Watchmark is not."""


@pytest.fixture
def running(which: str, servers: dict[str, Server]) -> Server:
    servers[which].fake = TVTime() if which == "fake" else Own()
    return servers[which]


@pytest.fixture
def fake(running: Server) -> Any:
    return running.fake


@pytest.fixture
def origin(which: str, running: Server) -> str:
    """The origin of the service."""
    return running.url if which == "fake" else f"{running.url}/tvtime"


@pytest.fixture
def user(fake: Any) -> Any:
    return fake.add_user("anna", "secret")


@pytest.fixture
def anna(origin: str, user: Any) -> Signed:
    return Signed(origin, dict(user.tokens))


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens any more."""
    with Server(TVTime()) as server:
        return server.url


# ---- settings


def test_without_an_address_it_is_the_built_in_library_and_needs_no_sign_in() -> None:
    tracker = build(Settings(), httpx.AsyncClient())

    assert (tracker.sign_in, tracker.host, tracker.writes_per_second) == ("none", "", 0)


def test_with_an_address_it_is_a_server_signed_in_to_by_password() -> None:
    tracker = build(Settings(url="http://box.lan:1234/", writes_per_second=2), httpx.AsyncClient())

    assert (tracker.sign_in, tracker.host, tracker.writes_per_second) == ("password", "box.lan", 2)
    assert tracker.needs == {Kind.EPISODE: ("tvdb",)}


@pytest.mark.parametrize("url", ["https://box.lan", " https://box.lan/ ", "https://box.lan/sidecar"])
def test_the_address_is_the_origin_however_it_is_written(url: str) -> None:
    assert Settings(url=url).url == "https://box.lan"


@pytest.mark.parametrize("url", ["box.lan:1234", "ftp://box.lan", "http://"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(url=url)


@pytest.mark.parametrize("url", ["", " ", f" {FOLLOW} ", "http://box.lan/follow?show={id}&of=me"])
def test_what_a_show_is_followed_by_is_an_address_with_its_id_in_it(url: str) -> None:
    assert Settings(follow_url=url).follow_url == url.strip()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://box.lan/show/follow", r"must have \{id\} in it"),
        ("https://box.lan/show/{ID}/follow", r"must have \{id\} in it"),
        ("box.lan/show/{id}/follow", "must begin with http"),
        ("ftp://box.lan/{id}", "must begin with http"),
        ("https://{id}:x/", "no address"),
    ],
)
def test_another_address_to_follow_by_is_refused_at_the_start(url: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(follow_url=url)


# ---- the built-in library


@pytest.mark.parametrize("item", [MOONSHINE, FILM], ids=["episode", "movie"])
def test_the_library_is_told_of_what_was_watched(item: Episode | Movie) -> None:
    home = Signed("")

    done = home.send(replace(WATCHED, item=item, rewatch=True))

    assert done == Done(answer="marked")
    assert home.access.library.marks == [(item, NOW, True)]


@pytest.mark.parametrize("item", [MOONSHINE, FILM], ids=["episode", "movie"])
def test_the_library_is_told_of_what_was_unwatched(item: Episode | Movie) -> None:
    home = Signed("")
    home.send(replace(WATCHED, item=item))

    done = home.send(replace(UNWATCHED, item=item))

    assert done == Done(answer="unmarked")
    assert home.access.library.marks == []


@pytest.mark.parametrize("delivery", [WATCHED, UNWATCHED], ids=["watched", "unwatched"])
def test_an_episode_without_tvdb_id_is_unmatched_in_the_library(delivery: Delivery) -> None:
    home = Signed("")

    error = home.refused(replace(delivery, item=replace(MOONSHINE, ids=Ids(imdb="tt1"))))

    assert isinstance(error, Unmatched)
    assert "TheTVDB" in error.reason


def test_the_library_has_no_account_to_check_or_sign_in_to() -> None:
    home = Signed("")

    assert home.check() == "built-in library"
    with pytest.raises(SignInFailed, match="TVTIME_URL"):
        home.login("anna")


# ---- episodes


def test_an_episode_is_marked_by_its_tvdb_id(anna: Signed, fake: Any, user: Any) -> None:
    done = anna.send(WATCHED)

    call = fake.calls[-1]
    assert done == Done(answer="Moonshine S1E2 marked watched")
    assert (call.method, call.query, call.body) == ("POST", "is_rewatch=0", None)
    assert user.watched[8685325].rewatch_count == 0


def test_a_mark_names_itself_and_carries_nothing_but_the_token(anna: Signed, fake: Any, user: Any) -> None:
    anna.send(WATCHED)

    headers = fake.calls[-1].headers
    assert headers["user-agent"].startswith("Watchmark/")
    assert headers["authorization"] == f"Bearer {user.tokens['jwt_token']}"
    assert "content-type" not in headers
    assert "secret" not in str(fake.calls)


def test_a_mark_told_twice_is_one_viewing(anna: Signed, user: Any) -> None:
    anna.send(WATCHED)
    anna.send(replace(WATCHED, unsure=True))

    assert user.watched[8685325].rewatch_count == 0


def test_a_rewatch_counts(anna: Signed, fake: Any, user: Any) -> None:
    anna.send(WATCHED)
    fake.clock.advance(DAY)

    done = anna.send(replace(WATCHED, rewatch=True))

    assert done.answer == "Moonshine S1E2 counted as watched again"
    assert user.watched[8685325].rewatch_count == 1


def test_a_late_mark_is_sent_and_its_answer_says_who_dates_it(anna: Signed, user: Any) -> None:
    done = anna.send(replace(WATCHED, late=True))

    assert "TV Time dates it by itself" in done.answer
    assert 8685325 in user.watched


def test_a_note_says_where_tv_time_counts_the_episode_differently(anna: Signed) -> None:
    done = anna.send(replace(WATCHED, item=replace(MOONSHINE, number=3)))

    assert done.note == "The media server calls it S1E3, TV Time calls it Moonshine S1E2."


def test_no_note_is_made_of_numbers_that_need_a_mapping_first(anna: Signed) -> None:
    done = anna.send(replace(WATCHED, item=replace(MOONSHINE, number=3, numbering="mapped")))

    assert done.note is None


def test_an_episode_is_unmarked(anna: Signed, user: Any) -> None:
    anna.send(WATCHED)

    done = anna.send(UNWATCHED)

    assert done.answer == "Episode 8685325 is no longer marked watched"
    assert user.watched == {}


def test_an_unmark_may_be_answered_with_nothing(anna: Signed, fake: Any) -> None:
    fake.faults.add("DELETE /sidecar", status=204)

    assert anna.send(UNWATCHED).answer


def test_an_episode_without_tvdb_id_is_unmatched_before_any_call(anna: Signed, fake: Any) -> None:
    error = anna.refused(replace(WATCHED, item=replace(MOONSHINE, ids=Ids())))

    assert isinstance(error, Unmatched)
    assert fake.calls == []


def test_what_it_cannot_be_told_is_dead(anna: Signed) -> None:
    track = anna.refused(replace(WATCHED, item=Track(title="Jolene")))
    start = anna.refused(replace(WATCHED, action=Action.START))

    assert isinstance(track, Dead)
    assert isinstance(start, Dead)


# ---- a rewatch whose answer was lost


@pytest.mark.parametrize("item", [MOONSHINE, FILM], ids=["episode", "movie"])
@pytest.mark.parametrize(
    "fault", [{"record_then": 502}, {"record_then": "silence"}, {"record_then": "reset"}]
)
def test_a_rewatch_that_arrived_unseen_is_not_sent_again(
    anna: Signed, fake: Any, user: Any, item: Episode | Movie, fault: dict[str, Any]
) -> None:
    delivery = replace(WATCHED, item=item)
    anna.send(delivery)
    fake.clock.advance(DAY)
    fake.faults.add("POST /sidecar", **fault)
    lost = anna.refused(replace(delivery, rewatch=True))

    done = anna.send(replace(delivery, rewatch=True, unsure=True))

    assert isinstance(lost, Retry)
    assert lost.unsure
    assert done.answer == "TV Time counts 2 viewings already"
    assert done.note
    assert [one.rewatch_count for one in (*user.watched.values(), *user.movies.values())] == [1]


@pytest.mark.parametrize("item", [MOONSHINE, FILM], ids=["episode", "movie"])
def test_a_rewatch_that_did_not_arrive_is_sent_again(
    anna: Signed, fake: Any, user: Any, item: Episode | Movie
) -> None:
    delivery = replace(WATCHED, item=item)
    anna.send(delivery)
    fake.clock.advance(DAY)
    fake.faults.add("POST /sidecar", status=502)
    anna.refused(replace(delivery, rewatch=True))

    anna.send(replace(delivery, rewatch=True, unsure=True))

    assert [one.rewatch_count for one in (*user.watched.values(), *user.movies.values())] == [1]


@pytest.mark.parametrize("paging", ["kept", "ignored", "repeated"])
@only_the_fake
def test_the_look_at_the_movies_watched_ends_however_they_are_paged(
    anna: Signed, fake: Any, user: Any, paging: str
) -> None:
    now = fake.clock.now()
    user.movies = {f"film-{number}": Viewing(at=now, updated_at=now) for number in range(250)}
    fake.switches.paging = paging

    anna.send(replace(FILM_WATCHED, rewatch=True, unsure=True))

    assert len(fake.made(WATCHES)) == {"kept": 3, "ignored": 1, "repeated": 2}[paging]


@only_the_fake
def test_an_empty_list_is_read_again_with_a_newer_token(anna: Signed, fake: Any, user: Any) -> None:
    film = replace(FILM_WATCHED, item=replace(FILM, ids=Ids(tvtime=MATRIX.uuid)))
    anna.send(film)
    anna.send(replace(film, rewatch=True))
    fake.switches.expired_reads_are_empty = True
    fake.end("anna", "access")

    done = anna.send(replace(film, rewatch=True, unsure=True))

    assert "2 viewings" in done.answer
    assert anna.access.renewals == 1
    assert user.movies[uuid_at(fake, MATRIX)].rewatch_count == 1


# ---- movies


@pytest.mark.parametrize(
    "ids",
    [Ids(tvdb=169), Ids(imdb="tt0133093"), Ids(tvdb=169, imdb="tt0133093"), Ids(tmdb=603, imdb="tt0133093")],
)
def test_a_movie_is_found_by_id_and_marked(anna: Signed, fake: Any, user: Any, ids: Ids) -> None:
    done = anna.send(replace(FILM_WATCHED, item=replace(FILM, ids=ids)))

    assert done == Done(answer="The Matrix marked watched", remote_id=uuid_at(fake, MATRIX))
    assert list(user.movies) == [uuid_at(fake, MATRIX)]


def test_a_movie_known_by_tv_times_own_id_is_not_searched_for(anna: Signed, fake: Any, user: Any) -> None:
    anna.send(replace(FILM_WATCHED, item=replace(FILM, ids=Ids(tvtime=uuid_at(fake, NOBODY)))))

    assert fake.made(SEARCH) == []
    assert list(user.movies) == [uuid_at(fake, NOBODY)]


def test_a_movie_rewatched_counts(anna: Signed, fake: Any, user: Any) -> None:
    anna.send(FILM_WATCHED)
    fake.clock.advance(DAY)
    anna.send(replace(FILM_WATCHED, rewatch=True))

    assert user.movies[uuid_at(fake, MATRIX)].rewatch_count == 1


def test_a_movie_found_by_title_alone_waits_for_a_choice(anna: Signed, fake: Any, user: Any) -> None:
    error = anna.refused(replace(FILM_WATCHED, item=replace(FILM, ids=Ids(tmdb=603))))

    assert isinstance(error, Unmatched)
    assert error.candidates == [
        {
            "kind": "movie",
            "title": "The Matrix",
            "year": None,
            "ids": {"tvdb": 169, "imdb": "tt0133093", "tvtime": uuid_at(fake, MATRIX)},
        }
    ]
    assert user.movies == {}


def test_a_movie_whose_ids_contradict_each_other_waits_for_a_choice(anna: Signed, user: Any) -> None:
    error = anna.refused(replace(FILM_WATCHED, item=replace(FILM, ids=Ids(tvdb=169, imdb="tt0485947"))))

    assert isinstance(error, Unmatched)
    assert {candidate["title"] for candidate in error.candidates} == {"The Matrix", "Mr. Nobody"}
    assert user.movies == {}


def test_a_series_of_the_same_id_is_not_taken_for_the_movie(anna: Signed, fake: Any) -> None:
    row = {"id": 169, "uuid": "u", "name": "The Matrix", "type": "series", "imdb_id": "tt0133093"}
    fake.faults.add(SEARCH, body={"status": "success", "data": [row]}, times=3)

    error = anna.refused(FILM_WATCHED)

    assert isinstance(error, Unmatched)
    assert error.candidates == []


def test_a_movie_nothing_is_known_of_is_unmatched(anna: Signed) -> None:
    assert isinstance(anna.refused(replace(FILM_WATCHED, item=Movie())), Unmatched)


def test_there_is_no_call_to_unwatch_a_movie(anna: Signed, fake: Any) -> None:
    error = anna.refused(replace(UNWATCHED, item=FILM))

    assert isinstance(error, Dead)
    assert error.reason == "TV Time has no known call to unwatch a movie"
    assert fake.calls == []


# ---- when it does not work


def test_an_expired_token_is_renewed_once_and_the_call_repeated(anna: Signed, fake: Any, user: Any) -> None:
    fake.clock.advance(timedelta(days=61))

    anna.send(WATCHED)

    assert [call.status for call in fake.made(MARKS)] == [401, 200]
    assert anna.access.renewals == 1
    assert 8685325 in user.watched


def test_a_refusal_of_the_newer_token_too_is_signed_out(anna: Signed, fake: Any) -> None:
    fake.faults.add(MARKS, status=401, body={"status": "error", "message": "Unauthorized"}, times=-1)

    error = anna.refused(WATCHED)

    assert isinstance(error, Snooze)
    assert error.park is Park.SIGNED_OUT
    assert len(fake.made(MARKS)) == 2


def test_a_dead_refresh_token_is_signed_out(anna: Signed, fake: Any) -> None:
    fake.end("anna", "access", "refresh")

    error = anna.refused(WATCHED)

    assert isinstance(error, Snooze)
    assert error.park is Park.SIGNED_OUT
    assert len(fake.made(MARKS)) == 1


TOO_MANY = {"code": 403, "result": "KO", "message": "API rate limit exceeded."}
INTERNAL = {"error": {"code": 500, "message": None}}
ANSWERS: dict[str, tuple[dict[str, Any], type[Undelivered], dict[str, Any]]] = {
    "busy, in seconds": (
        {"status": 429, "headers": {"Retry-After": "120"}},
        Snooze,
        {"after": timedelta(seconds=120), "park": None},
    ),
    "busy, without a time": ({"status": 429}, Snooze, {"after": timedelta(minutes=5), "park": None}),
    "busy, in the envelope": ({"body": TOO_MANY}, Snooze, {"park": None}),
    "internal error": ({"status": 500, "body": INTERNAL}, Retry, {"unsure": True}),
    "internal error with status 200": ({"body": INTERNAL}, Retry, {"unsure": True}),
    "bad gateway page": ({"status": 502, "body": PAGE}, Retry, {"unsure": True}),
    "unavailable page": ({"status": 503, "body": PAGE}, Retry, {"unsure": False}),
    "gateway timeout page": ({"status": 504, "body": PAGE}, Retry, {"unsure": True}),
    "page with status 200": ({"status": 200, "body": PAGE}, Retry, {"unsure": True}),
    "Cloudflare's page": ({"status": 403, "body": PAGE}, Retry, {"unsure": False}),
    "another server's page": ({"status": 404, "body": PAGE}, Retry, {"unsure": False}),
    "truncated JSON": ({"status": 200, "body": '{"result":"OK","id":86853'}, Retry, {"unsure": True}),
    "cut off": ({"body": {"result": "OK"}, "cut": 5}, Retry, {"unsure": True}),
    "an empty object": ({"body": {}}, Retry, {"unsure": True}),
    "an empty list": ({"body": []}, Retry, {"unsure": True}),
    "nothing": ({"status": 200}, Retry, {"unsure": True}),
    "reset": ({"reset": True}, Retry, {"unsure": True}),
    "silence": ({"record_then": "silence"}, Retry, {"unsure": True}),
    "unknown episode": ({"body": {"result": "KO", "message": "Unknown episode"}}, Unmatched, {}),
    "another KO": ({"body": {"result": "KO", "message": "Show is hidden"}}, Dead, {}),
    "status error": ({"body": {"status": "error", "message": "Broken"}}, Dead, {}),
    "status fail": ({"body": {"status": "fail", "message": "Broken"}}, Dead, {}),
    "no API key": ({"status": 403, "body": {"message": "MissingAPIKey"}}, Dead, {}),
    "forbidden": ({"status": 403, "body": {"message": "No"}}, Dead, {}),
    "not found": ({"status": 404, "body": {"message": "Not found"}}, Unmatched, {}),
    "gone": ({"status": 410}, Dead, {}),
    "bad request": ({"status": 400}, Dead, {}),
    "sent elsewhere": ({"status": 302, "headers": {"Location": "/elsewhere"}}, Dead, {}),
    "closed": (
        {"status": 404, "headers": {"server": "awselb/2.0"}},
        Snooze,
        {"park": Park.SERVICE_CLOSED},
    ),
}


@pytest.mark.parametrize(("fault", "means", "so"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("route", [MARKS, TRACKING], ids=["episode", "movie"])
def test_each_answer_asks_for_what_it_means(
    anna: Signed, fake: Any, route: str, fault: dict[str, Any], means: type, so: dict[str, Any]
) -> None:
    fake.faults.add(route, **fault)

    error = anna.refused(WATCHED if route == MARKS else FILM_WATCHED)

    assert type(error) is means
    assert {name: getattr(error, name) for name in so} == so


def test_the_services_own_words_are_kept(anna: Signed, fake: Any) -> None:
    fake.faults.add(MARKS, body={"result": "KO", "message": "Show is hidden"})

    error = anna.refused(WATCHED)

    assert error.reason == "TV Time answered KO: Show is hidden"
    assert "Show is hidden" in str(error.answer)


def test_a_busy_service_may_say_when_by_date(anna: Signed, fake: Any) -> None:
    when = datetime.now(UTC) + timedelta(minutes=10)
    fake.faults.add(MARKS, status=429, headers={"Retry-After": format_datetime(when, usegmt=True)})

    error = anna.refused(WATCHED)

    assert isinstance(error, Snooze)
    assert error.after is not None
    assert timedelta(minutes=9) < error.after <= timedelta(minutes=10)


@only_the_fake
def test_an_episode_the_service_does_not_know_is_unmatched(anna: Signed, fake: Any) -> None:
    fake.switches.unknown_episodes = [8685325]

    assert isinstance(anna.refused(WATCHED), Unmatched)


@only_the_fake
def test_a_slow_answer_is_waited_for_until_the_clients_patience_ends(anna: Signed, fake: Any) -> None:
    fake.switches.slow_body = 0.1
    anna.send(WATCHED)
    fake.switches.slow_body = 1.5

    error = anna.refused(WATCHED)

    assert isinstance(error, Retry)
    assert error.unsure


def test_a_server_that_is_not_there_is_tried_again(nobody: str, user: Any) -> None:
    error = Signed(nobody, dict(user.tokens)).refused(WATCHED)

    assert isinstance(error, Retry)
    assert not error.unsure


@pytest.mark.parametrize("url", ["https://app.tvtime.com", "https://api2.tozelabs.com", "https://tvtime.com"])
def test_the_services_own_host_that_is_not_there_has_closed(url: str) -> None:
    error = Signed(url, {"jwt_token": "t"}, unreachable()).refused(WATCHED)

    assert isinstance(error, Snooze)
    assert error.park is Park.SERVICE_CLOSED


def test_a_host_that_only_sounds_like_the_service_is_tried_again() -> None:
    error = Signed("https://nottvtime.com", {"jwt_token": "t"}, unreachable()).refused(WATCHED)

    assert isinstance(error, Retry)


def test_the_services_own_host_that_breaks_off_is_tried_again() -> None:
    error = Signed("https://app.tvtime.com", {"jwt_token": "t"}, unreachable(httpx.ReadTimeout)).refused(
        WATCHED
    )

    assert isinstance(error, Retry)


def unreachable(error: type[httpx.TransportError] = httpx.ConnectError) -> httpx.MockTransport:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("No route to host", request=request)

    return httpx.MockTransport(fail)


# ---- signing in


def test_a_name_and_password_become_tokens(origin: str, fake: Any, user: Any) -> None:
    tokens = Signed(origin).login(user.name)

    assert tokens.keys() == {"id", "jwt_token", "jwt_refresh_token"}
    assert tokens["id"] == str(user.id)
    assert Signed(origin, tokens).send(WATCHED).answer


def test_a_login_mints_a_session_first_and_sends_the_password_once(origin: str, fake: Any, user: Any) -> None:
    Signed(origin).login(user.name)

    minted, signed = fake.calls
    assert (minted.method, minted.body, "authorization" in minted.headers) == ("POST", None, False)
    assert signed.body == {"username": user.name, "password": "secret"}
    assert signed.headers["content-type"] == "application/json"
    assert signed.headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", "secret"), ("facebook", "secret")]
)
def test_a_wrong_name_or_password_says_so_and_what_else_it_may_be(
    origin: str, fake: Any, user: Any, name: str, password: str
) -> None:
    fake.add_user("facebook")

    with pytest.raises(SignInFailed, match=r"did not accept this name.*Facebook or Google") as failed:
        Signed(origin).login(name, password)

    assert password not in str(failed.value)


FAILED_LOGINS: dict[str, tuple[str, dict[str, Any], str]] = {
    "the login is refused with 400": (LOGIN, {"status": 400}, "did not accept"),
    "the login is refused with 403": (LOGIN, {"status": 403, "body": {"message": "No"}}, "did not accept"),
    "the login is refused with 200": (LOGIN, {"body": {"status": "fail", "message": "No"}}, "did not accept"),
    "the login is too fast": (LOGIN, {"status": 429}, "slower pace.*later"),
    "the login meets trouble": (LOGIN, {"status": 502, "body": PAGE}, "502.*later"),
    "the login meets a page": (LOGIN, {"status": 403, "body": PAGE}, "web page.*later"),
    "the login gives no token": (LOGIN, {"body": {"status": "success", "data": {}}}, "without a token"),
    "the login is answered with nothing": (LOGIN, {"status": 200}, "without a token"),
    "the session is refused": (MINT, {"status": 500, "body": INTERNAL}, "500.*later"),
    "the session meets a page": (MINT, {"status": 200, "body": PAGE}, "web page.*later"),
    "the session is none": (MINT, {"body": {}}, "without a token"),
    "the service has closed": (MINT, {"status": 404, "headers": {"server": "awselb/2.0"}}, "has closed"),
}


@pytest.mark.parametrize(("route", "fault", "says"), FAILED_LOGINS.values(), ids=FAILED_LOGINS)
def test_each_failed_login_says_why(
    origin: str, fake: Any, user: Any, route: str, fault: dict[str, Any], says: str
) -> None:
    fake.faults.add(route, **fault)

    with pytest.raises(SignInFailed, match=says):
        Signed(origin).login(user.name)


def test_a_login_where_nobody_answers_says_so(nobody: str) -> None:
    with pytest.raises(SignInFailed, match="cannot be reached"):
        Signed(nobody).login("anna")


def test_a_login_at_the_services_own_host_says_that_it_has_closed() -> None:
    with pytest.raises(SignInFailed, match="has closed"):
        Signed("https://app.tvtime.com", transport=unreachable()).login("anna")


def test_a_renewal_gives_a_newer_token_and_keeps_the_refresh_token(
    anna: Signed, fake: Any, user: Any
) -> None:
    fake.clock.advance(timedelta(days=61))

    tokens = anna.refresh()

    assert tokens["jwt_token"] != anna.access.tokens["jwt_token"]
    assert tokens["jwt_refresh_token"] == anna.access.tokens["jwt_refresh_token"]
    assert tokens["id"] == str(user.id)


RENEWALS: dict[str, tuple[dict[str, Any], type[Undelivered], Park | None]] = {
    "401": ({"status": 401}, Snooze, Park.SIGNED_OUT),
    "403": ({"status": 403, "body": {"message": "No"}}, Snooze, Park.SIGNED_OUT),
    "404": ({"status": 404, "body": {"message": "No user"}}, Snooze, Park.SIGNED_OUT),
    "KO": ({"body": {"result": "KO", "message": "No"}}, Snooze, Park.SIGNED_OUT),
    "429": ({"status": 429}, Snooze, None),
    "502": ({"status": 502, "body": PAGE}, Retry, None),
    "Cloudflare": ({"status": 403, "body": PAGE}, Retry, None),
    "no token": ({"body": {}}, Retry, None),
    "closed": ({"status": 404, "headers": {"server": "awselb/2.0"}}, Snooze, Park.SERVICE_CLOSED),
}


@pytest.mark.parametrize(("fault", "means", "park"), RENEWALS.values(), ids=RENEWALS)
def test_a_renewal_that_fails_is_signed_out_or_tried_again(
    anna: Signed, fake: Any, fault: dict[str, Any], means: type[Undelivered], park: Park | None
) -> None:
    fake.faults.add(RENEWAL, **fault)

    with pytest.raises(means) as raised:
        anna.refresh()

    assert getattr(raised.value, "park", None) is park


def test_half_an_answer_to_a_renewal_is_not_kept_for_people_to_see(anna: Signed, fake: Any) -> None:
    fake.faults.add(RENEWAL, status=200, body='{"id":"20000001","jwt_token":"eyJsecret')

    with pytest.raises(Retry) as raised:
        anna.refresh()

    assert raised.value.answer is None


def token(**claims: Any) -> dict[str, str]:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return {"jwt_token": f"e30.{middle}.signature"}


@pytest.mark.parametrize(
    ("tokens", "stale"),
    [
        (token(exp=(NOW + timedelta(hours=25)).timestamp()), False),
        (token(exp=(NOW + timedelta(hours=23)).timestamp()), True),
        (token(exp=int((NOW - timedelta(days=9)).timestamp())), True),
        (token(), False),
        (token(exp="soon"), False),
        (token(exp=10**30), False),
        ({"jwt_token": "opaque"}, False),
        ({"jwt_token": "a.!!!.c"}, False),
        ({"jwt_token": "a.bm8.c"}, False),
        ({}, False),
    ],
)
def test_a_token_with_less_than_a_day_left_is_stale(tokens: dict[str, str], stale: bool) -> None:
    tracker = build(Settings(url="http://box.lan"), httpx.AsyncClient())

    assert tracker.stale(tokens, NOW) is stale


def test_the_user_may_be_known_by_the_token_alone(origin: str, user: Any) -> None:
    assert Signed(origin, {"jwt_token": user.tokens["jwt_token"]}).check() == user.name


def test_a_check_gives_the_accounts_name(anna: Signed, user: Any) -> None:
    assert anna.check() == user.name


def test_a_check_of_a_lost_sign_in_says_that_it_is_lost(anna: Signed, fake: Any) -> None:
    fake.end("anna", "access", "refresh")

    with pytest.raises(Snooze) as raised:
        anna.check()

    assert raised.value.park is Park.SIGNED_OUT


# ---- what the account holds


def held(at: Signed, since: datetime | None = None) -> list[WatchedItem]:
    async def read(tracker: Any) -> list[WatchedItem]:
        return [one async for one in tracker.history(at.access, since)]

    return at.run(read)


def test_the_built_in_library_is_read_where_there_is_no_server() -> None:
    mine = Signed("")
    mine.send(WATCHED)
    mine.send(replace(FILM_WATCHED, at=NOW - timedelta(days=1)))

    assert held(mine) == [
        WatchedItem(item=MOONSHINE, at=NOW),
        WatchedItem(item=FILM, at=NOW - timedelta(days=1)),
    ]
    assert held(mine, NOW) == [WatchedItem(item=MOONSHINE, at=NOW)]


def test_a_server_s_episodes_and_movies_are_held_by_their_ids(anna: Signed, fake: Any, user: Any) -> None:
    anna.send(WATCHED)
    anna.send(FILM_WATCHED)

    episode, film = held(anna)

    assert episode.item == Episode(ids=Ids(tvdb=8685325), show_ids=Ids(tvdb=398096))
    assert episode.at == user.watched[8685325].at
    uuid = uuid_at(fake, MATRIX)
    ids = Ids(tvtime=uuid, tvdb=169, imdb="tt0133093")
    assert film == WatchedItem(
        item=Movie(title="The Matrix", ids=ids), at=user.movies[uuid].at, remote_id=uuid
    )


def test_a_movie_that_is_only_followed_is_not_held(anna: Signed, fake: Any) -> None:
    rows = [
        {"uuid": "a", "filter": ["all", "not_watched"], "meta": {"name": "Later"}},
        {"uuid": "b", "extended": {"is_watched": True}, "meta": {"first_release_date": "2009-01-01"}},
    ]
    fake.faults.add(FOLLOWED, body={"status": "success", "data": {"objects": rows}})

    assert held(anna) == [WatchedItem(item=Movie(year=2009, ids=Ids(tvtime="b")), at=None, remote_id="b")]


@pytest.mark.parametrize("paging", ["kept", "ignored", "repeated"])
@only_the_fake
def test_a_list_ends_however_it_is_paged(anna: Signed, fake: Any, user: Any, paging: str) -> None:
    now = fake.clock.now()
    user.watched = {number: Viewing(at=now, updated_at=now) for number in range(1, 251)}
    fake.switches.paging = paging

    found = held(anna)

    assert len(found) == len({one.item.ids for one in found}) == (100 if paging == "repeated" else 250)


@only_the_fake
def test_a_token_that_expires_while_a_list_is_read_does_not_cut_it_off(
    anna: Signed, fake: Any, user: Any
) -> None:
    now = fake.clock.now()
    user.watched = {number: Viewing(at=now, updated_at=now) for number in range(1, 251)}
    fake.switches.expired_reads_are_empty = True
    found: list[WatchedItem] = []

    async def read(tracker: Any) -> None:
        async for one in tracker.history(anna.access):
            if not found:
                fake.end("anna", "access")
            found.append(one)

    anna.run(read)

    assert len(found) == 250
    assert anna.access.renewals == 1


# ---- shows


def test_the_shows_that_an_account_follows_are_read_with_their_counts(anna: Signed) -> None:
    anna.send(WATCHED)
    anna.run(
        lambda tracker: tracker.lists.parts(anna.access, 398096)
    )  # Watchmark lists a show when it is asked

    shows = anna.run(lambda tracker: tracker.lists.shows(anna.access))

    assert shows == [FollowedShow(show=398096, title="Moonshine", watched=1, aired=8)]


def test_whoever_follows_nothing_has_no_shows(anna: Signed) -> None:
    assert anna.run(lambda tracker: tracker.lists.shows(anna.access)) == []


def test_a_show_s_episodes_are_read_in_order_with_what_is_watched(anna: Signed) -> None:
    anna.send(WATCHED)

    parts = anna.run(lambda tracker: tracker.lists.parts(anna.access, 398096))

    assert [(one.id, one.season, one.number) for one in parts] == [
        (8685323 + number, 1, number) for number in range(1, 9)
    ]
    assert [one.id for one in parts if one.watched] == [8685325]


def test_what_was_watched_is_read_with_its_show(anna: Signed) -> None:
    anna.send(WATCHED)

    (watch,) = anna.run(lambda tracker: tracker.lists.watches(anna.access))

    assert (watch.episode, watch.show) == (8685325, 398096)


@only_the_fake
def test_every_viewing_of_an_episode_took_its_time(anna: Signed) -> None:
    anna.send(WATCHED)
    anna.send(replace(WATCHED, rewatch=True))

    (watch,) = anna.run(lambda tracker: tracker.lists.watches(anna.access))

    assert watch.seconds == 2 * 2700


@only_the_fake
@pytest.mark.parametrize(
    "row", [{}, {"id": 1}, {"id": "x", "number": 1, "season": {"number": 1}}, {"id": 1, "number": 1}, {
        "id": 1, "number": "9" * 30, "season": {"number": 1}}, {"id": 1, "number": 1, "season": 1}],
)  # fmt: skip
def test_an_episode_without_its_id_or_its_place_is_left_out(
    anna: Signed, fake: Any, row: dict[str, Any]
) -> None:
    whole = {"id": 8685324, "number": "1", "season": {"number": 1}, "air_date": "2021-09-22T00:00:00Z"}
    fake.faults.add(EPISODES, body={"status": "success", "data": [row, whole, None, 7]})
    fake.faults.add(EXTENDED, status=404, body={"status": "error"})

    parts = anna.run(lambda tracker: tracker.lists.parts(anna.access, 398096))

    assert parts == [
        ShowEpisode(id=8685324, season=1, number=1, title=None, aired="2021-09-22", watched=False)
    ]


def following(anna: Signed, url: str, act: str = "follow") -> None:
    async def acted() -> None:
        async with httpx.AsyncClient() as http:
            tracker = build(Settings(url=anna.url, follow_url=url), http)
            anna.access.tracker = tracker
            await getattr(tracker, act)(anna.access, 366529)

    asyncio.run(acted())


@only_the_fake
def test_a_show_is_followed_and_unfollowed_by_the_address_that_is_set(
    anna: Signed, fake: Any, user: Any
) -> None:
    fake.switches.follow_hint = True
    fake.end("anna", "access")

    following(anna, FOLLOW)
    followed = list(user.followed)
    following(anna, FOLLOW, "unfollow")

    assert (followed, list(user.followed)) == ([366529], [])
    assert [call.status for call in fake.made("PUT /sidecar/api2.tozelabs.com")] == [401, 200]
    assert anna.access.renewals == 1


@pytest.mark.breaks_contracts  # the address is a setting
@only_the_fake
def test_a_query_of_that_address_goes_beside_it(anna: Signed, fake: Any) -> None:
    with pytest.raises(Unmatched):
        following(anna, "https://api2.tozelabs.com/v2/nothing?show={id}&of=me")

    assert (fake.calls[-1].path, fake.calls[-1].query) == (
        "/sidecar/api2.tozelabs.com/v2/nothing",
        "show=366529&of=me",
    )


def test_without_that_address_no_show_is_followed(anna: Signed, fake: Any) -> None:
    with pytest.raises(Dead, match="TVTIME_FOLLOW_URL"):
        following(anna, "")

    assert fake.calls == []


def test_a_viewing_beside_earlier_ones_is_not_taken_back_with_them(
    anna: Signed, fake: Any, user: Any
) -> None:
    anna.send(WATCHED)
    fake.clock.advance(DAY)
    done = anna.send(replace(WATCHED, rewatch=True))

    outcome = anna.refused(replace(UNWATCHED, remote_id=done.remote_id))

    assert isinstance(outcome, Dead)
    assert user.watched[8685325].rewatch_count == 1


def test_the_shelf_gives_all_its_marks_over_its_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MARKS_PER_READ", 3)
    mine, other = (Shelf(database, person(database, name)) for name in ("anna", "ben"))
    marks = [(replace(MOONSHINE, ids=Ids(tvdb=number)), NOW - timedelta(days=number)) for number in range(7)]

    async def work() -> tuple[list[WatchedItem], list[WatchedItem]]:
        await other.mark(FILM, NOW, rewatch=False)
        for item, at in marks:
            await mine.mark(item, at, rewatch=False)
        recent = mine.history(NOW - timedelta(days=2))
        return [one async for one in mine.history()], [one async for one in recent]

    every, recent = asyncio.run(work())

    assert every == [WatchedItem(item=item, at=at) for item, at in marks]
    assert recent == every[:3]


def person(database: Database, name: str) -> int:
    return database.do(lambda connection: people.add_person(connection, name, NOW))


# ---- another item


ASTRAY = Episode(title="Pilot", show="Nowhere at All", season=2, number=5, ids=Ids(tvdb=8685325))
"""The id is that of an episode of Moonshine."""


def test_a_mark_of_another_episode_is_taken_back(anna: Signed, user: Any) -> None:
    error = anna.refused(replace(WATCHED, item=ASTRAY, at=datetime.now(UTC)))

    assert isinstance(error, Unmatched)
    assert error.reason == (
        "TV Time took this for Moonshine S1E2, which is another episode; that was taken back"
    )
    assert user.watched == {}


def test_a_show_id_that_contradicts_is_another_episode_though_its_place_agrees(
    anna: Signed, user: Any
) -> None:
    item = replace(ASTRAY, season=1, number=2, show_ids=Ids(tvdb=81189))

    error = anna.refused(replace(WATCHED, item=item, at=datetime.now(UTC)))

    assert isinstance(error, Unmatched)
    assert user.watched == {}


@only_the_fake
def test_an_episode_that_was_marked_before_stays_marked(anna: Signed, fake: Any, user: Any) -> None:
    fake.clock.advance(-DAY)
    anna.send(WATCHED)
    fake.clock.advance(DAY)

    error = anna.refused(replace(WATCHED, item=ASTRAY, at=fake.clock.now()))

    assert isinstance(error, Unmatched)
    assert error.reason.endswith("that was marked watched before, and stays so")
    assert 8685325 in user.watched


def test_a_rewatch_of_another_episode_says_that_it_cannot_be_taken_back(anna: Signed, user: Any) -> None:
    error = anna.refused(replace(WATCHED, item=ASTRAY, rewatch=True))

    assert isinstance(error, Unmatched)
    assert "cannot be taken back" in error.reason


@only_the_fake
def test_a_wrong_mark_whose_undoing_was_cut_off_is_undone_when_it_is_tried_again(
    anna: Signed, fake: Any, user: Any
) -> None:
    fake.faults.add("DELETE /sidecar/api2.tozelabs.com/v2/watched_episodes", reset=True)
    mark = replace(WATCHED, item=ASTRAY, at=datetime.now(UTC))

    first = anna.refused(mark)
    left = list(user.watched)
    again = anna.refused(replace(mark, unsure=first.unsure))  # type: ignore[attr-defined]

    assert isinstance(first, Retry)
    assert left == [8685325]
    assert isinstance(again, Unmatched)
    assert user.watched == {}


@only_the_fake
def test_a_show_that_tv_time_knows_by_our_title_too_is_the_same(anna: Signed, fake: Any, user: Any) -> None:
    row = {"id": 398096, "uuid": "u", "name": "Moonshine", "type": "series"}
    fake.faults.add(SEARCH, body={"status": "success", "data": [row]})

    done = anna.send(replace(WATCHED, item=replace(ASTRAY, season=1, number=2)))

    assert done.answer == "Moonshine S1E2 marked watched"
    assert 8685325 in user.watched


@only_the_fake
@pytest.mark.parametrize("known", [True, False], ids=["by another title", "not at all"])
def test_a_movie_of_another_title_needs_a_search_that_knows_both(
    anna: Signed, fake: Any, user: Any, known: bool
) -> None:
    item = replace(FILM, title="Matrix", ids=Ids(imdb="tt0133093"))
    if known:
        row = {"id": 169, "uuid": MATRIX.uuid, "name": "The Matrix", "type": "movie", "imdb_id": "tt0133093"}
        fake.faults.add(SEARCH, body={"status": "success", "data": [row]}, skip=1)

    outcome = (
        anna.send(replace(FILM_WATCHED, item=item))
        if known
        else anna.refused(replace(FILM_WATCHED, item=item))
    )

    assert isinstance(outcome, Done if known else Unmatched)
    assert list(user.movies) == ([MATRIX.uuid] if known else [])
