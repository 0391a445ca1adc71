"""Scope entries beside ASGI's own: a request's sender, and that the sender was authenticated."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook.network.proxies import Headers, TrustedProxies, is_private

log = structlog.get_logger()

LET_IN = "watchmark.let_in"
"""The scope extension by which the application marks a sender as authenticated."""

PEER = "watchmark.peer"
"""The scope entry with the address that the connection itself comes from, whatever was forwarded."""

MENTIONS = 3
"""Maximum number of untrusted proxies mentioned in the log."""

LetIn = Callable[[float | None], None]


def let_in(scope: Scope, body_timeout: float | None = None) -> None:
    """Mark the sender as authenticated, so that the connection is not evicted for a new one.

    `body_timeout`: the seconds that they have for their body, where that is longer than strangers have.
    """
    told: LetIn | None = (scope.get("extensions") or {}).get(LET_IN)
    if told is not None:
        told(body_timeout)


def client_address(scope: Scope) -> str:
    """The request's sender address, if known."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def peer_address(scope: Scope) -> str:
    """The address that the connection comes from, which nobody can forge by a header; empty if unknown."""
    return str(scope.get(PEER, ""))


class ForwardedHeaders:
    """Middleware that applies the sender, scheme and host forwarded by trusted proxies."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self.app = app
        self.proxies = proxies
        self.mentioned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope.get("client"):
            scope.update(self.outside_view(scope))
        await self.app(scope, receive, send)

    def outside_view(self, scope: Scope) -> dict[str, object]:
        peer, port = scope["client"]
        self.mention(peer, scope["headers"])
        origin = self.proxies.origin(peer, scope["headers"])
        seen: dict[str, object] = {"client": (origin.address, port), PEER: peer}
        if origin.scheme is not None:
            seen["scheme"] = origin.scheme
        if origin.host is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            seen["headers"] = [*others, (b"host", origin.host.encode())]
        return seen

    def mention(self, peer: str, headers: Headers) -> None:
        """Log once that an untrusted proxy forwards senders, who all count as one."""
        if peer in self.mentioned or len(self.mentioned) >= MENTIONS or not is_private(peer):
            return
        if any(name == b"x-forwarded-for" for name, _ in headers) and not self.proxies.includes(peer):
            self.mentioned.add(peer)
            log.warning(
                "A proxy that is not trusted forwards client addresses: add its address to TRUSTED_PROXIES if it is yours.",
                address=peer,
            )
