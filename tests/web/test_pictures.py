"""Pictures on the pages: from webhooks, media servers and TMDB, for whoever is signed in; a cover where there is none."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.drawn import colour_of, picture, size_of
from tests.fakes._server import Server
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.emby_server import EmbyServer
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.plex_server import PlexServer
from tests.fakes.tmdb import Tmdb
from tests.web.conftest import Household, Open, plex
from webhook import clock
from webhook.domain.event import Action, Episode, Event, Ids, Item, Movie, Track
from webhook.history import plays
from webhook.pictures import pictures
from webhook.web.http import item_names
from webhook.web.http.item_names import ShownItem

HARBOUR = Movie(title="Harbour", year=1999, ids=Ids(tmdb=41))
KEY = "movie:tmdb:41"
FILM = {"type": "movie", "year": 1999, "Guid": [{"id": "tmdb://41"}]}
TITLE = "show:title:harbourstreet"
TEAL, RED, NAVY = (0, 8, 8), (16, 0, 0), (0, 0, 8)


def play(home: Household, item: Item, action: Action = Action.START, **where: Any) -> None:
    """Somebody plays the item, on no known server or on the one that is named."""
    event = Event(action=action, item=item, at=clock.now(), user="me", player="Sofa", **where)
    home.do(lambda connection: plays.apply(connection, 1, event, "plex", 80.0))


def shown(home: Household, name: str = "me") -> str | None:
    """The address of the one poster on the page Now; None for a cover."""
    found = re.findall(r'<img src="(/pictures/[^"]+/poster-[^"]+)"', home.browser(name).get("/").text)
    assert len(found) <= 1
    return found[0] if found else None


def appears(home: Household) -> httpx.Response:
    """The picture on the page Now, once it is there."""
    browser, ends = home.browser(), time.monotonic() + 20
    while time.monotonic() < ends:
        if path := shown(home):
            return browser.get(path)
        time.sleep(0.05)
    raise AssertionError("no picture came")


def settled(home: Household) -> None:
    """Wait until nothing is wanted any more."""
    worker, ends = home.service.pictures, time.monotonic() + 20
    while worker.wanted or worker.offered:
        assert time.monotonic() < ends
        time.sleep(0.02)


def send(home: Household, payload: dict[str, Any], thumb: bytes, kind: str = "image/jpeg") -> int:
    files = {
        "payload": (None, orjson.dumps(payload), "application/json"),
        "thumb": ("thumb.jpg", thumb, kind),
    }
    answer = home.client().post(f"/webhooks/plex/{home.token('webhook')}", files=files)
    assert answer.status_code == 200
    home.interpret()
    return int(answer.json()["webhook"])


# --- covers


def test_where_there_is_no_picture_there_is_a_cover(opened: Open) -> None:
    home = opened()
    play(home, Episode(title="Pilot", show="Harbour Street", season=1, number=1))

    page = home.browser().get("/").text

    assert shown(home) is None
    assert re.search(r'<span class="poster p120 hue-\d+" data-letters="HS" aria-hidden="true"></span>', page)


def test_a_cover_of_music_is_square_and_its_letters_are_no_markup(opened: Open) -> None:
    home = opened()
    play(home, Track(title="Song", artist='<"& <b>'))

    assert "square hue-" in home.browser().get("/").text
    assert 'data-letters="B"' in home.browser().get("/").text


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"kind": "episode", "picture": None, "ids": {"tvdb": 1}}, None),
        ({"kind": "episode", "show": "Harbour Street", "ids": {"tvdb": 1}, "show_ids": {"tvdb": 81189}}, "show:tvdb:81189"),
        ({"kind": "movie", "title": "Harbour", "ids": {"tmdb": 41}, "score": 0.9}, KEY),
        ({"kind": "movie", "title": "Harbour", "year": 1999}, None),
    ],
)  # fmt: skip
def test_an_entry_without_a_key_has_the_picture_of_its_ids(entry: ShownItem, key: str | None) -> None:
    assert item_names.picture_of(entry) == key


# --- from a webhook


def test_the_picture_that_plex_sends_is_served(opened: Open) -> None:
    home = opened()

    send(home, plex("anna", "Harbour", "media.play", **FILM), picture())
    answer = appears(home)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert size_of(answer.content) == ("WEBP", 128, 192)
    assert colour_of(answer.content) == TEAL
    assert KEY in str(answer.url)


def test_a_still_of_an_episode_fills_the_backdrop(opened: Open) -> None:
    home = opened()
    send(
        home,
        plex("anna", "Pilot", "media.play", grandparentGuid="plex://show/5d9c086c46115600200aa2fe"),
        picture(640, 360),
    )
    settled(home)

    store = home.service.pictures.store
    assert store.find("show:plex:5d9c086c46115600200aa2fe", "backdrop") is not None
    assert store.find("show:plex:5d9c086c46115600200aa2fe", "poster") is None


@pytest.mark.parametrize(
    "thumb",
    [b"\xff\xd8" * 4000, picture()[:500], b"<html>" * 100, picture() + b"\0" * 10_000_000, b""],
    ids=["noise", "cut", "html", "10 MB", "empty"],
)
def test_a_webhook_with_a_bad_picture_counts_and_shows_a_cover(opened: Open, thumb: bytes) -> None:
    home = opened()

    made = send(home, plex("anna", "Pilot", "media.play"), thumb)
    settled(home)

    assert home.api().get(f"/api/v1/webhooks/{made}").json()["state"] == "interpreted"
    assert home.browser().get("/").status_code == 200
    assert shown(home) is None
    assert not home.service.pictures.store.index


def test_a_title_in_any_script_has_its_picture(opened: Open) -> None:
    home = opened()

    send(
        home,
        plex("anna", "進撃の巨人", "media.play", type="movie", year=2015, guid="local://1", Guid=[]),
        picture(),
    )

    assert appears(home).status_code == 200


def test_a_lie_about_the_type_changes_nothing(opened: Open) -> None:
    home = opened()

    send(home, plex("anna", "Harbour", "media.play", **FILM), picture(kind="PNG"), "text/html")

    assert appears(home).headers["content-type"] == "image/webp"


def test_a_full_disk_costs_the_picture_and_no_webhook(opened: Open) -> None:
    home = opened(DISK_RESERVE_BYTES=str(2**62))

    made = send(home, plex("anna", "Pilot", "media.play"), picture())
    settled(home)

    assert home.api().get(f"/api/v1/webhooks/{made}").json()["state"] == "interpreted"
    assert shown(home) is None


def test_no_pictures_are_kept_where_that_is_set(opened: Open) -> None:
    home = opened(PICTURES_MAX_BYTES="0")

    send(home, plex("anna", "Pilot", "media.play"), picture())
    settled(home)

    assert shown(home) is None
    assert not (home.service.settings.data_dir / "pictures").exists()


# --- from TMDB


@pytest.fixture
def tmdb() -> Iterator[Server]:
    world = World()
    world.films.append(Film(title="Harbour", year=1999, ids={"tmdb": 41}))
    world.series.append(Series(title="Harbour Street", year=2014, ids={"tmdb": 7, "tvdb": 81189}))
    with Server(Tmdb(world)) as server:
        server.fake.pictures = {
            "film41.jpg": picture(342, 513), "behind-film41.jpg": picture(780, 439, colour="navy"),
            "show7.jpg": picture(342, 513, colour="red"),
        }  # fmt: skip
        yield server


@pytest.fixture
def home(opened: Open, tmdb: Server) -> Household:
    return opened(
        TMDB_TOKEN=tmdb.fake.switches.token, TMDB_API_URL=f"{tmdb.url}/3", TMDB_IMAGE_URL=f"{tmdb.url}/t/p"
    )


def asked(server: Server) -> list[str]:
    return [call.path for call in server.fake.calls if call.path.startswith("/t/p/")]


def test_the_poster_of_what_plays_is_fetched_once_and_kept(home: Household, tmdb: Server) -> None:
    play(home, HARBOUR)

    answers = [appears(home), appears(home)]

    assert [colour_of(answer.content) for answer in answers] == [TEAL] * 2
    settled(home)
    assert sorted(asked(tmdb)) == ["/t/p/w342/film41.jpg", "/t/p/w780/behind-film41.jpg"]
    backdrop = home.browser().get(f"/pictures/{KEY}/backdrop-780")
    assert (size_of(backdrop.content), colour_of(backdrop.content)) == (("WEBP", 780, 439), NAVY)


def test_episodes_have_the_poster_of_their_show(home: Household, tmdb: Server) -> None:
    play(home, Episode(title="Pilot", show="Harbour Street", season=1, number=1, show_ids=Ids(tvdb=81189)))

    assert colour_of(appears(home).content) == RED


def test_a_better_picture_takes_the_place_of_a_webhooks(home: Household, tmdb: Server) -> None:
    send(home, plex("anna", "Harbour", "media.play", **FILM), picture(colour="red"))
    settled(home)

    first = shown(home)
    settled(home)

    assert shown(home) not in (None, first)
    assert colour_of(appears(home).content) == TEAL


def test_nothing_is_asked_by_a_title_alone(home: Household, tmdb: Server) -> None:
    play(home, Movie(title="Harbour", year=1999))

    assert shown(home) is None
    settled(home)

    assert shown(home) is None
    assert tmdb.fake.calls == []


def test_one_that_is_missing_is_not_asked_for_again_at_once(home: Household, tmdb: Server) -> None:
    play(home, Movie(title="Nobody knows it", year=2001, ids=Ids(tmdb=999)))

    for _ in range(3):
        assert shown(home) is None
        settled(home)

    assert len([call for call in tmdb.fake.calls if "999" in call.path]) == 1


def test_a_tmdb_that_is_down_costs_the_poster_and_nothing_else(opened: Open) -> None:
    home = opened(TMDB_TOKEN="a.b.c", TMDB_API_URL="http://127.0.0.1:9/3")
    play(home, HARBOUR)

    assert shown(home) is None
    settled(home)

    assert home.browser().get("/").status_code == 200


# --- from media servers

THUMB, ART = "/library/metadata/46/thumb/1685776056", "/library/metadata/46/art/1685776056"
EPISODE = {
    "ratingKey": "4711", "grandparentRatingKey": "46", "type": "episode", "guid": "plex://episode/5d9c1280ba6eb9001fb6de4f",
    "title": "Pilot", "grandparentTitle": "Harbour Street", "parentIndex": 1, "index": 1,
    "thumb": "/library/metadata/4711/thumb/1", "grandparentThumb": THUMB, "grandparentArt": ART,
}  # fmt: skip
PILOT = Episode(
    title="Pilot", show="Harbour Street", season=1, number=1, ids=Ids(plex="5d9c1280ba6eb9001fb6de4f")
)


@pytest.fixture
def plex_server() -> Iterator[Server]:
    with Server(PlexServer()) as server:
        server.fake.items["4711"] = dict(EPISODE)
        server.fake.pictures = {THUMB: picture(), ART: picture(1920, 1080, colour="navy")}
        yield server


def open_with_plex(opened: Open, server: Server) -> Household:
    return opened(PLEX_URL=server.url, PLEX_TOKEN=server.fake.switches.token)


def test_plex_gives_the_poster_and_the_backdrop_of_a_show(opened: Open, plex_server: Server) -> None:
    home = open_with_plex(opened, plex_server)
    play(home, PILOT, server=plex_server.fake.machine, item_key="4711", show_key="46")

    assert colour_of(appears(home).content) == TEAL
    settled(home)
    assert home.service.pictures.store.find(f"show:of@{plex_server.fake.machine}:46", "backdrop") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(guid="plex://episode/000000000000000000000000"),
        lambda item: item.update(
            grandparentThumb="http://169.254.169.254/latest", grandparentArt="/../../etc"
        ),
        lambda item: item.update(grandparentThumb="/library/metadata/46/thumb/1?url=http://elsewhere.test"),
    ],
    ids=["another item has its key by now", "elsewhere", "by a detour"],
)
def test_plex_is_believed_only_about_its_own_items(
    opened: Open, plex_server: Server, change: Callable[[dict[str, Any]], None]
) -> None:
    change(plex_server.fake.items["4711"])
    home = open_with_plex(opened, plex_server)
    play(home, PILOT, server=plex_server.fake.machine, item_key="4711", show_key="46")

    assert shown(home) is None
    settled(home)

    assert shown(home) is None


def test_a_server_is_not_asked_about_the_items_of_another(opened: Open, plex_server: Server) -> None:
    home = open_with_plex(opened, plex_server)
    play(home, PILOT, server="another-machine", item_key="4711", show_key="46")

    assert shown(home) is None
    settled(home)

    assert shown(home) is None
    assert not [call for call in plex_server.fake.calls if "metadata" in call.path]


@pytest.mark.parametrize("kind", ["jellyfin", "emby"])
def test_jellyfin_and_emby_give_the_poster_of_a_show(opened: Open, kind: str) -> None:
    fake = JellyfinServer() if kind == "jellyfin" else EmbyServer()
    with Server(fake) as server:
        fake.pictures = {("5e" * 16, "Primary"): picture(), ("5e" * 16, "Backdrop"): picture(1280, 720)}
        home = opened(**{f"{kind.upper()}_URL": server.url, f"{kind.upper()}_API_KEY": fake.switches.key})
        play(
            home,
            Episode(show="Harbour Street", season=1, number=2),
            server=fake.server_id,
            item_key="e1" * 16,
            show_key="5e" * 16,
        )

        assert colour_of(appears(home).content) == TEAL
        settled(home)
    own = f"show:of@{fake.server_id}:{'5e' * 16}"
    assert home.service.pictures.store.find(own, "backdrop") is not None


def test_two_shows_of_one_name_have_their_own_posters_and_share_none(opened: Open) -> None:
    fake, keys = JellyfinServer(), ("5e" * 16, "6e" * 16)
    with Server(fake) as server:
        fake.pictures = {(keys[0], "Primary"): picture(), (keys[1], "Primary"): picture(colour="red")}
        home = opened(JELLYFIN_URL=server.url, JELLYFIN_API_KEY=fake.switches.key)

        def watch(number: int, show_key: str) -> str:
            """Play an episode; the key of its picture."""
            item = Episode(show="Harbour Street", season=1, number=number)
            place = {"server": fake.server_id, "item_key": f"e{number}" * 16, "show_key": show_key}
            play(home, item, Action.WATCHED, **place)
            listed = home.api().get("/api/v1/plays").json()["items"]
            return str(next(one["picture"] for one in listed if one["number"] == number))

        first = watch(1, keys[0])
        home.browser().get("/history")
        home.browser().get("/library")
        settled(home)
        shared = home.service.pictures.store.find(TITLE, "poster")
        second = watch(2, keys[1])
        home.service.pictures.tried.clear()  # an hour later
        home.browser().get("/history")
        home.browser().get("/library")
        settled(home)

    store = home.service.pictures.store
    assert [colour_of(store.read(key, "poster", 128) or b"") for key in (first, second)] == [TEAL, RED]
    assert shared is not None
    assert store.find(TITLE, "poster") is None
    assert first != second


def test_a_server_that_sends_on_elsewhere_is_not_followed(opened: Open) -> None:
    fake = JellyfinServer()
    with Server(fake) as server, Server(Tmdb()) as elsewhere:
        home = opened(JELLYFIN_URL=server.url, JELLYFIN_API_KEY=fake.switches.key)
        play(home, HARBOUR, server=fake.server_id, item_key="e1" * 16)
        fake.faults.add(
            "/Items/", status=302, headers={"location": f"{elsewhere.url}/t/p/w342/film41.jpg"}, times=-1
        )

        assert shown(home) is None
        settled(home)

        assert shown(home) is None
        assert elsewhere.fake.calls == []


# --- seasons


def season_posters(home: Household, show: str) -> list[Any]:
    """The colours of the posters of a show's seasons on its page, once nothing is wanted any more."""
    browser = home.browser()
    browser.get(f"/library/shows/{show}")
    settled(home)
    page = browser.get(f"/library/shows/{show}").text
    found = re.findall(r'class="season-head">\s*<span[^>]*>(?:<img src="([^"]+)")?', page)
    return [colour_of(browser.get(path).content) if path else None for path in found]


def test_a_season_has_its_own_poster_from_tmdb_or_else_the_shows(home: Household, tmdb: Server) -> None:
    show = tmdb.fake.world.series[0]
    show.parts += [Part(season=n, number=1, title="Pilot", ids={"tmdb": 70 + n}) for n in (1, 2)]
    tmdb.fake.pictures |= {"season7n1.jpg": picture(342, 513, colour="navy"), "season7n2.jpg": b"no picture"}
    for number in (1, 2):
        item = Episode(show="Harbour Street", season=number, number=1, show_ids=Ids(tvdb=81189))
        play(home, item, Action.WATCHED)

    assert season_posters(home, "tvdb:81189") == [NAVY, RED]


def test_a_season_has_its_own_poster_from_plex(opened: Open, plex_server: Server) -> None:
    season = "/library/metadata/45/thumb/1685776056"
    plex_server.fake.items["4711"] |= {"parentThumb": season}
    plex_server.fake.pictures[season] = picture(colour="red")
    home = open_with_plex(opened, plex_server)
    play(home, PILOT, Action.WATCHED, server=plex_server.fake.machine, item_key="4711", show_key="46")

    assert season_posters(home, TITLE.removeprefix("show:")) == [RED]


@pytest.mark.parametrize("kind", ["jellyfin", "emby"])
def test_a_season_has_its_own_poster_from_jellyfin_and_emby(opened: Open, kind: str) -> None:
    fake, show, season = JellyfinServer() if kind == "jellyfin" else EmbyServer(), "5e" * 16, "7e" * 16
    with Server(fake) as server:
        fake.seasons = {show: {1: "6e" * 16, 2: season}}
        fake.pictures = {(show, "Primary"): picture(), (season, "Primary"): picture(colour="red")}
        home = opened(**{f"{kind.upper()}_URL": server.url, f"{kind.upper()}_API_KEY": fake.switches.key})
        for number in (1, 2):
            item = Episode(show="Harbour Street", season=number, number=1)
            place = {"server": fake.server_id, "item_key": f"e{number}" * 16, "show_key": show}
            play(home, item, Action.WATCHED, **place)

        assert season_posters(home, TITLE.removeprefix("show:")) == [TEAL, RED]


# --- an item that becomes better known


def test_a_picture_stays_when_the_item_gets_a_stronger_id(opened: Open) -> None:
    home = opened()
    play(home, Movie(title="Harbour", year=1999, ids=Ids(plex="5d77")))
    home.service.pictures.keep_one("movie:plex:5d77", picture(), 1, square=False)
    play(home, Movie(title="Harbour", year=1999, ids=Ids(plex="5d77", imdb="tt0000041")))

    answer = appears(home)

    assert "movie:imdb:tt0000041" in str(answer.url)
    assert colour_of(answer.content) == TEAL


# --- who may see them


def test_a_picture_is_for_whoever_is_signed_in(home: Household, tmdb: Server) -> None:
    home.person("ben")
    play(home, HARBOUR)
    path = str(appears(home).url.raw_path, "ascii")

    assert home.client().get(path).status_code == 303
    assert home.client(headers={"Authorization": "Bearer nothing"}).get(path).status_code == 303
    assert home.browser("ben").get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "movie:tmdb:42/poster-64", f"{KEY}/poster-65", f"{KEY}/poster-99999999999", f"{KEY}/still-64", f"{KEY}/poster-0",
        "..%2F..%2Fwatchmark.db/poster-64", "%00/poster-64", "x" * 3000 + "/poster-64", "%F0%9F%8E%AC/poster-64",
    ],
)  # fmt: skip
def test_an_unknown_picture_is_not_found(home: Household, path: str) -> None:
    play(home, HARBOUR)
    appears(home)

    assert home.browser().get(f"/pictures/{path}").status_code == 404


# --- the API


def test_the_api_names_the_picture_of_an_entry(home: Household) -> None:
    play(home, HARBOUR)

    (entry,) = home.api().get("/api/v1/plays").json()["items"]

    assert entry["picture"] == KEY


def test_what_waits_is_bounded(home: Household) -> None:
    worker = home.service.pictures
    worker.is_busy = lambda: True
    try:
        for number in range(3 * pictures.MAX_WANTED):
            worker.path(f"movie:imdb:tt{number}", "poster", 64)
        assert len(worker.wanted) == pictures.MAX_WANTED
    finally:
        worker.wanted.clear()
