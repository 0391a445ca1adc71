"""A server module asked over real HTTP, and what webhook and record must have in common."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import httpx

from webhook.domain.event import Event
from webhook.domain.items import keys, same_item
from webhook.servers import Found, Server
from webhook.sources import read_webhook

Answer = TypeVar("Answer")

PAYLOADS = Path(__file__).parents[1] / "payloads"
AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
"""When what the payloads tell of happened."""


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def webhook(name: str) -> Event:
    """The first event that the webhook of `<source>/<what happened>` means."""
    told = read_webhook(name.partition("/")[0], payload(name), AT)
    assert isinstance(told, list)
    return told[0]


def asked(
    module: ModuleType, settings: dict[str, str], work: Callable[[Server], Awaitable[Answer]]
) -> Answer:
    async def run() -> Answer:
        async with httpx.AsyncClient(timeout=5) as http:
            return await work(module.build(module.Settings.model_validate(settings), http))

    return asyncio.run(run())


def played(module: ModuleType, settings: dict[str, str], since: datetime | None = None) -> list[Found]:
    async def all_of_it(server: Server) -> list[Found]:
        return [found async for found in server.plays(since)]

    return asked(module, settings, all_of_it)


def first_played(module: ModuleType, settings: dict[str, str]) -> Found:
    """The first entry; the rest is not asked for."""

    async def one(server: Server) -> Found:
        found = server.plays(None)
        async with contextlib.aclosing(found):  # type: ignore[type-var]
            return await anext(found)

    return asked(module, settings, one)


def checked(module: ModuleType, settings: dict[str, str]) -> str:
    return asked(module, settings, lambda server: server.check())


def assert_met(told: Event, recorded: Event) -> None:
    """The webhook of a play and the server's record of it are of one identity, and of one item."""
    assert (recorded.user, recorded.user_id) == (told.user, told.user_id)
    assert (recorded.server, recorded.server_name) == (told.server, told.server_name)
    assert recorded.item_key == told.item_key
    assert recorded.item.kind is told.item.kind
    assert same_item(told.item, recorded.item)
    assert set(keys(told.item)) & set(keys(recorded.item))
    assert recorded.recorded
