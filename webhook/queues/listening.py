"""The state of each media server that is listened to: which process listens, since when, and what it remembers.

Several processes may run on PostgreSQL: one of them holds the lease of a server and renews it, and another takes over
what is not renewed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from typing_extensions import TypedDict

from webhook.storage.locks import try_locks
from webhook.storage.tables import note
from webhook.storage.types import from_ms, to_ms

LEASE = timedelta(seconds=30)
RENEWAL_INTERVAL = LEASE / 3
STALE = timedelta(minutes=2)
"""How long after its lease the state of a line says nothing any more."""


class LineNoteJson(TypedDict, total=False):
    """The note of a line: which process holds it, until when, and what that said of it; times in Unix milliseconds."""

    holder: str
    until: int
    state: str
    since: int
    error: str | None
    calls: int
    remark: str | None


class LineState(StrEnum):
    """The state of the line to a server."""

    LIVE = "live"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True, slots=True)
class LineStatus:
    """The line to a server: `since` when it is in this state, and the error of one that is down."""

    server: str
    state: LineState
    since: datetime
    error: str | None = None
    calls: int = 0
    """Calls made to the server within a minute."""

    remark: str | None = None
    """What is less than usual about how it is heard, though nothing is lost by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRequest:
    """A process that listens to a server or would like to, and the state of its line."""

    server: str
    holder: str
    now: datetime
    status: LineStatus | None


def renew_lines(connection: Connection, waiting: list[LeaseRequest]) -> list[bool]:
    """Take or renew leases and store what each says of its line; returns which are held."""
    return [renew_one(connection, request) for request in waiting]


def renew_one(connection: Connection, request: LeaseRequest) -> bool:
    name = line_name(request.server)
    if not all(try_locks(connection, [name]).values()):
        return False
    found = read_line(connection, name)
    is_others = found.get("holder") not in (None, request.holder)
    if is_others and from_ms(found["until"]) > request.now and connection.dialect.name != "sqlite":
        return False
    said = found if request.status is None else status_json(request.status)
    value: LineNoteJson = {**said, "holder": request.holder, "until": to_ms(request.now + LEASE)}
    write_note(connection, name, value)
    return True


def release_lines(connection: Connection, waiting: list[LeaseRequest]) -> list[None]:
    """Let another process listen at once."""
    for request in waiting:
        name = line_name(request.server)
        found = read_line(connection, name)
        if found.get("holder") == request.holder:
            write_note(connection, name, {**found, "until": to_ms(request.now)})
    return [None] * len(waiting)


def status_json(status: LineStatus) -> LineNoteJson:
    return {
        "state": status.state.value,
        "since": to_ms(status.since),
        "error": status.error,
        "calls": status.calls,
        "remark": status.remark,
    }


def line_statuses(connection: Connection, servers: Iterable[str], now: datetime) -> list[LineStatus]:
    """The lines to these servers, of those that are listened to."""
    statuses = (line_status(connection, server, now) for server in servers)
    return [status for status in statuses if status is not None]


def line_status(connection: Connection, server: str, now: datetime) -> LineStatus | None:
    """The line to a server; None where no process holds it now."""
    found = read_line(connection, line_name(server))
    if "state" not in found or now - from_ms(found["until"]) > STALE:
        return None
    return LineStatus(
        server=server,
        state=LineState(found["state"]),
        since=from_ms(found["since"]),
        error=found.get("error"),
        calls=found.get("calls", 0),
        remark=found.get("remark"),
    )


def read_line(connection: Connection, name: str) -> LineNoteJson:
    """The note of a line; empty where it was never listened to."""
    found: LineNoteJson | None = read_note(connection, name)
    return found or {}


# --- what a listener remembers


def recall(connection: Connection, server: str, name: str) -> Any:
    return read_note(connection, f"{line_name(server)}.{name}")


def remember(connection: Connection, server: str, name: str, value: Any) -> None:
    write_note(connection, f"{line_name(server)}.{name}", value)


def line_name(server: str) -> str:
    return f"listening.{server}"


def read_note(connection: Connection, name: str) -> Any:
    return connection.execute(select(note.c.value).where(note.c.name == name)).scalar()


def write_note(connection: Connection, name: str, value: Any) -> None:
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note), {"name": name, "value": value})
