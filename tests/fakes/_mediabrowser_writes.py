"""What a Jellyfin or an Emby lets itself be told by one of its users, and the webhooks it sends of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ._mediabrowser import MediaBrowser
from ._server import Clock

Json = dict[str, Any]
ANNA = "aa" * 16
EMPTY: Json = {"Played": False, "PlayCount": 0, "PlaybackPositionTicks": 0, "IsFavorite": False}


class Written(MediaBrowser):
    """A server whose users sign in, and whose items need not have been played.

    `sent` are the webhooks of what changed, in their order; `on_change` gets each before the call is answered.
    """

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(**switches)
        self.clock = clock or self.clock
        self.passwords: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.admins: set[str] = set()
        self.sent: list[Json] = []
        self.on_change: Callable[[Json], None] | None = None

    def add_person(
        self, name: str = "anna", user_id: str = ANNA, password: str = "secret", *, admin: bool = False
    ) -> Json:
        """Somebody who signs in by a password; an administrator's token sees what the server's key does."""
        token = f"token-of-{name}-at-{self.server_name}"
        self.users[user_id], self.tokens[token], self.passwords[name] = name, user_id, password
        if admin:
            self.admins.add(user_id)
        return {"token": token, "user_id": user_id, "name": name, "server": self.server_id}

    def stock(self, dto: Mapping[str, Any]) -> None:
        """Put an item on the server, which nobody has touched yet."""
        self.known[dto["Id"]] = dict(dto)

    def watched(self, user_id: str = ANNA) -> dict[str, str | None]:
        """What is marked watched, and when."""
        return {
            key: item["UserData"].get("LastPlayedDate")
            for key, item in self.played.get(user_id, {}).items()
            if item["UserData"]["Played"]
        }

    # ---

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, str, Callable[[Request, Json], Response]]] = [
            ("/Users/{user}/PlayedItems/{id}", "POST DELETE", self.set_played),
            ("/Users/{user}/FavoriteItems/{id}", "POST DELETE", self.set_favourite),
            ("/Users/{user}/Items/{id}", "GET", self.show_item),
            *self.write_table(),
        ]
        mine = [Route(path, self.write_door(make), methods=methods.split()) for path, methods, make in table]
        about = [
            Route("/Users/AuthenticateByName", self.authenticate, methods=["POST"]),
            Route("/System/Info/Public", self.show_version),
            Route("/Users/{user}", self.show_user),
        ]
        return [*about, *mine, *super().routes()]

    def write_table(self) -> list[tuple[str, str, Callable[[Request, Json], Response]]]:
        return []

    def write_door(self, make: Callable[[Request, Json], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if refused := self.refused(request):
                return refused
            if request.path_params["id"] not in self.known:
                return JSONResponse({"title": "Not Found", "status": 404}, 404)
            body = await request.body()
            return make(request, await request.json() if body else {})

        return endpoint

    def token_of(self, request: Request) -> str:
        raise NotImplementedError

    def refused(self, request: Request) -> Response | None:
        """A user's token may name that user and nobody else; an administrator's and the server's key anybody."""
        user = self.tokens.get(self.token_of(request))
        if user is None:
            return super().refused(request)
        if user not in self.admins and request.url.path == "/Users":
            return PlainTextResponse("Forbidden", 403)
        return (
            None
            if user in self.admins or self.user_of(request) in (None, user)
            else PlainTextResponse("Forbidden", 403)
        )

    def user_of(self, request: Request) -> str | None:
        asked = {name.lower(): value for name, value in request.query_params.items()}
        return request.path_params.get("user") or asked.get("userid")

    async def authenticate(self, request: Request) -> Response:
        given = await request.json()
        name = given.get("Username", "")
        if "DeviceId" not in (
            request.headers.get("authorization") or request.headers.get("x-emby-authorization") or ""
        ):
            return PlainTextResponse("Value cannot be null. (Parameter 'appName')", 400)
        if self.passwords.get(name) != given.get("Pw"):
            return PlainTextResponse("Invalid username or password entered.", 401)
        user_id = next(key for key, known in self.users.items() if known == name)
        token = next(key for key, known in self.tokens.items() if known == user_id)
        return JSONResponse(
            {"AccessToken": token, "ServerId": self.server_id, "User": {"Id": user_id, "Name": name}}
        )

    async def show_version(self, request: Request) -> Response:
        about = {"Version": self.version, "Id": self.server_id, "ServerName": self.server_name}
        return JSONResponse(about)

    async def show_user(self, request: Request) -> Response:
        if refused := self.refused(request):
            return refused
        user_id = request.path_params["user"]
        return JSONResponse({"Id": user_id, "Name": self.users[user_id]})

    def show_item(self, request: Request, body: Json) -> Response:
        return JSONResponse({**self.known[request.path_params["id"]], "UserData": self.data(request)})

    def data(self, request: Request) -> Json:
        return self.data_of(self.user_of(request) or "", request.path_params["id"])

    def set_played(self, request: Request, body: Json) -> Response:
        """With a date each call counts anew. A mark is taken back, and told, also where there was none."""
        data, query = (
            self.data(request),
            {name.lower(): value for name, value in request.query_params.items()},
        )
        if request.method == "DELETE":
            data |= {"Played": False, "PlayCount": 0, "PlaybackPositionTicks": 0}
            data.pop("LastPlayedDate", None)
        else:
            at = read_date(query.get("dateplayed"))
            count = data["PlayCount"] + 1 if at else max(data["PlayCount"], 1)
            data |= {"Played": True, "PlayCount": count, "PlaybackPositionTicks": 0}
            data["LastPlayedDate"] = write_date(at or self.clock.now())
        self.tell_change(request, "TogglePlayed")
        return JSONResponse(data)

    def set_favourite(self, request: Request, body: Json) -> Response:
        self.data(request)["IsFavorite"] = request.method == "POST"
        self.tell_change(request, "UpdateUserRating")
        return JSONResponse(self.data(request))

    def tell_change(self, request: Request, reason: str) -> None:
        self.change(self.user_of(request) or "", request.path_params["id"], reason)

    def change(self, user_id: str, key: str, reason: str) -> None:
        """Send the webhook of a change to who listens."""
        payload = self.webhook(user_id, key, reason)
        if payload is None:
            return
        self.sent.append(payload)
        if self.on_change is not None:
            self.on_change(payload)

    def webhook(self, user_id: str, key: str, reason: str) -> Json | None:
        raise NotImplementedError

    def mark_by_hand(
        self, user_id: str, key: str, *, played: bool = True, reason: str = "TogglePlayed"
    ) -> None:
        """A person marks an item in the server's own pages, or by a program that gives another reason."""
        data = self.data_of(user_id, key)
        data |= {"Played": played, "PlayCount": int(played), "PlaybackPositionTicks": 0}
        data.pop("LastPlayedDate", None)
        if played:
            data["LastPlayedDate"] = write_date(self.clock.now())
        self.change(user_id, key, reason)


def read_date(given: str | None) -> datetime | None:
    if given is None:
        return None
    if given.isdigit():
        return datetime.strptime(f"{given}+0000", "%Y%m%d%H%M%S%z")
    at = datetime.fromisoformat(given)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def write_date(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
