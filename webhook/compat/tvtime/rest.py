"""The REST API: shows and episodes to follow and mark by TheTVDB's ids, as in the original API.

https://github.com/Kwbmm/scraped-tvtime-api
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypedDict
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from webhook.compat.tvtime import shelf
from webhook.compat.tvtime.auth import Guest, TVTimeAuth, WrongPassword
from webhook.compat.tvtime.backend import FollowedShow, ShowEpisode
from webhook.compat.tvtime.remote_backend import Backends
from webhook.service import Service
from webhook.storage.db import Unavailable
from webhook.web.http.errors import Problem, Shell
from webhook.web.http.params import body
from webhook.web.http.sessions import CookieBounds, refuse_other_sites

COOKIE = "session"
BASE_PATH = "/tvtime"
ORIGIN = "X-Watchmark-Episodes"
"""The header that names the origin of episodes: a lookup, the person's history, or the server of TVTIME_URL."""

MAX_FORM_FIELDS = 50
NO_FORM, NOT_IN = "Invalid POST data", "Not logged in"
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your "
    "spelling and try again."
)
NOT_ALLOWED = (
    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    "<p>The method is not allowed for the requested URL.</p>\n"
)
FAULT_TEXT = "Something is wrong here, not with what you asked. It is in the log"

Endpoint = Callable[[Request, Guest], Awaitable[Response]]


class Number(Convertor[int]):
    """A convertor for ids in paths, of at most 18 digits after leading zeros."""

    regex = "0*[1-9][0-9]{0,17}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("tvtime", Number())


class Rest:
    def __init__(self, service: Service, door: TVTimeAuth, homes: Backends) -> None:
        self.service, self.door, self.homes = service, door, homes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.raise_404),
            Route("/login", self.login, methods=["POST"]),
            Route("/shows", self.require_sign_in(self.shows)),
            Route("/show/{id:tvtime}", self.require_sign_in(self.show)),
            Route("/show/{id:tvtime}/follow", self.require_sign_in(self.follow), methods=["PUT", "DELETE"]),
            Route(
                "/episode/{id:tvtime}/watched",
                self.require_sign_in(self.mark_or_unmark),
                methods=["PUT", "DELETE"],
            ),
        ]

    async def raise_404(self, request: Request) -> Response:
        raise Problem(404, "Page not found")

    # --- the sign-in

    async def login(self, request: Request) -> Response:
        refuse_other_sites(request, self.service.settings)
        try:
            given = await form(request)
            if not {"username", "password"} <= given.keys() or not all(map(str.strip, given.values())):
                raise Problem(400, NO_FORM)
            guest = await self.door.sign_in(request, given["username"], given["password"])
        except WrongPassword:
            return self.end_session(request, error_response(401, NOT_IN))
        except Problem as on_problem:
            answer = error_response(on_problem.status, on_problem.detail, on_problem.headers)
            return answer if on_problem.status == 429 else self.end_session(request, answer)
        response = ok_response()
        response.set_cookie(COOKIE, self.door.seal_cookie(guest), **self.bounds(request))
        return response

    def end_session(self, request: Request, response: Response) -> Response:
        """The response of a failed login, which also ends an earlier session."""
        if COOKIE in request.cookies:
            response.delete_cookie(COOKIE, **self.bounds(request))
        return response

    def bounds(self, request: Request) -> CookieBounds:
        """The cookie's attributes: this API's path, HttpOnly, SameSite, and Secure over TLS."""
        root = self.service.settings.root_path
        path = f"{root}{BASE_PATH}" if root else str(request.scope["root_path"])
        return {**self.door.sessions.bounds(request), "path": path}

    def require_sign_in(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def call_endpoint(request: Request) -> Response:
            refuse_other_sites(request, self.service.settings)
            guest = await self.door.from_cookie(request.cookies.get(COOKIE, ""))
            if guest is None:
                raise Problem(401, NOT_IN)
            return await endpoint(request, guest)

        return call_endpoint

    # --- shows

    async def shows(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.open_backend(guest)
        followed = await home.shows()
        series = [show_json(one) for one in followed]
        return json_response({"count": len(series), "series": series}, origin(one.via for one in followed))

    async def show(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.open_backend(guest)
        found = await home.show(request.path_params["id"])
        seasons = [season_json(found.parts, number) for number in sorted({one.season for one in found.parts})]
        return json_response({"count": len(seasons), "seasons": seasons}, origin([found.via]))

    async def follow(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.open_backend(guest)
        change = home.unfollow if request.method == "DELETE" else home.follow
        await change(request.path_params["id"])
        return ok_response()

    async def mark_or_unmark(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.open_backend(guest)
        change = home.unmark if request.method == "DELETE" else home.mark
        await change(request.path_params["id"])
        return ok_response()


# --- request bodies


async def form(request: Request) -> dict[str, str]:
    """The fields of a form in either encoding; none if the body is something else."""
    raw = await body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS
            )
        except ValueError:
            return {}
        return dict(reversed(pairs))
    if kind == "multipart/form-data":
        return await multipart(request, raw)
    return {}


async def multipart(request: Request, raw: bytes) -> dict[str, str]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield raw

    try:
        parser = MultiPartParser(request.headers, whole(), max_files=0, max_fields=MAX_FORM_FIELDS)
        fields = await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        return {}
    pairs = [(name, value) for name, value in fields.multi_items() if isinstance(value, str)]
    return dict(reversed(pairs))


# --- responses


class ShowAnswer(TypedDict):
    id: int
    name: str
    progress: str
    time: str


class EpisodeAnswer(TypedDict):
    id: str
    number: str
    name: str
    air_date: str
    watched: bool


class SeasonAnswer(TypedDict):
    name: str
    number_of_episodes: str
    episodes: list[EpisodeAnswer]


def show_json(one: FollowedShow) -> ShowAnswer:
    minutes = one.seconds // 60
    return {
        "id": one.tvdb,
        "name": one.title or f"Show {one.tvdb}",
        "progress": f"{min(100 * one.watched // one.aired, 100) if one.aired else 0}%",
        "time": f"{minutes // 60}h {minutes % 60}m",
    }


def season_json(parts: Iterable[ShowEpisode], number: int) -> SeasonAnswer:
    episodes = [episode_json(one) for one in parts if one.season == number]
    return {"name": f"Season {number}", "number_of_episodes": str(len(episodes)), "episodes": episodes}


def episode_json(one: ShowEpisode) -> EpisodeAnswer:
    return {
        "id": "" if one.tvdb is None else str(one.tvdb),
        "number": str(one.number),
        "name": one.title or "",
        "air_date": one.aired or "",
        "watched": one.watched,
    }


def origin(via: Iterable[str | None]) -> dict[str, str]:
    return {ORIGIN: ", ".join(sorted({one for one in via if one is not None})) or shelf.HISTORY}


def json_response(answer: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    content = orjson.dumps(answer, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    return Response(content, status, dict(headers or {}), media_type="application/json")


def ok_response() -> Response:
    return json_response({"status": "OK"})


def error_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_response({"status": "KO", "reason": f"{status} - {detail.rstrip('.')}"}, headers, status)


# --- errors


async def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error_response(error.status, error.detail, error.headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        return HTMLResponse(NOT_ALLOWED, 405, headers)
    if error.status_code == 404:
        return json_response({"status": "KO", "reason": f"404 - {NOT_FOUND}"}, headers, 404)
    return error_response(error.status_code, error.detail, headers)


async def on_unavailable(request: Request, error: Exception) -> Response:
    why = f"The database cannot be used now: {error}. Nothing was changed; try again in a moment"
    return error_response(503, why, {"Retry-After": "30"})


async def on_fault(request: Request, error: Exception) -> Response:
    return error_response(500, FAULT_TEXT)


def application(routes: list[BaseRoute]) -> Shell:
    """The routes as an application whose errors are worded like the original's."""
    handlers = {
        Problem: on_problem,
        HTTPException: on_http_error,
        Unavailable: on_unavailable,
        Exception: on_fault,
    }
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Shell(inner)


async def without_last_slash(request: Request) -> Response:
    """A 404 for the base path without its final slash."""
    return error_response(404, "Page not found")
