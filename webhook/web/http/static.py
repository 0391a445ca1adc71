"""The files that pages load: style sheet, script, icon."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from webhook.web.http.errors import Problem


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
