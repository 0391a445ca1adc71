"""A Plex Media Server that is written to, and the accounts at plex.tv by which one signs in to it.

`python -m tests.fakes.plex --port 0` runs both at one address, empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._plex_discover import Discover
from ._plex_writes import WrittenPlex
from ._server import Clock, main
from .plex_server import PlexServer

ANNA = 900000101


@dataclass(frozen=True)
class Member:
    """An account at plex.tv that may use the server, and its token there."""

    name: str
    account: int
    server_token: str
    owned: bool = False


class Plex(Discover, WrittenPlex, PlexServer):
    """The server with a person who shares it. `link` agrees to a code, as one does at plex.tv/link."""

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(**switches)
        self.clock = clock or self.clock
        self.pins: dict[int, str | None] = {}
        self.people: dict[str, Member] = {}  # by the token at plex.tv
        self.addresses: list[str] = []  # at which plex.tv says that the server is

    def add_person(self, name: str = "anna", account: int = ANNA) -> dict[str, Any]:
        """Somebody who shares the server, and their sign-in."""
        token, inner = f"account-token-of-{name}", f"server-token-of-{name}"
        self.accounts[account], self.shared[inner] = name, account
        self.people[token] = Member(name, account, inner)
        return {"token": inner, "account_token": token, "name": name, "server": self.machine}

    def account_tokens(self) -> set[str]:
        return set(self.people)

    def add_owner(self) -> str:
        """The owner's account, whose own token the server takes as well."""
        token = "account-token-of-nora"
        self.people[token] = Member(self.accounts[1], 1, self.switches.token, owned=True)
        return token

    def link(self, pin: int, name: str = "anna") -> None:
        self.pins[pin] = next(token for token, known in self.people.items() if known.name == name)

    def expire(self, pin: int) -> None:
        del self.pins[pin]

    def add(self, metadata: dict[str, Any]) -> None:
        self.items[str(metadata["ratingKey"])] = metadata

    def watched(self, account: int = ANNA) -> dict[str, datetime]:
        """What is marked watched, and when."""
        return {
            key: datetime.fromtimestamp(marks["lastViewedAt"]).astimezone()
            for key, marks in self.marks.get(account, {}).items()
            if marks.get("viewCount")
        }

    def account_of(self, request: Request) -> int | None:
        member = self.people.get(request.headers.get("x-plex-token", ""))
        return 1 if member is not None and member.owned else super().account_of(request)

    def routes(self) -> list[BaseRoute]:
        writes = [
            Route(path, self.door(handler), methods=["GET", "PUT"]) for path, handler in self.write_table()
        ]
        accounts = [
            Route("/api/v2/pins", self.make_pin, methods=["POST"]),
            Route("/api/v2/pins/{pin:int}", self.show_pin),
            Route("/api/v2/user", self.show_user),
            Route("/api/v2/resources", self.show_resources),
            Route("/api/servers/{machine}/shared_servers", self.show_shared),
        ]
        return [*writes, *accounts, *self.discover_routes(), *super().routes()]

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

    def person_of(self, request: Request) -> Member | None:
        return self.people.get(request.headers.get("x-plex-token", ""))

    async def show_user(self, request: Request) -> Response:
        person = self.person_of(request)
        if person is None:
            return refused(401, 1001, "User could not be authenticated")
        named = {"username": person.name, "title": person.name}
        return JSONResponse({"id": person.account, "uuid": "a1b2", **named})

    async def show_resources(self, request: Request) -> Response:
        person = self.person_of(request)
        if person is None:
            return refused(401, 1001, "User could not be authenticated")
        server = {"name": self.name, "provides": "server", "clientIdentifier": self.machine}
        player = {"name": "Phone", "provides": "player", "clientIdentifier": "other", "owned": True}
        places = [{"uri": uri, "local": True, "relay": False} for uri in self.addresses]
        mine = {"owned": person.owned, "accessToken": person.server_token, "connections": places}
        return JSONResponse([player, {**server, **mine}])

    async def show_shared(self, request: Request) -> Response:
        """The tokens of those who share the server, for its owner; the owner is not among them."""
        person = self.person_of(request)
        if person is None or not person.owned or request.path_params["machine"] != self.machine:
            return refused(401, 1001, "User could not be authenticated")
        rows = "".join(
            f"<SharedServer id={quoteattr(str(number))} userID={quoteattr(str(one.account))} "
            f"username={quoteattr(one.name)} accessToken={quoteattr(one.server_token)}/>"
            for number, one in enumerate(self.people.values())
            if not one.owned
        )
        return Response(f"<MediaContainer>{rows}</MediaContainer>", media_type="application/xml")


def refused(status: int, code: int, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message, "status": status}]}, status)


if __name__ == "__main__":
    main(Plex())
