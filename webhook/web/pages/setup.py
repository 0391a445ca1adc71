"""Set-up: the addresses to paste into each media server, step by step."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import trace
from webhook.web.addresses import address_of, addresses
from webhook.web.pages._page import Page
from webhook.web.views import Visitor


class Setup(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/setup", self.page(self.setup))]

    async def setup(self, request: Request, visitor: Visitor) -> Response:
        address = address_of(self.service, request)
        found, last = await self.database.read(
            lambda connection: (
                addresses(connection, self.service, visitor, address),
                trace.last_webhooks(connection) if visitor.everything else {},
            )
        )
        return self.drawn(request, "setup.html", {"addresses": found, "last": last}, visitor)
