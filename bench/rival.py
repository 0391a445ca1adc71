"""The naive rival: a webhook receiver as people write it. It stores nothing and calls the tracker before it answers.

`python -m bench.rival http://tracker` prints its address; `/empty` is the empty route.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

TRACKER = sys.argv[1] if len(sys.argv) > 1 else ""
HEADERS = {"trakt-api-version": "2", "trakt-api-key": "bench", "Authorization": "Bearer bench"}


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with httpx.AsyncClient(headers=HEADERS, timeout=60) as app.state.http:
        yield


async def webhook(request: Request) -> JSONResponse:
    async with request.form() as form:
        payload = json.loads(str(form["payload"]))
    metadata = payload["Metadata"]
    show = {"title": metadata["grandparentTitle"]}
    tvdb = next(int(guid["id"][7:]) for guid in metadata["Guid"] if guid["id"].startswith("tvdb://"))
    episode = {"season": metadata["parentIndex"], "number": metadata["index"], "ids": {"tvdb": tvdb}}
    body = {"show": show, "episode": episode, "progress": 95.0}
    answer = await request.app.state.http.post(f"{TRACKER}/scrobble/stop", json=body)
    answer.raise_for_status()
    return JSONResponse({"ok": True})


async def empty(request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def main() -> None:
    routes = [Route("/webhook", webhook, methods=["POST"]), Route("/empty", empty, methods=["POST"])]
    door = socket.create_server(("127.0.0.1", 0), backlog=1024)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as on sockets that uvicorn opens itself
    app = Starlette(routes=routes, lifespan=lifespan)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_config=None, access_log=False)
    print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[door]))


if __name__ == "__main__":
    main()
