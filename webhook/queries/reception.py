"""How each media server is heard: live, because it is listened to, by its webhooks, or both."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, func, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.queues import listening
from webhook.queues.listening import LineState
from webhook.servers.plex.members import PEOPLE
from webhook.storage.json_fields import Count, Time
from webhook.storage.tables import webhook

RECENT_WEBHOOKS = 5000
"""The newest webhooks that are searched for one of a server's own."""

MAX_SILENCE = timedelta(days=30)


class HeardPersonJson(TypedDict):
    """Somebody whose marks by hand are read with their own token, and where that is from."""

    name: str
    by: Literal["plex.tv", "sign-in"]
    since: Time


class ReceptionJson(TypedDict):
    """How a server is heard. `since` is when it became live, or went down; `webhook_at` its last webhook.

    `people` are those who share it and whose own tokens are used beside that of the server.
    """

    how: Literal["live", "webhook", "both", "down", "not_yet"]
    since: Time | None
    webhook_at: Time | None
    error: str | None
    calls_per_minute: Count
    people: list[HeardPersonJson]


def find_reception(connection: Connection, source: str, now: datetime) -> ReceptionJson:
    """How the server of this source is heard."""
    line = listening.line_status(connection, source, now)
    sent_at = last_sent_at(connection, source, now)
    how: Literal["live", "webhook", "both", "down", "not_yet"]
    if line is not None and line.state is LineState.DOWN:
        how = "down"
    elif line is not None:
        how = "both" if sent_at else "live"
    else:
        how = "webhook" if sent_at else "not_yet"
    return {
        "how": how,
        "since": stamp(line.since) if line else None,
        "webhook_at": stamp(sent_at),
        "error": line.error if line else None,
        "calls_per_minute": line.calls if line else 0,
        "people": list_heard_people(connection, source) if line else [],
    }


def list_heard_people(connection: Connection, source: str) -> list[HeardPersonJson]:
    """Those whose own tokens are used, as the line to the server remembers them, by name."""
    found = listening.recall(connection, source, PEOPLE) or {}
    names = sorted(found, key=str.casefold)
    return [{"name": name, "by": found[name]["by"], "since": found[name]["since"]} for name in names]


def last_sent_at(connection: Connection, source: str, now: datetime) -> datetime | None:
    """When the source last sent a webhook by itself; None if that is long ago."""
    newest = connection.execute(select(func.max(webhook.c.id))).scalar() or 0
    theirs = select(webhook.c.received_at).where(
        webhook.c.id > newest - RECENT_WEBHOOKS, webhook.c.source == source, webhook.c.token_id.is_not(None)
    )
    found: datetime | None = connection.execute(theirs.order_by(webhook.c.id.desc()).limit(1)).scalar()
    return found if found is not None and now - found <= MAX_SILENCE else None
