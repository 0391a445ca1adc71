"""Ears: they listen to a server, and keep what it says in memory."""

from __future__ import annotations

import copy
from typing import Any

from webhook.domain.event import Event, Ignored
from webhook.sources import modules
from webhook.sources._listened import Statement


class Ears:
    """An audience of a server, whose statements are read by its source."""

    def __init__(self, source: str = "plex") -> None:
        self.source = modules()[source]
        self.told: list[Statement] = []
        self.memory: dict[str, Any] = {}
        self.connections = 0
        self.signed_in: dict[str, str] = {}
        self.catch_ups = 0

    async def connect(self) -> None:
        self.connections += 1

    async def keep(self, statement: Statement) -> None:
        self.told.append(statement)

    def catch_up(self) -> None:
        self.catch_ups += 1

    async def recall(self, name: str) -> Any:
        return copy.deepcopy(self.memory.get(name))

    async def remember(self, name: str, value: Any) -> None:
        self.memory[name] = copy.deepcopy(value)

    async def sign_ins(self) -> dict[str, str]:
        return self.signed_in

    @property
    def events(self) -> list[Event]:
        """What the server said, as its source reads it."""
        found = [self.source.parse(one.to_json(), one.at) for one in self.told]
        return [event for events in found if not isinstance(events, Ignored) for event in events]
