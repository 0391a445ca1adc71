"""Sources: they read webhooks. One file is one source; its name is its URL.

A source module fulfils `Source`. It may also have `template() -> str`, the text that a person
pastes into the sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Protocol, cast
from urllib.parse import quote

from webhook.domain.event import Event, Ignored
from webhook.system.modules import load_modules

Payload = Mapping[str, Any]


class Source(Protocol):
    """The interface of a source module."""

    LABEL: str
    FIELDS: tuple[str, ...]  # the form fields that may hold the JSON
    FORM_IS_PAYLOAD: bool  # whether a form without such a field is itself the payload
    SETUP: tuple[str, ...]  # steps for a person; {url} stands for the webhook's URL

    def parse(self, payload: Payload, received_at: datetime) -> list[Event] | Ignored:
        """The events of the payload, or the reason to ignore it; raises Unreadable for an unknown shape."""
        ...


@cache
def modules() -> Mapping[str, Source]:
    """Every source module by its name: the files of this folder without a leading underscore."""
    return {name: cast(Source, module) for name, module in load_modules(__name__).items()}


def read_webhook(source_name: str, payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """The events of a webhook of the source; raises Unreadable, and KeyError where there is no such source."""
    return modules()[source_name].parse(payload, received_at)


IN_QUERY = frozenset({"plex"})  # Plex masks a parameter called token in its own log, and nothing in a path


def address(here: str, source_name: str, secret: str) -> str:
    """The URL to paste into the sender; `here` is the address of this service."""
    if source_name in IN_QUERY:
        return f"{here}/webhooks/{source_name}?token={quote(secret)}"
    return f"{here}/webhooks/{source_name}/{quote(secret)}"
