"""The files that pages load: style sheet, scripts, icons; and the worker of the installed app."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from webhook.web.http.errors import Problem
from webhook.web.http.templating import STATIC


class Kept(StaticFiles):
    """Static files that the browser may cache, since their addresses change with their content."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "\0" in path:
            raise Problem(404, "There is nothing at this address.")
        return await super().get_response(path, scope)


def static_routes() -> list[BaseRoute]:
    return [Route("/worker.js", worker), Mount("/static", Kept(directory=STATIC))]


async def worker(request: Request) -> Response:
    """The app's service worker, at the root since it serves no page above its own folder."""
    return FileResponse(STATIC / "worker.js", headers={"Cache-Control": "no-cache"})
