"""The web: health, the JSON API and the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from webhook.service import Service
from webhook.web import api, health, pages, shell
from webhook.web.api import Gate
from webhook.web.live import Live
from webhook.web.pages.entrance import Entrance
from webhook.web.sign_in import Passwords, Sessions


def routes(service: Service) -> list[BaseRoute]:
    """Everything but the webhooks' own door, in its shell. It answers every path, so it comes last."""
    passwords = Passwords()
    sessions = Sessions(service)
    gate, entrance = Gate(service.database, sessions), Entrance(service, sessions, passwords)
    inside = [
        *health.routes(service, gate),
        *api.routes(service, gate),
        *Live(service, sessions).routes(),
        *pages.routes(service, sessions, entrance),
    ]
    if root := service.settings.root_path.rstrip("/"):
        inside.append(Route(root, to_root(root)))
    return [Mount("", shell.web(inside, entrance.error))]


def to_root(root: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return RedirectResponse(f"{root}/")

    return endpoint
