"""An Emby on loopback, as far as it is asked for what is and was played: https://dev.emby.media/reference/RestAPI.html

`python -m tests.fakes.emby_server --port 0` runs it alone, empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ._mediabrowser import ALWAYS, MediaBrowser
from ._server import main


class EmbyServer(MediaBrowser):
    server_id = "e1" * 16
    server_name = "Loft"
    always = ALWAYS
    gated: ClassVar[Mapping[str, str]] = {
        "UserDataLastPlayedDate": "LastPlayedDate",
        "UserDataPlayCount": "PlayCount",
    }
    own_version = "4.9.1.80"
    socket_path, socket_key = "/embywebsocket", "api_key"

    def path(self) -> str:
        return "/Users/{user}/Items"

    def whose(self, request: Request) -> str:
        user: str = request.path_params["user"]
        return user

    def refused(self, request: Request) -> Response | None:
        if request.headers.get("x-emby-token") == self.switches.key:
            return None
        return PlainTextResponse("Access token is invalid or expired.", 401)


if __name__ == "__main__":
    main(EmbyServer())
