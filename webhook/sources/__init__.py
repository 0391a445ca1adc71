"""Sources: how webhooks are read. One file is one source; its name is its URL.

A source module fulfils `Source`. It may also have `template() -> str`, which is what a person
pastes into the sender.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Protocol, cast
from urllib.parse import quote

from webhook.domain.event import Event, Ignored

Payload = Mapping[str, Any]


class Source(Protocol):
    """What a source module offers."""

    LABEL: str
    FIELDS: tuple[str, ...]  # the form fields that may hold the JSON
    FORM_IS_PAYLOAD: bool  # whether a form without such a field is itself the payload
    SETUP: tuple[str, ...]  # steps for a person; {url} stands for the webhook's URL

    def parse(self, payload: Payload, received_at: datetime) -> list[Event] | Ignored:
        """What the payload means; raises Unreadable where it has no shape this source knows."""
        ...


@cache
def modules() -> Mapping[str, Source]:
    """Every source module by its name: the files of this folder without a leading underscore."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    return {
        name: cast(Source, importlib.import_module(f"{__name__}.{name}")) for name in names if name[0] != "_"
    }


def read(source_name: str, payload: Payload, received_at: datetime) -> list[Event] | Ignored:
    """What a webhook of the source means; raises Unreadable, and KeyError for a source there is none of."""
    return modules()[source_name].parse(payload, received_at)


IN_QUERY = frozenset({"plex"})  # Plex masks a parameter called token in its own log, and nothing in a path


def address(here: str, source_name: str, secret: str) -> str:
    """What is pasted into the sender; `here` is where this service is reached."""
    if source_name in IN_QUERY:
        return f"{here}/webhooks/{source_name}?token={quote(secret)}"
    return f"{here}/webhooks/{source_name}/{quote(secret)}"
