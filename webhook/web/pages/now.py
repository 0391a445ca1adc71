"""Now: what is playing, and the last plays with what each tracker knows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.web import views
from webhook.web.pages._page import Page
from webhook.web.views import DELIVERY_STATES, Visitor


class Now(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.page(self.first))]

    async def first(self, request: Request, visitor: Visitor) -> Response:
        now, days = clock.now(), self.service.settings.silence_days
        known = await self.database.read(
            lambda connection: {
                "playing": views.playing(connection, visitor),
                "webhooks": views.webhooks(connection, visitor)["items"],
                "counts": views.counts(connection, visitor),
                "accounts": views.accounts(connection, visitor),
                "unclaimed": views.unclaimed(connection, visitor),
                "silent": views.silent(connection, visitor, now, days),
                "names": views.names(connection),
            }
        )
        return self.drawn(request, "first.html", {**known, "states": DELIVERY_STATES}, visitor)
