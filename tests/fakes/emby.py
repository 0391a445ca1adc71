"""An Emby that is written to: https://dev.emby.media/reference/RestAPI.html

`python -m tests.fakes.emby --port 0` runs it alone, empty.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ._mediabrowser_writes import EMPTY, Json, Written, read_date, write_date
from ._server import main
from .emby_server import EmbyServer

REASONS = {"TogglePlayed": ("item.markplayed", "item.markunplayed"), "UpdateUserData": ("item.markplayed", "item.markunplayed")}  # fmt: skip


class Emby(Written, EmbyServer):
    def token_of(self, request: Request) -> str:
        return request.headers.get("x-emby-token", "")

    def write_table(self) -> list[tuple[str, str, Callable[[Request, Json], Response]]]:
        return [("/Users/{user}/Items/{id}/UserData", "POST", self.replace)]

    def replace(self, request: Request, body: Json) -> Response:
        """All is replaced: what is not sent is gone."""
        data, before = self.data(request), self.data(request)["Played"]
        data.clear()
        data |= {name: body.get(name, value) for name, value in EMPTY.items()}
        if body.get("Rating") is not None:
            data["Rating"] = body["Rating"]
        if at := read_date(body.get("LastPlayedDate")):
            data["LastPlayedDate"] = write_date(at)
        if data["Played"] != before:
            self.tell_change(request, "UpdateUserData")
        return Response(status_code=204)

    def webhook(self, user_id: str, key: str, reason: str) -> Json | None:
        names = REASONS.get(reason)
        data = self.data_of(user_id, key)
        if names is None:
            return None
        return {
            "Title": "marked", "Date": write_date(self.clock.now()), "Event": names[not data["Played"]],
            "User": {"Name": self.users[user_id], "Id": user_id},
            "Item": {**self.known[key], "ServerId": self.server_id, "UserData": dict(data)},
            "Server": {"Name": self.server_name, "Id": self.server_id, "Version": self.version},
        }  # fmt: skip


if __name__ == "__main__":
    main(Emby())
