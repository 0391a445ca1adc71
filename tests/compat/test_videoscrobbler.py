"""The VideoScrobbler API: every method in both formats, over a person's own history and library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.compat._scrobbler import App, Cinema, cinema
from tests.fakes._server import Server
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.tmdb import Tmdb
from tests.fakes.tvdb import Tvdb
from webhook import clock
from webhook.compat.videoscrobbler import apps
from webhook.domain.event import Episode, Ids, Item, Movie
from webhook.domain.items import keys
from webhook.domain.play import Play, State
from webhook.history.play_store import save_play, store_keys
from webhook.people import people
from webhook.storage import tables

FILM, PART, STREAM = "tmdb:3456", "tvdb:2345", "http://vimeo.com/12850662"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path) as opened:
        yield opened


@pytest.fixture
def me(at: Cinema) -> App:
    return at.session()


def watch(at: Cinema, name: str, item: Item, when: datetime | None = None, **more: Any) -> int:
    """A play of somebody's that came from elsewhere; its id."""
    moment = when or clock.now()

    def watched(connection: Any) -> int:
        whose = people.find_person(connection, name).id
        values: dict[str, Any] = {"state": State.STOPPED, "watched_at": moment, "source": "plex", **more}
        made = save_play(
            connection, whose, Play(item=item, started_at=moment, last_at=moment, **values), None
        )
        store_keys(connection, whose, made, keys(item, "attic", str(item.ids.by_namespace() or item.title)))
        return made

    return int(at.home.do(watched))


def plays(at: Cinema) -> list[Any]:
    return list(at.home.do(lambda connection: connection.execute(select(tables.play)).all()))


# --- video.getInfo


@pytest.mark.parametrize(
    ("wanted", "kind", "remote"), [(FILM, "film", FILM), (PART, "tv", PART), (STREAM, "url", STREAM)]
)
def test_a_remote_id_becomes_a_local_one(me: App, wanted: str, kind: str, remote: str) -> None:
    told = me("video.getInfo", id=wanted)

    assert told == {
        "id": told["id"], "type": kind, "remote_id": remote, "plays": 0, "active": 0, "popularity": 0.0
    }  # fmt: skip
    assert me("video.getInfo", id=told["id"]) == told
    assert me("video.getInfo", id=wanted)["id"] == told["id"]


@contextmanager
def listed(folder: Path, **settings: str) -> Iterator[tuple[Cinema, Tmdb, Tvdb]]:
    """A cinema that looks up in a TMDB with one film and a TheTVDB with one episode."""
    world = World()
    world.films.append(Film(title="Quiet Harbour", year=2001, ids={"tmdb": 3456, "imdb": "tt9000001"}))
    part = Part(season=1, number=2, title="Low Tide", ids={"tvdb": 2345})
    world.series.append(Series(title="Tidewater", year=1994, ids={"tvdb": 88}, parts=[part]))
    with Server(Tmdb(world)) as tmdb, Server(Tvdb(world)) as tvdb:
        known = {"TMDB_TOKEN": tmdb.fake.switches.token, "TMDB_API_URL": f"{tmdb.url}/3"}
        known |= {"TVDB_API_KEY": tvdb.fake.switches.key, "TVDB_API_URL": f"{tvdb.url}/v4"}
        with cinema(folder, **{**known, **settings}) as at:
            yield at, tmdb.fake, tvdb.fake


def test_what_is_played_by_its_id_has_the_title_of_who_lists_it(tmp_path: Path) -> None:
    with listed(tmp_path) as (at, tmdb, _):
        me = at.session()

        for wanted in (FILM, PART, FILM):
            me("video.scrobble", id=wanted, position=60, state="playing")

        film, part = (row.item for row in plays(at))
        asked = [call for call in tmdb.calls if call.path == "/3/movie/3456"]
    assert (film["title"], film["year"], film["ids"]["imdb"]) == ("Quiet Harbour", 2001, "tt9000001")
    assert (part["title"], part["show"], part["season"], part["number"]) == ("Low Tide", "Tidewater", 1, 2)
    assert part["show_ids"]["tvdb"] == 88
    assert len(asked) == 1


@pytest.mark.parametrize("wanted", ["tmdb:404", "tvdb:404"])
def test_an_id_that_its_service_knows_not_to_exist_is_error_7(tmp_path: Path, wanted: str) -> None:
    with listed(tmp_path) as (at, _, _):
        me = at.session()

        assert me.error("video.scrobble", id=wanted, position=60, state="playing") == (7, 404)
        assert me.error("video.getInfo", id=wanted) == (7, 404)
        assert at.anonymous().error("video.getInfo", id=wanted) == (7, 404)

        assert plays(at) == []


def test_what_was_played_before_is_not_refused_whatever_its_service_says(tmp_path: Path) -> None:
    with listed(tmp_path) as (at, _, _):
        watch(at, "me", Movie(ids=Ids(tmdb=404)))

        told = at.session()("video.scrobble", id="tmdb:404", position=60, state="playing")

    assert told["state"] == "playing"


@pytest.mark.parametrize(
    "trouble",
    [
        {"TMDB_API_URL": "http://127.0.0.1:1"},
        {"TMDB_TOKEN": "wrong"},
        pytest.param({"TMDB_API_URL": "{tmdb}/leads/elsewhere"}, marks=pytest.mark.breaks_contracts),
    ],
)
def test_a_lookup_that_cannot_say_loses_no_play(tmp_path: Path, trouble: dict[str, str]) -> None:
    with Server(Tmdb()) as elsewhere:
        settings = {name: value.replace("{tmdb}", elsewhere.url) for name, value in trouble.items()}
        with listed(tmp_path, **settings) as (at, _, _):
            told = at.session()("video.scrobble", id=FILM, position=60, state="playing")

            (row,) = plays(at)
    assert told["state"] == "playing"
    assert row.item["ids"] == {"tmdb": 3456}
    assert row.item["title"] is None


def test_a_title_that_was_not_to_be_had_comes_with_a_later_scrobble(tmp_path: Path) -> None:
    with cinema(tmp_path) as at:
        number = at.session()("video.scrobble", id=FILM, position=60, state="playing")["id"]
    with listed(tmp_path) as (at, _, _):
        at.session()("video.scrobble", id=number, position=90, state="playing")

        (row,) = plays(at)
    assert row.item["title"] == "Quiet Harbour"


def test_it_is_told_in_xml_too(me: App) -> None:
    root = me.xml("video.getInfo", id=FILM, username="me")

    assert [element.tag for element in root] == [
        "id", "type", "remote_id", "plays", "active", "popularity", "user"
    ]  # fmt: skip
    assert {element.tag: element.text for element in root.findall("user/*")} == {
        "username": "me", "loved": "false", "state": "stopped", "position": "0", "plays": "0"
    }  # fmt: skip


def test_every_way_to_write_a_stream_is_one_video(me: App) -> None:
    ways = (
        "https://www.youtube.com/watch?v=Kx-78v6WLN8",
        "http://youtu.be/Kx-78v6WLN8?si=abc",
        "https://m.youtube.com/watch?feature=share&v=Kx-78v6WLN8#t=10",
        "https://www.youtube.com/embed/Kx-78v6WLN8?autoplay=1",
    )

    told = [me("video.getInfo", id=way) for way in ways]

    assert len({entry["id"] for entry in told}) == 1
    assert told[0]["remote_id"] == ways[0]


def test_what_plex_played_is_the_same_video(at: Cinema, me: App) -> None:
    watch(at, "me", Movie(title="Quiet Harbour", year=2001, ids=Ids(tmdb=3456, imdb="tt9000001")))
    watch(at, "me", Episode(show="Tidewater", season=1, number=2, ids=Ids(tvdb=2345)))

    film, part = (me("video.getInfo", id=wanted, username="me") for wanted in (FILM, PART))

    assert (film["plays"], film["user"]["plays"], film["popularity"]) == (1, 1, 1.0)
    assert (part["plays"], part["type"]) == (1, "tv")
    (listed,) = me("user.getRecentVideos", user="me", n=5, type="film")["videos"]
    assert listed["id"] == film["id"]


def test_popularity_is_a_part_of_the_most_played_of_its_type(at: Cinema, me: App) -> None:
    for days in range(4):
        moment = clock.now() - timedelta(days=days)
        watch(at, "me", Movie(ids=Ids(tmdb=1), title="One", year=2001), moment)
        watch(at, "me", Episode(ids=Ids(tvdb=9)), moment)
    watch(at, "me", Movie(ids=Ids(tmdb=3456)))

    assert me("video.getInfo", id=FILM)["popularity"] == 0.25
    assert me("video.getInfo", id="tmdb:1")["popularity"] == 1.0


def test_an_id_that_is_none_is_an_error(me: App) -> None:
    for unknown in ("123456", "9" * 40):
        assert me.error("video.getInfo", id=unknown) == (7, 404)
    for wrong in (
        *("tvdb:x", "tmdb:0", "imdb:tt0903747", "ftp://example.org/x", "http://", None),
        *("http://anna:secret@example.org/x", "http://example.org/" + "x" * 600),
    ):
        assert me.error("video.getInfo", id=wrong) == (6, 400)


def test_an_unknown_user_is_as_if_none_was_named(me: App) -> None:
    assert "user" not in me("video.getInfo", id=FILM, username="nobody-here")


# --- video.love


def test_a_film_is_loved_and_no_longer(at: Cinema, me: App) -> None:
    video = me("video.getInfo", id=FILM)["id"]

    assert me("video.love", id=video, love="true") == {"id": video, "love": True}
    assert me("video.getInfo", id=FILM, username="me")["user"]["loved"] is True
    assert [entry["id"] for entry in me("user.getLovedVideos", user="me")["videos"]] == [video]
    assert me.xml("video.love", id=video, love="false").findtext("love") == "false"
    assert me("user.getLovedVideos", user="me")["videos"] == []


def test_a_stream_is_loved_too(at: Cinema, me: App) -> None:
    video = me("video.getInfo", id=STREAM)["id"]

    assert me("video.love", id=video, love="1")["love"] is True
    assert me("video.love", id=video, love="1")["love"] is True
    assert [entry["remote_id"] for entry in me("user.getLovedVideos", user="me", type="url")["videos"]] == [
        STREAM
    ]
    assert me("video.love", id=video, love="0")["love"] is False
    assert me("user.getLovedVideos", user="me")["videos"] == []


def test_love_reaches_the_inbox_as_a_webhook(at: Cinema, me: App) -> None:
    me("video.love", id=FILM, love="true")

    (webhook,) = at.home.api().get("/api/v1/webhooks").json()["items"]
    assert (webhook["source"], webhook["state"]) == ("videoscrobbler", "interpreted")
    assert [(event["action"], event["person"]) for event in webhook["events"]] == [("favourite", "me")]


def test_love_is_true_or_false(me: App) -> None:
    for wrong in (None, "", "yes", "2"):
        assert me.error("video.love", id=FILM, love=wrong) == (6, 400)


def test_loved_videos_are_of_the_type_that_is_asked_for(at: Cinema, me: App) -> None:
    for wanted in (FILM, PART, STREAM):
        me("video.love", id=wanted, love="true")

    told = me("user.getLovedVideos", user="me")

    assert (told["user"], told["type"]) == ("me", "all")
    assert [entry["type"] for entry in told["videos"]] == ["url", "tv", "film"]
    for kind in ("film", "tv", "url"):
        of_type = me("user.getLovedVideos", user="me", type=kind)
        assert (of_type["type"], [entry["type"] for entry in of_type["videos"]]) == (kind, [kind])
    assert me.error("user.getLovedVideos", user="me", type="vhs") == (6, 400)
    videos = me.xml("user.getLovedVideos", user="me").findall("videos/video")
    assert [video.findtext("user/loved") for video in videos] == ["true"] * 3


# --- video.scrobble


def test_a_viewing_from_its_beginning_to_its_end(at: Cinema, me: App) -> None:
    video = me("video.getInfo", id=FILM)["id"]

    told = [
        me("video.scrobble", id=video, position=position, state=state)
        for position, state in ((0, "playing"), (61.5, "paused"), (60, "playing"), (70, "stopped"))
    ]
    ended = me("video.scrobble", id=video, position=5400, state="finished")
    again = me("video.scrobble", id=video, position=0, state="playing")

    assert [entry["state"] for entry in told] == ["playing", "resting", "playing", "stopped"]
    assert [entry["position"] for entry in told] == [0, 61.5, 60, 70]
    assert [entry["continued"] for entry in told] == [False, True, True, True]
    assert ended == {
        "id": video, "position": 5400, "state": "finished", "origin": None, "continued": True
    }  # fmt: skip
    assert (again["continued"], again["state"]) == (False, "playing")
    assert me("video.scrobble", id=video, position=9, state="playing")["continued"] is True
    assert me("video.getInfo", id=video)["plays"] == 1


def test_the_answer_is_told_in_xml_too(me: App) -> None:
    root = me.xml("video.scrobble", id=FILM, position="12.25", state="playing", origin="dvd")

    assert {element.tag: element.text for element in root} == {
        "id": "1", "position": "12.25", "state": "playing", "origin": "dvd", "continued": "false"
    }  # fmt: skip


def test_nobody_is_asked_about_a_stream(at: Cinema, me: App) -> None:
    me("video.scrobble", id=STREAM, position=0, state="playing")
    me("video.scrobble", id=STREAM, position=300, state="finished")

    told = at.home.do(lambda connection: connection.execute(select(tables.delivery)).all())

    assert me("video.getInfo", id=STREAM)["plays"] == 1
    assert [(row.state, row.mark) for row in told] == [("skipped", True)]
    assert told[0].reason == "a stream known by its address alone, which no service lists"


def test_a_bookmark_is_found_on_another_computer(at: Cinema, me: App) -> None:
    elsewhere = at.session()

    me("video.scrobble", id=PART, position=754.5, state="stopped")

    told = elsewhere("video.getInfo", id=PART, username="me")["user"]
    assert (told["position"], told["state"]) == (754.5, "stopped")
    assert elsewhere("video.scrobble", id=PART, position=754.5, state="playing")["continued"] is True
    assert len(plays(at)) == 1


def test_what_plays_or_rests_is_watched_now(at: Cinema, me: App) -> None:
    film, part = (me("video.getInfo", id=wanted)["id"] for wanted in (FILM, PART))
    other = at.session()

    me("video.scrobble", id=film, position=1, state="playing")
    other("video.scrobble", id=part, position=1, state="paused")

    watching = me("user.getInfo", username="me")["watching"]
    assert {*watching.split(",")} == {str(film), str(part)}
    assert me("video.getInfo", id=film)["active"] == 1
    other("video.scrobble", id=part, position=1, state="stopped")
    assert me("user.getInfo", username="me")["watching"] == str(film)


def test_a_new_origin_starts_a_new_play(at: Cinema, me: App) -> None:
    told = [
        me("video.scrobble", id=FILM, position=position, state="playing", origin=origin)
        for position, origin in ((0, "tv:uk:BBC1West"), (60, "tv:uk:BBC1West"), (120, None), (180, "dvd"))
    ]

    assert [entry["continued"] for entry in told] == [False, True, True, True]
    first, second = plays(at)
    assert [(one.library, one.state) for one in (first, second)] == [
        ("tv:uk:BBC1West", "stopped"), ("dvd", "playing")
    ]  # fmt: skip
    assert (first.position_ms, second.position_ms) == (120_000, 180_000)
    me("video.scrobble", id=FILM, position=5400, state="finished", origin="dvd")
    assert [one.watched_at is not None for one in plays(at)] == [False, True]


def test_a_new_origin_starts_a_new_play_of_what_was_begun_again(at: Cinema, me: App) -> None:
    me("video.scrobble", id=FILM, position=5400, state="finished", origin="dvd")
    me("video.scrobble", id=FILM, position=0, state="playing", origin="dvd")

    told = me("video.scrobble", id=FILM, position=5, state="playing", origin="file")
    me("video.scrobble", id=FILM, position=5400, state="finished", origin="file")

    assert told["continued"] is True
    assert [(one.library, one.watched_at is not None) for one in plays(at)] == [("dvd", True), ("file", True)]
    assert me("video.getInfo", id=FILM)["plays"] == 2


@pytest.mark.parametrize("wanted", [FILM, PART, STREAM])
@pytest.mark.parametrize("position", [0, 5000])
def test_nothing_is_continued_after_a_second_finish(at: Cinema, me: App, wanted: str, position: int) -> None:
    reports = [(5400, "finished"), (position, "playing"), (5400, "finished"), (position, "playing")]

    told = [me("video.scrobble", id=wanted, position=where, state=state) for where, state in reports]

    assert [entry["continued"] for entry in told] == [False, False, True, False]
    assert me("video.scrobble", id=wanted, position=position + 9, state="playing")["continued"] is True


@pytest.mark.parametrize("end", [180, 0])
def test_a_clip_seen_twice_is_two_plays(at: Cinema, me: App, end: int) -> None:
    for position, state in ((0, "playing"), (end, "finished"), (0, "playing"), (end, "finished")):
        me("video.scrobble", id=STREAM, position=position, state=state)

    assert me("video.getInfo", id=STREAM, username="me")["user"]["plays"] == 2
    assert len(me("user.getRecentVideos", user="me", n=5)["videos"]) == 2


@pytest.mark.parametrize("reports", [
    ((180, "finished"), (180, "finished")),
    ((180, "finished"), (170, "playing"), (180, "finished")),
    ((180, "finished"), (180, "stopped"), (180, "finished")),
])  # fmt: skip
def test_a_clip_seen_once_is_one_play(at: Cinema, me: App, reports: tuple[tuple[int, str], ...]) -> None:
    for position, state in ((0, "playing"), *reports):
        me("video.scrobble", id=STREAM, position=position, state=state)

    assert me("video.getInfo", id=STREAM)["plays"] == 1
    assert len(plays(at)) == 1


@pytest.mark.parametrize("state", ["paused", "stopped", "finished"])
def test_a_new_origin_may_begin_with_any_state(at: Cinema, me: App, state: str) -> None:
    me("video.scrobble", id=FILM, position=60, state="playing", origin="dvd")

    told = me("video.scrobble", id=FILM, position=90, state=state, origin="file:720p")

    stored = {"paused": "resting"}.get(state, state)
    assert (told["state"], told["position"], told["origin"]) == (stored, 90, "file:720p")
    assert [(one.library, one.position_ms) for one in plays(at)] == [
        ("dvd", 60_000), ("file:720p", 90_000)
    ]  # fmt: skip


def test_a_stop_near_the_end_is_watched_where_the_length_is_known(at: Cinema, me: App) -> None:
    item = Movie(ids=Ids(tmdb=3456))
    now = clock.now()
    watch(at, "me", item, now, watched_at=None, duration_ms=1_000_000, position_ms=0, position_at=now)

    early = me("video.scrobble", id=FILM, position=799, state="stopped")
    late = me("video.scrobble", id=FILM, position=800, state="stopped")

    assert (early["state"], late["state"]) == ("stopped", "finished")
    assert me("video.getInfo", id=FILM)["plays"] == 1


def test_a_head_request_does_the_work(at: Cinema, me: App) -> None:
    answer = me.send("video.scrobble", "HEAD", id=FILM, position=30, state="playing")

    assert (answer.status_code, answer.content) == (200, b"")
    assert me("video.scrobble", id=FILM, position=40, state="paused")["continued"] is True
    assert me.send("video.scrobble", "HEAD", id=FILM, position=-1, state="playing").status_code == 400


def test_a_form_is_as_good_as_an_address(at: Cinema, me: App) -> None:
    answer = me.send("video.scrobble", "POST", id=STREAM, position=30, state="playing", origin="ü & <ö>")

    assert answer.json()["origin"] == "ü & <ö>"


def test_a_scrobble_with_something_wrong_is_an_error(at: Cinema, me: App) -> None:
    right = {"id": FILM, "position": 1, "state": "playing"}

    for position in (None, "-1", "nan", "inf", "x", "1e9"):
        assert me.error("video.scrobble", **{**right, "position": position}) == (6, 400)
    for state in (None, "resting", "PLAYING"):
        assert me.error("video.scrobble", **{**right, "state": state}) == (6, 400)
    assert me.error("video.scrobble", **right, origin="x" * 101) == (6, 400)

    assert plays(at) == []


def test_a_play_that_was_removed_does_not_exist(at: Cinema, me: App) -> None:
    me("video.scrobble", id=FILM, position=5400, state="finished")
    gone = update(tables.play).values(removed_at=clock.now())
    at.home.do(lambda connection: connection.execute(gone))

    told = me("video.getInfo", id=FILM, username="me")

    assert (told["plays"], told["user"]["plays"], told["user"]["position"]) == (0, 0, 0)
    assert me("user.getRecentVideos", user="me", n=5)["videos"] == []
    assert me("video.scrobble", id=FILM, position=1, state="playing")["continued"] is False


def test_without_an_interpreter_the_answer_is_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.compat.videoscrobbler.methods.INTERPRET_TIMEOUT", 0.1)
    with cinema(tmp_path, WORKER="false") as at:
        me = at.session()

        told = me("video.scrobble", id=FILM, position=12, state="paused")

        assert (told["state"], told["position"], plays(at)) == ("resting", 12, [])
        at.home.interpret()
        assert [one.position_ms for one in plays(at)] == [12_000]


# --- user.getRecentVideos


def test_recent_videos_are_those_seen_to_the_end_the_newest_first(at: Cinema, me: App) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1, 6):
        watch(at, "me", Movie(ids=Ids(tmdb=number)), start + timedelta(days=number))
    watch(at, "me", Movie(ids=Ids(tmdb=1)), start + timedelta(days=9))
    watch(at, "me", Movie(ids=Ids(tmdb=77)), start, watched_at=None)

    told = me("user.getRecentVideos", user="me", n=4)

    assert [entry["remote_id"] for entry in told["videos"]] == ["tmdb:1", "tmdb:5", "tmdb:4", "tmdb:3"]
    assert told["videos"][0]["finished"] == int((start + timedelta(days=9)).timestamp())
    assert [entry["user"]["plays"] for entry in told["videos"]] == [2, 1, 1, 1]
    xml = me.xml("user.getRecentVideos", user="me", n=200).findall("videos/video")
    assert len(xml) == 6
    assert all(re.fullmatch(r"\d+", video.findtext("finished") or "") for video in xml)


def test_what_has_no_remote_id_has_a_local_one(at: Cinema, me: App) -> None:
    watch(at, "me", Movie(title="Home Film", year=2001))
    watch(at, "me", Movie(title="Undated"))

    told = me("user.getRecentVideos", user="me", n=10)["videos"]

    assert [entry["remote_id"] for entry in told] == [None, None]
    assert len({entry["id"] for entry in told}) == 2
    assert me("user.getRecentVideos", user="me", n=10)["videos"] == told
    assert me("video.scrobble", id=told[1]["id"], position=3, state="playing")["state"] == "playing"


def test_how_many_is_from_1_to_200(me: App) -> None:
    for n in (None, "0", "201", "-1", "x", "1.5", "٣"):
        assert me.error("user.getRecentVideos", user="me", n=n) == (6, 400)


def test_music_is_no_video(at: Cinema, me: App) -> None:
    from webhook.domain.event import Track

    watch(at, "me", Track(title="Low Tide", artist="The Moorings"))

    assert me("user.getRecentVideos", user="me", n=10)["videos"] == []


# --- people, friends, privacy


def test_a_user_is_told_with_the_time_they_came(at: Cinema, me: App) -> None:
    told = me("user.getInfo", username="me")

    assert {*told} == {"username", "since", "watching"}
    assert abs(told["since"] - clock.now().timestamp()) < 60
    assert me.error("user.getInfo", username="nobody") == (7, 404)
    assert me.error("user.getInfo") == (6, 400)


def test_nobody_is_seen_before_they_choose_it(at: Cinema, me: App) -> None:
    at.home.person("anna")
    viewing(at, "anna")
    at.befriend("me")

    assert me.error("user.getRecentVideos", user="anna", n=5) == (4, 403)
    assert me.error("user.getLovedVideos", user="anna") == (4, 403)
    assert {*me("user.getInfo", username="anna")} == {"username", "since"}
    assert "user" not in me("video.getInfo", id="tmdb:12", username="anna")
    assert me("video.getInfo", id="tmdb:11")["plays"] == 0
    assert me("user.getFriends")["count"] == 0


def test_who_shows_nothing_sees_nothing_of_friends(at: Cinema, me: App) -> None:
    at.home.person("anna")
    viewing(at, "anna")
    at.befriend("anna")

    assert me.error("user.getRecentVideos", user="anna", n=5) == (4, 403)
    assert me("user.getFriends")["count"] == 0


def test_people_are_friends_who_have_chosen_it_until_one_turns_it_off(at: Cinema, me: App) -> None:
    at.home.person("anna")
    at.home.person("ben")
    at.befriend("me", "anna", "ben")

    told = me("user.getFriends")
    assert (told["user"], told["page"], told["count"]) == ("me", 1, 2)
    assert [(entry["username"], entry["watching"]) for entry in told["friends"]] == [
        ("anna", ""),
        ("ben", ""),
    ]

    at.private("ben")
    assert [entry["username"] for entry in me("user.getFriends", username="me")["friends"]] == ["anna"]
    assert [entry["username"] for entry in me("user.getFriends", username="anna")["friends"]] == ["me"]
    assert me.error("user.getFriends", username="ben") == (4, 403)
    names = me.xml("user.getFriends").findall("friends/user/username")
    assert [name.text for name in names] == ["anna"]

    at.private("me")
    assert me("user.getFriends")["count"] == 0
    assert me.error("user.getFriends", username="anna") == (4, 403)


def test_friends_come_a_hundred_a_page(at: Cinema, me: App) -> None:
    def many(connection: Any) -> None:
        for number in range(150):
            made = people.add_person(connection, f"friend {number:03}", clock.now())
            apps.set_seen_by(connection, made, apps.FRIENDS)

    at.home.do(many)
    at.befriend("me")

    pages = [me("user.getFriends", page=page) for page in (1, 2, 3)]

    assert [len(page["friends"]) for page in pages] == [100, 50, 0]
    assert [page["count"] for page in pages] == [150] * 3
    assert [page["page"] for page in pages] == [1, 2, 3]
    names = [entry["username"] for page in pages for entry in page["friends"]]
    assert names == [f"friend {number:03}" for number in range(150)]
    for wrong in ("0", "-1", "x", "9" * 12):
        assert me.error("user.getFriends", page=wrong) == (6, 400)


def viewing(at: Cinema, name: str) -> App:
    """Somebody who has finished one film, watches another and loves it."""
    app = at.session(name)
    app("video.scrobble", id="tmdb:11", position=5000, state="finished")
    app("video.scrobble", id="tmdb:12", position=100, state="playing")
    app("video.love", id="tmdb:12", love="true")
    return app


def test_a_friend_sees_what_one_watches(at: Cinema, me: App) -> None:
    at.home.person("anna")
    viewing(at, "anna")
    at.befriend("me", "anna")

    assert len(me("user.getRecentVideos", user="anna", n=5)["videos"]) == 1
    assert len(me("user.getLovedVideos", user="anna")["videos"]) == 1
    assert me("user.getInfo", username="anna")["watching"]
    assert me("video.getInfo", id="tmdb:12", username="anna")["user"]["position"] == 100
    assert me("video.getInfo", id="tmdb:12", username="me")["user"]["position"] == 0


@pytest.mark.parametrize("setting", ["nobody", "friends"])
def test_who_may_not_see_it_sees_nothing_of_it(at: Cinema, setting: str) -> None:
    at.home.person("anna")
    anna = viewing(at, "anna")
    at.private("anna", setting)
    at.befriend("me")
    stranger = at.anonymous() if setting == "friends" else at.session()

    assert stranger.error("user.getRecentVideos", user="anna", n=5) == (4, 403)
    assert stranger.error("user.getLovedVideos", user="anna") == (4, 403)
    assert stranger.error("user.getFriends", username="anna") == (4, 403)
    assert {*stranger("user.getInfo", username="anna")} == {"username", "since"}
    assert "user" not in stranger("video.getInfo", id="tmdb:12", username="anna")
    told = stranger("video.getInfo", id="tmdb:11")
    assert (told["plays"], told["popularity"]) == (0, 0.0)
    assert stranger("video.getInfo", id="tmdb:12")["active"] == 0
    assert len(anna("user.getRecentVideos", user="anna", n=5)["videos"]) == 1
    assert anna("video.getInfo", id="tmdb:11")["plays"] == 1


def test_what_all_did_counts_for_each_who_may_see_it(at: Cinema, me: App) -> None:
    for name, setting in (("anna", "everyone"), ("ben", "friends"), ("cleo", "nobody")):
        at.home.person(name)
        at.session(name)("video.scrobble", id=FILM, position=5400, state="finished")
        at.private(name, setting)
    cleo = at.session("cleo")
    at.befriend("me")

    told = [asking("video.getInfo", id=FILM)["plays"] for asking in (at.anonymous(), me, cleo)]

    assert told == [1, 2, 2]


# --- the address of a stream


SECRET = "https://cameras.example/porch?key=abc"


def guessed(app: App, local_id: int) -> list[tuple[int, int]]:
    """What it is told who guesses a local id."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("video.getInfo", {}), ("video.getInfo", {"username": "anna"}), ("video.love", {"love": "true"}),
        ("video.scrobble", {"position": 1, "state": "playing"}),
    ]  # fmt: skip
    return [app.error(method, id=local_id, **more) for method, more in asked]


@pytest.mark.parametrize("means", ["played", "loved", "named"])
def test_who_guesses_a_local_id_learns_no_address(at: Cinema, me: App, means: str) -> None:
    at.home.person("anna")
    anna, anybody = at.session("anna"), at.anonymous()
    at.private("anna")
    local = anna("video.getInfo", id=SECRET)["id"]
    if means == "played":
        anna("video.scrobble", id=local, position=0, state="playing", origin="file")
    if means == "loved":
        anna("video.love", id=local, love="true")

    assert guessed(me, local) == [(7, 404)] * 4
    assert [anybody.error("video.getInfo", id=one) for one in (local, local + 1)] == [(7, 404)] * 2
    assert anybody("video.getInfo", id=SECRET)["id"] == SECRET
    assert anna("video.getInfo", id=local)["remote_id"] == SECRET
    assert me("video.getInfo", id=SECRET)["id"] == local
    assert me("video.getInfo", id=local)["remote_id"] == SECRET


@pytest.mark.parametrize("means", ["played", "loved"])
def test_who_sees_somebody_knows_their_streams(at: Cinema, me: App, means: str) -> None:
    at.home.person("anna")
    at.befriend("me", "anna")
    anna, anybody = at.session("anna"), at.anonymous()
    if means == "played":
        local = anna("video.scrobble", id=SECRET, position=0, state="playing")["id"]
    else:
        local = anna("video.love", id=SECRET, love="true")["id"]

    assert me("video.getInfo", id=local)["remote_id"] == SECRET
    assert anybody.error("video.getInfo", id=local) == (7, 404)
    at.private("anna", "everyone")
    assert anybody("video.getInfo", id=local)["remote_id"] == SECRET
    assert anybody("video.getInfo", id=SECRET)["id"] == local


def test_who_shows_it_to_everyone_is_seen_by_everyone(at: Cinema) -> None:
    at.home.person("anna")
    viewing(at, "anna")
    at.private("anna", "everyone")
    stranger = at.anonymous()

    assert len(stranger("user.getRecentVideos", user="anna", n=5)["videos"]) == 1
    assert stranger("video.getInfo", id="tmdb:12", username="anna")["user"]["loved"] is True


def test_nobody_changes_what_is_anothers(at: Cinema, me: App) -> None:
    at.home.person("anna")
    viewing(at, "anna")
    before = at.home.do(lambda connection: connection.execute(select(tables.play)).all())

    at.befriend("me", "anna")

    me("video.scrobble", id="tmdb:12", position=7, state="playing", username="anna", user="anna")
    me("video.love", id="tmdb:12", love="false", username="anna", user="anna")

    (kept,) = [row for row in plays(at) if row.id == before[1].id]
    assert kept == before[1]
    assert len(me("user.getLovedVideos", user="anna")["videos"]) == 1


def test_a_person_with_any_name_is_served(at: Cinema) -> None:
    at.home.person("Änne @ home <&>")
    app = at.session("Änne @ home <&>")

    app("video.scrobble", id=FILM, position=5, state="finished")

    root = app.xml("user.getRecentVideos", user="Änne @ home <&>", n=1)
    assert root.findtext("user") == "Änne @ home <&>"
    assert len(root.findall("videos/video")) == 1


def test_it_leaves_alone_who_plays_first_on_plex(at: Cinema, me: App) -> None:
    me("video.scrobble", id=FILM, position=5, state="playing")

    webhook = at.home.hear("nora")

    assert at.home.api().get(f"/api/v1/webhooks/{webhook}").json()["state"] == "interpreted"


def test_it_all_holds_on_postgresql(tmp_path: Path, migrated_postgres_url: str) -> None:
    with cinema(tmp_path, DATABASE_URL=migrated_postgres_url) as at:
        me = at.session()
        for wanted in (FILM, PART, STREAM):
            me("video.scrobble", id=wanted, position=1, state="playing", origin="dvd")
            me("video.scrobble", id=wanted, position=2, state="finished", origin="file")
            me("video.love", id=wanted, love="true")

        assert len(me("user.getRecentVideos", user="me", n=9)["videos"]) == 3
        assert len(me("user.getLovedVideos", user="me")["videos"]) == 3
        assert me("video.getInfo", id=STREAM, username="me")["popularity"] == 1.0
        assert me("user.getFriends")["count"] == 0
        assert me("user.getInfo", username="me")["watching"] == ""
