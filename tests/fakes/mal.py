"""A MyAnimeList on loopback: forms only, other names for what is written than for what is read, and no patience.

`python -m tests.fakes.mal --port 0` runs it alone. The API is at `/v2`, the sign-in at `/v1/oauth2`. Beside what every
fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> tokens
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ._server import Call, Clock, Fake, main

Json = dict[str, Any]
LIFE = 2_678_400
STATUSES = ("watching", "completed", "on_hold", "dropped", "plan_to_watch")
WRITTEN = {"num_watched_episodes": "num_episodes_watched"}
"""What is written under another name than it is read."""

NUMBERS = ("num_watched_episodes", "num_times_rewatched", "score", "priority")
DATES = ("start_date", "finish_date")
ALWAYS = ("status", "score", "num_episodes_watched", "is_rewatching", "updated_at")
"""What of an entry is read without being asked for."""

GUARD = "<html><head><title>403 Forbidden</title></head></html>"


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    guarded: bool = False  # this address is refused, with a page
    expires_in: int = LIFE
    secret: str = ""  # the app has one


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.response = JSONResponse({"error": error, "message": ""}, status)


@dataclass
class Anime:
    id: int
    num_episodes: int
    media_type: str = "tv"
    status: str = "finished_airing"
    nsfw: bool = False


@dataclass
class Entry:
    status: str = "watching"
    score: int = 0
    num_episodes_watched: int = 0
    is_rewatching: bool = False
    num_times_rewatched: int = 0
    start_date: str = ""
    finish_date: str = ""
    priority: int = 0
    updated_at: str = ""


@dataclass
class User:
    id: int
    name: str
    entries: dict[int, Entry] = field(default_factory=dict)


Handler = Callable[[Request, User, Mapping[str, str]], Response]


class MyAnimeList(Fake):
    """The server. `fake.sign_in("anna")` gives her tokens; `fake.user("anna").entries` her entries by anime."""

    switches: Switches
    service = "mal"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.anime: dict[int, Anime] = {}
        self.users: dict[str, User] = {}
        self.access: dict[str, str] = {}
        self.refresh: dict[str, str] = {}
        self.codes: dict[str, tuple[str, str, str]] = {}
        self.renewals = 0

    # People and anime

    def add(self, number: int, episodes: int | None, **more: Any) -> Anime:
        return self.anime.setdefault(number, Anime(number, episodes or 0, **more))

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(77 + len(self.users), name))

    def sign_in(self, name: str) -> Json:
        user = self.user(name)
        access, refresh = f"eyJ{secrets.token_urlsafe(60)}", f"def{secrets.token_urlsafe(60)}"
        self.access[access], self.refresh[refresh] = user.name, user.name
        life = self.switches.expires_in
        tokens = {
            "token_type": "Bearer",
            "expires_in": life,
            "access_token": access,
            "refresh_token": refresh,
        }
        return {**tokens, "created_at": int(self.clock.now().timestamp())}

    def expire(self, name: str) -> None:
        """Her access token has aged; the refresh token is good."""
        self.access = {token: user for token, user in self.access.items() if user != name}

    def revoke(self, name: str) -> None:
        self.expire(name)
        self.refresh = {token: user for token, user in self.refresh.items() if user != name}

    def remember(self, name: str, anime: int, status: str, watched: int, **more: Any) -> Entry:
        """As if she had set it there."""
        entry = Entry(status, num_episodes_watched=watched, **more)
        entry.updated_at = entry.updated_at or self.clock.now().isoformat()
        self.user(name).entries[anime] = entry
        return entry

    def agree(self, name: str, query: Mapping[str, str]) -> str:
        """She opens the link and agrees: the address that she is sent to."""
        code = secrets.token_urlsafe(30)
        self.codes[code] = (name, query["code_challenge"], query["redirect_uri"])
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def who(self, headers: Mapping[str, str]) -> str | None:
        return self.access.get(headers.get("authorization", "").removeprefix("Bearer "))

    def log(self, scope: Scope, body: bytes) -> Call:
        """With the fields of a form by name."""
        call = super().log(scope, body)
        if isinstance(call.body, str) and "form" in call.headers.get("content-type", ""):
            call.body = dict(parse_qsl(call.body))
        return call

    def state(self) -> Json:
        return {"users": {user.name: asdict(user) for user in self.users.values()}}

    # The door

    def routes(self) -> list[BaseRoute]:
        status = "/v2/anime/{id:int}/my_list_status"
        return [
            Route("/v2/users/@me", self.door(self.me)),
            Route("/v2/users/@me/animelist", self.door(self.list_entries)),
            Route("/v2/anime/{id:int}", self.door(self.details)),
            Route(status, self.door(self.update), methods=["PUT", "PATCH"]),
            Route(status, self.door(self.delete), methods=["DELETE"]),
            Route("/v1/oauth2/authorize", self.authorize),
            Route("/v1/oauth2/token", self.token, methods=["POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
        ]

    def door(self, handler: Handler) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if self.switches.guarded:
                return Response(GUARD, 403, media_type="text/html")
            try:
                name = self.who(request.headers)
                if name is None:
                    raise Refused(401, "invalid_token")
                return handler(request, self.users[name], await read_form(request))
            except Refused as refused:
                return refused.response

        return endpoint

    # The list

    def me(self, request: Request, user: User, form: Mapping[str, str]) -> Response:
        return JSONResponse({"id": user.id, "name": user.name})

    def find(self, request: Request) -> Anime:
        number = request.path_params["id"]
        if number not in self.anime:
            raise Refused(404, "not_found")
        return self.anime[number]

    def details(self, request: Request, user: User, form: Mapping[str, str]) -> Response:
        anime, fields = self.find(request), request.query_params.get("fields", "")
        body = {"id": anime.id, "title": f"Anime {anime.id}"}
        body |= {
            name: getattr(anime, name) for name in ("num_episodes", "media_type", "status") if name in fields
        }
        entry = user.entries.get(anime.id)
        if entry is not None and "my_list_status" in fields:
            body["my_list_status"] = shown(entry, fields.partition("my_list_status")[2])
        return JSONResponse(body)

    def update(self, request: Request, user: User, form: Mapping[str, str]) -> Response:
        anime = self.find(request)
        self.validate(anime, form)
        entry = user.entries.setdefault(anime.id, Entry())
        for name, value in form.items():
            read = WRITTEN.get(name, name)
            setattr(entry, read, as_value(name, value))
        entry.updated_at = self.clock.now().isoformat()
        return JSONResponse(shown(entry, "num_times_rewatched"))

    def validate(self, anime: Anime, form: Mapping[str, str]) -> None:
        """It takes no field that is only read, no other status, no date in part, and no number beyond the last."""
        writable = {"status", "is_rewatching", *NUMBERS, *DATES}
        last = 1 if anime.media_type == "movie" else anime.num_episodes
        good = form and set(form) <= writable and form.get("status", "watching") in STATUSES
        good = good and form.get("is_rewatching", "true") in ("true", "false")
        good = good and all(form.get(name, "0").isdecimal() for name in NUMBERS)
        good = good and all(re.fullmatch(r"\d{4}-\d\d-\d\d", form.get(name, "2000-01-01")) for name in DATES)
        if not good or (last and int(form.get("num_watched_episodes", 0)) > last):
            raise Refused(400, "bad_request")

    def delete(self, request: Request, user: User, form: Mapping[str, str]) -> Response:
        if user.entries.pop(self.find(request).id, None) is None:
            raise Refused(404, "not_found")
        return JSONResponse([])

    def list_entries(self, request: Request, user: User, form: Mapping[str, str]) -> Response:
        """Without `nsfw=true` some are missing."""
        query = request.query_params
        limit, offset = min(int(query.get("limit", 100)), 1000), int(query.get("offset", 0))
        rows = [
            {
                "node": {"id": number, "title": f"Anime {number}"},
                "list_status": shown(entry, query.get("fields", "")),
            }
            for number, entry in user.entries.items()
            if query.get("nsfw") == "true" or not self.anime[number].nsfw
        ]
        paging = {"next": f"{request.url.path}?offset={offset + limit}"} if len(rows) > offset + limit else {}
        return JSONResponse({"data": rows[offset : offset + limit], "paging": paging})

    # The sign-in

    async def authorize(self, request: Request) -> Response:
        query = request.query_params
        if (
            query.get("code_challenge_method") != "plain"
            or not 43 <= len(query.get("code_challenge", "")) <= 128
        ):
            return JSONResponse({"error": "invalid_request"}, 400)
        return RedirectResponse(self.agree("anna", query), 302)

    async def token(self, request: Request) -> Response:
        form = await read_form(request)
        if self.switches.guarded:
            return Response(GUARD, 403, media_type="text/html")
        if not form.get("client_id") or form.get("client_secret", "") != self.switches.secret:
            return JSONResponse({"error": "invalid_client", "message": ""}, 401)
        if form.get("grant_type") == "authorization_code":
            name, challenge, address = self.codes.pop(form.get("code", ""), ("", "", ""))
            if not name or (challenge, address) != (form.get("code_verifier"), form.get("redirect_uri")):
                return JSONResponse({"error": "invalid_grant", "message": ""}, 400)
        else:
            name = self.refresh.pop(form.get("refresh_token", ""), "")
            if not name:
                return JSONResponse({"error": "invalid_grant", "message": ""}, 401)
            self.renewals += 1
            self.expire(name)
        made = self.sign_in(name)
        del made["created_at"]
        return JSONResponse(made)

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form; any other body has none."""
    if "x-www-form-urlencoded" not in request.headers.get("content-type", ""):
        return {}
    return {name: str(value) for name, value in (await request.form()).items()}


def as_value(name: str, value: str) -> Any:
    if name == "is_rewatching":
        return value == "true"
    return int(value) if name in NUMBERS else value


def shown(entry: Entry, asked: str) -> Json:
    """An entry, with what is read only where it is asked for; a day that is not set is not there."""
    found = asdict(entry)
    return {
        name: value
        for name, value in found.items()
        if name in ALWAYS or (name in asked and (value or name not in DATES))
    }


if __name__ == "__main__":
    main(MyAnimeList())
