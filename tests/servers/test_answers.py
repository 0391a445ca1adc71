"""Each media server's client alone, with respx in the place of the server: every answer's plays or error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import httpx
import pytest
import respx

from webhook import client
from webhook.domain.event import Ids, Movie
from webhook.domain.outcome import Dead, Retry
from webhook.servers import Found, emby, jellyfin, tautulli

pytestmark = pytest.mark.unit

URL = "http://attic.test:1"
MODULES: Mapping[str, ModuleType] = {"emby": emby, "jellyfin": jellyfin, "tautulli": tautulli}
MEDIABROWSER = ["emby", "jellyfin"]


def plays(name: str, answers: Mapping[str, Any]) -> list[Found]:
    """All plays, where each path, or each command of Tautulli's, has this answer."""

    async def run() -> list[Found]:
        async with client.client() as http:
            module = MODULES[name]
            server = module.build(module.Settings(url=URL, api_key="the-key"), http)
            return [found async for found in server.plays(None)]

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.params.get("cmd") or request.url.path
        given = next(value for key, value in answers.items() if key in ("", asked))
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx.Response) else httpx.Response(200, json=given)

    with respx.mock() as router:
        router.route(host="attic.test").mock(side_effect=answer)
        return asyncio.run(run())


def envelope(data: Any = None, *, result: str = "success", message: str | None = None) -> dict[str, Any]:
    return {"response": {"result": result, "message": message, "data": data}}


# --- trouble

RETRIES: list[tuple[Any, float | None]] = [
    (httpx.Response(429), 300),
    (httpx.Response(429, headers={"Retry-After": "7"}), 7),
    *((httpx.Response(status), 60) for status in (500, 502, 504, 524)),
    (httpx.Response(503), None),
    (httpx.ConnectError("refused"), None),
    (httpx.RemoteProtocolError("cut"), None),
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("answer", "after"), RETRIES)
def test_trouble_is_a_retry(name: str, answer: Any, after: float | None) -> None:
    with pytest.raises(Retry) as caught:
        plays(name, {"": answer})

    if not isinstance(answer, Exception):
        pause = caught.value.after
        assert (None if pause is None else pause.total_seconds()) == after


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(401), "does not accept {KEY} .it answered 401."),
        (httpx.Response(403), "does not accept {KEY} .it answered 403."),
        (
            httpx.Response(302, headers={"Location": "http://elsewhere"}),
            "sends on to http://elsewhere.*{URL}",
        ),
        (httpx.Response(404), "answered 404.*{URL}"),
        (httpx.Response(200, text="<html>Sign in</html>"), "no JSON.*{URL}"),
        (httpx.Response(200, text='{"Items": ['), "no JSON.*{URL}"),
    ],
)
def test_a_refusal_is_dead_and_names_the_setting(name: str, answer: httpx.Response, words: str) -> None:
    pattern = words.format(KEY=f"{name.upper()}_API_KEY", URL=f"{name.upper()}_URL")

    with pytest.raises(Dead, match=pattern) as caught:
        plays(name, {"": answer})

    assert "the-key" not in f"{caught.value.reason}{caught.value.answer}"


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("body", [[], {}, 3, "text", {"response": {"result": "success", "data": 3}}])
def test_an_answer_of_another_shape_is_dead(name: str, body: Any) -> None:
    with pytest.raises(Dead):
        plays(name, {"": body})


# --- Tautulli answers every mistake with 400, and says in words which it was


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Invalid apikey", "does not accept TAUTULLI_API_KEY"),
        ("Parameter apikey is required", "does not accept TAUTULLI_API_KEY"),
        ("API not enabled", "does not accept TAUTULLI_API_KEY"),
        ("Unknown command: get_history", "refuses what was asked: Unknown command"),
        (None, "no answer of its API.*TAUTULLI_URL"),
    ],
)
def test_tautulli_says_what_was_wrong(message: str | None, words: str) -> None:
    error = httpx.Response(400, json=envelope(result="error", message=message))

    with pytest.raises(Dead, match=words):
        plays("tautulli", {"": error})


def test_tautulli_without_a_server_is_not_set_up() -> None:
    with pytest.raises(Dead, match="Finish its setup"):
        plays("tautulli", {"": envelope({})})


def test_tautulli_reports_a_viewing_once_by_its_first_sitting_that_was_watched() -> None:
    sitting = {
        "reference_id": 7, "row_id": 7, "stopped": 1_700_000_000, "watched_status": 0, "media_type": "movie",
        "title": "Harbour Lights", "year": 2016, "user": "Nora", "user_id": 1, "rating_key": 41,
    }  # fmt: skip
    rows = [
        sitting,
        {**sitting, "row_id": 8, "stopped": 1_700_000_100, "watched_status": 1},
        {**sitting, "row_id": 9, "stopped": 1_700_000_200, "watched_status": 1},
    ]
    answers = {
        "get_server_info": envelope({"pms_identifier": "5f", "pms_name": "Attic"}),
        "get_history": envelope({"recordsFiltered": 3, "data": rows}),
        "get_metadata": envelope({"guids": ["tmdb://55001"], "duration": "6000000"}),
    }

    (found,) = plays("tautulli", answers)

    assert (found.key, found.event.at.timestamp()) == ("7", 1_700_000_100)
    assert found.event.item == Movie(title="Harbour Lights", year=2016, ids=Ids(tmdb=55001))
    assert (found.event.user, found.event.server_name, found.event.duration_ms) == (
        "Nora",
        "Attic",
        6_000_000,
    )


# --- Jellyfin and Emby


def library(*items: dict[str, Any]) -> dict[str, Any]:
    return {
        "/System/Info": {"Id": "a0" * 16, "ServerName": "Cellar"},
        "/Users": [{"Id": "d1" * 16, "Name": "Nora"}, "nobody", {"Name": "without an id"}],
        "": {"Items": [*items], "TotalRecordCount": len(items)},
    }


FILM = {
    "Id": "b1" * 16, "Type": "Movie", "Name": "Harbour Lights", "ProductionYear": 2016,
    "ProviderIds": {"Tmdb": "55001"}, "RunTimeTicks": 60_000_000_000,
    "UserData": {"Played": True, "LastPlayedDate": "2023-11-14T22:13:20.1239999Z"},
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIABROWSER)
def test_a_played_film_is_a_recorded_play_dated_to_the_millisecond(name: str) -> None:
    (found,) = plays(name, library(FILM))

    assert found.event.item == Movie(title="Harbour Lights", year=2016, ids=Ids(tmdb=55001))
    assert found.event.at.isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert (found.event.user, found.event.server_name, found.event.duration_ms) == (
        "Nora",
        "Cellar",
        6_000_000,
    )
    assert found.event.recorded


@pytest.mark.parametrize("name", MEDIABROWSER)
@pytest.mark.parametrize(
    "changed",
    [
        {"UserData": {"Played": True}},
        {"UserData": None},
        {"UserData": {"LastPlayedDate": "soon"}},
        {"Type": "Trailer"},
        {"Type": "Series"},
        {"Type": None},
        {"ExtraType": "Trailer"},
        {"Name": "", "ProviderIds": {}},
    ],
)
def test_an_item_without_a_date_a_name_or_a_tracked_kind_is_no_play(
    name: str, changed: dict[str, Any]
) -> None:
    assert plays(name, library({**FILM, **changed})) == []


@pytest.mark.parametrize("name", MEDIABROWSER)
def test_a_file_with_two_episodes_is_two_plays(name: str) -> None:
    episodes = {
        "Type": "Episode", "Name": "One / Two", "SeriesName": "Harbour Street", "ParentIndexNumber": 3,
        "IndexNumber": 9, "IndexNumberEnd": 10,
    }  # fmt: skip

    first, second = plays(name, library({**FILM, **episodes}))

    assert [getattr(found.event.item, "number", None) for found in (first, second)] == [9, 10]
    assert (second.event.item_key, second.key) == (None, f"{first.key}:10")
