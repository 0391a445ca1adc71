"""The REST API: shows and episodes followed and marked, as the original answered, by TheTVDB's ids.

https://github.com/Kwbmm/scraped-tvtime-api
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any
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
from webhook.compat.tvtime.auth import Door, Guest, Wrong
from webhook.compat.tvtime.backend import Followed, Part
from webhook.compat.tvtime.remote_backend import Homes
from webhook.service import Service
from webhook.storage.db import Unavailable
from webhook.web.http.errors import Problem, Shell
from webhook.web.http.params import body
from webhook.web.http.sessions import refuse_other_sites

COOKIE = "session"
HERE = "/tvtime"
ORIGIN = "X-Watchmark-Episodes"
"""The header that says who listed the episodes: a lookup, the person's own history, or the server of TVTIME_URL."""

FIELDS = 50
NO_FORM, NOT_IN = "Invalid POST data", "Not logged in"
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your "
    "spelling and try again."
)
NOT_ALLOWED = (
    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    "<p>The method is not allowed for the requested URL.</p>\n"
)
FAULT = "Something is wrong here, not with what you asked. It is in the log"

Endpoint = Callable[[Request, Guest], Awaitable[Response]]


class Number(Convertor[int]):
    """An id in a path, short enough to be one."""

    regex = "0*[1-9][0-9]{0,17}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("tvtime", Number())


class Rest:
    def __init__(self, service: Service, door: Door, homes: Homes) -> None:
        self.service, self.door, self.homes = service, door, homes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.nothing),
            Route("/login", self.login, methods=["POST"]),
            Route("/shows", self.signed_in(self.shows)),
            Route("/show/{id:tvtime}", self.signed_in(self.show)),
            Route("/show/{id:tvtime}/follow", self.signed_in(self.follow), methods=["PUT", "DELETE"]),
            Route("/episode/{id:tvtime}/watched", self.signed_in(self.watched), methods=["PUT", "DELETE"]),
        ]

    async def nothing(self, request: Request) -> Response:
        raise Problem(404, "Page not found")

    # --- the sign-in

    async def login(self, request: Request) -> Response:
        refuse_other_sites(request, self.service.settings)
        try:
            given = await form(request)
            if not {"username", "password"} <= given.keys() or not all(map(str.strip, given.values())):
                raise Problem(400, NO_FORM)
            guest = await self.door.admit(request, given["username"], given["password"])
        except Wrong:
            return self.ended(request, refusal(401, NOT_IN))
        except Problem as problem:
            answer = refusal(problem.status, problem.detail, problem.headers)
            return answer if problem.status == 429 else self.ended(request, answer)
        response = agreed()
        response.set_cookie(COOKIE, self.door.sealed(guest), **self.bounds(request))
        return response

    def ended(self, request: Request, response: Response) -> Response:
        """A login that fails ends an earlier session too."""
        if COOKIE in request.cookies:
            response.delete_cookie(COOKIE, **self.bounds(request))
        return response

    def bounds(self, request: Request) -> dict[str, Any]:
        """Where the cookie goes: to this API, to no script and no other site, over TLS if it came so."""
        root = self.service.settings.root_path
        path = f"{root}{HERE}" if root else str(request.scope["root_path"])
        return {**self.door.sessions.bounds(request), "path": path}

    def signed_in(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            refuse_other_sites(request, self.service.settings)
            guest = await self.door.of_cookie(request.cookies.get(COOKIE, ""))
            if guest is None:
                raise Problem(401, NOT_IN)
            return await endpoint(request, guest)

        return guarded

    # --- shows

    async def shows(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.of(guest)
        followed = await home.shows()
        series = [shown(one) for one in followed]
        return told({"count": len(series), "series": series}, origin(one.via for one in followed))

    async def show(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.of(guest)
        found = await home.show(request.path_params["id"])
        seasons = [season(found.parts, number) for number in sorted({one.season for one in found.parts})]
        return told({"count": len(seasons), "seasons": seasons}, origin([found.via]))

    async def follow(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.of(guest)
        change = home.unfollow if request.method == "DELETE" else home.follow
        await change(request.path_params["id"])
        return agreed()

    async def watched(self, request: Request, guest: Guest) -> Response:
        home = await self.homes.of(guest)
        change = home.unmark if request.method == "DELETE" else home.mark
        await change(request.path_params["id"])
        return agreed()


# --- what is asked


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, of either encoding; none where the body is something else."""
    raw = await body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS)
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
        parser = MultiPartParser(request.headers, whole(), max_files=0, max_fields=FIELDS)
        fields = await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        return {}
    pairs = [(name, value) for name, value in fields.multi_items() if isinstance(value, str)]
    return dict(reversed(pairs))


# --- what is answered


def shown(one: Followed) -> dict[str, Any]:
    minutes = one.seconds // 60
    return {
        "id": one.tvdb,
        "name": one.title or f"Show {one.tvdb}",
        "progress": f"{min(100 * one.watched // one.aired, 100) if one.aired else 0}%",
        "time": f"{minutes // 60}h {minutes % 60}m",
    }


def season(parts: Iterable[Part], number: int) -> dict[str, Any]:
    episodes = [episode(one) for one in parts if one.season == number]
    return {"name": f"Season {number}", "number_of_episodes": str(len(episodes)), "episodes": episodes}


def episode(one: Part) -> dict[str, Any]:
    return {
        "id": "" if one.tvdb is None else str(one.tvdb),
        "number": str(one.number),
        "name": one.title or "",
        "air_date": one.aired or "",
        "watched": one.watched,
    }


def origin(via: Iterable[str | None]) -> dict[str, str]:
    return {ORIGIN: ", ".join(sorted({one for one in via if one is not None})) or shelf.HISTORY}


def told(answer: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    content = orjson.dumps(answer, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    return Response(content, status, dict(headers or {}), media_type="application/json")


def agreed() -> Response:
    return told({"status": "OK"})


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return told({"status": "KO", "reason": f"{status} - {detail.rstrip('.')}"}, headers, status)


# --- what goes wrong


async def problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return refusal(error.status, error.detail, error.headers)


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        return HTMLResponse(NOT_ALLOWED, 405, headers)
    if error.status_code == 404:
        return told({"status": "KO", "reason": f"404 - {NOT_FOUND}"}, headers, 404)
    return refusal(error.status_code, error.detail, headers)


async def unavailable(request: Request, error: Exception) -> Response:
    why = f"The database cannot be used now: {error}. Nothing was changed; try again in a moment"
    return refusal(503, why, {"Retry-After": "30"})


async def fault(request: Request, error: Exception) -> Response:
    return refusal(500, FAULT)


def application(routes: list[BaseRoute]) -> Shell:
    """The routes as an application whose errors are worded as the original's."""
    handlers = {Problem: problem, HTTPException: refused, Unavailable: unavailable, Exception: fault}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Shell(inner)


async def bare(request: Request) -> Response:
    """The address without its last slash."""
    return refusal(404, "Page not found")
