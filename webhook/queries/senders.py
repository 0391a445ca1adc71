"""Senders that behave oddly: silent servers, repeated webhooks, wrong clocks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.people.identities import BUILTIN_APIS
from webhook.storage.json_fields import Time
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import NoteRow, identity, note, webhook


class LastSeen(NamedTuple):
    """A server and the time of its last webhook."""

    source: str
    server: str
    server_name: str | None
    last: datetime


class SilentServerJson(TypedDict):
    """A server that fell silent; `says` is the sentence for people."""

    source: str
    server: str | None
    server_name: str | None
    last_seen: Time | None
    days: int
    says: str


class RepeatsJson(TypedDict):
    """A source and how often it sent the same body again within seconds."""

    source: str
    repeats: int


class WrongClockJson(TypedDict):
    """A server and the seconds by which its clock is ahead."""

    source: str
    server: str | None
    server_name: str | None
    seconds: int


class RecentWebhook(NamedTuple):
    """One of a source's last webhooks."""

    received_at: datetime
    raw: bytes | None
    events: list[EventJson] | None


class SourceEvents(NamedTuple):
    source: str
    events: list[EventJson]


MIN_KNOWN_TIME = timedelta(days=7)
"""The time that a server must have been known before its silence is news."""

RECENT_WEBHOOKS = 200  # webhooks of a source that are looked at for how it sends
REPEAT_WINDOW = timedelta(seconds=10)
CLOCK_TOLERANCE = timedelta(minutes=5)
MIN_CLOCK_SAMPLES = 3  # events, at least, before a clock is called wrong
DATED_SOURCES = ("jellyfin", "emby")
PLAYING_ACTIONS = frozenset({"start", "pause", "resume", "stop", "progress"})


def find_silent_servers(connection: Connection, now: datetime, days: int) -> list[SilentServerJson]:
    """The servers that used to send and have sent nothing for so many days; none for 0.

    A server must have been known for a week, so that one that is tried out alarms nobody.
    """
    if days <= 0:
        return []
    first, last = func.min(identity.c.first_seen), func.max(identity.c.last_seen)
    wanted = (
        select(
            identity.c.source,
            identity.c.server,
            func.max(identity.c.server_name).label("server_name"),
            last.label("last"),
        )
        .where(identity.c.last_seen.is_not(None), identity.c.source.not_in(BUILTIN_APIS))
        .group_by(identity.c.source, identity.c.server)
        .having(and_(first <= now - MIN_KNOWN_TIME, last < now - timedelta(days=days)))
        .order_by(last, identity.c.source, identity.c.server)
    )
    rows = fetch_all(connection, wanted, LastSeen)
    if not rows:
        return []
    heard = servers_of_personal_addresses(connection, now - timedelta(days=days))
    retired = dismissals(connection)
    return [
        silent_server_json(row, now)
        for row in rows
        if (row.source, row.server) not in heard
        and retired.get(silence_note(row.source, row.server)) != stamp(row.last)
    ]


SILENCE_PREFIX = "silence."


def silence_note(source: str, server: str) -> str:
    """The name of the note that dismisses a server's silence; of one length, however long the server's name."""
    return SILENCE_PREFIX + hashlib.sha256(f"{source}:{server}".encode()).hexdigest()[:32]


def dismissals(connection: Connection) -> dict[str, str]:
    """The last time each server whose silence was dismissed had been heard, by the name of its note."""
    wanted = select(note).where(note.c.name.startswith(SILENCE_PREFIX, autoescape=True))
    return {row.name: row.value for row in fetch_all(connection, wanted, NoteRow)}


def store_dismissal(connection: Connection, source: str, server: str) -> bool:
    """Dismiss a server's silence until it is heard again; False where the server is not known."""
    here = (identity.c.source == source, identity.c.server == server)
    last = connection.execute(select(func.max(identity.c.last_seen)).where(*here)).scalar()
    if last is None:
        return False
    name = silence_note(source, server)
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note), {"name": name, "value": stamp(last)})
    return True


def servers_of_personal_addresses(connection: Connection, since: datetime) -> set[tuple[str, str]]:
    """The servers that sent through a person's own address, which leaves identities alone."""
    newest = connection.execute(select(func.max(webhook.c.id))).scalar() or 0
    wanted = select(webhook.c.source, webhook.c.events).where(
        webhook.c.id > newest - RECENT_WEBHOOKS * 10,
        webhook.c.received_at >= since,
        webhook.c.identity_id.is_(None),
        webhook.c.events.is_not(None),
    )
    rows = fetch_all(connection, wanted, SourceEvents)
    return {(row.source, str(event.get("server") or "")[:200]) for row in rows for event in row.events}


def silent_server_json(row: LastSeen, now: datetime) -> SilentServerJson:
    """A silent server as the API gives it."""
    name = row.server_name or row.server
    server = f"{row.source} server {name}" if name else row.source
    return {
        "source": row.source,
        "server": row.server or None,
        "server_name": row.server_name,
        "last_seen": stamp(row.last),
        "days": (now - row.last).days,
        "says": f"No webhook from {server} since {row.last:%Y-%m-%d %H:%M} UTC.",
    }


def find_repeats(connection: Connection) -> list[RepeatsJson]:
    """The sources among whose last webhooks the very same body came again within seconds."""
    found: list[RepeatsJson] = []
    for source in connection.execute(
        select(webhook.c.source).distinct().order_by(webhook.c.source)
    ).scalars():
        times: dict[bytes, list[datetime]] = {}
        for row in recent_webhooks(connection, source):
            if row.raw is not None:
                times.setdefault(hashlib.sha256(row.raw).digest(), []).append(row.received_at)
        again = sum(count_within(sorted(moments), REPEAT_WINDOW) for moments in times.values())
        if again:
            found.append({"source": source, "repeats": again})
    return found


def count_within(moments: Sequence[datetime], span: timedelta) -> int:
    """The number of moments that follow the one before within this span."""
    return sum(later - earlier <= span for earlier, later in pairwise(moments))


def find_wrong_clocks(connection: Connection) -> list[WrongClockJson]:
    """The servers whose payloads' own time is minutes away from ours. Plex sends no time."""
    apart: dict[tuple[str, str, str | None], list[float]] = {}
    for source in DATED_SOURCES:
        for row in recent_webhooks(connection, source):
            for event in row.events or []:
                if event.get("action") in PLAYING_ACTIONS and (at := event.get("at")):
                    key = (source, event.get("server") or "", event.get("server_name"))
                    moment = datetime.fromisoformat(at)
                    apart.setdefault(key, []).append((moment - row.received_at).total_seconds())
    return [
        {"source": source, "server": server or None, "server_name": name, "seconds": round(median(seconds))}
        for (source, server, name), seconds in apart.items()
        if len(seconds) >= MIN_CLOCK_SAMPLES and abs(median(seconds)) > CLOCK_TOLERANCE.total_seconds()
    ]


def recent_webhooks(connection: Connection, source: str) -> list[RecentWebhook]:
    """The last webhooks of a source."""
    columns = (webhook.c.received_at, webhook.c.raw, webhook.c.events)
    wanted = select(*columns).where(webhook.c.source == source).order_by(webhook.c.id.desc())
    return fetch_all(connection, wanted.limit(RECENT_WEBHOOKS), RecentWebhook)
