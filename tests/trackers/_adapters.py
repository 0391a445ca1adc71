"""How the shared suite (`test_every_tracker.py`) works each tracker: its fake, a sign-in, its marks.

A new tracker is run through the suite by one entry in `ADAPTERS`, under the name of its file:

    "simkl": Adapter(
        fake=lambda: FakeSimkl(clock=Clock(NOW)),                  # a fake with nothing in it
        settings=lambda url: {"client_id": "id", "api_url": url},  # the settings that lead to it
        tokens=lambda fake: fake.sign_in("anna"),                  # Anna, signed in
        gone=lambda fake: fake.revoke("anna"),                     # her sign-in holds no longer
        marks=lambda fake: len(fake.user("anna").history),         # how many marks the fake holds
        told=(Told(MARK, "POST /scrobble/stop"),),                 # marks, and the call that makes each
        wrong=SONG,                                                # an item it must not be told of
        fill=simkl_holds,                                          # puts viewings into Anna's account
        reads="GET /sync/all-items",                               # the call that lists them
        three_pages=9,                                             # so many are listed in three calls
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from tests.compat._own import Own
from tests.fakes._server import Clock, Fake
from tests.fakes.anilist import AniList as FakeAniList
from tests.fakes.emby import Emby as FakeEmby
from tests.fakes.floppy import Floppy as FakeFloppy
from tests.fakes.jellyfin import Jellyfin as FakeJellyfin
from tests.fakes.lastfm import LastFM as FakeLastFM
from tests.fakes.listenbrainz import ListenBrainz as FakeListenBrainz
from tests.fakes.mal import MyAnimeList as FakeMyAnimeList
from tests.fakes.mdblist import MDBList as FakeMDBList
from tests.fakes.plex import ANNA
from tests.fakes.plex import Plex as FakePlex
from tests.fakes.punchplay import PunchPlay as FakePunchPlay
from tests.fakes.scrob import Scrob as FakeScrob
from tests.fakes.simkl import Seen
from tests.fakes.simkl import Simkl as FakeSimkl
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.fakes.tvtime import TVTime as FakeTVTime
from tests.fakes.tvtime import Viewing
from tests.fakes.webhook_out import WebhookOut as FakeWebhookOut
from tests.trackers._at_home import FILM_DTO, PILOT_DTO, PLEX_FILM, PLEX_PILOT, PLEX_SHOW, SHOW_DTO
from webhook.domain.anime_index import AnimeEntry
from webhook.domain.event import Action, Episode, Ids, Item, Movie, Track
from webhook.trackers import Delivery, Tokens

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
FILM = Movie(title="TRON: Legacy", year=2010, ids=Ids(imdb="tt1104001", tmdb=20526))
PILOT = Episode(
    title="Pilot",
    show="Breaking Bad",
    season=1,
    number=1,
    year=2008,
    ids=Ids(tvdb=349232),
    show_ids=Ids(tvdb=81189),
)
PLACED = replace(PILOT, ids=Ids(tvdb=349232, tmdb=62085), show_ids=Ids(tvdb=81189, tmdb=1396))
"""Known by its show's ids of TMDB too."""

UNNAMED = replace(PILOT, ids=Ids())
"""Known by its show and its place in it only."""

SONG = Track(title="Roygbiv", artist="Boards of Canada", album="Music Has the Right to Children", number=11)

MARK = Delivery(
    id=1,
    action=Action.STOP,
    item=FILM,
    at=NOW,
    started_at=NOW - timedelta(minutes=120),
    progress=97.0,
    mark=True,
)
LATE = replace(MARK, id=2, at=NOW - timedelta(hours=5), started_at=NOW - timedelta(hours=7), late=True)
WATCHED = replace(MARK, id=3, action=Action.WATCHED, item=PILOT, progress=None)
LATE_EPISODE = replace(LATE, id=4, item=PILOT)
WATCHED_FILM = replace(MARK, action=Action.WATCHED)
LATE_FILM = replace(LATE, action=Action.WATCHED)
LATE_WATCHED = replace(LATE_EPISODE, action=Action.WATCHED)

PLAYED = Delivery(
    id=5,
    action=Action.WATCHED,
    item=SONG,
    at=NOW - timedelta(days=1),  # what ListenBrainz is told must not lie in the future of the real clock
    started_at=NOW - timedelta(days=1, minutes=2),
    duration_ms=151_000,
    progress=90.0,
    mark=True,
)
PLAYED_LATE = replace(PLAYED, id=6, at=NOW - timedelta(days=3), started_at=None, late=True)


@dataclass(frozen=True)
class Told:
    """A mark, and the route (as a fault is given it: "POST /scrobble/stop") of the call that makes it."""

    delivery: Delivery
    route: str


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What the suite must know of one tracker. `fake` is called anew for every test.

    `expire` ends what a renewal can mend; only a tracker with `refresh` has it. `many` and
    `many_route` are two or more late marks and the call that carries them; only a tracker with
    `send_many` has them, and `many_calls` is more than one where the service takes each by a call of its own. `says` is how the service says what others say by a status alone, as a
    fault is given it: Last.fm's 401 is {"status": 403, "body": {"error": 9, "message": "…"}}.

    `named` is what the account is called, where the service does not say whose it is.

    `public` are the parts of a sign-in that are no secret, such as the id of a user. `forget` takes the marks of
    Anna's account out of the fake, for a tracker that writes nothing that is there already.

    `fill` puts one viewing of an item of its own into Anna's account for each number, so many hours
    before NOW; `three_pages` of them take three calls of `reads`, which lists them. `dates_itself`: what
    the service is told has the time of the real clock, which is not NOW. `ticks`: the service can be given no
    date, and each of its marks has the time at which it was made. `blind`: the service cannot be asked, so that it has
    no list, any success says no more than that it came, and what is unsure waits for a person. `lists`: the tracker
    lists what the account holds (`ListsHistory`).
    """

    fake: Callable[[], Fake]
    settings: Callable[[str], Mapping[str, Any]]
    tokens: Callable[[Any], Tokens]
    gone: Callable[[Any], Any]
    marks: Callable[[Any], int]
    told: tuple[Told, ...]
    wrong: Item
    fill: Callable[[Any, Iterable[int]], None] = lambda fake, hours: None
    reads: str = ""
    three_pages: int = 0
    named: str = "anna"
    expire: Callable[[Any], Any] | None = None
    many: tuple[Delivery, ...] = ()
    many_route: str = ""
    says: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    many_calls: int = 1
    public: frozenset[str] = frozenset()
    forget: Callable[[Any], Any] = lambda fake: None
    dates_itself: bool = False
    ticks: bool = False
    blind: bool = False
    lists: bool = True


def anilist_at_home() -> FakeAniList:
    fake = FakeAniList(clock=Clock(NOW))
    fake.add(120526, None, format="MOVIE")
    fake.add(101396, 7)
    return fake


def anilist_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        fake.add(5000 + ago, 12)
        fake.remember("anna", 5000 + ago, "CURRENT", 1)


def mal_at_home() -> FakeMyAnimeList:
    fake = FakeMyAnimeList(clock=Clock(NOW))
    fake.add(220526, None, media_type="movie")
    fake.add(201396, 7)
    return fake


def mal_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        fake.add(5000 + ago, 12)
        fake.remember("anna", 5000 + ago, "watching", 1)


def lastfm_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        at = int((NOW - timedelta(hours=ago)).timestamp())
        fake.user("anna").scrobbles.append({"artist": "A", "track": f"T {ago}", "timestamp": str(at)})


def listenbrainz_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        at = int((NOW - timedelta(hours=ago)).timestamp())
        named = {"artist_name": "A", "track_name": f"T {ago}"}
        fake.user("anna").listens.append({"listened_at": at, "track_metadata": named})


def simkl_holds(fake: Any, hours: Iterable[int]) -> None:
    """Films, episodes of shows and of anime in turn: each kind is a list, and a call, of its own."""
    for ago in hours:
        kind = ("movie", "tv", "anime")[ago % 3]
        parts = [] if kind == "movie" else [{"season": 1, "number": 1}]
        entry = fake.catalogue.add(kind, f"Title {ago}", 2000, ids={"imdb": f"tt{ago:07}"}, episodes=parts)
        part = entry.episodes[0] if entry.episodes else None
        fake.remember(fake.user("anna"), Seen(entry, part), NOW - timedelta(hours=ago))


def trakt_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        film = fake.catalogue.add("movie", title=f"Title {ago}", year=2000, ids={"trakt": 5000 + ago})
        fake.remember(fake.user("anna"), film, "watch", NOW - timedelta(hours=ago))


def tvtime_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        at = NOW - timedelta(hours=ago)
        fake.users["anna"].watched[900_000 + ago] = Viewing(at, at)


def mdblist_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        ids = {"trakt": 5000 + ago, "tmdb": 700_000 + ago}
        film = fake.catalogue.add("movie", title=f"Title {ago}", year=2000, ids=ids)
        fake.remember(fake.user("anna"), film, NOW - timedelta(hours=ago))


def floppy_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        part = fake.catalogue.part("episode", fake.catalogue.tidewater, season=1, number=1000 + ago)
        fake.play(fake.user("anna"), part, NOW - timedelta(hours=ago))


def punchplay_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        part = fake.catalogue.part("episode", fake.catalogue.tidewater, season=1, number=1000 + ago)
        fake.play(fake.user("anna"), part, NOW - timedelta(hours=ago))


def scrob_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        film = fake.catalogue.add("movie", title=f"Title {ago}", year=2000, ids={"tmdb": 700_000 + ago})
        fake.remember(fake.user("anna"), film, NOW - timedelta(hours=ago))


def plex_at_home() -> FakePlex:
    fake = FakePlex(clock=Clock(NOW))
    for row in (PLEX_FILM, PLEX_SHOW, PLEX_PILOT):
        fake.add(dict(row))
    return fake


def plex_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        key, guids = str(9000 + ago), [{"id": f"tmdb://{800_000 + ago}"}]
        row = {**PLEX_FILM, "ratingKey": key, "title": f"Title {ago}", "Guid": guids}
        fake.add({**row, "guid": f"plex://movie/{ago + 9:024x}"})
        fake.mark(ANNA, key, NOW - timedelta(hours=ago))


def browser_at_home(fake: Any) -> Any:
    for dto in (FILM_DTO, SHOW_DTO, PILOT_DTO):
        fake.stock(dto)
    return fake


def browser_holds(fake: Any, hours: Iterable[int]) -> None:
    for ago in hours:
        ids = {"Tmdb": str(800_000 + ago)}
        dto = {**FILM_DTO, "Id": f"{900_000 + ago:032x}", "Name": f"Title {ago}", "ProviderIds": ids}
        fake.play(next(iter(fake.users)), "anna", dto, NOW - timedelta(hours=ago))


TRAKT_APP = {"client_id": "fake-client-id", "client_secret": SecretStr("fake-client-secret")}
LASTFM_APP = {"api_key": "a" * 32, "secret": SecretStr("b" * 32)}
EPISODE_MARKS = "POST /sidecar/api2.tozelabs.com/v2/watched_episodes"


WEBHOOKS = "POST /api/proxy/webhooks/jellyfin"


def adapt_browser(fake: Callable[..., Any], writes: str, reads: str) -> Adapter:
    """Emby or Jellyfin, which grew from one program."""
    return Adapter(
        fake=lambda: browser_at_home(fake(clock=Clock(NOW))),
        settings=lambda url: {"url": url},
        tokens=lambda fake: fake.add_person(),
        gone=lambda fake: fake.tokens.clear(),
        forget=lambda fake: fake.played.clear(),
        marks=lambda fake: len(fake.watched()),
        told=(
            Told(WATCHED_FILM, f"{writes}/{'f1' * 16}/UserData"),
            Told(LATE_WATCHED, f"{writes}/{'e1' * 16}/UserData"),
        ),
        many=(LATE_FILM, LATE_WATCHED),
        many_route=writes,
        many_calls=2,
        public=frozenset({"user_id", "server"}),
        wrong=SONG,
        fill=browser_holds,
        reads=reads,
        three_pages=450,
    )


ADAPTERS: dict[str, Adapter] = {
    # One entry for each file of webhook/trackers, in the order of the alphabet; after an @, where else it is run.
    "anilist": Adapter(
        fake=anilist_at_home,
        settings=lambda url: {"client_id": "4711", "api_url": url, "calls_per_minute": 0},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.user("anna").entries.clear(),
        marks=lambda fake: sum(entry.progress for entry in fake.user("anna").entries.values()),
        told=(
            Told(replace(WATCHED_FILM, anime=AnimeEntry(id=120526, number=1)), "POST /SaveMediaListEntry"),
            Told(replace(WATCHED, anime=AnimeEntry(id=101396, number=1)), "POST /SaveMediaListEntry"),
            Told(replace(LATE_WATCHED, anime=AnimeEntry(id=101396, number=1)), "POST /SaveMediaListEntry"),
        ),
        many=(
            replace(LATE_FILM, anime=AnimeEntry(id=120526, number=1)),
            replace(LATE_WATCHED, anime=AnimeEntry(id=101396, number=1)),
        ),
        many_route="POST /SaveMediaListEntry",
        many_calls=2,
        public=frozenset({"name"}),
        wrong=SONG,
        fill=anilist_holds,
        says={
            401: {
                "status": 200,
                "body": {"data": None, "errors": [{"message": "Invalid token", "status": 401}]},
            }
        },
        lists=False,
    ),
    "emby": adapt_browser(FakeEmby, f"POST /Users/{'aa' * 16}/Items", f"GET /Users/{'aa' * 16}/Items"),
    "floppy": Adapter(
        fake=lambda: FakeFloppy(clock=Clock(NOW)),
        settings=lambda url: {"url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.forget("anna"),
        marks=lambda fake: len(fake.user("anna").plays),
        told=(
            Told(WATCHED_FILM, "POST /api/v1/media/movie"),
            Told(replace(WATCHED, item=PLACED), "POST /api/v1/media/tv"),
            Told(replace(LATE_WATCHED, item=replace(PLACED, ids=Ids())), "POST /api/v1/media/tv"),
        ),
        named=".test",
        public=frozenset({"name"}),
        wrong=SONG,
        fill=floppy_holds,
        reads="GET /api/v1/media/episode",
        three_pages=450,
    ),
    "jellyfin": adapt_browser(FakeJellyfin, "POST /UserItems", "GET /Items"),
    "lastfm": Adapter(
        fake=lambda: FakeLastFM(clock=Clock(NOW)),
        settings=lambda url: {**LASTFM_APP, "api_url": f"{url}/2.0/", "auth_url": f"{url}/api/auth/"},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        marks=lambda fake: len(fake.user("anna").scrobbles),
        told=(Told(PLAYED, "POST /2.0"), Told(PLAYED_LATE, "POST /2.0")),
        many=(PLAYED, PLAYED_LATE),
        many_route="POST /2.0",
        wrong=FILM,
        fill=lastfm_holds,
        reads="POST /2.0",
        three_pages=250,
        says={
            401: {"status": 403, "body": {"error": 9, "message": "Invalid session key"}},
            422: {"status": 200, "body": {"error": 6, "message": "Invalid parameters"}},
            429: {"status": 200, "body": {"error": 29, "message": "Rate limit exceeded"}},
            503: {"status": 200, "body": {"error": 11, "message": "Service offline"}},
        },
    ),
    "listenbrainz": Adapter(
        fake=lambda: FakeListenBrainz(clock=Clock(NOW)),
        settings=lambda url: {"api_url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        marks=lambda fake: len(fake.user("anna").listens),
        told=(Told(PLAYED, "POST /1/submit-listens"), Told(PLAYED_LATE, "POST /1/submit-listens")),
        many=(PLAYED, PLAYED_LATE),
        many_route="POST /1/submit-listens",
        wrong=FILM,
        fill=listenbrainz_holds,
        reads="GET /1/user/anna/listens",
        three_pages=130,
        says={401: {"status": 401, "body": {"code": 401, "error": "Invalid authorization token."}}},
    ),
    "mal": Adapter(
        fake=mal_at_home,
        settings=lambda url: {
            "client_id": "4711",
            "api_url": f"{url}/v2",
            "auth_url": url,
            "calls_per_minute": 0,
        },
        tokens=lambda fake: fake.sign_in("anna"),
        expire=lambda fake: fake.expire("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.user("anna").entries.clear(),
        marks=lambda fake: sum(entry.num_episodes_watched for entry in fake.user("anna").entries.values()),
        told=(
            Told(replace(WATCHED_FILM, anime=AnimeEntry(id=220526, number=1)), "PUT /v2/anime"),
            Told(replace(WATCHED, anime=AnimeEntry(id=201396, number=1)), "PUT /v2/anime"),
            Told(replace(LATE_WATCHED, anime=AnimeEntry(id=201396, number=1)), "PUT /v2/anime"),
        ),
        many=(
            replace(LATE_FILM, anime=AnimeEntry(id=220526, number=1)),
            replace(LATE_WATCHED, anime=AnimeEntry(id=201396, number=1)),
        ),
        many_route="PUT /v2/anime",
        many_calls=2,
        wrong=SONG,
        fill=mal_holds,
        lists=False,
    ),
    "mdblist": Adapter(
        fake=lambda: FakeMDBList(clock=Clock(NOW)),
        settings=lambda url: {"client_id": "fake-client-id", "api_url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        expire=lambda fake: fake.expire("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.user("anna").plays.clear(),
        marks=lambda fake: len(fake.user("anna").plays),
        told=(
            Told(MARK, "POST /scrobble/stop"),
            Told(replace(WATCHED, item=PLACED), "POST /scrobble/stop"),
            Told(replace(LATE, item=PLACED), "POST /sync/watched"),
        ),
        many=(LATE, replace(LATE, id=4, item=PLACED)),
        many_route="POST /sync/watched",
        wrong=SONG,
        fill=mdblist_holds,
        reads="GET /sync/watched",
        three_pages=200,
    ),
    "plex": Adapter(
        fake=plex_at_home,
        settings=lambda url: {"url": url, "account_url": url},
        tokens=lambda fake: fake.add_person(),
        gone=lambda fake: fake.shared.clear(),
        forget=lambda fake: fake.marks.clear(),
        marks=lambda fake: len(fake.watched()),
        told=(Told(WATCHED_FILM, "PUT /:/scrobble"), Told(WATCHED, "PUT /:/scrobble")),
        many=(LATE_FILM, LATE_WATCHED),
        many_route="PUT /:/scrobble",
        many_calls=2,
        public=frozenset({"user_id", "server"}),
        wrong=SONG,
        fill=plex_holds,
        reads="GET /library/sections/1/all",
        three_pages=450,
        ticks=True,
    ),
    "punchplay": Adapter(
        fake=lambda: FakePunchPlay(clock=Clock(NOW)),
        settings=lambda url: {"client_id": "fake-client-id", "api_url": f"{url}/api/platform/v1"},
        tokens=lambda fake: fake.sign_in("anna"),
        expire=lambda fake: fake.expire("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.forget("anna"),
        marks=lambda fake: len(fake.user("anna").plays),
        told=(
            Told(MARK, "POST /api/platform/v1/playback/stop"),
            Told(replace(WATCHED, item=PLACED), "POST /api/platform/v1/playback/stop"),
            Told(replace(LATE, item=PLACED), "POST /api/platform/v1/sync/history"),
        ),
        many=(LATE, replace(LATE, id=4, item=PLACED)),
        many_route="POST /api/platform/v1/sync/history",
        public=frozenset({"device_id"}),
        wrong=SONG,
        fill=punchplay_holds,
        reads="GET /api/platform/v1/me/history",
        three_pages=250,
    ),
    "scrob": Adapter(
        fake=lambda: FakeScrob(clock=Clock(NOW)),
        settings=lambda url: {"url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.user("anna").plays.clear(),
        marks=lambda fake: len(fake.user("anna").plays),
        told=(
            Told(WATCHED_FILM, "POST /history"),
            Told(replace(WATCHED, item=PLACED), "POST /history"),
            Told(replace(LATE_WATCHED, item=replace(PLACED, ids=Ids())), "POST /history"),
        ),
        named=".test",
        public=frozenset({"name"}),
        wrong=SONG,
        fill=scrob_holds,
        reads="GET /history",
        three_pages=250,
    ),
    "simkl": Adapter(
        fake=lambda: FakeSimkl(clock=Clock(NOW)),
        settings=lambda url: {"client_id": "fake-client-id", "api_url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        marks=lambda fake: len(fake.user("anna").history),
        told=(
            Told(MARK, "POST /scrobble/stop"),
            Told(replace(WATCHED, item=UNNAMED), "POST /scrobble/stop"),
            Told(LATE_EPISODE, "POST /sync/history"),
        ),
        many=(LATE, LATE_EPISODE),
        many_route="POST /sync/history",
        wrong=SONG,
        fill=simkl_holds,
        reads="GET /sync/all-items",
        three_pages=9,
    ),
    "trakt": Adapter(
        fake=lambda: FakeTrakt(clock=Clock(NOW)),
        settings=lambda url: {**TRAKT_APP, "api_url": url, "auth_url": url},
        tokens=lambda fake: fake.sign_in("anna"),
        expire=lambda fake: fake.expire("anna"),
        gone=lambda fake: fake.sessions.clear(),
        marks=lambda fake: len(fake.user("anna").history),
        told=(Told(MARK, "POST /scrobble/stop"), Told(LATE, "POST /sync/history")),
        many=(LATE, LATE_EPISODE),
        many_route="POST /sync/history",
        wrong=SONG,
        fill=trakt_holds,
        reads="GET /sync/history",
        three_pages=600,
    ),
    "tvtime": Adapter(
        fake=lambda: FakeTVTime(clock=Clock(NOW)),
        settings=lambda url: {"url": url},
        tokens=lambda fake: fake.add_user("anna", "secret").tokens,
        expire=lambda fake: fake.end("anna", "access"),
        gone=lambda fake: fake.end("anna", "access", "refresh"),
        marks=lambda fake: len(fake.users["anna"].watched),
        told=(Told(WATCHED, EPISODE_MARKS),),
        wrong=SONG,
        fill=tvtime_holds,
        reads="GET /sidecar/msapi.tvtime.com/prod/v1/tracking/watches",
        three_pages=250,
        ticks=True,
    ),
    "tvtime@watchmark": Adapter(  # the same client, at Watchmark's own
        fake=Own,
        settings=lambda url: {"url": f"{url}/tvtime/"},
        tokens=lambda fake: fake.add_user("anna", "secret").tokens,
        expire=lambda fake: fake.end("anna", "access"),
        gone=lambda fake: fake.end("anna", "access", "refresh"),
        marks=lambda fake: len(fake.users["anna"].watched),
        told=(Told(WATCHED, EPISODE_MARKS),),
        wrong=SONG,
        fill=lambda fake, hours: fake.holds(hours, NOW),
        reads="GET /sidecar/msapi.tvtime.com/prod/v1/tracking/watches",
        three_pages=250,
        ticks=True,
        dates_itself=True,
    ),
    "webhook_out": Adapter(
        fake=lambda: FakeWebhookOut(clock=Clock(NOW)),
        settings=lambda url: {},
        tokens=lambda fake: fake.sign_in("anna"),
        gone=lambda fake: fake.revoke("anna"),
        forget=lambda fake: fake.user("anna").plays.clear(),
        marks=lambda fake: len(fake.user("anna").plays),
        told=(Told(MARK, WEBHOOKS), Told(WATCHED, WEBHOOKS), Told(LATE, WEBHOOKS)),
        wrong=SONG,
        blind=True,
    ),
}
