"""Now: what is playing, and the last plays with what each tracker knows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.queries.plays import list_plays
from webhook.web import visible
from webhook.web.http.page import Page
from webhook.web.now.posters import drawing
from webhook.web.visible import Visitor

LAST = 12
"""How many of the last plays are shown."""


class Now(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.page(self.first))]

    async def first(self, request: Request, visitor: Visitor) -> Response:
        known = await self.database.read(lambda connection: shown(connection, visitor))
        posters = drawing(self.service) is not None
        return self.drawn(request, "now.html", {**known, "posters": posters}, visitor)


def shown(connection: Connection, visitor: Visitor) -> dict[str, Any]:
    playing = visible.playing(connection, visitor)
    for watched in (False, True):  # what is watched while it still plays has its mark told by then
        visible.told_of(
            connection, [play for play in playing if bool(play["watched_at"]) is watched], marks=watched
        )
    on = {play["id"] for play in playing}
    last = list_plays(connection, limit=LAST + len(on), person_name=visitor.only)["items"]
    last = [play for play in last if play["id"] not in on][:LAST]
    visible.told_of(connection, last, marks=True)
    return {
        "playing": playing,
        "last": last,
        "heard_at": visible.last_webhook(connection, visitor),
        "several": len(visible.names(connection)) > 1,
        "connected": visible.connected(connection, visitor),
    }
