"""The watchlists of trackers alone: each answer to a read and to a change, and the request of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.trackers.unit._wire import COMMON, PAGE, Replies, Wire, answer, body_of, case_id, describe
from webhook.clock import now
from webhook.domain.event import Action, Episode, Ids, Movie, Show
from webhook.domain.outcome import Undelivered
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Delivery

pytestmark = pytest.mark.unit

PARASITE = Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243, imdb="tt6751668"))
TIDEWATER = Show(title="Tidewater", year=2020, ids=Ids(tvdb=81189))
ADD = Delivery(id=1, action=Action.WATCHLIST, item=PARASITE, at=now())
REMOVE = replace(ADD, action=Action.UNWATCHLIST)
KEY = "5d776825880197001ec90a3d"

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "trakt": {"client_id": "app", "client_secret": SecretStr("secret")},
    "simkl": {"client_id": "app"},
    "plex": {"url": "http://attic.test:32400"},
    "mdblist": {},
}
TOKENS: Mapping[str, Mapping[str, Any]] = {
    "trakt": {"access_token": "old", "refresh_token": "again"},
    "simkl": {"access_token": "old"},
    "plex": {"token": "server", "account_token": "account"},
    "mdblist": {"token": "key"},
}
MOVIE = {"title": "Parasite", "year": 2019, "ids": {"trakt": 1, "imdb": "tt6751668", "tmdb": 496243}}
TRAKT_ROW = {"rank": 1, "id": 101, "listed_at": "2026-11-20T21:00:00.000Z", "type": "movie", "movie": MOVIE}
SIMKL_ROW = {
    "added_to_watchlist_at": "2026-11-20T21:00:00Z",
    "status": "plantowatch",
    "movie": {"title": "Parasite", "year": 2019, "ids": {"simkl": 7, "imdb": "tt6751668", "tmdb": "496243"}},
}
PLEX_ROW = {
    "ratingKey": KEY,
    "guid": f"plex://movie/{KEY}",
    "type": "movie",
    "title": "Parasite",
    "year": 2019,
    "watchlistedAt": 1795208400,
    "Guid": [{"id": "imdb://tt6751668"}, {"id": "tmdb://496243"}],
}

MDBLIST_ROW = {
    "id": 496243,
    "title": "Parasite",
    "mediatype": "movie",
    "release_year": 2019,
    "ids": {"imdb": "tt6751668", "tmdb": 496243, "mdblist": "a2na"},
    "watchlist_at": "2026-11-20T21:00:00Z",
}


def trakt_list(rows: list[Any], count: int | None = None, pages: int = 1) -> httpx.Response:
    counted = {"x_pagination_page_count": str(pages), "x_pagination_item_count": str(count)}
    return answer(200, rows, **({} if count is None else counted))


def plex_list(*rows: Any, total: int | None = None) -> httpx.Response:
    inside = {"offset": 0, "size": len(rows), "totalSize": len(rows) if total is None else total}
    return answer(200, {"MediaContainer": {**inside, **({"Metadata": rows} if rows else {})}})


def mdblist_list(*rows: Any, cursor: str | None = None) -> httpx.Response:
    paging = {"has_more": cursor is not None, "next_cursor": cursor}
    return answer(200, {"movies": rows, "shows": [], "pagination": paging})


def simkl_seen(result: Any = False, on: str | None = None, **more: Any) -> httpx.Response:
    return answer(200, [{"result": result, "list": on, "last_watched_at": None, **more}])


LISTS: Mapping[str, Replies] = {
    "trakt": {
        "GET /sync/watchlist/movies": trakt_list([TRAKT_ROW], 1),
        "GET /sync/watchlist/shows": trakt_list([], 0, 0),
    },
    "simkl": {
        "GET /sync/all-items/movies/plantowatch": answer(200, {"movies": [SIMKL_ROW]}),
        "GET /sync/all-items/shows/plantowatch": answer(200, "null"),
        "GET /sync/all-items/anime/plantowatch": answer(200, "null"),
    },
    "plex": {"GET /library/sections/watchlist/all": plex_list(PLEX_ROW)},
    "mdblist": {"GET /watchlist/items": mdblist_list(MDBLIST_ROW)},
}
FIRST: Mapping[str, str] = {
    "trakt": "GET /sync/watchlist/movies",
    "simkl": "GET /sync/all-items/movies/plantowatch",
    "plex": "GET /library/sections/watchlist/all",
    "mdblist": "GET /watchlist/items",
}
SENDS: Mapping[str, Replies] = {
    "trakt": {
        "GET /search/": answer(200, [{"type": "movie", "movie": MOVIE}]),
        "POST /sync/watchlist/remove": answer(200, {"deleted": {"movies": 1}, "not_found": {}}),
        "POST /sync/watchlist": answer(201, {"added": {"movies": 1}, "existing": {}, "not_found": {}}),
        "POST /oauth/token": answer(400, {"error": "invalid_grant"}),
    },
    "simkl": {
        "POST /sync/watched": simkl_seen(),
        "POST /sync/add-to-list": answer(201, {"added": {"movies": [{}], "shows": []}, "not_found": {}}),
        "POST /sync/history/remove": answer(200, {"deleted": {"movies": 1}, "not_found": {}}),
    },
    "plex": {
        "GET /library/metadata/matches": answer(200, {"MediaContainer": {"Metadata": [PLEX_ROW]}}),
        "PUT /actions/addToWatchlist": answer(200, {"MediaContainer": {"size": 0}}),
        "PUT /actions/removeFromWatchlist": answer(200, {"MediaContainer": {"size": 0}}),
    },
    "mdblist": {
        "POST /watchlist/items/add": answer(200, {"added": {"movies": 1}, "existing": {}, "not_found": {}}),
        "POST /watchlist/items/remove": answer(200, {"removed": {"movies": 1}}),
    },
}
WRITES: Mapping[str, str] = {
    "trakt": "POST /sync/watchlist",
    "simkl": "POST /sync/add-to-list",
    "plex": "PUT /actions/addToWatchlist",
    "mdblist": "POST /watchlist/items/add",
}


def wire(name: str, replies: Replies) -> Wire:
    known = {**LISTS[name], **SENDS[name]}
    return Wire(
        name,
        SETTINGS[name],
        TOKENS[name],
        {**replies, **{route: reply for route, reply in known.items() if route not in replies}},
    )


def read(at: Wire) -> Any:
    return at.run(lambda tracker, access: tracker.watchlist(access))


# --- reads


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_with_its_ids_and_dates(name: str) -> None:
    at = wire(name, {})

    (one,) = read(at)

    ids = one.item.ids
    assert (one.item.title, ids.tmdb, ids.imdb) == ("Parasite", 496243, "tt6751668")
    assert one.at is not None
    assert one.at.isoformat().startswith("2026-11-20")
    assert name == "plex" or at.violations() == []


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("reply", [one for one, _ in COMMON], ids=str)
def test_no_broken_answer_passes_for_a_list(name: str, reply: Any) -> None:
    assert isinstance(read(wire(name, {FIRST[name]: reply})), Undelivered)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 412, 420, 422, 423, 426, 429])
def test_no_refusal_passes_for_an_empty_list(name: str, status: int) -> None:
    assert isinstance(read(wire(name, {FIRST[name]: answer(status, {})})), Undelivered)


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("trakt", {FIRST["trakt"]: trakt_list([TRAKT_ROW], 2)}),
        ("trakt", {FIRST["trakt"]: trakt_list([], 61)}),
        ("trakt", {FIRST["trakt"]: trakt_list([TRAKT_ROW] * 250)}),
        ("trakt", {FIRST["trakt"]: trakt_list([{"id": 101, "type": "movie"}], 1)}),
        ("trakt", {"GET /sync/watchlist/shows": answer(502, PAGE)}),
        ("simkl", {FIRST["simkl"]: answer(200, {"movies": [{"status": "plantowatch"}]})}),
        ("simkl", {FIRST["simkl"]: answer(200, {"movies": [{**SIMKL_ROW, "status": "completed"}]})}),
        ("simkl", {FIRST["simkl"]: answer(200, '{"movies": [{"status": "plan')}),
        ("simkl", {"GET /sync/all-items/anime/plantowatch": answer(502, PAGE)}),
        ("mdblist", {FIRST["mdblist"]: [mdblist_list(MDBLIST_ROW, cursor="next"), answer(502, PAGE)]}),
        ("mdblist", {FIRST["mdblist"]: mdblist_list(MDBLIST_ROW, cursor="same")}),
        ("mdblist", {FIRST["mdblist"]: mdblist_list({**MDBLIST_ROW, "id": None, "ids": {}})}),
        ("mdblist", {FIRST["mdblist"]: mdblist_list({**MDBLIST_ROW, "mediatype": None})}),
        ("mdblist", {FIRST["mdblist"]: answer(200, {"movies": [MDBLIST_ROW] * 1000})}),
        ("plex", {FIRST["plex"]: plex_list(PLEX_ROW, total=2)}),
        ("plex", {FIRST["plex"]: plex_list(total=61)}),
        ("plex", {FIRST["plex"]: answer(200, {"MediaContainer": {"Metadata": [PLEX_ROW]}})}),
        ("plex", {FIRST["plex"]: plex_list({"type": "movie", "title": "Parasite"})}),
        ("plex", {FIRST["plex"]: plex_list({**PLEX_ROW, "Guid": []}), "GET /library/metadata/": answer(500)}),
    ],
)
def test_a_list_of_which_not_all_came_is_none(name: str, replies: Replies) -> None:
    assert isinstance(read(wire(name, replies)), Undelivered)


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("trakt", {FIRST["trakt"]: trakt_list([], 0, 0)}),
        ("trakt", {FIRST["trakt"]: trakt_list([])}),
        ("mdblist", {FIRST["mdblist"]: mdblist_list()}),
        ("simkl", {FIRST["simkl"]: answer(200, "null")}),
        ("plex", {FIRST["plex"]: plex_list()}),
    ],
)
def test_a_list_with_nothing_on_it_is_empty(name: str, replies: Replies) -> None:
    assert read(wire(name, replies)) == []


def test_plex_is_asked_as_the_account_and_never_as_the_server() -> None:
    at = wire("plex", {})

    read(at)

    (request,) = at.sent
    assert request.url.host == "discover.provider.plex.tv"
    assert request.headers["x-plex-token"] == "account"


def test_a_title_that_plex_has_deleted_stays_by_its_own_key() -> None:
    row = {name: value for name, value in PLEX_ROW.items() if name != "Guid"}
    at = wire("plex", {FIRST["plex"]: plex_list(row), "GET /library/metadata/": answer(404, {})})

    (one,) = read(at)

    assert (one.item.title, one.handle) == ("Parasite", KEY)
    assert not {"tmdb", "imdb", "tvdb"} & one.item.ids.by_namespace().keys()


# --- what left a list by itself


@pytest.mark.parametrize(
    ("name", "replies", "left"),
    [
        ("trakt", {"GET /sync/history/movies/1": answer(200, [{"id": 5}])}, True),
        ("trakt", {"GET /sync/history/movies/1": answer(200, [])}, False),
        ("simkl", {"POST /sync/watched": simkl_seen(True, "completed")}, True),
        ("simkl", {"POST /sync/watched": simkl_seen(False, "watching")}, True),
        ("simkl", {"POST /sync/watched": simkl_seen(False, "dropped")}, False),
        ("simkl", {"POST /sync/watched": simkl_seen(False, None)}, False),
    ],
)
def test_what_was_watched_there_left_by_itself(name: str, replies: Replies, left: bool) -> None:
    item = replace(PARASITE, ids=Ids(trakt=1, tmdb=496243))
    gone = [WantedItem(item=item, at=now())]

    found = wire(name, replies).run(lambda tracker, access: tracker.explain_absence(gone, access))

    assert found == ([item] if left else [])


@pytest.mark.parametrize("name", ["trakt", "simkl"])
def test_what_left_is_not_known_where_that_cannot_be_read(name: str) -> None:
    gone = [WantedItem(item=replace(PARASITE, ids=Ids(trakt=1, tmdb=496243)), at=now())]
    replies: Replies = {"GET /sync/history/": answer(502, PAGE), "POST /sync/watched": answer(502, PAGE)}

    found = wire(name, replies).run(lambda tracker, access: tracker.explain_absence(gone, access))

    assert isinstance(found, Undelivered)


# --- whether a list may have changed

AN_HOUR_AGO = "2026-11-20T20:00:00Z"


@pytest.mark.parametrize(
    ("group", "name", "moved"),
    [
        ("movies", "plantowatch", True),
        ("anime", "removed_from_list", True),
        ("tv_shows", "watching", True),
        ("movies", "rated_at", False),
        ("tv_shows", "playback", False),
    ],
)
def test_the_stamp_of_simkl_moves_with_the_list_and_with_nothing_else(
    group: str, name: str, moved: bool
) -> None:
    before = {one: {"all": None, "plantowatch": AN_HOUR_AGO} for one in ("tv_shows", "anime", "movies")}
    after = {**before, group: {**before[group], name: "2026-11-20T21:00:00Z"}}
    replies: Replies = {
        "GET /sync/activities": [answer(200, {"all": AN_HOUR_AGO, **before}), answer(200, after)]
    }
    simkl = wire("simkl", replies)

    first, second = (simkl.run(lambda tracker, access: tracker.watchlist_stamp(access)) for _ in range(2))

    assert (first != second) is moved


@pytest.mark.parametrize("reply", [answer(502, PAGE), answer(200, "[]")])
def test_without_its_stamps_nothing_is_known_of_a_list(reply: httpx.Response) -> None:
    found = wire("simkl", {"GET /sync/activities": reply}).run(
        lambda tracker, access: tracker.watchlist_stamp(access)
    )

    assert isinstance(found, Undelivered)


# --- changes


@pytest.mark.parametrize(
    ("name", "delivery", "request_line", "body"),
    [
        (
            "trakt",
            ADD,
            "POST /sync/watchlist",
            {"movies": [{"ids": {"tmdb": 496243, "imdb": "tt6751668"}}]},
        ),
        (
            "trakt",
            replace(REMOVE, item=TIDEWATER),
            "POST /sync/watchlist/remove",
            {"shows": [{"ids": {"tvdb": 81189}}]},
        ),
        (
            "mdblist",
            ADD,
            "POST /watchlist/items/add?apikey=key",
            {"movies": [{"tmdb": 496243, "imdb": "tt6751668"}], "shows": []},
        ),
        (
            "mdblist",
            replace(REMOVE, item=replace(TIDEWATER, ids=Ids(tmdb=1))),
            "POST /watchlist/items/remove?apikey=key",
            {"movies": [], "shows": [{"tmdb": 1}]},
        ),
        ("plex", ADD, f"PUT /actions/addToWatchlist?ratingKey={KEY}", None),
        ("plex", REMOVE, f"PUT /actions/removeFromWatchlist?ratingKey={KEY}", None),
    ],
    ids=case_id,
)
def test_each_change_is_this_request(name: str, delivery: Delivery, request_line: str, body: Any) -> None:
    more: Replies = {"POST /sync/watchlist/remove": answer(200, {"deleted": {"shows": 1}, "not_found": {}})}
    at = wire(name, more if name == "trakt" else {})

    outcome = at.send(delivery)

    assert describe(outcome) == "done", outcome
    (write,) = [one for one in at.sent if one.method in ("POST", "PUT")]
    assert f"{write.method} {write.url.raw_path.decode()}" == request_line
    assert body_of(write) == body
    assert name == "plex" or at.violations() == []


def test_simkl_is_asked_before_it_is_told() -> None:
    at = wire("simkl", {})

    outcome = at.send(ADD)

    assert describe(outcome) == "done", outcome
    asked, told = [one for one in at.sent if one.method == "POST"]
    assert body_of(asked) == [
        {"type": "movie", "imdb": "tt6751668", "tmdb": 496243, "title": "Parasite", "year": 2019}
    ]
    ids = {"imdb": "tt6751668", "tmdb": 496243}
    assert body_of(told) == {"movies": [{"title": "Parasite", "year": 2019, "ids": ids, "to": "plantowatch"}]}
    assert at.violations() == []


@pytest.mark.parametrize(
    ("seen", "outcome", "writes"),
    [
        (simkl_seen(False, "plantowatch"), "done", ["POST /sync/history/remove"]),
        (simkl_seen(True, "plantowatch"), "skip", []),
        (simkl_seen(False, "plantowatch", last_watched_at="2026-11-01T20:00:00Z"), "skip", []),
        (simkl_seen(False, "plantowatch", episodes_watched=1), "skip", []),
        (simkl_seen(True, "completed"), "skip", []),
        (simkl_seen(False, "dropped"), "done", []),
        (simkl_seen(False, None), "done", []),
        (simkl_seen("not_found"), "done", []),
        (answer(200, []), "retry in 60s", []),
        (answer(502, PAGE), "retry in 60s unsure", []),
    ],
)
def test_simkl_loses_nothing_that_was_watched(seen: httpx.Response, outcome: str, writes: list[str]) -> None:
    at = wire("simkl", {"POST /sync/watched": seen})

    result = at.send(REMOVE)

    assert describe(result) == outcome, result
    assert [one.split("?")[0] for one in at.requests("POST")][1:] == writes


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (simkl_seen(False, "plantowatch"), "done"),
        (simkl_seen(False, "watching"), "skip"),
        (simkl_seen(True, "completed"), "skip"),
        (simkl_seen(False, "hold"), "skip"),
        (simkl_seen("not_found"), "snooze 604800s alone"),
    ],
)
def test_simkl_keeps_the_status_that_a_title_has(seen: httpx.Response, outcome: str) -> None:
    at = wire("simkl", {"POST /sync/watched": seen})

    result = at.send(ADD)

    assert describe(result) == outcome, result
    assert not any("add-to-list" in one for one in at.requests("POST"))


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(("reply", "outcome"), [one for one in COMMON if one[1] != "dead"], ids=case_id)
def test_what_cannot_be_sent_now_is_sent_later(name: str, reply: Any, outcome: str) -> None:
    result = wire(name, {WRITES[name]: reply}).send(ADD)

    assert describe(result).split()[0] in ("retry", "snooze", "done"), (outcome, result)
    assert not (describe(result) == "done" and name != "plex")


@pytest.mark.parametrize(
    ("name", "delivery", "replies", "outcome"),
    [
        (
            "trakt",
            ADD,
            {WRITES["trakt"]: answer(201, {"added": {"movies": 0}, "existing": {"movies": 1}})},
            "done",
        ),
        (
            "trakt",
            ADD,
            {WRITES["trakt"]: answer(201, {"added": {"movies": 0}, "not_found": {"movies": [{}]}})},
            "snooze 604800s alone",
        ),
        ("trakt", ADD, {WRITES["trakt"]: answer(420, "")}, "park account_limit"),
        (
            "trakt",
            REMOVE,
            {
                "POST /sync/watchlist/remove": answer(
                    200, {"deleted": {"movies": 0}, "not_found": {"movies": [{}]}}
                )
            },
            "done",
        ),
        ("mdblist", ADD, {WRITES["mdblist"]: answer(200, {"added": {}, "existing": {"movies": 1}})}, "done"),
        (
            "mdblist",
            ADD,
            {
                WRITES["mdblist"]: [
                    answer(200, {"added": {}, "not_found": {"movies": [{}]}}),
                    answer(200, {"added": {"movies": 1}, "not_found": {}}),
                ]
            },
            "done",
        ),
        (
            "mdblist",
            ADD,
            {WRITES["mdblist"]: answer(200, {"added": {}, "not_found": {"movies": [{}]}})},
            "snooze 604800s alone",
        ),
        (
            "mdblist",
            REMOVE,
            {"POST /watchlist/items/remove": answer(200, {"deleted": {}, "not_found": {"movies": [{}]}})},
            "done",
        ),
        ("plex", ADD, {WRITES["plex"]: answer(409, {})}, "done"),
        (
            "plex",
            ADD,
            {WRITES["plex"]: answer(200, {"Error": {"message": "already on the watchlist"}})},
            "done",
        ),
        ("plex", ADD, {WRITES["plex"]: answer(401, {})}, "snooze 86400s alone"),
        ("plex", REMOVE, {"PUT /actions/removeFromWatchlist": answer(404, {})}, "done"),
        (
            "plex",
            ADD,
            {"GET /library/metadata/matches": answer(200, {"MediaContainer": {"Metadata": []}})},
            "snooze 604800s alone",
        ),
        ("trakt", replace(ADD, item=Episode(show="Tidewater", season=1, number=1)), {}, "dead"),
    ],
    ids=case_id,
)
def test_each_answer_of_its_own_has_its_outcome(
    name: str, delivery: Delivery, replies: Replies, outcome: str
) -> None:
    result = wire(name, replies).send(delivery)

    assert describe(result) == outcome, result


def test_plex_takes_no_title_that_its_answer_does_not_name() -> None:
    other = {**PLEX_ROW, "Guid": [{"id": "tmdb://1"}]}
    at = wire(
        "plex", {"GET /library/metadata/matches": answer(200, {"MediaContainer": {"Metadata": [other]}})}
    )

    result = at.send(ADD)

    assert describe(result) == "snooze 604800s alone"
    assert at.requests("PUT") == []


def test_plex_is_told_by_the_key_that_its_list_had() -> None:
    at = wire("plex", {})

    at.send(replace(REMOVE, remote_id=KEY))

    assert at.requests() == [f"PUT /actions/removeFromWatchlist?ratingKey={KEY}"]
