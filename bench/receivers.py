"""The three servers that receiving is measured with: `python -m bench.receivers empty|no-store|store`."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from webhook import app, clock, logs
from webhook.people import tokens
from webhook.queues.inbox import Inbox, ReceivedWebhook


class Nowhere(Inbox):
    """An inbox that keeps nothing."""

    async def keep(self, received: ReceivedWebhook) -> int:
        return 1


async def empty(request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def watchmark(keep: bool) -> tuple[Starlette, str]:
    folder = tempfile.mkdtemp(prefix="bench")
    service = app.open_service({"DATA_DIR": folder, "WORKER": "false", "CLAIM_FIRST_USER": "true"})
    if not keep:
        service.receiver.inbox = Nowhere(service.database)
    (token,) = service.database.ask(
        lambda connection: tokens.valid_tokens(connection, "webhook", clock.now())
    )
    return app.web_app(service), f"/webhooks/plex/{service.seal.open(token.sealed)}"


def main(kind: str) -> None:
    logs.configure("text", "warning")
    made, path = (
        (Starlette(routes=[Route("/", empty, methods=["POST"])]), "/")
        if kind == "empty"
        else watchmark(kind == "store")
    )
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
    listening.listen(1024)
    config = uvicorn.Config(
        made, loop="uvloop", http="httptools", access_log=False, log_level="warning", log_config=None
    )
    print(f"http://127.0.0.1:{listening.getsockname()[1]}{path}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main(sys.argv[1])
