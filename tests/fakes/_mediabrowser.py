"""What the fakes of Jellyfin and Emby have in common: users, and the items each of them has played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Fake

Json = dict[str, Any]

ALWAYS = (
    *("Id", "ServerId", "Name", "Type", "SeriesName", "SeriesId", "RunTimeTicks", "UserData", "ExtraType"),
    *("ParentIndexNumber", "IndexNumber", "IndexNumberEnd", "Album", "AlbumArtist", "Artists"),
)
"""What an item comes with that nobody asks for by name."""


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    key: str = "0123456789abcdef0123456789abcdef"
    legacy: bool = False  # whether a Jellyfin still reads X-Emby-Token
    grouped: bool = False  # whether films come as their collections unless that is declined
    most: int = 1000  # how many items one answer holds at the most


class MediaBrowser(Fake):
    """The server. Fill it with `play`, which takes an item as the webhook of its play describes it."""

    switches: Switches
    server_id: str
    server_name: str
    always: tuple[str, ...]
    dated: str | None = None  # the field by which the date of the latest play is asked for

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.users: dict[str, str] = {}
        self.played: dict[str, dict[str, Json]] = {}
        self.pictures: dict[tuple[str, str], bytes] = {}  # by item and kind, Primary or Backdrop

    def state(self) -> Json:
        return {"users": self.users, "played": self.played}

    def play(self, user_id: str, user: str, dto: Mapping[str, Any], at: datetime | None) -> None:
        """A user has played an item; of an earlier play only the count stays."""
        self.users[user_id] = user
        items = self.played.setdefault(user_id, {})
        count = items[dto["Id"]]["UserData"]["PlayCount"] if dto["Id"] in items else 0
        data: Json = {"Played": True, "PlayCount": count + 1, "PlaybackPositionTicks": 0, "IsFavorite": False}
        if at is not None:
            data["LastPlayedDate"] = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        items[dto["Id"]] = {**dto, "UserData": data}

    # ---

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, Callable[[Request], Response]]] = [
            ("/System/Info", self.system),
            ("/Users", self.show_users),
            (self.path(), self.items),
            ("/Items/{id}/Images/{kind}", self.picture),
        ]
        return [Route(path, self.door(handler)) for path, handler in table]

    def path(self) -> str:
        raise NotImplementedError

    def refused(self, request: Request) -> Response | None:
        raise NotImplementedError

    def whose(self, request: Request) -> str:
        raise NotImplementedError

    def door(self, handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return self.refused(request) or handler(request)

        return endpoint

    def system(self, request: Request) -> Response:
        return JSONResponse({"ServerName": self.server_name, "Id": self.server_id, "Version": "1"})

    def show_users(self, request: Request) -> Response:
        found = [{"Name": name, "Id": key, "ServerId": self.server_id} for key, name in self.users.items()]
        return JSONResponse(found)

    def items(self, request: Request) -> Response:
        asked = {name.lower(): value for name, value in request.query_params.items()}
        kinds = asked.get("includeitemtypes", "").split(",")
        found = [item for item in self.played.get(self.whose(request), {}).values() if item["Type"] in kinds]
        found.sort(key=played_at, reverse=asked.get("sortorder") == "Descending")
        start, limit = int(asked.get("startindex", 0)), min(int(asked["limit"]), self.switches.most)
        shown = [self.shown(item, asked) for item in found[start : start + limit]]
        return JSONResponse({"Items": shown, "TotalRecordCount": len(found), "StartIndex": start})

    def picture(self, request: Request) -> Response:
        found = self.pictures.get((request.path_params["id"], request.path_params["kind"]))
        return Response(status_code=404) if found is None else Response(found, media_type="image/jpeg")

    def shown(self, item: Json, asked: Mapping[str, str]) -> Json:
        if self.switches.grouped and item["Type"] == "Movie" and asked.get("collapseboxsetitems") != "false":
            return {"Id": "b0" * 16, "Name": "A Collection", "Type": "BoxSet"}
        fields = asked.get("fields", "").split(",")
        made = {name: value for name, value in item.items() if name in (*self.always, *fields)}
        if self.dated is not None and self.dated not in fields:
            made["UserData"] = {
                name: value for name, value in item["UserData"].items() if name != "LastPlayedDate"
            }
        return made


def played_at(item: Json) -> str:
    date: str = item["UserData"].get("LastPlayedDate", "")
    return date
