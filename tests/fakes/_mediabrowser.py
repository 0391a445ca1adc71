"""What the fakes of Jellyfin and Emby have in common: users, items, and what each user's marks of them are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._live_sessions import Json, LiveSessions, stamp

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
    version: str = ""  # another than the fake's own; "10.8.13" and "12.0.0" differ in what a start does
    keep_alive: float = 60.0  # seconds after which a socket without a sign of life is closed
    sorts: bool = True  # whether the order that is asked for is kept


class MediaBrowser(LiveSessions):
    """The server. Fill it with `play`, which takes an item as the webhook of its play describes it."""

    switches: Switches
    server_id: str
    server_name: str
    always: tuple[str, ...]
    gated: ClassVar[
        Mapping[str, str]
    ] = {}  # what of a user's marks is left out or 0 unless it is asked for by a field

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.pictures: dict[tuple[str, str], bytes] = {}  # by item and kind, Primary or Backdrop
        self.seasons: dict[str, dict[int, str]] = {}  # their keys by number, by show

    def state(self) -> Json:
        return {"users": self.users, "played": self.played}

    def play(self, user_id: str, user: str, dto: Mapping[str, Any], at: datetime | None) -> None:
        """A user has played an item; of an earlier play only the count stays."""
        self.users[user_id] = user
        data = self.add(user_id, dto)["UserData"]
        data |= {"Played": True, "PlayCount": data["PlayCount"] + 1, "PlaybackPositionTicks": 0}
        if at is not None:
            data["LastPlayedDate"] = stamp(at)

    # ---

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, Callable[[Request], Response]]] = [
            ("/System/Info", self.system),
            ("/Sessions", self.show_sessions),
            ("/Users", self.show_users),
            (self.path(), self.items),
            ("/Items/{id}/Images/{kind}", self.picture),
            ("/Shows/{id}/Seasons", self.show_seasons),
        ]
        return [
            *(Route(path, self.door(handler)) for path, handler in table),
            self.live_control(),
            self.socket_route(),
        ]

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
        return JSONResponse({"ServerName": self.server_name, "Id": self.server_id, "Version": self.version})

    def show_users(self, request: Request) -> Response:
        found = [{"Name": name, "Id": key, "ServerId": self.server_id} for key, name in self.users.items()]
        return JSONResponse(found)

    def items(self, request: Request) -> Response:
        asked = {name.lower(): value for name, value in request.query_params.items()}
        found = [item for item in self.items_of(self.whose(request)) if is_wanted(item, asked)]
        if self.switches.sorts:
            found.sort(key=played_at, reverse=asked.get("sortorder") == "Descending")
        start = int(asked.get("startindex", 0))
        limit = min(int(asked.get("limit", self.switches.most)), self.switches.most)
        shown = [self.shown(item, asked) for item in found[start : start + limit]]
        return JSONResponse({"Items": shown, "TotalRecordCount": len(found), "StartIndex": start})

    def show_seasons(self, request: Request) -> Response:
        found = self.seasons.get(request.path_params["id"], {})
        rows = [{"Id": key, "IndexNumber": number, "Type": "Season"} for number, key in found.items()]
        return JSONResponse({"Items": rows, "TotalRecordCount": len(rows)})

    def picture(self, request: Request) -> Response:
        found = self.pictures.get((request.path_params["id"], request.path_params["kind"]))
        return Response(status_code=404) if found is None else Response(found, media_type="image/jpeg")

    def shown(self, item: Json, asked: Mapping[str, str]) -> Json:
        if self.switches.grouped and item["Type"] == "Movie" and asked.get("collapseboxsetitems") != "false":
            return {"Id": "b0" * 16, "Name": "A Collection", "Type": "BoxSet"}
        fields = asked.get("fields", "").split(",")
        made = {name: value for name, value in item.items() if name in (*self.always, *fields)}
        data = dict(item["UserData"])
        for field, name in self.gated.items():
            if field not in fields:
                data = {**data, "PlayCount": 0} if name == "PlayCount" else without(data, name)
        made["UserData"] = data
        return made


def played_at(item: Json) -> str:
    date: str = item["UserData"].get("LastPlayedDate", "")
    return date


def without(data: Mapping[str, Any], left_out: str) -> Json:
    return {name: value for name, value in data.items() if name != left_out}


def is_wanted(item: Json, asked: Mapping[str, str]) -> bool:
    """Whether an item meets the filters that these servers know; what they do not know is ignored."""
    if "ids" in asked:
        return item["Id"] in asked["ids"].split(",")
    filters, data = asked.get("filters", "").split(","), item["UserData"]
    played = "IsPlayed" in filters or asked.get("isplayed") == "true"
    favourite = "IsFavorite" in filters or asked.get("isfavorite") == "true"
    kinds = asked.get("includeitemtypes", "").split(",")
    return (
        item["Type"] in kinds
        and (data["Played"] or not played)
        and (data.get("IsFavorite", False) or not favourite)
    )
