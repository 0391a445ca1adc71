"""Calls left: how many calls a service still takes from an account today, as its last answer said."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.daily_calls import DailyCalls
from webhook.storage.json_fields import Time
from webhook.storage.rows import fetch_all
from webhook.storage.tables import note

PREFIX = "calls."


class CallsLeftJson(TypedDict):
    """The calls that the service still takes from the account, of so many a day."""

    limit: int
    left: int
    resets_at: Time


class CallsNote(NamedTuple):
    name: str
    value: CallsLeftJson


def store(connection: Connection, account_id: int, calls: DailyCalls) -> None:
    forget(connection, account_id)
    value = {"limit": calls.limit, "left": calls.left, "resets_at": clock.stamp(calls.resets_at)}
    connection.execute(insert(note), {"name": f"{PREFIX}{account_id}", "value": value})


def forget(connection: Connection, account_id: int) -> None:
    connection.execute(delete(note).where(note.c.name == f"{PREFIX}{account_id}"))


def read_calls(connection: Connection) -> dict[int, CallsLeftJson]:
    """The calls that are left, by account, where the day is not over yet."""
    wanted = select(note.c.name, note.c.value).where(note.c.name.startswith(PREFIX, autoescape=True))
    return {
        int(row.name.removeprefix(PREFIX)): row.value
        for row in fetch_all(connection, wanted, CallsNote)
        if datetime.fromisoformat(row.value["resets_at"]) > clock.now()
    }


def describe_calls(calls: CallsLeftJson) -> str:
    return f"{calls['left']:,} of {calls['limit']:,} calls left today"
