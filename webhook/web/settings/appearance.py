"""The colours of the pages: light, dark or as the system has it, for this browser."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.web.http.once import Once
from webhook.web.http.page import THEME_COOKIE, THEMES
from webhook.web.http.sessions import DEVICE_DAYS
from webhook.web.visible import Visitor


class Appearance(Once):
    def routes(self) -> list[BaseRoute]:
        return [Route("/theme", self.answers(self.choose), methods=["POST"])]

    async def choose(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        response = self.redirect_to(request, self.back(request, fields, "saved"))
        bounds, chosen = self.sessions.bounds(request), fields.get("theme", "")
        if chosen in THEMES:
            lasts = int(DEVICE_DAYS.total_seconds())
            response.set_cookie(THEME_COOKIE, chosen, max_age=lasts, **bounds)
        else:
            response.delete_cookie(THEME_COOKIE, **bounds)
        return response
