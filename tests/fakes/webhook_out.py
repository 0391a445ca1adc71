"""Receivers of webhooks on loopback: each reads its bodies as the real one does, and keeps what that would keep.

| kind | address | reads | answers |
|---|---|---|---|
| `yamtrack` | `/webhook/jellyfin/{token}` | nested | 200; 401 token; 500 where a field is missing |
| `ryot` | `/_i/{slug}` | nested; every body is progress | 202, whatever it is |
| `movary` | `/movary/webhook/jellyfin/{id}` | flat, films, with their day | 200; 404 id; 500 date |
| `scrob` | `/api/proxy/webhooks/jellyfin?api_key=` | flat or nested | 200 `{"status": "ok"}`, or `"ignored"` |

None says whether it knew the item. `python -m tests.fakes.webhook_out --port 0` runs it alone. Beside what every fake has
(`_server`): `POST /_control/user` `{"name": "anna", "kind": "ryot"}` gives a receiver, as it is stored of an account.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Clock, Fake, main

Json = dict[str, Any]
REPEATS = timedelta(minutes=5)
"""The time within which Scrob ignores the same item."""

MIN_PROGRESS, MAX_PROGRESS = 2.0, 95.0
"""Ryot drops what is below, and takes for watched what is above."""

PATHS = {
    "yamtrack": "/webhook/jellyfin/{token}",
    "ryot": "/_i/{token}",
    "movary": "/movary/webhook/jellyfin/{token}",
    "scrob": "/api/proxy/webhooks/jellyfin?api_key={token}",
}
SHAPES = {"yamtrack": "nested", "ryot": "nested", "movary": "flat", "scrob": "flat"}


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    unknown: bool = False  # the receiver knows no item, and says nothing of it


@dataclass
class User:
    """A person at a receiver: what it has kept for her."""

    name: str
    kind: str
    plays: list[Json] = field(default_factory=list)
    playing: list[str] = field(default_factory=list)
    failures: int = 0


class WebhookOut(Fake):
    """All the receivers. `fake.sign_in("anna", "ryot")` gives an address at one of them."""

    switches: Switches

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/webhook/jellyfin/{token}", self.door("yamtrack", self.yamtrack), methods=["POST"]),
            Route("/_i/{token}", self.ryot, methods=["POST"]),
            Route("/movary/webhook/jellyfin/{token}", self.door("movary", self.movary), methods=["POST"]),
            Route("/api/proxy/webhooks/jellyfin", self.door("scrob", self.scrob), methods=["POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
        ]

    def state(self) -> dict[str, Any]:
        return {"users": {name: asdict(user) for name, user in self.users.items()}}

    def user(self, name: str) -> User:
        return self.users[name]

    def sign_in(self, name: str, kind: str = "scrob", **more: Any) -> Json:
        """A receiver as it is stored of an account; its address begins with `home`, where this fake is."""
        token = secrets.token_hex(16)
        self.users.setdefault(name, User(name, kind))
        self.tokens[token] = name
        url = self.home + PATHS[kind].format(token=token)
        stored = {"url": url, "shape": SHAPES[kind], "headers": {}, "template": "", "late": "dated"}
        return {**stored, "user": name, **more}

    def revoke(self, name: str) -> None:
        self.tokens = {token: user for token, user in self.tokens.items() if user != name}

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in(**await request.json()))

    def door(
        self, kind: str, read: Callable[[User, Json], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The route of a kind: who has no token there is refused."""

        async def guarded(request: Request) -> Response:
            token = request.path_params.get("token") or request.query_params.get("api_key", "")
            name = self.tokens.get(token)
            if name is None or self.users[name].kind != kind:
                return Response(status_code=404 if kind == "movary" else 401)
            return read(self.users[name], await request.json())

        return guarded

    def keep(self, user: User, what: Json) -> None:
        if not self.switches.unknown:
            user.plays.append(what)

    def now(self) -> str:
        return self.clock.now().astimezone(UTC).isoformat()

    def yamtrack(self, user: User, body: Json) -> Response:
        """As its source: a field that is missing is an error of the server."""
        item = body.get("Item", {})
        if body.get("Event") not in ("Play", "Stop"):
            return Response()
        numbers = [item.get(name) for name in ("ParentIndexNumber", "IndexNumber") if name in item]
        if "UserData" not in item or "Name" not in item or not all(isinstance(one, int) for one in numbers):
            return Response(status_code=500)
        ids = item.get("ProviderIds", {})
        wanted = ("Tmdb", "Imdb") if item.get("Type") == "Movie" else ("Imdb", "Tvdb")
        found = next((f"{name}:{ids[name]}" for name in wanted if ids.get(name)), None)
        if found is None:
            return Response()
        if body["Event"] == "Stop" and item["UserData"]["Played"]:
            self.keep(user, {"item": found, "at": self.now()})
        else:
            user.playing.append(found)
        return Response()

    async def ryot(self, request: Request) -> Response:
        """Always 202: a wrong slug and a body that it cannot read show in its log only."""
        name = self.tokens.get(request.path_params["token"])
        if name is not None:
            self.progress(self.users[name], await request.json())
        return PlainTextResponse("Webhook queued for processing", 202)

    def progress(self, user: User, body: Json) -> None:
        """The item's TMDB id first, also where it is an episode's own; the position alone says how far it was."""
        try:
            item = body["Item"]
            part = 100 * body["Session"]["PlayState"]["PositionTicks"] / item["RunTimeTicks"]
            ids, show_ids = item["ProviderIds"], body.get("Series", {}).get("ProviderIds", {})
            found = ids.get("Tmdb") or show_ids["Tmdb"]
        except (KeyError, TypeError, ZeroDivisionError):
            user.failures += 1
            return
        place = [item.get("ParentIndexNumber"), item.get("IndexNumber")]
        if part > MAX_PROGRESS:
            self.keep(user, {"item": f"Tmdb:{found}", "place": place, "at": self.now()})
        elif part >= MIN_PROGRESS:
            user.playing.append(f"Tmdb:{found}")

    def movary(self, user: User, body: Json) -> Response:
        """Films that were played to their end, on a day."""
        if (body.get("NotificationType"), body.get("ItemType")) != ("PlaybackStop", "Movie"):
            return Response()
        if body.get("PlayedToCompletion") is not True or not body.get("Provider_tmdb"):
            return Response()
        try:
            at = datetime.strptime(body["UtcTimestamp"][:-2] + "Z", "%Y-%m-%dT%H:%M:%S.%f%z")
        except (KeyError, ValueError):
            return Response(status_code=500)
        self.keep(user, {"item": f"Tmdb:{body['Provider_tmdb']}", "at": at.date().isoformat()})
        return Response()

    def scrob(self, user: User, body: Json) -> Response:
        """Either shape; the same item within five minutes is ignored."""
        flat = "NotificationType" in body
        item = body if flat else body.get("Item", {})
        done = body.get("PlayedToCompletion") if flat else item.get("UserData", {}).get("Played")
        ids = (
            {name.removeprefix("Provider_"): body[name] for name in body if name.startswith("Provider_")}
            if flat
            else {name.lower(): value for name, value in item.get("ProviderIds", {}).items()}
        )
        found = next((f"{name}:{ids[name]}" for name in ("imdb", "tvdb", "tmdb") if name in ids), None)
        if found is None or not done or self.is_repeat(user, found):
            return JSONResponse({"status": "ignored"})
        self.keep(user, {"item": found, "at": self.now()})
        return JSONResponse({"status": "ok"})

    def is_repeat(self, user: User, item: str) -> bool:
        since = self.clock.now() - REPEATS
        return any(one["item"] == item and datetime.fromisoformat(one["at"]) > since for one in user.plays)


if __name__ == "__main__":
    main(WebhookOut())
