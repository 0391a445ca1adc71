"""The page Now: what plays, what is up next, what was watched today, and what needs the person."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.web.history.additions import ID_NAMES
from webhook.web.http.page import Page
from webhook.web.now.overview import QUIET_STATES, read_overview
from webhook.web.setup.steps import list_cards, read_progress
from webhook.web.visible import Visitor

MAX_CARDS = 3
"""The cards of what needs the visitor; the rest is counted."""


class Now(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.page(self.first))]

    async def first(self, request: Request, visitor: Visitor) -> Response:
        zone, needed = request.state.zone, request.state.needed
        days = self.service.settings.silence_days
        found, progress = await self.database.read(
            lambda connection: (
                read_overview(connection, visitor, zone, needed, days),
                read_progress(connection, self.service, visitor),
            )
        )
        today = clock.now().astimezone(zone).date()
        cards = found.needs[:MAX_CARDS]
        known = {
            "found": found,
            "today": today.isoformat(),
            "quiet": QUIET_STATES,
            "cards": cards,
            "ids": ID_NAMES,
            "left": list_cards(progress),
            "server": progress.server,
            "more": needed - sum(card.covers for card in cards),
        }
        return self.render(request, "now.html", known, visitor)
