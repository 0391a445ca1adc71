"""The pictures of pages, for whoever is signed in."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook.pictures.store import MEDIA_TYPE_WEBP, WIDTHS
from webhook.service import Service
from webhook.web.http.errors import Problem
from webhook.web.http.sessions import Sessions, base

CACHE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}
"""The address changes with the picture."""


class PictureFiles:
    def __init__(self, service: Service, sessions: Sessions) -> None:
        self.service = service
        self.sessions = sessions

    def routes(self) -> list[BaseRoute]:
        return [Route("/pictures/{key}/{shape}-{width:int}", self.show)]

    async def show(self, request: Request) -> Response:
        """A picture in one of its widths, for whoever is signed in; 404 if there is none."""
        if await self.sessions.visitor(request) is None:
            return RedirectResponse(base(self.service.settings, request) + "/sign-in", 303)
        key, shape, width = (request.path_params[name] for name in ("key", "shape", "width"))
        store = self.service.pictures.store
        found = await asyncio.to_thread(store.read, key, shape, width) if shape in WIDTHS else None
        if found is None:
            raise Problem(404, "There is no such picture.")
        return Response(found, media_type=MEDIA_TYPE_WEBP, headers=CACHE_HEADERS)
