"""The web: health, the JSON API and the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from webhook.app import Service


def routes(service: Service) -> list[BaseRoute]:
    async def healthz(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    return [Route("/healthz", healthz)]
