"""The files that pages load: style sheet, scripts, icons; and the worker of the installed app."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from webhook.web.http.compression import COMPRESSIBLE, accepts_gzip, compress_file, gzip_headers
from webhook.web.http.errors import Problem
from webhook.web.http.language import LANGUAGE
from webhook.web.http.templating import STATIC, draw


class Kept(StaticFiles):
    """Static files that the browser may cache, since their addresses change with their content."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        path, accepted = Path(full_path), Headers(scope=scope).get("accept-encoding", "")
        if path.suffix not in COMPRESSIBLE:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if response.status_code != 200 or "range" in Headers(scope=scope) or not accepts_gzip(accepted):
            return response
        body = compress_file(path, stat_result.st_mtime)
        return Response(body, headers={**response.headers, **gzip_headers(body)})

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "\0" in path:
            raise Problem(404, "There is nothing at this address.")
        return await super().get_response(path, scope)


def static_routes() -> list[BaseRoute]:
    return [Route("/worker.js", worker), Route("/offline", offline), Mount("/static", Kept(directory=STATIC))]


async def worker(request: Request) -> Response:
    """The app's service worker, at the root since it serves no page above its own folder."""
    return FileResponse(STATIC / "worker.js", headers={"Cache-Control": "no-cache"})


async def offline(request: Request) -> Response:
    """What the worker keeps and shows while the service is not reachable."""
    return HTMLResponse(draw("offline.html", {"language": LANGUAGE.get()}))
