"""How the pages look in this browser: their colours and their language, else those of the system."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.web.http.language import LANGUAGE_COOKIE, LANGUAGES
from webhook.web.http.once import Once
from webhook.web.http.page import THEME_COOKIE, THEMES
from webhook.web.http.sessions import DEVICE_DAYS
from webhook.web.visible import Visitor

CHOICES = (("theme", THEME_COOKIE, THEMES), ("language", LANGUAGE_COOKIE, LANGUAGES))
"""What one may choose: its field, its cookie and its values; anything else is the system's."""


class Appearance(Once):
    def routes(self) -> list[BaseRoute]:
        return [Route("/theme", self.answers(self.choose), methods=["POST"])]

    async def choose(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        response = self.redirect_to(request, self.back(request, fields, "saved"))
        bounds, lasts = self.sessions.bounds(request), int(DEVICE_DAYS.total_seconds())
        for name, cookie, choices in CHOICES:
            if (chosen := fields.get(name, "")) in choices:
                response.set_cookie(cookie, chosen, max_age=lasts, **bounds)
            elif name in fields:
                response.delete_cookie(cookie, **bounds)
        return response
