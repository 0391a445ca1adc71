"""A Jellyfin on loopback, as far as it is asked for what is and was played: https://api.jellyfin.org

`python -m tests.fakes.jellyfin_server --port 0` runs it alone, empty.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ._mediabrowser import ALWAYS, MediaBrowser
from ._server import main


class JellyfinServer(MediaBrowser):
    server_id = "a0" * 16
    server_name = "Cellar"
    own_version = "10.11.5"
    socket_path, socket_key = "/socket", "ApiKey"
    always = (*ALWAYS, "ProductionYear")

    def path(self) -> str:
        return "/Items"

    def whose(self, request: Request) -> str:
        return request.query_params["userId"]

    def refused(self, request: Request) -> Response | None:
        given = [request.headers.get("authorization")]
        if self.switches.legacy:
            given.append(f'MediaBrowser Token="{request.headers.get("x-emby-token")}"')
        return None if f'MediaBrowser Token="{self.switches.key}"' in given else Response(status_code=401)


if __name__ == "__main__":
    main(JellyfinServer())
