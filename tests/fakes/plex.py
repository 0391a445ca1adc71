"""A Plex Media Server that is written to, and the accounts at plex.tv by which one signs in to it.

`python -m tests.fakes.plex --port 0` runs both at one address, empty.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._plex_writes import WrittenPlex
from ._server import Clock, main
from .plex_server import PlexServer

ANNA = 900000101


class Plex(WrittenPlex, PlexServer):
    """The server with a person who shares it. `link` agrees to a code, as she does at plex.tv/link."""

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(**switches)
        self.clock = clock or self.clock
        self.pins: dict[int, str | None] = {}
        self.people: dict[
            str, tuple[str, str]
        ] = {}  # the token at plex.tv: the name, the token at the server

    def add_person(self, name: str = "anna", account: int = ANNA) -> dict[str, Any]:
        """Somebody who shares the server, and their sign-in."""
        token, inner = f"account-token-of-{name}", f"server-token-of-{name}"
        self.accounts[account], self.shared[inner], self.people[token] = name, account, (name, inner)
        return {"token": inner, "name": name, "server": self.machine}

    def link(self, pin: int, name: str = "anna") -> None:
        self.pins[pin] = next(token for token, (known, _) in self.people.items() if known == name)

    def add(self, metadata: dict[str, Any]) -> None:
        self.items[str(metadata["ratingKey"])] = metadata

    def watched(self, account: int = ANNA) -> dict[str, datetime]:
        """What is marked watched, and when."""
        return {
            key: datetime.fromtimestamp(marks["lastViewedAt"]).astimezone()
            for key, marks in self.marks.get(account, {}).items()
            if marks.get("viewCount")
        }

    def routes(self) -> list[BaseRoute]:
        writes = [
            Route(path, self.door(handler), methods=["GET", "PUT"]) for path, handler in self.write_table()
        ]
        accounts = [
            Route("/identity", self.identity),
            Route("/api/v2/pins", self.make_pin, methods=["POST"]),
            Route("/api/v2/pins/{pin:int}", self.show_pin),
            Route("/api/v2/user", self.show_user),
            Route("/api/v2/resources", self.show_resources),
        ]
        return [*writes, *accounts, *super().routes()]

    async def identity(self, request: Request) -> Response:
        about = {"machineIdentifier": self.machine, "version": "1.43.3.10400", "size": 0}
        return JSONResponse({"MediaContainer": about})

    async def make_pin(self, request: Request) -> Response:
        if "x-plex-client-identifier" not in request.headers:
            return refused(400, 1000, "X-Plex-Client-Identifier is missing")
        number = 700 + len(self.pins)
        self.pins[number] = None
        return JSONResponse({"id": number, "code": f"AB{number}", "expiresIn": 900, "authToken": None}, 201)

    async def show_pin(self, request: Request) -> Response:
        number = request.path_params["pin"]
        if number not in self.pins:
            return refused(404, 1020, "Code not found or expired")
        return JSONResponse({"id": number, "code": f"AB{number}", "authToken": self.pins[number]})

    def person_of(self, request: Request) -> tuple[str, str] | None:
        return self.people.get(request.headers.get("x-plex-token", ""))

    async def show_user(self, request: Request) -> Response:
        person = self.person_of(request)
        if person is None:
            return refused(401, 1001, "User could not be authenticated")
        return JSONResponse({"id": ANNA, "uuid": "a1b2", "username": person[0], "title": person[0]})

    async def show_resources(self, request: Request) -> Response:
        person = self.person_of(request)
        if person is None:
            return refused(401, 1001, "User could not be authenticated")
        server = {"name": self.name, "provides": "server", "clientIdentifier": self.machine, "owned": False}
        player = {"name": "Phone", "provides": "player", "clientIdentifier": "other", "owned": True}
        return JSONResponse([player, {**server, "accessToken": person[1], "connections": []}])


def refused(status: int, code: int, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message, "status": status}]}, status)


if __name__ == "__main__":
    main(Plex())
