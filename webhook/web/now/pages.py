"""The page Now: current plays, and the last plays with each tracker's state."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.queries.plays import list_plays
from webhook.web import visible
from webhook.web.http.page import Page
from webhook.web.visible import Visitor

LAST = 12
"""Number of last plays shown."""


class Now(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.page(self.first))]

    async def first(self, request: Request, visitor: Visitor) -> Response:
        known = await self.database.read(lambda connection: read_overview(connection, visitor))
        return self.render(request, "now.html", known, visitor)


def read_overview(connection: Connection, visitor: Visitor) -> dict[str, Any]:
    playing = visible.current_plays(connection, visitor)
    on = {play["id"] for play in playing}
    last = list_plays(connection, limit=LAST + len(on), person_name=visitor.restricted_to)["items"]
    last = [play for play in last if play["id"] not in on][:LAST]
    return {
        "playing": visible.with_deliveries(connection, playing, playing=True),
        "last": visible.with_deliveries(connection, last, playing=False),
        "heard_at": visible.last_webhook(connection, visitor),
        "several": len(visible.names(connection)) > 1,
        "connected": visible.has_account(connection, visitor),
    }
