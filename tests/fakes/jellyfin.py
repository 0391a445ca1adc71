"""A Jellyfin that is written to, in one of its versions: https://api.jellyfin.org

`python -m tests.fakes.jellyfin --port 0` runs it alone, empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ._mediabrowser_writes import Json, Written, read_date, write_date
from ._server import main
from .jellyfin_server import JellyfinServer

TOKEN = re.compile(r'Token="([^"]*)"')
PATCHED = ("Played", "PlayCount", "PlaybackPositionTicks", "IsFavorite", "Rating")


class Jellyfin(Written, JellyfinServer):
    """`quick_connect` is whether a code may be asked for; `secrets` are the codes by secret, `entered` who entered one."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(**switches)
        self.quick_connect = True
        self.secrets: dict[str, str] = {}
        self.entered: dict[str, str] = {}

    def is_since(self, *version: int) -> bool:
        return tuple(int(part) for part in self.version.split(".")[:2]) >= version

    def token_of(self, request: Request) -> str:
        found = TOKEN.search(request.headers.get("authorization", ""))
        if found is None and not self.is_since(12, 0):
            return request.headers.get("x-emby-token", "")
        return "" if found is None else found.group(1)

    def routes(self) -> list[BaseRoute]:
        quick = [
            Route("/QuickConnect/Initiate", self.initiate, methods=["POST"]),
            Route("/QuickConnect/Connect", self.show_code),
            Route("/Users/AuthenticateWithQuickConnect", self.redeem, methods=["POST"]),
        ]
        return [*quick, *super().routes()]

    def enter_code(self, code: str, user_id: str) -> None:
        """Somebody who is signed in enters a code of Quick Connect."""
        self.entered[code] = user_id

    async def initiate(self, request: Request) -> Response:
        if not self.quick_connect:
            return PlainTextResponse("Quick connect is disabled", 401)
        if "DeviceId" not in request.headers.get("authorization", ""):
            return PlainTextResponse("Value cannot be null.", 400)
        self.secrets[secret := f"secret-{len(self.secrets)}"] = f"{700100 + len(self.secrets)}"
        return JSONResponse({"Authenticated": False, "Secret": secret, "Code": self.secrets[secret]})

    async def show_code(self, request: Request) -> Response:
        code = self.secrets.get(request.query_params.get("secret", ""))
        if code is None:
            return JSONResponse({"title": "Not Found", "status": 404}, 404)
        return JSONResponse({"Authenticated": code in self.entered, "Secret": "…", "Code": code})

    async def redeem(self, request: Request) -> Response:
        code = self.secrets.pop((await request.json()).get("Secret"), None)
        if code not in self.entered:
            return PlainTextResponse("Unknown secret", 400)
        token = next(key for key, user_id in self.tokens.items() if user_id == self.entered[code])
        return JSONResponse({"AccessToken": token, "ServerId": self.server_id})

    def write_table(self) -> list[tuple[str, str, Callable[[Request, Json], Response]]]:
        return [
            ("/UserPlayedItems/{id}", "POST DELETE", self.since_10_9(self.set_played)),
            ("/UserItems/{id}/UserData", "GET POST", self.since_10_9(self.patch)),
            ("/Users/{user}/Items/{id}/UserData", "POST", self.since_10_9(self.patch)),
            ("/UserItems/{id}/Rating", "DELETE", self.since_10_9(self.unrate)),
        ]

    def since_10_9(self, make: Callable[[Request, Json], Response]) -> Callable[[Request, Json], Response]:
        return lambda request, body: (
            make(request, body) if self.is_since(10, 9) else Response(status_code=404)
        )

    def patch(self, request: Request, body: Json) -> Response:
        """Only what is given and not null changes; nothing is counted."""
        data = self.data(request)
        if request.method == "GET":
            return JSONResponse(data)
        if not 0 <= (body.get("Rating") or 0) <= 10:
            return PlainTextResponse("Error processing request.", 400)
        data |= {name: body[name] for name in PATCHED if body.get(name) is not None}
        if body.get("LastPlayedDate"):
            at = read_date(body["LastPlayedDate"])
            assert at is not None
            data["LastPlayedDate"] = write_date(at)
        if "Rating" in data:
            data["Likes"] = data["Rating"] >= 6.5
        self.tell_change(request, "UpdateUserData")
        return JSONResponse({**data, "ItemId": request.path_params["id"]})

    def unrate(self, request: Request, body: Json) -> Response:
        for name in ("Rating", "Likes"):
            self.data(request).pop(name, None)
        self.tell_change(request, "UpdateUserRating")
        return JSONResponse(self.data(request))

    def webhook(self, user_id: str, key: str, reason: str) -> Json:
        """What the webhook plugin sends with all properties: nothing in it says who made the change."""
        item, data = self.known[key], self.data_of(user_id, key)
        ids = {f"Provider_{name.lower()}": value for name, value in item.get("ProviderIds", {}).items()}
        names = {
            "Name": "Name", "SeriesName": "SeriesName", "SeriesId": "SeriesId", "Year": "ProductionYear",
            "SeasonNumber": "ParentIndexNumber", "EpisodeNumber": "IndexNumber",
            "EpisodeNumberEnd": "IndexNumberEnd", "RunTimeTicks": "RunTimeTicks",
        }  # fmt: skip
        known = {name: item[there] for name, there in names.items() if item.get(there) is not None}
        said = {"Favorite": data["IsFavorite"], "Rating": data.get("Rating")}
        said |= {
            name: data.get(name)
            for name in ("Played", "PlayCount", "PlaybackPositionTicks", "LastPlayedDate")
        }
        return {
            "NotificationType": "UserDataSaved", "SaveReason": reason, "UtcTimestamp": write_date(self.clock.now()),
            "ServerId": self.server_id, "ServerName": self.server_name, "ItemId": key, "ItemType": item["Type"],
            "UserId": user_id, "NotificationUsername": self.users[user_id], **known, **ids, **said,
        }  # fmt: skip


if __name__ == "__main__":
    main(Jellyfin())
