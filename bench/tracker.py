"""A tracker that answers every scrobble after so many milliseconds: `python -m bench.tracker 150`."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

DELAY = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0.0
TIMES: list[float] = []


async def scrobble(request: Request) -> JSONResponse:
    TIMES.append(time.time())
    body = await request.json()
    if DELAY:
        await asyncio.sleep(DELAY)
    item = body.get("episode") or body.get("movie")
    described = {"season": 1, "number": 1, "title": "x", **item}
    answer = {"id": len(TIMES), "action": "scrobble", "progress": body["progress"], "episode": described}
    return JSONResponse({**answer, "show": {"title": "Tidewater", "ids": {}}}, 201)


async def times(request: Request) -> JSONResponse:
    if request.method == "DELETE":
        TIMES.clear()
    return JSONResponse(TIMES)


async def history(request: Request) -> JSONResponse:
    return JSONResponse([])


def main() -> None:
    routes = [
        Route("/scrobble/{verb}", scrobble, methods=["POST"]),
        Route("/sync/history/{kind}", history),
        Route("/_times", times, methods=["GET", "DELETE"]),
    ]
    door = socket.create_server(("127.0.0.1", 0), backlog=1024)
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        Starlette(routes=routes), loop="uvloop", http="httptools", log_config=None, access_log=False
    )
    print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[door]))


if __name__ == "__main__":
    main()
